/* plan_cache: what the edge asks of the plan for every packet: our domain, the digests offered, whether media is
 * relayed, which trunk an address or a certificate belongs to, one account. All but the last are kept in memory until
 * the plan's digest changes. */
#include "node/app/node.h"

#include <stdio.h>
#include <stdlib.h>

#include "proto/plan_codec.h"

/* ---- filling ---- */

struct trust_walk {
    struct node *n;
    struct arena scratch;
    bool fill; /* the first walk only counts */
    size_t count;
    size_t name_count;
};

static void take_trust(struct trust_walk *w, const struct plan_trunk *t)
{
    for (size_t i = 0; i < t->trust_count; i++) {
        struct trust_range r;
        if (address_range_parse(t->trust[i], &r.range, NULL) != ERR_OK) continue;
        if (w->fill) {
            (void)snprintf(r.trunk, sizeof r.trunk, "%.*s", SLICE_ARG(t->name));
            r.own_site = slice_is(t->site, w->n->config.site);
            r.inside = plan_trunk_inside(t);
            r.hide = t->hide;
            w->n->cache.trust[w->count] = r;
        }
        w->count++;
    }
}

static void take_names(struct trust_walk *w, const struct plan_trunk *t)
{
    for (size_t i = 0; i < t->trust_name_count; i++) {
        struct slice name = t->trust_names[i];
        struct trust_name r = {
            .own_site = slice_is(t->site, w->n->config.site), .inside = plan_trunk_inside(t), .hide = t->hide};
        if (name.n >= sizeof r.name) continue;
        for (size_t k = 0; k < name.n; k++)
            r.name[k] = char_lower(name.p[k]);
        (void)snprintf(r.trunk, sizeof r.trunk, "%.*s", SLICE_ARG(t->name));
        if (w->fill) w->n->cache.names[w->name_count] = r;
        w->name_count++;
    }
}

static int compare_names(const void *a, const void *b)
{
    const struct trust_name *x = a;
    const struct trust_name *y = b;
    int order = strcmp(x->name, y->name);
    if (order == 0) order = (int)y->own_site - (int)x->own_site;
    return order != 0 ? order : strcmp(x->trunk, y->trunk);
}

static bool visit_trunk(void *ctx, struct slice key, struct slice packed)
{
    struct trust_walk *w = ctx;
    struct plan_object o;
    if (!slice_starts(key, SLICE("trunk/"))) return false;
    if (plan_object_unpack_stored(&w->scratch, packed, &o, NULL) == ERR_OK && o.kind == PLAN_TRUNK &&
        !o.trunk.disabled) {
        take_trust(w, &o.trunk);
        take_names(w, &o.trunk);
    }
    return true;
}

static enum err fill_trust(struct node *n)
{
    struct plan_cache *c = &n->cache;
    struct trust_walk w = {.n = n};
    enum err e = store_objects(n->read, SLICE("trunk/"), false, visit_trunk, &w);
    if (e == ERR_OK) {
        c->trust = arena_alloc(&c->arena, w.count * sizeof *c->trust);
        c->names = arena_alloc(&c->arena, w.name_count * sizeof *c->names);
        if (c->trust == NULL || c->names == NULL) e = ERR_NOMEM;
        w.fill = true;
        w.count = w.name_count = 0;
    }
    if (e == ERR_OK) e = store_objects(n->read, SLICE("trunk/"), false, visit_trunk, &w);
    if (e == ERR_OK) {
        c->trust_count = w.count;
        c->name_count = w.name_count;
        if (c->name_count > 1) qsort(c->names, c->name_count, sizeof *c->names, compare_names);
    }
    arena_fini(&w.scratch);
    return e;
}

static void keep_offer(struct plan_cache *c, const struct plan_defaults *d)
{
    struct digest_offer offer = {.count = 0};
    for (size_t i = 0; i < d->digest_count && offer.count < HASH_ALGORITHM_COUNT; i++) {
        if (digest_algorithm_named(d->digest[i], &offer.algorithms[offer.count]) == ERR_OK) offer.count++;
    }
    if (offer.count > 0) c->digests = offer;
}

struct decoy_walk {
    struct node *n;
    struct slice smallest;
    size_t left;
};

static bool visit_account(void *ctx, struct slice key, struct slice packed)
{
    struct decoy_walk *w = ctx;
    if (!slice_starts(key, SLICE("account/"))) return false;
    if (w->smallest.n == 0 || packed.n < w->smallest.n) w->smallest = packed;
    return --w->left > 0;
}

/* An account like others: of some, the one with the least to read, since most have no numbers of their own. */
static enum err keep_decoy(struct node *n)
{
    struct decoy_walk w = {.n = n, .left = 64};
    enum err e = store_objects(n->read, SLICE("account/"), false, visit_account, &w);
    n->cache.decoy = e == ERR_OK ? arena_copy(&n->cache.arena, w.smallest) : SLICE_NONE;
    return e == ERR_OK && n->cache.decoy.p == NULL ? ERR_NOMEM : e;
}

static enum err keep_site(struct node *n)
{
    struct plan_object o;
    enum err e = plan_get(n, &n->cache.arena, PLAN_SITE, slice_of(n->config.site), &o);
    n->cache.media_relay = e == ERR_OK && o.site.media_relay;
    return e == ERR_NOTFOUND ? ERR_OK : e;
}

static enum err fill_cache(struct node *n)
{
    struct plan_cache *c = &n->cache;
    struct slice packed = SLICE_NONE;
    struct plan_object o;
    arena_fini(&c->arena);
    c->domain[0] = '\0';
    c->digests = digest_offer_all();
    c->decoy = SLICE_NONE;
    c->trust = NULL;
    c->trust_count = 0;
    c->names = NULL;
    c->name_count = 0;
    enum err e = store_object(n->read, SLICE("defaults"), &packed, NULL);
    if (e == ERR_OK) e = plan_object_unpack_stored(&c->arena, packed, &o, NULL);
    if (e == ERR_OK && o.kind == PLAN_DEFAULTS) {
        (void)snprintf(c->domain, sizeof c->domain, "%.*s", SLICE_ARG(o.defaults.domain));
        keep_offer(c, &o.defaults);
    }
    if (e == ERR_OK || e == ERR_NOTFOUND) e = keep_site(n);
    if (e == ERR_OK) e = keep_decoy(n);
    return e == ERR_OK ? fill_trust(n) : e;
}

enum err node_plan_cache(struct node *n)
{
    struct plan_digest now;
    store_plan_digest(n->read, &now);
    if (n->cache.filled && plan_digest_eq(now, n->cache.digest)) return ERR_OK;
    enum err e = fill_cache(n);
    n->cache.filled = e == ERR_OK;
    n->cache.digest = now;
    return e;
}

/* The cache as of the last commit that the loop has heard of, outside of a reading; what it was when it cannot be
 * refreshed. Every packet comes here: as long as there was no commit the store is not asked. */
static void refresh(struct node *n)
{
    if (n->cache.filled && plan_digest_eq(n->plan_digest, n->cache.digest)) return;
    if (node_read_begin(n) != ERR_OK) return;
    (void)!node_plan_cache(n);
    node_read_end(n);
}

/* ---- hooks ---- */

struct slice routing_domain_hook(void *ctx)
{
    struct node *n = ctx;
    refresh(n);
    return slice_of(n->cache.domain);
}

struct digest_offer routing_digests_hook(void *ctx)
{
    struct node *n = ctx;
    refresh(n);
    return n->cache.filled ? n->cache.digests : digest_offer_all();
}

bool routing_media_hook(void *ctx)
{
    struct node *n = ctx;
    refresh(n);
    return n->cache.media_relay;
}

static struct address remote_address(const union sock_address *remote)
{
    struct address a = {.family = remote->any.sa_family == AF_INET6 ? ADDRESS_V6 : ADDRESS_V4};
    if (a.family == ADDRESS_V6) {
        memcpy(a.bytes, &remote->v6.sin6_addr, 16);
    } else {
        memcpy(a.bytes, &remote->v4.sin_addr, 4);
    }
    return a;
}

/* The longest range wins; of equal ones a trunk of this site, then the first by name. */
static const struct trust_range *find_trust(const struct plan_cache *c, const struct address *a)
{
    const struct trust_range *best = NULL;
    for (size_t i = 0; i < c->trust_count; i++) {
        const struct trust_range *r = &c->trust[i];
        if (!address_in_range(&r->range, a)) continue;
        bool longer = best == NULL || r->range.prefix_len > best->range.prefix_len;
        bool nearer = best != NULL && r->range.prefix_len == best->range.prefix_len && r->own_site && !best->own_site;
        if (longer || nearer) best = r;
    }
    return best;
}

/* The first entry of the name; NULL: no trunk is known by it. */
static const struct trust_name *find_name(const struct plan_cache *c, const char *name)
{
    size_t from = 0;
    size_t to = c->name_count;
    while (from < to) {
        size_t middle = from + (to - from) / 2;
        if (strcmp(c->names[middle].name, name) < 0) {
            from = middle + 1;
        } else {
            to = middle;
        }
    }
    return from < c->name_count && strcmp(c->names[from].name, name) == 0 ? &c->names[from] : NULL;
}

/* The trunk that one of the proved names belongs to: one of this site before others. */
static const struct trust_name *find_proved(const struct plan_cache *c, struct slice names)
{
    const struct trust_name *best = NULL;
    for (size_t at = 0; at < names.n; at += strlen(names.p + at) + 1) {
        const struct trust_name *found = find_name(c, names.p + at);
        if (found != NULL && (best == NULL || (found->own_site && !best->own_site))) best = found;
    }
    return best;
}

void routing_source_hook(void *ctx, struct arena *arena, const struct flow *from, struct edge_source *out)
{
    struct node *n = ctx;
    *out = (struct edge_source){.kind = EDGE_SOURCE_UNKNOWN};
    refresh(n);
    if (!n->cache.filled) return;
    bool tls = from->transport == PLAN_TLS && n->edge != NULL && n->cache.name_count > 0;
    const struct trust_name *proved = tls ? find_proved(&n->cache, edge_peer_names(n->edge, from)) : NULL;
    struct address a = remote_address(&from->remote);
    const struct trust_range *found = proved == NULL ? find_trust(&n->cache, &a) : NULL;
    if (proved == NULL && found == NULL) return;
    struct slice name = arena_copy(arena, slice_of(proved != NULL ? proved->trunk : found->trunk));
    bool inside = proved != NULL ? proved->inside : found->inside;
    bool hide = proved != NULL ? proved->hide : found->hide;
    if (name.p != NULL) *out = (struct edge_source){EDGE_SOURCE_TRUNK, name, inside, hide};
}

static enum err stored_object(struct node *n, enum plan_kind kind, struct slice name, struct slice *packed)
{
    char key[PLAN_KEY_MAX];
    struct slice prefix = slice_of(plan_kind_name(kind));
    if (!plan_name_valid(name)) return ERR_NOTFOUND;
    memcpy(key, prefix.p, prefix.n);
    key[prefix.n] = '/';
    memcpy(key + prefix.n + 1, name.p, name.n);
    return store_object(n->read, (struct slice){key, prefix.n + 1 + name.n}, packed, NULL);
}

enum err plan_account_brief(struct node *n, struct slice name, struct plan_account_brief *out)
{
    struct slice packed = SLICE_NONE;
    enum err e = stored_object(n, PLAN_ACCOUNT, name, &packed);
    return e == ERR_OK ? plan_account_brief_read(packed, out) : e;
}

enum err plan_get(struct node *n, struct arena *arena, enum plan_kind kind, struct slice name, struct plan_object *out)
{
    struct slice packed = SLICE_NONE;
    if (plan_objects_find(n, kind, name, out)) return ERR_OK;
    enum err e = stored_object(n, kind, name, &packed);
    if (e == ERR_OK && (kind == PLAN_TRUNK || kind == PLAN_SITE)) {
        plan_objects_keep(n, packed);
        if (plan_objects_find(n, kind, name, out)) return ERR_OK;
    }
    if (e == ERR_OK) e = plan_object_unpack_stored(arena, packed, out, NULL);
    return e == ERR_OK && out->kind != kind ? ERR_CORRUPT : e;
}

static enum err unpack_account(struct arena *arena, struct slice packed, struct plan_account *out)
{
    struct plan_object o;
    if (plan_account_read(arena, packed, out)) return ERR_OK;
    enum err e = plan_object_unpack_stored(arena, packed, &o, NULL);
    if (e == ERR_OK && o.kind != PLAN_ACCOUNT) e = ERR_CORRUPT;
    if (e == ERR_OK) *out = o.account;
    return e;
}

/* The work that an account is, done for one that does not exist: who measures the time of an answer learns nothing. The
 * hash stands for the checksum of a stored record. */
static void read_decoy(struct node *n, struct arena *arena)
{
    struct plan_account a;
    n->cache.decoy_sum += map_hash(&n->jobs, n->cache.decoy);
    (void)!unpack_account(arena, n->cache.decoy, &a);
}

enum err routing_account_hook(void *ctx, struct arena *arena, struct slice name, struct plan_account *out)
{
    struct node *n = ctx;
    struct slice packed = SLICE_NONE;
    enum err e = node_read_begin(n);
    if (e != ERR_OK) return e;
    e = stored_object(n, PLAN_ACCOUNT, name, &packed);
    if (e == ERR_OK) e = unpack_account(arena, packed, out);
    if (e == ERR_NOTFOUND) read_decoy(n, arena);
    node_read_end(n);
    return e;
}
