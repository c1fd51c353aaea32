/* The torture messages of RFC 4475 and RFC 5118 (tests/torture), as the view sees them: refused for the right reason,
 * or accepted, and then a proxy's edits give a message that is accepted too, with the same body. What a whole node
 * answers is in tests/system/test_torture.py. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <setjmp.h>
#include <stdlib.h>

#include <cmocka.h>

#include "node/sip/edit.h"

#define MESSAGE_MAX 65536

struct row {
    char file[64];
    char section[16];
    char fault[24];
    char node[8];
};

static size_t read_message(const char *name, char data[MESSAGE_MAX])
{
    char path[512];
    (void)snprintf(path, sizeof path, "%s/%s", TORTURE_DIR, name);
    FILE *f = fopen(path, "rb");
    if (f == NULL) fail_msg("%s cannot be read", path);
    size_t n = fread(data, 1, MESSAGE_MAX, f);
    (void)fclose(f);
    assert_true(n > 0 && n < MESSAGE_MAX);
    return n;
}

static void forwards(const struct row *row, const struct sip_view *v)
{
    struct sip_edits e;
    struct sip_view back;
    struct buf out = {0};
    struct buf via = {0};
    sip_edits_init(&e, v);
    sip_via_with_received(v, SLICE("192.0.2.9"), 5071, &via);
    sip_edit_replace(&e, v->uri, SLICE("sip:8123@192.0.2.7"));
    sip_edit_insert(&e, v->first_line_end, SLICE("Via: SIP/2.0/UDP 192.0.2.8;branch=z9hG4bKours\r\n"));
    sip_edit_replace(&e, v->via.all, buf_view(&via));
    assert_int_equal(sip_edit_apply(&e, &out), ERR_OK);
    if (sip_view_parse(&back, out.p, out.n, NULL) != SIP_FAULT_NONE) fail_msg("%s: not accepted again", row->file);
    assert_int_equal(back.line_count, v->line_count + 1);
    assert_true(slice_eq(back.body, v->body) && slice_eq(back.from_tag, v->from_tag));
    assert_true(slice_is(back.via.branch, "z9hG4bKours"));
    buf_fini(&out);
    buf_fini(&via);
}

static void check(const struct row *row)
{
    static char data[MESSAGE_MAX];
    struct sip_view v;
    bool answerable = false;
    size_t n = read_message(row->file, data);
    enum sip_fault f = sip_view_parse(&v, data, n, &answerable);
    if (strcmp(sip_fault_name(f), row->fault) != 0)
        fail_msg("%s (%s): fault %s, not %s", row->file, row->section, sip_fault_name(f), row->fault);
    if (f == SIP_FAULT_NONE) {
        if (v.request) forwards(row, &v);
        return;
    }
    bool silence = strcmp(row->node, "-") == 0;
    if (answerable == silence) fail_msg("%s: answerable is %d", row->file, answerable);
    if (answerable) assert_int_equal(sip_fault_answer(f), atoi(row->node));
}

static void every_message(void **state)
{
    char line[512];
    size_t rows = 0;
    (void)state;
    FILE *f = fopen(TORTURE_DIR "/expected.csv", "r");
    assert_non_null(f);
    assert_non_null(fgets(line, sizeof line, f)); /* the heading */
    while (fgets(line, sizeof line, f) != NULL) {
        struct row row;
        if (sscanf(line, "%63[^,],%15[^,],%23[^,],%7[^,]", row.file, row.section, row.fault, row.node) != 4)
            fail_msg("not a row: %s", line);
        check(&row);
        rows++;
    }
    (void)fclose(f);
    assert_true(rows >= 62);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(every_message)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
