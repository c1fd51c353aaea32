/* commands_effect: plan effect: what a change would do to the calls of the last day, as this node decided them.
 *
 * Call records are read the newest first on a worker thread, at most EFFECT_CALLS_MAX of them; calls that would have
 * gone elsewhere are counted in groups of from -> to with a few examples each, so that memory does not grow with the
 * calls. Once a second the loop says how far it is, and ends it when nobody waits any more. */
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include "node/app/effect.h"
#include "node/app/node.h"
#include "proto/record_codec.h"

#define EFFECT_CALLS_MAX 200000
#define GROUPS_MAX 200
#define EXAMPLES 3
#define DAY_MS 86400000

struct example {
    char call_id[129];
    char from[64];
    char dialled[64];
    struct wall started;
};

struct group {
    char before[EFFECT_PLACE_TEXT];
    char after[EFFECT_PLACE_TEXT];
    uint64_t count;
    size_t example_count;
    struct example examples[EXAMPLES];
};

struct job {
    uv_work_t work;
    uv_timer_t timer;
    struct node *n;
    struct control_reply *reply;
    struct store_read *read;
    struct arena arena; /* of the request's lists */
    struct wanted wanted;
    int64_t since_ms;
    _Atomic uint64_t looked; /* calls; read by the loop meanwhile */
    atomic_bool stop;
    /* the worker's, then the loop's */
    struct effect effect;
    struct arena scratch;
    struct group *groups;
    size_t group_count;
    uint64_t decided; /* calls that were decided here, so that they can be compared */
    uint64_t moved;
    uint64_t ungrouped; /* of those moved, which found no group any more */
    bool more;          /* there are older calls that were not looked at */
    enum err err;
    struct err_info info;
};

/* ---- on the worker ---- */

static struct group *group_of(struct job *j, const struct effect_places *p)
{
    for (size_t i = 0; i < j->group_count; i++) {
        struct group *g = &j->groups[i];
        if (strcmp(g->before, p->before) == 0 && strcmp(g->after, p->after) == 0) return g;
    }
    if (j->group_count == GROUPS_MAX) return NULL;
    struct group *g = &j->groups[j->group_count++];
    *g = (struct group){.count = 0};
    memcpy(g->before, p->before, sizeof g->before);
    memcpy(g->after, p->after, sizeof g->after);
    return g;
}

static void text_keep(char *out, size_t size, struct slice text)
{
    (void)snprintf(out, size, "%.*s", SLICE_ARG(text));
}

static void add_moved(struct job *j, const struct call_record *r, const struct effect_places *p)
{
    struct group *g = group_of(j, p);
    j->moved++;
    if (g == NULL) {
        j->ungrouped++;
        return;
    }
    if (g->count++ >= EXAMPLES) return;
    struct example *e = &g->examples[g->example_count++];
    text_keep(e->call_id, sizeof e->call_id, r->call_id);
    text_keep(e->from, sizeof e->from, r->from);
    text_keep(e->dialled, sizeof e->dialled, r->dialled);
    e->started = r->started;
}

/* A record that cannot be read is not one that the change moves. */
static enum err look_at(struct job *j, struct slice value)
{
    struct call_record r;
    struct call_decision d;
    struct effect_places p;
    arena_reset(&j->scratch);
    if (call_record_unpack(&j->scratch, value, &r) != ERR_OK) return ERR_OK;
    bool decided = r.decision.n > 0 && call_decision_unpack(&j->scratch, r.decision, &d) == ERR_OK;
    if (slice_starts(r.source, SLICE("node/")) || (decided && d.named_by.n > 0)) return ERR_OK;
    enum err e = effect_of_call(&j->effect, &r, decided ? &d : NULL, &p);
    if (e != ERR_OK) return e;
    j->decided++;
    if (p.moved) add_moved(j, &r, &p);
    return ERR_OK;
}

static bool visit(void *ctx, struct slice key, struct slice value)
{
    struct job *j = ctx;
    struct wall started;
    uint32_t run = 0;
    uint32_t id = 0;
    if (atomic_load(&j->stop)) j->err = ERR_CLOSED;
    if (j->err != ERR_OK) return false;
    store_call_key_parse(key, &started, &run, &id);
    if (started.ms < j->since_ms) return false;
    j->more = atomic_load(&j->looked) == EFFECT_CALLS_MAX;
    if (j->more) return false;
    (void)atomic_fetch_add(&j->looked, 1);
    j->err = look_at(j, value);
    return j->err == ERR_OK;
}

static void on_worker(uv_work_t *work)
{
    struct job *j = CONTAINER_OF(work, struct job, work);
    j->err = store_read_begin(j->read);
    if (j->err != ERR_OK) return;
    j->err = effect_init(&j->effect, j->read, slice_of(j->n->config.site), &j->wanted, &j->info);
    if (j->err == ERR_OK) {
        enum err e = store_calls(j->read, SLICE(""), visit, j);
        if (j->err == ERR_OK) j->err = e;
    }
    store_read_end(j->read);
}

/* ---- on the loop ---- */

static void job_free(struct job *j)
{
    if (j->read != NULL) store_read_free(j->read);
    effect_fini(&j->effect);
    arena_fini(&j->scratch);
    arena_fini(&j->arena);
    free(j->groups);
    free(j);
}

static int by_count(const void *a, const void *b)
{
    const struct group *x = a;
    const struct group *y = b;
    if (x->count != y->count) return x->count > y->count ? -1 : 1;
    int order = strcmp(x->before, y->before);
    return order != 0 ? order : strcmp(x->after, y->after);
}

static void send_group(struct job *j, const struct group *g)
{
    struct arena arena = {0};
    struct control_builder b;
    struct control_record examples[EXAMPLES];
    size_t count = 0;
    for (size_t i = 0; i < g->example_count; i++) {
        const struct example *e = &g->examples[i];
        control_record_start(&b, &arena, "example");
        control_text(&b, "call_id", slice_of(e->call_id));
        control_text(&b, "from", slice_of(e->from));
        control_text(&b, "to", slice_of(e->dialled));
        command_time(&b, "started", e->started);
        if (control_record_done(&b, &examples[count]) == ERR_OK) count++;
    }
    control_record_start(&b, &arena, "effect");
    control_text(&b, "from", slice_of(g->before));
    control_text(&b, "to", slice_of(g->after));
    control_int(&b, "calls", (int64_t)g->count);
    control_list(&b, "examples", examples, count);
    command_record(j->reply, &b);
    arena_fini(&arena);
}

static void send_summary(struct job *j)
{
    struct arena arena = {0};
    struct control_builder b;
    control_record_start(&b, &arena, "asked");
    control_text(&b, "node", slice_of(j->n->config.node));
    control_bool(&b, "answered", true);
    control_int(&b, "calls", (int64_t)j->decided);
    control_int(&b, "moved", (int64_t)j->moved);
    control_int(&b, "ungrouped", (int64_t)j->ungrouped);
    control_bool(&b, "more", j->more);
    control_text(&b, "note", j->more ? SLICE("the newest 200,000 records; older ones were not looked at") : SLICE(""));
    command_record(j->reply, &b);
    arena_fini(&arena);
}

static void timer_closed(uv_handle_t *handle)
{
    job_free(handle->data);
}

static void after_work(uv_work_t *work, int status)
{
    struct job *j = CONTAINER_OF(work, struct job, work);
    node_work_done(j->n);
    if (status != 0 || j->err == ERR_CLOSED) {
        control_reply_end(j->reply, 5, SLICE("the node is stopping"));
    } else if (j->err != ERR_OK) {
        control_reply_end(j->reply, 1, slice_of(j->info.text[0] != '\0' ? j->info.text : err_name(j->err)));
    } else {
        if (j->group_count > 1) qsort(j->groups, j->group_count, sizeof *j->groups, by_count);
        for (size_t i = 0; i < j->group_count; i++)
            send_group(j, &j->groups[i]);
        send_summary(j);
        command_end(j->reply, ERR_OK);
    }
    uv_close((uv_handle_t *)&j->timer, timer_closed);
}

static void on_second(uv_timer_t *timer)
{
    struct job *j = timer->data;
    if (j->n->stopping || control_reply_gone(j->reply)) atomic_store(&j->stop, true);
    control_reply_progress(j->reply, SLICE("calls looked at:"), atomic_load(&j->looked), 0);
}

NODE_COMMAND(command_plan_effect)
{
    struct node *n = ctx;
    struct job *j = calloc(1, sizeof *j);
    int64_t since_ms = control_get_int(&request->args, "since_ms", DAY_MS);
    enum err e = j != NULL ? ERR_OK : ERR_NOMEM;
    if (e != ERR_OK) {
        command_end(reply, e);
        return;
    }
    j->n = n;
    j->reply = reply;
    j->since_ms = since_ms > 0 ? node_wall().ms - since_ms : 0;
    j->groups = malloc(GROUPS_MAX * sizeof *j->groups);
    if (j->groups == NULL) e = ERR_NOMEM;
    if (e == ERR_OK) e = wanted_read(&j->arena, &request->args, &j->wanted, &j->info);
    if (e == ERR_OK) e = store_read_new(n->store, &j->read);
    if (e == ERR_OK) e = node_work(n, &j->work, on_worker, after_work);
    if (e != ERR_OK) {
        control_reply_end(reply, 1, slice_of(j->info.text[0] != '\0' ? j->info.text : err_name(e)));
        job_free(j);
        return;
    }
    ASSERT(uv_timer_init(n->loop, &j->timer) == 0);
    j->timer.data = j;
    (void)uv_timer_start(&j->timer, on_second, 1000, 1000);
}
