/* apply: one request to change the plan, from its arrival to its last receipt. Carried out in commands_apply.c, read in
 * apply_request.c; nobody else sees it. */
#ifndef TANDEM_APP_APPLY_H
#define TANDEM_APP_APPLY_H

#include "node/app/node.h"
#include "node/app/plan_change.h"
#include "node/app/receipts.h"
#include "node/app/rollback.h"

enum apply_source {
    FROM_DOCUMENT,
    FROM_CHANGE /* the inverse of it */,
    FROM_PENDING /* what still carries it */,
    FROM_CONFLICTS
};
enum apply_state { APPLY_QUEUED, APPLY_WORKING, APPLY_SAYING, APPLY_STORING, APPLY_WAITING };
struct apply {
    struct list_node node; /* of node.applies */
    enum apply_state state;
    uv_work_t work;
    struct change_wait wait;
    uv_timer_t timer;
    bool timer_open;
    struct node *n;
    struct control_reply *reply;
    struct store_read *read;
    struct arena arena; /* of what the request brought; its texts are the request's, which lives until the end */
    struct wanted_put *puts;
    struct slice *deletes;
    struct arena change_arena; /* of one look at the plan */
    enum apply_source source;
    struct plan_change change;
    struct rollback rollback;  /* plan rollback */
    struct log_id self;        /* plan confirm: the log that it will be in */
    struct hlc exactly;        /* and its time there */
    struct change_terms terms; /* plan confirm: what it settles; the others: whether they have to be confirmed */
    unsigned looks;
    size_t said;        /* operations of a dry run */
    int dry_run_status; /* that it ends with */
    enum err err;
    struct err_info info;
    /* arguments */
    struct slice base_digest;
    struct slice message;
    struct slice allow;
    struct slice object; /* plan accept: a key or the beginning of one */
    bool dry_run;
    bool findings_only; /* of a dry run: its operations are not asked for */
    bool force;
    /* receipts */
    struct mono started;
    struct receipts receipts;
};

/* What the request asks for; a->n and a->reply are set. Texts stay the request's, which lives until the end. ERR_SYNTAX
 * and ERR_LIMIT with a text in a->info; ERR_NOMEM, ERR_LIMIT: no reader of the store. */
MUST_CHECK enum err apply_take_request(struct apply *a, const struct control_request *request);

#endif
