#include "node/app/seal.h"

#include <openssl/evp.h>
#include <openssl/rand.h>

#define NONCE_LEN 12
#define TAG_LEN 16
#define TEXT_MAX 4096

static EVP_CIPHER_CTX *start(const unsigned char cluster_key[HASH_KEY_LEN], struct slice name,
                             const unsigned char *nonce, int encrypt)
{
    unsigned char key[HASH_KEY_LEN];
    int n = 0;
    EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
    bool ok = ctx != NULL && key_derive(cluster_key, "tandem seal 1", key) == ERR_OK &&
              EVP_CipherInit_ex(ctx, EVP_aes_256_gcm(), NULL, key, nonce, encrypt) == 1 &&
              EVP_CipherUpdate(ctx, NULL, &n, (const unsigned char *)name.p, (int)name.n) == 1;
    secret_wipe(key, sizeof key);
    if (ok) return ctx;
    EVP_CIPHER_CTX_free(ctx);
    return NULL;
}

enum err seal(const unsigned char cluster_key[HASH_KEY_LEN], struct slice name, struct slice text, struct buf *out)
{
    enum err e = ERR_NOMEM;
    int n = 0;
    int rest = 0;
    if (text.n > TEXT_MAX) return ERR_LIMIT;
    unsigned char *room = (unsigned char *)buf_room(out, SEAL_OVERHEAD + text.n);
    if (room == NULL) return ERR_NOMEM;
    if (RAND_bytes(room, NONCE_LEN) != 1) return ERR_IO;
    EVP_CIPHER_CTX *ctx = start(cluster_key, name, room, 1);
    if (ctx == NULL) return ERR_NOMEM;
    unsigned char *body = room + SEAL_OVERHEAD;
    if (EVP_CipherUpdate(ctx, body, &n, (const unsigned char *)text.p, (int)text.n) == 1 &&
        EVP_CipherFinal_ex(ctx, body + n, &rest) == 1 &&
        EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_GCM_GET_TAG, TAG_LEN, room + NONCE_LEN) == 1) {
        out->n += SEAL_OVERHEAD + text.n;
        e = ERR_OK;
    }
    EVP_CIPHER_CTX_free(ctx);
    return e;
}

enum err unseal(const unsigned char cluster_key[HASH_KEY_LEN], struct slice name, struct slice sealed, struct buf *out)
{
    enum err e = ERR_AUTH;
    int n = 0;
    int rest = 0;
    if (sealed.n < SEAL_OVERHEAD || sealed.n > SEAL_OVERHEAD + TEXT_MAX) return ERR_AUTH;
    const unsigned char *in = (const unsigned char *)sealed.p;
    unsigned char tag[TAG_LEN];
    size_t len = sealed.n - SEAL_OVERHEAD;
    unsigned char *room = (unsigned char *)buf_room(out, len + 1);
    EVP_CIPHER_CTX *ctx = room != NULL ? start(cluster_key, name, in, 0) : NULL;
    if (ctx == NULL) return ERR_NOMEM;
    memcpy(tag, in + NONCE_LEN, TAG_LEN);
    if (EVP_CipherUpdate(ctx, room, &n, in + SEAL_OVERHEAD, (int)len) == 1 &&
        EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_GCM_SET_TAG, TAG_LEN, tag) == 1 &&
        EVP_CipherFinal_ex(ctx, room + n, &rest) == 1) {
        out->n += len;
        e = ERR_OK;
    }
    EVP_CIPHER_CTX_free(ctx);
    return e;
}
