/* Who is not let in, and whether the reason is said: foreign and expired certificates, wrong names, the evicted,
 * strangers, scans. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <arpa/inet.h>
#include <cmocka.h>

#include "rig.h"

#define DAY_MS INT64_C(86400000)

static int setup(void **state)
{
    struct rig *r = malloc(sizeof *r);
    assert_non_null(r);
    rig_init(r);
    rig_identity(r, "ca", "a", (struct wall){0}, 0);
    rig_identity(r, "ca", "b", (struct wall){0}, 0);
    *state = r;
    return 0;
}

static int teardown(void **state)
{
    rig_fini(*state);
    free(*state);
    return 0;
}

static void dial(struct rig_node *n, const struct rig_node *to)
{
    assert_int_equal(mesh_dial(n->mesh, &to->name, mesh_listen_address(to->mesh)), ERR_OK);
}

static struct wall now(void)
{
    return (struct wall){(int64_t)time(NULL) * 1000};
}

/* ---- certificates ---- */

static void test_foreign_ca(void **state)
{
    struct rig *r = *state;
    struct rig_node a;
    struct rig_node x;
    char own[LIMIT_NAME + 1];
    char other[LIMIT_NAME + 1];
    rig_ca(r, "ca2", other);
    rig_identity(r, "ca2", "x", (struct wall){0}, 0);
    memcpy(own, r->cluster, sizeof own);
    rig_open(r, &a, "a", "127.0.0.1:0");
    memcpy(r->cluster, other, sizeof other);
    rig_open(r, &x, "x", "127.0.0.1:0");
    memcpy(r->cluster, own, sizeof own);
    dial(&a, &x);
    dial(&x, &a);
    rig_wait_text(&a, "x", "refused: certificate is not from this cluster's CA");
    rig_wait_text(&a, "x", other); /* it says whose it is */
    rig_wait_text(&x, "a", "refused: certificate is not from this cluster's CA");
    rig_wait_counter(&a, "tls_refused", 1);
    rig_wait_counter(&a, "accept_failed", 1);
    assert_false(rig_up(&a, "x"));
    assert_false(rig_up(&x, "a"));
    assert_int_equal(rig_counter(&a, "links_up") + rig_counter(&x, "links_up"), 0);
    assert_int_equal(rig_counter(&a, "hello_accepted"), 0);
    rig_close(&a);
    rig_close(&x);
}

static void test_dates(void **state)
{
    struct rig *r = *state;
    struct rig_node a;
    struct rig_node old;
    struct rig_node young;
    char expected[WALL_TEXT_SIZE + 64];
    char date[WALL_TEXT_SIZE];
    struct wall began = {now().ms - 10 * DAY_MS};
    rig_identity(r, "ca", "old", began, 3);
    rig_identity(r, "ca", "young", (struct wall){now().ms + 2 * DAY_MS}, 3);
    rig_open(r, &a, "a", "127.0.0.1:0");
    rig_open(r, &old, "old", "127.0.0.1:0"); /* opens: the clock may be what is wrong */
    rig_open(r, &young, "young", "127.0.0.1:0");
    dial(&a, &old);
    dial(&a, &young);
    dial(&old, &a);
    dial(&young, &a);
    (void)snprintf(expected, sizeof expected, "refused: certificate expired on %s",
                   pki_date((struct wall){began.ms + 3 * DAY_MS}, date));
    rig_wait_text(&a, "old", expected);
    (void)snprintf(expected, sizeof expected, "refused: certificate is valid only from %s",
                   pki_date((struct wall){now().ms + 2 * DAY_MS}, date));
    rig_wait_text(&a, "young", expected);
    rig_wait_text(&young, "a", "refused: our certificate is valid only from ");
    rig_wait_text(&old, "a", "refused: our certificate expired on ");
    assert_int_equal(rig_counter(&a, "links_up"), 0);
    rig_close(&a);
    rig_close(&old);
    rig_close(&young);
}

static void test_name_mismatch(void **state)
{
    struct rig *r = *state;
    struct rig_node a;
    struct rig_node b;
    struct node_name wanted = rig_name("c");
    rig_open(r, &a, "a", "127.0.0.1:0");
    rig_open(r, &b, "b", "127.0.0.1:0");
    assert_int_equal(mesh_dial(a.mesh, &wanted, mesh_listen_address(b.mesh)), ERR_OK);
    rig_wait_text(&a, "c", "refused: name mismatch: 127.0.0.1:");
    rig_wait_text(&a, "c", "answers as b");
    assert_int_equal(rig_counter(&a, "peer_refused"), 1);
    assert_false(rig_up(&a, "c"));
    assert_false(rig_up(&a, "b"));
    /* Ourselves under another name. */
    wanted = rig_name("d");
    assert_int_equal(mesh_dial(a.mesh, &wanted, mesh_listen_address(a.mesh)), ERR_OK);
    rig_wait_text(&a, "d", "refused: this is our own address");
    /* The name that is there can still be linked. */
    dial(&a, &b);
    rig_wait_up(&a, "b");
    rig_close(&a);
    rig_close(&b);
}

/* ---- eviction ---- */

static void test_evicted(void **state)
{
    struct rig *r = *state;
    struct rig_node a;
    struct rig_node b;
    struct node_name name = rig_name("b");
    rig_open(r, &a, "a", "127.0.0.1:0");
    rig_open(r, &b, "b", "127.0.0.1:0");
    dial(&a, &b);
    dial(&b, &a);
    rig_wait_up(&a, "b");
    rig_wait_up(&b, "a");
    assert_int_equal(mesh_evict(a.mesh, &name, a.issued), ERR_OK);
    assert_int_equal(mesh_evict(a.mesh, &name, a.issued), ERR_OK);
    assert_false(rig_up(&a, "b"));
    assert_int_equal(rig_beat(&b, "a", 1, 1), ERR_OK); /* it does not know yet, and learns it from the answer */
    rig_wait_down(&b, "a");
    assert_int_equal(b.sent[ERR_UNREACHABLE], 1);
    rig_wait_text(&b, "a", "refused: by the peer: evicted from the cluster");
    assert_true(rig_counter(&a, "hello_refused") >= 1);
    assert_int_equal(rig_beat(&b, "a", 1, 1), ERR_UNREACHABLE);
    assert_int_equal(rig_beat(&a, "b", 1, 1), ERR_UNREACHABLE);
    assert_int_equal(a.messages, 0);
    /* And it is not linked from our side, as peer or as seed. */
    dial(&a, &b);
    rig_wait_text(&a, "b", "refused: evicted from the cluster");
    assert_int_equal(mesh_dial_seed(a.mesh, SLICE("localhost:1")), ERR_OK);
    assert_int_equal(a.peers[0].ups, 1);
    /* It goes on asking, and is refused each time on the same connection. */
    rig_wait_counter(&a, "hello_refused", 2);
    assert_false(rig_up(&b, "a"));
    rig_close(&b);
    /* With a certificate that was issued later it is let in again. */
    uint64_t before = a.issued;
    rig_identity_after(r, "ca", "b", (int64_t)before);
    rig_open(r, &b, "b", "127.0.0.1:0");
    dial(&b, &a);
    dial(&a, &b);
    rig_wait_up(&b, "a");
    rig_wait_up(&a, "b");
    assert_true(a.issued > before);
    rig_close(&a);
    rig_close(&b);
}

/* ---- opening ---- */

static void open_fails(struct rig *r, struct mesh_options *o, struct rig_node *n, enum err expected, const char *words)
{
    struct err_info info = {0};
    (void)r;
    assert_int_equal(mesh_open(o, &n->mesh, &info), expected);
    if (strstr(info.text, words) == NULL) fail_msg("\"%s\" is not in \"%s\"", words, info.text);
}

static void free_options(struct mesh_options *o)
{
    free((void *)(uintptr_t)o->ca_file);
    free((void *)(uintptr_t)o->cert_file);
    free((void *)(uintptr_t)o->key_file);
}

static void test_open_refuses(void **state)
{
    struct rig *r = *state;
    struct rig_node a;
    struct rig_node n;
    char other[LIMIT_NAME + 1];
    rig_ca(r, "ca2", other);
    rig_identity(r, "ca2", "x", (struct wall){0}, 0);
    rig_open(r, &a, "a", "127.0.0.1:0");
    struct mesh_options good = rig_options(r, &n, "b", "b", "127.0.0.1:0");
    struct mesh_options foreign = rig_options(r, &n, "x", "x", "127.0.0.1:0");
    struct mesh_options o = good;
    char taken[64];
    (void)snprintf(taken, sizeof taken, "%.*s", SLICE_ARG(mesh_listen_address(a.mesh)));
    o.listen = taken;
    open_fails(r, &o, &n, ERR_EXISTS, "in use");
    o.listen = "127.0.0.1";
    open_fails(r, &o, &n, ERR_SYNTAX, "expected ADDRESS:PORT");
    o = good;
    o.cluster = SLICE("other-12345678");
    open_fails(r, &o, &n, ERR_AUTH, "not of other-12345678");
    o = good;
    o.self = rig_name("z");
    open_fails(r, &o, &n, ERR_AUTH, "is the certificate of node b, but this node is z");
    o = good;
    o.ca_file = "/nonexistent/ca.pem";
    open_fails(r, &o, &n, ERR_AUTH, "/nonexistent/ca.pem: cannot be opened");
    o = good;
    o.key_file = foreign.key_file;
    open_fails(r, &o, &n, ERR_AUTH, "is not the key of");
    o = good;
    o.cert_file = o.ca_file;
    open_fails(r, &o, &n, ERR_AUTH, "is the certificate of node");
    o = foreign;
    o.ca_file = good.ca_file;
    open_fails(r, &o, &n, ERR_AUTH, "not from this cluster's CA");
    o = good;
    o.cert_file = good.key_file;
    open_fails(r, &o, &n, ERR_AUTH, "not a certificate");
    assert_int_equal(chmod(good.key_file, 0640), 0);
    open_fails(r, &good, &n, ERR_AUTH, "chmod 600");
    free_options(&good);
    free_options(&foreign);
    rig_close(&a);
}

/* ---- strangers ---- */

static int connect_raw(const struct rig_node *n)
{
    struct slice address = mesh_listen_address(n->mesh);
    struct sockaddr_in sa = {.sin_family = AF_INET};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    sa.sin_port = htons((uint16_t)atoi(strrchr(address.p, ':') + 1));
    assert_int_equal(inet_pton(AF_INET, "127.0.0.1", &sa.sin_addr), 1);
    assert_int_equal(connect(fd, (struct sockaddr *)&sa, sizeof sa), 0);
    return fd;
}

static void test_garbage(void **state)
{
    static const char *const texts[] = {"GET / HTTP/1.1\r\nHost: x\r\n\r\n", "\0SP\0\0\060\0\0",
                                        "\x16\x03\x01\x40\x00\x01\x00\x3f\xff", "x", ""};
    struct rig_node a;
    struct rig_node b;
    int idle[20];
    rig_open(*state, &a, "a", "127.0.0.1:0");
    rig_open(*state, &b, "b", NULL);
    for (size_t i = 0; i < 20; i++)
        idle[i] = connect_raw(&a); /* they say nothing at all */
    for (size_t i = 0; i < 200; i++) {
        int fd = connect_raw(&a);
        const char *text = texts[i % 5];
        (void)!write(fd, text, i % 5 == 1 ? 8 : strlen(text));
        (void)close(fd);
    }
    dial(&b, &a);
    rig_wait_up(&b, "a");
    for (size_t i = 0; i < 20; i++)
        (void)close(idle[i]);
    assert_int_equal(rig_counter(&a, "hello_accepted"), 1);
    rig_close(&a);
    rig_close(&b);
}

static void test_scans(void **state)
{
    const struct linger reset = {.l_onoff = 1, .l_linger = 0};
    struct rig_node a;
    struct rig_node b;
    rig_open(*state, &a, "a", "127.0.0.1:0");
    rig_open(*state, &b, "b", NULL);
    for (size_t i = 0; i < 2000; i++) {
        int fd = connect_raw(&a);
        assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset), 0);
        (void)close(fd);
    }
    dial(&b, &a);
    rig_wait_up(&b, "a");
    assert_int_equal(rig_counter(&a, "listener_reopened"), 0);
    rig_close(&a);
    rig_close(&b);
}

/* Connections that say nothing, more than may be there at once: the first are closed soon, the rest in time; who is
 * linked stays so, and somebody new gets in. */
static void test_idle_connections(void **state)
{
    enum { COUNT = 300 };
    struct rig_node a;
    struct rig_node b;
    struct rig_node c;
    struct rlimit limit;
    int idle[COUNT];
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
    limit.rlim_cur = limit.rlim_max; /* both ends of each are here */
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
    rig_identity(*state, "ca", "c", (struct wall){0}, 0);
    rig_open(*state, &a, "a", "127.0.0.1:0");
    rig_open(*state, &b, "b", NULL);
    rig_open(*state, &c, "c", NULL);
    dial(&b, &a);
    rig_wait_up(&b, "a");
    for (size_t i = 0; i < COUNT; i++) {
        idle[i] = connect_raw(&a);
        assert_int_equal(write(idle[i], "\x16\x03\x01", 3), 3); /* as TLS begins */
    }
    uint64_t start = uv_hrtime();
    rig_wait_counter(&a, "strangers_closed", COUNT - 256);
    dial(&c, &a);
    rig_wait_up(&c, "a");
    rig_wait_counter(&a, "strangers_closed", COUNT);
    assert_true((uv_hrtime() - start) / 1000000 >= 8000); /* the last of them had time to greet */
    assert_int_equal(b.peers[0].downs + c.peers[0].downs, 0);
    for (size_t i = 0; i < COUNT; i++) {
        char byte;
        assert_true(read(idle[i], &byte, 1) <= 0); /* it is at its end, and does not wait */
        (void)close(idle[i]);
    }
    rig_close(&b);
    rig_close(&c);
    rig_close(&a);
}

/* The descriptor of the listening socket, found from outside. */
static int listening_fd(const struct rig_node *n)
{
    struct slice address = mesh_listen_address(n->mesh);
    in_port_t port = htons((uint16_t)atoi(strrchr(address.p, ':') + 1));
    for (int fd = 3; fd < 1024; fd++) {
        struct sockaddr_in sa;
        socklen_t len = sizeof sa;
        int listening = 0;
        socklen_t int_len = sizeof listening;
        if (getsockname(fd, (struct sockaddr *)&sa, &len) != 0 || sa.sin_family != AF_INET || sa.sin_port != port)
            continue;
        if (getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listening, &int_len) == 0 && listening != 0) return fd;
    }
    fail_msg("no listening socket");
    return -1;
}

static void test_watchdog(void **state)
{
    struct rig_node a;
    struct rig_node b;
    char before[64];
    rig_open(*state, &a, "a", "127.0.0.1:0");
    rig_open(*state, &b, "b", NULL);
    (void)snprintf(before, sizeof before, "%.*s", SLICE_ARG(mesh_listen_address(a.mesh)));
    assert_int_equal(shutdown(listening_fd(&a), SHUT_RDWR), 0); /* from now on connections are refused */
    dial(&b, &a);
    rig_wait_text(&b, "a", "connection refused");
    rig_wait_up(&b, "a");
    assert_int_equal(rig_counter(&a, "listener_reopened"), 1);
    assert_true(slice_is(mesh_listen_address(a.mesh), before)); /* the same port */
    rig_close(&a);
    rig_close(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_foreign_ca, setup, teardown),
        cmocka_unit_test_setup_teardown(test_dates, setup, teardown),
        cmocka_unit_test_setup_teardown(test_name_mismatch, setup, teardown),
        cmocka_unit_test_setup_teardown(test_evicted, setup, teardown),
        cmocka_unit_test_setup_teardown(test_open_refuses, setup, teardown),
        cmocka_unit_test_setup_teardown(test_garbage, setup, teardown),
        cmocka_unit_test_setup_teardown(test_scans, setup, teardown),
        cmocka_unit_test_setup_teardown(test_idle_connections, setup, teardown),
        cmocka_unit_test_setup_teardown(test_watchdog, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
