/* page: the operations page: what somebody on duty wants to see of a node and its cluster, as one HTML document.
 *
 * Pure: records in, text out. The records are those of the control commands (status, nodes, trunks), so that the page
 * says what clusterctl says; only the samples are the page's own. It knows no node, no clock and no HTTP. There is no
 * script in it, and nothing that is fetched from elsewhere; everything that is not a word of ours goes through
 * html_text. It shows no number, no call and no account: who may read it may read /metrics too.
 *
 * Its size is bounded whatever there is: PAGE_NODES nodes, PAGE_TRUNKS rows of trunks, PAGE_GROWTHS counters, and how
 * many more there are. Rooms: page_nodes.c (the nodes in words), page_map.c (in a picture), page_trunks.c,
 * page_chart.c, page_style.c, page_counters.c. */
#ifndef TANDEM_CONTROL_PAGE_H
#define TANDEM_CONTROL_PAGE_H

#include "node/base/time.h"
#include "node/control/page_trunks.h"
#include "proto/control_codec.h"

#define PAGE_NODES 72            /* in the picture; the cluster is a full mesh up to 64 */
#define PAGE_NODE_ROWS 12        /* in words */
#define PAGE_REGISTRATIONS 50000 /* more are not counted */
#define PAGE_GROWTHS 12
#define PAGE_REFRESH_S 5

/* What happened in one interval, which ended with so many live calls. */
struct page_sample {
    uint32_t live_calls;
    uint32_t started_calls;
};

struct page_growth {
    const char *module;
    const char *name;
    uint64_t grown;
};

struct page_view {
    struct wall now;
    const struct control_record *status; /* of the status command, with the limit PAGE_REGISTRATIONS */
    const struct control_record *nodes;  /* of the nodes command, with the limit PAGE_NODES: the first is this one */
    size_t node_count;
    const struct page_trunks *trunks;
    const struct page_sample *samples; /* the oldest first, up to now; none are missing in between */
    size_t sample_count;
    size_t sample_room; /* so many fill the chart */
    unsigned sample_s;
    const struct page_growth *growths; /* of refusals and drops, the largest first */
    size_t growth_count;               /* PAGE_GROWTHS of them are shown */
    unsigned growth_s;                 /* they grew within that time */
};

/* Appends the document; a failed allocation stays in out. Slices and records are borrowed for the call. */
void page_render(const struct page_view *v, struct buf *out);
/* What a browser may do with the document (https://www.w3.org/TR/CSP3/): nothing but apply the one style in it, which
 * is named by its digest. Appends the value of the header. ERR_NOMEM. */
MUST_CHECK enum err page_policy(struct buf *out);

/* Whether a counter tells of something refused, dropped or failed: all do that are not known to count ordinary work, so
 * that a new one is rather shown too much. */
bool page_counter_is_trouble(const char *module, const char *name);

#endif
