/* decide: the one ladder that turns a number into ordered targets, and says of each candidate why it stands where it
 * does.
 *
 * Pure: the caller gathers what the replica holds for the number (see store/index.h) and what is known of each target,
 * and passes it in. The call path, "route explain", the call record and the tests read the same struct decision.
 *
 * The ladder (rules are numbered as the README and "route explain" show them):
 *   1  normalise: in rules of the source trunk, then the dial rules of the source's site
 *   2  the account whose name is the number, exactly
 *   3  longest match: higher specificity first; at equal specificity a site-scoped route before a global one
 *   4  dropped: other length, outside hours, disabled, not permitted, at its limit, down (trunk down, no binding,
 *      node gone)
 *   5  order: priority, own site first, weighted by a hash of the Call-ID, name
 *   6  none left: with overflow the next shorter match; else 404 no match, 480 known but offline, 503 limits,
 *      or the code of a reject target
 * A site-scoped route is a candidate only where the deciding node's or source's site is that scope.
 *
 * Scope and length say which numbers a route is for: outside them it is no match at all and holds nothing back.
 * Whatever else drops a candidate of the longest match holds the shorter ones back unless overflow is set, with one
 * exception: the numbers of an account without a binding (or disabled) are withdrawn, as if they were not in the plan;
 * when nothing else matches they are why the answer is 480. Within one match length the next group is asked freely: the
 * account of that name, then routes scoped to a site, then global ones.
 *
 * What is stale, a binding whose owner is dead, is tried after everything else of its match length: within a group
 * whatever its priority, and a group in which all are stale after the next group. */
#ifndef TANDEM_PLAN_DECIDE_H
#define TANDEM_PLAN_DECIDE_H

#include "node/base/time.h"
#include "node/plan/hours.h"
#include "node/plan/object.h"
#include "node/plan/pattern.h"

/* Why a candidate has its place; explain prints decide_why_text. */
enum decide_why {
    WHY_CHOSEN,         /* among the targets, in its place */
    WHY_SHORTER,        /* a longer match was decided first */
    WHY_SCOPE,          /* scoped to another site, or a scoped route of equal length came first */
    WHY_LENGTH,         /* the number's length is outside length: */
    WHY_HOURS,          /* outside hours: */
    WHY_DISABLED,       /* route, trunk or account disabled */
    WHY_NOT_PERMITTED,  /* the source may not use it (it would lead back to where the call came from) */
    WHY_LIMIT,          /* calls: or rate: reached */
    WHY_DOWN,           /* trunk down by its probe */
    WHY_RESTING,        /* trunk asked to be left alone */
    WHY_NO_BINDING,     /* account without a live binding */
    WHY_NODE_GONE,      /* no live node serves the target */
    WHY_DRAINED,        /* every node that serves the target is drained by its operator */
    WHY_UNKNOWN_TARGET, /* the target is not in the plan */
    WHY_REWRITE,        /* strip and prepend give no valid number */
    WHY_REJECTED,       /* a reject target stands before it */
    WHY_REPEATED,       /* the same target with the same number stands before it */
    WHY_TOO_MANY,       /* more than DECIDE_TARGET_MAX stand before it */
    WHY_COUNT
};
const char *decide_why_name(enum decide_why w); /* stable identifier: "no-binding" */
const char *decide_why_text(enum decide_why w); /* a sentence */
/* By its name; WHY_COUNT, whose text is "unknown", for one of another version. */
enum decide_why decide_why_of(struct slice name);

/* What is observed of one target at the time of the call. */
enum target_health {
    TARGET_UP,
    TARGET_DOWN,
    TARGET_RESTING,
    TARGET_NO_BINDING,
    TARGET_NODE_GONE,
    TARGET_DRAINED,
    TARGET_AT_LIMIT,
    TARGET_UNKNOWN
};

#define DECIDE_NODE_MAX 8 /* nodes offered for one target, in order of preference */

struct candidate {
    /* in: the route, or for rule 2 / an account's numbers a synthetic one with target account/NAME */
    struct plan_route route;
    unsigned specificity; /* pattern_specificity of its match */
    bool from_account;    /* comes from an account's name or numbers: not from a route object. The account that *is* the
                           * number (rule 2) has a specificity above LIMIT_NUMBER and the number as its target's name */
    /* in: what is known of its target */
    enum target_health health;
    bool target_disabled;
    bool target_read;                    /* target_disabled, target_site and target_calls are known already */
    uint32_t target_calls;               /* the target's limit, 0: none; of an account whose number it is */
    struct slice target_site;            /* where the target is, "" when unknown */
    struct slice nodes[DECIDE_NODE_MAX]; /* nodes that can serve it, live ones first; "" name = this node */
    size_t node_count;
    struct wall down_since;   /* TARGET_DOWN: since when, */
    struct wall rests_until;  /* TARGET_RESTING: until when, */
    struct slice down_reason; /* and what the last probe or call found */
    size_t fresh_count;       /* so many of nodes, the first ones, are not stale */
    bool stale;               /* reachable only through state that its owner no longer renews: tried last */
    /* out */
    enum decide_why why;
    unsigned place; /* 1-based among the chosen, 0 when not chosen */
};

struct decide_input {
    struct slice number;  /* plan number (after rule 1) */
    struct slice site;    /* the deciding node's site */
    struct slice source;  /* "trunk/NAME", "account/NAME" or "" */
    struct slice call_id; /* for weights */
    struct local_time now;
    struct candidate *candidates; /* any order; why and place are written, the order of the array is kept */
    size_t candidate_count;
    struct slice source_site; /* the source's own site when it is known, else "" */
};

#define DECIDE_TARGET_MAX 16

struct decided_target {
    const struct candidate *from;
    char number[LIMIT_NUMBER + 1]; /* after strip and prepend: what the target is sent */
    size_t number_len;
};

struct decision {
    struct decided_target targets[DECIDE_TARGET_MAX];
    size_t target_count;
    uint16_t code; /* the answer when target_count is 0: 404, 480, 503 or a reject code; and when all fail: 0 */
    unsigned rule; /* the rung that ended it: 2 the account of that name, 3 the only candidate of the longest match,
                    * 4 the only one left of several, 5 the order among several, 6 after an overflow, or none left */
};

/* Rule 1. rules of the source trunk (may be 0), then of the site. Writes the plan number. ERR_SYNTAX/ERR_LIMIT as
 * number_normalise. matched_in/matched_dial (may be NULL) get the index of the rule used, or -1. */
MUST_CHECK enum err decide_normalise(struct slice dialled, const struct plan_rule *in, size_t in_count,
                                     const struct plan_rule *dial, size_t dial_count, char out[LIMIT_NUMBER + 1],
                                     size_t *len, int *matched_in, int *matched_dial);

/* Rules 2-6. Never fails: a decision always exists. */
void plan_decide(struct decide_input *in, struct decision *out);

/* Whether a final answer moves on to the next target (README "Failover"): timeout and transport error count as 408.
 * Never after 2xx, 486, 6xx. */
bool decide_failover(const struct plan_route *route, unsigned code);
/* Whether a route may list code in failover: 400-599 without 486 (busy is an answer) and 487 (the caller has gone). */
bool decide_failover_code(unsigned code);

#endif
