/* samples: see the header. */
#include "node/app/samples.h"

#include <stdlib.h>

struct samples {
    const struct counter_table **tables;
    size_t table_count;
    const _Atomic uint64_t *started;
    uint64_t started_seen;
    struct page_sample ring[SAMPLES_ROOM];
    size_t next;
    size_t count;
    struct mono due;
    /* What each counter was at the last marks: one row of value_count each, the oldest at mark_next when all are used.
     */
    size_t value_count;
    uint64_t *values;
    struct mono marked[SAMPLES_MARKS];
    size_t mark_next;
    size_t mark_count;
};

static size_t count_values(const struct counter_table *const *tables, size_t table_count)
{
    size_t n = 0;
    for (size_t i = 0; i < table_count; i++)
        n += tables[i]->count;
    return n;
}

static void mark(struct samples *s, struct mono now)
{
    uint64_t *value = &s->values[s->mark_next * s->value_count];
    for (size_t i = 0; i < s->table_count; i++) {
        for (size_t k = 0; k < s->tables[i]->count; k++)
            *value++ = counter_get(&s->tables[i]->values[k]);
    }
    s->marked[s->mark_next] = now;
    s->mark_next = (s->mark_next + 1) % SAMPLES_MARKS;
    if (s->mark_count < SAMPLES_MARKS) s->mark_count++;
}

struct samples *samples_new(const struct counter_table *const *tables, size_t table_count,
                            const _Atomic uint64_t *started, struct mono now)
{
    struct samples *s = calloc(1, sizeof *s);
    if (s == NULL) return NULL;
    s->value_count = count_values(tables, table_count);
    s->values = calloc(SAMPLES_MARKS * s->value_count + 1, sizeof *s->values);
    s->tables = calloc(table_count + 1, sizeof *s->tables);
    if (s->values == NULL || s->tables == NULL) {
        samples_free(s);
        return NULL;
    }
    if (table_count > 0) memcpy(s->tables, tables, table_count * sizeof *tables);
    s->table_count = table_count;
    s->started = started;
    s->started_seen = counter_get(started);
    s->due = mono_add_ms(now, SAMPLES_S * 1000);
    mark(s, now);
    return s;
}

void samples_free(struct samples *s)
{
    if (s == NULL) return;
    free((void *)s->tables);
    free(s->values);
    free(s);
}

static void take(struct samples *s, uint32_t live_calls)
{
    uint64_t started = counter_get(s->started);
    s->ring[s->next] = (struct page_sample){live_calls, (uint32_t)(started - s->started_seen)};
    s->started_seen = started;
    s->next = (s->next + 1) % SAMPLES_ROOM;
    if (s->count < SAMPLES_ROOM) s->count++;
}

void samples_tick(struct samples *s, struct mono now, uint32_t live_calls)
{
    size_t newest = (s->mark_next + SAMPLES_MARKS - 1) % SAMPLES_MARKS;
    for (size_t missed = 0; mono_reached(now, s->due) && missed < SAMPLES_ROOM; missed++) {
        take(s, live_calls);
        s->due = mono_add_ms(s->due, SAMPLES_S * 1000);
    }
    if (mono_reached(now, s->due)) s->due = mono_add_ms(now, SAMPLES_S * 1000);
    if (mono_reached(now, mono_add_ms(s->marked[newest], SAMPLES_MARK_S * 1000))) mark(s, now);
}

size_t samples_calls(const struct samples *s, struct page_sample *out)
{
    size_t first = (s->next + SAMPLES_ROOM - s->count) % SAMPLES_ROOM;
    for (size_t i = 0; i < s->count; i++)
        out[i] = s->ring[(first + i) % SAMPLES_ROOM];
    return s->count;
}

/* Puts g among the room largest of count so far. */
static void keep_largest(struct page_growth *out, size_t count, size_t room, struct page_growth g)
{
    size_t at = count < room ? count : room;
    while (at > 0 && out[at - 1].grown < g.grown) {
        if (at < room) out[at] = out[at - 1];
        at--;
    }
    if (at < room) out[at] = g;
}

size_t samples_growths(const struct samples *s, bool (*wanted)(const char *module, const char *name), struct mono now,
                       struct page_growth *out, size_t room, unsigned *within_s)
{
    size_t oldest = (s->mark_next + SAMPLES_MARKS - s->mark_count) % SAMPLES_MARKS;
    const uint64_t *then = &s->values[oldest * s->value_count];
    size_t count = 0;
    for (size_t i = 0; i < s->table_count; i++) {
        const struct counter_table *t = s->tables[i];
        for (size_t k = 0; k < t->count; k++, then++) {
            uint64_t grown = counter_get(&t->values[k]) - *then;
            if (grown == 0 || !wanted(t->module, t->names[k])) continue;
            keep_largest(out, count++, room, (struct page_growth){t->module, t->names[k], grown});
        }
    }
    *within_s = (unsigned)(mono_ms_between(s->marked[oldest], now) / 1000);
    return count;
}
