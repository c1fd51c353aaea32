/* store: the LMDB replica of one node: plan objects with their stamps, the change log per origin, the prefix index,
 * and, in an environment of its own, state records.
 *
 * Threads: each environment has one thread that writes (store's own, see store_submit_*; it commits queued jobs in
 * groups): two, so that a long plan import never delays the answer to a REGISTER. Readers are the loop thread and
 * short-lived workers, each with its own struct store_read. LMDB readers never block and never wait.
 * What it is not: it decides nothing. Which change wins is stamp_cmp's; what to send is the core's.
 * Durability: a job is reported done after its transaction is on disk (fsync). A full disk or map is ERR_FULL, the job
 * is undone, reading goes on; a full map is first grown. ERR_IO after EIO closes the environment to writes. (A process
 * with a limit on file sizes must ignore SIGXFSZ to see ERR_FULL.)
 * Each record carries an XXH3-64 checksum; a read that fails it is ERR_CORRUPT and counted. */
#ifndef TANDEM_STORE_STORE_H
#define TANDEM_STORE_STORE_H

#include "node/base/counter.h"
#include "node/base/log.h"
#include "node/plan/decide.h"
#include "node/plan/observed.h"
#include "node/repl/step.h"

struct store;
struct store_read;

/* Opens DIR/plan and DIR/state (made with mode 0700 when missing) and takes the lock DIR/lock. Another live process
 * that holds it: ERR_EXISTS, and the text names its pid. A data directory of the format before this one is brought up
 * to it, which takes some seconds for a million routes; of any other: ERR_VERSION. wall
 * is used for the epoch of a new database. completed(ctx) is called on the writers' threads whenever store_completed
 * has something new: it should wake the loop (uv_async_send) and do nothing else. */
struct store_options {
    const char *dir;
    const struct log *log;
    struct wall wall;
    uint64_t map_size_initial; /* 0: default */
    /* The log lets go of its oldest change-sets when there are more than so many, or when they have more bytes; 0: the
     * defaults. A peer that still wants them is given a snapshot. */
    uint64_t log_keep_count;
    uint64_t log_keep_bytes;
    void (*completed)(void *ctx);
    void *ctx;
};
MUST_CHECK enum err store_open(const struct store_options *options, struct store **out, struct err_info *info);
/* Waits for the writer to finish what is queued. No reader may be active. */
void store_close(struct store *s);
const struct counter_table *store_counters(const struct store *s);
/* ERR_OK while plan changes are accepted; else why not (ERR_FULL, ERR_IO) with a text for people. */
enum err store_health(const struct store *s, struct err_info *info);
/* The same for state records. Each of the two environments has its own writer thread and its own health. */
enum err store_state_health(const struct store *s, struct err_info *info);
/* Reads every record of DIR in a child process, for a doctor: ERR_CORRUPT says what to do. Any thread that may fork;
 * takes as long as reading the files does. The store may be open. */
MUST_CHECK enum err store_verify(const char *dir, struct err_info *info);

/* ---- reading ---- */

/* A reader slot; ERR_NOMEM, ERR_LIMIT. Made once per thread, begun and ended per batch. */
MUST_CHECK enum err store_read_new(struct store *s, struct store_read **out);
void store_read_free(struct store_read *r);
/* Between begin and end the reader sees one snapshot of plan and of state. Slices returned point into the map and live
 * until store_read_end. Never keep a reader begun across loop iterations. */
MUST_CHECK enum err store_read_begin(struct store_read *r);
void store_read_end(struct store_read *r);

/* False: no account's name is a number of so many characters, and none need be looked for. */
bool store_name_possible(struct store_read *r, size_t len);
/* The packed object and, when not NULL, its stamp. ERR_NOTFOUND. */
MUST_CHECK enum err store_object(struct store_read *r, struct slice key, struct slice *packed, struct stamp *stamp);
/* The stamp under key, also that of an object that was deleted. ERR_NOTFOUND: never heard of. */
MUST_CHECK enum err store_object_stamp(struct store_read *r, struct slice key, struct stamp *stamp);
/* Objects in key order from the first key >= from (exclusive when after is true): calls each until it returns false. */
MUST_CHECK enum err store_objects(struct store_read *r, struct slice from, bool after,
                                  bool (*each)(void *ctx, struct slice key, struct slice packed), void *ctx);
void store_plan_digest(struct store_read *r, struct plan_digest *out);
struct store_plan_counts {
    uint64_t kinds[PLAN_KIND_COUNT];
};
void store_plan_counts(struct store_read *r, struct store_plan_counts *out);

/* The routes (route objects and accounts' numbers) whose match is a prefix of number, longest key first: the prefix
 * index, about one seek for all keys that are longer than a few characters. Fills route, specificity and from_account
 * of each candidate, texts in arena; *more when cap was too small. A number without a match: count 0, ERR_OK. */
MUST_CHECK enum err store_match(struct store_read *r, struct arena *arena, struct slice number, struct candidate *out,
                                size_t cap, size_t *count, bool *more);

/* What stands in the prefix index, whatever its length, hours and scope: gets a key of the index and the key of a route
 * or account there; returning false stops. Slices are valid during the call. */
typedef bool store_index_visit(void *ctx, struct slice index_key, struct slice object);
/* Under the keys that begin number, and under "number=". No second question may be asked during a call. */
MUST_CHECK enum err store_index_around(struct store_read *r, struct slice number, store_index_visit *each, void *ctx);
/* Under the keys from low up to all that begin with high, in order. */
MUST_CHECK enum err store_index_within(struct store_read *r, struct slice low, struct slice high,
                                       store_index_visit *each, void *ctx);
/* How many keys the index has. */
MUST_CHECK enum err store_index_count(struct store_read *r, uint64_t *count);

/* Objects and tombstones as a snapshot carries them, in key order after a key ("" for the first): calls each until it
 * returns false. */
MUST_CHECK enum err store_snapshot(struct store_read *r, struct slice after,
                                   bool (*each)(void *ctx, const struct snapshot_object *o), void *ctx);

/* Vectors, highest hybrid time, this database's epoch. Arrays live in arena. */
struct store_start {
    uint64_t epoch;
    struct hlc time;
    struct hlc floor;    /* deletions up to it are forgotten */
    uint64_t tombstones; /* how many are not */
    uint64_t pending;    /* changes that have to be confirmed, and are open */
    uint64_t objects;
    uint64_t log_bytes; /* of all change-sets that are kept */
    struct vector_entry *plan;
    uint64_t *plan_base; /* of each log in plan: its change-sets from the next one on are kept */
    size_t plan_count;
    struct vector_entry *state;
    size_t state_count;
    struct member_note *members;
    size_t member_count;
};
MUST_CHECK enum err store_load_start(struct store_read *r, struct arena *arena, struct store_start *out);
/* The vector that belongs to the floor. */
MUST_CHECK enum err store_cut(struct store_read *r, struct arena *arena, const struct vector_entry **cut,
                              size_t *count);

/* Gets one change-set as it came; returning false stops. */
typedef bool store_change_visit(void *ctx, const struct log_id *id, struct slice packed);
/* Change-sets of one log in order, from from_seq on or from where the log begins here. */
MUST_CHECK enum err store_log(struct store_read *r, const struct node_name *origin, uint64_t epoch, uint64_t from_seq,
                              store_change_visit *each, void *ctx);
/* All logs, newest stamp first, at most limit: for plan log. */
MUST_CHECK enum err store_history(struct store_read *r, size_t limit, store_change_visit *each, void *ctx);
/* The same from the one below (time, id) on. */
MUST_CHECK enum err store_history_before(struct store_read *r, struct hlc time, const struct log_id *id,
                                         store_change_visit *each, void *ctx);
/* The stamp of the newest change-set that is kept, {0} when there is none: nothing of it is read. */
MUST_CHECK enum err store_history_newest(struct store_read *r, struct hlc *time);
/* One change-set. ERR_NOTFOUND: never heard of, or no longer kept. */
MUST_CHECK enum err store_change(struct store_read *r, const struct log_id *id, struct slice *packed);
/* The change-set that gave this stamp. ERR_NOTFOUND: no longer kept. */
MUST_CHECK enum err store_change_at(struct store_read *r, const struct stamp *stamp, struct log_id *id);
/* Whether every log is here from its beginning: what no change-set here made has then never been. */
MUST_CHECK enum err store_history_whole(struct store_read *r, bool *whole);

/* A value of an object that a concurrent edit overrode, and that nobody has looked at since (conflicts.h). */
struct store_conflict {
    struct slice object;
    struct stamp stamp;  /* of the change that set it */
    bool removed;        /* it was a deletion */
    struct slice packed; /* empty for a deletion */
};
/* Of the objects whose keys begin with prefix, in the order of their keys, until each returns false. Not those that say
 * what stands anyway. */
MUST_CHECK enum err store_conflicts(struct store_read *r, struct slice prefix,
                                    bool (*each)(void *ctx, const struct store_conflict *c), void *ctx);
/* The stamps of all such values of one object, oldest first; the newest where there are more than cap. */
MUST_CHECK enum err store_conflict_heads(struct store_read *r, struct slice object, struct stamp *out, size_t cap,
                                         size_t *count);
MUST_CHECK enum err store_is_conflict(struct store_read *r, struct slice object, const struct stamp *s, bool *is);

/* A change that has to be confirmed, or had to be. */
enum pending_state { PENDING_OPEN = 1, PENDING_UNDONE, PENDING_CONFIRMED };
struct store_pending {
    enum pending_state state;
    struct log_id id;
    struct wall confirm_by; /* {0} when it was settled before it came here */
    uint64_t confirm_within_ms;
    struct log_id by;    /* what settled it; seq 0 while it is open */
    struct slice packed; /* the change-set while it is open */
};
/* ERR_NOTFOUND: it has not to be confirmed, as far as is known here. */
MUST_CHECK enum err store_pending(struct store_read *r, const struct log_id *id, struct store_pending *out);
/* Those that are open, until each returns false. */
MUST_CHECK enum err store_pending_open(struct store_read *r, bool (*each)(void *ctx, const struct store_pending *p),
                                       void *ctx);

/* State records of one owner with version > above, in version order. */
MUST_CHECK enum err store_state_since(struct store_read *r, const struct node_name *owner, uint64_t epoch,
                                      uint64_t above, bool (*each)(void *ctx, const struct state_record *record),
                                      void *ctx);
/* Live (not removed) records of one kind whose key starts with prefix, of every owner. */
MUST_CHECK enum err store_state_find(struct store_read *r, enum state_kind kind, struct slice key_prefix,
                                     bool (*each)(void *ctx, const struct state_record *record), void *ctx);
/* The private value that store_submit_state kept beside a record of this node. ERR_NOTFOUND. */
MUST_CHECK enum err store_private(struct store_read *r, enum state_kind kind, struct slice key, struct slice *value);
MUST_CHECK enum err store_private_each(struct store_read *r, enum state_kind kind,
                                       bool (*each)(void *ctx, struct slice key, struct slice value), void *ctx);

/* Sorts by the time of the beginning. run tells the runs of a node apart, id the calls of one run. */
#define STORE_CALL_KEY 16
void store_call_key(struct wall started, uint32_t run, uint64_t id, char out[STORE_CALL_KEY]);
void store_call_key_parse(struct slice key, struct wall *started, uint32_t *run, uint32_t *id);
/* Call records, the newest first, from the last one whose key is before the given one ("" : from the newest): calls
 * each until it returns false. */
MUST_CHECK enum err store_calls(struct store_read *r, struct slice before,
                                bool (*each)(void *ctx, struct slice key, struct slice value), void *ctx);

/* ---- writing: queue a job, copied; its end is reported by store_completed ---- */

/* Applies change-sets in order, one LMDB transaction for the group, each atomic: an op wins by stamp_cmp or is history
 * only. A change-set already in the log is skipped. A gap in its log (seq not the next), or a time not above the floor,
 * is ERR_CONFLICT. */
MUST_CHECK enum err store_submit_changes(struct store *s, const struct changeset *changes, size_t count,
                                         uint64_t token);
/* Puts records (older versions of the same (owner, kind, key) are skipped; a new epoch of an owner replaces all its
 * older records) and private values (empty value deletes). upto raises the state vector after a complete batch. */
struct store_private_put {
    enum state_kind kind;
    struct slice key;
    struct slice value;
};
MUST_CHECK enum err store_submit_state(struct store *s, const struct state_record *records, size_t count,
                                       const struct store_private_put *puts, size_t put_count,
                                       const struct vector_entry *upto, size_t upto_count, uint64_t token);
MUST_CHECK enum err store_submit_member(struct store *s, const struct member_note *member, uint64_t token);

/* The database's epoch, for the next start (store_start.epoch). A lower one than it has is ignored. */
MUST_CHECK enum err store_submit_epoch(struct store *s, uint64_t epoch, uint64_t token);

/* The floor: raised, when v is this replica's vector, to the newest tombstone (ERR_CONFLICT: v is not the vector any
 * more); or taken over from another replica, with its cut v (ERR_CONFLICT: a part of it is missing here, or something
 * here comes too late for that floor). */
MUST_CHECK enum err store_submit_floor_raise(struct store *s, const struct vector_entry *v, size_t count,
                                             uint64_t token);
MUST_CHECK enum err store_submit_floor_adopt(struct store *s, struct hlc floor, const struct vector_entry *v,
                                             size_t count, uint64_t token);

/* One piece of a snapshot, put aside; the first begins anew. */
struct store_piece {
    bool first;
    const struct snapshot_object *objects;
    size_t object_count;
    const struct changeset *changes; /* of the donor's log above its vector at the first piece; packed is set */
    size_t change_count;
};
MUST_CHECK enum err store_submit_piece(struct store *s, const struct store_piece *piece, uint64_t token);
/* What was put aside becomes the replica, with this vector, floor and cut. What only we have is kept, but for logs with
 * a change-set that is not newer than the floor: these lose all that the snapshot lacks (completion: lost_count).
 * Afterwards store_load_start says what the vector is. ERR_CONFLICT: nothing is aside, or our floor is higher. */
struct store_replacement {
    const struct vector_entry *vector; /* sorted by (origin, epoch), as cut is */
    size_t vector_count;
    struct hlc floor;
    const struct vector_entry *cut;
    size_t cut_count;
};
MUST_CHECK enum err store_submit_replacement(struct store *s, const struct store_replacement *r, uint64_t token);
/* Call records: key as store_call_key makes it, value as packed; one of the same key is replaced. keep and oldest_ms
 * bound what stays: the newest keep, none that began before oldest_ms. Large excess goes in the course of several jobs;
 * one without records only trims. */
struct store_call_put {
    char key[STORE_CALL_KEY];
    struct slice value;
};
MUST_CHECK enum err store_submit_calls(struct store *s, const struct store_call_put *puts, size_t count, uint64_t keep,
                                       int64_t oldest_ms, uint64_t token);

struct store_completion {
    uint64_t token;
    enum err err;
    /* of the jobs of the plan, with ERR_OK */
    struct hlc floor;
    uint64_t tombstones;
    uint64_t pending;
    uint64_t lost_count; /* store_submit_replacement */
    /* store_submit_changes: how many of its change-sets are in the log now (with ERR_OK all of them), and the plan's
     * digest after the job. A change-set that is refused (ERR_SYNTAX, ERR_LIMIT, ERR_CONFLICT: the first such error is
     * reported) stops neither those of other logs in the same job nor other jobs; with any other error none was
     * applied. */
    size_t stored_count;
    struct plan_digest plan_digest;
    struct err_info info; /* with an error; else its text is "". Last: most of it is room that nearly no job needs */
};
/* Loop thread: takes the next finished job; false when there is none. */
bool store_completed(struct store *s, struct store_completion *out);

#endif
