#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>
#include <pthread.h>

#include "node/app/events.h"

static struct event list[EVENTS_KEPT];

static void add(struct events *e, enum log_level level, const char *ev, unsigned n)
{
    char text[32];
    (void)snprintf(text, sizeof text, "n=%u", n);
    events_add(e, (struct wall){1000 + n}, level, "mesh", ev, text, 0);
}

static void they_come_in_order(void **state)
{
    struct events *e = events_new();
    uint64_t gone = 1;
    (void)state;
    assert_int_equal(events_copy(e, 0, list, &gone), 0);
    assert_int_equal(gone, 0);
    for (unsigned n = 1; n <= 5; n++)
        add(e, LOG_INFO, "link-up", n);
    events_add(e, (struct wall){900}, LOG_WARN, "prober", "trunk-down", "", 7); /* the clock was set back */
    assert_int_equal(events_copy(e, 0, list, &gone), 6);
    for (unsigned n = 1; n <= 6; n++)
        assert_int_equal(list[n - 1].number, n);
    assert_string_equal(list[1].text, "n=2");
    assert_int_equal(list[1].at.ms, 1002);
    assert_int_equal(list[1].suppressed, 0);
    assert_string_equal(list[5].module, "prober");
    assert_string_equal(list[5].ev, "trunk-down");
    assert_int_equal(list[5].level, LOG_WARN);
    assert_int_equal(list[5].suppressed, 7);
    assert_int_equal(events_copy(e, 4, list, &gone), 2);
    assert_int_equal(list[0].number, 5);
    assert_int_equal(events_copy(e, 6, list, &gone), 0);
    events_free(e);
    events_free(NULL);
}

/* The newest, in order, whose first one says how many of its kind are gone. */
static void one_kind_makes_room_for_itself(void **state)
{
    struct events *e = events_new();
    uint64_t gone = 0;
    (void)state;
    for (unsigned n = 1; n <= EVENTS_KEPT + 234; n++)
        add(e, LOG_INFO, "link-up", n);
    assert_int_equal(events_copy(e, 0, list, &gone), EVENTS_KEPT);
    assert_int_equal(gone, 234);
    assert_int_equal(list[0].suppressed, 234);
    for (unsigned i = 0; i < EVENTS_KEPT; i++) {
        assert_int_equal(list[i].number, 235 + i);
        if (i > 0) assert_int_equal(list[i].suppressed, 0);
    }
    events_free(e);
}

/* Ten thousand of one warning, and of each other event all are still there; every one that is not is counted. */
static void a_flood_pushes_nothing_else_out(void **state)
{
    static const char *const rare[] = {"listener-dead", "link-down", "own-certificate"};
    struct events *e = events_new();
    uint64_t gone = 0;
    unsigned seen[3] = {0};
    uint64_t floods = 0;
    (void)state;
    for (unsigned n = 1; n <= 10000; n++) {
        add(e, LOG_WARN, "hello-refused", n);
        if (n % 100 == 0) add(e, LOG_ERROR, rare[n / 100 % 3], n);
    }
    assert_int_equal(events_copy(e, 0, list, &gone), EVENTS_KEPT);
    assert_int_equal(gone, 10000 + 100 - EVENTS_KEPT);
    for (size_t i = 0; i < EVENTS_KEPT; i++) {
        if (i > 0) assert_true(list[i].number > list[i - 1].number);
        for (size_t k = 0; k < 3; k++)
            seen[k] += strcmp(list[i].ev, rare[k]) == 0;
        if (strcmp(list[i].ev, "hello-refused") == 0) floods += 1 + list[i].suppressed;
    }
    assert_int_equal(seen[0] + seen[1] + seen[2], 100);
    assert_int_equal(floods, 10000);
    assert_string_equal(list[EVENTS_KEPT - 1].ev, rare[1]);
    events_free(e);
}

static struct events *one_of_each(void)
{
    struct events *e = events_new();
    char ev[16];
    for (unsigned n = 0; n < EVENTS_KEPT; n++) {
        (void)snprintf(ev, sizeof ev, "kind-%u", n);
        add(e, LOG_INFO, ev, n);
    }
    return e;
}

/* Where the only one of its kind makes room for another of that kind, that one takes over its count. */
static void the_next_one_takes_over_the_count(void **state)
{
    struct events *e = one_of_each();
    unsigned left_out = 0;
    char ev[16];
    uint64_t gone = 0;
    (void)state;
    add(e, LOG_INFO, "another", 0); /* to see which one goes */
    assert_int_equal(events_copy(e, 0, list, &gone), EVENTS_KEPT);
    assert_int_equal(list[EVENTS_KEPT - 1].suppressed, 0);
    while (left_out < EVENTS_KEPT && list[left_out].number == left_out + 1)
        left_out++;
    (void)snprintf(ev, sizeof ev, "kind-%u", left_out);
    events_free(e);

    e = one_of_each();
    add(e, LOG_INFO, ev, 0);
    assert_int_equal(events_copy(e, 0, list, &gone), EVENTS_KEPT);
    assert_int_equal(gone, 1);
    assert_string_equal(list[EVENTS_KEPT - 1].ev, ev);
    assert_int_equal(list[EVENTS_KEPT - 1].suppressed, 1);
    events_free(e);
}

static void long_texts_are_cut_between_characters(void **state)
{
    struct events *e = events_new();
    char text[2 * EVENTS_TEXT];
    uint64_t gone = 0;
    (void)state;
    for (size_t shift = 0; shift < 2; shift++) {
        size_t n = 0;
        if (shift > 0) text[n++] = 'x';
        while (n + 2 < sizeof text) {
            memcpy(text + n, "\xc3\xa4", 2);
            n += 2;
        }
        text[n] = '\0';
        events_add(e, (struct wall){1}, LOG_INFO, "a-module-with-a-long-name",
                   "an-event-with-a-name-that-is-far-too-long", text, 0);
    }
    memset(text, 'y', EVENTS_TEXT - 1);
    text[EVENTS_TEXT - 1] = '\0';
    events_add(e, (struct wall){1}, LOG_INFO, "a", "b", text, 0);
    memset(text, 0x80, sizeof text - 1); /* no character at all */
    text[sizeof text - 1] = '\0';
    events_add(e, (struct wall){1}, LOG_INFO, "a", "b", text, 0);
    assert_int_equal(events_copy(e, 0, list, &gone), 4);
    for (size_t i = 0; i < 2; i++) {
        size_t n = strlen(list[i].text);
        assert_true(n == EVENTS_TEXT - 1 || n == EVENTS_TEXT - 2);
        assert_memory_equal(list[i].text + n - 5, "\xc3\xa4...", 6);
    }
    assert_int_equal(strlen(list[2].text), EVENTS_TEXT - 1);
    assert_int_equal(list[2].text[EVENTS_TEXT - 2], 'y');
    assert_int_equal(strlen(list[3].text), EVENTS_TEXT - 4);
    assert_int_equal(strlen(list[0].module), sizeof list[0].module - 1);
    assert_int_equal(strlen(list[0].ev), sizeof list[0].ev - 1);
    events_free(e);
}

/* ---- threads ---- */

#define THREADS 4
#define EACH 3000

struct writer {
    struct events *e;
    char ev[16];
};

static void *write_many(void *arg)
{
    struct writer *w = arg;
    for (unsigned n = 0; n < EACH; n++)
        add(w->e, LOG_INFO, w->ev, n);
    return NULL;
}

static void any_thread_may_add(void **state)
{
    struct events *e = events_new();
    pthread_t threads[THREADS];
    struct writer writers[THREADS];
    uint64_t gone = 0;
    uint64_t sum = 0;
    (void)state;
    for (unsigned t = 0; t < THREADS; t++) {
        writers[t].e = e;
        (void)snprintf(writers[t].ev, sizeof writers[t].ev, "thread-%u", t);
        assert_int_equal(pthread_create(&threads[t], NULL, write_many, &writers[t]), 0);
    }
    for (unsigned looks = 0; looks < 20; looks++) {
        size_t count = events_copy(e, 0, list, &gone);
        for (size_t i = 1; i < count; i++)
            assert_true(list[i].number > list[i - 1].number);
    }
    for (unsigned t = 0; t < THREADS; t++)
        assert_int_equal(pthread_join(threads[t], NULL), 0);
    assert_int_equal(events_copy(e, 0, list, &gone), EVENTS_KEPT);
    for (size_t i = 0; i < EVENTS_KEPT; i++)
        sum += 1 + list[i].suppressed;
    assert_int_equal(sum, THREADS * EACH);
    events_free(e);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(they_come_in_order),
        cmocka_unit_test(one_kind_makes_room_for_itself),
        cmocka_unit_test(a_flood_pushes_nothing_else_out),
        cmocka_unit_test(the_next_one_takes_over_the_count),
        cmocka_unit_test(long_texts_are_cut_between_characters),
        cmocka_unit_test(any_thread_may_add),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
