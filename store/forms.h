/* forms: the routes of a number as the index has them, and those that a reader made lately.
 *
 * A plan of a million routes has few forms (index_block.h): making a route of a form's bytes takes longer than finding
 * them, and is done once. What stands in a slot depends on its bytes alone, so a change of the plan ends nothing.
 * Internal to store/. */
#ifndef TANDEM_STORE_FORMS_H
#define TANDEM_STORE_FORMS_H

#include "store/index.h"

#define FORM_SLOTS 256
#define FORM_KEPT_BYTES 256 /* of a form; longer ones are made each time, as are those of accounts, each its own */

struct form_cache {
    struct form_slot *slots[FORM_SLOTS]; /* NULL: empty */
};
void form_cache_fini(struct form_cache *cache);

/* The candidate that an entry says, of unknown health; its texts live in arena. ERR_CORRUPT, ERR_NOMEM. */
MUST_CHECK enum err form_candidate(struct form_cache *cache, struct arena *arena, const struct index_entry *entry,
                                   struct candidate *out);

#endif
