#include "commands_kit.h"

void open_node(struct kit *k)
{
    kit_init(k, NULL);
    kit_start(k);
}

void apply(struct client *c, struct kit *k, const char *command, const char *yaml, ...)
{
    struct control_builder b;
    va_list ap;
    *c = (struct client){.kit = k};
    control_record_start(&b, &c->arena, "");
    args_document(c, &b, yaml);
    control_text(&b, "message", SLICE("because"));
    va_start(ap, yaml);
    for (const char *name = va_arg(ap, const char *); name != NULL; name = va_arg(ap, const char *))
        control_text(&b, name, slice_of(va_arg(ap, const char *)));
    va_end(ap);
    client_ask(c, k, command, "", &b);
}

void apply_ok(struct kit *k, const char *yaml)
{
    struct client c;
    apply(&c, k, "plan apply", yaml, "allow", "all", NULL);
    if (c.status != 0) fail_msg("%d %s", c.status, c.text);
    client_close(&c);
}

void ask(struct client *c, struct kit *k, const char *command, const char *name, const char *value)
{
    struct control_builder b;
    *c = (struct client){.kit = k};
    control_record_start(&b, &c->arena, "");
    if (name != NULL) control_text(&b, name, slice_of(value));
    client_ask(c, k, command, "", &b);
}

void plan_digest_of(struct kit *k, char out[PLAN_DIGEST_TEXT])
{
    struct client c;
    ask(&c, k, "status", NULL, NULL);
    (void)snprintf(out, PLAN_DIGEST_TEXT, "%s", field_text(&c, client_record(&c, "status", 0), "plan_digest"));
    client_close(&c);
}

void big_plan(struct kit *k, size_t routes)
{
    char *yaml = malloc(routes * 160 + 1000);
    size_t at = (size_t)sprintf(yaml, PLAN);
    for (size_t i = 0; i < routes; i++)
        at += (size_t)sprintf(yaml + at, "  - { match: \"62%06zu\", to: trunk/pbx, note: \"%0100d\" }\n", i, 0);
    kit_plan(k, yaml);
    free(yaml);
}
