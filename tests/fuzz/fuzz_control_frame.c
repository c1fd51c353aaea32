/* fuzz_control_frame: whatever comes in on the control socket. What unpacks must pack again, and unpack to the same
 * bytes. */
#include <stdlib.h>

#include "proto/control_codec.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_again(struct arena *arena, const struct control_frame *f)
{
    struct buf once = {0};
    struct buf twice = {0};
    struct control_frame back;
    size_t used = 0;
    if (control_frame_pack(f, &once) != ERR_OK) abort();
    if (control_frame_unpack(arena, buf_view(&once), &back, &used) != ERR_OK || used != once.n) abort();
    if (control_frame_pack(&back, &twice) != ERR_OK || !slice_eq(buf_view(&once), buf_view(&twice))) abort();
    buf_fini(&once);
    buf_fini(&twice);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice stream = {(const char *)data, size};
    for (;;) {
        struct arena arena = {0};
        struct control_frame f;
        size_t used = 0;
        enum err e = control_frame_unpack(&arena, stream, &f, &used);
        if (e == ERR_OK && used > 0) check_again(&arena, &f);
        arena_fini(&arena);
        if (e != ERR_OK || used == 0) return 0;
        stream = (struct slice){stream.p + used, stream.n - used};
    }
}
