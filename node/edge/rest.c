#include "node/edge/rest.h"

#include "node/sip/value.h"

uint32_t rest_asked_s(const struct sip_view *v)
{
    uint32_t s = v->code == 503 ? sip_seconds(sip_view_value(v, SIP_RETRY_AFTER)) : 0;
    return s < REST_MAX_S ? s : REST_MAX_S;
}

void rests_add(struct rests *r, const union sock_address *address, uint32_t s, struct mono now)
{
    size_t at = 0;
    for (size_t i = 0; i < REST_ADDRESSES; i++) {
        if (r->list[i].until.us < r->list[at].until.us) at = i;
    }
    for (size_t i = 0; i < REST_ADDRESSES; i++) {
        if (r->list[i].until.us > 0 && sock_address_eq(&r->list[i].address, address)) at = i;
    }
    r->list[at].address = *address;
    r->list[at].until = mono_add_ms(now, s * UINT64_C(1000));
}

struct mono rests_until(const struct rests *r, const union sock_address *address, struct mono now)
{
    for (size_t i = 0; i < REST_ADDRESSES; i++) {
        if (!mono_reached(now, r->list[i].until) && sock_address_eq(&r->list[i].address, address))
            return r->list[i].until;
    }
    return (struct mono){0};
}

struct mono rests_all_until(const struct rests *r, const union sock_address *list, size_t count, struct mono now)
{
    struct mono first = MONO_NEVER;
    for (size_t i = 0; i < count; i++)
        first = mono_min(first, rests_until(r, &list[i], now));
    return count > 0 ? first : (struct mono){0};
}

void rests_pass(struct rests *r, struct mono now)
{
    for (size_t i = 0; i < REST_ADDRESSES; i++) {
        if (mono_reached(now, r->list[i].until)) r->list[i].until = (struct mono){0};
    }
}

struct mono rests_next(const struct rests *r)
{
    struct mono next = MONO_NEVER;
    for (size_t i = 0; i < REST_ADDRESSES; i++) {
        if (r->list[i].until.us > 0) next = mono_min(next, r->list[i].until);
    }
    return next;
}
