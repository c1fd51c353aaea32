/* hash: the digests and the keyed hash that the house uses, through OpenSSL's libcrypto. No random source, no files. */
#ifndef TANDEM_BASE_HASH_H
#define TANDEM_BASE_HASH_H

#include "node/base/bytes.h"

#define HASH_SHA256_LEN 32
#define HASH_KEY_LEN 32

enum hash_algorithm { HASH_MD5, HASH_SHA256, HASH_SHA512_256, HASH_ALGORITHM_COUNT };

/* Bytes of a digest: 16, 32, 32. */
size_t hash_len(enum hash_algorithm a);
/* One digest over the parts in order. out holds hash_len(a) bytes. ERR_NOMEM when libcrypto cannot (for instance an
 * MD5 that the system's policy forbids). Any thread. */
MUST_CHECK enum err hash_parts(enum hash_algorithm a, const struct slice *parts, size_t count, unsigned char *out);

/* The same for many digests of one algorithm: what each would need is made once. One thread at a time. */
struct hasher;
struct hasher *hasher_new(enum hash_algorithm a); /* NULL: no memory, or libcrypto cannot */
void hasher_free(struct hasher *h);               /* NULL allowed */
MUST_CHECK enum err hasher_parts(struct hasher *h, const struct slice *parts, size_t count, unsigned char *out);

/* HMAC-SHA-256 with a key set up once, so that the per-message cost is the two compressions. One thread at a time. */
struct mac;
struct mac *mac_new(const unsigned char key[HASH_KEY_LEN]); /* NULL: no memory */
void mac_free(struct mac *m);                               /* NULL allowed; wipes the key */
MUST_CHECK enum err mac_parts(struct mac *m, const struct slice *parts, size_t count,
                              unsigned char out[HASH_SHA256_LEN]);

/* key for one purpose from the cluster key: HMAC-SHA-256(master, purpose). */
MUST_CHECK enum err key_derive(const unsigned char master[HASH_KEY_LEN], const char *purpose,
                               unsigned char out[HASH_KEY_LEN]);

/* Equal, in time that depends on n alone. */
bool secret_equal(const void *a, const void *b, size_t n);

#endif
