/* rooms: what the rooms of the core offer each other, a file of functions at a time. The state that they share is in
 * core.h, which also says what each room is for. Internal to node/repl. */
#ifndef TANDEM_REPL_ROOMS_H
#define TANDEM_REPL_ROOMS_H

#include "node/repl/core.h"

/* ---- member.c ---- */

struct member *repl_member_find(const struct repl *r, const struct node_name *name);
/* A new member, alive. ERR_NOMEM, ERR_LIMIT. */
MUST_CHECK enum err repl_member_add(struct repl *r, const struct node_name *name, struct member **out);
/* m gets a peer, its silence counted from now, if it has none. */
MUST_CHECK enum err repl_member_peer(struct repl *r, struct member *m);
/* The one way by which a status changes; false where the table forbids it, true also when it is that already. */
bool repl_member_move(struct repl *r, struct member *m, enum member_status to);
void repl_member_heard(struct repl *r, struct member *m);
/* Whether we hear m with our own ears. */
bool repl_member_audible(const struct repl *r, const struct member *m);
/* Takes over what a peer says of a member, or of ourselves. ERR_NOMEM, ERR_LIMIT (too many members). */
MUST_CHECK enum err repl_member_note(struct repl *r, const struct member_note *note);
/* What the configuration knows of a member. */
MUST_CHECK enum err repl_member_load(struct repl *r, struct member *m, const struct member_note *note);
void repl_member_set_text(char *to, size_t size, struct slice text);
static inline struct slice repl_member_text(const char *text)
{
    return text != NULL ? slice_of(text) : SLICE("");
}
/* When m's newest certificate was issued, and up to when they are refused: what was heard of either. */
void repl_member_papers(struct repl *r, struct member *m, uint64_t issued, uint64_t barred);
/* Certificates of now and earlier are refused: one that was issued at the latest that is known, too. */
uint64_t repl_bar_now(const struct repl *r, uint64_t issued);
/* Whether m (NULL: ourselves) can be dialled. One that nothing is known of yet is taken for such. */
bool repl_dialled(const struct repl *r, const struct member *m);
/* Of two nodes one must be. */
static inline bool repl_linkable(const struct repl *r, const struct member *a, const struct member *b)
{
    return repl_dialled(r, a) || repl_dialled(r, b);
}
/* We answer an accusation in incarnation with a higher one. */
void repl_member_refute(struct repl *r, uint64_t incarnation);
/* One number over who is in the cluster, in which incarnation, dead or gone; equal tables have equal roots. */
uint64_t repl_member_root(const struct repl *r);
/* One number over the names of all members, and who of them is gone for good; with ourselves. */
uint64_t repl_member_who_root(const struct repl *r);
/* News goes out soon. */
void repl_member_tell(struct repl *r);
/* Every member that can has sent a heartbeat in this run, and so said what it has of our log and state. */
bool repl_all_have_spoken(const struct repl *r);
void repl_member_link(struct repl *r, struct member *m, bool up);
/* What is to be recorded and dialled; false: no memory. */
bool repl_members_record(struct repl *r, struct repl_actions *out);
/* The last thing said on account of one that has gone for good. */
bool repl_member_hang_up(struct repl *r, struct member *m, struct repl_actions *out);
void repl_members_fini(struct repl *r);
/* False: no memory. */
bool repl_list_add(struct member_list *l, struct member *m);

/* ---- overlay.c ---- */

/* Chooses the links anew after the members changed. False: no memory. */
bool repl_overlay_flush(struct repl *r);
/* Who observes m, NULL for ourselves; at most REPL_OBSERVERS_MAX. */
size_t repl_overlay_observers(const struct repl *r, const struct member *m, const struct member **out);
/* Lets go of links that the overlay does not want. */
void repl_overlay_trim(struct repl *r, struct member *m);

/* ---- observe.c ---- */

/* Turns silence into suspicion and suspicion into death. False: no memory. */
bool repl_observe_flush(struct repl *r);
/* Takes an accusation, of others or of ourselves. */
MUST_CHECK enum err repl_observe_take(struct repl *r, const struct repl_accusation *a);
/* The silence of m that we put up with: less when others accuse it. */
uint64_t repl_observe_patience_ms(const struct member *m);
/* m is not doubted any more. */
void repl_observe_clear(struct repl *r, struct member *m);
/* Most of those whom we observe are silent: the one cut off is we, so nobody is accused. */
bool repl_isolated(const struct repl *r);

/* ---- heartbeat.c ---- */

MUST_CHECK enum err repl_heartbeat_take(struct repl *r, struct member *m, const struct repl_heartbeat *h);
/* News is collected once per flush and shared by the heartbeats in it. Starts as {0}. */
struct note_cache {
    bool built;
    struct member_note *notes;
    size_t note_count;
    struct repl_accusation *accusations;
    size_t accusation_count;
};
/* False: no memory. */
bool repl_heartbeat_send(struct repl *r, struct member *m, struct note_cache *cache, struct repl_actions *out);
/* Our plan is not what the peer was told: it hears of it soon. */
void repl_heartbeat_hasten(struct repl *r, struct peer *p);
/* State of owner is durable here: peers that it cannot push to itself hear of it soon. */
void repl_heartbeat_pass_on(struct repl *r, const struct node_name *owner);
/* To all that are linked. */
void repl_heartbeat_all_now(struct repl *r);

/* ---- changes.c (our own), receive.c (the others') ---- */

MUST_CHECK enum err repl_changes_init(struct repl *r, const struct repl_config *config);
void repl_changes_fini(struct repl *r);
/* Room for extra new logs in both vectors. */
MUST_CHECK enum err repl_changes_reserve(struct repl *r, size_t extra);
void repl_changes_flood(struct repl *r, struct repl_batch *batch); /* takes the caller's reference */
MUST_CHECK enum err repl_changes_local(struct repl *r, const struct repl_event *ev);
/* What became of a push. */
struct repl_taken {
    bool gap;               /* something before it is missing */
    uint64_t changes_batch; /* the batch that it went into; 0: nothing of it was new */
    uint64_t state_batch;
};
MUST_CHECK enum err repl_changes_take(struct repl *r, const struct member *m, const struct repl_push *p,
                                      struct repl_taken *t);
MUST_CHECK enum err repl_changes_stored(struct repl *r, const struct repl_event *ev);
MUST_CHECK enum err repl_changes_local_stored(struct repl *r, const struct repl_event *ev);
MUST_CHECK enum err repl_changes_new_epoch(struct repl *r, uint64_t epoch);
/* Changes of m that came before its link did, so perhaps in an earlier life of it, are still on their way to our disk.
 */
bool repl_changes_unsettled(const struct repl *r, const struct member *m);
/* m says that it has our log durably up to seq. */
void repl_changes_receipt(struct repl *r, struct member *m, uint64_t epoch, uint64_t seq);
/* A local change with a time of its own is under way. */
bool repl_changes_settling(const struct repl *r);
/* The clock goes on behind the times of what may settle the change. */
void repl_changes_leave_room(struct repl *r, const struct changeset *c);
bool repl_changes_settle(struct repl *r);
/* A local change's end and the next one's start. */
bool repl_changes_local_flush(struct repl *r, struct repl_actions *out);
bool repl_changes_received_flush(struct repl *r, struct repl_actions *out);
void repl_receive_fini(struct repl *r);
/* What was received and is not on its way to disk yet goes; it is asked for again. */
void repl_receive_drop_next(struct repl *r);
/* origin lives anew: what is held of its log may not be what it says now. */
void repl_receive_forget_held(struct repl *r, const struct node_name *origin);
/* by says through a peer that our log is durable there, or that another's is: it is told, when we are linked with it.
 */
MUST_CHECK enum err repl_receipts_take(struct repl *r, struct member *from, const struct repl_receipt *receipt,
                                       struct repl_actions *out);
bool repl_receipts_flush(struct repl *r, struct member *m, struct repl_actions *out);
bool repl_flood_flush(struct repl *r, struct repl_actions *out);

/* ---- state.c ---- */

MUST_CHECK enum err repl_state_init(struct repl *r, const struct repl_config *config);
void repl_state_fini(struct repl *r);
MUST_CHECK enum err repl_state_local(struct repl *r, const struct repl_event *ev);
MUST_CHECK enum err repl_state_take(struct repl *r, const struct repl_push *p, struct repl_taken *t);
/* As repl_changes_unsettled. */
bool repl_state_unsettled(const struct repl *r, const struct member *m);
MUST_CHECK enum err repl_state_stored(struct repl *r, const struct repl_event *ev);
MUST_CHECK enum err repl_state_own_stored(struct repl *r, const struct repl_event *ev);
void repl_state_new_epoch(struct repl *r, uint64_t epoch);
/* Whether our versions, and the next number of our log, are free to use. False: no memory. */
bool repl_state_settle(struct repl *r);
/* What is to be stored, and reports of what was. */
bool repl_state_flush(struct repl *r, struct repl_actions *out);
/* Our stored records to the peers, when their time has come. */
bool repl_state_push_flush(struct repl *r, struct repl_actions *out);

/* ---- sync.c ---- */

/* A difference to m was seen. by_roots: they may become equal without asking; else it is asked in any case. */
void repl_sync_want(struct repl *r, struct member *m, bool by_roots);
MUST_CHECK enum err repl_sync_push(struct repl *r, struct member *m, const struct repl_push *p,
                                   struct repl_actions *out);
MUST_CHECK enum err repl_sync_asked(struct repl *r, struct member *m, const struct repl_want *w,
                                    struct repl_actions *out);
/* The disk took something: peers may be asked again. */
void repl_sync_disk_works(struct repl *r);
/* It did not: everybody is left alone for a growing while. */
void repl_sync_disk_failed(struct repl *r);
/* A batch is durable, or failed: whoever's answer it holds may be asked on. */
void repl_sync_batch_done(struct repl *r, uint64_t id, bool stored);
/* How many peers owe an answer or are being stored; those over their time are given up first. */
size_t repl_sync_asked_count(struct repl *r);
bool repl_sync_flush(struct repl *r, struct member *m, size_t *asked, struct repl_actions *out);
void repl_sync_link_down(struct member *m);
bool repl_in_step(const struct repl *r, const struct member *m);
/* m's heartbeat says how much it holds: how far behind that is, and since when. */
void repl_sync_totals(const struct repl *r, struct member *m, const struct repl_heartbeat *h);
/* A new epoch above known for our log, told to the driver. ERR_NOMEM, ERR_LIMIT. */
MUST_CHECK enum err repl_sync_new_log(struct repl *r, uint64_t known);
/* The same for our state. */
void repl_sync_new_state(struct repl *r, uint64_t known);
/* Others know of our own log or state this much: when it is more than we do, a new epoch begins. */
void repl_sync_own_log(struct repl *r, uint64_t epoch, uint64_t high);
void repl_sync_own_state(struct repl *r, uint64_t epoch, uint64_t high);

/* Copies entries into out's arena; false: no memory. */
bool repl_copy_entries(struct repl_actions *out, const struct vector_entry *from, size_t count,
                       const struct vector_entry **items);

/* ---- recover.c ---- */

/* Whether what others know of our own state may be something that this disk has lost. */
bool repl_recover_wants(const struct repl *r);
/* Somebody knows this much of it. */
void repl_recover_hear(struct repl *r, uint64_t epoch, uint64_t high);
/* Asks on, or ends it. */
void repl_recover_flush(struct repl *r);
/* Our own entry in a WANT to m. */
void repl_recover_ask(const struct repl *r, const struct member *m, struct vector_entry *own);
/* What m's push brings of it. False: no memory, and nothing was taken. */
bool repl_recover_take(struct repl *r, const struct member *m, const struct repl_push *p, struct repl_actions *out);

/* ---- floor.c ---- */

void repl_floor_init(struct repl *r, const struct repl_config *config);
void repl_floor_fini(struct repl *r);
/* What a heartbeat says of floor and steps. */
void repl_floor_heard(struct repl *r, struct member *m, const struct repl_heartbeat *h);
/* The same in ours to m; token is the heartbeat's. False: no memory. */
bool repl_floor_tell(const struct repl *r, const struct peer *p, struct repl_heartbeat *h, struct repl_actions *out);
void repl_floor_told(struct repl *r, struct peer *p, const struct repl_heartbeat *h, uint64_t token);
/* Something is durable here, up to time; ev is its STORED. */
void repl_floor_changed(struct repl *r, const struct repl_event *ev, struct hlc time);
/* m's answer offers its floor, with the cut. */
void repl_floor_offered(struct repl *r, const struct member *m, const struct repl_push *p, struct repl_actions *out);
MUST_CHECK enum err repl_floor_stored(struct repl *r, const struct repl_event *ev);
bool repl_floor_flush(struct repl *r, struct repl_actions *out);

/* ---- fetch.c ---- */

/* As repl_changes_unsettled: a snapshot that brings changes of m. */
bool repl_fetch_unsettled(const struct repl *r, const struct member *m);
void repl_fetch_fini(struct repl *r);
/* m, whose floor this is, has what we cannot get by its log. */
void repl_fetch_want(struct repl *r, const struct member *m, struct hlc floor);
MUST_CHECK enum err repl_fetch_asked(struct repl *r, struct member *m, const struct repl_fetch *f,
                                     struct repl_actions *out);
MUST_CHECK enum err repl_fetch_take(struct repl *r, const struct member *m, const struct repl_message *msg,
                                    struct repl_actions *out);
MUST_CHECK enum err repl_fetch_piece_stored(struct repl *r, const struct repl_event *ev);
MUST_CHECK enum err repl_fetch_replaced(struct repl *r, const struct repl_event *ev);
bool repl_fetch_flush(struct repl *r, struct repl_actions *out);

/* ---- check.c ---- */

/* ERR_SYNTAX or ERR_LIMIT for what no honest peer of this name sends. */
MUST_CHECK enum err repl_check_heartbeat(const struct node_name *from, const struct repl_message *msg);
MUST_CHECK enum err repl_check_push(const struct node_name *from, const struct repl_message *msg);
MUST_CHECK enum err repl_check_want(const struct node_name *from, const struct repl_message *msg);
MUST_CHECK enum err repl_check_receipt(const struct node_name *from, const struct repl_message *msg);
MUST_CHECK enum err repl_check_fetch(const struct node_name *from, const struct repl_message *msg);
MUST_CHECK enum err repl_check_snapshot(const struct node_name *from, const struct repl_message *msg);
/* The same caps for what the operator asks. */
MUST_CHECK enum err repl_check_change(const struct changeset *c);
MUST_CHECK enum err repl_check_record(enum state_kind kind, struct slice key, struct slice value);

#endif
