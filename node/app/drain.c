/* drain: nodes that take no new calls because their operator wants so, for maintenance.
 *
 * A node says it in its card, so that it holds across restarts and everybody knows: routing.c offers no target there.
 * What is in progress goes on. What is kept here of the others is read again only when a card has changed, since it is
 * asked for every call. */
#include "node/app/node.h"

#include <stdlib.h>

#include "proto/control_codec.h"
#include "proto/plan_codec.h"

struct look {
    struct node *n;
    struct node_name *names;
    size_t count;
    bool own; /* our own card says that we are drained */
    enum err err;
};

static void add(struct look *l, const struct node_name *name)
{
    struct node_name *grown = realloc(l->names, (l->count + 1) * sizeof *grown);
    if (grown == NULL) {
        l->err = ERR_NOMEM;
        return;
    }
    l->names = grown;
    l->names[l->count++] = *name;
}

static bool visit_card(void *ctx, const struct state_record *record)
{
    struct look *l = ctx;
    struct arena arena = {0};
    struct node_card card;
    bool drained = slice_eq(record->key, node_name_slice(&record->owner)) &&
                   node_card_unpack(&arena, record->value, &card) == ERR_OK && card.drained;
    arena_fini(&arena);
    if (drained && node_name_eq(&record->owner, &l->n->self)) {
        l->own = true;
    } else if (drained) {
        add(l, &record->owner);
    }
    return l->err == ERR_OK;
}

static enum err look(struct node *n, bool *own)
{
    struct look l = {.n = n};
    enum err e = node_read_begin(n);
    if (e != ERR_OK) return e;
    e = store_state_find(n->read, STATE_NODE_CARD, SLICE(""), visit_card, &l);
    node_read_end(n);
    if (e == ERR_OK) e = l.err;
    if (e != ERR_OK) {
        free(l.names);
        return e;
    }
    free(n->drained_nodes);
    n->drained_nodes = l.names;
    n->drained_count = l.count;
    *own = l.own;
    return ERR_OK;
}

enum err drain_start(struct node *n)
{
    return look(n, &n->drained);
}

void drain_look(struct node *n)
{
    bool own = false;
    if (n->cards_due) n->cards_due = look(n, &own) != ERR_OK; /* else with the next state that is stored */
}

bool node_is_drained(const struct node *n, const struct node_name *name)
{
    for (size_t i = 0; i < n->drained_count; i++) {
        if (node_name_eq(&n->drained_nodes[i], name)) return true;
    }
    return false;
}

NODE_COMMAND(command_drain)
{
    struct node *n = ctx;
    struct arena arena = {0};
    struct control_builder b;
    bool off = control_get_int(&request->args, "off", 0) != 0;
    if (n->drained == off) {
        n->drained = !off;
        edge_refuse_new(n->edge, n->drained);
        log_event(&n->log, LOG_INFO, "node", "drain", "drained=%s calls=%u", off ? "no" : "yes",
                  edge_load(n->edge).calls);
        card_observe(n);
    }
    control_record_start(&b, &arena, "drained");
    control_text(&b, "node", slice_of(n->config.node));
    control_bool(&b, "drained", n->drained);
    control_int(&b, "calls", (int64_t)edge_load(n->edge).calls);
    control_int(&b, "registrations", (int64_t)registrations_count(n));
    command_record(reply, &b);
    arena_fini(&arena);
    control_reply_end(reply, 0, SLICE(""));
}
