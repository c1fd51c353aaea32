/* completion: the command table as a completion script for bash. Words and options are plain lists in it; for names it
 * asks the node that the command would ask, by 'names KIND'. What is a name shows by what the table calls its value.
 *
 * Names come from others: a Call-ID may hold `...`. They are read line by line and compared as text, for compgen -W
 * would run them; bash quotes what it puts into the line, since they pass for names of files. */
#include "cli/manual.h"

/* The kind of names that a value called so stands for, NULL: none. */
static const char *names_kind(const char *value)
{
    static const struct {
        const char *value;
        const char *kind;
    } rows[] = {
        {"NODE", "node"},
        {"SITE", "site"},
        {"SOURCE", "source"},
        {"TARGET", "target"},
        {"KEY", "object"},
        {"OBJECT", "object"},
        {"OBJECT|CHANGE", "object change"},
        {"CHANGE", "change"},
        {"CALL", "call"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        if (strcmp(rows[i].value, value) == 0) return rows[i].kind;
    return NULL;
}

/* The same of a command's first argument: a NAME is of what the command is about; what is added has none yet. */
static const char *arg_kind(const struct tree_command *c)
{
    static const char *const kinds[] = {"site", "trunk", "account", "node", "route"};
    const char *name = c->args != NULL && c->args[0].name != NULL ? c->args[0].name : "";
    struct slice verb = tree_word(c, 1);
    if (slice_is(verb, "add") || slice_is(verb, "invite")) return NULL;
    if (strcmp(name, "NAME") != 0 && strcmp(name, "MATCH") != 0) return names_kind(name);
    if (strcmp(c->name, "nodes") == 0) return "node";
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++)
        if (slice_is(tree_word(c, 0), kinds[i])) return i == 4 ? "match" : kinds[i];
    return NULL;
}

/* Calls each for every option that takes a value, once for each name: several commands may have one of the same. */
static void each_value(const struct tree *t, void (*each)(struct buf *out, const struct tree_option *o),
                       struct buf *out)
{
    struct buf seen = {0};
    for (size_t i = 0; i <= t->command_count; i++) {
        const struct tree_option *o = i == 0 ? t->options : t->commands[i - 1].options;
        for (; o != NULL && o->name != NULL; o++) {
            char key[80];
            (void)snprintf(key, sizeof key, "<%s>", o->name);
            bool known = seen.n > 0 && strstr(seen.p, key) != NULL;
            if (o->value == NULL || known) continue;
            buf_printf(&seen, "%s", key); /* ends in NUL behind its length */
            each(out, o);
        }
    }
    if (seen.failed) out->failed = true;
    buf_fini(&seen);
}

/* "|-m|--message" */
static void value_pattern(struct buf *out, const struct tree_option *o)
{
    if (o->letter != 0) buf_printf(out, "|-%c", o->letter);
    buf_printf(out, "|--%s", o->name);
}

static void value_case(struct buf *out, const struct tree_option *o)
{
    buf_text(out, "    ");
    if (o->letter != 0) buf_printf(out, "-%c|", o->letter);
    buf_printf(out, "--%s) ", o->name);
    if (o->choices[0] != NULL) {
        buf_text(out, "COMPREPLY=($(compgen -W \"");
        for (size_t i = 0; i < TREE_CHOICES_MAX && o->choices[i] != NULL; i++) {
            buf_printf(out, "%s%s", i > 0 ? " " : "", o->choices[i]);
        }
        buf_text(out, "\" -- \"$cur\")); ");
    } else if (strcmp(o->value, "FILE") == 0) {
        buf_text(out, "mapfile -t COMPREPLY < <(compgen -f -- \"$cur\"); ");
    } else if (strcmp(o->value, "DIR") == 0) {
        buf_text(out, "mapfile -t COMPREPLY < <(compgen -d -- \"$cur\"); ");
    } else if (names_kind(o->value) != NULL) {
        buf_printf(out, "names=\"%s\"; break ;;\n", names_kind(o->value));
        return;
    }
    buf_text(out, "return ;;\n");
}

static void option_words(struct buf *out, const struct tree_option *list)
{
    for (const struct tree_option *o = list; o != NULL && o->name != NULL; o++)
        buf_printf(out, "--%s ", o->name);
}

/* The words that can follow group, each once: the table keeps those of one group together. */
static void next_words(const struct tree *t, const char *group, size_t depth, struct buf *out)
{
    struct slice last = SLICE_NONE;
    for (size_t i = 0; i < t->command_count; i++) {
        struct slice word = tree_word(&t->commands[i], depth);
        if (!tree_under(&t->commands[i], group) || word.n == 0 || slice_eq(word, last)) continue;
        buf_printf(out, "%s%.*s", last.n > 0 ? " " : "", SLICE_ARG(word));
        last = word;
    }
}

static void command_case(const struct tree_command *c, struct buf *out)
{
    bool file = c->args != NULL && strcmp(c->args[0].name, "FILE") == 0;
    buf_printf(out, "    \"%s\"*) opts=\"", c->name);
    option_words(out, c->options);
    buf_printf(out, "\"%s", file ? " files=1" : "");
    if (arg_kind(c) != NULL) buf_printf(out, " names=\"%s\"", arg_kind(c));
    buf_text(out, " ;;\n");
}

static void group_cases(const struct tree *t, struct buf *out)
{
    struct slice last = SLICE_NONE;
    for (size_t i = 0; i < t->command_count; i++) {
        struct slice word = tree_word(&t->commands[i], 0);
        char group[64];
        if (tree_word(&t->commands[i], 1).n == 0 || slice_eq(word, last)) continue;
        (void)snprintf(group, sizeof group, "%.*s", SLICE_ARG(word));
        buf_printf(out, "    \"%s\") next=\"", group);
        next_words(t, group, 1, out);
        buf_text(out, "\" ;;\n");
        last = word;
    }
}

/* The option that stands before the cursor may take a name; the loop is there to be left. */
static void value_cases(const struct tree *t, struct buf *out)
{
    buf_text(out, "    while :; do\n    case $prev in\n");
    each_value(t, value_case, out);
    buf_text(out, "    esac\n    break\n    done\n");
}

/* Which words stand before the cursor, and which node would be asked. */
static void words_loop(const struct tree *t, struct buf *out)
{
    buf_text(out, "    while ((i < COMP_CWORD)); do\n        case ${COMP_WORDS[i]} in\n"
                  "        -s|--socket|--node) option=${COMP_WORDS[i]}\n"
                  "            [[ ${COMP_WORDS[i+1]} == = ]] && ((i++)) # bash takes --node=NAME for three words\n"
                  "            ((i + 1 < COMP_CWORD)) && ask+=(\"$option\" \"${COMP_WORDS[i+1]}\"); ((i++)) ;;\n"
                  "        --none");
    each_value(t, value_pattern, out);
    buf_text(out, ") [[ ${COMP_WORDS[i+1]} == = ]] && ((i++)); ((i++)) ;;\n        -*) ;;\n"
                  "        *) words+=\"${words:+ }${COMP_WORDS[i]}\" ;;\n        esac\n        ((i++))\n    done\n");
}

void manual_bash_text(const struct tree *t, struct buf *out)
{
    buf_printf(out,
               "# bash completion for %s, made by '%s completion bash'\n_%s() {\n"
               "    local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]}\n"
               "    local words= next= opts= files= names= ask=() i=1 name kind option\n"
               "    [[ $cur == = ]] && cur=\n    [[ $prev == = ]] && prev=${COMP_WORDS[COMP_CWORD-2]}\n"
               "    local typed=${cur//\\\\/}\n    typed=${typed#[\\\"\\']}\n    COMPREPLY=()\n",
               t->program, t->program, t->program);
    value_cases(t, out);
    words_loop(t, out);
    buf_text(out, "    if [[ -z $names ]]; then\n    case $words in\n    \"\") next=\"");
    next_words(t, "", 0, out);
    buf_text(out, "\" ;;\n    \"help\") next=\"");
    next_words(t, "", 0, out);
    buf_text(out, "\" ;;\n");
    group_cases(t, out);
    for (size_t i = 0; i < t->command_count; i++)
        command_case(&t->commands[i], out);
    buf_text(out, "    esac\n    fi\n    if [[ $cur == -* ]]; then\n        COMPREPLY=($(compgen -W \"$opts ");
    option_words(out, t->options);
    buf_printf(
        out,
        "\" -- \"$cur\"))\n    elif [[ -n $next ]]; then\n        COMPREPLY=($(compgen -W \"$next\" -- \"$cur\"))\n"
        "    elif [[ -n $names ]]; then\n"
        "        for kind in $names; do\n            while IFS= read -r name; do\n"
        "                [[ $name == \"$typed\"* ]] && COMPREPLY+=(\"$name\")\n"
        "            done < <(%s \"${ask[@]}\" names $kind -- \"$typed\" 2>/dev/null)\n        done\n"
        "    elif [[ -n $files ]]; then\n        mapfile -t COMPREPLY < <(compgen -f -- \"$cur\")\n    fi\n}\n"
        "complete -o filenames -F _%s %s\n",
        t->program, t->program, t->program);
}
