/* Files that say what numbers are called behind a gateway: their text, and how a node follows it. */
#include "kit.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static void a_file_is_read(void **state)
{
    (void)state;
    struct map_file *m = NULL;
    struct slice text = SLICE("\xef\xbb\xbfNumber,resource\r\n# cameras\r\n\r\n8150,34020000001320000001\r\n"
                              " 8151 ; cam-2 \n+49#*\tx\n9,a+b");
    assert_int_equal(map_file_parse(text, &m, NULL), ERR_OK);
    assert_int_equal(map_file_count(m), 4);
    assert_true(slice_is(map_file_find(m, SLICE("8150")), "34020000001320000001"));
    assert_true(slice_is(map_file_find(m, SLICE("8151")), "cam-2"));
    assert_true(slice_is(map_file_find(m, SLICE("+49#*")), "x"));
    assert_true(slice_is(map_file_find(m, SLICE("9")), "a+b"));
    assert_null(map_file_find(m, SLICE("815")).p);
    assert_null(map_file_find(m, SLICE("81500")).p);
    map_file_free(m);
    assert_int_equal(map_file_parse(SLICE(""), &m, NULL), ERR_OK);
    assert_null(map_file_find(m, SLICE("1")).p);
    map_file_free(m);
}

static void each_fault_names_its_line(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        const char *fault;
    } rows[] = {
        {"8150,1\n8151\n", "line 2: write a number, a comma"},
        {"8150,1\n\nx8,2\n", "line 3: what stands before the comma is no number"},
        {",1\n", "line 1: what stands before the comma is no number"},
        {"8150,\n", "line 1: what 8150 is called must be"},
        {"8150,a b\n", "line 1: what 8150 is called must be"},
        {"8150,a@b\n", "line 1: what 8150 is called must be"},
        {"8150,1\n8151,2\n8150,3\n", "line 3: 8150 stands in line 1 already"},
        {"8150,1\nnumber,resource\n", "line 2: what stands before the comma"},
        {"012345678901234567890123456789012345,1\n", "line 1: what stands before the comma"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct map_file *m = NULL;
        struct err_info info = {0};
        assert_int_equal(map_file_parse(slice_of(rows[i].text), &m, &info), ERR_SYNTAX);
        if (strstr(info.text, rows[i].fault) != info.text) fail_msg("%s: %s", rows[i].fault, info.text);
    }
}

static void a_map_is_bounded(void **state)
{
    (void)state;
    struct buf text = {0};
    struct map_file *m = NULL;
    struct err_info info = {0};
    for (unsigned i = 0; i < MAPS_ENTRIES; i++)
        buf_printf(&text, "%u,c%u\n", 500000 - i, i);
    assert_int_equal(map_file_parse(buf_view(&text), &m, &info), ERR_OK);
    assert_int_equal(map_file_count(m), MAPS_ENTRIES);
    assert_true(slice_is(map_file_find(m, SLICE("500000")), "c0"));
    assert_true(slice_is(map_file_find(m, SLICE("400001")), "c99999"));
    map_file_free(m);
    buf_printf(&text, "9,x\n");
    assert_int_equal(map_file_parse(buf_view(&text), &m, &info), ERR_LIMIT);
    assert_non_null(strstr(info.text, "line 100001: a map has at most 100000 numbers"));
    buf_fini(&text);
}

/* ---- those of a node ---- */

static void put_file(const struct kit *k, const char *text)
{
    char path[256];
    char fresh[300];
    (void)snprintf(path, sizeof path, "%s/maps", k->data);
    (void)mkdir(path, 0700);
    (void)snprintf(path, sizeof path, "%s/maps/cams.csv", k->data);
    (void)snprintf(fresh, sizeof fresh, "%s/maps/.new", k->data);
    FILE *out = fopen(fresh, "w");
    assert_non_null(out);
    assert_true(fputs(text, out) >= 0);
    assert_int_equal(fclose(out), 0);
    assert_int_equal(rename(fresh, path), 0); /* as an editor does: nobody sees half of it */
}

static const char *called(struct kit *k)
{
    static char text[80];
    struct slice s = maps_resource(&k->node, SLICE("cams.csv"), SLICE("8150"));
    (void)snprintf(text, sizeof text, "%.*s", SLICE_ARG(s));
    return s.p != NULL ? text : "(none)";
}

static bool called_two(void *ctx)
{
    return strcmp(called(ctx), "two") == 0;
}

static bool refused(void *ctx)
{
    return kit_logged(ctx, "maps/refused");
}

static bool gone(void *ctx)
{
    return strcmp(called(ctx), "(none)") == 0;
}

static void a_node_follows_its_files(void **state)
{
    (void)state;
    struct kit k;
    char told[200];
    char path[256];
    kit_init(&k, NULL);
    (void)mkdir(k.data, 0700);
    put_file(&k, "8150,one\n");
    kit_start(&k);
    assert_string_equal(called(&k), "one"); /* before the first call */
    assert_true(slice_is(maps_resource(&k.node, SLICE("cams.csv"), SLICE("7")), "7"));
    assert_null(maps_resource(&k.node, SLICE("other.csv"), SLICE("8150")).p);
    put_file(&k, "8150,two\n8151,x\n");
    kit_until(&k, called_two, &k, "the new version");
    maps_state(&k.node, SLICE("cams.csv"), told, sizeof told);
    assert_string_equal(told, "cams.csv: 2 numbers");
    put_file(&k, "8150,three\nbroken\n");
    kit_until(&k, refused, &k, "the fault to be told");
    assert_string_equal(called(&k), "two"); /* the version before goes on */
    maps_state(&k.node, SLICE("cams.csv"), told, sizeof told);
    assert_non_null(strstr(told, "cams.csv: line 2: "));
    maps_state(&k.node, SLICE("other.csv"), told, sizeof told);
    assert_non_null(strstr(told, "other.csv is not in "));
    (void)snprintf(path, sizeof path, "%s/maps/cams.csv", k.data);
    assert_int_equal(unlink(path), 0);
    kit_until(&k, gone, &k, "the file to be forgotten");
    kit_fini(&k);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_file_is_read),
        cmocka_unit_test(each_fault_names_its_line),
        cmocka_unit_test(a_map_is_bounded),
        cmocka_unit_test(a_node_follows_its_files),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
