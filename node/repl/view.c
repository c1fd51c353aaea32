/* view: what the core shows of itself to people and to routing. It changes nothing. */
#include "node/repl/rooms.h"

size_t repl_member_count(const struct repl *r)
{
    return r->members.count + 1;
}

static struct repl_member_view view_self(const struct repl *r)
{
    struct repl_member_view v = {.name = r->self,
                                 .site = slice_of(r->site),
                                 .mesh_address = slice_of(r->address),
                                 .status = r->self_status,
                                 .incarnation = r->incarnation,
                                 .heard = r->now,
                                 .since = r->self_since,
                                 .issued = r->issued,
                                 .barred = r->barred,
                                 .totals_known = true,
                                 .state_in_step = true,
                                 .current = r->now,
                                 .plan_known = true,
                                 .in_step = true};
    memcpy(v.plan_digest, r->plan_digest, sizeof v.plan_digest);
    return v;
}

/* Sums say how far apart two vectors are; how much of our own log it has says more where both sides went on. */
static void differ(uint64_t ours, uint64_t its, uint64_t lacks_at_least, uint64_t *behind, uint64_t *ahead)
{
    *behind = ours > its ? ours - its : 0;
    if (*behind < lacks_at_least) *behind = lacks_at_least;
    *ahead = its + *behind > ours ? its + *behind - ours : 0;
}

static void view_totals(const struct repl *r, const struct peer *p, struct repl_member_view *v)
{
    unsigned char state[REPL_ROOT_LEN];
    uint64_t own = repl_vector_get(&r->changes.have, &r->self, r->changes.epoch);
    uint64_t own_state = repl_vector_get(&r->states.have, &r->self, r->states.epoch);
    repl_vector_root(&r->states.have, state);
    v->state_in_step = p->roots_known && memcmp(state, p->state_root, sizeof state) == 0;
    /* Versions are consecutive within a run, and leap between two. */
    v->own_state_known = p->your_state.epoch == r->states.epoch && p->your_state.high >= r->states.base;
    if (v->own_state_known && own_state > p->your_state.high) v->own_state_behind = own_state - p->your_state.high;
    v->totals_known = p->totals.known;
    v->current = p->current;
    if (!v->totals_known) return;
    if (!v->in_step) {
        differ(r->changes.have.total, p->totals.plan, own > p->has_seq ? own - p->has_seq : 0, &v->plan_behind,
               &v->plan_ahead);
        /* As many, but not the same: each lacks what the sums do not show. */
        bool as_many = v->plan_behind == 0 && v->plan_ahead == 0;
        v->totals_known = !(as_many && p->roots_known && !p->totals_grown);
    }
}

static void view_peer(const struct repl *r, const struct peer *p, struct repl_member_view *v)
{
    unsigned char root[REPL_ROOT_LEN];
    repl_vector_root(&r->changes.have, root);
    v->linked = p->linked;
    v->rtt_us = p->rtt_us;
    v->heard = p->heard;
    v->plan_known = p->digest_known;
    memcpy(v->plan_digest, p->plan_digest, sizeof v->plan_digest);
    v->in_step = p->roots_known && memcmp(root, p->plan_root, sizeof root) == 0;
    view_totals(r, p, v);
}

struct repl_member_view repl_member_at(const struct repl *r, size_t i)
{
    ASSERT(i <= r->members.count);
    if (i == 0) return view_self(r);
    const struct member *m = r->members.items[i - 1];
    struct repl_member_view v = {.name = m->name,
                                 .site = repl_member_text(m->site),
                                 .mesh_address = repl_member_text(m->address),
                                 .status = m->status,
                                 .incarnation = m->incarnation,
                                 .since = m->since,
                                 .issued = m->issued,
                                 .barred = m->barred};
    if (m->peer != NULL) view_peer(r, m->peer, &v);
    return v;
}

enum member_status repl_member_status(const struct repl *r, const struct node_name *name)
{
    if (node_name_eq(name, &r->self)) return r->self_status;
    const struct member *m = repl_member_find(r, name);
    return m != NULL ? m->status : MEMBER_DEAD;
}

struct vector_entry repl_own_state(const struct repl *r)
{
    return (struct vector_entry){r->self, r->states.epoch, r->states.version};
}

struct repl_floor_view repl_floor(const struct repl *r)
{
    const struct fetching *f = &r->fetching;
    return (struct repl_floor_view){.floor = r->floors.floor,
                                    .tombstones = r->floors.tombstones,
                                    .fetching = f->active,
                                    .donor = f->donor,
                                    .objects = f->objects};
}
static size_t batch_bytes(const struct repl_batch *b)
{
    return b != NULL ? b->bytes : 0;
}

static size_t flood_length(const struct repl *r)
{
    size_t n = 0;
    for (const struct repl_batch *b = r->changes.flood; b != NULL; b = b->next)
        n++;
    return n;
}

struct repl_queue repl_queue_at(const struct repl *r, size_t i)
{
    const struct changes *c = &r->changes;
    const struct states *s = &r->states;
    switch (i) {
    case 0: return (struct repl_queue){"local changes", c->local_count, REPL_LOCAL_QUEUE};
    case 1: return (struct repl_queue){"held changes", c->held_count, REPL_HELD_MAX};
    case 2: return (struct repl_queue){"bytes of held changes", c->held_bytes, REPL_HELD_BYTES};
    case 3:
        return (struct repl_queue){"bytes of received changes", batch_bytes(c->storing) + batch_bytes(c->next),
                                   2 * REPL_NEXT_BYTES};
    case 4: return (struct repl_queue){"batches to flood", flood_length(r), REPL_LOCAL_QUEUE + 1};
    case 5: return (struct repl_queue){"own records", (size_t)(s->own_tail - s->own_head), REPL_STATE_QUEUE};
    case 6:
        return (struct repl_queue){"bytes of received records", batch_bytes(s->storing) + batch_bytes(s->next),
                                   2 * REPL_NEXT_BYTES};
    case 7: return (struct repl_queue){"bytes of own records to push", batch_bytes(s->out), LIMIT_MESH_CHUNK};
    default: break;
    }
    ASSERT(i == REPL_QUEUE_COUNT - 1);
    return (struct repl_queue){"members", r->members.count, LIMIT_MEMBERS};
}

struct hlc repl_now(const struct repl *r)
{
    return repl_clock_read(&r->clock, r->wall);
}

const struct counter_table *repl_counters(const struct repl *r)
{
    return &r->counter_table;
}

uint64_t repl_plan_epoch(const struct repl *r)
{
    return r->changes.epoch;
}

uint64_t repl_state_epoch(const struct repl *r)
{
    return r->states.epoch;
}
