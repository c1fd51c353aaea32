/* hash: libcrypto's digests. What is done for each message works on libcrypto's plain states, which are copied and used
 * where they lie: its newer interface allocates, frees and looks up several objects for each digest, which takes longer
 * than the digest of a short text and pushes more code through the caches than all the rest of a REGISTER's proof.
 * libcrypto calls the plain functions deprecated, since they ask no policy; hasher_new asks it once. */
#define OPENSSL_SUPPRESS_DEPRECATED
#include "node/base/hash.h"

#include <stdlib.h>

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/md5.h>
#include <openssl/sha.h>

size_t hash_len(enum hash_algorithm a)
{
    return a == HASH_MD5 ? 16 : 32;
}

static const EVP_MD *md_of(enum hash_algorithm a)
{
    switch (a) {
    case HASH_MD5: return EVP_md5();
    case HASH_SHA512_256: return EVP_sha512_256();
    case HASH_SHA256:
    case HASH_ALGORITHM_COUNT: break;
    }
    return EVP_sha256();
}

static enum err digest(EVP_MD_CTX *ctx, const EVP_MD *md, const struct slice *parts, size_t count, unsigned char *out)
{
    if (EVP_DigestInit_ex(ctx, md, NULL) != 1) return ERR_NOMEM;
    for (size_t i = 0; i < count; i++) {
        if (EVP_DigestUpdate(ctx, parts[i].p, parts[i].n) != 1) return ERR_NOMEM;
    }
    return EVP_DigestFinal_ex(ctx, out, NULL) == 1 ? ERR_OK : ERR_NOMEM;
}

enum err hash_parts(enum hash_algorithm a, const struct slice *parts, size_t count, unsigned char *out)
{
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    enum err e = ctx != NULL ? digest(ctx, md_of(a), parts, count, out) : ERR_NOMEM;
    EVP_MD_CTX_free(ctx);
    return e;
}

struct hasher {
    enum hash_algorithm algorithm;
    EVP_MD *md; /* fetched once: NULL where the system's policy forbids it */
    EVP_MD_CTX *ctx;
};

struct hasher *hasher_new(enum hash_algorithm a)
{
    struct hasher *h = calloc(1, sizeof *h);
    if (h == NULL) return NULL;
    h->algorithm = a;
    h->md = EVP_MD_fetch(NULL, EVP_MD_get0_name(md_of(a)), NULL);
    h->ctx = EVP_MD_CTX_new();
    if (h->md != NULL && h->ctx != NULL) return h;
    hasher_free(h);
    return NULL;
}

void hasher_free(struct hasher *h)
{
    if (h == NULL) return;
    EVP_MD_CTX_free(h->ctx);
    EVP_MD_free(h->md);
    free(h);
}

static void md5_parts(const struct slice *parts, size_t count, unsigned char *out)
{
    MD5_CTX state;
    (void)MD5_Init(&state); /* these cannot fail */
    for (size_t i = 0; i < count; i++)
        (void)MD5_Update(&state, parts[i].p, parts[i].n);
    (void)MD5_Final(out, &state);
}

static void sha256_parts(SHA256_CTX state, const struct slice *parts, size_t count, unsigned char *out)
{
    for (size_t i = 0; i < count; i++)
        (void)SHA256_Update(&state, parts[i].p, parts[i].n); /* these cannot fail */
    (void)SHA256_Final(out, &state);
}

enum err hasher_parts(struct hasher *h, const struct slice *parts, size_t count, unsigned char *out)
{
    SHA256_CTX begun;
    switch (h->algorithm) {
    case HASH_MD5: md5_parts(parts, count, out); return ERR_OK;
    case HASH_SHA256:
        (void)SHA256_Init(&begun);
        sha256_parts(begun, parts, count, out);
        return ERR_OK;
    case HASH_SHA512_256:
    case HASH_ALGORITHM_COUNT: break;
    }
    return digest(h->ctx, h->md, parts, count, out); /* the plain functions have no SHA-512/256 */
}

struct mac {
    SHA256_CTX inner; /* each has taken in its block of the key (RFC 2104 §4) */
    SHA256_CTX outer;
};

static void key_block(SHA256_CTX *state, const unsigned char key[HASH_KEY_LEN], unsigned char pad)
{
    unsigned char block[SHA256_CBLOCK];
    memset(block, pad, sizeof block);
    for (size_t i = 0; i < HASH_KEY_LEN; i++)
        block[i] ^= key[i];
    (void)SHA256_Init(state);
    (void)SHA256_Update(state, block, sizeof block);
    secret_wipe(block, sizeof block);
}

struct mac *mac_new(const unsigned char key[HASH_KEY_LEN])
{
    struct mac *m = calloc(1, sizeof *m);
    if (m == NULL) return NULL;
    key_block(&m->inner, key, 0x36);
    key_block(&m->outer, key, 0x5c);
    return m;
}

void mac_free(struct mac *m)
{
    if (m != NULL) secret_wipe(m, sizeof *m);
    free(m);
}

enum err mac_parts(struct mac *m, const struct slice *parts, size_t count, unsigned char out[HASH_SHA256_LEN])
{
    unsigned char inner[HASH_SHA256_LEN];
    struct slice part = {(const char *)inner, sizeof inner};
    sha256_parts(m->inner, parts, count, inner);
    sha256_parts(m->outer, &part, 1, out);
    return ERR_OK;
}

enum err key_derive(const unsigned char master[HASH_KEY_LEN], const char *purpose, unsigned char out[HASH_KEY_LEN])
{
    struct slice part = slice_of(purpose);
    struct mac *m = mac_new(master);
    if (m == NULL) return ERR_NOMEM;
    enum err e = mac_parts(m, &part, 1, out);
    mac_free(m);
    return e;
}

bool secret_equal(const void *a, const void *b, size_t n)
{
    return CRYPTO_memcmp(a, b, n) == 0;
}
