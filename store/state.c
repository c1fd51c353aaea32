/* state: records of what nodes observe. Each owner alone makes versions of its records, so the higher version wins; a
 * newer epoch of an owner ends everything that its older one said. Invariant: every entry of records has exactly one
 * entry in versions, and its epoch is its owner's in vector. */
#include "store/state.h"

#include "proto/plan_codec.h"

#define VALUE_HEAD 19
#define PRIVATE_HEAD 2
#define VECTOR_LEN 16

/* ---- values ---- */

enum err private_value_parse(struct slice content, struct state_value *v)
{
    *v = (struct state_value){0};
    if (content.n < PRIVATE_HEAD) return ERR_CORRUPT;
    size_t key_len = (size_t)get_be(content.p, 2);
    if (content.n - PRIVATE_HEAD < key_len) return ERR_CORRUPT;
    v->key = (struct slice){content.p + PRIVATE_HEAD, key_len};
    v->value = (struct slice){content.p + PRIVATE_HEAD + key_len, content.n - PRIVATE_HEAD - key_len};
    return ERR_OK;
}

enum err state_value_parse(struct slice content, struct state_value *v)
{
    if (content.n < VALUE_HEAD) return ERR_CORRUPT;
    enum err e = private_value_parse((struct slice){content.p + 17, content.n - 17}, v);
    v->epoch = get_be(content.p, 8);
    v->version = get_be(content.p + 8, 8);
    v->removed = content.p[16] != 0;
    return e;
}

enum err state_vector_parse(struct slice owner, struct slice content, struct vector_entry *entry)
{
    *entry = (struct vector_entry){0};
    if (content.n != VECTOR_LEN || owner.n == 0 || owner.n > LIMIT_NAME) return ERR_CORRUPT;
    memcpy(entry->origin.s, owner.p, owner.n);
    entry->epoch = get_be(content.p, 8);
    entry->high = get_be(content.p + 8, 8);
    return ERR_OK;
}

enum err state_record_parse(struct slice table_key, struct slice content, struct state_record *r)
{
    struct state_value v;
    enum err e = state_value_parse(content, &v);
    if (e != ERR_OK) return e;
    if (table_key.n < 1 + STATE_OWNER_LEN) return ERR_CORRUPT;
    *r = (struct state_record){.epoch = v.epoch,
                               .version = v.version,
                               .kind = (enum state_kind)(unsigned char)table_key.p[0],
                               .key = v.key,
                               .value = v.value,
                               .removed = v.removed};
    memcpy(r->owner.s, table_key.p + table_key.n - STATE_OWNER_LEN, STATE_OWNER_LEN);
    r->owner.s[LIMIT_NAME] = '\0';
    return ERR_OK;
}

/* ---- owners ---- */

static struct slice version_key(const struct node_name *owner, uint64_t epoch, uint64_t version, char out[LOG_KEY_MAX])
{
    return log_key(&(struct log_id){.origin = *owner, .epoch = epoch, .seq = version}, out);
}

static enum err vector_put(struct env_write *w, const struct node_name *owner, uint64_t epoch, uint64_t high)
{
    char content[VECTOR_LEN];
    put_be(content, epoch, 8);
    put_be(content + 8, high, 8);
    return env_put_one(w, STATE_VECTOR, node_name_slice(owner), (struct slice){content, sizeof content});
}

/* Deletes an owner's records up to a version; prefix is how the keys of their versions begin. */
static enum err sweep(struct env_write *w, struct slice prefix, uint64_t upto, uint64_t *swept)
{
    MDB_cursor *c = NULL;
    struct slice key = prefix;
    struct slice record;
    struct log_id id;
    struct state_table_key copy; /* deleting may move the page that record points into */
    enum err e = env_cursor(w, STATE_VERSIONS, &c);
    if (e != ERR_OK) return e;
    e = record_step(c, MDB_SET_RANGE, &key, &record);
    while (e == ERR_OK && slice_starts(key, prefix)) {
        e = log_key_parse(key, &id);
        if (e != ERR_OK || id.seq > upto) break;
        if (record.n > sizeof copy.p) {
            e = ERR_CORRUPT;
            break;
        }
        memcpy(copy.p, record.p, record.n);
        e = env_del(w, STATE_RECORDS, (struct slice){copy.p, record.n});
        if (e == ERR_NOTFOUND) e = ERR_CORRUPT;
        if (e == ERR_OK) e = env_err(mdb_cursor_del(c, 0));
        if (e != ERR_OK) break;
        ++*swept;
        e = record_step(c, MDB_NEXT, &key, &record); /* after a deletion: the one that moved into its place */
    }
    mdb_cursor_close(c);
    return e == ERR_NOTFOUND ? ERR_OK : e;
}

/* The owner's vector entry, brought to epoch: a newer one sweeps. ERR_EXISTS: epoch is an older one. */
static enum err owner_at_epoch(struct env_write *w, const struct node_name *owner, uint64_t epoch,
                               struct vector_entry *entry, struct state_tally *tally)
{
    struct slice content;
    enum err e = env_get(w, STATE_VECTOR, node_name_slice(owner), &content);
    if (e == ERR_OK) {
        e = state_vector_parse(node_name_slice(owner), content, entry);
        if (e != ERR_OK || entry->epoch == epoch) return e;
        if (entry->epoch > epoch) return ERR_EXISTS;
        struct slice all = {owner->s, node_name_slice(owner).n + 1};
        e = sweep(w, all, UINT64_MAX, &tally->replaced);
    } else if (e == ERR_NOTFOUND) {
        e = ERR_OK;
    }
    *entry = (struct vector_entry){.origin = *owner, .epoch = epoch};
    return e == ERR_OK ? vector_put(w, owner, epoch, 0) : e;
}

/* Whoever has all of an owner's records up to its horizon has everything that still holds of it in a higher version.
 * Before that the horizon says nothing: what takes the place of the old records may still be on its way. */
static enum err forget(struct env_write *w, const struct vector_entry *have, struct state_tally *tally)
{
    struct state_table_key at;
    struct state_value v;
    struct slice content;
    char prefix[LOG_KEY_MAX];
    uint64_t upto = 0;
    enum err e = state_table_key(&at, STATE_HORIZON, node_name_slice(&have->origin), &have->origin);
    if (e == ERR_OK) e = env_get(w, STATE_RECORDS, (struct slice){at.p, at.n}, &content);
    if (e != ERR_OK) return e == ERR_NOTFOUND ? ERR_OK : e;
    e = state_value_parse(content, &v);
    if (e != ERR_OK) return e;
    if (v.removed || v.version > have->high || horizon_unpack(v.value, &upto) != ERR_OK || upto >= v.version)
        return ERR_OK;
    return sweep(w, vector_key(&have->origin, have->epoch, prefix), upto, &tally->forgotten);
}

enum err state_raise(struct env_write *w, const struct vector_entry *upto, struct state_tally *tally)
{
    struct vector_entry entry;
    enum err e = owner_at_epoch(w, &upto->origin, upto->epoch, &entry, tally);
    if (e == ERR_EXISTS) return ERR_OK;
    if (e != ERR_OK || entry.high >= upto->high) return e;
    e = vector_put(w, &upto->origin, upto->epoch, upto->high);
    return e == ERR_OK ? forget(w, upto, tally) : e;
}

/* ---- records ---- */

static enum err record_write(struct env_write *w, struct slice table_key, const struct state_record *r)
{
    char head[VALUE_HEAD];
    MDB_cursor *c = NULL;
    put_be(head, r->epoch, 8);
    put_be(head + 8, r->version, 8);
    head[16] = r->removed ? 1 : 0;
    put_be(head + 17, r->key.n, 2);
    struct slice parts[] = {{head, sizeof head}, r->key, r->value};
    enum err e = env_cursor(w, STATE_RECORDS, &c);
    if (e != ERR_OK) return e;
    e = env_put(w, c, table_key, parts, 3, 0);
    mdb_cursor_close(c);
    return e;
}

/* versions gets its entry first: an owner that uses a version twice must not leave a record without one. */
static enum err version_claim(struct env_write *w, const struct state_record *r, struct slice table_key)
{
    char key[LOG_KEY_MAX];
    MDB_cursor *c = NULL;
    enum err e = env_cursor(w, STATE_VERSIONS, &c);
    if (e != ERR_OK) return e;
    e = env_put(w, c, version_key(&r->owner, r->epoch, r->version, key), &table_key, 1, MDB_NOOVERWRITE);
    mdb_cursor_close(c);
    return e;
}

enum err state_put(struct env_write *w, const struct state_record *r, struct state_tally *tally)
{
    struct state_table_key table_key;
    struct vector_entry entry;
    struct state_value old;
    struct slice content;
    char key[LOG_KEY_MAX];
    enum err e = owner_at_epoch(w, &r->owner, r->epoch, &entry, tally);
    if (e == ERR_EXISTS) goto stale;
    if (e == ERR_OK) e = state_table_key(&table_key, r->kind, r->key, &r->owner);
    if (e != ERR_OK) return e;
    struct slice at = {table_key.p, table_key.n};
    e = env_get(w, STATE_RECORDS, at, &content);
    bool exists = e == ERR_OK;
    if (exists) e = state_value_parse(content, &old);
    if (e != ERR_OK && e != ERR_NOTFOUND) return e;
    if (exists && old.version >= r->version) goto stale;
    e = version_claim(w, r, at);
    if (e == ERR_EXISTS) goto stale;
    if (e == ERR_OK && exists) {
        e = env_del(w, STATE_VERSIONS, version_key(&r->owner, old.epoch, old.version, key));
        if (e == ERR_NOTFOUND) e = ERR_CORRUPT;
    }
    if (e == ERR_OK) e = record_write(w, at, r);
    if (e == ERR_OK) tally->applied++;
    return e;
stale:
    tally->stale++;
    return ERR_OK;
}

enum err state_private_put(struct env_write *w, enum state_kind kind, struct slice key, struct slice value)
{
    struct state_table_key table_key;
    char head[PRIVATE_HEAD];
    MDB_cursor *c = NULL;
    enum err e = state_table_key(&table_key, kind, key, NULL);
    if (e != ERR_OK) return e;
    struct slice at = {table_key.p, table_key.n};
    if (value.n == 0) {
        e = env_del(w, STATE_PRIVATE, at);
        return e == ERR_NOTFOUND ? ERR_OK : e;
    }
    put_be(head, key.n, 2);
    struct slice parts[] = {{head, sizeof head}, key, value};
    e = env_cursor(w, STATE_PRIVATE, &c);
    if (e != ERR_OK) return e;
    e = env_put(w, c, at, parts, 3, 0);
    mdb_cursor_close(c);
    return e;
}
