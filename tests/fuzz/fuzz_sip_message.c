/* fuzz_sip_message: bytes -> view -> every accessor, every value parser, an answer, and an edit that must parse again.
 *
 * Asserted: every slice lies in the message; the lines cover the head in order; what was accepted is still accepted
 * after a proxy's edits, with the same headers and body but for the edits, and gives an answer that is accepted; an
 * answer to what was refused holds no NUL and no bare CR; a session description that is exchanged for another is found
 * again in its place. */
#include <stdint.h>
#include <stdlib.h>

#include "node/sip/body.h"
#include "node/sip/edit.h"
#include "node/sip/value.h"

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void)argc;
    (void)argv;
    sip_library_init();
    return 0;
}

static void inside(const struct sip_view *v, size_t size, struct slice s)
{
    if (s.p == NULL) return;
    ASSERT(s.p >= v->data && s.p <= v->data + size);
    ASSERT(s.n <= size - (size_t)(s.p - v->data));
}

static void check_slices(const struct sip_view *v, size_t size)
{
    const struct slice all[] = {v->method_text, v->uri,          v->uri_shape.scheme, v->reason,
                                v->body,        v->via.all,      v->via.transport,    v->via.host,
                                v->via.branch,  v->via.received, v->via.rport_param,  v->via.received_param,
                                v->from_tag,    v->to_tag,       v->call_id};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
        inside(v, size, all[i]);
    size_t at = v->first_line_end;
    for (unsigned i = 0; i < v->line_count; i++) {
        const struct sip_line *l = &v->lines[i];
        ASSERT(l->start >= at && l->start + l->name_len <= l->value && l->value + l->value_len <= l->end &&
               l->end <= size);
        at = l->end;
    }
    for (unsigned id = 0; id < SIP_HEADER_COUNT; id++) {
        unsigned steps = 0;
        inside(v, size, sip_view_value(v, (enum sip_header)id));
        for (unsigned i = v->first[id]; i != SIP_NO_LINE; i = v->lines[i].next) {
            ASSERT(v->lines[i].id == id && ++steps <= v->line_count);
            ASSERT(v->lines[i].next != SIP_NO_LINE || i == v->last[id]);
        }
    }
}

static void parse_values(const struct sip_view *v)
{
    struct arena arena = {0};
    for (unsigned i = 0; i < v->line_count; i++) {
        struct slice value = sip_line_value(v, i);
        struct slice rest = value;
        struct slice one;
        struct sip_name_addr a;
        struct sip_credentials c;
        struct sip_challenge ch;
        for (size_t n = 0; n < 64 && sip_value_next(&rest, &one); n++) {
            inside(v, v->head_end, one);
            (void)!sip_name_addr_parse(&arena, one, &a);
        }
        (void)!sip_credentials_parse(&arena, value, &c);
        (void)!sip_challenge_parse(&arena, value, &ch);
        (void)sip_unquote(value);
    }
    struct sip_uri uri;
    enum err e = sip_request_uri_parse(&arena, v, &uri);
    if (e == ERR_OK) (void)sip_uri_param(&uri, "lr");
    ASSERT(e != ERR_OK || sip_uri_parse(&arena, v->uri, &uri) == ERR_OK);
    (void)sip_view_other(v, SLICE("Subject"));
    arena_fini(&arena);
}

/* Faults that only mean that the message grew over a cap. */
static bool grown(enum sip_fault f)
{
    return f == SIP_FAULT_TOO_LARGE || f == SIP_FAULT_TOO_MANY || f == SIP_FAULT_LINE_TOO_LONG;
}

static void check_answer(const struct sip_view *v, bool accepted)
{
    struct buf out = {0};
    struct sip_view back;
    if (sip_response_build(v, accepted ? 200 : 400, SLICE_NONE, SLICE("tt"), SLICE("192.0.2.1"), 5060,
                           SLICE("X: y\r\n"), &out) != ERR_OK)
        abort();
    ASSERT(memchr(out.p, '\0', out.n) == NULL);
    for (size_t i = 0; i < out.n; i++)
        ASSERT(out.p[i] != '\r' || (i + 1 < out.n && out.p[i + 1] == '\n'));
    enum sip_fault f = sip_view_parse(&back, out.p, out.n, NULL);
    if (accepted) {
        ASSERT(f == SIP_FAULT_NONE || grown(f));
        ASSERT(f != SIP_FAULT_NONE ||
               (slice_eq(back.from_tag, v->from_tag) && slice_eq(back.call_id, v->call_id) && back.cseq == v->cseq));
        ASSERT(f != SIP_FAULT_NONE || slice_eq(back.via.branch, v->via.branch));
    }
    buf_fini(&out);
}

/* The values of a header, one after the other. */
struct values {
    const struct sip_view *v;
    unsigned line;
    struct slice rest;
};

static bool next_value(struct values *at, struct slice *value)
{
    while (at->line != SIP_NO_LINE) {
        if (at->rest.p == NULL) at->rest = sip_line_value(at->v, at->line);
        if (sip_value_next(&at->rest, value)) return true;
        at->line = at->v->lines[at->line].next;
        at->rest = SLICE_NONE;
    }
    return false;
}

/* Route: one put before, and up to two taken from the front. */
static void check_routes(const struct sip_view *v, const struct sip_view *back, unsigned choice)
{
    struct values before = {v, v->first[SIP_ROUTE], SLICE_NONE};
    struct values after = {back, back->first[SIP_ROUTE], SLICE_NONE};
    struct slice a;
    struct slice b;
    if (choice & 16) ASSERT(next_value(&after, &b) && slice_is(b, "<sip:192.0.2.9;lr>"));
    for (unsigned pop = 4; pop <= 8; pop *= 2)
        if (choice & pop) (void)next_value(&before, &a);
    while (next_value(&before, &a))
        ASSERT(next_value(&after, &b) && slice_eq(a, b));
    ASSERT(!next_value(&after, &b));
}

static unsigned skip_routes(const struct sip_view *v, unsigned at)
{
    while (at < v->line_count && v->lines[at].id == SIP_ROUTE)
        at++;
    return at;
}

/* Every other line is there, byte for byte, in its order, and no line more. */
static void check_lines(const struct sip_view *v, const struct sip_view *back, unsigned choice)
{
    unsigned at = 0;
    for (unsigned i = 0; i < v->line_count; i++) {
        const struct sip_line *l = &v->lines[i];
        if (l->id == SIP_ROUTE || ((choice & 256) && l->id == SIP_HEADER_OTHER)) continue;
        at = skip_routes(back, at);
        if ((choice & 1) && i == v->first[SIP_VIA]) at = skip_routes(back, at + 1); /* ours stands before it */
        ASSERT(at < back->line_count);
        const struct sip_line *m = &back->lines[at++];
        ASSERT(l->id == m->id);
        bool changed = ((choice & 64) && i == v->first[SIP_VIA]) ||
                       ((choice & 128) && v->max_forwards > 0 && l->id == SIP_MAX_FORWARDS);
        struct slice was = {v->data + l->start, (size_t)(l->end - l->start)};
        struct slice is = {back->data + m->start, (size_t)(m->end - m->start)};
        ASSERT(changed || slice_eq(was, is));
    }
    at = skip_routes(back, at);
    ASSERT(at + ((choice & 2) != 0) == back->line_count);
    check_routes(v, back, choice);
}

static void check_sdp(const struct sip_view *v)
{
    char digits[DECIMAL_TEXT];
    struct sip_edits e;
    struct buf out = {0};
    struct sip_view back;
    struct slice sdp = SLICE_NONE;
    struct slice text = SLICE("v=0\r\n");
    if (!sip_body_sdp(v, &sdp)) return;
    inside(v, v->len, sdp);
    ASSERT(sdp.n > 0);
    sip_edits_init(&e, v);
    ASSERT(sip_body_exchange(&e, text, digits) == v->body.n - sdp.n + text.n);
    if (sip_edit_apply(&e, &out) != ERR_OK) abort();
    enum sip_fault f = sip_view_parse(&back, out.p, out.n, NULL);
    ASSERT(f == SIP_FAULT_NONE || grown(f));
    ASSERT(f != SIP_FAULT_NONE || (sip_body_sdp(&back, &sdp) && slice_eq(sdp, text)));
    buf_fini(&out);
}

static void check_edit(const struct sip_view *v, unsigned choice)
{
    struct sip_edits e;
    struct buf out = {0};
    struct buf via = {0};
    struct sip_view back;
    sip_edits_init(&e, v);
    if (choice & 1) sip_edit_insert_before(&e, SIP_VIA, SLICE("Via: SIP/2.0/UDP 192.0.2.9;branch=z9hG4bKx\r\n"));
    if (choice & 2) sip_edit_append(&e, SLICE("X-One: 1\r\n"));
    if (choice & 4) sip_edit_pop_value(&e, SIP_ROUTE);
    if (choice & 8) sip_edit_pop_value(&e, SIP_ROUTE);
    if (choice & 16) sip_edit_insert_before(&e, SIP_ROUTE, SLICE("Route: <sip:192.0.2.9;lr>\r\n"));
    if ((choice & 32) && v->request) sip_edit_replace(&e, v->uri, SLICE("sip:new@192.0.2.9"));
    if (choice & 64) {
        sip_via_with_received(v, SLICE("192.0.2.1"), 5070, &via);
        sip_edit_replace(&e, v->via.all, buf_view(&via));
    }
    if ((choice & 128) && v->max_forwards > 0) sip_edit_replace(&e, sip_view_value(v, SIP_MAX_FORWARDS), SLICE("7"));
    for (unsigned i = 0; i < v->line_count && (choice & 256); i++) {
        if (v->lines[i].id == SIP_HEADER_OTHER) sip_edit_remove_line(&e, i);
    }
    if (e.failed) {
        ASSERT(v->line_count > 32); /* too many lines to remove */
    } else {
        if (sip_edit_apply(&e, &out) != ERR_OK) abort();
        enum sip_fault f = sip_view_parse(&back, out.p, out.n, NULL);
        ASSERT(f == SIP_FAULT_NONE || grown(f));
        ASSERT(f != SIP_FAULT_NONE || (slice_eq(back.body, v->body) && slice_eq(back.to_tag, v->to_tag)));
        if (f == SIP_FAULT_NONE) check_lines(v, &back, choice);
    }
    buf_fini(&out);
    buf_fini(&via);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct sip_view v;
    bool answerable = false;
    unsigned choice = (unsigned)size;
    if (size == 0) return 0;
    enum sip_fault f = sip_view_parse(&v, (const char *)data, size, &answerable);
    for (size_t i = 0; i < size; i++)
        choice = choice * 31 + data[i];
    if (f == SIP_FAULT_FIRST_LINE) return 0;
    check_slices(&v, size);
    parse_values(&v);
    if (f == SIP_FAULT_NONE) {
        check_edit(&v, choice);
        check_sdp(&v);
        if (v.request) check_answer(&v, true);
    } else if (answerable) {
        check_answer(&v, false);
    }
    return 0;
}
