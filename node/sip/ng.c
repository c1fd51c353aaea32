#include "node/sip/ng.h"

#define DEPTH_MAX 16 /* of lists and dictionaries in each other, as the statistics of a call have them */

const char *ng_command_name(enum ng_command c)
{
    static const char *const names[] = {
        [NG_PING] = "ping", [NG_OFFER] = "offer", [NG_ANSWER] = "answer", [NG_DELETE] = "delete"};
    return names[c];
}

/* ---- what is asked ---- */

static void add_text(struct buf *out, struct slice text)
{
    char digits[DECIMAL_TEXT];
    buf_slice(out, decimal_text(text.n, digits));
    buf_text(out, ":");
    buf_slice(out, text);
}

static void add_pair(struct buf *out, const char *key, struct slice value)
{
    if (value.n == 0) return;
    add_text(out, slice_of(key));
    add_text(out, value);
}

/* The keys of a dictionary stand in order. */
enum err ng_request_build(const struct ng_request *r, struct buf *out)
{
    bool describes = r->command == NG_OFFER || r->command == NG_ANSWER;
    buf_slice(out, r->cookie);
    buf_text(out, " d");
    /* Nobody finds a way past the relay; a session that has come by it already is left as it is. */
    if (describes) add_pair(out, "ICE", SLICE("remove"));
    add_pair(out, "call-id", r->call_id);
    add_pair(out, "command", slice_of(ng_command_name(r->command)));
    if (describes) buf_text(out, "5:flagsl12:loop-protecte");
    add_pair(out, "from-tag", r->from_tag);
    if (describes) buf_text(out, "7:replacel6:origin18:session-connectione");
    add_pair(out, "sdp", r->sdp);
    add_pair(out, "to-tag", r->to_tag);
    add_pair(out, "via-branch", r->branch);
    buf_text(out, "e");
    return out->failed ? ERR_NOMEM : ERR_OK;
}

/* ---- what comes back ---- */

/* Takes "5:hello" off the front of rest. */
static bool take_text(struct slice *rest, struct slice *text)
{
    uint64_t n = 0;
    struct slice digits;
    struct slice after = slice_cut(*rest, ':', &digits);
    if (after.p == NULL || digits.n == 0 || slice_u64(digits, after.n, &n) != ERR_OK) return false;
    *text = (struct slice){after.p, (size_t)n};
    *rest = (struct slice){after.p + n, after.n - (size_t)n};
    return true;
}

/* Takes a whole value off the front of rest; text is set where it is one, else empty. */
static bool take_value(struct slice *rest, struct slice *text)
{
    unsigned depth = 0;
    *text = SLICE_NONE;
    do {
        if (rest->n == 0) return false;
        char c = rest->p[0];
        struct slice inner;
        if (c >= '0' && c <= '9') {
            if (!take_text(rest, &inner)) return false;
            if (depth == 0) *text = inner;
            continue;
        }
        size_t n = 1;
        if (c == 'i') {
            const char *end = memchr(rest->p, 'e', rest->n);
            if (end == NULL) return false;
            n = (size_t)(end - rest->p) + 1;
        } else if (c == 'd' || c == 'l') {
            if (++depth > DEPTH_MAX) return false;
        } else if (c != 'e' || depth-- == 0) {
            return false;
        }
        *rest = (struct slice){rest->p + n, rest->n - n};
    } while (depth > 0);
    return true;
}

static bool is_good(struct slice result)
{
    return slice_is(result, "ok") || slice_is(result, "pong");
}

/* "Failed to parse SDP", "Error rewriting SDP", ...: what else it says is about itself. */
static bool mentions_sdp(struct slice words)
{
    for (size_t i = 0; i + 3 <= words.n; i++) {
        if (memcmp(words.p + i, "SDP", 3) == 0) return true;
    }
    return false;
}

enum err ng_reply_parse(struct slice datagram, struct ng_reply *out)
{
    struct slice result = SLICE_NONE;
    struct slice rest = slice_cut(datagram, ' ', &out->cookie);
    out->reason = SLICE("");
    out->sdp = SLICE_NONE;
    if (rest.p == NULL || out->cookie.n == 0 || rest.n == 0 || rest.p[0] != 'd') return ERR_SYNTAX;
    rest = (struct slice){rest.p + 1, rest.n - 1};
    while (rest.n > 0 && rest.p[0] != 'e') {
        struct slice key;
        struct slice value;
        if (!take_text(&rest, &key) || !take_value(&rest, &value)) return ERR_SYNTAX;
        if (slice_is(key, "result")) result = value;
        if (slice_is(key, "error-reason")) out->reason = value;
        if (slice_is(key, "sdp")) out->sdp = value;
    }
    out->ok = is_good(result);
    if (!out->ok && out->reason.n == 0) out->reason = result; /* "load limit" */
    out->blames_sdp = mentions_sdp(out->reason);
    return rest.n == 1 && result.n > 0 ? ERR_OK : ERR_SYNTAX;
}
