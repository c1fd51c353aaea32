/* internal: the store's own structure. Internal to store/.
 *
 * Each environment has a writer of its own: a long plan import never delays the answer to a REGISTER. */
#ifndef TANDEM_STORE_INTERNAL_H
#define TANDEM_STORE_INTERNAL_H

#include <stdatomic.h>

#include "node/base/list.h"
#include "store/changes.h"
#include "store/store.h"

#define STORE_COUNTERS(X)                                                                                              \
    X(plan_commits) /* durable transactions */                                                                         \
    X(state_commits)                                                                                                   \
    X(commit_failures) /* transactions that ended in an error */                                                       \
    X(queue_full)      /* jobs refused at submit */                                                                    \
    X(changes_applied)                                                                                                 \
    X(changes_duplicate)   /* in the log already */                                                                    \
    X(changes_rewritten)   /* of those: other bytes under a known id, dropped */                                       \
    X(changes_gap)         /* not the next of their log, refused */                                                    \
    X(changes_refused)     /* did not validate */                                                                      \
    X(changes_below_floor) /* older than deletions that are forgotten, refused */                                      \
    X(changes_trimmed)     /* old ones that the log has let go of */                                                   \
    X(changes_lost)        /* that a snapshot could not keep */                                                        \
    X(snapshots_taken)                                                                                                 \
    X(ops_won)                                                                                                         \
    X(ops_lost) /* an op older than the object, history only */                                                        \
    X(state_applied)                                                                                                   \
    X(state_stale)     /* older version or epoch, dropped */                                                           \
    X(state_replaced)  /* records that a new epoch of their owner removed */                                           \
    X(state_forgotten) /* records, nearly all of them removals, that their owner's horizon removed */                  \
    X(records_corrupt) /* reads that failed a checksum */                                                              \
    X(calls_written)                                                                                                   \
    X(calls_trimmed) /* the oldest call records, gone */                                                               \
    X(map_grown)                                                                                                       \
    X(readers_cleared) /* reader slots of dead processes */

enum store_counter { STORE_COUNTERS(COUNTER_ENUM) STORE_COUNTER_COUNT };

/* ---- jobs and their writer (writer.c, job.c) ---- */

enum job_type {
    JOB_CHANGES,
    JOB_STATE,
    JOB_MEMBER,
    JOB_EPOCH,
    JOB_FLOOR_RAISE,
    JOB_FLOOR_ADOPT,
    JOB_PIECE,
    JOB_REPLACEMENT,
    JOB_CALLS
};

struct job {
    struct list_node node;
    enum job_type type;
    size_t bytes;
    struct arena arena;    /* of what follows */
    struct slice *changes; /* packed */
    size_t change_count;
    struct state_record *records;
    size_t record_count;
    struct store_private_put *puts;
    size_t put_count;
    struct vector_entry *upto; /* of FLOOR_*: the vector or the cut */
    size_t upto_count;
    struct slice member_key;
    struct slice member; /* packed note */
    uint64_t epoch;
    struct hlc floor; /* FLOOR_ADOPT */
    struct store_piece piece;
    struct store_replacement replacement;
    struct store_call_put *calls;
    size_t call_count;
    uint64_t calls_keep;
    int64_t calls_oldest_ms;
    struct store_completion done; /* last, as its words are */
};

/* The job's end is open, again where this is a second attempt. Its words mean nothing until there is an error: a job
 * goes from one processor to another and back, and they are half of it. */
static inline void job_reopen(struct job *job)
{
    uint64_t token = job->done.token;
    memset(&job->done, 0, offsetof(struct store_completion, info));
    job->done.token = token;
}

struct writer {
    struct store *store;
    struct env *env;
    const char *what;   /* for people: "plan changes" */
    unsigned linger_us; /* a group that follows another one waits so long for more jobs, longer while many come */
    pthread_t thread;
    bool running;
    pthread_mutex_t lock; /* of everything below */
    pthread_cond_t wake;
    bool sync_made;
    struct list_node queue;
    size_t queued_count;
    size_t queued_bytes;
    bool stopping;
    enum err health;
    struct err_info health_info;
};

MUST_CHECK enum err writer_start(struct writer *w, struct store *s, struct env *env, const char *what,
                                 unsigned linger_us);
void writer_stop(struct writer *w); /* finishes the queue first; a writer that was not started is allowed */
/* Takes the job when it returns ERR_OK. ERR_FULL: the queue is at its cap. */
MUST_CHECK enum err writer_submit(struct writer *w, struct job *job);
enum err writer_health(struct writer *w, struct err_info *info);

/* Inside a transaction of its environment: what the job wants. A refusal of one change-set stands in job->done and is
 * no error; after an error the transaction is aborted. tally: one number for each counter. */
MUST_CHECK enum err job_run(struct job *job, struct env_write *w, const struct log_keep *keep,
                            uint64_t tally[STORE_COUNTER_COUNT]);
void job_free(struct job *job);

/* ---- the store ---- */

struct store {
    struct env plan;
    struct env state;
    struct writer plan_writer;
    struct writer state_writer;
    struct log_keep keep;
    int lock_fd;
    struct log log;
    void (*completed)(void *ctx);
    void *ctx;
    pthread_mutex_t done_lock;
    bool done_lock_made;
    struct list_node done;  /* jobs whose end was not asked for yet */
    struct list_node spare; /* of small jobs that are over; done_lock's too */
    size_t spare_count;
    _Atomic size_t done_count;
    _Atomic uint64_t counts[STORE_COUNTER_COUNT];
    struct counter_table counters;
};

/* Hands a finished job to store_completed. Any thread. */
void store_finish(struct store *s, struct job *job);
/* A job that is over, empty as a new one, with memory that is warm; NULL: there is none. */
struct job *store_spare_take(struct store *s);
static inline void store_count(struct store *s, enum store_counter c, uint64_t n)
{
    counter_add(&s->counts[c], n);
}

#endif
