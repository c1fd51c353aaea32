#include "node/edge/outbound.h"

#define INSTANCE_MAX 128

bool outbound_option(const struct sip_view *v, enum sip_header id, struct slice option)
{
    for (unsigned i = v->first[id]; i != SIP_NO_LINE; i = v->lines[i].next) {
        struct slice rest = sip_line_value(v, i);
        struct slice token;
        while (sip_value_next(&rest, &token)) {
            if (slice_eq_nocase(token, option)) return true;
        }
    }
    return false;
}

/* Whether the request came through a proxy: then it has more than one Via. */
static bool is_proxied(const struct sip_view *v)
{
    unsigned first = v->first[SIP_VIA];
    struct slice rest = sip_line_value(v, first);
    struct slice one;
    if (v->lines[first].next != SIP_NO_LINE) return true;
    return sip_value_next(&rest, &one) && sip_value_next(&rest, &one);
}

/* Whether the proxy next to the device keeps its flow: it is the last that the Path names. */
static bool first_hop_keeps_flow(struct arena *arena, const struct sip_view *v)
{
    struct sip_name_addr path;
    struct slice last = SLICE_NONE;
    for (unsigned i = v->first[SIP_PATH]; i != SIP_NO_LINE; i = v->lines[i].next) {
        struct slice rest = sip_line_value(v, i);
        struct slice one;
        while (sip_value_next(&rest, &one))
            last = one;
    }
    return last.p != NULL && sip_name_addr_parse(arena, last, &path) == ERR_OK && !path.star &&
           sip_uri_param(&path.uri, "ob").p != NULL;
}

/* "<urn:uuid:...>" in its angle brackets, which are a part of it. */
static bool read_instance(struct arena *arena, struct slice text, struct wanted_contact *c)
{
    struct slice inner = sip_unquote(text);
    bool whole = inner.n > 2 && inner.n <= INSTANCE_MAX && inner.p[0] == '<' && inner.p[inner.n - 1] == '>';
    for (size_t i = 0; whole && i < inner.n; i++)
        whole = inner.p[i] > ' ' && inner.p[i] < 0x7f && inner.p[i] != '"' && inner.p[i] != '\\';
    if (whole) c->instance = arena_copy(arena, inner);
    return whole;
}

unsigned outbound_read(struct arena *arena, const struct flow *from, const struct sip_view *v,
                       const struct sip_name_addr *contact, struct wanted_contact *c, enum registrar_counter *why)
{
    struct slice instance = sip_name_addr_param(contact, "+sip.instance");
    struct slice id = sip_name_addr_param(contact, "reg-id");
    uint64_t n = 0;
    *why = RC_refused_contact;
    c->instance = SLICE("");
    if (instance.p != NULL && !read_instance(arena, instance, c)) return 400;
    if (c->instance.p == NULL) {
        *why = RC_write_failed;
        return 500;
    }
    /* Without the device a flow of it means nothing: RFC 5626 §6. */
    if (id.p == NULL || c->instance.n == 0 || !outbound_option(v, SIP_SUPPORTED, SLICE("outbound"))) return 0;
    if (slice_u64(id, INT32_MAX, &n) != ERR_OK || n == 0) return 400;
    bool proxied = is_proxied(v);
    if (proxied && !first_hop_keeps_flow(arena, v)) {
        *why = RC_refused_outbound;
        return 439;
    }
    if (proxied || from->transport != PLAN_UDP) c->reg_id = (uint32_t)n;
    return 0;
}

void outbound_answer(const struct wanted *w, struct buf *lines)
{
    bool flow = false;
    for (size_t i = 0; i < w->contact_count; i++)
        flow = flow || w->contacts[i].reg_id > 0;
    if (flow) buf_printf(lines, "Require: outbound\r\nFlow-Timer: %d\r\n", OUTBOUND_FLOW_TIMER_S);
}
