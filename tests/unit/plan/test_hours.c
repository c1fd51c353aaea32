/* Hours: the grammar, and what it means at the borders. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "node/plan/hours.h"

static void test_grammar(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        bool valid;
    } table[] = {
        {"", true},
        {"Mo-Fr 08:00-18:00", true},
        {"Sa,Su 10:00-16:00; Mo-Fr 00:00-24:00", true},
        {"Mo-Fr 08:00-12:00,13:00-17:00", true},
        {"Mo-Fr 08:00-12:00, 13:00-17:00;Sa 09:00-10:00", true},
        {"Sa-Mo 22:00-06:00", true},
        {"Mo,We-Fr,Su 00:00-00:01", true},
        {"Mo-Fr", false},
        {"08:00-18:00", false},
        {"Mo-Fr 08:00", false},
        {"Mo-Fr08:00-18:00", false},
        {"mo-fr 08:00-18:00", false},
        {"Mon-Fri 08:00-18:00", false},
        {"Mo-Fr 8:00-18:00", false},
        {"Mo-Fr 08:00-24:01", false},
        {"Mo-Fr 24:00-06:00", false},
        {"Mo-Fr 08:60-18:00", false},
        {"Mo-Fr 08:00-08:00", false},
        {"Mo-Fr 08:00-18:00;", false},
        {";", false},
        {"Mo-Fr 08:00-18:00,", false},
        {"Mo-Xx 08:00-18:00", false},
        {"Mo- 08:00-18:00", false},
        {"Mo-Fr 08:00-18:00 Sa 09:00-10:00", false},
        {"Mo-Fr 08:00-18-00", false},
    };
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        struct err_info info = {.text = ""};
        enum err e = hours_validate(slice_of(table[i].text), &info);
        if ((e == ERR_OK) != table[i].valid) fail_msg("%s: %s", table[i].text, info.text);
        if (e != ERR_OK && strstr(info.text, "Mo-Fr 08:00-18:00") == NULL) fail_msg("shows no form: %s", info.text);
    }
    char text[2000];
    memset(text, ' ', sizeof text);
    assert_int_equal(hours_validate((struct slice){text, sizeof text}, NULL), ERR_LIMIT);
}

enum { MO, TU, WE, TH, FR, SA, SU };
#define AT(hour, min) ((hour)*60 + (min))

static void test_contain(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        unsigned weekday;
        unsigned minute;
        bool in;
    } table[] = {
        {"", SU, AT(3, 0), true},
        {"Mo-Fr 08:00-18:00", MO, AT(8, 0), true},
        {"Mo-Fr 08:00-18:00", MO, AT(7, 59), false},
        {"Mo-Fr 08:00-18:00", FR, AT(17, 59), true},
        {"Mo-Fr 08:00-18:00", FR, AT(18, 0), false},
        {"Mo-Fr 08:00-18:00", SA, AT(12, 0), false},
        {"Su 00:00-24:00", SU, AT(23, 59), true},
        {"Su 00:00-24:00", MO, AT(0, 0), false},
        {"Fr 22:00-06:00", FR, AT(21, 59), false},
        {"Fr 22:00-06:00", FR, AT(22, 0), true},
        {"Fr 22:00-06:00", SA, AT(5, 59), true},
        {"Fr 22:00-06:00", SA, AT(6, 0), false},
        {"Fr 22:00-06:00", FR, AT(5, 0), false},
        {"Su 22:00-00:00", SU, AT(23, 0), true},
        {"Su 22:00-00:00", MO, AT(0, 0), false},
        {"Su 22:00-06:00", MO, AT(1, 0), true},
        {"Sa-Mo 10:00-11:00", SU, AT(10, 30), true},
        {"Sa-Mo 10:00-11:00", TU, AT(10, 30), false},
        {"Mo 08:00-12:00,13:00-17:00", MO, AT(12, 30), false},
        {"Mo 08:00-12:00,13:00-17:00", MO, AT(13, 0), true},
        {"Mo 08:00-09:00; We 10:00-11:00", WE, AT(10, 0), true},
        {"Mo 08:00-09:00; We 10:00-11:00", WE, AT(8, 0), false},
    };
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        struct local_time t = {table[i].weekday, table[i].minute};
        assert_int_equal(hours_validate(slice_of(table[i].text), NULL), ERR_OK);
        if (hours_contain(slice_of(table[i].text), t) != table[i].in) {
            fail_msg("%s: day %u minute %u", table[i].text, t.weekday, t.minute);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_grammar), cmocka_unit_test(test_contain)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
