/* vector: see vector.h. A sorted array: look-ups are binary searches, and a new origin, which is rare, moves the tail.
 */
#include "node/repl/vector.h"

#include <stdlib.h>

#define LANES (REPL_ROOT_LEN / 8)

_Static_assert(sizeof(struct node_name) % 8 == 0, "the name is hashed in words of 8 bytes");

/* The finalizer of splitmix64: every input bit reaches every output bit. */
static uint64_t mix(uint64_t x)
{
    x += 0x9e3779b97f4a7c15u;
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
    return x ^ (x >> 31);
}

static uint64_t word_at(const char *p)
{
    uint64_t w = 0;
    for (unsigned i = 0; i < 8; i++)
        w |= (uint64_t)(unsigned char)p[i] << (8 * i);
    return w;
}

uint64_t repl_name_hash(const struct node_name *name, uint64_t lane)
{
    uint64_t h = mix(lane + 1);
    for (size_t i = 0; i < sizeof name->s && name->s[i] != '\0'; i += 8)
        h = mix(h ^ word_at(name->s + i));
    return h;
}

uint64_t repl_hash_with(uint64_t h, uint64_t n)
{
    return mix(h ^ n);
}

static uint64_t lane_of(const struct vector_entry *e, uint64_t lane)
{
    return mix(mix(repl_name_hash(&e->origin, lane) ^ e->epoch) ^ e->high);
}

/* sign 1 adds the entry to the root, -1 takes it out. An entry with high 0 says nothing. */
static void root_change(struct repl_vector *v, const struct vector_entry *e, int sign)
{
    if (e->high == 0) return;
    v->total += sign > 0 ? e->high : (uint64_t)0 - e->high;
    for (uint64_t i = 0; i < LANES; i++) {
        uint64_t h = lane_of(e, i);
        v->lane[i] += sign > 0 ? h : (uint64_t)0 - h;
    }
}

void repl_vector_root(const struct repl_vector *v, unsigned char out[REPL_ROOT_LEN])
{
    for (size_t i = 0; i < LANES; i++) { /* little endian; the compiler makes one store of the eight */
        uint64_t lane = v->lane[i];
        unsigned char *to = out + 8 * i;
        to[0] = (unsigned char)lane;
        to[1] = (unsigned char)(lane >> 8);
        to[2] = (unsigned char)(lane >> 16);
        to[3] = (unsigned char)(lane >> 24);
        to[4] = (unsigned char)(lane >> 32);
        to[5] = (unsigned char)(lane >> 40);
        to[6] = (unsigned char)(lane >> 48);
        to[7] = (unsigned char)(lane >> 56);
    }
}

void repl_vector_fini(struct repl_vector *v)
{
    free(v->items);
    *v = (struct repl_vector){0};
}

void repl_vector_clear(struct repl_vector *v)
{
    v->count = 0;
    v->total = 0;
    memset(v->lane, 0, sizeof v->lane);
}

enum err repl_vector_reserve(struct repl_vector *v, size_t extra)
{
    if (extra > REPL_VECTOR_MAX || v->count > REPL_VECTOR_MAX - extra) return ERR_LIMIT;
    size_t want = v->count + extra;
    if (want <= v->cap) return ERR_OK;
    size_t cap = v->cap < 8 ? 8 : v->cap;
    while (cap < want)
        cap *= 2;
    struct vector_entry *grown = realloc(v->items, cap * sizeof *grown);
    if (grown == NULL) return ERR_NOMEM;
    v->items = grown;
    v->cap = cap;
    return ERR_OK;
}

enum err repl_vector_reserve_both(struct repl_vector *planned, struct repl_vector *done, size_t extra)
{
    ASSERT(planned->count >= done->count);
    enum err e = repl_vector_reserve(planned, extra);
    return e != ERR_OK ? e : repl_vector_reserve(done, planned->count + extra - done->count);
}

void repl_vector_assign(struct repl_vector *to, const struct repl_vector *from)
{
    ASSERT(to->cap >= from->count);
    if (from->count > 0) memcpy(to->items, from->items, from->count * sizeof *from->items);
    to->count = from->count;
    memcpy(to->lane, from->lane, sizeof to->lane);
    to->total = from->total;
}

static int entry_cmp(const struct vector_entry *e, const struct node_name *origin, uint64_t epoch)
{
    int order = memcmp(&e->origin, origin, sizeof *origin);
    if (order != 0) return order;
    return (e->epoch > epoch) - (e->epoch < epoch);
}

/* The first entry that is not before (origin, epoch). */
static size_t lower_bound(const struct repl_vector *v, const struct node_name *origin, uint64_t epoch)
{
    size_t low = 0;
    size_t high = v->count;
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        if (entry_cmp(&v->items[mid], origin, epoch) < 0) {
            low = mid + 1;
        } else {
            high = mid;
        }
    }
    return low;
}

uint64_t repl_vector_get(const struct repl_vector *v, const struct node_name *origin, uint64_t epoch)
{
    size_t at = lower_bound(v, origin, epoch);
    if (at == v->count || entry_cmp(&v->items[at], origin, epoch) != 0) return 0;
    return v->items[at].high;
}

const struct vector_entry *repl_vector_newest(const struct repl_vector *v, const struct node_name *origin)
{
    size_t after = lower_bound(v, origin, UINT64_MAX);
    if (after < v->count && node_name_eq(&v->items[after].origin, origin)) return &v->items[after];
    if (after == 0 || !node_name_eq(&v->items[after - 1].origin, origin)) return NULL;
    return &v->items[after - 1];
}

static void insert(struct repl_vector *v, size_t at, const struct vector_entry *e)
{
    ASSERT(v->count < v->cap);
    memmove(&v->items[at + 1], &v->items[at], (v->count - at) * sizeof *v->items);
    v->items[at] = *e;
    v->count++;
    root_change(v, e, 1);
}

static void replace(struct repl_vector *v, struct vector_entry *e, uint64_t epoch, uint64_t high)
{
    root_change(v, e, -1);
    e->epoch = epoch;
    e->high = high;
    root_change(v, e, 1);
}

void repl_vector_raise(struct repl_vector *v, const struct node_name *origin, uint64_t epoch, uint64_t high)
{
    size_t at = lower_bound(v, origin, epoch);
    if (at == v->count || entry_cmp(&v->items[at], origin, epoch) != 0) {
        insert(v, at, &(struct vector_entry){*origin, epoch, high});
    } else if (high > v->items[at].high) {
        replace(v, &v->items[at], epoch, high);
    }
}

void repl_vector_renew(struct repl_vector *v, const struct node_name *owner, uint64_t epoch, uint64_t high)
{
    size_t at = lower_bound(v, owner, 0);
    if (at == v->count || !node_name_eq(&v->items[at].origin, owner)) {
        insert(v, at, &(struct vector_entry){*owner, epoch, high});
        return;
    }
    struct vector_entry *e = &v->items[at];
    if (epoch > e->epoch || (epoch == e->epoch && high > e->high)) replace(v, e, epoch, high);
}
