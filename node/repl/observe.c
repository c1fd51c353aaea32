/* observe: from silence to death.
 *
 *   heard, then silent 1.25 s   asked for a sign of life, again and again
 *   silent 2.5 s                SUSPECT; unless we are the one cut off, everybody is told: an accusation
 *   silent 2.05 s, accused      the same: an accusation is joined by who has asked in vain as well
 *   most observers accuse it    and 200 ms later nobody has refuted it: DEAD
 *
 * Accusations pass from neighbour to neighbour, and every node counts them by itself: it knows from the overlay who
 * observes whom. Observers that are dead or doubted themselves do not count. The accused refutes with a higher
 * incarnation, which ends every accusation of a lower one. Who is told of a death believes it, unless it hears the dead
 * itself. Loss of messages alone does not kill: within the time of silence lie many questions and answers, over several
 * observers' links.
 *
 * Where two nodes cannot be linked, since neither can be dialled, each knows the other by the words of those that can
 * be dialled. When none of these is heard, such a node is suspect until somebody speaks again: hidden. So it does not
 * count as an observer either, whose word could not reach us.
 *
 * A node that most of its observed fall silent to at once is the one cut off: it accuses nobody, until it hears most of
 * them again. */
#include "node/repl/rooms.h"

#include <stdlib.h>

static bool silent_for(const struct repl *r, const struct peer *p, uint64_t ms)
{
    return mono_reached(r->now, mono_add_ms(p->silent_from, ms));
}

bool repl_isolated(const struct repl *r)
{
    return r->members.cut_off;
}

/* Sets in by what fell silent at once; ends by what is silent still. */
static void look_at_ourselves(struct repl *r)
{
    struct members *ms = &r->members;
    size_t present = 0;
    size_t silent = 0;
    ms->dialled_heard = false;
    for (size_t i = 0; i < ms->peers.count; i++) {
        const struct member *m = ms->peers.items[i];
        const struct peer *p = m->peer;
        if (repl_dialled(r, m) && repl_member_audible(r, m)) ms->dialled_heard = true;
        if (!p->observed || repl_status_final(m->status)) continue;
        bool lately = !silent_for(r, p, REPL_AT_ONCE_MS);
        if (m->status == MEMBER_DEAD && (p->heard.us == 0 || !lately || ms->cut_off)) continue;
        if (!ms->cut_off && !lately) continue;
        present++;
        silent += silent_for(r, p, REPL_SILENT_MS) ? 1 : 0;
    }
    ms->cut_off = present >= 2 && silent * 2 > present;
}

/* Those whom we know only by others' words. */
static void look_at_hidden(struct repl *r)
{
    struct members *ms = &r->members;
    for (size_t i = 0; !repl_dialled(r, NULL) && i < ms->count; i++) {
        struct member *m = ms->items[i];
        if (repl_dialled(r, m) || repl_member_audible(r, m)) continue;
        if (!ms->dialled_heard && m->status == MEMBER_ALIVE) {
            m->hidden = repl_member_move(r, m, MEMBER_SUSPECT);
        } else if (ms->dialled_heard && m->hidden) {
            m->hidden = false;
            if (m->status == MEMBER_SUSPECT && m->doubt == NULL) (void)repl_member_move(r, m, MEMBER_ALIVE);
        }
    }
}

uint64_t repl_observe_patience_ms(const struct member *m)
{
    return m->doubt != NULL && m->doubt->by_count > 0 ? REPL_CONFIRM_MS : REPL_SUSPECT_MS;
}

/* ---- accusations ---- */

static bool accuses(const struct doubt *d, const struct member *by)
{
    for (size_t i = 0; i < d->by_count; i++) {
        if (d->by[i] == by) return true;
    }
    return false;
}

static bool observes(const struct doubt *d, const struct member *by)
{
    for (size_t i = 0; i < d->observer_count; i++) {
        if (d->observers[i] == by) return true;
    }
    return false;
}

/* Who may accuse follows the overlay. */
static void refresh(const struct repl *r, const struct member *m, struct doubt *d)
{
    if (d->generation == r->members.generation && d->observer_count > 0) return;
    d->generation = r->members.generation;
    d->observer_count = repl_overlay_observers(r, m, d->observers);
    size_t kept = 0;
    for (size_t i = 0; i < d->by_count; i++) {
        if (!observes(d, d->by[i])) continue;
        d->by[kept] = d->by[i];
        d->told_until[kept++] = d->told_until[i];
    }
    d->by_count = kept;
}

static enum err accuse(struct repl *r, struct member *m, const struct member *by)
{
    struct doubt *d = m->doubt;
    if (d == NULL) {
        d = calloc(1, sizeof *d);
        if (d == NULL) return ERR_NOMEM;
        if (!repl_list_add(&r->members.doubts, m)) {
            free(d);
            return ERR_NOMEM;
        }
        m->doubt = d;
    }
    refresh(r, m, d);
    if (!observes(d, by)) {
        repl_count(r, REPL_COUNT_accusations_ignored, 1);
        return ERR_OK;
    }
    if (accuses(d, by)) return ERR_OK;
    d->by[d->by_count] = by;
    d->told_until[d->by_count++] = mono_add_ms(r->now, REPL_NOTE_MS);
    repl_member_tell(r);
    if (!repl_member_audible(r, m)) (void)repl_member_move(r, m, MEMBER_SUSPECT);
    r->scan = true;
    return ERR_OK;
}

void repl_observe_clear(struct repl *r, struct member *m)
{
    if (m->doubt == NULL) return;
    struct member_list *l = &r->members.doubts;
    for (size_t i = 0; i < l->count; i++) {
        if (l->items[i] == m) l->items[i--] = l->items[--l->count];
    }
    free(m->doubt);
    m->doubt = NULL;
}

enum err repl_observe_take(struct repl *r, const struct repl_accusation *a)
{
    if (node_name_eq(&a->name, &r->self)) {
        if (a->incarnation >= r->incarnation) repl_member_refute(r, a->incarnation);
        return ERR_OK;
    }
    struct member *m = repl_member_find(r, &a->name);
    const struct member *by = repl_member_find(r, &a->by);
    bool stale = m == NULL || by == NULL || a->incarnation < m->incarnation;
    if (stale || repl_status_final(m->status) || m->status == MEMBER_DEAD) return ERR_OK;
    return accuse(r, m, by);
}

/* ---- silence ---- */

/* Whether we are one of those who judge m. */
static bool is_observer(const struct repl *r, const struct member *m)
{
    const struct member *observers[REPL_OBSERVERS_MAX];
    size_t count = repl_overlay_observers(r, m, observers);
    for (size_t i = 0; i < count; i++) {
        if (observers[i] == NULL) return true;
    }
    return false;
}

/* Wakes are for what is still to come: one that is past would have us looked at for ever. */
static enum err watch(struct repl *r, struct member *m)
{
    struct peer *p = m->peer;
    if (!p->observed || repl_status_final(m->status)) return ERR_OK;
    if (m->status == MEMBER_DEAD) return ERR_OK;
    if (!silent_for(r, p, REPL_PROBE_AFTER_MS)) {
        repl_wake(r, mono_add_ms(p->silent_from, REPL_PROBE_AFTER_MS));
    } else if (p->linked) {
        p->heartbeat_at = mono_min(p->heartbeat_at, mono_add_ms(r->now, REPL_PROBE_MS));
    }
    uint64_t patience_ms = repl_observe_patience_ms(m);
    if (!silent_for(r, p, patience_ms)) {
        repl_wake(r, mono_add_ms(p->silent_from, patience_ms));
        return ERR_OK;
    }
    (void)repl_member_move(r, m, MEMBER_SUSPECT);
    if (r->members.cut_off || (m->doubt != NULL && accuses(m->doubt, NULL))) return ERR_OK;
    if (!is_observer(r, m)) return ERR_OK; /* it observes us; its other neighbours observe it */
    repl_count(r, REPL_COUNT_accusations_made, 1);
    return accuse(r, m, NULL);
}

/* Those that can be expected to know. */
static bool counts(const struct repl *r, const struct member *observer)
{
    return observer == NULL ? !r->members.cut_off : observer->status == MEMBER_ALIVE;
}

static bool majority(const struct repl *r, const struct doubt *d)
{
    size_t votes = 0;
    size_t voters = 0;
    for (size_t i = 0; i < d->observer_count; i++) {
        if (!counts(r, d->observers[i])) continue;
        voters++;
        votes += accuses(d, d->observers[i]) ? 1 : 0;
    }
    return votes * 2 > voters;
}

/* True: m died, and its doubt with it. */
static bool judge(struct repl *r, struct member *m)
{
    struct doubt *d = m->doubt;
    refresh(r, m, d);
    if (repl_member_audible(r, m) || !majority(r, d)) {
        d->dead_at = (struct mono){0};
        return false;
    }
    if (d->dead_at.us == 0) d->dead_at = mono_add_ms(r->now, REPL_GRACE_MS);
    if (!mono_reached(r->now, d->dead_at)) {
        repl_wake(r, d->dead_at);
        return false;
    }
    (void)repl_member_move(r, m, MEMBER_DEAD);
    return true;
}

bool repl_observe_flush(struct repl *r)
{
    struct members *ms = &r->members;
    look_at_ourselves(r);
    look_at_hidden(r);
    for (size_t i = 0; i < ms->peers.count; i++) {
        if (watch(r, ms->peers.items[i]) != ERR_OK) return false;
    }
    for (size_t i = 0; i < ms->doubts.count;) {
        if (!judge(r, ms->doubts.items[i])) i++;
    }
    return true;
}
