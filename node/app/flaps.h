/* flaps: which accounts come and go too often to be worth telling everybody (after RFC 2439).
 *
 * Each loss of a binding (it ended, or another contact took its place) adds one to its account's penalty, which halves
 * every FLAPS_HALF_LIFE_MS. An account that comes to FLAPS_DAMPED is damped until its penalty has fallen below
 * FLAPS_REUSE: its new bindings are not shown to the other nodes meanwhile. So a gateway on a bad line costs the
 * cluster a few messages, and callers elsewhere are led to the fallback and not to a phone that has just gone again.
 * Withdrawal is never delayed. A bounded table: when it is full, the account with the least penalty is forgotten. */
#ifndef TANDEM_APP_FLAPS_H
#define TANDEM_APP_FLAPS_H

#include "node/base/bytes.h"
#include "node/base/limits.h"
#include "node/base/time.h"

#define FLAPS_HALF_LIFE_MS 30000
#define FLAPS_DAMPED 6
#define FLAPS_REUSE 3
#define FLAPS_MOST 12 /* a penalty never grows beyond: two half-lives, and it is over */
#define FLAPS_ACCOUNTS 1024

struct flaps;
struct flaps *flaps_new(uint64_t seed); /* NULL: no memory */
void flaps_free(struct flaps *f);       /* NULL allowed */
/* A binding of the account has ended. */
void flaps_lost(struct flaps *f, struct slice account, struct mono now);
bool flaps_damped(struct flaps *f, struct slice account, struct mono now);

#endif
