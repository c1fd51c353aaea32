/* snapshot: what a replica promises of floors and snapshots, as store/floor.c and store/snapshot.c do it. */
#include "tests/sim/world.h"

#include <stdlib.h>

#define PIECE_OBJECTS 5 /* of SIM_KEYS */
#define PIECE_CHANGES 4

static uint64_t high_in(const struct vector_entry *v, size_t count, const struct node_name *origin, uint64_t epoch)
{
    for (size_t i = 0; i < count; i++) {
        if (v[i].epoch == epoch && node_name_eq(&v[i].origin, origin)) return v[i].high;
    }
    return 0;
}

static bool tombstone(const struct sim_object *o)
{
    return o->stamp.time.v != 0 && o->value == 0;
}

uint64_t sim_store_tombstones(const struct sim_store *s)
{
    uint64_t n = 0;
    for (size_t i = 0; i < SIM_KEYS; i++)
        n += tombstone(&s->objects[i]);
    return n;
}

static void drop_tombstones(struct sim_store *s)
{
    for (size_t i = 0; i < SIM_KEYS; i++) {
        struct sim_object *o = &s->objects[i];
        if (tombstone(o) && o->stamp.time.v <= s->floor.v) *o = (struct sim_object){0};
    }
    s->revision++;
}

static void set_cut(struct sim_store *s, const struct vector_entry *cut, size_t count)
{
    struct vector_entry *copy = world_alloc(count + 1, sizeof *copy);
    if (count > 0) memcpy(copy, cut, count * sizeof *copy);
    free(s->cut);
    s->cut = copy;
    s->cut_count = count;
}

/* ---- floor ---- */

enum err sim_store_raise(struct sim_store *s, const struct vector_entry *v, size_t count)
{
    struct hlc newest = {0};
    for (size_t i = 0; i < s->log_count; i++) {
        const struct sim_log *l = &s->logs[i];
        if (high_in(v, count, &l->origin, l->epoch) != l->count) return ERR_CONFLICT;
    }
    for (size_t i = 0; i < SIM_KEYS; i++) {
        if (tombstone(&s->objects[i]) && s->objects[i].stamp.time.v > newest.v) newest = s->objects[i].stamp.time;
    }
    if (newest.v <= s->floor.v) return ERR_OK;
    s->floor = newest;
    set_cut(s, v, count);
    drop_tombstones(s);
    return ERR_OK;
}

void sim_store_raise_alone(struct sim_store *s)
{
    struct vector_entry *v = world_alloc(s->log_count + 1, sizeof *v);
    for (size_t i = 0; i < s->log_count; i++)
        v[i] = (struct vector_entry){s->logs[i].origin, s->logs[i].epoch, s->logs[i].count};
    enum err e = sim_store_raise(s, v, s->log_count);
    ASSERT(e == ERR_OK);
    free(v);
}

/* Every change of a log is known here by its pointer, also those that the log would not have any more; these a real
 * store judges by the stamps of its objects. */
static bool stray(const struct sim_log *l, uint64_t above, struct hlc floor)
{
    for (uint64_t seq = above; seq < l->count; seq++) {
        if (l->items[seq]->c.time.v <= floor.v) return true;
    }
    return false;
}

enum err sim_store_adopt(struct sim_store *s, struct hlc floor, const struct vector_entry *cut, size_t count)
{
    if (floor.v <= s->floor.v) return ERR_OK;
    for (size_t i = 0; i < count; i++) {
        if (sim_store_high(s, &cut[i].origin, cut[i].epoch) < cut[i].high) return ERR_CONFLICT;
    }
    for (size_t i = 0; i < s->log_count; i++) {
        const struct sim_log *l = &s->logs[i];
        if (stray(l, high_in(cut, count, &l->origin, l->epoch), floor)) return ERR_CONFLICT;
    }
    s->floor = floor;
    set_cut(s, cut, count);
    drop_tombstones(s);
    return ERR_OK;
}

/* ---- the donor ---- */

static size_t key_after(struct slice after)
{
    return after.n == 0 ? 0 : sim_key(after) + 1;
}

/* Keys have two digits, so that their order is that of the numbers. */
static void objects_after(const struct sim_store *s, struct slice after, struct arena *arena, struct repl_snapshot *out)
{
    struct snapshot_object *objects = arena_alloc(arena, PIECE_OBJECTS * sizeof *objects);
    ASSERT(objects != NULL);
    for (size_t k = key_after(after); k < SIM_KEYS; k++) {
        const struct sim_object *o = &s->objects[k];
        if (o->stamp.time.v == 0) continue;
        if (out->object_count == PIECE_OBJECTS) {
            out->more = true;
            break;
        }
        struct snapshot_object *to = &objects[out->object_count++];
        *to = (struct snapshot_object){.stamp = o->stamp, .deleted = o->value == 0};
        to->key = slice_of(arena_printf(arena, "k%02zu", k));
        if (o->value != 0) to->value = arena_copy(arena, (struct slice){(const char *)&o->value, sizeof o->value});
    }
    out->objects = objects;
}

static void tail_after(const struct sim_store *s, const struct repl_fetch *f, struct arena *arena,
                       struct repl_snapshot *out)
{
    struct changeset *changes = arena_alloc(arena, PIECE_CHANGES * sizeof *changes);
    ASSERT(changes != NULL);
    out->changes = changes;
    for (size_t i = 0; i < s->log_count; i++) {
        const struct sim_log *l = &s->logs[i];
        uint64_t high = high_in(f->have, f->have_count, &l->origin, l->epoch);
        if (high < l->count && high < l->base) {
            out->change_count = 0;
            out->more = true;
            return;
        }
        for (; high < l->count; high++) {
            if (out->change_count == PIECE_CHANGES) {
                out->more = true;
                return;
            }
            changes[out->change_count++] = l->items[high]->c;
        }
    }
    out->cut = s->cut;
    out->cut_count = s->cut_count;
}

void sim_store_piece(const struct sim_store *s, const struct repl_fetch *f, struct arena *arena,
                     struct repl_snapshot *out)
{
    *out = (struct repl_snapshot){.id = f->id, .tail = f->tail, .floor = s->floor};
    if (f->tail) {
        tail_after(s, f, arena, out);
        return;
    }
    objects_after(s, f->after, arena, out);
    if (f->after.n > 0) return;
    struct vector_entry *v = arena_alloc(arena, (s->log_count + 1) * sizeof *v);
    ASSERT(v != NULL);
    for (size_t i = 0; i < s->log_count; i++)
        v[i] = (struct vector_entry){s->logs[i].origin, s->logs[i].epoch, s->logs[i].count};
    out->vector = v;
    out->vector_count = s->log_count;
}

/* ---- the asker ---- */

void sim_store_put_piece(struct world *w, struct sim_store *s, bool first, const struct repl_snapshot *p)
{
    if (first) memset(s->aside, 0, sizeof s->aside);
    for (size_t i = 0; i < p->object_count; i++) {
        const struct snapshot_object *o = &p->objects[i];
        s->aside[sim_key(o->key)] = (struct sim_object){o->stamp, o->deleted ? 0 : sim_value(o->value)};
    }
    for (size_t i = 0; i < p->change_count; i++)
        sim_apply(w, s->aside, sim_change_intern(w, &p->changes[i]));
}

/* What only we have, in one log: kept and applied again, or all of it lost. The objects that come from it alone, when
 * the log has it no more, are as if applied: an older stamp never wins. */
static void keep_or_lose(struct world *w, struct sim_store *s, struct sim_log *l, uint64_t theirs, struct hlc floor)
{
    if (l->count <= theirs) return;
    if (stray(l, theirs, floor)) {
        w->n.lost_changes += l->count - theirs;
        l->count = theirs;
        if (l->base > theirs) l->base = theirs;
        return;
    }
    for (uint64_t seq = theirs; seq < l->count; seq++)
        sim_apply(w, s->aside, l->items[seq]);
}

static void raise_log(struct world *w, struct sim_store *s, const struct vector_entry *v)
{
    uint64_t had = sim_store_high(s, &v->origin, v->epoch);
    for (uint64_t seq = had + 1; seq <= v->high; seq++) {
        struct log_id id = {v->origin, v->epoch, seq};
        const struct sim_change *c = sim_change_revive(w, &id);
        if (c == NULL) {
            world_violate(w, "a snapshot's vector covers what was written", "%s %llu", v->origin.s,
                          (unsigned long long)seq);
            return;
        }
        sim_log_append(s, c);
    }
    if (v->high > had) sim_log_find(s, &v->origin, v->epoch)->base = v->high;
}

enum err sim_store_replace(struct world *w, struct sim_store *s, const struct repl_action *a)
{
    if (s->floor.v > a->floor.v) return ERR_CONFLICT;
    for (size_t i = 0; i < s->log_count; i++) {
        struct sim_log *l = &s->logs[i];
        keep_or_lose(w, s, l, high_in(a->upto, a->upto_count, &l->origin, l->epoch), a->floor);
    }
    for (size_t i = 0; i < a->upto_count; i++)
        raise_log(w, s, &a->upto[i]);
    memcpy(s->objects, s->aside, sizeof s->objects);
    s->floor = a->floor;
    set_cut(s, a->cut, a->cut_count);
    drop_tombstones(s);
    for (size_t i = 0; i < SIM_KEYS; i++) {
        if (s->objects[i].stamp.time.v > s->time.v) s->time = s->objects[i].stamp.time;
    }
    if (s->floor.v > s->time.v) s->time = s->floor;
    return ERR_OK;
}
