/* commands_doctor: doctor: what is seen of the node's surroundings from its own machine, and the names that the trunks
 * of its site go by; clock: what time it is here, by which clusterctl compares the nodes' clocks. What the node knows
 * of its peers and trunks anyway is in other commands, from which clusterctl makes the rest of its list.
 *
 *   checks on a worker thread -> names, all at once, on the loop -> end; NAMES_MS after that at the latest */
#include <stdio.h>
#include <stdlib.h>

#include "node/app/doctor.h"
#include "node/app/node.h"
#include "proto/plan_codec.h"

#define NAMES_MAX 64
#define WAYS_MAX 256
#define NAMES_MS 5000

struct visit;

struct name {
    struct visit *v;
    char trunk[LIMIT_NAME + 1];
    char host[LIMIT_HOST + 1];
    uint16_t port;
    enum plan_transport transport;
    bool answered;
};

/* One visit of the doctor. It is freed when it has ended and no name is still asked for. */
struct visit {
    uv_work_t work;
    uv_timer_t timer;
    struct node *n;
    struct control_reply *reply; /* NULL: ended */
    struct doctor found;
    struct doctor_way ways[WAYS_MAX];
    size_t way_count;
    struct name names[NAMES_MAX];
    size_t name_count;
    size_t asked; /* names without an answer */
    bool more_names;
    bool closed; /* the timer */
};

/* ---- what to look at ---- */

static bool visit_card(void *ctx, const struct state_record *record)
{
    struct visit *v = ctx;
    struct arena arena = {0};
    struct node_card card;
    bool own = node_name_eq(&record->owner, &v->n->self);
    if (own || repl_member_status(v->n->repl, &record->owner) != MEMBER_ALIVE) return true;
    if (node_card_unpack(&arena, record->value, &card) == ERR_OK) {
        for (size_t i = 0; i < card.sip_address_count && v->way_count < WAYS_MAX; i++) {
            if (slice_starts(card.sip_addresses[i], SLICE("udp:"))) continue;
            struct doctor_way *w = &v->ways[v->way_count++];
            (void)snprintf(w->node, sizeof w->node, "%s", record->owner.s);
            (void)snprintf(w->address, sizeof w->address, "%.*s", SLICE_ARG(card.sip_addresses[i]));
        }
    }
    arena_fini(&arena);
    return true;
}

static void add_name(struct visit *v, const struct plan_trunk *t, struct slice address)
{
    struct address_host at;
    union sock_address literal;
    if (address_host_parse(address, &at, NULL) != ERR_OK || sock_address_parse(at.host, 1, &literal) == ERR_OK) return;
    if (v->name_count == NAMES_MAX) {
        v->more_names = true;
        return;
    }
    struct name *name = &v->names[v->name_count++];
    *name = (struct name){.v = v, .port = at.port, .transport = t->transport};
    (void)snprintf(name->trunk, sizeof name->trunk, "%.*s", SLICE_ARG(t->name));
    (void)snprintf(name->host, sizeof name->host, "%.*s", SLICE_ARG(at.host));
}

static bool visit_trunk(void *ctx, struct slice key, struct slice packed)
{
    struct visit *v = ctx;
    struct arena arena = {0};
    struct plan_object o;
    if (!slice_starts(key, SLICE("trunk/"))) return false;
    if (plan_object_unpack_stored(&arena, packed, &o, NULL) == ERR_OK && o.kind == PLAN_TRUNK && !o.trunk.disabled &&
        slice_is(o.trunk.site, v->n->config.site)) {
        for (size_t i = 0; i < o.trunk.address_count; i++)
            add_name(v, &o.trunk, o.trunk.address[i]);
    }
    arena_fini(&arena);
    return true;
}

/* A slip in its name, or a branch that was forgotten: no dial rules, no trunks, and nobody can send a call here. */
static enum err visit_site(struct visit *v)
{
    struct arena arena = {0};
    struct plan_object o;
    const char *site = v->n->config.site;
    enum err e = plan_get(v->n, &arena, PLAN_SITE, slice_of(site), &o);
    arena_fini(&arena);
    if (e == ERR_NOTFOUND)
        doctor_add(&v->found, "site", DOCTOR_WARNING, site,
                   "clusterctl site add NAME, or correct \"site:\" in the node's configuration",
                   "the plan has no site of this name, which is this node's");
    return e == ERR_NOTFOUND ? ERR_OK : e;
}

/* Between what the plan asks for and what the machine has. */
static void visit_media(struct visit *v)
{
    struct node *n = v->n;
    struct edge_media m = edge_media(n->edge);
    bool wanted = routing_media_hook(n);
    const char *object = m.relay != NULL ? m.relay : n->config.site;
    if (wanted && m.relay == NULL) {
        doctor_add(&v->found, "media", DOCTOR_WARNING, object,
                   "name the control address of rtpengine in the node's configuration: media: { relay: "
                   "\"127.0.0.1:2223\" }",
                   "the plan wants the media of this site relayed, and this node has no relay: media goes directly");
    } else if (!wanted && m.relay != NULL) {
        doctor_add(&v->found, "media", DOCTOR_WARNING, object, "clusterctl site set NAME --media relay",
                   "there is a media relay, and the plan does not ask for it: media goes directly");
    } else if (wanted && m.since.ms != 0 && !m.up) {
        doctor_add(&v->found, "media", DOCTOR_FAILED, object,
                   "start rtpengine, or see that its listen-ng is this address; until then calls get 500", "%s",
                   m.reason);
    } else if (wanted && m.since.ms != 0) {
        doctor_add(&v->found, "media", DOCTOR_OK, object, NULL, "%s", m.reason);
    }
}

/* ---- the end ---- */

static void visit_free(struct visit *v)
{
    if (!v->closed || v->asked > 0) return;
    doctor_fini(&v->found);
    free(v);
}

static void timer_closed(uv_handle_t *handle)
{
    struct visit *v = handle->data;
    v->closed = true;
    visit_free(v);
}

static void send_findings(struct visit *v)
{
    for (size_t i = 0; i < v->found.count; i++) {
        const struct doctor_finding *f = &v->found.items[i];
        struct arena arena = {0};
        struct control_builder b;
        control_record_start(&b, &arena, "check");
        control_text(&b, "state", slice_of(doctor_state_name(f->state)));
        control_text(&b, "check", slice_of(f->check));
        control_text(&b, "object", slice_of(f->object));
        control_text(&b, "text", slice_of(f->text));
        control_text(&b, "mend", slice_of(f->mend));
        command_record(v->reply, &b);
        arena_fini(&arena);
    }
}

static void visit_end(struct visit *v, int status, const char *text)
{
    struct control_reply *reply = v->reply;
    if (reply == NULL) return;
    if (status == 0) send_findings(v);
    v->reply = NULL;
    control_reply_end(reply, status, slice_of(text));
    uv_close((uv_handle_t *)&v->timer, timer_closed);
}

/* ---- names ---- */

static void add_unresolved(struct visit *v, const struct name *name, const char *why)
{
    char object[LIMIT_HOST + LIMIT_NAME + 16];
    (void)snprintf(object, sizeof object, "%s of trunk/%s", name->host, name->trunk);
    doctor_add(&v->found, "name", DOCTOR_FAILED, object, "correct the trunk's address, or see to the DNS server", "%s",
               why);
}

static void resolved(void *ctx, enum err err, const union sock_address *addresses, size_t count)
{
    struct name *name = ctx;
    struct visit *v = name->v;
    char object[LIMIT_HOST + LIMIT_NAME + 16];
    char text[SOCK_ADDRESS_TEXT];
    name->answered = true;
    v->asked--;
    if (v->reply != NULL && err == ERR_OK && count > 0) {
        (void)snprintf(object, sizeof object, "%s of trunk/%s", name->host, name->trunk);
        doctor_add(&v->found, "name", DOCTOR_OK, object, NULL, "it is at %s%s", sock_address_text(addresses, text),
                   count > 1 ? ", and others" : "");
    } else if (v->reply != NULL) {
        add_unresolved(v, name, err == ERR_TIMEOUT ? "no DNS server answers" : "the name has no address");
    }
    if (v->asked > 0) return;
    visit_end(v, 0, "");
    visit_free(v);
}

static void on_timeout(uv_timer_t *timer)
{
    struct visit *v = timer->data;
    for (size_t i = 0; i < v->name_count; i++)
        if (!v->names[i].answered) add_unresolved(v, &v->names[i], "no DNS server answers");
    visit_end(v, 0, "");
}

static void ask_names(struct visit *v)
{
    v->asked = v->name_count + 1; /* so that none of them ends it here */
    for (size_t i = 0; i < v->name_count; i++) {
        struct name *name = &v->names[i];
        enum err e = edge_resolve(v->n->edge, slice_of(name->host), name->port, name->transport, resolved, name);
        if (e != ERR_OK) resolved(name, e, NULL, 0);
    }
    v->asked--;
    if (v->asked == 0) {
        visit_end(v, 0, "");
    } else {
        (void)uv_timer_start(&v->timer, on_timeout, NAMES_MS, 0);
    }
}

/* ---- the command ---- */

static void on_worker(uv_work_t *work)
{
    struct visit *v = CONTAINER_OF(work, struct visit, work);
    doctor_ports(&v->found, &v->n->config);
    doctor_disk(&v->found, v->n->config.data);
    doctor_clock(&v->found);
    doctor_certificates(&v->found, &v->n->identity, v->n->config.sip_certificate, node_wall());
    doctor_ways(&v->found, v->ways, v->way_count);
}

static void after_work(uv_work_t *work, int status)
{
    struct visit *v = CONTAINER_OF(work, struct visit, work);
    node_work_done(v->n);
    if (status != 0 || v->n->stopping) {
        visit_end(v, 5, "the node is stopping");
    } else if (v->found.failed) {
        visit_end(v, 1, "no memory");
    } else {
        if (v->more_names)
            doctor_add(&v->found, "name", DOCTOR_WARNING, "more names", "resolve the others by hand: dig NAME",
                       "only the first %d are asked for", NAMES_MAX);
        ask_names(v);
    }
}

NODE_COMMAND(command_doctor)
{
    struct node *n = ctx;
    struct visit *v = calloc(1, sizeof *v);
    (void)request;
    if (v == NULL) {
        command_end(reply, ERR_NOMEM);
        return;
    }
    v->n = n;
    v->reply = reply;
    enum err e = node_read_begin(n);
    if (e == ERR_OK) {
        e = store_objects(n->read, SLICE("trunk/"), false, visit_trunk, v);
        if (e == ERR_OK) e = store_state_find(n->read, STATE_NODE_CARD, SLICE(""), visit_card, v);
        if (e == ERR_OK) e = visit_site(v);
        node_read_end(n);
    }
    if (e == ERR_OK) visit_media(v);
    if (e == ERR_OK) e = node_work(n, &v->work, on_worker, after_work);
    if (e != ERR_OK) {
        command_end(reply, e);
        doctor_fini(&v->found);
        free(v);
        return;
    }
    ASSERT(uv_timer_init(n->loop, &v->timer) == 0);
    v->timer.data = v;
}

NODE_COMMAND(command_clock)
{
    struct node *n = ctx;
    struct arena arena = {0};
    struct control_builder b;
    (void)request;
    control_record_start(&b, &arena, "clock");
    control_text(&b, "node", slice_of(n->config.node));
    control_int(&b, "wall_ms", node_wall().ms);
    command_record(reply, &b);
    command_end(reply, ERR_OK);
    arena_fini(&arena);
}
