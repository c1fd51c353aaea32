/* page_chart: live calls and calls per second over the last hour. Of an interval that was not seen, because the node
 * had not started, nothing is drawn: it is no zero. */
#include <inttypes.h>

#include "node/control/html.h"
#include "node/control/page_parts.h"

#define WIDTH 720
#define HEIGHT 96
#define BASE 95 /* the line of zero */
#define TOP 4

static double live_at(const struct page_view *v, size_t i)
{
    return v->samples[i].live_calls;
}
static double rate_at(const struct page_view *v, size_t i)
{
    return (double)v->samples[i].started_calls / v->sample_s;
}

struct series {
    const char *name;
    const char *class;
    double (*at)(const struct page_view *v, size_t i);
    int decimals;
};

static double x_at(const struct page_view *v, size_t i)
{
    size_t from_right = v->sample_count - i; /* the newest ends at the right edge */
    return WIDTH - (double)from_right * WIDTH / (double)v->sample_room;
}

/* Steps: each interval has a width, and what happened in it no shape. */
static void draw(const struct page_view *v, const struct series *s, double peak, struct buf *out)
{
    double step = (double)WIDTH / (double)v->sample_room;
    double scale = peak > 0 ? (BASE - TOP) / peak : 0;
    buf_printf(out,
               "<svg class=\"chart %s\" viewBox=\"0 0 %d %d\" preserveAspectRatio=\"none\" role=\"img\" "
               "aria-label=\"%s in the last hour\"><path class=\"axis\" d=\"M0 %dH%d\"/>",
               s->class, WIDTH, HEIGHT, s->name, BASE, WIDTH);
    if (v->sample_count > 0) {
        buf_printf(out, "<path class=\"area\" d=\"M%.1f %d", x_at(v, 0), BASE);
        for (size_t i = 0; i < v->sample_count; i++) {
            bool same = i + 1 < v->sample_count && s->at(v, i) == s->at(v, i + 1);
            bool risen = i == 0 || s->at(v, i) != s->at(v, i - 1);
            if (risen) buf_printf(out, "V%.1f", BASE - s->at(v, i) * scale);
            if (!same) buf_printf(out, "H%.1f", x_at(v, i) + step);
        }
        buf_printf(out, "V%dZ\"/>", BASE);
    }
    buf_text(out, "</svg>");
}

static void series(const struct page_view *v, const struct series *s, struct buf *out)
{
    double peak = 0;
    double now = v->sample_count > 0 ? s->at(v, v->sample_count - 1) : 0;
    for (size_t i = 0; i < v->sample_count; i++) {
        if (s->at(v, i) > peak) peak = s->at(v, i);
    }
    buf_printf(out, "<figure><figcaption>%s <span class=\"soft\">now ", s->name);
    buf_printf(out, "%.*f, peak %.*f</span></figcaption>", s->decimals, now, s->decimals, peak);
    draw(v, s, peak, out);
    buf_text(out, "</figure>");
}

void page_chart(const struct page_view *v, struct buf *out)
{
    static const struct series all[] = {{"Live calls", "live", live_at, 0}, {"Calls per second", "rate", rate_at, 1}};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
        series(v, &all[i], out);
    buf_printf(out, "<p class=\"scale\"><span>%zu min ago</span><span>now</span></p>",
               v->sample_room * v->sample_s / 60);
}
