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
    pthread_mutex_t lock;
    pthread_cond_t done;
    bool woken;
};

/* A new directory under TMPDIR, or under base when it is not NULL. map_size 0: the default. */
void fixture_open(struct fixture *f, const char *base, uint64_t map_size);
/* Closes the store and opens it again. */
void fixture_reopen(struct fixture *f);
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
enum err apply_err(struct fixture *f, const struct change *c);
struct store_completion apply_state(struct fixture *f, const struct state_record *records, size_t count,
                                    const struct store_private_put *puts, size_t put_count,
                                    const struct vector_entry *upto, size_t upto_count);

/* One batch of reading each. */
struct plan_digest digest_now(struct fixture *f);
struct store_plan_counts counts_now(struct fixture *f);
enum err object_err(struct fixture *f, const char *key);
uint64_t counter(struct fixture *f, const char *name);
/* The targets of a number's candidates, in order: "trunk/a account/b ". */
void match_text(struct fixture *f, const char *number, char *out, size_t cap);

struct node_name name_of(const char *text);

#endif
