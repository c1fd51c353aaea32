#include "node/base/random.h"

#include <stdlib.h>

#include <openssl/evp.h>

#define STRETCH 512
#define KEY_WORDS (HASH_KEY_LEN / sizeof(uint64_t))

struct random {
    EVP_CIPHER_CTX *cipher;
    size_t at;
    uint64_t words[STRETCH]; /* those before at are zero */
};

/* The stream under the key that the words begin with; its own first words are the next key. The counter starts at zero
 * each time: no key is used twice. */
static bool refill(struct random *r, const EVP_CIPHER *cipher)
{
    static const unsigned char zero[16];
    unsigned char *bytes = (unsigned char *)r->words;
    int n = 0;
    if (EVP_EncryptInit_ex(r->cipher, cipher, NULL, bytes, zero) != 1) return false;
    memset(r->words, 0, sizeof r->words);
    if (EVP_EncryptUpdate(r->cipher, bytes, &n, bytes, sizeof r->words) != 1) return false;
    r->at = KEY_WORDS;
    return true;
}

struct random *random_new(const unsigned char key[HASH_KEY_LEN])
{
    struct random *r = calloc(1, sizeof *r);
    if (r == NULL) return NULL;
    r->cipher = EVP_CIPHER_CTX_new();
    memcpy(r->words, key, HASH_KEY_LEN);
    if (r->cipher != NULL && refill(r, EVP_aes_256_ctr())) return r;
    random_free(r);
    return NULL;
}

void random_free(struct random *r)
{
    if (r == NULL) return;
    EVP_CIPHER_CTX_free(r->cipher);
    secret_wipe(r, sizeof *r);
    free(r);
}

uint64_t random_next(struct random *r)
{
    if (r->at == STRETCH) {
        bool filled = refill(r, NULL);
        ASSERT(filled); /* with cipher and context at hand libcrypto needs nothing that it could lack */
    }
    uint64_t word = r->words[r->at];
    r->words[r->at++] = 0;
    return word;
}

uint64_t random_below(struct random *r, uint64_t bound)
{
    /* The bias of the plain remainder is below 2^-40 for every bound used here. */
    return random_next(r) % bound;
}
