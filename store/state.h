/* state: records of the state environment, written and read. Internal to store/. */
#ifndef TANDEM_STORE_STATE_H
#define TANDEM_STORE_STATE_H

#include "store/tables.h"

struct state_tally {
    uint64_t applied;
    uint64_t stale;     /* older version or epoch than what is here */
    uint64_t replaced;  /* records that a new epoch of their owner swept away */
    uint64_t forgotten; /* records that their owner's horizon swept away */
};

/* r has passed state_record_check. */
MUST_CHECK enum err state_put(struct env_write *w, const struct state_record *r, struct state_tally *tally);
MUST_CHECK enum err state_raise(struct env_write *w, const struct vector_entry *upto, struct state_tally *tally);
MUST_CHECK enum err state_private_put(struct env_write *w, enum state_kind kind, struct slice key, struct slice value);

/* A value of the tables records and private. */
struct state_value {
    uint64_t epoch;
    uint64_t version;
    bool removed;
    struct slice key;
    struct slice value;
};
MUST_CHECK enum err state_value_parse(struct slice content, struct state_value *v);
MUST_CHECK enum err private_value_parse(struct slice content, struct state_value *v);
/* owner -> epoch, version. */
MUST_CHECK enum err state_vector_parse(struct slice owner, struct slice content, struct vector_entry *entry);
/* Kind, owner and value of one entry of records. ERR_CORRUPT. */
MUST_CHECK enum err state_record_parse(struct slice table_key, struct slice content, struct state_record *r);

#endif
