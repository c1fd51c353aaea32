/* change_note: what is said in the log of the changes that one job of the store writes, once they are on disk: their
 * bytes may be gone by then. */
#ifndef TANDEM_APP_CHANGE_NOTE_H
#define TANDEM_APP_CHANGE_NOTE_H

#include "node/base/log.h"
#include "node/repl/types.h"

struct change_note;

/* Of the last of them, and how many there are; the texts are copied. From malloc, to be freed. NULL: there are none, or
 * no memory: nothing is said then. */
struct change_note *change_note_new(const struct changeset *changes, size_t count);
/* One event; of NULL none. */
void change_note_log(const struct change_note *note, const struct log *log);

#endif
