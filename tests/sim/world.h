/* world: a cluster of real cores (node/repl) in one process, under a virtual clock: links that delay, lose, duplicate,
 * reorder, choke and break, in one direction or both; disks that fail, fill up or turn old; clocks that are wrong, jump
 * and drift; nodes that die, stand still, join, leave and are evicted.
 *
 * Everything follows from the seed; two runs of one seed print the same. What it is not: a model of the mesh's or the
 * store's code; it models what they promise. A test of the driver is elsewhere.
 *
 *   world.c      the queue of events, and the run: faults, healing, agreement, the calm after it
 *   driver.c     carries out what the cores decide, as node/app does
 *   net.c        links; copy.c: messages under way
 *   store.c      replicas; snapshot.c: what they forget, and how one takes another's place
 *   life.c       starting, dying, standing still, coming and going
 *   fault.c      what goes wrong; work.c: operators and phones
 *   oracle.c     what each replica must hold, from its vector alone
 *   invariant.c  what must hold always, and what at the end
 *   calm.c       when nothing is wrong any more: how fast things must be */
#ifndef TANDEM_SIM_WORLD_H
#define TANDEM_SIM_WORLD_H

#include "node/base/rng.h"
#include "tests/sim/store.h"

#define SIM_HOT_KEYS 3 /* of SIM_KEYS: the ones that everybody edits */
#define SIM_WALL_MS INT64_C(1800000000000)

/* What is broken on purpose, to see that the invariants can fail. */
enum sim_canary {
    CANARY_NONE,
    CANARY_SYNC,       /* nobody is ever asked for what is missing */
    CANARY_FLOOD,      /* a change is never pushed unasked */
    CANARY_TOMBSTONES, /* a delete leaves nothing behind */
    CANARY_HALF,       /* a change-set of several operations is stored in part */
    CANARY_RECEIPTS,   /* the store says "durable" too early */
    CANARY_LOSES,      /* a crash takes what was durable */
    CANARY_FLOOR       /* deletions are forgotten although not everybody knows of them */
};

struct sim_options {
    uint64_t seed;
    size_t nodes;
    size_t walled;    /* the last so many cannot be dialled */
    unsigned seconds; /* of changes and faults, before everything heals */
    enum sim_canary canary;
    bool trace;
};

/* ---- the oracle (oracle.c): what a replica must hold, from its vector alone ---- */

struct oracle_log {
    struct node_name origin;
    uint64_t epoch;
    uint64_t high; /* seen in the replica; it never falls, but for a restored disk */
    uint64_t ever; /* the same, and a restored disk does not lower it */
};

struct oracle {
    uint64_t revision; /* of the store when it was last looked at */
    struct oracle_log *logs;
    size_t log_count;
    struct oracle_object {
        struct stamp stamp;
        uint64_t value;
        const struct sim_change *by;
        uint64_t revision; /* of the store when by came */
    } objects[SIM_KEYS];
    uint64_t plan_print; /* kept from the last look */
    uint64_t objects_print;
    uint64_t state_print;
    uint64_t routes_print;
};

/* After each event: the replica is what its vector says, has lost nothing, and equals every other of that vector. */
void oracle_look(struct world *w, size_t node);
/* The disk was replaced: what it holds now is the new truth. */
void oracle_reset(struct world *w, size_t node);
void oracle_replaced(struct world *w, size_t node);
/* Whether the node ever had id on its disk. */
bool oracle_ever_had(const struct world *w, size_t node, const struct log_id *id);
void oracle_fini(struct oracle *o);

/* ---- links ---- */

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
struct packet *packet_new(const struct repl_message *m);
void packet_drop(struct packet *p);
/* About what it takes on a wire. */
size_t packet_bytes(const struct repl_message *m);
/* Makes everything that p points at its own, in a. */
void net_copy_push(struct arena *a, struct repl_push *p);
void net_copy_snapshot(struct arena *a, struct repl_snapshot *s);
void *net_copy(struct arena *a, const void *items, size_t bytes);

struct sim_path { /* one direction between two nodes */
    uint32_t delay_us;
    uint32_t jitter_us;
    uint32_t bytes_per_s; /* 0: no bound */
    unsigned loss_percent;
    unsigned duplicate_percent;
    unsigned straggle_percent; /* overtaken by what was sent later */
    bool cut;
    unsigned flaps;      /* so many times more it is cut or mended */
    uint64_t free_us;    /* when what waits before a narrow place is through */
    unsigned flying;     /* sent and not settled */
    unsigned flying_max; /* the most that ever were */
};

struct sim_link {
    bool wanted;
    bool trying; /* a LINK_TRY event is under way */
    bool up;
    bool hung_up;
    unsigned boot; /* of the other side when it came up */
    struct sim_path path;
    uint64_t heard_us; /* the other side's last sign of life here: a message, or word of a new life of it */
};

/* ---- nodes ---- */

enum job_kind { JOB_CHANGES, JOB_RECORDS, JOB_MEMBER, JOB_EPOCH, JOB_PLAN };
struct job { /* what a store was asked to write */
    struct job *next;
    struct arena arena;
    enum job_kind kind;
    uint64_t token;
    bool told;             /* a broken store has said that it is durable */
    struct repl_push what; /* JOB_CHANGES, or JOB_RECORDS with state_upto */
    size_t member;
    struct member_status_of status;
    uint64_t epoch;
    struct repl_action plan; /* JOB_PLAN: floor or snapshot */
};

enum disk_state { DISK_GOOD, DISK_FLAKY, DISK_FULL };

struct sim_node {
    struct repl *core; /* NULL: down */
    unsigned boot;     /* counts starts and crashes: events for an earlier life are void */
    struct sim_store store;
    struct oracle oracle;
    struct job *jobs;
    struct job **jobs_tail;
    struct sim_link links[SIM_NODES_MAX];
    enum disk_state disk;
    uint64_t disk_slow_us;       /* a write takes up to so much longer */
    int64_t skew_ms;             /* of its wall clock */
    int64_t drift_ppm;           /* how much faster it runs, since drift_from_us */
    uint64_t drift_from_us;      /* */
    uint64_t deadline_us;        /* of the TICK that is under way */
    uint64_t paused_until_us;    /* it stands still until then */
    uint64_t awake_us;           /* since when it runs: its start, or the end of its last pause */
    uint64_t down_us;            /* since when it is down */
    bool absent;                 /* has not joined yet */
    bool late;                   /* it joins while the others run */
    bool gone;                   /* evicted, or has left */
    enum member_status gone_how; /* as which its members must see it */
    size_t gone_by;              /* who evicted it; itself */
    bool restored;               /* ever: what it wrote before it had met all others may be lost */
    bool old_disk; /* came back with an older replica: what it says of its own state is void until it heals */
    struct sim_store *backup;
};

enum event_type {
    SIM_TICK,
    SIM_DELIVER,
    SIM_ACK,
    SIM_TIMEOUT,
    SIM_LINK_TRY,
    SIM_LINK_LOST,
    SIM_FLAP,
    SIM_STORE_DONE,
    SIM_START,
    SIM_STOP,     /* for good */
    SIM_DISK,     /* the disk is well again */
    SIM_REREPORT, /* a new epoch of the state: everything is reported again */
    SIM_WORK,
    SIM_FAULT,
    SIM_HEAL,
    SIM_CHECK,
    SIM_CALM
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
    unsigned boot;
    uint64_t receipts; /* a bit for each node that was counted */
    bool void_;        /* its only replica was replaced by an older one, or is not a member any more */
};

/* ---- the world ---- */

enum sim_mood { MOOD_MIXED, MOOD_DISKS, MOOD_LINES, MOOD_COUNT };
enum calm_stage { CALM_NOT_YET, CALM_QUIET, CALM_SPREAD, CALM_DEATH, CALM_OVER };

struct world {
    struct sim_options o;
    struct rng rng;
    enum sim_mood mood; /* which faults come */
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
    bool healed;
    uint64_t heal_us;
    uint64_t agreed_ms; /* after healing */
    struct {
        enum calm_stage stage;
        uint64_t since_us; /* of the stage */
        unsigned rounds;
        bool asked;       /* the change of this round */
        size_t node;      /* who makes it; who dies */
        size_t applied;   /* its index, when applied */
        uint64_t told_us; /* when its operator was told */
        uint64_t spread_us_max;
        uint64_t detect_us_max;
    } calm;
    uint64_t next_token;
    const char *violation; /* the first invariant that broke, or NULL */
    char violation_text[256];
    char missing_text[128]; /* of invariant_agreement */
    struct {
        uint64_t events, sent, lost, changes, rejected, records, receipts, crashes, partitions, restores, found, epochs,
            alarms, wants, pauses, cuts, disks, clocks, joins, evictions, floors, snapshots, lost_changes;
    } n;
};

void world_init(struct world *w, const struct sim_options *o);
void world_fini(struct world *w);
/* True when it ended as it should: every invariant held, all replicas agreed in time, and the calm was calm. */
bool world_run(struct world *w);
void world_violate(struct world *w, const char *what, const char *fmt, ...) PRINTF_LIKE(3, 4);
void world_push(struct world *w, uint64_t after_us, struct event ev);
/* What waits for a process that stood still comes now. */
void world_wake(struct world *w, size_t node);
uint64_t world_random(struct world *w, uint64_t low, uint64_t high); /* inclusive */
bool world_chance(struct world *w, unsigned percent);
/* The change may be lost from now on: nobody can promise it any more. */
void world_void(struct world *w, const struct log_id *id);
/* calloc that does not fail. */
void *world_alloc(size_t count, size_t size);
void world_trace(const struct world *w, size_t node, const char *fmt, ...) PRINTF_LIKE(3, 4);

/* driver.c */
void world_step(struct world *w, size_t node, struct repl_event *ev);
void driver_tick(struct world *w, size_t node);
void driver_store_done(struct world *w, size_t node);
void driver_rereport(struct world *w, const struct event *ev);
/* What a crash leaves of what was asked: the first jobs, perhaps, and of those the first change-sets. */
void driver_crash(struct world *w, size_t node);
void driver_drop_job(struct sim_node *n);
void driver_remember(struct world *w, size_t node, size_t member, const struct member_status_of *status);

/* net.c */
void net_send(struct world *w, size_t from, size_t to, uint64_t token, const struct repl_message *m);
void net_dial(struct world *w, size_t from, size_t to);
void net_hang_up(struct world *w, size_t from, size_t to);
/* It can dial, and cannot be dialled: its peers' links to it come with its own to them. */
bool net_walled(const struct world *w, size_t node);
/* How many members run that can be dialled. */
size_t net_dialled_count(const struct world *w);
/* After a crash, a pause or a cut: links that no longer hold break after a while. */
void net_check_links(struct world *w);
void net_event(struct world *w, struct event *ev);

/* life.c */
struct wall life_wall(const struct world *w, size_t node);
void life_start(struct world *w, size_t node);
void life_crash(struct world *w, size_t node);
void life_pause(struct world *w, size_t node, uint64_t for_us);
bool life_paused(const struct world *w, size_t node);
/* One disk at a time: with two, nobody may be left who knows what the first had lost. */
bool life_may_lose_disk(const struct world *w, size_t node);
/* An earlier image of its disk, or an empty one. */
void life_restore(struct world *w, size_t node, bool empty);
/* Of its disk the plan is left, and no state. */
void life_lose_state(struct world *w, size_t node);
void life_backup(struct world *w, size_t node);
void life_evict(struct world *w, size_t by, size_t node);
void life_leave(struct world *w, size_t node);
bool life_member(const struct world *w, size_t node); /* not gone, and has joined */
/* A member that is up and runs; SIZE_MAX when there is none. */
size_t life_any(struct world *w);

/* work.c */
void work_next(struct world *w);
void work_change(struct world *w, size_t node);

/* fault.c */
void fault_begin(struct world *w);
void fault_next(struct world *w);
void fault_flap(struct world *w, const struct event *ev);
void fault_heal(struct world *w);

/* invariant.c */
void invariant_check(struct world *w);
void invariant_queues(struct world *w, size_t node);
void invariant_receipt(struct world *w, size_t node, const struct repl_action *a);
/* A node that asks claims to have what its vectors say. */
void invariant_want(struct world *w, size_t node, const struct repl_want *want);
/* NULL, or what the replicas do not agree on yet. */
const char *invariant_agreement(struct world *w);

/* calm.c */
void calm_begin(struct world *w);
void calm_next(struct world *w);
/* What a node says of another, in the calm. */
void calm_member(struct world *w, size_t node, const struct member_note *note);

#endif
