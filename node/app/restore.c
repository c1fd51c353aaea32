#include "node/app/restore.h"

#include "node/app/node.h"
#include "proto/record_codec.h"

#define PAGE_LOOKS 500
#define PAGE_MS 5
#define RESTORE_MAX 200000                        /* calls */
#define OLDEST_MS (INT64_C(7) * 24 * 3600 * 1000) /* nobody looks for calls that began earlier */

struct page {
    struct node *n;
    struct arena arena; /* of one record */
    size_t looks;
    bool over;
};

static struct edge_source source_of(struct slice text)
{
    struct slice kind;
    struct slice name = slice_cut(text, '/', &kind);
    enum edge_source_kind k = slice_is(kind, "trunk")     ? EDGE_SOURCE_TRUNK
                              : slice_is(kind, "account") ? EDGE_SOURCE_ACCOUNT
                              : slice_is(kind, "node")    ? EDGE_SOURCE_MEMBER
                                                          : EDGE_SOURCE_UNKNOWN;
    return (struct edge_source){.kind = k, .name = name.p != NULL ? name : SLICE("")};
}

static void restore_call(struct node *n, uint64_t id, const struct call_record *r)
{
    struct call_report known = {.id = id,
                                .call_id = r->call_id,
                                .from = r->from,
                                .dialled = r->dialled,
                                .source = source_of(r->source),
                                .target = r->target,
                                .node = r->node,
                                .started = r->started,
                                .answered = r->answered,
                                .code = r->code,
                                .rule = r->rule,
                                .caller_tag = r->caller_tag,
                                .session_s = r->session_s,
                                .session_id = r->session_id,
                                .from_place = call_place_of(r->from_address),
                                .to_place = call_place_of(r->to_address)};
    if (edge_call_restore(n->edge, &known) != ERR_OK) return;
    if (calls_restore(n->calls, id, r, (struct mono){uv_now(n->loop) * 1000})) n->restore.count++;
}

static bool visit(void *ctx, struct slice key, struct slice value)
{
    struct page *p = ctx;
    struct node *n = p->n;
    struct call_record r;
    struct wall started;
    uint32_t run = 0;
    uint32_t id = 0;
    memcpy(n->restore.last, key.p, sizeof n->restore.last);
    n->restore.begun = true;
    store_call_key_parse(key, &started, &run, &id);
    if (started.ms < node_wall().ms - OLDEST_MS || n->restore.count >= RESTORE_MAX) {
        p->over = true;
        return false;
    }
    arena_reset(&p->arena);
    if (run != n->records.run && call_record_unpack(&p->arena, value, &r) == ERR_OK && r.state == CALL_ANSWERED &&
        r.caller_tag.n > 0)
        restore_call(n, CALLS_EARLIER(run, id), &r);
    return ++p->looks < PAGE_LOOKS;
}

static void on_page(uv_timer_t *timer)
{
    struct node *n = timer->data;
    struct page p = {.n = n};
    if (n->stopping || n->edge == NULL || node_read_begin(n) != ERR_OK) return;
    struct slice before = n->restore.begun ? (struct slice){n->restore.last, sizeof n->restore.last} : SLICE("");
    enum err e = store_calls(n->read, before, visit, &p);
    node_read_end(n);
    arena_fini(&p.arena);
    if (e == ERR_OK && !p.over && p.looks == PAGE_LOOKS) {
        (void)uv_timer_start(timer, on_page, PAGE_MS, 0);
    } else if (n->restore.count > 0) {
        log_event(&n->log, LOG_INFO, "calls", "restored", "count=%zu", n->restore.count);
    }
}

enum err restore_init(struct node *n)
{
    if (uv_timer_init(n->loop, &n->restore.timer) != 0) return ERR_IO;
    n->restore.timer.data = n;
    return ERR_OK;
}

void restore_start(struct node *n)
{
    (void)uv_timer_start(&n->restore.timer, on_page, 0, 0);
}

void restore_close(struct node *n)
{
    if (n->restore.timer.data != NULL) uv_close((uv_handle_t *)&n->restore.timer, NULL);
}
