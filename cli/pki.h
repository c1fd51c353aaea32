/* pki: the cluster's own certificate authority: one directory with its key, and the certificates that it issues to
 * nodes.
 *
 *   DIR/ca.key       ECDSA P-256 private key, PEM, mode 0600: whoever holds it can add nodes. It never leaves the
 * directory. DIR/ca.pem       the self-signed CA certificate: CN "Tandem CA NAME", O = cluster id (NAME and 8 random
 * hex digits) DIR/cluster.key  32 random bytes as 64 hex digits, mode 0600
 *
 * A node's certificate: CN = node name, O = cluster id, OU = site, serialNumber = when it was issued (seconds since
 * 1970), SAN DNS:tandem and DNS:node, for both sides of TLS. An eviction refuses the certificates that were issued
 * until then; one that was issued later, for the same name, is taken. ECDSA P-256, since the mesh's TLS library knows
 * no Ed25519. Only clusterctl uses this; tandemd reads the files that join_file.h installs. What is not here:
 * revocation (a node is refused by evicting it). */
#ifndef TANDEM_CLI_PKI_H
#define TANDEM_CLI_PKI_H

#include "node/base/bytes.h"
#include "node/base/limits.h"
#include "node/base/time.h"

#define PKI_CLUSTER_NAME_MAX 53 /* so that the id fits LIMIT_NAME, and the CA's CN the 64 characters of X.509 */
#define PKI_CA_DAYS 9131        /* 25 years */
#define PKI_NODE_DAYS 3652      /* 10 years */
#define PKI_SKEW_S 86400 /* certificates begin this long before they are made: a new machine's clock may be behind */
#define PKI_WARN_DAYS 30 /* a certificate that ends sooner is worth a warning */

/* What makes one node a member; all PEM and hex texts end in a newline. */
struct pki_identity {
    struct slice cluster; /* cluster id */
    struct slice node;
    struct slice site;
    struct slice ca;          /* PEM */
    struct slice certificate; /* PEM */
    struct slice key;         /* PEM; secret */
    struct slice cluster_key; /* 64 hex digits; secret */
    struct wall expires;      /* of certificate */
};

struct pki_request {
    struct slice node;  /* [A-Za-z0-9._-], 1 .. LIMIT_NAME */
    struct slice site;  /* the same */
    struct wall begins; /* {0}: now, less PKI_SKEW_S */
    unsigned days;      /* 0: PKI_NODE_DAYS; never longer than the CA's own validity */
    int64_t after_s;    /* the certificate says that it was issued later than that; seconds since 1970 */
};

/* Makes DIR (mode 0700, its parent must exist) and the three files. id gets the cluster id. ERR_SYNTAX (name),
 * ERR_EXISTS (there is a CA already: nothing is overwritten), ERR_IO, ERR_NOMEM. */
MUST_CHECK enum err pki_ca_init(const char *dir, struct slice cluster_name, char id[LIMIT_NAME + 1],
                                struct err_info *info);
/* A new key and a certificate for it. Texts live in arena. ERR_NOTFOUND (no CA in DIR), ERR_AUTH (modes; CA expired;
 * key is not the certificate's), ERR_SYNTAX, ERR_IO, ERR_NOMEM. */
MUST_CHECK enum err pki_issue(struct arena *arena, const char *dir, const struct pki_request *request,
                              struct pki_identity *out, struct err_info *info);
/* Do the parts belong together: certificate by ca, of node, site and cluster, for key, valid at now? Sets expires.
 * ERR_AUTH with the reason in words ("certificate expired on 2026-01-01"), ERR_SYNTAX (a part does not parse). */
MUST_CHECK enum err pki_check(struct pki_identity *identity, struct wall now, struct err_info *info);
/* The identity that is installed in DATA/tls; node and site are read from its certificate. ERR_NOTFOUND, ERR_AUTH
 * (modes), ERR_SYNTAX, ERR_IO. Validity in time is not checked here: pki_check. */
MUST_CHECK enum err pki_read_identity(struct arena *arena, const char *data_dir, struct pki_identity *out,
                                      struct err_info *info);
/* "2036-11-20" */
const char *pki_date(struct wall t, char out[WALL_TEXT_SIZE]);

/* [A-Za-z0-9._-], 1 .. LIMIT_NAME characters. */
bool pki_token_valid(struct slice s);

#endif
