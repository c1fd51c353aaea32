/* recover: what the peers hold of our own earlier state, fetched by one whose state environment is lost.
 *
 * A new epoch replaces at everybody what the old one said, so before it begins the records are asked back: from one
 * donor at a time, the one that has most, in version order from where the last answer ended. They go to the driver
 * (REPL_DO_OWN_FOUND) and nowhere else: they are not stored as they are, since what is found of them to hold still is
 * reported in the new epoch like any other observation.
 *
 * It ends, and the new epoch begins, when all that any member was heard to have is here and every member has spoken or
 * had its time (REPL_HOLD_MS after the start), or when REPL_RECOVER_MS pass without anything coming. Until then our
 * records are stored and shown to nobody, as after every start. It is never entered twice in a run. */
#include "node/repl/rooms.h"

bool repl_recover_wants(const struct repl *r)
{
    return r->states.recover.empty && !r->states.numbers_ours;
}

void repl_recover_hear(struct repl *r, uint64_t epoch, uint64_t high)
{
    struct recovery *v = &r->states.recover;
    if (!v->active) {
        *v = (struct recovery){.empty = true, .active = true, .epoch = epoch, .high = high};
        v->until = mono_add_ms(r->now, REPL_RECOVER_MS);
    } else if (epoch > v->epoch) {
        v->epoch = epoch;
        v->high = high;
        v->cursor = 0;
    } else if (epoch == v->epoch && high > v->high) {
        v->high = high;
    } else {
        return;
    }
    r->scan = true;
}

static bool can_donate(const struct repl *r, const struct member *m)
{
    const struct recovery *v = &r->states.recover;
    return m->peer->linked && !repl_status_final(m->status) && m->peer->your_state.epoch == v->epoch &&
           m->peer->your_state.high > v->cursor;
}

/* The one that has most; NULL: nobody that is linked has more than is here. */
static struct member *choose_donor(struct repl *r)
{
    struct member *best = NULL;
    for (size_t i = 0; i < r->members.peers.count; i++) {
        struct member *m = r->members.peers.items[i];
        if (!can_donate(r, m)) continue;
        if (best == NULL || m->peer->your_state.high > best->peer->your_state.high) best = m;
    }
    return best;
}

static void finish(struct repl *r)
{
    struct recovery *v = &r->states.recover;
    uint64_t epoch = v->epoch;
    v->active = v->empty = false;
    repl_alarm(r, ALARM_OLD_STATE,
               "the state of this node was lost: the others knew it up to %llu, and gave back %llu records of it",
               (unsigned long long)v->high, (unsigned long long)v->found);
    repl_sync_new_state(r, epoch);
}

void repl_recover_flush(struct repl *r)
{
    struct recovery *v = &r->states.recover;
    if (!v->active) return;
    if (mono_reached(r->now, v->until)) {
        repl_count(r, REPL_COUNT_recover_timeouts, 1);
        finish(r);
        return;
    }
    repl_wake(r, v->until);
    if (v->cursor >= v->high) {
        if (repl_all_have_spoken(r) || mono_reached(r->now, r->hold_until)) {
            finish(r);
        } else {
            repl_wake(r, r->hold_until);
        }
        return;
    }
    struct member *donor = choose_donor(r);
    if (donor == NULL || donor->peer->want != WANT_NONE || donor->peer->want_due) return;
    if (!mono_reached(r->now, v->ask_at)) {
        repl_wake(r, v->ask_at);
        return;
    }
    v->ask_at = mono_add_ms(r->now, REPL_RECOVER_RETRY_MS);
    v->donor = donor->name;
    repl_sync_want(r, donor, false);
}

void repl_recover_ask(const struct repl *r, const struct member *m, struct vector_entry *own)
{
    const struct recovery *v = &r->states.recover;
    if (!v->active) return;
    own->epoch = v->epoch;
    own->high = node_name_eq(&v->donor, &m->name) ? v->cursor : v->high;
}

/* How far the answer says to be complete about us; 0: nothing of it is about us. */
static uint64_t complete_to(const struct repl *r, const struct repl_push *p)
{
    const struct recovery *v = &r->states.recover;
    uint64_t last = 0;
    for (size_t i = 0; i < p->record_count; i++) {
        const struct state_record *record = &p->records[i];
        if (record->epoch == v->epoch && node_name_eq(&record->owner, &r->self)) last = record->version;
    }
    for (size_t i = 0; !p->more && i < p->state_upto_count; i++) {
        const struct vector_entry *u = &p->state_upto[i];
        if (u->epoch == v->epoch && node_name_eq(&u->origin, &r->self) && u->high > last) last = u->high;
    }
    return last;
}

bool repl_recover_take(struct repl *r, const struct member *m, const struct repl_push *p, struct repl_actions *out)
{
    struct recovery *v = &r->states.recover;
    size_t count = 0;
    if (!v->active || !p->answer || !node_name_eq(&v->donor, &m->name)) return true;
    uint64_t last = complete_to(r, p);
    if (last <= v->cursor) return true;
    struct state_record *found = arena_alloc(&out->arena, (p->record_count + 1) * sizeof *found);
    struct repl_action *a = found != NULL ? repl_action_add(out, REPL_DO_OWN_FOUND) : NULL;
    if (a == NULL) return false;
    for (size_t i = 0; i < p->record_count; i++) {
        const struct state_record *record = &p->records[i];
        if (record->epoch != v->epoch || record->version <= v->cursor || !node_name_eq(&record->owner, &r->self))
            continue;
        found[count++] = *record;
    }
    a->records = found;
    a->record_count = count;
    v->found += count;
    v->cursor = last;
    v->until = mono_add_ms(r->now, REPL_RECOVER_MS);
    v->ask_at = r->now; /* more of it, if there is more, at once */
    repl_count(r, REPL_COUNT_own_records_found, count);
    r->scan = true;
    return true;
}
