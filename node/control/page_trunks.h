/* page_trunks: the trunks as the operations page shows them, gathered from the records of the trunks command, which may
 * come in any number of pieces: how many are well, and the rows that matter first. Memory is bounded by PAGE_TRUNKS
 * rows. */
#ifndef TANDEM_CONTROL_PAGE_TRUNKS_H
#define TANDEM_CONTROL_PAGE_TRUNKS_H

#include "node/base/limits.h"
#include "proto/control_codec.h"

#define PAGE_TRUNKS 40

/* From what needs somebody to what does not. */
enum page_health { PAGE_BAD, PAGE_WARN, PAGE_WELL, PAGE_IDLE, PAGE_HEALTH_COUNT };

/* An address of a trunk, or its registration, as one node sees it. Texts are cut to what fits; 0 or "" where the record
 * has none. */
struct page_trunk {
    enum page_health health;
    char trunk[LIMIT_NAME + 1];
    char site[LIMIT_NAME + 1];
    char node[LIMIT_NAME + 1];
    char address[128];
    char state[24];
    char since[40];
    char reason[128];
    int64_t rtt_us;
    int64_t live_calls; /* -1: another node's */
    int64_t calls_limit;
};

struct page_trunks {
    struct page_trunk rows[PAGE_TRUNKS]; /* in the order of health; of one health as they came */
    size_t row_count;
    size_t counts[PAGE_HEALTH_COUNT]; /* of all, rows or not */
    bool whole;                       /* all trunks have been looked at */
};

/* Adds a record of the kind "trunk"; others do nothing. */
void page_trunks_add(struct page_trunks *t, const struct control_record *record);

#endif
