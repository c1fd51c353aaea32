/* store: opening and closing the whole, and the list of finished jobs. */
#include <stdlib.h>
#include <stdio.h>
#include <unistd.h>

#include "store/internal.h"
#include "store/lock.h"
#include "store/snapshot.h"
#include "store/upgrade.h"

#define STATE_LINGER_US 40000 /* a phone that registers among others waits so long for its 200, 80 ms among many */
#define SPARE_MAX 256
#define SPARE_BYTES 4096

static const char *const counter_names[] = {STORE_COUNTERS(COUNTER_NAME)};

static void ignore_event(void *ctx, enum log_level level, const char *module, const char *ev, const char *pairs)
{
    (void)ctx;
    (void)level;
    (void)module;
    (void)ev;
    (void)pairs;
}

static void ignore_completed(void *ctx)
{
    (void)ctx;
}

/* A new database gets its epoch once; every log that this node writes is numbered within it. */
static enum err first_epoch(struct store *s, struct wall wall, struct err_info *info)
{
    struct env_write w;
    struct slice content;
    char epoch[8];
    enum err e = env_begin(&s->plan, &w);
    if (e != ERR_OK) return env_fail(info, &s->plan, w.rc, "cannot begin");
    e = env_get(&w, PLAN_META, SLICE("epoch"), &content);
    if (e == ERR_NOTFOUND) {
        put_be(epoch, wall.ms > 0 ? (uint64_t)wall.ms : 1, sizeof epoch);
        e = env_put_one(&w, PLAN_META, SLICE("epoch"), (struct slice){epoch, sizeof epoch});
        if (e == ERR_OK) e = env_commit(&w);
    }
    env_abort(&w);
    return e == ERR_OK ? ERR_OK : env_fail(info, &s->plan, w.rc, "the epoch record");
}

static struct store *store_new(const struct store_options *options)
{
    struct store *s = calloc(1, sizeof *s);
    if (s == NULL) return NULL;
    s->lock_fd = -1;
    s->log = options->log != NULL ? *options->log : (struct log){.max = LOG_ERROR, .sink = ignore_event};
    s->completed = options->completed != NULL ? options->completed : ignore_completed;
    s->ctx = options->ctx;
    s->keep.count = options->log_keep_count > 0 ? options->log_keep_count : LOG_KEEP_COUNT;
    s->keep.bytes = options->log_keep_bytes > 0 ? options->log_keep_bytes : LOG_KEEP_BYTES;
    list_init(&s->done);
    list_init(&s->spare);
    s->done_lock_made = pthread_mutex_init(&s->done_lock, NULL) == 0;
    s->counters = (struct counter_table){
        .module = "store", .names = counter_names, .values = s->counts, .count = STORE_COUNTER_COUNT};
    return s;
}

/* A snapshot that was not complete when the process ended begins again. */
static enum err no_leftovers(struct store *s, struct err_info *info)
{
    struct env_write w;
    struct slice content;
    enum err e = env_begin(&s->plan, &w);
    if (e == ERR_OK) e = env_get(&w, PLAN_META, SLICE(TOTALS_ASIDE), &content);
    if (e == ERR_OK) e = snapshot_clear(&w);
    if (e == ERR_OK) e = env_commit(&w);
    env_abort(&w);
    if (e == ERR_OK || e == ERR_NOTFOUND) return ERR_OK;
    return env_fail(info, &s->plan, w.rc, "cannot clear an unfinished snapshot");
}

enum err store_open(const struct store_options *options, struct store **out, struct err_info *info)
{
    struct store *s = store_new(options);
    if (s == NULL || !s->done_lock_made) {
        store_close(s);
        return err_fail(info, ERR_NOMEM, "no memory to open %s", options->dir);
    }
    enum err e = lock_take(options->dir, &s->lock_fd, info);
    if (e == ERR_OK)
        e = env_open(&s->plan, options->dir, "plan", plan_tables, plan_upgrade, options->map_size_initial, info);
    if (e == ERR_OK)
        e = env_open(&s->state, options->dir, "state", state_tables, state_upgrade, options->map_size_initial, info);
    if (e == ERR_OK) e = first_epoch(s, options->wall, info);
    if (e == ERR_OK) e = no_leftovers(s, info);
    if (e == ERR_OK) {
        e = writer_start(&s->plan_writer, s, &s->plan, "plan changes", 0);
        if (e == ERR_OK) e = writer_start(&s->state_writer, s, &s->state, "registrations", STATE_LINGER_US);
        if (e != ERR_OK) (void)err_fail(info, e, "no memory for the writers of %s", options->dir);
    }
    if (e != ERR_OK) {
        store_close(s);
        return e;
    }
    *out = s;
    return ERR_OK;
}

void store_close(struct store *s)
{
    if (s == NULL) return;
    writer_stop(&s->plan_writer);
    writer_stop(&s->state_writer);
    for (struct list_node *n = list_pop(&s->done); n != NULL; n = list_pop(&s->done)) {
        job_free(CONTAINER_OF(n, struct job, node));
    }
    for (struct list_node *n = list_pop(&s->spare); n != NULL; n = list_pop(&s->spare))
        job_free(CONTAINER_OF(n, struct job, node));
    env_close(&s->plan);
    env_close(&s->state);
    if (s->lock_fd >= 0) (void)close(s->lock_fd);
    if (s->done_lock_made) (void)pthread_mutex_destroy(&s->done_lock);
    free(s);
}

const struct counter_table *store_counters(const struct store *s)
{
    return &s->counters;
}

/* Asking is no change to the caller; the writer's lock is. */
static struct writer *writer_of(const struct writer *w)
{
    return (struct writer *)(uintptr_t)w;
}

enum err store_health(const struct store *s, struct err_info *info)
{
    return writer_health(writer_of(&s->plan_writer), info);
}

enum err store_state_health(const struct store *s, struct err_info *info)
{
    return writer_health(writer_of(&s->state_writer), info);
}

enum err store_verify(const char *dir, struct err_info *info)
{
    static const char *const names[] = {"plan", "state"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        char path[4096];
        if (snprintf(path, sizeof path, "%s/%s", dir, names[i]) >= (int)sizeof path) {
            return err_fail(info, ERR_LIMIT, "the path %.100s... is too long", dir);
        }
        enum err e = env_verify(path, info);
        if (e != ERR_OK) return e;
    }
    return ERR_OK;
}

/* ---- finished jobs ---- */

void store_finish(struct store *s, struct job *job)
{
    /* Only its end is of interest now. */
    if (job->bytes > SPARE_BYTES) arena_fini(&job->arena);
    (void)pthread_mutex_lock(&s->done_lock);
    list_append(&s->done, &job->node);
    atomic_fetch_add(&s->done_count, 1);
    (void)pthread_mutex_unlock(&s->done_lock);
}

struct job *store_spare_take(struct store *s)
{
    (void)pthread_mutex_lock(&s->done_lock);
    struct list_node *n = list_pop(&s->spare);
    if (n != NULL) s->spare_count--;
    (void)pthread_mutex_unlock(&s->done_lock);
    if (n == NULL) return NULL;
    struct job *job = CONTAINER_OF(n, struct job, node);
    struct arena arena = job->arena;
    memset(job, 0, offsetof(struct job, done.info));
    job->arena = arena;
    return job;
}

static void spare_put(struct store *s, struct job *job)
{
    bool kept = false;
    arena_reset(&job->arena);
    (void)pthread_mutex_lock(&s->done_lock);
    if (s->spare_count < SPARE_MAX) {
        list_append(s->spare.next, &job->node); /* in front: the last one used is the first one used again */
        s->spare_count++;
        kept = true;
    }
    (void)pthread_mutex_unlock(&s->done_lock);
    if (!kept) job_free(job);
}

bool store_completed(struct store *s, struct store_completion *out)
{
    (void)pthread_mutex_lock(&s->done_lock);
    struct list_node *n = list_pop(&s->done);
    if (n != NULL) atomic_fetch_sub(&s->done_count, 1);
    (void)pthread_mutex_unlock(&s->done_lock);
    if (n == NULL) return false;
    struct job *job = CONTAINER_OF(n, struct job, node);
    memcpy(out, &job->done, offsetof(struct store_completion, info));
    if (out->err == ERR_OK) out->info.text[0] = '\0';
    if (out->err != ERR_OK) out->info = job->done.info;
    spare_put(s, job);
    return true;
}
