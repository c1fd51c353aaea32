/* store: see store.h. */
#include "tests/sim/world.h"

#include <stdio.h>
#include <stdlib.h>

static void *must(void *p)
{
    ASSERT(p != NULL);
    return p;
}

uint64_t sim_hash(uint64_t h, const void *data, size_t n)
{
    const unsigned char *p = data;
    for (size_t i = 0; i < n; i++)
        h = (h ^ p[i]) * 0x100000001b3u;
    /* Sums of such hashes stand for sets, so that every bit of the input must reach every bit of the hash. */
    h = (h ^ (h >> 30)) * 0xbf58476d1ce4e5b9u;
    h = (h ^ (h >> 27)) * 0x94d049bb133111ebu;
    return h ^ (h >> 31);
}

struct node_name sim_name(size_t i)
{
    struct node_name n = {{0}};
    (void)snprintf(n.s, sizeof n.s, "n%zu", i);
    return n;
}

size_t sim_index(const struct node_name *n)
{
    return (size_t)strtoul(n->s + 1, NULL, 10);
}

size_t sim_key(struct slice key)
{
    char text[16] = {0};
    ASSERT(key.n > 1 && key.n < sizeof text);
    memcpy(text, key.p + 1, key.n - 1);
    return (size_t)strtoul(text, NULL, 10);
}

uint64_t sim_value(struct slice value)
{
    uint64_t v = 0;
    ASSERT(value.n == 0 || value.n >= sizeof v);
    if (value.n > 0) memcpy(&v, value.p, sizeof v);
    return v;
}

/* ---- interned change-sets ---- */

static uint64_t content_of(const struct changeset *c)
{
    uint64_t h = sim_hash(1469598103934665603u, &c->time, sizeof c->time);
    for (size_t i = 0; i < c->op_count; i++) {
        h = sim_hash(h, &c->ops[i].kind, sizeof c->ops[i].kind);
        h = sim_hash(h, c->ops[i].key.p, c->ops[i].key.n);
        h = sim_hash(h, c->ops[i].value.p, c->ops[i].value.n);
    }
    return sim_hash(h, c->message.p, c->message.n);
}

static bool id_eq(const struct log_id *a, const struct log_id *b)
{
    return a->seq == b->seq && a->epoch == b->epoch && node_name_eq(&a->origin, &b->origin);
}

static struct sim_change **place_of(const struct world *w, const struct log_id *id)
{
    uint64_t h = sim_hash(sim_hash(id->seq, &id->epoch, 8), id->origin.s, strlen(id->origin.s));
    struct sim_change **at = &w->changes[h % w->change_buckets];
    while (*at != NULL && !id_eq(&(*at)->c.id, id))
        at = &(*at)->next;
    return at;
}

const struct sim_change *sim_change_find(const struct world *w, const struct log_id *id)
{
    return *place_of(w, id);
}

const struct sim_change *sim_change_intern(struct world *w, const struct changeset *c)
{
    struct sim_change **at = place_of(w, &c->id);
    if (*at != NULL) {
        if ((*at)->content != content_of(c)) {
            world_violate(w, "one id, one change", "%s %llu/%llu has two contents", c->id.origin.s,
                          (unsigned long long)c->id.epoch, (unsigned long long)c->id.seq);
        }
        return *at;
    }
    struct sim_change *n = must(calloc(1, sizeof *n));
    n->c = *c;
    n->content = content_of(c);
    n->c.author = arena_copy(&n->arena, c->author);
    n->c.message = arena_copy(&n->arena, c->message);
    struct change_op *ops = must(arena_alloc(&n->arena, c->op_count * sizeof *ops));
    for (size_t i = 0; i < c->op_count; i++) {
        ops[i].kind = c->ops[i].kind;
        ops[i].key = arena_copy(&n->arena, c->ops[i].key);
        ops[i].value = arena_copy(&n->arena, c->ops[i].value);
    }
    n->c.ops = ops;
    *at = n;
    return n;
}

const struct sim_change *sim_change_revive(struct world *w, const struct log_id *id)
{
    struct sim_change **to = place_of(w, id);
    for (struct sim_change **at = &w->forgotten; *to == NULL && *at != NULL; at = &(*at)->next) {
        struct sim_change *c = *at;
        if (!id_eq(&c->c.id, id)) continue;
        *at = c->next;
        c->next = NULL;
        *to = c;
        break;
    }
    return *to;
}

static bool any_has(const struct world *w, const struct log_id *id)
{
    for (size_t i = 0; i < w->o.nodes; i++) {
        if (sim_store_has(&w->nodes[i].store, id)) return true;
    }
    return false;
}

void sim_store_forget(struct world *w)
{
    for (size_t i = 0; i < w->change_buckets; i++) {
        for (struct sim_change **at = &w->changes[i]; *at != NULL;) {
            struct sim_change *c = *at;
            if (any_has(w, &c->c.id)) {
                at = &c->next;
                continue;
            }
            *at = c->next;
            c->next = w->forgotten;
            w->forgotten = c;
        }
    }
}

/* ---- logs and objects ---- */

struct sim_log *sim_log_find(const struct sim_store *s, const struct node_name *origin, uint64_t epoch)
{
    for (size_t i = 0; i < s->log_count; i++) {
        if (s->logs[i].epoch == epoch && node_name_eq(&s->logs[i].origin, origin)) return &s->logs[i];
    }
    return NULL;
}

uint64_t sim_store_high(const struct sim_store *s, const struct node_name *origin, uint64_t epoch)
{
    const struct sim_log *l = sim_log_find(s, origin, epoch);
    return l != NULL ? l->count : 0;
}

bool sim_store_has(const struct sim_store *s, const struct log_id *id)
{
    return sim_store_high(s, &id->origin, id->epoch) >= id->seq;
}

void sim_log_append(struct sim_store *s, const struct sim_change *c)
{
    struct sim_log *l = sim_log_find(s, &c->c.id.origin, c->c.id.epoch);
    if (l == NULL) {
        s->logs = must(realloc(s->logs, (s->log_count + 1) * sizeof *s->logs));
        l = &s->logs[s->log_count++];
        *l = (struct sim_log){.origin = c->c.id.origin, .epoch = c->c.id.epoch};
    }
    if (l->count == l->cap) {
        l->cap = l->cap == 0 ? 16 : l->cap * 2;
        l->items = must(realloc(l->items, l->cap * sizeof(struct sim_change *)));
    }
    l->items[l->count++] = c;
}

struct stamp sim_stamp(const struct changeset *c)
{
    return changeset_stamp(c);
}

struct hlc sim_store_stamp(const struct sim_store *s, struct slice key)
{
    return s->objects[sim_key(key)].stamp.time;
}

void sim_apply(const struct world *w, struct sim_object objects[SIM_KEYS], const struct sim_change *change)
{
    const struct changeset *c = &change->c;
    struct stamp stamp = sim_stamp(c);
    bool half = w->o.canary == CANARY_HALF && c->op_count > 1;
    for (size_t i = half ? 1 : 0; i < c->op_count; i++) {
        struct sim_object *o = &objects[sim_key(c->ops[i].key)];
        if (o->stamp.time.v != 0 && stamp_cmp(&stamp, &o->stamp) <= 0) continue;
        o->stamp = stamp;
        o->value = c->ops[i].kind == CHANGE_PUT ? sim_value(c->ops[i].value) : 0;
        if (o->value == 0 && w->o.canary == CANARY_TOMBSTONES) *o = (struct sim_object){0};
    }
}

/* The oldest of a log go when there are many. */
static void trim(struct sim_store *s)
{
    for (size_t i = 0; i < s->log_count; i++) {
        struct sim_log *l = &s->logs[i];
        if (l->count > SIM_LOG_KEEP && l->base < l->count - SIM_LOG_KEEP) l->base = l->count - SIM_LOG_KEEP;
    }
}

enum err sim_store_changes(struct world *w, struct sim_store *s, const struct changeset *changes, size_t count)
{
    /* All or nothing: the whole group is looked at first. */
    for (size_t i = 0; i < count; i++) {
        const struct log_id *id = &changes[i].id;
        uint64_t high = sim_store_high(s, &id->origin, id->epoch);
        for (size_t k = 0; k < i; k++) {
            const struct log_id *before = &changes[k].id;
            bool same = before->epoch == id->epoch && node_name_eq(&before->origin, &id->origin);
            if (same && before->seq > high) high = before->seq;
        }
        if (id->seq > high + 1 || (id->seq == high + 1 && changes[i].time.v <= s->floor.v)) return ERR_CONFLICT;
    }
    for (size_t i = 0; i < count; i++) {
        const struct sim_change *c = sim_change_intern(w, &changes[i]);
        if (sim_store_has(s, &c->c.id)) continue;
        sim_log_append(s, c);
        sim_apply(w, s->objects, c);
        if (c->c.time.v > s->time.v) s->time = c->c.time;
        s->revision++;
    }
    trim(s);
    if (w->o.canary == CANARY_FLOOR) sim_store_raise_alone(s);
    return ERR_OK;
}

void sim_store_lose(struct sim_store *s)
{
    for (size_t i = 0; i < s->log_count; i++) {
        if (s->logs[i].count == 0) continue;
        s->logs[i].count--;
        s->revision++;
        return;
    }
}

/* A sum of one hash per live object. */
uint64_t sim_store_objects_print(const struct sim_store *s)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < SIM_KEYS; i++) {
        if (s->objects[i].value == 0) continue;
        uint64_t pair[2] = {i, s->objects[i].value};
        sum += sim_hash(7, pair, sizeof pair);
    }
    return sum;
}

void sim_store_digest(const struct sim_store *s, unsigned char out[32])
{
    uint64_t sum = sim_store_objects_print(s);
    memset(out, 0, 32);
    memcpy(out, &sum, sizeof sum);
}

uint64_t sim_store_vector_print(const struct sim_store *s)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < s->log_count; i++) {
        uint64_t triple[3] = {s->logs[i].epoch, s->logs[i].count, sim_index(&s->logs[i].origin)};
        if (s->logs[i].count > 0) sum += sim_hash(11, triple, sizeof triple);
    }
    return sum;
}

/* ---- state ---- */

void sim_store_records(struct sim_store *s, const struct state_record *records, size_t count,
                       const struct vector_entry *upto, size_t upto_count)
{
    s->revision++;
    for (size_t i = 0; i < count; i++) {
        const struct state_record *r = &records[i];
        struct sim_owner *o = &s->owners[sim_index(&r->owner)];
        if (r->epoch < o->epoch) continue;
        if (r->epoch > o->epoch) *o = (struct sim_owner){.epoch = r->epoch};
        struct sim_record *at = &o->records[sim_key(r->key)];
        if (r->version <= at->version) continue;
        *at = (struct sim_record){r->version, sim_value(r->value), r->removed};
    }
    for (size_t i = 0; i < upto_count; i++) {
        struct sim_owner *o = &s->owners[sim_index(&upto[i].origin)];
        if (upto[i].epoch < o->epoch) continue;
        if (upto[i].epoch > o->epoch) *o = (struct sim_owner){.epoch = upto[i].epoch};
        if (upto[i].high > o->high) o->high = upto[i].high;
    }
}

bool sim_store_hides(const struct sim_store *s, size_t owner)
{
    const struct sim_owner *o = &s->owners[owner];
    for (size_t k = 0; k < SIM_RECORDS; k++) {
        if (o->records[k].version > o->high) return true;
    }
    return false;
}

uint64_t sim_store_state_print(const struct sim_store *s)
{
    uint64_t sum = 0;
    for (uint64_t i = 0; i < SIM_NODES_MAX; i++) {
        uint64_t triple[3] = {i, s->owners[i].epoch, s->owners[i].high};
        if (s->owners[i].high > 0) sum += sim_hash(13, triple, sizeof triple);
    }
    return sum;
}

uint64_t sim_store_routes_print(const struct sim_store *s)
{
    uint64_t sum = sim_store_objects_print(s);
    for (uint64_t i = 0; i < SIM_NODES_MAX; i++) {
        const struct sim_owner *o = &s->owners[i];
        for (uint64_t k = 0; o->high > 0 && k < SIM_RECORDS; k++) {
            const struct sim_record *r = &o->records[k];
            uint64_t triple[3] = {i, k, r->value};
            if (r->version > 0 && !r->removed) sum += sim_hash(17, triple, sizeof triple);
        }
    }
    return sum;
}

struct state_record sim_state_record(size_t owner, uint64_t epoch, size_t key, const struct sim_record *r,
                                     struct arena *arena)
{
    struct state_record out = {
        .owner = sim_name(owner), .epoch = epoch, .version = r->version, .kind = STATE_BINDING, .removed = r->removed};
    out.key = slice_of(must(arena_printf(arena, "s%zu", key)));
    if (!r->removed) out.value = arena_copy(arena, (struct slice){(const char *)&r->value, sizeof r->value});
    return out;
}

/* ---- the answer to a WANT ---- */

static uint64_t asked(const struct vector_entry *items, size_t count, const struct node_name *origin, uint64_t epoch)
{
    for (size_t i = 0; i < count; i++) {
        if (items[i].epoch == epoch && node_name_eq(&items[i].origin, origin)) return items[i].high;
    }
    return 0;
}

static bool much_for_a_new_one(const struct sim_store *s, const struct repl_want *want)
{
    size_t all = 0;
    for (size_t i = 0; i < s->log_count; i++)
        all += s->logs[i].count;
    for (size_t i = 0; i < want->plan_count; i++) {
        if (want->plan[i].high > 0) return false;
    }
    return all > SIM_LOG_WHOLE;
}

static void missing_changes(const struct sim_store *s, const struct repl_want *want, struct changeset *changes,
                            size_t room, struct repl_push *out)
{
    out->floor = s->floor;
    if (s->floor.v > want->floor.v) {
        out->cut = s->cut;
        out->cut_count = s->cut_count;
    }
    out->trimmed = much_for_a_new_one(s, want);
    for (size_t i = 0; i < s->log_count && !out->trimmed; i++) {
        const struct sim_log *l = &s->logs[i];
        uint64_t seq = asked(want->plan, want->plan_count, &l->origin, l->epoch);
        if (seq < l->count && seq < l->base) {
            out->trimmed = true;
            continue;
        }
        for (; seq < l->count; seq++) {
            if (out->change_count == room) {
                out->more = true;
                return;
            }
            changes[out->change_count++] = l->items[seq]->c;
        }
    }
}

/* The record of the smallest version above, or NULL. */
static const struct sim_record *next_record(const struct sim_owner *o, uint64_t above, size_t *key)
{
    const struct sim_record *best = NULL;
    for (size_t k = 0; k < SIM_RECORDS; k++) {
        const struct sim_record *r = &o->records[k];
        if (r->version > above && (best == NULL || r->version < best->version)) {
            best = r;
            *key = k;
        }
    }
    return best;
}

/* How far the asker knows this owner; false: it knows a newer epoch. */
static bool asked_state(const struct repl_want *want, const struct node_name *owner, uint64_t epoch, uint64_t *above)
{
    *above = 0;
    for (size_t i = 0; i < want->state_count; i++) {
        if (!node_name_eq(&want->state[i].origin, owner)) continue;
        if (want->state[i].epoch > epoch) return false;
        if (want->state[i].epoch == epoch) *above = want->state[i].high;
    }
    return true;
}

/* All records of an owner above, in order, or none and false: there is no room for them beside the rest. */
static bool add_owner(const struct sim_store *s, size_t owner, uint64_t above, size_t room, struct arena *arena,
                      struct state_record *records, size_t *count)
{
    const struct sim_owner *o = &s->owners[owner];
    size_t n = *count;
    size_t key = 0;
    for (const struct sim_record *r; (r = next_record(o, above, &key)) != NULL; above = r->version) {
        if (n == room) return false;
        records[n++] = sim_state_record(owner, o->epoch, key, r, arena);
    }
    *count = n;
    return true;
}

void sim_store_missing(const struct sim_store *s, const struct repl_want *want, bool plan_only, struct arena *arena,
                       struct repl_push *out)
{
    size_t room = SIM_ANSWER_BYTES / 100;
    ASSERT(room >= SIM_RECORDS);
    struct changeset *changes = must(arena_alloc(arena, room * sizeof *changes));
    struct state_record *records = must(arena_alloc(arena, room * sizeof *records));
    struct vector_entry *upto = must(arena_alloc(arena, SIM_NODES_MAX * sizeof *upto));
    *out = (struct repl_push){.answer = true, .changes = changes, .records = records, .state_upto = upto};
    missing_changes(s, want, changes, room, out);
    for (size_t i = 0; i < SIM_NODES_MAX && !plan_only; i++) {
        const struct sim_owner *o = &s->owners[i];
        struct node_name owner = sim_name(i);
        uint64_t above;
        if (o->epoch == 0 || !asked_state(want, &owner, o->epoch, &above)) continue;
        upto[out->state_upto_count++] = (struct vector_entry){owner, o->epoch, o->high};
        if (add_owner(s, i, above, room, arena, records, &out->record_count)) continue;
        out->more = true;
        return;
    }
}

/* ---- life ---- */

void sim_store_clone(struct sim_store *to, const struct sim_store *from)
{
    *to = *from;
    to->cut = must(calloc(from->cut_count + 1, sizeof *to->cut));
    if (from->cut_count > 0) memcpy(to->cut, from->cut, from->cut_count * sizeof *to->cut);
    to->logs = must(calloc(from->log_count + 1, sizeof *to->logs));
    for (size_t i = 0; i < from->log_count; i++) {
        to->logs[i] = from->logs[i];
        to->logs[i].cap = from->logs[i].count + 1;
        to->logs[i].items = must(calloc(to->logs[i].cap, sizeof(struct sim_change *)));
        memcpy(to->logs[i].items, from->logs[i].items, from->logs[i].count * sizeof(struct sim_change *));
    }
}

void sim_store_fini(struct sim_store *s)
{
    for (size_t i = 0; i < s->log_count; i++)
        free(s->logs[i].items);
    free(s->logs);
    free(s->cut);
    s->cut = NULL;
    s->cut_count = 0;
    s->logs = NULL;
    s->log_count = 0;
}
