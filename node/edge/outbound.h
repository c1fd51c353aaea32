/* outbound: what a REGISTER says of its device and of the flow that it came by (RFC 5626), and what its answer says.
 *
 * A contact with +sip.instance and reg-id is a flow of a device: a later one of the same two takes its place, whatever
 * its URI; several flows of one device are tried one after the other, the newest first. It is taken where the flow is
 * a connection, or where the first proxy on the way says "ob" in its Path. By UDP a device would have to be answered to
 * STUN, which is not done here: it is then registered as if it had not asked, as the RFC lets a registrar do. */
#ifndef TANDEM_EDGE_OUTBOUND_H
#define TANDEM_EDGE_OUTBOUND_H

#include "node/edge/registrar_update.h"

#define OUTBOUND_FLOW_TIMER_S 120 /* how often a device should say that its connection is alive */

/* Whether an option is named in the lines of id (Supported, Require). */
bool outbound_option(const struct sip_view *v, enum sip_header id, struct slice option);
/* Fills instance and reg_id of c from the contact's parameters. 0, or the code to refuse with; why is the counter. */
unsigned outbound_read(struct arena *arena, const struct flow *from, const struct sip_view *v,
                       const struct sip_name_addr *contact, struct wanted_contact *c, enum registrar_counter *why);
/* Header lines of the 200: Require and Flow-Timer when a contact is a flow. */
void outbound_answer(const struct wanted *w, struct buf *lines);

#endif
