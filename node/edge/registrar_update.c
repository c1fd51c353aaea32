#include "node/edge/registrar_update.h"

#include "node/edge/contact.h"
#include "node/edge/gruu.h"
#include "node/edge/outbound.h"

#include <stdio.h>
#include <stdlib.h>

#define USER_AGENT_MAX 128
#define SPREAD_ABOVE_S 600

/* ---- reading ---- */

/* Seconds; what is no number counts as the default (RFC 3261 §10.3 item 7), what is too long as the most we give. */
static uint32_t expires_of(struct slice text)
{
    uint64_t s = 0;
    if (text.p == NULL || slice_u64(text, UINT32_MAX, &s) != ERR_OK) return REGISTRAR_EXPIRES_MAX_S;
    return s > REGISTRAR_EXPIRES_MAX_S ? REGISTRAR_EXPIRES_MAX_S : (uint32_t)s;
}

/* "0.5" -> 500; 1000 where it is absent or no qvalue. */
static uint32_t q_of(struct slice text)
{
    struct slice whole;
    uint64_t v = 0;
    uint32_t milli = 0;
    uint32_t scale = 100;
    struct slice digits = slice_cut(text, '.', &whole);
    if (slice_u64(whole, 1, &v) != ERR_OK || v == 1) return 1000;
    for (size_t i = 0; i < digits.n && i < 3; i++, scale /= 10) {
        if (digits.p[i] < '0' || digits.p[i] > '9') return 1000;
        milli += (uint32_t)(digits.p[i] - '0') * scale;
    }
    return milli;
}

static unsigned refuse(enum registrar_counter *why, enum registrar_counter which, unsigned code)
{
    *why = which;
    return code;
}

static bool is_sane(struct edge *e, const struct flow *from, const struct sip_uri *uri, struct wanted *w,
                    enum registrar_counter *why)
{
    static const enum registrar_counter counters[] = {[CONTACT_OURS] = RC_refused_own_address,
                                                      [CONTACT_TRUNK] = RC_refused_trunk_address,
                                                      [CONTACT_LOOPBACK] = RC_refused_loopback,
                                                      [CONTACT_NOWHERE] = RC_refused_nowhere};
    enum contact_fault fault = contact_check(e, from, uri);
    if (fault == CONTACT_FINE) return true;
    *why = counters[fault];
    w->words = contact_fault_text(fault);
    return false;
}

/* Up to a tenth less than was asked for, so that those who registered at once do not all come back at once. The same
 * for one contact each time: a refresh is nothing new. */
static uint32_t spread(const struct edge *e, uint32_t expires_s, struct slice contact)
{
    if (expires_s <= SPREAD_ABOVE_S) return expires_s;
    struct slice fields[] = {SLICE("spread"), contact};
    return expires_s - (uint32_t)(edge_keyed_number(e, fields, 2) % (expires_s / 10));
}

/* Room for one more contact: most phones have one. */
static bool contact_room(struct arena *arena, struct wanted *w)
{
    if (w->contact_count < w->contact_room) return true;
    size_t room = w->contact_room == 0 ? 1 : 4 * w->contact_room;
    struct wanted_contact *grown = arena_alloc(arena, room * sizeof *grown);
    if (grown == NULL) return false;
    if (w->contact_count > 0) memcpy(grown, w->contacts, w->contact_count * sizeof *grown);
    w->contacts = grown;
    w->contact_room = room;
    return true;
}

static unsigned read_contact(struct edge *e, struct arena *arena, const struct flow *from, const struct sip_view *v,
                             struct slice value, struct wanted *w, enum registrar_counter *why)
{
    struct sip_name_addr a;
    struct slice expires = sip_view_value(v, SIP_EXPIRES);
    if (sip_name_addr_parse(arena, value, &a) != ERR_OK) return refuse(why, RC_refused_contact, 400);
    if (a.star) {
        /* Alone, and only to remove: RFC 3261 §10.3 item 6. */
        uint64_t zero = 1;
        if (w->contact_count > 0 || w->all || slice_u64(expires, 0, &zero) != ERR_OK)
            return refuse(why, RC_refused_contact, 400);
        w->all = true;
        return 0;
    }
    bool sip = slice_is(a.uri.scheme, "sip") || slice_is(a.uri.scheme, "sips");
    if (w->all || !sip || a.uri.host.n == 0 || a.uri_text.n > LIMIT_URI) return refuse(why, RC_refused_contact, 400);
    /* RFC 6140 §5.2: all numbers of the account, so none in the contact. */
    bool bulk = sip_uri_param(&a.uri, "bnc").p != NULL;
    if (bulk && a.uri.user.n > 0) return refuse(why, RC_refused_contact, 400);
    if (bulk && !w->has_numbers) return refuse(why, RC_refused_contact, 403);
    if (w->contact_count == REGISTRAR_CONTACTS_MAX) return refuse(why, RC_refused_too_many, 403);
    if (!contact_room(arena, w)) return refuse(why, RC_write_failed, 500);
    struct slice own = sip_name_addr_param(&a, "expires");
    struct slice q = sip_name_addr_param(&a, "q");
    struct wanted_contact *c = &w->contacts[w->contact_count];
    *c = (struct wanted_contact){.expires_s = spread(e, expires_of(own.p != NULL ? own : expires), a.uri_text),
                                 .q_milli = q.p != NULL ? q_of(q) : 1000};
    if (c->expires_s > 0 && !is_sane(e, from, &a.uri, w, why)) return 403;
    if (c->expires_s > 0 && c->expires_s < REGISTRAR_EXPIRES_MIN_S) return refuse(why, RC_refused_too_brief, 423);
    unsigned code = outbound_read(arena, from, v, &a, c, why);
    if (code != 0) return code;
    c->uri = arena_copy(arena, a.uri_text);
    if (c->uri.p == NULL) return refuse(why, RC_write_failed, 500);
    w->contact_count++;
    return 0;
}

/* All lines of a header as one list. */
static struct slice joined(struct arena *arena, const struct sip_view *v, enum sip_header id)
{
    struct buf b = {0};
    if (v->first[id] == SIP_NO_LINE) return SLICE("");
    for (unsigned i = v->first[id]; i != SIP_NO_LINE; i = v->lines[i].next) {
        if (b.n > 0) buf_text(&b, ", ");
        buf_slice(&b, sip_line_value(v, i));
    }
    struct slice all = b.failed ? SLICE_NONE : arena_copy(arena, buf_view(&b));
    buf_fini(&b);
    return all;
}

/* "udp:192.0.2.7:5060" */
static struct slice received_from(struct arena *arena, const struct flow *from)
{
    char address[SOCK_ADDRESS_TEXT];
    struct slice transport = slice_of(plan_transport_name(from->transport));
    struct slice remote = slice_of(sock_address_text(&from->remote, address));
    char *p = arena_alloc(arena, transport.n + 1 + remote.n);
    if (p == NULL) return SLICE_NONE;
    memcpy(p, transport.p, transport.n);
    p[transport.n] = ':';
    memcpy(p + transport.n + 1, remote.p, remote.n);
    return (struct slice){p, transport.n + 1 + remote.n};
}

static unsigned read_flow(struct arena *arena, const struct flow *from, const struct sip_view *v, struct wanted *w,
                          enum registrar_counter *why)
{
    struct slice agent = sip_view_value(v, SIP_USER_AGENT);
    if (agent.n > USER_AGENT_MAX) agent.n = USER_AGENT_MAX;
    w->call_id = arena_copy(arena, v->call_id);
    w->cseq = v->cseq;
    w->received = received_from(arena, from);
    w->path = joined(arena, v, SIP_PATH);
    w->user_agent = arena_copy(arena, agent);
    if (w->call_id.p == NULL || w->received.p == NULL || w->path.p == NULL || w->user_agent.p == NULL) {
        return refuse(why, RC_write_failed, 500);
    }
    return w->path.n > LIMIT_TEXT ? refuse(why, RC_refused_contact, 400) : 0;
}

static bool has_flow(const struct wanted *w)
{
    for (size_t i = 0; i < w->contact_count; i++) {
        if (w->contacts[i].reg_id > 0) return true;
    }
    return false;
}

unsigned registrar_wanted_read(struct edge *e, struct arena *arena, const struct flow *from, const struct sip_view *v,
                               struct wanted *w, enum registrar_counter *why)
{
    for (unsigned i = v->first[SIP_CONTACT]; i != SIP_NO_LINE; i = v->lines[i].next) {
        struct slice rest = sip_line_value(v, i);
        struct slice value;
        while (sip_value_next(&rest, &value)) {
            unsigned code = read_contact(e, arena, from, v, value, w, why);
            if (code != 0) return code;
        }
    }
    if (has_flow(w) && w->contact_count > 1) return refuse(why, RC_refused_contact, 400); /* RFC 5626 §6 */
    return read_flow(arena, from, v, w, why);
}

/* ---- what it makes of the bindings ---- */

static bool live(const struct binding *b, struct wall now)
{
    return b->expires.ms > now.ms;
}

static const struct binding *find(const struct binding *list, size_t count, struct slice contact)
{
    for (size_t i = 0; i < count; i++) {
        if (slice_eq(list[i].contact, contact)) return &list[i];
    }
    return NULL;
}

/* What the contact takes the place of: the same flow of the same device, or the same URI. */
static const struct binding *predecessor(const struct binding *list, size_t count, const struct wanted_contact *c)
{
    for (size_t i = 0; c->reg_id > 0 && i < count; i++) {
        if (list[i].reg_id == c->reg_id && slice_eq(list[i].instance, c->instance)) return &list[i];
    }
    return find(list, count, c->uri);
}

enum order { ORDER_NEW, ORDER_SAME, ORDER_OLD };
static enum order order_of(const struct wanted *w, const struct binding *b)
{
    if (!slice_eq(b->call_id, w->call_id) || w->cseq > b->cseq) return ORDER_NEW;
    return w->cseq == b->cseq ? ORDER_SAME : ORDER_OLD;
}

static void put(struct update *u, const struct wanted *w, const struct wanted_contact *c, const struct binding *old,
                struct wall now)
{
    u->puts[u->put_count++] = (struct binding){
        .account = w->account,
        .contact = c->uri,
        .received = w->received,
        .path = w->path,
        .user_agent = w->user_agent,
        .since = old != NULL && live(old, now) ? old->since : now,
        .q_milli = c->q_milli,
        .instance = c->instance,
        .reg_id = c->reg_id,
        .call_id = w->call_id,
        .cseq = w->cseq,
        .keepalive = w->keepalive,
        .keepalive_every_ms = w->keepalive_every_ms,
        .keepalive_known = true,
        .expires = {now.ms + (int64_t)c->expires_s * 1000},
    };
}

static bool listed(const struct binding *list, size_t count, const struct binding *b)
{
    return find(list, count, b->contact) != NULL;
}

/* Over max_contacts the bindings that were made first go. */
static void make_room(const struct wanted *w, const struct binding *old, size_t old_count, struct wall now,
                      struct update *u)
{
    for (;;) {
        const struct binding *oldest = NULL;
        size_t kept = u->put_count;
        for (size_t i = 0; i < old_count; i++) {
            const struct binding *b = &old[i];
            if (!live(b, now) || listed(u->puts, u->put_count, b) || listed(u->removes, u->remove_count, b)) continue;
            kept++;
            if (oldest == NULL || b->since.ms < oldest->since.ms) oldest = b;
        }
        if (kept <= w->max_contacts || oldest == NULL) return;
        u->removes[u->remove_count++] = *oldest;
        u->replaced = true;
    }
}

enum err registrar_update_make(struct arena *arena, const struct wanted *w, const struct binding *old, size_t old_count,
                               struct wall now, struct update *u)
{
    *u = (struct update){0};
    u->puts = arena_alloc(arena, w->contact_count * sizeof *u->puts);
    u->removes = arena_alloc(arena, old_count * sizeof *u->removes);
    if (u->puts == NULL || u->removes == NULL) return ERR_NOMEM;
    for (size_t i = 0; w->all && i < old_count; i++) {
        if (order_of(w, &old[i]) == ORDER_OLD) return ERR_CONFLICT;
        u->removes[u->remove_count++] = old[i];
    }
    for (size_t i = 0; i < w->contact_count; i++) {
        const struct wanted_contact *c = &w->contacts[i];
        const struct binding *b = predecessor(old, old_count, c);
        enum order order = b != NULL && live(b, now) ? order_of(w, b) : ORDER_NEW;
        if (order == ORDER_OLD) return ERR_CONFLICT;
        /* The same request once more, under a new branch: what it asked for is done. */
        if (order == ORDER_SAME || listed(u->puts, u->put_count, &(struct binding){.contact = c->uri})) continue;
        if (c->expires_s > 0) {
            put(u, w, c, b, now);
            bool moved = b != NULL && !slice_eq(b->contact, c->uri);
            if (moved && !listed(u->removes, u->remove_count, b)) u->removes[u->remove_count++] = *b;
        } else if (b != NULL && !listed(u->removes, u->remove_count, b)) {
            u->removes[u->remove_count++] = *b;
        }
    }
    if (u->put_count > 0) make_room(w, old, old_count, now, u);
    u->whole = true;
    for (size_t i = 0; i < old_count; i++)
        u->whole = u->whole && (listed(u->puts, u->put_count, &old[i]) || listed(u->removes, u->remove_count, &old[i]));
    return ERR_OK;
}

void registrar_update_list(const struct binding *list, size_t count, struct wall now, struct edge *names,
                           struct buf *out)
{
    const struct binding *with_path = NULL;
    char digits[DECIMAL_TEXT];
    for (size_t i = 0; i < count; i++) {
        const struct binding *b = &list[i];
        if (!live(b, now)) continue;
        buf_text(out, "Contact: <");
        buf_slice(out, b->contact);
        buf_text(out, ">;expires=");
        buf_slice(out, decimal_text((uint64_t)(b->expires.ms - now.ms + 999) / 1000, digits));
        if (b->q_milli < 1000) buf_printf(out, ";q=0.%03u", b->q_milli);
        if (b->instance.n > 0) buf_printf(out, ";+sip.instance=\"%.*s\"", SLICE_ARG(b->instance));
        if (b->reg_id > 0) buf_printf(out, ";reg-id=%u", b->reg_id);
        if (names != NULL) gruu_params(names, b, out);
        buf_text(out, "\r\n");
        if (b->path.n > 0) with_path = b;
    }
    if (with_path == NULL) return;
    buf_text(out, "Path: ");
    buf_slice(out, with_path->path);
    buf_text(out, "\r\n");
}
