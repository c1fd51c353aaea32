/* world: the event queue, and the driver of each core: it carries out actions as node/app does, against the models. */
#include "tests/sim/world.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#define CHECK_US 250000
#define AGREE_US 15000000 /* after everything healed */

static void *must(void *p)
{
    ASSERT(p != NULL);
    return p;
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
        w->heap = must(realloc(w->heap, w->heap_cap * sizeof *w->heap));
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

/* ---- the store's writer ---- */

bool world_has(const struct world *w, const struct log_id *id)
{
    for (size_t i = 0; i < w->o.nodes; i++) {
        if (sim_store_has(&w->nodes[i].store, id)) return true;
    }
    return false;
}

void world_drop_job(struct sim_node *n)
{
    struct job *j = n->jobs;
    n->jobs = j->next;
    if (n->jobs == NULL) n->jobs_tail = &n->jobs;
    arena_fini(&j->arena);
    free(j);
}

enum err world_commit(struct world *w, size_t node, const struct job *j)
{
    struct sim_store *s = &w->nodes[node].store;
    const struct repl_push *p = &j->what;
    if (j->of_changes) return sim_store_changes(w, s, p->changes, p->change_count);
    sim_store_records(s, p->records, p->record_count, p->state_upto, p->state_upto_count);
    return ERR_OK;
}

static void writer_next(struct world *w, size_t node)
{
    struct event ev = {.type = SIM_STORE_DONE, .node = node, .boot = w->nodes[node].boot};
    world_push(w, world_random(w, 300, 4000), ev);
}

static void persist(struct world *w, size_t node, const struct repl_action *a)
{
    struct sim_node *n = &w->nodes[node];
    struct job *j = must(calloc(1, sizeof *j));
    j->token = a->token;
    j->of_changes = a->type == REPL_DO_PERSIST_CHANGE;
    j->what = (struct repl_push){.changes = a->changes,
                                 .change_count = a->change_count,
                                 .records = a->records,
                                 .record_count = a->record_count,
                                 .state_upto = a->upto,
                                 .state_upto_count = a->upto_count};
    net_copy_push(&j->arena, &j->what);
    bool idle = n->jobs == NULL;
    *n->jobs_tail = j;
    n->jobs_tail = &j->next;
    if (idle) writer_next(w, node);
}

static void store_done(struct world *w, size_t node)
{
    struct sim_node *n = &w->nodes[node];
    struct job *j = n->jobs;
    struct repl_event ev = {.type = REPL_EV_STORED, .token = j->token};
    ev.err = world_chance(w, w->store_fail_percent) ? ERR_IO : world_commit(w, node, j);
    if (ev.err != ERR_OK) ev.type = REPL_EV_STORE_FAILED;
    sim_store_digest(&n->store, ev.plan_digest.b);
    world_drop_job(n);
    if (n->jobs != NULL) writer_next(w, node);
    world_step(w, node, &ev);
}

/* ---- carrying out what the core decides ---- */

static void note_applied(struct world *w, size_t node, const struct log_id *id)
{
    if (w->applied_count == w->applied_cap) {
        w->applied_cap = w->applied_cap == 0 ? 256 : w->applied_cap * 2;
        w->applied = must(realloc(w->applied, w->applied_cap * sizeof *w->applied));
    }
    w->applied[w->applied_count++] = (struct applied){.id = *id, .node = node};
    w->n.changes++;
}

static void send_missing(struct world *w, size_t node, const struct repl_action *a)
{
    struct arena arena = {0};
    struct repl_message m = {.type = REPL_PUSH, .from = sim_name(node)};
    sim_store_missing(&w->nodes[node].store, &a->want, &arena, &m.push);
    net_send(w, node, sim_index(&a->peer), a->token, &m);
    arena_fini(&arena);
}

static void new_epoch(struct world *w, size_t node, const struct repl_action *a)
{
    struct sim_node *n = &w->nodes[node];
    w->n.epochs++;
    if (!a->of_state) {
        n->store.epoch = a->epoch;
        return;
    }
    struct sim_record *list = must(calloc(SIM_RECORDS, sizeof *list));
    memcpy(list, n->store.owners[node].records, SIM_RECORDS * sizeof *list);
    world_push(w, 1000, (struct event){.type = SIM_REREPORT, .node = node, .boot = n->boot, .list = list});
}

static void remember_member(struct world *w, size_t node, const struct repl_action *a)
{
    w->nodes[node].store.members[sim_index(&a->member.name)] =
        (struct member_status_of){true, a->member.status, a->member.incarnation};
}

static void perform(struct world *w, size_t node, const struct repl_action *a)
{
    switch (a->type) {
    case REPL_DO_SEND:
        if (a->message.type == REPL_WANT) invariant_want(w, node, &a->message.want);
        net_send(w, node, sim_index(&a->peer), a->token, &a->message);
        break;
    case REPL_DO_SEND_MISSING: send_missing(w, node, a); break;
    case REPL_DO_PERSIST_CHANGE:
    case REPL_DO_PERSIST_STATE: persist(w, node, a); break;
    case REPL_DO_DIAL: net_dial(w, node, sim_index(&a->peer)); break;
    case REPL_DO_HANGUP: net_hang_up(w, node, sim_index(&a->peer)); break;
    case REPL_DO_MEMBER: remember_member(w, node, a); break;
    case REPL_DO_APPLIED: note_applied(w, node, &a->id); break;
    case REPL_DO_RECEIPT:
        w->n.receipts++;
        invariant_receipt(w, node, a);
        break;
    case REPL_DO_ALARM:
        w->n.alarms++;
        if (w->o.trace) printf("%" PRIu64 " n%zu alarm %.*s\n", w->now_us, node, SLICE_ARG(a->text));
        break;
    case REPL_DO_REJECTED: w->n.rejected++; break;
    case REPL_DO_STATE_STORED: w->n.records += a->err == ERR_OK; break;
    case REPL_DO_NEW_EPOCH: new_epoch(w, node, a); break;
    }
}

static void trace_action(const struct world *w, size_t node, const struct repl_action *a)
{
    static const char *const names[] = {"send",     "missing", "persist-change", "persist-state", "dial",
                                        "hangup",   "member",  "applied",        "receipt",       "alarm",
                                        "rejected", "stored",  "new-epoch"};
    printf("%" PRIu64 " n%zu %s peer=%s type=%d changes=%zu records=%zu status=%s\n", w->now_us, node, names[a->type],
           a->peer.s, a->type == REPL_DO_SEND ? (int)a->message.type : 0, a->change_count, a->record_count,
           a->type == REPL_DO_MEMBER ? member_status_name(a->member.status) : "-");
    for (size_t i = 0; i < a->record_count; i++) {
        printf("  record %s/%" PRIu64 " %.*s\n", a->records[i].owner.s, a->records[i].version,
               SLICE_ARG(a->records[i].key));
    }
    for (size_t i = 0; i < a->upto_count && a->type == REPL_DO_PERSIST_STATE; i++) {
        printf("  upto %s/%" PRIu64 "/%" PRIu64 "\n", a->upto[i].origin.s, a->upto[i].epoch, a->upto[i].high);
    }
    if (a->type == REPL_DO_SEND && a->message.type == REPL_PUSH && a->message.push.record_count > 0) {
        printf("  state after %" PRIu64 " upto %" PRIu64 "\n", a->message.push.state_after,
               a->message.push.state_upto[0].high);
    }
    if (a->type != REPL_DO_SEND || a->message.type != REPL_WANT) return;
    for (size_t i = 0; i < a->message.want.plan_count; i++) {
        const struct vector_entry *e = &a->message.want.plan[i];
        printf("  has %s/%" PRIu64 "/%" PRIu64 "\n", e->origin.s, e->epoch, e->high);
    }
    for (size_t i = 0; i < a->message.want.state_count; i++) {
        const struct vector_entry *e = &a->message.want.state[i];
        printf("  has state of %s/%" PRIu64 "/%" PRIu64 "\n", e->origin.s, e->epoch, e->high);
    }
}

void world_step(struct world *w, size_t node, struct repl_event *ev)
{
    struct sim_node *n = &w->nodes[node];
    if (n->core == NULL) return;
    ev->now = (struct mono){w->now_us};
    ev->wall = (struct wall){SIM_WALL_MS + (int64_t)(w->now_us / 1000) + n->skew_ms};
    struct repl_actions out = {0};
    enum err e = repl_step(n->core, ev, &out);
    if (e != ERR_OK && e != ERR_FULL && ev->type != REPL_EV_LINK_DOWN) {
        world_violate(w, "honest events are taken", "n%zu event %d: %s", node, (int)ev->type, err_name(e));
    }
    for (size_t i = 0; i < out.count; i++) {
        if (w->o.trace) trace_action(w, node, &out.items[i]);
        perform(w, node, &out.items[i]);
    }
    if (out.deadline.us < n->deadline_us) {
        n->deadline_us = out.deadline.us;
        uint64_t after = n->deadline_us > w->now_us ? n->deadline_us - w->now_us : 0;
        world_push(w, after, (struct event){.type = SIM_TICK, .node = node, .boot = n->boot});
    }
    repl_actions_fini(&out);
}

/* ---- running ---- */

static void tick(struct world *w, const struct event *ev)
{
    struct sim_node *n = &w->nodes[ev->node];
    if (n->core == NULL || n->boot != ev->boot) return;
    if (n->deadline_us <= w->now_us) n->deadline_us = UINT64_MAX;
    world_step(w, ev->node, &(struct repl_event){.type = REPL_EV_TICK});
}

static void rereport(struct world *w, const struct event *ev)
{
    struct arena arena = {0};
    for (size_t k = 0; w->nodes[ev->node].boot == ev->boot && k < SIM_RECORDS; k++) {
        if (ev->list[k].version == 0 || ev->list[k].removed) continue;
        struct state_record r = sim_state_record(ev->node, 1, k, &ev->list[k], &arena);
        struct repl_event report = {
            .type = REPL_EV_LOCAL_STATE, .token = ++w->next_token, .kind = r.kind, .key = r.key, .value = r.value};
        world_step(w, ev->node, &report);
    }
    arena_fini(&arena);
    free(ev->list);
}

static void handle(struct world *w, struct event *ev)
{
    w->n.events++;
    switch (ev->type) {
    case SIM_TICK: tick(w, ev); break;
    case SIM_DELIVER:
    case SIM_ACK:
    case SIM_TIMEOUT:
    case SIM_LINK_TRY:
    case SIM_LINK_LOST: net_event(w, ev); break;
    case SIM_STORE_DONE:
        if (w->nodes[ev->node].core != NULL && w->nodes[ev->node].boot == ev->boot) store_done(w, ev->node);
        break;
    case SIM_START: fault_start(w, ev->node); break;
    case SIM_REREPORT: rereport(w, ev); break;
    case SIM_WORK: fault_work(w); break;
    case SIM_FAULT: fault_next(w); break;
    case SIM_HEAL: fault_heal(w); break;
    case SIM_CHECK:
        invariant_check(w);
        world_push(w, CHECK_US, (struct event){.type = SIM_CHECK});
        break;
    }
    packet_drop(ev->packet);
}

void world_init(struct world *w, const struct sim_options *o)
{
    *w = (struct world){.o = *o};
    rng_init(&w->rng, o->seed);
    w->change_buckets = 4096;
    w->changes = must(calloc(w->change_buckets, sizeof(struct sim_change *)));
    for (size_t i = 0; i < o->nodes; i++)
        w->nodes[i].jobs_tail = &w->nodes[i].jobs;
    fault_begin(w);
    world_push(w, CHECK_US, (struct event){.type = SIM_CHECK});
}

bool world_run(struct world *w)
{
    const char *missing = "nothing yet";
    while (w->heap_count > 0 && w->violation == NULL) {
        struct event ev = pop(w);
        w->now_us = ev.at_us;
        handle(w, &ev);
        if (!w->healed || ev.type != SIM_CHECK) continue;
        missing = invariant_agreement(w);
        if (missing == NULL) break;
        if (w->now_us > w->heal_us + AGREE_US) world_violate(w, "all agree after healing", "%s", missing);
    }
    return w->violation == NULL && missing == NULL;
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

void world_fini(struct world *w)
{
    for (size_t i = 0; i < w->heap_count; i++) {
        packet_drop(w->heap[i].packet);
        free(w->heap[i].list);
    }
    free(w->heap);
    for (size_t i = 0; i < w->o.nodes; i++) {
        struct sim_node *n = &w->nodes[i];
        repl_free(n->core);
        while (n->jobs != NULL)
            world_drop_job(n);
        sim_store_fini(&n->store);
        if (n->backup != NULL) sim_store_fini(n->backup);
        free(n->backup);
    }
    free_changes(w->forgotten);
    for (size_t i = 0; i < w->change_buckets; i++)
        free_changes(w->changes[i]);
    free(w->changes);
    free(w->applied);
}
