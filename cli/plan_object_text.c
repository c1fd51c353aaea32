#include "cli/plan_object_text.h"

#include "node/plan/diff.h"
#include "node/plan/document.h"
#include "proto/plan_codec.h"

enum err plan_object_document(struct slice packed, struct buf *out)
{
    struct arena arena = {0};
    struct plan_object o;
    enum err e = plan_object_unpack(&arena, packed, &o, NULL);
    if (e == ERR_OK) e = plan_document_write(&(const struct plan_object *){&o}, 1, out);
    arena_fini(&arena);
    return e;
}

enum err plan_object_lines(struct slice packed, struct buf *out)
{
    struct buf document = {0};
    enum err e = plan_object_document(packed, &document);
    struct slice line;
    struct slice rest = slice_cut(buf_view(&document), '\n', &line); /* "plan: 1" */
    struct slice fields = slice_cut(rest, '\n', &line);              /* "routes:" */
    if (fields.n == 0) fields = rest;                                /* what has no fields stands on that line */
    while (e == ERR_OK && fields.n > 0) {
        fields = slice_cut(fields, '\n', &line);
        buf_printf(out, "%s%.*s\n", slice_starts(line, SLICE("  ")) ? "" : "  ", SLICE_ARG(line));
    }
    buf_fini(&document);
    return e == ERR_OK && out->failed ? ERR_NOMEM : e;
}

enum err plan_object_difference(struct slice before, struct slice after, struct buf *out)
{
    struct arena arena = {0};
    struct plan_object a;
    struct plan_object b;
    enum err e = plan_object_unpack(&arena, before, &a, NULL);
    if (e == ERR_OK) e = plan_object_unpack(&arena, after, &b, NULL);
    if (e == ERR_OK) e = plan_object_diff(&a, &b, out);
    arena_fini(&arena);
    return e;
}
