/* read_log: logs, and what a node needs at its start. History, which is over all logs, is read in read_history.c. */
#include "proto/plan_codec.h"
#include "store/changes.h"
#include "store/read.h"
#include "store/state.h"

enum err store_log(struct store_read *r, const struct node_name *origin, uint64_t epoch, uint64_t from_seq,
                   bool (*each)(void *ctx, const struct log_id *id, struct slice packed), void *ctx)
{
    MDB_cursor *c = NULL;
    struct log_id id = {.origin = *origin, .epoch = epoch, .seq = from_seq};
    char text[LOG_KEY_MAX];
    struct slice key = log_key(&id, text);
    struct slice packed;
    enum err e = read_cursor(r, false, PLAN_LOG, &c);
    if (e != ERR_OK) return e;
    e = record_step(c, MDB_SET_RANGE, &key, &packed);
    while (e == ERR_OK) {
        e = log_key_parse(key, &id);
        if (e != ERR_OK || !node_name_eq(&id.origin, origin) || id.epoch != epoch || !each(ctx, &id, packed)) break;
        e = record_step(c, MDB_NEXT, &key, &packed);
    }
    mdb_cursor_close(c);
    return e == ERR_NOTFOUND ? ERR_OK : read_checked(r, e);
}

/* ---- start ---- */

/* Every entry of a table, turned into one item of an array in arena. */
struct load {
    bool of_state;
    unsigned table;
    size_t size;
    enum err (*item)(struct arena *arena, struct slice key, struct slice content, void *out);
};

static enum err load_table(struct store_read *r, struct arena *arena, const struct load *l, void **out, size_t *count)
{
    MDB_cursor *c = NULL;
    MDB_stat st;
    struct slice key = SLICE_NONE;
    struct slice content;
    const struct env *env = l->of_state ? &r->store->state : &r->store->plan;
    enum err e = l->of_state ? read_of_state(r) : ERR_OK;
    if (e != ERR_OK) return e;
    int rc = mdb_stat(l->of_state ? r->state : r->plan, env->tables[l->table], &st);
    if (rc != MDB_SUCCESS) return env_err(rc);
    char *items = arena_alloc(arena, st.ms_entries * l->size);
    if (items == NULL) return ERR_NOMEM;
    e = read_cursor(r, l->of_state, l->table, &c);
    if (e != ERR_OK) return e;
    size_t n = 0;
    e = record_step(c, MDB_FIRST, &key, &content);
    while (e == ERR_OK && n < st.ms_entries) {
        e = l->item(arena, key, content, items + n * l->size);
        if (e != ERR_OK) break;
        n++;
        e = record_step(c, MDB_NEXT, &key, &content);
    }
    mdb_cursor_close(c);
    if (e != ERR_NOTFOUND && e != ERR_OK) return e;
    *out = items;
    *count = n;
    return ERR_OK;
}

static enum err plan_entry(struct arena *arena, struct slice key, struct slice content, void *out)
{
    struct log_id id;
    struct log_span span;
    (void)arena;
    enum err e = log_key_parse(key, &id);
    if (e == ERR_OK) e = log_span_parse(content, &span);
    if (e == ERR_OK) *(struct vector_entry *)out = (struct vector_entry){id.origin, id.epoch, span.high};
    return e;
}

static enum err base_entry(struct arena *arena, struct slice key, struct slice content, void *out)
{
    struct log_span span;
    (void)arena;
    (void)key;
    enum err e = log_span_parse(content, &span);
    if (e == ERR_OK) *(uint64_t *)out = span.base;
    return e;
}

static enum err cut_entry(struct arena *arena, struct slice key, struct slice content, void *out)
{
    struct log_id id;
    (void)arena;
    if (content.n != 8) return ERR_CORRUPT;
    enum err e = log_key_parse(key, &id);
    if (e == ERR_OK) *(struct vector_entry *)out = (struct vector_entry){id.origin, id.epoch, get_be(content.p, 8)};
    return e;
}

static enum err state_entry(struct arena *arena, struct slice key, struct slice content, void *out)
{
    (void)arena;
    return state_vector_parse(key, content, out);
}

static enum err member_entry(struct arena *arena, struct slice key, struct slice content, void *out)
{
    (void)key;
    enum err e = member_note_unpack(arena, content, out);
    return e == ERR_NOMEM || e == ERR_OK ? e : ERR_CORRUPT;
}

static enum err load_epoch(struct store_read *r, uint64_t *epoch)
{
    struct slice content;
    enum err e = record_get(r->plan, r->store->plan.tables[PLAN_META], SLICE("epoch"), &content);
    if (e != ERR_OK) return e == ERR_NOTFOUND ? ERR_CORRUPT : e; /* written when the database was made */
    if (content.n != 8) return ERR_CORRUPT;
    *epoch = get_be(content.p, 8);
    return ERR_OK;
}

enum err store_load_start(struct store_read *r, struct arena *arena, struct store_start *out)
{
    static const struct load plan = {false, PLAN_VECTOR, sizeof(struct vector_entry), plan_entry};
    static const struct load bases = {false, PLAN_VECTOR, sizeof(uint64_t), base_entry};
    static const struct load state = {true, STATE_VECTOR, sizeof(struct vector_entry), state_entry};
    static const struct load members = {false, PLAN_MEMBERS, sizeof(struct member_note), member_entry};
    struct store_start made = {0};
    void *items[4] = {NULL, NULL, NULL, NULL};
    enum err e = read_totals(r);
    if (e == ERR_OK) e = load_epoch(r, &made.epoch);
    if (e == ERR_OK) e = load_table(r, arena, &plan, &items[0], &made.plan_count);
    if (e == ERR_OK) e = load_table(r, arena, &state, &items[1], &made.state_count);
    if (e == ERR_OK) e = load_table(r, arena, &members, &items[2], &made.member_count);
    if (e == ERR_OK) e = load_table(r, arena, &bases, &items[3], &made.plan_count);
    if (e != ERR_OK) return read_checked(r, e);
    made.time = r->totals.time;
    made.floor = r->totals.floor;
    made.tombstones = r->totals.tombstones;
    made.pending = r->totals.pending;
    made.log_bytes = r->totals.log_bytes;
    for (size_t i = 0; i < PLAN_KIND_COUNT; i++)
        made.objects += r->totals.kinds[i];
    made.plan_base = items[3];
    made.plan = items[0];
    made.state = items[1];
    made.members = items[2];
    *out = made;
    return ERR_OK;
}

enum err store_cut(struct store_read *r, struct arena *arena, const struct vector_entry **cut, size_t *count)
{
    static const struct load table = {false, PLAN_CUT, sizeof(struct vector_entry), cut_entry};
    void *items = NULL;
    enum err e = load_table(r, arena, &table, &items, count);
    if (e == ERR_OK) *cut = items;
    return read_checked(r, e);
}
