/* value: single header values and URIs, parsed through libosip2 on demand, with what it lets through refused afterwards.
 *
 * Results are plain slices into the text given or copies in the arena; no libosip2 type leaves this file's implementation.
 * Bounds before parsing: 4 KB per value, 32 parameters. */
#ifndef TANDEM_SIP_VALUE_H
#define TANDEM_SIP_VALUE_H

#include "node/sip/view.h"

struct sip_param {
    struct slice name;
    struct slice value; /* {NULL, 0} when the parameter has none */
};

#define SIP_PARAMS_MAX 32

struct sip_uri {
    struct slice scheme; /* "sip" "sips" "tel" ..., lower case */
    struct slice user;   /* as written, still escaped; "" when absent */
    struct slice host;   /* without the brackets of IPv6; "" for tel */
    bool host_is_v6;
    uint16_t port; /* 0 when absent */
    struct sip_param params[SIP_PARAMS_MAX];
    size_t param_count;
    struct slice number; /* tel: the number; sip: user without its parameters */
};
/* sip, sips, tel: checked; any other scheme: only scheme is set, ERR_OK. ERR_SYNTAX, ERR_LIMIT, ERR_NOMEM. */
MUST_CHECK enum err sip_uri_parse(struct arena *arena, struct slice text, struct sip_uri *uri);
/* {NULL,0} when absent; name in any case. A parameter without value gives {"", 0} with p not NULL. */
struct slice sip_uri_param(const struct sip_uri *uri, const char *name);

struct sip_name_addr { /* From, To, Contact, Route, Record-Route, Path */
    struct slice display;
    struct slice uri_text;
    struct sip_uri uri;
    struct sip_param params[SIP_PARAMS_MAX];
    size_t param_count;
    bool star; /* Contact: * */
};
MUST_CHECK enum err sip_name_addr_parse(struct arena *arena, struct slice text, struct sip_name_addr *out);
struct slice sip_name_addr_param(const struct sip_name_addr *a, const char *name);

/* Splits a comma-separated header value with respect for quotes and angle brackets: the next value, or false at the end. */
bool sip_value_next(struct slice *rest, struct slice *value);

struct sip_credentials { /* Authorization, Proxy-Authorization: Digest */
    struct slice username, realm, nonce, uri, response, algorithm, cnonce, opaque, qop, nc; /* unquoted */
};
MUST_CHECK enum err sip_credentials_parse(struct arena *arena, struct slice text, struct sip_credentials *out);

#endif
