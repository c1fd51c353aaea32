/* decide: see decide.h. plan_decide is the ladder; read it from the top. Everything it needs is in its arguments: it
 * allocates nothing, and equal input gives an equal decision on every node. */
#include "node/plan/decide.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

static const struct why {
    const char *name;
    const char *text;
} whys[WHY_COUNT] = {
    [WHY_CHOSEN] = {"chosen", "among the targets"},
    [WHY_SHORTER] = {"shorter", "a longer match was decided first"},
    [WHY_SCOPE] = {"scope", "it is scoped to another site, or a scoped route of equal length came first"},
    [WHY_LENGTH] = {"length", "the number is shorter or longer than its length: allows"},
    [WHY_HOURS] = {"hours", "it is outside its hours:"},
    [WHY_DISABLED] = {"disabled", "the route or its target is disabled"},
    [WHY_NOT_PERMITTED] = {"not-permitted", "it would lead back to where the call came from"},
    [WHY_LIMIT] = {"limit", "its target has reached its calls: or rate: limit"},
    [WHY_DOWN] = {"down", "its trunk does not answer its probe"},
    [WHY_RESTING] = {"resting", "its trunk has asked to be left alone for a while"},
    [WHY_NO_BINDING] = {"no-binding", "its account is not registered anywhere"},
    [WHY_NODE_GONE] = {"node-gone", "no live node serves its target"},
    [WHY_DRAINED] = {"drained", "every node that serves its target is drained"},
    [WHY_UNKNOWN_TARGET] = {"unknown-target", "its target is not in the plan"},
    [WHY_REWRITE] = {"rewrite", "strip: and prepend: leave no valid number"},
    [WHY_REJECTED] = {"rejected", "a reject target stands before it"},
    [WHY_REPEATED] = {"repeated", "the same target with the same number stands before it"},
    [WHY_TOO_MANY] = {"too-many", "more targets stand before it than one call tries"},
};

const char *decide_why_name(enum decide_why w)
{
    return (unsigned)w < WHY_COUNT ? whys[w].name : "unknown";
}
const char *decide_why_text(enum decide_why w)
{
    return (unsigned)w < WHY_COUNT ? whys[w].text : "unknown";
}

enum decide_why decide_why_of(struct slice name)
{
    unsigned w = 0;
    while (w < WHY_COUNT && !slice_is(name, whys[w].name))
        w++;
    return (enum decide_why)w;
}

/* ---- rule 1 ---- */

static bool rule_matches(const struct plan_rule *rule, struct slice number)
{
    if (rule->match.n == 0) return false;
    if (rule->match.p[0] != '=') return slice_starts(number, rule->match);
    return slice_eq((struct slice){rule->match.p + 1, rule->match.n - 1}, number);
}

/* Applies the first rule that matches to the number in out. */
static enum err apply_rules(const struct plan_rule *rules, size_t count, char out[LIMIT_NUMBER + 1], size_t *len,
                            int *matched)
{
    for (size_t i = 0; i < count; i++) {
        if (!rule_matches(&rules[i], (struct slice){out, *len})) continue;
        if (matched != NULL) *matched = (int)i;
        enum err e = number_rewrite((struct slice){out, *len}, rules[i].strip, rules[i].prepend, out, len);
        if (e != ERR_OK) return e;
        return number_valid((struct slice){out, *len}) ? ERR_OK : ERR_SYNTAX;
    }
    return ERR_OK;
}

enum err decide_normalise(struct slice dialled, const struct plan_rule *in, size_t in_count,
                          const struct plan_rule *dial, size_t dial_count, char out[LIMIT_NUMBER + 1], size_t *len,
                          int *matched_in, int *matched_dial)
{
    if (matched_in != NULL) *matched_in = -1;
    if (matched_dial != NULL) *matched_dial = -1;
    enum err e = number_normalise(dialled, out, len);
    if (e == ERR_OK) e = apply_rules(in, in_count, out, len, matched_in);
    if (e == ERR_OK) e = apply_rules(dial, dial_count, out, len, matched_dial);
    return e;
}

/* ---- rules 2 and 3: which candidates match, and in which order their groups are asked ---- */

/* Groups within one specificity, the one asked first highest. */
enum group { GROUP_NONE, GROUP_GLOBAL, GROUP_SCOPED, GROUP_NAMED, GROUP_COUNT };

static bool is_named(const struct decide_input *in, const struct candidate *c)
{
    return c->from_account && c->specificity > LIMIT_NUMBER && c->route.target.kind == PLAN_TO_ACCOUNT &&
           slice_eq(c->route.target.name, in->number);
}

/* Orders the groups of all lengths in one number; 0 is no group. */
static unsigned rank_of(const struct decide_input *in, const struct candidate *c)
{
    enum group g = is_named(in, c) ? GROUP_NAMED : c->route.scope.n > 0 ? GROUP_SCOPED : GROUP_GLOBAL;
    /* whatever the caller gave the account of that name, it is as long as an exact match */
    unsigned length = c->specificity <= LIMIT_NUMBER ? c->specificity : LIMIT_NUMBER + 1;
    return length * GROUP_COUNT + g;
}

static enum decide_why match(const struct decide_input *in, const struct candidate *c)
{
    const struct plan_route *r = &c->route;
    bool here = slice_eq(r->scope, in->site) || (in->source_site.n > 0 && slice_eq(r->scope, in->source_site));
    if (r->scope.n > 0 && !here) return WHY_SCOPE;
    if (r->length_min > in->number.n || (r->length_max != 0 && r->length_max < in->number.n)) return WHY_LENGTH;
    return WHY_SHORTER; /* until its group is asked */
}

/* The highest rank below the given one among those that match and were not asked yet; 0 when there is none. */
static unsigned next_rank(const struct decide_input *in, unsigned below)
{
    unsigned best = 0;
    for (size_t i = 0; i < in->candidate_count; i++) {
        const struct candidate *c = &in->candidates[i];
        unsigned rank = rank_of(in, c);
        if (c->why == WHY_SHORTER && rank < below && rank > best) best = rank;
    }
    return best;
}

/* ---- rule 4 ---- */

static bool is_source(struct slice source, const struct plan_target *t)
{
    struct slice kind;
    struct slice name = slice_cut(source, '/', &kind);
    return t->kind != PLAN_TO_REJECT && slice_is(kind, plan_target_kind_name(t->kind)) && slice_eq(name, t->name);
}

static enum decide_why health_why(enum target_health health)
{
    switch (health) {
    case TARGET_UP: return WHY_CHOSEN;
    case TARGET_DOWN: return WHY_DOWN;
    case TARGET_RESTING: return WHY_RESTING;
    case TARGET_NO_BINDING: return WHY_NO_BINDING;
    case TARGET_NODE_GONE: return WHY_NODE_GONE;
    case TARGET_DRAINED: return WHY_DRAINED;
    case TARGET_AT_LIMIT: return WHY_LIMIT;
    case TARGET_UNKNOWN: break;
    }
    return WHY_UNKNOWN_TARGET;
}

static bool rewrite(const struct decide_input *in, const struct candidate *c, struct decided_target *t)
{
    enum err e = number_rewrite(in->number, c->route.strip, c->route.prepend, t->number, &t->number_len);
    return e == ERR_OK && number_valid((struct slice){t->number, t->number_len});
}

static enum decide_why drop(const struct decide_input *in, const struct candidate *c)
{
    struct decided_target scratch;
    bool reject = c->route.target.kind == PLAN_TO_REJECT;
    if (!hours_contain(c->route.hours, in->now)) return WHY_HOURS;
    if (c->route.disabled) return WHY_DISABLED;
    if (reject) return WHY_CHOSEN;
    if (c->health == TARGET_UNKNOWN) return WHY_UNKNOWN_TARGET;
    if (c->target_disabled) return WHY_DISABLED;
    if (is_source(in->source, &c->route.target)) return WHY_NOT_PERMITTED;
    if (c->health != TARGET_UP) return health_why(c->health);
    return rewrite(in, c, &scratch) ? WHY_CHOSEN : WHY_REWRITE;
}

/* An account's numbers exist exactly as long as it has a binding. */
static bool is_withdrawn(const struct decide_input *in, const struct candidate *c)
{
    return c->from_account && !is_named(in, c) && (c->why == WHY_NO_BINDING || c->why == WHY_DISABLED);
}

/* What the groups asked so far left behind: for the answer when nobody is left. */
struct tally {
    unsigned asked;  /* candidates of the current match length */
    unsigned held;   /* of them dropped, other than withdrawn */
    bool overflow;   /* one of those says overflow */
    bool overflowed; /* a longer match was left that way */
    bool known;      /* somebody would have answered, but is offline at present */
    bool limited;    /* a limit was the reason, or a rest: somebody can be reached soon */
};

/* Rule 4 for one group; returns how many stand, and whether one of them is not stale. */
static unsigned ask(const struct decide_input *in, unsigned rank, struct tally *t, bool *fresh)
{
    unsigned standing = 0;
    *fresh = false;
    for (size_t i = 0; i < in->candidate_count; i++) {
        struct candidate *c = &in->candidates[i];
        if (c->why != WHY_SHORTER || rank_of(in, c) != rank) continue;
        c->why = drop(in, c);
        t->asked++;
        if (c->why == WHY_CHOSEN) {
            standing++;
            *fresh = *fresh || !c->stale;
            continue;
        }
        if (!is_withdrawn(in, c)) {
            t->held++;
            t->overflow = t->overflow || c->route.overflow;
        }
        t->limited = t->limited || c->why == WHY_LIMIT || c->why == WHY_RESTING;
        t->known = t->known || (c->why != WHY_UNKNOWN_TARGET && c->why != WHY_NOT_PERMITTED && c->why != WHY_REWRITE);
    }
    return standing;
}

/* ---- rule 5 ---- */

/* -log2(h / 2^64) in units of 2^-20: 1 .. 2^26. A logarithm in fixed point, so that all machines agree. */
static uint64_t minus_log2(uint64_t h)
{
    uint64_t whole = 63;
    uint64_t fraction = 0;
    h |= 1;
    while ((h & UINT64_C(0x8000000000000000)) == 0) {
        h <<= 1;
        whole--;
    }
    uint64_t m = h >> 32; /* 1 <= m / 2^31 < 2 */
    for (int bit = 0; bit < 20; bit++) {
        m = m * m >> 31;
        fraction = fraction << 1 | m >> 32;
        if (m >> 32 != 0) m >>= 1;
    }
    return (UINT64_C(64) << 20) - (whole << 20 | fraction);
}

/* Weighted rendezvous: each target draws for this call; the greatest weight / -log(draw) is first, which happens with
 * probability weight / sum. A target that comes or goes does not reorder the others. */
static bool draws_before(const struct decide_input *in, const struct candidate *a, const struct candidate *b, bool *tie)
{
    XXH64_hash_t seed = XXH3_64bits(in->call_id.p, in->call_id.n);
    uint64_t draw_a = minus_log2(
        XXH3_64bits_withSeed(a->route.target.name.p, a->route.target.name.n, seed + (uint64_t)a->route.target.kind));
    uint64_t draw_b = minus_log2(
        XXH3_64bits_withSeed(b->route.target.name.p, b->route.target.name.n, seed + (uint64_t)b->route.target.kind));
    uint64_t left = a->route.weight * draw_b; /* weights are below 2^20 */
    uint64_t right = b->route.weight * draw_a;
    *tie = left == right;
    return left > right;
}

static int compare_numbers(uint32_t a, uint32_t b)
{
    return (a > b) - (a < b);
}

/* The rest of a route's identity: only two copies of one candidate are equal in all of it. */
static int compare_identity(const struct candidate *a, const struct candidate *b)
{
    int order = slice_cmp(a->route.target.name, b->route.target.name);
    if (order == 0) order = compare_numbers(a->route.target.kind, b->route.target.kind);
    if (order == 0) order = compare_numbers(a->route.target.code, b->route.target.code);
    if (order == 0) order = slice_cmp(a->route.scope, b->route.scope);
    if (order == 0) order = slice_cmp(a->route.match, b->route.match);
    if (order == 0) order = compare_numbers(a->from_account, b->from_account);
    return order;
}

static bool before(const struct decide_input *in, const struct candidate *a, const struct candidate *b)
{
    bool own_a = slice_eq(a->target_site, in->site);
    bool own_b = slice_eq(b->target_site, in->site);
    bool tie = false;
    if (a->stale != b->stale) return b->stale;
    if (a->route.priority != b->route.priority) return a->route.priority < b->route.priority;
    if (own_a != own_b) return own_a;
    bool drawn = draws_before(in, a, b, &tie);
    return tie ? compare_identity(a, b) < 0 : drawn;
}

static struct candidate *first_unplaced(const struct decide_input *in, unsigned rank)
{
    struct candidate *best = NULL;
    for (size_t i = 0; i < in->candidate_count; i++) {
        struct candidate *c = &in->candidates[i];
        if (c->why != WHY_CHOSEN || c->place != 0 || rank_of(in, c) != rank) continue;
        if (best == NULL || before(in, c, best)) best = c;
    }
    return best;
}

static bool is_repeated(const struct decision *d, const struct decided_target *t)
{
    for (size_t i = 0; i < d->target_count; i++) {
        const struct decided_target *seen = &d->targets[i];
        bool same_number =
            slice_eq((struct slice){seen->number, seen->number_len}, (struct slice){t->number, t->number_len});
        if (same_number && seen->from->route.target.kind == t->from->route.target.kind &&
            slice_eq(seen->from->route.target.name, t->from->route.target.name)) {
            return true;
        }
    }
    return false;
}

/* The list of targets as it grows. */
struct places {
    unsigned count;
    bool rejected;
};

/* Takes the standing candidates of one group in order. A reject target ends the list: it is the answer when nobody
 * stands before it, and otherwise nobody after it is tried. */
static void place(const struct decide_input *in, unsigned rank, struct places *p, struct decision *out)
{
    for (struct candidate *c = first_unplaced(in, rank); c != NULL; c = first_unplaced(in, rank)) {
        struct decided_target *t = &out->targets[out->target_count < DECIDE_TARGET_MAX ? out->target_count : 0];
        if (p->rejected) {
            c->why = WHY_REJECTED;
        } else if (c->route.target.kind == PLAN_TO_REJECT) {
            p->rejected = true;
            c->place = ++p->count;
            if (out->target_count == 0) out->code = c->route.target.code;
        } else if (out->target_count == DECIDE_TARGET_MAX) {
            c->why = WHY_TOO_MANY;
        } else {
            t->from = c;
            bool rewritten = rewrite(in, c, t);
            ASSERT(rewritten); /* rule 4 dropped the others */
            if (is_repeated(out, t)) {
                c->why = WHY_REPEATED;
                continue;
            }
            c->place = ++p->count;
            out->target_count++;
        }
    }
}

/* ---- the ladder ---- */

static unsigned rule_of(unsigned rank, const struct tally *t, unsigned standing)
{
    if (t->overflowed) return 6;
    if (rank % GROUP_COUNT == GROUP_NAMED) return 2;
    if (t->asked == 1) return 3;
    return standing == 1 ? 4 : 5;
}

/* The global routes of the length that a scoped one decided say so: that is not "shorter". */
static void mark_scoped_out(const struct decide_input *in, unsigned rank)
{
    if (rank % GROUP_COUNT != GROUP_SCOPED) return;
    for (size_t i = 0; i < in->candidate_count; i++) {
        struct candidate *c = &in->candidates[i];
        if (c->why == WHY_SHORTER && rank_of(in, c) / GROUP_COUNT == rank / GROUP_COUNT) c->why = WHY_SCOPE;
    }
}

/* The groups of one match length in which somebody stands. Those in which all are stale wait for the groups after them:
 * what a dead node once registered is tried last. */
struct stand {
    unsigned waiting[GROUP_COUNT]; /* ranks of groups that are stale as a whole */
    unsigned waiting_count;
    unsigned rank; /* of the group that decides; 0: none yet */
    unsigned standing;
};

static void settle(const struct decide_input *in, const struct stand *s, const struct tally *t, struct decision *out)
{
    struct places p = {0};
    if (s->rank != 0) place(in, s->rank, &p, out); /* 5: in which order */
    for (unsigned i = 0; i < s->waiting_count; i++)
        place(in, s->waiting[i], &p, out);
    unsigned rank = s->rank != 0 ? s->rank : s->waiting[0];
    mark_scoped_out(in, rank);
    out->rule = rule_of(rank, t, s->standing);
}

void plan_decide(struct decide_input *in, struct decision *out)
{
    struct tally t = {0};
    struct stand s = {.waiting_count = 0};
    unsigned length = 0;
    out->target_count = 0;
    out->code = 0;
    for (size_t i = 0; i < in->candidate_count; i++) {
        in->candidates[i].place = 0;
        in->candidates[i].why = match(in, &in->candidates[i]); /* who matches at all */
    }
    /* 2, 3: the account of that name, then the longest match, scoped before global */
    for (unsigned rank = next_rank(in, UINT32_MAX); rank != 0 && s.rank == 0; rank = next_rank(in, rank)) {
        bool fresh = false;
        if (rank / GROUP_COUNT != length) {
            if (s.waiting_count > 0) break;            /* better stale than a shorter match */
            if (t.held > 0 && !t.overflow) break;      /* 6: a longer match holds this one back ... */
            t.overflowed = t.overflowed || t.held > 0; /* ... unless it overflows; what is withdrawn holds nothing */
            t.asked = t.held = 0;
            t.overflow = false;
            length = rank / GROUP_COUNT;
        }
        unsigned standing = ask(in, rank, &t, &fresh); /* 4: who can take the call */
        if (fresh) {
            s.rank = rank;
        } else if (standing > 0) {
            s.waiting[s.waiting_count++] = rank;
        }
        s.standing += standing;
    }
    if (s.standing > 0) {
        settle(in, &s, &t, out);
    } else {
        out->rule = 6; /* 6: nobody is left */
        out->code = t.limited ? 503 : t.known ? 480 : 404;
    }
}

/* ---- failover ---- */

bool decide_failover_code(unsigned code)
{
    return code >= 400 && code <= 599 && code != 486 && code != 487;
}

bool decide_failover(const struct plan_route *route, unsigned code)
{
    static const uint16_t usual[] = {408, 500, 502, 503, 504};
    const uint16_t *codes = route->failover_count > 0 ? route->failover : usual;
    size_t count = route->failover_count > 0 ? route->failover_count : sizeof usual / sizeof usual[0];
    if (!decide_failover_code(code)) return false;
    for (size_t i = 0; i < count; i++) {
        if (codes[i] == code) return true;
    }
    return false;
}
