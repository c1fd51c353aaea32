/* watch: the watchdog over our own listener.
 *
 * NNG 1.5 can stop accepting for good after connections that end at the wrong moment (upstream #1518). Over plain TCP
 * nobody answers then. Over TLS the listener goes deaf: it still takes connections, shakes hands and speaks its
 * greeting, and hands none of them on; a few thousand half handshakes bring that about, no certificate is needed. So we
 * connect to ourselves every few seconds, and look whether NNG has counted anybody since, as a guest or as a failure.
 * When nobody answers or nobody is counted DEAD_LOOKS times in a row, the listener is closed and bound again; that ends
 * the connections that came in through it, and the peers dial again. */
#include <stdio.h>

#include "node/mesh/accept.h"

#define DEAD_LOOKS 2
#define AGAIN_MS 500
#define COUNT_MS 1000 /* after our connection, until it must be counted */

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
        s->probed = false;
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
        s->own_probes++;
        s->probed = true;
        s->watch_at = mono_add_ms(mesh_now(), COUNT_MS);
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

static uint64_t stat_value(nng_stat *scope, const char *name)
{
    nng_stat *stat = scope != NULL ? nng_stat_find(scope, name) : NULL;
    return stat != NULL ? nng_stat_value(stat) : 0;
}

/* Connections that failed at TLS, as NNG counts them: its threads see them and we do not. Our own probes are among
 * them. */
static void count_strangers(struct listener *s, uint64_t auth)
{
    uint64_t strangers = auth > s->own_probes ? auth - s->own_probes : 0;
    if (strangers <= s->auth_failures) return;
    counter_add(&s->mesh->counters[MESH_COUNT_accept_failed], strangers - s->auth_failures);
    s->auth_failures = strangers;
}

/* How many connections NNG's listener has been told of, well or badly ended. False when NNG does not say. */
static bool read_told(struct listener *s, uint64_t *told)
{
    static const char *const names[] = {"accept", "disconnect", "canceled", "other", "timeout",
                                        "proto",  "auth",       "oom",      "reject"};
    nng_stat *root = NULL;
    if (nng_stats_get(&root) != 0) return false;
    nng_stat *scope = nng_stat_find_listener(root, s->accept);
    *told = 0;
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        *told += stat_value(scope, names[i]);
    count_strangers(s, stat_value(scope, "auth"));
    nng_stats_free(root);
    return scope != NULL;
}

/* After our own connection: was anybody counted since before it? */
static void look_whether_deaf(struct listener *s, struct mono now)
{
    uint64_t told = 0;
    s->probed = false;
    if (!read_told(s, &told) || told != s->told) {
        s->dead_looks = 0;
        s->watch_at = mono_add_ms(now, MESH_WATCH_MS - COUNT_MS);
        return;
    }
    s->dead_looks++;
    log_event(s->mesh->options.log, LOG_WARN, "mesh", "listener-deaf", "address=%s looks=%u", s->address,
              s->dead_looks);
    s->watch_at = now;
}

void listener_tick(struct listener *s, struct mono now)
{
    struct mesh *m = s->mesh;
    char address[LIMIT_URI + 1];
    guard_tick(s, now);
    if (s->probe != NULL || !mono_reached(now, s->watch_at)) return;
    if (!s->bound || s->dead_looks >= DEAD_LOOKS) {
        reopen(s);
        return;
    }
    if (s->probed) {
        look_whether_deaf(s, now);
        return;
    }
    (void)read_told(s, &s->told);
    s->watch_at = mono_add_ms(now, MESH_WATCH_MS);
    own_address(s, address);
    mesh_count(m, MESH_COUNT_listener_probes);
    if (probe_start(m->options.loop, NULL, PROBE_LISTENER, address, NULL, on_probe, on_probe_ended, s, m, &s->probe) ==
        ERR_OK)
        m->pending++;
}
