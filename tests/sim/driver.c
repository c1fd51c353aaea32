/* driver: carries out what a core decides, as node/app does, against the models of links and disks, and tells it what
 * became of it. A disk writes one thing at a time, in order; what it has not said to be durable may be lost. */
#include "tests/sim/world.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define STORE_US_MIN 300
#define STORE_US_MAX 4000
#define TOO_EARLY_US 200000 /* so much before it is true does the broken store of CANARY_RECEIPTS say it */

/* ---- the store's writer ---- */

void driver_drop_job(struct sim_node *n)
{
    struct job *j = n->jobs;
    n->jobs = j->next;
    if (n->jobs == NULL) n->jobs_tail = &n->jobs;
    arena_fini(&j->arena);
    free(j);
}

static enum err commit_plan(struct world *w, size_t node, const struct repl_action *a)
{
    struct sim_store *s = &w->nodes[node].store;
    enum err e = ERR_OK;
    switch (a->type) {
    case REPL_DO_RAISE_FLOOR: e = sim_store_raise(s, a->upto, a->upto_count); break;
    case REPL_DO_ADOPT_FLOOR: e = sim_store_adopt(s, a->floor, a->upto, a->upto_count); break;
    case REPL_DO_PERSIST_PIECE: sim_store_put_piece(w, s, a->first, &a->message.snapshot); return ERR_OK;
    case REPL_DO_REPLACE:
        e = sim_store_replace(w, s, a);
        if (e == ERR_OK) oracle_replaced(w, node);
        w->n.snapshots += e == ERR_OK;
        return e;
    default: ASSERT(false);
    }
    w->n.floors += e == ERR_OK;
    return e;
}

static enum err commit(struct world *w, size_t node, const struct job *j)
{
    struct sim_store *s = &w->nodes[node].store;
    const struct repl_push *p = &j->what;
    switch (j->kind) {
    case JOB_CHANGES: return sim_store_changes(w, s, p->changes, p->change_count);
    case JOB_RECORDS: sim_store_records(s, p->records, p->record_count, p->state_upto, p->state_upto_count); break;
    case JOB_MEMBER: s->members[j->member] = j->status; break;
    case JOB_EPOCH: s->epoch = j->epoch; break;
    case JOB_PLAN: return commit_plan(w, node, &j->plan);
    }
    return ERR_OK;
}

static void writer_next(struct world *w, size_t node)
{
    const struct sim_node *n = &w->nodes[node];
    uint64_t us = world_random(w, STORE_US_MIN, STORE_US_MAX);
    if (n->disk_slow_us > 0) us += world_random(w, 0, n->disk_slow_us);
    world_push(w, us, (struct event){.type = SIM_STORE_DONE, .node = node, .boot = n->boot});
}

static struct job *submit(struct world *w, size_t node, enum job_kind kind)
{
    struct sim_node *n = &w->nodes[node];
    struct job *j = world_alloc(1, sizeof *j);
    j->kind = kind;
    bool idle = n->jobs == NULL;
    *n->jobs_tail = j;
    n->jobs_tail = &j->next;
    if (idle) writer_next(w, node);
    return j;
}

static void persist(struct world *w, size_t node, const struct repl_action *a)
{
    struct job *j = submit(w, node, a->type == REPL_DO_PERSIST_CHANGE ? JOB_CHANGES : JOB_RECORDS);
    j->token = a->token;
    j->what = (struct repl_push){.changes = a->changes,
                                 .change_count = a->change_count,
                                 .records = a->records,
                                 .record_count = a->record_count,
                                 .state_upto = a->upto,
                                 .state_upto_count = a->upto_count};
    net_copy_push(&j->arena, &j->what);
}

static void plan_job(struct world *w, size_t node, const struct repl_action *a)
{
    struct job *j = submit(w, node, JOB_PLAN);
    j->token = a->token;
    j->plan = *a;
    j->plan.upto = net_copy(&j->arena, a->upto, a->upto_count * sizeof *a->upto);
    j->plan.cut = net_copy(&j->arena, a->cut, a->cut_count * sizeof *a->cut);
    if (a->type == REPL_DO_PERSIST_PIECE) net_copy_snapshot(&j->arena, &j->plan.message.snapshot);
}

void driver_remember(struct world *w, size_t node, size_t member, const struct member_status_of *status)
{
    struct job *j = submit(w, node, JOB_MEMBER);
    j->member = member;
    j->status = *status;
}

static enum err write_out(struct world *w, size_t node, const struct job *j)
{
    switch (w->nodes[node].disk) {
    case DISK_GOOD: break;
    case DISK_FLAKY:
        if (world_chance(w, 20)) return ERR_IO;
        break;
    case DISK_FULL: return ERR_FULL;
    }
    return commit(w, node, j);
}

static void tell_stored(struct world *w, size_t node, const struct job *j, enum err err)
{
    if (j->kind == JOB_MEMBER || j->kind == JOB_EPOCH) return; /* the core does not wait for these */
    struct repl_event ev = {
        .type = err == ERR_OK ? REPL_EV_STORED : REPL_EV_STORE_FAILED, .token = j->token, .err = err};
    const struct sim_store *s = &w->nodes[node].store;
    struct vector_entry vector[SIM_NODES_MAX * SIM_EPOCHS_MAX];
    sim_store_digest(s, ev.plan_digest.b);
    ev.floor = s->floor;
    ev.tombstones = sim_store_tombstones(s);
    ev.time = s->time;
    ev.vector = vector;
    ASSERT(s->log_count <= SIM_NODES_MAX * SIM_EPOCHS_MAX);
    for (size_t i = 0; i < s->log_count; i++)
        vector[ev.vector_count++] = (struct vector_entry){s->logs[i].origin, s->logs[i].epoch, s->logs[i].count};
    world_step(w, node, &ev);
}

void driver_store_done(struct world *w, size_t node)
{
    struct sim_node *n = &w->nodes[node];
    struct job *j = n->jobs;
    if (w->o.canary == CANARY_RECEIPTS && j->kind == JOB_CHANGES && !j->told) {
        j->told = true;
        world_push(w, TOO_EARLY_US, (struct event){.type = SIM_STORE_DONE, .node = node, .boot = n->boot});
        tell_stored(w, node, j, ERR_OK);
        return;
    }
    enum err err = j->told ? commit(w, node, j) : write_out(w, node, j);
    n->jobs = j->next;
    if (n->jobs == NULL) n->jobs_tail = &n->jobs;
    if (n->jobs != NULL) writer_next(w, node);
    if (!j->told) tell_stored(w, node, j, err);
    arena_fini(&j->arena);
    free(j);
}

/* The first change-sets of a group may be there, each of them whole. */
static void commit_part(struct world *w, size_t node, struct job *j)
{
    if (j->kind == JOB_CHANGES) j->what.change_count = world_random(w, 0, j->what.change_count);
    (void)!commit(w, node, j);
}

void driver_crash(struct world *w, size_t node)
{
    struct sim_node *n = &w->nodes[node];
    bool written = n->disk == DISK_GOOD && world_chance(w, 70);
    while (n->jobs != NULL) {
        if (written && world_chance(w, 70)) {
            (void)!commit(w, node, n->jobs);
        } else if (written) {
            commit_part(w, node, n->jobs);
            written = false;
        }
        driver_drop_job(n);
    }
    if (w->o.canary == CANARY_LOSES) sim_store_lose(&n->store);
}

/* ---- carrying out what the core decides ---- */

static void note_applied(struct world *w, size_t node, const struct repl_action *a)
{
    if (w->applied_count == w->applied_cap) {
        w->applied_cap = w->applied_cap == 0 ? 256 : w->applied_cap * 2;
        w->applied = realloc(w->applied, w->applied_cap * sizeof *w->applied);
        ASSERT(w->applied != NULL);
    }
    w->applied[w->applied_count++] = (struct applied){.id = a->id, .node = node, .boot = w->nodes[node].boot};
    w->n.changes++;
    if (!sim_store_has(&w->nodes[node].store, &a->id) && w->o.canary != CANARY_RECEIPTS) {
        world_violate(w, "applied is durable", "n%zu: %llu", node, (unsigned long long)a->id.seq);
    }
}

static void send_missing(struct world *w, size_t node, const struct repl_action *a)
{
    struct arena arena = {0};
    struct repl_message m = {.type = REPL_PUSH, .from = sim_name(node)};
    sim_store_missing(&w->nodes[node].store, &a->want, a->plan_only, &arena, &m.push);
    net_send(w, node, sim_index(&a->peer), a->token, &m);
    arena_fini(&arena);
}

static void send_piece(struct world *w, size_t node, const struct repl_action *a)
{
    struct arena arena = {0};
    struct repl_message m = {.type = REPL_SNAPSHOT, .from = sim_name(node)};
    sim_store_piece(&w->nodes[node].store, &a->fetch, &arena, &m.snapshot);
    net_send(w, node, sim_index(&a->peer), a->token, &m);
    arena_fini(&arena);
}

static void new_epoch(struct world *w, size_t node, const struct repl_action *a)
{
    struct sim_node *n = &w->nodes[node];
    w->n.epochs++;
    if (!a->of_state) {
        submit(w, node, JOB_EPOCH)->epoch = a->epoch;
        return;
    }
    struct sim_record *list = world_alloc(SIM_RECORDS, sizeof *list);
    memcpy(list, n->store.owners[node].records, SIM_RECORDS * sizeof *list);
    world_push(w, 1000, (struct event){.type = SIM_REREPORT, .node = node, .boot = n->boot, .list = list});
}

/* Its records of before it lost its state: those that it has not observed anew meanwhile hold still. */
static void own_found(struct world *w, size_t node, const struct repl_action *a)
{
    const struct sim_owner *own = &w->nodes[node].store.owners[node];
    struct sim_record *list = world_alloc(SIM_RECORDS, sizeof *list);
    for (size_t i = 0; i < a->record_count; i++) {
        const struct state_record *r = &a->records[i];
        size_t k = sim_key(r->key);
        if (own->records[k].version == 0) list[k] = (struct sim_record){r->version, sim_value(r->value), r->removed};
    }
    w->n.found += a->record_count;
    world_push(w, 1000, (struct event){.type = SIM_REREPORT, .node = node, .boot = w->nodes[node].boot, .list = list});
}

static void member(struct world *w, size_t node, const struct repl_action *a)
{
    driver_remember(w, node, sim_index(&a->member.name),
                    &(struct member_status_of){true, a->member.status, a->member.incarnation, a->member.barred});
    calm_member(w, node, &a->member);
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
    case REPL_DO_MEMBER: member(w, node, a); break;
    case REPL_DO_APPLIED: note_applied(w, node, a); break;
    case REPL_DO_RECEIPT:
        w->n.receipts++;
        invariant_receipt(w, node, a);
        break;
    case REPL_DO_ALARM:
        w->n.alarms++;
        world_trace(w, node, "alarm %.*s", SLICE_ARG(a->text));
        break;
    case REPL_DO_REJECTED: w->n.rejected++; break;
    case REPL_DO_STATE_STORED: w->n.records += a->err == ERR_OK; break;
    case REPL_DO_NEW_EPOCH: new_epoch(w, node, a); break;
    case REPL_DO_OWN_FOUND: own_found(w, node, a); break;
    case REPL_DO_RAISE_FLOOR:
    case REPL_DO_ADOPT_FLOOR:
    case REPL_DO_PERSIST_PIECE:
    case REPL_DO_REPLACE: plan_job(w, node, a); break;
    case REPL_DO_SEND_SNAPSHOT: send_piece(w, node, a); break;
    }
}

static void trace_action(const struct world *w, size_t node, const struct repl_action *a)
{
    static const char *const names[] = {"send",        "missing",    "persist-change", "persist-state", "dial",
                                        "hangup",      "member",     "applied",        "receipt",       "alarm",
                                        "rejected",    "stored",     "new-epoch",      "own-found",     "raise-floor",
                                        "adopt-floor", "send-piece", "persist-piece",  "replace"};
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

/* ---- feeding ---- */

/* What an honest world may answer: a full queue, a link that is unknown, a peer or oneself that is not a member. */
static bool honest(const struct repl_event *ev, enum err e)
{
    return e == ERR_OK || e == ERR_FULL || e == ERR_REFUSED || e == ERR_UNREACHABLE ||
           (e == ERR_NOTFOUND && ev->type == REPL_EV_LINK_DOWN);
}

void world_step(struct world *w, size_t node, struct repl_event *ev)
{
    struct sim_node *n = &w->nodes[node];
    if (n->core == NULL) return;
    ev->now = (struct mono){w->now_us};
    ev->wall = life_wall(w, node);
    struct repl_actions out = {0};
    enum err e = repl_step(n->core, ev, &out);
    if (!honest(ev, e)) {
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
    invariant_queues(w, node);
    repl_actions_fini(&out);
}

void driver_tick(struct world *w, size_t node)
{
    struct sim_node *n = &w->nodes[node];
    if (n->deadline_us <= w->now_us) n->deadline_us = UINT64_MAX;
    world_step(w, node, &(struct repl_event){.type = REPL_EV_TICK});
}

void driver_rereport(struct world *w, const struct event *ev)
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
