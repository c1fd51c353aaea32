/* effect: where calls that were made would have gone if the plan had been another one: the plan of a reader with a
 * change laid over it, beside that plan without it.
 *
 * Both decisions see what the call's own record says was so: a target that was down, not registered or full then is so
 * here, everything else is well; hours are those of the call, and so is the Call-ID that weights look at. So what
 * differs comes from the change alone. It runs on a worker thread with a reader of its own. A call whose target another
 * node had named is that node's to count. */
#ifndef TANDEM_APP_EFFECT_H
#define TANDEM_APP_EFFECT_H

#include "node/app/wanted.h"
#include "node/base/map.h"
#include "node/plan/decide.h"
#include "node/plan/record.h"
#include "store/store.h"

struct effect_over; /* an object that the change puts or takes away */
struct effect_key;  /* an index key under which a changed route stands */

struct effect {
    struct store_read *read;
    struct slice site;    /* of the deciding node */
    struct arena arena;   /* of the change */
    struct map over;      /* struct effect_over by object key */
    struct map keys;      /* struct effect_key by index key */
    struct arena scratch; /* of one call */
};

/* Takes the change; texts are borrowed from w. read is begun. ERR_SYNTAX with info: an object does not stand up;
 * ERR_NOMEM. effect_fini is due in any case. */
MUST_CHECK enum err effect_init(struct effect *x, struct store_read *read, struct slice site, const struct wanted *w,
                                struct err_info *info);
void effect_fini(struct effect *x);

/* "trunk/pbx", "trunk/pbx as 0123", "answer 404". */
#define EFFECT_PLACE_TEXT (LIMIT_NAME + LIMIT_NUMBER + 32)
struct effect_places {
    char before[EFFECT_PLACE_TEXT];
    char after[EFFECT_PLACE_TEXT];
    bool moved;
};
/* decision: of the call, unpacked; NULL: its record has none. ERR_NOMEM, what the store says. */
MUST_CHECK enum err effect_of_call(struct effect *x, const struct call_record *r, const struct call_decision *decision,
                                   struct effect_places *out);

#endif
