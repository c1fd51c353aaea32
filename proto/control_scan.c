/* control_scan: see the header. The table says which field of which message holds a message; everything else is skipped
 * by its length. Wire format: https://protobuf.dev/programming-guides/encoding/ */
#include "proto/control_scan.h"

#include "proto/wire.h"

/* What unpacking costs, in units of about 50 bytes of memory: a scalar or an unknown field one, a message four. A frame
 * has a free allowance, and then one unit for each 4 bytes that it brings along. An honest row needs 5 bytes for a
 * unit; without the bound, two bytes would become about two hundred. */
#define SCAN_COST_LEAF 1
#define SCAN_COST_MESSAGE 4
#define SCAN_COST_FREE 262144
#define SCAN_BYTES_PER_COST 4

enum scan_kind { SCAN_FRAME, SCAN_REQUEST, SCAN_RECORD, SCAN_FIELD, SCAN_LIST, SCAN_LEAF };

struct scan {
    size_t allowance; /* what is left to spend */
};

static enum scan_kind child_of(enum scan_kind parent, uint64_t number)
{
    switch (parent) {
    case SCAN_FRAME: return number == 1 ? SCAN_REQUEST : number == 2 ? SCAN_RECORD : SCAN_LEAF;
    case SCAN_REQUEST: return number == 4 ? SCAN_RECORD : SCAN_LEAF;
    case SCAN_RECORD: return number == 2 ? SCAN_FIELD : SCAN_LEAF;
    case SCAN_FIELD: return number == 6 ? SCAN_LIST : SCAN_LEAF;
    case SCAN_LIST: return number == 1 ? SCAN_RECORD : SCAN_LEAF;
    default: return SCAN_LEAF;
    }
}

/* Recursion is bounded: records by CONTROL_DEPTH_MAX, and between two records lie a field and a list. */
static enum err scan_message(struct scan *scan, enum scan_kind kind, struct slice s, unsigned depth)
{
    size_t fields = 0;
    if (kind == SCAN_RECORD && ++depth > CONTROL_DEPTH_MAX) return ERR_LIMIT;
    while (s.n > 0) {
        struct wire_field f;
        enum err e = wire_take_field(&s, &f);
        if (e != ERR_OK) return e;
        enum scan_kind child = f.wire == WIRE_BYTES ? child_of(kind, f.number) : SCAN_LEAF;
        size_t cost = child == SCAN_LEAF ? SCAN_COST_LEAF : SCAN_COST_MESSAGE;
        if (scan->allowance < cost) return ERR_LIMIT;
        scan->allowance -= cost;
        if (child == SCAN_FIELD && ++fields > CONTROL_FIELD_MAX) return ERR_LIMIT;
        if (child == SCAN_LEAF) continue;
        e = scan_message(scan, child, f.bytes, depth);
        if (e != ERR_OK) return e;
    }
    return ERR_OK;
}

enum err control_scan(struct slice message)
{
    struct scan scan = {.allowance = SCAN_COST_FREE + message.n / SCAN_BYTES_PER_COST};
    return scan_message(&scan, SCAN_FRAME, message, 0);
}
