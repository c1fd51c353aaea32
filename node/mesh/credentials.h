/* credentials: this node's certificate and key, and the judgement of those of others, through OpenSSL.
 *
 * TLS (NNG's mbedTLS) lets in only who has a certificate of the cluster's CA, but does not say whose it is. The hello
 * proves the name: each side signs both nonces, both names and the cluster with the key of its certificate: struct
 * hello_transcript. What is not here: the exchange itself, and who is evicted. Loop thread only. */
#ifndef TANDEM_MESH_CREDENTIALS_H
#define TANDEM_MESH_CREDENTIALS_H

#include <openssl/ssl.h>

#include "node/base/log.h"
#include "proto/mesh_codec.h"

struct credentials;

enum hello_role { HELLO_SERVER = 'S', HELLO_CLIENT = 'C' };

/* What both sides of a hello sign; the role keeps one's proof from being sent back as the other's. */
struct hello_transcript {
    struct slice cluster;
    struct node_name client;
    struct node_name server;
    unsigned char client_nonce[MESH_NONCE_LEN];
    unsigned char server_nonce[MESH_NONCE_LEN];
};

/* Reads the three PEM files. ERR_AUTH: which one is unusable and why (missing, modes of the key, another name or
 * cluster). A certificate that is out of its dates is logged and taken: the clock may be what is wrong, and calls go on
 * without links. */
MUST_CHECK enum err credentials_load(const char *ca_file, const char *cert_file, const char *key_file,
                                     const struct node_name *self, struct slice cluster, const struct log *log,
                                     struct credentials **out, struct err_info *info);
void credentials_free(struct credentials *c); /* NULL allowed */

const char *credentials_ca_pem(const struct credentials *c);
const char *credentials_cert_pem(const struct credentials *c);
const char *credentials_key_pem(const struct credentials *c);
struct slice credentials_der(const struct credentials *c);
/* A client context with our certificate that verifies against the CA, for probes. */
SSL_CTX *credentials_tls(const struct credentials *c);

/* sig holds MESH_SIGNATURE_MAX bytes. ERR_NOMEM. */
MUST_CHECK enum err credentials_sign(const struct credentials *c, const struct hello_transcript *t,
                                     enum hello_role role, unsigned char *sig, size_t *sig_len);
/* Does the certificate (DER) chain to the CA, hold now, carry name, and is signature by its key over t? ERR_AUTH with
 * the reason in words in info. */
MUST_CHECK enum err credentials_verify(const struct credentials *c, struct slice certificate, struct slice signature,
                                       const struct hello_transcript *t, enum hello_role role, struct wall now,
                                       struct err_info *info);
/* When a certificate (DER) says that it was issued, in seconds since 1970; 0: it does not say. "node invite" writes it
 * as the subject's serialNumber; an eviction refuses those that were issued until then. */
uint64_t credentials_issued(struct slice certificate);
/* The same for a file (PEM). */
uint64_t credentials_issued_file(const char *cert_file);
/* Whose certificate a file (PEM) holds, "?" where it does not say; false: it holds none. */
bool credentials_name_file(const char *cert_file, char out[LIMIT_NAME + 1]);
/* Does our own certificate not hold now? Why, in words; else false. */
bool credentials_own_fault(const struct credentials *c, struct wall now, char *out, size_t out_size);
/* The reason for a verification error of OpenSSL (X509_V_ERR_*) in words. cert may be NULL. */
void certificate_words(X509 *cert, int verify_error, char *out, size_t out_size);

#endif
