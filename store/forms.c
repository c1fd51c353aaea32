/* forms: see forms.h. */
#include "store/forms.h"

#include <stdlib.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "proto/plan_codec.h"

struct form_slot {
    size_t n;
    char packed[FORM_KEPT_BYTES];
    struct arena arena;
    struct plan_route route; /* in arena */
};

static void slot_free(struct form_slot *s)
{
    if (s == NULL) return;
    arena_fini(&s->arena);
    free(s);
}

void form_cache_fini(struct form_cache *cache)
{
    for (size_t i = 0; i < FORM_SLOTS; i++)
        slot_free(cache->slots[i]);
    *cache = (struct form_cache){.slots = {NULL}};
}

static enum err make(struct arena *arena, struct slice packed, struct plan_route *out)
{
    struct plan_object o;
    enum err e = plan_object_unpack_stored(arena, packed, &o, NULL);
    if (e == ERR_NOMEM) return e;
    if (e != ERR_OK || o.kind != PLAN_ROUTE) return ERR_CORRUPT;
    *out = o.route;
    return ERR_OK;
}

static enum err fill(struct form_slot **slot, struct slice packed)
{
    struct form_slot *s = calloc(1, sizeof *s);
    if (s == NULL) return ERR_NOMEM;
    s->n = packed.n;
    memcpy(s->packed, packed.p, packed.n);
    enum err e = make(&s->arena, packed, &s->route);
    if (e != ERR_OK) {
        slot_free(s);
        return e;
    }
    slot_free(*slot);
    *slot = s;
    return ERR_OK;
}

/* Texts one behind the other in one piece of memory. */
static struct slice put(char **at, struct slice s)
{
    if (s.n == 0) return SLICE("");
    char *p = *at;
    memcpy(p, s.p, s.n);
    p[s.n] = '\0';
    *at = p + s.n + 1;
    return (struct slice){p, s.n};
}

static enum err copy(struct arena *arena, const struct plan_route *from, struct slice match, struct plan_route *out)
{
    size_t codes = from->failover_count * sizeof *from->failover;
    size_t texts = from->scope.n + match.n + from->target.name.n + from->prepend.n + from->hours.n + from->note.n;
    char *at = arena_alloc(arena, codes + texts + 6);
    if (at == NULL) return ERR_NOMEM;
    *out = *from;
    if (codes > 0) {
        out->failover = memcpy(at, from->failover, codes);
        at += codes;
    }
    out->scope = put(&at, from->scope);
    out->match = put(&at, match);
    out->target.name = put(&at, from->target.name);
    out->prepend = put(&at, from->prepend);
    out->hours = put(&at, from->hours);
    out->note = put(&at, from->note);
    return ERR_OK;
}

enum err form_route(struct form_cache *cache, struct arena *arena, const struct index_entry *entry,
                    struct plan_route *out)
{
    char text[INDEX_MATCH_MAX];
    struct slice match = index_entry_match(entry, text);
    struct slice packed = entry->packed;
    if (entry->from_account || packed.n > FORM_KEPT_BYTES) {
        enum err e = make(arena, packed, out);
        if (e == ERR_OK) out->match = arena_copy(arena, match);
        return e == ERR_OK && out->match.p == NULL ? ERR_NOMEM : e;
    }
    struct form_slot **slot = &cache->slots[XXH3_64bits(packed.p, packed.n) % FORM_SLOTS];
    if (*slot == NULL || !slice_eq(packed, (struct slice){(*slot)->packed, (*slot)->n})) {
        enum err e = fill(slot, packed);
        if (e != ERR_OK) return e;
    }
    return copy(arena, &(*slot)->route, match, out);
}
