/* doctor: what can be wrong around a node and is seen from its own machine: ports, disk, clock, certificates, the way
 * to the others' SIP ports. Each check is one finding. All of it may block and runs on a worker thread; it touches
 * nothing of the node but its configuration. */
#ifndef TANDEM_APP_DOCTOR_H
#define TANDEM_APP_DOCTOR_H

#include "node/app/config.h"
#include "node/app/identity.h"
#include "node/base/limits.h"
#include "node/base/time.h"

enum doctor_state { DOCTOR_OK, DOCTOR_WARNING, DOCTOR_FAILED };
const char *doctor_state_name(enum doctor_state s); /* "ok" "warning" "failed" */

struct doctor_finding {
    const char *check; /* "port", "disk", "clock", "certificate", "site", "name", "way", "media" */
    char object[LIMIT_HOST + LIMIT_NAME + 32];
    enum doctor_state state;
    char text[LIMIT_TEXT]; /* what was found */
    char mend[LIMIT_TEXT]; /* what to do; "" when it is well */
};

struct doctor {
    struct doctor_finding *items;
    size_t count;
    size_t cap;
    bool failed; /* no memory: some are missing */
};
void doctor_fini(struct doctor *d);
/* One more; mend NULL when it is well. */
void doctor_add(struct doctor *d, const char *check, enum doctor_state state, const char *object, const char *mend,
                const char *fmt, ...) PRINTF_LIKE(6, 7);

/* doctor_checks.c */
/* Whether somebody listens where the configuration says that this node does. */
void doctor_ports(struct doctor *d, const struct config *config);
/* Room, and how long it takes until what is written is on the disk. */
void doctor_disk(struct doctor *d, const char *data);
/* Whether the system's clock is kept by a time server. */
void doctor_clock(struct doctor *d);
/* sip: the file that others than members are shown, NULL none. */
void doctor_certificates(struct doctor *d, const struct identity *identity, const char *sip, struct wall now);
/* doctor_ways.c */
/* Another node's SIP port, and what came of a connection to it. */
struct doctor_way {
    char node[LIMIT_NAME + 1];
    char address[LIMIT_HOST + 16]; /* "tls:10.2.0.1:5061" */
};
/* Connects to all of them at once and waits for at most 2 s. */
void doctor_ways(struct doctor *d, const struct doctor_way *ways, size_t count);

#endif
