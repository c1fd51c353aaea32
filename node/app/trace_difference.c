/* trace_difference: see call_reply.h. Two decisions are compared candidate by candidate; a candidate is one route, or
 * one account by its name or numbers. The first line is the verdict, the others say what it comes from. */
#include "node/app/call_reply.h"
#include "node/app/node.h"
#include "node/plan/object.h"

struct comparison {
    struct node *n;
    struct control_reply *reply;
    struct wall at; /* then */
};

static const struct call_candidate *at_place(const struct call_decision *d, uint32_t place)
{
    for (size_t i = 0; i < d->candidate_count; i++)
        if (d->candidates[i].place == place) return &d->candidates[i];
    return NULL;
}

static const struct call_candidate *same_in(const struct call_decision *d, const struct call_candidate *c)
{
    for (size_t i = 0; i < d->candidate_count; i++) {
        const struct call_candidate *other = &d->candidates[i];
        if (slice_eq(c->target, other->target) && slice_eq(c->match, other->match) && slice_eq(c->scope, other->scope))
            return other;
    }
    return NULL;
}

/* The object that the candidate comes from: a route, or else the account; and the stamp under it, also that of a
 * deletion. */
static bool find_object(struct node *n, const struct call_candidate *c, char key[PLAN_KEY_MAX], size_t *len,
                        struct stamp *stamp)
{
    int k = snprintf(key, PLAN_KEY_MAX, "route/%.*s/%.*s/%.*s", SLICE_ARG(c->scope), SLICE_ARG(c->match),
                     SLICE_ARG(c->target));
    *len = k > 0 && k < PLAN_KEY_MAX ? (size_t)k : 0;
    if (*len > 0 && store_object_stamp(n->read, (struct slice){key, *len}, stamp) == ERR_OK) return true;
    if (!slice_starts(c->target, SLICE("account/"))) return false;
    *len = c->target.n;
    memcpy(key, c->target.p, c->target.n);
    return store_object_stamp(n->read, c->target, stamp) == ERR_OK;
}

static void say(struct comparison *x, const struct call_candidate *about, const char *fmt, ...) PRINTF_LIKE(3, 4);
static void say(struct comparison *x, const struct call_candidate *about, const char *fmt, ...)
{
    struct arena arena = {0};
    struct control_builder b;
    struct stamp stamp = {0};
    struct log_id id;
    char text[LIMIT_TEXT];
    char key[PLAN_KEY_MAX];
    char change[CHANGE_ID_TEXT] = "";
    size_t len = 0;
    va_list ap;
    va_start(ap, fmt);
    (void)vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    bool found =
        about != NULL && find_object(x->n, about, key, &len, &stamp) && (int64_t)(stamp.time.v >> 16) >= x->at.ms;
    if (found && store_change_at(x->n->read, &stamp, &id) == ERR_OK) change_id_text(&id, change);
    control_record_start(&b, &arena, "difference");
    control_text(&b, "text", slice_of(text));
    control_text(&b, "object", found ? (struct slice){key, len} : SLICE(""));
    control_text(&b, "change", slice_of(change));
    command_time(&b, "changed", found ? (struct wall){(int64_t)(stamp.time.v >> 16)} : (struct wall){0});
    command_record(x->reply, &b);
    arena_fini(&arena);
}

/* "trunk/pbx", or "404" where there is no target. */
static void first_text(const struct call_decision *d, char *out, size_t size)
{
    const struct call_candidate *first = at_place(d, 1);
    if (first != NULL) {
        (void)snprintf(out, size, "%.*s", SLICE_ARG(first->target));
    } else {
        (void)snprintf(out, size, "an answer %u", (unsigned)d->code);
    }
}

static bool same_targets(const struct call_decision *a, const struct call_decision *b)
{
    for (uint32_t place = 1;; place++) {
        const struct call_candidate *x = at_place(a, place);
        const struct call_candidate *y = at_place(b, place);
        if (x == NULL || y == NULL) return x == NULL && y == NULL && a->code == b->code;
        if (!slice_eq(x->target, y->target) || !slice_eq(x->number, y->number)) return false;
    }
}

static void say_verdict(struct comparison *x, const struct call_decision *then, const struct call_decision *now)
{
    char was[LIMIT_NAME + 32];
    char is[LIMIT_NAME + 32];
    bool same_plan = slice_eq(then->plan_digest, now->plan_digest);
    first_text(then, was, sizeof was);
    first_text(now, is, sizeof is);
    if (same_targets(then, now)) {
        say(x, NULL, "it would go the same way today, to %s", is);
    } else if (strcmp(was, is) != 0) {
        say(x, NULL, "then to %s, today to %s%s", was, is,
            same_plan ? ": the plan is the same, what it finds is not" : "");
    } else {
        say(x, NULL, "to %s as then, but what follows it or what it is sent differs", is);
    }
    if (!slice_eq(then->plan_number, now->plan_number)) {
        say(x, NULL, "what was dialled is %.*s in the plan of today, and was %.*s then", SLICE_ARG(now->plan_number),
            SLICE_ARG(then->plan_number));
    }
}

static const char *why_of(const struct call_candidate *c)
{
    return decide_why_text(decide_why_of(c->why));
}

static void say_gone(struct comparison *x, const struct call_candidate *c)
{
    struct slice packed;
    char key[PLAN_KEY_MAX];
    size_t len = 0;
    struct stamp stamp;
    bool there = find_object(x->n, c, key, &len, &stamp) &&
                 store_object(x->n->read, (struct slice){key, len}, &packed, NULL) == ERR_OK;
    say(x, c,
        there ? "%.*s for %.*s was a candidate and does not concern the number any more"
              : "%.*s for %.*s was a candidate and has been removed",
        SLICE_ARG(c->target), SLICE_ARG(c->match));
}

static void say_moved(struct comparison *x, const struct call_candidate *was, const struct call_candidate *is)
{
    if (is->place == 0) {
        say(x, is, "%.*s for %.*s had place %u and has none: %s%s%.*s", SLICE_ARG(is->target), SLICE_ARG(is->match),
            (unsigned)was->place, why_of(is), is->detail.n > 0 ? ": " : "", SLICE_ARG(is->detail));
    } else if (was->place == 0) {
        say(x, is, "%.*s for %.*s had no place (%s) and has place %u", SLICE_ARG(is->target), SLICE_ARG(is->match),
            why_of(was), (unsigned)is->place);
    } else if (was->place != is->place) {
        say(x, is, "%.*s for %.*s had place %u and has place %u", SLICE_ARG(is->target), SLICE_ARG(is->match),
            (unsigned)was->place, (unsigned)is->place);
    } else if (!slice_eq(was->number, is->number)) {
        say(x, is, "%.*s was sent %.*s and would be sent %.*s", SLICE_ARG(is->target), SLICE_ARG(was->number),
            SLICE_ARG(is->number));
    }
}

void trace_difference(struct node *n, struct control_reply *reply, struct wall at, const struct call_decision *then,
                      const struct call_decision *now)
{
    struct comparison x = {n, reply, at};
    say_verdict(&x, then, now);
    if (same_targets(then, now)) return;
    for (size_t i = 0; i < then->candidate_count; i++) {
        const struct call_candidate *was = &then->candidates[i];
        const struct call_candidate *is = same_in(now, was);
        if (is != NULL) {
            say_moved(&x, was, is);
        } else {
            say_gone(&x, was);
        }
    }
    for (size_t i = 0; i < now->candidate_count; i++) {
        const struct call_candidate *is = &now->candidates[i];
        if (same_in(then, is) != NULL) continue;
        say(&x, is, "%.*s for %.*s is a candidate since: %s", SLICE_ARG(is->target), SLICE_ARG(is->match), why_of(is));
    }
}
