/* document_read: the sections of the plan document, and what must hold across its objects: each key once.
 *
 * Time is linear in the document: duplicates are found by a hash table whose seed depends on the whole text, so that
 * nobody can write a document of colliding keys. */
#include "node/plan/document.h"

#include <stdio.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "node/base/map.h"
#include "node/plan/document_fields.h"
#include "node/plan/text.h"

#define DOCUMENT_MAX (UINT64_C(1) << 30)
#define CHUNK_OBJECTS 512

/* An object or a removal, and its place in the table of keys. */
struct entry {
    struct map_node node;
    struct plan_object object;
    struct slice removed; /* the key, when it is a removal */
};

struct chunk {
    struct chunk *next;
    size_t used;
    struct entry entries[CHUNK_OBJECTS];
};

struct reader {
    struct field_reader fields;
    struct arena scratch; /* chunks */
    struct chunk *first;
    struct chunk *last;
    struct map keys;
    const struct plan_document_stream *stream; /* that takes the routes; NULL: they are kept */
    struct arena passing;                      /* of a route on its way to it */
    struct entry route;
    struct yaml_node begin; /* of the object being read: its name, or its "{" */
    size_t object_count;
    size_t remove_count;
};

static enum err no_memory(struct reader *r)
{
    return err_fail(r->fields.info, ERR_NOMEM, "no memory to read the document");
}

/* ---- entries ---- */

static struct entry *entry_new(struct reader *r)
{
    if (r->last == NULL || r->last->used == CHUNK_OBJECTS) {
        struct chunk *c = arena_alloc(&r->scratch, sizeof *c);
        if (c == NULL) return NULL;
        if (r->last != NULL) r->last->next = c;
        if (r->first == NULL) r->first = c;
        r->last = c;
    }
    return &r->last->entries[r->last->used++];
}

static enum err begin_object(struct reader *r, enum plan_kind kind, const struct yaml_node *begin, struct entry **out)
{
    bool passes = kind == PLAN_ROUTE && r->stream != NULL;
    struct entry *e = passes ? &r->route : entry_new(r);
    if (e == NULL) return no_memory(r);
    r->begin = *begin;
    *e = (struct entry){.object = {.kind = kind, .line = begin->line, .column = begin->column}};
    *out = e;
    return ERR_OK;
}

static bool same_key(const struct entry *a, struct slice key_a, const struct entry *b)
{
    char key_b[PLAN_KEY_MAX];
    if (a->removed.p == NULL && b->removed.p == NULL) return plan_object_same(&a->object, &b->object);
    if (b->removed.p != NULL) return slice_eq(key_a, b->removed);
    return slice_eq(key_a, (struct slice){key_b, plan_object_key_text(&b->object, key_b)});
}

/* Enters the key of e; the second of two equal ones is the error. */
static enum err enter_key(struct reader *r, struct entry *e)
{
    char text[PLAN_KEY_MAX];
    struct slice key = e->removed;
    if (key.p == NULL) key = (struct slice){text, plan_object_key_text(&e->object, text)};
    uint64_t hash = map_hash(&r->keys, key);
    for (struct map_node *n = map_first(&r->keys, hash); n != NULL; n = map_next(n)) {
        const struct entry *other = (const struct entry *)(const void *)n;
        if (!same_key(e, key, other)) continue;
        bool both = (e->removed.p != NULL) == (other->removed.p != NULL);
        return err_fail_at(r->fields.info, ERR_SYNTAX, r->begin.line, r->begin.column,
                           "%.*s is %s line %u; keep one of them", SLICE_ARG(key),
                           both ? "already in" : "both described and removed: see", other->object.line);
    }
    map_insert(&r->keys, &e->node, hash);
    return ERR_OK;
}

static enum err count_entry(struct reader *r, size_t *counter, const struct yaml_node *at)
{
    if (r->object_count + r->remove_count == LIMIT_CHANGE_OPS) {
        r->fields.cursor.ended = true;
        return fields_fail(&r->fields, at, ERR_LIMIT, "a document has at most %d objects; split it", LIMIT_CHANGE_OPS);
    }
    ++*counter;
    return ERR_OK;
}

/* Reads the mapping of an object whose kind and name are set, and takes it in, unless faults were found in it. */
static enum err read_object(struct reader *r, struct entry *e, const struct yaml_node *at)
{
    struct err_info detail = {.text = ""};
    const size_t faults = fields_fault_count(&r->fields);
    r->fields.field = NULL;
    if (at->kind != NODE_MAP && !node_is_empty(at)) {
        return fields_fail(&r->fields, at, ERR_SYNTAX, "a mapping of settings is wanted here, like { key: value }");
    }
    enum err err = fields_read(&r->fields, schema_of(e->object.kind), schema_base(&e->object), at);
    if (err != ERR_OK || fields_fault_count(&r->fields) > faults) return err;
    err = plan_object_validate(&e->object, &detail);
    if (err != ERR_OK) return err_fail_at(r->fields.info, err, e->object.line, r->begin.column, "%s", detail.text);
    if (e == &r->route) return r->stream->take(r->stream->ctx, &e->object);
    err = enter_key(r, e);
    return err == ERR_OK ? count_entry(r, &r->object_count, at) : err;
}

/* ---- sections ---- */

struct section;
typedef enum err section_fn(struct reader *r, const struct section *s, const struct yaml_node *at);
struct section {
    const char *name; /* first: fields_unknown_key reads it */
    section_fn *read;
    enum plan_kind kind;
};

static enum err read_version(struct reader *r, const struct section *s, const struct yaml_node *at)
{
    char shown[TEXT_SHOWN];
    (void)s;
    if (at->kind == NODE_SCALAR && slice_is(at->text, "1")) return ERR_OK;
    if (at->kind != NODE_SCALAR)
        return fields_fail(&r->fields, at, ERR_SYNTAX, "the format's version is wanted here; write plan: 1");
    r->fields.cursor.ended = true; /* the rest would be judged by another format */
    return fields_fail(&r->fields, at, ERR_VERSION, "format %s is not known; this version reads plan: 1",
                       text_shown(at->text, shown));
}

static enum err read_defaults(struct reader *r, const struct section *s, const struct yaml_node *at)
{
    struct entry *e = NULL;
    enum err err = begin_object(r, s->kind, at, &e);
    (void)snprintf(r->fields.what, sizeof r->fields.what, "defaults");
    return err == ERR_OK ? read_object(r, e, at) : err;
}

/* name: { settings } for sites, trunks and accounts. */
static enum err read_named(struct reader *r, const struct section *s, const struct yaml_node *at)
{
    char shown[TEXT_SHOWN];
    struct yaml_node key;
    struct yaml_node value;
    struct entry *e = NULL;
    const unsigned depth = r->fields.cursor.depth;
    if (node_is_empty(at)) return ERR_OK;
    if (at->kind != NODE_MAP) {
        return fields_fail(&r->fields, at, ERR_SYNTAX, "names with their settings are wanted here, like NAME: { ... }");
    }
    for (;;) {
        (void)snprintf(r->fields.what, sizeof r->fields.what, "%s", s->name);
        enum err err = cursor_next(&r->fields.cursor, &key);
        if (err != ERR_OK || key.kind == NODE_END) return err;
        if (key.kind != NODE_SCALAR || !plan_name_valid(key.text)) {
            err = fields_fail(&r->fields, &key, ERR_SYNTAX,
                              "%s is no name; use 1 to %d letters, digits, '.', '_' and '-'",
                              key.kind == NODE_SCALAR ? text_shown(key.text, shown) : "this", LIMIT_NAME);
            err = fields_skip_key(&r->fields, err, depth);
            if (err != ERR_OK) return err;
            continue;
        }
        (void)snprintf(r->fields.what, sizeof r->fields.what, "%s/%.*s", plan_kind_name(s->kind), SLICE_ARG(key.text));
        err = begin_object(r, s->kind, &key, &e);
        if (err == ERR_OK) err = fields_copy(&r->fields, &key, schema_base(&e->object));
        if (err == ERR_OK) err = cursor_next(&r->fields.cursor, &value);
        if (err == ERR_OK) err = read_object(r, e, &value);
        err = fields_go_on(&r->fields, err, depth);
        if (err != ERR_OK) return err;
        r->fields.field = NULL;
    }
}

static enum err read_routes(struct reader *r, const struct section *s, const struct yaml_node *at)
{
    struct yaml_node item;
    struct entry *e = NULL;
    const unsigned depth = r->fields.cursor.depth;
    if (node_is_empty(at)) return ERR_OK;
    if (at->kind != NODE_LIST) {
        return fields_fail(&r->fields, at, ERR_SYNTAX,
                           "a list is wanted here, with lines like - { match: \"6\", to: trunk/hq-pbx }");
    }
    (void)snprintf(r->fields.what, sizeof r->fields.what, "route");
    struct arena *kept = r->fields.arena;
    if (r->stream != NULL) r->fields.arena = &r->passing;
    for (;;) {
        enum err err = cursor_next(&r->fields.cursor, &item);
        bool ended = err == ERR_OK && item.kind == NODE_END;
        if (err == ERR_OK && !ended) err = begin_object(r, s->kind, &item, &e);
        if (err == ERR_OK && !ended) err = read_object(r, e, &item);
        err = fields_go_on(&r->fields, err, depth);
        if (r->stream != NULL) arena_reset(&r->passing);
        if (err == ERR_OK && !ended) continue;
        r->fields.arena = kept;
        return err;
    }
}

static enum err read_removal(struct reader *r, const struct yaml_node *item)
{
    struct err_info detail = {.text = ""};
    struct entry *e = NULL;
    if (item->kind != NODE_SCALAR)
        return fields_fail(&r->fields, item, ERR_SYNTAX, "an object's key is wanted here, like trunk/NAME");
    enum err err = plan_key_validate(item->text, &detail);
    if (err != ERR_OK) return fields_fail(&r->fields, item, err, "%s", detail.text);
    err = begin_object(r, PLAN_DEFAULTS, item, &e);
    if (err == ERR_OK) err = fields_copy(&r->fields, item, &e->removed);
    if (err == ERR_OK) err = enter_key(r, e);
    return err == ERR_OK ? count_entry(r, &r->remove_count, item) : err;
}

static enum err read_remove(struct reader *r, const struct section *s, const struct yaml_node *at)
{
    (void)s;
    const unsigned depth = r->fields.cursor.depth;
    if (node_is_empty(at)) return ERR_OK;
    if (at->kind != NODE_LIST)
        return fields_fail(&r->fields, at, ERR_SYNTAX, "a list of keys is wanted here, like [trunk/NAME]");
    for (;;) {
        struct yaml_node item;
        enum err err = cursor_next(&r->fields.cursor, &item);
        if (err != ERR_OK || item.kind == NODE_END) return err;
        err = fields_go_on(&r->fields, read_removal(r, &item), depth);
        if (err != ERR_OK) return err;
    }
}

static const struct section sections[] = {
    {"plan", read_version, PLAN_KIND_COUNT},  {"defaults", read_defaults, PLAN_DEFAULTS},
    {"sites", read_named, PLAN_SITE},         {"trunks", read_named, PLAN_TRUNK},
    {"accounts", read_named, PLAN_ACCOUNT},   {"routes", read_routes, PLAN_ROUTE},
    {"remove", read_remove, PLAN_KIND_COUNT},
};
#define SECTION_COUNT (sizeof sections / sizeof sections[0])

static const struct section *find_section(const struct yaml_node *key)
{
    for (size_t i = 0; i < SECTION_COUNT; i++) {
        if (key->kind == NODE_SCALAR && slice_is(key->text, sections[i].name)) return &sections[i];
    }
    return NULL;
}

static enum err read_section(struct reader *r, const struct yaml_node *key, unsigned depth, unsigned *seen)
{
    struct yaml_node value;
    enum err e = ERR_OK;
    const struct section *s = find_section(key);
    r->fields.what[0] = '\0';
    r->fields.field = NULL;
    unsigned bit = s != NULL ? 1u << (s - sections) : 0;
    if (s == NULL) {
        e = fields_unknown_key(&r->fields, key, &sections[0].name, sizeof sections[0], SECTION_COUNT);
    } else if ((*seen & bit) != 0) {
        e = fields_fail(&r->fields, key, ERR_SYNTAX, "\"%s\" stands there twice; join the two", s->name);
    }
    if (e != ERR_OK) return fields_skip_key(&r->fields, e, depth);
    *seen |= bit;
    (void)snprintf(r->fields.what, sizeof r->fields.what, "%s", s->name);
    e = cursor_next(&r->fields.cursor, &value);
    if (e == ERR_OK) e = s->read(r, s, &value);
    return fields_go_on(&r->fields, e, depth);
}

static enum err read_root(struct reader *r)
{
    unsigned seen = 0;
    struct yaml_node node;
    enum err e = cursor_next(&r->fields.cursor, &node);
    if (e != ERR_OK) return e;
    struct yaml_node begin = node;
    if (node.kind != NODE_MAP)
        return fields_fail(&r->fields, &node, ERR_SYNTAX, "this is no plan; begin with \"plan: 1\"");
    const unsigned depth = r->fields.cursor.depth;
    for (;;) {
        e = cursor_next(&r->fields.cursor, &node);
        if (e != ERR_OK) return e;
        if (node.kind == NODE_END) break;
        e = read_section(r, &node, depth, &seen);
        if (e != ERR_OK) return e;
    }
    r->fields.what[0] = '\0';
    if ((seen & 1u) == 0 && fields_fault_count(&r->fields) == 0) /* an unknown key may be meant for it */
        return fields_fail(&r->fields, &begin, ERR_SYNTAX, "\"plan\" is missing; begin with \"plan: 1\"");
    return cursor_next(&r->fields.cursor, &node);
}

/* ---- the result ---- */

static enum err publish(struct reader *r, struct arena *arena, struct plan_document *out)
{
    struct plan_document d = {.objects = arena_alloc(arena, r->object_count * sizeof *d.objects),
                              .remove = arena_alloc(arena, r->remove_count * sizeof *d.remove),
                              .remove_place = arena_alloc(arena, r->remove_count * sizeof *d.remove_place)};
    if (d.objects == NULL || d.remove == NULL || d.remove_place == NULL) return no_memory(r);
    for (const struct chunk *c = r->first; c != NULL; c = c->next) {
        for (size_t i = 0; i < c->used; i++) {
            const struct entry *e = &c->entries[i];
            if (e->removed.p == NULL) {
                d.objects[d.object_count++] = e->object;
            } else {
                d.remove[d.remove_count] = e->removed;
                d.remove_place[d.remove_count++] = (struct plan_place){e->object.line, e->object.column};
            }
        }
    }
    ASSERT(d.object_count == r->object_count && d.remove_count == r->remove_count);
    *out = d;
    return ERR_OK;
}

static enum err read_all(struct reader *r, struct plan_document *out)
{
    enum err e = read_root(r);
    return e == ERR_OK && fields_fault_count(&r->fields) == 0 ? publish(r, r->fields.arena, out) : e;
}

static void reader_fini(struct reader *r)
{
    cursor_close(&r->fields.cursor);
    buf_fini(&r->fields.items);
    map_fini(&r->keys);
    arena_fini(&r->scratch);
    arena_fini(&r->passing);
}

/* With faults that were gone past, ERR_OK has filled nothing. */
static enum err parse(struct reader *r, struct slice yaml, struct plan_document *out)
{
    struct err_info *info = r->fields.info;
    if (yaml.n > DOCUMENT_MAX) return err_fail(info, ERR_LIMIT, "the document is larger than 1 GB; split it");
    enum err e = map_init(&r->keys, yaml.n / 64, XXH3_64bits(yaml.p, yaml.n));
    if (e != ERR_OK) return no_memory(r);
    e = cursor_open(&r->fields.cursor, &cursor_plan, yaml, info);
    if (e == ERR_OK) e = read_all(r, out);
    reader_fini(r);
    return e;
}

enum err plan_document_parse(struct arena *arena, struct slice yaml, struct plan_document *out, struct err_info *info)
{
    struct reader r = {.fields = {.arena = arena, .info = info}};
    return parse(&r, yaml, out);
}

enum err plan_document_check(struct arena *arena, struct slice yaml, struct plan_document *out,
                             struct plan_faults *faults)
{
    struct err_info info = {.text = ""};
    struct reader r = {.fields = {.arena = arena, .info = &info, .faults = faults}};
    faults->count = 0;
    faults->more = false;
    enum err e = parse(&r, yaml, out);
    if (e == ERR_NOMEM) return e;
    if (e != ERR_OK && faults->count == PLAN_FAULTS_MAX) {
        faults->more = true;
    } else if (e != ERR_OK) {
        faults->items[faults->count++] = info;
    }
    return faults->count > 0 ? ERR_SYNTAX : ERR_OK;
}

enum err plan_document_read(struct arena *arena, const struct plan_document_stream *stream, struct plan_document *out,
                            struct err_info *info)
{
    struct reader r = {.fields = {.arena = arena, .info = info}, .stream = stream};
    enum err e = map_init(&r.keys, 0, stream->seed);
    if (e != ERR_OK) return no_memory(&r);
    e = cursor_open_stream(&r.fields.cursor, stream->read, stream->ctx, info);
    if (e == ERR_OK) e = read_all(&r, out);
    reader_fini(&r);
    return e;
}
