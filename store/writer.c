/* writer: one environment's writing thread: a bounded queue, group commit, and what is done about failures.
 *
 *   everything queued -> one transaction -> fsync -> all ends reported
 *
 * What can go wrong with a group, and the cure:
 *   map full            the map is grown, the group runs again
 *   disk full           each job alone, since a small one may still fit; what fails is ERR_FULL. The writer looks every
 * second whether space is back input/output error  what is on the disk is unknown: no more writing until the process is
 * started again anything else       each job alone, so that one damaged object does not fail its neighbours */
#include <errno.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "store/internal.h"

#define QUEUE_JOBS_MAX 65536 /* with those whose end nobody has asked for yet */
#define QUEUE_BYTES_MAX ((size_t)256 * 1024 * 1024)
#define READER_CHECK_S 60
#define SPACE_CHECK_S 1
#define SPACE_MARGIN ((uint64_t)1 << 20)
/* A group waits once, and again while so many have come: 16 in a round of 40 ms are 400 in a second. */
#define LINGER_ROUNDS 2
#define LINGER_JOBS_MIN 16
#define LINGER_JOBS_ENOUGH 128
#define TRIM_BYTES ((uint64_t)16 << 20) /* after a group this large its memory goes back to the system */

/* ---- health ---- */

static void health_set(struct writer *w, enum err e, const char *why)
{
    (void)pthread_mutex_lock(&w->lock);
    bool changed = w->health != e;
    w->health = e;
    if (e == ERR_FULL) {
        (void)err_fail(&w->health_info, e,
                       "%s are not accepted: no space for %s (%s). Calls go on with what is stored; it "
                       "ends by itself when there is space",
                       w->what, w->env->path, why);
    } else if (e == ERR_IO) {
        (void)err_fail(&w->health_info, e,
                       "%s are not accepted: writing %s failed (%s). Check the disk, then restart the "
                       "node",
                       w->what, w->env->path, why);
    } else {
        w->health_info = (struct err_info){{0}, 0, 0};
    }
    (void)pthread_mutex_unlock(&w->lock);
    if (!changed) return;
    if (e == ERR_OK)
        log_event(&w->store->log, LOG_INFO, "store", "store-writable", "env=%s", w->env->name);
    else
        log_event(&w->store->log, LOG_ERROR, "store", "store-unwritable", "env=%s err=\"%s\" why=\"%s\"", w->env->name,
                  err_name(e), why);
}

enum err writer_health(struct writer *w, struct err_info *info)
{
    (void)pthread_mutex_lock(&w->lock);
    enum err e = w->health;
    if (e != ERR_OK && info != NULL) *info = w->health_info;
    (void)pthread_mutex_unlock(&w->lock);
    return e;
}

/* ---- one group ---- */

struct group {
    struct job **jobs;
    size_t count;
    uint64_t bytes;
};

/* One attempt. rc is LMDB's number of the failure. */
static enum err group_once(struct writer *w, const struct group *g, int *rc)
{
    uint64_t tally[STORE_COUNTER_COUNT] = {0};
    struct env_write txn;
    enum err e = env_begin(w->env, &txn);
    for (size_t i = 0; e == ERR_OK && i < g->count; i++)
        e = job_run(g->jobs[i], &txn, &w->store->keep, tally);
    if (e == ERR_OK) e = env_commit(&txn);
    env_abort(&txn);
    *rc = txn.rc;
    if (e != ERR_OK) return e;
    for (size_t i = 0; i < STORE_COUNTER_COUNT; i++)
        store_count(w->store, (enum store_counter)i, tally[i]);
    store_count(w->store, w->env == &w->store->plan ? plan_commits : state_commits, 1);
    return ERR_OK;
}

static enum err group_try(struct writer *w, const struct group *g, int *rc)
{
    enum err e = group_once(w, g, rc);
    while (*rc == MDB_MAP_FULL && env_grow(w->env) == ERR_OK) {
        store_count(w->store, map_grown, 1);
        log_event(&w->store->log, LOG_INFO, "store", "map-grown", "env=%s", w->env->name);
        e = group_once(w, g, rc);
    }
    /* A short write at the end of a full disk is EIO too; a failing disk is not short of space. */
    if (e == ERR_IO && *rc == EIO && env_space_short(w->env, SPACE_MARGIN + 4 * g->bytes)) e = ERR_FULL;
    return e;
}

static void job_fail(struct writer *w, struct job *job, enum err e, int rc)
{
    uint64_t token = job->done.token;
    struct err_info info = job->done.err == e ? job->done.info : (struct err_info){{0}, 0, 0};
    job->done = (struct store_completion){.token = token, .err = e, .info = info};
    if (info.text[0] != '\0') return;
    if (e == ERR_FULL || e == ERR_IO)
        (void)writer_health(w, &job->done.info);
    else
        (void)err_fail(&job->done.info, e, "%s: not stored: %s", w->env->path,
                       rc != 0 ? mdb_strerror(rc) : err_name(e));
}

/* Runs the group, alone when it is one job. Every job has its end in done afterwards. */
static void group_run(struct writer *w, const struct group *g)
{
    int rc = 0;
    enum err e = writer_health(w, NULL);
    if (e != ERR_IO) e = group_try(w, g, &rc);
    if (e == ERR_OK) {
        health_set(w, ERR_OK, "");
        return;
    }
    if (e != ERR_IO && g->count > 1) {
        for (size_t i = 0; i < g->count; i++) {
            struct group one = {.jobs = &g->jobs[i], .count = 1, .bytes = g->jobs[i]->bytes};
            group_run(w, &one);
        }
        return;
    }
    store_count(w->store, commit_failures, 1);
    if (e == ERR_CORRUPT) store_count(w->store, records_corrupt, 1);
    if ((e == ERR_FULL || e == ERR_IO) && rc != 0) health_set(w, e, mdb_strerror(rc));
    for (size_t i = 0; i < g->count; i++)
        job_fail(w, g->jobs[i], e, rc);
}

/* ---- the thread ---- */

static void chores(struct writer *w, time_t now, time_t *reader_check_at)
{
    if (writer_health(w, NULL) == ERR_FULL && !env_space_short(w->env, SPACE_MARGIN)) health_set(w, ERR_OK, "");
    if (now < *reader_check_at) return;
    *reader_check_at = now + READER_CHECK_S;
    int dead = env_reader_check(w->env);
    if (dead > 0) store_count(w->store, readers_cleared, (uint64_t)dead);
}

static time_t mono_now(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec;
}

static uint64_t mono_now_us(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000u + (uint64_t)t.tv_nsec / 1000u;
}

/* Whether jobs come so fast that waiting once more saves commits, and not yet so many that one more saves little. */
static bool many_come(struct writer *w)
{
    (void)pthread_mutex_lock(&w->lock);
    bool many = !w->stopping && w->queued_count >= LINGER_JOBS_MIN && w->queued_count < LINGER_JOBS_ENOUGH;
    (void)pthread_mutex_unlock(&w->lock);
    return many;
}

/* Where one group follows the other, the next waits a little for more: most of what a commit takes is for the commit.
 * A job that comes alone waits for nothing. Without the lock: nobody has to wake us for each of them. */
static void linger(struct writer *w, uint64_t ended_us)
{
    struct timespec pause = {.tv_nsec = (long)w->linger_us * 1000};
    if (w->linger_us == 0 || mono_now_us() - ended_us >= 2 * (uint64_t)w->linger_us) return;
    for (unsigned i = 0; i == 0 || (i < LINGER_ROUNDS && many_come(w)); i++)
        (void)clock_nanosleep(CLOCK_MONOTONIC, 0, &pause, NULL);
}

/* Waits for jobs until the next chore. Takes all of them; NULL when memory for the array is out. */
static struct job **queue_take(struct writer *w, time_t until, uint64_t ended_us, size_t *count, uint64_t *bytes,
                               bool *stopping)
{
    struct timespec deadline = {.tv_sec = until};
    struct job **jobs = NULL;
    (void)pthread_mutex_lock(&w->lock);
    while (list_empty(&w->queue) && !w->stopping) {
        if (pthread_cond_timedwait(&w->wake, &w->lock, &deadline) == ETIMEDOUT) break;
    }
    if (!list_empty(&w->queue) && !w->stopping) {
        (void)pthread_mutex_unlock(&w->lock);
        linger(w, ended_us);
        (void)pthread_mutex_lock(&w->lock);
    }
    *count = w->queued_count;
    *bytes = w->queued_bytes;
    *stopping = w->stopping;
    if (w->queued_count > 0) jobs = malloc(w->queued_count * sizeof(struct job *));
    if (jobs != NULL) {
        for (size_t i = 0; i < *count; i++)
            jobs[i] = CONTAINER_OF(list_pop(&w->queue), struct job, node);
        w->queued_count = 0;
        w->queued_bytes = 0;
    }
    (void)pthread_mutex_unlock(&w->lock);
    return jobs;
}

static void *writer_main(void *arg)
{
    struct writer *w = arg;
    uint64_t ended_us = 0; /* of the last group */
    time_t reader_check_at = mono_now() + READER_CHECK_S;
    bool stopping = false;
    for (;;) {
        struct group g;
        bool full = writer_health(w, NULL) == ERR_FULL;
        time_t until = full ? mono_now() + SPACE_CHECK_S : reader_check_at;
        g.jobs = queue_take(w, until, ended_us, &g.count, &g.bytes, &stopping);
        if (g.jobs != NULL) {
            group_run(w, &g);
            for (size_t i = 0; i < g.count; i++)
                store_finish(w->store, g.jobs[i]);
            w->store->completed(w->store->ctx);
            ended_us = mono_now_us();
            free(g.jobs);
            if (g.bytes > TRIM_BYTES) (void)malloc_trim(0);
        } else if (stopping && g.count == 0) {
            return NULL;
        }
        chores(w, mono_now(), &reader_check_at);
    }
}

enum err writer_start(struct writer *w, struct store *s, struct env *env, const char *what, unsigned linger_us)
{
    pthread_condattr_t attr;
    char name[16]; /* as top and perf show it */
    *w = (struct writer){.store = s, .env = env, .what = what, .linger_us = linger_us};
    list_init(&w->queue);
    if (pthread_condattr_init(&attr) != 0) return ERR_NOMEM;
    (void)pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    int rc = pthread_mutex_init(&w->lock, NULL);
    if (rc == 0) rc = pthread_cond_init(&w->wake, &attr);
    (void)pthread_condattr_destroy(&attr);
    if (rc != 0) return ERR_NOMEM;
    w->sync_made = true;
    w->running = pthread_create(&w->thread, NULL, writer_main, w) == 0;
    (void)snprintf(name, sizeof name, "write-%s", env->name);
    if (w->running) (void)pthread_setname_np(w->thread, name);
    return w->running ? ERR_OK : ERR_NOMEM;
}

void writer_stop(struct writer *w)
{
    if (w->running) {
        (void)pthread_mutex_lock(&w->lock);
        w->stopping = true;
        (void)pthread_cond_signal(&w->wake);
        (void)pthread_mutex_unlock(&w->lock);
        (void)pthread_join(w->thread, NULL);
        w->running = false;
    }
    if (w->sync_made) {
        (void)pthread_cond_destroy(&w->wake);
        (void)pthread_mutex_destroy(&w->lock);
        w->sync_made = false;
    }
}

enum err writer_submit(struct writer *w, struct job *job)
{
    enum err e = ERR_OK;
    job->bytes = job->arena.used_total;
    (void)pthread_mutex_lock(&w->lock);
    size_t outstanding = w->queued_count + atomic_load(&w->store->done_count);
    /* One job of any size is taken when nothing waits, else a large one would never be. */
    bool large = w->queued_count > 0 && job->bytes > QUEUE_BYTES_MAX - w->queued_bytes;
    if (w->stopping)
        e = ERR_CLOSED;
    else if (outstanding >= QUEUE_JOBS_MAX || large || w->queued_bytes > QUEUE_BYTES_MAX)
        e = ERR_FULL;
    else {
        list_append(&w->queue, &job->node);
        w->queued_count++;
        w->queued_bytes += job->bytes;
        (void)pthread_cond_signal(&w->wake);
    }
    (void)pthread_mutex_unlock(&w->lock);
    if (e == ERR_FULL) store_count(w->store, queue_full, 1);
    return e;
}
