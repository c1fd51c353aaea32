/* Challenges, verification, and the client's answer. Contract: digest.h.
 *
 * A nonce is 16 hexadecimal digits of milliseconds and 32 of HMAC-SHA-256 over these, the client and the realm. Since
 * every challenge offers qop, credentials without qop=auth, cnonce and nc are not accepted: their hash could be
 * replayed for another request count. */
#include "node/sip/digest.h"

#define HEAD_BYTES 12 /* the time, 8, and the maker, 4 */
#define HEAD_DIGITS (2 * HEAD_BYTES)
#define TIME_DIGITS 16
#define MAC_BYTES 16
#define NONCE_LEN (HEAD_DIGITS + 2 * MAC_BYTES)
#define HASH_MAX 32

static const char *const algorithm_names[HASH_ALGORITHM_COUNT] = {
    [HASH_SHA256] = "SHA-256", [HASH_SHA512_256] = "SHA-512-256", [HASH_MD5] = "MD5"};

/* ---- nonces ---- */

/* The client's length is in the hash, so that no other client and realm give the same bytes. With a realm of up to 13
 * characters it is one block of the hash. */
static enum err nonce_mac(struct mac *key, const struct digest_nonces *n, const unsigned char *head,
                          char out[2 * MAC_BYTES + 1])
{
    unsigned char full[HASH_SHA256_LEN];
    char client_len = (char)n->client.n;
    struct slice parts[] = {SLICE("nonce"), {(const char *)head, HEAD_BYTES}, {&client_len, 1}, n->client, n->realm};
    enum err e = mac_parts(key, parts, 5, full);
    if (e == ERR_OK) hex_encode(full, MAC_BYTES, out);
    return e;
}

/* The slot of such nonces; NULL: they are not kept. Two nonces in one slot: the earlier is worked out again. */
static struct digest_kept_nonce *slot_of(const struct digest_nonces *n, const char *nonce)
{
    _Static_assert(sizeof n->kept->nonces[0].text == NONCE_LEN, "a nonce fits");
    if (n->kept == NULL || n->client.n > DIGEST_KEPT_CLIENT || n->realm.n > DIGEST_KEPT_TEXT) return NULL;
    size_t h = 0;
    for (size_t i = 0; i < n->client.n; i++)
        h = h * 31 + (unsigned char)n->client.p[i];
    for (size_t i = TIME_DIGITS - 4; i < TIME_DIGITS; i++)
        h = h * 31 + (unsigned char)nonce[i];
    return &n->kept->nonces[h % DIGEST_KEPT_NONCES];
}

static void keep_nonce(const struct digest_nonces *n, const char *nonce)
{
    struct digest_kept_nonce *k = slot_of(n, nonce);
    if (k == NULL) return;
    memcpy(k->text, nonce, NONCE_LEN);
    memcpy(k->client, n->client.p, n->client.n);
    memcpy(k->realm, n->realm.p, n->realm.n);
    k->client_len = (uint8_t)n->client.n;
    k->realm_len = (uint8_t)n->realm.n;
}

/* Whether this very nonce was made here, for this client and realm. */
static bool kept_nonce(const struct digest_nonces *n, struct slice nonce)
{
    const struct digest_kept_nonce *k = slot_of(n, nonce.p);
    return k != NULL && slice_eq((struct slice){k->client, k->client_len}, n->client) &&
           slice_eq((struct slice){k->realm, k->realm_len}, n->realm) && secret_equal(k->text, nonce.p, NONCE_LEN);
}

static void put_bytes(uint64_t number, unsigned char *out, unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        out[i] = (unsigned char)(number >> (8 * (count - 1 - i)));
}

static uint64_t number_of(const unsigned char *bytes, unsigned count)
{
    uint64_t number = 0;
    for (unsigned i = 0; i < count; i++)
        number = number << 8 | bytes[i];
    return number;
}

static enum err nonce_make(const struct digest_nonces *n, struct wall now, char out[NONCE_LEN + 1])
{
    unsigned char head[HEAD_BYTES];
    put_bytes((uint64_t)now.ms, head, 8);
    put_bytes(n->maker, head + 8, 4);
    hex_encode(head, sizeof head, out);
    enum err e = nonce_mac(n->key, n, head, out + HEAD_DIGITS);
    if (e == ERR_OK) keep_nonce(n, out);
    return e;
}

static bool head_read(struct slice nonce, unsigned char head[HEAD_BYTES])
{
    return nonce.n == NONCE_LEN && hex_decode((struct slice){nonce.p, HEAD_DIGITS}, head, HEAD_BYTES) == ERR_OK;
}

static bool made_with(struct mac *key, const struct digest_nonces *n, const unsigned char *head, struct slice nonce)
{
    char own[2 * MAC_BYTES + 1];
    return key != NULL && nonce_mac(key, n, head, own) == ERR_OK &&
           secret_equal(own, nonce.p + HEAD_DIGITS, 2 * MAC_BYTES);
}

static bool nonce_is_ours(const struct digest_nonces *n, struct slice nonce, struct wall *made)
{
    unsigned char head[HEAD_BYTES];
    if (!head_read(nonce, head)) return false;
    if (!kept_nonce(n, nonce) && !made_with(n->key, n, head, nonce) && !made_with(n->other, n, head, nonce))
        return false;
    made->ms = (int64_t)number_of(head, 8);
    return true;
}

enum err digest_nonce_read(struct slice nonce, struct digest_nonce *out)
{
    unsigned char head[HEAD_BYTES];
    if (!head_read(nonce, head)) return ERR_SYNTAX;
    *out = (struct digest_nonce){.made = {(int64_t)number_of(head, 8)}, .maker = (uint32_t)number_of(head + 8, 4)};
    return ERR_OK;
}

/* A nonce from a node whose clock is ahead is as good as one that is late. */
static bool nonce_fresh(struct wall made, struct wall now)
{
    uint64_t age = made.ms < now.ms ? (uint64_t)now.ms - (uint64_t)made.ms : (uint64_t)made.ms - (uint64_t)now.ms;
    return age <= SIP_NONCE_LIFE_MS;
}

/* ---- server ---- */

/* May stand between quotes as it is. */
static bool quotable(struct slice s)
{
    for (size_t i = 0; i < s.n; i++) {
        unsigned char c = (unsigned char)s.p[i];
        if (c < ' ' || c == 0x7f || c == '"' || c == '\\') return false;
    }
    return true;
}

struct digest_offer digest_offer_all(void)
{
    return (struct digest_offer){{HASH_SHA256, HASH_SHA512_256, HASH_MD5}, 3};
}

enum err digest_challenge(const struct digest_nonces *nonces, const struct digest_offer *offer, bool proxy, bool stale,
                          struct wall now, struct buf *out)
{
    char nonce[NONCE_LEN + 1];
    size_t start = out->n;
    if (!quotable(nonces->realm)) return ERR_SYNTAX;
    enum err e = nonce_make(nonces, now, nonce);
    if (e != ERR_OK) return e;
    for (size_t i = 0; i < offer->count; i++) {
        buf_text(out, proxy ? "Proxy-Authenticate: Digest realm=\"" : "WWW-Authenticate: Digest realm=\"");
        buf_slice(out, nonces->realm);
        buf_text(out, "\", nonce=\"");
        buf_text(out, nonce);
        buf_text(out, "\", algorithm=");
        buf_text(out, algorithm_names[offer->algorithms[i]]);
        buf_text(out, stale ? ", qop=\"auth\", stale=true\r\n" : ", qop=\"auth\"\r\n");
    }
    if (!out->failed) return ERR_OK;
    out->n = start;
    return ERR_NOMEM;
}

enum err digest_algorithm_named(struct slice name, enum hash_algorithm *out)
{
    for (int i = 0; i < HASH_ALGORITHM_COUNT; i++) {
        if (!slice_eq_nocase(name, slice_of(algorithm_names[i]))) continue;
        *out = (enum hash_algorithm)i;
        return ERR_OK;
    }
    return ERR_SYNTAX;
}

static enum err algorithm_named(struct slice name, enum hash_algorithm *out)
{
    if (name.n > 0) return digest_algorithm_named(name, out);
    *out = HASH_MD5; /* RFC 7616 §3.3 */
    return ERR_OK;
}

enum err digest_algorithm(const struct sip_credentials *c, enum hash_algorithm *out)
{
    return algorithm_named(c->algorithm, out);
}

struct request_part {
    struct slice method, uri, nonce, nc, cnonce, qop; /* without qop: the form of RFC 2069 */
};

static enum err hash_with(struct hasher *h, enum hash_algorithm a, const struct slice *parts, size_t count,
                          unsigned char *out)
{
    return h != NULL ? hasher_parts(h, parts, count, out) : hash_parts(a, parts, count, out);
}

static bool kept_request(const struct digest_kept *k, enum hash_algorithm a, const struct request_part *r)
{
    return k != NULL && k->method_len > 0 && k->algorithm == a &&
           slice_eq((struct slice){k->method, k->method_len}, r->method) &&
           slice_eq((struct slice){k->uri, k->uri_len}, r->uri);
}

static void keep_request(struct digest_kept *k, enum hash_algorithm a, const struct request_part *r,
                         const unsigned char ha2[HASH_MAX])
{
    if (k == NULL || r->method.n > sizeof k->method || r->uri.n > sizeof k->uri) return;
    k->algorithm = a;
    memcpy(k->method, r->method.p, r->method.n);
    memcpy(k->uri, r->uri.p, r->uri.n);
    k->method_len = (uint8_t)r->method.n;
    k->uri_len = (uint8_t)r->uri.n;
    memcpy(k->request_hash, ha2, sizeof k->request_hash);
}

/* The hash of method and URI. h is of the algorithm, or NULL. */
static enum err request_hash(struct hasher *h, struct digest_kept *k, enum hash_algorithm a,
                             const struct request_part *r, unsigned char out[HASH_MAX])
{
    struct slice parts[] = {r->method, SLICE(":"), r->uri};
    if (kept_request(k, a, r)) {
        memcpy(out, k->request_hash, HASH_MAX);
        return ERR_OK;
    }
    enum err e = hash_with(h, a, parts, 3, out);
    if (e == ERR_OK) keep_request(k, a, r, out);
    return e;
}

/* h is of the algorithm, or NULL. */
static enum err response_hash(struct hasher *h, struct digest_kept *kept, enum hash_algorithm a,
                              const unsigned char *ha1, const struct request_part *r, unsigned char out[HASH_MAX])
{
    const struct slice colon = SLICE(":");
    unsigned char ha2[HASH_MAX] = {0};
    char hex1[2 * HASH_MAX + 1];
    char hex2[2 * HASH_MAX + 1];
    enum err e = request_hash(h, kept, a, r, ha2);
    if (e != ERR_OK) return e;
    hex_encode(ha1, hash_len(a), hex1);
    hex_encode(ha2, hash_len(a), hex2);
    struct slice h1 = {hex1, 2 * hash_len(a)};
    struct slice h2 = {hex2, 2 * hash_len(a)};
    struct slice with_qop[] = {h1, colon, r->nonce, colon, r->nc, colon, r->cnonce, colon, r->qop, colon, h2};
    struct slice without[] = {h1, colon, r->nonce, colon, h2};
    e = r->qop.n > 0 ? hash_with(h, a, with_qop, 11, out) : hash_with(h, a, without, 5, out);
    secret_wipe(hex1, sizeof hex1);
    return e;
}

static bool nc_ok(struct slice nc)
{
    unsigned char bytes[4];
    return hex_decode(nc, bytes, sizeof bytes) == ERR_OK;
}

enum digest_verdict digest_verify(const struct digest_nonces *nonces, const struct sip_credentials *c,
                                  const unsigned char *ha1, struct slice method, struct wall now)
{
    enum hash_algorithm a;
    struct wall made = {0};
    unsigned char own[HASH_MAX];
    unsigned char theirs[HASH_MAX];
    if (digest_algorithm(c, &a) != ERR_OK) return DIGEST_UNSUPPORTED;
    if (!slice_eq_nocase(c->qop, SLICE("auth")) || c->cnonce.n == 0 || !nc_ok(c->nc)) return DIGEST_UNSUPPORTED;
    if (!slice_eq(c->realm, nonces->realm) || !nonce_is_ours(nonces, c->nonce, &made)) return DIGEST_BAD_NONCE;
    if (!nonce_fresh(made, now)) return DIGEST_STALE;
    struct request_part r = {method, c->uri, c->nonce, c->nc, c->cnonce, c->qop};
    if (response_hash(nonces->hashers[a], nonces->kept, a, ha1, &r, own) != ERR_OK) return DIGEST_UNSUPPORTED;
    if (hex_decode(c->response, theirs, hash_len(a)) != ERR_OK) return DIGEST_WRONG;
    return secret_equal(own, theirs, hash_len(a)) ? DIGEST_OK : DIGEST_WRONG;
}

/* ---- client ---- */

static bool offers_auth(struct slice options)
{
    while (options.n > 0) {
        struct slice one;
        options = slice_cut(options, ',', &one);
        if (slice_eq_nocase(slice_trim(one), SLICE("auth"))) return true;
    }
    return false;
}

static void write_answer(const struct sip_challenge *c, struct slice user, const struct request_part *r,
                         const char *response, struct buf *out)
{
    buf_printf(out, "Digest username=\"%.*s\", realm=\"%.*s\", nonce=\"%.*s\", uri=\"%.*s\", response=\"%s\"",
               SLICE_ARG(user), SLICE_ARG(c->realm), SLICE_ARG(c->nonce), SLICE_ARG(r->uri), response);
    if (c->algorithm.n > 0) buf_printf(out, ", algorithm=%.*s", SLICE_ARG(c->algorithm));
    if (c->opaque.p != NULL) buf_printf(out, ", opaque=\"%.*s\"", SLICE_ARG(c->opaque));
    if (r->qop.n > 0) buf_printf(out, ", qop=auth, nc=%.*s, cnonce=\"%.*s\"", SLICE_ARG(r->nc), SLICE_ARG(r->cnonce));
}

enum err digest_answer(struct arena *arena, struct slice challenge, struct slice user, struct slice password,
                       struct slice method, struct slice uri, struct slice cnonce, uint32_t nc, struct buf *out)
{
    const struct slice colon = SLICE(":");
    struct sip_challenge c;
    enum hash_algorithm a;
    unsigned char ha1[HASH_MAX];
    unsigned char response[HASH_MAX];
    char response_hex[2 * HASH_MAX + 1];
    char nc_hex[2 * sizeof nc + 1];
    unsigned char nc_bytes[] = {(unsigned char)(nc >> 24), (unsigned char)(nc >> 16), (unsigned char)(nc >> 8),
                                (unsigned char)nc};
    size_t start = out->n;
    enum err e = sip_challenge_parse(arena, challenge, &c);
    if (e == ERR_OK) e = algorithm_named(c.algorithm, &a);
    if (e != ERR_OK) return e;
    if (!quotable(user) || !quotable(uri) || !quotable(cnonce)) return ERR_SYNTAX;
    if (c.qop.n > 0 && !offers_auth(c.qop)) return ERR_SYNTAX;
    hex_encode(nc_bytes, sizeof nc_bytes, nc_hex);
    struct slice identity[] = {user, colon, c.realm, colon, password};
    struct request_part r = {method, uri, c.nonce, slice_of(nc_hex), cnonce, c.qop.n > 0 ? SLICE("auth") : SLICE_NONE};
    e = hash_parts(a, identity, 5, ha1);
    if (e == ERR_OK) e = response_hash(NULL, NULL, a, ha1, &r, response);
    secret_wipe(ha1, sizeof ha1);
    if (e != ERR_OK) return e;
    hex_encode(response, hash_len(a), response_hex);
    write_answer(&c, user, &r, response_hex, out);
    if (!out->failed) return ERR_OK;
    out->n = start;
    return ERR_NOMEM;
}
