/* Registering at outside registrars over real sockets: what is sent where, what becomes of it, and the calls through
 * it. */
#include "call_kit.h"

#include "node/edge/edge_internal.h"
#include "node/edge/transport_internal.h"

#define USER "493"
#define CHALLENGE "Digest realm=\"carrier\", nonce=\"n1\", algorithm=MD5, qop=\"auth\"\r\n"

static char addresses[3][32];
static struct slice address_list[3];

static struct edge_registration settings(uint16_t first, uint16_t second, enum plan_transport transport)
{
    const uint16_t ports[] = {first, second};
    struct edge_registration o = {.trunk = SLICE("carrier"),
                                  .address = address_list,
                                  .address_count = second != 0 ? 2 : 1,
                                  .transport = transport,
                                  .user = SLICE(USER),
                                  .login = SLICE("u1"),
                                  .domain = SLICE("carrier.example"),
                                  .password = SLICE("secret"),
                                  .expires_s = 600};
    for (size_t i = 0; i < o.address_count; i++) {
        (void)snprintf(addresses[i], sizeof addresses[i], "127.0.0.1:%u", ports[i]);
        address_list[i] = slice_of(addresses[i]);
    }
    return o;
}

static void hold(struct world *w, uint16_t first, uint16_t second)
{
    struct edge_registration o = settings(first, second, PLAN_UDP);
    assert_int_equal(edge_registrations_set(w->n.edge, &o, 1), ERR_OK);
}

static struct edge_registration_view view(const struct world *w)
{
    struct edge_registration_view v;
    assert_true(edge_registration_find(w->n.edge, SLICE("carrier"), &v));
    return v;
}

/* 200 to the REGISTER in u, with its own contact for that long. */
static void accept_it(struct ua *u, unsigned expires_s, const char *more)
{
    char lines[1024];
    struct slice contact = sip_view_value(&u->v, SIP_CONTACT);
    struct slice before;
    (void)slice_cut(contact, '>', &before);
    (void)snprintf(lines, sizeof lines, "Contact: %.*s>;expires=%u\r\n%s", SLICE_ARG(before), expires_s, more);
    ua_reply(u, 200, lines);
}

static void register_at(struct world *w, struct ua *u)
{
    hold(w, u->port, 0);
    ua_expect(&w->k, u, "REGISTER");
    accept_it(u, 600, "");
    kit_until(&w->k, view(w).state == TRUNK_REGISTERED);
}

/* "sip:493@127.0.0.1:5060;line=..." */
static void contact_uri(const struct world *w, char *out, size_t size)
{
    (void)snprintf(out, size, "%.*s", SLICE_ARG(view(w).contact));
}

/* ---- the registration ---- */

static void registered(void **state)
{
    struct world *w = *state;
    char expected[128];
    hold(w, w->b.port, 0);
    assert_int_equal(view(w).state, TRUNK_TRYING);
    ua_expect(&w->k, &w->b, "REGISTER");
    ua_has(&w->b, "REGISTER sip:carrier.example SIP/2.0\r\n");
    ua_has(&w->b, "To: <sip:493@carrier.example>\r\n");
    ua_has(&w->b, "Supported: path\r\n");
    (void)snprintf(expected, sizeof expected, "Contact: <sip:493@127.0.0.1:%u;line=", w->n.port);
    ua_has(&w->b, expected);
    ua_has(&w->b, "CSeq: 1 REGISTER\r\n");
    ua_lacks(&w->b, "Authorization");
    ua_reply(&w->b, 401, "WWW-Authenticate: " CHALLENGE);
    ua_expect(&w->k, &w->b, "REGISTER");
    ua_has(&w->b, "CSeq: 2 REGISTER\r\n");
    ua_has(&w->b,
           "Authorization: Digest username=\"u1\", realm=\"carrier\", nonce=\"n1\", uri=\"sip:carrier.example\"");
    accept_it(&w->b, 600, "Service-Route: <sip:edge.carrier;lr>\r\n");
    kit_until(&w->k, view(w).state == TRUNK_REGISTERED);
    struct edge_registration_view v = view(w);
    assert_int_equal(v.granted_s, 600);
    assert_true(v.expires.ms > v.since.ms && v.since.ms > 0);
    (void)snprintf(expected, sizeof expected, "udp:127.0.0.1:%u", w->b.port);
    assert_true(slice_is(v.at, expected));
    assert_true(slice_is(v.route, "<sip:edge.carrier;lr>"));
    assert_true(slice_is(v.reason, "200 OK"));
    assert_int_equal(w->n.registration_state, TRUNK_REGISTERED);
    /* the same settings once more change nothing, others begin anew when the old ones are given back */
    size_t news = w->n.registration_news;
    hold(w, w->b.port, 0);
    assert_int_equal(w->n.registration_news, news);
    struct edge_registration o = settings(w->b.port, 0, PLAN_UDP);
    o.user = SLICE("494");
    assert_int_equal(edge_registrations_set(w->n.edge, &o, 1), ERR_OK);
    ua_expect(&w->k, &w->b, "REGISTER");
    ua_has(&w->b, "To: <sip:493@carrier.example>\r\n");
    ua_has(&w->b, "Expires: 0\r\n");
    ua_keep(&w->b);
    ua_expect_nothing(&w->k, &w->b);
    ua_answer(&w->b, &w->b.kept_v, 200, "");
    ua_expect(&w->k, &w->b, "REGISTER");
    ua_has(&w->b, "To: <sip:494@carrier.example>\r\n");
    ua_has(&w->b, "Expires: 600\r\n");
}

static void refused(void **state)
{
    struct world *w = *state;
    hold(w, w->b.port, 0);
    ua_expect(&w->k, &w->b, "REGISTER");
    ua_reply(&w->b, 403, "");
    kit_until(&w->k, view(w).state == TRUNK_REFUSED);
    assert_string_equal(w->n.registration_reason, "403 Forbidden");
    assert_int_equal(kit_count(&w->n, "client", "refused"), 1);
}

/* Nobody listens at the first address, the second cannot, and says who can. */
static void other_places(void **state)
{
    struct world *w = *state;
    char line[64];
    struct ua dead;
    ua_open(&dead);
    ua_close(&dead);
    hold(w, dead.port, w->b.port);
    ua_expect(&w->k, &w->b, "REGISTER");
    (void)snprintf(line, sizeof line, "Contact: <sip:127.0.0.1:%u>\r\n", w->c.port);
    ua_reply(&w->b, 302, line);
    ua_expect(&w->k, &w->c, "REGISTER");
    (void)snprintf(line, sizeof line, "REGISTER sip:127.0.0.1:%u SIP/2.0\r\n", w->c.port);
    ua_has(&w->c, line);
    ua_has(&w->c, "To: <sip:493@carrier.example>\r\n");
    accept_it(&w->c, 600, "");
    kit_until(&w->k, view(w).state == TRUNK_REGISTERED);
    (void)snprintf(line, sizeof line, "udp:127.0.0.1:%u", w->c.port);
    assert_true(slice_is(view(w).at, line));
    assert_int_equal(kit_count(&w->n, "client", "redirects"), 1);
}

static void the_next_address_after_503(void **state)
{
    struct world *w = *state;
    hold(w, w->b.port, w->c.port);
    ua_expect(&w->k, &w->b, "REGISTER");
    ua_reply(&w->b, 503, "");
    ua_expect(&w->k, &w->c, "REGISTER");
    accept_it(&w->c, 600, "");
    kit_until(&w->k, view(w).state == TRUNK_REGISTERED);
}

static void a_name_without_an_address(void **state)
{
    struct world *w = *state;
    struct edge_registration o = settings(w->b.port, 0, PLAN_UDP);
    address_list[0] = SLICE("registrar.invalid");
    assert_int_equal(edge_registrations_set(w->n.edge, &o, 1), ERR_OK);
    kit_until(&w->k, kit_count(&w->n, "client", "unresolved") > 0);
    assert_string_equal(w->n.registration_reason, "its name has no address");
    /* the list may change while it is looked up */
    address_list[0] = SLICE("registrar2.invalid");
    assert_int_equal(edge_registrations_set(w->n.edge, &o, 1), ERR_OK);
    assert_int_equal(edge_registrations_set(w->n.edge, NULL, 0), ERR_OK);
}

static void what_a_dead_node_left_is_taken_away(void **state)
{
    struct world *w = *state;
    struct edge_registration o = settings(w->b.port, w->c.port, PLAN_UDP);
    o.stale = SLICE("sip:493@10.0.0.9:5060;line=x");
    assert_int_equal(edge_registrations_set(w->n.edge, &o, 1), ERR_OK);
    ua_expect(&w->k, &w->b, "REGISTER");
    ua_has(&w->b, "Contact: <sip:493@10.0.0.9:5060;line=x>;expires=0\r\n");
    ua_reply(&w->b, 500, ""); /* perhaps it does not like two contacts */
    ua_expect(&w->k, &w->c, "REGISTER");
    ua_lacks(&w->c, "10.0.0.9");
    accept_it(&w->c, 600, "");
    kit_until(&w->k, view(w).state == TRUNK_REGISTERED);
}

static void given_back(void **state)
{
    struct world *w = *state;
    struct edge_registration_view v;
    register_at(w, &w->b);
    assert_int_equal(edge_registrations_set(w->n.edge, NULL, 0), ERR_OK);
    assert_false(edge_registration_find(w->n.edge, SLICE("carrier"), &v));
    ua_expect(&w->k, &w->b, "REGISTER");
    ua_has(&w->b, ";expires=0\r\n");
    ua_reply(&w->b, 200, "");
    kit_until(&w->k, kit_count(&w->n, "client", "given_back") == 1);
}

static void given_back_at_the_end(void **state)
{
    struct world *w = *state;
    register_at(w, &w->b);
    edge_close(w->n.edge, 10000, kit_on_closed, &w->n);
    ua_expect(&w->k, &w->b, "REGISTER");
    ua_has(&w->b, ";expires=0\r\n");
    assert_false(w->n.closed);
    ua_reply(&w->b, 200, "");
    kit_until(&w->k, w->n.closed);
}

/* A registrar reads what comes at one moment in any order: the request that is under way has its answer first. */
static void given_back_after_the_answer(void **state)
{
    struct world *w = *state;
    hold(w, w->b.port, 0);
    ua_expect(&w->k, &w->b, "REGISTER");
    ua_keep(&w->b);
    edge_close(w->n.edge, 10000, kit_on_closed, &w->n);
    ua_expect_nothing(&w->k, &w->b);
    ua_answer(&w->b, &w->b.kept_v, 200, "");
    ua_expect(&w->k, &w->b, "REGISTER");
    ua_has(&w->b, ";expires=0\r\n");
    assert_false(w->n.closed);
    ua_reply(&w->b, 200, "");
    kit_until(&w->k, w->n.closed);
}

/* Without time to drain it goes out, and nobody waits for the answer. */
static void given_back_in_a_hurry(void **state)
{
    struct world *w = *state;
    register_at(w, &w->b);
    kit_close(&w->k, &w->n, 0);
    ua_expect(&w->k, &w->b, "REGISTER");
    ua_has(&w->b, ";expires=0\r\n");
}

static void given_back_before_the_answer(void **state)
{
    struct world *w = *state;
    hold(w, w->b.port, 0);
    ua_expect(&w->k, &w->b, "REGISTER");
    ua_has(&w->b, ";expires=600\r\n");
    kit_close(&w->k, &w->n, 0);
    ua_expect(&w->k, &w->b, "REGISTER");
    ua_has(&w->b, ";expires=0\r\n");
}

/* ---- over a connection ---- */

struct stream {
    int listener;
    int fd;
    char in[4096];
    size_t len;
};

static uint16_t stream_listen(struct stream *s)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof a;
    s->listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(s->listener, (struct sockaddr *)&a, sizeof a), 0);
    assert_int_equal(listen(s->listener, 4), 0);
    assert_int_equal(getsockname(s->listener, (struct sockaddr *)&a, &len), 0);
    return ntohs(a.sin_port);
}

static void stream_accept(struct world *w, struct stream *s)
{
    uint64_t end = kit_ms() + KIT_PATIENCE_MS;
    s->len = 0;
    while ((s->fd = accept4(s->listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) < 0) {
        kit_turn(&w->k, s->listener);
        if (kit_ms() > end) fail_msg("nobody connected");
    }
}

/* Until what has come holds text. */
static void stream_until(struct world *w, struct stream *s, const char *text)
{
    uint64_t end = kit_ms() + KIT_PATIENCE_MS;
    while (s->in[s->len] = '\0', strstr(s->in, text) == NULL) {
        ssize_t n = read(s->fd, s->in + s->len, sizeof s->in - 1 - s->len);
        if (n > 0) s->len += (size_t)n;
        if (n <= 0) kit_turn(&w->k, s->fd);
        if (kit_ms() > end) fail_msg("\"%s\" did not come, but:\n%s", text, s->in);
    }
}

static void stream_reply(struct stream *s, unsigned code)
{
    struct sip_view v;
    struct buf b = {0};
    assert_int_equal(sip_view_parse(&v, s->in, s->len, NULL), SIP_FAULT_NONE);
    assert_int_equal(sip_response_build(&v, code, SLICE(""), SLICE("t"), SLICE(""), 0, SLICE("Expires: 600\r\n"), &b),
                     ERR_OK);
    assert_int_equal(write(s->fd, b.p, b.n), (ssize_t)b.n);
    buf_fini(&b);
    s->len = 0;
}

/* A call comes over the connection that we opened; when it is lost, it is made and registered again. */
static void a_connection_that_is_lost(void **state)
{
    struct world *w = *state;
    struct stream s;
    struct edge_registration o = settings(stream_listen(&s), 0, PLAN_TCP);
    assert_int_equal(edge_registrations_set(w->n.edge, &o, 1), ERR_OK);
    stream_accept(w, &s);
    stream_until(w, &s, "\r\n\r\n");
    stream_reply(&s, 200);
    kit_until(&w->k, view(w).state == TRUNK_REGISTERED);
    (void)close(s.fd);
    kit_until(&w->k, kit_count(&w->n, "client", "flows_lost") == 1);
    assert_string_equal(w->n.registration_reason, "the connection to it was lost");
    stream_accept(w, &s);
    stream_until(w, &s, "CSeq: 2 REGISTER\r\n");
    stream_until(w, &s, "\r\n\r\n");
    stream_reply(&s, 200);
    kit_until(&w->k, strcmp(w->n.registration_reason, "200 OK") == 0);
    (void)close(s.fd);
    (void)close(s.listener);
}

/* ---- calls to what is registered ---- */

static void invite(struct world *w, struct ua *from, const char *uri, const char *to, const char *branch,
                   const char *lines)
{
    ua_request(from, &w->n,
               &(struct request){
                   .method = "INVITE", .branch = branch, .call_id = branch, .uri = uri, .to = to, .lines = lines});
}

static void whom_a_call_is_for(void **state)
{
    struct world *w = *state;
    char contact[256];
    char other[256];
    static const struct {
        const char *user; /* in place of ours, NULL: ours */
        const char *to;
        const char *lines;
        const char *dialled;
    } rows[] = {
        {NULL, "<sip:493@carrier.example>", "", "493"},
        {NULL, "<sip:+4930@carrier.example>", "", "+4930"},
        {NULL, "<sip:00900@carrier.example>", "", "493"}, /* the caller writes To */
        {NULL, "<sip:0@x>", "P-Called-Party-ID: <sip:+4931@carrier.example>\r\n", "+4931"},
        {NULL, "<sip:+4932@x>", "P-Called-Party-ID: <sip:00900@carrier.example>\r\n", "+4932"},
        {"8123", "<sip:1@carrier.example>", "", "8123"}, /* the registrar writes the contact */
    };
    register_at(w, &w->c);
    contact_uri(w, contact, sizeof contact);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char branch[16];
        (void)snprintf(branch, sizeof branch, "i%zu", i);
        (void)snprintf(other, sizeof other, "sip:%s%s", rows[i].user, strchr(contact, '@'));
        invite(w, &w->c, rows[i].user != NULL ? other : contact, rows[i].to, branch, rows[i].lines);
        ua_expect(&w->k, &w->b, "INVITE");
        assert_string_equal(w->n.dialled, rows[i].dialled);
        assert_int_equal(w->n.source, EDGE_SOURCE_TRUNK);
        assert_string_equal(w->n.source_name, "carrier");
        ua_reply(&w->b, 486, "");
        ua_expect(&w->k, &w->b, "ACK");
        ua_expect_code(&w->k, &w->c, 486);
    }
    ua_request(&w->c, &w->n, &(struct request){.method = "OPTIONS", .branch = "o1", .uri = contact});
    ua_expect_code(&w->k, &w->c, 200);
    size_t questions = w->n.questions;
    memset(strstr(contact, "line=") + 5, '0', 32);
    invite(w, &w->c, contact, NULL, "i9", NULL);
    ua_expect_code(&w->k, &w->c, 407);
    assert_int_equal(w->n.questions, questions);
}

/* RFC 3327: the registrar calls by the proxies that its Path names, the last of which is next to us. */
static void calls_by_a_proxy_of_the_path(void **state)
{
    static const char *const paths[] = {"", "Path: <sip:127.0.0.2;lr>, <sip:127.0.0.3;lr>\r\n",
                                        "Path: <sip:127.0.0.3;lr>\r\nPath: <sip:127.0.0.2;lr>\r\n",
                                        "Path: <sip:nowhere.invalid;lr>\r\n"};
    static const unsigned codes[] = {407, 407, 486, 407};
    struct world *w = *state;
    struct ua proxy;
    char contact[256];
    ua_open_at(&proxy, "127.0.0.2");
    for (size_t i = 0; i < sizeof paths / sizeof paths[0]; i++) {
        char branch[16];
        (void)snprintf(branch, sizeof branch, "p%zu", i);
        struct edge_registration o = settings(w->c.port, 0, PLAN_UDP);
        o.expires_s = 600 + (uint32_t)i; /* other settings: it begins anew */
        assert_int_equal(edge_registrations_set(w->n.edge, NULL, 0), ERR_OK);
        if (i > 0) {
            ua_expect(&w->k, &w->c, "REGISTER");
            ua_reply(&w->c, 200, "");
        }
        assert_int_equal(edge_registrations_set(w->n.edge, &o, 1), ERR_OK);
        ua_expect(&w->k, &w->c, "REGISTER");
        accept_it(&w->c, 600, paths[i]);
        kit_until(&w->k, view(w).state == TRUNK_REGISTERED);
        if (i == 3) kit_until(&w->k, kit_count(&w->n, "client", "unresolved") == 1);
        contact_uri(w, contact, sizeof contact);
        invite(w, &proxy, contact, NULL, branch, NULL);
        if (codes[i] == 486) {
            ua_expect(&w->k, &w->b, "INVITE");
            assert_string_equal(w->n.source_name, "carrier");
            ua_reply(&w->b, 486, "");
        }
        ua_expect_code(&w->k, &proxy, codes[i]);
    }
    ua_close(&proxy);
}

static void once_given_back_nobody_is_called(void **state)
{
    struct world *w = *state;
    char contact[256];
    register_at(w, &w->c);
    contact_uri(w, contact, sizeof contact);
    assert_int_equal(edge_registrations_set(w->n.edge, NULL, 0), ERR_OK);
    ua_expect(&w->k, &w->c, "REGISTER");
    invite(w, &w->c, contact, NULL, "i1", NULL);
    ua_expect_code(&w->k, &w->c, 407);
}

/* ---- calls through it ---- */

/* The target is the registrar w->b. */
static void call_through(struct world *w)
{
    w->n.target_count = 0;
    (void)kit_target(&w->n, "trunk/carrier", w->b.port);
    register_at(w, &w->b);
}

static void a_challenge_is_answered(void **state)
{
    struct world *w = *state;
    char first[64];
    char uri[64];
    call_through(w);
    ua_request(&w->a, &w->n, &(struct request){.method = "INVITE", .branch = "i1"});
    ua_expect(&w->k, &w->b, "INVITE");
    ua_lacks(&w->b, "Proxy-Authorization");
    kit_put(first, sizeof first, w->b.v.via.branch);
    ua_reply(&w->b, 407, "Proxy-Authenticate: " CHALLENGE);
    ua_expect(&w->k, &w->b, "ACK");
    assert_true(slice_is(w->b.v.via.branch, first));
    ua_expect(&w->k, &w->b, "INVITE");
    assert_false(slice_is(w->b.v.via.branch, first));
    (void)snprintf(uri, sizeof uri, "uri=\"sip:8123@127.0.0.1:%u\"", w->b.port);
    ua_has(&w->b, "Proxy-Authorization: Digest username=\"u1\", realm=\"carrier\"");
    ua_has(&w->b, uri);
    ua_keep(&w->b);
    ua_reply(&w->b, 200, contact_line(&w->b));
    ua_expect_code(&w->k, &w->a, 200);
    assert_int_equal(kit_count(&w->n, "client", "calls_challenged"), 1);
    assert_int_equal(kit_count(&w->n, "edge", "failovers"), 0);
}

/* Who asks again refuses us: that is no matter of the caller's, and the next target is tried. */
static void a_refusal_of_ours_moves_on(void **state)
{
    struct world *w = *state;
    call_through(w);
    (void)kit_target(&w->n, "trunk/other", w->c.port);
    ua_request(&w->a, &w->n, &(struct request){.method = "INVITE", .branch = "i1"});
    for (int i = 0; i < 2; i++) {
        ua_expect(&w->k, &w->b, "INVITE");
        ua_reply(&w->b, 407, "Proxy-Authenticate: " CHALLENGE);
        ua_expect(&w->k, &w->b, "ACK");
    }
    ua_expect(&w->k, &w->c, "INVITE");
    ua_lacks(&w->c, "Proxy-Authorization");
    ua_reply(&w->c, 486, "");
    ua_expect_code(&w->k, &w->a, 486);
    assert_int_equal(kit_count(&w->n, "client", "calls_refused"), 1);
    /* without another one the caller is not asked for a password that it does not have */
    w->n.target_count = 1;
    ua_request(&w->a, &w->n, &(struct request){.method = "INVITE", .branch = "i2", .call_id = "call-2"});
    for (int i = 0; i < 2; i++) {
        ua_expect(&w->k, &w->b, "INVITE");
        ua_reply(&w->b, 407, "Proxy-Authenticate: " CHALLENGE);
        ua_expect(&w->k, &w->b, "ACK");
    }
    ua_expect_code(&w->k, &w->a, 503);
    ua_has(&w->a, "does not take the password that we have for it");
}

/* The challenge of somebody with whom we are not registered is the caller's to answer. */
static void a_challenge_of_others_passes(void **state)
{
    struct world *w = *state;
    register_at(w, &w->c);
    ua_request(&w->a, &w->n, &(struct request){.method = "INVITE", .branch = "i1"});
    ua_expect(&w->k, &w->b, "INVITE");
    ua_reply(&w->b, 407, "Proxy-Authenticate: " CHALLENGE);
    ua_expect_code(&w->k, &w->a, 407);
    ua_has(&w->a, "Proxy-Authenticate: Digest realm=\"carrier\"");
}

static void a_challenge_inside_a_call(void **state)
{
    struct world *w = *state;
    char routes[512];
    char uri[64];
    call_through(w);
    call_up(w, routes, sizeof routes);
    (void)snprintf(uri, sizeof uri, "sip:ua@127.0.0.1:%u", w->b.port);
    ua_request(
        &w->a, &w->n,
        &(struct request){.method = "BYE", .branch = "b1", .uri = uri, .to = CALLEE, .cseq = 2, .lines = routes});
    ua_expect(&w->k, &w->b, "BYE");
    ua_reply(&w->b, 407, "Proxy-Authenticate: " CHALLENGE);
    ua_expect(&w->k, &w->b, "BYE");
    ua_has(&w->b, "Proxy-Authorization: Digest username=\"u1\"");
    ua_reply(&w->b, 200, "");
    ua_expect_code(&w->k, &w->a, 200);
}

/* A call that is given up while the challenge is answered is given up. */
static void a_challenged_call_is_cancelled(void **state)
{
    struct world *w = *state;
    call_through(w);
    ua_request(&w->a, &w->n, &(struct request){.method = "INVITE", .branch = "i1"});
    ua_expect(&w->k, &w->b, "INVITE");
    ua_reply(&w->b, 401, "WWW-Authenticate: " CHALLENGE);
    ua_expect(&w->k, &w->b, "ACK");
    ua_expect(&w->k, &w->b, "INVITE");
    ua_keep(&w->b);
    ua_reply(&w->b, 180, "");
    ua_expect_code(&w->k, &w->a, 180);
    ua_request(&w->a, &w->n, &(struct request){.method = "CANCEL", .branch = "i1"});
    ua_expect_code(&w->k, &w->a, 200);
    ua_expect(&w->k, &w->b, "CANCEL");
    ua_reply(&w->b, 200, "");
    ua_answer(&w->b, &w->b.kept_v, 487, "");
    ua_expect_code(&w->k, &w->a, 487);
}

/* What the registrar never saw it has not refused. */
static void an_answer_that_cannot_be_sent(void **state)
{
    struct world *w = *state;
    call_through(w);
    ua_request(&w->a, &w->n, &(struct request){.method = "INVITE", .branch = "i1"});
    ua_expect(&w->k, &w->b, "INVITE");
    uint32_t room = w->n.edge->transport->limits.udp_datagrams;
    w->n.edge->transport->limits.udp_datagrams = 0;
    ua_reply(&w->b, 407, "Proxy-Authenticate: " CHALLENGE);
    kit_until(&w->k, edge_load(w->n.edge).calls == 0);
    w->n.edge->transport->limits.udp_datagrams = room;
    for (size_t i = 0; i < w->n.report_count; i++)
        assert_null(strstr(w->n.reports[i].failed, "password"));
    ua_expect_code(&w->k, &w->a, 503);
    ua_has(&w->a, "cannot send to");
}

/* One that is given up before the registrar has asked: the caller has no answer to that question. */
static void a_cancelled_call_is_challenged(void **state)
{
    struct world *w = *state;
    call_through(w);
    ua_request(&w->a, &w->n, &(struct request){.method = "INVITE", .branch = "i1"});
    ua_expect(&w->k, &w->b, "INVITE");
    ua_request(&w->a, &w->n, &(struct request){.method = "CANCEL", .branch = "i1"});
    ua_expect_code(&w->k, &w->a, 200);
    ua_reply(&w->b, 407, "Proxy-Authenticate: " CHALLENGE);
    ua_expect(&w->k, &w->b, "ACK");
    ua_expect_code(&w->k, &w->a, 487);
    ua_lacks(&w->a, "Proxy-Authenticate");
    ua_expect_nothing(&w->k, &w->b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(registered, world_open, world_close),
        cmocka_unit_test_setup_teardown(refused, world_open, world_close),
        cmocka_unit_test_setup_teardown(other_places, world_open, world_close),
        cmocka_unit_test_setup_teardown(the_next_address_after_503, world_open, world_close),
        cmocka_unit_test_setup_teardown(a_name_without_an_address, world_open, world_close),
        cmocka_unit_test_setup_teardown(what_a_dead_node_left_is_taken_away, world_open, world_close),
        cmocka_unit_test_setup_teardown(given_back, world_open, world_close),
        cmocka_unit_test_setup_teardown(given_back_at_the_end, world_open, world_close),
        cmocka_unit_test_setup_teardown(given_back_after_the_answer, world_open, world_close),
        cmocka_unit_test_setup_teardown(given_back_in_a_hurry, world_open, world_close),
        cmocka_unit_test_setup_teardown(given_back_before_the_answer, world_open, world_close),
        cmocka_unit_test_setup_teardown(a_connection_that_is_lost, world_open, world_close),
        cmocka_unit_test_setup_teardown(whom_a_call_is_for, world_open, world_close),
        cmocka_unit_test_setup_teardown(calls_by_a_proxy_of_the_path, world_open, world_close),
        cmocka_unit_test_setup_teardown(once_given_back_nobody_is_called, world_open, world_close),
        cmocka_unit_test_setup_teardown(a_challenge_is_answered, world_open, world_close),
        cmocka_unit_test_setup_teardown(a_refusal_of_ours_moves_on, world_open, world_close),
        cmocka_unit_test_setup_teardown(a_challenge_of_others_passes, world_open, world_close),
        cmocka_unit_test_setup_teardown(a_challenge_inside_a_call, world_open, world_close),
        cmocka_unit_test_setup_teardown(a_challenged_call_is_cancelled, world_open, world_close),
        cmocka_unit_test_setup_teardown(an_answer_that_cannot_be_sent, world_open, world_close),
        cmocka_unit_test_setup_teardown(a_cancelled_call_is_challenged, world_open, world_close),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
