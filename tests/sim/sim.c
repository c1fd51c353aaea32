/* sim: runs clusters of real cores through faults, one per seed, and says what broke.
 *
 *   sim --seed N [--count N] [--nodes N] [--seconds N] [--trace]   exit status 0: every seed held
 *   sim --canary ...   the same with anti-entropy switched off, which must break: exit status 0 when every seed broke
 */
#include "tests/sim/world.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

static void report(const struct world *w, bool held)
{
    printf("seed=%" PRIu64 " nodes=%zu %s", w->o.seed, w->o.nodes, held ? "held" : "BROKE");
    if (w->violation != NULL) printf(" invariant=\"%s\" (%s)", w->violation, w->violation_text);
    printf(" ms=%" PRIu64 " healed_in_ms=%" PRIu64, w->now_us / 1000, w->healed ? (w->now_us - w->heal_us) / 1000 : 0);
    printf(" events=%" PRIu64 " sent=%" PRIu64 " lost=%" PRIu64 " wants=%" PRIu64, w->n.events, w->n.sent, w->n.lost,
           w->n.wants);
    printf(" changes=%" PRIu64 " rejected=%" PRIu64 " records=%" PRIu64 " receipts=%" PRIu64, w->n.changes,
           w->n.rejected, w->n.records, w->n.receipts);
    printf(" crashes=%" PRIu64 " partitions=%" PRIu64 " restores=%" PRIu64 " epochs=%" PRIu64 " alarms=%" PRIu64 "\n",
           w->n.crashes, w->n.partitions, w->n.restores, w->n.epochs, w->n.alarms);
}

static bool run(const struct sim_options *o)
{
    struct world *w = malloc(sizeof *w);
    ASSERT(w != NULL);
    world_init(w, o);
    bool held = world_run(w);
    report(w, held);
    world_fini(w);
    free(w);
    return held;
}

static uint64_t number(const char *text, uint64_t max)
{
    uint64_t v;
    if (text == NULL || slice_u64(slice_of(text), max, &v) != ERR_OK) {
        fprintf(stderr, "sim: a number up to %" PRIu64 " is needed, not \"%s\"\n", max, text != NULL ? text : "");
        exit(2);
    }
    return v;
}

int main(int argc, char **argv)
{
    struct sim_options o = {.seed = 1, .nodes = 0, .seconds = 40};
    uint64_t count = 1;
    for (int i = 1; i < argc; i++) {
        struct slice arg = slice_of(argv[i]);
        if (slice_is(arg, "--canary")) {
            o.no_sync = true;
        } else if (slice_is(arg, "--trace")) {
            o.trace = true;
        } else if (slice_is(arg, "--seed")) {
            o.seed = number(argv[++i], UINT64_MAX);
        } else if (slice_is(arg, "--count")) {
            count = number(argv[++i], 1000000);
        } else if (slice_is(arg, "--nodes")) {
            o.nodes = number(argv[++i], SIM_NODES_MAX);
        } else if (slice_is(arg, "--seconds")) {
            o.seconds = (unsigned)number(argv[++i], 1000000);
        } else {
            fprintf(stderr, "usage: sim [--seed N] [--count N] [--nodes N] [--seconds N] [--canary] [--trace]\n");
            return 2;
        }
    }
    bool choose = o.nodes == 0;
    uint64_t held = 0;
    for (uint64_t i = 0; i < count; i++, o.seed++) {
        if (choose) o.nodes = 2 + o.seed % 5;
        held += run(&o) ? 1 : 0;
    }
    if (o.no_sync && held > 0)
        printf("canary: %" PRIu64 " of %" PRIu64 " seeds held without anti-entropy\n", held, count);
    return o.no_sync ? held > 0 : held < count;
}
