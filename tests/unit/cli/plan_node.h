/* plan_node: a fake node that has a plan, shows it, and keeps what it is asked to apply. */
#ifndef TANDEM_TESTS_CLI_PLAN_NODE_H
#define TANDEM_TESTS_CLI_PLAN_NODE_H

#include "tests/unit/cli/fake_node.h"

#include "node/plan/document.h"

#define PLAN_NODE_DIGEST "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"

struct plan_node {
    struct fake_node node;
    struct arena arena;
    struct plan_document plan;
    struct buf request; /* the last plan apply, packed */
    unsigned applies;
    unsigned moved; /* so many applies are refused since the plan has moved */
    char dir[64];
    char file[96]; /* for a test to write to */
};

/* Its plan is this document; passwords become hashes with the realm a.example. */
void plan_node_start(struct plan_node *p, const char *yaml);
void plan_node_stop(struct plan_node *p);

/* Gives p->file another name than t.csv. */
void plan_node_file(struct plan_node *p, const char *name);
/* Writes text to p->file. */
void plan_node_write(const struct plan_node *p, const char *text);
/* Runs a line in which "%" stands for p->file; out and err only contain these texts. */
void plan_node_run(const struct plan_node *p, const char *line, int status, const char *out, const char *err);

/* The last request. Its arena is the caller's. */
struct control_record plan_node_heard(const struct plan_node *p, struct arena *arena);
/* The objects that it puts as a document, and behind it a line "- KEY" for each deletion. NUL-terminated. */
void plan_node_change(const struct plan_node *p, struct buf *out);
bool plan_node_mentions(const struct plan_node *p, const char *text);

#endif
