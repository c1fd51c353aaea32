/* Credentials and challenges of digest authentication. Contract: value.h.
 *
 * libosip2 takes them apart; before that the text is bounded and its quotes are checked, afterwards what must be there
 * is. */
#include "node/sip/value.h"

#include <osipparser2/headers/osip_authorization.h>
#include <osipparser2/headers/osip_www_authenticate.h>

#include "node/sip/scan.h"
#include "node/sip/value_text.h"

#define AUTH_PARAMS_MAX 32

/* scheme, then name = value pairs with commas between. */
static enum err check_shape(struct slice text)
{
    struct slice trimmed = slice_trim(text);
    const char *end = trimmed.p + trimmed.n;
    const char *p = sip_skip(trimmed.p, end, SIP_CH_TOKEN);
    if (!slice_eq_nocase((struct slice){trimmed.p, (size_t)(p - trimmed.p)}, SLICE("Digest"))) return ERR_SYNTAX;
    if (p == end || !sip_char_is(*p, SIP_CH_SPACE)) return ERR_SYNTAX;
    for (unsigned count = 0;; count++) {
        struct sip_param_span span;
        p = sip_scan_param(p, end, &span);
        if (p == NULL || span.value.p == NULL) return ERR_SYNTAX;
        if (count == AUTH_PARAMS_MAX) return ERR_LIMIT;
        if (p == end) return ERR_OK;
        if (*p++ != ',') return ERR_SYNTAX;
    }
}

static bool keep(struct arena *arena, const char *text, struct slice *out)
{
    if (!sip_value_keep(arena, text, out)) return false;
    *out = sip_unquote(*out);
    return true;
}

enum err sip_credentials_parse(struct arena *arena, struct slice text, struct sip_credentials *out)
{
    char copy[SIP_VALUE_MAX + 1];
    osip_authorization_t *read = NULL;
    struct sip_credentials c = {0};
    enum err e = sip_value_text(text, copy);
    if (e == ERR_OK) e = check_shape(text);
    if (e == ERR_OK) e = sip_value_err(osip_authorization_init(&read));
    if (e == ERR_OK) e = sip_value_err(osip_authorization_parse(read, copy));
    if (e != ERR_OK) goto out;
    bool kept = keep(arena, read->username, &c.username) && keep(arena, read->realm, &c.realm) &&
                keep(arena, read->nonce, &c.nonce) && keep(arena, read->uri, &c.uri) &&
                keep(arena, read->response, &c.response) && keep(arena, read->algorithm, &c.algorithm) &&
                keep(arena, read->cnonce, &c.cnonce) && keep(arena, read->opaque, &c.opaque) &&
                keep(arena, read->message_qop, &c.qop) && keep(arena, read->nonce_count, &c.nc);
    if (!kept) {
        e = ERR_NOMEM;
    } else if (c.username.n == 0 || c.realm.n == 0 || c.nonce.n == 0 || c.uri.n == 0 || c.response.n == 0) {
        e = ERR_SYNTAX;
    } else {
        *out = c;
    }
out:
    osip_authorization_free(read);
    return e;
}

enum err sip_challenge_parse(struct arena *arena, struct slice text, struct sip_challenge *out)
{
    char copy[SIP_VALUE_MAX + 1];
    osip_www_authenticate_t *read = NULL;
    struct sip_challenge c = {0};
    struct slice stale = SLICE_NONE;
    enum err e = sip_value_text(text, copy);
    if (e == ERR_OK) e = check_shape(text);
    if (e == ERR_OK) e = sip_value_err(osip_www_authenticate_init(&read));
    if (e == ERR_OK) e = sip_value_err(osip_www_authenticate_parse(read, copy));
    if (e != ERR_OK) goto out;
    bool kept = keep(arena, read->realm, &c.realm) && keep(arena, read->nonce, &c.nonce) &&
                keep(arena, read->algorithm, &c.algorithm) && keep(arena, read->qop_options, &c.qop) &&
                keep(arena, read->opaque, &c.opaque) && keep(arena, read->stale, &stale);
    if (!kept) {
        e = ERR_NOMEM;
    } else if (read->realm == NULL || c.nonce.n == 0) {
        e = ERR_SYNTAX;
    } else {
        c.stale = slice_eq_nocase(stale, SLICE("true"));
        *out = c;
    }
out:
    osip_www_authenticate_free(read);
    return e;
}
