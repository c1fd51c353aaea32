/* page_trunks: see the header; and their rows in HTML. */
#include "node/control/page_trunks.h"

#include <inttypes.h>
#include <stdio.h>

#include "node/control/html.h"
#include "node/control/page_parts.h"

#define SHOWN_ROWS 18
#define SHOWN_NAME 40
#define SHOWN_REASON 100

static enum page_health health_of(struct slice state)
{
    static const struct {
        const char *state;
        enum page_health health;
    } table[] = {{"up", PAGE_WELL},  {"registered", PAGE_WELL}, {"not probed", PAGE_IDLE}, {"disabled", PAGE_IDLE},
                 {"down", PAGE_BAD}, {"refused", PAGE_BAD},     {"unregistered", PAGE_BAD}};
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        if (slice_is(state, table[i].state)) return table[i].health;
    }
    return PAGE_WARN; /* suspect, resting, unknown, stale, trying, and what a newer version may say */
}

static void keep(char *out, size_t size, const struct control_record *record, const char *name)
{
    (void)snprintf(out, size, "%.*s", SLICE_ARG(control_get_text(record, name)));
}

static void fill(struct page_trunk *row, enum page_health health, const struct control_record *record)
{
    *row = (struct page_trunk){.health = health,
                               .rtt_us = control_get_int(record, "rtt_us", 0),
                               .live_calls = control_get_int(record, "calls", -1),
                               .calls_limit = control_get_int(record, "calls_limit", 0)};
    keep(row->trunk, sizeof row->trunk, record, "trunk");
    keep(row->site, sizeof row->site, record, "site");
    keep(row->node, sizeof row->node, record, "node");
    if (slice_is(control_get_text(record, "what"), "registration"))
        (void)snprintf(row->address, sizeof row->address, "registration"); /* not as whom: that is an account */
    else
        keep(row->address, sizeof row->address, record, "address");
    keep(row->state, sizeof row->state, record, "state");
    keep(row->since, sizeof row->since, record, "since");
    keep(row->reason, sizeof row->reason, record, "reason");
}

void page_trunks_add(struct page_trunks *t, const struct control_record *record)
{
    if (!slice_is(record->kind, "trunk")) return;
    enum page_health health = health_of(control_get_text(record, "state"));
    t->counts[health]++;
    size_t at = t->row_count;
    while (at > 0 && t->rows[at - 1].health > health)
        at--;
    if (at == PAGE_TRUNKS) return;
    if (t->row_count < PAGE_TRUNKS) t->row_count++;
    memmove(&t->rows[at + 1], &t->rows[at], (t->row_count - 1 - at) * sizeof t->rows[0]);
    fill(&t->rows[at], health, record);
}

/* ---- in HTML ---- */

/* The site and the address; and which node says so, where it is neither this one nor named like the site. */
static void where(const struct page_trunk *row, struct slice self, struct buf *out)
{
    buf_text(out, " <span class=\"soft\">");
    html_cut(out, slice_of(row->site), SHOWN_NAME);
    buf_text(out, " \xc2\xb7 ");
    html_cut(out, slice_of(row->address), SHOWN_NAME);
    if (row->node[0] != '\0' && !slice_is(self, row->node) && strcmp(row->node, row->site) != 0) {
        buf_text(out, ", seen by ");
        html_cut(out, slice_of(row->node), SHOWN_NAME);
    }
    buf_text(out, "</span>");
}

static void words(const struct page_view *v, const struct page_trunk *row, struct buf *out)
{
    html_text(out, slice_of(row->state));
    if (row->since[0] != '\0') {
        buf_text(out, " since ");
        page_time(out, slice_of(row->since), v->now);
    }
    if (row->reason[0] != '\0' && row->health != PAGE_WELL) {
        buf_text(out, ": ");
        html_cut(out, slice_of(row->reason), SHOWN_REASON);
    }
}

static void live_calls(const struct page_trunk *row, struct buf *out)
{
    if (row->live_calls < 0 || (row->live_calls == 0 && row->calls_limit == 0)) return;
    buf_printf(out, "%" PRId64, row->live_calls);
    if (row->calls_limit > 0) buf_printf(out, " / %" PRId64, row->calls_limit);
    buf_text(out, row->live_calls == 1 && row->calls_limit == 0 ? " call" : " calls");
}

static size_t all_of(const struct page_trunks *t)
{
    size_t all = 0;
    for (size_t i = 0; i < PAGE_HEALTH_COUNT; i++)
        all += t->counts[i];
    return all;
}

static void put(const struct page_view *v, const struct page_trunk *t, struct buf *out)
{
    struct page_row row = {.health = t->health};
    buf_text(&row.name, "<b>");
    html_cut(&row.name, slice_of(t->trunk), SHOWN_NAME);
    buf_text(&row.name, "</b>");
    where(t, control_get_text(v->status, "node"), &row.name);
    words(v, t, &row.words);
    live_calls(t, &row.left);
    if (t->rtt_us > 0) html_us(&row.right, (uint64_t)t->rtt_us);
    page_row_put(&row, out);
}

/* Those that need somebody, all that there are rows for; the others fill up what a screen holds. */
static size_t shown_rows(const struct page_trunks *t)
{
    size_t need = t->counts[PAGE_BAD] + t->counts[PAGE_WARN];
    size_t n = need > SHOWN_ROWS ? need : SHOWN_ROWS;
    return n < t->row_count ? n : t->row_count;
}

void page_trunk_rows(const struct page_view *v, struct buf *out)
{
    const struct page_trunks *t = v->trunks;
    size_t n = shown_rows(t);
    if (n > 0) buf_text(out, "<ul class=\"rows\">");
    for (size_t i = 0; i < n; i++)
        put(v, &t->rows[i], out);
    if (n > 0) buf_text(out, "</ul>");
    if (all_of(t) > n) {
        buf_text(out, "<p class=\"more\">and ");
        html_count(out, all_of(t) - n);
        buf_text(out, " more: <code>clusterctl trunks</code></p>");
    }
    if (!t->whole) buf_text(out, "<p class=\"more\">They are still being counted.</p>");
    if (t->whole && n == 0) buf_text(out, "<p class=\"none\">There are none in the plan.</p>");
}
