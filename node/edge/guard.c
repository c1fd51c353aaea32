#include "node/edge/guard.h"

#include <stdio.h>
#include <stdlib.h>

#include "node/edge/client.h"
#include "node/edge/failures.h"
#include "node/edge/lockout.h"

/* The limits are well above what a person with a new telephone needs, and what a telephone does whose password was
 * changed: it tries for ever, but what it tries when it is locked hardly counts against its source. */
#define SLACK (LOCKOUT_GUESS / 2) /* what fades between the guesses of one who takes his time over them */
static const struct lockout_terms pair_terms = {600, 5 * LOCKOUT_GUESS - SLACK, 8 * LOCKOUT_GUESS};
static const struct lockout_terms account_terms = {3600, 100 * LOCKOUT_GUESS - SLACK, 150 * LOCKOUT_GUESS};
static const struct lockout_terms source_terms = {600, 30 * LOCKOUT_GUESS - SLACK, 30 * LOCKOUT_GUESS};
static const struct lockout_terms offender_terms = {86400, 20 * LOCKOUT_GUESS, 20 * LOCKOUT_GUESS};
#define LOCKED_GUESS (LOCKOUT_GUESS / 10)
#define AFTER_BAN (20 * LOCKOUT_GUESS) /* what a source begins with when its ban is over */

#define PAIR_SETS 4096
#define ACCOUNT_SETS 2048
#define SOURCE_SETS 4096
#define OFFENDER_SETS 512

struct held_ban {
    struct map_node by_source;
    struct sock_key source;
    struct mono until;
};

struct guard {
    struct lockout pairs;    /* account and source */
    struct lockout accounts; /* account, or account and the source where it is registered */
    struct lockout sources;
    struct lockout offenders; /* sources: how often they were banned lately */
    struct map bans;
    struct failures failures;
    _Atomic uint64_t counts[GC_COUNT];
    struct counter_table table;
};

static void count(struct guard *g, enum guard_counter which)
{
    counter_add(&g->counts[which], 1);
}

/* ---- life ---- */

enum err guard_new(struct edge *e, struct guard **out)
{
    static const char *const names[GC_COUNT] = {GUARD_COUNTERS(COUNTER_NAME)};
    struct guard *g = calloc(1, sizeof *g);
    if (g == NULL) return ERR_NOMEM;
    enum err err = map_init(&g->bans, 64, random_next(e->random));
    if (err == ERR_OK) err = lockout_init(&g->pairs, PAIR_SETS, &pair_terms);
    if (err == ERR_OK) err = lockout_init(&g->accounts, ACCOUNT_SETS, &account_terms);
    if (err == ERR_OK) err = lockout_init(&g->sources, SOURCE_SETS, &source_terms);
    if (err == ERR_OK) err = lockout_init(&g->offenders, OFFENDER_SETS, &offender_terms);
    if (err != ERR_OK) {
        guard_free(g);
        return err;
    }
    g->table = (struct counter_table){"guard", names, g->counts, GC_COUNT};
    *out = g;
    return ERR_OK;
}

static void drop_bans(struct guard *g)
{
    struct map_walk walk = {0};
    struct map_node *m = NULL;
    while (g->bans.buckets != NULL && (m = map_walk(&g->bans, &walk)) != NULL) {
        map_remove(&g->bans, m);
        free(CONTAINER_OF(m, struct held_ban, by_source));
    }
}

void guard_free(struct guard *g)
{
    if (g == NULL) return;
    drop_bans(g);
    map_fini(&g->bans);
    lockout_fini(&g->pairs);
    lockout_fini(&g->accounts);
    lockout_fini(&g->sources);
    lockout_fini(&g->offenders);
    free(g);
}

const struct counter_table *guard_counters(const struct guard *g)
{
    return &g->table;
}

/* ---- who is meant ---- */

struct keys {
    uint64_t source;
    uint64_t account;
    uint64_t pair;
    uint64_t at_home; /* the account as tried from where it is registered: in the table of accounts */
    uint32_t now_s;
};

static uint32_t seconds(const struct edge *e)
{
    return (uint32_t)(edge_now(e).us / 1000000);
}

static uint64_t source_hash(const struct guard *g, const struct sock_key *k)
{
    return map_hash(&g->bans, (struct slice){(const char *)k->bytes, sizeof k->bytes});
}

static struct keys keys_of(const struct edge *e, const struct flow *from, struct slice account)
{
    struct sock_key source;
    struct keys k = {.now_s = seconds(e)};
    sock_key_source(&source, &from->remote);
    k.source = source_hash(e->guard, &source);
    k.account = map_hash(&e->guard->bans, account);
    /* The source in the lower half, so that all of one source can be forgotten. */
    k.pair = k.account << 32 | (uint32_t)k.source;
    k.at_home = k.pair ^ UINT64_C(1) << 32;
    return k;
}

static bool is_at_home(const struct edge *e, const struct flow *from, struct slice account)
{
    const struct edge_hooks *h = &e->o.hooks;
    return h->registered_from != NULL && h->registered_from(h->ctx, account, &from->remote);
}

/* ---- locks ---- */

bool guard_locked(struct edge *e, const struct flow *from, struct slice account)
{
    struct guard *g = e->guard;
    struct keys k = keys_of(e, from, account);
    bool pair = lockout_is_locked(&g->pairs, k.pair, k.now_s);
    bool anywhere = lockout_is_locked(&g->accounts, k.account, k.now_s);
    if (!pair && !anywhere) return false;
    if (is_at_home(e, from, account) && !lockout_is_locked(&g->accounts, k.at_home, k.now_s)) {
        count(g, GC_passed_where_registered);
        return false;
    }
    count(g, GC_refused_locked);
    return true;
}

/* Adds a guess; true: that has locked the key. */
static bool locks(struct guard *g, struct lockout *l, uint64_t key, uint32_t now_s)
{
    bool before = lockout_is_locked(l, key, now_s);
    uint32_t score = lockout_add(l, key, LOCKOUT_GUESS, now_s);
    if (score == 0) count(g, GC_untracked);
    return !before && score >= l->terms.limit;
}

static void log_lock(const struct edge *e, const struct flow *from, struct slice account, bool everywhere)
{
    char source[SOURCE_TEXT];
    char name[LIMIT_NAME + 1];
    failures_safe_name(account, name);
    log_event(e->log, LOG_WARN, "guard", everywhere ? "account-locked" : "locked", "account=%s source=%s", name,
              sock_source_text(&from->remote, source));
}

/* What a failure adds to the source. */
static uint32_t charge(struct edge *e, const struct flow *from, struct slice account, const struct keys *k)
{
    struct guard *g = e->guard;
    bool was_locked = lockout_is_locked(&g->pairs, k->pair, k->now_s);
    if (locks(g, &g->pairs, k->pair, k->now_s)) {
        count(g, GC_accounts_locked);
        log_lock(e, from, account, false);
    }
    if (is_at_home(e, from, account)) {
        count(g, GC_failures_where_registered);
        (void)lockout_add(&g->accounts, k->at_home, LOCKOUT_GUESS, k->now_s);
        return 0;
    }
    /* One who goes on when he is locked out does not lock the account for everybody. */
    if (was_locked) return LOCKED_GUESS;
    if (locks(g, &g->accounts, k->account, k->now_s)) {
        count(g, GC_accounts_locked_everywhere);
        log_lock(e, from, account, true);
    }
    return LOCKOUT_GUESS;
}

static void ban_source(struct edge *e, const struct flow *from, const struct keys *k, struct slice account);

void guard_failed(struct edge *e, const struct flow *from, struct slice account, enum edge_failure why)
{
    struct guard *g = e->guard;
    struct keys k = keys_of(e, from, account);
    char source[SOURCE_TEXT];
    count(g, GC_failures);
    failures_note(&g->failures, k.source, sock_source_text(&from->remote, source), account, why, edge_wall());
    /* The right password at a locked account is no guess: the lock must end. */
    if (why == EDGE_FAILED_LOCKED) return;
    uint32_t score = charge(e, from, account, &k);
    if (score > 0 && lockout_add(&g->sources, k.source, score, k.now_s) >= g->sources.terms.limit)
        ban_source(e, from, &k, account);
}

void guard_proved(struct edge *e, const struct flow *from, struct slice account)
{
    struct keys k = keys_of(e, from, account);
    lockout_forget(&e->guard->pairs, k.pair);
}

/* ---- bans ---- */

static struct held_ban *find_ban(const struct guard *g, const struct sock_key *source)
{
    struct map_node *m = map_first(&g->bans, source_hash(g, source));
    for (; m != NULL; m = map_next(m)) {
        struct held_ban *b = CONTAINER_OF(m, struct held_ban, by_source);
        if (memcmp(b->source.bytes, source->bytes, sizeof source->bytes) == 0) return b;
    }
    return NULL;
}

static void add_ban(struct guard *g, const struct sock_key *source, struct mono until)
{
    struct held_ban *b = find_ban(g, source);
    if (b != NULL) {
        if (b->until.us < until.us) b->until = until;
        return;
    }
    b = g->bans.count < GUARD_BANS_MAX ? calloc(1, sizeof *b) : NULL;
    if (b == NULL) {
        count(g, GC_bans_left_out);
        return;
    }
    *b = (struct held_ban){.source = *source, .until = until};
    map_insert(&g->bans, &b->by_source, source_hash(g, source));
}

static bool is_trusted(struct edge *e, const struct flow *from)
{
    struct edge_source source = {.kind = EDGE_SOURCE_UNKNOWN};
    if (from->member) return true;
    e->o.hooks.source(e->o.hooks.ctx, &e->scratch, from, &source);
    return source.kind != EDGE_SOURCE_UNKNOWN || lines_is_registrar(e->registrations, from);
}

/* Twice as long as the last time, as far as that is remembered. */
static uint32_t ban_length_s(struct guard *g, const struct keys *k)
{
    uint32_t times = (lockout_add(&g->offenders, k->source, LOCKOUT_GUESS, k->now_s) + SLACK) / LOCKOUT_GUESS;
    uint32_t length_s = GUARD_BAN_S;
    for (; times > 1 && length_s < GUARD_BAN_MAX_S; times--)
        length_s *= 2;
    return length_s < GUARD_BAN_MAX_S ? length_s : GUARD_BAN_MAX_S;
}

static void ban_source(struct edge *e, const struct flow *from, const struct keys *k, struct slice account)
{
    struct guard *g = e->guard;
    char text[SOURCE_TEXT];
    char name[LIMIT_NAME + 1];
    char reason[LIMIT_NAME + 80];
    struct sock_key source;
    if (is_trusted(e, from)) return;
    failures_safe_name(account, name);
    sock_key_source(&source, &from->remote);
    (void)snprintf(reason, sizeof reason, "too many wrong proofs, the last for account %s", name);
    struct edge_ban ban = {.source = slice_of(sock_source_text(&from->remote, text)),
                           .left_s = ban_length_s(g, k),
                           .reason = slice_of(reason)};
    lockout_forget(&g->sources, k->source);
    (void)lockout_add(&g->sources, k->source, AFTER_BAN, k->now_s + ban.left_s);
    count(g, GC_bans);
    log_event(e->log, LOG_WARN, "guard", "banned", "source=%s for_s=%u account=%s", text, ban.left_s, name);
    add_ban(g, &source, mono_add_ms(edge_now(e), (uint64_t)ban.left_s * 1000));
    if (e->o.hooks.banned != NULL) e->o.hooks.banned(e->o.hooks.ctx, &ban);
}

/* Whose name the request comes in: of the credentials, or as it says itself. */
static struct slice named_account(struct arena *arena, const struct sip_view *v)
{
    static const enum sip_header proofs[] = {SIP_AUTHORIZATION, SIP_PROXY_AUTHORIZATION};
    struct sip_name_addr own;
    for (size_t i = 0; i < 2; i++) {
        struct sip_credentials c;
        struct slice value = sip_view_value(v, proofs[i]);
        if (value.p != NULL && sip_credentials_parse(arena, value, &c) == ERR_OK) return c.username;
    }
    enum sip_header id = v->method == SIP_REGISTER ? SIP_TO : SIP_FROM;
    return sip_name_addr_parse(arena, sip_view_value(v, id), &own) == ERR_OK ? own.uri.number : SLICE("");
}

static bool is_banned(struct edge *e, const struct flow *from)
{
    struct guard *g = e->guard;
    struct sock_key source;
    if (g->bans.count == 0) return false;
    sock_key_source(&source, &from->remote);
    struct held_ban *b = find_ban(g, &source);
    if (b == NULL) return false;
    if (mono_reached(edge_now(e), b->until)) {
        map_remove(&g->bans, &b->by_source);
        free(b);
        return false;
    }
    return !is_trusted(e, from);
}

static bool drops_banned(struct edge *e, const struct flow *from, struct slice account)
{
    if (is_at_home(e, from, account)) return false;
    count(e->guard, GC_dropped_banned);
    return true;
}

bool guard_drops(struct edge *e, const struct flow *from, const struct sip_view *v)
{
    if (!is_banned(e, from)) return false;
    if (drops_banned(e, from, named_account(&e->scratch, v))) return true;
    count(e->guard, GC_passed_banned);
    return false;
}

bool guard_drops_proof(struct edge *e, const struct flow *from, struct slice account)
{
    return is_banned(e, from) && drops_banned(e, from, account);
}

/* ---- what the node asks ---- */

void edge_bans_set(struct edge *e, const struct edge_ban *list, size_t n)
{
    drop_bans(e->guard);
    for (size_t i = 0; i < n; i++) {
        union sock_address a;
        struct sock_key source;
        if (sock_source_parse(list[i].source, &a) != ERR_OK) continue;
        sock_key_source(&source, &a);
        add_ban(e->guard, &source, mono_add_ms(edge_now(e), (uint64_t)list[i].left_s * 1000));
    }
}

bool edge_forgive(struct edge *e, struct slice source)
{
    struct guard *g = e->guard;
    union sock_address a;
    struct sock_key key;
    if (sock_source_parse(source, &a) != ERR_OK) return false;
    sock_key_source(&key, &a);
    uint64_t hash = source_hash(g, &key);
    struct held_ban *b = find_ban(g, &key);
    if (b != NULL) {
        map_remove(&g->bans, &b->by_source);
        free(b);
    }
    lockout_forget(&g->sources, hash);
    lockout_forget(&g->offenders, hash);
    lockout_forget_low(&g->pairs, (uint32_t)hash);
    lockout_forget_low(&g->accounts, (uint32_t)hash);
    failures_forget(&g->failures, hash);
    return true;
}

struct show {
    struct edge *e;
    void (*each)(void *ctx, const struct edge_failed *f);
    void *ctx;
};

static void show(void *ctx, const struct edge_failed *f)
{
    struct show *s = ctx;
    struct edge_failed shown = *f;
    struct flow from = {.transport = PLAN_UDP};
    struct sock_key source;
    if (sock_source_parse(f->source, &from.remote) == ERR_OK) {
        struct keys k = keys_of(s->e, &from, f->account);
        sock_key_source(&source, &from.remote);
        shown.locked = lockout_is_locked(&s->e->guard->pairs, k.pair, k.now_s);
        shown.banned = find_ban(s->e->guard, &source) != NULL;
    }
    s->each(s->ctx, &shown);
}

void edge_failures_each(struct edge *e, void (*each)(void *ctx, const struct edge_failed *f), void *ctx)
{
    struct show s = {e, each, ctx};
    failures_each(&e->guard->failures, edge_wall(), show, &s);
}

struct edge_guarded edge_guarded(const struct edge *e)
{
    const struct guard *g = e->guard;
    return (struct edge_guarded){.bans = g->bans.count, .locks = lockout_count(&g->pairs, seconds(e))};
}
