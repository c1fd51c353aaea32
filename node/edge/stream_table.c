#include "node/edge/stream_table.h"

#include <stdlib.h>

/* Handshakes in progress that are allowed beyond the caps: a member behind an address that is full of guests still gets
 * to prove itself. */
#define HANDSHAKE_SLACK 16

struct stream_source {
    struct map_node node;
    struct sock_key key;
    struct guest_tally tally;
};

static struct slice key_slice(const struct sock_key *k)
{
    return (struct slice){(const char *)k->bytes, sizeof k->bytes};
}

enum err stream_table_init(struct transport *t)
{
    struct stream_table *table = &t->streams;
    uint64_t seed = t->options.seed;
    table->cipher_in = malloc(STREAM_CIPHER_LEN);
    if (table->cipher_in == NULL || map_init(&table->by_id, 64, seed) != ERR_OK ||
        map_init(&table->by_remote, 64, seed) != ERR_OK || map_init(&table->sources, 64, seed) != ERR_OK) {
        stream_table_fini(t);
        return ERR_NOMEM;
    }
    return ERR_OK;
}

void stream_table_fini(struct transport *t)
{
    struct stream_table *table = &t->streams;
    map_fini(&table->by_id);
    map_fini(&table->by_remote);
    map_fini(&table->sources);
    free(table->cipher_in);
    table->cipher_in = NULL;
}

static uint64_t id_hash(const struct stream_table *table, uint64_t id)
{
    return map_hash(&table->by_id, (struct slice){(const char *)&id, sizeof id});
}

void stream_list(struct stream *s)
{
    struct stream_table *table = &s->t->streams;
    struct sock_key key;
    s->flow.connection = ++table->last_id;
    sock_key_remote(&key, s->flow.transport, &s->flow.remote);
    map_insert(&table->by_id, &s->by_id, id_hash(table, s->flow.connection));
    map_insert(&table->by_remote, &s->by_remote, map_hash(&table->by_remote, key_slice(&key)));
    if (s->accepted_by == NULL) table->out_count++;
    s->listed = true;
}

void stream_unlist(struct stream *s)
{
    struct stream_table *table = &s->t->streams;
    if (!s->listed) return;
    map_remove(&table->by_id, &s->by_id);
    map_remove(&table->by_remote, &s->by_remote);
    if (s->accepted_by == NULL) table->out_count--;
    s->listed = false;
}

struct stream *stream_by_id(struct transport *t, uint64_t id, enum plan_transport transport)
{
    struct stream_table *table = &t->streams;
    struct map_node *n = map_first(&table->by_id, id_hash(table, id));
    for (; n != NULL; n = map_next(n)) {
        struct stream *s = CONTAINER_OF(n, struct stream, by_id);
        if (s->flow.connection == id) return s->flow.transport == transport ? s : NULL;
    }
    return NULL;
}

static bool fits(const struct stream *s, const struct flow *to, bool expect_member)
{
    if (to->transport != PLAN_TLS) return true;
    if (expect_member) return s->flow.member || s->expect_member;
    return to->domain == 0 || s->flow.domain == to->domain;
}

struct stream *stream_by_remote(const struct transport *t, const struct flow *to, bool expect_member)
{
    const struct stream_table *table = &t->streams;
    struct sock_key key;
    sock_key_remote(&key, to->transport, &to->remote);
    struct map_node *n = map_first(&table->by_remote, map_hash(&table->by_remote, key_slice(&key)));
    for (; n != NULL; n = map_next(n)) {
        struct stream *s = CONTAINER_OF(n, struct stream, by_remote);
        if (s->flow.transport != to->transport || !sock_address_eq(&s->flow.remote, &to->remote)) continue;
        if (fits(s, to, expect_member)) return s;
    }
    return NULL;
}

/* ---- tallies ---- */

static struct stream_source *source_find(struct transport *t, const union sock_address *remote, struct sock_key *key)
{
    struct map *sources = &t->streams.sources;
    sock_key_source(key, remote);
    struct map_node *n = map_first(sources, map_hash(sources, key_slice(key)));
    for (; n != NULL; n = map_next(n)) {
        struct stream_source *source = CONTAINER_OF(n, struct stream_source, node);
        if (memcmp(source->key.bytes, key->bytes, sizeof key->bytes) == 0) return source;
    }
    return NULL;
}

static struct stream_source *source_make(struct transport *t, const union sock_address *remote)
{
    struct map *sources = &t->streams.sources;
    struct sock_key key;
    struct stream_source *source = source_find(t, remote, &key);
    if (source != NULL) return source;
    source = calloc(1, sizeof *source);
    if (source == NULL) return NULL;
    source->key = key;
    map_insert(sources, &source->node, map_hash(sources, key_slice(&key)));
    return source;
}

static void tally_move(struct guest_tally *tally, enum stream_standing from, enum stream_standing to)
{
    if (from == STANDING_HALF_OPEN) tally->half_open--;
    if (from == STANDING_GUEST) tally->guests--;
    if (to == STANDING_HALF_OPEN) tally->half_open++;
    if (to == STANDING_GUEST) tally->guests++;
}

static bool refuse(struct transport *t, enum transport_counter which, const char *why, const union sock_address *remote)
{
    transport_count(t, which);
    transport_log_refusal(t, why, remote);
    return false;
}

bool stream_admit(struct listener *l, const union sock_address *remote)
{
    struct transport *t = l->t;
    struct sock_key key;
    uint32_t slack = l->shown.transport == PLAN_TLS ? HANDSHAKE_SLACK : 0;
    if (l->tally.guests + l->tally.half_open >= t->limits.listener_guests + slack) {
        return refuse(t, TC_stream_refused_listener_full, "listener-full", remote);
    }
    const struct stream_source *source = source_find(t, remote, &key);
    if (source != NULL && source->tally.guests + source->tally.half_open >= t->limits.source_guests + slack) {
        return refuse(t, TC_stream_refused_source_full, "source-full", remote);
    }
    return true;
}

static bool guest_fits(const struct stream *s)
{
    struct transport *t = s->t;
    if (s->accepted_by->tally.guests >= t->limits.listener_guests) {
        return refuse(t, TC_stream_refused_listener_full, "listener-full", &s->flow.remote);
    }
    if (s->source->tally.guests >= t->limits.source_guests) {
        return refuse(t, TC_stream_refused_source_full, "source-full", &s->flow.remote);
    }
    return true;
}

enum err stream_stand(struct stream *s, enum stream_standing standing)
{
    if (s->accepted_by == NULL || s->standing == standing) return ERR_OK;
    if (s->source == NULL) s->source = source_make(s->t, &s->flow.remote);
    if (s->source == NULL) return ERR_NOMEM;
    if (standing == STANDING_GUEST && !guest_fits(s)) return ERR_FULL;
    tally_move(&s->accepted_by->tally, s->standing, standing);
    tally_move(&s->source->tally, s->standing, standing);
    s->standing = standing;
    if (standing == STANDING_NONE) {
        if (s->source->tally.guests == 0 && s->source->tally.half_open == 0) {
            map_remove(&s->t->streams.sources, &s->source->node);
            free(s->source);
        }
        s->source = NULL;
    }
    return ERR_OK;
}
