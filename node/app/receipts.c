#include "node/app/receipts.h"

#include <stdio.h>
#include <stdlib.h>

#define WAIT_MS 5000
#define WAIT_MAX_MS 3600000
#define PROGRESS_NAMES 4

void receipts_arguments(struct receipts *r, const struct control_record *args)
{
    struct slice text = control_get_text(args, "wait");
    int64_t timeout_ms = control_get_int(args, "timeout_ms", WAIT_MS);
    uint64_t count = 0;
    *r = (struct receipts){.wait_for = WAIT_LIVE, .timeout_ms = timeout_ms < 1 ? 1 : (uint64_t)timeout_ms};
    if (r->timeout_ms > WAIT_MAX_MS) r->timeout_ms = WAIT_MAX_MS;
    if (slice_is(text, "all")) {
        r->wait_for = WAIT_ALL;
    } else if (slice_u64(text, LIMIT_MEMBERS, &count) == ERR_OK) {
        r->wait_for = WAIT_COUNT;
        r->wait_count = (size_t)count;
    }
}

enum err receipts_address(struct receipts *r, const struct node *n)
{
    size_t count = repl_member_count(n->repl);
    r->addressees = calloc(count, sizeof *r->addressees);
    if (r->addressees == NULL) return ERR_NOMEM;
    for (size_t i = 1; i < count; i++) {
        struct repl_member_view m = repl_member_at(n->repl, i);
        if (m.status == MEMBER_LEFT || m.status == MEMBER_EVICTED) continue;
        r->addressees[r->addressee_count++] = (struct addressee){.name = m.name, .live = m.status == MEMBER_ALIVE};
    }
    return ERR_OK;
}

void receipts_take(struct receipts *r, struct control_reply *reply, const struct node_name *peer, uint64_t elapsed_ms)
{
    receipts_send(reply, peer, &elapsed_ms, "");
    for (size_t i = 0; i < r->addressee_count; i++) {
        if (node_name_eq(&r->addressees[i].name, peer)) r->addressees[i].has_it = true;
    }
}

static bool awaited(const struct receipts *r, const struct addressee *to)
{
    return !to->has_it && (to->live || r->wait_for == WAIT_ALL);
}

static size_t have(const struct receipts *r)
{
    size_t n = 1; /* this node */
    for (size_t i = 0; i < r->addressee_count; i++)
        n += r->addressees[i].has_it;
    return n;
}

static size_t awaited_count(const struct receipts *r)
{
    size_t n = 0;
    for (size_t i = 0; i < r->addressee_count; i++)
        n += awaited(r, &r->addressees[i]);
    return n;
}

bool receipts_enough(const struct receipts *r)
{
    return r->wait_for == WAIT_COUNT ? have(r) >= r->wait_count : awaited_count(r) == 0;
}

void receipts_progress(const struct receipts *r, struct control_reply *reply)
{
    struct buf text = {0};
    size_t named = 0;
    buf_text(&text, "on disk here; waiting for the receipt of");
    for (size_t i = 0; i < r->addressee_count; i++) {
        if (!awaited(r, &r->addressees[i])) continue;
        if (++named > PROGRESS_NAMES) break;
        buf_printf(&text, "%s %s", named > 1 ? "," : "", r->addressees[i].name.s);
    }
    if (named > PROGRESS_NAMES) buf_text(&text, " and others");
    if (named == 0) buf_text(&text, " nodes that cannot be reached");
    size_t total = r->wait_for == WAIT_COUNT ? r->wait_count : have(r) + awaited_count(r);
    if (!text.failed) control_reply_progress(reply, buf_view(&text), have(r), total);
    buf_fini(&text);
}

size_t receipts_send_missing(const struct receipts *r, const struct node *n, struct control_reply *reply)
{
    size_t missing = 0;
    for (size_t i = 0; i < r->addressee_count; i++) {
        const struct addressee *to = &r->addressees[i];
        if (to->has_it) continue;
        bool live = repl_member_status(n->repl, &to->name) == MEMBER_ALIVE;
        missing++;
        receipts_send(reply, &to->name, NULL, live ? "has not confirmed it yet" : "unreachable, will catch up");
    }
    return missing;
}

void receipts_note(const struct receipts *r, size_t missing, char *out, size_t out_size)
{
    out[0] = '\0';
    if (missing == 0) return;
    (void)snprintf(out, out_size,
                   r->wait_for == WAIT_COUNT ? "as many nodes as asked for have it; %zu will catch up"
                                             : "every node that can be reached has it; %zu that cannot will catch up",
                   missing);
}

void receipts_send(struct control_reply *reply, const struct node_name *node, const uint64_t *ms, const char *note)
{
    struct arena arena = {0};
    struct control_builder b;
    control_record_start(&b, &arena, "receipt");
    control_text(&b, "node", node_name_slice(node));
    if (ms != NULL) {
        control_int(&b, "ms", (int64_t)*ms);
    } else {
        control_null(&b, "ms");
    }
    control_bool(&b, "durable", ms != NULL);
    control_text(&b, "note", slice_of(note));
    command_record(reply, &b);
    arena_fini(&arena);
}

void receipts_fini(struct receipts *r)
{
    free(r->addressees);
    r->addressees = NULL;
    r->addressee_count = 0;
}
