/* operations: see the header. */
#include "node/app/operations.h"

#include <stdlib.h>

#include "node/app/node.h"
#include "node/app/samples.h"
#include "node/control/page.h"

#define KEPT_MS 1000     /* a document serves so long */
#define PIECE_RECORDS 16 /* of trunks asked for at once */
#define PIECES_US 4000   /* then the loop has its turn, */
#define PAUSE_MS 20      /* and so long */
#define SHARE 20         /* looking at all trunks takes one of so many parts of the time at most */
#define HTTP_OK 200
#define HTTP_UNAVAILABLE 503

/* Records that a command gave, in arena. */
struct answer {
    struct arena arena;
    struct control_record *records;
    size_t count;
    size_t cap;
    bool ended;
    bool failed;
};

struct operations {
    struct node *n;
    struct samples *samples;
    struct buf policy;
    struct buf document;
    struct mono rendered; /* when that was, {0} never */
    uv_timer_t timer;     /* the next pieces */
    bool walking;
    char after[LIMIT_NAME + 1]; /* the last trunk that was looked at */
    uint64_t walk_us;           /* what this walk has taken of the loop */
    struct mono walk_due;       /* the next one not before */
    struct page_trunks growing; /* of the walk under way */
    struct page_trunks trunks;  /* of the last whole one; of the first one, as far as it is */
};

/* ---- asking ---- */

static void keep_record(struct answer *a, const struct control_record *record)
{
    if (a->count == a->cap) {
        size_t cap = a->cap == 0 ? 16 : 2 * a->cap;
        struct control_record *grown = arena_alloc(&a->arena, cap * sizeof *grown);
        if (grown == NULL) {
            a->failed = true;
            return;
        }
        if (a->count > 0) memcpy(grown, a->records, a->count * sizeof *grown);
        a->records = grown;
        a->cap = cap;
    }
    a->records[a->count++] = *record;
}

static void on_answer(void *ctx, struct slice frames)
{
    struct answer *a = ctx;
    while (frames.n > 0 && !a->failed) {
        struct control_frame f;
        size_t used = 0;
        a->failed = control_frame_unpack(&a->arena, frames, &f, &used) != ERR_OK || used == 0;
        if (a->failed) break;
        if (f.type == CONTROL_FRAME_RECORD) keep_record(a, &f.record);
        if (f.type == CONTROL_FRAME_END) a->failed = f.status != 0;
        frames = (struct slice){frames.p + used, frames.n - used};
    }
    a->ended = true;
}

/* Whether the command was done; what it said is in a, which the caller frees in any case. The command must be one that
 * answers before it returns. */
static bool ask(const struct operations *o, const char *command, int64_t limit, const char *after, struct answer *a)
{
    struct control_builder b;
    struct control_frame f = {.type = CONTROL_FRAME_REQUEST,
                              .request = {.version = CONTROL_VERSION, .command = slice_of(command)}};
    struct buf frame = {0};
    control_record_start(&b, &a->arena, "");
    if (limit > 0) control_int(&b, "limit", limit);
    if (after[0] != '\0') control_text(&b, "after", slice_of(after));
    enum err e = control_record_done(&b, &f.request.args);
    if (e == ERR_OK) e = control_frame_pack(&f, &frame);
    if (e == ERR_OK) e = control_dispatch(o->n->control, buf_view(&frame), SLICE("http"), on_answer, a);
    buf_fini(&frame);
    ASSERT(e != ERR_OK || a->ended);
    return e == ERR_OK && !a->failed;
}

/* ---- the trunks, in pieces ---- */

static void walk_end(struct operations *o, struct mono now)
{
    o->walking = false;
    o->walk_due = mono_add_ms(now, o->walk_us / 1000 * SHARE);
}

/* One piece; whether there may be another. */
static bool walk_piece(struct operations *o)
{
    struct answer a = {0};
    bool told = ask(o, "trunks", PIECE_RECORDS, o->after, &a);
    bool more = told && a.count >= PIECE_RECORDS;
    for (size_t i = 0; told && i < a.count; i++)
        page_trunks_add(&o->growing, &a.records[i]);
    if (more) {
        struct slice last = control_get_text(&a.records[a.count - 1], "trunk");
        more = last.n < sizeof o->after;
        if (more) memcpy(o->after, last.p, last.n);
        if (more) o->after[last.n] = '\0';
    }
    if (told) o->growing.whole = !more;
    arena_fini(&a.arena);
    return more;
}

static void walk_on(struct operations *o);

static void on_timer(uv_timer_t *timer)
{
    walk_on(timer->data);
}

static void walk_on(struct operations *o)
{
    struct mono begun = node_mono();
    struct mono now = begun;
    bool more = true;
    while (more && now.us - begun.us < PIECES_US) {
        more = walk_piece(o);
        now = node_mono();
    }
    o->walk_us += now.us - begun.us;
    if (!o->trunks.whole || o->growing.whole) o->trunks = o->growing;
    if (more)
        ASSERT(uv_timer_start(&o->timer, on_timer, PAUSE_MS, 0) == 0);
    else
        walk_end(o, now);
}

static void walk_start(struct operations *o)
{
    if (o->walking || !mono_reached(node_mono(), o->walk_due)) return;
    o->walking = true;
    o->walk_us = 0;
    o->after[0] = '\0';
    o->growing = (struct page_trunks){.row_count = 0};
    walk_on(o);
}

/* ---- the page ---- */

static bool render(struct operations *o, struct mono now)
{
    struct answer status = {0};
    struct answer nodes = {0};
    struct page_sample calls[SAMPLES_ROOM];
    struct page_growth growths[PAGE_GROWTHS];
    struct page_view v = {.now = node_wall(),
                          .trunks = &o->trunks,
                          .samples = calls,
                          .sample_room = SAMPLES_ROOM,
                          .sample_s = SAMPLES_S,
                          .growths = growths};
    bool told = ask(o, "status", PAGE_REGISTRATIONS, "", &status) && ask(o, "nodes", PAGE_NODES, "", &nodes) &&
                status.count > 0;
    buf_reset(&o->document);
    if (told) {
        v.status = &status.records[0];
        v.nodes = nodes.records;
        v.node_count = nodes.count;
        v.sample_count = samples_calls(o->samples, calls);
        v.growth_count = samples_growths(o->samples, page_counter_is_trouble, now, growths, PAGE_GROWTHS, &v.growth_s);
        page_render(&v, &o->document);
    }
    arena_fini(&status.arena);
    arena_fini(&nodes.arena);
    return told && !o->document.failed;
}

static unsigned serve(void *ctx, const struct http_request *request, struct buf *out)
{
    struct operations *o = ((struct node *)ctx)->operations;
    struct mono now = node_mono();
    (void)request;
    if (o->rendered.us == 0 || mono_ms_between(o->rendered, now) >= KEPT_MS) {
        walk_start(o);
        o->rendered = (struct mono){0};
        if (!render(o, now)) {
            buf_text(out,
                     "<!DOCTYPE html><title>Tandem</title><p>The node cannot say how it is: it has no memory, or its "
                     "store cannot be read.");
            return HTTP_UNAVAILABLE;
        }
        o->rendered = now;
    }
    buf_slice(out, buf_view(&o->document));
    return HTTP_OK;
}

struct http_page operations_page(const struct node *n)
{
    return (struct http_page){.path = "/",
                              .content_type = "text/html; charset=utf-8",
                              .policy = n->operations->policy.p,
                              .near = true,
                              .handler = serve};
}

/* ---- its life ---- */

/* NULL: there is none of that name. */
static const _Atomic uint64_t *find_counter(const struct counter_table *const *tables, size_t count, const char *module,
                                            const char *name)
{
    for (size_t i = 0; i < count; i++) {
        if (strcmp(tables[i]->module, module) != 0) continue;
        for (size_t k = 0; k < tables[i]->count; k++) {
            if (strcmp(tables[i]->names[k], name) == 0) return &tables[i]->values[k];
        }
    }
    return NULL;
}

static void operations_free(struct operations *o)
{
    samples_free(o->samples);
    buf_fini(&o->policy);
    buf_fini(&o->document);
    free(o);
}

static void on_timer_closed(uv_handle_t *handle)
{
    operations_free(handle->data);
}

enum err operations_start(struct node *n)
{
    struct operations *o = calloc(1, sizeof *o);
    if (o == NULL) return ERR_NOMEM;
    enum err e = page_policy(&o->policy);
    buf_add(&o->policy, "", 1); /* a text for the library */
    if (e == ERR_OK && o->policy.failed) e = ERR_NOMEM;
    if (e == ERR_OK && uv_timer_init(n->loop, &o->timer) != 0) e = ERR_IO;
    if (e != ERR_OK) {
        operations_free(o);
        return e;
    }
    o->n = n;
    o->timer.data = o;
    n->operations = o;
    return ERR_OK;
}

enum err operations_watch(struct node *n)
{
    const struct counter_table *tables[NODE_COUNTER_TABLES];
    size_t count = node_counters(n, tables, NODE_COUNTER_TABLES);
    const _Atomic uint64_t *started = find_counter(tables, count, "edge", "calls_started");
    ASSERT(started != NULL);
    n->operations->samples = samples_new(tables, count, started, node_mono());
    return n->operations->samples != NULL ? ERR_OK : ERR_NOMEM;
}

void operations_stop(struct node *n)
{
    struct operations *o = n->operations;
    if (o == NULL) return;
    n->operations = NULL;
    uv_close((uv_handle_t *)&o->timer, on_timer_closed);
}

void operations_tick(struct node *n)
{
    if (n->operations != NULL) samples_tick(n->operations->samples, node_mono(), edge_load(n->edge).calls);
}
