/* card: what this node says of itself to the others: where its SIP edge is, its site and version. */
#include "node/app/node.h"

#include "proto/plan_codec.h"

/* Members reach our SIP edge by TLS; where the operator gave no TLS listener, by TCP. */
static size_t card_addresses(const struct node *n, struct arena *arena, const struct slice **out)
{
    static const enum plan_transport wanted[] = {PLAN_TLS, PLAN_TCP};
    const struct transport *t = edge_transport(n->edge);
    size_t listeners = transport_listener_count(t);
    struct slice *list = arena_alloc(arena, listeners * sizeof *list);
    const char *host = n->config.sip_advertise;
    bool v6 = strchr(host, ':') != NULL && host[0] != '[';
    size_t count = 0;
    for (size_t w = 0; list != NULL && w < 2 && count == 0; w++) {
        for (size_t i = 0; i < listeners; i++) {
            const struct transport_listener *l = transport_listener_at(t, i);
            if (l->transport != wanted[w]) continue;
            const char *text = host[0] == '\0'
                                   ? arena_printf(arena, "%s", l->text)
                                   : arena_printf(arena, "%s:%s%s%s:%u", plan_transport_name(l->transport),
                                                  v6 ? "[" : "", host, v6 ? "]" : "", sock_address_port(&l->local));
            if (text != NULL) list[count++] = slice_of(text);
        }
    }
    *out = list;
    return count;
}

static void card_stored(void *ctx, enum err err)
{
    struct node *n = ctx;
    if (err != ERR_OK) n->card_due = true; /* the next second tries again: without it no call reaches us */
}

void card_observe(struct node *n)
{
    struct arena arena = {0};
    struct buf packed = {0};
    struct node_card card = {.site = slice_of(n->config.site),
                             .version = SLICE(TANDEM_VERSION),
                             .started = n->started,
                             .drained = n->drained,
                             .registers = true,
                             .joined = n->joined};
    card.sip_address_count = card_addresses(n, &arena, &card.sip_addresses);
    n->card_due = node_card_pack(&card, &packed) != ERR_OK;
    if (!n->card_due) {
        replica_observe(n, STATE_NODE_CARD, node_name_slice(&n->self), buf_view(&packed), false, card_stored, n);
    }
    buf_fini(&packed);
    arena_fini(&arena);
}

void node_observe_again(struct node *n)
{
    if (n->edge != NULL) card_observe(n);
    registrations_observe_again(n);
    trunks_observe_again(n);
    bans_observe_again(n);
    uac_registration_observe_again(n);
}
