/* edit_options: the commands that edit one object, and what their options are called. Shared by edit.c and
 * edit_options.c alone. */
#ifndef TANDEM_CLI_EDIT_OPTIONS_H
#define TANDEM_CLI_EDIT_OPTIONS_H

#include "cli/edit.h"
#include "node/plan/edit.h"

#define EDIT_OPTION_MAX 64

enum edit_verb { EDIT_ADD, EDIT_SET, EDIT_REMOVE, EDIT_PASSWD };

struct edit_command {
    const char *name; /* "route add" */
    enum plan_kind kind;
    enum edit_verb verb;
};

/* NULL: no such command. */
const struct edit_command *edit_find(const char *name);
/* "register-user", "max-contacts", "password-file". */
void edit_option_name(const struct plan_field *f, char out[EDIT_OPTION_MAX]);
/* Whether the field says which object is meant, and not what it is like. */
bool edit_is_identity(const struct plan_field *f, enum plan_kind kind);

#endif
