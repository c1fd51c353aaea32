/* vectors: see vectors.h. */
#include "store/vectors.h"

static int log_cmp(const struct vector_entry *e, const struct node_name *origin, uint64_t epoch)
{
    int order = memcmp(&e->origin, origin, sizeof *origin);
    return order != 0 ? order : (e->epoch > epoch) - (e->epoch < epoch);
}

uint64_t vector_high(const struct vector_entry *v, size_t count, const struct node_name *origin, uint64_t epoch)
{
    size_t low = 0;
    size_t high = count;
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        int order = log_cmp(&v[mid], origin, epoch);
        if (order == 0) return v[mid].high;
        if (order < 0) {
            low = mid + 1;
        } else {
            high = mid;
        }
    }
    return 0;
}

enum err vector_each(struct env_write *w, enum err (*each)(void *ctx, const struct log_id *log, struct log_span span),
                     void *ctx)
{
    MDB_cursor *c = NULL;
    struct slice key = SLICE_NONE;
    struct slice content;
    enum err e = env_cursor(w, PLAN_VECTOR, &c);
    if (e != ERR_OK) return e;
    e = record_step(c, MDB_FIRST, &key, &content);
    while (e == ERR_OK) {
        struct log_id log;
        struct log_span span;
        e = log_key_parse(key, &log);
        if (e == ERR_OK) e = log_span_parse(content, &span);
        if (e == ERR_OK) e = each(ctx, &log, span);
        if (e != ERR_OK) break;
        e = record_step(c, MDB_NEXT, &key, &content);
    }
    mdb_cursor_close(c);
    return e == ERR_NOTFOUND ? ERR_OK : e;
}

enum err cut_write(struct env_write *w, const struct vector_entry *v, size_t count)
{
    enum err e = env_clear(w, PLAN_CUT);
    for (size_t i = 0; e == ERR_OK && i < count; i++) {
        char key[LOG_KEY_MAX];
        char high[8];
        put_be(high, v[i].high, sizeof high);
        e = env_put_one(w, PLAN_CUT, vector_key(&v[i].origin, v[i].epoch, key), (struct slice){high, sizeof high});
    }
    return e;
}
