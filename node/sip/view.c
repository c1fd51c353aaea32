/* The parts of a message in their order, the body against Content-Length, and the accessors. Contract: view.h. */
#include "node/sip/view.h"

#include "node/sip/scan.h"
#include "node/sip/view_parts.h"

_Static_assert(offsetof(struct sip_view, lines) - offsetof(struct sip_view, first) <
                   2 * SIP_HEADER_COUNT + _Alignof(struct sip_line),
               "what is set to SIP_NO_LINE is first and last, and nothing else");
_Static_assert(sizeof(struct sip_view) - offsetof(struct sip_view, lines) <
                   (SIP_LINES_MAX + SIP_LINES_OURS) * sizeof(struct sip_line) + _Alignof(struct sip_view),
               "nothing stands behind the lines, which stay as they are");

/* All but the lines, in one sweep: field by field this is as much code as all that follows in the usual case. */
static void view_clear(struct sip_view *v, const char *data)
{
    memset(v, 0, offsetof(struct sip_view, first));
    memset(v->first, SIP_NO_LINE, offsetof(struct sip_view, lines) - offsetof(struct sip_view, first));
    v->data = data;
    v->method = SIP_METHOD_OTHER;
    v->max_forwards = -1;
}

/* First line and header lines. FIRST_LINE means that nothing else is set. */
static struct sip_head_end scan_head(struct sip_pass *s, const char *data)
{
    struct sip_line_end line = sip_line_end(data, s->end);
    if (line.p == NULL) return (struct sip_head_end){data, SIP_HEAD_CUT};
    enum sip_fault fault = SIP_FAULT_FIRST_LINE;
    if (line.clean && line.p - data <= SIP_LINE_MAX)
        fault = sip_first_line(s->v, (struct slice){data, (size_t)(line.p - data - 2)}, s->end);
    if (fault == SIP_FAULT_FIRST_LINE) {
        s->fault = fault; /* whatever was noted before: this is not SIP */
        return (struct sip_head_end){data, SIP_HEAD_STOPPED};
    }
    if (fault != SIP_FAULT_NONE) sip_note(s, fault);
    s->v->first_line_end = (uint16_t)(line.p - data);
    if (sip_line_folds(line.p, s->end)) sip_note(s, SIP_FAULT_LINE); /* the first line does not fold */
    return sip_scan_lines(s, line.p);
}

/* What needs the whole head. A Via that cannot be trusted outweighs any other fault: there is nobody to answer. */
static void check_head(struct sip_pass *s)
{
    struct sip_view *v = s->v;
    bool two = true;
    if (!sip_parse_via(v, &two)) {
        s->fault = SIP_FAULT_VIA;
        return;
    }
    if (!two) sip_note(s, SIP_FAULT_VERSION);
    if (sip_count_vias(v) > SIP_VIAS_MAX + s->ours) sip_note(s, SIP_FAULT_TOO_MANY);
    enum sip_fault fault = sip_parse_fields(v);
    if (fault != SIP_FAULT_NONE) sip_note(s, fault);
}

static enum sip_fault finish(const struct sip_pass *s, bool *answerable)
{
    const struct sip_view *v = s->v;
    if (answerable != NULL) {
        *answerable =
            s->fault != SIP_FAULT_NONE && sip_fault_answer(s->fault) != 0 && v->request && v->method != SIP_ACK;
    }
    return s->fault;
}

static enum sip_fault parse_whole(struct sip_view *v, const char *data, size_t len, bool kept, bool *answerable)
{
    size_t looked_at = len < LIMIT_SIP_HARD ? len : LIMIT_SIP_HARD;
    struct sip_pass s = {.v = v, .end = data + looked_at, .ours = kept ? SIP_LINES_OURS : 0};
    size_t length = 0;
    view_clear(v, data);
    if (len > (kept ? LIMIT_SIP_HARD : LIMIT_SIP_MESSAGE)) sip_note(&s, SIP_FAULT_TOO_LARGE);
    struct sip_head_end head = scan_head(&s, data);
    if (head.how == SIP_HEAD_CUT && v->first_line_end == 0) s.fault = SIP_FAULT_FIRST_LINE;
    if (s.fault == SIP_FAULT_FIRST_LINE) return finish(&s, answerable);
    if (head.how == SIP_HEAD_CUT) sip_note(&s, SIP_FAULT_LINE); /* no empty line */
    check_head(&s);
    v->head_end = (uint16_t)(head.p - data);
    length = looked_at - v->head_end;
    if (v->first[SIP_CONTENT_LENGTH] != SIP_NO_LINE && head.how == SIP_HEAD_DONE) {
        size_t stated = 0;
        if (!sip_content_length(v, &stated) || stated > length) {
            sip_note(&s, SIP_FAULT_LENGTH);
        } else {
            length = stated;
        }
    }
    v->body = (struct slice){head.p, length};
    v->len = v->head_end + length;
    return finish(&s, answerable);
}

enum sip_fault sip_view_parse(struct sip_view *v, const char *data, size_t len, bool *answerable)
{
    return parse_whole(v, data, len, false, answerable);
}

enum sip_fault sip_view_parse_kept(struct sip_view *v, const char *data, size_t len)
{
    return parse_whole(v, data, len, true, NULL);
}

/* A head that is not complete: wait, unless no further byte can make it acceptable. */
static enum sip_fault stream_head_cut(struct sip_pass *s, const char *data, const char *line, size_t len,
                                      size_t size_max, bool *answerable)
{
    size_t line_len = (size_t)(data + len - line);
    if (len < size_max && line_len <= SIP_LINE_MAX) {
        s->fault = SIP_FAULT_INCOMPLETE;
        return finish(s, answerable);
    }
    if (s->v->first_line_end == 0) {
        s->fault = SIP_FAULT_FIRST_LINE;
        return finish(s, answerable);
    }
    sip_note(s, len >= size_max ? SIP_FAULT_TOO_LARGE : SIP_FAULT_LINE_TOO_LONG);
    check_head(s);
    return finish(s, answerable);
}

enum sip_fault sip_view_parse_stream(struct sip_view *v, const char *data, size_t len, size_t size_max,
                                     bool *answerable)
{
    if (size_max > LIMIT_SIP_HARD) size_max = LIMIT_SIP_HARD;
    size_t looked_at = len < size_max ? len : size_max;
    struct sip_pass s = {.v = v, .end = data + looked_at};
    size_t length = 0;
    view_clear(v, data);
    struct sip_head_end head = scan_head(&s, data);
    if (s.fault == SIP_FAULT_FIRST_LINE) return finish(&s, answerable);
    if (head.how == SIP_HEAD_CUT) return stream_head_cut(&s, data, head.p, looked_at, size_max, answerable);
    check_head(&s);
    v->head_end = (uint16_t)(head.p - data);
    bool framed = head.how == SIP_HEAD_DONE && s.fault != SIP_FAULT_LINE && sip_content_length(v, &length) &&
                  v->first[SIP_CONTENT_LENGTH] == v->last[SIP_CONTENT_LENGTH];
    if (!framed) {
        sip_note(&s, v->first[SIP_CONTENT_LENGTH] == SIP_NO_LINE ? SIP_FAULT_MISSING : SIP_FAULT_LENGTH);
        return finish(&s, answerable);
    }
    if (length > size_max - v->head_end) {
        sip_note(&s, SIP_FAULT_TOO_LARGE);
        return finish(&s, answerable);
    }
    if (length > looked_at - v->head_end) {
        s.fault = SIP_FAULT_INCOMPLETE;
        return finish(&s, answerable);
    }
    v->body = (struct slice){head.p, length};
    v->len = v->head_end + length;
    return finish(&s, answerable);
}

struct slice sip_view_value(const struct sip_view *v, enum sip_header id)
{
    uint8_t i = v->first[id];
    return i != SIP_NO_LINE ? sip_line_value(v, i) : SLICE_NONE;
}

struct slice sip_view_other(const struct sip_view *v, struct slice name)
{
    for (unsigned i = v->first[SIP_HEADER_OTHER]; i != SIP_NO_LINE; i = v->lines[i].next) {
        struct slice own = {v->data + v->lines[i].start, v->lines[i].name_len};
        if (slice_eq_nocase(own, name)) return sip_line_value(v, i);
    }
    return SLICE_NONE;
}
