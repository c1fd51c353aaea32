/* Where a call goes: the edge's questions to a node with a plan, bindings here and elsewhere, and members that are
 * alive, suspect, dead or evicted. */
#include "kit.h"

#include <stdio.h>

#include "proto/plan_codec.h"

#define PLAN                                                                                                           \
    "plan: 1\n"                                                                                                        \
    "defaults: { domain: example.org, digest: [md5] }\n"                                                               \
    "sites:\n"                                                                                                         \
    "  hq:     { blocks: [\"6\"], dial: [ {match: \"0\", strip: 1, prepend: \"+49\"} ] }\n"                            \
    "  campus: { blocks: [\"8\"] }\n"                                                                                  \
    "trunks:\n"                                                                                                        \
    "  pbx:    { site: hq, address: [\"10.1.0.10:5060\", \"[2001:db8::7]:5070\"], trust: [\"10.1.0.0/16\"],\n"         \
    "            in: [ {match: \"99\", strip: 2}, {match: \"=6002\", strip: 5} ],\n"                                   \
    "            out: [ {match: \"+49\", strip: 3, prepend: \"0\"}, {match: \"=68\", strip: 2}, {match: \"6\"} ] }\n"  \
    "  narrow: { site: hq, address: [\"10.1.0.11\"], transport: tls, trust: [\"10.1.2.0/24\"] }\n"                     \
    "  far:    { site: campus, address: [\"10.2.0.10\"], trust: [\"10.2.0.0/16\"] }\n"                                 \
    "  off:    { site: hq, address: [\"10.1.0.12\"], trust: [\"10.3.0.0/16\"], disabled: true }\n"                     \
    "accounts:\n"                                                                                                      \
    "  \"6001\": { password: x, max_contacts: 4 }\n"                                                                   \
    "  \"6002\": { password: x }\n"                                                                                    \
    "  \"6003\": { password: x, disabled: true }\n"                                                                    \
    "  alice:  { password: x }\n"                                                                                      \
    "  gw:     { password: x, numbers: [\"7\"], strip: 1, prepend: \"34\" }\n"                                         \
    "routes:\n"                                                                                                        \
    "  - { match: \"6\", to: trunk/pbx }\n"                                                                            \
    "  - { match: \"+\", to: trunk/pbx, priority: 20 }\n"                                                              \
    "  - { match: \"+\", to: trunk/narrow, priority: 10 }\n"                                                           \
    "  - { match: \"8\", to: site/campus }\n"                                                                          \
    "  - { match: \"66\", to: trunk/off }\n"                                                                           \
    "  - { match: \"*2\", to: trunk/pbx }\n"                                                                           \
    "  - { match: \"112\", to: trunk/pbx, scope: hq }\n"                                                               \
    "  - { match: \"112\", to: trunk/far }\n"                                                                          \
    "  - { match: \"113\", to: trunk/pbx, scope: campus }\n"                                                           \
    "  - { match: \"9\", to: reject/410 }\n"

static struct kit kit;
static struct arena arena;
static struct edge_answer answer;

static struct edge_query query(const char *dialled)
{
    return (struct edge_query){.dialled = slice_of(dialled), .call_id = SLICE("c@d")};
}

/* "trunk/pbx@n2=8001[sip:8001@10.1.0.10:5060 ...] ..." or the code, of what the hook answers. */
static const char *route_query(const struct edge_query *q)
{
    static char text[4096];
    struct buf b = {0};
    arena_fini(&arena);
    routing_hook(&kit.node, &arena, q, &answer);
    for (size_t i = 0; i < answer.target_count; i++) {
        const struct edge_target *t = &answer.targets[i];
        buf_printf(&b, "%s%.*s", i > 0 ? " " : "", SLICE_ARG(t->text));
        if (t->node.n > 0) buf_printf(&b, "@%.*s", SLICE_ARG(t->node));
        buf_printf(&b, "=%.*s[", SLICE_ARG(t->number));
        for (size_t k = 0; k < t->hop_count; k++) {
            const struct edge_hop *h = &t->hops[k];
            struct slice uri = h->request_uri.n > 0 ? h->request_uri : h->host;
            buf_printf(&b, "%s%.*s", k > 0 ? " " : "", SLICE_ARG(uri));
        }
        buf_text(&b, "]");
    }
    if (answer.target_count == 0) buf_printf(&b, "%u", answer.code);
    assert_false(b.failed);
    (void)snprintf(text, sizeof text, "%.*s", (int)b.n, b.p);
    buf_fini(&b);
    return text;
}

static const char *route(const char *dialled)
{
    struct edge_query q = query(dialled);
    return route_query(&q);
}

static int open_node(void **state)
{
    (void)state;
    kit_init(&kit, NULL);
    struct store *s = kit_store_open(&kit);
    kit_store_plan(s, PLAN);
    kit_store_member(s, "gone", "campus", MEMBER_DEAD);
    kit_store_member(s, "slow", "campus", MEMBER_SUSPECT);
    kit_store_member(s, "thrown", "campus", MEMBER_EVICTED);
    uint64_t v = 1;
    static const char *const owners[] = {"gone", "live", "slow", "stranger", "thrown"};
    for (size_t i = 0; i < sizeof owners / sizeof owners[0]; i++) {
        char address[32];
        (void)snprintf(address, sizeof address, "tls:10.9.0.%zu:5061", i + 1);
        kit_store_card(s, owners[i], v++, address);
        kit_store_binding(s, owners[i], v++, "6002", "sip:6002@192.0.2.9");
    }
    kit_store_binding(s, "gone", v++, "alice", "sip:alice@192.0.2.9");
    kit_store_binding(s, "thrown", v++, "gw", "sip:gw@192.0.2.9");
    kit_store_close(s);
    kit_start(&kit);
    return 0;
}

static int close_node(void **state)
{
    (void)state;
    arena_fini(&arena);
    kit_fini(&kit);
    return 0;
}

static void numbers_and_trunks(void **state)
{
    static const struct {
        const char *dialled;
        const char *expected;
    } cases[] = {
        {"6100", "trunk/pbx=6100[sip:6100@10.1.0.10:5060 sip:6100@[2001:db8::7]:5070]"},
        {"61-00", "trunk/pbx=6100[sip:6100@10.1.0.10:5060 sip:6100@[2001:db8::7]:5070]"},
        {"030123", /* dial rule, then priority, then out rule */
         "trunk/narrow=+4930123[sip:+4930123@10.1.0.11;transport=tls] "
         "trunk/pbx=030123[sip:030123@10.1.0.10:5060 sip:030123@[2001:db8::7]:5070]"},
        {"*2#", "trunk/pbx=*2#[sip:*2%23@10.1.0.10:5060 sip:*2%23@[2001:db8::7]:5070]"},
        {"112", "trunk/pbx=112[sip:112@10.1.0.10:5060 sip:112@[2001:db8::7]:5070]"}, /* scoped before global */
        {"113", "404"},                                                              /* of another site */
        {"66", "480"},                                                               /* disabled, and nothing shorter */
        {"68", "480"}, /* the out rule leaves nothing of it */
        {"9", "410"},
        {"5", "404"},
        {"", "404"},
        {"nobody", "404"},
        {"0", "trunk/narrow=+49[sip:+49@10.1.0.11;transport=tls] "
              "trunk/pbx=0[sip:0@10.1.0.10:5060 sip:0@[2001:db8::7]:5070]"},
        {"123456789012345678901234567890123", "404"}, /* over LIMIT_NUMBER */
        {"6001", "480"},                              /* known, not registered */
        {"6003", "480"},                              /* known, disabled */
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const char *got = route(cases[i].dialled);
        if (strcmp(got, cases[i].expected) != 0) fail_msg("%s: %s", cases[i].dialled, got);
    }
}

static void the_source_chooses_rules_and_is_not_called_back(void **state)
{
    struct edge_query q = query("9961");
    (void)state;
    q.source = (struct edge_source){.kind = EDGE_SOURCE_TRUNK, .name = SLICE("pbx")};
    assert_string_equal(route_query(&q), "404"); /* 61 would lead back to pbx */
    q.source.name = SLICE("narrow");
    assert_string_equal(route_query(&q), "410"); /* without the in rule of pbx */
    q.dialled = SLICE("6002");
    assert_non_null(strstr(route_query(&q), "account/6002"));
    q.source.name = SLICE("pbx");
    assert_string_equal(route_query(&q), "404"); /* of which the in rule makes no number */
    q = query("113");
    q.source = (struct edge_source){.kind = EDGE_SOURCE_TRUNK, .name = SLICE("far")}; /* seen from campus */
    assert_string_equal(route_query(&q), "trunk/pbx=113[sip:113@10.1.0.10:5060 sip:113@[2001:db8::7]:5070]");
}

/* Live owners, the newest binding first, then suspects, then the dead; who was evicted or is none of us is a different
 * matter. */
static void bindings_of_other_owners(void **state)
{
    (void)state;
    kit_heartbeat(&kit, "live", "campus");
    assert_string_equal(route("6002"), "account/6002@live=6002[10.9.0.2] account/6002@slow=6002[10.9.0.3] "
                                       "account/6002@gone=6002[10.9.0.1] account/6002@stranger=6002[10.9.0.4]");
    assert_int_equal(answer.targets[0].hops[0].transport, PLAN_TLS);
    assert_int_equal(answer.targets[0].hops[0].port, 5061);
    assert_string_equal(route("alice"), "account/alice@gone=alice[10.9.0.1]"); /* stale is better than nothing */
    assert_int_equal(answer.rule, 2);
    assert_string_equal(route("71"), "480"); /* the gateway's only binding is at the evicted node */
    struct binding b = kit_binding("6002", "sip:6002@192.0.2.7", 60000);
    assert_int_equal(kit_write(&kit, &b, 1, NULL, 0), ERR_OK);
    assert_string_equal(route("6002"), "account/6002=6002[sip:6002@192.0.2.7] account/6002@live=6002[10.9.0.2] "
                                       "account/6002@slow=6002[10.9.0.3] account/6002@gone=6002[10.9.0.1] "
                                       "account/6002@stranger=6002[10.9.0.4]");
    b.since.ms = 999; /* it went over to the other node since */
    assert_int_equal(kit_write(&kit, &b, 1, NULL, 0), ERR_OK);
    assert_string_equal(route("6002"), "account/6002@live=6002[10.9.0.2] account/6002=6002[sip:6002@192.0.2.7] "
                                       "account/6002@slow=6002[10.9.0.3] account/6002@gone=6002[10.9.0.1] "
                                       "account/6002@stranger=6002[10.9.0.4]");
    assert_int_equal(kit_write(&kit, NULL, 0, &b, 1), ERR_OK);
}

static void a_site_is_its_live_nodes(void **state)
{
    (void)state;
    kit_heartbeat(&kit, "live", "campus");
    assert_string_equal(route("8100"), "site/campus@live=8100[10.9.0.2] site/campus@slow=8100[10.9.0.3]");
}

static void an_account_whose_name_is_no_number(void **state)
{
    struct binding b = kit_binding("alice", "sip:alice@192.0.2.7:5066", 60000);
    (void)state;
    assert_int_equal(kit_write(&kit, &b, 1, NULL, 0), ERR_OK);
    assert_string_equal(route("alice"),
                        "account/alice=alice[sip:alice@192.0.2.7:5066] account/alice@gone=alice[10.9.0.1]");
    assert_int_equal(answer.rule, 2);
    assert_false(answer.targets[0].number_in_contact);
    struct edge_query q = query("alice");
    q.source = (struct edge_source){.kind = EDGE_SOURCE_ACCOUNT, .name = SLICE("alice")};
    assert_string_equal(route_query(&q), "404"); /* herself */
    assert_string_equal(route("Alice"), "404");
    assert_int_equal(kit_write(&kit, NULL, 0, &b, 1), ERR_OK);
}

static void a_gateway_gets_the_number_in_its_contact(void **state)
{
    struct binding b = kit_binding("gw", "sip:gw@192.0.2.7:5066;x=y", 60000);
    (void)state;
    assert_int_equal(kit_write(&kit, &b, 1, NULL, 0), ERR_OK);
    assert_string_equal(route("7123"), "account/gw=34123[sip:34123@192.0.2.7:5066;x=y]");
    assert_true(answer.targets[0].number_in_contact);
    assert_string_equal(route("gw"), "account/gw=gw[sip:gw@192.0.2.7:5066;x=y]");
    assert_int_equal(kit_write(&kit, NULL, 0, &b, 1), ERR_OK);
    assert_string_equal(route("7123"), "480"); /* withdrawn with its binding */
}

/* Two devices ring together; the second flow of one of them is only another way to it. */
static void flows_of_one_device_are_tried_in_turn(void **state)
{
    struct binding list[4];
    (void)state;
    for (unsigned i = 0; i < 4; i++) {
        static const char *const contacts[] = {"sip:gw@192.0.2.7:1", "sip:gw@192.0.2.7:2", "sip:gw@192.0.2.7:3",
                                               "sip:gw@192.0.2.7:4"};
        list[i] = kit_binding("gw", contacts[i], 60000);
        list[i].since.ms = 5000 - i;
        list[i].instance = i == 1 ? SLICE("<urn:uuid:b>") : SLICE("<urn:uuid:a>");
        list[i].reg_id = i + 1;
    }
    list[3].reg_id = 0; /* no flow: a contact like others */
    assert_int_equal(kit_write(&kit, list, 4, NULL, 0), ERR_OK);
    assert_string_equal(route("gw"), "account/gw=gw[sip:gw@192.0.2.7:1 sip:gw@192.0.2.7:2 sip:gw@192.0.2.7:4 "
                                     "sip:gw@192.0.2.7:3]");
    const struct edge_hop *hops = answer.targets[0].hops;
    assert_true(hops[1].with_previous && hops[2].with_previous && !hops[3].with_previous);
    assert_int_equal(kit_write(&kit, NULL, 0, list, 4), ERR_OK);
}

static void store_device(const char *owner, uint64_t version, int64_t since_ms, const char *instance)
{
    struct binding b = kit_binding("6002", "sip:6002@192.0.2.9", 60000);
    struct buf packed = {0};
    char key[BINDING_KEY_MAX];
    b.since.ms = since_ms;
    b.instance = slice_of(instance);
    assert_int_equal(binding_pack(&b, true, &packed), ERR_OK);
    kit_store_record(kit.node.store, owner, version, STATE_BINDING, binding_key(&b, key), buf_view(&packed));
    buf_fini(&packed);
}

#define DEVICE_URI "sip:6002@example.org;gr=urn:uuid:a"

static const char *route_device(const char *account, const struct edge_device *device)
{
    struct edge_query q = query(account);
    q.device = device;
    q.source = (struct edge_source){.kind = EDGE_SOURCE_ACCOUNT, .name = SLICE("6002")}; /* another device of it */
    return route_query(&q);
}

/* Only the device that is meant, where it registered last first; at the others' hosts the URI itself says which. */
static void one_device_of_an_account(void **state)
{
    const struct edge_device device = {.instance = SLICE("<URN:uuid:a>"), .uri = SLICE(DEVICE_URI)};
    const struct edge_device nobody = {.instance = SLICE("<urn:uuid:c>"), .uri = SLICE(DEVICE_URI)};
    struct edge_device temporary = device;
    struct binding list[3];
    static const char *const contacts[] = {"sip:6002@192.0.2.7:1", "sip:6002@192.0.2.7:2", "sip:6002@192.0.2.7:3"};
    (void)state;
    for (size_t i = 0; i < 3; i++) {
        list[i] = kit_binding("6002", contacts[i], 60000);
        list[i].since.ms = 5000 + (int64_t)i;
        list[i].instance = i == 2 ? SLICE("<urn:uuid:b>") : SLICE("<urn:uuid:a>");
    }
    kit_heartbeat(&kit, "live", "campus");
    assert_string_equal(route_device("6002", &device), "480"); /* known, and nowhere */
    assert_int_equal(kit_write(&kit, list, 3, NULL, 0), ERR_OK);
    assert_string_equal(route_device("6002", &device), "account/6002=6002[sip:6002@192.0.2.7:2]");
    assert_int_equal(answer.rule, 2);
    assert_int_equal(answer.targets[0].node.n, 0);
    assert_string_equal(route_device("6002", &nobody), "480");
    assert_string_equal(route_device("6009", &device), "404");
    store_device("live", 100, 9000, "<urn:uuid:a>");
    store_device("slow", 101, 5500, "<urn:uuid:b>");
    store_device("gone", 102, 9999, "<urn:uuid:a>");
    assert_string_equal(route_device("6002", &device),
                        "account/6002@live=6002[" DEVICE_URI "] account/6002=6002[sip:6002@192.0.2.7:2] "
                        "account/6002@gone=6002[" DEVICE_URI "]");
    assert_true(answer.targets[0].one_device);
    /* A temporary address is good while the registration is the same one: for who has the binding to say. */
    temporary.temporary = true;
    temporary.registration = edge_device_registration(SLICE("c@d"));
    struct edge_query q = query("6002");
    q.device = &temporary;
    q.named_target = SLICE("account/6002");
    q.source = (struct edge_source){.kind = EDGE_SOURCE_MEMBER, .name = SLICE("live")};
    assert_string_equal(route_query(&q), "account/6002=6002[sip:6002@192.0.2.7:2]");
    temporary.registration = edge_device_registration(SLICE("of before"));
    assert_string_equal(route_query(&q), "404");
    assert_int_equal(kit_write(&kit, NULL, 0, list, 3), ERR_OK);
}

/* q first, the newest of equal ones; directly where nothing stands between. */
static void contacts_in_order_and_how_they_are_reached(void **state)
{
    struct binding list[4] = {
        kit_binding("6001", "sip:a@192.0.2.7:5070", 60000),
        kit_binding("6001", "sip:b@10.0.0.1:5070", 60000),
        kit_binding("6001", "sip:c@192.0.2.7:5070;transport=tcp", 60000),
        kit_binding("6001", "sip:d@192.0.2.7", 60000),
    };
    (void)state;
    for (size_t i = 0; i < 4; i++)
        list[i].since.ms = 1000 * (int64_t)(i + 1);
    list[1].q_milli = 500;
    list[0].path = SLICE("<sip:edge.example.org;lr>");
    assert_int_equal(kit_write(&kit, list, 4, NULL, 0), ERR_OK);
    assert_string_equal(route("6001"), "account/6001=6001[sip:d@192.0.2.7 sip:c@192.0.2.7:5070;transport=tcp "
                                       "sip:a@192.0.2.7:5070 sip:b@10.0.0.1:5070]");
    const struct edge_hop *h = answer.targets[0].hops;
    assert_int_equal(h[0].port, 5060); /* its own port, not the one that the REGISTER came from */
    assert_int_equal(h[0].received.n, 0);
    assert_true(slice_is(h[1].received, "udp:192.0.2.7:5060")); /* it asks for TCP, and came by UDP */
    assert_true(slice_is(h[2].received, "udp:192.0.2.7:5060")); /* to the proxy that it came by */
    assert_true(slice_is(h[2].route, "<sip:edge.example.org;lr>"));
    assert_true(slice_is(h[3].received, "udp:192.0.2.7:5060")); /* behind a NAT */
    assert_int_equal(kit_write(&kit, NULL, 0, list, 4), ERR_OK);
}

static void a_target_that_a_member_names(void **state)
{
    static const struct {
        const char *target;
        const char *number;
        const char *expected;
    } cases[] = {
        {"trunk/pbx", "+4930", "trunk/pbx=030[sip:030@10.1.0.10:5060 sip:030@[2001:db8::7]:5070]"},
        {"trunk/far", "1", "480"},    /* another site's */
        {"trunk/off", "1", "480"},    /* disabled */
        {"trunk/nobody", "1", "480"}, /* not in the plan */
        {"account/6001", "6001", "480"},
        {"account/6003", "6003", "480"},
        {"reject/404", "1", "480"},
        {"site/campus", "6100", "480"}, /* not this one */
        {"site/hq", "6100", "trunk/pbx=6100[sip:6100@10.1.0.10:5060 sip:6100@[2001:db8::7]:5070]"},
        {"site/hq", "030123", "404"}, /* a plan number already: no dial rule */
        {"site/hq", "8100", "480"},   /* and never a second crossing */
        {"site/hq", "6002", "480"},
        {"trunk/", "1", "480"},
        {"%n%s", "1", "480"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct edge_query q = query(cases[i].number);
        q.named_target = slice_of(cases[i].target);
        q.source.kind = EDGE_SOURCE_MEMBER;
        const char *got = route_query(&q);
        if (strcmp(got, cases[i].expected) != 0) fail_msg("%s %s: %s", cases[i].target, cases[i].number, got);
    }
}

/* Its certificate still opens a TLS connection. */
static void a_member_that_was_evicted_is_refused(void **state)
{
    struct edge_query q = query("6100");
    (void)state;
    q.named_target = SLICE("trunk/pbx");
    q.source = (struct edge_source){.kind = EDGE_SOURCE_MEMBER, .name = SLICE("thrown")};
    assert_string_equal(route_query(&q), "403");
    q.source.name = SLICE("gone");
    assert_string_equal(route_query(&q), "trunk/pbx=6100[sip:6100@10.1.0.10:5060 sip:6100@[2001:db8::7]:5070]");
}

static void a_named_account_and_number_in_contact(void **state)
{
    struct binding b = kit_binding("6001", "sip:[2001:db8::9]:5070", 60000);
    struct edge_query q = query("6001777");
    (void)state;
    assert_int_equal(kit_write(&kit, &b, 1, NULL, 0), ERR_OK);
    q.named_target = SLICE("account/6001");
    assert_string_equal(route_query(&q), "account/6001=6001777[sip:[2001:db8::9]:5070]");
    q.number_in_contact = true;
    assert_string_equal(route_query(&q), "account/6001=6001777[sip:6001777@[2001:db8::9]:5070]");
    assert_int_equal(kit_write(&kit, NULL, 0, &b, 1), ERR_OK);
}

static void odd_contacts(void **state)
{
    static const struct {
        const char *contact;
        const char *expected; /* NULL: none */
    } cases[] = {
        {"sip:gw@10.0.0.1", "sip:7#1@10.0.0.1"},
        {"sip:10.0.0.1:5070", "sip:7#1@10.0.0.1:5070"},
        {"sip:[2001:db8::9]", "sip:7#1@[2001:db8::9]"},
        {"sip:gw@[2001:db8::9]:5070;transport=tcp", "sip:7#1@[2001:db8::9]:5070;transport=tcp"},
        {"sips:gw@pbx.example.org", "sips:7#1@pbx.example.org"},
        {"sip:user;phone-context=x:secret@10.0.0.1", "sip:7#1@10.0.0.1"},
        {"sip:10.0.0.1;x=a%40b", "sip:7#1@10.0.0.1;x=a%40b"},
        {"tel:+4930", NULL},
        {"sip:", NULL},
        {"sip:@", NULL},
        {"gw", NULL},
        {"", NULL},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct arena scratch = {0};
        struct slice got = hops_contact_number(&scratch, slice_of(cases[i].contact), SLICE("7#1"));
        struct buf expected = {0};
        for (const char *c = cases[i].expected; c != NULL && *c != '\0'; c++)
            buf_printf(&expected, *c == '#' ? "%%23" : "%c", *c);
        if (cases[i].expected == NULL ? got.p != NULL : !slice_eq(got, buf_view(&expected)))
            fail_msg("%s: %.*s", cases[i].contact, SLICE_ARG(got));
        buf_fini(&expected);
        arena_fini(&scratch);
    }
}

static const char *source_of(const char *address)
{
    static char name[80];
    struct flow flow = {.transport = PLAN_UDP};
    struct edge_source s;
    assert_int_equal(sock_address_parse(slice_of(address), 5060, &flow.remote), ERR_OK);
    arena_fini(&arena);
    routing_source_hook(&kit.node, &arena, &flow, &s);
    (void)snprintf(name, sizeof name, "%.*s", SLICE_ARG(s.name));
    return s.kind == EDGE_SOURCE_TRUNK ? name : "?";
}

static void sources_by_the_longest_range(void **state)
{
    (void)state;
    assert_string_equal(source_of("10.1.0.1"), "pbx");
    assert_string_equal(source_of("10.1.2.1"), "narrow");
    assert_string_equal(source_of("10.2.0.1"), "far");
    assert_string_equal(source_of("10.3.0.1"), "?"); /* of a disabled trunk */
    assert_string_equal(source_of("2001:db8::1"), "?");
    assert_string_equal(source_of("::ffff:10.1.2.1"), "narrow");
}

static void small_hooks_follow_the_plan(void **state)
{
    struct plan_account account;
    (void)state;
    assert_true(slice_is(routing_domain_hook(&kit.node), "example.org"));
    struct digest_offer offer = routing_digests_hook(&kit.node);
    assert_int_equal(offer.count, 1);
    assert_int_equal(offer.algorithms[0], HASH_MD5);
    arena_fini(&arena);
    assert_int_equal(routing_account_hook(&kit.node, &arena, SLICE("6001"), &account), ERR_OK);
    assert_true(slice_is(account.name, "6001"));
    static const char hidden[] = "6001\0x";
    struct slice odd[] = {SLICE(""), SLICE("6001/"), SLICE("../6001"), {hidden, sizeof hidden - 1}, SLICE("nobody")};
    for (size_t i = 0; i < sizeof odd / sizeof odd[0]; i++)
        assert_int_equal(routing_account_hook(&kit.node, &arena, odd[i], &account), ERR_NOTFOUND);
    char longest[400];
    memset(longest, 'a', sizeof longest);
    assert_int_equal(routing_account_hook(&kit.node, &arena, (struct slice){longest, sizeof longest}, &account),
                     ERR_NOTFOUND);
    struct slice before = routing_domain_hook(&kit.node);
    kit_plan(&kit, "plan: 1\ndefaults: { domain: other.example }\n");
    assert_true(slice_is(routing_domain_hook(&kit.node), "other.example"));
    assert_memory_equal(before.p, "other.examp", before.n); /* what was held is no freed memory */
    assert_int_equal(routing_digests_hook(&kit.node).count, 3);
    kit_plan(&kit, "plan: 1\ndefaults: { domain: example.org, digest: [md5] }\n");
}

/* An account that left the plan keeps its bindings until they end, and nobody is sent to them. */
static void a_binding_without_its_account(void **state)
{
    struct binding b = kit_binding("6001", "sip:6001@192.0.2.7", 60000);
    struct edge_query q = query("6001");
    (void)state;
    assert_int_equal(kit_write(&kit, &b, 1, NULL, 0), ERR_OK);
    kit_plan(&kit, "plan: 1\nremove: [\"account/6001\"]\n");
    assert_string_equal(route("6001"), "trunk/pbx=6001[sip:6001@10.1.0.10:5060 sip:6001@[2001:db8::7]:5070]");
    q.named_target = SLICE("account/6001");
    assert_string_equal(route_query(&q), "480");
    kit_plan(&kit, "plan: 1\ndefaults: { domain: example.org, digest: [md5] }\n"
                   "accounts: { \"6001\": { password: x, max_contacts: 4, disabled: true } }\n");
    assert_string_equal(route("6001"), "480");
    assert_string_equal(route_query(&q), "480");
    assert_int_equal(kit_write(&kit, NULL, 0, &b, 1), ERR_OK);
}

static void more_matches_than_usual(void **state)
{
    char yaml[4096] = "plan: 1\nroutes:\n";
    (void)state;
    for (int i = 0; i < 20; i++) {
        size_t at = strlen(yaml);
        (void)snprintf(yaml + at, sizeof yaml - at, "  - { match: \"5%.*s\", to: trunk/off, overflow: true }\n", i,
                       "55555555555555555555");
    }
    (void)strcat(yaml, "  - { match: \"5\", to: trunk/pbx, priority: 90 }\n");
    kit_plan(&kit, yaml);
    assert_string_equal(route("555555555555555555555"),
                        "trunk/pbx=555555555555555555555[sip:555555555555555555555@10.1.0.10:5060 "
                        "sip:555555555555555555555@[2001:db8::7]:5070]");
}

/* Where a call fails over to the target, its limit is the one of the decision before. */
static void a_limit_that_the_plan_takes_away(void **state)
{
    static const char *const limited = "plan: 1\ntrunks:\n"
                                       "  pbx: { site: hq, address: [\"10.1.0.10\"], calls: 1 }\n";
    static const char *const unlimited = "plan: 1\ntrunks:\n"
                                         "  pbx: { site: hq, address: [\"10.1.0.10\"] }\n";
    struct edge_query q = query("6100");
    struct slice pbx = SLICE("trunk/pbx");
    (void)state;
    q.call = true;
    kit_plan(&kit, limited);
    assert_string_equal(route_query(&q), "trunk/pbx=6100[sip:6100@10.1.0.10]");
    struct usage_of *held = usage_hold(kit.node.usage, pbx, (struct mono){uv_now(kit.loop) * 1000});
    assert_string_equal(route_query(&q), "503");
    assert_false(limits_admit_hook(&kit.node, pbx));
    kit_plan(&kit, unlimited);
    assert_string_equal(route_query(&q), "trunk/pbx=6100[sip:6100@10.1.0.10]");
    assert_true(limits_admit_hook(&kit.node, pbx));
    usage_release(kit.node.usage, held);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(numbers_and_trunks),
        cmocka_unit_test(the_source_chooses_rules_and_is_not_called_back),
        cmocka_unit_test(bindings_of_other_owners),
        cmocka_unit_test(a_site_is_its_live_nodes),
        cmocka_unit_test(an_account_whose_name_is_no_number),
        cmocka_unit_test(a_gateway_gets_the_number_in_its_contact),
        cmocka_unit_test(flows_of_one_device_are_tried_in_turn),
        cmocka_unit_test(one_device_of_an_account),
        cmocka_unit_test(contacts_in_order_and_how_they_are_reached),
        cmocka_unit_test(a_target_that_a_member_names),
        cmocka_unit_test(a_named_account_and_number_in_contact),
        cmocka_unit_test(a_member_that_was_evicted_is_refused),
        cmocka_unit_test(odd_contacts),
        cmocka_unit_test(sources_by_the_longest_range),
        cmocka_unit_test(small_hooks_follow_the_plan),
        cmocka_unit_test(a_binding_without_its_account),
        cmocka_unit_test(more_matches_than_usual),
        cmocka_unit_test(a_limit_that_the_plan_takes_away),
    };
    return cmocka_run_group_tests(tests, open_node, close_node);
}
