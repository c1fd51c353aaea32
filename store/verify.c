/* verify: reads all of an environment in a child process. A damaged file may be SIGBUS or send LMDB astray: then the
 * child ends badly, which is the answer. The child touches nothing of its parent and writes nothing. */
#include <errno.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "store/env.h"

enum { VERIFY_GOOD = 0, VERIFY_DAMAGED = 10, VERIFY_UNREADABLE = 11 };

static int verify_table(MDB_txn *txn, MDB_dbi table)
{
    MDB_cursor *c = NULL;
    struct slice key = SLICE_NONE;
    struct slice content;
    if (mdb_cursor_open(txn, table, &c) != MDB_SUCCESS) return VERIFY_UNREADABLE;
    enum err e = record_step(c, MDB_FIRST, &key, &content);
    while (e == ERR_OK)
        e = record_step(c, MDB_NEXT, &key, &content);
    mdb_cursor_close(c);
    if (e == ERR_NOTFOUND) return VERIFY_GOOD;
    return e == ERR_CORRUPT ? VERIFY_DAMAGED : VERIFY_UNREADABLE;
}

/* The unnamed table lists the named ones. */
static int verify_tables(MDB_txn *txn)
{
    MDB_dbi names;
    MDB_cursor *c = NULL;
    MDB_val key;
    MDB_val value;
    int status = VERIFY_GOOD;
    if (mdb_dbi_open(txn, NULL, 0, &names) != MDB_SUCCESS) return VERIFY_UNREADABLE;
    if (mdb_cursor_open(txn, names, &c) != MDB_SUCCESS) return VERIFY_UNREADABLE;
    while (status == VERIFY_GOOD && mdb_cursor_get(c, &key, &value, MDB_NEXT) == MDB_SUCCESS) {
        char name[64];
        MDB_dbi table;
        if (key.mv_size >= sizeof name) return VERIFY_DAMAGED;
        memcpy(name, key.mv_data, key.mv_size);
        name[key.mv_size] = '\0';
        status = mdb_dbi_open(txn, name, 0, &table) == MDB_SUCCESS ? verify_table(txn, table) : VERIFY_DAMAGED;
    }
    mdb_cursor_close(c);
    return status;
}

static int verify(const char *path)
{
    MDB_env *env = NULL;
    MDB_txn *txn = NULL;
    if (mdb_env_create(&env) != MDB_SUCCESS) return VERIFY_UNREADABLE;
    int rc = mdb_env_set_maxdbs(env, ENV_TABLE_MAX);
    if (rc == MDB_SUCCESS) rc = mdb_env_open(env, path, MDB_RDONLY, 0600);
    if (rc == MDB_SUCCESS) rc = mdb_txn_begin(env, NULL, MDB_RDONLY, &txn);
    int status = env_err(rc) == ERR_CORRUPT ? VERIFY_DAMAGED : VERIFY_UNREADABLE;
    if (rc == MDB_SUCCESS) status = verify_tables(txn);
    /* The reader's slot is given back, so that it does not hold old pages for the process that has the file open. */
    if (txn != NULL) mdb_txn_abort(txn);
    mdb_env_close(env);
    return status;
}

enum err env_verify(const char *path, struct err_info *info)
{
    int status = 0;
    pid_t child = fork();
    if (child < 0) return err_fail(info, ERR_NOMEM, "%s cannot be verified: no process", path);
    if (child == 0) {
        (void)signal(SIGBUS, SIG_DFL); /* a handler of the parent's, or a sanitizer's, would only make noise */
        (void)signal(SIGSEGV, SIG_DFL);
        _exit(verify(path));
    }
    while (waitpid(child, &status, 0) < 0) {
        if (errno != EINTR) return err_fail(info, ERR_IO, "%s cannot be verified", path);
    }
    if (WIFEXITED(status) && WEXITSTATUS(status) == VERIFY_GOOD) return ERR_OK;
    if (WIFEXITED(status) && WEXITSTATUS(status) == VERIFY_UNREADABLE) {
        return err_fail(info, ERR_IO, "%s cannot be read to verify it", path);
    }
    return err_fail(info, ERR_CORRUPT,
                    "%s is damaged: move it away and start again, so that the node fetches it from the other members",
                    path);
}
