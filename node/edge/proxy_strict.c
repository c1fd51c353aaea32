/* proxy_strict: neighbours that are strict routers, as RFC 2543 knew them: without lr in its Route value the next one
 * wants to be the Request-URI, and what that was comes last in the Route set (RFC 3261 §16.4, §16.6 item 6). Both ways
 * are brought to and from the form of a loose router, so that nothing else has to know of it. */
#include "node/edge/proxy_arrival.h"

/* ---- from a strict router ---- */

/* Its last value, and the part of the message that goes with it: the whole line when it has no other. */
static bool last_route(const struct sip_view *v, struct slice *value, struct slice *part)
{
    for (unsigned i = v->first[SIP_ROUTE]; i != SIP_NO_LINE; i = v->lines[i].next) {
        const struct sip_line *line = &v->lines[i];
        struct slice rest = sip_line_value(v, i);
        *part = (struct slice){v->data + line->start, (size_t)(line->end - line->start)};
        while (sip_value_next(&rest, value)) {
            if (rest.n == 0) break;
            const char *end = value->p + value->n; /* another one follows: that one goes from here on */
            struct slice line_value = sip_line_value(v, i);
            *part = (struct slice){end, (size_t)(line_value.p + line_value.n - end)};
        }
    }
    return v->first[SIP_ROUTE] != SIP_NO_LINE;
}

/* The Request-URI is a Record-Route of ours: the message as a loose router would have sent it, in out. */
static bool rewritten(struct edge *e, const struct sip_view *v, struct buf *out)
{
    struct sip_uri uri;
    struct sip_name_addr last;
    struct slice value = SLICE("");
    struct slice part = SLICE("");
    struct sip_edits edits;
    struct buf line = {0};
    if (sip_request_uri_parse(&e->scratch, v, &uri) != ERR_OK || !edge_is_ours(e, &uri) ||
        sip_uri_param(&uri, "ck").p == NULL || !last_route(v, &value, &part) ||
        sip_name_addr_parse(&e->scratch, value, &last) != ERR_OK || last.star)
        return false;
    buf_printf(&line, "Route: <%.*s>\r\n", SLICE_ARG(v->uri));
    sip_edits_init(&edits, v);
    sip_edit_replace(&edits, v->uri, last.uri_text);
    sip_edit_insert(&edits, v->first_line_end, buf_view(&line));
    sip_edit_replace(&edits, part, SLICE(""));
    bool done = !line.failed && sip_edit_apply(&edits, out) == ERR_OK;
    if (!done) edge_count(e, EC_no_memory);
    buf_fini(&line);
    return done;
}

bool proxy_strict_suspected(const struct sip_view *v)
{
    return v->to_tag.n > 0 && v->first[SIP_ROUTE] != SIP_NO_LINE && memmem(v->uri.p, v->uri.n, ";ck=", 4) != NULL;
}

bool proxy_strict_undo(struct edge *e, const struct sip_view *v, struct buf *text, struct sip_view *loose)
{
    return rewritten(e, v, text) && sip_view_parse_kept(loose, text->p, text->n) == SIP_FAULT_NONE;
}

/* ---- to a strict router ---- */

static void add_value(struct buf *out, struct slice value)
{
    if (out->n > 0) buf_text(out, ", ");
    buf_slice(out, value);
}

bool proxy_strict_hop(struct arrival *a, struct slice request_uri, struct edge_hop *hop)
{
    const struct sip_view *v = a->v;
    struct buf list = {0};
    struct slice value;
    struct slice hidden = a->hidden_route;
    unsigned passed = a->routes.own + (hidden.n == 0); /* of the message's: ours, and the next one's */
    unsigned count = 0;
    (void)sip_value_next(&hidden, &value);
    while (sip_value_next(&hidden, &value))
        add_value(&list, value);
    for (unsigned i = v->first[SIP_ROUTE]; i != SIP_NO_LINE; i = v->lines[i].next) {
        struct slice rest = sip_line_value(v, i);
        while (sip_value_next(&rest, &value)) {
            if (++count > passed) add_value(&list, value);
        }
    }
    add_value(&list, SLICE("<"));
    buf_slice(&list, request_uri);
    buf_text(&list, ">");
    hop->route = list.failed ? SLICE_NONE : arena_copy(&a->e->scratch, buf_view(&list));
    hop->request_uri = a->routes.next_text;
    a->routes.pops = count;
    buf_fini(&list);
    return hop->route.p != NULL && count <= UINT8_MAX;
}
