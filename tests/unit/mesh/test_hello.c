/* The proof of names against a peer that holds a certificate of the cluster and lies: it speaks the frames itself, over
 * NNG. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <cmocka.h>
#include <nng/nng.h>
#include <nng/protocol/reqrep0/req.h>
#include <nng/supplemental/tls/tls.h>

#include "node/mesh/credentials.h"
#include "rig.h"

/* A client with the files of one node. */
struct liar {
    struct rig *rig;
    struct credentials *credentials;
    nng_tls_config *tls;
    nng_socket socket;
    nng_aio *aio;
    nng_ctx ctx;
    _Atomic bool done;
    struct arena arena;
    struct mesh_frame answer;
    struct hello_transcript transcript;
};

struct scene {
    struct rig rig;
    struct rig_node a;
    struct liar liar;
};

static void ok(int rv)
{
    assert_int_equal(rv, 0);
}

/* NNG's thread. */
static void on_aio(void *ctx)
{
    atomic_store(&((struct liar *)ctx)->done, true);
}

static void liar_open(struct liar *l, struct rig *r, const char *files, const struct rig_node *to)
{
    char path[3][160];
    char url[80];
    struct node_name name = rig_name(files);
    static const char *const endings[] = {"ca", "pem", "key"};
    nng_dialer dialer;
    for (size_t i = 0; i < 3; i++)
        (void)snprintf(path[i], sizeof path[i], "%s/%s.%s", r->dir, files, endings[i]);
    l->rig = r;
    assert_int_equal(
        credentials_load(path[0], path[1], path[2], &name, slice_of(r->cluster), &r->log, &l->credentials, NULL),
        ERR_OK);
    ok(nng_tls_config_alloc(&l->tls, NNG_TLS_MODE_CLIENT));
    ok(nng_tls_config_own_cert(l->tls, credentials_cert_pem(l->credentials), credentials_key_pem(l->credentials),
                               NULL));
    ok(nng_tls_config_ca_chain(l->tls, credentials_ca_pem(l->credentials), NULL));
    ok(nng_tls_config_server_name(l->tls, "tandem"));
    ok(nng_req0_open(&l->socket));
    (void)snprintf(url, sizeof url, "tls+tcp://%.*s", SLICE_ARG(mesh_listen_address(to->mesh)));
    ok(nng_dialer_create(&dialer, l->socket, url));
    ok(nng_dialer_set_ptr(dialer, NNG_OPT_TLS_CONFIG, l->tls));
    ok(nng_dialer_start(dialer, NNG_FLAG_NONBLOCK));
    ok(nng_ctx_open(&l->ctx, l->socket));
    ok(nng_aio_alloc(&l->aio, on_aio, l));
    nng_aio_set_timeout(l->aio, 10000);
}

static void liar_close(struct liar *l)
{
    nng_aio_stop(l->aio);
    ok(nng_ctx_close(l->ctx));
    ok(nng_close(l->socket));
    nng_aio_free(l->aio);
    nng_tls_config_free(l->tls);
    credentials_free(l->credentials);
    arena_fini(&l->arena);
}

static bool aio_done(void *ctx)
{
    return atomic_load(&((struct liar *)ctx)->done);
}

/* Sends the bytes and takes the answer. */
static void ask_bytes(struct liar *l, struct slice bytes)
{
    nng_msg *msg;
    ok(nng_msg_alloc(&msg, 0));
    ok(nng_msg_append(msg, bytes.p, bytes.n));
    nng_aio_set_msg(l->aio, msg);
    atomic_store(&l->done, false);
    nng_ctx_send(l->ctx, l->aio);
    rig_wait(l->rig, aio_done, l, "sending");
    ok(nng_aio_result(l->aio));
    atomic_store(&l->done, false);
    nng_ctx_recv(l->ctx, l->aio);
    rig_wait(l->rig, aio_done, l, "answer");
    ok(nng_aio_result(l->aio));
    msg = nng_aio_get_msg(l->aio);
    arena_fini(&l->arena);
    struct slice body = {nng_msg_body(msg), nng_msg_len(msg)};
    assert_int_equal(mesh_frame_unpack(&l->arena, body, &l->answer, NULL), ERR_OK);
    nng_msg_free(msg);
}

static void ask(struct liar *l, struct mesh_frame *f, const char *sender)
{
    struct buf packed = {0};
    if (f->cluster.n == 0) f->cluster = slice_of(l->rig->cluster);
    f->sender = rig_name(sender);
    assert_int_equal(mesh_frame_pack(f, &packed), ERR_OK);
    ask_bytes(l, buf_view(&packed));
    buf_fini(&packed);
}

static void assert_ack(const struct liar *l, enum mesh_ack_code code, const char *words)
{
    char text[LIMIT_TEXT + 1];
    assert_int_equal(l->answer.type, MESH_ACK);
    (void)snprintf(text, sizeof text, "%.*s", SLICE_ARG(l->answer.ack.text));
    if (l->answer.ack.code != code || strstr(text, words) == NULL)
        fail_msg("%s \"%s\", expected %s \"%s\"", mesh_ack_name(l->answer.ack.code), text, mesh_ack_name(code), words);
}

static void greet(struct liar *l, const char *sender)
{
    struct mesh_frame f = {.type = MESH_HELLO};
    memset(f.hello.nonce, 7, sizeof f.hello.nonce);
    ask(l, &f, sender);
    if (l->answer.type != MESH_HELLO_REPLY) return;
    l->transcript.cluster = slice_of(l->rig->cluster);
    l->transcript.client = rig_name(sender);
    l->transcript.server = l->answer.sender;
    memcpy(l->transcript.client_nonce, f.hello.nonce, MESH_NONCE_LEN);
    memcpy(l->transcript.server_nonce, l->answer.hello.nonce, MESH_NONCE_LEN);
}

static void prove(struct liar *l, const char *sender, enum hello_role role)
{
    unsigned char sig[MESH_SIGNATURE_MAX];
    struct mesh_frame f = {.type = MESH_HELLO_PROOF};
    f.hello.certificate = credentials_der(l->credentials);
    f.hello.signature.p = (char *)sig;
    assert_int_equal(credentials_sign(l->credentials, &l->transcript, role, sig, &f.hello.signature.n), ERR_OK);
    ask(l, &f, sender);
}

static void beat(struct liar *l, const char *sender)
{
    struct mesh_frame f = {.type = MESH_MESSAGE};
    f.message.type = REPL_HEARTBEAT;
    ask(l, &f, sender);
}

static int setup(void **state)
{
    struct scene *s = calloc(1, sizeof *s);
    assert_non_null(s);
    rig_init(&s->rig);
    rig_identity(&s->rig, "ca", "a", (struct wall){0}, 0);
    rig_identity(&s->rig, "ca", "b", (struct wall){0}, 0);
    rig_open(&s->rig, &s->a, "a", "127.0.0.1:0");
    liar_open(&s->liar, &s->rig, "b", &s->a);
    *state = s;
    return 0;
}

static int teardown(void **state)
{
    struct scene *s = *state;
    liar_close(&s->liar);
    rig_close(&s->a);
    rig_fini(&s->rig);
    free(s);
    return 0;
}

static void test_honest(void **state)
{
    struct scene *s = *state;
    greet(&s->liar, "b");
    assert_int_equal(s->liar.answer.type, MESH_HELLO_REPLY);
    assert_string_equal(s->liar.answer.sender.s, "a");
    const struct mesh_frame *f = &s->liar.answer;
    struct wall now = {(int64_t)time(NULL) * 1000};
    enum err err = credentials_verify(s->liar.credentials, f->hello.certificate, f->hello.signature,
                                      &s->liar.transcript, HELLO_SERVER, now, NULL);
    assert_int_equal(err, ERR_OK);
    prove(&s->liar, "b", HELLO_CLIENT);
    assert_ack(&s->liar, MESH_ACK_OK, "");
    beat(&s->liar, "b");
    assert_ack(&s->liar, MESH_ACK_OK, "");
    assert_int_equal(s->a.messages, 1);
    assert_string_equal(s->a.last_from.s, "b");
}

static void test_nothing_before_hello(void **state)
{
    struct scene *s = *state;
    struct mesh_frame f = {.type = MESH_RELAY_REQUEST};
    beat(&s->liar, "b");
    assert_ack(&s->liar, MESH_ACK_HELLO, "");
    ask(&s->liar, &f, "b");
    assert_ack(&s->liar, MESH_ACK_HELLO, "");
    prove(&s->liar, "b", HELLO_CLIENT);
    assert_ack(&s->liar, MESH_ACK_HELLO, "");
    greet(&s->liar, "b");
    beat(&s->liar, "b"); /* half a hello is none */
    assert_ack(&s->liar, MESH_ACK_HELLO, "");
    assert_int_equal(s->a.messages, 0);
    assert_int_equal(rig_counter(&s->a, "hello_required"), 3);
}

static void test_another_name(void **state)
{
    struct scene *s = *state;
    greet(&s->liar, "c");
    prove(&s->liar, "c", HELLO_CLIENT);
    assert_ack(&s->liar, MESH_ACK_REFUSED, "certificate is of b, not of c");
    greet(&s->liar, "b");
    prove(&s->liar, "c", HELLO_CLIENT);
    assert_ack(&s->liar, MESH_ACK_REFUSED, "hello and proof name two nodes");
    /* A proved name does not cover another one. */
    greet(&s->liar, "b");
    prove(&s->liar, "b", HELLO_CLIENT);
    assert_ack(&s->liar, MESH_ACK_OK, "");
    beat(&s->liar, "c");
    assert_ack(&s->liar, MESH_ACK_BAD, "not who its hello proved");
    assert_int_equal(rig_counter(&s->a, "sender_forged"), 1);
    assert_int_equal(s->a.messages, 0);
}

static void test_signatures(void **state)
{
    struct scene *s = *state;
    greet(&s->liar, "b");
    prove(&s->liar, "b", HELLO_SERVER); /* the other role's words */
    assert_ack(&s->liar, MESH_ACK_REFUSED, "signature");
    prove(&s->liar, "b", HELLO_CLIENT); /* a nonce serves once */
    assert_ack(&s->liar, MESH_ACK_HELLO, "");
    greet(&s->liar, "b");
    s->liar.transcript.server_nonce[0] ^= 1;
    prove(&s->liar, "b", HELLO_CLIENT);
    assert_ack(&s->liar, MESH_ACK_REFUSED, "signature");
    greet(&s->liar, "b");
    s->liar.transcript.server = rig_name("z");
    prove(&s->liar, "b", HELLO_CLIENT);
    assert_ack(&s->liar, MESH_ACK_REFUSED, "signature");
    assert_int_equal(rig_counter(&s->a, "hello_accepted"), 0);
    assert_int_equal(rig_counter(&s->a, "hello_refused"), 3);
}

/* Somebody else's certificate, copied, with our signature. */
static void test_stolen_certificate(void **state)
{
    struct scene *s = *state;
    unsigned char sig[MESH_SIGNATURE_MAX];
    struct mesh_frame f = {.type = MESH_HELLO_PROOF};
    greet(&s->liar, "a");
    struct slice stolen = {NULL, 0};
    char copy[MESH_CERTIFICATE_MAX];
    stolen = s->liar.answer.hello.certificate;
    memcpy(copy, stolen.p, stolen.n);
    f.hello.certificate = (struct slice){copy, stolen.n};
    f.hello.signature.p = (char *)sig;
    assert_int_equal(
        credentials_sign(s->liar.credentials, &s->liar.transcript, HELLO_CLIENT, sig, &f.hello.signature.n), ERR_OK);
    ask(&s->liar, &f, "a");
    assert_ack(&s->liar, MESH_ACK_REFUSED, "signature");
}

static void test_bad_frames(void **state)
{
    struct scene *s = *state;
    struct mesh_frame f = {.type = MESH_HELLO};
    ask_bytes(&s->liar, SLICE("not protobuf at all"));
    assert_ack(&s->liar, MESH_ACK_BAD, "");
    ask_bytes(&s->liar, SLICE(""));
    assert_ack(&s->liar, MESH_ACK_BAD, "");
    /* versions 9 to 9, cluster c, sender b, no body */
    ask_bytes(&s->liar, SLICE("\x08\x09\x10\x09\x1a\x01"
                              "c"
                              "\x22\x01"
                              "b"));
    assert_ack(&s->liar, MESH_ACK_VERSION, "versions 9 to 9");
    /* versions 1 to 9, and a body of field 99 */
    ask_bytes(&s->liar, SLICE("\x08\x01\x10\x09\x1a\x01"
                              "c"
                              "\x22\x01"
                              "b"
                              "\x9a\x06\x00"));
    assert_ack(&s->liar, MESH_ACK_UNKNOWN, "");
    f.cluster = SLICE("another-00000000");
    ask(&s->liar, &f, "b");
    assert_ack(&s->liar, MESH_ACK_REFUSED, ", not another-00000000");
    assert_int_equal(rig_counter(&s->a, "frames_bad"), 2);
    assert_int_equal(rig_counter(&s->a, "frames_unknown"), 2);
}

static void test_bad_fragments(void **state)
{
    struct scene *s = *state;
    struct mesh_frame f = {.type = MESH_FRAGMENT};
    greet(&s->liar, "b");
    prove(&s->liar, "b", HELLO_CLIENT);
    assert_ack(&s->liar, MESH_ACK_OK, "");
    f.fragment.id = 1;
    f.fragment.total = 10;
    f.fragment.offset = 1;
    f.fragment.data = SLICE("123456789");
    ask(&s->liar, &f, "b");
    assert_ack(&s->liar, MESH_ACK_BAD, "out of place");
    f.fragment.offset = 0;
    f.fragment.data = SLICE("0123456789"); /* a whole that is no frame */
    ask(&s->liar, &f, "b");
    assert_ack(&s->liar, MESH_ACK_BAD, "mesh frame");
    assert_int_equal(s->a.messages, 0);
    beat(&s->liar, "b");
    assert_ack(&s->liar, MESH_ACK_OK, "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_honest, setup, teardown),
        cmocka_unit_test_setup_teardown(test_nothing_before_hello, setup, teardown),
        cmocka_unit_test_setup_teardown(test_another_name, setup, teardown),
        cmocka_unit_test_setup_teardown(test_signatures, setup, teardown),
        cmocka_unit_test_setup_teardown(test_stolen_certificate, setup, teardown),
        cmocka_unit_test_setup_teardown(test_bad_frames, setup, teardown),
        cmocka_unit_test_setup_teardown(test_bad_fragments, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
