/* remote: the hosts at which a side of a call says that it is to be met: those of its Contacts, which are its remote
 * target, and of the Record-Route value next to us on its side (RFC 3261 §12.1, §12.2). The last few of them, by hash.
 */
#ifndef TANDEM_EDGE_REMOTE_H
#define TANDEM_EDGE_REMOTE_H

#include "node/edge/edge_internal.h"

#define REMOTE_HOSTS 4

struct remote_hosts {
    uint64_t hash[REMOTE_HOSTS];
    uint8_t count;
    uint8_t at; /* the next one to be written */
};

/* What a request says of its sender, or a response of who gives it. */
void remote_note(const struct edge *e, const struct sip_view *v, struct remote_hosts *side);
/* port 0: 5060. The host in any case, with or without the brackets of IPv6; a name is not looked up. */
bool remote_has(const struct edge *e, const struct remote_hosts *side, struct slice host, uint16_t port);

#endif
