/* job: what a queued job does inside its transaction. */
#include <stdlib.h>

#include "proto/plan_codec.h"
#include "store/calls.h"
#include "store/floor.h"
#include "store/internal.h"
#include "store/snapshot.h"
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
    tally[changes_below_floor] += t->below_floor;
    tally[changes_trimmed] += t->trimmed;
    tally[ops_won] += t->ops_won;
    tally[ops_lost] += t->ops_lost;
}

static enum err get_totals(const struct env_write *w, struct totals *totals)
{
    enum err e = totals_get(w->txn, w->env->tables[PLAN_META], TOTALS, totals);
    return e == ERR_NOTFOUND ? ERR_OK : e;
}

static void say_totals(struct job *job, const struct totals *totals)
{
    job->done.plan_digest = totals->digest;
    job->done.floor = totals->floor;
    job->done.tombstones = totals->tombstones;
    job->done.pending = totals->pending;
}

static enum err run_changes(struct job *job, struct env_write *w, const struct log_keep *keep, uint64_t *tally)
{
    struct change_tally t = {0};
    struct totals totals;
    enum err e = get_totals(w, &totals);
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
    uint64_t before = totals.log_count;
    if (e == ERR_OK && t.applied > 0) e = log_trim(w, &totals, keep);
    t.trimmed = before - totals.log_count;
    if (e == ERR_OK && t.applied > 0) e = totals_put(w, TOTALS, &totals);
    say_totals(job, &totals);
    tally_changes(tally, &t);
    return e;
}

/* A refusal concerns this job alone: nothing was written. */
static enum err refuse(struct job *job, enum err e, const struct err_info *info)
{
    if (e != ERR_CONFLICT) return e;
    job->done.err = e;
    job->done.info = *info;
    return ERR_OK;
}

static enum err run_floor(struct job *job, struct env_write *w)
{
    struct totals totals;
    struct err_info info = {{0}, 0, 0};
    enum err e = get_totals(w, &totals);
    if (e != ERR_OK) return e;
    if (job->type == JOB_FLOOR_RAISE) {
        e = floor_raise(w, &totals, job->upto, job->upto_count);
    } else {
        e = floor_adopt(w, &totals, job->floor, job->upto, job->upto_count, &info);
    }
    if (e == ERR_OK) e = totals_put(w, TOTALS, &totals);
    say_totals(job, &totals);
    return refuse(job, e, &info);
}

static enum err run_piece(struct job *job, struct env_write *w, uint64_t *tally)
{
    struct change_tally t = {0};
    struct totals totals;
    struct err_info info = {{0}, 0, 0};
    enum err e = get_totals(w, &totals);
    if (e == ERR_OK) e = snapshot_put(w, &job->piece, &t, &info);
    say_totals(job, &totals);
    if (e == ERR_SYNTAX || e == ERR_LIMIT) {
        t.refused++;
        e = ERR_CONFLICT;
    }
    tally_changes(tally, &t);
    return refuse(job, e, &info);
}

static enum err run_replacement(struct job *job, struct env_write *w, const struct log_keep *keep, uint64_t *tally)
{
    struct change_tally t = {0};
    struct totals totals = {0};
    struct err_info info = {{0}, 0, 0};
    enum err e = snapshot_replace(w, &job->replacement, &totals, &t, &job->done.lost_count);
    if (e == ERR_CONFLICT) (void)err_fail(&info, e, "the snapshot cannot take the replica's place");
    uint64_t before = totals.log_count;
    if (e == ERR_OK) e = log_trim(w, &totals, keep);
    t.trimmed = before - totals.log_count;
    if (e == ERR_OK) e = totals_put(w, TOTALS, &totals);
    say_totals(job, &totals);
    tally_changes(tally, &t);
    tally[changes_lost] += job->done.lost_count;
    tally[snapshots_taken] += e == ERR_OK;
    return refuse(job, e, &info);
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
    tally[state_forgotten] += t.forgotten;
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

/* Twice as many may go as come, so that a lowered bound is met in the end. */
static enum err run_calls(struct job *job, struct env_write *w, uint64_t *tally)
{
    struct calls_tally t = {0};
    enum err e = ERR_OK;
    for (size_t i = 0; e == ERR_OK && i < job->call_count; i++)
        e = calls_put(w, &job->calls[i], &t);
    if (e == ERR_OK) e = calls_trim(w, job->calls_keep, job->calls_oldest_ms, 2 * job->call_count + 1000, &t);
    tally[calls_written] += t.written;
    tally[calls_trimmed] += t.trimmed;
    return e;
}

enum err job_run(struct job *job, struct env_write *w, const struct log_keep *keep, uint64_t tally[STORE_COUNTER_COUNT])
{
    job_reopen(job);
    switch (job->type) {
    case JOB_CHANGES: return run_changes(job, w, keep, tally);
    case JOB_STATE: return run_state(job, w, tally);
    case JOB_MEMBER: return env_put_one(w, PLAN_MEMBERS, job->member_key, job->member);
    case JOB_EPOCH: return run_epoch(job, w);
    case JOB_FLOOR_RAISE:
    case JOB_FLOOR_ADOPT: return run_floor(job, w);
    case JOB_PIECE: return run_piece(job, w, tally);
    case JOB_REPLACEMENT: return run_replacement(job, w, keep, tally);
    case JOB_CALLS: return run_calls(job, w, tally);
    }
    return ERR_OK;
}
