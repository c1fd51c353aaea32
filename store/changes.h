/* changes: one change-set into the plan environment: log, history, objects, index, totals. Internal to store/. */
#ifndef TANDEM_STORE_CHANGES_H
#define TANDEM_STORE_CHANGES_H

#include "node/plan/object.h"
#include "store/tables.h"

/* What one transaction did, for the counters: they are raised when it is committed. */
struct change_tally {
    uint64_t applied;
    uint64_t duplicates;
    uint64_t rewritten; /* of the duplicates: other bytes under a known id */
    uint64_t gaps;
    uint64_t refused; /* did not unpack or validate */
    uint64_t below_floor;
    uint64_t trimmed;
    uint64_t ops_won;
    uint64_t ops_lost;
};

/* Applies one packed change-set. *refused says of an error that it concerns this change-set alone and that nothing was
 * written: ERR_SYNTAX, ERR_LIMIT (it or one of its objects breaks a rule), ERR_CONFLICT (not the next of its log).
 * After any other error the transaction must be aborted. A change-set that is in the log already is ERR_OK and changes
 * nothing. */
MUST_CHECK enum err change_apply(struct env_write *w, struct totals *t, struct slice packed, struct change_tally *tally,
                                 bool *refused, struct err_info *info);

/* The object under key, when it is one that belongs there. ERR_SYNTAX, ERR_LIMIT, ERR_NOMEM. */
MUST_CHECK enum err change_unpack(struct arena *scratch, struct slice key, struct slice value, struct plan_object *o,
                                  struct err_info *info);
/* The same for the ops of a change-set, of which a delete has no object. */
MUST_CHECK enum err change_validate(const struct changeset *c, struct err_info *info);

/* A change-set into log and history, not into the vector. */
MUST_CHECK enum err log_write(struct env_write *w, struct totals *t, const struct changeset *c);
/* One entry of a log and of history goes; table is PLAN_LOG. */
MUST_CHECK enum err log_remove(struct env_write *w, struct totals *t, struct hlc time, const struct log_id *id);

/* How far a log is held, and from where on its change-sets are there: all of base + 1 .. high. */
struct log_span {
    uint64_t high;
    uint64_t base;
};
/* An unknown log is {0, 0}. ERR_CORRUPT. */
MUST_CHECK enum err log_span_parse(struct slice content, struct log_span *span);
MUST_CHECK enum err log_span_get(struct env_write *w, const struct node_name *origin, uint64_t epoch,
                                 struct log_span *span);
MUST_CHECK enum err log_span_put(struct env_write *w, const struct node_name *origin, uint64_t epoch,
                                 struct log_span span);

/* Lets go of the oldest change-sets when more are kept than anybody will ask for; who still does is given a snapshot.
 * The newest one stays, whatever its size. */
#define LOG_KEEP_COUNT 20000
#define LOG_KEEP_BYTES (UINT64_C(256) << 20)
struct log_keep {
    uint64_t count;
    uint64_t bytes;
};
MUST_CHECK enum err log_trim(struct env_write *w, struct totals *t, const struct log_keep *keep);

/* Whether the replica hears of a change-set now, or has its effect already (a donor's log beside its objects): then it
 * is not compared with what stands. */
enum plan_news { PLAN_NEWS, PLAN_KNOWN };
/* The ops of one change-set into objects, index, tombstones and totals of t's side. Each op's value must have been
 * validated. */
MUST_CHECK enum err plan_apply(struct env_write *w, struct totals *t, const struct changeset *c, enum plan_news news,
                               struct change_tally *tally);
/* The same for objects of a snapshot, each with its own stamp. validate: their values have not been looked at; then
 * also ERR_SYNTAX, ERR_LIMIT, with a part of them written. */
MUST_CHECK enum err plan_apply_objects(struct env_write *w, struct totals *t, const struct snapshot_object *objects,
                                       size_t count, bool validate, struct change_tally *tally, struct err_info *info);

/* Keeps what the change-set says of confirming: that it has to be, or that it settles another one. */
MUST_CHECK enum err pending_note(struct env_write *w, struct totals *t, const struct changeset *c);
/* Lets go of the open changes that no object of t's side shows: a snapshot brought what settled or overrode them. */
MUST_CHECK enum err pending_sift(struct env_write *w, struct totals *t);

#endif
