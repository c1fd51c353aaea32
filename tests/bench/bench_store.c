/* bench_store: what the store costs, in lines "group name value unit".
 *
 *   bench_store [ROUTES] [DIR]     default 1000000 routes in a new directory under DIR (default TMPDIR), removed at the
 * end
 *
 * The plan: ROUTES prefixes of seven digits behind "+49" (one in a hundred of five, above others), "+" and a few short
 * ones. Look-ups: numbers of twelve characters, nine of ten inside the plan, one snapshot per 64 look-ups, an arena for
 * each, timed one by one. */
#include <ftw.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>

#include <sched.h>

#include "node/base/rng.h"
#include "proto/plan_codec.h"
#include "store/store.h"

#define LOOKUPS 200000u
#define LOOKUP_ROUNDS 5
#define BATCH 64
#define SINGLES 2000u
#define CANDIDATES 64

static void die(const char *what, enum err e, const struct err_info *info)
{
    (void)fprintf(stderr, "bench_store: %s: %s %s\n", what, err_name(e), info != NULL ? info->text : "");
    exit(1);
}

static uint64_t now_ns(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static void line(const char *name, double value, const char *unit)
{
    (void)printf("store %s %.0f %s\n", name, value, unit);
}

/* ---- the plan ---- */

static void add_op(struct arena *arena, struct buf *scratch, struct change_op *op, const char *match)
{
    struct plan_object o;
    char key[PLAN_KEY_MAX];
    plan_object_init(&o, PLAN_ROUTE);
    o.route.match = slice_of(match);
    o.route.target = (struct plan_target){PLAN_TO_TRUNK, SLICE("carrier"), 0};
    buf_reset(scratch);
    enum err e = plan_object_pack(&o, scratch);
    if (e != ERR_OK) die("pack", e, NULL);
    *op = (struct change_op){.kind = CHANGE_PUT};
    op->key = arena_copy(arena, (struct slice){key, plan_object_key_text(&o, key)});
    op->value = arena_copy(arena, buf_view(scratch));
    if (op->key.p == NULL || op->value.p == NULL) die("memory", ERR_NOMEM, NULL);
}

/* A permutation of 0 .. 10^7-1, so that prefixes come in no order and never twice. */
static unsigned scattered(unsigned i)
{
    return (unsigned)((uint64_t)i * 7654321u % 10000000u);
}

static struct slice make_plan(struct arena *arena, unsigned routes, struct buf *packed)
{
    static const char *const small[] = {"+", "6", "8150-8379", "=112"};
    enum { SMALL = sizeof small / sizeof small[0] };
    struct change_op *ops = calloc(routes + SMALL, sizeof *ops);
    struct buf scratch = {0};
    struct changeset c = {.id = {.epoch = 1, .seq = 1}, .time = {1}, .ops = ops, .op_count = routes + SMALL};
    if (ops == NULL || node_name_set(&c.id.origin, SLICE("hq-1")) != ERR_OK) die("memory", ERR_NOMEM, NULL);
    for (unsigned i = 0; i < routes; i++) {
        char match[32];
        (void)snprintf(match, sizeof match, "+49%07u", scattered(i));
        /* Some are shorter and stand above others. */
        if (i % 100 == 0) (void)snprintf(match, sizeof match, "+49%05u", i / 100 % 100000);
        add_op(arena, &scratch, &ops[i], match);
    }
    for (unsigned i = 0; i < SMALL; i++)
        add_op(arena, &scratch, &ops[routes + i], small[i]);
    enum err e = changeset_pack(&c, packed);
    if (e != ERR_OK) die("pack", e, NULL);
    buf_fini(&scratch);
    free(ops);
    return buf_view(packed);
}

/* ---- jobs ---- */

static void submit(struct store *s, const char *origin, uint64_t seq, struct slice packed, const struct change_op *ops,
                   size_t op_count)
{
    struct changeset c = {
        .id = {.epoch = 1, .seq = seq}, .time = {seq}, .packed = packed, .ops = ops, .op_count = op_count};
    enum err e = node_name_set(&c.id.origin, slice_of(origin));
    if (e == ERR_OK) e = store_submit_changes(s, &c, 1, seq);
    if (e != ERR_OK) die("submit", e, NULL);
}

static void wait_done(struct store *s)
{
    struct store_completion done;
    struct timespec pause = {.tv_nsec = 20000};
    while (!store_completed(s, &done))
        (void)nanosleep(&pause, NULL);
    if (done.err != ERR_OK) die("job", done.err, &done.info);
}

static void bench_singles(struct store *s)
{
    struct arena arena = {0};
    struct buf scratch = {0};
    struct change_op op;
    uint64_t start = now_ns();
    for (uint64_t i = 1; i <= SINGLES; i++) {
        char match[32];
        (void)snprintf(match, sizeof match, "7%06llu", (unsigned long long)i);
        add_op(&arena, &scratch, &op, match);
        submit(s, "single", i, SLICE_NONE, &op, 1);
        wait_done(s);
    }
    line("commit_single", SINGLES * 1e9 / (double)(now_ns() - start), "1/s");
    start = now_ns();
    for (uint64_t i = 1; i <= SINGLES; i++) {
        add_op(&arena, &scratch, &op, "79");
        submit(s, "group", i, SLICE_NONE, &op, 1);
    }
    for (uint64_t i = 1; i <= SINGLES; i++)
        wait_done(s);
    line("commit_grouped", SINGLES * 1e9 / (double)(now_ns() - start), "1/s");
    buf_fini(&scratch);
    arena_fini(&arena);
}

/* ---- look-ups ---- */

static int u32_cmp(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a;
    uint32_t y = *(const uint32_t *)b;
    return x < y ? -1 : x > y;
}

static void decide(struct candidate *found, size_t count, struct slice number)
{
    struct decide_input in = {.number = number,
                              .site = SLICE("hq"),
                              .call_id = SLICE("a84b4c76e66710@pc33.example.org"),
                              .candidates = found,
                              .candidate_count = count};
    struct decision out;
    for (size_t i = 0; i < count; i++)
        found[i].health = TARGET_UP;
    plan_decide(&in, &out);
    if (out.target_count == 0) die("decide", ERR_NOTFOUND, NULL);
}

struct percentiles {
    uint32_t p50;
    uint32_t p99;
};

/* How long each of LOOKUPS took; mean of the candidates found, in *candidates. */
static struct percentiles lookups(struct store_read *r, unsigned routes, bool with_decision, double *candidates)
{
    static struct candidate found[CANDIDATES];
    uint32_t *took = calloc(LOOKUPS, sizeof *took);
    struct rng rng;
    uint64_t sum = 0;
    if (took == NULL) die("memory", ERR_NOMEM, NULL);
    rng_init(&rng, 1);
    for (unsigned i = 0; i < LOOKUPS; i++) {
        char number[32];
        struct arena arena = {0};
        size_t count;
        bool more;
        unsigned inside = scattered((unsigned)rng_below(&rng, routes));
        if (rng_below(&rng, 10) == 0) inside = (unsigned)rng_below(&rng, 10000000);
        (void)snprintf(number, sizeof number, "+49%07u%02u", inside, i % 100);
        if (i % BATCH == 0 && store_read_begin(r) != ERR_OK) die("begin", ERR_IO, NULL);
        uint64_t start = now_ns();
        enum err e = store_match(r, &arena, slice_of(number), found, CANDIDATES, &count, &more);
        if (with_decision) decide(found, count, slice_of(number));
        arena_fini(&arena);
        took[i] = (uint32_t)(now_ns() - start);
        if (e != ERR_OK) die("match", e, NULL);
        sum += count;
        if (i % BATCH == BATCH - 1 || i == LOOKUPS - 1) store_read_end(r);
    }
    qsort(took, LOOKUPS, sizeof *took, u32_cmp);
    struct percentiles p = {took[LOOKUPS / 2], took[LOOKUPS / 100 * 99]};
    free(took);
    *candidates = (double)sum / LOOKUPS;
    return p;
}

/* Of some rounds the least: what else the machine does only makes them longer. */
static void bench_lookups(struct store_read *r, unsigned routes, bool with_decision)
{
    struct percentiles least = {UINT32_MAX, UINT32_MAX};
    double candidates = 0;
    for (unsigned round = 0; round < LOOKUP_ROUNDS; round++) {
        struct percentiles p = lookups(r, routes, with_decision, &candidates);
        if (p.p50 < least.p50) least.p50 = p.p50;
        if (p.p99 < least.p99) least.p99 = p.p99;
    }
    line(with_decision ? "lookup_decided_p50" : "lookup_p50", least.p50, "ns");
    line(with_decision ? "lookup_decided_p99" : "lookup_p99", least.p99, "ns");
    if (!with_decision) (void)printf("store lookup_candidates %.2f mean\n", candidates);
}

/* ---- memory ---- */

/* Memory that is the process's own: not the mapped file. */
static void bench_memory(const char *name)
{
    FILE *f = fopen("/proc/self/smaps_rollup", "r");
    char text[256];
    unsigned long kib = 0;
    (void)malloc_trim(0); /* what this program itself had and gave back */
    while (f != NULL && fgets(text, sizeof text, f) != NULL) {
        if (sscanf(text, "Anonymous: %lu kB", &kib) == 1) line(name, (double)kib / 1024, "MiB");
    }
    if (f != NULL) (void)fclose(f);
}

/* ---- */

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)st;
    (void)type;
    (void)ftw;
    return remove(path);
}

static struct store *open_store(const char *dir)
{
    struct store *s = NULL;
    struct err_info info = {{0}, 0, 0};
    struct store_options options = {.dir = dir, .wall = {1}};
    enum err e = store_open(&options, &s, &info);
    if (e != ERR_OK) die("open", e, &info);
    return s;
}

static struct store_read *open_reader(struct store *s)
{
    struct store_read *r = NULL;
    enum err e = store_read_new(s, &r);
    if (e != ERR_OK) die("reader", e, NULL);
    return r;
}

static void bench_bulk(struct store *s, unsigned routes)
{
    struct arena arena = {0};
    struct buf packed = {0};
    struct slice bytes = make_plan(&arena, routes, &packed);
    uint64_t start = now_ns();
    submit(s, "hq-1", 1, bytes, NULL, 0);
    line("submit_copy", (double)(now_ns() - start) / 1e3, "us");
    wait_done(s);
    line("bulk_apply", routes * 1e9 / (double)(now_ns() - start), "routes/s");
    buf_fini(&packed);
    arena_fini(&arena);
    bench_memory(
        "private_memory_after_import"); /* LMDB keeps the pages of its largest transaction until it is closed */
}

int main(int argc, char **argv)
{
    unsigned routes = argc > 1 ? (unsigned)atoi(argv[1]) : 1000000;
    const char *base = argc > 2 ? argv[2] : getenv("TMPDIR");
    char dir[4096];
    if (routes < 1000 || routes > 1900000) die("1000 to 1900000 routes", ERR_LIMIT, NULL);
    (void)snprintf(dir, sizeof dir, "%s/tandem-bench-XXXXXX", base != NULL ? base : "/tmp");
    if (mkdtemp(dir) == NULL) die(dir, ERR_IO, NULL);
    struct store *s = open_store(dir);
    bench_bulk(s, routes);
    bench_singles(s);
    store_close(s);
    uint64_t start = now_ns();
    s = open_store(dir);
    struct store_read *r = open_reader(s);
    line("open", (double)(now_ns() - start) / 1e3, "us");
    bench_lookups(r, routes, false);
    bench_lookups(r, routes, true);
    bench_memory("private_memory");
    store_read_free(r);
    store_close(s);
    (void)nftw(dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
    return 0;
}
