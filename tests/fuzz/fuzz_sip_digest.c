/* fuzz_sip_digest: one value of Authorization, Proxy-Authorization, WWW-Authenticate or Proxy-Authenticate.
 *
 * Asserted: what is accepted has all that is needed, within the text; nobody is let in by what was not made with the
 * password and a nonce of ours; the answer to a challenge is accepted as credentials, and names the challenge's realm
 * and nonce. */
#include <stdint.h>
#include <stdlib.h>

#include "node/sip/digest.h"

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void)argc;
    (void)argv;
    sip_library_init();
    return 0;
}

static const unsigned char key[HASH_KEY_LEN] = "the key of the fuzz target, 32 b";

static void check_credentials(struct mac *mac, const struct sip_credentials *c)
{
    static const unsigned char hash[HASH_SHA256_LEN] = {1};
    enum hash_algorithm algorithm;
    ASSERT(c->username.n > 0 && c->realm.n > 0 && c->nonce.n > 0 && c->uri.n > 0 && c->response.n > 0);
    if (digest_algorithm(c, &algorithm) != ERR_OK) return;
    ASSERT(algorithm < HASH_ALGORITHM_COUNT);
    struct digest_nonces nonces = {.key = mac, .realm = SLICE("example.org"), .client = SLICE("192.0.2.1")};
    enum digest_verdict verdict = digest_verify(&nonces, c, hash, SLICE("REGISTER"), (struct wall){1700000000000});
    ASSERT(verdict != DIGEST_OK);
}

static void check_challenge(struct arena *arena, struct slice text, const struct sip_challenge *ch)
{
    struct buf b = {0};
    struct sip_credentials c;
    ASSERT(ch->realm.p != NULL && ch->nonce.n > 0);
    enum err e = digest_answer(arena, text, SLICE("6001"), SLICE("secret"), SLICE("REGISTER"), SLICE("sip:example.org"),
                               SLICE("cnonce"), 1, &b);
    if (e == ERR_OK && b.n <= SIP_VALUE_MAX && ch->realm.n > 0) {
        if (sip_credentials_parse(arena, buf_view(&b), &c) != ERR_OK) abort();
        ASSERT(slice_eq(c.realm, ch->realm) && slice_eq(c.nonce, ch->nonce) && slice_is(c.username, "6001"));
    }
    buf_fini(&b);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena arena = {0};
    struct slice text = {(const char *)data, size};
    struct sip_credentials c;
    struct sip_challenge ch;
    if (size == 0) return 0;
    struct mac *mac = mac_new(key);
    if (mac == NULL) abort();
    if (sip_credentials_parse(&arena, text, &c) == ERR_OK) check_credentials(mac, &c);
    if (sip_challenge_parse(&arena, text, &ch) == ERR_OK) check_challenge(&arena, text, &ch);
    mac_free(mac);
    arena_fini(&arena);
    return 0;
}
