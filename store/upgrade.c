/* upgrade: see upgrade.h.
 *
 * Format 4: the prefix index is kept in blocks, and totals count the names that are numbers. Before, each key of the
 * index was a record. Both are derived from the objects, and made anew from them; a snapshot that was put aside has
 * them too, and begins again in any case. */
#include "store/upgrade.h"

#include "store/index.h"

#define FORMAT_KEY_RECORDS 3 /* each key of the index a record */

enum err plan_upgrade(struct env_write *w, uint64_t from)
{
    struct totals t;
    if (from != FORMAT_KEY_RECORDS) return ERR_VERSION;
    enum err e = totals_get(w->txn, w->env->tables[PLAN_META], TOTALS, &t);
    bool empty = e == ERR_NOTFOUND;
    if (e == ERR_OK || empty) e = index_rebuild(w, &t);
    return e == ERR_OK && !empty ? totals_put(w, TOTALS, &t) : e;
}

enum err state_upgrade(struct env_write *w, uint64_t from)
{
    (void)w;
    return from == FORMAT_KEY_RECORDS ? ERR_OK : ERR_VERSION; /* nothing changed */
}
