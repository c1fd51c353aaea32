#include "node/app/config.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/un.h>

#include <yaml.h>

#include "node/base/time.h"
#include "node/plan/object.h"

#define CONFIG_FILE_MAX 65536

/* What a value must look like. The text of an error is made from it, so a rule and its explanation stand together. */
struct form {
    bool (*fits)(struct slice value);
    const char *expected;
};

static bool fits_name(struct slice v)
{
    return plan_name_valid(v);
}

static bool fits_path(struct slice v)
{
    return v.n > 0 && v.n < 4096;
}

/* host:port with a port, a host of letters, digits, '.', '-', or a bracketed IPv6 address. */
static bool fits_host_port(struct slice v)
{
    struct slice host = v;
    struct slice port = SLICE_NONE;
    uint64_t number = 0;
    for (size_t i = v.n; i > 0 && port.p == NULL; i--) {
        if (v.p[i - 1] != ':') continue;
        host = (struct slice){v.p, i - 1};
        port = (struct slice){v.p + i, v.n - i};
    }
    if (host.n == 0 || host.n > LIMIT_HOST || slice_u64(port, 65535, &number) != ERR_OK) return false;
    bool bracketed = host.p[0] == '[' && host.p[host.n - 1] == ']' && host.n > 2;
    for (size_t i = bracketed; i < host.n - bracketed; i++) {
        char c = host.p[i];
        bool plain = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '.' || c == '-';
        if (!plain && !(bracketed && c == ':')) return false;
    }
    return true;
}

/* An address with a port, and no name. */
static bool fits_address_port(struct slice v)
{
    char host[INET6_ADDRSTRLEN];
    unsigned char address[sizeof(struct in6_addr)];
    if (!fits_host_port(v)) return false;
    size_t n = v.n;
    while (v.p[n - 1] != ':')
        n--;
    bool bracketed = v.p[0] == '[';
    (void)snprintf(host, sizeof host, "%.*s", (int)(n - 1 - 2 * (size_t)bracketed), v.p + bracketed);
    return inet_pton(bracketed ? AF_INET6 : AF_INET, host, address) == 1;
}

static bool fits_sip_listen(struct slice v)
{
    static const char *const transports[] = {"udp:", "tcp:", "tls:"};
    for (size_t i = 0; i < sizeof transports / sizeof transports[0]; i++) {
        if (slice_starts(v, slice_of(transports[i]))) return fits_address_port((struct slice){v.p + 4, v.n - 4});
    }
    return false;
}

static bool fits_socket(struct slice v)
{
    return v.n > 0 && v.n < sizeof((struct sockaddr_un *)0)->sun_path;
}

static bool fits_host(struct slice v)
{
    return v.n > 0 && v.n <= LIMIT_HOST && memchr(v.p, ' ', v.n) == NULL && memchr(v.p, '/', v.n) == NULL;
}

static bool fits_duration(struct slice v)
{
    uint64_t ms = 0;
    return duration_parse(v.p, v.n, &ms) == ERR_OK && ms >= 100 && ms <= 60000;
}

static bool fits_keep(struct slice v)
{
    uint64_t ms = 0;
    return duration_parse(v.p, v.n, &ms) == ERR_OK && ms >= 60000;
}

static bool fits_idle(struct slice v)
{
    uint64_t ms = 0;
    return duration_parse(v.p, v.n, &ms) == ERR_OK && ms >= 60000 && ms <= UINT64_C(7) * 86400000;
}

static bool fits_session(struct slice v)
{
    uint64_t ms = 0;
    return duration_parse(v.p, v.n, &ms) == ERR_OK && (ms == 0 || (ms >= 90000 && ms <= 86400000));
}

static bool fits_count(struct slice v)
{
    uint64_t n = 0;
    return slice_u64(v, 100000000, &n) == ERR_OK;
}

static bool fits_history(struct slice v)
{
    uint64_t n = 0;
    return slice_u64(v, 1000000, &n) == ERR_OK && n >= 100;
}

static bool fits_level(struct slice v)
{
    return slice_is(v, "error") || slice_is(v, "warn") || slice_is(v, "info") || slice_is(v, "debug");
}

static bool fits_yes_no(struct slice v)
{
    return slice_is(v, "yes") || slice_is(v, "no");
}

static const struct form form_name = {fits_name, "a name of letters, digits, '.', '_' or '-', 63 at most"};
static const struct form form_path = {fits_path, "a path"};
static const struct form form_socket = {fits_socket, "a path of 107 characters at most"};
static const struct form form_host_port = {fits_host_port, "an address with a port, such as \"10.1.0.1:7400\""};
static const struct form form_relay = {fits_address_port, "the address and port at which rtpengine is told what to "
                                                          "do, such as \"127.0.0.1:2223\""};
static const struct form form_sip_listen = {fits_sip_listen, "transport:address:port, such as \"udp:10.1.0.1:5060\""};
static const struct form form_host = {fits_host, "a host name or an address without a port"};
static const struct form form_duration = {fits_duration, "a duration from 100ms to 60s, such as 4s"};
static const struct form form_session = {fits_session, "0, or a duration from 90s to 24h, such as 30m"};
static const struct form form_keep = {fits_keep, "a duration from 1m to 366d, such as 30d"};
static const struct form form_idle = {fits_idle, "a duration from 1m to 7d, such as 12h"};
static const struct form form_count = {fits_count, "a number from 0 to 100000000"};
static const struct form form_history = {fits_history, "a number of change-sets from 100 to 1000000"};
static const struct form form_level = {fits_level, "error, warn, info or debug"};
static const struct form form_yes_no = {fits_yes_no, "yes or no"};

enum field_type { FIELD_TEXT, FIELD_LIST, FIELD_MAPPING };

/* One key of a mapping and where its value goes in struct config. */
struct field {
    const char *key;
    enum field_type type;
    bool required;
    const struct form *form;
    size_t offset;              /* of the const char *, or of the array of a list */
    size_t count_offset;        /* list: of its size_t */
    size_t max;                 /* list */
    const struct field *fields; /* mapping */
    size_t field_count;
};

#define AT(member) offsetof(struct config, member)

/* Texts that need a further step after reading. */
struct raw {
    struct config config; /* first: offsets of struct config hold for struct raw too */
    const char *log;
    const char *no_answer;
    const char *session;
    const char *calls_idle;
    const char *calls_keep;
    const char *calls_max;
    const char *reachable;
    const char *history;
};

static const struct field sip_fields[] = {
    {"listen", FIELD_LIST, true, &form_sip_listen, AT(sip_listen), AT(sip_listen_count), CONFIG_LISTEN_MAX, NULL, 0},
    {"advertise", FIELD_TEXT, false, &form_host, AT(sip_advertise), 0, 0, NULL, 0},
    {"certificate", FIELD_TEXT, false, &form_path, AT(sip_certificate), 0, 0, NULL, 0},
    {"key", FIELD_TEXT, false, &form_path, AT(sip_key), 0, 0, NULL, 0},
    {"session", FIELD_TEXT, false, &form_session, offsetof(struct raw, session), 0, 0, NULL, 0},
    {"no_answer", FIELD_TEXT, false, &form_duration, offsetof(struct raw, no_answer), 0, 0, NULL, 0},
};
static const struct field mesh_fields[] = {
    {"listen", FIELD_TEXT, false, &form_host_port, AT(mesh_listen), 0, 0, NULL, 0},
    {"advertise", FIELD_TEXT, false, &form_host_port, AT(mesh_advertise), 0, 0, NULL, 0},
    {"reachable", FIELD_TEXT, false, &form_yes_no, offsetof(struct raw, reachable), 0, 0, NULL, 0},
    {"seeds", FIELD_LIST, false, &form_host_port, AT(seeds), AT(seed_count), CONFIG_SEEDS_MAX, NULL, 0},
};
static const struct field calls_fields[] = {
    {"idle", FIELD_TEXT, false, &form_idle, offsetof(struct raw, calls_idle), 0, 0, NULL, 0},
    {"keep", FIELD_TEXT, false, &form_keep, offsetof(struct raw, calls_keep), 0, 0, NULL, 0},
    {"max", FIELD_TEXT, false, &form_count, offsetof(struct raw, calls_max), 0, 0, NULL, 0},
};
static const struct field media_fields[] = {
    {"relay", FIELD_TEXT, true, &form_relay, AT(media_relay), 0, 0, NULL, 0},
};
#define COUNT(a) (sizeof(a) / sizeof(a)[0])
static const struct field top_fields[] = {
    {"node", FIELD_TEXT, true, &form_name, AT(node), 0, 0, NULL, 0},
    {"site", FIELD_TEXT, true, &form_name, AT(site), 0, 0, NULL, 0},
    {"cluster", FIELD_TEXT, false, &form_name, AT(cluster), 0, 0, NULL, 0},
    {"data", FIELD_TEXT, true, &form_path, AT(data), 0, 0, NULL, 0},
    {"sip", FIELD_MAPPING, true, NULL, 0, 0, 0, sip_fields, COUNT(sip_fields)},
    {"mesh", FIELD_MAPPING, false, NULL, 0, 0, 0, mesh_fields, COUNT(mesh_fields)},
    {"control", FIELD_TEXT, true, &form_socket, AT(control), 0, 0, NULL, 0},
    {"http", FIELD_TEXT, false, &form_host_port, AT(http), 0, 0, NULL, 0},
    {"media", FIELD_MAPPING, false, NULL, 0, 0, 0, media_fields, COUNT(media_fields)},
    {"calls", FIELD_MAPPING, false, NULL, 0, 0, 0, calls_fields, COUNT(calls_fields)},
    {"history", FIELD_TEXT, false, &form_history, offsetof(struct raw, history), 0, 0, NULL, 0},
    {"log", FIELD_TEXT, false, &form_level, offsetof(struct raw, log), 0, 0, NULL, 0},
};

struct reader {
    struct arena *arena;
    yaml_document_t *document;
    struct raw *raw;
    struct err_info *info;
};

static enum err fail(const struct reader *r, const yaml_node_t *at, enum err e, const char *text)
{
    return err_fail_at(r->info, e, (unsigned)at->start_mark.line + 1, (unsigned)at->start_mark.column + 1, "%s", text);
}

static struct slice scalar_text(const yaml_node_t *n)
{
    return (struct slice){(const char *)n->data.scalar.value, n->data.scalar.length};
}

/* Checks one scalar against its form and stores a copy at *out. */
static enum err read_text(const struct reader *r, const yaml_node_t *n, const struct field *f, const char **out)
{
    char text[400];
    if (n->type != YAML_SCALAR_NODE || !f->form->fits(scalar_text(n)) ||
        memchr(n->data.scalar.value, '\0', n->data.scalar.length) != NULL) {
        (void)snprintf(text, sizeof text, "%s: expected %s%s%.60s%s", f->key, f->form->expected,
                       n->type == YAML_SCALAR_NODE ? ", not \"" : "",
                       n->type == YAML_SCALAR_NODE ? (const char *)n->data.scalar.value : "",
                       n->type == YAML_SCALAR_NODE ? "\"" : ", not a list or mapping");
        return fail(r, n, ERR_SYNTAX, text);
    }
    struct slice copy = arena_copy(r->arena, scalar_text(n));
    if (copy.p == NULL) return ERR_NOMEM;
    *out = copy.p;
    return ERR_OK;
}

static enum err read_list(const struct reader *r, yaml_node_t *n, const struct field *f)
{
    const char **items = (const char **)(void *)((char *)r->raw + f->offset);
    size_t *count = (size_t *)(void *)((char *)r->raw + f->count_offset);
    char text[200];
    if (n->type != YAML_SEQUENCE_NODE) {
        (void)snprintf(text, sizeof text, "%s: expected a list, such as [\"...\"]", f->key);
        return fail(r, n, ERR_SYNTAX, text);
    }
    for (yaml_node_item_t *i = n->data.sequence.items.start; i < n->data.sequence.items.top; i++) {
        yaml_node_t *item = yaml_document_get_node(r->document, *i);
        if (*count == f->max) {
            (void)snprintf(text, sizeof text, "%s: more than %zu entries", f->key, f->max);
            return fail(r, item, ERR_LIMIT, text);
        }
        enum err e = read_text(r, item, f, &items[*count]);
        if (e != ERR_OK) return e;
        (*count)++;
    }
    if (f->required && *count == 0) {
        (void)snprintf(text, sizeof text, "%s: is empty; expected %s", f->key, f->form->expected);
        return fail(r, n, ERR_SYNTAX, text);
    }
    return ERR_OK;
}

static enum err read_mapping(const struct reader *r, yaml_node_t *n, const char *name, const struct field *fields,
                             size_t field_count);

/* Not NULL and not "all addresses", which nobody could dial. */
static bool names_one_address(const char *listen)
{
    return listen != NULL && strncmp(listen, "0.0.0.0:", 8) != 0 && strncmp(listen, "[::]:", 5) != 0;
}

/* The node that holds the value of a key that is there. */
static yaml_node_t *value_of(const struct reader *r, const yaml_node_t *mapping, const char *name)
{
    yaml_node_pair_t *p = mapping->data.mapping.pairs.start;
    while (!slice_is(scalar_text(yaml_document_get_node(r->document, p->key)), name))
        p++;
    return yaml_document_get_node(r->document, p->value);
}

/* What mesh says of how others reach this node must not contradict itself. */
static enum err check_reachable(const struct reader *r, const yaml_node_t *mesh)
{
    const struct config *c = &r->raw->config;
    if (r->raw->reachable == NULL) return ERR_OK;
    bool yes = strcmp(r->raw->reachable, "yes") == 0;
    if (!yes && c->mesh_advertise != NULL) {
        return fail(
            r, value_of(r, mesh, "advertise"), ERR_SYNTAX,
            "advertise: an address at which others dial a node that says \"reachable: no\"; remove one of them");
    }
    if (yes && c->mesh_advertise == NULL && !names_one_address(c->mesh_listen)) {
        return fail(r, value_of(r, mesh, "reachable"), ERR_SYNTAX,
                    "reachable: yes needs the address at which others dial this node: add advertise: \"ADDRESS:PORT\"");
    }
    return ERR_OK;
}

/* A certificate is of no use without its key, nor is that without it. */
static enum err check_certificate(const struct reader *r, const yaml_node_t *sip)
{
    const struct config *c = &r->raw->config;
    if ((c->sip_certificate == NULL) == (c->sip_key == NULL)) return ERR_OK;
    if (c->sip_key == NULL) {
        return fail(r, value_of(r, sip, "certificate"), ERR_SYNTAX,
                    "certificate: its key is missing: add key: \"FILE\" beside it");
    }
    return fail(r, value_of(r, sip, "key"), ERR_SYNTAX,
                "key: its certificate is missing: add certificate: \"FILE\" beside it");
}

static enum err read_field(const struct reader *r, yaml_node_t *value, const struct field *f)
{
    switch (f->type) {
    case FIELD_TEXT: return read_text(r, value, f, (const char **)(void *)((char *)r->raw + f->offset));
    case FIELD_LIST: return read_list(r, value, f);
    case FIELD_MAPPING: break;
    }
    enum err e = read_mapping(r, value, f->key, f->fields, f->field_count);
    if (e == ERR_OK && f->fields == sip_fields) e = check_certificate(r, value);
    if (e != ERR_OK || f->fields != mesh_fields) return e;
    r->raw->config.mesh = true;
    return check_reachable(r, value);
}

static enum err unknown_key(const struct reader *r, const yaml_node_t *key, const struct field *fields, size_t count)
{
    char known[200] = "";
    char text[420];
    for (size_t i = 0; i < count; i++) {
        size_t used = strlen(known);
        (void)snprintf(known + used, sizeof known - used, "%s%s", i > 0 ? ", " : "", fields[i].key);
    }
    (void)snprintf(text, sizeof text, "unknown key \"%.40s\": write one of %s",
                   key->type == YAML_SCALAR_NODE ? (const char *)key->data.scalar.value : "(not a text)", known);
    return fail(r, key, ERR_SYNTAX, text);
}

static enum err read_mapping(const struct reader *r, yaml_node_t *n, const char *name, const struct field *fields,
                             size_t field_count)
{
    unsigned seen = 0;
    char text[200];
    if (n->type != YAML_MAPPING_NODE) {
        (void)snprintf(text, sizeof text, "%s: expected a mapping of keys to values", name);
        return fail(r, n, ERR_SYNTAX, text);
    }
    for (yaml_node_pair_t *p = n->data.mapping.pairs.start; p < n->data.mapping.pairs.top; p++) {
        yaml_node_t *key = yaml_document_get_node(r->document, p->key);
        size_t i = 0;
        while (i < field_count && !(key->type == YAML_SCALAR_NODE && slice_is(scalar_text(key), fields[i].key)))
            i++;
        if (i == field_count) return unknown_key(r, key, fields, field_count);
        if ((seen >> i & 1u) != 0) {
            (void)snprintf(text, sizeof text, "%s: given twice; keep one", fields[i].key);
            return fail(r, key, ERR_SYNTAX, text);
        }
        seen |= 1u << i;
        enum err e = read_field(r, yaml_document_get_node(r->document, p->value), &fields[i]);
        if (e != ERR_OK) return e;
    }
    for (size_t i = 0; i < field_count; i++) {
        if (!fields[i].required || (seen >> i & 1u) != 0) continue;
        (void)snprintf(text, sizeof text, "%s: the key \"%s\" is missing", name, fields[i].key);
        return fail(r, n, ERR_SYNTAX, text);
    }
    return ERR_OK;
}

static void finish(struct raw *raw)
{
    struct config *c = &raw->config;
    uint64_t ms = 4000;
    static const char *const levels[] = {"error", "warn", "info", "debug"};
    if (raw->no_answer != NULL) (void)!duration_parse(raw->no_answer, strlen(raw->no_answer), &ms);
    c->sip_no_answer_ms = (uint32_t)ms;
    ms = 1800000;
    if (raw->session != NULL) (void)!duration_parse(raw->session, strlen(raw->session), &ms);
    c->sip_session_s = (uint32_t)(ms / 1000);
    c->calls_idle_ms = CONFIG_CALLS_IDLE_MS;
    if (raw->calls_idle != NULL) (void)!duration_parse(raw->calls_idle, strlen(raw->calls_idle), &c->calls_idle_ms);
    c->calls_keep_ms = CONFIG_CALLS_KEEP_MS;
    c->calls_max = CONFIG_CALLS_MAX;
    if (raw->calls_keep != NULL) (void)!duration_parse(raw->calls_keep, strlen(raw->calls_keep), &c->calls_keep_ms);
    if (raw->calls_max != NULL) (void)!slice_u64(slice_of(raw->calls_max), UINT64_MAX, &c->calls_max);
    if (raw->history != NULL) (void)!slice_u64(slice_of(raw->history), UINT64_MAX, &c->history);
    c->log_level = LOG_INFO;
    for (size_t i = 0; raw->log != NULL && i < COUNT(levels); i++) {
        if (strcmp(raw->log, levels[i]) == 0) c->log_level = (enum log_level)i;
    }
    if (c->cluster == NULL) c->cluster = "";
    if (c->sip_advertise == NULL) c->sip_advertise = "";
    bool hidden = raw->reachable != NULL && strcmp(raw->reachable, "no") == 0;
    if (c->mesh_advertise == NULL)
        c->mesh_advertise = !hidden && names_one_address(c->mesh_listen) ? c->mesh_listen : "";
}

/* The parser's words; of a tab, which is the usual mistake, they are "found character that cannot start any token". */
static enum err not_yaml(const yaml_parser_t *parser, struct slice text, struct err_info *info)
{
    size_t line = parser->problem_mark.line;
    struct slice at = SLICE_NONE;
    for (size_t i = 0; i <= line; i++)
        text = slice_cut(text, '\n', &at);
    bool tab = parser->problem_mark.column < at.n && at.p[parser->problem_mark.column] == '\t';
    return err_fail_at(info, ERR_SYNTAX, (unsigned)line + 1, (unsigned)parser->problem_mark.column + 1, "not YAML: %s",
                       tab                       ? "a tab stands here; indent with spaces"
                       : parser->problem != NULL ? parser->problem
                                                 : "cannot be read");
}

/* What follows the first document would be ignored in silence. */
static enum err only_one(yaml_parser_t *parser, struct slice text, struct err_info *info)
{
    yaml_document_t next;
    enum err e = ERR_OK;
    if (yaml_parser_load(parser, &next) == 0) return not_yaml(parser, text, info);
    if (yaml_document_get_root_node(&next) != NULL) {
        e = err_fail_at(info, ERR_SYNTAX, (unsigned)next.start_mark.line + 1, 1,
                        "a second document: a configuration is one; remove what follows \"---\"");
    }
    yaml_document_delete(&next);
    return e;
}

enum err config_parse(struct arena *arena, struct slice text, struct config *out, struct err_info *info)
{
    struct raw raw = {0};
    yaml_parser_t parser;
    yaml_document_t document;
    enum err e = ERR_OK;
    if (yaml_parser_initialize(&parser) == 0) return ERR_NOMEM;
    yaml_parser_set_input_string(&parser, (const unsigned char *)text.p, text.n);
    if (yaml_parser_load(&parser, &document) == 0) {
        e = not_yaml(&parser, text, info);
        yaml_parser_delete(&parser);
        return e;
    }
    struct reader r = {.arena = arena, .document = &document, .raw = &raw, .info = info};
    yaml_node_t *root = yaml_document_get_root_node(&document);
    if (root == NULL) {
        e = err_fail_at(info, ERR_SYNTAX, 1, 1,
                        "the file is empty: a configuration has at least node, site, data, sip and control");
    } else {
        e = read_mapping(&r, root, "configuration", top_fields, COUNT(top_fields));
        if (e == ERR_OK) e = only_one(&parser, text, info);
    }
    yaml_document_delete(&document);
    yaml_parser_delete(&parser);
    if (e != ERR_OK) return e;
    finish(&raw);
    *out = raw.config;
    return ERR_OK;
}

enum err file_read(struct arena *arena, const char *path, size_t max, struct slice *out, struct err_info *info)
{
    enum err e = ERR_OK;
    FILE *f = fopen(path, "rb");
    if (f == NULL) {
        return err_fail(info, errno == ENOENT ? ERR_NOTFOUND : ERR_IO, "%s: %s", path, strerror(errno));
    }
    char *p = arena_alloc(arena, max + 1);
    size_t n = 0;
    if (p == NULL) {
        e = ERR_NOMEM;
        goto out;
    }
    n = fread(p, 1, max + 1, f);
    if (ferror(f)) {
        e = err_fail(info, ERR_IO, "%s: %s", path, strerror(errno));
        goto out;
    }
    if (n > max) {
        e = err_fail(info, ERR_LIMIT, "%s: larger than %zu bytes", path, max);
        goto out;
    }
    p[n] = '\0';
    *out = (struct slice){p, n};
out:
    (void)fclose(f);
    return e;
}

enum err config_read(struct arena *arena, const char *path, struct config *out, struct err_info *info)
{
    struct slice text = SLICE_NONE;
    enum err e = file_read(arena, path, CONFIG_FILE_MAX, &text, info);
    if (e != ERR_OK) return e;
    return config_parse(arena, text, out, info);
}
