/* plan_file: a plan document on its way into the cluster: read, its passwords hashed, packed as the arguments of "plan
 * apply". What was read in another form (a table, options of a command) takes the same way. */
#ifndef TANDEM_CLI_PLAN_FILE_H
#define TANDEM_CLI_PLAN_FILE_H

#include "cli/cli.h"
#include "cli/conn.h"
#include "cli/plan_bulk.h"
#include "node/base/map.h"
#include "node/plan/document.h"

#define PLAN_FILE_MAX 268435456 /* bytes of a document */

/* The first line of a document that "plan show" writes for the whole plan, before the digest's digits. */
#define PLAN_DIGEST_COMMENT "# plan digest "

struct plan_file {
    const char *name; /* as given: "plan.yaml", "-"; NULL: it is no file */
    struct arena arena;
    struct slice text;
    struct plan_document doc;
    struct slice digest;              /* the plan that it was made from; empty when it is not known */
    struct map by_key;                /* objects and removals */
    bool digest_written;              /* it stands in the document itself */
    struct plan_bulk bulk;            /* the routes of a large document, which are not in doc */
    bool bulk_whole;                  /* and what else is sent with them */
    const struct plan_faults *faults; /* of a document that could not be read, in arena; NULL: none */
};

/* Reads and parses. CLI_DONE, or the status of a failure that was said; CLI_FINDINGS: f->faults are there, and not said
 * (plan_run_faults). */
int plan_file_read(struct cli *c, const char *path, struct plan_file *f);
/* The same, but the routes of a large document are packed into f->bulk. */
int plan_file_read_passing(struct cli *c, const char *path, struct plan_file *f);
/* Hands the routes of a large document to take, one by one and valid during the call, and keeps the rest; false: it is
 * none, or something is wrong with it, which plan_file_read then tells. That each route stands there once is not seen.
 */
bool plan_file_pass(struct cli *c, struct plan_file *f, const char *path,
                    enum err (*take)(void *ctx, const struct plan_object *route), void *ctx);
/* Objects and removals in it. */
size_t plan_file_count(const struct plan_file *f);
/* Takes these objects and keys to remove, and the digest of the plan that they were made from, instead of reading them.
 * f is zeroed but for name, text (wiped in the end) and arena, from which the caller allocates; everything else is
 * borrowed until plan_file_fini. ERR_NOMEM. */
MUST_CHECK enum err plan_file_take(struct plan_file *f, struct plan_object *objects, size_t object_count,
                                   struct slice *remove, struct plan_place *remove_place, size_t remove_count,
                                   struct slice digest);
/* Wipes what was secret and frees. Also after a failure. */
void plan_file_fini(struct plan_file *f);

/* Hashes the clear-text passwords of accounts and wipes them. The realm is the domain of the document, else of the
 * node's plan, which is asked only if it is needed. Says why it cannot. */
int plan_file_hash_passwords(struct cli *c, struct plan_file *f);

/* Adds the fields puts, deletes and document. Texts are copied into the builder's arena. What is in f->bulk is not
 * among them: it is sent behind them, as PLAN_BULK_ARGUMENT. ERR_NOMEM, ERR_IO. */
#define PLAN_BULK_ARGUMENT "bulk_puts"
MUST_CHECK enum err plan_file_args(struct plan_file *f, struct control_builder *b);
/* What is to be sent behind those arguments; both may be asked for again, for another request. */
struct conn_bulk plan_file_bulk(const struct plan_file *f);

/* The object with this key, NULL when the document has none, or it is among the routes of a large one. */
const struct plan_object *plan_file_object(const struct plan_file *f, struct slice key);
/* Whether the document describes or removes the object with this key. */
bool plan_file_has(const struct plan_file *f, struct slice key);
/* Where the object or removal with this key stands in the document; line 0: nowhere. */
struct plan_place plan_file_place(const struct plan_file *f, struct slice key);

#endif
