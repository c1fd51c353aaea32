/* csv: plan import: routes or accounts as a table, into the node's plan. What a row does to the stored object is
 * plan/csv.h's; here it meets the node, and becomes the same request as plan apply. */
#include "cli/commands.h"
#include "cli/csv_large.h"
#include "cli/plan_run.h"
#include "cli/plan_stored.h"
#include "node/plan/csv.h"
#include "proto/plan_codec.h"

struct import {
    struct plan_run run;
    const struct tree_match *m;
    struct plan_csv csv;
    struct plan_stored stored;
    bool replace;
    struct plan_object *objects; /* what the rows make of the stored ones, where that changes them */
    size_t object_count;
    struct slice *remove;
    struct plan_place *remove_place;
    size_t remove_count;
    bool *named; /* by position in stored: a row is about it */
};

static struct slice key_of(const struct plan_object *o, char out[PLAN_KEY_MAX])
{
    return (struct slice){out, plan_object_key_text(o, out)};
}

static int fail_at(const struct import *im, const struct err_info *info)
{
    return cli_fail(im->run.c, CLI_FINDINGS, "%s:%u:%u: %s", im->run.file.name, info->line, info->column, info->text);
}

static int read_table(struct import *im, const char *path)
{
    struct err_info info = {0};
    struct plan_file *f = &im->run.file;
    f->name = path;
    int status = cli_read_file(im->run.c, path, PLAN_FILE_MAX, &f->arena, &f->text);
    if (status != CLI_DONE) return status;
    if (slice_starts(f->text, SLICE("plan:"))) {
        return cli_fail(im->run.c, CLI_USAGE, "%s is a plan document: 'plan apply %s' takes it", path, path);
    }
    enum err e = plan_csv_parse(&f->arena, f->text, &im->csv, &info);
    if (e == ERR_NOMEM) return cli_fail(im->run.c, CLI_REFUSED, "%s: no memory", path);
    if (e != ERR_OK) return fail_at(im, &info);
    if (im->csv.row_count > 0) return CLI_DONE;
    return cli_fail(im->run.c, CLI_REFUSED, "%s: there is no row in it", path);
}

static const struct plan_object *find_stored(void *ctx, struct slice key)
{
    return plan_stored_find(ctx, key, NULL);
}

/* A new number, when the same with zeros, + or = before it is in the plan: most likely a spreadsheet took them. */
static enum err suspect(struct import *im, const struct plan_csv_row *row, struct slice key)
{
    char was_key[PLAN_KEY_MAX];
    char text[PLAN_KEY_MAX + 200];
    const struct plan_object *was = plan_csv_original(row, find_stored, &im->stored);
    if (was == NULL) return ERR_OK;
    (void)snprintf(text, sizeof text,
                   "it is new, but the plan has %.*s: if a spreadsheet took away the front of its number, write it "
                   "again behind an apostrophe",
                   SLICE_ARG(key_of(was, was_key)));
    const struct lint_finding f = {.severity = LINT_WARNING,
                                   .id = "lost-characters",
                                   .object = key,
                                   .line = row->object.line,
                                   .column = row->object.column,
                                   .text = slice_of(text)};
    return plan_run_finding(&im->run, im->m, &f);
}

static int take_removal(struct import *im, const struct plan_csv_row *row, struct slice key, bool stored)
{
    if (!stored) {
        return cli_fail(im->run.c, CLI_FINDINGS, "%s:%u:%u: %.*s is not in the plan, so it cannot be removed",
                        im->run.file.name, row->object.line, row->object.column, SLICE_ARG(key));
    }
    im->remove[im->remove_count] = arena_copy(&im->run.file.arena, key);
    if (im->remove[im->remove_count].p == NULL) return cli_fail_err(im->run.c, ERR_NOMEM, NULL);
    im->remove_place[im->remove_count++] = (struct plan_place){row->object.line, row->object.column};
    return CLI_DONE;
}

/* Whether an object packs to what the node has. A new password is not packed, so that one always differs. */
static enum err is_same(const struct plan_object *o, struct slice packed, bool *same)
{
    struct buf bytes = {0};
    enum err e = plan_object_pack(o, &bytes);
    *same =
        e == ERR_OK && slice_eq(buf_view(&bytes), packed) && (o->kind != PLAN_ACCOUNT || o->account.password.n == 0);
    buf_fini(&bytes);
    return e;
}

static int take_row(struct import *im, const struct plan_csv_row *row)
{
    char text[PLAN_KEY_MAX];
    struct err_info info = {0};
    struct slice key = key_of(&row->object, text);
    size_t position = 0;
    bool same = false;
    struct plan_object *o = &im->objects[im->object_count];
    const struct plan_object *stored = plan_stored_find(&im->stored, key, &position);
    if (stored != NULL) im->named[position] = true;
    if (row->remove) return take_removal(im, row, key, stored != NULL);
    if (plan_csv_merge(&im->csv, row, stored, im->replace, o, &info) != ERR_OK) return fail_at(im, &info);
    enum err e = stored != NULL ? is_same(o, im->stored.packed[position], &same) : suspect(im, row, key);
    im->object_count += !same;
    return e == ERR_OK ? CLI_DONE : cli_fail_err(im->run.c, e, NULL);
}

/* --mode replace: what the plan has and the table does not name. */
static int remove_unnamed(struct import *im)
{
    for (size_t i = 0; i < im->stored.count; i++) {
        char text[PLAN_KEY_MAX];
        if (im->named[i]) continue;
        im->remove[im->remove_count] = arena_copy(&im->run.file.arena, key_of(im->stored.objects[i], text));
        if (im->remove[im->remove_count++].p == NULL) return cli_fail_err(im->run.c, ERR_NOMEM, NULL);
    }
    return CLI_DONE;
}

static int merge_all(struct import *im)
{
    struct arena *arena = &im->run.file.arena;
    size_t removals = im->csv.row_count + im->stored.count;
    im->objects = arena_alloc(arena, (im->csv.row_count + 1) * sizeof *im->objects);
    im->remove = arena_alloc(arena, removals * sizeof *im->remove);
    im->remove_place = arena_alloc(arena, removals * sizeof *im->remove_place);
    im->named = arena_alloc(arena, im->stored.count * sizeof *im->named);
    if (im->objects == NULL || im->remove == NULL || im->remove_place == NULL || im->named == NULL) {
        return cli_fail_err(im->run.c, ERR_NOMEM, NULL);
    }
    for (size_t i = 0; i < im->csv.row_count; i++) {
        int status = take_row(im, &im->csv.rows[i]);
        if (status != CLI_DONE) return status;
    }
    return im->replace ? remove_unnamed(im) : CLI_DONE;
}

static int send_changes(struct import *im, const struct plan_send_options *o, size_t changes)
{
    if (changes == 0) {
        cli_note(im->run.c, SLICE("nothing to change: the plan already says so"));
        return CLI_DONE;
    }
    int status = plan_send(&im->run, im->m, o);
    if (im->run.moved && !tree_given(im->m, "base")) {
        cli_note(im->run.c, SLICE("the plan changed while the table was compared with it: try again"));
    }
    return status;
}

static int import_table(struct import *im, const struct plan_send_options *o)
{
    struct cli *c = im->run.c;
    struct plan_file *f = &im->run.file;
    int status = plan_stored_fetch(c, im->csv.kind == PLAN_ROUTE ? "route/" : "account/", &im->stored);
    if (status == CLI_DONE) status = merge_all(im);
    if (status != CLI_DONE) return status;
    struct slice digest = slice_of(im->stored.digest);
    if (plan_file_take(f, im->objects, im->object_count, im->remove, im->remove_place, im->remove_count, digest) !=
        ERR_OK) {
        return cli_fail_err(c, ERR_NOMEM, NULL);
    }
    return send_changes(im, o, im->object_count + im->remove_count);
}

int plan_import_run(struct cli *c, const struct tree_match *m)
{
    const char *mode = tree_value(m, "mode");
    struct plan_send_options o = {.command = "plan apply"};
    struct import im = {.m = m, .replace = mode != NULL && strcmp(mode, "replace") == 0};
    int status = plan_send_options_read(c, m, &o);
    if (status != CLI_DONE) return status;
    enum err e = plan_stored_init(&im.stored);
    status = plan_run_open(&im.run, c);
    if (e != ERR_OK && status == CLI_DONE) status = cli_fail_err(c, e, NULL);
    size_t changes = 0;
    if (status == CLI_DONE && csv_large_read(&im.run, m, tree_arg(m, 0), im.replace, &changes)) {
        status = send_changes(&im, &o, changes);
    } else {
        if (status == CLI_DONE) status = read_table(&im, tree_arg(m, 0));
        if (status == CLI_DONE) status = import_table(&im, &o);
    }
    /* rows that were merged are wiped with the file; their passwords live on in the rows */
    for (size_t i = 0; i < im.csv.row_count; i++) {
        struct slice password =
            im.csv.rows[i].object.kind == PLAN_ACCOUNT ? im.csv.rows[i].object.account.password : SLICE_NONE;
        if (password.n > 0) secret_wipe((char *)(uintptr_t)password.p, password.n);
    }
    status = plan_run_close(&im.run, status);
    plan_stored_fini(&im.stored);
    return status;
}
