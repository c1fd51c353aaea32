/* overlay: who is linked with whom, and who observes whom: the same answer at every node that knows the same members.
 *
 * The names are put on REPL_RINGS rings, each in the order of another hash; a node's neighbours are the two next to it
 * on each ring. So the links are symmetric, a join or an eviction moves few of them, and the graph, a union of random
 * circles, is a few links wide however many nodes there are. Up to REPL_MESH_MAX nodes all are linked with all, and the
 * rings only say who passes news on. Neighbours on the first REPL_OBSERVE_RINGS rings observe each other.
 *
 * Two nodes that cannot be dialled cannot be linked. Such a node's neighbours are the next ones on either side that can
 * be dialled; these have it as a neighbour beside those of their own kind. So the rings stay whole, and a node bears
 * more links only where few can be dialled. A node is observed by the nearest on either side that can be linked to it.
 *
 * The dead keep their places: links do not follow the weather. Who left or is evicted has none. */
#include "node/repl/rooms.h"

struct place {
    const struct node_name *name;
    const struct member *member; /* NULL: ourselves, or nobody as long as name is NULL */
    uint64_t at;
};

static int place_cmp(uint64_t at, const struct node_name *name, const struct place *p)
{
    if (at != p->at) return at < p->at ? -1 : 1;
    return memcmp(name, p->name, sizeof *name);
}

/* x lies before than best, seen from centre on, clockwise. */
static bool closer(const struct place *x, const struct place *best, const struct place *centre)
{
    if (best->name == NULL) return true;
    bool x_wraps = place_cmp(x->at, x->name, centre) < 0;
    bool best_wraps = place_cmp(best->at, best->name, centre) < 0;
    if (x_wraps != best_wraps) return best_wraps;
    return place_cmp(x->at, x->name, best) < 0;
}

static bool farther(const struct place *x, const struct place *best, const struct place *centre)
{
    return best->name == NULL || !closer(x, best, centre);
}

static void look_at(const struct place *x, const struct place *centre, struct place best[2])
{
    if (closer(x, &best[0], centre)) best[0] = *x;
    if (farther(x, &best[1], centre)) best[1] = *x;
}

static struct place place_of(const struct repl *r, const struct member *m, uint64_t ring)
{
    const struct node_name *name = m != NULL ? &m->name : &r->self;
    return (struct place){name, m, repl_name_hash(name, REPL_ROOT_LEN + ring)};
}

/* The two next to centre (NULL: ourselves) on one ring: of those that can be dialled, or of all that can be linked with
 * it. */
static void neighbours(const struct repl *r, const struct member *centre, uint64_t ring, bool dialled_only,
                       struct place best[2])
{
    struct place at = place_of(r, centre, ring);
    dialled_only = dialled_only || !repl_dialled(r, centre);
    best[0] = best[1] = (struct place){0};
    if (centre != NULL && !repl_status_final(r->self_status) && (!dialled_only || repl_dialled(r, NULL))) {
        struct place self = place_of(r, NULL, ring);
        look_at(&self, &at, best);
    }
    for (size_t i = 0; i < r->members.count; i++) {
        const struct member *m = r->members.items[i];
        if (repl_status_final(m->status) || m == centre || (dialled_only && !repl_dialled(r, m))) continue;
        struct place place = place_of(r, m, ring);
        look_at(&place, &at, best);
    }
}

static size_t present(const struct repl *r)
{
    size_t n = 1;
    for (size_t i = 0; i < r->members.count; i++)
        n += repl_status_final(r->members.items[i]->status) ? 0 : 1;
    return n;
}

static size_t add_once(const struct member **out, size_t count, const struct member *m)
{
    for (size_t i = 0; i < count; i++) {
        if (out[i] == m) return count;
    }
    out[count] = m;
    return count + 1;
}

size_t repl_overlay_observers(const struct repl *r, const struct member *m, const struct member **out)
{
    size_t count = 0;
    if (present(r) <= REPL_OBSERVE_ALL) {
        if (!repl_status_final(r->self_status) && repl_linkable(r, NULL, m)) count = add_once(out, count, NULL);
        for (size_t i = 0; i < r->members.count; i++) {
            const struct member *o = r->members.items[i];
            if (o != m && !repl_status_final(o->status) && repl_linkable(r, o, m)) count = add_once(out, count, o);
        }
        return count;
    }
    for (uint64_t ring = 0; ring < REPL_OBSERVE_RINGS; ring++) {
        struct place best[2];
        neighbours(r, m, ring, false, best);
        for (size_t i = 0; i < 2; i++) {
            if (best[i].name != NULL) count = add_once(out, count, best[i].member);
        }
    }
    return count;
}

/* ---- our own links ---- */

static bool want(struct repl *r, struct member *m, bool ring, bool observed)
{
    if (repl_member_peer(r, m) != ERR_OK) return false;
    struct peer *p = m->peer;
    if (!p->wanted && !p->linked) m->dial_due = m->address != NULL || !repl_dialled(r, m);
    if (m->dial_due) r->members.records_due = true;
    if (observed && !p->observed) p->silent_from = r->now;
    p->wanted = true;
    p->ring = p->ring || ring;
    p->observed = p->observed || observed;
    p->observe_kept = p->observe_kept || observed;
    return true;
}

static bool want_place(struct repl *r, const struct place *x, bool observed)
{
    struct member *m = x->name != NULL ? repl_member_find(r, x->name) : NULL;
    return m == NULL || want(r, m, true, observed);
}

/* Between the two that can be dialled and stand next to us there are those that cannot: they are ours. */
static bool want_undialled(struct repl *r, uint64_t ring, const struct place dialled[2])
{
    struct place self = place_of(r, NULL, ring);
    for (size_t i = 0; i < r->members.count; i++) {
        struct member *m = r->members.items[i];
        if (repl_status_final(m->status) || repl_dialled(r, m)) continue;
        struct place x = place_of(r, m, ring);
        bool ours = closer(&x, &dialled[0], &self) || farther(&x, &dialled[1], &self);
        if (ours && !want(r, m, true, ring < REPL_OBSERVE_RINGS)) return false;
    }
    return true;
}

static bool want_ring(struct repl *r, uint64_t ring, bool all_dialled)
{
    struct place dialled[2];
    struct place next[2];
    neighbours(r, NULL, ring, true, dialled);
    memcpy(next, dialled, sizeof next);
    if (!all_dialled) neighbours(r, NULL, ring, false, next);
    for (size_t i = 0; i < 2; i++) {
        bool observed = ring < REPL_OBSERVE_RINGS && dialled[i].member == next[i].member;
        if (!want_place(r, &dialled[i], observed)) return false;
    }
    return all_dialled || !repl_dialled(r, NULL) || want_undialled(r, ring, dialled);
}

/* Takes the marks of the earlier overlay off; what stays wanted is not dialled again. */
static void mark_all(struct repl *r, bool everybody)
{
    struct members *ms = &r->members;
    for (size_t i = 0; i < ms->peers.count; i++) {
        struct peer *p = ms->peers.items[i]->peer;
        p->ring = p->observe_kept = false;
        p->wanted = p->wanted && everybody && !repl_status_final(ms->peers.items[i]->status) &&
                    repl_linkable(r, NULL, ms->peers.items[i]);
    }
}

static bool all_dialled(const struct repl *r)
{
    for (size_t i = 0; i < r->members.count; i++) {
        if (!repl_dialled(r, r->members.items[i])) return false;
    }
    return repl_dialled(r, NULL);
}

static bool choose(struct repl *r)
{
    struct members *ms = &r->members;
    size_t n = present(r);
    bool all = all_dialled(r);
    ms->overlay = n > REPL_MESH_MAX;
    mark_all(r, !ms->overlay);
    for (size_t i = 0; i < ms->count && !ms->overlay; i++) {
        if (repl_status_final(ms->items[i]->status) || !repl_linkable(r, NULL, ms->items[i])) continue;
        if (!want(r, ms->items[i], n <= REPL_RING_ALL, n <= REPL_OBSERVE_ALL)) return false;
    }
    for (uint64_t ring = 0; ring < REPL_RINGS; ring++) {
        if (!want_ring(r, ring, all)) return false;
    }
    return true;
}

/* Whom we observe, and who observes us, is who was wanted so now. */
static void settle_observed(struct repl *r)
{
    struct members *ms = &r->members;
    ms->far_count = 0;
    for (size_t i = 0; i < ms->peers.count; i++) {
        const struct member *m = ms->peers.items[i];
        m->peer->observed = m->peer->observe_kept;
        if (m->peer->wanted && !m->peer->ring) ms->far_count++;
    }
}

bool repl_overlay_flush(struct repl *r)
{
    struct members *ms = &r->members;
    if (!ms->overlay_due) return true;
    if (!choose(r)) return false;
    settle_observed(r);
    ms->overlay_due = false;
    ms->generation++;
    return true;
}

void repl_overlay_trim(struct repl *r, struct member *m)
{
    struct peer *p = m->peer;
    if (!r->members.overlay || !p->linked || p->wanted) return;
    struct mono end = mono_add_ms(p->linked_at, REPL_KEEP_MS);
    if (mono_reached(r->now, end)) {
        p->hangup_due = true;
    } else {
        repl_wake(r, end);
    }
}
