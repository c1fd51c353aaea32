/* document_cursor: walks the nodes of one YAML document, one at a time, over libyaml's events.
 *
 * It refuses what the plan document does not use (anchors, aliases, tags, more than one document, deep nesting), takes
 * a byte order mark for what it is, and turns libyaml's complaints into one error with line and column. It knows no
 * keys. Who reads a plan goes by way of document.h; another document of ours that is as strict is read over this too.
 */
#ifndef TANDEM_PLAN_DOCUMENT_CURSOR_H
#define TANDEM_PLAN_DOCUMENT_CURSOR_H

#include <yaml.h>

#include "node/base/bytes.h"

#define CURSOR_DEPTH_MAX 8

/* What the document is called in errors, and what it begins with. */
struct cursor_words {
    const char *what;  /* "a plan" */
    const char *begin; /* "plan: 1" */
};
extern const struct cursor_words cursor_plan;

enum node_kind {
    NODE_SCALAR,
    NODE_MAP,  /* its keys and values follow, then NODE_END */
    NODE_LIST, /* its items follow, then NODE_END */
    NODE_END,
    NODE_DOCUMENT_END
};

struct yaml_node {
    enum node_kind kind;
    struct slice text; /* of a scalar; until the next call; may hold any byte */
    bool plain;        /* a scalar without quotes */
    unsigned line;     /* 1-based */
    unsigned column;
};

/* Fills out with at most cap bytes, *len 0 at the end; false: it cannot. */
typedef bool cursor_read(void *ctx, void *out, size_t cap, size_t *len);

struct cursor {
    yaml_parser_t parser;
    yaml_event_t event;
    bool has_event;
    unsigned depth;
    struct slice input; /* empty: it comes from read */
    cursor_read *read;
    void *read_ctx;
    bool begun; /* something was read */
    bool ended; /* an error after which nothing can be read any more */
    const struct cursor_words *words;
    struct err_info *info;
};

/* Begins at the root node of the document. words, input and info stay borrowed. ERR_NOMEM, ERR_SYNTAX (no document).
 * cursor_close is due in any case. */
MUST_CHECK enum err cursor_open(struct cursor *c, const struct cursor_words *words, struct slice input,
                                struct err_info *info);
/* The same of a plan, over text that comes piece by piece. What is said of an error is less than where the text is
 * there as a whole: not why it is no text at all, and not that a tab stands there. */
MUST_CHECK enum err cursor_open_stream(struct cursor *c, cursor_read *read, void *ctx, struct err_info *info);
void cursor_close(struct cursor *c);
/* ERR_SYNTAX, ERR_LIMIT, ERR_NOMEM, with info filled. After NODE_DOCUMENT_END it must not be called again. */
MUST_CHECK enum err cursor_next(struct cursor *c, struct yaml_node *out);

/* Whether a comment stands where a node without text was found: "match: #31". Not known of text that came in pieces. */
bool cursor_at_comment(const struct cursor *c, const struct yaml_node *at);

#endif
