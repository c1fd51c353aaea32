/* commands_kit: what the tests of the commands share: a small plan, and asking for things about it. */
#ifndef TANDEM_TESTS_APP_COMMANDS_KIT_H
#define TANDEM_TESTS_APP_COMMANDS_KIT_H

#include <stdio.h>

#include "kit.h"

#define PLAN                                                                                                           \
    "plan: 1\n"                                                                                                        \
    "defaults: { domain: example.org }\n"                                                                              \
    "sites: { hq: { blocks: [\"6\"] } }\n"                                                                             \
    "trunks:\n"                                                                                                        \
    "  pbx: { site: hq, address: [\"10.1.0.10:5060\"], trust: [\"10.1.0.10/32\"],\n"                                   \
    "         out: [ {match: \"6\", strip: 1, prepend: \"9\"} ] }\n"                                                   \
    "  two: { site: hq, address: [\"10.1.0.11:5060\"], trust: [\"10.1.0.11/32\"], disabled: true }\n"                  \
    "accounts:\n"                                                                                                      \
    "  \"6001\": { password: \"old\" }\n"                                                                              \
    "routes:\n"                                                                                                        \
    "  - { match: \"6\", to: trunk/pbx }\n"                                                                            \
    "  - { match: \"61\", to: trunk/pbx, priority: 20 }\n"                                                             \
    "  - { match: \"61\", to: trunk/two, priority: 10 }\n"

/* plan apply or plan diff; options as text fields "name", "value", ..., NULL. */
void apply(struct client *c, struct kit *k, const char *command, const char *yaml, ...);
/* All warnings allowed; it must be done. */
void apply_ok(struct kit *k, const char *yaml);
/* A command with one text argument, or none (name NULL). */
void ask(struct client *c, struct kit *k, const char *command, const char *name, const char *value);
void plan_digest_of(struct kit *k, char out[PLAN_DIGEST_TEXT]);
/* PLAN and so many routes more. */
void big_plan(struct kit *k, size_t routes);
void open_node(struct kit *k);

#endif
