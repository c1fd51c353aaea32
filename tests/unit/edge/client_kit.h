/* client_kit: a node that registers at outside registrars, which are uas. */
#ifndef TANDEM_TEST_CLIENT_KIT_H
#define TANDEM_TEST_CLIENT_KIT_H

#include "call_kit.h"

#include "node/edge/edge_internal.h"
#include "node/edge/transport_internal.h"

#define USER "493"
#define CHALLENGE "Digest realm=\"carrier\", nonce=\"n1\", algorithm=MD5, qop=\"auth\"\r\n"

static char addresses[3][32];
static struct slice address_list[3];

static inline struct edge_registration settings(uint16_t first, uint16_t second, enum plan_transport transport)
{
    const uint16_t ports[] = {first, second};
    struct edge_registration o = {.trunk = SLICE("carrier"),
                                  .address = address_list,
                                  .address_count = second != 0 ? 2 : 1,
                                  .transport = transport,
                                  .user = SLICE(USER),
                                  .login = SLICE("u1"),
                                  .domain = SLICE("carrier.example"),
                                  .password = SLICE("secret"),
                                  .expires_s = 600};
    for (size_t i = 0; i < o.address_count; i++) {
        (void)snprintf(addresses[i], sizeof addresses[i], "127.0.0.1:%u", ports[i]);
        address_list[i] = slice_of(addresses[i]);
    }
    return o;
}

static inline void hold(struct world *w, uint16_t first, uint16_t second)
{
    struct edge_registration o = settings(first, second, PLAN_UDP);
    assert_int_equal(edge_registrations_set(w->n.edge, &o, 1), ERR_OK);
}

static inline struct edge_registration_view view(const struct world *w)
{
    struct edge_registration_view v;
    assert_true(edge_registration_find(w->n.edge, SLICE("carrier"), &v));
    return v;
}

/* 200 to the REGISTER in u, with its own contact for that long. */
static inline void accept_it(struct ua *u, unsigned expires_s, const char *more)
{
    char lines[1024];
    struct slice contact = sip_view_value(&u->v, SIP_CONTACT);
    struct slice before;
    (void)slice_cut(contact, '>', &before);
    (void)snprintf(lines, sizeof lines, "Contact: %.*s>;expires=%u\r\n%s", SLICE_ARG(before), expires_s, more);
    ua_reply(u, 200, lines);
}

static inline void register_at(struct world *w, struct ua *u)
{
    hold(w, u->port, 0);
    ua_expect(&w->k, u, "REGISTER");
    accept_it(u, 600, "");
    kit_until(&w->k, view(w).state == TRUNK_REGISTERED);
}

/* "sip:493@127.0.0.1:5060;line=..." */
static inline void contact_uri(const struct world *w, char *out, size_t size)
{
    (void)snprintf(out, size, "%.*s", SLICE_ARG(view(w).contact));
}

#endif
