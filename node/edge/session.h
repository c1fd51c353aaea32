/* session: session timers (RFC 4028) as a proxy keeps them: a call whose sides are both gone must end in the records
 * too, and its place under a limit with it.
 *
 * An INVITE that asks for no refreshes is made to, so that a side that knows how will send them; when only the caller
 * does, the 2xx tells him to. An interval below SESSION_MIN_S is refused (422), or raised for a caller who would not
 * understand that. Nothing is ever sent into a call from here. */
#ifndef TANDEM_EDGE_SESSION_H
#define TANDEM_EDGE_SESSION_H

#include "node/edge/proxy_arrival.h"

#define SESSION_MIN_S 90 /* RFC 4028 §5 */

/* False: answered 422. */
bool session_usable(struct arrival *a);
/* What an INVITE or UPDATE says, as it leaves: kept in r. */
void session_ask(struct relay *r, const struct sip_view *v);
/* Header lines that the request gets, into e->lines. */
void session_request_lines(struct edge *e, const struct relay *r, const struct sip_view *v);
/* Its own Session-Expires and Min-SE, where they are raised. text is the caller's memory until the edits are applied.
 */
#define SESSION_TEXT 16
void session_edits(const struct relay *r, const struct sip_view *v, char text[SESSION_TEXT], struct sip_edits *edits);
#define SESSION_LINES 80
/* A side that is not refreshed says BYE so long before the end (RFC 4028 §10); as long after it the record waits. */
static inline uint32_t session_grace_s(uint32_t session_s)
{
    return session_s / 3 < 32 ? session_s / 3 : 32;
}
/* The refresh interval that a 2xx agrees on, 0 none; lines gets what must be added to it, "" nothing. */
uint32_t session_agreed(const struct relay *r, const struct sip_view *response, char text[SESSION_LINES],
                        struct slice *lines);

#endif
