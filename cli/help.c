/* help: the command table as text of 80 columns: an overview, the list of a group, the page of a command. */
#include "cli/commands.h"
#include "cli/manual.h"

#define WIDTH 80
#define GAP_COLUMN 28 /* where explanations begin */

/* ---- layout ---- */

/* The next word of a text, with the space behind it taken off; what stands in brackets is one word. */
static struct slice next_word(struct slice *text)
{
    struct slice word;
    struct slice rest = slice_cut(*text, ' ', &word);
    if (word.n > 0 && word.p[0] == '[') {
        while (rest.n > 0 && memchr(word.p, ']', word.n) == NULL) {
            struct slice more;
            rest = slice_cut(rest, ' ', &more);
            word.n = (size_t)(more.p + more.n - word.p);
        }
    }
    *text = rest;
    return word;
}

/* Words of text from column at on, broken before WIDTH; further lines are indented. Ends the line. */
static void wrap(struct buf *out, struct slice text, size_t at, size_t indent)
{
    size_t column = at;
    bool first = true;
    while (text.n > 0) {
        struct slice word = next_word(&text);
        if (!first && column + 1 + word.n > WIDTH) {
            buf_printf(out, "\n%*s", (int)indent, "");
            column = indent;
            first = true;
        }
        buf_printf(out, "%s%.*s", first ? "" : " ", SLICE_ARG(word));
        column += word.n + !first;
        first = false;
    }
    buf_add(out, "\n", 1);
}

static void paragraphs(struct buf *out, const char *text)
{
    struct slice rest = slice_of(text);
    while (rest.n > 0) {
        const char *gap = strstr(rest.p, "\n\n");
        size_t n = gap != NULL ? (size_t)(gap - rest.p) : rest.n;
        buf_add(out, "\n", 1);
        wrap(out, (struct slice){rest.p, n}, 0, 0);
        n += gap != NULL ? 2 : 0;
        rest = (struct slice){rest.p + n, rest.n - n};
    }
}

/* "  left           explanation" */
static void entry(struct buf *out, struct slice left, const char *text)
{
    buf_printf(out, "  %.*s", SLICE_ARG(left));
    size_t column = left.n + 2;
    if (column + 2 > GAP_COLUMN) {
        buf_add(out, "\n", 1);
        column = 0;
    }
    buf_printf(out, "%*s", (int)(GAP_COLUMN - column), "");
    wrap(out, slice_of(text), GAP_COLUMN, GAP_COLUMN);
}

bool manual_value_is_choice(const struct tree_option *o)
{
    return o->value != NULL && o->choices[0] != NULL && strstr(o->value, o->choices[0]) != NULL;
}

static void option_entry(struct buf *out, const struct tree_option *o)
{
    struct buf left = {0};
    struct buf text = {0};
    if (o->letter != 0) buf_printf(&left, "-%c, ", o->letter);
    buf_printf(&left, "--%s%s%s", o->name, o->value != NULL ? " " : "", o->value != NULL ? o->value : "");
    buf_text(&text, o->help);
    for (size_t i = 0; i < TREE_CHOICES_MAX && o->choices[i] != NULL && !manual_value_is_choice(o); i++) {
        buf_printf(&text, "%s%s", i == 0 ? ": " : ", ", o->choices[i]);
    }
    buf_add(&text, "", 1);
    if (left.failed || text.failed)
        out->failed = true;
    else
        entry(out, buf_view(&left), text.p);
    buf_fini(&left);
    buf_fini(&text);
}

static void option_list(struct buf *out, const char *title, const struct tree_option *list)
{
    if (list == NULL) return;
    buf_printf(out, "\n%s\n", title);
    for (const struct tree_option *o = list; o->name != NULL; o++)
        option_entry(out, o);
}

/* ---- pages ---- */

void manual_synopsis(const struct tree_command *command, struct buf *out)
{
    buf_text(out, command->name);
    for (const struct tree_arg *a = command->args; a != NULL && a->name != NULL; a++) {
        buf_printf(out, a->optional ? " [%s%s]" : " %s%s", a->name, a->many ? " ..." : "");
    }
    for (const struct tree_option *o = command->options; o != NULL && o->name != NULL; o++) {
        buf_printf(out, o->letter != 0 ? " [-%c" : " [--", o->letter);
        if (o->letter == 0) buf_text(out, o->name);
        buf_printf(out, "%s%s]%s", o->value != NULL ? " " : "", o->value != NULL ? o->value : "",
                   o->repeated ? "..." : "");
    }
}

static void command_page(const struct tree *t, const struct tree_command *c, struct buf *out)
{
    struct buf synopsis = {0};
    buf_printf(&synopsis, "%s [OPTION]... ", t->program);
    manual_synopsis(c, &synopsis);
    buf_text(out, "usage: ");
    wrap(out, buf_view(&synopsis), 7, 11);
    if (synopsis.failed) out->failed = true;
    buf_fini(&synopsis);
    buf_printf(out, "\n%c", c->summary[0] >= 'a' && c->summary[0] <= 'z' ? c->summary[0] - 32 : c->summary[0]);
    buf_printf(out, "%s.\n", c->summary + 1);
    if (c->text != NULL) paragraphs(out, c->text);
    if (c->args != NULL) {
        buf_text(out, "\nArguments\n");
        for (const struct tree_arg *a = c->args; a->name != NULL; a++)
            entry(out, slice_of(a->name), a->help);
    }
    option_list(out, "Options", c->options);
    option_list(out, "Options of every command", t->options);
}

static void command_list(const struct tree *t, const char *words, struct buf *out)
{
    for (size_t i = 0; i < t->command_count; i++) {
        const struct tree_command *c = &t->commands[i];
        if (!tree_under(c, words)) continue;
        struct slice before = i > 0 ? tree_word(c - 1, 0) : SLICE_NONE;
        bool grouped = tree_word(c, 1).n > 0 || (i > 0 && tree_word(c - 1, 1).n > 0);
        if (words[0] == '\0' && grouped && !slice_eq(before, tree_word(c, 0))) buf_add(out, "\n", 1);
        entry(out, slice_of(c->name), c->summary);
    }
}

static void overview(const struct tree *t, struct buf *out)
{
    buf_printf(out, "usage: %s [-s SOCKET] [--node NAME] [-o FORMAT] COMMAND ...\n\nCommands\n", t->program);
    command_list(t, "", out);
    option_list(out, "Options", t->options);
    buf_printf(out, "\n'%s COMMAND --help' says more. Words and options may be cut short\nwhile they stay clear.\n",
               t->program);
    buf_text(out, "\nExit status\n");
    entry(out, SLICE("0"), "done");
    entry(out, SLICE("1"), "refused");
    entry(out, SLICE("2"), "the command line makes no sense");
    entry(out, SLICE("3"), "a conflict, or findings in the plan");
    entry(out, SLICE("4"), "done on part of the cluster");
    entry(out, SLICE("5"), "the node cannot be reached");
}

void manual_help_text(const struct tree *t, const char *words, struct buf *out)
{
    if (words[0] == '\0') {
        overview(t, out);
        return;
    }
    for (size_t i = 0; i < t->command_count; i++) {
        if (strcmp(t->commands[i].name, words) != 0) continue;
        command_page(t, &t->commands[i], out);
        return;
    }
    buf_printf(out, "usage: %s %s COMMAND ...\n\nCommands\n", t->program, words);
    command_list(t, words, out);
}

/* ---- commands ---- */

static int write_text(struct cli *c, void (*make)(const struct tree *t, struct buf *out))
{
    struct buf out = {0};
    make(c->tree, &out);
    c->raw = true;
    int status = CLI_DONE;
    if (out.failed)
        status = cli_fail(c, CLI_REFUSED, "no memory");
    else
        (void)fwrite(out.p, 1, out.n, c->out); /* cli_run looks at the stream */
    buf_fini(&out);
    return status;
}

int manual_help(struct cli *c, const char *words)
{
    struct buf out = {0};
    manual_help_text(c->tree, words, &out);
    c->raw = true;
    int status = CLI_DONE;
    if (out.failed)
        status = cli_fail(c, CLI_REFUSED, "no memory");
    else
        (void)fwrite(out.p, 1, out.n, c->out);
    buf_fini(&out);
    return status;
}

/* The words are read by the parser itself, so that they may be cut short here too. */
int help_run(struct cli *c, const struct tree_match *m)
{
    struct tree_match topic;
    struct err_info info = {0};
    char *words[TREE_ARGS_MAX + 1];
    for (size_t i = 0; i < m->arg_count; i++)
        words[i] = (char *)(uintptr_t)m->args[i];
    words[m->arg_count] = (char *)(uintptr_t) "--help";
    if (tree_parse(c->tree, (int)m->arg_count + 1, words, &topic, &info) != ERR_OK) {
        return cli_fail(c, CLI_USAGE, "%s", info.text);
    }
    return manual_help(c, topic.group);
}

int man_run(struct cli *c, const struct tree_match *m)
{
    (void)m;
    return write_text(c, manual_man_text);
}

int completion_run(struct cli *c, const struct tree_match *m)
{
    if (strcmp(tree_arg(m, 0), "bash") != 0) {
        return cli_fail(c, CLI_USAGE, "no completion for '%s': there is one for bash", tree_arg(m, 0));
    }
    return write_text(c, manual_bash_text);
}

int manual_version(struct cli *c)
{
    c->raw = true;
    (void)fprintf(c->out, "clusterctl %s\n", TANDEM_VERSION);
    return CLI_DONE;
}

int version_run(struct cli *c, const struct tree_match *m)
{
    (void)m;
    return manual_version(c);
}
