/* job: what a queued job does inside its transaction. */
#include <stdlib.h>

#include "proto/plan_codec.h"
#include "store/changes.h"
#include "store/internal.h"
#include "store/state.h"

void job_free(struct job *job)
{
    if (job == NULL) return;
    arena_fini(&job->arena);
    free(job);
}

static void tally_changes(uint64_t *tally, const struct change_tally *t)
{
    tally[changes_applied] += t->applied;
    tally[changes_duplicate] += t->duplicates;
    tally[changes_rewritten] += t->rewritten;
    tally[changes_gap] += t->gaps;
    tally[changes_refused] += t->refused;
    tally[ops_won] += t->ops_won;
    tally[ops_lost] += t->ops_lost;
}

static enum err run_changes(struct job *job, struct env_write *w, uint64_t *tally)
{
    struct change_tally t = {0};
    struct totals totals;
    enum err e = totals_get(w->txn, w->env->tables[PLAN_META], &totals);
    if (e == ERR_NOTFOUND) e = ERR_OK;
    for (size_t i = 0; e == ERR_OK && i < job->change_count; i++) {
        struct err_info info = {{0}, 0, 0};
        bool refused = false;
        e = change_apply(w, &totals, job->changes[i], &t, &refused, &info);
        if (e != ERR_OK && (refused ? job->done.err == ERR_OK : true)) {
            job->done.err = e;
            job->done.info = info;
        }
        if (e == ERR_OK) job->done.stored_count++;
        if (refused) e = ERR_OK;
    }
    if (e == ERR_OK && t.applied > 0) e = totals_put(w, &totals);
    job->done.plan_digest = totals.digest;
    tally_changes(tally, &t);
    return e;
}

static enum err run_state(struct job *job, struct env_write *w, uint64_t *tally)
{
    struct state_tally t = {0};
    enum err e = ERR_OK;
    for (size_t i = 0; e == ERR_OK && i < job->record_count; i++)
        e = state_put(w, &job->records[i], &t);
    for (size_t i = 0; e == ERR_OK && i < job->put_count; i++) {
        e = state_private_put(w, job->puts[i].kind, job->puts[i].key, job->puts[i].value);
    }
    for (size_t i = 0; e == ERR_OK && i < job->upto_count; i++)
        e = state_raise(w, &job->upto[i], &t);
    tally[state_applied] += t.applied;
    tally[state_stale] += t.stale;
    tally[state_replaced] += t.replaced;
    return e;
}

static enum err run_epoch(const struct job *job, struct env_write *w)
{
    struct slice content;
    char text[8];
    enum err e = env_get(w, PLAN_META, SLICE("epoch"), &content);
    if (e != ERR_OK && e != ERR_NOTFOUND) return e;
    if (e == ERR_OK && content.n == 8 && get_be(content.p, 8) >= job->epoch) return ERR_OK;
    put_be(text, job->epoch, sizeof text);
    return env_put_one(w, PLAN_META, SLICE("epoch"), (struct slice){text, sizeof text});
}

enum err job_run(struct job *job, struct env_write *w, uint64_t tally[STORE_COUNTER_COUNT])
{
    job->done = (struct store_completion){.token = job->done.token}; /* it may be a second attempt */
    switch (job->type) {
    case JOB_CHANGES: return run_changes(job, w, tally);
    case JOB_STATE: return run_state(job, w, tally);
    case JOB_MEMBER: return env_put_one(w, PLAN_MEMBERS, job->member_key, job->member);
    case JOB_EPOCH: return run_epoch(job, w);
    }
    return ERR_OK;
}
