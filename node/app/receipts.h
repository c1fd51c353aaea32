/* receipts: which members have said that a change is durable with them: who is waited for, and what is said of the
 * rest. Who was reachable when the change was stored is waited for; who was not is named, never counted. It is done
 * when everybody who was waited for has it; on part of the cluster (exit status 4) when the time ran out before. */
#ifndef TANDEM_APP_RECEIPTS_H
#define TANDEM_APP_RECEIPTS_H

#include "node/app/node.h"

enum wait_for { WAIT_LIVE, WAIT_ALL, WAIT_COUNT };

/* A member and the change. */
struct addressee {
    struct node_name name;
    bool live; /* when the change was stored */
    bool has_it;
};

struct receipts {
    enum wait_for wait_for;
    size_t wait_count; /* nodes, this one included */
    uint64_t timeout_ms;
    struct addressee *addressees;
    size_t addressee_count;
};

/* wait: "live" (default), "all", or a number of nodes; timeout_ms: default 5 s. */
void receipts_arguments(struct receipts *r, const struct control_record *args);
/* Everybody who belongs to the cluster now, without this node. ERR_NOMEM. */
MUST_CHECK enum err receipts_address(struct receipts *r, const struct node *n);
void receipts_take(struct receipts *r, struct control_reply *reply, const struct node_name *peer, uint64_t elapsed_ms);
/* Whether nobody has to be waited for. */
bool receipts_enough(const struct receipts *r);
/* Says how many have it, and for whom we wait. */
void receipts_progress(const struct receipts *r, struct control_reply *reply);
/* Names who does not have it; returns how many they are. */
size_t receipts_send_missing(const struct receipts *r, const struct node *n, struct control_reply *reply);
/* What is said at the end when enough have it: "" or that those who are missing will catch up. */
void receipts_note(const struct receipts *r, size_t missing, char *out, size_t out_size);
/* One record. ms NULL: it has not said that it has the change. */
void receipts_send(struct control_reply *reply, const struct node_name *node, const uint64_t *ms, const char *note);
void receipts_fini(struct receipts *r);

#endif
