/* test_state: state records: versions, epochs, removal, vectors, long keys, private halves. */
#include "proto/plan_codec.h"
#include "tests/unit/store/support.h"

#include <stdio.h>

static struct state_record record(const char *owner, uint64_t epoch, uint64_t version, const char *key,
                                  const char *value)
{
    struct state_record r = {.owner = name_of(owner),
                             .epoch = epoch,
                             .version = version,
                             .kind = STATE_BINDING,
                             .key = slice_of(key),
                             .value = slice_of(value),
                             .removed = value == NULL};
    return r;
}

static void put(struct fixture *f, struct state_record r)
{
    struct store_completion done = apply_state(f, &r, 1, NULL, 0, NULL, 0);
    if (done.err != ERR_OK) fail_msg("%s: %s", err_name(done.err), done.info.text);
}

struct listing {
    char text[512];
    size_t stop_after;
    size_t count;
};

static bool list_record(void *ctx, const struct state_record *r)
{
    struct listing *l = ctx;
    size_t n = strlen(l->text);
    (void)snprintf(l->text + n, sizeof l->text - n, "%s/%llu/%llu:%.*s=%.*s ", r->owner.s, (unsigned long long)r->epoch,
                   (unsigned long long)r->version, SLICE_ARG(r->key), r->removed ? 1 : (int)r->value.n,
                   r->removed ? "-" : r->value.p);
    return ++l->count != l->stop_after;
}

static void expect_find(struct fixture *f, enum state_kind kind, const char *prefix, const char *want)
{
    struct listing l = {.text = ""};
    assert_int_equal(store_read_begin(f->read), ERR_OK);
    assert_int_equal(store_state_find(f->read, kind, slice_of(prefix), list_record, &l), ERR_OK);
    store_read_end(f->read);
    assert_string_equal(l.text, want);
}

static void expect_since(struct fixture *f, const char *owner, uint64_t epoch, uint64_t above, const char *want)
{
    struct listing l = {.text = ""};
    struct node_name name = name_of(owner);
    assert_int_equal(store_read_begin(f->read), ERR_OK);
    assert_int_equal(store_state_since(f->read, &name, epoch, above, list_record, &l), ERR_OK);
    store_read_end(f->read);
    assert_string_equal(l.text, want);
}

static void expect_vector(struct fixture *f, const char *want)
{
    struct arena arena = {0};
    struct store_start start;
    char text[512] = "";
    assert_int_equal(store_read_begin(f->read), ERR_OK);
    assert_int_equal(store_load_start(f->read, &arena, &start), ERR_OK);
    store_read_end(f->read);
    for (size_t i = 0; i < start.state_count; i++) {
        size_t n = strlen(text);
        (void)snprintf(text + n, sizeof text - n, "%s/%llu/%llu ", start.state[i].origin.s,
                       (unsigned long long)start.state[i].epoch, (unsigned long long)start.state[i].high);
    }
    assert_string_equal(text, want);
    arena_fini(&arena);
}

static void test_versions(void **state)
{
    (void)state;
    struct fixture f;
    fixture_open(&f, NULL, 0);
    put(&f, record("n1", 1, 5, "k", "five"));
    put(&f, record("n1", 1, 4, "k", "four")); /* late: dropped */
    put(&f, record("n1", 1, 5, "k", "again"));
    expect_find(&f, STATE_BINDING, "", "n1/1/5:k=five ");
    put(&f, record("n1", 1, 6, "k", "six"));
    expect_find(&f, STATE_BINDING, "", "n1/1/6:k=six ");
    expect_since(&f, "n1", 1, 0, "n1/1/6:k=six "); /* the version that it replaced is gone */
    assert_int_equal(counter(&f, "state_stale"), 2);
    assert_int_equal(counter(&f, "state_applied"), 2);
    fixture_close(&f);
}

static void test_removal(void **state)
{
    (void)state;
    struct fixture f;
    fixture_open(&f, NULL, 0);
    put(&f, record("n1", 1, 1, "k", "v"));
    put(&f, record("n1", 1, 3, "k", NULL));
    put(&f, record("n1", 1, 2, "k", "old news"));
    expect_find(&f, STATE_BINDING, "", "");
    expect_since(&f, "n1", 1, 0, "n1/1/3:k=- "); /* others have to learn it */
    put(&f, record("n1", 1, 4, "k", "back"));
    expect_find(&f, STATE_BINDING, "", "n1/1/4:k=back ");
    fixture_close(&f);
}

static void test_a_kind_of_a_later_version_is_kept(void **state)
{
    (void)state;
    struct fixture f;
    struct state_record later = record("n1", 1, 1, "k", "v");
    later.kind = STATE_KIND_MAX;
    fixture_open(&f, NULL, 0);
    put(&f, later);
    expect_find(&f, STATE_KIND_MAX, "", "n1/1/1:k=v ");
    expect_since(&f, "n1", 1, 0, "n1/1/1:k=v "); /* and passed on */
    fixture_close(&f);
}

static void test_new_epoch(void **state)
{
    (void)state;
    struct fixture f;
    fixture_open(&f, NULL, 0);
    put(&f, record("n1", 1, 8, "a", "1"));
    put(&f, record("n1", 1, 9, "b", "2"));
    put(&f, record("n2", 1, 1, "a", "other"));
    put(&f, record("n10", 1, 1, "a", "longer name"));
    struct vector_entry high = {name_of("n1"), 1, 9};
    assert_int_equal(apply_state(&f, NULL, 0, NULL, 0, &high, 1).err, ERR_OK);
    put(&f, record("n1", 2, 1, "a", "new life"));
    expect_find(&f, STATE_BINDING, "", "n1/2/1:a=new life n10/1/1:a=longer name n2/1/1:a=other ");
    expect_since(&f, "n1", 1, 0, "");
    expect_since(&f, "n1", 2, 0, "n1/2/1:a=new life ");
    put(&f, record("n1", 1, 10, "a", "from the dead")); /* the older epoch is over */
    expect_find(&f, STATE_BINDING, "b", "");
    expect_find(&f, STATE_BINDING, "", "n1/2/1:a=new life n10/1/1:a=longer name n2/1/1:a=other ");
    expect_vector(&f, "n1/2/0 n10/1/0 n2/1/0 ");
    assert_int_equal(counter(&f, "state_replaced"), 2);
    fixture_close(&f);
}

static void raise(struct fixture *f, const char *owner, uint64_t epoch, uint64_t high)
{
    struct vector_entry upto = {name_of(owner), epoch, high};
    assert_int_equal(apply_state(f, NULL, 0, NULL, 0, &upto, 1).err, ERR_OK);
}

static struct state_record horizon(uint64_t version, uint64_t upto, struct buf *packed)
{
    struct state_record r = record("n1", 1, version, "n1", "");
    r.kind = STATE_HORIZON;
    buf_reset(packed);
    assert_int_equal(horizon_pack(upto, packed), ERR_OK);
    r.value = buf_view(packed);
    return r;
}

/* Node n1 has shown again what still holds; this replica was away since version 3 and has all of it only at the end. */
static void test_horizon(void **state)
{
    (void)state;
    struct fixture f;
    struct buf packed = {0};
    fixture_open(&f, NULL, 0);
    put(&f, record("n1", 1, 1, "a", "1"));
    put(&f, record("n1", 1, 2, "gone", "its removal was forgotten before we heard of it"));
    put(&f, record("n1", 1, 3, "b", NULL));
    put(&f, record("n10", 1, 2, "gone", "another's"));
    raise(&f, "n1", 1, 3);
    put(&f, horizon(9, 6, &packed));
    raise(&f, "n1", 1, 8); /* version 7 is on its way */
    expect_find(&f, STATE_BINDING, "",
                "n1/1/1:a=1 n1/1/2:gone=its removal was forgotten before we heard of it "
                "n10/1/2:gone=another's ");
    put(&f, record("n1", 1, 7, "a", "1"));
    raise(&f, "n1", 1, 9);
    expect_find(&f, STATE_BINDING, "", "n1/1/7:a=1 n10/1/2:gone=another's ");
    assert_int_equal(counter(&f, "state_forgotten"), 2);
    /* It cannot be over for what is newer than itself, and a newer one takes its place. */
    put(&f, horizon(10, 10, &packed));
    raise(&f, "n1", 1, 10);
    expect_find(&f, STATE_BINDING, "", "n1/1/7:a=1 n10/1/2:gone=another's ");
    put(&f, horizon(11, 7, &packed));
    raise(&f, "n1", 1, 11);
    expect_find(&f, STATE_BINDING, "", "n10/1/2:gone=another's ");
    expect_vector(&f, "n1/1/11 n10/1/0 ");
    buf_fini(&packed);
    fixture_close(&f);
}

static void test_vector(void **state)
{
    static const struct {
        uint64_t epoch, high;
        const char *want;
    } rows[] = {{5, 10, "n1/5/10 "}, {5, 7, "n1/5/10 "}, {4, 99, "n1/5/10 "}, {5, 11, "n1/5/11 "}, {6, 2, "n1/6/2 "}};
    (void)state;
    struct fixture f;
    fixture_open(&f, NULL, 0);
    put(&f, record("n1", 5, 3, "k", "v")); /* a record alone proves nothing about those before it */
    expect_vector(&f, "n1/5/0 ");
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct vector_entry v = {name_of("n1"), rows[i].epoch, rows[i].high};
        assert_int_equal(apply_state(&f, NULL, 0, NULL, 0, &v, 1).err, ERR_OK);
        expect_vector(&f, rows[i].want);
    }
    expect_find(&f, STATE_BINDING, "", ""); /* a raised epoch alone ends what the older one said */
    fixture_reopen(&f);
    expect_vector(&f, "n1/6/2 ");
    fixture_close(&f);
}

static void test_since_in_order(void **state)
{
    (void)state;
    struct fixture f;
    struct state_record batch[] = {record("n1", 1, 300, "c", "x"), record("n1", 1, 2, "z", "x"),
                                   record("n1", 1, 256, "a", "x"), record("n1", 2, 1, "other", "x")};
    struct listing l = {.text = "", .stop_after = 1};
    struct node_name n1 = name_of("n1");
    fixture_open(&f, NULL, 0);
    assert_int_equal(apply_state(&f, batch, 3, NULL, 0, NULL, 0).err, ERR_OK);
    expect_since(&f, "n1", 1, 0, "n1/1/2:z=x n1/1/256:a=x n1/1/300:c=x ");
    expect_since(&f, "n1", 1, 2, "n1/1/256:a=x n1/1/300:c=x ");
    expect_since(&f, "n1", 1, 300, "");
    expect_since(&f, "n1", 1, UINT64_MAX, "");
    expect_since(&f, "n", 1, 0, "");
    assert_int_equal(store_read_begin(f.read), ERR_OK);
    assert_int_equal(store_state_since(f.read, &n1, 1, 0, list_record, &l), ERR_OK);
    store_read_end(f.read);
    assert_string_equal(l.text, "n1/1/2:z=x ");
    fixture_close(&f);
}

/* Keys over LMDB's limit, equal in their first 400 bytes and more; and a prefix that is only in an owner's name. */
static void test_long_and_similar_keys(void **state)
{
    (void)state;
    struct fixture f;
    char key[4][601];
    struct listing l = {.text = ""};
    fixture_open(&f, NULL, 0);
    for (unsigned i = 0; i < 4; i++) {
        memset(key[i], 'x', 600);
        key[i][599] = (char)('0' + i);
        key[i][600] = '\0';
        put(&f, record("n1", 1, i + 1, key[i], "long"));
    }
    put(&f, record("n1", 1, 9, key[2], NULL));
    put(&f, record("owner", 1, 1, "6", "short"));
    size_t count = 0;
    assert_int_equal(store_read_begin(f.read), ERR_OK);
    for (unsigned i = 0; i < 4; i++) {
        l = (struct listing){.text = ""};
        assert_int_equal(store_state_find(f.read, STATE_BINDING, slice_of(key[i]), list_record, &l), ERR_OK);
        count += l.count;
        assert_int_equal(l.count, i == 2 ? 0 : 1);
    }
    l = (struct listing){.text = ""};
    key[0][500] = '\0';
    assert_int_equal(store_state_find(f.read, STATE_BINDING, slice_of(key[0]), list_record, &l), ERR_OK);
    assert_int_equal(l.count, 3);
    store_read_end(f.read);
    expect_find(&f, STATE_BINDING, "6own", "");
    expect_find(&f, STATE_BINDING, "6", "owner/1/1:6=short ");
    expect_find(&f, STATE_TRUNK_HEALTH, "", "");
    fixture_close(&f);
}

static bool list_private(void *ctx, struct slice key, struct slice value)
{
    struct listing *l = ctx;
    size_t n = strlen(l->text);
    (void)snprintf(l->text + n, sizeof l->text - n, "%.*s=%.*s ", SLICE_ARG(key), SLICE_ARG(value));
    return true;
}

static void test_private(void **state)
{
    (void)state;
    struct fixture f;
    struct listing l = {.text = ""};
    struct slice value;
    struct state_record r = record("n1", 1, 1, "b", "public");
    struct store_private_put puts[] = {{STATE_BINDING, SLICE("a"), SLICE("1")},
                                       {STATE_BINDING, SLICE("b"), SLICE("2")},
                                       {STATE_TRUNK_HEALTH, SLICE("a"), SLICE("3")}};
    struct store_private_put gone = {STATE_BINDING, SLICE("a"), SLICE_NONE};
    fixture_open(&f, NULL, 0);
    assert_int_equal(apply_state(&f, &r, 1, puts, 3, NULL, 0).err, ERR_OK);
    assert_int_equal(apply_state(&f, NULL, 0, &gone, 1, NULL, 0).err, ERR_OK);
    assert_int_equal(apply_state(&f, NULL, 0, &gone, 1, NULL, 0).err, ERR_OK); /* twice is no error */
    fixture_reopen(&f);
    assert_int_equal(store_read_begin(f.read), ERR_OK);
    assert_int_equal(store_private(f.read, STATE_BINDING, SLICE("a"), &value), ERR_NOTFOUND);
    assert_int_equal(store_private(f.read, STATE_BINDING, SLICE("b"), &value), ERR_OK);
    assert_true(slice_is(value, "2"));
    assert_int_equal(store_private_each(f.read, STATE_BINDING, list_private, &l), ERR_OK);
    assert_string_equal(l.text, "b=2 ");
    store_read_end(f.read);
    fixture_close(&f);
}

/* What breaks a rule is refused at once, with the whole job. */
static void test_refused(void **state)
{
    (void)state;
    struct fixture f;
    struct state_record good = record("n1", 1, 1, "k", "v");
    struct state_record bad[] = {good, good, good, good};
    struct vector_entry nobody = {.epoch = 1, .high = 1};
    bad[0].version = 0;
    bad[1].key = SLICE_NONE;
    bad[2].kind = (enum state_kind)(STATE_KIND_MAX + 1);
    bad[3].removed = true; /* with a value */
    fixture_open(&f, NULL, 0);
    for (size_t i = 0; i < 4; i++) {
        struct state_record both[] = {good, bad[i]};
        assert_int_not_equal(store_submit_state(f.store, both, 2, NULL, 0, NULL, 0, 1), ERR_OK);
    }
    assert_int_equal(store_submit_state(f.store, &good, 1, NULL, 0, &nobody, 1, 1), ERR_SYNTAX);
    expect_find(&f, STATE_BINDING, "", "");
    put(&f, good);
    expect_find(&f, STATE_BINDING, "", "n1/1/1:k=v ");
    fixture_close(&f);
}

/* An owner that uses a version twice harms only itself: each record that is found is also sent on. */
static void test_version_used_twice(void **state)
{
    (void)state;
    struct fixture f;
    fixture_open(&f, NULL, 0);
    put(&f, record("n1", 1, 1, "a", "first"));
    put(&f, record("n1", 1, 1, "b", "second"));
    expect_find(&f, STATE_BINDING, "", "n1/1/1:a=first ");
    expect_since(&f, "n1", 1, 0, "n1/1/1:a=first ");
    fixture_close(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_versions),
        cmocka_unit_test(test_removal),
        cmocka_unit_test(test_a_kind_of_a_later_version_is_kept),
        cmocka_unit_test(test_new_epoch),
        cmocka_unit_test(test_horizon),
        cmocka_unit_test(test_vector),
        cmocka_unit_test(test_since_in_order),
        cmocka_unit_test(test_long_and_similar_keys),
        cmocka_unit_test(test_private),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_version_used_twice),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
