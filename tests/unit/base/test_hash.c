#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "node/base/hash.h"

static void known_digests(void **state)
{
    /* RFC 1321 A.5, FIPS 180-2 B.1, and SHA-512/256("abc") of FIPS 180-4 */
    static const char *const expected[HASH_ALGORITHM_COUNT] = {
        [HASH_MD5] = "900150983cd24fb0d6963f7d28e17f72",
        [HASH_SHA256] = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
        [HASH_SHA512_256] = "53048e2681941ef99b2e29b76b4c7dabe4c2d0c634fc6d46e0e2f13107e7af23"};
    struct slice parts[] = {SLICE("a"), SLICE(""), SLICE("bc")};
    (void)state;
    for (int a = 0; a < HASH_ALGORITHM_COUNT; a++) {
        unsigned char out[32];
        char text[65];
        assert_int_equal(hash_parts((enum hash_algorithm)a, parts, 3, out), ERR_OK);
        hex_encode(out, hash_len((enum hash_algorithm)a), text);
        assert_string_equal(text, expected[a]);
        struct hasher *h = hasher_new((enum hash_algorithm)a);
        assert_non_null(h);
        for (int again = 0; again < 2; again++) {
            unsigned char same[32];
            assert_int_equal(hasher_parts(h, parts, 3, same), ERR_OK);
            assert_memory_equal(same, out, hash_len((enum hash_algorithm)a));
        }
        hasher_free(h);
    }
}

static void a_mac_can_be_used_again(void **state)
{
    unsigned char key[HASH_KEY_LEN] = {0};
    unsigned char first[32];
    unsigned char second[32];
    unsigned char other[32];
    struct slice part = SLICE("Hi There");
    struct slice wrong = SLICE("Hi there");
    char text[65];
    (void)state;
    memset(key, 0x0b, 20); /* RFC 4231 case 1: a key of 20 bytes equals it padded with zeros */
    struct mac *m = mac_new(key);
    assert_non_null(m);
    assert_int_equal(mac_parts(m, &part, 1, first), ERR_OK);
    assert_int_equal(mac_parts(m, &wrong, 1, other), ERR_OK);
    assert_int_equal(mac_parts(m, &part, 1, second), ERR_OK);
    hex_encode(first, 32, text);
    assert_string_equal(text, "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7");
    assert_true(secret_equal(first, second, 32));
    assert_false(secret_equal(first, other, 32));
    mac_free(m);
    mac_free(NULL);
}

static void derived_keys_differ_by_purpose(void **state)
{
    unsigned char master[HASH_KEY_LEN] = {1};
    unsigned char a[HASH_KEY_LEN];
    unsigned char b[HASH_KEY_LEN];
    (void)state;
    assert_int_equal(key_derive(master, "cookies", a), ERR_OK);
    assert_int_equal(key_derive(master, "nonces", b), ERR_OK);
    assert_memory_not_equal(a, b, sizeof a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(known_digests),
        cmocka_unit_test(a_mac_can_be_used_again),
        cmocka_unit_test(derived_keys_differ_by_purpose),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
