/* mesh: the NNG links between nodes: tls+tcp REQ/REP with contexts, one REQ socket per peer and one REP socket to
 * listen.
 *
 * It proves names (hello with a nonce signed by the node's key; the certificate must chain to the cluster CA and carry
 * the node's name), bounds everything (LIMIT_MESH_FRAME, queue lengths, time-outs), splits messages over
 * LIMIT_MESH_CHUNK and joins them, dials again for ever with jittered back-off, and keeps a watchdog over its own
 * listener (a port scan can kill one, see mesh.c). A peer that cannot be dialled is reached by answering requests that
 * it has parked here: poll.c and caller.c; its link is a link as any other. It decides nothing: membership and content
 * are the core's (node/repl). Threads: all calls and callbacks on the loop thread. NNG's own threads decode and hand
 * over through a bounded queue and uv_async. */
#ifndef TANDEM_MESH_MESH_H
#define TANDEM_MESH_MESH_H

#include <uv.h>

#include "node/base/counter.h"
#include "node/base/log.h"
#include "node/repl/message.h"

struct mesh;

#define MESH_RELAY_TIMEOUT_MS 60000 /* a relayed control request ends by then */

/* Files as "clusterctl node join" leaves them; see README "Certificates". */
struct mesh_options {
    uv_loop_t *loop;
    const struct log *log;
    struct node_name self;
    struct slice cluster; /* cluster id from the CA: peers of another cluster are refused */
    const char *listen;   /* "10.1.0.1:7400" or "[::1]:0"; NULL: does not listen */
    bool parks; /* this node cannot be dialled: it keeps requests parked at its peers, who answer them when they
                   have something for it */
    const char *ca_file;   /* PEM */
    const char *cert_file; /* PEM, CN = node name */
    const char *key_file;  /* PEM, mode 0600 */
    uint64_t seed;         /* jitter */
    /* A decoded message from a proved peer. Valid for the call. */
    void (*on_message)(void *ctx, const struct node_name *from, const struct repl_message *m);
    /* Reply to mesh_send: err is ERR_OK, ERR_TIMEOUT, ERR_UNREACHABLE, ERR_FULL (the peer is over its queue). */
    void (*on_sent)(void *ctx, const struct node_name *peer, uint64_t token, enum err err, uint32_t rtt_us);
    void (*on_link)(void *ctx, const struct node_name *peer, bool up);
    /* The name was proved (either side's hello), by a certificate issued at issued (seconds since 1970, 0: it does not
     * say) that mesh_evict does not refuse. Before anything else of that connection. NULL: nobody wants to know. */
    void (*on_certificate)(void *ctx, const struct node_name *peer, uint64_t issued);
    /* A control request relayed from another node; answer with mesh_relay_reply(mesh, id, ...), at any time. */
    void (*on_relay)(void *ctx, const struct node_name *from, uint64_t id, struct slice request);
    void (*on_relay_reply)(void *ctx, uint64_t token, enum err err, struct slice reply);
    void *ctx;
};

/* Starts listening. ERR_SYNTAX (address), ERR_AUTH (certificate, key or CA unusable; which and why), ERR_EXISTS (port
 * in use), ERR_IO. */
MUST_CHECK enum err mesh_open(const struct mesh_options *options, struct mesh **out, struct err_info *info);
/* closed(ctx) (may be NULL) after everything ended; the mesh is then freed. No other callback comes after mesh_close
 * returns. */
void mesh_close(struct mesh *m, void (*closed)(void *ctx), void *ctx);
/* "10.1.0.1:7400" with the port really bound. */
struct slice mesh_listen_address(const struct mesh *m);

/* Keeps a link to peer at address until mesh_hangup. Dialling again with another address moves it. An empty address:
 * the peer cannot be dialled, and is linked when it dials us (which it is also without this call, if it was not hung
 * up). ERR_NOMEM, ERR_SYNTAX. */
MUST_CHECK enum err mesh_dial(struct mesh *m, const struct node_name *peer, struct slice address);
/* The same for a seed, whose name is learnt from its hello (on_link then carries the name). */
MUST_CHECK enum err mesh_dial_seed(struct mesh *m, struct slice address);
/* Ends the link; what was on the way is reported before this returns. */
void mesh_hangup(struct mesh *m, const struct node_name *peer);
/* From the next hello on a peer is refused although its certificate verifies, unless that was issued after barred. */
MUST_CHECK enum err mesh_bar(struct mesh *m, const struct node_name *peer, uint64_t barred);
/* The same, and at once: its connections end. */
MUST_CHECK enum err mesh_evict(struct mesh *m, const struct node_name *peer, uint64_t barred);

/* Packs and queues; the outcome comes by on_sent exactly once when ERR_OK is returned (not when mesh_close comes
 * first), never before this returns. ERR_UNREACHABLE no link, ERR_FULL the link's queue is full (counted), ERR_LIMIT
 * the message is over a bound of mesh_codec.h, ERR_NOMEM. */
MUST_CHECK enum err mesh_send(struct mesh *m, const struct node_name *peer, const struct repl_message *message,
                              uint64_t token);
/* The outcome comes by on_relay_reply exactly once when ERR_OK is returned, after MESH_RELAY_TIMEOUT_MS at the latest
 * (ERR_TIMEOUT). The peer answers over its own link to us. ERR_UNREACHABLE, ERR_FULL, ERR_LIMIT, ERR_NOMEM. */
MUST_CHECK enum err mesh_relay(struct mesh *m, const struct node_name *peer, struct slice request, uint64_t token);
/* ERR_NOTFOUND: answered already, or too late. ERR_UNREACHABLE: we have no link to the asker. ERR_FULL: try again
 * later; else the request has ended here. */
MUST_CHECK enum err mesh_relay_reply(struct mesh *m, uint64_t id, struct slice reply);

/* For people: the state of the link to peer, e.g. "linked", "dialling: connection refused", "refused: certificate
 * expired on 2026-01-01". out holds LIMIT_TEXT bytes. */
void mesh_link_text(const struct mesh *m, const struct node_name *peer, char *out, size_t out_size);
/* Whether a link to peer is there, or is tried or waited for: one that is missing then is broken. */
bool mesh_link_wanted(const struct mesh *m, const struct node_name *peer);
/* The same of the i-th seed of which nobody knows yet who it is, since it has not been linked; false: there are no
 * more. address is borrowed until the next call of anything here. */
bool mesh_seed_text(const struct mesh *m, size_t i, struct slice *address, char *out, size_t out_size);
const struct counter_table *mesh_counters(const struct mesh *m);

#endif
