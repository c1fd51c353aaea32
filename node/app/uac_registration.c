#include "node/app/uac_registration.h"

#include <stdlib.h>

#include "node/app/node.h"
#include "node/app/seal.h"
#include "node/plan/holder.h"
#include "node/plan/pattern.h"
#include "proto/plan_codec.h"

#define SITE_NODES_MAX 64 /* a site has a few; of more the first are asked */

struct uac_registration {
    struct list_node node;
    char name[LIMIT_NAME + 1];
    struct arena arena;
    struct plan_trunk trunk; /* as the plan has it */
    bool in_plan;
    bool claims;
    uint64_t term;
    struct wall since;         /* of what it says while it is not held here */
    char why[LIMIT_NAME + 64]; /* the same in words */
    struct buf said;           /* the record as last reported; empty: to be reported */
};

void uac_registration_init(struct uac_registrations *o)
{
    *o = (struct uac_registrations){.stale = true, .due = true};
    list_init(&o->own);
}

static void own_free(struct uac_registration *w)
{
    list_remove(&w->node);
    arena_fini(&w->arena);
    buf_fini(&w->said);
    free(w);
}

void uac_registration_fini(struct uac_registrations *o)
{
    while (o->own.next != NULL && !list_empty(&o->own))
        own_free(CONTAINER_OF(o->own.next, struct uac_registration, node));
    arena_fini(&o->arena);
}

static struct uac_registration *find_own(const struct uac_registrations *o, struct slice trunk)
{
    for (struct list_node *i = o->own.next; i != &o->own; i = i->next) {
        struct uac_registration *w = CONTAINER_OF(i, struct uac_registration, node);
        if (slice_is(trunk, w->name)) return w;
    }
    return NULL;
}

static struct uac_registration *own_of(struct uac_registrations *o, struct slice trunk)
{
    struct uac_registration *w = find_own(o, trunk);
    if (w != NULL || trunk.n > LIMIT_NAME) return w;
    w = calloc(1, sizeof *w);
    if (w == NULL) return NULL;
    memcpy(w->name, trunk.p, trunk.n);
    w->since = node_wall();
    list_append(&o->own, &w->node);
    return w;
}

/* ---- what this node says ---- */

static void stored(void *ctx, enum err err)
{
    struct node *n = ctx;
    if (err == ERR_OK) return;
    n->uac.due = true;
    for (struct list_node *i = n->uac.own.next; i != &n->uac.own; i = i->next)
        buf_reset(&CONTAINER_OF(i, struct uac_registration, node)->said);
}

static struct trunk_registration own_record(const struct node *n, const struct uac_registration *w)
{
    struct edge_registration_view v;
    struct trunk_registration r = {.trunk = slice_of(w->name), .holds = w->claims, .term = w->term};
    if (w->claims && n->edge != NULL && edge_registration_find(n->edge, r.trunk, &v)) {
        r.state = v.state;
        r.since = v.since;
        r.contact = v.contact;
        r.reason = v.reason;
    } else {
        r.state = w->claims ? TRUNK_REFUSED : TRUNK_UNREGISTERED;
        r.since = w->since;
        r.reason = slice_of(w->why);
    }
    return r;
}

static struct slice record_key(const struct uac_registration *w, char out[LIMIT_NAME + 1])
{
    size_t n = strlen(w->name);
    memcpy(out, w->name, n + 1);
    return (struct slice){out, n + 1}; /* with its NUL: no address follows */
}

static void report(struct node *n, struct uac_registration *w)
{
    char text[LIMIT_NAME + 1];
    struct buf packed = {0};
    struct trunk_registration r = own_record(n, w);
    if (trunk_registration_pack(&r, &packed) != ERR_OK) {
        n->uac.due = true;
    } else if (!slice_eq(buf_view(&packed), buf_view(&w->said))) {
        buf_reset(&w->said);
        buf_slice(&w->said, buf_view(&packed));
        replica_observe(n, STATE_TRUNK_HEALTH, record_key(w, text), buf_view(&packed), false, stored, n);
    }
    buf_fini(&packed);
}

void uac_registration_hook(void *ctx, const struct edge_registration_view *v)
{
    struct node *n = ctx;
    struct uac_registration *w = find_own(&n->uac, v->trunk);
    if (w != NULL && w->claims && !n->stopping) report(n, w);
}

void uac_registration_observe_again(struct node *n)
{
    for (struct list_node *i = n->uac.own.next; i != &n->uac.own; i = i->next) {
        struct uac_registration *w = CONTAINER_OF(i, struct uac_registration, node);
        buf_reset(&w->said);
        if (w->in_plan && w->term > 0) report(n, w);
    }
}

/* ---- what others say ---- */

void uac_registration_stale(struct node *n)
{
    n->uac.stale = true;
}

struct said_walk {
    struct node *n;
    size_t cap;
    enum err err;
};

static bool visit_said(void *ctx, const struct state_record *record)
{
    struct said_walk *w = ctx;
    struct uac_registrations *o = &w->n->uac;
    struct uac_claim said = {.owner = record->owner};
    if (node_name_eq(&record->owner, &w->n->self)) return true;
    if (record->key.n == 0 || record->key.p[record->key.n - 1] != '\0') return true; /* an address: its health */
    if (trunk_registration_unpack(&o->arena, record->value, &said.r) != ERR_OK) return true;
    if (o->said_count == w->cap) {
        size_t cap = w->cap > 0 ? w->cap * 2 : 16;
        struct uac_claim *larger = arena_alloc(&o->arena, cap * sizeof *larger);
        if (larger == NULL) {
            w->err = ERR_NOMEM;
            return false;
        }
        if (o->said_count > 0) memcpy(larger, o->said, o->said_count * sizeof *larger);
        o->said = larger;
        w->cap = cap;
    }
    o->said[o->said_count++] = said;
    return true;
}

static void fill_said(struct node *n)
{
    struct uac_registrations *o = &n->uac;
    struct said_walk w = {.n = n};
    if (!o->stale) return;
    arena_fini(&o->arena);
    o->said = NULL;
    o->said_count = 0;
    enum err e = store_state_find(n->read, STATE_TRUNK_HEALTH, SLICE(""), visit_said, &w);
    o->stale = e != ERR_OK || w.err != ERR_OK;
}

const struct uac_claim *uac_registration_others(struct node *n, size_t *count)
{
    fill_said(n);
    *count = n->uac.said_count;
    return n->uac.said;
}

static const struct uac_claim *said_by(const struct uac_registrations *o, struct slice node, struct slice trunk)
{
    for (size_t i = 0; i < o->said_count; i++) {
        const struct uac_claim *s = &o->said[i];
        if (slice_eq(s->r.trunk, trunk) && slice_eq(node_name_slice(&s->owner), node)) return s;
    }
    return NULL;
}

/* ---- who could hold it ---- */

struct site {
    struct node *n;
    struct holder_node nodes[SITE_NODES_MAX]; /* this node first */
    struct node_name names[SITE_NODES_MAX];
    size_t count;
};

struct card_walk {
    const struct node_name *owner;
    bool registers;
};

static bool visit_card(void *ctx, const struct state_record *record)
{
    struct card_walk *w = ctx;
    struct arena arena = {0};
    struct node_card card;
    if (node_name_eq(&record->owner, w->owner) && slice_eq(record->key, node_name_slice(w->owner)) &&
        node_card_unpack(&arena, record->value, &card) == ERR_OK) {
        w->registers = card.registers && !card.drained;
    }
    arena_fini(&arena);
    return true;
}

/* One that runs an older version would never claim it. */
static bool is_fit(struct node *n, const struct repl_member_view *m)
{
    struct card_walk w = {.owner = &m->name};
    if (m->status != MEMBER_ALIVE && m->status != MEMBER_SUSPECT) return false;
    enum err e = store_state_find(n->read, STATE_NODE_CARD, node_name_slice(&m->name), visit_card, &w);
    return e == ERR_OK && w.registers;
}

static void add_node(struct site *s, const struct node_name *name, bool fit)
{
    if (s->count == SITE_NODES_MAX) return;
    s->names[s->count] = *name;
    s->nodes[s->count] = (struct holder_node){.name = node_name_slice(&s->names[s->count]), .fit = fit};
    s->count++;
}

static void fill_site(struct node *n, struct site *s)
{
    enum member_status own = repl_member_at(n->repl, 0).status;
    s->n = n;
    s->count = 0;
    add_node(s, &n->self, n->uac.settled && !n->drained && (own == MEMBER_ALIVE || own == MEMBER_SUSPECT));
    for (size_t i = 1; i < repl_member_count(n->repl); i++) {
        struct repl_member_view m = repl_member_at(n->repl, i);
        if (slice_is(m.site, n->config.site)) add_node(s, &m.name, is_fit(n, &m));
    }
}

/* Whether this node knows what the others hold. */
static bool look_settled(const struct node *n)
{
    if (mono_ms_between(n->uac.opened, node_mono()) >= UAC_SETTLE_MS) return true;
    for (size_t i = 1; i < repl_member_count(n->repl); i++) {
        struct repl_member_view m = repl_member_at(n->repl, i);
        if (m.status != MEMBER_ALIVE && m.status != MEMBER_SUSPECT) continue;
        if (m.heard.us == 0 || !m.state_in_step) return false;
    }
    return true;
}

static void fill_claims(struct site *s, const struct uac_registration *w)
{
    const struct uac_registrations *o = &s->n->uac;
    s->nodes[0].claims = w->claims;
    s->nodes[0].term = w->term;
    for (size_t i = 1; i < s->count; i++) {
        const struct uac_claim *said = said_by(o, s->nodes[i].name, slice_of(w->name));
        s->nodes[i].claims = said != NULL && said->r.holds;
        s->nodes[i].term = said != NULL ? said->r.term : 0;
    }
}

static void elect(struct site *s, struct uac_registration *w)
{
    struct node *n = s->n;
    fill_claims(s, w);
    size_t holder = holder_elect(slice_of(w->name), s->nodes, s->count);
    bool mine = holder == 0;
    bool knows_later = holder_next_term(s->nodes, s->count) > w->term + 1;
    if (mine && (!w->claims || knows_later)) {
        w->term = holder_next_term(s->nodes, s->count);
        w->claims = true;
        log_event(&n->log, LOG_INFO, "uac", "claimed", "trunk=%s term=%llu", w->name, (unsigned long long)w->term);
    } else if (!mine && w->claims && n->uac.settled) {
        w->claims = false;
        w->since = node_wall();
        (void)snprintf(w->why, sizeof w->why, "%s%s",
                       holder < s->count ? "held by "
                       : n->drained      ? "this node is drained"
                                         : "no node can hold it",
                       holder < s->count ? s->names[holder].s : "");
        log_event(&n->log, LOG_INFO, "uac", "let-go", "trunk=%s why=\"%s\"", w->name, w->why);
    }
}

/* ---- what the edge holds ---- */

/* What a node that is gone left at the registrar. */
static struct slice stale_contact(const struct site *s, const struct uac_registration *w)
{
    const struct uac_claim *latest = NULL;
    for (size_t i = 1; i < s->count; i++) {
        const struct uac_claim *said = said_by(&s->n->uac, s->nodes[i].name, slice_of(w->name));
        if (s->nodes[i].fit || said == NULL || said->r.contact.n == 0) continue;
        if (latest == NULL || said->r.term > latest->r.term) latest = said;
    }
    return latest != NULL ? latest->r.contact : SLICE("");
}

/* While keys are exchanged it may have been sealed with either. */
static enum err open_password(const struct node *n, struct slice key, struct slice sealed, struct buf *out)
{
    enum err e = unseal(n->identity.cluster_key, key, sealed, out);
    return e == ERR_AUTH && n->identity.has_other_key ? unseal(n->identity.other_key, key, sealed, out) : e;
}

static const char sealed_otherwise[] = "its password does not open with this cluster's key: set it again";

static enum err add_registration(struct site *s, struct uac_registration *w, struct arena *arena,
                                 struct edge_registration *out)
{
    const struct plan_trunk *t = &w->trunk;
    char key[LIMIT_NAME + 8];
    struct buf password = {0};
    enum err e = ERR_OK;
    (void)snprintf(key, sizeof key, "trunk/%s", w->name);
    *out = (struct edge_registration){.trunk = t->name,
                                      .address = t->address,
                                      .address_count = t->address_count,
                                      .transport = t->transport,
                                      .user = t->registration.user,
                                      .login = t->registration.login,
                                      .domain = t->registration.domain,
                                      .expires_s = t->registration.expires_s,
                                      .inside = plan_trunk_inside(t),
                                      .hide = t->hide,
                                      .stale = stale_contact(s, w)};
    if (t->registration.sealed.n > 0) {
        e = open_password(s->n, slice_of(key), t->registration.sealed, &password);
        out->password = arena_copy(arena, buf_view(&password));
        if (e == ERR_OK && out->password.p == NULL) e = ERR_NOMEM;
        if (password.p != NULL) secret_wipe(password.p, password.n);
        buf_fini(&password);
    }
    if (e == ERR_OK) w->why[0] = '\0';
    if (e == ERR_AUTH && strcmp(w->why, sealed_otherwise) != 0) {
        w->since = node_wall();
        (void)snprintf(w->why, sizeof w->why, "%s", sealed_otherwise);
    }
    return e;
}

static void hold(struct site *s)
{
    struct uac_registrations *o = &s->n->uac;
    struct arena arena = {0};
    struct edge_registration *list = NULL;
    size_t count = 0;
    size_t cap = 0;
    for (struct list_node *i = o->own.next; i != &o->own; i = i->next)
        cap++;
    list = arena_alloc(&arena, cap * sizeof *list);
    for (struct list_node *i = o->own.next; list != NULL && i != &o->own; i = i->next) {
        struct uac_registration *w = CONTAINER_OF(i, struct uac_registration, node);
        if (!w->in_plan || !w->claims) continue;
        enum err e = add_registration(s, w, &arena, &list[count]);
        if (e == ERR_OK) count++;
        if (e == ERR_NOMEM) o->due = true;
    }
    if (list == NULL || edge_registrations_set(s->n->edge, list, count) != ERR_OK) o->due = true;
    for (size_t i = 0; i < count; i++)
        secret_wipe((char *)(uintptr_t)list[i].password.p, list[i].password.n);
    arena_fini(&arena);
}

/* ---- the plan's trunks of this site that register ---- */

static bool visit_own_record(void *ctx, const struct state_record *record)
{
    struct node *n = ctx;
    struct arena arena = {0};
    struct trunk_registration r;
    if (node_name_eq(&record->owner, &n->self) && record->key.n > 0 && record->key.p[record->key.n - 1] == '\0' &&
        trunk_registration_unpack(&arena, record->value, &r) == ERR_OK) {
        struct uac_registration *w = own_of(&n->uac, r.trunk);
        if (w != NULL) {
            w->claims = r.holds;
            w->term = r.term;
        } else {
            n->uac.due = true;
        }
    }
    arena_fini(&arena);
    return true;
}

static bool visit_trunk(void *ctx, struct slice key, struct slice packed)
{
    struct node *n = ctx;
    struct arena arena = {0};
    struct plan_object o;
    if (!slice_starts(key, SLICE("trunk/"))) return false;
    bool ours = plan_object_unpack_stored(&arena, packed, &o, NULL) == ERR_OK && o.kind == PLAN_TRUNK &&
                o.trunk.registration.set && !o.trunk.disabled && slice_is(o.trunk.site, n->config.site);
    struct uac_registration *w = ours ? own_of(&n->uac, o.trunk.name) : NULL;
    arena_fini(&arena);
    if (!ours) return true;
    struct slice kept = SLICE_NONE;
    if (w != NULL) {
        arena_fini(&w->arena);
        kept = arena_copy(&w->arena, packed);
    }
    if (w == NULL || kept.p == NULL || plan_object_unpack_stored(&w->arena, kept, &o, NULL) != ERR_OK) {
        n->uac.due = true;
        return true;
    }
    w->trunk = o.trunk;
    w->in_plan = true;
    return true;
}

/* What is not in the plan any more is forgotten everywhere. */
static void drop_gone(struct node *n)
{
    for (struct list_node *i = n->uac.own.next, *next; i != &n->uac.own; i = next) {
        struct uac_registration *w = CONTAINER_OF(i, struct uac_registration, node);
        char text[LIMIT_NAME + 1];
        next = i->next;
        if (w->in_plan) continue;
        replica_observe(n, STATE_TRUNK_HEALTH, record_key(w, text), SLICE(""), true, NULL, NULL);
        own_free(w);
    }
}

static enum err read_plan(struct node *n)
{
    struct uac_registrations *o = &n->uac;
    enum err e = ERR_OK;
    if (!o->loaded) e = store_state_find(n->read, STATE_TRUNK_HEALTH, SLICE(""), visit_own_record, n);
    if (e != ERR_OK) return e;
    o->loaded = true;
    for (struct list_node *i = o->own.next; i != &o->own; i = i->next)
        CONTAINER_OF(i, struct uac_registration, node)->in_plan = false;
    return store_objects(n->read, SLICE("trunk/"), false, visit_trunk, n);
}

void uac_registration_tick(struct node *n)
{
    struct uac_registrations *o = &n->uac;
    struct site site;
    bool changed = o->due || !plan_digest_eq(o->digest, n->plan_digest);
    o->stale = true; /* a new epoch of an owner takes its records away without a word */
    if (n->edge == NULL || n->stopping) return;
    if (o->opened.us == 0) o->opened = node_mono();
    o->settled = o->settled || look_settled(n);
    if (!changed && list_empty(&o->own)) return;
    if (node_read_begin(n) != ERR_OK) return;
    o->due = false;
    o->digest = n->plan_digest;
    if (changed && read_plan(n) != ERR_OK) o->due = true;
    fill_said(n);
    fill_site(n, &site);
    node_read_end(n);
    for (struct list_node *i = o->own.next; i != &o->own; i = i->next) {
        struct uac_registration *w = CONTAINER_OF(i, struct uac_registration, node);
        if (w->in_plan) elect(&site, w);
    }
    if (!o->settled) return;
    hold(&site);
    if (!o->due) drop_gone(n);
    for (struct list_node *i = o->own.next; i != &o->own; i = i->next) {
        struct uac_registration *w = CONTAINER_OF(i, struct uac_registration, node);
        if (w->in_plan && w->term > 0) report(n, w);
    }
}

/* ---- what it means for calls ---- */

bool uac_registration_own_view(struct node *n, struct slice trunk, struct trunk_registration *out)
{
    const struct uac_registration *w = find_own(&n->uac, trunk);
    if (w == NULL || !w->in_plan) return false;
    *out = own_record(n, w);
    return true;
}

/* How the registration stands: the latest claim's word. */
static void how_it_stands(struct node *n, struct arena *arena, const struct plan_trunk *t, struct wall *since,
                          struct slice *reason)
{
    struct trunk_registration best = {.reason = SLICE("no node has claimed it yet")};
    struct trunk_registration own;
    struct slice owner = SLICE("");
    if (uac_registration_own_view(n, t->name, &own) && own.holds) {
        best = own;
        owner = slice_of(n->config.node);
    }
    for (size_t i = 0; i < n->uac.said_count; i++) {
        const struct uac_claim *s = &n->uac.said[i];
        if (!slice_eq(s->r.trunk, t->name) || !s->r.holds || s->r.term < best.term) continue;
        best = s->r;
        owner = node_name_slice(&s->owner);
    }
    bool registered = best.state == TRUNK_REGISTERED;
    *since = best.since;
    *reason = slice_of(arena_printf(arena, "%s%.*s%s%.*s", registered ? "registered by " : "not registered: ",
                                    SLICE_ARG(owner), owner.n > 0 && !registered ? ": " : "",
                                    registered ? 0 : (int)best.reason.n, best.reason.p != NULL ? best.reason.p : ""));
}

bool uac_registration_down_at(struct node *n, struct arena *arena, const struct plan_trunk *t, struct slice node,
                              struct wall *since, struct slice *reason)
{
    struct edge_registration_view v;
    if (node.n == 0) {
        if (n->edge != NULL && edge_registration_find(n->edge, t->name, &v) && v.state == TRUNK_REGISTERED)
            return false;
        fill_said(n);
    } else {
        fill_said(n);
        const struct uac_claim *s = said_by(&n->uac, node, t->name);
        if (s != NULL && s->r.holds && s->r.state == TRUNK_REGISTERED) return false;
    }
    how_it_stands(n, arena, t, since, reason);
    return true;
}

bool uac_registration_called_hook(void *ctx, struct slice trunk, struct slice number)
{
    struct node *n = ctx;
    struct arena arena = {0};
    struct plan_object o;
    char text[LIMIT_NUMBER + 1];
    size_t len = 0;
    bool named = false;
    if (number_normalise(number, text, &len) != ERR_OK || node_read_begin(n) != ERR_OK) return false;
    if (plan_get(n, &arena, PLAN_TRUNK, trunk, &o) == ERR_OK) {
        for (size_t i = 0; i < o.trunk.in_count && !named; i++) {
            struct pattern p;
            named = pattern_parse(o.trunk.in[i].match, &p, NULL) == ERR_OK &&
                    pattern_matches(&p, (struct slice){text, len});
        }
    }
    node_read_end(n);
    arena_fini(&arena);
    return named;
}
