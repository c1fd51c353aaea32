/* csv_large: see the header. Three walks:
 *
 *   1  over the table: a hash of each row's key, its place in the file and its line are noted, and sorted
 *   2  over the routes of the node: a row about one of them is read again and compared; what a row may have been before
 *      a spreadsheet changed its number is noted at the row
 *   3  over the table: rows that no route answered are new
 *
 * The file is mapped, and its pages are let go of on the way, so that it takes no memory either. */
#include "cli/csv_large.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "cli/conn.h"
#include "cli/progress.h"
#include "node/plan/csv.h"
#include "proto/plan_codec.h"

#define LARGE_FROM 4194304 /* bytes */
#define LET_GO_ROWS 16384  /* rows after which pages are let go of */
#define NO_FRONT 15u       /* nothing was taken from its front */

struct note {
    uint64_t hash;
    uint32_t at;
    uint32_t line : 27;
    uint32_t front : 4; /* what may have stood before the number */
    uint32_t met : 1;   /* the plan has this route */
};

struct large {
    struct plan_run *p;
    const struct tree_match *m;
    bool replace;
    struct slice text; /* mapped */
    struct plan_csv_reader *reader;
    struct note *notes;
    size_t count;
    size_t cap;
    struct progress progress;
    unsigned since; /* rows since pages were let go of */
    struct buf removed;
    struct arena stored; /* of one route of the node */
    char digest[PLAN_DIGEST_TEXT];
    size_t changes;
    size_t removals;
    enum err err;
};

static uint64_t hash_of(struct slice key)
{
    return XXH3_64bits(key.p, key.n);
}

static int compare(const void *left, const void *right)
{
    const struct note *a = left;
    const struct note *b = right;
    return (a->hash > b->hash) - (a->hash < b->hash);
}

static struct note *find(const struct large *l, struct slice key)
{
    const struct note wanted = {.hash = hash_of(key)};
    return bsearch(&wanted, l->notes, l->count, sizeof wanted, compare);
}

static void let_go(struct large *l)
{
    if (++l->since < LET_GO_ROWS) return;
    l->since = 0;
    (void)madvise((void *)(uintptr_t)l->text.p, l->text.n, MADV_DONTNEED);
}

/* ---- the table ---- */

static bool map_file(struct large *l, const char *path)
{
    struct stat st;
    const int fd = open(path, O_RDONLY | O_CLOEXEC);
    const bool fits = fd >= 0 && fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_size >= LARGE_FROM &&
                      st.st_size <= PLAN_FILE_MAX;
    void *p = fits ? mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0) : MAP_FAILED;
    if (fd >= 0) (void)close(fd);
    if (p == MAP_FAILED) return false;
    l->text = (struct slice){p, (size_t)st.st_size};
    return true;
}

static enum err add_note(struct large *l, struct note note)
{
    if (l->count == LIMIT_CHANGE_OPS) return ERR_LIMIT;
    if (l->count == l->cap) {
        const size_t cap = l->cap == 0 ? 4096 : l->cap + l->cap / 2;
        struct note *grown = realloc(l->notes, cap * sizeof *grown);
        if (grown == NULL) return ERR_NOMEM;
        l->notes = grown;
        l->cap = cap;
    }
    l->notes[l->count++] = note;
    return ERR_OK;
}

static enum err note_rows(struct large *l)
{
    struct plan_csv_row row;
    struct err_info info = {0};
    size_t at = 0;
    enum err e = plan_csv_open(l->text, &l->reader, &info);
    if (e == ERR_OK && plan_csv_table(l->reader)->kind != PLAN_ROUTE) e = ERR_SYNTAX;
    while (e == ERR_OK && (e = plan_csv_next(l->reader, &row, &at)) == ERR_OK) {
        char text[PLAN_KEY_MAX];
        const struct slice key = {text, plan_object_key_text(&row.object, text)};
        e = add_note(
            l, (struct note){
                   .hash = hash_of(key), .at = (uint32_t)at, .line = row.object.line & 0x7ffffffu, .front = NO_FRONT});
        let_go(l);
        progress_step(l->p->c, &l->progress, "rows read", l->count);
    }
    progress_end(l->p->c, &l->progress);
    if (e != ERR_NOTFOUND || l->count == 0) return e == ERR_OK || e == ERR_NOTFOUND ? ERR_SYNTAX : e;
    qsort(l->notes, l->count, sizeof *l->notes, compare);
    for (size_t i = 1; i < l->count; i++) {
        if (l->notes[i - 1].hash == l->notes[i].hash) return ERR_EXISTS;
    }
    return ERR_OK;
}

static enum err read_again(struct large *l, const struct note *note, struct plan_csv_row *row)
{
    plan_csv_seek(l->reader, note->at, note->line);
    let_go(l);
    return plan_csv_next(l->reader, row, NULL);
}

/* ---- what becomes of a route ---- */

static void remove_key(struct large *l, struct slice key)
{
    control_bulk_add(&l->removed, key);
    if (l->removed.failed) l->err = ERR_NOMEM;
    l->removals++;
}

/* What the row makes of the route in the plan (NULL: of none), unless that is the same. */
static enum err merge(struct large *l, const struct plan_csv_row *row, const struct plan_object *stored,
                      struct slice packed)
{
    struct plan_object o;
    struct err_info info = {0};
    struct buf bytes = {0};
    enum err e = plan_csv_merge(plan_csv_table(l->reader), row, stored, l->replace, &o, &info);
    if (e == ERR_OK) e = plan_object_pack(&o, &bytes);
    if (e == ERR_OK && !(stored != NULL && slice_eq(buf_view(&bytes), packed))) {
        e = plan_bulk_route(&l->p->file.bulk, &o);
        l->changes++;
    }
    buf_fini(&bytes);
    return e;
}

/* A route of the plan about which there is a row. */
static enum err meet(struct large *l, struct note *note, struct slice key, struct slice packed)
{
    struct plan_csv_row row;
    struct plan_object stored;
    char text[PLAN_KEY_MAX];
    enum err e = read_again(l, note, &row);
    if (e != ERR_OK) return e;
    if (!slice_eq(key, (struct slice){text, plan_object_key_text(&row.object, text)})) return ERR_EXISTS;
    note->met = 1;
    if (row.remove) {
        remove_key(l, key);
        return ERR_OK;
    }
    e = plan_object_unpack(&l->stored, packed, &stored, NULL);
    return e == ERR_OK ? merge(l, &row, &stored, packed) : e;
}

/* Rows that may be this route as a spreadsheet left it. */
static void suspect(struct large *l, struct slice key)
{
    char altered[PLAN_KEY_MAX];
    size_t n = 0;
    unsigned front = 0;
    for (unsigned k = 0; plan_csv_altered(key, k, altered, &n, &front); k++) {
        struct note *note = find(l, (struct slice){altered, n});
        if (note != NULL && front < note->front) note->front = front & 15u;
    }
}

static void each_stored(void *ctx, const struct control_record *r)
{
    struct large *l = ctx;
    const struct slice key = control_get_text(r, "key");
    const struct slice digest = control_get_text(r, "digest");
    if (l->err != ERR_OK) return;
    if (slice_is(r->kind, "plan") && digest.n == sizeof l->digest - 1) memcpy(l->digest, digest.p, digest.n);
    if (!slice_is(r->kind, "object")) return;
    struct note *note = find(l, key);
    if (note != NULL)
        l->err = meet(l, note, key, control_get_text(r, "packed"));
    else if (l->replace)
        remove_key(l, key);
    if (l->err == ERR_OK) suspect(l, key);
    arena_reset(&l->stored);
}

/* Everything that the node has. None is an answer like others. */
static enum err meet_stored(struct large *l)
{
    struct arena arena = {0};
    struct control_builder b;
    struct control_record args;
    struct buf end = {0};
    control_record_start(&b, &arena, "");
    control_text(&b, "object", SLICE("route/"));
    enum err e = control_record_done(&b, &args);
    if (e == ERR_OK) {
        const int status = conn_ask(l->p->c, &(struct conn_request){.command = "plan show",
                                                                    .args = &args,
                                                                    .each = each_stored,
                                                                    .ctx = l,
                                                                    .progress = "routes of the plan compared",
                                                                    .quiet = true,
                                                                    .end_text = &end});
        const bool none = status == CLI_REFUSED && slice_starts(buf_view(&end), SLICE("no such object"));
        e = status == CLI_DONE || none ? l->err : ERR_UNREACHABLE;
    }
    buf_fini(&end);
    arena_fini(&arena);
    return e;
}

/* ---- what is new ---- */

static enum err take_new(struct large *l)
{
    struct plan_csv_row row;
    struct err_info info = {0};
    size_t done = 0;
    enum err e = ERR_OK;
    plan_csv_close(l->reader);
    l->reader = NULL;
    e = plan_csv_open(l->text, &l->reader, &info);
    while (e == ERR_OK && (e = plan_csv_next(l->reader, &row, NULL)) == ERR_OK) {
        char text[PLAN_KEY_MAX];
        const struct note *note = find(l, (struct slice){text, plan_object_key_text(&row.object, text)});
        let_go(l);
        progress_step(l->p->c, &l->progress, "rows compared", ++done);
        if (note == NULL) return ERR_EXISTS; /* the file has changed */
        if (note->met != 0) continue;
        e = row.remove ? ERR_NOTFOUND : merge(l, &row, NULL, SLICE_NONE);
        if (row.remove) return ERR_SYNTAX; /* there is nothing to remove */
    }
    return e == ERR_NOTFOUND ? ERR_OK : e;
}

/* ---- lost-characters ---- */

static enum err warn(struct large *l, const struct note *note)
{
    struct plan_csv_row row;
    char key[PLAN_KEY_MAX];
    char was[PLAN_KEY_MAX];
    char text[PLAN_KEY_MAX + 200];
    char match[2 * LIMIT_NUMBER + 8];
    enum err e = read_again(l, note, &row);
    if (e != ERR_OK) return e;
    const struct slice k = {key, plan_object_key_text(&row.object, key)};
    (void)snprintf(match, sizeof match, "%s%.*s", plan_csv_front(note->front), SLICE_ARG(row.object.route.match));
    row.object.route.match = slice_of(match);
    (void)snprintf(text, sizeof text,
                   "it is new, but the plan has %.*s: if a spreadsheet took away the front of its number, write it "
                   "again behind an apostrophe",
                   (int)plan_object_key_text(&row.object, was), was);
    return plan_run_finding(l->p, l->m,
                            &(struct lint_finding){.severity = LINT_WARNING,
                                                   .id = "lost-characters",
                                                   .object = k,
                                                   .line = note->line,
                                                   .column = row.object.column,
                                                   .text = slice_of(text)});
}

static int by_line(const void *left, const void *right)
{
    const struct note *a = left;
    const struct note *b = right;
    return (a->line > b->line) - (a->line < b->line);
}

/* In the order of the table; the notes serve for nothing else afterwards. */
static enum err warn_all(struct large *l)
{
    size_t kept = 0;
    enum err e = ERR_OK;
    for (size_t i = 0; i < l->count; i++) {
        if (l->notes[i].met == 0 && l->notes[i].front != NO_FRONT) l->notes[kept++] = l->notes[i];
    }
    if (kept > 0) qsort(l->notes, kept, sizeof *l->notes, by_line);
    for (size_t i = 0; i < kept && e == ERR_OK; i++)
        e = warn(l, &l->notes[i]);
    return e;
}

/* ---- the whole ---- */

/* What is not in the table, and so is removed by replacing, stands nowhere. */
static enum err place_of(struct large *l, struct slice key, struct plan_place *place)
{
    struct plan_csv_row row;
    const struct note *note = find(l, key);
    *place = (struct plan_place){0, 0};
    if (note == NULL) return ERR_OK;
    enum err e = read_again(l, note, &row);
    if (e == ERR_OK) *place = (struct plan_place){row.object.line, row.object.column};
    return e;
}

/* The removals of p->file, whose texts are copied into its arena. */
static enum err publish(struct large *l)
{
    struct plan_file *f = &l->p->file;
    struct slice *keys = arena_alloc(&f->arena, l->removals * sizeof *keys);
    struct plan_place *places = arena_alloc(&f->arena, l->removals * sizeof *places);
    const struct slice texts = arena_copy(&f->arena, buf_view(&l->removed));
    struct slice rest = texts;
    const struct slice digest = arena_copy(&f->arena, slice_of(l->digest));
    if (keys == NULL || places == NULL || texts.p == NULL || digest.p == NULL) return ERR_NOMEM;
    for (size_t i = 0; i < l->removals; i++) {
        if (control_bulk_take(&rest, &keys[i]) != ERR_OK) return ERR_CORRUPT;
        enum err e = place_of(l, keys[i], &places[i]);
        if (e != ERR_OK) return e;
    }
    return plan_file_take(f, NULL, 0, keys, places, l->removals, digest);
}

static enum err read_all(struct large *l)
{
    enum err e = note_rows(l);
    if (e == ERR_OK) e = plan_bulk_open(&l->p->file.bulk);
    if (e == ERR_OK) e = meet_stored(l);
    if (e == ERR_OK) e = take_new(l);
    progress_end(l->p->c, &l->progress);
    if (e == ERR_OK) e = publish(l);
    if (e == ERR_OK) e = warn_all(l);
    free(l->notes); /* before the routes of the bulk are sorted */
    l->notes = NULL;
    return e == ERR_OK ? plan_bulk_close(&l->p->file.bulk) : e;
}

bool csv_large_read(struct plan_run *p, const struct tree_match *m, const char *path, bool replace, size_t *changes)
{
    struct large l = {.p = p, .m = m, .replace = replace};
    if (!map_file(&l, path)) return false;
    p->file.name = path;
    const bool done = read_all(&l) == ERR_OK;
    *changes = l.changes + l.removals;
    plan_csv_close(l.reader);
    free(l.notes);
    buf_fini(&l.removed);
    arena_fini(&l.stored);
    (void)munmap((void *)(uintptr_t)l.text.p, l.text.n);
    if (!done) plan_file_fini(&p->file);
    return done;
}
