/* document: the YAML plan document, read and written.
 *
 * Reading is strict: an unknown key, a duplicate, a wrong type or a bad value is one error with line and column, what
 * is wrong and what to write instead. All scalars are strings to us: 010, no and 1e3 keep their text. Anchors, aliases,
 * tags and multiple documents are refused. A document describes all or part of a plan; "remove:" lists object keys to
 * delete. Writing is stable: kinds in the order defaults, sites, trunks, accounts, routes; names and matches sorted;
 * keys with default values left out; secrets as "(set)". What is written reads back to the same objects. libyaml does
 * the tokens; no file is opened here. Specification: README.md "The plan". */
#ifndef TANDEM_PLAN_DOCUMENT_H
#define TANDEM_PLAN_DOCUMENT_H

#include "node/plan/object.h"

struct plan_document {
    struct plan_object *objects; /* in document order, validated one by one */
    size_t object_count;
    struct slice *remove; /* object keys */
    unsigned *remove_line;
    size_t remove_count;
};

/* Objects and texts live in arena. Fills info on error (line and column set). */
MUST_CHECK enum err plan_document_parse(struct arena *arena, struct slice yaml, struct plan_document *out,
                                        struct err_info *info);
/* Objects in any order (sorted here). ERR_NOMEM. */
MUST_CHECK enum err plan_document_write(const struct plan_object *const *objects, size_t count, struct buf *out);

#endif
