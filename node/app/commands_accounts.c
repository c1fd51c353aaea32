/* commands_accounts: accounts: who is in the plan, whether he is registered, and his calls. In pages: there may be a
 * hundred thousand, and calls go on between two. */
#include "node/app/node.h"

#include <stdio.h>
#include <stdlib.h>

#include "proto/plan_codec.h"

#define PAGE_RECORDS 200

struct listing {
    struct node *n;
    struct control_reply *reply;
    struct arena arena;
    char last[PLAN_KEY_MAX];
    size_t last_len;
    size_t page;
    bool more;
};

struct contacts {
    const struct node *n;
    struct buf nodes;
    size_t count;
    bool live;
};

static bool visit_binding(void *ctx, const struct state_record *record)
{
    struct contacts *c = ctx;
    struct slice owner = node_name_slice(&record->owner);
    enum member_status status =
        node_name_eq(&record->owner, &c->n->self) ? MEMBER_ALIVE : repl_member_status(c->n->repl, &record->owner);
    if (status == MEMBER_EVICTED || status == MEMBER_LEFT) return true;
    c->live = c->live || status == MEMBER_ALIVE || status == MEMBER_SUSPECT;
    c->count++;
    if (c->nodes.n == 0 || memmem(c->nodes.p, c->nodes.n, owner.p, owner.n) == NULL)
        buf_printf(&c->nodes, "%s%.*s", c->nodes.n > 0 ? " " : "", SLICE_ARG(owner));
    return true;
}

static struct contacts contacts_of(const struct node *n, struct slice account)
{
    struct contacts c = {.n = n};
    char key[LIMIT_NAME + 1];
    memcpy(key, account.p, account.n);
    key[account.n] = '\0';
    (void)!store_state_find(n->read, STATE_BINDING, (struct slice){key, account.n + 1}, visit_binding, &c);
    return c;
}

static void send_account(struct listing *l, const struct plan_account *a)
{
    struct control_builder b;
    struct buf numbers = {0};
    char name[LIMIT_NAME + 16];
    struct contacts c = contacts_of(l->n, a->name);
    int len = snprintf(name, sizeof name, "account/%.*s", SLICE_ARG(a->name));
    struct usage_view use = usage_view(l->n->usage, (struct slice){name, (size_t)len});
    for (size_t i = 0; i < a->number_count; i++)
        buf_printf(&numbers, "%s%.*s", i > 0 ? " " : "", SLICE_ARG(a->numbers[i]));
    control_record_start(&b, &l->arena, "account");
    control_text(&b, "account", a->name);
    control_text(&b, "site", a->site);
    control_text(&b, "state",
                 slice_of(a->disabled   ? "disabled"
                          : c.live      ? "registered"
                          : c.count > 0 ? "stale"
                                        : "offline"));
    control_int(&b, "contacts", (int64_t)c.count);
    control_text(&b, "node", buf_view(&c.nodes));
    control_text(&b, "numbers", buf_view(&numbers));
    if (a->map.n > 0) {
        char state[400];
        maps_state(l->n, a->map, state, sizeof state);
        control_text(&b, "map", slice_of(state));
    } else {
        control_null(&b, "map");
    }
    control_int(&b, "calls", use.live);
    control_int(&b, "calls_limit", a->calls);
    control_int(&b, "refused", (int64_t)use.refused);
    command_record(l->reply, &b);
    buf_fini(&numbers);
    buf_fini(&c.nodes);
}

static bool visit_account(void *ctx, struct slice key, struct slice packed)
{
    struct listing *l = ctx;
    struct plan_object o;
    if (!slice_starts(key, SLICE("account/"))) return false;
    l->more = l->page == PAGE_RECORDS || control_reply_pending(l->reply) > CONTROL_PENDING_PAUSE;
    if (l->more || key.n > sizeof l->last) return false;
    arena_fini(&l->arena);
    if (plan_object_unpack_stored(&l->arena, packed, &o, NULL) == ERR_OK && o.kind == PLAN_ACCOUNT)
        send_account(l, &o.account);
    memcpy(l->last, key.p, key.n);
    l->last_len = key.n;
    l->page++;
    return true;
}

static void page(void *ctx, struct control_reply *reply)
{
    struct listing *l = ctx;
    bool gone = l->n->stopping || control_reply_gone(reply);
    enum err e = gone ? ERR_CLOSED : node_read_begin(l->n);
    l->page = 0;
    l->more = false;
    if (e == ERR_OK) {
        bool first = l->last_len == 0;
        struct slice from = first ? SLICE("account/") : (struct slice){l->last, l->last_len};
        e = store_objects(l->n->read, from, !first, visit_account, l);
        node_read_end(l->n);
    }
    if (e == ERR_OK && l->more) {
        control_reply_on_drain(reply, page, l);
        return;
    }
    command_end(reply, e);
    arena_fini(&l->arena);
    free(l);
}

NODE_COMMAND(command_accounts)
{
    struct listing *l = calloc(1, sizeof *l);
    (void)request;
    if (l == NULL) {
        command_end(reply, ERR_NOMEM);
        return;
    }
    l->n = ctx;
    l->reply = reply;
    page(l, reply);
}
