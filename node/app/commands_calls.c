/* commands_calls: calls and trace: live calls from memory, past ones from the store, the newest first.
 *
 * The store may hold a million records: they are read in pages, each of which looks at a bounded number, and calls go
 * on between two. */
#include "node/app/call_reply.h"

#include <stdlib.h>

#include "proto/record_codec.h"

#define PAGE_RECORDS 200
#define PAGE_LOOKS 2000
#define LIMIT_DEFAULT 100

struct listing {
    struct node *n;
    struct control_reply *reply;
    struct arena arena; /* of one record */
    /* what is asked for */
    struct slice number; /* the request's */
    struct slice call;   /* trace: a Call-ID or its beginning */
    int64_t since_ms;
    uint64_t limit; /* 0: none */
    bool live_only;
    bool trace;
    /* how far it is */
    uint64_t sent;
    size_t page_sent;
    size_t page_looks;
    char last[STORE_CALL_KEY];
    uint64_t below; /* of the live ones: calls_order of the last */
    enum { FROM_LIVE, FROM_ENDED, FROM_STORE } phase;
    bool started; /* last is set */
    bool more;
    bool enough;
};

static void listing_end(struct listing *l, enum err e)
{
    if (e == ERR_OK && l->trace && l->sent == 0) {
        control_reply_end(
            l->reply, 1,
            SLICE("no such call here; \"clusterctl calls\" lists them, with --node those of another node"));
    } else {
        command_end(l->reply, e);
    }
    arena_fini(&l->arena);
    free(l);
}

/* ---- which ones ---- */

static bool fits(const struct listing *l, const struct call_record *r)
{
    if (l->trace) return slice_starts(r->call_id, l->call);
    if (r->started.ms < l->since_ms) return false;
    return l->number.n == 0 || slice_starts(r->from, l->number) || slice_starts(r->dialled, l->number);
}

static void send_call(struct listing *l, const struct call_record *r, const char *state)
{
    if (!fits(l, r)) return;
    l->sent++;
    l->page_sent++;
    if (l->trace) {
        call_reply_trace(l->n, l->reply, &l->arena, r, state);
        l->enough = true;
        return;
    }
    call_reply(l->n, l->reply, &l->arena, r, state);
    l->enough = l->limit > 0 && l->sent >= l->limit;
}

/* The cheap part of fits, so that what is not asked for is not made into a record. */
static bool entry_fits(const struct listing *l, const struct call_entry *e)
{
    if (l->trace) return slice_starts(slice_of(e->call_id), l->call);
    return l->number.n == 0 || slice_starts(slice_of(e->from), l->number) ||
           slice_starts(slice_of(e->dialled), l->number);
}

static bool visit_memory(void *ctx, const struct call_entry *e)
{
    struct listing *l = ctx;
    struct call_room room;
    l->more = l->phase == FROM_LIVE &&
              (l->page_sent >= PAGE_RECORDS || control_reply_pending(l->reply) > CONTROL_PENDING_PAUSE);
    if (l->more) return false;
    if (e->state != CALL_ENDED) l->below = calls_order(e->id);
    if (!entry_fits(l, e)) return true;
    struct call_record r = call_entry_record(e, &room);
    arena_fini(&l->arena);
    send_call(l, &r, call_state_name(e->state));
    return !l->enough;
}

/* A record of an earlier run without an end: nobody saw it. */
static const char *stored_state(const struct call_record *r)
{
    return r->state == CALL_ENDED ? "ended" : "lost";
}

static bool visit_stored(void *ctx, struct slice key, struct slice value)
{
    struct listing *l = ctx;
    struct call_record r;
    struct wall started;
    uint32_t run = 0;
    uint32_t id = 0;
    l->more = l->page_sent >= PAGE_RECORDS || l->page_looks >= PAGE_LOOKS ||
              control_reply_pending(l->reply) > CONTROL_PENDING_PAUSE;
    if (l->more || l->enough) return false;
    memcpy(l->last, key.p, sizeof l->last);
    l->started = true;
    l->page_looks++;
    store_call_key_parse(key, &started, &run, &id);
    if (!l->trace && started.ms < l->since_ms) return false; /* and so are all that follow */
    uint64_t in_memory = run == l->n->records.run ? id : CALLS_EARLIER(run, id);
    if (calls_find(l->n->calls, in_memory) != NULL) return true; /* sent from there */
    arena_fini(&l->arena);
    if (call_record_unpack(&l->arena, value, &r) == ERR_OK) send_call(l, &r, stored_state(&r));
    return !l->enough;
}

/* ---- in pages ---- */

static enum err next_page(struct listing *l)
{
    struct slice before = l->started ? (struct slice){l->last, sizeof l->last} : SLICE("");
    if (l->phase == FROM_LIVE) {
        calls_each_live(l->n->calls, l->below, visit_memory, l);
        if (l->more || l->enough || l->live_only) return ERR_OK;
        l->phase = FROM_ENDED;
    }
    if (l->phase == FROM_ENDED) { /* those of the last second: one page, however long */
        l->page_sent = 0;
        calls_each_ended(l->n->calls, visit_memory, l);
        l->phase = FROM_STORE;
        if (l->enough) return ERR_OK;
        l->more = false;
        l->page_sent = 0;
    }
    return store_calls(l->n->read, before, visit_stored, l);
}

static void page(void *ctx, struct control_reply *reply)
{
    struct listing *l = ctx;
    bool gone = l->n->stopping || control_reply_gone(reply);
    enum err e = gone ? ERR_CLOSED : node_read_begin(l->n);
    if (e != ERR_OK) {
        listing_end(l, e);
        return;
    }
    l->page_sent = l->page_looks = 0;
    l->more = false;
    e = next_page(l);
    node_read_end(l->n);
    if (e == ERR_OK && l->more && !l->enough) {
        control_reply_on_drain(reply, page, l);
    } else {
        listing_end(l, e);
    }
}

static void listing_start(const struct listing *like)
{
    struct listing *l = malloc(sizeof *l);
    if (l == NULL) {
        command_end(like->reply, ERR_NOMEM);
        return;
    }
    *l = *like;
    l->below = UINT64_MAX;
    page(l, l->reply);
}

NODE_COMMAND(command_calls)
{
    const struct control_record *args = &request->args;
    int64_t since_ms = control_get_int(args, "since_ms", 0);
    int64_t limit = control_get_int(args, "limit", LIMIT_DEFAULT);
    struct listing l = {.n = ctx,
                        .reply = reply,
                        .number = control_get_text(args, "number"),
                        .since_ms = since_ms > 0 ? node_wall().ms - since_ms : INT64_MIN,
                        .limit = limit > 0 ? (uint64_t)limit : 0,
                        .live_only = control_get_int(args, "live", 0) != 0};
    listing_start(&l);
}

NODE_COMMAND(command_trace)
{
    struct listing l = {.n = ctx, .reply = reply, .call = control_get_text(&request->args, "call"), .trace = true};
    if (l.call.n == 0) {
        control_reply_end(reply, 2, SLICE("trace: name a call by its Call-ID, or by the beginning of it"));
        return;
    }
    listing_start(&l);
}
