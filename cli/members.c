#include "cli/members.h"

#include <stdlib.h>

#include "cli/conn.h"

static struct member *add(struct members *m)
{
    if (m->count == m->cap) {
        size_t cap = m->cap > 0 ? 2 * m->cap : 16;
        struct member *items = realloc(m->items, cap * sizeof *items);
        if (items == NULL) {
            m->failed = true;
            return NULL;
        }
        m->items = items;
        m->cap = cap;
    }
    m->items[m->count] = (struct member){.self = false};
    return &m->items[m->count++];
}

static void each(void *ctx, const struct control_record *r)
{
    struct members *m = ctx;
    struct slice status = control_get_text(r, "status");
    if (!slice_is(r->kind, "node") || slice_is(status, "left") || slice_is(status, "evicted") ||
        slice_is(status, "unknown")) {
        return;
    }
    struct member *one = add(m);
    if (one == NULL) return;
    (void)snprintf(one->name, sizeof one->name, "%.*s", SLICE_ARG(control_get_text(r, "node")));
    one->self = slice_is(control_get_text(r, "link"), "this node");
    one->alive = slice_is(status, "alive") || slice_is(status, "suspect");
}

int members_ask(struct cli *c, struct members *out)
{
    *out = (struct members){0};
    int status = conn_ask(c, &(struct conn_request){.command = "nodes", .each = each, .ctx = out});
    return status == CLI_DONE && out->failed ? cli_fail_err(c, ERR_NOMEM, NULL) : status;
}

void members_fini(struct members *m)
{
    free(m->items);
    *m = (struct members){0};
}
