/* test_pending: changes that have to be confirmed: what is open, what settles it, in whichever order they come. */
#include "tests/unit/store/support.h"

static struct changeset *make(struct change *c, const char *origin, uint64_t seq, uint64_t time, const char *site)
{
    change_init(c, origin, 1, seq, time);
    struct plan_object o = make_site(site, "6");
    change_put(c, &o);
    return &c->set;
}

static void settle(struct change *c, const char *origin, uint64_t seq, uint64_t time, const struct changeset *of,
                   enum change_verdict verdict)
{
    change_init(c, origin, 1, seq, time);
    c->set.terms.settles = of->id;
    c->set.terms.verdict = verdict;
}

static bool count_open(void *ctx, const struct store_pending *p)
{
    (void)p;
    (*(size_t *)ctx)++;
    return true;
}

static size_t open_count(struct fixture *f)
{
    size_t n = 0;
    assert_int_equal(store_read_begin(f->read), ERR_OK);
    assert_int_equal(store_pending_open(f->read, count_open, &n), ERR_OK);
    store_read_end(f->read);
    return n;
}

/* The state of a change; 0: it has none. by gets the seq of what settled it. */
static int state_of(struct fixture *f, const struct log_id *id, uint64_t *by)
{
    struct store_pending p;
    assert_int_equal(store_read_begin(f->read), ERR_OK);
    enum err e = store_pending(f->read, id, &p);
    store_read_end(f->read);
    *by = e == ERR_OK ? p.by.seq : 0;
    if (e == ERR_NOTFOUND) return 0;
    assert_int_equal(e, ERR_OK);
    return (int)p.state;
}

static void open_until_settled(void **state)
{
    struct fixture f;
    struct change a;
    struct change b;
    uint64_t by = 0;
    (void)state;
    fixture_open(&f, NULL, 0);
    struct changeset *c = make(&a, "hq", 1, 100, "hq");
    c->terms.confirm_by.ms = 5000;
    c->terms.confirm_within_ms = 300;
    assert_int_equal(apply_err(&f, &a), ERR_OK);
    assert_int_equal(open_count(&f), 1);
    fixture_reopen(&f);
    struct store_pending p;
    struct arena arena = {0};
    struct changeset back;
    assert_int_equal(store_read_begin(f.read), ERR_OK);
    assert_int_equal(store_pending(f.read, &c->id, &p), ERR_OK);
    assert_int_equal(p.confirm_by.ms, 5000);
    assert_int_equal(p.confirm_within_ms, 300);
    assert_int_equal(changeset_unpack(&arena, p.packed, &back, NULL), ERR_OK);
    assert_int_equal(back.op_count, 1);
    store_read_end(f.read);
    arena_fini(&arena);
    settle(&b, "lab", 1, 101, c, CHANGE_UNDOES);
    assert_int_equal(apply_err(&f, &b), ERR_OK); /* it has no operation of its own */
    assert_int_equal(open_count(&f), 0);
    assert_int_equal(state_of(&f, &c->id, &by), PENDING_UNDONE);
    assert_int_equal(by, 1);
    assert_int_equal(state_of(&f, &b.set.id, &by), 0);
    change_fini(&a);
    change_fini(&b);
    fixture_close(&f);
}

/* The change, two undos and a confirmation in each order: the same end. */
static void any_order(void **state)
{
    (void)state;
    for (unsigned order = 0; order < 24; order++) {
        struct fixture f;
        struct change parts[4];
        size_t left[] = {0, 1, 2, 3};
        uint64_t by = 0;
        fixture_open(&f, NULL, 0);
        struct changeset *c = make(&parts[0], "hq", 1, 100, "hq");
        c->terms.confirm_by.ms = 5000;
        settle(&parts[1], "n1", 1, 101, c, CHANGE_UNDOES);
        settle(&parts[2], "n2", 1, 101, c, CHANGE_UNDOES);
        settle(&parts[3], "n3", 1, 900, c, CHANGE_CONFIRMS);
        parts[3].set.id.epoch = 7;
        unsigned code = order;
        for (unsigned n = 4; n > 0; n--) {
            size_t pick = code % n;
            code /= n;
            assert_int_equal(apply_err(&f, &parts[left[pick]]), ERR_OK);
            for (size_t i = pick; i + 1 < n; i++)
                left[i] = left[i + 1];
        }
        assert_int_equal(open_count(&f), 0);
        assert_int_equal(state_of(&f, &c->id, &by), PENDING_CONFIRMED);
        for (size_t i = 0; i < 4; i++)
            change_fini(&parts[i]);
        fixture_close(&f);
    }
}

/* A snapshot takes the place of our objects: what is open in it stays so, what was settled before it was made is not.
 */
static void open_after_a_snapshot(void **state)
{
    struct fixture donor;
    struct fixture f;
    struct change a;
    struct change b;
    struct change settled;
    uint64_t by = 0;
    (void)state;
    fixture_open(&donor, NULL, 0);
    fixture_open(&f, NULL, 0);
    struct changeset *c = make(&a, "hq", 1, 100, "hq");
    c->terms.confirm_by.ms = 5000;
    assert_int_equal(apply_err(&donor, &a), ERR_OK);
    assert_int_equal(apply_err(&f, &a), ERR_OK);
    make(&settled, "pop", 1, 100, "pop")->terms.confirm_by.ms = 5000;
    assert_int_equal(apply_err(&donor, &settled), ERR_OK);
    assert_int_equal(apply_err(&f, &settled), ERR_OK);
    assert_int_equal(open_count(&f), 2);
    settle(&b, "lab", 1, 101, &settled.set, CHANGE_UNDOES);
    change_delete(&b, "site/pop");
    assert_int_equal(apply_err(&donor, &b), ERR_OK);
    change_fini(&b);
    struct store_completion done = take_snapshot(&f, &donor, 64);
    assert_int_equal(done.err, ERR_OK);
    assert_int_equal(done.pending, 1);
    assert_int_equal(open_count(&f), 1);
    settle(&b, "lab", 2, 101, c, CHANGE_UNDOES);
    assert_int_equal(apply_err(&f, &b), ERR_OK);
    assert_int_equal(state_of(&f, &c->id, &by), PENDING_UNDONE);
    change_fini(&a);
    change_fini(&b);
    change_fini(&settled);
    fixture_close(&f);
    fixture_close(&donor);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(open_until_settled),
        cmocka_unit_test(any_order),
        cmocka_unit_test(open_after_a_snapshot),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
