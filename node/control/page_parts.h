/* page_parts: what the files of the operations page share; nothing outside this folder includes it. Each part appends
 * its elements to out, and escapes what it shows. */
#ifndef TANDEM_CONTROL_PAGE_PARTS_H
#define TANDEM_CONTROL_PAGE_PARTS_H

#include "node/control/page.h"

extern const char page_style[]; /* the content of the style element */

void page_map(const struct page_view *v, struct buf *out);
void page_nodes(const struct page_view *v, struct buf *out);
void page_trunk_rows(const struct page_view *v, struct buf *out);
void page_chart(const struct page_view *v, struct buf *out);

/* How a node is, from its record: the word is the record's own. */
enum page_health page_node_health(const struct control_record *node);
/* Whether its plan has differed from ours for longer than a change is on its way. */
bool page_node_behind(const struct control_record *node);
/* Whether it is a member, or may become one: not one that has left, was evicted, or is only an address. */
bool page_node_counts(const struct control_record *node);

/* A row of a list, its cells as HTML. words stand beside the name, or below it where somebody is needed. */
struct page_row {
    enum page_health health;
    struct buf name;
    struct buf words;
    struct buf left; /* two figures */
    struct buf right;
};
void page_row_put(struct page_row *row, struct buf *out); /* and frees the cells */
const char *page_health_class(enum page_health health);
/* "2026-11-22T08:15:30.123Z" as the time of day, or as the day when it is not that of now. */
void page_time(struct buf *out, struct slice time, struct wall now);

#endif
