/* page: the operations page from records: nothing, little, much, and what is hostile. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "node/control/page.h"
#include "node/control/page_parts.h"

#define HOSTILE "\"><script>x</script>\xe2\x80\xae&"
#define NODES_MAX 6000

static size_t allocations_left = SIZE_MAX;

void *__real_realloc(void *p, size_t n);
void *__wrap_realloc(void *p, size_t n);
void *__wrap_realloc(void *p, size_t n)
{
    if (allocations_left == 0) return NULL;
    if (allocations_left != SIZE_MAX) allocations_left--;
    return __real_realloc(p, n);
}

/* A page under construction; defaults are those of a node on its own with an empty plan. */
struct bench {
    struct arena arena;
    struct control_record status;
    struct control_record nodes[NODES_MAX];
    struct page_trunks trunks;
    struct page_view view;
    struct buf out;
};

static struct bench *bench_new(const char *verdict, int members, int members_alive)
{
    struct bench *b = calloc(1, sizeof *b);
    struct control_builder c;
    assert_non_null(b);
    control_record_start(&c, &b->arena, "status");
    control_text(&c, "verdict", slice_of(verdict));
    control_text(&c, "node", SLICE("hq-1"));
    control_text(&c, "site", SLICE("hq"));
    control_text(&c, "store", SLICE("ok"));
    control_int(&c, "members", members);
    control_int(&c, "registrations", members >= 5000 ? PAGE_REGISTRATIONS : 1234);
    control_int(&c, "members_alive", members_alive);
    control_text(&c, "plan_digest", SLICE("0123456789abcdef0123456789abcdef"));
    control_text(&c, "plan_changed", SLICE("2026-11-22T08:15:30.123Z"));
    assert_int_equal(control_record_done(&c, &b->status), ERR_OK);
    b->trunks.whole = true;
    b->view = (struct page_view){.now = {1795340000000}, /* 2026-11-22T09:33:20Z */
                                 .status = &b->status,
                                 .nodes = b->nodes,
                                 .trunks = &b->trunks,
                                 .sample_room = 360,
                                 .sample_s = 10};
    return b;
}

static void bench_free(struct bench *b)
{
    buf_fini(&b->out);
    arena_fini(&b->arena);
    free(b);
}

static void add_node(struct bench *b, const char *name, const char *site, const char *state, bool linked)
{
    struct control_builder c;
    control_record_start(&c, &b->arena, "node");
    control_text(&c, "node", slice_of(name));
    control_text(&c, "site", slice_of(site));
    control_text(&c, "state", slice_of(state));
    control_text(&c, "status", strcmp(state, "drained") == 0 ? SLICE("alive") : slice_of(state));
    control_int(&c, "status_ms", 42000);
    control_bool(&c, "linked", linked);
    control_bool(&c, "link_wanted", b->view.node_count > 0);
    control_text(&c, "link", linked ? SLICE("linked") : SLICE("dialling: connection refused"));
    control_int(&c, "rtt_us", 400);
    control_int(&c, "data_age_ms", 700);
    control_text(&c, "changes", SLICE("in step"));
    control_bool(&c, "in_step", true);
    assert_int_equal(control_record_done(&c, &b->nodes[b->view.node_count++]), ERR_OK);
}

static void add_trunk_of(struct bench *b, const char *what, const char *name, const char *state, const char *reason,
                         int calls)
{
    struct arena arena = {0};
    struct control_builder c;
    struct control_record r;
    control_record_start(&c, &arena, "trunk");
    control_text(&c, "trunk", slice_of(name));
    control_text(&c, "site", SLICE("hq"));
    control_text(&c, "node", SLICE("hq-1"));
    control_text(&c, "what", slice_of(what));
    control_text(&c, "address",
                 strcmp(what, "address") == 0 ? SLICE("10.1.0.10:5060") : SLICE("4930123@carrier.example"));
    control_text(&c, "state", slice_of(state));
    control_text(&c, "since", SLICE("2026-11-22T08:15:30.123Z"));
    control_text(&c, "reason", slice_of(reason));
    control_int(&c, "rtt_us", 900);
    control_int(&c, "calls", calls);
    control_int(&c, "calls_limit", 60);
    assert_int_equal(control_record_done(&c, &r), ERR_OK);
    page_trunks_add(&b->trunks, &r);
    arena_fini(&arena);
}

static void add_trunk(struct bench *b, const char *name, const char *state, const char *reason, int calls)
{
    add_trunk_of(b, "address", name, state, reason, calls);
}

static void render(struct bench *b)
{
    buf_reset(&b->out);
    page_render(&b->view, &b->out);
    buf_add(&b->out, "", 1);
    assert_false(b->out.failed);
}

static void expect(const struct bench *b, const char *text)
{
    if (strstr(b->out.p, text) == NULL) fail_msg("no '%s' in:\n%s", text, b->out.p);
}

static void expect_none(const struct bench *b, const char *text)
{
    if (strstr(b->out.p, text) != NULL) fail_msg("'%s' in:\n%s", text, b->out.p);
}

static size_t count(const struct bench *b, const char *text)
{
    size_t n = 0;
    for (const char *at = strstr(b->out.p, text); at != NULL; at = strstr(at + 1, text))
        n++;
    return n;
}

/* Every element that is opened is closed, in order; attributes are quoted. */
static void expect_well_formed(const struct bench *b)
{
    const char *open[64];
    size_t depth = 0;
    for (const char *at = strchr(b->out.p, '<'); at != NULL; at = strchr(at, '<')) {
        const char *end = strchr(at, '>');
        assert_non_null(end);
        bool closing = at[1] == '/';
        const char *name = at + 1 + closing;
        size_t n = strcspn(name, " />");
        if (closing) {
            assert_true(depth > 0);
            depth--;
            if (strncmp(open[depth], name, n) != 0) fail_msg("%.20s ends %.20s", name, open[depth]);
        } else if (name[0] != '!' && end[-1] != '/' && strncmp(name, "meta", n) != 0) {
            assert_true(depth < 64);
            open[depth++] = name;
        }
        at = end;
    }
    assert_int_equal(depth, 0);
}

static void test_empty(void **state)
{
    (void)state;
    struct bench *b = bench_new("ok", 1, 1);
    add_node(b, "hq-1", "hq", "alive", true);
    render(b);
    expect_well_formed(b);
    expect(b, "<title>ok \xc2\xb7 hq-1</title>");
    expect(b, "<h1 class=\"well\">ok</h1>");
    expect(b, "There are none in the plan.");
    expect(b, ">1,234</dd>");
    expect(b, "Nothing.");
    expect(b, "in the last minute<");
    expect(b, "now 0, peak 0");
    expect(b, "http-equiv=\"refresh\" content=\"5\"");
    expect(b, "0123456789ab</code>");
    expect(b, ">08:15:30</time>");
    expect_none(b, "class=\"map"); /* one node is no picture */
    b->trunks.whole = false;
    render(b);
    expect(b, "They are still being counted.");
    expect_none(b, "There are none");
    bench_free(b);
}

static void test_trouble(void **state)
{
    (void)state;
    struct bench *b = bench_new("2 of 4 nodes cannot be reached (factory, ...): see clusterctl nodes", 4, 2);
    const struct page_growth growths[] = {{"edge", "refused_no_target", 1234}, {"mesh", "links_timed_out", 1}};
    const struct page_sample samples[] = {{3, 40}, {5, 20}, {4, 0}};
    add_node(b, "hq-1", "hq", "alive", true);
    add_node(b, "factory", "factory", "dead", false);
    add_node(b, "mill", "mill", "suspect", true);
    add_node(b, "pier", "pier", "drained", true);
    add_trunk(b, "fine", "up", "200 OK", 0);
    add_trunk(b, "off", "disabled", "", -1);
    add_trunk(b, "odd", "a word of a newer version", "", 2);
    add_trunk(b, "broken", "down", "no answer to OPTIONS", 1);
    b->view.growths = growths;
    b->view.growth_count = 2;
    b->view.growth_s = 600;
    b->view.samples = samples;
    b->view.sample_count = 3;
    render(b);
    expect_well_formed(b);
    expect(b, "<h1 class=\"bad\">2 of 4 nodes");
    expect(b, "<title>! 2 of 4 nodes");
    expect(b, "<span class=\"bad\">2</span> <small>of 4</small>");
    expect(b, "dead for 42 s, in step; dialling: connection refused");
    assert_int_equal(count(b, "class=\"link broken\""), 1);
    assert_int_equal(count(b, "class=\"link\""), 2);
    assert_int_equal(count(b, "<rect class=\"mark bad\""), 1);
    assert_int_equal(count(b, "<path class=\"mark warn\""), 1);
    assert_int_equal(count(b, "<circle class=\"mark idle\""), 1);
    expect(b, "<tspan class=\"note idle\"");
    expect(b, "down since <time title=\"2026-11-22T08:15:30.123Z\">08:15:30</time>: no answer to OPTIONS");
    expect(b, "1 / 60 calls");
    expect_none(b, "200 OK"); /* of those that are up it says nothing */
    const char *broken = strstr(b->out.p, "<b>broken</b>");
    const char *odd = strstr(b->out.p, "<b>odd</b>");
    const char *fine = strstr(b->out.p, "<b>fine</b>");
    const char *off = strstr(b->out.p, "<b>off</b>");
    assert_true(broken != NULL && broken < odd && odd < fine && fine < off);
    expect(b, "<dt>1,234</dt><dd><span class=\"soft\">edge</span> refused_no_target</dd>");
    expect(b, "in the last 10 minutes<");
    expect(b, "now 4, peak 5");
    expect(b, "now 0.0, peak 4.0");
    expect(b, "<dt>Calls per second</dt><dd>2.0</dd>");
    bench_free(b);
}

static void test_warning(void **state)
{
    (void)state;
    struct bench *b = bench_new("a change waits to be confirmed: see clusterctl plan log", 1, 1);
    b->view.now = (struct wall){1795340000000 + 86400000};
    render(b);
    expect(b, "<h1 class=\"warn\">a change");
    expect(b, ">2026-11-22</time>"); /* another day */
    add_trunk_of(b, "registration", "carrier", "refused", "403 Forbidden", 0);
    render(b);
    expect(b, "<h1 class=\"bad\">a change");
    expect(b, "<b>carrier</b> <span class=\"soft\">hq \xc2\xb7 registration</span>");
    expect_none(b, "4930123"); /* as whom we register is an account */
    bench_free(b);
}

static void test_hostile(void **state)
{
    (void)state;
    struct bench *b = bench_new(HOSTILE, 3, 2);
    const struct page_growth growth = {HOSTILE, HOSTILE, 1};
    add_node(b, "hq-1", "hq", "alive", true);
    add_node(b, HOSTILE, HOSTILE, HOSTILE, false);
    add_node(b, HOSTILE, HOSTILE, "alive", true);
    for (int i = 0; i < 3; i++)
        add_trunk(b, HOSTILE, i == 0 ? HOSTILE : i == 1 ? "up" : "down", HOSTILE, 1);
    b->view.growths = &growth;
    b->view.growth_count = 1;
    for (int few = 1; few >= 0; few--) {
        render(b);
        expect_well_formed(b);
        expect_none(b, "<script");
        expect_none(b, "\">&lt;"); /* nor out of an attribute */
        expect_none(b, "\xe2\x80\xae");
        for (int i = 0; i < 20; i++)
            add_node(b, HOSTILE, i < 10 ? "a" : HOSTILE, "alive", true);
    }
    bench_free(b);
}

/* A difference is trouble when it is older than a change takes. */
static void test_behind(void **state)
{
    (void)state;
    static const struct {
        bool in_step;
        int64_t age_ms; /* -1: not known */
        enum page_health want;
    } rows[] = {{true, 500, PAGE_WELL},   {true, -1, PAGE_WELL},    {false, 500, PAGE_WELL},
                {false, 3000, PAGE_WELL}, {false, 3001, PAGE_WARN}, {false, -1, PAGE_WARN}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct arena arena = {0};
        struct control_builder c;
        struct control_record r;
        control_record_start(&c, &arena, "node");
        control_text(&c, "state", SLICE("alive"));
        control_bool(&c, "in_step", rows[i].in_step);
        if (rows[i].age_ms >= 0)
            control_int(&c, "data_age_ms", rows[i].age_ms);
        else
            control_null(&c, "data_age_ms");
        assert_int_equal(control_record_done(&c, &r), ERR_OK);
        if (page_node_health(&r) != rows[i].want) fail_msg("row %zu", i);
        arena_fini(&arena);
    }
}

static void test_lengths(void **state)
{
    (void)state;
    struct bench *b = bench_new("ok", 3, 3);
    char name[LIMIT_NAME + 1];
    char reason[2 * LIMIT_TEXT];
    memset(name, 'n', sizeof name - 1);
    name[sizeof name - 1] = '\0';
    memset(reason, 'r', sizeof reason - 1);
    reason[sizeof reason - 1] = '\0';
    add_node(b, name, name, "alive", true);
    add_node(b, name, "", "alive", false);
    add_node(b, "gone", name, "left", false);    /* no member any more */
    add_node(b, "(seed)", "", "unknown", false); /* not yet */
    add_trunk(b, name, reason, reason, 1);
    render(b);
    expect_well_formed(b);
    assert_int_equal(count(b, "<circle class=\"mark well\""), 1);
    assert_int_equal(count(b, "<path class=\"mark warn\""), 1);
    expect_none(b, "gone");
    expect(b, "<b>(seed)</b>");
    expect(b, "unknown for 42 s, in step; dialling: connection refused");
    bench_free(b);
}

/* Many of everything: the document stays small, those that matter are in it, and it says how many more there are. */
static void test_many(void **state)
{
    (void)state;
    struct bench *b = bench_new("300 of 5000 nodes cannot be reached (n1, ...): see clusterctl nodes", 5000, 4700);
    char name[32];
    struct page_growth growths[PAGE_GROWTHS];
    for (int i = 0; i < 5000; i++) {
        (void)snprintf(name, sizeof name, "n%d", i);
        add_node(b, name, i % 3 == 0 ? "a" : "b", i > 0 && i <= 300 ? "dead" : "alive", i == 0 || i > 300);
    }
    for (int i = 0; i < 10000; i++) {
        (void)snprintf(name, sizeof name, "t%d", i);
        add_trunk(b, name, i >= 9900 ? "down" : "up", "no answer to OPTIONS", 0);
    }
    for (size_t i = 0; i < PAGE_GROWTHS; i++)
        growths[i] = (struct page_growth){"edge", "timeouts", 1};
    b->view.growths = growths;
    b->view.growth_count = 100;
    render(b);
    expect_well_formed(b);
    if (b->out.n > 65536) fail_msg("%zu bytes", b->out.n);
    assert_int_equal(count(b, "class=\"mark "), PAGE_NODES);
    expect(b, "and 289 more that cannot be reached, 4,699 more that are alive");
    expect(b, "9,900</span> <small>up</small> <span class=\"bad\">100</span> <small>down</small>");
    assert_int_equal(count(b, ">down since "), PAGE_TRUNKS);
    expect(b, ">50,000+</dd>");
    expect(b, "<b>t9900</b>");
    expect(b, "and 9,960 more: <code>clusterctl trunks");
    expect(b, "and 88 more: <code>clusterctl counters");
    bench_free(b);
}

/* Whichever allocation fails: the document is whole, or known not to be. */
static void test_no_memory(void **state)
{
    (void)state;
    struct bench *b = bench_new("ok", 2, 2);
    struct buf whole = {0};
    bool failed = true;
    add_node(b, "hq-1", "hq", "alive", true);
    add_node(b, "mill", "mill", "suspect", false);
    add_trunk(b, "broken", "down", "no answer to OPTIONS", 1);
    page_render(&b->view, &whole);
    for (size_t i = 0; failed; i++) {
        assert_true(i < 200);
        buf_fini(&b->out);
        allocations_left = i;
        page_render(&b->view, &b->out);
        failed = b->out.failed;
        if (!failed) assert_true(slice_eq(buf_view(&b->out), buf_view(&whole)));
        allocations_left = SIZE_MAX;
    }
    struct buf policy = {0};
    allocations_left = 0;
    assert_int_equal(page_policy(&policy), ERR_NOMEM);
    allocations_left = SIZE_MAX;
    buf_fini(&policy);
    buf_fini(&whole);
    bench_free(b);
}

static void test_policy(void **state)
{
    (void)state;
    struct buf out = {0};
    assert_int_equal(page_policy(&out), ERR_OK);
    buf_add(&out, "", 1);
    assert_non_null(strstr(out.p, "default-src 'none'; style-src 'sha256-"));
    assert_non_null(strstr(out.p, "='; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"));
    assert_null(strstr(page_style, "<"));
    assert_null(strstr(page_style, "url("));
    assert_null(strstr(page_style, "@import"));
    buf_fini(&out);
}

static void test_counters(void **state)
{
    (void)state;
    assert_true(page_counter_is_trouble("edge", "refused_loop"));
    assert_false(page_counter_is_trouble("edge", "requests"));
    assert_false(page_counter_is_trouble("edge", "responses"));
    assert_true(page_counter_is_trouble("client", "refused"));
    assert_true(page_counter_is_trouble("transport", "udp_send_failed")); /* udp_sent is none */
    assert_true(page_counter_is_trouble("edge", "auth"));                 /* a part of auth_ok */
    assert_true(page_counter_is_trouble("of a newer version", "requests"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_empty),    cmocka_unit_test(test_trouble),   cmocka_unit_test(test_warning),
        cmocka_unit_test(test_hostile),  cmocka_unit_test(test_behind),    cmocka_unit_test(test_lengths),
        cmocka_unit_test(test_many),     cmocka_unit_test(test_no_memory), cmocka_unit_test(test_policy),
        cmocka_unit_test(test_counters),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
