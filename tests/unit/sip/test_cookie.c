/* Cookies: accepted for what they were made for, and for nothing else. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>

#include "node/sip/cookie.h"

static const unsigned char secret[HASH_KEY_LEN] = "a key of thirty-two bytes ......";

static void dialog(void **state)
{
    (void)state;
    struct mac *key = mac_new(secret);
    char cookie[SIP_COOKIE_TEXT];
    assert_non_null(key);
    assert_int_equal(sip_dialog_cookie(key, SLICE("id@h"), SLICE("caller"), 0, cookie), ERR_OK);
    assert_int_equal(strlen(cookie), SIP_COOKIE_TEXT - 1);
    struct slice c = slice_of(cookie);
    assert_true(sip_dialog_cookie_ok(key, c, SLICE("id@h"), SLICE("caller"), SLICE("callee"), 0));
    assert_true(
        sip_dialog_cookie_ok(key, c, SLICE("id@h"), SLICE("callee"), SLICE("caller"), 0)); /* the callee's BYE */
    assert_true(sip_dialog_cookie_ok(key, c, SLICE("id@h"), SLICE("caller"), SLICE_NONE, 0));
    assert_false(sip_dialog_cookie_ok(key, c, SLICE("id@h"), SLICE("callee"), SLICE("x"), 0));
    assert_false(sip_dialog_cookie_ok(key, c, SLICE("id@hcaller"), SLICE_NONE, SLICE_NONE, 0));
    assert_false(sip_dialog_cookie_ok(key, c, SLICE("id@"), SLICE("hcaller"), SLICE_NONE, 0));
    for (size_t i = 0; i < c.n; i++) {
        cookie[i] ^= 1;
        assert_false(sip_dialog_cookie_ok(key, c, SLICE("id@h"), SLICE("caller"), SLICE("callee"), 0));
        cookie[i] ^= 1;
        assert_false(
            sip_dialog_cookie_ok(key, (struct slice){cookie, i}, SLICE("id@h"), SLICE("caller"), SLICE("callee"), 0));
    }
    mac_free(key);
}

static void hidden_sides(void **state)
{
    (void)state;
    struct mac *key = mac_new(secret);
    char cookie[SIP_COOKIE_TEXT];
    assert_non_null(key);
    for (unsigned made = 0; made <= 3; made++) {
        assert_int_equal(sip_dialog_cookie(key, SLICE("id"), SLICE("caller"), made, cookie), ERR_OK);
        for (unsigned said = 0; said <= 3; said++)
            assert_int_equal(
                sip_dialog_cookie_ok(key, slice_of(cookie), SLICE("id"), SLICE("callee"), SLICE("caller"), said),
                made == said);
        /* Calls that hide nothing outlive an upgrade. */
        if (made == 0) assert_string_equal(cookie, "27c65ced2fcfa542b653da36");
    }
    mac_free(key);
}

static void no_cookie_for_an_empty_tag(void **state)
{
    (void)state;
    struct mac *key = mac_new(secret);
    char cookie[SIP_COOKIE_TEXT];
    assert_non_null(key);
    assert_int_equal(sip_dialog_cookie(key, SLICE("id"), SLICE_NONE, 0, cookie), ERR_OK);
    /* An empty To tag is no proof: only the From tag may be empty (RFC 2543 clients). */
    assert_false(sip_dialog_cookie_ok(key, slice_of(cookie), SLICE("id"), SLICE("x"), SLICE_NONE, 0));
    mac_free(key);
}

static void transit(void **state)
{
    (void)state;
    struct mac *key = mac_new(secret);
    char cookie[SIP_COOKIE_TEXT];
    char other[SIP_COOKIE_TEXT];
    assert_non_null(key);
    assert_int_equal(sip_transit_cookie(key, SLICE("id"), SLICE("tag"), SLICE("trunk/x"), SLICE("123"), cookie),
                     ERR_OK);
    struct slice c = slice_of(cookie);
    assert_true(sip_transit_cookie_ok(key, c, SLICE("id"), SLICE("tag"), SLICE("trunk/x"), SLICE("123")));
    assert_false(sip_transit_cookie_ok(key, c, SLICE("id"), SLICE("tag"), SLICE("trunk/x1"), SLICE("23")));
    assert_false(sip_transit_cookie_ok(key, c, SLICE("id"), SLICE("tag"), SLICE("trunk/y"), SLICE("123")));
    assert_false(sip_transit_cookie_ok(key, c, SLICE("id"), SLICE("tah"), SLICE("trunk/x"), SLICE("123")));
    assert_false(sip_transit_cookie_ok(key, c, SLICE("ie"), SLICE("tag"), SLICE("trunk/x"), SLICE("123")));
    assert_false(sip_transit_cookie_ok(key, c, SLICE("id"), SLICE("tag"), SLICE("trunk/x"), SLICE_NONE));
    assert_false(sip_transit_cookie_ok(key, SLICE_NONE, SLICE("id"), SLICE("tag"), SLICE("trunk/x"), SLICE("123")));
    /* The two kinds never stand for each other. */
    assert_int_equal(sip_dialog_cookie(key, SLICE("id"), SLICE("tag"), 0, other), ERR_OK);
    assert_string_not_equal(cookie, other);
    mac_free(key);
}

static void every_node_with_the_key_agrees(void **state)
{
    (void)state;
    static const unsigned char foreign[HASH_KEY_LEN] = "another key";
    struct mac *one = mac_new(secret);
    struct mac *two = mac_new(secret);
    struct mac *three = mac_new(foreign);
    char cookie[SIP_COOKIE_TEXT];
    assert_non_null(one);
    assert_non_null(two);
    assert_non_null(three);
    assert_int_equal(sip_dialog_cookie(one, SLICE("id"), SLICE("tag"), 0, cookie), ERR_OK);
    assert_true(sip_dialog_cookie_ok(two, slice_of(cookie), SLICE("id"), SLICE("tag"), SLICE_NONE, 0));
    assert_false(sip_dialog_cookie_ok(three, slice_of(cookie), SLICE("id"), SLICE("tag"), SLICE_NONE, 0));
    mac_free(one);
    mac_free(two);
    mac_free(three);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(dialog),
        cmocka_unit_test(hidden_sides),
        cmocka_unit_test(no_cookie_for_an_empty_tag),
        cmocka_unit_test(transit),
        cmocka_unit_test(every_node_with_the_key_agrees),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
