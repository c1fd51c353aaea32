/* See mesh.h. This file opens and closes, and passes things on: inbox items to links and listener, frames to the
 * callbacks.
 *
 * Libraries of one process share NNG's threads; nothing here is global. The order of the end matters, since NNG 1.5 has
 * use-after-free bugs in closing while things happen, and can hang: mesh_close first stops every context, then closes
 * connections and sockets, on a thread that it waits for no longer than MESH_STOP_MS, and only then frees. */
#include "node/mesh/mesh.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "node/mesh/link.h"
#include "node/mesh/listener.h"

static const char *const counter_names[] = {MESH_COUNTERS(COUNTER_NAME)};

enum err mesh_nng_err(int rv)
{
    switch (rv) {
    case 0: return ERR_OK;
    case NNG_ENOMEM: return ERR_NOMEM;
    case NNG_ETIMEDOUT: return ERR_TIMEOUT;
    case NNG_ECONNREFUSED:
    case NNG_ECONNABORTED:
    case NNG_ECONNRESET:
    case NNG_ECONNSHUT:
    case NNG_EUNREACHABLE: return ERR_UNREACHABLE;
    case NNG_ECLOSED:
    case NNG_ECANCELED: return ERR_CLOSED;
    case NNG_EADDRINUSE:
    case NNG_EEXIST: return ERR_EXISTS;
    case NNG_EINVAL:
    case NNG_EADDRINVAL: return ERR_SYNTAX;
    case NNG_ECRYPTO:
    case NNG_EPEERAUTH: return ERR_AUTH;
    case NNG_EMSGSIZE: return ERR_LIMIT;
    default: return ERR_IO;
    }
}

struct wall mesh_wall(void)
{
    return (struct wall){(int64_t)time(NULL) * 1000};
}

nng_msg *mesh_frame_message(struct mesh *m, struct mesh_frame *f, enum err *err)
{
    struct buf packed = {0};
    nng_msg *msg = NULL;
    f->cluster = m->options.cluster;
    f->sender = m->options.self;
    *err = mesh_frame_pack(f, &packed);
    if (*err == ERR_OK && (nng_msg_alloc(&msg, 0) != 0 || nng_msg_append(msg, packed.p, packed.n) != 0)) {
        nng_msg_free(msg);
        msg = NULL;
        *err = ERR_NOMEM;
    }
    buf_fini(&packed);
    return msg;
}

enum mesh_ack_code mesh_deliver(struct mesh *m, const struct node_name *from, struct mesh_frame *f, const char **text)
{
    switch (f->type) {
    case MESH_MESSAGE:
        mesh_count(m, MESH_COUNT_messages_received);
        f->message.from = *from;
        if (f->message.type == REPL_HEARTBEAT) {
            f->message.heartbeat.your_plan.origin = m->options.self;
            f->message.heartbeat.your_state.origin = m->options.self;
        }
        m->options.on_message(m->options.ctx, from, &f->message);
        return MESH_ACK_OK;
    case MESH_RELAY_REQUEST: return relay_take_request(m, from, f, text);
    case MESH_RELAY_REPLY: relay_take_reply(m, from, f); return MESH_ACK_OK;
    default: *text = "this kind of frame is no request"; return MESH_ACK_BAD;
    }
}

/* ---- the loop's side ---- */

static void on_stop_wake(struct mesh *m);

static void take_items(struct mesh *m)
{
    struct inbox_item *item;
    while ((item = inbox_pop(&m->inbox)) != NULL) {
        switch (item->kind) {
        case INBOX_ANSWER: link_on_answer(CONTAINER_OF(item, struct link_slot, item)); break;
        case INBOX_POLL: poll_on_answer(CONTAINER_OF(item, struct poll_slot, slot.item)); break;
        case INBOX_PIPE:
            if (!m->closing) link_on_pipe(CONTAINER_OF(item, struct link, item));
            break;
        case INBOX_REQUEST: listener_on_request(item); break;
        case INBOX_PEER: listener_on_peer(item); break;
        }
    }
}

static void on_wake(uv_async_t *a)
{
    struct mesh *m = a->data;
    take_items(m);
    if (m->stopping) on_stop_wake(m);
}

static void on_tick(uv_timer_t *t)
{
    struct mesh *m = t->data;
    struct mono now = mesh_now();
    struct list_node *n = m->links.next;
    while (n != &m->links && !m->closing) {
        struct link *l = CONTAINER_OF(n, struct link, node);
        link_tick(l, now); /* links stay in the list until the end */
        n = n->next;
    }
    if (!m->closing && m->listener != NULL) listener_tick(m->listener, now);
    if (!m->closing) seed_tick(m, now);
    if (!m->closing) relay_tick(m, now);
}

/* ---- open ---- */

static enum err copy_options(struct mesh *m, const struct mesh_options *o)
{
    m->options = *o;
    m->options.cluster = arena_copy(&m->arena, o->cluster);
    m->options.listen = NULL; /* the listener has its own */
    m->options.ca_file = m->options.cert_file = m->options.key_file = NULL;
    return m->options.cluster.p != NULL ? ERR_OK : ERR_NOMEM;
}

static int tls_config(const struct mesh *m, nng_tls_mode mode, nng_tls_config **out)
{
    const struct credentials *c = m->credentials;
    nng_tls_config *config = NULL;
    int rv = nng_tls_config_alloc(&config, mode);
    if (rv != 0) return rv;
    rv = nng_tls_config_own_cert(config, credentials_cert_pem(c), credentials_key_pem(c), NULL);
    if (rv == 0) rv = nng_tls_config_ca_chain(config, credentials_ca_pem(c), NULL);
    if (rv == 0) rv = nng_tls_config_auth_mode(config, NNG_TLS_AUTH_MODE_REQUIRED);
    if (rv == 0 && mode == NNG_TLS_MODE_CLIENT) rv = nng_tls_config_server_name(config, MESH_SERVER_NAME);
    if (rv != 0) {
        nng_tls_config_free(config);
        return rv;
    }
    *out = config;
    return 0;
}

static enum err open_tls(struct mesh *m, struct err_info *info)
{
    int rv = tls_config(m, NNG_TLS_MODE_CLIENT, &m->tls_client);
    if (rv == 0) rv = tls_config(m, NNG_TLS_MODE_SERVER, &m->tls_server);
    if (rv == 0) return ERR_OK;
    return err_fail(info, ERR_AUTH, "mesh: the TLS library does not take certificate, key or CA: %s", nng_strerror(rv));
}

static void mesh_free(struct mesh *m)
{
    if (m->listener != NULL) listener_free(m->listener);
    if (m->tls_client != NULL) nng_tls_config_free(m->tls_client);
    if (m->tls_server != NULL) nng_tls_config_free(m->tls_server);
    struct list_node *n;
    while ((n = list_pop(&m->links)) != NULL)
        link_free(CONTAINER_OF(n, struct link, node));
    while ((n = list_pop(&m->evicted)) != NULL)
        free(CONTAINER_OF(n, struct evicted, node));
    seed_free_all(m);
    relay_free_all(m);
    credentials_free(m->credentials);
    arena_fini(&m->arena);
    free(m);
}

static struct mesh *mesh_alloc(const struct mesh_options *options)
{
    struct mesh *m = calloc(1, sizeof *m);
    if (m == NULL) return NULL;
    list_init(&m->links);
    list_init(&m->seeds);
    list_init(&m->evicted);
    list_init(&m->relays_out);
    list_init(&m->relays_in);
    rng_init(&m->rng, options->seed);
    m->table = (struct counter_table){"mesh", counter_names, m->counters, MESH_COUNTER_COUNT};
    return m;
}

enum err mesh_open(const struct mesh_options *options, struct mesh **out, struct err_info *info)
{
    struct mesh *m = mesh_alloc(options);
    if (m == NULL) return err_fail(info, ERR_NOMEM, "no memory");
    enum err err = copy_options(m, options);
    if (err == ERR_OK)
        err = credentials_load(options->ca_file, options->cert_file, options->key_file, &options->self,
                               options->cluster, options->log, &m->credentials, info);
    if (err == ERR_OK) err = open_tls(m, info);
    if (err == ERR_OK && options->listen != NULL) err = listener_open(m, options->listen, &m->listener, info);
    /* The loop's handles come last: they could only be closed later. Until then no context receives and nothing is
     * pushed, */
    if (err == ERR_OK && inbox_open(&m->inbox, options->loop, on_wake, m) != ERR_OK) {
        if (m->listener != NULL) {
            (void)listener_quiet(m->listener);
            listener_stop(m->listener);
        }
        err = err_fail(info, ERR_IO, "mesh: the event loop takes no more handles");
    }
    if (err != ERR_OK) {
        mesh_free(m);
        return err;
    }
    (void)uv_timer_init(options->loop, &m->tick);
    m->tick.data = m;
    (void)uv_timer_start(&m->tick, on_tick, MESH_TICK_MS, MESH_TICK_MS);
    if (m->listener != NULL) listener_start(m->listener);
    *out = m;
    return ERR_OK;
}

/* ---- close ---- */

void mesh_pending_done(struct mesh *m)
{
    if (--m->pending > 0 || !m->closing) return;
    void (*closed)(void *ctx) = m->closed;
    void *ctx = m->closed_ctx;
    if (!m->abandoned) {
        take_items(m); /* some own memory */
        inbox_fini(&m->inbox);
        mesh_free(m);
    }
    if (closed != NULL) closed(ctx);
}

static void on_handle_closed(uv_handle_t *h)
{
    mesh_pending_done(h->data);
}

/* NNG's calls that wait, on a thread of their own. A connection that is closed while a message comes in can block NNG's
 * reaper for good (upstream #1543), so no context takes part any more, and what is under way gets a moment to end,
 * before the first one is closed. */
static void stop_all(void *arg)
{
    struct mesh *m = arg;
    bool connected = m->listener != NULL && listener_quiet(m->listener);
    for (struct list_node *n = m->links.next; n != &m->links; n = n->next) {
        if (link_quiet(CONTAINER_OF(n, struct link, node))) connected = true;
    }
    if (connected) uv_sleep(MESH_QUIET_MS);
    if (m->listener != NULL) listener_stop(m->listener);
    for (struct list_node *n = m->links.next; n != &m->links; n = n->next)
        link_stop(CONTAINER_OF(n, struct link, node));
    uv_mutex_lock(&m->inbox.mutex);
    m->stopped = true;
    if (!m->inbox.dead) (void)uv_async_send(&m->inbox.async);
    uv_mutex_unlock(&m->inbox.mutex);
}

static void close_handles(struct mesh *m)
{
    m->pending += 2;
    uv_close((uv_handle_t *)&m->inbox.async, on_handle_closed);
    uv_close((uv_handle_t *)&m->tick, on_handle_closed);
    mesh_pending_done(m); /* the stopping */
}

/* True when the thread has ended; with give_up it is left alone from here on if it has not. */
static bool has_stopped(struct mesh *m, bool give_up)
{
    uv_mutex_lock(&m->inbox.mutex);
    bool stopped = m->stopped;
    m->inbox.dead = stopped || give_up;
    uv_mutex_unlock(&m->inbox.mutex);
    return stopped;
}

static void on_stop_wake(struct mesh *m)
{
    if (m->inbox.dead || !has_stopped(m, false)) return;
    (void)uv_thread_join(&m->stopper);
    close_handles(m);
}

/* NNG hangs in closing (upstream #1543): better to lose some memory at the end than not to end. */
static void on_stop_late(uv_timer_t *t)
{
    struct mesh *m = t->data;
    if (m->inbox.dead) return;
    if (has_stopped(m, true)) {
        (void)uv_thread_join(&m->stopper);
    } else {
        m->abandoned = true;
        log_event(m->options.log, LOG_WARN, "mesh", "close-abandoned", "after_ms=%d", MESH_STOP_MS);
    }
    close_handles(m);
}

void mesh_close(struct mesh *m, void (*closed)(void *ctx), void *ctx)
{
    ASSERT(!m->closing);
    m->closing = true;
    m->closed = closed;
    m->closed_ctx = ctx;
    if (m->listener != NULL) listener_cancel(m->listener);
    for (struct list_node *n = m->links.next; n != &m->links; n = n->next) {
        struct link *l = CONTAINER_OF(n, struct link, node);
        if (l->probe != NULL) probe_cancel(l->probe);
        l->probe = NULL;
    }
    take_items(m); /* the connections that came lately are to be known */
    m->pending++;
    m->stopping = true;
    (void)uv_timer_start(&m->tick, on_stop_late, MESH_STOP_MS, 0);
    if (uv_thread_create(&m->stopper, stop_all, m) == 0) return;
    m->inbox.dead = true; /* no thread to wait for: wait here */
    stop_all(m);
    close_handles(m);
}

/* ---- calls ---- */

struct slice mesh_listen_address(const struct mesh *m)
{
    return m->listener != NULL ? slice_of(listener_address(m->listener)) : SLICE_NONE;
}

const struct counter_table *mesh_counters(const struct mesh *m)
{
    return &m->table;
}

static struct evicted *find_evicted(const struct mesh *m, const struct node_name *name)
{
    for (struct list_node *n = m->evicted.next; n != &m->evicted; n = n->next) {
        struct evicted *e = CONTAINER_OF(n, struct evicted, node);
        if (node_name_eq(&e->name, name)) return e;
    }
    return NULL;
}

bool mesh_is_evicted(const struct mesh *m, const struct node_name *name, uint64_t issued)
{
    const struct evicted *e = find_evicted(m, name);
    return e != NULL && issued <= e->barred;
}

void mesh_proved(struct mesh *m, const struct node_name *name, uint64_t issued)
{
    if (m->options.on_certificate != NULL) m->options.on_certificate(m->options.ctx, name, issued);
}

static enum err address_text(struct slice address, char out[LIMIT_URI + 1])
{
    char host[LIMIT_HOST + 1];
    char port[6];
    if (address.n == 0 || address.n > LIMIT_URI || memchr(address.p, 0, address.n) != NULL) return ERR_SYNTAX;
    memcpy(out, address.p, address.n);
    out[address.n] = '\0';
    return probe_split(out, host, port);
}

enum err mesh_dial(struct mesh *m, const struct node_name *peer, struct slice address)
{
    char text[LIMIT_URI + 1];
    enum err err = address.n > 0 ? address_text(address, text) : ERR_OK;
    if (err != ERR_OK) return err;
    struct link *l = link_find(m, peer);
    if (l == NULL) {
        err = link_get(m, &l);
        if (err != ERR_OK) return err;
        l->named = true;
        l->name = *peer;
    }
    if (address.n == 0) {
        caller_expect(l);
        return ERR_OK;
    }
    if (l->state == LINK_PARKED) {
        l->next_address[0] = '\0';
        return link_dial(l, text);
    }
    if (strcmp(l->address, text) == 0) return ERR_OK;
    if (l->state == LINK_UP) {
        /* It works: cutting it would lose what is on the way. The new address is taken when this connection ends. */
        memcpy(l->next_address, text, sizeof text);
        return ERR_OK;
    }
    return link_dial(l, text);
}

enum err mesh_dial_seed(struct mesh *m, struct slice address)
{
    char text[LIMIT_URI + 1];
    enum err err = address_text(address, text);
    return err != ERR_OK ? err : seed_add(m, text);
}

void mesh_hangup(struct mesh *m, const struct node_name *peer)
{
    struct link *l = link_find(m, peer);
    if (l != NULL && l->state != LINK_PARKED) link_park(l, "hung up");
}

enum err mesh_bar(struct mesh *m, const struct node_name *peer, uint64_t barred)
{
    struct evicted *e = find_evicted(m, peer);
    if (e == NULL) {
        e = calloc(1, sizeof *e);
        if (e == NULL) return ERR_NOMEM;
        e->name = *peer;
        list_append(&m->evicted, &e->node);
    }
    if (barred > e->barred) e->barred = barred;
    return ERR_OK;
}

enum err mesh_evict(struct mesh *m, const struct node_name *peer, uint64_t barred)
{
    const struct evicted *known = find_evicted(m, peer);
    if (known != NULL && barred <= known->barred) return ERR_OK;
    enum err err = mesh_bar(m, peer, barred);
    if (err != ERR_OK) return err;
    if (m->listener != NULL) listener_drop(m->listener, peer);
    struct link *l = link_find(m, peer);
    if (l != NULL && l->state != LINK_PARKED) link_park(l, "evicted from the cluster");
    if (l != NULL && l->calls_us) caller_dismiss(l, MESH_ACK_HELLO); /* and the hello is refused */
    return ERR_OK;
}

enum err mesh_send(struct mesh *m, const struct node_name *peer, const struct repl_message *message, uint64_t token)
{
    struct mesh_frame f = {.type = MESH_MESSAGE, .message = *message};
    struct link *l = link_find(m, peer);
    return l != NULL ? link_queue(l, &f, OUT_MESSAGE, token) : ERR_UNREACHABLE;
}

enum err mesh_relay(struct mesh *m, const struct node_name *peer, struct slice request, uint64_t token)
{
    return relay_request(m, peer, request, token);
}

enum err mesh_relay_reply(struct mesh *m, uint64_t id, struct slice reply)
{
    return relay_answer(m, id, reply);
}

static void link_words(const struct link *l, char *out, size_t out_size)
{
    static const char *const states[LINK_STATE_COUNT] = {
        "not linked", "dialling", "saying hello", "saying hello", "linked", "refused", "waiting for it to dial us"};
    bool refused = l->why_refused && l->state != LINK_UP && l->state != LINK_PARKED;
    bool shown = l->why[0] != '\0' && l->state != LINK_UP;
    if (l->state == LINK_UP && l->calls_us) {
        (void)snprintf(out, out_size, "linked (it dials us)");
        return;
    }
    (void)snprintf(out, out_size, "%s%s%s", refused ? "refused" : states[l->state], shown ? ": " : "",
                   shown ? l->why : "");
}

void mesh_link_text(const struct mesh *m, const struct node_name *peer, char *out, size_t out_size)
{
    const struct link *l = link_find(m, peer);
    if (l != NULL) {
        link_words(l, out, out_size);
    } else {
        (void)snprintf(out, out_size, "not linked: no address known");
    }
}

bool mesh_link_wanted(const struct mesh *m, const struct node_name *peer)
{
    const struct link *l = link_find(m, peer);
    return l != NULL && l->state != LINK_PARKED;
}

bool mesh_seed_text(const struct mesh *m, size_t i, struct slice *address, char *out, size_t out_size)
{
    for (struct list_node *n = m->links.next; n != &m->links; n = n->next) {
        const struct link *l = CONTAINER_OF(n, struct link, node);
        if (!l->seed || l->named || l->state == LINK_PARKED || i-- > 0) continue;
        *address = slice_of(l->address);
        link_words(l, out, out_size);
        return true;
    }
    return false;
}
