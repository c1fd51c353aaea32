/* flood: a change-set that has just become durable here goes on: one of our own to every linked peer, another's to our
 * neighbours on the rings, but not to the one that brought it and the one that made it. Peers that have it already drop
 * it by its id. So each node sends a change about eight times at most, except its origin in a full mesh. A push that is
 * lost, for whatever reason, is made good by the other rings, or by sync.c. */
#include "node/repl/rooms.h"

static bool wanted_by(const struct repl *r, const struct repl_batch *b, size_t i, const struct member *m)
{
    const struct batch_mark *mark = &b->marks[i];
    bool ours = node_name_eq(&b->changes[i].id.origin, &r->self);
    return mark->flood && (ours || m->peer->ring) && !node_name_eq(&mark->from, &m->name) &&
           !node_name_eq(&b->changes[i].id.origin, &m->name);
}

/* One message with what m wants from *at on, up to about LIMIT_MESH_CHUNK bytes. */
static bool push_some(struct repl *r, struct repl_batch *b, const struct member *m, size_t *at,
                      struct repl_actions *out)
{
    size_t end = *at;
    size_t count = 0;
    for (size_t bytes = 0; end < b->change_count; end++) {
        if (!wanted_by(r, b, end, m)) continue;
        if (count > 0 && bytes + b->marks[end].bytes > LIMIT_MESH_CHUNK) break;
        bytes += b->marks[end].bytes;
        count++;
    }
    if (count > 0) {
        struct changeset *changes = arena_alloc(&out->arena, count * sizeof *changes);
        struct repl_action *a = changes != NULL ? repl_send_add(r, out, m, REPL_PUSH, TOKEN_OTHER, b) : NULL;
        if (a == NULL) return false;
        size_t n = 0;
        for (size_t i = *at; i < end; i++) {
            if (wanted_by(r, b, i, m)) changes[n++] = b->changes[i];
        }
        a->message.push = (struct repl_push){.changes = changes, .change_count = count};
    }
    *at = end;
    return true;
}

bool repl_flood_flush(struct repl *r, struct repl_actions *out)
{
    struct changes *c = &r->changes;
    while (c->flood != NULL) {
        struct repl_batch *b = c->flood;
        bool said = true;
        for (size_t i = 0; said && i < r->members.peers.count; i++) {
            const struct member *m = r->members.peers.items[i];
            if (!m->peer->linked || repl_status_final(m->status)) continue;
            for (size_t at = 0; said && at < b->change_count;)
                said = push_some(r, b, m, &at, out);
        }
        c->flood = b->next;
        if (c->flood == NULL) c->flood_tail = &c->flood;
        repl_batch_drop(b);
        /* Without memory the rest of this batch goes unsaid: the roots will show it. */
        if (!said) return false;
    }
    return true;
}
