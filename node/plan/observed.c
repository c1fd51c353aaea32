#include "node/plan/observed.h"

const char *trunk_registration_state_name(enum trunk_registration_state s)
{
    static const char *const names[] = {"unregistered", "trying", "registered", "refused"};
    return (unsigned)s <= TRUNK_REFUSED ? names[s] : "?";
}
