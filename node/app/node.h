/* node: the composition root: the only place where store, replication core, mesh, edge and control meet.
 *
 * One loop thread owns everything here. Rooms: replica.c drives the replication core (missing.c answers its peers),
 * registrations*.c own this node's bindings, maps.c knows what numbers are called behind a gateway, bans.c who is not
 * listened to, trunks.c knows which trunks are up and uac_registration.c who holds their registrations, plan_*.c,
 * routing.c, registered.c and hops.c answer the edge's questions, usage.c and limits.c hold calls against limits,
 * calls.c knows the live calls, records.c writes their records and trace.c how they were decided, card.c says what this
 * node is, drain.c who takes no new calls, verdict.c how this node does, commands_*.c answer clusterctl, operations.c
 * shows the same to browsers, reload.c takes over a changed configuration, confirm.c undoes what nobody confirms.
 *
 * The end has an order, since each part calls the next: commands that wait are answered, the faces close, mesh and edge
 * close (the edge last, when its registrations are on disk), the loop runs out, then the store's writers are stopped
 * and memory goes. */
#ifndef TANDEM_APP_NODE_H
#define TANDEM_APP_NODE_H

#include <uv.h>

#include "node/app/bans.h"
#include "node/app/calls.h"
#include "node/app/config.h"
#include "node/app/events.h"
#include "node/app/horizon.h"
#include "node/app/identity.h"
#include "node/app/maps.h"
#include "node/app/operations.h"
#include "node/app/records.h"
#include "node/app/restore.h"
#include "node/app/stall.h"
#include "node/app/trunks.h"
#include "node/app/uac_registration.h"
#include "node/base/map.h"
#include "node/base/rng.h"
#include "node/base/wheel.h"
#include "node/control/http.h"
#include "node/control/server.h"
#include "node/edge/edge.h"
#include "node/mesh/mesh.h"
#include "node/plan/address.h"
#include "node/repl/step.h"
#include "store/store.h"

#define TANDEM_VERSION "0.1.0"

struct trust_range {
    struct address_range range;
    char trunk[LIMIT_NAME + 1];
    bool own_site;
    bool inside;
    bool hide;
};

struct trust_name {
    char name[LIMIT_HOST + 1]; /* in lower case */
    char trunk[LIMIT_NAME + 1];
    bool own_site;
    bool inside;
    bool hide;
};

/* What is read from the plan for each packet, kept until the plan changes. */
struct plan_cache {
    struct plan_digest digest;
    bool filled;
    struct arena arena;
    char domain[LIMIT_HOST + 1]; /* a place of its own: who holds a slice of it never holds freed memory */
    struct digest_offer digests;
    bool media_relay;   /* our site wants the media of its calls led through a relay */
    struct slice decoy; /* a packed account: what is read in place of one that does not exist; "" there are none */
    uint64_t decoy_sum;
    struct trust_range *trust;
    size_t trust_count;
    struct trust_name *names; /* by name, then in the order in which they are preferred */
    size_t name_count;
};

/* An event for the core that arose while actions of its last step were carried out. */
#define PENDING_RESERVE 64
struct pending_event {
    struct list_node node;
    struct repl_event ev;
    struct buf key;
    struct buf value;
    bool taken; /* of the reserve */
};

struct node {
    struct arena arena; /* lives as long as the node: configuration, identity */
    struct config config;
    struct identity identity;
    struct node_name self;
    struct wall started;
    struct log log;
    struct events *events; /* what log was told lately */
    uv_loop_t *loop;
    struct rng rng;
    struct stall stall;
    uint64_t stalls_told; /* of its turns_over_100ms */

    struct store *store;
    struct store_read *read; /* the loop thread's reader: begun and ended within one callback */
    unsigned read_depth;
    uv_async_t store_async;
    struct map jobs; /* what is queued in the store, by token */
    uint64_t next_token;

    struct repl *repl;
    struct repl_actions actions;
    bool stepping;
    struct list_node pending_events; /* struct pending_event, in order */
    struct pending_event reserve[PENDING_RESERVE];
    uv_timer_t repl_timer;
    struct list_node waiting_changes; /* commands that wait for APPLIED and receipts */
    struct list_node relays;          /* commands on their way to another node */
    struct list_node applies;         /* plan applies and diffs under way, in the order of their arrival */
    struct list_node watches;         /* changes that have to be confirmed: confirm.c */
    bool watching;                    /* what was open at the start is among them */
    struct apply *applying;           /* the one that may change the plan: from reading it to its change on disk */

    struct mesh *mesh;
    struct edge *edge;
    struct control_server *control;
    struct http *http;
    struct operations *operations; /* NULL: no http */

    struct plan_cache cache;
    struct plan_generation *plan_objects; /* the newest; older ones wait for the next tick */
    struct registrations *registrations;
    struct maps *maps;
    struct calls *calls;
    struct usage *usage;
    struct records records;
    struct trunks trunks;
    struct horizon horizon;
    struct bans bans;
    struct uac_registrations uac;
    struct restore restore;
    uv_timer_t second;            /* what is to be reported again, the verdict's memory */
    uv_timer_t registrations_due; /* expiry of bindings */
    bool card_due;                /* the card has not been stored yet */
    struct wall joined;           /* when this node first started */
    /* drain.c */
    bool drained;                    /* by the operator: takes no new calls */
    bool cards_due;                  /* a card has changed */
    struct node_name *drained_nodes; /* those whose card says so, this one not among them */
    size_t drained_count;

    struct plan_digest plan_digest;                       /* as of the last stored change */
    struct mono plan_stored_at;                           /* when that was, {0}: not in this run */
    struct mono out_of_step_since;                        /* a live member's plan differs since then, {0}: none does */
    char store_error[sizeof((struct err_info *)0)->text]; /* why the store refused the last change it refused */
    unsigned workers;                                     /* threads that read the store for a command */
    unsigned closing;                                     /* adapters and workers that still have to end */
    bool stopping;
    char alarm[LIMIT_TEXT]; /* the last alarm of the core, "" none */
    struct mono alarm_at;
};

/* Opens everything in order and says in info what failed. On an error everything opened is closed again when the loop
 * runs out. events is what log's sink remembers; it is borrowed, as log's ctx is, until node_fini returns. */
MUST_CHECK enum err node_open(struct node *n, uv_loop_t *loop, const struct config *config, const struct log *log,
                              struct events *events, struct err_info *info);
/* Drains for drain_ms, then closes everything; the loop then runs out. */
void node_stop(struct node *n, uint32_t drain_ms);
/* After the loop ran out, or closing is 0. Waits for what the store has queued. The last handle is then still to close:
 * the loop has to turn once more before the memory of n goes. */
void node_fini(struct node *n);

/* uv_queue_work for a command that reads the store: the store is not closed before its end, which calls
 * node_work_done first of all. ERR_NOMEM, ERR_CLOSED (the node is stopping). */
MUST_CHECK enum err node_work(struct node *n, uv_work_t *work, uv_work_cb on_worker, uv_after_work_cb done);
void node_work_done(struct node *n);

struct mono node_mono(void);
struct wall node_wall(void);

/* Begin and end nest; ERR_OK or what the store says. */
MUST_CHECK enum err node_read_begin(struct node *n);
void node_read_end(struct node *n);

/* ---- card.c ---- */
/* Reports what this node is (addresses, site, version); again each second until it is stored. */
void card_observe(struct node *n);
/* Reports everything that this node observes and that still holds once more: its card and its bindings. */
void node_observe_again(struct node *n);

/* ---- drain.c ---- */
/* Whether this node was drained when it last ran, and who else is. ERR_NOMEM, or what the store says. */
MUST_CHECK enum err drain_start(struct node *n);
/* Reads who is drained, when a card has changed. */
void drain_look(struct node *n);
bool node_is_drained(const struct node *n, const struct node_name *name);

/* ---- verdict.c ---- */
#define VERDICT_BEHIND_MS 3000 /* heartbeats come once a second: a difference that is younger is no news */
#define VERDICT_ALARM_MS 300000
/* How many nodes the cluster has, this one included: those that left or were evicted are none of it. */
size_t node_members(const struct node *n);
/* Looks whether a live member's plan differs from ours. Once a second. */
void verdict_look(struct node *n);
/* "ok", or a sentence that says what is wrong first. */
void node_verdict(struct node *n, char *out, size_t out_size);
/* Whether the node is fit for calls; text gets the verdict. Other branches that are away make no node unfit. */
bool node_fit(void *ctx, struct buf *text);

/* ---- reload.c ---- */
/* Takes over what can change without a restart: log level and seeds. Logs what differs and cannot. fresh is borrowed.
 */
void node_reload(struct node *n, const struct config *fresh);
/* What the SIP edge shows by TLS. */
struct tls_files node_tls_files(const struct node *n);

/* ---- jobs.c ---- */
/* What happens when a queued store job ends. */
typedef void job_done(struct node *n, void *ctx, uint64_t core_token, const struct store_completion *c);
/* Remembers done for a new token of the store. ERR_NOMEM. */
MUST_CHECK enum err replica_job(struct node *n, job_done *done, void *ctx, uint64_t core_token, uint64_t *token);
void replica_job_free(struct map_node *by_token); /* at the very end, of a job that nobody answered */
/* The same with a ctx from malloc, or NULL, that ends with the job, answered or not; on an error at once. */
MUST_CHECK enum err replica_job_take(struct node *n, job_done *done, void *ctx, uint64_t core_token, uint64_t *token);
/* The store refused the job at submit: forget it. */
void replica_job_cancel(struct node *n, uint64_t token);
/* The store has finished something. */
void replica_store_completed(struct node *n);
/* The same for an observation on its way through the core: replica_observed ends it. ERR_NOMEM. */
MUST_CHECK enum err replica_observer(struct node *n, void (*done)(void *ctx, enum err err), void *ctx, uint64_t *token);
void replica_observed(struct node *n, uint64_t token, enum err err);

/* ---- replica.c ---- */
/* Fills now and wall, steps the core, carries out its actions. */
void replica_feed(struct node *n, struct repl_event *ev);
void replica_tick(uv_timer_t *timer);
MUST_CHECK enum err replica_start(struct node *n, struct err_info *info);
/* The note of a member goes to disk; when that fails it is only not known at the next start. */
void replica_remember(struct node *n, const struct member_note *m);

/* An operator's change on its way: callbacks on the loop thread. */
struct change_wait {
    struct list_node node;
    uint64_t token;
    bool applied;
    struct log_id id;
    void (*on_applied)(struct change_wait *w, enum err err, const struct log_id *id);
    void (*on_receipt)(struct change_wait *w, const struct node_name *peer, uint64_t elapsed_ms);
};
struct change_request {
    struct slice author;
    struct slice message;
    const struct change_op *ops;
    size_t op_count;
    struct change_terms terms;
    struct hlc after;   /* the newest stamp of what it changes */
    struct hlc exactly; /* see struct repl_event */
};
/* Hands the change to the core, which copies it; not from inside a callback of it. w stays linked until
 * change_wait_end.
 */
void replica_change(struct node *n, struct change_wait *w, const struct change_request *request);
void change_wait_end(struct change_wait *w);

/* Hands an observation of this node to the core; done (may be NULL) when it is durable. */
void replica_observe(struct node *n, enum state_kind kind, struct slice key, struct slice value, bool removed,
                     void (*done)(void *ctx, enum err err), void *ctx);

/* ---- registrations.c ---- */
/* Loads what was stored. Bindings that have expired meanwhile, and halves without their other half, end at the first
 * tick. */
MUST_CHECK enum err registrations_start(struct node *n);
void registrations_stop(struct node *n); /* writes under way are forgotten, not reported */
void registrations_tick(struct node *n); /* every REGISTRATIONS_TICK_MS */
#define REGISTRATIONS_TICK_MS 200        /* numbers are withdrawn within a second of a binding's end */
/* The edge is open: the ways to contacts of an earlier run are kept open from now on. */
void registrations_open_ways(struct node *n);
void registrations_way_lost(void *ctx, void *owner, const char *why);
/* What peers hold of this node's bindings of before its state was lost. */
void registrations_found(struct node *n, const struct state_record *records, size_t count);
void registrations_write(void *ctx, const struct binding *puts, size_t put_count, const struct binding *removes,
                         size_t remove_count, void (*done)(void *done_ctx, enum err err), void *done_ctx);
enum err registrations_own(void *ctx, struct arena *arena, struct slice account, struct binding **list, size_t *count);
enum err registrations_known(void *ctx, struct arena *arena, struct slice account, struct slice call_id,
                             struct binding **list, size_t *count);
size_t registrations_count(const struct node *n);
/* Another node's binding is on its way to the disk, or there. */
void registrations_heard(struct node *n, struct slice key);
/* False: no other node has a binding of the account. */
bool registrations_elsewhere(const struct node *n, struct slice account);
/* Whether the account has a binding here. */
bool registrations_live(const struct node *n, struct slice account);
void registrations_observe_again(struct node *n);
/* "up", "ending" (callers are not offered it any more), or "damped" (only this node's callers are, see flaps.h). */
const char *registrations_state(const struct node *n, const struct binding *b);

/* Account NUL contact: the state key of a binding. */
#define BINDING_KEY_MAX (LIMIT_NAME + 1 + LIMIT_URI)
struct slice binding_key(const struct binding *b, char out[BINDING_KEY_MAX]);

/* ---- plan_cache.c ---- */
/* The cache of the plan as of now. Between read begin and end. */
MUST_CHECK enum err node_plan_cache(struct node *n);
/* An object of the plan, in arena or kept (see plan_objects.c): valid until the callback ends. Between read begin and
 * end. ERR_NOTFOUND. */
MUST_CHECK enum err plan_get(struct node *n, struct arena *arena, enum plan_kind kind, struct slice name,
                             struct plan_object *out);
/* Of an account no more than that: nothing is made of it. site is valid until the read end. */
struct plan_account_brief;
MUST_CHECK enum err plan_account_brief(struct node *n, struct slice name, struct plan_account_brief *out);
void routing_source_hook(void *ctx, struct arena *arena, const struct flow *from, struct edge_source *out);
enum err routing_account_hook(void *ctx, struct arena *arena, struct slice name, struct plan_account *out);
struct slice routing_domain_hook(void *ctx);
struct digest_offer routing_digests_hook(void *ctx);
bool routing_media_hook(void *ctx);

/* ---- plan_objects.c ---- */
/* A trunk or site that is kept of the plan as the reader shows it. Between read begin and end. */
bool plan_objects_find(struct node *n, enum plan_kind kind, struct slice name, struct plan_object *out);
/* Keeps the trunk or site, as far as there is memory. Between read begin and end. */
void plan_objects_keep(struct node *n, struct slice packed);
void plan_objects_tick(struct node *n); /* from the loop itself: frees what older plans left */
void plan_objects_free(struct node *n);

/* ---- routing.c ---- */
#define ROUTING_USUAL 12 /* few numbers match more candidates */
struct routing_result {
    struct candidate *candidates; /* usual, or in the arena */
    struct candidate usual[ROUTING_USUAL + 1];
    size_t candidate_count;
    char plan_number[LIMIT_NUMBER + 1];
    size_t plan_number_len; /* 0: the dialled string is no number */
    bool normalised;
    int matched_in;
    int matched_dial;
    struct slice source_site;
    uint32_t source_calls; /* of a source that is a trunk */
    uint32_t source_rate_per_s;
    struct decision decision;
};
/* Rules 1-6 for a call that begins here. Between read begin and end. */
MUST_CHECK enum err routing_decide(struct node *n, struct arena *arena, const struct edge_query *q,
                                   struct routing_result *out);
void routing_hook(void *ctx, struct arena *arena, const struct edge_query *q, struct edge_answer *out);
/* What this node does with a call that another one sends it for q->named_target. With q->call false nothing is counted.
 * Between read begin and end. */
void routing_named(struct node *n, struct arena *arena, const struct edge_query *q, struct edge_answer *out);
/* How this node carries what it decided to send to one of its own targets. Between read begin and end. */
void routing_own(struct node *n, struct arena *arena, const struct decided_target *d, struct edge_answer *out);
/* The account whose name is what was dialled (rule 2): its name need not be a number. */
bool routing_is_named(const struct candidate *c);
/* What the decision's target is asked for: after strip and prepend, or the account's own name. */
struct slice routing_number(const struct decided_target *t);

/* ---- limits.c ---- */
/* Takes this node from those that can serve the candidate when its trunk or account takes no more calls here. */
void limits_candidate(struct node *n, struct candidate *c, uint32_t calls, uint32_t rate_per_s);
/* Whether a call from that source is let in; else why not in out. Between read begin and end. */
bool limits_source(struct node *n, struct arena *arena, const struct edge_source *source, uint32_t calls,
                   uint32_t rate_per_s, struct edge_answer *out);
/* The same for a target of ours that another node named. */
bool limits_named(struct node *n, struct arena *arena, const struct plan_target *t, struct edge_answer *out);
/* The same for who only asks: nothing is counted. */
bool limits_have_room(struct node *n, struct arena *arena, const struct plan_target *t, struct edge_answer *out);
/* A decision for a call left the target out. */
void limits_left_out(struct node *n, const struct plan_target *t);
bool limits_admit_hook(void *ctx, struct slice target);
#define LIMITS_RETRY_S 10 /* calls: somebody hangs up now and then; a rate is free again after a second */

/* ---- hops.c ---- */
/* Fills t->hops (and the number, by a trunk's out rules) for a target that this node serves; of an account the ways to
 * the device alone, or to all (NULL). ERR_NOTFOUND: no way. */
MUST_CHECK enum err hops_own(struct node *n, struct arena *arena, struct edge_target *t,
                             const struct edge_device *device);
/* The SIP addresses of a member. */
MUST_CHECK enum err hops_member(struct node *n, struct arena *arena, struct edge_target *t, struct slice member);
/* The number as the trunk's out rules send it; {NULL, 0}: the first that matches makes none of it, or no memory. */
struct slice hops_trunk_number(struct arena *arena, const struct plan_trunk *trunk, struct slice number);
/* The contact with number as its user part: what a gateway with a range behind it expects. {NULL, 0}: no memory, or no
 * SIP URI. */
struct slice hops_contact_number(struct arena *arena, struct slice contact, struct slice number);

/* ---- relay.c ---- */
void relay_hook(void *ctx, const struct control_request *request, struct slice frame, struct control_reply *reply);
void relay_on_request(void *ctx, const struct node_name *from, uint64_t id, struct slice request);
void relay_on_reply(void *ctx, uint64_t token, enum err err, struct slice frames);
void relay_stop(struct node *n); /* ends what waits for another node */

/* ---- commands ---- */
extern const struct control_command node_commands[];
extern const size_t node_command_count;
#define NODE_COMMAND(name) void name(void *ctx, const struct control_request *request, struct control_reply *reply)
NODE_COMMAND(command_status);
NODE_COMMAND(command_nodes);
NODE_COMMAND(command_registrations);
NODE_COMMAND(command_registrations_failed); /* bans.c */
NODE_COMMAND(command_bans);
NODE_COMMAND(command_bans_remove);
NODE_COMMAND(command_calls);
NODE_COMMAND(command_trunks);
NODE_COMMAND(command_accounts);
NODE_COMMAND(command_trace);
NODE_COMMAND(command_counters);
NODE_COMMAND(command_events);
NODE_COMMAND(command_plan_show);
NODE_COMMAND(command_plan_log);
NODE_COMMAND(command_plan_apply);
NODE_COMMAND(command_doctor);
NODE_COMMAND(command_clock);
NODE_COMMAND(command_names);
NODE_COMMAND(command_plan_effect);
NODE_COMMAND(command_plan_conflicts);
NODE_COMMAND(command_route_explain);
NODE_COMMAND(command_invite_info);
NODE_COMMAND(command_evict);
NODE_COMMAND(command_drain);
NODE_COMMAND(command_leave);
#define NODE_COUNTER_TABLES 20
size_t node_counters(struct node *n, const struct counter_table *out[], size_t cap);
/* Sends what was built; a record that cannot be built makes the end an error by itself. */
void command_record(struct control_reply *reply, struct control_builder *b);
/* Ends the reply: status 0, or 1 with the error's name. */
void command_end(struct control_reply *reply, enum err e);
void command_time(struct control_builder *b, const char *name, struct wall t); /* {0} is null */
#define CHANGE_ID_TEXT (LIMIT_NAME + 48)
void change_id_text(const struct log_id *id, char out[CHANGE_ID_TEXT]);
/* commands_history.c: plan show CHANGE. */
void history_show(struct node *n, const struct control_request *request, struct control_reply *reply);
/* Ends applies and diffs that wait: for their turn, for the disk, for receipts. */
void applies_stop(struct node *n);

#endif
