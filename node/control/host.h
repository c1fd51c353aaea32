/* host: by which names of this node a page is shown that has no login.
 *
 * A browser asks whatever address a name stands for, so a hostile site can point a name of its own at this node and
 * read the page through the browser of somebody inside (DNS rebinding). It cannot do so with an address, and names
 * without a dot are none of the public DNS: the Host header (RFC 9110 §7.2) tells the difference. */
#ifndef TANDEM_CONTROL_HOST_H
#define TANDEM_CONTROL_HOST_H

#include "node/base/bytes.h"

/* Whether the value of a Host header, with or without a port, is an IPv4 address, an IPv6 address in
 * brackets, or a name without a dot, such as localhost. */
bool host_is_near(struct slice host);

#endif
