/* fuzz_sip_name_addr: one value of From, To, Contact, Route or Record-Route, and lists of them.
 *
 * Asserted: what is accepted is taken apart without a gap: display, URI and parameters lie in the text in this order;
 * put together again it is accepted, with the same parts; a list is split into the same values whatever stands behind
 * it. */
#include <stdint.h>
#include <stdlib.h>

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

static bool lies_in(struct slice text, struct slice part)
{
    return part.n == 0 || (part.p >= text.p && part.p + part.n <= text.p + text.n);
}

static bool same(const struct sip_name_addr *a, const struct sip_name_addr *b)
{
    if (!slice_eq(a->uri_text, b->uri_text) || a->param_count != b->param_count) return false;
    for (size_t i = 0; i < a->param_count; i++) {
        if (!slice_eq(a->params[i].name, b->params[i].name)) return false;
        if (!slice_eq(a->params[i].value, b->params[i].value)) return false;
    }
    return slice_eq(a->display, b->display);
}

static void check_parts(struct arena *arena, struct slice text, const struct sip_name_addr *a)
{
    struct buf b = {0};
    struct sip_name_addr again;
    ASSERT(lies_in(text, a->display) && lies_in(text, a->uri_text) && a->uri_text.n > 0);
    ASSERT(a->display.n == 0 || a->display.p + a->display.n <= a->uri_text.p);
    buf_slice(&b, a->display);
    buf_text(&b, " <");
    buf_slice(&b, a->uri_text);
    buf_text(&b, ">");
    for (size_t i = 0; i < a->param_count; i++) {
        ASSERT(a->params[i].name.n > 0 && lies_in(text, a->params[i].name) && lies_in(text, a->params[i].value));
        ASSERT(a->params[i].name.p > a->uri_text.p);
        buf_text(&b, ";");
        buf_slice(&b, a->params[i].name);
        if (a->params[i].value.p != NULL) buf_text(&b, "=");
        buf_slice(&b, a->params[i].value);
    }
    if (b.failed) abort();
    enum err e = sip_name_addr_parse(arena, buf_view(&b), &again);
    ASSERT(e == ERR_OK ? same(a, &again) : b.n > SIP_VALUE_MAX);
    buf_fini(&b);
}

static void check_list(struct slice text)
{
    struct buf longer = {0};
    struct slice a;
    struct slice b;
    struct slice rest = text;
    buf_slice(&longer, text);
    buf_text(&longer, ",<sip:last@h>");
    if (longer.failed) abort();
    struct slice more = buf_view(&longer);
    /* Up to the last value, which an open quote or bracket may swallow. */
    while (sip_value_next(&rest, &a)) {
        if (rest.n == 0) break;
        ASSERT(sip_value_next(&more, &b) && slice_eq(a, b));
    }
    buf_fini(&longer);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena arena = {0};
    struct slice text = {(const char *)data, size};
    struct slice rest = text;
    struct slice one;
    struct sip_name_addr a;
    if (size == 0) return 0;
    for (size_t n = 0; n < 64 && sip_value_next(&rest, &one); n++) {
        if (sip_name_addr_parse(&arena, one, &a) == ERR_OK && !a.star) check_parts(&arena, one, &a);
    }
    check_list(text);
    arena_fini(&arena);
    return 0;
}
