#include "node/app/identity.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <openssl/rand.h>

#include "node/mesh/credentials.h"
#include "node/plan/object.h"

#define SALT_DIGITS 8 /* of a cluster id, behind its name */

/* One key in a line, and another one that is taken too in the next. mend: what an operator does about a file that holds
 * no key. */
static enum err read_keys(struct arena *arena, const char *path, const char *mend, struct identity *out,
                          struct err_info *info)
{
    struct slice text = SLICE_NONE;
    struct slice first = SLICE_NONE;
    enum err e = file_read(arena, path, 1024, &text, info);
    if (e != ERR_OK) return e;
    struct slice second = slice_trim(slice_cut(text, '\n', &first));
    if (hex_decode(slice_trim(first), out->cluster_key, HASH_KEY_LEN) != ERR_OK) {
        e = err_fail(info, ERR_SYNTAX, "%s: expected %d hexadecimal digits; %s", path, 2 * HASH_KEY_LEN, mend);
    } else if (second.n > 0 && hex_decode(second, out->other_key, HASH_KEY_LEN) != ERR_OK) {
        e = err_fail(info, ERR_SYNTAX,
                     "%s: line 2: expected %d hexadecimal digits, another key that is taken too; correct or remove it",
                     path, 2 * HASH_KEY_LEN);
    }
    out->has_other_key = e == ERR_OK && second.n > 0;
    secret_wipe((char *)(uintptr_t)text.p, text.n);
    return e;
}

static bool write_whole(int fd, const char *text, size_t n)
{
    return write(fd, text, n) == (ssize_t)n && fsync(fd) == 0;
}

/* By way of a second file, so that a start that is cut off leaves no half of a key. */
static enum err write_key(struct arena *arena, const char *path, const unsigned char key[HASH_KEY_LEN],
                          struct err_info *info)
{
    char text[2 * HASH_KEY_LEN + 2];
    const char *made = arena_printf(arena, "%s.new", path);
    if (made == NULL) return ERR_NOMEM;
    (void)unlink(made);
    int fd = open(made, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0) return err_fail(info, ERR_IO, "%s: %s", made, strerror(errno));
    hex_encode(key, HASH_KEY_LEN, text);
    text[2 * HASH_KEY_LEN] = '\n';
    bool written = write_whole(fd, text, 2 * HASH_KEY_LEN + 1);
    int failed = errno;
    (void)close(fd);
    secret_wipe(text, sizeof text);
    if (written && rename(made, path) == 0) return ERR_OK;
    if (written) failed = errno;
    (void)unlink(made);
    return err_fail(info, ERR_IO, "%s: cannot be written: %s", path, strerror(failed));
}

/* A node on its own: its key is made once and kept, so that calls survive a restart. */
static enum err own_key(struct arena *arena, const char *path, struct identity *out, struct err_info *info)
{
    struct err_info why = {{0}, 0, 0};
    unsigned char *key = out->cluster_key;
    enum err e = read_keys(arena, path, "restore the file, or remove it: a new key is then made", out, &why);
    if (e != ERR_NOTFOUND) return e == ERR_OK ? e : err_fail(info, e, "%s", why.text);
    if (RAND_bytes(key, HASH_KEY_LEN) != 1) return err_fail(info, ERR_IO, "the system gives no random bytes");
    return write_key(arena, path, key, info);
}

static enum err tls_path(struct arena *arena, const struct config *config, const char *name, const char **out,
                         struct err_info *info)
{
    const char *path = arena_printf(arena, "%s/tls/%s", config->data, name);
    if (path == NULL) return ERR_NOMEM;
    if (access(path, R_OK) != 0) {
        return err_fail(info, ERR_NOTFOUND,
                        "%s: %s; this node has not joined a cluster: run \"clusterctl node join FILE --data %s\"", path,
                        strerror(errno), config->data);
    }
    *out = path;
    return ERR_OK;
}

/* One address a line. */
static enum err read_seeds(struct arena *arena, struct slice text, struct identity *out)
{
    while (text.n > 0) {
        struct slice line = SLICE_NONE;
        text = slice_cut(text, '\n', &line);
        line = slice_trim(line);
        if (line.n == 0 || out->seed_count == CONFIG_SEEDS_MAX) continue;
        struct slice copy = arena_copy(arena, line);
        if (copy.p == NULL) return ERR_NOMEM;
        out->seeds[out->seed_count++] = copy.p;
    }
    return ERR_OK;
}

/* The cluster id is the name that the CA was given and some random digits ("example-1f2e3d4c"): the configuration may
 * say either. */
static enum err check_cluster(const struct config *config, struct slice id, struct err_info *info)
{
    struct slice wanted = slice_of(config->cluster);
    if (!plan_name_valid(id)) {
        return err_fail(info, ERR_SYNTAX, "%s/tls/cluster: not the id of a cluster; join the node again", config->data);
    }
    bool salted = id.n == wanted.n + 1 + SALT_DIGITS && slice_starts(id, wanted) && id.p[wanted.n] == '-';
    if (wanted.n == 0 || salted || slice_eq(id, wanted)) return ERR_OK;
    return err_fail(info, ERR_AUTH,
                    "cluster: the configuration says %s, but the certificates in %s/tls are of cluster %.*s; correct "
                    "the configuration or join the node again",
                    config->cluster, config->data, SLICE_ARG(id));
}

/* Before anything is opened: what a start keeps of itself in the store is told to every other node later, and a name
 * that was a slip would be a member there for good. A file that is no certificate is for the mesh to refuse. */
static enum err check_name(const struct config *config, const char *cert_file, struct err_info *info)
{
    char name[LIMIT_NAME + 1];
    if (!credentials_name_file(cert_file, name) || strcmp(name, config->node) == 0) return ERR_OK;
    return err_fail(info, ERR_AUTH,
                    "%s: is the certificate of node %s, but this node is %s; correct the configuration or join the "
                    "node again",
                    cert_file, name, config->node);
}

static enum err load_joined(struct arena *arena, const struct config *config, struct identity *out,
                            struct err_info *info)
{
    const char *path = NULL;
    struct slice text = SLICE_NONE;
    enum err e = tls_path(arena, config, "ca.pem", &out->ca_file, info);
    if (e == ERR_OK) e = tls_path(arena, config, "node.pem", &out->cert_file, info);
    if (e == ERR_OK) e = check_name(config, out->cert_file, info);
    if (e == ERR_OK) out->issued = credentials_issued_file(out->cert_file);
    if (e == ERR_OK) e = tls_path(arena, config, "node.key", &out->key_file, info);
    if (e == ERR_OK) e = tls_path(arena, config, "cluster.key", &path, info);
    if (e == ERR_OK) e = read_keys(arena, path, "restore the file or join the node again", out, info);
    if (e == ERR_OK) e = tls_path(arena, config, "cluster", &path, info);
    if (e == ERR_OK) e = file_read(arena, path, 1024, &text, info);
    if (e != ERR_OK) return e;
    e = check_cluster(config, slice_trim(text), info);
    if (e != ERR_OK) return e;
    struct slice cluster = arena_copy(arena, slice_trim(text));
    if (cluster.p == NULL) return ERR_NOMEM;
    out->cluster = cluster.p;
    path = arena_printf(arena, "%s/tls/seeds", config->data);
    if (path == NULL) return ERR_NOMEM;
    e = file_read(arena, path, 65536, &text, NULL);
    return e == ERR_OK ? read_seeds(arena, text, out) : ERR_OK; /* no seeds: the first node */
}

enum err identity_load(struct arena *arena, const struct config *config, struct identity *out, struct err_info *info)
{
    *out = (struct identity){.cluster = ""};
    if (mkdir(config->data, 0700) != 0 && errno != EEXIST) {
        return err_fail(info, ERR_IO, "data: %s: %s", config->data, strerror(errno));
    }
    if (config->mesh) return load_joined(arena, config, out, info);
    const char *path = arena_printf(arena, "%s/node.key", config->data);
    return path != NULL ? own_key(arena, path, out, info) : ERR_NOMEM;
}
