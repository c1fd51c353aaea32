/* Whose responses count: what a branch is answered by comes the way that it went. */
#include "call_kit.h"

#include <signal.h>

#define STRANGER "127.0.0.2"

static int tcp_socket(const char *host, uint16_t port, struct sockaddr_in *out)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    *out = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons(port)};
    assert_int_equal(inet_pton(AF_INET, host, &out->sin_addr), 1);
    return fd;
}

/* A connection from host to the node's door for TCP. */
static int dial(const struct world *w, const char *host)
{
    struct sockaddr_in from;
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = tcp_socket(host, 0, &from);
    to.sin_port = htons(sock_address_port(&transport_listener_at(edge_transport(w->n.edge), 1)->local));
    assert_int_equal(bind(fd, (struct sockaddr *)&from, sizeof from), 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&to, sizeof to), 0);
    return fd;
}

static void answer_by(int fd, const struct sip_view *request, unsigned code)
{
    struct buf b = {0};
    assert_int_equal(sip_response_build(request, code, SLICE(""), SLICE("callee"), SLICE(""), 0, SLICE(""), &b),
                     ERR_OK);
    assert_int_equal(send(fd, b.p, b.n, MSG_NOSIGNAL), (ssize_t)b.n);
    buf_fini(&b);
}

/* Somebody at host says no to the request. Returns the connection, to be closed. */
static int refuse_from(struct world *w, const char *host, const struct sip_view *request)
{
    int fd = dial(w, host);
    answer_by(fd, request, 603);
    return fd;
}

static void invite(struct world *w)
{
    ua_request(&w->a, &w->n, &(struct request){.method = "INVITE", .branch = "i1"});
}

static void not_by_another_transport(void **state)
{
    struct world *w = *state;
    invite(w);
    ua_expect(&w->k, &w->b, "INVITE");
    ua_keep(&w->b);
    int fd = refuse_from(w, "127.0.0.1", &w->b.kept_v);
    kit_until(&w->k, kit_count(&w->n, "edge", "responses_unmatched") == 1);
    ua_reply(&w->b, 486, "");
    ua_expect_code(&w->k, &w->a, 486);
    (void)close(fd);
}

static void not_of_another_call(void **state)
{
    struct world *w = *state;
    invite(w);
    ua_expect(&w->k, &w->b, "INVITE");
    ua_keep(&w->b);
    char *call_id = strstr(w->b.in, "call-1");
    assert_non_null(call_id);
    call_id[0] = 'C';
    ua_reply(&w->b, 603, "");
    kit_until(&w->k, kit_count(&w->n, "edge", "responses_unmatched") == 1);
    ua_answer(&w->b, &w->b.kept_v, 486, "");
    ua_expect_code(&w->k, &w->a, 486);
}

/* Who has several addresses answers from any of them. */
static void by_udp_from_any_address(void **state)
{
    struct world *w = *state;
    struct ua other;
    invite(w);
    ua_expect(&w->k, &w->b, "INVITE");
    ua_open_at(&other, STRANGER);
    other.from = w->b.from;
    ua_answer(&other, &w->b.v, 486, "");
    ua_expect_code(&w->k, &w->a, 486);
    ua_close(&other);
}

/* A callee by TCP. */
struct callee {
    union sock_address at;
    int door;
    int fd;
};

/* The node's INVITE is in what b has kept. */
static void rings_by_tcp(struct world *w, struct callee *c)
{
    socklen_t len = sizeof c->at.v4;
    ssize_t n = 0;
    c->door = tcp_socket("127.0.0.1", 0, &c->at.v4);
    assert_int_equal(bind(c->door, &c->at.any, sizeof c->at.v4), 0);
    assert_int_equal(listen(c->door, 1), 0);
    assert_int_equal(getsockname(c->door, &c->at.any, &len), 0);
    w->n.hops[0][0].transport = PLAN_TCP;
    w->n.hops[0][0].port = sock_address_port(&c->at);
    invite(w);
    kit_until(&w->k, kit_count(&w->n, "transport", "stream_connects") == 1);
    c->fd = accept4(c->door, NULL, NULL, SOCK_CLOEXEC);
    assert_true(c->fd >= 0);
    while ((n = recv(c->fd, w->b.kept, sizeof w->b.kept - 1, MSG_DONTWAIT)) <= 0)
        kit_turn(&w->k, c->fd);
    assert_int_equal(sip_view_parse(&w->b.kept_v, w->b.kept, (size_t)n, NULL), SIP_FAULT_NONE);
    assert_true(slice_is(w->b.kept_v.via.transport, "TCP"));
}

static void by_tcp_from_the_same_host(void **state)
{
    struct world *w = *state;
    struct callee c;
    rings_by_tcp(w, &c);
    int stranger = refuse_from(w, STRANGER, &w->b.kept_v);
    kit_until(&w->k, kit_count(&w->n, "edge", "responses_unmatched") == 1);
    int second = dial(w, "127.0.0.1");
    answer_by(second, &w->b.kept_v, 180);
    ua_expect_code(&w->k, &w->a, 180);
    answer_by(c.fd, &w->b.kept_v, 486);
    ua_expect_code(&w->k, &w->a, 486);
    assert_int_equal(kit_count(&w->n, "edge", "responses_unmatched"), 1);
    (void)close(second);
    (void)close(stranger);
    (void)close(c.fd);
    (void)close(c.door);
}

/* Its connection has ended: another of the same service may answer (RFC 3261 §18.2.2). */
static void by_tcp_from_elsewhere_once_the_connection_has_ended(void **state)
{
    struct world *w = *state;
    struct callee c;
    rings_by_tcp(w, &c);
    (void)close(c.fd);
    kit_until(&w->k, !edge_connected(w->n.edge, PLAN_TCP, &c.at));
    int other = dial(w, STRANGER);
    answer_by(other, &w->b.kept_v, 486);
    ua_expect_code(&w->k, &w->a, 486);
    (void)close(other);
    (void)close(c.door);
}

#define WITH_WORLD(test) cmocka_unit_test_setup_teardown(test, world_open, world_close)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_WORLD(not_by_another_transport),
        WITH_WORLD(not_of_another_call),
        WITH_WORLD(by_udp_from_any_address),
        WITH_WORLD(by_tcp_from_the_same_host),
        WITH_WORLD(by_tcp_from_elsewhere_once_the_connection_has_ended),
    };
    (void)signal(SIGPIPE, SIG_IGN);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
