/* Blocks against single bytes: each value at each place. Built twice: as the processor has it, and portable. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "node/sip/block.h"

/* Every byte of the block is other, but the one at place. */
static void fill(char text[BLOCK], unsigned place, unsigned value, unsigned other)
{
    memset(text, (int)other, BLOCK);
    text[place] = (char)value;
}

static void check_all(unsigned place, unsigned value, unsigned other)
{
    char text[BLOCK];
    unsigned rest = 0xffffU ^ (1U << place);
    fill(text, place, value, other);
    assert_int_equal(block_equal(text, (char)value), other == value ? 0xffff : 1U << place);
    assert_int_equal(block_equal(text, '\r'), (value == '\r' ? 1U << place : 0) | (other == '\r' ? rest : 0));
    assert_int_equal(block_upto(text, '\r'), (value <= '\r' ? 1U << place : 0) | (other <= '\r' ? rest : 0));
    assert_int_equal(block_upto(text, '\x7f'), (value < 0x80 ? 1U << place : 0) | (other < 0x80 ? rest : 0));
}

static void each_byte_at_each_place(void **state)
{
    static const unsigned others[] = {0, 1, '\n', '\r', '\r' + 1, 'a', 0x7f, 0x80, 0x8d, 0xff};
    (void)state;
    for (unsigned place = 0; place < BLOCK; place++) {
        for (unsigned value = 0; value < 256; value++) {
            for (size_t i = 0; i < sizeof others / sizeof others[0]; i++)
                check_all(place, value, others[i]);
        }
    }
}

static void unlike_folds_the_text_only(void **state)
{
    (void)state;
    assert_int_equal(block_unlike("VIA: SIP/2.0/UDP", ' ', "via: sip/2.0/udp"), 0);
    assert_int_equal(block_unlike("via: sip/2.0/udp", ' ', "VIA: sip/2.0/udp"), 7);
    assert_int_equal(block_unlike("via: SIP/2.0/UDp", '\0', "via: SIP/2.0/UDP"), 0x8000);
    assert_int_equal(block_unlike("\x80\xff\x01\x7f"
                                  "0123456789ab",
                                  '\0',
                                  "\xff\x80\x7f\x01"
                                  "0123456789ab"),
                     15);
}

static void first_is_the_lowest(void **state)
{
    (void)state;
    for (unsigned i = 0; i < BLOCK; i++)
        assert_int_equal(block_first(0x8000U | 1U << i), i);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_byte_at_each_place),
        cmocka_unit_test(unlike_folds_the_text_only),
        cmocka_unit_test(first_is_the_lowest),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
