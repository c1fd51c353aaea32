/* schema: see schema.h. The checks of single values stand above the tables that name them. */
#include "node/plan/schema.h"

#include "node/plan/address.h"
#include "node/plan/hours.h"
#include "node/plan/pattern.h"
#include "node/plan/text.h"

/* ---- checks of one value ---- */

static enum err check_name(struct slice text, struct err_info *info)
{
    char shown[TEXT_SHOWN];
    if (plan_name_valid(text)) return ERR_OK;
    return err_fail(info, ERR_SYNTAX, "%s is no name; use 1 to %d letters, digits, '.', '_' and '-'",
                    text_shown(text, shown), LIMIT_NAME);
}

static enum err check_domain(struct slice text, struct err_info *info)
{
    char shown[TEXT_SHOWN];
    struct address a;
    if (address_name_valid(text) || address_parse(text, &a) == ERR_OK) return ERR_OK;
    return err_fail(info, ERR_SYNTAX, "%s is no domain; write one like example.org", text_shown(text, shown));
}

static enum err check_digest(struct slice text, struct err_info *info)
{
    char shown[TEXT_SHOWN];
    if (slice_is(text, "sha-256") || slice_is(text, "sha-512-256") || slice_is(text, "md5")) return ERR_OK;
    return err_fail(info, ERR_SYNTAX, "%s is no digest algorithm; write sha-256, sha-512-256 or md5",
                    text_shown(text, shown));
}

static enum err check_pattern(struct slice text, struct err_info *info)
{
    struct pattern p;
    return pattern_parse(text, &p, info);
}

static enum err check_block(struct slice text, struct err_info *info)
{
    char shown[TEXT_SHOWN];
    struct pattern p;
    enum err e = pattern_parse(text, &p, info);
    if (e != ERR_OK || p.kind != PATTERN_EXACT) return e;
    return err_fail(info, ERR_SYNTAX, "%s: a block is a prefix like 6 or a range like 8150-8379",
                    text_shown(text, shown));
}

static enum err check_rule_match(struct slice text, struct err_info *info)
{
    char shown[TEXT_SHOWN];
    struct pattern p;
    enum err e = pattern_parse(text, &p, info);
    if (e != ERR_OK || p.kind != PATTERN_RANGE) return e;
    return err_fail(info, ERR_SYNTAX, "%s: a rewriting rule matches a prefix like 0 or one number like =112",
                    text_shown(text, shown));
}

static enum err check_digits(struct slice text, struct err_info *info)
{
    char shown[TEXT_SHOWN];
    if (number_valid(text)) return ERR_OK;
    return err_fail(info, text.n > LIMIT_NUMBER ? ERR_LIMIT : ERR_SYNTAX,
                    "%s: only digits, '+', '*' and '#' can be prepended, at most %d", text_shown(text, shown),
                    LIMIT_NUMBER);
}

static enum err check_host(struct slice text, struct err_info *info)
{
    struct address_host host;
    return address_host_parse(text, &host, info);
}

static enum err check_range(struct slice text, struct err_info *info)
{
    struct address_range range;
    return address_range_parse(text, &range, info);
}

/* What RFC 5922 §7.2 compares whole: a name without wildcards, and no address, which trust: says. */
static enum err check_certificate_name(struct slice text, struct err_info *info)
{
    char shown[TEXT_SHOWN];
    if (address_name_valid(text)) return ERR_OK;
    return err_fail(info, ERR_SYNTAX,
                    "%s is no name of a certificate; write a whole one like sip.carrier.example, without wildcards",
                    text_shown(text, shown));
}

/* The user part of our address of record at the other side (RFC 3261 §25.1, without escapes). */
static enum err check_user(struct slice text, struct err_info *info)
{
    static const char marks[] = "-_.!~*'()&=+$,;?/";
    char shown[TEXT_SHOWN];
    bool valid = text.n <= LIMIT_NAME;
    for (size_t i = 0; valid && i < text.n; i++) {
        char c = text.p[i];
        bool alnum = (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
        valid = alnum || (c != '\0' && strchr(marks, c) != NULL);
    }
    if (valid) return ERR_OK;
    return err_fail(info, ERR_SYNTAX, "%s is no user name; write what stands before the '@', at most %d characters",
                    text_shown(text, shown), LIMIT_NAME);
}

/* A name and no path: a plan says nothing of the folders of a node. */
static enum err check_file(struct slice text, struct err_info *info)
{
    char shown[TEXT_SHOWN];
    if (plan_name_valid(text) && text.p[0] != '.') return ERR_OK;
    return err_fail(info, ERR_SYNTAX, "%s is no file name; name a file in the node's maps folder, without a path",
                    text_shown(text, shown));
}

static enum err check_note(struct slice text, struct err_info *info)
{
    if (text.n > LIMIT_TEXT) return err_fail(info, ERR_LIMIT, "a note has at most %d bytes", LIMIT_TEXT);
    if (text_valid(text)) return ERR_OK;
    return err_fail(info, ERR_SYNTAX, "a note is one line of UTF-8 text without control characters");
}

/* Never quotes the value. */
static enum err check_password(struct slice text, struct err_info *info)
{
    if (text.n > PLAN_PASSWORD_MAX) {
        return err_fail(info, ERR_LIMIT, "a password has at most %d bytes", PLAN_PASSWORD_MAX);
    }
    if (text_valid(text)) return ERR_OK;
    return err_fail(info, ERR_SYNTAX, "a password is UTF-8 text without control characters");
}

static bool account_secret_stored(const void *owner)
{
    return ((const struct plan_account *)owner)->secret.set;
}

static bool registration_secret_stored(const void *owner)
{
    return ((const struct plan_registration *)owner)->sealed.n > 0;
}

static void account_forget_secret(void *owner)
{
    struct plan_secret *secret = &((struct plan_account *)owner)->secret;
    *secret = (struct plan_secret){.set = false};
}

static void registration_forget_secret(void *owner)
{
    ((struct plan_registration *)owner)->sealed = SLICE_NONE;
}

/* ---- the tables ---- */

#define AT(type, member) .offset = offsetof(struct type, member)
#define LIST_OF(type, member, counter) AT(type, member), .other = offsetof(struct type, counter), .max = LIMIT_LIST
#define SCHEMA(table, type, is_named)                                                                                  \
    {                                                                                                                  \
        .fields = (table), .count = sizeof(table) / sizeof(table)[0], .size = sizeof(struct type), .named = (is_named) \
    }

static const struct field rule_fields[] = {
    {"match", "\"0\"", FIELD_TEXT, .required = true, AT(plan_rule, match), .check = check_rule_match},
    {"strip", "1", FIELD_NUMBER, .width = 1, AT(plan_rule, strip), .max = LIMIT_NUMBER},
    {"prepend", "\"+49\"", FIELD_TEXT, AT(plan_rule, prepend), .check = check_digits},
};
static const struct schema rule_schema = SCHEMA(rule_fields, plan_rule, false);
#define RULES_EXAMPLE "[ { match: \"0\", strip: 1, prepend: \"+49\" } ]"

static const struct field defaults_fields[] = {
    {"domain", "example.org", FIELD_TEXT, AT(plan_defaults, domain), .check = check_domain, .value = "DOMAIN",
     .help = "our SIP domain, and the realm of every password"},
    {"digest", "[sha-256, md5]", FIELD_TEXTS, LIST_OF(plan_defaults, digest, digest_count), .check = check_digest,
     .value = "NAME", .help = "what a challenge offers, in this order: sha-256, sha-512-256, md5"},
};

static const char *const media_words[] = {"direct", "relay", NULL};
static const struct field site_fields[] = {
    {"blocks", "[\"6\"]", FIELD_TEXTS, LIST_OF(plan_site, blocks, block_count), .check = check_block, .value = "BLOCK",
     .help = "the number space that the site owns: prefixes and ranges"},
    {"dial", RULES_EXAMPLE, FIELD_STRUCTS, LIST_OF(plan_site, dial, dial_count), .inner = &rule_schema,
     .value = "RULES", .help = "from what is dialled there to a plan number; the first that matches"},
    {"media", "relay", FIELD_WORD, .width = sizeof(bool), AT(plan_site, media_relay), .words = media_words,
     .help = "whether audio and video pass the site's relay"},
};

static const struct field registration_fields[] = {
    {"user", "\"4930123\"", FIELD_TEXT, .required = true, AT(plan_registration, user), .check = check_user,
     .value = "USER", .help = "the user name that we register there"},
    {"domain", "carrier.example", FIELD_TEXT, AT(plan_registration, domain), .check = check_domain, .value = "DOMAIN",
     .help = "the SIP domain that we register in, where it is not the first address"},
    {"login", "\"u4930123\"", FIELD_TEXT, AT(plan_registration, login), .check = check_user, .value = "USER",
     .help = "the user name that goes with the password, where it is another one"},
    {"password", "\"...\"", FIELD_PASSWORD, AT(plan_registration, password),
     .other = offsetof(struct plan_registration, password_keep), .check = check_password,
     .stored = registration_secret_stored, .forget = registration_forget_secret, .value = "PASSWORD",
     .help = "the password that the other side knows"},
    {"expires", "600s", FIELD_DURATION, AT(plan_registration, expires_s), .min = 60, .max = 86400,
     .fallback = PLAN_EXPIRES_DEFAULT_S, .unit_ms = 1000, .value = "TIME", .help = "how long a registration lasts"},
};
static const struct schema registration_schema = SCHEMA(registration_fields, plan_registration, false);

static const char *const transport_words[] = {[PLAN_UDP] = "udp", [PLAN_TCP] = "tcp", [PLAN_TLS] = "tls", NULL};
static const char *const identity_words[] = {
    [PLAN_IDENTITY_AUTO] = "auto", [PLAN_IDENTITY_INSIDE] = "inside", [PLAN_IDENTITY_OUTSIDE] = "outside", NULL};
static const struct field trunk_fields[] = {
    {"site", "hq", FIELD_TEXT, .required = true, AT(plan_trunk, site), .check = check_name, .value = "SITE",
     .help = "the site whose nodes reach it"},
    {"address", "[\"10.1.0.10:5060\"]", FIELD_TEXTS, .required = true, LIST_OF(plan_trunk, address, address_count),
     .check = check_host, .value = "ADDRESS", .help = "where it is, tried in this order: HOST or HOST:PORT"},
    {"transport", "udp", FIELD_WORD, .width = sizeof(enum plan_transport), AT(plan_trunk, transport),
     .words = transport_words, .help = "how SIP travels"},
    {"trust", "[\"10.1.0.10/32\"]", FIELD_TEXTS, LIST_OF(plan_trunk, trust, trust_count), .check = check_range,
     .value = "RANGE", .help = "where its requests come from: 10.1.0.10/32"},
    {"trust_names", "[sip.carrier.example]", FIELD_TEXTS, LIST_OF(plan_trunk, trust_names, trust_name_count),
     .check = check_certificate_name, .value = "NAME",
     .help = "what its certificate is for: its requests come by TLS, from any address"},
    {"probe", "10s", FIELD_DURATION, AT(plan_trunk, probe_ms), .max = 86400000, .unit_ms = 1, .value = "TIME",
     .help = "how often to look whether it answers; 0 never"},
    {"calls", "60", FIELD_NUMBER, .width = 4, AT(plan_trunk, calls), .max = PLAN_NUMBER_MAX, .value = "N",
     .help = "most calls at a time at each node of the site; 0 no limit"},
    {"rate", "10/s", FIELD_RATE, .width = 4, AT(plan_trunk, rate_per_s), .max = PLAN_NUMBER_MAX, .value = "N/s",
     .help = "most new calls in a second at each node of the site; 0/s no limit"},
    {"register", "{ user: \"4930123\", password: \"...\" }", FIELD_INNER, AT(plan_trunk, registration),
     .other = offsetof(struct plan_trunk, registration.set), .inner = &registration_schema, .value = "none",
     .help = "none: no longer register there"},
    {"in", RULES_EXAMPLE, FIELD_STRUCTS, LIST_OF(plan_trunk, in, in_count), .inner = &rule_schema, .value = "RULES",
     .help = "from the number as received to a plan number"},
    {"out", RULES_EXAMPLE, FIELD_STRUCTS, LIST_OF(plan_trunk, out, out_count), .inner = &rule_schema, .value = "RULES",
     .help = "from the plan number to the number as sent"},
    {"identity", "outside", FIELD_WORD, .width = sizeof(enum plan_identity), AT(plan_trunk, identity),
     .words = identity_words, .help = "whether it may assert who calls, and is told; auto: when it has trust"},
    {"hide", "true", FIELD_FLAG, .width = sizeof(bool), AT(plan_trunk, hide),
     .help = "keep from it what stands behind this node: addresses of phones, PBXs and other nodes"},
    {"disabled", "true", FIELD_FLAG, .width = sizeof(bool), AT(plan_trunk, disabled),
     .help = "take it out of service and keep it in the plan"},
};

/* All three are required: the registrar offers every algorithm, and a hash that is missing must not read as zeros. */
static const struct field hash_fields[] = {
    {"md5", "32 hex digits", FIELD_HEX, .required = true, .width = 16, AT(plan_secret, md5)},
    {"sha256", "64 hex digits", FIELD_HEX, .required = true, .width = 32, AT(plan_secret, sha256)},
    {"sha512_256", "64 hex digits", FIELD_HEX, .required = true, .width = 32, AT(plan_secret, sha512_256)},
};
static const struct schema hash_schema = SCHEMA(hash_fields, plan_secret, false);

static const char *const keepalive_words[] = {[PLAN_KEEPALIVE_AUTO] = "auto",
                                              [PLAN_KEEPALIVE_OFF] = "off",
                                              [PLAN_KEEPALIVE_CRLF] = "crlf",
                                              [PLAN_KEEPALIVE_OPTIONS] = "options",
                                              NULL};

static const struct field account_fields[] = {
    {"password", "\"...\"", FIELD_PASSWORD, AT(plan_account, password),
     .other = offsetof(struct plan_account, password_keep), .check = check_password, .stored = account_secret_stored,
     .forget = account_forget_secret, .value = "PASSWORD", .help = "the password with which it registers"},
    {"hashes", "{ md5: ..., sha256: ..., sha512_256: ... }", FIELD_INNER, .hidden = true, AT(plan_account, secret),
     .other = offsetof(struct plan_account, secret.set), .inner = &hash_schema},
    {"numbers", "[\"8\"]", FIELD_TEXTS, LIST_OF(plan_account, numbers, number_count), .check = check_pattern,
     .value = "MATCH", .help = "what lies behind it, while it is registered"},
    {"strip", "1", FIELD_NUMBER, .width = 1, AT(plan_account, strip), .max = LIMIT_NUMBER, .value = "N",
     .help = "characters to take off the front of the number sent to it"},
    {"prepend", "\"0\"", FIELD_TEXT, AT(plan_account, prepend), .check = check_digits, .value = "DIGITS",
     .help = "digits to put in front of what is left"},
    {"site", "campus", FIELD_TEXT, AT(plan_account, site), .check = check_name, .value = "SITE",
     .help = "only nodes of this site accept it; without it any node"},
    {"max_contacts", "1", FIELD_NUMBER, .width = 4, AT(plan_account, max_contacts), .min = 1, .max = PLAN_CONTACTS_MAX,
     .fallback = 1, .value = "N", .help = "most devices that are registered at a time"},
    {"calls", "2", FIELD_NUMBER, .width = 4, AT(plan_account, calls), .max = PLAN_NUMBER_MAX, .value = "N",
     .help = "most calls at a time; 0 no limit"},
    {"keepalive", "options", FIELD_WORD, .width = sizeof(enum plan_keepalive), AT(plan_account, keepalive),
     .words = keepalive_words, .help = "how the way to its contact is kept open; auto: options behind NAT"},
    {"keepalive_every", "25s", FIELD_DURATION, .width = 4, AT(plan_account, keepalive_every_ms), .min = 1000,
     .max = 3600000, .fallback = PLAN_KEEPALIVE_DEFAULT_MS, .unit_ms = 1, .value = "TIME",
     .help = "how often that is done"},
    {"map", "cameras.csv", FIELD_TEXT, AT(plan_account, map), .check = check_file, .value = "FILE",
     .help = "a file of numbers and what they are called behind it"},
    {"disabled", "true", FIELD_FLAG, .width = sizeof(bool), AT(plan_account, disabled),
     .help = "take it out of service and keep it in the plan"},
};

static const struct field route_fields[] = {
    {"match", "\"6\"", FIELD_TEXT, .required = true, AT(plan_route, match), .check = check_pattern, .value = "MATCH",
     .help = "a prefix (6, +49), one number (=6001) or a range (8150-8379)"},
    {"to", "trunk/hq-pbx", FIELD_TARGET, .required = true, AT(plan_route, target), .value = "TARGET",
     .help = "trunk/NAME, account/NAME, site/NAME or reject/CODE"},
    {"priority", "10", FIELD_NUMBER, .width = 4, AT(plan_route, priority), .max = PLAN_NUMBER_MAX,
     .fallback = PLAN_PRIORITY_DEFAULT, .value = "N", .help = "which is tried first: the lowest"},
    {"weight", "10", FIELD_NUMBER, .width = 4, AT(plan_route, weight), .max = PLAN_NUMBER_MAX,
     .fallback = PLAN_WEIGHT_DEFAULT, .value = "N", .help = "its share among routes of one priority; 0: last of them"},
    {"scope", "hq", FIELD_TEXT, AT(plan_route, scope), .check = check_name, .value = "SITE",
     .help = "only for calls as seen from this site"},
    {"length", "4-15", FIELD_LENGTH, AT(plan_route, length_min), .other = offsetof(struct plan_route, length_max),
     .max = LIMIT_NUMBER, .value = "N-M", .help = "only numbers of so many characters"},
    {"strip", "1", FIELD_NUMBER, .width = 1, AT(plan_route, strip), .max = LIMIT_NUMBER, .value = "N",
     .help = "characters to take off the front of the number"},
    {"prepend", "\"0\"", FIELD_TEXT, AT(plan_route, prepend), .check = check_digits, .value = "DIGITS",
     .help = "digits to put in front of what is left"},
    {"hours", "\"Mo-Fr 08:00-18:00\"", FIELD_TEXT, AT(plan_route, hours), .check = hours_validate, .value = "HOURS",
     .help = "only then: \"Mo-Fr 08:00-18:00\""},
    {"overflow", "true", FIELD_FLAG, .width = sizeof(bool), AT(plan_route, overflow),
     .help = "go on to the next shorter match when no target is left"},
    {"failover", "[408, 503]", FIELD_CODES, AT(plan_route, failover),
     .other = offsetof(struct plan_route, failover_count), .max = PLAN_FAILOVER_MAX, .value = "CODE",
     .help = "the answers on which the next target is tried"},
    {"note", "\"...\"", FIELD_TEXT, AT(plan_route, note), .check = check_note, .value = "TEXT", .help = "a remark"},
    {"disabled", "true", FIELD_FLAG, .width = sizeof(bool), AT(plan_route, disabled),
     .help = "take it out of service and keep it in the plan"},
};

const struct schema *schema_of(enum plan_kind kind)
{
    static const struct schema schemas[PLAN_KIND_COUNT] = {
        [PLAN_DEFAULTS] = SCHEMA(defaults_fields, plan_defaults, false),
        [PLAN_SITE] = SCHEMA(site_fields, plan_site, true),
        [PLAN_TRUNK] = SCHEMA(trunk_fields, plan_trunk, true),
        [PLAN_ACCOUNT] = SCHEMA(account_fields, plan_account, true),
        [PLAN_ROUTE] = SCHEMA(route_fields, plan_route, false),
    };
    ASSERT((unsigned)kind < PLAN_KIND_COUNT);
    return &schemas[kind];
}

_Static_assert(offsetof(struct plan_site, name) == 0, "a named struct begins with its name");
_Static_assert(offsetof(struct plan_trunk, name) == 0, "a named struct begins with its name");
_Static_assert(offsetof(struct plan_account, name) == 0, "a named struct begins with its name");
_Static_assert(offsetof(struct plan_object, site) == offsetof(struct plan_object, route), "members of one union");

void *schema_base(struct plan_object *o)
{
    return &o->defaults;
}
const void *schema_base_const(const struct plan_object *o)
{
    return &o->defaults;
}

/* ---- access ---- */

uint32_t schema_number(const struct field *f, const void *base)
{
    uint8_t byte = 0;
    uint32_t word = 0;
    if (f->width == sizeof byte) {
        memcpy(&byte, schema_at_const(base, f->offset), sizeof byte);
        return byte;
    }
    memcpy(&word, schema_at_const(base, f->offset), sizeof word);
    return word;
}

void schema_set_number(const struct field *f, void *base, uint32_t value)
{
    uint8_t byte = (uint8_t)value;
    void *at = schema_at(base, f->offset);
    if (f->width == sizeof byte) {
        memcpy(at, &byte, sizeof byte);
    } else {
        memcpy(at, &value, sizeof value);
    }
}

size_t schema_list(const struct field *f, const void *base, const void **items)
{
    size_t count = 0;
    memcpy(&count, schema_at_const(base, f->other), sizeof count);
    memcpy(items, schema_at_const(base, f->offset), sizeof *items);
    return count;
}

void schema_defaults(const struct schema *s, void *base)
{
    for (size_t i = 0; i < s->count; i++) {
        const struct field *f = &s->fields[i];
        if (f->fallback != 0) schema_set_number(f, base, f->fallback);
    }
}

void plan_object_init(struct plan_object *o, enum plan_kind kind)
{
    memset(o, 0, sizeof *o);
    o->kind = kind;
    schema_defaults(schema_of(kind), schema_base(o));
}
