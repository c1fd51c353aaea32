/* object: the things a plan is made of, as plain data. What is observed (bindings, health) is not here.
 *
 * Every slice and array lives in the arena of whoever made the object; an object is never modified after it is made.
 * Each object has a key, its identity in the replica and in change-sets:
 *   defaults    site/NAME    trunk/NAME    account/NAME    route/SCOPE/MATCH/TARGET   (SCOPE "" is global)
 * Specification: the number plan document, see README.md "The plan". */
#ifndef TANDEM_PLAN_OBJECT_H
#define TANDEM_PLAN_OBJECT_H

#include "node/base/bytes.h"
#include "node/base/hash.h"
#include "node/base/limits.h"

enum plan_kind { PLAN_DEFAULTS, PLAN_SITE, PLAN_TRUNK, PLAN_ACCOUNT, PLAN_ROUTE, PLAN_KIND_COUNT };

/* "defaults", "site", "trunk", "account", "route". */
const char *plan_kind_name(enum plan_kind kind);

enum plan_transport { PLAN_UDP, PLAN_TCP, PLAN_TLS };
const char *plan_transport_name(enum plan_transport t); /* "udp" "tcp" "tls" */

/* match: strip: prepend: of a dial or in rule. match is a digit prefix, or "=NUMBER" for the whole number. */
struct plan_rule {
    struct slice match;
    uint8_t strip; /* characters removed at the front, <= LIMIT_NUMBER */
    struct slice prepend;
};

struct plan_defaults {
    struct slice domain;        /* our SIP domain and digest realm; "" until set */
    const struct slice *digest; /* algorithms that a challenge offers, in order; none: all, strongest first */
    size_t digest_count;
};

struct plan_site {
    struct slice name;
    const struct slice *blocks; /* digit prefixes or ranges, as written */
    size_t block_count;
    const struct plan_rule *dial; /* dialled string -> plan number, for sources at this site; first match wins */
    size_t dial_count;
    bool media_relay;
};

/* A credential: one hash per algorithm of user ":" realm ":" password (RFC 7616 §3.4.2, RFC 8760). */
struct plan_secret {
    bool set;
    unsigned char md5[16];
    unsigned char sha256[32];
    unsigned char sha512_256[32];
};

/* register: of a trunk. The password must be readable by our client, so it is sealed with a key derived from the
 * cluster key (see proto/plan_codec.h for where); "sealed" is that ciphertext, empty when the password is not set. */
struct plan_registration {
    bool set;
    struct slice user;
    struct slice domain; /* of our address of record there, "": the host of the trunk's first address */
    struct slice login;  /* user name of the digest, "": user */
    struct slice sealed;
    struct slice password; /* clear text on its way from a document to being sealed; never stored or printed */
    uint32_t expires_s;    /* 60 .. 86400 */
    bool password_keep;    /* the document said "(set)": keep what is stored */
};

/* Whether a trunk may assert who calls, and is told: by default when it has trust. */
enum plan_identity { PLAN_IDENTITY_AUTO, PLAN_IDENTITY_INSIDE, PLAN_IDENTITY_OUTSIDE };

struct plan_trunk {
    struct slice name;
    struct slice site;
    const struct slice *address; /* host, host:port or [v6]:port; tried in order */
    size_t address_count;
    enum plan_transport transport;
    const struct slice *trust; /* CIDR ranges from which its requests come */
    size_t trust_count;
    const struct slice *trust_names; /* names that its certificate is for: its requests come by TLS from anywhere */
    size_t trust_name_count;
    uint32_t probe_ms;   /* OPTIONS interval, 0: not probed */
    uint32_t calls;      /* most simultaneous calls, 0: no limit */
    uint32_t rate_per_s; /* most new calls per second, 0: no limit */
    struct plan_registration registration;
    const struct plan_rule *in; /* number as received -> plan number */
    size_t in_count;
    const struct plan_rule *out; /* plan number -> number as sent */
    size_t out_count;
    enum plan_identity identity;
    bool hide; /* it is not shown what stands behind this node */
    bool disabled;
};
/* Whether calls can come from it. */
static inline bool plan_trunk_trusted(const struct plan_trunk *t)
{
    return t->trust_count > 0 || t->trust_name_count > 0;
}
static inline bool plan_trunk_inside(const struct plan_trunk *t)
{
    return t->identity == PLAN_IDENTITY_INSIDE || (t->identity == PLAN_IDENTITY_AUTO && plan_trunk_trusted(t));
}

/* How the way to a contact is kept open. AUTO: OPTIONS to contacts behind NAT by UDP, nothing to others. */
enum plan_keepalive { PLAN_KEEPALIVE_AUTO, PLAN_KEEPALIVE_OFF, PLAN_KEEPALIVE_CRLF, PLAN_KEEPALIVE_OPTIONS };

struct plan_account {
    struct slice name; /* the user part and the digest username */
    struct plan_secret secret;
    struct slice password;       /* clear text from a document until hashed; never stored or printed */
    bool password_keep;          /* the document said "(set)": keep what is stored */
    const struct slice *numbers; /* matches that lead to its contact while it has a binding */
    size_t number_count;
    uint8_t strip; /* applied to the number on its way to the contact */
    struct slice prepend;
    struct slice site;     /* "": any node accepts it */
    uint32_t max_contacts; /* 1 .. 32, default 1 */
    uint32_t calls;
    bool disabled;
    enum plan_keepalive keepalive;
    uint32_t keepalive_every_ms; /* 1 s .. 1 h, default 25 s */
    struct slice map;            /* a file of the node's, number -> resource id (README "Cameras"), "" none */
};

enum plan_target_kind { PLAN_TO_TRUNK, PLAN_TO_ACCOUNT, PLAN_TO_SITE, PLAN_TO_REJECT };
const char *plan_target_kind_name(enum plan_target_kind k); /* "trunk" "account" "site" "reject" */

struct plan_target {
    enum plan_target_kind kind;
    struct slice name; /* empty for reject */
    uint16_t code;     /* reject: 400-699 */
};

struct plan_route {
    struct slice scope; /* a site's name, or "" */
    struct slice match; /* canonical text of a pattern: "6", "=6001", "8150-8379" */
    uint8_t length_min; /* of the whole number; 0: no bound */
    uint8_t length_max;
    struct plan_target target;
    uint32_t priority; /* lower is tried first; default 10 */
    uint32_t weight;   /* share among equals; default 10, 0: last */
    uint8_t strip;
    struct slice prepend;
    struct slice hours;       /* "Mo-Fr 08:00-18:00", "" always; grammar in node/plan/hours.h */
    bool overflow;            /* when every target of this match is gone, the next shorter match is asked */
    const uint16_t *failover; /* SIP codes on which the next target is tried; count 0: the default set */
    size_t failover_count;
    struct slice note;
    bool disabled;
};

struct plan_object {
    enum plan_kind kind;
    unsigned line; /* where it began in its document, 0 when it did not come from one */
    unsigned column;
    union {
        struct plan_defaults defaults;
        struct plan_site site;
        struct plan_trunk trunk;
        struct plan_account account;
        struct plan_route route;
    };
};

/* Bounds of values, beside those of node/base/limits.h. */
#define PLAN_PASSWORD_MAX 256   /* bytes of a password */
#define PLAN_SEALED_MAX 512     /* bytes of a sealed one */
#define PLAN_CONTACTS_MAX 32    /* contacts of one account */
#define PLAN_FAILOVER_MAX 32    /* codes in failover: */
#define PLAN_NUMBER_MAX 1000000 /* calls, rate, priority, weight */
#define PLAN_PRIORITY_DEFAULT 10
#define PLAN_WEIGHT_DEFAULT 10
#define PLAN_EXPIRES_DEFAULT_S 3600
#define PLAN_KEEPALIVE_DEFAULT_MS 25000 /* under the 30 s that careless NATs keep a UDP mapping */

/* An object of that kind in which every field has the value that a document means by leaving its key out. */
void plan_object_init(struct plan_object *o, enum plan_kind kind);

/* Appends the object's key. Longest key: PLAN_KEY_MAX bytes. */
#define PLAN_KEY_MAX 320
void plan_object_key(const struct plan_object *o, struct buf *out);
/* The same into memory of the caller; returns the key's length, 0 when it is over PLAN_KEY_MAX (an invalid object). */
size_t plan_object_key_text(const struct plan_object *o, char out[PLAN_KEY_MAX]);
/* Whether two objects have one key, without writing it. */
bool plan_object_same(const struct plan_object *a, const struct plan_object *b);
/* Whether text is the key of some object, well formed. ERR_SYNTAX with the allowed forms. */
MUST_CHECK enum err plan_key_validate(struct slice text, struct err_info *info);

/* "trunk/NAME", "account/NAME", "site/NAME", "reject/CODE". */
void plan_target_text(const struct plan_target *t, struct buf *out);
/* name points into text. ERR_SYNTAX with a text that names the allowed forms. */
MUST_CHECK enum err plan_target_parse(struct slice text, struct plan_target *t, struct err_info *info);

/* A name of LIMIT_NAME characters at most out of [A-Za-z0-9._-], not empty. */
bool plan_name_valid(struct slice name);

/* Every bound and rule that concerns the object alone (names, numbers, patterns, addresses, CIDR, hours, ranges of
 * values). Runs on everything that came from a file or a wire. ERR_SYNTAX or ERR_LIMIT with what, where and the way
 * out. */
MUST_CHECK enum err plan_object_validate(const struct plan_object *o, struct err_info *info);

/* Fills account->secret from account->password: user is the account's name, realm is defaults.domain (hashes of another
 * realm are worthless, so a new domain needs new passwords). ERR_SYNTAX when there is no password; ERR_NOMEM when
 * libcrypto cannot. The clear text stays where it is: its memory is the caller's to wipe. */
MUST_CHECK enum err plan_account_hash_password(struct plan_account *account, struct slice realm);

/* Bytes that the plan digest is summed over: SHA-256 over key and packed content (see proto/plan_codec.h). The digest
 * of a plan is the sum of its objects' hashes, lane by lane (four 64-bit lanes, little endian), so that it does not
 * depend on order and changes in O(1). */
struct plan_digest {
    uint64_t lane[4];
};
void plan_digest_add(struct plan_digest *d, const unsigned char hash[HASH_SHA256_LEN]);
void plan_digest_sub(struct plan_digest *d, const unsigned char hash[HASH_SHA256_LEN]);
static inline bool plan_digest_eq(struct plan_digest a, struct plan_digest b)
{
    return memcmp(&a, &b, sizeof a) == 0;
}
/* 64 hex digits. People are shown the first 12. */
#define PLAN_DIGEST_TEXT 65
void plan_digest_text(struct plan_digest d, char out[PLAN_DIGEST_TEXT]);

#endif
