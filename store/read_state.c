/* read_state: what is read of the state environment. */
#include "store/read.h"
#include "store/state.h"

enum err store_state_since(struct store_read *r, const struct node_name *owner, uint64_t epoch, uint64_t above,
                           bool (*each)(void *ctx, const struct state_record *record), void *ctx)
{
    MDB_cursor *c = NULL;
    char text[LOG_KEY_MAX];
    struct log_id id = {.origin = *owner, .epoch = epoch, .seq = above + 1};
    struct slice key = log_key(&id, text);
    struct slice at;
    if (above == UINT64_MAX) return ERR_OK;
    enum err e = read_cursor(r, true, STATE_VERSIONS, &c);
    if (e != ERR_OK) return e;
    e = record_step(c, MDB_SET_RANGE, &key, &at);
    while (e == ERR_OK) {
        struct slice content;
        struct state_record record;
        e = log_key_parse(key, &id);
        if (e != ERR_OK || !node_name_eq(&id.origin, owner) || id.epoch != epoch) break;
        e = record_get(r->state, r->store->state.tables[STATE_RECORDS], at, &content);
        if (e == ERR_OK) e = state_record_parse(at, content, &record);
        if (e == ERR_NOTFOUND || (e == ERR_OK && record.version != id.seq)) e = ERR_CORRUPT;
        if (e != ERR_OK || !each(ctx, &record)) break;
        e = record_step(c, MDB_NEXT, &key, &at);
    }
    mdb_cursor_close(c);
    return e == ERR_NOTFOUND ? ERR_OK : read_checked(r, e);
}

enum err store_state_find(struct store_read *r, enum state_kind kind, struct slice key_prefix,
                          bool (*each)(void *ctx, const struct state_record *record), void *ctx)
{
    MDB_cursor *c = NULL;
    char text[1 + STATE_KEY_PLAIN];
    size_t plain = key_prefix.n < STATE_KEY_PLAIN ? key_prefix.n : STATE_KEY_PLAIN;
    struct slice start = {text, 1 + plain};
    struct slice key = start;
    struct slice content;
    text[0] = (char)kind;
    if (plain > 0) memcpy(text + 1, key_prefix.p, plain);
    enum err e = read_cursor(r, true, STATE_RECORDS, &c);
    if (e != ERR_OK) return e;
    e = record_step(c, MDB_SET_RANGE, &key, &content);
    while (e == ERR_OK && slice_starts(key, start)) {
        struct state_record record;
        e = state_record_parse(key, content, &record);
        if (e != ERR_OK) break;
        /* The owner's name follows the key in the table, so that a table key may start like the prefix by chance. */
        if (!record.removed && slice_starts(record.key, key_prefix) && !each(ctx, &record)) break;
        e = record_step(c, MDB_NEXT, &key, &content);
    }
    mdb_cursor_close(c);
    return e == ERR_NOTFOUND ? ERR_OK : read_checked(r, e);
}

enum err store_private(struct store_read *r, enum state_kind kind, struct slice key, struct slice *value)
{
    struct state_table_key at;
    struct state_value v;
    struct slice content;
    enum err e = state_table_key(&at, kind, key, NULL);
    if (e == ERR_OK) e = read_of_state(r);
    if (e == ERR_OK) {
        e = record_get(r->state, r->store->state.tables[STATE_PRIVATE], (struct slice){at.p, at.n}, &content);
    }
    if (e == ERR_OK) e = private_value_parse(content, &v);
    if (e == ERR_OK) *value = v.value;
    return read_checked(r, e);
}

enum err store_private_each(struct store_read *r, enum state_kind kind,
                            bool (*each)(void *ctx, struct slice key, struct slice value), void *ctx)
{
    MDB_cursor *c = NULL;
    char start = (char)kind;
    struct slice key = {&start, 1};
    struct slice content;
    enum err e = read_cursor(r, true, STATE_PRIVATE, &c);
    if (e != ERR_OK) return e;
    e = record_step(c, MDB_SET_RANGE, &key, &content);
    while (e == ERR_OK && key.p[0] == start) {
        struct state_value v;
        e = private_value_parse(content, &v);
        if (e != ERR_OK || !each(ctx, v.key, v.value)) break;
        e = record_step(c, MDB_NEXT, &key, &content);
    }
    mdb_cursor_close(c);
    return e == ERR_NOTFOUND ? ERR_OK : read_checked(r, e);
}
