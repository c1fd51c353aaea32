#include "node/app/effect.h"

#include <stdio.h>

#include "node/app/local_time.h"
#include "node/base/list.h"
#include "node/plan/pattern.h"
#include "proto/plan_codec.h"

#define CANDIDATES_MAX 96

struct effect_over {
    struct map_node by_key;
    struct slice key;
    bool put; /* else it is taken away */
    struct plan_object object;
};

struct effect_key {
    struct map_node by_key;
    uint8_t len;
    char key[PATTERN_KEY_MAX];
    struct candidate candidate; /* without what is observed */
};

/* ---- the change ---- */

static const struct effect_over *find_over(const struct effect *x, struct slice key)
{
    struct map_node *m = map_first(&x->over, map_hash(&x->over, key));
    for (; m != NULL; m = map_next(m)) {
        const struct effect_over *o = CONTAINER_OF(m, struct effect_over, by_key);
        if (slice_eq(o->key, key)) return o;
    }
    return NULL;
}

struct key_walk {
    struct effect *x;
    struct candidate candidate;
    enum err err;
};

static void add_key(void *ctx, struct slice key)
{
    struct key_walk *w = ctx;
    struct effect_key *k = arena_alloc(&w->x->arena, sizeof *k);
    if (k == NULL || key.n > PATTERN_KEY_MAX) {
        w->err = ERR_NOMEM;
        return;
    }
    k->len = (uint8_t)key.n;
    memcpy(k->key, key.p, key.n);
    k->candidate = w->candidate;
    map_insert(&w->x->keys, &k->by_key, map_hash(&w->x->keys, key));
}

static enum err add_match(struct effect *x, const struct plan_route *route, bool from_account)
{
    struct pattern p;
    struct key_walk w = {.x = x, .candidate = {.route = *route, .from_account = from_account}};
    enum err e = pattern_parse(route->match, &p, NULL);
    if (e != ERR_OK) return e;
    w.candidate.specificity = pattern_specificity(&p);
    pattern_keys(&p, add_key, &w);
    return w.err;
}

/* As the index has the numbers of an account. */
static enum err add_numbers(struct effect *x, const struct plan_account *a)
{
    enum err e = ERR_OK;
    for (size_t i = 0; e == ERR_OK && i < a->number_count; i++) {
        struct plan_route route = {.match = a->numbers[i],
                                   .target = {.kind = PLAN_TO_ACCOUNT, .name = a->name},
                                   .priority = PLAN_PRIORITY_DEFAULT,
                                   .weight = PLAN_WEIGHT_DEFAULT,
                                   .strip = a->strip,
                                   .prepend = a->prepend};
        e = add_match(x, &route, true);
    }
    return e;
}

static enum err add_over(struct effect *x, struct slice key, const struct plan_object *put)
{
    struct effect_over *o = arena_alloc(&x->arena, sizeof *o);
    if (o == NULL) return ERR_NOMEM;
    o->key = arena_copy(&x->arena, key);
    if (o->key.p == NULL) return ERR_NOMEM;
    o->put = put != NULL;
    if (put != NULL) o->object = *put;
    map_insert(&x->over, &o->by_key, map_hash(&x->over, o->key));
    if (put == NULL) return ERR_OK;
    if (put->kind == PLAN_ROUTE) return add_match(x, &put->route, false);
    return put->kind == PLAN_ACCOUNT ? add_numbers(x, &put->account) : ERR_OK;
}

enum err effect_init(struct effect *x, struct store_read *read, struct slice site, const struct wanted *w,
                     struct err_info *info)
{
    *x = (struct effect){.read = read, .site = site};
    enum err e = map_init(&x->over, w->put_count + w->delete_count, 1);
    if (e == ERR_OK) e = map_init(&x->keys, w->put_count, 1);
    for (size_t i = 0; e == ERR_OK && i < w->put_count; i++) {
        struct plan_object o;
        char key[PLAN_KEY_MAX];
        e = plan_object_unpack(&x->arena, w->puts[i].packed, &o, info);
        if (e == ERR_OK) e = add_over(x, (struct slice){key, plan_object_key_text(&o, key)}, &o);
    }
    for (size_t i = 0; e == ERR_OK && i < w->delete_count; i++)
        e = add_over(x, w->deletes[i], NULL);
    return e;
}

void effect_fini(struct effect *x)
{
    map_fini(&x->over);
    map_fini(&x->keys);
    arena_fini(&x->arena);
    arena_fini(&x->scratch);
}

/* ---- one of the two plans ---- */

struct view {
    struct effect *x;
    bool after; /* with the change */
};

/* ERR_NOTFOUND. */
static enum err get(const struct view *v, enum plan_kind kind, struct slice name, struct plan_object *out)
{
    char key[PLAN_KEY_MAX];
    struct slice packed = SLICE_NONE;
    if (!plan_name_valid(name)) return ERR_NOTFOUND;
    int n = snprintf(key, sizeof key, "%s/%.*s", plan_kind_name(kind), SLICE_ARG(name));
    struct slice k = {key, (size_t)n};
    const struct effect_over *o = v->after ? find_over(v->x, k) : NULL;
    if (o != NULL) *out = o->object;
    if (o != NULL) return o->put ? ERR_OK : ERR_NOTFOUND;
    enum err e = store_object(v->x->read, k, &packed, NULL);
    return e == ERR_OK ? plan_object_unpack_stored(&v->x->scratch, packed, out, NULL) : e;
}

/* Whether the change has something else in place of the object that the candidate comes from. */
static bool is_changed(const struct effect *x, const struct candidate *c)
{
    struct plan_object o;
    char key[PLAN_KEY_MAX];
    plan_object_init(&o, c->from_account ? PLAN_ACCOUNT : PLAN_ROUTE);
    if (c->from_account) {
        o.account.name = c->route.target.name;
    } else {
        o.route = c->route;
    }
    return find_over(x, (struct slice){key, plan_object_key_text(&o, key)}) != NULL;
}

/* A key of a range may stand for longer numbers only: its bounds say. */
static bool is_match(const struct candidate *c, struct slice number)
{
    struct pattern p;
    return pattern_parse(c->route.match, &p, NULL) == ERR_OK && pattern_matches(&p, number);
}

static void add_changed(const struct effect *x, struct slice key, struct slice number, struct candidate *list,
                        size_t *count)
{
    struct map_node *m = map_first(&x->keys, map_hash(&x->keys, key));
    for (; m != NULL && *count < CANDIDATES_MAX; m = map_next(m)) {
        const struct effect_key *k = CONTAINER_OF(m, struct effect_key, by_key);
        if (slice_eq((struct slice){k->key, k->len}, key) && is_match(&k->candidate, number))
            list[(*count)++] = k->candidate;
    }
}

/* Rules 2 and 3: what the plan has for the number. list has room for CANDIDATES_MAX + 1. */
static enum err gather(const struct view *v, struct slice number, struct candidate *list, size_t *count)
{
    struct plan_object o;
    size_t matched = 0;
    bool more = false;
    char search[LIMIT_NUMBER + 1];
    *count = 0;
    enum err e = get(v, PLAN_ACCOUNT, number, &o);
    if (e != ERR_OK && e != ERR_NOTFOUND) return e;
    if (e == ERR_OK) {
        list[*count] = (struct candidate){.specificity = LIMIT_NUMBER + 2, .from_account = true};
        list[*count].route.match = o.account.name;
        list[*count].route.target = (struct plan_target){.kind = PLAN_TO_ACCOUNT, .name = o.account.name};
        list[(*count)++].route.weight = PLAN_WEIGHT_DEFAULT;
    }
    if (!number_valid(number)) return ERR_OK;
    struct candidate *stored = list + *count;
    e = store_match(v->x->read, &v->x->scratch, number, stored, CANDIDATES_MAX - *count, &matched, &more);
    for (size_t i = 0; e == ERR_OK && i < matched; i++)
        if (!v->after || !is_changed(v->x, &stored[i])) list[(*count)++] = stored[i];
    if (e != ERR_OK || !v->after) return e;
    memcpy(search, number.p, number.n);
    search[number.n] = '=';
    for (size_t n = number.n + 1; n > 0; n--)
        add_changed(v->x, (struct slice){search, n}, number, list, count);
    return ERR_OK;
}

/* ---- what was observed then ---- */

static enum target_health health_then(const struct call_decision *d, struct slice target)
{
    for (size_t i = 0; d != NULL && i < d->candidate_count; i++) {
        if (!slice_eq(d->candidates[i].target, target)) continue;
        switch (decide_why_of(d->candidates[i].why)) {
        case WHY_DOWN: return TARGET_DOWN;
        case WHY_RESTING: return TARGET_RESTING;
        case WHY_NO_BINDING: return TARGET_NO_BINDING;
        case WHY_NODE_GONE: return TARGET_NODE_GONE;
        case WHY_DRAINED: return TARGET_DRAINED;
        case WHY_LIMIT: return TARGET_AT_LIMIT;
        default: break; /* of this route; another one to it may tell */
        }
    }
    return TARGET_UP;
}

static enum err observe(const struct view *v, const struct call_decision *d, struct candidate *c)
{
    struct plan_object o;
    struct buf target = {0};
    enum plan_target_kind kind = c->route.target.kind;
    enum err e = ERR_OK;
    c->health = TARGET_UP;
    if (kind == PLAN_TO_REJECT) return ERR_OK;
    if (kind == PLAN_TO_SITE) {
        c->target_site = c->route.target.name;
    } else if ((e = get(v, kind == PLAN_TO_TRUNK ? PLAN_TRUNK : PLAN_ACCOUNT, c->route.target.name, &o)) == ERR_OK) {
        c->target_disabled = kind == PLAN_TO_TRUNK ? o.trunk.disabled : o.account.disabled;
        c->target_site = kind == PLAN_TO_TRUNK ? o.trunk.site : o.account.site;
    } else if (e == ERR_NOTFOUND) {
        c->health = TARGET_UNKNOWN;
        return ERR_OK;
    }
    if (e != ERR_OK) return e;
    plan_target_text(&c->route.target, &target);
    c->health = health_then(d, buf_view(&target));
    buf_fini(&target);
    return ERR_OK;
}

/* ---- the decision ---- */

struct plan_number {
    char text[LIMIT_NUMBER + 1];
    size_t len;
    struct slice site; /* of the source */
};

/* Rule 1. */
static enum err normalise(const struct view *v, const struct call_record *r, struct plan_number *out)
{
    struct plan_object trunk;
    struct plan_object site;
    struct slice kind;
    struct slice name = slice_cut(r->source, '/', &kind);
    const struct plan_trunk *in = NULL;
    out->site = v->x->site;
    enum err e = slice_is(kind, "trunk") ? get(v, PLAN_TRUNK, name, &trunk) : ERR_NOTFOUND;
    if (e != ERR_OK && e != ERR_NOTFOUND) return e;
    if (e == ERR_OK) {
        in = &trunk.trunk;
        out->site = in->site;
    }
    e = get(v, PLAN_SITE, out->site, &site);
    if (e != ERR_OK && e != ERR_NOTFOUND) return e;
    const struct plan_site *dial = e == ERR_OK ? &site.site : NULL;
    e = decide_normalise(r->dialled, in != NULL ? in->in : NULL, in != NULL ? in->in_count : 0,
                         dial != NULL ? dial->dial : NULL, dial != NULL ? dial->dial_count : 0, out->text, &out->len,
                         NULL, NULL);
    if (e != ERR_OK) out->len = 0; /* no number */
    return ERR_OK;
}

static void place_text(const struct decision *d, struct slice plan_number, char out[EFFECT_PLACE_TEXT])
{
    if (d->target_count == 0) {
        (void)snprintf(out, EFFECT_PLACE_TEXT, "answer %u", (unsigned)d->code);
        return;
    }
    const struct decided_target *t = &d->targets[0];
    const struct plan_target *to = &t->from->route.target;
    struct slice number = {t->number, t->number_len};
    int n = snprintf(out, EFFECT_PLACE_TEXT, "%s/%.*s", plan_target_kind_name(to->kind), SLICE_ARG(to->name));
    if (to->kind == PLAN_TO_REJECT) n = snprintf(out, EFFECT_PLACE_TEXT, "reject/%u", (unsigned)to->code);
    if (plan_number.n == 0 || slice_eq(number, plan_number) || n < 0 || n >= EFFECT_PLACE_TEXT) return;
    (void)snprintf(out + n, EFFECT_PLACE_TEXT - (size_t)n, " as %.*s", SLICE_ARG(number));
}

static enum err decide(const struct view *v, const struct call_record *r, const struct call_decision *then,
                       char out[EFFECT_PLACE_TEXT])
{
    struct plan_number number;
    struct decision d;
    char plain[LIMIT_NUMBER + 1];
    size_t plain_len = 0;
    size_t count = 0;
    struct candidate *list = arena_alloc(&v->x->scratch, (CANDIDATES_MAX + 1) * sizeof *list);
    if (list == NULL) return ERR_NOMEM;
    enum err e = normalise(v, r, &number);
    struct slice text = {number.text, number.len};
    /* What is a number as dialled, and is made none by the rules, is no account's name either. */
    bool none = number.len == 0 && number_normalise(r->dialled, plain, &plain_len) == ERR_OK;
    if (e == ERR_OK && !none) e = gather(v, number.len > 0 ? text : r->dialled, list, &count);
    for (size_t i = 0; e == ERR_OK && i < count; i++)
        e = observe(v, then, &list[i]);
    if (e != ERR_OK) return e;
    struct decide_input input = {.number = number.len > 0 ? text : SLICE("0"), /* one that is dialled by name */
                                 .site = v->x->site,
                                 .source_site = number.site,
                                 .source = r->source,
                                 .call_id = r->call_id,
                                 .now = local_time_of(r->started),
                                 .candidates = list,
                                 .candidate_count = count};
    plan_decide(&input, &d);
    place_text(&d, text, out);
    return ERR_OK;
}

enum err effect_of_call(struct effect *x, const struct call_record *r, const struct call_decision *decision,
                        struct effect_places *out)
{
    const struct view before = {x, false};
    const struct view after = {x, true};
    arena_reset(&x->scratch);
    enum err e = decide(&before, r, decision, out->before);
    if (e == ERR_OK) e = decide(&after, r, decision, out->after);
    if (e == ERR_OK) out->moved = strcmp(out->before, out->after) != 0;
    return e;
}
