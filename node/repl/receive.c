/* receive: change-sets that come from peers: told from duplicates, put in order, stored in batches, pushed on.
 *
 * One batch is on its way to disk at a time; what arrives meanwhile forms the next. So order needs no further thought:
 * when a batch fails, what was built on it goes too, the vector is what is durable, and sync.c asks again later.
 * Nothing is lost, since nothing was acknowledged. A change-set that comes before its predecessor is held for a while
 * (bounded), and the gap is asked for. */
#include "node/repl/rooms.h"

#include <stdlib.h>

static void held_free(struct changes *c, struct held_change **at)
{
    struct held_change *h = *at;
    *at = h->next;
    c->held_count--;
    c->held_bytes -= h->batch->bytes;
    repl_batch_drop(h->batch);
    free(h);
}

void repl_receive_fini(struct repl *r)
{
    struct changes *c = &r->changes;
    while (c->held != NULL)
        held_free(c, &c->held);
    repl_batch_drop(c->storing);
    repl_batch_drop(c->next);
}

void repl_receive_drop_next(struct repl *r)
{
    struct changes *c = &r->changes;
    if (c->next == NULL) return;
    repl_sync_batch_done(r, c->next->id, false);
    repl_batch_drop(c->next);
    c->next = NULL;
}

static void drop_one(struct repl *r)
{
    repl_count(r, REPL_COUNT_changes_dropped, 1);
}

/* The next in its log: into the next batch. *taken is false when there is no room; it will come again. */
static enum err plan_change(struct repl *r, const struct changeset *change, const struct node_name *from, bool flood,
                            bool *taken)
{
    struct changes *c = &r->changes;
    *taken = false;
    if (change->time.v <= r->floors.floor.v) {
        repl_count(r, REPL_COUNT_changes_below_floor, 1);
        return ERR_OK; /* whoever holds it will be given a snapshot */
    }
    if (c->next == NULL && (c->next = repl_batch_new(++r->last_id)) == NULL) return ERR_NOMEM;
    bool full = c->next->change_count > 0 && c->next->bytes + repl_changeset_bytes(change) > REPL_NEXT_BYTES;
    bool known = change->id.seq > 1; /* the log has its place, and goes on where there is none for another */
    enum err e = full ? ERR_LIMIT : known ? ERR_OK : repl_changes_reserve(r, 1);
    if (e == ERR_LIMIT) {
        drop_one(r);
        return ERR_OK;
    }
    if (e == ERR_OK) e = repl_batch_add_change(c->next, change, from, flood);
    if (e != ERR_OK) return e;
    repl_vector_raise(&c->planned, &change->id.origin, change->id.epoch, change->id.seq);
    *taken = true;
    repl_changes_leave_room(r, change);
    if (!repl_clock_follow(&r->clock, change->time, r->wall)) {
        repl_count(r, REPL_COUNT_changes_future, 1);
        repl_alarm(
            r, ALARM_FUTURE,
            "change %llu of %s is more than %d s ahead of our clock; it is stored, and our clock does not follow",
            (unsigned long long)change->id.seq, change->id.origin.s, REPL_FUTURE_MS / 1000);
    }
    return ERR_OK;
}

/* The list is newest first. */
static void drop_oldest_held(struct repl *r)
{
    struct held_change **at = &r->changes.held;
    while ((*at)->next != NULL)
        at = &(*at)->next;
    held_free(&r->changes, at);
    drop_one(r);
}

void repl_receive_forget_held(struct repl *r, const struct node_name *origin)
{
    struct changes *c = &r->changes;
    for (struct held_change **at = &c->held; *at != NULL;) {
        if (node_name_eq(&(*at)->batch->changes[0].id.origin, origin)) {
            held_free(c, at);
        } else {
            at = &(*at)->next;
        }
    }
}

static bool begun_before(const struct repl_batch *b, const struct member *m)
{
    for (size_t i = 0; b != NULL && b->id <= m->peer->leftover && i < b->change_count; i++) {
        if (node_name_eq(&b->changes[i].id.origin, &m->name)) return true;
    }
    return false;
}

/* When m lives anew, with an older disk, it must not think that nobody has what it lost: it would use the numbers
 * again, and the late change would then stand here in the place of another. */
bool repl_changes_unsettled(const struct repl *r, const struct member *m)
{
    return begun_before(r->changes.storing, m) || begun_before(r->changes.next, m);
}

static enum err hold(struct repl *r, const struct changeset *change, const struct node_name *from, bool flood)
{
    struct changes *c = &r->changes;
    for (const struct held_change *h = c->held; h != NULL; h = h->next) {
        const struct log_id *id = &h->batch->changes[0].id;
        if (id->seq == change->id.seq && id->epoch == change->id.epoch &&
            node_name_eq(&id->origin, &change->id.origin)) {
            return ERR_OK;
        }
    }
    size_t bytes = repl_changeset_bytes(change);
    while (c->held != NULL && (c->held_count == REPL_HELD_MAX || c->held_bytes + bytes > REPL_HELD_BYTES)) {
        drop_oldest_held(r);
    }
    if (bytes > REPL_HELD_BYTES) {
        drop_one(r);
        return ERR_OK;
    }
    struct held_change *h = calloc(1, sizeof *h);
    if (h == NULL) return ERR_NOMEM;
    h->batch = repl_batch_new(++r->last_id);
    if (h->batch == NULL || repl_batch_add_change(h->batch, change, from, flood) != ERR_OK) {
        repl_batch_drop(h->batch);
        free(h);
        return ERR_NOMEM;
    }
    h->since = r->now;
    h->next = c->held;
    c->held = h;
    c->held_count++;
    c->held_bytes += h->batch->bytes;
    repl_count(r, REPL_COUNT_changes_held, 1);
    return ERR_OK;
}

/* After something was planned: what was held for it follows, and what came by another way meanwhile goes. */
static enum err release_held(struct repl *r)
{
    struct changes *c = &r->changes;
    for (struct held_change **at = &c->held; *at != NULL;) {
        const struct changeset *change = &(*at)->batch->changes[0];
        const struct batch_mark *mark = &(*at)->batch->marks[0];
        uint64_t planned = repl_vector_get(&c->planned, &change->id.origin, change->id.epoch);
        bool old = mono_reached(r->now, mono_add_ms((*at)->since, REPL_HELD_MS));
        if (change->id.seq > planned + 1 && !old) {
            at = &(*at)->next;
            continue;
        }
        bool taken = false;
        if (change->id.seq == planned + 1 && !old) {
            enum err e = plan_change(r, change, &mark->from, mark->flood, &taken);
            if (e != ERR_OK) return e;
        }
        held_free(c, at);
        if (taken) at = &c->held; /* its successor may stand before it */
    }
    return ERR_OK;
}

enum err repl_changes_take(struct repl *r, const struct member *m, const struct repl_push *p, struct repl_taken *t)
{
    struct changes *c = &r->changes;
    for (size_t i = 0; i < p->change_count; i++) {
        const struct changeset *change = &p->changes[i];
        uint64_t planned = repl_vector_get(&c->planned, &change->id.origin, change->id.epoch);
        if (change->id.seq <= planned) {
            repl_count(r, REPL_COUNT_changes_duplicate, 1);
            continue;
        }
        enum err e;
        bool taken = false;
        if (change->id.seq == planned + 1) {
            e = plan_change(r, change, &m->name, !p->answer, &taken);
        } else {
            t->gap = true;
            e = hold(r, change, &m->name, !p->answer);
        }
        if (e != ERR_OK) return e;
        if (taken) t->changes_batch = c->next->id;
    }
    return t->changes_batch != 0 ? release_held(r) : ERR_OK;
}

bool repl_changes_received_flush(struct repl *r, struct repl_actions *out)
{
    struct changes *c = &r->changes;
    if (c->storing != NULL || c->next == NULL || repl_plan_held(r)) return true;
    if (c->next->change_count == 0) return true;
    struct repl_action *a = repl_action_add_held(out, REPL_DO_PERSIST_CHANGE, c->next);
    if (a == NULL) return false;
    c->storing = c->next;
    c->next = NULL;
    c->storing->token = repl_token(TOKEN_CHANGES, ++r->last_id);
    a->token = c->storing->token;
    a->changes = c->storing->changes;
    a->change_count = c->storing->change_count;
    return true;
}

/* The disk refused: back to what is durable, and nobody is asked for a while. */
static void failed(struct repl *r)
{
    struct changes *c = &r->changes;
    repl_count(r, REPL_COUNT_store_failures, 1);
    repl_sync_disk_failed(r);
    repl_sync_batch_done(r, c->storing->id, false);
    repl_receive_drop_next(r);
    repl_batch_drop(c->storing);
    c->storing = NULL;
    repl_vector_assign(&c->planned, &c->have);
}

/* Its origin hears that it is durable here, when it is a neighbour; one that we cannot be linked with, through the peer
 * from which we have it. */
static void owe_receipt(struct repl *r, const struct log_id *id, const struct node_name *from)
{
    struct member *origin = repl_member_find(r, &id->origin);
    if (origin != NULL && !repl_linkable(r, NULL, origin)) {
        struct member *via = repl_member_find(r, from);
        if (via != NULL && via->peer != NULL) via->peer->owes_others = true;
        return;
    }
    if (origin == NULL || origin->peer == NULL || !origin->peer->linked) return;
    if (id->epoch > origin->peer->owes.epoch ||
        (id->epoch == origin->peer->owes.epoch && id->seq > origin->peer->owes.seq)) {
        origin->peer->owes = *id;
    }
}

enum err repl_changes_stored(struct repl *r, const struct repl_event *ev)
{
    struct changes *c = &r->changes;
    struct repl_batch *b = c->storing;
    if (b == NULL || b->token != ev->token) return ERR_NOTFOUND;
    r->scan = true;
    if (ev->type == REPL_EV_STORE_FAILED) {
        failed(r);
        return ERR_OK;
    }
    bool flood = false;
    for (size_t i = 0; i < b->change_count; i++) {
        const struct log_id *id = &b->changes[i].id;
        repl_vector_raise(&c->have, &id->origin, id->epoch, id->seq);
        owe_receipt(r, id, &b->marks[i].from);
        repl_floor_changed(r, ev, b->changes[i].time);
        flood = flood || b->marks[i].flood;
    }
    memcpy(r->plan_digest, ev->plan_digest.b, sizeof r->plan_digest);
    c->storing = NULL;
    repl_sync_disk_works(r);
    repl_sync_batch_done(r, b->id, true);
    if (flood) {
        repl_changes_flood(r, b);
    } else {
        repl_batch_drop(b);
    }
    return ERR_OK;
}
