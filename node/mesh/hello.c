/* hello: the client's side of the proof of names; the server's is in listener.c. The words of the exchange:
 * proto/mesh.proto; what is signed: credentials.h.
 *
 *   client -> server   HELLO        my nonce
 *   server -> client   HELLO_REPLY  my nonce, my certificate, my signature over all of it
 *   client -> server   HELLO_PROOF  my certificate, my signature
 *   server -> client   ACK          ok, or why not
 *
 * Unresolved: the signatures are not bound to the TLS connection (NNG shows nothing of it to bind to), so a member of
 * the cluster that is dialled in place of another could pass both sides' proofs through. It could do so only while it
 * holds a certificate of this cluster. */
#include <openssl/rand.h>
#include <stdio.h>

#include "node/mesh/link.h"

static void refuse_peer(struct link *l, const char *why)
{
    mesh_count(l->mesh, MESH_COUNT_peer_refused);
    link_refused(l, why);
}

void link_hello(struct link *l)
{
    struct mesh_frame f = {.type = MESH_HELLO};
    if (l->state != LINK_HELLO || !l->hello_due) l->deadline = mono_add_ms(mesh_now(), MESH_HELLO_MS);
    l->state = LINK_HELLO;
    l->hello_due = true;
    if (RAND_bytes(l->transcript.client_nonce, MESH_NONCE_LEN) != 1) return; /* the tick tries again */
    memcpy(f.hello.nonce, l->transcript.client_nonce, MESH_NONCE_LEN);
    l->hello_due = link_send_hello(l, &f) != ERR_OK;
}

/* Is it who we want? The text of the refusal, or NULL. */
static const char *unwanted(const struct link *l, const struct node_name *name, uint64_t issued, char *text,
                            size_t size)
{
    const struct mesh *m = l->mesh;
    if (node_name_eq(name, &m->options.self)) return "this is our own address";
    if (mesh_is_evicted(m, name, issued)) return MESH_EVICTED_TEXT;
    if (!l->named || node_name_eq(name, &l->name)) return NULL;
    (void)snprintf(text, size, "name mismatch: %s answers as %s", l->address, name->s);
    return text;
}

static enum err send_proof(struct link *l)
{
    unsigned char sig[MESH_SIGNATURE_MAX];
    struct mesh_frame f = {.type = MESH_HELLO_PROOF};
    f.hello.certificate = credentials_der(l->mesh->credentials);
    enum err err = credentials_sign(l->mesh->credentials, &l->transcript, HELLO_CLIENT, sig, &f.hello.signature.n);
    f.hello.signature.p = (const char *)sig;
    return err != ERR_OK ? err : link_send_hello(l, &f);
}

static void take_reply(struct link *l, const struct mesh_frame *f)
{
    struct mesh *m = l->mesh;
    struct err_info info = {0};
    char text[LIMIT_TEXT];
    struct hello_transcript *t = &l->transcript;
    t->cluster = m->options.cluster;
    t->client = m->options.self;
    t->server = f->sender;
    memcpy(t->server_nonce, f->hello.nonce, MESH_NONCE_LEN);
    if (!slice_eq(f->cluster, m->options.cluster)) {
        (void)snprintf(text, sizeof text, "it is of cluster %.*s", SLICE_ARG(f->cluster));
        refuse_peer(l, text);
        return;
    }
    if (credentials_verify(m->credentials, f->hello.certificate, f->hello.signature, t, HELLO_SERVER, mesh_wall(),
                           &info) != ERR_OK) {
        (void)snprintf(text, sizeof text, "%.400s", info.text);
        refuse_peer(l, text);
        return;
    }
    uint64_t issued = credentials_issued(f->hello.certificate);
    if (!l->named && !seed_named(m, l, &f->sender, issued)) {
        link_park(l, "not needed");
        return;
    }
    const char *why = unwanted(l, &f->sender, issued, text, sizeof text);
    if (why != NULL) {
        refuse_peer(l, why);
        return;
    }
    mesh_proved(m, &f->sender, issued);
    l->state = LINK_PROOF;
    if (send_proof(l) != ERR_OK) link_lost(l, ERR_UNREACHABLE, "no memory for a hello");
}

/* An ACK where a HELLO_REPLY was due, or one that is not OK. */
static void take_refusal(struct link *l, const struct mesh_frame *f)
{
    char text[LIMIT_TEXT];
    mesh_count(l->mesh, MESH_COUNT_refused_by_peer);
    if (f->ack.text.n > 0) {
        (void)snprintf(text, sizeof text, "by the peer: %.*s", (int)(f->ack.text.n < 900 ? f->ack.text.n : 900),
                       f->ack.text.p);
    } else {
        (void)snprintf(text, sizeof text, "by the peer: %s", mesh_ack_name(f->ack.code));
    }
    link_refused(l, text);
}

/* An answer in a version, or of a kind, that we do not know. */
static void take_version(struct link *l, const struct mesh_frame *f)
{
    char text[LIMIT_TEXT];
    bool common = f->version_min <= MESH_VERSION_MAX && f->version_max >= MESH_VERSION_MIN;
    if (common) {
        refuse_peer(l, "it answers our hello with what this version does not know");
        return;
    }
    (void)snprintf(text, sizeof text, "it speaks mesh versions %u to %u, this node %d to %d: update the older one",
                   f->version_min, f->version_max, MESH_VERSION_MIN, MESH_VERSION_MAX);
    refuse_peer(l, text);
}

void link_take_hello(struct link *l, const struct mesh_frame *f, enum err err)
{
    if (l->state != LINK_HELLO && l->state != LINK_PROOF) return;
    if (err == ERR_VERSION) {
        take_version(l, f);
    } else if (err != ERR_OK) {
        link_lost(l, ERR_UNREACHABLE, "no answer to our hello that can be read");
    } else if (l->state == LINK_HELLO && f->type == MESH_HELLO_REPLY) {
        take_reply(l, f);
    } else if (f->type == MESH_ACK && f->ack.code == MESH_ACK_OK && l->state == LINK_PROOF) {
        link_up(l);
    } else if (f->type == MESH_ACK && (f->ack.code == MESH_ACK_FULL || f->ack.code == MESH_ACK_HELLO)) {
        l->state = LINK_HELLO; /* the tick says it again, within the deadline */
        l->hello_due = true;
    } else if (f->type == MESH_ACK && f->ack.code != MESH_ACK_OK) {
        take_refusal(l, f);
    } else {
        refuse_peer(l, "it answers our hello with something else");
    }
}
