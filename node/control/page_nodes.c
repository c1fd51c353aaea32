/* page_nodes: the nodes in words: those that need somebody, and the others as far as there is room. */
#include <inttypes.h>

#include "node/control/html.h"
#include "node/control/page_parts.h"

#define SHOWN_NAME 40
#define SHOWN_LINK 100
#define BEHIND_MS 3000 /* a difference that is younger is on its way: heartbeats come once a second */

bool page_node_behind(const struct control_record *node)
{
    int64_t age_ms = control_get_int(node, "data_age_ms", INT64_MAX);
    return control_get_int(node, "in_step", 1) == 0 && age_ms > BEHIND_MS;
}

enum page_health page_node_health(const struct control_record *node)
{
    struct slice state = control_get_text(node, "state");
    if (slice_is(state, "dead")) return PAGE_BAD;
    if (slice_is(state, "drained")) return PAGE_IDLE;
    if (!slice_is(state, "alive")) return PAGE_WARN;
    bool broken = control_get_int(node, "link_wanted", 0) != 0 && control_get_int(node, "linked", 1) == 0;
    return broken || page_node_behind(node) ? PAGE_WARN : PAGE_WELL;
}

bool page_node_counts(const struct control_record *node)
{
    struct slice state = control_get_text(node, "status");
    return !slice_is(state, "left") && !slice_is(state, "evicted") && !slice_is(state, "unknown");
}

static void words(const struct control_record *node, struct buf *out)
{
    int64_t for_ms = control_get_int(node, "status_ms", 0);
    struct slice changes = control_get_text(node, "changes");
    struct slice link = control_get_text(node, "link");
    bool alive = slice_is(control_get_text(node, "status"), "alive");
    html_text(out, control_get_text(node, "state"));
    if (for_ms >= 1000) {
        buf_text(out, " for ");
        html_us(out, (uint64_t)for_ms * 1000);
    }
    if (changes.n > 0) {
        buf_text(out, ", ");
        html_text(out, changes);
    }
    if (control_get_int(node, "linked", 1) == 0 && (!alive || control_get_int(node, "link_wanted", 0) != 0)) {
        buf_text(out, "; ");
        html_cut(out, link, SHOWN_LINK);
    }
}

static void put(const struct control_record *node, bool self, struct buf *out)
{
    struct page_row row = {.health = page_node_health(node)};
    int64_t rtt_us = control_get_int(node, "rtt_us", 0);
    int64_t age_ms = control_get_int(node, "data_age_ms", -1);
    buf_text(&row.name, "<b>");
    html_cut(&row.name, control_get_text(node, "node"), SHOWN_NAME);
    buf_text(&row.name, "</b> <span class=\"soft\">");
    html_cut(&row.name, control_get_text(node, "site"), SHOWN_NAME);
    buf_text(&row.name, self ? " \xc2\xb7 this node</span>" : "</span>");
    words(node, &row.words);
    if (age_ms >= 0) {
        buf_text(&row.left, "data ");
        html_us(&row.left, (uint64_t)age_ms * 1000);
    }
    if (rtt_us > 0 && control_get_int(node, "linked", 0) != 0) html_us(&row.right, (uint64_t)rtt_us);
    page_row_put(&row, out);
}

static void more(const struct page_view *v, size_t alive, size_t away, struct buf *out)
{
    int64_t members = control_get_int(v->status, "members", 0);
    int64_t members_alive = control_get_int(v->status, "members_alive", 0);
    int64_t more_alive = members_alive - (int64_t)alive;
    int64_t more_away = members - members_alive - (int64_t)away;
    if (more_alive <= 0 && more_away <= 0) return;
    buf_text(out, "<p class=\"more\">and ");
    if (more_away > 0) {
        html_count(out, (uint64_t)more_away);
        buf_printf(out, " more that cannot be reached%s", more_alive > 0 ? ", " : "");
    }
    if (more_alive > 0) {
        html_count(out, (uint64_t)more_alive);
        buf_text(out, " more that are alive");
    }
    buf_text(out, ": <code>clusterctl nodes</code></p>");
}

/* A seed is nobody's name yet, but where somebody should be: why it is not linked is what a new node needs. */
static bool is_shown(const struct control_record *node, bool self, bool all)
{
    bool seed = slice_is(control_get_text(node, "status"), "unknown");
    return self || seed || (page_node_counts(node) && (all || page_node_health(node) != PAGE_WELL));
}

void page_nodes(const struct page_view *v, struct buf *out)
{
    size_t rows = 0;
    size_t alive = 0;
    size_t away = 0;
    bool all = v->node_count <= PAGE_NODE_ROWS; /* else the picture has those that are well */
    buf_text(out, "<ul class=\"rows\">");
    for (size_t i = 0; i < v->node_count && rows < PAGE_NODE_ROWS; i++) {
        const struct control_record *node = &v->nodes[i];
        if (!is_shown(node, i == 0, all)) continue;
        put(node, i == 0, out);
        rows++;
        alive += slice_is(control_get_text(node, "status"), "alive");
        away += page_node_counts(node) && !slice_is(control_get_text(node, "status"), "alive");
    }
    buf_text(out, "</ul>");
    more(v, alive, away, out);
}
