/* registration_kit: a registration without sockets; what happens to it comes as events, answers as bytes. */
#ifndef TANDEM_TEST_REGISTRATION_KIT_H
#define TANDEM_TEST_REGISTRATION_KIT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>

#include "node/sip/register.h"

#define TOKEN "0123456789abcdef0123456789abcdef"
#define OURS "<sip:493@10.0.0.1:5060;line=" TOKEN ">"
#define CHALLENGE "WWW-Authenticate: Digest realm=\"carrier\", nonce=\"n1\", algorithm=MD5, qop=\"auth\"\r\n"

struct rig {
    struct registration r;
    struct mono now;
    uint64_t random;
    bool more_places;
    struct sip_register_answer last;
    struct arena arena;
};

static inline void rig_open(struct rig *g, uint32_t wanted_s)
{
    *g = (struct rig){.now = {1000000}};
    registration_init(&g->r, wanted_s);
}

static inline unsigned step(struct rig *g, struct registration_event ev)
{
    ev.now = g->now;
    ev.random = g->random;
    ev.more_places = g->more_places;
    return registration_step(&g->r, &ev);
}

static inline unsigned event(struct rig *g, enum registration_event_type type)
{
    return step(g, (struct registration_event){.type = type, .words = "no answer to REGISTER"});
}

/* A response with these header lines. */
static inline unsigned answer(struct rig *g, unsigned code, const char *lines)
{
    static struct sip_view v;
    static char text[4096];
    int n = snprintf(text, sizeof text,
                     "SIP/2.0 %u Words\r\nVia: SIP/2.0/UDP 10.0.0.1:5060;branch=z9hG4bK1;rport=5060\r\n"
                     "From: <sip:a@b>;tag=1\r\nTo: <sip:a@b>;tag=2\r\nCall-ID: c\r\nCSeq: 1 REGISTER\r\n%s\r\n",
                     code, lines);
    assert_int_equal(sip_view_parse(&v, text, (size_t)n, NULL), SIP_FAULT_NONE);
    arena_fini(&g->arena);
    assert_int_equal(sip_register_read(&g->arena, &v, SLICE(TOKEN), g->r.asked_s, &g->last), ERR_OK);
    return step(g, (struct registration_event){.type = REGISTRATION_ANSWER, .answer = &g->last.plain});
}

static inline void rig_close(struct rig *g)
{
    arena_fini(&g->arena);
}

static inline uint64_t due_ms(const struct rig *g)
{
    return mono_ms_between(g->now, g->r.due);
}

static inline void register_it(struct rig *g)
{
    rig_open(g, 600);
    assert_int_equal(event(g, REGISTRATION_START),
                     REGISTRATION_DO_FIRST_PLACE | REGISTRATION_DO_SEND | REGISTRATION_DO_TELL);
    assert_int_equal(answer(g, 200, "Contact: " OURS ";expires=600\r\n"), REGISTRATION_DO_TELL);
    assert_true(registration_bound(&g->r));
}

#endif
