/* accept_page: the report as one HTML document: to read, to print, to sign. No script, nothing from elsewhere, and
 * whatever a name or a reason says is text. */
#include "cli/accept_report.h"
#include "cli/text.h"

static const char style[] =
    "body{font:14px/1.4 system-ui,sans-serif;color:#1a1a1a;background:#fff;max-width:72em;margin:2em auto;padding:0 "
    "1em}\n"
    "h1{font-size:1.6em;margin:0 0 .2em}h2{font-size:1.15em;margin:1.6em 0 .4em}\n"
    ".sum{font-size:1.2em;font-weight:600;margin:.6em 0 1em}\n"
    "table{border-collapse:collapse;width:100%}\n"
    "th,td{text-align:left;vertical-align:top;padding:.35em .7em .35em 0;border-bottom:1px solid #d0d0d0}\n"
    "th{border-bottom:2px solid #707070;font-size:.85em}.n{text-align:right}td.w{overflow-wrap:anywhere}\n"
    "tr{break-inside:avoid}thead{display:table-header-group}\n"
    "dl{display:grid;grid-template-columns:max-content 1fr;gap:.2em 1.2em;margin:0}dt{color:#555}dd{margin:0;"
    "overflow-wrap:anywhere}\n"
    "code{font:0.95em ui-monospace,monospace}\n"
    ".passed{color:#146c2e;font-weight:600}.failed{color:#b3120a;font-weight:600}.unasked{color:#8a5a00;"
    "font-weight:600}\n"
    ".res{white-space:nowrap}.warn{border-left:4px solid #b3120a;padding:.3em .8em;margin:1em 0}\n"
    ".sign{display:flex;gap:2em;margin-top:4em;break-inside:avoid}.sign div{flex:1;border-top:1px solid #1a1a1a;"
    "padding-top:.3em;color:#555}\n"
    "@media print{body{margin:0;max-width:none;font-size:10pt}@page{margin:18mm}}\n";

/* ---- text ---- */

static void escape(struct buf *out, struct slice text)
{
    struct buf safe = {0};
    text_safe(&safe, text);
    for (size_t i = 0; i < safe.n; i++) {
        switch (safe.p[i]) {
        case '&': buf_text(out, "&amp;"); break;
        case '<': buf_text(out, "&lt;"); break;
        case '>': buf_text(out, "&gt;"); break;
        case '"': buf_text(out, "&quot;"); break;
        case '\'': buf_text(out, "&#39;"); break;
        default: buf_add(out, &safe.p[i], 1);
        }
    }
    if (safe.failed) out->failed = true;
    buf_fini(&safe);
}

static void cell(struct buf *out, struct slice text)
{
    buf_text(out, "<td>");
    escape(out, text);
    buf_text(out, "</td>");
}

/* Of a text that may be long and is broken wherever it must. */
static void wide_cell(struct buf *out, struct slice text)
{
    buf_text(out, "<td class=\"w\">");
    escape(out, text);
    buf_text(out, "</td>");
}

static void number(struct buf *out, int64_t value)
{
    buf_printf(out, "<td class=\"n\">%lld</td>", (long long)value);
}

static void time_of(const struct accept_report *r, struct buf *out)
{
    struct control_field f = {.type = CONTROL_TEXT, .text = r->at};
    struct buf shown = {0};
    output_cell(&f, FORM_TIME, &shown);
    escape(out, buf_view(&shown));
    if (shown.failed) out->failed = true;
    buf_fini(&shown);
}

/* ---- parts ---- */

static void fact(struct buf *out, const char *name, struct slice text)
{
    buf_printf(out, "<dt>%s</dt><dd>", name);
    escape(out, text);
    buf_text(out, "</dd>\n");
}

static void head(const struct accept_report *r, struct buf *out)
{
    buf_text(out, "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
                  "<meta http-equiv=\"Content-Security-Policy\" "
                  "content=\"default-src 'none'; style-src 'unsafe-inline'\">\n"
                  "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<title>Acceptance test: ");
    escape(out, r->cluster);
    if (r->cluster.n > 0) buf_text(out, ", ");
    time_of(r, out);
    buf_printf(out, "</title>\n<style>\n%s</style>\n</head>\n<body>\n<h1>Acceptance test of the number plan</h1>\n",
               style);
}

static void summary(const struct accept_report *r, struct buf *out)
{
    const bool good = r->counts[ACCEPT_FAILED] + r->counts[ACCEPT_NOT_ASKED] == 0;
    buf_printf(out, "<p class=\"sum %s\">%s: %lld passed, %lld failed, %lld not asked</p>\n",
               good ? "passed" : "failed", good ? "Passed" : "Not passed", (long long)r->counts[ACCEPT_PASSED],
               (long long)r->counts[ACCEPT_FAILED], (long long)r->counts[ACCEPT_NOT_ASKED]);
    buf_text(out, "<dl>\n");
    if (r->cluster.n > 0) fact(out, "Cluster", r->cluster);
    buf_text(out, "<dt>Tested</dt><dd>");
    time_of(r, out);
    buf_text(out, "</dd>\n");
    fact(out, "By", r->by);
    fact(out, "Cases", r->file);
    fact(out, "What was tested",
         r->plan_only ? SLICE("what the plan decides, as if everything were up")
                      : SLICE("what the nodes would do at that time: what is down or not registered counts"));
    buf_text(out, "</dl>\n");
    if (!accept_report_one_plan(r)) buf_text(out, "<p class=\"warn\">The nodes did not have the same plan.</p>\n");
}

static void nodes(const struct accept_report *r, struct buf *out)
{
    buf_text(out, "<h2>Nodes</h2>\n<table>\n<thead><tr><th>Node</th><th>Plan digest</th><th class=\"n\">Passed</th>"
                  "<th class=\"n\">Failed</th><th class=\"n\">Not asked</th><th>Note</th></tr></thead>\n<tbody>\n");
    for (size_t i = 0; i < r->node_count; i++) {
        const struct accept_node *n = &r->nodes[i];
        buf_text(out, "<tr>");
        cell(out, n->name);
        buf_text(out, "<td><code>");
        escape(out, n->plan_digest);
        buf_text(out, "</code></td>");
        for (size_t o = 0; o < ACCEPT_OUTCOME_COUNT; o++)
            number(out, n->counts[o]);
        wide_cell(out, n->note);
        buf_text(out, "</tr>\n");
    }
    buf_text(out, "</tbody>\n</table>\n");
}

static void result(const struct accept_result *t, struct buf *out)
{
    static const char *const classes[] = {
        [ACCEPT_PASSED] = "passed", [ACCEPT_FAILED] = "failed", [ACCEPT_NOT_ASKED] = "unasked"};
    buf_printf(out, "<tr><td class=\"res %s\">%s</td>", classes[t->outcome], accept_outcome_name(t->outcome));
    wide_cell(out, t->name);
    cell(out, t->node);
    cell(out, t->dialled);
    cell(out, t->from);
    cell(out, t->expected);
    buf_text(out, "<td class=\"w\">");
    escape(out, t->got);
    if (t->why.n > 0 && t->got.n > 0) buf_text(out, ": ");
    escape(out, t->why);
    buf_text(out, "</td></tr>\n");
}

static void results(const struct accept_report *r, struct buf *out)
{
    buf_text(out, "<h2>Cases</h2>\n<table>\n<thead><tr><th>Result</th><th>Case</th><th>Node</th><th>Dialled</th>"
                  "<th>From</th><th>Expected</th><th>Found</th></tr></thead>\n<tbody>\n");
    for (size_t i = 0; i < r->result_count; i++)
        result(&r->results[i], out);
    buf_text(out, "</tbody>\n</table>\n");
}

void accept_report_page(const struct accept_report *r, struct buf *out)
{
    head(r, out);
    summary(r, out);
    nodes(r, out);
    results(r, out);
    buf_text(out, "<div class=\"sign\"><div>Place, date</div><div>Name</div><div>Signature</div></div>\n"
                  "</body>\n</html>\n");
}
