/* yaml_json: see the header. A stack of containers instead of recursion; the key of a map waits in its level. */
#include "cli/yaml_json.h"

#include <stdlib.h>
#include <yaml.h>

#define DEPTH_MAX 16

struct level {
    json_t *container; /* an object or an array; its parent owns it */
    char *key;         /* an object's key whose value comes next */
};

struct convert {
    json_t *root;
    struct level levels[DEPTH_MAX];
    size_t depth;
};

/* Puts a value where the next one belongs. Takes value, also when it fails. */
static enum err place(struct convert *c, json_t *value)
{
    if (value == NULL) return ERR_NOMEM;
    if (c->depth == 0) {
        if (c->root != NULL) {
            json_decref(value);
            return ERR_SYNTAX;
        }
        c->root = value;
        return ERR_OK;
    }
    struct level *top = &c->levels[c->depth - 1];
    if (json_is_array(top->container)) return json_array_append_new(top->container, value) == 0 ? ERR_OK : ERR_NOMEM;
    int failed = json_object_set_new(top->container, top->key, value);
    free(top->key);
    top->key = NULL;
    return failed == 0 ? ERR_OK : ERR_NOMEM;
}

static enum err open_level(struct convert *c, json_t *container)
{
    enum err e = place(c, container);
    if (e != ERR_OK) return e;
    if (c->depth == DEPTH_MAX) return ERR_LIMIT;
    c->levels[c->depth++] = (struct level){.container = container};
    return ERR_OK;
}

static enum err take_scalar(struct convert *c, const yaml_event_t *event)
{
    const char *text = (const char *)event->data.scalar.value;
    struct level *top = c->depth > 0 ? &c->levels[c->depth - 1] : NULL;
    if (top != NULL && json_is_object(top->container) && top->key == NULL) {
        top->key = strdup(text);
        return top->key != NULL ? ERR_OK : ERR_NOMEM;
    }
    return place(c, json_stringn(text, event->data.scalar.length));
}

static enum err take_event(struct convert *c, const yaml_event_t *event)
{
    bool no_key =
        c->depth > 0 && json_is_object(c->levels[c->depth - 1].container) && c->levels[c->depth - 1].key == NULL;
    switch (event->type) {
    case YAML_SCALAR_EVENT: return take_scalar(c, event);
    case YAML_MAPPING_START_EVENT: return no_key ? ERR_SYNTAX : open_level(c, json_object());
    case YAML_SEQUENCE_START_EVENT: return no_key ? ERR_SYNTAX : open_level(c, json_array());
    case YAML_MAPPING_END_EVENT:
    case YAML_SEQUENCE_END_EVENT: c->depth--; return ERR_OK;
    case YAML_ALIAS_EVENT: return ERR_SYNTAX;
    default: return ERR_OK;
    }
}

enum err yaml_to_json(struct slice yaml, json_t **out)
{
    struct convert c = {0};
    yaml_parser_t parser;
    enum err e = ERR_OK;
    bool done = false;
    if (yaml_parser_initialize(&parser) == 0) return ERR_NOMEM;
    yaml_parser_set_input_string(&parser, (const unsigned char *)yaml.p, yaml.n);
    while (e == ERR_OK && !done) {
        yaml_event_t event;
        if (yaml_parser_parse(&parser, &event) == 0) {
            e = parser.error == YAML_MEMORY_ERROR ? ERR_NOMEM : ERR_SYNTAX;
            break;
        }
        e = take_event(&c, &event);
        done = event.type == YAML_STREAM_END_EVENT;
        yaml_event_delete(&event);
    }
    yaml_parser_delete(&parser);
    for (size_t i = 0; i < DEPTH_MAX; i++)
        free(c.levels[i].key);
    if (e == ERR_OK && c.root == NULL) e = ERR_SYNTAX;
    if (e == ERR_OK)
        *out = c.root;
    else
        json_decref(c.root);
    return e;
}
