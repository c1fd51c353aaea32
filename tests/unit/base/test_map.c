#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "node/base/list.h"
#include "node/base/map.h"

#define ENTRIES 5000

struct entry {
    struct map_node node;
    uint64_t key;
};

static struct slice key_of(const struct entry *e)
{
    return (struct slice){(const char *)&e->key, sizeof e->key};
}

static struct entry *find(const struct map *m, uint64_t key)
{
    struct entry probe = {.key = key};
    for (struct map_node *n = map_first(m, map_hash(m, key_of(&probe))); n != NULL; n = map_next(n)) {
        struct entry *e = CONTAINER_OF(n, struct entry, node);
        if (e->key == key) return e;
    }
    return NULL;
}

static void insert_find_remove(void **state)
{
    static struct entry entries[ENTRIES];
    struct map m;
    (void)state;
    assert_int_equal(map_init(&m, 0, 42), ERR_OK);
    for (uint64_t i = 0; i < ENTRIES; i++) {
        entries[i].key = i * 7;
        map_insert(&m, &entries[i].node, map_hash(&m, key_of(&entries[i])));
    }
    assert_int_equal(m.count, ENTRIES);
    for (uint64_t i = 0; i < ENTRIES; i++)
        assert_ptr_equal(find(&m, i * 7), &entries[i]);
    assert_null(find(&m, 3));
    for (uint64_t i = 0; i < ENTRIES; i += 2)
        map_remove(&m, &entries[i].node);
    for (uint64_t i = 0; i < ENTRIES; i++)
        assert_int_equal(find(&m, i * 7) != NULL, i % 2);
    map_fini(&m);
}

static void equal_hashes_are_kept_apart(void **state)
{
    struct entry entries[3] = {{.key = 1}, {.key = 2}, {.key = 3}};
    struct map m;
    size_t seen = 0;
    (void)state;
    assert_int_equal(map_init(&m, 0, 1), ERR_OK);
    for (size_t i = 0; i < 3; i++)
        map_insert(&m, &entries[i].node, 99);
    for (struct map_node *n = map_first(&m, 99); n != NULL; n = map_next(n))
        seen++;
    assert_int_equal(seen, 3);
    assert_null(map_first(&m, 99 + 16)); /* the same bucket, another hash */
    map_fini(&m);
}

static void a_walk_sees_all_and_allows_removal(void **state)
{
    static struct entry entries[100];
    struct map m;
    struct map_walk walk = {0};
    size_t seen = 0;
    (void)state;
    assert_int_equal(map_init(&m, 0, 7), ERR_OK);
    for (uint64_t i = 0; i < 100; i++) {
        entries[i].key = i;
        map_insert(&m, &entries[i].node, map_hash(&m, key_of(&entries[i])));
    }
    for (struct map_node *n = map_walk(&m, &walk); n != NULL; n = map_walk(&m, &walk)) {
        map_remove(&m, n);
        seen++;
    }
    assert_int_equal(seen, 100);
    assert_int_equal(m.count, 0);
    map_fini(&m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(insert_find_remove),
        cmocka_unit_test(equal_hashes_are_kept_apart),
        cmocka_unit_test(a_walk_sees_all_and_allows_removal),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
