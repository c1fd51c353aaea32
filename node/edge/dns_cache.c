#include "node/edge/dns_cache.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ENTRIES_MAX 10000
#define NEGATIVE_TTL_MS 5000

static const char *const counter_names[] = {DNS_COUNTERS(COUNTER_NAME)};

static uint64_t entry_hash(const struct dns_cache *c, enum dns_kind kind, const char *name)
{
    return map_hash(&c->entries, slice_of(name)) ^ (uint64_t)kind;
}

static struct dns_entry *entry_find(struct dns_cache *c, enum dns_kind kind, const char *name)
{
    struct map_node *n = map_first(&c->entries, entry_hash(c, kind, name));
    for (; n != NULL; n = map_next(n)) {
        struct dns_entry *e = CONTAINER_OF(n, struct dns_entry, node);
        if (e->kind == kind && strcmp(e->name, name) == 0) return e;
    }
    return NULL;
}

static void entry_free(struct dns_entry *e)
{
    list_remove(&e->lru);
    map_remove(&e->cache->entries, &e->node);
    free(e);
}

/* NULL: no memory, or every entry is being asked for. */
static struct dns_entry *entry_new(struct dns_cache *c, enum dns_kind kind, const char *name)
{
    if (c->entries.count >= ENTRIES_MAX) {
        if (list_empty(&c->lru)) return NULL;
        entry_free(CONTAINER_OF(c->lru.next, struct dns_entry, lru));
        dns_count(c, DC_evicted);
    }
    struct dns_entry *e = calloc(1, sizeof *e);
    if (e == NULL) return NULL;
    e->cache = c;
    e->kind = kind;
    e->pending = true;
    list_init(&e->lru);
    list_init(&e->waiters);
    (void)snprintf(e->name, sizeof e->name, "%s", name);
    map_insert(&c->entries, &e->node, entry_hash(c, kind, name));
    return e;
}

static void entry_ready(struct dns_entry *e, enum err err, uint32_t ttl_s)
{
    struct dns_cache *c = e->cache;
    struct list_node waiters;
    struct list_node *n = NULL;
    uint64_t ttl_ms = err == ERR_OK ? (uint64_t)ttl_s * 1000 : NEGATIVE_TTL_MS;
    if (err == ERR_NOTFOUND) dns_count(c, DC_not_found);
    if (err == ERR_TIMEOUT) {
        dns_count(c, DC_timeouts); /* at most once per name and NEGATIVE_TTL_MS */
        log_event(c->log, LOG_WARN, "edge", "dns-no-answer", "name=%s", e->name);
    }
    e->pending = false;
    e->expires_ms = uv_now(c->loop) + ttl_ms;
    list_append(&c->lru, &e->lru);
    list_init(&waiters);
    while ((n = list_pop(&e->waiters)) != NULL)
        list_append(&waiters, n);
    /* A look-up may end and its owner ask again: from here on the entry may be gone. */
    while ((n = list_pop(&waiters)) != NULL)
        c->on_ready(n);
}

static void on_addresses(void *ctx, const struct dns_addresses *answer)
{
    struct dns_entry *e = ctx;
    e->answer.addresses = *answer;
    entry_ready(e, answer->err, answer->ttl_s);
}

static void on_services(void *ctx, const struct dns_services *answer)
{
    struct dns_entry *e = ctx;
    e->answer.services = *answer;
    entry_ready(e, answer->err, answer->ttl_s);
}

static void on_ways(void *ctx, const struct dns_ways *answer)
{
    struct dns_entry *e = ctx;
    e->answer.ways = *answer;
    entry_ready(e, answer->err, answer->ttl_s);
}

/* A host that the operator has pinned in /etc/hosts has no SRV: it works without any DNS server in reach. */
static bool is_pinned(struct dns_cache *c, const char *service)
{
    const char *host = strchr(service, '.');
    host = host != NULL ? strchr(host + 1, '.') : NULL;
    return host != NULL && dns_channel_in_hosts(c->channel, host + 1);
}

static enum err entry_ask(struct dns_entry *e)
{
    struct dns_cache *c = e->cache;
    if (e->kind == DNS_ADDRESSES) {
        dns_count(c, DC_questions);
        return dns_channel_addresses(c->channel, e->name, on_addresses, e);
    }
    if (e->kind == DNS_WAYS) {
        if (dns_channel_in_hosts(c->channel, e->name)) {
            on_ways(e, &(struct dns_ways){.err = ERR_NOTFOUND});
            return ERR_OK;
        }
        dns_count(c, DC_questions);
        return dns_channel_ways(c->channel, e->name, on_ways, e);
    }
    if (is_pinned(c, e->name)) {
        on_services(e, &(struct dns_services){.err = ERR_NOTFOUND});
        return ERR_OK;
    }
    dns_count(c, DC_questions);
    return dns_channel_services(c->channel, e->name, on_services, e);
}

static bool is_good(const struct dns_entry *e)
{
    return !e->pending && uv_now(e->cache->loop) < e->expires_ms;
}

bool dns_cache_knows(struct dns_cache *c, enum dns_kind kind, const char *name)
{
    const struct dns_entry *e = entry_find(c, kind, name);
    return e != NULL && is_good(e);
}

enum err dns_cache_get(struct dns_cache *c, enum dns_kind kind, const char *name, struct dns_entry **out)
{
    struct dns_entry *e = entry_find(c, kind, name);
    if (e != NULL && !e->pending && !is_good(e)) {
        entry_free(e);
        e = NULL;
    }
    if (e != NULL && !e->pending) {
        dns_count(c, DC_cache_hits);
        list_remove(&e->lru);
        list_append(&c->lru, &e->lru);
    }
    if (e == NULL) {
        if (c->closing) return ERR_CLOSED;
        e = entry_new(c, kind, name);
        if (e == NULL) return ERR_FULL;
        enum err err = entry_ask(e);
        if (err != ERR_OK) {
            entry_free(e);
            return err;
        }
    }
    *out = e;
    return ERR_OK;
}

/* ---- life ---- */

enum err dns_cache_open(struct dns_cache *c, const char *servers, uint64_t seed)
{
    list_init(&c->lru);
    c->table = (struct counter_table){"dns", counter_names, c->counts, DC_COUNT};
    enum err err = map_init(&c->entries, 64, seed);
    if (err != ERR_OK) return err;
    err = dns_channel_open(c->loop, servers, &c->channel);
    if (err != ERR_OK) map_fini(&c->entries);
    return err;
}

void dns_cache_close(struct dns_cache *c, void (*closed)(void *ctx), void *ctx)
{
    ASSERT(!c->closing);
    c->closing = true;
    dns_channel_close(c->channel, closed, ctx);
}

void dns_cache_fini(struct dns_cache *c)
{
    struct map_walk walk = {0};
    struct map_node *n = NULL;
    while ((n = map_walk(&c->entries, &walk)) != NULL)
        free(CONTAINER_OF(n, struct dns_entry, node));
    map_fini(&c->entries);
}
