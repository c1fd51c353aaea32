/* changes: the log of change-sets. A change-set is refused before anything of it is written, so it is applied in full
 * or not at all; what it does to the objects is in plan.c. */
#include "store/changes.h"

#include "proto/plan_codec.h"

#define VALIDATE_BATCH 256 /* objects that share one scratch arena */

enum err change_unpack(struct arena *scratch, struct slice key, struct slice value, struct plan_object *o,
                       struct err_info *info)
{
    char text[PLAN_KEY_MAX];
    struct err_info detail;
    detail.text[0] = '\0'; /* the rest is not: millions of objects pass here */
    enum err e = plan_object_unpack(scratch, value, o, &detail);
    if (e != ERR_OK) return err_fail(info, e, "%.*s: %s", SLICE_ARG(key), detail.text);
    struct slice is = {text, plan_object_key_text(o, text)};
    if (slice_eq(is, key)) return ERR_OK;
    return err_fail(info, ERR_SYNTAX, "%.*s: the object under this key is %.*s", SLICE_ARG(key), SLICE_ARG(is));
}

enum err change_validate(const struct changeset *c, struct err_info *info)
{
    struct arena scratch = {0};
    struct plan_object o;
    enum err e = ERR_OK;
    for (size_t i = 0; e == ERR_OK && i < c->op_count; i++) {
        if (i % VALIDATE_BATCH == 0) arena_fini(&scratch);
        if (c->ops[i].kind == CHANGE_PUT) e = change_unpack(&scratch, c->ops[i].key, c->ops[i].value, &o, info);
    }
    arena_fini(&scratch);
    return e;
}

/* ERR_OK: the next of its log. ERR_EXISTS: there already. ERR_CONFLICT: some before it are missing, or it comes too
 * late to be judged. */
static enum err log_place(struct env_write *w, const struct totals *t, const struct changeset *c,
                          struct change_tally *tally, struct err_info *info)
{
    char key[LOG_KEY_MAX];
    struct slice content;
    struct log_span span;
    enum err e = log_span_get(w, &c->id.origin, c->id.epoch, &span);
    if (e != ERR_OK) return e;
    if (c->id.seq == span.high + 1 && c->time.v <= t->floor.v) {
        tally->below_floor++;
        return err_fail(info, ERR_CONFLICT,
                        "change-set %s/%llu/%llu is older than the deletions that are forgotten here", c->id.origin.s,
                        (unsigned long long)c->id.epoch, (unsigned long long)c->id.seq);
    }
    if (c->id.seq == span.high + 1) return ERR_OK;
    if (c->id.seq > span.high) {
        tally->gaps++;
        return err_fail(info, ERR_CONFLICT, "change-set %s/%llu/%llu does not follow %llu, the last one here",
                        c->id.origin.s, (unsigned long long)c->id.epoch, (unsigned long long)c->id.seq,
                        (unsigned long long)span.high);
    }
    e = env_get(w, PLAN_LOG, log_key(&c->id, key), &content);
    if (e != ERR_OK && e != ERR_NOTFOUND) return e;
    if (e == ERR_OK && !slice_eq(content, c->packed)) tally->rewritten++;
    return ERR_EXISTS;
}

static enum err take_place(struct env_write *w, struct totals *t, const struct changeset *c)
{
    struct log_span span;
    enum err e = log_span_get(w, &c->id.origin, c->id.epoch, &span);
    if (e != ERR_OK) return e;
    span.high = c->id.seq;
    e = log_write(w, t, c);
    return e == ERR_OK ? log_span_put(w, &c->id.origin, c->id.epoch, span) : e;
}

/* A value that breaks a rule will break it for ever; lack of memory will not, so it is no refusal. */
static bool is_refusal(enum err e)
{
    return e == ERR_SYNTAX || e == ERR_LIMIT;
}

enum err change_apply(struct env_write *w, struct totals *t, struct slice packed, struct change_tally *tally,
                      bool *refused, struct err_info *info)
{
    struct arena arena = {0};
    struct changeset c;
    *refused = false;
    enum err e = changeset_unpack(&arena, packed, &c, info);
    if (e != ERR_OK) {
        *refused = is_refusal(e);
        goto out;
    }
    e = log_place(w, t, &c, tally, info);
    if (e == ERR_EXISTS) {
        tally->duplicates++;
        e = ERR_OK;
        goto out;
    }
    if (e == ERR_CONFLICT) {
        *refused = true;
        goto out;
    }
    if (e == ERR_OK) {
        e = change_validate(&c, info);
        *refused = is_refusal(e);
    }
    if (e == ERR_OK) e = plan_apply(w, t, &c, PLAN_NEWS, tally);
    if (e == ERR_OK) e = take_place(w, t, &c);
    if (e == ERR_OK) e = pending_note(w, t, &c);
    if (e == ERR_OK) tally->applied++;
out:
    if (*refused && e != ERR_CONFLICT) tally->refused++;
    arena_fini(&arena);
    return e;
}
