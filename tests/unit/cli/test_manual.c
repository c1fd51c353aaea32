/* test_manual: what is made from the command table. Help is compared with files (golden/, to be renewed with
 * "clusterctl help > tests/unit/cli/golden/help.txt"); the manual page goes through mandoc and the completion through
 * bash, where they are installed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "cli/commands.h"
#include "cli/manual.h"

static struct arena tree_arena;
static struct tree cli_tree;

static int make_tree(void **state)
{
    (void)state;
    return cli_tree_make(&tree_arena, &cli_tree) == ERR_OK ? 0 : -1;
}

static int free_tree(void **state)
{
    (void)state;
    arena_fini(&tree_arena);
    return 0;
}

static void read_file(const char *path, struct buf *out)
{
    FILE *f = fopen(path, "rb");
    if (f == NULL) fail_msg("%s cannot be read", path);
    char *room = buf_room(out, 65536);
    assert_non_null(room);
    out->n = fread(room, 1, 65535, f);
    (void)fclose(f);
    out->p[out->n] = '\0';
}

static void test_help_golden(void **state)
{
    (void)state;
    static const struct {
        const char *words;
        const char *file;
    } rows[] = {{"", "help.txt"},
                {"plan", "help_plan.txt"},
                {"plan apply", "help_plan_apply.txt"},
                {"plan import", "help_plan_import.txt"},
                {"trunk set", "help_trunk_set.txt"},
                {"account passwd", "help_account_passwd.txt"},
                {"node invite", "help_node_invite.txt"}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct buf got = {0};
        struct buf want = {0};
        char path[512];
        (void)snprintf(path, sizeof path, "%s/%s", GOLDEN_DIR, rows[i].file);
        manual_help_text(&cli_tree, rows[i].words, &got);
        buf_add(&got, "", 1);
        read_file(path, &want);
        assert_string_equal(got.p, want.p);
        buf_fini(&got);
        buf_fini(&want);
    }
}

static void test_help_is_80_columns(void **state)
{
    (void)state;
    for (size_t i = 0; i <= cli_tree.command_count; i++) {
        struct buf out = {0};
        struct slice line;
        manual_help_text(&cli_tree, i == 0 ? "" : cli_tree.commands[i - 1].name, &out);
        struct slice rest = buf_view(&out);
        while (rest.n > 0) {
            rest = slice_cut(rest, '\n', &line);
            if (line.n > 80) fail_msg("%.*s", SLICE_ARG(line));
            if (line.n > 0 && line.p[line.n - 1] == ' ') fail_msg("ends in a space: %.*s", SLICE_ARG(line));
        }
        buf_fini(&out);
    }
}

/* Pipes text into a command; its exit status, and what it said in out. */
static int pipe_into(const char *command, const struct buf *text, char *said, size_t size)
{
    char path[] = "/tmp/tandem-manual-XXXXXX";
    char line[256];
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    FILE *f = fdopen(fd, "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(text->p, 1, text->n, f), text->n);
    (void)fclose(f);
    (void)snprintf(line, sizeof line, "%s %s 2>&1", command, path);
    FILE *p = popen(line, "r");
    assert_non_null(p);
    size_t n = fread(said, 1, size - 1, p);
    said[n] = '\0';
    int status = pclose(p);
    (void)remove(path);
    return status;
}

static bool installed(const char *program)
{
    char line[128];
    (void)snprintf(line, sizeof line, "command -v %s > /dev/null 2>&1", program);
    return system(line) == 0;
}

static void test_man_page(void **state)
{
    (void)state;
    struct buf page = {0};
    char said[4096];
    manual_man_text(&cli_tree, &page);
    assert_false(page.failed);
    for (size_t i = 0; i < cli_tree.command_count; i++) {
        char heading[96];
        (void)snprintf(heading, sizeof heading, "\n.SS %s\n", cli_tree.commands[i].name);
        assert_non_null(memmem(page.p, page.n, heading, strlen(heading)));
    }
    if (installed("mandoc")) {
        int status = pipe_into("mandoc -Tlint", &page, said, sizeof said);
        if (status != 0 || said[0] != '\0') fail_msg("%s", said);
    }
    buf_fini(&page);
}

static void test_completion(void **state)
{
    (void)state;
    struct buf script = {0};
    char said[4096];
    manual_bash_text(&cli_tree, &script);
    assert_false(script.failed);
    /* what bash itself makes of a line that ends in these words */
    buf_text(&script, "try() { COMP_WORDS=(\"$@\"); COMP_CWORD=$(($# - 1)); _clusterctl; echo \"${COMPREPLY[@]}\"; }\n"
                      "complete() { :; }\n"
                      "try clusterctl pl\ntry clusterctl plan ''\ntry clusterctl -o json plan a\ntry clusterctl -o ''\n"
                      "try clusterctl plan apply f --d\ntry clusterctl node join --da\ntry clusterctl status --ve\n"
                      "try clusterctl trunk set x --transport ''\ntry clusterctl account set x --max\n"
                      "try clusterctl help pla\ntry clusterctl plan import f --mode = r\n"
                      "try clusterctl plan import f --mode =\ntry clusterctl --node = n plan ro\n"
                      /* a name that a shell would run, and one that it would take for a comment */
                      "clusterctl() { printf '%s\\n' '`echo run`@host' '$(echo run)' '#31' '*21'; }\n"
                      "try clusterctl trace ''\ntry clusterctl trace '\\#3'\ntry clusterctl route set '\\*2'\n");
    if (!installed("bash")) skip();
    int status = pipe_into("bash", &script, said, sizeof said);
    assert_int_equal(status, 0);
    assert_string_equal(
        said, "plan\nshow check diff apply confirm export import log rollback conflicts\napply\ntable json yaml "
              "csv\n--dry-run\n--data\n--version\n"
              "udp tcp tls\n--max-contacts\nplan\nreplace\nmerge replace\nrollback\n`echo run`@host $(echo run) #31 "
              "*21\n#31\n*21\n");
    buf_fini(&script);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_help_golden),
        cmocka_unit_test(test_help_is_80_columns),
        cmocka_unit_test(test_man_page),
        cmocka_unit_test(test_completion),
    };
    return cmocka_run_group_tests(tests, make_tree, free_tree);
}
