#include "node/sip/register.h"

#define SERVICE_ROUTE_MAX 1024

/* ---- the request ---- */

enum err sip_register_build(const struct sip_register *m, struct buf *out)
{
    buf_printf(out, "REGISTER %.*s SIP/2.0\r\nVia: SIP/2.0/%.*s %.*s;branch=%s;rport\r\nMax-Forwards: 70\r\n",
               SLICE_ARG(m->uri), SLICE_ARG(m->transport), SLICE_ARG(m->sent_by), m->branch);
    buf_printf(out, "From: <sip:%.*s@%.*s>;tag=%016llx\r\nTo: <sip:%.*s@%.*s>\r\n", SLICE_ARG(m->user),
               SLICE_ARG(m->domain), (unsigned long long)m->tag, SLICE_ARG(m->user), SLICE_ARG(m->domain));
    buf_printf(out, "Call-ID: %.*s\r\nCSeq: %u REGISTER\r\n", SLICE_ARG(m->call_id), (unsigned)m->cseq);
    buf_printf(out, "Contact: <%.*s>;expires=%u\r\n", SLICE_ARG(m->contact), (unsigned)m->expires_s);
    if (m->stale.n > 0) buf_printf(out, "Contact: <%.*s>;expires=0\r\n", SLICE_ARG(m->stale));
    buf_printf(out, "Expires: %u\r\nSupported: path\r\n", (unsigned)m->expires_s);
    buf_slice(out, m->auth);
    buf_printf(out, "User-Agent: Tandem/%.*s\r\nContent-Length: 0\r\n\r\n", SLICE_ARG(m->version));
    return out->failed ? ERR_NOMEM : ERR_OK;
}

/* ---- the answer ---- */

/* Whether the contact is ours, and for how long; *other: one that is not. */
static bool contact_expires(struct arena *arena, struct slice value, struct slice token, uint32_t fallback,
                            uint32_t *granted_s, bool *other)
{
    struct sip_name_addr a;
    if (sip_name_addr_parse(arena, value, &a) != ERR_OK || a.star) return false;
    if (!slice_eq(sip_uri_param(&a.uri, SIP_LINE_PARAM), token)) {
        *other = true;
        return false;
    }
    struct slice own = sip_name_addr_param(&a, "expires");
    *granted_s = own.n > 0 ? sip_seconds(sip_unquote(own)) : fallback;
    return true;
}

/* RFC 3261 §10.2.4: each contact has its time. A registrar that lists none, or has rewritten ours beyond recognition
 * and lists only others', is believed by its Expires header. */
static uint32_t granted(struct arena *arena, const struct sip_view *v, struct slice token, uint32_t asked_s)
{
    uint32_t granted_s = 0;
    bool other = false;
    struct slice header = sip_view_value(v, SIP_EXPIRES);
    uint32_t fallback = header.p != NULL ? sip_seconds(header) : asked_s;
    for (unsigned i = v->first[SIP_CONTACT]; i != SIP_NO_LINE; i = v->lines[i].next) {
        struct slice rest = sip_line_value(v, i);
        struct slice value;
        while (sip_value_next(&rest, &value)) {
            if (contact_expires(arena, value, token, fallback, &granted_s, &other)) return granted_s;
        }
    }
    return other && header.p == NULL ? 0 : fallback;
}

static enum err joined(struct arena *arena, const struct sip_view *v, enum sip_header id, struct slice *out)
{
    struct buf b = {0};
    for (unsigned i = v->first[id]; i != SIP_NO_LINE; i = v->lines[i].next) {
        if (b.n > 0) buf_text(&b, ", ");
        buf_slice(&b, sip_line_value(v, i));
    }
    *out = b.failed ? SLICE_NONE : arena_copy(arena, b.n <= SERVICE_ROUTE_MAX ? buf_view(&b) : SLICE(""));
    buf_fini(&b);
    return out->p != NULL ? ERR_OK : ERR_NOMEM;
}

/* Each value must be a route: what goes into our requests is what a parser has seen. */
static enum err service_route(struct arena *arena, const struct sip_view *v, struct slice *out)
{
    enum err e = joined(arena, v, SIP_SERVICE_ROUTE, out);
    struct slice rest = e == ERR_OK ? *out : SLICE_NONE;
    struct slice value;
    while (sip_value_next(&rest, &value)) {
        struct sip_name_addr a;
        if (sip_name_addr_parse(arena, value, &a) != ERR_OK || a.star || a.uri.host.n == 0) *out = SLICE("");
    }
    return e;
}

/* Each proxy puts itself before those that our request passed earlier: the last one is next to us. */
static enum err path(struct arena *arena, const struct sip_view *v, struct sip_register_answer *a)
{
    struct slice last = SLICE_NONE;
    struct sip_name_addr proxy;
    a->path_host = SLICE("");
    for (unsigned i = v->first[SIP_PATH]; i != SIP_NO_LINE; i = v->lines[i].next) {
        struct slice rest = sip_line_value(v, i);
        struct slice value;
        while (sip_value_next(&rest, &value))
            last = value;
    }
    if (last.p == NULL || sip_name_addr_parse(arena, last, &proxy) != ERR_OK || proxy.star) return ERR_OK;
    a->path_host = arena_copy(arena, proxy.uri.host);
    a->path_port = proxy.uri.port;
    return a->path_host.p != NULL ? ERR_OK : ERR_NOMEM;
}

/* The first contact that is a SIP URI. */
static struct slice redirect(struct arena *arena, const struct sip_view *v)
{
    for (unsigned i = v->first[SIP_CONTACT]; i != SIP_NO_LINE; i = v->lines[i].next) {
        struct slice rest = sip_line_value(v, i);
        struct slice value;
        while (sip_value_next(&rest, &value)) {
            struct sip_name_addr a;
            if (sip_name_addr_parse(arena, value, &a) != ERR_OK || a.star || a.uri.host.n == 0) continue;
            if (slice_is(a.uri.scheme, "sip") || slice_is(a.uri.scheme, "sips")) return arena_copy(arena, a.uri_text);
        }
    }
    return SLICE("");
}

static bool translated(const struct sip_view *v)
{
    struct slice port = v->via.rport_param;
    struct slice number = SLICE_NONE;
    if (v->via.received.n > 0 && !slice_eq(v->via.received, v->via.host)) return true;
    if (port.p == NULL) return false;
    number = slice_cut(port, '=', &port);
    return number.n > 0 && sip_seconds(number) != (v->via.port != 0 ? v->via.port : 5060u);
}

enum err sip_register_read(struct arena *arena, const struct sip_view *v, struct slice token, uint32_t asked_s,
                           struct sip_register_answer *out)
{
    struct sip_register_answer a = {.plain = {.code = v->code, .reason = v->reason, .view = v}};
    enum err e = ERR_OK;
    a.plain.retry_after_s = sip_seconds(sip_view_value(v, SIP_RETRY_AFTER));
    a.translated = translated(v);
    if (v->code >= 200 && v->code < 300) {
        a.plain.granted_s = granted(arena, v, token, asked_s);
        e = service_route(arena, v, &a.service_route);
        if (e == ERR_OK) e = path(arena, v, &a);
    } else if (v->code >= 300 && v->code < 400) {
        a.redirect = redirect(arena, v);
        a.plain.redirects = a.redirect.n > 0;
        if (a.redirect.p == NULL) e = ERR_NOMEM;
    } else if (v->code == 423) {
        a.plain.min_expires_s = sip_seconds(sip_view_value(v, SIP_MIN_EXPIRES));
    }
    if (e == ERR_OK) *out = a;
    return e;
}

enum err sip_line_token(struct mac *key, struct slice trunk, struct slice node, char out[SIP_LINE_TOKEN])
{
    unsigned char full[HASH_SHA256_LEN];
    const struct slice parts[] = {SLICE("line"), trunk, {"\0", 1}, node};
    enum err e = mac_parts(key, parts, sizeof parts / sizeof parts[0], full);
    if (e == ERR_OK) hex_encode(full, (SIP_LINE_TOKEN - 1) / 2, out);
    return e;
}
