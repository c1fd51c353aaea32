/* source: who sent a request, as far as the request itself proves it: digest credentials of an account.
 *
 * The trunk by address is the plan's business (hooks.source), the member by transit cookie the proxy's. All refusals
 * look the same from outside: an unknown account, a disabled one, a wrong password, an account of another site and one
 * that is locked cost the same work and get the same answer; the counters and the guard's list tell them apart.
 * Specification: RFC 3261 §22, RFC 7616, RFC 8760. */
#include "node/edge/guard.h"
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

/* Where nonces for that client are good. key is the caller's room. */
static struct digest_nonces nonces_for(const struct edge *e, const struct flow *from, struct sock_key *key)
{
    sock_key_source(key, &from->remote);
    struct digest_nonces nonces = {.key = e->nonce_mac,
                                   .other = e->other_nonce_mac,
                                   .maker = e->nonce_maker,
                                   .realm = edge_realm(e),
                                   .client = {(const char *)key->bytes, sizeof key->bytes},
                                   .kept = e->digests};
    memcpy(nonces.hashers, e->hashers, sizeof nonces.hashers);
    return nonces;
}

/* One proof and what is known of it. */
struct proof {
    const struct flow *from;
    const struct sip_view *v;
    const struct sip_credentials *c;
    bool found;  /* the account exists */
    bool right;  /* so was the password */
    bool locked; /* nobody may prove it from there at present */
};

/* Why the proof is worth nothing; false: it is good. */
static bool fails(const struct edge *e, const struct proof *p, const struct plan_account *account,
                  enum edge_failure *why, enum edge_counter *counter)
{
    bool away = p->v->method == SIP_REGISTER && account->site.n > 0 && !slice_eq(account->site, e->o.node.site);
    *why = !p->found           ? EDGE_FAILED_UNKNOWN
           : !p->right         ? EDGE_FAILED_PASSWORD
           : account->disabled ? EDGE_FAILED_DISABLED
           : away              ? EDGE_FAILED_SITE
                               : EDGE_FAILED_LOCKED;
    static const enum edge_counter counters[] = {[EDGE_FAILED_UNKNOWN] = EC_auth_unknown_account,
                                                 [EDGE_FAILED_PASSWORD] = EC_auth_wrong,
                                                 [EDGE_FAILED_DISABLED] = EC_auth_disabled,
                                                 [EDGE_FAILED_SITE] = EC_auth_other_site,
                                                 [EDGE_FAILED_LOCKED] = EC_auth_locked};
    *counter = counters[*why];
    return *why != EDGE_FAILED_LOCKED || p->locked;
}

/* Whether the proof is used for the first time. */
static bool is_fresh(struct edge *e, const struct proof *p, uint32_t nc)
{
    struct digest_nonce nonce;
    if (digest_nonce_read(p->c->nonce, &nonce) != ERR_OK) return false;
    struct replay_proof proof = {.session = session_hash(e, p->c),
                                 .nc = nc,
                                 .own = nonce.maker == e->nonce_maker,
                                 .made = nonce.made,
                                 .now = edge_wall()};
    if (edge_replay_fresh(&e->replay, &proof)) return true;
    edge_count(e, proof.own ? EC_auth_replayed : EC_auth_elsewhere);
    return false;
}

static enum auth_verdict weigh(struct edge *e, const struct proof *p, const struct plan_account *account, uint32_t nc)
{
    enum edge_failure why;
    enum edge_counter counter;
    if (fails(e, p, account, &why, &counter)) {
        guard_failed(e, p->from, p->c->username, why);
        return refuse(e, counter);
    }
    if (!is_fresh(e, p, nc)) return AUTH_STALE;
    guard_proved(e, p->from, p->c->username);
    edge_count(e, EC_auth_ok);
    return AUTH_OK;
}

static enum auth_verdict judge(struct edge *e, struct arena *arena, struct proof *p, struct plan_account *account)
{
    enum hash_algorithm algorithm = HASH_SHA256;
    uint32_t nc = 0;
    struct sock_key key;
    struct digest_nonces nonces = nonces_for(e, p->from, &key);
    /* Of several credentials others may name another account. */
    if (guard_drops_proof(e, p->from, p->c->username)) return AUTH_DROPPED;
    if (digest_algorithm(p->c, &algorithm) != ERR_OK || !offered(e, algorithm) || !nonce_count(p->c, &nc)) {
        return refuse(e, EC_auth_unusable);
    }
    *account = (struct plan_account){0};
    p->found = e->o.hooks.account(e->o.hooks.ctx, arena, p->c->username, account) == ERR_OK && account->secret.set;
    const struct plan_secret *secret = p->found ? &account->secret : &e->nobody;
    switch (digest_verify(&nonces, p->c, stored_hash(secret, algorithm), p->v->method_text, edge_wall())) {
    case DIGEST_STALE:
    case DIGEST_BAD_NONCE: edge_count(e, EC_auth_stale); return AUTH_STALE;
    case DIGEST_UNSUPPORTED: return refuse(e, EC_auth_unusable);
    case DIGEST_OK: p->right = true; break;
    case DIGEST_WRONG: break;
    }
    p->locked = guard_locked(e, p->from, p->c->username);
    return weigh(e, p, account, nc);
}

enum auth_verdict edge_auth(struct edge *e, struct arena *arena, const struct flow *from, const struct sip_view *v,
                            enum sip_header id, struct plan_account *account)
{
    struct slice realm = edge_realm(e);
    unsigned looked_at = 0;
    for (unsigned i = v->first[id]; i != SIP_NO_LINE && looked_at < CREDENTIALS_MAX; i = v->lines[i].next) {
        struct sip_credentials c;
        struct slice value = sip_line_value(v, i);
        if (memmem(value.p, value.n, realm.p, realm.n) == NULL) continue; /* parsing costs more */
        looked_at++;
        if (sip_credentials_parse(arena, value, &c) != ERR_OK) continue;
        if (!slice_eq(c.realm, realm)) continue;
        struct proof p = {.from = from, .v = v, .c = &c};
        return judge(e, arena, &p, account);
    }
    return AUTH_NONE;
}

void edge_challenge(struct edge *e, const struct flow *from, const struct sip_view *v, bool proxy, bool stale)
{
    struct digest_offer offer = offer_of(e);
    struct sock_key key;
    struct digest_nonces nonces = nonces_for(e, from, &key);
    buf_reset(&e->lines);
    edge_count(e, EC_challenged);
    if (digest_challenge(&nonces, &offer, proxy, stale, edge_wall(), &e->lines) == ERR_OK) {
        edge_answer_stateless(e, from, v, proxy ? 407 : 401, buf_view(&e->lines));
    } else {
        edge_count(e, EC_no_memory);
    }
}
