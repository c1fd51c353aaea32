/* state: what this node observes itself: each record gets the next version of our epoch, goes to disk at once, and,
 * when it is durable, to the peers in batches of up to REPL_STATE_BATCH_MS. Work per record does not depend on the size
 * of anything.
 *
 * Versions grow and need not be contiguous. A push therefore says between which versions it is complete, and a receiver
 * that knows the lower one may raise its vector to the upper.
 *
 * After a start, nobody knows yet whether this disk is the latest: it may be a restored backup, and peers may have
 * records of ours that it lost. Until every member has said what it has, or REPL_HOLD_MS have passed, records are
 * stored, but our entry in the vector stays where it was, and nothing is shown to anybody. Then either nobody has more
 * than we, and they are shown, or a new epoch begins, which takes the place of everything before. Versions of a run
 * begin at its incarnation, and above every version on the disk, so that they never meet those of an earlier run that
 * were not shown.
 *
 * What is not here: others' records (state_receive.c). */
#include "node/repl/rooms.h"

#include <stdlib.h>

#define VERSION_BITS 16

/* The start's incarnation is higher than any before, in milliseconds, and no run makes 65,536 versions in one. */
static uint64_t version_base(const struct repl_config *config)
{
    uint64_t base = config->incarnation;
    return base < REPL_COUNT_MAX >> VERSION_BITS ? base << VERSION_BITS : base;
}

enum err repl_state_init(struct repl *r, const struct repl_config *config)
{
    struct states *s = &r->states;
    enum err e = repl_vector_reserve_both(&s->planned, &s->have, config->state_count + 1);
    if (e != ERR_OK) return e;
    for (size_t i = 0; i < config->state_count; i++) {
        const struct vector_entry *v = &config->state_vector[i];
        repl_vector_renew(&s->have, &v->origin, v->epoch, v->high);
    }
    /* A newer epoch of the database replaces nothing: it would take our records, which still hold, from everybody. */
    const struct vector_entry *own = repl_vector_newest(&s->have, &r->self);
    s->recover.empty = own == NULL && config->state_version == 0;
    if (own == NULL) repl_vector_renew(&s->have, &r->self, config->epoch, 0); /* the room for it is taken now */
    repl_vector_assign(&s->planned, &s->have);
    own = repl_vector_newest(&s->have, &r->self);
    s->epoch = own->epoch;
    s->start_high = own->high;
    /* Below the base are records of earlier runs that were perhaps not shown: who knows no more asks for them. */
    s->base = version_base(config);
    if (s->base < own->high) s->base = own->high;
    if (s->base < config->state_version) s->base = config->state_version;
    s->version = s->pushed = s->base;
    return ERR_OK;
}

void repl_state_fini(struct repl *r)
{
    struct states *s = &r->states;
    for (uint64_t n = s->own_head; n < s->own_tail; n++)
        free(s->own[n & (s->own_cap - 1)]);
    free(s->own);
    repl_batch_drop(s->storing);
    repl_batch_drop(s->next);
    repl_batch_drop(s->out);
    repl_vector_fini(&s->have);
    repl_vector_fini(&s->planned);
}

static struct own_record **own_at(struct states *s, uint64_t n)
{
    return &s->own[n & (s->own_cap - 1)];
}

static enum err own_room(struct states *s)
{
    uint64_t used = s->own_tail - s->own_head;
    if (used >= REPL_STATE_QUEUE) return ERR_FULL;
    if (used < s->own_cap) return ERR_OK;
    size_t cap = s->own_cap == 0 ? 16 : s->own_cap * 2;
    struct own_record **grown = calloc(cap, sizeof(struct own_record *));
    if (grown == NULL) return ERR_NOMEM;
    for (uint64_t n = s->own_head; n < s->own_tail; n++)
        grown[n & (cap - 1)] = *own_at(s, n);
    free(s->own);
    s->own = grown;
    s->own_cap = cap;
    return ERR_OK;
}

enum err repl_state_local(struct repl *r, const struct repl_event *ev)
{
    struct states *s = &r->states;
    struct slice value = ev->removed ? SLICE_NONE : ev->value;
    enum err e = repl_check_record(ev->kind, ev->key, value);
    if (e == ERR_OK) e = own_room(s);
    if (e != ERR_OK) return e;
    struct own_record *o = calloc(1, sizeof *o + ev->key.n + value.n);
    if (o == NULL) return ERR_NOMEM;
    memcpy(o->text, ev->key.p, ev->key.n);
    if (value.n > 0) memcpy(o->text + ev->key.n, value.p, value.n);
    o->driver_token = ev->token;
    o->record = (struct state_record){.owner = r->self,
                                      .epoch = s->epoch,
                                      .version = ++s->version,
                                      .kind = ev->kind,
                                      .key = {o->text, ev->key.n},
                                      .value = {o->text + ev->key.n, value.n},
                                      .removed = ev->removed};
    *own_at(s, s->own_tail++) = o;
    return ERR_OK;
}

enum err repl_state_own_stored(struct repl *r, const struct repl_event *ev)
{
    struct states *s = &r->states;
    uint64_t n = repl_token_number(ev->token);
    if (n < s->own_head || n >= s->own_asked || (*own_at(s, n))->done) return ERR_NOTFOUND;
    struct own_record *o = *own_at(s, n);
    o->done = true;
    if (ev->type == REPL_EV_STORE_FAILED) {
        o->err = ev->err != ERR_OK ? ev->err : ERR_IO;
        repl_count(r, REPL_COUNT_store_failures, 1);
    } else {
        repl_sync_disk_works(r);
    }
    return ERR_OK;
}

static bool ask(struct states *s, struct repl_actions *out)
{
    struct own_record *own = *own_at(s, s->own_asked);
    const struct state_record *from = &own->record;
    struct state_record *record = arena_alloc(&out->arena, sizeof *record);
    struct vector_entry *upto = arena_alloc(&out->arena, sizeof *upto);
    if (record == NULL || upto == NULL) return false;
    *record = *from;
    record->key = arena_copy(&out->arena, from->key);
    record->value = arena_copy(&out->arena, from->value);
    if (record->key.p == NULL || record->value.p == NULL) return false;
    struct repl_action *a = repl_action_add(out, REPL_DO_PERSIST_STATE);
    if (a == NULL) return false;
    *upto = (struct vector_entry){from->owner, from->epoch, from->version};
    a->token = repl_token(TOKEN_OWN, s->own_asked++);
    a->records = record;
    a->record_count = own->mark ? 0 : 1;
    a->upto = upto;
    own->raises = s->numbers_ours;
    a->upto_count = own->raises ? 1 : 0;
    return true;
}

/* A record of ours is durable: it joins what is pushed next. */
static void push_later(struct repl *r, const struct own_record *o)
{
    struct states *s = &r->states;
    const struct state_record *record = &o->record;
    if (!o->raises || (s->out == NULL && r->linked_count == 0)) {
        s->pushed = record->version;
        return;
    }
    if (s->out == NULL) {
        s->out = repl_batch_new(++r->last_id);
        s->out_at = mono_add_ms(r->now, REPL_STATE_BATCH_MS);
    }
    if (s->out == NULL || repl_batch_add_record(s->out, record) != ERR_OK) {
        /* The peers miss it, see by the next push that they do, and ask. */
        repl_batch_drop(s->out);
        s->out = NULL;
        s->pushed = record->version;
        return;
    }
    if (s->out->bytes >= LIMIT_MESH_CHUNK / 2) s->out_at = r->now;
}

static void mark_again(struct repl *r)
{
    r->states.mark_due = true;
    r->states.mark_at = mono_add_ms(r->now, REPL_STORE_RETRY_MIN_MS);
    repl_wake(r, r->states.mark_at);
}

static bool report(struct repl *r, struct own_record *o, struct repl_actions *out)
{
    struct states *s = &r->states;
    if (o->mark) {
        if (o->err != ERR_OK) mark_again(r);
    } else {
        struct repl_action *a = repl_action_add(out, REPL_DO_STATE_STORED);
        if (a == NULL) return false;
        a->token = o->driver_token;
        a->err = o->err;
    }
    if (o->err == ERR_OK && o->record.epoch == s->epoch) {
        if (o->raises) repl_vector_renew(&s->have, &r->self, s->epoch, o->record.version);
        if (o->raises) repl_vector_renew(&s->planned, &r->self, s->epoch, o->record.version);
        if (!o->mark) push_later(r, o);
        s->covered = s->covered || o->mark;
        if (o->mark) repl_heartbeat_all_now(r); /* the roots show that there is something to fetch */
    }
    *own_at(s, s->own_head++) = NULL;
    free(o);
    return true;
}

static bool ask_received(struct repl *r, struct repl_actions *out)
{
    struct states *s = &r->states;
    if (s->storing != NULL || s->next == NULL) return true;
    if (s->next->record_count == 0 && s->next->upto_count == 0) return true;
    struct repl_action *a = repl_action_add_held(out, REPL_DO_PERSIST_STATE, s->next);
    if (a == NULL) return false;
    s->storing = s->next;
    s->next = NULL;
    s->storing->token = repl_token(TOKEN_STATE, ++r->last_id);
    a->token = s->storing->token;
    a->records = s->storing->records;
    a->record_count = s->storing->record_count;
    a->upto = s->storing->upto;
    a->upto_count = s->storing->upto_count;
    return true;
}

/* A version without a record: our entry rises over what was stored before it was ours, and the peers let go of an old
 * epoch even when nothing is left to report in the new one. */
static bool mark(struct repl *r)
{
    struct states *s = &r->states;
    if (!s->mark_due) return true;
    if (!mono_reached(r->now, s->mark_at)) {
        repl_wake(r, s->mark_at);
        return true;
    }
    struct own_record *o = own_room(s) == ERR_OK ? calloc(1, sizeof *o) : NULL;
    if (o == NULL) return false;
    o->mark = true;
    o->record = (struct state_record){.owner = r->self, .epoch = s->epoch, .version = ++s->version};
    *own_at(s, s->own_tail++) = o;
    s->mark_due = false;
    return true;
}

/* Just after a start: are the versions that follow ours still free? Once every member has spoken they are. When one
 * stays silent nobody can know, and what we observe begins a new epoch. Until then it is stored, and shown to nobody.
 */
bool repl_state_settle(struct repl *r)
{
    struct states *s = &r->states;
    repl_recover_flush(r);
    if (s->numbers_ours || s->recover.active) return mark(r);
    if (repl_all_have_spoken(r)) {
        s->numbers_ours = true;
        s->mark_due = true; /* records may be stored that our entry does not cover */
    } else if (mono_reached(r->now, r->hold_until)) {
        repl_sync_new_state(r, s->epoch);
    } else {
        repl_wake(r, r->hold_until);
    }
    return mark(r);
}

bool repl_state_flush(struct repl *r, struct repl_actions *out)
{
    struct states *s = &r->states;
    while (s->own_head < s->own_asked && (*own_at(s, s->own_head))->done) {
        if (!report(r, *own_at(s, s->own_head), out)) return false;
    }
    while (s->own_asked < s->own_tail) {
        if (!ask(s, out)) return false;
    }
    return ask_received(r, out);
}

bool repl_state_push_flush(struct repl *r, struct repl_actions *out)
{
    struct states *s = &r->states;
    if (s->out == NULL) return true;
    if (!mono_reached(r->now, s->out_at)) {
        repl_wake(r, s->out_at);
        return true;
    }
    struct repl_batch *b = s->out;
    uint64_t high = b->records[b->record_count - 1].version;
    struct vector_entry *upto = arena_alloc(&out->arena, sizeof *upto);
    if (upto == NULL) return false;
    *upto = (struct vector_entry){r->self, s->epoch, high};
    bool said = true;
    for (size_t i = 0; said && i < r->members.peers.count; i++) {
        const struct member *m = r->members.peers.items[i];
        if (!m->peer->linked || repl_status_final(m->status)) continue;
        struct repl_action *a = repl_send_add(r, out, m, REPL_PUSH, TOKEN_OTHER, b);
        said = a != NULL;
        if (!said) break;
        a->message.push = (struct repl_push){.records = b->records,
                                             .record_count = b->record_count,
                                             .state_upto = upto,
                                             .state_upto_count = 1,
                                             .state_after = s->pushed};
    }
    /* Whom it did not reach for want of memory sees the gap in the next one, or in the roots. */
    s->pushed = high;
    s->out = NULL;
    repl_batch_drop(b);
    return said;
}

void repl_state_new_epoch(struct repl *r, uint64_t epoch)
{
    struct states *s = &r->states;
    s->epoch = epoch;
    s->version = s->pushed = s->start_high = s->base = 0;
    s->numbers_ours = true;
    s->covered = false;
    s->mark_due = true;
    s->mark_at = r->now;
    repl_batch_drop(s->out);
    s->out = NULL;
    repl_vector_renew(&s->have, &r->self, epoch, 0);
    repl_vector_renew(&s->planned, &r->self, epoch, 0);
}
