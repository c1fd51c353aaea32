/* control_codec: what clusterctl and a node say to each other: frames of a 4-byte big-endian length and one protobuf
 * message.
 *
 * A request is a command name and fields; a reply is records, progress, and an end. A record is a kind and named
 * fields, whose values are text, integers, booleans, bytes, or lists of records: the same record becomes a table row,
 * JSON, YAML and CSV in clusterctl. Schema: proto/control.proto. Bounds: LIMIT_CONTROL_FRAME, names <= LIMIT_NAME, 256
 * fields per record, depth 6. */
#ifndef TANDEM_PROTO_CONTROL_CODEC_H
#define TANDEM_PROTO_CONTROL_CODEC_H

#include "node/base/bytes.h"
#include "node/base/limits.h"

enum control_type { CONTROL_TEXT = 1, CONTROL_INT, CONTROL_BOOL, CONTROL_BYTES, CONTROL_LIST, CONTROL_NULL };

struct control_record;
struct control_field {
    struct slice name; /* lower_snake_case with the unit last: "rtt_us" */
    enum control_type type;
    struct slice text;                  /* TEXT, BYTES */
    int64_t integer;                    /* INT, BOOL */
    const struct control_record *items; /* LIST: records; an item of scalars has one field named "" */
    size_t item_count;
};
struct control_record {
    struct slice kind; /* "node", "route", "candidate" */
    const struct control_field *fields;
    size_t field_count;
};

#define CONTROL_VERSION 1
struct control_request {
    uint32_t version;
    struct slice command; /* "plan apply" */
    struct slice node;    /* --node: the node that shall answer, "" this one */
    struct control_record args;
};

enum control_frame_type { CONTROL_FRAME_REQUEST = 1, CONTROL_FRAME_RECORD, CONTROL_FRAME_PROGRESS, CONTROL_FRAME_END };
struct control_frame {
    enum control_frame_type type;
    struct control_request request;
    struct control_record record;
    struct slice text; /* PROGRESS, END */
    uint64_t done;     /* PROGRESS */
    uint64_t total;
    int status; /* END */
};

/* Appends the length and the message. ERR_LIMIT, ERR_NOMEM. */
MUST_CHECK enum err control_frame_pack(const struct control_frame *f, struct buf *out);
/* Appends the frame of a request up to an argument of so many bytes, not among r's, which its sender writes behind it.
 * ERR_LIMIT, ERR_NOMEM. */
MUST_CHECK enum err control_request_head(const struct control_request *r, const char *name, uint64_t size,
                                         struct buf *out);
/* Looks at the start of a stream: *used is 0 while the frame is incomplete, else its whole length. Everything is copied
 * into arena. ERR_LIMIT (announced length over the cap), ERR_SYNTAX. */
MUST_CHECK enum err control_frame_unpack(struct arena *arena, struct slice stream, struct control_frame *f,
                                         size_t *used);

/* Building a record in an arena; a failed allocation is remembered and control_record_done returns ERR_NOMEM. Kind and
 * names are borrowed (literals), values and the array of a list are copied; what the items point to stays where it is.
 */
struct control_builder {
    struct arena *arena;
    struct slice kind;
    struct control_field *fields;
    size_t count;
    size_t cap;
    bool failed;
};
void control_record_start(struct control_builder *b, struct arena *arena, const char *kind);
void control_text(struct control_builder *b, const char *name, struct slice value);
void control_printf(struct control_builder *b, const char *name, const char *fmt, ...) PRINTF_LIKE(3, 4);
void control_int(struct control_builder *b, const char *name, int64_t value);
void control_bool(struct control_builder *b, const char *name, bool value);
void control_bytes(struct control_builder *b, const char *name, struct slice value);
void control_null(struct control_builder *b, const char *name);
void control_list(struct control_builder *b, const char *name, const struct control_record *items, size_t count);
MUST_CHECK enum err control_record_done(struct control_builder *b, struct control_record *out);

/* Many byte strings in one BYTES field, each behind its length: a list of a million records would be over the cap of a
 * frame, and over what may be unpacked of one. */
void control_bulk_add(struct buf *bulk, struct slice item);
/* Takes the first one off bulk. ERR_NOTFOUND: there is none; ERR_SYNTAX. */
MUST_CHECK enum err control_bulk_take(struct slice *bulk, struct slice *item);

/* NULL when there is no such field; the second form gives "" or the fallback. */
const struct control_field *control_find(const struct control_record *r, const char *name);
struct slice control_get_text(const struct control_record *r, const char *name);
int64_t control_get_int(const struct control_record *r, const char *name, int64_t fallback);

#endif
