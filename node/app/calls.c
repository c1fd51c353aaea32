#include "node/app/calls.h"

#include <stdlib.h>

#include "node/base/list.h"
#include "node/base/map.h"

struct slot {
    struct list_node node; /* in live or ended, newest first */
    struct map_node by_id;
    bool has_ended; /* once, and for good */
    struct call_entry entry;
};

struct calls {
    struct list_node live;
    struct list_node ended;
    struct map ids;
    size_t live_count;
    size_t ended_count;
};

struct calls *calls_new(uint64_t seed)
{
    struct calls *c = calloc(1, sizeof *c);
    if (c == NULL) return NULL;
    if (map_init(&c->ids, 256, seed) != ERR_OK) {
        free(c);
        return NULL;
    }
    list_init(&c->live);
    list_init(&c->ended);
    return c;
}

static void forget(struct calls *c, struct list_node *n)
{
    struct slot *s = CONTAINER_OF(n, struct slot, node);
    map_remove(&c->ids, &s->by_id);
    free(s);
}

void calls_free(struct calls *c)
{
    struct list_node *n = NULL;
    if (c == NULL) return;
    while ((n = list_pop(&c->live)) != NULL)
        forget(c, n);
    while ((n = list_pop(&c->ended)) != NULL)
        forget(c, n);
    map_fini(&c->ids);
    free(c);
}

static void push_front(struct list_node *head, struct list_node *n)
{
    list_append(head->next, n); /* before the first one */
}

static struct slice id_key(const uint64_t *id)
{
    return (struct slice){(const char *)id, sizeof *id};
}

static struct slot *find(struct calls *c, uint64_t id)
{
    struct map_node *m = map_first(&c->ids, map_hash(&c->ids, id_key(&id)));
    while (m != NULL && CONTAINER_OF(m, struct slot, by_id)->entry.id != id)
        m = map_next(m);
    return m != NULL ? CONTAINER_OF(m, struct slot, by_id) : NULL;
}

static struct slot *add(struct calls *c, uint64_t id)
{
    struct slot *s = calloc(1, sizeof *s);
    if (s == NULL) return NULL;
    s->entry.id = id;
    map_insert(&c->ids, &s->by_id, map_hash(&c->ids, id_key(&id)));
    push_front(&c->live, &s->node);
    c->live_count++;
    return s;
}

/* As much as fits; several times for each call, so no printf. */
static void copy(char *out, size_t size, struct slice text)
{
    size_t n = text.n < size ? text.n : size - 1;
    if (n > 0) memcpy(out, text.p, n);
    out[n] = '\0';
}

static const char *source_prefix(enum edge_source_kind kind)
{
    switch (kind) {
    case EDGE_SOURCE_TRUNK: return "trunk/";
    case EDGE_SOURCE_ACCOUNT: return "account/";
    case EDGE_SOURCE_MEMBER: return "node/";
    case EDGE_SOURCE_UNKNOWN: break;
    }
    return "";
}

static void fill(struct call_entry *e, const struct call_report *r)
{
    e->state = r->state;
    e->started = r->started;
    e->answered = r->answered;
    e->ended = r->ended;
    e->code = r->code;
    e->rule = r->rule;
    copy(e->call_id, sizeof e->call_id, r->call_id);
    copy(e->from, sizeof e->from, r->from);
    copy(e->dialled, sizeof e->dialled, r->dialled);
    struct slice prefix = slice_of(source_prefix(r->source.kind));
    copy(e->source, sizeof e->source, prefix);
    copy(e->source + prefix.n, sizeof e->source - prefix.n, r->source.name);
    if (r->target.n > 0) copy(e->target, sizeof e->target, r->target);
    if (r->target.n > 0) copy(e->node, sizeof e->node, r->node);
    copy(e->reason, sizeof e->reason, r->reason);
}

void calls_report(struct calls *c, const struct call_report *report)
{
    struct slot *s = find(c, report->id);
    if (s == NULL) s = add(c, report->id);
    if (s == NULL) return; /* no memory: the call goes on without a record */
    if (s->has_ended) return;
    fill(&s->entry, report);
    if (report->state != CALL_ENDED) return;
    s->has_ended = true;
    list_remove(&s->node);
    push_front(&c->ended, &s->node);
    c->live_count--;
    if (++c->ended_count <= CALLS_KEPT) return;
    struct list_node *oldest = c->ended.prev;
    list_remove(oldest);
    forget(c, oldest);
    c->ended_count--;
}

size_t calls_live(const struct calls *c)
{
    return c->live_count;
}

void calls_each(const struct calls *c, bool (*each)(void *ctx, const struct call_entry *entry), void *ctx)
{
    const struct list_node *const heads[] = {&c->live, &c->ended};
    for (size_t h = 0; h < 2; h++) {
        for (const struct list_node *n = heads[h]->next; n != heads[h]; n = n->next) {
            const struct slot *s = (const struct slot *)(const void *)((const char *)n - offsetof(struct slot, node));
            if (!each(ctx, &s->entry)) return;
        }
    }
}

const char *call_state_name(enum call_state s)
{
    static const char *const names[] = {"trying", "ringing", "answered", "ended"};
    return (unsigned)s <= CALL_ENDED ? names[s] : "?";
}
