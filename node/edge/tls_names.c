#include "node/edge/tls_names.h"

#include <openssl/x509_vfy.h>
#include <openssl/x509v3.h>

#include "node/plan/address.h"

/* The length says where a name ends, so that an embedded NUL ends none. */
static struct slice asn1_slice(const ASN1_STRING *s)
{
    return (struct slice){(const char *)ASN1_STRING_get0_data(s), (size_t)ASN1_STRING_length(s)};
}

/* The host of "sip:example.org"; a URI with a user, and one with a port, names no domain (RFC 5922 §7.1). {NULL, 0}: it
 * is no SIP URI. */
static struct slice sip_domain(struct slice uri)
{
    struct slice scheme;
    struct slice rest = slice_cut(uri, ':', &scheme);
    if (!slice_eq_nocase(scheme, SLICE("sip")) && !slice_eq_nocase(scheme, SLICE("sips"))) return SLICE_NONE;
    bool more = memchr(rest.p, '@', rest.n) != NULL;
    return more ? SLICE("") : rest;
}

static bool has_sip_uri(const GENERAL_NAMES *names)
{
    for (int i = 0; i < sk_GENERAL_NAME_num(names); i++) {
        const GENERAL_NAME *n = sk_GENERAL_NAME_value(names, i);
        if (n->type == GEN_URI && sip_domain(asn1_slice(n->d.uniformResourceIdentifier)).p != NULL) return true;
    }
    return false;
}

/* Each name that the certificate is for: by its SIP URIs when it has any, else by its DNS names, else, when it has no
 * alternative names at all, by its common name. True: each said so, and none was asked any more. */
static bool any_name(const X509 *cert, bool (*each)(void *ctx, struct slice name), void *ctx)
{
    bool found = false;
    GENERAL_NAMES *names = X509_get_ext_d2i(cert, NID_subject_alt_name, NULL, NULL);
    int count = names != NULL ? sk_GENERAL_NAME_num(names) : 0;
    bool uris = names != NULL && has_sip_uri(names);
    for (int i = 0; i < count && !found; i++) {
        const GENERAL_NAME *n = sk_GENERAL_NAME_value(names, i);
        if (uris && n->type == GEN_URI) {
            struct slice domain = sip_domain(asn1_slice(n->d.uniformResourceIdentifier));
            found = domain.n > 0 && each(ctx, domain);
        } else if (!uris && n->type == GEN_DNS) {
            found = each(ctx, asn1_slice(n->d.dNSName));
        }
    }
    GENERAL_NAMES_free(names);
    if (count > 0) return found;
    const X509_NAME *subject = X509_get_subject_name(cert);
    int at = X509_NAME_get_index_by_NID(subject, NID_commonName, -1);
    if (at < 0 || X509_NAME_get_index_by_NID(subject, NID_commonName, at) >= 0) return false;
    unsigned char *text = NULL;
    int len = ASN1_STRING_to_UTF8(&text, X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, at)));
    found = len > 0 && each(ctx, (struct slice){(const char *)text, (size_t)len});
    OPENSSL_free(text);
    return found;
}

static bool is_host(void *ctx, struct slice name)
{
    return slice_eq_nocase(name, *(const struct slice *)ctx);
}

bool tls_names_prove(const X509 *cert, const char *host)
{
    struct slice wanted = slice_of(host);
    ASN1_OCTET_STRING *ip = a2i_IPADDRESS(host);
    bool literal = ip != NULL;
    ASN1_OCTET_STRING_free(ip);
    if (literal) return X509_check_ip_asc((X509 *)(uintptr_t)cert, host, 0) == 1;
    return any_name(cert, is_host, &wanted);
}

struct listing {
    struct buf *out;
    size_t start;
};

static bool add_name(void *ctx, struct slice name)
{
    struct listing *l = ctx;
    if (!address_name_valid(name)) return false; /* wildcards too */
    if (l->out->n - l->start + name.n + 1 > TLS_NAMES_MAX) return true;
    char *room = buf_room(l->out, name.n + 1);
    if (room == NULL) return true;
    for (size_t i = 0; i < name.n; i++)
        room[i] = char_lower(name.p[i]);
    room[name.n] = '\0';
    l->out->n += name.n + 1;
    return false;
}

bool tls_names_list(const X509 *cert, struct buf *out)
{
    struct listing l = {out, out->n};
    return !any_name(cert, add_name, &l);
}

static int verify(X509_STORE *authorities, X509 *cert, STACK_OF(X509) * chain, int purpose)
{
    int error = X509_V_ERR_OUT_OF_MEM;
    X509_STORE_CTX *ctx = X509_STORE_CTX_new();
    if (ctx != NULL && X509_STORE_CTX_init(ctx, authorities, cert, chain) == 1 &&
        X509_STORE_CTX_set_purpose(ctx, purpose) == 1) {
        bool good = X509_verify_cert(ctx) == 1;
        error = X509_STORE_CTX_get_error(ctx);
        if (!good && error == X509_V_OK) error = X509_V_ERR_UNSPECIFIED;
    }
    X509_STORE_CTX_free(ctx);
    return error;
}

/* Many public certificates say that they are for servers only; the domain that they name is the same at either end of a
 * connection (RFC 5922 §7.1 knows no difference). */
const char *tls_names_doubt(X509_STORE *authorities, X509 *cert, STACK_OF(X509) * chain)
{
    if (authorities == NULL) return "no authorities";
    int error = verify(authorities, cert, chain, X509_PURPOSE_SSL_CLIENT);
    if (error == X509_V_ERR_INVALID_PURPOSE) error = verify(authorities, cert, chain, X509_PURPOSE_SSL_SERVER);
    return error == X509_V_OK ? NULL : X509_verify_cert_error_string(error);
}
