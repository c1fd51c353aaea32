/* cluster: see cluster.h. What counts here is speed: a run of node-hours is billions of steps. So the heap holds small
 * keys, events and the cores' actions are used again, and a node has one tick set, as a driver has one timer. */
#include "tests/sim/cluster.h"

#include <stdio.h>
#include <stdlib.h>

#include "proto/mesh_codec.h"

#define WALL_MS INT64_C(1800000000000)
#define TIMEOUT_US 500000
/* Around a message on the wire, measured between real nodes: NNG sends three TLS records, each a packet of its own, and
 * TCP acknowledges. */
#define WIRE_OVERHEAD 262
#define NAME_PREFIX "branch-"
#define ANSWER_MAX (LIMIT_MESH_CHUNK / 256) /* change-sets of one operation in one answer */

struct out { /* the actions of one step, kept until every message of it has arrived */
    struct repl_actions a;
    unsigned refs;
    struct out *next; /* of the spare ones */
};

enum kind { TICK, DELIVER, SENT, LINK, STORED };
struct event {
    enum kind kind;
    bool lost;
    unsigned node;
    unsigned peer;
    uint64_t token;
    struct out *out;
    const struct repl_message *message;
};

static void *must(void *p)
{
    ASSERT(p != NULL);
    return p;
}

/* ---- what is to come ---- */

static bool before(const struct cluster_key *a, const struct cluster_key *b)
{
    return a->at != b->at ? a->at < b->at : a->seq < b->seq;
}

static void grow(struct cluster *c)
{
    size_t cap = c->cap == 0 ? 4096 : c->cap * 2;
    c->heap = must(realloc(c->heap, cap * sizeof *c->heap));
    c->events = must(realloc(c->events, cap * sizeof *c->events));
    c->free_slots = must(realloc(c->free_slots, cap * sizeof *c->free_slots));
    for (size_t i = c->cap; i < cap; i++)
        c->free_slots[c->free_count++] = (unsigned)i;
    c->cap = cap;
}

static void push(struct cluster *c, uint64_t after, struct event e)
{
    if (c->free_count == 0) grow(c);
    struct cluster_key key = {c->now + after, c->seq++, c->free_slots[--c->free_count]};
    c->events[key.slot] = e;
    size_t i = c->count++;
    for (; i > 0 && before(&key, &c->heap[(i - 1) / 2]); i = (i - 1) / 2)
        c->heap[i] = c->heap[(i - 1) / 2];
    c->heap[i] = key;
}

static struct event pop(struct cluster *c)
{
    struct event top = c->events[c->heap[0].slot];
    c->free_slots[c->free_count++] = c->heap[0].slot;
    struct cluster_key last = c->heap[--c->count];
    size_t i = 0;
    for (size_t child; (child = 2 * i + 1) < c->count; i = child) {
        if (child + 1 < c->count && before(&c->heap[child + 1], &c->heap[child])) child++;
        if (!before(&c->heap[child], &last)) break;
        c->heap[i] = c->heap[child];
    }
    c->heap[i] = last;
    return top;
}

static unsigned index_of(const struct node_name *n)
{
    unsigned i = 0;
    for (const char *p = n->s + sizeof NAME_PREFIX - 1; *p != '\0'; p++)
        i = i * 10 + (unsigned)(*p - '0');
    return i;
}

static uint64_t delay(struct cluster *c)
{
    return 1000 + rng_below(&c->rng, 64000);
}

static bool lost(struct cluster *c)
{
    return rng_below(&c->rng, 100) < c->loss_percent;
}

static struct out *take(struct cluster *c)
{
    struct out *o = c->spare;
    if (o != NULL) {
        c->spare = o->next;
    } else {
        o = must(calloc(1, sizeof *o));
    }
    o->refs = 1;
    return o;
}

static void drop(struct cluster *c, struct out *o)
{
    if (--o->refs > 0) return;
    repl_actions_reset(&o->a);
    o->next = c->spare;
    c->spare = o;
}

/* ---- carrying out ---- */

static void weigh(struct cluster *c, unsigned node, const struct repl_message *m)
{
    struct buf b = {0};
    struct mesh_frame f = {.type = MESH_MESSAGE, .cluster = SLICE("0123456789abcdef"), .sender = c->names[node]};
    f.message = *m;
    ASSERT(mesh_frame_pack(&f, &b) == ERR_OK);
    f = (struct mesh_frame){.type = MESH_ACK, .cluster = f.cluster, .sender = f.sender};
    ASSERT(mesh_frame_pack(&f, &b) == ERR_OK);
    /* The peer's acknowledgement goes the other way; in a quiet cluster both ways carry the same. */
    c->bytes_out += b.n + 2 * WIRE_OVERHEAD;
    c->messages++;
    buf_fini(&b);
}

static void send_to(struct cluster *c, unsigned node, unsigned peer, uint64_t token, const struct repl_message *m,
                    struct out *o)
{
    if (c->weigh) weigh(c, node, m);
    bool gone = (c->cut && c->other_side[node] != c->other_side[peer]) || lost(c);
    uint64_t there = delay(c);
    if (!gone) {
        o->refs++;
        push(c, there, (struct event){.kind = DELIVER, .node = peer, .peer = node, .out = o, .message = m});
    }
    gone = gone || lost(c);
    push(c, gone ? TIMEOUT_US : there + delay(c),
         (struct event){.kind = SENT, .lost = gone, .node = node, .peer = peer, .token = token});
}

static uint64_t wanted_from(const struct repl_want *want, const struct node_name *origin)
{
    for (size_t i = 0; i < want->plan_count; i++) {
        if (want->plan[i].epoch == (uint64_t)WALL_MS && node_name_eq(&want->plan[i].origin, origin))
            return want->plan[i].high;
    }
    return 0;
}

static void answer(struct cluster *c, unsigned node, const struct repl_action *a, struct out *o)
{
    struct changeset *list = must(arena_alloc(&o->a.arena, ANSWER_MAX * sizeof *list));
    struct repl_message *m = must(arena_alloc(&o->a.arena, sizeof *m));
    size_t n = 0;
    bool more = false;
    for (unsigned w = 0; w < c->writer_count; w++) {
        const struct log_of *log = &c->logs[c->writers[w]];
        uint64_t seq = wanted_from(&a->want, &c->names[c->writers[w]]);
        for (; seq < c->high[w][node] && n < ANSWER_MAX; seq++)
            list[n++] = log->changes[seq];
        more = more || seq < c->high[w][node];
    }
    *m = (struct repl_message){.type = REPL_PUSH, .from = c->names[node]};
    m->push = (struct repl_push){.answer = true, .changes = list, .change_count = n, .more = more};
    send_to(c, node, index_of(&a->peer), a->token, m, o);
}

static unsigned place_of(struct cluster *c, unsigned writer)
{
    unsigned w = 0;
    while (w < c->writer_count && c->writers[w] != writer)
        w++;
    ASSERT(w < c->writer_count);
    return w;
}

/* A change of our own gets its number and time here; asked_at came with the command, in the same order. */
static void remember(struct cluster *c, const struct changeset *change)
{
    struct log_of *log = &c->logs[index_of(&change->id.origin)];
    ASSERT(change->id.seq <= log->count);
    struct changeset *own = &log->changes[change->id.seq - 1];
    if (own->op_count != 0) return;
    *own = (struct changeset){.id = change->id, .time = change->time, .ops = &c->op, .op_count = 1};
}

static void persist(struct cluster *c, unsigned node, const struct repl_action *a, struct out *o)
{
    for (size_t i = 0; i < a->change_count; i++)
        remember(c, &a->changes[i]);
    struct repl_message *m = must(arena_alloc(&o->a.arena, sizeof *m));
    *m = (struct repl_message){.type = REPL_PUSH};
    m->push = (struct repl_push){.changes = a->changes, .change_count = a->change_count};
    o->refs++;
    push(c, 300 + rng_below(&c->rng, 3700),
         (struct event){.kind = STORED, .node = node, .token = a->token, .out = o, .message = m});
}

static void called_dead(struct cluster *c, const struct repl_action *a)
{
    unsigned who = index_of(&a->member.name);
    if (a->member.status != MEMBER_DEAD || c->cut) return;
    if (!c->dead[who]) {
        c->false_deaths++;
    } else if (who == c->dying) {
        cluster_sample(c, c->now - c->died_at);
    }
}

static void set_tick(struct cluster *c, unsigned node)
{
    if (c->deadline[node] >= c->tick_at[node]) return;
    c->tick_at[node] = c->deadline[node];
    push(c, c->deadline[node] > c->now ? c->deadline[node] - c->now : 0, (struct event){.kind = TICK, .node = node});
}

static void step(struct cluster *c, unsigned node, struct repl_event *ev)
{
    if (c->dead[node]) return;
    struct out *o = take(c);
    ev->now = (struct mono){c->now};
    ev->wall = (struct wall){WALL_MS + (int64_t)(c->now / 1000)};
    (void)!repl_step(c->cores[node], ev, &o->a);
    for (size_t i = 0; i < o->a.count; i++) {
        const struct repl_action *a = &o->a.items[i];
        if (a->type == REPL_DO_SEND) send_to(c, node, index_of(&a->peer), a->token, &a->message, o);
        if (a->type == REPL_DO_SEND_MISSING) answer(c, node, a, o);
        if (a->type == REPL_DO_PERSIST_CHANGE) persist(c, node, a, o);
        if (a->type == REPL_DO_MEMBER) called_dead(c, a);
        if (a->type == REPL_DO_DIAL)
            push(c, delay(c), (struct event){.kind = LINK, .node = node, .peer = index_of(&a->peer)});
    }
    c->deadline[node] = o->a.deadline.us;
    set_tick(c, node);
    drop(c, o);
}

static void stored(struct cluster *c, const struct event *e)
{
    const struct repl_push *p = &e->message->push;
    for (size_t i = 0; i < p->change_count && !c->dead[e->node]; i++) {
        unsigned writer = index_of(&p->changes[i].id.origin);
        uint64_t seq = p->changes[i].id.seq;
        uint64_t *high = &c->high[place_of(c, writer)][e->node];
        if (seq <= *high) continue;
        *high = seq;
        if (writer == e->node) c->waiting--;
        if (c->sample_spread) cluster_sample(c, c->now - c->logs[writer].asked_at[seq - 1]);
    }
    struct repl_event ev = {.type = REPL_EV_STORED, .token = e->token};
    step(c, e->node, &ev);
}

static void tick(struct cluster *c, unsigned node, uint64_t at)
{
    if (at != c->tick_at[node]) return; /* a later setting took its place */
    c->tick_at[node] = UINT64_MAX;
    if (c->deadline[node] > c->now) {
        set_tick(c, node);
        return;
    }
    struct repl_event ev = {.type = REPL_EV_TICK};
    step(c, node, &ev);
}

static void handle(struct cluster *c, const struct event *e)
{
    struct repl_event ev = {.peer = c->names[e->peer], .token = e->token, .rtt_us = 60000};
    switch (e->kind) {
    case TICK: tick(c, e->node, c->now); return;
    case DELIVER:
        ev.type = REPL_EV_MESSAGE;
        ev.message = e->message;
        break;
    case SENT: ev.type = e->lost || c->dead[e->peer] ? REPL_EV_SEND_FAILED : REPL_EV_SENT; break;
    case LINK: ev.type = REPL_EV_LINK_UP; break;
    case STORED: stored(c, e); break;
    }
    if (e->kind != STORED) step(c, e->node, &ev);
    if (e->out != NULL) drop(c, e->out);
}

void cluster_run(struct cluster *c, uint64_t us)
{
    uint64_t end = c->now + us;
    while (c->count > 0 && c->heap[0].at <= end) {
        c->now = c->heap[0].at;
        struct event e = pop(c);
        handle(c, &e);
    }
    c->now = end;
}

/* ---- what happens to it ---- */

static struct log_of *writing(struct cluster *c, unsigned node)
{
    struct log_of *log = &c->logs[node];
    if (log->cap == 0) {
        c->writers = must(realloc(c->writers, (c->writer_count + 1) * sizeof *c->writers));
        c->high = must(realloc(c->high, (c->writer_count + 1) * sizeof *c->high));
        c->high[c->writer_count] = must(calloc(c->n, sizeof **c->high));
        c->writers[c->writer_count++] = node;
    }
    if (log->count == log->cap) {
        log->cap = log->cap == 0 ? 16 : log->cap * 2;
        log->changes = must(realloc(log->changes, log->cap * sizeof *log->changes));
        log->asked_at = must(realloc(log->asked_at, log->cap * sizeof *log->asked_at));
    }
    return log;
}

void cluster_change(struct cluster *c, unsigned node)
{
    struct log_of *log = writing(c, node);
    log->changes[log->count] = (struct changeset){.op_count = 0};
    log->asked_at[log->count++] = c->now;
    c->waiting++;
    struct repl_event ev = {.type = REPL_EV_LOCAL_CHANGE, .author = SLICE("bench"), .ops = &c->op, .op_count = 1};
    step(c, node, &ev);
}

void cluster_kill(struct cluster *c, unsigned node)
{
    c->dying = node;
    c->died_at = c->now;
    c->dead[node] = true;
}

void cluster_cut(struct cluster *c, unsigned from)
{
    c->cut = from != 0;
    for (unsigned i = 0; i < c->n; i++)
        c->other_side[i] = i >= from;
}

bool cluster_same(const struct cluster *c)
{
    for (unsigned w = 0; w < c->writer_count; w++) {
        for (unsigned i = 0; i < c->n; i++) {
            if (!c->dead[i] && c->high[w][i] != c->logs[c->writers[w]].count) return false;
        }
    }
    return true;
}

void cluster_sample(struct cluster *c, uint64_t us)
{
    if (c->sample_count == c->sample_cap) {
        c->sample_cap = c->sample_cap == 0 ? 4096 : c->sample_cap * 2;
        c->samples = must(realloc(c->samples, c->sample_cap * sizeof *c->samples));
    }
    c->samples[c->sample_count++] = us;
}

/* ---- life ---- */

static void open_core(struct cluster *c, unsigned i, struct member_note *notes)
{
    struct repl_config config = {
        .self = c->names[i], .epoch = (uint64_t)WALL_MS, .members = notes, .member_count = c->n};
    config.mesh_address = SLICE("10.1.0.1:7400");
    config.incarnation = (uint64_t)WALL_MS;
    config.seed = rng_next(&c->rng);
    notes[i].incarnation = 0; /* its own: it starts in the one that the others know, so that nobody has news */
    ASSERT(repl_new(&config, &c->cores[i]) == ERR_OK);
    notes[i].incarnation = (uint64_t)WALL_MS;
    c->deadline[i] = c->now + rng_below(&c->rng, 1000000);
    c->tick_at[i] = UINT64_MAX;
    set_tick(c, i);
}

void cluster_open(struct cluster *c, unsigned n, uint64_t seed, unsigned loss_percent)
{
    *c = (struct cluster){.n = n, .loss_percent = loss_percent, .now = 1000000, .dying = UINT32_MAX};
    rng_init(&c->rng, seed);
    c->op = (struct change_op){.kind = CHANGE_PUT, .key = SLICE("route/6"), .value = SLICE("trunk/hq-pbx")};
    c->names = must(calloc(n, sizeof *c->names));
    c->cores = must(calloc(n, sizeof *c->cores));
    c->deadline = must(calloc(n, sizeof *c->deadline));
    c->tick_at = must(calloc(n, sizeof *c->tick_at));
    c->dead = must(calloc(n, sizeof *c->dead));
    c->other_side = must(calloc(n, sizeof *c->other_side));
    c->logs = must(calloc(n, sizeof *c->logs));
    struct member_note *notes = must(calloc(n, sizeof *notes));
    for (unsigned i = 0; i < n; i++) {
        (void)snprintf(c->names[i].s, sizeof c->names[i].s, NAME_PREFIX "%u", i);
        notes[i] = (struct member_note){.name = c->names[i], .incarnation = (uint64_t)WALL_MS};
        notes[i].status = MEMBER_ALIVE;
        notes[i].mesh_address = SLICE("10.1.0.1:7400");
    }
    for (unsigned i = 0; i < n; i++)
        open_core(c, i, notes);
    free(notes);
    cluster_run(c, 12000000);
}

void cluster_close(struct cluster *c)
{
    for (; c->count > 0; c->count--) {
        struct out *o = c->events[c->heap[c->count - 1].slot].out;
        if (o != NULL) drop(c, o);
    }
    for (struct out *o; (o = c->spare) != NULL;) {
        c->spare = o->next;
        repl_actions_fini(&o->a);
        free(o);
    }
    for (unsigned i = 0; i < c->n; i++) {
        repl_free(c->cores[i]);
        free(c->logs[i].changes);
        free(c->logs[i].asked_at);
    }
    for (unsigned w = 0; w < c->writer_count; w++)
        free(c->high[w]);
    free(c->high);
    free(c->writers);
    free(c->logs);
    free(c->heap);
    free(c->events);
    free(c->free_slots);
    free(c->names);
    free(c->cores);
    free(c->deadline);
    free(c->tick_at);
    free(c->dead);
    free(c->other_side);
    free(c->samples);
}
