/* dns_kit: a small DNS server on the loop, which knows what a test wants it to know. */
#ifndef TANDEM_TEST_DNS_KIT_H
#define TANDEM_TEST_DNS_KIT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <arpa/inet.h>
#include <arpa/nameser.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <uv.h>

#define DNS_PACKET_MAX 1024

struct record {
    const char *name;
    uint16_t type;
    uint32_t ttl_s;
    const char *address; /* A, AAAA; NAPTR: its flag and service, with order and preference in the next two */
    uint16_t priority, weight, port; /* SRV */
    const char *target;
};

struct dns_server {
    uv_udp_t udp;
    const struct record *zone; /* each name also without a record of the asked type is known */
    size_t zone_len;
    char at[64]; /* "127.0.0.1:12345" */
    bool silent;
    bool broken; /* answers are cut off */
    size_t questions;
    size_t srv_questions;
    char in[DNS_PACKET_MAX];
};

struct packet {
    unsigned char p[DNS_PACKET_MAX];
    size_t n;
};

static inline void put(struct packet *o, const void *data, size_t n)
{
    assert_true(o->n + n <= sizeof o->p);
    memcpy(o->p + o->n, data, n);
    o->n += n;
}

static inline void put16(struct packet *o, unsigned v)
{
    unsigned char b[2] = {(unsigned char)(v >> 8), (unsigned char)v};
    put(o, b, 2);
}

static inline void put_name(struct packet *o, const char *name)
{
    while (*name != '\0' && strcmp(name, ".") != 0) {
        size_t n = strcspn(name, ".");
        unsigned char len = (unsigned char)n;
        put(o, &len, 1);
        put(o, name, n);
        name += n + (name[n] == '.');
    }
    put(o, "", 1);
}

static inline void put_record(struct packet *o, const struct record *r)
{
    struct packet data = {.n = 0};
    unsigned char address[16];
    if (r->type == ns_t_srv) {
        put16(&data, r->priority);
        put16(&data, r->weight);
        put16(&data, r->port);
        put_name(&data, r->target);
    } else if (r->type == ns_t_naptr) {
        put16(&data, r->priority);
        put16(&data, r->weight);
        const char flag[] = {r->address[0], '\0'};
        const char *const texts[] = {flag, r->address + 2, r->target[0] == '\0' ? "!^.*$!sip:x@y!" : ""};
        for (size_t i = 0; i < 3; i++) {
            unsigned char len = (unsigned char)strlen(texts[i]);
            put(&data, &len, 1);
            put(&data, texts[i], len);
        }
        put_name(&data, r->target);
    } else {
        assert_int_equal(inet_pton(r->type == ns_t_a ? AF_INET : AF_INET6, r->address, address), 1);
        put(&data, address, r->type == ns_t_a ? 4 : 16);
    }
    put16(o, 0xc00c); /* the question's name */
    put16(o, r->type);
    put16(o, ns_c_in);
    put16(o, r->ttl_s >> 16);
    put16(o, r->ttl_s & 0xffff);
    put16(o, (unsigned)data.n);
    put(o, data.p, data.n);
}

/* The name in a question, as text; returns what follows it. */
static inline const unsigned char *get_name(const unsigned char *p, char out[256])
{
    size_t n = 0;
    while (*p != 0) {
        if (n > 0) out[n++] = '.';
        memcpy(out + n, p + 1, *p);
        n += *p;
        p += *p + 1;
    }
    out[n] = '\0';
    return p + 1;
}

static inline void dns_server_answer(struct dns_server *s, const unsigned char *in, struct packet *o)
{
    char name[256];
    const unsigned char *rest = get_name(in + 12, name);
    unsigned type = (unsigned)rest[0] << 8 | rest[1];
    unsigned answers = 0;
    bool known = false;
    s->questions++;
    s->srv_questions += type == ns_t_srv;
    for (size_t i = 0; i < s->zone_len; i++) {
        if (strcasecmp(s->zone[i].name, name) != 0) continue;
        known = true;
        answers += s->zone[i].type == type;
    }
    put(o, in, 2);
    put16(o, known ? 0x8180 : 0x8183); /* an answer: no error, or no such name */
    put16(o, 1);
    put16(o, answers);
    put16(o, 0);
    put16(o, 0);
    put(o, in + 12, (size_t)(rest + 4 - (in + 12)));
    for (size_t i = 0; i < s->zone_len; i++) {
        if (strcasecmp(s->zone[i].name, name) == 0 && s->zone[i].type == type) put_record(o, &s->zone[i]);
    }
    if (s->broken && answers > 0) o->n -= 3;
}

static inline void on_server_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *buf)
{
    struct dns_server *s = handle->data;
    (void)suggested;
    *buf = uv_buf_init(s->in, sizeof s->in);
}

static inline void on_question(uv_udp_t *udp, ssize_t n, const uv_buf_t *buf, const struct sockaddr *from,
                               unsigned flags)
{
    struct dns_server *s = udp->data;
    struct packet o = {.n = 0};
    (void)flags;
    if (n < 17 || from == NULL || s->silent) return;
    dns_server_answer(s, (const unsigned char *)buf->base, &o);
    uv_buf_t out = uv_buf_init((char *)o.p, (unsigned)o.n);
    assert_true(uv_udp_try_send(udp, &out, 1, from) > 0);
}

static inline void dns_server_open(struct dns_server *s, uv_loop_t *loop, const struct record *zone, size_t zone_len)
{
    struct sockaddr_in any = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int len = sizeof any;
    memset(s, 0, sizeof *s);
    s->zone = zone;
    s->zone_len = zone_len;
    assert_int_equal(uv_udp_init(loop, &s->udp), 0);
    s->udp.data = s;
    assert_int_equal(uv_udp_bind(&s->udp, (const struct sockaddr *)&any, 0), 0);
    assert_int_equal(uv_udp_getsockname(&s->udp, (struct sockaddr *)&any, &len), 0);
    assert_int_equal(uv_udp_recv_start(&s->udp, on_server_alloc, on_question), 0);
    (void)snprintf(s->at, sizeof s->at, "127.0.0.1:%u", (unsigned)ntohs(any.sin_port));
}

/* s must stay until the loop has turned. */
static inline void dns_server_close(struct dns_server *s)
{
    uv_close((uv_handle_t *)&s->udp, NULL);
}

#endif
