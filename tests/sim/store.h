/* store: what a replica promises, in memory: atomic change-sets that win by stamp, contiguous logs, state by version,
 * vectors. Objects and records have numbers for keys and values. Change-sets are interned: one per id in the whole
 * world, so that two contents of one id are seen at once. */
#ifndef TANDEM_SIM_STORE_H
#define TANDEM_SIM_STORE_H

#include "node/repl/step.h"

#define SIM_NODES_MAX 64
#define SIM_EPOCHS_MAX 16
#define SIM_KEYS 24           /* plan objects */
#define SIM_RECORDS 12        /* state keys per node */
#define SIM_LOG_KEEP 25       /* change-sets of one log */
#define SIM_LOG_WHOLE 60      /* a node that knows nothing is given a snapshot instead of more change-sets */
#define SIM_ANSWER_BYTES 1500 /* of an answer: small, so that "more" happens often */

struct sim_change { /* interned: one per id in the whole world */
    struct sim_change *next;
    struct arena arena;
    struct changeset c;
    uint64_t content; /* hash over time and ops */
};

struct sim_log {
    struct node_name origin;
    uint64_t epoch;
    const struct sim_change **items; /* of all, also those that a real store has not, or not any more */
    size_t count;
    size_t cap;
    size_t base; /* the first so many cannot be sent */
};

struct sim_object {
    struct stamp stamp; /* time 0: never written */
    uint64_t value;     /* 0: deleted, or nothing */
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

struct member_status_of { /* what is remembered of a member */
    bool known;
    enum member_status status;
    uint64_t incarnation;
    uint64_t barred;
};

struct sim_store {
    uint64_t revision; /* grows with everything that a reader could see */
    uint64_t epoch;
    struct sim_log *logs;
    size_t log_count;
    struct sim_object objects[SIM_KEYS];
    struct sim_owner owners[SIM_NODES_MAX];
    struct hlc time;
    struct hlc floor;
    struct vector_entry *cut;
    size_t cut_count;
    struct sim_object aside[SIM_KEYS]; /* of a snapshot that is not complete yet */
    struct member_status_of members[SIM_NODES_MAX];
};

struct world;
void sim_store_clone(struct sim_store *to, const struct sim_store *from);
void sim_store_fini(struct sim_store *s);
/* ERR_CONFLICT for a gap, or a time that is not above the floor. Atomic for the group. */
enum err sim_store_changes(struct world *w, struct sim_store *s, const struct changeset *changes, size_t count);
void sim_apply(const struct world *w, struct sim_object objects[SIM_KEYS], const struct sim_change *c);
struct sim_log *sim_log_find(const struct sim_store *s, const struct node_name *origin, uint64_t epoch);
void sim_log_append(struct sim_store *s, const struct sim_change *c);
const struct sim_change *sim_change_intern(struct world *w, const struct changeset *c);

/* ---- snapshot.c ---- */

uint64_t sim_store_tombstones(const struct sim_store *s);
/* store_submit_floor_raise and _adopt. */
enum err sim_store_raise(struct sim_store *s, const struct vector_entry *v, size_t count);
enum err sim_store_adopt(struct sim_store *s, struct hlc floor, const struct vector_entry *cut, size_t count);
/* Breaks the rule: nobody is asked. */
void sim_store_raise_alone(struct sim_store *s);
/* The answer to a FETCH; arrays in arena. */
void sim_store_piece(const struct sim_store *s, const struct repl_fetch *f, struct arena *arena,
                     struct repl_snapshot *out);
void sim_store_put_piece(struct world *w, struct sim_store *s, bool first, const struct repl_snapshot *p);
/* a: floor, upto, cut. */
enum err sim_store_replace(struct world *w, struct sim_store *s, const struct repl_action *a);

void sim_store_records(struct sim_store *s, const struct state_record *records, size_t count,
                       const struct vector_entry *upto, size_t upto_count);
uint64_t sim_store_high(const struct sim_store *s, const struct node_name *origin, uint64_t epoch);
bool sim_store_has(const struct sim_store *s, const struct log_id *id);
/* Breaks the promise of a store: the last change of some log is gone. */
void sim_store_lose(struct sim_store *s);
/* Ids that no replica has any more may be used again. */
void sim_store_forget(struct world *w);
/* What was interned under id, or NULL. */
const struct sim_change *sim_change_find(const struct world *w, const struct log_id *id);
/* The same, also when no replica had it any more: it was on its way in a snapshot, and is back. */
const struct sim_change *sim_change_revive(struct world *w, const struct log_id *id);
void sim_store_digest(const struct sim_store *s, unsigned char out[32]);
/* Equal live objects have equal prints. */
uint64_t sim_store_objects_print(const struct sim_store *s);
/* Equal plan vectors have equal prints. */
uint64_t sim_store_vector_print(const struct sim_store *s);
/* The same for state vectors. */
uint64_t sim_store_state_print(const struct sim_store *s);
/* What routing would read: live objects and live records, those that the vector covers. */
uint64_t sim_store_routes_print(const struct sim_store *s);
/* Whether the owner has records here that its vector does not cover yet: its own, before they are shown. */
bool sim_store_hides(const struct sim_store *s, size_t owner);
/* The answer to a WANT; arrays in arena. */
void sim_store_missing(const struct sim_store *s, const struct repl_want *want, bool plan_only, struct arena *arena,
                       struct repl_push *out);
/* The newest stamp of a key, time 0: none. */
struct hlc sim_store_stamp(const struct sim_store *s, struct slice key);
struct stamp sim_stamp(const struct changeset *c);
size_t sim_key(struct slice key);
uint64_t sim_value(struct slice value);
struct node_name sim_name(size_t i);
size_t sim_index(const struct node_name *n);
uint64_t sim_hash(uint64_t h, const void *data, size_t n);
struct state_record sim_state_record(size_t owner, uint64_t epoch, size_t key, const struct sim_record *r,
                                     struct arena *arena);

#endif
