/* failures: the wrong proofs of the last while, for people: who tried which account from where, and how often.
 *
 * For show only: nothing is decided by it, so what is pushed out is merely no longer seen. One source has so many rows;
 * what it tries beyond them is counted in one row without a name, so that one guesser does not hide another. Pure. */
#ifndef TANDEM_EDGE_FAILURES_H
#define TANDEM_EDGE_FAILURES_H

#include "node/base/bytes.h"
#include "node/base/limits.h"
#include "node/base/time.h"
#include "node/edge/address.h"
#include "node/edge/edge.h"

#define FAILURES_ROWS 512
#define FAILURES_PER_SOURCE 16
#define FAILURES_OTHERS "(others)"

struct failure_row {
    uint64_t source;
    uint64_t pace; /* thousandths of a failure, halving each minute */
    struct edge_failed f;
    char source_text[SOURCE_TEXT];
    char account[LIMIT_NAME + 1];
};

struct failures {
    struct failure_row rows[FAILURES_ROWS]; /* f.count 0: free */
};

/* The name as it may be shown and logged: at most LIMIT_NAME characters, '?' for what is not printable. */
void failures_safe_name(struct slice text, char out[LIMIT_NAME + 1]);
/* account may be any bytes: they are made harmless and short. source stands for the address. */
void failures_note(struct failures *f, uint64_t source, const char *source_text, struct slice account,
                   enum edge_failure why, struct wall now);
void failures_each(struct failures *f, struct wall now, void (*each)(void *ctx, const struct edge_failed *f),
                   void *ctx);
void failures_forget(struct failures *f, uint64_t source);

#endif
