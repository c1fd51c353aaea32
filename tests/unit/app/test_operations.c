/* operations: the page of a whole node: of an empty one, and of one with more nodes and trunks than a screen holds. */
#include "commands_kit.h"

#include "node/app/operations.h"

#define MEMBERS 90
#define TRUNKS 500

static unsigned ask_page(struct kit *k, struct buf *out)
{
    struct http_page page = operations_page(&k->node);
    assert_string_equal(page.path, "/");
    assert_true(page.near);
    assert_non_null(strstr(page.policy, "default-src 'none'"));
    buf_reset(out);
    unsigned status = page.handler(&k->node, NULL, out);
    buf_add(out, "", 1);
    return status;
}

static void expect(const struct buf *out, const char *text)
{
    if (strstr(out->p, text) == NULL) fail_msg("no '%s' in:\n%s", text, out->p);
}

static void kit_with_page(struct kit *k)
{
    kit_init(k, NULL);
    k->config.http = "127.0.0.1:0";
}

static void test_empty(void **state)
{
    (void)state;
    struct kit k;
    struct buf out = {0};
    kit_with_page(&k);
    kit_start(&k);
    assert_int_equal(ask_page(&k, &out), 200);
    expect(&out, "<h1 class=\"well\">ok</h1>");
    expect(&out, "There are none in the plan.");
    uint64_t asked = kit_counter(&k, "control", "requests_dispatched");
    assert_int_equal(ask_page(&k, &out), 200); /* within a second it is the same document */
    assert_int_equal(kit_counter(&k, "control", "requests_dispatched"), asked);
    buf_fini(&out);
    kit_fini(&k);
}

struct waiting {
    struct kit *k;
    struct buf *out;
};

static bool all_are_counted(void *ctx)
{
    struct waiting *w = ctx;
    assert_int_equal(ask_page(w->k, w->out), 200);
    return strstr(w->out->p, "still being counted") == NULL;
}

static void test_many(void **state)
{
    (void)state;
    struct kit k;
    struct buf out = {0};
    struct buf yaml = {0};
    struct waiting w = {&k, &out};
    char name[32];
    kit_with_page(&k);
    buf_text(&yaml, "plan: 1\nsites: { hq: {} }\ntrunks:\n");
    for (int i = 0; i < TRUNKS; i++)
        buf_printf(&yaml, "  t%03d: { site: hq, address: [\"10.1.0.1\", \"10.1.0.2\"]%s }\n", i,
                   i % 2 == 0 ? ", disabled: true" : ", probe: 0");
    buf_add(&yaml, "", 1);
    struct store *s = kit_store_open(&k);
    kit_store_plan(s, yaml.p);
    for (int i = 0; i < MEMBERS; i++) {
        (void)snprintf(name, sizeof name, "m%03d", i);
        kit_store_member(s, name, "far", i == MEMBERS - 1 ? MEMBER_LEFT : MEMBER_DEAD);
    }
    kit_store_close(s);
    kit_start(&k);
    kit_until(&k, all_are_counted, &w, "all trunks to be counted");
    expect(&out, "1,000</span> <small>not probed</small>");
    expect(&out, "<b>n1</b>");
    expect(&out, ">of 90</small>"); /* who has left is none of them */
    expect(&out, "and 78 more that cannot be reached");
    if (out.n > 65536) fail_msg("%zu bytes", out.n);
    buf_fini(&yaml);
    buf_fini(&out);
    kit_fini(&k);
}

static void test_none_without_http(void **state)
{
    (void)state;
    struct kit k;
    kit_init(&k, NULL);
    kit_start(&k);
    assert_null(k.node.operations);
    kit_fini(&k);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_empty), cmocka_unit_test(test_many),
                                       cmocka_unit_test(test_none_without_http)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
