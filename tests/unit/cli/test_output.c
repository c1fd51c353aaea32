/* test_output: the same records in every format, to the byte; hostile texts; errors. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>
#include <jansson.h>

#include "cli/output.h"

static const struct output_column node_columns[] = {
    {"node", "NODE", FORM_PLAIN, 0},
    {"rtt_us", "ROUND TRIP", FORM_US, COLUMN_RIGHT},
    {"linked", "LINKED", FORM_PLAIN, COLUMN_STATE},
    {"since", "SINCE", FORM_TIME, 0},
    {"note", "NOTE", FORM_PLAIN, COLUMN_CUT},
    {0},
};
static const struct output_column sum_columns[] = {{"total", "in all", FORM_PLAIN, 0},
                                                   {"odd", "seldom", FORM_PLAIN, COLUMN_ODD},
                                                   {"text", "text", FORM_PLAIN, 0},
                                                   {0}};

static const struct output_column find_columns[] = {
    {"where", "WHERE", FORM_PLAIN, 0},
    {"more", "ONLY WHERE THERE IS ROOM", FORM_PLAIN, COLUMN_WIDE},
    {"odd", "ODD", FORM_PLAIN, COLUMN_RARE},
    {"text", "FOUND", FORM_PLAIN, COLUMN_WRAP},
    {0},
};

static void write_note(void *ctx, const struct control_record *r, struct buf *out)
{
    assert_ptr_equal(ctx, node_columns);
    buf_printf(out, "note: %.*s\n", SLICE_ARG(control_get_text(r, "text")));
}

static const struct output_view views[] = {
    {.kind = "node", .columns = node_columns, .none = "No nodes.", .fields = "node,rtt_us,linked"},
    {.kind = "sum", .columns = sum_columns, .upright = true},
    {.kind = "find", .columns = find_columns},
    {.kind = "note", .line = write_note, .ctx = (void *)(uintptr_t)node_columns},
    {0},
};

static void add_node(struct output *o, const char *name, int64_t rtt_us, bool linked, struct slice note)
{
    struct arena arena = {0};
    struct control_builder b;
    struct control_record r;
    struct control_record tags[2];
    for (int i = 0; i < 2; i++) {
        control_record_start(&b, &arena, "");
        control_printf(&b, "", "t%d", i);
        assert_int_equal(control_record_done(&b, &tags[i]), ERR_OK);
    }
    control_record_start(&b, &arena, "node");
    control_text(&b, "node", slice_of(name));
    if (rtt_us >= 0)
        control_int(&b, "rtt_us", rtt_us);
    else
        control_null(&b, "rtt_us");
    control_bool(&b, "linked", linked);
    control_text(&b, "since", SLICE("2026-11-22T08:15:30.123Z"));
    control_text(&b, "note", note);
    control_bytes(&b, "key", SLICE("\x01\xff"));
    control_list(&b, "tags", tags, 2);
    assert_int_equal(control_record_done(&b, &r), ERR_OK);
    output_record(o, &r);
    arena_fini(&arena); /* what the output keeps is its own */
}

static void add_small(struct output *o, const char *kind, const char *field, const char *text)
{
    struct arena arena = {0};
    struct control_builder b;
    struct control_record r;
    control_record_start(&b, &arena, kind);
    control_text(&b, field, slice_of(text));
    assert_int_equal(control_record_done(&b, &r), ERR_OK);
    output_record(o, &r);
    arena_fini(&arena);
}

struct sheet {
    struct output *o;
    FILE *stream;
    char *text;
    size_t n;
};

static void sheet_open(struct sheet *s, enum output_format format, bool terminal, unsigned width)
{
    s->stream = open_memstream(&s->text, &s->n);
    assert_non_null(s->stream);
    const struct output_options options = {
        .stream = s->stream, .format = format, .terminal = terminal, .color = false, .width = width, .views = views};
    s->o = output_new(&options);
    assert_non_null(s->o);
}

static void sheet_finish(struct sheet *s, int status, const char *error)
{
    assert_int_equal(output_finish(s->o, status, slice_of(error)), ERR_OK);
    assert_int_equal(fclose(s->stream), 0);
}

static void sheet_expect(struct sheet *s, int status, const char *error, const char *want)
{
    sheet_finish(s, status, error);
    assert_string_equal(s->text, want);
    free(s->text);
}

static void fill(struct output *o)
{
    add_node(o, "hq-1", 1234, true, SLICE("a, \"b\""));
    add_node(o, "campus-1", -1, false, SLICE_NONE);
}

static void test_json(void **state)
{
    (void)state;
    struct sheet s;
    sheet_open(&s, OUTPUT_JSON, false, 0);
    fill(s.o);
    sheet_expect(
        &s, 0, NULL,
        "{\"schema_version\":1,\"records\":[\n"
        "{\"kind\":\"node\",\"node\":\"hq-1\",\"rtt_us\":1234,\"linked\":true,\"since\":\"2026-11-22T08:15:30.123Z\","
        "\"note\":\"a, \\\"b\\\"\",\"key\":\"01ff\",\"tags\":[\"t0\",\"t1\"]},\n"
        "{\"kind\":\"node\",\"node\":\"campus-1\",\"rtt_us\":null,\"linked\":false,"
        "\"since\":\"2026-11-22T08:15:30.123Z\",\"note\":\"\",\"key\":\"01ff\",\"tags\":[\"t0\",\"t1\"]}\n"
        "]}\n");
    sheet_open(&s, OUTPUT_JSON, false, 0);
    sheet_expect(&s, 0, NULL, "{\"schema_version\":1,\"records\":[]}\n");
    sheet_open(&s, OUTPUT_JSON, false, 0);
    sheet_expect(&s, 5, "nobody \"there\"",
                 "{\"schema_version\":1,\"error\":{\"status\":5,\"text\":\"nobody \\\"there\\\"\"}}\n");
    sheet_open(&s, OUTPUT_JSON, false, 0);
    add_small(s.o, "sum", "total", "3");
    sheet_expect(&s, 4, "half",
                 "{\"schema_version\":1,\"records\":[\n{\"kind\":\"sum\",\"total\":\"3\"}\n],"
                 "\"error\":{\"status\":4,\"text\":\"half\"}}\n");
}

static void test_yaml(void **state)
{
    (void)state;
    struct sheet s;
    sheet_open(&s, OUTPUT_YAML, false, 0);
    add_node(s.o, "hq-1", 1234, true, SLICE("no"));
    sheet_expect(&s, 3, "bad: thing",
                 "schema_version: 1\nrecords:\n- kind: node\n  node: hq-1\n  rtt_us: 1234\n  linked: true\n"
                 "  since: \"2026-11-22T08:15:30.123Z\"\n  note: \"no\"\n  key: \"01ff\"\n  tags:\n  - t0\n  - t1\n"
                 "error:\n  status: 3\n  text: \"bad: thing\"\n");
    sheet_open(&s, OUTPUT_YAML, false, 0);
    sheet_expect(&s, 0, NULL, "schema_version: 1\nrecords: []\n");
}

static void test_csv(void **state)
{
    (void)state;
    struct sheet s;
    sheet_open(&s, OUTPUT_CSV, false, 0);
    fill(s.o);
    sheet_expect(&s, 0, NULL,
                 "node,rtt_us,linked,since,note,key,tags\r\n"
                 "hq-1,1234,true,2026-11-22T08:15:30.123Z,\"a, \"\"b\"\"\",01ff,t0 t1\r\n"
                 "campus-1,,false,2026-11-22T08:15:30.123Z,,01ff,t0 t1\r\n");
    sheet_open(&s, OUTPUT_CSV, false, 0);
    add_small(s.o, "sum", "total", "+49");
    add_small(s.o, "note", "text", " two\nlines");
    sheet_expect(&s, 3, "not here", "kind,total,text\r\nsum,+49,\r\nnote,,\" two\nlines\"\r\n");
    sheet_open(&s, OUTPUT_CSV, false, 0);
    sheet_expect(&s, 0, NULL, "node,rtt_us,linked\r\n");
    sheet_open(&s, OUTPUT_CSV, false, 0);
    sheet_expect(&s, 5, "no answer", ""); /* it is not known to be empty */
}

/* What a spreadsheet would run does not come to it as it is; a number with its sign does. */
static void test_csv_formulas(void **state)
{
    static const char *const texts[][2] = {
        {"=1+1", "'=1+1"},
        {"@SUM(A1)", "'@SUM(A1)"},
        {"+cmd|' /C calc'!A0", "'+cmd|' /C calc'!A0"},
        {"-2+3", "'-2+3"},
        {"\t=1", "'\t=1"},
        {"=\"a\",1", "\"'=\"\"a\"\",1\""},
        {"+49 (30) 1234-5", "+49 (30) 1234-5"},
        {"-7", "-7"},
        {"a=1", "a=1"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        struct sheet s;
        char expected[64];
        (void)snprintf(expected, sizeof expected, "from\r\n%s\r\n", texts[i][1]);
        sheet_open(&s, OUTPUT_CSV, false, 0);
        add_small(s.o, "call", "from", texts[i][0]);
        sheet_expect(&s, 0, NULL, expected);
    }
}

static void test_table(void **state)
{
    (void)state;
    struct sheet s;
    sheet_open(&s, OUTPUT_TABLE, false, 0);
    fill(s.o);
    add_small(s.o, "sum", "total", "2");
    add_small(s.o, "other", "some_field", "x");
    sheet_expect(&s, 0, NULL,
                 "NODE      ROUND TRIP  LINKED  SINCE                 NOTE\n"
                 "hq-1          1.2 ms  yes     2026-11-22 08:15:30Z  a, \"b\"\n"
                 "campus-1           -  no      2026-11-22 08:15:30Z  -\n"
                 "\nin all  2\ntext    -\n" /* and nothing of what is odd */
                 "\nSOME FIELD\nx\n");
    sheet_open(&s, OUTPUT_TABLE, false, 0);
    add_small(s.o, "note", "text", "first");
    add_node(s.o, "a", 0, true, SLICE("z"));
    add_small(s.o, "note", "text", "second"); /* lines do not wait for tables */
    sheet_expect(&s, 0, NULL,
                 "note: first\nnote: second\n"
                 "\nNODE  ROUND TRIP  LINKED  SINCE                 NOTE\n"
                 "a           0 ms  yes     2026-11-22 08:15:30Z  z\n");
    sheet_open(&s, OUTPUT_TABLE, false, 0);
    add_small(s.o, "sum", "odd", "yes");
    sheet_expect(&s, 0, NULL, "in all  -\nseldom  yes\ntext    -\n");
    sheet_open(&s, OUTPUT_TABLE, false, 0);
    sheet_expect(&s, 0, NULL, "No nodes.\n");
    sheet_open(&s, OUTPUT_TABLE, false, 0);
    sheet_expect(&s, 5, "unreachable", "");
}

/* The longest line, in bytes: the texts here are ASCII. */
static size_t widest(const char *text)
{
    size_t most = 0;
    for (const char *p = text; *p != '\0';) {
        size_t n = strcspn(p, "\n");
        most = n > most ? n : most;
        p += n + (p[n] == '\n');
    }
    return most;
}

static void test_table_fits_the_terminal(void **state)
{
    (void)state;
    struct sheet s;
    char note[300];
    memset(note, 'n', sizeof note);
    sheet_open(&s, OUTPUT_TABLE, true, 80);
    add_node(s.o, "hq-1", 12, true, (struct slice){note, sizeof note});
    sheet_finish(&s, 0, NULL);
    assert_true(widest(s.text) <= 80);
    free(s.text);
    sheet_open(&s, OUTPUT_TABLE, false, 0); /* a file takes it whole */
    add_node(s.o, "hq-1", 12, true, (struct slice){note, sizeof note});
    sheet_finish(&s, 0, NULL);
    assert_true(widest(s.text) > 300);
    free(s.text);
}

static void find_two(struct output *o)
{
    add_small(o, "find", "text", "the quick brown fox jumps over the lazy dog");
    add_small(o, "find", "text", "Donaudampfschifffahrtsgesellschaft");
}

/* First the columns that are only good to have go, then texts go on in the next line, between words where they can. */
static void test_table_of_texts(void **state)
{
    (void)state;
    struct sheet s;
    sheet_open(&s, OUTPUT_TABLE, true, 80);
    find_two(s.o);
    sheet_expect(&s, 0, NULL,
                 "WHERE  ONLY WHERE THERE IS ROOM  FOUND\n"
                 "-      -                         the quick brown fox jumps over the lazy dog\n"
                 "-      -                         Donaudampfschifffahrtsgesellschaft\n");
    sheet_open(&s, OUTPUT_TABLE, true, 40);
    find_two(s.o);
    sheet_expect(&s, 0, NULL,
                 "WHERE  FOUND\n-      the quick brown fox jumps over\n       the lazy dog\n"
                 "-      Donaudampfschifffahrtsgesellschaf\n       t\n");
    sheet_open(&s, OUTPUT_TABLE, false, 0);
    add_small(s.o, "find", "odd", "yes");
    sheet_expect(&s, 0, NULL, "WHERE  ONLY WHERE THERE IS ROOM  ODD  FOUND\n-      -                         yes  -\n");
}

/* Whatever a stranger puts into a field, no format lets it steer the terminal, and JSON stays JSON. */
static void test_hostile_text(void **state)
{
    (void)state;
    static const char evil[] = "\x1b]0;x\x07\r\n\x9b"
                               "2J\xc2\x9b\xff\xe2\x80\xae,\"";
    for (int format = OUTPUT_TABLE; format <= OUTPUT_CSV; format++) {
        struct sheet s;
        sheet_open(&s, (enum output_format)format, true, 80);
        add_node(s.o, "hq-1", 1, true, (struct slice){evil, sizeof evil - 1});
        sheet_finish(&s, 1, evil);
        for (size_t i = 0; i < s.n; i++) {
            unsigned char c = (unsigned char)s.text[i];
            assert_true(c == '\n' || (c == '\r' && format == OUTPUT_CSV) || (c >= ' ' && c != 0x7f));
        }
        assert_null(strstr(s.text, "\xc2\x9b"));
        assert_null(strstr(s.text, "\xe2\x80\xae"));
        if (format == OUTPUT_JSON) {
            json_t *v = json_loads(s.text, 0, NULL);
            assert_non_null(v);
            json_decref(v);
        }
        free(s.text);
    }
}

static void test_broken_stream(void **state)
{
    (void)state;
    FILE *full = fopen("/dev/full", "w");
    if (full == NULL) skip();
    const struct output_options options = {.stream = full, .format = OUTPUT_JSON};
    struct output *o = output_new(&options);
    assert_non_null(o);
    fill(o);
    assert_int_equal(output_finish(o, 0, SLICE_NONE), ERR_IO);
    (void)fclose(full);
}

static void test_cells(void **state)
{
    (void)state;
    static const struct {
        struct control_field f;
        enum column_form form;
        const char *want;
    } rows[] = {
        {{.type = CONTROL_NULL}, FORM_PLAIN, "-"},
        {{.type = CONTROL_TEXT}, FORM_PLAIN, "-"},
        {{.type = CONTROL_INT, .integer = 0}, FORM_US, "0 ms"},
        {{.type = CONTROL_INT, .integer = 999}, FORM_US, "1.0 ms"},
        {{.type = CONTROL_INT, .integer = 25400}, FORM_US, "25 ms"},
        {{.type = CONTROL_INT, .integer = 1500}, FORM_MS, "1.5 s"},
        {{.type = CONTROL_INT, .integer = 58}, FORM_S, "58 s"},
        {{.type = CONTROL_INT, .integer = 3600}, FORM_S, "60 min"},
        {{.type = CONTROL_INT, .integer = 7200}, FORM_S, "2.0 h"},
        {{.type = CONTROL_INT, .integer = 864000}, FORM_S, "10 d"},
        {{.type = CONTROL_INT, .integer = -5}, FORM_S, "0 ms"},
        {{.type = CONTROL_INT, .integer = INT64_MAX}, FORM_MS, "106751991 d"},
        {{.type = CONTROL_INT, .integer = 1000}, FORM_TIME, "1970-01-01 00:00:01Z"},
        {{.type = CONTROL_TEXT, .text = SLICE("yesterday")}, FORM_TIME, "yesterday"},
        {{.type = CONTROL_TEXT, .text = SLICE("0123456789abcdef")}, FORM_DIGEST, "0123456789ab"},
        {{.type = CONTROL_INT, .integer = 7}, FORM_DIGEST, "7"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct buf out = {0};
        output_cell(&rows[i].f, rows[i].form, &out);
        buf_add(&out, "", 1);
        assert_string_equal(out.p, rows[i].want);
        buf_fini(&out);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_json),
        cmocka_unit_test(test_yaml),
        cmocka_unit_test(test_csv),
        cmocka_unit_test(test_csv_formulas),
        cmocka_unit_test(test_table),
        cmocka_unit_test(test_table_fits_the_terminal),
        cmocka_unit_test(test_table_of_texts),
        cmocka_unit_test(test_hostile_text),
        cmocka_unit_test(test_broken_stream),
        cmocka_unit_test(test_cells),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
