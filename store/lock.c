#include "store/lock.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#define PID_TEXT 16

static enum err held_by_other(const char *dir, int fd, struct err_info *info)
{
    char text[PID_TEXT + 1] = "";
    ssize_t n = pread(fd, text, PID_TEXT, 0);
    long pid = n > 0 ? strtol(text, NULL, 10) : 0;
    if (pid <= 0) return err_fail(info, ERR_EXISTS, "%s is in use by another process", dir);
    return err_fail(info, ERR_EXISTS, "%s is in use by the process %ld: stop that one, or use another data directory",
                    dir, pid);
}

enum err lock_take(const char *dir, int *out, struct err_info *info)
{
    char path[4096];
    char text[PID_TEXT + 1];
    if (snprintf(path, sizeof path, "%s/lock", dir) >= (int)sizeof path) {
        return err_fail(info, ERR_LIMIT, "the path %.100s... is too long", dir);
    }
    if (mkdir(dir, 0700) != 0 && errno != EEXIST) {
        return err_fail(info, ERR_IO, "%s cannot be made: %s", dir, strerror(errno));
    }
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0) return err_fail(info, ERR_IO, "%s cannot be opened: %s", path, strerror(errno));
    if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
        enum err e = errno == EWOULDBLOCK ? held_by_other(dir, fd, info)
                                          : err_fail(info, ERR_IO, "%s cannot be locked: %s", path, strerror(errno));
        (void)close(fd);
        return e;
    }
    /* Written over the old text without truncating: the block is there already, so a full disk is no obstacle. A pid
     * that could not be written is only missing from a message. */
    (void)snprintf(text, sizeof text, "%-*ld\n", PID_TEXT - 1, (long)getpid());
    (void)!pwrite(fd, text, PID_TEXT, 0);
    *out = fd;
    return ERR_OK;
}
