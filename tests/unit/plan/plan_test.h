/* plan_test: a plan from a text in a test, in one line. Include cmocka first. */
#ifndef TANDEM_TESTS_PLAN_TEST_H
#define TANDEM_TESTS_PLAN_TEST_H

#include <stdio.h>
#include <stdlib.h>

#include "node/plan/document.h"

/* Parses; prints the error and fails the test when it does not. */
static inline struct plan_document test_parse(struct arena *arena, struct slice yaml)
{
    struct plan_document doc = {0};
    struct err_info info = {.text = ""};
    enum err e = plan_document_parse(arena, yaml, &doc, &info);
    if (e != ERR_OK) (void)fprintf(stderr, "%u:%u %s\n", info.line, info.column, info.text);
    assert_int_equal(e, ERR_OK);
    return doc;
}

/* Pointers to the objects, in the arena. */
static inline const struct plan_object **test_objects(struct arena *arena, const struct plan_document *doc)
{
    const struct plan_object **list = arena_alloc(arena, (doc->object_count + 1) * sizeof *list);
    assert_non_null(list);
    for (size_t i = 0; i < doc->object_count; i++)
        list[i] = &doc->objects[i];
    return list;
}

#endif
