/* state_receive: others' state records: what is newer than known is stored, and the vector is raised where the push
 * says that nothing is missing in between. As with change-sets, one batch is on its way to disk at a time, and a failed
 * one takes with it what was built on it.
 *
 * A newer epoch of an owner replaces its older one. What lies beyond a gap is not taken but asked for: a record above
 * our vector could be one that its owner has lost, with an old disk, and would then never be corrected. So a replica
 * never holds a record that its vector does not cover. */
#include "node/repl/rooms.h"

/* How far one owner's epoch is planned: 0 also when another epoch is known; older is set when that one is newer. */
static uint64_t known_of(const struct repl *r, const struct node_name *owner, uint64_t epoch, bool *older)
{
    const struct vector_entry *e = repl_vector_newest(&r->states.planned, owner);
    *older = e != NULL && epoch < e->epoch;
    return e != NULL && epoch == e->epoch ? e->high : 0;
}

/* The batch is told to raise owner's entry, and it counts as planned. */
static enum err plan_upto(struct repl *r, const struct node_name *owner, uint64_t epoch, uint64_t high)
{
    struct states *s = &r->states;
    bool known = repl_vector_newest(&s->planned, owner) != NULL;
    enum err e = known ? ERR_OK : repl_vector_reserve_both(&s->planned, &s->have, 1);
    if (e == ERR_OK) e = repl_batch_add_upto(s->next, &(struct vector_entry){*owner, epoch, high});
    if (e != ERR_OK) return e;
    repl_vector_renew(&s->planned, owner, epoch, high);
    return ERR_OK;
}

static size_t push_bytes(const struct repl_push *p)
{
    size_t bytes = 0;
    for (size_t i = 0; i < p->record_count; i++)
        bytes += p->records[i].key.n + p->records[i].value.n;
    return bytes;
}

static const struct vector_entry *upto_of(const struct repl_push *p, const struct state_record *record)
{
    for (size_t i = 0; i < p->state_upto_count; i++) {
        const struct vector_entry *u = &p->state_upto[i];
        if (u->epoch == record->epoch && node_name_eq(&u->origin, &record->owner)) return u;
    }
    return NULL;
}

static bool same_run(const struct state_record *a, const struct state_record *b)
{
    return a->epoch == b->epoch && node_name_eq(&a->owner, &b->owner);
}

/* The records that are new, and that the push's own vector covers. */
static enum err take_records(struct repl *r, const struct repl_push *p)
{
    const struct vector_entry *upto = NULL;
    for (size_t i = 0; i < p->record_count; i++) {
        const struct state_record *record = &p->records[i];
        if (i == 0 || !same_run(record, &p->records[i - 1])) upto = upto_of(p, record);
        /* What is said to be our own only shows what others know of us. */
        if (upto == NULL || record->version > upto->high || node_name_eq(&record->owner, &r->self)) continue;
        bool older;
        uint64_t known = known_of(r, &record->owner, record->epoch, &older);
        if (older || record->version <= known) {
            repl_count(r, REPL_COUNT_state_stale, 1);
            continue;
        }
        enum err e = repl_batch_add_record(r->states.next, record);
        if (e != ERR_OK) return e;
    }
    return ERR_OK;
}

static enum err raise_to(struct repl *r, const struct vector_entry *upto, uint64_t high)
{
    bool older;
    if (node_name_eq(&upto->origin, &r->self)) {
        repl_sync_own_state(r, upto->epoch, upto->high);
        return ERR_OK;
    }
    uint64_t known = known_of(r, &upto->origin, upto->epoch, &older);
    const struct vector_entry *e = repl_vector_newest(&r->states.planned, &upto->origin);
    bool new_epoch = e == NULL || upto->epoch > e->epoch;
    if (older || (high <= known && !new_epoch)) return ERR_OK;
    return plan_upto(r, &upto->origin, upto->epoch, high);
}

/* The push of an owner itself is complete in (state_after, upto]. Whether something before it is missing. */
static bool is_gap(const struct repl *r, const struct repl_push *p)
{
    bool older;
    const struct vector_entry *upto = &p->state_upto[0];
    return p->state_after > known_of(r, &upto->origin, upto->epoch, &older) && !older;
}

/* An answer is complete from our own vector on, in version order: up to the sender's vector, or, when more follows, up
 * to what is in it. */
static enum err raise_answer(struct repl *r, const struct repl_push *p)
{
    if (!p->more) {
        for (size_t i = 0; i < p->state_upto_count; i++) {
            enum err e = raise_to(r, &p->state_upto[i], p->state_upto[i].high);
            if (e != ERR_OK) return e;
        }
        return ERR_OK;
    }
    for (size_t i = 0; i < p->record_count; i++) {
        bool ends = i + 1 == p->record_count || !same_run(&p->records[i], &p->records[i + 1]);
        const struct vector_entry *upto = ends ? upto_of(p, &p->records[i]) : NULL;
        if (upto == NULL) continue;
        uint64_t version = p->records[i].version;
        enum err e = raise_to(r, upto, version < upto->high ? version : upto->high);
        if (e != ERR_OK) return e;
    }
    return ERR_OK;
}

/* Takes out of the next batch what this push has put into it. One that is empty then would never be stored, and so
 * never let go of its bytes. */
static void take_back(struct repl *r, size_t records, size_t upto)
{
    struct states *s = &r->states;
    s->next->record_count = records;
    s->next->upto_count = upto;
    if (records == 0 && upto == 0) {
        repl_batch_drop(s->next);
        s->next = NULL;
    }
    repl_vector_assign(&s->planned, &s->have);
    const struct repl_batch *batches[] = {s->storing, s->next};
    for (size_t i = 0; i < 2; i++) {
        for (size_t k = 0; batches[i] != NULL && k < batches[i]->upto_count; k++) {
            const struct vector_entry *e = &batches[i]->upto[k];
            repl_vector_renew(&s->planned, &e->origin, e->epoch, e->high);
        }
    }
}

enum err repl_state_take(struct repl *r, const struct repl_push *p, struct repl_taken *t)
{
    struct states *s = &r->states;
    if (p->record_count == 0 && !p->answer) return ERR_OK;
    if (!p->answer && is_gap(r, p)) {
        t->gap = true;
        repl_count(r, REPL_COUNT_state_gaps, 1);
        return ERR_OK;
    }
    if (s->next != NULL && s->next->bytes + push_bytes(p) > REPL_NEXT_BYTES) {
        repl_count(r, REPL_COUNT_state_dropped, p->record_count);
        return ERR_OK;
    }
    if (s->next == NULL && (s->next = repl_batch_new(++r->last_id)) == NULL) return ERR_NOMEM;
    size_t records = s->next->record_count;
    size_t upto = s->next->upto_count;
    enum err e = take_records(r, p);
    if (e == ERR_OK) e = p->answer ? raise_answer(r, p) : raise_to(r, &p->state_upto[0], p->state_upto[0].high);
    if (e != ERR_OK) {
        take_back(r, records, upto);
        if (e != ERR_LIMIT) return e;
        repl_count(r, REPL_COUNT_state_dropped, p->record_count); /* more owners than any honest cluster has */
        return ERR_OK;
    }
    if (s->next->upto_count > upto) t->state_batch = s->next->id;
    return ERR_OK;
}

static bool begun_before(const struct repl_batch *b, const struct member *m)
{
    for (size_t i = 0; b != NULL && b->id <= m->peer->leftover && i < b->upto_count; i++) {
        if (node_name_eq(&b->upto[i].origin, &m->name)) return true;
    }
    return false;
}

bool repl_state_unsettled(const struct repl *r, const struct member *m)
{
    return begun_before(r->states.storing, m) || begun_before(r->states.next, m);
}

enum err repl_state_stored(struct repl *r, const struct repl_event *ev)
{
    struct states *s = &r->states;
    struct repl_batch *b = s->storing;
    if (b == NULL || b->token != ev->token) return ERR_NOTFOUND;
    r->scan = true;
    s->storing = NULL;
    bool stored = ev->type == REPL_EV_STORED;
    repl_sync_batch_done(r, b->id, stored);
    if (stored) {
        repl_sync_disk_works(r);
        for (size_t i = 0; i < b->upto_count; i++) {
            repl_vector_renew(&s->have, &b->upto[i].origin, b->upto[i].epoch, b->upto[i].high);
            repl_heartbeat_pass_on(r, &b->upto[i].origin);
        }
    } else {
        repl_count(r, REPL_COUNT_store_failures, 1);
        repl_sync_disk_failed(r);
        if (s->next != NULL) repl_sync_batch_done(r, s->next->id, false);
        repl_batch_drop(s->next);
        s->next = NULL;
        repl_vector_assign(&s->planned, &s->have);
    }
    repl_batch_drop(b);
    return ERR_OK;
}
