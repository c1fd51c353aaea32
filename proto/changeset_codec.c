/* changeset_codec: change-sets as protobuf bytes.
 *
 * What is checked here is the envelope: who, when, how many operations, and that each has a usable key and a value of
 * bounded size. The values stay opaque: whoever applies them unpacks each with plan_object_unpack. Schema:
 * proto/plan.proto. */
#include "proto/plan_codec.h"

#include "plan.pb-c.h"
#include "proto/arena_alloc.h"

/* False: no memory. */
static bool seen_out(struct arena *scratch, const struct change_op *op, Tandem__Plan__Op *m)
{
    Tandem__Plan__Stamp *stamps = arena_array(scratch, op->seen_count, sizeof *stamps);
    m->seen = arena_array(scratch, op->seen_count, sizeof *m->seen);
    if (stamps == NULL || m->seen == NULL) return false;
    for (size_t i = 0; i < op->seen_count; i++) {
        tandem__plan__stamp__init(&stamps[i]);
        stamps[i].time = op->seen[i].time.v;
        stamps[i].epoch = op->seen[i].epoch;
        stamps[i].origin = bytes_out(node_name_slice(&op->seen[i].origin));
        m->seen[i] = &stamps[i];
    }
    m->n_seen = op->seen_count;
    return true;
}

enum err changeset_pack(const struct changeset *c, struct buf *out)
{
    Tandem__Plan__ChangeSet m = TANDEM__PLAN__CHANGE_SET__INIT;
    struct arena scratch = {0};
    Tandem__Plan__Op *ops = arena_array(&scratch, c->op_count, sizeof *ops);
    Tandem__Plan__Op **list = arena_array(&scratch, c->op_count, sizeof *list);
    Tandem__Plan__ChangeId settles = TANDEM__PLAN__CHANGE_ID__INIT;
    enum err e = ERR_NOMEM;
    if (ops == NULL || list == NULL) goto out;
    m.origin = bytes_out(node_name_slice(&c->id.origin));
    m.epoch = c->id.epoch;
    m.seq = c->id.seq;
    m.time = c->time.v;
    m.author = bytes_out(c->author);
    m.message = bytes_out(c->message);
    for (size_t i = 0; i < c->op_count; i++) {
        tandem__plan__op__init(&ops[i]);
        ops[i].kind = (uint32_t)c->ops[i].kind;
        ops[i].key = bytes_out(c->ops[i].key);
        ops[i].value = bytes_out(c->ops[i].value);
        ops[i].before = bytes_out(c->ops[i].before);
        if (c->ops[i].seen_count > 0 && !seen_out(&scratch, &c->ops[i], &ops[i])) goto out;
        list[i] = &ops[i];
    }
    m.n_ops = c->op_count;
    m.ops = list;
    m.confirm_by = (uint64_t)c->terms.confirm_by.ms;
    m.confirm_within_ms = c->terms.confirm_within_ms;
    m.made = (uint64_t)c->terms.made.ms;
    m.says_seen = c->terms.says_seen;
    if (c->terms.settles.seq > 0) {
        settles.origin = bytes_out(node_name_slice(&c->terms.settles.origin));
        settles.epoch = c->terms.settles.epoch;
        settles.seq = c->terms.settles.seq;
        m.settles = &settles;
        m.verdict = (uint32_t)c->terms.verdict;
    }
    e = proto_pack(&m.base, out);
out:
    arena_fini(&scratch);
    return e;
}

/* Keys are printable ASCII without spaces: names, matches and separators have nothing else. */
static bool key_valid(struct slice key)
{
    if (key.n == 0 || key.n > PLAN_KEY_MAX) return false;
    for (size_t i = 0; i < key.n; i++) {
        if (key.p[i] <= ' ' || key.p[i] > '~') return false;
    }
    return true;
}

static enum err seen_in(struct arena *arena, const Tandem__Plan__Op *m, struct change_op *op, struct err_info *info)
{
    if (m->n_seen == 0) return ERR_OK;
    if (m->n_seen > CHANGE_SEEN_MAX) {
        return err_fail(info, ERR_LIMIT, "%.*s: an operation saw %zu versions; %d are allowed", SLICE_ARG(op->key),
                        m->n_seen, CHANGE_SEEN_MAX);
    }
    struct stamp *seen = arena_array(arena, m->n_seen, sizeof *seen);
    if (seen == NULL) return ERR_NOMEM;
    for (size_t i = 0; i < m->n_seen; i++) {
        seen[i].time.v = m->seen[i]->time;
        seen[i].epoch = m->seen[i]->epoch;
        if (node_name_set(&seen[i].origin, bytes_in(m->seen[i]->origin)) != ERR_OK) {
            return err_fail(info, ERR_SYNTAX, "%.*s: an operation saw a version of nobody", SLICE_ARG(op->key));
        }
    }
    op->seen = seen;
    op->seen_count = m->n_seen;
    return ERR_OK;
}

static enum err op_in(struct arena *arena, const Tandem__Plan__Op *m, struct change_op *op, struct err_info *info)
{
    op->key = bytes_in(m->key);
    op->value = bytes_in(m->value);
    op->before = bytes_in(m->before);
    if (!key_valid(op->key)) return err_fail(info, ERR_SYNTAX, "an operation's key is empty, too long or not text");
    size_t largest = op->value.n > op->before.n ? op->value.n : op->before.n;
    if (largest > LIMIT_OBJECT) {
        return err_fail(info, ERR_LIMIT, "%.*s has %zu bytes; %d are allowed", SLICE_ARG(op->key), largest,
                        LIMIT_OBJECT);
    }
    if (m->kind < CHANGE_PUT || m->kind > CHANGE_ACCEPT) {
        return err_fail(info, ERR_SYNTAX, "%.*s: operation %u is unknown to this version", SLICE_ARG(op->key),
                        (unsigned)m->kind);
    }
    op->kind = (enum change_op_kind)m->kind;
    if ((op->kind == CHANGE_PUT) != (op->value.n > 0)) {
        return err_fail(info, ERR_SYNTAX, "%.*s: a put needs a value, and nothing else has one", SLICE_ARG(op->key));
    }
    return seen_in(arena, m, op, info);
}

static enum err envelope_in(const Tandem__Plan__ChangeSet *m, struct changeset *c, struct err_info *info)
{
    enum err e = node_name_set(&c->id.origin, bytes_in(m->origin));
    if (e != ERR_OK) return err_fail(info, ERR_SYNTAX, "a change-set's origin is not a node name");
    if (m->epoch == 0 || m->seq == 0) return err_fail(info, ERR_SYNTAX, "a change-set without epoch or number");
    if (m->author.len > LIMIT_TEXT || m->message.len > LIMIT_TEXT) {
        return err_fail(info, ERR_LIMIT, "author or message of a change-set is over %d bytes", LIMIT_TEXT);
    }
    if (m->n_ops > LIMIT_CHANGE_OPS) {
        return err_fail(info, ERR_LIMIT, "%zu operations in one change-set; %d are allowed", m->n_ops,
                        LIMIT_CHANGE_OPS);
    }
    c->id.epoch = m->epoch;
    c->id.seq = m->seq;
    c->time.v = m->time;
    c->author = bytes_in(m->author);
    c->message = bytes_in(m->message);
    return ERR_OK;
}

static enum err terms_in(const Tandem__Plan__ChangeSet *m, struct change_terms *t, struct err_info *info)
{
    if (m->confirm_by > INT64_MAX || m->made > INT64_MAX) {
        return err_fail(info, ERR_SYNTAX, "a change-set was made, or is to be confirmed, at no date");
    }
    t->made.ms = (int64_t)m->made;
    t->says_seen = m->says_seen;
    t->confirm_by.ms = (int64_t)m->confirm_by;
    t->confirm_within_ms = m->confirm_within_ms;
    if (m->settles == NULL) return ERR_OK;
    if (node_name_set(&t->settles.origin, bytes_in(m->settles->origin)) != ERR_OK || m->settles->epoch == 0 ||
        m->settles->seq == 0) {
        return err_fail(info, ERR_SYNTAX, "a change-set settles another one that it does not name");
    }
    if (m->verdict != CHANGE_CONFIRMS && m->verdict != CHANGE_UNDOES) {
        return err_fail(info, ERR_SYNTAX, "verdict %u over a change-set is unknown to this version",
                        (unsigned)m->verdict);
    }
    t->settles.epoch = m->settles->epoch;
    t->settles.seq = m->settles->seq;
    t->verdict = (enum change_verdict)m->verdict;
    return ERR_OK;
}

enum err changeset_unpack(struct arena *arena, struct slice packed, struct changeset *c, struct err_info *info)
{
    struct changeset made = {.packed = packed};
    void *raw = NULL;
    enum err e = proto_unpack(arena, &tandem__plan__change_set__descriptor, packed, &raw);
    if (e == ERR_SYNTAX) return err_fail(info, e, "the bytes are not a change-set");
    if (e != ERR_OK) return e;
    const Tandem__Plan__ChangeSet *m = raw;
    e = envelope_in(m, &made, info);
    if (e == ERR_OK) e = terms_in(m, &made.terms, info);
    if (e != ERR_OK) return e;
    struct change_op *ops = arena_array(arena, m->n_ops, sizeof *ops);
    if (ops == NULL) return ERR_NOMEM;
    for (size_t i = 0; i < m->n_ops; i++) {
        e = op_in(arena, m->ops[i], &ops[i], info);
        if (e != ERR_OK) return e;
    }
    made.ops = ops;
    made.op_count = m->n_ops;
    *c = made;
    return ERR_OK;
}
