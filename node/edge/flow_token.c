#include "node/edge/flow_token.h"

#define V4_BYTES 7 /* transport, port, address */
#define V6_BYTES 19

const char *flow_token_param(enum flow_side side)
{
    return side == FLOW_OF_CALLER ? "fc" : "fd";
}

static size_t encode(const struct flow *flow, unsigned char out[V6_BYTES])
{
    out[0] = (unsigned char)flow->transport;
    if (flow->remote.any.sa_family == AF_INET6) {
        memcpy(out + 1, &flow->remote.v6.sin6_port, 2);
        memcpy(out + 3, &flow->remote.v6.sin6_addr, 16);
        return V6_BYTES;
    }
    memcpy(out + 1, &flow->remote.v4.sin_port, 2);
    memcpy(out + 3, &flow->remote.v4.sin_addr, 4);
    return V4_BYTES;
}

static bool decode(const unsigned char *bytes, size_t n, enum plan_transport *transport, union sock_address *out)
{
    memset(out, 0, sizeof *out);
    if (bytes[0] > PLAN_TLS) return false;
    *transport = (enum plan_transport)bytes[0];
    if (n == V6_BYTES) {
        out->v6.sin6_family = AF_INET6;
        memcpy(&out->v6.sin6_port, bytes + 1, 2);
        memcpy(&out->v6.sin6_addr, bytes + 3, 16);
    } else {
        out->v4.sin_family = AF_INET;
        memcpy(&out->v4.sin_port, bytes + 1, 2);
        memcpy(&out->v4.sin_addr, bytes + 3, 4);
    }
    return true;
}

static enum err cookie(const struct flow_dialog *d, enum flow_side side, const unsigned char *bytes, size_t n,
                       char out[SIP_COOKIE_TEXT])
{
    return sip_flow_cookie(d->key, d->call_id, d->caller_tag, slice_of(flow_token_param(side)),
                           (struct slice){(const char *)bytes, n}, out);
}

enum err flow_token_make(const struct flow_dialog *d, enum flow_side side, const struct flow *flow,
                         char out[FLOW_TOKEN_TEXT])
{
    unsigned char bytes[V6_BYTES];
    size_t n = encode(flow, bytes);
    hex_encode(bytes, n, out);
    return cookie(d, side, bytes, n, out + 2 * n);
}

bool flow_token_read(const struct flow_dialog *d, enum flow_side side, struct slice token,
                     enum plan_transport *transport, union sock_address *address)
{
    unsigned char bytes[V6_BYTES];
    char own[SIP_COOKIE_TEXT];
    size_t n = token.n == 2 * V4_BYTES + SIP_COOKIE_TEXT - 1 ? V4_BYTES : V6_BYTES;
    if (token.n != 2 * n + SIP_COOKIE_TEXT - 1) return false;
    if (hex_decode((struct slice){token.p, 2 * n}, bytes, n) != ERR_OK) return false;
    if (cookie(d, side, bytes, n, own) != ERR_OK || !secret_equal(own, token.p + 2 * n, SIP_COOKIE_TEXT - 1))
        return false;
    return decode(bytes, n, transport, address);
}
