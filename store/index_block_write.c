/* index_block_write: one block from sorted entries. Equal forms are written once. */
#include <stdlib.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "store/index_block.h"
#include "store/index_wire.h"

#define NONE UINT32_MAX

struct writing {
    const struct index_entry *entries;
    size_t count;
    uint32_t *form;  /* of each entry: the first one that has the same */
    uint32_t *place; /* of each entry that is such a first one: where its form is written */
    uint32_t *slots; /* by hash */
    size_t slot_count;
    struct slice stem;
    size_t keys;
    size_t record_bytes; /* of all keys and entries, but for the offsets in them */
    size_t form_bytes;
};

static bool same_form(const struct index_entry *a, const struct index_entry *b)
{
    return slice_eq(a->packed, b->packed) && slice_eq(a->head, b->head) && slice_eq(a->tail, b->tail);
}

static uint32_t first_of_form(struct writing *w, uint32_t i)
{
    const struct index_entry *e = &w->entries[i];
    if (i > 0 && same_form(e, &w->entries[i - 1])) return w->form[i - 1];
    uint64_t hash = XXH3_64bits_withSeed(e->packed.p, e->packed.n, XXH3_64bits(e->head.p, e->head.n));
    size_t at = hash & (w->slot_count - 1);
    while (w->slots[at] != NONE && !same_form(e, &w->entries[w->slots[at]]))
        at = (at + 1) & (w->slot_count - 1);
    if (w->slots[at] == NONE) w->slots[at] = i;
    return w->slots[at];
}

/* The entries are sorted: what the first key and the last one share, all share. */
static struct slice shared(struct slice a, struct slice b)
{
    size_t n = 0;
    while (n < a.n && n < b.n && a.p[n] == b.p[n])
        n++;
    return (struct slice){a.p, n};
}

static bool key_begins(const struct writing *w, size_t i)
{
    return i == 0 || !slice_eq(w->entries[i].key, w->entries[i - 1].key);
}

static void measure(struct writing *w)
{
    w->stem = shared(w->entries[0].key, w->entries[w->count - 1].key);
    for (uint32_t i = 0; i < w->count; i++) {
        const struct index_entry *e = &w->entries[i];
        if (key_begins(w, i)) {
            w->keys++;
            w->record_bytes += 1 + e->key.n - w->stem.n;
        }
        w->record_bytes += 1 + (e->range.n > 0 ? 1 + e->range.n : 0);
        w->form[i] = first_of_form(w, i);
        if (w->form[i] == i) w->form_bytes += INDEX_FORM_HEAD + e->head.n + e->tail.n + e->packed.n;
    }
}

static size_t size_of(const struct writing *w, unsigned width)
{
    return INDEX_HEAD + w->stem.n + (w->keys + 2 + w->count) * width + w->record_bytes + w->form_bytes;
}

static char *put_slice(char *p, struct slice s)
{
    if (s.n > 0) memcpy(p, s.p, s.n);
    return p + s.n;
}

static char *put_forms(struct writing *w, const char *begin, char *p)
{
    for (uint32_t i = 0; i < w->count; i++) {
        const struct index_entry *e = &w->entries[i];
        if (w->form[i] != i) continue;
        w->place[i] = (uint32_t)(p - begin);
        put_be(p, e->head.n, 2);
        put_be(p + 2, e->tail.n, 2);
        put_be(p + 4, e->packed.n, 4);
        p = put_slice(put_slice(put_slice(p + INDEX_FORM_HEAD, e->head), e->tail), e->packed);
    }
    return p;
}

static char *put_entry(const struct writing *w, size_t i, unsigned width, char *p)
{
    const struct index_entry *e = &w->entries[i];
    *p++ = (char)((e->from_account ? INDEX_FROM_ACCOUNT : 0) | (e->range.n > 0 ? INDEX_IS_RANGE : 0));
    put_be(p, w->place[w->form[i]], width);
    p += width;
    if (e->range.n == 0) return p;
    *p++ = (char)e->range.n;
    return put_slice(p, e->range);
}

static void put_block(struct writing *w, unsigned width, size_t size, char *begin)
{
    char *p = begin;
    *p++ = (char)width;
    *p++ = (char)w->stem.n;
    p = put_slice(p, w->stem);
    put_be(p, w->keys, width);
    char *offset = p + width;
    char *records = offset + (w->keys + 1) * width;
    const char *end = put_forms(w, begin, records + w->record_bytes + w->count * width);
    ASSERT((size_t)(end - begin) == size);
    p = records;
    for (size_t i = 0; i < w->count; i++) {
        if (key_begins(w, i)) {
            struct slice key = w->entries[i].key;
            put_be(offset, (size_t)(p - begin), width);
            offset += width;
            *p++ = (char)(key.n - w->stem.n);
            p = put_slice(p, (struct slice){key.p + w->stem.n, key.n - w->stem.n});
        }
        p = put_entry(w, i, width, p);
    }
    put_be(offset, (size_t)(p - begin), width);
}

enum err index_block_write(const struct index_entry *entries, size_t count, struct buf *out)
{
    struct writing w = {.entries = entries, .count = count, .slot_count = 16};
    ASSERT(count > 0 && count < NONE / 2 && out->n == 0);
    while (w.slot_count < 2 * count)
        w.slot_count *= 2;
    uint32_t *room = malloc((2 * count + w.slot_count) * sizeof *room);
    if (room == NULL) return ERR_NOMEM;
    w.form = room;
    w.place = room + count;
    w.slots = room + 2 * count;
    memset(w.slots, 0xff, w.slot_count * sizeof *w.slots);
    measure(&w);
    unsigned width = size_of(&w, 2) <= UINT16_MAX ? 2 : 4;
    size_t size = size_of(&w, width);
    char *p = size <= UINT32_MAX ? buf_room(out, size) : NULL;
    if (p != NULL) {
        put_block(&w, width, size, p);
        out->n += size;
    }
    free(room);
    return p != NULL ? ERR_OK : ERR_NOMEM;
}
