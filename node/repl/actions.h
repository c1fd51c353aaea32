/* actions: how the rooms of the core append to struct repl_actions (see step.h). Each returns NULL or ERR_NOMEM when
 * memory is out, and then nothing was appended. */
#ifndef TANDEM_REPL_ACTIONS_H
#define TANDEM_REPL_ACTIONS_H

#include "node/repl/batch.h"
#include "node/repl/step.h"

/* A zeroed action of this type. */
struct repl_action *repl_action_add(struct repl_actions *out, enum repl_action_type type);
/* The same for an action that will point into batch, which then lives until the actions are reset. */
struct repl_action *repl_action_add_held(struct repl_actions *out, enum repl_action_type type,
                                         struct repl_batch *batch);

#endif
