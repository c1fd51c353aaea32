/* tls_names: what a certificate is for (RFC 5922 §7.1), and whether the system's authorities vouch for it. Inside of
 * tls.h. */
#ifndef TANDEM_EDGE_TLS_NAMES_H
#define TANDEM_EDGE_TLS_NAMES_H

#include <openssl/x509.h>

#include "node/edge/tls.h"

/* tls_session_proves and tls_session_names say by which rules. */
bool tls_names_prove(const X509 *cert, const char *host);
/* False: there were more than TLS_NAMES_MAX bytes hold. */
bool tls_names_list(const X509 *cert, struct buf *out);
/* Why the certificate proves nothing; NULL: it does. chain: what the peer sent with it, may be NULL. */
const char *tls_names_doubt(X509_STORE *authorities, X509 *cert, STACK_OF(X509) * chain);

#endif
