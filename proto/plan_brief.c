/* plan_brief: stored objects read and cut as bytes, without making an object of protobuf-c's between: an account, or
 * the few fields of it that routing asks for, and a route without its match.
 *
 * Every call to a registered number and every proof of a password asks; making the object took as long as finding it.
 * It knows the wire format of protobuf (varints, lengths, fixed sizes) and skips, or keeps, what it does not know. */
#include "proto/plan_codec.h"
#include "proto/wire.h"

static bool take_field(struct slice *s, struct wire_field *f)
{
    return wire_take_field(s, f) == ERR_OK;
}

enum err plan_account_brief_read(struct slice packed, struct plan_account_brief *out)
{
    struct plan_account_brief made = {.name = SLICE(""), .prepend = SLICE(""), .site = SLICE("")};
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
        case 1: made.name = f.bytes; break;
        case 4:
            if (f.value > LIMIT_NUMBER) return ERR_CORRUPT;
            made.strip = (uint8_t)f.value;
            break;
        case 5: made.prepend = f.bytes; break;
        case 6: made.site = f.bytes; break;
        case 8: made.calls = (uint32_t)f.value; break;
        case 9: made.disabled = f.value != 0; break;
        default: break;
        }
    }
    *out = made;
    return ERR_OK;
}

/* ---- the whole account ---- */

static bool read_secret(struct slice packed, struct plan_secret *s)
{
    unsigned seen = 0;
    while (packed.n > 0) {
        struct wire_field f;
        if (!take_field(&packed, &f) || f.wire != WIRE_BYTES || f.number == 0 || f.number > 3) return false;
        unsigned char *const places[] = {s->md5, s->sha256, s->sha512_256};
        size_t n = f.number == 1 ? sizeof s->md5 : sizeof s->sha256;
        if (f.bytes.n != n || (seen >> f.number & 1) != 0) return false;
        memcpy(places[f.number - 1], f.bytes.p, n);
        seen |= 1U << f.number;
    }
    s->set = seen == (1U << 1 | 1U << 2 | 1U << 3);
    return s->set;
}

static bool set_text(struct plan_account *a, const struct wire_field *f)
{
    if (f->wire != WIRE_BYTES) return false;
    switch (f->number) {
    case 1: a->name = f->bytes; break;
    case 2: return !a->secret.set && read_secret(f->bytes, &a->secret);
    case 3: a->number_count++; break;
    case 5: a->prepend = f->bytes; break;
    case 6: a->site = f->bytes; break;
    default: a->map = f->bytes; break; /* 12 */
    }
    return true;
}

static bool set_number(struct plan_account *a, const struct wire_field *f)
{
    uint32_t value = (uint32_t)f->value;
    if (f->wire != WIRE_VARINT || f->value > UINT32_MAX) return false;
    switch (f->number) {
    case 4:
        if (value > LIMIT_NUMBER) return false;
        a->strip = (uint8_t)value;
        break;
    case 7: a->max_contacts = value; break;
    case 8: a->calls = value; break;
    case 9: a->disabled = value != 0; break;
    case 10: a->keepalive = (enum plan_keepalive)value; break;
    case 11: a->keepalive_every_ms = value != 0 ? value : PLAN_KEEPALIVE_DEFAULT_MS; break;
    default: return false;
    }
    return true;
}

static bool is_text(uint64_t number)
{
    return number <= 12 && (1U << number & (1U << 1 | 1U << 2 | 1U << 3 | 1U << 5 | 1U << 6 | 1U << 12)) != 0;
}

static bool set_numbers(struct arena *arena, struct slice account, struct plan_account *a)
{
    struct slice *list = a->number_count <= LIMIT_LIST ? arena_alloc(arena, a->number_count * sizeof *list) : NULL;
    struct wire_field f;
    size_t n = 0;
    if (list == NULL) return false;
    while (take_field(&account, &f)) {
        if (f.number == 3) list[n++] = f.bytes;
    }
    a->numbers = list;
    return true;
}

bool plan_account_read(struct arena *arena, struct slice packed, struct plan_account *out)
{
    struct plan_account a = {.keepalive_every_ms = PLAN_KEEPALIVE_DEFAULT_MS};
    struct wire_field f;
    if (packed.n > LIMIT_OBJECT || !take_field(&packed, &f)) return false;
    if (f.number != 4 || f.wire != WIRE_BYTES || packed.n > 0) return false;
    struct slice account = arena_copy(arena, f.bytes);
    for (struct slice rest = account; rest.n > 0;) {
        if (!take_field(&rest, &f) || !(is_text(f.number) ? set_text(&a, &f) : set_number(&a, &f))) return false;
    }
    if (account.p == NULL || (a.number_count > 0 && !set_numbers(arena, account, &a))) return false;
    *out = a;
    return true;
}

/* ---- a route without its match ---- */

#define OBJECT_ROUTE 5
#define ROUTE_MATCH 2

/* The fields of a route but for its match: counted with out NULL, else written. */
static enum err other_fields(struct slice route, size_t *n, struct buf *out)
{
    struct wire_field f;
    *n = 0;
    while (route.n > 0) {
        const char *begin = route.p;
        if (!take_field(&route, &f)) return ERR_CORRUPT;
        size_t size = (size_t)(route.p - begin);
        if (f.number == ROUTE_MATCH) continue;
        *n += size;
        if (out != NULL) buf_add(out, begin, size);
    }
    return ERR_OK;
}

enum err plan_route_form(struct slice packed, struct buf *out)
{
    struct wire_field f;
    bool found = false;
    while (packed.n > 0) {
        const char *begin = packed.p;
        size_t n = 0;
        if (!take_field(&packed, &f)) return ERR_CORRUPT;
        if (f.number != OBJECT_ROUTE || f.bytes.p == NULL) {
            buf_add(out, begin, (size_t)(packed.p - begin));
            continue;
        }
        found = true;
        enum err e = other_fields(f.bytes, &n, NULL);
        if (e != ERR_OK) return e;
        wire_add_varint(out, OBJECT_ROUTE << 3 | WIRE_BYTES);
        wire_add_varint(out, n);
        e = other_fields(f.bytes, &n, out);
        if (e != ERR_OK) return e;
    }
    if (!found) return ERR_CORRUPT;
    return out->failed ? ERR_NOMEM : ERR_OK;
}
