/* accept: accept run: asks the nodes what they would do with each number of an acceptance file, as route explain does,
 * and compares. A node that cannot be asked is asked no more: what was to be asked of it is neither right nor wrong. */
#include <pwd.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "cli/accept_judge.h"
#include "cli/accept_report.h"
#include "cli/commands.h"
#include "cli/conn.h"
#include "cli/members.h"
#include "cli/progress.h"
#include "node/base/time.h"

#define FILE_MAX 16777216
#define NODE_PATIENCE_MS 5000 /* a node that is slow to say what it would do is slow to do it */

struct accept_run {
    struct cli *c;
    struct accept_report report;
    struct accept_file file;
    struct members members;
    const char **unasked; /* of each of report.nodes: why it cannot be asked; NULL: it can, as far as is known */
    bool plan_only;       /* all of it */
    struct progress progress;
};

static uint64_t now_ms(clockid_t clock)
{
    struct timespec t;
    (void)clock_gettime(clock, &t);
    return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

/* ---- which nodes ---- */

static const struct member *member_of(const struct accept_run *x, struct slice name)
{
    for (size_t i = 0; i < x->members.count; i++)
        if (slice_is(name, x->members.items[i].name)) return &x->members.items[i];
    return NULL;
}

/* Its place among the nodes of the report. */
static size_t node_index(const struct accept_run *x, struct slice name)
{
    size_t i = 0;
    while (i < x->report.node_count && !slice_eq(x->report.nodes[i].name, name))
        i++;
    return i;
}

static void add_node(struct accept_run *x, struct slice name)
{
    const struct member *m = member_of(x, name);
    const size_t i = node_index(x, name);
    if (i < x->report.node_count) return;
    x->report.nodes[i] = (struct accept_node){.name = name};
    if (m == NULL) {
        x->unasked[i] = "the cluster has no such node";
    } else if (!m->alive) {
        x->unasked[i] = "it cannot be reached";
    }
    x->report.node_count++;
}

/* Every node that a case is about, the members of the cluster first, and room for the results. */
static enum err gather(struct accept_run *x)
{
    size_t nodes = x->members.count;
    size_t results = 0;
    bool all = false;
    for (size_t i = 0; i < x->file.count; i++) {
        const struct accept_case *k = &x->file.cases[i];
        all = all || k->at_count == 0;
        nodes += k->at_count;
        results += k->at_count > 0 ? k->at_count : x->members.count;
    }
    x->report.nodes = arena_alloc(&x->report.arena, nodes * sizeof *x->report.nodes);
    x->unasked = arena_alloc(&x->report.arena, nodes * sizeof *x->unasked);
    x->report.results = arena_alloc(&x->report.arena, results * sizeof *x->report.results);
    if (x->report.nodes == NULL || x->unasked == NULL || x->report.results == NULL) return ERR_NOMEM;
    for (size_t i = 0; all && i < x->members.count; i++)
        add_node(x, slice_of(x->members.items[i].name));
    for (size_t i = 0; i < x->file.count; i++)
        for (size_t k = 0; k < x->file.cases[i].at_count; k++)
            add_node(x, x->file.cases[i].at[k]);
    return ERR_OK;
}

/* ---- asking ---- */

/* What a node says, as it comes. */
struct hearing {
    struct arena arena;
    struct accept_answer answer;
    struct buf candidates; /* struct accept_candidate */
    bool failed;           /* no memory */
};

static struct slice keep(struct hearing *h, const struct control_record *r, const char *name)
{
    struct slice text = arena_copy(&h->arena, control_get_text(r, name));
    h->failed = h->failed || text.p == NULL;
    return text;
}

static void each(void *ctx, const struct control_record *r)
{
    struct hearing *h = ctx;
    if (slice_is(r->kind, "decision")) {
        h->answer.known = true;
        h->answer.number = keep(h, r, "plan_number");
        h->answer.digest = keep(h, r, "plan_digest");
        h->answer.plan_only = control_get_int(r, "plan_only", 0) != 0;
        h->answer.code = (uint16_t)control_get_int(r, "code", 0);
    }
    if (slice_is(r->kind, "candidate")) {
        const struct accept_candidate one = {.target = keep(h, r, "target"),
                                             .match = keep(h, r, "match"),
                                             .sends = keep(h, r, "number_sent"),
                                             .text = keep(h, r, "text"),
                                             .place = control_get_int(r, "place", 0),
                                             .stale = control_get_int(r, "stale", 0) != 0};
        buf_add(&h->candidates, &one, sizeof one);
    }
}

static int ask(const struct accept_run *x, const struct member *m, const struct accept_case *k, bool plan_only,
               struct hearing *h, struct buf *end)
{
    struct arena arena = {0};
    struct control_builder b;
    struct control_record args;
    struct cli there = *x->c;
    int status = CLI_REFUSED;
    if (!m->self) there.node = m->name;
    control_record_start(&b, &arena, "");
    control_text(&b, "number", k->dial);
    control_text(&b, "from", k->from);
    if (plan_only) control_bool(&b, "plan_only", true);
    if (control_record_done(&b, &args) == ERR_OK) {
        status = conn_ask(&there, &(struct conn_request){.command = "route explain",
                                                         .args = &args,
                                                         .patience_ms = NODE_PATIENCE_MS,
                                                         .each = each,
                                                         .ctx = h,
                                                         .quiet = true,
                                                         .end_text = end});
    }
    buf_fini(&there.failure);
    arena_fini(&arena);
    h->answer.candidates = (struct accept_candidate *)(void *)h->candidates.p;
    h->answer.count = h->candidates.n / sizeof *h->answer.candidates;
    h->failed = h->failed || h->candidates.failed;
    return status;
}

/* ---- what comes of it ---- */

static void set_text(struct accept_run *x, struct slice *to, const struct buf *text)
{
    *to = arena_copy(&x->report.arena, buf_view(text));
}

/* Under which plan it decided; another one in the middle of the test is worth a word. */
static void note_plan(struct accept_run *x, struct accept_node *n, struct slice digest)
{
    if (n->plan_digest.n > 0 && !slice_eq(n->plan_digest, digest)) n->note = SLICE("its plan changed meanwhile");
    if (!slice_eq(n->plan_digest, digest)) n->plan_digest = arena_copy(&x->report.arena, digest);
}

/* A refusal is an answer: the question itself does not fit the plan there. */
static void take_answer(struct accept_run *x, const struct accept_case *k, struct accept_result *t, int status,
                        const struct hearing *h, const struct buf *end)
{
    struct buf got = {0};
    struct buf why = {0};
    struct slice words = buf_view(end);
    if (slice_starts(words, SLICE("--"))) words = (struct slice){words.p + 2, words.n - 2};
    if (status == CLI_DONE && h->answer.known && h->answer.plan_only == t->plan_only) {
        t->outcome = accept_judge(k, &h->answer, &why) ? ACCEPT_PASSED : ACCEPT_FAILED;
        accept_got_text(&h->answer, &got);
        note_plan(x, &x->report.nodes[node_index(x, t->node)], h->answer.digest);
    } else if (status == CLI_REFUSED && words.n > 0) {
        t->outcome = ACCEPT_FAILED;
        buf_slice(&why, words);
    } else {
        t->outcome = ACCEPT_NOT_ASKED;
        if (status == CLI_DONE) words = SLICE("it is of an older version");
        buf_slice(&why, words.n > 0 ? words : SLICE("it does not answer"));
    }
    set_text(x, &t->got, &got);
    set_text(x, &t->why, &why);
    buf_fini(&got);
    buf_fini(&why);
}

static enum err check(struct accept_run *x, const struct accept_case *k, struct slice name)
{
    struct accept_result *t = &x->report.results[x->report.result_count++];
    const size_t at = node_index(x, name);
    struct accept_node *node = &x->report.nodes[at];
    struct hearing h = {.failed = false};
    struct buf expected = {0};
    struct buf end = {0};
    *t = (struct accept_result){.line = k->line,
                                .name = k->name.n > 0 ? k->name : k->dial,
                                .node = node->name,
                                .dialled = k->dial,
                                .from = k->from,
                                .outcome = ACCEPT_NOT_ASKED,
                                .plan_only = x->plan_only || k->plan_only};
    accept_expected_text(k, &expected);
    if (k->plan_only && !x->plan_only) buf_text(&expected, " by the plan"); /* of all of them the head says it */
    set_text(x, &t->expected, &expected);
    if (x->unasked[at] != NULL) {
        t->why = slice_of(x->unasked[at]);
    } else {
        int status = ask(x, member_of(x, name), k, t->plan_only, &h, &end);
        take_answer(x, k, t, status, &h, &end);
        if (status == CLI_UNREACHABLE) x->unasked[at] = t->why.p; /* ends in NUL */
    }
    node->counts[t->outcome]++;
    x->report.counts[t->outcome]++;
    if (node->note.n == 0 && t->outcome == ACCEPT_NOT_ASKED) node->note = t->why;
    const bool whole = !h.failed && !expected.failed && t->expected.p != NULL && t->why.p != NULL;
    buf_fini(&h.candidates);
    buf_fini(&expected);
    buf_fini(&end);
    arena_fini(&h.arena);
    progress_at(x->c, &x->progress, "checks made", x->report.result_count, now_ms(CLOCK_MONOTONIC) + 1);
    return whole ? ERR_OK : ERR_NOMEM;
}

static enum err check_all(struct accept_run *x)
{
    enum err e = ERR_OK;
    for (size_t i = 0; i < x->file.count; i++) {
        const struct accept_case *k = &x->file.cases[i];
        const bool all = k->at_count == 0;
        const size_t count = all ? x->members.count : k->at_count;
        for (size_t n = 0; e == ERR_OK && n < count; n++)
            e = check(x, k, all ? slice_of(x->members.items[n].name) : k->at[n]);
    }
    progress_end(x->c, &x->progress);
    return e;
}

/* ---- the file, and who reads it ---- */

static int read_cases(struct accept_run *x, const char *path)
{
    struct slice text = SLICE_NONE;
    struct plan_faults faults;
    int status = cli_read_file(x->c, path, FILE_MAX, &x->report.arena, &text);
    if (status != CLI_DONE) return status;
    enum err e = accept_file_parse(&x->report.arena, text, &x->file, &faults);
    if (e == ERR_NOMEM) return cli_fail_err(x->c, e, NULL);
    for (size_t i = 0; e != ERR_OK && i < faults.count; i++) {
        const struct err_info *f = &faults.items[i];
        status = cli_fail(x->c, CLI_REFUSED, "%s:%u:%u: %s", path, f->line, f->column, f->text);
    }
    if (e != ERR_OK && faults.more) cli_note(x->c, SLICE("there is more wrong with it than is shown"));
    return status;
}

static void each_status(void *ctx, const struct control_record *r)
{
    struct accept_run *x = ctx;
    if (!slice_is(r->kind, "status")) return;
    x->report.cluster = arena_copy(&x->report.arena, control_get_text(r, "cluster"));
    x->report.by = arena_copy(&x->report.arena, control_get_text(r, "node"));
}

/* The user is named as in the history of the plan, user@node. */
static enum err sign(struct accept_run *x, const char *path)
{
    char iso[WALL_TEXT_SIZE];
    const struct passwd *user = getpwuid(getuid());
    const struct slice node = x->report.by;
    x->report.file = slice_of(path);
    x->report.plan_only = x->plan_only;
    x->report.at =
        arena_copy(&x->report.arena, slice_of(wall_text((struct wall){(int64_t)now_ms(CLOCK_REALTIME)}, iso)));
    x->report.by =
        slice_of(user != NULL ? arena_printf(&x->report.arena, "%s@%.*s", user->pw_name, SLICE_ARG(node))
                              : arena_printf(&x->report.arena, "%u@%.*s", (unsigned)getuid(), SLICE_ARG(node)));
    bool whole = x->report.cluster.p != NULL && x->report.at.p != NULL && x->report.by.p != NULL;
    return whole ? ERR_OK : ERR_NOMEM;
}

/* ---- the whole ---- */

static int run(struct accept_run *x, const char *path)
{
    int status = read_cases(x, path);
    if (status == CLI_DONE) status = members_ask(x->c, &x->members);
    if (status == CLI_DONE)
        status = conn_ask(x->c, &(struct conn_request){.command = "status", .each = each_status, .ctx = x});
    if (status != CLI_DONE) return status;
    enum err e = sign(x, path);
    if (e == ERR_OK) e = gather(x);
    if (e == ERR_OK) e = check_all(x);
    return e == ERR_OK ? CLI_DONE : cli_fail_err(x->c, e, NULL);
}

/* After the results were shown. */
static int verdict(struct accept_run *x)
{
    const struct accept_report *r = &x->report;
    if (!accept_report_one_plan(r))
        cli_note(x->c, SLICE("the nodes do not have the same plan: see PLAN, and 'clusterctl nodes'"));
    if (r->counts[ACCEPT_FAILED] > 0) {
        return cli_fail(x->c, CLI_FINDINGS, "%lld of %zu checks failed", (long long)r->counts[ACCEPT_FAILED],
                        r->result_count);
    }
    if (r->counts[ACCEPT_NOT_ASKED] > 0) {
        return cli_fail(x->c, CLI_PARTIAL, "%lld of %zu checks could not be made",
                        (long long)r->counts[ACCEPT_NOT_ASKED], r->result_count);
    }
    return CLI_DONE;
}

static int keep_report(struct accept_run *x, const char *path)
{
    struct err_info info = {.text = ""};
    struct buf said = {0};
    enum err e = accept_report_write(&x->report, path, &info);
    if (e != ERR_OK) return cli_fail_err(x->c, e, &info);
    buf_printf(&said, "the report is in %s: see 'accept report'", path);
    cli_note(x->c, buf_view(&said));
    buf_fini(&said);
    return CLI_DONE;
}

int accept_run_run(struct cli *c, const struct tree_match *m)
{
    const char *path = tree_arg(m, 0);
    const bool none = tree_given(m, "no-report");
    struct accept_run x = {.c = c, .plan_only = tree_given(m, "plan-only")};
    const char *report = tree_value(m, "report");
    if (report != NULL && none) return cli_fail(c, CLI_USAGE, "--report or --no-report: which of them is meant?");
    if (report == NULL && !none && strcmp(path, "-") == 0)
        return cli_fail(c, CLI_USAGE, "say where the report goes: --report FILE, or --no-report");
    if (report == NULL && !none) report = accept_report_name(&x.report.arena, path);
    int status = CLI_REFUSED;
    if (report == NULL && !none) {
        status = cli_fail_err(c, ERR_NOMEM, NULL);
    } else if (cli_output(c, accept_report_views)) {
        status = run(&x, path);
    }
    if (status == CLI_DONE) {
        int kept = none ? CLI_DONE : keep_report(&x, report);
        accept_report_show(&x.report, c->output);
        status = verdict(&x);
        if (status == CLI_DONE) status = kept;
    }
    members_fini(&x.members);
    arena_fini(&x.report.arena);
    return status;
}
