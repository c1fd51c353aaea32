/* env: opening, growing and closing an LMDB environment, and what its numbers mean. Contract: env.h. */
#include "store/env.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define MAP_SIZE_DEFAULT ((uint64_t)(sizeof(size_t) > 4 ? 64ULL << 30 : 1ULL << 30)) /* address space, not disk */
#define MAP_SIZE_MIN ((uint64_t)1 << 20)
#define MAP_SIZE_MAX ((uint64_t)(sizeof(size_t) > 4 ? 1ULL << 42 : 1ULL << 31))
#define LOCK_FILE_SIZE 65536 /* header and ENV_READERS_MAX slots of 64 bytes, with room */

enum err env_err(int rc)
{
    switch (rc) {
    case MDB_SUCCESS: return ERR_OK;
    case MDB_NOTFOUND: return ERR_NOTFOUND;
    case MDB_KEYEXIST: return ERR_EXISTS;
    case MDB_MAP_FULL:
    case ENOSPC:
    case EDQUOT:
    case EFBIG: return ERR_FULL;
    case ENOMEM: return ERR_NOMEM;
    case MDB_CORRUPTED:
    case MDB_PAGE_NOTFOUND:
    case MDB_INVALID: return ERR_CORRUPT;
    case MDB_VERSION_MISMATCH:
    case MDB_INCOMPATIBLE: return ERR_VERSION;
    case MDB_READERS_FULL:
    case MDB_TXN_FULL:
    case MDB_DBS_FULL: return ERR_LIMIT;
    default: return ERR_IO; /* EIO, MDB_PANIC, EACCES, EROFS, ...: the environment failed */
    }
}

enum err env_fail(struct err_info *info, const struct env *e, int rc, const char *what)
{
    return err_fail(info, env_err(rc), "%s: %s: %s", e->path != NULL ? e->path : e->name, what, mdb_strerror(rc));
}

/* A map of this size must be possible before LMDB gives up the old one: it has no way back. */
static bool map_possible(uint64_t size)
{
    if (size > SIZE_MAX) return false;
    void *p = mmap(NULL, (size_t)size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (p == MAP_FAILED) return false;
    (void)munmap(p, (size_t)size);
    return true;
}

/* LMDB maps its lock file and writes to it through the map: blocks that are not there yet would be SIGBUS on a full
 * disk. Blocks that exist already need no space, so a node restarts on a full disk. */
static int reserve_lock_file(const char *path)
{
    char name[4096];
    if (snprintf(name, sizeof name, "%s/lock.mdb", path) >= (int)sizeof name) return ENAMETOOLONG;
    int fd = open(name, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0) return errno;
    int rc = posix_fallocate(fd, 0, LOCK_FILE_SIZE);
    if (close(fd) != 0 && rc == 0) rc = errno;
    return rc;
}

static int sync_dir(const char *path)
{
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) return errno;
    int rc = fsync(fd) == 0 ? 0 : errno;
    (void)close(fd);
    return rc;
}

static int make_dir(const char *dir, const char *path)
{
    if (mkdir(path, 0700) == 0) return sync_dir(dir);
    return errno == EEXIST ? 0 : errno;
}

/* A file shorter than its last page says would be SIGBUS at the first read past its end. Pages that came and went
 * within one transaction are legitimately missing at the end, so a short file is read in full, where a SIGBUS hurts
 * nobody. */
static enum err check_length(struct env *e, struct err_info *info)
{
    MDB_envinfo ei;
    MDB_stat st;
    struct stat file;
    mdb_filehandle_t fd;
    int rc = mdb_env_info(e->mdb, &ei);
    if (rc == MDB_SUCCESS) rc = mdb_env_stat(e->mdb, &st);
    if (rc == MDB_SUCCESS) rc = mdb_env_get_fd(e->mdb, &fd);
    if (rc == MDB_SUCCESS && fstat(fd, &file) != 0) rc = errno;
    if (rc != MDB_SUCCESS) return env_fail(info, e, rc, "cannot be examined");
    if ((uint64_t)file.st_size >= ((uint64_t)ei.me_last_pgno + 1) * st.ms_psize) return ERR_OK;
    return env_verify(e->path, info);
}

static int open_tables(struct env *e, MDB_txn *txn, const char *const *tables)
{
    int rc = MDB_SUCCESS;
    for (size_t i = 0; rc == MDB_SUCCESS && tables[i] != NULL; i++) {
        ASSERT(i < ENV_TABLE_MAX);
        rc = mdb_dbi_open(txn, tables[i], MDB_CREATE, &e->tables[i]);
    }
    return rc;
}

static enum err put_format(struct env_write *w)
{
    char format[4];
    put_be(format, ENV_FORMAT, sizeof format);
    return env_put_one(w, ENV_META, SLICE("format"), (struct slice){format, sizeof format});
}

static enum err other_format(struct env *e, struct env_write *w, uint64_t found, env_upgrade *upgrade,
                             struct err_info *info)
{
    enum err err = upgrade != NULL && found < ENV_FORMAT ? upgrade(w, found) : ERR_VERSION;
    if (err == ERR_OK) err = put_format(w);
    if (err == ERR_VERSION) {
        return err_fail(info, err, "%s has format %llu and this program reads %d: use the version that wrote it",
                        e->path, (unsigned long long)found, ENV_FORMAT);
    }
    if (err == ERR_CORRUPT) {
        return err_fail(info, err, "%s is damaged: move it away, so that the node fetches it from the other members",
                        e->path);
    }
    return err == ERR_OK ? ERR_OK : env_fail(info, e, w->rc, "cannot be brought up to this version's format");
}

static enum err check_format(struct env *e, struct env_write *w, env_upgrade *upgrade, struct err_info *info)
{
    struct slice content;
    enum err err = env_get(w, ENV_META, SLICE("format"), &content);
    if (err == ERR_NOTFOUND) {
        char last[ENV_KEY_MAX];
        struct slice key;
        err = env_last_key(w, ENV_META, last, &key);
        if (err == ERR_OK && key.n > 0) err = ERR_CORRUPT;
        if (err == ERR_OK) err = put_format(w);
    } else if (err == ERR_OK && (content.n != 4 || get_be(content.p, 4) != ENV_FORMAT)) {
        return other_format(e, w, content.n == 4 ? get_be(content.p, 4) : 0, upgrade, info);
    }
    if (err == ERR_CORRUPT) return err_fail(info, err, "%s: the format record is damaged", e->path);
    return err == ERR_OK ? ERR_OK : env_fail(info, e, w->rc, "the format record");
}

/* One attempt; *rc is what LMDB said. */
static enum err try_prepare(struct env *e, const char *const *tables, env_upgrade *upgrade, int *rc,
                            struct err_info *info)
{
    struct env_write w;
    enum err err = env_begin(e, &w);
    *rc = w.rc;
    if (err != ERR_OK) return env_fail(info, e, w.rc, "cannot begin");
    *rc = open_tables(e, w.txn, tables);
    err = *rc == MDB_SUCCESS ? check_format(e, &w, upgrade, info) : env_fail(info, e, *rc, "cannot open its tables");
    if (err == ERR_OK && env_commit(&w) != ERR_OK) err = env_fail(info, e, w.rc, "cannot write");
    if (*rc == MDB_SUCCESS) *rc = w.rc;
    env_abort(&w);
    return err;
}

static enum err prepare(struct env *e, const char *const *tables, env_upgrade *upgrade, struct err_info *info)
{
    int rc;
    enum err err = try_prepare(e, tables, upgrade, &rc, info);
    while (err == ERR_FULL && rc == MDB_MAP_FULL && env_grow(e) == ERR_OK)
        err = try_prepare(e, tables, upgrade, &rc, info);
    return err;
}

static int open_mdb(struct env *e, uint64_t map_size)
{
    int rc = mdb_env_create(&e->mdb);
    if (rc != MDB_SUCCESS) return rc;
    rc = mdb_env_set_maxdbs(e->mdb, ENV_TABLE_MAX);
    if (rc == MDB_SUCCESS) rc = mdb_env_set_maxreaders(e->mdb, ENV_READERS_MAX);
    if (rc == MDB_SUCCESS) rc = mdb_env_set_mapsize(e->mdb, (size_t)map_size);
    if (rc == MDB_SUCCESS) rc = mdb_env_open(e->mdb, e->path, MDB_NOTLS, 0600);
    return rc;
}

enum err env_open(struct env *e, const char *dir, const char *name, const char *const *tables, env_upgrade *upgrade,
                  uint64_t map_size, struct err_info *info)
{
    *e = (struct env){.name = name};
    size_t n = strlen(dir) + strlen(name) + 2;
    enum err err;
    e->path = malloc(n);
    if (e->path == NULL) return err_fail(info, ERR_NOMEM, "no memory to open %s/%s", dir, name);
    (void)snprintf(e->path, n, "%s/%s", dir, name);
    if (map_size == 0) map_size = MAP_SIZE_DEFAULT;
    if (map_size < MAP_SIZE_MIN) map_size = MAP_SIZE_MIN;
    while (map_size > MAP_SIZE_MIN && !map_possible(map_size))
        map_size /= 2;
    int rc = pthread_rwlock_init(&e->map_lock, NULL);
    e->lock_made = rc == 0;
    if (rc == 0) rc = make_dir(dir, e->path);
    if (rc == 0) rc = reserve_lock_file(e->path);
    if (rc == 0) rc = open_mdb(e, map_size);
    if (rc != 0) {
        err = env_fail(info, e, rc, "cannot be opened");
    } else {
        (void)env_reader_check(e);
        err = check_length(e, info);
    }
    if (err == ERR_OK) err = prepare(e, tables, upgrade, info);
    if (err == ERR_OK && (rc = sync_dir(e->path)) != 0) err = env_fail(info, e, rc, "cannot be synchronised");
    if (err != ERR_OK) env_close(e);
    return err;
}

void env_close(struct env *e)
{
    if (e->mdb != NULL) mdb_env_close(e->mdb);
    if (e->lock_made) (void)pthread_rwlock_destroy(&e->map_lock);
    free(e->path);
    *e = (struct env){0};
}

enum err env_grow(struct env *e)
{
    MDB_envinfo ei;
    (void)pthread_rwlock_wrlock(&e->map_lock);
    int rc = mdb_env_info(e->mdb, &ei);
    enum err err = env_err(rc);
    if (err == ERR_OK && (ei.me_mapsize >= MAP_SIZE_MAX || !map_possible((uint64_t)ei.me_mapsize * 2))) err = ERR_FULL;
    if (err == ERR_OK) err = env_err(mdb_env_set_mapsize(e->mdb, ei.me_mapsize * 2));
    e->map_number++;
    (void)pthread_rwlock_unlock(&e->map_lock);
    return err;
}

bool env_space_short(const struct env *e, uint64_t bytes)
{
    char name[4096];
    struct stat data;
    mdb_filehandle_t fd;
    if (mdb_env_get_fd(e->mdb, &fd) != MDB_SUCCESS || fstat(fd, &data) != 0) return false;
    if (snprintf(name, sizeof name, "%s/space-probe", e->path) >= (int)sizeof name) return false;
    int probe = open(name, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (probe < 0) return errno == ENOSPC || errno == EDQUOT;
    (void)unlink(name);
    /* Past the data file's own length, so that a limit on file sizes is met as well. */
    int rc = posix_fallocate(probe, data.st_size, (off_t)bytes);
    (void)close(probe);
    return rc == ENOSPC || rc == EDQUOT || rc == EFBIG;
}

int env_reader_check(struct env *e)
{
    int dead = 0;
    return mdb_reader_check(e->mdb, &dead) == MDB_SUCCESS ? dead : 0;
}
