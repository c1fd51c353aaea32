/* control_head: the beginning of a request whose last argument is too large to be held: everything up to the bytes of
 * that argument, which the sender then writes itself.
 *
 * The request without it is packed as any other. In protobuf, what is added to its last part (the arguments are the
 * last field of a request, and the request the only one of a frame) changes nothing before it but the lengths. */
#include "proto/control_codec.h"
#include "proto/wire.h"

#define FRAME_HEAD 4
#define TAG_LEN(number) (char)((number) << 3 | WIRE_BYTES) /* a field of bytes or of a message */
#define FRAME_REQUEST 1                                    /* numbers of fields, as in control.proto */
#define REQUEST_ARGS 4
#define RECORD_FIELDS 2
#define FIELD_NAME 1
#define FIELD_DATA 5

static size_t varint_size(uint64_t v)
{
    size_t n = 1;
    while (v >= 128) {
        v >>= 7;
        n++;
    }
    return n;
}

static void put_head(struct buf *out, char tag, uint64_t len)
{
    buf_add(out, &tag, 1);
    wire_add_varint(out, len);
}

/* Splits a packed frame into what stands in the request before its arguments, and these. */
static void split(struct slice frame, struct slice *before, struct slice *args)
{
    struct slice at = {frame.p + FRAME_HEAD + 1, frame.n - FRAME_HEAD - 1};
    uint64_t v = 0;
    (void)!wire_take_varint(&at, WIRE_VARINT_MAX, &v); /* the length of the request, which is all that follows */
    *before = (struct slice){at.p, 0};
    *args = SLICE("");
    while (at.n > 0) {
        const char tag = at.p[0];
        const char *begin = at.p;
        at = (struct slice){at.p + 1, at.n - 1};
        (void)!wire_take_varint(&at, WIRE_VARINT_MAX, &v); /* we packed it */
        if (tag == TAG_LEN(REQUEST_ARGS)) {
            *args = (struct slice){at.p, (size_t)v};
            *before = (struct slice){before->p, (size_t)(begin - before->p)};
            return;
        }
        if ((tag & 7) == WIRE_BYTES) at = (struct slice){at.p + v, at.n - (size_t)v};
        *before = (struct slice){before->p, (size_t)(at.p - before->p)};
    }
}

enum err control_request_head(const struct control_request *r, const char *name, uint64_t size, struct buf *out)
{
    const struct control_frame f = {.type = CONTROL_FRAME_REQUEST, .request = *r};
    const struct slice field_name = slice_of(name);
    struct buf small = {0};
    struct slice before;
    struct slice args;
    enum err e = control_frame_pack(&f, &small);
    if (e != ERR_OK) goto out;
    split(buf_view(&small), &before, &args);
    const uint64_t field = 1 + varint_size(field_name.n) + field_name.n + 1 + varint_size(size) + size;
    const uint64_t record = args.n + 1 + varint_size(field) + field;
    const uint64_t request = before.n + 1 + varint_size(record) + record;
    const uint64_t frame = 1 + varint_size(request) + request;
    e = frame > LIMIT_CONTROL_FRAME ? ERR_LIMIT : ERR_OK;
    if (e != ERR_OK) goto out;
    for (int i = 0; i < FRAME_HEAD; i++) {
        const char c = (char)(frame >> (8 * (FRAME_HEAD - 1 - i)) & 0xff);
        buf_add(out, &c, 1);
    }
    put_head(out, TAG_LEN(FRAME_REQUEST), request);
    buf_slice(out, before);
    put_head(out, TAG_LEN(REQUEST_ARGS), record);
    buf_slice(out, args);
    put_head(out, TAG_LEN(RECORD_FIELDS), field);
    put_head(out, TAG_LEN(FIELD_NAME), field_name.n);
    buf_slice(out, field_name);
    put_head(out, TAG_LEN(FIELD_DATA), size);
    if (out->failed) e = ERR_NOMEM;
out:
    if (small.n > 0) secret_wipe(small.p, small.n);
    buf_fini(&small);
    return e;
}
