/* accept_report: see the header. */
#include "cli/accept_report.h"

#include <errno.h>
#include <jansson.h>
#include <sys/stat.h>
#include <unistd.h>

static const char *const outcome_names[] = {
    [ACCEPT_PASSED] = "passed", [ACCEPT_FAILED] = "failed", [ACCEPT_NOT_ASKED] = "not asked"};
static const char *const count_names[] = {
    [ACCEPT_PASSED] = "passed", [ACCEPT_FAILED] = "failed", [ACCEPT_NOT_ASKED] = "not_asked"};

const char *accept_outcome_name(enum accept_outcome o)
{
    return outcome_names[o];
}

bool accept_report_one_plan(const struct accept_report *r)
{
    struct slice first = SLICE_NONE;
    for (size_t i = 0; i < r->node_count; i++) {
        struct slice digest = r->nodes[i].plan_digest;
        if (digest.n == 0) continue;
        if (first.n > 0 && !slice_eq(first, digest)) return false;
        first = digest;
    }
    return true;
}

/* ---- shown ---- */

static const struct output_column result_columns[] = {
    {"result", "RESULT", FORM_PLAIN, COLUMN_STATE},
    {"case", "CASE", FORM_PLAIN, COLUMN_WRAP},
    {"line", "LINE", FORM_PLAIN, COLUMN_RIGHT | COLUMN_WIDE},
    {"node", "NODE", FORM_PLAIN, 0},
    {"dialled", "DIALLED", FORM_PLAIN, COLUMN_WIDE},
    {"from", "FROM", FORM_PLAIN, COLUMN_RARE | COLUMN_WIDE},
    {"expected", "EXPECTED", FORM_PLAIN, COLUMN_WRAP},
    {"found", "FOUND", FORM_PLAIN, COLUMN_WRAP},
    {0},
};
static const struct output_column node_columns[] = {
    {"node", "NODE", FORM_PLAIN, 0},
    {"plan_digest", "PLAN", FORM_DIGEST, 0},
    {"passed", "PASSED", FORM_PLAIN, COLUMN_RIGHT},
    {"failed", "FAILED", FORM_PLAIN, COLUMN_RIGHT},
    {"not_asked", "NOT ASKED", FORM_PLAIN, COLUMN_RIGHT},
    {"note", "NOTE", FORM_PLAIN, COLUMN_RARE | COLUMN_WRAP},
    {0},
};

static void total_line(void *ctx, const struct control_record *r, struct buf *out)
{
    (void)ctx;
    buf_printf(out, "%lld passed, %lld failed, %lld not asked%s\n", (long long)control_get_int(r, "passed", 0),
               (long long)control_get_int(r, "failed", 0), (long long)control_get_int(r, "not_asked", 0),
               control_get_int(r, "plan_only", 0) != 0 ? ": what the plan decides, whatever is up" : "");
    output_cell(control_find(r, "file"), FORM_PLAIN, out);
    if (control_get_text(r, "cluster").n > 0) {
        buf_text(out, " in cluster ");
        output_cell(control_find(r, "cluster"), FORM_PLAIN, out);
    }
    buf_text(out, ", ");
    output_cell(control_find(r, "at"), FORM_TIME, out);
    buf_text(out, ", by ");
    output_cell(control_find(r, "by"), FORM_PLAIN, out);
    buf_text(out, "\n");
}

const struct output_view accept_report_views[] = {
    {.kind = "acceptance", .line = total_line},
    {.kind = "result", .columns = result_columns},
    {.kind = "node", .columns = node_columns},
    {0},
};

static void add_counts(struct control_builder *b, const int64_t counts[ACCEPT_OUTCOME_COUNT])
{
    for (size_t i = 0; i < ACCEPT_OUTCOME_COUNT; i++)
        control_int(b, count_names[i], counts[i]);
}

/* What was built, and its memory. */
static void put(struct control_builder *b, struct output *out)
{
    struct control_record record;
    if (control_record_done(b, &record) == ERR_OK) {
        output_record(out, &record);
    } else {
        output_fail(out);
    }
    arena_reset(b->arena);
}

static void show_result(const struct accept_result *t, struct arena *arena, struct output *out)
{
    struct control_builder b;
    control_record_start(&b, arena, "result");
    control_text(&b, "result", slice_of(outcome_names[t->outcome]));
    control_text(&b, "case", t->name);
    control_int(&b, "line", t->line);
    control_text(&b, "node", t->node);
    control_text(&b, "dialled", t->dialled);
    control_text(&b, "from", t->from);
    control_text(&b, "expected", t->expected);
    control_text(&b, "got", t->got);
    control_text(&b, "why", t->why);
    control_printf(&b, "found", "%.*s%s%.*s", SLICE_ARG(t->got), t->got.n > 0 && t->why.n > 0 ? ": " : "",
                   SLICE_ARG(t->why));
    control_bool(&b, "plan_only", t->plan_only);
    put(&b, out);
}

static void show_node(const struct accept_node *n, struct arena *arena, struct output *out)
{
    struct control_builder b;
    control_record_start(&b, arena, "node");
    control_text(&b, "node", n->name);
    control_text(&b, "plan_digest", n->plan_digest);
    add_counts(&b, n->counts);
    control_text(&b, "note", n->note);
    put(&b, out);
}

/* What is wrong comes first. */
static const enum accept_outcome shown_order[ACCEPT_OUTCOME_COUNT] = {ACCEPT_FAILED, ACCEPT_NOT_ASKED, ACCEPT_PASSED};

void accept_report_show(const struct accept_report *r, struct output *out)
{
    struct arena arena = {0};
    struct control_builder b;
    control_record_start(&b, &arena, "acceptance");
    control_text(&b, "file", r->file);
    control_text(&b, "cluster", r->cluster);
    control_text(&b, "by", r->by);
    control_text(&b, "at", r->at);
    control_bool(&b, "plan_only", r->plan_only);
    add_counts(&b, r->counts);
    put(&b, out);
    for (size_t o = 0; o < ACCEPT_OUTCOME_COUNT; o++)
        for (size_t i = 0; i < r->result_count; i++)
            if (r->results[i].outcome == shown_order[o]) show_result(&r->results[i], &arena, out);
    for (size_t i = 0; i < r->node_count; i++)
        show_node(&r->nodes[i], &arena, out);
    arena_fini(&arena);
}

/* ---- written ---- */

/* Closes f. */
static enum err write_stream(const struct accept_report *r, FILE *f)
{
    struct output *out = output_new(&(struct output_options){.stream = f, .format = OUTPUT_JSON});
    enum err e = ERR_NOMEM;
    if (out != NULL) {
        accept_report_show(r, out);
        e = output_finish(out, 0, SLICE(""));
    }
    if (e == ERR_OK && fsync(fileno(f)) != 0) e = ERR_IO;
    if (fclose(f) != 0 && e == ERR_OK) e = ERR_IO;
    return e;
}

enum err accept_report_write(const struct accept_report *r, const char *path, struct err_info *info)
{
    struct arena arena = {0};
    struct stat st;
    if (stat(path, &st) == 0 && !S_ISREG(st.st_mode))
        return err_fail(info, ERR_IO, "%s: no regular file; -o json writes the same to standard output", path);
    const char *part = arena_printf(&arena, "%s.part", path);
    FILE *f = part != NULL ? fopen(part, "wb") : NULL;
    enum err e = part == NULL ? ERR_NOMEM : f == NULL ? ERR_IO : write_stream(r, f);
    if (e == ERR_OK && rename(part, path) != 0) e = ERR_IO;
    const int number = errno;
    if (e != ERR_OK && f != NULL) (void)unlink(part);
    if (e == ERR_IO) (void)err_fail(info, e, "%s: the report cannot be written: %s", path, strerror(number));
    arena_fini(&arena);
    return e;
}

/* ---- read ---- */

static enum err no_report(struct err_info *info)
{
    return err_fail(info, ERR_SYNTAX, "it is no report that 'accept run' has written");
}

static struct slice text_of(struct accept_report *r, const json_t *record, const char *name)
{
    const json_t *v = json_object_get(record, name);
    return arena_copy(&r->arena, (struct slice){json_string_value(v), json_string_length(v)});
}

static int64_t count_of(const json_t *record, const char *name)
{
    return json_integer_value(json_object_get(record, name));
}

static void read_counts(const json_t *record, int64_t counts[ACCEPT_OUTCOME_COUNT])
{
    for (size_t i = 0; i < ACCEPT_OUTCOME_COUNT; i++)
        counts[i] = count_of(record, count_names[i]);
}

static enum err read_result(struct accept_report *r, const json_t *v, struct err_info *info)
{
    struct accept_result *t = &r->results[r->result_count++];
    const char *outcome = json_string_value(json_object_get(v, "result"));
    size_t o = 0;
    while (outcome != NULL && o < ACCEPT_OUTCOME_COUNT && strcmp(outcome, outcome_names[o]) != 0)
        o++;
    if (outcome == NULL || o == ACCEPT_OUTCOME_COUNT) return no_report(info);
    *t = (struct accept_result){.outcome = (enum accept_outcome)o,
                                .line = count_of(v, "line"),
                                .name = text_of(r, v, "case"),
                                .node = text_of(r, v, "node"),
                                .dialled = text_of(r, v, "dialled"),
                                .from = text_of(r, v, "from"),
                                .expected = text_of(r, v, "expected"),
                                .got = text_of(r, v, "got"),
                                .why = text_of(r, v, "why"),
                                .plan_only = json_is_true(json_object_get(v, "plan_only"))};
    bool whole = t->name.p != NULL && t->node.p != NULL && t->dialled.p != NULL && t->from.p != NULL &&
                 t->expected.p != NULL && t->got.p != NULL && t->why.p != NULL;
    return whole ? ERR_OK : ERR_NOMEM;
}

static enum err read_node(struct accept_report *r, const json_t *v)
{
    struct accept_node *n = &r->nodes[r->node_count++];
    *n = (struct accept_node){
        .name = text_of(r, v, "node"), .plan_digest = text_of(r, v, "plan_digest"), .note = text_of(r, v, "note")};
    read_counts(v, n->counts);
    return n->name.p != NULL && n->plan_digest.p != NULL && n->note.p != NULL ? ERR_OK : ERR_NOMEM;
}

static enum err read_head(struct accept_report *r, const json_t *v)
{
    r->file = text_of(r, v, "file");
    r->cluster = text_of(r, v, "cluster");
    r->by = text_of(r, v, "by");
    r->at = text_of(r, v, "at");
    r->plan_only = json_is_true(json_object_get(v, "plan_only"));
    read_counts(v, r->counts);
    return r->file.p != NULL && r->cluster.p != NULL && r->by.p != NULL && r->at.p != NULL ? ERR_OK : ERR_NOMEM;
}

/* Records of a kind that is not known here are of a newer version, and left out. */
static enum err read_record(struct accept_report *r, const json_t *v, struct err_info *info)
{
    const char *kind = json_string_value(json_object_get(v, "kind"));
    if (kind == NULL) return no_report(info);
    if (strcmp(kind, "acceptance") == 0) return read_head(r, v);
    if (strcmp(kind, "result") == 0) return read_result(r, v, info);
    return strcmp(kind, "node") == 0 ? read_node(r, v) : ERR_OK;
}

/* What the totals say must be what the results say: a page that is signed shows both. */
static bool adds_up(const struct accept_report *r)
{
    int64_t counts[ACCEPT_OUTCOME_COUNT] = {0};
    for (size_t i = 0; i < r->result_count; i++)
        counts[r->results[i].outcome]++;
    return memcmp(counts, r->counts, sizeof counts) == 0;
}

static enum err read_document(const json_t *root, struct accept_report *r, struct err_info *info)
{
    const json_t *records = json_object_get(root, "records");
    const size_t count = json_array_size(records);
    enum err e = ERR_OK;
    if (count == 0) return no_report(info);
    if (count_of(root, "schema_version") != OUTPUT_SCHEMA_VERSION)
        return err_fail(info, ERR_SYNTAX, "it is of another version: show it with the clusterctl that wrote it");
    r->results = arena_alloc(&r->arena, count * sizeof *r->results);
    r->nodes = arena_alloc(&r->arena, count * sizeof *r->nodes);
    if (r->results == NULL || r->nodes == NULL) return ERR_NOMEM;
    for (size_t i = 0; e == ERR_OK && i < count; i++)
        e = read_record(r, json_array_get(records, i), info);
    if (e == ERR_OK && r->at.n == 0) return no_report(info);
    if (e == ERR_OK && !adds_up(r))
        return err_fail(info, ERR_SYNTAX,
                        "its totals are not those of its cases: it was changed by hand; run it again");
    return e;
}

enum err accept_report_read(struct slice json, struct accept_report *r, struct err_info *info)
{
    json_error_t error;
    json_t *root = json_loadb(json.p != NULL ? json.p : "", json.n, JSON_REJECT_DUPLICATES, &error);
    if (root == NULL)
        return err_fail(info, ERR_SYNTAX, "line %d: %s: it is no report that 'accept run' has written", error.line,
                        error.text);
    enum err e = read_document(root, r, info);
    json_decref(root);
    return e;
}
