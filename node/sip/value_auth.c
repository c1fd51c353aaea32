/* Credentials and challenges of digest authentication. Contract: value.h.
 *
 * libosip2 takes them apart; before that the text is bounded and its quotes are checked, afterwards what must be there
 * is. Plain credentials, which nearly all are, leave nothing to take apart: each parameter once, quoted where the
 * standard quotes it, no escapes and no folds. The scanner reads these, since every REGISTER brings some. */
#include "node/sip/value.h"

#include <stddef.h>

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

static bool complete(const struct sip_credentials *c)
{
    return c->username.n > 0 && c->realm.n > 0 && c->nonce.n > 0 && c->uri.n > 0 && c->response.n > 0;
}

/* Where a parameter of credentials goes, and whether it stands in quotes (RFC 7616 §3.4); NULL: it is another one. */
static struct slice *place_of(struct sip_credentials *c, struct slice name, bool *quoted)
{
    static const struct {
        struct slice name;
        size_t offset;
        bool quoted;
    } places[] = {{{"username", 8}, offsetof(struct sip_credentials, username), true},
                  {{"realm", 5}, offsetof(struct sip_credentials, realm), true},
                  {{"nonce", 5}, offsetof(struct sip_credentials, nonce), true},
                  {{"uri", 3}, offsetof(struct sip_credentials, uri), true},
                  {{"response", 8}, offsetof(struct sip_credentials, response), true},
                  {{"algorithm", 9}, offsetof(struct sip_credentials, algorithm), false},
                  {{"cnonce", 6}, offsetof(struct sip_credentials, cnonce), true},
                  {{"opaque", 6}, offsetof(struct sip_credentials, opaque), true},
                  {{"qop", 3}, offsetof(struct sip_credentials, qop), false},
                  {{"nc", 2}, offsetof(struct sip_credentials, nc), false}};
    for (size_t i = 0; i < sizeof places / sizeof places[0]; i++) {
        if (name.n != places[i].name.n || !slice_eq_nocase(name, places[i].name)) continue;
        *quoted = places[i].quoted;
        return (struct slice *)(void *)((char *)c + places[i].offset);
    }
    return NULL;
}

/* Plain credentials, as slices of text; false: they are not plain, whether they are good or not. */
static bool read_plain(struct slice text, struct sip_credentials *out)
{
    static const char special[] = {'\\', '\r', '\n', '\t', '\0'};
    const char *end = text.p + text.n;
    struct sip_credentials c = {0};
    if (text.n > SIP_VALUE_MAX) return false;
    for (size_t i = 0; i < sizeof special; i++) {
        if (text.n > 0 && memchr(text.p, special[i], text.n) != NULL) return false;
    }
    const char *p = sip_skip(text.p, end, SIP_CH_TOKEN);
    if (!slice_eq_nocase((struct slice){text.p, (size_t)(p - text.p)}, SLICE("Digest"))) return false;
    if (p == end || *p != ' ') return false;
    for (;;) {
        struct sip_param_span span;
        bool quoted = false;
        p = sip_scan_param(p, end, &span);
        struct slice *place = p != NULL ? place_of(&c, span.name, &quoted) : NULL;
        if (place == NULL || place->p != NULL || span.value.n == 0) return false;
        struct slice inner = sip_unquote(span.value);
        if (inner.n == 0 || (inner.n < span.value.n) != quoted) return false;
        *place = inner;
        if (p == end) break;
        if (*p++ != ',') return false;
    }
    if (!complete(&c)) return false;
    *out = c;
    return true;
}

enum err sip_credentials_parse(struct arena *arena, struct slice text, struct sip_credentials *out)
{
    char copy[SIP_VALUE_MAX + 1];
    osip_authorization_t *read = NULL;
    struct sip_credentials c = {0};
    if (read_plain(text, out)) return ERR_OK;
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
    } else if (!complete(&c)) {
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
