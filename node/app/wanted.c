#include "node/app/wanted.h"

/* How many byte strings bulk holds. ERR_SYNTAX. */
static enum err bulk_count(struct slice bulk, size_t *count)
{
    struct slice item;
    enum err e;
    *count = 0;
    while ((e = control_bulk_take(&bulk, &item)) == ERR_OK)
        ++*count;
    return e == ERR_NOTFOUND ? ERR_OK : e;
}

/* What comes in bulk stands behind what comes as records. */
static void take_bulk(struct wanted *w, size_t put_at, struct slice puts, size_t delete_at, struct slice deletes)
{
    while (control_bulk_take(&puts, &w->puts[put_at].packed) == ERR_OK)
        put_at++;
    while (control_bulk_take(&deletes, &w->deletes[delete_at]) == ERR_OK)
        delete_at++;
}

enum err wanted_read(struct arena *arena, const struct control_record *args, struct wanted *out, struct err_info *info)
{
    const struct control_field *puts = control_find(args, "puts");
    const struct control_field *deletes = control_find(args, "deletes");
    struct slice bulk_puts = control_get_text(args, "bulk_puts");
    struct slice bulk_deletes = control_get_text(args, "bulk_deletes");
    size_t put_records = puts != NULL ? puts->item_count : 0;
    size_t delete_records = deletes != NULL ? deletes->item_count : 0;
    *out = (struct wanted){.put_count = 0};
    enum err e = bulk_count(bulk_puts, &out->put_count);
    if (e == ERR_OK) e = bulk_count(bulk_deletes, &out->delete_count);
    if (e != ERR_OK) return err_fail(info, e, "the objects of the request cannot be read");
    out->put_count += put_records;
    out->delete_count += delete_records;
    out->puts = arena_alloc(arena, (out->put_count + 1) * sizeof *out->puts);
    out->deletes = arena_alloc(arena, (out->delete_count + 1) * sizeof *out->deletes);
    if (out->puts == NULL || out->deletes == NULL) return ERR_NOMEM;
    take_bulk(out, put_records, bulk_puts, delete_records, bulk_deletes);
    for (size_t i = 0; i < put_records; i++) {
        out->puts[i] = (struct wanted_put){.packed = control_get_text(&puts->items[i], "packed"),
                                           .secret = control_get_text(&puts->items[i], "secret"),
                                           .keep = control_get_int(&puts->items[i], "keep", 0) != 0};
    }
    for (size_t i = 0; i < delete_records; i++)
        out->deletes[i] = control_get_text(&deletes->items[i], "key");
    return ERR_OK;
}
