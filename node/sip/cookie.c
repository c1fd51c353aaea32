/* Keyed hashes over length-prefixed fields, so that no two lists of fields look the same to the hash. Contract:
 * cookie.h. */
#include "node/sip/cookie.h"

#define COOKIE_BYTES ((SIP_COOKIE_TEXT - 1) / 2)

enum err sip_keyed_hash(struct mac *key, const struct slice *fields, size_t count, unsigned char out[HASH_SHA256_LEN])
{
    unsigned char lengths[SIP_KEYED_FIELDS][4];
    struct slice parts[2 * SIP_KEYED_FIELDS];
    ASSERT(count <= SIP_KEYED_FIELDS);
    for (size_t i = 0; i < count; i++) {
        for (unsigned b = 0; b < 4; b++)
            lengths[i][b] = (unsigned char)(fields[i].n >> (8 * (3 - b)));
        parts[2 * i] = (struct slice){(const char *)lengths[i], 4};
        parts[2 * i + 1] = fields[i];
    }
    return mac_parts(key, parts, 2 * count, out);
}

static enum err cookie_of(struct mac *key, const struct slice *fields, size_t count, char out[SIP_COOKIE_TEXT])
{
    unsigned char full[HASH_SHA256_LEN];
    enum err e = sip_keyed_hash(key, fields, count, full);
    if (e == ERR_OK) hex_encode(full, COOKIE_BYTES, out);
    return e;
}

static bool cookie_fits(struct slice cookie, const char own[SIP_COOKIE_TEXT])
{
    return cookie.n == SIP_COOKIE_TEXT - 1 && secret_equal(cookie.p, own, SIP_COOKIE_TEXT - 1);
}

/* Of a call that hides nothing the sides are no field: its cookie is what it was before they were one. */
enum err sip_dialog_cookie(struct mac *key, struct slice call_id, struct slice caller_tag, unsigned hidden_sides,
                           char out[SIP_COOKIE_TEXT])
{
    const char sides = (char)('0' + hidden_sides);
    struct slice fields[] = {SLICE("dialog"), call_id, caller_tag, {&sides, 1}};
    ASSERT(hidden_sides <= 3);
    return cookie_of(key, fields, hidden_sides > 0 ? 4 : 3, out);
}

bool sip_dialog_cookie_ok(struct mac *key, struct slice cookie, struct slice call_id, struct slice from_tag,
                          struct slice to_tag, unsigned hidden_sides)
{
    char own[SIP_COOKIE_TEXT];
    if (cookie.n != SIP_COOKIE_TEXT - 1) return false; /* spares the hash */
    if (sip_dialog_cookie(key, call_id, from_tag, hidden_sides, own) == ERR_OK && cookie_fits(cookie, own)) return true;
    return to_tag.n > 0 && sip_dialog_cookie(key, call_id, to_tag, hidden_sides, own) == ERR_OK &&
           cookie_fits(cookie, own);
}

enum err sip_transit_cookie(struct mac *key, struct slice call_id, struct slice from_tag, struct slice target,
                            struct slice number, char out[SIP_COOKIE_TEXT])
{
    struct slice fields[] = {SLICE("transit"), call_id, from_tag, target, number};
    return cookie_of(key, fields, 5, out);
}

bool sip_transit_cookie_ok(struct mac *key, struct slice cookie, struct slice call_id, struct slice from_tag,
                           struct slice target, struct slice number)
{
    char own[SIP_COOKIE_TEXT];
    if (cookie.n != SIP_COOKIE_TEXT - 1) return false;
    return sip_transit_cookie(key, call_id, from_tag, target, number, own) == ERR_OK && cookie_fits(cookie, own);
}

enum err sip_flow_cookie(struct mac *key, struct slice call_id, struct slice caller_tag, struct slice side,
                         struct slice flow, char out[SIP_COOKIE_TEXT])
{
    struct slice fields[] = {SLICE("flow"), call_id, caller_tag, side, flow};
    return cookie_of(key, fields, 5, out);
}
