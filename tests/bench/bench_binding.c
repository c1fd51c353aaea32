/* bench_binding: a whole node with many bindings in its store: how long the decision about a bound number takes, from
 * the replica to the contact, and what a binding takes of private memory beside that.
 *
 *   bench_binding BINDINGS
 *
 * Prints "registration lookup_bound_p50 VALUE ns" and so on. Each account has one number of its own. */
#include "tests/unit/app/kit.h"

#include <malloc.h>
#include <stdio.h>
#include <time.h>

#define AT_ONCE 2000
#define PASSES 7
#define LOOKUPS 30000 /* of a pass */

static uint64_t now_ns(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static void load_plan(struct kit *k, unsigned count)
{
    struct store *s = kit_store_open(k);
    for (unsigned from = 0; from < count; from += AT_ONCE) {
        struct buf yaml = {0};
        buf_text(&yaml, from == 0 ? "plan: 1\ndefaults: { domain: example.org }\nsites: { hq: {} }\naccounts:\n"
                                  : "plan: 1\naccounts:\n");
        for (unsigned i = from; i < from + AT_ONCE && i < count; i++)
            buf_printf(&yaml, "  a%06u: { numbers: [\"=8%06u\"] }\n", i, i);
        buf_add(&yaml, "", 1);
        kit_store_plan(s, yaml.p);
        buf_fini(&yaml);
    }
    kit_store_close(s);
}

static size_t waiting;

static void written(void *ctx, enum err err)
{
    (void)ctx;
    if (err != ERR_OK) fail_msg("a binding was not written: %s", err_name(err));
    waiting--;
}

static bool all_written(void *ctx)
{
    (void)ctx;
    return waiting == 0;
}

static void load_bindings(struct kit *k, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        char account[16];
        char contact[64];
        (void)snprintf(account, sizeof account, "a%06u", i);
        (void)snprintf(contact, sizeof contact, "sip:a%06u@192.0.2.7:5060", i);
        struct binding b = kit_binding(account, contact, 3000000);
        waiting++;
        registrations_write(&k->node, &b, 1, NULL, 0, written, NULL);
        if (waiting == AT_ONCE) kit_until(k, all_written, NULL, "bindings to be written");
    }
    kit_until(k, all_written, NULL, "bindings to be written");
}

static int by_value(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a;
    uint64_t y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

static void one_pass(struct kit *k, unsigned count, struct rng *rng, uint64_t *p50, uint64_t *p99)
{
    static uint64_t took_ns[LOOKUPS];
    for (size_t i = 0; i < LOOKUPS; i++) {
        char number[16];
        struct arena arena = {0};
        struct routing_result result;
        (void)snprintf(number, sizeof number, "8%06u", (unsigned)rng_below(rng, count));
        struct edge_query q = {.dialled = slice_of(number), .call_id = slice_of(number), .call = true};
        uint64_t begin = now_ns();
        assert_int_equal(node_read_begin(&k->node), ERR_OK);
        assert_int_equal(routing_decide(&k->node, &arena, &q, &result), ERR_OK);
        node_read_end(&k->node);
        took_ns[i] = now_ns() - begin;
        assert_int_equal(result.decision.target_count, 1);
        arena_fini(&arena);
    }
    qsort(took_ns, LOOKUPS, sizeof took_ns[0], by_value);
    *p50 = took_ns[LOOKUPS / 2];
    *p99 = took_ns[LOOKUPS / 100 * 99];
}

/* Of the passes the least disturbed one counts: the others are what else the machine did. */
static void look_up(struct kit *k, unsigned count)
{
    struct rng rng;
    uint64_t best50 = UINT64_MAX;
    uint64_t best99 = UINT64_MAX;
    rng_init(&rng, 1);
    for (unsigned i = 0; i < PASSES; i++) {
        uint64_t p50 = 0;
        uint64_t p99 = 0;
        one_pass(k, count, &rng, &p50, &p99);
        if (p50 < best50) best50 = p50;
        if (p99 < best99) best99 = p99;
    }
    printf("registration lookup_bound_p50 %llu ns\n", (unsigned long long)best50);
    printf("registration lookup_bound_p99 %llu ns\n", (unsigned long long)best99);
}

/* Bytes of the heap that are in use. */
static size_t heap(void)
{
    struct mallinfo2 m = mallinfo2();
    return m.uordblks + m.hblkhd;
}

int main(int argc, char **argv)
{
    struct kit k;
    unsigned count = argc == 2 ? (unsigned)strtoul(argv[1], NULL, 10) : 0;
    if (count == 0 || count > 1000000) {
        (void)fputs("usage: bench_binding BINDINGS\n", stderr);
        return 2;
    }
    kit_init(&k, NULL);
    load_plan(&k, count);
    kit_start(&k);
    size_t before = heap();
    load_bindings(&k, count);
    kit_turn(&k, 100);
    printf("registration heap_per_binding %.1f bytes\n", (double)(heap() - before) / count);
    look_up(&k, count);
    kit_fini(&k);
    return 0;
}
