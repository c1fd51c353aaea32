/* value: single header values and URIs, parsed through libosip2 on demand, with what it lets through refused
 * afterwards.
 *
 * Results are plain slices into the text given or copies in the arena; no libosip2 type leaves this file's
 * implementation. Bounds before parsing: 4 KB per value, 32 parameters. */
#ifndef TANDEM_SIP_VALUE_H
#define TANDEM_SIP_VALUE_H

#include "node/sip/view.h"

struct sip_param {
    struct slice name;
    struct slice value; /* {NULL, 0} when the parameter has none */
};

#define SIP_PARAMS_MAX 32
#define SIP_VALUE_MAX 4096

/* Once, at the start of the program: keeps libosip2 from printing. */
void sip_library_init(void);

struct sip_uri {
    struct slice scheme; /* "sip" "sips" "tel" ..., lower case */
    struct slice user;   /* as written, still escaped; "" when absent */
    struct slice host;   /* without the brackets of IPv6; "" for tel */
    bool host_is_v6;
    uint16_t port; /* 0 when absent */
    struct sip_param params[SIP_PARAMS_MAX];
    size_t param_count;
    /* tel: the number without its visual separators; sip: user without its parameters and with its escapes resolved (as
     * written when they hide control characters). What a plan is asked with. */
    struct slice number;
};
/* Parameter values come with their escapes resolved; escaped control characters in a parameter are ERR_SYNTAX. Headers
 * ("?...") are not looked into. Slices point into text, the arena, or constants. */
/* sip, sips, tel: checked; any other scheme: only scheme is set, ERR_OK. ERR_SYNTAX, ERR_LIMIT, ERR_NOMEM. */
MUST_CHECK enum err sip_uri_parse(struct arena *arena, struct slice text, struct sip_uri *uri);
/* sip_uri_parse for the Request-URI, without another look at its characters. ERR_SYNTAX also for a response and where
 * the URI is the fault. */
MUST_CHECK enum err sip_request_uri_parse(struct arena *arena, const struct sip_view *v, struct sip_uri *uri);
/* {NULL,0} when absent; name in any case. A parameter without value gives {"", 0} with p not NULL. */
struct slice sip_uri_param(const struct sip_uri *uri, const char *name);

struct sip_name_addr { /* From, To, Contact, Route, Record-Route, Path */
    struct slice display;
    struct slice uri_text;
    struct sip_uri uri;
    struct sip_param params[SIP_PARAMS_MAX]; /* of the header, not of the URI; quotes kept */
    size_t param_count;
    bool star; /* Contact: * */
};
/* display keeps its quotes. */
MUST_CHECK enum err sip_name_addr_parse(struct arena *arena, struct slice text, struct sip_name_addr *out);
struct slice sip_name_addr_param(const struct sip_name_addr *a, const char *name);

/* The value without its quotes, escapes inside left as they are. */
struct slice sip_unquote(struct slice value);

/* Seconds; a Retry-After may go on behind them: "120 (in a meeting);duration=60". 0: no number; UINT32_MAX: more. */
uint32_t sip_seconds(struct slice text);

/* Splits a comma-separated header value with respect for quotes and angle brackets: the next value, or false at the
 * end. */
bool sip_value_next(struct slice *rest, struct slice *value);

struct sip_credentials { /* Authorization, Proxy-Authorization: Digest */
    struct slice username, realm, nonce, uri, response, algorithm, cnonce, opaque, qop, nc; /* unquoted */
};
/* ERR_SYNTAX for another scheme than Digest and when username, realm, nonce, uri or response is missing or empty. What
 * is optional and absent has p NULL. Quoted pairs inside are left as written, which is what digests are computed over.
 */
MUST_CHECK enum err sip_credentials_parse(struct arena *arena, struct slice text, struct sip_credentials *out);

struct sip_challenge {                                 /* WWW-Authenticate, Proxy-Authenticate: Digest */
    struct slice realm, nonce, algorithm, qop, opaque; /* unquoted; p NULL when absent */
    bool stale;
};
/* One challenge per header line. ERR_SYNTAX for another scheme and without realm or nonce. */
MUST_CHECK enum err sip_challenge_parse(struct arena *arena, struct slice text, struct sip_challenge *out);

#endif
