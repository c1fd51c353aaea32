/* world: the queue of events, and the run: faults until the world heals, then agreement, then the calm (calm.c). */
#include "tests/sim/world.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#define CHECK_US 250000
#define AGREE_US 15000000 /* after everything healed */

void world_void(struct world *w, const struct log_id *id)
{
    for (size_t i = 0; i < w->applied_count; i++) {
        struct applied *a = &w->applied[i];
        bool same = a->id.seq == id->seq && a->id.epoch == id->epoch && node_name_eq(&a->id.origin, &id->origin);
        if (same) a->void_ = true;
    }
}

void *world_alloc(size_t count, size_t size)
{
    void *p = calloc(count, size);
    ASSERT(p != NULL);
    return p;
}

void world_trace(const struct world *w, size_t node, const char *fmt, ...)
{
    if (!w->o.trace) return;
    va_list ap;
    va_start(ap, fmt);
    printf("%" PRIu64 " n%zu ", w->now_us, node);
    (void)vprintf(fmt, ap);
    printf("\n");
    va_end(ap);
}

uint64_t world_random(struct world *w, uint64_t low, uint64_t high)
{
    return low + rng_below(&w->rng, high - low + 1);
}

bool world_chance(struct world *w, unsigned percent)
{
    return percent > 0 && rng_below(&w->rng, 100) < percent;
}

void world_violate(struct world *w, const char *what, const char *fmt, ...)
{
    if (w->violation != NULL) return;
    w->violation = what;
    va_list ap;
    va_start(ap, fmt);
    (void)vsnprintf(w->violation_text, sizeof w->violation_text, fmt, ap);
    va_end(ap);
}

/* ---- the event queue ---- */

static bool before(const struct event *a, const struct event *b)
{
    return a->at_us != b->at_us ? a->at_us < b->at_us : a->seq < b->seq;
}

void world_push(struct world *w, uint64_t after_us, struct event ev)
{
    if (w->heap_count == w->heap_cap) {
        w->heap_cap = w->heap_cap == 0 ? 1024 : w->heap_cap * 2;
        w->heap = realloc(w->heap, w->heap_cap * sizeof *w->heap);
        ASSERT(w->heap != NULL);
    }
    ev.at_us = w->now_us + after_us;
    ev.seq = w->seq++;
    size_t i = w->heap_count++;
    for (; i > 0 && before(&ev, &w->heap[(i - 1) / 2]); i = (i - 1) / 2)
        w->heap[i] = w->heap[(i - 1) / 2];
    w->heap[i] = ev;
}

static struct event pop(struct world *w)
{
    struct event top = w->heap[0];
    struct event last = w->heap[--w->heap_count];
    size_t i = 0;
    for (;;) {
        size_t child = 2 * i + 1;
        if (child >= w->heap_count) break;
        if (child + 1 < w->heap_count && before(&w->heap[child + 1], &w->heap[child])) child++;
        if (!before(&w->heap[child], &last)) break;
        w->heap[i] = w->heap[child];
        i = child;
    }
    if (w->heap_count > 0) w->heap[i] = last;
    return top;
}

/* ---- running ---- */

/* Whose process it is that an event waits for; SIZE_MAX: nobody's. */
static size_t actor(const struct event *ev)
{
    switch (ev->type) {
    case SIM_DELIVER: return ev->packet->to;
    case SIM_ACK:
    case SIM_TIMEOUT: return ev->packet->from;
    case SIM_TICK:
    case SIM_LINK_TRY:
    case SIM_LINK_LOST:
    case SIM_STORE_DONE:
    case SIM_REREPORT: return ev->node;
    case SIM_FLAP:
    case SIM_START:
    case SIM_STOP:
    case SIM_DISK:
    case SIM_WORK:
    case SIM_FAULT:
    case SIM_HEAL:
    case SIM_CHECK:
    case SIM_CALM: break;
    }
    return SIZE_MAX;
}

static void handle(struct world *w, struct event *ev)
{
    w->n.events++;
    bool alive = w->nodes[ev->node].core != NULL && w->nodes[ev->node].boot == ev->boot;
    switch (ev->type) {
    case SIM_TICK:
        if (alive) driver_tick(w, ev->node);
        break;
    case SIM_DELIVER:
    case SIM_ACK:
    case SIM_TIMEOUT:
    case SIM_LINK_TRY:
    case SIM_LINK_LOST: net_event(w, ev); break;
    case SIM_FLAP: fault_flap(w, ev); break;
    case SIM_STORE_DONE:
        if (alive) driver_store_done(w, ev->node);
        break;
    case SIM_START: life_start(w, ev->node); break;
    case SIM_STOP: life_crash(w, ev->node); break;
    case SIM_DISK:
        w->nodes[ev->node].disk = DISK_GOOD;
        w->nodes[ev->node].disk_slow_us = 0;
        break;
    case SIM_REREPORT: driver_rereport(w, ev); break;
    case SIM_WORK: work_next(w); break;
    case SIM_FAULT: fault_next(w); break;
    case SIM_HEAL: fault_heal(w); break;
    case SIM_CHECK:
        invariant_check(w);
        world_push(w, CHECK_US, (struct event){.type = SIM_CHECK});
        break;
    case SIM_CALM: calm_next(w); break;
    }
    packet_drop(ev->packet);
}

static int in_order(const void *a, const void *b)
{
    return before(a, b) ? -1 : 1;
}

void world_wake(struct world *w, size_t node)
{
    struct sim_node *n = &w->nodes[node];
    if (!life_paused(w, node)) return;
    for (size_t i = 0; i < w->heap_count; i++) {
        if (w->heap[i].at_us == n->paused_until_us && actor(&w->heap[i]) == node) w->heap[i].at_us = w->now_us;
    }
    qsort(w->heap, w->heap_count, sizeof *w->heap, in_order); /* a sorted array is a heap */
    n->paused_until_us = n->awake_us = w->now_us;
}

/* A process that stands still does nothing; what comes for it waits in the kernel. */
static bool deferred(struct world *w, const struct event *ev)
{
    size_t who = actor(ev);
    if (who == SIZE_MAX || !life_paused(w, who)) return false;
    world_push(w, w->nodes[who].paused_until_us - w->now_us, *ev);
    return true;
}

void world_init(struct world *w, const struct sim_options *o)
{
    *w = (struct world){.o = *o};
    rng_init(&w->rng, o->seed);
    w->change_buckets = 4096;
    w->changes = world_alloc(w->change_buckets, sizeof(struct sim_change *));
    for (size_t i = 0; i < o->nodes; i++)
        w->nodes[i].jobs_tail = &w->nodes[i].jobs;
    fault_begin(w);
    world_push(w, CHECK_US, (struct event){.type = SIM_CHECK});
}

bool world_run(struct world *w)
{
    while (w->violation == NULL && w->calm.stage != CALM_OVER) {
        struct event ev = pop(w);
        w->now_us = ev.at_us;
        if (deferred(w, &ev)) continue;
        handle(w, &ev);
        for (size_t i = 0; i < w->o.nodes; i++)
            oracle_look(w, i);
        if (!w->healed || w->calm.stage != CALM_NOT_YET || ev.type != SIM_CHECK) continue;
        const char *missing = invariant_agreement(w);
        if (missing == NULL) {
            w->agreed_ms = (w->now_us - w->heal_us) / 1000;
            calm_begin(w);
        }
        if (missing != NULL && w->now_us > w->heal_us + AGREE_US)
            world_violate(w, "all agree after healing", "%s", missing);
    }
    return w->violation == NULL;
}

static void free_changes(struct sim_change *c)
{
    while (c != NULL) {
        struct sim_change *next = c->next;
        arena_fini(&c->arena);
        free(c);
        c = next;
    }
}

static void free_node(struct sim_node *n)
{
    repl_free(n->core);
    while (n->jobs != NULL)
        driver_drop_job(n);
    sim_store_fini(&n->store);
    oracle_fini(&n->oracle);
    if (n->backup != NULL) sim_store_fini(n->backup);
    free(n->backup);
}

void world_fini(struct world *w)
{
    for (size_t i = 0; i < w->heap_count; i++) {
        packet_drop(w->heap[i].packet);
        free(w->heap[i].list);
    }
    free(w->heap);
    for (size_t i = 0; i < w->o.nodes; i++)
        free_node(&w->nodes[i]);
    free_changes(w->forgotten);
    for (size_t i = 0; i < w->change_buckets; i++)
        free_changes(w->changes[i]);
    free(w->changes);
    free(w->applied);
}
