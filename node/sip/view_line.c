/* view_line: where a line ends. Contract: view_parts.h.
 *
 * All that a line must not hold, and its end, are control characters up to CR. One search finds them all; a line of
 * text has but one of them, its CR, and a tab now and then. */
#include "node/sip/block.h"
#include "node/sip/view_parts.h"

/* at: a control character up to CR. Whether the line ends with it; if not, whether the line is still clean. */
static inline bool ends_at(const char *at, const char *end, struct sip_line_end *line)
{
    if (*at == '\r' && at + 1 < end && at[1] == '\n') {
        line->p = at + 2;
        return true;
    }
    if (*at == '\n') {
        *line = (struct sip_line_end){at + 1, false};
        return true;
    }
    if (*at == '\r' || *at == '\0') line->clean = false;
    return false;
}

struct sip_line_end sip_line_end(const char *p, const char *end)
{
    struct sip_line_end line = {NULL, true};
    ptrdiff_t i = p - end;
    for (; i <= -BLOCK; i += BLOCK) {
        for (unsigned mask = block_upto(end + i, '\r'); mask != 0; mask &= mask - 1) {
            if (ends_at(end + i + block_first(mask), end, &line)) return line;
        }
    }
    for (; i < 0; i++) {
        if ((unsigned char)end[i] <= '\r' && ends_at(end + i, end, &line)) return line;
    }
    return (struct sip_line_end){NULL, false};
}
