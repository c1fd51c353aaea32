/* edit: see the header. The object is fetched, changed by the schema, and sent whole, as "plan apply" would, on the
 * condition that the plan is still the one that it was fetched from; if not, all of it is done again. */
#include "cli/edit.h"

#include "cli/edit_options.h"
#include "cli/password.h"
#include "cli/plan_run.h"
#include "cli/plan_stored.h"

#define TRIES 4         /* a plan that moves more often while we look is no accident */
#define MESSAGE_MAX 200 /* of one that is made from the command */

struct edit {
    struct cli *c;
    const struct tree_match *m;
    const struct edit_command *cmd;
    struct plan_run run;
    struct plan_stored stored; /* of the present try */
    struct arena arena;
    struct slice *texts; /* by field: what was given for it; p NULL: nothing */
    size_t field_count;
    size_t given_count; /* fields that are no identity */
    bool has_secret;
};

static const char *subject(const struct edit *ed)
{
    return tree_arg(ed->m, 0);
}

/* ---- what was given ---- */

/* The values of a repeated option as one list. */
static struct slice join_values(struct edit *ed, const char *option)
{
    struct buf all = {0};
    for (size_t k = 0; tree_value_at(ed->m, option, k) != NULL; k++)
        buf_printf(&all, "%s%s", k > 0 ? "," : "", tree_value_at(ed->m, option, k));
    struct slice text = all.failed ? SLICE_NONE : arena_copy(&ed->arena, buf_view(&all));
    buf_fini(&all);
    return text;
}

static int read_text(struct edit *ed, size_t k, const struct plan_field *f)
{
    char option[EDIT_OPTION_MAX];
    edit_option_name(f, option);
    if (!tree_given(ed->m, option)) return CLI_DONE;
    ed->given_count += !edit_is_identity(f, ed->cmd->kind);
    if (f->form == PLAN_FIELD_SECRET) {
        ed->has_secret = true;
        return password_read_file(ed->c, tree_value(ed->m, option), &ed->arena, &ed->texts[k]);
    }
    ed->texts[k] = f->form == PLAN_FIELD_LIST ? join_values(ed, option) : slice_of(tree_value(ed->m, option));
    return ed->texts[k].p != NULL ? CLI_DONE : cli_fail_err(ed->c, ERR_NOMEM, NULL);
}

static int read_texts(struct edit *ed)
{
    struct plan_field f;
    int status = CLI_DONE;
    while (plan_field_at(ed->cmd->kind, ed->field_count, &f))
        ed->field_count++;
    ed->texts = arena_alloc(&ed->arena, ed->field_count * sizeof *ed->texts);
    if (ed->texts == NULL) return cli_fail_err(ed->c, ERR_NOMEM, NULL);
    for (size_t k = 0; status == CLI_DONE && plan_field_at(ed->cmd->kind, k, &f); k++) {
        status = read_text(ed, k, &f);
        if (ed->cmd->kind == PLAN_ROUTE && strcmp(f.name, "match") == 0) ed->texts[k] = slice_of(subject(ed));
    }
    return status;
}

/* What the command cannot do without, said in terms of its options. */
static int check_given(const struct edit *ed)
{
    struct plan_field f;
    if (ed->cmd->verb == EDIT_SET && ed->given_count == 0) {
        return cli_fail(ed->c, CLI_USAGE, "say what to change: see 'clusterctl %s --help'", ed->cmd->name);
    }
    for (size_t k = 0; ed->cmd->verb == EDIT_ADD && plan_field_at(ed->cmd->kind, k, &f); k++) {
        char option[EDIT_OPTION_MAX];
        if (!f.required || f.group != NULL || ed->texts[k].p != NULL) continue;
        edit_option_name(&f, option);
        return cli_fail(ed->c, CLI_USAGE, "'%s' needs --%s %s: %s", ed->cmd->name, option, f.value, f.help);
    }
    return CLI_DONE;
}

static void wipe_secrets(struct edit *ed)
{
    struct plan_field f;
    for (size_t k = 0; ed->texts != NULL && plan_field_at(ed->cmd->kind, k, &f); k++) {
        if (f.form == PLAN_FIELD_SECRET && ed->texts[k].n > 0)
            secret_wipe((char *)(uintptr_t)ed->texts[k].p, ed->texts[k].n);
    }
}

/* An account is nothing without a password, so that one is asked for. */
static int need_secret(struct edit *ed)
{
    struct plan_field f;
    char whose[LIMIT_NAME + 16];
    bool needed = ed->cmd->kind == PLAN_ACCOUNT && (ed->cmd->verb == EDIT_ADD || ed->cmd->verb == EDIT_PASSWD);
    if (!needed || ed->has_secret) return CLI_DONE;
    if (!password_can_ask(ed->c)) {
        return cli_fail(ed->c, CLI_USAGE,
                        "nobody can be asked for the password here: give --password-file FILE, - for standard input");
    }
    (void)snprintf(whose, sizeof whose, "account %s", subject(ed));
    for (size_t k = 0; plan_field_at(ed->cmd->kind, k, &f); k++) {
        if (f.form != PLAN_FIELD_SECRET || f.group != NULL) continue;
        ed->has_secret = true;
        return password_ask(ed->c, whose, &ed->arena, &ed->texts[k]);
    }
    return CLI_DONE;
}

/* "trunk set pbx --probe 10s": the reason, when nobody gave one. Files of passwords are named, not shown. */
static const char *own_message(struct edit *ed)
{
    struct buf text = {0};
    struct plan_field f;
    buf_printf(&text, "%s %s", ed->cmd->name, subject(ed));
    for (size_t k = 0; plan_field_at(ed->cmd->kind, k, &f); k++) {
        char option[EDIT_OPTION_MAX];
        edit_option_name(&f, option);
        if (!tree_given(ed->m, option)) continue;
        struct slice value = f.form == PLAN_FIELD_SECRET ? SLICE("...") : ed->texts[k];
        bool quotes = value.n == 0 || memchr(value.p, ' ', value.n) != NULL;
        buf_printf(&text, quotes ? " --%s '%.*s'" : " --%s %.*s", option, SLICE_ARG(value));
    }
    if (text.n > MESSAGE_MAX) text.n = MESSAGE_MAX;
    const char *message = text.failed ? NULL : arena_printf(&ed->arena, "%.*s", SLICE_ARG(buf_view(&text)));
    buf_fini(&text);
    return message;
}

/* ---- which object ---- */

/* Fills what makes the identity. The target of a route may be left open: kind PLAN_TO_REJECT with code 0. */
static int read_identity(struct edit *ed, struct plan_object *o)
{
    struct plan_field f;
    struct err_info info = {0};
    struct slice name = slice_of(subject(ed));
    plan_object_init(o, ed->cmd->kind);
    if (ed->cmd->kind != PLAN_ROUTE) {
        if (!plan_name_valid(name)) {
            return cli_fail(ed->c, CLI_USAGE, "'%s' is no name: use 1 to %d letters, digits, '.', '_' and '-'",
                            subject(ed), LIMIT_NAME);
        }
        switch (ed->cmd->kind) {
        case PLAN_SITE: o->site.name = name; break;
        case PLAN_TRUNK: o->trunk.name = name; break;
        default: o->account.name = name; break;
        }
        return CLI_DONE;
    }
    o->route.target.kind = PLAN_TO_REJECT;
    for (size_t k = 0; plan_field_at(PLAN_ROUTE, k, &f); k++) {
        bool identity = edit_is_identity(&f, PLAN_ROUTE) || strcmp(f.name, "match") == 0;
        if (!identity || ed->texts[k].p == NULL) continue;
        if (plan_field_set(&ed->arena, o, k, ed->texts[k], &info) != ERR_OK)
            return cli_fail(ed->c, CLI_USAGE, "%s", info.text);
    }
    return CLI_DONE;
}

static bool target_open(const struct plan_object *o)
{
    return o->kind == PLAN_ROUTE && o->route.target.kind == PLAN_TO_REJECT && o->route.target.code == 0;
}

/* Asks the node for everything that may be meant. */
static int fetch(struct edit *ed, const struct plan_object *wanted)
{
    char prefix[PLAN_KEY_MAX];
    if (wanted->kind == PLAN_ROUTE) {
        (void)snprintf(prefix, sizeof prefix, "route/%.*s/%.*s/", SLICE_ARG(wanted->route.scope),
                       SLICE_ARG(wanted->route.match));
    } else {
        prefix[plan_object_key_text(wanted, prefix)] = '\0';
    }
    return plan_stored_fetch(ed->c, prefix, &ed->stored);
}

/* The only route with that match and scope. */
static int find_only(struct edit *ed, const struct plan_object **out)
{
    struct buf list = {0};
    int status = CLI_DONE;
    if (ed->stored.count == 1) {
        *out = ed->stored.objects[0];
        return CLI_DONE;
    }
    for (size_t i = 0; i < ed->stored.count && i < 8; i++) {
        buf_text(&list, i > 0 ? ", " : "");
        plan_target_text(&ed->stored.objects[i]->route.target, &list);
    }
    if (ed->stored.count > 0) {
        status = cli_fail(ed->c, CLI_USAGE, "there are %zu routes for %s: say which with --to: %.*s", ed->stored.count,
                          subject(ed), SLICE_ARG(buf_view(&list)));
    }
    buf_fini(&list);
    return status;
}

/* *out: the stored object that is meant, NULL when a new one is made. */
static int find(struct edit *ed, const struct plan_object *wanted, const struct plan_object **out)
{
    char key[PLAN_KEY_MAX];
    const char *kind = plan_kind_name(ed->cmd->kind);
    struct slice k = {key, plan_object_key_text(wanted, key)};
    int status = CLI_DONE;
    *out = NULL;
    if (target_open(wanted))
        status = find_only(ed, out);
    else
        *out = plan_stored_find(&ed->stored, k, NULL);
    if (status != CLI_DONE) return status;
    if (ed->cmd->verb == EDIT_ADD && *out != NULL) {
        return cli_fail(ed->c, CLI_REFUSED, "%.*s is there already: '%s set' changes it", SLICE_ARG(k), kind);
    }
    if (ed->cmd->verb == EDIT_ADD || *out != NULL) return CLI_DONE;
    if (wanted->kind != PLAN_ROUTE)
        return cli_fail(ed->c, CLI_REFUSED, "there is no %s %s: 'plan show %s/' lists them", kind, subject(ed), kind);
    return cli_fail(ed->c, CLI_REFUSED, "there is no route for %s%s%.*s%s: 'plan show route/' lists them", subject(ed),
                    wanted->route.scope.n > 0 ? " with the scope " : "", SLICE_ARG(wanted->route.scope),
                    target_open(wanted) ? "" : " to that target");
}

/* ---- the change ---- */

static int change_fields(struct edit *ed, struct plan_object *o)
{
    struct err_info info = {0};
    enum err e = ERR_OK;
    for (size_t k = 0; e == ERR_OK && k < ed->field_count; k++) {
        if (ed->texts[k].p != NULL) e = plan_field_set(&ed->run.file.arena, o, k, ed->texts[k], &info);
    }
    if (e == ERR_OK) e = plan_object_validate(o, &info);
    if (e == ERR_OK) return CLI_DONE;
    return cli_fail(ed->c, e == ERR_NOMEM ? CLI_REFUSED : CLI_USAGE, "%s",
                    info.text[0] != '\0' ? info.text : err_name(e));
}

/* Puts the change into the run's file: one object, or one key to remove. */
static int make_file(struct edit *ed, const struct plan_object *wanted, const struct plan_object *stored)
{
    struct plan_file *f = &ed->run.file;
    char text[PLAN_KEY_MAX];
    struct plan_object *o = arena_alloc(&f->arena, sizeof *o);
    struct slice *key = arena_alloc(&f->arena, sizeof *key);
    struct plan_place *place = arena_alloc(&f->arena, sizeof *place);
    bool removal = ed->cmd->verb == EDIT_REMOVE;
    if (o == NULL || key == NULL || place == NULL) return cli_fail_err(ed->c, ERR_NOMEM, NULL);
    *o = stored != NULL ? *stored : *wanted;
    if (!removal) {
        int status = change_fields(ed, o);
        if (status != CLI_DONE) return status;
    }
    *key = arena_copy(&f->arena, (struct slice){text, plan_object_key_text(o, text)});
    if (key->p == NULL || plan_file_take(f, o, !removal, key, place, removal, slice_of(ed->stored.digest)) != ERR_OK) {
        return cli_fail_err(ed->c, ERR_NOMEM, NULL);
    }
    return CLI_DONE;
}

static int try_once(struct edit *ed, const struct plan_object *wanted, const struct plan_send_options *o)
{
    const struct plan_object *stored = NULL;
    if (plan_stored_init(&ed->stored) != ERR_OK) return cli_fail_err(ed->c, ERR_NOMEM, NULL);
    int status = fetch(ed, wanted);
    if (status == CLI_DONE) status = find(ed, wanted, &stored);
    if (status == CLI_DONE) status = need_secret(ed);
    if (status == CLI_DONE) status = make_file(ed, wanted, stored);
    if (status == CLI_DONE) status = plan_send(&ed->run, ed->m, o);
    plan_file_fini(&ed->run.file);
    plan_stored_fini(&ed->stored);
    return status;
}

static int run(struct edit *ed, struct plan_send_options *o)
{
    struct plan_object wanted;
    int status = read_texts(ed);
    if (status == CLI_DONE) status = check_given(ed);
    if (status == CLI_DONE) status = read_identity(ed, &wanted);
    if (status == CLI_DONE && !tree_given(ed->m, "message")) o->message = own_message(ed);
    for (unsigned i = 1; status == CLI_DONE; i++) {
        ed->run.moved = false;
        o->try_again = i < TRIES;
        status = try_once(ed, &wanted, o);
        if (!ed->run.moved || i == TRIES) break;
        status = CLI_DONE;
    }
    return status;
}

/* What a new object cannot but be: nothing can lead to it before it is there. Shown, but in nobody's way. */
static const char *expected_warning(const struct edit_command *cmd)
{
    if (cmd->verb != EDIT_ADD) return NULL;
    return cmd->kind == PLAN_TRUNK ? "unused-trunk" : cmd->kind == PLAN_ACCOUNT ? "unused-account" : NULL;
}

int edit_run(struct cli *c, const struct tree_match *m)
{
    struct edit ed = {.c = c, .m = m, .cmd = edit_find(m->command->name)};
    struct plan_send_options o = {.command = "plan apply", .message = m->command->name};
    o.allow = expected_warning(ed.cmd);
    int status = plan_send_options_read(c, m, &o);
    if (status != CLI_DONE) return status;
    status = plan_run_open(&ed.run, c);
    if (status == CLI_DONE) status = run(&ed, &o);
    status = plan_run_close(&ed.run, status);
    wipe_secrets(&ed);
    arena_fini(&ed.arena);
    return status;
}
