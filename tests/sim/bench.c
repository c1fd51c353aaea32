/* bench: what the replication core costs and how fast it is, in clusters of up to thousands of real cores under a
 * virtual clock. Prints "group name value unit" lines.
 *
 *   sim_bench spread|detect|idle|loss --nodes N [--seed N] [--rounds N]
 *
 * spread: a change, from the operator's command to durable at each live node; 2 % of messages lost, 1-65 ms each way.
 * detect: a node dies; until each other node calls it dead. idle: bytes per node and second when nothing happens.
 * loss: 10 % of messages lost, --rounds minutes: how often a living node is called dead.
 *
 * What it is not: a search for faults (sim.c). Links stay up, disks are slow but true, and the nodes' own state is
 * never durable, so that it does not travel. */
#include "node/base/rng.h"
#include "node/repl/step.h"
#include "proto/mesh_codec.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define WALL_MS INT64_C(1800000000000)
#define CHANGES_MAX 64
#define TIMEOUT_US 500000
/* Around a message on the wire: TLS record, TCP and IP headers. */
#define WIRE_OVERHEAD 74

struct out { /* the actions of one step, kept until every message of it has arrived */
    struct repl_actions a;
    unsigned refs;
};

enum kind { TICK, DELIVER, SENT, LINK, STORED };
struct event {
    uint64_t at;
    uint64_t seq;
    enum kind kind;
    bool lost;
    unsigned node;
    unsigned peer;
    uint64_t token;
    struct out *out;
    const struct repl_message *message;
    int change; /* STORED: the last of the global list that it brought, -1 none */
};

struct cluster {
    unsigned n;
    unsigned loss_percent;
    struct rng rng;
    uint64_t now;
    uint64_t seq;
    struct event *heap;
    size_t count;
    size_t cap;
    struct repl **cores;
    uint64_t *deadline;
    bool *dead;
    bool *stored[CHANGES_MAX]; /* which node has which change */
    struct changeset changes[CHANGES_MAX];
    struct change_op op;
    int change_count;
    uint64_t asked_at; /* the present change */
    uint64_t died_at;
    unsigned dying;
    uint64_t *samples; /* us */
    size_t sample_count;
    size_t false_deaths;
    uint64_t bytes_out;
    uint64_t messages;
    bool weigh;
};

static void *must(void *p)
{
    ASSERT(p != NULL);
    return p;
}

static bool before(const struct event *a, const struct event *b)
{
    return a->at != b->at ? a->at < b->at : a->seq < b->seq;
}

static void push(struct cluster *c, uint64_t after, struct event e)
{
    if (c->count == c->cap) {
        c->cap = c->cap == 0 ? 4096 : c->cap * 2;
        c->heap = must(realloc(c->heap, c->cap * sizeof *c->heap));
    }
    e.at = c->now + after;
    e.seq = c->seq++;
    size_t i = c->count++;
    for (; i > 0 && before(&e, &c->heap[(i - 1) / 2]); i = (i - 1) / 2)
        c->heap[i] = c->heap[(i - 1) / 2];
    c->heap[i] = e;
}

static struct event pop(struct cluster *c)
{
    struct event top = c->heap[0];
    struct event last = c->heap[--c->count];
    size_t i = 0;
    for (size_t child; (child = 2 * i + 1) < c->count; i = child) {
        if (child + 1 < c->count && before(&c->heap[child + 1], &c->heap[child])) child++;
        if (!before(&c->heap[child], &last)) break;
        c->heap[i] = c->heap[child];
    }
    c->heap[i] = last;
    return top;
}

static struct node_name name_of(unsigned i)
{
    struct node_name n = {{0}};
    (void)snprintf(n.s, sizeof n.s, "branch-%u", i);
    return n;
}

static unsigned index_of(const struct node_name *n)
{
    return (unsigned)strtoul(n->s + strlen("branch-"), NULL, 10);
}

static uint64_t delay(struct cluster *c)
{
    return 1000 + rng_below(&c->rng, 64000);
}

static bool lost(struct cluster *c)
{
    return rng_below(&c->rng, 100) < c->loss_percent;
}

static void drop(struct out *o)
{
    if (--o->refs > 0) return;
    repl_actions_fini(&o->a);
    free(o);
}

/* ---- carrying out ---- */

static void weigh(struct cluster *c, unsigned node, const struct repl_message *m)
{
    struct buf b = {0};
    struct mesh_frame f = {.type = MESH_MESSAGE, .cluster = SLICE("0123456789abcdef"), .sender = name_of(node)};
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
    bool gone = lost(c);
    uint64_t there = delay(c);
    if (!gone) {
        o->refs++;
        push(c, there, (struct event){.kind = DELIVER, .node = peer, .peer = node, .out = o, .message = m});
    }
    gone = gone || lost(c);
    push(c, gone ? TIMEOUT_US : there + delay(c),
         (struct event){.kind = SENT, .lost = gone, .node = node, .peer = peer, .token = token});
}

static void answer(struct cluster *c, unsigned node, const struct repl_action *a, struct out *o)
{
    struct changeset *list = must(arena_alloc(&o->a.arena, CHANGES_MAX * sizeof *list));
    struct repl_message *m = must(arena_alloc(&o->a.arena, sizeof *m));
    size_t n = 0;
    for (int i = 0; i < c->change_count; i++) {
        uint64_t high = 0;
        for (size_t k = 0; k < a->want.plan_count; k++) {
            const struct vector_entry *v = &a->want.plan[k];
            if (node_name_eq(&v->origin, &c->changes[i].id.origin) && v->epoch == c->changes[i].id.epoch)
                high = v->high;
        }
        if (c->stored[i][node] && c->changes[i].id.seq > high) list[n++] = c->changes[i];
    }
    *m = (struct repl_message){.type = REPL_PUSH, .from = name_of(node)};
    m->push = (struct repl_push){.answer = true, .changes = list, .change_count = n};
    send_to(c, node, index_of(&a->peer), a->token, m, o);
}

static void persist(struct cluster *c, unsigned node, const struct repl_action *a)
{
    int last = -1;
    for (size_t i = 0; i < a->change_count; i++) {
        int at = 0;
        while (at < c->change_count && (c->changes[at].id.seq != a->changes[i].id.seq ||
                                        !node_name_eq(&c->changes[at].id.origin, &a->changes[i].id.origin))) {
            at++;
        }
        if (at == c->change_count) {
            ASSERT(at < CHANGES_MAX);
            c->changes[c->change_count++] =
                (struct changeset){.id = a->changes[i].id, .time = a->changes[i].time, .ops = &c->op, .op_count = 1};
            c->stored[at] = must(calloc(c->n, sizeof(bool)));
        }
        last = at;
    }
    push(c, 300 + rng_below(&c->rng, 3700),
         (struct event){.kind = STORED, .node = node, .token = a->token, .change = last});
}

static void called_dead(struct cluster *c, const struct repl_action *a)
{
    unsigned who = index_of(&a->member.name);
    if (a->member.status != MEMBER_DEAD) return;
    if (!c->dead[who]) {
        c->false_deaths++;
    } else if (who == c->dying) {
        c->samples[c->sample_count++] = c->now - c->died_at;
    }
}

static void step(struct cluster *c, unsigned node, struct repl_event ev)
{
    if (c->dead[node]) return;
    struct out *o = must(calloc(1, sizeof *o));
    o->refs = 1;
    ev.now = (struct mono){c->now};
    ev.wall = (struct wall){WALL_MS + (int64_t)(c->now / 1000)};
    (void)!repl_step(c->cores[node], &ev, &o->a);
    for (size_t i = 0; i < o->a.count; i++) {
        const struct repl_action *a = &o->a.items[i];
        if (a->type == REPL_DO_SEND) send_to(c, node, index_of(&a->peer), a->token, &a->message, o);
        if (a->type == REPL_DO_SEND_MISSING) answer(c, node, a, o);
        if (a->type == REPL_DO_PERSIST_CHANGE) persist(c, node, a);
        if (a->type == REPL_DO_MEMBER) called_dead(c, a);
        if (a->type == REPL_DO_DIAL)
            push(c, delay(c), (struct event){.kind = LINK, .node = node, .peer = index_of(&a->peer)});
    }
    if (o->a.deadline.us < c->deadline[node]) {
        c->deadline[node] = o->a.deadline.us;
        push(c, o->a.deadline.us > c->now ? o->a.deadline.us - c->now : 0, (struct event){.kind = TICK, .node = node});
    }
    drop(o);
}

static void stored(struct cluster *c, const struct event *e)
{
    if (e->change >= 0 && !c->dead[e->node]) {
        if (!c->stored[e->change][e->node] && e->change == c->change_count - 1) {
            c->samples[c->sample_count++] = c->now - c->asked_at;
        }
        c->stored[e->change][e->node] = true;
    }
    step(c, e->node, (struct repl_event){.type = REPL_EV_STORED, .token = e->token});
}

static void handle(struct cluster *c, const struct event *e)
{
    struct repl_event ev = {.peer = name_of(e->peer), .token = e->token, .rtt_us = 60000};
    switch (e->kind) {
    case TICK:
        if (c->deadline[e->node] <= c->now) c->deadline[e->node] = UINT64_MAX;
        step(c, e->node, (struct repl_event){.type = REPL_EV_TICK});
        break;
    case DELIVER:
        ev.type = REPL_EV_MESSAGE;
        ev.message = e->message;
        step(c, e->node, ev);
        drop(e->out);
        break;
    case SENT:
        ev.type = e->lost || c->dead[e->peer] ? REPL_EV_SEND_FAILED : REPL_EV_SENT;
        step(c, e->node, ev);
        break;
    case LINK:
        ev.type = REPL_EV_LINK_UP;
        step(c, e->node, ev);
        break;
    case STORED: stored(c, e); break;
    }
}

static void run_for(struct cluster *c, uint64_t us)
{
    uint64_t end = c->now + us;
    while (c->count > 0 && c->heap[0].at <= end) {
        struct event e = pop(c);
        c->now = e.at;
        handle(c, &e);
    }
    c->now = end;
}

/* ---- life ---- */

static void open_cluster(struct cluster *c, unsigned n, uint64_t seed, unsigned loss_percent)
{
    *c = (struct cluster){.n = n, .loss_percent = loss_percent, .now = 1000000, .dying = UINT32_MAX};
    rng_init(&c->rng, seed);
    c->op = (struct change_op){.kind = CHANGE_PUT, .key = SLICE("route/6"), .value = SLICE("trunk/hq-pbx")};
    c->cores = must(calloc(n, sizeof *c->cores));
    c->deadline = must(calloc(n, sizeof *c->deadline));
    c->dead = must(calloc(n, sizeof *c->dead));
    c->samples = must(calloc((size_t)n * CHANGES_MAX, sizeof *c->samples));
    struct member_note *notes = must(calloc(n, sizeof *notes));
    for (unsigned i = 0; i < n; i++) {
        notes[i] = (struct member_note){.name = name_of(i), .incarnation = (uint64_t)WALL_MS};
        notes[i].status = MEMBER_ALIVE;
        notes[i].mesh_address = SLICE("10.1.0.1:7400");
    }
    for (unsigned i = 0; i < n; i++) {
        struct repl_config config = {
            .self = name_of(i), .epoch = (uint64_t)WALL_MS, .members = notes, .member_count = n};
        config.mesh_address = SLICE("10.1.0.1:7400");
        config.incarnation = (uint64_t)WALL_MS;
        config.seed = rng_next(&c->rng);
        notes[i].incarnation = 0; /* its own: it starts in the one that the others know, so that nobody has news */
        ASSERT(repl_new(&config, &c->cores[i]) == ERR_OK);
        notes[i].incarnation = (uint64_t)WALL_MS;
        c->deadline[i] = UINT64_MAX;
        push(c, rng_below(&c->rng, 1000000), (struct event){.kind = TICK, .node = i});
    }
    free(notes);
    run_for(c, 12000000);
}

static void close_cluster(struct cluster *c)
{
    for (; c->count > 0; c->count--) {
        if (c->heap[c->count - 1].out != NULL) drop(c->heap[c->count - 1].out);
    }
    for (unsigned i = 0; i < c->n; i++)
        repl_free(c->cores[i]);
    for (int i = 0; i < c->change_count; i++)
        free(c->stored[i]);
    free(c->heap);
    free(c->cores);
    free(c->deadline);
    free(c->dead);
    free(c->samples);
}

static int by_size(const void *a, const void *b)
{
    const uint64_t *x = a;
    const uint64_t *y = b;
    return (*x > *y) - (*x < *y);
}

static void row(const char *what, unsigned n, const char *part, double value, const char *unit)
{
    printf("federation %s_%s_%u %.4f %s\n", what, part, n, value, unit);
}

static void spread(struct cluster *c, unsigned rounds)
{
    size_t expected = 0;
    for (unsigned i = 0; i < rounds; i++, expected += c->n) {
        c->asked_at = c->now;
        struct repl_event ev = {.type = REPL_EV_LOCAL_CHANGE, .author = SLICE("bench"), .ops = &c->op, .op_count = 1};
        step(c, (unsigned)rng_below(&c->rng, c->n), ev);
        run_for(c, 6000000);
    }
    qsort(c->samples, c->sample_count, sizeof *c->samples, by_size);
    row("spread", c->n, "p50", (double)c->samples[c->sample_count / 2] / 1e6, "s");
    row("spread", c->n, "p99", (double)c->samples[c->sample_count * 99 / 100] / 1e6, "s");
    row("spread", c->n, "max", (double)c->samples[c->sample_count - 1] / 1e6, "s");
    row("spread", c->n, "missing", (double)(expected - c->sample_count), "nodes");
}

static void detect(struct cluster *c, unsigned rounds)
{
    size_t expected = 0;
    for (unsigned i = 0; i < rounds; i++) {
        do
            c->dying = (unsigned)rng_below(&c->rng, c->n);
        while (c->dead[c->dying]);
        c->died_at = c->now;
        c->dead[c->dying] = true;
        expected += c->n - i - 1;
        run_for(c, 7000000 + rng_below(&c->rng, 1000000));
    }
    double sum = 0;
    qsort(c->samples, c->sample_count, sizeof *c->samples, by_size);
    for (size_t i = 0; i < c->sample_count; i++)
        sum += (double)c->samples[i] / 1e6;
    row("detect", c->n, "mean", c->sample_count > 0 ? sum / (double)c->sample_count : 0, "s");
    row("detect", c->n, "max", c->sample_count > 0 ? (double)c->samples[c->sample_count - 1] / 1e6 : 0, "s");
    row("detect", c->n, "missing", (double)expected - (double)c->sample_count, "views");
}

static void idle(struct cluster *c, unsigned rounds)
{
    c->weigh = true;
    run_for(c, (uint64_t)rounds * 10000000);
    double node_seconds = (double)c->n * rounds * 10;
    row("idle", c->n, "bytes", (double)c->bytes_out / node_seconds, "B/s");
    row("idle", c->n, "messages", (double)c->messages / node_seconds, "1/s");
}

static void loss(struct cluster *c, unsigned rounds)
{
    run_for(c, (uint64_t)rounds * 60000000);
    row("loss", c->n, "node_hours", (double)c->n * rounds / 60, "h");
    row("loss", c->n, "false_deaths", (double)c->false_deaths, "views");
}

static uint64_t number(const char *text)
{
    uint64_t v = 0;
    if (text == NULL || slice_u64(slice_of(text), 1000000, &v) != ERR_OK || v == 0) {
        fprintf(stderr, "sim_bench: a number is needed\n");
        exit(2);
    }
    return v;
}

int main(int argc, char **argv)
{
    static const struct {
        const char *name;
        void (*run)(struct cluster *c, unsigned rounds);
        unsigned loss_percent;
    } modes[] = {{"spread", spread, 2}, {"detect", detect, 2}, {"idle", idle, 0}, {"loss", loss, 10}};
    uint64_t seed = 1;
    unsigned n = 3;
    unsigned rounds = 10;
    size_t mode = sizeof modes / sizeof modes[0];
    for (int i = 1; i < argc; i++) {
        struct slice arg = slice_of(argv[i]);
        if (slice_is(arg, "--nodes")) {
            n = (unsigned)number(argv[++i]);
        } else if (slice_is(arg, "--seed")) {
            seed = number(argv[++i]);
        } else if (slice_is(arg, "--rounds")) {
            rounds = (unsigned)number(argv[++i]);
        } else {
            for (mode = 0; mode < sizeof modes / sizeof modes[0] && !slice_is(arg, modes[mode].name);)
                mode++;
        }
    }
    if (mode == sizeof modes / sizeof modes[0] || n < 2 || n > LIMIT_MEMBERS) {
        fprintf(stderr, "usage: sim_bench spread|detect|idle|loss [--nodes N] [--seed N] [--rounds N]\n");
        return 2;
    }
    if (modes[mode].run != idle && modes[mode].run != loss && rounds >= CHANGES_MAX) rounds = CHANGES_MAX - 1;
    if (modes[mode].run == detect && rounds > n / 3) rounds = n / 3 > 0 ? n / 3 : 1;
    struct cluster c;
    open_cluster(&c, n, seed, modes[mode].loss_percent);
    modes[mode].run(&c, rounds);
    close_cluster(&c);
    return 0;
}
