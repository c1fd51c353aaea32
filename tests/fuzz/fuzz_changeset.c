/* fuzz_changeset: any bytes as a change-set, and what is in it as plan objects. */
#include <stdint.h>

#include "proto/plan_codec.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_op(struct arena *arena, const struct change_op *op)
{
    struct plan_object o;
    ASSERT(op->key.n > 0 && op->key.n <= PLAN_KEY_MAX);
    ASSERT((op->kind == CHANGE_PUT) == (op->value.n > 0));
    if (op->kind == CHANGE_PUT) (void)!plan_object_unpack(arena, op->value, &o, NULL);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena arena = {0};
    struct buf packed = {0};
    struct changeset c;
    if (changeset_unpack(&arena, (struct slice){(const char *)data, size}, &c, NULL) == ERR_OK) {
        struct changeset again;
        for (size_t i = 0; i < c.op_count; i++)
            check_op(&arena, &c.ops[i]);
        ASSERT(changeset_pack(&c, &packed) == ERR_OK);
        ASSERT(changeset_unpack(&arena, buf_view(&packed), &again, NULL) == ERR_OK);
        ASSERT(again.op_count == c.op_count && again.id.seq == c.id.seq &&
               node_name_eq(&again.id.origin, &c.id.origin));
    }
    buf_fini(&packed);
    arena_fini(&arena);
    return 0;
}
