#include "node/base/hash.h"

#include <stdlib.h>

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/core_names.h>
#include <openssl/params.h>

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
    EVP_MD *md; /* fetched once: a look-up takes libcrypto longer than a short digest */
    EVP_MD_CTX *ctx;
};

struct hasher *hasher_new(enum hash_algorithm a)
{
    struct hasher *h = calloc(1, sizeof *h);
    if (h == NULL) return NULL;
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

enum err hasher_parts(struct hasher *h, const struct slice *parts, size_t count, unsigned char *out)
{
    return digest(h->ctx, h->md, parts, count, out);
}

struct mac {
    EVP_MAC_CTX *keyed; /* reinitialised for each message: keeps the key's own compressions */
};

struct mac *mac_new(const unsigned char key[HASH_KEY_LEN])
{
    char digest[] = "SHA256";
    OSSL_PARAM params[] = {OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest, 0), OSSL_PARAM_END};
    struct mac *m = calloc(1, sizeof *m);
    EVP_MAC *hmac = EVP_MAC_fetch(NULL, "HMAC", NULL);
    if (m != NULL && hmac != NULL) m->keyed = EVP_MAC_CTX_new(hmac);
    EVP_MAC_free(hmac); /* the context holds its own reference */
    if (m == NULL || m->keyed == NULL || EVP_MAC_init(m->keyed, key, HASH_KEY_LEN, params) != 1) {
        mac_free(m);
        return NULL;
    }
    return m;
}

void mac_free(struct mac *m)
{
    if (m == NULL) return;
    EVP_MAC_CTX_free(m->keyed);
    free(m);
}

enum err mac_parts(struct mac *m, const struct slice *parts, size_t count, unsigned char out[HASH_SHA256_LEN])
{
    size_t n = 0;
    if (EVP_MAC_init(m->keyed, NULL, 0, NULL) != 1) return ERR_NOMEM;
    for (size_t i = 0; i < count; i++) {
        if (EVP_MAC_update(m->keyed, (const unsigned char *)parts[i].p, parts[i].n) != 1) return ERR_NOMEM;
    }
    if (EVP_MAC_final(m->keyed, out, &n, HASH_SHA256_LEN) != 1 || n != HASH_SHA256_LEN) return ERR_NOMEM;
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
