/* Lint of a few edits against lint of both whole plans, on random plans and edits: the same findings, word for word. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>

#include "node/base/rng.h"
#include "node/plan/lint.h"
#include "node/plan/pattern.h"
#include "tests/unit/plan/plan_test.h"

#define OBJECTS_MAX 400

/* ---- a plan as a list, and the slowest view of it that answers ---- */

struct entry {
    struct slice key;
    const struct plan_object *object;
};

struct plan {
    struct arena *arena;
    struct entry list[OBJECTS_MAX]; /* sorted by key */
    size_t count;
    size_t asked; /* objects that were got */
};

static int compare_entries(const void *left, const void *right)
{
    return slice_cmp(((const struct entry *)left)->key, ((const struct entry *)right)->key);
}

static void plan_put(struct plan *p, const struct plan_object *o)
{
    char text[PLAN_KEY_MAX];
    const struct slice key = {text, plan_object_key_text(o, text)};
    for (size_t i = 0; i < p->count; i++) {
        if (!slice_eq(p->list[i].key, key)) continue;
        p->list[i].object = o;
        return;
    }
    assert_true(p->count < OBJECTS_MAX);
    p->list[p->count++] = (struct entry){arena_copy(p->arena, key), o};
    qsort(p->list, p->count, sizeof p->list[0], compare_entries);
}

static void plan_remove(struct plan *p, struct slice key)
{
    size_t kept = 0;
    for (size_t i = 0; i < p->count; i++) {
        if (!slice_eq(p->list[i].key, key)) p->list[kept++] = p->list[i];
    }
    p->count = kept;
}

static const struct plan_object *plan_find(const struct plan *p, struct slice key)
{
    for (size_t i = 0; i < p->count; i++) {
        if (slice_eq(p->list[i].key, key)) return p->list[i].object;
    }
    return NULL;
}

static enum err view_get(void *ctx, struct slice key, const struct plan_object **out)
{
    struct plan *p = ctx;
    p->asked++;
    *out = plan_find(p, key);
    return *out != NULL ? ERR_OK : ERR_NOTFOUND;
}

static enum err view_keys(void *ctx, struct slice from, plan_view_visit *visit, void *visit_ctx)
{
    const struct plan *p = ctx;
    for (size_t i = 0; i < p->count; i++) {
        if (slice_cmp(p->list[i].key, from) >= 0 && !visit(visit_ctx, p->list[i].key)) break;
    }
    return ERR_OK;
}

struct ask {
    struct slice low;
    struct slice high; /* p NULL: around low */
    bool hit;
};

static void ask_key(void *ctx, struct slice key)
{
    struct ask *a = ctx;
    char exact[LIMIT_NUMBER + 2];
    const int n = snprintf(exact, sizeof exact, "%.*s=", SLICE_ARG(a->low));
    if (a->high.p == NULL)
        a->hit = a->hit || slice_starts((struct slice){exact, (size_t)n}, key);
    else
        a->hit = a->hit || (slice_cmp(key, a->low) >= 0 && (slice_cmp(key, a->high) < 0 || slice_starts(key, a->high)));
}

static enum err ask_all(void *ctx, struct ask *a, plan_view_visit *visit, void *visit_ctx)
{
    const struct plan *p = ctx;
    for (size_t i = 0; i < p->count; i++) {
        const struct slice *matches;
        const size_t count = plan_object_matches(p->list[i].object, &matches);
        a->hit = false;
        for (size_t k = 0; k < count; k++) {
            struct pattern pattern;
            assert_int_equal(pattern_parse(matches[k], &pattern, NULL), ERR_OK);
            pattern_keys(&pattern, ask_key, a);
        }
        if (a->hit && !visit(visit_ctx, p->list[i].key)) break;
    }
    return ERR_OK;
}

static enum err view_around(void *ctx, struct slice number, plan_view_visit *visit, void *visit_ctx)
{
    return ask_all(ctx, &(struct ask){.low = number}, visit, visit_ctx);
}

static enum err view_within(void *ctx, struct slice low, struct slice high, plan_view_visit *visit, void *visit_ctx)
{
    return ask_all(ctx, &(struct ask){.low = low, .high = high}, visit, visit_ctx);
}

static enum err view_assigned(void *ctx, struct slice low, struct slice high, size_t n, uint64_t *count)
{
    struct plan *p = ctx;
    struct plan seen = {.arena = p->arena};
    *count = 0;
    for (size_t i = 0; i < p->count; i++) {
        const struct plan_object *o = p->list[i].object;
        const struct slice *matches;
        const size_t matches_count = plan_object_matches(o, &matches);
        for (size_t k = 0; k <= matches_count; k++) {
            struct slice number = SLICE_NONE;
            if (k < matches_count && matches[k].p[0] == '=')
                number = (struct slice){matches[k].p + 1, matches[k].n - 1};
            if (k == matches_count && o->kind == PLAN_ACCOUNT && number_valid(o->account.name))
                number = o->account.name;
            if (number.n != n || slice_cmp(number, low) < 0 || slice_cmp(number, high) > 0) continue;
            if (plan_find(&seen, number) != NULL) continue;
            seen.list[seen.count++] = (struct entry){number, o};
            ++*count;
        }
    }
    return ERR_OK;
}

static struct plan_view view_of(struct plan *p)
{
    return (struct plan_view){.ctx = p,
                              .get = view_get,
                              .keys = view_keys,
                              .around = view_around,
                              .within = view_within,
                              .assigned = view_assigned,
                              .total = 4 * OBJECTS_MAX};
}

/* ---- random plans ---- */

static const char *pick(struct rng *rng, const char *const *list, size_t count)
{
    return list[rng_below(rng, count)];
}
#define PICK(rng, list) pick(rng, list, sizeof(list) / sizeof(list)[0])

static bool one_in(struct rng *rng, uint64_t n)
{
    return rng_below(rng, n) == 0;
}

static const char *const sites[] = {"hq", "lab", "pier", "nowhere"};
static const char *const trunks[] = {"a", "b", "c", "gone"};
static const char *const accounts[] = {"40", "41", "45", "soft", "gw", "430"};
/* Few digits, so that matches meet: whole tens, halves, ranges that overlap, numbers. */
static const char *const matches[] = {"1",       "10",        "11",    "12",    "13",    "14",      "15",    "16",
                                      "17",      "18",        "19",    "10-14", "15-19", "100-189", "12-17", "110-119",
                                      "190-199", "1000-1999", "=1234", "4",     "40",    "=40",     "=41",   "=42",
                                      "=43",     "=44",       "=45",   "=46",   "=47",   "=48",     "=430",  "40-44",
                                      "2",       "23",        "234",   "24",    "3",     "31",      "=31",   "*1"};
static const char *const blocks[] = {"1", "10-14", "4", "40-45", "40-48", "2", "23", "100-149"};
static const char *const prepends[] = {"", "1", "2", "3", "12", "23", "31"};

static void *keep(struct arena *arena, size_t n)
{
    void *p = arena_alloc(arena, n);
    assert_non_null(p);
    return p;
}

static struct plan_object *random_site(struct rng *rng, struct arena *arena)
{
    struct plan_object *o = keep(arena, sizeof *o);
    struct slice *list = keep(arena, 2 * sizeof *list);
    plan_object_init(o, PLAN_SITE);
    o->site.name = slice_of(PICK(rng, sites));
    o->site.blocks = list;
    o->site.block_count = rng_below(rng, 3);
    for (size_t i = 0; i < o->site.block_count; i++)
        list[i] = slice_of(PICK(rng, blocks));
    return o;
}

static struct plan_object *random_trunk(struct rng *rng, struct arena *arena)
{
    static const struct slice addresses[] = {{"10.1.0.1", 8}, {"10.1.0.2", 8}, {"10.1.0.3", 8}};
    static const struct slice names[] = {{"pbx.example", 11}, {"PBX.example", 11}};
    const size_t at = rng_below(rng, 3);
    struct plan_object *o = keep(arena, sizeof *o);
    plan_object_init(o, PLAN_TRUNK);
    o->trunk.name = slice_of(PICK(rng, trunks));
    o->trunk.site = slice_of(PICK(rng, sites));
    o->trunk.address = o->trunk.trust = &addresses[at];
    o->trunk.trust_names = &names[at & 1];
    o->trunk.trust_name_count = one_in(rng, 4) ? 1 : 0;
    o->trunk.address_count = 1;
    o->trunk.trust_count = one_in(rng, 4) ? 0 : 1;
    o->trunk.registration.set = one_in(rng, 2);
    o->trunk.registration.user = SLICE("4930123");
    if (one_in(rng, 2)) o->trunk.registration.password = SLICE("secret");
    return o;
}

static struct plan_object *random_account(struct rng *rng, struct arena *arena)
{
    struct plan_object *o = keep(arena, sizeof *o);
    struct slice *list = keep(arena, 3 * sizeof *list);
    plan_object_init(o, PLAN_ACCOUNT);
    o->account.name = slice_of(PICK(rng, accounts));
    o->account.secret.set = !one_in(rng, 4);
    if (one_in(rng, 2)) o->account.site = slice_of(PICK(rng, sites));
    o->account.numbers = list;
    o->account.number_count = rng_below(rng, 3);
    for (size_t i = 0; i < o->account.number_count; i++)
        list[i] = slice_of(PICK(rng, matches));
    o->account.disabled = one_in(rng, 5);
    return o;
}

static struct plan_object *random_route(struct rng *rng, struct arena *arena)
{
    struct plan_object *o = keep(arena, sizeof *o);
    struct plan_route *r = &o->route;
    plan_object_init(o, PLAN_ROUTE);
    r->match = slice_of(PICK(rng, matches));
    if (one_in(rng, 6)) r->scope = slice_of(PICK(rng, sites));
    switch (rng_below(rng, 6)) {
    case 0:
    case 1: r->target = (struct plan_target){PLAN_TO_TRUNK, slice_of(PICK(rng, trunks)), 0}; break;
    case 2: r->target = (struct plan_target){PLAN_TO_ACCOUNT, slice_of(PICK(rng, accounts)), 0}; break;
    case 3:
    case 4: r->target = (struct plan_target){PLAN_TO_SITE, slice_of(PICK(rng, sites)), 0}; break;
    default: r->target = (struct plan_target){PLAN_TO_REJECT, SLICE_NONE, 404}; break;
    }
    if (one_in(rng, 4)) r->priority = 10 + (uint32_t)rng_below(rng, 3);
    if (one_in(rng, 3)) r->prepend = slice_of(PICK(rng, prepends));
    if (one_in(rng, 3)) r->strip = (uint8_t)rng_below(rng, 3);
    if (r->target.kind == PLAN_TO_SITE && one_in(rng, 2)) { /* what loops are made of */
        r->strip = 1;
        r->prepend = slice_of(PICK(rng, prepends));
    }
    if (one_in(rng, 10)) r->hours = SLICE("Mo 08:00-09:00");
    if (one_in(rng, 10)) r->length_max = (uint8_t)(1 + rng_below(rng, 4));
    if (one_in(rng, 10)) r->length_min = (uint8_t)(1 + rng_below(rng, 4));
    r->overflow = one_in(rng, 12);
    r->disabled = one_in(rng, 12);
    return o;
}

static struct plan_object *random_object(struct rng *rng, struct arena *arena)
{
    switch (rng_below(rng, 10)) {
    case 0: return random_site(rng, arena);
    case 1: return random_trunk(rng, arena);
    case 2: return random_account(rng, arena);
    default: return random_route(rng, arena);
    }
}

/* ---- the comparison ---- */

static int compare_edits(const void *left, const void *right)
{
    return slice_cmp(((const struct plan_edit *)left)->key, ((const struct plan_edit *)right)->key);
}

/* Random edits of p, without those that change nothing. */
static size_t random_edits(struct rng *rng, struct plan *p, struct plan_edit *edits, size_t most)
{
    const size_t wanted = 1 + rng_below(rng, most);
    size_t count = 0;
    for (size_t i = 0; i < wanted; i++) {
        const struct plan_object *o = random_object(rng, p->arena);
        bool removal = p->count > 0 && one_in(rng, 3);
        char text[PLAN_KEY_MAX];
        struct slice key = {text, plan_object_key_text(o, text)};
        if (removal) key = p->list[rng_below(rng, p->count)].key;
        bool twice = false;
        for (size_t k = 0; k < count; k++)
            twice = twice || slice_eq(edits[k].key, key);
        if (twice) continue;
        edits[count++] = (struct plan_edit){
            .key = arena_copy(p->arena, key), .before = plan_find(p, key), .after = removal ? NULL : o};
    }
    qsort(edits, count, sizeof *edits, compare_edits);
    return count;
}

static const struct plan_object **objects_of(const struct plan *p)
{
    const struct plan_object **list = keep(p->arena, (p->count + 1) * sizeof *list);
    for (size_t i = 0; i < p->count; i++)
        list[i] = p->list[i].object;
    return list;
}

static void describe(struct buf *out, const struct lint_report *r)
{
    for (size_t i = 0; i < r->count; i++) {
        buf_printf(out, "%s %.*s: %.*s\n", r->findings[i].id, SLICE_ARG(r->findings[i].object),
                   SLICE_ARG(r->findings[i].text));
    }
}

static void print_lacking(const char *name, const struct lint_report *r, const struct lint_report *other)
{
    for (size_t i = 0; i < r->count; i++) {
        const struct lint_finding *f = &r->findings[i];
        bool there = false;
        for (size_t k = 0; k < other->count; k++) {
            const struct lint_finding *o = &other->findings[k];
            there =
                there || (strcmp(f->id, o->id) == 0 && slice_eq(f->object, o->object) && slice_eq(f->text, o->text));
        }
        if (!there)
            print_message("only the %s: %s %.*s: %.*s\n", name, f->id, SLICE_ARG(f->object), SLICE_ARG(f->text));
    }
}

static void tally(const struct lint_report *r, const char *const *ids, unsigned *seen, size_t count)
{
    for (size_t i = 0; i < r->count; i++) {
        for (size_t k = 0; k < count; k++)
            seen[k] += strcmp(r->findings[i].id, ids[k]) == 0;
    }
}

static const char *const ids[] = {"unknown-target",    "foreign-block",    "translation-loop", "same-priority",
                                  "shadowed",          "unused-trunk",     "unused-account",   "overlapping-blocks",
                                  "impossible-length", "no-trust",         "no-password",      "block-full",
                                  "same-trust",        "same-registration"};

static void compare(struct plan *p, const struct plan_edit *edits, size_t count, unsigned round, unsigned *seen)
{
    struct plan after = *p;
    struct lint_report whole;
    struct lint_report part;
    struct buf wanted = {0};
    struct buf got = {0};
    const struct plan_view view = view_of(p);
    for (size_t i = 0; i < count; i++) {
        if (edits[i].after != NULL)
            plan_put(&after, edits[i].after);
        else
            plan_remove(&after, edits[i].key);
    }
    assert_int_equal(plan_lint_change(p->arena, objects_of(p), p->count, objects_of(&after), after.count, &whole),
                     ERR_OK);
    assert_int_equal(plan_lint_edits(p->arena, &view, edits, count, &part), ERR_OK);
    describe(&wanted, &whole);
    describe(&got, &part);
    if (!slice_eq(buf_view(&wanted), buf_view(&got)) || whole.error_count != part.error_count) {
        for (size_t i = 0; i < count; i++) {
            print_message("edit %.*s: %s\n", SLICE_ARG(edits[i].key),
                          edits[i].after == NULL    ? "removed"
                          : edits[i].before == NULL ? "added"
                                                    : "changed");
        }
        for (size_t i = 0; i < p->count; i++)
            print_message("  had %.*s\n", SLICE_ARG(p->list[i].key));
        print_lacking("whole", &whole, &part);
        print_lacking("part", &part, &whole);
        fail_msg("round %u: the whole and the part differ", round);
    }
    tally(&whole, ids, seen, sizeof ids / sizeof ids[0]);
    buf_fini(&wanted);
    buf_fini(&got);
    *p = after;
}

static void test_random(void **state)
{
    struct rng rng;
    unsigned seen[sizeof ids / sizeof ids[0]] = {0};
    const char *rounds = getenv("TANDEM_ROUNDS");
    const unsigned last = rounds != NULL ? (unsigned)atoi(rounds) : 16;
    (void)state;
    rng_init(&rng, 2027);
    for (unsigned round = 0; round < last; round++) {
        struct arena arena = {0};
        struct plan p = {.arena = &arena};
        const size_t size = rng_below(&rng, 120);
        for (size_t i = 0; i < size; i++)
            plan_put(&p, random_object(&rng, &arena));
        for (unsigned change = 0; change < 40; change++) {
            struct plan_edit edits[8];
            compare(&p, edits, random_edits(&rng, &p, edits, change % 4 == 0 ? 8 : 1), round, seen);
        }
        arena_fini(&arena);
    }
    for (size_t k = 0; k < sizeof ids / sizeof ids[0]; k++) {
        if (seen[k] == 0) fail_msg("%s never came up", ids[k]);
    }
}

/* ---- loops that something hides ---- */

#define LOOP                                                                                                           \
    "plan: 1\nsites: { hq: {}, lab: {} }\n"                                                                            \
    "trunks: { t: {site: hq, address: [a], trust: [10.1.0.1]} }\n"                                                     \
    "accounts: { \"27\": {password: (set)} }\n"                                                                        \
    "routes:\n- {match: \"9\", to: trunk/t}\n"                                                                         \
    "- {match: =17, to: site/hq, strip: 1, prepend: \"2\"}\n"                                                          \
    "- {match: \"2\", to: site/lab, strip: 1, prepend: \"1\"}\n"                                                       \
    "- {match: \"3\", to: site/hq, strip: 1, prepend: \"4\"}\n"                                                        \
    "- {match: \"4\", to: site/lab, strip: 1, prepend: \"3\"}\n"                                                       \
    "- {match: \"4\", to: trunk/t, scope: hq}\n"

/* What takes the number before it comes back, and a loop without it. */
static void test_hidden_loops(void **state)
{
    static const struct {
        const char *removed; /* the other way round it is added, last, and hides the loop */
        size_t found;
    } rows[] = {{"account/27", 1}, {"route/hq/4/trunk/t", 2}, {"route//9/trunk/t", 0}};
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct arena arena = {0};
        struct plan p = {.arena = &arena};
        unsigned seen[sizeof ids / sizeof ids[0]] = {0};
        struct plan_document doc = test_parse(&arena, SLICE(LOOP));
        const struct slice key = slice_of(rows[i].removed);
        for (size_t k = 0; k < doc.object_count; k++)
            plan_put(&p, &doc.objects[k]);
        struct plan_edit edit = {.key = key, .before = plan_find(&p, key)};
        compare(&p, &edit, 1, (unsigned)i, seen);
        assert_int_equal(seen[2], rows[i].found);
        edit = (struct plan_edit){.key = key, .after = edit.before};
        compare(&p, &edit, 1, (unsigned)i, seen);
        assert_int_equal(seen[2], rows[i].found);
        edit = (struct plan_edit){.key = SLICE("route//=17/site/hq")};
        edit.before = plan_find(&p, edit.key);
        compare(&p, &edit, 1, (unsigned)i, seen);
        edit = (struct plan_edit){.key = edit.key, .after = edit.before};
        compare(&p, &edit, 1, (unsigned)i, seen);
        assert_int_equal(seen[2], rows[i].found);
        arena_fini(&arena);
    }
}

/* ---- what it looks at ---- */

/* One more route among many: what is asked does not grow with the plan. */
static void test_looks_nearby(void **state)
{
    struct arena arena = {0};
    struct plan p = {.arena = &arena};
    struct plan_object many[300];
    char text[300][16];
    struct lint_report report;
    (void)state;
    struct plan_document doc = test_parse(&arena, SLICE("plan: 1\nsites: { hq: {blocks: [\"5\"]} }\n"
                                                        "trunks: { t: {site: hq, address: [a], trust: [10.1.0.1]} }\n"
                                                        "routes:\n- {match: \"5\", to: trunk/t}\n"));
    for (size_t i = 0; i < doc.object_count; i++)
        plan_put(&p, &doc.objects[i]);
    for (unsigned i = 0; i < 300; i++) {
        (void)snprintf(text[i], sizeof text[i], "5%03u", i);
        plan_object_init(&many[i], PLAN_ROUTE);
        many[i].route.match = slice_of(text[i]);
        many[i].route.target = (struct plan_target){PLAN_TO_TRUNK, SLICE("t"), 0};
        if (i > 0) plan_put(&p, &many[i]);
    }
    const struct plan_view view = view_of(&p);
    const struct plan_edit edit = {.key = SLICE("route//5000/trunk/t"), .after = &many[0]};
    p.asked = 0;
    assert_int_equal(plan_lint_edits(&arena, &view, &edit, 1, &report), ERR_OK);
    assert_int_equal(report.count, 0);
    if (p.asked > 60) fail_msg("%zu objects were asked for", p.asked);
    arena_fini(&arena);
}

static void test_too_many(void **state)
{
    static struct plan_edit edits[LINT_EDITS_MAX + 1];
    struct arena arena = {0};
    struct plan p = {.arena = &arena};
    const struct plan_view view = view_of(&p);
    struct lint_report report;
    (void)state;
    assert_int_equal(plan_lint_edits(&arena, &view, edits, LINT_EDITS_MAX + 1, &report), ERR_LIMIT);
    assert_int_equal(plan_lint_edits(&arena, &view, edits, 0, &report), ERR_OK);
    assert_int_equal(report.count, 0);
    arena_fini(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_random),
        cmocka_unit_test(test_hidden_loops),
        cmocka_unit_test(test_looks_nearby),
        cmocka_unit_test(test_too_many),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
