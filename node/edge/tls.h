/* tls: TLS sessions over memory: ciphertext in, ciphertext out, no socket, no loop (OpenSSL 3).
 *
 * A member is a peer whose certificate verifies against the cluster CA and whose common name is a valid node name (RFC
 * 5922 is not used between members: the CA signs nothing but nodes). The server asks for a certificate and accepts a
 * peer without one, or with one of another CA, as a guest; the names of one that chains to the system's authorities can
 * be asked for. A member asks for TLS_MEMBER_NAME (SNI) and is shown the member's certificate, everybody else the
 * public one. TLS 1.2 and 1.3, no renegotiation, no compression, no session resumption (a resumed session would carry
 * an old verdict). */
#ifndef TANDEM_EDGE_TLS_H
#define TANDEM_EDGE_TLS_H

#include "node/base/bytes.h"
#include "node/base/limits.h"

#define TLS_MEMBER_NAME "tandem"

struct tls_context;
struct tls_session;

/* PEM files. One certificate at least, each with its key. A certificate may be followed by those of the authorities
 * between. */
struct tls_files {
    const char *cert, *key;               /* of the member; NULL: there are no members */
    const char *ca;                       /* of the cluster; NULL: nobody is a member */
    const char *public_cert, *public_key; /* towards all who are no members; NULL: as a server the member's, as a
                                             client none */
};
/* ERR_AUTH with the file and what is wrong with it, ERR_NOMEM. */
MUST_CHECK enum err tls_context_new(const struct tls_files *files, struct tls_context **out, struct err_info *info);
void tls_context_free(struct tls_context *c); /* NULL allowed; sessions may live on */

/* When the certificates in use end, seconds since 1970; 0: there is none. */
struct tls_ends {
    int64_t member_s;
    int64_t public_s;
};
struct tls_ends tls_context_ends(const struct tls_context *c);

enum tls_role {
    TLS_SERVER,
    TLS_CLIENT_MEMBER, /* the server must be a member */
    TLS_CLIENT_PUBLIC  /* the server must prove a chain to the system's authorities; its name: tls_session_proves */
};
struct tls_session *tls_session_new(struct tls_context *c, enum tls_role role); /* NULL: no memory */
/* Before the handshake of a public client: the name that it asks for (SNI); an IP literal asks for none. ERR_NOMEM. */
MUST_CHECK enum err tls_session_ask(struct tls_session *s, const char *host);
void tls_session_free(struct tls_session *s); /* NULL allowed */

/* Hands over received bytes. ERR_NOMEM. */
MUST_CHECK enum err tls_session_feed(struct tls_session *s, const void *data, size_t n);
/* Moves what is to be sent to the end of out (out->failed when memory is out). */
void tls_session_take(struct tls_session *s, struct buf *out);

enum tls_progress { TLS_WAIT, TLS_READY, TLS_FAILED };
/* Goes on with the handshake. */
enum tls_progress tls_session_handshake(struct tls_session *s);
/* Decrypts into out, *n bytes of room; *n becomes what was written. TLS_READY: some bytes, TLS_WAIT: none at present,
 * TLS_FAILED: the peer closed or broke the session. */
enum tls_progress tls_session_read(struct tls_session *s, char *out, size_t *n);
/* Encrypts; only after the handshake. ERR_IO. */
MUST_CHECK enum err tls_session_write(struct tls_session *s, struct slice data);
/* Says goodbye (close_notify); take then yields it. */
void tls_session_shutdown(struct tls_session *s);

/* After the handshake: whether the peer is a member, and its name. */
bool tls_session_member(const struct tls_session *s, char name[LIMIT_NAME + 1]);
/* After the handshake: whether the peer's certificate is for host, a name or an IP literal (RFC 5922 §7.1): by its SIP
 * URIs when it has any, else by its DNS names or addresses, else by its common name. Whole and in any case; wildcards
 * prove nothing (§7.2). */
bool tls_session_proves(const struct tls_session *s, const char *host);
/* After the handshake: the names that the peer's certificate is for, by the same rules, each in lower case and ended by
 * a NUL, appended to out: at most TLS_NAMES_MAX bytes of them. Nothing when it does not chain to the system's
 * authorities, or is no host name. */
#define TLS_NAMES_MAX 4096
enum tls_names { TLS_NAMES_ALL, TLS_NAMES_MORE, TLS_NAMES_UNPROVED, TLS_NAMES_NO_CERTIFICATE };
enum tls_names tls_session_names(struct tls_session *s, struct buf *out);
/* Why the handshake failed, or the certificate proves nothing, for the log. */
const char *tls_session_error(const struct tls_session *s);

#endif
