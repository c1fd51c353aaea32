/* plan_kept: the operations of a dry run, so that every node can be asked what they would have done to its calls. Only
 * the node at the socket need know the change that they come from. */
#include <stdlib.h>

#include "cli/plan_run.h"
#include "proto/plan_codec.h"

struct plan_kept {
    struct arena arena;
    struct buf puts;    /* of struct plan_object */
    struct buf removes; /* of struct slice */
    enum err err;
};

struct plan_kept *plan_kept_new(void)
{
    return calloc(1, sizeof(struct plan_kept));
}

void plan_kept_free(struct plan_kept *k)
{
    if (k == NULL) return;
    buf_fini(&k->puts);
    buf_fini(&k->removes);
    arena_fini(&k->arena);
    free(k);
}

void plan_kept_op(struct plan_kept *k, const struct control_record *r)
{
    struct plan_object o;
    if (k->err != ERR_OK) return;
    if (slice_is(control_get_text(r, "action"), "remove")) {
        struct slice key = arena_copy(&k->arena, control_get_text(r, "object"));
        buf_add(&k->removes, (const char *)&key, sizeof key);
        if (key.p == NULL) k->err = ERR_NOMEM;
    } else {
        k->err = plan_object_unpack(&k->arena, control_get_text(r, "packed"), &o, NULL);
        if (k->err == ERR_OK) buf_add(&k->puts, (const char *)&o, sizeof o);
    }
    if (k->puts.failed || k->removes.failed) k->err = ERR_NOMEM;
}

enum err plan_kept_take(struct plan_run *p)
{
    struct plan_kept *k = p->kept;
    const size_t put_count = k->puts.n / sizeof(struct plan_object);
    const size_t remove_count = k->removes.n / sizeof(struct slice);
    struct plan_place *places = arena_alloc(&k->arena, (remove_count + 1) * sizeof *places);
    if (k->err != ERR_OK) return k->err;
    if (places == NULL) return ERR_NOMEM;
    plan_file_fini(&p->file);
    return plan_file_take(&p->file, (struct plan_object *)(void *)k->puts.p, put_count,
                          (struct slice *)(void *)k->removes.p, places, remove_count, SLICE_NONE);
}
