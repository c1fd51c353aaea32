#include "node/sip/registration.h"

#include <stdio.h>

/* ---- moves ---- */

static const bool allowed[5][5] = {
    [REGISTRATION_OFF] = {[REGISTRATION_ASKING] = true},
    [REGISTRATION_WAITING] = {[REGISTRATION_ASKING] = true, [REGISTRATION_LEAVING] = true, [REGISTRATION_OFF] = true},
    [REGISTRATION_ASKING] =
        {[REGISTRATION_ASKING] = true, [REGISTRATION_WAITING] = true, [REGISTRATION_STOPPING] = true},
    [REGISTRATION_STOPPING] = {[REGISTRATION_LEAVING] = true, [REGISTRATION_OFF] = true},
    [REGISTRATION_LEAVING] = {[REGISTRATION_OFF] = true},
};

static void move(struct registration *r, enum registration_state to)
{
    ASSERT(allowed[r->state][to]);
    r->state = to;
}

static void say(struct registration *r, const char *words, const struct registration_answer *a)
{
    if (a == NULL) {
        (void)snprintf(r->reason, sizeof r->reason, "%s", words);
        return;
    }
    (void)snprintf(r->reason, sizeof r->reason, "%s%u %.*s", words, a->code, (int)(a->reason.n < 80 ? a->reason.n : 80),
                   a->reason.p != NULL ? a->reason.p : "");
}

void registration_init(struct registration *r, uint32_t wanted_s)
{
    *r = (struct registration){.wanted_s = wanted_s, .asked_s = wanted_s, .due = MONO_NEVER};
    say(r, "not asked yet", NULL);
}

/* ---- how long to wait ---- */

/* Full jitter: anything up to the cap, so that those who were cut off together do not come back together. */
static uint64_t pause_ms(const struct registration *r, uint64_t first, uint64_t most, uint64_t random)
{
    unsigned doublings = r->failures > 0 ? r->failures - 1 : 0;
    uint64_t cap = doublings < 16 ? first << doublings : most;
    if (cap > most) cap = most;
    return REGISTRATION_PAUSE_MIN_MS + random % cap;
}

/* Between 50 and 65 % of what was granted: room for several tries before it ends. */
static uint64_t refresh_ms(uint32_t granted_s, uint64_t random)
{
    uint64_t ms = (uint64_t)granted_s * 1000;
    return ms / 2 + random % (ms * 15 / 100 + 1);
}

/* ---- an attempt ---- */

static unsigned ask(struct registration *r, const struct registration_event *ev)
{
    (void)ev;
    move(r, REGISTRATION_ASKING);
    sip_auth_begin(&r->auth);
    r->raised = false;
    r->redirects = 0;
    r->wait_s = UINT32_MAX;
    r->due = MONO_NEVER;
    return REGISTRATION_DO_SEND;
}

/* The place that wants us back first says when: the others are kept away from by the caller. */
static void hear_wait(struct registration *r, const struct registration_event *ev)
{
    uint32_t s = ev->answer != NULL ? ev->answer->retry_after_s : ev->rest_s;
    if (s < r->wait_s) r->wait_s = s;
}

static unsigned fail(struct registration *r, const struct registration_event *ev, bool refused)
{
    hear_wait(r, ev);
    uint32_t after_s = r->wait_s;
    uint64_t first = refused ? REGISTRATION_REFUSED_MS : REGISTRATION_PAUSE_MS;
    uint64_t most = refused ? REGISTRATION_REFUSED_MAX_MS : REGISTRATION_PAUSE_MAX_MS;
    r->failures++;
    r->refused = refused;
    if (refused) r->bound_until = (struct mono){0};
    uint64_t ms = pause_ms(r, first, most, ev->random);
    if (after_s > REGISTRATION_RETRY_AFTER_MAX_S) after_s = REGISTRATION_RETRY_AFTER_MAX_S;
    /* a tenth more at most: all of its clients were told the same */
    uint64_t told_ms = after_s * 1000u + (after_s > 0 ? ev->random % (after_s * 100u + 1) : 0);
    if (ms < told_ms) ms = told_ms;
    move(r, REGISTRATION_WAITING);
    r->due = mono_add_ms(ev->now, ms);
    return REGISTRATION_DO_FIRST_PLACE | REGISTRATION_DO_TELL;
}

/* This place does not do it: the next, or a pause. */
static unsigned elsewhere(struct registration *r, const struct registration_event *ev)
{
    if (!ev->more_places) return fail(r, ev, false);
    hear_wait(r, ev);
    sip_auth_begin(&r->auth);
    return REGISTRATION_DO_NEXT_PLACE | REGISTRATION_DO_SEND | REGISTRATION_DO_TELL;
}

/* ---- answers ---- */

static unsigned accepted(struct registration *r, const struct registration_event *ev)
{
    const struct registration_answer *a = ev->answer;
    if (a->granted_s == 0) {
        say(r, "accepted, and did not keep our contact: ", a);
        return fail(r, ev, true);
    }
    r->granted_s = a->granted_s < REGISTRATION_EXPIRES_MAX_S ? a->granted_s : REGISTRATION_EXPIRES_MAX_S;
    r->failures = 0;
    r->refused = false;
    r->bound_until = mono_add_ms(ev->now, (uint64_t)r->granted_s * 1000);
    move(r, REGISTRATION_WAITING);
    r->due = mono_add_ms(ev->now, refresh_ms(r->granted_s, ev->random));
    say(r, "", a);
    return REGISTRATION_DO_TELL;
}

static unsigned challenged(struct registration *r, const struct registration_event *ev)
{
    switch (sip_auth_take(&r->auth, ev->answer->view)) {
    case SIP_AUTH_ANSWER: return REGISTRATION_DO_SEND;
    case SIP_AUTH_WRONG: say(r, "user or password is wrong: ", ev->answer); break;
    case SIP_AUTH_UNUSABLE: say(r, "asks for a kind of authentication that we do not have: ", ev->answer); break;
    }
    return fail(r, ev, true);
}

static unsigned too_brief(struct registration *r, const struct registration_event *ev)
{
    uint32_t least = ev->answer->min_expires_s;
    if (r->raised || least <= r->asked_s || least > REGISTRATION_EXPIRES_MAX_S) {
        say(r, "too brief, and no other time is named that we can ask for: ", ev->answer);
        return fail(r, ev, true);
    }
    r->raised = true;
    r->asked_s = least;
    return REGISTRATION_DO_SEND;
}

static unsigned redirected(struct registration *r, const struct registration_event *ev)
{
    if (!ev->answer->redirects || r->redirects >= REGISTRATION_REDIRECTS) {
        say(r, "sends us on, to nowhere that we can go: ", ev->answer);
        return fail(r, ev, true);
    }
    r->redirects++;
    sip_auth_begin(&r->auth);
    return REGISTRATION_DO_REDIRECT | REGISTRATION_DO_SEND;
}

/* Somebody else of the same house may know better (RFC 3263 §4.3), or the same one a little later. */
static bool is_passing(unsigned code)
{
    return code == 408 || code == 430 || code == 480 || (code >= 500 && code < 600);
}

static unsigned answered(struct registration *r, const struct registration_event *ev)
{
    const struct registration_answer *a = ev->answer;
    if (a->code < 200) return 0;
    if (a->code < 300) return accepted(r, ev);
    if (a->code < 400) return redirected(r, ev);
    if (a->code == 401 || a->code == 407) return challenged(r, ev);
    if (a->code == 423) return too_brief(r, ev);
    say(r, "", a);
    return is_passing(a->code) ? elsewhere(r, ev) : fail(r, ev, true);
}

/* ---- the end ---- */

static unsigned ended(struct registration *r)
{
    move(r, REGISTRATION_OFF);
    r->bound_until = (struct mono){0};
    r->due = MONO_NEVER;
    say(r, "given back", NULL);
    return REGISTRATION_DO_TELL | REGISTRATION_DO_END;
}

static unsigned leave(struct registration *r, const struct registration_event *ev)
{
    move(r, REGISTRATION_LEAVING);
    sip_auth_begin(&r->auth);
    r->bound_until = (struct mono){0};
    r->asked_s = 0;
    r->due = mono_add_ms(ev->now, REGISTRATION_LEAVE_MS);
    say(r, "being given back", NULL);
    return REGISTRATION_DO_SEND | REGISTRATION_DO_TELL;
}

/* A registrar may read two requests of one moment in any order: the refresh last, and the binding stands. */
static unsigned stop(struct registration *r, const struct registration_event *ev)
{
    switch (r->state) {
    case REGISTRATION_OFF:
    case REGISTRATION_STOPPING:
    case REGISTRATION_LEAVING: return 0;
    case REGISTRATION_WAITING: return registration_bound(r) ? leave(r, ev) : ended(r);
    case REGISTRATION_ASKING: break;
    }
    move(r, REGISTRATION_STOPPING);
    r->due = mono_add_ms(ev->now, REGISTRATION_STOP_MS);
    return 0;
}

/* The request that was under way at STOP has its end. Only its 2xx can have bound us if nothing did before, and one
 * without an answer. */
static unsigned stopping(struct registration *r, const struct registration_event *ev)
{
    if (ev->type != REGISTRATION_ANSWER) return leave(r, ev);
    if (ev->answer->code < 200) return 0;
    if (ev->answer->code >= 300 && !registration_bound(r)) return ended(r);
    return leave(r, ev);
}

static unsigned leaving(struct registration *r, const struct registration_event *ev)
{
    if (ev->type == REGISTRATION_ANSWER) {
        unsigned code = ev->answer->code;
        if (code < 200) return 0;
        if ((code == 401 || code == 407) && sip_auth_take(&r->auth, ev->answer->view) == SIP_AUTH_ANSWER)
            return REGISTRATION_DO_SEND;
    }
    return ended(r);
}

/* ---- the step ---- */

static unsigned start(struct registration *r, const struct registration_event *ev)
{
    if (r->state != REGISTRATION_OFF) return 0;
    r->asked_s = r->wanted_s;
    r->failures = 0;
    return ask(r, ev) | REGISTRATION_DO_FIRST_PLACE | REGISTRATION_DO_TELL;
}

/* The time that was granted has run out before a refresh came through. */
static unsigned run_out(struct registration *r, const struct registration_event *ev)
{
    if (!registration_bound(r) || !mono_reached(ev->now, r->bound_until)) return 0;
    r->bound_until = (struct mono){0};
    return REGISTRATION_DO_TELL;
}

static unsigned due(struct registration *r, const struct registration_event *ev)
{
    unsigned bits = run_out(r, ev);
    if (!mono_reached(ev->now, r->due)) return bits;
    switch (r->state) {
    case REGISTRATION_WAITING: return bits | ask(r, ev);
    case REGISTRATION_STOPPING: return bits | leave(r, ev);
    case REGISTRATION_LEAVING: return bits | ended(r);
    case REGISTRATION_OFF:
    case REGISTRATION_ASKING: break;
    }
    return bits;
}

static unsigned flow_lost(struct registration *r, const struct registration_event *ev)
{
    if (r->state != REGISTRATION_WAITING || !registration_bound(r)) return 0;
    struct mono soon = mono_add_ms(ev->now, REGISTRATION_PAUSE_MIN_MS + ev->random % REGISTRATION_FLOW_MS);
    r->due = mono_min(r->due, soon);
    say(r, "the connection to it was lost", NULL);
    return REGISTRATION_DO_TELL;
}

unsigned registration_step(struct registration *r, const struct registration_event *ev)
{
    switch (ev->type) {
    case REGISTRATION_START: return start(r, ev);
    case REGISTRATION_STOP: return stop(r, ev);
    case REGISTRATION_DUE: return due(r, ev);
    case REGISTRATION_FLOW_LOST: return flow_lost(r, ev);
    case REGISTRATION_ANSWER:
    case REGISTRATION_SILENCE:
    case REGISTRATION_UNREACHABLE: break;
    }
    if (r->state == REGISTRATION_STOPPING) return stopping(r, ev);
    if (r->state == REGISTRATION_LEAVING) return leaving(r, ev);
    if (r->state != REGISTRATION_ASKING) return 0;
    if (ev->type == REGISTRATION_ANSWER) return answered(r, ev);
    say(r, ev->words, NULL);
    return elsewhere(r, ev);
}

struct mono registration_deadline(const struct registration *r)
{
    return registration_bound(r) ? mono_min(r->due, r->bound_until) : r->due;
}
