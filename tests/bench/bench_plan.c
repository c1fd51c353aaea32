/* bench_plan: puts many routes into the replica of a node that does not run, as change-sets of that node's own log.
 *
 *   bench_plan DATA NODE ROUTES [PER_CHANGE [TARGET]]
 *
 * DATA is the node's data directory. The routes are prefixes of seven digits behind "+49" to trunk TARGET (default
 * "carrier"), in change-sets of PER_CHANGE (default 10000) operations. Prints how fast it went, packing left out. */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "proto/plan_codec.h"
#include "store/store.h"

#define ROUTES_MAX 10000000u

static void die(const char *what, enum err e, const struct err_info *info)
{
    (void)fprintf(stderr, "bench_plan: %s: %s %s\n", what, err_name(e), info != NULL ? info->text : "");
    exit(1);
}

static uint64_t clock_ns(clockid_t id)
{
    struct timespec t;
    (void)clock_gettime(id, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static void add_op(struct arena *arena, struct buf *scratch, struct change_op *op, const char *match, const char *trunk)
{
    struct plan_object o;
    char key[PLAN_KEY_MAX];
    plan_object_init(&o, PLAN_ROUTE);
    o.route.match = slice_of(match);
    o.route.target = (struct plan_target){PLAN_TO_TRUNK, slice_of(trunk), 0};
    buf_reset(scratch);
    enum err e = plan_object_pack(&o, scratch);
    if (e != ERR_OK) die("pack", e, NULL);
    op->kind = CHANGE_PUT;
    op->key = arena_copy(arena, (struct slice){key, plan_object_key_text(&o, key)});
    op->value = arena_copy(arena, buf_view(scratch));
    if (op->key.p == NULL || op->value.p == NULL) die("memory", ERR_NOMEM, NULL);
}

/* Where the node's own log ends. */
static struct log_id end_of_log(struct store *s, struct slice node)
{
    struct arena arena = {0};
    struct store_read *r = NULL;
    struct store_start start;
    struct log_id id = {.epoch = 0};
    enum err e = store_read_new(s, &r);
    if (e == ERR_OK) e = store_read_begin(r);
    if (e == ERR_OK) e = store_load_start(r, &arena, &start);
    if (e == ERR_OK) e = node_name_set(&id.origin, node);
    if (e != ERR_OK) die("start", e, NULL);
    id.epoch = start.epoch;
    for (size_t i = 0; i < start.plan_count; i++) {
        const struct vector_entry *v = &start.plan[i];
        if (node_name_eq(&v->origin, &id.origin) && v->epoch == id.epoch) id.seq = v->high;
    }
    store_read_end(r);
    store_read_free(r);
    arena_fini(&arena);
    return id;
}

static void wait_done(struct store *s)
{
    struct store_completion done;
    struct timespec pause = {.tv_nsec = 50000};
    while (!store_completed(s, &done))
        (void)nanosleep(&pause, NULL);
    if (done.err != ERR_OK) die("store", done.err, &done.info);
}

/* One change-set with the routes [from, to); how long it took to be durable. */
static uint64_t put(struct store *s, const struct log_id *id, unsigned from, unsigned to, const char *trunk)
{
    struct arena arena = {0};
    struct buf scratch = {0};
    struct buf packed = {0};
    struct change_op *ops = calloc(to - from, sizeof *ops);
    if (ops == NULL) die("memory", ERR_NOMEM, NULL);
    for (unsigned i = from; i < to; i++) {
        char match[32];
        /* A permutation of the seven digits: no order, and nothing twice. */
        (void)snprintf(match, sizeof match, "+49%07u", (unsigned)((uint64_t)i * 7654321u % ROUTES_MAX));
        add_op(&arena, &scratch, &ops[i - from], match, trunk);
    }
    uint64_t wall_ms = clock_ns(CLOCK_REALTIME) / 1000000u;
    struct changeset c = {.id = *id,
                          .time = {wall_ms << 16},
                          .author = SLICE("bench"),
                          .message = SLICE("many routes"),
                          .ops = ops,
                          .op_count = to - from};
    enum err e = changeset_pack(&c, &packed);
    if (e != ERR_OK) die("pack", e, NULL);
    c.packed = buf_view(&packed);
    c.ops = NULL;
    c.op_count = 0;
    uint64_t start = clock_ns(CLOCK_MONOTONIC);
    e = store_submit_changes(s, &c, 1, id->seq);
    if (e != ERR_OK) die("submit", e, NULL);
    wait_done(s);
    uint64_t took = clock_ns(CLOCK_MONOTONIC) - start;
    buf_fini(&packed);
    buf_fini(&scratch);
    arena_fini(&arena);
    free(ops);
    return took;
}

static unsigned number(const char *text, unsigned max)
{
    uint64_t v = 0;
    enum err e = slice_u64(slice_of(text), max, &v);
    if (e != ERR_OK || v == 0) die(text, ERR_SYNTAX, NULL);
    return (unsigned)v;
}

int main(int argc, char **argv)
{
    if (argc < 4 || argc > 6) {
        (void)fprintf(stderr, "usage: bench_plan DATA NODE ROUTES [PER_CHANGE [TARGET]]\n");
        return 2;
    }
    unsigned routes = number(argv[3], ROUTES_MAX);
    unsigned each = argc > 4 ? number(argv[4], LIMIT_CHANGE_OPS) : 10000;
    const char *trunk = argc > 5 ? argv[5] : "carrier";
    struct store *s = NULL;
    struct err_info info = {{0}, 0, 0};
    struct store_options options = {.dir = argv[1], .wall = {(int64_t)(clock_ns(CLOCK_REALTIME) / 1000000u)}};
    enum err e = store_open(&options, &s, &info);
    if (e != ERR_OK) die(argv[1], e, &info);
    struct log_id id = end_of_log(s, slice_of(argv[2]));
    uint64_t ns = 0;
    for (unsigned from = 0; from < routes; from += each) {
        id.seq++;
        ns += put(s, &id, from, routes - from < each ? routes : from + each, trunk);
    }
    store_close(s);
    (void)printf("federation bulk_plan_load %.0f routes/s\n", routes * 1e9 / (double)ns);
    return 0;
}
