/* join_install: puts what a join file holds where tandemd reads it: DATA/tls. See join_file.h.
 *
 * All or none: the files are written to DATA/tls.new, which then takes the place of DATA/tls. */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/join_file.h"
#include "cli/secret_file.h"

static const char *const file_names[] = {"ca.pem", "node.pem", "node.key", "cluster.key", "cluster", "seeds"};
#define FILE_COUNT (sizeof file_names / sizeof file_names[0])

static enum err path_of(char out[PATH_MAX], const char *data_dir, const char *dir, const char *name,
                        struct err_info *info)
{
    int n = snprintf(out, PATH_MAX, "%s/%s%s%s", data_dir, dir, name[0] != '\0' ? "/" : "", name);
    if (n < 0 || n >= PATH_MAX) return err_fail(info, ERR_LIMIT, "%s: path too long", data_dir);
    return ERR_OK;
}

/* Removes a directory of ours with exactly the files that we write; anything else in it stays, and is then reported. */
static enum err remove_dir(const char *data_dir, const char *dir, struct err_info *info)
{
    char path[PATH_MAX];
    enum err err = ERR_OK;
    for (size_t i = 0; err == ERR_OK && i < FILE_COUNT; i++) {
        err = path_of(path, data_dir, dir, file_names[i], info);
        if (err == ERR_OK && unlink(path) != 0 && errno != ENOENT)
            err = err_fail(info, ERR_IO, "%s: cannot be removed: %s", path, strerror(errno));
    }
    if (err == ERR_OK) err = path_of(path, data_dir, dir, "", info);
    if (err == ERR_OK && rmdir(path) != 0 && errno != ENOENT)
        err = err_fail(info, ERR_IO, "%s: cannot be removed: %s", path, strerror(errno));
    return err;
}

static enum err check_installed(const struct pki_identity *wanted, const char *data_dir, struct err_info *info)
{
    struct arena arena = {0};
    struct pki_identity old;
    struct err_info why = {0};
    enum err err = pki_read_identity(&arena, data_dir, &old, &why);
    if (err == ERR_NOTFOUND) {
        err = ERR_OK;
    } else if (err != ERR_OK) {
        err = err_fail(info, ERR_EXISTS, "%s/tls holds an identity that cannot be read (%.200s): --force replaces it",
                       data_dir, why.text);
    } else if (!slice_eq(slice_trim(old.cluster), wanted->cluster) || !slice_eq(old.node, wanted->node)) {
        err = err_fail(info, ERR_EXISTS,
                       "%s/tls is the identity of node %.*s in cluster %.*s: --force replaces it by %.*s in %.*s",
                       data_dir, SLICE_ARG(old.node), SLICE_ARG(slice_trim(old.cluster)), SLICE_ARG(wanted->node),
                       SLICE_ARG(wanted->cluster));
    }
    arena_fini(&arena);
    return err;
}

static enum err render_seeds(const struct join_file *j, struct buf *out, struct err_info *info)
{
    for (size_t i = 0; i < j->seed_count; i++)
        buf_printf(out, "%.*s\n", SLICE_ARG(j->seeds[i]));
    return out->failed ? err_fail(info, ERR_NOMEM, "no memory") : ERR_OK;
}

/* As root: give path to whom DATA belongs, so that tandemd, which does not run as root, can read its key. */
static enum err give_to_owner(const char *path, const struct stat *owner, struct err_info *info)
{
    if (geteuid() != 0 || (owner->st_uid == 0 && owner->st_gid == 0)) return ERR_OK;
    if (chown(path, owner->st_uid, owner->st_gid) != 0)
        return err_fail(info, ERR_IO, "%s: cannot be given to its owner: %s", path, strerror(errno));
    return ERR_OK;
}

static enum err write_files(const struct join_file *j, const char *data_dir, struct err_info *info)
{
    struct buf seeds = {0};
    struct buf line = {0};
    struct buf key_line = {0};
    struct stat owner;
    char path[PATH_MAX];
    enum err err = render_seeds(j, &seeds, info);
    buf_printf(&line, "%.*s\n", SLICE_ARG(j->identity.cluster));
    buf_printf(&key_line, "%.*s\n", SLICE_ARG(slice_trim(j->identity.cluster_key)));
    if (err == ERR_OK && (line.failed || key_line.failed)) err = err_fail(info, ERR_NOMEM, "no memory");
    if (err == ERR_OK && stat(data_dir, &owner) != 0)
        err = err_fail(info, ERR_IO, "%s: cannot be examined: %s", data_dir, strerror(errno));
    if (err == ERR_OK) err = path_of(path, data_dir, "tls.new", "", info);
    if (err == ERR_OK) err = secret_dir_make(path, info);
    if (err == ERR_OK) err = give_to_owner(path, &owner, info);
    const struct slice contents[FILE_COUNT] = {j->identity.ca,      j->identity.certificate, j->identity.key,
                                               buf_view(&key_line), buf_view(&line),         buf_view(&seeds)};
    for (size_t i = 0; err == ERR_OK && i < FILE_COUNT; i++) {
        err = path_of(path, data_dir, "tls.new", file_names[i], info);
        if (err == ERR_OK) err = secret_file_create(path, contents[i], 0600, info);
        if (err == ERR_OK) err = give_to_owner(path, &owner, info);
    }
    if (key_line.p != NULL) secret_wipe(key_line.p, key_line.n);
    buf_fini(&seeds);
    buf_fini(&line);
    buf_fini(&key_line);
    return err;
}

static enum err swap_in(const char *data_dir, struct err_info *info)
{
    char now[PATH_MAX];
    char made[PATH_MAX];
    char old[PATH_MAX];
    enum err err = path_of(now, data_dir, "tls", "", info);
    if (err == ERR_OK) err = path_of(made, data_dir, "tls.new", "", info);
    if (err == ERR_OK) err = path_of(old, data_dir, "tls.old", "", info);
    if (err == ERR_OK) err = secret_dir_sync(made, info);
    if (err != ERR_OK) return err;
    bool had = rename(now, old) == 0;
    if (!had && errno != ENOENT) return err_fail(info, ERR_IO, "%s: cannot be renamed: %s", now, strerror(errno));
    if (rename(made, now) != 0) {
        err = err_fail(info, ERR_IO, "%s: cannot be renamed: %s", made, strerror(errno));
        if (had && rename(old, now) != 0) return err_fail(info, ERR_IO, "%s: rename it to %s by hand", old, now);
        return err;
    }
    err = secret_dir_sync(data_dir, info);
    return err == ERR_OK && had ? remove_dir(data_dir, "tls.old", info) : err;
}

enum err join_install(const char *path, const char *data_dir, bool force, struct err_info *info)
{
    struct arena arena = {0};
    struct join_file j = {0};
    enum err err = join_read(&arena, path, &j, info);
    if (err == ERR_OK) err = secret_dir_make(data_dir, info);
    if (err == ERR_OK && !force) err = check_installed(&j.identity, data_dir, info);
    /* Left by an installation that was cut off. */
    if (err == ERR_OK) err = remove_dir(data_dir, "tls.new", info);
    if (err == ERR_OK) err = remove_dir(data_dir, "tls.old", info);
    if (err == ERR_OK) err = write_files(&j, data_dir, info);
    if (err == ERR_OK) err = swap_in(data_dir, info);
    if (j.identity.key.p != NULL) secret_wipe((void *)(uintptr_t)j.identity.key.p, j.identity.key.n);
    if (j.identity.cluster_key.p != NULL)
        secret_wipe((void *)(uintptr_t)j.identity.cluster_key.p, j.identity.cluster_key.n);
    arena_fini(&arena);
    return err;
}
