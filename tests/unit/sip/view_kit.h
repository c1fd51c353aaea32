/* view_kit: what the tests of the view share. After cmocka.h. */
#ifndef TANDEM_TESTS_SIP_VIEW_KIT_H
#define TANDEM_TESTS_SIP_VIEW_KIT_H

#include <stdlib.h>

#include "node/sip/view.h"
#include "tests/unit/sip/message.h"

/* The view over an exact heap block, so that the sanitizer sees a read past its end. The block is freed by the caller.
 */
static inline char *exact(const char *text, size_t n)
{
    char *copy = malloc(n + (n == 0));
    assert_non_null(copy);
    memcpy(copy, text, n);
    return copy;
}

static inline void assert_slice(struct slice s, const char *expected)
{
    if (!slice_is(s, expected)) fail_msg("\"%.*s\" is not \"%s\"", SLICE_ARG(s), expected);
}

#endif
