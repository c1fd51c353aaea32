/* Who is refused when more comes in than can be carried; and that what is left for the others is as much as can be,
 * seen at a queue in front of a processor under a virtual clock. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "node/base/rng.h"
#include "node/edge/overload.h"

struct load {
    struct overload o;
    struct rng rng;
    struct mono now;
};

/* per_s[i] requests of source i for some seconds, each of that age; got[i] of them were taken in the last one. */
static void run(struct load *l, uint64_t age_ms, const unsigned *per_s, unsigned *got, size_t sources, unsigned seconds)
{
    for (unsigned ms = 0; ms < 1000 * seconds; ms++) {
        l->now.us += 1000;
        overload_sense(&l->o, age_ms, 0, l->now);
        for (size_t i = 0; i < sources; i++) {
            if (ms % 1000 == 0) got[i] = 0;
            unsigned count = (ms % 1000 + 1) * per_s[i] / 1000 - (ms % 1000) * per_s[i] / 1000;
            for (unsigned k = 0; k < count; k++)
                got[i] += overload_admit(&l->o, OVERLOAD_NEW, 1000 + i, rng_next(&l->rng));
        }
    }
}

/* A load that takes so much of what is asked for stays as it is. */
static void steady_at(struct load *l, uint32_t millionths)
{
    l->o.before = OVERLOAD_TARGET_MS;
    l->o.steady = millionths;
}

static int setup(void **state)
{
    struct load *l = calloc(1, sizeof *l);
    assert_non_null(l);
    rng_init(&l->rng, 7);
    overload_init(&l->o);
    l->now.us = 1000000;
    *state = l;
    return 0;
}

static int teardown(void **state)
{
    free(*state);
    return 0;
}

/* A message that is so old, for some looks. */
static void sense(struct load *l, uint64_t age_ms, unsigned ms)
{
    for (unsigned i = 0; i < ms; i++) {
        l->now.us += 1000;
        overload_sense(&l->o, age_ms, 0, l->now);
    }
}

static void nobody_is_refused_without_need(void **state)
{
    struct load *l = *state;
    unsigned got = 0;
    run(l, 0, &(unsigned){5000}, &got, 1, 2);
    assert_int_equal(got, 5000);
    overload_sense(&l->o, OVERLOAD_FIRST_MS, OVERLOAD_FIRST_MS, l->now);
    assert_false(overload_on(&l->o));
}

/* Thousandths of the requests that are taken at this moment, of one who asked as much before. */
static unsigned taken_at(struct load *l, uint64_t age_ms, uint64_t turn_ms)
{
    unsigned got = 0;
    run(l, 0, &(unsigned){4000}, &got, 1, 1);
    got = 0;
    overload_sense(&l->o, age_ms, turn_ms, l->now);
    for (unsigned i = 0; i < 1000; i++)
        got += overload_admit(&l->o, OVERLOAD_NEW, 1000, rng_next(&l->rng));
    return got;
}

static void what_is_too_old_is_refused_at_once(void **state)
{
    struct load *l = *state;
    /* Nothing but a quarter of what was taken a moment ago: half of the part of two. */
    assert_in_range(taken_at(l, OVERLOAD_LAST_MS, 0), 120, 380);
    assert_in_range(taken_at(l, OVERLOAD_NO_AGE, OVERLOAD_LAST_MS + 9), 120, 380);
    assert_in_range(taken_at(l, OVERLOAD_FIRST_MS + (OVERLOAD_LAST_MS - OVERLOAD_FIRST_MS) / 5, 0), 650, 900);
    assert_int_equal(taken_at(l, 0, 0), 1000);
    unsigned got = 0;
    run(l, OVERLOAD_LAST_MS, &(unsigned){4000}, &got, 1, 2);
    assert_in_range(got, 0, 150);
}

/* Whatever has been: a machine that stood still with a few calls waiting is not overloaded. */
static void a_few_are_taken(void **state)
{
    struct load *l = *state;
    sense(l, OVERLOAD_LAST_MS, 3000);
    for (unsigned window = 0; window < 3; window++) {
        l->now.us += OVERLOAD_WINDOW_MS * 1000;
        overload_sense(&l->o, OVERLOAD_LAST_MS, OVERLOAD_LAST_MS, l->now);
        for (unsigned i = 0; i < OVERLOAD_FEW; i++)
            assert_true(overload_admit(&l->o, OVERLOAD_NEW, i % 3, OVERLOAD_ALL - 1));
    }
    assert_false(overload_admit(&l->o, OVERLOAD_NEW, 0, OVERLOAD_ALL - 1));
    /* Who asked for more a moment ago is known. */
    l->now.us += OVERLOAD_WINDOW_MS * 1000;
    overload_sense(&l->o, OVERLOAD_LAST_MS, OVERLOAD_LAST_MS, l->now);
    assert_false(overload_admit(&l->o, OVERLOAD_NEW, 0, OVERLOAD_ALL - 1));
}

static void a_queue_that_stays_is_refused(void **state)
{
    struct load *l = *state;
    sense(l, OVERLOAD_FIRST_MS, 300);
    assert_in_range(l->o.steady, OVERLOAD_ALL / 100, OVERLOAD_ALL / 2);
    uint32_t before = l->o.steady;
    sense(l, OVERLOAD_NO_AGE, OVERLOAD_LOOK_MS / 2); /* what comes by a stream says nothing of it */
    assert_true(overload_on(&l->o));
    sense(l, 0, 150);
    assert_true(l->o.steady > before);
    sense(l, 0, 1000);
    assert_false(overload_on(&l->o));
    /* Nor is it remembered while nothing comes. */
    sense(l, OVERLOAD_FIRST_MS, 300);
    assert_true(overload_on(&l->o));
    l->now.us += 2000000;
    sense(l, 0, 1);
    assert_false(overload_on(&l->o));
}

static void a_moment_is_no_queue(void **state)
{
    struct load *l = *state;
    sense(l, 0, 500);
    sense(l, 500, 1);
    sense(l, 0, 200);
    assert_int_equal(l->o.steady, OVERLOAD_ALL);
    l->now.us += 500000; /* nor where it is all that comes in that look */
    sense(l, 500, 1);
    l->now.us += 60000;
    sense(l, 0, 1);
    assert_int_equal(l->o.steady, OVERLOAD_ALL);
}

static void a_burst_is_taken(void **state)
{
    struct load *l = *state;
    sense(l, 0, 500);
    for (uint64_t age = 90; age > 0; age -= 10) { /* the machine stood still; the queue goes away in 100 ms */
        sense(l, age, 10);
        assert_in_range(l->o.steady, OVERLOAD_ALL / 2, OVERLOAD_ALL);
    }
    sense(l, 0, 200);
    assert_false(overload_on(&l->o));
}

/* The first who comes after a pause is not refused for being unknown. */
static void who_is_new_has_a_part(void **state)
{
    struct load *l = *state;
    sense(l, OVERLOAD_FIRST_MS, 3000);
    l->now.us += 2 * OVERLOAD_WINDOW_MS * 1000;
    overload_sense(&l->o, 0, 0, l->now);
    assert_true(overload_on(&l->o));
    for (unsigned i = 0; i <= OVERLOAD_FEW; i++)
        overload_admit(&l->o, OVERLOAD_NEW, 2, OVERLOAD_ALL - 1);
    assert_true(overload_admit(&l->o, OVERLOAD_NEW, 1, 0));
}

static void who_floods_pays_himself(void **state)
{
    struct load *l = *state;
    const unsigned per_s[] = {20000, 900, 50, 50};
    unsigned got[4] = {0};
    run(l, 0, per_s, got, 4, 1);
    steady_at(l, OVERLOAD_ALL / 10); /* 2,100 of 21,000 */
    run(l, OVERLOAD_TARGET_MS, per_s, got, 4, 2);
    for (size_t i = 1; i < 4; i++)
        assert_int_equal(got[i], per_s[i]);
    assert_in_range(got[0], 900, 1300);
}

/* So many of each kind in a window, at a queue that is as it shall be; got[kind] of them were taken in the last one. */
static void run_kinds(struct load *l, uint64_t source, const unsigned *per_window, unsigned windows, unsigned *got)
{
    for (unsigned ms = 0; ms < windows * OVERLOAD_WINDOW_MS; ms++) {
        l->now.us += 1000;
        overload_sense(&l->o, OVERLOAD_TARGET_MS, 0, l->now);
        for (unsigned kind = 0; kind < OVERLOAD_KINDS; kind++) {
            unsigned into = ms % OVERLOAD_WINDOW_MS;
            if (into == 0) got[kind] = 0;
            unsigned count =
                (into + 1) * per_window[kind] / OVERLOAD_WINDOW_MS - into * per_window[kind] / OVERLOAD_WINDOW_MS;
            for (unsigned i = 0; i < count; i++)
                got[kind] += overload_admit(&l->o, kind, source, rng_next(&l->rng));
        }
    }
}

/* Of the half that there is for one who is alone his calls in progress take what they ask for. */
static void calls_in_progress_go_first(void **state)
{
    struct load *l = *state;
    const unsigned per_window[OVERLOAD_KINDS] = {[OVERLOAD_NEW] = 600, [OVERLOAD_INSIDE] = 400};
    unsigned got[OVERLOAD_KINDS];
    run_kinds(l, 7, per_window, 4, got);
    steady_at(l, OVERLOAD_ALL / 2);
    run_kinds(l, 7, per_window, 4, got);
    assert_int_equal(got[OVERLOAD_INSIDE], 400);
    assert_in_range(got[OVERLOAD_NEW], 50, 150);
    steady_at(l, OVERLOAD_ALL / 5);
    run_kinds(l, 7, per_window, 4, got);
    assert_in_range(got[OVERLOAD_INSIDE], 150, 250);
    assert_int_equal(got[OVERLOAD_NEW], 0);
}

/* Of each source whatever the load, and all of them when the machine stood still for a moment. */
static void a_few_inside_are_taken(void **state)
{
    struct load *l = *state;
    for (unsigned i = 0; i < 2000; i++)
        assert_true(overload_admit(&l->o, OVERLOAD_INSIDE, 7, OVERLOAD_ALL - 1));
    overload_sense(&l->o, OVERLOAD_LAST_MS, OVERLOAD_LAST_MS, l->now);
    assert_true(overload_on(&l->o));
    for (unsigned i = 0; i < 2000; i++)
        assert_true(overload_admit(&l->o, OVERLOAD_INSIDE, 7, OVERLOAD_ALL - 1));
    sense(l, OVERLOAD_LAST_MS, 3000);
    for (unsigned source = 0; source < 10; source++) {
        for (unsigned i = 0; i < OVERLOAD_FEW; i++)
            assert_true(overload_admit(&l->o, OVERLOAD_INSIDE, source, OVERLOAD_ALL - 1));
        assert_false(overload_admit(&l->o, OVERLOAD_INSIDE, source, OVERLOAD_ALL - 1));
    }
}

static void equals_share_what_there_is(void **state)
{
    struct load *l = *state;
    const unsigned per_s[] = {2000, 2000};
    unsigned got[2] = {0};
    run(l, 0, per_s, got, 2, 1);
    steady_at(l, OVERLOAD_ALL / 2);
    run(l, OVERLOAD_TARGET_MS, per_s, got, 2, 2);
    assert_in_range(got[0] + got[1], 1800, 2200);
    assert_in_range(got[0], got[1] - 200, got[1] + 200);
}

/* Many that ask for one each: some get it. */
static void many_share_too(void **state)
{
    struct load *l = *state;
    unsigned per_s[400];
    unsigned got[400] = {0};
    unsigned sum = 0;
    for (size_t i = 0; i < 400; i++)
        per_s[i] = 8;
    run(l, 0, per_s, got, 400, 1);
    steady_at(l, OVERLOAD_ALL / 2);
    run(l, OVERLOAD_TARGET_MS, per_s, got, 400, 2);
    for (size_t i = 0; i < 400; i++)
        sum += got[i];
    assert_in_range(sum, 1400, 1800);
}

static void retry_within_bounds(void **state)
{
    (void)state;
    for (uint64_t chance = 0; chance < 20000; chance += 500)
        assert_in_range(overload_retry_s(chance), 1, 5);
}

/* ---- a queue ---- */

/* Microseconds of the processor: six messages of a call, a refusal, and its ACK. */
static const unsigned call_us[] = {20, 8, 8, 7, 12, 7};
#define CALL_US 62
#define CALL_MESSAGES 6
#define REFUSE_US 5
#define REFUSE_ACK_US 2
#define INSIDE_US 25
#define REFUSED CALL_MESSAGES /* the stage of that ACK */
#define QUEUE_SLOTS (1U << 20)
#define BATCH 32
#define SECONDS 12
#define SOURCES 2

struct message {
    uint64_t came_us;
    unsigned second; /* in which its call began */
    unsigned stage;
    unsigned source;
};

/* The node has the processor for run_us of every turn_us. */
struct processor {
    struct load *l;
    struct message *queue;
    uint32_t head;
    uint32_t tail;
    uint64_t now_us;
    uint64_t run_us;
    uint64_t turn_us;
    enum overload_kind kinds[SOURCES]; /* of what a source sends */
    unsigned begun[SOURCES];
    unsigned done[SOURCES][SECONDS];
    uint64_t oldest_ms[SECONDS];
    unsigned refused;
};

static void put(struct processor *p, struct message m, unsigned stage)
{
    assert_true(p->tail - p->head < QUEUE_SLOTS);
    m.came_us = p->now_us;
    m.stage = stage;
    p->queue[p->tail++ % QUEUE_SLOTS] = m;
}

static void work(struct processor *p, uint64_t us)
{
    while (us > 0) {
        uint64_t at = p->now_us % p->turn_us;
        if (at >= p->run_us) {
            p->now_us += p->turn_us - at;
            at = 0;
        }
        uint64_t now = us < p->run_us - at ? us : p->run_us - at;
        p->now_us += now;
        us -= now;
    }
}

static bool taken(struct processor *p, struct message m, uint64_t age_ms)
{
    struct load *l = p->l;
    l->now.us = p->now_us;
    overload_sense(&l->o, age_ms, 0, l->now);
    if (overload_admit(&l->o, p->kinds[m.source], m.source, rng_next(&l->rng))) return true;
    p->refused++;
    work(p, REFUSE_US);
    if (p->kinds[m.source] == OVERLOAD_NEW) put(p, m, REFUSED);
    return false;
}

static void handle(struct processor *p, struct message m, uint64_t age_ms)
{
    if (m.stage == 0 && !taken(p, m, age_ms)) return;
    if (p->kinds[m.source] == OVERLOAD_INSIDE) {
        work(p, INSIDE_US);
        p->done[m.source][m.second]++;
        return;
    }
    work(p, m.stage == REFUSED ? REFUSE_ACK_US : call_us[m.stage]);
    if (m.stage == 0 || m.stage == 2) { /* 180 and 200; ACK and BYE */
        put(p, m, m.stage + 1);
        put(p, m, m.stage + 2);
    }
    if (m.stage == 4) put(p, m, 5);
    if (m.stage == 5) p->done[m.source][m.second]++;
}

/* What has come by now; second by second, so many of each source. False: nothing more comes. */
static bool arrive(struct processor *p, unsigned *second, const unsigned per_s[][SOURCES], unsigned seconds)
{
    while (*second < seconds) {
        uint64_t into_us = p->now_us - *second * UINT64_C(1000000);
        bool over = into_us >= 1000000;
        for (unsigned i = 0; i < SOURCES; i++) {
            uint64_t due = over ? per_s[*second][i] : into_us * per_s[*second][i] / 1000000;
            for (; p->begun[i] < due; p->begun[i]++)
                put(p, (struct message){.second = *second, .source = i}, 0);
        }
        if (!over) return true;
        memset(p->begun, 0, sizeof p->begun);
        ++*second;
    }
    return false;
}

static void carry(struct processor *p, const unsigned per_s[][SOURCES], unsigned seconds)
{
    unsigned second = 0;
    p->queue = malloc(QUEUE_SLOTS * sizeof *p->queue);
    assert_non_null(p->queue);
    while (arrive(p, &second, per_s, seconds) || p->head != p->tail) {
        if (p->head == p->tail) {
            p->now_us += 10;
            continue;
        }
        uint64_t age_ms = (p->now_us - p->queue[p->head % QUEUE_SLOTS].came_us) / 1000;
        uint64_t at = p->now_us / 1000000;
        if (at < SECONDS && p->oldest_ms[at] < age_ms) p->oldest_ms[at] = age_ms;
        for (unsigned i = 0; i < BATCH && p->head != p->tail; i++)
            handle(p, p->queue[p->head++ % QUEUE_SLOTS], age_ms);
    }
    free(p->queue);
}

/* A tenth of a processor carries these. */
#define CAPACITY (1000000 / CALL_US / 10)

struct overload_case {
    uint64_t run_us;
    uint64_t turn_us;
    unsigned tenths;   /* of the capacity */
    unsigned refusing; /* percent of the processor that refusals then take */
};

static void carry_case(struct load *l, const struct overload_case *c)
{
    struct processor p = {.l = l, .run_us = c->run_us, .turn_us = c->turn_us};
    const unsigned much = CAPACITY * c->tenths / 10;
    const unsigned less = CAPACITY * 8 / 10;
    unsigned per_s[10][SOURCES] = {{less}, {0}, {0}, {0}, {0}, {0}, {0}, {less}, {less}, {less}};
    unsigned best = CAPACITY * (100 - c->refusing) / 100;
    unsigned sum = 0;
    for (unsigned second = 1; second < 7; second++)
        per_s[second][0] = much;
    overload_init(&l->o);
    carry(&p, (const unsigned(*)[SOURCES])per_s, 10);
    for (unsigned second = 2; second < 7; second++) {
        sum += p.done[0][second];
        if (second > 2 && p.oldest_ms[second] > 3 * OVERLOAD_TARGET_MS + p.turn_us / 1000)
            fail_msg("%u tenths, second %u: a queue of %u ms", c->tenths, second, (unsigned)p.oldest_ms[second]);
    }
    if (sum < 5 * best * 95 / 100) fail_msg("%u tenths: %u of %u", c->tenths, sum, 5 * best);
    assert_int_equal(p.done[0][0], less);
    assert_in_range(p.done[0][8], less * 99 / 100, less);
    assert_int_equal(p.done[0][9], less);
}

static void as_much_as_can_be_is_carried(void **state)
{
    static const struct overload_case cases[] = {
        {1000, 10000, 11, 1}, {1000, 10000, 20, 13}, {3000, 30000, 20, 13}, {1000, 10000, 40, 39}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        carry_case(*state, &cases[i]);
}

static void what_can_be_carried_is_not_refused(void **state)
{
    struct processor p = {.l = *state, .run_us = 3000, .turn_us = 30000};
    const unsigned per_s[][SOURCES] = {{CAPACITY * 9 / 10}, {CAPACITY * 9 / 10}, {CAPACITY * 9 / 10}};
    carry(&p, per_s, 3);
    assert_int_equal(p.refused, 0);
}

/* One floods with four times what can be carried; the other asks for less than half of it, and has that once the
 * queue of the flood's beginning is gone. */
static void a_flood_costs_the_others_nothing(void **state)
{
    struct processor p = {.l = *state, .run_us = 1000, .turn_us = 10000};
    const unsigned well = CAPACITY * 3 / 10 * 9 / 10;
    unsigned per_s[8][SOURCES] = {{well, 0}};
    for (unsigned second = 1; second < 8; second++) {
        per_s[second][0] = well;
        per_s[second][1] = 4 * CAPACITY;
    }
    carry(&p, (const unsigned(*)[SOURCES])per_s, 8);
    assert_int_equal(p.done[0][0], well);
    for (unsigned second = 1; second < 8; second++)
        assert_in_range(p.done[0][second], well * (second < 4 ? 60 : 98) / 100, well);
    for (unsigned second = 4; second < 8; second++)
        assert_in_range(p.done[1][second], CAPACITY * 2 / 10, CAPACITY * 4 / 10);
}

/* The same by requests inside a dialog, twice what can be carried. */
static void a_flood_inside_costs_the_others_nothing(void **state)
{
    struct processor p = {.l = *state, .run_us = 1000, .turn_us = 10000, .kinds = {[1] = OVERLOAD_INSIDE}};
    const unsigned well = CAPACITY * 3 / 10;
    unsigned per_s[8][SOURCES] = {{well, 0}};
    for (unsigned second = 1; second < 8; second++) {
        per_s[second][0] = well;
        per_s[second][1] = 2 * 1000000 / INSIDE_US / 10;
    }
    carry(&p, (const unsigned(*)[SOURCES])per_s, 8);
    for (unsigned second = 0; second < 8; second++)
        assert_in_range(p.done[0][second], well * (second < 3 ? 60 : 98) / 100, well);
    for (unsigned second = 3; second < 8; second++) {
        assert_in_range(p.done[1][second], 1000000 / INSIDE_US * 2 / 100, 1000000 / INSIDE_US * 7 / 100);
        assert_in_range(p.oldest_ms[second], 0, 5 * OVERLOAD_TARGET_MS);
    }
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(nobody_is_refused_without_need),
        TEST(what_is_too_old_is_refused_at_once),
        TEST(a_few_are_taken),
        TEST(a_queue_that_stays_is_refused),
        TEST(a_moment_is_no_queue),
        TEST(a_burst_is_taken),
        TEST(who_is_new_has_a_part),
        TEST(who_floods_pays_himself),
        TEST(calls_in_progress_go_first),
        TEST(a_few_inside_are_taken),
        TEST(equals_share_what_there_is),
        TEST(many_share_too),
        TEST(retry_within_bounds),
        TEST(as_much_as_can_be_is_carried),
        TEST(what_can_be_carried_is_not_refused),
        TEST(a_flood_costs_the_others_nothing),
        TEST(a_flood_inside_costs_the_others_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
