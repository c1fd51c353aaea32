/* bench: what the replication core costs and how fast it is, in clusters of up to thousands of real cores under a
 * virtual clock (cluster.c). Prints "group name value unit" lines.
 *
 *   sim_bench spread|detect|heal|idle|loss --nodes N [--seed N] [--rounds N]
 *
 * spread: a change, from the operator's command to durable at each live node; 2 % of messages lost, 1-65 ms each way.
 * Its "whole" rows are one sample for each change: until the last node has it.
 * detect: a node dies; until each other node calls it dead.
 * heal: two halves are cut from each other and make --rounds changes in all; from the heal until all have all.
 * idle: bytes per node and second when nothing happens.
 * loss: 10 % of messages lost, --rounds minutes: how often a living node is called dead. */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "tests/sim/cluster.h"

#define SECOND_US 1000000u

static int by_size(const void *a, const void *b)
{
    const uint64_t *x = a;
    const uint64_t *y = b;
    return (*x > *y) - (*x < *y);
}

static void row(const char *what, unsigned n, const char *part, double value, const char *unit)
{
    printf("federation %s_%s_%u %.4f %s\n", what, part, n, value, unit);
}

/* Sorts them. */
static void quantile_rows(const char *what, unsigned n, uint64_t *samples, size_t count)
{
    if (count == 0) return;
    qsort(samples, count, sizeof *samples, by_size);
    row(what, n, "p50", (double)samples[count / 2] / 1e6, "s");
    row(what, n, "p99", (double)samples[count * 99 / 100] / 1e6, "s");
    row(what, n, "max", (double)samples[count - 1] / 1e6, "s");
}

static void spread(struct cluster *c, unsigned rounds)
{
    uint64_t *whole = calloc(rounds, sizeof *whole);
    ASSERT(whole != NULL);
    c->sample_spread = true;
    for (unsigned i = 0; i < rounds; i++) {
        size_t from = c->sample_count;
        cluster_change(c, (unsigned)rng_below(&c->rng, c->n));
        cluster_run(c, 6 * SECOND_US);
        for (size_t k = from; k < c->sample_count; k++)
            if (c->samples[k] > whole[i]) whole[i] = c->samples[k];
    }
    row("spread", c->n, "missing", (double)c->n * rounds - (double)c->sample_count, "nodes");
    quantile_rows("spread", c->n, c->samples, c->sample_count);
    quantile_rows("spread_whole", c->n, whole, rounds);
    free(whole);
}

/* When a third of a cluster has died, a new one takes its place. */
static void detect(struct cluster *c, unsigned rounds)
{
    unsigned each = c->n / 3 > 0 ? c->n / 3 : 1;
    double expected = 0;
    double sum = 0;
    double count = 0;
    uint64_t max = 0;
    for (unsigned i = 0; i < rounds; i++) {
        if (i > 0 && i % each == 0) {
            unsigned n = c->n;
            unsigned loss_percent = c->loss_percent;
            cluster_close(c);
            cluster_open(c, n, i + 1000, loss_percent);
        }
        unsigned next;
        do
            next = (unsigned)rng_below(&c->rng, c->n);
        while (c->dead[next]);
        c->sample_count = 0;
        cluster_kill(c, next);
        expected += c->n - i % each - 1;
        cluster_run(c, 7 * SECOND_US + rng_below(&c->rng, SECOND_US));
        for (size_t k = 0; k < c->sample_count; k++) {
            sum += (double)c->samples[k] / 1e6;
            if (c->samples[k] > max) max = c->samples[k];
        }
        count += (double)c->sample_count;
    }
    row("detect", c->n, "mean", count > 0 ? sum / count : 0, "s");
    row("detect", c->n, "max", (double)max / 1e6, "s");
    row("detect", c->n, "missing", expected - count, "views");
}

/* Up to four writers on each side, each with one change under way. */
static void write_apart(struct cluster *c, unsigned changes)
{
    unsigned half = c->n / 2;
    unsigned each = half < 4 ? half : 4;
    for (unsigned made = 0; made < changes;) {
        for (unsigned w = 0; w < each && made < changes; w++, made++) {
            cluster_change(c, w);
            if (++made < changes) cluster_change(c, half + w);
        }
        while (c->waiting > 0)
            cluster_run(c, 1000);
    }
}

static void heal(struct cluster *c, unsigned changes)
{
    cluster_cut(c, c->n / 2);
    cluster_run(c, 5 * SECOND_US); /* each side calls the other dead */
    write_apart(c, changes);
    cluster_run(c, 5 * SECOND_US);
    ASSERT(!cluster_same(c));
    cluster_cut(c, 0);
    uint64_t start = c->now;
    while (!cluster_same(c) && c->now - start < 600 * (uint64_t)SECOND_US)
        cluster_run(c, 10000);
    row("heal", c->n, "same", (double)(c->now - start) / 1e6, "s");
}

static void idle(struct cluster *c, unsigned rounds)
{
    c->weigh = true;
    cluster_run(c, (uint64_t)rounds * 10 * SECOND_US);
    double node_seconds = (double)c->n * rounds * 10;
    row("idle", c->n, "bytes", (double)c->bytes_out / node_seconds, "B/s");
    row("idle", c->n, "messages", (double)c->messages / node_seconds, "1/s");
}

static void loss(struct cluster *c, unsigned rounds)
{
    clock_t start = clock();
    for (unsigned i = 0; i < rounds; i++)
        cluster_run(c, 60 * (uint64_t)SECOND_US);
    double hours = (double)c->n * rounds / 60;
    row("loss", c->n, "false_deaths", (double)c->false_deaths, "views");
    row("loss", c->n, "node_hours", hours, "h");
    row("loss", c->n, "node_hours_per_cpu_second", hours * CLOCKS_PER_SEC / (double)(clock() - start), "h/s");
}

static const struct {
    const char *name;
    void (*run)(struct cluster *c, unsigned rounds);
    unsigned loss_percent;
} modes[] = {{"spread", spread, 2}, {"detect", detect, 2}, {"heal", heal, 2}, {"idle", idle, 0}, {"loss", loss, 10}};
#define MODES (sizeof modes / sizeof modes[0])

static uint64_t number(const char *text)
{
    uint64_t v = 0;
    if (text == NULL || slice_u64(slice_of(text), UINT32_MAX, &v) != ERR_OK || v == 0) {
        fprintf(stderr, "sim_bench: a number is needed\n");
        exit(2);
    }
    return v;
}

int main(int argc, char **argv)
{
    uint64_t seed = 1;
    unsigned n = 3;
    unsigned rounds = 10;
    size_t mode = MODES;
    for (int i = 1; i < argc; i++) {
        struct slice arg = slice_of(argv[i]);
        if (slice_is(arg, "--nodes")) {
            n = (unsigned)number(argv[++i]);
        } else if (slice_is(arg, "--seed")) {
            seed = number(argv[++i]);
        } else if (slice_is(arg, "--rounds")) {
            rounds = (unsigned)number(argv[++i]);
        } else {
            for (mode = 0; mode < MODES && !slice_is(arg, modes[mode].name);)
                mode++;
        }
    }
    if (mode == MODES || n < 2 || n > LIMIT_MEMBERS) {
        fprintf(stderr, "usage: sim_bench spread|detect|heal|idle|loss [--nodes N] [--seed N] [--rounds N]\n");
        return 2;
    }
    struct cluster c;
    cluster_open(&c, n, seed, modes[mode].loss_percent);
    modes[mode].run(&c, rounds);
    cluster_close(&c);
    return 0;
}
