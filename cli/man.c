/* man: the command table as a manual page in the man(7) macros. */
#include "cli/manual.h"

#define LINE_MAX_LEN 78
#define MANUAL_DATE "2026-11-22" /* of the last change of its wording */

/* Text that roff takes as it is: backslashes, hyphens and quotes escaped, no line that begins with a control character.
 */
static void roff(struct buf *out, struct slice s)
{
    if (s.n > 0 && (s.p[0] == '.' || s.p[0] == '\'')) buf_text(out, "\\&");
    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] == '\\')
            buf_text(out, "\\e");
        else if (s.p[i] == '-')
            buf_text(out, "\\-");
        else if (s.p[i] == '\'')
            buf_text(out, "\\(aq");
        else if (s.p[i] == '"')
            buf_text(out, "\\(dq");
        else
            buf_add(out, s.p + i, 1);
    }
}

/* Words in lines that people can edit and diff; a new sentence begins a new line, as roff wants it. */
static void fill(struct buf *out, struct slice text)
{
    size_t column = 0;
    while (text.n > 0) {
        struct slice word;
        struct buf escaped = {0};
        text = slice_cut(text, ' ', &word);
        roff(&escaped, word);
        if (column > 0 && column + 1 + escaped.n > LINE_MAX_LEN) {
            buf_add(out, "\n", 1);
            column = 0;
        }
        if (column > 0) buf_add(out, " ", 1);
        buf_slice(out, buf_view(&escaped));
        column += escaped.n + (column > 0);
        if (word.n > 1 && word.p[word.n - 1] == '.' && text.n > 0) {
            buf_add(out, "\n", 1);
            column = 0;
        }
        if (escaped.failed) out->failed = true;
        buf_fini(&escaped);
    }
    if (column > 0) buf_add(out, "\n", 1);
}

/* A summary or help as a sentence. */
static void sentence(struct buf *out, const char *text)
{
    struct buf whole = {0};
    buf_printf(&whole, "%c%s.", text[0] >= 'a' && text[0] <= 'z' ? text[0] - 32 : text[0], text + 1);
    if (whole.failed) out->failed = true;
    fill(out, buf_view(&whole));
    buf_fini(&whole);
}

static void paragraphs(struct buf *out, const char *text)
{
    struct slice rest = slice_of(text);
    while (rest.n > 0) {
        const char *gap = strstr(rest.p, "\n\n");
        size_t n = gap != NULL ? (size_t)(gap - rest.p) : rest.n;
        buf_text(out, ".PP\n");
        fill(out, (struct slice){rest.p, n});
        n += gap != NULL ? 2 : 0;
        rest = (struct slice){rest.p + n, rest.n - n};
    }
}

static void options(struct buf *out, const struct tree_option *list)
{
    for (const struct tree_option *o = list; o != NULL && o->name != NULL; o++) {
        buf_text(out, ".TP\n\\fB");
        if (o->letter != 0) buf_printf(out, "\\-%c\\fR, \\fB", o->letter);
        buf_text(out, "\\-\\-");
        roff(out, slice_of(o->name));
        buf_text(out, "\\fR");
        if (o->value != NULL) {
            buf_text(out, " \\fI");
            roff(out, slice_of(o->value));
            buf_text(out, "\\fR");
        }
        buf_add(out, "\n", 1);
        sentence(out, o->help);
        if (manual_value_is_choice(o)) continue;
        for (size_t i = 0; i < TREE_CHOICES_MAX && o->choices[i] != NULL; i++) {
            buf_printf(out, "%s%s", i == 0 ? "One of " : ", ", o->choices[i]);
        }
        if (o->choices[0] != NULL) buf_text(out, ".\n");
    }
}

static void command(struct buf *out, const struct tree_command *c)
{
    struct buf synopsis = {0};
    manual_synopsis(c, &synopsis);
    buf_text(out, ".SS ");
    roff(out, slice_of(c->name));
    buf_text(out, "\n\\fB");
    roff(out, buf_view(&synopsis));
    buf_text(out, "\\fR\n.PP\n");
    sentence(out, c->summary);
    if (c->text != NULL) paragraphs(out, c->text);
    for (const struct tree_arg *a = c->args; a != NULL && a->name != NULL; a++) {
        buf_text(out, ".TP\n\\fI");
        roff(out, slice_of(a->name));
        buf_text(out, "\\fR\n");
        sentence(out, a->help);
    }
    options(out, c->options);
    if (synopsis.failed) out->failed = true;
    buf_fini(&synopsis);
}

void manual_man_text(const struct tree *t, struct buf *out)
{
    buf_printf(out,
               ".TH CLUSTERCTL 8 \"%s\" \"Tandem %s\" \"Tandem\"\n"
               ".SH NAME\n%s \\- speak with the nodes of a Tandem cluster\n"
               ".SH SYNOPSIS\n\\fB%s\\fR [\\fB\\-s\\fR \\fISOCKET\\fR] [\\fB\\-\\-node\\fR \\fINAME\\fR]\n"
               "[\\fB\\-o\\fR \\fIFORMAT\\fR] \\fICOMMAND\\fR ...\n"
               ".SH DESCRIPTION\n"
               "A cluster of Tandem nodes routes SIP calls between sites by one number plan,\n"
               "which every node holds.\n"
               "This command shows and changes the plan, and shows what the nodes observe.\n"
               "Words of commands and names of options may be cut short while they stay clear.\n"
               ".SH OPTIONS\n",
               MANUAL_DATE, TANDEM_VERSION, t->program, t->program);
    options(out, t->options);
    buf_text(out, ".SH COMMANDS\n");
    for (size_t i = 0; i < t->command_count; i++)
        command(out, &t->commands[i]);
    buf_text(out, ".SH ENVIRONMENT\n"
                  ".TP\n\\fBTANDEM_SOCKET\\fR\nThe control socket that is used without \\fB\\-s\\fR.\n"
                  ".TP\n\\fBNO_COLOR\\fR\nWhen it is set and not empty, nothing is coloured.\n"
                  ".SH EXIT STATUS\n"
                  ".TP\n0\nDone.\n.TP\n1\nRefused.\n.TP\n2\nThe command line makes no sense.\n"
                  ".TP\n3\nA conflict, or findings in the plan.\n.TP\n4\nDone on part of the cluster.\n"
                  ".TP\n5\nThe node cannot be reached.\n"
                  ".SH SEE ALSO\n\\fBtandemd\\fR(8)\n");
}
