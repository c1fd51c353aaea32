/* test_tree: command lines, as typed, against a small table of their own and against rules of the real one. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "cli/commands.h"

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

static int none(struct cli *c, const struct tree_match *m)
{
    (void)c;
    (void)m;
    return 0;
}

static const struct tree_option globals[] = {
    {.name = "socket", .letter = 's', .value = "FILE", .help = "h"},
    {.name = "output", .letter = 'o', .value = "FORMAT", .help = "h", .choices = {"table", "json"}},
    {.name = "help", .letter = 'h', .help = "h"},
    {.name = "version", .letter = 'V', .help = "h"},
    {0},
};
static const struct tree_arg one_file[] = {{.name = "FILE", .help = "h"}, {0}};
static const struct tree_arg any_words[] = {{.name = "WORD", .help = "h", .optional = true, .many = true}, {0}};
static const struct tree_option apply_options[] = {
    {.name = "message", .letter = 'm', .value = "TEXT", .help = "h"},
    {.name = "allow", .value = "NAME", .help = "h", .repeated = true},
    {.name = "force", .letter = 'f', .help = "h"},
    {.name = "format", .value = "X", .help = "h"},
    {0},
};
static const struct tree_command commands[] = {
    {.name = "status", .summary = "s", .run = none},
    {.name = "nodes", .summary = "s", .run = none},
    {.name = "plan show", .summary = "s", .run = none},
    {.name = "plan apply", .summary = "s", .args = one_file, .options = apply_options, .run = none},
    {.name = "node join", .summary = "s", .args = one_file, .run = none},
    {.name = "help", .summary = "s", .args = any_words, .run = none},
};
static const struct tree table = {"ctl", globals, commands, sizeof commands / sizeof commands[0]};

#define WORDS_MAX 16

/* Splits at spaces; a lone _ stands for an empty word. */
static enum err parse(const struct tree *t, const char *line, struct tree_match *m, struct err_info *info)
{
    static char copy[256]; /* the match points into it */
    char *words[WORDS_MAX];
    int count = 0;
    (void)snprintf(copy, sizeof copy, "%s", line);
    for (char *w = strtok(copy, " "); w != NULL && count < WORDS_MAX; w = strtok(NULL, " ")) {
        if (strcmp(w, "_") == 0) w[0] = '\0';
        words[count++] = w;
    }
    *info = (struct err_info){0};
    return tree_parse(t, count, words, m, info);
}

static void test_good_lines(void **state)
{
    (void)state;
    static const struct {
        const char *line;
        const char *command;
        const char *arg;
        const char *message;
        const char *output;
        const char *socket;
        const char *second_allow;
        bool force;
    } rows[] = {
        {.line = "status", .command = "status"},
        {.line = "stat", .command = "status"},
        {.line = "nodes", .command = "nodes"},
        {.line = "plan show", .command = "plan show"},
        {.line = "p s", .command = "plan show"},
        {.line = "pl a f.yaml", .command = "plan apply", .arg = "f.yaml"},
        {.line = "node j f", .command = "node join", .arg = "f"}, /* an exact word wins over a longer one */
        {.line = "plan apply f -m why", .command = "plan apply", .arg = "f", .message = "why"},
        {.line = "plan apply -mwhy f", .command = "plan apply", .arg = "f", .message = "why"},
        {.line = "plan apply --message why f", .command = "plan apply", .arg = "f", .message = "why"},
        {.line = "plan apply --message=why=x f", .command = "plan apply", .arg = "f", .message = "why=x"},
        {.line = "plan apply --mess=why f", .command = "plan apply", .arg = "f", .message = "why"},
        {.line = "plan apply --message= f", .command = "plan apply", .arg = "f", .message = ""},
        {.line = "plan apply -m _ f", .command = "plan apply", .arg = "f", .message = ""},
        {.line = "plan apply -m -x f", .command = "plan apply", .arg = "f", .message = "-x"},
        {.line = "-o json -s /s plan apply f", .command = "plan apply", .arg = "f", .output = "json", .socket = "/s"},
        {.line = "plan -o json apply f -s/s", .command = "plan apply", .arg = "f", .output = "json", .socket = "/s"},
        {.line = "plan apply f --allow a --allow b -f",
         .command = "plan apply",
         .arg = "f",
         .second_allow = "b",
         .force = true},
        {.line = "plan apply -fmwhy f", .command = "plan apply", .arg = "f", .message = "why", .force = true},
        {.line = "plan apply -f -f f", .command = "plan apply", .arg = "f", .force = true},
        {.line = "plan apply -- -f", .command = "plan apply", .arg = "-f"},
        {.line = "plan apply -", .command = "plan apply", .arg = "-"},
        {.line = "help plan apply", .command = "help", .arg = "plan"},
        {.line = "plan apply --help", .command = "plan apply"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct tree_match m;
        struct err_info info;
        if (parse(&table, rows[i].line, &m, &info) != ERR_OK) fail_msg("%s: %s", rows[i].line, info.text);
        assert_string_equal(m.command->name, rows[i].command);
        const struct {
            const char *got;
            const char *want;
        } values[] = {{tree_arg(&m, 0), rows[i].arg},
                      {tree_value(&m, "message"), rows[i].message},
                      {tree_value(&m, "output"), rows[i].output},
                      {tree_value(&m, "socket"), rows[i].socket},
                      {tree_value_at(&m, "allow", 1), rows[i].second_allow}};
        for (size_t k = 0; k < sizeof values / sizeof values[0]; k++) {
            if (values[k].want == NULL)
                assert_null(values[k].got);
            else
                assert_string_equal(values[k].got, values[k].want);
        }
        assert_int_equal(tree_given(&m, "force"), rows[i].force);
    }
}

static void test_bad_lines(void **state)
{
    (void)state;
    static const struct {
        const char *line;
        const char *text;
    } rows[] = {
        {"", "no command: see 'ctl help'"},
        {"-o json", "no command: see 'ctl help'"},
        {"plan", "'plan' what? show or apply"},
        {"stauts", "unknown command 'stauts': did you mean 'status'?"},
        {"plan aply f", "unknown command 'plan aply': did you mean 'plan apply'?"},
        {"apply f", "unknown command 'apply': did you mean 'plan apply'?"},
        {"zebra", "unknown command 'zebra': see 'ctl help'"},
        {"plan zebra", "unknown command 'plan zebra': see 'ctl help plan'"},
        {"_", "unknown command '': see 'ctl help'"},
        {"nod", "'nod' is ambiguous: nodes or node?"},
        {"plan apply", "'plan apply' needs FILE: see 'ctl plan apply --help'"},
        {"plan apply a b", "'plan apply' takes no further argument: 'b' is one too many"},
        {"status x", "'status' takes no further argument: 'x' is one too many"},
        {"plan apply f --mesage x", "unknown option '--mesage': did you mean '--message'?"},
        {"plan apply f --zebra", "unknown option '--zebra': see 'ctl plan apply --help'"},
        {"plan apply f -z", "unknown option '-z': see 'ctl plan apply --help'"},
        {"plan apply f --fo", "option '--fo' is ambiguous: force or format?"},
        {"plan apply f --message", "--message needs a value: --message TEXT"},
        {"plan apply f -m", "--message needs a value: --message TEXT"},
        {"plan apply f -m a -m b", "--message is given twice"},
        {"plan apply f --force=1", "--force takes no value"},
        {"status -o xml", "--output xml: it can be table or json"},
        {"--message x plan apply f", "--message is an option of 'plan apply': write it behind the command"},
        {"help a b c d e", "'help' takes no further argument: 'e' is one too many"},
        {"status --=x", "unknown option '--': see 'ctl status --help'"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct tree_match m;
        struct err_info info;
        assert_int_equal(parse(&table, rows[i].line, &m, &info), ERR_SYNTAX);
        assert_string_equal(info.text, rows[i].text);
    }
}

static void test_help_before_a_whole_command(void **state)
{
    (void)state;
    static const struct {
        const char *line;
        const char *group;
    } rows[] = {{"--help", ""}, {"plan --help", "plan"}, {"plan apply -h", "plan apply"}, {"-V", ""}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct tree_match m;
        struct err_info info;
        assert_int_equal(parse(&table, rows[i].line, &m, &info), ERR_OK);
        assert_string_equal(m.group, rows[i].group);
    }
}

static void test_many_values(void **state)
{
    (void)state;
    char plan[] = "plan";
    char apply[] = "apply";
    char file[] = "f";
    char allow[] = "--allow=x";
    char *words[TREE_VALUES_MAX + 8];
    int count = 0;
    struct tree_match m;
    struct err_info info = {0};
    words[count++] = plan;
    words[count++] = apply;
    words[count++] = file;
    for (int i = 0; i <= TREE_VALUES_MAX; i++)
        words[count++] = allow;
    assert_int_equal(tree_parse(&table, count - 1, words, &m, &info), ERR_OK);
    assert_int_equal(tree_parse(&table, count, words, &m, &info), ERR_SYNTAX);
    assert_string_equal(info.text, "too many options");
}

/* What the help, the parser and the completion take for granted of the real table. */
static void test_rules_of_the_real_table(void **state)
{
    (void)state;
    for (size_t i = 0; i < cli_tree.command_count; i++) {
        const struct tree_command *c = &cli_tree.commands[i];
        struct tree_match m;
        struct err_info info;
        assert_non_null(c->run);
        assert_true(strlen(c->name) < sizeof m.group);
        assert_true(c->summary[strlen(c->summary) - 1] != '.');
        for (const struct tree_option *o = c->options; o != NULL && o->name != NULL; o++) {
            assert_true(o->help[strlen(o->help) - 1] != '.');
            for (const struct tree_option *g = cli_tree.options; g->name != NULL; g++) {
                assert_string_not_equal(o->name, g->name);
                if (o->letter != 0) assert_int_not_equal(o->letter, g->letter);
            }
        }
        for (size_t k = 0; k < cli_tree.command_count; k++) {
            /* no command is also a group, and those of one group stand together */
            if (k != i) assert_false(tree_under(&cli_tree.commands[k], c->name));
        }
        char line[128];
        (void)snprintf(line, sizeof line, "%s --help", c->name);
        assert_int_equal(parse(&cli_tree, line, &m, &info), ERR_OK);
        assert_ptr_equal(m.command, c);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_good_lines),
        cmocka_unit_test(test_bad_lines),
        cmocka_unit_test(test_help_before_a_whole_command),
        cmocka_unit_test(test_many_values),
        cmocka_unit_test(test_rules_of_the_real_table),
    };
    return cmocka_run_group_tests(tests, make_tree, free_tree);
}
