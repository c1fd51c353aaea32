/* text: small helpers for what people wrote: is it decent text, how to show it in an error, and what was probably
 * meant. */
#ifndef TANDEM_PLAN_TEXT_H
#define TANDEM_PLAN_TEXT_H

#include "node/base/bytes.h"

/* s in double quotes for an error text: anything that a terminal could act on becomes '?', what is neither ASCII nor a
 * letter of a Latin alphabet is named, <U+00A0>, since it may look like something else or like nothing, and what is
 * long is cut with "...". Returns out. */
#define TEXT_SHOWN 72
const char *text_shown(struct slice s, char out[TEXT_SHOWN]);

/* Why a number that looks well is none, and what to do: the first character in it that is hard to tell from one that
 * belongs there, or that people put between digits. ": U+00A0 is a blank, take it out", or "" when it is nothing of the
 * kind. Returns out. */
#define TEXT_ODD 80
const char *text_odd(struct slice s, char out[TEXT_ODD]);

/* Well-formed UTF-8 (RFC 3629), whatever it says. */
bool text_is_utf8(struct slice s);

/* Well-formed UTF-8 (RFC 3629) without control characters, noncharacters U+FFFE and U+FFFF, or a byte order mark. */
bool text_valid(struct slice s);

/* Whether somebody who wrote got may have meant name: few insertions, deletions, changes or swapped neighbours apart
 * for their length. *distance (smaller is closer) is set when true. Both at most LIMIT_NAME characters, else false. */
bool text_near(struct slice got, struct slice name, unsigned *distance);

#endif
