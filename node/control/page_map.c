/* page_map: a picture of the cluster: the nodes on a ring, those of one site beside each other, this one at the left,
 * and this node's links. What is wrong is told by shape and by word, not by colour alone. A few nodes have their names
 * beside them, many have them along the rays, so that they stay apart. */
#include <math.h>
#include <stdlib.h>

#include "node/control/html.h"
#include "node/control/page_parts.h"

#define FEW 12    /* with more the names stand along the rays */
#define APART 0.6 /* between two sites, in steps between two nodes */
#define LABEL_GAP 16
#define PI 3.14159265358979323846

struct spot {
    const struct control_record *node;
    enum page_health health;
    bool self;
    double angle; /* radians, clockwise from the right */
    double x;
    double y;
};

struct map {
    struct spot spots[PAGE_NODES];
    size_t count;
    size_t sites;
    bool few;
    double width;
    double height;
    double across; /* half axes of the ring: flat where there are few */
    double down;
    struct slice own_site;
};

static struct slice site_of(const struct spot *s)
{
    return control_get_text(s->node, "site");
}
static struct slice name_of(const struct spot *s)
{
    return control_get_text(s->node, "node");
}

/* ---- where they are ---- */

static void collect(struct map *m, const struct page_view *v)
{
    for (size_t i = 0; i < v->node_count && m->count < PAGE_NODES; i++) {
        if (!page_node_counts(&v->nodes[i])) continue;
        m->spots[m->count++] =
            (struct spot){.node = &v->nodes[i], .health = page_node_health(&v->nodes[i]), .self = i == 0};
    }
}

/* This node first, and the others of its site; then by site and name. */
static int by_place(const void *left, const void *right)
{
    const struct spot *a = left;
    const struct spot *b = right;
    int sites = slice_cmp(site_of(a), site_of(b));
    if (a->self || b->self) return b->self - a->self;
    return sites != 0 ? sites : slice_cmp(name_of(a), name_of(b));
}

/* Turns the order so that the own site, of which this node is the first, comes first. */
static void own_site_first(struct map *m)
{
    struct spot own[PAGE_NODES];
    struct spot others[PAGE_NODES];
    size_t own_count = 0;
    size_t other_count = 0;
    for (size_t i = 0; i < m->count; i++) {
        if (slice_eq(site_of(&m->spots[i]), m->own_site))
            own[own_count++] = m->spots[i];
        else
            others[other_count++] = m->spots[i];
    }
    memcpy(m->spots, own, own_count * sizeof own[0]);
    memcpy(m->spots + own_count, others, other_count * sizeof others[0]);
}

static bool begins_site(const struct map *m, size_t i)
{
    return i == 0 || !slice_eq(site_of(&m->spots[i]), site_of(&m->spots[i - 1]));
}

static void place(struct map *m)
{
    double at = 0;
    for (size_t i = 0; i < m->count; i++)
        m->sites += begins_site(m, i);
    double apart = m->sites > 1 ? APART : 0;
    double step = 2 * PI / ((double)m->count + (double)m->sites * apart);
    for (size_t i = 0; i < m->count; i++) {
        struct spot *s = &m->spots[i];
        if (i > 0) at += begins_site(m, i) ? 1 + apart : 1;
        s->angle = PI + at * step;
        s->x = m->width / 2 + m->across * cos(s->angle);
        s->y = m->height / 2 + m->down * sin(s->angle);
    }
}

static void map_make(struct map *m, const struct page_view *v)
{
    *m = (struct map){.own_site = control_get_text(v->status, "site")};
    collect(m, v);
    qsort(m->spots, m->count, sizeof m->spots[0], by_place);
    own_site_first(m);
    m->few = m->count <= FEW;
    m->width = m->few ? 460 : 680;
    m->across = m->few ? 112 : 205;
    m->down = m->count == 2 ? 40 : m->count <= 4 ? 75 : m->few ? 112 : 205;
    m->height = m->few ? 2 * m->down + 110 : 680;
    place(m);
}

/* ---- links ---- */

/* A cross where the curve is nearest to the middle. */
static void cross(const struct map *m, const struct spot *from, const struct spot *to, double bend_x, double bend_y,
                  struct buf *out)
{
    double x = from->x / 4 + bend_x / 2 + to->x / 4;
    double y = from->y / 4 + bend_y / 2 + to->y / 4;
    double r = m->few ? 6 : 5;
    buf_printf(out, "<path class=\"cut\" d=\"M%.1f %.1fl%.1f %.1fm0 %.1fl%.1f %.1f\"/>", x - r, y - r, 2 * r, 2 * r,
               -2 * r, -2 * r, 2 * r);
}

static void link_line(const struct map *m, const struct spot *from, const struct spot *to, struct buf *out)
{
    bool linked = control_get_int(to->node, "linked", 0) != 0;
    bool broken = !linked && control_get_int(to->node, "link_wanted", 0) != 0;
    if (!linked && !broken) return; /* none is needed: others pass on what there is to say */
    double bend_x = m->width / 2 + ((from->x + to->x) / 2 - m->width / 2) * 0.35;
    double bend_y = m->height / 2 + ((from->y + to->y) / 2 - m->height / 2) * 0.35;
    buf_printf(out, "<path class=\"%s\" d=\"M%.1f %.1fQ%.1f %.1f %.1f %.1f\"/>", broken ? "link broken" : "link",
               from->x, from->y, bend_x, bend_y, to->x, to->y);
    if (broken) cross(m, from, to, bend_x, bend_y, out);
}

/* ---- nodes ---- */

static void mark(const struct map *m, const struct spot *s, struct buf *out)
{
    double r = m->few ? 9 : 6;
    const char *class = page_health_class(s->health);
    if (s->self) buf_printf(out, "<circle class=\"halo\" cx=\"%.1f\" cy=\"%.1f\" r=\"%.1f\"/>", s->x, s->y, r + 5);
    switch (s->health) {
    case PAGE_BAD:
        buf_printf(out, "<rect class=\"mark %s\" x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%.1f\"/>", class,
                   s->x - r, s->y - r, 2 * r, 2 * r);
        break;
    case PAGE_WARN:
        buf_printf(out, "<path class=\"mark %s\" d=\"M%.1f %.1fl%.1f %.1fh%.1fz\"/>", class, s->x, s->y - r - 2, r + 2,
                   2 * r + 2, -2 * r - 4);
        break;
    default:
        buf_printf(out, "<circle class=\"mark %s\" cx=\"%.1f\" cy=\"%.1f\" r=\"%.1f\"/>", class, s->x, s->y, r);
        break;
    }
}

/* "dead", "0.4 ms", or that it is this one. */
static void note(const struct spot *s, struct buf *out)
{
    int64_t rtt_us = control_get_int(s->node, "rtt_us", 0);
    struct slice state = control_get_text(s->node, "state");
    if (!slice_is(state, "alive")) {
        html_text(out, state);
    } else if (s->self) {
        buf_text(out, "this node");
    } else if (control_get_int(s->node, "linked", 0) == 0) {
        buf_text(out, control_get_int(s->node, "link_wanted", 0) != 0 ? "no link" : "no direct link");
    } else if (page_node_behind(s->node)) {
        buf_text(out, "not in step");
    } else if (rtt_us > 0) {
        html_us(out, (uint64_t)rtt_us);
    }
}

static void label_beside(const struct map *m, const struct spot *s, struct buf *out)
{
    double along = cos(s->angle);
    double down = sin(s->angle);
    const char *anchor = along > 0.3 ? "start" : along < -0.3 ? "end" : "middle";
    double x = m->width / 2 + (m->across + LABEL_GAP + 2) * along;
    double y = m->height / 2 + (m->down + LABEL_GAP + 8) * down + (down < -0.7 ? -16 : down > 0.7 ? 8 : -2);
    buf_printf(out, "<text text-anchor=\"%s\" x=\"%.1f\" y=\"%.1f\">", anchor, x, y);
    html_cut(out, name_of(s), 13);
    buf_printf(out, "<tspan class=\"note %s\" x=\"%.1f\" dy=\"1.25em\">", page_health_class(s->health), x);
    note(s, out);
    buf_text(out, "</tspan></text>");
}

static void label_along(const struct spot *s, struct buf *out)
{
    double degrees = s->angle * 180 / PI;
    bool left = cos(s->angle) < -1e-9;
    buf_printf(
        out, "<text text-anchor=\"%s\" transform=\"translate(%.1f %.1f) rotate(%.1f) translate(%.0f 0)\" dy=\".35em\">",
        left ? "end" : "start", s->x, s->y, left ? degrees - 180 : degrees, (double)(left ? -LABEL_GAP : LABEL_GAP));
    if (left) {
        buf_printf(out, "<tspan class=\"note %s\">", page_health_class(s->health));
        note(s, out);
        buf_text(out, "</tspan> ");
    }
    html_cut(out, name_of(s), 13);
    if (!left) {
        buf_printf(out, " <tspan class=\"note %s\">", page_health_class(s->health));
        note(s, out);
        buf_text(out, "</tspan>");
    }
    buf_text(out, "</text>");
}

static void draw_node(const struct map *m, const struct spot *s, struct buf *out)
{
    buf_text(out, "<g><title>");
    html_text(out, name_of(s));
    buf_text(out, ", ");
    html_text(out, site_of(s));
    buf_text(out, ": ");
    html_text(out, control_get_text(s->node, "state"));
    buf_text(out, ", ");
    html_text(out, control_get_text(s->node, "link"));
    buf_text(out, "</title>");
    mark(m, s, out);
    if (m->few)
        label_beside(m, s, out);
    else
        label_along(s, out);
    buf_text(out, "</g>");
}

/* ---- sites ---- */

/* The part of the ring on which a site's nodes are, and its name inside, where it has several: of one node alone the
 * name would only say the same again. */
static void draw_site(const struct map *m, const struct spot *first, const struct spot *last, struct buf *out)
{
    double cx = m->width / 2;
    double cy = m->height / 2;
    double inside = m->few ? 24 : 20;
    if (first == last || m->sites == 1) return;
    buf_printf(out, "<path class=\"site\" d=\"M%.1f %.1fA%.1f %.1f 0 %d 1 %.1f %.1f\"/>", first->x, first->y, m->across,
               m->down, last->angle - first->angle > PI, last->x, last->y);
    double middle = (first->angle + last->angle) / 2;
    buf_printf(out, "<text class=\"sitename\" text-anchor=\"%s\" x=\"%.1f\" y=\"%.1f\" dy=\".35em\">",
               cos(middle) > 0.3    ? "end"
               : cos(middle) < -0.3 ? "start"
                                    : "middle",
               cx + (m->across - inside) * cos(middle), cy + (m->down - inside) * sin(middle));
    html_cut(out, site_of(first), 13);
    buf_text(out, "</text>");
}

static void draw_sites(const struct map *m, struct buf *out)
{
    size_t first = 0;
    for (size_t i = 1; i <= m->count; i++) {
        if (i < m->count && !begins_site(m, i)) continue;
        draw_site(m, &m->spots[first], &m->spots[i - 1], out);
        first = i;
    }
}

void page_map(const struct page_view *v, struct buf *out)
{
    struct map m;
    map_make(&m, v);
    if (m.count < 2) return; /* a node on its own is no picture */
    buf_printf(out,
               "<div class=\"scroll\"><svg class=\"map %s\" viewBox=\"0 0 %.0f %.0f\" role=\"img\" "
               "aria-label=\"The nodes of the cluster on a ring, and the links of this node\">"
               "<ellipse class=\"ring\" cx=\"%.1f\" cy=\"%.1f\" rx=\"%.1f\" ry=\"%.1f\"/>",
               m.few ? "few" : "many", m.width, m.height, m.width / 2, m.height / 2, m.across, m.down);
    for (size_t i = 1; i < m.count; i++)
        link_line(&m, &m.spots[0], &m.spots[i], out);
    draw_sites(&m, out);
    for (size_t i = 0; i < m.count; i++)
        draw_node(&m, &m.spots[i], out);
    buf_text(out, "</svg></div>");
}
