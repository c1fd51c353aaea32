/* document: the YAML plan document, read and written.
 *
 * Reading is strict: an unknown key, a duplicate, a wrong type or a bad value is an error with line and column, what
 * is wrong and what to write instead. All scalars are strings to us: 010, no and 1e3 keep their text. Anchors, aliases,
 * tags and multiple documents are refused. A document describes all or part of a plan; "remove:" lists object keys to
 * delete. Writing is stable: kinds in the order defaults, sites, trunks, accounts, routes; names and matches sorted;
 * keys with default values left out; secrets as "(set)". What is written reads back to the same objects. libyaml does
 * the tokens; no file is opened here. Specification: README.md "The plan". */
#ifndef TANDEM_PLAN_DOCUMENT_H
#define TANDEM_PLAN_DOCUMENT_H

#include "node/plan/object.h"

struct plan_place { /* in a document or a table, from 1; 0: not known */
    unsigned line;
    unsigned column;
};

struct plan_document {
    struct plan_object *objects; /* in document order, validated one by one */
    size_t object_count;
    struct slice *remove; /* object keys */
    struct plan_place *remove_place;
    size_t remove_count;
};

/* Objects and texts live in arena. Fills info on error (line and column set). */
MUST_CHECK enum err plan_document_parse(struct arena *arena, struct slice yaml, struct plan_document *out,
                                        struct err_info *info);
/* The same for who writes the document: whatever is wrong with it at once, as far as it is YAML. What stands inside
 * something that is not known, or behind a value of the wrong shape, is not looked at. ERR_SYNTAX when there are
 * faults, at least one then, in the order in which they were found. */
#define PLAN_FAULTS_MAX 20
struct plan_faults {
    struct err_info items[PLAN_FAULTS_MAX];
    size_t count;
    bool more; /* there is at least one more */
};
MUST_CHECK enum err plan_document_check(struct arena *arena, struct slice yaml, struct plan_document *out,
                                        struct plan_faults *faults);
/* The same of a document that is too large to be held: its text comes piece by piece, and its routes are handed on one
 * by one instead of being kept; that each stands there once is the taker's to see. A route and its texts are valid
 * during the call. Errors are less well told: who wants words parses the whole. ERR_IO: read cannot; else as above, and
 * what take returns. */
struct plan_document_stream {
    bool (*read)(void *ctx, void *out, size_t cap, size_t *len); /* *len 0: the end */
    enum err (*take)(void *ctx, const struct plan_object *route);
    void *ctx;
    uint64_t seed; /* of the table that finds what stands there twice: nobody who writes documents knows it */
};
MUST_CHECK enum err plan_document_read(struct arena *arena, const struct plan_document_stream *stream,
                                       struct plan_document *out, struct err_info *info);
/* Which of two objects stands first in a document: < 0 the first one, 0 none (they have one key). */
int plan_document_order(const struct plan_object *a, const struct plan_object *b);
/* Objects in any order (sorted here). ERR_NOMEM. */
MUST_CHECK enum err plan_document_write(const struct plan_object *const *objects, size_t count, struct buf *out);

#endif
