/* commands_trunks: trunks: one record for each address of each trunk and each node that says something of it, and one
 * for the registration of a trunk that registers.
 *
 * Arguments: limit, about so many records (those of one trunk stay together), and after, the trunk behind which to go
 * on: who shows them all the time, such as the operations page, takes them in pieces. */
#include "node/app/node.h"

#include <stdio.h>

#include "proto/plan_codec.h"

struct listing {
    struct node *n;
    struct control_reply *reply;
    struct arena arena;
    const struct plan_trunk *trunk;
    struct slice address;
    bool registration; /* not of an address, but of the trunk's registration */
    size_t told;       /* of this address */
    size_t sent;       /* records */
    size_t limit;      /* of them; 0: none */
    enum err err;
};

/* What one node says; state is for people. */
struct word {
    struct slice node;
    const char *state;
    struct wall since;
    uint32_t rtt_us;
    struct slice reason;
    struct wall expires; /* of a registration, or of a rest; {0}: no such time */
};

/* The calls of this node; another knows its own. */
static void limit_fields(const struct listing *l, struct control_builder *b, const struct word *w)
{
    char name[LIMIT_NAME + 16];
    const struct plan_trunk *t = l->trunk;
    bool own = slice_is(w->node, l->n->config.node);
    int n = snprintf(name, sizeof name, "trunk/%.*s", SLICE_ARG(t->name));
    struct usage_view use = usage_view(l->n->usage, (struct slice){name, (size_t)n});
    if (own) {
        control_int(b, "calls", use.live);
        control_int(b, "refused", (int64_t)use.refused);
    } else {
        control_null(b, "calls");
        control_null(b, "refused");
    }
    control_int(b, "calls_limit", t->calls);
    control_int(b, "rate_limit", t->rate_per_s);
}

static void send_word(struct listing *l, const struct word *w)
{
    struct arena arena = {0};
    struct control_builder b;
    control_record_start(&b, &arena, "trunk");
    control_text(&b, "trunk", l->trunk->name);
    control_text(&b, "site", l->trunk->site);
    if (w->node.n > 0) {
        control_text(&b, "node", w->node);
    } else {
        control_null(&b, "node");
    }
    control_text(&b, "address", l->address);
    control_text(&b, "what", l->registration ? SLICE("registration") : SLICE("address"));
    control_text(&b, "transport", slice_of(plan_transport_name(l->trunk->transport)));
    control_text(&b, "state", slice_of(w->state));
    command_time(&b, "since", w->since);
    command_time(&b, "expires", w->expires);
    if (w->rtt_us > 0) {
        control_int(&b, "rtt_us", w->rtt_us);
    } else {
        control_null(&b, "rtt_us");
    }
    control_text(&b, "reason", w->reason);
    limit_fields(l, &b, w);
    command_record(l->reply, &b);
    arena_fini(&arena);
    l->told++;
    l->sent++;
}

static const char *own_state(const struct edge_trunk *t)
{
    if (t->known && !t->up) return "down";
    if (t->rests_until.ms != 0) return "resting";
    if (t->suspect) return "suspect";
    if (t->known) return "up";
    return t->probe_ms > 0 ? "unknown" : "not probed";
}

static void send_own(struct listing *l)
{
    struct edge_trunk t;
    if (!edge_trunk_find(l->n->edge, l->trunk->name, l->address, &t)) return;
    struct word w = {slice_of(l->n->config.node), own_state(&t), t.since, t.rtt_us, t.reason, t.rests_until};
    send_word(l, &w);
}

static bool visit_health(void *ctx, const struct state_record *record)
{
    struct listing *l = ctx;
    struct trunk_health h;
    struct arena arena = {0};
    enum member_status owner = repl_member_status(l->n->repl, &record->owner);
    if (node_name_eq(&record->owner, &l->n->self) || owner == MEMBER_EVICTED || owner == MEMBER_LEFT) return true;
    if (trunk_health_unpack(&arena, record->value, &h) == ERR_OK && slice_eq(h.address, l->address) &&
        slice_eq(h.trunk, l->trunk->name)) {
        const char *state = owner == MEMBER_DEAD ? "stale" : h.up ? "up" : "down";
        struct word w = {node_name_slice(&record->owner), state, h.since, h.rtt_us, h.reason, {0}};
        send_word(l, &w);
    }
    arena_fini(&arena);
    return !control_reply_gone(l->reply);
}

static void send_address(struct listing *l)
{
    char key[LIMIT_NAME + 1];
    size_t n = l->trunk->name.n;
    l->told = 0;
    memcpy(key, l->trunk->name.p, n);
    key[n] = '\0';
    if (!l->trunk->disabled) {
        send_own(l);
        enum err e = store_state_find(l->n->read, STATE_TRUNK_HEALTH, (struct slice){key, n + 1}, visit_health, l);
        if (e != ERR_OK) l->err = e;
    }
    if (l->told > 0) return;
    struct word nobody = {.state = l->trunk->disabled       ? "disabled"
                                   : l->trunk->probe_ms > 0 ? "unknown"
                                                            : "not probed",
                          .reason = SLICE("")};
    send_word(l, &nobody);
}

/* ---- its registration ---- */

static const char *said_state(const struct node *n, const struct uac_claim *s)
{
    enum member_status owner = repl_member_status(n->repl, &s->owner);
    return owner == MEMBER_ALIVE || owner == MEMBER_SUSPECT ? trunk_registration_state_name(s->r.state) : "stale";
}

/* Who holds it; who does not says so only where nobody holds it. */
static void send_registration_words(struct listing *l, bool of_holders)
{
    struct trunk_registration own;
    struct edge_registration_view v;
    size_t count = 0;
    const struct uac_claim *said = uac_registration_others(l->n, &count);
    if (uac_registration_own_view(l->n, l->trunk->name, &own) && own.holds == of_holders) {
        struct word w = {
            slice_of(l->n->config.node), trunk_registration_state_name(own.state), own.since, 0, own.reason, {0}};
        if (edge_registration_find(l->n->edge, l->trunk->name, &v)) w.expires = v.expires;
        send_word(l, &w);
    }
    for (size_t i = 0; i < count; i++) {
        const struct uac_claim *s = &said[i];
        if (!slice_eq(s->r.trunk, l->trunk->name) || s->r.holds != of_holders) continue;
        struct word w = {node_name_slice(&s->owner), said_state(l->n, s), s->r.since, 0, s->r.reason, {0}};
        send_word(l, &w);
    }
}

/* "4930123@carrier.example" */
static void send_registration(struct listing *l)
{
    const struct plan_registration *r = &l->trunk->registration;
    struct address_host first;
    if (address_host_parse(l->trunk->address[0], &first, NULL) != ERR_OK) return;
    struct slice domain = r->domain.n > 0 ? r->domain : first.host;
    l->address = slice_of(arena_printf(&l->arena, "%.*s@%.*s", SLICE_ARG(r->user), SLICE_ARG(domain)));
    l->registration = true;
    l->told = 0;
    if (!l->trunk->disabled) {
        send_registration_words(l, true);
        if (l->told == 0) send_registration_words(l, false);
    }
    if (l->told == 0) {
        struct word nobody = {.state = l->trunk->disabled ? "disabled" : "unregistered", .reason = SLICE("")};
        send_word(l, &nobody);
    }
    l->registration = false;
}

static bool visit_trunk(void *ctx, struct slice key, struct slice packed)
{
    struct listing *l = ctx;
    struct plan_object o;
    if (!slice_starts(key, SLICE("trunk/"))) return false;
    arena_fini(&l->arena);
    if (plan_object_unpack_stored(&l->arena, packed, &o, NULL) != ERR_OK || o.kind != PLAN_TRUNK) return true;
    l->trunk = &o.trunk;
    for (size_t i = 0; i < o.trunk.address_count; i++) {
        l->address = o.trunk.address[i];
        send_address(l);
    }
    if (o.trunk.registration.set) send_registration(l);
    bool room = l->limit == 0 || l->sent < l->limit;
    return room && l->err == ERR_OK && !control_reply_gone(l->reply);
}

NODE_COMMAND(command_trunks)
{
    struct node *n = ctx;
    int64_t limit = control_get_int(&request->args, "limit", 0);
    struct slice after = control_get_text(&request->args, "after");
    struct listing l = {.n = n, .reply = reply, .limit = limit > 0 ? (size_t)limit : 0};
    char from[LIMIT_NAME + 16];
    if (after.n > LIMIT_NAME) after = SLICE("");
    int from_len = snprintf(from, sizeof from, "trunk/%.*s", SLICE_ARG(after));
    enum err e = node_read_begin(n);
    if (e == ERR_OK) {
        e = store_objects(n->read, (struct slice){from, (size_t)from_len}, after.n > 0, visit_trunk, &l);
        node_read_end(n);
    }
    arena_fini(&l.arena);
    command_end(reply, e == ERR_OK ? l.err : e);
}
