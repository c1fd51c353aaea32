/* The certificate authority, join files, and their installation, in a temporary directory. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "cli/join_file.h"
#include "cli/secret_file.h"

#define DAY_MS INT64_C(86400000)

struct place {
    char dir[64];
    char ca[80];
    char data[80];
    char file[80];
    char id[LIMIT_NAME + 1];
    struct arena arena;
    struct err_info info;
};

static struct wall now(void)
{
    return (struct wall){(int64_t)time(NULL) * 1000};
}

static int setup(void **state)
{
    struct place *p = calloc(1, sizeof *p);
    assert_non_null(p);
    (void)snprintf(p->dir, sizeof p->dir, "/tmp/tandem-pki-XXXXXX");
    assert_non_null(mkdtemp(p->dir));
    (void)snprintf(p->ca, sizeof p->ca, "%s/ca", p->dir);
    (void)snprintf(p->data, sizeof p->data, "%s/data", p->dir);
    (void)snprintf(p->file, sizeof p->file, "%s/campus-1.join", p->dir);
    assert_int_equal(pki_ca_init(p->ca, SLICE("example"), p->id, &p->info), ERR_OK);
    *state = p;
    return 0;
}

static int teardown(void **state)
{
    static const char *const names[] = {"ca/ca.key",         "ca/ca.pem",
                                        "ca/cluster.key",    "ca",
                                        "ca2/ca.key",        "ca2/ca.pem",
                                        "ca2/cluster.key",   "ca2",
                                        "data/tls/ca.pem",   "data/tls/node.pem",
                                        "data/tls/node.key", "data/tls/cluster.key",
                                        "data/tls/cluster",  "data/tls/seeds",
                                        "data/tls",          "data",
                                        "campus-1.join",     "text"};
    struct place *p = *state;
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        char path[128];
        (void)snprintf(path, sizeof path, "%s/%s", p->dir, names[i]);
        (void)remove(path);
    }
    assert_int_equal(rmdir(p->dir), 0); /* nothing else was left there */
    arena_fini(&p->arena);
    free(p);
    return 0;
}

static unsigned mode_of(const char *dir, const char *name)
{
    char path[200];
    struct stat st;
    (void)snprintf(path, sizeof path, "%s/%s", dir, name);
    assert_int_equal(stat(path, &st), 0);
    return st.st_mode & 07777;
}

static void issue_by(struct place *p, const char *ca, const char *node, struct wall begins, unsigned days,
                     struct pki_identity *id)
{
    struct pki_request request = {.node = slice_of(node), .site = SLICE("campus"), .begins = begins, .days = days};
    if (pki_issue(&p->arena, ca, &request, id, &p->info) != ERR_OK) fail_msg("%s", p->info.text);
}

static void says(const struct place *p, const char *words)
{
    if (strstr(p->info.text, words) == NULL) fail_msg("\"%s\" is not in \"%s\"", words, p->info.text);
}

/* ---- CA ---- */

static void test_init(void **state)
{
    struct place *p = *state;
    char again[LIMIT_NAME + 1] = "untouched";
    unsigned char key[32];
    struct slice before;
    struct slice after;
    char path[128];
    assert_int_equal(strlen(p->id), strlen("example-12345678"));
    assert_memory_equal(p->id, "example-", 8);
    assert_int_equal(mode_of(p->dir, "ca"), 0700);
    assert_int_equal(mode_of(p->ca, "ca.key"), 0600);
    assert_int_equal(mode_of(p->ca, "cluster.key"), 0600);
    assert_int_equal(mode_of(p->ca, "ca.pem"), 0644);
    (void)snprintf(path, sizeof path, "%s/cluster.key", p->ca);
    assert_int_equal(secret_file_read(&p->arena, path, true, &before, NULL), ERR_OK);
    assert_int_equal(hex_decode(slice_trim(before), key, sizeof key), ERR_OK);
    /* Never twice. */
    assert_int_equal(pki_ca_init(p->ca, SLICE("example"), again, &p->info), ERR_EXISTS);
    says(p, "already");
    assert_string_equal(again, "untouched");
    assert_int_equal(secret_file_read(&p->arena, path, true, &after, NULL), ERR_OK);
    assert_true(slice_eq(before, after));
}

static void test_init_names(void **state)
{
    struct place *p = *state;
    char id[LIMIT_NAME + 1];
    char dir[100];
    static const char *const bad[] = {"",     "two words",   "a/b",
                                      "a\nb", "caf\xc3\xa9", "123456789012345678901234567890123456789012345678901234"};
    (void)snprintf(dir, sizeof dir, "%s/ca2", p->dir);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_int_equal(pki_ca_init(dir, slice_of(bad[i]), id, &p->info), ERR_SYNTAX);
    assert_int_not_equal(access(dir, F_OK), 0);
    assert_int_equal(pki_ca_init("/nonexistent/x/ca", SLICE("a"), id, &p->info), ERR_NOTFOUND);
    /* The longest name still fits its id and the certificate. */
    assert_int_equal(pki_ca_init(dir, SLICE("12345678901234567890123456789012345678901234567890123"), id, &p->info),
                     ERR_OK);
    assert_true(strlen(id) <= LIMIT_NAME);
}

/* ---- issuing and checking ---- */

static void test_issue(void **state)
{
    struct place *p = *state;
    struct pki_identity id;
    struct pki_identity other;
    issue_by(p, p->ca, "campus-1", (struct wall){0}, 0, &id);
    assert_true(slice_is(id.cluster, p->id));
    assert_true(slice_is(id.node, "campus-1"));
    int64_t expires = id.expires.ms;
    assert_int_equal(pki_check(&id, now(), &p->info), ERR_OK);
    assert_in_range(expires - now().ms, 3649 * DAY_MS, 3652 * DAY_MS);
    assert_int_equal(id.expires.ms, expires);
    issue_by(p, p->ca, "campus-1", (struct wall){0}, 5, &other);
    assert_false(slice_eq(id.key, other.key));
    assert_false(slice_eq(id.certificate, other.certificate));
    /* Never longer than the CA. */
    issue_by(p, p->ca, "campus-1", (struct wall){0}, 40000, &other);
    assert_in_range(other.expires.ms, now().ms + (PKI_CA_DAYS - 2) * DAY_MS, now().ms + (PKI_CA_DAYS + 1) * DAY_MS);
}

static void test_issue_refuses(void **state)
{
    struct place *p = *state;
    struct pki_identity id;
    struct pki_request request = {.node = SLICE("campus 1"), .site = SLICE("campus")};
    char path[128];
    assert_int_equal(pki_issue(&p->arena, p->ca, &request, &id, &p->info), ERR_SYNTAX);
    says(p, "node name");
    request.node = SLICE("a\0b");
    assert_int_equal(pki_issue(&p->arena, p->ca, &request, &id, &p->info), ERR_SYNTAX);
    request = (struct pki_request){.node = SLICE("campus-1"), .site = SLICE("")};
    assert_int_equal(pki_issue(&p->arena, p->ca, &request, &id, &p->info), ERR_SYNTAX);
    says(p, "site name");
    request.site = SLICE("campus");
    assert_int_equal(pki_issue(&p->arena, p->dir, &request, &id, &p->info), ERR_NOTFOUND);
    says(p, "ca init");
    (void)snprintf(path, sizeof path, "%s/ca.key", p->ca);
    assert_int_equal(chmod(path, 0640), 0);
    assert_int_equal(pki_issue(&p->arena, p->ca, &request, &id, &p->info), ERR_AUTH);
    says(p, "chmod 600");
}

static void test_check(void **state)
{
    struct place *p = *state;
    struct pki_identity good;
    struct pki_identity other;
    struct pki_identity foreign;
    char ca2[100];
    char id2[LIMIT_NAME + 1];
    (void)snprintf(ca2, sizeof ca2, "%s/ca2", p->dir);
    assert_int_equal(pki_ca_init(ca2, SLICE("example"), id2, &p->info), ERR_OK);
    issue_by(p, p->ca, "campus-1", (struct wall){0}, 0, &good);
    issue_by(p, p->ca, "campus-2", (struct wall){0}, 0, &other);
    issue_by(p, ca2, "campus-1", (struct wall){0}, 0, &foreign);
    struct pki_identity x = good;
    x.ca = foreign.ca;
    assert_int_equal(pki_check(&x, now(), &p->info), ERR_AUTH);
    says(p, "not of cluster");
    x.cluster = foreign.cluster;
    assert_int_equal(pki_check(&x, now(), &p->info), ERR_AUTH);
    says(p, "not signed by this cluster's CA");
    x = good;
    x.certificate = other.certificate;
    assert_int_equal(pki_check(&x, now(), &p->info), ERR_AUTH);
    says(p, "not of node campus-1");
    x = good;
    x.site = SLICE("hq");
    assert_int_equal(pki_check(&x, now(), &p->info), ERR_AUTH);
    says(p, "not of site hq");
    x = good;
    x.key = other.key;
    assert_int_equal(pki_check(&x, now(), &p->info), ERR_AUTH);
    says(p, "private key");
    x = good;
    x.certificate = x.ca;
    assert_int_equal(pki_check(&x, now(), &p->info), ERR_AUTH);
    x = good;
    x.cluster_key = SLICE("00");
    assert_int_equal(pki_check(&x, now(), &p->info), ERR_SYNTAX);
    x = good;
    x.certificate = x.key;
    assert_int_equal(pki_check(&x, now(), &p->info), ERR_SYNTAX);
}

static void test_dates(void **state)
{
    struct place *p = *state;
    struct pki_identity id;
    char date[WALL_TEXT_SIZE];
    issue_by(p, p->ca, "campus-1", (struct wall){now().ms - 10 * DAY_MS}, 3, &id);
    assert_int_equal(pki_check(&id, now(), &p->info), ERR_AUTH);
    says(p, "expired on");
    says(p, pki_date((struct wall){now().ms - 7 * DAY_MS}, date));
    issue_by(p, p->ca, "campus-1", (struct wall){now().ms + 2 * DAY_MS}, 3, &id);
    assert_int_equal(pki_check(&id, now(), &p->info), ERR_AUTH);
    says(p, "valid only from");
    assert_int_equal(pki_check(&id, (struct wall){now().ms + 3 * DAY_MS}, &p->info), ERR_OK);
    assert_int_equal(pki_check(&id, (struct wall){now().ms + 6 * DAY_MS}, &p->info), ERR_AUTH);
    assert_int_equal(pki_check(&id, (struct wall){now().ms + 10000 * DAY_MS}, &p->info), ERR_AUTH);
    says(p, "the CA certificate expired");
}

/* ---- join files ---- */

static void make_join(struct place *p, const char *ca, const char *node, struct join_file *j)
{
    *j = (struct join_file){0};
    issue_by(p, ca, node, (struct wall){0}, 0, &j->identity);
    j->seeds[0] = SLICE("10.1.0.1:7400");
    j->seeds[1] = SLICE("[2001:db8::1]:7400");
    j->seeds[2] = SLICE("hq.example:7400");
    j->seed_count = 3;
}

static void write_join(struct place *p, const struct join_file *j)
{
    (void)unlink(p->file);
    if (join_write(j, p->file, &p->info) != ERR_OK) fail_msg("%s", p->info.text);
}

static void test_join_round_trip(void **state)
{
    struct place *p = *state;
    struct join_file j;
    struct join_file back;
    make_join(p, p->ca, "campus-1", &j);
    write_join(p, &j);
    assert_int_equal(mode_of(p->dir, "campus-1.join"), 0600);
    assert_int_equal(join_write(&j, p->file, &p->info), ERR_EXISTS);
    if (join_read(&p->arena, p->file, &back, &p->info) != ERR_OK) fail_msg("%s", p->info.text);
    assert_true(slice_is(back.identity.cluster, p->id));
    assert_true(slice_is(back.identity.node, "campus-1"));
    assert_true(slice_is(back.identity.site, "campus"));
    assert_true(slice_eq(back.identity.ca, j.identity.ca));
    assert_true(slice_eq(back.identity.certificate, j.identity.certificate));
    assert_true(slice_eq(back.identity.key, j.identity.key));
    assert_true(slice_eq(back.identity.cluster_key, slice_trim(j.identity.cluster_key)));
    assert_int_equal(back.seed_count, 3);
    assert_true(slice_is(back.seeds[1], "[2001:db8::1]:7400"));
    /* A name that YAML would take for something else stays text. */
    make_join(p, p->ca, "010", &j);
    j.seed_count = 0;
    write_join(p, &j);
    assert_int_equal(join_read(&p->arena, p->file, &back, &p->info), ERR_OK);
    assert_true(slice_is(back.identity.node, "010"));
    assert_int_equal(back.seed_count, 0);
    assert_int_equal(chmod(p->file, 0644), 0);
    assert_int_equal(join_read(&p->arena, p->file, &back, &p->info), ERR_AUTH);
    says(p, "chmod 600");
}

#define PEMS "ca: |\n  -----BEGIN X\ncertificate: |\n  -----BEGIN X\nkey: |\n  -----BEGIN X\n"
#define KEY64 "cluster_key: \"0123456789012345678901234567890123456789012345678901234567890123\"\n"
#define NAMES "cluster: c\nnode: n\nsite: s\n"

static void test_join_syntax(void **state)
{
    struct place *p = *state;
    const struct {
        const char *text;
        enum err err;
        unsigned line;
        unsigned column;
        const char *words;
    } cases[] = {
        {"tandem-join: 1\n" NAMES "seeds: []\n" PEMS KEY64, ERR_OK, 0, 0, ""},
        {"", ERR_SYNTAX, 1, 1, "empty"},
        {"- a\n", ERR_SYNTAX, 1, 1, "expected"},
        {"tandem-join: 2\n", ERR_VERSION, 1, 14, "another version"},
        {"tandem-join: 1\ncolor: red\n", ERR_SYNTAX, 2, 1, "unknown key"},
        {"tandem-join: 1\nnode: a\nnode: b\n", ERR_SYNTAX, 3, 1, "given before"},
        {"tandem-join: 1\nnode: [a]\n", ERR_SYNTAX, 2, 7, "expected a text"},
        {"tandem-join: 1\n[a]: b\n", ERR_SYNTAX, 2, 1, "expected a key"},
        {"tandem-join: 1\nseeds: a:1\n", ERR_SYNTAX, 2, 8, "expected a list"},
        {"tandem-join: 1\nseeds: [\"a:1\", \"nope\"]\n", ERR_SYNTAX, 2, 16, "HOST:PORT"},
        {"tandem-join: 1\nseeds: [[a]]\n", ERR_SYNTAX, 2, 9, "HOST:PORT"},
        {"tandem-join: 1\n", ERR_SYNTAX, 0, 0, "\"cluster\" is missing"},
        {"tandem-join: 1\n" NAMES PEMS KEY64, ERR_SYNTAX, 0, 0, "\"seeds\" is missing"},
        {"tandem-join: 1\ncluster: c\nnode: a b\nsite: s\nseeds: []\n" PEMS KEY64, ERR_SYNTAX, 3, 1,
         "node: not a name"},
        {"tandem-join: 1\n" NAMES "seeds: []\nca: x\ncertificate: x\nkey: x\n" KEY64, ERR_SYNTAX, 6, 1, "ca: not PEM"},
        {"tandem-join: 1\n" NAMES "seeds: []\n" PEMS "cluster_key: 12\n", ERR_SYNTAX, 12, 1, "64 hexadecimal"},
        {"tandem-join: 1\nnode: \"\\0\"\n", ERR_SYNTAX, 2, 7, "NUL"},
        {"tandem-join: 1\nnode: &x a\nsite: *x\n", ERR_SYNTAX, 3, 7, "expected a text"},
        {"tandem-join: 1\n" NAMES "seeds: []\n" PEMS KEY64 "---\nx: 1\n", ERR_SYNTAX, 13, 1, "second document"},
        {"\"b\n", ERR_SYNTAX, 0, 0, "not YAML"},
        {"a: {b: c\n", ERR_SYNTAX, 0, 0, ""},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct join_file j;
        p->info = (struct err_info){0};
        enum err err = join_parse(&p->arena, slice_of(cases[i].text), &j, &p->info);
        if (err != cases[i].err ||
            (cases[i].line != 0 && (p->info.line != cases[i].line || p->info.column != cases[i].column)) ||
            strstr(p->info.text, cases[i].words) == NULL)
            fail_msg("case %zu: %s at %u:%u: %s", i, err_name(err), p->info.line, p->info.column, p->info.text);
    }
}

static void test_seeds(void **state)
{
    static const char *const good[] = {"a:1", "10.0.0.1:65535", "[::1]:7400", "hq-1.example.org:7400"};
    static const char *const bad[] = {"",      "a",    "a:",    ":1",    "a:0",   "a:65536", "a:1x",
                                      "::1:5", "[]:5", "a b:1", "\"a:1", "a:1\n", "a,b:1",   "u@a:1"};
    (void)state;
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++)
        assert_true(join_seed_valid(slice_of(good[i])));
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        if (join_seed_valid(slice_of(bad[i]))) fail_msg("%s", bad[i]);
    }
}

/* ---- installation ---- */

static void assert_file(struct place *p, const char *name, struct slice expected)
{
    char path[128];
    struct slice text;
    (void)snprintf(path, sizeof path, "%s/tls/%s", p->data, name);
    assert_int_equal(secret_file_read(&p->arena, path, true, &text, NULL), ERR_OK);
    if (!slice_eq(text, expected)) fail_msg("%s: %.*s", name, SLICE_ARG(text));
}

static void test_install(void **state)
{
    struct place *p = *state;
    struct join_file j;
    struct pki_identity id;
    char line[LIMIT_NAME + 2];
    make_join(p, p->ca, "campus-1", &j);
    write_join(p, &j);
    assert_int_equal(pki_read_identity(&p->arena, p->data, &id, &p->info), ERR_NOTFOUND);
    if (join_install(p->file, p->data, false, &p->info) != ERR_OK) fail_msg("%s", p->info.text);
    assert_int_equal(mode_of(p->data, "tls"), 0700);
    (void)snprintf(line, sizeof line, "%s\n", p->id);
    assert_file(p, "cluster", slice_of(line));
    assert_file(p, "ca.pem", j.identity.ca);
    assert_file(p, "node.pem", j.identity.certificate);
    assert_file(p, "node.key", j.identity.key);
    assert_file(p, "cluster.key", j.identity.cluster_key);
    assert_file(p, "seeds", SLICE("10.1.0.1:7400\n[2001:db8::1]:7400\nhq.example:7400\n"));
    assert_int_equal(pki_read_identity(&p->arena, p->data, &id, &p->info), ERR_OK);
    assert_true(slice_is(id.node, "campus-1"));
    assert_true(slice_is(id.site, "campus"));
    assert_int_equal(pki_check(&id, now(), &p->info), ERR_OK);
    /* A new certificate for the same node is taken; the same file twice is no harm. */
    make_join(p, p->ca, "campus-1", &j);
    write_join(p, &j);
    assert_int_equal(join_install(p->file, p->data, false, &p->info), ERR_OK);
    assert_int_equal(join_install(p->file, p->data, false, &p->info), ERR_OK);
    assert_file(p, "node.pem", j.identity.certificate);
}

static void test_install_refuses_another(void **state)
{
    struct place *p = *state;
    struct join_file j;
    struct join_file other;
    char path[128];
    make_join(p, p->ca, "campus-1", &j);
    write_join(p, &j);
    assert_int_equal(join_install(p->file, p->data, false, &p->info), ERR_OK);
    make_join(p, p->ca, "campus-2", &other);
    write_join(p, &other);
    assert_int_equal(join_install(p->file, p->data, false, &p->info), ERR_EXISTS);
    says(p, "identity of node campus-1");
    assert_file(p, "node.pem", j.identity.certificate);
    assert_int_equal(join_install(p->file, p->data, true, &p->info), ERR_OK);
    assert_file(p, "node.pem", other.identity.certificate);
    /* What cannot be read is not overwritten either. */
    (void)snprintf(path, sizeof path, "%s/tls/node.pem", p->data);
    assert_int_equal(truncate(path, 10), 0);
    assert_int_equal(join_install(p->file, p->data, false, &p->info), ERR_EXISTS);
    says(p, "--force");
    assert_int_equal(join_install(p->file, p->data, true, &p->info), ERR_OK);
}

static void test_install_checks(void **state)
{
    struct place *p = *state;
    struct join_file j;
    struct join_file other;
    make_join(p, p->ca, "campus-1", &j);
    make_join(p, p->ca, "campus-2", &other);
    j.identity.key = other.identity.key;
    write_join(p, &j);
    assert_int_equal(join_install(p->file, p->data, true, &p->info), ERR_AUTH);
    says(p, "private key");
    make_join(p, p->ca, "campus-1", &j);
    issue_by(p, p->ca, "campus-1", (struct wall){now().ms - 10 * DAY_MS}, 3, &j.identity);
    write_join(p, &j);
    assert_int_equal(join_install(p->file, p->data, false, &p->info), ERR_AUTH);
    says(p, "expired on");
    assert_int_not_equal(access(p->data, F_OK), 0); /* nothing was made */
    assert_int_equal(join_install("/nonexistent", p->data, false, &p->info), ERR_NOTFOUND);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_init, setup, teardown),
        cmocka_unit_test_setup_teardown(test_init_names, setup, teardown),
        cmocka_unit_test_setup_teardown(test_issue, setup, teardown),
        cmocka_unit_test_setup_teardown(test_issue_refuses, setup, teardown),
        cmocka_unit_test_setup_teardown(test_check, setup, teardown),
        cmocka_unit_test_setup_teardown(test_dates, setup, teardown),
        cmocka_unit_test_setup_teardown(test_join_round_trip, setup, teardown),
        cmocka_unit_test_setup_teardown(test_join_syntax, setup, teardown),
        cmocka_unit_test_setup_teardown(test_install, setup, teardown),
        cmocka_unit_test_setup_teardown(test_install_refuses_another, setup, teardown),
        cmocka_unit_test_setup_teardown(test_install_checks, setup, teardown),
        cmocka_unit_test(test_seeds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
