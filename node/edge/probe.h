/* probe: one address that the prober looks after; shared by prober.c, which asks, and prober_list.c, which keeps the
 * list. Nothing else includes it. */
#ifndef TANDEM_EDGE_PROBE_H
#define TANDEM_EDGE_PROBE_H

#include "node/edge/health.h"
#include "node/edge/prober.h"
#include "node/edge/rest.h"
#include "node/plan/address.h"

#define PROBE_ADDRESSES 8
#define PROBE_REASON 160

struct probe {
    struct list_node node;
    struct map_node by_place; /* while it is in the plan */
    struct prober *prober;
    struct sip_tx client;      /* in the table while an answer is awaited */
    struct sip_timer deadline; /* of the answer, or the next probe */
    struct health health;
    uint64_t id;
    char call_id[17];          /* what stands before its '@' */
    uint64_t sent_us;          /* by the exact clock */
    struct mono suspect_until; /* {0}: it is not suspect */
    bool silent;               /* to a call: what it answers to us says nothing of that */
    struct rests rests;        /* those of its addresses that have asked for it */
    struct mono rest_until;    /* all of them: until the first is back. {0} or past: not all */
    struct wall rest_ends;     /* the same, for people */
    struct mono rtt_told_at;
    uint32_t rtt_us;
    uint32_t rtt_told_us;
    struct wall since;
    bool waiting;   /* for the answer to a probe */
    bool resolving; /* dns holds a pointer to us */
    bool gone;      /* not in the plan any more: freed when dns lets go */
    bool kept;      /* in the new list */

    union sock_address tried;                   /* by the last probe; no family: its name had no address */
    union sock_address failed[PROBE_ADDRESSES]; /* of its name, since all of them had */
    uint8_t failed_count;

    struct address_host at; /* host lies in text */
    struct flow to;
    char *message; /* for retransmission */
    size_t message_len;
    enum plan_transport transport;
    uint32_t interval_ms;
    struct slice trunk; /* these lie in text */
    struct slice address;
    char reason[PROBE_REASON];
    char text[];
};

struct prober {
    struct edge *edge;
    struct list_node probes;
    struct map by_place; /* the same, by trunk and address: a plan may have ten thousand of them */
    struct list_node removed;
    struct sip_tx_table tx;
    uv_timer_t timer;
    bool started;
    bool advancing;
    bool closing;
    size_t unwell;  /* addresses that are down, suspect or resting: 0 is what calls look at */
    size_t resting; /* those of which an address rests */
    struct buf out;
    _Atomic uint64_t counts[PC_COUNT];
    struct counter_table table;
};

enum { PROBE_DEADLINE = SIP_TIMER_OTHER };

/* What others are shown; valid as long as the probe. */
struct edge_trunk probe_view(const struct probe *b);
/* The next look after about so long; none where nobody looks. */
void probe_schedule(struct probe *b, uint64_t ms);
void probe_free(struct probe *b);
/* After a change of what is up, suspect or resting. */
void prober_count_unwell(struct prober *p);
/* Sets the timer to what comes next; after every change of the list. */
void prober_arm(struct prober *p);

#endif
