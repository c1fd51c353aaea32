/* commands_events: events: what happened at this node lately, oldest first, as far as events.h remembers it. */
#include <inttypes.h>
#include <stdlib.h>

#include "node/app/node.h"

#define MORE_TEXT 160

/* What is asked for. */
struct wish {
    enum log_level level; /* this and what is worse */
    struct slice module;  /* "" any */
    int64_t since_ms;
    int64_t until_ms;
    uint64_t limit; /* 0: none */
    uint64_t after; /* the number of the last one that the asker has */
};

static bool level_parse(struct slice text, enum log_level *level)
{
    *level = EVENTS_LEVEL;
    if (text.n == 0) return true;
    for (enum log_level l = LOG_ERROR; l <= EVENTS_LEVEL; l++) {
        if (!slice_is(text, log_level_name(l))) continue;
        *level = l;
        return true;
    }
    return false;
}

static bool fits(const struct wish *w, const struct event *e)
{
    return e->level <= w->level && (w->module.n == 0 || slice_is(w->module, e->module)) && e->at.ms >= w->since_ms &&
           e->at.ms <= w->until_ms;
}

static void send_event(struct node *n, struct control_reply *reply, const struct event *e)
{
    struct arena arena = {0};
    struct control_builder b;
    control_record_start(&b, &arena, "event");
    command_time(&b, "time", e->at);
    control_text(&b, "node", slice_of(n->config.node));
    control_text(&b, "level", slice_of(log_level_name(e->level)));
    control_text(&b, "module", slice_of(e->module));
    control_text(&b, "event", slice_of(e->ev));
    control_text(&b, "text", slice_of(e->text));
    if (e->suppressed > 0) {
        control_int(&b, "suppressed", e->suppressed);
    } else {
        control_null(&b, "suppressed");
    }
    control_int(&b, "run", n->started.ms);
    control_int(&b, "number", (int64_t)e->number);
    command_record(reply, &b);
    arena_fini(&arena);
}

/* Those that fit, at the beginning of list, the last limit of them. Returns how many; *cut is whether the limit left
 * some out. */
static size_t choose(const struct wish *w, struct event *list, size_t count, size_t *first, bool *cut)
{
    size_t fit = 0;
    for (size_t i = 0; i < count; i++) {
        if (!fits(w, &list[i])) continue;
        if (fit != i) list[fit] = list[i];
        fit++;
    }
    *cut = w->limit > 0 && fit > w->limit;
    *first = *cut ? fit - w->limit : 0;
    return fit;
}

static void send_events(struct node *n, struct control_reply *reply, const struct wish *w, struct event *list)
{
    uint64_t gone = 0;
    size_t first = 0;
    bool cut = false;
    char text[MORE_TEXT] = "";
    size_t count = events_copy(n->events, w->after, list, &gone);
    bool reaches_back = count > 0 && w->since_ms < list[0].at.ms;
    size_t fit = choose(w, list, count, &first, &cut);
    for (size_t i = first; i < fit; i++)
        send_event(n, reply, &list[i]);
    if (gone > 0 && w->after == 0 && reaches_back && !cut) {
        (void)snprintf(text, sizeof text, "node %s remembers its latest %d events; %" PRIu64 " older ones are gone",
                       n->config.node, EVENTS_KEPT, gone);
    }
    control_reply_end(reply, 0, slice_of(text));
}

NODE_COMMAND(command_events)
{
    struct node *n = ctx;
    const struct control_record *args = &request->args;
    int64_t limit = control_get_int(args, "limit", 0);
    int64_t after = control_get_int(args, "after", 0);
    struct wish w = {.module = control_get_text(args, "module"),
                     .since_ms = control_get_int(args, "since_ms", INT64_MIN),
                     .until_ms = control_get_int(args, "until_ms", INT64_MAX),
                     .limit = limit > 0 ? (uint64_t)limit : 0};
    if (control_get_int(args, "run", 0) == n->started.ms && after > 0) w.after = (uint64_t)after;
    if (!level_parse(control_get_text(args, "level"), &w.level)) {
        control_reply_end(reply, 2, SLICE("the level of events is error, warn or info"));
        return;
    }
    struct event *list = malloc(EVENTS_KEPT * sizeof *list);
    if (list == NULL) {
        command_end(reply, ERR_NOMEM);
        return;
    }
    send_events(n, reply, &w, list);
    free(list);
}
