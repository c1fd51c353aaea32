#include "node/edge/framer.h"

#define ROOM_FIRST 8192 /* also what an idle connection keeps */
#define HELD_MAX (LIMIT_SIP_HARD + 1 + ROOM_FIRST)

void framer_fini(struct framer *f)
{
    buf_fini(&f->in);
    *f = (struct framer){0};
}

static size_t unread(const struct framer *f)
{
    return f->in.n - f->start;
}

bool framer_partial(const struct framer *f)
{
    return unread(f) > 0;
}

char *framer_room(struct framer *f, size_t *n)
{
    size_t held = unread(f);
    if (f->start > 0 && held > 0) memmove(f->in.p, f->in.p + f->start, held);
    f->in.n = held;
    f->start = 0;
    if (held == 0 && f->in.cap > ROOM_FIRST) buf_fini(&f->in);
    /* framer_next leaves at most LIMIT_SIP_HARD bytes behind, so there is always room for a read. */
    ASSERT(held <= LIMIT_SIP_HARD);
    size_t want = held < ROOM_FIRST ? ROOM_FIRST - held : held;
    if (want < ROOM_FIRST / 2) want = ROOM_FIRST / 2;
    if (want > HELD_MAX - held) want = HELD_MAX - held;
    char *room = buf_room(&f->in, want);
    if (room == NULL) return NULL;
    *n = want;
    return room;
}

void framer_filled(struct framer *f, size_t n)
{
    f->in.n += n;
}

static void consume(struct framer *f, size_t n)
{
    f->start += n;
    f->parse_at = 0;
    f->scanned = 0;
    f->line_seen = false;
    f->head_seen = false;
}

/* True when a CRLF was taken that completes a ping; takes at most one of them per call. */
static bool take_ping(struct framer *f)
{
    while (unread(f) >= 2 && memcmp(f->in.p + f->start, "\r\n", 2) == 0) {
        consume(f, 2);
        f->half_ping = !f->half_ping;
        if (!f->half_ping) return true;
    }
    return false;
}

/* Looks through the bytes that are new. True when the first line, or the head, has just become complete. */
static bool landmark_passed(struct framer *f)
{
    const char *p = f->in.p + f->start;
    size_t n = unread(f);
    size_t from = f->scanned > 2 ? f->scanned - 2 : 0;
    bool line = !f->line_seen && memchr(p + from, '\n', n - from) != NULL;
    bool head = !f->head_seen && memmem(p + from, n - from, "\n\r\n", 3) != NULL;
    f->scanned = n;
    f->line_seen = f->line_seen || line;
    f->head_seen = f->head_seen || head;
    return line || head;
}

static bool worth_parsing(struct framer *f)
{
    bool landmark = !f->head_seen && landmark_passed(f);
    return landmark || unread(f) >= f->parse_at;
}

/* When to look again at a message that is not complete: at its length once that is known, else when the bytes have
 * doubled, so that what can never become SIP is found early. */
static void look_again_later(struct framer *f, const struct sip_view *v)
{
    size_t n = unread(f);
    uint64_t body = 0;
    f->parse_at = n * 2;
    if (f->head_seen && v->head_end > 0 &&
        slice_u64(sip_view_value(v, SIP_CONTENT_LENGTH), LIMIT_SIP_HARD, &body) == ERR_OK) {
        size_t whole = (size_t)v->head_end + (size_t)body;
        f->parse_at = whole > n ? whole : n + 1;
    }
    /* Beyond the limit it is parsed in any case, to be refused. */
    if (f->parse_at > LIMIT_SIP_HARD + 1) f->parse_at = LIMIT_SIP_HARD + 1;
}

enum frame framer_next(struct framer *f, struct sip_view *v, enum sip_fault *fault, bool *answerable)
{
    if (take_ping(f)) return FRAME_PING;
    size_t n = unread(f);
    if (n == 0 || (n == 1 && f->in.p[f->start] == '\r')) return FRAME_MORE;
    f->half_ping = false;
    if (!worth_parsing(f)) return FRAME_MORE;

    *answerable = false;
    *fault = sip_view_parse_stream(v, f->in.p + f->start, n, LIMIT_SIP_HARD, answerable);
    if (*fault == SIP_FAULT_NONE) {
        ASSERT(v->len > 0 && v->len <= n);
        consume(f, v->len);
        return FRAME_MESSAGE;
    }
    if (*fault == SIP_FAULT_INCOMPLETE && n <= LIMIT_SIP_HARD) {
        look_again_later(f, v);
        return FRAME_MORE;
    }
    if (*fault == SIP_FAULT_INCOMPLETE) {
        *fault = SIP_FAULT_TOO_LARGE;
        v->len = 0;
    }
    ASSERT(v->len <= n);
    consume(f, v->len);
    return v->len > 0 ? FRAME_FAULT : FRAME_LOST;
}
