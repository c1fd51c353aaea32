/* index_block: reading blocks. Writing: index_block_write.c. */
#include "store/index_block.h"

#include "store/index_wire.h"

/* ---- entries ---- */

static bool is_exact(const struct index_entry *e)
{
    return e->key.n > 0 && e->key.p[e->key.n - 1] == '=';
}

unsigned index_entry_specificity(const struct index_entry *e)
{
    if (e->range.n > 0) return (unsigned)(e->range.n - 1) / 2;
    return is_exact(e) ? LIMIT_NUMBER + 1 : (unsigned)e->key.n;
}

struct slice index_entry_match(const struct index_entry *e, char out[INDEX_MATCH_MAX])
{
    if (e->range.n > 0) return e->range;
    if (!is_exact(e)) return e->key;
    out[0] = '=';
    memcpy(out + 1, e->key.p, e->key.n - 1);
    return (struct slice){out, e->key.n};
}

static char *put(char *at, struct slice s)
{
    if (s.n > 0) memcpy(at, s.p, s.n);
    return at + s.n;
}

struct slice index_entry_object(const struct index_entry *e, char out[PLAN_KEY_MAX])
{
    char text[INDEX_MATCH_MAX];
    struct slice match = e->from_account ? SLICE("") : index_entry_match(e, text);
    size_t n = e->head.n + match.n + e->tail.n;
    if (n > PLAN_KEY_MAX) return SLICE_NONE;
    (void)put(put(put(out, e->head), match), e->tail);
    return (struct slice){out, n};
}

/* ---- blocks ---- */

enum err index_block_open(struct slice bytes, struct index_block *b)
{
    if (bytes.n < INDEX_HEAD) return ERR_CORRUPT;
    unsigned width = (unsigned char)bytes.p[0];
    size_t stem = (unsigned char)bytes.p[1];
    if ((width != 2 && width != 4) || stem > PATTERN_KEY_MAX || bytes.n < INDEX_HEAD + stem + width) return ERR_CORRUPT;
    size_t table = INDEX_HEAD + stem + width;
    size_t count = wire_offset(bytes.p + INDEX_HEAD + stem, width);
    if (count == 0 || (bytes.n - table) / width <= count) return ERR_CORRUPT;
    *b = (struct index_block){
        .bytes = bytes, .stem = {bytes.p + INDEX_HEAD, stem}, .table = table, .count = count, .width = width};
    return ERR_OK;
}

/* The rest of a key, and the entries behind it. False: the bytes are no block. */
static inline bool key_at(const struct index_block *b, size_t at, struct slice *rest, struct slice *entries)
{
    const char *p = b->bytes.p + b->table + at * b->width;
    size_t from = wire_offset(p, b->width);
    size_t to = wire_offset(p + b->width, b->width);
    if (to > b->bytes.n || from >= to) return false;
    size_t n = (unsigned char)b->bytes.p[from];
    if (n > to - from - 1 || b->stem.n + n > PATTERN_KEY_MAX) return false;
    *rest = (struct slice){b->bytes.p + from + 1, n};
    *entries = (struct slice){b->bytes.p + from + 1 + n, to - from - 1 - n};
    return true;
}

/* As slice_cmp; what is compared has a few bytes, for which a call takes longer than a loop. */
static inline int compare_rests(struct slice a, struct slice b)
{
    size_t n = a.n < b.n ? a.n : b.n;
    for (size_t i = 0; i < n; i++) {
        if (a.p[i] != b.p[i]) return (unsigned char)a.p[i] < (unsigned char)b.p[i] ? -1 : 1;
    }
    return (a.n > b.n) - (a.n < b.n);
}

enum err index_block_seek(const struct index_block *b, struct slice key, size_t *at)
{
    size_t n = key.n < b->stem.n ? key.n : b->stem.n;
    int d = n > 0 ? memcmp(key.p, b->stem.p, n) : 0;
    if (d < 0 || (d == 0 && key.n < b->stem.n)) return ERR_NOTFOUND;
    size_t from = 0; /* keys below it are <= key */
    size_t to = b->count;
    struct slice rest = {key.p + n, key.n - n};
    while (d == 0 && from < to) {
        size_t middle = from + (to - from) / 2;
        struct slice r;
        struct slice entries;
        if (!key_at(b, middle, &r, &entries)) return ERR_CORRUPT;
        if (compare_rests(r, rest) <= 0) {
            from = middle + 1;
        } else {
            to = middle;
        }
    }
    if (d > 0) from = b->count;
    if (from == 0) return ERR_NOTFOUND;
    *at = from - 1;
    return ERR_OK;
}

enum err index_block_key(const struct index_block *b, size_t at, char out[PATTERN_KEY_MAX], struct slice *key)
{
    struct slice rest;
    struct slice entries;
    if (!key_at(b, at, &rest, &entries)) return ERR_CORRUPT;
    (void)put(put(out, b->stem), rest);
    *key = (struct slice){out, b->stem.n + rest.n};
    return ERR_OK;
}

enum err index_block_list(const struct index_block *b, size_t at, struct index_list *list)
{
    struct slice rest;
    *list = (struct index_list){.block = b->bytes, .width = b->width};
    return key_at(b, at, &rest, &list->entries) ? ERR_OK : ERR_CORRUPT;
}

static bool form_at(struct slice block, size_t at, struct index_entry *entry)
{
    if (at > block.n || block.n - at < INDEX_FORM_HEAD) return false;
    const char *p = block.p + at;
    size_t head = get_be(p, 2);
    size_t tail = get_be(p + 2, 2);
    size_t packed = get_be(p + 4, 4);
    size_t left = block.n - at - INDEX_FORM_HEAD;
    if (packed > left || head + tail > left - packed) return false;
    p += INDEX_FORM_HEAD;
    entry->head = (struct slice){p, head};
    entry->tail = (struct slice){p + head, tail};
    entry->packed = (struct slice){p + head + tail, packed};
    return true;
}

enum err index_list_take(struct index_list *list, struct slice key, struct index_entry *entry)
{
    struct slice l = list->entries;
    if (l.n == 0) return ERR_NOTFOUND;
    if (l.n < 1 + list->width) return ERR_CORRUPT;
    unsigned flags = (unsigned char)l.p[0];
    *entry = (struct index_entry){.key = key, .range = SLICE(""), .from_account = (flags & INDEX_FROM_ACCOUNT) != 0};
    if (!form_at(list->block, wire_offset(l.p + 1, list->width), entry)) return ERR_CORRUPT;
    size_t used = 1 + list->width;
    if ((flags & INDEX_IS_RANGE) != 0) {
        size_t n = l.n > used ? (unsigned char)l.p[used] : 0;
        if (n == 0 || n > INDEX_MATCH_MAX || n > l.n - used - 1) return ERR_CORRUPT;
        entry->range = (struct slice){l.p + used + 1, n};
        used += 1 + n;
    }
    list->entries = (struct slice){l.p + used, l.n - used};
    return ERR_OK;
}
