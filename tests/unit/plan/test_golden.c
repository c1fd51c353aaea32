/* Golden files: what plan check says about each golden/NAME.yaml stands in golden/NAME.expected, errors word by word.
 * With TANDEM_GOLDEN=write the expected files are written anew, to be read before they are committed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>

#include "node/plan/document.h"
#include "node/plan/lint.h"
#include "tests/unit/plan/plan_test.h"

static bool read_file(const char *path, struct buf *out)
{
    FILE *f = fopen(path, "rb");
    if (f == NULL) return false;
    for (;;) {
        char *room = buf_room(out, 4096);
        assert_non_null(room);
        size_t n = fread(room, 1, 4096, f);
        out->n += n;
        if (n == 0) break;
    }
    (void)fclose(f);
    return true;
}

static void describe(struct slice yaml, struct buf *out)
{
    struct arena arena = {0};
    struct plan_document doc = {0};
    struct err_info info = {.text = ""};
    struct plan_faults faults;
    struct lint_report report = {0};
    enum err e = plan_document_parse(&arena, yaml, &doc, &info);
    assert_int_equal(plan_document_check(&arena, yaml, &doc, &faults) == ERR_OK, e == ERR_OK);
    if (e != ERR_OK) {
        assert_string_equal(faults.items[0].text, info.text);
        for (size_t i = 0; i < faults.count; i++)
            buf_printf(out, "%u:%u: %s\n", faults.items[i].line, faults.items[i].column, faults.items[i].text);
        if (faults.more) buf_text(out, "and more\n");
        arena_fini(&arena);
        return;
    }
    buf_printf(out, "%zu objects, %zu removals\n", doc.object_count, doc.remove_count);
    assert_int_equal(plan_lint(&arena, test_objects(&arena, &doc), doc.object_count, &report), ERR_OK);
    for (size_t i = 0; i < report.count; i++) {
        const struct lint_finding *f = &report.findings[i];
        assert_int_equal(i < report.error_count, f->severity == LINT_ERROR);
        buf_printf(out, "%u: %s %s %.*s: %.*s\n", f->line, f->severity == LINT_ERROR ? "error" : "warning", f->id,
                   SLICE_ARG(f->object), SLICE_ARG(f->text));
    }
    arena_fini(&arena);
}

static void write_file(const char *path, struct slice text)
{
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(text.p, 1, text.n, f), text.n);
    assert_int_equal(fclose(f), 0);
}

static void check(const char *name, size_t stem)
{
    char path[1024];
    struct buf yaml = {0};
    struct buf expected = {0};
    struct buf got = {0};
    (void)snprintf(path, sizeof path, "%s/%s", GOLDEN_DIR, name);
    assert_true(read_file(path, &yaml));
    describe(buf_view(&yaml), &got);
    assert_false(got.failed);
    (void)snprintf(path, sizeof path, "%s/%.*s.expected", GOLDEN_DIR, (int)stem, name);
    const char *mode = getenv("TANDEM_GOLDEN");
    if (mode != NULL && strcmp(mode, "write") == 0) write_file(path, buf_view(&got));
    if (!read_file(path, &expected)) fail_msg("%s is missing", path);
    if (!slice_eq(buf_view(&got), buf_view(&expected))) {
        fail_msg("%s: got\n%.*sinstead of\n%.*s", name, SLICE_ARG(buf_view(&got)), SLICE_ARG(buf_view(&expected)));
    }
    buf_fini(&yaml);
    buf_fini(&expected);
    buf_fini(&got);
}

static void test_golden(void **state)
{
    (void)state;
    DIR *dir = opendir(GOLDEN_DIR);
    size_t count = 0;
    assert_non_null(dir);
    for (struct dirent *e = readdir(dir); e != NULL; e = readdir(dir)) {
        size_t n = strlen(e->d_name);
        if (n < 6 || strcmp(e->d_name + n - 5, ".yaml") != 0) continue;
        check(e->d_name, n - 5);
        count++;
    }
    (void)closedir(dir);
    assert_true(count > 30); /* a folder that is gone would check nothing */
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_golden)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
