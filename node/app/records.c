#include "node/app/records.h"

#include <stdlib.h>

#include "node/app/node.h"
#include "proto/record_codec.h"

struct group {
    struct list_node node; /* in records.groups until the store has said what became of it */
    size_t count;
    uint64_t ids[RECORDS_GROUP];
};

static void group_stored(struct node *n, void *ctx, uint64_t core_token, const struct store_completion *c)
{
    struct group *g = ctx;
    (void)core_token;
    n->records.in_flight--;
    for (size_t i = 0; i < g->count; i++)
        calls_written(n->calls, g->ids[i], c->err == ERR_OK);
    if (c->err != ERR_OK) {
        log_event(&n->log, LOG_WARN, "records", "not-stored", "count=%zu err=\"%s\" text=\"%s\"", g->count,
                  err_name(c->err), c->info.text);
    }
    list_remove(&g->node);
    free(g);
}

static int64_t oldest_ms(const struct node *n)
{
    int64_t keep = (int64_t)n->config.calls_keep_ms;
    int64_t now = node_wall().ms;
    return now > keep ? now - keep : 0;
}

/* ERR_OK also when nothing was due: then only the old ones go. */
static enum err write_group(struct node *n)
{
    struct group *g = calloc(1, sizeof *g);
    struct store_call_put puts[RECORDS_GROUP];
    size_t ends[RECORDS_GROUP];
    struct buf *packed = &n->records.packed;
    uint64_t token = 0;
    const struct call_entry *e = NULL;
    enum err err = g != NULL ? ERR_OK : ERR_NOMEM;
    buf_reset(packed);
    while (err == ERR_OK && g->count < RECORDS_GROUP && (e = calls_take_due(n->calls)) != NULL) {
        struct call_room room;
        struct call_record r = call_entry_record(e, &room);
        err = call_record_pack(&r, packed);
        bool earlier = e->id > UINT32_MAX; /* it goes on under the key that it had */
        store_call_key(e->started, earlier ? (uint32_t)(e->id >> 32) : n->records.run, (uint32_t)e->id,
                       puts[g->count].key);
        ends[g->count] = packed->n;
        g->ids[g->count++] = e->id;
    }
    for (size_t i = 0; err == ERR_OK && i < g->count; i++) {
        size_t from = i > 0 ? ends[i - 1] : 0;
        puts[i].value = (struct slice){packed->p + from, ends[i] - from};
    }
    if (err == ERR_OK) err = replica_job(n, group_stored, g, 0, &token);
    if (err == ERR_OK) {
        err = store_submit_calls(n->store, puts, g->count, n->config.calls_max, oldest_ms(n), token);
        if (err != ERR_OK) replica_job_cancel(n, token);
    }
    if (err == ERR_OK) {
        n->records.in_flight++;
        list_append(&n->records.groups, &g->node);
    } else {
        for (size_t i = 0; g != NULL && i < g->count; i++)
            calls_written(n->calls, g->ids[i], false);
        free(g);
    }
    return err;
}

void records_start(struct node *n)
{
    n->records = (struct records){.run = (uint32_t)(n->started.ms / 16)}; /* wraps after two years */
    list_init(&n->records.groups);
}

void records_look(struct node *n)
{
    if (calls_due(n->calls) >= RECORDS_GROUP && n->records.in_flight < RECORDS_FLIGHT_MAX) (void)!write_group(n);
}

void records_tick(struct node *n)
{
    bool trim = n->records.seconds++ % RECORDS_TRIM_S == 0;
    while (n->records.in_flight < RECORDS_FLIGHT_MAX && (calls_due(n->calls) > 0 || trim)) {
        if (write_group(n) != ERR_OK) return; /* the next second tries again */
        trim = false;
    }
}

void records_flush(struct node *n)
{
    while (n->calls != NULL && calls_due(n->calls) > 0 && write_group(n) == ERR_OK)
        continue;
    buf_fini(&n->records.packed);
}

void records_fini(struct node *n)
{
    if (n->records.groups.next == NULL) return; /* never started */
    for (struct list_node *g = list_pop(&n->records.groups); g != NULL; g = list_pop(&n->records.groups))
        free(CONTAINER_OF(g, struct group, node));
}
