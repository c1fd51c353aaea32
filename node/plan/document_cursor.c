/* document_cursor: see document_cursor.h. libyaml's marks count from 0, ours from 1. */
#include "node/plan/document_cursor.h"

#include <stdio.h>

const struct cursor_words cursor_plan = {"a plan", "plan: 1"};

static const struct slice byte_order_mark = {"\xef\xbb\xbf", 3};

/* The position of byte at in the input, for the reader's errors, which libyaml gives only as an offset. */
static void locate(struct slice input, size_t at, unsigned *line, unsigned *column)
{
    *line = 1;
    *column = 1;
    for (size_t i = 0; i < at && i < input.n; i++) {
        if (input.p[i] == '\n') {
            ++*line;
            *column = 1;
        } else if (((unsigned char)input.p[i] & 0xc0) != 0x80) {
            ++*column;
        }
    }
}

/* The byte at a position; input.n when there is none. */
static size_t offset_of(struct slice input, unsigned line, unsigned column)
{
    size_t i = 0;
    for (unsigned l = 1; l < line && i < input.n; i++)
        l += input.p[i] == '\n';
    for (; column > 1 && i < input.n && input.p[i] != '\n'; i++)
        column -= i + 1 == input.n || ((unsigned char)input.p[i + 1] & 0xc0) != 0x80;
    return i;
}

/* Whether in the line before a comment begins where a value should, and takes what closes the braces with it. */
static bool hides_end(struct slice input, unsigned line)
{
    if (line < 2) return false;
    for (size_t i = offset_of(input, line - 1, 1); i + 2 < input.n && input.p[i] != '\n'; i++) {
        bool value = input.p[i] == ':' || input.p[i] == ',' || input.p[i] == '[';
        if (value && input.p[i + 1] == ' ' && input.p[i + 2] == '#') return true;
    }
    return false;
}

/* What to do, where libyaml's words do not say it. */
static const char *yaml_hint(struct slice input, unsigned line, unsigned column)
{
    size_t i = offset_of(input, line, column);
    if (i > 0 && input.p[i - 1] == '*') return "; put a number that begins with * in quotes, \"*21\"";
    if (hides_end(input, line))
        return "; what follows a # is a comment, put a number that holds one in quotes, \"#31\"";
    if (i < input.n && input.p[i] == ':') return "; put a text that holds \": \" in quotes";
    return "";
}

static enum err yaml_problem(struct cursor *c)
{
    unsigned line = (unsigned)c->parser.problem_mark.line + 1;
    unsigned column = (unsigned)c->parser.problem_mark.column + 1;
    const char *problem = c->parser.problem != NULL ? c->parser.problem : "it does not parse";
    const char *context = c->parser.context;
    if (c->parser.error == YAML_MEMORY_ERROR) return err_fail(c->info, ERR_NOMEM, "no memory to read the document");
    if (c->parser.error == YAML_READER_ERROR) {
        locate(c->input, c->parser.problem_offset, &line, &column);
        if (strstr(problem, "control") != NULL) {
            return err_fail_at(c->info, ERR_SYNTAX, line, column, "a control character stands here; take it out");
        }
        return err_fail_at(c->info, ERR_SYNTAX, line, column, "this is not UTF-8 text (%s); save the file as UTF-8",
                           problem);
    }
    size_t at = offset_of(c->input, line, column);
    if (at < c->input.n && c->input.p[at] == '\t')
        return err_fail_at(c->info, ERR_SYNTAX, line, column, "YAML: a tab stands here; indent with spaces");
    char since[48] = "";
    unsigned begin = (unsigned)c->parser.context_mark.line + 1;
    if (context != NULL && begin < line) (void)snprintf(since, sizeof since, " that begins in line %u", begin);
    return err_fail_at(c->info, ERR_SYNTAX, line, column, "YAML: %s%s%s%s%s", problem, context != NULL ? " " : "",
                       context != NULL ? context : "", since, yaml_hint(c->input, line, column));
}

bool cursor_at_comment(const struct cursor *c, const struct yaml_node *at)
{
    size_t i = offset_of(c->input, at->line, at->column);
    while (i < c->input.n && (c->input.p[i] == ' ' || c->input.p[i] == '\t'))
        i++;
    return i < c->input.n && c->input.p[i] == '#';
}

static enum err next_event(struct cursor *c)
{
    if (c->has_event) yaml_event_delete(&c->event);
    c->has_event = false;
    if (yaml_parser_parse(&c->parser, &c->event) == 0) {
        c->ended = true;
        return yaml_problem(c);
    }
    c->has_event = true;
    return ERR_OK;
}

static enum err refuse(struct cursor *c, enum err e, const char *fmt, ...) PRINTF_LIKE(3, 4);
static enum err refuse(struct cursor *c, enum err e, const char *fmt, ...)
{
    char text[sizeof c->info->text];
    va_list ap;
    va_start(ap, fmt);
    (void)vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    c->ended = true;
    return err_fail_at(c->info, e, (unsigned)c->event.start_mark.line + 1, (unsigned)c->event.start_mark.column + 1,
                       "%s", text);
}

/* To the first node, once the parser has its input. */
static enum err begin(struct cursor *c)
{
    enum err e = next_event(c); /* the start of the stream */
    if (e == ERR_OK) e = next_event(c);
    if (e != ERR_OK) return e;
    if (c->event.type == YAML_STREAM_END_EVENT)
        return refuse(c, ERR_SYNTAX, "the document is empty; begin with \"%s\"", c->words->begin);
    if (c->event.data.document_start.tag_directives.start != c->event.data.document_start.tag_directives.end) {
        return refuse(c, ERR_SYNTAX, "tags are not used in %s; take the %%TAG line out", c->words->what);
    }
    return ERR_OK;
}

static enum err prepare(struct cursor *c, const struct cursor_words *words, struct err_info *info)
{
    memset(c, 0, sizeof *c);
    c->words = words;
    c->info = info;
    if (yaml_parser_initialize(&c->parser) == 0) return err_fail(info, ERR_NOMEM, "no memory to read the document");
    yaml_parser_set_encoding(&c->parser, YAML_UTF8_ENCODING);
    return ERR_OK;
}

enum err cursor_open(struct cursor *c, const struct cursor_words *words, struct slice input, struct err_info *info)
{
    enum err e = prepare(c, words, info);
    if (e != ERR_OK) return e;
    if (slice_starts(input, byte_order_mark)) input = (struct slice){input.p + 3, input.n - 3};
    c->input = input;
    yaml_parser_set_input_string(&c->parser, (const unsigned char *)(input.p != NULL ? input.p : ""), input.n);
    return begin(c);
}

static int read_more(void *ctx, unsigned char *out, size_t cap, size_t *len)
{
    struct cursor *c = ctx;
    bool begins = !c->begun;
    c->begun = true;
    if (!c->read(c->read_ctx, out, cap, len)) return 0;
    if (begins && slice_starts((struct slice){(const char *)out, *len}, byte_order_mark)) {
        *len -= byte_order_mark.n;
        memmove(out, out + byte_order_mark.n, *len);
        if (*len == 0) return c->read(c->read_ctx, out, cap, len) ? 1 : 0;
    }
    return 1;
}

enum err cursor_open_stream(struct cursor *c, cursor_read *read, void *ctx, struct err_info *info)
{
    enum err e = prepare(c, &cursor_plan, info);
    if (e != ERR_OK) return e;
    c->read = read;
    c->read_ctx = ctx;
    yaml_parser_set_input(&c->parser, read_more, c);
    return begin(c);
}

void cursor_close(struct cursor *c)
{
    if (c->has_event) yaml_event_delete(&c->event);
    yaml_parser_delete(&c->parser);
    c->has_event = false;
}

static enum err open_node(struct cursor *c, struct yaml_node *out, enum node_kind kind, const yaml_char_t *anchor,
                          const yaml_char_t *tag)
{
    if (anchor != NULL)
        return refuse(c, ERR_SYNTAX, "anchors (&) are not used in %s; write the value itself", c->words->what);
    if (tag != NULL) return refuse(c, ERR_SYNTAX, "tags (!) are not used in %s; write the value alone", c->words->what);
    if (kind != NODE_SCALAR && ++c->depth > CURSOR_DEPTH_MAX)
        return refuse(c, ERR_LIMIT, "nothing in %s is nested so deep", c->words->what);
    out->kind = kind;
    return ERR_OK;
}

/* Behind the root node: the document must end, and be the only one. */
static enum err end_document(struct cursor *c, struct yaml_node *out)
{
    enum err e = next_event(c);
    if (e != ERR_OK) return e;
    if (c->event.type != YAML_STREAM_END_EVENT)
        return refuse(c, ERR_SYNTAX, "%s is one document; remove the second \"---\"", c->words->what);
    out->kind = NODE_DOCUMENT_END;
    return ERR_OK;
}

enum err cursor_next(struct cursor *c, struct yaml_node *out)
{
    const yaml_event_t *ev = &c->event;
    enum err e = next_event(c);
    if (e != ERR_OK) return e;
    *out = (struct yaml_node){.line = (unsigned)ev->start_mark.line + 1, .column = (unsigned)ev->start_mark.column + 1};
    switch (ev->type) {
    case YAML_SCALAR_EVENT:
        out->text = (struct slice){(const char *)ev->data.scalar.value, ev->data.scalar.length};
        out->plain = ev->data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
        return open_node(c, out, NODE_SCALAR, ev->data.scalar.anchor, ev->data.scalar.tag);
    case YAML_MAPPING_START_EVENT:
        return open_node(c, out, NODE_MAP, ev->data.mapping_start.anchor, ev->data.mapping_start.tag);
    case YAML_SEQUENCE_START_EVENT:
        return open_node(c, out, NODE_LIST, ev->data.sequence_start.anchor, ev->data.sequence_start.tag);
    case YAML_MAPPING_END_EVENT:
    case YAML_SEQUENCE_END_EVENT:
        ASSERT(c->depth > 0);
        c->depth--;
        out->kind = NODE_END;
        return ERR_OK;
    case YAML_DOCUMENT_END_EVENT: return end_document(c, out);
    case YAML_ALIAS_EVENT:
        return refuse(c, ERR_SYNTAX,
                      "to YAML this is an alias (*), which %s does not use; put a number that begins with * in quotes",
                      c->words->what);
    case YAML_NO_EVENT:
    case YAML_STREAM_START_EVENT:
    case YAML_STREAM_END_EVENT:
    case YAML_DOCUMENT_START_EVENT: break;
    }
    return refuse(c, ERR_SYNTAX, "the document is not complete");
}
