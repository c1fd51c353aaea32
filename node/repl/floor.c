/* floor: when deletions may be forgotten. The rules, and why, are in tests/model/replica.pml (3, 4).
 *
 * A tombstone keeps an older put that arrives late from bringing its object back. It may go when no older put can
 * arrive any more: when every member that is not gone for good holds the same vector, knows the same members, knows all
 * that it ever wrote itself, and has a clock that has passed every time in that vector. Whoever is all this sets its
 * own bit in a map of the members; the maps go round with the heartbeats and are joined, which is possible since
 * step_key says that two nodes mean the same vector and the same sorted list of names. Who holds a full map raises its
 * floor to its newest tombstone. All come to the same floor by themselves; one that missed it adopts it from a peer.
 * Who knows of a change that is still to be confirmed sets no bit: what will settle it has a time just behind it.
 *
 * With nothing to forget, nothing is sent. */
#include "node/repl/rooms.h"

#include <stdlib.h>

void repl_floor_init(struct repl *r, const struct repl_config *config)
{
    struct floors *f = &r->floors;
    f->floor = config->floor;
    f->tombstones = config->tombstones;
    f->pending = config->pending;
    f->time_max = config->time;
    if (r->clock.last.v < f->floor.v) r->clock.last = f->floor;
}

void repl_floor_fini(struct repl *r)
{
    free(r->floors.steps);
}

/* ---- the map ---- */

static size_t names(const struct repl *r)
{
    return r->members.count + 1;
}

/* Where our own name is in the sorted list of all. */
static size_t own_place(const struct repl *r)
{
    size_t at = 0;
    while (at < r->members.count && memcmp(&r->members.items[at]->name, &r->self, sizeof r->self) < 0)
        at++;
    return at;
}

static bool bit(const struct floors *f, size_t i)
{
    return (f->steps[i / 8] >> (i % 8) & 1) != 0;
}

static uint64_t key_now(const struct repl *r)
{
    uint64_t h = repl_hash_with(repl_member_who_root(r), r->changes.have.lane[0]);
    h = repl_hash_with(h, r->changes.have.lane[1]);
    return h != 0 ? h : 1;
}

static bool full(const struct repl *r)
{
    size_t self = own_place(r);
    for (size_t i = 0; i < names(r); i++) {
        const struct member *m = i == self ? NULL : r->members.items[i < self ? i : i - 1];
        if ((m == NULL || !repl_status_final(m->status)) && !bit(&r->floors, i)) return false;
    }
    return true;
}

/* Another vector or other members: everybody is asked anew. False: no memory. */
static bool renew(struct repl *r, uint64_t key)
{
    struct floors *f = &r->floors;
    size_t len = (names(r) + 7) / 8;
    if (f->key == key && f->steps_len == len) return true;
    unsigned char *steps = calloc(len, 1);
    if (steps == NULL) return false;
    free(f->steps);
    f->steps = steps;
    f->steps_len = len;
    f->key = key;
    f->version++;
    f->settled_at = mono_add_ms(r->now, REPL_FLOOR_SETTLE_MS);
    return true;
}

/* Nobody says that it has more of our own log than we have ourselves. */
static bool all_claims_held(const struct repl *r)
{
    for (size_t i = 0; i < r->members.peers.count; i++) {
        const struct vector_entry *c = &r->members.peers.items[i]->peer->claims;
        if (repl_vector_get(&r->changes.have, &r->self, c->epoch) < c->high) return false;
    }
    return true;
}

static void be_whole(struct repl *r)
{
    struct floors *f = &r->floors;
    f->whole = all_claims_held(r) && !r->joins && (f->whole || repl_all_have_spoken(r));
}

static void set_own_bit(struct repl *r)
{
    struct floors *f = &r->floors;
    size_t self = own_place(r);
    bool passed = repl_clock_read(&r->clock, r->wall).v >= f->time_max.v;
    if (!f->whole || !passed || bit(f, self) || f->pending > 0 || repl_changes_settling(r)) return;
    f->steps[self / 8] |= (unsigned char)(1u << (self % 8));
    f->version++;
}

/* ---- heartbeats ---- */

bool repl_floor_tell(const struct repl *r, const struct peer *p, struct repl_heartbeat *h, struct repl_actions *out)
{
    const struct floors *f = &r->floors;
    h->floor = f->floor;
    h->step_key = f->key;
    if (f->key == 0 || p->steps_told == f->version) return true;
    h->steps = arena_copy(&out->arena, (struct slice){(const char *)f->steps, f->steps_len});
    return h->steps.p != NULL;
}

void repl_floor_told(struct repl *r, struct peer *p, const struct repl_heartbeat *h, uint64_t token)
{
    if (h->steps.n == 0) return;
    p->steps_token = token;
    p->steps_sent = r->floors.version;
}

static void join_steps(struct repl *r, struct slice steps)
{
    struct floors *f = &r->floors;
    bool changed = false;
    for (size_t i = 0; i < f->steps_len; i++) {
        unsigned char theirs = (unsigned char)steps.p[i];
        changed = changed || (theirs & ~f->steps[i]) != 0;
        f->steps[i] |= theirs;
    }
    if (changed) f->version++;
}

void repl_floor_heard(struct repl *r, struct member *m, const struct repl_heartbeat *h)
{
    struct floors *f = &r->floors;
    m->peer->floor = h->floor;
    m->peer->claims = h->your_plan;
    if (h->floor.v > f->heard.v) f->heard = h->floor;
    if (f->key != 0 && h->step_key == f->key && h->steps.n == f->steps_len) join_steps(r, h->steps);
    if (h->floor.v > f->floor.v) repl_sync_want(r, m, true);
}

/* ---- raising ---- */

static bool idle(const struct repl *r)
{
    const struct changes *c = &r->changes;
    bool all_durable = memcmp(c->have.lane, c->planned.lane, sizeof c->have.lane) == 0 && c->storing == NULL &&
                       (c->local_count == 0 || c->local[c->local_head].state != LOCAL_STORING);
    return all_durable && r->floors.job == FLOOR_IDLE && !r->fetching.active;
}

static bool raise(struct repl *r, struct repl_actions *out)
{
    struct floors *f = &r->floors;
    const struct vector_entry *have;
    if (!repl_copy_entries(out, r->changes.have.items, r->changes.have.count, &have)) return false;
    struct repl_action *a = repl_action_add(out, REPL_DO_RAISE_FLOOR);
    if (a == NULL) return false;
    a->upto = have;
    a->upto_count = r->changes.have.count;
    a->token = f->token = repl_token(TOKEN_FLOOR, ++r->last_id);
    f->job = FLOOR_RAISING;
    return true;
}

bool repl_floor_flush(struct repl *r, struct repl_actions *out)
{
    struct floors *f = &r->floors;
    if (f->tombstones == 0 || repl_status_final(r->self_status)) {
        f->key = 0;
        return true;
    }
    if (!renew(r, key_now(r))) return false;
    be_whole(r);
    set_own_bit(r);
    if (!idle(r) || !full(r)) return true;
    struct mono at = mono_reached(f->not_before, f->settled_at) ? f->not_before : f->settled_at;
    if (mono_reached(r->now, at)) return raise(r, out);
    repl_wake(r, at);
    return true;
}

/* ---- adopting ---- */

static bool covered(const struct repl *r, const struct repl_push *p)
{
    for (size_t i = 0; i < p->cut_count; i++) {
        if (repl_vector_get(&r->changes.have, &p->cut[i].origin, p->cut[i].epoch) < p->cut[i].high) return false;
    }
    return true;
}

/* What of the cut is missing comes with the log; then it is offered again. */
void repl_floor_offered(struct repl *r, const struct member *m, const struct repl_push *p, struct repl_actions *out)
{
    struct floors *f = &r->floors;
    const struct vector_entry *cut;
    if (p->floor.v > m->peer->floor.v) return; /* not what its heartbeats say: the next one will, or it is not so */
    if (p->floor.v <= f->floor.v || !idle(r) || !mono_reached(r->now, f->not_before) || !covered(r, p)) return;
    if (!repl_copy_entries(out, p->cut, p->cut_count, &cut)) return;
    struct repl_action *a = repl_action_add(out, REPL_DO_ADOPT_FLOOR);
    if (a == NULL) return; /* the next heartbeat shows it again */
    a->floor = p->floor;
    a->upto = cut;
    a->upto_count = p->cut_count;
    a->token = f->token = repl_token(TOKEN_FLOOR, ++r->last_id);
    f->job = FLOOR_ADOPTING;
    f->from = m->name;
}

/* ---- what the store says ---- */

void repl_floor_changed(struct repl *r, const struct repl_event *ev, struct hlc time)
{
    struct floors *f = &r->floors;
    if (ev->floor.v > f->floor.v) f->floor = ev->floor;
    f->tombstones = ev->tombstones;
    f->pending = ev->pending;
    if (time.v > f->time_max.v) f->time_max = time;
    /* Nothing that we write may lie below it, whatever the wall clock says. */
    if (r->clock.last.v < f->floor.v) r->clock.last = f->floor;
}

enum err repl_floor_stored(struct repl *r, const struct repl_event *ev)
{
    struct floors *f = &r->floors;
    if (f->job == FLOOR_IDLE || f->token != ev->token) return ERR_NOTFOUND;
    bool adopting = f->job == FLOOR_ADOPTING;
    f->job = FLOOR_IDLE;
    r->scan = true;
    if (ev->type == REPL_EV_STORED) {
        repl_floor_changed(r, ev, f->floor);
        repl_count(r, adopting ? REPL_COUNT_floors_adopted : REPL_COUNT_floors_raised, 1);
        return ERR_OK;
    }
    f->not_before = mono_add_ms(r->now, REPL_FLOOR_RETRY_MS);
    repl_count(r, REPL_COUNT_floors_refused, 1);
    /* We hold something that comes too late for that floor: it has to go. */
    const struct member *m = adopting && ev->err == ERR_CONFLICT ? repl_member_find(r, &f->from) : NULL;
    if (m != NULL && m->peer != NULL) repl_fetch_want(r, m, m->peer->floor);
    return ERR_OK;
}
