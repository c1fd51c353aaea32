/* identity: who this node is in its cluster: the files that "clusterctl node join" left in DATA/tls.
 *
 * A node on its own (no mesh) needs none of them: it makes a random key of its own at its first start. */
#ifndef TANDEM_APP_IDENTITY_H
#define TANDEM_APP_IDENTITY_H

#include "node/app/config.h"
#include "node/base/hash.h"

struct identity {
    unsigned char cluster_key[HASH_KEY_LEN]; /* secret: cookies, nonces and seals are derived from it */
    bool has_other_key;
    unsigned char other_key[HASH_KEY_LEN]; /* cookies and nonces made with it are taken too, while keys are exchanged */
    const char *cluster;                   /* cluster id as in the certificates, "" on its own */
    const char *ca_file;                   /* NULL on its own without certificates */
    const char *cert_file;
    const char *key_file;
    uint64_t issued; /* when the certificate says that it was, seconds since 1970; 0: it does not say */
    const char *seeds[CONFIG_SEEDS_MAX];
    size_t seed_count;
};

/* Reads DATA/tls; makes DATA and, for a node on its own, DATA/node.key where they are missing. Texts live in arena.
 * ERR_NOTFOUND a file is missing (which, and what to run), ERR_SYNTAX, ERR_AUTH (of another cluster or node than
 * the configuration says), ERR_IO. */
MUST_CHECK enum err identity_load(struct arena *arena, const struct config *config, struct identity *out,
                                  struct err_info *info);

#endif
