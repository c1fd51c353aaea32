/* object: names, keys, targets and the digest of a plan. What makes an object valid is in validate.c; its fields with
 * their bounds and defaults are in schema.c. */
#include "node/plan/object.h"

#include <stdio.h>

#include "node/plan/pattern.h"
#include "node/plan/text.h"

const char *plan_kind_name(enum plan_kind kind)
{
    static const char *const names[PLAN_KIND_COUNT] = {
        [PLAN_DEFAULTS] = "defaults", [PLAN_SITE] = "site",   [PLAN_TRUNK] = "trunk",
        [PLAN_ACCOUNT] = "account",   [PLAN_ROUTE] = "route",
    };
    return (unsigned)kind < PLAN_KIND_COUNT ? names[kind] : "unknown";
}

const char *plan_transport_name(enum plan_transport t)
{
    static const char *const names[] = {[PLAN_UDP] = "udp", [PLAN_TCP] = "tcp", [PLAN_TLS] = "tls"};
    return (unsigned)t <= PLAN_TLS ? names[t] : "unknown";
}

const char *plan_target_kind_name(enum plan_target_kind k)
{
    static const char *const names[] = {
        [PLAN_TO_TRUNK] = "trunk", [PLAN_TO_ACCOUNT] = "account", [PLAN_TO_SITE] = "site", [PLAN_TO_REJECT] = "reject"};
    return (unsigned)k <= PLAN_TO_REJECT ? names[k] : "unknown";
}

bool plan_name_valid(struct slice name)
{
    if (name.n == 0 || name.n > LIMIT_NAME) return false;
    for (size_t i = 0; i < name.n; i++) {
        char c = name.p[i];
        bool alnum = (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
        if (!alnum && c != '.' && c != '_' && c != '-') return false;
    }
    return true;
}

/* ---- keys ---- */

/* Text into a fixed block; too_long is remembered and what does not fit is left out. */
struct fixed {
    char *p;
    size_t n;
    bool too_long;
};

static void put(struct fixed *f, struct slice s)
{
    if (s.n > PLAN_KEY_MAX - f->n) {
        f->too_long = true;
        return;
    }
    if (s.n > 0) memcpy(f->p + f->n, s.p, s.n);
    f->n += s.n;
}

static void put_target(struct fixed *f, const struct plan_target *t)
{
    char code[8];
    put(f, slice_of(plan_target_kind_name(t->kind)));
    put(f, SLICE("/"));
    if (t->kind != PLAN_TO_REJECT) {
        put(f, t->name);
        return;
    }
    (void)snprintf(code, sizeof code, "%u", t->code);
    put(f, slice_of(code));
}

static struct slice name_of(const struct plan_object *o)
{
    switch (o->kind) {
    case PLAN_SITE: return o->site.name;
    case PLAN_TRUNK: return o->trunk.name;
    case PLAN_ACCOUNT: return o->account.name;
    case PLAN_DEFAULTS:
    case PLAN_ROUTE:
    case PLAN_KIND_COUNT: break;
    }
    return SLICE_NONE;
}

size_t plan_object_key_text(const struct plan_object *o, char out[PLAN_KEY_MAX])
{
    struct fixed f = {.p = out};
    put(&f, slice_of(plan_kind_name(o->kind)));
    if (o->kind == PLAN_ROUTE) {
        put(&f, SLICE("/"));
        put(&f, o->route.scope);
        put(&f, SLICE("/"));
        put(&f, o->route.match);
        put(&f, SLICE("/"));
        put_target(&f, &o->route.target);
    } else if (o->kind != PLAN_DEFAULTS) {
        put(&f, SLICE("/"));
        put(&f, name_of(o));
    }
    return f.too_long ? 0 : f.n;
}

void plan_object_key(const struct plan_object *o, struct buf *out)
{
    char key[PLAN_KEY_MAX];
    size_t n = plan_object_key_text(o, key);
    ASSERT(n > 0); /* every valid object's key fits */
    buf_add(out, key, n);
}

static bool same_target(const struct plan_target *a, const struct plan_target *b)
{
    if (a->kind != b->kind) return false;
    return a->kind == PLAN_TO_REJECT ? a->code == b->code : slice_eq(a->name, b->name);
}

bool plan_object_same(const struct plan_object *a, const struct plan_object *b)
{
    if (a->kind != b->kind) return false;
    if (a->kind != PLAN_ROUTE) return slice_eq(name_of(a), name_of(b));
    return slice_eq(a->route.match, b->route.match) && slice_eq(a->route.scope, b->route.scope) &&
           same_target(&a->route.target, &b->route.target);
}

static bool route_key_valid(struct slice rest)
{
    struct slice scope;
    struct slice match;
    struct pattern p;
    struct plan_target t;
    rest = slice_cut(rest, '/', &scope);
    rest = slice_cut(rest, '/', &match);
    return (scope.n == 0 || plan_name_valid(scope)) && pattern_parse(match, &p, NULL) == ERR_OK &&
           plan_target_parse(rest, &t, NULL) == ERR_OK;
}

enum err plan_key_validate(struct slice text, struct err_info *info)
{
    char shown[TEXT_SHOWN];
    struct slice kind;
    struct slice rest = slice_cut(text, '/', &kind);
    bool valid = false;
    if (slice_is(kind, "defaults")) {
        valid = rest.p == NULL;
    } else if (slice_is(kind, "route")) {
        valid = route_key_valid(rest);
    } else if (slice_is(kind, "site") || slice_is(kind, "trunk") || slice_is(kind, "account")) {
        valid = plan_name_valid(rest);
    }
    if (valid) return ERR_OK;
    return err_fail(info, ERR_SYNTAX,
                    "%s is no object's key; write site/NAME, trunk/NAME, account/NAME or route/SCOPE/MATCH/TARGET, "
                    "where a global route has an empty scope: route//6/trunk/hq-pbx",
                    text_shown(text, shown));
}

/* ---- targets ---- */

void plan_target_text(const struct plan_target *t, struct buf *out)
{
    char text[PLAN_KEY_MAX];
    struct fixed f = {.p = text};
    put_target(&f, t);
    buf_add(out, text, f.n);
}

static bool reject_code(struct slice text, uint16_t *code)
{
    uint64_t value = 0;
    if (text.n != 3 || slice_u64(text, 699, &value) != ERR_OK || value < 400) return false;
    *code = (uint16_t)value;
    return true;
}

enum err plan_target_parse(struct slice text, struct plan_target *t, struct err_info *info)
{
    char shown[TEXT_SHOWN];
    struct slice kind;
    struct slice name = slice_cut(text, '/', &kind);
    for (enum plan_target_kind k = PLAN_TO_TRUNK; k <= PLAN_TO_REJECT; k++) {
        struct plan_target parsed = {.kind = k, .name = name};
        if (!slice_is(kind, plan_target_kind_name(k))) continue;
        if (k == PLAN_TO_REJECT) {
            parsed.name = SLICE_NONE;
            if (!reject_code(name, &parsed.code)) break;
        } else if (!plan_name_valid(name)) {
            break;
        }
        *t = parsed;
        return ERR_OK;
    }
    return err_fail(
        info, ERR_SYNTAX,
        "%s is no target; write trunk/NAME, account/NAME, site/NAME or reject/CODE with a code from 400 to 699",
        text_shown(text, shown));
}

/* ---- secrets and digests ---- */

enum err plan_account_hash_password(struct plan_account *account, struct slice realm)
{
    struct plan_secret secret = {.set = true};
    const struct slice a1[] = {account->name, SLICE(":"), realm, SLICE(":"), account->password}; /* RFC 7616 §3.4.2 */
    const size_t parts = sizeof a1 / sizeof a1[0];
    enum err e = ERR_OK;
    if (account->password.n == 0) return ERR_SYNTAX;
    e = hash_parts(HASH_MD5, a1, parts, secret.md5);
    if (e == ERR_OK) e = hash_parts(HASH_SHA256, a1, parts, secret.sha256);
    if (e == ERR_OK) e = hash_parts(HASH_SHA512_256, a1, parts, secret.sha512_256);
    if (e == ERR_OK) account->secret = secret;
    secret_wipe(&secret, sizeof secret);
    return e;
}

static uint64_t lane_of(const unsigned char *p)
{
    uint64_t v = 0;
    for (int i = 7; i >= 0; i--)
        v = v << 8 | p[i];
    return v;
}

void plan_digest_add(struct plan_digest *d, const unsigned char hash[HASH_SHA256_LEN])
{
    for (size_t i = 0; i < 4; i++)
        d->lane[i] += lane_of(hash + 8 * i);
}

void plan_digest_sub(struct plan_digest *d, const unsigned char hash[HASH_SHA256_LEN])
{
    for (size_t i = 0; i < 4; i++)
        d->lane[i] -= lane_of(hash + 8 * i);
}

void plan_digest_text(struct plan_digest d, char out[PLAN_DIGEST_TEXT])
{
    unsigned char bytes[32];
    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (unsigned char)(d.lane[i / 8] >> (8 * (i % 8)));
    hex_encode(bytes, sizeof bytes, out);
}
