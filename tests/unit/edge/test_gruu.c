/* Addresses of one device (RFC 5627): given with a registration, read back by any node of the cluster, asked of the
 * plan outside and inside dialogs. */
#include "call_kit.h"

#include "node/edge/edge_internal.h"
#include "node/edge/gruu.h"
#include "node/sip/cookie.h"

#define INSTANCE "<urn:uuid:f81d4fae-7dec-11d0-a765-00a0c91e6bf6>"
#define PUBLIC "sip:6001@example.org;gr=urn:uuid:f81d4fae-7dec-11d0-a765-00a0c91e6bf6"

static struct binding phone(const char *instance)
{
    return (struct binding){.account = SLICE("6001"),
                            .contact = SLICE("sip:6001@192.0.2.7:5060"),
                            .instance = slice_of(instance),
                            .call_id = SLICE("reg-1")};
}

/* The value of a parameter as it is put behind a Contact. */
static void param_of(struct world *w, const struct binding *b, const char *name, char out[512])
{
    struct buf text = {0};
    char start[32];
    gruu_params(w->n.edge, b, &text);
    buf_add(&text, "", 1);
    assert_false(text.failed);
    (void)snprintf(start, sizeof start, ";%s=\"", name);
    const char *found = strstr(text.p, start);
    assert_non_null(found);
    found += strlen(start);
    (void)snprintf(out, 512, "%.*s", (int)strcspn(found, "\""), found);
    buf_fini(&text);
}

static enum gruu_verdict read_uri(struct world *w, const char *text, char account[64], struct edge_device *device)
{
    static struct arena arena;
    struct sip_uri uri;
    struct slice name = SLICE("");
    arena_fini(&arena);
    assert_int_equal(sip_uri_parse(&arena, slice_of(text), &uri), ERR_OK);
    enum gruu_verdict v = gruu_read(w->n.edge, &arena, &uri, &name, device);
    (void)snprintf(account, 64, "%.*s", SLICE_ARG(name));
    return v;
}

static void what_is_written_is_read(void **state)
{
    static const char *const instances[] = {INSTANCE, "<urn:x:a;b=c?d@e%f>", "<mac:00a0c9>"};
    struct world *w = *state;
    for (size_t i = 0; i < sizeof instances / sizeof instances[0]; i++) {
        struct binding b = phone(instances[i]);
        struct edge_device device;
        char text[512];
        char account[64];
        param_of(w, &b, "pub-gruu", text);
        assert_int_equal(read_uri(w, text, account, &device), GRUU_KNOWN);
        assert_string_equal(account, "6001");
        assert_true(slice_is(device.instance, instances[i]));
        assert_false(device.temporary);
        param_of(w, &b, "temp-gruu", text);
        assert_null(strstr(text, "6001"));
        assert_int_equal(read_uri(w, text, account, &device), GRUU_KNOWN);
        assert_string_equal(account, "6001");
        assert_true(slice_is(device.instance, instances[i]));
        assert_true(device.temporary);
        assert_int_equal(device.registration, edge_device_registration(SLICE("reg-1")));
        assert_int_not_equal(device.registration, edge_device_registration(SLICE("reg-2")));
    }
    struct binding b = phone(INSTANCE);
    char one[512];
    char two[512];
    param_of(w, &b, "pub-gruu", one);
    assert_string_equal(one, PUBLIC);
    param_of(w, &b, "temp-gruu", one);
    param_of(w, &b, "temp-gruu", two);
    assert_string_not_equal(one, two); /* nobody sees that they are of one device */
}

static void who_gets_none(void **state)
{
    struct world *w = *state;
    struct buf text = {0};
    struct binding b = phone("");
    gruu_params(w->n.edge, &b, &text);
    b = phone(INSTANCE);
    b.contact = SLICE("sip:192.0.2.7;bnc");
    gruu_params(w->n.edge, &b, &text);
    assert_int_equal(text.n, 0);
}

static void what_is_none(void **state)
{
    static const struct {
        const char *uri;
        enum gruu_verdict verdict;
    } cases[] = {
        {"sip:6001@example.org", GRUU_NONE},
        {"sip:6001@elsewhere.example;gr=urn:uuid:1", GRUU_NONE},
        {"sip:6001@example.org;gr", GRUU_UNKNOWN},
        {"sip:tgruu.@example.org;gr", GRUU_UNKNOWN},
        {"sip:tgruu.AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA@example.org;gr", GRUU_UNKNOWN},
        {"sip:example.org;gr", GRUU_UNKNOWN},
    };
    struct world *w = *state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct edge_device device;
        char account[64];
        enum gruu_verdict v = read_uri(w, cases[i].uri, account, &device);
        if (v != cases[i].verdict) fail_msg("%s: %d", cases[i].uri, (int)v);
    }
    /* A cloak of the other kind, and one that was changed on the way. */
    struct binding b = phone(INSTANCE);
    struct edge_device device;
    struct buf cloak = {0};
    char account[64];
    char text[512];
    assert_int_equal(cloak_put_on(w->n.edge->cloak,
                                  SLICE("1234567812345678"
                                        "6001\0" INSTANCE),
                                  &cloak),
                     ERR_OK);
    (void)snprintf(text, sizeof text, "sip:tgruu.%.*s@example.org;gr", (int)cloak.n, cloak.p);
    assert_int_equal(read_uri(w, text, account, &device), GRUU_UNKNOWN);
    buf_fini(&cloak);
    param_of(w, &b, "temp-gruu", text);
    char *last = strchr(text, '@') - 2;
    *last = *last == 'A' ? 'B' : 'A';
    assert_int_equal(read_uri(w, text, account, &device), GRUU_UNKNOWN);
}

/* ---- requests ---- */

static void invite(struct world *w, struct ua *from, const char *uri, const char *branch)
{
    ua_request(from, &w->n, &(struct request){.method = "INVITE", .branch = branch, .uri = uri, .call_id = branch});
}

static void the_plan_is_asked_for_the_device(void **state)
{
    struct world *w = *state;
    struct binding b = phone(INSTANCE);
    char temporary[512];
    invite(w, &w->a, PUBLIC, "i1");
    ua_expect(&w->k, &w->b, "INVITE");
    assert_string_equal(w->n.dialled, "6001");
    assert_string_equal(w->n.device, INSTANCE);
    assert_string_equal(w->n.device_uri, PUBLIC);
    ua_reply(&w->b, 200, contact_line(&w->b));
    ua_expect_code(&w->k, &w->a, 200);
    param_of(w, &b, "temp-gruu", temporary);
    invite(w, &w->a, temporary, "i2");
    ua_expect(&w->k, &w->b, "INVITE");
    ua_lacks(&w->b, "tgruu");
    assert_string_equal(w->n.dialled, "6001");
    assert_true(w->n.device_temporary);
    assert_string_equal(w->n.device_uri, temporary);
    ua_reply(&w->b, 200, contact_line(&w->b));
    ua_expect_code(&w->k, &w->a, 200);
    invite(w, &w->a, "sip:8123@example.org", "i3");
    ua_expect(&w->k, &w->b, "INVITE");
    assert_string_equal(w->n.device, "");
    ua_reply(&w->b, 486, "");
    ua_expect_code(&w->k, &w->a, 486);
}

static void a_forged_one_is_not_found(void **state)
{
    struct world *w = *state;
    const char *forged = "sip:tgruu.AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA@example.org;gr";
    invite(w, &w->a, forged, "i1");
    ua_expect_code(&w->k, &w->a, 404);
    assert_int_equal(kit_count(&w->n, "edge", "refused_gruu"), 1);
    assert_int_equal(w->n.questions, 0);
    invite(w, &w->c, forged, "i2"); /* a stranger is told nothing */
    ua_expect_code(&w->k, &w->c, 407);
}

/* The member is told which device, as we were. */
static void it_crosses_the_mesh_as_it_is(void **state)
{
    struct world *w = *state;
    w->n.targets[0].node = SLICE("n2");
    w->n.targets[0].number = SLICE("6001");
    w->n.targets[0].one_device = true;
    (void)snprintf(w->n.texts[0][0], sizeof w->n.texts[0][0], "%s", PUBLIC);
    w->n.hops[0][0].request_uri = slice_of(w->n.texts[0][0]);
    invite(w, &w->a, PUBLIC, "i1");
    ua_expect(&w->k, &w->b, "INVITE");
    assert_true(slice_is(w->b.v.uri, PUBLIC));
    ua_has(&w->b, "tt=trunk/factory");
    ua_reply(&w->b, 486, "");
    ua_expect_code(&w->k, &w->a, 486);
}

/* Who gave it as the Contact of a call is asked for in the plan, wherever it is by then. */
static void inside_a_dialog(void **state)
{
    struct world *w = *state;
    char routes[1024];
    char uri[64];
    call_up(w, routes, sizeof routes);
    size_t questions = w->n.questions;
    ua_request(
        &w->a, &w->n,
        &(struct request){.method = "INFO", .branch = "n1", .uri = PUBLIC, .to = CALLEE, .cseq = 2, .lines = routes});
    ua_expect(&w->k, &w->b, "INFO");
    (void)snprintf(uri, sizeof uri, "sip:8123@127.0.0.1:%u", w->b.port);
    assert_true(slice_is(w->b.v.uri, uri)); /* its contact, as the plan has it */
    assert_int_equal(w->n.questions, questions + 1);
    assert_string_equal(w->n.device, INSTANCE);
    ua_reply(&w->b, 200, "");
    ua_expect_code(&w->k, &w->a, 200);
    ua_request(&w->a, &w->n,
               &(struct request){.method = "ACK", .branch = "k2", .uri = PUBLIC, .to = CALLEE, .lines = routes});
    ua_expect(&w->k, &w->b, "ACK");
    assert_true(slice_is(w->b.v.uri, uri));
    w->n.target_count = 0;
    w->n.code = 480;
    ua_request(
        &w->a, &w->n,
        &(struct request){.method = "BYE", .branch = "y1", .uri = PUBLIC, .to = CALLEE, .cseq = 3, .lines = routes});
    ua_expect_code(&w->k, &w->a, 480);
}

/* It has moved to another node: that one is led to it by a Route with the dialog's cookie, and asks nobody further. */
static void inside_a_dialog_it_crosses_once(void **state)
{
    struct world *w = *state;
    char routes[1024];
    char sent[1100];
    call_up(w, routes, sizeof routes);
    w->n.targets[0].node = SLICE("n2");
    ua_request(
        &w->a, &w->n,
        &(struct request){.method = "INFO", .branch = "n1", .uri = PUBLIC, .to = CALLEE, .cseq = 2, .lines = routes});
    ua_expect(&w->k, &w->b, "INFO");
    assert_true(slice_is(w->b.v.uri, PUBLIC));
    struct slice route = sip_view_value(&w->b.v, SIP_ROUTE);
    assert_non_null(memmem(route.p, route.n, ";lr;ck=", 7));
    const char *cookie = strstr(w->b.in, ";lr;ck=");
    assert_non_null(cookie);
    ua_reply(&w->b, 200, "");
    ua_expect_code(&w->k, &w->a, 200);
    /* Had it come to us that way: */
    char *end = strrchr(routes, '>');
    assert_non_null(end);
    (void)snprintf(sent, sizeof sent, "%.*s;gd>\r\n", (int)(end - routes), routes);
    ua_request(
        &w->a, &w->n,
        &(struct request){.method = "INFO", .branch = "n2", .uri = PUBLIC, .to = CALLEE, .cseq = 3, .lines = sent});
    ua_expect_code(&w->k, &w->a, 480);
    ua_expect_nothing(&w->k, &w->b);
}

/* Of a call from a side that is shown nothing, which is our matter: the other node has a cookie that hides nothing. */
static void inside_a_dialog_of_a_hidden_side(void **state)
{
    struct world *w = *state;
    char routes[1024];
    w->n.trunk_hidden = true;
    call_up(w, routes, sizeof routes);
    w->n.targets[0].node = SLICE("n2");
    ua_request(
        &w->a, &w->n,
        &(struct request){.method = "INFO", .branch = "n1", .uri = PUBLIC, .to = CALLEE, .cseq = 2, .lines = routes});
    ua_expect(&w->k, &w->b, "INFO");
    const char *cookie = strstr(w->b.in, ";lr;ck=");
    assert_non_null(cookie);
    assert_int_equal(strncmp(cookie + 7 + SIP_COOKIE_TEXT - 1, ";gd>", 4), 0);
    assert_true(sip_dialog_cookie_ok(w->n.edge->dialog_mac, (struct slice){cookie + 7, SIP_COOKIE_TEXT - 1},
                                     SLICE("call-1"), SLICE("caller"), SLICE("callee"), 0));
}

#define WITH_WORLD(test) cmocka_unit_test_setup_teardown(test, world_open, world_close)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_WORLD(what_is_written_is_read),
        WITH_WORLD(who_gets_none),
        WITH_WORLD(what_is_none),
        WITH_WORLD(the_plan_is_asked_for_the_device),
        WITH_WORLD(a_forged_one_is_not_found),
        WITH_WORLD(it_crosses_the_mesh_as_it_is),
        WITH_WORLD(inside_a_dialog),
        WITH_WORLD(inside_a_dialog_it_crosses_once),
        WITH_WORLD(inside_a_dialog_of_a_hidden_side),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
