/* source: who sent a request, as far as the request itself proves it: digest credentials of an account.
 *
 * The trunk by address is the plan's business (hooks.source), the member by transit cookie the proxy's. All refusals
 * look the same from outside: an unknown account, a disabled one and a wrong password cost the same work and get the
 * same answer; the counters tell them apart. Specification: RFC 3261 §22, RFC 7616, RFC 8760. */
#include "node/edge/edge_internal.h"
#include "node/sip/digest.h"

/* Credentials that name our realm, of one request: a client sends one, and reading each costs as much as a datagram. */
#define CREDENTIALS_MAX 4

/* The nonce count as a number; false when it is no hexadecimal of 8 digits. Without qop there is none: 0. */
static bool nonce_count(const struct sip_credentials *c, uint32_t *nc)
{
    unsigned char bytes[4];
    *nc = 0;
    if (c->qop.n == 0) return true;
    if (hex_decode(c->nc, bytes, sizeof bytes) != ERR_OK) return false;
    for (size_t i = 0; i < sizeof bytes; i++)
        *nc = *nc << 8 | bytes[i];
    return *nc > 0;
}

/* A nonce may be shared (those of one millisecond are equal), a client's nonce and cnonce may not. */
static uint64_t session_hash(const struct edge *e, const struct sip_credentials *c)
{
    const struct map *m = &e->tx.servers; /* for its secret seed */
    return (map_hash(m, c->nonce) * 31 + map_hash(m, c->username)) * 31 + map_hash(m, c->cnonce);
}

static const unsigned char *stored_hash(const struct plan_secret *s, enum hash_algorithm a)
{
    switch (a) {
    case HASH_MD5: return s->md5;
    case HASH_SHA512_256: return s->sha512_256;
    case HASH_SHA256:
    case HASH_ALGORITHM_COUNT: break;
    }
    return s->sha256;
}

static enum auth_verdict refuse(struct edge *e, enum edge_counter why)
{
    edge_count(e, why);
    return AUTH_REFUSED;
}

static struct digest_offer offer_of(const struct edge *e)
{
    return e->o.hooks.digests != NULL ? e->o.hooks.digests(e->o.hooks.ctx) : digest_offer_all();
}

/* An algorithm that is not offered is not taken either: what the operator switched off stays off. */
static bool offered(const struct edge *e, enum hash_algorithm a)
{
    struct digest_offer offer = offer_of(e);
    for (size_t i = 0; i < offer.count; i++) {
        if (offer.algorithms[i] == a) return true;
    }
    return false;
}

static enum auth_verdict judge(struct edge *e, struct arena *arena, const struct sip_view *v,
                               const struct sip_credentials *c, struct plan_account *account)
{
    static const struct plan_secret nobody = {0};
    enum hash_algorithm algorithm = HASH_SHA256;
    uint32_t nc = 0;
    if (digest_algorithm(c, &algorithm) != ERR_OK || !offered(e, algorithm) || !nonce_count(c, &nc)) {
        return refuse(e, EC_auth_unusable);
    }
    bool known = e->o.hooks.account(e->o.hooks.ctx, arena, c->username, account) == ERR_OK && account->secret.set;
    const struct plan_secret *secret = known ? &account->secret : &nobody;
    enum digest_verdict verdict =
        digest_verify(e->nonce_mac, c, stored_hash(secret, algorithm), edge_realm(e), v->method_text, edge_wall());
    switch (verdict) {
    case DIGEST_STALE: edge_count(e, EC_auth_stale); return AUTH_STALE;
    case DIGEST_BAD_NONCE: edge_count(e, EC_auth_stale); return AUTH_NONE;
    case DIGEST_UNSUPPORTED: return refuse(e, EC_auth_unusable);
    case DIGEST_OK:
    case DIGEST_WRONG: break;
    }
    if (!known) return refuse(e, EC_auth_unknown_account);
    if (verdict != DIGEST_OK) return refuse(e, EC_auth_wrong);
    if (account->disabled) return refuse(e, EC_auth_disabled);
    if (!edge_replay_fresh(&e->replay, session_hash(e, c), nc)) {
        edge_count(e, EC_auth_replayed);
        return AUTH_STALE;
    }
    edge_count(e, EC_auth_ok);
    return AUTH_OK;
}

enum auth_verdict edge_auth(struct edge *e, struct arena *arena, const struct sip_view *v, enum sip_header id,
                            struct plan_account *account)
{
    struct slice realm = edge_realm(e);
    unsigned looked_at = 0;
    for (unsigned i = v->first[id]; i != SIP_NO_LINE && looked_at < CREDENTIALS_MAX; i = v->lines[i].next) {
        struct sip_credentials c;
        struct slice value = sip_line_value(v, i);
        if (memmem(value.p, value.n, realm.p, realm.n) == NULL) continue; /* parsing costs more */
        looked_at++;
        if (sip_credentials_parse(arena, value, &c) != ERR_OK) continue;
        if (slice_eq(c.realm, realm)) return judge(e, arena, v, &c, account);
    }
    return AUTH_NONE;
}

void edge_challenge(struct edge *e, const struct flow *from, const struct sip_view *v, bool proxy, bool stale)
{
    struct buf lines = {0};
    struct digest_offer offer = e->o.hooks.digests != NULL ? e->o.hooks.digests(e->o.hooks.ctx) : digest_offer_all();
    edge_count(e, EC_challenged);
    if (digest_challenge(e->nonce_mac, edge_realm(e), &offer, proxy, stale, edge_wall(), &lines) == ERR_OK) {
        edge_answer_stateless(e, from, v, proxy ? 407 : 401, buf_view(&lines));
    } else {
        edge_count(e, EC_no_memory);
    }
    buf_fini(&lines);
}
