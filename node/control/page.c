/* page: the document around the parts: what it is of, the verdict, the figures, plan, and what went wrong lately. */
#include "node/control/page.h"

#include <inttypes.h>
#include <stdio.h>

#include "node/base/hash.h"
#include "node/control/html.h"
#include "node/control/page_parts.h"

#define SHOWN_NAME 40
#define SHOWN_TEXT 200
#define DIGEST_SHOWN 12
#define RATE_SAMPLES 6 /* calls per second over the last minute */

/* ---- what the parts share ---- */

const char *page_health_class(enum page_health health)
{
    static const char *const names[PAGE_HEALTH_COUNT] = {"bad", "warn", "well", "idle"};
    return names[health];
}

static void cell(struct buf *out, const char *before, struct buf *content, const char *after)
{
    buf_text(out, before);
    buf_slice(out, buf_view(content));
    buf_text(out, after);
    if (content->failed) out->failed = true; /* half a page is none */
    buf_fini(content);
}

void page_row_put(struct page_row *row, struct buf *out)
{
    /* U+25A0 a square, U+25B2 a triangle, U+25CF a disc, U+25CB a ring */
    static const char *const marks[PAGE_HEALTH_COUNT] = {"\xe2\x96\xa0", "\xe2\x96\xb2", "\xe2\x97\x8f",
                                                         "\xe2\x97\x8b"};
    bool below = row->health == PAGE_BAD || row->health == PAGE_WARN;
    buf_printf(out, "<li class=\"%s\"><span class=\"sign\" aria-hidden=\"true\">%s</span>",
               page_health_class(row->health), marks[row->health]);
    cell(out, "<p>", &row->name, "");
    if (!below) cell(out, " <span class=\"word\">", &row->words, "</span>");
    cell(out, "</p><span class=\"num\">", &row->left, "</span>");
    cell(out, "<span class=\"num\">", &row->right, "</span>");
    if (below) cell(out, "<p class=\"word\">", &row->words, "</p>");
    buf_text(out, "</li>");
}

#define TIME_DAY 10 /* characters of "2026-11-22" */
#define TIME_SHOWN 8

void page_time(struct buf *out, struct slice time, struct wall now)
{
    char today[WALL_TEXT_SIZE];
    struct slice day = {wall_text(now, today), TIME_DAY};
    bool known = time.n > TIME_DAY + 1 + TIME_SHOWN;
    buf_text(out, "<time title=\"");
    html_text(out, time);
    buf_text(out, "\">");
    if (known && slice_starts(time, day))
        html_text(out, (struct slice){time.p + TIME_DAY + 1, TIME_SHOWN});
    else
        html_cut(out, known ? (struct slice){time.p, TIME_DAY} : time, SHOWN_NAME);
    buf_text(out, "</time>");
}

/* ---- the head ---- */

static void field(struct buf *out, const struct page_view *v, const char *name)
{
    html_cut(out, control_get_text(v->status, name), SHOWN_NAME);
}

static bool is_ok(const struct page_view *v)
{
    return slice_is(control_get_text(v->status, "verdict"), "ok");
}

/* What keeps calls from somebody is bad; what waits for a word, or goes away by itself, is a warning. */
static enum page_health level(const struct page_view *v)
{
    bool store = slice_is(control_get_text(v->status, "store"), "ok");
    bool away = control_get_int(v->status, "members_alive", 0) < control_get_int(v->status, "members", 0);
    if (is_ok(v)) return PAGE_WELL;
    return !store || away || v->trunks->counts[PAGE_BAD] > 0 ? PAGE_BAD : PAGE_WARN;
}

static void head(const struct page_view *v, struct buf *out)
{
    buf_printf(out,
               "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">"
               "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">"
               "<meta http-equiv=\"refresh\" content=\"%d\"><meta name=\"color-scheme\" content=\"light dark\"><title>",
               PAGE_REFRESH_S);
    buf_text(out, is_ok(v) ? "ok" : "! ");
    if (!is_ok(v)) html_cut(out, control_get_text(v->status, "verdict"), SHOWN_NAME);
    buf_text(out, " \xc2\xb7 ");
    field(out, v, "node");
    buf_printf(out, "</title><style>%s</style></head>", page_style);
}

static void banner(const struct page_view *v, struct buf *out)
{
    char now[WALL_TEXT_SIZE];
    enum page_health health = level(v);
    buf_text(out, "<body><header><p><b>");
    field(out, v, "node");
    buf_text(out, "</b> <span class=\"soft\">site ");
    field(out, v, "site");
    if (control_get_text(v->status, "cluster").n > 0) buf_text(out, " \xc2\xb7 cluster ");
    field(out, v, "cluster");
    buf_text(out, "</span></p><p class=\"soft\">");
    page_time(out, slice_of(wall_text(v->now, now)), v->now);
    buf_printf(out, " UTC, refreshed every %d s</p></header><h1 class=\"%s\">", PAGE_REFRESH_S,
               page_health_class(health));
    html_cut(out, control_get_text(v->status, "verdict"), SHOWN_TEXT);
    buf_text(out, "</h1>");
}

/* ---- the figures ---- */

static void figure_start(struct buf *out, const char *name)
{
    buf_printf(out, "<div><dt>%s</dt><dd>", name);
}

/* From most on it is that, or more; 0: it is what it is. */
static void figure_count(const struct page_view *v, const char *name, const char *key, int64_t most, struct buf *out)
{
    int64_t n = control_get_int(v->status, key, 0);
    figure_start(out, name);
    html_count(out, n > 0 ? (uint64_t)n : 0);
    buf_text(out, most > 0 && n >= most ? "+</dd></div>" : "</dd></div>");
}

static void figure_nodes(const struct page_view *v, struct buf *out)
{
    int64_t all = control_get_int(v->status, "members", 0);
    int64_t alive = control_get_int(v->status, "members_alive", 0);
    figure_start(out, "Nodes alive");
    buf_printf(out, "<span class=\"%s\">%" PRId64 "</span> <small>of %" PRId64 "</small></dd></div>",
               alive < all ? "bad" : "plain", alive, all);
}

static void figure_trunks(const struct page_view *v, struct buf *out)
{
    static const char *const words[PAGE_HEALTH_COUNT] = {"down", "in doubt", "up", "not probed"};
    const size_t *counts = v->trunks->counts;
    static const enum page_health order[] = {PAGE_WELL, PAGE_BAD, PAGE_WARN, PAGE_IDLE};
    bool any = false;
    figure_start(out, "Trunks");
    for (size_t i = 0; i < PAGE_HEALTH_COUNT; i++) {
        enum page_health health = order[i];
        if (counts[health] == 0) continue;
        buf_printf(out, "%s<span class=\"%s\">", any ? " " : "",
                   health == PAGE_WELL ? "plain" : page_health_class(health));
        html_count(out, counts[health]);
        buf_printf(out, "</span> <small>%s</small>", words[health]);
        any = true;
    }
    buf_text(out, any ? "</dd></div>" : "0</dd></div>");
}

static void figure_rate(const struct page_view *v, struct buf *out)
{
    size_t n = v->sample_count < RATE_SAMPLES ? v->sample_count : RATE_SAMPLES;
    uint64_t started = 0;
    for (size_t i = v->sample_count - n; i < v->sample_count; i++)
        started += v->samples[i].started_calls;
    figure_start(out, "Calls per second");
    if (n > 0)
        buf_printf(out, "%.1f", (double)started / (double)(n * v->sample_s));
    else
        buf_text(out, "\xe2\x80\x93");
    buf_text(out, "</dd></div>");
}

static void figures(const struct page_view *v, struct buf *out)
{
    buf_text(out, "<dl class=\"figures\">");
    figure_nodes(v, out);
    figure_trunks(v, out);
    figure_count(v, "Registrations", "registrations", PAGE_REGISTRATIONS, out);
    figure_count(v, "Live calls here", "calls", 0, out);
    figure_rate(v, out);
    buf_text(out, "</dl>");
}

/* ---- plan ---- */

static void plan_text(const struct page_view *v, const char *name, const char *key, const char *class, struct buf *out)
{
    struct slice text = control_get_text(v->status, key);
    if (text.n == 0) return;
    buf_printf(out, "<dt>%s</dt><dd class=\"%s\">", name, class);
    html_cut(out, text, SHOWN_TEXT);
    buf_text(out, "</dd>");
}

static void plan_counts(const struct page_view *v, struct buf *out)
{
    static const char *const names[] = {"routes", "accounts", "trunks"};
    buf_text(out, "<dt>Holds</dt><dd>");
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        int64_t n = control_get_int(v->status, names[i], 0);
        if (i > 0) buf_text(out, ", ");
        html_count(out, n > 0 ? (uint64_t)n : 0);
        buf_printf(out, " %.*s", (int)strlen(names[i]) - (n == 1), names[i]);
    }
    buf_text(out, "</dd>");
}

static void plan(const struct page_view *v, struct buf *out)
{
    struct slice digest = control_get_text(v->status, "plan_digest");
    struct slice changed = control_get_text(v->status, "plan_changed");
    int64_t conflicts = control_get_int(v->status, "conflicts", 0);
    buf_text(out, "<section><h2>Plan</h2><dl class=\"facts\"><dt>Digest</dt><dd><code title=\"");
    html_text(out, digest);
    buf_text(out, "\">");
    html_text(out, (struct slice){digest.p, digest.n < DIGEST_SHOWN ? digest.n : DIGEST_SHOWN});
    buf_text(out, "</code></dd>");
    if (changed.n > 0) {
        buf_text(out, "<dt>Changed</dt><dd>");
        page_time(out, changed, v->now);
        buf_text(out, "</dd>");
    }
    plan_text(v, "Unconfirmed", "unconfirmed", "warn", out);
    if (conflicts > 0) {
        buf_text(out, "<dt>Overridden</dt><dd class=\"warn\">");
        html_count(out, (uint64_t)conflicts);
        buf_printf(out, " edit%s: <code>clusterctl plan conflicts</code></dd>", conflicts == 1 ? "" : "s");
    }
    plan_text(v, "Fetched from", "snapshot_from", "warn", out);
    if (!slice_is(control_get_text(v->status, "store"), "ok")) plan_text(v, "Disk", "store", "bad", out);
    plan_counts(v, out);
    buf_text(out, "</dl></section>");
}

/* ---- what went wrong lately ---- */

static void lately(const struct page_view *v, struct buf *out)
{
    unsigned minutes = v->growth_s / 60;
    buf_text(out, "<section><h2>Refused or dropped <span class=\"soft\">in the last ");
    if (minutes > 1) buf_printf(out, "%u ", minutes);
    buf_text(out, minutes > 1 ? "minutes</span></h2>" : "minute</span></h2>");
    if (v->growth_count == 0) buf_text(out, "<p class=\"none\">Nothing.</p>");
    buf_text(out, v->growth_count > 0 ? "<dl class=\"facts counts\">" : "");
    for (size_t i = 0; i < v->growth_count && i < PAGE_GROWTHS; i++) {
        const struct page_growth *g = &v->growths[i];
        buf_text(out, "<dt>");
        html_count(out, g->grown);
        buf_text(out, "</dt><dd><span class=\"soft\">");
        html_text(out, slice_of(g->module));
        buf_text(out, "</span> ");
        html_text(out, slice_of(g->name));
        buf_text(out, "</dd>");
    }
    buf_text(out, v->growth_count > 0 ? "</dl>" : "");
    if (v->growth_count > PAGE_GROWTHS) {
        buf_printf(out, "<p class=\"more\">and %zu more: <code>clusterctl counters</code></p>",
                   v->growth_count - PAGE_GROWTHS);
    }
    buf_text(out, "</section>");
}

static void foot(const struct page_view *v, struct buf *out)
{
    buf_text(out, "<footer class=\"soft\">Tandem ");
    field(out, v, "version");
    buf_text(out, ", started ");
    page_time(out, control_get_text(v->status, "started"), v->now);
    buf_text(out, ". The same as text: <code>clusterctl status</code></footer></body></html>\n");
}

void page_render(const struct page_view *v, struct buf *out)
{
    head(v, out);
    banner(v, out);
    figures(v, out);
    buf_text(out, "<main><section><h2>Cluster</h2>");
    page_map(v, out);
    page_nodes(v, out);
    buf_text(out, "</section><section><h2>Calls <span class=\"soft\">of this node</span></h2>");
    page_chart(v, out);
    buf_text(out, "</section><section><h2>Trunks</h2>");
    page_trunk_rows(v, out);
    buf_text(out, "</section>");
    plan(v, out);
    lately(v, out);
    buf_text(out, "</main>");
    foot(v, out);
}

/* ---- what a browser may do with it ---- */

static void base64(const unsigned char *data, size_t n, struct buf *out)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    for (size_t i = 0; i < n; i += 3) {
        uint32_t bits = (uint32_t)data[i] << 16;
        if (i + 1 < n) bits |= (uint32_t)data[i + 1] << 8;
        if (i + 2 < n) bits |= data[i + 2];
        char four[4] = {digits[bits >> 18], digits[bits >> 12 & 63], i + 1 < n ? digits[bits >> 6 & 63] : '=',
                        i + 2 < n ? digits[bits & 63] : '='};
        buf_add(out, four, sizeof four);
    }
}

enum err page_policy(struct buf *out)
{
    unsigned char digest[HASH_SHA256_LEN];
    struct slice style = slice_of(page_style);
    enum err e = hash_parts(HASH_SHA256, &style, 1, digest);
    if (e != ERR_OK) return e;
    buf_text(out, "default-src 'none'; style-src 'sha256-");
    base64(digest, sizeof digest, out);
    buf_text(out, "'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'");
    return out->failed ? ERR_NOMEM : ERR_OK;
}
