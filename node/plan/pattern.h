/* pattern: what the match of a route, a block or an account's number says, and how it stands in the prefix index.
 *
 * Text forms: a prefix "6", "+49", "*21"; an exact number "=6001"; a range "8150-8379" of two bounds of equal length,
 * which matches the numbers whose first digits (as many as a bound has) lie within. Characters: 0-9 + * #.
 *
 * Index keys: a prefix is its own characters; an exact number is its characters and '='; a range becomes the fewest
 * prefixes that cover it (8150-8379: 815 816 .. 819 82 830 .. 837). A look-up searches for NUMBER "=", of which every
 * matching key is a prefix. Specificity, not key length, decides which match is longest: a prefix counts its
 * characters, a range those of a bound, an exact number LIMIT_NUMBER + 1. */
#ifndef TANDEM_PLAN_PATTERN_H
#define TANDEM_PLAN_PATTERN_H

#include "node/base/bytes.h"
#include "node/base/limits.h"

enum pattern_kind { PATTERN_PREFIX, PATTERN_EXACT, PATTERN_RANGE };

struct pattern {
    enum pattern_kind kind;
    struct slice low;  /* the prefix, the exact number, or the lower bound; points into the parsed text */
    struct slice high; /* the upper bound of a range */
};

/* ERR_SYNTAX / ERR_LIMIT with a text that shows the right form. */
MUST_CHECK enum err pattern_parse(struct slice text, struct pattern *p, struct err_info *info);
/* 1 .. LIMIT_NUMBER + 1. */
unsigned pattern_specificity(const struct pattern *p);
bool pattern_matches(const struct pattern *p, struct slice number);

/* The index keys of a pattern. A range of n-digit bounds has at most 18 * n keys. key is valid for the call. */
#define PATTERN_KEY_MAX (LIMIT_NUMBER + 1)
void pattern_keys(const struct pattern *p, void (*each)(void *ctx, struct slice key), void *ctx);

/* A plan number: 1 .. LIMIT_NUMBER characters of 0-9 + * #. */
bool number_valid(struct slice number);
/* A dialled user part -> the characters of a number: visual separators -.() and spaces dropped (RFC 3966 §5.1.1),
 * parameters after ';' dropped. ERR_SYNTAX when what remains is not a number; ERR_LIMIT when too long.
 * out holds LIMIT_NUMBER + 1 bytes. */
MUST_CHECK enum err number_normalise(struct slice dialled, char out[LIMIT_NUMBER + 1], size_t *len);
/* strip and prepend. ERR_LIMIT when the result exceeds LIMIT_NUMBER; stripping more than there is leaves only prepend.
 */
MUST_CHECK enum err number_rewrite(struct slice number, unsigned strip, struct slice prepend,
                                   char out[LIMIT_NUMBER + 1], size_t *len);

#endif
