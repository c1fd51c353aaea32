/* pool: blocks of one size, kept for reuse. Under the address sanitizer every block comes from the heap and returns to
 * it, so that a use after release is seen. */
#ifndef TANDEM_EDGE_POOL_H
#define TANDEM_EDGE_POOL_H

#include <stddef.h>
#include <stdlib.h>

struct pool {
    void *free; /* each free block begins with the next one's address */
    size_t kept;
    size_t kept_max;
};

#if defined(__SANITIZE_ADDRESS__)
#define POOL_KEEPS 0
#else
#define POOL_KEEPS 1
#endif

/* Not zeroed; NULL when memory is out. size is the same at every call for one pool, and at least a pointer's. */
static inline void *pool_get(struct pool *p, size_t size)
{
    void *block = p->free;
    if (block == NULL) return malloc(size);
    p->free = *(void **)block;
    p->kept--;
    return block;
}

static inline void pool_put(struct pool *p, void *block)
{
    if (!POOL_KEEPS || p->kept >= p->kept_max) {
        free(block);
        return;
    }
    *(void **)block = p->free;
    p->free = block;
    p->kept++;
}

static inline void pool_fini(struct pool *p)
{
    while (p->free != NULL) {
        void *next = *(void **)p->free;
        free(p->free);
        p->free = next;
    }
    p->kept = 0;
}

#endif
