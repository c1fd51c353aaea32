/* identity: who is said to call, and who may be told (RFC 3325 P-Asserted-Identity, RFC 3323 Privacy, Diversion, RFC
 * 7044 History-Info, and Remote-Party-ID, which came before them and which many PBXs still believe).
 *
 * Inside are the nodes of the cluster and the trunks that the plan trusts with identities; outside is everybody else,
 * phones too. What comes from outside asserts nothing: its P-Asserted-Identity, Diversion, History-Info and
 * Remote-Party-ID end here, and an account gets the identity that its password proved. What goes outside carries none
 * of the last three, and no identity when "Privacy: id" asks for that. */
#ifndef TANDEM_EDGE_IDENTITY_H
#define TANDEM_EDGE_IDENTITY_H

#include "node/edge/proxy_arrival.h"

/* Whether a message has headers of the kind at all: most have none. */
static inline bool identity_concerns(const struct sip_view *v)
{
    return v->first[SIP_ASSERTED_IDENTITY] != SIP_NO_LINE || v->first[SIP_PREFERRED_IDENTITY] != SIP_NO_LINE ||
           v->first[SIP_DIVERSION] != SIP_NO_LINE || v->first[SIP_HISTORY_INFO] != SIP_NO_LINE ||
           v->first[SIP_REMOTE_PARTY_ID] != SIP_NO_LINE;
}
/* Notes the removals. */
void identity_edits(const struct sip_view *v, bool from_inside, bool to_inside, struct sip_edits *edits);
/* Whether the other end of a flow is inside, where only its address says so. */
bool identity_flow_inside(struct edge *e, const struct flow *flow);
/* The user part that an account is asserted with: the number that the caller prefers or shows, when it is one behind
 * the account; else the account's name. In arena; {NULL, 0}: no memory. */
struct slice identity_of_account(struct arena *arena, const struct sip_view *v, const struct plan_account *account);
/* The header line, into e->lines; nothing when the caller wants to be unknown outside. */
void identity_assert(struct edge *e, const struct sip_view *v, struct slice user, bool to_inside);

#endif
