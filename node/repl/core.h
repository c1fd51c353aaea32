/* core: the state behind struct repl, shared by the rooms of this folder and by nobody else.
 *
 * How a step works: a handler (one per event, see step.c) changes plain state and marks what follows from it; then
 * repl_flush turns the marks into actions, and clears each mark only when its action has been appended. So an event
 * that was taken is never lost for want of memory: what could not be said in this step is said in the next.
 *
 *   member.c     who is there, how each of them does, what we say of it
 *   heartbeat.c  the second's pulse, in and out
 *   changes.c    the change log: local changes, received ones, flood, receipts
 *   state.c      observed state: our own versions, received records, batched pushes
 *   sync.c       anti-entropy: who is asked for what is missing; the discovery that our own disk is old
 *   check.c      what no honest peer sends */
#ifndef TANDEM_REPL_CORE_H
#define TANDEM_REPL_CORE_H

#include "node/base/rng.h"
#include "node/repl/actions.h"
#include "node/repl/clock.h"
#include "node/repl/vector.h"

#define REPL_HEARTBEAT_MS 1000
#define REPL_HEARTBEAT_JITTER_MS 100
#define REPL_HEARTBEAT_RETRY_MS 100 /* after one that was not acknowledged */
#define REPL_SUSPECT_MS 2500
#define REPL_DEAD_MS 3500
#define REPL_NOTE_MS 30000 /* a member that changed is spoken of for so long */
#define REPL_STATE_BATCH_MS 50
#define REPL_WANT_TIMEOUT_MS 1000
#define REPL_WANT_MAX 2 /* peers asked at a time: more would send the same bytes */
#define REPL_STORE_RETRY_MIN_MS 1000
#define REPL_STORE_RETRY_MAX_MS 8000
#define REPL_HOLD_MS 5000 /* after the start: time for the members to say what they have of our log */
#define REPL_NOMEM_RETRY_MS 10
#define REPL_HELD_MAX 64  /* change-sets that wait for a gap before them to close */
#define REPL_HELD_MS 5000 /* and so long */
#define REPL_HELD_BYTES 1048576
#define REPL_NEXT_BYTES 8388608 /* received and waiting for the batch that is being stored */
#define REPL_TRACKED 64         /* local changes whose receipts are reported */
#define REPL_ALARM_REPEAT_MS 60000
#define REPL_ADDRESS_MAX (LIMIT_HOST + 8)
#define REPL_COUNT_MAX (UINT64_C(1) << 62) /* of epochs, sequence numbers, versions, incarnations */

#define REPL_COUNTERS(X)                                                                                               \
    X(changes_duplicate)                                                                                               \
    X(changes_held)                                                                                                    \
    X(changes_dropped)                                                                                                 \
    X(changes_future)                                                                                                  \
    X(state_stale)                                                                                                     \
    X(state_gaps)                                                                                                      \
    X(state_dropped)                                                                                                   \
    X(store_failures)                                                                                                  \
    X(wants_sent)                                                                                                      \
    X(wants_received)                                                                                                  \
    X(wants_timed_out)                                                                                                 \
    X(pushes_failed)                                                                                                   \
    X(messages_invalid)                                                                                                \
    X(messages_refused)                                                                                                \
    X(members_over_limit)                                                                                              \
    X(accusations_refuted)                                                                                             \
    X(own_stalls)                                                                                                      \
    X(new_epochs)                                                                                                      \
    X(retries_without_memory)

#define REPL_COUNTER_ENUM(id) REPL_COUNT_##id,
enum repl_counter { REPL_COUNTERS(REPL_COUNTER_ENUM) REPL_COUNTER_COUNT };

enum want_state {
    WANT_NONE,
    WANT_OUT,    /* asked; the answer is due until want_until */
    WANT_STORING /* answered; what came is on its way to disk */
};

struct member {
    struct node_name name;
    enum member_status status;
    uint64_t incarnation;
    char address[REPL_ADDRESS_MAX + 1];
    char site[LIMIT_NAME + 1];
    bool linked;
    uint32_t rtt_us;
    struct mono heard;        /* {0} never in this run */
    struct mono silent_from;  /* from here its silence is counted */
    struct mono since;        /* of status */
    struct mono spoken_until; /* its note travels in heartbeats until then */

    /* owed to the driver and to the peer: see repl_member_flush */
    bool record_due; /* REPL_DO_MEMBER */
    bool dial_due;
    bool hangup_due;
    bool notes_all; /* its next heartbeats carry a note of every member, until one is acknowledged */
    uint64_t notes_token;
    struct mono heartbeat_at;
    uint64_t heartbeat_token;

    /* its last heartbeat */
    bool roots_known;
    bool digest_known;
    unsigned char plan_digest[32];
    unsigned char plan_root[REPL_ROOT_LEN];
    unsigned char state_root[REPL_ROOT_LEN];

    /* what we ask of it: sync.c */
    bool want_due;
    enum want_state want;
    struct mono want_until;
    uint64_t want_token;
    bool answer_more;
    uint64_t answer_changes; /* ids of the batches that hold its answer, 0: stored, or none */
    uint64_t answer_state;

    /* receipts: ours to it, and its to us */
    struct log_id owes;     /* seq 0: nothing */
    uint64_t has_seq;       /* of our log in our present epoch: durable there */
    uint64_t receipted_seq; /* reported to the driver */
};

struct members {
    struct member **items; /* sorted by name; without ourselves */
    size_t count;
    size_t cap;
};

enum local_state { LOCAL_WAITING, LOCAL_STORING, LOCAL_STORED, LOCAL_FAILED };
struct local_change {
    struct repl_batch *batch; /* the one change-set */
    uint64_t driver_token;
    struct mono at;
    struct hlc after; /* its time must be later */
    enum local_state state;
    enum err err;
};

/* A change-set whose predecessor has not come yet. */
struct held_change {
    struct held_change *next;
    struct mono since;
    struct repl_batch *batch; /* the one change-set */
};

struct changes {
    struct repl_vector have;    /* durable here */
    struct repl_vector planned; /* the same, and what is on its way to disk */
    uint64_t epoch;             /* in which we write */
    struct repl_batch *storing; /* received */
    struct repl_batch *next;    /* received while storing was under way */
    struct repl_batch *flood;   /* stored, to be pushed; a queue by ->next */
    struct repl_batch **flood_tail;
    struct held_change *held;
    size_t held_count;
    size_t held_bytes;
    struct local_change local[REPL_LOCAL_QUEUE]; /* ring: at most the first is being stored */
    size_t local_head;
    size_t local_count;
    bool numbers_ours; /* our log ends for everybody where it ends here, or it is a new one */
    struct tracked_change {
        uint64_t seq; /* 0: free */
        struct mono at;
    } tracked[REPL_TRACKED]; /* by seq modulo */
};

/* One record of ours between LOCAL_STATE and its report. */
struct own_record {
    struct state_record record; /* key and value point behind this struct */
    bool mark;                  /* no record: only its version, which shows the peers that a new epoch has begun */
    uint64_t driver_token;
    bool raises; /* storing it raises our entry in the vector */
    bool done;
    enum err err;
    char text[];
};

struct states {
    struct repl_vector have;
    struct repl_vector planned;
    uint64_t epoch;      /* of our own records */
    uint64_t version;    /* the last one given out */
    bool numbers_ours;   /* our versions end for everybody where they ended here at the start, or the epoch is new */
    uint64_t start_high; /* where they ended */
    uint64_t base; /* this run gives out versions above it, and earlier runs none between start_high and it that were
                      shown */
    bool mark_due; /* a new epoch is to be shown at mark_at, even when nothing is left to report in it */
    struct mono mark_at;
    struct own_record **own; /* ring of cap (a power of two), own_head.. */
    size_t own_cap;
    uint64_t own_head;  /* running numbers, which are the tokens */
    uint64_t own_asked; /* the first that is not asked yet */
    uint64_t own_tail;
    struct repl_batch *storing;
    struct repl_batch *next;
    struct repl_batch *out; /* our records, durable, not yet pushed */
    struct mono out_at;     /* when out goes at the latest */
    uint64_t pushed;        /* our version up to which pushes have gone out, or need none */
};

enum repl_alarm { ALARM_FUTURE, ALARM_OLD_LOG, ALARM_OLD_STATE, ALARM_OUT, ALARM_COUNT };

struct repl {
    struct node_name self;
    char site[LIMIT_NAME + 1];
    char address[REPL_ADDRESS_MAX + 1];
    enum member_status self_status;
    bool self_record_due;
    uint64_t incarnation;
    struct mono self_since;
    unsigned char plan_digest[32];

    struct rng rng;
    struct repl_clock clock;
    struct hlc replica_time; /* of the configuration, followed at the first step */
    bool started;
    struct mono now; /* of the present step */
    struct wall wall;
    uint64_t last_id; /* of tokens and batches */

    struct mono hold_until; /* after the start we wait so long for the members to say what they have of ours */

    struct mono timer; /* the members and timers need a look then */
    bool scan;         /* or now */

    struct members members;
    size_t linked_count;
    struct changes changes;
    struct states states;
    struct mono sync_not_before; /* the store failed: nobody is asked before */
    uint64_t store_retry_ms;

    struct {
        bool due;
        bool raised;
        struct mono at; /* last raised */
        char text[400];
    } alarms[ALARM_COUNT];
    struct {
        bool due;
        uint64_t epoch;
    } new_epoch[2]; /* of the log, of state */

    struct counter_table counter_table;
    _Atomic uint64_t counts[REPL_COUNTER_COUNT];
};

/* ---- tokens: what a number means is in its upper byte ---- */

enum token_kind {
    TOKEN_HEARTBEAT = 1,
    TOKEN_WANT,
    TOKEN_OTHER,
    TOKEN_CHANGES, /* a batch of received change-sets */
    TOKEN_LOCAL,   /* the local change at the head */
    TOKEN_STATE,   /* a batch of received records */
    TOKEN_OWN      /* one record of ours */
};
#define TOKEN_SHIFT 56
static inline uint64_t repl_token(enum token_kind kind, uint64_t n)
{
    return (uint64_t)kind << TOKEN_SHIFT | n;
}
static inline enum token_kind repl_token_kind(uint64_t t)
{
    return (enum token_kind)(t >> TOKEN_SHIFT);
}
static inline uint64_t repl_token_number(uint64_t t)
{
    return t & ((UINT64_C(1) << TOKEN_SHIFT) - 1);
}

static inline void repl_count(struct repl *r, enum repl_counter c, uint64_t n)
{
    counter_add(&r->counts[c], n);
}
/* The core wants a look at t. */
static inline void repl_wake(struct repl *r, struct mono t)
{
    r->timer = mono_min(r->timer, t);
}
static inline bool repl_status_final(enum member_status s)
{
    return s == MEMBER_LEFT || s == MEMBER_EVICTED;
}
/* Marks an alarm; the same kind is raised again after REPL_ALARM_REPEAT_MS at the earliest. */
void repl_alarm(struct repl *r, enum repl_alarm kind, const char *fmt, ...) PRINTF_LIKE(3, 4);
/* SEND of a message of this type to m, token set; NULL: no memory. batch may be NULL. */
struct repl_action *repl_send_add(struct repl *r, struct repl_actions *out, const struct member *m,
                                  enum repl_message_type type, enum token_kind kind, struct repl_batch *batch);

/* ---- member.c ---- */

struct member *repl_member_find(const struct repl *r, const struct node_name *name);
/* A new member, alive, its silence counted from now. ERR_NOMEM, ERR_LIMIT. */
MUST_CHECK enum err repl_member_add(struct repl *r, const struct node_name *name, struct member **out);
/* The one way by which a status changes; false where the table forbids it, true also when it is that already. */
bool repl_member_move(struct repl *r, struct member *m, enum member_status to);
void repl_member_heard(struct repl *r, struct member *m);
/* Takes over what a peer says of a member, or of ourselves. ERR_NOMEM, ERR_LIMIT (too many members). */
MUST_CHECK enum err repl_member_note(struct repl *r, const struct member_note *note);
void repl_member_set_text(char *to, size_t size, struct slice text);
/* Turns silence into suspicion and death. */
void repl_member_watch(struct repl *r, struct member *m);
/* Every member has sent a heartbeat in this run, and so said what it has of our log and state. */
bool repl_all_have_spoken(const struct repl *r);
/* Most of the others are silent: the one cut off is we, so nobody is accused. */
bool repl_isolated(const struct repl *r);
void repl_member_link(struct repl *r, struct member *m, bool up);
/* What is to be recorded and dialled on account of m; false: no memory. */
bool repl_member_flush(struct member *m, struct repl_actions *out);
/* The last thing said on account of one that has gone for good. */
bool repl_member_hang_up(struct repl *r, struct member *m, struct repl_actions *out);
void repl_members_fini(struct repl *r);

/* ---- heartbeat.c ---- */

MUST_CHECK enum err repl_heartbeat_take(struct repl *r, struct member *m, const struct repl_heartbeat *h);
/* Notes are built once per flush and shared by the heartbeats in it. Starts as {0}. */
struct note_list {
    struct member_note *items;
    size_t count;
};
struct note_cache {
    struct note_list recent;
    struct note_list all;
};
/* False: no memory. */
bool repl_heartbeat_send(struct repl *r, struct member *m, struct note_cache *cache, struct repl_actions *out);
void repl_heartbeat_all_now(struct repl *r);

/* ---- changes.c (our own), receive.c (the others') ---- */

MUST_CHECK enum err repl_changes_init(struct repl *r, const struct repl_config *config);
void repl_changes_fini(struct repl *r);
/* Room for extra new logs in both vectors. */
MUST_CHECK enum err repl_changes_reserve(struct repl *r, size_t extra);
void repl_changes_flood(struct repl *r, struct repl_batch *batch); /* takes the caller's reference */
MUST_CHECK enum err repl_changes_local(struct repl *r, const struct repl_event *ev);
/* What became of a push. */
struct repl_taken {
    bool gap;               /* something before it is missing */
    uint64_t changes_batch; /* the batch that it went into; 0: nothing of it was new */
    uint64_t state_batch;
};
MUST_CHECK enum err repl_changes_take(struct repl *r, const struct member *m, const struct repl_push *p,
                                      struct repl_taken *t);
MUST_CHECK enum err repl_changes_stored(struct repl *r, const struct repl_event *ev);
MUST_CHECK enum err repl_changes_local_stored(struct repl *r, const struct repl_event *ev);
MUST_CHECK enum err repl_changes_new_epoch(struct repl *r, uint64_t epoch);
/* m says that it has our log durably up to seq. */
void repl_changes_receipt(struct repl *r, struct member *m, uint64_t epoch, uint64_t seq);
bool repl_changes_settle(struct repl *r);
/* A local change's end and the next one's start. */
bool repl_changes_local_flush(struct repl *r, struct repl_actions *out);
bool repl_changes_received_flush(struct repl *r, struct repl_actions *out);
void repl_receive_fini(struct repl *r);
/* origin lives anew: what is held of its log may not be what it says now. */
void repl_receive_forget_held(struct repl *r, const struct node_name *origin);
bool repl_receipts_flush(struct repl *r, struct member *m, struct repl_actions *out);
bool repl_flood_flush(struct repl *r, struct repl_actions *out);

/* ---- state.c ---- */

MUST_CHECK enum err repl_state_init(struct repl *r, const struct repl_config *config);
void repl_state_fini(struct repl *r);
MUST_CHECK enum err repl_state_local(struct repl *r, const struct repl_event *ev);
MUST_CHECK enum err repl_state_take(struct repl *r, const struct repl_push *p, struct repl_taken *t);
MUST_CHECK enum err repl_state_stored(struct repl *r, const struct repl_event *ev);
MUST_CHECK enum err repl_state_own_stored(struct repl *r, const struct repl_event *ev);
void repl_state_new_epoch(struct repl *r, uint64_t epoch);
/* Whether our versions, and the next number of our log, are free to use. False: no memory. */
bool repl_state_settle(struct repl *r);
/* What is to be stored, and reports of what was. */
bool repl_state_flush(struct repl *r, struct repl_actions *out);
/* Our stored records to the peers, when their time has come. */
bool repl_state_push_flush(struct repl *r, struct repl_actions *out);

/* ---- sync.c ---- */

/* A difference to m was seen. by_roots: they may become equal without asking; else it is asked in any case. */
void repl_sync_want(struct repl *r, struct member *m, bool by_roots);
MUST_CHECK enum err repl_sync_push(struct repl *r, struct member *m, const struct repl_push *p);
MUST_CHECK enum err repl_sync_asked(struct repl *r, struct member *m, const struct repl_want *w,
                                    struct repl_actions *out);
/* The disk took something: peers may be asked again. */
void repl_sync_disk_works(struct repl *r);
/* It did not: everybody is left alone for a growing while. */
void repl_sync_disk_failed(struct repl *r);
/* A batch is durable, or failed: whoever's answer it holds may be asked on. */
void repl_sync_batch_done(struct repl *r, uint64_t id, bool stored);
/* How many peers owe an answer or are being stored; those over their time are given up first. */
size_t repl_sync_asked_count(struct repl *r);
bool repl_sync_flush(struct repl *r, struct member *m, size_t *asked, struct repl_actions *out);
void repl_sync_link_down(struct member *m);
bool repl_in_step(const struct repl *r, const struct member *m);
/* A new epoch above known for our log, told to the driver. ERR_NOMEM, ERR_LIMIT. */
MUST_CHECK enum err repl_sync_new_log(struct repl *r, uint64_t known);
/* The same for our state. */
void repl_sync_new_state(struct repl *r, uint64_t known);
/* Others know of our own log or state this much: when it is more than we do, a new epoch begins. */
void repl_sync_own_log(struct repl *r, uint64_t epoch, uint64_t high);
void repl_sync_own_state(struct repl *r, uint64_t epoch, uint64_t high);

/* ---- check.c ---- */

/* ERR_SYNTAX or ERR_LIMIT for what no honest peer of this name sends. */
MUST_CHECK enum err repl_check_heartbeat(const struct node_name *from, const struct repl_message *msg);
MUST_CHECK enum err repl_check_push(const struct node_name *from, const struct repl_message *msg);
MUST_CHECK enum err repl_check_want(const struct node_name *from, const struct repl_message *msg);
MUST_CHECK enum err repl_check_receipt(const struct node_name *from, const struct repl_message *msg);
/* The same caps for what the operator asks. */
MUST_CHECK enum err repl_check_change(const struct changeset *c);
MUST_CHECK enum err repl_check_record(enum state_kind kind, struct slice key, struct slice value);

#endif
