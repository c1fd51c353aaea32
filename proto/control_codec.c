/* control_codec: control frames to and from protobuf. Bounds are checked in both directions, so that what one side
 * packs the other side takes. Unpacking happens in an arena of its own, and what the caller gets is copied out of it.
 */
#include "proto/control_codec.h"

#include "control.pb-c.h"
#include "proto/control_scan.h"

#define FRAME_HEAD 4
#define STATUS_MAX 255 /* an exit status */

typedef Tandem__Control__Frame pb_frame;
typedef Tandem__Control__Request pb_request;
typedef Tandem__Control__Record pb_record;
typedef Tandem__Control__Field pb_field;
typedef Tandem__Control__List pb_list;
typedef Tandem__Control__Progress pb_progress;
typedef Tandem__Control__End pb_end;

static ProtobufCBinaryData to_data(struct slice s)
{
    return (ProtobufCBinaryData){.len = s.n, .data = (uint8_t *)(uintptr_t)s.p};
}

/* Names become JSON keys and column heads: lower_snake_case, or empty. */
static bool name_valid(struct slice name)
{
    if (name.n > LIMIT_NAME) return false;
    for (size_t i = 0; i < name.n; i++) {
        char c = name.p[i];
        if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_')) return false;
    }
    return true;
}

/* ---- packing ---- */

static enum err record_to_pb(struct arena *a, const struct control_record *r, unsigned depth, pb_record *out);

static enum err list_to_pb(struct arena *a, const struct control_field *f, unsigned depth, pb_field *out)
{
    pb_list *list = arena_alloc(a, sizeof *list);
    pb_record *records = arena_alloc(a, f->item_count * sizeof *records);
    pb_record **pointers = arena_alloc(a, f->item_count * sizeof *pointers);
    if (list == NULL || records == NULL || pointers == NULL) return ERR_NOMEM;
    for (size_t i = 0; i < f->item_count; i++) {
        enum err e = record_to_pb(a, &f->items[i], depth, &records[i]);
        if (e != ERR_OK) return e;
        pointers[i] = &records[i];
    }
    tandem__control__list__init(list);
    list->items = pointers;
    list->n_items = f->item_count;
    out->list = list;
    out->value_case = TANDEM__CONTROL__FIELD__VALUE_LIST;
    return ERR_OK;
}

static enum err field_to_pb(struct arena *a, const struct control_field *f, unsigned depth, pb_field *out)
{
    tandem__control__field__init(out);
    if (!name_valid(f->name)) return ERR_LIMIT;
    out->name = to_data(f->name);
    switch (f->type) {
    case CONTROL_TEXT:
        out->value_case = TANDEM__CONTROL__FIELD__VALUE_TEXT;
        out->text = to_data(f->text);
        return ERR_OK;
    case CONTROL_BYTES:
        out->value_case = TANDEM__CONTROL__FIELD__VALUE_DATA;
        out->data = to_data(f->text);
        return ERR_OK;
    case CONTROL_INT:
        out->value_case = TANDEM__CONTROL__FIELD__VALUE_INTEGER;
        out->integer = f->integer;
        return ERR_OK;
    case CONTROL_BOOL:
        out->value_case = TANDEM__CONTROL__FIELD__VALUE_BOOLEAN;
        out->boolean = f->integer != 0;
        return ERR_OK;
    case CONTROL_LIST: return list_to_pb(a, f, depth, out);
    case CONTROL_NULL: return ERR_OK;
    }
    return ERR_SYNTAX;
}

static enum err record_to_pb(struct arena *a, const struct control_record *r, unsigned depth, pb_record *out)
{
    tandem__control__record__init(out);
    if (depth >= CONTROL_DEPTH_MAX || r->field_count > CONTROL_FIELD_MAX || !name_valid(r->kind)) return ERR_LIMIT;
    pb_field *fields = arena_alloc(a, r->field_count * sizeof *fields);
    pb_field **pointers = arena_alloc(a, r->field_count * sizeof *pointers);
    if (fields == NULL || pointers == NULL) return ERR_NOMEM;
    for (size_t i = 0; i < r->field_count; i++) {
        enum err e = field_to_pb(a, &r->fields[i], depth + 1, &fields[i]);
        if (e != ERR_OK) return e;
        pointers[i] = &fields[i];
    }
    out->kind = to_data(r->kind);
    out->fields = pointers;
    out->n_fields = r->field_count;
    return ERR_OK;
}

static enum err request_to_pb(struct arena *a, const struct control_request *r, pb_frame *out)
{
    pb_request *request = arena_alloc(a, sizeof *request);
    pb_record *args = arena_alloc(a, sizeof *args);
    if (request == NULL || args == NULL) return ERR_NOMEM;
    if (r->command.n > LIMIT_NAME || r->node.n > LIMIT_NAME) return ERR_LIMIT;
    tandem__control__request__init(request);
    request->version = r->version;
    request->command = to_data(r->command);
    request->node = to_data(r->node);
    request->args = args;
    out->body_case = TANDEM__CONTROL__FRAME__BODY_REQUEST;
    out->request = request;
    return record_to_pb(a, &r->args, 0, args);
}

static enum err frame_to_pb(struct arena *a, const struct control_frame *f, pb_frame *out)
{
    tandem__control__frame__init(out);
    if (f->type == CONTROL_FRAME_REQUEST) return request_to_pb(a, &f->request, out);
    if (f->type == CONTROL_FRAME_RECORD) {
        out->body_case = TANDEM__CONTROL__FRAME__BODY_RECORD;
        out->record = arena_alloc(a, sizeof *out->record);
        return out->record != NULL ? record_to_pb(a, &f->record, 0, out->record) : ERR_NOMEM;
    }
    if (f->type == CONTROL_FRAME_PROGRESS) {
        pb_progress *p = arena_alloc(a, sizeof *p);
        if (p == NULL) return ERR_NOMEM;
        *p = (pb_progress)TANDEM__CONTROL__PROGRESS__INIT;
        p->text = to_data(f->text);
        p->done = f->done;
        p->total = f->total;
        out->body_case = TANDEM__CONTROL__FRAME__BODY_PROGRESS;
        out->progress = p;
        return ERR_OK;
    }
    if (f->type != CONTROL_FRAME_END) return ERR_SYNTAX;
    if (f->status < 0 || f->status > STATUS_MAX) return ERR_LIMIT;
    pb_end *end = arena_alloc(a, sizeof *end);
    if (end == NULL) return ERR_NOMEM;
    *end = (pb_end)TANDEM__CONTROL__END__INIT;
    end->status = (uint32_t)f->status;
    end->text = to_data(f->text);
    out->body_case = TANDEM__CONTROL__FRAME__BODY_END;
    out->end = end;
    return ERR_OK;
}

enum err control_frame_pack(const struct control_frame *f, struct buf *out)
{
    struct arena scratch = {0};
    pb_frame pb;
    enum err e = frame_to_pb(&scratch, f, &pb);
    if (e != ERR_OK) goto out;

    size_t n = tandem__control__frame__get_packed_size(&pb);
    e = ERR_LIMIT;
    if (n > LIMIT_CONTROL_FRAME) goto out;

    e = ERR_NOMEM;
    char *room = buf_room(out, FRAME_HEAD + n);
    if (room == NULL) goto out;
    for (int i = 0; i < FRAME_HEAD; i++) {
        room[i] = (char)(n >> (8 * (FRAME_HEAD - 1 - i)) & 0xff);
    }
    (void)tandem__control__frame__pack(&pb, (uint8_t *)room + FRAME_HEAD);
    out->n += FRAME_HEAD + n;
    e = ERR_OK;
out:
    arena_fini(&scratch);
    return e;
}

/* ---- unpacking ---- */

static void *scratch_alloc(void *ctx, size_t n)
{
    return arena_alloc(ctx, n);
}

static void scratch_free(void *ctx, void *p)
{
    (void)ctx;
    (void)p;
}

static enum err copy_data(struct arena *a, ProtobufCBinaryData data, size_t max, struct slice *out)
{
    if (data.len > max) return ERR_LIMIT;
    *out = arena_copy(a, (struct slice){(const char *)data.data, data.len});
    return out->p != NULL ? ERR_OK : ERR_NOMEM;
}

static enum err copy_name(struct arena *a, ProtobufCBinaryData data, struct slice *out)
{
    if (!name_valid((struct slice){(const char *)data.data, data.len})) return ERR_SYNTAX;
    return copy_data(a, data, LIMIT_NAME, out);
}

static enum err record_from_pb(struct arena *a, const pb_record *pb, struct control_record *out);

static enum err list_from_pb(struct arena *a, const pb_list *pb, struct control_field *out)
{
    struct control_record *items = arena_alloc(a, pb->n_items * sizeof *items);
    if (items == NULL) return ERR_NOMEM;
    for (size_t i = 0; i < pb->n_items; i++) {
        enum err e = record_from_pb(a, pb->items[i], &items[i]);
        if (e != ERR_OK) return e;
    }
    out->type = CONTROL_LIST;
    out->items = items;
    out->item_count = pb->n_items;
    return ERR_OK;
}

static enum err field_from_pb(struct arena *a, const pb_field *pb, struct control_field *out)
{
    enum err e = copy_name(a, pb->name, &out->name);
    if (e != ERR_OK) return e;
    switch (pb->value_case) {
    case TANDEM__CONTROL__FIELD__VALUE_TEXT:
        out->type = CONTROL_TEXT;
        return copy_data(a, pb->text, LIMIT_CONTROL_FRAME, &out->text);
    case TANDEM__CONTROL__FIELD__VALUE_DATA:
        out->type = CONTROL_BYTES;
        return copy_data(a, pb->data, LIMIT_CONTROL_FRAME, &out->text);
    case TANDEM__CONTROL__FIELD__VALUE_INTEGER:
        out->type = CONTROL_INT;
        out->integer = pb->integer;
        return ERR_OK;
    case TANDEM__CONTROL__FIELD__VALUE_BOOLEAN:
        out->type = CONTROL_BOOL;
        out->integer = pb->boolean != 0;
        return ERR_OK;
    case TANDEM__CONTROL__FIELD__VALUE_LIST: return list_from_pb(a, pb->list, out);
    default: out->type = CONTROL_NULL; return ERR_OK;
    }
}

/* Depth and the number of fields were bounded by control_scan. */
static enum err record_from_pb(struct arena *a, const pb_record *pb, struct control_record *out)
{
    enum err e = copy_name(a, pb->kind, &out->kind);
    if (e != ERR_OK) return e;
    struct control_field *fields = arena_alloc(a, pb->n_fields * sizeof *fields);
    if (fields == NULL) return ERR_NOMEM;
    for (size_t i = 0; i < pb->n_fields; i++) {
        e = field_from_pb(a, pb->fields[i], &fields[i]);
        if (e != ERR_OK) return e;
    }
    out->fields = fields;
    out->field_count = pb->n_fields;
    return ERR_OK;
}

static enum err request_from_pb(struct arena *a, const pb_request *pb, struct control_request *out)
{
    out->version = pb->version;
    enum err e = copy_data(a, pb->command, LIMIT_NAME, &out->command);
    if (e != ERR_OK) return e;
    e = copy_data(a, pb->node, LIMIT_NAME, &out->node);
    if (e != ERR_OK) return e;
    if (pb->args == NULL) return ERR_OK;
    return record_from_pb(a, pb->args, &out->args);
}

static enum err frame_from_pb(struct arena *a, const pb_frame *pb, struct control_frame *out)
{
    switch (pb->body_case) {
    case TANDEM__CONTROL__FRAME__BODY_REQUEST:
        out->type = CONTROL_FRAME_REQUEST;
        return request_from_pb(a, pb->request, &out->request);
    case TANDEM__CONTROL__FRAME__BODY_RECORD:
        out->type = CONTROL_FRAME_RECORD;
        return record_from_pb(a, pb->record, &out->record);
    case TANDEM__CONTROL__FRAME__BODY_PROGRESS:
        out->type = CONTROL_FRAME_PROGRESS;
        out->done = pb->progress->done;
        out->total = pb->progress->total;
        return copy_data(a, pb->progress->text, LIMIT_CONTROL_FRAME, &out->text);
    case TANDEM__CONTROL__FRAME__BODY_END:
        out->type = CONTROL_FRAME_END;
        if (pb->end->status > STATUS_MAX) return ERR_SYNTAX;
        out->status = (int)pb->end->status;
        return copy_data(a, pb->end->text, LIMIT_CONTROL_FRAME, &out->text);
    default: return ERR_SYNTAX;
    }
}

static enum err message_unpack(struct arena *arena, struct slice message, struct control_frame *f)
{
    struct arena scratch = {0};
    ProtobufCAllocator allocator = {.alloc = scratch_alloc, .free = scratch_free, .allocator_data = &scratch};
    struct control_frame frame = {0};
    enum err e = control_scan(message);
    if (e != ERR_OK) return e;

    /* NULL is broken input or no memory; protobuf-c does not say which, and for the stream both are the end. */
    const pb_frame *pb = tandem__control__frame__unpack(&allocator, message.n, (const uint8_t *)message.p);
    e = pb != NULL ? frame_from_pb(arena, pb, &frame) : ERR_SYNTAX;
    arena_fini(&scratch);
    if (e == ERR_OK) *f = frame;
    return e;
}

enum err control_frame_unpack(struct arena *arena, struct slice stream, struct control_frame *f, size_t *used)
{
    uint32_t n = 0;
    *used = 0;
    if (stream.n < FRAME_HEAD) return ERR_OK;
    for (int i = 0; i < FRAME_HEAD; i++) {
        n = n << 8 | (unsigned char)stream.p[i];
    }
    if (n > LIMIT_CONTROL_FRAME) return ERR_LIMIT;
    if (stream.n - FRAME_HEAD < n) return ERR_OK;
    enum err e = message_unpack(arena, (struct slice){stream.p + FRAME_HEAD, n}, f);
    if (e == ERR_OK) *used = FRAME_HEAD + (size_t)n;
    return e;
}
