/* client_line: one registration and the table of them; what the files of client.h share. */
#ifndef TANDEM_EDGE_CLIENT_LINE_H
#define TANDEM_EDGE_CLIENT_LINE_H

#include "node/edge/client.h"
#include "node/edge/rest.h"
#include "node/plan/address.h"
#include "node/sip/register.h"

#define LINE_ADDRESSES 8
#define LINE_PEERS 16

enum line_timer { LINE_DUE = SIP_TIMER_OTHER, LINE_SILENCE, LINE_KEEP };

struct line {
    struct list_node node;
    struct lines *lines;
    struct registration reg;
    struct edge_registration o; /* its texts lie in arena */
    struct arena arena;
    bool kept;       /* in the new list */
    bool started;    /* not yet, while an older line of the trunk is being given back */
    bool leaving;    /* not in the list any more */
    bool resolving;  /* dns holds a pointer to us */
    bool asked_dns;  /* inside the question: the answer may come at once */
    bool gone;       /* freed when dns lets go */
    bool take_stale; /* o.stale has still to be taken away */

    /* the request under way */
    struct sip_tx tx;
    struct sip_timer silence;
    struct sip_timer due;
    uint64_t id; /* 0: none */
    struct flow to;
    char *message; /* for retransmission */
    size_t message_len;
    uint32_t cseq;
    uint64_t tag;
    char call_id[24];

    /* where: the places are o.address; found are the addresses of the one that is tried */
    size_t place;
    struct address_host host; /* of the place, or of a redirection */
    enum plan_transport transport;
    char redirected[LIMIT_HOST + 1]; /* what host is then, "" none */
    union sock_address found[LINE_ADDRESSES];
    uint8_t found_count;
    uint8_t found_at;
    struct rests rests;                   /* of whatever place */
    union sock_address peers[LINE_PEERS]; /* of every place and Path since the start: calls may come from there */
    uint8_t peer_count;

    /* as registered */
    struct sip_timer keep;
    struct flow flow; /* over which it was accepted */
    bool has_flow;
    bool translated;
    char at[SOCK_ADDRESS_TEXT + 8];
    char at_host[LIMIT_HOST + 1];
    char token[SIP_LINE_TOKEN];
    char contact[LIMIT_URI];
    struct buf route;
    struct wall since;
    struct wall expires;
    enum trunk_registration_state told; /* what people know */
    char told_reason[REGISTRATION_REASON];
};

struct lines {
    struct edge *edge;
    struct list_node list;
    struct list_node removed; /* dns holds a pointer to them */
    struct sip_tx_table tx;
    struct mac *line_mac;
    uv_timer_t timer;
    bool started;
    bool advancing;
    bool closing;
    struct buf out;
    struct buf auth;
    _Atomic uint64_t counts[CC_COUNT];
    struct counter_table table;
};

static inline void lines_tally(struct lines *c, enum client_counter which)
{
    counter_add(&c->counts[which], 1);
}
static inline struct mono lines_now(const struct lines *c)
{
    return edge_now(c->edge);
}

/* ---- client.c ---- */
/* Steps the machine and carries out what it says. l may be gone afterwards. */
void line_step(struct line *l, struct registration_event ev);
/* dns has let go of a line that is gone. */
void line_resolved_gone(struct line *l);
/* An empty wheel stands still: before anything is put in it must be brought to the present. */
void lines_wake(struct lines *c);
void lines_arm(struct lines *c);

/* ---- client_send.c ---- */
/* A new request in place of the one under way, to the place that is tried. NULL: it is on its way, or waits for a name;
 * else why not, in words. */
const char *line_send(struct line *l);
/* For how many seconds the address that is tried wants to be left alone yet; 0: it does not. */
uint32_t line_rest_s(const struct line *l);
void line_first_place(struct line *l);
void line_next_place(struct line *l);
bool line_more_places(const struct line *l);
/* Forgets the request under way. */
void line_drop_request(struct line *l);
void line_silence(struct line *l);
void line_keep_alive(struct line *l);
void line_tx_event(struct line *l, enum sip_tx_event ev);

#endif
