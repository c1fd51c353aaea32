/* member: who is in the cluster and how each does, as this node sees it.
 *
 *            heard, or refuted       accused          most accuse it
 *   any ---------------------> ALIVE -------> SUSPECT --------------> DEAD
 *                                ^            ^-- a later life, which --+
 *                                |                the teller doubts     |
 *                                +---------- heard, or refuted ---------+
 *   any but EVICTED -> LEFT (it said so);  any -> EVICTED (the operator said so). Both spread by notes, and are final
 *   for the certificates that were issued until then: with a later one (a new invitation) the name is ALIVE again.
 *
 * What changes is news: it is told to the neighbours on the rings soon, and by every heartbeat for a while; who learns
 * something new from it tells it on. What was missed all the same shows in the table's root, see heartbeat.c. A member
 * is never forgotten. What this room does not do: decide about silence (observe.c); dial and hang up; it says that it
 * should be done. */
#include "node/repl/rooms.h"

#include <stdlib.h>

/* The table above: allowed[from] has a bit for each status that may follow. */
#define BIT(s) (1u << (s))
static const unsigned allowed[] = {
    [MEMBER_ALIVE] = BIT(MEMBER_SUSPECT) | BIT(MEMBER_DEAD) | BIT(MEMBER_LEFT) | BIT(MEMBER_EVICTED),
    [MEMBER_SUSPECT] = BIT(MEMBER_ALIVE) | BIT(MEMBER_DEAD) | BIT(MEMBER_LEFT) | BIT(MEMBER_EVICTED),
    [MEMBER_DEAD] = BIT(MEMBER_ALIVE) | BIT(MEMBER_SUSPECT) | BIT(MEMBER_LEFT) | BIT(MEMBER_EVICTED),
    [MEMBER_LEFT] = BIT(MEMBER_EVICTED) | BIT(MEMBER_ALIVE),
    [MEMBER_EVICTED] = BIT(MEMBER_ALIVE),
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

bool repl_list_add(struct member_list *l, struct member *m)
{
    if (l->count == l->cap) {
        size_t cap = l->cap == 0 ? 8 : l->cap * 2;
        struct member **grown = realloc(l->items, cap * sizeof(struct member *));
        if (grown == NULL) return false;
        l->items = grown;
        l->cap = cap;
    }
    l->items[l->count++] = m;
    return true;
}

/* ---- the table's root ---- */

static uint64_t print_of(const struct node_name *name, uint64_t incarnation, enum member_status status, uint64_t issued,
                         uint64_t barred)
{
    uint64_t h = repl_name_hash(name, 0);
    if (barred != 0) h = repl_hash_with(h, 2 * barred + (issued > barred ? 1 : 0));
    if (repl_status_final(status)) return repl_hash_with(h, (uint64_t)status);
    return repl_hash_with(repl_hash_with(h, incarnation), status == MEMBER_DEAD ? 1 : 0);
}

/* Of the list of names, and who is gone for good. */
static uint64_t who_print_of(const struct node_name *name, enum member_status status)
{
    return repl_hash_with(repl_name_hash(name, 1), repl_status_final(status) ? 1 : 0);
}

static uint64_t who_print(const struct member *m)
{
    return who_print_of(&m->name, m->status);
}

static uint64_t print(const struct member *m)
{
    return print_of(&m->name, m->incarnation, m->status, m->issued, m->barred);
}

static void table_changed(struct repl *r, uint64_t before, uint64_t after)
{
    if (before == after) return;
    r->members.root += after - before;
    r->members.changed_at = r->now;
}

uint64_t repl_member_root(const struct repl *r)
{
    uint64_t root = r->members.root + print_of(&r->self, r->incarnation, r->self_status, r->issued, r->barred);
    return root != 0 ? root : 1;
}

uint64_t repl_member_who_root(const struct repl *r)
{
    return r->members.who_root + who_print_of(&r->self, r->self_status);
}

/* ---- news ---- */

void repl_member_tell(struct repl *r)
{
    r->members.tell_at = mono_min(r->members.tell_at, mono_add_ms(r->now, REPL_TELL_MS));
    r->scan = true;
}

/* It is recorded by the driver, and spoken of for a while. Without memory the table's root tells. */
static void changed(struct repl *r, struct member *m)
{
    m->record_due = r->members.records_due = true;
    m->spoken_until = mono_add_ms(r->now, REPL_NOTE_MS);
    if (!m->in_news) m->in_news = repl_list_add(&r->members.news, m);
    repl_member_tell(r);
}

/* ---- members ---- */

bool repl_dialled(const struct repl *r, const struct member *m)
{
    if (m == NULL) return r->address[0] != '\0';
    return m->address != NULL || m->incarnation == 0;
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
    m->since = r->started ? r->wall : (struct wall){0};
    size_t at = lower_bound(ms, name);
    memmove(&ms->items[at + 1], &ms->items[at], (ms->count - at) * sizeof(struct member *));
    ms->items[at] = m;
    ms->count++;
    ms->overlay_due = true;
    table_changed(r, 0, print(m));
    ms->who_root += who_print(m);
    if (r->started) changed(r, m);
    r->scan = true;
    *out = m;
    return ERR_OK;
}

enum err repl_member_peer(struct repl *r, struct member *m)
{
    struct member_list *l = &r->members.peers;
    if (m->peer != NULL) return ERR_OK;
    struct peer *p = calloc(1, sizeof *p);
    if (p == NULL || !repl_list_add(l, m)) {
        free(p);
        return ERR_NOMEM;
    }
    p->silent_from = r->now;
    m->peer = p;
    size_t at = l->count - 1;
    for (; at > 0 && memcmp(&l->items[at - 1]->name, &m->name, sizeof m->name) > 0; at--)
        l->items[at] = l->items[at - 1];
    l->items[at] = m;
    r->scan = true;
    return ERR_OK;
}

void repl_members_fini(struct repl *r)
{
    struct members *ms = &r->members;
    for (size_t i = 0; i < ms->count; i++) {
        struct member *m = ms->items[i];
        free(m->address);
        free(m->site);
        free(m->peer);
        free(m->doubt);
        free(m);
    }
    free(ms->items);
    free(ms->peers.items);
    free(ms->news.items);
    free(ms->doubts.items);
}

bool repl_member_move(struct repl *r, struct member *m, enum member_status to)
{
    if (m->status == to) return true;
    if ((allowed[m->status] & BIT(to)) == 0) return false;
    if (repl_status_final(m->status) && to == MEMBER_ALIVE && member_is_barred(m->issued, m->barred)) return false;
    uint64_t before = print(m);
    r->members.who_root -= who_print(m);
    m->status = to;
    r->members.who_root += who_print(m);
    /* One that was alive when we ended, and is, has been since then. */
    if (!m->presumed || to != MEMBER_ALIVE || m->since.ms == 0) m->since = r->wall;
    m->presumed = false;
    table_changed(r, before, print(m));
    if (to != MEMBER_SUSPECT) repl_observe_clear(r, m);
    if (to == MEMBER_DEAD) repl_count(r, REPL_COUNT_deaths_told, 1);
    if (repl_status_final(to)) {
        r->members.overlay_due = true;
        if (m->peer != NULL) {
            m->peer->hangup_due = true;
            m->peer->heartbeat_at = r->now; /* the last one tells it why */
        }
    }
    changed(r, m);
    return true;
}

uint64_t repl_bar_now(const struct repl *r, uint64_t issued)
{
    uint64_t now = r->wall.ms > 0 ? (uint64_t)r->wall.ms / 1000 : 0;
    return now > issued ? now : issued > 0 ? issued : 1;
}

/* Its machine may be another one, with a clock of its own: any note of it counts as newer. */
static void come_back(struct repl *r, struct member *m)
{
    uint64_t before = print(m);
    m->incarnation = 0;
    table_changed(r, before, print(m));
    if (m->peer != NULL) m->peer->silent_from = r->now;
    (void)repl_member_move(r, m, MEMBER_ALIVE);
    r->members.overlay_due = true;
    r->scan = true;
}

void repl_member_papers(struct repl *r, struct member *m, uint64_t issued, uint64_t barred)
{
    if (issued <= m->issued && barred <= m->barred) return;
    uint64_t before = print(m);
    if (issued > m->issued) m->issued = issued;
    if (barred > m->barred) m->barred = barred;
    table_changed(r, before, print(m));
    changed(r, m);
    if (repl_status_final(m->status) && !member_is_barred(m->issued, m->barred)) come_back(r, m);
}

bool repl_member_audible(const struct repl *r, const struct member *m)
{
    const struct peer *p = m->peer;
    return p != NULL && p->heard.us != 0 &&
           !mono_reached(r->now, mono_add_ms(p->silent_from, repl_observe_patience_ms(m)));
}

void repl_member_heard(struct repl *r, struct member *m)
{
    struct peer *p = m->peer;
    /* Others were told, or may have been: it is to refute what it may not have heard of. */
    if (m->status == MEMBER_DEAD || m->doubt != NULL) {
        p->doubted = true;
        p->doubted_incarnation = m->incarnation;
    }
    p->heard = p->silent_from = r->now;
    (void)repl_member_move(r, m, MEMBER_ALIVE); /* the caller has refused those that are gone for good */
}

bool repl_all_have_spoken(const struct repl *r)
{
    if (r->joins) return false; /* there are some, and we do not know them yet: this disk may be any */
    if (r->members.overlay_due) return r->members.count == 0;
    for (size_t i = 0; i < r->members.peers.count; i++) {
        const struct member *m = r->members.peers.items[i];
        if (m->peer->wanted && !m->peer->spoken && !repl_status_final(m->status)) return false;
    }
    return true;
}

/* ---- notes ---- */

void repl_member_set_text(char *to, size_t size, struct slice text)
{
    ASSERT(text.n < size);
    memset(to, 0, size);
    if (text.n > 0) memcpy(to, text.p, text.n);
}

static enum err set_text(char **to, struct slice text)
{
    char *copy = NULL;
    if (text.n > 0) {
        copy = calloc(1, text.n + 1);
        if (copy == NULL) return ERR_NOMEM;
        memcpy(copy, text.p, text.n);
    }
    free(*to);
    *to = copy;
    return ERR_OK;
}

static enum err take_texts(struct repl *r, struct member *m, const struct member_note *note)
{
    if (!slice_eq(note->mesh_address, repl_member_text(m->address))) {
        enum err e = set_text(&m->address, note->mesh_address);
        if (e != ERR_OK) return e;
        m->dial_due = true; /* the overlay, chosen before, has the last word */
        changed(r, m);
    }
    if (!slice_eq(note->site, repl_member_text(m->site))) {
        enum err e = set_text(&m->site, note->site);
        if (e != ERR_OK) return e;
        changed(r, m);
    }
    return ERR_OK;
}

/* The texts first: without memory for them the note is new when it comes again. */
static enum err take_all(struct repl *r, struct member *m, const struct member_note *note)
{
    enum err e = take_texts(r, m, note);
    if (e != ERR_OK || note->incarnation <= m->incarnation) return e;
    uint64_t before = print(m);
    m->incarnation = note->incarnation;
    table_changed(r, before, print(m));
    repl_receive_forget_held(r, &m->name);
    repl_observe_clear(r, m);
    if (m->peer != NULL && m->peer->doubted_incarnation < m->incarnation) m->peer->doubted = false;
    changed(r, m);
    return ERR_OK;
}

/* Who can be linked with it may be others now. */
static enum err take_place(struct repl *r, struct member *m, const struct member_note *note)
{
    bool dialled = repl_dialled(r, m);
    enum err e = take_all(r, m, note);
    if (dialled != repl_dialled(r, m)) r->members.overlay_due = r->scan = true;
    return e;
}

enum err repl_member_load(struct repl *r, struct member *m, const struct member_note *note)
{
    uint64_t before = print(m);
    enum err e = set_text(&m->address, note->mesh_address);
    if (e == ERR_OK) e = set_text(&m->site, note->site);
    m->incarnation = note->incarnation;
    r->members.who_root -= who_print(m);
    m->status = note->status;
    r->members.who_root += who_print(m);
    m->issued = note->issued;
    m->barred = note->barred;
    m->since = note->since;
    if (repl_status_final(m->status) && m->barred == 0) m->barred = repl_bar_now(r, m->issued);
    table_changed(r, before, print(m));
    return e;
}

/* What is above the bound nobody would take: whoever was said to be at it stays there, and lives by being heard. */
static uint64_t above(uint64_t incarnation)
{
    return incarnation < REPL_COUNT_MAX ? incarnation + 1 : REPL_COUNT_MAX;
}

void repl_member_refute(struct repl *r, uint64_t incarnation)
{
    r->incarnation = above(incarnation);
    r->self_spoken_until = mono_add_ms(r->now, REPL_NOTE_MS);
    r->members.changed_at = r->now;
    repl_count(r, REPL_COUNT_accusations_refuted, 1);
    repl_heartbeat_all_now(r);
}

/* What is said of ourselves: an accusation is refuted by an incarnation above it; a final word is believed. */
static void take_self(struct repl *r, const struct member_note *note)
{
    if (note->barred > r->barred) r->barred = note->barred;
    if (repl_status_final(note->status)) {
        if (note->barred == 0 && r->barred == 0) r->barred = repl_bar_now(r, r->issued);
        if (!member_is_barred(r->issued, r->barred)) { /* that was our name's earlier certificate */
            r->self_spoken_until = mono_add_ms(r->now, REPL_NOTE_MS);
            return;
        }
        if (r->self_status == MEMBER_EVICTED || r->self_status == note->status) return;
        r->self_status = note->status;
        r->self_since = r->wall;
        r->self_record_due = true;
        r->self_spoken_until = mono_add_ms(r->now, REPL_NOTE_MS);
        r->members.overlay_due = true;
        r->scan = true;
        repl_alarm(r, ALARM_OUT,
                   "the cluster says that this node has %s; it takes no more changes. To come back, it needs a new "
                   "invitation (clusterctl node invite)",
                   note->status == MEMBER_LEFT ? "left" : "been evicted");
        return;
    }
    bool accused = note->status != MEMBER_ALIVE && note->incarnation >= r->incarnation;
    if (accused) {
        repl_member_refute(r, note->incarnation);
    } else if (note->incarnation > r->incarnation) {
        /* Above our own without an accusation: an earlier start had a clock that was ahead. */
        r->incarnation = above(note->incarnation);
        r->self_spoken_until = mono_add_ms(r->now, REPL_NOTE_MS);
    }
}

/* A death is believed unless we hear the dead. Then it is to refute what it may not hear of but from us. */
static void take_death(struct repl *r, struct member *m, const struct member_note *note)
{
    if (note->incarnation < m->incarnation) return;
    if (!repl_member_audible(r, m)) {
        (void)repl_member_move(r, m, MEMBER_DEAD);
        return;
    }
    m->peer->doubted = true;
    m->peer->doubted_incarnation = note->incarnation;
}

/* A higher incarnation is its own word that it lives, and its silence counts from now: but only from one who hears it
 * himself. Told by one who does not, the later life is as silent as the one before, and is judged like it. */
static void take_life(struct repl *r, struct member *m, const struct member_note *note, bool newer)
{
    if (note->status == MEMBER_DEAD) {
        take_death(r, m, note);
    } else if (newer && note->status == MEMBER_SUSPECT) {
        if (!repl_member_audible(r, m)) (void)repl_member_move(r, m, MEMBER_SUSPECT);
    } else if (newer) {
        if (m->peer != NULL) m->peer->silent_from = r->now;
        (void)repl_member_move(r, m, MEMBER_ALIVE);
    } else if (note->status == MEMBER_ALIVE && m->status == MEMBER_SUSPECT && m->doubt == NULL &&
               !(m->peer != NULL && m->peer->observed)) {
        (void)repl_member_move(r, m, MEMBER_ALIVE); /* suspect only because we had just started */
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
    /* First what needs no memory: one that has gone is not dialled. */
    uint64_t barred = note->barred;
    if (repl_status_final(note->status) && barred == 0 && m->barred == 0) barred = repl_bar_now(r, m->issued);
    repl_member_papers(r, m, note->issued, barred);
    if (repl_status_final(note->status) && member_is_barred(m->issued, m->barred)) {
        (void)repl_member_move(r, m, note->status);
    } else if (repl_status_final(note->status)) {
        return ERR_OK; /* of its earlier certificate: its address may be as old */
    }
    /* A member whose address is not known yet may be told of by anybody; else the newer incarnation is right. */
    bool newer = note->incarnation > m->incarnation;
    if (newer || m->incarnation == 0) {
        enum err e = take_place(r, m, note);
        if (e != ERR_OK) return e;
    }
    if (!repl_status_final(m->status)) take_life(r, m, note, newer);
    return ERR_OK;
}

/* ---- what is due ---- */

static bool record(const struct member *m, struct repl_actions *out)
{
    struct slice address = arena_copy(&out->arena, repl_member_text(m->address));
    struct slice site = arena_copy(&out->arena, repl_member_text(m->site));
    struct repl_action *a = address.p != NULL && site.p != NULL ? repl_action_add(out, REPL_DO_MEMBER) : NULL;
    if (a == NULL) return false;
    a->peer = m->name;
    a->member = (struct member_note){.name = m->name,
                                     .incarnation = m->incarnation,
                                     .status = m->status,
                                     .mesh_address = address,
                                     .site = site,
                                     .issued = m->issued,
                                     .barred = m->barred,
                                     .since = m->since};
    return true;
}

static bool dial(const struct member *m, struct repl_actions *out)
{
    struct slice address = arena_copy(&out->arena, repl_member_text(m->address));
    struct repl_action *a = address.p != NULL ? repl_action_add(out, REPL_DO_DIAL) : NULL;
    if (a == NULL) return false;
    a->peer = m->name;
    a->address = address;
    return true;
}

bool repl_members_record(struct repl *r, struct repl_actions *out)
{
    struct members *ms = &r->members;
    for (size_t i = 0; ms->records_due && i < ms->count; i++) {
        struct member *m = ms->items[i];
        if (m->record_due && !record(m, out)) return false;
        m->record_due = false;
        bool wanted = m->peer != NULL && m->peer->wanted;
        if (m->dial_due && (wanted || m->address == NULL) && !dial(m, out)) return false;
        m->dial_due = false;
    }
    ms->records_due = false;
    return true;
}

bool repl_member_hang_up(struct repl *r, struct member *m, struct repl_actions *out)
{
    if (!m->peer->hangup_due) return true;
    struct repl_action *a = repl_action_add(out, REPL_DO_HANGUP);
    if (a == NULL) return false;
    a->peer = m->name;
    m->peer->hangup_due = false;
    repl_member_link(r, m, false);
    return true;
}

void repl_member_link(struct repl *r, struct member *m, bool up)
{
    struct peer *p = m->peer;
    if (p->linked != up) r->linked_count += up ? 1 : (size_t)-1;
    p->linked = up;
    p->linked_at = r->now;
    p->notes_all = up;
    p->notes_from = 0;
    p->steps_told = 0; /* it may be a new life, which knows nothing of what the one before was told */
    p->heartbeat_at = r->now;
    if (up) {
        p->leftover = r->last_id;
        repl_receive_forget_held(r, &m->name);
    } else {
        repl_sync_link_down(m);
    }
    r->scan = true;
}
