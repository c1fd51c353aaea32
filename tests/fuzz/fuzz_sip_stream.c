/* fuzz_sip_stream: bytes as they come over TCP. The first two bytes say where the cuts are, the rest is the stream.
 *
 * Asserted: a message is incomplete until its last byte and the same whatever follows; what the stream form accepts,
 * the datagram form accepts too, with the same length; nothing waits for ever. */
#include <stdint.h>
#include <stdlib.h>

#include "node/sip/view.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define SIZE_MAX_HERE 2048

static enum sip_fault parse(struct sip_view *v, const char *p, size_t n, bool *answerable)
{
    /* An exact block for each length, so that a read past it is seen. */
    char *copy = malloc(n + (n == 0));
    if (copy == NULL) abort();
    memcpy(copy, p, n);
    enum sip_fault f = sip_view_parse_stream(v, copy, n, SIZE_MAX_HERE, answerable);
    ASSERT(v->len <= n && v->len <= SIZE_MAX_HERE);
    if (f == SIP_FAULT_INCOMPLETE) {
        ASSERT(n < SIZE_MAX_HERE && v->len == 0 && !*answerable);
    }
    if (f == SIP_FAULT_NONE) {
        struct sip_view datagram;
        ASSERT(v->len > 0);
        ASSERT(sip_view_parse(&datagram, copy, v->len, NULL) == SIP_FAULT_NONE && datagram.len == v->len);
    }
    free(copy);
    return f;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2 || size > 3 * SIZE_MAX_HERE) return 0;
    size_t step = 1 + data[0];
    const char *p = (const char *)data + 2;
    size_t n = size - 2;
    for (unsigned messages = 0; n > 0 && messages < 8; messages++) {
        struct sip_view whole;
        struct sip_view v;
        bool answerable = false;
        enum sip_fault f = parse(&whole, p, n, &answerable);
        if (f == SIP_FAULT_NONE) {
            for (size_t cut = data[1]; cut < whole.len; cut += step)
                ASSERT(parse(&v, p, cut, &answerable) == SIP_FAULT_INCOMPLETE);
            ASSERT(parse(&v, p, whole.len, &answerable) == SIP_FAULT_NONE && v.len == whole.len);
        } else if (f == SIP_FAULT_INCOMPLETE) {
            for (size_t cut = data[1]; cut < n; cut += step)
                ASSERT(parse(&v, p, cut, &answerable) == SIP_FAULT_INCOMPLETE);
        }
        if (whole.len == 0) return 0;
        p += whole.len;
        n -= whole.len;
    }
    return 0;
}
