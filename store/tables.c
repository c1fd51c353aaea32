#include "store/tables.h"

#include "node/plan/pattern.h"

const char *const plan_tables[] = {"meta",         "objects", "index",   "tombstones", "objects_b", "index_b",
                                   "tombstones_b", "log",     "history", "vector",     "cut",       "tail",
                                   "lost",         "members", "pending", "conflicts",  NULL};
const char *const state_tables[] = {"meta", "records", "versions", "vector", "private", "calls", NULL};

/* ---- totals ---- */

#define TOTALS_WORDS_OLD (1 + 4 + PLAN_KIND_COUNT + INDEX_LEN_MAX + 1 + 6) /* of format 3, as it is brought up */
#define TOTALS_WORDS (TOTALS_WORDS_OLD + LIMIT_NUMBER + 1)

static void totals_words(struct totals *t, uint64_t *word[TOTALS_WORDS])
{
    size_t n = 0;
    word[n++] = &t->side;
    for (size_t i = 0; i < 4; i++)
        word[n++] = &t->digest.lane[i];
    for (size_t i = 0; i < PLAN_KIND_COUNT; i++)
        word[n++] = &t->kinds[i];
    for (size_t i = 0; i <= INDEX_LEN_MAX; i++)
        word[n++] = &t->index_lens[i];
    word[n++] = &t->tombstones;
    word[n++] = &t->pending;
    word[n++] = &t->time.v;
    word[n++] = &t->floor.v;
    word[n++] = &t->log_count;
    word[n++] = &t->log_bytes;
    for (size_t i = 0; i <= LIMIT_NUMBER; i++)
        word[n++] = &t->name_lens[i];
    ASSERT(n == TOTALS_WORDS);
}

enum err totals_get(MDB_txn *txn, MDB_dbi meta, const char *name, struct totals *t)
{
    uint64_t *word[TOTALS_WORDS];
    struct slice content;
    *t = (struct totals){0};
    enum err e = record_get(txn, meta, slice_of(name), &content);
    if (e != ERR_OK) return e;
    if (content.n != TOTALS_WORDS * 8 && content.n != TOTALS_WORDS_OLD * 8) return ERR_CORRUPT;
    totals_words(t, word);
    for (size_t i = 0; i < content.n / 8; i++)
        *word[i] = get_be(content.p + i * 8, 8);
    return t->side <= 1 ? ERR_OK : ERR_CORRUPT;
}

enum err totals_put(struct env_write *w, const char *name, const struct totals *t)
{
    uint64_t *word[TOTALS_WORDS];
    char out[TOTALS_WORDS * 8];
    struct totals copy = *t;
    totals_words(&copy, word);
    for (size_t i = 0; i < TOTALS_WORDS; i++)
        put_be(out + i * 8, *word[i], 8);
    return env_put_one(w, PLAN_META, slice_of(name), (struct slice){out, sizeof out});
}

enum err totals_name(struct totals *t, const struct plan_object *o, bool add)
{
    if (o->kind != PLAN_ACCOUNT || !number_valid(o->account.name)) return ERR_OK;
    uint64_t *count = &t->name_lens[o->account.name.n];
    if (!add && *count == 0) return ERR_CORRUPT;
    *count = add ? *count + 1 : *count - 1;
    return ERR_OK;
}

/* ---- stored objects ---- */

#define OBJECT_TOMBSTONE 1
#define OBJECT_HEAD 18

enum err stored_object_parse(struct slice content, struct stored_object *o)
{
    *o = (struct stored_object){0};
    if (content.n < OBJECT_HEAD) return ERR_CORRUPT;
    size_t name_len = (unsigned char)content.p[17];
    if (name_len > LIMIT_NAME || content.n < OBJECT_HEAD + name_len) return ERR_CORRUPT;
    o->tombstone = (content.p[0] & OBJECT_TOMBSTONE) != 0;
    o->stamp.time.v = get_be(content.p + 1, 8);
    o->stamp.epoch = get_be(content.p + 9, 8);
    memcpy(o->stamp.origin.s, content.p + OBJECT_HEAD, name_len);
    o->packed = (struct slice){content.p + OBJECT_HEAD + name_len, content.n - OBJECT_HEAD - name_len};
    return ERR_OK;
}

enum err stored_object_put(struct env_write *w, MDB_cursor *c, struct slice key, const struct stored_object *o,
                           unsigned flags)
{
    char head[OBJECT_HEAD];
    struct slice origin = node_name_slice(&o->stamp.origin);
    head[0] = o->tombstone ? OBJECT_TOMBSTONE : 0;
    put_be(head + 1, o->stamp.time.v, 8);
    put_be(head + 9, o->stamp.epoch, 8);
    head[17] = (char)origin.n;
    struct slice parts[] = {{head, sizeof head}, origin, o->packed};
    return env_put(w, c, key, parts, 3, flags);
}

/* ---- keys ---- */

struct slice vector_key(const struct node_name *origin, uint64_t epoch, char out[LOG_KEY_MAX])
{
    size_t n = node_name_slice(origin).n;
    memcpy(out, origin->s, n + 1);
    put_be(out + n + 1, epoch, 8);
    return (struct slice){out, n + 9};
}

struct slice log_key(const struct log_id *id, char out[LOG_KEY_MAX])
{
    struct slice key = vector_key(&id->origin, id->epoch, out);
    put_be(out + key.n, id->seq, 8);
    key.n += 8;
    return key;
}

enum err log_key_parse(struct slice key, struct log_id *id)
{
    *id = (struct log_id){0};
    const char *end = key.n > 0 ? memchr(key.p, '\0', key.n) : NULL;
    if (end == NULL) return ERR_CORRUPT;
    size_t n = (size_t)(end - key.p);
    size_t rest = key.n - n - 1;
    if (n > LIMIT_NAME || (rest != 8 && rest != 16)) return ERR_CORRUPT;
    memcpy(id->origin.s, key.p, n);
    id->epoch = get_be(end + 1, 8);
    if (rest == 16) id->seq = get_be(end + 9, 8);
    return ERR_OK;
}

struct slice history_key(struct hlc time, const struct log_id *id, char out[HISTORY_KEY_MAX])
{
    struct slice key = log_key(id, out + 8);
    put_be(out, time.v, 8);
    return (struct slice){out, 8 + key.n};
}

enum err history_key_parse(struct slice key, struct hlc *time, struct log_id *id)
{
    if (key.n < 8) return ERR_CORRUPT;
    time->v = get_be(key.p, 8);
    return log_key_parse((struct slice){key.p + 8, key.n - 8}, id);
}

enum err tombstone_key(struct hlc time, struct slice key, char out[TOMBSTONE_KEY_MAX], struct slice *made)
{
    if (key.n > PLAN_KEY_MAX) return ERR_LIMIT;
    put_be(out, time.v, 8);
    memcpy(out + 8, key.p, key.n);
    *made = (struct slice){out, 8 + key.n};
    return ERR_OK;
}

enum err state_table_key(struct state_table_key *out, enum state_kind kind, struct slice key,
                         const struct node_name *owner)
{
    size_t plain = key.n <= STATE_KEY_PLAIN ? key.n : STATE_KEY_PLAIN;
    out->n = 0;
    out->p[out->n++] = (char)kind;
    if (plain > 0) memcpy(out->p + out->n, key.p, plain);
    out->n += plain;
    if (plain < key.n) {
        enum err e = hash_parts(HASH_SHA256, &key, 1, (unsigned char *)out->p + out->n);
        if (e != ERR_OK) return e;
        out->n += HASH_SHA256_LEN;
    }
    if (owner != NULL) {
        memcpy(out->p + out->n, owner->s, STATE_OWNER_LEN);
        out->n += STATE_OWNER_LEN;
    }
    return ERR_OK;
}
