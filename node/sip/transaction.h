/* transaction: the four state machines of RFC 3261 §17 with the Accepted states of RFC 6026, and the tables that find
 * them.
 *
 * Pure. A step takes an event and the time and says as a set of SIP_TX_DO_* what the caller owes, in the order of their
 * bits. The transaction holds no message: the caller keeps the bytes that "send again" means. Timers lie in the table's
 * wheel; the caller advances it, sees by sip_timer.id what fired and feeds sip_tx_timer.
 * Invariant: a transaction is in its table, with its timers running, from start until SIP_TX_DO_FREE or sip_tx_remove.
 * An INVITE gets its 100 after 200 ms, when nothing better has gone out, or when it comes again: RFC 3261 §17.2.1 asks
 * for no more, and most calls then need one message less.
 * Specification: RFC 3261 §17, RFC 6026 §7-8, RFC 4320 §4 (no 1xx but a late 100 to a non-INVITE). */
#ifndef TANDEM_SIP_TRANSACTION_H
#define TANDEM_SIP_TRANSACTION_H

#include "node/base/hash.h"
#include "node/base/map.h"
#include "node/base/wheel.h"
#include "node/sip/view.h"

#define SIP_T1_MS 500
#define SIP_T2_MS 4000
#define SIP_T4_MS 5000
#define SIP_T64_MS (64 * SIP_T1_MS) /* timers B F H J L M */
#define SIP_TD_MS 32000
#define SIP_T100_MS 3500       /* when Timer E of a client has reached T2 */
#define SIP_INVITE_T100_MS 200 /* RFC 3261 §17.2.1 */

enum sip_tx_kind { SIP_TX_INVITE_CLIENT, SIP_TX_CLIENT, SIP_TX_INVITE_SERVER, SIP_TX_SERVER, SIP_TX_KIND_COUNT };

enum sip_tx_state {
    SIP_TX_NONE,   /* not in a table */
    SIP_TX_TRYING, /* also Calling; INVITE server: nothing has gone out yet */
    SIP_TX_PROCEEDING,
    SIP_TX_ACCEPTED,
    SIP_TX_COMPLETED,
    SIP_TX_CONFIRMED,
    SIP_TX_TERMINATED,
    SIP_TX_STATE_COUNT
};

enum sip_tx_event {
    SIP_TX_REQUEST, /* server: the request came again */
    SIP_TX_ACK,     /* INVITE server */
    SIP_TX_1XX,     /* client: received; server: the user wants to send one */
    SIP_TX_2XX,
    SIP_TX_FAILURE, /* 3xx-6xx */
    SIP_TX_REPEAT,  /* timer A E G, or the late 100 */
    SIP_TX_EXPIRE,  /* timer B D F H I J K L M */
    SIP_TX_ERROR,   /* the transport cannot send */
    SIP_TX_EVENT_COUNT
};

enum sip_tx_do {
    SIP_TX_DO_SEND = 1,       /* server: send the user's response, and keep it for SIP_TX_DO_RESEND */
    SIP_TX_DO_RESEND = 2,     /* send the last message again */
    SIP_TX_DO_ACK = 4,        /* INVITE client: build and send the ACK of a failure */
    SIP_TX_DO_TRYING = 8,     /* server: send a 100 now (RFC 3261 §17.2.1, RFC 4320 §4.1) */
    SIP_TX_DO_PASS = 16,      /* hand the message to the user */
    SIP_TX_DO_TIMED_OUT = 32, /* client: no final response in time; INVITE server: no ACK */
    SIP_TX_DO_FAILED = 64,    /* client: transport error */
    SIP_TX_DO_FREE = 128      /* left the table, timers stopped; after the other actions the memory may go */
};

/* A timer that says whose it is. Ids from SIP_TIMER_OTHER on belong to the caller, who may use the same wheel. */
enum sip_timer_id { SIP_TIMER_REPEAT, SIP_TIMER_EXPIRE, SIP_TIMER_OTHER };
struct sip_timer {
    struct wheel_timer timer;
    uint8_t id;
};

#define SIP_TX_KEY_MAX 104

struct sip_tx {
    struct map_node node;
    struct sip_timer repeat;
    struct sip_timer expire;
    uint32_t interval_ms; /* of repeat */
    uint8_t kind;
    uint8_t state;
    bool reliable;  /* TCP, TLS: no retransmission */
    uint8_t method; /* enum sip_method; ACK is never one */
    uint8_t key_len;
    const char *key; /* server: what it is found by, in the caller's storage */
};

struct sip_tx_table {
    struct map servers;
    struct map clients;
    struct wheel wheel;
};

MUST_CHECK enum err sip_tx_table_init(struct sip_tx_table *t, uint64_t seed, struct mono now);
void sip_tx_table_fini(struct sip_tx_table *t); /* frees the table, not the transactions */

/* Finds the server transaction of a request (RFC 3261 §17.2.3): branch, sent-by and method, or, for a branch without
 * the magic cookie, Via, Call-ID, From tag and CSeq. For an ACK the INVITE's is found. method replaces the request's
 * own: SIP_INVITE for a CANCEL finds what it cancels (§9.2). NULL. */
struct sip_tx *sip_tx_find_server(const struct sip_tx_table *t, const struct sip_view *request, enum sip_method method);
/* Starts the transaction of a new request; tx and key are the caller's storage as long as it lives. ERR_NOMEM. */
MUST_CHECK enum err sip_tx_start_server(struct sip_tx_table *t, struct sip_tx *tx, char key[SIP_TX_KEY_MAX],
                                        const struct sip_view *request, bool reliable, struct mono now);

/* The branch of a client transaction carries its id, which the caller draws at random, and a loop mark that the
 * transaction does not look at: "z9hG4bK" 16 digits "." 16 digits. */
#define SIP_TX_BRANCH 41 /* with NUL */
void sip_tx_branch(uint64_t id, uint64_t mark, char out[SIP_TX_BRANCH]);
/* The id in a response's branch; false: it is none of ours. */
bool sip_tx_branch_id(const struct sip_view *response, uint64_t *id);
/* Starts a client transaction for a request that the caller sends now, with this branch. CANCEL shares its INVITE's id.
 */
void sip_tx_start_client(struct sip_tx_table *t, struct sip_tx *tx, uint64_t id, enum sip_method method, bool reliable,
                         struct mono now);
/* By topmost branch and CSeq method (RFC 3261 §17.1.3), only branches of ours: NULL otherwise. */
struct sip_tx *sip_tx_find_client(const struct sip_tx_table *t, const struct sip_view *response);
/* The transaction with this id that is no CANCEL. NULL. */
struct sip_tx *sip_tx_find_id(const struct sip_tx_table *t, uint64_t id);

/* The only way a transaction moves. Returns SIP_TX_DO_* bits; 0: absorbed. */
unsigned sip_tx_step(struct sip_tx_table *t, struct sip_tx *tx, enum sip_tx_event ev, struct mono now);
static inline enum sip_tx_event sip_tx_event_of(unsigned code)
{
    return code < 200 ? SIP_TX_1XX : code < 300 ? SIP_TX_2XX : SIP_TX_FAILURE;
}
/* The transaction and event of a fired timer with an id below SIP_TIMER_OTHER. */
struct sip_tx *sip_tx_of_timer(struct sip_timer *timer, enum sip_tx_event *ev);
/* Sends no more retransmissions, but still waits for an answer: for a branch that its caller gave up. */
void sip_tx_quiet(struct sip_tx_table *t, struct sip_tx *tx);
/* Takes it out of the table, timers stopped; allowed when it has already left. */
void sip_tx_remove(struct sip_tx_table *t, struct sip_tx *tx);
static inline bool sip_tx_live(const struct sip_tx *tx)
{
    return tx->state != SIP_TX_NONE;
}
const char *sip_tx_state_name(enum sip_tx_state s);

void sip_timer_init(struct sip_timer *timer, uint8_t id);
void sip_timer_start(struct sip_tx_table *t, struct sip_timer *timer, struct mono at);
void sip_timer_stop(struct sip_tx_table *t, struct sip_timer *timer);

#endif
