/* test_conflicts: which values stand in conflict: by what their authors had seen, in whichever order they come. */
#include "tests/unit/store/support.h"

#include <stdio.h>
#include <string.h>

#include "node/base/rng.h"

/* One edit of site/hq in a small story: who, when, what, and which edits its author had seen (letters of their names).
 */
struct edit {
    char name;
    const char *origin;
    uint64_t seq;
    uint64_t time;
    const char *block; /* NULL: it removes the site; "": it accepts */
    const char *seen;
    bool settles; /* an undo or a confirmation */
};

#define EDITS_MAX 8
struct story {
    struct edit edits[EDITS_MAX];
    size_t count;
    struct change changes[EDITS_MAX];
    struct stamp seen[EDITS_MAX][CHANGE_SEEN_MAX];
};

static const struct edit *edit_of(const struct story *s, char name)
{
    for (size_t i = 0; i < s->count; i++) {
        if (s->edits[i].name == name) return &s->edits[i];
    }
    fail_msg("no edit %c", name);
    return NULL;
}

static void make(struct story *s, size_t i)
{
    const struct edit *e = &s->edits[i];
    struct change *c = &s->changes[i];
    change_init(c, e->origin, 1, e->seq, e->time);
    if (e->block != NULL && e->block[0] != '\0') {
        struct plan_object o = make_site("hq", e->block);
        change_put(c, &o);
    } else {
        change_delete(c, "site/hq");
    }
    if (e->block != NULL && e->block[0] == '\0') c->ops[0].kind = CHANGE_ACCEPT;
    for (size_t k = 0; e->seen[k] != '\0'; k++) {
        const struct edit *seen = edit_of(s, e->seen[k]);
        s->seen[i][k] = (struct stamp){.time = {seen->time}, .origin = name_of(seen->origin), .epoch = 1};
        c->ops[0].seen_count = k + 1;
    }
    c->ops[0].seen = s->seen[i];
    c->set.terms.says_seen = true;
    if (!e->settles) return;
    c->set.terms.settles = (struct log_id){.origin = name_of("hq"), .epoch = 1, .seq = 1};
    c->set.terms.verdict = CHANGE_UNDOES;
}

static bool add_time(void *ctx, const struct store_conflict *c)
{
    char *out = ctx;
    (void)sprintf(out + strlen(out), "%llu%s ", (unsigned long long)c->stamp.time.v, c->removed ? "-" : "");
    return true;
}

/* The times of what is in conflict: "20 30- ", "-" for a deletion. */
static void conflicts_text(struct fixture *f, char *out)
{
    out[0] = '\0';
    assert_int_equal(store_read_begin(f->read), ERR_OK);
    assert_int_equal(store_conflicts(f->read, SLICE("site/"), add_time, out), ERR_OK);
    store_read_end(f->read);
}

/* Changes of one origin come in order, those of different ones in any. */
static void tell(struct story *s, struct rng *rng, const char *expected)
{
    struct fixture f;
    char text[200];
    bool told[EDITS_MAX] = {false};
    fixture_open(&f, NULL, 0);
    for (size_t n = 0; n < s->count;) {
        size_t i = (size_t)rng_below(rng, s->count);
        bool ready = !told[i];
        for (size_t k = 0; k < s->count; k++) {
            bool before = strcmp(s->edits[k].origin, s->edits[i].origin) == 0 && s->edits[k].seq < s->edits[i].seq;
            if (before && !told[k]) ready = false;
        }
        if (!ready) continue;
        assert_int_equal(apply_err(&f, &s->changes[i]), ERR_OK);
        told[i] = true;
        n++;
    }
    conflicts_text(&f, text);
    assert_string_equal(text, expected);
    fixture_close(&f);
}

static void stories(void **state)
{
    static const struct {
        const char *expected;
        struct edit edits[EDITS_MAX];
    } rows[] = {
        {"", {{'a', "hq", 1, 10, "6", "", false}, {'b', "hq", 2, 20, "7", "a", false}}},
        /* two sides edit the same version */
        {"20 ",
         {{'a', "hq", 1, 10, "6", "", false},
          {'b', "hq", 2, 20, "7", "a", false},
          {'c', "lab", 1, 30, "8", "a", false}}},
        /* one of them removes it */
        {"20- ",
         {{'a', "hq", 1, 10, "6", "", false},
          {'b', "hq", 2, 20, NULL, "a", false},
          {'c', "lab", 1, 30, "8", "a", false}}},
        /* only the last edit of a side is in conflict; what stands was edited again by one who had not seen the other
         */
        {"25 ",
         {{'a', "hq", 1, 10, "6", "", false},
          {'b', "hq", 2, 20, "7", "a", false},
          {'c', "hq", 3, 25, "7", "b", false},
          {'d', "lab", 1, 30, "8", "a", false},
          {'e', "lab", 2, 40, "9", "d", false}}},
        /* an edit that has seen both, an acceptance */
        {"",
         {{'a', "hq", 1, 10, "6", "", false},
          {'b', "hq", 2, 20, "7", "a", false},
          {'c', "lab", 1, 30, "8", "a", false},
          {'d', "n3", 1, 40, "9", "cb", false}}},
        {"",
         {{'a', "hq", 1, 10, "6", "", false},
          {'b', "hq", 2, 20, "7", "a", false},
          {'c', "lab", 1, 30, "8", "a", false},
          {'d', "n3", 1, 40, "", "b", false}}},
        /* three sides make the same object */
        {"10 20 ",
         {{'a', "hq", 1, 10, "6", "", false}, {'b', "lab", 1, 20, "7", "", false}, {'c', "n3", 1, 30, "8", "", false}}},
        /* two that say the same are no conflict for people */
        {"",
         {{'a', "hq", 1, 10, "6", "", false},
          {'b', "lab", 1, 20, "7", "a", false},
          {'c', "n3", 1, 30, "7", "a", false}}},
        /* undos are nobody's edits, and an edit against one is none either */
        {"",
         {{'a', "hq", 1, 10, "6", "", false},
          {'b', "lab", 1, 11, "7", "a", true},
          {'c', "n3", 1, 11, "7", "a", true},
          {'d', "n4", 1, 30, "8", "a", false}}},
    };
    struct rng rng;
    (void)state;
    rng_init(&rng, 7);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct story s = {.count = 0};
        memcpy(s.edits, rows[i].edits, sizeof s.edits);
        while (s.count < EDITS_MAX && s.edits[s.count].origin != NULL)
            s.count++;
        for (size_t k = 0; k < s.count; k++)
            make(&s, k);
        for (unsigned turn = 0; turn < 12; turn++)
            tell(&s, &rng, rows[i].expected);
        for (size_t k = 0; k < s.count; k++)
            change_fini(&s.changes[k]);
    }
}

static void heads_for_the_next_edit(void **state)
{
    struct fixture f;
    struct story s = {.count = 3,
                      .edits = {{'a', "hq", 1, 10, "6", "", false},
                                {'b', "lab", 1, 20, "7", "", false},
                                {'c', "n3", 1, 30, "8", "", false}}};
    struct stamp out[2];
    size_t count = 9;
    bool is = true;
    (void)state;
    fixture_open(&f, NULL, 0);
    for (size_t i = 0; i < 3; i++) {
        make(&s, i);
        assert_int_equal(apply_err(&f, &s.changes[i]), ERR_OK);
    }
    assert_int_equal(store_read_begin(f.read), ERR_OK);
    assert_int_equal(store_conflict_heads(f.read, SLICE("site/hq"), out, 2, &count), ERR_OK);
    assert_int_equal(count, 2);
    assert_int_equal(out[0].time.v, 10);
    assert_int_equal(out[1].time.v, 20);
    assert_int_equal(store_is_conflict(f.read, SLICE("site/hq"), &out[1], &is), ERR_OK);
    assert_true(is);
    assert_int_equal(store_conflict_heads(f.read, SLICE("site/hq"), out, 1, &count), ERR_OK);
    assert_int_equal(count, 1);
    assert_int_equal(out[0].time.v, 20); /* the newest */
    assert_int_equal(store_conflict_heads(f.read, SLICE("site/h"), out, 2, &count), ERR_OK);
    assert_int_equal(count, 0);
    store_read_end(f.read);
    for (size_t i = 0; i < 3; i++)
        change_fini(&s.changes[i]);
    fixture_close(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(stories),
        cmocka_unit_test(heads_for_the_next_edit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
