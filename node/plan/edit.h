/* edit: the fields of an object one by one, by name, as options of a command set them. The list of fields is the
 * schema's; fields that stand in a mapping of their own ("register:") are listed one by one behind it.
 *
 * Names, match, target and scope, which make an object's identity, are fields like the others: who edits a stored
 * object leaves them alone. Whether the edited object stands up says plan_object_validate. */
#ifndef TANDEM_PLAN_EDIT_H
#define TANDEM_PLAN_EDIT_H

#include "node/plan/object.h"

enum plan_field_form {
    PLAN_FIELD_VALUE,
    PLAN_FIELD_LIST,   /* several values */
    PLAN_FIELD_FLAG,   /* yes or no */
    PLAN_FIELD_WORD,   /* one of words */
    PLAN_FIELD_RULES,  /* structs: YAML in one line */
    PLAN_FIELD_SECRET, /* a password: never on a command line */
    PLAN_FIELD_GROUP,  /* a mapping whose fields follow; "none" takes it away */
};

/* Everything points into static storage. */
struct plan_field {
    const char *group; /* the key of the mapping that it stands in, NULL: none */
    const char *name;  /* its key there */
    const char *value; /* what a value is called: "SITE"; NULL for a flag */
    const char *help;
    const char *example;
    const char *const *words; /* of PLAN_FIELD_WORD, NULL-terminated */
    enum plan_field_form form;
    bool required; /* a new object needs it */
};

/* The k-th field of a kind; false behind the last. */
bool plan_field_at(enum plan_kind kind, size_t k, struct plan_field *out);

/* Gives the k-th field of o the value in text, "" the default. Texts are copied into arena. A password takes the place
 * of what is stored. ERR_SYNTAX, ERR_LIMIT (info: which key, what is wrong, a right value), ERR_NOMEM; o is then of no
 * further use. */
MUST_CHECK enum err plan_field_set(struct arena *arena, struct plan_object *o, size_t k, struct slice text,
                                   struct err_info *info);

#endif
