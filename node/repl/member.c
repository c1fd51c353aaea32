/* member: who is in the cluster and how each does, as this node sees it.
 *
 *            heard                  silent 2.5 s            1 s more
 *   any ------------> ALIVE ----------------------> SUSPECT ---------> DEAD
 *                       ^------- heard -----------------+---------------+
 *   any but EVICTED -> LEFT (it said so);  any -> EVICTED (the operator said so). Both are final, and spread by notes.
 *
 * A node judges by its own ears alone: notes of others bring members, addresses and the two final states, never a
 * death. A member is never forgotten. What this room does not do: dial and hang up; it says that it should be done.
 *
 * Unresolved: a majority of observers instead of every node for itself, which the overlay for large clusters needs. */
#include "node/repl/core.h"

#include <stdlib.h>

/* The table above: allowed[from] has a bit for each status that may follow. */
#define BIT(s) (1u << (s))
static const unsigned allowed[] = {
    [MEMBER_ALIVE] = BIT(MEMBER_SUSPECT) | BIT(MEMBER_DEAD) | BIT(MEMBER_LEFT) | BIT(MEMBER_EVICTED),
    [MEMBER_SUSPECT] = BIT(MEMBER_ALIVE) | BIT(MEMBER_DEAD) | BIT(MEMBER_LEFT) | BIT(MEMBER_EVICTED),
    [MEMBER_DEAD] = BIT(MEMBER_ALIVE) | BIT(MEMBER_LEFT) | BIT(MEMBER_EVICTED),
    [MEMBER_LEFT] = BIT(MEMBER_EVICTED),
    [MEMBER_EVICTED] = 0,
};

static size_t lower_bound(const struct members *ms, const struct node_name *name)
{
    size_t low = 0;
    size_t high = ms->count;
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        if (memcmp(&ms->items[mid]->name, name, sizeof *name) < 0) {
            low = mid + 1;
        } else {
            high = mid;
        }
    }
    return low;
}

struct member *repl_member_find(const struct repl *r, const struct node_name *name)
{
    size_t at = lower_bound(&r->members, name);
    if (at == r->members.count || !node_name_eq(&r->members.items[at]->name, name)) return NULL;
    return r->members.items[at];
}

enum err repl_member_add(struct repl *r, const struct node_name *name, struct member **out)
{
    struct members *ms = &r->members;
    if (ms->count >= LIMIT_MEMBERS) {
        repl_count(r, REPL_COUNT_members_over_limit, 1);
        return ERR_LIMIT;
    }
    if (ms->count == ms->cap) {
        size_t cap = ms->cap == 0 ? 8 : ms->cap * 2;
        struct member **grown = realloc(ms->items, cap * sizeof(struct member *));
        if (grown == NULL) return ERR_NOMEM;
        ms->items = grown;
        ms->cap = cap;
    }
    struct member *m = calloc(1, sizeof *m);
    if (m == NULL) return ERR_NOMEM;
    m->name = *name;
    m->status = MEMBER_ALIVE;
    m->silent_from = m->since = r->now;
    m->record_due = true;
    m->spoken_until = mono_add_ms(r->now, REPL_NOTE_MS);
    size_t at = lower_bound(ms, name);
    memmove(&ms->items[at + 1], &ms->items[at], (ms->count - at) * sizeof(struct member *));
    ms->items[at] = m;
    ms->count++;
    r->scan = true;
    *out = m;
    return ERR_OK;
}

void repl_members_fini(struct repl *r)
{
    for (size_t i = 0; i < r->members.count; i++)
        free(r->members.items[i]);
    free(r->members.items);
}

/* It is recorded by the driver, and spoken of for a while. */
static void changed(struct repl *r, struct member *m)
{
    m->record_due = true;
    m->spoken_until = mono_add_ms(r->now, REPL_NOTE_MS);
    r->scan = true;
}

bool repl_member_move(struct repl *r, struct member *m, enum member_status to)
{
    if (m->status == to) return true;
    if ((allowed[m->status] & BIT(to)) == 0) return false;
    m->status = to;
    m->since = r->now;
    if (repl_status_final(to)) {
        m->hangup_due = true;
        m->heartbeat_at = r->now; /* the last one tells it why */
    }
    changed(r, m);
    return true;
}

void repl_member_heard(struct repl *r, struct member *m)
{
    m->heard = m->silent_from = r->now;
    (void)repl_member_move(r, m, MEMBER_ALIVE); /* the caller has refused those that are gone for good */
}

void repl_member_watch(struct repl *r, struct member *m)
{
    if (repl_status_final(m->status) || m->status == MEMBER_DEAD) return;
    struct mono suspect_at = mono_add_ms(m->silent_from, REPL_SUSPECT_MS);
    struct mono dead_at = mono_add_ms(m->silent_from, REPL_DEAD_MS);
    if (mono_reached(r->now, dead_at)) {
        (void)repl_member_move(r, m, MEMBER_DEAD);
        return;
    }
    if (mono_reached(r->now, suspect_at)) {
        (void)repl_member_move(r, m, MEMBER_SUSPECT);
        repl_wake(r, dead_at);
    } else {
        /* One that was suspect from the start stays so until it is heard. */
        repl_wake(r, m->status == MEMBER_SUSPECT ? dead_at : suspect_at);
    }
}

bool repl_isolated(const struct repl *r)
{
    size_t present = 0;
    size_t silent = 0;
    for (size_t i = 0; i < r->members.count; i++) {
        const struct member *m = r->members.items[i];
        if (repl_status_final(m->status)) continue;
        present++;
        if (m->status != MEMBER_ALIVE) silent++;
    }
    return present >= 2 && silent * 2 > present;
}

bool repl_all_have_spoken(const struct repl *r)
{
    for (size_t i = 0; i < r->members.count; i++) {
        const struct member *m = r->members.items[i];
        if (!m->digest_known && !repl_status_final(m->status)) return false;
    }
    return true;
}

void repl_member_set_text(char *to, size_t size, struct slice text)
{
    ASSERT(text.n < size);
    memset(to, 0, size);
    if (text.n > 0) memcpy(to, text.p, text.n);
}

static void take_place(struct repl *r, struct member *m, const struct member_note *note)
{
    if (note->incarnation > m->incarnation) {
        m->incarnation = note->incarnation;
        repl_receive_forget_held(r, &m->name);
    }
    if (!slice_is(note->mesh_address, m->address)) {
        repl_member_set_text(m->address, sizeof m->address, note->mesh_address);
        m->dial_due = m->address[0] != '\0';
        changed(r, m);
    }
    if (!slice_is(note->site, m->site)) {
        repl_member_set_text(m->site, sizeof m->site, note->site);
        changed(r, m);
    }
}

/* What is said of ourselves: an accusation is refuted by an incarnation above it; a final word is believed. */
static void take_self(struct repl *r, const struct member_note *note)
{
    if (repl_status_final(note->status)) {
        if (r->self_status == MEMBER_EVICTED || r->self_status == note->status) return;
        r->self_status = note->status;
        r->self_since = r->now;
        r->self_record_due = true;
        r->scan = true;
        repl_alarm(r, ALARM_OUT,
                   "the cluster says that this node has %s; it takes no more changes. To come back, join under "
                   "another name",
                   note->status == MEMBER_LEFT ? "left" : "been evicted");
        return;
    }
    bool accused = note->status != MEMBER_ALIVE && note->incarnation >= r->incarnation;
    if (!accused && note->incarnation <= r->incarnation) return;
    /* Above our own without an accusation: an earlier start had a clock that was ahead. */
    r->incarnation = note->incarnation + 1;
    if (accused) {
        repl_count(r, REPL_COUNT_accusations_refuted, 1);
        repl_heartbeat_all_now(r);
    }
}

enum err repl_member_note(struct repl *r, const struct member_note *note)
{
    if (node_name_eq(&note->name, &r->self)) {
        take_self(r, note);
        return ERR_OK;
    }
    struct member *m = repl_member_find(r, &note->name);
    bool known = m != NULL;
    if (!known) {
        enum err e = repl_member_add(r, &note->name, &m);
        if (e != ERR_OK) return e;
    }
    /* A member whose address is not known yet may be told of by anybody; else the newer incarnation is right. */
    if (note->incarnation > m->incarnation || m->incarnation == 0) take_place(r, m, note);
    if (repl_status_final(note->status) || !known) (void)repl_member_move(r, m, note->status);
    return ERR_OK;
}

static bool record(const struct member *m, struct repl_actions *out)
{
    struct slice address = arena_copy(&out->arena, slice_of(m->address));
    struct slice site = arena_copy(&out->arena, slice_of(m->site));
    struct repl_action *a = address.p != NULL && site.p != NULL ? repl_action_add(out, REPL_DO_MEMBER) : NULL;
    if (a == NULL) return false;
    a->peer = m->name;
    a->member = (struct member_note){m->name, m->incarnation, m->status, address, site};
    return true;
}

static bool dial(const struct member *m, struct repl_actions *out)
{
    struct slice address = arena_copy(&out->arena, slice_of(m->address));
    struct repl_action *a = address.p != NULL ? repl_action_add(out, REPL_DO_DIAL) : NULL;
    if (a == NULL) return false;
    a->peer = m->name;
    a->address = address;
    return true;
}

bool repl_member_flush(struct member *m, struct repl_actions *out)
{
    if (m->record_due && !record(m, out)) return false;
    m->record_due = false;
    if (m->dial_due && !repl_status_final(m->status) && !dial(m, out)) return false;
    m->dial_due = false;
    return true;
}

bool repl_member_hang_up(struct repl *r, struct member *m, struct repl_actions *out)
{
    if (!m->hangup_due) return true;
    struct repl_action *a = repl_action_add(out, REPL_DO_HANGUP);
    if (a == NULL) return false;
    a->peer = m->name;
    m->hangup_due = false;
    repl_member_link(r, m, false);
    return true;
}

void repl_member_link(struct repl *r, struct member *m, bool up)
{
    if (m->linked != up) r->linked_count += up ? 1 : (size_t)-1;
    m->linked = up;
    m->notes_all = up;
    m->heartbeat_at = r->now;
    if (!up) repl_sync_link_down(m);
    r->scan = true;
}
