/* fuzz_plan_csv: any bytes as a table. What is accepted must merge into valid objects or say why not, and what is
 * written of those must read back to the same objects. */
#include <stdint.h>
#include <stdlib.h>

#include "node/plan/csv.h"
#include "node/plan/document.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Objects of the rows that make one by themselves. */
static const struct plan_object **merge_all(struct arena *arena, const struct plan_csv *csv, size_t *count)
{
    const struct plan_object **list = arena_alloc(arena, (csv->row_count + 1) * sizeof *list);
    if (list == NULL) abort();
    *count = 0;
    for (size_t i = 0; i < csv->row_count; i++) {
        struct err_info info = {.text = ""};
        struct plan_object *o = arena_alloc(arena, sizeof *o);
        if (o == NULL) abort();
        if (csv->rows[i].remove) continue;
        enum err e = plan_csv_merge(csv, &csv->rows[i], NULL, i % 2 == 0, o, &info);
        if (e == ERR_OK && plan_object_validate(o, NULL) != ERR_OK) abort();
        if (e != ERR_OK && (info.line == 0 || info.text[0] == '\0')) abort();
        o->line = 0;
        if (e == ERR_OK) list[(*count)++] = o;
    }
    return list;
}

static void check_round_trip(struct arena *arena, const struct plan_csv *csv, char separator)
{
    size_t count = 0;
    size_t again_count = 0;
    struct plan_csv again = {.rows = NULL};
    struct buf table = {0};
    struct buf first = {0};
    struct buf second = {0};
    const struct plan_object **list = merge_all(arena, csv, &count);
    if (plan_document_write(list, count, &first) != ERR_OK) abort();
    if (plan_csv_write(csv->kind, list, count, separator, &table) != ERR_OK) abort();
    if (plan_csv_parse(arena, buf_view(&table), &again, NULL) != ERR_OK) abort();
    if (again.kind != csv->kind || again.row_count != count) abort();
    const struct plan_object **list_again = merge_all(arena, &again, &again_count);
    if (again_count != count || plan_document_write(list_again, count, &second) != ERR_OK) abort();
    /* a password does not come back, and that is as it must be */
    if (csv->kind == PLAN_ROUTE && !slice_eq(buf_view(&first), buf_view(&second))) abort();
    buf_fini(&table);
    buf_fini(&first);
    buf_fini(&second);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char separators[] = {',', ';', '\t'};
    struct arena arena = {0};
    struct plan_csv csv = {.rows = NULL};
    struct err_info info = {.text = ""};
    enum err e = plan_csv_parse(&arena, (struct slice){(const char *)data, size}, &csv, &info);
    if (e == ERR_OK) {
        check_round_trip(&arena, &csv, separators[size % 3]);
    } else if (e != ERR_NOMEM && (info.line == 0 || info.column == 0 || info.text[0] == '\0')) {
        abort(); /* an error without a place or a reason helps nobody */
    }
    arena_fini(&arena);
    return 0;
}
