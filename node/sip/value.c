/* URIs and addresses. Contract: value.h.
 *
 * Each text passes two readers: the scanners of scan.h decide what is well formed and give the spans, libosip2 takes
 * the parts apart. Where the two disagree (another host, another number of parameters) the text is refused, so that no
 * ambiguity gets further. A plain URI, which is nearly every one, leaves nothing to disagree about: the scanners do. */
#include "node/sip/value.h"

#include <osipparser2/osip_parser.h>

#include "node/sip/scan.h"
#include "node/sip/value_text.h"

static void quiet(const char *file, int line, osip_trace_level_t level, const char *text, va_list args)
{
    (void)file;
    (void)line;
    (void)level;
    (void)text;
    (void)args;
}

void sip_library_init(void)
{
    osip_trace_initialize_func(TRACE_LEVEL0, quiet);
}

enum err sip_value_err(int osip)
{
    if (osip == OSIP_SUCCESS) return ERR_OK;
    return osip == OSIP_NOMEM ? ERR_NOMEM : ERR_SYNTAX;
}

enum err sip_value_text(struct slice text, char out[SIP_VALUE_MAX + 1])
{
    if (text.n > SIP_VALUE_MAX) return ERR_LIMIT;
    for (size_t i = 0; i < text.n; i++) {
        char c = text.p[i];
        if (c == '\0') return ERR_SYNTAX;
        out[i] = c == '\r' || c == '\n' || c == '\t' ? ' ' : c;
    }
    out[text.n] = '\0';
    return ERR_OK;
}

bool sip_value_keep(struct arena *arena, const char *text, struct slice *out)
{
    *out = SLICE_NONE;
    if (text == NULL) return true;
    *out = arena_copy(arena, slice_of(text));
    return out->p != NULL;
}

struct slice sip_unquote(struct slice value)
{
    if (value.n < 2 || value.p[0] != '"' || value.p[value.n - 1] != '"') return value;
    return (struct slice){value.p + 1, value.n - 2};
}

uint32_t sip_seconds(struct slice text)
{
    uint64_t s = 0;
    size_t n = 0;
    while (n < text.n && text.p[n] >= '0' && text.p[n] <= '9')
        n++;
    enum err e = slice_u64((struct slice){text.p, n}, UINT32_MAX, &s);
    return e == ERR_OK ? (uint32_t)s : e == ERR_LIMIT ? UINT32_MAX : 0;
}

bool sip_value_next(struct slice *rest, struct slice *value)
{
    while (rest->n > 0) {
        const char *p = rest->p;
        const char *end = rest->p + rest->n;
        while ((p = sip_skip(p, end, SIP_CH_PLAIN)) < end && *p != ',') {
            const char *after = p + 1;
            if (*p == '"') after = sip_skip_quoted(p, end);
            if (*p == '<') after = memchr(p, '>', (size_t)(end - p));
            p = after != NULL ? after : end;
        }
        *value = slice_trim((struct slice){rest->p, (size_t)(p - rest->p)});
        if (p < end) p++;
        *rest = (struct slice){p, (size_t)(end - p)};
        if (value->n > 0) return true;
    }
    return false;
}

/* ---- URI parameters ---- */

/* text is "" or begins with a semicolon. Sets names and values as written. */
static enum err split_uri_params(struct slice text, struct sip_uri *uri)
{
    while (text.n > 0) {
        struct slice one;
        struct slice name;
        text = slice_cut((struct slice){text.p + 1, text.n - 1}, ';', &one);
        if (text.p != NULL) text = (struct slice){text.p - 1, text.n + 1}; /* with its semicolon again */
        struct slice value = slice_cut(one, '=', &name);
        if (name.n == 0) return ERR_SYNTAX;
        if (uri->param_count == SIP_PARAMS_MAX) return ERR_LIMIT;
        uri->params[uri->param_count++] = (struct sip_param){name, value};
    }
    return ERR_OK;
}

/* ---- the number ---- */

static bool unescape(struct slice s, char *out, size_t *n)
{
    *n = 0;
    for (size_t i = 0; i < s.n; i++) {
        unsigned char c = (unsigned char)s.p[i];
        if (c == '%') {
            if (i + 2 >= s.n || hex_decode((struct slice){s.p + i + 1, 2}, &c, 1) != ERR_OK) return false;
            if (c < ' ' || c == 0x7f) return false;
            i += 2;
        }
        out[(*n)++] = (char)c;
    }
    return true;
}

static bool has_escape(struct slice s)
{
    return s.n > 0 && memchr(s.p, '%', s.n) != NULL;
}

/* Most texts carry no escape and stay where they are. */
static enum err resolve(struct arena *arena, struct slice *s)
{
    if (!has_escape(*s)) return ERR_OK;
    char *copy = arena_alloc(arena, s->n);
    size_t n = 0;
    if (copy == NULL) return ERR_NOMEM;
    if (!unescape(*s, copy, &n)) return ERR_SYNTAX;
    *s = (struct slice){copy, n};
    return ERR_OK;
}

static enum err set_number(struct arena *arena, bool tel, struct sip_uri *uri)
{
    struct slice source = uri->user;
    if (!tel) (void)slice_cut(uri->user, ';', &source);
    uri->number = source;
    if (!tel) {
        enum err e = resolve(arena, &uri->number);
        return e == ERR_SYNTAX ? ERR_OK : e; /* hides control characters: stays as written */
    }
    bool separators = false;
    for (size_t i = 0; i < source.n; i++)
        separators = separators || strchr("-.()", source.p[i]) != NULL;
    if (!separators) return ERR_OK;
    char *copy = arena_alloc(arena, source.n);
    size_t n = 0;
    if (copy == NULL) return ERR_NOMEM;
    for (size_t i = 0; i < source.n; i++) {
        if (strchr("-.()", source.p[i]) == NULL) copy[n++] = source.p[i];
    }
    uri->number = (struct slice){copy, n};
    return ERR_OK;
}

/* ---- URIs ---- */

static enum err set_scheme(struct arena *arena, const struct sip_uri_shape *shape, struct slice *out)
{
    struct slice written = shape->scheme;
    if (shape->is_tel) *out = SLICE("tel");
    if (shape->is_sip) *out = written.n == 3 ? SLICE("sip") : SLICE("sips");
    if (shape->is_tel || shape->is_sip) return ERR_OK;
    char *copy = arena_alloc(arena, written.n);
    if (copy == NULL) return ERR_NOMEM;
    for (size_t i = 0; i < written.n; i++)
        copy[i] = char_lower(written.p[i]);
    *out = (struct slice){copy, written.n};
    return ERR_OK;
}

/* Whether libosip2 read what the spans say. Where a parameter holds an escape its text is not compared: libosip2
 * resolves escapes first and trims afterwards, which loses an escaped space. */
static bool agrees(const struct osip_uri *read, const struct sip_uri *uri)
{
    osip_list_iterator_t at;
    size_t i = 0;
    if (read->host == NULL || !slice_eq(slice_of(read->host), uri->host)) return false;
    if ((read->port != NULL) != (uri->port != 0) || (read->username != NULL) != (uri->user.n > 0)) return false;
    for (osip_uri_param_t *p = osip_list_get_first(&read->url_params, &at); p != NULL; p = osip_list_get_next(&at)) {
        if (i == uri->param_count) return false;
        const struct sip_param *own = &uri->params[i++];
        if (!has_escape(own->name) && (p->gname == NULL || !slice_is(own->name, p->gname))) return false;
        if (!has_escape(own->value) && !slice_is(own->value, p->gvalue != NULL ? p->gvalue : "")) return false;
    }
    return i == uri->param_count;
}

static bool is_plain_text(struct slice s)
{
    for (size_t i = 0; i < s.n; i++) {
        if (!sip_char_is(s.p[i], SIP_CH_HOST) && s.p[i] != '+') return false;
    }
    return true;
}

/* Whether user, host and parameters are letters, digits and "-._+" alone, and nothing else is there but the delimiters
 * between them: no escape, password, IPv6 or header. text is the whole URI. */
static bool is_plain(struct slice text, const struct sip_uri_shape *shape, const struct sip_uri *uri)
{
    const char *after_user = uri->user.n > 0 ? uri->user.p + uri->user.n : NULL;
    if ((after_user != NULL && *after_user != '@') || uri->host_is_v6) return false;
    if (shape->params.p + shape->params.n != text.p + text.n) return false;
    if (!is_plain_text(uri->user) || !is_plain_text(uri->host)) return false;
    for (size_t i = 0; i < uri->param_count; i++) {
        const struct sip_param *p = &uri->params[i];
        bool cut_short = p->value.p != NULL && p->value.n == 0; /* "x=" is malformed: RFC 3261 §25.1 */
        if (cut_short || !is_plain_text(p->name) || !is_plain_text(p->value)) return false;
    }
    return true;
}

/* What the spans alone give. */
static enum err from_shape(struct arena *arena, const struct sip_uri_shape *shape, struct sip_uri *uri)
{
    uri->user = shape->user;
    uri->host = shape->host;
    uri->host_is_v6 = false;
    uri->port = shape->port;
    uri->param_count = 0; /* the slots behind stay unset: there are many */
    uri->number = SLICE_NONE;
    enum err e = set_scheme(arena, shape, &uri->scheme);
    if (e != ERR_OK || !(shape->is_sip || shape->is_tel)) return e;
    if (uri->host.n > 0 && uri->host.p[0] == '[') {
        uri->host_is_v6 = true;
        uri->host = (struct slice){uri->host.p + 1, uri->host.n - 2};
    }
    e = split_uri_params(shape->params, uri);
    return e == ERR_OK ? set_number(arena, shape->is_tel, uri) : e;
}

/* part: the URI without its headers, which nobody here reads. */
static enum err second_reader(struct slice part, const struct sip_uri *uri)
{
    char copy[SIP_VALUE_MAX + 1];
    osip_uri_t *read = NULL;
    enum err e = sip_value_text(part, copy);
    if (e == ERR_OK) e = sip_value_err(osip_uri_init(&read));
    if (e == ERR_OK) e = sip_value_err(osip_uri_parse(read, copy));
    if (e == ERR_OK && !agrees(read, uri)) e = ERR_SYNTAX;
    osip_uri_free(read);
    return e;
}

static void copy_params(struct sip_param *to, const struct sip_param *from, size_t count)
{
    if (count > 0) memcpy(to, from, count * sizeof *to);
}

/* The slots of parameters behind the last are left alone: they are most of it. */
static void publish_uri(const struct sip_uri *uri, struct sip_uri *out)
{
    out->scheme = uri->scheme;
    out->user = uri->user;
    out->host = uri->host;
    out->host_is_v6 = uri->host_is_v6;
    out->port = uri->port;
    out->param_count = uri->param_count;
    copy_params(out->params, uri->params, uri->param_count);
    out->number = uri->number;
}

static enum err uri_of_shape(struct arena *arena, struct slice text, const struct sip_uri_shape *shape,
                             struct sip_uri *out)
{
    struct sip_uri uri;
    enum err e = from_shape(arena, shape, &uri);
    if (e == ERR_OK && shape->is_sip && !is_plain(text, shape, &uri)) {
        e = second_reader((struct slice){text.p, (size_t)(shape->params.p + shape->params.n - text.p)}, &uri);
    }
    for (size_t i = 0; e == ERR_OK && i < uri.param_count; i++) {
        e = resolve(arena, &uri.params[i].name);
        if (e == ERR_OK) e = resolve(arena, &uri.params[i].value);
    }
    if (e == ERR_OK) publish_uri(&uri, out);
    return e;
}

enum err sip_uri_parse(struct arena *arena, struct slice text, struct sip_uri *out)
{
    struct sip_uri_shape shape;
    if (text.n > SIP_VALUE_MAX) return ERR_LIMIT;
    return sip_scan_uri(text, &shape) ? uri_of_shape(arena, text, &shape, out) : ERR_SYNTAX;
}

enum err sip_request_uri_parse(struct arena *arena, const struct sip_view *v, struct sip_uri *out)
{
    if (v->uri.n > SIP_VALUE_MAX) return ERR_LIMIT;
    return v->uri_shape.scheme.n > 0 ? uri_of_shape(arena, v->uri, &v->uri_shape, out) : ERR_SYNTAX;
}

/* ---- addresses ---- */

static struct slice find_param(const struct sip_param *params, size_t count, const char *name)
{
    struct slice wanted = slice_of(name);
    for (size_t i = 0; i < count; i++) {
        if (!slice_eq_nocase(params[i].name, wanted)) continue;
        return params[i].value.p != NULL ? params[i].value : (struct slice){"", 0};
    }
    return SLICE_NONE;
}

struct slice sip_uri_param(const struct sip_uri *uri, const char *name)
{
    return find_param(uri->params, uri->param_count, name);
}

struct slice sip_name_addr_param(const struct sip_name_addr *a, const char *name)
{
    return find_param(a->params, a->param_count, name);
}

static enum err split_params(struct slice text, struct sip_name_addr *a)
{
    const char *p = text.p;
    const char *end = text.p + text.n;
    while (p < end) {
        struct sip_param_span span;
        if (*p != ';') return ERR_SYNTAX;
        if (a->param_count == SIP_PARAMS_MAX) return ERR_LIMIT;
        p = sip_scan_param(p + 1, end, &span);
        if (p == NULL) return ERR_SYNTAX;
        a->params[a->param_count++] = (struct sip_param){span.name, span.value};
    }
    return ERR_OK;
}

enum err sip_name_addr_parse(struct arena *arena, struct slice text, struct sip_name_addr *out)
{
    struct sip_addr_shape shape;
    struct slice trimmed = slice_trim(text);
    if (text.n > SIP_VALUE_MAX) return ERR_LIMIT;
    if (slice_is(trimmed, "*")) {
        *out = (struct sip_name_addr){.star = true};
        return ERR_OK;
    }
    if (!sip_scan_addr(trimmed, &shape)) return ERR_SYNTAX;
    struct sip_name_addr a;
    a.param_count = 0;
    enum err e = split_params(shape.params, &a);
    if (e == ERR_OK) e = sip_uri_parse(arena, shape.uri, &out->uri);
    if (e != ERR_OK) return e;
    out->display = shape.display;
    out->uri_text = shape.uri;
    out->star = false;
    out->param_count = a.param_count;
    copy_params(out->params, a.params, a.param_count);
    return ERR_OK;
}
