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

/* A number of an account, as a route to it. */
static enum err account_candidate(struct arena *arena, const struct index_entry *entry, struct slice match,
                                  struct candidate *c)
{
    struct plan_account_brief a;
    enum err e = plan_account_brief_read(entry->packed, &a);
    if (e != ERR_OK) return ERR_CORRUPT;
    struct plan_route route = {.target = {.kind = PLAN_TO_ACCOUNT, .name = a.name},
                               .priority = PLAN_PRIORITY_DEFAULT,
                               .weight = PLAN_WEIGHT_DEFAULT,
                               .strip = a.strip,
                               .prepend = a.prepend,
                               .disabled = a.disabled};
    c->target_read = true;
    c->target_disabled = a.disabled;
    c->target_calls = a.calls;
    c->target_site = a.site.n > 0 ? arena_copy(arena, a.site) : SLICE("");
    return c->target_site.p != NULL ? copy(arena, &route, match, &c->route) : ERR_NOMEM;
}

static enum err route_candidate(struct form_cache *cache, struct arena *arena, const struct index_entry *entry,
                                struct slice match, struct candidate *c)
{
    struct slice packed = entry->packed;
    if (packed.n > FORM_KEPT_BYTES) {
        enum err e = make(arena, packed, &c->route);
        if (e == ERR_OK) c->route.match = arena_copy(arena, match);
        return e == ERR_OK && c->route.match.p == NULL ? ERR_NOMEM : e;
    }
    struct form_slot **slot = &cache->slots[XXH3_64bits(packed.p, packed.n) % FORM_SLOTS];
    if (*slot == NULL || !slice_eq(packed, (struct slice){(*slot)->packed, (*slot)->n})) {
        enum err e = fill(slot, packed);
        if (e != ERR_OK) return e;
    }
    return copy(arena, &(*slot)->route, match, &c->route);
}

enum err form_candidate(struct form_cache *cache, struct arena *arena, const struct index_entry *entry,
                        struct candidate *out)
{
    char text[INDEX_MATCH_MAX];
    struct slice match = index_entry_match(entry, text);
    *out = (struct candidate){
        .specificity = index_entry_specificity(entry), .from_account = entry->from_account, .health = TARGET_UNKNOWN};
    return entry->from_account ? account_candidate(arena, entry, match, out)
                               : route_candidate(cache, arena, entry, match, out);
}
