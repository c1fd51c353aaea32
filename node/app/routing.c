/* routing: the edge's questions answered from the replica: who sent this, where does it go.
 *
 * It gathers what the replica holds for a number and what is observed of each target, lets plan_decide decide, and
 * turns the decision into hops. "route explain" reads the same struct routing_result. It decides nothing itself. */
#include "node/app/node.h"

#include <stdio.h>

#include "node/plan/pattern.h"
#include "node/sip/value.h"
#include "proto/plan_codec.h"

#define CANDIDATE_MAX 96

/* ---- the cache ---- */

static bool count_trust(struct node *n, const struct plan_trunk *t, bool fill)
{
    struct plan_cache *c = &n->cache;
    for (size_t i = 0; i < t->trust_count; i++) {
        if (fill) {
            struct trust_range *r = &c->trust[c->trust_count];
            if (address_range_parse(t->trust[i], &r->range, NULL) != ERR_OK) continue;
            (void)snprintf(r->trunk, sizeof r->trunk, "%.*s", SLICE_ARG(t->name));
            r->own_site = slice_is(t->site, n->config.site);
        }
        c->trust_count++;
    }
    return true;
}

struct cache_walk {
    struct node *n;
    struct arena scratch;
    bool fill;
};

static bool visit_trunk(void *ctx, struct slice key, struct slice packed)
{
    struct cache_walk *w = ctx;
    struct plan_object o;
    if (!slice_starts(key, SLICE("trunk/"))) return false;
    if (plan_object_unpack(&w->scratch, packed, &o, NULL) == ERR_OK && !o.trunk.disabled) {
        (void)count_trust(w->n, &o.trunk, w->fill);
    }
    return true;
}

static void keep_offer(struct plan_cache *c, const struct plan_defaults *d)
{
    struct digest_offer offer = {.count = 0};
    for (size_t i = 0; i < d->digest_count && offer.count < HASH_ALGORITHM_COUNT; i++) {
        if (digest_algorithm_named(d->digest[i], &offer.algorithms[offer.count]) == ERR_OK) offer.count++;
    }
    if (offer.count > 0) c->digests = offer;
}

static enum err fill_cache(struct node *n)
{
    struct plan_cache *c = &n->cache;
    struct cache_walk w = {.n = n};
    struct slice packed = SLICE_NONE;
    struct plan_object o;
    arena_fini(&c->arena);
    c->domain = SLICE("");
    c->digests = digest_offer_all();
    c->trust = NULL;
    c->trust_count = 0;
    if (store_object(n->read, SLICE("defaults"), &packed, NULL) == ERR_OK &&
        plan_object_unpack(&c->arena, packed, &o, NULL) == ERR_OK) {
        c->domain = o.defaults.domain;
        keep_offer(c, &o.defaults);
    }
    enum err e = store_objects(n->read, SLICE("trunk/"), false, visit_trunk, &w);
    if (e == ERR_OK) {
        c->trust = arena_alloc(&c->arena, c->trust_count * sizeof *c->trust);
        if (c->trust == NULL) e = ERR_NOMEM;
        c->trust_count = 0;
        w.fill = true;
    }
    if (e == ERR_OK) e = store_objects(n->read, SLICE("trunk/"), false, visit_trunk, &w);
    arena_fini(&w.scratch);
    return e;
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

/* ---- small hooks ---- */

struct slice routing_domain_hook(void *ctx)
{
    struct node *n = ctx;
    if (node_read_begin(n) != ERR_OK) return n->cache.domain;
    (void)!node_plan_cache(n);
    node_read_end(n);
    return n->cache.domain;
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

struct digest_offer routing_digests_hook(void *ctx)
{
    struct node *n = ctx;
    (void)routing_domain_hook(n); /* refreshes the cache */
    return n->cache.filled ? n->cache.digests : digest_offer_all();
}

void routing_source_hook(void *ctx, struct arena *arena, const struct flow *from, struct edge_source *out)
{
    struct node *n = ctx;
    struct address a;
    const struct trust_range *best = NULL;
    *out = (struct edge_source){.kind = EDGE_SOURCE_UNKNOWN};
    if (node_read_begin(n) != ERR_OK) return;
    if (node_plan_cache(n) == ERR_OK) {
        a = remote_address(&from->remote);
        for (size_t i = 0; i < n->cache.trust_count; i++) {
            const struct trust_range *r = &n->cache.trust[i];
            if (!address_in_range(&r->range, &a)) continue;
            bool longer = best == NULL || r->range.prefix_len > best->range.prefix_len;
            bool nearer =
                best != NULL && r->range.prefix_len == best->range.prefix_len && r->own_site && !best->own_site;
            if (longer || nearer) best = r;
        }
    }
    node_read_end(n);
    if (best == NULL) return;
    struct slice name = arena_copy(arena, slice_of(best->trunk));
    if (name.p != NULL) *out = (struct edge_source){EDGE_SOURCE_TRUNK, name};
}

/* An object of the plan, copied into arena. */
static enum err object_get(struct node *n, struct arena *arena, const char *kind, struct slice name,
                           struct plan_object *out)
{
    char key[PLAN_KEY_MAX];
    struct slice packed = SLICE_NONE;
    int len = snprintf(key, sizeof key, "%s/%.*s", kind, SLICE_ARG(name));
    if (len < 0 || (size_t)len >= sizeof key) return ERR_NOTFOUND;
    enum err e = store_object(n->read, (struct slice){key, (size_t)len}, &packed, NULL);
    return e == ERR_OK ? plan_object_unpack(arena, packed, out, NULL) : e;
}

enum err routing_account_hook(void *ctx, struct arena *arena, struct slice name, struct plan_account *out)
{
    struct node *n = ctx;
    struct plan_object o;
    enum err e = node_read_begin(n);
    if (e != ERR_OK) return e;
    e = object_get(n, arena, "account", name, &o);
    node_read_end(n);
    if (e == ERR_OK) *out = o.account;
    return e;
}

/* ---- what is known of a target ---- */

static bool member_alive(const struct node *n, struct slice name)
{
    struct node_name member;
    if (n->repl == NULL || node_name_set(&member, name) != ERR_OK) return false;
    return repl_member_status(n->repl, &member) == MEMBER_ALIVE;
}

static void offer_node(struct candidate *c, struct slice name, bool first)
{
    for (size_t i = 0; i < c->node_count; i++) {
        if (slice_eq(c->nodes[i], name)) return;
    }
    if (c->node_count == DECIDE_NODE_MAX) return;
    if (first && c->node_count > 0) {
        memmove(&c->nodes[1], &c->nodes[0], c->node_count * sizeof c->nodes[0]);
        c->nodes[0] = name;
    } else {
        c->nodes[c->node_count] = name;
    }
    c->node_count++;
}

/* Live nodes of the site, this one (as "") first. Suspects are offered last: they may only be slow. */
static enum err site_nodes(struct node *n, struct arena *arena, struct candidate *c, struct slice site)
{
    static const enum member_status order[] = {MEMBER_ALIVE, MEMBER_SUSPECT};
    if (slice_is(site, n->config.site)) offer_node(c, SLICE(""), true);
    for (size_t pass = 0; n->repl != NULL && pass < 2; pass++) {
        for (size_t i = 1; i < repl_member_count(n->repl); i++) {
            struct repl_member_view m = repl_member_at(n->repl, i);
            if (m.status != order[pass] || !slice_eq(m.site, site)) continue;
            struct slice name = arena_copy(arena, node_name_slice(&m.name));
            if (name.p == NULL) return ERR_NOMEM;
            offer_node(c, name, false);
        }
    }
    return ERR_OK;
}

struct binding_walk {
    struct node *n;
    struct arena *arena;
    struct candidate *c;
    bool live;
    enum err err;
};

static bool visit_binding(void *ctx, const struct state_record *record)
{
    struct binding_walk *w = ctx;
    if (node_name_eq(&record->owner, &w->n->self)) {
        offer_node(w->c, SLICE(""), true);
        w->live = true;
        return true;
    }
    struct slice name = arena_copy(w->arena, node_name_slice(&record->owner));
    if (name.p == NULL) {
        w->err = ERR_NOMEM;
        return false;
    }
    bool alive = member_alive(w->n, name);
    w->live = w->live || alive;
    offer_node(w->c, name, alive && !(w->c->node_count > 0 && w->c->nodes[0].n == 0));
    return true;
}

static enum err observe_account(struct node *n, struct arena *arena, struct candidate *c,
                                const struct plan_account *account)
{
    char key[LIMIT_NAME + 1];
    struct binding_walk w = {.n = n, .arena = arena, .c = c};
    memcpy(key, account->name.p, account->name.n);
    key[account->name.n] = '\0';
    enum err e = store_state_find(n->read, STATE_BINDING, (struct slice){key, account->name.n + 1}, visit_binding, &w);
    if (e == ERR_OK) e = w.err;
    c->target_disabled = account->disabled;
    c->target_site = account->site;
    c->stale = !w.live;
    c->health = c->node_count > 0 ? TARGET_UP : TARGET_NO_BINDING;
    return e;
}

static enum err observe_trunk(struct node *n, struct arena *arena, struct candidate *c, const struct plan_trunk *trunk)
{
    c->target_disabled = trunk->disabled;
    c->target_site = trunk->site;
    enum err e = site_nodes(n, arena, c, trunk->site);
    c->health = c->node_count > 0 ? TARGET_UP : TARGET_NODE_GONE;
    return e;
}

static enum err observe(struct node *n, struct arena *arena, struct candidate *c)
{
    struct plan_object o;
    enum err e = ERR_OK;
    c->health = TARGET_UNKNOWN;
    switch (c->route.target.kind) {
    case PLAN_TO_REJECT: c->health = TARGET_UP; return ERR_OK;
    case PLAN_TO_SITE:
        c->target_site = c->route.target.name;
        e = site_nodes(n, arena, c, c->route.target.name);
        c->health = c->node_count > 0 ? TARGET_UP : TARGET_NODE_GONE;
        return e;
    case PLAN_TO_TRUNK:
        e = object_get(n, arena, "trunk", c->route.target.name, &o);
        return e == ERR_OK ? observe_trunk(n, arena, c, &o.trunk) : (e == ERR_NOTFOUND ? ERR_OK : e);
    case PLAN_TO_ACCOUNT:
        e = object_get(n, arena, "account", c->route.target.name, &o);
        return e == ERR_OK ? observe_account(n, arena, c, &o.account) : (e == ERR_NOTFOUND ? ERR_OK : e);
    }
    return ERR_OK;
}

/* ---- the decision ---- */

/* Rule 2: the account whose name is the number. */
static enum err account_candidate(struct node *n, struct arena *arena, struct slice name, struct routing_result *out)
{
    struct plan_object o;
    enum err e = object_get(n, arena, "account", name, &o);
    if (e == ERR_NOTFOUND) return ERR_OK;
    if (e != ERR_OK) return e;
    struct candidate *c = &out->candidates[out->candidate_count++];
    *c = (struct candidate){.specificity = LIMIT_NUMBER + 2, .from_account = true};
    c->route.match = o.account.name;
    c->route.target = (struct plan_target){.kind = PLAN_TO_ACCOUNT, .name = o.account.name};
    c->route.priority = 0;
    c->route.weight = 10;
    return ERR_OK;
}

static enum err normalise(struct node *n, struct arena *arena, const struct edge_query *q, struct slice site,
                          struct routing_result *out)
{
    struct plan_object trunk;
    struct plan_object at;
    struct plan_trunk none = {0};
    const struct plan_trunk *source = &none;
    struct plan_site no_site = {0};
    out->source_site = site.n > 0 ? site : slice_of(n->config.site);
    if (q->source.kind == EDGE_SOURCE_TRUNK && object_get(n, arena, "trunk", q->source.name, &trunk) == ERR_OK) {
        source = &trunk.trunk;
        if (site.n == 0) out->source_site = trunk.trunk.site;
    }
    enum err e = object_get(n, arena, "site", out->source_site, &at);
    if (e != ERR_OK && e != ERR_NOTFOUND) return e;
    const struct plan_site *dial = e == ERR_OK ? &at.site : &no_site;
    e = decide_normalise(q->dialled, source->in, source->in_count, dial->dial, dial->dial_count, out->plan_number,
                         &out->plan_number_len, &out->matched_in, &out->matched_dial);
    out->normalised = e == ERR_OK;
    return e == ERR_SYNTAX || e == ERR_LIMIT ? ERR_OK : e;
}

static struct slice source_text(struct arena *arena, const struct edge_source *s)
{
    if (s->kind == EDGE_SOURCE_TRUNK) return slice_of(arena_printf(arena, "trunk/%.*s", SLICE_ARG(s->name)));
    if (s->kind == EDGE_SOURCE_ACCOUNT) return slice_of(arena_printf(arena, "account/%.*s", SLICE_ARG(s->name)));
    return SLICE("");
}

static struct local_time local_now(void)
{
    time_t now = (time_t)(node_wall().ms / 1000);
    struct tm tm;
    if (localtime_r(&now, &tm) == NULL) return (struct local_time){0};
    return (struct local_time){(unsigned)(tm.tm_wday + 6) % 7, (unsigned)(tm.tm_hour * 60 + tm.tm_min)};
}

enum err routing_decide(struct node *n, struct arena *arena, const struct edge_query *q, struct slice site,
                        struct routing_result *out)
{
    bool more = false;
    size_t matched = 0;
    *out = (struct routing_result){.matched_in = -1, .matched_dial = -1};
    out->candidates = arena_alloc(arena, (CANDIDATE_MAX + 1) * sizeof *out->candidates);
    if (out->candidates == NULL) return ERR_NOMEM;
    enum err e = normalise(n, arena, q, site, out);
    if (e != ERR_OK) return e;
    struct slice number = out->normalised ? (struct slice){out->plan_number, out->plan_number_len} : q->dialled;
    e = account_candidate(n, arena, number, out);
    if (e == ERR_OK && out->normalised) {
        e = store_match(n->read, arena, number, out->candidates + out->candidate_count, CANDIDATE_MAX, &matched, &more);
        out->candidate_count += matched;
    }
    for (size_t i = 0; e == ERR_OK && i < out->candidate_count; i++)
        e = observe(n, arena, &out->candidates[i]);
    if (e != ERR_OK) return e;
    struct decide_input input = {
        .number = number,
        .site = out->source_site,
        .source = source_text(arena, &q->source),
        .call_id = q->call_id,
        .now = local_now(),
        .candidates = out->candidates,
        .candidate_count = out->candidate_count,
    };
    plan_decide(&input, &out->decision);
    return ERR_OK;
}

/* ---- from targets to hops ---- */

static enum plan_transport transport_of(struct slice text)
{
    if (slice_starts(text, SLICE("tls"))) return PLAN_TLS;
    return slice_starts(text, SLICE("tcp")) ? PLAN_TCP : PLAN_UDP;
}

/* Number as sent by the trunk's out rules. */
static struct slice trunk_number(struct arena *arena, const struct plan_trunk *t, struct slice number)
{
    for (size_t i = 0; i < t->out_count; i++) {
        struct pattern p;
        char sent[LIMIT_NUMBER + 1];
        size_t len = 0;
        if (pattern_parse(t->out[i].match, &p, NULL) != ERR_OK || !pattern_matches(&p, number)) continue;
        if (number_rewrite(number, t->out[i].strip, t->out[i].prepend, sent, &len) != ERR_OK) continue;
        return arena_copy(arena, (struct slice){sent, len});
    }
    return number;
}

static enum err trunk_hops(struct node *n, struct arena *arena, struct edge_target *t, struct slice name)
{
    struct plan_object o;
    enum err e = object_get(n, arena, "trunk", name, &o);
    if (e != ERR_OK) return e;
    struct edge_hop *hops = arena_alloc(arena, o.trunk.address_count * sizeof *hops);
    if (hops == NULL) return ERR_NOMEM;
    t->number = trunk_number(arena, &o.trunk, t->number);
    for (size_t i = 0; i < o.trunk.address_count; i++) {
        struct address_host hp;
        if (address_host_parse(o.trunk.address[i], &hp, NULL) != ERR_OK) continue;
        struct edge_hop *h = &hops[t->hop_count];
        *h = (struct edge_hop){.transport = o.trunk.transport, .host = hp.host, .port = hp.port};
        h->request_uri =
            slice_of(arena_printf(arena, "sip:%.*s@%.*s%s", SLICE_ARG(t->number), SLICE_ARG(o.trunk.address[i]),
                                  o.trunk.transport == PLAN_UDP   ? ""
                                  : o.trunk.transport == PLAN_TCP ? ";transport=tcp"
                                                                  : ";transport=tls"));
        if (h->request_uri.p == NULL) return ERR_NOMEM;
        t->hop_count++;
    }
    t->hops = hops;
    return ERR_OK;
}

/* The contact with the called number as its user part: what a gateway with a range behind it expects. */
static struct slice contact_with_number(struct arena *arena, struct slice contact, struct slice number)
{
    struct slice scheme = SLICE_NONE;
    struct slice user = SLICE_NONE;
    struct slice rest = slice_cut(contact, ':', &scheme);
    struct slice host = slice_cut(rest, '@', &user);
    if (host.p == NULL) host = rest;
    return slice_of(arena_printf(arena, "%.*s:%.*s@%.*s", SLICE_ARG(scheme), SLICE_ARG(number), SLICE_ARG(host)));
}

/* Where a contact is reached: at its own address when the REGISTER came from that host by UDP; else where the REGISTER
 * came from: a NAT or a connection stands between. */
static enum err binding_hop(struct arena *arena, const struct binding *b, const struct edge_target *t,
                            struct edge_hop *h)
{
    struct slice transport = SLICE_NONE;
    struct slice address = slice_cut(b->received, ':', &transport);
    struct address_host from;
    struct sip_uri contact;
    if (address_host_parse(address, &from, NULL) != ERR_OK) return ERR_NOTFOUND;
    *h = (struct edge_hop){.transport = transport_of(transport),
                           .host = from.host,
                           .port = from.port,
                           .route = b->path,
                           .request_uri =
                               t->number_in_contact ? contact_with_number(arena, b->contact, t->number) : b->contact};
    if (h->request_uri.p == NULL) return ERR_NOMEM;
    bool direct = h->transport == PLAN_UDP && sip_uri_parse(arena, b->contact, &contact) == ERR_OK &&
                  slice_eq(contact.host, from.host);
    if (direct) {
        h->port = contact.port != 0 ? contact.port : 5060;
    } else {
        h->received = b->received;
    }
    return ERR_OK;
}

static enum err account_hops(struct node *n, struct arena *arena, struct edge_target *t, struct slice name)
{
    struct binding *list = NULL;
    size_t count = 0;
    enum err e = registrations_own(n, arena, name, &list, &count);
    struct edge_hop *hops = e == ERR_OK ? arena_alloc(arena, count * sizeof *hops) : NULL;
    if (hops == NULL) return e != ERR_OK ? e : ERR_NOMEM;
    for (size_t i = count; i > 0; i--) { /* newest first */
        if (binding_hop(arena, &list[i - 1], t, &hops[t->hop_count]) == ERR_OK) t->hop_count++;
    }
    t->hops = hops;
    return ERR_OK;
}

struct card_walk {
    struct arena *arena;
    struct node_card card;
    bool found;
};

static bool visit_card(void *ctx, const struct state_record *record)
{
    struct card_walk *w = ctx;
    if (!slice_eq(record->key, node_name_slice(&record->owner))) return true;
    w->found = node_card_unpack(w->arena, record->value, &w->card) == ERR_OK;
    return !w->found;
}

static enum err member_hops(struct node *n, struct arena *arena, struct edge_target *t, struct slice name)
{
    struct card_walk w = {.arena = arena};
    enum err e = store_state_find(n->read, STATE_NODE_CARD, name, visit_card, &w);
    struct edge_hop *hops = e == ERR_OK && w.found ? arena_alloc(arena, w.card.sip_address_count * sizeof *hops) : NULL;
    if (hops == NULL) return e != ERR_OK ? e : ERR_NOTFOUND;
    for (size_t i = 0; i < w.card.sip_address_count; i++) {
        struct address_host hp;
        struct slice transport = SLICE_NONE;
        struct slice address = slice_cut(w.card.sip_addresses[i], ':', &transport);
        if (address_host_parse(address, &hp, NULL) != ERR_OK) continue;
        hops[t->hop_count++] =
            (struct edge_hop){.transport = transport_of(transport), .host = hp.host, .port = hp.port};
    }
    t->hops = hops;
    return t->hop_count > 0 ? ERR_OK : ERR_NOTFOUND;
}

/* One way to a target: served here (node "") or by a member. Nothing is added when it has no hop. */
static void add_target(struct node *n, struct arena *arena, struct edge_answer *out, struct edge_target *targets,
                       const struct plan_route *route, struct slice number, struct slice node, bool number_in_contact)
{
    struct edge_target *t = &targets[out->target_count];
    struct buf text = {0};
    enum err e = ERR_OK;
    plan_target_text(&route->target, &text);
    *t = (struct edge_target){.text = arena_copy(arena, buf_view(&text)),
                              .node = node,
                              .number = number,
                              .number_in_contact = number_in_contact,
                              .route = *route};
    buf_fini(&text);
    if (node.n > 0) {
        e = member_hops(n, arena, t, node);
    } else if (route->target.kind == PLAN_TO_TRUNK) {
        e = trunk_hops(n, arena, t, route->target.name);
    } else if (route->target.kind == PLAN_TO_ACCOUNT) {
        e = account_hops(n, arena, t, route->target.name);
    } else {
        e = ERR_NOTFOUND;
    }
    if (e == ERR_OK && t->hop_count > 0 && t->text.p != NULL) out->target_count++;
}

static void answer_decision(struct node *n, struct arena *arena, const struct routing_result *r,
                            struct edge_answer *out, bool local_only)
{
    const struct decision *d = &r->decision;
    struct edge_target *targets = arena_alloc(arena, DECIDE_TARGET_MAX * DECIDE_NODE_MAX * sizeof *targets);
    if (targets == NULL) {
        out->code = 503;
        return;
    }
    out->targets = targets;
    out->rule = d->rule;
    for (size_t i = 0; i < d->target_count; i++) {
        const struct candidate *c = d->targets[i].from;
        struct slice number = arena_copy(arena, (struct slice){d->targets[i].number, d->targets[i].number_len});
        bool in_contact = c->route.target.kind == PLAN_TO_ACCOUNT && c->specificity != LIMIT_NUMBER + 2;
        for (size_t k = 0; k < c->node_count; k++) {
            if (local_only && c->nodes[k].n > 0) continue;
            add_target(n, arena, out, targets, &c->route, number, c->nodes[k], in_contact);
        }
    }
    out->code = d->target_count > 0 ? 480 : d->code;
    if (out->target_count == 0 && d->target_count > 0) out->reason = SLICE("no way to the target at present");
}

/* A call that crossed the mesh: the target that the first node named, and only if it is ours. */
static void answer_named(struct node *n, struct arena *arena, const struct edge_query *q, struct edge_answer *out)
{
    struct plan_route *route = arena_alloc(arena, sizeof *route);
    struct edge_target *targets = arena_alloc(arena, sizeof *targets);
    out->code = 480;
    out->reason = SLICE("the named target is not at this node");
    if (route == NULL || targets == NULL || plan_target_parse(q->named_target, &route->target, NULL) != ERR_OK) return;
    out->targets = targets;
    if (route->target.kind == PLAN_TO_TRUNK) {
        struct plan_object o;
        if (object_get(n, arena, "trunk", route->target.name, &o) != ERR_OK || !slice_is(o.trunk.site, n->config.site))
            return;
    }
    add_target(n, arena, out, targets, route, q->dialled, SLICE(""), q->number_in_contact);
}

void routing_hook(void *ctx, struct arena *arena, const struct edge_query *q, struct edge_answer *out)
{
    struct node *n = ctx;
    struct routing_result r;
    *out = (struct edge_answer){.code = 500};
    if (node_read_begin(n) != ERR_OK) return;
    struct plan_target named = {.kind = PLAN_TO_REJECT};
    bool has_name = q->named_target.n > 0 && plan_target_parse(q->named_target, &named, NULL) == ERR_OK;
    if (q->named_target.n > 0 && !has_name) {
        *out = (struct edge_answer){.code = 480, .reason = SLICE("the named target does not parse")};
    } else if (has_name && named.kind != PLAN_TO_SITE) {
        answer_named(n, arena, q, out);
    } else if (routing_decide(n, arena, q, SLICE(""), &r) == ERR_OK) {
        answer_decision(n, arena, &r, out, has_name);
    }
    node_read_end(n);
}
