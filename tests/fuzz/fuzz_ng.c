/* fuzz_ng: what a media relay may say. Asserted: what is understood lies in the datagram, has a cookie, and does not
 * name a result that is none. */
#include <stdint.h>

#include "node/sip/ng.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void inside(struct slice datagram, struct slice s)
{
    if (s.p == NULL || s.n == 0) return;
    ASSERT(s.p >= datagram.p && s.p + s.n <= datagram.p + datagram.n);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice datagram = {(const char *)data, size};
    struct ng_reply r;
    if (ng_reply_parse(datagram, &r) != ERR_OK) return 0;
    ASSERT(r.cookie.n > 0 && memchr(r.cookie.p, ' ', r.cookie.n) == NULL);
    inside(datagram, r.cookie);
    inside(datagram, r.reason);
    inside(datagram, r.sdp);
    return 0;
}
