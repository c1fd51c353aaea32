#include "node/app/calls.h"

#include <stdio.h>
#include <stdlib.h>

#include "node/base/list.h"
#include "node/base/map.h"
#include "node/edge/address.h"
#include "node/edge/pool.h"

#define POOL_KEPT 4096

struct slot {
    struct list_node node; /* in live or ended, newest first */
    struct list_node due;  /* linked: its record is to be written */
    struct map_node by_id;
    bool has_ended; /* once, and for good */
    bool writing;
    struct usage_of *source;
    struct usage_of *target;
    struct call_entry entry;
};

struct calls {
    struct list_node live;
    struct list_node ended;
    struct list_node due;
    struct map ids;
    struct usage *usage;
    size_t live_count;
    size_t ended_count;
    size_t due_count;
    uint64_t lost;
    struct pool slots;
};

struct calls *calls_new(uint64_t seed, struct usage *usage)
{
    struct calls *c = calloc(1, sizeof *c);
    if (c == NULL) return NULL;
    if (map_init(&c->ids, 256, seed) != ERR_OK) {
        free(c);
        return NULL;
    }
    c->usage = usage;
    c->slots.kept_max = POOL_KEPT;
    list_init(&c->live);
    list_init(&c->ended);
    list_init(&c->due);
    return c;
}

static void release(struct calls *c, struct slot *s)
{
    usage_release(c->usage, s->source);
    usage_release(c->usage, s->target);
    s->source = s->target = NULL;
}

static void not_due(struct calls *c, struct slot *s)
{
    if (!list_linked(&s->due)) return;
    list_remove(&s->due);
    c->due_count--;
}

static void make_due(struct calls *c, struct slot *s)
{
    if (list_linked(&s->due)) return;
    list_append(&c->due, &s->due);
    c->due_count++;
}

static void forget(struct calls *c, struct slot *s)
{
    list_remove(&s->node);
    not_due(c, s);
    map_remove(&c->ids, &s->by_id);
    release(c, s);
    if (s->entry.decision.p != s->entry.trace) free((void *)(uintptr_t)s->entry.decision.p);
    free(s->entry.attempts);
    pool_put(&c->slots, s);
}

static void forget_ended(struct calls *c, struct slot *s)
{
    c->ended_count--;
    forget(c, s);
}

void calls_free(struct calls *c)
{
    if (c == NULL) return;
    struct list_node *const heads[] = {&c->live, &c->ended};
    for (size_t i = 0; i < 2; i++) {
        while (!list_empty(heads[i]))
            forget(c, CONTAINER_OF(heads[i]->next, struct slot, node));
    }
    map_fini(&c->ids);
    pool_fini(&c->slots);
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

static struct slot *find(const struct calls *c, uint64_t id)
{
    struct map_node *m = map_first(&c->ids, map_hash(&c->ids, id_key(&id)));
    while (m != NULL && CONTAINER_OF(m, struct slot, by_id)->entry.id != id)
        m = map_next(m);
    return m != NULL ? CONTAINER_OF(m, struct slot, by_id) : NULL;
}

static struct slot *make(struct calls *c, uint64_t id)
{
    struct slot *s = pool_get(&c->slots, sizeof *s);
    if (s == NULL) return NULL;
    memset(s, 0, offsetof(struct slot, entry.call_id)); /* what follows is text, each set on its own */
    s->entry.target[0] = s->entry.node[0] = '\0';
    s->entry.id = id;
    list_init(&s->due);
    map_insert(&c->ids, &s->by_id, map_hash(&c->ids, id_key(&id)));
    c->live_count++;
    return s;
}

static struct slot *add(struct calls *c, uint64_t id)
{
    struct slot *s = make(c, id);
    if (s != NULL) push_front(&c->live, &s->node);
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

/* What does not change is kept once. */
static void fill_once(struct call_entry *e, const struct call_report *r)
{
    e->started = r->started;
    e->from_place = r->from_place;
    copy(e->call_id, sizeof e->call_id, r->call_id);
    bool whole = r->call_id.n < sizeof e->call_id && r->caller_tag.n < sizeof e->caller_tag;
    copy(e->caller_tag, sizeof e->caller_tag, whole ? r->caller_tag : SLICE(""));
    copy(e->session_id, sizeof e->session_id, r->session_id);
    copy(e->from, sizeof e->from, r->from);
    copy(e->dialled, sizeof e->dialled, r->dialled);
    struct slice prefix = slice_of(source_prefix(r->source.kind));
    copy(e->source, sizeof e->source, prefix);
    copy(e->source + prefix.n, sizeof e->source - prefix.n, r->source.name);
}

/* Without memory the record has no decision. */
static void keep_trace(struct call_entry *e, struct slice trace)
{
    if (e->decision.p != NULL) return;
    char *p = trace.n <= sizeof e->trace ? e->trace : malloc(trace.n);
    if (p == NULL) return;
    memcpy(p, trace.p, trace.n);
    e->decision = (struct slice){p, trace.n};
}

/* Without memory the record does not tell of it. */
static void keep_failure(struct call_entry *e, const struct call_report *r)
{
    const struct call_failure *f = r->failure;
    if (e->attempt_count == CALL_ATTEMPTS_MAX) return;
    struct kept_attempt *list = realloc(e->attempts, (e->attempt_count + 1) * sizeof *list);
    if (list == NULL) return;
    e->attempts = list;
    struct kept_attempt *a = &list[e->attempt_count++];
    a->place = f->place;
    a->code = f->code;
    a->at = f->at;
    copy(a->target, sizeof a->target, f->target);
    copy(a->node, sizeof a->node, f->node);
    copy(a->words, sizeof a->words, f->words);
}

static void fill(struct call_entry *e, const struct call_report *r)
{
    e->state = r->state;
    e->answered = r->answered;
    e->ended = r->ended;
    e->code = r->code;
    e->rule = r->rule;
    e->session_s = r->session_s;
    e->to_place = r->to_place;
    if (r->trace.n > 0) keep_trace(e, r->trace);
    if (r->target.n > 0) copy(e->target, sizeof e->target, r->target);
    if (r->target.n > 0) copy(e->node, sizeof e->node, r->node);
    copy(e->reason, sizeof e->reason, r->reason);
}

/* Trunks and accounts are counted; of targets those that this node serves. same: the target is as last reported, and so
 * is the node that serves it. */
static void hold(struct calls *c, struct slot *s, bool fresh, bool same, const struct call_report *r, struct mono now)
{
    if (fresh && (r->source.kind == EDGE_SOURCE_TRUNK || r->source.kind == EDGE_SOURCE_ACCOUNT))
        s->source = usage_hold(c->usage, slice_of(s->entry.source), now);
    if (r->target.n == 0 || same) return;
    usage_release(c->usage, s->target);
    s->target = r->node.n == 0 ? usage_hold(c->usage, r->target, now) : NULL;
}

static void end(struct calls *c, struct slot *s)
{
    s->has_ended = true;
    release(c, s);
    list_remove(&s->node);
    push_front(&c->ended, &s->node);
    c->live_count--;
    make_due(c, s);
    if (++c->ended_count <= CALLS_HELD_MAX) return;
    struct slot *oldest = CONTAINER_OF(c->ended.prev, struct slot, node);
    c->lost++;
    forget_ended(c, oldest);
}

void calls_report(struct calls *c, const struct call_report *report, struct mono now)
{
    struct slot *s = report->note != NULL && *report->note != NULL ? *report->note : find(c, report->id);
    bool fresh = s == NULL;
    if (fresh) s = add(c, report->id);
    if (report->note != NULL) *report->note = s;
    if (s == NULL) return; /* no memory: the call goes on without a record */
    if (s->has_ended) return;
    if (report->failure != NULL && !fresh) {
        keep_failure(&s->entry, report);
        return;
    }
    bool same = slice_is(report->target, s->entry.target) && slice_is(report->node, s->entry.node);
    bool answered = report->state == CALL_ANSWERED && s->entry.state != CALL_ANSWERED;
    if (fresh) fill_once(&s->entry, report);
    fill(&s->entry, report);
    if (report->state == CALL_ENDED) {
        end(c, s);
        return;
    }
    hold(c, s, fresh, same, report, now);
    if (answered) make_due(c, s);
}

struct call_place call_place_of(struct slice text)
{
    struct call_place p;
    memset(&p, 0, sizeof p);
    if (listen_parse(text, &p.transport, &p.address, NULL) != ERR_OK) memset(&p, 0, sizeof p);
    return p;
}

bool calls_restore(struct calls *c, uint64_t id, const struct call_record *r, struct mono now)
{
    struct slot *s = find(c, id) == NULL ? make(c, id) : NULL;
    if (s == NULL) return false;
    struct call_entry *e = &s->entry;
    list_append(&c->live, &s->node);
    e->state = r->state;
    e->started = r->started;
    e->answered = r->answered;
    e->code = r->code;
    e->rule = r->rule;
    e->session_s = r->session_s;
    e->from_place = call_place_of(r->from_address);
    e->to_place = call_place_of(r->to_address);
    copy(e->call_id, sizeof e->call_id, r->call_id);
    copy(e->caller_tag, sizeof e->caller_tag, r->caller_tag);
    copy(e->session_id, sizeof e->session_id, r->session_id);
    copy(e->from, sizeof e->from, r->from);
    copy(e->dialled, sizeof e->dialled, r->dialled);
    copy(e->source, sizeof e->source, r->source);
    copy(e->target, sizeof e->target, r->target);
    copy(e->node, sizeof e->node, r->node);
    copy(e->reason, sizeof e->reason, r->reason);
    if (r->decision.n > 0) keep_trace(e, r->decision);
    if (slice_starts(r->source, SLICE("trunk/")) || slice_starts(r->source, SLICE("account/")))
        s->source = usage_hold(c->usage, slice_of(e->source), now);
    if (r->target.n > 0 && r->node.n == 0) s->target = usage_hold(c->usage, slice_of(e->target), now);
    return true;
}

size_t calls_live(const struct calls *c)
{
    return c->live_count;
}

uint64_t calls_lost(const struct calls *c)
{
    return c->lost;
}

const struct call_entry *calls_find(const struct calls *c, uint64_t id)
{
    const struct slot *s = find(c, id);
    return s != NULL ? &s->entry : NULL;
}

static const struct call_entry *entry_of(const struct list_node *n)
{
    return &((const struct slot *)(const void *)((const char *)n - offsetof(struct slot, node)))->entry;
}

void calls_each_live(const struct calls *c, uint64_t below, bool (*each)(void *ctx, const struct call_entry *entry),
                     void *ctx)
{
    for (const struct list_node *n = c->live.next; n != &c->live; n = n->next) {
        if (calls_order(entry_of(n)->id) < below && !each(ctx, entry_of(n))) return;
    }
}

void calls_each_ended(const struct calls *c, bool (*each)(void *ctx, const struct call_entry *entry), void *ctx)
{
    for (const struct list_node *n = c->ended.next; n != &c->ended; n = n->next) {
        if (!each(ctx, entry_of(n))) return;
    }
}

/* ---- records that are due ---- */

size_t calls_due(const struct calls *c)
{
    return c->due_count;
}

const struct call_entry *calls_take_due(struct calls *c)
{
    if (list_empty(&c->due)) return NULL;
    struct slot *s = CONTAINER_OF(c->due.next, struct slot, due);
    not_due(c, s);
    s->writing = true;
    return &s->entry;
}

void calls_written(struct calls *c, uint64_t id, bool ok)
{
    struct slot *s = find(c, id);
    if (s == NULL) return; /* it was lost meanwhile */
    s->writing = false;
    if (!ok) {
        make_due(c, s);
    } else if (s->has_ended && !list_linked(&s->due)) {
        forget_ended(c, s);
    }
}

/* By hand for IPv4: it is done twice for each record, and printf costs more than all the rest of it. */
static size_t put_decimal(char *out, unsigned value)
{
    char digits[DECIMAL_TEXT];
    struct slice text = decimal_text(value, digits);
    memcpy(out, text.p, text.n);
    return text.n;
}

static size_t put_v4(char *out, const struct sockaddr_in *a)
{
    const unsigned char *bytes = (const unsigned char *)&a->sin_addr;
    size_t n = 0;
    for (size_t i = 0; i < 4; i++) {
        n += put_decimal(out + n, bytes[i]);
        out[n++] = i < 3 ? '.' : ':';
    }
    return n + put_decimal(out + n, ntohs(a->sin_port));
}

static struct slice place_text(const struct call_place *p, char out[CALL_PLACE_TEXT])
{
    char address[SOCK_ADDRESS_TEXT];
    if (p->address.any.sa_family == 0) return SLICE("");
    memcpy(out, plan_transport_name(p->transport), 3);
    out[3] = ':';
    if (p->address.any.sa_family == AF_INET) return (struct slice){out, 4 + put_v4(out + 4, &p->address.v4)};
    int n = snprintf(out + 4, CALL_PLACE_TEXT - 4, "%s", sock_address_text(&p->address, address));
    return (struct slice){out, 4 + (size_t)n};
}

static void attempts_record(const struct call_entry *e, struct call_room *room)
{
    for (size_t i = 0; i < e->attempt_count; i++) {
        const struct kept_attempt *a = &e->attempts[i];
        room->attempts[i] = (struct call_attempt){.target = slice_of(a->target),
                                                  .node = slice_of(a->node),
                                                  .address = place_text(&a->place, room->places[i]),
                                                  .words = slice_of(a->words),
                                                  .code = a->code,
                                                  .at = a->at};
    }
}

struct call_record call_entry_record(const struct call_entry *e, struct call_room *room)
{
    attempts_record(e, room);
    return (struct call_record){.call_id = slice_of(e->call_id),
                                .session_id = slice_of(e->session_id),
                                .from = slice_of(e->from),
                                .dialled = slice_of(e->dialled),
                                .source = slice_of(e->source),
                                .from_address = place_text(&e->from_place, room->from),
                                .target = slice_of(e->target),
                                .node = slice_of(e->node),
                                .to_address = place_text(&e->to_place, room->to),
                                .reason = slice_of(e->reason),
                                .decision = e->decision,
                                .attempts = room->attempts,
                                .attempt_count = e->attempt_count,
                                .state = e->state,
                                .started = e->started,
                                .answered = e->answered,
                                .ended = e->ended,
                                .code = e->code,
                                .rule = e->rule,
                                .caller_tag = slice_of(e->caller_tag),
                                .session_s = e->session_s};
}
