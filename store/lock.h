/* lock: one process per data directory. DIR/lock is locked with flock for as long as its descriptor is open, and holds
 * the process id for people. Internal to store/. */
#ifndef TANDEM_STORE_LOCK_H
#define TANDEM_STORE_LOCK_H

#include "node/base/err.h"

/* Makes DIR (0700) when it is missing. ERR_EXISTS names the holder's pid and changes nothing. *fd is closed to unlock.
 */
MUST_CHECK enum err lock_take(const char *dir, int *fd, struct err_info *info);

#endif
