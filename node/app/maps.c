#include "node/app/maps.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "node/app/node.h"

struct loaded {
    char name[LIMIT_NAME + 1];
    struct map_file *file; /* NULL: no version of it could be read yet */
    struct timespec changed;
    off_t size;
    ino_t inode;
    bool seen;       /* in this look */
    char fault[200]; /* of its newest version, "" none */
};

struct maps {
    struct loaded files[MAPS_FILES];
    size_t count;
    char folder[512];
    struct reading *reading; /* a file is being read on a worker */
};

/* One file on its way from the disk. */
struct reading {
    uv_work_t work;
    struct node *n;
    char name[LIMIT_NAME + 1];
    char path[512 + LIMIT_NAME + 2];
    struct stat stat; /* as it was before it was read: a change meanwhile is seen by the next look */
    struct map_file *file;
    enum err err;
    struct err_info info;
};

static struct loaded *find(struct maps *m, struct slice name)
{
    for (size_t i = 0; m != NULL && i < m->count; i++) {
        if (slice_eq(slice_of(m->files[i].name), name)) return &m->files[i];
    }
    return NULL;
}

/* ---- reading ---- */

static enum err read_all(int fd, struct buf *text, struct err_info *info)
{
    char block[65536];
    for (;;) {
        ssize_t got = read(fd, block, sizeof block);
        if (got == 0) return ERR_OK;
        if (got < 0) return err_fail(info, ERR_IO, "it cannot be read: %s", strerror(errno));
        if (text->n + (size_t)got > MAPS_BYTES)
            return err_fail(info, ERR_LIMIT, "it is larger than %d bytes", MAPS_BYTES);
        buf_add(text, block, (size_t)got);
        if (text->failed) return ERR_NOMEM;
    }
}

/* Any thread. */
static void read_file(struct reading *r)
{
    struct buf text = {0};
    struct stat now;
    int fd = open(r->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0) {
        r->err = err_fail(&r->info, ERR_IO, "it cannot be opened: %s", strerror(errno));
        return;
    }
    if (fstat(fd, &now) != 0 || !S_ISREG(now.st_mode)) {
        r->err = err_fail(&r->info, ERR_SYNTAX, "it is no plain file");
    } else {
        r->err = read_all(fd, &text, &r->info);
    }
    (void)close(fd);
    if (r->err == ERR_OK) r->err = map_file_parse(buf_view(&text), &r->file, &r->info);
    if (r->err != ERR_OK && r->info.text[0] == '\0') (void)err_fail(&r->info, r->err, "%s", err_name(r->err));
    buf_fini(&text);
}

static void take(struct node *n, struct reading *r)
{
    struct loaded *l = find(n->maps, slice_of(r->name));
    if (l == NULL) return;
    l->changed = r->stat.st_mtim;
    l->size = r->stat.st_size;
    l->inode = r->stat.st_ino;
    if (r->err != ERR_OK) {
        (void)snprintf(l->fault, sizeof l->fault, "%.*s", (int)sizeof l->fault - 1, r->info.text);
        log_event(&n->log, LOG_ERROR, "maps", "refused", "file=%s why=\"%s\" then=\"%s\"", r->path, l->fault,
                  l->file != NULL ? "the version before goes on" : "numbers that need it have no way");
        return;
    }
    map_file_free(l->file);
    l->file = r->file;
    r->file = NULL;
    l->fault[0] = '\0';
    log_event(&n->log, LOG_INFO, "maps", "read", "file=%s numbers=%zu", r->path, map_file_count(l->file));
}

static struct reading *reading_new(struct node *n, const char *name, const struct stat *s)
{
    struct reading *r = calloc(1, sizeof *r);
    if (r == NULL) return NULL;
    r->n = n;
    r->stat = *s;
    (void)snprintf(r->name, sizeof r->name, "%s", name);
    (void)snprintf(r->path, sizeof r->path, "%s/%s", n->maps->folder, name);
    return r;
}

static void reading_free(struct reading *r)
{
    map_file_free(r->file);
    free(r);
}

static void on_worker(uv_work_t *work)
{
    read_file(CONTAINER_OF(work, struct reading, work));
}

static void after_work(uv_work_t *work, int status)
{
    struct reading *r = CONTAINER_OF(work, struct reading, work);
    struct node *n = r->n;
    n->maps->reading = NULL;
    if (status == 0) take(n, r);
    reading_free(r);
    node_work_done(n);
}

/* ---- looking ---- */

/* The file's place, a new one where there is room. */
static struct loaded *place_of(struct node *n, const char *name)
{
    struct maps *m = n->maps;
    struct loaded *l = find(m, slice_of(name));
    if (l != NULL || m->count == MAPS_FILES) return l;
    l = &m->files[m->count++];
    *l = (struct loaded){.size = -1};
    (void)snprintf(l->name, sizeof l->name, "%s", name);
    return l;
}

static bool is_changed(const struct loaded *l, const struct stat *s)
{
    return l->size != s->st_size || l->inode != s->st_ino || l->changed.tv_sec != s->st_mtim.tv_sec ||
           l->changed.tv_nsec != s->st_mtim.tv_nsec;
}

/* Marks what is there; one that is new or has changed in changed and stat, "" when there is none. */
static void look(struct node *n, char changed[LIMIT_NAME + 1], struct stat *stat)
{
    struct maps *m = n->maps;
    DIR *folder = opendir(m->folder);
    struct dirent *d = NULL;
    changed[0] = '\0';
    for (size_t i = 0; i < m->count; i++)
        m->files[i].seen = false;
    while (folder != NULL && (d = readdir(folder)) != NULL) {
        struct stat s;
        if (!plan_name_valid(slice_of(d->d_name)) || d->d_name[0] == '.') continue;
        if (fstatat(dirfd(folder), d->d_name, &s, 0) != 0 || !S_ISREG(s.st_mode)) continue;
        struct loaded *l = place_of(n, d->d_name);
        if (l == NULL) continue;
        l->seen = true;
        if (!is_changed(l, &s)) continue;
        (void)snprintf(changed, LIMIT_NAME + 1, "%s", l->name);
        *stat = s;
    }
    if (folder != NULL) (void)closedir(folder);
}

/* A file that was taken away is forgotten: its numbers have no way any more. */
static void drop_gone(struct node *n)
{
    struct maps *m = n->maps;
    for (size_t i = 0; i < m->count;) {
        if (m->files[i].seen) {
            i++;
            continue;
        }
        log_event(&n->log, LOG_WARN, "maps", "gone", "file=%s/%s", m->folder, m->files[i].name);
        map_file_free(m->files[i].file);
        m->files[i] = m->files[--m->count];
    }
}

void maps_tick(struct node *n)
{
    char changed[LIMIT_NAME + 1];
    struct stat stat;
    if (n->maps == NULL || n->maps->reading != NULL || n->stopping) return;
    look(n, changed, &stat);
    drop_gone(n);
    struct reading *r = changed[0] != '\0' ? reading_new(n, changed, &stat) : NULL;
    if (r == NULL) return;
    n->maps->reading = r;
    if (node_work(n, &r->work, on_worker, after_work) == ERR_OK) return;
    n->maps->reading = NULL;
    reading_free(r);
}

enum err maps_start(struct node *n)
{
    char changed[LIMIT_NAME + 1];
    struct stat stat;
    n->maps = calloc(1, sizeof *n->maps);
    if (n->maps == NULL) return ERR_NOMEM;
    (void)snprintf(n->maps->folder, sizeof n->maps->folder, "%s/maps", n->config.data);
    /* Before the first call: all of them, here. One that changes all the time is left to the ticks. */
    for (size_t i = 0; i < 2 * MAPS_FILES; i++) {
        look(n, changed, &stat);
        if (changed[0] == '\0') break;
        struct reading *r = reading_new(n, changed, &stat);
        if (r == NULL) return ERR_NOMEM;
        read_file(r);
        take(n, r);
        reading_free(r);
    }
    return ERR_OK;
}

void maps_stop(struct node *n)
{
    for (size_t i = 0; n->maps != NULL && i < n->maps->count; i++)
        map_file_free(n->maps->files[i].file);
    free(n->maps);
    n->maps = NULL;
}

/* ---- asking ---- */

struct slice maps_resource(const struct node *n, struct slice file, struct slice number)
{
    const struct loaded *l = find(n->maps, file);
    if (l == NULL || l->file == NULL) return SLICE_NONE;
    struct slice found = map_file_find(l->file, number);
    return found.p != NULL ? found : number;
}

void maps_state(const struct node *n, struct slice file, char *out, size_t out_size)
{
    const struct loaded *l = find(n->maps, file);
    if (l == NULL) {
        (void)snprintf(out, out_size, "%.*s is not in %s", SLICE_ARG(file), n->maps != NULL ? n->maps->folder : "");
    } else if (l->fault[0] != '\0') {
        (void)snprintf(out, out_size, "%s: %s", l->name, l->fault);
    } else {
        (void)snprintf(out, out_size, "%s: %zu numbers", l->name, map_file_count(l->file));
    }
}
