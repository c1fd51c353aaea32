/* lint_affected: which objects may have a finding after some edits that they had not before.
 *
 * For each kind of finding, how it can arise at an object that was not touched itself:
 *   unknown-target      what the object names has gone
 *   unused-*            the last route to it has gone, or the last of its own numbers
 *   same-priority, foreign-block, shadowed by a reject: another route of its match and scope, or the site of a target
 *                       of these
 *   shadowed            a longer match within its own
 *   foreign-block       a block around it
 *   overlapping-blocks  a block
 *   block-full          a number in it, or the block itself
 *   same-trust          the trust of another trunk, or where that is
 *   same-registration   the registration of another trunk
 *   translation-loop    a look-up that goes elsewhere: to a touched route that rewrites, or past one that went, to a
 *                       wider one that does, or past an account that was the number. Such routes are rare; where one
 *                       is concerned, all of them are judged. */
#include "node/plan/lint_loops.h"
#include "node/plan/lint_near.h"
#include "node/plan/pattern.h"

/* ---- around and within a match ---- */

struct visit {
    struct near *n;
    bool followed; /* one of them goes on to another look-up */
};

static bool visit_route(void *ctx, struct slice key)
{
    struct visit *v = ctx;
    if (!slice_starts(key, SLICE("route/"))) return true;
    const struct near_item *item = near_take(v->n, key, true);
    v->followed = v->followed || (item != NULL && lint_is_followed(item->object));
    return v->n->err == ERR_OK;
}

static bool visit_any(void *ctx, struct slice key)
{
    struct visit *v = ctx;
    (void)near_take(v->n, key, true);
    return v->n->err == ERR_OK;
}

static void look_around(struct near *n, struct slice number, plan_view_visit *visit, struct visit *v)
{
    if (n->err == ERR_OK) n->err = n->view->around(n->view->ctx, number, visit, v);
}

/* ---- routes, and accounts as far as their numbers are routes ---- */

/* Judges the routes around each match of o; whether one of them is followed. */
static bool around_matches(struct near *n, const struct plan_object *o)
{
    const struct slice *matches;
    size_t count = plan_object_matches(o, &matches);
    struct visit v = {.n = n};
    for (size_t i = 0; i < count; i++) {
        struct pattern p;
        if (pattern_parse(matches[i], &p, NULL) == ERR_OK) look_around(n, p.low, visit_route, &v);
    }
    return v.followed;
}

/* The same of what an account hid that is the number itself. */
static bool around_name(struct near *n, const struct plan_object *o)
{
    struct visit v = {.n = n};
    if (o->kind == PLAN_ACCOUNT && number_valid(o->account.name)) look_around(n, o->account.name, visit_route, &v);
    return v.followed;
}

static void target_key(const struct plan_target *t, struct buf *key)
{
    buf_reset(key);
    plan_target_text(t, key);
}

static void judge_route(struct near *n, const struct plan_edit *edit)
{
    const struct plan_route *r = edit->after != NULL ? &edit->after->route : &edit->before->route;
    char group[PLAN_KEY_MAX];
    near_prefix(n, near_group(r, group), SIZE_MAX, true);
    if (edit->after != NULL || (r->target.kind != PLAN_TO_TRUNK && r->target.kind != PLAN_TO_ACCOUNT)) return;
    struct buf key = {0};
    target_key(&r->target, &key);
    struct near_item *target = key.failed ? NULL : near_take(n, buf_view(&key), true);
    if (target != NULL) target->evidence = true;
    if (key.failed && n->err == ERR_OK) n->err = ERR_NOMEM;
    buf_fini(&key);
}

/* ---- trunks and accounts ---- */

static struct slice site_of(const struct plan_object *o)
{
    if (o == NULL) return SLICE_NONE;
    return o->kind == PLAN_TRUNK ? o->trunk.site : o->account.site;
}

static bool same_texts(const struct slice *a, size_t a_count, const struct slice *b, size_t b_count)
{
    bool same = a_count == b_count;
    for (size_t i = 0; same && i < a_count; i++)
        same = slice_eq(a[i], b[i]);
    return same;
}

/* Whether calls that came from one trunk may come from another now, or what it registers. */
static bool moves_sources(const struct plan_object *before, const struct plan_object *after)
{
    if (before == NULL || after == NULL) return true;
    const struct plan_trunk *a = &before->trunk;
    const struct plan_trunk *b = &after->trunk;
    return !slice_eq(a->site, b->site) || !same_texts(a->trust, a->trust_count, b->trust, b->trust_count) ||
           !same_texts(a->trust_names, a->trust_name_count, b->trust_names, b->trust_name_count) ||
           a->registration.set || b->registration.set;
}

static void judge_named(struct near *n, const struct plan_edit *edit)
{
    const struct plan_object *o = edit->after != NULL ? edit->after : edit->before;
    bool both = edit->after != NULL && edit->before != NULL;
    struct near_item *item = near_find(n, edit->key);
    bool lost =
        both && o->kind == PLAN_ACCOUNT && edit->before->account.number_count > 0 && o->account.number_count == 0;
    if (item != NULL && (edit->before == NULL || lost)) item->evidence = true;
    if (o->kind == PLAN_TRUNK && moves_sources(edit->before, edit->after))
        near_prefix(n, SLICE("trunk/"), SIZE_MAX, true);
    if (both && slice_eq(site_of(edit->before), site_of(edit->after))) return;
    near_referrers(n, o->kind, o->kind == PLAN_TRUNK ? o->trunk.name : o->account.name, true);
    if (item != NULL) item->searched = true;
}

/* ---- sites ---- */

static bool has_block(const struct plan_object *o, struct slice block)
{
    for (size_t i = 0; o != NULL && i < o->site.block_count; i++) {
        if (slice_eq(o->site.blocks[i], block)) return true;
    }
    return false;
}

/* Blocks that one has and the other has not: what lies in them, and all sites. */
static bool judge_blocks(struct near *n, const struct plan_object *one, const struct plan_object *other)
{
    bool any = false;
    for (size_t i = 0; one != NULL && i < one->site.block_count; i++) {
        struct visit v = {.n = n};
        struct pattern p;
        if (has_block(other, one->site.blocks[i]) || pattern_parse(one->site.blocks[i], &p, NULL) != ERR_OK) continue;
        look_around(n, p.low, visit_any, &v);
        struct slice high = p.kind == PATTERN_RANGE ? p.high : p.low;
        if (n->err == ERR_OK) n->err = n->view->within(n->view->ctx, p.low, high, visit_any, &v);
        any = true;
    }
    return any;
}

struct residents {
    struct near *n;
    struct slice prefix;
    struct slice site;
};

static bool visit_resident(void *ctx, struct slice key)
{
    struct residents *r = ctx;
    const struct plan_object *o = NULL;
    if (!slice_starts(key, r->prefix)) return false;
    enum err e = r->n->view->get(r->n->view->ctx, key, &o);
    if (e == ERR_OK && slice_eq(site_of(o), r->site)) (void)near_take(r->n, key, true);
    if (e != ERR_OK && e != ERR_NOTFOUND && r->n->err == ERR_OK) r->n->err = e;
    return r->n->err == ERR_OK;
}

/* Everything that names a site which has gone. */
static void judge_orphans(struct near *n, const struct plan_site *site)
{
    const struct slice kinds[] = {SLICE("trunk/"), SLICE("account/")};
    struct buf scope = {0};
    buf_printf(&scope, "route/%.*s/", SLICE_ARG(site->name));
    if (scope.failed && n->err == ERR_OK) n->err = ERR_NOMEM;
    if (!scope.failed) near_prefix(n, buf_view(&scope), SIZE_MAX, true);
    buf_fini(&scope);
    near_referrers(n, PLAN_SITE, site->name, true);
    for (size_t i = 0; i < 2 && n->err == ERR_OK; i++) {
        struct residents r = {n, kinds[i], site->name};
        n->err = n->view->keys(n->view->ctx, kinds[i], visit_resident, &r);
    }
}

static void judge_site(struct near *n, const struct plan_edit *edit)
{
    bool moved = judge_blocks(n, edit->before, edit->after);
    moved = judge_blocks(n, edit->after, edit->before) || moved;
    if (edit->after == NULL) judge_orphans(n, &edit->before->site);
    if (!moved) return;
    near_prefix(n, SLICE("site/"), SIZE_MAX, true);
    struct near_item *item = near_find(n, edit->key);
    if (item != NULL) item->numbers = true;
}

/* ---- numbers in blocks ---- */

static void judge_number(struct near *n, struct slice number)
{
    for (struct near_item *i = n->first; i != NULL; i = i->next) {
        if (i->object->kind != PLAN_SITE) continue;
        for (size_t k = 0; k < i->object->site.block_count; k++) {
            struct pattern p;
            if (pattern_parse(i->object->site.blocks[k], &p, NULL) != ERR_OK || !pattern_matches(&p, number)) continue;
            i->judged = i->numbers = true;
        }
    }
}

static void judge_numbers(struct near *n, const struct plan_object *o)
{
    const struct slice *matches;
    size_t count = plan_object_matches(o, &matches);
    for (size_t i = 0; i < count; i++) {
        if (matches[i].n > 1 && matches[i].p[0] == '=')
            judge_number(n, (struct slice){matches[i].p + 1, matches[i].n - 1});
    }
    if (o != NULL && o->kind == PLAN_ACCOUNT && number_valid(o->account.name)) judge_number(n, o->account.name);
}

/* ---- loops ---- */

static bool visit_start(void *ctx, struct slice key)
{
    struct near *n = ctx;
    const struct plan_object *o = NULL;
    char text[PLAN_KEY_MAX + 1];
    if (!slice_starts(key, SLICE("route//"))) return false;
    if (key.n > PLAN_KEY_MAX) return true;
    memcpy(text, key.p, key.n);
    text[key.n] = '\0';
    if (strstr(text, "/site/") == NULL) return true;
    enum err e = n->view->get(n->view->ctx, key, &o);
    if (e == ERR_OK && lint_is_followed(o)) (void)near_take(n, key, true);
    if (e != ERR_OK && e != ERR_NOTFOUND && n->err == ERR_OK) n->err = e;
    return n->err == ERR_OK;
}

void near_affected(struct near *n, const struct plan_edit *edits, size_t count)
{
    bool loops = false;
    near_prefix(n, SLICE("site/"), SIZE_MAX, false);
    for (size_t i = 0; i < count && n->err == ERR_OK; i++) {
        const struct plan_edit *edit = &edits[i];
        const struct plan_object *o = edit->after != NULL ? edit->after : edit->before;
        (void)near_take(n, edit->key, true);
        if (edit->after != NULL) loops = lint_is_followed(edit->after) || loops;
        loops = around_matches(n, edit->before) || loops;
        (void)around_matches(n, edit->after);
        if (edit->after == NULL) loops = around_name(n, edit->before) || loops;
        if (o->kind == PLAN_ROUTE) judge_route(n, edit);
        if (o->kind == PLAN_TRUNK || o->kind == PLAN_ACCOUNT) judge_named(n, edit);
        if (o->kind == PLAN_SITE) judge_site(n, edit);
    }
    for (size_t i = 0; i < count && n->err == ERR_OK; i++) {
        judge_numbers(n, edits[i].before);
        judge_numbers(n, edits[i].after);
    }
    if (loops && n->err == ERR_OK) n->err = n->view->keys(n->view->ctx, SLICE("route//"), visit_start, n);
}
