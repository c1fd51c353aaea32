#include "node/sip/dialog.h"

/* Only the Call-ID is hashed: both sides' requests carry it, and the few dialogs that share one are told apart by tag.
 */
static uint64_t hash_of(const struct sip_dialogs *t, struct slice call_id)
{
    return map_hash(&t->map, call_id);
}

enum err sip_dialogs_init(struct sip_dialogs *t, uint64_t seed)
{
    return map_init(&t->map, 256, seed);
}

void sip_dialogs_fini(struct sip_dialogs *t)
{
    map_fini(&t->map);
}

void sip_dialogs_add(struct sip_dialogs *t, struct sip_dialog *d)
{
    map_insert(&t->map, &d->node, hash_of(t, d->call_id));
}

void sip_dialogs_remove(struct sip_dialogs *t, struct sip_dialog *d)
{
    map_remove(&t->map, &d->node);
}

static struct sip_dialog *first_of(struct map_node *n, struct slice call_id, struct slice from_tag, struct slice to_tag)
{
    for (; n != NULL; n = map_next(n)) {
        struct sip_dialog *d = CONTAINER_OF(n, struct sip_dialog, node);
        if (!slice_eq(d->call_id, call_id)) continue;
        if (slice_eq(d->caller_tag, from_tag) || slice_eq(d->caller_tag, to_tag)) return d;
    }
    return NULL;
}

struct sip_dialog *sip_dialogs_find(const struct sip_dialogs *t, struct slice call_id, struct slice from_tag,
                                    struct slice to_tag)
{
    return first_of(map_first(&t->map, hash_of(t, call_id)), call_id, from_tag, to_tag);
}

struct sip_dialog *sip_dialogs_next(const struct sip_dialog *d, struct slice from_tag, struct slice to_tag)
{
    return first_of(map_next(&d->node), d->call_id, from_tag, to_tag);
}
