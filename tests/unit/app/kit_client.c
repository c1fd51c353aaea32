/* The client of kit.h: a connection to the control socket, on the loop of the node. */
#include "kit.h"

#include <stdio.h>

#include "node/plan/document.h"

/* ---- a client ---- */

static void take_frames(struct client *c)
{
    struct control_frame f;
    size_t used = 0;
    while (!c->ended) {
        struct slice rest = {c->in.p + c->parsed, c->in.n - c->parsed};
        if (rest.n == 0) return;
        assert_int_equal(control_frame_unpack(&c->arena, rest, &f, &used), ERR_OK);
        if (used == 0) return;
        c->parsed += used;
        if (f.type == CONTROL_FRAME_RECORD) {
            if (c->count == c->cap) {
                c->cap = c->cap == 0 ? 16 : c->cap * 2;
                c->records = realloc(c->records, c->cap * sizeof *c->records);
                assert_non_null(c->records);
            }
            c->records[c->count++] = f.record;
        } else if (f.type == CONTROL_FRAME_PROGRESS) {
            (void)snprintf(c->progress, sizeof c->progress, "%.*s %u/%u", SLICE_ARG(f.text), (unsigned)f.done,
                           (unsigned)f.total);
        } else if (f.type == CONTROL_FRAME_END) {
            c->ended = true;
            c->status = f.status;
            (void)snprintf(c->text, sizeof c->text, "%.*s", SLICE_ARG(f.text));
        }
    }
}

static void on_alloc(uv_handle_t *h, size_t hint, uv_buf_t *b)
{
    struct client *c = h->data;
    (void)hint;
    *b = uv_buf_init(buf_room(&c->in, 65536), 65536);
}

static void on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *b)
{
    struct client *c = stream->data;
    (void)b;
    if (n < 0) {
        c->closed = true;
        return;
    }
    c->in.n += (size_t)n;
    take_frames(c);
}

static void on_connected(uv_connect_t *connect, int status)
{
    struct client *c = connect->data;
    if (status != 0) { /* closed at once, or the node is on its way out */
        c->closed = true;
        return;
    }
    if (c->reading) assert_int_equal(uv_read_start((uv_stream_t *)&c->pipe, on_alloc, on_read), 0);
}

void client_open(struct client *c, struct kit *k)
{
    *c = (struct client){.kit = k, .reading = true};
    assert_int_equal(uv_pipe_init(k->loop, &c->pipe, 0), 0);
    c->pipe.data = c;
    c->connect.data = c;
    uv_pipe_connect(&c->connect, &c->pipe, k->control, on_connected);
}

void client_send(struct client *c, const char *command, const char *node, struct control_builder *args)
{
    struct control_frame f = {.type = CONTROL_FRAME_REQUEST};
    f.request = (struct control_request){
        .version = CONTROL_VERSION, .command = slice_of(command), .node = slice_of(node), .args = {.kind = SLICE("")}};
    if (args != NULL) assert_int_equal(control_record_done(args, &f.request.args), ERR_OK);
    buf_reset(&c->out);
    assert_int_equal(control_frame_pack(&f, &c->out), ERR_OK);
    uv_buf_t b = uv_buf_init(c->out.p, (unsigned)c->out.n);
    assert_int_equal(uv_write(&c->write, (uv_stream_t *)&c->pipe, &b, 1, NULL), 0);
}

static bool answer_ended(void *ctx)
{
    const struct client *c = ctx;
    return c->ended || c->closed;
}

void client_wait(struct client *c)
{
    kit_until(c->kit, answer_ended, c, "an answer");
    if (!c->ended) fail_msg("the connection was closed without an answer; logged:\n%s", c->kit->events);
}

static void on_pipe_closed(uv_handle_t *h)
{
    ((struct client *)h->data)->kit = NULL;
}

static bool pipe_closed(void *ctx)
{
    return ((struct client *)ctx)->kit == NULL;
}

void client_close(struct client *c)
{
    struct kit *k = c->kit;
    uv_close((uv_handle_t *)&c->pipe, on_pipe_closed);
    kit_until(k, pipe_closed, c, "a client to close");
    buf_fini(&c->in);
    buf_fini(&c->out);
    free(c->records);
    arena_fini(&c->arena);
}

void client_ask(struct client *c, struct kit *k, const char *command, const char *node, struct control_builder *args)
{
    struct arena arena = c->arena; /* of the arguments */
    client_open(c, k);
    c->arena = arena;
    client_send(c, command, node, args);
    client_wait(c);
}

const struct control_record *client_record(const struct client *c, const char *kind, size_t i)
{
    for (size_t k = 0; k < c->count; k++) {
        if (slice_is(c->records[k].kind, kind) && i-- == 0) return &c->records[k];
    }
    return NULL;
}

size_t client_count(const struct client *c, const char *kind)
{
    size_t n = 0;
    for (size_t k = 0; k < c->count; k++)
        n += slice_is(c->records[k].kind, kind);
    return n;
}

const char *field_text(struct client *c, const struct control_record *r, const char *name)
{
    assert_non_null(r);
    struct slice copy = arena_copy(&c->arena, control_get_text(r, name));
    assert_non_null(copy.p);
    return copy.p;
}

void args_document(struct client *c, struct control_builder *b, const char *yaml)
{
    struct plan_document doc = kit_document(&c->arena, yaml);
    struct control_record *puts = arena_alloc(&c->arena, doc.object_count * sizeof *puts);
    struct control_record *deletes = arena_alloc(&c->arena, doc.remove_count * sizeof *deletes);
    for (size_t i = 0; i < doc.object_count; i++) {
        struct plan_object *o = &doc.objects[i];
        struct control_builder put;
        struct plan_registration *reg = o->kind == PLAN_TRUNK ? &o->trunk.registration : NULL;
        struct slice secret = reg != NULL ? reg->password : SLICE_NONE;
        bool keep = o->kind == PLAN_ACCOUNT ? o->account.password_keep : reg != NULL && reg->password_keep;
        control_record_start(&put, &c->arena, "put");
        control_bytes(&put, "packed", kit_packed(&c->arena, o));
        if (keep) control_bool(&put, "keep", true);
        if (secret.n > 0) control_text(&put, "secret", secret);
        assert_int_equal(control_record_done(&put, &puts[i]), ERR_OK);
    }
    for (size_t i = 0; i < doc.remove_count; i++) {
        struct control_builder gone;
        control_record_start(&gone, &c->arena, "delete");
        control_text(&gone, "key", doc.remove[i]);
        assert_int_equal(control_record_done(&gone, &deletes[i]), ERR_OK);
    }
    control_list(b, "puts", puts, doc.object_count);
    control_list(b, "deletes", deletes, doc.remove_count);
}
