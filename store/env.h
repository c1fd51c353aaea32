/* env: one LMDB environment: opening, growing, errors, and records under a checksum. Internal to store/.
 *
 * A record's value is 8 bytes of XXH3-64 over key and content, then the content; a value that fails it is ERR_CORRUPT.
 * Growing the map needs every transaction of the process to be over: readers hold map_lock shared while their batch is
 * active, growing takes it exclusively. LMDB flags are few on purpose: no WRITEMAP (a full disk would be SIGBUS), no
 * DUPSORT. */
#ifndef TANDEM_STORE_ENV_H
#define TANDEM_STORE_ENV_H

#include <lmdb.h>
#include <pthread.h>

#include "node/base/bytes.h"

#define ENV_FORMAT 4
#define ENV_TABLE_MAX 16
#define ENV_KEY_MAX 511 /* LMDB's own, as Debian builds it */
#define ENV_READERS_MAX 510

/* Table 0 of every environment holds single records by name: "format" and the module's own. */
#define ENV_META 0

struct env {
    MDB_env *mdb;
    MDB_dbi tables[ENV_TABLE_MAX];
    pthread_rwlock_t map_lock;
    unsigned map_number; /* another one: the map was grown and lies elsewhere; under map_lock */
    bool lock_made;
    const char *name;
    char *path;
};

/* A write transaction. rc keeps LMDB's number of the first failure, since "map full" and "disk full" need different
 * cures. */
struct env_write {
    struct env *env;
    MDB_txn *txn;
    int rc;
};

/* ---- life ---- */

/* Brings what an older format wrote up to this one, in the transaction that says so. ERR_VERSION: that one is too old;
 * and the failures of writing. */
typedef enum err env_upgrade(struct env_write *w, uint64_t from);

/* Opens DIR/NAME, made with mode 0700 when missing; tables ends with NULL; upgrade NULL knows no other format.
 * ERR_VERSION for a format that it does not know either, ERR_CORRUPT for a damaged or truncated file, ERR_FULL, ERR_IO,
 * ERR_NOMEM. On failure e needs no env_close. */
MUST_CHECK enum err env_open(struct env *e, const char *dir, const char *name, const char *const *tables,
                             env_upgrade *upgrade, uint64_t map_size, struct err_info *info);
void env_close(struct env *e);

/* The one translation of LMDB's and errno's numbers. MDB_SUCCESS is ERR_OK. */
enum err env_err(int rc);
/* Fills info with what failed and LMDB's words for rc. */
enum err env_fail(struct err_info *info, const struct env *e, int rc, const char *what);

/* Doubles the map, with no transaction open in the calling thread; waits for active readers. ERR_FULL when the address
 * space gives no more: the old map is then still in place. */
MUST_CHECK enum err env_grow(struct env *e);
/* Whether the file system refuses to hold so many bytes more: tells a full disk, which LMDB may report as EIO (a short
 * write), from a failing one. */
bool env_space_short(const struct env *e, uint64_t bytes);
/* Slots of readers that died; 0 is usual. */
int env_reader_check(struct env *e);

/* Reads every record of the environment at path in a child process, so that a damaged file cannot end this one.
 * ERR_CORRUPT says what to do; ERR_IO when it cannot be read at all. The environment may be open here; it takes as long
 * as reading the file does. */
MUST_CHECK enum err env_verify(const char *path, struct err_info *info);

/* ---- writing; every function below notes the first failure in w->rc ---- */

MUST_CHECK enum err env_begin(struct env *e, struct env_write *w);
MUST_CHECK enum err env_commit(struct env_write *w); /* durable when ERR_OK; the transaction is over in any case */
void env_abort(struct env_write *w);                 /* after env_commit it does nothing */

/* Writes key -> checksum, parts. No part may point into the map. flags: 0, MDB_NOOVERWRITE (ERR_EXISTS) or MDB_APPEND.
 */
MUST_CHECK enum err env_put(struct env_write *w, MDB_cursor *c, struct slice key, const struct slice *parts,
                            size_t count, unsigned flags);
MUST_CHECK enum err env_put_one(struct env_write *w, unsigned table, struct slice key, struct slice content);
/* ERR_NOTFOUND is no failure of the transaction. */
MUST_CHECK enum err env_get(struct env_write *w, unsigned table, struct slice key, struct slice *content);
MUST_CHECK enum err env_del(struct env_write *w, unsigned table, struct slice key);
MUST_CHECK enum err env_cursor(struct env_write *w, unsigned table, MDB_cursor **c);
/* Every record of the table goes. */
MUST_CHECK enum err env_clear(struct env_write *w, unsigned table);
/* The table's last key, copied into text; of length 0 when the table is empty. */
MUST_CHECK enum err env_last_key(struct env_write *w, unsigned table, char text[ENV_KEY_MAX], struct slice *key);

/* ---- records ---- */

#define RECORD_HEAD 8

/* Content of a value as LMDB returned it. ERR_CORRUPT. */
MUST_CHECK enum err record_open(struct slice key, MDB_val value, struct slice *content);
MUST_CHECK enum err record_get(MDB_txn *txn, MDB_dbi table, struct slice key, struct slice *content);
/* Steps a cursor: op as mdb_cursor_get. ERR_NOTFOUND at the end; key and content point into the map. */
MUST_CHECK enum err record_step(MDB_cursor *c, MDB_cursor_op op, struct slice *key, struct slice *content);

static inline MDB_val val_of(struct slice s)
{
    return (MDB_val){.mv_size = s.n, .mv_data = (void *)(uintptr_t)s.p};
}
static inline struct slice slice_of_val(MDB_val v)
{
    return (struct slice){v.mv_data, v.mv_size};
}

/* Numbers in keys and records: big endian, so that they sort. */
static inline void put_be(char *p, uint64_t v, size_t n)
{
    for (size_t i = n; i-- > 0; v >>= 8)
        p[i] = (char)(v & 0xff);
}
static inline uint64_t get_be(const char *p, size_t n)
{
    uint64_t v = 0;
    for (size_t i = 0; i < n; i++)
        v = v << 8 | (unsigned char)p[i];
    return v;
}

#endif
