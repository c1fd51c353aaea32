/* cluster: thousands of real replication cores under a virtual clock, for measurements (bench.c).
 *
 * Each message is lost or late by itself, and so is its acknowledgement; disks are slow but true. What it is not: a
 * search for faults (world.c). Links stay up, also across a cut, over which nothing comes; bandwidth is not limited;
 * the nodes' own state is never durable, so that it does not travel. */
#ifndef TANDEM_TESTS_SIM_CLUSTER_H
#define TANDEM_TESTS_SIM_CLUSTER_H

#include "node/base/rng.h"
#include "node/repl/step.h"

struct out; /* the actions of one step */

/* The change-sets of one node, in order of seq from 1 on. */
struct log_of {
    struct changeset *changes;
    uint64_t *asked_at; /* when the operator asked for each */
    size_t count;
    size_t cap;
};

struct cluster_key {
    uint64_t at;
    uint64_t seq;
    unsigned slot;
};

struct cluster {
    unsigned n;
    unsigned loss_percent;
    struct rng rng;
    uint64_t now; /* us */

    /* what is to come: a heap of keys, each for an event in a slot */
    struct cluster_key *heap;
    size_t count;
    struct event *events;
    unsigned *free_slots;
    size_t free_count;
    size_t cap;
    uint64_t seq;
    struct out *spare; /* of steps that are over */

    struct node_name *names;
    struct repl **cores;
    uint64_t *deadline; /* when each core wants its next tick */
    uint64_t *tick_at;  /* and when the next one is set */
    bool *dead;
    bool *other_side; /* of the cut */
    bool cut;

    struct log_of *logs;
    unsigned *writers; /* the nodes that have a log, in order of their first change */
    unsigned writer_count;
    uint64_t **high; /* high[writer's place][node]: how far its log is durable there */
    struct change_op op;
    uint64_t waiting; /* local changes that are not durable at their own node yet */

    /* What is measured, in us. on_stored: a change reached a node's disk. */
    uint64_t *samples;
    size_t sample_count;
    size_t sample_cap;
    bool sample_spread;
    uint64_t died_at;
    unsigned dying;
    size_t false_deaths;
    bool weigh; /* count messages and bytes */
    uint64_t bytes_out;
    uint64_t messages;
};

/* n nodes that have known each other for long, and a few seconds to link. Without memory it aborts. */
void cluster_open(struct cluster *c, unsigned n, uint64_t seed, unsigned loss_percent);
void cluster_close(struct cluster *c);
void cluster_run(struct cluster *c, uint64_t us);
/* The operator changes one object at node; asked for now. */
void cluster_change(struct cluster *c, unsigned node);
void cluster_kill(struct cluster *c, unsigned node);
/* Nothing passes between the first nodes and those from `from` on; 0 heals it. */
void cluster_cut(struct cluster *c, unsigned from);
/* Whether every living node has every change. */
bool cluster_same(const struct cluster *c);
void cluster_sample(struct cluster *c, uint64_t us);

#endif
