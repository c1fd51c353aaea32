#include "node/plan/record.h"

const char *call_state_name(enum call_state s)
{
    static const char *const names[] = {"trying", "ringing", "answered", "ended"};
    return (unsigned)s <= CALL_ENDED ? names[s] : "?";
}
