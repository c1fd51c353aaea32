/* edit_options: from the fields of a kind of object to the options of a command, and back. */
#include "cli/edit_options.h"

/* What every change takes. The same words as in the table of commands, for the same things. */
static const struct tree_option common[] = {
    {.name = "message",
     .letter = 'm',
     .value = "MESSAGE",
     .help = "why, for the plan's history; the command itself "
             "without it"},
    {.name = "allow",
     .value = "WARNING|all",
     .repeated = true,
     .help = "accept warnings of this name, as the findings show it; may be given several times"},
    {.name = "dry-run", .help = "say what would be done, and do nothing"},
    {.name = "effect", .help = "say also which calls of the last day would have gone elsewhere"},
    {.name = "confirm-within",
     .value = "TIME",
     .help = "undo the change everywhere, unless 'plan confirm' comes within this time: 90s, 5m"},
    {.name = "wait",
     .value = "live|all|N",
     .help = "whose receipt to wait for: every node that is alive (the default), every member, or N nodes"},
    {.name = "timeout", .value = "TIME", .help = "how long to wait for receipts: 5s, 1m"},
};
#define COMMON_COUNT (sizeof common / sizeof common[0])

static const struct edit_command edit_commands[] = {
    {"route add", PLAN_ROUTE, EDIT_ADD},
    {"route set", PLAN_ROUTE, EDIT_SET},
    {"route remove", PLAN_ROUTE, EDIT_REMOVE},
    {"site add", PLAN_SITE, EDIT_ADD},
    {"site set", PLAN_SITE, EDIT_SET},
    {"site remove", PLAN_SITE, EDIT_REMOVE},
    {"trunk add", PLAN_TRUNK, EDIT_ADD},
    {"trunk set", PLAN_TRUNK, EDIT_SET},
    {"trunk remove", PLAN_TRUNK, EDIT_REMOVE},
    {"account add", PLAN_ACCOUNT, EDIT_ADD},
    {"account set", PLAN_ACCOUNT, EDIT_SET},
    {"account passwd", PLAN_ACCOUNT, EDIT_PASSWD},
    {"account remove", PLAN_ACCOUNT, EDIT_REMOVE},
};

const struct edit_command *edit_find(const char *name)
{
    for (size_t i = 0; i < sizeof edit_commands / sizeof edit_commands[0]; i++) {
        if (strcmp(edit_commands[i].name, name) == 0) return &edit_commands[i];
    }
    return NULL;
}

bool edit_is_command(const char *name)
{
    return edit_find(name) != NULL;
}

bool edit_is_identity(const struct plan_field *f, enum plan_kind kind)
{
    return kind == PLAN_ROUTE && (strcmp(f->name, "to") == 0 || strcmp(f->name, "scope") == 0);
}

/* Whether the field is an option of the command. match is the argument. */
static bool offered(const struct edit_command *cmd, const struct plan_field *f)
{
    if (cmd->kind == PLAN_ROUTE && strcmp(f->name, "match") == 0) return false;
    switch (cmd->verb) {
    case EDIT_ADD:
    case EDIT_SET: return true;
    case EDIT_PASSWD: return f->form == PLAN_FIELD_SECRET;
    case EDIT_REMOVE: break;
    }
    return edit_is_identity(f, cmd->kind);
}

void edit_option_name(const struct plan_field *f, char out[EDIT_OPTION_MAX])
{
    (void)snprintf(out, EDIT_OPTION_MAX, "%s%s%s%s", f->group != NULL ? f->group : "", f->group != NULL ? "-" : "",
                   f->name, f->form == PLAN_FIELD_SECRET ? "-file" : "");
    for (char *p = out; *p != '\0'; p++)
        *p = (char)(*p == '_' ? '-' : *p);
}

static void set_choices(struct tree_option *o, const char *const *words)
{
    for (size_t i = 0; i + 1 < TREE_CHOICES_MAX && words[i] != NULL; i++)
        o->choices[i] = words[i];
}

/* "udp|tcp|tls" */
static const char *join_words(struct arena *arena, const char *const *words)
{
    const char *all = words[0];
    for (size_t i = 1; all != NULL && words[i] != NULL; i++)
        all = arena_printf(arena, "%s|%s", all, words[i]);
    return all;
}

static enum err make_option(struct arena *arena, const struct plan_field *f, struct tree_option *o)
{
    static const char *const yes_no[] = {"yes", "no", NULL};
    static const char *const none[] = {"none", NULL};
    char name[EDIT_OPTION_MAX];
    const char *help = f->help != NULL ? f->help : "";
    edit_option_name(f, name);
    *o = (struct tree_option){.name = arena_printf(arena, "%s", name), .value = f->value, .help = help};
    switch (f->form) {
    case PLAN_FIELD_VALUE: break;
    case PLAN_FIELD_LIST:
        o->value = arena_printf(arena, "%s,...", f->value);
        o->repeated = true;
        break;
    case PLAN_FIELD_FLAG:
        o->value = "yes|no";
        set_choices(o, yes_no);
        break;
    case PLAN_FIELD_WORD:
        o->value = join_words(arena, f->words);
        set_choices(o, f->words);
        break;
    case PLAN_FIELD_RULES: o->help = arena_printf(arena, "%s; such as '%s'", help, f->example); break;
    case PLAN_FIELD_SECRET:
        o->value = "FILE";
        o->help = arena_printf(arena, "%s: the first line of FILE, - for standard input", help);
        break;
    case PLAN_FIELD_GROUP: set_choices(o, none); break;
    }
    return o->name != NULL && o->value != NULL && o->help != NULL ? ERR_OK : ERR_NOMEM;
}

enum err edit_options(struct arena *arena, const char *name, const struct tree_option **out)
{
    const struct edit_command *cmd = edit_find(name);
    struct plan_field f;
    size_t n = 0;
    size_t fields = 0;
    ASSERT(cmd != NULL);
    while (plan_field_at(cmd->kind, fields, &f))
        fields++;
    struct tree_option *list = arena_alloc(arena, (fields + COMMON_COUNT + 1) * sizeof *list);
    if (list == NULL) return ERR_NOMEM;
    for (size_t k = 0; k < fields; k++) {
        if (!plan_field_at(cmd->kind, k, &f) || !offered(cmd, &f)) continue;
        enum err e = make_option(arena, &f, &list[n++]);
        if (e != ERR_OK) return e;
    }
    memcpy(list + n, common, sizeof common); /* a zeroed one ends the list */
    *out = list;
    return ERR_OK;
}
