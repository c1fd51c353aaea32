/* kit: a whole node in the test's own process, in a directory and with ports of its own; what is in its store before it
 * starts; and a client that asks over its control socket. Every function fails the test by itself. */
#ifndef TANDEM_TESTS_APP_KIT_H
#define TANDEM_TESTS_APP_KIT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "node/app/node.h"
#include "node/plan/document.h"

#define KIT_WAIT_MS 20000

struct kit {
    char dir[64];
    char name[32];
    char site[32];
    char control[128];
    char data[128];
    const char *sip[2];
    struct config config;
    uv_loop_t *loop;
    uv_loop_t own_loop;
    uv_timer_t beat; /* keeps the loop turning, so that a condition is looked at */
    struct node node;
    bool open;
    struct events *kept; /* for the node's own memory of it */
    char events[16384];  /* "module/ev pairs\n" of what was logged last */
};

/* A directory, a loop (NULL: one of its own), and a configuration of node n1 at site hq that a test may change before
 * kit_start. */
void kit_init(struct kit *k, uv_loop_t *loop);
void kit_start(struct kit *k);
/* A start that must fail: returns why, everything is closed again. */
enum err kit_start_fails(struct kit *k, struct err_info *info);
void kit_stop(struct kit *k); /* the directory stays, so that kit_start is a restart */
void kit_fini(struct kit *k); /* stops first where needed; nothing may be left in a loop of its own */
/* For a loop of the test's own: nothing may be left in it. */
void kit_loop_close(uv_loop_t *loop);
/* Turns the loop until done, at most KIT_WAIT_MS. */
void kit_until(struct kit *k, bool (*done)(void *ctx), void *ctx, const char *what);
bool kit_logged(const struct kit *k, const char *part);
void kit_forget_log(struct kit *k);
void kit_turn(struct kit *k, unsigned ms); /* for this long, to see that something does not happen */

/* ---- documents ---- */
/* Passwords of accounts become hashes. */
struct plan_document kit_document(struct arena *arena, const char *yaml);
struct slice kit_packed(struct arena *arena, const struct plan_object *o);

/* ---- a store that is not open yet ---- */
/* count routes of prefix with a note each: some 1100 bytes of log for each route. malloc'd. */
char *kit_many_routes(const char *prefix, unsigned count);
struct store *kit_store_open(struct kit *k);
void kit_store_close(struct store *s);
/* Waits for the job of the last submit. */
void kit_store_wait(struct store *s);
/* The objects of a document as the next change of a node called elsewhere; passwords are hashed. */
void kit_store_plan(struct store *s, const char *yaml);
void kit_store_member(struct store *s, const char *name, const char *site, enum member_status status);
/* A state record of another node. version: above all of that owner's before. */
void kit_store_record(struct store *s, const char *owner, uint64_t version, enum state_kind kind, struct slice key,
                      struct slice value);
/* A binding as its owner gossips it. version: above all of that owner's before. */
void kit_store_binding(struct store *s, const char *owner, uint64_t version, const char *account, const char *contact);
void kit_store_card(struct store *s, const char *owner, uint64_t version, const char *address);
/* The private half of a binding that this node owns, alone. */
void kit_store_private(struct store *s, const char *account, const char *contact, int64_t expires_ms);

/* ---- a node that runs ---- */
/* The document as a change made here, on disk when this returns. */
void kit_plan(struct kit *k, const char *yaml);
/* A heartbeat from a member: it is alive then. */
void kit_heartbeat(struct kit *k, const char *name, const char *site);
struct binding kit_binding(const char *account, const char *contact, int64_t left_ms);
/* Stores bindings (NULL: none) and waits for the end. */
enum err kit_write(struct kit *k, const struct binding *puts, size_t put_count, const struct binding *removes,
                   size_t remove_count);
uint64_t kit_counter(const struct kit *k, const char *module, const char *name);

/* ---- a client ---- */
struct client {
    struct kit *kit;
    uv_pipe_t pipe;
    uv_connect_t connect;
    uv_write_t write;
    struct buf out;
    struct buf in;
    size_t parsed;
    struct arena arena;
    struct control_record *records;
    size_t count;
    size_t cap;
    bool reading; /* false: what the node says stays where it is */
    bool ended;
    bool closed;
    int status;
    char text[LIMIT_TEXT];
    char progress[LIMIT_TEXT]; /* the last one, "text done/total" */
};
/* Connects and sends; args is an open builder in c->arena, NULL: none. */
void client_open(struct client *c, struct kit *k);
void client_send(struct client *c, const char *command, const char *node, struct control_builder *args);
void client_wait(struct client *c);  /* for the end of the answer */
void client_close(struct client *c); /* at any time */
/* All in one. The answer stays readable until client_close. */
void client_ask(struct client *c, struct kit *k, const char *command, const char *node, struct control_builder *args);
/* The i-th record of a kind; NULL. */
const struct control_record *client_record(const struct client *c, const char *kind, size_t i);
size_t client_count(const struct client *c, const char *kind);
/* A text field; "" when it is not there. */
const char *field_text(struct client *c, const struct control_record *r, const char *name);
/* The puts and deletes of a document, as clusterctl sends them. "(set)" and passwords included. */
void args_document(struct client *c, struct control_builder *b, const char *yaml);

void kit_remove(const char *dir);

#endif
