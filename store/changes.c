/* changes: the log of change-sets. A change-set is refused before anything of it is written, so it is applied in full
 * or not at all; what it does to the objects is in plan.c. */
#include "store/changes.h"

#include "proto/plan_codec.h"

#define VALIDATE_BATCH 256 /* objects that share one scratch arena */

static enum err validate_op(struct arena *scratch, const struct change_op *op, struct err_info *info)
{
    struct plan_object o;
    char text[PLAN_KEY_MAX];
    struct err_info detail = {{0}, 0, 0};
    if (op->kind == CHANGE_DELETE) return ERR_OK;
    enum err e = plan_object_unpack(scratch, op->value, &o, &detail);
    if (e != ERR_OK) return err_fail(info, e, "%.*s: %s", SLICE_ARG(op->key), detail.text);
    struct slice key = {text, plan_object_key_text(&o, text)};
    if (slice_eq(key, op->key)) return ERR_OK;
    return err_fail(info, ERR_SYNTAX, "%.*s: the object under this key is %.*s", SLICE_ARG(op->key), SLICE_ARG(key));
}

static enum err validate_ops(const struct changeset *c, struct err_info *info)
{
    struct arena scratch = {0};
    enum err e = ERR_OK;
    for (size_t i = 0; e == ERR_OK && i < c->op_count; i++) {
        if (i % VALIDATE_BATCH == 0) arena_fini(&scratch);
        e = validate_op(&scratch, &c->ops[i], info);
    }
    arena_fini(&scratch);
    return e;
}

/* ERR_OK: the next of its log. ERR_EXISTS: there already. ERR_CONFLICT: some before it are missing. */
static enum err log_place(struct env_write *w, const struct changeset *c, struct change_tally *tally,
                          struct err_info *info)
{
    char key[LOG_KEY_MAX];
    struct slice content;
    uint64_t high = 0;
    enum err e = env_get(w, PLAN_VECTOR, vector_key(&c->id.origin, c->id.epoch, key), &content);
    if (e != ERR_OK && e != ERR_NOTFOUND) return e;
    if (e == ERR_OK && content.n != 8) return ERR_CORRUPT;
    if (e == ERR_OK) high = get_be(content.p, 8);
    if (c->id.seq == high + 1) return ERR_OK;
    if (c->id.seq > high) {
        return err_fail(info, ERR_CONFLICT, "change-set %s/%llu/%llu does not follow %llu, the last one here",
                        c->id.origin.s, (unsigned long long)c->id.epoch, (unsigned long long)c->id.seq,
                        (unsigned long long)high);
    }
    e = env_get(w, PLAN_LOG, log_key(&c->id, key), &content);
    if (e != ERR_OK && e != ERR_NOTFOUND) return e;
    if (e == ERR_OK && !slice_eq(content, c->packed)) tally->rewritten++;
    return ERR_EXISTS;
}

static enum err log_write(struct env_write *w, struct totals *t, const struct changeset *c)
{
    char key[LOG_KEY_MAX];
    char history[8 + LOG_KEY_MAX];
    char high[8];
    enum err e = env_put_one(w, PLAN_LOG, log_key(&c->id, key), c->packed);
    if (e != ERR_OK) return e;
    struct slice id = log_key(&c->id, history + 8);
    put_be(history, c->time.v, 8);
    e = env_put_one(w, PLAN_HISTORY, (struct slice){history, 8 + id.n}, SLICE_NONE);
    if (e != ERR_OK) return e;
    put_be(high, c->id.seq, sizeof high);
    if (c->time.v > t->time.v) t->time = c->time;
    return env_put_one(w, PLAN_VECTOR, vector_key(&c->id.origin, c->id.epoch, key), (struct slice){high, sizeof high});
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
    e = log_place(w, &c, tally, info);
    if (e == ERR_EXISTS) {
        tally->duplicates++;
        e = ERR_OK;
        goto out;
    }
    if (e == ERR_CONFLICT) {
        tally->gaps++;
        *refused = true;
        goto out;
    }
    if (e == ERR_OK) {
        e = validate_ops(&c, info);
        *refused = is_refusal(e);
    }
    if (e == ERR_OK) e = plan_apply(w, t, &c, tally);
    if (e == ERR_OK) e = log_write(w, t, &c);
    if (e == ERR_OK) tally->applied++;
out:
    if (*refused && e != ERR_CONFLICT) tally->refused++;
    arena_fini(&arena);
    return e;
}
