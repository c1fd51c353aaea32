/* call_kit: one node with a trunk on its caller's side and a target on its callee's, and the requests of a call. */
#ifndef TANDEM_TEST_CALL_KIT_H
#define TANDEM_TEST_CALL_KIT_H

#include "ua_kit.h"

struct world {
    struct kit k;
    struct kit_node n;
    struct ua a; /* the caller: trunk/pbx by its port */
    struct ua b; /* the callee: trunk/factory */
    struct ua c; /* a second choice, where a test wants one */
};

static inline int world_open(void **state)
{
    static const char *const listen[] = {"udp:127.0.0.1:0", "tcp:127.0.0.1:0"};
    struct world *w = calloc(1, sizeof *w);
    assert_non_null(w);
    kit_init(&w->k);
    ua_open(&w->a);
    ua_open(&w->b);
    ua_open(&w->c);
    kit_open(&w->k, &w->n, listen, 2, NULL);
    w->n.trunk_port = w->a.port;
    (void)kit_target(&w->n, "trunk/factory", w->b.port);
    *state = w;
    return 0;
}

static inline int world_close(void **state)
{
    struct world *w = *state;
    if (!w->n.closed) kit_close(&w->k, &w->n, 0);
    ua_close(&w->a);
    ua_close(&w->b);
    ua_close(&w->c);
    kit_fini(&w->k);
    free(w);
    return 0;
}

struct request {
    const char *method;
    const char *uri; /* NULL: sip:8123@ the node */
    const char *branch;
    const char *call_id;      /* NULL: "call-1" */
    const char *from;         /* NULL: the caller with its tag */
    const char *to;           /* NULL: 8123 without a tag */
    unsigned cseq;            /* 0: 1 */
    const char *lines;        /* further header lines */
    const char *max_forwards; /* NULL: a line with 70 */
    const char *body;         /* a session description; NULL: none */
};

#define CALLER "<sip:100@pbx.example>;tag=caller"
#define CALLEE "<sip:8123@example.org>;tag=callee"

static inline void ua_request(struct ua *u, const struct kit_node *n, const struct request *r)
{
    char uri[64];
    (void)snprintf(uri, sizeof uri, "sip:8123@127.0.0.1:%u", n->port);
    unsigned cseq = r->cseq > 0 ? r->cseq : 1;
    const char *body = r->body != NULL ? r->body : "";
    const char *type = r->body != NULL ? "Content-Type: application/sdp\r\n" : "";
    ua_send(u, n->port,
            "%s %s SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.1:%u;branch=z9hG4bK%s;rport\r\n%sFrom: %s\r\nTo: %s\r\nCall-ID: "
            "%s\r\n"
            "CSeq: %u %s\r\nContact: <sip:ua@127.0.0.1:%u>\r\n%s%sContent-Length: %zu\r\n\r\n%s",
            r->method, r->uri != NULL ? r->uri : uri, u->port, r->branch,
            r->max_forwards != NULL ? r->max_forwards : "Max-Forwards: 70\r\n", r->from != NULL ? r->from : CALLER,
            r->to != NULL ? r->to : "<sip:8123@example.org>", r->call_id != NULL ? r->call_id : "call-1", cseq,
            r->method, u->port, r->lines != NULL ? r->lines : "", type, strlen(body), body);
}

static inline const char *contact_line(const struct ua *u)
{
    static char line[64];
    (void)snprintf(line, sizeof line, "Contact: <sip:ua@127.0.0.1:%u>\r\n", u->port);
    return line;
}

/* A call that is answered: INVITE, 180, 200 (w->b keeps the INVITE, w->a the 200), ACK. routes gets the caller's
 * Route line. */
static inline void call_up(struct world *w, char *routes, size_t size)
{
    char uri[64];
    ua_request(&w->a, &w->n, &(struct request){.method = "INVITE", .branch = "i1"});
    ua_expect(&w->k, &w->b, "INVITE");
    ua_keep(&w->b);
    ua_reply(&w->b, 180, contact_line(&w->b));
    ua_expect_code(&w->k, &w->a, 180);
    ua_answer(&w->b, &w->b.kept_v, 200, contact_line(&w->b));
    ua_expect_code(&w->k, &w->a, 200);
    ua_keep(&w->a);
    ua_route_set(&w->a.v, true, routes, size);
    (void)snprintf(uri, sizeof uri, "sip:ua@127.0.0.1:%u", w->b.port);
    ua_request(&w->a, &w->n,
               &(struct request){.method = "ACK", .branch = "k1", .uri = uri, .to = CALLEE, .lines = routes});
    ua_expect(&w->k, &w->b, "ACK");
}

/* b is a proxy outside that does not stay on the way: it sends the INVITE that it received back to us, for this user,
 * and the target, c, answers with these lines. w->a has the 200. */
static inline void spiral_to_c(struct world *w, const char *user, const char *lines)
{
    w->n.trunk_port = w->b.port;
    ua_send(&w->b, w->n.port,
            "INVITE sip:%s@127.0.0.1:%u SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.1:%u;branch=z9hG4bKs1\r\n%s", user,
            w->n.port, w->b.port, strstr(w->b.in, "\r\n") + 2);
    ua_expect(&w->k, &w->c, "INVITE");
    assert_int_equal(edge_load(w->n.edge).calls, 2);
    ua_reply(&w->c, 200, lines);
    ua_expect_code(&w->k, &w->b, 200);
    const char *rest = strstr(strstr(w->b.in, "Via:"), "\r\n") + 2; /* its own Via goes */
    ua_send(&w->b, w->n.port, "SIP/2.0 200 OK\r\n%s", rest);
    ua_expect_code(&w->k, &w->a, 200);
}

#endif
