/* plan_codec: plan objects as protobuf bytes.
 *
 * Packing goes field by field from the plain structs, so equal structs give equal bytes: protobuf-c writes fields in
 * the order of their numbers and leaves zero values out. Unpacking narrows each number only after its bound is known,
 * then hands the object to plan_object_validate, which owns every other rule. Schema: proto/plan.proto. */
#include "proto/plan_codec.h"

#include "plan.pb-c.h"
#include "proto/arena_alloc.h"

/* ---- packing ---- */

static enum err rules_out(struct arena *arena, const struct plan_rule *in, size_t count, Tandem__Plan__Rule ***out)
{
    Tandem__Plan__Rule *rules = arena_array(arena, count, sizeof *rules);
    Tandem__Plan__Rule **list = arena_array(arena, count, sizeof *list);
    if (rules == NULL || list == NULL) return ERR_NOMEM;
    for (size_t i = 0; i < count; i++) {
        tandem__plan__rule__init(&rules[i]);
        rules[i].match = bytes_out(in[i].match);
        rules[i].strip = in[i].strip;
        rules[i].prepend = bytes_out(in[i].prepend);
        list[i] = &rules[i];
    }
    *out = list;
    return ERR_OK;
}

static enum err pack_defaults(struct arena *scratch, const struct plan_defaults *d, Tandem__Plan__Object *wrap,
                              struct buf *out)
{
    Tandem__Plan__Defaults m = TANDEM__PLAN__DEFAULTS__INIT;
    m.domain = bytes_out(d->domain);
    m.n_digest = d->digest_count;
    m.digest = proto_slices_out(scratch, d->digest, d->digest_count);
    if (m.digest == NULL) return ERR_NOMEM;
    wrap->of_case = TANDEM__PLAN__OBJECT__OF_DEFAULTS;
    wrap->defaults = &m;
    return proto_pack(&wrap->base, out);
}

static enum err pack_site(struct arena *scratch, const struct plan_site *s, Tandem__Plan__Object *wrap, struct buf *out)
{
    Tandem__Plan__Site m = TANDEM__PLAN__SITE__INIT;
    m.name = bytes_out(s->name);
    m.n_blocks = s->block_count;
    m.blocks = proto_slices_out(scratch, s->blocks, s->block_count);
    m.n_dial = s->dial_count;
    m.media_relay = s->media_relay;
    if (m.blocks == NULL || rules_out(scratch, s->dial, s->dial_count, &m.dial) != ERR_OK) return ERR_NOMEM;
    wrap->of_case = TANDEM__PLAN__OBJECT__OF_SITE;
    wrap->site = &m;
    return proto_pack(&wrap->base, out);
}

static enum err pack_trunk(struct arena *scratch, const struct plan_trunk *t, Tandem__Plan__Object *wrap,
                           struct buf *out)
{
    Tandem__Plan__Trunk m = TANDEM__PLAN__TRUNK__INIT;
    Tandem__Plan__Registration registration = TANDEM__PLAN__REGISTRATION__INIT;
    m.name = bytes_out(t->name);
    m.site = bytes_out(t->site);
    m.n_address = t->address_count;
    m.address = proto_slices_out(scratch, t->address, t->address_count);
    m.transport = (uint32_t)t->transport;
    m.n_trust = t->trust_count;
    m.trust = proto_slices_out(scratch, t->trust, t->trust_count);
    m.n_trust_names = t->trust_name_count;
    m.trust_names = proto_slices_out(scratch, t->trust_names, t->trust_name_count);
    m.hide = t->hide;
    m.probe_ms = t->probe_ms;
    m.calls = t->calls;
    m.rate_per_s = t->rate_per_s;
    m.disabled = t->disabled;
    m.identity = (uint32_t)t->identity;
    if (t->registration.set) {
        registration.user = bytes_out(t->registration.user);
        registration.sealed = bytes_out(t->registration.sealed);
        registration.expires_s = t->registration.expires_s;
        registration.domain = bytes_out(t->registration.domain);
        registration.login = bytes_out(t->registration.login);
        m.registration = &registration;
    }
    m.n_in = t->in_count;
    m.n_out = t->out_count;
    if (m.address == NULL || m.trust == NULL || m.trust_names == NULL ||
        rules_out(scratch, t->in, t->in_count, &m.in) != ERR_OK ||
        rules_out(scratch, t->out, t->out_count, &m.out) != ERR_OK) {
        return ERR_NOMEM;
    }
    wrap->of_case = TANDEM__PLAN__OBJECT__OF_TRUNK;
    wrap->trunk = &m;
    return proto_pack(&wrap->base, out);
}

static enum err pack_account(struct arena *scratch, const struct plan_account *a, Tandem__Plan__Object *wrap,
                             struct buf *out)
{
    Tandem__Plan__Account m = TANDEM__PLAN__ACCOUNT__INIT;
    Tandem__Plan__Secret secret = TANDEM__PLAN__SECRET__INIT;
    m.name = bytes_out(a->name);
    if (a->secret.set) {
        secret.md5 = bytes_out((struct slice){(const char *)a->secret.md5, sizeof a->secret.md5});
        secret.sha256 = bytes_out((struct slice){(const char *)a->secret.sha256, sizeof a->secret.sha256});
        secret.sha512_256 = bytes_out((struct slice){(const char *)a->secret.sha512_256, sizeof a->secret.sha512_256});
        m.secret = &secret;
    }
    m.n_numbers = a->number_count;
    m.numbers = proto_slices_out(scratch, a->numbers, a->number_count);
    m.strip = a->strip;
    m.prepend = bytes_out(a->prepend);
    m.site = bytes_out(a->site);
    m.max_contacts = a->max_contacts;
    m.calls = a->calls;
    m.disabled = a->disabled;
    m.keepalive = (uint32_t)a->keepalive;
    m.keepalive_every_ms = a->keepalive_every_ms != PLAN_KEEPALIVE_DEFAULT_MS ? a->keepalive_every_ms : 0;
    m.map = bytes_out(a->map);
    if (m.numbers == NULL) return ERR_NOMEM;
    wrap->of_case = TANDEM__PLAN__OBJECT__OF_ACCOUNT;
    wrap->account = &m;
    return proto_pack(&wrap->base, out);
}

static enum err pack_route(struct arena *scratch, const struct plan_route *r, Tandem__Plan__Object *wrap,
                           struct buf *out)
{
    Tandem__Plan__Route m = TANDEM__PLAN__ROUTE__INIT;
    m.scope = bytes_out(r->scope);
    m.match = bytes_out(r->match);
    m.length_min = r->length_min;
    m.length_max = r->length_max;
    m.target_kind = (uint32_t)r->target.kind;
    m.target_name = bytes_out(r->target.name);
    m.target_code = r->target.code;
    m.priority = r->priority;
    m.weight = r->weight;
    m.strip = r->strip;
    m.prepend = bytes_out(r->prepend);
    m.hours = bytes_out(r->hours);
    m.overflow = r->overflow;
    m.note = bytes_out(r->note);
    m.disabled = r->disabled;
    if (r->failover_count > 0) {
        m.n_failover = r->failover_count;
        m.failover = arena_array(scratch, r->failover_count, sizeof *m.failover);
        if (m.failover == NULL) return ERR_NOMEM;
        for (size_t i = 0; i < r->failover_count; i++)
            m.failover[i] = r->failover[i];
    }
    wrap->of_case = TANDEM__PLAN__OBJECT__OF_ROUTE;
    wrap->route = &m;
    return proto_pack(&wrap->base, out);
}

enum err plan_object_pack(const struct plan_object *o, struct buf *out)
{
    Tandem__Plan__Object wrap = TANDEM__PLAN__OBJECT__INIT;
    struct arena scratch = {0};
    enum err e = ERR_SYNTAX;
    switch (o->kind) {
    case PLAN_DEFAULTS: e = pack_defaults(&scratch, &o->defaults, &wrap, out); break;
    case PLAN_SITE: e = pack_site(&scratch, &o->site, &wrap, out); break;
    case PLAN_TRUNK: e = pack_trunk(&scratch, &o->trunk, &wrap, out); break;
    case PLAN_ACCOUNT: e = pack_account(&scratch, &o->account, &wrap, out); break;
    case PLAN_ROUTE: e = pack_route(&scratch, &o->route, &wrap, out); break;
    case PLAN_KIND_COUNT: ASSERT(o->kind < PLAN_KIND_COUNT); break;
    }
    arena_fini(&scratch);
    return e;
}

/* ---- unpacking ---- */

static enum err strip_in(uint32_t in, uint8_t *out, struct err_info *info)
{
    if (in > LIMIT_NUMBER) return err_fail(info, ERR_LIMIT, "strip %u is over %d", (unsigned)in, LIMIT_NUMBER);
    *out = (uint8_t)in;
    return ERR_OK;
}

static enum err list_in(struct arena *arena, const char *what, const ProtobufCBinaryData *in, size_t count,
                        const struct slice **out, size_t *out_count, struct err_info *info)
{
    enum err e = proto_slices_in(arena, in, count, LIMIT_LIST, out);
    if (e == ERR_LIMIT) return err_fail(info, e, "%s has %zu entries; %d are allowed", what, count, LIMIT_LIST);
    *out_count = count;
    return e;
}

static enum err rules_in(struct arena *arena, Tandem__Plan__Rule *const *in, size_t count, const struct plan_rule **out,
                         size_t *out_count, struct err_info *info)
{
    if (count > LIMIT_LIST) return err_fail(info, ERR_LIMIT, "%zu rules; %d are allowed", count, LIMIT_LIST);
    struct plan_rule *rules = arena_array(arena, count, sizeof *rules);
    if (rules == NULL) return ERR_NOMEM;
    for (size_t i = 0; i < count; i++) {
        rules[i].match = bytes_in(in[i]->match);
        rules[i].prepend = bytes_in(in[i]->prepend);
        enum err e = strip_in(in[i]->strip, &rules[i].strip, info);
        if (e != ERR_OK) return e;
    }
    *out = rules;
    *out_count = count;
    return ERR_OK;
}

static enum err unpack_site(struct arena *arena, const Tandem__Plan__Site *m, struct plan_site *s,
                            struct err_info *info)
{
    s->name = bytes_in(m->name);
    s->media_relay = m->media_relay;
    enum err e = list_in(arena, "blocks", m->blocks, m->n_blocks, &s->blocks, &s->block_count, info);
    if (e == ERR_OK) e = rules_in(arena, m->dial, m->n_dial, &s->dial, &s->dial_count, info);
    return e;
}

static enum err unpack_trunk(struct arena *arena, const Tandem__Plan__Trunk *m, struct plan_trunk *t,
                             struct err_info *info)
{
    if (m->transport > PLAN_TLS) {
        return err_fail(info, ERR_SYNTAX, "transport %u is unknown to this version", (unsigned)m->transport);
    }
    if (m->identity > PLAN_IDENTITY_OUTSIDE) {
        return err_fail(info, ERR_SYNTAX, "identity %u is unknown to this version", (unsigned)m->identity);
    }
    t->name = bytes_in(m->name);
    t->site = bytes_in(m->site);
    t->identity = (enum plan_identity)m->identity;
    t->transport = (enum plan_transport)m->transport;
    t->probe_ms = m->probe_ms;
    t->calls = m->calls;
    t->rate_per_s = m->rate_per_s;
    t->hide = m->hide;
    t->disabled = m->disabled;
    if (m->registration != NULL) {
        t->registration.set = true;
        t->registration.user = bytes_in(m->registration->user);
        t->registration.sealed = bytes_in(m->registration->sealed);
        t->registration.expires_s = m->registration->expires_s;
        t->registration.domain = bytes_in(m->registration->domain);
        t->registration.login = bytes_in(m->registration->login);
    }
    enum err e = list_in(arena, "address", m->address, m->n_address, &t->address, &t->address_count, info);
    if (e == ERR_OK) e = list_in(arena, "trust", m->trust, m->n_trust, &t->trust, &t->trust_count, info);
    if (e == ERR_OK)
        e = list_in(arena, "trust_names", m->trust_names, m->n_trust_names, &t->trust_names, &t->trust_name_count,
                    info);
    if (e == ERR_OK) e = rules_in(arena, m->in, m->n_in, &t->in, &t->in_count, info);
    if (e == ERR_OK) e = rules_in(arena, m->out, m->n_out, &t->out, &t->out_count, info);
    return e;
}

static enum err unpack_secret(const Tandem__Plan__Secret *m, struct plan_secret *s, struct err_info *info)
{
    if (m->md5.len != sizeof s->md5 || m->sha256.len != sizeof s->sha256 || m->sha512_256.len != sizeof s->sha512_256) {
        return err_fail(info, ERR_SYNTAX, "a password hash has the wrong size");
    }
    s->set = true;
    memcpy(s->md5, m->md5.data, sizeof s->md5);
    memcpy(s->sha256, m->sha256.data, sizeof s->sha256);
    memcpy(s->sha512_256, m->sha512_256.data, sizeof s->sha512_256);
    return ERR_OK;
}

static enum err unpack_account(struct arena *arena, const Tandem__Plan__Account *m, struct plan_account *a,
                               struct err_info *info)
{
    a->name = bytes_in(m->name);
    a->prepend = bytes_in(m->prepend);
    a->site = bytes_in(m->site);
    a->max_contacts = m->max_contacts;
    a->calls = m->calls;
    a->disabled = m->disabled;
    a->keepalive = (enum plan_keepalive)m->keepalive;
    a->keepalive_every_ms = m->keepalive_every_ms != 0 ? m->keepalive_every_ms : PLAN_KEEPALIVE_DEFAULT_MS;
    a->map = bytes_in(m->map);
    enum err e = m->secret != NULL ? unpack_secret(m->secret, &a->secret, info) : ERR_OK;
    if (e == ERR_OK) e = strip_in(m->strip, &a->strip, info);
    if (e == ERR_OK) e = list_in(arena, "numbers", m->numbers, m->n_numbers, &a->numbers, &a->number_count, info);
    return e;
}

static enum err route_numbers_in(struct arena *arena, const Tandem__Plan__Route *m, struct plan_route *r,
                                 struct err_info *info)
{
    if (m->length_min > UINT8_MAX || m->length_max > UINT8_MAX || m->target_code > UINT16_MAX) {
        return err_fail(info, ERR_LIMIT, "a length or reject code of a route is out of range");
    }
    r->length_min = (uint8_t)m->length_min;
    r->length_max = (uint8_t)m->length_max;
    r->target.code = (uint16_t)m->target_code;
    if (m->n_failover > LIMIT_LIST) return err_fail(info, ERR_LIMIT, "failover has more than %d codes", LIMIT_LIST);
    if (m->n_failover == 0) return ERR_OK;
    uint16_t *codes = arena_array(arena, m->n_failover, sizeof *codes);
    if (codes == NULL) return ERR_NOMEM;
    for (size_t i = 0; i < m->n_failover; i++) {
        if (m->failover[i] > UINT16_MAX) return err_fail(info, ERR_LIMIT, "a failover code is out of range");
        codes[i] = (uint16_t)m->failover[i];
    }
    r->failover = codes;
    r->failover_count = m->n_failover;
    return ERR_OK;
}

static enum err unpack_route(struct arena *arena, const Tandem__Plan__Route *m, struct plan_route *r,
                             struct err_info *info)
{
    if (m->target_kind > PLAN_TO_REJECT) {
        return err_fail(info, ERR_SYNTAX, "target kind %u is unknown to this version", (unsigned)m->target_kind);
    }
    r->scope = bytes_in(m->scope);
    r->match = bytes_in(m->match);
    r->target.kind = (enum plan_target_kind)m->target_kind;
    r->target.name = bytes_in(m->target_name);
    r->priority = m->priority;
    r->weight = m->weight;
    r->prepend = bytes_in(m->prepend);
    r->hours = bytes_in(m->hours);
    r->overflow = m->overflow;
    r->note = bytes_in(m->note);
    r->disabled = m->disabled;
    enum err e = strip_in(m->strip, &r->strip, info);
    return e == ERR_OK ? route_numbers_in(arena, m, r, info) : e;
}

enum err plan_object_unpack_stored(struct arena *arena, struct slice packed, struct plan_object *o,
                                   struct err_info *info)
{
    Tandem__Plan__Object *m = NULL;
    struct plan_object made = {0};
    void *raw = NULL;
    if (packed.n > LIMIT_OBJECT) {
        return err_fail(info, ERR_LIMIT, "an object of %zu bytes; %d are allowed", packed.n, LIMIT_OBJECT);
    }
    enum err e = proto_unpack(arena, &tandem__plan__object__descriptor, packed, &raw);
    if (e == ERR_SYNTAX) return err_fail(info, e, "the bytes are not a plan object");
    if (e != ERR_OK) return e;
    m = raw;
    switch (m->of_case) {
    case TANDEM__PLAN__OBJECT__OF_DEFAULTS:
        made.kind = PLAN_DEFAULTS;
        made.defaults.domain = bytes_in(m->defaults->domain);
        e = list_in(arena, "digest", m->defaults->digest, m->defaults->n_digest, &made.defaults.digest,
                    &made.defaults.digest_count, info);
        break;
    case TANDEM__PLAN__OBJECT__OF_SITE:
        made.kind = PLAN_SITE;
        e = unpack_site(arena, m->site, &made.site, info);
        break;
    case TANDEM__PLAN__OBJECT__OF_TRUNK:
        made.kind = PLAN_TRUNK;
        e = unpack_trunk(arena, m->trunk, &made.trunk, info);
        break;
    case TANDEM__PLAN__OBJECT__OF_ACCOUNT:
        made.kind = PLAN_ACCOUNT;
        e = unpack_account(arena, m->account, &made.account, info);
        break;
    case TANDEM__PLAN__OBJECT__OF_ROUTE:
        made.kind = PLAN_ROUTE;
        e = unpack_route(arena, m->route, &made.route, info);
        break;
    default: return err_fail(info, ERR_SYNTAX, "a kind of object that this version does not know");
    }
    if (e == ERR_OK) *o = made;
    return e;
}

enum err plan_object_unpack(struct arena *arena, struct slice packed, struct plan_object *o, struct err_info *info)
{
    struct plan_object made;
    enum err e = plan_object_unpack_stored(arena, packed, &made, info);
    if (e == ERR_OK) e = plan_object_validate(&made, info);
    if (e == ERR_OK) *o = made;
    return e;
}

enum err plan_object_hash(struct hasher *h, struct slice key, struct slice packed, unsigned char out[HASH_SHA256_LEN])
{
    struct slice parts[] = {key, {"", 1}, packed};
    size_t count = sizeof parts / sizeof parts[0];
    return h != NULL ? hasher_parts(h, parts, count, out) : hash_parts(HASH_SHA256, parts, count, out);
}
