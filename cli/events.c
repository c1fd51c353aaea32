/* events: what happened lately, at one node or at all of them, oldest first. Of all of them: each is asked by way of
 * the one at the socket, and the answers are merged by the time that each node's own clock says; who cannot be asked is
 * named. With --watch what is new is asked for again and again, and written below. */
#include <stdlib.h>
#include <time.h>

#include "cli/commands.h"
#include "cli/conn.h"
#include "cli/members.h"
#include "cli/moment.h"
#include "cli/text.h"
#include "cli/watch.h"

#define PEER_PATIENCE_MS 5000
#define PAIRS_MAX 32
#define FIELDS "time,node,level,module,event,text,suppressed,run,number"

static const struct output_column event_columns[] = {
    {"time", "TIME", FORM_TIME, 0},
    {"level", "LEVEL", FORM_PLAIN, COLUMN_STATE},
    {"module", "MODULE", FORM_PLAIN, 0},
    {"event", "EVENT", FORM_PLAIN, 0},
    {"suppressed", "SUPPRESSED", FORM_PLAIN, COLUMN_RIGHT | COLUMN_RARE},
    {"text", "TEXT", FORM_PLAIN, COLUMN_WRAP},
    {0},
};
static const struct output_column cluster_columns[] = {
    {"time", "TIME", FORM_TIME, 0},
    {"node", "NODE", FORM_PLAIN, 0},
    {"level", "LEVEL", FORM_PLAIN, COLUMN_STATE},
    {"module", "MODULE", FORM_PLAIN, 0},
    {"event", "EVENT", FORM_PLAIN, 0},
    {"suppressed", "SUPPRESSED", FORM_PLAIN, COLUMN_RIGHT | COLUMN_RARE},
    {"text", "TEXT", FORM_PLAIN, COLUMN_WRAP},
    {0},
};
/* Of a line of --watch; longer texts push the rest aside. */
#define NODE_WIDTH 10
#define LEVEL_WIDTH 5
#define MODULE_WIDTH 9
#define EVENT_WIDTH 16
#define NONE "No such events are remembered."

/* How far a node's events have been shown: --watch asks for those behind. */
struct cursor {
    char node[LIMIT_NAME + 1];
    int64_t run;
    int64_t number;
};

struct events {
    struct cli *c; /* of this frame */
    const struct tree_match *m;
    bool all;
    bool follow;
    bool shown; /* one frame at least */
    struct wall since;
    struct wall until;
    uint64_t last;
    struct cursor *cursors;
    size_t cursor_count;
    /* of one frame */
    struct arena arena;
    struct control_record *items;
    size_t count;
    size_t cap;
    bool failed;      /* no memory */
    size_t asked;     /* nodes, */
    size_t unasked;   /* of which so many could not be, */
    struct buf names; /* these */
};

/* ---- how far each node is ---- */

static struct cursor *cursor_of(struct events *x, struct slice node)
{
    for (size_t i = 0; i < x->cursor_count; i++)
        if (slice_is(node, x->cursors[i].node)) return &x->cursors[i];
    struct cursor *grown = realloc(x->cursors, (x->cursor_count + 1) * sizeof *grown);
    if (grown == NULL) return NULL;
    x->cursors = grown;
    struct cursor *k = &x->cursors[x->cursor_count++];
    *k = (struct cursor){.run = 0};
    (void)snprintf(k->node, sizeof k->node, "%.*s", SLICE_ARG(node));
    return k;
}

static void advance(struct events *x, const struct control_record *r)
{
    struct cursor *k = cursor_of(x, x->all ? control_get_text(r, "node") : SLICE(""));
    if (k == NULL) {
        x->failed = true;
        return;
    }
    k->run = control_get_int(r, "run", 0);
    k->number = control_get_int(r, "number", 0);
}

/* ---- asking ---- */

static void each(void *ctx, const struct control_record *r)
{
    struct events *x = ctx;
    if (!slice_is(r->kind, "event")) return;
    if (x->count == x->cap) {
        size_t cap = x->cap > 0 ? 2 * x->cap : 256;
        struct control_record *grown = realloc(x->items, cap * sizeof *grown);
        if (grown == NULL) {
            x->failed = true;
            return;
        }
        x->items = grown;
        x->cap = cap;
    }
    if (output_copy(&x->arena, r, &x->items[x->count])) {
        x->count++;
    } else {
        x->failed = true;
    }
    if (x->follow) advance(x, r);
}

static bool arguments(struct events *x, const char *node, struct control_record *args)
{
    struct control_builder b;
    control_record_start(&b, &x->arena, "");
    control_text(&b, "level", slice_of(tree_value(x->m, "level")));
    control_text(&b, "module", slice_of(tree_value(x->m, "module")));
    if (tree_given(x->m, "since")) control_int(&b, "since_ms", x->since.ms);
    if (tree_given(x->m, "until")) control_int(&b, "until_ms", x->until.ms);
    size_t i = 0;
    while (i < x->cursor_count && strcmp(x->cursors[i].node, node) != 0)
        i++;
    if (i < x->cursor_count) {
        control_int(&b, "run", x->cursors[i].run);
        control_int(&b, "after", x->cursors[i].number);
    } else {
        control_int(&b, "limit", (int64_t)x->last);
    }
    return control_record_done(&b, args) == ERR_OK;
}

static int ask_one(struct events *x)
{
    struct control_record args;
    if (!arguments(x, "", &args)) return cli_fail_err(x->c, ERR_NOMEM, NULL);
    return conn_ask(x->c, &(struct conn_request){.command = "events", .args = &args, .each = each, .ctx = x});
}

static void note(struct events *x, const char *node, struct slice why)
{
    struct buf text = {0};
    buf_printf(&text, "node %s could not be asked: %.*s", node, SLICE_ARG(why));
    cli_note(x->c, buf_view(&text));
    buf_fini(&text);
    buf_printf(&x->names, "%s%s", x->unasked++ > 0 ? ", " : "", node);
}

static void ask_member(struct events *x, const struct member *m)
{
    struct cli there = *x->c;
    struct buf end = {0};
    struct control_record args;
    x->asked++;
    if (!m->alive) {
        note(x, m->name, SLICE("it cannot be reached"));
        return;
    }
    if (!m->self) there.node = m->name;
    int status = CLI_REFUSED;
    if (arguments(x, m->name, &args)) {
        status = conn_ask(&there, &(struct conn_request){.command = "events",
                                                         .args = &args,
                                                         .patience_ms = PEER_PATIENCE_MS,
                                                         .each = each,
                                                         .ctx = x,
                                                         .quiet = true,
                                                         .end_text = &end});
    }
    if (status != CLI_DONE) {
        note(x, m->name, end.n > 0 ? buf_view(&end) : SLICE("it does not answer"));
    } else if (end.n > 0) {
        cli_note(x->c, buf_view(&end));
    }
    buf_fini(&there.failure);
    buf_fini(&end);
}

/* ---- the pairs of a text ---- */

/* Takes key=value or key="value" off the beginning of text. False: there is no such thing. */
static bool take_pair(struct slice *text, struct slice *key, struct slice *value)
{
    size_t n = 0;
    while (n < text->n &&
           (text->p[n] == '_' || (text->p[n] >= 'a' && text->p[n] <= 'z') || (text->p[n] >= '0' && text->p[n] <= '9')))
        n++;
    if (n == 0 || n == text->n || text->p[n] != '=') return false;
    *key = (struct slice){text->p, n};
    struct slice rest = {text->p + n + 1, text->n - n - 1};
    bool quoted = rest.n > 0 && rest.p[0] == '"';
    if (quoted) rest = (struct slice){rest.p + 1, rest.n - 1};
    rest = slice_cut(rest, quoted ? '"' : ' ', value);
    if (quoted && rest.n > 0 && rest.p[0] == ' ') rest = (struct slice){rest.p + 1, rest.n - 1};
    *text = rest;
    return true;
}

/* What a text holds beyond its last clean pair is in the text alone. */
static void pairs_field(struct arena *arena, struct control_builder *b, struct slice text)
{
    struct control_record pairs[PAIRS_MAX];
    struct slice key;
    struct slice value;
    size_t count = 0;
    while (count < PAIRS_MAX && take_pair(&text, &key, &value)) {
        struct control_builder pair;
        control_record_start(&pair, arena, "pair");
        control_text(&pair, "key", key);
        control_text(&pair, "value", value);
        if (control_record_done(&pair, &pairs[count]) != ERR_OK) break;
        count++;
    }
    control_list(b, "pairs", pairs, count);
}

/* With the pairs of its text, for programs that read lists. */
static void output_event(struct events *x, const struct control_record *r)
{
    struct control_record with = {.kind = r->kind, .field_count = r->field_count + 1};
    struct control_builder b;
    struct control_record pairs;
    bool lists = x->c->format == OUTPUT_JSON || x->c->format == OUTPUT_YAML;
    if (!lists) {
        output_record(x->c->output, r);
        return;
    }
    struct control_field *fields = arena_alloc(&x->arena, with.field_count * sizeof *fields);
    control_record_start(&b, &x->arena, "");
    pairs_field(&x->arena, &b, control_get_text(r, "text"));
    if (fields == NULL || control_record_done(&b, &pairs) != ERR_OK) {
        x->failed = true;
        return;
    }
    memcpy(fields, r->fields, r->field_count * sizeof *fields);
    fields[r->field_count] = pairs.fields[0];
    with.fields = fields;
    output_record(x->c->output, &with);
}

/* ---- the order of all ---- */

static int by_time(const void *a, const void *b)
{
    const struct control_record *x = a;
    const struct control_record *y = b;
    int order = slice_cmp(control_get_text(x, "time"), control_get_text(y, "time"));
    if (order == 0) order = slice_cmp(control_get_text(x, "node"), control_get_text(y, "node"));
    if (order != 0) return order;
    int64_t m = control_get_int(x, "number", 0);
    int64_t n = control_get_int(y, "number", 0);
    return (m > n) - (m < n);
}

static int ask_all(struct events *x)
{
    struct members members;
    int status = members_ask(x->c, &members);
    for (size_t i = 0; status == CLI_DONE && i < members.count; i++)
        ask_member(x, &members.items[i]);
    members_fini(&members);
    if (x->count > 1) qsort(x->items, x->count, sizeof *x->items, by_time);
    if (status != CLI_DONE || x->unasked == 0) return status;
    return cli_fail(x->c, CLI_PARTIAL,
                    "%zu of %zu nodes could not be asked, and what happened there is not shown: %.*s", x->unasked,
                    x->asked, SLICE_ARG(buf_view(&x->names)));
}

/* ---- one frame ---- */

static const char *level_color(struct slice level)
{
    return slice_is(level, "error") ? "\033[31m" : slice_is(level, "warn") ? "\033[33m" : NULL;
}

static void cell(struct buf *out, struct slice text, size_t width)
{
    size_t before = out->n;
    text_safe(out, text);
    while (!out->failed && out->n < before + width)
        buf_add(out, " ", 1);
}

/* With --watch nobody knows how wide the next ones will be. */
static void event_line(void *ctx, const struct control_record *r, struct buf *out)
{
    const struct events *x = ctx;
    struct slice level = control_get_text(r, "level");
    int64_t suppressed = control_get_int(r, "suppressed", 0);
    const char *color = x->c->color ? level_color(level) : NULL;
    output_cell(control_find(r, "time"), FORM_TIME, out);
    buf_text(out, "  ");
    if (x->all) {
        cell(out, control_get_text(r, "node"), NODE_WIDTH);
        buf_text(out, "  ");
    }
    if (color != NULL) buf_text(out, color);
    cell(out, level, LEVEL_WIDTH);
    buf_text(out, color != NULL ? "\033[m  " : "  ");
    cell(out, control_get_text(r, "module"), MODULE_WIDTH);
    buf_text(out, "  ");
    cell(out, control_get_text(r, "event"), EVENT_WIDTH);
    buf_text(out, "  ");
    text_safe(out, control_get_text(r, "text"));
    if (suppressed > 0) buf_printf(out, " suppressed=%lld", (long long)suppressed);
    buf_text(out, "\n");
}

static void show(struct events *x)
{
    size_t first = !x->shown && x->last > 0 && x->count > x->last ? x->count - x->last : 0;
    for (size_t i = first; i < x->count; i++)
        output_event(x, &x->items[i]);
}

static int look(struct cli *c, struct events *x)
{
    const struct output_view views[] = {
        {.kind = "event", .columns = x->all ? cluster_columns : event_columns, .none = NONE, .fields = FIELDS}, {0}};
    const struct output_view lines[] = {{.kind = "event", .line = event_line, .ctx = x, .fields = FIELDS}, {0}};
    x->c = c;
    int status = x->all ? ask_all(x) : ask_one(x);
    bool answered = status == CLI_DONE || status == CLI_PARTIAL;
    if (answered && (x->count > 0 || !x->follow)) {
        if (!cli_output(c, x->follow ? lines : views)) return CLI_REFUSED;
        show(x);
        if (x->failed) status = cli_fail_err(c, ERR_NOMEM, NULL);
        status = cli_finish(c, status);
    }
    x->shown = x->shown || answered;
    return status;
}

static int frame(struct cli *c, void *ctx)
{
    struct events *x = ctx;
    int status = look(c, x);
    arena_fini(&x->arena);
    buf_fini(&x->names);
    x->count = x->asked = x->unasked = 0;
    x->failed = false;
    return status;
}

/* ---- the command ---- */

static int moment(struct cli *c, const char *option, const char *text, struct wall *out)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_REALTIME, &t);
    if (text == NULL) return CLI_DONE;
    if (moment_parse(text, (struct wall){(int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000}, out) == ERR_OK)
        return CLI_DONE;
    return cli_fail(c, CLI_USAGE, "--%s %s: " MOMENT_FORMS, option, text);
}

static int read_options(struct cli *c, struct events *x)
{
    const char *last = tree_value(x->m, "last");
    if (last != NULL && slice_u64(slice_of(last), INT32_MAX, &x->last) != ERR_OK)
        return cli_fail(c, CLI_USAGE, "--last %s: write a number, 0 for all", last);
    int status = moment(c, "since", tree_value(x->m, "since"), &x->since);
    if (status == CLI_DONE) status = moment(c, "until", tree_value(x->m, "until"), &x->until);
    if (status != CLI_DONE || !tree_given(x->m, "until")) return status;
    if (x->until.ms % 1000 == 0) x->until.ms += 999; /* with what a table shows for that second */
    if (x->follow) return cli_fail(c, CLI_USAGE, "--until with --watch: nothing new is before that time");
    if (tree_given(x->m, "since") && x->since.ms > x->until.ms)
        return cli_fail(c, CLI_USAGE, "--since is later than --until: nothing is between them");
    return CLI_DONE;
}

int events_run(struct cli *c, const struct tree_match *m)
{
    struct events x = {.c = c, .m = m, .all = tree_given(m, "all"), .follow = tree_given(m, "watch")};
    int status = read_options(c, &x);
    if (status == CLI_DONE) status = x.follow ? watch_follow(c, m, frame, &x) : frame(c, &x);
    free(x.items);
    free(x.cursors);
    return status;
}
