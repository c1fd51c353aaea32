/* commands_plan: plan show of objects. Those of a change, and the log, are commands_history's.
 *
 * A plan may be large: it goes out in pages, and the next one when the client has read the last. No reader stays begun
 * in between, so a plan that moves while it is shown ends the reply: half of one plan and half of another is none. */
#include "node/app/node.h"

#include <stdlib.h>

#include "proto/plan_codec.h"

#define PAGE_RECORDS 500

static void send_object(struct control_reply *reply, struct slice key, struct slice packed)
{
    struct arena arena = {0};
    struct control_builder b;
    control_record_start(&b, &arena, "object");
    control_text(&b, "key", key);
    control_bytes(&b, "packed", packed);
    command_record(reply, &b);
    arena_fini(&arena);
}

static void send_digest(struct control_reply *reply, struct plan_digest digest)
{
    struct arena arena = {0};
    struct control_builder b;
    char text[PLAN_DIGEST_TEXT];
    plan_digest_text(digest, text);
    control_record_start(&b, &arena, "plan");
    control_text(&b, "digest", slice_of(text));
    command_record(reply, &b);
    arena_fini(&arena);
}

/* ---- plan show: the objects as they are ---- */

struct show {
    struct node *n;
    struct control_reply *reply;
    struct slice prefix; /* of keys; the request's, which lives until the end */
    struct plan_digest digest;
    char last[PLAN_KEY_MAX]; /* the key shown last */
    size_t last_len;
    size_t shown;
    size_t page;
    bool started;
    bool more;
};

static void show_end(struct show *s, int status, const char *text)
{
    control_reply_end(s->reply, status, slice_of(text));
    free(s);
}

static bool visit_object(void *ctx, struct slice key, struct slice packed)
{
    struct show *s = ctx;
    if (!slice_starts(key, s->prefix)) return false;
    s->more = s->page == PAGE_RECORDS || control_reply_pending(s->reply) > CONTROL_PENDING_PAUSE;
    if (s->more || key.n > sizeof s->last) return false;
    send_object(s->reply, key, packed);
    memcpy(s->last, key.p, key.n);
    s->last_len = key.n;
    s->shown++;
    s->page++;
    return true;
}

static enum err show_objects(struct show *s, bool *moved)
{
    struct plan_digest digest;
    struct slice last = {s->last, s->last_len};
    s->page = 0;
    s->more = false;
    enum err e = node_read_begin(s->n);
    if (e != ERR_OK) return e;
    store_plan_digest(s->n->read, &digest);
    *moved = s->started && !plan_digest_eq(digest, s->digest);
    if (!s->started) send_digest(s->reply, digest);
    if (!s->started) s->digest = digest;
    s->started = true;
    if (!*moved) e = store_objects(s->n->read, s->shown > 0 ? last : s->prefix, s->shown > 0, visit_object, s);
    node_read_end(s->n);
    return e;
}

static void show_page(void *ctx, struct control_reply *reply)
{
    struct show *s = ctx;
    bool moved = false;
    if (s->n->stopping || control_reply_gone(reply)) {
        show_end(s, 5, "the node is stopping");
        return;
    }
    enum err e = show_objects(s, &moved);
    if (e != ERR_OK) {
        show_end(s, 1, err_name(e));
    } else if (moved) {
        show_end(s, 3, "the plan changed while it was being shown: ask again");
    } else if (s->more) {
        control_reply_on_drain(reply, show_page, s);
    } else if (s->prefix.n > 0 && s->shown == 0) {
        show_end(s, 1, "no such object; \"clusterctl plan show\" prints them all");
    } else {
        show_end(s, 0, "");
    }
}

NODE_COMMAND(command_plan_show)
{
    struct node *n = ctx;
    if (control_get_text(&request->args, "change").n > 0) {
        history_show(n, request, reply);
        return;
    }
    struct show *s = calloc(1, sizeof *s);
    if (s == NULL) {
        command_end(reply, ERR_NOMEM);
        return;
    }
    *s = (struct show){.n = n, .reply = reply, .prefix = control_get_text(&request->args, "object")};
    show_page(s, reply);
}
