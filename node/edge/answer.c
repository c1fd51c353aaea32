/* answer: how the edge names itself, whom it takes for itself, where answers go, and what its own answers look like. */
#include "node/edge/edge_internal.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <time.h>

#include "node/sip/cookie.h"

#define SESSION_ID_BYTES ((EDGE_SESSION_ID - 1) / 2)

struct wall edge_wall(void)
{
    struct timespec ts;
    if (clock_gettime(CLOCK_REALTIME, &ts) != 0) return (struct wall){0};
    return (struct wall){(int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000};
}

struct slice edge_realm(const struct edge *e)
{
    struct slice domain = e->o.hooks.domain(e->o.hooks.ctx);
    return domain.n > 0 ? domain : slice_of(e->host);
}

/* ---- our own addresses ---- */

bool edge_uri_is_sips(struct slice uri)
{
    struct slice sips = SLICE("sips:");
    return uri.n > sips.n && slice_eq_nocase((struct slice){uri.p, sips.n}, sips);
}

bool edge_uri_transport(const struct sip_uri *uri, enum plan_transport *out)
{
    struct slice param = sip_uri_param(uri, "transport");
    bool secure = slice_is(uri->scheme, "sips");
    if (!secure && !slice_is(uri->scheme, "sip")) return false;
    *out = secure ? PLAN_TLS : PLAN_UDP;
    if (param.p == NULL) return true;
    if (slice_eq_nocase(param, SLICE("tls"))) {
        *out = PLAN_TLS;
    } else if (slice_eq_nocase(param, SLICE("tcp"))) {
        *out = secure ? PLAN_TLS : PLAN_TCP;
    } else {
        return slice_eq_nocase(param, SLICE("udp")) && !secure;
    }
    return true;
}

bool edge_uri_names(const struct sip_uri *uri, const union sock_address *host)
{
    union sock_address named;
    return sock_address_parse(uri->host, 1, &named) == ERR_OK && sock_address_same_host(&named, host);
}

/* Whether a listener has this port; any transport will do where the URI names none. */
static bool port_is_ours(const struct edge *e, uint16_t port)
{
    if (port == 0) return true;
    for (size_t i = 0; i < transport_listener_count(e->transport); i++) {
        if (sock_address_port(&transport_listener_at(e->transport, i)->local) == port) return true;
    }
    return false;
}

static bool same_host(struct slice a, struct slice b)
{
    if (b.n > 2 && b.p[0] == '[') b = (struct slice){b.p + 1, b.n - 2};
    return a.n > 0 && slice_eq_nocase(a, b);
}

bool edge_is_ours(const struct edge *e, const struct sip_uri *uri)
{
    enum plan_transport transport = PLAN_UDP;
    union sock_address literal;
    if (uri->host.n == 0 || !edge_uri_transport(uri, &transport)) return false;
    if (same_host(uri->host, e->o.advertise)) return port_is_ours(e, uri->port);
    if (sock_address_parse(uri->host, 1, &literal) != ERR_OK) {
        return same_host(uri->host, e->o.hooks.domain(e->o.hooks.ctx)) && port_is_ours(e, uri->port);
    }
    if (transport_is_local(e->transport, transport, uri->host, uri->port)) return true;
    if (sip_uri_param(uri, "transport").p != NULL || transport == PLAN_TLS) return false;
    return transport_is_local(e->transport, PLAN_TCP, uri->host, uri->port);
}

bool edge_is_plainly_ours(const struct edge *e, uint8_t listener, struct slice uri)
{
    const struct edge_place *p = &e->places[listener];
    if (p->reachable && slice_is(uri, p->uri)) return true;
    if (!slice_starts(uri, SLICE("sip:"))) return false;
    struct slice host = {uri.p + 4, uri.n - 4};
    /* A domain that may be an address has to be looked at. */
    bool is_name = host.n > 0 && (host.p[0] | 0x20) >= 'a' && (host.p[0] | 0x20) <= 'z';
    return is_name && slice_eq(host, e->o.hooks.domain(e->o.hooks.ctx));
}

struct slice edge_after_own_uri(const struct edge *e, struct slice value)
{
    if (value.n == 0 || value.p[0] != '<') return SLICE_NONE;
    struct slice uri = {value.p + 1, value.n - 1};
    for (size_t i = 0; i < transport_listener_count(e->transport); i++) {
        for (int sips = 0; sips < 2; sips++) {
            struct slice own = slice_of(edge_place_uri(&e->places[i], sips != 0));
            if (uri.n > own.n && uri.p[own.n] == ';' && slice_starts(uri, own))
                return (struct slice){uri.p + own.n, uri.n - own.n};
        }
    }
    return SLICE_NONE;
}

void edge_add_user(struct buf *b, struct slice number)
{
    for (size_t i = 0; i < number.n; i++) {
        if (number.p[i] == '#') {
            buf_text(b, "%23");
        } else {
            buf_add(b, &number.p[i], 1);
        }
    }
}

/* ---- flows ---- */

uint16_t edge_reply_port(const struct flow *from, const struct sip_view *v)
{
    /* A connection is answered on itself; the sent-by port is for when it is gone. */
    if (from->transport == PLAN_UDP && v->via.rport) return sock_address_port(&from->remote);
    return v->via.port != 0 ? v->via.port : sip_default_port(from->transport);
}

unsigned edge_transports(const struct edge *e)
{
    unsigned bits = 0;
    for (size_t i = 0; i < transport_listener_count(e->transport); i++)
        bits |= 1U << transport_listener_at(e->transport, i)->transport;
    return bits;
}

/* Leading bits that two addresses of one family have in common. */
static unsigned common_bits(const union sock_address *a, const union sock_address *b)
{
    bool v6 = a->any.sa_family == AF_INET6;
    const unsigned char *x = v6 ? a->v6.sin6_addr.s6_addr : (const unsigned char *)&a->v4.sin_addr;
    const unsigned char *y = v6 ? b->v6.sin6_addr.s6_addr : (const unsigned char *)&b->v4.sin_addr;
    unsigned bits = v6 ? 128 : 32;
    for (unsigned i = 0; i < bits; i++) {
        if (((x[i / 8] ^ y[i / 8]) >> (7 - i % 8) & 1) != 0) return i;
    }
    return bits;
}

static unsigned score_of(const struct edge *e, size_t listener, const union sock_address *to, const struct flow *from)
{
    const struct transport_listener *l = transport_listener_at(e->transport, listener);
    return 2 * common_bits(&l->local, to) + (listener == from->listener) + 1;
}

enum err edge_flow_to(const struct edge *e, enum plan_transport transport, const union sock_address *address,
                      const struct flow *from, struct flow *out)
{
    size_t best = SIZE_MAX;
    unsigned best_score = 0;
    for (size_t i = 0; i < transport_listener_count(e->transport); i++) {
        const struct transport_listener *l = transport_listener_at(e->transport, i);
        if (l->transport != transport || l->local.any.sa_family != address->any.sa_family) continue;
        if (best != SIZE_MAX && best_score == 0) best_score = score_of(e, best, address, from);
        unsigned score = best != SIZE_MAX ? score_of(e, i, address, from) : 0; /* the only one needs none */
        if (best == SIZE_MAX || score > best_score) {
            best = i;
            best_score = score;
        }
    }
    if (best == SIZE_MAX) return ERR_NOTFOUND;
    *out = (struct flow){.transport = transport, .listener = (uint8_t)best, .remote = *address};
    return ERR_OK;
}

enum err edge_send_hop(struct edge *e, struct flow *to, struct slice host, bool expect_member, struct slice data,
                       uint64_t token)
{
    if (to->transport != PLAN_TLS || expect_member || host.n == 0)
        return transport_send(e->transport, to, expect_member, data, token);
    to->domain = transport_domain(e->transport, host);
    return transport_send_host(e->transport, to, host, data, token);
}

bool edge_may_answer(const struct edge *e, const struct flow *to, const struct flow *from)
{
    if (from->transport != to->transport) return false;
    if (to->transport == PLAN_UDP || from->member || sock_address_same_host(&from->remote, &to->remote)) return true;
    return !transport_connected(e->transport, to);
}

const char *edge_unsent_words(const struct edge *e, char out[EDGE_UNSENT_WORDS])
{
    const char *why = transport_unsent_why(e->transport);
    (void)snprintf(out, EDGE_UNSENT_WORDS, "cannot be reached%s%s", why[0] != '\0' ? ": " : "", why);
    return out;
}

void edge_address_text(const union sock_address *a, char out[INET6_ADDRSTRLEN])
{
    const unsigned char *v4 = (const unsigned char *)&a->v4.sin_addr;
    if (a->any.sa_family == AF_INET6) {
        if (inet_ntop(AF_INET6, &a->v6.sin6_addr, out, INET6_ADDRSTRLEN) == NULL) out[0] = '\0';
        return;
    }
    /* By hand: it is done for each message, and inet_ntop prints through a format. */
    for (int i = 0; i < 4; i++) {
        if (v4[i] >= 100) *out++ = (char)('0' + v4[i] / 100);
        if (v4[i] >= 10) *out++ = (char)('0' + v4[i] / 10 % 10);
        *out++ = (char)('0' + v4[i] % 10);
        *out++ = i < 3 ? '.' : '\0';
    }
}

void edge_keyed_hash(const struct edge *e, const struct slice *fields, size_t count, unsigned char out[HASH_SHA256_LEN])
{
    enum err err = sip_keyed_hash(e->run_mac, fields, count, out);
    ASSERT(err == ERR_OK); /* it has its key already: there is nothing that it could lack */
}

uint64_t edge_keyed_number(const struct edge *e, const struct slice *fields, size_t count)
{
    unsigned char hash[HASH_SHA256_LEN];
    uint64_t number = 0;
    edge_keyed_hash(e, fields, count, hash);
    memcpy(&number, hash, sizeof number);
    return number;
}

void edge_session_id(const struct edge *e, const struct sip_view *v, char out[EDGE_SESSION_ID])
{
    struct slice own = sip_view_value(v, SIP_SESSION_ID);
    struct slice fields[] = {SLICE("session"), v->call_id, v->from_tag};
    unsigned char bytes[HASH_SHA256_LEN];
    if (own.n >= 32 && hex_decode((struct slice){own.p, 32}, bytes, SESSION_ID_BYTES) == ERR_OK) {
        memcpy(out, own.p, 32);
        out[32] = '\0';
        return;
    }
    edge_keyed_hash(e, fields, 3, bytes);
    hex_encode(bytes, SESSION_ID_BYTES, out);
}

/* ---- answers ---- */

void edge_to_tag(const struct edge *e, const struct sip_view *v, char out[EDGE_TAG])
{
    struct slice fields[] = {SLICE("tag"), v->via.branch, v->call_id, v->from_tag};
    uint64_t number = edge_keyed_number(e, fields, 4);
    hex_encode(&number, sizeof number, out);
}

static enum err respond(struct edge *e, const struct flow *from, const struct sip_view *v, unsigned code,
                        const char *tag, struct slice extra)
{
    char address[INET6_ADDRSTRLEN];
    edge_address_text(&from->remote, address);
    buf_reset(&e->out);
    return sip_response_build(v, code, SLICE(""), slice_of(tag), slice_of(address), sock_address_port(&from->remote),
                              extra, &e->out);
}

enum err edge_response(struct edge *e, const struct flow *from, const struct sip_view *v, unsigned code,
                       struct slice extra)
{
    char tag[EDGE_TAG] = "";
    if (code > 100) edge_to_tag(e, v, tag);
    return respond(e, from, v, code, tag, extra);
}

/* No digit: the tag of an INVITE that was refused without a transaction says so in its ACK. */
#define STATELESS_MARK 'x'

bool edge_refused_stateless(const struct edge *e, const struct sip_view *ack)
{
    char tag[EDGE_TAG];
    struct slice own = ack->to_tag;
    if (own.n != EDGE_TAG - 1 || own.p[own.n - 1] != STATELESS_MARK) return false;
    edge_to_tag(e, ack, tag);
    return memcmp(own.p, tag, own.n - 1) == 0;
}

enum err edge_response_lines(struct edge *e, const struct flow *from, const struct sip_view *v)
{
    char tag[EDGE_TAG];
    char address[INET6_ADDRSTRLEN];
    edge_address_text(&from->remote, address);
    edge_to_tag(e, v, tag);
    buf_reset(&e->out);
    return sip_response_lines(v, slice_of(tag), slice_of(address), sock_address_port(&from->remote), &e->out);
}

void edge_answer_stateless(struct edge *e, const struct flow *from, const struct sip_view *v, unsigned code,
                           struct slice extra)
{
    char tag[EDGE_TAG];
    struct flow to = *from;
    sock_address_set_port(&to.remote, edge_reply_port(from, v));
    edge_to_tag(e, v, tag);
    if (v->method == SIP_INVITE) tag[EDGE_TAG - 2] = STATELESS_MARK;
    if (respond(e, from, v, code, tag, extra) != ERR_OK) {
        edge_count(e, EC_no_memory);
        return;
    }
    if (transport_send(e->transport, &to, to.member, buf_view(&e->out), 0) != ERR_OK) edge_count(e, EC_send_failures);
}

void edge_reason_line(struct edge *e, unsigned cause, struct slice words)
{
    if (cause == 0 || words.n == 0) return;
    buf_printf(&e->lines, "Reason: SIP;cause=%u;text=\"", cause);
    for (size_t i = 0; i < words.n && i < 200; i++) {
        char c = words.p[i];
        bool plain = c >= ' ' && c != '"' && c != '\\' && c != 0x7f;
        buf_add(&e->lines, plain ? &c : "?", 1);
    }
    buf_text(&e->lines, "\"\r\n");
}
