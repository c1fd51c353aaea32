/* client_send: the requests of a line on their way: names, addresses, transactions, answers, and what keeps the way
 * open. */
#include "node/edge/client_line.h"

#include <stdio.h>
#include <stdlib.h>

static const char *const via_words[] = {[PLAN_UDP] = "UDP", [PLAN_TCP] = "TCP", [PLAN_TLS] = "TLS"};

/* ---- places ---- */

static void read_place(struct line *l)
{
    l->redirected[0] = '\0';
    l->found_count = l->found_at = 0;
    l->transport = l->o.transport;
    if (address_host_parse(l->o.address[l->place], &l->host, NULL) != ERR_OK) l->host = (struct address_host){0};
}

void line_first_place(struct line *l)
{
    l->place = 0;
    read_place(l);
}

bool line_more_places(const struct line *l)
{
    return l->found_at + 1 < l->found_count || l->place + 1 < l->o.address_count;
}

void line_next_place(struct line *l)
{
    if (l->found_at + 1 < l->found_count) {
        l->found_at++;
    } else if (l->place + 1 < l->o.address_count) {
        l->place++;
        read_place(l);
    }
}

/* Where a 3xx sends us; only from TLS to TLS, since the password's digest goes there. */
static bool redirect_to(struct line *l, struct slice text)
{
    struct arena arena = {0};
    struct sip_uri uri;
    enum plan_transport transport = PLAN_UDP;
    bool usable = sip_uri_parse(&arena, text, &uri) == ERR_OK && uri.host.n > 0 && uri.host.n <= LIMIT_HOST &&
                  edge_uri_transport(&uri, &transport) && (l->o.transport != PLAN_TLS || transport == PLAN_TLS) &&
                  !edge_is_ours(l->lines->edge, &uri);
    if (usable) {
        (void)snprintf(l->redirected, sizeof l->redirected, "%.*s", SLICE_ARG(uri.host));
        l->host = (struct address_host){.host = slice_of(l->redirected), .port = uri.port};
        l->transport = transport;
        l->found_count = l->found_at = 0;
        lines_tally(l->lines, CC_redirects);
    }
    arena_fini(&arena);
    return usable;
}

static void note_peers(struct line *l, const union sock_address *list, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        bool known = false;
        for (size_t k = 0; k < l->peer_count && !known; k++)
            known = sock_address_same_host(&l->peers[k], &list[i]);
        if (known) continue;
        if (l->peer_count == LINE_PEERS) { /* the oldest goes */
            memmove(l->peers, l->peers + 1, (LINE_PEERS - 1) * sizeof l->peers[0]);
            l->peer_count--;
        }
        l->peers[l->peer_count++] = list[i];
    }
}

/* Whose proxy is looked up; by its token, since the line may be gone by then. */
struct proxy_question {
    struct edge *edge;
    char token[SIP_LINE_TOKEN];
};

static void proxy_found(void *ctx, enum err err, const union sock_address *addresses, size_t count)
{
    struct proxy_question *q = ctx;
    struct list_node *list = &q->edge->registrations->list;
    for (struct list_node *n = list->next; err == ERR_OK && n != list; n = n->next) {
        struct line *l = CONTAINER_OF(n, struct line, node);
        if (strcmp(l->token, q->token) == 0) note_peers(l, addresses, count);
    }
    if (err != ERR_OK) lines_tally(q->edge->registrations, CC_unresolved);
    free(q);
}

/* Calls to our contact come by the proxy that is next to us, which need not be where we register (RFC 3327). */
static void note_proxy(struct line *l, const struct sip_register_answer *a)
{
    union sock_address address;
    if (a->path_host.n == 0) return;
    if (sock_address_parse(a->path_host, 1, &address) == ERR_OK) {
        note_peers(l, &address, 1);
        return;
    }
    struct proxy_question *q = malloc(sizeof *q);
    if (q == NULL) {
        lines_tally(l->lines, CC_no_memory);
        return;
    }
    q->edge = l->lines->edge;
    memcpy(q->token, l->token, sizeof q->token);
    if (dns_resolve(q->edge->dns, a->path_host, a->path_port, l->transport, proxy_found, q) == ERR_OK) return;
    lines_tally(l->lines, CC_unresolved);
    free(q);
}

/* ---- the request ---- */

static void add_host(struct buf *b, struct slice host)
{
    bool v6 = memchr(host.p, ':', host.n) != NULL;
    buf_text(b, v6 ? "[" : "");
    buf_slice(b, host);
    buf_text(b, v6 ? "]" : "");
}

/* Our domain there: what the plan says, or the host of the first address. */
static void add_domain(const struct line *l, struct buf *b)
{
    struct address_host first = {.host = SLICE("")};
    if (l->o.domain.n > 0) {
        buf_slice(b, l->o.domain);
    } else if (address_host_parse(l->o.address[0], &first, NULL) == ERR_OK) {
        add_host(b, first.host);
    }
}

/* RFC 3261 §8.1.3.4: after a redirection the contact is the Request-URI. */
static void add_request_uri(const struct line *l, struct buf *b)
{
    buf_text(b, "sip:");
    if (l->redirected[0] == '\0') {
        add_domain(l, b);
    } else {
        add_host(b, l->host.host);
        if (l->host.port != 0) buf_printf(b, ":%u", l->host.port);
    }
}

/* "sip:4930123@10.1.0.1:5060;transport=tcp;line=..." */
static void name_contact(struct line *l)
{
    const char *place = l->lines->edge->places[l->to.listener].uri;
    (void)snprintf(l->contact, sizeof l->contact, "sip:%.*s@%s;" SIP_LINE_PARAM "=%s", SLICE_ARG(l->o.user),
                   place + strlen("sip:"), l->token);
}

static enum err add_auth(struct line *l, struct slice uri, struct buf *out)
{
    char cnonce[17];
    struct slice login = l->o.login.n > 0 ? l->o.login : l->o.user;
    (void)snprintf(cnonce, sizeof cnonce, "%016llx", (unsigned long long)random_next(l->lines->edge->random));
    return sip_auth_lines(&l->reg.auth, login, l->o.password, SLICE("REGISTER"), uri, slice_of(cnonce), out);
}

/* In lines->out. */
static enum err build(struct line *l)
{
    struct lines *c = l->lines;
    struct edge *e = c->edge;
    struct buf uri = {0};
    struct buf domain = {0};
    char branch[SIP_TX_BRANCH];
    sip_tx_branch(l->id, 0, branch);
    buf_reset(&c->auth);
    buf_reset(&c->out);
    add_request_uri(l, &uri);
    add_domain(l, &domain);
    name_contact(l);
    enum err err = uri.failed || domain.failed ? ERR_NOMEM : add_auth(l, buf_view(&uri), &c->auth);
    struct sip_register m = {.uri = buf_view(&uri),
                             .user = l->o.user,
                             .domain = buf_view(&domain),
                             .transport = slice_of(via_words[l->transport]),
                             .sent_by = slice_of(e->places[l->to.listener].sent_by),
                             .branch = branch,
                             .tag = l->tag,
                             .call_id = slice_of(l->call_id),
                             .cseq = ++l->cseq,
                             .contact = slice_of(l->contact),
                             .stale = l->take_stale && l->reg.asked_s > 0 ? l->o.stale : SLICE(""),
                             .expires_s = l->reg.asked_s,
                             .auth = buf_view(&c->auth),
                             .version = e->o.node.version};
    if (err == ERR_OK) err = sip_register_build(&m, &c->out);
    buf_fini(&uri);
    buf_fini(&domain);
    return err;
}

void line_drop_request(struct line *l)
{
    struct lines *c = l->lines;
    sip_tx_remove(&c->tx, &l->tx);
    sip_timer_stop(&c->tx, &l->silence);
    free(l->message);
    l->message = NULL;
    l->id = 0;
}

static bool keep_message(struct line *l)
{
    struct lines *c = l->lines;
    l->message_len = c->out.n;
    l->message = malloc(l->message_len);
    if (l->message != NULL) memcpy(l->message, c->out.p, c->out.n);
    return l->message != NULL;
}

static const char *out_of_memory(struct line *l)
{
    lines_tally(l->lines, CC_no_memory);
    line_drop_request(l);
    return "this node is out of memory";
}

uint32_t line_rest_s(const struct line *l)
{
    struct mono now = lines_now(l->lines);
    if (l->found_at >= l->found_count) return 0;
    return rest_left_s(rests_until(&l->rests, &l->found[l->found_at], now), now);
}

static const char *transmit(struct line *l)
{
    struct lines *c = l->lines;
    struct edge *e = c->edge;
    static const struct flow nobody = {.listener = UINT8_MAX};
    line_drop_request(l);
    if (line_rest_s(l) > 0 && !registration_ending(&l->reg)) { /* what we hold there is given back all the same */
        lines_tally(c, CC_rests_kept);
        return "has asked to be left alone for a while";
    }
    if (edge_flow_to(e, l->transport, &l->found[l->found_at], &nobody, &l->to) != ERR_OK) {
        lines_tally(c, CC_unsent);
        return "no listener of this node has its transport";
    }
    l->id = random_next(e->random) | 1;
    if (build(l) != ERR_OK || !keep_message(l)) return out_of_memory(l);
    lines_tally(c, CC_requests);
    lines_wake(c);
    sip_tx_start_client(&c->tx, &l->tx, l->id, SIP_REGISTER, l->transport != PLAN_UDP, lines_now(c));
    sip_timer_start(&c->tx, &l->silence, mono_add_ms(lines_now(c), CLIENT_ANSWER_MS));
    struct slice text = {l->message, l->message_len};
    if (edge_send_hop(e, &l->to, l->host.host, false, text, l->id) == ERR_OK) return NULL;
    lines_tally(c, CC_unsent);
    line_drop_request(l);
    return "cannot be sent to";
}

/* ---- names ---- */

static void set_found(struct line *l, const union sock_address *addresses, size_t count)
{
    l->found_count = (uint8_t)(count < LINE_ADDRESSES ? count : LINE_ADDRESSES);
    l->found_at = 0;
    if (l->found_count > 0) memcpy(l->found, addresses, l->found_count * sizeof l->found[0]);
    note_peers(l, l->found, l->found_count);
}

static const char *nowhere(struct line *l)
{
    lines_tally(l->lines, CC_unresolved);
    return "its name has no address";
}

static void unsent(struct line *l, const char *problem)
{
    struct registration_event ev = {.type = REGISTRATION_UNREACHABLE, .words = problem, .rest_s = line_rest_s(l)};
    line_step(l, ev);
}

static void resolved(void *ctx, enum err err, const union sock_address *addresses, size_t count)
{
    struct line *l = ctx;
    struct lines *c = l->lines;
    l->resolving = false;
    if (l->gone) {
        line_resolved_gone(l);
        return;
    }
    if (c->closing) return;
    set_found(l, addresses, err == ERR_OK ? count : 0);
    if (l->asked_dns) return; /* from the cache: look_up goes on */
    if (!registration_asks(&l->reg)) return;
    const char *problem = l->found_count > 0 ? transmit(l) : nowhere(l);
    if (problem != NULL) unsent(l, problem);
    lines_arm(c);
}

static const char *look_up(struct line *l)
{
    struct edge *e = l->lines->edge;
    if (l->lines->closing) return "the node stops";
    l->resolving = true;
    l->asked_dns = true;
    enum err err = dns_resolve(e->dns, l->host.host, l->host.port, l->transport, resolved, l);
    l->asked_dns = false;
    if (err != ERR_OK) l->resolving = false;
    if (l->resolving) return NULL;
    return l->found_count > 0 ? transmit(l) : nowhere(l);
}

const char *line_send(struct line *l)
{
    union sock_address address;
    uint16_t port = l->host.port != 0 ? l->host.port : sip_default_port(l->transport);
    if (l->resolving) return NULL; /* what is asked for then is what goes out */
    if (l->found_count > 0) return transmit(l);
    if (sock_address_parse(l->host.host, port, &address) != ERR_OK) return look_up(l);
    set_found(l, &address, 1);
    return transmit(l);
}

/* ---- answers ---- */

static void keep_alive_later(struct line *l)
{
    struct lines *c = l->lines;
    bool stream = l->flow.transport != PLAN_UDP;
    sip_timer_stop(&c->tx, &l->keep);
    if (!l->has_flow || (!stream && !l->translated)) return;
    uint64_t ms = stream ? CLIENT_KEEP_STREAM_MS : CLIENT_KEEP_UDP_MS;
    lines_wake(c);
    sip_timer_start(&c->tx, &l->keep, mono_add_ms(lines_now(c), ms - random_below(c->edge->random, ms / 5)));
}

void line_keep_alive(struct line *l)
{
    struct lines *c = l->lines;
    if (!l->has_flow || !registration_bound(&l->reg)) return;
    lines_tally(c, CC_keepalives);
    if (transport_send(c->edge->transport, &l->flow, false, SLICE("\r\n\r\n"), 0) != ERR_OK) lines_tally(c, CC_unsent);
    keep_alive_later(l);
}

static void registered(struct line *l, const struct flow *from, const struct sip_register_answer *a)
{
    char remote[SOCK_ADDRESS_TEXT];
    l->flow = l->to;
    l->flow.connection = from->connection;
    l->has_flow = true;
    l->take_stale = false;
    l->translated = a->translated;
    l->expires.ms = edge_wall().ms + (int64_t)a->plain.granted_s * 1000;
    (void)snprintf(l->at, sizeof l->at, "%s:%s", plan_transport_name(l->transport),
                   sock_address_text(&l->to.remote, remote));
    (void)snprintf(l->at_host, sizeof l->at_host, "%.*s", SLICE_ARG(l->host.host));
    buf_reset(&l->route);
    buf_slice(&l->route, a->service_route);
    note_proxy(l, a);
    keep_alive_later(l);
}

static void final(struct line *l, const struct flow *from, const struct sip_view *v, struct sip_register_answer *a)
{
    unsigned code = a->plain.code;
    uint32_t rest_s = rest_asked_s(v);
    bool ending = registration_ending(&l->reg);
    lines_tally(l->lines, code == 401 || code == 407 ? CC_challenges : CC_answers);
    line_drop_request(l);
    if (rest_s > 0) lines_tally(l->lines, CC_rests);
    if (rest_s > 0) rests_add(&l->rests, &l->to.remote, rest_s, lines_now(l->lines));
    if (!ending && a->plain.granted_s > 0) registered(l, from, a);
    if (!ending && a->plain.redirects) a->plain.redirects = redirect_to(l, a->redirect);
    if (code >= 400 && code != 401 && code != 407) l->take_stale = false; /* perhaps that was what it did not like */
    line_step(l, (struct registration_event){.type = REGISTRATION_ANSWER, .answer = &a->plain});
}

bool lines_on_response(struct lines *c, const struct flow *from, const struct sip_view *v)
{
    struct arena arena = {0};
    struct sip_register_answer a;
    struct sip_tx *tx = c->tx.clients.count > 0 ? sip_tx_find_client(&c->tx, v) : NULL;
    if (tx == NULL) return false;
    struct line *l = CONTAINER_OF(tx, struct line, tx);
    if (!edge_may_answer(c->edge, &l->to, from) || !slice_eq(v->call_id, slice_of(l->call_id))) return false;
    if (v->code < 200) {
        (void)sip_tx_step(&c->tx, tx, SIP_TX_1XX, lines_now(c));
    } else if (sip_register_read(&arena, v, slice_of(l->token), l->reg.asked_s, &a) == ERR_OK) {
        final(l, from, v, &a);
    } else {
        lines_tally(c, CC_no_memory); /* the request comes again */
    }
    arena_fini(&arena);
    lines_arm(c);
    return true;
}

/* ---- no answer ---- */

static void failed(struct line *l, enum registration_event_type type, enum client_counter why, const char *words)
{
    lines_tally(l->lines, why);
    line_drop_request(l);
    line_step(l, (struct registration_event){.type = type, .words = words});
}

void line_silence(struct line *l)
{
    failed(l, REGISTRATION_SILENCE, CC_silences, "no answer to REGISTER");
}

void line_tx_event(struct line *l, enum sip_tx_event ev)
{
    struct lines *c = l->lines;
    unsigned actions = sip_tx_step(&c->tx, &l->tx, ev, lines_now(c));
    if ((actions & SIP_TX_DO_RESEND) != 0 &&
        transport_send(c->edge->transport, &l->to, false, (struct slice){l->message, l->message_len}, l->id) != ERR_OK)
        failed(l, REGISTRATION_UNREACHABLE, CC_unsent, "cannot be sent to");
}

static struct line *next_line(const struct lines *c, struct list_node **at)
{
    struct list_node *n = *at;
    if (n == &c->list) return NULL;
    *at = n->next;
    return CONTAINER_OF(n, struct line, node);
}

bool lines_on_send_failed(struct lines *c, uint64_t token)
{
    char words[EDGE_UNSENT_WORDS];
    struct list_node *at = c->list.next;
    for (struct line *l = NULL; (l = next_line(c, &at)) != NULL;) {
        if (l->id != token) continue;
        failed(l, REGISTRATION_UNREACHABLE, CC_unsent, edge_unsent_words(c->edge, words));
        return true;
    }
    return false;
}

void lines_on_unreachable(struct lines *c, const union sock_address *to)
{
    struct list_node *at = c->list.next;
    for (struct line *l = NULL; (l = next_line(c, &at)) != NULL;) {
        if (l->id != 0 && l->to.transport == PLAN_UDP && sock_address_eq(&l->to.remote, to))
            failed(l, REGISTRATION_UNREACHABLE, CC_unsent, "nothing listens there");
    }
}

void lines_on_connection_lost(struct lines *c, const struct flow *flow)
{
    struct list_node *at = c->list.next;
    for (struct line *l = NULL; (l = next_line(c, &at)) != NULL;) {
        if (!l->has_flow || l->flow.connection == 0 || l->flow.connection != flow->connection) continue;
        lines_tally(c, CC_flows_lost);
        l->has_flow = false;
        sip_timer_stop(&c->tx, &l->keep);
        line_step(l, (struct registration_event){.type = REGISTRATION_FLOW_LOST});
    }
}
