#include "tests/unit/store/support.h"

#include <ftw.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include "store/tables.h"

/* ---- the store ---- */

static void wake(void *ctx)
{
    struct fixture *f = ctx;
    (void)pthread_mutex_lock(&f->lock);
    f->woken = true;
    (void)pthread_cond_signal(&f->done);
    (void)pthread_mutex_unlock(&f->lock);
}

static void open_store(struct fixture *f, uint64_t map_size)
{
    struct err_info info = {{0}, 0, 0};
    struct store_options options = {.dir = f->dir,
                                    .wall = {1700000000000},
                                    .map_size_initial = map_size,
                                    .log_keep_count = f->keep_count,
                                    .log_keep_bytes = f->keep_bytes,
                                    .completed = wake,
                                    .ctx = f};
    enum err e = store_open(&options, &f->store, &info);
    if (e != ERR_OK) fail_msg("%s: %s", err_name(e), info.text);
    assert_int_equal(store_read_new(f->store, &f->read), ERR_OK);
}

void fixture_open(struct fixture *f, const char *base, uint64_t map_size)
{
    const char *tmp = getenv("TMPDIR");
    *f = (struct fixture){.next_token = 1};
    if (base == NULL) base = tmp != NULL ? tmp : "/tmp";
    (void)snprintf(f->dir, sizeof f->dir, "%s/tandem-store-XXXXXX", base);
    assert_non_null(mkdtemp(f->dir));
    assert_int_equal(pthread_mutex_init(&f->lock, NULL), 0);
    assert_int_equal(pthread_cond_init(&f->done, NULL), 0);
    open_store(f, map_size);
}

void fixture_shut(struct fixture *f)
{
    store_read_free(f->read);
    store_close(f->store);
    f->read = NULL;
    f->store = NULL;
}

void fixture_start(struct fixture *f)
{
    open_store(f, 0);
}

void fixture_reopen(struct fixture *f)
{
    fixture_shut(f);
    open_store(f, 0);
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)st;
    (void)type;
    (void)ftw;
    return remove(path);
}

void remove_tree(const char *dir)
{
    (void)nftw(dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

void fixture_close(struct fixture *f)
{
    if (f->store != NULL) fixture_shut(f);
    remove_tree(f->dir);
    (void)pthread_mutex_destroy(&f->lock);
    (void)pthread_cond_destroy(&f->done);
}

struct store_completion fixture_wait(struct fixture *f)
{
    struct store_completion c;
    struct timespec deadline;
    (void)clock_gettime(CLOCK_REALTIME, &deadline);
    deadline.tv_sec += 60;
    (void)pthread_mutex_lock(&f->lock);
    while (!store_completed(f->store, &c)) {
        f->woken = false;
        int rc = 0;
        /* A job may have ended between the question and the lock of the flag; wake() takes the same lock. */
        while (!f->woken && rc == 0) {
            rc = pthread_cond_timedwait(&f->done, &f->lock, &deadline);
        }
        if (rc != 0) {
            (void)pthread_mutex_unlock(&f->lock);
            fail_msg("no job ended within a minute");
        }
    }
    (void)pthread_mutex_unlock(&f->lock);
    return c;
}

/* ---- change-sets ---- */

struct node_name name_of(const char *text)
{
    struct node_name n;
    assert_int_equal(node_name_set(&n, slice_of(text)), ERR_OK);
    return n;
}

void change_init(struct change *c, const char *origin, uint64_t epoch, uint64_t seq, uint64_t time)
{
    *c = (struct change){.set = {.id = {.origin = name_of(origin), .epoch = epoch, .seq = seq},
                                 .time = {time},
                                 .author = SLICE("test@here"),
                                 .message = SLICE("a change")}};
}

static struct change_op *next_op(struct change *c)
{
    c->set.ops = c->many != NULL ? c->many : c->ops;
    assert_true(c->set.op_count < (c->many != NULL ? c->many_cap : 64));
    return (c->many != NULL ? c->many : c->ops) + c->set.op_count++;
}

void change_put(struct change *c, const struct plan_object *o)
{
    struct buf packed = {0};
    char key[PLAN_KEY_MAX];
    struct change_op *op = next_op(c);
    assert_int_equal(plan_object_pack(o, &packed), ERR_OK);
    op->kind = CHANGE_PUT;
    op->key = arena_copy(&c->arena, (struct slice){key, plan_object_key_text(o, key)});
    op->value = arena_copy(&c->arena, buf_view(&packed));
    buf_fini(&packed);
}

void change_delete(struct change *c, const char *key)
{
    *next_op(c) =
        (struct change_op){.kind = CHANGE_DELETE, .key = arena_copy(&c->arena, slice_of(key)), .value = SLICE_NONE};
}

void change_fini(struct change *c)
{
    arena_fini(&c->arena);
    free(c->many);
}

/* ---- objects: their texts are borrowed ---- */

struct plan_object make_site(const char *name, const char *block)
{
    static struct slice blocks[8];
    static unsigned next;
    struct plan_object o;
    plan_object_init(&o, PLAN_SITE);
    o.site.name = slice_of(name);
    if (block != NULL) {
        struct slice *at = &blocks[next++ % 8]; /* packed at once by change_put, so eight are plenty */
        *at = slice_of(block);
        o.site.blocks = at;
        o.site.block_count = 1;
    }
    return o;
}

struct plan_object make_route(const char *scope, const char *match, const char *trunk)
{
    struct plan_object o;
    plan_object_init(&o, PLAN_ROUTE);
    o.route.scope = slice_of(scope);
    o.route.match = slice_of(match);
    o.route.target = (struct plan_target){PLAN_TO_TRUNK, slice_of(trunk), 0};
    return o;
}

struct plan_object make_account(const char *name, const char *number)
{
    static struct slice numbers[8];
    static unsigned next;
    struct plan_object o;
    plan_object_init(&o, PLAN_ACCOUNT);
    o.account.name = slice_of(name);
    if (number != NULL) {
        struct slice *at = &numbers[next++ % 8];
        *at = slice_of(number);
        o.account.numbers = at;
        o.account.number_count = 1;
    }
    return o;
}

/* ---- doing ---- */

struct store_completion apply(struct fixture *f, const struct change *c)
{
    uint64_t token = f->next_token++;
    assert_int_equal(store_submit_changes(f->store, &c->set, 1, token), ERR_OK);
    struct store_completion done = fixture_wait(f);
    assert_int_equal(done.token, token);
    return done;
}

enum err apply_err(struct fixture *f, const struct change *c)
{
    return apply(f, c).err;
}

struct store_completion apply_state(struct fixture *f, const struct state_record *records, size_t count,
                                    const struct store_private_put *puts, size_t put_count,
                                    const struct vector_entry *upto, size_t upto_count)
{
    uint64_t token = f->next_token++;
    assert_int_equal(store_submit_state(f->store, records, count, puts, put_count, upto, upto_count, token), ERR_OK);
    struct store_completion done = fixture_wait(f);
    assert_int_equal(done.token, token);
    return done;
}

struct plan_digest digest_now(struct fixture *f)
{
    struct plan_digest d;
    assert_int_equal(store_read_begin(f->read), ERR_OK);
    store_plan_digest(f->read, &d);
    store_read_end(f->read);
    return d;
}

struct store_plan_counts counts_now(struct fixture *f)
{
    struct store_plan_counts c;
    assert_int_equal(store_read_begin(f->read), ERR_OK);
    store_plan_counts(f->read, &c);
    store_read_end(f->read);
    return c;
}

enum err object_err(struct fixture *f, const char *key)
{
    struct slice packed;
    assert_int_equal(store_read_begin(f->read), ERR_OK);
    enum err e = store_object(f->read, slice_of(key), &packed, NULL);
    store_read_end(f->read);
    return e;
}

uint64_t counter(struct fixture *f, const char *name)
{
    const struct counter_table *t = store_counters(f->store);
    for (size_t i = 0; i < t->count; i++) {
        if (strcmp(t->names[i], name) == 0) return counter_get(&t->values[i]);
    }
    fail_msg("no counter %s", name);
    return 0;
}

void match_text(struct fixture *f, const char *number, char *out, size_t cap)
{
    struct candidate found[64];
    struct arena arena = {0};
    struct buf text = {0};
    size_t count;
    bool more;
    assert_int_equal(store_read_begin(f->read), ERR_OK);
    assert_int_equal(store_match(f->read, &arena, slice_of(number), found, 64, &count, &more), ERR_OK);
    assert_false(more);
    for (size_t i = 0; i < count; i++) {
        plan_target_text(&found[i].route.target, &text);
        buf_text(&text, " ");
    }
    store_read_end(f->read);
    (void)snprintf(out, cap, "%.*s", (int)text.n, text.n > 0 ? text.p : "");
    buf_fini(&text);
    arena_fini(&arena);
}

/* ---- one op ---- */

static enum err apply_one(struct fixture *f, struct change *c)
{
    enum err e = apply_err(f, c);
    change_fini(c);
    return e;
}

enum err put_site(struct fixture *f, const char *origin, uint64_t seq, uint64_t time, const char *name)
{
    struct change c;
    change_init(&c, origin, 1, seq, time);
    struct plan_object o = make_site(name, NULL);
    change_put(&c, &o);
    return apply_one(f, &c);
}

enum err put_route(struct fixture *f, const char *origin, uint64_t seq, uint64_t time, const char *match,
                   const char *trunk)
{
    struct change c;
    change_init(&c, origin, 1, seq, time);
    struct plan_object o = make_route("", match, trunk);
    change_put(&c, &o);
    return apply_one(f, &c);
}

enum err drop(struct fixture *f, const char *origin, uint64_t seq, uint64_t time, const char *key)
{
    struct change c;
    change_init(&c, origin, 1, seq, time);
    change_delete(&c, key);
    return apply_one(f, &c);
}

/* ---- vectors and floors ---- */

struct vector_entry entry_of(const char *origin, uint64_t epoch, uint64_t high)
{
    return (struct vector_entry){name_of(origin), epoch, high};
}

struct vector_of vector_of(const struct vector_entry *v, size_t count)
{
    struct vector_of out = {.count = count};
    assert_true(count <= 16);
    if (count > 0) memcpy(out.items, v, count * sizeof *v);
    return out;
}

struct vector_of vector_now(struct fixture *f)
{
    struct arena arena = {0};
    struct store_start start;
    assert_int_equal(store_read_begin(f->read), ERR_OK);
    assert_int_equal(store_load_start(f->read, &arena, &start), ERR_OK);
    struct vector_of out = vector_of(start.plan, start.plan_count);
    store_read_end(f->read);
    arena_fini(&arena);
    return out;
}

struct vector_of cut_now(struct fixture *f)
{
    struct arena arena = {0};
    const struct vector_entry *cut = NULL;
    size_t count = 0;
    assert_int_equal(store_read_begin(f->read), ERR_OK);
    assert_int_equal(store_cut(f->read, &arena, &cut, &count), ERR_OK);
    struct vector_of out = vector_of(cut, count);
    store_read_end(f->read);
    arena_fini(&arena);
    return out;
}

static struct store_completion wait_for(struct fixture *f, uint64_t token)
{
    struct store_completion done = fixture_wait(f);
    assert_int_equal(done.token, token);
    return done;
}

struct store_completion raise_floor(struct fixture *f, const struct vector_entry *v, size_t count)
{
    uint64_t token = f->next_token++;
    assert_int_equal(store_submit_floor_raise(f->store, v, count, token), ERR_OK);
    return wait_for(f, token);
}

struct store_completion adopt_floor(struct fixture *f, uint64_t floor, const struct vector_entry *cut, size_t count)
{
    uint64_t token = f->next_token++;
    assert_int_equal(store_submit_floor_adopt(f->store, (struct hlc){floor}, cut, count, token), ERR_OK);
    return wait_for(f, token);
}

/* ---- snapshots ---- */

struct store_completion put_piece(struct fixture *f, const struct store_piece *piece)
{
    uint64_t token = f->next_token++;
    assert_int_equal(store_submit_piece(f->store, piece, token), ERR_OK);
    return wait_for(f, token);
}

struct gather {
    struct snapshot_object objects[64];
    size_t count;
    size_t max;
};

static bool gather_object(void *ctx, const struct snapshot_object *o)
{
    struct gather *g = ctx;
    if (g->count == g->max) return false;
    g->objects[g->count++] = *o;
    return true;
}

struct store_completion try_put_aside(struct fixture *f, struct fixture *donor, size_t piece_objects)
{
    struct arena arena = {0};
    struct slice after = SLICE("");
    struct store_completion done;
    bool first = true;
    size_t count;
    do {
        struct gather g = {.max = piece_objects};
        assert_true(piece_objects <= 64);
        assert_int_equal(store_read_begin(donor->read), ERR_OK);
        assert_int_equal(store_snapshot(donor->read, after, gather_object, &g), ERR_OK);
        struct store_piece piece = {.first = first, .objects = g.objects, .object_count = g.count};
        done = put_piece(f, &piece);
        if (g.count > 0) after = arena_copy(&arena, g.objects[g.count - 1].key);
        store_read_end(donor->read);
        first = false;
        count = g.count;
    } while (count > 0 && done.err == ERR_OK);
    arena_fini(&arena);
    return done;
}

void put_aside(struct fixture *f, struct fixture *donor, size_t piece_objects)
{
    struct store_completion done = try_put_aside(f, donor, piece_objects);
    if (done.err != ERR_OK) fail_msg("%s: %s", err_name(done.err), done.info.text);
}

struct store_completion replace_by(struct fixture *f, uint64_t floor, const struct vector_of *vector,
                                   const struct vector_of *cut)
{
    uint64_t token = f->next_token++;
    struct store_replacement r = {vector->items, vector->count, {floor}, cut->items, cut->count};
    assert_int_equal(store_submit_replacement(f->store, &r, token), ERR_OK);
    return wait_for(f, token);
}

struct store_completion take_snapshot(struct fixture *f, struct fixture *donor, size_t piece_objects)
{
    struct vector_of vector = vector_now(donor);
    struct vector_of cut = cut_now(donor);
    put_aside(f, donor, piece_objects);
    return replace_by(f, replica_now(donor).floor, &vector, &cut);
}

/* ---- what is there ---- */

struct sum {
    struct plan_digest digest;
    uint64_t objects;
    uint64_t tombstones;
    char last[PLAN_KEY_MAX];
    size_t last_len;
};

static bool add_object(void *ctx, const struct snapshot_object *o)
{
    struct sum *s = ctx;
    unsigned char hash[HASH_SHA256_LEN];
    assert_true(slice_cmp((struct slice){s->last, s->last_len}, o->key) < 0);
    memcpy(s->last, o->key.p, o->key.n);
    s->last_len = o->key.n;
    s->tombstones += o->deleted;
    if (o->deleted) return true;
    assert_int_equal(plan_object_hash(NULL, o->key, o->value, hash), ERR_OK);
    plan_digest_add(&s->digest, hash);
    s->objects++;
    return true;
}

struct replica replica_now(struct fixture *f)
{
    struct sum sum = {.objects = 0};
    struct arena arena = {0};
    struct store_start start;
    struct plan_digest digest;
    assert_int_equal(store_read_begin(f->read), ERR_OK);
    assert_int_equal(store_snapshot(f->read, SLICE(""), add_object, &sum), ERR_OK);
    assert_int_equal(store_load_start(f->read, &arena, &start), ERR_OK);
    store_plan_digest(f->read, &digest);
    store_read_end(f->read);
    arena_fini(&arena);
    assert_true(plan_digest_eq(digest, sum.digest));
    assert_int_equal(start.objects, sum.objects);
    assert_int_equal(start.tombstones, sum.tombstones);
    return (struct replica){digest, sum.objects, sum.tombstones, start.floor.v, start.time.v, start.log_bytes};
}

struct walk {
    struct buf text;
    uint64_t next;
    uint64_t last;
};

static bool walk_log(void *ctx, const struct log_id *id, struct slice packed)
{
    struct walk *w = ctx;
    assert_true(packed.n > 0);
    assert_int_equal(id->seq, w->next);
    w->last = w->next++;
    return true;
}

void logs_text(struct fixture *f, char *out, size_t cap)
{
    struct arena arena = {0};
    struct store_start start;
    struct walk w = {.next = 0};
    assert_int_equal(store_read_begin(f->read), ERR_OK);
    assert_int_equal(store_load_start(f->read, &arena, &start), ERR_OK);
    for (size_t i = 0; i < start.plan_count; i++) {
        const struct vector_entry *v = &start.plan[i];
        w.next = start.plan_base[i] + 1;
        w.last = start.plan_base[i];
        assert_int_equal(store_log(f->read, &v->origin, v->epoch, w.next, walk_log, &w), ERR_OK);
        assert_int_equal(w.last, v->high); /* without a gap up to its end */
        buf_printf(&w.text, "%s/%llu:%llu-%llu ", v->origin.s, (unsigned long long)v->epoch,
                   (unsigned long long)start.plan_base[i] + 1, (unsigned long long)v->high);
    }
    store_read_end(f->read);
    (void)snprintf(out, cap, "%.*s", (int)w.text.n, w.text.n > 0 ? w.text.p : "");
    buf_fini(&w.text);
    arena_fini(&arena);
}

static bool name_change(void *ctx, const struct log_id *id, struct slice packed)
{
    assert_true(packed.n > 0);
    buf_printf(ctx, "%s/%llu/%llu ", id->origin.s, (unsigned long long)id->epoch, (unsigned long long)id->seq);
    return true;
}

void history_text(struct fixture *f, char *out, size_t cap)
{
    struct buf text = {0};
    assert_int_equal(store_read_begin(f->read), ERR_OK);
    assert_int_equal(store_history(f->read, SIZE_MAX, name_change, &text), ERR_OK);
    store_read_end(f->read);
    (void)snprintf(out, cap, "%.*s", (int)text.n, text.n > 0 ? text.p : "");
    buf_fini(&text);
}

uint64_t table_count(const struct fixture *f, unsigned table)
{
    struct env env;
    struct env_write w;
    struct err_info info = {{0}, 0, 0};
    MDB_stat st;
    assert_null(f->store);
    assert_int_equal(env_open(&env, f->dir, "plan", plan_tables, NULL, 0, &info), ERR_OK);
    assert_int_equal(env_begin(&env, &w), ERR_OK);
    assert_int_equal(mdb_stat(w.txn, env.tables[table], &st), MDB_SUCCESS);
    env_abort(&w);
    env_close(&env);
    return st.ms_entries;
}

struct store_completion apply_bytes(struct fixture *f, uint64_t seq, size_t bytes)
{
    static char note[LIMIT_TEXT];
    struct change c;
    memset(note, 'n', sizeof note);
    change_init(&c, "hq-1", 1, seq, 100 + seq);
    c.many_cap = bytes / sizeof note + 1;
    c.many = calloc(c.many_cap, sizeof *c.many);
    assert_non_null(c.many);
    for (size_t i = 0; i < c.many_cap; i++) {
        char match[32];
        (void)snprintf(match, sizeof match, "%llu%05zu", (unsigned long long)seq, i);
        struct plan_object o = make_route("", match, "pbx");
        o.route.note = (struct slice){note, sizeof note};
        change_put(&c, &o);
    }
    struct store_completion done = apply(f, &c);
    change_fini(&c);
    return done;
}
