/* changes: this node's own change log: the operator's changes on their way to disk and to the peers, and the receipts
 * for them.
 *
 * Local changes are stored one at a time: a sequence number is given out only when the one before it is durable, and
 * comes back when storing fails. So our log has no gap, and no number is ever used for two changes, whatever the disk
 * does.
 *
 * The first one after a start needs to know that our numbers are still free: this disk may be a restored backup, and
 * peers may have changes of ours that it lost. When every member has said what it has of our log, we go on where it
 * ends. When one of them stays silent for REPL_HOLD_MS, nobody can know, and the change begins a new epoch.
 *
 * What is not here: what peers send (receive.c). */
#include "node/repl/rooms.h"

#include <stdlib.h>

enum err repl_changes_reserve(struct repl *r, size_t extra)
{
    return repl_vector_reserve_both(&r->changes.planned, &r->changes.have, extra);
}

enum err repl_changes_init(struct repl *r, const struct repl_config *config)
{
    struct changes *c = &r->changes;
    c->flood_tail = &c->flood;
    enum err e = repl_changes_reserve(r, config->plan_count + 1);
    if (e != ERR_OK) return e;
    for (size_t i = 0; i < config->plan_count; i++) {
        const struct vector_entry *v = &config->plan_vector[i];
        repl_vector_raise(&c->have, &v->origin, v->epoch, v->high);
    }
    c->epoch = config->epoch;
    const struct vector_entry *newest = repl_vector_newest(&c->have, &r->self);
    bool ours = newest != NULL && newest->epoch <= REPL_EPOCH_MAX;
    if (ours && newest->epoch > c->epoch) c->epoch = newest->epoch;
    repl_vector_raise(&c->have, &r->self, c->epoch, 0); /* the room for it is taken now */
    repl_vector_assign(&c->planned, &c->have);
    return ERR_OK;
}

void repl_changes_fini(struct repl *r)
{
    struct changes *c = &r->changes;
    for (size_t i = 0; i < c->local_count; i++) {
        repl_batch_drop(c->local[(c->local_head + i) % REPL_LOCAL_QUEUE].batch);
    }
    while (c->flood != NULL) {
        struct repl_batch *b = c->flood;
        c->flood = b->next;
        repl_batch_drop(b);
    }
    repl_receive_fini(r);
    repl_vector_fini(&c->have);
    repl_vector_fini(&c->planned);
}

void repl_changes_flood(struct repl *r, struct repl_batch *batch)
{
    batch->next = NULL;
    *r->changes.flood_tail = batch;
    r->changes.flood_tail = &batch->next;
}

enum err repl_changes_local(struct repl *r, const struct repl_event *ev)
{
    struct changes *c = &r->changes;
    if (repl_status_final(r->self_status)) return ERR_REFUSED;
    if (r->joins) return ERR_UNREACHABLE;
    if (c->local_count == REPL_LOCAL_QUEUE) return ERR_FULL;
    struct changeset change = {
        .author = ev->author, .message = ev->text, .ops = ev->ops, .op_count = ev->op_count, .terms = ev->terms};
    if (change.op_count == 0 && change.terms.settles.seq == 0) return ERR_SYNTAX;
    enum err e = repl_check_change(&change);
    if (e != ERR_OK) return e;
    struct repl_batch *b = repl_batch_new(++r->last_id);
    if (b == NULL) return ERR_NOMEM;
    e = repl_batch_add_change(b, &change, &r->self, true);
    if (e != ERR_OK) {
        repl_batch_drop(b);
        return e;
    }
    c->local[(c->local_head + c->local_count) % REPL_LOCAL_QUEUE] = (struct local_change){.batch = b,
                                                                                          .driver_token = ev->token,
                                                                                          .at = r->now,
                                                                                          .after = ev->after,
                                                                                          .exactly = ev->exactly,
                                                                                          .state = LOCAL_WAITING};
    c->local_count++;
    return ERR_OK;
}

static struct local_change *local_first(struct changes *c)
{
    return c->local_count > 0 ? &c->local[c->local_head] : NULL;
}

enum err repl_changes_local_stored(struct repl *r, const struct repl_event *ev)
{
    struct changes *c = &r->changes;
    struct local_change *l = local_first(c);
    if (l == NULL || l->state != LOCAL_STORING || l->batch->token != ev->token) return ERR_NOTFOUND;
    r->scan = true; /* there may be something to forget; where nobody is linked nothing else would have us look */
    if (ev->type == REPL_EV_STORE_FAILED) {
        l->state = LOCAL_FAILED;
        l->err = ev->err != ERR_OK ? ev->err : ERR_IO;
        repl_count(r, REPL_COUNT_store_failures, 1);
        return ERR_OK;
    }
    const struct log_id *id = &l->batch->changes[0].id;
    l->state = LOCAL_STORED;
    repl_sync_disk_works(r);
    repl_floor_changed(r, ev, l->batch->changes[0].time);
    repl_vector_raise(&c->have, &id->origin, id->epoch, id->seq);
    repl_vector_raise(&c->planned, &id->origin, id->epoch, id->seq);
    memcpy(r->plan_digest, ev->plan_digest.b, sizeof r->plan_digest);
    if (id->epoch == c->epoch) {
        c->tracked[id->seq % REPL_TRACKED] = (struct tracked_change){id->seq, l->at};
    }
    return ERR_OK;
}

/* APPLIED or REJECTED for the first; false: no memory. */
static bool report(struct repl *r, struct local_change *l, struct repl_actions *out)
{
    bool stored = l->state == LOCAL_STORED;
    struct repl_action *a = repl_action_add(out, stored ? REPL_DO_APPLIED : REPL_DO_REJECTED);
    if (a == NULL) return false;
    a->token = l->driver_token;
    a->id = l->batch->changes[0].id;
    a->err = l->err;
    if (stored) {
        repl_changes_flood(r, l->batch);
    } else {
        repl_batch_drop(l->batch);
    }
    r->changes.local_head = (r->changes.local_head + 1) % REPL_LOCAL_QUEUE;
    r->changes.local_count--;
    return true;
}

/* Those that wait for a number that there will not be. */
static void fail_all(struct changes *c, enum err e)
{
    for (size_t i = 0; i < c->local_count; i++) {
        struct local_change *l = &c->local[(c->local_head + i) % REPL_LOCAL_QUEUE];
        l->state = LOCAL_FAILED;
        l->err = e;
    }
}

bool repl_changes_settle(struct repl *r)
{
    struct changes *c = &r->changes;
    if (c->numbers_ours || c->local_count == 0) return true;
    if (repl_all_have_spoken(r)) {
        c->numbers_ours = true;
    } else if (mono_reached(r->now, r->hold_until)) {
        enum err e = repl_sync_new_log(r, c->epoch);
        if (e == ERR_LIMIT) fail_all(c, e);
        return e != ERR_NOMEM;
    } else {
        repl_wake(r, r->hold_until);
    }
    return true;
}

bool repl_changes_settling(const struct repl *r)
{
    const struct changes *c = &r->changes;
    for (size_t i = 0; i < c->local_count; i++) {
        if (c->local[(c->local_head + i) % REPL_LOCAL_QUEUE].exactly.v != 0) return true;
    }
    return false;
}

void repl_changes_leave_room(struct repl *r, const struct changeset *c)
{
    if (c->terms.confirm_within_ms == 0 || c->time.v > UINT64_MAX - CHANGE_SETTLE_ROOM) return;
    (void)repl_clock_follow(&r->clock, (struct hlc){c->time.v + CHANGE_SETTLE_ROOM}, r->wall);
}

/* Later than the objects that it replaces, and than what anybody has forgotten. Where those come from the future our
 * clock does not follow: only this change goes there, behind those of ours that went before. */
static struct hlc change_time(struct repl *r, const struct local_change *l)
{
    if (l->exactly.v != 0) return l->exactly;
    struct hlc now = repl_clock_tick(&r->clock, r->wall);
    uint64_t after = l->after.v > r->floors.heard.v ? l->after.v : r->floors.heard.v;
    if (now.v > after || after == UINT64_MAX) return now;
    struct hlc time = {after + 1};
    if (repl_clock_follow(&r->clock, time, r->wall)) return time;
    struct hlc *ahead = &r->changes.ahead;
    if (time.v <= ahead->v && ahead->v < UINT64_MAX) time.v = ahead->v + 1;
    *ahead = time;
    return time;
}

static bool store(struct repl *r, struct local_change *l, struct repl_actions *out)
{
    struct repl_batch *b = l->batch;
    if (l->exactly.v != 0 && r->floors.pending == 0) { /* somebody else has settled it meanwhile */
        l->state = LOCAL_FAILED;
        l->err = ERR_EXISTS;
        return true;
    }
    struct repl_action *a = repl_action_add_held(out, REPL_DO_PERSIST_CHANGE, b);
    if (a == NULL) return false;
    struct changes *c = &r->changes;
    b->changes[0].id = (struct log_id){r->self, c->epoch, repl_vector_get(&c->have, &r->self, c->epoch) + 1};
    b->changes[0].time = change_time(r, l);
    repl_changes_leave_room(r, &b->changes[0]);
    b->token = repl_token(TOKEN_LOCAL, ++r->last_id);
    l->state = LOCAL_STORING;
    a->token = b->token;
    a->changes = b->changes;
    a->change_count = 1;
    return true;
}

bool repl_changes_local_flush(struct repl *r, struct repl_actions *out)
{
    struct changes *c = &r->changes;
    for (struct local_change *l; (l = local_first(c)) != NULL;) {
        switch (l->state) {
        case LOCAL_STORED:
        case LOCAL_FAILED:
            if (!report(r, l, out)) return false;
            break;
        case LOCAL_WAITING:
            if (!c->numbers_ours || repl_plan_held(r)) return true;
            if (!store(r, l, out)) return false;
            break;
        case LOCAL_STORING: return true;
        }
    }
    return true;
}

enum err repl_changes_new_epoch(struct repl *r, uint64_t epoch)
{
    struct changes *c = &r->changes;
    enum err e = repl_changes_reserve(r, 1);
    if (e != ERR_OK) return e;
    repl_vector_raise(&c->have, &r->self, epoch, 0);
    repl_vector_raise(&c->planned, &r->self, epoch, 0);
    c->epoch = epoch;
    c->numbers_ours = true;
    memset(c->tracked, 0, sizeof c->tracked);
    for (size_t i = 0; i < r->members.peers.count; i++) {
        r->members.peers.items[i]->peer->has_seq = 0;
        r->members.peers.items[i]->peer->receipted_seq = 0;
    }
    return ERR_OK;
}

void repl_changes_receipt(struct repl *r, struct member *m, uint64_t epoch, uint64_t seq)
{
    if (epoch != r->changes.epoch || seq <= m->peer->has_seq) return;
    m->peer->totals.plan += seq - m->peer->has_seq; /* until its next heartbeat */
    m->peer->totals_grown = true;
    m->peer->has_seq = seq;
    r->scan = true;
}

/* The first tracked change in (above, upto]; 0 when there is none. The ring holds at most REPL_TRACKED numbers back. */
static uint64_t next_tracked(const struct changes *c, uint64_t above, uint64_t upto)
{
    uint64_t from = upto > REPL_TRACKED && above < upto - REPL_TRACKED ? upto - REPL_TRACKED : above;
    for (uint64_t seq = from + 1; seq <= upto; seq++) {
        if (c->tracked[seq % REPL_TRACKED].seq == seq) return seq;
    }
    return 0;
}

enum err repl_receipts_take(struct repl *r, struct member *from, const struct repl_receipt *receipt,
                            struct repl_actions *out)
{
    struct member *by = receipt->by.s[0] == '\0' ? from : repl_member_find(r, &receipt->by);
    if (by == NULL) return ERR_OK;
    enum err e = repl_member_peer(r, by);
    for (size_t i = 0; e == ERR_OK && i < receipt->id_count; i++) {
        const struct log_id *id = &receipt->ids[i];
        if (node_name_eq(&id->origin, &r->self)) {
            repl_sync_own_log(r, id->epoch, id->seq);
            repl_changes_receipt(r, by, id->epoch, id->seq);
            continue;
        }
        /* Passed on once: what names another already has come far enough. */
        const struct member *origin = by == from ? repl_member_find(r, &id->origin) : NULL;
        if (origin == NULL || origin->peer == NULL || !origin->peer->linked) continue;
        struct log_id *copy = arena_alloc(&out->arena, sizeof *copy);
        struct repl_action *a = copy != NULL ? repl_send_add(r, out, origin, REPL_RECEIPT, TOKEN_OTHER, NULL) : NULL;
        if (a == NULL) return ERR_NOMEM;
        *copy = *id;
        a->message.receipt = (struct repl_receipt){.ids = copy, .id_count = 1, .by = by->name};
    }
    return e;
}

/* To those that we cannot be linked with: how far we have their logs. */
static bool pass_receipts(struct repl *r, struct member *via, struct repl_actions *out)
{
    const struct members *ms = &r->members;
    if (!via->peer->owes_others || !via->peer->linked) return true;
    struct log_id *ids = arena_alloc(&out->arena, (ms->count + 1) * sizeof *ids);
    size_t count = 0;
    if (ids == NULL) return false;
    for (size_t i = 0; i < ms->count && count < REPL_RECEIPT_IDS_MAX; i++) {
        const struct member *m = ms->items[i];
        const struct vector_entry *e = repl_vector_newest(&r->changes.have, &m->name);
        if (repl_linkable(r, NULL, m) || repl_status_final(m->status) || e == NULL || e->high == 0) continue;
        ids[count++] = (struct log_id){e->origin, e->epoch, e->high};
    }
    struct repl_action *a = count > 0 ? repl_send_add(r, out, via, REPL_RECEIPT, TOKEN_OTHER, NULL) : NULL;
    if (a == NULL && count > 0) return false;
    if (a != NULL) a->message.receipt = (struct repl_receipt){.ids = ids, .id_count = count};
    via->peer->owes_others = false;
    return true;
}

/* What m owes us: its receipts for our changes, reported to the driver; then what we owe it. */
bool repl_receipts_flush(struct repl *r, struct member *m, struct repl_actions *out)
{
    struct changes *c = &r->changes;
    for (uint64_t seq; (seq = next_tracked(c, m->peer->receipted_seq, m->peer->has_seq)) != 0;) {
        struct repl_action *a = repl_action_add(out, REPL_DO_RECEIPT);
        if (a == NULL) return false;
        a->peer = m->name;
        a->id = (struct log_id){r->self, c->epoch, seq};
        a->elapsed_ms = mono_ms_between(c->tracked[seq % REPL_TRACKED].at, r->now);
        m->peer->receipted_seq = seq;
    }
    m->peer->receipted_seq = m->peer->has_seq;
    if (!pass_receipts(r, m, out)) return false;
    if (m->peer->owes.seq == 0 || !m->peer->linked) return true;

    struct log_id *ids = arena_alloc(&out->arena, sizeof *ids);
    struct repl_action *a = ids != NULL ? repl_send_add(r, out, m, REPL_RECEIPT, TOKEN_OTHER, NULL) : NULL;
    if (a == NULL) return false;
    *ids = m->peer->owes;
    a->message.receipt = (struct repl_receipt){.ids = ids, .id_count = 1};
    m->peer->owes.seq = 0;
    return true;
}
