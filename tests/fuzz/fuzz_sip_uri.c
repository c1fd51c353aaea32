/* fuzz_sip_uri: one header value as URI, address, list, credentials and challenge.
 *
 * Asserted: what an address holds as its URI is a URI by itself; a host is never empty in sip; the number holds no
 * control characters; an accepted URI is accepted as a Request-URI too. */
#include <stdint.h>
#include <stdio.h>
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

static bool has_control(struct slice s)
{
    for (size_t i = 0; i < s.n; i++) {
        if ((unsigned char)s.p[i] < ' ' || s.p[i] == 0x7f) return true;
    }
    return false;
}

static void check_uri(const struct sip_uri *uri, struct slice text)
{
    char message[SIP_VALUE_MAX + 256];
    struct sip_view v;
    bool sip = slice_is(uri->scheme, "sip") || slice_is(uri->scheme, "sips");
    ASSERT(uri->scheme.n > 0 && uri->param_count <= SIP_PARAMS_MAX);
    ASSERT(!sip || uri->host.n > 0);
    ASSERT(!slice_is(uri->scheme, "tel") || uri->number.n > 0);
    ASSERT(!has_control(uri->number) && !has_control(uri->user) && !has_control(uri->host));
    for (size_t i = 0; i < uri->param_count; i++) {
        ASSERT(uri->params[i].name.n > 0);
        ASSERT(!has_control(uri->params[i].name) && !has_control(uri->params[i].value));
    }
    int n = snprintf(message, sizeof message,
                     "OPTIONS %.*s SIP/2.0\r\nVia: SIP/2.0/UDP h\r\nFrom: <sip:a@h>\r\nTo: <sip:b@h>\r\nCall-ID: "
                     "c\r\nCSeq: 1 OPTIONS\r\n\r\n",
                     SLICE_ARG(text));
    ASSERT(n > 0 && (size_t)n < sizeof message);
    ASSERT(text.n > SIP_LINE_MAX - 32 || sip_view_parse(&v, message, (size_t)n, NULL) == SIP_FAULT_NONE);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena arena = {0};
    struct slice text = {(const char *)data, size};
    struct slice rest = text;
    struct slice one;
    struct sip_uri uri;
    struct sip_name_addr a;
    struct sip_credentials c;
    struct sip_challenge ch;
    if (size == 0) return 0;
    if (sip_uri_parse(&arena, text, &uri) == ERR_OK) check_uri(&uri, text);
    if (sip_name_addr_parse(&arena, text, &a) == ERR_OK && !a.star) {
        if (sip_uri_parse(&arena, a.uri_text, &uri) != ERR_OK) abort();
        check_uri(&a.uri, a.uri_text);
        (void)sip_name_addr_param(&a, "tag");
    }
    for (size_t total = 0; sip_value_next(&rest, &one); total += one.n)
        ASSERT(one.n > 0 && total + one.n <= size);
    (void)!sip_credentials_parse(&arena, text, &c);
    (void)!sip_challenge_parse(&arena, text, &ch);
    arena_fini(&arena);
    return 0;
}
