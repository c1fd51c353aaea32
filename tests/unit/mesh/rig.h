/* rig: several meshes in one process on 127.0.0.1, with certificates made for the test, and what they reported. */
#ifndef TANDEM_TESTS_MESH_RIG_H
#define TANDEM_TESTS_MESH_RIG_H

#include "cli/pki.h"
#include "node/mesh/mesh.h"

#define RIG_WAIT_MS 20000
#define RIG_PEERS 4

struct rig {
    char dir[64]; /* temporary; removed by rig_fini */
    char cluster[LIMIT_NAME + 1];
    uv_loop_t loop;
    uv_timer_t beat;     /* keeps the loop turning, so that a condition is looked at */
    struct log log;      /* to stderr when TANDEM_TEST_LOG is set */
    char refusals[4096]; /* the reasons of link-refused and hello-refused events, one a line */
};

struct rig_peer {
    struct node_name name;
    unsigned ups;
    unsigned downs;
    bool up;
};

struct rig_node {
    struct rig *rig;
    struct mesh *mesh;
    struct node_name name;
    struct rig_peer peers[RIG_PEERS];
    uint64_t issued; /* of the last certificate that proved a name */
    unsigned messages;
    uint64_t last_incarnation; /* of the last heartbeat */
    struct node_name last_from;
    struct node_name your_origin;
    size_t records; /* of pushes */
    size_t record_bytes;
    uint64_t record_sum;
    unsigned sent[ERR_COUNT];
    uint64_t last_token;
    uint64_t tokens_xor;
    unsigned relays;
    uint64_t relay_id;
    char relay_text[64];
    unsigned relay_replies;
    uint64_t relay_token;
    enum err relay_err;
    size_t relay_reply_len;
    bool answer_relays;
    void (*on_down)(struct rig_node *n); /* called inside on_link(false) */
};

void rig_init(struct rig *r);
void rig_fini(struct rig *r);
/* Makes the files of a node under dir/node (by the CA in dir/ca), valid from begins for days; {0} and 0 for the usual.
 */
void rig_identity(struct rig *r, const char *ca, const char *node, struct wall begins, unsigned days);
/* The same, usual one, issued later than after_s. */
void rig_identity_after(struct rig *r, const char *ca, const char *node, int64_t after_s);
/* A second CA in dir/ca; returns its cluster id in out. */
void rig_ca(struct rig *r, const char *ca, char out[LIMIT_NAME + 1]);

/* Options for a node with the files of rig_identity(files). */
struct mesh_options rig_options(struct rig *r, struct rig_node *n, const char *files, const char *name,
                                const char *listen);
void rig_open(struct rig *r, struct rig_node *n, const char *name, const char *listen);
/* A node that cannot be dialled: it listens nowhere, and parks requests at its peers. */
void rig_open_parks(struct rig *r, struct rig_node *n, const char *name);
void rig_close(struct rig_node *n);
/* Turns the loop until done(ctx), at most RIG_WAIT_MS: then the test fails, naming what. */
void rig_wait(struct rig *r, bool (*done)(void *ctx), void *ctx, const char *what);
/* Turns the loop for this long, to see that something does not happen. */
void rig_turn(struct rig *r, unsigned ms);

bool rig_up(const struct rig_node *n, const char *peer);
void rig_wait_up(struct rig_node *n, const char *peer);
void rig_wait_down(struct rig_node *n, const char *peer);
/* Until the text of the link to peer contains part. */
void rig_wait_text(struct rig_node *n, const char *peer, const char *part);
void rig_wait_counter(struct rig_node *n, const char *counter, uint64_t least);
uint64_t rig_counter(const struct rig_node *n, const char *counter);
struct node_name rig_name(const char *text);
/* A heartbeat with this incarnation. */
enum err rig_beat(struct rig_node *n, const char *peer, uint64_t incarnation, uint64_t token);
/* A push of count records of value_len bytes each; returns the sum of all its bytes. */
enum err rig_push(struct rig_node *n, const char *peer, size_t count, size_t value_len, uint64_t token, uint64_t *sum);

#endif
