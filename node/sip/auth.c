#include "node/sip/auth.h"

void sip_auth_begin(struct sip_auth *a)
{
    a->server.rounds = 0;
    a->proxy.rounds = 0;
}

/* The first challenge that digest_answer can answer. */
static struct slice usable(struct arena *arena, const struct sip_view *v, enum sip_header id, bool *stale)
{
    struct buf probe = {0};
    for (unsigned i = v->first[id]; i != SIP_NO_LINE; i = v->lines[i].next) {
        struct sip_challenge c;
        struct slice value = sip_line_value(v, i);
        if (value.n > SIP_AUTH_CHALLENGE_MAX || sip_challenge_parse(arena, value, &c) != ERR_OK) continue;
        if (digest_answer(arena, value, SLICE("u"), SLICE("p"), SLICE("REGISTER"), SLICE("sip:u"), SLICE("c"), 1,
                          &probe) != ERR_OK) {
            continue;
        }
        *stale = c.stale;
        buf_fini(&probe);
        return value;
    }
    buf_fini(&probe);
    return SLICE_NONE;
}

enum sip_auth_verdict sip_auth_take(struct sip_auth *a, const struct sip_view *response)
{
    bool proxy = response->code == 407;
    struct sip_auth_slot *slot = proxy ? &a->proxy : &a->server;
    struct arena arena = {0};
    bool stale = false;
    struct slice found = usable(&arena, response, proxy ? SIP_PROXY_AUTHENTICATE : SIP_WWW_AUTHENTICATE, &stale);
    arena_fini(&arena);
    if (found.p == NULL) return SIP_AUTH_UNUSABLE;
    bool again = slot->rounds > 0;
    if ((again && !stale) || slot->rounds >= SIP_AUTH_ROUNDS) {
        slot->len = 0; /* the next attempt is to be challenged anew */
        return SIP_AUTH_WRONG;
    }
    memcpy(slot->text, found.p, found.n);
    slot->len = (uint16_t)found.n;
    slot->nc = 0;
    slot->rounds++;
    return SIP_AUTH_ANSWER;
}

static enum err add_line(struct sip_auth_slot *slot, const char *name, struct slice user, struct slice password,
                         struct slice method, struct slice uri, struct slice cnonce, struct buf *out)
{
    struct arena arena = {0};
    size_t start = out->n;
    if (slot->len == 0) return ERR_OK;
    buf_text(out, name);
    enum err e = digest_answer(&arena, (struct slice){slot->text, slot->len}, user, password, method, uri, cnonce,
                               ++slot->nc, out);
    buf_text(out, "\r\n");
    arena_fini(&arena);
    if (e == ERR_OK && out->failed) e = ERR_NOMEM;
    if (e != ERR_OK) out->n = start;
    return e;
}

enum err sip_auth_lines(struct sip_auth *a, struct slice user, struct slice password, struct slice method,
                        struct slice uri, struct slice cnonce, struct buf *out)
{
    enum err e = add_line(&a->proxy, "Proxy-Authorization: ", user, password, method, uri, cnonce, out);
    return e == ERR_OK ? add_line(&a->server, "Authorization: ", user, password, method, uri, cnonce, out) : e;
}
