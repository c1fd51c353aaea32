/* Who rests, for how long, and what a response has to say for that. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "node/edge/rest.h"

static const struct mono start = {5000000};

static union sock_address at(uint16_t port)
{
    union sock_address a;
    assert_int_equal(sock_address_parse(SLICE("192.0.2.1"), port, &a), ERR_OK);
    return a;
}

static uint32_t asked(unsigned code, const char *lines)
{
    struct sip_view v;
    char text[1024];
    int n = snprintf(text, sizeof text,
                     "SIP/2.0 %u Words\r\nVia: SIP/2.0/UDP 10.0.0.1:5060;branch=z9hG4bK1\r\nFrom: <sip:a@b>;tag=1\r\n"
                     "To: <sip:a@b>;tag=2\r\nCall-ID: c\r\nCSeq: 1 INVITE\r\n%sContent-Length: 0\r\n\r\n",
                     code, lines);
    assert_int_equal(sip_view_parse(&v, text, (size_t)n, NULL), SIP_FAULT_NONE);
    return rest_asked_s(&v);
}

static void what_a_response_asks_for(void **state)
{
    static const struct {
        unsigned code;
        const char *lines;
        uint32_t s;
    } cases[] = {
        {503, "Retry-After: 30\r\n", 30},
        {503, "Retry-After: 18 (busy);duration=3600\r\n", 18},
        {503, "Retry-After: 300\r\n", 300},
        {503, "Retry-After: 99999999\r\n", REST_MAX_S},
        {503, "Retry-After: 99999999999999999999999\r\n", REST_MAX_S},
        {503, "Retry-After: 0\r\n", 0},
        {503, "Retry-After: -5\r\n", 0},
        {503, "Retry-After: soon\r\n", 0},
        {503, "Retry-After:\r\n", 0},
        {503, "", 0}, /* as a 500 */
        {500, "Retry-After: 30\r\n", 0},
        {486, "Retry-After: 30\r\n", 0},
        {600, "Retry-After: 30\r\n", 0},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        assert_int_equal(asked(cases[i].code, cases[i].lines), cases[i].s);
}

static void until_its_time_is_over(void **state)
{
    struct rests r = {0};
    union sock_address a = at(1);
    union sock_address other = at(2);
    (void)state;
    assert_true(rests_next(&r).us == UINT64_MAX);
    rests_add(&r, &a, 10, start);
    assert_true(rests_until(&r, &a, start).us == start.us + 10000000);
    assert_true(rests_until(&r, &other, start).us == 0);
    assert_int_equal(rest_left_s(rests_until(&r, &a, start), mono_add_ms(start, 1)), 10);
    assert_int_equal(rest_left_s(rests_until(&r, &a, start), mono_add_ms(start, 9001)), 1);
    struct mono end = mono_add_ms(start, 10000);
    assert_true(rests_until(&r, &a, end).us == 0);
    assert_int_equal(rest_left_s((struct mono){0}, end), 0);
    assert_true(rests_next(&r).us == end.us);
    rests_pass(&r, end);
    assert_true(rests_next(&r).us == UINT64_MAX);
}

static void the_last_word_counts(void **state)
{
    struct rests r = {0};
    union sock_address a = at(1);
    (void)state;
    rests_add(&r, &a, 100, start);
    rests_add(&r, &a, 10, start);
    assert_true(rests_until(&r, &a, start).us == start.us + 10000000);
    rests_pass(&r, mono_add_ms(start, 10000));
    assert_true(rests_next(&r).us == UINT64_MAX);
}

static void all_of_a_name(void **state)
{
    struct rests r = {0};
    union sock_address list[] = {at(1), at(2)};
    (void)state;
    rests_add(&r, &list[0], 10, start);
    assert_true(rests_all_until(&r, list, 2, start).us == 0);
    assert_true(rests_all_until(&r, list, 1, start).us == start.us + 10000000);
    rests_add(&r, &list[1], 5, start);
    assert_true(rests_all_until(&r, list, 2, start).us == start.us + 5000000);
    assert_true(rests_all_until(&r, list, 2, mono_add_ms(start, 5000)).us == 0);
    assert_true(rests_all_until(&r, list, 0, start).us == 0);
}

static void more_than_there_is_room_for(void **state)
{
    struct rests r = {0};
    (void)state;
    for (uint16_t i = 1; i <= REST_ADDRESSES + 1; i++) {
        union sock_address a = at(i);
        rests_add(&r, &a, 10u + i, start);
    }
    union sock_address first = at(1);
    union sock_address second = at(2);
    union sock_address last = at(REST_ADDRESSES + 1);
    assert_true(rests_until(&r, &first, start).us == 0); /* it would have been back first */
    assert_true(rests_until(&r, &second, start).us > 0);
    assert_true(rests_until(&r, &last, start).us > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_a_response_asks_for),    cmocka_unit_test(until_its_time_is_over),
        cmocka_unit_test(the_last_word_counts),        cmocka_unit_test(all_of_a_name),
        cmocka_unit_test(more_than_there_is_room_for),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
