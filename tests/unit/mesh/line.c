/* See line.h. */
#include "line.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <arpa/inet.h>
#include <cmocka.h>

struct line_pair {
    uv_tcp_t end[2]; /* the one that dialled, the target */
    uv_connect_t connecting;
    bool silent;
    bool closing;
    unsigned open;
};

struct line_write {
    uv_write_t req;
    char *data;
};

static void on_closed(uv_handle_t *h)
{
    struct line_pair *p = h->data;
    if (--p->open == 0) free(p);
}

static void pair_close(struct line_pair *p)
{
    if (p->closing) return;
    p->closing = true;
    uv_close((uv_handle_t *)&p->end[0], on_closed);
    uv_close((uv_handle_t *)&p->end[1], on_closed);
}

static void on_alloc(uv_handle_t *h, size_t suggested, uv_buf_t *buf)
{
    (void)h;
    *buf = uv_buf_init(malloc(suggested), (unsigned)suggested);
}

static void on_written(uv_write_t *req, int status)
{
    struct line_write *w = (struct line_write *)req;
    (void)status;
    free(w->data);
    free(w);
}

static void on_read(uv_stream_t *s, ssize_t n, const uv_buf_t *buf)
{
    struct line_pair *p = s->data;
    struct line_write *w = n > 0 && !p->silent && !p->closing ? malloc(sizeof *w) : NULL;
    if (w != NULL) {
        uv_buf_t out = uv_buf_init(buf->base, (unsigned)n);
        uv_tcp_t *to = s == (uv_stream_t *)&p->end[0] ? &p->end[1] : &p->end[0];
        w->data = buf->base;
        if (uv_write(&w->req, (uv_stream_t *)to, &out, 1, on_written) == 0) return;
        free(w);
    }
    free(buf->base);
    if (n < 0 && !p->silent) pair_close(p); /* a silent line does not pass on the end either */
    if (n < 0 && p->silent) (void)uv_read_stop(s);
}

static void on_connected(uv_connect_t *req, int status)
{
    struct line_pair *p = req->data;
    if (p->closing) return;
    if (status != 0) {
        pair_close(p);
        return;
    }
    for (size_t i = 0; i < 2; i++)
        assert_int_equal(uv_read_start((uv_stream_t *)&p->end[i], on_alloc, on_read), 0);
}

static void on_connection(uv_stream_t *listener, int status)
{
    struct line *l = listener->data;
    struct sockaddr_in target;
    assert_int_equal(status, 0);
    assert_true(l->count < LINE_PAIRS);
    struct line_pair *p = calloc(1, sizeof *p);
    assert_non_null(p);
    l->pairs[l->count++] = p;
    p->open = 3; /* the line's own hold is the third */
    for (size_t i = 0; i < 2; i++) {
        assert_int_equal(uv_tcp_init(listener->loop, &p->end[i]), 0);
        p->end[i].data = p;
    }
    p->connecting.data = p;
    assert_int_equal(uv_accept(listener, (uv_stream_t *)&p->end[0]), 0);
    assert_int_equal(uv_ip4_addr("127.0.0.1", (int)l->target_port, &target), 0);
    assert_int_equal(uv_tcp_connect(&p->connecting, &p->end[1], (struct sockaddr *)&target, on_connected), 0);
}

void line_open(struct line *l, uv_loop_t *loop, unsigned target_port)
{
    struct sockaddr_in any;
    int len = sizeof any;
    *l = (struct line){.target_port = target_port};
    assert_int_equal(uv_ip4_addr("127.0.0.1", 0, &any), 0);
    assert_int_equal(uv_tcp_init(loop, &l->listener), 0);
    l->listener.data = l;
    assert_int_equal(uv_tcp_bind(&l->listener, (struct sockaddr *)&any, 0), 0);
    assert_int_equal(uv_listen((uv_stream_t *)&l->listener, 16, on_connection), 0);
    assert_int_equal(uv_tcp_getsockname(&l->listener, (struct sockaddr *)&any, &len), 0);
    (void)snprintf(l->address, sizeof l->address, "127.0.0.1:%u", ntohs(any.sin_port));
}

void line_silence(struct line *l)
{
    for (size_t i = 0; i < l->count; i++)
        l->pairs[i]->silent = true;
}

void line_close(struct line *l)
{
    for (size_t i = 0; i < l->count; i++) {
        struct line_pair *p = l->pairs[i];
        pair_close(p);
        if (--p->open == 0) free(p);
    }
    uv_close((uv_handle_t *)&l->listener, NULL);
}
