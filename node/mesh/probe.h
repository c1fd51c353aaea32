/* probe: finds out in words why an address cannot be linked: a TCP connection of our own, then a TLS handshake with
 * OpenSSL.
 *
 * NNG says "timed out" whatever the reason was. A probe sends nothing but the handshake, and closes. The same code
 * looks after our own listener (PROBE_LISTENER): a connection and one byte that no TLS server takes; a listener that
 * lives closes it at once. */
#ifndef TANDEM_MESH_PROBE_H
#define TANDEM_MESH_PROBE_H

#include <openssl/ssl.h>
#include <uv.h>

#include "node/base/err.h"

enum probe_kind { PROBE_PEER, PROBE_LISTENER };

enum probe_result {
    PROBE_FINE,       /* TLS is up, or the listener lives */
    PROBE_NAME,       /* the host name does not resolve */
    PROBE_CONNECT,    /* refused, unreachable */
    PROBE_TIMEOUT,    /* no answer to the connection attempt */
    PROBE_TLS_THEIRS, /* their certificate does not please us */
    PROBE_TLS_OURS,   /* ours does not please them */
    PROBE_SILENT      /* connected, but no answer in time, or none of TLS */
};

struct probe;

/* done comes once, not before this returns, and is not called after probe_cancel; text is borrowed for the call. ended
 * comes once in every case, last, when the probe's memory is gone. address is HOST:PORT; from the source (port 0), or
 * NULL. ERR_NOMEM, ERR_SYNTAX, ERR_IO (neither call comes then). */
MUST_CHECK enum err probe_start(uv_loop_t *loop, SSL_CTX *tls, enum probe_kind kind, const char *address,
                                const struct sockaddr *from,
                                void (*done)(void *ctx, enum probe_result result, const char *text),
                                void (*ended)(void *owner), void *ctx, void *owner, struct probe **out);
void probe_cancel(struct probe *p);

/* Cuts HOST:PORT, brackets around an IPv6 address taken off. ERR_SYNTAX. host holds LIMIT_HOST + 1, port 6 characters.
 */
MUST_CHECK enum err probe_split(const char *address, char *host, char *port);

#endif
