/* Names against a small DNS server on the same loop: what is asked, in which order the answers come, and what the cache
 * spares. */
#include "dns_kit.h"
#include "node/edge/transport.h"

#define PATIENCE_MS 30000

static const struct record zone[] = {
    {"pbx.test", ns_t_a, 3600, "192.0.2.10", 0, 0, 0, NULL},
    {"both.test", ns_t_a, 3600, "192.0.2.20", 0, 0, 0, NULL},
    {"both.test", ns_t_aaaa, 3600, "2001:db8::20", 0, 0, 0, NULL},
    {"short.test", ns_t_a, 0, "192.0.2.30", 0, 0, 0, NULL},
    {"_sip._udp.srv.test", ns_t_srv, 3600, NULL, 20, 0, 5082, "two.srv.test"},
    {"_sip._udp.srv.test", ns_t_srv, 3600, NULL, 10, 0, 5081, "one.srv.test"},
    {"_sip._tcp.srv.test", ns_t_srv, 3600, NULL, 10, 0, 5091, "two.srv.test"},
    {"_sips._tcp.srv.test", ns_t_srv, 3600, NULL, 10, 0, 5092, "two.srv.test"},
    {"one.srv.test", ns_t_a, 3600, "192.0.2.1", 0, 0, 0, NULL},
    {"two.srv.test", ns_t_a, 3600, "192.0.2.2", 0, 0, 0, NULL},
    {"_sip._udp.none.test", ns_t_srv, 3600, NULL, 0, 0, 0, "."},
    {"none.test", ns_t_a, 3600, "192.0.2.40", 0, 0, 0, NULL},
    {"_sip._udp.half.test", ns_t_srv, 3600, NULL, 10, 0, 5081, "missing.test"},
    {"_sip._udp.half.test", ns_t_srv, 3600, NULL, 20, 0, 5082, "two.srv.test"},
    {"_sip._udp.no-udp.test", ns_t_srv, 3600, NULL, 0, 0, 0, "."},
    {"_sip._tcp.no-udp.test", ns_t_srv, 3600, NULL, 10, 0, 5074, "two.srv.test"},
    {"_sip._udp.many.test", ns_t_srv, 3600, NULL, 20, 0, 5101, "two.srv.test"},
    {"_sip._udp.many.test", ns_t_srv, 3600, NULL, 20, 0, 5102, "two.srv.test"},
    {"_sip._udp.many.test", ns_t_srv, 3600, NULL, 20, 0, 5103, "two.srv.test"},
    {"_sip._udp.many.test", ns_t_srv, 3600, NULL, 20, 0, 5104, "two.srv.test"},
    {"_sip._udp.many.test", ns_t_srv, 3600, NULL, 20, 0, 5105, "two.srv.test"},
    {"_sip._udp.many.test", ns_t_srv, 3600, NULL, 20, 0, 5106, "two.srv.test"},
    {"_sip._udp.many.test", ns_t_srv, 3600, NULL, 20, 0, 5107, "two.srv.test"},
    {"_sip._udp.many.test", ns_t_srv, 3600, NULL, 20, 0, 5108, "two.srv.test"},
    {"_sip._udp.many.test", ns_t_srv, 3600, NULL, 10, 0, 5100, "one.srv.test"},
    {"_sip._udp.odd.test", ns_t_srv, 3600, NULL, 10, 0, 5081, "bad name.test"},
    /* NAPTR: TLS before TCP before UDP, with one that is none of SIP and one by a way of its own */
    {"ways.test", ns_t_naptr, 3600, "s SIP+D2U", 50, 20, 0, "_sip._udp.ways.test"},
    {"ways.test", ns_t_naptr, 3600, "S sip+d2t", 50, 10, 0, "_Elsewhere._tcp.srv.test"},
    {"ways.test", ns_t_naptr, 3600, "s SIPS+D2T", 40, 90, 0, "_sips._tcp.srv.test"},
    {"ways.test", ns_t_naptr, 3600, "s E2U+email", 1, 1, 0, "x.test"},
    {"ways.test", ns_t_naptr, 3600, "u SIP+D2U", 2, 2, 0, ""},
    {"_elsewhere._tcp.srv.test", ns_t_srv, 3600, NULL, 10, 0, 5071, "one.srv.test"},
    {"_sip._udp.ways.test", ns_t_srv, 3600, NULL, 10, 0, 5072, "two.srv.test"},
    {"direct.test", ns_t_naptr, 3600, "a SIP+D2T", 1, 1, 0, "one.srv.test"},
    {"only-tcp.test", ns_t_a, 3600, "192.0.2.50", 0, 0, 0, NULL},
    {"_sip._tcp.only-tcp.test", ns_t_srv, 3600, NULL, 10, 0, 5073, "two.srv.test"},
    {"odd-way.test", ns_t_naptr, 3600, "s SIP+D2T", 1, 1, 0, "bad name.test"},
    {"odd-way.test", ns_t_a, 3600, "192.0.2.60", 0, 0, 0, NULL},
    {"_sip._udp.fair.test", ns_t_srv, 3600, NULL, 10, 75, 5081, "one.srv.test"},
    {"_sip._udp.fair.test", ns_t_srv, 3600, NULL, 10, 25, 5082, "two.srv.test"},
};

/* ---- the kit ---- */

struct kit {
    uv_loop_t loop;
    uv_timer_t patience;
    struct dns_server server;
    bool late;
    bool closed;
    struct dns *dns;
};

static void on_late(uv_timer_t *timer)
{
    struct kit *k = timer->data;
    k->late = true;
}

static void on_dns_closed(void *ctx)
{
    struct kit *k = ctx;
    k->closed = true;
}

static void turn_until(struct kit *k, const bool *done)
{
    assert_int_equal(uv_timer_start(&k->patience, on_late, PATIENCE_MS, 0), 0);
    while (!*done && !k->late)
        (void)uv_run(&k->loop, UV_RUN_ONCE);
    assert_int_equal(uv_timer_stop(&k->patience), 0);
    assert_false(k->late);
}

static void kit_open(struct kit *k)
{
    memset(k, 0, sizeof *k);
    assert_int_equal(uv_loop_init(&k->loop), 0);
    assert_int_equal(uv_timer_init(&k->loop, &k->patience), 0);
    k->patience.data = k;
    dns_server_open(&k->server, &k->loop, zone, sizeof zone / sizeof zone[0]);
    assert_int_equal(dns_open_at(&k->loop, NULL, k->server.at, &k->dns), ERR_OK);
}

static void kit_close(struct kit *k)
{
    if (!k->closed) {
        dns_close(k->dns, on_dns_closed, k);
        turn_until(k, &k->closed);
    }
    uv_close((uv_handle_t *)&k->patience, NULL);
    dns_server_close(&k->server);
    while (uv_run(&k->loop, UV_RUN_DEFAULT) != 0)
        continue;
    assert_int_equal(uv_loop_close(&k->loop), 0);
}

static uint64_t kit_count(const struct kit *k, const char *name)
{
    const struct counter_table *table = dns_counters(k->dns);
    for (size_t i = 0; i < table->count; i++) {
        if (strcmp(table->names[i], name) == 0) return counter_get(&table->values[i]);
    }
    fail_msg("no counter %s", name);
    return 0;
}

struct result {
    struct kit *k;
    bool done;
    enum err err;
    char text[512]; /* "192.0.2.1:5060 ..." */
    bool close_dns;
    const char *then; /* resolved from inside the callback */
    struct result *then_result;
};

static void on_resolved(void *ctx, enum err err, const union sock_address *addresses, size_t count)
{
    struct result *r = ctx;
    assert_false(r->done);
    r->done = true;
    r->err = err;
    assert_int_equal(err == ERR_OK, count > 0);
    for (size_t i = 0; i < count; i++) {
        char text[SOCK_ADDRESS_TEXT];
        size_t n = strlen(r->text);
        (void)snprintf(r->text + n, sizeof r->text - n, "%s%s", n > 0 ? " " : "",
                       sock_address_text(&addresses[i], text));
    }
    if (r->then != NULL) {
        assert_int_equal(dns_resolve(r->k->dns, slice_of(r->then), 5060, PLAN_UDP, on_resolved, r->then_result),
                         ERR_OK);
    }
    if (r->close_dns) dns_close(r->k->dns, on_dns_closed, r->k);
    uv_stop(&r->k->loop);
}

static struct result resolve(struct kit *k, const char *host, uint16_t port, enum plan_transport transport)
{
    struct result r = {.k = k};
    assert_int_equal(dns_resolve(k->dns, slice_of(host), port, transport, on_resolved, &r), ERR_OK);
    turn_until(k, &r.done);
    return r;
}

/* ---- tests ---- */

static void test_answers(void **state)
{
    static const struct {
        const char *host;
        uint16_t port;
        enum plan_transport transport;
        enum err err;
        const char *text;
    } rows[] = {
        {"192.0.2.99", 0, PLAN_UDP, ERR_OK, "192.0.2.99:5060"},
        {"192.0.2.99", 0, PLAN_TLS, ERR_OK, "192.0.2.99:5061"},
        {"2001:db8::1", 5070, PLAN_TCP, ERR_OK, "[2001:db8::1]:5070"},
        {"pbx.test", 5070, PLAN_UDP, ERR_OK, "192.0.2.10:5070"},
        {"PBX.Test.", 5070, PLAN_UDP, ERR_OK, "192.0.2.10:5070"},
        {"pbx.test", 0, PLAN_UDP, ERR_OK, "192.0.2.10:5060"},
        {"pbx.test", 0, PLAN_TLS, ERR_OK, "192.0.2.10:5061"},
        {"srv.test", 0, PLAN_UDP, ERR_OK, "192.0.2.1:5081 192.0.2.2:5082"},
        {"srv.test", 0, PLAN_TCP, ERR_OK, "192.0.2.2:5091"},
        {"srv.test", 0, PLAN_TLS, ERR_OK, "192.0.2.2:5092"},
        {"srv.test", 5060, PLAN_UDP, ERR_NOTFOUND, ""}, /* a port means no SRV */
        {"none.test", 0, PLAN_UDP, ERR_NOTFOUND, ""},   /* SRV ".": not offered */
        {"none.test", 5060, PLAN_UDP, ERR_OK, "192.0.2.40:5060"},
        {"half.test", 0, PLAN_UDP, ERR_OK, "192.0.2.2:5082"},
        {"odd.test", 0, PLAN_UDP, ERR_NOTFOUND, ""},
        {"missing.test", 5060, PLAN_UDP, ERR_NOTFOUND, ""},
        {"localhost", 0, PLAN_UDP, ERR_OK, NULL}, /* /etc/hosts */
    };
    struct kit k;
    (void)state;
    kit_open(&k);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct result r = resolve(&k, rows[i].host, rows[i].port, rows[i].transport);
        assert_int_equal(r.err, rows[i].err);
        if (rows[i].text != NULL) assert_string_equal(r.text, rows[i].text);
    }
    struct result both =
        resolve(&k, "both.test", 5060, PLAN_UDP); /* which comes first depends on the machine's routes */
    assert_non_null(strstr(both.text, "192.0.2.20:5060"));
    assert_non_null(strstr(both.text, "[2001:db8::20]:5060"));
    kit_close(&k);
}

struct any_result {
    struct result r;
    enum plan_transport transport;
};

static void on_any(void *ctx, enum err err, enum plan_transport transport, const union sock_address *addresses,
                   size_t count)
{
    struct any_result *a = ctx;
    a->transport = transport;
    on_resolved(&a->r, err, addresses, count);
}

/* Nothing but a name: the transport is chosen among those that we have. */
static void test_transports(void **state)
{
    enum { U = 1 << PLAN_UDP, T = 1 << PLAN_TCP, S = 1 << PLAN_TLS };
    static const struct {
        const char *host;
        unsigned offered;
        enum plan_transport transport;
        const char *addresses; /* "" : none */
    } rows[] = {
        {"ways.test", U | T | S, PLAN_TLS, "192.0.2.2:5092"},
        {"ways.test", U | T, PLAN_TCP, "192.0.2.1:5071"},
        {"WAYS.test", U, PLAN_UDP, "192.0.2.2:5072"},
        {"direct.test", U | T, PLAN_TCP, "192.0.2.1:5060"},
        {"only-tcp.test", U | T, PLAN_TCP, "192.0.2.2:5073"},
        {"only-tcp.test", U, PLAN_UDP, "192.0.2.50:5060"},
        {"srv.test", U | T | S, PLAN_UDP, "192.0.2.1:5081 192.0.2.2:5082"},
        {"pbx.test", U | T | S, PLAN_UDP, "192.0.2.10:5060"},
        {"pbx.test", T | S, PLAN_TCP, "192.0.2.10:5060"},
        {"odd-way.test", U | T, PLAN_UDP, "192.0.2.60:5060"},
        {"no-udp.test", U | T, PLAN_TCP, "192.0.2.2:5074"},
        {"no-udp.test", U, PLAN_UDP, ""},
        {"nobody.test", U | T, PLAN_UDP, ""},
    };
    (void)state;
    for (size_t again = 0; again < 2; again++) {
        struct kit k;
        kit_open(&k);
        for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
            struct any_result a = {.r = {.k = &k}};
            assert_int_equal(dns_resolve_any(k.dns, slice_of(rows[i].host), rows[i].offered, on_any, &a), ERR_OK);
            turn_until(&k, &a.r.done);
            if (strcmp(a.r.text, rows[i].addresses) != 0) fail_msg("row %zu: %s", i, a.r.text);
            assert_int_equal(a.r.err, rows[i].addresses[0] != '\0' ? ERR_OK : ERR_NOTFOUND);
            if (a.transport != rows[i].transport) fail_msg("row %zu: transport %d", i, (int)a.transport);
            size_t asked = k.server.questions;
            a = (struct any_result){.r = {.k = &k}};
            assert_int_equal(dns_resolve_any(k.dns, slice_of(rows[i].host), rows[i].offered, on_any, &a), ERR_OK);
            turn_until(&k, &a.r.done);
            assert_int_equal(k.server.questions, asked); /* from the cache */
        }
        kit_close(&k);
    }
}

static void test_bad_names(void **state)
{
    static const char *const rows[] = {"", ".", "a b", "a/b", "a..b", ".a", "h\xc3\xb6st", "a,b", "[::1"};
    char longest[LIMIT_HOST + 2];
    struct kit k;
    struct result r = {0};
    (void)state;
    kit_open(&k);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        assert_int_equal(dns_resolve(k.dns, slice_of(rows[i]), 0, PLAN_UDP, on_resolved, &r), ERR_SYNTAX);
    }
    memset(longest, 'a', sizeof longest);
    struct slice over = {longest, LIMIT_HOST + 1};
    assert_int_equal(dns_resolve(k.dns, over, 0, PLAN_UDP, on_resolved, &r), ERR_SYNTAX);
    assert_int_equal(dns_resolve(k.dns, (struct slice){"a\0b", 3}, 0, PLAN_UDP, on_resolved, &r), ERR_SYNTAX);
    assert_false(r.done);
    longest[LIMIT_HOST] = '\0'; /* a label too long for DNS: the question is never sent */
    r = resolve(&k, longest, 5060, PLAN_UDP);
    assert_int_equal(r.err, ERR_NOTFOUND);
    assert_int_equal(k.server.questions, 0);
    kit_close(&k);
}

static void test_cache(void **state)
{
    struct kit k;
    (void)state;
    kit_open(&k);
    (void)resolve(&k, "srv.test", 0, PLAN_UDP);
    size_t questions = k.server.questions;
    assert_int_equal(questions, 1 + 3 * 2); /* SRV; A and AAAA of the host and of both targets */
    struct result r = {.k = &k};
    assert_int_equal(dns_resolve(k.dns, SLICE("SRV.test"), 0, PLAN_UDP, on_resolved, &r), ERR_OK);
    assert_true(r.done); /* at once */
    assert_string_equal(r.text, "192.0.2.1:5081 192.0.2.2:5082");
    assert_int_equal(k.server.questions, questions);

    /* What does not exist is remembered, too. */
    (void)resolve(&k, "missing.test", 5060, PLAN_UDP);
    questions = k.server.questions;
    (void)resolve(&k, "missing.test", 5060, PLAN_UDP);
    assert_int_equal(k.server.questions, questions);

    /* An answer of TTL 0 is good for a second, not for ever. Until the loop runs, its time is ours to set. */
    (void)resolve(&k, "short.test", 5060, PLAN_UDP);
    (void)resolve(&k, "pbx.test", 5060, PLAN_UDP);
    questions = k.server.questions;
    k.loop.time += 2000;
    (void)resolve(&k, "pbx.test", 5060, PLAN_UDP);
    assert_int_equal(k.server.questions, questions);
    k.loop.time += 2000;
    (void)resolve(&k, "short.test", 5060, PLAN_UDP);
    assert_int_equal(k.server.questions, questions + 2);
    kit_close(&k);
}

/* Many look-ups of one name at a time ask once. */
static void test_together(void **state)
{
    static struct result results[500];
    struct kit k;
    (void)state;
    memset(results, 0, sizeof results);
    kit_open(&k);
    for (size_t i = 0; i < 500; i++) {
        results[i].k = &k;
        assert_int_equal(dns_resolve(k.dns, SLICE("srv.test"), 0, PLAN_UDP, on_resolved, &results[i]), ERR_OK);
    }
    for (size_t i = 0; i < 500; i++) {
        turn_until(&k, &results[i].done);
        assert_string_equal(results[i].text, "192.0.2.1:5081 192.0.2.2:5082");
    }
    assert_int_equal(k.server.questions, 7);
    assert_int_equal(k.server.srv_questions, 1);
    kit_close(&k);
}

/* Equal priority is shared by weight: 3 : 1 here. */
static void test_weights(void **state)
{
    struct kit k;
    unsigned first = 0;
    (void)state;
    kit_open(&k);
    for (unsigned i = 0; i < 2000; i++) {
        struct result r = resolve(&k, "fair.test", 0, PLAN_UDP);
        first += strcmp(r.text, "192.0.2.1:5081 192.0.2.2:5082") == 0;
    }
    assert_in_range(first, 1350, 1650); /* 1500 +- 150: more than 7 standard deviations */
    kit_close(&k);
}

/* More names than the cache holds. */
static void test_eviction(void **state)
{
    struct kit k;
    (void)state;
    kit_open(&k);
    for (unsigned i = 0; i < 10050; i++) {
        char host[32];
        (void)snprintf(host, sizeof host, "n%u.test", i);
        assert_int_equal(resolve(&k, host, 5060, PLAN_UDP).err, ERR_NOTFOUND);
    }
    assert_int_equal(kit_count(&k, "evicted"), 50);
    kit_close(&k);
}

/* Of more targets than there is room for, those that are tried last are left out, wherever they stand. */
static void test_many_targets(void **state)
{
    struct kit k;
    (void)state;
    kit_open(&k);
    struct result r = resolve(&k, "many.test", 0, PLAN_UDP);
    assert_int_equal(r.err, ERR_OK);
    assert_int_equal(strncmp(r.text, "192.0.2.1:5100 192.0.2.2:", 25), 0);
    kit_close(&k);
}

/* No server answers, or nonsense: the look-up ends by itself, and the loop was never held. */
static void test_outage(void **state)
{
    struct kit k;
    (void)state;
    kit_open(&k);
    k.server.broken = true;
    assert_int_equal(resolve(&k, "pbx.test", 5060, PLAN_UDP).err == ERR_OK, 0);
    k.server.silent = true;
    struct result r = {.k = &k};
    uint64_t before = uv_hrtime();
    assert_int_equal(dns_resolve(k.dns, SLICE("srv.test"), 5060, PLAN_UDP, on_resolved, &r), ERR_OK);
    struct any_result any = {.r = {.k = &k}};
    assert_int_equal(dns_resolve_any(k.dns, SLICE("any.test"), 1 << PLAN_UDP | 1 << PLAN_TCP, on_any, &any), ERR_OK);
    assert_true(uv_hrtime() - before < 500 * UINT64_C(1000000));
    turn_until(&k, &r.done);
    assert_int_equal(r.err, ERR_TIMEOUT);
    assert_true(kit_count(&k, "timeouts") >= 1);
    /* Three questions choose a transport: the first failure is forgotten before the last one is known. */
    turn_until(&k, &any.r.done);
    assert_int_equal(any.r.err, ERR_TIMEOUT);
    kit_close(&k);
}

/* As many look-ups as may wait do: what is known is still told, by whatever way, and nothing else is asked. */
static void test_full(void **state)
{
    enum { WAITING = 4096 };
    const unsigned any = 1 << PLAN_UDP | 1 << PLAN_TCP;
    static struct result waiting[WAITING];
    struct any_result r;
    struct kit k;
    (void)state;
    memset(waiting, 0, sizeof waiting);
    kit_open(&k);
    (void)resolve(&k, "srv.test", 0, PLAN_UDP);
    (void)resolve(&k, "missing.test", 5060, PLAN_UDP);
    r = (struct any_result){.r = {.k = &k}};
    assert_int_equal(dns_resolve_any(k.dns, SLICE("ways.test"), any, on_any, &r), ERR_OK);
    turn_until(&k, &r.r.done);
    k.server.silent = true;
    for (size_t i = 0; i < WAITING; i++) {
        waiting[i].k = &k;
        assert_int_equal(dns_resolve(k.dns, SLICE("slow.test"), 5060, PLAN_UDP, on_resolved, &waiting[i]), ERR_OK);
    }
    uint64_t questions = kit_count(&k, "questions");
    assert_string_equal(resolve(&k, "srv.test", 0, PLAN_UDP).text, "192.0.2.1:5081 192.0.2.2:5082");
    assert_int_equal(resolve(&k, "missing.test", 5060, PLAN_UDP).err, ERR_NOTFOUND);
    r = (struct any_result){.r = {.k = &k}};
    assert_int_equal(dns_resolve_any(k.dns, SLICE("ways.test"), any, on_any, &r), ERR_OK);
    assert_true(r.r.done);
    assert_int_equal(kit_count(&k, "refused_full"), 0);
    struct result none = {.k = &k};
    assert_int_equal(dns_resolve(k.dns, SLICE("slow.test"), 5060, PLAN_UDP, on_resolved, &none), ERR_FULL);
    assert_int_equal(dns_resolve(k.dns, SLICE("srv.test"), 0, PLAN_TCP, on_resolved, &none), ERR_FULL);
    assert_int_equal(dns_resolve_any(k.dns, SLICE("srv.test"), any, on_any, &r), ERR_FULL);
    assert_false(none.done);
    assert_int_equal(kit_count(&k, "refused_full"), 3);
    assert_int_equal(kit_count(&k, "questions"), questions);
    kit_close(&k);
    for (size_t i = 0; i < WAITING; i++)
        assert_int_equal(waiting[i].err, ERR_CLOSED);
}

/* Closing with questions open, from outside and from inside a callback; asking from inside one. */
static void test_close(void **state)
{
    struct kit k;
    (void)state;
    kit_open(&k);
    k.server.silent = true;
    struct result a = {.k = &k};
    struct result b = {.k = &k};
    assert_int_equal(dns_resolve(k.dns, SLICE("srv.test"), 0, PLAN_UDP, on_resolved, &a), ERR_OK);
    assert_int_equal(dns_resolve(k.dns, SLICE("pbx.test"), 5060, PLAN_UDP, on_resolved, &b), ERR_OK);
    dns_close(k.dns, on_dns_closed, &k);
    assert_false(a.done || b.done);
    assert_int_equal(dns_resolve(k.dns, SLICE("192.0.2.1"), 5060, PLAN_UDP, on_resolved, &a), ERR_CLOSED);
    turn_until(&k, &k.closed);
    assert_int_equal(a.err, ERR_CLOSED);
    assert_int_equal(b.err, ERR_CLOSED);
    kit_close(&k);

    kit_open(&k);
    struct result inner = {.k = &k};
    struct result waiting = {.k = &k};
    struct result outer = {.k = &k, .close_dns = true, .then = "both.test", .then_result = &inner};
    assert_int_equal(dns_resolve(k.dns, SLICE("pbx.test"), 5060, PLAN_UDP, on_resolved, &outer), ERR_OK);
    assert_int_equal(dns_resolve(k.dns, SLICE("pbx.test"), 5060, PLAN_UDP, on_resolved, &waiting), ERR_OK);
    turn_until(&k, &k.closed);
    assert_string_equal(outer.text, "192.0.2.10:5060");
    assert_true(inner.done && waiting.done);
    assert_int_equal(inner.err, ERR_CLOSED);
    kit_close(&k);
}

static void test_open(void **state)
{
    struct kit k;
    struct dns *d = NULL;
    (void)state;
    kit_open(&k);
    assert_int_equal(dns_open_at(&k.loop, NULL, "no server", &d), ERR_SYNTAX);
    assert_null(d);
    kit_close(&k);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_answers),  cmocka_unit_test(test_transports),   cmocka_unit_test(test_bad_names),
        cmocka_unit_test(test_cache),    cmocka_unit_test(test_together),     cmocka_unit_test(test_weights),
        cmocka_unit_test(test_eviction), cmocka_unit_test(test_outage),       cmocka_unit_test(test_close),
        cmocka_unit_test(test_open),     cmocka_unit_test(test_many_targets), cmocka_unit_test(test_full),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
