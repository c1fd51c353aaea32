/* cloak: text that only holders of a key can read or make, in characters that may stand anywhere in a URI.
 *
 * Deterministic (AES-SIV, RFC 5297): the same text gives the same cloak, so that what is sent twice looks the same both
 * times; that two texts are equal is all that can be seen. Anything that was not made with the key is refused. */
#ifndef TANDEM_BASE_CLOAK_H
#define TANDEM_BASE_CLOAK_H

#include "node/base/hash.h"

struct cloak;

/* One thread at a time. NULL: no memory, or libcrypto has no AES-SIV. */
struct cloak *cloak_new(const unsigned char key[HASH_KEY_LEN]);
void cloak_free(struct cloak *c); /* NULL allowed; wipes the key */

#define CLOAK_MAX 4096
/* Characters for n bytes of text. */
#define CLOAK_LEN(n) (((n) + 16 + 2) / 3 * 4)
/* Appends the cloak of text: letters, digits, '-' and '_'. ERR_LIMIT: text is empty or over CLOAK_MAX bytes. ERR_NOMEM.
 */
MUST_CHECK enum err cloak_put_on(struct cloak *c, struct slice text, struct buf *out);
/* Appends the text. ERR_AUTH: it was not made with this key, or is none. ERR_NOMEM. */
MUST_CHECK enum err cloak_take_off(struct cloak *c, struct slice cloak, struct buf *out);

#endif
