/* step: the door of the core: one event in, the state advances, actions come out.
 *
 * Two tables carry it: one from event to handler, one from message to check and handler. A handler changes state and
 * marks what is due; flush says it. The order of the flush is the order that actions owe each other: what is durable is
 * reported and then pushed, the members' changes are recorded before anything is sent on their account. */
#include "node/repl/rooms.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

static const char *const counter_names[] = {REPL_COUNTERS(COUNTER_NAME)};

#define STALL_MS 1000 /* a tick that comes so much too late was ours to give */

void repl_alarm(struct repl *r, enum repl_alarm kind, const char *fmt, ...)
{
    bool again = mono_reached(r->now, mono_add_ms(r->alarms[kind].at, REPL_ALARM_REPEAT_MS));
    if (r->alarms[kind].raised && !again) return;
    va_list ap;
    va_start(ap, fmt);
    (void)vsnprintf(r->alarms[kind].text, sizeof r->alarms[kind].text, fmt, ap);
    va_end(ap);
    r->alarms[kind].due = r->alarms[kind].raised = true;
    r->alarms[kind].at = r->now;
}

struct repl_action *repl_send_add(struct repl *r, struct repl_actions *out, const struct member *m,
                                  enum repl_message_type type, enum token_kind kind, struct repl_batch *batch)
{
    struct repl_action *a =
        batch != NULL ? repl_action_add_held(out, REPL_DO_SEND, batch) : repl_action_add(out, REPL_DO_SEND);
    if (a == NULL) return NULL;
    a->peer = m->name;
    a->token = repl_token(kind, ++r->last_id);
    a->message.type = type;
    a->message.from = r->self;
    return a;
}

/* ---- messages ---- */

static enum err on_heartbeat(struct repl *r, struct member *m, const struct repl_message *msg, struct repl_actions *out)
{
    (void)out;
    return repl_heartbeat_take(r, m, &msg->heartbeat);
}

static enum err on_push(struct repl *r, struct member *m, const struct repl_message *msg, struct repl_actions *out)
{
    return repl_sync_push(r, m, &msg->push, out);
}

static enum err on_want(struct repl *r, struct member *m, const struct repl_message *msg, struct repl_actions *out)
{
    return repl_sync_asked(r, m, &msg->want, out);
}

static enum err on_receipt(struct repl *r, struct member *m, const struct repl_message *msg, struct repl_actions *out)
{
    return repl_receipts_take(r, m, &msg->receipt, out);
}

static enum err on_fetch(struct repl *r, struct member *m, const struct repl_message *msg, struct repl_actions *out)
{
    return repl_fetch_asked(r, m, &msg->fetch, out);
}

static enum err on_snapshot(struct repl *r, struct member *m, const struct repl_message *msg, struct repl_actions *out)
{
    return repl_fetch_take(r, m, msg, out);
}

static const struct {
    enum err (*check)(const struct node_name *from, const struct repl_message *msg);
    enum err (*take)(struct repl *r, struct member *m, const struct repl_message *msg, struct repl_actions *out);
} messages[REPL_TYPE_COUNT] = {
    [REPL_HEARTBEAT] = {repl_check_heartbeat, on_heartbeat},
    [REPL_PUSH] = {repl_check_push, on_push},
    [REPL_WANT] = {repl_check_want, on_want},
    [REPL_RECEIPT] = {repl_check_receipt, on_receipt},
    [REPL_FETCH] = {repl_check_fetch, on_fetch},
    [REPL_SNAPSHOT] = {repl_check_snapshot, on_snapshot},
};

/* The member, found or new: the link has proved its name. */
static enum err member_of(struct repl *r, const struct node_name *name, struct member **m)
{
    *m = repl_member_find(r, name);
    enum err e = *m != NULL ? ERR_OK : repl_member_add(r, name, m);
    return e == ERR_OK ? repl_member_peer(r, *m) : e;
}

static enum err on_message(struct repl *r, const struct repl_event *ev, struct repl_actions *out)
{
    const struct repl_message *msg = ev->message;
    bool known = msg->type > 0 && msg->type < REPL_TYPE_COUNT;
    bool named = node_name_valid(&ev->peer) && !node_name_eq(&ev->peer, &r->self);
    enum err e = known && named ? messages[msg->type].check(&ev->peer, msg) : ERR_SYNTAX;
    if (e != ERR_OK) {
        repl_count(r, REPL_COUNT_messages_invalid, 1);
        return e;
    }
    struct member *m;
    e = member_of(r, &ev->peer, &m);
    if (e != ERR_OK) return e;
    if (repl_status_final(m->status)) {
        m->peer->hangup_due = true;
        r->scan = true;
        repl_count(r, REPL_COUNT_messages_refused, 1);
        return ERR_REFUSED;
    }
    repl_member_heard(r, m);
    return messages[msg->type].take(r, m, msg, out);
}

/* ---- other events ---- */

static enum err on_tick(struct repl *r, const struct repl_event *ev, struct repl_actions *out)
{
    (void)r;
    (void)ev;
    (void)out;
    return ERR_OK;
}

static enum err on_link_up(struct repl *r, const struct repl_event *ev, struct repl_actions *out)
{
    (void)out;
    if (!node_name_valid(&ev->peer) || node_name_eq(&ev->peer, &r->self)) return ERR_SYNTAX;
    struct member *m;
    enum err e = member_of(r, &ev->peer, &m);
    if (e != ERR_OK) return e;
    if (repl_status_final(m->status)) m->peer->hangup_due = true;
    repl_member_link(r, m, true);
    return ERR_OK;
}

static enum err on_link_down(struct repl *r, const struct repl_event *ev, struct repl_actions *out)
{
    (void)out;
    struct member *m = repl_member_find(r, &ev->peer);
    if (m == NULL || m->peer == NULL) return ERR_NOTFOUND;
    repl_member_link(r, m, false);
    return ERR_OK;
}

static enum err on_sent(struct repl *r, const struct repl_event *ev, struct repl_actions *out)
{
    (void)out;
    struct member *m = repl_member_find(r, &ev->peer);
    if (m == NULL || m->peer == NULL) return ERR_NOTFOUND;
    m->peer->rtt_us = ev->rtt_us;
    if (!repl_status_final(m->status)) repl_member_heard(r, m);
    if (m->peer->notes_all && ev->token == m->peer->notes_token) m->peer->notes_all = false;
    if (ev->token == m->peer->steps_token) m->peer->steps_told = m->peer->steps_sent;
    return ERR_OK;
}

static enum err on_send_failed(struct repl *r, const struct repl_event *ev, struct repl_actions *out)
{
    (void)out;
    struct member *m = repl_member_find(r, &ev->peer);
    if (m == NULL || m->peer == NULL) return ERR_NOTFOUND;
    if (ev->token == m->peer->heartbeat_token) {
        m->peer->heartbeat_at = mono_min(m->peer->heartbeat_at, mono_add_ms(r->now, REPL_HEARTBEAT_RETRY_MS));
    } else if (m->peer->want == WANT_OUT && ev->token == m->peer->want_token) {
        m->peer->want = WANT_NONE; /* the next heartbeat shows whether it still is to be asked */
    } else {
        repl_count(r, REPL_COUNT_pushes_failed, 1);
    }
    r->scan = true;
    return ERR_OK;
}

static enum err on_local_change(struct repl *r, const struct repl_event *ev, struct repl_actions *out)
{
    (void)out;
    return repl_changes_local(r, ev);
}

static enum err on_local_state(struct repl *r, const struct repl_event *ev, struct repl_actions *out)
{
    (void)out;
    return repl_state_local(r, ev);
}

static enum err on_stored(struct repl *r, const struct repl_event *ev, struct repl_actions *out)
{
    (void)out;
    switch (repl_token_kind(ev->token)) {
    case TOKEN_CHANGES: return repl_changes_stored(r, ev);
    case TOKEN_LOCAL: return repl_changes_local_stored(r, ev);
    case TOKEN_STATE: return repl_state_stored(r, ev);
    case TOKEN_OWN: return repl_state_own_stored(r, ev);
    case TOKEN_FLOOR: return repl_floor_stored(r, ev);
    case TOKEN_PIECE: return repl_fetch_piece_stored(r, ev);
    case TOKEN_REPLACE: return repl_fetch_replaced(r, ev);
    case TOKEN_HEARTBEAT:
    case TOKEN_WANT:
    case TOKEN_OTHER: break;
    }
    return ERR_NOTFOUND;
}

static enum err on_evict(struct repl *r, const struct repl_event *ev, struct repl_actions *out)
{
    (void)out;
    struct member *m = repl_member_find(r, &ev->peer);
    if (m == NULL) return ERR_NOTFOUND;
    enum err e = repl_member_peer(r, m); /* it is told why, when it can be reached */
    if (e != ERR_OK) return e;
    repl_member_papers(r, m, 0, repl_bar_now(r, m->issued));
    (void)repl_member_move(r, m, MEMBER_EVICTED);
    repl_heartbeat_all_now(r);
    return ERR_OK;
}

static enum err on_leave(struct repl *r, const struct repl_event *ev, struct repl_actions *out)
{
    (void)ev;
    (void)out;
    if (repl_status_final(r->self_status)) return ERR_OK;
    r->self_status = MEMBER_LEFT;
    r->self_since = r->wall;
    r->barred = repl_bar_now(r, r->issued);
    r->self_spoken_until = mono_add_ms(r->now, REPL_NOTE_MS);
    r->self_record_due = true;
    repl_heartbeat_all_now(r);
    return ERR_OK;
}

static enum err on_certificate(struct repl *r, const struct repl_event *ev, struct repl_actions *out)
{
    (void)out;
    if (!node_name_valid(&ev->peer) || node_name_eq(&ev->peer, &r->self) || ev->issued > REPL_COUNT_MAX) {
        return ERR_SYNTAX;
    }
    struct member *m;
    enum err e = member_of(r, &ev->peer, &m);
    if (e == ERR_OK) repl_member_papers(r, m, ev->issued, 0);
    return e;
}

static enum err (*const handlers[])(struct repl *r, const struct repl_event *ev, struct repl_actions *out) = {
    [REPL_EV_TICK] = on_tick,
    [REPL_EV_MESSAGE] = on_message,
    [REPL_EV_LINK_UP] = on_link_up,
    [REPL_EV_LINK_DOWN] = on_link_down,
    [REPL_EV_SENT] = on_sent,
    [REPL_EV_SEND_FAILED] = on_send_failed,
    [REPL_EV_LOCAL_CHANGE] = on_local_change,
    [REPL_EV_LOCAL_STATE] = on_local_state,
    [REPL_EV_STORED] = on_stored,
    [REPL_EV_STORE_FAILED] = on_stored,
    [REPL_EV_EVICT] = on_evict,
    [REPL_EV_LEAVE] = on_leave,
    [REPL_EV_CERTIFICATE] = on_certificate,
};

/* ---- saying what is due ---- */

static bool flush_alarms(struct repl *r, struct repl_actions *out)
{
    for (size_t i = 0; i < 2; i++) {
        if (!r->new_epoch[i].due) continue;
        struct repl_action *a = repl_action_add(out, REPL_DO_NEW_EPOCH);
        if (a == NULL) return false;
        a->epoch = r->new_epoch[i].epoch;
        a->of_state = i == 1;
        r->new_epoch[i].due = false;
    }
    for (size_t i = 0; i < ALARM_COUNT; i++) {
        if (!r->alarms[i].due) continue;
        struct slice text = arena_copy(&out->arena, slice_of(r->alarms[i].text));
        struct repl_action *a = text.p != NULL ? repl_action_add(out, REPL_DO_ALARM) : NULL;
        if (a == NULL) return false;
        a->text = text;
        r->alarms[i].due = false;
    }
    return true;
}

static bool flush_self(struct repl *r, struct repl_actions *out)
{
    if (!r->self_record_due) return true;
    struct slice address = arena_copy(&out->arena, slice_of(r->address));
    struct slice site = arena_copy(&out->arena, slice_of(r->site));
    struct repl_action *a = address.p != NULL && site.p != NULL ? repl_action_add(out, REPL_DO_MEMBER) : NULL;
    if (a == NULL) return false;
    a->peer = r->self;
    a->member = (struct member_note){.name = r->self,
                                     .incarnation = r->incarnation,
                                     .status = r->self_status,
                                     .mesh_address = address,
                                     .site = site,
                                     .issued = r->issued,
                                     .barred = r->barred,
                                     .since = r->self_since,
                                     .joined = r->joined};
    r->self_record_due = false;
    return true;
}

static bool flush_links(struct repl *r, struct member *m, size_t *asked, struct note_cache *notes,
                        struct repl_actions *out)
{
    struct peer *p = m->peer;
    repl_overlay_trim(r, m);
    repl_heartbeat_hasten(r, p);
    if (!repl_receipts_flush(r, m, out) || !repl_sync_flush(r, m, asked, out)) return false;
    if (p->linked && mono_reached(r->now, p->heartbeat_at) && !repl_heartbeat_send(r, m, notes, out)) return false;
    if (!repl_member_hang_up(r, m, out)) return false;
    if (p->linked) repl_wake(r, p->heartbeat_at);
    return true;
}

/* News goes to the neighbours on the rings. */
static void tell(struct repl *r)
{
    struct members *ms = &r->members;
    if (!mono_reached(r->now, ms->tell_at)) {
        repl_wake(r, ms->tell_at);
        return;
    }
    ms->tell_at = MONO_NEVER;
    for (size_t i = 0; i < ms->peers.count; i++) {
        struct peer *p = ms->peers.items[i]->peer;
        if (p->ring) p->heartbeat_at = r->now;
    }
}

/* First all that is to be recorded, since heartbeats speak of it. */
static bool flush_members(struct repl *r, struct repl_actions *out)
{
    const struct member_list *peers = &r->members.peers;
    if (!repl_observe_flush(r) || !repl_members_record(r, out)) return false;
    tell(r);
    size_t asked = repl_sync_asked_count(r);
    struct note_cache notes = {0};
    for (size_t i = 0; i < peers->count; i++) {
        if (!flush_links(r, peers->items[i], &asked, &notes, out)) return false;
    }
    return true;
}

static bool flush(struct repl *r, bool look, struct repl_actions *out)
{
    return repl_overlay_flush(r) && repl_state_settle(r) && repl_changes_settle(r) && flush_alarms(r, out) &&
           repl_changes_local_flush(r, out) && repl_changes_received_flush(r, out) && repl_state_flush(r, out) &&
           flush_self(r, out) && repl_flood_flush(r, out) && repl_state_push_flush(r, out) &&
           (!(look || r->scan) || (repl_floor_flush(r, out) && repl_fetch_flush(r, out))) &&
           (!(look || r->scan) || flush_members(r, out));
}

/* ---- the step ---- */

static void start(struct repl *r)
{
    r->started = true;
    if (!repl_status_final(r->self_status) || r->self_since.ms == 0) r->self_since = r->wall;
    if (!repl_clock_follow(&r->clock, r->replica_time, r->wall)) {
        repl_alarm(r, ALARM_FUTURE, "the replica holds a change that is more than %d s ahead of our clock",
                   REPL_FUTURE_MS / 1000);
    }
    for (size_t i = 0; i < r->members.peers.count; i++) {
        struct member *m = r->members.peers.items[i];
        m->peer->silent_from = r->now;
    }
    for (size_t i = 0; i < r->members.count; i++) {
        struct member *m = r->members.items[i];
        if (m->since.ms == 0) m->since = r->wall;
    }
    r->members.changed_at = r->now;
    r->self_spoken_until = mono_add_ms(r->now, REPL_NOTE_MS);
    r->hold_until = mono_add_ms(r->now, REPL_HOLD_MS);
    r->scan = true;
}

/* When the whole process stood still, the others' silence in that time was ours. */
static void forgive_stall(struct repl *r, struct mono now)
{
    if (r->timer.us == UINT64_MAX || !mono_reached(now, mono_add_ms(r->timer, STALL_MS))) return;
    uint64_t late_ms = mono_ms_between(r->timer, now);
    repl_count(r, REPL_COUNT_own_stalls, 1);
    for (size_t i = 0; i < r->members.peers.count; i++) {
        struct member *m = r->members.peers.items[i];
        m->peer->silent_from = mono_min(now, mono_add_ms(m->peer->silent_from, late_ms));
    }
}

enum err repl_step(struct repl *r, const struct repl_event *ev, struct repl_actions *out)
{
    ASSERT(ev->type <= REPL_EV_CERTIFICATE);
    if (r->started) forgive_stall(r, ev->now);
    r->now = ev->now;
    r->wall = ev->wall;
    if (!r->started) start(r);
    enum err e = handlers[ev->type](r, ev, out);

    bool look = r->scan || mono_reached(r->now, r->timer);
    if (look) r->timer = MONO_NEVER;
    if (flush(r, look, out)) {
        r->scan = false;
    } else {
        repl_count(r, REPL_COUNT_retries_without_memory, 1);
        r->scan = true;
        repl_wake(r, mono_add_ms(r->now, REPL_NOMEM_RETRY_MS));
    }
    out->deadline = r->timer;
    return e;
}

/* ---- life ---- */

static enum err add_members(struct repl *r, const struct repl_config *config)
{
    for (size_t i = 0; i < config->member_count; i++) {
        const struct member_note *note = &config->members[i];
        if (node_name_eq(&note->name, &r->self)) {
            bool gone = repl_status_final(note->status);
            r->barred = gone && note->barred == 0 ? repl_bar_now(r, r->issued) : note->barred;
            if (gone && member_is_barred(r->issued, r->barred)) {
                r->self_status = note->status;
                r->self_since = note->since;
            }
            if (note->incarnation >= r->incarnation) r->incarnation = note->incarnation + 1;
            continue;
        }
        struct member *m;
        if (note->mesh_address.n > REPL_ADDRESS_MAX || note->site.n > LIMIT_NAME) return ERR_LIMIT;
        enum err e = repl_member_add(r, &note->name, &m);
        if (e == ERR_OK) e = repl_member_load(r, m, note);
        if (e != ERR_OK) return e;
        /* Not heard yet in this run: what it was last time is stale. Beyond the full mesh few will ever be heard. */
        bool all_linked = config->member_count < REPL_MESH_MAX;
        m->presumed = m->status == MEMBER_ALIVE && all_linked;
        if (m->presumed) m->status = MEMBER_SUSPECT;
    }
    return ERR_OK;
}

enum err repl_new(const struct repl_config *config, struct repl **out)
{
    if (!node_name_valid(&config->self) || config->epoch == 0 || config->epoch > REPL_COUNT_MAX) return ERR_SYNTAX;
    if (config->mesh_address.n > REPL_ADDRESS_MAX || config->site.n > LIMIT_NAME) return ERR_LIMIT;
    struct repl *r = calloc(1, sizeof *r);
    if (r == NULL) return ERR_NOMEM;
    r->self = config->self;
    r->incarnation = config->incarnation;
    r->issued = config->issued;
    r->joined = config->joined;
    r->self_status = MEMBER_ALIVE;
    r->replica_time = config->time;
    r->joins = config->joins;
    r->timer = r->members.tell_at = MONO_NEVER;
    r->members.overlay_due = true;
    repl_member_set_text(r->site, sizeof r->site, config->site);
    repl_member_set_text(r->address, sizeof r->address, config->mesh_address);
    memcpy(r->plan_digest, config->plan_digest, sizeof r->plan_digest);
    rng_init(&r->rng, config->seed);
    repl_floor_init(r, config);
    r->counter_table = (struct counter_table){"repl", counter_names, r->counts, REPL_COUNTER_COUNT};
    enum err e = repl_changes_init(r, config);
    if (e == ERR_OK) e = repl_state_init(r, config);
    if (e == ERR_OK) e = add_members(r, config);
    if (e != ERR_OK) {
        repl_free(r);
        return e;
    }
    *out = r;
    return ERR_OK;
}

void repl_free(struct repl *r)
{
    if (r == NULL) return;
    repl_changes_fini(r);
    repl_state_fini(r);
    repl_floor_fini(r);
    repl_fetch_fini(r);
    repl_members_fini(r);
    free(r);
}
