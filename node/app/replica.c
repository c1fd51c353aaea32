/* replica: drives the replication core: feeds events, carries out its actions in order, reports their completion.
 *
 * Invariant: the core is never stepped while actions of an earlier step are being carried out; events that arise
 * meanwhile wait in pending_events and are stepped right after. */
#include "node/app/change_note.h"
#include "node/app/missing.h"
#include "node/app/node.h"
#include "node/app/piece.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

static const char *event_name(enum repl_event_type type)
{
    static const char *const names[] = {
        [REPL_EV_TICK] = "tick",
        [REPL_EV_MESSAGE] = "message",
        [REPL_EV_LINK_UP] = "link-up",
        [REPL_EV_LINK_DOWN] = "link-down",
        [REPL_EV_SENT] = "sent",
        [REPL_EV_SEND_FAILED] = "send-failed",
        [REPL_EV_LOCAL_CHANGE] = "local-change",
        [REPL_EV_LOCAL_STATE] = "local-state",
        [REPL_EV_STORED] = "stored",
        [REPL_EV_STORE_FAILED] = "store-failed",
        [REPL_EV_EVICT] = "evict",
        [REPL_EV_LEAVE] = "leave",
        [REPL_EV_CERTIFICATE] = "certificate",
    };
    return (unsigned)type < sizeof names / sizeof names[0] ? names[type] : "?";
}

/* ---- events that arise while actions are carried out ---- */

/* The core waits for some of these for ever, so those without a text of their own take their memory from a reserve when
 * there is no other. */
static struct pending_event *pending_take(struct node *n, const struct repl_event *ev)
{
    struct pending_event *p = calloc(1, sizeof *p);
    if (p != NULL || ev->type == REPL_EV_LOCAL_STATE) return p;
    for (size_t i = 0; i < PENDING_RESERVE; i++) {
        if (n->reserve[i].taken) continue;
        n->reserve[i] = (struct pending_event){.taken = true};
        return &n->reserve[i];
    }
    return NULL;
}

static void pending_give_back(struct node *n, struct pending_event *p)
{
    buf_fini(&p->key);
    buf_fini(&p->value);
    if (p >= n->reserve && p < n->reserve + PENDING_RESERVE) {
        p->taken = false;
    } else {
        free(p);
    }
}

static void defer(struct node *n, const struct repl_event *ev)
{
    struct pending_event *p = pending_take(n, ev);
    ASSERT(ev->type != REPL_EV_MESSAGE && ev->type != REPL_EV_LOCAL_CHANGE && ev->vector == NULL);
    if (p != NULL) {
        buf_slice(&p->key, ev->key);
        buf_slice(&p->value, ev->value);
    }
    if (p == NULL || p->key.failed || p->value.failed) {
        log_event(&n->log, LOG_ERROR, "replica", "event-lost", "type=%s reason=\"no memory\"", event_name(ev->type));
        if (ev->type == REPL_EV_LOCAL_STATE) replica_observed(n, ev->token, ERR_NOMEM);
        if (p != NULL) pending_give_back(n, p);
        return;
    }
    p->ev = *ev;
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

static struct repl_event stored_event(struct node *n, uint64_t core_token, const struct store_completion *c)
{
    struct repl_event ev = {.type = REPL_EV_STORED,
                            .token = core_token,
                            .floor = c->floor,
                            .tombstones = c->tombstones,
                            .pending = c->pending};
    _Static_assert(sizeof n->plan_digest == sizeof ev.plan_digest, "a digest is 32 bytes");
    memcpy(&ev.plan_digest, &n->plan_digest, sizeof ev.plan_digest);
    return ev;
}

static void stored(struct node *n, uint64_t core_token, const struct store_completion *c)
{
    struct repl_event ev = stored_event(n, core_token, c);
    replica_feed(n, &ev);
}

static void change_stored(struct node *n, void *ctx, uint64_t core_token, const struct store_completion *c)
{
    if (c->err == ERR_OK) change_note_log(ctx, &n->log);
    if (c->stored_count > 0) { /* also beside one that was refused */
        n->plan_digest = c->plan_digest;
        n->plan_stored_at = node_mono();
    }
    if (c->err == ERR_OK) {
        stored(n, core_token, c);
        return;
    }
    log_event(&n->log, LOG_WARN, "replica", "change-not-stored", "err=\"%s\" text=\"%s\"", err_name(c->err),
              c->info.text);
    memcpy(n->store_error, c->info.text, sizeof n->store_error);
    store_failed(n, core_token, c->err);
    n->store_error[0] = '\0';
}

/* Of what kinds records are that somebody keeps something made of. */
enum kept_kinds { KEPT_CARDS = 1, KEPT_BANS = 2, KEPT_TRUNKS = 4 };

static unsigned kept_kinds_of(const struct state_record *records, size_t count)
{
    unsigned kinds = 0;
    for (size_t i = 0; i < count; i++) {
        switch (records[i].kind) {
        case STATE_NODE_CARD: kinds |= KEPT_CARDS; break;
        case STATE_BAN: kinds |= KEPT_BANS; break;
        case STATE_TRUNK_HEALTH: kinds |= KEPT_TRUNKS; break;
        default: break;
        }
    }
    return kinds;
}

/* Only now that they are stored: who looked before would find the old ones, and not look again. ctx: kept_kinds. */
static void state_stored(struct node *n, void *ctx, uint64_t core_token, const struct store_completion *c)
{
    unsigned kinds = (unsigned)(uintptr_t)ctx;
    if (kinds & KEPT_TRUNKS) {
        trunks_stale(n);
        uac_registration_stale(n);
    }
    if (c->err == ERR_OK) {
        n->cards_due = n->cards_due || (kinds & KEPT_CARDS) != 0;
        n->bans.due = n->bans.due || (kinds & KEPT_BANS) != 0;
        drain_look(n);
        if (n->bans.due) bans_look(n);
        stored(n, core_token, c);
        return;
    }
    log_event(&n->log, LOG_WARN, "replica", "state-not-stored", "err=\"%s\" text=\"%s\"", err_name(c->err),
              c->info.text);
    store_failed(n, core_token, c->err);
}

/* A change-set made here has no bytes yet: the store packs it. */
static void do_persist_change(struct node *n, const struct repl_action *a)
{
    uint64_t token = 0;
    enum err e = replica_job_take(n, change_stored, change_note_new(a->changes, a->change_count), a->token, &token);
    if (e == ERR_OK) {
        e = store_submit_changes(n->store, a->changes, a->change_count, token);
        if (e != ERR_OK) replica_job_cancel(n, token);
    }
    if (e != ERR_OK) store_failed(n, a->token, e);
}

/* Before they can be found: who asks for an account looks for them from now on. */
static void hear_of_bindings(struct node *n, const struct state_record *records, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const struct state_record *r = &records[i];
        if (r->kind == STATE_BINDING && !node_name_eq(&r->owner, &n->self)) registrations_heard(n, r->key);
    }
}

static void do_persist_state(struct node *n, const struct repl_action *a)
{
    uint64_t token = 0;
    unsigned kinds = kept_kinds_of(a->records, a->record_count);
    hear_of_bindings(n, a->records, a->record_count);
    enum err e = replica_job(n, state_stored, (void *)(uintptr_t)kinds, a->token, &token);
    if (e == ERR_OK) {
        e = store_submit_state(n->store, a->records, a->record_count, NULL, 0, a->upto, a->upto_count, token);
        if (e != ERR_OK) replica_job_cancel(n, token);
    }
    if (e != ERR_OK) store_failed(n, a->token, e);
}

/* ---- floor and snapshot ---- */

static void plan_job_done(struct node *n, void *ctx, uint64_t core_token, const struct store_completion *c)
{
    (void)ctx;
    if (c->err == ERR_OK) {
        stored(n, core_token, c);
        return;
    }
    log_event(&n->log, c->err == ERR_CONFLICT ? LOG_INFO : LOG_WARN, "replica", "not-stored", "err=\"%s\" text=\"%s\"",
              err_name(c->err), c->info.text);
    store_failed(n, core_token, c->err);
}

/* The store has a new replica: the core needs to know what it holds now. */
static void replaced(struct node *n, void *ctx, uint64_t core_token, const struct store_completion *c)
{
    struct arena arena = {0};
    struct store_start start;
    if (c->err != ERR_OK) {
        plan_job_done(n, ctx, core_token, c);
        return;
    }
    enum err e = node_read_begin(n);
    if (e == ERR_OK) {
        e = store_load_start(n->read, &arena, &start);
        node_read_end(n);
    }
    if (e == ERR_OK) {
        n->plan_digest = c->plan_digest;
        n->plan_stored_at = node_mono();
        log_event(&n->log, LOG_INFO, "replica", "snapshot-taken", "objects=%" PRIu64 " lost=%" PRIu64, start.objects,
                  c->lost_count);
        struct repl_event ev = stored_event(n, core_token, c);
        ev.vector = start.plan;
        ev.vector_count = start.plan_count;
        ev.time = start.time;
        replica_feed(n, &ev);
    } else {
        /* What the core believes is not what is there: only a new start mends that. */
        log_event(&n->log, LOG_ERROR, "replica", "cannot-read-replica", "err=\"%s\"", err_name(e));
        store_failed(n, core_token, e);
    }
    arena_fini(&arena);
}

static enum err submit_plan_job(struct node *n, const struct repl_action *a, uint64_t token)
{
    const struct repl_snapshot *s = &a->message.snapshot;
    struct store_piece piece = {a->first, s->objects, s->object_count, s->changes, s->change_count};
    struct store_replacement replacement = {a->upto, a->upto_count, a->floor, a->cut, a->cut_count};
    switch (a->type) {
    case REPL_DO_RAISE_FLOOR: return store_submit_floor_raise(n->store, a->upto, a->upto_count, token);
    case REPL_DO_ADOPT_FLOOR: return store_submit_floor_adopt(n->store, a->floor, a->upto, a->upto_count, token);
    case REPL_DO_PERSIST_PIECE: return store_submit_piece(n->store, &piece, token);
    case REPL_DO_REPLACE: return store_submit_replacement(n->store, &replacement, token);
    default: ASSERT(false);
    }
    return ERR_SYNTAX;
}

static void do_plan_job(struct node *n, const struct repl_action *a)
{
    uint64_t token = 0;
    enum err e = replica_job(n, a->type == REPL_DO_REPLACE ? replaced : plan_job_done, NULL, a->token, &token);
    if (e == ERR_OK) {
        e = submit_plan_job(n, a, token);
        if (e != ERR_OK) replica_job_cancel(n, token);
    }
    if (e != ERR_OK) store_failed(n, a->token, e);
}

static void do_send_snapshot(struct node *n, const struct repl_action *a)
{
    struct piece p = {.err = ERR_OK};
    enum err e = node_read_begin(n);
    if (e == ERR_OK) {
        e = piece_read(n->read, &a->fetch, &p);
        struct repl_message message = {.type = REPL_SNAPSHOT, .from = n->self, .snapshot = p.snapshot};
        if (e == ERR_OK) e = n->mesh != NULL ? mesh_send(n->mesh, &a->peer, &message, a->token) : ERR_UNREACHABLE;
        piece_fini(&p);
        node_read_end(n);
    }
    if (e == ERR_OK) return;
    log_event(&n->log, LOG_WARN, "replica", "cannot-send-snapshot", "peer=%s err=\"%s\"", a->peer.s, err_name(e));
    send_failed(n, &a->peer, a->token);
}

/* ---- answering a WANT from the store ---- */

static void do_send_missing(struct node *n, const struct repl_action *a)
{
    struct missing m = {.err = ERR_OK};
    enum err e = node_read_begin(n);
    if (e == ERR_OK) {
        e = missing_gather(n->read, &a->want, a->plan_only, &m);
        if (e == ERR_OK) {
            struct repl_message message = {.type = REPL_PUSH, .from = n->self, .push = m.push};
            e = n->mesh != NULL ? mesh_send(n->mesh, &a->peer, &message, a->token) : ERR_UNREACHABLE;
        } else {
            log_event(&n->log, LOG_WARN, "replica", "cannot-answer", "peer=%s err=\"%s\"", a->peer.s, err_name(e));
        }
        missing_fini(&m);
        node_read_end(n);
    }
    if (e != ERR_OK) send_failed(n, &a->peer, a->token);
}

/* ---- members, receipts, alarms ---- */

static void member_stored(struct node *n, void *ctx, uint64_t core_token, const struct store_completion *c)
{
    (void)ctx;
    (void)core_token;
    if (c->err != ERR_OK) log_event(&n->log, LOG_WARN, "replica", "member-not-stored", "err=\"%s\"", err_name(c->err));
}

void replica_remember(struct node *n, const struct member_note *m)
{
    uint64_t token = 0;
    if (replica_job(n, member_stored, NULL, 0, &token) != ERR_OK) return;
    if (store_submit_member(n->store, m, token) != ERR_OK) replica_job_cancel(n, token);
}

static void do_member(struct node *n, const struct repl_action *a)
{
    log_event(&n->log, LOG_INFO, "member", "status", "node=%s status=%s site=%.*s address=%.*s", a->member.name.s,
              member_status_name(a->member.status), SLICE_ARG(a->member.site), SLICE_ARG(a->member.mesh_address));
    if (a->member.barred != 0 && n->mesh != NULL) {
        bool gone = a->member.status == MEMBER_LEFT || a->member.status == MEMBER_EVICTED;
        (void)!(gone ? mesh_evict : mesh_bar)(n->mesh, &a->member.name, a->member.barred);
    }
    replica_remember(n, &a->member);
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
    n->alarm_at = node_mono();
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

/* Of the log: it is the database's epoch from now on. Of the state: its records carry it, and everything that still
 * holds is reported in it. */
static void do_new_epoch(struct node *n, const struct repl_action *a)
{
    uint64_t token = 0;
    log_event(&n->log, LOG_WARN, "replica", "new-epoch", "epoch=%" PRIu64 " of=%s", a->epoch,
              a->of_state ? "state" : "plan");
    if (a->of_state) {
        node_observe_again(n);
    } else if (replica_job(n, epoch_stored, NULL, 0, &token) == ERR_OK &&
               store_submit_epoch(n->store, a->epoch, token) != ERR_OK) {
        replica_job_cancel(n, token);
    }
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
    case REPL_DO_STATE_STORED: replica_observed(n, a->token, a->err); break;
    case REPL_DO_NEW_EPOCH: do_new_epoch(n, a); break;
    case REPL_DO_OWN_FOUND: registrations_found(n, a->records, a->record_count); break;
    case REPL_DO_RAISE_FLOOR:
    case REPL_DO_ADOPT_FLOOR:
    case REPL_DO_PERSIST_PIECE:
    case REPL_DO_REPLACE: do_plan_job(n, a); break;
    case REPL_DO_SEND_SNAPSHOT: do_send_snapshot(n, a); break;
    }
}

/* ---- feeding ---- */

static void arm_timer(struct node *n)
{
    struct mono now = node_mono();
    if (uv_is_closing((const uv_handle_t *)&n->repl_timer) || n->actions.deadline.us == UINT64_MAX) return;
    (void)uv_timer_start(&n->repl_timer, replica_tick, mono_ms_between(now, n->actions.deadline) + 1, 0);
}

static void step(struct node *n, struct repl_event *ev)
{
    ev->now = node_mono();
    ev->wall = node_wall();
    enum err e = repl_step(n->repl, ev, &n->actions);
    if (e != ERR_OK) {
        log_event(&n->log, LOG_WARN, "replica", "refused", "type=%s peer=%s err=\"%s\"", event_name(ev->type),
                  ev->peer.s, err_name(e));
        if (ev->type == REPL_EV_LOCAL_STATE) replica_observed(n, ev->token, e);
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
        pending_give_back(n, p);
    }
    n->stepping = false;
}

void replica_tick(uv_timer_t *timer)
{
    struct repl_event ev = {.type = REPL_EV_TICK};
    replica_feed(timer->data, &ev);
}

void replica_change(struct node *n, struct change_wait *w, const struct change_request *request)
{
    w->token = n->next_token++;
    w->applied = false;
    list_append(&n->waiting_changes, &w->node);
    struct repl_event ev = {.type = REPL_EV_LOCAL_CHANGE,
                            .token = w->token,
                            .author = request->author,
                            .text = request->message,
                            .ops = request->ops,
                            .op_count = request->op_count,
                            .terms = request->terms,
                            .after = request->after,
                            .exactly = request->exactly};
    replica_feed(n, &ev);
}

void change_wait_end(struct change_wait *w)
{
    list_remove(&w->node);
}

void replica_observe(struct node *n, enum state_kind kind, struct slice key, struct slice value, bool removed,
                     void (*done)(void *ctx, enum err err), void *ctx)
{
    struct repl_event ev = {.type = REPL_EV_LOCAL_STATE, .kind = kind, .key = key, .value = value, .removed = removed};
    if (replica_observer(n, done, ctx, &ev.token) != ERR_OK) {
        if (done != NULL) done(ctx, ERR_NOMEM);
        return;
    }
    replica_feed(n, &ev);
}
