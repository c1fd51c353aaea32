/* guard: what becomes of those who guess passwords and account names.
 *
 * Four scores that fade (lockout.h): of an account as tried from one source, of an account from anywhere, of an account
 * as tried from where it is registered, and of a source. An account that is locked is refused as a wrong password is,
 * whatever the password, so that nobody learns anything from it; only from an address where it is registered the right
 * one still gets in, up to a far higher limit. A source that failed too often is banned: what it sends outside dialogs
 * is dropped, except in the name of an account that is registered from there, so that the phones behind one address do
 * not go down with a guesser among them. The node tells the others of a ban (edge_hooks.banned) and says which ones
 * hold (edge_bans_set).
 *
 * Only what proved its address is counted: the nonce that was answered to had been sent there (node/sip/digest.h). A
 * source is an IPv4 address, or an IPv6 /64. Trunks and members are never banned. Names of accounts that do not exist
 * are counted like others: else what a lock does to the answers would tell them apart. */
#ifndef TANDEM_EDGE_GUARD_H
#define TANDEM_EDGE_GUARD_H

#include "node/edge/edge_internal.h"

#define GUARD_BAN_S 600
#define GUARD_BAN_MAX_S 86400
#define GUARD_BANS_MAX 4096

#define GUARD_COUNTERS(X)                                                                                              \
    X(failures)                                                                                                        \
    X(failures_where_registered)                                                                                       \
    X(accounts_locked)                                                                                                 \
    X(accounts_locked_everywhere)                                                                                      \
    X(refused_locked)                                                                                                  \
    X(passed_where_registered)                                                                                         \
    X(untracked)                                                                                                       \
    X(bans)                                                                                                            \
    X(bans_left_out)                                                                                                   \
    X(dropped_banned)                                                                                                  \
    X(passed_banned)

#define GUARD_COUNTER_ENUM(id) GC_##id,
enum guard_counter { GUARD_COUNTERS(GUARD_COUNTER_ENUM) GC_COUNT };

MUST_CHECK enum err guard_new(struct edge *e, struct guard **out);
void guard_free(struct guard *g); /* NULL allowed */
const struct counter_table *guard_counters(const struct guard *g);

/* Whether a request outside a dialog is of a banned source and goes no further; counted. The name that it comes in is
 * only what it says: guard_drops_proof follows. */
bool guard_drops(struct edge *e, const struct flow *from, const struct sip_view *v);
/* Whether a proof of the account is of a banned source where that account is not registered, and gets no answer;
 * counted. Asked of each proof before it is looked at. */
bool guard_drops_proof(struct edge *e, const struct flow *from, struct slice account);
/* Whether the account proves itself in vain from there. Asked of each proof, before its worth counts. */
bool guard_locked(struct edge *e, const struct flow *from, struct slice account);
void guard_failed(struct edge *e, const struct flow *from, struct slice account, enum edge_failure why);
/* It was the right password: what was tried there before is forgiven. */
void guard_proved(struct edge *e, const struct flow *from, struct slice account);

#endif
