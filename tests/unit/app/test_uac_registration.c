/* Who holds a trunk's registration, as one node of the site sees it, and where calls then go. The registrar is a socket
 * of the test; the other node of the site is what the store says of it. */
#include "kit.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <unistd.h>

#include "node/sip/edit.h"
#include "node/sip/view.h"
#include "proto/plan_codec.h"

static struct kit kit;
static struct arena arena;
static int registrar = -1;
static unsigned port;
static char in[8192];
static size_t in_len;
static struct sockaddr_in from;

#define PLAN                                                                                                           \
    "plan: 1\n"                                                                                                        \
    "sites: { hq: {} }\n"                                                                                              \
    "trunks:\n"                                                                                                        \
    "  carrier: { site: hq, address: [\"127.0.0.1:%u\"], %s in: [ { match: \"+49\", strip: 3 } ] }\n"                  \
    "routes:\n"                                                                                                        \
    "  - { match: \"0\", to: trunk/carrier }\n"

static void plan(const char *registers)
{
    char yaml[1024];
    (void)snprintf(yaml, sizeof yaml, PLAN, port, registers);
    kit_plan(&kit, yaml);
    uac_registration_tick(&kit.node); /* not only with the next second */
}
#define REGISTERS "register: { user: u, domain: carrier.example },"

static void open_registrar(void)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof a;
    registrar = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(registrar, (struct sockaddr *)&a, sizeof a), 0);
    assert_int_equal(getsockname(registrar, (struct sockaddr *)&a, &len), 0);
    port = ntohs(a.sin_port);
}

static bool came(void *ctx)
{
    socklen_t len = sizeof from;
    (void)ctx;
    ssize_t n = recvfrom(registrar, in, sizeof in - 1, 0, (struct sockaddr *)&from, &len);
    if (n <= 0) return false;
    in_len = (size_t)n;
    in[n] = '\0';
    return true;
}

static void expect_register(const char *part)
{
    kit_until(&kit, came, NULL, "a REGISTER");
    if (strstr(in, part) == NULL) fail_msg("\"%s\" is missing in:\n%s", part, in);
}

static void accept_it(void)
{
    static struct sip_view v;
    struct buf b = {0};
    assert_int_equal(sip_view_parse(&v, in, in_len, NULL), SIP_FAULT_NONE);
    assert_int_equal(sip_response_build(&v, 200, SLICE(""), SLICE("t"), SLICE(""), 0,
                                        SLICE("Expires: 600\r\nService-Route: <sip:edge.example;lr>\r\n"), &b),
                     ERR_OK);
    assert_int_equal(sendto(registrar, b.p, b.n, 0, (struct sockaddr *)&from, sizeof from), (ssize_t)b.n);
    buf_fini(&b);
}

/* ---- the other node of the site ---- */

static void other_says(struct store *s, bool registers, enum trunk_registration_state state)
{
    struct trunk_registration r = {.trunk = SLICE("carrier"),
                                   .holds = true,
                                   .term = 7,
                                   .state = state,
                                   .contact = SLICE("sip:u@10.9.0.2:5060;line=x"),
                                   .reason = SLICE("200 OK")};
    struct slice address = SLICE("tls:10.9.0.2:5061");
    struct node_card card = {
        .sip_addresses = &address, .sip_address_count = 1, .site = SLICE("hq"), .registers = registers};
    struct buf packed = {0};
    assert_int_equal(node_card_pack(&card, &packed), ERR_OK);
    kit_store_record(s, "n2", 1, STATE_NODE_CARD, SLICE("n2"), buf_view(&packed));
    buf_reset(&packed);
    assert_int_equal(trunk_registration_pack(&r, &packed), ERR_OK);
    kit_store_record(s, "n2", 2, STATE_TRUNK_HEALTH, (struct slice){"carrier", 8}, buf_view(&packed));
    buf_fini(&packed);
}

static void start(enum member_status other, bool registers)
{
    kit_init(&kit, NULL);
    open_registrar();
    struct store *s = kit_store_open(&kit);
    kit_store_member(s, "n2", "hq", other);
    other_says(s, registers, TRUNK_REGISTERED);
    kit_store_close(s);
    kit_start(&kit);
    if (other == MEMBER_ALIVE) kit_heartbeat(&kit, "n2", "hq");
    plan(REGISTERS);
}

static int stop(void **state)
{
    (void)state;
    arena_fini(&arena);
    kit_fini(&kit);
    (void)close(registrar);
    return 0;
}

/* ---- what this node makes of it ---- */

static struct edge_answer route(const char *dialled)
{
    struct edge_answer answer;
    struct edge_query q = {.dialled = slice_of(dialled), .call_id = SLICE("c@d")};
    arena_fini(&arena);
    routing_hook(&kit.node, &arena, &q, &answer);
    return answer;
}

static bool own_record(struct trunk_registration *out)
{
    return uac_registration_own_view(&kit.node, SLICE("carrier"), out);
}

static bool is_registered(void *ctx)
{
    struct trunk_registration r;
    (void)ctx;
    return own_record(&r) && r.state == TRUNK_REGISTERED;
}

static bool has_none(void *ctx)
{
    struct trunk_registration r;
    (void)ctx;
    return !own_record(&r);
}

static void the_other_is_dead(void **state)
{
    struct trunk_registration r;
    char expected[64];
    (void)state;
    start(MEMBER_DEAD, true);
    expect_register("Contact: <sip:u@10.9.0.2:5060;line=x>;expires=0\r\n");
    assert_true(own_record(&r));
    assert_true(r.holds && r.term == 8 && r.state == TRUNK_TRYING); /* later than the one that it replaces */
    struct edge_answer answer = route("0123");
    assert_int_equal(answer.target_count, 0);
    assert_int_equal(answer.code, 480);
    accept_it();
    kit_until(&kit, is_registered, NULL, "the registration");
    answer = route("0123");
    assert_int_equal(answer.target_count, 1);
    const struct edge_target *t = &answer.targets[0];
    assert_true(slice_is(t->text, "trunk/carrier") && t->node.n == 0 && t->hop_count == 1);
    (void)snprintf(expected, sizeof expected, "udp:127.0.0.1:%u", port);
    assert_true(slice_is(t->hops[0].received, expected) && t->hops[0].named);
    assert_true(slice_is(t->hops[0].request_uri, "sip:0123@carrier.example"));
    assert_true(slice_is(t->hops[0].route, "<sip:edge.example;lr>"));
    /* what its in rules speak of may be named by a call */
    assert_true(uac_registration_called_hook(&kit.node, SLICE("carrier"), SLICE("+49-30")));
    assert_false(uac_registration_called_hook(&kit.node, SLICE("carrier"), SLICE("00900")));
    assert_false(uac_registration_called_hook(&kit.node, SLICE("carrier"), SLICE("alice")));
    assert_false(uac_registration_called_hook(&kit.node, SLICE("other"), SLICE("+4930")));
    plan("");
    expect_register(";expires=0\r\n");
    kit_until(&kit, has_none, NULL, "its record to go");
    assert_int_equal(route("0123").target_count, 1); /* a trunk like any other */
}

static void the_other_holds_it(void **state)
{
    struct trunk_registration r;
    (void)state;
    start(MEMBER_ALIVE, true);
    kit.node.uac.settled = true;
    uac_registration_tick(&kit.node);
    kit_turn(&kit, 50);
    assert_false(came(NULL));
    assert_true(own_record(&r));
    assert_false(r.holds);
    struct edge_answer answer = route("0123");
    assert_int_equal(answer.target_count, 1);
    assert_true(slice_is(answer.targets[0].node, "n2")); /* one flow, so it is its */
    struct edge_query q = {.dialled = SLICE("0123"), .call_id = SLICE("c"), .named_target = SLICE("trunk/carrier")};
    q.source.kind = EDGE_SOURCE_MEMBER;
    routing_hook(&kit.node, &arena, &q, &answer);
    assert_int_equal(answer.target_count, 0);
    assert_int_equal(answer.code, 503);
    assert_non_null(strstr(answer.reason.p, "registered by n2"));
}

/* Nothing is claimed before this node knows what the others hold. A node that runs an older version would never claim
 * it, so it is not waited for longer than that. */
static void the_other_does_not_know_how(void **state)
{
    (void)state;
    start(MEMBER_ALIVE, false);
    assert_false(kit.node.uac.settled);
    kit_turn(&kit, 50);
    assert_false(came(NULL));
    kit.node.uac.settled = true;
    uac_registration_tick(&kit.node);
    expect_register("REGISTER sip:carrier.example SIP/2.0\r\n");
    accept_it();
    kit_until(&kit, is_registered, NULL, "the registration");
}

static void store_a_password_of_another_cluster(struct store *s)
{
    struct arena doc_arena = {0};
    char yaml[1024];
    (void)snprintf(yaml, sizeof yaml, "plan: 1\ntrunks:\n  carrier: { site: hq, address: [\"127.0.0.1:%u\"], %s }\n",
                   port, REGISTERS);
    struct plan_document doc = kit_document(&doc_arena, yaml);
    assert_int_equal(doc.object_count, 1);
    doc.objects[0].trunk.registration.sealed = SLICE("sealed with the key of another cluster, if at all");
    struct change_op op = {
        .kind = CHANGE_PUT, .key = SLICE("trunk/carrier"), .value = kit_packed(&doc_arena, &doc.objects[0])};
    struct changeset c = {.id = {.epoch = 1, .seq = 1}, .time = {1}, .ops = &op, .op_count = 1};
    assert_int_equal(node_name_set(&c.id.origin, SLICE("elsewhere")), ERR_OK);
    assert_int_equal(store_submit_changes(s, &c, 1, 1), ERR_OK);
    kit_store_wait(s);
    arena_fini(&doc_arena);
}

/* It is said once, and not to everybody each second. */
static void a_password_that_does_not_open(void **state)
{
    struct trunk_registration first;
    struct trunk_registration later;
    (void)state;
    kit_init(&kit, NULL);
    open_registrar();
    struct store *s = kit_store_open(&kit);
    store_a_password_of_another_cluster(s);
    kit_store_close(s);
    kit_start(&kit);
    uac_registration_tick(&kit.node);
    assert_true(own_record(&first));
    assert_true(first.holds && first.state == TRUNK_REFUSED && first.since.ms > 0);
    assert_non_null(strstr(first.reason.p, "does not open with this cluster's key"));
    kit_turn(&kit, 20);
    uac_registration_tick(&kit.node);
    assert_true(own_record(&later));
    assert_int_equal(later.since.ms, first.since.ms);
    assert_false(came(NULL));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(the_other_is_dead, stop),
        cmocka_unit_test_teardown(the_other_holds_it, stop),
        cmocka_unit_test_teardown(the_other_does_not_know_how, stop),
        cmocka_unit_test_teardown(a_password_that_does_not_open, stop),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
