/* support: what the store's tests share: a store in a directory of its own, jobs that are waited for, change-sets and
 * the objects in them. Every function fails the test by itself. */
#ifndef TANDEM_TESTS_STORE_SUPPORT_H
#define TANDEM_TESTS_STORE_SUPPORT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>
#include <pthread.h>

#include "proto/plan_codec.h"
#include "store/store.h"

struct fixture {
    char dir[256];
    struct store *store;
    struct store_read *read;
    uint64_t next_token;
    uint64_t keep_count; /* of the log, from the next open on; 0: the default */
    uint64_t keep_bytes;
    pthread_mutex_t lock;
    pthread_cond_t done;
    bool woken;
};

/* A new directory under TMPDIR, or under base when it is not NULL. map_size 0: the default. */
void fixture_open(struct fixture *f, const char *base, uint64_t map_size);
/* Closes the store and opens it again. */
void fixture_reopen(struct fixture *f);
void fixture_start(struct fixture *f); /* opens one that was shut */
void fixture_shut(struct fixture *f);  /* closes, keeps the directory */
void fixture_close(struct fixture *f); /* closes and removes the directory */
void remove_tree(const char *dir);

/* Waits for the next job that ends. */
struct store_completion fixture_wait(struct fixture *f);

/* A change-set under construction; everything lives in its arena. */
struct change {
    struct arena arena;
    struct changeset set;
    struct change_op ops[64];
    struct change_op *many; /* used instead of ops when not NULL */
    size_t many_cap;
};
void change_init(struct change *c, const char *origin, uint64_t epoch, uint64_t seq, uint64_t time);
void change_put(struct change *c, const struct plan_object *o);
void change_delete(struct change *c, const char *key);
void change_fini(struct change *c);

struct plan_object make_site(const char *name, const char *block);
struct plan_object make_route(const char *scope, const char *match, const char *trunk);
/* numbers: one match, or NULL. */
struct plan_object make_account(const char *name, const char *number);

/* Submits and waits. */
struct store_completion apply(struct fixture *f, const struct change *c);
/* One change-set with a note of about bytes in it. */
struct store_completion apply_bytes(struct fixture *f, uint64_t seq, size_t bytes);
enum err apply_err(struct fixture *f, const struct change *c);
struct store_completion apply_state(struct fixture *f, const struct state_record *records, size_t count,
                                    const struct store_private_put *puts, size_t put_count,
                                    const struct vector_entry *upto, size_t upto_count);

/* One change-set with one op, submitted and waited for. */
enum err put_site(struct fixture *f, const char *origin, uint64_t seq, uint64_t time, const char *name);
enum err put_route(struct fixture *f, const char *origin, uint64_t seq, uint64_t time, const char *match,
                   const char *trunk);
enum err drop(struct fixture *f, const char *origin, uint64_t seq, uint64_t time, const char *key);
/* The replica's vector, sorted. */
struct vector_of {
    struct vector_entry items[16];
    size_t count;
};
struct vector_of vector_of(const struct vector_entry *v, size_t count);
struct vector_of vector_now(struct fixture *f);
struct vector_of cut_now(struct fixture *f);
struct vector_entry entry_of(const char *origin, uint64_t epoch, uint64_t high);
struct store_completion raise_floor(struct fixture *f, const struct vector_entry *v, size_t count);
struct store_completion adopt_floor(struct fixture *f, uint64_t floor, const struct vector_entry *cut, size_t count);

/* A snapshot of donor, put aside in pieces of so many objects; and what takes the replica's place then. */
void put_aside(struct fixture *f, struct fixture *donor, size_t piece_objects);
/* The same, up to the first piece that is not stored. */
struct store_completion try_put_aside(struct fixture *f, struct fixture *donor, size_t piece_objects);
struct store_completion put_piece(struct fixture *f, const struct store_piece *piece);
struct store_completion replace_by(struct fixture *f, uint64_t floor, const struct vector_of *vector,
                                   const struct vector_of *cut);
/* put_aside, and replaced by donor's floor, vector and cut. */
struct store_completion take_snapshot(struct fixture *f, struct fixture *donor, size_t piece_objects);

/* What the replica is. Fails the test unless totals are the sum of the objects. */
struct replica {
    struct plan_digest digest;
    uint64_t objects;
    uint64_t tombstones;
    uint64_t floor;
    uint64_t time;
    uint64_t log_bytes;
};
struct replica replica_now(struct fixture *f);
/* "a/1:3-5 b/1:0-2 ": of each log what is kept, base + 1 to high. */
void logs_text(struct fixture *f, char *out, size_t cap);
/* "a/1/3 b/1/2 ": history, newest first. */
void history_text(struct fixture *f, char *out, size_t cap);
/* How many records a table of the plan has; the store is shut. */
uint64_t table_count(const struct fixture *f, unsigned table);

/* One batch of reading each. */
struct plan_digest digest_now(struct fixture *f);
struct store_plan_counts counts_now(struct fixture *f);
enum err object_err(struct fixture *f, const char *key);
uint64_t counter(struct fixture *f, const char *name);
/* The targets of a number's candidates, in order: "trunk/a account/b ". */
void match_text(struct fixture *f, const char *number, char *out, size_t cap);

struct node_name name_of(const char *text);

#endif
