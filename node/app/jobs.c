/* jobs: who waits for the end of what was queued in the store, or handed to the core, by token. Each job ends once: by
 * its completion, by being cancelled, or, at the very end, unanswered. */
#include "node/app/node.h"

#include <stdlib.h>

struct job {
    struct map_node by_token;
    uint64_t token;
    job_done *stored;                          /* a store job, or */
    void (*observed)(void *ctx, enum err err); /* a LOCAL_STATE event */
    void *ctx;
    bool owned; /* ctx ends with the job */
    uint64_t core_token;
};

static struct slice token_key(const uint64_t *token)
{
    return (struct slice){(const char *)token, sizeof *token};
}

static struct job *job_new(struct node *n)
{
    struct job *j = calloc(1, sizeof *j);
    if (j == NULL) return NULL;
    j->token = n->next_token++;
    map_insert(&n->jobs, &j->by_token, map_hash(&n->jobs, token_key(&j->token)));
    return j;
}

static struct job *job_take(struct node *n, uint64_t token)
{
    struct map_node *m = map_first(&n->jobs, map_hash(&n->jobs, token_key(&token)));
    while (m != NULL && CONTAINER_OF(m, struct job, by_token)->token != token)
        m = map_next(m);
    if (m == NULL) return NULL;
    map_remove(&n->jobs, m);
    return CONTAINER_OF(m, struct job, by_token);
}

static void job_free(struct job *j)
{
    if (j == NULL) return;
    if (j->owned) free(j->ctx);
    free(j);
}

static enum err add(struct node *n, const struct job *like, uint64_t *token)
{
    struct job *j = job_new(n);
    if (j == NULL) return ERR_NOMEM;
    j->stored = like->stored;
    j->observed = like->observed;
    j->ctx = like->ctx;
    j->owned = like->owned;
    j->core_token = like->core_token;
    *token = j->token;
    return ERR_OK;
}

enum err replica_job(struct node *n, job_done *done, void *ctx, uint64_t core_token, uint64_t *token)
{
    return add(n, &(struct job){.stored = done, .ctx = ctx, .core_token = core_token}, token);
}

enum err replica_job_take(struct node *n, job_done *done, void *ctx, uint64_t core_token, uint64_t *token)
{
    enum err e = add(n, &(struct job){.stored = done, .ctx = ctx, .owned = true, .core_token = core_token}, token);
    if (e != ERR_OK) free(ctx);
    return e;
}

void replica_job_cancel(struct node *n, uint64_t token)
{
    job_free(job_take(n, token));
}

void replica_job_free(struct map_node *by_token)
{
    job_free(CONTAINER_OF(by_token, struct job, by_token));
}

void replica_store_completed(struct node *n)
{
    struct store_completion c;
    while (n->store != NULL && store_completed(n->store, &c)) {
        struct job *j = job_take(n, c.token);
        if (j == NULL) continue;
        if (j->stored != NULL) j->stored(n, j->ctx, j->core_token, &c);
        job_free(j);
    }
}

void replica_observed(struct node *n, uint64_t token, enum err err)
{
    struct job *j = job_take(n, token);
    if (j == NULL) return;
    if (j->observed != NULL) j->observed(j->ctx, err);
    job_free(j);
}

enum err replica_observer(struct node *n, void (*done)(void *ctx, enum err err), void *ctx, uint64_t *token)
{
    return add(n, &(struct job){.observed = done, .ctx = ctx}, token);
}
