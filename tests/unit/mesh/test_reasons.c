/* Why a link is not there, in words: addresses where nobody or nothing of ours answers. What certificates and names are
 * refused for is in test_refuse.c, versions in tests/system/test_versions.py. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <arpa/inet.h>
#include <cmocka.h>

#include "rig.h"

static int setup(void **state)
{
    struct rig *r = malloc(sizeof *r);
    assert_non_null(r);
    rig_init(r);
    rig_identity(r, "ca", "a", (struct wall){0}, 0);
    *state = r;
    return 0;
}

static int teardown(void **state)
{
    rig_fini(*state);
    free(*state);
    return 0;
}

/* What a's link to b says of this address, in the end. */
static void expect(struct rig *r, const char *address, const char *words)
{
    struct rig_node a;
    struct node_name b = rig_name("b");
    rig_open(r, &a, "a", NULL);
    assert_int_equal(mesh_dial(a.mesh, &b, slice_of(address)), ERR_OK);
    rig_wait_text(&a, "b", words);
    rig_close(&a);
}

/* A seed has no name yet: it is asked for by its place. */
static bool seed_says(void *ctx)
{
    struct rig_node *a = ctx;
    struct slice address;
    char text[LIMIT_TEXT];
    return mesh_seed_text(a->mesh, 0, &address, text, sizeof text) && slice_is(address, "127.0.0.1:1") &&
           strcmp(text, "dialling: connection refused") == 0;
}

static void test_seed(void **state)
{
    struct rig_node a;
    struct slice address;
    char text[LIMIT_TEXT];
    rig_open(*state, &a, "a", NULL);
    assert_false(mesh_seed_text(a.mesh, 0, &address, text, sizeof text));
    assert_int_equal(mesh_dial_seed(a.mesh, SLICE("127.0.0.1:1")), ERR_OK);
    rig_wait(*state, seed_says, &a, "the reason at the seed");
    assert_false(mesh_seed_text(a.mesh, 1, &address, text, sizeof text));
    rig_close(&a);
}

static void test_addresses(void **state)
{
    expect(*state, "127.0.0.1:1", "dialling: connection refused");
    expect(*state, "nobody.invalid:7400", "dialling: the host name nobody.invalid does not resolve: ");
    expect(*state, "255.255.255.255:7400", "dialling: no route: the network is unreachable"); /* TCP has none to it */
}

/* ---- something else listens there ---- */

enum manner { SILENT, TALKS, CLOSES };

struct stranger {
    uv_tcp_t listener;
    uv_tcp_t guests[64];
    size_t count;
    enum manner manner;
    char address[64];
};

static void on_alloc(uv_handle_t *h, size_t suggested, uv_buf_t *buf)
{
    static char room[65536];
    (void)h;
    (void)suggested;
    *buf = uv_buf_init(room, sizeof room);
}

static void on_read(uv_stream_t *s, ssize_t n, const uv_buf_t *buf)
{
    const struct stranger *x = s->data;
    uv_buf_t answer = uv_buf_init("HTTP/1.1 400 Bad Request\r\n\r\n", 28);
    (void)buf;
    if (n > 0 && x->manner == TALKS) (void)uv_try_write(s, &answer, 1);
    if ((n < 0 || x->manner == CLOSES) && !uv_is_closing((uv_handle_t *)s)) uv_close((uv_handle_t *)s, NULL);
}

static void on_guest(uv_stream_t *listener, int status)
{
    struct stranger *x = listener->data;
    assert_int_equal(status, 0);
    assert_true(x->count < 64);
    uv_tcp_t *guest = &x->guests[x->count++];
    assert_int_equal(uv_tcp_init(listener->loop, guest), 0);
    guest->data = x;
    assert_int_equal(uv_accept(listener, (uv_stream_t *)guest), 0);
    assert_int_equal(uv_read_start((uv_stream_t *)guest, on_alloc, on_read), 0);
}

static void expect_stranger(struct rig *r, enum manner manner, const char *words)
{
    struct stranger x = {.manner = manner};
    struct sockaddr_in at;
    int len = sizeof at;
    assert_int_equal(uv_ip4_addr("127.0.0.1", 0, &at), 0);
    assert_int_equal(uv_tcp_init(&r->loop, &x.listener), 0);
    x.listener.data = &x;
    assert_int_equal(uv_tcp_bind(&x.listener, (struct sockaddr *)&at, 0), 0);
    assert_int_equal(uv_listen((uv_stream_t *)&x.listener, 16, on_guest), 0);
    assert_int_equal(uv_tcp_getsockname(&x.listener, (struct sockaddr *)&at, &len), 0);
    (void)snprintf(x.address, sizeof x.address, "127.0.0.1:%u", ntohs(at.sin_port));
    expect(r, x.address, words);
    for (size_t i = 0; i < x.count; i++) {
        if (!uv_is_closing((uv_handle_t *)&x.guests[i])) uv_close((uv_handle_t *)&x.guests[i], NULL);
    }
    uv_close((uv_handle_t *)&x.listener, NULL);
    rig_turn(r, 20); /* the handles are on this stack */
}

static void test_strangers(void **state)
{
    expect_stranger(*state, SILENT, "dialling: connected, but no answer in TLS");
    expect_stranger(*state, TALKS, "dialling: what answers there does not speak TLS");
    expect_stranger(*state, CLOSES, "dialling: connection closed in the TLS handshake");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_addresses, setup, teardown),
        cmocka_unit_test_setup_teardown(test_seed, setup, teardown),
        cmocka_unit_test_setup_teardown(test_strangers, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
