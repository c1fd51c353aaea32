/* register: the REGISTER that we send as a client (RFC 3261 §10.2), and what its answer says.
 *
 * Our contact carries a parameter that nobody can guess, "line": by it a call that the registrar sends to the contact
 * is known as one that it looked up, whatever stands in the rest of the URI, and the contact is found again in the list
 * of the answer. Pure. */
#ifndef TANDEM_SIP_REGISTER_H
#define TANDEM_SIP_REGISTER_H

#include "node/base/hash.h"
#include "node/sip/registration.h"

#define SIP_LINE_PARAM "line"
#define SIP_LINE_TOKEN 33 /* 32 hexadecimal digits, NUL */

struct sip_register {
    struct slice uri;  /* Request-URI: "sip:carrier.example" */
    struct slice user; /* of the address of record: user@domain */
    struct slice domain;
    struct slice transport; /* "UDP" */
    struct slice sent_by;   /* "10.1.0.1:5060" */
    const char *branch;
    uint64_t tag;
    struct slice call_id;
    uint32_t cseq;
    struct slice contact; /* our contact's URI */
    struct slice stale;   /* a contact to be taken away with it, "" none */
    uint32_t expires_s;   /* 0: take ours back */
    struct slice auth;    /* header lines, "" none */
    struct slice version; /* of us */
};
/* Appends the message. ERR_NOMEM. */
MUST_CHECK enum err sip_register_build(const struct sip_register *m, struct buf *out);

/* Texts live in arena or the message. */
struct sip_register_answer {
    struct registration_answer plain;
    struct slice service_route; /* 2xx: the values as one list (RFC 3608), "" none */
    struct slice path_host;     /* 2xx: of the proxy next to us by which its calls come (RFC 3327), "" none */
    uint16_t path_port;         /* 0: not said */
    struct slice redirect;      /* 3xx: URI of the first contact */
    bool translated;            /* our request came from another address than we gave: a NAT stands between */
};
/* token is our contact's, asked_s the time that was asked for. ERR_NOMEM. */
MUST_CHECK enum err sip_register_read(struct arena *arena, const struct sip_view *v, struct slice token,
                                      uint32_t asked_s, struct sip_register_answer *out);

/* The token of one contact: a keyed hash, so that a node that restarts has the same. */
MUST_CHECK enum err sip_line_token(struct mac *key, struct slice trunk, struct slice node, char out[SIP_LINE_TOKEN]);

#endif
