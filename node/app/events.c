#include "node/app/events.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define KINDS 256 /* two events in one of them only make room for each other */
#define NONE EVENTS_KEPT
#define CUT "..."

struct place {
    struct event event;
    unsigned kind;
    size_t before;
    size_t after;
};

struct events {
    pthread_mutex_t lock;
    struct place places[EVENTS_KEPT]; /* those behind count were never used */
    size_t count;
    size_t oldest;
    size_t newest;
    size_t of_kind[KINDS];
    uint64_t number; /* of the newest */
    uint64_t gone;
};

struct events *events_new(void)
{
    struct events *e = calloc(1, sizeof *e);
    if (e == NULL) return NULL;
    (void)pthread_mutex_init(&e->lock, NULL);
    e->oldest = e->newest = NONE;
    return e;
}

void events_free(struct events *e)
{
    if (e == NULL) return;
    (void)pthread_mutex_destroy(&e->lock);
    free(e);
}

static unsigned kind_of(const struct event *v)
{
    unsigned hash = 5381;
    for (const char *c = v->module; *c != '\0'; c++)
        hash = hash * 33 + (unsigned char)*c;
    for (const char *c = v->ev; *c != '\0'; c++)
        hash = hash * 33 + (unsigned char)*c;
    return hash % KINDS;
}

static bool same(const struct event *a, const struct event *b)
{
    return strcmp(a->module, b->module) == 0 && strcmp(a->ev, b->ev) == 0;
}

/* As much of text as there is room for, in whole characters. */
static void copy_text(char out[EVENTS_TEXT], const char *text)
{
    size_t n = strlen(text);
    if (n < EVENTS_TEXT) {
        memcpy(out, text, n + 1);
        return;
    }
    n = EVENTS_TEXT - sizeof CUT;
    for (unsigned i = 0; i < 3 && ((unsigned char)text[n] & 0xc0) == 0x80; i++)
        n--;
    memcpy(out, text, n);
    memcpy(out + n, CUT, sizeof CUT);
}

/* ---- places ---- */

static void link_newest(struct events *e, size_t at)
{
    e->places[at].before = e->newest;
    e->places[at].after = NONE;
    if (e->newest == NONE) {
        e->oldest = at;
    } else {
        e->places[e->newest].after = at;
    }
    e->newest = at;
}

static void unlink_place(struct events *e, size_t at)
{
    const struct place *p = &e->places[at];
    if (p->before == NONE) {
        e->oldest = p->after;
    } else {
        e->places[p->before].after = p->after;
    }
    if (p->after == NONE) {
        e->newest = p->before;
    } else {
        e->places[p->after].before = p->before;
    }
}

static unsigned fullest_kind(const struct events *e)
{
    unsigned most = 0;
    for (unsigned k = 1; k < KINDS; k++)
        if (e->of_kind[k] > e->of_kind[most]) most = k;
    return most;
}

/* The event that is about to be added counts as the next one of the one that goes when no other is. */
static size_t make_room(struct events *e, struct event *fresh)
{
    unsigned kind = fullest_kind(e);
    size_t at = e->oldest;
    while (e->places[at].kind != kind)
        at = e->places[at].after;
    const struct event *old = &e->places[at].event;
    size_t heir = e->places[at].after;
    while (heir != NONE && !same(&e->places[heir].event, old))
        heir = e->places[heir].after;
    uint32_t lost = old->suppressed + 1;
    if (heir != NONE) {
        e->places[heir].event.suppressed += lost;
    } else if (same(fresh, old)) {
        fresh->suppressed += lost;
    }
    e->gone++;
    e->of_kind[kind]--;
    unlink_place(e, at);
    return at;
}

void events_add(struct events *e, struct wall at, enum log_level level, const char *module, const char *ev,
                const char *text, uint32_t suppressed)
{
    struct event fresh = {.at = at, .level = level, .suppressed = suppressed};
    (void)snprintf(fresh.module, sizeof fresh.module, "%s", module);
    (void)snprintf(fresh.ev, sizeof fresh.ev, "%s", ev);
    copy_text(fresh.text, text);
    unsigned kind = kind_of(&fresh);
    (void)pthread_mutex_lock(&e->lock);
    size_t place = e->count < EVENTS_KEPT ? e->count++ : make_room(e, &fresh);
    fresh.number = ++e->number;
    e->places[place].event = fresh;
    e->places[place].kind = kind;
    e->of_kind[kind]++;
    link_newest(e, place);
    (void)pthread_mutex_unlock(&e->lock);
}

size_t events_copy(struct events *e, uint64_t after, struct event *out, uint64_t *gone)
{
    size_t n = 0;
    (void)pthread_mutex_lock(&e->lock);
    for (size_t i = e->oldest; i != NONE; i = e->places[i].after)
        if (e->places[i].event.number > after) out[n++] = e->places[i].event;
    *gone = e->gone;
    (void)pthread_mutex_unlock(&e->lock);
    return n;
}
