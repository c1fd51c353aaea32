/* See listener.h. This file has the sockets and the contexts; accept.c what is answered; watch.c the watchdog. */
#include "node/mesh/listener.h"

#include <nng/protocol/reqrep0/rep.h>
#include <stdio.h>
#include <stdlib.h>

#include "node/mesh/accept.h"

/* ---- NNG's threads ---- */

/* A context that waits for the next request waits for ever; one that replies does not, since a peer that reads nothing
 * must not hold the contexts of all. */
static void receive(struct listen_slot *s)
{
    nng_aio_set_timeout(s->aio, NNG_DURATION_INFINITE);
    nng_ctx_recv(s->ctx, s->aio);
}

static void on_slot(void *arg)
{
    struct listen_slot *s = arg;
    int rv = nng_aio_result(s->aio);
    nng_msg *msg = nng_aio_get_msg(s->aio);
    nng_aio_set_msg(s->aio, NULL);
    if (s->replying || rv != 0) {
        if (rv != 0) nng_msg_free(msg);
        if (s->replying && rv == NNG_ETIMEDOUT) {
            mesh_count(s->listener->mesh, MESH_COUNT_replies_timed_out);
            (void)nng_pipe_close((nng_pipe){.id = s->pipe});
        }
        bool go_on = s->replying || (rv != NNG_ECLOSED && rv != NNG_ECANCELED);
        s->replying = false;
        s->idle = s->extra;
        if (go_on && !s->extra) receive(s);
        if (go_on && s->extra) inbox_push(&s->listener->mesh->inbox, &s->item);
        return;
    }
    struct slice bytes = {nng_msg_body(msg), nng_msg_len(msg)};
    s->pipe = (uint32_t)nng_pipe_id(nng_msg_get_pipe(msg));
    s->err = mesh_frame_unpack(&s->arena, bytes, &s->frame, &s->info);
    nng_msg_free(msg);
    inbox_push(&s->listener->mesh->inbox, &s->item);
}

static void on_pipe_event(nng_pipe pipe, nng_pipe_ev ev, void *arg)
{
    struct listener *s = arg;
    struct peer_event *e = malloc(sizeof *e);
    if (e == NULL) return; /* at worst an entry stays in the table; numbers of pipes do not come again soon */
    e->item.kind = INBOX_PEER;
    list_init(&e->item.node);
    e->listener = s;
    e->pipe = (uint32_t)nng_pipe_id(pipe);
    e->came = ev == NNG_PIPE_EV_ADD_POST;
    inbox_push(&s->mesh->inbox, &e->item);
}

/* ---- open ---- */

static enum err socket_fail(struct err_info *info, const char *address, int rv)
{
    switch (rv) {
    case NNG_EADDRINUSE:
        return err_fail(info, ERR_EXISTS,
                        "mesh: %s is already in use: stop the program that holds it (ss -ltnp lists them) or give "
                        "mesh.listen another port",
                        address);
    case NNG_EADDRINVAL:
    case NNG_EINVAL: return err_fail(info, ERR_SYNTAX, "mesh: listen: %s: not an address of this machine", address);
    default: return err_fail(info, mesh_nng_err(rv), "mesh: listen: %s: %s", address, nng_strerror(rv));
    }
}

int listener_bind(struct listener *s)
{
    char url[LIMIT_URI + 16];
    int port = 0;
    (void)snprintf(url, sizeof url, "tls+tcp://%s", s->address);
    int rv = nng_listener_create(&s->accept, s->socket, url);
    if (rv != 0) return rv;
    rv = nng_listener_set_ptr(s->accept, NNG_OPT_TLS_CONFIG, s->mesh->tls_server);
    if (rv == 0) rv = nng_listener_set_bool(s->accept, NNG_OPT_TCP_KEEPALIVE, true);
    if (rv == 0) rv = nng_listener_set_bool(s->accept, NNG_OPT_TCP_NODELAY, true);
    if (rv == 0) rv = nng_listener_start(s->accept, 0);
    if (rv == 0) rv = nng_listener_get_int(s->accept, NNG_OPT_TCP_BOUND_PORT, &port);
    if (rv != 0) {
        (void)nng_listener_close(s->accept);
        return rv;
    }
    s->bound = true;
    bool v6 = strchr(s->host, ':') != NULL;
    (void)snprintf(s->address, sizeof s->address, v6 ? "[%s]:%d" : "%s:%d", s->host, port);
    return 0;
}

static int open_slot(struct listener *s)
{
    struct listen_slot *slot = calloc(1, sizeof *slot);
    if (slot == NULL) return NNG_ENOMEM;
    slot->listener = s;
    slot->item.kind = INBOX_REQUEST;
    list_init(&slot->item.node);
    int rv = nng_ctx_open(&slot->ctx, s->socket);
    if (rv == 0) rv = nng_aio_alloc(&slot->aio, on_slot, slot);
    if (rv == 0) {
        s->slots[s->slot_count++] = slot;
        return 0;
    }
    if (slot->ctx.id != 0) (void)nng_ctx_close(slot->ctx);
    free(slot);
    return rv;
}

static int open_socket(struct listener *s)
{
    int rv = nng_rep0_open(&s->socket);
    if (rv != 0) return rv;
    s->open = true;
    rv = nng_socket_set_size(s->socket, NNG_OPT_RECVMAXSZ, LIMIT_MESH_FRAME);
    for (size_t i = 0; rv == 0 && i < MESH_LISTEN_SLOTS; i++)
        rv = open_slot(s);
    return rv;
}

enum err listener_open(struct mesh *m, const char *address, struct listener **out, struct err_info *info)
{
    char port[6];
    struct listener *s = calloc(1, sizeof *s);
    if (s == NULL) return err_fail(info, ERR_NOMEM, "no memory");
    s->mesh = m;
    if (strlen(address) > LIMIT_HOST || probe_split(address, s->host, port) != ERR_OK) {
        free(s);
        return err_fail(info, ERR_SYNTAX, "mesh: listen: %.200s: expected ADDRESS:PORT", address);
    }
    (void)snprintf(s->address, sizeof s->address, "%s", address);
    if (map_init(&s->peers, 64, rng_next(&m->rng)) != ERR_OK) {
        free(s);
        return err_fail(info, ERR_NOMEM, "no memory");
    }
    int rv = open_socket(s);
    if (rv == 0) rv = listener_bind(s);
    if (rv != 0) {
        (void)listener_quiet(s);
        listener_stop(s);
        listener_free(s);
        return socket_fail(info, address, rv);
    }
    *out = s;
    return ERR_OK;
}

void listener_start(struct listener *s)
{
    s->watch_at = mono_add_ms(mesh_now(), MESH_WATCH_MS);
    /* Who came before this is made known by its hello. */
    (void)nng_pipe_notify(s->socket, NNG_PIPE_EV_ADD_POST, on_pipe_event, s);
    (void)nng_pipe_notify(s->socket, NNG_PIPE_EV_REM_POST, on_pipe_event, s);
    for (size_t i = 0; i < s->slot_count; i++)
        receive(s->slots[i]);
}

/* ---- replies, now or later ---- */

void listener_send(struct listen_slot *s, nng_msg *msg_take)
{
    s->replying = true;
    nng_aio_set_timeout(s->aio, MESH_REPLY_MS);
    nng_aio_set_msg(s->aio, msg_take);
    nng_ctx_send(s->ctx, s->aio);
}

bool listener_park(struct listen_slot *slot)
{
    struct listener *s = slot->listener;
    struct listen_slot *other = s->spare;
    if (s->parked_count == MESH_PARKED_MAX) return false;
    if (other != NULL) {
        s->spare = other->next_spare;
    } else if (open_slot(s) == 0) {
        other = s->slots[s->slot_count - 1];
    } else {
        return false;
    }
    s->parked_count++;
    slot->extra = true;
    arena_fini(&slot->arena);
    receive(other);
    return true;
}

/* The next request that its context takes ends what it had. */
void listener_unpark(struct listen_slot *slot)
{
    struct listener *s = slot->listener;
    slot->extra = slot->idle = false;
    slot->next_spare = s->spare;
    s->spare = slot;
    s->parked_count--;
}

const char *listener_address(const struct listener *s)
{
    return s->address;
}

/* ---- the end ---- */

void listener_cancel(struct listener *s)
{
    if (s->probe != NULL) probe_cancel(s->probe);
    s->probe = NULL;
}

void listener_close_pipes(struct listener *s)
{
    struct map_walk walk = {0};
    struct map_node *n;
    while ((n = map_walk(&s->peers, &walk)) != NULL)
        (void)nng_pipe_close((nng_pipe){.id = CONTAINER_OF(n, struct peer_pipe, node)->pipe});
}

bool listener_quiet(struct listener *s)
{
    if (!s->open) return false;
    (void)nng_pipe_notify(s->socket, NNG_PIPE_EV_ADD_POST, NULL, NULL);
    (void)nng_pipe_notify(s->socket, NNG_PIPE_EV_REM_POST, NULL, NULL);
    for (size_t i = 0; i < s->slot_count; i++) {
        nng_aio_stop(s->slots[i]->aio);
        (void)nng_ctx_close(s->slots[i]->ctx);
    }
    return s->peers.count > 0;
}

void listener_stop(struct listener *s)
{
    listener_close_pipes(s);
    if (s->open) (void)nng_close(s->socket);
}

void listener_free(struct listener *s)
{
    struct map_walk walk = {0};
    struct map_node *n;
    for (size_t i = 0; i < s->slot_count; i++) {
        nng_aio_free(s->slots[i]->aio);
        arena_fini(&s->slots[i]->arena);
        free(s->slots[i]);
    }
    while ((n = map_walk(&s->peers, &walk)) != NULL)
        peer_free(s, CONTAINER_OF(n, struct peer_pipe, node));
    map_fini(&s->peers);
    guard_fini(s);
    free(s);
}
