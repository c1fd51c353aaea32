/* client_call: calls through a registrar: those that it sends to our contact, and its question who we are when we call.
 *
 * A call to our contact is a trunk's only when both hold: the URI carries the contact's parameter, which nobody can
 * guess, and it comes from an address of the registrar, from the proxy that its Path names next to us, or over the
 * connection on which we registered. What it then may
 * do is what any trunk may.
 *
 * Whom it is for: a registrar puts the contact in place of the number that was called. Where it keeps the contact's
 * user part, the number stands in P-Called-Party-ID (RFC 7315) or To, which the caller wrote: only a number of which
 * the trunk's in rules speak is believed, else it is for the user that we registered. A registrar that puts the number
 * into the contact says it itself. */
#include "node/edge/client_line.h"

#include <stdlib.h>

/* ---- calls to our contact ---- */

static bool came_from_registrar(const struct line *l, const struct flow *from)
{
    if (l->has_flow && l->flow.connection != 0 && from->connection == l->flow.connection) return true;
    for (size_t i = 0; i < l->peer_count; i++) {
        if (sock_address_same_host(&l->peers[i], &from->remote)) return true;
    }
    return false;
}

bool lines_is_registrar(const struct lines *c, const struct flow *from)
{
    for (struct list_node *n = c->list.next; n != &c->list; n = n->next) {
        if (came_from_registrar(CONTAINER_OF(n, struct line, node), from)) return true;
    }
    return false;
}

/* The line whose contact the URI is; what comes from elsewhere is counted. */
static struct line *called_line(struct edge *e, const struct flow *from, const struct sip_uri *uri)
{
    struct lines *c = e->registrations;
    if (!lines_any(c) || uri->user.n == 0) return NULL;
    struct slice token = sip_uri_param(uri, SIP_LINE_PARAM);
    if (token.n != SIP_LINE_TOKEN - 1) return NULL;
    for (struct list_node *n = c->list.next; n != &c->list; n = n->next) {
        struct line *l = CONTAINER_OF(n, struct line, node);
        if (l->leaving || !secret_equal(l->token, token.p, token.n)) continue;
        if (came_from_registrar(l, from)) return l;
        lines_tally(c, CC_requests_in_elsewhere);
        return NULL;
    }
    return NULL;
}

bool lines_is_called(struct edge *e, const struct flow *from, const struct sip_uri *uri)
{
    return called_line(e, from, uri) != NULL;
}

static struct slice number_in(struct arena *arena, struct slice value)
{
    struct sip_name_addr addr;
    if (value.p == NULL || sip_name_addr_parse(arena, value, &addr) != ERR_OK) return SLICE("");
    return addr.uri.number;
}

static struct slice called_number(struct edge *e, const struct line *l, const struct sip_view *v,
                                  const struct sip_uri *uri)
{
    const struct edge_hooks *h = &e->o.hooks;
    if (!slice_eq(uri->user, l->o.user)) return uri->number;
    const struct slice values[] = {sip_view_other(v, SLICE("P-Called-Party-ID")), sip_view_value(v, SIP_TO)};
    for (size_t i = 0; h->called != NULL && i < 2; i++) {
        struct slice number = number_in(&e->scratch, values[i]);
        if (number.n > 0 && h->called(h->ctx, l->o.trunk, number)) return number;
    }
    return l->o.user;
}

bool lines_identify(struct edge *e, const struct flow *from, const struct sip_view *v, const struct sip_uri *uri,
                    struct edge_query *q)
{
    const struct line *l = called_line(e, from, uri);
    if (l == NULL) return false;
    lines_tally(e->registrations, CC_requests_in);
    q->source = (struct edge_source){EDGE_SOURCE_TRUNK, arena_copy(&e->scratch, l->o.trunk), l->o.inside, l->o.hide};
    q->dialled = arena_copy(&e->scratch, called_number(e, l, v, uri));
    if (q->source.name.p != NULL && q->dialled.p != NULL) return true;
    lines_tally(e->registrations, CC_no_memory);
    q->source.kind = EDGE_SOURCE_UNKNOWN;
    return false;
}

/* ---- calls through a registrar ---- */

static struct line *line_of_target(const struct lines *c, const struct edge_target *t)
{
    struct slice prefix = SLICE("trunk/");
    if (t->node.n > 0 || !slice_starts(t->text, prefix)) return NULL;
    struct slice trunk = {t->text.p + prefix.n, t->text.n - prefix.n};
    for (struct list_node *n = c->list.next; n != &c->list; n = n->next) {
        struct line *l = CONTAINER_OF(n, struct line, node);
        if (!l->leaving && slice_eq(l->o.trunk, trunk)) return l;
    }
    return NULL;
}

/* Inside a dialog nobody has asked the plan: the target is what the call's record names, while the Route, which is the
 * sender's, says where the request goes. */
static bool leads_to(const struct line *l, const struct flow *to)
{
    return l->has_flow && l->flow.transport == to->transport && sock_address_eq(&l->flow.remote, &to->remote);
}

bool lines_any(const struct lines *c)
{
    return !list_empty(&c->list);
}

static struct line *line_of(const struct relay *r, const struct flow *to)
{
    const struct lines *c = r->edge->registrations;
    if (!lines_any(c) || r->target_at >= r->target_count) return NULL;
    struct line *l = line_of_target(c, &r->targets[r->target_at]);
    return l == NULL || !r->in_dialog || leads_to(l, to) ? l : NULL;
}

bool lines_challenged(struct branch *b, const struct sip_view *v, enum sip_auth_verdict *verdict)
{
    struct relay *r = b->relay;
    struct lines *c = r->edge->registrations;
    if (line_of(r, &b->to) == NULL) return false;
    if (r->auth == NULL) r->auth = calloc(1, sizeof *r->auth);
    *verdict = r->auth != NULL ? sip_auth_take(&r->auth->kept, v) : SIP_AUTH_UNUSABLE;
    if (r->auth != NULL) r->auth->to = b->to;
    lines_tally(c, *verdict == SIP_AUTH_ANSWER ? CC_calls_challenged : CC_calls_refused);
    return true;
}

enum err lines_auth_lines(struct relay *r, struct slice method, struct slice uri, struct buf *out)
{
    char cnonce[17];
    const struct line *l = line_of(r, &r->auth->to);
    if (l == NULL) return ERR_NOTFOUND;
    uint64_t drawn = random_next(r->edge->random);
    hex_encode(&drawn, sizeof drawn, cnonce);
    struct slice login = l->o.login.n > 0 ? l->o.login : l->o.user;
    return sip_auth_lines(&r->auth->kept, login, l->o.password, method, uri, slice_of(cnonce), out);
}
