#include "node/app/bans.h"

#include <stdio.h>
#include <stdlib.h>

#include "node/app/node.h"
#include "node/edge/address.h"
#include "proto/plan_codec.h"

struct own_ban {
    struct list_node node;
    char source[SOURCE_TEXT];
    char reason[160];
    struct wall since;
    struct wall until;
    struct mono end; /* a step of the calendar clock ends nothing */
    bool unsaid;     /* the others have not been told, or that could not be stored */
    bool over;
};

void bans_init(struct bans *b)
{
    *b = (struct bans){.due = true};
    list_init(&b->own);
}

static void drop(struct bans *b, struct own_ban *o)
{
    list_remove(&o->node);
    b->own_count--;
    free(o);
}

void bans_fini(struct bans *b)
{
    while (!list_empty(&b->own))
        drop(b, CONTAINER_OF(b->own.next, struct own_ban, node));
}

static struct own_ban *own_find(const struct bans *b, struct slice source)
{
    for (struct list_node *i = b->own.next; i != &b->own; i = i->next) {
        struct own_ban *o = CONTAINER_OF(i, struct own_ban, node);
        if (slice_is(source, o->source)) return o;
    }
    return NULL;
}

static struct own_ban *own_add(struct bans *b, const struct source_ban *ban)
{
    struct own_ban *o = calloc(1, sizeof *o);
    if (o == NULL) return NULL;
    int64_t left_ms = ban->until.ms - node_wall().ms;
    (void)snprintf(o->source, sizeof o->source, "%.*s", SLICE_ARG(ban->source));
    (void)snprintf(o->reason, sizeof o->reason, "%.*s", SLICE_ARG(ban->reason));
    o->since = ban->since;
    o->until = ban->until;
    o->end = mono_add_ms(node_mono(), left_ms > 0 ? (uint64_t)left_ms : 0);
    list_append(&b->own, &o->node);
    b->own_count++;
    return o;
}

/* ---- telling the others ---- */

static void stored(void *ctx, enum err err)
{
    struct node *n = ctx;
    if (err == ERR_OK) return;
    /* Which one is not said: all of them are told again with the next second. */
    for (struct list_node *i = n->bans.own.next; i != &n->bans.own; i = i->next)
        CONTAINER_OF(i, struct own_ban, node)->unsaid = true;
}

static void say(struct node *n, struct own_ban *o)
{
    struct buf packed = {0};
    struct source_ban ban = {
        .source = slice_of(o->source), .reason = slice_of(o->reason), .since = o->since, .until = o->until};
    o->unsaid = source_ban_pack(&ban, &packed) != ERR_OK;
    if (!o->unsaid) {
        struct slice value = o->over ? SLICE_NONE : buf_view(&packed);
        replica_observe(n, STATE_BAN, ban.source, value, o->over, stored, n);
    }
    buf_fini(&packed);
}

void bans_observe_again(struct node *n)
{
    for (struct list_node *i = n->bans.own.next; i != &n->bans.own; i = i->next)
        say(n, CONTAINER_OF(i, struct own_ban, node));
}

void bans_hook(void *ctx, const struct edge_ban *made)
{
    struct node *n = ctx;
    struct wall now = node_wall();
    struct source_ban ban = {made->source, made->reason, now, {now.ms + (int64_t)made->left_s * 1000}};
    struct own_ban *o = own_find(&n->bans, ban.source);
    if (o != NULL) drop(&n->bans, o);
    if (n->bans.own_count >= BANS_OWN_MAX) {
        struct own_ban *oldest = CONTAINER_OF(n->bans.own.next, struct own_ban, node);
        oldest->over = true;
        say(n, oldest);
        drop(&n->bans, oldest);
    }
    o = own_add(&n->bans, &ban);
    if (o != NULL) say(n, o);
}

/* ---- which bans hold ---- */

struct look {
    struct node *n;
    struct arena arena;
    struct edge_ban *list;
    size_t count;
    size_t cap;
};

static void hold(struct look *l, struct slice source, int64_t left_ms)
{
    if (l->count == l->cap || left_ms <= 0) return;
    l->list[l->count++] =
        (struct edge_ban){.source = arena_copy(&l->arena, source), .left_s = (uint32_t)((left_ms + 999) / 1000)};
}

static bool is_gone(enum member_status s)
{
    return s == MEMBER_LEFT || s == MEMBER_EVICTED;
}

static bool visit_other(void *ctx, const struct state_record *record)
{
    struct look *l = ctx;
    struct source_ban ban;
    if (node_name_eq(&record->owner, &l->n->self) || is_gone(repl_member_status(l->n->repl, &record->owner)))
        return true;
    if (source_ban_unpack(&l->arena, record->value, &ban) == ERR_OK) hold(l, ban.source, ban.until.ms - node_wall().ms);
    return l->count < l->cap;
}

static bool visit_own(void *ctx, const struct state_record *record)
{
    struct look *l = ctx;
    struct source_ban ban;
    if (!node_name_eq(&record->owner, &l->n->self)) return true;
    if (source_ban_unpack(&l->arena, record->value, &ban) != ERR_OK || own_find(&l->n->bans, ban.source) != NULL)
        return true;
    int64_t ahead_ms = ban.since.ms - node_wall().ms; /* the clock has been set back since: its length is what counts */
    if (ahead_ms > 0) {
        ban.since.ms -= ahead_ms;
        ban.until.ms -= ahead_ms;
    }
    struct own_ban *o = own_add(&l->n->bans, &ban);
    if (o != NULL) o->unsaid = ahead_ms > 0;
    return true;
}

/* Those of an earlier run; what is over ends with the look that follows. */
static enum err load(struct look *l)
{
    struct bans *b = &l->n->bans;
    if (b->loaded) return ERR_OK;
    enum err e = store_state_find(l->n->read, STATE_BAN, SLICE(""), visit_own, l);
    b->loaded = e == ERR_OK;
    return e;
}

static void end_own(struct node *n)
{
    struct list_node *i = n->bans.own.next;
    struct mono now = node_mono();
    while (i != &n->bans.own) {
        struct own_ban *o = CONTAINER_OF(i, struct own_ban, node);
        i = i->next;
        o->over = o->over || mono_reached(now, o->end);
        if (o->over || o->unsaid) say(n, o);
        if (o->over && !o->unsaid) drop(&n->bans, o);
    }
}

static void hold_own(struct look *l)
{
    const struct bans *b = &l->n->bans;
    for (struct list_node *i = b->own.next; i != &b->own; i = i->next) {
        const struct own_ban *o = CONTAINER_OF(i, struct own_ban, node);
        if (!o->over) hold(l, slice_of(o->source), (int64_t)mono_ms_between(node_mono(), o->end));
    }
}

#define HELD_MAX 4096

void bans_look(struct node *n)
{
    struct look l = {.n = n, .cap = HELD_MAX};
    struct bans *b = &n->bans;
    if (n->edge == NULL || n->stopping || (!b->due && b->own_count == 0 && b->others_count == 0)) return;
    b->due = false;
    l.list = arena_alloc(&l.arena, HELD_MAX * sizeof *l.list);
    enum err e = l.list != NULL ? node_read_begin(n) : ERR_NOMEM;
    if (e == ERR_OK) {
        e = load(&l);
        hold_own(&l);
        size_t own_count = l.count;
        if (e == ERR_OK) e = store_state_find(n->read, STATE_BAN, SLICE(""), visit_other, &l);
        b->others_count = l.count - own_count;
        node_read_end(n);
    }
    if (e == ERR_OK) edge_bans_set(n->edge, l.list, l.count);
    if (e != ERR_OK) b->due = true;
    arena_fini(&l.arena);
    end_own(n);
}

/* ---- where an account is registered ---- */

struct home {
    const struct node *n;
    struct sock_key source;
    bool found;
};

static bool visit_binding(void *ctx, const struct state_record *record)
{
    struct home *h = ctx;
    struct arena arena = {0};
    struct binding b;
    enum plan_transport transport;
    union sock_address from;
    struct sock_key source;
    bool gone = !node_name_eq(&record->owner, &h->n->self) && is_gone(repl_member_status(h->n->repl, &record->owner));
    if (!gone && binding_unpack(&arena, record->value, &b) == ERR_OK &&
        listen_parse(b.received, &transport, &from, NULL) == ERR_OK) {
        sock_key_source(&source, &from);
        h->found = memcmp(source.bytes, h->source.bytes, sizeof source.bytes) == 0;
    }
    arena_fini(&arena);
    return !h->found;
}

bool bans_registered_from_hook(void *ctx, struct slice account, const union sock_address *from)
{
    struct node *n = ctx;
    struct home h = {.n = n};
    char key[LIMIT_NAME + 1];
    if (account.n == 0 || account.n > LIMIT_NAME || memchr(account.p, '\0', account.n) != NULL) return false;
    memcpy(key, account.p, account.n);
    key[account.n] = '\0';
    sock_key_source(&h.source, from);
    if (node_read_begin(n) != ERR_OK) return false;
    (void)!store_state_find(n->read, STATE_BINDING, (struct slice){key, account.n + 1}, visit_binding, &h);
    node_read_end(n);
    return h.found;
}

/* ---- commands ---- */

struct sender {
    struct node *n;
    struct control_reply *reply;
    struct arena arena;
    char only[SOURCE_TEXT]; /* "" all */
};

static bool send_ban(void *ctx, const struct state_record *record)
{
    struct sender *s = ctx;
    struct source_ban ban;
    struct control_builder b;
    bool own = node_name_eq(&record->owner, &s->n->self);
    arena_fini(&s->arena);
    if (!own && is_gone(repl_member_status(s->n->repl, &record->owner))) return true;
    if (source_ban_unpack(&s->arena, record->value, &ban) != ERR_OK) return true;
    int64_t left_ms = ban.until.ms - node_wall().ms;
    if (left_ms <= 0 || (s->only[0] != '\0' && !slice_is(ban.source, s->only))) return true;
    control_record_start(&b, &s->arena, "ban");
    control_text(&b, "source", ban.source);
    control_text(&b, "node", node_name_slice(&record->owner));
    command_time(&b, "since", ban.since);
    control_int(&b, "left_s", (left_ms + 999) / 1000);
    control_text(&b, "reason", ban.reason);
    command_record(s->reply, &b);
    return !control_reply_gone(s->reply);
}

/* The source that the request names, in its one form. False: it is no address, and so answered. */
static bool read_source(const struct control_request *request, struct control_reply *reply, char out[SOURCE_TEXT])
{
    struct slice text = control_get_text(&request->args, "source");
    char words[160];
    union sock_address a;
    out[0] = '\0';
    if (text.n == 0) return true;
    if (sock_source_parse(text, &a) == ERR_OK) {
        (void)sock_source_text(&a, out);
        return true;
    }
    (void)snprintf(words, sizeof words, "\"%.*s\" is no address: write one as 'clusterctl bans' shows it, 192.0.2.7",
                   (int)(text.n < 60 ? text.n : 60), text.p);
    control_reply_end(reply, 2, slice_of(words));
    return false;
}

NODE_COMMAND(command_bans)
{
    struct node *n = ctx;
    struct sender s = {.n = n, .reply = reply};
    if (!read_source(request, reply, s.only)) return;
    enum err e = node_read_begin(n);
    if (e == ERR_OK) {
        e = store_state_find(n->read, STATE_BAN, SLICE(""), send_ban, &s);
        node_read_end(n);
    }
    arena_fini(&s.arena);
    command_end(reply, e);
}

/* This node's own ban of the source, and what it remembers of its failures. */
NODE_COMMAND(command_bans_remove)
{
    struct node *n = ctx;
    struct arena arena = {0};
    struct control_builder b;
    char source[SOURCE_TEXT];
    if (!read_source(request, reply, source)) return;
    struct own_ban *o = own_find(&n->bans, slice_of(source));
    bool banned = o != NULL && !o->over;
    if (banned) {
        o->over = true;
        log_event(&n->log, LOG_INFO, "guard", "unbanned", "source=%s", source);
    }
    (void)edge_forgive(n->edge, slice_of(source));
    bans_look(n);
    control_record_start(&b, &arena, "unbanned");
    control_text(&b, "source", slice_of(source));
    control_text(&b, "node", slice_of(n->config.node));
    control_bool(&b, "banned", banned);
    command_record(reply, &b);
    arena_fini(&arena);
    control_reply_end(reply, 0, SLICE(""));
}

static void send_failed(void *ctx, const struct edge_failed *f)
{
    struct sender *s = ctx;
    struct control_builder b;
    arena_fini(&s->arena);
    control_record_start(&b, &s->arena, "failed");
    control_text(&b, "source", f->source);
    control_text(&b, "account", f->account);
    control_text(&b, "reason", slice_of(edge_failure_text(f->why)));
    control_int(&b, "count", (int64_t)f->count);
    control_printf(&b, "per_min", "%llu.%llu", (unsigned long long)(f->milli_per_min / 1000),
                   (unsigned long long)(f->milli_per_min / 100 % 10));
    command_time(&b, "first", f->first);
    command_time(&b, "last", f->last);
    control_text(&b, "state", slice_of(f->banned ? "banned" : f->locked ? "locked" : ""));
    command_record(s->reply, &b);
}

NODE_COMMAND(command_registrations_failed)
{
    struct sender s = {.n = ctx, .reply = reply};
    (void)request;
    edge_failures_each(s.n->edge, send_failed, &s);
    arena_fini(&s.arena);
    command_end(reply, ERR_OK);
}
