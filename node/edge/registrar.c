#include "node/edge/registrar.h"

#include <stdio.h>
#include <stdlib.h>

#include "node/edge/gruu.h"
#include "node/edge/outbound.h"
#include "node/edge/proxy.h"
#include "node/edge/registrar_update.h"

/* One REGISTER from its proof to its 200. */
struct registration {
    struct list_node node;
    struct map_node by_account;
    struct edge *edge;
    struct relay *relay;         /* its server transaction; NULL once the edge has let go */
    struct arena arena;          /* of the rest */
    const struct wanted *wanted; /* what it asks for */
    struct slice lines;          /* of its 200, that repeat its own */
    const struct update *update; /* what is being written */
    uint64_t turn;               /* order of arrival */
    bool committing;
    bool removal;
};

/* So many keep their memory for those that come next. */
#define SPARE_MAX 128

struct registrar {
    struct arena reading; /* the request that is being read */
    struct list_node all;
    struct list_node spare;
    size_t spare_count;
    struct map by_account;
    size_t count;
    uint64_t turns;
    _Atomic uint64_t counts[RC_COUNT];
    struct counter_table table;
};

static void count(struct edge *e, enum registrar_counter which)
{
    counter_add(&e->registrar->counts[which], 1);
}

/* ---- life ---- */

enum err registrar_new(struct edge *e, struct registrar **out)
{
    static const char *const names[RC_COUNT] = {REGISTRAR_COUNTERS(COUNTER_NAME)};
    struct registrar *r = calloc(1, sizeof *r);
    if (r == NULL) return ERR_NOMEM;
    if (map_init(&r->by_account, 64, random_next(e->random)) != ERR_OK) {
        free(r);
        return ERR_NOMEM;
    }
    list_init(&r->all);
    list_init(&r->spare);
    r->table = (struct counter_table){"registrar", names, r->counts, RC_COUNT};
    *out = r;
    return ERR_OK;
}

void registrar_free(struct registrar *r)
{
    struct list_node *n = NULL;
    if (r == NULL) return;
    while ((n = list_pop(&r->spare)) != NULL) {
        struct registration *g = CONTAINER_OF(n, struct registration, node);
        arena_fini(&g->arena);
        free(g);
    }
    arena_fini(&r->reading);
    map_fini(&r->by_account);
    free(r);
}

size_t registrar_pending(const struct registrar *r)
{
    return r->count;
}

const struct counter_table *registrar_counters(const struct registrar *r)
{
    return &r->table;
}

/* Takes over the memory that its request was read into, and leaves what it had before. NULL: no memory. */
static struct registration *begin(struct registrar *r, struct arena *arena)
{
    struct list_node *spare = list_pop(&r->spare);
    struct registration *g = NULL;
    struct arena had = {0};
    if (spare != NULL) {
        g = CONTAINER_OF(spare, struct registration, node);
        r->spare_count--;
        had = g->arena;
    } else {
        g = malloc(sizeof *g);
        if (g == NULL) return NULL;
    }
    *g = (struct registration){.arena = *arena};
    *arena = had;
    return g;
}

static void put_by(struct registrar *r, struct registration *g)
{
    if (!POOL_KEEPS || r->spare_count >= SPARE_MAX) {
        arena_fini(&g->arena);
        free(g);
        return;
    }
    arena_reset(&g->arena);
    list_append(r->spare.next, &g->node); /* in front: the last one used is the first one used again, warm */
    r->spare_count++;
}

static void end(struct registration *g)
{
    struct registrar *r = g->edge->registrar;
    map_remove(&r->by_account, &g->by_account);
    list_remove(&g->node);
    r->count--;
    put_by(r, g);
}

void registrar_close(struct registrar *r)
{
    struct list_node *n = r->all.next;
    while (n != &r->all) {
        struct registration *g = CONTAINER_OF(n, struct registration, node);
        n = n->next;
        g->relay = NULL;
        if (!g->committing) end(g);
    }
}

/* ---- answers ---- */

static void answer(struct relay *relay, unsigned code, struct slice lines)
{
    proxy_relay_answer_lines(relay, NULL, code, lines);
    proxy_relay_settle(relay);
}

/* Appends the account's bindings as they are now. */
static enum err list_bindings(struct edge *e, struct slice account, bool gruu, struct buf *lines)
{
    struct arena scratch = {0};
    struct binding *list = NULL;
    size_t n = 0;
    enum err err = e->o.hooks.bindings(e->o.hooks.ctx, &scratch, account, &list, &n);
    if (err == ERR_NOTFOUND) err = ERR_OK;
    if (err == ERR_OK) registrar_update_list(list, n, edge_wall(), gruu ? e : NULL, lines);
    arena_fini(&scratch);
    return err == ERR_OK && lines->failed ? ERR_NOMEM : err;
}

/* RFC 3608: by which way out requests of the phone go: this node. */
static void add_service_route(const struct edge *e, uint8_t listener, struct buf *lines)
{
    const struct edge_place *p = &e->places[listener];
    if (!p->reachable) return;
    buf_text(lines, "Service-Route: <");
    buf_text(lines, p->uri);
    buf_text(lines, ";lr>\r\n");
}

/* made: what the update made of the bindings, where that is all of them; else they are read once more. */
static void answer_ok(struct registration *g, const struct update *made)
{
    struct edge *e = g->edge;
    enum err err = ERR_OK;
    buf_reset(&e->out);
    buf_text(&e->out, "SIP/2.0 200 OK\r\n");
    buf_slice(&e->out, g->lines);
    outbound_answer(g->wanted, &e->out);
    add_service_route(e, g->relay->from.listener, &e->out);
    if (made != NULL && made->whole) {
        registrar_update_list(made->puts, made->put_count, edge_wall(), g->wanted->gruu ? e : NULL, &e->out);
    } else {
        err = list_bindings(e, g->wanted->account, g->wanted->gruu, &e->out);
    }
    buf_text(&e->out, "Content-Length: 0\r\n\r\n");
    if (err == ERR_OK && !e->out.failed) {
        proxy_relay_send(g->relay, 200, buf_view(&e->out));
        proxy_relay_settle(g->relay);
    } else {
        answer(g->relay, 500, SLICE("Retry-After: 10\r\n"));
    }
}

/* ---- one after the other ---- */

/* The oldest registration of the account; with busy set, the one whose write is under way. */
static struct registration *of_account(const struct registrar *r, uint64_t hash, struct slice account, bool busy)
{
    struct registration *first = NULL;
    struct map_node *n = map_first(&r->by_account, hash);
    for (; n != NULL; n = map_next(n)) {
        struct registration *g = CONTAINER_OF(n, struct registration, by_account);
        if (!slice_eq(g->wanted->account, account) || g->committing != busy) continue;
        if (first == NULL || g->turn < first->turn) first = g;
    }
    return first;
}

static void serve(struct registration *g);

/* The end of one: then the account's next, if one has waited. */
static void finish(struct registration *g)
{
    struct edge *e = g->edge;
    char name[LIMIT_NAME + 1];
    struct slice account = {name, g->wanted->account.n};
    memcpy(name, g->wanted->account.p, account.n);
    uint64_t hash = g->by_account.hash;
    end(g);
    struct registration *next = e->closing ? NULL : of_account(e->registrar, hash, account, false);
    if (next != NULL && of_account(e->registrar, hash, account, true) == NULL) serve(next);
}

static void on_written(void *ctx, enum err err)
{
    struct registration *g = ctx;
    struct edge *e = g->edge;
    if (g->relay != NULL && err == ERR_OK) {
        count(e, g->removal ? RC_removed : RC_registered);
        answer_ok(g, g->update);
    } else if (g->relay != NULL) {
        count(e, RC_write_failed);
        log_event(e->log, LOG_WARN, "registrar", "write-failed", "account=%.*s err=\"%s\"",
                  SLICE_ARG(g->wanted->account), err_name(err));
        answer(g->relay, 500, SLICE("Retry-After: 10\r\n"));
    }
    finish(g);
    edge_close_step(e);
}

static void refuse_and_end(struct registration *g, enum registrar_counter why, unsigned code, struct slice lines)
{
    count(g->edge, why);
    answer(g->relay, code, lines);
    finish(g);
}

static void serve(struct registration *g)
{
    struct edge *e = g->edge;
    struct binding *old = NULL;
    size_t old_count = 0;
    struct update *u = arena_alloc(&g->arena, sizeof *u);
    const struct edge_hooks *h = &e->o.hooks;
    const struct wanted *w = g->wanted;
    enum err err =
        u != NULL ? h->bindings_known(h->ctx, &g->arena, w->account, w->call_id, &old, &old_count) : ERR_NOMEM;
    if (err == ERR_NOTFOUND) err = ERR_OK;
    if (err == ERR_OK) err = registrar_update_make(&g->arena, w, old, old_count, edge_wall(), u);
    if (err == ERR_CONFLICT) {
        refuse_and_end(g, RC_refused_order, 500, SLICE(""));
    } else if (err != ERR_OK) {
        refuse_and_end(g, RC_write_failed, 500, SLICE("Retry-After: 10\r\n"));
    } else if (u->put_count + u->remove_count == 0) {
        count(e, RC_unchanged);
        answer_ok(g, NULL);
        finish(g);
    } else {
        if (u->replaced) count(e, RC_replaced_oldest);
        g->removal = u->put_count == 0;
        g->update = u;
        g->committing = true;
        h->bindings_write(h->ctx, u->puts, u->put_count, u->removes, u->remove_count, on_written, g);
    }
}

/* ---- the request ---- */

struct register_request {
    struct edge *e;
    const struct flow *from;
    struct sip_view *v;
    struct arena *arena; /* of the registrar, until a registration takes it over */
    struct plan_account account;
};

static void refuse(struct register_request *q, enum registrar_counter why, unsigned code, struct slice lines)
{
    count(q->e, why);
    edge_answer_stateless(q->e, q->from, q->v, code, lines);
}

static bool proved(struct register_request *q)
{
    enum auth_verdict verdict = edge_auth(q->e, q->arena, q->from, q->v, SIP_AUTHORIZATION, &q->account);
    if (verdict == AUTH_OK) return true;
    if (verdict == AUTH_REFUSED) {
        refuse(q, RC_refused_auth, 403, SLICE(""));
    } else if (verdict != AUTH_DROPPED) {
        edge_challenge(q->e, q->from, q->v, false, verdict == AUTH_STALE);
    }
    return false;
}

/* How nearly all write it, "<sip:NAME@...", has nothing to take apart. */
static bool is_plainly(struct slice to, struct slice account)
{
    const struct slice begin = SLICE("<sip:");
    if (!slice_starts(to, begin) || to.n - begin.n <= account.n) return false;
    return to.p[begin.n + account.n] == '@' && slice_eq((struct slice){to.p + begin.n, account.n}, account);
}

static bool is_to(struct register_request *q, struct slice account)
{
    struct sip_name_addr to;
    struct slice text = sip_view_value(q->v, SIP_TO);
    if (is_plainly(text, account)) return true;
    return sip_name_addr_parse(q->arena, text, &to) == ERR_OK && slice_eq(to.uri.number, account);
}

/* An account registers itself and nobody else (RFC 3261 §10.3 item 4). */
static bool permitted(struct register_request *q)
{
    if (!is_to(q, q->account.name) || q->account.name.n > LIMIT_NAME) {
        refuse(q, RC_refused_other_account, 403, SLICE(""));
        return false;
    }
    return true;
}

static bool supported(struct register_request *q)
{
    struct slice rest = sip_view_value(q->v, SIP_REQUIRE);
    struct slice tag;
    while (sip_value_next(&rest, &tag)) {
        static const struct slice known[] = {{"path", 4}, {"gin", 3}, {"outbound", 8}, {"gruu", 4}};
        bool ours = false;
        for (size_t i = 0; i < sizeof known / sizeof known[0]; i++)
            ours = ours || slice_eq_nocase(tag, known[i]);
        if (ours) continue;
        buf_reset(&q->e->lines);
        buf_text(&q->e->lines, "Unsupported: ");
        buf_slice(&q->e->lines, tag);
        buf_text(&q->e->lines, "\r\n");
        refuse(q, RC_refused_require, 420, buf_view(&q->e->lines));
        return false;
    }
    return true;
}

static void answer_query(struct register_request *q)
{
    struct buf lines = {0};
    if (list_bindings(q->e, q->account.name, gruu_is_wanted(q->v), &lines) == ERR_OK) {
        count(q->e, RC_queries);
        edge_answer_stateless(q->e, q->from, q->v, 200, buf_view(&lines));
    } else {
        refuse(q, RC_write_failed, 500, SLICE("Retry-After: 10\r\n"));
    }
    buf_fini(&lines);
}

/* Enough for a phone that is impatient while a disk stalls; more is a flood. */
#define WAITING_MAX 16

static bool crowded(const struct registrar *r, uint64_t hash)
{
    size_t n = 0;
    struct map_node *m = map_first(&r->by_account, hash);
    for (; m != NULL && n <= WAITING_MAX; m = map_next(m))
        n++;
    return n > WAITING_MAX;
}

/* Takes the request in; it is served now or when the account's turn comes. */
static void enter(struct register_request *q, const struct wanted *wanted)
{
    struct edge *e = q->e;
    struct registrar *r = e->registrar;
    uint64_t hash = map_hash(&r->by_account, wanted->account);
    if (crowded(r, hash)) {
        refuse(q, RC_refused_waiting, 503, SLICE("Retry-After: 10\r\n"));
        return;
    }
    struct slice lines = SLICE_NONE;
    if (edge_response_lines(e, q->from, q->v) == ERR_OK) lines = arena_copy(&r->reading, buf_view(&e->out));
    struct relay *relay = lines.p != NULL ? proxy_relay_new(e, q->from, q->v) : NULL;
    struct registration *g = relay != NULL ? begin(r, &r->reading) : NULL;
    if (g == NULL) {
        edge_count(e, EC_no_memory);
        if (relay != NULL) proxy_relay_drop(relay);
        if (relay != NULL) proxy_relay_settle(relay);
        return;
    }
    g->edge = e;
    g->relay = relay;
    g->wanted = wanted;
    g->lines = lines;
    g->turn = ++r->turns;
    bool busy = of_account(r, hash, wanted->account, true) != NULL;
    map_insert(&r->by_account, &g->by_account, hash);
    list_append(&r->all, &g->node);
    r->count++;
    if (busy) {
        count(q->e, RC_waited);
    } else {
        serve(g);
    }
}

static void handle(struct register_request *q)
{
    enum registrar_counter why = RC_refused_contact;
    if (!proved(q) || !supported(q) || !permitted(q)) return;
    struct wanted *w = arena_alloc(q->arena, sizeof *w);
    if (w == NULL) {
        edge_count(q->e, EC_no_memory);
        return;
    }
    w->account = arena_copy(q->arena, q->account.name);
    w->max_contacts = q->account.max_contacts > 0 ? q->account.max_contacts : 1;
    w->has_numbers = q->account.number_count > 0;
    w->gruu = gruu_is_wanted(q->v);
    w->keepalive = q->account.keepalive;
    w->keepalive_every_ms = q->account.keepalive_every_ms;
    unsigned code = w->account.p != NULL ? registrar_wanted_read(q->e, q->arena, q->from, q->v, w, &why) : 500;
    size_t adds = 0;
    for (size_t i = 0; i < w->contact_count; i++)
        adds += w->contacts[i].expires_s > 0;
    if (code == 0 && adds > w->max_contacts) {
        code = 403;
        why = RC_refused_too_many;
    }
    if (code != 0) {
        buf_reset(&q->e->lines);
        if (code == 423) buf_text(&q->e->lines, "Min-Expires: 60\r\n");
        edge_reason_line(q->e, code, w->words);
        refuse(q, why, code, buf_view(&q->e->lines));
    } else if (w->contact_count == 0 && !w->all) {
        answer_query(q);
    } else {
        enter(q, w);
    }
}

void registrar_on_request(struct edge *e, const struct flow *from, struct sip_view *v)
{
    struct register_request q = {.e = e, .from = from, .v = v, .arena = &e->registrar->reading};
    count(e, RC_requests);
    handle(&q);
    arena_reset(q.arena);
}
