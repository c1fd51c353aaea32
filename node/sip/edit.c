/* Noting edits and applying them in one copy. Contract: edit.h. */
#include "node/sip/edit.h"

#include "node/sip/value.h"

void sip_edits_init(struct sip_edits *e, const struct sip_view *v)
{
    e->view = v;
    e->count = 0;
    e->failed = false;
}

static void add(struct sip_edits *e, size_t at, size_t remove, struct slice insert)
{
    if (e->count == SIP_EDITS_MAX || at > e->view->len || remove > e->view->len - at) {
        e->failed = true;
        return;
    }
    e->items[e->count++] = (struct sip_edit){(uint32_t)at, (uint32_t)remove, insert};
}

void sip_edit_replace(struct sip_edits *e, struct slice part, struct slice with)
{
    const char *data = e->view->data;
    if (part.p < data || part.p > data + e->view->len) {
        e->failed = true;
        return;
    }
    add(e, (size_t)(part.p - data), part.n, with);
}

void sip_edit_insert(struct sip_edits *e, size_t at, struct slice text)
{
    add(e, at, 0, text);
}

void sip_edit_remove_line(struct sip_edits *e, unsigned line)
{
    if (line >= e->view->line_count) {
        e->failed = true;
        return;
    }
    const struct sip_line *l = &e->view->lines[line];
    add(e, l->start, (size_t)(l->end - l->start), SLICE_NONE);
}

void sip_edit_insert_before(struct sip_edits *e, enum sip_header id, struct slice lines)
{
    const struct sip_view *v = e->view;
    add(e, v->first[id] != SIP_NO_LINE ? v->lines[v->first[id]].start : v->first_line_end, 0, lines);
}

void sip_edit_append(struct sip_edits *e, struct slice lines)
{
    const struct sip_view *v = e->view;
    if (lines.n == 0) return;
    add(e, v->line_count > 0 ? v->lines[v->line_count - 1].end : v->first_line_end, 0, lines);
}

/* The edit that earlier pops left in this line, NULL when there is none. */
static struct sip_edit *popped_in(struct sip_edits *e, const struct sip_line *l)
{
    for (size_t i = 0; i < e->count; i++) {
        struct sip_edit *item = &e->items[i];
        if (item->remove > 0 && item->insert.n == 0 && (item->at == l->value || item->at == l->start)) return item;
    }
    return NULL;
}

/* Where the second of the values in rest begins, end when there is only one. */
static size_t second_value(const struct sip_view *v, struct slice rest, size_t end)
{
    struct slice first;
    struct slice second;
    if (!sip_value_next(&rest, &first) || !sip_value_next(&rest, &second)) return end;
    return (size_t)(second.p - v->data);
}

void sip_edit_pop_value(struct sip_edits *e, enum sip_header id)
{
    const struct sip_view *v = e->view;
    for (unsigned i = v->first[id]; i != SIP_NO_LINE; i = v->lines[i].next) {
        const struct sip_line *l = &v->lines[i];
        struct sip_edit *before = popped_in(e, l);
        if (before != NULL && before->at == l->start) continue; /* the whole line is gone */
        size_t from = before != NULL ? before->at + before->remove : l->value;
        size_t value_end = (size_t)l->value + l->value_len;
        size_t next = second_value(v, (struct slice){v->data + from, value_end - from}, value_end);
        if (next == value_end) {
            if (before == NULL) {
                sip_edit_remove_line(e, i);
            } else {
                *before = (struct sip_edit){l->start, (uint32_t)(l->end - l->start), SLICE_NONE};
            }
        } else if (before == NULL) {
            add(e, l->value, next - l->value, SLICE_NONE);
        } else {
            before->remove = (uint32_t)(next - l->value);
        }
        return;
    }
}

/* Stable: inserts at one place keep their order. Insertion sort, since edits mostly come in order. */
static void sort_edits(const struct sip_edits *e, const struct sip_edit *order[SIP_EDITS_MAX])
{
    for (size_t i = 0; i < e->count; i++) {
        size_t k = i;
        while (k > 0 && order[k - 1]->at > e->items[i].at) {
            order[k] = order[k - 1];
            k--;
        }
        order[k] = &e->items[i];
    }
}

enum err sip_edit_apply(const struct sip_edits *e, struct buf *out)
{
    const struct sip_edit *order[SIP_EDITS_MAX];
    const struct sip_view *v = e->view;
    size_t added = 0;
    size_t pos = 0;          /* the original is copied or left out up to here */
    size_t removed_from = 0; /* where the latest removal began: text may still be inserted in its place */
    if (e->failed) return ERR_LIMIT;
    sort_edits(e, order);
    for (size_t i = 0; i < e->count; i++)
        added += e->items[i].insert.n;
    if (buf_room(out, v->len + added) == NULL) return ERR_NOMEM;
    size_t start = out->n;
    for (size_t i = 0; i < e->count; i++) {
        const struct sip_edit *item = order[i];
        if (item->at < pos && (item->remove > 0 || item->at != removed_from)) {
            out->n = start;
            return ERR_LIMIT;
        }
        if (item->at > pos) {
            buf_add(out, v->data + pos, item->at - pos);
            pos = item->at;
        }
        buf_slice(out, item->insert);
        if (item->remove > 0) {
            removed_from = item->at;
            pos = item->at + item->remove;
        }
    }
    buf_add(out, v->data + pos, v->len - pos);
    return out->failed ? ERR_NOMEM : ERR_OK;
}
