/* tree: the parser. The words of a command are resolved one by one, each against the words that can stand at its place.
 */
#include "cli/tree.h"

#include <stdio.h>

#include "cli/text.h"

#define NAMES_MAX 64

struct parse {
    const struct tree *t;
    struct tree_match *m;
    struct err_info *info;
};

/* Names that can stand somewhere, each once, as strings for text_nearest. */
struct names {
    char text[NAMES_MAX][64];
    const char *list[NAMES_MAX];
    size_t count;
};

static void names_add(struct names *n, struct slice name)
{
    for (size_t i = 0; i < n->count; i++) {
        if (slice_is(name, n->list[i])) return;
    }
    if (n->count == NAMES_MAX || name.n >= sizeof n->text[0]) return;
    (void)snprintf(n->text[n->count], sizeof n->text[0], "%.*s", SLICE_ARG(name));
    n->list[n->count] = n->text[n->count];
    n->count++;
}

/* "a, b and c", as much of it as fits. */
static void names_join(const struct names *n, char *out, size_t size)
{
    size_t at = 0;
    out[0] = '\0';
    for (size_t i = 0; i < n->count && at < size; i++) {
        const char *sep = i == 0 ? "" : i + 1 == n->count ? " or " : ", ";
        int k = snprintf(out + at, size - at, "%s%s", sep, n->list[i]);
        at += k > 0 ? (size_t)k : 0;
    }
}

/* ---- words ---- */

struct slice tree_word(const struct tree_command *c, size_t k)
{
    struct slice rest = slice_of(c->name);
    struct slice word = SLICE_NONE;
    for (size_t i = 0; i <= k; i++) {
        rest = slice_cut(rest, ' ', &word);
        if (rest.p == NULL && i < k) return SLICE_NONE;
    }
    return word;
}

bool tree_under(const struct tree_command *c, const char *words)
{
    size_t n = strlen(words);
    return n == 0 || (strncmp(c->name, words, n) == 0 && (c->name[n] == '\0' || c->name[n] == ' '));
}

static size_t group_depth(const struct tree_match *m)
{
    size_t depth = m->group[0] != '\0';
    for (const char *p = m->group; *p != '\0'; p++)
        depth += *p == ' ';
    return depth;
}

/* The words that can follow what was resolved, all of them or those that begin with a text. */
static void words_after(const struct parse *p, struct slice begin, struct names *out)
{
    size_t depth = group_depth(p->m);
    out->count = 0;
    for (size_t i = 0; i < p->t->command_count; i++) {
        const struct tree_command *c = &p->t->commands[i];
        struct slice word = tree_word(c, depth);
        if (tree_under(c, p->m->group) && word.n > 0 && slice_starts(word, begin)) names_add(out, word);
    }
}

/* What an unknown word may have meant: a near one at its place, or the whole name of a command that ends like it. */
static enum err unknown_word(const struct parse *p, const char *word)
{
    struct names here;
    words_after(p, SLICE_NONE, &here);
    const char *near = text_nearest(word, here.list, here.count);
    if (near != NULL) {
        return err_fail(p->info, ERR_SYNTAX, "unknown command '%s%s%s': did you mean '%s%s%s'?", p->m->group,
                        p->m->group[0] != '\0' ? " " : "", word, p->m->group, p->m->group[0] != '\0' ? " " : "", near);
    }
    for (size_t i = 0; i < p->t->command_count; i++) {
        const struct tree_command *c = &p->t->commands[i];
        const char *space = strrchr(c->name, ' ');
        if (space != NULL && strcmp(space + 1, word) == 0) {
            return err_fail(p->info, ERR_SYNTAX, "unknown command '%s': did you mean '%s'?", word, c->name);
        }
    }
    return err_fail(p->info, ERR_SYNTAX, "unknown command '%s%s%s': see '%s help%s%s'", p->m->group,
                    p->m->group[0] != '\0' ? " " : "", word, p->t->program, p->m->group[0] != '\0' ? " " : "",
                    p->m->group);
}

static enum err take_word(const struct parse *p, const char *word)
{
    struct names fit;
    char text[256];
    size_t n = strlen(p->m->group);
    words_after(p, slice_of(word), &fit);
    if (fit.count == 0 || word[0] == '\0') return unknown_word(p, word);
    const char *full = fit.count == 1 ? fit.list[0] : NULL;
    for (size_t i = 0; i < fit.count; i++) {
        if (strcmp(fit.list[i], word) == 0) full = fit.list[i];
    }
    if (full == NULL) {
        names_join(&fit, text, sizeof text);
        return err_fail(p->info, ERR_SYNTAX, "'%s' is ambiguous: %s?", word, text);
    }
    (void)snprintf(p->m->group + n, sizeof p->m->group - n, "%s%s", n > 0 ? " " : "", full);
    for (size_t i = 0; i < p->t->command_count; i++) {
        if (strcmp(p->t->commands[i].name, p->m->group) == 0) p->m->command = &p->t->commands[i];
    }
    return ERR_OK;
}

static enum err take_arg(const struct parse *p, const char *text)
{
    const struct tree_arg *args = p->m->command->args;
    size_t k = 0;
    for (size_t i = 0; args != NULL && args[i].name != NULL; i++)
        k = args[i].many ? TREE_ARGS_MAX : i + 1;
    if (p->m->arg_count >= k) {
        return err_fail(p->info, ERR_SYNTAX, "'%s' takes no further argument: '%s' is one too many", p->m->group, text);
    }
    p->m->args[p->m->arg_count++] = text;
    return ERR_OK;
}

/* ---- options ---- */

/* Adds the options of a list that begin with a name; an exact one is returned. */
static const struct tree_option *options_like(const struct tree_option *list, struct slice name, struct names *fit,
                                              const struct tree_option **last)
{
    for (const struct tree_option *o = list; o != NULL && o->name != NULL; o++) {
        if (slice_is(name, o->name)) return o;
        if (!slice_starts(slice_of(o->name), name)) continue;
        names_add(fit, slice_of(o->name));
        *last = o;
    }
    return NULL;
}

static const struct tree_option *own_options(const struct parse *p)
{
    return p->m->command != NULL ? p->m->command->options : NULL;
}

/* The command that has an option of this name, when the present one has not. */
static const struct tree_command *owner_of(const struct parse *p, struct slice name)
{
    for (size_t i = 0; i < p->t->command_count; i++) {
        const struct tree_command *c = &p->t->commands[i];
        for (const struct tree_option *o = c->options; o != NULL && o->name != NULL; o++) {
            if (tree_under(c, p->m->group) && slice_is(name, o->name)) return c;
        }
    }
    return NULL;
}

static enum err unknown_option(const struct parse *p, struct slice name)
{
    struct names all = {.count = 0};
    char word[64];
    const struct tree_command *owner = p->m->command == NULL ? owner_of(p, name) : NULL;
    const struct tree_option *unused = NULL;
    if (owner != NULL) {
        return err_fail(p->info, ERR_SYNTAX, "--%.*s is an option of '%s': write it behind the command",
                        SLICE_ARG(name), owner->name);
    }
    (void)options_like(own_options(p), SLICE_NONE, &all, &unused);
    (void)options_like(p->t->options, SLICE_NONE, &all, &unused);
    (void)snprintf(word, sizeof word, "%.*s", SLICE_ARG(name));
    const char *near = text_nearest(word, all.list, all.count);
    if (near != NULL) {
        return err_fail(p->info, ERR_SYNTAX, "unknown option '--%s': did you mean '--%s'?", word, near);
    }
    return err_fail(p->info, ERR_SYNTAX, "unknown option '--%s': see '%s%s%s --help'", word, p->t->program,
                    p->m->group[0] != '\0' ? " " : "", p->m->group);
}

static enum err find_long(const struct parse *p, struct slice name, const struct tree_option **out)
{
    struct names fit = {.count = 0};
    const struct tree_option *last = NULL;
    char text[256];
    *out = options_like(own_options(p), name, &fit, &last);
    if (*out == NULL) *out = options_like(p->t->options, name, &fit, &last);
    if (*out == NULL && fit.count == 1) *out = last;
    if (*out != NULL) return ERR_OK;
    if (fit.count == 0 || name.n == 0) return unknown_option(p, name);
    names_join(&fit, text, sizeof text);
    return err_fail(p->info, ERR_SYNTAX, "option '--%.*s' is ambiguous: %s?", SLICE_ARG(name), text);
}

static const struct tree_option *find_letter(const struct tree_option *list, char letter)
{
    for (const struct tree_option *o = list; o != NULL && o->name != NULL; o++) {
        if (o->letter == letter) return o;
    }
    return NULL;
}

static enum err check_choice(const struct parse *p, const struct tree_option *o, const char *value)
{
    struct names all = {.count = 0};
    char text[256];
    for (size_t i = 0; i < TREE_CHOICES_MAX && o->choices[i] != NULL; i++) {
        if (strcmp(o->choices[i], value) == 0) return ERR_OK;
        names_add(&all, slice_of(o->choices[i]));
    }
    if (all.count == 0) return ERR_OK;
    names_join(&all, text, sizeof text);
    return err_fail(p->info, ERR_SYNTAX, "--%s %s: it can be %s", o->name, value, text);
}

static enum err take_value(const struct parse *p, const struct tree_option *o, const char *value)
{
    if (o->value != NULL && value == NULL) {
        return err_fail(p->info, ERR_SYNTAX, "--%s needs a value: --%s %s", o->name, o->name, o->value);
    }
    if (!o->repeated && tree_given(p->m, o->name) && o->value != NULL) {
        return err_fail(p->info, ERR_SYNTAX, "--%s is given twice", o->name);
    }
    if (p->m->value_count == TREE_VALUES_MAX) return err_fail(p->info, ERR_SYNTAX, "too many options");
    if (value != NULL) {
        enum err e = check_choice(p, o, value);
        if (e != ERR_OK) return e;
    }
    p->m->values[p->m->value_count++] = (struct tree_value){o, value};
    return ERR_OK;
}

/* --name, --name=value, --name value. *next is the following word, set to NULL when it was used. */
static enum err take_long(const struct parse *p, const char *text, const char **next)
{
    const struct tree_option *o = NULL;
    struct slice name;
    struct slice value = slice_cut(slice_of(text), '=', &name);
    enum err e = find_long(p, name, &o);
    if (e != ERR_OK) return e;
    if (o->value == NULL) {
        if (value.p != NULL) return err_fail(p->info, ERR_SYNTAX, "--%s takes no value", o->name);
        return take_value(p, o, NULL);
    }
    if (value.p != NULL) return take_value(p, o, value.p); /* the end of text, so it ends in NUL */
    const char *used = *next;
    *next = NULL;
    return take_value(p, o, used);
}

/* -o json, -ojson, -hV. */
static enum err take_letters(const struct parse *p, const char *text, const char **next)
{
    for (; *text != '\0'; text++) {
        const struct tree_option *o = find_letter(own_options(p), *text);
        if (o == NULL) o = find_letter(p->t->options, *text);
        if (o == NULL) {
            return err_fail(p->info, ERR_SYNTAX, "unknown option '-%c': see '%s%s%s --help'", *text, p->t->program,
                            p->m->group[0] != '\0' ? " " : "", p->m->group);
        }
        if (o->value != NULL) {
            const char *used = text[1] != '\0' ? text + 1 : *next;
            if (text[1] == '\0') *next = NULL;
            return take_value(p, o, used);
        }
        enum err e = take_value(p, o, NULL);
        if (e != ERR_OK) return e;
    }
    return ERR_OK;
}

/* ---- the whole line ---- */

static enum err check_complete(const struct parse *p)
{
    struct names words;
    char text[256];
    const struct tree_match *m = p->m;
    if (tree_given(m, "help") || tree_given(m, "version")) return ERR_OK;
    if (m->command == NULL && m->group[0] == '\0') {
        return err_fail(p->info, ERR_SYNTAX, "no command: see '%s help'", p->t->program);
    }
    if (m->command == NULL) {
        words_after(p, SLICE_NONE, &words);
        names_join(&words, text, sizeof text);
        return err_fail(p->info, ERR_SYNTAX, "'%s' what? %s", m->group, text);
    }
    const struct tree_arg *args = m->command->args;
    for (size_t i = 0; args != NULL && args[i].name != NULL; i++) {
        if (i >= m->arg_count && !args[i].optional) {
            return err_fail(p->info, ERR_SYNTAX, "'%s' needs %s: see '%s %s --help'", m->group, args[i].name,
                            p->t->program, m->group);
        }
    }
    return ERR_OK;
}

enum err tree_parse(const struct tree *t, int argc, char *const *argv, struct tree_match *m, struct err_info *info)
{
    struct parse p = {.t = t, .m = m, .info = info};
    bool options = true;
    *m = (struct tree_match){0};
    for (int i = 0; i < argc; i++) {
        const char *text = argv[i];
        const char *next = i + 1 < argc ? argv[i + 1] : NULL;
        const char *offered = next;
        enum err e = ERR_OK;
        if (options && strcmp(text, "--") == 0)
            options = false;
        else if (options && strncmp(text, "--", 2) == 0)
            e = take_long(&p, text + 2, &next);
        else if (options && text[0] == '-' && text[1] != '\0')
            e = take_letters(&p, text + 1, &next);
        else if (m->command == NULL)
            e = take_word(&p, text);
        else
            e = take_arg(&p, text);
        if (e != ERR_OK) return e;
        i += next != offered;
    }
    return check_complete(&p);
}

/* ---- what was given ---- */

const char *tree_value_at(const struct tree_match *m, const char *option, size_t k)
{
    for (size_t i = 0; i < m->value_count; i++) {
        if (strcmp(m->values[i].option->name, option) == 0 && k-- == 0) return m->values[i].value;
    }
    return NULL;
}

const char *tree_value(const struct tree_match *m, const char *option)
{
    return tree_value_at(m, option, 0);
}

bool tree_given(const struct tree_match *m, const char *option)
{
    for (size_t i = 0; i < m->value_count; i++) {
        if (strcmp(m->values[i].option->name, option) == 0) return true;
    }
    return false;
}

const char *tree_arg(const struct tree_match *m, size_t k)
{
    return k < m->arg_count ? m->args[k] : NULL;
}
