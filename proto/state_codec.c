/* state_codec: state records and their values as protobuf bytes.
 *
 * All of them may come from another node, so every text is bounded here; there is no other place that looks at them
 * before they are stored or routed by. Schema: proto/state.proto. */
#include "proto/plan_codec.h"

#include "proto/arena_alloc.h"
#include "proto/wire.h"
#include "state.pb-c.h"

#define STATE_KEY_MAX 600
#define CARD_ADDRESS_MAX 32

/* ---- the envelope ---- */

enum err state_record_pack(const struct state_record *r, struct buf *out)
{
    Tandem__State__StateRecord m = TANDEM__STATE__STATE_RECORD__INIT;
    m.owner = bytes_out(node_name_slice(&r->owner));
    m.epoch = r->epoch;
    m.version = r->version;
    m.kind = (uint32_t)r->kind;
    m.key = bytes_out(r->key);
    m.value = bytes_out(r->value);
    m.removed = r->removed;
    return proto_pack(&m.base, out);
}

enum err state_record_unpack(struct arena *arena, struct slice packed, struct state_record *r, struct err_info *info)
{
    struct state_record made = {0};
    void *raw = NULL;
    enum err e = proto_unpack(arena, &tandem__state__state_record__descriptor, packed, &raw);
    if (e == ERR_SYNTAX) return err_fail(info, e, "the bytes are not a state record");
    if (e != ERR_OK) return e;
    const Tandem__State__StateRecord *m = raw;
    if (node_name_set(&made.owner, bytes_in(m->owner)) != ERR_OK) {
        return err_fail(info, ERR_SYNTAX, "a state record's owner is not a node name");
    }
    made.epoch = m->epoch;
    made.version = m->version;
    made.kind = (enum state_kind)m->kind;
    made.key = bytes_in(m->key);
    made.value = bytes_in(m->value);
    made.removed = m->removed;
    e = state_record_check(&made, info);
    if (e == ERR_OK) *r = made;
    return e;
}

enum err state_record_check(const struct state_record *r, struct err_info *info)
{
    if (r->epoch == 0 || r->version == 0) return err_fail(info, ERR_SYNTAX, "a state record without epoch or version");
    if (r->kind < STATE_BINDING || r->kind > STATE_KIND_MAX) {
        return err_fail(info, ERR_SYNTAX, "state of kind %u; 1 to %d are possible", (unsigned)r->kind, STATE_KIND_MAX);
    }
    if (r->key.n == 0 || r->key.n > STATE_KEY_MAX) {
        return err_fail(info, ERR_LIMIT, "a state key of %zu bytes; 1 to %d are allowed", r->key.n, STATE_KEY_MAX);
    }
    if (r->value.n > LIMIT_OBJECT) {
        return err_fail(info, ERR_LIMIT, "a state value of %zu bytes; %d are allowed", r->value.n, LIMIT_OBJECT);
    }
    if (r->removed && r->value.n > 0) return err_fail(info, ERR_SYNTAX, "a removed state record has a value");
    return ERR_OK;
}

/* ---- binding ---- */

/* Bindings are packed by hand, in the order of the fields' numbers: each REGISTER packs one, and protobuf-c goes
 * through the descriptor twice for it. */
/* The private half: call_id between what stands before and what follows it. */
static char *put_private(char *p, const struct binding *b)
{
    char rest[2 * WIRE_FIELD_ROOM];
    char head[WIRE_FIELD_ROOM];
    size_t rest_len =
        (size_t)(wire_put_number(wire_put_number(rest, 2, b->cseq), 3, wire_zigzag(b->expires.ms)) - rest);
    size_t head_len = b->call_id.n > 0 ? (size_t)(wire_put_varint(head, b->call_id.n) - head) + 1 : 0;
    p = wire_put_varint(wire_put_varint(p, 8 << 3 | WIRE_BYTES), head_len + b->call_id.n + rest_len);
    p = wire_put_text(p, 1, b->call_id);
    memcpy(p, rest, rest_len);
    return p + rest_len;
}

enum err binding_pack(const struct binding *b, bool public_only, struct buf *out)
{
    size_t texts =
        b->account.n + b->contact.n + b->received.n + b->path.n + b->user_agent.n + b->instance.n + b->call_id.n;
    char *room = buf_room(out, texts + 16 * WIRE_FIELD_ROOM);
    if (room == NULL) return ERR_NOMEM;
    char *p = wire_put_text(room, 1, b->account);
    p = wire_put_text(p, 2, b->contact);
    p = wire_put_text(p, 3, b->received);
    p = wire_put_text(p, 4, b->path);
    p = wire_put_text(p, 5, b->user_agent);
    p = wire_put_number(p, 6, wire_zigzag(b->since.ms));
    p = wire_put_number(p, 7, b->q_milli);
    if (!public_only) p = put_private(p, b);
    p = wire_put_number(p, 9, b->lease_s);
    p = wire_put_text(p, 10, b->instance);
    p = wire_put_number(p, 11, b->reg_id);
    out->n += (size_t)(p - room);
    return ERR_OK;
}

enum err binding_pack_private(const struct binding *b, struct buf *out)
{
    char *room = buf_room(out, b->call_id.n + 4 * WIRE_FIELD_ROOM);
    if (room == NULL) return ERR_NOMEM;
    out->n += (size_t)(put_private(room, b) - room);
    return ERR_OK;
}

enum err binding_unpack(struct arena *arena, struct slice packed, struct binding *b)
{
    struct binding made = {0};
    void *raw = NULL;
    enum err e = proto_unpack(arena, &tandem__state__binding__descriptor, packed, &raw);
    if (e != ERR_OK) return e;
    const Tandem__State__Binding *m = raw;
    if (m->account.len == 0 || m->contact.len == 0 || m->q_milli > 1000) return ERR_SYNTAX;
    if (m->account.len > LIMIT_NAME || m->contact.len > LIMIT_URI || m->received.len > LIMIT_URI ||
        m->path.len > LIMIT_TEXT || m->user_agent.len > LIMIT_TEXT || m->instance.len > LIMIT_URI) {
        return ERR_LIMIT;
    }
    made.account = bytes_in(m->account);
    made.contact = bytes_in(m->contact);
    made.received = bytes_in(m->received);
    made.path = bytes_in(m->path);
    made.user_agent = bytes_in(m->user_agent);
    made.since.ms = m->since_ms;
    made.q_milli = m->q_milli;
    made.lease_s = m->lease_s;
    made.instance = bytes_in(m->instance);
    made.reg_id = m->reg_id;
    if (m->private_half != NULL) {
        if (m->private_half->call_id.len > LIMIT_TEXT) return ERR_LIMIT;
        made.call_id = bytes_in(m->private_half->call_id);
        made.cseq = m->private_half->cseq;
        made.expires.ms = m->private_half->expires_ms;
    }
    *b = made;
    return ERR_OK;
}

/* ---- trunk health ---- */

enum err trunk_health_pack(const struct trunk_health *h, struct buf *out)
{
    Tandem__State__TrunkHealth m = TANDEM__STATE__TRUNK_HEALTH__INIT;
    m.trunk = bytes_out(h->trunk);
    m.address = bytes_out(h->address);
    m.up = h->up;
    m.since_ms = h->since.ms;
    m.rtt_us = h->rtt_us;
    m.reason = bytes_out(h->reason);
    return proto_pack(&m.base, out);
}

enum err trunk_health_unpack(struct arena *arena, struct slice packed, struct trunk_health *h)
{
    void *raw = NULL;
    enum err e = proto_unpack(arena, &tandem__state__trunk_health__descriptor, packed, &raw);
    if (e != ERR_OK) return e;
    const Tandem__State__TrunkHealth *m = raw;
    if (m->trunk.len == 0) return ERR_SYNTAX;
    if (m->trunk.len > LIMIT_NAME || m->address.len > LIMIT_URI || m->reason.len > LIMIT_TEXT) return ERR_LIMIT;
    *h = (struct trunk_health){.trunk = bytes_in(m->trunk),
                               .address = bytes_in(m->address),
                               .up = m->up,
                               .since.ms = m->since_ms,
                               .rtt_us = m->rtt_us,
                               .reason = bytes_in(m->reason)};
    return ERR_OK;
}

/* ---- ban ---- */

enum err source_ban_pack(const struct source_ban *b, struct buf *out)
{
    Tandem__State__Ban m = TANDEM__STATE__BAN__INIT;
    m.source = bytes_out(b->source);
    m.reason = bytes_out(b->reason);
    m.since_ms = b->since.ms;
    m.until_ms = b->until.ms;
    return proto_pack(&m.base, out);
}

enum err source_ban_unpack(struct arena *arena, struct slice packed, struct source_ban *b)
{
    void *raw = NULL;
    enum err e = proto_unpack(arena, &tandem__state__ban__descriptor, packed, &raw);
    if (e != ERR_OK) return e;
    const Tandem__State__Ban *m = raw;
    if (m->source.len == 0) return ERR_SYNTAX;
    if (m->source.len > LIMIT_URI || m->reason.len > LIMIT_TEXT) return ERR_LIMIT;
    *b = (struct source_ban){bytes_in(m->source), bytes_in(m->reason), {m->since_ms}, {m->until_ms}};
    return ERR_OK;
}

/* ---- trunk registration ---- */

enum err trunk_registration_pack(const struct trunk_registration *r, struct buf *out)
{
    Tandem__State__TrunkHealth m = TANDEM__STATE__TRUNK_HEALTH__INIT;
    Tandem__State__TrunkRegistration inner = TANDEM__STATE__TRUNK_REGISTRATION__INIT;
    m.trunk = bytes_out(r->trunk);
    m.up = r->state == TRUNK_REGISTERED;
    m.since_ms = r->since.ms;
    m.reason = bytes_out(r->reason);
    inner.holds = r->holds;
    inner.term = r->term;
    inner.state = (uint32_t)r->state;
    inner.contact = bytes_out(r->contact);
    m.registration = &inner;
    return proto_pack(&m.base, out);
}

enum err trunk_registration_unpack(struct arena *arena, struct slice packed, struct trunk_registration *r)
{
    void *raw = NULL;
    enum err e = proto_unpack(arena, &tandem__state__trunk_health__descriptor, packed, &raw);
    if (e != ERR_OK) return e;
    const Tandem__State__TrunkHealth *m = raw;
    const Tandem__State__TrunkRegistration *inner = m->registration;
    if (inner == NULL) return ERR_NOTFOUND;
    if (m->trunk.len == 0 || m->address.len > 0 || inner->state > TRUNK_REFUSED) return ERR_SYNTAX;
    if (m->trunk.len > LIMIT_NAME || m->reason.len > LIMIT_TEXT || inner->contact.len > LIMIT_URI) return ERR_LIMIT;
    *r = (struct trunk_registration){.trunk = bytes_in(m->trunk),
                                     .holds = inner->holds,
                                     .term = inner->term,
                                     .state = (enum trunk_registration_state)inner->state,
                                     .since.ms = m->since_ms,
                                     .contact = bytes_in(inner->contact),
                                     .reason = bytes_in(m->reason)};
    return ERR_OK;
}

/* ---- node card ---- */

enum err node_card_pack(const struct node_card *c, struct buf *out)
{
    Tandem__State__NodeCard m = TANDEM__STATE__NODE_CARD__INIT;
    struct arena scratch = {0};
    enum err e = ERR_NOMEM;
    m.n_sip_addresses = c->sip_address_count;
    m.sip_addresses = proto_slices_out(&scratch, c->sip_addresses, c->sip_address_count);
    m.site = bytes_out(c->site);
    m.version = bytes_out(c->version);
    m.started_ms = c->started.ms;
    m.calls = c->calls;
    m.drained = c->drained;
    m.joined_ms = c->joined.ms;
    m.registers = c->registers;
    if (m.sip_addresses != NULL) e = proto_pack(&m.base, out);
    arena_fini(&scratch);
    return e;
}

enum err node_card_unpack(struct arena *arena, struct slice packed, struct node_card *c)
{
    struct node_card made = {0};
    void *raw = NULL;
    enum err e = proto_unpack(arena, &tandem__state__node_card__descriptor, packed, &raw);
    if (e != ERR_OK) return e;
    const Tandem__State__NodeCard *m = raw;
    if (m->site.len > LIMIT_NAME || m->version.len > LIMIT_NAME) return ERR_LIMIT;
    for (size_t i = 0; i < m->n_sip_addresses; i++) {
        if (m->sip_addresses[i].len > LIMIT_URI) return ERR_LIMIT;
    }
    e = proto_slices_in(arena, m->sip_addresses, m->n_sip_addresses, CARD_ADDRESS_MAX, &made.sip_addresses);
    if (e != ERR_OK) return e;
    made.sip_address_count = m->n_sip_addresses;
    made.site = bytes_in(m->site);
    made.version = bytes_in(m->version);
    made.started.ms = m->started_ms;
    made.calls = m->calls;
    made.drained = m->drained;
    made.joined.ms = m->joined_ms;
    made.registers = m->registers;
    *c = made;
    return ERR_OK;
}

/* ---- horizon ---- */

enum err horizon_pack(uint64_t upto, struct buf *out)
{
    Tandem__State__Horizon m = TANDEM__STATE__HORIZON__INIT;
    m.upto = upto;
    return proto_pack(&m.base, out);
}

enum err horizon_unpack(struct slice packed, uint64_t *upto)
{
    struct arena arena = {0};
    void *raw = NULL;
    enum err e = proto_unpack(&arena, &tandem__state__horizon__descriptor, packed, &raw);
    if (e == ERR_OK) *upto = ((const Tandem__State__Horizon *)raw)->upto;
    if (e == ERR_OK && *upto == 0) e = ERR_SYNTAX;
    arena_fini(&arena);
    return e;
}

/* ---- member notes, as the store keeps them ---- */

enum err member_note_pack(const struct member_note *n, struct buf *out)
{
    Tandem__State__Member m = TANDEM__STATE__MEMBER__INIT;
    m.name = bytes_out(node_name_slice(&n->name));
    m.incarnation = n->incarnation;
    m.status = (uint32_t)n->status;
    m.mesh_address = bytes_out(n->mesh_address);
    m.site = bytes_out(n->site);
    m.issued = n->issued;
    m.barred = n->barred;
    m.since_ms = n->since.ms;
    m.joined_ms = n->joined.ms;
    return proto_pack(&m.base, out);
}

enum err member_note_unpack(struct arena *arena, struct slice packed, struct member_note *n)
{
    struct member_note made = {0};
    void *raw = NULL;
    enum err e = proto_unpack(arena, &tandem__state__member__descriptor, packed, &raw);
    if (e != ERR_OK) return e;
    const Tandem__State__Member *m = raw;
    if (m->status < MEMBER_ALIVE || m->status > MEMBER_EVICTED) return ERR_SYNTAX;
    if (m->mesh_address.len > LIMIT_URI || m->site.len > LIMIT_NAME) return ERR_LIMIT;
    e = node_name_set(&made.name, bytes_in(m->name));
    if (e != ERR_OK) return e;
    made.incarnation = m->incarnation;
    made.status = (enum member_status)m->status;
    made.mesh_address = bytes_in(m->mesh_address);
    made.site = bytes_in(m->site);
    made.issued = m->issued;
    made.barred = m->barred;
    made.since.ms = m->since_ms;
    made.joined.ms = m->joined_ms;
    *n = made;
    return ERR_OK;
}
