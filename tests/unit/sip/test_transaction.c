/* The four transaction machines under a virtual clock: each scenario is a list of events at times, and what comes out
 * is written down as "time action" and compared with the transcript that RFC 3261 §17 and RFC 6026 ask for. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

#include "node/sip/transaction.h"

#define REQUEST(method, via, tag)                                                                                      \
    method " sip:bob@10.0.0.2 SIP/2.0\r\nVia: " via "\r\nMax-Forwards: 70\r\nFrom: <sip:alice@a>;tag=" tag             \
           "\r\nTo: <sip:bob@b>\r\nCall-ID: call-1\r\nCSeq: 7 " method "\r\nContent-Length: 0\r\n\r\n"
#define VIA(branch) "SIP/2.0/UDP 10.0.0.1:5060;branch=" branch

static void view_of(struct sip_view *v, const char *text)
{
    assert_int_equal(sip_view_parse(v, text, strlen(text), NULL), SIP_FAULT_NONE);
}

/* ---- transcripts ---- */

struct world {
    struct sip_tx_table table;
    struct sip_tx tx;
    char key[SIP_TX_KEY_MAX];
    struct mono now;
    char said[1024];
};

static void say(struct world *w, unsigned actions)
{
    static const char *const names[] = {"send", "resend", "ack", "trying", "pass", "timed-out", "failed", "free"};
    for (unsigned i = 0; i < 8; i++) {
        if ((actions & 1u << i) == 0) continue;
        size_t n = strlen(w->said);
        (void)snprintf(w->said + n, sizeof w->said - n, "%s%llu %s", n > 0 ? ", " : "",
                       (unsigned long long)w->now.us / 1000, names[i]);
    }
}

static void fire(void *ctx, struct wheel_timer *t)
{
    struct world *w = ctx;
    enum sip_tx_event ev;
    struct sip_tx *tx = sip_tx_of_timer(CONTAINER_OF(t, struct sip_timer, timer), &ev);
    assert_ptr_equal(tx, &w->tx);
    say(w, sip_tx_step(&w->table, tx, ev, w->now));
}

static void run_until(struct world *w, uint64_t ms)
{
    while (w->now.us < ms * 1000) {
        w->now.us += WHEEL_TICK_US;
        wheel_advance(&w->table.wheel, w->now, fire, w);
    }
}

struct input {
    uint64_t at_ms;
    enum sip_tx_event ev;
};

struct scenario {
    const char *name;
    enum sip_tx_kind kind;
    bool reliable;
    struct input inputs[6];
    size_t input_count;
    uint64_t until_ms;
    const char *said;
    enum sip_tx_state state;
};

static const struct scenario scenarios[] = {
    {"INVITE client, nobody there",
     SIP_TX_INVITE_CLIENT,
     false,
     {{0}},
     0,
     60000,
     "500 resend, 1500 resend, 3500 resend, 7500 resend, 15500 resend, 31500 resend, 32000 timed-out, 32000 free",
     SIP_TX_NONE},
    {"INVITE client, nobody there, TCP",
     SIP_TX_INVITE_CLIENT,
     true,
     {{0}},
     0,
     60000,
     "32000 timed-out, 32000 free",
     SIP_TX_NONE},
    {"INVITE client, answered: 2xx repeats pass for 32 s",
     SIP_TX_INVITE_CLIENT,
     false,
     {{100, SIP_TX_1XX}, {200, SIP_TX_1XX}, {3000, SIP_TX_2XX}, {3500, SIP_TX_2XX}, {4000, SIP_TX_FAILURE}},
     5,
     60000,
     "100 pass, 200 pass, 3000 pass, 3500 pass, 35000 free",
     SIP_TX_NONE},
    {"INVITE client, 2xx at once",
     SIP_TX_INVITE_CLIENT,
     true,
     {{100, SIP_TX_2XX}},
     1,
     1000,
     "100 pass",
     SIP_TX_ACCEPTED},
    {"INVITE client, refused: each repeat is acknowledged",
     SIP_TX_INVITE_CLIENT,
     false,
     {{600, SIP_TX_FAILURE}, {1100, SIP_TX_FAILURE}, {1200, SIP_TX_2XX}, {1300, SIP_TX_1XX}},
     4,
     60000,
     "500 resend, 600 ack, 600 pass, 1100 ack, 32600 free",
     SIP_TX_NONE},
    {"INVITE client, refused, TCP",
     SIP_TX_INVITE_CLIENT,
     true,
     {{600, SIP_TX_FAILURE}},
     1,
     1000,
     "600 ack, 600 pass, 600 free",
     SIP_TX_NONE},
    {"INVITE client rings without end: Timer C is the proxy's",
     SIP_TX_INVITE_CLIENT,
     false,
     {{100, SIP_TX_1XX}},
     1,
     300000,
     "100 pass",
     SIP_TX_PROCEEDING},
    {"INVITE client, transport error",
     SIP_TX_INVITE_CLIENT,
     false,
     {{20, SIP_TX_ERROR}},
     1,
     1000,
     "20 failed, 20 free",
     SIP_TX_NONE},
    {"INVITE client, error while ringing is nothing",
     SIP_TX_INVITE_CLIENT,
     false,
     {{20, SIP_TX_1XX}, {30, SIP_TX_ERROR}},
     2,
     1000,
     "20 pass",
     SIP_TX_PROCEEDING},
    {"client, nobody there",
     SIP_TX_CLIENT,
     false,
     {{0}},
     0,
     60000,
     "500 resend, 1500 resend, 3500 resend, 7500 resend, 11500 resend, 15500 resend, 19500 resend, 23500 resend, 27500 "
     "resend, "
     "31500 resend, 32000 timed-out, 32000 free",
     SIP_TX_NONE},
    {"client, provisional: T2 from there",
     SIP_TX_CLIENT,
     false,
     {{600, SIP_TX_1XX}, {9000, SIP_TX_2XX}, {9500, SIP_TX_2XX}},
     3,
     60000,
     "500 resend, 600 pass, 4600 resend, 8600 resend, 9000 pass, 14000 free",
     SIP_TX_NONE},
    {"client, TCP", SIP_TX_CLIENT, true, {{600, SIP_TX_FAILURE}}, 1, 1000, "600 pass, 600 free", SIP_TX_NONE},
    {"client, provisional and no more",
     SIP_TX_CLIENT,
     true,
     {{600, SIP_TX_1XX}},
     1,
     60000,
     "600 pass, 32000 timed-out, 32000 free",
     SIP_TX_NONE},
    {"INVITE server, answered: repeats absorbed, ACK passes",
     SIP_TX_INVITE_SERVER,
     false,
     {{0, SIP_TX_1XX},
      {500, SIP_TX_REQUEST},
      {900, SIP_TX_2XX},
      {1000, SIP_TX_REQUEST},
      {1400, SIP_TX_2XX},
      {1500, SIP_TX_ACK}},
     6,
     60000,
     "0 send, 500 resend, 900 send, 1400 send, 1500 pass, 32900 free",
     SIP_TX_NONE},
    {"INVITE server, refused and acknowledged",
     SIP_TX_INVITE_SERVER,
     false,
     {{0, SIP_TX_1XX},
      {100, SIP_TX_FAILURE},
      {200, SIP_TX_REQUEST},
      {700, SIP_TX_ACK},
      {800, SIP_TX_ACK},
      {900, SIP_TX_REQUEST}},
     6,
     60000,
     "0 send, 100 send, 200 resend, 600 resend, 5700 free",
     SIP_TX_NONE},
    {"INVITE server, refused, no ACK",
     SIP_TX_INVITE_SERVER,
     false,
     {{0, SIP_TX_FAILURE}},
     1,
     60000,
     "0 send, 500 resend, 1500 resend, 3500 resend, 7500 resend, 11500 resend, 15500 resend, 19500 resend, 23500 "
     "resend, "
     "27500 resend, 31500 resend, 32000 timed-out, 32000 free",
     SIP_TX_NONE},
    {"INVITE server, refused, TCP: no repeats, ACK ends it",
     SIP_TX_INVITE_SERVER,
     true,
     {{0, SIP_TX_FAILURE}, {2000, SIP_TX_ACK}},
     2,
     60000,
     "0 send, 2000 free",
     SIP_TX_NONE},
    {"INVITE server, slow: 100 at 200 ms", SIP_TX_INVITE_SERVER, false, {{0}}, 0, 60000, "200 trying", SIP_TX_TRYING},
    {"INVITE server, slow: the request comes again before",
     SIP_TX_INVITE_SERVER,
     false,
     {{50, SIP_TX_REQUEST}, {50, SIP_TX_1XX}, {300, SIP_TX_REQUEST}},
     3,
     60000,
     "50 trying, 50 send, 300 resend",
     SIP_TX_PROCEEDING},
    {"INVITE server, answered in time: no 100",
     SIP_TX_INVITE_SERVER,
     false,
     {{150, SIP_TX_2XX}},
     1,
     1000,
     "150 send",
     SIP_TX_ACCEPTED},
    {"INVITE server, late 2xx after a failure",
     SIP_TX_INVITE_SERVER,
     false,
     {{0, SIP_TX_FAILURE}, {100, SIP_TX_2XX}, {200, SIP_TX_FAILURE}},
     3,
     300,
     "0 send, 100 send",
     SIP_TX_COMPLETED},
    {"server, slow: 100 at 3.5 s and not before",
     SIP_TX_SERVER,
     false,
     {{500, SIP_TX_REQUEST}},
     1,
     60000,
     "3500 trying",
     SIP_TX_TRYING},
    {"server, answered",
     SIP_TX_SERVER,
     false,
     {{100, SIP_TX_2XX}, {600, SIP_TX_REQUEST}, {700, SIP_TX_FAILURE}},
     3,
     60000,
     "100 send, 600 resend, 32100 free",
     SIP_TX_NONE},
    {"server, answered, TCP",
     SIP_TX_SERVER,
     true,
     {{100, SIP_TX_FAILURE}},
     1,
     60000,
     "100 send, 100 free",
     SIP_TX_NONE},
    {"server, provisional first",
     SIP_TX_SERVER,
     false,
     {{100, SIP_TX_1XX}, {200, SIP_TX_REQUEST}, {5000, SIP_TX_2XX}},
     3,
     6000,
     "100 send, 200 resend, 5000 send",
     SIP_TX_COMPLETED},
};

static void start(struct world *w, const struct scenario *s)
{
    struct sip_view v;
    bool invite = s->kind == SIP_TX_INVITE_CLIENT || s->kind == SIP_TX_INVITE_SERVER;
    view_of(&v, invite ? REQUEST("INVITE", VIA("z9hG4bKa"), "1") : REQUEST("OPTIONS", VIA("z9hG4bKa"), "1"));
    *w = (struct world){.now = {0}};
    assert_int_equal(sip_tx_table_init(&w->table, 1, w->now), ERR_OK);
    if (s->kind == SIP_TX_INVITE_SERVER || s->kind == SIP_TX_SERVER) {
        assert_int_equal(sip_tx_start_server(&w->table, &w->tx, w->key, &v, s->reliable, w->now), ERR_OK);
    } else {
        sip_tx_start_client(&w->table, &w->tx, 42, v.method, s->reliable, w->now);
    }
    assert_int_equal(w->tx.kind, s->kind);
}

static void machines(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof scenarios / sizeof scenarios[0]; i++) {
        const struct scenario *s = &scenarios[i];
        struct world w;
        start(&w, s);
        for (size_t k = 0; k < s->input_count; k++) {
            run_until(&w, s->inputs[k].at_ms);
            if (sip_tx_live(&w.tx)) say(&w, sip_tx_step(&w.table, &w.tx, s->inputs[k].ev, w.now));
        }
        run_until(&w, s->until_ms);
        if (strcmp(w.said, s->said) != 0) fail_msg("%s:\n said %s\n want %s", s->name, w.said, s->said);
        if (w.tx.state != s->state) fail_msg("%s: ended in %s", s->name, sip_tx_state_name(w.tx.state));
        sip_tx_remove(&w.table, &w.tx);
        assert_int_equal(w.table.wheel.count, 0);
        assert_int_equal(w.table.clients.count + w.table.servers.count, 0);
        sip_tx_table_fini(&w.table);
    }
}

static void quiet_stops_repeats_only(void **state)
{
    const struct scenario s = {.kind = SIP_TX_INVITE_CLIENT};
    struct world w;
    (void)state;
    start(&w, &s);
    run_until(&w, 1000);
    sip_tx_quiet(&w.table, &w.tx);
    run_until(&w, 60000);
    assert_string_equal(w.said, "500 resend, 32000 timed-out, 32000 free");
    sip_tx_table_fini(&w.table);
}

/* ---- finding ---- */

struct match_case {
    const char *name;
    const char *first;
    const char *second;
    enum sip_method as; /* looked for as */
    bool found;
};

#define LONG_VIA(tail)                                                                                                 \
    VIA("z9hG4bK012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789012345678"   \
        "9" tail)

static const struct match_case matches[] = {
    {"the same request", REQUEST("INVITE", VIA("z9hG4bKa"), "1"), REQUEST("INVITE", VIA("z9hG4bKa"), "1"), SIP_INVITE,
     true},
    {"another branch", REQUEST("INVITE", VIA("z9hG4bKa"), "1"), REQUEST("INVITE", VIA("z9hG4bKb"), "1"), SIP_INVITE,
     false},
    {"another sent-by", REQUEST("INVITE", VIA("z9hG4bKa"), "1"),
     REQUEST("INVITE", "SIP/2.0/UDP 10.0.0.1:5061;branch=z9hG4bKa", "1"), SIP_INVITE, false},
    {"ACK finds INVITE", REQUEST("INVITE", VIA("z9hG4bKa"), "1"), REQUEST("ACK", VIA("z9hG4bKa"), "1"), SIP_ACK, true},
    {"CANCEL is a transaction of its own", REQUEST("INVITE", VIA("z9hG4bKa"), "1"),
     REQUEST("CANCEL", VIA("z9hG4bKa"), "1"), SIP_CANCEL, false},
    {"what a CANCEL cancels", REQUEST("INVITE", VIA("z9hG4bKa"), "1"), REQUEST("CANCEL", VIA("z9hG4bKa"), "1"),
     SIP_INVITE, true},
    {"ACK finds no OPTIONS", REQUEST("OPTIONS", VIA("z9hG4bKa"), "1"), REQUEST("ACK", VIA("z9hG4bKa"), "1"), SIP_ACK,
     false},
    {"unknown methods by name", REQUEST("FOO", VIA("z9hG4bKa"), "1"), REQUEST("BAR", VIA("z9hG4bKa"), "1"),
     SIP_METHOD_OTHER, false},
    {"an unknown method again", REQUEST("FOO", VIA("z9hG4bKa"), "1"), REQUEST("FOO", VIA("z9hG4bKa"), "1"),
     SIP_METHOD_OTHER, true},
    {"old style: same Via and From tag", REQUEST("INVITE", VIA("1"), "1"), REQUEST("INVITE", VIA("1"), "1"), SIP_INVITE,
     true},
    {"old style: ACK", REQUEST("INVITE", "SIP/2.0/UDP 10.0.0.1", "1"), REQUEST("ACK", "SIP/2.0/UDP 10.0.0.1", "1"),
     SIP_ACK, true},
    {"old style: another From tag", REQUEST("INVITE", VIA("1"), "1"), REQUEST("INVITE", VIA("1"), "2"), SIP_INVITE,
     false},
    {"the magic alone is no branch", REQUEST("INVITE", VIA("z9hG4bK"), "1"), REQUEST("INVITE", VIA("z9hG4bK"), "2"),
     SIP_INVITE, false},
    {"a long branch", REQUEST("INVITE", LONG_VIA("x"), "1"), REQUEST("INVITE", LONG_VIA("x"), "1"), SIP_INVITE, true},
    {"long branches that differ at the end", REQUEST("INVITE", LONG_VIA("x"), "1"),
     REQUEST("INVITE", LONG_VIA("y"), "1"), SIP_INVITE, false},
};

static void server_matching(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof matches / sizeof matches[0]; i++) {
        const struct match_case *c = &matches[i];
        struct sip_tx_table t;
        struct sip_tx tx;
        char key[SIP_TX_KEY_MAX];
        struct sip_view v;
        assert_int_equal(sip_tx_table_init(&t, 99, (struct mono){0}), ERR_OK);
        view_of(&v, c->first);
        assert_int_equal(sip_tx_start_server(&t, &tx, key, &v, false, (struct mono){0}), ERR_OK);
        view_of(&v, c->second);
        struct sip_tx *found = sip_tx_find_server(&t, &v, c->as);
        if ((found == &tx) != c->found) fail_msg("%s", c->name);
        sip_tx_remove(&t, &tx);
        sip_tx_table_fini(&t);
    }
}

static struct sip_tx *find_response(const struct sip_tx_table *t, const char *branch, const char *method)
{
    char text[600];
    struct sip_view v;
    (void)snprintf(
        text, sizeof text,
        "SIP/2.0 200 OK\r\nVia: SIP/2.0/UDP 10.0.0.1;branch=%s\r\nFrom: <sip:a@a>;tag=1\r\nTo: <sip:b@b>;tag=2\r\n"
        "Call-ID: c\r\nCSeq: 7 %s\r\nContent-Length: 0\r\n\r\n",
        branch, method);
    view_of(&v, text);
    return sip_tx_find_client(t, &v);
}

static void client_matching(void **state)
{
    struct sip_tx_table t;
    struct sip_tx invite;
    struct sip_tx cancel;
    char branch[SIP_TX_BRANCH];
    char other[SIP_TX_BRANCH];
    (void)state;
    assert_int_equal(sip_tx_table_init(&t, 5, (struct mono){0}), ERR_OK);
    sip_tx_branch(UINT64_C(0x123456789abcdef0), 7, branch);
    sip_tx_branch(UINT64_C(0x123456789abcdef1), 7, other);
    assert_string_equal(branch, "z9hG4bK123456789abcdef0.0000000000000007");
    sip_tx_start_client(&t, &invite, UINT64_C(0x123456789abcdef0), SIP_INVITE, false, (struct mono){0});
    sip_tx_start_client(&t, &cancel, UINT64_C(0x123456789abcdef0), SIP_CANCEL, false, (struct mono){0});
    assert_ptr_equal(find_response(&t, branch, "INVITE"), &invite);
    assert_ptr_equal(find_response(&t, branch, "CANCEL"), &cancel);
    assert_null(find_response(&t, branch, "BYE"));
    assert_null(find_response(&t, other, "INVITE"));
    assert_null(find_response(&t, "z9hG4bK-not-ours", "INVITE"));
    assert_null(find_response(&t, "z9hG4bKzzzzzzzzzzzzzzzz.0000000000000007", "INVITE"));
    assert_ptr_equal(sip_tx_find_id(&t, UINT64_C(0x123456789abcdef0)), &invite);
    sip_tx_remove(&t, &invite);
    assert_null(sip_tx_find_id(&t, UINT64_C(0x123456789abcdef0)));
    sip_tx_remove(&t, &invite); /* twice is allowed */
    sip_tx_remove(&t, &cancel);
    sip_tx_table_fini(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(machines),
        cmocka_unit_test(quiet_stops_repeats_only),
        cmocka_unit_test(server_matching),
        cmocka_unit_test(client_matching),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
