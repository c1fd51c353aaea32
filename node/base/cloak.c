#include "node/base/cloak.h"

#include <openssl/evp.h>
#include <stdlib.h>

#define TAG_LEN 16

struct cloak {
    EVP_CIPHER *cipher;
    EVP_CIPHER_CTX *ctx;
    unsigned char key[HASH_KEY_LEN];
};

struct cloak *cloak_new(const unsigned char key[HASH_KEY_LEN])
{
    struct cloak *c = calloc(1, sizeof *c);
    if (c == NULL) return NULL;
    c->cipher = EVP_CIPHER_fetch(NULL, "AES-128-SIV", NULL); /* two keys of 16 bytes */
    c->ctx = EVP_CIPHER_CTX_new();
    memcpy(c->key, key, sizeof c->key);
    if (c->cipher != NULL && c->ctx != NULL) return c;
    cloak_free(c);
    return NULL;
}

void cloak_free(struct cloak *c)
{
    if (c == NULL) return;
    EVP_CIPHER_CTX_free(c->ctx);
    EVP_CIPHER_free(c->cipher);
    secret_wipe(c->key, sizeof c->key);
    free(c);
}

/* Base 64 without its end, and with the two characters that mean nothing in a URI (RFC 4648 §5). */
static void encode(const unsigned char *data, size_t n, struct buf *out)
{
    size_t room = CLOAK_LEN(n);
    unsigned char *text = (unsigned char *)buf_room(out, room + 1);
    if (text == NULL) return;
    int len = EVP_EncodeBlock(text, data, (int)n);
    while (len > 0 && text[len - 1] == '=')
        len--;
    for (int i = 0; i < len; i++)
        text[i] = text[i] == '+' ? '-' : text[i] == '/' ? '_' : text[i];
    out->n += (size_t)len;
}

/* The number of bytes, or 0: it is no such text. data holds 3/4 of the text's length and 3 more. */
static size_t decode(struct slice text, unsigned char *data)
{
    unsigned char block[CLOAK_LEN(CLOAK_MAX) + 4];
    size_t n = text.n;
    if (n % 4 == 1 || n > CLOAK_LEN(CLOAK_MAX)) return 0;
    for (size_t i = 0; i < n; i++) {
        char c = text.p[i];
        bool allowed = (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
        if (!allowed && c != '-' && c != '_') return 0;
        block[i] = (unsigned char)(c == '-' ? '+' : c == '_' ? '/' : c);
    }
    size_t padding = (4 - n % 4) % 4;
    memset(block + n, '=', padding);
    int len = EVP_DecodeBlock(data, block, (int)(n + padding));
    return len > (int)padding ? (size_t)len - padding : 0;
}

enum err cloak_put_on(struct cloak *c, struct slice text, struct buf *out)
{
    unsigned char sealed[TAG_LEN + CLOAK_MAX];
    int n = 0;
    int rest = 0;
    if (text.n == 0 || text.n > CLOAK_MAX) return ERR_LIMIT;
    if (EVP_EncryptInit_ex2(c->ctx, c->cipher, c->key, NULL, NULL) != 1 ||
        EVP_EncryptUpdate(c->ctx, sealed + TAG_LEN, &n, (const unsigned char *)text.p, (int)text.n) != 1 ||
        EVP_EncryptFinal_ex(c->ctx, sealed + TAG_LEN + n, &rest) != 1 ||
        EVP_CIPHER_CTX_ctrl(c->ctx, EVP_CTRL_AEAD_GET_TAG, TAG_LEN, sealed) != 1) {
        return ERR_NOMEM;
    }
    encode(sealed, TAG_LEN + text.n, out);
    return out->failed ? ERR_NOMEM : ERR_OK;
}

enum err cloak_take_off(struct cloak *c, struct slice cloak, struct buf *out)
{
    unsigned char sealed[TAG_LEN + CLOAK_MAX + 8];
    int n = 0;
    int rest = 0;
    if (cloak.n < CLOAK_LEN(1) - 2 || cloak.n > CLOAK_LEN(CLOAK_MAX)) return ERR_AUTH;
    size_t len = decode(cloak, sealed);
    if (len <= TAG_LEN || len > TAG_LEN + CLOAK_MAX) return ERR_AUTH;
    len -= TAG_LEN;
    unsigned char *text = (unsigned char *)buf_room(out, len + 1);
    if (text == NULL) return ERR_NOMEM;
    if (EVP_DecryptInit_ex2(c->ctx, c->cipher, c->key, NULL, NULL) != 1 ||
        EVP_CIPHER_CTX_ctrl(c->ctx, EVP_CTRL_AEAD_SET_TAG, TAG_LEN, sealed) != 1 ||
        EVP_DecryptUpdate(c->ctx, text, &n, sealed + TAG_LEN, (int)len) != 1 ||
        EVP_DecryptFinal_ex(c->ctx, text + n, &rest) != 1) {
        return ERR_AUTH;
    }
    out->n += len;
    return ERR_OK;
}
