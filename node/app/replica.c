/* replica: drives the replication core: feeds events, carries out its actions in order, reports their completion.
 *
 * Invariant: the core is never stepped while actions of an earlier step are being carried out; events that arise
 * meanwhile wait in pending_events and are stepped right after. */
#include "node/app/node.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "proto/mesh_codec.h"
#include "proto/plan_codec.h"

/* ---- jobs: who waits for which token ---- */

struct job {
    struct map_node by_token;
    uint64_t token;
    job_done *stored;                          /* a store job, or */
    void (*observed)(void *ctx, enum err err); /* a LOCAL_STATE event */
    void *ctx;
    uint64_t core_token;
};

static struct slice token_key(const uint64_t *token)
{
    return (struct slice){(const char *)token, sizeof *token};
}

static struct job *job_new(struct node *n)
{
    struct job *j = calloc(1, sizeof *j);
    if (j == NULL) return NULL;
    j->token = n->next_token++;
    map_insert(&n->jobs, &j->by_token, map_hash(&n->jobs, token_key(&j->token)));
    return j;
}

static struct job *job_take(struct node *n, uint64_t token)
{
    struct map_node *m = map_first(&n->jobs, map_hash(&n->jobs, token_key(&token)));
    while (m != NULL && CONTAINER_OF(m, struct job, by_token)->token != token)
        m = map_next(m);
    if (m == NULL) return NULL;
    map_remove(&n->jobs, m);
    return CONTAINER_OF(m, struct job, by_token);
}

enum err replica_job(struct node *n, job_done *done, void *ctx, uint64_t core_token, uint64_t *token)
{
    struct job *j = job_new(n);
    if (j == NULL) return ERR_NOMEM;
    j->stored = done;
    j->ctx = ctx;
    j->core_token = core_token;
    *token = j->token;
    return ERR_OK;
}

void replica_job_cancel(struct node *n, uint64_t token)
{
    free(job_take(n, token));
}

void replica_job_free(struct map_node *by_token)
{
    free(CONTAINER_OF(by_token, struct job, by_token));
}

void replica_store_completed(struct node *n)
{
    struct store_completion c;
    while (n->store != NULL && store_completed(n->store, &c)) {
        struct job *j = job_take(n, c.token);
        if (j == NULL) continue;
        if (j->stored != NULL) j->stored(n, j->ctx, j->core_token, &c);
        free(j);
    }
}

static void observe_end(struct node *n, uint64_t token, enum err err)
{
    struct job *j = job_take(n, token);
    if (j == NULL) return;
    if (j->observed != NULL) j->observed(j->ctx, err);
    free(j);
}

/* ---- events that arise while actions are carried out ---- */

struct pending_event {
    struct list_node node;
    struct repl_event ev;
    struct buf key;
    struct buf value;
};

static void defer(struct node *n, const struct repl_event *ev)
{
    struct pending_event *p = calloc(1, sizeof *p);
    ASSERT(ev->type != REPL_EV_MESSAGE && ev->type != REPL_EV_LOCAL_CHANGE);
    if (p == NULL) {
        log_event(&n->log, LOG_ERROR, "replica", "event-lost", "type=%d reason=\"no memory\"", (int)ev->type);
        return;
    }
    p->ev = *ev;
    buf_slice(&p->key, ev->key);
    buf_slice(&p->value, ev->value);
    p->ev.key = buf_view(&p->key);
    p->ev.value = buf_view(&p->value);
    list_append(&n->pending_events, &p->node);
}

/* ---- carrying out ---- */

static void send_failed(struct node *n, const struct node_name *peer, uint64_t token)
{
    struct repl_event ev = {.type = REPL_EV_SEND_FAILED, .peer = *peer, .token = token};
    replica_feed(n, &ev);
}

static void do_send(struct node *n, const struct repl_action *a)
{
    if (n->mesh == NULL || mesh_send(n->mesh, &a->peer, &a->message, a->token) != ERR_OK) {
        send_failed(n, &a->peer, a->token);
    }
}

static void store_failed(struct node *n, uint64_t core_token, enum err err)
{
    struct repl_event ev = {.type = REPL_EV_STORE_FAILED, .token = core_token, .err = err};
    replica_feed(n, &ev);
}

static void persisted(struct node *n, void *ctx, uint64_t core_token, const struct store_completion *c)
{
    (void)ctx;
    if (c->err != ERR_OK) {
        log_event(&n->log, LOG_WARN, "replica", "store-failed", "err=\"%s\" text=\"%s\"", err_name(c->err),
                  c->info.text);
        store_failed(n, core_token, c->err);
        return;
    }
    struct repl_event ev = {.type = REPL_EV_STORED, .token = core_token};
    if (node_read_begin(n) == ERR_OK) {
        store_plan_digest(n->read, &n->plan_digest);
        node_read_end(n);
    }
    _Static_assert(sizeof n->plan_digest == sizeof ev.plan_digest, "a digest is 32 bytes");
    memcpy(&ev.plan_digest, &n->plan_digest, sizeof ev.plan_digest);
    replica_feed(n, &ev);
}

/* Change-sets made here have no bytes yet. */
static enum err pack_changes(struct arena *arena, const struct changeset *in, size_t count, struct changeset **out)
{
    struct changeset *packed = arena_alloc(arena, count * sizeof *packed);
    if (packed == NULL) return ERR_NOMEM;
    for (size_t i = 0; i < count; i++) {
        packed[i] = in[i];
        if (in[i].packed.n > 0) continue;
        struct buf bytes = {0};
        enum err e = changeset_pack(&in[i], &bytes);
        if (e == ERR_OK) {
            packed[i].packed = arena_copy(arena, buf_view(&bytes));
            if (packed[i].packed.p == NULL) e = ERR_NOMEM;
        }
        buf_fini(&bytes);
        if (e != ERR_OK) return e;
    }
    *out = packed;
    return ERR_OK;
}

static void do_persist_change(struct node *n, const struct repl_action *a)
{
    struct changeset *packed = NULL;
    uint64_t token = 0;
    enum err e = pack_changes(&n->actions.arena, a->changes, a->change_count, &packed);
    if (e == ERR_OK) e = replica_job(n, persisted, NULL, a->token, &token);
    if (e == ERR_OK) {
        e = store_submit_changes(n->store, packed, a->change_count, token);
        if (e != ERR_OK) replica_job_cancel(n, token);
    }
    if (e != ERR_OK) store_failed(n, a->token, e);
}

static void do_persist_state(struct node *n, const struct repl_action *a)
{
    uint64_t token = 0;
    enum err e = replica_job(n, persisted, NULL, a->token, &token);
    if (e == ERR_OK) {
        e = store_submit_state(n->store, a->records, a->record_count, NULL, 0, a->upto, a->upto_count, token);
        if (e != ERR_OK) replica_job_cancel(n, token);
    }
    if (e != ERR_OK) store_failed(n, a->token, e);
}

/* ---- answering a WANT from the store ---- */

struct missing {
    struct node *n;
    struct arena arena;
    struct changeset *changes;
    size_t change_count;
    struct state_record *records;
    size_t record_count;
    size_t cap;
    size_t bytes;
    bool more;
    enum err err;
};

#define MISSING_ITEMS_MAX 4096

static bool batch_full(struct missing *m, size_t more_bytes)
{
    bool first = m->change_count + m->record_count == 0;
    if (!first &&
        (m->bytes + more_bytes > LIMIT_MESH_CHUNK || m->change_count + m->record_count == MISSING_ITEMS_MAX)) {
        m->more = true;
        return true;
    }
    m->bytes += more_bytes;
    return false;
}

static bool add_change(void *ctx, const struct log_id *id, struct slice packed)
{
    struct missing *m = ctx;
    if (batch_full(m, packed.n)) return false;
    m->changes[m->change_count].id = *id;
    m->changes[m->change_count++].packed = packed;
    return true;
}

static bool add_record(void *ctx, const struct state_record *record)
{
    struct missing *m = ctx;
    if (batch_full(m, record->key.n + record->value.n + 100)) return false;
    struct state_record *copy = &m->records[m->record_count++];
    *copy = *record;
    copy->key = arena_copy(&m->arena, record->key);
    copy->value = arena_copy(&m->arena, record->value);
    if (copy->key.p == NULL || copy->value.p == NULL) m->err = ERR_NOMEM;
    return m->err == ERR_OK;
}

static const struct vector_entry *vector_find(const struct vector_entry *v, size_t count,
                                              const struct vector_entry *like, bool same_epoch)
{
    for (size_t i = 0; i < count; i++) {
        if (node_name_eq(&v[i].origin, &like->origin) && (!same_epoch || v[i].epoch == like->epoch)) return &v[i];
    }
    return NULL;
}

static enum err gather_changes(struct missing *m, const struct store_start *have, const struct repl_want *want)
{
    for (size_t i = 0; i < have->plan_count && !m->more; i++) {
        const struct vector_entry *ours = &have->plan[i];
        const struct vector_entry *theirs = vector_find(want->plan, want->plan_count, ours, true);
        uint64_t high = theirs != NULL ? theirs->high : 0;
        if (high >= ours->high) continue;
        enum err e = store_log(m->n->read, &ours->origin, ours->epoch, high + 1, add_change, m);
        if (e != ERR_OK) return e;
    }
    return ERR_OK;
}

static enum err gather_records(struct missing *m, const struct store_start *have, const struct repl_want *want)
{
    for (size_t i = 0; i < have->state_count && !m->more; i++) {
        const struct vector_entry *ours = &have->state[i];
        const struct vector_entry *theirs = vector_find(want->state, want->state_count, ours, false);
        if (theirs != NULL &&
            (theirs->epoch > ours->epoch || (theirs->epoch == ours->epoch && theirs->high >= ours->high))) {
            continue;
        }
        uint64_t above = theirs != NULL && theirs->epoch == ours->epoch ? theirs->high : 0;
        enum err e = store_state_since(m->n->read, &ours->origin, ours->epoch, above, add_record, m);
        if (e == ERR_OK) e = m->err;
        if (e != ERR_OK) return e;
    }
    return ERR_OK;
}

static enum err gather_missing(struct missing *m, const struct repl_want *want, struct store_start *have)
{
    m->changes = arena_alloc(&m->arena, MISSING_ITEMS_MAX * sizeof *m->changes);
    m->records = arena_alloc(&m->arena, MISSING_ITEMS_MAX * sizeof *m->records);
    if (m->changes == NULL || m->records == NULL) return ERR_NOMEM;
    enum err e = store_load_start(m->n->read, &m->arena, have);
    if (e == ERR_OK) e = gather_changes(m, have, want);
    if (e == ERR_OK) e = gather_records(m, have, want);
    return e;
}

static void do_send_missing(struct node *n, const struct repl_action *a)
{
    struct missing m = {.n = n};
    struct store_start have;
    struct repl_message message = {.type = REPL_PUSH, .from = n->self};
    enum err e = node_read_begin(n);
    if (e == ERR_OK) {
        e = gather_missing(&m, &a->want, &have);
        if (e == ERR_OK) {
            message.push = (struct repl_push){.changes = m.changes,
                                              .change_count = m.change_count,
                                              .records = m.records,
                                              .record_count = m.record_count,
                                              .more = m.more,
                                              .answer = true,
                                              .state_upto = have.state,
                                              .state_upto_count = have.state_count};
            e = n->mesh != NULL ? mesh_send(n->mesh, &a->peer, &message, a->token) : ERR_UNREACHABLE;
        }
        node_read_end(n);
    }
    arena_fini(&m.arena);
    if (e != ERR_OK) send_failed(n, &a->peer, a->token);
}

/* ---- members, receipts, alarms ---- */

static void member_stored(struct node *n, void *ctx, uint64_t core_token, const struct store_completion *c)
{
    (void)ctx;
    (void)core_token;
    if (c->err != ERR_OK) log_event(&n->log, LOG_WARN, "replica", "member-not-stored", "err=\"%s\"", err_name(c->err));
}

static void do_member(struct node *n, const struct repl_action *a)
{
    uint64_t token = 0;
    log_event(&n->log, LOG_INFO, "member", "status", "node=%s status=%s site=%.*s address=%.*s", a->member.name.s,
              member_status_name(a->member.status), SLICE_ARG(a->member.site), SLICE_ARG(a->member.mesh_address));
    if (a->member.status == MEMBER_EVICTED && n->mesh != NULL) (void)!mesh_evict(n->mesh, &a->member.name);
    if (replica_job(n, member_stored, NULL, 0, &token) != ERR_OK) return;
    if (store_submit_member(n->store, &a->member, token) != ERR_OK) replica_job_cancel(n, token);
}

static struct change_wait *find_wait(struct node *n, bool by_id, uint64_t token, const struct log_id *id)
{
    for (struct list_node *i = n->waiting_changes.next; i != &n->waiting_changes; i = i->next) {
        struct change_wait *w = CONTAINER_OF(i, struct change_wait, node);
        if (!by_id && !w->applied && w->token == token) return w;
        if (by_id && w->applied && w->id.seq == id->seq && w->id.epoch == id->epoch) return w;
    }
    return NULL;
}

static void do_applied(struct node *n, const struct repl_action *a, enum err err)
{
    struct change_wait *w = find_wait(n, false, a->token, NULL);
    if (w == NULL) return;
    w->applied = true;
    w->id = a->id;
    w->on_applied(w, err, &a->id);
}

static void do_receipt(struct node *n, const struct repl_action *a)
{
    struct change_wait *w = find_wait(n, true, 0, &a->id);
    if (w != NULL && node_name_eq(&a->id.origin, &n->self)) w->on_receipt(w, &a->peer, a->elapsed_ms);
}

static void do_alarm(struct node *n, const struct repl_action *a)
{
    (void)snprintf(n->alarm, sizeof n->alarm, "%.*s", SLICE_ARG(a->text));
    log_event(&n->log, LOG_ERROR, "replica", "alarm", "text=\"%s\"", n->alarm);
}

static void epoch_stored(struct node *n, void *ctx, uint64_t core_token, const struct store_completion *c)
{
    (void)ctx;
    (void)core_token;
    if (c->err != ERR_OK) {
        log_event(&n->log, LOG_ERROR, "replica", "epoch-not-stored", "err=\"%s\" text=\"%s\"", err_name(c->err),
                  c->info.text);
    }
}

static void do_new_epoch(struct node *n, const struct repl_action *a)
{
    uint64_t token = 0;
    log_event(&n->log, LOG_WARN, "replica", "new-epoch", "epoch=%" PRIu64 " of=%s", a->epoch,
              a->of_state ? "state" : "plan");
    if (replica_job(n, epoch_stored, NULL, 0, &token) == ERR_OK &&
        store_submit_epoch(n->store, a->epoch, token) != ERR_OK) {
        replica_job_cancel(n, token);
    }
    if (a->of_state) node_observe_again(n);
}

static void carry_out(struct node *n, const struct repl_action *a)
{
    switch (a->type) {
    case REPL_DO_SEND: do_send(n, a); break;
    case REPL_DO_SEND_MISSING: do_send_missing(n, a); break;
    case REPL_DO_PERSIST_CHANGE: do_persist_change(n, a); break;
    case REPL_DO_PERSIST_STATE: do_persist_state(n, a); break;
    case REPL_DO_DIAL:
        if (n->mesh != NULL && mesh_dial(n->mesh, &a->peer, a->address) != ERR_OK) {
            log_event(&n->log, LOG_WARN, "replica", "cannot-dial", "peer=%s address=%.*s", a->peer.s,
                      SLICE_ARG(a->address));
        }
        break;
    case REPL_DO_HANGUP:
        if (n->mesh != NULL) mesh_hangup(n->mesh, &a->peer);
        break;
    case REPL_DO_MEMBER: do_member(n, a); break;
    case REPL_DO_APPLIED: do_applied(n, a, ERR_OK); break;
    case REPL_DO_REJECTED: do_applied(n, a, a->err); break;
    case REPL_DO_RECEIPT: do_receipt(n, a); break;
    case REPL_DO_ALARM: do_alarm(n, a); break;
    case REPL_DO_STATE_STORED: observe_end(n, a->token, a->err); break;
    case REPL_DO_NEW_EPOCH: do_new_epoch(n, a); break;
    }
}

/* ---- feeding ---- */

static void arm_timer(struct node *n)
{
    struct mono now = node_mono();
    if (n->stopping || n->actions.deadline.us == UINT64_MAX) return;
    (void)uv_timer_start(&n->repl_timer, replica_tick, mono_ms_between(now, n->actions.deadline) + 1, 0);
}

static void step(struct node *n, struct repl_event *ev)
{
    ev->now = node_mono();
    ev->wall = node_wall();
    enum err e = repl_step(n->repl, ev, &n->actions);
    if (e != ERR_OK) {
        log_event(&n->log, LOG_WARN, "replica", "refused", "type=%d peer=%s err=\"%s\"", (int)ev->type, ev->peer.s,
                  err_name(e));
        if (ev->type == REPL_EV_LOCAL_STATE) observe_end(n, ev->token, e);
        if (ev->type == REPL_EV_LOCAL_CHANGE) {
            struct repl_action refused = {.token = ev->token};
            do_applied(n, &refused, e);
        }
    }
    for (size_t i = 0; i < n->actions.count; i++)
        carry_out(n, &n->actions.items[i]);
    arm_timer(n);
    repl_actions_reset(&n->actions);
}

void replica_feed(struct node *n, struct repl_event *ev)
{
    if (n->repl == NULL) return;
    if (n->stepping) {
        defer(n, ev);
        return;
    }
    n->stepping = true;
    step(n, ev);
    struct list_node *next = NULL;
    while ((next = list_pop(&n->pending_events)) != NULL) {
        struct pending_event *p = CONTAINER_OF(next, struct pending_event, node);
        step(n, &p->ev);
        buf_fini(&p->key);
        buf_fini(&p->value);
        free(p);
    }
    n->stepping = false;
}

void replica_tick(uv_timer_t *timer)
{
    struct repl_event ev = {.type = REPL_EV_TICK};
    replica_feed(timer->data, &ev);
}

void replica_change(struct node *n, struct change_wait *w, struct slice author, struct slice message,
                    const struct change_op *ops, size_t op_count)
{
    w->token = n->next_token++;
    w->applied = false;
    list_append(&n->waiting_changes, &w->node);
    struct repl_event ev = {.type = REPL_EV_LOCAL_CHANGE,
                            .token = w->token,
                            .author = author,
                            .text = message,
                            .ops = ops,
                            .op_count = op_count};
    replica_feed(n, &ev);
}

void change_wait_end(struct change_wait *w)
{
    list_remove(&w->node);
}

void replica_observe(struct node *n, enum state_kind kind, struct slice key, struct slice value, bool removed,
                     void (*done)(void *ctx, enum err err), void *ctx)
{
    struct job *j = job_new(n);
    if (j == NULL) {
        if (done != NULL) done(ctx, ERR_NOMEM);
        return;
    }
    j->observed = done;
    j->ctx = ctx;
    struct repl_event ev = {
        .type = REPL_EV_LOCAL_STATE, .token = j->token, .kind = kind, .key = key, .value = value, .removed = removed};
    replica_feed(n, &ev);
}

enum err replica_start(struct node *n, struct err_info *info)
{
    struct arena arena = {0};
    struct store_start start;
    enum err e = node_read_begin(n);
    if (e != ERR_OK) return err_fail(info, e, "the store cannot be read: %s", err_name(e));
    store_plan_digest(n->read, &n->plan_digest);
    e = store_load_start(n->read, &arena, &start);
    if (e == ERR_OK) {
        struct repl_config config = {
            .self = n->self,
            .site = slice_of(n->config.site),
            .mesh_address = slice_of(n->config.mesh_advertise),
            .epoch = start.epoch,
            .incarnation = (uint64_t)n->started.ms,
            .seed = rng_next(&n->rng),
            .plan_vector = start.plan,
            .plan_count = start.plan_count,
            .state_vector = start.state,
            .state_count = start.state_count,
            .members = start.members,
            .member_count = start.member_count,
            .time = start.time,
        };
        memcpy(config.plan_digest, &n->plan_digest, sizeof config.plan_digest);
        e = repl_new(&config, &n->repl);
    }
    node_read_end(n);
    arena_fini(&arena);
    return e == ERR_OK ? ERR_OK : err_fail(info, e, "the replica cannot be started: %s", err_name(e));
}
