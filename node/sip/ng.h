/* ng: the words that are exchanged with a media relay: the "ng" control protocol of rtpengine, bencoded, one datagram
 * each way.
 *
 * Specification: rtpengine's README, "The ng Control Protocol". What comes back is taken apart with caps and never
 * believed in its lengths. */
#ifndef TANDEM_SIP_NG_H
#define TANDEM_SIP_NG_H

#include "node/base/bytes.h"

enum ng_command { NG_PING, NG_OFFER, NG_ANSWER, NG_DELETE };
const char *ng_command_name(enum ng_command c);

struct ng_request {
    enum ng_command command;
    struct slice cookie;   /* names the question, and comes back with the reply; no space in it */
    struct slice call_id;  /* these are bytes to the relay; none with NG_PING */
    struct slice from_tag; /* of who makes the offer, also with NG_ANSWER */
    struct slice to_tag;   /* of who answers it; "": not known yet */
    struct slice branch;   /* of an offer to one of several, and of its answer: each has ports of its own; "": none */
    struct slice sdp;      /* NG_OFFER, NG_ANSWER */
};

/* Appends the datagram. ERR_NOMEM. */
MUST_CHECK enum err ng_request_build(const struct ng_request *r, struct buf *out);

struct ng_reply { /* texts lie in the datagram */
    struct slice cookie;
    bool ok;
    struct slice reason; /* where it is not: the relay's words */
    bool blames_sdp;     /* which say that the session description cannot be read */
    struct slice sdp;    /* {NULL, 0}: none */
};

/* ERR_SYNTAX: it is no reply. */
MUST_CHECK enum err ng_reply_parse(struct slice datagram, struct ng_reply *out);

#endif
