/* observed: the values of state records: what nodes see, never what an operator configured.
 *
 * A binding has two halves. The public half is what other nodes need ("account X has a contact at node N") and is
 * gossiped; the private half (expiry, Call-ID, CSeq) stays with the owner, so a refresh that changes nothing costs no
 * byte. */
#ifndef TANDEM_PLAN_OBSERVED_H
#define TANDEM_PLAN_OBSERVED_H

#include "node/plan/object.h"
#include "node/base/time.h"

/* State key of a binding: account NUL contact-id, where contact-id is the contact URI (RFC 3261 §10.3 item 7 compares
 * contacts as URIs; equal text is taken as equal here). */
struct binding {
    /* public */
    struct slice account;
    struct slice contact;  /* the Contact URI as registered */
    struct slice received; /* "udp:192.0.2.7:5060": transport and address that the REGISTER came from */
    struct slice path;     /* Path header values, comma separated, "" none (RFC 3327) */
    struct slice user_agent;
    struct wall since;     /* first registered */
    uint32_t q_milli;      /* 0 .. 1000 */
    uint32_t lease_s;      /* no less than was granted, by powers of two: equal for refreshes; 0 not known */
    struct slice instance; /* of the device, "<urn:uuid:...>" (RFC 5626), "" not said */
    uint32_t reg_id;       /* of the device's flow that it is, 0: of none */
    /* private to the owner; zero at other nodes */
    struct slice call_id;
    uint32_t cseq;
    struct wall expires;
    /* on the way from the registrar only: what the account says about the way to it */
    enum plan_keepalive keepalive;
    uint32_t keepalive_every_ms;
    bool keepalive_known;
};

/* Of one address of a trunk, as one node of its site sees it. State key: trunk NUL address. */
struct trunk_health {
    struct slice trunk;
    struct slice address; /* as the plan writes it */
    bool up;
    struct wall since;
    uint32_t rtt_us;
    struct slice reason; /* "no answer to OPTIONS", "503 Service Unavailable" */
};

/* A source that its owner does not listen to. State key: source. */
struct source_ban {
    struct slice source; /* "192.0.2.7", "2001:db8:0:1::/64" */
    struct slice reason;
    struct wall since;
    struct wall until; /* then it is over, also where its owner does not say so */
};

/* Of a trunk that registers, as one node of its site says it. It travels as a trunk's health without an address, which
 * who knows no registrations passes over. State key: trunk NUL. */
enum trunk_registration_state {
    TRUNK_UNREGISTERED, /* not held here, or given back */
    TRUNK_TRYING,
    TRUNK_REGISTERED,
    TRUNK_REFUSED
};
const char *trunk_registration_state_name(enum trunk_registration_state s); /* "registered" ... */

struct trunk_registration {
    struct slice trunk;
    bool holds;    /* this node claims it, see holder.h */
    uint64_t term; /* of its last claim */
    enum trunk_registration_state state;
    struct wall since;
    struct slice contact; /* URI that stands at the registrar, "" none: whoever takes over takes it away */
    struct slice reason;  /* the registrar's last word */
};

struct node_card {
    const struct slice *sip_addresses; /* "tls:10.1.0.1:5061", "tcp:10.1.0.1:5060": where members reach its SIP edge */
    size_t sip_address_count;
    struct slice site;
    struct slice version;
    struct wall started;
    uint32_t calls;
    bool drained;       /* its operator wants no new calls there */
    struct wall joined; /* when it first started, {0} not known */
    bool registers;     /* it knows how to register a trunk */
};

#endif
