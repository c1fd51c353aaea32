/* dialog: the table of dialogs that passed through, by Call-ID and the caller's tag.
 *
 * Pure. It knows which record a request inside a dialog belongs to, from either side; what the record is, is its
 * owner's (struct sip_dialog is a member of it). Forks of one INVITE share a record, because they share the caller's
 * tag; an INVITE that comes by several times, forked before us or sent back to us, has several. Routing does not depend
 * on it: a request inside a dialog is proved by its cookie, so that calls survive a restart.
 */
#ifndef TANDEM_SIP_DIALOG_H
#define TANDEM_SIP_DIALOG_H

#include "node/base/bytes.h"
#include "node/base/list.h"
#include "node/base/map.h"

struct sip_dialog {
    struct map_node node;
    struct slice call_id; /* borrowed from the owner, as long as it is linked */
    struct slice caller_tag;
};

struct sip_dialogs {
    struct map map;
};

MUST_CHECK enum err sip_dialogs_init(struct sip_dialogs *t, uint64_t seed);
void sip_dialogs_fini(struct sip_dialogs *t); /* frees the table, not the records */
/* d->call_id and d->caller_tag are set. */
void sip_dialogs_add(struct sip_dialogs *t, struct sip_dialog *d);
void sip_dialogs_remove(struct sip_dialogs *t, struct sip_dialog *d);
/* The dialog in which from_tag or to_tag is the caller's, and further ones. NULL. */
struct sip_dialog *sip_dialogs_find(const struct sip_dialogs *t, struct slice call_id, struct slice from_tag,
                                    struct slice to_tag);
struct sip_dialog *sip_dialogs_next(const struct sip_dialog *d, struct slice from_tag, struct slice to_tag);
static inline size_t sip_dialogs_count(const struct sip_dialogs *t)
{
    return t->map.count;
}

#endif
