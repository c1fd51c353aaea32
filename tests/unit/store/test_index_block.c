/* test_index_block: one block of the prefix index by itself, also when its bytes are none; and an index of many blocks
 * through changes that cut, empty and refill them, against a plain table of what is in the plan. */
#include "tests/unit/store/support.h"

#include <stdio.h>

#include "node/base/rng.h"
#include "store/index_block.h"
#include "store/tables.h"

/* ---- one block ---- */

#define MANY 3000

static struct index_entry made(const char *key, const char *head, const char *tail, const char *packed,
                               const char *range)
{
    return (struct index_entry){.key = slice_of(key),
                                .head = slice_of(head),
                                .tail = slice_of(tail),
                                .packed = slice_of(packed),
                                .range = slice_of(range),
                                .from_account = tail[0] == '\0'};
}

static void assert_entry(const struct index_entry *a, const struct index_entry *b)
{
    assert_true(slice_eq(a->key, b->key) && slice_eq(a->head, b->head) && slice_eq(a->tail, b->tail));
    assert_true(slice_eq(a->packed, b->packed) && slice_eq(a->range, b->range));
    assert_int_equal(a->from_account, b->from_account);
}

/* Every entry of a block, in order. */
static void assert_block(struct slice bytes, const struct index_entry *want, size_t count)
{
    struct index_block b;
    size_t n = 0;
    assert_int_equal(index_block_open(bytes, &b), ERR_OK);
    for (size_t at = 0; at < b.count; at++) {
        char text[PATTERN_KEY_MAX];
        struct slice key;
        struct index_list list;
        struct index_entry got;
        enum err e;
        assert_int_equal(index_block_key(&b, at, text, &key), ERR_OK);
        assert_int_equal(index_block_list(&b, at, &list), ERR_OK);
        while ((e = index_list_take(&list, key, &got)) == ERR_OK) {
            assert_true(n < count);
            assert_entry(&got, &want[n++]);
        }
        assert_int_equal(e, ERR_NOTFOUND);
    }
    assert_int_equal(n, count);
}

static void test_texts(void **state)
{
    static const struct {
        struct index_entry entry;
        unsigned specificity;
        const char *match;
        const char *object;
    } rows[] = {
        {{.key = {"+49", 3}, .head = {"route//", 7}, .tail = {"/trunk/t", 8}}, 3, "+49", "route//+49/trunk/t"},
        {{.key = {"60=", 3}, .head = {"route/hq/", 9}, .tail = {"/trunk/t", 8}}, 33, "=60", "route/hq/=60/trunk/t"},
        {{.key = {"82", 2}, .head = {"route//", 7}, .tail = {"/site/s", 7}, .range = {"8150-8379", 9}},
         4,
         "8150-8379",
         "route//8150-8379/site/s"},
        {{.key = {"82", 2}, .head = {"account/a", 9}, .from_account = true}, 2, "82", "account/a"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char match[INDEX_MATCH_MAX];
        char object[PLAN_KEY_MAX];
        assert_int_equal(index_entry_specificity(&rows[i].entry), rows[i].specificity);
        assert_true(slice_is(index_entry_match(&rows[i].entry, match), rows[i].match));
        assert_true(slice_is(index_entry_object(&rows[i].entry, object), rows[i].object));
    }
}

static void test_seek(void **state)
{
    static const struct {
        const char *key;
        int at; /* -1: all are greater */
    } rows[] = {{"+", -1},   {"+4", -1},   {"+48", -1}, {"+49", 0},   {"+490", 0},
                {"+491", 1}, {"+4915", 1}, {"+492", 2}, {"+492=", 3}, {"+4929", 2},
                {"+5", 3},   {"5", 3},     {"*", -1},   {"", -1},     {"+49199999999999999999999999999999", 1}};
    (void)state;
    const struct index_entry entries[] = {
        made("+49", "route//", "/trunk/t", "p", ""), made("+491", "route//", "/trunk/t", "p", ""),
        made("+492", "route//", "/trunk/t", "p", ""), made("+492=", "route//", "/trunk/t", "p", "")};
    struct buf out = {0};
    struct index_block b;
    assert_int_equal(index_block_write(entries, 4, &out), ERR_OK);
    assert_int_equal(index_block_open(buf_view(&out), &b), ERR_OK);
    assert_true(slice_is(b.stem, "+49"));
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        size_t at = 99;
        enum err e = index_block_seek(&b, slice_of(rows[i].key), &at);
        if (e != (rows[i].at < 0 ? ERR_NOTFOUND : ERR_OK) || (e == ERR_OK && at != (size_t)rows[i].at))
            fail_msg("%s: %s at %zu", rows[i].key, err_name(e), at);
    }
    buf_fini(&out);
}

/* One key with more than two bytes can count; equal forms are written once. */
static void test_wide(void **state)
{
    static struct index_entry entries[MANY];
    static char heads[MANY][16];
    struct buf out = {0};
    struct buf shared = {0};
    (void)state;
    for (size_t i = 0; i < MANY; i++) {
        (void)snprintf(heads[i], sizeof heads[i], "route/s%04zu/", i);
        entries[i] = made(i < MANY / 2 ? "112" : "113", heads[i], "/trunk/pbx", "about-twenty-bytes-of", "");
    }
    assert_int_equal(index_block_write(entries, MANY, &out), ERR_OK);
    assert_true(out.n > UINT16_MAX);
    assert_block(buf_view(&out), entries, MANY);
    for (size_t i = 0; i < MANY; i++)
        entries[i].head = SLICE("route//");
    assert_int_equal(index_block_write(entries, MANY, &shared), ERR_OK);
    assert_true(shared.n < out.n / 4);
    assert_block(buf_view(&shared), entries, MANY);
    buf_fini(&out);
    buf_fini(&shared);
}

/* Whatever the bytes are, reading them ends, within them. */
static void read_all(struct slice bytes)
{
    struct index_block b;
    if (index_block_open(bytes, &b) != ERR_OK) return;
    size_t at;
    (void)!index_block_seek(&b, SLICE("8250"), &at);
    for (at = 0; at < b.count && at < 64; at++) {
        char text[PATTERN_KEY_MAX];
        struct slice key;
        struct index_list list;
        struct index_entry got;
        if (index_block_key(&b, at, text, &key) != ERR_OK || index_block_list(&b, at, &list) != ERR_OK) continue;
        while (index_list_take(&list, key, &got) == ERR_OK) {
            char object[PLAN_KEY_MAX];
            (void)index_entry_object(&got, object);
        }
    }
}

static void test_no_block(void **state)
{
    const struct index_entry entries[] = {
        made("81", "route//", "/trunk/t", "first", "8150-8379"), made("82", "account/cam", "", "second", ""),
        made("82", "route//", "/trunk/t", "first", ""), made("8250=", "route/hq/", "/trunk/t", "third", "")};
    struct buf out = {0};
    struct rng rng;
    (void)state;
    rng_init(&rng, 1);
    assert_int_equal(index_block_write(entries, 4, &out), ERR_OK);
    assert_block(buf_view(&out), entries, 4);
    for (size_t n = 0; n < out.n; n++) {
        char *cut = malloc(n + 1); /* of its own, so that a sanitizer sees a byte too far */
        assert_non_null(cut);
        memcpy(cut, out.p, n);
        char *exact = realloc(cut, n > 0 ? n : 1);
        read_all((struct slice){exact != NULL ? exact : cut, n});
        free(exact != NULL ? exact : cut);
    }
    for (unsigned i = 0; i < 20000; i++) {
        char *damaged = malloc(out.n);
        assert_non_null(damaged);
        memcpy(damaged, out.p, out.n);
        for (unsigned k = 0; k <= rng_below(&rng, 3); k++)
            damaged[rng_below(&rng, out.n)] = (char)rng_below(&rng, 256);
        read_all((struct slice){damaged, out.n});
        free(damaged);
    }
    buf_fini(&out);
}

/* ---- many blocks ---- */

/* Prefixes of one to four digits behind "+4", and the exact numbers of four: one bit each, by length and value. */
#define LENGTHS 5 /* the last one: exact */
static const unsigned space[LENGTHS] = {10, 100, 1000, 10000, 10000};

struct table {
    bool *live[LENGTHS];
    uint64_t count;
};

static void text_of(unsigned length, unsigned value, char match[16])
{
    const char *exact = length == LENGTHS - 1 ? "=" : "";
    int digits = length == LENGTHS - 1 ? 4 : (int)length + 1;
    (void)snprintf(match, 16, "%s+4%0*u", exact, digits, value);
}

static void toggle(struct change *c, struct table *t, unsigned length, unsigned value, bool on)
{
    char match[16];
    if (t->live[length][value] == on || c->set.op_count == c->many_cap) return;
    text_of(length, value, match);
    t->live[length][value] = on;
    t->count += on ? 1 : (uint64_t)-1;
    if (on) {
        struct plan_object o = make_route(value % 7 == 0 ? "hq" : "", match, value % 3 == 0 ? "one" : "two");
        change_put(c, &o);
    } else {
        char key[64];
        (void)snprintf(key, sizeof key, "route/%s/%s/trunk/%s", value % 7 == 0 ? "hq" : "", match,
                       value % 3 == 0 ? "one" : "two");
        change_delete(c, key);
    }
}

static void check_one(struct fixture *f, const struct table *t, const char *number)
{
    struct candidate found[16];
    struct arena arena = {0};
    size_t count;
    size_t at = 0;
    bool more;
    unsigned digits = (unsigned)atoi(number + 2);
    unsigned exact = strlen(number) == 6 ? 1 : 0;
    assert_int_equal(store_match(f->read, &arena, slice_of(number), found, 16, &count, &more), ERR_OK);
    for (unsigned length = LENGTHS - 1 + exact; length-- > 0;) {
        char match[16];
        unsigned value = digits;
        for (unsigned n = (unsigned)strlen(number) - 2; length < LENGTHS - 1 && n > length + 1; n--)
            value /= 10;
        if (!t->live[length][value]) continue;
        text_of(length, value, match);
        if (at == count || !slice_is(found[at].route.match, match)) fail_msg("%s does not find %s", number, match);
        assert_true(slice_is(found[at].route.target.name, value % 3 == 0 ? "one" : "two"));
        assert_true(slice_is(found[at].route.scope, value % 7 == 0 ? "hq" : ""));
        at++;
    }
    assert_int_equal(at, count);
    arena_fini(&arena);
}

struct order {
    char last[PATTERN_KEY_MAX + 1];
    uint64_t count;
};

static bool in_order(void *ctx, struct slice index_key, struct slice object)
{
    struct order *o = ctx;
    struct slice last = slice_of(o->last);
    assert_true(slice_cmp(last, index_key) < 0);
    assert_true(slice_starts(object, SLICE("route/")));
    (void)snprintf(o->last, sizeof o->last, "%.*s", SLICE_ARG(index_key));
    o->count++;
    return true;
}

static void check_all(struct fixture *f, const struct table *t, struct rng *rng)
{
    struct order all = {.count = 0};
    struct order part = {.count = 0};
    uint64_t count = 0;
    uint64_t want = 0;
    assert_int_equal(store_read_begin(f->read), ERR_OK);
    assert_int_equal(store_index_count(f->read, &count), ERR_OK);
    assert_int_equal(count, t->count);
    assert_int_equal(store_index_within(f->read, SLICE("+"), SLICE("+"), in_order, &all), ERR_OK);
    assert_int_equal(all.count, t->count);
    assert_int_equal(store_index_within(f->read, SLICE("+4300"), SLICE("+4599"), in_order, &part), ERR_OK);
    for (unsigned value = 3000; value < 6000; value++)
        want += (uint64_t)t->live[3][value] + t->live[4][value] + (value % 10 == 0 && t->live[2][value / 10]);
    for (unsigned value = 31; value < 60; value++)
        want += value != 0 && (t->live[1][value]);
    for (unsigned value = 4; value < 6; value++)
        want += t->live[0][value];
    assert_int_equal(part.count, want);
    for (unsigned i = 0; i < 1500; i++) {
        char number[16];
        (void)snprintf(number, sizeof number, "+4%0*u", rng_below(rng, 4) == 0 ? 6 : 4,
                       (unsigned)rng_below(rng, 10000));
        check_one(f, t, number);
    }
    check_one(f, t, "+40000");
    check_one(f, t, "+49999");
    store_read_end(f->read);
}

/* Some single ones, or all of a stretch: that cuts blocks, or empties them from the front, the middle and the end. */
static void change_some(struct change *c, struct table *t, struct rng *rng, unsigned round)
{
    bool on = round % 3 != 2;
    for (unsigned i = 0; i < 300; i++) {
        unsigned length = (unsigned)rng_below(rng, LENGTHS);
        toggle(c, t, length, (unsigned)rng_below(rng, space[length]), rng_below(rng, 2) == 0);
    }
    unsigned from = round % 3 == 2 && round % 2 == 0 ? 0 : (unsigned)rng_below(rng, 8000);
    for (unsigned value = from; value < from + 1500 && value < 10000; value++) {
        toggle(c, t, 3, value, on);
        if (value % 10 == 0) toggle(c, t, 2, value / 10, on);
        if (value % 2 == 0) toggle(c, t, 4, value, on && round % 2 == 0);
    }
}

static void test_many_blocks(void **state)
{
    struct fixture f;
    struct table t = {.count = 0};
    struct rng rng;
    (void)state;
    for (unsigned i = 0; i < LENGTHS; i++) {
        t.live[i] = calloc(space[i], sizeof *t.live[i]);
        assert_non_null(t.live[i]);
    }
    rng_init(&rng, 7);
    fixture_open(&f, NULL, 0);
    for (unsigned round = 0; round <= 12; round++) {
        struct change c;
        change_init(&c, "hq-1", 1, round + 1, 100 + round);
        c.many_cap = 26000;
        c.many = calloc(c.many_cap, sizeof *c.many);
        assert_non_null(c.many);
        if (round < 12) {
            change_some(&c, &t, &rng, round);
        } else { /* all goes */
            for (unsigned length = 0; length < LENGTHS; length++)
                for (unsigned value = 0; value < space[length]; value++)
                    toggle(&c, &t, length, value, false);
        }
        assert_int_equal(apply_err(&f, &c), ERR_OK);
        check_all(&f, &t, &rng);
        change_fini(&c);
    }
    assert_int_equal(t.count, 0);
    fixture_shut(&f);
    assert_int_equal(table_count(&f, PLAN_INDEX), 0);
    fixture_close(&f);
    for (unsigned i = 0; i < LENGTHS; i++)
        free(t.live[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_texts),    cmocka_unit_test(test_seek),        cmocka_unit_test(test_wide),
        cmocka_unit_test(test_no_block), cmocka_unit_test(test_many_blocks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
