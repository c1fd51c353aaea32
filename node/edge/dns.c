/* dns: host names to addresses for SIP (RFC 3263).
 *
 * A look-up is one dns_resolve: where no transport is said NAPTR, or what SRV there is, chooses it; it asks for SRV,
 * orders the targets (RFC 2782), and walks them for addresses, waiting for at most one entry of the cache at a time
 * while the entries of all targets are already being asked for. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "node/base/rng.h"
#include "node/edge/address.h"
#include "node/edge/dns_cache.h"

#define LOOKUPS_MAX 4096
#define ADDRESSES_MAX 8

struct target {
    char name[LIMIT_HOST + 1];
    uint16_t port;
};

struct lookup {
    struct list_node wait; /* among an entry's waiters */
    struct dns *d;
    void (*done)(void *ctx, enum err err, const union sock_address *addresses, size_t count);
    dns_done_any done_any; /* in place of done: the transport is to be chosen, */
    unsigned offered;      /* among these, as bits */
    bool chosen;           /* and is; */
    uint8_t choosing;      /* so many questions of it are settled: what they brought may be gone before the last is */
    void *ctx;
    enum plan_transport transport;
    char service[DNS_NAME_LEN + 1]; /* asked for SRV; "" : made from transport and host */
    struct target host;             /* as asked; port 0: SRV comes first */
    struct target targets[DNS_RECORDS_MAX];
    size_t target_count; /* 0: SRV is not answered yet */
    size_t next;         /* the target whose addresses are wanted */
    union sock_address found[ADDRESSES_MAX];
    size_t found_count;
    enum err err; /* why nothing is found */
};

struct dns {
    struct dns_cache cache;
    size_t lookup_count;
    struct rng rng;
    void (*closed)(void *ctx);
    void *closed_ctx;
};

/* ---- look-ups ---- */

static void lookup_finish(struct lookup *l)
{
    struct dns *d = l->d;
    d->lookup_count--;
    if (l->found_count > 0) l->err = ERR_OK;
    if (l->done_any != NULL) {
        l->done_any(l->ctx, l->err, l->transport, l->found, l->found_count);
    } else {
        l->done(l->ctx, l->err, l->found, l->found_count);
    }
    free(l);
}

/* RFC 2782: lowest priority first; among equals by chance in proportion to weight, those of weight 0 seldom first. */
static void order_services(struct dns *d, struct dns_srv *list, size_t n)
{
    for (size_t at = 0; at + 1 < n; at++) {
        uint16_t priority = list[at].priority;
        for (size_t i = at + 1; i < n; i++) {
            if (list[i].priority < priority) priority = list[i].priority;
        }
        uint64_t total = 0;
        for (size_t i = at; i < n; i++)
            total += list[i].priority == priority ? list[i].weight + UINT64_C(1) : 0;
        uint64_t left = rng_below(&d->rng, total);
        size_t chosen = at;
        for (size_t i = at; i < n; i++) {
            if (list[i].priority != priority) continue;
            chosen = i;
            if (left <= list[i].weight) break;
            left -= list[i].weight + UINT64_C(1);
        }
        struct dns_srv swap = list[at];
        list[at] = list[chosen];
        list[chosen] = swap;
    }
}

/* Bytes that belong into a host name; SRV targets come from the network. */
static bool host_valid(struct slice host)
{
    if (host.n == 0 || host.n > LIMIT_HOST) return false;
    for (size_t i = 0; i < host.n; i++) {
        char c = host.p[i];
        bool good = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
                    c == '_' || (c == '.' && i > 0 && host.p[i - 1] != '.');
        if (!good) return false;
    }
    return true;
}

static void target_set(struct target *t, struct slice name, uint16_t port)
{
    if (name.n > 1 && name.p[name.n - 1] == '.') name.n--;
    for (size_t i = 0; i < name.n; i++)
        t->name[i] = char_lower(name.p[i]);
    t->name[name.n] = '\0';
    t->port = port;
}

static void use_services(struct lookup *l, const struct dns_services *answer)
{
    struct dns_srv list[DNS_RECORDS_MAX];
    size_t n = answer->count;
    memcpy(list, answer->items, n * sizeof list[0]);
    order_services(l->d, list, n);
    for (size_t i = 0; i < n; i++) {
        struct slice name = slice_of(list[i].target);
        if (!host_valid(name) || list[i].port == 0) continue; /* "." too: not offered here (RFC 2782) */
        target_set(&l->targets[l->target_count++], name, list[i].port);
    }
}

/* One look-up more than may wait: it has what is known already, and asks nothing. */
static bool is_full(const struct dns *d)
{
    return d->lookup_count > LOOKUPS_MAX;
}

/* Has the addresses of a name asked for. What goes wrong here is met again by the look-up that wants them. */
static void ask_ahead(struct dns *d, const char *name)
{
    struct dns_entry *e = NULL;
    if (is_full(d)) return;
    enum err err = dns_cache_get(&d->cache, DNS_ADDRESSES, name, &e);
    (void)err;
}

static void service_name(const struct lookup *l, enum plan_transport transport, char out[DNS_NAME_LEN + 1])
{
    static const char *const prefixes[] = {
        [PLAN_UDP] = "_sip._udp.", [PLAN_TCP] = "_sip._tcp.", [PLAN_TLS] = "_sips._tcp."};
    (void)snprintf(out, DNS_NAME_LEN + 1, "%s%s", prefixes[transport], l->host.name);
}

static bool is_offered(const struct lookup *l, enum plan_transport transport)
{
    return (l->offered >> transport & 1) != 0;
}

/* The lowest order and preference of those that we have. */
static const struct dns_naptr *best_way(const struct lookup *l, const struct dns_ways *answer)
{
    const struct dns_naptr *best = NULL;
    for (size_t i = 0; i < answer->count; i++) {
        const struct dns_naptr *way = &answer->items[i];
        if (!is_offered(l, way->transport) || !host_valid(slice_of(way->target))) continue;
        bool better = best == NULL || way->order < best->order ||
                      (way->order == best->order && way->preference < best->preference);
        if (better) best = way;
    }
    return best;
}

static void use_way(struct lookup *l, const struct dns_naptr *way)
{
    l->transport = way->transport;
    l->chosen = true;
    if (way->service) {
        for (size_t i = 0; i <= strlen(way->target); i++)
            l->service[i] = char_lower(way->target[i]);
        return;
    }
    target_set(&l->targets[l->target_count++], slice_of(way->target), sip_default_port(way->transport));
}

/* What a question brought, or why nothing: *err. False: the look-up waits, or would have to. */
static bool is_known(struct lookup *l, enum dns_kind kind, const char *name, struct dns_entry **out, enum err *err)
{
    if (is_full(l->d) && !dns_cache_knows(&l->d->cache, kind, name)) return false;
    *err = dns_cache_get(&l->d->cache, kind, name, out);
    if (*err == ERR_OK && (*out)->pending) {
        list_append(&(*out)->waiters, &l->wait);
        return false;
    }
    if (*err == ERR_OK) *err = (*out)->answer.addresses.err; /* each kind of answer begins with it */
    return true;
}

/* A target "." says that there is no such service (RFC 2782). */
static bool has_service(const struct dns_services *answer)
{
    bool has = false;
    for (size_t i = 0; i < answer->count; i++)
        has = has || strcmp(answer->items[i].target, ".") != 0;
    return has;
}

/* RFC 3263 §4.1: by NAPTR; where there is none, the transport whose SRV is there; where there is none either, UDP.
 * False: waits. */
static bool choose_transport(struct lookup *l)
{
    static const enum plan_transport in_turn[] = {PLAN_UDP, PLAN_TCP};
    struct dns_entry *e = NULL;
    enum err err = ERR_OK;
    if (l->choosing == 0) {
        if (!is_known(l, DNS_WAYS, l->host.name, &e, &err)) return false;
        l->choosing++;
        const struct dns_naptr *way = err == ERR_OK ? best_way(l, &e->answer.ways) : NULL;
        if (way != NULL) {
            use_way(l, way);
            return true;
        }
    }
    for (; l->choosing <= sizeof in_turn / sizeof in_turn[0]; l->choosing++) {
        char service[DNS_NAME_LEN + 1];
        enum plan_transport transport = in_turn[l->choosing - 1];
        if (!is_offered(l, transport)) continue;
        service_name(l, transport, service);
        if (!is_known(l, DNS_SERVICES, service, &e, &err)) return false;
        if (err != ERR_OK || !has_service(&e->answer.services)) continue;
        l->transport = transport;
        l->chosen = true;
        return true;
    }
    l->transport = is_offered(l, PLAN_UDP) || !is_offered(l, PLAN_TCP) ? PLAN_UDP : PLAN_TCP;
    l->chosen = true;
    return true;
}

/* Fills targets, from SRV where there is any. False: waits. */
static bool find_targets(struct lookup *l)
{
    char service[DNS_NAME_LEN + 1];
    struct dns_entry *e = NULL;
    service_name(l, l->transport, service);
    if (l->service[0] != '\0') memcpy(service, l->service, sizeof service);
    enum err err = ERR_OK;
    if (!is_known(l, DNS_SERVICES, service, &e, &err)) {
        ask_ahead(l->d, l->host.name); /* mostly there is no SRV, and then its addresses are there already */
        return false;
    }
    if (err == ERR_OK) {
        use_services(l, &e->answer.services);
        return true;
    }
    if (err == ERR_CLOSED) return true;
    l->targets[0] = l->host; /* RFC 3263 §4.2: no SRV, so the host itself at the default port */
    l->targets[0].port = sip_default_port(l->transport);
    l->target_count = 1;
    return true;
}

static void use_addresses(struct lookup *l, const struct dns_addresses *answer, uint16_t port)
{
    for (size_t i = 0; i < answer->count && l->found_count < ADDRESSES_MAX; i++) {
        l->found[l->found_count] = answer->items[i];
        sock_address_set_port(&l->found[l->found_count++], port);
    }
}

/* True: it is done, and gone. */
static bool lookup_run(struct lookup *l)
{
    if (l->done_any != NULL && !l->chosen && !choose_transport(l)) return false;
    if (l->target_count == 0) {
        if (!find_targets(l)) return false;
        l->err = l->d->cache.closing ? ERR_CLOSED : ERR_NOTFOUND;
        /* All at once, so that the walk waits for the slowest only. */
        for (size_t i = 1; i < l->target_count; i++)
            ask_ahead(l->d, l->targets[i].name);
    }
    while (l->next < l->target_count && l->found_count < ADDRESSES_MAX) {
        const struct target *target = &l->targets[l->next];
        struct dns_entry *e = NULL;
        enum err err = ERR_OK;
        if (!is_known(l, DNS_ADDRESSES, target->name, &e, &err)) return false;
        if (err == ERR_OK) {
            use_addresses(l, &e->answer.addresses, target->port);
        } else {
            l->err = err;
        }
        l->next++;
    }
    lookup_finish(l);
    return true;
}

static enum err lookup_begin(struct lookup *l)
{
    struct dns *d = l->d;
    if (lookup_run(l) || list_linked(&l->wait)) return ERR_OK;
    if (l->found_count > 0) {
        lookup_finish(l);
        return ERR_OK;
    }
    dns_count(&d->cache, DC_refused_full);
    d->lookup_count--;
    free(l);
    return ERR_FULL;
}

/* A look-up of what can be one; NULL with *err. */
static struct lookup *lookup_new(struct dns *d, struct slice host, uint16_t port, enum err *err)
{
    if (!host_valid(host)) {
        dns_count(&d->cache, DC_refused_name);
        *err = ERR_SYNTAX;
        return NULL;
    }
    struct lookup *l = calloc(1, sizeof *l);
    *err = l != NULL ? ERR_OK : ERR_NOMEM;
    if (l == NULL) return NULL;
    list_init(&l->wait);
    l->d = d;
    l->err = ERR_NOTFOUND;
    target_set(&l->host, host, port);
    d->lookup_count++;
    return l;
}

enum err dns_resolve(struct dns *d, struct slice host, uint16_t port, enum plan_transport transport,
                     void (*done)(void *ctx, enum err err, const union sock_address *addresses, size_t count),
                     void *ctx)
{
    union sock_address literal;
    enum err err = ERR_OK;
    if (d->cache.closing) return ERR_CLOSED;
    dns_count(&d->cache, DC_lookups);
    if (sock_address_parse(host, port != 0 ? port : sip_default_port(transport), &literal) == ERR_OK) {
        dns_count(&d->cache, DC_literals);
        done(ctx, ERR_OK, &literal, 1);
        return ERR_OK;
    }
    struct lookup *l = lookup_new(d, host, port, &err);
    if (l == NULL) return err;
    l->done = done;
    l->ctx = ctx;
    l->transport = transport;
    if (port != 0) {
        l->targets[0] = l->host;
        l->target_count = 1;
    }
    return lookup_begin(l);
}

enum err dns_resolve_any(struct dns *d, struct slice host, unsigned offered, dns_done_any done, void *ctx)
{
    enum err err = ERR_OK;
    if (d->cache.closing) return ERR_CLOSED;
    dns_count(&d->cache, DC_lookups);
    struct lookup *l = lookup_new(d, host, 0, &err);
    if (l == NULL) return err;
    l->done_any = done;
    l->ctx = ctx;
    l->offered = offered;
    return lookup_begin(l);
}

/* ---- life ---- */

static void on_ready(struct list_node *waiter)
{
    (void)lookup_run(CONTAINER_OF(waiter, struct lookup, wait));
}

enum err dns_open_at(uv_loop_t *loop, const struct log *log, const char *servers, struct dns **out)
{
    uint64_t seed[2];
    struct dns *d = calloc(1, sizeof *d);
    if (d == NULL) return ERR_NOMEM;
    d->cache.loop = loop;
    d->cache.log = log;
    d->cache.on_ready = on_ready;
    enum err err = uv_random(NULL, NULL, seed, sizeof seed, 0, NULL) == 0 ? ERR_OK : ERR_IO;
    if (err == ERR_OK) err = dns_cache_open(&d->cache, servers, seed[0]);
    if (err != ERR_OK) {
        free(d);
        return err;
    }
    rng_init(&d->rng, seed[1]);
    *out = d;
    return ERR_OK;
}

enum err dns_open(uv_loop_t *loop, const struct log *log, struct dns **out)
{
    return dns_open_at(loop, log, NULL, out);
}

static void on_cache_closed(void *ctx)
{
    struct dns *d = ctx;
    void (*closed)(void *closed_ctx) = d->closed;
    void *closed_ctx = d->closed_ctx;
    ASSERT(d->lookup_count == 0);
    dns_cache_fini(&d->cache);
    free(d);
    if (closed != NULL) closed(closed_ctx);
}

void dns_close(struct dns *d, void (*closed)(void *ctx), void *ctx)
{
    d->closed = closed;
    d->closed_ctx = ctx;
    dns_cache_close(&d->cache, on_cache_closed, d);
}

const struct counter_table *dns_counters(const struct dns *d)
{
    return &d->cache.table;
}
