/* digest: server side of digest access authentication (RFC 7616, RFC 8760) with stateless nonces.
 *
 * A nonce carries its time, who made it, and a keyed hash (key derived from the cluster key) over these and the client
 * that it was given to, so any node knows any node's nonce from that client until it is too old. Whoever answers to a
 * nonce has thereby shown that what is sent to his address reaches him: failures can be charged to that address. Pure:
 * the caller passes the time. Replay protection by nonce-count is the edge's (node/edge/replay.h). */
#ifndef TANDEM_SIP_DIGEST_H
#define TANDEM_SIP_DIGEST_H

#include "node/base/hash.h"
#include "node/base/time.h"
#include "node/sip/value.h"

#define SIP_NONCE_LIFE_MS 300000

/* What a challenge offers, in order of preference (RFC 8760 §2.4). */
struct digest_offer {
    enum hash_algorithm algorithms[HASH_ALGORITHM_COUNT];
    size_t count;
};
/* SHA-256, SHA-512-256, MD5. */
struct digest_offer digest_offer_all(void);
/* "SHA-256", "SHA-512-256" or "MD5", in any case. ERR_SYNTAX. */
MUST_CHECK enum err digest_algorithm_named(struct slice name, enum hash_algorithm *out);

/* What was worked out lately and is asked for again. Begins as zeros, in the caller's storage; goes with one key.
 *
 * Nonces of ours: most come back within a second, and to this node. The request's half of a response, which is the same
 * for all phones of a domain; it holds nothing that is secret. */
#define DIGEST_KEPT_NONCES 512
#define DIGEST_KEPT_CLIENT 24
#define DIGEST_KEPT_TEXT 64
struct digest_kept {
    struct digest_kept_nonce {
        char text[56];
        char client[DIGEST_KEPT_CLIENT];
        char realm[DIGEST_KEPT_TEXT];
        uint8_t client_len;
        uint8_t realm_len;
    } nonces[DIGEST_KEPT_NONCES];
    enum hash_algorithm algorithm;
    char method[16];
    char uri[DIGEST_KEPT_TEXT];
    uint8_t method_len; /* 0: there is none */
    uint8_t uri_len;
    unsigned char request_hash[32];
};

/* Where nonces are good. */
struct digest_nonces {
    struct mac *key;
    struct mac *other; /* another key whose nonces are taken too; NULL: none */
    uint32_t maker;    /* who makes them: what counts their uses */
    struct slice realm;
    struct slice client;                          /* bytes that stand for the client's address */
    struct hasher *hashers[HASH_ALGORITHM_COUNT]; /* what spares libcrypto its look-ups; NULL: it makes them */
    struct digest_kept *kept;                     /* NULL: everything is worked out */
};

/* Appends one challenge header line for each algorithm offered: "WWW-Authenticate: Digest realm=...\r\n..." or with
 * proxy "Proxy-Authenticate: ...". */
MUST_CHECK enum err digest_challenge(const struct digest_nonces *nonces, const struct digest_offer *offer, bool proxy,
                                     bool stale, struct wall now, struct buf *out);

enum digest_verdict { DIGEST_OK, DIGEST_STALE, DIGEST_BAD_NONCE, DIGEST_WRONG, DIGEST_UNSUPPORTED };
/* OK; STALE: too old, and BAD_NONCE: no nonce or realm of ours, or one that another client was given: challenge again
 * with stale. Both are found before the password is looked at and say nothing of it: else whoever answers to an old
 * nonce, or to one of his own making, would learn whether he guessed right. WRONG; UNSUPPORTED: an algorithm that we do
 * not have, or no qop=auth, cnonce and nc, which our challenges ask for. */
/* ha1: the stored hash of user:realm:password for the algorithm named in c (hash_len bytes); see digest_algorithm.
 * method as in the request. */
enum digest_verdict digest_verify(const struct digest_nonces *nonces, const struct sip_credentials *c,
                                  const unsigned char *ha1, struct slice method, struct wall now);
/* What a nonce says that digest_verify has taken. */
struct digest_nonce {
    struct wall made;
    uint32_t maker;
};
/* ERR_SYNTAX: it has not the shape of one of ours. */
MUST_CHECK enum err digest_nonce_read(struct slice nonce, struct digest_nonce *out);
/* Which stored hash the credentials want; ERR_SYNTAX when none that we have. */
MUST_CHECK enum err digest_algorithm(const struct sip_credentials *c, enum hash_algorithm *out);

/* Client side: the value of an Authorization header for a challenge (WWW-/Proxy-Authenticate value). ERR_SYNTAX when
 * nothing in it is usable. */
MUST_CHECK enum err digest_answer(struct arena *arena, struct slice challenge, struct slice user, struct slice password,
                                  struct slice method, struct slice uri, struct slice cnonce, uint32_t nc,
                                  struct buf *out);

#endif
