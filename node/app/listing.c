#include "node/app/listing.h"

#include <stdlib.h>

static void listing_end(struct listing *l, int status, const char *text)
{
    control_reply_end(l->reply, status, slice_of(text));
    if (l->read != NULL) store_read_free(l->read);
    arena_fini(&l->arena);
    if (l->end != NULL) l->end(l);
    free(l);
}

static void listing_page(void *ctx, struct control_reply *reply)
{
    struct listing *l = ctx;
    if (l->n->stopping || control_reply_gone(reply)) {
        listing_end(l, 5, "the node is stopping");
        return;
    }
    for (size_t i = 0; i < LISTING_PAGE && l->sent < l->count; i++) {
        if (control_reply_pending(reply) > CONTROL_PENDING_PAUSE) break;
        l->send(l, l->sent++);
    }
    if (l->sent < l->count) {
        control_reply_on_drain(reply, listing_page, l);
    } else {
        listing_end(l, 0, "");
    }
}

static void listing_work(uv_work_t *work)
{
    struct listing *l = CONTAINER_OF(work, struct listing, work);
    l->err = store_read_begin(l->read);
    if (l->err != ERR_OK) return;
    l->err = l->gather(l);
    store_read_end(l->read);
}

static void listing_after_work(uv_work_t *work, int status)
{
    struct listing *l = CONTAINER_OF(work, struct listing, work);
    node_work_done(l->n);
    if (status != 0) {
        listing_end(l, 5, "the node is stopping");
    } else if (l->err == ERR_NOTFOUND && l->none != NULL) {
        listing_end(l, 1, l->none);
    } else if (l->err != ERR_OK) {
        listing_end(l, 1, l->info.text[0] != '\0' ? l->info.text : err_name(l->err));
    } else {
        listing_page(l, l->reply);
    }
}

void listing_start_take(struct listing *l)
{
    enum err e = store_read_new(l->n->store, &l->read);
    if (e == ERR_OK) e = node_work(l->n, &l->work, listing_work, listing_after_work);
    if (e != ERR_OK) listing_end(l, 1, err_name(e));
}
