/* wanted: the objects that a request puts into the plan, and the keys that it takes out, as clusterctl sends them: as
 * records, and in bulk where they are many. */
#ifndef TANDEM_APP_WANTED_H
#define TANDEM_APP_WANTED_H

#include "node/app/plan_change.h"
#include "proto/control_codec.h"

struct wanted {
    struct wanted_put *puts;
    size_t put_count;
    struct slice *deletes; /* object keys */
    size_t delete_count;
};

/* The arrays are in arena, their texts those of args. ERR_SYNTAX with a text in info; ERR_NOMEM. */
MUST_CHECK enum err wanted_read(struct arena *arena, const struct control_record *args, struct wanted *out,
                                struct err_info *info);

#endif
