/* view_field: the values that every message must have: the topmost Via, tags, Call-ID, CSeq, Max-Forwards,
 * Content-Length.
 *
 * Not through libosip2: these are needed of every message, and it accepts too much. */
#include "node/sip/scan.h"
#include "node/sip/view_parts.h"

#define VIA_PARAMS_MAX 32
#define CSEQ_MAX 0x7fffffffU

/* A token and "/", with white space anywhere between; returns what follows. */
static const char *protocol_part(const char *p, const char *end, struct slice *part)
{
    part->p = p;
    p = sip_skip(p, end, SIP_CH_TOKEN);
    part->n = (size_t)(p - part->p);
    p = sip_skip_space(p, end);
    if (p == end || *p != '/') return NULL;
    return sip_skip_space(p + 1, end);
}

/* "SIP" "/" version "/", written in another way than usual or of another version, whose sender gets an answer. */
COLD static const char *other_protocol(const char *p, const char *end, bool *two)
{
    struct slice name;
    struct slice version;
    p = protocol_part(p, end, &name);
    if (p == NULL || !sip_is_word(name, "sip")) return NULL;
    p = protocol_part(p, end, &version);
    if (p == NULL) return NULL;
    *two = slice_is(version, "2.0");
    return *two || (version.n >= 3 && sip_char_is(version.p[0], SIP_CH_DIGIT)) ? p : NULL;
}

/* "SIP" "/" "2.0" "/" transport; returns what follows. */
static const char *via_protocol(const char *p, const char *end, struct slice *transport, bool *two)
{
    const struct slice usual = SLICE("SIP/2.0/");
    *two = slice_starts((struct slice){p, (size_t)(end - p)}, usual);
    p = *two ? sip_skip_space(p + usual.n, end) : other_protocol(p, end, two);
    if (p == NULL) return NULL;
    transport->p = p;
    p = sip_skip(p, end, SIP_CH_TOKEN);
    transport->n = (size_t)(p - transport->p);
    if (transport->n == 0 || p == end || !sip_char_is(*p, SIP_CH_SPACE)) return NULL;
    return sip_skip_space(p, end);
}

static bool via_param(struct sip_via_view *via, const struct sip_param_span *param)
{
    struct slice all = {param->start, (size_t)(param->end - param->start)};
    if (sip_is_word(param->name, "branch")) {
        if (via->branch.n > 0 || (param->value.n > 0 && param->value.p[0] == '"')) return false;
        via->branch = param->value;
    } else if (sip_is_word(param->name, "rport")) {
        via->rport = true;
        via->rport_param = all;
    } else if (sip_is_word(param->name, "received")) {
        via->received = param->value;
        via->received_param = all;
    }
    return true;
}

bool sip_parse_via(struct sip_view *v, bool *two)
{
    if (v->first[SIP_VIA] == SIP_NO_LINE) return false;
    struct slice value = sip_line_value(v, v->first[SIP_VIA]);
    const char *end = value.p + value.n;
    struct sip_via_view *via = &v->via;
    const char *p = via_protocol(value.p, end, &via->transport, two);
    if (p == NULL) return false;
    p = sip_scan_host_port(p, end, &via->host, &via->port);
    if (p == NULL) return false;
    const char *last = p;
    p = sip_skip_space(p, end);
    for (unsigned count = 0; p < end && *p == ';'; count++) {
        struct sip_param_span param;
        p = sip_scan_param(p + 1, end, &param);
        if (p == NULL || count == VIA_PARAMS_MAX || !via_param(via, &param)) return false;
        last = param.end;
    }
    via->all = (struct slice){value.p, (size_t)(last - value.p)};
    if (p == end) return true;
    if (*p != ',') return false;
    p = sip_skip_space(p + 1, end);
    via->more = p < end;
    via->next_value = (size_t)(p - v->data);
    return via->more; /* a comma with nothing behind it */
}

size_t sip_count_vias(const struct sip_view *v)
{
    size_t count = 0;
    for (unsigned i = v->first[SIP_VIA]; i != SIP_NO_LINE; i = v->lines[i].next) {
        struct slice value = sip_line_value(v, i);
        const char *end = value.p + value.n;
        count++;
        for (const char *p = value.p; (p = memchr(p, ',', (size_t)(end - p))) != NULL; p++)
            count++;
    }
    return count;
}

/* text begins with a semicolon. */
COLD static bool tag_among_params(struct slice text, struct slice *tag)
{
    const char *p = text.p;
    const char *end = text.p + text.n;
    while (p < end) {
        struct sip_param_span param;
        if (*p != ';') return false;
        p = sip_scan_param(p + 1, end, &param);
        if (p == NULL) return false;
        if (!sip_is_word(param.name, "tag")) continue;
        /* A second tag would let two readers see two dialogs. */
        if (tag->n > 0 || param.value.n == 0 || param.value.p[0] == '"') return false;
        *tag = param.value;
    }
    return true;
}

static bool parse_tag(struct slice value, struct slice *tag)
{
    const struct slice usual = SLICE(";tag=");
    struct sip_addr_shape shape;
    if (!sip_scan_addr(value, &shape)) return false;
    struct slice params = shape.params;
    if (params.n == 0) return true;
    if (params.n > usual.n && slice_starts(params, usual)) {
        *tag = (struct slice){params.p + usual.n, params.n - usual.n};
        if (sip_skip_value(tag->p, tag->p + tag->n) == tag->p + tag->n) return true;
        *tag = SLICE_NONE;
    }
    return tag_among_params(params, tag);
}

/* Any visible ASCII. */
static bool parse_call_id(struct slice value)
{
    const char *end = value.p + value.n;
    const char *p = value.p;
    while ((p = sip_skip_value(p, end)) < end && *p > ' ' && *p < 0x7f) /* char may be signed: from 0x80 refused too */
        p++;
    return p == end && value.n > 0;
}

static bool parse_cseq(struct sip_view *v, struct slice value)
{
    const char *end = value.p + value.n;
    const char *p = sip_skip(value.p, end, SIP_CH_DIGIT);
    uint64_t number = 0;
    if (slice_u64((struct slice){value.p, (size_t)(p - value.p)}, CSEQ_MAX, &number) != ERR_OK) return false;
    const char *word = sip_skip_space(p, end);
    if (word == p) return false;
    struct slice method = {word, (size_t)(end - word)};
    if (method.n == 0 || sip_skip(word, end, SIP_CH_TOKEN) != end) return false;
    v->cseq = (uint32_t)number;
    if (v->request) return slice_eq(method, v->method_text);
    v->method = sip_method_of(method);
    v->method_text = method;
    return true;
}

enum sip_fault sip_parse_fields(struct sip_view *v)
{
    enum sip_fault fault = SIP_FAULT_NONE;
    uint64_t hops = 0;
    struct slice from = sip_view_value(v, SIP_FROM);
    struct slice to = sip_view_value(v, SIP_TO);
    struct slice cseq = sip_view_value(v, SIP_CSEQ);
    struct slice max_forwards = sip_view_value(v, SIP_MAX_FORWARDS);
    v->call_id = sip_view_value(v, SIP_CALL_ID);
    if (from.p == NULL || to.p == NULL || cseq.p == NULL || v->call_id.p == NULL) fault = SIP_FAULT_MISSING;
    if (from.p != NULL && !parse_tag(from, &v->from_tag) && fault == SIP_FAULT_NONE) fault = SIP_FAULT_VALUE;
    if (to.p != NULL && !parse_tag(to, &v->to_tag) && fault == SIP_FAULT_NONE) fault = SIP_FAULT_VALUE;
    if (v->call_id.p != NULL && !parse_call_id(v->call_id) && fault == SIP_FAULT_NONE) fault = SIP_FAULT_VALUE;
    if (cseq.p != NULL && !parse_cseq(v, cseq) && fault == SIP_FAULT_NONE) fault = SIP_FAULT_CSEQ;
    if (max_forwards.p != NULL) {
        if (slice_u64(max_forwards, 255, &hops) == ERR_OK) {
            v->max_forwards = (int)hops;
        } else if (fault == SIP_FAULT_NONE) {
            fault = SIP_FAULT_VALUE;
        }
    }
    return fault;
}

bool sip_content_length(const struct sip_view *v, size_t *length)
{
    uint64_t n = 0;
    struct slice value = sip_view_value(v, SIP_CONTENT_LENGTH);
    if (value.p == NULL || slice_u64(value, 1000000000, &n) != ERR_OK) return false;
    *length = (size_t)n;
    return true;
}
