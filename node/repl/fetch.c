/* fetch: a snapshot of a peer's replica that takes the place of ours. It is the way for a node that is new, or was away
 * for so long that the others' logs do not reach back to what it has, or holds something that comes too late for what
 * they have forgotten. The rules, and why nothing is merged, are in tests/model/replica.pml (6, 7).
 *
 *   asked -> objects, piece by piece -> tail: what the donor's log gained meanwhile -> complete -> replaced
 *
 * Each piece is put aside by the store while the next one is on its way; the donor keeps no session. Another floor at
 * the donor, a lost link, a piece that does not come or cannot be stored: given up, and begun again when the next
 * answer of a peer shows that it is still needed. Changes go on being taken meanwhile; only while the store changes
 * over nothing is written. */
#include "node/repl/rooms.h"

#include <stdlib.h>

static struct slice after(const struct fetching *f)
{
    return (struct slice){f->after, f->after_len};
}

static void reset(struct fetching *f)
{
    repl_vector_fini(&f->have);
    free(f->cut);
    *f = (struct fetching){.storing = f->storing, .not_before = f->not_before};
}

void repl_fetch_fini(struct repl *r)
{
    reset(&r->fetching);
}

static void give_up(struct repl *r, uint64_t wait_ms)
{
    struct fetching *f = &r->fetching;
    f->not_before = mono_add_ms(r->now, wait_ms);
    reset(f);
    r->scan = true;
    repl_count(r, REPL_COUNT_snapshots_given_up, 1);
}

/* ---- the asker ---- */

bool repl_fetch_unsettled(const struct repl *r, const struct member *m)
{
    const struct fetching *f = &r->fetching;
    if (!f->active || f->begun_id > m->peer->leftover) return false;
    for (size_t i = 0; i < f->have.count; i++) {
        const struct vector_entry *e = &f->have.items[i];
        bool more = e->high > repl_vector_get(&r->changes.have, &e->origin, e->epoch);
        if (more && node_name_eq(&e->origin, &m->name)) return true;
    }
    return false;
}

void repl_fetch_want(struct repl *r, const struct member *m, struct hlc floor)
{
    struct fetching *f = &r->fetching;
    if (f->active || f->storing > 0 || !mono_reached(r->now, f->not_before) || floor.v < r->floors.floor.v) return;
    f->active = f->ask_due = true;
    f->donor = m->name;
    f->begun_id = ++r->last_id;
    r->scan = true;
    repl_count(r, REPL_COUNT_snapshots_begun, 1);
}

static bool ask(struct repl *r, const struct member *m, struct repl_actions *out)
{
    struct fetching *f = &r->fetching;
    struct repl_fetch q = {.id = r->last_id + 1, .tail = f->tail};
    if (f->tail) {
        q.have_count = f->have.count;
        if (!repl_copy_entries(out, f->have.items, f->have.count, &q.have)) return false;
    } else {
        q.after = arena_copy(&out->arena, after(f));
        if (q.after.p == NULL) return false;
    }
    struct repl_action *a = repl_send_add(r, out, m, REPL_FETCH, TOKEN_OTHER, NULL);
    if (a == NULL) return false;
    a->message.fetch = q;
    f->id = q.id;
    f->ask_due = false;
    f->until = mono_add_ms(r->now, REPL_FETCH_TIMEOUT_MS);
    return true;
}

static bool nothing_is_written(const struct repl *r)
{
    const struct changes *c = &r->changes;
    bool local = c->local_count > 0 && c->local[c->local_head].state == LOCAL_STORING;
    return c->storing == NULL && !local && r->floors.job == FLOOR_IDLE && r->fetching.storing == 0;
}

/* The room that the new vector will need beside ours is taken before the store is asked. */
static enum err reserve(struct repl *r)
{
    const struct repl_vector *have = &r->fetching.have;
    size_t more = 0;
    for (size_t i = 0; i < have->count; i++)
        more += repl_vector_get(&r->changes.planned, &have->items[i].origin, have->items[i].epoch) == 0;
    return repl_changes_reserve(r, more);
}

static bool replace(struct repl *r, struct repl_actions *out)
{
    struct fetching *f = &r->fetching;
    if (f->floor.v < r->floors.floor.v) { /* ours was raised meanwhile */
        give_up(r, 0);
        return true;
    }
    const struct vector_entry *vector;
    const struct vector_entry *cut;
    enum err e = reserve(r);
    if (e == ERR_LIMIT) { /* more logs than any honest cluster has */
        give_up(r, REPL_FETCH_RETRY_MAX_MS);
        return true;
    }
    if (e != ERR_OK || !repl_copy_entries(out, f->have.items, f->have.count, &vector) ||
        !repl_copy_entries(out, f->cut, f->cut_count, &cut)) {
        return false;
    }
    struct repl_action *a = repl_action_add(out, REPL_DO_REPLACE);
    if (a == NULL) return false;
    a->token = repl_token(TOKEN_REPLACE, f->id);
    a->floor = f->floor;
    a->upto = vector;
    a->upto_count = f->have.count;
    a->cut = cut;
    a->cut_count = f->cut_count;
    f->replacing = true;
    return true;
}

bool repl_fetch_flush(struct repl *r, struct repl_actions *out)
{
    struct fetching *f = &r->fetching;
    if (!f->active || f->replacing) return true;
    if (f->complete) return !nothing_is_written(r) || replace(r, out);
    const struct member *m = repl_member_find(r, &f->donor);
    if (m == NULL || m->peer == NULL || !m->peer->linked || repl_status_final(m->status)) {
        give_up(r, 0);
        return true;
    }
    if (f->ask_due) {
        if (f->storing >= REPL_PIECES_MAX) return true;
        if (!ask(r, m, out)) return false;
    }
    if (mono_reached(r->now, f->until)) {
        give_up(r, REPL_FETCH_RETRY_MS);
        return true;
    }
    repl_wake(r, f->until);
    return true;
}

/* ---- the pieces ---- */

static bool put_aside(struct repl *r, const struct repl_message *msg, struct repl_actions *out)
{
    struct fetching *f = &r->fetching;
    struct repl_action *a = repl_action_add(out, REPL_DO_PERSIST_PIECE);
    if (a == NULL) return false;
    a->message = *msg;
    a->first = !f->begun;
    a->token = repl_token(TOKEN_PIECE, ++r->last_id);
    f->begun = true;
    f->storing++;
    return true;
}

static bool keep_vector(struct fetching *f, const struct repl_snapshot *s)
{
    if (repl_vector_reserve(&f->have, s->vector_count) != ERR_OK) return false;
    for (size_t i = 0; i < s->vector_count; i++) {
        const struct vector_entry *e = &s->vector[i];
        if (e->high > 0) repl_vector_raise(&f->have, &e->origin, e->epoch, e->high);
    }
    return true;
}

static bool take_objects(struct repl *r, const struct repl_message *msg, struct repl_actions *out)
{
    struct fetching *f = &r->fetching;
    const struct repl_snapshot *s = &msg->snapshot;
    if (!f->begun) f->floor = s->floor;
    if (!f->begun && !keep_vector(f, s)) return false;
    if (s->object_count > 0 && f->begun && slice_cmp(s->objects[0].key, after(f)) <= 0) return false;
    if ((s->object_count > 0 || !f->begun) && !put_aside(r, msg, out)) return false;
    if (s->object_count > 0) {
        struct slice last = s->objects[s->object_count - 1].key;
        memcpy(f->after, last.p, last.n);
        f->after_len = last.n;
        f->objects += s->object_count;
    }
    if (s->more && s->object_count == 0) return false;
    f->tail = !s->more;
    f->ask_due = true;
    return true;
}

static bool add_tail(struct fetching *f, const struct repl_snapshot *s)
{
    if (repl_vector_reserve(&f->have, s->change_count) != ERR_OK) return false;
    for (size_t i = 0; i < s->change_count; i++) {
        const struct log_id *id = &s->changes[i].id;
        if (id->seq != repl_vector_get(&f->have, &id->origin, id->epoch) + 1) return false;
        repl_vector_raise(&f->have, &id->origin, id->epoch, id->seq);
    }
    return true;
}

static bool keep_cut(struct fetching *f, const struct repl_snapshot *s)
{
    f->cut = calloc(s->cut_count + 1, sizeof *f->cut);
    if (f->cut == NULL) return false;
    if (s->cut_count > 0) memcpy(f->cut, s->cut, s->cut_count * sizeof *f->cut);
    f->cut_count = s->cut_count;
    return true;
}

static bool take_tail(struct repl *r, const struct repl_message *msg, struct repl_actions *out)
{
    struct fetching *f = &r->fetching;
    const struct repl_snapshot *s = &msg->snapshot;
    if (s->more && s->change_count == 0) return false;
    if (!add_tail(f, s)) return false;
    if (s->change_count > 0 && !put_aside(r, msg, out)) return false;
    if (s->more) {
        f->ask_due = true;
        return true;
    }
    if (!keep_cut(f, s)) return false;
    f->complete = true;
    return true;
}

enum err repl_fetch_take(struct repl *r, const struct member *m, const struct repl_message *msg,
                         struct repl_actions *out)
{
    struct fetching *f = &r->fetching;
    const struct repl_snapshot *s = &msg->snapshot;
    if (!f->active || f->ask_due || f->complete || s->id != f->id || !node_name_eq(&f->donor, &m->name)) {
        repl_count(r, REPL_COUNT_pieces_stale, 1);
        return ERR_OK;
    }
    r->scan = true;
    bool below = s->floor.v < r->floors.floor.v;
    bool moved = f->begun && s->floor.v != f->floor.v;
    if (s->retry_ms > 0) {
        give_up(r, s->retry_ms < REPL_FETCH_RETRY_MAX_MS ? s->retry_ms : REPL_FETCH_RETRY_MAX_MS);
    } else if (below || moved || s->tail != f->tail) {
        give_up(r, 0);
    } else if (!(f->tail ? take_tail(r, msg, out) : take_objects(r, msg, out))) {
        give_up(r, REPL_FETCH_RETRY_MS);
    }
    return ERR_OK;
}

enum err repl_fetch_piece_stored(struct repl *r, const struct repl_event *ev)
{
    struct fetching *f = &r->fetching;
    if (f->storing == 0) return ERR_NOTFOUND;
    f->storing--;
    r->scan = true;
    if (ev->type == REPL_EV_STORED) return ERR_OK;
    repl_count(r, REPL_COUNT_store_failures, 1);
    if (f->active) give_up(r, REPL_STORE_RETRY_MAX_MS);
    return ERR_OK;
}

/* ---- changing over ---- */

/* What only we had and what could not be kept. */
static void look_for_losses(struct repl *r)
{
    const struct repl_vector *have = &r->changes.have;
    const struct repl_vector *before = &r->changes.planned; /* equal to what was durable: nothing was being written */
    for (size_t i = 0; i < before->count; i++) {
        const struct vector_entry *e = &before->items[i];
        uint64_t now = repl_vector_get(have, &e->origin, e->epoch);
        if (now >= e->high) continue;
        repl_count(r, REPL_COUNT_changes_lost, e->high - now);
        repl_alarm(r, ALARM_LOST,
                   "changes %llu to %llu of %s were made on an old disk or by an evicted node, and come too late for "
                   "deletions that the cluster has forgotten: they are put aside and have no effect. See \"clusterctl "
                   "plan conflicts\"",
                   (unsigned long long)now + 1, (unsigned long long)e->high, e->origin.s);
    }
}

static void take_vector(struct repl *r, const struct repl_event *ev)
{
    struct changes *c = &r->changes;
    repl_vector_clear(&c->have);
    for (size_t i = 0; i < ev->vector_count; i++)
        repl_vector_raise(&c->have, &ev->vector[i].origin, ev->vector[i].epoch, ev->vector[i].high);
    repl_vector_raise(&c->have, &r->self, c->epoch, 0);
}

enum err repl_fetch_replaced(struct repl *r, const struct repl_event *ev)
{
    struct fetching *f = &r->fetching;
    struct changes *c = &r->changes;
    if (!f->replacing || ev->token != repl_token(TOKEN_REPLACE, f->id)) return ERR_NOTFOUND;
    r->scan = true;
    if (ev->type == REPL_EV_STORE_FAILED) {
        repl_count(r, REPL_COUNT_store_failures, 1);
        give_up(r, REPL_FETCH_RETRY_MS);
        return ERR_OK;
    }
    repl_receive_drop_next(r);
    uint64_t ours = repl_vector_get(&c->have, &r->self, c->epoch);
    repl_vector_assign(&c->planned, &c->have);
    take_vector(r, ev);
    look_for_losses(r);
    bool own_lost = repl_vector_get(&c->have, &r->self, c->epoch) < ours;
    repl_vector_assign(&c->planned, &c->have);
    memcpy(r->plan_digest, ev->plan_digest.b, sizeof r->plan_digest);
    repl_floor_changed(r, ev, ev->time);
    (void)repl_clock_follow(&r->clock, ev->time, r->wall);
    /* An answer to what we asked before is perhaps still on its way, and says that we need a snapshot. */
    f->not_before = mono_add_ms(r->now, REPL_FETCH_RETRY_MS);
    reset(f);
    repl_sync_disk_works(r);
    repl_count(r, REPL_COUNT_snapshots_taken, 1);
    /* Its numbers are used: what follows gets a log of its own. */
    return own_lost ? repl_sync_new_log(r, c->epoch) : ERR_OK;
}

/* ---- the donor ---- */

static size_t being_served(const struct repl *r, const struct member *but)
{
    size_t count = 0;
    for (size_t i = 0; i < r->members.peers.count; i++) {
        const struct member *m = r->members.peers.items[i];
        struct mono at = m->peer->fetched_at;
        if (m != but && at.us != 0 && !mono_reached(r->now, mono_add_ms(at, REPL_SNAPSHOT_BUSY_MS))) count++;
    }
    return count;
}

static enum err put_off(struct repl *r, const struct member *m, uint64_t id, struct repl_actions *out)
{
    struct repl_action *a = repl_send_add(r, out, m, REPL_SNAPSHOT, TOKEN_OTHER, NULL);
    if (a == NULL) return ERR_NOMEM;
    uint32_t wait = REPL_FETCH_RETRY_MS + (uint32_t)rng_below(&r->rng, 2 * REPL_FETCH_RETRY_MS);
    a->message.snapshot = (struct repl_snapshot){.id = id, .retry_ms = wait};
    repl_count(r, REPL_COUNT_snapshots_put_off, 1);
    return ERR_OK;
}

enum err repl_fetch_asked(struct repl *r, struct member *m, const struct repl_fetch *q, struct repl_actions *out)
{
    if (being_served(r, m) >= REPL_SNAPSHOTS_MAX || r->fetching.complete) return put_off(r, m, q->id, out);
    struct repl_fetch copy = *q;
    copy.after = arena_copy(&out->arena, q->after);
    if (copy.after.p == NULL || !repl_copy_entries(out, q->have, q->have_count, &copy.have)) return ERR_NOMEM;
    struct repl_action *a = repl_action_add(out, REPL_DO_SEND_SNAPSHOT);
    if (a == NULL) return ERR_NOMEM;
    a->peer = m->name;
    a->fetch = copy;
    a->token = repl_token(TOKEN_OTHER, ++r->last_id);
    m->peer->fetched_at = r->now;
    repl_count(r, REPL_COUNT_pieces_sent, 1);
    return ERR_OK;
}
