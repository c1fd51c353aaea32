/* dns_cache: what DNS said, for as long as it said so; what it did not know, for some seconds.
 *
 * An entry is one name with one kind of record; it is pending (asked, with look-ups waiting) or ready until it expires.
 * Questions for one name are asked once. The least recently used go first when there are too many. */
#ifndef TANDEM_EDGE_DNS_CACHE_H
#define TANDEM_EDGE_DNS_CACHE_H

#include "node/base/list.h"
#include "node/base/map.h"
#include "node/edge/dns_channel.h"

#define DNS_NAME_LEN (LIMIT_HOST + 16) /* with "_sips._tcp." */

#define DNS_COUNTERS(X)                                                                                                \
    X(lookups)                                                                                                         \
    X(literals)                                                                                                        \
    X(cache_hits)                                                                                                      \
    X(questions)                                                                                                       \
    X(not_found)                                                                                                       \
    X(timeouts)                                                                                                        \
    X(evicted)                                                                                                         \
    X(refused_full)                                                                                                    \
    X(refused_name)

#define DNS_COUNTER_ENUM(id) DC_##id,
enum dns_counter { DNS_COUNTERS(DNS_COUNTER_ENUM) DC_COUNT };

enum dns_kind { DNS_ADDRESSES, DNS_SERVICES, DNS_WAYS };

struct dns_entry {
    struct map_node node;
    struct list_node lru;     /* linked while ready; the head was used longest ago */
    struct list_node waiters; /* of those who wait, for on_ready */
    struct dns_cache *cache;
    enum dns_kind kind;
    bool pending;
    uint64_t expires_ms;
    union {
        struct dns_addresses addresses;
        struct dns_services services;
        struct dns_ways ways;
    } answer;
    char name[DNS_NAME_LEN + 1];
};

struct dns_cache {
    uv_loop_t *loop;
    const struct log *log;
    void (*on_ready)(struct list_node *waiter); /* it waits no longer; it may ask again */
    struct dns_channel *channel;
    struct map entries;
    struct list_node lru;
    bool closing;
    _Atomic uint64_t counts[DC_COUNT];
    struct counter_table table;
};

/* loop, log and on_ready are set, the rest is zero. ERR_SYNTAX (servers), ERR_NOMEM, ERR_IO. */
MUST_CHECK enum err dns_cache_open(struct dns_cache *c, const char *servers, uint64_t seed);
/* What is pending becomes ready with ERR_CLOSED; then closed is called, after which only dns_cache_fini may be. */
void dns_cache_close(struct dns_cache *c, void (*closed)(void *ctx), void *ctx);
void dns_cache_fini(struct dns_cache *c);

/* The entry of a name, asked for if need be: ready, good until the next call, or pending: who wants to wait puts a node
 * of its own into waiters. ERR_CLOSED, ERR_FULL, ERR_NOMEM. */
MUST_CHECK enum err dns_cache_get(struct dns_cache *c, enum dns_kind kind, const char *name, struct dns_entry **out);

/* Whether dns_cache_get would have a ready entry without asking. */
bool dns_cache_knows(struct dns_cache *c, enum dns_kind kind, const char *name);

static inline void dns_count(struct dns_cache *c, enum dns_counter which)
{
    counter_add(&c->counts[which], 1);
}

#endif
