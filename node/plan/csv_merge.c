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
        o.column = row->object.column;
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
    if (e != ERR_OK) return err_fail_at(info, e, o.line, o.column, "%s", detail.text);
    *out = o;
    return ERR_OK;
}

/* What a spreadsheet takes from the front of a number. */
static const char *const fronts[PLAN_CSV_FRONTS] = {"+", "0", "00", "000", "=", "=+", "=0", "=00", "=000"};

const char *plan_csv_front(unsigned front)
{
    return front < PLAN_CSV_FRONTS ? fronts[front] : "";
}

/* Where the number begins in the key of a route or account; 0: there is none. */
static size_t number_in(struct slice key)
{
    struct slice scope;
    if (slice_starts(key, SLICE("account/"))) return strlen("account/");
    if (!slice_starts(key, SLICE("route/"))) return 0;
    const struct slice rest = {key.p + strlen("route/"), key.n - strlen("route/")};
    return slice_cut(rest, '/', &scope).p != NULL ? strlen("route/") + scope.n + 1 : 0;
}

bool plan_csv_altered(struct slice key, unsigned k, char out[PLAN_KEY_MAX], size_t *len, unsigned *front)
{
    const size_t at = number_in(key);
    const struct slice number = {key.p + at, key.n - at};
    for (unsigned i = 0; at > 0 && key.n <= PLAN_KEY_MAX && i < PLAN_CSV_FRONTS; i++) {
        const size_t n = strlen(fronts[i]);
        if (!slice_starts(number, slice_of(fronts[i])) || number.n == n) continue;
        if (number.p[n] < '1' || number.p[n] > '9' || k-- > 0) continue;
        memcpy(out, key.p, at);
        memcpy(out + at, number.p + n, number.n - n);
        *len = key.n - n;
        *front = i;
        return true;
    }
    return false;
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
    struct slice number = row->object.kind == PLAN_ROUTE ? row->object.route.match : row->object.account.name;
    if (number.n == 0 || number.p[0] < '1' || number.p[0] > '9') return NULL; /* nothing was taken from its front */
    for (size_t i = 0; i < PLAN_CSV_FRONTS; i++) {
        char key[PLAN_KEY_MAX];
        size_t n = 0;
        if (!altered_key(row, fronts[i], key, &n)) continue;
        const struct plan_object *stored = find(ctx, (struct slice){key, n});
        if (stored != NULL) return stored;
    }
    return NULL;
}
