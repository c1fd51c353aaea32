#include "node/app/missing.h"

#include <stdlib.h>

#define ITEMS_MAX 4096
#define RECORD_OVERHEAD 100 /* bytes of one record beside its key and value */

/* ---- one batch ---- */

/* Whether an item of so many bytes still goes in. The first always does: else it could never be sent. */
static bool takes(struct missing *m, size_t bytes)
{
    size_t count = m->push.change_count + m->push.record_count;
    if (count > 0 && (m->bytes + bytes > m->bytes_max || count == m->items_max)) {
        m->push.more = true;
        return false;
    }
    m->bytes += bytes;
    return true;
}

/* items with room for one more; NULL when memory is out, and items is then still valid. */
static void *room(struct missing *m, void *items, size_t *cap, size_t count, size_t size)
{
    if (count < *cap) return items;
    size_t want = *cap == 0 ? 16 : *cap * 2;
    void *grown = realloc(items, want * size);
    if (grown == NULL) {
        m->err = ERR_NOMEM;
        return NULL;
    }
    *cap = want;
    return grown;
}

static bool add_change(void *ctx, const struct log_id *id, struct slice packed)
{
    struct missing *m = ctx;
    if (!takes(m, packed.n)) return false;
    struct changeset *grown = room(m, m->changes, &m->change_cap, m->push.change_count, sizeof *grown);
    if (grown == NULL) return false;
    m->changes = grown;
    m->changes[m->push.change_count++] = (struct changeset){.id = *id, .packed = packed};
    return true;
}

static bool add_record(void *ctx, const struct state_record *record)
{
    struct missing *m = ctx;
    if (!takes(m, record->key.n + record->value.n + RECORD_OVERHEAD)) return false;
    struct state_record *grown = room(m, m->records, &m->record_cap, m->push.record_count, sizeof *grown);
    if (grown == NULL) return false;
    m->records = grown;
    struct state_record *copy = &m->records[m->push.record_count++];
    *copy = *record;
    return true;
}

/* ---- what is missing ---- */

static const struct vector_entry *find(const struct vector_entry *v, size_t count, const struct vector_entry *like,
                                       bool same_epoch)
{
    for (size_t i = 0; i < count; i++) {
        if (node_name_eq(&v[i].origin, &like->origin) && (!same_epoch || v[i].epoch == like->epoch)) return &v[i];
    }
    return NULL;
}

static bool knows_nothing(const struct repl_want *want)
{
    for (size_t i = 0; i < want->plan_count; i++) {
        if (want->plan[i].high > 0) return false;
    }
    return true;
}

static enum err gather_changes(struct store_read *read, const struct repl_want *want, struct missing *m)
{
    if (knows_nothing(want) && m->have.log_bytes > MISSING_LOG_MAX) {
        m->push.trimmed = true;
        return ERR_OK;
    }
    for (size_t i = 0; i < m->have.plan_count && !m->push.more; i++) {
        const struct vector_entry *ours = &m->have.plan[i];
        const struct vector_entry *theirs = find(want->plan, want->plan_count, ours, true);
        uint64_t high = theirs != NULL ? theirs->high : 0;
        if (high >= ours->high) continue;
        if (high < m->have.plan_base[i]) {
            m->push.trimmed = true;
            continue;
        }
        enum err e = store_log(read, &ours->origin, ours->epoch, high + 1, add_change, m);
        if (e == ERR_OK) e = m->err;
        if (e != ERR_OK) return e;
    }
    return ERR_OK;
}

/* An owner's records go whole, or with the next answer. Who has no room beside what is gathered already comes again as
 * the first, and then has more. */
static enum err gather_owner(struct store_read *read, const struct vector_entry *ours, uint64_t above,
                             struct missing *m)
{
    size_t records = m->push.record_count;
    size_t bytes = m->bytes;
    bool first = m->push.change_count + records == 0;
    m->bytes_max = first ? REPL_OWNER_BYTES : LIMIT_MESH_CHUNK;
    m->items_max = first ? REPL_OWNER_RECORDS : ITEMS_MAX;
    enum err e = store_state_since(read, &ours->origin, ours->epoch, above, add_record, m);
    if (e == ERR_OK) e = m->err;
    if (m->push.more && !first) {
        m->push.record_count = records;
        m->bytes = bytes;
    }
    return e;
}

/* An owner's newer epoch replaces its older one: whoever has an older one gets everything, whoever a newer nothing. */
static enum err gather_records(struct store_read *read, const struct repl_want *want, struct missing *m)
{
    for (size_t i = 0; i < m->have.state_count && !m->push.more; i++) {
        const struct vector_entry *ours = &m->have.state[i];
        const struct vector_entry *theirs = find(want->state, want->state_count, ours, false);
        if (theirs != NULL && theirs->epoch > ours->epoch) continue;
        uint64_t above = theirs != NULL && theirs->epoch == ours->epoch ? theirs->high : 0;
        if (above >= ours->high) continue;
        enum err e = gather_owner(read, ours, above, m);
        if (e != ERR_OK) return e;
    }
    return ERR_OK;
}

enum err missing_gather(struct store_read *read, const struct repl_want *want, bool plan_only, struct missing *m)
{
    *m = (struct missing){.push = {.answer = true}, .bytes_max = LIMIT_MESH_CHUNK, .items_max = ITEMS_MAX};
    enum err e = store_load_start(read, &m->arena, &m->have);
    m->push.floor = m->have.floor;
    if (e == ERR_OK && m->have.floor.v > want->floor.v) {
        e = store_cut(read, &m->arena, &m->push.cut, &m->push.cut_count);
    }
    if (e == ERR_OK) e = gather_changes(read, want, m);
    if (e == ERR_OK && !plan_only) e = gather_records(read, want, m);
    m->push.changes = m->changes;
    m->push.records = m->records;
    m->push.state_upto = m->have.state;
    m->push.state_upto_count = plan_only ? 0 : m->have.state_count;
    return e;
}

void missing_fini(struct missing *m)
{
    free(m->changes);
    free(m->records);
    arena_fini(&m->arena);
    *m = (struct missing){.err = ERR_OK};
}
