/* horizon: see horizon.h. */
#include "node/app/horizon.h"

#include <inttypes.h>

#include "node/app/node.h"
#include "proto/plan_codec.h"

#define LOOKED_AT_MAX 500 /* records in one go */
#define REMOVED_LEAST 500
#define SHOW_MAX_US (UINT64_C(600) * 1000000)

struct look {
    struct horizon *h;
    size_t count;
    bool held; /* SHOW: one of the old records still holds */
};

static bool look_at(void *ctx, const struct state_record *record)
{
    struct look *l = ctx;
    struct horizon *h = l->h;
    bool live = !record->removed && record->kind != STATE_HORIZON;
    if (h->phase == HORIZON_SHOW && (live || record->version > h->upto)) {
        l->held = record->version <= h->upto;
        if (!l->held) h->at = h->upto;
        return false;
    }
    h->at = record->version;
    if (live) h->live++;
    if (record->removed) h->removed++;
    return ++l->count < LOOKED_AT_MAX;
}

/* Each version takes one from what holds and adds one to what is gone, at the most: until half of what separates them
 * have come there is nothing to count. */
static void wait(struct node *n)
{
    const struct horizon *h = &n->horizon;
    struct vector_entry own = repl_own_state(n->repl);
    uint64_t apart = h->live > h->removed ? h->live - h->removed : 0;
    uint64_t more = apart / 2 > REMOVED_LEAST ? apart / 2 : REMOVED_LEAST;
    n->horizon = (struct horizon){.phase = HORIZON_WAIT, .epoch = own.epoch, .upto = own.high + more};
}

static void begin_show(struct node *n, uint64_t upto)
{
    struct horizon *h = &n->horizon;
    *h = (struct horizon){
        .phase = HORIZON_SHOW, .until = {node_mono().us + SHOW_MAX_US}, .epoch = h->epoch, .upto = upto};
    node_observe_again(n);
}

/* Nobody waits for the end: when it fails, the removals are there to be counted again. */
static void draw(struct node *n)
{
    struct buf packed = {0};
    if (horizon_pack(n->horizon.upto, &packed) == ERR_OK) {
        log_event(&n->log, LOG_INFO, "replica", "horizon", "upto=%" PRIu64, n->horizon.upto);
        replica_observe(n, STATE_HORIZON, node_name_slice(&n->self), buf_view(&packed), false, NULL, NULL);
    }
    buf_fini(&packed);
    wait(n);
}

/* The next records of ours. Whether those that were to be seen are all through. */
static bool look(struct node *n, bool *held)
{
    struct horizon *h = &n->horizon;
    struct look l = {.h = h};
    if (node_read_begin(n) != ERR_OK) return false;
    enum err e = store_state_since(n->read, &n->self, h->epoch, h->at, look_at, &l);
    node_read_end(n);
    *held = l.held;
    return e == ERR_OK && l.count < LOOKED_AT_MAX;
}

void horizon_tick(struct node *n)
{
    struct horizon *h = &n->horizon;
    struct vector_entry own = repl_own_state(n->repl);
    bool held = false;
    if (h->phase == HORIZON_WAIT && h->epoch == own.epoch && own.high < h->upto) return;
    if (h->phase == HORIZON_SHOW && mono_reached(node_mono(), h->until)) {
        log_event(&n->log, LOG_WARN, "replica", "horizon-given-up", "held=%" PRIu64, h->at + 1);
        wait(n);
        return;
    }
    if (h->phase == HORIZON_WAIT || h->epoch != own.epoch) *h = (struct horizon){.epoch = own.epoch};
    if (!look(n, &held) || held) return;
    if (h->phase == HORIZON_SHOW) {
        draw(n);
    } else if (h->removed > REMOVED_LEAST + h->live) {
        begin_show(n, own.high);
    } else {
        wait(n);
    }
}
