/* csv_merge: what a row of a table makes of the object that is stored. */
#include "node/plan/csv.h"

#include <stdio.h>

#include "node/plan/field_value.h"

static bool has_bit(uint32_t bits, size_t k)
{
    return (bits & UINT32_C(1) << k) != 0;
}

enum err plan_csv_merge(const struct plan_csv *csv, const struct plan_csv_row *row, const struct plan_object *stored,
                        bool replace, struct plan_object *out, struct err_info *info)
{
    const struct schema *s = schema_of(csv->kind);
    struct err_info detail = {.text = ""};
    struct plan_object o = row->object;
    if (stored != NULL) {
        o = *stored;
        o.line = row->object.line;
    }
    void *base = schema_base(&o);
    for (size_t k = 0; k < s->count; k++) {
        const struct field *f = &s->fields[k];
        bool blank = has_bit(csv->columns, k) && !has_bit(row->given, k) && !has_bit(row->cleared, k);
        if (has_bit(row->given, k))
            field_value_copy(f, base, schema_base_const(&row->object));
        else if (has_bit(row->cleared, k) || (blank && replace && f->type != FIELD_PASSWORD))
            field_value_clear(f, base);
    }
    enum err e = plan_object_validate(&o, &detail);
    if (e != ERR_OK) return err_fail_at(info, e, o.line, 1, "%s", detail.text);
    *out = o;
    return ERR_OK;
}

/* The identity of a row with other characters before its number. */
static bool altered_key(const struct plan_csv_row *row, const char *front, char key[PLAN_KEY_MAX], size_t *len)
{
    char number[2 * LIMIT_NUMBER + 8];
    struct plan_object o = row->object;
    struct slice *text = o.kind == PLAN_ROUTE ? &o.route.match : &o.account.name;
    int n = snprintf(number, sizeof number, "%s%.*s", front, SLICE_ARG(*text));
    if (n < 0 || (size_t)n >= sizeof number) return false;
    *text = (struct slice){number, (size_t)n};
    *len = plan_object_key_text(&o, key);
    return *len > 0 && plan_key_validate((struct slice){key, *len}, NULL) == ERR_OK;
}

const struct plan_object *plan_csv_original(const struct plan_csv_row *row,
                                            const struct plan_object *(*find)(void *ctx, struct slice key), void *ctx)
{
    static const char *const fronts[] = {"+", "0", "00", "000", "=", "=+", "=0", "=00", "=000"};
    struct slice number = row->object.kind == PLAN_ROUTE ? row->object.route.match : row->object.account.name;
    if (number.n == 0 || number.p[0] < '1' || number.p[0] > '9') return NULL; /* nothing was taken from its front */
    for (size_t i = 0; i < sizeof fronts / sizeof fronts[0]; i++) {
        char key[PLAN_KEY_MAX];
        size_t n = 0;
        if (!altered_key(row, fronts[i], key, &n)) continue;
        const struct plan_object *stored = find(ctx, (struct slice){key, n});
        if (stored != NULL) return stored;
    }
    return NULL;
}
