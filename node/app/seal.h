/* seal: secrets that our own client must be able to read again (the password of a registration elsewhere), encrypted
 * with a key derived from the cluster key: AES-256-GCM, nonce and tag in front. Every node of the cluster can open what
 * any of them sealed. */
#ifndef TANDEM_APP_SEAL_H
#define TANDEM_APP_SEAL_H

#include "node/base/hash.h"

#define SEAL_OVERHEAD 28 /* 12 bytes nonce, 16 bytes tag */

/* Appends the sealed form of text. name binds it to its place ("trunk/carrier"). ERR_IO no random bytes, ERR_NOMEM. */
MUST_CHECK enum err seal(const unsigned char cluster_key[HASH_KEY_LEN], struct slice name, struct slice text,
                         struct buf *out);
/* ERR_AUTH: sealed with another key, for another name, or damaged. */
MUST_CHECK enum err unseal(const unsigned char cluster_key[HASH_KEY_LEN], struct slice name, struct slice sealed,
                           struct buf *out);

#endif
