/* See link.h. This file has the connection and its states; link_queue.c the messages; hello.c the proof of names. */
#include "node/mesh/link.h"
#include "node/mesh/listener.h"

#include <nng/protocol/reqrep0/req.h>
#include <stdio.h>
#include <arpa/inet.h>
#include <stdlib.h>

#define RECONNECT_MIN_MS 100
#define RECONNECT_MAX_MS 1000 /* a node that came back is linked again within its first heartbeats */
#define SWAP_MS 10000         /* with two addresses: how long one is tried before the other */
#define STUCK_MS 3000         /* NNG has failed to get through to an address that answers: more than its own wait */
#define REQUEST_MAX_MS 60000  /* a context's own bound; a link that does not answer is found dead long before */

/* ---- the socket, once ---- */

/* NNG's thread. A link has one dialer and so one pipe; a late removal of the one before must not hide the new one. */
static void on_pipe_event(nng_pipe pipe, nng_pipe_ev ev, void *arg)
{
    struct link *l = arg;
    uint32_t id = (uint32_t)nng_pipe_id(pipe);
    if (ev == NNG_PIPE_EV_ADD_POST) {
        atomic_store(&l->pipe_seen, id);
    } else {
        (void)atomic_compare_exchange_strong(&l->pipe_seen, &id, 0);
    }
    inbox_push(&l->mesh->inbox, &l->item);
}

static void slot_receive(struct link_slot *s, nng_msg *msg)
{
    struct slice bytes = {nng_msg_body(msg), nng_msg_len(msg)};
    s->err = mesh_frame_unpack(&s->arena, bytes, &s->answer, NULL);
    nng_msg_free(msg);
}

/* NNG's thread: a request is sent, or answered, or neither will happen. */
static void on_slot(void *arg)
{
    struct link_slot *s = arg;
    int rv = nng_aio_result(s->aio);
    if (rv == 0 && !s->receiving && !atomic_load(&s->abandon)) {
        s->receiving = true;
        nng_ctx_recv(s->ctx, s->aio);
        return;
    }
    nng_msg *msg = nng_aio_get_msg(s->aio);
    nng_aio_set_msg(s->aio, NULL);
    if (rv == 0 && s->receiving && msg != NULL) {
        slot_receive(s, msg);
    } else {
        s->err = rv != 0 ? mesh_nng_err(rv) : ERR_CLOSED;
        if (rv != 0 && !s->receiving) nng_msg_free(msg); /* not taken by the socket */
    }
    s->ended_ns = uv_hrtime();
    inbox_push(&s->link->mesh->inbox, &s->item);
}

static int open_slot(struct link *l, struct link_slot *s, enum inbox_kind kind)
{
    s->link = l;
    s->item.kind = kind;
    list_init(&s->item.node);
    int rv = nng_ctx_open(&s->ctx, l->socket);
    /* Without this a request is silently sent again after a minute. */
    if (rv == 0) rv = nng_ctx_set_ms(s->ctx, NNG_OPT_REQ_RESENDTIME, NNG_DURATION_INFINITE);
    if (rv == 0) rv = nng_aio_alloc(&s->aio, on_slot, s);
    if (rv == 0) nng_aio_set_timeout(s->aio, REQUEST_MAX_MS);
    return rv;
}

static int open_socket(struct link *l)
{
    int rv = nng_req0_open(&l->socket);
    if (rv != 0) return rv;
    l->open = true;
    rv = nng_socket_set_ms(l->socket, NNG_OPT_REQ_RESENDTIME, NNG_DURATION_INFINITE);
    if (rv == 0) rv = nng_socket_set_size(l->socket, NNG_OPT_RECVMAXSZ, LIMIT_MESH_FRAME);
    /* NNG doubles the wait and draws the real one between 0 and it. */
    if (rv == 0) rv = nng_socket_set_ms(l->socket, NNG_OPT_RECONNMINT, RECONNECT_MIN_MS);
    if (rv == 0) rv = nng_socket_set_ms(l->socket, NNG_OPT_RECONNMAXT, RECONNECT_MAX_MS);
    if (rv == 0) rv = nng_pipe_notify(l->socket, NNG_PIPE_EV_ADD_POST, on_pipe_event, l);
    if (rv == 0) rv = nng_pipe_notify(l->socket, NNG_PIPE_EV_REM_POST, on_pipe_event, l);
    for (size_t i = 0; rv == 0 && i < MESH_LINK_SLOTS; i++)
        rv = open_slot(l, &l->slots[i], INBOX_ANSWER);
    for (unsigned i = 0; rv == 0 && l->mesh->options.parks && i < MESH_POLL_SLOTS; i++) {
        l->polls[i].number = i;
        rv = open_slot(l, &l->polls[i].slot, INBOX_POLL);
    }
    return rv;
}

static void free_slots(struct link *l)
{
    for (size_t i = 0; i < MESH_LINK_SLOTS; i++) {
        nng_aio_free(l->slots[i].aio);
        arena_fini(&l->slots[i].arena);
    }
    for (size_t i = 0; i < MESH_POLL_SLOTS; i++) {
        nng_aio_free(l->polls[i].slot.aio);
        arena_fini(&l->polls[i].slot.arena);
    }
}

/* A link that dials gets its socket, and keeps it until the end. */
static enum err ensure_socket(struct link *l)
{
    if (l->open) return ERR_OK;
    int rv = open_socket(l);
    if (rv == 0) return ERR_OK;
    (void)link_quiet(l);
    link_stop(l);
    free_slots(l);
    memset(l->slots, 0, sizeof l->slots);
    memset(l->polls, 0, sizeof l->polls);
    l->open = false;
    return mesh_nng_err(rv);
}

void link_slot_start(struct link_slot *s, nng_msg *msg)
{
    ASSERT(!s->busy && s->arena.head == NULL); /* from here on NNG's thread fills it */
    s->busy = true;
    s->generation = s->link->generation;
    s->receiving = false;
    s->err = ERR_OK;
    s->started_ns = uv_hrtime();
    atomic_store(&s->abandon, false);
    nng_aio_set_msg(s->aio, msg);
    nng_ctx_send(s->ctx, s->aio);
}

static void link_reset(struct link *l)
{
    if (l->calls_us) caller_end(l);
    l->state = LINK_PARKED;
    l->named = false;
    l->seed = false;
    l->name = (struct node_name){0};
    l->address[0] = '\0';
    l->next_address[0] = '\0';
    l->why[0] = '\0';
    l->why_refused = false;
    l->stuck = false;
}

enum err link_get(struct mesh *m, struct link **out)
{
    for (struct list_node *n = m->links.next; n != &m->links; n = n->next) {
        struct link *l = CONTAINER_OF(n, struct link, node);
        if (l->state != LINK_PARKED || l->named) continue;
        link_reset(l);
        *out = l;
        return ERR_OK;
    }
    struct link *l = calloc(1, sizeof *l);
    if (l == NULL) return ERR_NOMEM;
    l->mesh = m;
    l->item.kind = INBOX_PIPE;
    list_init(&l->item.node);
    list_init(&l->urgent);
    list_init(&l->queue);
    list_init(&l->flying);
    list_append(&m->links, &l->node);
    *out = l;
    return ERR_OK;
}

struct link *link_find(const struct mesh *m, const struct node_name *name)
{
    for (struct list_node *n = m->links.next; n != &m->links; n = n->next) {
        struct link *l = CONTAINER_OF(n, struct link, node);
        if (l->named && node_name_eq(&l->name, name)) return l;
    }
    return NULL;
}

/* ---- dialling ---- */

static void end_pipe(struct link *l)
{
    if (l->doomed) (void)nng_pipe_close((nng_pipe){.id = l->dead_pipe}); /* gone already is fine */
    l->doomed = false;
}

/* We do not use the connection any more. It is closed a moment later: closing it while an answer comes in can block
 * NNG's reaper for good (upstream #1543). */
static void forget_pipe(struct link *l)
{
    if (l->pipe == 0) return;
    end_pipe(l);
    l->dead_pipe = l->pipe;
    l->pipe = 0;
    l->doomed = true;
    l->doom_at = mono_add_ms(mesh_now(), MESH_QUIET_MS);
}

static void stop_probe(struct link *l)
{
    if (l->probe != NULL) probe_cancel(l->probe);
    l->probe = NULL;
}

/* The pipe goes first: closing a dialer closes its pipes at the transport alone, which blocks the reaper too. */
static void stop_dialling(struct link *l)
{
    forget_pipe(l);
    end_pipe(l);
    if (l->dialing) (void)nng_dialer_close(l->dialer);
    l->dialing = false;
    stop_probe(l);
}

/* Links leave from the address at which this node listens, so that the firewalls between sites see one address for it.
 * False when it listens on all of them or not at all, and when the peer's address is not a literal of the same family:
 * a source of the other one would make every attempt fail. */
static bool dial_source(const struct link *l, nng_sockaddr *out)
{
    char own[LIMIT_HOST + 1];
    char peer[LIMIT_HOST + 1];
    char port[6];
    unsigned char bytes[16];
    *out = (nng_sockaddr){0};
    if (l->mesh->listener == NULL || probe_split(listener_address(l->mesh->listener), own, port) != ERR_OK)
        return false;
    if (probe_split(l->address, peer, port) != ERR_OK) return false;
    if (inet_pton(AF_INET, own, &out->s_in.sa_addr) == 1) {
        out->s_in.sa_family = NNG_AF_INET;
        return out->s_in.sa_addr != INADDR_ANY && inet_pton(AF_INET, peer, bytes) == 1;
    }
    if (inet_pton(AF_INET6, own, out->s_in6.sa_addr) != 1) return false;
    out->s_in6.sa_family = NNG_AF_INET6;
    return memcmp(out->s_in6.sa_addr, &in6addr_any, sizeof out->s_in6.sa_addr) != 0 &&
           inet_pton(AF_INET6, peer, bytes) == 1;
}

static int start_dialer(struct link *l)
{
    char url[LIMIT_URI + 16];
    nng_sockaddr source;
    (void)snprintf(url, sizeof url, "tls+tcp://%s", l->address);
    int rv = nng_dialer_create(&l->dialer, l->socket, url);
    if (rv != 0) return rv;
    rv = nng_dialer_set_ptr(l->dialer, NNG_OPT_TLS_CONFIG, l->mesh->tls_client);
    if (rv == 0) rv = nng_dialer_set_bool(l->dialer, NNG_OPT_TCP_KEEPALIVE, true);
    if (rv == 0) rv = nng_dialer_set_bool(l->dialer, NNG_OPT_TCP_NODELAY, true);
    if (rv == 0 && dial_source(l, &source)) rv = nng_dialer_set_addr(l->dialer, NNG_OPT_LOCADDR, &source);
    if (rv == 0) rv = nng_dialer_start(l->dialer, NNG_FLAG_NONBLOCK);
    if (rv != 0) {
        (void)nng_dialer_close(l->dialer);
        return rv;
    }
    l->dialing = true;
    return 0;
}

static void await_pipe(struct link *l)
{
    struct mono now = mesh_now();
    l->state = LINK_DIALLING;
    l->since = now;
    l->probe_wait_ms = MESH_PROBE_FIRST_MS;
    l->probe_at = mono_add_ms(now, MESH_PROBE_FIRST_MS + rng_below(&l->mesh->rng, MESH_PROBE_FIRST_MS));
    l->deadline = mono_add_ms(now, SWAP_MS);
}

enum err link_dial(struct link *l, const char *address)
{
    char host[LIMIT_HOST + 1];
    char port[6];
    if (strlen(address) > LIMIT_URI || probe_split(address, host, port) != ERR_OK) return ERR_SYNTAX;
    enum err err = ensure_socket(l);
    if (err != ERR_OK) return err;
    stop_dialling(l);
    if (l->calls_us) caller_end(l);
    (void)snprintf(l->address, sizeof l->address, "%s", address);
    l->generation++;
    await_pipe(l);
    return mesh_nng_err(start_dialer(l));
}

/* The connection is gone; NNG's dialer tries again by itself, unless there is another address to try. */
static void link_redial(struct link *l)
{
    char other[LIMIT_URI + 1];
    l->generation++;
    await_pipe(l);
    if (l->next_address[0] == '\0') return;
    memcpy(other, l->next_address, sizeof other);
    memcpy(l->next_address, l->address, sizeof other);
    stop_dialling(l);
    memcpy(l->address, other, sizeof other);
    if (start_dialer(l) != 0) (void)snprintf(l->why, sizeof l->why, "no memory to dial");
}

/* ---- states ---- */

static void leave_up(struct link *l, const char *why)
{
    struct mesh *m = l->mesh;
    m->up_count--;
    mesh_count(m, MESH_COUNT_links_lost);
    log_event(m->options.log, LOG_INFO, "mesh", "link-down", "peer=%s address=%s reason=\"%s\"", l->name.s,
              l->calls_us ? "-" : l->address, why);
}

/* Out of whatever state, with everything that was on the way ended; the caller sets the next state before or after. */
static void link_leave(struct link *l, enum link_state next, enum err err, const char *why)
{
    struct mesh *m = l->mesh;
    bool was_up = l->state == LINK_UP;
    struct node_name name = l->name;
    l->state = next;
    l->generation++;
    l->hello_due = false;
    whole_drop(&l->joining, &m->whole_budget);
    l->joining = (struct whole){0};
    (void)snprintf(l->why, sizeof l->why, "%s", why);
    if (was_up) leave_up(l, why);
    link_end_all(l, err);
    if (!was_up || m->closing) return;
    relay_link_down(m, &name);
    if (!m->closing) m->options.on_link(m->options.ctx, &name, false);
}

void link_park(struct link *l, const char *why)
{
    forget_pipe(l); /* the tick closes it, and the dialer of a parked link */
    stop_probe(l);
    link_leave(l, LINK_PARKED, ERR_UNREACHABLE, why);
    if (l->state == LINK_PARKED && l->seed) link_reset(l);
}

void link_lost(struct link *l, enum err err, const char *why)
{
    forget_pipe(l);
    uint64_t left = l->generation + 1;
    l->why_refused = false;
    if (l->calls_us) caller_dismiss(l, MESH_ACK_OK); /* if it lives it polls anew */
    link_leave(l, l->calls_us ? LINK_AWAITED : LINK_DIALLING, err, why);
    /* The callbacks may have parked or moved it. */
    if (l->generation != left || l->mesh->closing) return;
    if (!l->calls_us) {
        link_redial(l);
    } else if (l->next_address[0] != '\0') { /* it can be dialled now */
        char address[LIMIT_URI + 1];
        memcpy(address, l->next_address, sizeof address);
        l->next_address[0] = '\0';
        if (link_dial(l, address) != ERR_OK) (void)snprintf(l->why, sizeof l->why, "no memory to dial");
    }
}

void link_refused(struct link *l, const char *why)
{
    struct mesh *m = l->mesh;
    bool news = l->state != LINK_REFUSED && (!l->why_refused || strcmp(l->why, why) != 0);
    if (news) {
        log_event(m->options.log, LOG_WARN, "mesh", "link-refused", "peer=%s address=%s reason=\"%s\"",
                  l->named ? l->name.s : "?", l->address, why);
    }
    l->deadline = mono_add_ms(mesh_now(), MESH_REFUSED_RETRY_MS / 2 + rng_below(&m->rng, MESH_REFUSED_RETRY_MS));
    l->why_refused = true;
    link_leave(l, LINK_REFUSED, ERR_UNREACHABLE, why);
}

void link_hello_again(struct link *l)
{
    uint64_t left = l->generation + 1;
    link_leave(l, LINK_HELLO, ERR_UNREACHABLE, "the peer asks for our hello again");
    if (l->generation == left && !l->mesh->closing) link_hello(l);
}

void link_up(struct link *l)
{
    struct mesh *m = l->mesh;
    l->state = LINK_UP;
    l->why[0] = '\0';
    l->why_refused = false;
    m->up_count++;
    mesh_count(m, MESH_COUNT_links_up);
    log_event(m->options.log, LOG_INFO, "mesh", "link-up", "peer=%s address=%s", l->name.s,
              l->calls_us ? "-" : l->address);
    if (m->options.parks && !l->calls_us) poll_fill(l);
    m->options.on_link(m->options.ctx, &l->name, true);
}

void link_on_pipe(struct link *l)
{
    uint32_t seen = atomic_load(&l->pipe_seen);
    if (seen == l->dead_pipe) seen = 0;
    if (seen == l->pipe) return;
    if (l->state == LINK_PARKED || l->calls_us) {
        if (seen != 0) (void)nng_pipe_close((nng_pipe){.id = seen});
        return;
    }
    if (l->pipe != 0) link_lost(l, ERR_UNREACHABLE, "connection lost");
    if (seen == 0 || l->state != LINK_DIALLING || l->mesh->closing) return;
    stop_probe(l);
    l->pipe = seen;
    l->generation++;
    link_hello(l);
}

/* ---- time ---- */

/* NNG does not get through although the address answers: either its attempt waits for the kernel's next SYN, which
 * comes up to a minute later, or NNG's reaper hangs (upstream #1543) and it does not know that the old connection is
 * gone. A new dialer helps in both. */
static void restart_dial(struct link *l)
{
    mesh_count(l->mesh, MESH_COUNT_dials_restarted);
    stop_dialling(l);
    l->generation++;
    await_pipe(l);
    if (start_dialer(l) != 0) (void)snprintf(l->why, sizeof l->why, "no memory to dial");
}

static void on_probe(void *ctx, enum probe_result result, const char *text)
{
    struct link *l = ctx;
    struct mesh *m = l->mesh;
    l->probe = NULL;
    if (l->state != LINK_DIALLING) return;
    bool tls = result == PROBE_TLS_OURS || result == PROBE_TLS_THEIRS;
    char own[LIMIT_TEXT];
    if (result == PROBE_TLS_OURS && credentials_own_fault(m->credentials, mesh_wall(), own, sizeof own)) text = own;
    bool news = strcmp(l->why, text) != 0;
    bool was_stuck = l->stuck;
    l->why_refused = tls;
    l->stuck = result == PROBE_TIMEOUT || (was_stuck && result == PROBE_NAME);
    (void)snprintf(l->why, sizeof l->why, "%s", result == PROBE_FINE ? "" : text);
    if (result != PROBE_CONNECT && result != PROBE_TIMEOUT && result != PROBE_NAME)
        l->probe_at = mono_add_ms(mesh_now(), MESH_PROBE_TLS_MS / 2 + rng_below(&m->rng, MESH_PROBE_TLS_MS));
    if (tls) mesh_count(m, MESH_COUNT_tls_refused);
    if (news && result != PROBE_FINE) {
        log_event(m->options.log, tls ? LOG_WARN : LOG_INFO, "mesh", tls ? "link-refused" : "dial-failed",
                  "peer=%s address=%s reason=\"%s\"", l->named ? l->name.s : "?", l->address, text);
    }
    bool late = mono_ms_between(l->since, mesh_now()) >= STUCK_MS;
    if ((was_stuck && !l->stuck) || (result == PROBE_FINE && late)) {
        restart_dial(l);
    } else if (result == PROBE_FINE) {
        l->probe_at = mono_add_ms(mesh_now(), STUCK_MS);
    }
}

static void on_probe_ended(void *owner)
{
    mesh_pending_done(owner);
}

/* The same source as NNG's attempt, in the system's form: a look from elsewhere could see something else. */
static bool probe_source(const struct link *l, struct sockaddr_storage *out)
{
    nng_sockaddr source;
    *out = (struct sockaddr_storage){0};
    if (!dial_source(l, &source)) return false;
    if (source.s_family == NNG_AF_INET) {
        struct sockaddr_in *v4 = (struct sockaddr_in *)out;
        v4->sin_family = AF_INET;
        v4->sin_addr.s_addr = source.s_in.sa_addr;
    } else {
        struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)out;
        v6->sin6_family = AF_INET6;
        memcpy(&v6->sin6_addr, source.s_in6.sa_addr, sizeof v6->sin6_addr);
    }
    return true;
}

static void ask_why(struct link *l, struct mono now)
{
    struct mesh *m = l->mesh;
    struct sockaddr_storage source;
    const struct sockaddr *from = probe_source(l, &source) ? (const struct sockaddr *)&source : NULL;
    l->probe_wait_ms = l->probe_wait_ms * 3 < MESH_PROBE_MAX_MS ? l->probe_wait_ms * 3 : MESH_PROBE_MAX_MS;
    l->probe_at = mono_add_ms(now, l->probe_wait_ms / 2 + rng_below(&m->rng, l->probe_wait_ms));
    if (probe_start(m->options.loop, credentials_tls(m->credentials), PROBE_PEER, l->address, from, on_probe,
                    on_probe_ended, l, m, &l->probe) == ERR_OK)
        m->pending++;
}

static void tick_up(struct link *l, struct mono now)
{
    uint64_t allowed = MESH_DEAD_MS + l->flying_bytes / MESH_DEAD_BYTES_PER_MS;
    if (l->flying_count == 0 || mono_ms_between(l->heard, now) <= allowed) return;
    mesh_count(l->mesh, MESH_COUNT_links_timed_out);
    link_lost(l, ERR_TIMEOUT, "no answer in time");
}

void link_tick(struct link *l, struct mono now)
{
    if (l->doomed && mono_reached(now, l->doom_at)) end_pipe(l);
    if (l->calls_us) caller_tick(l, now);
    switch (l->state) {
    case LINK_PARKED:
    case LINK_AWAITED:
        if (l->dialing && !l->doomed) stop_dialling(l);
        break;
    case LINK_DIALLING:
        if (l->probe == NULL && mono_reached(now, l->probe_at)) ask_why(l, now);
        if (l->next_address[0] != '\0' && mono_reached(now, l->deadline)) link_redial(l);
        break;
    case LINK_HELLO:
    case LINK_PROOF:
        if (mono_reached(now, l->deadline)) {
            link_lost(l, ERR_UNREACHABLE, "no answer to our hello");
        } else if (l->hello_due) {
            link_hello(l);
        }
        break;
    case LINK_UP:
        tick_up(l, now);
        link_pump(l);
        if (l->state == LINK_UP && l->mesh->options.parks && !l->calls_us) poll_fill(l);
        break;
    case LINK_REFUSED:
        if (mono_reached(now, l->deadline)) link_hello(l);
        break;
    case LINK_STATE_COUNT: break;
    }
}

/* ---- the end ---- */

bool link_quiet(struct link *l)
{
    if (!l->open) return false;
    (void)nng_pipe_notify(l->socket, NNG_PIPE_EV_ADD_POST, NULL, NULL);
    (void)nng_pipe_notify(l->socket, NNG_PIPE_EV_REM_POST, NULL, NULL);
    for (size_t i = 0; i < MESH_LINK_SLOTS; i++) {
        if (l->slots[i].aio != NULL) nng_aio_stop(l->slots[i].aio);
        if (l->slots[i].ctx.id != 0) (void)nng_ctx_close(l->slots[i].ctx);
    }
    for (size_t i = 0; i < MESH_POLL_SLOTS; i++) {
        struct link_slot *s = &l->polls[i].slot;
        if (s->aio != NULL) nng_aio_stop(s->aio);
        if (s->ctx.id != 0) (void)nng_ctx_close(s->ctx);
    }
    return atomic_load(&l->pipe_seen) != 0;
}

void link_stop(struct link *l)
{
    uint32_t pipe = atomic_load(&l->pipe_seen);
    if (pipe != 0) (void)nng_pipe_close((nng_pipe){.id = pipe});
    if (l->open) (void)nng_close(l->socket);
}

void link_free(struct link *l)
{
    free_slots(l);
    whole_drop(&l->joining, &l->mesh->whole_budget);
    link_free_queues(l);
    free(l);
}
