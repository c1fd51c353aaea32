#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "node/app/seal.h"

static void what_is_sealed_opens(void **state)
{
    unsigned char key[HASH_KEY_LEN] = {7};
    struct buf sealed = {0};
    struct buf again = {0};
    struct buf open = {0};
    (void)state;
    assert_int_equal(seal(key, SLICE("trunk/carrier"), SLICE("p4ssword"), &sealed), ERR_OK);
    assert_int_equal(seal(key, SLICE("trunk/carrier"), SLICE("p4ssword"), &again), ERR_OK);
    assert_int_equal(sealed.n, 8 + SEAL_OVERHEAD);
    assert_memory_not_equal(sealed.p, again.p, sealed.n); /* a fresh nonce each time */
    assert_int_equal(unseal(key, SLICE("trunk/carrier"), buf_view(&sealed), &open), ERR_OK);
    assert_true(slice_is(buf_view(&open), "p4ssword"));
    buf_fini(&sealed);
    buf_fini(&again);
    buf_fini(&open);
}

static void every_changed_byte_is_noticed(void **state)
{
    unsigned char key[HASH_KEY_LEN] = {7};
    unsigned char other[HASH_KEY_LEN] = {8};
    struct buf sealed = {0};
    struct buf open = {0};
    (void)state;
    assert_int_equal(seal(key, SLICE("trunk/a"), SLICE("secret"), &sealed), ERR_OK);
    for (size_t i = 0; i < sealed.n; i++) {
        sealed.p[i] = (char)(sealed.p[i] ^ 1);
        assert_int_equal(unseal(key, SLICE("trunk/a"), buf_view(&sealed), &open), ERR_AUTH);
        sealed.p[i] = (char)(sealed.p[i] ^ 1);
    }
    assert_int_equal(unseal(key, SLICE("trunk/b"), buf_view(&sealed), &open), ERR_AUTH);
    assert_int_equal(unseal(other, SLICE("trunk/a"), buf_view(&sealed), &open), ERR_AUTH);
    assert_int_equal(unseal(key, SLICE("trunk/a"), (struct slice){sealed.p, SEAL_OVERHEAD - 1}, &open), ERR_AUTH);
    assert_int_equal(open.n, 0);
    buf_fini(&sealed);
    buf_fini(&open);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_sealed_opens),
        cmocka_unit_test(every_changed_byte_is_noticed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
