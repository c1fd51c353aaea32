/* address: socket addresses as text, as keys, and compared. No name is looked up here and no socket is touched. */
#include "node/edge/address.h"

#include <arpa/inet.h>
#include <stdio.h>

/* Four decimal numbers without leading zeros, as inet_pton takes them; by hand, for every message asks for some. */
static bool parse_v4(struct slice s, uint16_t port, union sock_address *out)
{
    unsigned char bytes[4];
    size_t at = 0;
    for (size_t part = 0; part < sizeof bytes; part++) {
        size_t start = at;
        unsigned value = 0;
        while (at < s.n && at - start < 3 && s.p[at] >= '0' && s.p[at] <= '9')
            value = value * 10 + (unsigned)(s.p[at++] - '0');
        if (at == start || value > 255 || (s.p[start] == '0' && at - start > 1)) return false;
        if (part < 3 && (at == s.n || s.p[at++] != '.')) return false;
        bytes[part] = (unsigned char)value;
    }
    if (at != s.n) return false;
    memset(out, 0, sizeof *out);
    out->v4.sin_family = AF_INET;
    out->v4.sin_port = htons(port);
    memcpy(&out->v4.sin_addr, bytes, sizeof bytes);
    return true;
}

enum err sock_address_parse(struct slice host, uint16_t port, union sock_address *out)
{
    char text[INET6_ADDRSTRLEN];
    bool brackets = host.n >= 2 && host.p[0] == '[' && host.p[host.n - 1] == ']';
    if (!brackets && parse_v4(host, port, out)) return ERR_OK;
    if (brackets) host = (struct slice){host.p + 1, host.n - 2};
    if (host.n == 0 || host.n >= sizeof text || memchr(host.p, '\0', host.n) != NULL) return ERR_SYNTAX;
    memcpy(text, host.p, host.n);
    text[host.n] = '\0';

    union sock_address a;
    memset(&a, 0, sizeof a);
    if (inet_pton(AF_INET6, text, &a.v6.sin6_addr) != 1) return ERR_SYNTAX;
    a.v6.sin6_family = AF_INET6;
    a.v6.sin6_port = htons(port);
    *out = a;
    return ERR_OK;
}

/* The number, and what is behind it. */
static char *add_number(char *at, unsigned n, char behind)
{
    char digits[5];
    size_t count = 0;
    do {
        digits[count++] = (char)('0' + n % 10);
        n /= 10;
    } while (n > 0);
    while (count > 0)
        *at++ = digits[--count];
    *at++ = behind;
    return at;
}

/* IPv4 by hand: it is made for every registration. */
const char *sock_address_text(const union sock_address *a, char out[SOCK_ADDRESS_TEXT])
{
    char host[INET6_ADDRSTRLEN] = "?";
    if (a->any.sa_family == AF_INET) {
        const unsigned char *b = (const unsigned char *)&a->v4.sin_addr;
        char *at = out;
        for (unsigned i = 0; i < 4; i++)
            at = add_number(at, b[i], i < 3 ? '.' : ':');
        (void)add_number(at, sock_address_port(a), '\0');
    } else if (a->any.sa_family == AF_INET6) {
        (void)inet_ntop(AF_INET6, &a->v6.sin6_addr, host, sizeof host);
        (void)snprintf(out, SOCK_ADDRESS_TEXT, "[%s]:%u", host, (unsigned)sock_address_port(a));
    } else {
        (void)snprintf(out, SOCK_ADDRESS_TEXT, "-");
    }
    return out;
}

uint16_t sock_address_port(const union sock_address *a)
{
    if (a->any.sa_family == AF_INET) return ntohs(a->v4.sin_port);
    if (a->any.sa_family == AF_INET6) return ntohs(a->v6.sin6_port);
    return 0;
}

void sock_address_set_port(union sock_address *a, uint16_t port)
{
    if (a->any.sa_family == AF_INET) a->v4.sin_port = htons(port);
    if (a->any.sa_family == AF_INET6) a->v6.sin6_port = htons(port);
}

socklen_t sock_address_len(const union sock_address *a)
{
    return a->any.sa_family == AF_INET6 ? sizeof a->v6 : sizeof a->v4;
}

bool sock_address_is_any(const union sock_address *a)
{
    if (a->any.sa_family == AF_INET) return a->v4.sin_addr.s_addr == htonl(INADDR_ANY);
    return a->any.sa_family == AF_INET6 && IN6_IS_ADDR_UNSPECIFIED(&a->v6.sin6_addr);
}

bool sock_address_same_host(const union sock_address *a, const union sock_address *b)
{
    if (a->any.sa_family != b->any.sa_family) return false;
    if (a->any.sa_family == AF_INET) return a->v4.sin_addr.s_addr == b->v4.sin_addr.s_addr;
    if (a->any.sa_family != AF_INET6) return false;
    return IN6_ARE_ADDR_EQUAL(&a->v6.sin6_addr, &b->v6.sin6_addr) && a->v6.sin6_scope_id == b->v6.sin6_scope_id;
}

bool sock_address_eq(const union sock_address *a, const union sock_address *b)
{
    return sock_address_same_host(a, b) && sock_address_port(a) == sock_address_port(b);
}

uint16_t sip_default_port(enum plan_transport transport)
{
    return transport == PLAN_TLS ? 5061 : 5060;
}

/* Layout: family, transport, port (2), address (16), scope (4). */
void sock_key_remote(struct sock_key *k, enum plan_transport transport, const union sock_address *a)
{
    memset(k, 0, sizeof *k);
    k->bytes[0] = (unsigned char)a->any.sa_family;
    k->bytes[1] = (unsigned char)transport;
    if (a->any.sa_family == AF_INET) {
        memcpy(k->bytes + 2, &a->v4.sin_port, 2);
        memcpy(k->bytes + 4, &a->v4.sin_addr, 4);
    } else if (a->any.sa_family == AF_INET6) {
        memcpy(k->bytes + 2, &a->v6.sin6_port, 2);
        memcpy(k->bytes + 4, &a->v6.sin6_addr, 16);
        memcpy(k->bytes + 20, &a->v6.sin6_scope_id, 4);
    }
}

void sock_key_source(struct sock_key *k, const union sock_address *a)
{
    memset(k, 0, sizeof *k);
    k->bytes[0] = (unsigned char)a->any.sa_family;
    if (a->any.sa_family == AF_INET) memcpy(k->bytes + 4, &a->v4.sin_addr, 4);
    if (a->any.sa_family == AF_INET6) memcpy(k->bytes + 4, &a->v6.sin6_addr, 8);
}

const char *sock_source_text(const union sock_address *a, char out[SOURCE_TEXT])
{
    struct in6_addr net = {{{0}}};
    if (a->any.sa_family != AF_INET6) return inet_ntop(AF_INET, &a->v4.sin_addr, out, SOURCE_TEXT);
    memcpy(&net, &a->v6.sin6_addr, 8);
    (void)inet_ntop(AF_INET6, &net, out, SOURCE_TEXT - 3);
    memcpy(out + strlen(out), "/64", 4);
    return out;
}

enum err sock_source_parse(struct slice text, union sock_address *out)
{
    bool net = text.n > 3 && memcmp(text.p + text.n - 3, "/64", 3) == 0;
    enum err e = sock_address_parse(net ? (struct slice){text.p, text.n - 3} : text, 0, out);
    return e == ERR_OK && net && out->any.sa_family != AF_INET6 ? ERR_SYNTAX : e;
}

static enum err listen_bad(struct slice text, struct err_info *info)
{
    return err_fail(
        info, ERR_SYNTAX,
        "\"%.*s\" is no listen address: write TRANSPORT:ADDRESS:PORT with udp, tcp or tls and an IP address, "
        "for example udp:10.1.0.1:5060 or tls:[2001:db8::1]:5061",
        SLICE_ARG(text));
}

enum err listen_parse(struct slice text, enum plan_transport *transport, union sock_address *address,
                      struct err_info *info)
{
    struct slice name;
    struct slice host = slice_cut(text, ':', &name);
    enum plan_transport kind = PLAN_UDP;
    while (!slice_is(name, plan_transport_name(kind))) {
        if (kind == PLAN_TLS) return listen_bad(text, info);
        kind = (enum plan_transport)(kind + 1);
    }
    size_t colon = host.n;
    while (colon > 0 && host.p[colon - 1] != ':')
        colon--;
    if (colon == 0) return listen_bad(text, info);

    uint64_t port = 0;
    struct slice digits = {host.p + colon, host.n - colon};
    host.n = colon - 1;
    bool bare_v6 = host.n > 0 && host.p[0] != '[' && memchr(host.p, ':', host.n) != NULL;
    if (bare_v6 || slice_u64(digits, UINT16_MAX, &port) != ERR_OK) return listen_bad(text, info);
    if (sock_address_parse(host, (uint16_t)port, address) != ERR_OK) return listen_bad(text, info);
    *transport = kind;
    return ERR_OK;
}
