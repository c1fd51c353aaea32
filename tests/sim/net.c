/* net: what the mesh promises: a link per direction that is kept up for ever once it is dialled, a message that arrives
 * on the link that it was sent on or not at all, in any order, perhaps twice; and exactly one report of its fate.
 *
 * Each direction between two nodes has a path of its own: delay, jitter, loss, repetition, stragglers, a narrow place
 * before which messages queue. A path that is cut lets nothing through; what was sent into the cut may still arrive
 * when it is mended soon, as TCP sends it again. An acknowledgement travels the path back, so a path that is cut in one
 * direction carries messages whose sender never hears of it. */
#include "tests/sim/world.h"

#include <stdlib.h>

#define SEND_TIMEOUT_US 500000
#define FLYING_MAX 1024      /* messages of one direction that are not settled; the next is refused */
#define QUEUE_US_MAX 2000000 /* a message that would wait longer before a narrow place is dropped there */

static struct sim_path *path(struct world *w, size_t from, size_t to)
{
    return &w->nodes[from].links[to].path;
}

/* ---- sending ---- */

static void schedule(struct world *w, uint64_t after_us, enum event_type type, struct packet *p)
{
    p->refs++;
    world_push(w, after_us, (struct event){.type = type, .packet = p});
}

static uint64_t travel_us(struct world *w, const struct sim_path *p)
{
    uint64_t us = p->delay_us + world_random(w, 0, p->jitter_us);
    return world_chance(w, p->straggle_percent) ? us + world_random(w, 50000, 400000) : us;
}

/* How long it waits before the narrow place; false: there is no room for it. */
static bool squeeze(struct world *w, struct sim_path *p, size_t bytes, uint64_t *wait_us)
{
    *wait_us = 0;
    if (p->bytes_per_s == 0) return true;
    if (p->free_us < w->now_us) p->free_us = w->now_us;
    if (p->free_us - w->now_us > QUEUE_US_MAX) return false;
    p->free_us += bytes * 1000000 / p->bytes_per_s;
    *wait_us = p->free_us - w->now_us;
    return true;
}

static bool withheld(const struct world *w, const struct repl_message *m)
{
    if (w->o.canary == CANARY_SYNC) return m->type == REPL_WANT;
    return w->o.canary == CANARY_FLOOD && m->type == REPL_PUSH && !m->push.answer && m->push.change_count > 0;
}

static void transmit(struct world *w, struct sim_path *way, struct packet *p)
{
    uint64_t wait_us;
    uint64_t late_us = way->cut && world_chance(w, 30) ? world_random(w, 500000, 3000000) : 0;
    bool lost = world_chance(w, way->loss_percent) || (way->cut && late_us == 0) || withheld(w, &p->message);
    if (lost || !squeeze(w, way, packet_bytes(&p->message), &wait_us)) {
        w->n.lost++;
        return;
    }
    schedule(w, late_us + wait_us + travel_us(w, way), SIM_DELIVER, p);
    if (world_chance(w, way->duplicate_percent)) schedule(w, wait_us + travel_us(w, way), SIM_DELIVER, p);
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
    bool room = l->path.flying < FLYING_MAX;
    if (l->up && room) {
        transmit(w, &l->path, p);
    } else {
        w->n.lost++;
    }
    l->path.flying++;
    schedule(w, l->up && room ? SEND_TIMEOUT_US : 1, SIM_TIMEOUT, p);
}

/* ---- arriving ---- */

/* A message is a sign of life of its sender; and it may bring word of others' new lives, from one who hears them. */
static void note_signs(struct world *w, const struct packet *p)
{
    struct sim_node *n = &w->nodes[p->to];
    n->links[p->from].heard_us = w->now_us;
    if (p->message.type != REPL_HEARTBEAT) return;
    for (size_t i = 0; i < p->message.heartbeat.note_count; i++) {
        const struct member_note *note = &p->message.heartbeat.notes[i];
        if (note->status == MEMBER_ALIVE) n->links[sim_index(&note->name)].heard_us = w->now_us;
    }
}

static void deliver(struct world *w, struct packet *p)
{
    const struct sim_node *from = &w->nodes[p->from];
    const struct sim_node *to = &w->nodes[p->to];
    bool same_lives = from->boot == p->from_boot && to->boot == p->to_boot;
    if (!same_lives || to->core == NULL || path(w, p->from, p->to)->cut) return;
    struct repl_event ev = {.type = REPL_EV_MESSAGE, .peer = sim_name(p->from), .message = &p->message};
    note_signs(w, p);
    world_step(w, p->to, &ev);
    struct sim_path *back = path(w, p->to, p->from);
    if (!back->cut && !world_chance(w, back->loss_percent)) schedule(w, travel_us(w, back), SIM_ACK, p);
}

static void settle(struct world *w, struct packet *p, bool sent)
{
    if (p->settled) return;
    p->settled = true;
    w->nodes[p->from].links[p->to].path.flying--;
    if (w->nodes[p->from].core == NULL || w->nodes[p->from].boot != p->from_boot) return;
    if (sent) w->nodes[p->from].links[p->to].heard_us = w->now_us; /* an acknowledgement is a sign of life as well */
    struct repl_event ev = {.type = sent ? REPL_EV_SENT : REPL_EV_SEND_FAILED,
                            .peer = sim_name(p->to),
                            .token = p->token,
                            .rtt_us = (uint32_t)(w->now_us - p->sent_us)};
    world_step(w, p->from, &ev);
}

/* ---- links ---- */

static bool reachable(struct world *w, size_t a, size_t b)
{
    bool up = w->nodes[a].core != NULL && w->nodes[b].core != NULL && !life_paused(w, b);
    return up && !path(w, a, b)->cut && !path(w, b, a)->cut;
}

static void try_later(struct world *w, size_t from, size_t to, uint64_t after_us)
{
    struct sim_link *l = &w->nodes[from].links[to];
    if (l->trying) return;
    l->trying = true;
    world_push(w, after_us,
               (struct event){.type = SIM_LINK_TRY, .node = from, .peer = to, .boot = w->nodes[from].boot});
}

bool net_walled(const struct world *w, size_t node)
{
    return node >= w->o.nodes - w->o.walled;
}

size_t net_dialled_count(const struct world *w)
{
    size_t count = 0;
    for (size_t i = 0; i < w->o.nodes - w->o.walled; i++)
        count += life_member(w, i) && w->nodes[i].core != NULL ? 1 : 0;
    return count;
}

/* from cannot dial to, and waits until to has dialled it. */
static bool awaits(struct world *w, size_t from, size_t to)
{
    return net_walled(w, to) && !w->nodes[to].links[from].up;
}

void net_dial(struct world *w, size_t from, size_t to)
{
    struct sim_link *l = &w->nodes[from].links[to];
    l->wanted = true;
    l->hung_up = false;
    if (!l->up && !awaits(w, from, to)) try_later(w, from, to, world_random(w, 1000, 20000));
}

void net_hang_up(struct world *w, size_t from, size_t to)
{
    struct sim_link *l = &w->nodes[from].links[to];
    l->wanted = l->up = false;
    l->hung_up = true;
}

/* node, that cannot be dialled, has dialled to. */
static void called(struct world *w, size_t to, size_t node)
{
    struct sim_link *back = &w->nodes[to].links[node];
    if (!back->hung_up) net_dial(w, to, node);
}

static void link_try(struct world *w, size_t from, size_t to)
{
    struct sim_link *l = &w->nodes[from].links[to];
    l->trying = false;
    if (!l->wanted || l->up || awaits(w, from, to)) return;
    if (!reachable(w, from, to)) {
        try_later(w, from, to, world_random(w, 300000, 700000));
        return;
    }
    l->up = true;
    l->boot = w->nodes[to].boot;
    l->heard_us = w->now_us; /* its hello */
    if (net_walled(w, from)) called(w, to, from);
    struct repl_event ev = {.type = REPL_EV_LINK_UP, .peer = sim_name(to)};
    world_step(w, from, &ev);
}

static bool holds(struct world *w, size_t from, size_t to)
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
            world_push(w, world_random(w, 200000, 2500000), ev);
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
