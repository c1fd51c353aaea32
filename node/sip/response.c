/* response: an answer to a request, built from the request's own header lines (RFC 3261 §8.2.6). Contract: edit.h.
 *
 * It also serves requests that the view refused, as far as their lines could be indexed: what is missing there is left
 * out here. */
#include "node/sip/edit.h"

static const struct {
    unsigned code;
    const char *phrase;
} phrases[] = {
    {100, "Trying"},
    {180, "Ringing"},
    {181, "Call Is Being Forwarded"},
    {182, "Queued"},
    {183, "Session Progress"},
    {199, "Early Dialog Terminated"},
    {200, "OK"},
    {202, "Accepted"},
    {204, "No Notification"},
    {300, "Multiple Choices"},
    {301, "Moved Permanently"},
    {302, "Moved Temporarily"},
    {305, "Use Proxy"},
    {380, "Alternative Service"},
    {400, "Bad Request"},
    {401, "Unauthorized"},
    {402, "Payment Required"},
    {403, "Forbidden"},
    {404, "Not Found"},
    {405, "Method Not Allowed"},
    {406, "Not Acceptable"},
    {407, "Proxy Authentication Required"},
    {408, "Request Timeout"},
    {410, "Gone"},
    {412, "Conditional Request Failed"},
    {413, "Request Entity Too Large"},
    {414, "Request-URI Too Long"},
    {415, "Unsupported Media Type"},
    {416, "Unsupported URI Scheme"},
    {420, "Bad Extension"},
    {421, "Extension Required"},
    {422, "Session Interval Too Small"},
    {423, "Interval Too Brief"},
    {430, "Flow Failed"},
    {433, "Anonymity Disallowed"},
    {439, "First Hop Lacks Outbound Support"},
    {440, "Max-Breadth Exceeded"},
    {480, "Temporarily Unavailable"},
    {481, "Call/Transaction Does Not Exist"},
    {482, "Loop Detected"},
    {483, "Too Many Hops"},
    {484, "Address Incomplete"},
    {485, "Ambiguous"},
    {486, "Busy Here"},
    {487, "Request Terminated"},
    {488, "Not Acceptable Here"},
    {489, "Bad Event"},
    {491, "Request Pending"},
    {493, "Undecipherable"},
    {500, "Server Internal Error"},
    {501, "Not Implemented"},
    {502, "Bad Gateway"},
    {503, "Service Unavailable"},
    {504, "Server Time-out"},
    {505, "Version Not Supported"},
    {513, "Message Too Large"},
    {580, "Precondition Failure"},
    {600, "Busy Everywhere"},
    {603, "Decline"},
    {604, "Does Not Exist Anywhere"},
    {606, "Not Acceptable"},
    {607, "Unwanted"},
};

const char *sip_reason_phrase(unsigned code)
{
    for (size_t i = 0; i < sizeof phrases / sizeof phrases[0]; i++) {
        if (phrases[i].code == code) return phrases[i].phrase;
    }
    return "";
}

static void add_line(struct buf *out, const struct sip_view *v, unsigned i)
{
    buf_add(out, v->data + v->lines[i].start, (size_t)(v->lines[i].end - v->lines[i].start));
}

static void add_all(struct buf *out, const struct sip_view *v, enum sip_header id)
{
    for (unsigned i = v->first[id]; i != SIP_NO_LINE; i = v->lines[i].next)
        add_line(out, v, i);
}

/* Only the first: a request with two From lines gets an answer with one. */
static void add_first(struct buf *out, const struct sip_view *v, enum sip_header id)
{
    if (v->first[id] != SIP_NO_LINE) add_line(out, v, v->first[id]);
}

void sip_via_with_received(const struct sip_view *v, struct slice received, uint16_t rport, struct buf *out)
{
    const struct sip_via_view *via = &v->via;
    const char *end = via->all.p + via->all.n;
    const char *p = via->all.p;
    struct {
        struct slice part;
        bool is_port;
    } cuts[2] = {{via->received_param, false}, {via->rport_param, true}};
    char digits[DECIMAL_TEXT];
    if (cuts[0].part.p == NULL || (cuts[1].part.p != NULL && cuts[1].part.p < cuts[0].part.p)) {
        cuts[0].part = via->rport_param;
        cuts[0].is_port = true;
        cuts[1].part = via->received_param;
        cuts[1].is_port = false;
    }
    for (unsigned i = 0; i < 2; i++) {
        if (cuts[i].part.p == NULL) continue;
        buf_add(out, p, (size_t)(cuts[i].part.p - p));
        if (cuts[i].is_port) {
            buf_text(out, "rport=");
            buf_slice(out, decimal_text(rport, digits));
        } else {
            buf_text(out, "received=");
            buf_slice(out, received);
        }
        p = cuts[i].part.p + cuts[i].part.n;
    }
    buf_add(out, p, (size_t)(end - p));
    if (via->received_param.p == NULL) {
        buf_text(out, ";received=");
        buf_slice(out, received);
    }
}

static void add_vias(struct buf *out, const struct sip_view *v, struct slice received, uint16_t rport)
{
    if (received.n == 0 || v->via.all.p == NULL) {
        add_all(out, v, SIP_VIA);
        return;
    }
    const struct sip_line *l = &v->lines[v->first[SIP_VIA]];
    const char *after = v->via.all.p + v->via.all.n;
    buf_add(out, v->data + l->start, (size_t)(v->via.all.p - (v->data + l->start)));
    sip_via_with_received(v, received, rport, out);
    buf_add(out, after, (size_t)(v->data + l->end - after));
    for (unsigned i = l->next; i != SIP_NO_LINE; i = v->lines[i].next)
        add_line(out, v, i);
}

static void add_to(struct buf *out, const struct sip_view *v, struct slice to_tag)
{
    if (v->first[SIP_TO] == SIP_NO_LINE) return;
    if (v->to_tag.n > 0 || to_tag.n == 0) {
        add_first(out, v, SIP_TO);
        return;
    }
    const struct sip_line *l = &v->lines[v->first[SIP_TO]];
    buf_add(out, v->data + l->start, (size_t)(l->value + l->value_len - l->start));
    buf_text(out, ";tag=");
    buf_slice(out, to_tag);
    buf_text(out, "\r\n");
}

static void add_identity(struct buf *out, const struct sip_view *v, struct slice to_tag)
{
    add_first(out, v, SIP_FROM);
    add_to(out, v, to_tag);
    add_first(out, v, SIP_CALL_ID);
    add_first(out, v, SIP_CSEQ);
}

/* Nothing half. */
static enum err ended(struct buf *out, size_t start)
{
    if (!out->failed) return ERR_OK;
    out->n = start;
    return ERR_NOMEM;
}

enum err sip_response_lines(const struct sip_view *v, struct slice to_tag, struct slice received, uint16_t rport,
                            struct buf *out)
{
    size_t start = out->n;
    add_vias(out, v, received, rport);
    add_identity(out, v, to_tag);
    return ended(out, start);
}

enum err sip_response_build(const struct sip_view *v, unsigned code, struct slice reason, struct slice to_tag,
                            struct slice received, uint16_t rport, struct slice extra, struct buf *out)
{
    char digits[DECIMAL_TEXT];
    struct slice timestamp = code == 100 ? sip_view_other(v, SLICE("Timestamp")) : SLICE_NONE;
    size_t start = out->n;
    buf_text(out, "SIP/2.0 ");
    buf_slice(out, decimal_text(code, digits));
    buf_text(out, " ");
    if (reason.n > 0) {
        buf_slice(out, reason);
    } else {
        buf_text(out, sip_reason_phrase(code));
    }
    buf_text(out, "\r\n");
    add_vias(out, v, received, rport);
    if (code > 100 && code < 300) add_all(out, v, SIP_RECORD_ROUTE);
    add_identity(out, v, to_tag);
    if (timestamp.p != NULL) {
        buf_text(out, "Timestamp: ");
        buf_slice(out, timestamp);
        buf_text(out, "\r\n");
    }
    buf_slice(out, extra);
    buf_text(out, "Content-Length: 0\r\n\r\n");
    return ended(out, start);
}
