/* plan_view: the plan of the replica, asked piece by piece (node/plan/view.h). */
#ifndef TANDEM_APP_PLAN_VIEW_H
#define TANDEM_APP_PLAN_VIEW_H

#include "node/plan/view.h"
#include "store/store.h"

struct stored_view {
    struct store_read *read;
    struct arena *arena;
    struct err_info *info;
};

/* Between begin and end of read, and for as long as they last. Objects live in arena. */
MUST_CHECK enum err stored_view_open(struct stored_view *s, struct store_read *read, struct arena *arena,
                                     struct err_info *info, struct plan_view *out);

#endif
