/* validate: whether one object, from wherever it came, keeps every bound and rule that concerns it alone. It walks the
 * schema for single values and has one function per kind for what several fields must agree on. Whether the objects of
 * a plan fit together is lint's. */
#include <stdarg.h>
#include <stdio.h>

#include "node/plan/schema.h"
#include "node/plan/decide.h"
#include "node/plan/pattern.h"
#include "node/plan/text.h"

/* Rough size of the packed object: its texts, and this much for each of them and for the numbers around. */
#define PACKED_PER_TEXT 8
#define PACKED_BASE 512

struct checking {
    struct err_info *info;
    const char *what; /* "trunk/hq-pbx" */
    size_t packed;
};

static enum err fail(const struct checking *c, const struct field *f, enum err e, const char *fmt, ...)
    PRINTF_LIKE(4, 5);
static enum err fail(const struct checking *c, const struct field *f, enum err e, const char *fmt, ...)
{
    struct err_info detail;
    va_list ap;
    va_start(ap, fmt);
    (void)vsnprintf(detail.text, sizeof detail.text, fmt, ap);
    va_end(ap);
    return err_fail(c->info, e, "%s: %s%s%s", c->what, f != NULL ? f->name : "", f != NULL ? ": " : "", detail.text);
}

static enum err check_struct(struct checking *c, const struct schema *s, const void *base);

static enum err check_text(struct checking *c, const struct field *f, struct slice text)
{
    struct err_info detail;
    detail.text[0] = '\0'; /* the rest is not: millions of texts pass here */
    c->packed += text.n + PACKED_PER_TEXT;
    if (text.n == 0)
        return f->required ? fail(c, f, ERR_SYNTAX, "is missing; write %s: %s", f->name, f->example) : ERR_OK;
    enum err e = f->check(text, &detail);
    return e == ERR_OK ? ERR_OK : fail(c, f, e, "%s", detail.text);
}

static enum err check_list(struct checking *c, const struct field *f, const void *base)
{
    const void *items = NULL;
    size_t count = schema_list(f, base, &items);
    enum err e = ERR_OK;
    if (count > f->max) return fail(c, f, ERR_LIMIT, "has %zu items; at most %u are allowed", count, f->max);
    if (count == 0 && f->required) return fail(c, f, ERR_SYNTAX, "is missing; write %s: %s", f->name, f->example);
    for (size_t i = 0; i < count && e == ERR_OK; i++) {
        if (f->type == FIELD_STRUCTS) {
            e = check_struct(c, f->inner, (const char *)items + i * f->inner->size);
        } else if (f->type == FIELD_TEXTS) {
            struct slice text = ((const struct slice *)items)[i];
            e = text.n > 0 ? check_text(c, f, text) : fail(c, f, ERR_SYNTAX, "has an empty item");
            for (size_t j = 0; j < i && e == ERR_OK; j++) {
                char shown[TEXT_SHOWN];
                if (!slice_eq(text, ((const struct slice *)items)[j])) continue;
                e = fail(c, f, ERR_SYNTAX, "%s stands there twice", text_shown(text, shown));
            }
        } else if (!decide_failover_code(((const uint16_t *)items)[i])) {
            e = fail(c, f, ERR_SYNTAX,
                     "%u is no code to try the next target on; use 408 or others from 400 to 599, not 486 or 487",
                     ((const uint16_t *)items)[i]);
        }
    }
    return e;
}

static enum err check_number(struct checking *c, const struct field *f, const void *base)
{
    uint32_t value = schema_number(f, base);
    if (value >= f->min && value <= f->max) return ERR_OK;
    return fail(c, f, ERR_LIMIT, "%u is outside %u to %u", value, f->min, f->max);
}

static enum err check_word(struct checking *c, const struct field *f, const void *base)
{
    size_t words = 0;
    while (f->words[words] != NULL)
        words++;
    if (schema_number(f, base) < words) return ERR_OK;
    return fail(c, f, ERR_SYNTAX, "has no such value; write %s", f->example);
}

static enum err check_length(struct checking *c, const struct field *f, const void *base)
{
    uint8_t least = *(const uint8_t *)schema_at_const(base, f->offset);
    uint8_t most = *(const uint8_t *)schema_at_const(base, f->other);
    if (least > f->max || most > f->max) return fail(c, f, ERR_LIMIT, "numbers have at most %u characters", f->max);
    if (most != 0 && least > most) return fail(c, f, ERR_SYNTAX, "the least is above the most; write 4-15");
    return ERR_OK;
}

static enum err check_target(struct checking *c, const struct field *f, const struct plan_target *t)
{
    bool reject = t->kind == PLAN_TO_REJECT;
    bool valid = (unsigned)t->kind <= PLAN_TO_REJECT && (reject ? t->code >= 400 && t->code <= 699 && t->name.n == 0
                                                                : plan_name_valid(t->name) && t->code == 0);
    c->packed += t->name.n + PACKED_PER_TEXT;
    return valid ? ERR_OK
                 : fail(c, f, ERR_SYNTAX, "is no target; write trunk/NAME, account/NAME, site/NAME or reject/CODE");
}

static enum err check_inner(struct checking *c, const struct field *f, const void *base)
{
    bool set = *(const bool *)schema_at_const(base, f->other);
    return set ? check_struct(c, f->inner, schema_at_const(base, f->offset)) : ERR_OK;
}

static enum err check_field(struct checking *c, const struct field *f, const void *base)
{
    switch (f->type) {
    case FIELD_TEXT:
    case FIELD_PASSWORD: return check_text(c, f, *(const struct slice *)schema_at_const(base, f->offset));
    case FIELD_TEXTS:
    case FIELD_STRUCTS:
    case FIELD_CODES: return check_list(c, f, base);
    case FIELD_WORD: return check_word(c, f, base);
    case FIELD_NUMBER:
    case FIELD_DURATION:
    case FIELD_RATE: return check_number(c, f, base);
    case FIELD_LENGTH: return check_length(c, f, base);
    case FIELD_TARGET: return check_target(c, f, schema_at_const(base, f->offset));
    case FIELD_INNER: return check_inner(c, f, base);
    case FIELD_FLAG:
    case FIELD_HEX:
    case FIELD_TYPE_COUNT: break; /* every value is right */
    }
    return ERR_OK;
}

static enum err check_struct(struct checking *c, const struct schema *s, const void *base)
{
    enum err e = ERR_OK;
    for (size_t i = 0; i < s->count && e == ERR_OK; i++)
        e = check_field(c, &s->fields[i], base);
    return e;
}

/* ---- what several fields must agree on ---- */

static enum err check_trunk(struct checking *c, const struct plan_trunk *t)
{
    c->packed += t->registration.sealed.n;
    if (t->registration.sealed.n > PLAN_SEALED_MAX) return fail(c, NULL, ERR_LIMIT, "its sealed password is too long");
    return ERR_OK;
}

static enum err check_account(struct checking *c, const struct plan_account *a)
{
    if (a->password.n > 0 && a->secret.set) {
        return fail(c, NULL, ERR_SYNTAX, "password and hashes are two ways to say one thing; keep one of them");
    }
    return ERR_OK;
}

/* A route that can never produce a number to send is refused here; with a longer number it may, so only exact ones. */
static enum err check_route(struct checking *c, const struct plan_route *r)
{
    struct pattern p;
    if (r->target.kind == PLAN_TO_REJECT && (r->strip > 0 || r->prepend.n > 0)) {
        return fail(c, NULL, ERR_SYNTAX, "a rejected number goes nowhere; leave strip and prepend out");
    }
    if (pattern_parse(r->match, &p, c->info) != ERR_OK) return ERR_SYNTAX;
    if (p.kind == PATTERN_EXACT && r->strip >= p.low.n && r->prepend.n == 0 && r->target.kind != PLAN_TO_REJECT) {
        return fail(c, NULL, ERR_SYNTAX, "strip: %u leaves nothing of %.*s; strip less or prepend something", r->strip,
                    SLICE_ARG(r->match));
    }
    return ERR_OK;
}

static enum err check_name_of(struct checking *c, const struct schema *s, const void *base)
{
    char shown[TEXT_SHOWN];
    if (!s->named) return ERR_OK;
    struct slice name = *(const struct slice *)base;
    if (plan_name_valid(name)) return ERR_OK;
    return err_fail(c->info, ERR_SYNTAX, "%s: %s is no name; use 1 to %d letters, digits, '.', '_' and '-'", c->what,
                    text_shown(name, shown), LIMIT_NAME);
}

/* "trunk/hq-pbx", "route to ...": what the error text begins with. An invalid name is not repeated here. */
static void describe(const struct plan_object *o, char *out, size_t cap)
{
    const struct schema *s = schema_of(o->kind);
    struct slice name = s->named ? *(const struct slice *)schema_base_const(o) : SLICE_NONE;
    if (o->kind == PLAN_ROUTE) {
        struct pattern p;
        name = pattern_parse(o->route.match, &p, NULL) == ERR_OK ? o->route.match : SLICE_NONE;
    } else if (!plan_name_valid(name)) {
        name = SLICE_NONE;
    }
    (void)snprintf(out, cap, "%s%s%.*s", plan_kind_name(o->kind), name.n > 0 ? "/" : "", SLICE_ARG(name));
}

static enum err check(const struct plan_object *o, const char *what, struct err_info *info)
{
    struct checking c = {.info = info, .what = what, .packed = PACKED_BASE};
    const struct schema *s = schema_of(o->kind);
    const void *base = schema_base_const(o);
    enum err e = check_name_of(&c, s, base);
    if (e == ERR_OK) e = check_struct(&c, s, base);
    if (e == ERR_OK && o->kind == PLAN_TRUNK) e = check_trunk(&c, &o->trunk);
    if (e == ERR_OK && o->kind == PLAN_ACCOUNT) e = check_account(&c, &o->account);
    if (e == ERR_OK && o->kind == PLAN_ROUTE) e = check_route(&c, &o->route);
    if (e == ERR_OK && c.packed > LIMIT_OBJECT) {
        e = fail(&c, NULL, ERR_LIMIT, "is larger than %d bytes; split it or shorten its lists", LIMIT_OBJECT);
    }
    return e;
}

/* Millions of objects pass for one that does not: only that one is looked at again, to say what is wrong with it. */
enum err plan_object_validate(const struct plan_object *o, struct err_info *info)
{
    char what[PLAN_KEY_MAX];
    if ((unsigned)o->kind >= PLAN_KIND_COUNT) return err_fail(info, ERR_SYNTAX, "an object of an unknown kind");
    enum err e = check(o, "", NULL);
    if (e == ERR_OK || info == NULL) return e;
    describe(o, what, sizeof what);
    return check(o, what, info);
}
