/* members: the nodes of the cluster as the one at the socket knows them, for commands that ask each of them. */
#ifndef TANDEM_CLI_MEMBERS_H
#define TANDEM_CLI_MEMBERS_H

#include "cli/cli.h"

struct member {
    char name[LIMIT_NAME + 1];
    bool self;  /* it is the one that was asked */
    bool alive; /* or drained, or suspected */
};

struct members {
    struct member *items;
    size_t count;
    size_t cap;
    bool failed; /* no memory: some are missing */
};

/* Those that belong to the cluster: who left or was evicted is not among them. CLI_DONE, or a status that was said. */
int members_ask(struct cli *c, struct members *out);
void members_fini(struct members *m);

#endif
