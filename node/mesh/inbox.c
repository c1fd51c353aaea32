/* See inbox.h. */
#include "node/mesh/inbox.h"

enum err inbox_open(struct inbox *i, uv_loop_t *loop, uv_async_cb wake, void *data)
{
    if (uv_mutex_init(&i->mutex) != 0) return ERR_IO;
    list_init(&i->items);
    if (uv_async_init(loop, &i->async, wake) != 0) {
        uv_mutex_destroy(&i->mutex);
        return ERR_IO;
    }
    i->async.data = data;
    return ERR_OK;
}

void inbox_fini(struct inbox *i)
{
    uv_mutex_destroy(&i->mutex);
}

void inbox_push(struct inbox *i, struct inbox_item *item)
{
    uv_mutex_lock(&i->mutex);
    if (!list_linked(&item->node)) list_append(&i->items, &item->node);
    if (!i->dead) (void)uv_async_send(&i->async);
    uv_mutex_unlock(&i->mutex);
}

struct inbox_item *inbox_pop(struct inbox *i)
{
    uv_mutex_lock(&i->mutex);
    struct list_node *n = list_pop(&i->items);
    uv_mutex_unlock(&i->mutex);
    return n != NULL ? CONTAINER_OF(n, struct inbox_item, node) : NULL;
}
