/* record: what is kept of a call: who, where to, when, why it ended, and how the plan decided it.
 *
 * The decision is stored as it was made, in a compact form: every candidate with its place or the reason why it had
 * none. A record never changes what a call does. Packed by proto/record_codec.c. */
#ifndef TANDEM_PLAN_RECORD_H
#define TANDEM_PLAN_RECORD_H

#include "node/base/bytes.h"
#include "node/base/time.h"

enum call_state { CALL_TRYING, CALL_RINGING, CALL_ANSWERED, CALL_ENDED };
const char *call_state_name(enum call_state s); /* "trying" ... */

struct call_candidate {
    struct slice target; /* "trunk/pbx" */
    struct slice match;
    struct slice scope;
    struct slice nodes;  /* that could serve it, blanks between; "" : none */
    struct slice number; /* what it was to be sent, "" when it had no place */
    struct slice why;    /* decide_why_name */
    struct slice detail; /* more words on that, "" none */
    uint32_t priority;
    uint32_t weight;
    uint32_t place; /* 0: none */
};

struct call_decision {
    struct slice plan_number; /* "" : what was dialled is no number */
    struct slice site;        /* as seen from there */
    struct slice plan_digest; /* 64 hexadecimal digits */
    struct slice named_by;    /* another node had decided and named the target: nothing was asked here; "" : not so */
    uint32_t rule;
    uint32_t code; /* the answer when there was no target, else 0 */
    const struct call_candidate *candidates;
    size_t candidate_count;
};

/* One place to which the call was sent, and what came of it. */
struct call_attempt {
    struct slice target;
    struct slice node; /* that serves it, "" : this one */
    struct slice address;
    struct slice words;
    uint32_t code;
    struct wall at; /* its end */
};
#define CALL_ATTEMPTS_MAX 16

struct call_record {
    struct slice call_id;    /* cut at 128 characters */
    struct slice session_id; /* RFC 7989, the caller's half */
    struct slice from;
    struct slice dialled;
    struct slice source;       /* "trunk/pbx", "account/6001", "node/hq" */
    struct slice from_address; /* "udp:10.1.0.10:5060" */
    struct slice target;       /* the one that answered, or was tried last */
    struct slice node;         /* that served it, "" : this one */
    struct slice to_address;
    struct slice reason;
    struct slice decision;               /* packed call_decision, "" none */
    const struct call_attempt *attempts; /* those that came to nothing, the first CALL_ATTEMPTS_MAX, in order */
    size_t attempt_count;
    enum call_state state;
    struct wall started;
    struct wall answered; /* {0}: not */
    struct wall ended;    /* {0}: not */
    uint32_t code;
    uint32_t rule;
    struct slice caller_tag; /* with the Call-ID what a dialog is known by; "" when one of the two is cut */
    uint32_t session_s;      /* refresh interval that was agreed on, 0: none */
};

#endif
