/* mesh_codec: the frames that travel between nodes, as protobuf bytes: the messages of node/repl and the link's own
 * (hello, acknowledgement, fragment, poll, relayed control request).
 *
 * Every frame carries the sender's version range, cluster id and name. Unpacking validates: every string, list and
 * enumeration is within its bound, so what comes out is safe to use; whether the sender is who it says is the link's
 * matter. Change-sets travel as their original bytes. Schema: proto/mesh.proto. What is not here: sockets, keys, the
 * splitting into fragments. */
#ifndef TANDEM_PROTO_MESH_CODEC_H
#define TANDEM_PROTO_MESH_CODEC_H

#include "node/repl/message.h"

/* What this node speaks: its version, and the one before it. So nodes of v and v + 1 understand each other, and a
 * cluster is brought to v + 1 node by node. Tests build nodes of other versions. */
#ifndef MESH_VERSION
#define MESH_VERSION 1
#endif
#define MESH_VERSION_MAX MESH_VERSION
#define MESH_VERSION_MIN (MESH_VERSION > 1 ? MESH_VERSION - 1 : 1)
#define MESH_NONCE_LEN 32
#define MESH_POLL_SLOTS 8         /* requests that a node which cannot be dialled keeps parked at each peer */
#define MESH_CERTIFICATE_MAX 8192 /* bytes of a DER certificate */
#define MESH_SIGNATURE_MAX 512
#define MESH_CLUSTER_MAX LIMIT_NAME /* characters of a cluster id, of the same alphabet as a name */
#define MESH_WHOLE_MAX 268435456    /* bytes of a frame that is joined from fragments */
#define MESH_ACCUSATIONS_MAX 1024   /* in a heartbeat */
#define MESH_VECTOR_MAX 65536       /* entries of a vector */
#define MESH_ITEMS_MAX 65536        /* change-sets, or state records, of one push; receipts of one message */
#define MESH_STATE_KEY_MAX 600
#define MESH_STEPS_MAX (LIMIT_MEMBERS / 8 + 1)
#define MESH_OBJECT_KEY_MAX 320 /* bytes of a plan object's key */

enum mesh_frame_type {
    MESH_HELLO = 1,   /* client: here is my nonce */
    MESH_HELLO_REPLY, /* server: my nonce, and the proof of my name */
    MESH_HELLO_PROOF, /* client: the proof of mine */
    MESH_ACK,         /* the reply to everything else */
    MESH_FRAGMENT,
    MESH_MESSAGE,       /* of node/repl */
    MESH_RELAY_REQUEST, /* a control request for the receiver, answered later by a MESH_RELAY_REPLY on the way back */
    MESH_RELAY_REPLY,
    MESH_POLL /* a request to be answered when there is something for its sender, by any of those above */
};

enum mesh_ack_code {
    MESH_ACK_OK = 0,
    MESH_ACK_HELLO,   /* I do not know yet who you are: say hello again */
    MESH_ACK_REFUSED, /* I know, and do not talk with you; text says why */
    MESH_ACK_FULL,    /* come again later */
    MESH_ACK_BAD,     /* did not parse, or over a limit */
    MESH_ACK_UNKNOWN, /* a kind of frame that my version does not know */
    MESH_ACK_VERSION, /* no version in common */
    MESH_ACK_CODE_COUNT
};
const char *mesh_ack_name(enum mesh_ack_code code);

struct mesh_frame {
    enum mesh_frame_type type;
    uint32_t version_min; /* set by unpack; pack writes MESH_VERSION_MIN .. MAX */
    uint32_t version_max;
    struct slice cluster;
    struct node_name sender;
    union {
        struct {
            unsigned char nonce[MESH_NONCE_LEN]; /* HELLO and HELLO_REPLY */
            struct slice certificate;            /* HELLO_REPLY and HELLO_PROOF: DER */
            struct slice signature;
        } hello;
        struct {
            enum mesh_ack_code code;
            struct slice text;
        } ack;
        struct {
            uint64_t id;
            uint64_t total;
            uint64_t offset;
            struct slice data; /* 1 .. LIMIT_MESH_CHUNK bytes, within total */
        } fragment;
        struct {
            uint64_t id;
            struct slice body;
        } relay; /* RELAY_REQUEST and RELAY_REPLY */
        struct {
            uint32_t slot; /* below MESH_POLL_SLOTS */
            bool acks;     /* ack is of what the last poll of this slot brought; else nothing came */
            enum mesh_ack_code code;
            struct slice text;
        } poll;
        struct repl_message message;
    };
};

/* Appends to out. message.from is ignored: sender counts. ERR_LIMIT when something is over the bound that unpack
 * enforces, ERR_NOMEM; out is then unchanged. */
MUST_CHECK enum err mesh_frame_pack(const struct mesh_frame *f, struct buf *out);
/* Everything is copied into arena, so packed may go. The origins of a heartbeat's your_plan and your_state stay empty:
 * they are the receiver's own name. ERR_SYNTAX (not protobuf, or breaks a rule; info says which), ERR_LIMIT, ERR_NOMEM,
 * ERR_VERSION: a body that this version does not know, or no version in common (version_min and version_max are then
 * set). */
MUST_CHECK enum err mesh_frame_unpack(struct arena *arena, struct slice packed, struct mesh_frame *f,
                                      struct err_info *info);

#endif
