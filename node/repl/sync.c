/* sync: anti-entropy. A heartbeat's roots show that a peer holds something else than we do; then it is asked with our
 * vectors, and answers from its store what we miss, in bounded batches. Each batch is durable before the next is asked
 * for, so a long repair goes on where it stopped, and the donor keeps no session. Both sides ask; the one that is ahead
 * gets an empty answer.
 *
 * A peer is asked once at a time, and REPL_WANT_MAX peers at most, since they would all send the same. An answer that
 * is lost is asked for again after REPL_WANT_TIMEOUT_MS and the next heartbeat; after a failed disk everybody is left
 * alone for a growing while.
 *
 * It also sees when others know more of our own log or state than we do: then this disk is older than it was (a
 * restored backup), and going on would use numbers twice. A new epoch begins; the old log comes back from the peers as
 * any other. Local changes wait for this knowledge before they use a first number (changes.c), and our state before it
 * is shown to anybody (state.c). */
#include "node/repl/rooms.h"

#define EPOCH_CHANCE (UINT64_C(1) << 24)

static bool roots_equal(const struct repl_vector *v, const unsigned char root[REPL_ROOT_LEN])
{
    unsigned char ours[REPL_ROOT_LEN];
    repl_vector_root(v, ours);
    return memcmp(ours, root, sizeof ours) == 0;
}

bool repl_in_step(const struct repl *r, const struct member *m)
{
    return m->peer->roots_known && m->peer->floor.v <= r->floors.floor.v &&
           roots_equal(&r->changes.have, m->peer->plan_root) && roots_equal(&r->states.have, m->peer->state_root);
}

/* It has what we had at the last mark, as far as sums and our own part show: while changes never pause, the roots never
 * meet. */
static bool reached_mark(const struct repl *r, const struct peer *p)
{
    return p->totals.known && p->totals.plan >= p->mark.plan && p->has_seq >= p->mark_log &&
           p->your_state.epoch == r->states.epoch && p->your_state.high >= p->mark_state;
}

void repl_sync_totals(const struct repl *r, struct member *m, const struct repl_heartbeat *h)
{
    struct peer *p = m->peer;
    bool marked = p->mark_at.us != 0;
    p->totals = h->totals;
    p->totals_grown = false;
    p->your_state = h->your_state;
    bool same = repl_in_step(r, m);
    if (!same && marked && !reached_mark(r, p)) return;
    if (same || marked) p->current = same ? r->now : p->mark_at;
    p->mark = (struct repl_totals){true, r->changes.have.total};
    p->mark_log = repl_vector_get(&r->changes.have, &r->self, r->changes.epoch);
    p->mark_state = repl_vector_get(&r->states.have, &r->self, r->states.epoch);
    p->mark_at = r->now;
}

void repl_sync_want(struct repl *r, struct member *m, bool by_roots)
{
    m->peer->want_due = true;
    if (!by_roots) m->peer->want_anyway = true;
    r->scan = true;
}

void repl_sync_link_down(struct member *m)
{
    m->peer->want_due = m->peer->want_anyway = false;
    m->peer->want = WANT_NONE;
    m->peer->answer_changes = m->peer->answer_state = 0;
}

/* ---- asking ---- */

bool repl_copy_entries(struct repl_actions *out, const struct vector_entry *from, size_t count,
                       const struct vector_entry **items)
{
    struct vector_entry *copy = arena_alloc(&out->arena, count * sizeof *copy);
    if (copy == NULL) return false;
    if (count > 0) memcpy(copy, from, count * sizeof *copy);
    *items = copy;
    return true;
}

static bool copy_want(struct repl_actions *out, const struct repl_want *from, struct repl_want *to)
{
    *to = *from;
    return repl_copy_entries(out, from->plan, from->plan_count, &to->plan) &&
           repl_copy_entries(out, from->state, from->state_count, &to->state);
}

/* While our own lost state is asked back, the want says how much of that is here. False: no memory. */
static bool name_own_state(const struct repl *r, const struct member *m, struct repl_actions *out, struct repl_want *w)
{
    if (!r->states.recover.active) return true;
    struct vector_entry *entries = arena_alloc(&out->arena, w->state_count * sizeof *entries);
    if (entries == NULL) return false;
    memcpy(entries, w->state, w->state_count * sizeof *entries);
    for (size_t i = 0; i < w->state_count; i++) {
        if (node_name_eq(&entries[i].origin, &r->self)) repl_recover_ask(r, m, &entries[i]);
    }
    w->state = entries;
    return true;
}

static bool ask(struct repl *r, struct member *m, struct repl_actions *out)
{
    const struct repl_vector *plan = &r->changes.have;
    const struct repl_vector *state = &r->states.have;
    struct repl_want ours = {plan->items, plan->count, state->items, state->count, r->floors.floor};
    struct repl_want w;
    if (!copy_want(out, &ours, &w) || !name_own_state(r, m, out, &w)) return false;
    struct repl_action *a = repl_send_add(r, out, m, REPL_WANT, TOKEN_WANT, NULL);
    if (a == NULL) return false;
    a->message.want = w;
    m->peer->want = WANT_OUT;
    m->peer->want_due = m->peer->want_anyway = false;
    m->peer->want_token = a->token;
    m->peer->want_until = mono_add_ms(r->now, REPL_WANT_TIMEOUT_MS);
    repl_wake(r, m->peer->want_until);
    repl_count(r, REPL_COUNT_wants_sent, 1);
    return true;
}

size_t repl_sync_asked_count(struct repl *r)
{
    size_t asked = 0;
    for (size_t i = 0; i < r->members.peers.count; i++) {
        struct member *m = r->members.peers.items[i];
        if (m->peer->want == WANT_OUT && mono_reached(r->now, m->peer->want_until)) {
            m->peer->want = WANT_NONE;
            repl_count(r, REPL_COUNT_wants_timed_out, 1);
        }
        if (m->peer->want != WANT_NONE) asked++;
    }
    return asked;
}

bool repl_sync_flush(struct repl *r, struct member *m, size_t *asked, struct repl_actions *out)
{
    if (m->peer->want == WANT_OUT) repl_wake(r, m->peer->want_until);
    if (m->peer->want != WANT_NONE || !m->peer->want_due) return true;
    bool equal = !m->peer->want_anyway && repl_in_step(r, m);
    if (!m->peer->linked || repl_status_final(m->status) || equal) {
        m->peer->want_due = m->peer->want_anyway = false;
        return true;
    }
    if (!mono_reached(r->now, r->sync_not_before)) {
        repl_wake(r, r->sync_not_before);
        return true;
    }
    if (*asked >= REPL_WANT_MAX) return true; /* looked at again when one of them has answered */
    if (!ask(r, m, out)) return false;
    ++*asked;
    return true;
}

/* ---- being answered ---- */

/* The log does not reach back to what we have; or we may take over a floor. */
static void take_offer(struct repl *r, const struct member *m, const struct repl_push *p, struct repl_actions *out)
{
    if (p->trimmed) {
        repl_fetch_want(r, m, p->floor);
    } else {
        repl_floor_offered(r, m, p, out);
    }
}

enum err repl_sync_push(struct repl *r, struct member *m, const struct repl_push *p, struct repl_actions *out)
{
    for (size_t i = 0; i < p->change_count; i++) {
        const struct log_id *id = &p->changes[i].id;
        if (node_name_eq(&id->origin, &r->self)) repl_sync_own_log(r, id->epoch, id->seq);
    }
    struct repl_taken t = {0};
    enum err e = repl_changes_take(r, m, p, &t);
    if (e == ERR_OK) e = repl_state_take(r, p, &t);
    if (t.gap) repl_sync_want(r, m, false);
    if (e == ERR_OK && !repl_recover_take(r, m, p, out)) e = ERR_NOMEM;
    if (e != ERR_OK || !p->answer) return e;
    take_offer(r, m, p, out);
    m->peer->answer_changes = t.changes_batch;
    m->peer->answer_state = t.state_batch;
    m->peer->answer_more = p->more;
    /* An answer that brought nothing new is no reason to ask on at once, whatever it says: the next heartbeat is. */
    m->peer->want = t.changes_batch != 0 || t.state_batch != 0 ? WANT_STORING : WANT_NONE;
    r->scan = true;
    return ERR_OK;
}

void repl_sync_disk_failed(struct repl *r)
{
    uint64_t next = r->store_retry_ms * 2;
    if (next < REPL_STORE_RETRY_MIN_MS) next = REPL_STORE_RETRY_MIN_MS;
    if (next > REPL_STORE_RETRY_MAX_MS) next = REPL_STORE_RETRY_MAX_MS;
    r->store_retry_ms = next;
    r->sync_not_before = mono_add_ms(r->now, next);
}

void repl_sync_disk_works(struct repl *r)
{
    r->store_retry_ms = 0;
    r->sync_not_before = (struct mono){0};
}

void repl_sync_batch_done(struct repl *r, uint64_t id, bool stored)
{
    for (size_t i = 0; i < r->members.peers.count; i++) {
        struct member *m = r->members.peers.items[i];
        if (m->peer->want != WANT_STORING || (m->peer->answer_changes != id && m->peer->answer_state != id)) continue;
        if (m->peer->answer_changes == id) m->peer->answer_changes = 0;
        if (m->peer->answer_state == id) m->peer->answer_state = 0;
        if (stored && (m->peer->answer_changes != 0 || m->peer->answer_state != 0)) continue;
        m->peer->want = WANT_NONE;
        m->peer->answer_changes = m->peer->answer_state = 0;
        if (m->peer->answer_more || !stored) repl_sync_want(r, m, false);
    }
    r->scan = true;
}

/* ---- being asked ---- */

enum err repl_sync_asked(struct repl *r, struct member *m, const struct repl_want *w, struct repl_actions *out)
{
    repl_count(r, REPL_COUNT_wants_received, 1);
    for (size_t i = 0; i < w->plan_count; i++) {
        const struct vector_entry *e = &w->plan[i];
        if (!node_name_eq(&e->origin, &r->self)) continue;
        repl_sync_own_log(r, e->epoch, e->high);
        repl_changes_receipt(r, m, e->epoch, e->high);
    }
    for (size_t i = 0; i < w->state_count; i++) {
        const struct vector_entry *e = &w->state[i];
        if (node_name_eq(&e->origin, &r->self)) repl_sync_own_state(r, e->epoch, e->high);
    }
    struct repl_want want;
    const struct vector_entry *upto;
    size_t upto_count = r->states.have.count;
    if (!copy_want(out, w, &want) || !repl_copy_entries(out, r->states.have.items, upto_count, &upto)) return ERR_NOMEM;
    struct repl_action *a = repl_action_add(out, REPL_DO_SEND_MISSING);
    if (a == NULL) return ERR_NOMEM;
    a->peer = m->name;
    a->token = repl_token(TOKEN_OTHER, ++r->last_id);
    a->want = want;
    a->upto = upto;
    a->upto_count = upto_count;
    /* The store has records of ours above our vector: versions that may not be ours, or in whose place an older one
     * stands at everybody with that vector. The asker asks again, or another. */
    a->plan_only = !r->states.covered;
    return ERR_OK;
}

/* ---- our own disk is old ---- */

/* One that no life of ours has used, also none that everybody has forgotten. The wall clock gives it; where that is
 * behind what is known, the next number would be the one that an earlier life took in the same place. */
static uint64_t fresh_epoch(struct repl *r, uint64_t known)
{
    uint64_t now = r->wall.ms > 0 ? (uint64_t)r->wall.ms : 0;
    return now > known ? now : known + 1 + rng_below(&r->rng, EPOCH_CHANCE);
}

enum err repl_sync_new_log(struct repl *r, uint64_t known)
{
    uint64_t next = fresh_epoch(r, known);
    enum err e = repl_changes_new_epoch(r, next);
    if (e != ERR_OK) return e;
    r->new_epoch[0].due = true;
    r->new_epoch[0].epoch = next;
    repl_count(r, REPL_COUNT_new_epochs, 1);
    return ERR_OK;
}

void repl_sync_own_log(struct repl *r, uint64_t epoch, uint64_t high)
{
    struct changes *c = &r->changes;
    uint64_t have = repl_vector_get(&c->have, &r->self, c->epoch);
    if (high == 0 || epoch > REPL_EPOCH_MAX || epoch < c->epoch || (epoch == c->epoch && high <= have)) return;
    /* Without memory for it the next heartbeat brings us here again. */
    if (repl_sync_new_log(r, epoch) != ERR_OK) return;
    repl_alarm(
        r, ALARM_OLD_LOG,
        "others know change %llu of this node, and its own database ends at %llu: the database is older than it was "
        "(a restored backup?). What is missing comes back from them; new changes get a log of their own",
        (unsigned long long)high, (unsigned long long)have);
}

void repl_sync_new_state(struct repl *r, uint64_t known)
{
    uint64_t next = fresh_epoch(r, known);
    repl_state_new_epoch(r, next);
    r->new_epoch[1].due = true;
    r->new_epoch[1].epoch = next;
    repl_count(r, REPL_COUNT_new_epochs, 1);
}

void repl_sync_own_state(struct repl *r, uint64_t epoch, uint64_t high)
{
    struct states *s = &r->states;
    if (high == 0 || epoch > REPL_EPOCH_MAX || epoch < s->epoch) return;
    if (s->recover.active || repl_recover_wants(r)) {
        repl_recover_hear(r, epoch, high);
        return;
    }
    uint64_t end = s->start_high;
    bool from_before = high <= end;
    bool of_this_run = s->numbers_ours && high > s->base && high <= repl_vector_get(&s->have, &r->self, s->epoch);
    if (epoch == s->epoch && (from_before || of_this_run)) return;
    repl_sync_new_state(r, epoch);
    repl_alarm(r, ALARM_OLD_STATE,
               "others know state %llu of this node, and its own database ended at %llu: the database is older than it "
               "was. What this node observes is reported again",
               (unsigned long long)high, (unsigned long long)end);
}
