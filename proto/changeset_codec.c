/* changeset_codec: change-sets as protobuf bytes.
 *
 * What is checked here is the envelope: who, when, how many operations, and that each has a usable key and a value of
 * bounded size. The values stay opaque: whoever applies them unpacks each with plan_object_unpack. Schema:
 * proto/plan.proto. */
#include "proto/plan_codec.h"

#include "plan.pb-c.h"
#include "proto/arena_alloc.h"
#include "proto/wire.h"

#define FIELD_OPS 7

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

static struct slice put_text(char **room, ProtobufCBinaryData in)
{
    struct slice text = {*room, in.len};
    if (in.len == 0) return SLICE_NONE;
    memcpy(*room, in.data, in.len);
    *room += in.len;
    return text;
}

/* The texts of an operation in one piece: there may be a million. False: no memory. */
static bool texts_in(struct arena *arena, const Tandem__Plan__Op *m, struct change_op *op)
{
    char *room = arena_alloc(arena, m->key.len + m->value.len + m->before.len);
    if (room == NULL) return false;
    op->key = put_text(&room, m->key);
    op->value = put_text(&room, m->value);
    op->before = put_text(&room, m->before);
    return true;
}

static enum err op_in(struct arena *arena, const Tandem__Plan__Op *m, struct change_op *op, struct err_info *info)
{
    if (!texts_in(arena, m, op)) return ERR_NOMEM;
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

static bool is_op(const struct wire_field *f)
{
    return f->number == FIELD_OPS && f->wire == WIRE_BYTES;
}

/* Everything but the operations, which are counted. What is broken in it protobuf-c tells. */
static enum err split(struct slice packed, struct buf *envelope, size_t *op_count)
{
    enum err e = ERR_OK;
    while (e == ERR_OK && packed.n > 0) {
        const char *at = packed.p;
        struct wire_field f;
        e = wire_take_field(&packed, &f);
        if (e == ERR_OK && is_op(&f))
            ++*op_count;
        else if (e == ERR_OK)
            buf_add(envelope, at, (size_t)(packed.p - at));
    }
    return e == ERR_OK && envelope->failed ? ERR_NOMEM : e;
}

/* One by one: as protobuf-c's structs they take three times as much as what they become. */
static enum err ops_in(struct arena *arena, struct slice packed, struct change_op *ops, struct err_info *info)
{
    struct arena scratch = {0};
    enum err e = ERR_OK;
    for (size_t i = 0; e == ERR_OK && packed.n > 0;) {
        struct wire_field f;
        void *raw = NULL;
        e = wire_take_field(&packed, &f);
        if (e != ERR_OK || !is_op(&f)) continue;
        arena_reset(&scratch);
        e = proto_unpack(&scratch, &tandem__plan__op__descriptor, f.bytes, &raw);
        if (e == ERR_SYNTAX) (void)err_fail(info, e, "the bytes are not a change-set");
        if (e == ERR_OK) e = op_in(arena, raw, &ops[i++], info);
    }
    arena_fini(&scratch);
    return e;
}

static enum err envelope_unpack(struct arena *arena, struct slice packed, struct changeset *c, size_t *op_count,
                                struct err_info *info)
{
    struct buf envelope = {0};
    void *raw = NULL;
    enum err e = split(packed, &envelope, op_count);
    if (e == ERR_OK) e = proto_unpack(arena, &tandem__plan__change_set__descriptor, buf_view(&envelope), &raw);
    buf_fini(&envelope);
    if (e == ERR_SYNTAX) return err_fail(info, e, "the bytes are not a change-set");
    if (e != ERR_OK) return e;
    e = envelope_in(raw, c, info);
    return e == ERR_OK ? terms_in(raw, &c->terms, info) : e;
}

enum err changeset_unpack(struct arena *arena, struct slice packed, struct changeset *c, struct err_info *info)
{
    struct changeset made = {.packed = packed};
    enum err e = envelope_unpack(arena, packed, &made, &made.op_count, info);
    if (e != ERR_OK) return e;
    if (made.op_count > LIMIT_CHANGE_OPS) {
        return err_fail(info, ERR_LIMIT, "%zu operations in one change-set; %d are allowed", made.op_count,
                        LIMIT_CHANGE_OPS);
    }
    struct change_op *ops = arena_array(arena, made.op_count, sizeof *ops);
    if (ops == NULL) return ERR_NOMEM;
    e = ops_in(arena, packed, ops, info);
    if (e != ERR_OK) return e;
    made.ops = ops;
    *c = made;
    return ERR_OK;
}
