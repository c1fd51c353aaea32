/* cli: see the header. */
#include "cli/cli.h"

#include <errno.h>
#include <stdlib.h>

#include "cli/commands.h"
#include "cli/manual.h"
#include "cli/text.h"
#include "cli/watch.h"

/* ---- saying ---- */

static void say(struct cli *c, struct slice text)
{
    struct buf line = {0};
    buf_text(&line, "clusterctl: ");
    text_safe(&line, text);
    buf_add(&line, "\n", 1);
    if (!line.failed) (void)fwrite(line.p, 1, line.n, c->err);
    buf_fini(&line);
}

void cli_note(struct cli *c, struct slice text)
{
    say(c, text);
}

int cli_fail(struct cli *c, int status, const char *fmt, ...)
{
    struct buf text = {0};
    char line[2048];
    va_list ap;
    va_start(ap, fmt);
    (void)vsnprintf(line, sizeof line, fmt, ap);
    va_end(ap);
    buf_text(&text, line);
    say(c, slice_of(line));
    if (c->failure.n == 0) {
        buf_fini(&c->failure);
        c->failure = text;
    } else {
        buf_fini(&text);
    }
    return status;
}

int cli_fail_err(struct cli *c, enum err e, const struct err_info *info)
{
    int status = e == ERR_UNREACHABLE || e == ERR_TIMEOUT ? CLI_UNREACHABLE
                 : e == ERR_CONFLICT                      ? CLI_FINDINGS
                                                          : CLI_REFUSED;
    return cli_fail(c, status, "%s", info != NULL && info->text[0] != '\0' ? info->text : err_name(e));
}

bool cli_output(struct cli *c, const struct output_view *views)
{
    const struct output_options options = {.stream = c->out,
                                           .format = c->format,
                                           .terminal = c->out_terminal,
                                           .color = c->color,
                                           .width = c->width,
                                           .views = views};
    c->output = output_new(&options);
    if (c->output == NULL) (void)cli_fail(c, CLI_REFUSED, "no memory");
    return c->output != NULL;
}

/* ---- files ---- */

static int read_stream(struct cli *c, FILE *f, const char *path, size_t cap, struct buf *text)
{
    for (;;) {
        char *room = buf_room(text, 65536);
        if (room == NULL) return cli_fail(c, CLI_REFUSED, "%s: no memory", path);
        size_t n = fread(room, 1, 65536, f);
        text->n += n;
        if (text->n > cap) return cli_fail(c, CLI_REFUSED, "%s: over %zu MB: split it", path, cap / 1000000);
        if (n > 0) continue;
        if (ferror(f)) return cli_fail(c, CLI_REFUSED, "%s: %s", path, strerror(errno));
        return CLI_DONE;
    }
}

int cli_read_file(struct cli *c, const char *path, size_t cap, struct arena *arena, struct slice *out)
{
    struct buf text = {0};
    bool standard = strcmp(path, "-") == 0;
    FILE *f = standard ? c->in : fopen(path, "rb");
    if (f == NULL) return cli_fail(c, CLI_REFUSED, "%s: %s", path, strerror(errno));
    int status = read_stream(c, f, path, cap, &text);
    if (!standard) (void)fclose(f);
    if (status == CLI_DONE) {
        *out = arena_copy(arena, buf_view(&text));
        if (out->p == NULL) status = cli_fail(c, CLI_REFUSED, "%s: no memory", path);
    }
    if (text.n > 0) secret_wipe(text.p, text.n); /* a plan on its way in carries passwords */
    buf_fini(&text);
    return status;
}

/* ---- a run ---- */

static void take_format(struct cli *c, const char *format)
{
    static const char *const formats[] = {
        [OUTPUT_TABLE] = "table", [OUTPUT_JSON] = "json", [OUTPUT_YAML] = "yaml", [OUTPUT_CSV] = "csv"};
    for (size_t i = 0; format != NULL && i < sizeof formats / sizeof formats[0]; i++) {
        if (strcmp(format, formats[i]) != 0) continue;
        c->format = (enum output_format)i;
        c->format_given = true;
    }
}

static void take_global_options(struct cli *c, const struct tree_match *m)
{
    c->socket = tree_value(m, "socket");
    c->node = tree_given(m, "node") ? tree_value(m, "node") : "";
    take_format(c, tree_value(m, "output"));
}

/* A program that asked for JSON gets a usage error as JSON too, wherever in the line its -o stands. */
static void guess_format(struct cli *c, int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        const char *next = i + 1 < argc ? argv[i + 1] : NULL;
        if (strcmp(argv[i], "-o") == 0 || strcmp(argv[i], "--output") == 0)
            take_format(c, next);
        else if (strncmp(argv[i], "--output=", 9) == 0)
            take_format(c, argv[i] + 9);
        else if (strncmp(argv[i], "-o", 2) == 0)
            take_format(c, argv[i] + 2);
    }
}

static int run_match(struct cli *c, const struct tree_match *m)
{
    if (tree_given(m, "version")) return manual_version(c);
    if (tree_given(m, "help")) return manual_help(c, m->group);
    bool again = tree_given(m, "watch") && !m->command->follows;
    return again ? watch_run(c, m, m->command->run) : m->command->run(c, m);
}

int cli_finish(struct cli *c, int status)
{
    if (c->finished) return status;
    bool machine = c->format == OUTPUT_JSON || c->format == OUTPUT_YAML;
    if (c->output == NULL && status != CLI_DONE && machine && !c->raw && !cli_output(c, NULL)) return status;
    enum err e = ERR_OK;
    c->finished = true;
    if (c->output != NULL)
        e = output_finish(c->output, status, buf_view(&c->failure));
    else if (fflush(c->out) != 0 || ferror(c->out))
        e = ERR_IO;
    c->output = NULL;
    if (e == ERR_OK) return status;
    return cli_fail(c, CLI_REFUSED, "the output could not be written: %s", e == ERR_IO ? strerror(errno) : err_name(e));
}

static int run_line(struct cli *c, int argc, char **argv)
{
    struct tree_match m;
    struct err_info info = {0};
    enum err e = tree_parse(c->tree, argc - 1, argv + 1, &m, &info);
    take_global_options(c, &m);
    if (e == ERR_OK && tree_given(&m, "node") && c->node[0] == '\0') /* --node "$PEER" without a PEER */
        e = err_fail(&info, ERR_SYNTAX, "--node: an empty name; without --node the node at the socket answers");
    if (e == ERR_OK) return cli_finish(c, run_match(c, &m));
    guess_format(c, argc, argv);
    return cli_finish(c, cli_fail(c, CLI_USAGE, "%s", info.text));
}

int cli_run(struct cli *c, int argc, char **argv)
{
    struct arena arena = {0};
    struct tree tree;
    enum err e = cli_tree_make(&arena, &tree);
    c->tree = &tree;
    int status = e == ERR_OK ? run_line(c, argc, argv) : cli_fail_err(c, e, NULL);
    c->tree = NULL;
    arena_fini(&arena);
    buf_fini(&c->failure);
    return status;
}
