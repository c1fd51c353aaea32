/* accept_show: accept report: a report of 'accept run' once more, as a table or as a page that one can print. */
#include <glob.h>

#include "cli/accept_report.h"
#include "cli/commands.h"

#define REPORT_MAX 268435456
#define REPORT_SUFFIX ".report.json"

/* The length of path without the suffix, if it has it. */
static size_t without(const char *path, const char *suffix)
{
    const size_t n = strlen(path);
    const size_t k = strlen(suffix);
    return n > k && strcmp(path + n - k, suffix) == 0 ? n - k : n;
}

const char *accept_report_name(struct arena *arena, const char *path)
{
    const size_t yaml = without(path, ".yaml");
    const size_t yml = without(path, ".yml");
    return arena_printf(arena, "%.*s" REPORT_SUFFIX, (int)(yaml < yml ? yaml : yml), path);
}

/* The only report in this folder. */
static int find(struct cli *c, struct arena *arena, const char **path)
{
    glob_t found = {0};
    int status = CLI_DONE;
    const int failed = glob("*" REPORT_SUFFIX, 0, NULL, &found);
    if (failed != 0) {
        status = cli_fail(c, CLI_USAGE, "no *" REPORT_SUFFIX " is here: name the report that 'accept run' has written");
    } else if (found.gl_pathc > 1) {
        status = cli_fail(c, CLI_USAGE, "several reports are here: name one of them, such as %s", found.gl_pathv[0]);
    } else {
        *path = arena_copy(arena, slice_of(found.gl_pathv[0])).p;
        if (*path == NULL) status = cli_fail_err(c, ERR_NOMEM, NULL);
    }
    globfree(&found);
    return status;
}

/* Who names the cases means what came of them. */
static int choose(struct cli *c, const struct tree_match *m, struct arena *arena, const char **path)
{
    *path = tree_arg(m, 0);
    if (*path == NULL) return find(c, arena, path);
    const bool cases = without(*path, ".yaml") < strlen(*path) || without(*path, ".yml") < strlen(*path);
    if (cases) *path = accept_report_name(arena, *path);
    return *path != NULL ? CLI_DONE : cli_fail_err(c, ERR_NOMEM, NULL);
}

static int show(struct cli *c, const struct accept_report *r, bool page)
{
    struct buf out = {0};
    if (!page && !cli_output(c, accept_report_views)) return CLI_REFUSED;
    if (!page) {
        accept_report_show(r, c->output);
        return CLI_DONE;
    }
    accept_report_page(r, &out);
    int status = out.failed ? cli_fail_err(c, ERR_NOMEM, NULL) : CLI_DONE;
    if (status == CLI_DONE) (void)fwrite(out.p, 1, out.n, c->out); /* cli_run looks at the stream */
    buf_fini(&out);
    return status;
}

int accept_report_run(struct cli *c, const struct tree_match *m)
{
    struct accept_report r = {.file = SLICE_NONE};
    struct err_info info = {.text = ""};
    struct slice text = SLICE_NONE;
    const char *path = NULL;
    const bool page = tree_given(m, "html");
    if (page && c->format_given) return cli_fail(c, CLI_USAGE, "--html is a format by itself: leave -o out");
    c->raw = page;
    int status = choose(c, m, &r.arena, &path);
    if (status == CLI_DONE) status = cli_read_file(c, path, REPORT_MAX, &r.arena, &text);
    if (status == CLI_DONE) {
        enum err e = accept_report_read(text, &r, &info);
        if (e == ERR_NOMEM) status = cli_fail_err(c, e, NULL);
        if (e == ERR_SYNTAX) status = cli_fail(c, CLI_REFUSED, "%s: %s", path, info.text);
    }
    if (status == CLI_DONE) status = show(c, &r, page);
    arena_fini(&r.arena);
    return status;
}
