/* See join_file.h. The reader walks libyaml's events; every scalar is a string. */
#include "cli/join_file.h"

#include <time.h>
#include <yaml.h>

#include "cli/secret_file.h"

bool join_seed_valid(struct slice s)
{
    size_t colon = s.n;
    uint64_t port;
    if (s.n > LIMIT_URI) return false;
    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] <= 0x20 || s.p[i] >= 0x7f || strchr("\"'\\,#@/", s.p[i]) != NULL) return false;
        if (s.p[i] == ':') colon = i;
    }
    if (colon == 0 || colon == s.n) return false;
    struct slice host = {s.p, colon};
    struct slice digits = {s.p + colon + 1, s.n - colon - 1};
    bool bracketed = host.n > 2 && host.p[0] == '[' && host.p[host.n - 1] == ']';
    if (!bracketed && (memchr(host.p, ':', host.n) != NULL || memchr(host.p, '[', host.n) != NULL)) return false;
    return digits.n <= 5 && slice_u64(digits, 65535, &port) == ERR_OK && port > 0;
}

/* ---- write ---- */

static bool pem_valid(struct slice s)
{
    if (s.n == 0 || !slice_starts(s, SLICE("-----BEGIN "))) return false;
    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] != '\n' && (s.p[i] < 0x20 || s.p[i] >= 0x7f)) return false;
    }
    return true;
}

static void render_block(struct buf *out, const char *key, struct slice text)
{
    buf_printf(out, "%s: |\n", key);
    while (text.n > 0) {
        struct slice line;
        text = slice_cut(text, '\n', &line);
        buf_printf(out, "  %.*s\n", SLICE_ARG(line));
    }
}

enum err join_render(const struct join_file *j, struct buf *out, struct err_info *info)
{
    const struct pki_identity *id = &j->identity;
    if (!pki_token_valid(id->cluster) || !pki_token_valid(id->node) || !pki_token_valid(id->site))
        return err_fail(info, ERR_SYNTAX, "join file: cluster, node or site is not a name");
    if (!pem_valid(id->ca) || !pem_valid(id->certificate) || !pem_valid(id->key))
        return err_fail(info, ERR_SYNTAX, "join file: certificate or key is not PEM");
    if (j->seed_count > JOIN_SEEDS_MAX) return err_fail(info, ERR_SYNTAX, "join file: over %d seeds", JOIN_SEEDS_MAX);
    buf_text(
        out,
        "# This file makes a machine a node of the cluster. It holds the node's private key: keep it secret, use it\n"
        "# once with \"clusterctl node join FILE\", then delete it.\n"
        "tandem-join: 1\n");
    buf_printf(out, "cluster: \"%.*s\"\nnode: \"%.*s\"\nsite: \"%.*s\"\nseeds: [", SLICE_ARG(id->cluster),
               SLICE_ARG(id->node), SLICE_ARG(id->site));
    for (size_t i = 0; i < j->seed_count; i++) {
        if (!join_seed_valid(j->seeds[i]))
            return err_fail(info, ERR_SYNTAX, "join file: seed \"%.*s\" is not HOST:PORT", SLICE_ARG(j->seeds[i]));
        buf_printf(out, "%s\"%.*s\"", i > 0 ? ", " : "", SLICE_ARG(j->seeds[i]));
    }
    buf_text(out, "]\n");
    render_block(out, "ca", id->ca);
    render_block(out, "certificate", id->certificate);
    render_block(out, "key", id->key);
    buf_printf(out, "cluster_key: \"%.*s\"\n", SLICE_ARG(slice_trim(id->cluster_key)));
    return out->failed ? err_fail(info, ERR_NOMEM, "join file: no memory") : ERR_OK;
}

enum err join_write(const struct join_file *j, const char *path, struct err_info *info)
{
    struct buf text = {0};
    enum err err = join_render(j, &text, info);
    if (err == ERR_OK) err = secret_file_create(path, buf_view(&text), 0600, info);
    if (text.p != NULL) secret_wipe(text.p, text.n);
    buf_fini(&text);
    return err;
}

/* ---- read ---- */

enum join_key {
    KEY_VERSION,
    KEY_CLUSTER,
    KEY_NODE,
    KEY_SITE,
    KEY_SEEDS,
    KEY_CA,
    KEY_CERTIFICATE,
    KEY_KEY,
    KEY_CLUSTER_KEY,
    KEY_COUNT
};
static const char *const key_names[KEY_COUNT] = {"tandem-join", "cluster",     "node", "site",       "seeds",
                                                 "ca",          "certificate", "key",  "cluster_key"};

struct join_reader {
    yaml_parser_t parser;
    yaml_event_t event; /* the present one; deleted by the next */
    struct arena *arena;
    struct join_file *out;
    struct slice values[KEY_COUNT];
    unsigned lines[KEY_COUNT]; /* 0: not seen */
    struct err_info *info;
};

static enum err fail_here(const struct join_reader *r, enum err err, const char *text)
{
    return err_fail_at(r->info, err, (unsigned)r->event.start_mark.line + 1, (unsigned)r->event.start_mark.column + 1,
                       "join file: %s", text);
}

static enum err next_event(struct join_reader *r)
{
    yaml_event_delete(&r->event);
    if (yaml_parser_parse(&r->parser, &r->event) == 1) return ERR_OK;
    memset(&r->event, 0, sizeof r->event);
    if (r->parser.error == YAML_MEMORY_ERROR) return err_fail(r->info, ERR_NOMEM, "join file: no memory");
    return err_fail_at(r->info, ERR_SYNTAX, (unsigned)r->parser.problem_mark.line + 1,
                       (unsigned)r->parser.problem_mark.column + 1, "join file: not YAML: %s",
                       r->parser.problem != NULL ? r->parser.problem : "?");
}

static enum err want_event(struct join_reader *r, yaml_event_type_t type, const char *what)
{
    enum err err = next_event(r);
    if (err == ERR_OK && r->event.type != type) err = fail_here(r, ERR_SYNTAX, what);
    return err;
}

static struct slice scalar(const struct join_reader *r)
{
    return (struct slice){(const char *)r->event.data.scalar.value, r->event.data.scalar.length};
}

static enum err take_scalar(struct join_reader *r, struct slice *out)
{
    struct slice text = scalar(r);
    if (text.n > 0 && memchr(text.p, 0, text.n) != NULL) return fail_here(r, ERR_SYNTAX, "a NUL character in a value");
    *out = arena_copy(r->arena, text);
    return out->p != NULL ? ERR_OK : err_fail(r->info, ERR_NOMEM, "join file: no memory");
}

static enum err read_seeds(struct join_reader *r)
{
    enum err err = want_event(r, YAML_SEQUENCE_START_EVENT, "seeds: expected a list, [] when there are none");
    while (err == ERR_OK) {
        err = next_event(r);
        if (err != ERR_OK || r->event.type == YAML_SEQUENCE_END_EVENT) break;
        if (r->event.type != YAML_SCALAR_EVENT || !join_seed_valid(scalar(r)))
            return fail_here(r, ERR_SYNTAX, "seeds: expected HOST:PORT");
        if (r->out->seed_count == JOIN_SEEDS_MAX) return fail_here(r, ERR_LIMIT, "seeds: too many");
        err = take_scalar(r, &r->out->seeds[r->out->seed_count++]);
    }
    return err;
}

static enum err read_entry(struct join_reader *r)
{
    size_t key = 0;
    while (key < KEY_COUNT && !slice_is(scalar(r), key_names[key]))
        key++;
    if (key == KEY_COUNT) return fail_here(r, ERR_SYNTAX, "unknown key");
    if (r->lines[key] != 0) return fail_here(r, ERR_SYNTAX, "this key was given before");
    r->lines[key] = (unsigned)r->event.start_mark.line + 1;
    if (key == KEY_SEEDS) return read_seeds(r);
    enum err err = want_event(r, YAML_SCALAR_EVENT, "expected a text");
    if (err == ERR_OK) err = take_scalar(r, &r->values[key]);
    if (err == ERR_OK && key == KEY_VERSION && !slice_is(r->values[key], "1"))
        err = fail_here(r, ERR_VERSION, "written by another version of clusterctl: tandem-join is not 1");
    return err;
}

static enum err read_document(struct join_reader *r)
{
    enum err err = want_event(r, YAML_STREAM_START_EVENT, "not YAML");
    if (err == ERR_OK) err = want_event(r, YAML_DOCUMENT_START_EVENT, "empty");
    if (err == ERR_OK) err = want_event(r, YAML_MAPPING_START_EVENT, "expected \"tandem-join: 1\" and further keys");
    while (err == ERR_OK) {
        err = next_event(r);
        if (err != ERR_OK || r->event.type == YAML_MAPPING_END_EVENT) break;
        err = r->event.type == YAML_SCALAR_EVENT ? read_entry(r) : fail_here(r, ERR_SYNTAX, "expected a key");
    }
    if (err == ERR_OK) err = want_event(r, YAML_DOCUMENT_END_EVENT, "expected the end");
    if (err == ERR_OK) err = want_event(r, YAML_STREAM_END_EVENT, "expected the end, not a second document");
    for (size_t key = 0; err == ERR_OK && key < KEY_COUNT; key++) {
        if (r->lines[key] == 0) err = err_fail(r->info, ERR_SYNTAX, "join file: \"%s\" is missing", key_names[key]);
    }
    return err;
}

static enum err take_identity(struct join_reader *r)
{
    struct pki_identity *id = &r->out->identity;
    unsigned char key[32];
    const enum join_key names[] = {KEY_CLUSTER, KEY_NODE, KEY_SITE};
    for (size_t i = 0; i < 3; i++) {
        if (!pki_token_valid(r->values[names[i]]))
            return err_fail_at(r->info, ERR_SYNTAX, r->lines[names[i]], 1, "join file: %s: not a name",
                               key_names[names[i]]);
    }
    const enum join_key pems[] = {KEY_CA, KEY_CERTIFICATE, KEY_KEY};
    for (size_t i = 0; i < 3; i++) {
        if (!pem_valid(r->values[pems[i]]))
            return err_fail_at(r->info, ERR_SYNTAX, r->lines[pems[i]], 1, "join file: %s: not PEM", key_names[pems[i]]);
    }
    enum err err = hex_decode(r->values[KEY_CLUSTER_KEY], key, sizeof key);
    secret_wipe(key, sizeof key);
    if (err != ERR_OK)
        return err_fail_at(r->info, ERR_SYNTAX, r->lines[KEY_CLUSTER_KEY], 1,
                           "join file: cluster_key: not 64 hexadecimal digits");
    *id = (struct pki_identity){.cluster = r->values[KEY_CLUSTER],
                                .node = r->values[KEY_NODE],
                                .site = r->values[KEY_SITE],
                                .ca = r->values[KEY_CA],
                                .certificate = r->values[KEY_CERTIFICATE],
                                .key = r->values[KEY_KEY],
                                .cluster_key = r->values[KEY_CLUSTER_KEY]};
    return ERR_OK;
}

enum err join_parse(struct arena *arena, struct slice text, struct join_file *out, struct err_info *info)
{
    struct join_file parsed = {0};
    struct join_reader r = {.arena = arena, .out = &parsed, .info = info};
    if (text.n > SECRET_FILE_MAX) return err_fail(info, ERR_LIMIT, "join file: longer than %d bytes", SECRET_FILE_MAX);
    if (yaml_parser_initialize(&r.parser) != 1) return err_fail(info, ERR_NOMEM, "join file: no memory");
    yaml_parser_set_input_string(&r.parser, (const unsigned char *)(text.n > 0 ? text.p : ""), text.n);
    enum err err = read_document(&r);
    if (err == ERR_OK) err = take_identity(&r);
    yaml_event_delete(&r.event);
    yaml_parser_delete(&r.parser);
    if (err == ERR_OK) *out = parsed;
    return err;
}

enum err join_read(struct arena *arena, const char *path, struct join_file *out, struct err_info *info)
{
    struct slice text;
    struct join_file parsed;
    enum err err = secret_file_read(arena, path, true, &text, info);
    if (err != ERR_OK) return err;
    err = join_parse(arena, text, &parsed, info);
    secret_wipe((void *)(uintptr_t)text.p, text.n);
    if (err == ERR_OK) err = pki_check(&parsed.identity, (struct wall){(int64_t)time(NULL) * 1000}, info);
    if (err == ERR_OK) *out = parsed;
    return err;
}
