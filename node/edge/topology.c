#include "node/edge/topology.h"

#include "node/sip/cookie.h"

#define USER_PREFIX "th."
/* A cloak of more would not fit into a header line. */
#define CLOAKED_MAX 2048

/* ---- cloaks ---- */

struct slice topology_cloak(struct edge *e, struct slice text)
{
    struct buf b = {0};
    struct slice out = SLICE_NONE;
    if (text.n > CLOAKED_MAX) {
        edge_count(e, EC_hidden_too_long);
    } else if (cloak_put_on(e->cloak, text, &b) == ERR_OK) {
        out = arena_copy(&e->scratch, buf_view(&b));
    }
    buf_fini(&b);
    return out;
}

static struct slice uncloaked(struct edge *e, struct slice cloak)
{
    struct buf b = {0};
    struct slice out = SLICE_NONE;
    enum err err = cloak_take_off(e->cloak, cloak, &b);
    if (err == ERR_AUTH && e->other_cloak != NULL) err = cloak_take_off(e->other_cloak, cloak, &b);
    if (err == ERR_OK) out = arena_copy(&e->scratch, buf_view(&b));
    buf_fini(&b);
    return out;
}

bool topology_may_be_ours(struct slice uri)
{
    return slice_starts(uri, SLICE("sip:" USER_PREFIX)) || slice_starts(uri, SLICE("sips:" USER_PREFIX));
}

struct slice topology_uri(struct edge *e, const struct sip_uri *uri)
{
    struct slice prefix = SLICE(USER_PREFIX);
    if (!slice_starts(uri->user, prefix) || !edge_is_ours(e, uri)) return SLICE_NONE;
    struct slice text = uncloaked(e, (struct slice){uri->user.p + prefix.n, uri->user.n - prefix.n});
    if (text.p == NULL) edge_count(e, EC_refused_cloak);
    return text;
}

/* ---- Contact ---- */

/* What stands for a URI towards the side that the listener faces. */
static struct slice uri_in_place_of(struct edge *e, struct slice uri, uint8_t listener, bool brackets)
{
    struct slice scheme;
    struct slice place = slice_cut(slice_of(edge_place_uri(&e->places[listener], edge_uri_is_sips(uri))), ':', &scheme);
    struct slice cloak = topology_cloak(e, uri);
    if (cloak.p == NULL) return SLICE_NONE;
    return slice_of(arena_printf(&e->scratch, "%s%.*s:" USER_PREFIX "%.*s@%.*s%s", brackets ? "<" : "",
                                 SLICE_ARG(scheme), SLICE_ARG(cloak), SLICE_ARG(place), brackets ? ">" : ""));
}

static void hide_contacts(struct edge *e, const struct sip_view *v, uint8_t listener, struct sip_edits *edits)
{
    for (unsigned i = v->first[SIP_CONTACT]; i != SIP_NO_LINE; i = v->lines[i].next) {
        struct slice rest = sip_line_value(v, i);
        struct slice value;
        while (sip_value_next(&rest, &value)) {
            struct sip_name_addr addr;
            enum err err = sip_name_addr_parse(&e->scratch, value, &addr);
            if (err == ERR_OK && addr.star) continue;
            /* One that cannot be read cannot be called either. */
            struct slice uri = err == ERR_OK ? addr.uri_text : value;
            bool bare = err != ERR_OK || uri.p[-1] != '<';
            struct slice with = uri_in_place_of(e, uri, listener, bare);
            if (with.p == NULL) edits->failed = true;
            sip_edit_replace(edits, uri, with);
        }
    }
}

/* ---- requests ---- */

static void remove_lines(const struct sip_view *v, enum sip_header id, struct sip_edits *edits)
{
    for (unsigned i = v->first[id]; i != SIP_NO_LINE; i = v->lines[i].next)
        sip_edit_remove_line(edits, i);
}

void topology_request(struct edge *e, const struct sip_view *v, uint8_t listener, struct sip_edits *edits)
{
    remove_lines(v, SIP_VIA, edits);
    remove_lines(v, SIP_RECORD_ROUTE, edits);
    hide_contacts(e, v, listener, edits);
}

bool topology_keep_vias(struct relay *r, const struct sip_view *v)
{
    struct edge *e = r->edge;
    char address[INET6_ADDRSTRLEN];
    struct buf b = {0};
    edge_address_text(&r->from.remote, address);
    buf_text(&b, "Via: ");
    sip_via_with_received(v, slice_of(address), sock_address_port(&r->from.remote), &b);
    for (unsigned i = v->first[SIP_VIA]; i != SIP_NO_LINE; i = v->lines[i].next) {
        struct slice value = sip_line_value(v, i);
        if (i == v->first[SIP_VIA]) { /* what follows the topmost value */
            value =
                (struct slice){v->via.all.p + v->via.all.n, (size_t)(value.p + value.n - v->via.all.p) - v->via.all.n};
        } else {
            buf_text(&b, "Via: ");
        }
        buf_slice(&b, value);
        buf_text(&b, "\r\n");
    }
    bool kept = !b.failed && proxy_message_set(e, &r->vias, buf_view(&b));
    buf_fini(&b);
    if (!kept) edge_count(e, EC_no_memory);
    return kept;
}

/* The values of all lines, as one list. */
static void join(const struct sip_view *v, enum sip_header id, struct buf *out)
{
    for (unsigned i = v->first[id]; i != SIP_NO_LINE; i = v->lines[i].next) {
        if (out->n > 0) buf_text(out, ",");
        buf_slice(out, sip_line_value(v, i));
    }
}

static enum err add_cloaked(struct edge *e, const char *name, struct slice text, struct buf *out)
{
    if (text.n == 0) return ERR_OK;
    struct slice cloak = topology_cloak(e, text);
    if (cloak.p == NULL) return text.n > CLOAKED_MAX ? ERR_LIMIT : ERR_NOMEM;
    buf_text(out, name);
    buf_slice(out, cloak);
    return ERR_OK;
}

unsigned topology_sides(const struct sip_uri *uri)
{
    struct slice sides = sip_uri_param(uri, "hm");
    return sides.n == 1 && sides.p[0] >= '1' && sides.p[0] <= '3' ? (unsigned)(sides.p[0] - '0') : 0;
}

static void add_sides(unsigned sides, struct buf *out)
{
    static const char *const params[] = {"", ";hm=1", ";hm=2", ";hm=3"};
    buf_text(out, params[sides & 3]);
}

enum err topology_route_params(struct edge *e, const struct sip_view *v, unsigned sides, bool faces_callee,
                               struct buf *out)
{
    struct buf routes = {0};
    add_sides(sides, out);
    if (!faces_callee || (sides & TOPOLOGY_CALLEE) == 0) return ERR_OK;
    join(v, SIP_RECORD_ROUTE, &routes);
    enum err err = routes.failed ? ERR_NOMEM : add_cloaked(e, ";hu=", buf_view(&routes), out);
    buf_fini(&routes);
    return err;
}

/* ---- responses ---- */

/* The Record-Route of a response: ours, and what stands on either side of it. */
struct record {
    struct slice above[SIP_LINES_MAX]; /* nearer to the callee */
    size_t above_count;
    struct slice below[SIP_LINES_MAX];
    size_t below_count;
    struct slice cloak;    /* hu of ours */
    struct slice flows[2]; /* fc, fd of ours, as they are written where anything is hidden */
    bool own;
    bool sips; /* ours is a sips URI */
};

static void note_flows(struct edge *e, const struct sip_uri *uri, struct record *r)
{
    for (int side = FLOW_OF_CALLER; side <= FLOW_OF_CALLEE; side++) {
        struct slice found = sip_uri_param(uri, flow_token_param((enum flow_side)side));
        if (found.n > 0 && uncloaked(e, found).p != NULL) r->flows[side] = found;
    }
}

/* The hidden side may have left out which sides are hidden; those of another pass through this node may be others. */
static bool is_own_cookie(struct edge *e, const struct sip_view *v, const struct sip_uri *uri, struct slice cookie)
{
    struct slice found = sip_uri_param(uri, "ck");
    return slice_eq(found, cookie) ||
           sip_dialog_cookie_ok(e->dialog_mac, found, v->call_id, v->from_tag, SLICE(""), topology_sides(uri));
}

static bool is_own_value(struct branch *b, const struct sip_view *v, struct slice value, struct slice cookie,
                         struct record *r)
{
    struct edge *e = b->relay->edge;
    struct sip_name_addr addr;
    if (sip_name_addr_parse(&e->scratch, value, &addr) != ERR_OK || addr.star || !edge_is_ours(e, &addr.uri))
        return false;
    if (!is_own_cookie(e, v, &addr.uri, cookie)) return false;
    struct slice found = sip_uri_param(&addr.uri, "hu");
    if (found.n > 0) r->cloak = found;
    note_flows(e, &addr.uri, r);
    r->sips = r->sips || slice_is(addr.uri.scheme, "sips");
    return true;
}

static void read_record(struct branch *b, const struct sip_view *v, struct slice cookie, struct record *r)
{
    r->above_count = r->below_count = 0;
    r->cloak = r->flows[FLOW_OF_CALLER] = r->flows[FLOW_OF_CALLEE] = SLICE("");
    r->own = r->sips = false;
    for (unsigned i = v->first[SIP_RECORD_ROUTE]; i != SIP_NO_LINE; i = v->lines[i].next) {
        struct slice rest = sip_line_value(v, i);
        struct slice value;
        while (sip_value_next(&rest, &value)) {
            bool own = r->below_count == 0 && is_own_value(b, v, value, cookie, r);
            if (own) {
                r->own = true;
            } else if (!r->own && r->above_count < SIP_LINES_MAX) {
                r->above[r->above_count++] = value;
            } else if (r->own && r->below_count < SIP_LINES_MAX) {
                r->below[r->below_count++] = value;
            }
        }
    }
}

static void add_line(struct buf *out, struct slice value)
{
    buf_text(out, "Record-Route: ");
    buf_slice(out, value);
    buf_text(out, "\r\n");
}

/* One of our values, which faces the caller, the callee or both. above: the caller is not shown what stands there. */
static enum err add_own(struct branch *b, const char *place, struct slice cookie, unsigned sides,
                        const struct record *rec, bool above, struct buf *out)
{
    struct edge *e = b->relay->edge;
    struct buf routes = {0};
    enum err err = ERR_OK;
    buf_text(out, "Record-Route: <");
    buf_text(out, place);
    buf_text(out, ";lr;ck=");
    buf_slice(out, cookie);
    for (int side = FLOW_OF_CALLER; side <= FLOW_OF_CALLEE; side++) {
        if (rec->flows[side].n > 0)
            buf_printf(out, ";%s=%.*s", flow_token_param((enum flow_side)side), SLICE_ARG(rec->flows[side]));
    }
    add_sides(sides, out);
    /* In the order in which the caller's requests will meet them. */
    for (size_t i = above ? rec->above_count : 0; i > 0; i--) {
        if (routes.n > 0) buf_text(&routes, ",");
        buf_slice(&routes, rec->above[i - 1]);
    }
    err = routes.failed ? ERR_NOMEM : add_cloaked(e, ";hd=", buf_view(&routes), out);
    buf_fini(&routes);
    buf_text(out, ">\r\n");
    return err;
}

static unsigned sides_of(const struct branch *b)
{
    return (b->relay->hide_from ? TOPOLOGY_CALLER : 0) | (b->hide ? TOPOLOGY_CALLEE : 0);
}

static enum err add_record(struct branch *b, const struct record *rec, struct slice cookie, struct buf *out)
{
    struct relay *r = b->relay;
    bool to_hidden = r->hide_from;
    unsigned sides = sides_of(b);
    bool two = b->to.listener != r->from.listener;
    enum err err = ERR_OK;
    for (size_t i = 0; !to_hidden && i < rec->above_count; i++)
        add_line(out, rec->above[i]);
    const char *towards_callee = edge_place_uri(&r->edge->places[b->to.listener], rec->sips);
    const char *towards_caller = edge_place_uri(&r->edge->places[r->from.listener], rec->sips);
    if (two) err = add_own(b, towards_callee, cookie, sides, rec, false, out);
    if (err == ERR_OK) err = add_own(b, towards_caller, cookie, sides, rec, to_hidden, out);
    struct slice routes = rec->cloak.n > 0 && b->hide ? uncloaked(r->edge, rec->cloak) : SLICE("");
    if (routes.n > 0) add_line(out, routes);
    for (size_t i = 0; !b->hide && i < rec->below_count; i++)
        add_line(out, rec->below[i]);
    return err;
}

/* What the caller gets back is made anew: the hidden side may have left out what it did not understand. */
static void mend_record(struct branch *b, const struct sip_view *v, struct sip_edits *edits)
{
    struct edge *e = b->relay->edge;
    char cookie[SIP_COOKIE_TEXT];
    struct record rec;
    struct buf lines = {0};
    if (sip_dialog_cookie(e->dialog_mac, v->call_id, v->from_tag, sides_of(b), cookie) != ERR_OK) {
        edits->failed = true;
        return;
    }
    read_record(b, v, slice_of(cookie), &rec);
    remove_lines(v, SIP_RECORD_ROUTE, edits);
    if (!rec.own) return; /* it was left out: no request of the dialog will come by */
    if (add_record(b, &rec, slice_of(cookie), &lines) != ERR_OK || lines.failed) edits->failed = true;
    struct slice kept = arena_copy(&e->scratch, buf_view(&lines));
    buf_fini(&lines);
    if (kept.p == NULL) edits->failed = true;
    sip_edit_insert_before(edits, SIP_RECORD_ROUTE, kept);
}

void topology_response(struct branch *b, const struct sip_view *v, struct sip_edits *edits)
{
    struct relay *r = b->relay;
    if (b->hide) {
        sip_edit_insert_before(edits, SIP_VIA, (struct slice){r->vias.p, r->vias.n});
        remove_lines(v, SIP_VIA, edits);
    }
    if (r->hide_from) hide_contacts(r->edge, v, r->from.listener, edits);
    if (v->first[SIP_RECORD_ROUTE] == SIP_NO_LINE) return;
    if (r->forms_dialog && v->code < 300) {
        mend_record(b, v, edits);
    } else if (r->hide_from) {
        remove_lines(v, SIP_RECORD_ROUTE, edits); /* it changes no route set (RFC 3261 §12.2), and names others */
    }
}

/* ---- what comes back ---- */

/* Puts the routes that our own value stood for before what follows it. */
static bool open_routes(struct arrival *a, struct slice cloak)
{
    struct route_set *r = &a->routes;
    struct sip_name_addr addr;
    struct slice first;
    a->hidden_route = uncloaked(a->e, cloak);
    struct slice rest = a->hidden_route;
    if (!sip_value_next(&rest, &first) || sip_name_addr_parse(&a->e->scratch, first, &addr) != ERR_OK || addr.star)
        return false;
    r->has_next = true;
    r->next = addr.uri;
    r->next_text = addr.uri_text;
    r->to_member = proxy_arrival_is_members(a, &addr.uri);
    return true;
}

/* The tokens themselves. */
static void open_flows(struct arrival *a)
{
    for (int side = FLOW_OF_CALLER; side <= FLOW_OF_CALLEE; side++) {
        struct slice *flow = &a->routes.flows[side];
        struct slice token = flow->n > 0 ? uncloaked(a->e, *flow) : SLICE_NONE;
        if (token.p != NULL) *flow = token;
    }
}

bool topology_open(struct arrival *a)
{
    struct edge *e = a->e;
    const struct sip_view *v = a->v;
    const struct route_set *r = &a->routes;
    if (r->hidden_sides == 0) return true;
    open_flows(a);
    bool by_caller = sip_dialog_cookie_ok(e->dialog_mac, r->cookie, v->call_id, v->from_tag, SLICE(""), r->sides);
    if (!by_caller && e->other_dialog_mac != NULL)
        by_caller = sip_dialog_cookie_ok(e->other_dialog_mac, r->cookie, v->call_id, v->from_tag, SLICE(""), r->sides);
    a->by_caller = by_caller;
    a->hide_from = (r->hidden_sides & (by_caller ? TOPOLOGY_CALLER : TOPOLOGY_CALLEE)) != 0;
    a->hide_to = (r->hidden_sides & (by_caller ? TOPOLOGY_CALLEE : TOPOLOGY_CALLER)) != 0;
    struct slice cloak = by_caller ? r->hidden_down : r->hidden_up;
    return !a->hide_from || cloak.n == 0 || open_routes(a, cloak);
}
