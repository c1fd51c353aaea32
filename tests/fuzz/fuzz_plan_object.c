/* fuzz_plan_object: any bytes as a plan object. What is accepted must be valid, and pack to bytes that say the same. */
#include <stdint.h>

#include "proto/plan_codec.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena arena = {0};
    struct buf first = {0};
    struct buf second = {0};
    struct plan_object o;
    struct err_info info = {{0}, 0, 0};
    enum err e = plan_object_unpack(&arena, (struct slice){(const char *)data, size}, &o, &info);
    if (e == ERR_OK) {
        struct plan_object again;
        char key[PLAN_KEY_MAX];
        ASSERT(plan_object_key_text(&o, key) > 0);
        ASSERT(plan_object_pack(&o, &first) == ERR_OK);
        ASSERT(plan_object_unpack(&arena, buf_view(&first), &again, NULL) == ERR_OK);
        ASSERT(plan_object_same(&o, &again));
        ASSERT(plan_object_pack(&again, &second) == ERR_OK);
        ASSERT(slice_eq(buf_view(&first), buf_view(&second)));
    } else {
        ASSERT(e == ERR_NOMEM || info.text[0] != '\0');
    }
    buf_fini(&first);
    buf_fini(&second);
    arena_fini(&arena);
    return 0;
}
