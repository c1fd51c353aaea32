/* yaml_json: a YAML document that we wrote ourselves as JSON: the same maps and lists, every scalar a string. */
#ifndef TANDEM_CLI_YAML_JSON_H
#define TANDEM_CLI_YAML_JSON_H

#include <jansson.h>

#include "node/base/bytes.h"

/* One document without anchors, at most 16 deep. ERR_SYNTAX, ERR_LIMIT, ERR_NOMEM. The caller releases *out. */
MUST_CHECK enum err yaml_to_json(struct slice yaml, json_t **out);

#endif
