/* decide_kit: candidates from text, and a question to the ladder. */
#ifndef TANDEM_TEST_DECIDE_KIT_H
#define TANDEM_TEST_DECIDE_KIT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>

#include "node/base/rng.h"
#include "node/plan/decide.h"

struct setting {
    const char *name;
    void (*set)(struct candidate *c, struct slice value);
};

static inline uint32_t to_number(struct slice value)
{
    uint64_t n = 0;
    assert_int_equal(slice_u64(value, UINT32_MAX, &n), ERR_OK);
    return (uint32_t)n;
}

static inline void set_priority(struct candidate *c, struct slice v)
{
    c->route.priority = to_number(v);
}
static inline void set_weight(struct candidate *c, struct slice v)
{
    c->route.weight = to_number(v);
}
static inline void set_scope(struct candidate *c, struct slice v)
{
    c->route.scope = v;
}
static inline void set_site(struct candidate *c, struct slice v)
{
    c->target_site = v;
}
static inline void set_hours(struct candidate *c, struct slice v)
{
    c->route.hours = slice_is(v, "night") ? SLICE("Mo-Su 20:00-06:00") : SLICE("Mo-Su 06:00-20:00");
}
static inline void set_strip(struct candidate *c, struct slice v)
{
    c->route.strip = (uint8_t)to_number(v);
}
static inline void set_prepend(struct candidate *c, struct slice v)
{
    c->route.prepend = v;
}
static inline void set_least(struct candidate *c, struct slice v)
{
    c->route.length_min = (uint8_t)to_number(v);
}
static inline void set_most(struct candidate *c, struct slice v)
{
    c->route.length_max = (uint8_t)to_number(v);
}
static inline void set_overflow(struct candidate *c, struct slice v)
{
    (void)v;
    c->route.overflow = true;
}
static inline void set_disabled(struct candidate *c, struct slice v)
{
    (void)v;
    c->route.disabled = true;
}
static inline void set_target_disabled(struct candidate *c, struct slice v)
{
    (void)v;
    c->target_disabled = true;
}
static inline void set_stale(struct candidate *c, struct slice v)
{
    (void)v;
    c->stale = true;
}
static inline void set_account(struct candidate *c, struct slice v)
{
    (void)v;
    c->from_account = true;
}
static inline void set_down(struct candidate *c, struct slice v)
{
    (void)v;
    c->health = TARGET_DOWN;
}
static inline void set_unbound(struct candidate *c, struct slice v)
{
    (void)v;
    c->health = TARGET_NO_BINDING;
}
static inline void set_gone(struct candidate *c, struct slice v)
{
    (void)v;
    c->health = TARGET_NODE_GONE;
}
static inline void set_drained(struct candidate *c, struct slice v)
{
    (void)v;
    c->health = TARGET_DRAINED;
}
static inline void set_full(struct candidate *c, struct slice v)
{
    (void)v;
    c->health = TARGET_AT_LIMIT;
}
static inline void set_resting(struct candidate *c, struct slice v)
{
    (void)v;
    c->health = TARGET_RESTING;
}
static inline void set_unknown(struct candidate *c, struct slice v)
{
    (void)v;
    c->health = TARGET_UNKNOWN;
}

static const struct setting settings[] = {
    {"p", set_priority},        {"w", set_weight},          {"scope", set_scope},
    {"site", set_site},         {"hours", set_hours},       {"strip", set_strip},
    {"prepend", set_prepend},   {"least", set_least},       {"most", set_most},
    {"overflow", set_overflow}, {"disabled", set_disabled}, {"target-disabled", set_target_disabled},
    {"stale", set_stale},       {"number-of", set_account}, {"down", set_down},
    {"unbound", set_unbound},   {"gone", set_gone},         {"full", set_full},
    {"unknown", set_unknown},   {"drained", set_drained},   {"resting", set_resting},
};

/* "MATCH TARGET setting=value ...". */
static inline struct candidate candidate_of(const char *text)
{
    struct candidate c = {.route = {.priority = 10, .weight = 10}};
    struct slice word;
    struct pattern p;
    struct slice rest = slice_cut(slice_of(text), ' ', &c.route.match);
    assert_int_equal(pattern_parse(c.route.match, &p, NULL), ERR_OK);
    c.specificity = pattern_specificity(&p);
    rest = slice_cut(rest, ' ', &word);
    assert_int_equal(plan_target_parse(word, &c.route.target, NULL), ERR_OK);
    while (rest.p != NULL) {
        struct slice name;
        size_t i = 0;
        rest = slice_cut(rest, ' ', &word);
        struct slice value = slice_cut(word, '=', &name);
        while (i < sizeof settings / sizeof settings[0] && !slice_is(name, settings[i].name))
            i++;
        if (i == sizeof settings / sizeof settings[0]) fail_msg("no setting %.*s", SLICE_ARG(name));
        settings[i].set(&c, value);
    }
    return c;
}

/* Number 8150 from trunk/source, at site hq, a call of a source at branch, Monday noon. */
static inline struct decide_input input_of(struct candidate *cs, size_t count)
{
    return (struct decide_input){.number = SLICE("8150"),
                                 .site = SLICE("hq"),
                                 .source = SLICE("trunk/source"),
                                 .call_id = SLICE("call-1"),
                                 .now = {0, 720},
                                 .candidates = cs,
                                 .candidate_count = count,
                                 .source_site = SLICE("branch")};
}

static inline void decide(struct decide_input *in, struct decision *d)
{
    memset(d, 0xee, sizeof *d);
    plan_decide(in, d);
}

static inline bool one_in(struct rng *rng, uint64_t n)
{
    return rng_below(rng, n) == 0;
}

#endif
