/* commands_names: names: what a shell completes with: the names of one kind that begin with what is typed, at most
 * NAMES_MAX of them, so that a plan of a million objects costs no more than a small one. */
#include <stdio.h>

#include "node/app/node.h"
#include "proto/plan_codec.h"
#include "proto/record_codec.h"

#define NAMES_MAX 100
#define CALL_LOOKS 1000 /* records of calls, the newest, that are looked at */

struct names {
    struct node *n;
    struct control_reply *reply;
    struct slice begins; /* what a name begins with */
    struct slice prefix; /* keys: those that begin so; */
    bool whole;          /* the name is the whole key */
    struct slice last;   /* of matches: the one before, in room */
    char room[PLAN_KEY_MAX];
    size_t sent;
    size_t looks;
};

static bool send_name(struct names *s, struct slice name)
{
    struct arena arena = {0};
    struct control_builder b;
    control_record_start(&b, &arena, "name");
    control_text(&b, "name", name);
    command_record(s->reply, &b);
    arena_fini(&arena);
    return ++s->sent < NAMES_MAX;
}

static bool offer(struct names *s, struct slice name)
{
    return !slice_starts(name, s->begins) || send_name(s, name);
}

/* ---- the plan ---- */

static bool visit_object(void *ctx, struct slice key, struct slice packed)
{
    struct names *s = ctx;
    struct slice from = {s->room, s->prefix.n + s->begins.n};
    (void)packed;
    if (!slice_starts(key, from)) return false;
    return send_name(s, s->whole ? key : (struct slice){key.p + s->prefix.n, key.n - s->prefix.n});
}

/* Keys that begin with prefix and then with what is typed. */
static enum err send_keys(struct names *s, const char *prefix, bool whole)
{
    s->prefix = slice_of(prefix);
    s->whole = whole;
    if (s->prefix.n + s->begins.n > sizeof s->room || s->sent >= NAMES_MAX) return ERR_OK;
    memcpy(s->room, prefix, s->prefix.n);
    if (s->begins.n > 0) memcpy(s->room + s->prefix.n, s->begins.p, s->begins.n);
    return store_objects(s->n->read, (struct slice){s->room, s->prefix.n + s->begins.n}, false, visit_object, s);
}

/* Whole keys of these kinds: "trunk/hq-pbx". */
static enum err send_kinds(struct names *s, const char *const *kinds)
{
    struct slice typed = s->begins;
    enum err e = ERR_OK;
    for (size_t i = 0; e == ERR_OK && kinds[i] != NULL; i++) {
        struct slice kind = slice_of(kinds[i]);
        if (slice_starts(typed, kind)) {
            s->begins = (struct slice){typed.p + kind.n, typed.n - kind.n};
        } else if (slice_starts(kind, typed)) {
            s->begins = SLICE("");
        } else {
            continue;
        }
        e = send_keys(s, kinds[i], true);
    }
    return e;
}

/* Of routes that hold everywhere, each match once: route//MATCH/TARGET. */
static bool visit_match(void *ctx, struct slice key, struct slice packed)
{
    struct names *s = ctx;
    struct slice match;
    (void)packed;
    if (!slice_starts(key, SLICE("route//"))) return false;
    (void)slice_cut((struct slice){key.p + 7, key.n - 7}, '/', &match);
    if (!slice_starts(match, s->begins)) return false;
    if (slice_eq(match, s->last) || match.n > sizeof s->room) return true;
    memcpy(s->room, match.p, match.n);
    s->last = (struct slice){s->room, match.n};
    return send_name(s, match);
}

static enum err send_matches(struct names *s)
{
    char from[PLAN_KEY_MAX];
    int n = snprintf(from, sizeof from, "route//%.*s", SLICE_ARG(s->begins));
    if (n < 0 || (size_t)n >= sizeof from) return ERR_OK;
    return store_objects(s->n->read, (struct slice){from, (size_t)n}, false, visit_match, s);
}

static bool visit_change(void *ctx, const struct log_id *id, struct slice packed)
{
    struct names *s = ctx;
    char text[CHANGE_ID_TEXT];
    (void)packed;
    change_id_text(id, text);
    return offer(s, slice_of(text));
}

/* ---- the others ---- */

static void send_nodes(struct names *s)
{
    for (size_t i = 0; i < repl_member_count(s->n->repl); i++) {
        struct repl_member_view m = repl_member_at(s->n->repl, i);
        if (m.status == MEMBER_LEFT || m.status == MEMBER_EVICTED) continue;
        if (!offer(s, node_name_slice(&m.name))) return;
    }
}

static bool visit_call(void *ctx, const struct call_entry *e)
{
    return offer(ctx, slice_of(e->call_id));
}

static bool visit_call_record(void *ctx, struct slice key, struct slice value)
{
    struct names *s = ctx;
    struct arena arena = {0};
    struct call_record r;
    struct wall started;
    uint32_t run = 0;
    uint32_t id = 0;
    store_call_key_parse(key, &started, &run, &id);
    uint64_t in_memory = run == s->n->records.run ? id : CALLS_EARLIER(run, id);
    bool go_on = true;
    if (calls_find(s->n->calls, in_memory) == NULL && call_record_unpack(&arena, value, &r) == ERR_OK)
        go_on = offer(s, r.call_id);
    arena_fini(&arena);
    return go_on && ++s->looks < CALL_LOOKS;
}

/* Records leave the memory a second after a call has ended. */
static enum err send_calls(struct names *s)
{
    calls_each_live(s->n->calls, UINT64_MAX, visit_call, s);
    if (s->sent < NAMES_MAX) calls_each_ended(s->n->calls, visit_call, s);
    return s->sent < NAMES_MAX ? store_calls(s->n->read, SLICE(""), visit_call_record, s) : ERR_OK;
}

static enum err send_names(struct names *s, struct slice kind)
{
    static const char *const sources[] = {"account/", "trunk/", NULL};
    static const char *const targets[] = {"account/", "site/", "trunk/", NULL};
    static const char *const objects[] = {"account/", "defaults", "route/", "site/", "trunk/", NULL};
    if (slice_is(kind, "trunk")) return send_keys(s, "trunk/", false);
    if (slice_is(kind, "account")) return send_keys(s, "account/", false);
    if (slice_is(kind, "site")) return send_keys(s, "site/", false);
    if (slice_is(kind, "source")) return send_kinds(s, sources);
    if (slice_is(kind, "target")) return send_kinds(s, targets);
    if (slice_is(kind, "object")) return send_kinds(s, objects);
    if (slice_is(kind, "match")) return send_matches(s);
    if (slice_is(kind, "change")) return store_history(s->n->read, NAMES_MAX, visit_change, s);
    if (slice_is(kind, "call")) return send_calls(s);
    if (slice_is(kind, "node")) send_nodes(s);
    return ERR_OK;
}

NODE_COMMAND(command_names)
{
    struct node *n = ctx;
    struct names s = {.n = n, .reply = reply, .begins = control_get_text(&request->args, "begins")};
    enum err e = node_read_begin(n);
    if (e == ERR_OK) {
        e = send_names(&s, control_get_text(&request->args, "of"));
        node_read_end(n);
    }
    command_end(reply, e);
}
