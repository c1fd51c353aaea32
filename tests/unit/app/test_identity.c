/* Who a node is: the files of a joined node, and the key that a node on its own makes for itself. */
#include "kit.h"

#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

struct rig {
    struct kit kit;
    struct arena arena;
    struct identity id;
    struct err_info info;
};

static void write_file(const struct rig *r, const char *name, const char *text)
{
    char path[200];
    (void)snprintf(path, sizeof path, "%s/%s", r->kit.data, name);
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    assert_true(fputs(text, f) >= 0);
    assert_int_equal(fclose(f), 0);
}

static void remove_file(const struct rig *r, const char *name)
{
    char path[200];
    (void)snprintf(path, sizeof path, "%s/%s", r->kit.data, name);
    assert_int_equal(unlink(path), 0);
}

#define KEY "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f\n"

static void rig_open(struct rig *r, bool joined)
{
    char path[200];
    *r = (struct rig){.info = {{0}, 0, 0}};
    kit_init(&r->kit, NULL);
    r->kit.config.mesh = joined;
    if (!joined) return;
    assert_int_equal(mkdir(r->kit.data, 0700), 0);
    (void)snprintf(path, sizeof path, "%s/tls", r->kit.data);
    assert_int_equal(mkdir(path, 0700), 0);
    write_file(r, "tls/ca.pem", "ca");
    write_file(r, "tls/node.pem", "cert");
    write_file(r, "tls/node.key", "key");
    write_file(r, "tls/cluster.key", KEY);
    write_file(r, "tls/cluster", "example-0a1b2c3d\n");
    write_file(r, "tls/seeds", "10.1.0.1:7400\n\n  10.2.0.1:7400  \n");
}

static void rig_close(struct rig *r)
{
    arena_fini(&r->arena);
    kit_fini(&r->kit);
}

static enum err load(struct rig *r)
{
    r->info.text[0] = '\0';
    return identity_load(&r->arena, &r->kit.config, &r->id, &r->info);
}

static void says(const struct rig *r, const char *part)
{
    if (strstr(r->info.text, part) == NULL) fail_msg("\"%s\" is not in \"%s\"", part, r->info.text);
}

static void the_files_of_a_joined_node(void **state)
{
    struct rig r;
    (void)state;
    rig_open(&r, true);
    assert_int_equal(load(&r), ERR_OK);
    assert_string_equal(r.id.cluster, "example-0a1b2c3d");
    assert_int_equal(r.id.cluster_key[0], 0);
    assert_int_equal(r.id.cluster_key[31], 0x1f);
    assert_int_equal(r.id.seed_count, 2);
    assert_string_equal(r.id.seeds[1], "10.2.0.1:7400");
    remove_file(&r, "tls/seeds"); /* the first node of a cluster has none */
    assert_int_equal(load(&r), ERR_OK);
    assert_int_equal(r.id.seed_count, 0);
    assert_false(r.id.has_other_key);
    write_file(&r, "tls/cluster.key", KEY "ff" KEY);
    assert_int_equal(load(&r), ERR_SYNTAX);
    write_file(&r, "tls/cluster.key", "ff0102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1eff\n" KEY);
    assert_int_equal(load(&r), ERR_OK);
    assert_int_equal(r.id.cluster_key[0], 0xff);
    assert_true(r.id.has_other_key);
    assert_int_equal(r.id.other_key[31], 0x1f);
    rig_close(&r);
}

static void each_missing_file_is_named(void **state)
{
    static const char *const names[] = {"tls/ca.pem", "tls/node.pem", "tls/node.key", "tls/cluster.key", "tls/cluster"};
    (void)state;
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        struct rig r;
        rig_open(&r, true);
        remove_file(&r, names[i]);
        assert_int_equal(load(&r), ERR_NOTFOUND);
        says(&r, names[i]);
        says(&r, "clusterctl node join FILE --data");
        rig_close(&r);
    }
}

static void bad_contents(void **state)
{
    static const struct {
        const char *name;
        const char *text;
        const char *said;
    } cases[] = {
        {"tls/cluster.key", "", "expected 64 hexadecimal digits; restore the file or join the node again"},
        {"tls/cluster.key", "0001", "expected 64 hexadecimal digits"},
        {"tls/cluster.key", "zz" KEY, "expected 64 hexadecimal digits"},
        {"tls/cluster.key", KEY "00", "line 2: expected 64 hexadecimal digits, another key that is taken too"},
        {"tls/cluster", "", "not the id of a cluster"},
        {"tls/cluster", "a b", "not the id of a cluster"},
        {"tls/cluster", "../x", "not the id of a cluster"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct rig r;
        rig_open(&r, true);
        write_file(&r, cases[i].name, cases[i].text);
        assert_int_equal(load(&r), ERR_SYNTAX);
        says(&r, cases[i].said);
        rig_close(&r);
    }
}

static void certificates_of_another_cluster(void **state)
{
    static const struct {
        const char *configured;
        const char *id;
        enum err expected;
    } cases[] = {
        {"", "example-0a1b2c3d", ERR_OK},
        {"example", "example-0a1b2c3d", ERR_OK},
        {"example-0a1b2c3d", "example-0a1b2c3d", ERR_OK},
        {"exam", "example-0a1b2c3d", ERR_AUTH},
        {"other", "example-0a1b2c3d", ERR_AUTH},
        {"example-", "example-0a1b2c3d", ERR_AUTH},
        {"example", "example-eu-0a1b2c3d", ERR_AUTH},
        {"example-eu", "example-eu-0a1b2c3d", ERR_OK},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct rig r;
        rig_open(&r, true);
        write_file(&r, "tls/cluster", cases[i].id);
        r.kit.config.cluster = cases[i].configured;
        if (load(&r) != cases[i].expected) fail_msg("%s: %s", cases[i].configured, r.info.text);
        if (cases[i].expected != ERR_OK) says(&r, "are of cluster example-");
        rig_close(&r);
    }
}

static void a_node_on_its_own_makes_a_key_once(void **state)
{
    struct rig r;
    struct stat st;
    char path[200];
    unsigned char first[HASH_KEY_LEN];
    (void)state;
    rig_open(&r, false);
    assert_int_equal(load(&r), ERR_OK);
    assert_null(r.id.ca_file);
    memcpy(first, r.id.cluster_key, sizeof first);
    assert_int_equal(load(&r), ERR_OK);
    assert_memory_equal(first, r.id.cluster_key, sizeof first);
    (void)snprintf(path, sizeof path, "%s/node.key", r.kit.data);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    write_file(&r, "node.key", "half a k");
    assert_int_equal(load(&r), ERR_SYNTAX);
    says(&r, "or remove it: a new key is then made");
    remove_file(&r, "node.key");
    write_file(&r, "node.key.new", "left by a start that was cut off");
    assert_int_equal(load(&r), ERR_OK);
    assert_memory_not_equal(first, r.id.cluster_key, sizeof first);
    rig_close(&r);
}

static void a_data_directory_that_cannot_be(void **state)
{
    struct rig r;
    (void)state;
    rig_open(&r, false);
    r.kit.config.data = "/proc/nothing/here";
    assert_int_equal(load(&r), ERR_IO);
    says(&r, "data: /proc/nothing/here: ");
    rig_close(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_files_of_a_joined_node),
        cmocka_unit_test(each_missing_file_is_named),
        cmocka_unit_test(bad_contents),
        cmocka_unit_test(certificates_of_another_cluster),
        cmocka_unit_test(a_node_on_its_own_makes_a_key_once),
        cmocka_unit_test(a_data_directory_that_cannot_be),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
