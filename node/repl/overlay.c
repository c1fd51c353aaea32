/* overlay: who is linked with whom, and who observes whom: the same answer at every node that knows the same members.
 *
 * The names are put on REPL_RINGS rings, each in the order of another hash; a node's neighbours are the two next to it
 * on each ring. So the links are symmetric, a join or an eviction moves few of them, and the graph, a union of random
 * circles, is a few links wide however many nodes there are. Up to REPL_MESH_MAX nodes all are linked with all, and the
 * rings only say who passes news on. Neighbours on the first REPL_OBSERVE_RINGS rings observe each other.
 *
 * The dead keep their places: links do not follow the weather. Who left or is evicted has none. */
#include "node/repl/core.h"

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

/* The two next to name on one ring. */
static void neighbours(const struct repl *r, const struct node_name *name, uint64_t ring, struct place best[2])
{
    struct place centre = {name, NULL, repl_name_hash(name, REPL_ROOT_LEN + ring)};
    best[0] = best[1] = (struct place){0};
    if (!node_name_eq(name, &r->self) && !repl_status_final(r->self_status)) {
        look_at(&(struct place){&r->self, NULL, repl_name_hash(&r->self, REPL_ROOT_LEN + ring)}, &centre, best);
    }
    for (size_t i = 0; i < r->members.count; i++) {
        const struct member *m = r->members.items[i];
        if (repl_status_final(m->status) || node_name_eq(&m->name, name)) continue;
        look_at(&(struct place){&m->name, m, repl_name_hash(&m->name, REPL_ROOT_LEN + ring)}, &centre, best);
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
        if (!repl_status_final(r->self_status)) count = add_once(out, count, NULL);
        for (size_t i = 0; i < r->members.count; i++) {
            const struct member *o = r->members.items[i];
            if (o != m && !repl_status_final(o->status)) count = add_once(out, count, o);
        }
        return count;
    }
    for (uint64_t ring = 0; ring < REPL_OBSERVE_RINGS; ring++) {
        struct place best[2];
        neighbours(r, &m->name, ring, best);
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
    if (!p->wanted && !p->linked) m->dial_due = m->address != NULL;
    if (m->dial_due) r->members.records_due = true;
    if (observed && !p->observed) p->silent_from = r->now;
    p->wanted = true;
    p->ring = p->ring || ring;
    p->observed = p->observed || observed;
    return true;
}

static bool want_ring(struct repl *r, uint64_t ring)
{
    struct place best[2];
    neighbours(r, &r->self, ring, best);
    for (size_t i = 0; i < 2; i++) {
        struct member *m = best[i].name != NULL ? repl_member_find(r, best[i].name) : NULL;
        if (m != NULL && !want(r, m, true, ring < REPL_OBSERVE_RINGS)) return false;
    }
    return true;
}

/* Takes the marks of the earlier overlay off; what stays wanted is not dialled again. */
static void mark_all(struct repl *r, bool everybody)
{
    struct members *ms = &r->members;
    for (size_t i = 0; i < ms->peers.count; i++) {
        struct peer *p = ms->peers.items[i]->peer;
        p->ring = false;
        p->wanted = p->wanted && everybody && !repl_status_final(ms->peers.items[i]->status);
    }
}

static bool choose(struct repl *r)
{
    struct members *ms = &r->members;
    size_t n = present(r);
    ms->overlay = n > REPL_MESH_MAX;
    mark_all(r, !ms->overlay);
    for (size_t i = 0; i < ms->count && !ms->overlay; i++) {
        if (repl_status_final(ms->items[i]->status)) continue;
        if (!want(r, ms->items[i], n <= REPL_RING_ALL, n <= REPL_OBSERVE_ALL)) return false;
    }
    for (uint64_t ring = 0; ring < REPL_RINGS; ring++) {
        if (!want_ring(r, ring)) return false;
    }
    return true;
}

/* Who observes us is who is on the rings now. */
static void settle_observed(struct repl *r)
{
    struct members *ms = &r->members;
    bool all = present(r) <= REPL_OBSERVE_ALL;
    struct place best[2 * REPL_OBSERVE_RINGS];
    for (uint64_t ring = 0; ring < REPL_OBSERVE_RINGS; ring++)
        neighbours(r, &r->self, ring, &best[2 * ring]);
    ms->far_count = 0;
    for (size_t i = 0; i < ms->peers.count; i++) {
        const struct member *m = ms->peers.items[i];
        bool observed = all && !repl_status_final(m->status);
        for (size_t k = 0; k < 2 * REPL_OBSERVE_RINGS; k++)
            observed = observed || (best[k].name != NULL && best[k].member == m);
        m->peer->observed = observed;
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
