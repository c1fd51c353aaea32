/* client: birth, news and death of the lines, their clock, and the step that leads from what happened to what is sent.
 */
#include "node/edge/client_line.h"

#include <stdio.h>
#include <stdlib.h>

/* ---- what people see ---- */

static enum trunk_registration_state state_of(const struct line *l)
{
    if (l->reg.state == REGISTRATION_OFF || l->reg.state == REGISTRATION_LEAVING) {
        return l->started ? TRUNK_UNREGISTERED : TRUNK_TRYING;
    }
    if (registration_bound(&l->reg)) return TRUNK_REGISTERED;
    return l->reg.refused ? TRUNK_REFUSED : TRUNK_TRYING;
}

static struct edge_registration_view view_of(const struct line *l)
{
    bool bound = registration_bound(&l->reg);
    return (struct edge_registration_view){.trunk = l->o.trunk,
                                           .state = state_of(l),
                                           .since = l->since,
                                           .expires = bound ? l->expires : (struct wall){0},
                                           .granted_s = bound ? l->reg.granted_s : 0,
                                           .contact = slice_of(l->contact),
                                           .host = slice_of(l->at_host),
                                           .at = slice_of(l->at),
                                           .route = buf_view(&l->route),
                                           .reason = slice_of(l->reg.reason)};
}

static void log_change(const struct line *l, enum trunk_registration_state now)
{
    bool bad = now == TRUNK_REFUSED || (l->told == TRUNK_REGISTERED && now != TRUNK_UNREGISTERED);
    log_event(l->lines->edge->log, bad ? LOG_WARN : LOG_INFO, "client", "registration",
              "trunk=%.*s state=%s at=%s reason=\"%s\"", SLICE_ARG(l->o.trunk), trunk_registration_state_name(now),
              l->at, l->reg.reason);
}

/* A refresh that changes nothing is told to nobody. */
static void tell(struct line *l)
{
    struct lines *c = l->lines;
    const struct edge_hooks *h = &c->edge->o.hooks;
    enum trunk_registration_state now = state_of(l);
    bool moved = now != l->told;
    if (!moved && strcmp(l->reg.reason, l->told_reason) == 0) return;
    if (moved) {
        l->since = edge_wall();
        if (now == TRUNK_REGISTERED) lines_tally(c, CC_registered);
        if (now == TRUNK_REFUSED) lines_tally(c, CC_refused);
        log_change(l, now);
    }
    l->told = now;
    memcpy(l->told_reason, l->reg.reason, sizeof l->told_reason);
    struct edge_registration_view view = view_of(l);
    if (h->registration != NULL && !l->leaving) h->registration(h->ctx, &view);
}

/* ---- the clock ---- */

static void on_due(void *ctx, struct wheel_timer *t)
{
    struct lines *c = ctx;
    struct sip_timer *timer = CONTAINER_OF(t, struct sip_timer, timer);
    enum sip_tx_event ev;
    struct sip_tx *tx = NULL;
    switch (timer->id) {
    case LINE_DUE:
        line_step(CONTAINER_OF(timer, struct line, due), (struct registration_event){.type = REGISTRATION_DUE});
        break;
    case LINE_SILENCE: line_silence(CONTAINER_OF(timer, struct line, silence)); break;
    case LINE_KEEP: line_keep_alive(CONTAINER_OF(timer, struct line, keep)); break;
    default:
        tx = sip_tx_of_timer(timer, &ev);
        line_tx_event(CONTAINER_OF(tx, struct line, tx), ev);
        break;
    }
    (void)c;
}

void lines_wake(struct lines *c)
{
    if (!c->advancing && c->tx.wheel.count == 0) wheel_advance(&c->tx.wheel, lines_now(c), on_due, c);
}

static void on_timer(uv_timer_t *timer)
{
    struct lines *c = ((struct edge *)timer->data)->registrations;
    c->advancing = true;
    wheel_advance(&c->tx.wheel, lines_now(c), on_due, c);
    c->advancing = false;
    lines_arm(c);
}

void lines_arm(struct lines *c)
{
    if (!c->started || c->closing) return;
    struct mono next = wheel_next(&c->tx.wheel);
    if (next.us == UINT64_MAX) {
        (void)uv_timer_stop(&c->timer);
    } else {
        (void)uv_timer_start(&c->timer, on_timer, mono_ms_between(lines_now(c), next) + 1, 0);
    }
}

/* ---- birth and death ---- */

static void line_free(struct line *l)
{
    struct lines *c = l->lines;
    line_drop_request(l);
    sip_timer_stop(&c->tx, &l->due);
    sip_timer_stop(&c->tx, &l->keep);
    list_remove(&l->node);
    buf_fini(&l->route);
    secret_wipe((char *)(uintptr_t)l->o.password.p, l->o.password.n);
    arena_fini(&l->arena);
    free(l);
}

static void line_remove(struct line *l)
{
    if (!l->resolving) {
        line_free(l);
        return;
    }
    l->gone = true;
    list_remove(&l->node);
    list_append(&l->lines->removed, &l->node);
}

void line_resolved_gone(struct line *l)
{
    line_free(l);
}

/* Whether an older line of the trunk still stands at the registrar. */
static bool is_preceded(const struct line *l)
{
    struct lines *c = l->lines;
    for (struct list_node *n = c->list.next; n != &c->list && n != &l->node; n = n->next) {
        const struct line *older = CONTAINER_OF(n, struct line, node);
        if (slice_eq(older->o.trunk, l->o.trunk)) return true;
    }
    return false;
}

static void start(struct line *l)
{
    if (l->started || l->leaving || l->lines->edge->draining || is_preceded(l)) return;
    l->started = true;
    line_step(l, (struct registration_event){.type = REGISTRATION_START});
}

/* Nothing of it is left at the registrar. */
static void line_ended(struct line *l)
{
    struct lines *c = l->lines;
    lines_tally(c, CC_given_back);
    if (!l->leaving) return;
    line_remove(l);
    for (struct list_node *n = c->list.next, *next; n != &c->list; n = next) {
        next = n->next;
        start(CONTAINER_OF(n, struct line, node));
    }
}

/* ---- the step ---- */

static void carry_out_places(struct line *l, unsigned bits)
{
    if (bits & REGISTRATION_DO_FIRST_PLACE) line_first_place(l);
    if (bits & REGISTRATION_DO_NEXT_PLACE) line_next_place(l);
}

void line_step(struct line *l, struct registration_event ev)
{
    struct lines *c = l->lines;
    const char *problem = NULL;
    do {
        ev.now = lines_now(c);
        ev.random = random_next(c->edge->random);
        ev.more_places = line_more_places(l);
        unsigned bits = registration_step(&l->reg, &ev);
        carry_out_places(l, bits);
        problem = bits & REGISTRATION_DO_SEND ? line_send(l) : NULL;
        if (!registration_asks(&l->reg)) line_drop_request(l);
        if (bits & REGISTRATION_DO_TELL) tell(l);
        if (bits & REGISTRATION_DO_END) {
            line_ended(l);
            lines_arm(c);
            return;
        }
        ev = (struct registration_event){
            .type = REGISTRATION_UNREACHABLE, .words = problem, .rest_s = problem != NULL ? line_rest_s(l) : 0};
    } while (problem != NULL);
    lines_wake(c);
    struct mono due = registration_deadline(&l->reg);
    if (due.us == UINT64_MAX) {
        sip_timer_stop(&c->tx, &l->due);
    } else {
        sip_timer_start(&c->tx, &l->due, due);
    }
    lines_arm(c);
}

/* ---- the list ---- */

static bool same_settings(const struct edge_registration *a, const struct edge_registration *b)
{
    bool same = a->transport == b->transport && a->expires_s == b->expires_s && slice_eq(a->user, b->user) &&
                slice_eq(a->login, b->login) && slice_eq(a->domain, b->domain) && slice_eq(a->password, b->password) &&
                a->address_count == b->address_count;
    for (size_t i = 0; same && i < a->address_count; i++)
        same = slice_eq(a->address[i], b->address[i]);
    return same;
}

static struct line *find(const struct lines *c, struct slice trunk)
{
    for (struct list_node *n = c->list.next; n != &c->list; n = n->next) {
        struct line *l = CONTAINER_OF(n, struct line, node);
        if (!l->leaving && slice_eq(l->o.trunk, trunk)) return l;
    }
    return NULL;
}

static bool copy_settings(struct line *l, const struct edge_registration *o)
{
    struct arena *arena = &l->arena;
    struct slice *const texts[] = {&l->o.trunk, &l->o.user, &l->o.login, &l->o.domain, &l->o.password, &l->o.stale};
    struct slice *list = arena_alloc(arena, o->address_count * sizeof *list);
    l->o = *o;
    l->o.address = list;
    if (list == NULL) return false;
    for (size_t i = 0; i < o->address_count; i++) {
        list[i] = arena_copy(arena, o->address[i]);
        if (list[i].p == NULL) return false;
    }
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        *texts[i] = arena_copy(arena, *texts[i]);
        if (texts[i]->p == NULL) return false;
    }
    return true;
}

static struct line *line_new(struct lines *c, const struct edge_registration *o)
{
    struct line *l = calloc(1, sizeof *l);
    struct edge *e = c->edge;
    if (l == NULL) return NULL;
    l->lines = c;
    list_append(&c->list, &l->node);
    sip_timer_init(&l->due, LINE_DUE);
    sip_timer_init(&l->silence, LINE_SILENCE);
    sip_timer_init(&l->keep, LINE_KEEP);
    registration_init(&l->reg, o->expires_s);
    l->told = TRUNK_TRYING;
    l->since = edge_wall();
    l->tag = random_next(e->random);
    l->take_stale = o->stale.n > 0;
    (void)snprintf(l->call_id, sizeof l->call_id, "%016llx", (unsigned long long)random_next(e->random));
    if (!copy_settings(l, o) || sip_line_token(c->line_mac, o->trunk, e->o.node.name, l->token) != ERR_OK) {
        line_free(l);
        return NULL;
    }
    return l;
}

static void leave(struct line *l)
{
    l->leaving = true;
    if (!l->started) {
        line_remove(l);
    } else {
        line_step(l, (struct registration_event){.type = REGISTRATION_STOP});
    }
}

static enum err take(struct lines *c, const struct edge_registration *o)
{
    struct line *l = find(c, o->trunk);
    if (l != NULL && !same_settings(&l->o, o)) {
        leave(l);
        l = NULL;
    }
    if (l == NULL) l = line_new(c, o);
    if (l == NULL) {
        lines_tally(c, CC_no_memory);
        return ERR_NOMEM;
    }
    l->kept = true;
    l->o.inside = o->inside;
    l->o.hide = o->hide;
    return ERR_OK;
}

enum err edge_registrations_set(struct edge *e, const struct edge_registration *list, size_t list_count)
{
    struct lines *c = e->registrations;
    enum err err = ERR_OK;
    struct list_node *n = NULL;
    struct list_node *next = NULL;
    if (e->closing || e->draining) return ERR_CLOSED;
    for (n = c->list.next; n != &c->list; n = n->next)
        CONTAINER_OF(n, struct line, node)->kept = false;
    for (size_t i = 0; i < list_count; i++) {
        enum err one = take(c, &list[i]);
        if (one != ERR_OK) err = one;
    }
    for (n = c->list.next; n != &c->list; n = next) {
        struct line *l = CONTAINER_OF(n, struct line, node);
        next = n->next;
        if (!l->kept && !l->leaving) leave(l);
    }
    for (n = c->list.next; n != &c->list; n = next) {
        next = n->next;
        start(CONTAINER_OF(n, struct line, node));
    }
    return err;
}

bool edge_registration_find(const struct edge *e, struct slice trunk, struct edge_registration_view *out)
{
    const struct line *l = find(e->registrations, trunk);
    if (l != NULL) *out = view_of(l);
    return l != NULL;
}

void edge_registrations_each(const struct edge *e, bool (*each)(void *ctx, const struct edge_registration_view *v),
                             void *ctx)
{
    const struct lines *c = e->registrations;
    for (struct list_node *n = c->list.next; n != &c->list; n = n->next) {
        const struct line *l = CONTAINER_OF(n, struct line, node);
        struct edge_registration_view view = view_of(l);
        if (!l->leaving && !each(ctx, &view)) return;
    }
}

/* ---- life ---- */

enum err lines_new(struct edge *e, struct lines **out)
{
    static const char *const names[CC_COUNT] = {CLIENT_COUNTERS(COUNTER_NAME)};
    unsigned char key[HASH_KEY_LEN];
    struct lines *c = calloc(1, sizeof *c);
    if (c == NULL) return ERR_NOMEM;
    c->edge = e;
    list_init(&c->list);
    list_init(&c->removed);
    c->table = (struct counter_table){"client", names, c->counts, CC_COUNT};
    enum err err = sip_tx_table_init(&c->tx, random_next(e->random), edge_now(e));
    if (err != ERR_OK) {
        free(c);
        return err;
    }
    err = key_derive(e->o.cluster_key, "sip registered contact", key);
    if (err == ERR_OK) c->line_mac = mac_new(key);
    secret_wipe(key, sizeof key);
    if (c->line_mac == NULL) {
        sip_tx_table_fini(&c->tx);
        free(c);
        return ERR_NOMEM;
    }
    *out = c;
    return ERR_OK;
}

void lines_start(struct lines *c)
{
    (void)uv_timer_init(c->edge->loop, &c->timer); /* cannot fail */
    c->timer.data = c->edge;                       /* what the edge's close callback expects */
    uv_unref((uv_handle_t *)&c->timer);
    c->started = true;
}

void lines_stop(struct lines *c)
{
    for (struct list_node *n = c->list.next, *next; n != &c->list; n = next) {
        struct line *l = CONTAINER_OF(n, struct line, node);
        next = n->next;
        if (l->started) line_step(l, (struct registration_event){.type = REGISTRATION_STOP});
    }
}

size_t lines_pending(const struct lines *c)
{
    size_t pending = 0;
    for (struct list_node *n = c->list.next; n != &c->list; n = n->next)
        pending += registration_ending(&CONTAINER_OF(n, struct line, node)->reg);
    return pending;
}

bool lines_close(struct lines *c, uv_close_cb closed)
{
    for (struct list_node *n = c->list.next, *next; n != &c->list; n = next) {
        struct line *l = CONTAINER_OF(n, struct line, node);
        next = n->next;
        if (l->reg.state == REGISTRATION_STOPPING) line_silence(l);
    }
    c->closing = true;
    if (c->started) uv_close((uv_handle_t *)&c->timer, closed);
    return c->started;
}

void lines_free(struct lines *c)
{
    if (c == NULL) return;
    while (!list_empty(&c->list))
        line_free(CONTAINER_OF(c->list.next, struct line, node));
    while (!list_empty(&c->removed))
        line_free(CONTAINER_OF(c->removed.next, struct line, node));
    sip_tx_table_fini(&c->tx);
    mac_free(c->line_mac);
    buf_fini(&c->out);
    buf_fini(&c->auth);
    free(c);
}

const struct counter_table *lines_counters(const struct lines *c)
{
    return &c->table;
}
