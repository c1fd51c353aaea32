#include "node/app/log_sink.h"

#include <string.h>
#include <time.h>

#define SHOWN_PER_SECOND 10 /* of one event */

void log_sink_init(struct log_sink *s, FILE *stream, struct events *kept)
{
    *s = (struct log_sink){.stream = stream, .kept = kept, .max = LOG_DEBUG};
    (void)pthread_mutex_init(&s->lock, NULL);
}

void log_sink_fini(struct log_sink *s)
{
    (void)pthread_mutex_destroy(&s->lock);
}

static struct log_sink_event *event_slot(struct log_sink *s, const char *module, const char *ev)
{
    char key[sizeof s->events[0].key];
    unsigned hash = 5381;
    (void)snprintf(key, sizeof key, "%s/%s", module, ev);
    for (const char *c = key; *c != '\0'; c++)
        hash = hash * 33 + (unsigned char)*c;
    struct log_sink_event *e = &s->events[hash % LOG_SINK_EVENTS];
    if (strcmp(e->key, key) != 0) {
        *e = (struct log_sink_event){0};
        (void)snprintf(e->key, sizeof e->key, "%s", key);
    }
    return e;
}

static void write_line(struct log_sink *s, struct wall at, enum log_level level, const char *module, const char *ev,
                       const char *pairs, unsigned suppressed)
{
    char when[WALL_TEXT_SIZE];
    (void)fprintf(s->stream, "ts=%s level=%s module=%s ev=%s%s%s", wall_text(at, when), log_level_name(level), module,
                  ev, pairs[0] != '\0' ? " " : "", pairs);
    if (suppressed > 0) (void)fprintf(s->stream, " suppressed=%u", suppressed);
    (void)fputc('\n', s->stream);
    (void)fflush(s->stream);
}

static void sink(void *ctx, enum log_level level, const char *module, const char *ev, const char *pairs)
{
    struct log_sink *s = ctx;
    struct timespec now;
    bool written = (int)level <= atomic_load_explicit(&s->max, memory_order_relaxed);
    if (!written && level > EVENTS_LEVEL) return;
    (void)clock_gettime(CLOCK_REALTIME, &now);
    struct wall at = {(int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000};
    (void)pthread_mutex_lock(&s->lock);
    struct log_sink_event *e = event_slot(s, module, ev);
    if (e->second != (int64_t)now.tv_sec) {
        e->second = (int64_t)now.tv_sec;
        e->shown = 0;
    }
    if (level > LOG_ERROR && e->shown >= SHOWN_PER_SECOND) {
        e->suppressed++;
    } else {
        if (written) write_line(s, at, level, module, ev, pairs, e->suppressed);
        if (level <= EVENTS_LEVEL) events_add(s->kept, at, level, module, ev, pairs, e->suppressed);
        e->suppressed = 0;
        e->shown++;
    }
    (void)pthread_mutex_unlock(&s->lock);
}

void log_sink_level(struct log_sink *s, enum log_level max)
{
    atomic_store_explicit(&s->max, (int)max, memory_order_relaxed);
}

enum log_level log_sink_max(enum log_level level)
{
    return level > EVENTS_LEVEL ? level : EVENTS_LEVEL;
}

struct log log_sink_log(struct log_sink *s, enum log_level max)
{
    log_sink_level(s, max);
    return (struct log){.max = log_sink_max(max), .sink = sink, .ctx = s};
}
