/* accept: what a peer's requests are answered. See listener.h; the exchange of the hello is drawn in hello.c. */
#include "node/mesh/accept.h"

#include <openssl/rand.h>
#include <stdio.h>
#include <stdlib.h>

/* ---- connections ---- */

static uint64_t pipe_hash(const struct listener *s, uint32_t pipe)
{
    return map_hash(&s->peers, (struct slice){(const char *)&pipe, sizeof pipe});
}

static struct peer_pipe *peer_find(const struct listener *s, uint32_t pipe)
{
    for (struct map_node *n = map_first(&s->peers, pipe_hash(s, pipe)); n != NULL; n = map_next(n)) {
        struct peer_pipe *p = CONTAINER_OF(n, struct peer_pipe, node);
        if (p->pipe == pipe) return p;
    }
    return NULL;
}

static struct peer_pipe *peer_make(struct listener *s, uint32_t pipe)
{
    struct peer_pipe *p = peer_find(s, pipe);
    if (p != NULL) return p;
    p = calloc(1, sizeof *p);
    if (p == NULL) return NULL;
    p->pipe = pipe;
    guard_pipe_address(pipe, &p->address);
    map_insert(&s->peers, &p->node, pipe_hash(s, pipe));
    return p;
}

void peer_free(struct listener *s, struct peer_pipe *p)
{
    map_remove(&s->peers, &p->node);
    whole_drop(&p->whole, &s->mesh->whole_budget);
    free(p);
}

void listener_on_peer(struct inbox_item *item)
{
    struct peer_event *e = CONTAINER_OF(item, struct peer_event, item);
    struct listener *s = e->listener;
    if (s->mesh->stopping) { /* the table is the stopping thread's */
        free(e);
        return;
    }
    struct peer_pipe *p = e->came ? peer_make(s, e->pipe) : peer_find(s, e->pipe);
    if (p != NULL && !e->came) {
        peer_free(s, p);
        caller_pipe_gone(s->mesh, e->pipe);
    }
    free(e);
}

void listener_drop(struct listener *s, const struct node_name *name)
{
    struct map_walk walk = {0};
    struct map_node *n;
    while ((n = map_walk(&s->peers, &walk)) != NULL) {
        struct peer_pipe *p = CONTAINER_OF(n, struct peer_pipe, node);
        if (!p->proved || !node_name_eq(&p->name, name)) continue;
        p->proved = false; /* its next request is asked for a hello, and that is refused; closing is riskier (link.c) */
    }
}

/* ---- replies ---- */

void listener_reply(struct listen_slot *s, struct mesh_frame *reply)
{
    struct mesh *m = s->listener->mesh;
    enum err err = ERR_OK;
    nng_msg *msg = mesh_frame_message(m, reply, &err);
    arena_fini(&s->arena);
    if (msg == NULL || m->closing) {
        nng_msg_free(msg);
        if (!m->closing) nng_ctx_recv(s->ctx, s->aio); /* no memory: the peer's time-out tells it */
        return;
    }
    listener_send(s, msg);
}

void listener_ack(struct listen_slot *s, enum mesh_ack_code code, const char *text)
{
    struct mesh_frame reply = {.type = MESH_ACK};
    reply.ack.code = code;
    reply.ack.text = slice_of(text);
    listener_reply(s, &reply);
}

/* ---- hello ---- */

static void refuse_hello(struct listen_slot *s, const char *name, const char *why)
{
    struct mesh *m = s->listener->mesh;
    mesh_count(m, MESH_COUNT_hello_refused);
    s->listener->refusals_unsaid++;
    if (mono_reached(mesh_now(), s->listener->refusal_at)) {
        log_event(m->options.log, LOG_WARN, "mesh", "hello-refused", "peer=%s reason=\"%s\" suppressed=%u", name, why,
                  s->listener->refusals_unsaid - 1);
        s->listener->refusals_unsaid = 0;
        s->listener->refusal_at = mono_add_ms(mesh_now(), MESH_LOG_MS);
    }
    listener_ack(s, MESH_ACK_REFUSED, why);
}

static void take_hello(struct listen_slot *s)
{
    struct mesh *m = s->listener->mesh;
    const struct mesh_frame *f = &s->frame;
    unsigned char sig[MESH_SIGNATURE_MAX];
    struct mesh_frame reply = {.type = MESH_HELLO_REPLY};
    struct peer_pipe *p = peer_make(s->listener, s->pipe);
    if (p == NULL || RAND_bytes(p->transcript.server_nonce, MESH_NONCE_LEN) != 1) {
        listener_ack(s, MESH_ACK_FULL, "no memory");
        return;
    }
    p->greeted = true;
    p->proved = false;
    p->transcript.cluster = m->options.cluster;
    p->transcript.client = f->sender;
    p->transcript.server = m->options.self;
    memcpy(p->transcript.client_nonce, f->hello.nonce, MESH_NONCE_LEN);
    if (credentials_sign(m->credentials, &p->transcript, HELLO_SERVER, sig, &reply.hello.signature.n) != ERR_OK) {
        listener_ack(s, MESH_ACK_FULL, "no memory");
        return;
    }
    memcpy(reply.hello.nonce, p->transcript.server_nonce, MESH_NONCE_LEN);
    reply.hello.certificate = credentials_der(m->credentials);
    reply.hello.signature.p = (const char *)sig;
    listener_reply(s, &reply);
}

static void take_proof(struct listen_slot *s)
{
    struct mesh *m = s->listener->mesh;
    const struct mesh_frame *f = &s->frame;
    struct err_info info = {0};
    struct peer_pipe *p = peer_find(s->listener, s->pipe);
    if (p == NULL || !p->greeted) {
        listener_ack(s, MESH_ACK_HELLO, "");
        return;
    }
    p->greeted = false; /* each nonce serves one proof */
    enum err err = node_name_eq(&f->sender, &p->transcript.client)
                       ? ERR_OK
                       : err_fail(&info, ERR_AUTH, "hello and proof name two nodes");
    if (err == ERR_OK)
        err = credentials_verify(m->credentials, f->hello.certificate, f->hello.signature, &p->transcript, HELLO_CLIENT,
                                 mesh_wall(), &info);
    uint64_t issued = credentials_issued(f->hello.certificate);
    if (err == ERR_OK && mesh_is_evicted(m, &f->sender, issued))
        err = err_fail(&info, ERR_AUTH, "%s", MESH_EVICTED_TEXT);
    if (err != ERR_OK) {
        refuse_hello(s, f->sender.s, info.text);
        return;
    }
    p->name = f->sender;
    p->proved = true;
    p->order = ++m->next_id;
    mesh_count(m, MESH_COUNT_hello_accepted);
    mesh_proved(m, &f->sender, issued);
    listener_ack(s, MESH_ACK_OK, "");
}

/* ---- requests of proved peers ---- */

static void on_decoded(void *ctx, enum mesh_ack_code code, const char *text)
{
    listener_ack(ctx, code, text);
}

static void take_fragment(struct listen_slot *s, struct peer_pipe *p)
{
    struct mesh *m = s->listener->mesh;
    const struct mesh_frame *f = &s->frame;
    bool done = false;
    mesh_count(m, MESH_COUNT_fragments_received);
    enum err err = whole_add(&p->whole, &m->whole_budget, f->fragment.id, f->fragment.total, f->fragment.offset,
                             f->fragment.data, &done);
    if (err != ERR_OK) {
        mesh_count(m, MESH_COUNT_fragments_dropped);
        bool full = err == ERR_FULL || err == ERR_NOMEM;
        listener_ack(s, full ? MESH_ACK_FULL : MESH_ACK_BAD,
                     full ? "no room to join a message" : "fragment out of place");
        return;
    }
    if (!done) {
        listener_ack(s, MESH_ACK_OK, "");
        return;
    }
    arena_fini(&s->arena); /* the fragment is copied */
    decode_start(m, &p->name, whole_take(&p->whole), on_decoded, s);
}

static void take_request(struct listen_slot *s)
{
    struct mesh *m = s->listener->mesh;
    struct peer_pipe *p = peer_find(s->listener, s->pipe);
    const char *text = "";
    if (p == NULL || !p->proved) {
        mesh_count(m, MESH_COUNT_hello_required);
        listener_ack(s, MESH_ACK_HELLO, "");
    } else if (!node_name_eq(&p->name, &s->frame.sender)) {
        mesh_count(m, MESH_COUNT_sender_forged);
        listener_ack(s, MESH_ACK_BAD, "the sender is not who its hello proved");
    } else if (s->frame.type == MESH_FRAGMENT) {
        take_fragment(s, p);
    } else if (s->frame.type == MESH_POLL) {
        caller_poll(s, p);
    } else {
        struct node_name from = p->name; /* the callback may end the connection */
        enum mesh_ack_code code = mesh_deliver(m, &from, &s->frame, &text);
        listener_ack(s, code, text);
    }
}

static void take_bad(struct listen_slot *s)
{
    struct mesh *m = s->listener->mesh;
    const struct mesh_frame *f = &s->frame;
    if (s->err == ERR_NOMEM) {
        listener_ack(s, MESH_ACK_FULL, "no memory");
    } else if (s->err != ERR_VERSION) {
        mesh_count(m, MESH_COUNT_frames_bad);
        log_event(m->options.log, LOG_DEBUG, "mesh", "frame-bad", "reason=\"%s\"", s->info.text);
        listener_ack(s, MESH_ACK_BAD, s->info.text);
    } else {
        bool common = f->version_min <= MESH_VERSION_MAX && f->version_max >= MESH_VERSION_MIN;
        mesh_count(m, MESH_COUNT_frames_unknown);
        listener_ack(s, common ? MESH_ACK_UNKNOWN : MESH_ACK_VERSION, s->info.text);
    }
}

void listener_on_request(struct inbox_item *item)
{
    struct listen_slot *s = CONTAINER_OF(item, struct listen_slot, item);
    struct mesh *m = s->listener->mesh;
    char text[LIMIT_TEXT];
    if (m->closing) {
        arena_fini(&s->arena);
    } else if (s->idle) {
        listener_unpark(s);
    } else if (s->err != ERR_OK) {
        take_bad(s);
    } else if (!slice_eq(s->frame.cluster, m->options.cluster)) {
        (void)snprintf(text, sizeof text, "this is cluster %.*s, not %.*s", SLICE_ARG(m->options.cluster),
                       SLICE_ARG(s->frame.cluster));
        refuse_hello(s, s->frame.sender.s, text);
    } else if (s->frame.type == MESH_HELLO) {
        take_hello(s);
    } else if (s->frame.type == MESH_HELLO_PROOF) {
        take_proof(s);
    } else {
        take_request(s);
    }
}
