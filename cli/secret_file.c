/* See secret_file.h. */
#include "cli/secret_file.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

static enum err fail_errno(struct err_info *info, const char *path, const char *what)
{
    enum err err = errno == ENOENT ? ERR_NOTFOUND : errno == EEXIST ? ERR_EXISTS : ERR_IO;
    return err_fail(info, err, "%s: %s: %s", path, what, strerror(errno));
}

static enum err read_all(int fd, const char *path, struct arena *arena, struct slice *out, struct err_info *info)
{
    char *text = arena_alloc(arena, SECRET_FILE_MAX + 1);
    size_t n = 0;
    if (text == NULL) return err_fail(info, ERR_NOMEM, "%s: no memory", path);
    while (n <= SECRET_FILE_MAX) {
        ssize_t got = read(fd, text + n, SECRET_FILE_MAX + 1 - n);
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) return fail_errno(info, path, "cannot be read");
        if (got == 0) break;
        n += (size_t)got;
    }
    if (n > SECRET_FILE_MAX) return err_fail(info, ERR_LIMIT, "%s: longer than %d bytes", path, SECRET_FILE_MAX);
    *out = (struct slice){text, n};
    return ERR_OK;
}

enum err secret_file_read(struct arena *arena, const char *path, bool is_secret, struct slice *out,
                          struct err_info *info)
{
    struct stat st;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0) return fail_errno(info, path, "cannot be opened");
    enum err err;
    if (fstat(fd, &st) != 0) {
        err = fail_errno(info, path, "cannot be examined");
    } else if (!S_ISREG(st.st_mode)) {
        err = err_fail(info, ERR_IO, "%s: not a regular file", path);
    } else if (is_secret && (st.st_mode & 077) != 0) {
        err =
            err_fail(info, ERR_AUTH, "%s: holds a key, but its mode is %04o, so that others can reach it: chmod 600 %s",
                     path, (unsigned)(st.st_mode & 07777), path);
    } else {
        err = read_all(fd, path, arena, out, info);
    }
    (void)close(fd);
    return err;
}

static bool write_all(int fd, struct slice content)
{
    while (content.n > 0) {
        ssize_t put = write(fd, content.p, content.n);
        if (put < 0 && errno == EINTR) continue;
        if (put < 0) return false;
        content.p += put;
        content.n -= (size_t)put;
    }
    return true;
}

enum err secret_file_create(const char *path, struct slice content, mode_t mode, struct err_info *info)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode);
    if (fd < 0) return fail_errno(info, path, "cannot be created");
    enum err err = ERR_OK;
    /* The umask may have taken bits away, never added any; a certificate shall still be readable. */
    if (fchmod(fd, mode) != 0 || !write_all(fd, content) || fsync(fd) != 0)
        err = fail_errno(info, path, "cannot be written");
    if (close(fd) != 0 && err == ERR_OK) err = fail_errno(info, path, "cannot be written");
    if (err != ERR_OK) (void)unlink(path);
    return err;
}

enum err secret_dir_make(const char *path, struct err_info *info)
{
    struct stat st;
    if (mkdir(path, 0700) == 0) return ERR_OK;
    if (errno != EEXIST) return fail_errno(info, path, "cannot be created");
    if (stat(path, &st) != 0) return fail_errno(info, path, "cannot be examined");
    if (!S_ISDIR(st.st_mode)) return err_fail(info, ERR_EXISTS, "%s: exists and is not a directory", path);
    return ERR_OK;
}

enum err secret_dir_sync(const char *path, struct err_info *info)
{
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) return fail_errno(info, path, "cannot be opened");
    enum err err = fsync(fd) == 0 ? ERR_OK : fail_errno(info, path, "cannot be synchronised");
    (void)close(fd);
    return err;
}
