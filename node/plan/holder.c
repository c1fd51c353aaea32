#include "node/plan/holder.h"

/* FNV-1a with a last stir: the same at every node, and nobody gains by choosing it. */
static uint64_t lot(struct slice what, struct slice name)
{
    const struct slice parts[] = {what, {"\0", 1}, name};
    uint64_t h = 14695981039346656037u;
    for (size_t i = 0; i < 3; i++) {
        for (size_t k = 0; k < parts[i].n; k++)
            h = (h ^ (unsigned char)parts[i].p[k]) * 1099511628211u;
    }
    h ^= h >> 33;
    h *= 0xff51afd7ed558ccdu;
    return h ^ h >> 33;
}

static bool claim_wins(const struct holder_node *a, const struct holder_node *b)
{
    if (a->term != b->term) return a->term > b->term;
    return slice_cmp(a->name, b->name) < 0;
}

static bool lot_wins(struct slice what, const struct holder_node *a, const struct holder_node *b)
{
    uint64_t x = lot(what, a->name);
    uint64_t y = lot(what, b->name);
    if (x != y) return x > y;
    return slice_cmp(a->name, b->name) < 0;
}

size_t holder_elect(struct slice what, const struct holder_node *nodes, size_t count)
{
    size_t claimer = count;
    size_t drawn = count;
    for (size_t i = 0; i < count; i++) {
        const struct holder_node *n = &nodes[i];
        if (!n->fit) continue;
        if (n->claims && (claimer == count || claim_wins(n, &nodes[claimer]))) claimer = i;
        if (drawn == count || lot_wins(what, n, &nodes[drawn])) drawn = i;
    }
    return claimer < count ? claimer : drawn;
}

uint64_t holder_next_term(const struct holder_node *nodes, size_t count)
{
    uint64_t highest = 0;
    for (size_t i = 0; i < count; i++) {
        if (nodes[i].term > highest) highest = nodes[i].term;
    }
    return highest + 1;
}
