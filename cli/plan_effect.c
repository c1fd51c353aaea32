/* plan_effect: what a change would have done to the calls of the last day. Each node has the records of its own calls,
 * so each is asked, by way of the one at the socket; what they say is added up. Who cannot be asked is named. */
#include <stdlib.h>

#include "cli/conn.h"
#include "cli/members.h"
#include "cli/plan_run.h"

#define GROUPS_MAX 1000
#define EXAMPLES_MAX 3

const struct output_column plan_effect_columns[] = {
    {"calls", "CALLS", FORM_PLAIN, COLUMN_RIGHT},
    {"from", "GO NOW TO", FORM_PLAIN, 0},
    {"to", "WOULD GO TO", FORM_PLAIN, 0},
    {"example", "FOR EXAMPLE", FORM_PLAIN, COLUMN_CUT},
    {"traces", "CALL-ID", FORM_PLAIN, COLUMN_CUT | COLUMN_WIDE},
    {0},
};
const struct output_column plan_asked_columns[] = {
    {"node", "NODE", FORM_PLAIN, 0},
    {"answered", "ASKED", FORM_PLAIN, COLUMN_STATE},
    {"calls", "CALLS DECIDED", FORM_PLAIN, COLUMN_RIGHT},
    {"moved", "WOULD GO ELSEWHERE", FORM_PLAIN, COLUMN_RIGHT},
    {"note", "NOTE", FORM_PLAIN, COLUMN_WRAP | COLUMN_RARE},
    {0},
};

struct group {
    struct slice from;
    struct slice to;
    int64_t calls;
    struct control_record examples[EXAMPLES_MAX];
    size_t example_count;
};

struct effect {
    struct plan_run *p;
    struct arena arena; /* of everything below */
    struct group *groups[GROUPS_MAX];
    size_t group_count;
    int64_t ungrouped;
    struct control_record *asked; /* in the order of the members */
    size_t asked_count;
};

static struct group *group_of(struct effect *x, struct slice from, struct slice to)
{
    for (size_t i = 0; i < x->group_count; i++)
        if (slice_eq(x->groups[i]->from, from) && slice_eq(x->groups[i]->to, to)) return x->groups[i];
    struct group *g = x->group_count < GROUPS_MAX ? arena_alloc(&x->arena, sizeof *g) : NULL;
    if (g == NULL) return NULL;
    *g = (struct group){.from = arena_copy(&x->arena, from), .to = arena_copy(&x->arena, to)};
    if (g->from.p == NULL || g->to.p == NULL) return NULL;
    x->groups[x->group_count++] = g;
    return g;
}

static void take_group(struct effect *x, const struct control_record *r)
{
    struct group *g = group_of(x, control_get_text(r, "from"), control_get_text(r, "to"));
    const struct control_field *examples = control_find(r, "examples");
    int64_t calls = control_get_int(r, "calls", 0);
    if (g == NULL) {
        x->ungrouped += calls;
        return;
    }
    g->calls += calls;
    for (size_t i = 0; examples != NULL && i < examples->item_count && g->example_count < EXAMPLES_MAX; i++)
        if (output_copy(&x->arena, &examples->items[i], &g->examples[g->example_count])) g->example_count++;
}

static void each(void *ctx, const struct control_record *r)
{
    struct effect *x = ctx;
    if (slice_is(r->kind, "effect")) take_group(x, r);
    if (slice_is(r->kind, "asked") && output_copy(&x->arena, r, &x->asked[x->asked_count])) {
        x->ungrouped += control_get_int(r, "ungrouped", 0);
        x->asked_count++;
    }
}

static void not_asked(struct effect *x, const struct member *m, struct slice why)
{
    struct control_builder b;
    control_record_start(&b, &x->arena, "asked");
    control_text(&b, "node", slice_of(m->name));
    control_bool(&b, "answered", false);
    control_null(&b, "calls");
    control_null(&b, "moved");
    control_text(&b, "note", why.n > 0 ? why : SLICE("it does not answer"));
    if (control_record_done(&b, &x->asked[x->asked_count]) == ERR_OK) x->asked_count++;
}

/* False: it could not be asked. */
static bool ask(struct effect *x, const struct member *m, const struct control_record *args)
{
    struct cli there = *x->p->c;
    struct buf end = {0};
    size_t before = x->asked_count;
    if (!m->alive) {
        not_asked(x, m, SLICE("it cannot be reached; its calls are not in these numbers"));
        return false;
    }
    if (!m->self) there.node = m->name;
    int status = conn_ask(&there, &(struct conn_request){.command = "plan effect",
                                                         .args = args,
                                                         .bulk = plan_file_bulk(&x->p->file),
                                                         .each = each,
                                                         .ctx = x,
                                                         .quiet = !m->self,
                                                         .end_text = &end});
    bool done = status == CLI_DONE && x->asked_count > before;
    if (!done) not_asked(x, m, buf_view(&end));
    buf_fini(&there.failure);
    buf_fini(&end);
    return done;
}

/* ---- what is shown ---- */

static int by_calls(const void *a, const void *b)
{
    const struct group *x = *(const struct group *const *)a;
    const struct group *y = *(const struct group *const *)b;
    return (x->calls < y->calls) - (x->calls > y->calls);
}

static void show_group(struct effect *x, const struct group *g)
{
    struct control_builder b;
    struct control_record r;
    struct buf traces = {0};
    for (size_t i = 0; i < g->example_count; i++) {
        struct slice id = control_get_text(&g->examples[i], "call_id");
        buf_printf(&traces, "%s%.*s", i > 0 ? " " : "", SLICE_ARG(id));
    }
    control_record_start(&b, &x->arena, "effect");
    control_int(&b, "calls", g->calls);
    control_text(&b, "from", g->from);
    control_text(&b, "to", g->to);
    if (g->example_count > 0) {
        control_printf(&b, "example", "%.*s -> %.*s", SLICE_ARG(control_get_text(&g->examples[0], "from")),
                       SLICE_ARG(control_get_text(&g->examples[0], "to")));
    } else {
        control_text(&b, "example", SLICE(""));
    }
    control_text(&b, "traces", buf_view(&traces));
    control_list(&b, "examples", g->examples, g->example_count);
    if (control_record_done(&b, &r) == ERR_OK) output_record(x->p->c->output, &r);
    buf_fini(&traces);
}

static void show(struct effect *x)
{
    struct control_builder b;
    struct control_record total;
    int64_t decided = 0;
    int64_t moved = 0;
    if (x->group_count > 1) qsort((void *)x->groups, x->group_count, sizeof x->groups[0], by_calls);
    for (size_t i = 0; i < x->group_count; i++)
        show_group(x, x->groups[i]);
    for (size_t i = 0; i < x->asked_count; i++) {
        output_record(x->p->c->output, &x->asked[i]);
        decided += control_get_int(&x->asked[i], "calls", 0);
        moved += control_get_int(&x->asked[i], "moved", 0);
    }
    control_record_start(&b, &x->arena, "effect_total");
    control_int(&b, "calls", decided);
    control_int(&b, "moved", moved);
    control_int(&b, "ungrouped", x->ungrouped);
    if (control_record_done(&b, &total) == ERR_OK) output_record(x->p->c->output, &total);
}

void plan_effect_line(void *ctx, const struct control_record *r, struct buf *out)
{
    int64_t ungrouped = control_get_int(r, "ungrouped", 0);
    (void)ctx;
    buf_printf(out, "%lld of the last day's %lld calls would have gone elsewhere",
               (long long)control_get_int(r, "moved", 0), (long long)control_get_int(r, "calls", 0));
    if (ungrouped > 0) buf_printf(out, "; %lld of them are in no group: there are too many", (long long)ungrouped);
    buf_text(out, "\n");
}

/* ---- the whole ---- */

static int ask_all(struct effect *x, const struct members *m, const struct control_record *args)
{
    size_t unasked = 0;
    x->asked = arena_alloc(&x->arena, (m->count + 1) * sizeof *x->asked);
    if (x->asked == NULL) return cli_fail_err(x->p->c, ERR_NOMEM, NULL);
    for (size_t i = 0; i < m->count; i++)
        unasked += !ask(x, &m->items[i], args);
    show(x);
    if (unasked == 0) return CLI_DONE;
    return cli_fail(x->p->c, CLI_PARTIAL, "%zu of %zu nodes could not be asked: their calls are not counted", unasked,
                    m->count);
}

int plan_effect(struct plan_run *p, int status)
{
    struct effect *x = calloc(1, sizeof *x);
    struct arena arena = {0};
    struct members m;
    struct control_builder b;
    struct control_record args;
    int asked = CLI_DONE;
    enum err kept = p->kept != NULL ? plan_kept_take(p) : ERR_OK;
    control_record_start(&b, &arena, "");
    if (x == NULL || kept != ERR_OK || plan_file_args(&p->file, &b) != ERR_OK ||
        control_record_done(&b, &args) != ERR_OK) {
        asked = cli_fail_err(p->c, ERR_NOMEM, NULL);
    } else {
        x->p = p;
        asked = members_ask(p->c, &m);
        if (asked == CLI_DONE) asked = ask_all(x, &m, &args);
        members_fini(&m);
        arena_fini(&x->arena);
    }
    arena_fini(&arena);
    free(x);
    return status == CLI_DONE ? asked : status;
}
