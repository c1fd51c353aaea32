/* plan_show: plan show of objects. The node sends packed ones; the document is written here, by the same code that
 * reads it. What plan show says of a change is plan_log's. */
#include "cli/commands.h"
#include "cli/conn.h"
#include "cli/plan_file.h"
#include "cli/text.h"
#include "cli/yaml_json.h"
#include "proto/plan_codec.h"

struct show {
    struct cli *c;
    struct arena arena;
    const struct plan_object **objects;
    size_t count;
    size_t cap;
    char digest[PLAN_DIGEST_TEXT];
    enum err err;
    struct err_info info;
};

/* ---- receiving ---- */

static enum err keep_object(struct show *s, struct slice packed)
{
    struct plan_object *o = arena_alloc(&s->arena, sizeof *o);
    if (o == NULL) return ERR_NOMEM;
    if (s->count == s->cap) {
        size_t cap = s->cap == 0 ? 256 : 2 * s->cap;
        const struct plan_object **grown = arena_alloc(&s->arena, cap * sizeof *grown);
        if (grown == NULL) return ERR_NOMEM;
        if (s->count > 0) memcpy(grown, s->objects, s->count * sizeof *grown);
        s->objects = grown;
        s->cap = cap;
    }
    enum err e = plan_object_unpack(&s->arena, packed, o, &s->info);
    if (e == ERR_OK) s->objects[s->count++] = o;
    return e;
}

static void each_object(void *ctx, const struct control_record *r)
{
    struct show *s = ctx;
    struct slice digest = control_get_text(r, "digest");
    if (s->err != ERR_OK) return;
    if (slice_is(r->kind, "plan") && digest.n == sizeof s->digest - 1) {
        memcpy(s->digest, digest.p, digest.n);
        s->digest[digest.n] = '\0';
    } else if (slice_is(r->kind, "object")) {
        s->err = keep_object(s, control_get_text(r, "packed"));
    }
}

/* ---- writing ---- */

static enum err write_yaml(struct show *s, struct slice document, bool whole)
{
    struct buf out = {0};
    if (whole && s->digest[0] != '\0') buf_printf(&out, PLAN_DIGEST_COMMENT "%s\n", s->digest);
    if (s->c->out_terminal)
        text_safe_lines(&out, document);
    else
        buf_slice(&out, document);
    enum err e = out.failed ? ERR_NOMEM : ERR_OK;
    if (e == ERR_OK) (void)fwrite(out.p, 1, out.n, s->c->out); /* the stream is looked at in the end */
    buf_fini(&out);
    return e;
}

static enum err write_json(struct show *s, struct slice document)
{
    json_t *plan = NULL;
    enum err e = yaml_to_json(document, &plan);
    if (e != ERR_OK) return e;
    json_t *all =
        json_pack("{s:i, s:s, s:o}", "schema_version", OUTPUT_SCHEMA_VERSION, "digest", s->digest, "plan", plan);
    size_t flags = JSON_INDENT(2) | (s->c->out_terminal ? JSON_ENSURE_ASCII : 0);
    bool ok = all != NULL && json_dumpf(all, s->c->out, flags) == 0 && fputc('\n', s->c->out) != EOF;
    json_decref(all);
    return ok ? ERR_OK : ERR_IO;
}

static enum err write_document(struct show *s, bool whole)
{
    struct buf document = {0};
    enum err e = plan_document_write(s->objects, s->count, &document);
    s->c->raw = true;
    if (e == ERR_OK) {
        e = s->c->format == OUTPUT_JSON ? write_json(s, buf_view(&document))
                                        : write_yaml(s, buf_view(&document), whole);
    }
    buf_fini(&document);
    return e;
}

/* ---- rows, for a table or CSV ---- */

static void join(struct buf *out, const char *name, const struct slice *list, size_t count)
{
    if (count > 0) buf_printf(out, "%s%s ", out->n > 0 ? " " : "", name);
    for (size_t i = 0; i < count; i++)
        buf_printf(out, "%s%.*s", i > 0 ? "," : "", SLICE_ARG(list[i]));
}

static void summary(const struct plan_object *o, struct buf *out)
{
    switch (o->kind) {
    case PLAN_DEFAULTS: buf_printf(out, "domain %.*s", SLICE_ARG(o->defaults.domain)); break;
    case PLAN_SITE: join(out, "blocks", o->site.blocks, o->site.block_count); break;
    case PLAN_TRUNK:
        buf_printf(out, "site %.*s %s", SLICE_ARG(o->trunk.site), plan_transport_name(o->trunk.transport));
        join(out, "at", o->trunk.address, o->trunk.address_count);
        if (o->trunk.disabled) buf_text(out, " disabled");
        break;
    case PLAN_ACCOUNT:
        join(out, "numbers", o->account.numbers, o->account.number_count);
        if (o->account.site.n > 0) buf_printf(out, "%ssite %.*s", out->n > 0 ? " " : "", SLICE_ARG(o->account.site));
        if (o->account.disabled) buf_printf(out, "%sdisabled", out->n > 0 ? " " : "");
        break;
    case PLAN_ROUTE:
        buf_printf(out, "%.*s to ", SLICE_ARG(o->route.match));
        plan_target_text(&o->route.target, out);
        buf_printf(out, " priority %u weight %u", (unsigned)o->route.priority, (unsigned)o->route.weight);
        if (o->route.scope.n > 0) buf_printf(out, " from %.*s", SLICE_ARG(o->route.scope));
        if (o->route.disabled) buf_text(out, " disabled");
        break;
    default: break;
    }
}

static enum err write_row(struct show *s, const struct plan_object *o)
{
    struct arena arena = {0};
    struct buf text = {0};
    struct control_builder b;
    struct control_record r;
    char key[PLAN_KEY_MAX];
    size_t key_len = plan_object_key_text(o, key);
    summary(o, &text);
    control_record_start(&b, &arena, "object");
    control_text(&b, "object", (struct slice){key, key_len});
    control_text(&b, "summary", buf_view(&text));
    enum err e = text.failed ? ERR_NOMEM : control_record_done(&b, &r);
    if (e == ERR_OK) output_record(s->c->output, &r);
    buf_fini(&text);
    arena_fini(&arena);
    return e;
}

static const struct output_column object_columns[] = {
    {"object", "OBJECT", FORM_PLAIN, 0}, {"summary", "WHAT", FORM_PLAIN, COLUMN_CUT}, {0}};
static const struct output_view object_views[] = {
    {.kind = "object", .columns = object_columns, .none = "The plan is empty.", .fields = "object,summary"}, {0}};

static enum err write_rows(struct show *s)
{
    enum err e = cli_output(s->c, object_views) ? ERR_OK : ERR_NOMEM;
    for (size_t i = 0; e == ERR_OK && i < s->count; i++)
        e = write_row(s, s->objects[i]);
    return e;
}

/* ---- plan show ---- */

/* A change is ORIGIN/EPOCH/SEQ; a key begins with the name of a kind. */
static bool is_key(struct slice text)
{
    struct slice kind;
    (void)slice_cut(text, '/', &kind);
    for (int k = 0; k < PLAN_KIND_COUNT; k++) {
        if (slice_is(kind, plan_kind_name((enum plan_kind)k))) return true;
    }
    return false;
}

static int ask_objects(struct show *s, const char *what)
{
    struct arena arena = {0};
    struct control_builder b;
    struct control_record args;
    control_record_start(&b, &arena, "");
    if (what != NULL) control_text(&b, "object", slice_of(what));
    int status = CLI_DONE;
    if (control_record_done(&b, &args) == ERR_OK) {
        status = conn_ask(
            s->c,
            &(struct conn_request){
                .command = "plan show", .args = &args, .each = each_object, .ctx = s, .progress = "objects read"});
    } else {
        status = cli_fail_err(s->c, ERR_NOMEM, NULL);
    }
    arena_fini(&arena);
    if (status == CLI_DONE && s->err != ERR_OK) status = cli_fail_err(s->c, s->err, &s->info);
    return status;
}

int plan_show_run(struct cli *c, const struct tree_match *m)
{
    struct show s = {.c = c};
    const char *what = tree_arg(m, 0);
    if (what != NULL && !is_key(slice_of(what)) && strchr(what, '/') == NULL) {
        return cli_fail(
            c, CLI_USAGE,
            "'%s' is neither the key of an object (site/..., trunk/..., account/..., route/..., defaults) nor a change "
            "(ORIGIN/EPOCH/NUMBER, see 'plan log')",
            what);
    }
    if (what != NULL && !is_key(slice_of(what))) return plan_show_change(c, what);
    if (!c->format_given) c->format = OUTPUT_YAML;
    int status = ask_objects(&s, what);
    if (status == CLI_DONE) {
        bool rows = c->format == OUTPUT_TABLE || c->format == OUTPUT_CSV;
        enum err e = rows ? write_rows(&s) : write_document(&s, what == NULL);
        if (e != ERR_OK) status = cli_fail_err(c, e, NULL);
    }
    if (status != CLI_DONE && !c->format_given) c->format = OUTPUT_TABLE; /* nobody asked for an error in YAML */
    arena_fini(&s.arena);
    return status;
}
