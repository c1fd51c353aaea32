#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "node/sip/dialog.h"

static void from_either_side(void **state)
{
    struct sip_dialogs t;
    struct sip_dialog first = {.call_id = SLICE("c1"), .caller_tag = SLICE("alice")};
    struct sip_dialog second = {.call_id = SLICE("c1"), .caller_tag = SLICE("carol")};
    struct sip_dialog third = {.call_id = SLICE("c2"), .caller_tag = SLICE("alice")};
    (void)state;
    assert_int_equal(sip_dialogs_init(&t, 3), ERR_OK);
    sip_dialogs_add(&t, &first);
    sip_dialogs_add(&t, &second);
    sip_dialogs_add(&t, &third);
    assert_int_equal(sip_dialogs_count(&t), 3);
    assert_ptr_equal(sip_dialogs_find(&t, SLICE("c1"), SLICE("alice"), SLICE("bob")), &first);
    assert_ptr_equal(sip_dialogs_find(&t, SLICE("c1"), SLICE("bob"), SLICE("alice")), &first);
    assert_ptr_equal(sip_dialogs_find(&t, SLICE("c1"), SLICE("bob"), SLICE("carol")), &second);
    assert_ptr_equal(sip_dialogs_find(&t, SLICE("c2"), SLICE("alice"), SLICE("")), &third);
    assert_null(sip_dialogs_next(&first, SLICE("alice"), SLICE("bob")));
    struct sip_dialog again = {.call_id = SLICE("c1"), .caller_tag = SLICE("alice")};
    sip_dialogs_add(&t, &again);
    struct sip_dialog *one = sip_dialogs_find(&t, SLICE("c1"), SLICE("bob"), SLICE("alice"));
    struct sip_dialog *other = sip_dialogs_next(one, SLICE("bob"), SLICE("alice"));
    assert_true((one == &first && other == &again) || (one == &again && other == &first));
    assert_null(sip_dialogs_next(other, SLICE("bob"), SLICE("alice")));
    sip_dialogs_remove(&t, &again);
    assert_null(sip_dialogs_find(&t, SLICE("c1"), SLICE("bob"), SLICE("dave")));
    assert_null(sip_dialogs_find(&t, SLICE("c3"), SLICE("alice"), SLICE("bob")));
    sip_dialogs_remove(&t, &first);
    assert_null(sip_dialogs_find(&t, SLICE("c1"), SLICE("alice"), SLICE("bob")));
    sip_dialogs_remove(&t, &second);
    sip_dialogs_remove(&t, &third);
    assert_int_equal(sip_dialogs_count(&t), 0);
    sip_dialogs_fini(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(from_either_side)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
