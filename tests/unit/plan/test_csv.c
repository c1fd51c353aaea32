/* test_csv: routes and accounts as a table: what is read, what is refused and where, what is written, and that the two
 * fit together. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>

#include "node/plan/csv.h"
#include "node/plan/document.h"
#include "tests/unit/plan/plan_test.h"

static struct plan_csv parse(struct arena *arena, const char *text)
{
    struct plan_csv csv = {.kind = PLAN_ROUTE};
    struct err_info info = {.text = ""};
    enum err e = plan_csv_parse(arena, slice_of(text), &csv, &info);
    if (e != ERR_OK) fail_msg("%s: %u:%u: %s", text, info.line, info.column, info.text);
    return csv;
}

/* The rows as a document: every row that is not removed, merged with nothing. */
static void yaml_of(struct arena *arena, const struct plan_csv *csv, struct buf *out)
{
    const struct plan_object **list = arena_alloc(arena, (csv->row_count + 1) * sizeof *list);
    size_t n = 0;
    assert_non_null(list);
    for (size_t i = 0; i < csv->row_count; i++) {
        struct err_info info = {.text = ""};
        struct plan_object *o = arena_alloc(arena, sizeof *o);
        assert_non_null(o);
        if (csv->rows[i].remove) continue;
        enum err e = plan_csv_merge(csv, &csv->rows[i], NULL, false, o, &info);
        if (e != ERR_OK) fail_msg("%u: %s", info.line, info.text);
        list[n++] = o;
    }
    assert_int_equal(plan_document_write(list, n, out), ERR_OK);
    buf_add(out, "", 1);
}

/* ---- reading ---- */

static void test_read(void **state)
{
    (void)state;
    static const struct {
        const char *csv;
        const char *yaml; /* behind "plan: 1\n" */
    } rows[] = {
        {"match,to\r\n6,trunk/a\r\n", "routes:\n- {match: \"6\", to: trunk/a}\n"},
        {"match;to;priority\n0049;trunk/a;20\n", "routes:\n- {match: \"0049\", to: trunk/a, priority: 20}\n"},
        {"to\tmatch\rtrunk/a\t+49", "routes:\n- {match: \"+49\", to: trunk/a}\n"},
        {"\xef\xbb\xbfMatch , TO\n\n'=6001,trunk/a\n,,\n", "routes:\n- {match: \"=6001\", to: trunk/a}\n"},
        {"sep=;\nmatch;to\n6;trunk/a\n", "routes:\n- {match: \"6\", to: trunk/a}\n"},
        {"match,to\n=\"0049\",trunk/a\n\"=\"\"0050\"\"\",trunk/a\n",
         "routes:\n- {match: \"0049\", to: trunk/a}\n- {match: \"0050\", to: trunk/a}\n"},
        {"match,to\n'####,trunk/a\n", "routes:\n- {match: \"####\", to: trunk/a}\n"},
        {"match,to,note\n6,trunk/a,8.61E+12\n", "routes:\n- {match: \"6\", to: trunk/a, note: \"8.61E+12\"}\n"},
        {"match,to,\n6,trunk/a,\n", "routes:\n- {match: \"6\", to: trunk/a}\n"},
        {"match,to,note\n6,trunk/a,\"a \"\"b\"\", c\"\n7,trunk/a,''tis\n8,trunk/a,'REMOVE\n9,trunk/a,\" x \"",
         "routes:\n- {match: \"6\", to: trunk/a, note: \"a \\\"b\\\", c\"}\n- {match: \"7\", to: trunk/a, note: "
         "\"'tis\"}\n"
         "- {match: \"8\", to: trunk/a, note: REMOVE}\n- {match: \"9\", to: trunk/a, note: \" x \"}\n"},
        {"match,to,scope,length,strip,prepend,hours,overflow,failover,disabled,action\n"
         "6,reject/404,hq,'4-15,,,Mo-Fr 08:00-18:00,TRUE,408 503,yes,\n",
         "routes:\n- {match: \"6\", to: reject/404, scope: hq, length: 4-15, hours: \"Mo-Fr 08:00-18:00\", overflow: "
         "true, "
         "failover: [408, 503], disabled: true}\n"},
        {"name,password,numbers,max_contacts\ngw,(set),\"8, 9\",2\n'1e5,,,\n",
         "accounts:\n  \"1e5\": {}\n  gw:\n    numbers: [\"8\", \"9\"]\n    max_contacts: 2\n"},
        {"name,password\na,'(set)\nb,\"'\"\"\"\nc,REMOVE\n",
         "accounts:\n  a:\n    password: (set)\n  b:\n    password: (set)\n  c: {}\n"},
        {"match,to\n", ""},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct arena arena = {0};
        struct buf got = {0};
        char want[1024];
        struct plan_csv csv = parse(&arena, rows[i].csv);
        yaml_of(&arena, &csv, &got);
        (void)snprintf(want, sizeof want, "plan: 1\n%s", rows[i].yaml);
        assert_string_equal(got.p, want);
        buf_fini(&got);
        arena_fini(&arena);
    }
}

static void test_signs(void **state)
{
    (void)state;
    struct arena arena = {0};
    struct plan_csv csv = parse(&arena, "name,password,site,numbers,action\n"
                                        "a,new,hq,8,\n"
                                        "b,(set),REMOVE,',\n"
                                        "c,,,,remove\n");
    assert_int_equal(csv.kind, PLAN_ACCOUNT);
    assert_int_equal(csv.row_count, 3);
    assert_true(slice_is(csv.rows[0].object.account.password, "new"));
    assert_int_equal(csv.rows[0].object.line, 2);
    assert_int_equal(csv.rows[0].object.column, 1);
    assert_int_equal(csv.rows[0].given & csv.columns, csv.columns);
    assert_int_equal(csv.rows[0].cleared, 0);
    assert_false(csv.rows[1].object.account.password_keep); /* blank and (set) both leave it alone */
    assert_int_equal(csv.rows[1].given, 0);
    assert_int_not_equal(csv.rows[1].cleared, 0);
    assert_int_equal(csv.rows[1].cleared & csv.columns, csv.rows[1].cleared);
    assert_true(csv.rows[2].remove);
    arena_fini(&arena);
}

static void test_refused(void **state)
{
    (void)state;
    static const struct {
        const char *csv;
        unsigned line;
        unsigned column;
        const char *text; /* part of what is said */
    } rows[] = {
        {"", 1, 1, "the table is empty"},
        {"\n , \n", 1, 1, "the table is empty"},
        {"PK\x03\x04zzz", 1, 1, "workbook"},
        {"\xff\xfem\n", 1, 1, "UTF-16"},
        {"a,b\n1,2\n", 1, 1, "cell A1: the first row must name the columns"},
        {"to,mach\n", 1, 4, "cell B1: unknown column \"mach\"; did you mean \"match\"?"},
        {"match,to,prioritty\n", 1, 10, "cell C1: unknown column \"prioritty\"; did you mean \"priority\"?"},
        {"name,hashes\n", 1, 6, "unknown column \"hashes\"; those of accounts are name, password, numbers"},
        {"match,to,Match\n", 1, 10, "the column match is there twice"},
        {"match\n6\n", 1, 1, "there is no column \"to\""},
        {"match,to\n8.61E+12,trunk/a\n", 2, 1, "cell A2: match: \"8.61E+12\": a spreadsheet has made this of a long"},
        {"match,to\n\"8,61E+12\",trunk/a\n", 2, 1, "last digits are lost"},
        {"to;match\ntrunk/a;8,61E+12\n", 2, 9, "last digits are lost"},
        {"match,to\n#NAME?,trunk/a\n", 2, 1, "has run this cell as a formula"},
        {"match,to,length\n6,trunk/a,15. Apr\n", 2, 11,
         "cell C2: length: \"15. Apr\": a spreadsheet has taken this for a"},
        {"match,to,length\n6,trunk/a,04/15/2026\n", 2, 11, "for a date"},
        {"name\n1.2E+05\n", 2, 1, "cell A2: name: \"1.2E+05\": a spreadsheet has made this of a long number"},
        {"name\n8.61E12\n", 2, 1, "last digits are lost; make the column text there, or write what is meant behind an"},
        {"name\n6001.0\n", 2, 1, "cell A2: name: \"6001.0\": a spreadsheet has made a decimal number of it"},
        {"match,to\n6001.0,trunk/a\n", 2, 1, "a decimal number of it"},
        {"match;to\n6.001;trunk/a\n", 2, 1, "a decimal number of it"},
        {"match,to\n####,trunk/a\n", 2, 1, "its column was too narrow in a spreadsheet"},
        {"match,to\n2026-04-15,trunk/a\n", 2, 1, "for a date"},
        {"match,to\n030/123,trunk/a\n", 2, 1, "a / stands between digits, take it out"},
        {"match,to\n6 001,trunk/a\n", 2, 1, "there is a blank in it, take it out"},
        {"match,to\n6001\xc2\xa0,trunk/a\n", 2, 1, "\"6001<U+00A0>\" is no match: U+00A0 is a blank, take it out"},
        {"to,match\ntrunk/a,\xef\xbc\x96\n", 2, 9, "\"<U+FF16>\" is no match: U+FF16 is a full-width character"},
        {"match,to,note\n6,trunk/a,B\xfcro\n", 2, 11,
         "cell C2: note: this is not UTF-8 text; save the table as CSV UTF-8"},
        {"match;to\n6,trunk/a\n", 2, 1, "cell A2: commas stand between the cells of this row, but semicolons between"},
        {"match,to\n=\"6\"1,trunk/a\n", 2, 1, "is no match"},
        {"match,length,to\n'=615,4-15,trunk/a\n", 2, 1,
         "cell A2: match: =615 has 3 digits, but length says 4 at least"},
        {"match,to\n6,trunk/a\n8x,trunk/a\n", 3, 1, "cell A3: match: "},
        {"match,to,note,priority\n6,trunk/a,\xc3\xb6\xc3\xb6,x\n", 2, 14,
         "cell D2: priority: \"x\" is no value for it; write"},
        {"match,to,note\n6,trunk/a,\"two\nlines\"\n", 2, 11, "a note is one line"},
        {"match,to,note\n6,trunk/a,\"x\ny\"\n7,zzz,\n", 2, 11, "a note"},
        {"name,numbers,calls\na,\"8\n9\",x\n", 3, 4, "cell C2: calls: \"x\" is no value"},
        {"match,to,password\n", 1, 10, "unknown column"},
        {"match,to\n6,trunk/a,7\n", 2, 11, "cell C2: \"7\" stands under no heading"},
        {"match,to,\n6,trunk/a,7\n", 2, 11, "stands under no heading"},
        {"match,to\n6,\n", 2, 3, "cell B2: \"to\" is missing in this row"},
        {"match,to\n6\n", 2, 1, "\"to\" is missing"},
        {"match,to\n',trunk/a\n", 2, 1, "\"match\" is missing"},
        {"name,site\n,hq\n", 2, 1, "the name is missing"},
        {"match,to\nREMOVE,trunk/a\n", 2, 1, "REMOVE in the column action removes the route"},
        {"match,to,action\n6,trunk/a,DELETE\n", 2, 11, "\"DELETE\" is no action; write REMOVE"},
        {"match,to\n6,trunk/a\n7,trunk/a\n6,trunk/a\n", 4, 1, "route//6/trunk/a is already in line 2"},
        {"name,action\na,\na,REMOVE\n", 3, 1, "account/a is already in line 2"},
        {"match,to\n\"6,trunk/a\n", 2, 1, "never closed"},
        {"match,to\n\"6\"1,trunk/a\n", 2, 1, "the quotes of this cell end"},
        {"match,to\n 6\"1,trunk/a\n", 2, 3, "a quote within a cell"},
        {"name,numbers\na,7 8 7\n", 2, 3, "stands there twice"},
        {"name,max_contacts\na,99\n", 2, 3, "out of range"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct arena arena = {0};
        struct plan_csv csv = {.rows = NULL};
        struct err_info info = {.text = ""};
        enum err e = plan_csv_parse(&arena, slice_of(rows[i].csv), &csv, &info);
        bool right = e == ERR_SYNTAX || e == ERR_LIMIT;
        if (!right || info.line != rows[i].line || info.column != rows[i].column ||
            strstr(info.text, rows[i].text) == NULL) {
            fail_msg("%s: error %d at %u:%u: %s", rows[i].csv, (int)e, info.line, info.column, info.text);
        }
        assert_null(csv.rows);
        arena_fini(&arena);
    }
}

static void test_many_columns(void **state)
{
    (void)state;
    struct arena arena = {0};
    struct plan_csv csv;
    struct err_info info = {.text = ""};
    struct buf text = {0};
    buf_text(&text, "match,to");
    for (int i = 0; i < 62; i++)
        buf_text(&text, ",");
    assert_int_equal(plan_csv_parse(&arena, buf_view(&text), &csv, &info), ERR_OK);
    buf_text(&text, ",");
    assert_int_equal(plan_csv_parse(&arena, buf_view(&text), &csv, &info), ERR_LIMIT);
    buf_fini(&text);
    arena_fini(&arena);
}

/* ---- merging ---- */

static void test_merge(void **state)
{
    (void)state;
    static const char stored[] = "plan: 1\nroutes:\n- {match: \"6\", to: trunk/a, priority: 20, note: old, strip: 1}\n";
    static const struct {
        const char *csv;
        bool replace;
        const char *yaml;
    } rows[] = {
        {"match,to,priority,note\n6,trunk/a,,\n", false,
         "{match: \"6\", to: trunk/a, priority: 20, strip: 1, note: old}"},
        {"match,to,priority,note\n6,trunk/a,30,\n", false,
         "{match: \"6\", to: trunk/a, priority: 30, strip: 1, note: old}"},
        {"match,to,priority,note\n6,trunk/a,REMOVE,new\n", false, "{match: \"6\", to: trunk/a, strip: 1, note: new}"},
        {"match,to,priority,note\n6,trunk/a,,\n", true, "{match: \"6\", to: trunk/a, strip: 1}"},
        {"match,to\n6,trunk/a\n", true, "{match: \"6\", to: trunk/a, priority: 20, strip: 1, note: old}"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct arena arena = {0};
        struct buf got = {0};
        char want[256];
        struct plan_object o;
        struct plan_document doc = test_parse(&arena, slice_of(stored));
        struct plan_csv csv = parse(&arena, rows[i].csv);
        assert_int_equal(plan_csv_merge(&csv, &csv.rows[0], &doc.objects[0], rows[i].replace, &o, NULL), ERR_OK);
        assert_int_equal(o.line, 2);
        assert_int_equal(plan_document_write((const struct plan_object *const[]){&o}, 1, &got), ERR_OK);
        buf_add(&got, "", 1);
        (void)snprintf(want, sizeof want, "plan: 1\nroutes:\n- %s\n", rows[i].yaml);
        assert_string_equal(got.p, want);
        buf_fini(&got);
        arena_fini(&arena);
    }
}

static void test_merge_checks_the_whole(void **state)
{
    (void)state;
    struct arena arena = {0};
    struct err_info info = {.text = ""};
    struct plan_object o;
    struct plan_document doc =
        test_parse(&arena, SLICE("plan: 1\nroutes:\n- {match: =60, to: trunk/a, prepend: \"1\"}\n"));
    struct plan_csv csv = parse(&arena, "match,to,prepend,strip\n\n'=60,trunk/a,REMOVE,2\n");
    assert_int_equal(plan_csv_merge(&csv, &csv.rows[0], &doc.objects[0], false, &o, &info), ERR_SYNTAX);
    assert_int_equal(info.line, 3);
    assert_non_null(strstr(info.text, "leaves nothing of =60"));
    arena_fini(&arena);
}

/* A password that is stored stays through blank cells, in both modes; a new one and REMOVE take its place. */
static void test_merge_keeps_secrets(void **state)
{
    (void)state;
    static const struct {
        const char *cell;
        bool replace;
        bool stored_stays;
        const char *password;
    } rows[] = {{"", false, true, ""},
                {"", true, true, ""},
                {"(set)", true, true, ""},
                {"REMOVE", false, false, ""},
                {"new", false, false, "new"}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct arena arena = {0};
        char text[64];
        struct plan_object o;
        struct plan_object stored;
        plan_object_init(&stored, PLAN_ACCOUNT);
        stored.account.name = SLICE("a");
        stored.account.secret.set = true;
        (void)snprintf(text, sizeof text, "name,password\na,%s\n", rows[i].cell);
        struct plan_csv csv = parse(&arena, text);
        assert_int_equal(plan_csv_merge(&csv, &csv.rows[0], &stored, rows[i].replace, &o, NULL), ERR_OK);
        assert_int_equal(o.account.secret.set, rows[i].stored_stays);
        assert_true(slice_is(o.account.password, rows[i].password));
        arena_fini(&arena);
    }
}

struct finder {
    const char *key;
    struct plan_object found;
};

static const struct plan_object *find_key(void *ctx, struct slice key)
{
    struct finder *f = ctx;
    return slice_is(key, f->key) ? &f->found : NULL;
}

static void test_original(void **state)
{
    (void)state;
    static const struct {
        const char *csv;
        const char *stored;
        bool traced;
    } rows[] = {
        {"match,to\n49,trunk/a\n", "route//+49/trunk/a", true},
        {"match,to\n49,trunk/a\n", "route//0049/trunk/a", true},
        {"match,to\n6001,trunk/a\n", "route//=6001/trunk/a", true},
        {"match,to,scope\n6001,trunk/a,hq\n", "route/hq/=06001/trunk/a", true},
        {"match,to\n49,trunk/a\n", "route//0049/trunk/b", false},
        {"match,to\n+49,trunk/a\n", "route//0+49/trunk/a", false},
        {"match,to\n'=6001,trunk/a\n", "route//==6001/trunk/a", false},
        {"name\n41\n", "account/041", true},
        {"name\n41\n", "account/+41", false},
        {"name\ngw\n", "account/0gw", false},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct arena arena = {0};
        struct finder f = {.key = rows[i].stored};
        struct plan_csv csv = parse(&arena, rows[i].csv);
        if ((plan_csv_original(&csv.rows[0], find_key, &f) != NULL) != rows[i].traced) fail_msg("%s", rows[i].csv);
        arena_fini(&arena);
    }
}

/* ---- writing ---- */

static void test_write(void **state)
{
    (void)state;
    static const struct {
        const char *yaml;
        enum plan_kind kind;
        char separator;
        const char *csv;
    } rows[] = {
        {"plan: 1\nroutes:\n- {match: \"6\", to: trunk/a}\n", PLAN_ACCOUNT, ',',
         "name,password,numbers,strip,prepend,site,max_contacts,calls,keepalive,keepalive_every,map,disabled,"
         "action\r\n"},
        {"plan: 1\nroutes:\n- {match: +49, to: trunk/a, priority: 20, prepend: \"00\"}\n- {match: =6001, to: trunk/a}\n"
         "- {match: \"010\", to: trunk/a, length: 4-15, failover: [408, 503]}\n- {match: 8150-8379, to: trunk/a}\n"
         "- {match: \"123456789012\", to: reject/404, note: \"a;b \\\"c\\\"\", overflow: true, hours: \"Mo-Fr "
         "08:00-18:00\"}\n"
         "- {match: \"0\", to: site/hq, scope: 1e5, note: \"J\xc3\xb6rg\"}\n",
         PLAN_ROUTE, ';',
         "\xef\xbb\xbfmatch;to;priority;weight;scope;length;strip;prepend;hours;overflow;failover;note;disabled;"
         "action\r\n"
         "'+49;trunk/a;20;;;;;'00;;;;;;\r\n"
         "0;site/hq;;;'1e5;;;;;;;J\xc3\xb6rg;;\r\n"
         "'010;trunk/a;;;;'4-15;;;;;'408 503;;;\r\n"
         "'123456789012;reject/404;;;;;;;Mo-Fr 08:00-18:00;yes;;\"a;b \"\"c\"\"\";;\r\n"
         "'8150-8379;trunk/a;;;;;;;;;;;;\r\n"
         "'=6001;trunk/a;;;;;;;;;;;;\r\n"},
        {"plan: 1\naccounts: { \"6001\": { password: x, calls: 2 }, \"007\": { numbers: [\"8\", \"+9\"] } }\n",
         PLAN_ACCOUNT, ',',
         "name,password,numbers,strip,prepend,site,max_contacts,calls,keepalive,keepalive_every,map,disabled,action\r\n"
         "'007,,'8 +9,,,,,,,,,,\r\n6001,(set),,,,,,2,,,,,\r\n"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct arena arena = {0};
        struct buf got = {0};
        struct plan_document doc = test_parse(&arena, slice_of(rows[i].yaml));
        assert_int_equal(
            plan_csv_write(rows[i].kind, test_objects(&arena, &doc), doc.object_count, rows[i].separator, &got),
            ERR_OK);
        buf_add(&got, "", 1);
        assert_string_equal(got.p, rows[i].csv);
        buf_fini(&got);
        arena_fini(&arena);
    }
}

/* What is written reads back to the same objects, whatever separates the cells. */
static void test_round_trip(void **state)
{
    (void)state;
    static const char yaml[] =
        "plan: 1\nroutes:\n"
        "- {match: \"+49\", to: trunk/a, weight: 0, scope: hq, length: -15, strip: 2, prepend: \"+0\"}\n"
        "- {match: =6001, to: account/x, length: 4, note: \"=cmd|' /C calc'!A0\"}\n"
        "- {match: \"#21*\", to: reject/604, note: \"'quoted', \\\"twice\\\"; and more\"}\n"
        "- {match: \"34020000001320\", to: site/hq, overflow: true, disabled: true, failover: [404, 503]}\n"
        "- {match: \"6\", to: trunk/a, note: REMOVE, length: 4-}\n"
        "- {match: \"7\", to: trunk/a, note: \" @ \"}\n"
        "- {match: \"8\", to: trunk/a, note: \"-1\"}\n";
    static const char separators[] = ",;\t";
    for (size_t i = 0; separators[i] != '\0'; i++) {
        struct arena arena = {0};
        struct buf table = {0};
        struct buf want = {0};
        struct buf got = {0};
        struct plan_document doc = test_parse(&arena, SLICE(yaml));
        const struct plan_object **list = test_objects(&arena, &doc);
        assert_int_equal(plan_document_write(list, doc.object_count, &want), ERR_OK);
        assert_int_equal(plan_csv_write(PLAN_ROUTE, list, doc.object_count, separators[i], &table), ERR_OK);
        buf_add(&table, "", 1);
        struct plan_csv csv = parse(&arena, table.p);
        assert_int_equal(csv.row_count, doc.object_count);
        yaml_of(&arena, &csv, &got);
        buf_add(&want, "", 1);
        assert_string_equal(got.p, want.p);
        buf_fini(&table);
        buf_fini(&want);
        buf_fini(&got);
        arena_fini(&arena);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_read),
        cmocka_unit_test(test_signs),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_many_columns),
        cmocka_unit_test(test_merge),
        cmocka_unit_test(test_merge_checks_the_whole),
        cmocka_unit_test(test_merge_keeps_secrets),
        cmocka_unit_test(test_original),
        cmocka_unit_test(test_write),
        cmocka_unit_test(test_round_trip),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
