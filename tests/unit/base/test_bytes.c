#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "node/base/bytes.h"

#include <inttypes.h>
#include <stdio.h>

static void slices(void **state)
{
    struct slice before;
    uint64_t v = 7;
    (void)state;
    assert_true(slice_eq_nocase(SLICE("Call-ID"), SLICE("call-id")));
    assert_false(slice_eq_nocase(SLICE("Call-ID"), SLICE("call-i")));
    assert_true(slice_cmp(SLICE("6"), SLICE("60")) < 0);
    assert_true(slice_cmp(SLICE("61"), SLICE("60")) > 0);
    assert_int_equal(slice_cmp(SLICE("60"), SLICE("60")), 0);
    assert_true(slice_is(slice_trim(SLICE(" \t x y \r\n")), "x y"));
    assert_true(slice_is(slice_cut(SLICE("a/b/c"), '/', &before), "b/c"));
    assert_true(slice_is(before, "a"));
    assert_null(slice_cut(SLICE("abc"), '/', &before).p);
    assert_true(slice_is(before, "abc"));
    assert_int_equal(slice_u64(SLICE("65535"), 65535, &v), ERR_OK);
    assert_int_equal(v, 65535);
    assert_int_equal(slice_u64(SLICE("65536"), 65535, &v), ERR_LIMIT);
    assert_int_equal(slice_u64(SLICE("18446744073709551616"), UINT64_MAX, &v), ERR_LIMIT);
    assert_int_equal(slice_u64(SLICE("36893488147419103232"), UINT64_MAX, &v), ERR_LIMIT);
    assert_int_equal(slice_u64(SLICE(""), 9, &v), ERR_SYNTAX);
    assert_int_equal(slice_u64(SLICE("+1"), 9, &v), ERR_SYNTAX);
    assert_int_equal(v, 65535);
}

static void a_buffer_grows(void **state)
{
    struct buf b = {0};
    (void)state;
    for (int i = 0; i < 1000; i++)
        buf_printf(&b, "%03d,", i);
    assert_false(b.failed);
    assert_int_equal(b.n, 4000);
    assert_memory_equal(b.p + 3996, "999,", 4);
    buf_reset(&b);
    buf_slice(&b, SLICE("x"));
    assert_true(slice_is(buf_view(&b), "x"));
    buf_fini(&b);
    assert_null(b.p);
}

static void an_impossible_size_fails_once_and_for_all(void **state)
{
    struct buf b = {0};
    (void)state;
    buf_text(&b, "kept");
    assert_null(buf_room(&b, SIZE_MAX / 2));
    assert_true(b.failed);
    buf_text(&b, "not added");
    assert_true(slice_is(buf_view(&b), "kept"));
    buf_fini(&b);
}

static void an_arena_keeps_everything(void **state)
{
    struct arena a = {0};
    struct slice kept[500];
    (void)state;
    for (size_t i = 0; i < 500; i++) {
        char *p = arena_printf(&a, "item %zu", i);
        assert_non_null(p);
        kept[i] = arena_copy(&a, slice_of(p));
        unsigned char *block = arena_alloc(&a, i * 37);
        for (size_t k = 0; k < i * 37; k++)
            assert_int_equal(block[k], 0);
        memset(block, 0xff, i * 37);
        assert_int_equal((uintptr_t)block % 16, 0);
    }
    assert_true(slice_is(kept[0], "item 0"));
    assert_true(slice_is(kept[499], "item 499"));
    assert_int_equal(kept[499].p[kept[499].n], 0);
    assert_null(arena_alloc(&a, SIZE_MAX));
    arena_fini(&a);
}

static void an_arena_is_used_again(void **state)
{
    (void)state;
    struct arena a = {0};
    arena_reset(&a); /* of nothing */
    for (unsigned round = 0; round < 3; round++) {
        char *first = arena_alloc(&a, 10);
        assert_non_null(first);
        assert_int_equal(first[0], 0); /* zeroed, also where something stood */
        memset(first, 'x', 10);
        assert_non_null(arena_alloc(&a, 100000));
        assert_true(a.used_total >= 100010);
        arena_reset(&a);
        assert_int_equal(a.used_total, 0);
        assert_non_null(a.head);
    }
    assert_non_null(arena_alloc(&a, 100000)); /* nothing small before it */
    arena_reset(&a);
    arena_fini(&a);
    assert_null(a.head);
}

static void decimal(void **state)
{
    static const uint64_t numbers[] = {0, 9, 10, 70, 255, 1800, 65535, 4294967295u, UINT64_MAX};
    char out[DECIMAL_TEXT];
    (void)state;
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++) {
        char wanted[DECIMAL_TEXT + 1];
        (void)snprintf(wanted, sizeof wanted, "%" PRIu64, numbers[i]);
        assert_true(slice_is(decimal_text(numbers[i], out), wanted));
    }
}

static void every_byte_as_hexadecimal(void **state)
{
    unsigned char bytes[256];
    char wanted[2 * sizeof bytes + 1];
    char text[2 * sizeof bytes + 1];
    (void)state;
    for (size_t i = 0; i < sizeof bytes; i++) {
        bytes[i] = (unsigned char)(i * 7);
        (void)snprintf(wanted + 2 * i, 3, "%02x", bytes[i]);
    }
    hex_encode(bytes, sizeof bytes, text);
    assert_string_equal(text, wanted);
}

static void hexadecimal(void **state)
{
    unsigned char bytes[3];
    char text[7];
    (void)state;
    hex_encode("\x00\xab\xff", 3, text);
    assert_string_equal(text, "00abff");
    assert_int_equal(hex_decode(SLICE("00ABff"), bytes, 3), ERR_OK);
    assert_memory_equal(bytes, "\x00\xab\xff", 3);
    assert_int_equal(hex_decode(SLICE("00ABf"), bytes, 3), ERR_SYNTAX);
    assert_int_equal(hex_decode(SLICE("00ABfg"), bytes, 3), ERR_SYNTAX);
}

/* One block serves message after message; several become one that would have done, unless it is too large to keep. */
static void a_reset_arena_stays_warm(void **state)
{
    struct arena a = {0};
    (void)state;
    arena_reset(&a); /* empty: nothing to do */
    char *first = arena_alloc(&a, 100);
    memset(first, 'x', 100);
    arena_reset(&a);
    assert_int_equal(a.used_total, 0);
    assert_ptr_equal(arena_alloc(&a, 100), first);
    assert_int_equal(first[99], 0); /* zeroed again */
    for (size_t i = 0; i < 20; i++)
        assert_non_null(arena_alloc(&a, 1000));
    arena_reset(&a);
    struct arena_block *kept = a.head;
    assert_non_null(kept);
    for (size_t i = 0; i < 20; i++)
        assert_non_null(arena_alloc(&a, 1000));
    assert_ptr_equal(a.head, kept);
    assert_non_null(arena_alloc(&a, 10 * ARENA_KEPT));
    arena_reset(&a);
    assert_non_null(arena_alloc(&a, 1));
    arena_fini(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_reset_arena_stays_warm),
        cmocka_unit_test(slices),
        cmocka_unit_test(a_buffer_grows),
        cmocka_unit_test(an_impossible_size_fails_once_and_for_all),
        cmocka_unit_test(an_arena_keeps_everything),
        cmocka_unit_test(an_arena_is_used_again),
        cmocka_unit_test(decimal),
        cmocka_unit_test(every_byte_as_hexadecimal),
        cmocka_unit_test(hexadecimal),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
