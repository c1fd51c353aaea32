/* commands_nodes: nodes: who is in the cluster, since when, how old the data of each is, how far behind, and why a link
 * is down. Membership and counts are the core's, the words of the link the mesh's, the rest is in the cards. */
#include "node/app/node.h"

#include <inttypes.h>
#include <stdio.h>

#include "proto/plan_codec.h"

struct view {
    struct node *n;
    struct control_reply *reply;
    struct arena arena;
    struct control_builder b;
};

static void count_field(struct view *v, const char *name, bool known, uint64_t ms)
{
    if (known) {
        control_int(&v->b, name, (int64_t)ms);
    } else {
        control_null(&v->b, name);
    }
}

/* ---- its card ---- */

struct card_find {
    struct arena *arena;
    struct slice owner;
    struct node_card card;
    bool found;
};

/* Only what a node says of itself counts. */
static bool visit_card(void *ctx, const struct state_record *record)
{
    struct card_find *f = ctx;
    if (!slice_eq(node_name_slice(&record->owner), f->owner) || !slice_eq(record->key, f->owner)) return true;
    f->found = node_card_unpack(f->arena, record->value, &f->card) == ERR_OK;
    return false;
}

static struct node_card card_of(struct view *v, struct slice owner)
{
    struct card_find f = {.arena = &v->arena, .owner = owner};
    enum err e = store_state_find(v->n->read, STATE_NODE_CARD, owner, visit_card, &f);
    return e == ERR_OK && f.found ? f.card : (struct node_card){.sip_address_count = 0};
}

static void card_fields(struct view *v, const struct node_card *card)
{
    struct buf sip = {0};
    for (size_t i = 0; i < card->sip_address_count; i++)
        buf_printf(&sip, "%s%.*s", i > 0 ? " " : "", SLICE_ARG(card->sip_addresses[i]));
    control_text(&v->b, "version", card->version);
    command_time(&v->b, "joined", card->joined);
    command_time(&v->b, "started", card->started);
    control_text(&v->b, "sip", buf_view(&sip));
    buf_fini(&sip);
}

/* ---- how far behind ---- */

static void amount(char *out, size_t size, uint64_t behind, uint64_t ahead)
{
    if (behind > 0 && ahead > 0) {
        (void)snprintf(out, size, "%" PRIu64 " behind, %" PRIu64 " ahead", behind, ahead);
    } else if (behind > 0 || ahead > 0) {
        (void)snprintf(out, size, "%" PRIu64 " %s", behind + ahead, behind > 0 ? "behind" : "ahead");
    } else {
        (void)snprintf(out, size, "in step");
    }
}

/* In words; "" when nothing is known of it. */
static void changes_text(const struct repl_member_view *m, bool self, char *out, size_t size)
{
    out[0] = '\0';
    if (self || m->in_step || m->totals_known) {
        amount(out, size, m->plan_behind, m->plan_ahead);
    } else if (m->plan_known) {
        (void)snprintf(out, size, "differs");
    }
}

static void count_fields(struct view *v, const struct repl_member_view *m, bool self)
{
    char changes[64];
    changes_text(m, self, changes, sizeof changes);
    control_bool(&v->b, "in_step", self || m->in_step);
    control_text(&v->b, "changes", slice_of(changes));
    control_bool(&v->b, "states_in_step", self || m->state_in_step);
    count_field(v, "changes_behind", m->totals_known, m->plan_behind);
    count_field(v, "changes_ahead", m->totals_known, m->plan_ahead);
    count_field(v, "own_states_behind", !self && m->own_state_known, m->own_state_behind);
}

/* ---- one node ---- */

static void digest_field(struct view *v, const struct repl_member_view *m, bool self)
{
    char text[PLAN_DIGEST_TEXT];
    struct plan_digest d = v->n->plan_digest;
    if (!self && !m->plan_known) {
        control_null(&v->b, "plan_digest");
        return;
    }
    if (!self) memcpy(&d, m->plan_digest, sizeof d);
    plan_digest_text(d, text);
    control_text(&v->b, "plan_digest", slice_of(text));
}

/* Of a node that is drained that is what people have to know first. */
static struct slice state_word(const struct repl_member_view *m, bool drained)
{
    return drained && m->status == MEMBER_ALIVE ? SLICE("drained") : slice_of(member_status_name(m->status));
}

/* Two nodes that cannot be dialled have no link, and need none. */
static void link_text(const struct node *n, const struct repl_member_view *m, char *out, size_t out_size)
{
    bool told = m->incarnation > 0;
    if (told && !m->linked && m->mesh_address.n == 0 && n->config.mesh_advertise[0] == '\0') {
        (void)snprintf(out, out_size, "none: neither can be dialled; others pass on its changes");
    } else {
        mesh_link_text(n->mesh, &m->name, out, out_size);
    }
}

static void send_member(struct view *v, const struct repl_member_view *m, bool self)
{
    struct node *n = v->n;
    char link[LIMIT_TEXT] = "this node";
    struct mono now = node_mono();
    int64_t for_ms = node_wall().ms - m->since.ms;
    if (m->status == MEMBER_LEFT || m->status == MEMBER_EVICTED) {
        (void)snprintf(link, sizeof link, "no longer a member");
    } else if (!self && n->mesh != NULL) {
        link_text(n, m, link, sizeof link);
    }
    arena_fini(&v->arena);
    control_record_start(&v->b, &v->arena, "node");
    struct node_card card = card_of(v, node_name_slice(&m->name));
    bool drained = self ? n->drained : card.drained;
    control_text(&v->b, "node", node_name_slice(&m->name));
    control_text(&v->b, "site", m->site);
    control_text(&v->b, "status", slice_of(member_status_name(m->status)));
    control_text(&v->b, "state", state_word(m, drained));
    control_bool(&v->b, "drained", drained);
    command_time(&v->b, "since", m->since);
    count_field(v, "status_ms", m->since.ms != 0, for_ms > 0 ? (uint64_t)for_ms : 0);
    control_bool(&v->b, "linked", self || m->linked);
    control_bool(&v->b, "link_wanted", !self && n->mesh != NULL && mesh_link_wanted(n->mesh, &m->name));
    control_text(&v->b, "link", slice_of(link));
    count_field(v, "rtt_us", !self && m->rtt_us != 0, m->rtt_us);
    count_field(v, "heard_ms", !self && m->heard.us != 0, mono_ms_between(m->heard, now));
    count_field(v, "data_age_ms", !self && m->current.us != 0, mono_ms_between(m->current, now));
    digest_field(v, m, self);
    count_fields(v, m, self);
    control_text(&v->b, "mesh", m->mesh_address);
    card_fields(v, &card);
    command_record(v->reply, &v->b);
}

/* Where somebody should be whom nobody knows yet: the reason is what a machine that has just joined needs. */
static void send_seeds(struct view *v)
{
    struct node *n = v->n;
    struct slice address;
    char why[LIMIT_TEXT];
    char link[LIMIT_TEXT + LIMIT_URI];
    for (size_t i = 0; n->mesh != NULL && mesh_seed_text(n->mesh, i, &address, why, sizeof why); i++) {
        (void)snprintf(link, sizeof link, "%.*s: %s", SLICE_ARG(address), why);
        arena_fini(&v->arena);
        control_record_start(&v->b, &v->arena, "node");
        control_text(&v->b, "node", SLICE("(seed)"));
        control_text(&v->b, "site", SLICE(""));
        control_text(&v->b, "status", SLICE("unknown"));
        control_text(&v->b, "state", SLICE("unknown"));
        control_bool(&v->b, "linked", false);
        control_text(&v->b, "link", slice_of(link));
        control_text(&v->b, "mesh", address);
        command_record(v->reply, &v->b);
    }
}

/* ---- which ones, and in which order ---- */

enum need { NEED_SELF, NEED_AWAY, NEED_LOOK, NEED_NONE, NEED_GONE, NEED_COUNT };

/* How much a member needs somebody to look at it. */
static enum need need_of(const struct node *n, size_t i, const struct repl_member_view *m)
{
    bool gone = m->status == MEMBER_LEFT || m->status == MEMBER_EVICTED;
    bool broken = !m->linked && n->mesh != NULL && mesh_link_wanted(n->mesh, &m->name);
    if (i == 0) return NEED_SELF;
    if (gone) return NEED_GONE;
    if (m->status != MEMBER_ALIVE) return NEED_AWAY;
    return broken || !m->in_step || node_is_drained(n, &m->name) ? NEED_LOOK : NEED_NONE;
}

/* Those whose need is that, while there is room; the number sent. */
static size_t send_needing(struct view *v, enum need need, size_t room)
{
    struct node *n = v->n;
    size_t sent = 0;
    for (size_t i = 0; i < repl_member_count(n->repl) && sent < room; i++) {
        struct repl_member_view m = repl_member_at(n->repl, i);
        if (need_of(n, i, &m) != need) continue;
        send_member(v, &m, i == 0);
        sent++;
    }
    return sent;
}

/* This node, then those that need somebody most: what a screen has room for. */
static size_t send_some(struct view *v, size_t limit)
{
    size_t sent = 0;
    for (int need = 0; need < NEED_COUNT; need++)
        sent += send_needing(v, (enum need)need, limit - sent);
    return sent;
}

static size_t send_all(struct view *v, struct slice wanted)
{
    size_t sent = 0;
    for (size_t i = 0; i < repl_member_count(v->n->repl); i++) {
        struct repl_member_view m = repl_member_at(v->n->repl, i);
        if (wanted.n > 0 && !slice_eq(wanted, node_name_slice(&m.name))) continue;
        send_member(v, &m, i == 0);
        sent++;
    }
    return sent;
}

/* Arguments: node, the only one to tell of; or limit, at most so many. */
NODE_COMMAND(command_nodes)
{
    struct node *n = ctx;
    struct view v = {.n = n, .reply = reply};
    struct slice wanted = control_get_text(&request->args, "node");
    int64_t limit = control_get_int(&request->args, "limit", 0);
    enum err e = node_read_begin(n);
    if (e != ERR_OK) {
        command_end(reply, e);
        return;
    }
    size_t sent = limit > 0 ? send_some(&v, (size_t)limit) : send_all(&v, wanted);
    node_read_end(n);
    if (wanted.n == 0) send_seeds(&v);
    arena_fini(&v.arena);
    if (sent > 0) {
        control_reply_end(reply, 0, SLICE(""));
    } else {
        control_reply_end(reply, 1, SLICE("no node of that name is known here; see \"clusterctl nodes\""));
    }
}
