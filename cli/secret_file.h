/* secret_file: reading and writing small files that hold keys: modes, exclusive creation, whole or not at all.
 *
 * What is not here: what the files mean. Every error text names the file and says how to mend it. */
#ifndef TANDEM_CLI_SECRET_FILE_H
#define TANDEM_CLI_SECRET_FILE_H

#include <stdbool.h>
#include <sys/types.h>

#include "node/base/bytes.h"

#define SECRET_FILE_MAX 65536

/* The whole file, copied into arena. With is_secret a file that its group or others can read or write is refused
 * (ERR_AUTH). ERR_NOTFOUND, ERR_LIMIT over SECRET_FILE_MAX, ERR_IO, ERR_NOMEM. */
MUST_CHECK enum err secret_file_read(struct arena *arena, const char *path, bool is_secret, struct slice *out,
                                     struct err_info *info);
/* A new file with this mode, on disk when it returns. ERR_EXISTS (left as it is), ERR_IO (nothing is left behind). */
MUST_CHECK enum err secret_file_create(const char *path, struct slice content, mode_t mode, struct err_info *info);
/* The directory itself (not its parents), mode 0700; one that exists is kept. ERR_IO. */
MUST_CHECK enum err secret_dir_make(const char *path, struct err_info *info);
/* Makes what was created or renamed in the directory durable. ERR_IO. */
MUST_CHECK enum err secret_dir_sync(const char *path, struct err_info *info);

#endif
