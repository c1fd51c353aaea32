/* commands_registrations: who is registered, where, and how it is reached. There may be a hundred thousand: they are
 * gathered on a worker thread and said in pages. */
#include "node/app/listing.h"
#include "node/app/reach.h"

#include <stdlib.h>

#include "proto/plan_codec.h"

struct found {
    struct node_name owner;
    struct slice key;   /* account NUL contact */
    struct slice value; /* of a binding of this node the private half, of another's the public one; packed */
};

struct registrations_listing {
    struct listing listing;
    struct found *items;
    size_t cap;
};

/* ---- on the worker ---- */

static bool add(struct registrations_listing *l, const struct node_name *owner, struct slice key, struct slice value)
{
    if (l->listing.count == l->cap) {
        size_t cap = l->cap == 0 ? 256 : l->cap * 2;
        struct found *grown = realloc(l->items, cap * sizeof *grown);
        if (grown == NULL) return false;
        l->items = grown;
        l->cap = cap;
    }
    struct found *f = &l->items[l->listing.count];
    *f = (struct found){
        .owner = *owner, .key = arena_copy(&l->listing.arena, key), .value = arena_copy(&l->listing.arena, value)};
    if (f->key.p == NULL || f->value.p == NULL) return false;
    l->listing.count++;
    return true;
}

static bool gather_own(void *ctx, struct slice key, struct slice value)
{
    struct registrations_listing *l = ctx;
    if (!add(l, &l->listing.n->self, key, value)) l->listing.err = ERR_NOMEM;
    return l->listing.err == ERR_OK;
}

/* What this node has itself is told by its private half: the others may not know of it, or not yet. */
static bool gather_other(void *ctx, const struct state_record *record)
{
    struct registrations_listing *l = ctx;
    if (node_name_eq(&record->owner, &l->listing.n->self)) return true;
    if (!add(l, &record->owner, record->key, record->value)) l->listing.err = ERR_NOMEM;
    return l->listing.err == ERR_OK;
}

static int by_account(const void *a, const void *b)
{
    const struct found *x = a;
    const struct found *y = b;
    size_t shorter = x->key.n < y->key.n ? x->key.n : y->key.n;
    int order = memcmp(x->key.p, y->key.p, shorter);
    if (order == 0) order = (x->key.n > y->key.n) - (x->key.n < y->key.n);
    return order != 0 ? order : memcmp(&x->owner, &y->owner, sizeof x->owner);
}

static enum err gather(struct listing *l)
{
    struct registrations_listing *r = CONTAINER_OF(l, struct registrations_listing, listing);
    l->err = ERR_OK;
    enum err e = store_private_each(l->read, STATE_BINDING, gather_own, l);
    if (e == ERR_OK) e = store_state_find(l->read, STATE_BINDING, SLICE(""), gather_other, l);
    if (l->count > 1) qsort(r->items, l->count, sizeof *r->items, by_account);
    return e == ERR_OK ? l->err : e;
}

/* ---- on the loop ---- */

/* Why callers are offered this binding, or are not. */
static const char *state_of(struct node *n, const struct found *f, const struct binding *b, bool in_plan, bool disabled)
{
    if (!in_plan) return "not in the plan";
    if (disabled) return "disabled";
    if (node_name_eq(&f->owner, &n->self)) return registrations_state(n, b);
    return repl_member_status(n->repl, &f->owner) == MEMBER_ALIVE ? "up" : "stale";
}

/* What leads to it: the account's numbers, or its name. */
static void number_field(struct control_builder *b, const struct plan_account *a, struct slice name)
{
    struct buf numbers = {0};
    for (size_t i = 0; a != NULL && i < a->number_count; i++)
        buf_printf(&numbers, "%s%.*s", i > 0 ? " " : "", SLICE_ARG(a->numbers[i]));
    control_text(b, "number", numbers.n > 0 ? buf_view(&numbers) : number_valid(name) ? name : SLICE(""));
    buf_fini(&numbers);
}

static void time_fields(struct control_builder *c, const struct binding *b, bool own)
{
    int64_t now = node_wall().ms;
    int64_t left_s = (b->expires.ms - now) / 1000;
    command_time(c, "since", b->since);
    control_int(c, "age_s", now > b->since.ms ? (now - b->since.ms) / 1000 : 0);
    if (own && b->expires.ms > 0) {
        control_int(c, "expires_s", left_s > 0 ? left_s : 0);
    } else {
        control_null(c, "expires_s");
    }
}

static void send_binding(struct node *n, struct control_reply *reply, struct arena *arena, const struct found *f)
{
    struct control_builder c;
    struct binding b;
    struct plan_object o;
    struct reach reach = {.nat = false};
    enum member_status owner = repl_member_status(n->repl, &f->owner);
    bool own = node_name_eq(&f->owner, &n->self);
    if (!own && (owner == MEMBER_LEFT || owner == MEMBER_EVICTED)) return; /* its registrations went with it */
    if (binding_unpack(arena, f->value, &b) != ERR_OK) return;
    bool known = reach_of(arena, &b, &reach) == ERR_OK;
    enum err e = plan_get(n, arena, PLAN_ACCOUNT, b.account, &o);
    control_record_start(&c, arena, "registration");
    number_field(&c, e == ERR_OK ? &o.account : NULL, b.account);
    control_text(&c, "account", b.account);
    control_text(&c, "node", node_name_slice(&f->owner));
    control_text(&c, "contact", b.contact);
    control_text(&c, "nat", slice_of(!known ? "?" : reach.nat ? "yes" : "no"));
    control_text(&c, "received", b.received);
    time_fields(&c, &b, own);
    control_text(&c, "user_agent", b.user_agent);
    control_text(&c, "state", slice_of(state_of(n, f, &b, e != ERR_NOTFOUND, e == ERR_OK && o.account.disabled)));
    command_record(reply, &c);
}

static void send_one(struct listing *l, size_t i)
{
    struct registrations_listing *r = CONTAINER_OF(l, struct registrations_listing, listing);
    struct arena arena = {0};
    if (node_read_begin(l->n) == ERR_OK) {
        send_binding(l->n, l->reply, &arena, &r->items[i]);
        node_read_end(l->n);
    }
    arena_fini(&arena);
}

static void end(struct listing *l)
{
    struct registrations_listing *r = CONTAINER_OF(l, struct registrations_listing, listing);
    free(r->items);
}

NODE_COMMAND(command_registrations)
{
    struct registrations_listing *r = calloc(1, sizeof *r);
    (void)request;
    if (r == NULL) {
        command_end(reply, ERR_NOMEM);
        return;
    }
    r->listing = (struct listing){.n = ctx, .reply = reply, .gather = gather, .send = send_one, .end = end};
    listing_start_take(&r->listing);
}
