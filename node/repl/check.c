/* check: what a message from a peer may contain at most. It runs over the whole message before anything of it is taken,
 * so that a bad message changes nothing. The codec has bounded frames and texts already; these are the rules that need
 * the core's knowledge, and a second line for the rest. A proved name is not a sane peer. */
#include "node/repl/rooms.h"

#define PUSH_ITEMS_MAX 200000
#define ACCUSATIONS_MAX (2 * REPL_NOTES_MAX)

static bool counted(uint64_t n)
{
    return n > 0 && n <= REPL_COUNT_MAX;
}

static enum err check_entries(const struct vector_entry *items, size_t count)
{
    if (count > REPL_VECTOR_MAX) return ERR_LIMIT;
    for (size_t i = 0; i < count; i++) {
        if (!node_name_valid(&items[i].origin) || !counted(items[i].epoch)) return ERR_SYNTAX;
        if (items[i].high > REPL_COUNT_MAX) return ERR_LIMIT;
    }
    return ERR_OK;
}

static bool printable(struct slice s)
{
    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] <= ' ' || s.p[i] > '~') return false;
    }
    return true;
}

static enum err check_note(const struct member_note *n)
{
    if (!node_name_valid(&n->name)) return ERR_SYNTAX;
    if (n->status < MEMBER_ALIVE || n->status > MEMBER_EVICTED) return ERR_SYNTAX;
    if (n->issued > REPL_COUNT_MAX || n->barred > REPL_COUNT_MAX) return ERR_LIMIT;
    if (n->incarnation > REPL_COUNT_MAX || n->mesh_address.n > REPL_ADDRESS_MAX || n->site.n > LIMIT_NAME) {
        return ERR_LIMIT;
    }
    return printable(n->mesh_address) && printable(n->site) ? ERR_OK : ERR_SYNTAX;
}

enum err repl_check_heartbeat(const struct node_name *from, const struct repl_message *msg)
{
    (void)from;
    const struct repl_heartbeat *h = &msg->heartbeat;
    if (h->note_count > LIMIT_MEMBERS || h->incarnation > REPL_COUNT_MAX) return ERR_LIMIT;
    if (h->totals.plan > REPL_COUNT_MAX) return ERR_LIMIT;
    if (h->floor.v > h->time.v) return ERR_SYNTAX; /* nobody's clock is behind its floor */
    if (h->your_plan.epoch > REPL_COUNT_MAX || h->your_plan.high > REPL_COUNT_MAX ||
        h->your_state.epoch > REPL_COUNT_MAX || h->your_state.high > REPL_COUNT_MAX) {
        return ERR_LIMIT;
    }
    for (size_t i = 0; i < h->note_count; i++) {
        enum err e = check_note(&h->notes[i]);
        if (e != ERR_OK) return e;
    }
    if (h->accusation_count > ACCUSATIONS_MAX || h->steps.n > LIMIT_MEMBERS / 8 + 1) return ERR_LIMIT;
    for (size_t i = 0; i < h->accusation_count; i++) {
        const struct repl_accusation *a = &h->accusations[i];
        if (!node_name_valid(&a->name) || !node_name_valid(&a->by) || node_name_eq(&a->name, &a->by)) return ERR_SYNTAX;
        if (a->incarnation > REPL_COUNT_MAX) return ERR_LIMIT;
    }
    return ERR_OK;
}

static enum err check_op(const struct change_op *op)
{
    if (op->kind != CHANGE_PUT && op->kind != CHANGE_DELETE && op->kind != CHANGE_ACCEPT) return ERR_SYNTAX;
    if (op->key.n == 0) return ERR_SYNTAX;
    if (op->key.n > REPL_CHANGE_KEY_MAX || op->value.n > LIMIT_OBJECT || op->before.n > LIMIT_OBJECT) return ERR_LIMIT;
    if (op->kind != CHANGE_PUT && op->value.n > 0) return ERR_SYNTAX;
    if (op->seen_count > CHANGE_SEEN_MAX) return ERR_LIMIT;
    return ERR_OK;
}

static enum err check_terms(const struct change_terms *t)
{
    if (t->confirm_by.ms < 0 || t->made.ms < 0) return ERR_SYNTAX;
    if (t->settles.seq == 0) return ERR_OK;
    if (!node_name_valid(&t->settles.origin) || !counted(t->settles.epoch) || !counted(t->settles.seq))
        return ERR_SYNTAX;
    return t->verdict == CHANGE_CONFIRMS || t->verdict == CHANGE_UNDOES ? ERR_OK : ERR_SYNTAX;
}

enum err repl_check_change(const struct changeset *c)
{
    if (c->author.n > LIMIT_TEXT || c->message.n > LIMIT_TEXT || c->op_count > LIMIT_CHANGE_OPS) return ERR_LIMIT;
    for (size_t i = 0; i < c->op_count; i++) {
        enum err e = check_op(&c->ops[i]);
        if (e != ERR_OK) return e;
    }
    return check_terms(&c->terms);
}

static enum err check_received_change(const struct changeset *c)
{
    if (!node_name_valid(&c->id.origin) || !counted(c->id.epoch) || !counted(c->id.seq)) return ERR_SYNTAX;
    return repl_check_change(c);
}

enum err repl_check_record(enum state_kind kind, struct slice key, struct slice value)
{
    if (kind < STATE_BINDING || kind > STATE_KIND_MAX || key.n == 0) return ERR_SYNTAX;
    return key.n > REPL_KEY_MAX || value.n > LIMIT_OBJECT ? ERR_LIMIT : ERR_OK;
}

static enum err check_received_record(const struct state_record *s)
{
    if (!node_name_valid(&s->owner) || !counted(s->epoch) || !counted(s->version)) return ERR_SYNTAX;
    return repl_check_record(s->kind, s->key, s->value);
}

/* Unasked, a node speaks of its own state alone, in one epoch, and says up to where. */
static enum err check_unasked(const struct node_name *from, const struct repl_push *p)
{
    if (p->record_count == 0) return ERR_OK;
    if (p->state_upto_count != 1 || !node_name_eq(&p->state_upto[0].origin, from)) return ERR_SYNTAX;
    const struct vector_entry *upto = &p->state_upto[0];
    if (p->state_after > upto->high) return ERR_SYNTAX;
    for (size_t i = 0; i < p->record_count; i++) {
        const struct state_record *s = &p->records[i];
        if (!node_name_eq(&s->owner, from) || s->epoch != upto->epoch || s->version > upto->high) return ERR_SYNTAX;
    }
    return ERR_OK;
}

enum err repl_check_push(const struct node_name *from, const struct repl_message *msg)
{
    const struct repl_push *p = &msg->push;
    if (p->change_count > PUSH_ITEMS_MAX || p->record_count > PUSH_ITEMS_MAX) return ERR_LIMIT;
    enum err e = check_entries(p->state_upto, p->state_upto_count);
    if (e == ERR_OK) e = check_entries(p->cut, p->cut_count);
    for (size_t i = 0; e == ERR_OK && i < p->change_count; i++)
        e = check_received_change(&p->changes[i]);
    for (size_t i = 0; e == ERR_OK && i < p->record_count; i++)
        e = check_received_record(&p->records[i]);
    if (e == ERR_OK && !p->answer) e = check_unasked(from, p);
    return e;
}

enum err repl_check_want(const struct node_name *from, const struct repl_message *msg)
{
    (void)from;
    enum err e = check_entries(msg->want.plan, msg->want.plan_count);
    return e != ERR_OK ? e : check_entries(msg->want.state, msg->want.state_count);
}

static enum err check_key(struct slice key, bool empty_allowed)
{
    if (key.n == 0 && !empty_allowed) return ERR_SYNTAX;
    return key.n > REPL_CHANGE_KEY_MAX ? ERR_LIMIT : ERR_OK;
}

enum err repl_check_fetch(const struct node_name *from, const struct repl_message *msg)
{
    (void)from;
    enum err e = check_key(msg->fetch.after, true);
    return e != ERR_OK ? e : check_entries(msg->fetch.have, msg->fetch.have_count);
}

static enum err check_objects(const struct repl_snapshot *s)
{
    if (s->object_count > PUSH_ITEMS_MAX) return ERR_LIMIT;
    for (size_t i = 0; i < s->object_count; i++) {
        const struct snapshot_object *o = &s->objects[i];
        enum err e = check_key(o->key, false);
        if (e != ERR_OK) return e;
        if (!node_name_valid(&o->stamp.origin) || !counted(o->stamp.epoch)) return ERR_SYNTAX;
        if (o->value.n > LIMIT_OBJECT) return ERR_LIMIT;
        if (o->deleted != (o->value.n == 0)) return ERR_SYNTAX;
        if (i > 0 && slice_cmp(s->objects[i - 1].key, o->key) >= 0) return ERR_SYNTAX;
    }
    return ERR_OK;
}

enum err repl_check_snapshot(const struct node_name *from, const struct repl_message *msg)
{
    (void)from;
    const struct repl_snapshot *s = &msg->snapshot;
    if (s->change_count > PUSH_ITEMS_MAX) return ERR_LIMIT;
    if (s->tail ? s->object_count > 0 || s->vector_count > 0 : s->change_count > 0 || s->cut_count > 0) {
        return ERR_SYNTAX;
    }
    enum err e = check_entries(s->vector, s->vector_count);
    if (e == ERR_OK) e = check_entries(s->cut, s->cut_count);
    if (e == ERR_OK) e = check_objects(s);
    for (size_t i = 0; e == ERR_OK && i < s->change_count; i++)
        e = check_received_change(&s->changes[i]);
    return e;
}

enum err repl_check_receipt(const struct node_name *from, const struct repl_message *msg)
{
    (void)from;
    const struct repl_receipt *receipt = &msg->receipt;
    if (receipt->id_count > REPL_RECEIPT_IDS_MAX) return ERR_LIMIT;
    if (receipt->by.s[0] != '\0' && !node_name_valid(&receipt->by)) return ERR_SYNTAX;
    for (size_t i = 0; i < receipt->id_count; i++) {
        const struct log_id *id = &receipt->ids[i];
        if (!node_name_valid(&id->origin) || !counted(id->epoch) || !counted(id->seq)) return ERR_SYNTAX;
    }
    return ERR_OK;
}
