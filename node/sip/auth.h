/* auth: the client's side of digest authentication over several requests: the challenges of a server, kept so that the
 * next request answers them before it is asked.
 *
 * A server may challenge (401) and a proxy before it (407): one of each is kept. Of several algorithms the first that
 * we know is taken, which is the server's choice (RFC 8760 §2.4). Whether a second challenge means a wrong password or
 * only a nonce that is too old is told apart here: within one attempt a challenge that is answered and comes again
 * without "stale" is a no. Pure. */
#ifndef TANDEM_SIP_AUTH_H
#define TANDEM_SIP_AUTH_H

#include "node/sip/digest.h"

#define SIP_AUTH_CHALLENGE_MAX 1024
#define SIP_AUTH_ROUNDS 3 /* a server that calls each nonce stale is not asked for ever */

struct sip_auth_slot {
    char text[SIP_AUTH_CHALLENGE_MAX]; /* the challenge as the server wrote it */
    uint16_t len;                      /* 0: none */
    uint8_t rounds;                    /* challenges taken in this attempt */
    uint32_t nc;                       /* how often this nonce was answered */
};
struct sip_auth {
    struct sip_auth_slot server; /* 401 */
    struct sip_auth_slot proxy;  /* 407 */
};

enum sip_auth_verdict {
    SIP_AUTH_ANSWER,  /* the challenge is kept: send again with sip_auth_lines */
    SIP_AUTH_WRONG,   /* our answer was refused */
    SIP_AUTH_UNUSABLE /* no challenge that we can answer */
};

/* Starts as {0}. A new attempt begins: what is kept is used, and may be refused once. */
void sip_auth_begin(struct sip_auth *a);
/* The response is a 401 or 407. */
enum sip_auth_verdict sip_auth_take(struct sip_auth *a, const struct sip_view *response);
/* Appends a line for each challenge that is kept; none: nothing. cnonce is drawn anew by the caller. ERR_SYNTAX: user
 * or uri cannot be written, ERR_NOMEM. */
MUST_CHECK enum err sip_auth_lines(struct sip_auth *a, struct slice user, struct slice password, struct slice method,
                                   struct slice uri, struct slice cnonce, struct buf *out);

#endif
