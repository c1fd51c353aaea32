/* plan_file: see the header. Clear text lives in the document's text and in the objects; both are wiped as soon as the
 * hashes exist. */
#include "cli/plan_file.h"

#include <sys/stat.h>

#include "cli/conn.h"
#include "cli/progress.h"
#include "node/base/list.h"
#include "proto/plan_codec.h"

/* What the document says of one key. */
struct entry {
    struct map_node node;
    struct slice key;
    const struct plan_object *object; /* NULL: it is removed */
    struct plan_place place;
};

/* The digits behind PLAN_DIGEST_COMMENT among the comment lines at the top. */
static struct slice digest_of(struct slice text)
{
    struct slice line;
    if (slice_starts(text, SLICE("\xef\xbb\xbf"))) text = (struct slice){text.p + 3, text.n - 3};
    while (text.n > 0 && text.p[0] == '#') {
        text = slice_cut(text, '\n', &line);
        if (!slice_starts(line, SLICE(PLAN_DIGEST_COMMENT))) continue;
        size_t skip = sizeof PLAN_DIGEST_COMMENT - 1;
        struct slice digits = slice_trim((struct slice){line.p + skip, line.n - skip});
        unsigned char bytes[(PLAN_DIGEST_TEXT - 1) / 2];
        return hex_decode(digits, bytes, sizeof bytes) == ERR_OK ? digits : SLICE_NONE;
    }
    return SLICE_NONE;
}

/* ---- looking up ---- */

static enum err index_add(struct plan_file *f, struct slice key, const struct plan_object *object,
                          struct plan_place place)
{
    struct entry *entry = arena_alloc(&f->arena, sizeof *entry);
    if (entry == NULL) return ERR_NOMEM;
    *entry = (struct entry){.key = key, .object = object, .place = place};
    map_insert(&f->by_key, &entry->node, map_hash(&f->by_key, key));
    return ERR_OK;
}

/* The document is the operator's own, so that the seed of the table need not be secret. */
static enum err index_all(struct plan_file *f)
{
    enum err e = map_init(&f->by_key, f->doc.object_count + f->doc.remove_count, 1);
    for (size_t i = 0; e == ERR_OK && i < f->doc.object_count; i++) {
        const struct plan_object *o = &f->doc.objects[i];
        char text[PLAN_KEY_MAX];
        struct slice key = arena_copy(&f->arena, (struct slice){text, plan_object_key_text(o, text)});
        e = key.p != NULL ? index_add(f, key, o, (struct plan_place){o->line, o->column}) : ERR_NOMEM;
    }
    for (size_t i = 0; e == ERR_OK && i < f->doc.remove_count; i++) {
        e = index_add(f, f->doc.remove[i], NULL, f->doc.remove_place[i]);
    }
    return e;
}

static const struct entry *find(const struct plan_file *f, struct slice key)
{
    struct map_node *n = map_first(&f->by_key, map_hash(&f->by_key, key));
    for (; n != NULL; n = map_next(n)) {
        const struct entry *entry = CONTAINER_OF(n, struct entry, node);
        if (slice_eq(entry->key, key)) return entry;
    }
    return NULL;
}

const struct plan_object *plan_file_object(const struct plan_file *f, struct slice key)
{
    const struct entry *entry = find(f, key);
    return entry != NULL ? entry->object : NULL;
}

bool plan_file_has(const struct plan_file *f, struct slice key)
{
    return find(f, key) != NULL || plan_bulk_place(&f->bulk, key).line > 0;
}

struct plan_place plan_file_place(const struct plan_file *f, struct slice key)
{
    const struct entry *entry = find(f, key);
    return entry != NULL ? entry->place : plan_bulk_place(&f->bulk, key);
}

size_t plan_file_count(const struct plan_file *f)
{
    return f->doc.object_count + f->doc.remove_count + f->bulk.count;
}

/* ---- reading ---- */

enum err plan_file_take(struct plan_file *f, struct plan_object *objects, size_t object_count, struct slice *remove,
                        struct plan_place *remove_place, size_t remove_count, struct slice digest)
{
    f->doc = (struct plan_document){.objects = objects,
                                    .object_count = object_count,
                                    .remove = remove,
                                    .remove_place = remove_place,
                                    .remove_count = remove_count};
    f->digest = digest;
    return index_all(f);
}

static bool is_table(const char *path)
{
    struct slice name = slice_of(path);
    return name.n > 4 && slice_eq_nocase((struct slice){name.p + name.n - 4, 4}, SLICE(".csv"));
}

/* ---- a document that is too large to be held ---- */

#define LARGE_FROM 4194304 /* bytes */
#define HEAD_MAX 4096      /* the digest's comment is looked for in so many */

struct passage {
    FILE *in;
    enum err (*take)(void *ctx, const struct plan_object *route);
    void *ctx;
    struct cli *c;
    struct progress progress;
    size_t count;
    char head[HEAD_MAX];
    size_t head_len;
};

static bool read_piece(void *ctx, void *out, size_t cap, size_t *len)
{
    struct passage *p = ctx;
    *len = fread(out, 1, cap, p->in);
    const size_t room = HEAD_MAX - p->head_len;
    const size_t n = *len < room ? *len : room;
    memcpy(p->head + p->head_len, out, n);
    p->head_len += n;
    return ferror(p->in) == 0;
}

static enum err take_one(void *ctx, const struct plan_object *route)
{
    struct passage *p = ctx;
    progress_step(p->c, &p->progress, "routes read", ++p->count);
    return p->take(p->ctx, route);
}

static enum err pass(struct plan_file *f, struct passage *p)
{
    struct err_info info = {0};
    const struct plan_document_stream stream = {
        .read = read_piece, .take = take_one, .ctx = p, .seed = (uint64_t)(uintptr_t)p};
    enum err e = plan_document_read(&f->arena, &stream, &f->doc, &info);
    if (e == ERR_OK) e = index_all(f);
    if (e != ERR_OK) return e;
    const struct slice digest = digest_of((struct slice){p->head, p->head_len});
    f->digest = arena_copy(&f->arena, digest);
    f->digest_written = digest.n > 0;
    return f->digest.p != NULL ? ERR_OK : ERR_NOMEM;
}

bool plan_file_pass(struct cli *c, struct plan_file *f, const char *path,
                    enum err (*take)(void *ctx, const struct plan_object *route), void *ctx)
{
    struct stat st;
    struct passage p = {.in = is_table(path) ? NULL : fopen(path, "rb"), .take = take, .ctx = ctx, .c = c};
    f->name = path;
    bool large = p.in != NULL && fstat(fileno(p.in), &st) == 0 && S_ISREG(st.st_mode) && st.st_size >= LARGE_FROM &&
                 st.st_size <= PLAN_FILE_MAX;
    bool done = large && pass(f, &p) == ERR_OK;
    progress_end(c, &p.progress);
    if (p.in != NULL) (void)fclose(p.in);
    secret_wipe(p.head, sizeof p.head);
    return done;
}

static enum err take_route(void *ctx, const struct plan_object *route)
{
    return plan_bulk_route(ctx, route);
}

/* A route that is described and removed. */
static bool contradicts(const struct plan_file *f)
{
    for (size_t i = 0; i < f->doc.remove_count; i++) {
        if (plan_bulk_place(&f->bulk, f->doc.remove[i]).line > 0) return true;
    }
    return false;
}

int plan_file_read_passing(struct cli *c, const char *path, struct plan_file *f)
{
    *f = (struct plan_file){.name = path};
    if (plan_bulk_open(&f->bulk) == ERR_OK && plan_file_pass(c, f, path, take_route, &f->bulk) &&
        plan_bulk_close(&f->bulk) == ERR_OK && !contradicts(f)) {
        return CLI_DONE;
    }
    plan_file_fini(f);
    return plan_file_read(c, path, f);
}

int plan_file_read(struct cli *c, const char *path, struct plan_file *f)
{
    *f = (struct plan_file){.name = path};
    if (is_table(path)) {
        return cli_fail(c, CLI_USAGE, "%s is a table: 'plan import %s' takes it; --dry-run only looks", path, path);
    }
    int status = cli_read_file(c, path, PLAN_FILE_MAX, &f->arena, &f->text);
    if (status != CLI_DONE) return status;
    f->digest = digest_of(f->text);
    f->digest_written = f->digest.n > 0;
    struct plan_faults *faults = arena_alloc(&f->arena, sizeof *faults);
    enum err e = faults != NULL ? plan_document_check(&f->arena, f->text, &f->doc, faults) : ERR_NOMEM;
    if (e == ERR_OK) e = index_all(f);
    if (e == ERR_OK) return CLI_DONE;
    if (e == ERR_NOMEM) return cli_fail(c, CLI_REFUSED, "%s: no memory", path);
    f->faults = faults;
    return CLI_FINDINGS;
}

static void wipe(struct slice s)
{
    if (s.n > 0) secret_wipe((char *)(uintptr_t)s.p, s.n);
}

void plan_file_fini(struct plan_file *f)
{
    for (size_t i = 0; i < f->doc.object_count; i++) {
        const struct plan_object *o = &f->doc.objects[i];
        if (o->kind == PLAN_ACCOUNT) wipe(o->account.password);
        if (o->kind == PLAN_TRUNK) wipe(o->trunk.registration.password);
    }
    wipe(f->text);
    plan_bulk_fini(&f->bulk);
    map_fini(&f->by_key);
    arena_fini(&f->arena);
    *f = (struct plan_file){0};
}

/* ---- passwords ---- */

struct realm {
    struct arena *arena;
    struct slice domain;
};

static void each_defaults(void *ctx, const struct control_record *r)
{
    struct realm *realm = ctx;
    struct plan_object o;
    if (!slice_is(r->kind, "object") || !slice_is(control_get_text(r, "key"), "defaults")) return;
    if (plan_object_unpack(realm->arena, control_get_text(r, "packed"), &o, NULL) == ERR_OK)
        realm->domain = o.defaults.domain;
}

/* The domain of the node's plan. A plan without defaults is answered by a refusal, which is no failure here. */
static int ask_domain(struct cli *c, struct realm *realm)
{
    struct arena arena = {0};
    struct control_builder b;
    struct control_record args;
    control_record_start(&b, &arena, "");
    control_text(&b, "object", SLICE("defaults"));
    int status = CLI_REFUSED;
    if (control_record_done(&b, &args) == ERR_OK) {
        struct conn_request request = {
            .command = "plan show", .args = &args, .each = each_defaults, .ctx = realm, .quiet = true};
        status = conn_ask(c, &request);
        request.quiet = false;
        if (status != CLI_DONE && status != CLI_REFUSED)
            status = conn_ask(c, &request); /* to hear why */
        else
            status = CLI_DONE;
    }
    arena_fini(&arena);
    return status;
}

static int find_realm(struct cli *c, struct plan_file *f, struct realm *realm)
{
    for (size_t i = 0; i < f->doc.object_count; i++) {
        const struct plan_object *o = &f->doc.objects[i];
        if (o->kind == PLAN_DEFAULTS && o->defaults.domain.n > 0) realm->domain = o->defaults.domain;
    }
    int status = realm->domain.n > 0 ? CLI_DONE : ask_domain(c, realm);
    if (status == CLI_DONE && realm->domain.n == 0) {
        return cli_fail(
            c, CLI_REFUSED,
            "%s%spasswords are hashed together with the domain, and neither the document nor the plan has one: "
            "write defaults: { domain: example.org }",
            f->name != NULL ? f->name : "", f->name != NULL ? ": " : "");
    }
    return status;
}

int plan_file_hash_passwords(struct cli *c, struct plan_file *f)
{
    struct realm realm = {.arena = &f->arena};
    for (size_t i = 0; i < f->doc.object_count; i++) {
        struct plan_object *o = &f->doc.objects[i];
        if (o->kind != PLAN_ACCOUNT || o->account.password.n == 0) continue;
        if (realm.domain.n == 0) {
            int status = find_realm(c, f, &realm);
            if (status != CLI_DONE) return status;
        }
        enum err e = plan_account_hash_password(&o->account, realm.domain);
        if (e != ERR_OK) {
            return cli_fail(c, CLI_REFUSED, "%s:%u:%u: the password of account %.*s cannot be hashed: %s",
                            f->name != NULL ? f->name : "", o->line, o->column, SLICE_ARG(o->account.name),
                            err_name(e));
        }
        wipe(o->account.password);
        o->account.password = SLICE_NONE;
    }
    return CLI_DONE;
}

/* ---- arguments ---- */

static enum err put_record(struct arena *arena, const struct plan_object *o, struct control_record *out)
{
    struct control_builder b;
    struct buf packed = {0};
    char key[PLAN_KEY_MAX];
    size_t key_len = plan_object_key_text(o, key);
    enum err e = plan_object_pack(o, &packed);
    if (e == ERR_OK) {
        control_record_start(&b, arena, "put");
        control_text(&b, "key", (struct slice){key, key_len});
        control_bytes(&b, "packed", buf_view(&packed));
        if (o->line > 0) control_int(&b, "line", o->line);
        bool keep = (o->kind == PLAN_ACCOUNT && o->account.password_keep) ||
                    (o->kind == PLAN_TRUNK && o->trunk.registration.password_keep);
        if (keep) control_bool(&b, "keep", true);
        if (o->kind == PLAN_TRUNK && o->trunk.registration.password.n > 0) {
            control_text(&b, "secret", o->trunk.registration.password);
        }
        e = control_record_done(&b, out);
    }
    buf_fini(&packed);
    return e;
}

#define BULK_FROM 1000 /* objects; a smaller change travels as records, which older nodes know */

/* A secret, and that one is to be kept, need a record of their own. */
static bool is_plain(const struct plan_object *o)
{
    bool secret =
        o->kind == PLAN_TRUNK && (o->trunk.registration.password.n > 0 || o->trunk.registration.password_keep);
    return !secret && !(o->kind == PLAN_ACCOUNT && o->account.password_keep);
}

static enum err bulk_deletes(const struct plan_file *f, struct control_builder *b)
{
    struct buf deletes = {0};
    for (size_t i = 0; i < f->doc.remove_count; i++)
        control_bulk_add(&deletes, f->doc.remove[i]);
    enum err e = deletes.failed ? ERR_NOMEM : ERR_OK;
    control_list(b, "deletes", NULL, 0);
    if (e == ERR_OK) control_bytes(b, "bulk_deletes", buf_view(&deletes));
    buf_fini(&deletes);
    return e;
}

/* What needs no record of its own goes behind the arguments. */
static enum err bulk_puts(struct plan_file *f)
{
    if (f->bulk_whole) return ERR_OK;
    enum err e = f->bulk.file != NULL ? ERR_OK : plan_bulk_open(&f->bulk);
    for (size_t i = 0; e == ERR_OK && i < f->doc.object_count; i++) {
        if (is_plain(&f->doc.objects[i])) e = plan_bulk_object(&f->bulk, &f->doc.objects[i]);
    }
    f->bulk_whole = e == ERR_OK;
    return e == ERR_OK ? plan_bulk_close(&f->bulk) : e;
}

struct conn_bulk plan_file_bulk(const struct plan_file *f)
{
    return (struct conn_bulk){PLAN_BULK_ARGUMENT, f->bulk_whole ? f->bulk.file : NULL, f->bulk.size};
}

static enum err put_records(const struct plan_file *f, bool bulk, struct control_builder *b)
{
    size_t count = 0;
    for (size_t i = 0; i < f->doc.object_count; i++)
        count += !bulk || !is_plain(&f->doc.objects[i]);
    struct control_record *puts = arena_alloc(b->arena, count * sizeof *puts);
    if (puts == NULL) return ERR_NOMEM;
    for (size_t i = 0, n = 0; i < f->doc.object_count; i++) {
        if (bulk && is_plain(&f->doc.objects[i])) continue;
        enum err e = put_record(b->arena, &f->doc.objects[i], &puts[n++]);
        if (e != ERR_OK) return e;
    }
    control_list(b, "puts", puts, count);
    return ERR_OK;
}

static enum err delete_records(const struct plan_file *f, struct control_builder *b)
{
    struct control_record *deletes = arena_alloc(b->arena, f->doc.remove_count * sizeof *deletes);
    if (deletes == NULL) return ERR_NOMEM;
    for (size_t i = 0; i < f->doc.remove_count; i++) {
        struct control_builder item;
        control_record_start(&item, b->arena, "delete");
        control_text(&item, "key", f->doc.remove[i]);
        enum err e = control_record_done(&item, &deletes[i]);
        if (e != ERR_OK) return e;
    }
    control_list(b, "deletes", deletes, f->doc.remove_count);
    return ERR_OK;
}

enum err plan_file_args(struct plan_file *f, struct control_builder *b)
{
    bool bulk = plan_file_count(f) > BULK_FROM || f->bulk.count > 0; /* however few routes a large document has */
    enum err e = put_records(f, bulk, b);
    if (e == ERR_OK) e = bulk ? bulk_deletes(f, b) : delete_records(f, b);
    if (e == ERR_OK && bulk) e = bulk_puts(f);
    control_text(b, "document", slice_of(f->name));
    return e;
}
