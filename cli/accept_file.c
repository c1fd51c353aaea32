/* accept_file: see the header. */
#include "cli/accept_file.h"

#include <stdio.h>

#include "node/base/limits.h"
#include "node/plan/document_fields.h"
#include "node/plan/pattern.h"
#include "node/plan/text.h"

#define FILE_MAX 16777216 /* bytes: more than so many cases need */

static const struct cursor_words accept_words = {"an acceptance file", "accept: 1"};

struct reader {
    struct field_reader fields;
    struct buf cases; /* struct accept_case, one behind the other */
    size_t count;     /* of those that were begun */
};

static enum err no_memory(struct reader *r)
{
    return err_fail(r->fields.info, ERR_NOMEM, "no memory to read the file");
}

/* ---- values ---- */

/* What a value of a key looks like, and what errors say of it. */
struct form {
    bool (*fits)(struct slice value);
    const char *wanted;
};

static bool fits_name(struct slice v)
{
    return v.n > 0 && v.n <= ACCEPT_NAME_MAX && text_valid(v);
}

static bool fits_dial(struct slice v)
{
    char number[LIMIT_NUMBER + 1];
    size_t n = 0;
    return text_valid(v) && (number_normalise(v, number, &n) == ERR_OK || plan_name_valid(v));
}

static bool fits_source(struct slice v)
{
    struct plan_target t;
    return plan_target_parse(v, &t, NULL) == ERR_OK && (t.kind == PLAN_TO_TRUNK || t.kind == PLAN_TO_ACCOUNT);
}

static bool fits_target(struct slice v)
{
    struct plan_target t;
    return plan_target_parse(v, &t, NULL) == ERR_OK && t.kind != PLAN_TO_REJECT;
}

/* "all" is no name here: it is written without a list, and alone. */
static bool fits_node(struct slice v)
{
    return plan_name_valid(v) && !slice_is(v, "all");
}

static const struct form form_name = {fits_name, "one line of 200 bytes at most is wanted"};
static const struct form form_dial = {fits_dial, "what a caller dials is wanted: \"06001\""};
static const struct form form_source = {fits_source, "who calls is wanted: trunk/NAME or account/NAME"};
static const struct form form_node = {fits_node, "names of nodes are wanted: at: hq, at: [hq, factory] or at: all"};
static const struct form form_target = {
    fits_target, "a target is wanted, or the answer where there is none: trunk/NAME, account/NAME, site/NAME, or 404"};
static const struct form form_number = {number_valid, "a number of the plan is wanted: \"+49305551\""};

static enum err read_text(struct reader *r, const struct form *form, const struct yaml_node *v, struct slice *out)
{
    char shown[TEXT_SHOWN];
    if (v->kind != NODE_SCALAR) return fields_fail(&r->fields, v, ERR_SYNTAX, "%s", form->wanted);
    if (node_is_empty(v) && cursor_at_comment(&r->fields.cursor, v)) {
        return fields_fail(&r->fields, v, ERR_SYNTAX,
                           "has no value, since a # begins a comment: what holds one needs quotes");
    }
    if (!form->fits(v->text)) {
        return fields_fail(&r->fields, v, ERR_SYNTAX, "%s does not fit; %s", text_shown(v->text, shown), form->wanted);
    }
    return fields_copy(&r->fields, v, out);
}

static enum err add_item(struct reader *r, const struct form *form, size_t max, struct buf *items,
                         const struct yaml_node *v)
{
    char shown[TEXT_SHOWN];
    struct slice text = SLICE_NONE;
    const struct slice *before = (const struct slice *)(const void *)items->p;
    const size_t count = items->n / sizeof text;
    if (count == max) return fields_fail(&r->fields, v, ERR_LIMIT, "at most %zu stand in one list", max);
    enum err e = read_text(r, form, v, &text);
    for (size_t i = 0; e == ERR_OK && i < count; i++) {
        if (slice_eq(before[i], text))
            e = fields_fail(&r->fields, v, ERR_SYNTAX, "%s stands there twice", text_shown(text, shown));
    }
    if (e == ERR_OK) buf_add(items, &text, sizeof text);
    return e == ERR_OK && items->failed ? no_memory(r) : e;
}

/* A list of texts, or one text alone. */
static enum err read_texts(struct reader *r, const struct form *form, size_t max, const struct yaml_node *v,
                           const struct slice **out, size_t *count)
{
    struct buf items = {0};
    struct yaml_node item;
    enum err e = ERR_OK;
    if (v->kind != NODE_LIST) {
        e = add_item(r, form, max, &items, v);
    } else {
        e = cursor_next(&r->fields.cursor, &item);
        while (e == ERR_OK && item.kind != NODE_END) {
            e = add_item(r, form, max, &items, &item);
            if (e == ERR_OK) e = cursor_next(&r->fields.cursor, &item);
        }
        if (e == ERR_OK && items.n == 0) e = fields_fail(&r->fields, v, ERR_SYNTAX, "is empty; %s", form->wanted);
    }
    struct slice *list = e == ERR_OK ? arena_alloc(r->fields.arena, items.n) : NULL;
    if (e == ERR_OK && list == NULL) e = no_memory(r);
    if (e == ERR_OK) {
        memcpy(list, items.p, items.n);
        *out = list;
        *count = items.n / sizeof *list;
    }
    buf_fini(&items);
    return e;
}

/* ---- the keys of a case ---- */

static enum err read_name(struct reader *r, struct accept_case *c, const struct yaml_node *v)
{
    return read_text(r, &form_name, v, &c->name);
}

static enum err read_dial(struct reader *r, struct accept_case *c, const struct yaml_node *v)
{
    return read_text(r, &form_dial, v, &c->dial);
}

static enum err read_from(struct reader *r, struct accept_case *c, const struct yaml_node *v)
{
    return read_text(r, &form_source, v, &c->from);
}

static enum err read_at(struct reader *r, struct accept_case *c, const struct yaml_node *v)
{
    if (v->kind == NODE_SCALAR && slice_is(v->text, "all")) return ERR_OK; /* as when it is left out */
    return read_texts(r, &form_node, ACCEPT_AT_MAX, v, &c->at, &c->at_count);
}

static enum err read_expect(struct reader *r, struct accept_case *c, const struct yaml_node *v)
{
    uint64_t code = 0;
    if (v->kind == NODE_SCALAR && v->text.n == 3 && slice_u64(v->text, 699, &code) == ERR_OK && code >= 400) {
        c->code = (uint16_t)code;
        return ERR_OK;
    }
    c->first_only = v->kind != NODE_LIST;
    return read_texts(r, &form_target, ACCEPT_EXPECT_MAX, v, &c->expect, &c->expect_count);
}

static enum err read_order(struct reader *r, struct accept_case *c, const struct yaml_node *v)
{
    c->any_order = v->kind == NODE_SCALAR && slice_is(v->text, "any");
    if (c->any_order || (v->kind == NODE_SCALAR && slice_is(v->text, "given"))) return ERR_OK;
    return fields_fail(&r->fields, v, ERR_SYNTAX, "write order: given, which it is without it, or order: any");
}

static enum err read_number(struct reader *r, struct accept_case *c, const struct yaml_node *v)
{
    return read_text(r, &form_number, v, &c->number);
}

static enum err read_sends(struct reader *r, struct accept_case *c, const struct yaml_node *v)
{
    return read_text(r, &form_number, v, &c->sends);
}

static enum err read_plan_only(struct reader *r, struct accept_case *c, const struct yaml_node *v)
{
    c->plan_only = v->kind == NODE_SCALAR && (slice_is(v->text, "yes") || slice_is(v->text, "true"));
    bool no = v->kind == NODE_SCALAR && (slice_is(v->text, "no") || slice_is(v->text, "false"));
    return c->plan_only || no ? ERR_OK : fields_fail(&r->fields, v, ERR_SYNTAX, "write plan_only: yes, or no");
}

static const struct key {
    const char *name;
    enum err (*read)(struct reader *r, struct accept_case *c, const struct yaml_node *v);
} keys[] = {
    {"name", read_name},     {"dial", read_dial},     {"from", read_from},
    {"at", read_at},         {"expect", read_expect}, {"order", read_order},
    {"number", read_number}, {"sends", read_sends},   {"plan_only", read_plan_only},
};
#define KEY_COUNT (sizeof keys / sizeof keys[0])

/* What no key alone can tell. */
static enum err check_case(struct reader *r, const struct accept_case *c, const struct yaml_node *at)
{
    struct field_reader *f = &r->fields;
    f->field = NULL;
    if (c->dial.n == 0) return fields_fail(f, at, ERR_SYNTAX, "\"dial\" is missing; write dial: \"06001\"");
    if (c->code == 0 && c->expect_count == 0) {
        return fields_fail(f, at, ERR_SYNTAX, "\"expect\" is missing; write expect: trunk/hq-pbx, or expect: 404");
    }
    if (c->any_order && (c->first_only || c->code != 0))
        return fields_fail(f, at, ERR_SYNTAX, "order is that of a list; write expect: [trunk/a, trunk/b]");
    if (c->sends.n > 0 && c->code != 0)
        return fields_fail(f, at, ERR_SYNTAX, "sends is what a target is sent, and %u is none", (unsigned)c->code);
    if (c->sends.n > 0 && c->any_order)
        return fields_fail(f, at, ERR_SYNTAX, "sends is what the first target is sent, and any may be that here");
    return ERR_OK;
}

static enum err read_key(struct reader *r, struct accept_case *c, const struct yaml_node *key, unsigned *seen)
{
    struct field_reader *f = &r->fields;
    const unsigned depth = f->cursor.depth - (key->kind != NODE_SCALAR);
    struct yaml_node value;
    size_t k = 0;
    f->field = NULL;
    while (k < KEY_COUNT && !(key->kind == NODE_SCALAR && slice_is(key->text, keys[k].name)))
        k++;
    if (k == KEY_COUNT)
        return fields_skip_key(f, fields_unknown_key(f, key, &keys[0].name, sizeof keys[0], KEY_COUNT), depth);
    if ((*seen & 1u << k) != 0) {
        enum err e = fields_fail(f, key, ERR_SYNTAX, "\"%s\" stands there twice", keys[k].name);
        return fields_skip_key(f, e, depth);
    }
    *seen |= 1u << k;
    f->field = keys[k].name;
    enum err e = cursor_next(&f->cursor, &value);
    if (e == ERR_OK) e = keys[k].read(r, c, &value);
    return fields_go_on(f, e, depth);
}

static enum err read_case(struct reader *r, const struct yaml_node *begin)
{
    struct field_reader *f = &r->fields;
    struct accept_case c = {.line = begin->line};
    const unsigned depth = f->cursor.depth - (begin->kind != NODE_SCALAR);
    const size_t faults = fields_fault_count(f);
    unsigned seen = 0;
    struct yaml_node key;
    (void)snprintf(f->what, sizeof f->what, "case %zu", ++r->count);
    f->field = NULL;
    if (begin->kind != NODE_MAP) {
        enum err e =
            fields_fail(f, begin, ERR_SYNTAX, "a mapping is wanted: { dial: \"06001\", expect: account/6001 }");
        return fields_go_on(f, e, depth);
    }
    if (r->count > ACCEPT_CASES_MAX) {
        f->cursor.ended = true;
        return fields_fail(f, begin, ERR_LIMIT, "a file has at most %d cases; split it", ACCEPT_CASES_MAX);
    }
    enum err e = cursor_next(&f->cursor, &key);
    while (e == ERR_OK && key.kind != NODE_END) {
        e = read_key(r, &c, &key, &seen);
        if (e == ERR_OK) e = cursor_next(&f->cursor, &key);
    }
    if (e == ERR_OK && fields_fault_count(f) == faults) e = fields_go_on(f, check_case(r, &c, begin), depth);
    if (e == ERR_OK) buf_add(&r->cases, &c, sizeof c);
    return e == ERR_OK && r->cases.failed ? no_memory(r) : e;
}

/* ---- the file ---- */

static enum err read_version(struct reader *r, const struct yaml_node *v)
{
    char shown[TEXT_SHOWN];
    if (v->kind == NODE_SCALAR && slice_is(v->text, "1")) return ERR_OK;
    r->fields.cursor.ended = true; /* the rest would be judged by another format */
    return fields_fail(&r->fields, v, ERR_SYNTAX, "%s is no version of the format; write accept: 1",
                       v->kind == NODE_SCALAR ? text_shown(v->text, shown) : "this");
}

static enum err read_cases(struct reader *r, const struct yaml_node *v)
{
    struct yaml_node item;
    const char *wanted = "a list is wanted here; write cases: and under it - { dial: \"06001\", expect: account/6001 }";
    if (v->kind != NODE_LIST) return fields_fail(&r->fields, v, ERR_SYNTAX, "%s", wanted);
    enum err e = cursor_next(&r->fields.cursor, &item);
    while (e == ERR_OK && item.kind != NODE_END) {
        e = read_case(r, &item);
        if (e == ERR_OK) e = cursor_next(&r->fields.cursor, &item);
    }
    r->fields.what[0] = '\0';
    r->fields.field = "cases";
    return e == ERR_OK && r->count == 0 ? fields_fail(&r->fields, v, ERR_SYNTAX, "is empty; %s", wanted) : e;
}

static const char *const sections[] = {"accept", "cases"};
#define ACCEPT_SEEN 1u
#define CASES_SEEN 2u

static enum err read_section(struct reader *r, const struct yaml_node *key, unsigned *seen)
{
    struct field_reader *f = &r->fields;
    const unsigned depth = f->cursor.depth - (key->kind != NODE_SCALAR);
    struct yaml_node value;
    size_t k = 0;
    f->field = NULL;
    while (k < 2 && !(key->kind == NODE_SCALAR && slice_is(key->text, sections[k])))
        k++;
    if (k == 2) return fields_skip_key(f, fields_unknown_key(f, key, sections, sizeof sections[0], 2), depth);
    if ((*seen & 1u << k) != 0) {
        enum err e = fields_fail(f, key, ERR_SYNTAX, "\"%s\" stands there twice", sections[k]);
        return fields_skip_key(f, e, depth);
    }
    *seen |= 1u << k;
    f->field = sections[k];
    enum err e = cursor_next(&f->cursor, &value);
    if (e == ERR_OK) e = k == 0 ? read_version(r, &value) : read_cases(r, &value);
    return fields_go_on(f, e, depth);
}

static enum err read_root(struct reader *r)
{
    struct field_reader *f = &r->fields;
    struct yaml_node begin;
    struct yaml_node key;
    unsigned seen = 0;
    enum err e = cursor_next(&f->cursor, &begin);
    if (e != ERR_OK) return e;
    if (begin.kind != NODE_MAP)
        return fields_fail(f, &begin, ERR_SYNTAX, "a mapping is wanted; begin with \"accept: 1\", then \"cases:\"");
    e = cursor_next(&f->cursor, &key);
    while (e == ERR_OK && key.kind != NODE_END) {
        e = read_section(r, &key, &seen);
        if (e == ERR_OK) e = cursor_next(&f->cursor, &key);
    }
    if (e != ERR_OK) return e;
    f->field = NULL;
    if (fields_fault_count(f) == 0 && (seen & ACCEPT_SEEN) == 0)
        return fields_fail(f, &begin, ERR_SYNTAX, "\"accept\" is missing; begin with \"accept: 1\"");
    if (fields_fault_count(f) == 0 && (seen & CASES_SEEN) == 0)
        return fields_fail(f, &begin, ERR_SYNTAX, "\"cases\" is missing; write cases: and a list of cases under it");
    return cursor_next(&f->cursor, &key);
}

static enum err parse(struct reader *r, struct slice yaml)
{
    if (yaml.n > FILE_MAX) return err_fail_at(r->fields.info, ERR_LIMIT, 1, 1, "the file is over 16 MB; split it");
    enum err e = cursor_open(&r->fields.cursor, &accept_words, yaml, r->fields.info);
    if (e == ERR_OK) e = read_root(r);
    cursor_close(&r->fields.cursor);
    return e;
}

enum err accept_file_parse(struct arena *arena, struct slice yaml, struct accept_file *out, struct plan_faults *faults)
{
    struct err_info info = {.text = ""};
    struct reader r = {.fields = {.arena = arena, .info = &info, .faults = faults}};
    faults->count = 0;
    faults->more = false;
    enum err e = parse(&r, yaml);
    if (e != ERR_OK && e != ERR_NOMEM && faults->count == PLAN_FAULTS_MAX) {
        faults->more = true;
    } else if (e != ERR_OK && e != ERR_NOMEM) {
        faults->items[faults->count++] = info;
    }
    if (e != ERR_NOMEM) e = faults->count > 0 ? ERR_SYNTAX : ERR_OK;
    struct accept_case *cases = e == ERR_OK ? arena_alloc(arena, r.cases.n) : NULL;
    if (e == ERR_OK && cases == NULL) e = ERR_NOMEM;
    if (e == ERR_OK) {
        memcpy(cases, r.cases.p, r.cases.n);
        *out = (struct accept_file){cases, r.cases.n / sizeof *cases};
    }
    buf_fini(&r.cases);
    return e;
}
