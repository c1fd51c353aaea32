#include "cli/output_layout.h"

#include <stdlib.h>
#include <wchar.h>

#define SEPARATOR 2   /* blanks between columns */
#define CUT_LEAST 16  /* so much of a text that may be cut is worth a column that is only good to have */
#define WRAP_LEAST 16 /* a text that is broken into narrower lines is not read */

/* The first character of s: its bytes, and its columns on a terminal. */
static size_t character(struct slice s, size_t *columns)
{
    mbstate_t state = {0};
    wchar_t wide = 0;
    size_t n = mbrtowc(&wide, s.p, s.n, &state);
    if (n == 0 || n > s.n) { /* no character of this locale */
        *columns = 1;
        return 1;
    }
    int w = wcwidth(wide);
    *columns = w > 0 ? (size_t)w : 0;
    return n;
}

static size_t width_of(struct slice s)
{
    size_t total = 0;
    while (s.n > 0) {
        size_t columns = 0;
        size_t n = character(s, &columns);
        total += columns;
        s = (struct slice){s.p + n, s.n - n};
    }
    return total;
}

bool layout_has(const struct control_field *f)
{
    return f != NULL && f->type != CONTROL_NULL && (f->type != CONTROL_TEXT || f->text.n > 0);
}

static bool is_wanted(const struct output *o, const struct output_column *c, struct slice kind)
{
    if ((c->flags & COLUMN_RARE) == 0) return true;
    for (size_t i = 0; i < o->kept_count; i++) {
        if (slice_eq(o->kept[i].kind, kind) && layout_has(control_find(&o->kept[i], c->field))) return true;
    }
    return false;
}

/* Of the widest cell. */
static size_t natural_width(const struct output *o, const struct output_column *c, struct slice kind)
{
    size_t most = width_of(slice_of(c->heading));
    struct buf text = {0};
    for (size_t i = 0; i < o->kept_count; i++) {
        if (!slice_eq(o->kept[i].kind, kind)) continue;
        buf_reset(&text);
        output_cell(control_find(&o->kept[i], c->field), c->form, &text);
        size_t w = width_of(buf_view(&text));
        if (w > most) most = w;
    }
    buf_fini(&text);
    return (c->flags & COLUMN_CUT) != 0 && most > CUT_LEAST ? CUT_LEAST : most;
}

static size_t total(const struct layout *l, const size_t *natural)
{
    size_t sum = 0;
    for (size_t i = 0; i < l->count; i++)
        sum += natural[i] + (i > 0 ? SEPARATOR : 0);
    return sum;
}

/* The last column that is only good to have goes. False: there is none. */
static bool drop_one(struct layout *l, size_t *natural)
{
    for (size_t i = l->count; i-- > 0;) {
        if ((l->shown[i].column->flags & COLUMN_WIDE) == 0) continue;
        memmove(&l->shown[i], &l->shown[i + 1], (l->count - i - 1) * sizeof l->shown[0]);
        memmove(&natural[i], &natural[i + 1], (l->count - i - 1) * sizeof *natural);
        l->count--;
        return true;
    }
    return false;
}

/* What is too much is taken from the widest of the texts that may be broken, one column at a time. */
static void narrow(struct layout *l, size_t *natural, size_t width)
{
    for (size_t sum = total(l, natural); sum > width; sum--) {
        size_t widest = l->count;
        for (size_t i = 0; i < l->count; i++) {
            if ((l->shown[i].column->flags & COLUMN_WRAP) == 0 || natural[i] <= WRAP_LEAST) continue;
            if (widest == l->count || natural[i] >= natural[widest]) widest = i;
        }
        if (widest == l->count) return;
        l->shown[widest].width = --natural[widest];
    }
}

void layout_make(struct layout *l, const struct output *o, const struct output_column *columns, struct slice kind)
{
    size_t natural[LAYOUT_COLUMNS_MAX];
    l->count = 0;
    for (const struct output_column *c = columns; c->field != NULL && l->count < LAYOUT_COLUMNS_MAX; c++) {
        if (!is_wanted(o, c, kind)) continue;
        l->shown[l->count].column = c;
        l->shown[l->count++].width = 0;
    }
    if (o->options.width == 0) return;
    for (size_t i = 0; i < l->count; i++)
        natural[i] = natural_width(o, l->shown[i].column, kind);
    while (total(l, natural) > o->options.width && drop_one(l, natural))
        continue;
    narrow(l, natural, o->options.width);
}

void layout_break(struct slice text, size_t width, struct buf *out)
{
    size_t at = 0; /* columns of the present line */
    while (text.n > 0) {
        struct slice word;
        size_t skip = 0;
        const char *blank = memchr(text.p, ' ', text.n);
        word = (struct slice){text.p, blank != NULL ? (size_t)(blank - text.p) : text.n};
        skip = word.n + (blank != NULL ? 1 : 0);
        size_t w = width_of(word);
        if (at > 0 && at + 1 + w > width) {
            buf_add(out, "\n", 1);
            at = 0;
        } else if (at > 0) {
            buf_add(out, " ", 1);
            at++;
        }
        while (word.n > 0) {
            size_t columns = 0;
            size_t n = character(word, &columns);
            if (at > 0 && at + columns > width) {
                buf_add(out, "\n", 1);
                at = 0;
            }
            buf_add(out, word.p, n);
            at += columns;
            word = (struct slice){word.p + n, word.n - n};
        }
        text = (struct slice){text.p + skip, text.n - skip};
    }
}
