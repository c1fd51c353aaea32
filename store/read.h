/* read: a reader slot. Internal to store/. */
#ifndef TANDEM_STORE_READ_H
#define TANDEM_STORE_READ_H

#include "store/forms.h"
#include "store/index.h"
#include "store/internal.h"

struct store_read {
    struct store *store;
    MDB_txn *plan; /* reset between batches */
    MDB_txn *state;
    MDB_cursor *index;
    unsigned index_table; /* that index is of: one of either side */
    bool active;
    bool state_active; /* the state's part of this batch has begun */
    bool index_ready;  /* of this batch */
    /* Kept from batch to batch while the plan does not change, which is to say nearly always. */
    size_t seen_txn;
    unsigned seen_map;
    bool totals_read;
    struct totals totals;
    struct index_cache cache;
    struct form_cache forms; /* kept for good */
};

/* r->totals are those of this batch afterwards. */
MUST_CHECK enum err read_totals(struct store_read *r);
/* Counts ERR_CORRUPT; returns e. */
enum err read_checked(struct store_read *r, enum err e);
/* The prefix index of this batch. */
MUST_CHECK enum err read_index(struct store_read *r, struct index_reader *out);
/* Begins the state's part of the batch where it has not begun; before anything of it is read. */
MUST_CHECK enum err read_of_state(struct store_read *r);
MUST_CHECK enum err read_cursor(struct store_read *r, bool of_state, unsigned table, MDB_cursor **c);

#endif
