/* fuzz_plan_document: any bytes as a plan document. What is accepted must be valid object by object, survive lint, and
 * come back the same from being written and read again. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "node/plan/diff.h"
#include "node/plan/document.h"
#include "node/plan/lint.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct plan_object **pointers(struct arena *arena, const struct plan_document *doc)
{
    const struct plan_object **list = arena_alloc(arena, (doc->object_count + 1) * sizeof *list);
    if (list == NULL) abort();
    for (size_t i = 0; i < doc->object_count; i++) {
        struct buf key = {0};
        list[i] = &doc->objects[i];
        if (plan_object_validate(list[i], NULL) != ERR_OK) abort();
        plan_object_key(list[i], &key);
        if (key.failed || plan_key_validate(buf_view(&key), NULL) != ERR_OK) abort();
        buf_fini(&key);
    }
    return list;
}

static void check_round_trip(struct arena *arena, const struct plan_document *doc)
{
    const struct plan_object **list = pointers(arena, doc);
    struct plan_document again = {0};
    struct buf first = {0};
    struct buf second = {0};
    struct lint_report report;
    if (plan_lint(arena, list, doc->object_count, &report) != ERR_OK) abort();
    if (plan_document_write(list, doc->object_count, &first) != ERR_OK) abort();
    if (plan_document_parse(arena, buf_view(&first), &again, NULL) != ERR_OK) abort();
    if (again.object_count != doc->object_count) abort();
    if (plan_document_write(pointers(arena, &again), again.object_count, &second) != ERR_OK) abort();
    if (!slice_eq(buf_view(&first), buf_view(&second))) abort();
    buf_fini(&first);
    buf_fini(&second);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena arena = {0};
    struct plan_document doc = {0};
    struct err_info info = {.text = ""};
    enum err e = plan_document_parse(&arena, (struct slice){(const char *)data, size}, &doc, &info);
    struct plan_document checked = {0};
    struct plan_faults faults;
    enum err whole = plan_document_check(&arena, (struct slice){(const char *)data, size}, &checked, &faults);
    if (e != ERR_NOMEM && whole != ERR_NOMEM) {
        if ((e == ERR_OK) != (whole == ERR_OK) || checked.object_count != doc.object_count) abort();
        if (e != ERR_OK && strcmp(faults.items[0].text, info.text) != 0) abort();
    }
    if (e == ERR_OK) {
        check_round_trip(&arena, &doc);
    } else if (e != ERR_NOMEM && (info.line == 0 || info.column == 0 || info.text[0] == '\0')) {
        abort(); /* an error without a place or a reason helps nobody */
    }
    arena_fini(&arena);
    return 0;
}
