/* text: what may go to a terminal, what JSON accepts, and how near two words are. */
#ifndef TANDEM_CLI_TEXT_H
#define TANDEM_CLI_TEXT_H

#include "node/base/bytes.h"

/* Appends s as valid UTF-8: each byte that is not part of it becomes U+FFFD. */
void text_utf8(struct buf *out, struct slice s);
/* Appends s as one line that cannot steer a terminal: bytes that are not UTF-8, control characters (C0, DEL, C1, line
 * and paragraph separators) and those that reorder text become '?'. A Call-ID is chosen by strangers. */
void text_safe(struct buf *out, struct slice s);
/* The same, but line feeds and tabs stay: for documents. */
void text_safe_lines(struct buf *out, struct slice s);

/* Edits (insert, delete, replace, swap neighbours) from a to b; words over 64 characters count as far apart. */
unsigned text_distance(const char *a, const char *b);
/* The one of count words that is nearest to word and near enough to be meant; NULL when none is. */
const char *text_nearest(const char *word, const char *const *words, size_t count);

#endif
