/* csv_export: plan export: routes or accounts of the node's plan as a table. Two walks over what the node has, so that
 * nothing but the routes with a scope is held, which stand elsewhere among the keys than in a table:
 *
 *   1  routes with a scope are kept, and whether there is text beyond ASCII is seen
 *   2  each object is written as it comes, those kept in between
 *
 * A file is written beside its place and takes it when it is complete. */
#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/commands.h"
#include "cli/conn.h"
#include "node/plan/csv.h"
#include "node/plan/document.h"
#include "proto/plan_codec.h"

#define WRITE_AT 65536

struct export
{
    struct cli *c;
    enum plan_kind kind;
    char separator;
    bool writing; /* the second walk */
    FILE *out;
    char digest[PLAN_DIGEST_TEXT];
    struct arena one;  /* of the object at hand */
    struct arena kept; /* of the routes with a scope */
    struct buf scoped; /* pointers to them */
    size_t next;       /* of them */
    struct buf cell;
    struct buf rows;
    size_t count;
    bool marked; /* beyond ASCII */
    bool moved;
    enum err err;
    int error_number; /* of ERR_IO */
};

static const struct plan_object *scoped_at(const struct export *x, size_t i)
{
    return i < x->scoped.n / sizeof(void *) ? ((const struct plan_object **)(void *)x->scoped.p)[i] : NULL;
}

static void flush(struct export *x, size_t at)
{
    if (x->err != ERR_OK || x->rows.n < at) return;
    if (fwrite(x->rows.p, 1, x->rows.n, x->out) != x->rows.n) {
        x->err = ERR_IO;
        x->error_number = errno;
    }
    buf_reset(&x->rows);
}

static void write_row(struct export *x, const struct plan_object *o)
{
    if (x->err == ERR_OK) x->err = plan_csv_line(o, x->separator, &x->cell, &x->rows);
    x->count++;
    flush(x, WRITE_AT);
}

/* Those kept that stand before o; NULL: the rest. */
static void write_scoped(struct export *x, const struct plan_object *o)
{
    const struct plan_object *s;
    while ((s = scoped_at(x, x->next)) != NULL && (o == NULL || plan_document_order(s, o) < 0)) {
        write_row(x, s);
        x->next++;
    }
}

static void look(struct export *x, const struct plan_object *o, struct slice packed)
{
    buf_reset(&x->rows);
    x->err = plan_csv_line(o, x->separator, &x->cell, &x->rows);
    for (size_t i = 0; i < x->rows.n && !x->marked; i++)
        x->marked = (unsigned char)x->rows.p[i] >= 0x80;
    if (x->err != ERR_OK || o->kind != PLAN_ROUTE || o->route.scope.n == 0) return;
    struct plan_object *keep = arena_alloc(&x->kept, sizeof *keep);
    x->err = keep != NULL ? plan_object_unpack_stored(&x->kept, packed, keep, NULL) : ERR_NOMEM;
    buf_add(&x->scoped, (const char *)&keep, sizeof keep);
    if (x->scoped.failed) x->err = ERR_NOMEM;
}

static void take_object(struct export *x, struct slice packed)
{
    struct plan_object o;
    arena_reset(&x->one);
    x->err = plan_object_unpack_stored(&x->one, packed, &o, NULL);
    if (x->err != ERR_OK || o.kind != x->kind) return;
    if (!x->writing) {
        look(x, &o, packed);
    } else if (o.kind != PLAN_ROUTE || o.route.scope.n == 0) {
        write_scoped(x, &o);
        write_row(x, &o);
    }
}

static void each(void *ctx, const struct control_record *r)
{
    struct export *x = ctx;
    const struct slice digest = control_get_text(r, "digest");
    if (slice_is(r->kind, "plan") && digest.n == sizeof x->digest - 1) {
        x->moved = x->writing && !slice_is(digest, x->digest);
        memcpy(x->digest, digest.p, digest.n);
    }
    if (slice_is(r->kind, "object") && x->err == ERR_OK && !x->moved) take_object(x, control_get_text(r, "packed"));
}

/* None is an answer like others. */
static int walk(struct export *x)
{
    struct arena arena = {0};
    struct control_builder b;
    struct control_record args;
    struct buf end = {0};
    const char *progress = !x->writing ? "read" : x->out != x->c->out ? "written" : NULL; /* not between the rows */
    control_record_start(&b, &arena, "");
    control_text(&b, "object", x->kind == PLAN_ROUTE ? SLICE("route/") : SLICE("account/"));
    int status = control_record_done(&b, &args) == ERR_OK ? CLI_DONE : cli_fail_err(x->c, ERR_NOMEM, NULL);
    if (status == CLI_DONE) {
        status = conn_ask(
            x->c,
            &(struct conn_request){
                .command = "plan show", .args = &args, .each = each, .ctx = x, .progress = progress, .end_text = &end});
        const bool none = status == CLI_REFUSED && slice_starts(buf_view(&end), SLICE("no such object"));
        if (none)
            status = CLI_DONE;
        else if (end.n > 0)
            status = cli_fail(x->c, status, "%.*s", SLICE_ARG(buf_view(&end)));
    }
    buf_fini(&end);
    arena_fini(&arena);
    return status;
}

static int compare(const void *left, const void *right)
{
    return plan_document_order(*(const struct plan_object *const *)left, *(const struct plan_object *const *)right);
}

static int write_table(struct export *x)
{
    int status = walk(x);
    if (status != CLI_DONE) return status;
    if (x->scoped.n > 0) qsort(x->scoped.p, x->scoped.n / sizeof(void *), sizeof(void *), compare);
    x->writing = true;
    buf_reset(&x->rows);
    if (x->marked) buf_text(&x->rows, PLAN_CSV_MARK);
    plan_csv_head(x->kind, x->separator, &x->rows);
    status = x->err == ERR_OK ? walk(x) : CLI_DONE;
    if (status == CLI_DONE && x->moved) {
        return cli_fail(x->c, CLI_FINDINGS, "the plan changed while it was being written: export it again");
    }
    write_scoped(x, NULL);
    if (x->rows.failed) x->err = ERR_NOMEM;
    flush(x, 1);
    return status;
}

static void export_fini(struct export *x)
{
    buf_fini(&x->rows);
    buf_fini(&x->cell);
    buf_fini(&x->scoped);
    arena_fini(&x->kept);
    arena_fini(&x->one);
}

static int end_status(struct export *x, int status, const char *path)
{
    if (status != CLI_DONE || x->err == ERR_OK) return status;
    if (x->err == ERR_IO && path != NULL) return cli_fail(x->c, CLI_REFUSED, "%s: %s", path, strerror(x->error_number));
    return cli_fail_err(x->c, x->err, NULL);
}

/* Into path, which is touched when the table is complete. */
static int write_file(struct export *x, const char *path)
{
    struct arena arena = {0};
    struct stat st;
    const bool device = stat(path, &st) == 0 && !S_ISREG(st.st_mode); /* /dev/stdout, say */
    const char *part = device ? path : arena_printf(&arena, "%s.part", path);
    int status = part != NULL ? CLI_DONE : cli_fail_err(x->c, ERR_NOMEM, NULL);
    x->out = part != NULL ? fopen(part, "wb") : NULL;
    if (part != NULL && x->out == NULL) status = cli_fail(x->c, CLI_REFUSED, "%s: %s", part, strerror(errno));
    if (status == CLI_DONE) {
        status = end_status(x, write_table(x), path);
        const bool written = fclose(x->out) == 0;
        if (status == CLI_DONE && (!written || (!device && rename(part, path) != 0)))
            status = cli_fail(x->c, CLI_REFUSED, "%s: %s", path, strerror(errno));
        if (status != CLI_DONE && !device) (void)unlink(part);
    }
    arena_fini(&arena);
    return status;
}

static void say_exported(const struct export *x, const char *path)
{
    char text[512];
    (void)snprintf(text, sizeof text, "%zu %s%s are in %s", x->count, plan_kind_name(x->kind), x->count == 1 ? "" : "s",
                   path);
    cli_note(x->c, slice_of(text));
}

static char separator_of(const char *name)
{
    if (name == NULL || strcmp(name, "comma") == 0) return ',';
    return strcmp(name, "tab") == 0 ? '\t' : ';';
}

int plan_export_run(struct cli *c, const struct tree_match *m)
{
    const char *what = tree_value(m, "csv");
    const char *path = tree_arg(m, 0);
    if (what == NULL) return cli_fail(c, CLI_USAGE, "say what: --csv routes or --csv accounts");
    struct export x = {.c = c,
                       .kind = strcmp(what, "accounts") == 0 ? PLAN_ACCOUNT : PLAN_ROUTE,
                       .separator = separator_of(tree_value(m, "separator")),
                       .out = c->out};
    c->raw = true;
    int status = CLI_DONE;
    if (path == NULL || strcmp(path, "-") == 0) {
        status = end_status(&x, write_table(&x), NULL); /* cli_run looks at the stream */
    } else {
        status = write_file(&x, path);
        if (status == CLI_DONE) say_exported(&x, path);
    }
    export_fini(&x);
    return status;
}
