/* Out of memory: allocation i of the module fails, for i = 0, 1, 2, ...: each call then says so, publishes nothing and
 * leaks nothing, until it gets through. Allocations inside libyaml are not swept. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "node/plan/csv.h"
#include "node/plan/diff.h"
#include "node/plan/edit.h"
#include "node/plan/lint.h"
#include "tests/unit/plan/plan_test.h"

static size_t allocations_left = SIZE_MAX;
static bool fail_once; /* only that one fails, or all from there on */

void *__real_malloc(size_t n);
void *__real_calloc(size_t count, size_t n);
void *__real_realloc(void *p, size_t n);
void *__wrap_malloc(size_t n);
void *__wrap_calloc(size_t count, size_t n);
void *__wrap_realloc(void *p, size_t n);

static bool may_allocate(void)
{
    if (allocations_left == SIZE_MAX) return true;
    if (allocations_left == 0) {
        if (fail_once) allocations_left = SIZE_MAX;
        return false;
    }
    allocations_left--;
    return true;
}

void *__wrap_malloc(size_t n)
{
    return may_allocate() ? __real_malloc(n) : NULL;
}
void *__wrap_calloc(size_t count, size_t n)
{
    return may_allocate() ? __real_calloc(count, n) : NULL;
}
void *__wrap_realloc(void *p, size_t n)
{
    return may_allocate() ? __real_realloc(p, n) : NULL;
}

static const char yaml[] = "plan: 1\n"
                           "defaults: { domain: example.org }\n"
                           "sites: { hq: { blocks: [\"6\"], dial: [ {match: \"0\", strip: 1, prepend: \"+49\"} ] } }\n"
                           "trunks:\n"
                           "  a: { site: hq, address: [a, b], register: { user: u, password: p } }\n"
                           "  b: { site: hq, address: [b] }\n"
                           "accounts: { gw: { password: x, numbers: [\"7\", \"8\"] } }\n"
                           "routes:\n"
                           "- { match: \"6\", to: site/hq, strip: 1, prepend: \"61\", failover: [503] }\n"
                           "- { match: \"6\", to: trunk/a, priority: 20, note: text }\n"
                           "- { match: 60-69, to: trunk/a }\n"
                           "remove: [trunk/old]\n";

struct subject {
    struct plan_document doc;
    const struct plan_object **list;
};

static enum err do_parse(struct arena *arena, const struct subject *s)
{
    struct plan_document doc = {0};
    (void)s;
    enum err e = plan_document_parse(arena, SLICE(yaml), &doc, NULL);
    assert_true(e == ERR_OK || doc.objects == NULL);
    return e;
}

/* The same text with faults, which are gone past. */
static enum err do_check(struct arena *arena, const struct subject *s)
{
    static const char faulty[] =
        "plan: 1\nroutes:\n- { match: 6x, too: [ { a: b } ] }\n- { match: 6, failover: [1, 503] }\n";
    struct plan_document doc = {0};
    struct plan_faults faults;
    (void)s;
    enum err e = plan_document_check(arena, SLICE(faulty), &doc, &faults);
    assert_true(doc.objects == NULL && (e == ERR_NOMEM || (e == ERR_SYNTAX && faults.count == 4)));
    return e == ERR_SYNTAX ? ERR_OK : e;
}

static enum err do_write(struct arena *arena, const struct subject *s)
{
    struct buf out = {0};
    (void)arena;
    enum err e = plan_document_write(s->list, s->doc.object_count, &out);
    buf_fini(&out);
    return e;
}

static enum err do_lint(struct arena *arena, const struct subject *s)
{
    struct lint_report report = {0};
    enum err e = plan_lint(arena, s->list, s->doc.object_count, &report);
    assert_true(e == ERR_OK ? report.count > 2 : report.findings == NULL);
    for (size_t i = 0; i < report.count; i++)
        assert_true(report.findings[i].object.n > 0 && report.findings[i].text.n > 0);
    return e;
}

static enum err do_lint_change(struct arena *arena, const struct subject *s)
{
    struct lint_report report = {0};
    return plan_lint_change(arena, s->list, s->doc.object_count, s->list, s->doc.object_count - 1, &report);
}

static enum err do_diff(struct arena *arena, const struct subject *s)
{
    static const struct plan_item before[] = {{SLICE("trunk/a"), SLICE("1")}};
    static const struct plan_item after[] = {{SLICE("trunk/b"), SLICE("1")}};
    struct plan_diff d;
    (void)s;
    return plan_diff(arena, before, 1, after, 1, &d);
}

static enum err do_object_diff(struct arena *arena, const struct subject *s)
{
    struct buf out = {0};
    (void)arena;
    const struct plan_object *a = &s->doc.objects[s->doc.object_count - 3];
    const struct plan_object *b = &s->doc.objects[s->doc.object_count - 2];
    enum err e = plan_object_diff(a, b, &out);
    buf_fini(&out);
    return e;
}

static enum err do_csv_parse(struct arena *arena, const struct subject *s)
{
    struct plan_csv csv = {.rows = NULL};
    (void)s;
    enum err e = plan_csv_parse(arena, SLICE("match,to,failover,note\n6,trunk/a,408 503,\"a \"\"b\"\"\"\n7,site/b,,\n"),
                                &csv, NULL);
    assert_true(e == ERR_OK || csv.rows == NULL);
    return e;
}

static enum err do_csv_write(struct arena *arena, const struct subject *s)
{
    struct buf out = {0};
    (void)arena;
    enum err e = plan_csv_write(PLAN_ROUTE, s->list, s->doc.object_count, ',', &out);
    buf_fini(&out);
    return e;
}

/* Every field of a trunk, with the value that its help shows. */
static enum err do_edit(struct arena *arena, const struct subject *s)
{
    struct plan_object o;
    struct plan_field f;
    enum err e = ERR_OK;
    (void)s;
    plan_object_init(&o, PLAN_TRUNK);
    for (size_t k = 0; e == ERR_OK && plan_field_at(PLAN_TRUNK, k, &f); k++) {
        struct slice example = slice_of(f.example);
        if (f.form == PLAN_FIELD_LIST) example = SLICE("10.0.0.1/32");
        if (f.form == PLAN_FIELD_LIST && strcmp(f.name, "address") == 0) example = SLICE("a,b");
        e = plan_field_set(arena, &o, k, example, NULL);
        assert_true(e == ERR_OK || e == ERR_NOMEM || e == ERR_SYNTAX);
        if (e == ERR_SYNTAX) e = ERR_OK; /* an example in quotes where the value has none */
    }
    return e;
}

static void sweep(enum err (*call)(struct arena *, const struct subject *), const struct subject *s, size_t at_least)
{
    size_t i = 0;
    for (enum err e = ERR_NOMEM; e != ERR_OK; i++) {
        struct arena arena = {0};
        assert_true(i < 100000);
        allocations_left = i;
        e = call(&arena, s);
        allocations_left = SIZE_MAX;
        assert_true(e == ERR_OK || e == ERR_NOMEM);
        arena_fini(&arena);
    }
    if (i <= at_least) fail_msg("only %zu allocations were seen", i - 1);
}

static void test_sweep(void **state)
{
    (void)state;
    struct arena arena = {0};
    struct subject s = {.doc = test_parse(&arena, SLICE(yaml))};
    s.list = test_objects(&arena, &s.doc);
    for (int mode = 0; mode < 2; mode++) {
        fail_once = mode == 1;
        sweep(do_parse, &s, 4);
        sweep(do_check, &s, 4);
        sweep(do_write, &s, 2);
        sweep(do_lint, &s, 12);
        sweep(do_lint_change, &s, 24);
        sweep(do_csv_parse, &s, 5);
        sweep(do_csv_write, &s, 3);
        sweep(do_edit, &s, 5);
        sweep(do_diff, &s, 3);
        sweep(do_object_diff, &s, 10);
    }
    arena_fini(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_sweep)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
