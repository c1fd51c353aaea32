/* world: a cluster of real cores (node/repl) in one process, under a virtual clock: links that delay, lose, duplicate,
 * reorder and break, disks that fail, nodes that die and come back, some of them with an old disk.
 *
 * Everything follows from the seed; two runs of one seed print the same. What it is not: a model of the mesh's or the
 * store's code; it models what they promise. A test of the driver is elsewhere. */
#ifndef TANDEM_SIM_WORLD_H
#define TANDEM_SIM_WORLD_H

#include "node/base/rng.h"
#include "node/repl/step.h"

#define SIM_NODES_MAX 64
#define SIM_KEYS 24    /* plan objects */
#define SIM_RECORDS 12 /* state keys per node */
#define SIM_EPOCHS_MAX 16
#define SIM_WALL_MS INT64_C(1800000000000)
#define SIM_ANSWER_BYTES 1500 /* of an answer from the store: small, so that "more" happens often */

struct sim_options {
    uint64_t seed;
    size_t nodes;
    unsigned seconds; /* of changes and faults, before everything heals */
    bool no_sync;     /* the canary: nobody is ever asked for what is missing */
    bool trace;
};

/* ---- the replica of one node (store.c) ---- */

struct sim_change { /* interned: one per id in the whole world */
    struct sim_change *next;
    struct arena arena;
    struct changeset c;
    uint64_t content; /* hash over time and ops */
};

struct sim_log {
    struct node_name origin;
    uint64_t epoch;
    const struct sim_change **items;
    size_t count;
    size_t cap;
};

struct sim_object {
    struct stamp stamp; /* time 0: never written */
    uint64_t value;     /* 0: deleted */
};

struct sim_record {
    uint64_t version; /* 0: none */
    uint64_t value;
    bool removed;
};

struct sim_owner { /* one owner's state as one replica has it */
    uint64_t epoch;
    uint64_t high; /* of the vector */
    struct sim_record records[SIM_RECORDS];
};

struct sim_store {
    uint64_t epoch;
    struct sim_log *logs;
    size_t log_count;
    struct sim_object objects[SIM_KEYS];
    struct sim_owner owners[SIM_NODES_MAX];
    struct hlc time;
    struct member_status_of {
        bool known;
        enum member_status status;
        uint64_t incarnation;
    } members[SIM_NODES_MAX];
};

struct world;
void sim_store_clone(struct sim_store *to, const struct sim_store *from);
void sim_store_fini(struct sim_store *s);
/* ERR_CONFLICT for a gap. Atomic for the group. */
enum err sim_store_changes(struct world *w, struct sim_store *s, const struct changeset *changes, size_t count);
void sim_store_records(struct sim_store *s, const struct state_record *records, size_t count,
                       const struct vector_entry *upto, size_t upto_count);
uint64_t sim_store_high(const struct sim_store *s, const struct node_name *origin, uint64_t epoch);
bool sim_store_has(const struct sim_store *s, const struct log_id *id);
/* Ids that no replica has any more may be used again. */
void sim_store_forget(struct world *w);
void sim_store_digest(const struct sim_store *s, unsigned char out[32]);
/* Equal plan vectors have equal prints. */
uint64_t sim_store_vector_print(const struct sim_store *s);
/* The answer to a WANT; arrays in arena. */
void sim_store_missing(const struct sim_store *s, const struct repl_want *want, struct arena *arena,
                       struct repl_push *out);
struct node_name sim_name(size_t i);
size_t sim_index(const struct node_name *n);
uint64_t sim_hash(uint64_t h, const void *data, size_t n);
struct state_record sim_state_record(size_t owner, uint64_t epoch, size_t key, const struct sim_record *r,
                                     struct arena *arena);

/* ---- the world (world.c, net.c) ---- */

struct packet { /* a message under way, counted by the events that name it */
    unsigned refs;
    struct arena arena;
    struct repl_message message;
    size_t from;
    size_t to;
    unsigned from_boot;
    unsigned to_boot; /* of the link that it travels on */
    uint64_t token;
    uint64_t sent_us;
    bool settled; /* SENT or SEND_FAILED was reported */
};

struct job { /* what a store was asked to write */
    struct job *next;
    struct arena arena;
    uint64_t token;
    bool of_changes;
    struct repl_push what; /* changes, or records with state_upto */
};

struct sim_link {
    bool wanted;
    bool trying; /* a LINK_TRY event is under way */
    bool up;
    unsigned boot; /* of the other side when it came up */
};

struct sim_node {
    struct repl *core; /* NULL: down */
    unsigned boot;     /* counts starts: events for an earlier life are void */
    struct sim_store store;
    struct job *jobs;
    struct job **jobs_tail;
    struct sim_link links[SIM_NODES_MAX];
    int group;            /* who is in another group cannot be reached */
    int64_t skew_ms;      /* of its wall clock */
    uint64_t deadline_us; /* of the TICK that is under way */
    uint64_t down_us;     /* since when it is down */
    uint64_t up_us;       /* since when it is up */
    bool fresh;           /* never started */
    bool old_disk;        /* came back with an older replica: what it says of its own state is void until it heals */
    struct sim_store *backup;
};

enum event_type {
    SIM_TICK,
    SIM_DELIVER,
    SIM_ACK,
    SIM_TIMEOUT,
    SIM_LINK_TRY,
    SIM_LINK_LOST,
    SIM_STORE_DONE,
    SIM_START,
    SIM_REREPORT, /* a new epoch of the state: everything is reported again */
    SIM_WORK,
    SIM_FAULT,
    SIM_HEAL,
    SIM_CHECK
};

struct event {
    uint64_t at_us;
    uint64_t seq; /* breaks ties: first come, first served */
    enum event_type type;
    size_t node;
    size_t peer;
    unsigned boot;
    struct packet *packet;
    struct sim_record *list; /* SIM_REREPORT: SIM_RECORDS of them */
};

struct applied { /* a change that an operator was told is applied */
    struct log_id id;
    size_t node;
    bool void_; /* its only replica was replaced by an older one */
};

struct world {
    struct sim_options o;
    struct rng rng;
    uint64_t now_us;
    uint64_t seq;
    struct event *heap; /* binary, the earliest first */
    size_t heap_count;
    size_t heap_cap;
    struct sim_node nodes[SIM_NODES_MAX];
    struct sim_change **changes; /* hash table of all ids */
    struct sim_change *forgotten;
    size_t change_buckets;
    struct applied *applied;
    size_t applied_count;
    size_t applied_cap;
    unsigned loss_percent;
    unsigned duplicate_percent;
    unsigned store_fail_percent;
    bool healed;
    uint64_t heal_us;
    uint64_t next_token;
    const char *violation; /* the first invariant that broke, or NULL */
    char violation_text[256];
    char missing_text[128]; /* of invariant_agreement */
    struct {
        uint64_t events, sent, lost, changes, rejected, records, receipts, crashes, partitions, restores, epochs,
            alarms, wants;
    } n;
};

void world_init(struct world *w, const struct sim_options *o);
void world_fini(struct world *w);
/* True when it ended as it should: every invariant held, and all replicas agreed in time. */
bool world_run(struct world *w);
void world_violate(struct world *w, const char *what, const char *fmt, ...) PRINTF_LIKE(3, 4);
/* Whether any replica has it. */
bool world_has(const struct world *w, const struct log_id *id);
enum err world_commit(struct world *w, size_t node, const struct job *j);
void world_drop_job(struct sim_node *n);
void world_push(struct world *w, uint64_t after_us, struct event ev);
void world_step(struct world *w, size_t node, struct repl_event *ev);
uint64_t world_random(struct world *w, uint64_t low, uint64_t high); /* inclusive */
bool world_chance(struct world *w, unsigned percent);

/* net.c */
void net_send(struct world *w, size_t from, size_t to, uint64_t token, const struct repl_message *m);
void net_dial(struct world *w, size_t from, size_t to);
void net_hang_up(struct world *w, size_t from, size_t to);
/* After a crash or a partition: links that no longer hold break after a while. */
void net_check_links(struct world *w);
void net_event(struct world *w, struct event *ev);
void packet_drop(struct packet *p);
/* Makes everything that p points at its own, in a. */
void net_copy_push(struct arena *a, struct repl_push *p);

/* invariant.c */
void invariant_check(struct world *w);
void invariant_receipt(struct world *w, size_t node, const struct repl_action *a);
/* A node that asks claims to have what its vectors say. */
void invariant_want(struct world *w, size_t node, const struct repl_want *want);
/* NULL, or what the replicas do not agree on yet. */
const char *invariant_agreement(struct world *w);

/* fault.c */
void fault_begin(struct world *w);
void fault_work(struct world *w);
void fault_next(struct world *w);
void fault_heal(struct world *w);
void fault_crash(struct world *w, size_t node);
void fault_start(struct world *w, size_t node);

#endif
