/* net: what the mesh promises: a link per direction that is kept up for ever once it is dialled, a message that arrives
 * on the link that it was sent on or not at all, in any order, perhaps twice; and exactly one report of its fate. */
#include "tests/sim/world.h"

#include <stdlib.h>

#define SEND_TIMEOUT_US 500000

static void *must(void *p)
{
    ASSERT(p != NULL);
    return p;
}

static void *copy(struct arena *a, const void *items, size_t bytes)
{
    void *p = must(arena_alloc(a, bytes));
    if (bytes > 0) memcpy(p, items, bytes);
    return p;
}

void packet_drop(struct packet *p)
{
    if (p == NULL || --p->refs > 0) return;
    arena_fini(&p->arena);
    free(p);
}

/* ---- deep copies of messages ---- */

static void copy_heartbeat(struct arena *a, struct repl_heartbeat *h)
{
    struct member_note *notes = copy(a, h->notes, h->note_count * sizeof *notes);
    for (size_t i = 0; i < h->note_count; i++) {
        notes[i].mesh_address = arena_copy(a, notes[i].mesh_address);
        notes[i].site = arena_copy(a, notes[i].site);
    }
    h->notes = notes;
    h->accusations = copy(a, h->accusations, h->accusation_count * sizeof *h->accusations);
}

void net_copy_push(struct arena *a, struct repl_push *p)
{
    struct changeset *changes = copy(a, p->changes, p->change_count * sizeof *changes);
    for (size_t i = 0; i < p->change_count; i++) {
        struct change_op *ops = copy(a, changes[i].ops, changes[i].op_count * sizeof *ops);
        for (size_t k = 0; k < changes[i].op_count; k++) {
            ops[k].key = arena_copy(a, ops[k].key);
            ops[k].value = arena_copy(a, ops[k].value);
        }
        changes[i].ops = ops;
        changes[i].author = arena_copy(a, changes[i].author);
        changes[i].message = arena_copy(a, changes[i].message);
    }
    p->changes = changes;
    struct state_record *records = copy(a, p->records, p->record_count * sizeof *records);
    for (size_t i = 0; i < p->record_count; i++) {
        records[i].key = arena_copy(a, records[i].key);
        records[i].value = arena_copy(a, records[i].value);
    }
    p->records = records;
    p->state_upto = copy(a, p->state_upto, p->state_upto_count * sizeof *p->state_upto);
}

static struct packet *packet_new(const struct repl_message *m)
{
    struct packet *p = must(calloc(1, sizeof *p));
    p->message = *m;
    switch (m->type) {
    case REPL_HEARTBEAT: copy_heartbeat(&p->arena, &p->message.heartbeat); break;
    case REPL_PUSH: net_copy_push(&p->arena, &p->message.push); break;
    case REPL_WANT:
        p->message.want.plan = copy(&p->arena, m->want.plan, m->want.plan_count * sizeof *m->want.plan);
        p->message.want.state = copy(&p->arena, m->want.state, m->want.state_count * sizeof *m->want.state);
        break;
    case REPL_RECEIPT:
        p->message.receipt.ids = copy(&p->arena, m->receipt.ids, m->receipt.id_count * sizeof *m->receipt.ids);
        break;
    case REPL_TYPE_COUNT: ASSERT(false);
    }
    return p;
}

/* ---- sending ---- */

static uint64_t delay_us(struct world *w)
{
    /* Mostly near; now and then a straggler that overtakes nothing and is overtaken by much. */
    return world_chance(w, 3) ? world_random(w, 50000, 400000) : world_random(w, 1000, 65000);
}

static void schedule(struct world *w, uint64_t after_us, enum event_type type, struct packet *p)
{
    p->refs++;
    world_push(w, after_us, (struct event){.type = type, .packet = p});
}

void net_send(struct world *w, size_t from, size_t to, uint64_t token, const struct repl_message *m)
{
    struct sim_link *l = &w->nodes[from].links[to];
    struct packet *p = packet_new(m);
    p->from = from;
    p->to = to;
    p->from_boot = w->nodes[from].boot;
    p->to_boot = l->boot;
    p->token = token;
    p->sent_us = w->now_us;
    w->n.sent++;
    if (m->type == REPL_WANT) w->n.wants++;
    bool lost = !l->up || world_chance(w, w->loss_percent) || (w->o.no_sync && m->type == REPL_WANT);
    if (lost) {
        w->n.lost++;
    } else {
        schedule(w, delay_us(w), SIM_DELIVER, p);
        if (world_chance(w, w->duplicate_percent)) schedule(w, delay_us(w), SIM_DELIVER, p);
    }
    schedule(w, SEND_TIMEOUT_US, SIM_TIMEOUT, p);
}

static bool reachable(const struct world *w, size_t a, size_t b)
{
    return w->nodes[a].core != NULL && w->nodes[b].core != NULL && w->nodes[a].group == w->nodes[b].group;
}

static void deliver(struct world *w, struct packet *p)
{
    bool same_lives = w->nodes[p->from].boot == p->from_boot && w->nodes[p->to].boot == p->to_boot;
    if (!reachable(w, p->from, p->to) || !same_lives) return;
    struct repl_event ev = {.type = REPL_EV_MESSAGE, .peer = sim_name(p->from), .message = &p->message};
    world_step(w, p->to, &ev);
    if (!world_chance(w, w->loss_percent)) schedule(w, delay_us(w), SIM_ACK, p);
}

static void settle(struct world *w, struct packet *p, bool sent)
{
    if (p->settled || w->nodes[p->from].core == NULL || w->nodes[p->from].boot != p->from_boot) return;
    p->settled = true;
    struct repl_event ev = {.type = sent ? REPL_EV_SENT : REPL_EV_SEND_FAILED,
                            .peer = sim_name(p->to),
                            .token = p->token,
                            .rtt_us = (uint32_t)(w->now_us - p->sent_us)};
    world_step(w, p->from, &ev);
}

/* ---- links ---- */

static void try_later(struct world *w, size_t from, size_t to, uint64_t after_us)
{
    struct sim_link *l = &w->nodes[from].links[to];
    if (l->trying) return;
    l->trying = true;
    world_push(w, after_us,
               (struct event){.type = SIM_LINK_TRY, .node = from, .peer = to, .boot = w->nodes[from].boot});
}

void net_dial(struct world *w, size_t from, size_t to)
{
    struct sim_link *l = &w->nodes[from].links[to];
    l->wanted = true;
    if (!l->up) try_later(w, from, to, world_random(w, 1000, 20000));
}

void net_hang_up(struct world *w, size_t from, size_t to)
{
    w->nodes[from].links[to].wanted = w->nodes[from].links[to].up = false;
}

static void link_try(struct world *w, size_t from, size_t to)
{
    struct sim_link *l = &w->nodes[from].links[to];
    l->trying = false;
    if (!l->wanted || l->up) return;
    if (!reachable(w, from, to)) {
        try_later(w, from, to, world_random(w, 300000, 700000));
        return;
    }
    l->up = true;
    l->boot = w->nodes[to].boot;
    struct repl_event ev = {.type = REPL_EV_LINK_UP, .peer = sim_name(to)};
    world_step(w, from, &ev);
}

static bool holds(const struct world *w, size_t from, size_t to)
{
    return reachable(w, from, to) && w->nodes[from].links[to].boot == w->nodes[to].boot;
}

static void link_lost(struct world *w, size_t from, size_t to)
{
    struct sim_link *l = &w->nodes[from].links[to];
    if (!l->up || holds(w, from, to)) return;
    l->up = false;
    struct repl_event ev = {.type = REPL_EV_LINK_DOWN, .peer = sim_name(to)};
    world_step(w, from, &ev);
    if (l->wanted) try_later(w, from, to, world_random(w, 300000, 700000));
}

void net_check_links(struct world *w)
{
    for (size_t a = 0; a < w->o.nodes; a++) {
        for (size_t b = 0; b < w->o.nodes; b++) {
            if (!w->nodes[a].links[b].up || holds(w, a, b)) continue;
            struct event ev = {.type = SIM_LINK_LOST, .node = a, .peer = b, .boot = w->nodes[a].boot};
            world_push(w, world_random(w, 200000, 2000000), ev);
        }
    }
}

void net_event(struct world *w, struct event *ev)
{
    bool same_life = ev->packet != NULL || (w->nodes[ev->node].core != NULL && w->nodes[ev->node].boot == ev->boot);
    if (!same_life) return;
    switch (ev->type) {
    case SIM_DELIVER: deliver(w, ev->packet); break;
    case SIM_ACK: settle(w, ev->packet, true); break;
    case SIM_TIMEOUT: settle(w, ev->packet, false); break;
    case SIM_LINK_TRY: link_try(w, ev->node, ev->peer); break;
    case SIM_LINK_LOST: link_lost(w, ev->node, ev->peer); break;
    default: ASSERT(false);
    }
}
