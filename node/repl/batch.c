/* batch: see batch.h. */
#include "node/repl/batch.h"

#include <stdlib.h>

#define CHANGE_OVERHEAD 160 /* id, time and framing of one change-set */
#define RECORD_OVERHEAD 96

struct repl_batch *repl_batch_new(uint64_t id)
{
    struct repl_batch *b = calloc(1, sizeof *b);
    if (b == NULL) return NULL;
    b->refs = 1;
    b->id = id;
    return b;
}

void repl_batch_hold(struct repl_batch *b)
{
    b->refs++;
}

void repl_batch_drop(struct repl_batch *b)
{
    if (b == NULL) return;
    ASSERT(b->refs > 0);
    if (--b->refs > 0) return;
    arena_fini(&b->arena);
    free(b->changes);
    free(b->marks);
    free(b->records);
    free(b->upto);
    free(b);
}

/* items with room for one more than count; NULL when memory is out, and items is then still valid. */
static void *grow(void *items, size_t *cap, size_t count, size_t size)
{
    if (count < *cap) return items;
    size_t want = *cap == 0 ? 4 : *cap * 2;
    void *grown = realloc(items, want * size);
    if (grown != NULL) *cap = want;
    return grown;
}

static enum err copy_text(struct arena *a, struct slice *s)
{
    struct slice copy = arena_copy(a, *s);
    if (copy.p == NULL) return ERR_NOMEM;
    *s = copy;
    return ERR_OK;
}

static enum err copy_seen(struct arena *a, struct change_op *op)
{
    if (op->seen_count == 0) return ERR_OK;
    struct stamp *seen = arena_alloc(a, op->seen_count * sizeof *seen);
    if (seen == NULL) return ERR_NOMEM;
    memcpy(seen, op->seen, op->seen_count * sizeof *seen);
    op->seen = seen;
    return ERR_OK;
}

static enum err copy_ops(struct arena *a, struct changeset *c)
{
    struct change_op *ops = arena_alloc(a, c->op_count * sizeof *ops);
    if (ops == NULL) return ERR_NOMEM;
    for (size_t i = 0; i < c->op_count; i++) {
        ops[i] = c->ops[i];
        if (copy_text(a, &ops[i].key) != ERR_OK || copy_text(a, &ops[i].value) != ERR_OK) return ERR_NOMEM;
        if (ops[i].before.n > 0 && copy_text(a, &ops[i].before) != ERR_OK) return ERR_NOMEM;
        if (copy_seen(a, &ops[i]) != ERR_OK) return ERR_NOMEM;
    }
    c->ops = ops;
    return ERR_OK;
}

size_t repl_changeset_bytes(const struct changeset *c)
{
    if (c->packed.n > 0) return c->packed.n + CHANGE_OVERHEAD;
    size_t bytes = CHANGE_OVERHEAD + c->author.n + c->message.n;
    for (size_t i = 0; i < c->op_count; i++)
        bytes +=
            c->ops[i].key.n + c->ops[i].value.n + c->ops[i].before.n + 8 + c->ops[i].seen_count * sizeof(struct stamp);
    return bytes;
}

enum err repl_batch_add_change(struct repl_batch *b, const struct changeset *c, const struct node_name *from,
                               bool flood)
{
    size_t mark_cap = b->change_cap;
    struct batch_mark *marks = grow(b->marks, &mark_cap, b->change_count, sizeof *marks);
    if (marks == NULL) return ERR_NOMEM;
    b->marks = marks;
    struct changeset *changes = grow(b->changes, &b->change_cap, b->change_count, sizeof *changes);
    if (changes == NULL) return ERR_NOMEM;
    b->changes = changes;

    struct changeset copy = *c;
    if (copy_text(&b->arena, &copy.author) != ERR_OK || copy_text(&b->arena, &copy.message) != ERR_OK ||
        copy_text(&b->arena, &copy.packed) != ERR_OK || copy_ops(&b->arena, &copy) != ERR_OK) {
        return ERR_NOMEM;
    }
    size_t bytes = repl_changeset_bytes(&copy);
    b->changes[b->change_count] = copy;
    b->marks[b->change_count] = (struct batch_mark){.from = *from, .flood = flood, .bytes = bytes};
    b->change_count++;
    b->bytes += bytes;
    return ERR_OK;
}

enum err repl_batch_add_record(struct repl_batch *b, const struct state_record *r)
{
    struct state_record *records = grow(b->records, &b->record_cap, b->record_count, sizeof *records);
    if (records == NULL) return ERR_NOMEM;
    b->records = records;
    struct state_record copy = *r;
    if (copy_text(&b->arena, &copy.key) != ERR_OK || copy_text(&b->arena, &copy.value) != ERR_OK) return ERR_NOMEM;
    b->records[b->record_count++] = copy;
    b->bytes += copy.key.n + copy.value.n + RECORD_OVERHEAD;
    return ERR_OK;
}

enum err repl_batch_add_upto(struct repl_batch *b, const struct vector_entry *e)
{
    struct vector_entry *upto = grow(b->upto, &b->upto_cap, b->upto_count, sizeof *upto);
    if (upto == NULL) return ERR_NOMEM;
    b->upto = upto;
    b->upto[b->upto_count++] = *e;
    return ERR_OK;
}
