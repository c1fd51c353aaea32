/* host: see the header. */
#include "node/control/host.h"

#include <arpa/inet.h>
#include <stdio.h>

static bool is_address(int family, struct slice s)
{
    char text[INET6_ADDRSTRLEN];
    unsigned char address[sizeof(struct in6_addr)];
    if (s.n >= sizeof text || (s.n > 0 && memchr(s.p, '\0', s.n) != NULL)) return false;
    (void)snprintf(text, sizeof text, "%.*s", SLICE_ARG(s));
    return inet_pton(family, text, address) == 1;
}

static bool is_port(struct slice s)
{
    uint64_t port = 0;
    return slice_u64(s, UINT16_MAX, &port) == ERR_OK;
}

static bool is_single_name(struct slice s)
{
    for (size_t i = 0; i < s.n; i++) {
        char c = char_lower(s.p[i]);
        if ((c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' && c != '_') return false;
    }
    return s.n > 0;
}

bool host_is_near(struct slice host)
{
    struct slice name;
    if (host.n > 0 && host.p[0] == '[') {
        struct slice rest = slice_cut(host, ']', &name);
        if (rest.p == NULL) return false; /* the bracket is not closed */
        bool ported = rest.n > 0 && rest.p[0] == ':';
        if (rest.n > 0 && (!ported || !is_port((struct slice){rest.p + 1, rest.n - 1}))) return false;
        return is_address(AF_INET6, (struct slice){name.p + 1, name.n - 1});
    }
    struct slice port = slice_cut(host, ':', &name);
    if (port.p != NULL && !is_port(port)) return false;
    return is_address(AF_INET, name) || is_single_name(name);
}
