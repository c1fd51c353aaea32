#include "node/app/plan_change.h"

#include <stdlib.h>

#include "node/app/plan_view.h"
#include "node/app/seal.h"
#include "node/base/list.h"
#include "node/base/map.h"
#include "proto/plan_codec.h"

/* What is wanted for one key. */
struct want {
    struct map_node by_key;
    struct slice key;
    struct slice packed; /* what is put; empty: delete */
    struct plan_object
        *object;              /* the same; NULL with a route of a large change, which is unpacked where it is wanted */
    struct slice stored;      /* packed: what stands there, where that is something else */
    const struct stamp *seen; /* of what is there, and of what was overridden there */
    size_t seen_count;
    bool put;  /* else delete */
    bool keep; /* its password stays as it is, so there must be one */
    bool exact;
    bool existed;
    bool same;
};

/* A large change is held once, packed: a route takes six times as much as an object. */
struct work {
    struct arena *arena;
    struct arena scratch; /* of one object */
    bool large;
    struct plan_change *c;
    struct err_info *info;
    struct map wants;
    struct want *list;
    size_t list_count;
};

static struct want *find_want(const struct work *w, struct slice key)
{
    struct map_node *m = map_first(&w->wants, map_hash(&w->wants, key));
    for (; m != NULL; m = map_next(m)) {
        struct want *want = CONTAINER_OF(m, struct want, by_key);
        if (slice_eq(want->key, key)) return want;
    }
    return NULL;
}

static enum err add_want(struct work *w, const struct want *wanted)
{
    if (find_want(w, wanted->key) != NULL) {
        return err_fail(w->info, ERR_SYNTAX, "%.*s: given twice in one change; keep one", SLICE_ARG(wanted->key));
    }
    struct want *want = &w->list[w->list_count++];
    *want = *wanted;
    map_insert(&w->wants, &want->by_key, map_hash(&w->wants, want->key));
    return ERR_OK;
}

/* ---- what is wanted ---- */

static enum err pack_again(struct arena *arena, const struct plan_object *o, struct slice *packed)
{
    struct buf bytes = {0};
    enum err e = plan_object_pack(o, &bytes);
    if (e == ERR_OK) {
        *packed = arena_copy(arena, buf_view(&bytes));
        if (packed->p == NULL) e = ERR_NOMEM;
    }
    buf_fini(&bytes);
    return e;
}

static enum err seal_registration(struct work *w, struct slice key, struct plan_object *o, struct slice secret)
{
    struct buf sealed = {0};
    enum err e = seal(w->c->cluster_key, key, secret, &sealed);
    if (e == ERR_OK) {
        o->trunk.registration.sealed = arena_copy(w->arena, buf_view(&sealed));
        if (o->trunk.registration.sealed.p == NULL) e = ERR_NOMEM;
    }
    buf_fini(&sealed);
    return e;
}

/* Unpacks and checks what is put; the object is kept unless it is a route of a large change. */
static enum err read_object(struct work *w, struct slice packed, struct plan_object *checked, struct plan_object **kept)
{
    arena_reset(&w->scratch);
    enum err e = plan_object_unpack(&w->scratch, packed, checked, w->info);
    if (e != ERR_OK || (w->large && checked->kind == PLAN_ROUTE)) return e;
    *kept = arena_alloc(w->arena, sizeof **kept);
    if (*kept == NULL) return ERR_NOMEM;
    e = plan_object_unpack_stored(w->arena, packed, *kept, w->info);
    (*kept)->line = 0;
    return e;
}

static enum err read_put(struct work *w, const struct wanted_put *put)
{
    char text[PLAN_KEY_MAX];
    struct plan_object o;
    struct want want = {.packed = put->packed, .put = true, .exact = put->exact};
    enum err e = read_object(w, put->packed, &o, &want.object);
    if (e != ERR_OK) return e;
    want.keep = put->keep && (o.kind == PLAN_ACCOUNT || o.kind == PLAN_TRUNK);
    want.key = arena_copy(w->arena, (struct slice){text, plan_object_key_text(&o, text)});
    if (want.key.p == NULL) return ERR_NOMEM;
    if (o.kind == PLAN_TRUNK && put->secret.n > 0) {
        e = seal_registration(w, want.key, want.object, put->secret);
        if (e == ERR_OK) e = pack_again(w->arena, want.object, &want.packed);
    }
    return e == ERR_OK ? add_want(w, &want) : e;
}

static enum err read_wants(struct work *w)
{
    struct plan_change *c = w->c;
    w->list = calloc(c->put_count + c->delete_count + 1, sizeof *w->list);
    w->large = c->put_count > LINT_EDITS_MAX;
    enum err e = map_init(&w->wants, c->put_count + c->delete_count, 1);
    if (w->list == NULL || e != ERR_OK) return ERR_NOMEM;
    for (size_t i = 0; i < c->put_count && e == ERR_OK; i++)
        e = read_put(w, &c->puts[i]);
    for (size_t i = 0; i < c->delete_count && e == ERR_OK; i++)
        e = add_want(w, &(struct want){.key = c->deletes[i]});
    return e;
}

/* ---- against what there is ---- */

/* An account keeps its password where the document says so; a trunk's registration does where it brings none, unless
 * that is what is wanted. */
static enum err keep_secret(struct work *w, struct want *want, struct slice packed)
{
    struct plan_object stored;
    struct plan_object *o = want->object;
    const bool account = o->kind == PLAN_ACCOUNT && want->keep;
    const bool trunk =
        o->kind == PLAN_TRUNK && o->trunk.registration.set && o->trunk.registration.sealed.n == 0 && !want->exact;
    if (!account && !trunk) return ERR_OK;
    arena_reset(&w->scratch);
    enum err e = plan_object_unpack_stored(&w->scratch, packed, &stored, w->info);
    if (e != ERR_OK || stored.kind != o->kind) return e;
    if (account) {
        o->account.secret = stored.account.secret;
    } else {
        o->trunk.registration.sealed = arena_copy(w->arena, stored.trunk.registration.sealed);
        if (o->trunk.registration.sealed.p == NULL) return ERR_NOMEM;
    }
    return pack_again(w->arena, o, &want->packed);
}

/* What stands where something is wanted: bytes, that are unpacked where somebody asks. A document of a million objects
 * that are there costs no memory. */
static enum err meet_stored(struct work *w, struct want *want, struct slice packed)
{
    enum err e = want->object != NULL ? keep_secret(w, want, packed) : ERR_OK;
    if (e != ERR_OK) return e;
    want->existed = true;
    want->same = want->put && slice_eq(want->packed, packed);
    if (!want->same) want->stored = arena_copy(w->arena, packed);
    return want->same || want->stored.p != NULL ? ERR_OK : ERR_NOMEM;
}

static enum err meet_all(struct work *w, struct store_read *read)
{
    for (size_t i = 0; i < w->list_count; i++) {
        struct slice packed;
        enum err e = store_object(read, w->list[i].key, &packed, NULL);
        if (e == ERR_OK) e = meet_stored(w, &w->list[i], packed);
        if (e != ERR_OK && e != ERR_NOTFOUND) return e;
    }
    return ERR_OK;
}

/* "(set)" for a password that nobody knows would make an account that can never register. */
static bool password_is_there(const struct want *want)
{
    const struct plan_object *o = want->object;
    if (!want->keep) return true;
    return o->kind == PLAN_ACCOUNT ? o->account.secret.set : o->trunk.registration.sealed.n > 0;
}

static enum err check_want(struct work *w, const struct want *want)
{
    if (!want->put && !want->existed) {
        return err_fail(w->info, ERR_NOTFOUND, "remove %.*s: the plan has no such object; see \"clusterctl plan show\"",
                        SLICE_ARG(want->key));
    }
    if (want->put && !password_is_there(want)) {
        return err_fail(w->info, ERR_SYNTAX,
                        "%.*s: \"(set)\" keeps the password as it is, and the plan has none for it: write the password",
                        SLICE_ARG(want->key));
    }
    return ERR_OK;
}

static enum err make_op(struct work *w, const struct want *want)
{
    struct plan_change *c = w->c;
    enum err e = check_want(w, want);
    if (e != ERR_OK || want->same) return e;
    c->added += !want->existed;
    c->changed += want->existed && want->put;
    c->removed += !want->put;
    c->op_added[c->op_count] = !want->existed;
    c->op_stored[c->op_count] = want->stored;
    c->ops[c->op_count++] = (struct change_op){.kind = want->put ? CHANGE_PUT : CHANGE_DELETE,
                                               .key = want->key,
                                               .value = want->packed,
                                               .before = c->keep_before ? want->stored : SLICE_NONE,
                                               .seen = want->seen,
                                               .seen_count = want->seen_count};
    return ERR_OK;
}

static enum err read_seen(struct work *w, struct store_read *read, struct want *want)
{
    struct stamp seen[CHANGE_SEEN_MAX];
    size_t count = 0;
    size_t heads = 0;
    enum err e = store_object_stamp(read, want->key, &seen[0]);
    if (e == ERR_NOTFOUND) return ERR_OK;
    if (e == ERR_OK) e = store_conflict_heads(read, want->key, seen + 1, CHANGE_SEEN_MAX - 1, &heads);
    if (e != ERR_OK) return e;
    count = 1 + heads;
    struct stamp *copy = arena_alloc(w->arena, count * sizeof *copy);
    if (copy == NULL) return ERR_NOMEM;
    memcpy(copy, seen, count * sizeof *copy);
    want->seen = copy;
    want->seen_count = count;
    return ERR_OK;
}

/* A change is later than what it changes (see struct repl_event), and says what it knew of it. */
static enum err all_seen(struct work *w, struct store_read *read)
{
    enum err e = ERR_OK;
    for (size_t i = 0; e == ERR_OK && i < w->list_count; i++) {
        struct want *want = &w->list[i];
        if (want->same) continue;
        e = read_seen(w, read, want);
        if (want->seen_count > 0 && want->seen[0].time.v > w->c->after.v) w->c->after = want->seen[0].time;
    }
    return e;
}

static enum err make_ops(struct work *w)
{
    struct plan_change *c = w->c;
    enum err e = ERR_OK;
    c->ops = arena_alloc(w->arena, w->list_count * sizeof *c->ops);
    c->op_added = arena_alloc(w->arena, w->list_count * sizeof *c->op_added);
    c->op_stored = arena_alloc(w->arena, w->list_count * sizeof *c->op_stored);
    if (c->ops == NULL || c->op_added == NULL || c->op_stored == NULL) return ERR_NOMEM;
    for (size_t i = 0; e == ERR_OK && i < w->list_count; i++)
        e = make_op(w, &w->list[i]);
    return e;
}

/* ---- what an operation makes of what ---- */

static enum err unpack_new(struct arena *arena, struct slice packed, struct plan_object **out)
{
    struct plan_object *o = NULL;
    enum err e = ERR_OK;
    if (packed.n > 0) {
        o = arena_alloc(arena, sizeof *o);
        e = o != NULL ? plan_object_unpack_stored(arena, packed, o, NULL) : ERR_NOMEM;
    }
    *out = o;
    return e;
}

enum err plan_change_edit(const struct plan_change *c, size_t i, struct arena *arena, struct plan_edit *out)
{
    struct plan_object *before = NULL;
    struct plan_object *after = NULL;
    enum err e = unpack_new(arena, c->op_stored[i], &before);
    if (e == ERR_OK) e = unpack_new(arena, c->ops[i].value, &after);
    *out = (struct plan_edit){c->ops[i].key, before, after};
    return e;
}

/* ---- lint ---- */

static int compare_edits(const void *left, const void *right)
{
    return slice_cmp(((const struct plan_edit *)left)->key, ((const struct plan_edit *)right)->key);
}

/* Only what the change can make worse is looked at. ERR_LIMIT: that may be too much. */
static enum err lint_near(struct work *w, const struct plan_view *view)
{
    const size_t count = w->c->op_count;
    struct plan_edit *edits = arena_alloc(w->arena, count * sizeof *edits);
    if (edits == NULL) return ERR_NOMEM;
    for (size_t i = 0; i < count; i++) {
        enum err e = plan_change_edit(w->c, i, w->arena, &edits[i]);
        if (e != ERR_OK) return e;
    }
    qsort(edits, count, sizeof *edits, compare_edits);
    return plan_lint_edits(w->arena, view, edits, count, &w->c->report);
}

/* Keeps of after what before did not have: an old warning does not stand in the way of every later change. */
static void keep_new(const struct lint_report *before, struct lint_report *after)
{
    size_t kept = 0;
    after->error_count = 0;
    for (size_t i = 0; i < after->count; i++) {
        const struct lint_finding *f = &after->findings[i];
        bool old = false;
        for (size_t k = 0; k < before->count && !old; k++) {
            const struct lint_finding *b = &before->findings[k];
            old = strcmp(b->id, f->id) == 0 && slice_eq(b->object, f->object);
        }
        if (old) continue;
        after->error_count += f->severity == LINT_ERROR;
        after->findings[kept++] = *f;
    }
    after->count = kept;
}

/* Both plans on their way into lint. A route lives during one visit, other objects in the work's arena. */
struct both {
    struct work *w;
    struct lint *before;
    struct lint *after;
    struct arena route;
    enum err err;
};

static bool visit_object(void *ctx, struct slice key, struct slice packed)
{
    struct both *b = ctx;
    bool is_route = slice_starts(key, SLICE("route/"));
    struct arena *arena = is_route ? &b->route : b->w->arena;
    struct plan_object *o = arena_alloc(arena, sizeof *o);
    b->err = o != NULL ? plan_object_unpack_stored(arena, packed, o, b->w->info) : ERR_NOMEM;
    if (b->err == ERR_OK) b->err = plan_lint_take(b->before, o);
    if (b->err == ERR_OK && find_want(b->w, key) == NULL) b->err = plan_lint_take(b->after, o);
    arena_reset(&b->route);
    return b->err == ERR_OK;
}

static enum err take_wanted(struct both *b, const struct want *want)
{
    struct plan_object o;
    if (want->object != NULL) return plan_lint_take(b->after, want->object);
    enum err e = plan_object_unpack_stored(&b->route, want->packed, &o, b->w->info);
    if (e == ERR_OK) e = plan_lint_take(b->after, &o);
    arena_reset(&b->route);
    return e;
}

static enum err take_both(struct both *b, struct store_read *read)
{
    struct work *w = b->w;
    enum err e = plan_lint_new(&b->before);
    if (e == ERR_OK) e = plan_lint_new(&b->after);
    if (e == ERR_OK) e = store_objects(read, SLICE(""), false, visit_object, b);
    store_read_end(read);
    if (e == ERR_OK) e = b->err;
    for (size_t i = 0; e == ERR_OK && i < w->list_count; i++) {
        if (w->list[i].put) e = take_wanted(b, &w->list[i]);
    }
    return e;
}

/* Of a change that concerns much: both plans are looked at. */
static enum err lint_both(struct work *w, struct store_read *read)
{
    struct both b = {.w = w};
    struct lint_report before;
    enum err e = take_both(&b, read);
    if (e == ERR_OK) e = plan_lint_run(b.before, w->arena, &before);
    plan_lint_free(b.before);
    if (e == ERR_OK) e = plan_lint_run(b.after, w->arena, &w->c->report);
    plan_lint_free(b.after);
    if (e == ERR_OK) keep_new(&before, &w->c->report);
    arena_fini(&b.route);
    return e;
}

static enum err lint(struct work *w, struct store_read *read)
{
    struct stored_view stored;
    struct plan_view view;
    if (w->c->whole || w->c->op_count > LINT_EDITS_MAX) return lint_both(w, read);
    enum err e = stored_view_open(&stored, read, w->arena, w->info, &view);
    if (e == ERR_OK) e = lint_near(w, &view);
    return e == ERR_LIMIT ? lint_both(w, read) : e;
}

enum err plan_change_prepare(struct store_read *read, struct arena *arena, struct plan_change *c, struct err_info *info)
{
    struct work w = {.arena = arena, .c = c, .info = info};
    c->ops = NULL;
    c->op_added = NULL;
    c->op_stored = NULL;
    c->op_count = c->added = c->changed = c->removed = 0;
    c->report = (struct lint_report){.count = 0};
    c->after = (struct hlc){0};
    enum err e = c->fill == NULL ? read_wants(&w) : ERR_OK;
    if (e == ERR_OK) e = store_read_begin(read);
    if (e != ERR_OK) goto out;
    store_plan_digest(read, &c->digest);
    if (c->fill != NULL) e = c->fill(c, read, arena, info);
    if (e == ERR_OK && c->fill != NULL) e = read_wants(&w);
    if (e == ERR_OK) e = meet_all(&w, read);
    if (e == ERR_OK) e = all_seen(&w, read);
    if (e == ERR_OK) e = make_ops(&w);
    if (e == ERR_OK) e = lint(&w, read);
    store_read_end(read);
out:
    map_fini(&w.wants);
    arena_fini(&w.scratch);
    free(w.list);
    return e;
}
