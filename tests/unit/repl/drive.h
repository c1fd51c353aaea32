/* drive: one core under a hand-held clock, for the unit tests of node/repl: feeds events, keeps the last actions,
 * answers for the store. What it is not: a cluster; that is tests/sim. */
#ifndef TANDEM_TEST_REPL_DRIVE_H
#define TANDEM_TEST_REPL_DRIVE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "node/repl/rooms.h"

#define DRIVE_WALL_MS INT64_C(1800000000000)
#define DRIVE_EPOCH UINT64_C(1790000000000)

struct drive {
    struct repl *r;
    struct repl_actions out; /* of the last step */
    uint64_t now_ms;
    int64_t wall_skew_ms;
};

static inline struct node_name name_of(const char *text)
{
    struct node_name n;
    assert_int_equal(node_name_set(&n, slice_of(text)), ERR_OK);
    return n;
}

static inline struct repl_config config_of(const char *self)
{
    return (struct repl_config){.self = name_of(self),
                                .site = SLICE("hq"),
                                .mesh_address = SLICE("10.0.0.1:7400"),
                                .epoch = DRIVE_EPOCH,
                                .incarnation = (uint64_t)DRIVE_WALL_MS,
                                .seed = 1};
}

static inline enum err drive_try(struct drive *d, struct repl_event ev)
{
    repl_actions_fini(&d->out); /* not reset: the fault sweep is to see every allocation */
    ev.now = (struct mono){d->now_ms * 1000};
    ev.wall = (struct wall){DRIVE_WALL_MS + (int64_t)d->now_ms + d->wall_skew_ms};
    return repl_step(d->r, &ev, &d->out);
}

static inline void drive(struct drive *d, struct repl_event ev)
{
    assert_int_equal(drive_try(d, ev), ERR_OK);
}

static inline void drive_tick(struct drive *d, uint64_t after_ms)
{
    d->now_ms += after_ms;
    drive(d, (struct repl_event){.type = REPL_EV_TICK});
}

static inline void drive_close(struct drive *d)
{
    repl_actions_fini(&d->out);
    repl_free(d->r);
}

/* The nth action of this type in the last step, or NULL. */
static inline const struct repl_action *action_at(const struct drive *d, enum repl_action_type type, size_t nth)
{
    for (size_t i = 0; i < d->out.count; i++) {
        if (d->out.items[i].type == type && nth-- == 0) return &d->out.items[i];
    }
    return NULL;
}

static inline const struct repl_action *action(const struct drive *d, enum repl_action_type type)
{
    const struct repl_action *a = action_at(d, type, 0);
    if (a == NULL) fail_msg("no action %d among %zu", (int)type, d->out.count);
    return a;
}

static inline size_t action_count(const struct drive *d, enum repl_action_type type)
{
    size_t n = 0;
    while (action_at(d, type, n) != NULL)
        n++;
    return n;
}

/* The message of this type to peer in the last step, or NULL. */
static inline const struct repl_message *sent(const struct drive *d, const char *peer, enum repl_message_type type)
{
    struct node_name name = name_of(peer);
    for (size_t i = 0; i < d->out.count; i++) {
        const struct repl_action *a = &d->out.items[i];
        if (a->type == REPL_DO_SEND && a->message.type == type && node_name_eq(&a->peer, &name)) return &a->message;
    }
    return NULL;
}

static inline uint64_t sent_token(const struct drive *d, const char *peer, enum repl_message_type type)
{
    struct node_name name = name_of(peer);
    for (size_t i = 0; i < d->out.count; i++) {
        const struct repl_action *a = &d->out.items[i];
        if (a->type == REPL_DO_SEND && a->message.type == type && node_name_eq(&a->peer, &name)) return a->token;
    }
    fail_msg("nothing of type %d was sent to %s", (int)type, peer);
    return 0;
}

static inline void drive_link(struct drive *d, const char *peer, bool up)
{
    drive(d, (struct repl_event){.type = up ? REPL_EV_LINK_UP : REPL_EV_LINK_DOWN, .peer = name_of(peer)});
}

static inline enum err drive_message(struct drive *d, const char *from, struct repl_message m)
{
    m.from = name_of(from);
    return drive_try(d, (struct repl_event){.type = REPL_EV_MESSAGE, .peer = m.from, .message = &m});
}

static inline void drive_sent(struct drive *d, const char *peer, uint64_t token)
{
    drive(d, (struct repl_event){.type = REPL_EV_SENT, .peer = name_of(peer), .token = token, .rtt_us = 700});
}

static inline void drive_stored(struct drive *d, uint64_t token)
{
    drive(d, (struct repl_event){.type = REPL_EV_STORED, .token = token});
}

/* STORED of a job of the plan says what the floor and the tombstones are now. */
static inline void drive_stored_with(struct drive *d, uint64_t token, uint64_t floor, uint64_t tombstones)
{
    drive(d, (struct repl_event){.type = REPL_EV_STORED, .token = token, .floor = {floor}, .tombstones = tombstones});
}

static inline void drive_store_failed(struct drive *d, uint64_t token, enum err err)
{
    drive(d, (struct repl_event){.type = REPL_EV_STORE_FAILED, .token = token, .err = err});
}

/* The first step. Where no member is known the core sees at once that its numbers are free, and stores a mark of it. */
static inline void drive_open(struct drive *d, const struct repl_config *config)
{
    *d = (struct drive){.now_ms = 100000};
    assert_int_equal(repl_new(config, &d->r), ERR_OK);
    drive_tick(d, 0);
    const struct repl_action *mark = action_at(d, REPL_DO_PERSIST_STATE, 0);
    if (mark != NULL) drive_stored(d, mark->token);
}

static inline struct member_note note_of(const char *name, enum member_status status)
{
    return (struct member_note){.name = name_of(name),
                                .incarnation = (uint64_t)DRIVE_WALL_MS,
                                .status = status,
                                .mesh_address = SLICE("10.0.0.2:7400"),
                                .site = SLICE("branch")};
}

/* A heartbeat of a peer that holds just what we hold. */
static inline struct repl_message heartbeat_of(const struct drive *d, const struct member_note *notes, size_t count)
{
    struct repl_message m = {.type = REPL_HEARTBEAT,
                             .heartbeat = {.incarnation = (uint64_t)DRIVE_WALL_MS,
                                           .time = {(uint64_t)DRIVE_WALL_MS << 16},
                                           .notes = notes,
                                           .note_count = count}};
    repl_vector_root(&d->r->changes.have, m.heartbeat.plan_root);
    repl_vector_root(&d->r->states.have, m.heartbeat.state_root);
    return m;
}

static inline void drive_heartbeat(struct drive *d, const char *from)
{
    struct member_note self = note_of(from, MEMBER_ALIVE);
    assert_int_equal(drive_message(d, from, heartbeat_of(d, &self, 1)), ERR_OK);
}

/* A peer that is linked, and has spoken. */
static inline void drive_join(struct drive *d, const char *peer)
{
    drive_link(d, peer, true);
    drive_sent(d, peer, sent_token(d, peer, REPL_HEARTBEAT));
    drive_heartbeat(d, peer);
}

static inline enum err drive_local_change(struct drive *d, uint64_t token, const char *text)
{
    static const struct change_op op = {.kind = CHANGE_PUT, .key = {"site/hq", 7}, .value = {"packed", 6}};
    return drive_try(d, (struct repl_event){.type = REPL_EV_LOCAL_CHANGE,
                                            .token = token,
                                            .author = SLICE("root@n1"),
                                            .text = slice_of(text),
                                            .ops = &op,
                                            .op_count = 1});
}

static inline struct changeset change_of(const char *origin, uint64_t seq)
{
    static const struct change_op op = {.kind = CHANGE_PUT, .key = {"site/branch", 11}, .value = {"packed", 6}};
    return (struct changeset){.id = {name_of(origin), DRIVE_EPOCH, seq},
                              .time = {((uint64_t)DRIVE_WALL_MS << 16) + seq},
                              .author = SLICE("root@n2"),
                              .message = SLICE("a change"),
                              .ops = &op,
                              .op_count = 1,
                              .packed = SLICE("the original bytes")};
}

static inline struct state_record record_of(const char *owner, uint64_t version, const char *key)
{
    return (struct state_record){.owner = name_of(owner),
                                 .epoch = DRIVE_EPOCH,
                                 .version = version,
                                 .kind = STATE_BINDING,
                                 .key = slice_of(key),
                                 .value = SLICE("contact")};
}

static inline enum err drive_local_state(struct drive *d, uint64_t token, const char *key)
{
    return drive_try(d, (struct repl_event){.type = REPL_EV_LOCAL_STATE,
                                            .token = token,
                                            .kind = STATE_BINDING,
                                            .key = slice_of(key),
                                            .value = SLICE("contact")});
}

static inline struct repl_member_view view_of(const struct drive *d, const char *name)
{
    struct node_name n = name_of(name);
    for (size_t i = 0; i < repl_member_count(d->r); i++) {
        struct repl_member_view v = repl_member_at(d->r, i);
        if (node_name_eq(&v.name, &n)) return v;
    }
    fail_msg("%s is not a member", name);
    return (struct repl_member_view){0};
}

static inline uint64_t counted(const struct drive *d, const char *name)
{
    const struct counter_table *t = repl_counters(d->r);
    for (size_t i = 0; i < t->count; i++) {
        if (strcmp(t->names[i], name) == 0) return counter_get(&t->values[i]);
    }
    fail_msg("no counter %s", name);
    return 0;
}

/* n1, which knows nobody. */
static inline struct drive fresh(void)
{
    struct drive d;
    struct repl_config c = config_of("n1");
    drive_open(&d, &c);
    return d;
}

static inline void expect_member(const struct drive *d, const char *name, enum member_status status)
{
    const struct repl_action *a = action(d, REPL_DO_MEMBER);
    struct node_name n = name_of(name);
    assert_true(node_name_eq(&a->member.name, &n));
    assert_int_equal(a->member.status, status);
    assert_int_equal(repl_member_status(d->r, &n), status);
}

#endif
