#include "node/app/change_note.h"

#include <stdio.h>
#include <stdlib.h>

#include "node/app/node.h"

struct change_note {
    size_t count;
    size_t objects; /* of all of them */
    char id[CHANGE_ID_TEXT];
    char author[2 * LIMIT_NAME + 2]; /* user@node */
    char message[LIMIT_TEXT + 1];
};

struct change_note *change_note_new(const struct changeset *changes, size_t count)
{
    struct change_note *note = count > 0 ? malloc(sizeof *note) : NULL;
    if (note == NULL) return NULL;
    const struct changeset *last = &changes[count - 1];
    *note = (struct change_note){.count = count};
    for (size_t i = 0; i < count; i++)
        note->objects += changes[i].op_count;
    change_id_text(&last->id, note->id);
    (void)snprintf(note->author, sizeof note->author, "%.*s", SLICE_ARG(last->author));
    (void)snprintf(note->message, sizeof note->message, "%.*s", SLICE_ARG(last->message));
    return note;
}

void change_note_log(const struct change_note *note, const struct log *log)
{
    char more[40] = "";
    if (note == NULL) return;
    if (note->count > 1) (void)snprintf(more, sizeof more, " changes=%zu", note->count);
    log_event(log, LOG_INFO, "plan", "changed", "change=%s%s objects=%zu author=\"%s\" message=\"%s\"", note->id, more,
              note->objects, note->author, note->message);
}
