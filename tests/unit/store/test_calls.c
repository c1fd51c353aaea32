/* test_calls: call records: their order, replacement, what goes when there are too many or they are too old, and that
 * they outlive a restart. */
#include "tests/unit/store/support.h"

#include <stdio.h>

#define KEEP_ALL 1000000

static void write_calls(struct fixture *f, int64_t first_ms, size_t count, const char *text, uint64_t keep,
                        int64_t oldest_ms)
{
    struct store_call_put *puts = calloc(count + 1, sizeof *puts);
    assert_non_null(puts);
    for (size_t i = 0; i < count; i++) {
        struct wall started = {first_ms + (int64_t)i * 1000};
        store_call_key(started, 7, i + 1, puts[i].key);
        puts[i].value = slice_of(text);
    }
    assert_int_equal(store_submit_calls(f->store, puts, count, keep, oldest_ms, ++f->next_token), ERR_OK);
    struct store_completion done = fixture_wait(f);
    if (done.err != ERR_OK) fail_msg("%s: %s", err_name(done.err), done.info.text);
    free(puts);
}

struct listing {
    char text[512];
    char last[STORE_CALL_KEY];
    size_t count;
    size_t stop_after;
};

static bool list_call(void *ctx, struct slice key, struct slice value)
{
    struct listing *l = ctx;
    struct wall started;
    uint32_t run = 0;
    uint32_t id = 0;
    size_t n = strlen(l->text);
    store_call_key_parse(key, &started, &run, &id);
    assert_int_equal(run, 7);
    if (l->count < 20)
        (void)snprintf(l->text + n, sizeof l->text - n, "%lld/%u=%.*s ", (long long)started.ms, (unsigned)id,
                       SLICE_ARG(value));
    memcpy(l->last, key.p, sizeof l->last);
    return ++l->count != l->stop_after;
}

static struct listing list(struct fixture *f, struct slice before, size_t stop_after)
{
    struct listing l = {.stop_after = stop_after};
    assert_int_equal(store_read_begin(f->read), ERR_OK);
    assert_int_equal(store_calls(f->read, before, list_call, &l), ERR_OK);
    store_read_end(f->read);
    return l;
}

static void newest_first_and_in_pages(void **state)
{
    struct fixture f;
    (void)state;
    fixture_open(&f, NULL, 0);
    assert_string_equal(list(&f, SLICE(""), 0).text, "");
    write_calls(&f, 1000, 4, "a", KEEP_ALL, 0);
    assert_string_equal(list(&f, SLICE(""), 0).text, "4000/4=a 3000/3=a 2000/2=a 1000/1=a ");
    struct listing first = list(&f, SLICE(""), 2);
    assert_string_equal(first.text, "4000/4=a 3000/3=a ");
    assert_string_equal(list(&f, (struct slice){first.last, sizeof first.last}, 0).text, "2000/2=a 1000/1=a ");
    write_calls(&f, 1000, 1, "b", KEEP_ALL, 0); /* the same call once more */
    assert_string_equal(list(&f, SLICE(""), 0).text, "4000/4=a 3000/3=a 2000/2=a 1000/1=b ");
    fixture_reopen(&f);
    assert_string_equal(list(&f, SLICE(""), 0).text, "4000/4=a 3000/3=a 2000/2=a 1000/1=b ");
    fixture_close(&f);
}

static void the_oldest_go(void **state)
{
    struct fixture f;
    (void)state;
    fixture_open(&f, NULL, 0);
    write_calls(&f, 1000, 5, "a", 3, 0);
    assert_string_equal(list(&f, SLICE(""), 0).text, "5000/5=a 4000/4=a 3000/3=a ");
    write_calls(&f, 0, 0, "", 3, 4500); /* by age, without a new one */
    assert_string_equal(list(&f, SLICE(""), 0).text, "5000/5=a ");
    write_calls(&f, 0, 0, "", 0, 0);
    assert_string_equal(list(&f, SLICE(""), 0).text, "");
    assert_int_equal(counter(&f, "calls_written"), 5);
    assert_int_equal(counter(&f, "calls_trimmed"), 5);
    fixture_close(&f);
}

/* No transaction removes without bounds; it ends all the same. */
static void much_goes_step_by_step(void **state)
{
    struct fixture f;
    (void)state;
    fixture_open(&f, NULL, 0);
    write_calls(&f, 1000, 3000, "x", KEEP_ALL, 0);
    write_calls(&f, 0, 0, "", 100, 0);
    assert_int_equal(list(&f, SLICE(""), 0).count, 2000);
    write_calls(&f, 0, 0, "", 100, 0);
    write_calls(&f, 0, 0, "", 100, 0);
    assert_int_equal(list(&f, SLICE(""), 0).count, 100);
    fixture_close(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(newest_first_and_in_pages),
        cmocka_unit_test(the_oldest_go),
        cmocka_unit_test(much_goes_step_by_step),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
