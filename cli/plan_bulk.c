/* plan_bulk: see the header. Routes hold no secrets, so that their file needs no more care than the document has. */
#include "cli/plan_bulk.h"

#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "proto/control_codec.h"
#include "proto/plan_codec.h"

#define WRITE_AT 65536

/* Sixteen bytes each: a million of them are most of what clusterctl holds. */
struct bulk_route {
    uint32_t hash[2];
    uint32_t line;
    uint32_t column;
};

static struct bulk_route route_of(struct slice key, struct plan_place place)
{
    const uint64_t hash = XXH3_64bits(key.p, key.n);
    return (struct bulk_route){{(uint32_t)(hash >> 32), (uint32_t)hash}, place.line, place.column};
}

static int compare(const void *left, const void *right)
{
    const struct bulk_route *a = left;
    const struct bulk_route *b = right;
    if (a->hash[0] != b->hash[0]) return a->hash[0] < b->hash[0] ? -1 : 1;
    return (a->hash[1] > b->hash[1]) - (a->hash[1] < b->hash[1]);
}

/* Where nothing can be written, it is kept in memory after all. */
static FILE *in_memory(void)
{
    const int fd = memfd_create("tandem-plan", MFD_CLOEXEC);
    FILE *f = fd >= 0 ? fdopen(fd, "w+b") : NULL;
    if (f == NULL && fd >= 0) (void)close(fd);
    return f;
}

enum err plan_bulk_open(struct plan_bulk *b)
{
    *b = (struct plan_bulk){.file = tmpfile()};
    if (b->file == NULL) b->file = in_memory();
    return b->file != NULL ? ERR_OK : ERR_IO;
}

void plan_bulk_fini(struct plan_bulk *b)
{
    if (b->file != NULL) (void)fclose(b->file);
    buf_fini(&b->pending);
    free(b->routes);
    *b = (struct plan_bulk){.file = NULL};
}

static enum err flush(struct plan_bulk *b)
{
    const size_t n = b->pending.n;
    if (b->pending.failed) return ERR_NOMEM;
    if (n > 0 && fwrite(b->pending.p, 1, n, b->file) != n) return ERR_IO;
    b->size += n;
    buf_reset(&b->pending);
    return ERR_OK;
}

enum err plan_bulk_object(struct plan_bulk *b, const struct plan_object *o)
{
    struct buf packed = {0};
    enum err e = plan_object_pack(o, &packed);
    if (e == ERR_OK) control_bulk_add(&b->pending, buf_view(&packed));
    buf_fini(&packed);
    return e == ERR_OK && (b->pending.n >= WRITE_AT || b->pending.failed) ? flush(b) : e;
}

static enum err grow(struct plan_bulk *b)
{
    const size_t cap = b->cap == 0 ? 4096 : b->cap + b->cap / 2;
    struct bulk_route *grown = realloc(b->routes, cap * sizeof *grown);
    if (grown == NULL) return ERR_NOMEM;
    b->routes = grown;
    b->cap = cap;
    return ERR_OK;
}

enum err plan_bulk_route(struct plan_bulk *b, const struct plan_object *route)
{
    char text[PLAN_KEY_MAX];
    const struct slice key = {text, plan_object_key_text(route, text)};
    enum err e = b->count < LIMIT_CHANGE_OPS ? ERR_OK : ERR_LIMIT;
    if (e == ERR_OK && b->count == b->cap) e = grow(b);
    if (e != ERR_OK) return e;
    b->routes[b->count++] = route_of(key, (struct plan_place){route->line, route->column});
    return plan_bulk_object(b, route);
}

enum err plan_bulk_close(struct plan_bulk *b)
{
    enum err e = flush(b);
    if (e == ERR_OK && fflush(b->file) != 0) e = ERR_IO;
    if (e != ERR_OK || b->sorted) return e;
    if (b->count > 0) qsort(b->routes, b->count, sizeof *b->routes, compare);
    b->sorted = true;
    for (size_t i = 1; i < b->count; i++) {
        if (compare(&b->routes[i - 1], &b->routes[i]) == 0) return ERR_EXISTS;
    }
    return ERR_OK;
}

struct plan_place plan_bulk_place(const struct plan_bulk *b, struct slice key)
{
    const struct plan_place nowhere = {0, 0};
    const struct bulk_route wanted = route_of(key, nowhere);
    if (b->count == 0) return nowhere;
    const struct bulk_route *found = bsearch(&wanted, b->routes, b->count, sizeof wanted, compare);
    return found != NULL ? (struct plan_place){found->line, found->column} : nowhere;
}
