/* plan_brief: the few fields of a stored account that routing asks for, read from the bytes without making an object.
 *
 * Every call to a registered number asks; making the whole object, with its hashes and lists, took as long as finding
 * it. It knows the wire format of protobuf (varints, lengths, fixed sizes) and skips what it does not know. */
#include "proto/plan_codec.h"

enum wire { WIRE_VARINT = 0, WIRE_64 = 1, WIRE_BYTES = 2, WIRE_32 = 5 };

static bool take_varint(struct slice *s, uint64_t *out)
{
    uint64_t value = 0;
    for (unsigned shift = 0; shift < 64 && s->n > 0; shift += 7) {
        unsigned char byte = (unsigned char)*s->p;
        *s = (struct slice){s->p + 1, s->n - 1};
        value |= (uint64_t)(byte & 0x7f) << shift;
        if (byte < 0x80) {
            *out = value;
            return true;
        }
    }
    return false;
}

static bool take_bytes(struct slice *s, size_t n, struct slice *out)
{
    if (n > s->n) return false;
    *out = (struct slice){s->p, n};
    *s = (struct slice){s->p + n, s->n - n};
    return true;
}

struct wire_field {
    uint64_t number;
    uint64_t value;     /* of a varint */
    struct slice bytes; /* of a text, a message */
};

static bool take_field(struct slice *s, struct wire_field *f)
{
    uint64_t tag = 0;
    uint64_t length = 0;
    *f = (struct wire_field){.number = 0};
    if (!take_varint(s, &tag)) return false;
    f->number = tag >> 3;
    switch ((enum wire)(tag & 7)) {
    case WIRE_VARINT: return take_varint(s, &f->value);
    case WIRE_64: return take_bytes(s, 8, &f->bytes);
    case WIRE_BYTES: return take_varint(s, &length) && length <= s->n && take_bytes(s, (size_t)length, &f->bytes);
    case WIRE_32: return take_bytes(s, 4, &f->bytes);
    }
    return false;
}

enum err plan_account_brief_read(struct slice packed, struct plan_account_brief *out)
{
    struct plan_account_brief made = {.site = SLICE("")};
    struct wire_field f;
    struct slice account = SLICE_NONE;
    while (packed.n > 0) {
        if (!take_field(&packed, &f)) return ERR_CORRUPT;
        if (f.number == 4) account = f.bytes;
    }
    if (account.p == NULL) return ERR_NOTFOUND;
    while (account.n > 0) {
        if (!take_field(&account, &f)) return ERR_CORRUPT;
        switch (f.number) {
        case 6: made.site = f.bytes; break;
        case 8: made.calls = (uint32_t)f.value; break;
        case 9: made.disabled = f.value != 0; break;
        default: break;
        }
    }
    *out = made;
    return ERR_OK;
}
