/* registration: one registration that we keep alive at an outside registrar (RFC 3261 §10.2), as a pure state machine.
 *
 *   OFF --START--> ASKING --2xx--> WAITING --DUE--> ASKING ...        a refresh well before the time is up
 *                  ASKING --no, silence--> WAITING --DUE--> ASKING    with a pause that grows, drawn by lot
 *   ASKING --STOP--> STOPPING --any end--> LEAVING                    one request at a time (RFC 3261 §10.2)
 *   WAITING --STOP--> LEAVING --any end--> OFF                        the binding is taken back
 *
 * It never gives up. Where requests go is the caller's: the machine says "another place" and hears whether there is
 * one. It holds no address and no message. Time and chance come with each event. */
#ifndef TANDEM_SIP_REGISTRATION_H
#define TANDEM_SIP_REGISTRATION_H

#include "node/base/time.h"
#include "node/sip/auth.h"

#define REGISTRATION_PAUSE_MS 1000      /* after the first failure; doubled with each */
#define REGISTRATION_PAUSE_MAX_MS 60000 /* nobody is there */
#define REGISTRATION_REFUSED_MS 30000   /* the same for a registrar that says no: not to be locked out */
#define REGISTRATION_REFUSED_MAX_MS 300000
#define REGISTRATION_PAUSE_MIN_MS 250
#define REGISTRATION_RETRY_AFTER_MAX_S 3600
#define REGISTRATION_STOP_MS 2000  /* for the answer to the request that was under way at STOP */
#define REGISTRATION_LEAVE_MS 4000 /* for the answer to the last request */
#define REGISTRATION_FLOW_MS 1000  /* a lost connection is made again within this time */
#define REGISTRATION_EXPIRES_MAX_S 86400
#define REGISTRATION_REDIRECTS 3 /* in one attempt */
#define REGISTRATION_REASON 160

enum registration_state {
    REGISTRATION_OFF,
    REGISTRATION_WAITING,
    REGISTRATION_ASKING,
    REGISTRATION_STOPPING,
    REGISTRATION_LEAVING
};

/* What a final response to REGISTER says; register.h reads it. */
struct registration_answer {
    unsigned code;
    struct slice reason;
    const struct sip_view *view; /* for its challenges; NULL only where code is neither 401 nor 407 */
    uint32_t granted_s;          /* 2xx: how long our contact is bound, 0 not at all */
    uint32_t min_expires_s;      /* 423, 0: it does not say */
    uint32_t retry_after_s;      /* 0: it does not say */
    bool redirects;              /* 3xx with a contact that we can go to */
};

enum registration_event_type {
    REGISTRATION_START,
    REGISTRATION_DUE, /* the deadline is reached */
    REGISTRATION_ANSWER,
    REGISTRATION_SILENCE,     /* no answer in time */
    REGISTRATION_UNREACHABLE, /* not sent, or no address; words say why */
    REGISTRATION_FLOW_LOST,   /* the connection over which it was registered is gone */
    REGISTRATION_STOP
};

struct registration_event {
    enum registration_event_type type;
    struct mono now;
    uint64_t random;
    const struct registration_answer *answer; /* ANSWER */
    const char *words;                        /* UNREACHABLE, SILENCE */
    uint32_t rest_s;  /* UNREACHABLE: not sent, since the place has asked to be left alone for so long yet */
    bool more_places; /* ANSWER, SILENCE, UNREACHABLE: there is another place to ask */
};

/* What the caller owes, in the order of the bits. */
enum registration_do {
    REGISTRATION_DO_FIRST_PLACE = 1, /* the places are tried from the beginning */
    REGISTRATION_DO_NEXT_PLACE = 2,
    REGISTRATION_DO_REDIRECT = 4, /* the next place is the contact of the answer */
    REGISTRATION_DO_SEND = 8,     /* a new REGISTER, in place of one that is under way: asked_s, auth */
    REGISTRATION_DO_TELL = 16,    /* what people see has changed */
    REGISTRATION_DO_END = 32      /* OFF: nothing more will happen */
};

struct registration {
    enum registration_state state;
    struct sip_auth auth;
    uint32_t wanted_s;
    uint32_t asked_s; /* of the request to send; 0: take the binding back */
    uint32_t granted_s;
    struct mono bound_until; /* {0}: not bound */
    struct mono due;         /* the next DUE, MONO_NEVER */
    bool refused;            /* the last word was a no */
    bool raised;             /* 423 has raised asked_s in this attempt */
    uint8_t redirects;
    uint32_t wait_s;   /* of the places asked in this attempt, the least that one wants us to wait; UINT32_MAX: none */
    unsigned failures; /* in a row */
    char reason[REGISTRATION_REASON];
};

void registration_init(struct registration *r, uint32_t wanted_s);
/* Returns REGISTRATION_DO_* bits. What a state does not expect changes nothing. */
unsigned registration_step(struct registration *r, const struct registration_event *ev);
/* When a DUE is wanted at the latest; MONO_NEVER. */
struct mono registration_deadline(const struct registration *r);
/* Between STOP and OFF. */
static inline bool registration_ending(const struct registration *r)
{
    return r->state == REGISTRATION_STOPPING || r->state == REGISTRATION_LEAVING;
}
/* Whether a request is under way. */
static inline bool registration_asks(const struct registration *r)
{
    return r->state == REGISTRATION_ASKING || registration_ending(r);
}
static inline bool registration_bound(const struct registration *r)
{
    return r->bound_until.us != 0;
}

#endif
