/* plan_view: see plan_view.h. */
#include "node/app/plan_view.h"

#include "proto/plan_codec.h"

static enum err get(void *ctx, struct slice key, const struct plan_object **out)
{
    const struct stored_view *s = ctx;
    struct slice packed;
    enum err e = store_object(s->read, key, &packed, NULL);
    if (e != ERR_OK) return e;
    struct plan_object *o = arena_alloc(s->arena, sizeof *o);
    if (o == NULL) return ERR_NOMEM;
    *out = o;
    return plan_object_unpack_stored(s->arena, packed, o, s->info);
}

struct visitor {
    plan_view_visit *visit;
    void *ctx;
};

static bool visit_object(void *ctx, struct slice key, struct slice packed)
{
    const struct visitor *v = ctx;
    (void)packed;
    return v->visit(v->ctx, key);
}

static enum err keys(void *ctx, struct slice from, plan_view_visit *visit, void *visit_ctx)
{
    const struct stored_view *s = ctx;
    struct visitor v = {visit, visit_ctx};
    return store_objects(s->read, from, false, visit_object, &v);
}

static bool visit_index(void *ctx, struct slice index_key, struct slice object)
{
    const struct visitor *v = ctx;
    (void)index_key;
    return v->visit(v->ctx, object);
}

static enum err around(void *ctx, struct slice number, plan_view_visit *visit, void *visit_ctx)
{
    const struct stored_view *s = ctx;
    struct visitor v = {visit, visit_ctx};
    return store_index_around(s->read, number, visit_index, &v);
}

static enum err within(void *ctx, struct slice low, struct slice high, plan_view_visit *visit, void *visit_ctx)
{
    const struct stored_view *s = ctx;
    struct visitor v = {visit, visit_ctx};
    return store_index_within(s->read, low, high, visit_index, &v);
}

/* ---- numbers that are assigned one by one ---- */

struct count {
    struct slice high;
    size_t n;
    struct buf names; /* of accounts, n characters each, in order */
    size_t at;        /* of the next name that an exact match may repeat */
    struct slice last;
    char last_text[LIMIT_NUMBER];
    uint64_t numbers;
};

#define ACCOUNT "account/"

static bool count_account(void *ctx, struct slice key, struct slice packed)
{
    struct count *c = ctx;
    (void)packed;
    if (!slice_starts(key, SLICE(ACCOUNT))) return false;
    const struct slice name = {key.p + strlen(ACCOUNT), key.n - strlen(ACCOUNT)};
    if (slice_cmp(name, c->high) > 0 && !slice_starts(name, c->high)) return false;
    if (name.n == c->n && number_valid(name)) buf_slice(&c->names, name);
    return !c->names.failed;
}

/* Whether an account of that name was counted; numbers come in order. */
static bool is_account(struct count *c, struct slice number)
{
    for (; c->at < c->names.n; c->at += c->n) {
        const int order = slice_cmp((struct slice){c->names.p + c->at, c->n}, number);
        if (order >= 0) return order == 0;
    }
    return false;
}

static bool count_exact(void *ctx, struct slice index_key, struct slice object)
{
    struct count *c = ctx;
    (void)object;
    if (index_key.n != c->n + 1 || index_key.p[c->n] != '=') return true;
    const struct slice number = {index_key.p, c->n};
    if (slice_eq(number, c->last)) return true; /* several routes of one number */
    memcpy(c->last_text, number.p, number.n);
    c->last = (struct slice){c->last_text, number.n};
    c->numbers += !is_account(c, number);
    return true;
}

static enum err assigned(void *ctx, struct slice low, struct slice high, size_t n, uint64_t *count)
{
    const struct stored_view *s = ctx;
    struct count c = {.high = high, .n = n};
    char from[PLAN_KEY_MAX] = ACCOUNT;
    memcpy(from + strlen(ACCOUNT), low.p, low.n);
    enum err e = store_objects(s->read, (struct slice){from, strlen(ACCOUNT) + low.n}, false, count_account, &c);
    if (e == ERR_OK && c.names.failed) e = ERR_NOMEM;
    c.numbers = c.names.n / n;
    if (e == ERR_OK) e = store_index_within(s->read, low, high, count_exact, &c);
    *count = c.numbers;
    buf_fini(&c.names);
    return e;
}

enum err stored_view_open(struct stored_view *s, struct store_read *read, struct arena *arena, struct err_info *info,
                          struct plan_view *out)
{
    struct store_plan_counts counts;
    uint64_t index = 0;
    *s = (struct stored_view){.read = read, .arena = arena, .info = info};
    store_plan_counts(read, &counts);
    enum err e = store_index_count(read, &index);
    *out = (struct plan_view){.ctx = s,
                              .get = get,
                              .keys = keys,
                              .around = around,
                              .within = within,
                              .assigned = assigned,
                              .total = index + counts.kinds[PLAN_ACCOUNT]};
    return e;
}
