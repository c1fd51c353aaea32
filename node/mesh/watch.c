/* watch: the watchdog over our own listener.
 *
 * NNG 1.5 can stop accepting for good after connections that end at the wrong moment (upstream #1518; tls+tcp has
 * survived every port scan that was tried, but nothing says it must). So we connect to ourselves every few seconds.
 * When nobody answers DEAD_LOOKS times in a row, the listener is closed and bound again; that ends the connections that
 * came in through it, and the peers dial again. */
#include <stdio.h>

#include "node/mesh/accept.h"

#define DEAD_LOOKS 2
#define AGAIN_MS 500

static void reopen(struct listener *s)
{
    struct mesh *m = s->mesh;
    if (s->bound) {
        mesh_count(m, MESH_COUNT_listener_reopened);
        log_event(m->options.log, LOG_ERROR, "mesh", "listener-dead", "address=%s action=reopen", s->address);
        listener_close_pipes(s);
        (void)nng_listener_close(s->accept);
        s->bound = false;
        s->own_probes = s->auth_failures = 0; /* a new one counts from zero */
    }
    int rv = listener_bind(s);
    if (rv == 0) {
        s->dead_looks = 0;
        s->watch_at = mono_add_ms(mesh_now(), MESH_WATCH_MS);
        log_event(m->options.log, LOG_INFO, "mesh", "listener-open", "address=%s", s->address);
        return;
    }
    /* NNG closes the old socket in the background: the address may be taken for a moment. */
    s->watch_at = mono_add_ms(mesh_now(), AGAIN_MS);
}

static void on_probe(void *ctx, enum probe_result result, const char *text)
{
    struct listener *s = ctx;
    s->probe = NULL;
    if (result == PROBE_FINE) {
        s->dead_looks = 0;
        s->own_probes++;
        return;
    }
    s->dead_looks++;
    log_event(s->mesh->options.log, LOG_WARN, "mesh", "listener-silent", "address=%s looks=%u reason=\"%s\"",
              s->address, s->dead_looks, text);
    s->watch_at = mono_add_ms(mesh_now(), AGAIN_MS);
}

static void on_probe_ended(void *owner)
{
    mesh_pending_done(owner);
}

/* Where we reach ourselves: an unspecified address is not one to connect to. */
static void own_address(const struct listener *s, char out[LIMIT_URI + 1])
{
    const char *port = strrchr(s->address, ':');
    if (strcmp(s->host, "0.0.0.0") == 0) {
        (void)snprintf(out, LIMIT_URI + 1, "127.0.0.1%s", port);
    } else if (strcmp(s->host, "::") == 0) {
        (void)snprintf(out, LIMIT_URI + 1, "[::1]%s", port);
    } else {
        (void)snprintf(out, LIMIT_URI + 1, "%s", s->address);
    }
}

/* Connections that failed at TLS, as NNG counts them: its threads see them and we do not. Our own probes are among
 * them. */
static void read_failures(struct listener *s)
{
    nng_stat *root = NULL;
    if (nng_stats_get(&root) != 0) return;
    nng_stat *scope = nng_stat_find_listener(root, s->accept);
    nng_stat *auth = scope != NULL ? nng_stat_find(scope, "auth") : NULL;
    uint64_t all = auth != NULL ? nng_stat_value(auth) : 0;
    uint64_t strangers = all > s->own_probes ? all - s->own_probes : 0;
    if (strangers > s->auth_failures) {
        counter_add(&s->mesh->counters[MESH_COUNT_accept_failed], strangers - s->auth_failures);
        s->auth_failures = strangers;
    }
    nng_stats_free(root);
}

void listener_tick(struct listener *s, struct mono now)
{
    struct mesh *m = s->mesh;
    char address[LIMIT_URI + 1];
    if (s->probe != NULL || !mono_reached(now, s->watch_at)) return;
    if (!s->bound || s->dead_looks >= DEAD_LOOKS) {
        reopen(s);
        return;
    }
    read_failures(s);
    s->watch_at = mono_add_ms(now, MESH_WATCH_MS);
    own_address(s, address);
    mesh_count(m, MESH_COUNT_listener_probes);
    if (probe_start(m->options.loop, NULL, PROBE_LISTENER, address, NULL, on_probe, on_probe_ended, s, m, &s->probe) ==
        ERR_OK)
        m->pending++;
}
