/* proxy_arrival: a new request while it is being judged; what the files of proxy_request.c share. */
#ifndef TANDEM_EDGE_PROXY_ARRIVAL_H
#define TANDEM_EDGE_PROXY_ARRIVAL_H

#include "node/edge/flow_token.h"
#include "node/edge/proxy.h"

/* The Route set as far as it concerns us. Slices lie in the message. */
struct route_set {
    unsigned
        own; /* values at the top that are ours: one, or two of a double Record-Route (RFC 5658), or more of a spiral */
    unsigned pops;       /* values at the top that go: ours, or all when the next one is a strict router's */
    struct slice cookie; /* ck, tt, tk, tn of the first of them; {NULL, 0}: absent */
    unsigned sides;      /* hm of the first, which its cookie proves */
    struct slice target;
    struct slice transit_cookie;
    bool number_in_contact;
    bool for_device;       /* gd of the first: another node says that the device is here */
    unsigned hidden_sides; /* hm, hu, hd of ours: topology.h */
    struct slice hidden_up;
    struct slice hidden_down;
    struct slice flows[2]; /* fc, fd of the last of them, by enum flow_side */
    bool has_next;         /* another value follows: next is its URI */
    bool to_member;        /* it carries our cookie too, so it is another node's: only a member may be met there */
    unsigned crossings;    /* of the mesh, as far as the values at the top are members' and ours */
    bool bad;
    struct sip_uri next;
    struct slice next_text;
};

struct arrival {
    struct edge *e;
    const struct flow *from;
    struct sip_view *v;
    struct route_set routes;
    bool proved;           /* inside a dialog: its cookie is good */
    struct slice asserted; /* the identity that an account gets */
    bool hide_from;        /* of topology_open: */
    bool hide_to;
    bool by_caller;          /* known where a side is hidden */
    struct slice named_host; /* of the URI that says where it goes next: a Route's, or the Request-URI */
    uint16_t named_port;
    bool to_device;            /* that is a GRUU: it goes to a contact that has been looked at when it was registered */
    struct slice hidden_route; /* Route values that ours stood for */
};

/* Answers without a transaction, and counts why. An INVITE inside a dialog gets one: its ACK has the dialog's Route and
 * To tag, and would be taken for that of a 2xx. */
COLD void proxy_arrival_refuse(struct arrival *a, enum edge_counter why, unsigned code, struct slice extra);

/* ---- proxy_route.c ---- */
void proxy_arrival_read_routes(struct arrival *a);
/* The next hop by Route or Request-URI; 0, or the code of what is wrong with it, and why. */
unsigned proxy_arrival_next_hop(struct arrival *a, struct edge_hop *hop, enum edge_counter *why);
bool proxy_arrival_cookie_ok(const struct arrival *a);
/* Whether a node of this cluster made the Route value for this dialog, with either key. */
bool proxy_arrival_is_members(const struct arrival *a, const struct sip_uri *uri);
/* Max-Forwards and Proxy-Require; false: answered. */
bool proxy_arrival_may_pass(struct arrival *a);

/* ---- proxy_strict.c ---- */
/* Spares a closer look: true means little. */
bool proxy_strict_suspected(const struct sip_view *v);
/* Whether a strict router sent it: then text and loose are what a loose one would have sent. */
COLD bool proxy_strict_undo(struct edge *e, const struct sip_view *v, struct buf *text, struct sip_view *loose);
/* The next Route value has no lr: it becomes the hop's Request-URI, and request_uri the last Route. False: no memory,
 * or more values than anybody has. */
COLD bool proxy_strict_hop(struct arrival *a, struct slice request_uri, struct edge_hop *hop);

/* ---- proxy_ack.c ---- */
void proxy_arrival_ack(struct arrival *a);
void proxy_acks_free(struct edge *e);

/* ---- proxy_inside.c ---- */
/* A request with a To tag, ACK aside. */
void proxy_arrival_inside(struct arrival *a);
/* Whether a trunk is there, and another one than the call is with: "trunk/NAME", "" with none. */
bool proxy_inside_strays(struct edge *e, const union sock_address *to, struct slice trunk);

/* ---- proxy_outside.c ---- */
/* Whether a request is taken under the present load; false: answered. */
bool proxy_arrival_admitted(struct arrival *a);
/* A request without a To tag. */
void proxy_arrival_outside(struct arrival *a);

#endif
