#include "node/edge/session.h"

#include <stdio.h>

/* Seconds at the start of a value, before parameters; 0: none that can be read. */
static uint32_t delta_of(struct slice value)
{
    uint32_t s = 0;
    size_t i = 0;
    for (; i < value.n && value.p[i] >= '0' && value.p[i] <= '9'; i++) {
        if (s > 100000000) return 0;
        s = s * 10 + (uint32_t)(value.p[i] - '0');
    }
    bool ends = i == value.n || value.p[i] == ';' || value.p[i] == ' ' || value.p[i] == '\t';
    return i > 0 && ends ? s : 0;
}

static bool has_timer(const struct sip_view *v)
{
    for (unsigned i = v->first[SIP_SUPPORTED]; i != SIP_NO_LINE; i = v->lines[i].next) {
        struct slice rest = sip_line_value(v, i);
        struct slice token;
        while (sip_value_next(&rest, &token)) {
            if (slice_eq_nocase(token, SLICE("timer"))) return true;
        }
    }
    return false;
}

static bool concerns(const struct sip_view *v)
{
    return v->method == SIP_INVITE || v->method == SIP_UPDATE;
}

bool session_usable(struct arrival *a)
{
    struct edge *e = a->e;
    if (!concerns(a->v) || a->v->first[SIP_SESSION_EXPIRES] == SIP_NO_LINE) return true;
    uint32_t s = delta_of(sip_view_value(a->v, SIP_SESSION_EXPIRES));
    if (s == 0) {
        proxy_arrival_refuse(a, EC_refused_syntax, 400, SLICE(""));
        return false;
    }
    if (s >= SESSION_MIN_S || !has_timer(a->v)) return true;
    buf_reset(&e->lines);
    buf_printf(&e->lines, "Min-SE: %d\r\n", SESSION_MIN_S);
    proxy_arrival_refuse(a, EC_refused_session_interval, 422, buf_view(&e->lines));
    return false;
}

void session_ask(struct relay *r, const struct sip_view *v)
{
    if (!concerns(v)) return;
    uint32_t least = delta_of(sip_view_other(v, SLICE("Min-SE")));
    r->caller_refreshes = has_timer(v);
    if (v->first[SIP_SESSION_EXPIRES] != SIP_NO_LINE) {
        r->session_s = delta_of(sip_view_value(v, SIP_SESSION_EXPIRES));
        r->session_raised = r->session_s < SESSION_MIN_S;
        if (r->session_raised) r->session_s = least > SESSION_MIN_S ? least : SESSION_MIN_S;
        return;
    }
    if (!r->invite || r->edge->o.session_s == 0) return;
    r->session_s = least > r->edge->o.session_s ? least : r->edge->o.session_s;
    r->session_added = true;
}

void session_request_lines(struct edge *e, const struct relay *r, const struct sip_view *v)
{
    if (r->session_added) {
        char digits[DECIMAL_TEXT];
        buf_text(&e->lines, "Session-Expires: ");
        buf_slice(&e->lines, decimal_text(r->session_s, digits));
        buf_text(&e->lines, "\r\n");
    }
    if (r->session_raised && sip_view_other(v, SLICE("Min-SE")).p == NULL)
        buf_printf(&e->lines, "Min-SE: %u\r\n", (unsigned)r->session_s);
}

void session_edits(const struct relay *r, const struct sip_view *v, char text[SESSION_TEXT], struct sip_edits *edits)
{
    if (!r->session_raised) return;
    int n = snprintf(text, SESSION_TEXT, "%u", (unsigned)r->session_s);
    struct slice least = sip_view_other(v, SLICE("Min-SE"));
    sip_edit_replace(edits, sip_view_value(v, SIP_SESSION_EXPIRES), (struct slice){text, (size_t)n});
    if (least.p != NULL) sip_edit_replace(edits, least, (struct slice){text, (size_t)n});
}

uint32_t session_agreed(const struct relay *r, const struct sip_view *response, char text[SESSION_LINES],
                        struct slice *lines)
{
    *lines = SLICE("");
    if (response->first[SIP_SESSION_EXPIRES] != SIP_NO_LINE)
        return delta_of(sip_view_value(response, SIP_SESSION_EXPIRES));
    /* The callee knows nothing of it; the caller does, and is told to keep it up (RFC 4028 §8.2). */
    if (r->session_s == 0 || !r->caller_refreshes) return 0;
    char digits[DECIMAL_TEXT];
    struct buf b = {.p = text, .cap = SESSION_LINES}; /* never grows: a number of 32 bits fits */
    buf_text(&b, "Require: timer\r\nSession-Expires: ");
    buf_slice(&b, decimal_text(r->session_s, digits));
    buf_text(&b, ";refresher=uac\r\n");
    *lines = buf_view(&b);
    return r->session_s;
}
