/* tables: what the two environments hold. Internal to store/. Each table's keys and values stand at its name below; a
 * number behind a field is its length in bytes, numbers are big endian.
 *
 * Sides. Objects, index and tombstones exist twice. One side is the replica, the other is empty, or holds a snapshot
 * that is not complete yet; when it is, the sides change over in one transaction, whatever their size. totals.side says
 * which is the replica's.
 *
 * Invariant: index, tombstones and totals say exactly what objects says; all change in one transaction. */
#ifndef TANDEM_STORE_TABLES_H
#define TANDEM_STORE_TABLES_H

#include "node/plan/object.h"
#include "node/repl/types.h"
#include "store/env.h"

enum plan_table {
    PLAN_META = ENV_META, /* by name: "format", "epoch", "totals", "aside" */
    /* object key -> flags 1, time 8, epoch 8, origin length 1, origin, packed object. A tombstone (flag) has none. */
    PLAN_OBJECTS,
    PLAN_INDEX, /* pattern key -> a block of keys from there on, and the routes of each: see index.h, index_block.h */
    PLAN_TOMBSTONES, /* time 8, object key -> nothing */
    PLAN_OBJECTS_B,  /* the other side */
    PLAN_INDEX_B,
    PLAN_TOMBSTONES_B,
    PLAN_LOG,     /* origin NUL epoch 8 seq 8 -> the change-set's bytes as they came */
    PLAN_HISTORY, /* time 8, then the log's key -> nothing */
    PLAN_VECTOR,  /* origin NUL epoch 8 -> highest seq 8, contiguous from 1; base 8: the log holds all that follow it */
    PLAN_CUT,     /* origin NUL epoch 8 -> highest seq 8: the vector that belongs to the floor */
    PLAN_TAIL,    /* like log: change-sets that belong to the snapshot put aside */
    PLAN_LOST,    /* like log: change-sets that a snapshot could not keep */
    PLAN_MEMBERS, /* name -> packed member note */
    PLAN_PENDING, /* the log's key of a change that has to be confirmed -> see pending.c */
    PLAN_CONFLICTS /* see conflicts.h */
};
/* A state key over STATE_KEY_PLAIN bytes stands in table keys as its first bytes and a SHA-256, since LMDB's keys end
 * at 511 bytes. */
enum state_table {
    STATE_META = ENV_META, /* "format" */
    STATE_RECORDS,         /* kind 1, state key, owner 64 -> epoch 8, version 8, removed 1, key length 2, key, value */
    STATE_VERSIONS,        /* owner NUL epoch 8 version 8 -> key in records */
    STATE_VECTOR,          /* owner -> epoch 8, version 8 */
    STATE_PRIVATE,         /* kind 1, state key -> key length 2, key, value */
    STATE_CALLS            /* started ms 8, run 4, call 4 -> packed call record */
};
extern const char *const plan_tables[];
extern const char *const state_tables[];

/* ---- totals: what is summed over the objects, kept beside them ---- */

#define INDEX_LEN_MAX (LIMIT_NUMBER + 1)
struct totals {
    uint64_t side; /* 0 or 1, of the tables that the rest is of */
    struct plan_digest digest;
    uint64_t kinds[PLAN_KIND_COUNT];
    uint64_t index_lens[INDEX_LEN_MAX + 1]; /* index keys of each length: a look-up asks only for lengths that exist */
    uint64_t tombstones;
    uint64_t pending; /* changes that have to be confirmed, and are open */
    /* of the replica as a whole */
    struct hlc time; /* highest of the log */
    struct hlc floor;
    uint64_t log_count;
    uint64_t log_bytes;
    /* of the side again: accounts whose names are numbers of so many characters. Most numbers that are called have
     * another length than the names have, and no account of that name is looked for. */
    uint64_t name_lens[LIMIT_NUMBER + 1];
};
/* Counts o into name_lens, or out of it. ERR_CORRUPT: it never was in. */
MUST_CHECK enum err totals_name(struct totals *t, const struct plan_object *o, bool add);
#define TOTALS "totals"
#define TOTALS_ASIDE "aside" /* of a snapshot that is not complete yet */
/* ERR_NOTFOUND leaves *t zero: an empty database. ERR_CORRUPT. */
MUST_CHECK enum err totals_get(MDB_txn *txn, MDB_dbi meta, const char *name, struct totals *t);
MUST_CHECK enum err totals_put(struct env_write *w, const char *name, const struct totals *t);

/* The table of t's side; table is PLAN_OBJECTS, PLAN_INDEX or PLAN_TOMBSTONES. */
static inline unsigned side_table(const struct totals *t, enum plan_table table)
{
    return (unsigned)table + (t->side != 0 ? PLAN_OBJECTS_B - PLAN_OBJECTS : 0);
}

/* ---- stored objects ---- */

struct stored_object {
    struct stamp stamp;
    struct slice packed; /* empty for a tombstone */
    bool tombstone;
};
MUST_CHECK enum err stored_object_parse(struct slice content, struct stored_object *o);
MUST_CHECK enum err stored_object_put(struct env_write *w, MDB_cursor *c, struct slice key,
                                      const struct stored_object *o, unsigned flags);

/* ---- keys ---- */

#define LOG_KEY_MAX (LIMIT_NAME + 1 + 8 + 8)
/* origin NUL epoch [seq]: returns a slice of out. */
struct slice log_key(const struct log_id *id, char out[LOG_KEY_MAX]);
struct slice vector_key(const struct node_name *origin, uint64_t epoch, char out[LOG_KEY_MAX]);
/* Either form; seq is 0 for the short one. ERR_CORRUPT. */
MUST_CHECK enum err log_key_parse(struct slice key, struct log_id *id);

#define HISTORY_KEY_MAX (8 + LOG_KEY_MAX)
struct slice history_key(struct hlc time, const struct log_id *id, char out[HISTORY_KEY_MAX]);
MUST_CHECK enum err history_key_parse(struct slice key, struct hlc *time, struct log_id *id);

#define TOMBSTONE_KEY_MAX (8 + PLAN_KEY_MAX)
/* ERR_LIMIT: key is over PLAN_KEY_MAX. */
MUST_CHECK enum err tombstone_key(struct hlc time, struct slice key, char out[TOMBSTONE_KEY_MAX], struct slice *made);

#define STATE_KEY_PLAIN 400
#define STATE_OWNER_LEN (LIMIT_NAME + 1)
struct state_table_key {
    char p[1 + STATE_KEY_PLAIN + HASH_SHA256_LEN + STATE_OWNER_LEN];
    size_t n;
};
/* owner NULL: a key of private. ERR_NOMEM. */
MUST_CHECK enum err state_table_key(struct state_table_key *out, enum state_kind kind, struct slice key,
                                    const struct node_name *owner);

#endif
