/* hops: the ways to a target: the addresses of a trunk, the contacts of an account registered here, the SIP addresses
 * of a member. Request-URIs are made here. It chooses nothing. */
#include "node/app/registered.h"
#include "node/app/reach.h"

#include <stdlib.h>

#include "node/plan/pattern.h"
#include "node/sip/value.h"
#include "proto/plan_codec.h"

static enum plan_transport transport_of(struct slice text)
{
    if (slice_is(text, "tls")) return PLAN_TLS;
    return slice_is(text, "tcp") ? PLAN_TCP : PLAN_UDP;
}

/* ---- URIs ---- */

/* A plan number, or an account's name, as the user part of a URI: of their characters only '#' is not allowed there
 * (RFC 3261 §25.1). */
static void add_user(struct buf *b, struct slice number)
{
    for (size_t i = 0; i < number.n; i++) {
        if (number.p[i] == '#') {
            buf_text(b, "%23");
        } else {
            buf_add(b, &number.p[i], 1);
        }
    }
}

/* The text in arena; {NULL, 0}: no memory. */
static struct slice uri_done(struct arena *arena, struct buf *b)
{
    struct slice text = b->failed ? SLICE_NONE : arena_copy(arena, buf_view(b));
    buf_fini(b);
    return text;
}

static struct slice trunk_uri(struct arena *arena, struct slice number, const struct address_host *at,
                              enum plan_transport transport)
{
    static const char *const params[] = {[PLAN_UDP] = "", [PLAN_TCP] = ";transport=tcp", [PLAN_TLS] = ";transport=tls"};
    char port[DECIMAL_TEXT];
    bool v6 = memchr(at->host.p, ':', at->host.n) != NULL;
    const struct slice parts[] = {SLICE("@"),
                                  v6 ? SLICE("[") : SLICE(""),
                                  at->host,
                                  v6 ? SLICE("]") : SLICE(""),
                                  at->port != 0 ? SLICE(":") : SLICE(""),
                                  at->port != 0 ? decimal_text(at->port, port) : SLICE(""),
                                  slice_of(params[transport])};
    size_t room = sizeof "sip:" + 3 * number.n;
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++)
        room += parts[i].n;
    struct buf b = {.p = arena_alloc(arena, room), .cap = room}; /* never grows: as long as the longest text */
    if (b.p == NULL) return SLICE_NONE;
    buf_text(&b, "sip:");
    add_user(&b, number);
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++)
        buf_slice(&b, parts[i]);
    return buf_view(&b);
}

/* RFC 6140 §7.1.1: what is added for one number is not said of the number itself. */
static void add_without_bnc(struct buf *b, struct slice rest)
{
    struct slice part = SLICE_NONE;
    for (bool first = true; rest.n > 0; first = false) {
        rest = slice_cut(rest, ';', &part);
        if (!first && slice_eq_nocase(part, SLICE("bnc"))) continue;
        if (!first) buf_text(b, ";");
        buf_slice(b, part);
    }
}

struct slice hops_contact_number(struct arena *arena, struct slice contact, struct slice number)
{
    struct buf b = {0};
    struct sip_uri uri;
    struct slice scheme = SLICE_NONE;
    struct slice user = SLICE_NONE;
    if (sip_uri_parse(arena, contact, &uri) != ERR_OK || uri.host.n == 0) return SLICE_NONE;
    struct slice rest = slice_cut(contact, ':', &scheme);
    /* Without a user part the first '@' is none of its: it may stand in a parameter. */
    struct slice host = uri.user.n > 0 ? slice_cut(rest, '@', &user) : rest;
    buf_slice(&b, scheme);
    buf_text(&b, ":");
    add_user(&b, number);
    buf_text(&b, "@");
    if (sip_uri_param(&uri, "bnc").p != NULL) {
        add_without_bnc(&b, host);
    } else {
        buf_slice(&b, host);
    }
    return uri_done(arena, &b);
}

/* ---- a trunk ---- */

struct slice hops_trunk_number(struct arena *arena, const struct plan_trunk *trunk, struct slice number)
{
    for (size_t i = 0; i < trunk->out_count; i++) {
        struct pattern p;
        char sent[LIMIT_NUMBER + 1];
        size_t len = 0;
        if (pattern_parse(trunk->out[i].match, &p, NULL) != ERR_OK || !pattern_matches(&p, number)) continue;
        if (number_rewrite(number, trunk->out[i].strip, trunk->out[i].prepend, sent, &len) != ERR_OK || len == 0)
            return SLICE_NONE;
        return arena_copy(arena, (struct slice){sent, len});
    }
    return number;
}

enum { WELL, SUSPECT, DOWN, RESTING };

static int rank_of(const struct node *n, struct slice trunk, struct slice address)
{
    struct edge_trunk seen;
    if (!edge_trunk_find(n->edge, trunk, address, &seen)) return WELL;
    return seen.rests_until.ms != 0 ? RESTING : !seen.up ? DOWN : seen.suspect ? SUSPECT : WELL;
}

/* The addresses that are well first, in the plan's order within each rank. ERR_NOMEM. */
static enum err by_health(struct node *n, struct arena *arena, struct plan_trunk *t)
{
    if (t->address_count < 2 || n->edge == NULL || edge_trunks_well(n->edge)) return ERR_OK;
    struct slice *ordered = arena_alloc(arena, t->address_count * sizeof *ordered);
    size_t count = 0;
    if (ordered == NULL) return ERR_NOMEM;
    for (int rank = WELL; rank <= RESTING; rank++) {
        for (size_t i = 0; i < t->address_count; i++) {
            if (rank_of(n, t->name, t->address[i]) == rank) ordered[count++] = t->address[i];
        }
    }
    t->address = ordered;
    return ERR_OK;
}

/* The one way to a registrar: where this node is registered, with the route that it wants (RFC 3608). */
static enum err registered_hop(struct node *n, struct arena *arena, const struct plan_trunk *trunk,
                               struct edge_target *t)
{
    struct edge_registration_view v;
    struct edge_hop *h = arena_alloc(arena, sizeof *h);
    struct address_host first;
    if (n->edge == NULL || !edge_registration_find(n->edge, trunk->name, &v) || v.at.n == 0) return ERR_NOTFOUND;
    if (h == NULL) return ERR_NOMEM;
    enum err e = address_host_parse(trunk->address[0], &first, NULL);
    if (e != ERR_OK) return e;
    if (trunk->registration.domain.n > 0) first = (struct address_host){.host = trunk->registration.domain};
    *h = (struct edge_hop){.transport = trunk->transport, .named = true};
    h->host = arena_copy(arena, v.host);
    h->received = arena_copy(arena, v.at);
    h->route = arena_copy(arena, v.route);
    h->request_uri = trunk_uri(arena, t->number, &first, trunk->transport);
    if (h->host.p == NULL || h->received.p == NULL || h->route.p == NULL || h->request_uri.p == NULL) return ERR_NOMEM;
    t->hops = h;
    t->hop_count = 1;
    return ERR_OK;
}

static enum err trunk_hops(struct node *n, struct arena *arena, struct edge_target *t)
{
    struct plan_object o;
    enum err e = plan_get(n, arena, PLAN_TRUNK, t->route.target.name, &o);
    if (e == ERR_OK) e = by_health(n, arena, &o.trunk);
    if (e != ERR_OK) return e;
    struct edge_hop *hops = arena_alloc(arena, o.trunk.address_count * sizeof *hops);
    t->number = hops_trunk_number(arena, &o.trunk, t->number);
    t->inside = plan_trunk_inside(&o.trunk);
    t->hide = o.trunk.hide;
    if (o.trunk.registration.set && t->number.p != NULL) return registered_hop(n, arena, &o.trunk, t);
    if (t->number.p == NULL) return ERR_NOTFOUND;
    if (hops == NULL) return ERR_NOMEM;
    t->hops = hops;
    for (size_t i = 0; i < o.trunk.address_count; i++) {
        struct address_host at;
        if (address_host_parse(o.trunk.address[i], &at, NULL) != ERR_OK) continue;
        struct edge_hop *h = &hops[t->hop_count];
        *h = (struct edge_hop){.transport = o.trunk.transport, .host = at.host, .port = at.port};
        h->request_uri = trunk_uri(arena, t->number, &at, o.trunk.transport);
        if (h->request_uri.p == NULL) return ERR_NOMEM;
        t->hop_count++;
    }
    return ERR_OK;
}

/* ---- an account ---- */

/* A contact by UDP that nothing stands before is reached at its own address; any other the way its REGISTER came, and
 * by its own address again when that was a connection, which has ended. */
static enum err binding_hop(struct node *n, struct arena *arena, const struct binding *b, const struct edge_target *t,
                            struct edge_hop *h)
{
    struct slice transport = SLICE_NONE;
    struct slice address = slice_cut(b->received, ':', &transport);
    struct address_host from;
    struct reach reach;
    if (address_host_parse(address, &from, NULL) != ERR_OK || reach_of(arena, b, &reach) != ERR_OK) return ERR_NOTFOUND;
    *h = (struct edge_hop){.transport = reach.transport, .host = from.host, .port = from.port};
    h->route = b->path;
    bool numbered = t->number_in_contact || reach.bulk;
    h->request_uri = numbered ? hops_contact_number(arena, b->contact, t->number) : b->contact;
    if (h->request_uri.p == NULL) return ERR_NOTFOUND;
    bool dial = reach.direct || (reach.has_own && reach.transport != PLAN_UDP && n->edge != NULL &&
                                 !edge_connected(n->edge, reach.transport, &reach.remote));
    if (dial) {
        h->port = sock_address_port(&reach.own);
    } else {
        h->received = b->received;
    }
    return ERR_OK;
}

/* RFC 3261 §16.6: by q; of equal ones the newest first. */
static int by_preference(const void *a, const void *b)
{
    const struct binding *x = a;
    const struct binding *y = b;
    if (x->q_milli != y->q_milli) return x->q_milli > y->q_milli ? -1 : 1;
    return (x->since.ms < y->since.ms) - (x->since.ms > y->since.ms);
}

/* What the number is called behind the account's gateway. ERR_NOTFOUND: nobody here knows. */
static enum err map_number(struct node *n, struct arena *arena, struct edge_target *t)
{
    struct plan_object o;
    enum err e = plan_get(n, arena, PLAN_ACCOUNT, t->route.target.name, &o);
    if (e != ERR_OK || o.account.map.n == 0) return e == ERR_NOTFOUND ? ERR_OK : e;
    struct slice resource = maps_resource(n, o.account.map, t->number);
    if (resource.p == NULL) return ERR_NOTFOUND;
    t->number = arena_copy(arena, resource);
    return t->number.p != NULL ? ERR_OK : ERR_NOMEM;
}

/* The flows of one device are ways to it, not more devices: all but the first of each come last, one after the other
 * (RFC 5626 §6). Their order stays as it is otherwise. Returns how many are no such ways. */
static size_t set_ways_aside(struct binding *list, size_t count, struct binding *aside)
{
    size_t kept = 0;
    size_t moved = 0;
    for (size_t i = 0; i < count; i++) {
        bool again = false;
        for (size_t k = 0; list[i].reg_id > 0 && k < kept; k++)
            again = again || (list[k].reg_id > 0 && slice_eq(list[k].instance, list[i].instance));
        if (again) {
            aside[moved++] = list[i];
        } else {
            list[kept++] = list[i];
        }
    }
    if (moved > 0) memcpy(list + kept, aside, moved * sizeof *list);
    return kept;
}

static enum err account_hops(struct node *n, struct arena *arena, struct edge_target *t,
                             const struct edge_device *device)
{
    struct binding *list = NULL;
    size_t count = 0;
    enum err e = registrations_own(n, arena, t->route.target.name, &list, &count);
    if (e == ERR_OK && t->number_in_contact) e = map_number(n, arena, t);
    if (e != ERR_OK) return e;
    struct edge_hop *hops = arena_alloc(arena, count * sizeof *hops);
    struct binding *aside = arena_alloc(arena, count * sizeof *aside);
    if (hops == NULL || aside == NULL) return ERR_NOMEM;
    if (device != NULL) {
        count = registered_device(device, list, count);
    } else if (count > 1) {
        qsort(list, count, sizeof *list, by_preference);
    }
    size_t devices = set_ways_aside(list, count, aside);
    t->hops = hops;
    uint32_t q = 0; /* of the hop before */
    for (size_t i = 0; i < count; i++) {
        struct edge_hop *h = &hops[t->hop_count];
        if (binding_hop(n, arena, &list[i], t, h) != ERR_OK) continue;
        h->with_previous = t->hop_count > 0 && i < devices && list[i].q_milli == q;
        q = list[i].q_milli;
        t->hop_count++;
    }
    return ERR_OK;
}

enum err hops_own(struct node *n, struct arena *arena, struct edge_target *t, const struct edge_device *device)
{
    switch (t->route.target.kind) {
    case PLAN_TO_TRUNK: return trunk_hops(n, arena, t);
    case PLAN_TO_ACCOUNT: return account_hops(n, arena, t, device);
    case PLAN_TO_SITE: /* our own site: nothing longer matched, so there is nothing here to send it to */
    case PLAN_TO_REJECT: break;
    }
    return ERR_NOTFOUND;
}

/* ---- a member ---- */

struct card_walk {
    struct arena *arena;
    struct slice member;
    struct node_card card;
    bool found;
};

/* Only what a node says of itself counts. */
static bool visit_card(void *ctx, const struct state_record *record)
{
    struct card_walk *w = ctx;
    if (!slice_eq(record->key, w->member) || !slice_eq(node_name_slice(&record->owner), w->member)) return true;
    w->found = node_card_unpack(w->arena, record->value, &w->card) == ERR_OK;
    return false;
}

enum err hops_member(struct node *n, struct arena *arena, struct edge_target *t, struct slice member)
{
    struct card_walk w = {.arena = arena, .member = member};
    enum err e = store_state_find(n->read, STATE_NODE_CARD, member, visit_card, &w);
    if (e != ERR_OK || !w.found) return e != ERR_OK ? e : ERR_NOTFOUND;
    struct edge_hop *hops = arena_alloc(arena, w.card.sip_address_count * sizeof *hops);
    if (hops == NULL) return ERR_NOMEM;
    t->hops = hops;
    for (size_t i = 0; i < w.card.sip_address_count; i++) {
        struct address_host at;
        struct slice transport = SLICE_NONE;
        struct slice address = slice_cut(w.card.sip_addresses[i], ':', &transport);
        if (address_host_parse(address, &at, NULL) != ERR_OK) continue;
        hops[t->hop_count++] =
            (struct edge_hop){.transport = transport_of(transport), .host = at.host, .port = at.port};
    }
    return t->hop_count > 0 ? ERR_OK : ERR_NOTFOUND;
}
