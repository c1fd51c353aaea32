/* http: the node's read-only web side: /metrics, /healthz, and pages that the composition root adds.
 *
 * libmicrohttpd runs without a thread: its epoll descriptor hangs on the uv loop, so that pages read the node's state
 * without a lock. A handler therefore answers at once and from memory. GET and HEAD only; 32 connections, 15 s of
 * patience, 16 KB of request. There is no TLS and no login: listen on a loopback address, or put a proxy in front. Loop
 * thread only. */
#ifndef TANDEM_CONTROL_HTTP_H
#define TANDEM_CONTROL_HTTP_H

#include <uv.h>

#include "node/base/log.h"
#include "node/control/metrics.h"

struct http;
struct http_request; /* valid during the call of a page's handler */

struct http_page {
    const char *path; /* "/", "/calls": the whole path */
    const char *content_type;
    const char *policy; /* the value of Content-Security-Policy; NULL: none */
    bool near;          /* only for who asks for it by a name that no stranger can have given us: see host.h */
    /* Appends the body to out and returns the status (200). */
    unsigned (*handler)(void *ctx, const struct http_request *request, struct buf *out);
};

struct http_options {
    uv_loop_t *loop;
    const struct log *log;
    const char *listen;                        /* "127.0.0.1:8080", "[::1]:8080"; port 0: any free one */
    const struct counter_table *const *tables; /* the array is copied, the tables are borrowed; http's own is added */
    size_t table_count;
    void (*gauges)(void *ctx, struct metrics_writer *w); /* NULL: none */
    /* Whether the node is fit for calls: 200 or 503, with what it appends (a line for people). NULL: always. */
    bool (*healthz)(void *ctx, struct buf *out);
    const struct http_page *pages; /* copied; the texts are borrowed */
    size_t page_count;
    void *ctx; /* for all callbacks */
};

/* ERR_SYNTAX (listen), ERR_EXISTS (in use), ERR_IO, ERR_NOMEM. */
MUST_CHECK enum err http_open(const struct http_options *options, struct http **out, struct err_info *info);
/* Open connections are cut. closed may be NULL. */
void http_close(struct http *h, void (*closed)(void *ctx), void *ctx);
unsigned http_port(const struct http *h);
const struct counter_table *http_counters(const struct http *h);

/* ?name=value, decoded; NULL when it is not there. */
const char *http_query(const struct http_request *request, const char *name);

#endif
