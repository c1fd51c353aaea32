/* See mesh_codec.h. This file has the envelope and the link's own frames; mesh_message.c has the messages of node/repl.
 *
 * Invariant: what pack accepts, unpack accepts (the same bounds hold on both sides), apart from the versions. */
#include "proto/mesh_message.h"

const char *mesh_ack_name(enum mesh_ack_code code)
{
    static const char *const names[] = {"ok",        "hello required", "refused",          "full",
                                        "bad frame", "unknown frame",  "no common version"};
    _Static_assert(sizeof names / sizeof names[0] == MESH_ACK_CODE_COUNT, "one name per code");
    return (unsigned)code < MESH_ACK_CODE_COUNT ? names[code] : "?";
}

bool mesh_token_valid(struct slice s)
{
    if (s.n == 0 || s.n > LIMIT_NAME) return false;
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];
        bool ok = (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '.' || c == '_' ||
                  c == '-';
        if (!ok) return false;
    }
    return true;
}

/* ---- pack ---- */

/* The parts of a Frame that the bodies need; on the stack of mesh_frame_pack. */
union mesh_parts {
    Tandem__Mesh__Hello hello;
    Tandem__Mesh__HelloReply hello_reply;
    Tandem__Mesh__HelloProof hello_proof;
    Tandem__Mesh__Ack ack;
    Tandem__Mesh__Fragment fragment;
    Tandem__Mesh__RelayRequest relay_request;
    Tandem__Mesh__RelayReply relay_reply;
    struct {
        Tandem__Mesh__Poll poll;
        Tandem__Mesh__Ack ack;
    } poll;
};

static bool hello_within(const struct mesh_frame *f)
{
    return f->hello.certificate.n <= MESH_CERTIFICATE_MAX && f->hello.signature.n <= MESH_SIGNATURE_MAX;
}

static bool fragment_within(uint64_t total, uint64_t offset, size_t n)
{
    return n > 0 && n <= LIMIT_MESH_CHUNK && total <= MESH_WHOLE_MAX && offset <= total && n <= total - offset;
}

static enum err pack_hello(const struct mesh_frame *f, union mesh_parts *parts, Tandem__Mesh__Frame *p)
{
    ProtobufCBinaryData nonce = {.len = MESH_NONCE_LEN, .data = (uint8_t *)(uintptr_t)f->hello.nonce};
    if (f->type == MESH_HELLO) {
        parts->hello = (Tandem__Mesh__Hello)TANDEM__MESH__HELLO__INIT;
        parts->hello.nonce = nonce;
        p->body_case = TANDEM__MESH__FRAME__BODY_HELLO;
        p->hello = &parts->hello;
        return ERR_OK;
    }
    if (!hello_within(f)) return ERR_LIMIT;
    if (f->type == MESH_HELLO_REPLY) {
        parts->hello_reply = (Tandem__Mesh__HelloReply)TANDEM__MESH__HELLO_REPLY__INIT;
        parts->hello_reply.nonce = nonce;
        parts->hello_reply.certificate = mesh_bytes(f->hello.certificate);
        parts->hello_reply.signature = mesh_bytes(f->hello.signature);
        p->body_case = TANDEM__MESH__FRAME__BODY_HELLO_REPLY;
        p->hello_reply = &parts->hello_reply;
        return ERR_OK;
    }
    parts->hello_proof = (Tandem__Mesh__HelloProof)TANDEM__MESH__HELLO_PROOF__INIT;
    parts->hello_proof.certificate = mesh_bytes(f->hello.certificate);
    parts->hello_proof.signature = mesh_bytes(f->hello.signature);
    p->body_case = TANDEM__MESH__FRAME__BODY_HELLO_PROOF;
    p->hello_proof = &parts->hello_proof;
    return ERR_OK;
}

static enum err pack_ack(const struct mesh_frame *f, union mesh_parts *parts, Tandem__Mesh__Frame *p)
{
    if (f->ack.text.n > LIMIT_TEXT) return ERR_LIMIT;
    parts->ack = (Tandem__Mesh__Ack)TANDEM__MESH__ACK__INIT;
    parts->ack.code = (uint32_t)f->ack.code;
    parts->ack.text = mesh_bytes(f->ack.text);
    p->body_case = TANDEM__MESH__FRAME__BODY_ACK;
    p->ack = &parts->ack;
    return ERR_OK;
}

static enum err pack_fragment(const struct mesh_frame *f, union mesh_parts *parts, Tandem__Mesh__Frame *p)
{
    if (!fragment_within(f->fragment.total, f->fragment.offset, f->fragment.data.n)) return ERR_LIMIT;
    parts->fragment = (Tandem__Mesh__Fragment)TANDEM__MESH__FRAGMENT__INIT;
    parts->fragment.id = f->fragment.id;
    parts->fragment.total = f->fragment.total;
    parts->fragment.offset = f->fragment.offset;
    parts->fragment.data = mesh_bytes(f->fragment.data);
    p->body_case = TANDEM__MESH__FRAME__BODY_FRAGMENT;
    p->fragment = &parts->fragment;
    return ERR_OK;
}

static enum err pack_relay(const struct mesh_frame *f, union mesh_parts *parts, Tandem__Mesh__Frame *p)
{
    if (f->relay.body.n > LIMIT_CONTROL_FRAME) return ERR_LIMIT;
    if (f->type == MESH_RELAY_REQUEST) {
        parts->relay_request = (Tandem__Mesh__RelayRequest)TANDEM__MESH__RELAY_REQUEST__INIT;
        parts->relay_request.id = f->relay.id;
        parts->relay_request.request = mesh_bytes(f->relay.body);
        p->body_case = TANDEM__MESH__FRAME__BODY_RELAY_REQUEST;
        p->relay_request = &parts->relay_request;
        return ERR_OK;
    }
    parts->relay_reply = (Tandem__Mesh__RelayReply)TANDEM__MESH__RELAY_REPLY__INIT;
    parts->relay_reply.id = f->relay.id;
    parts->relay_reply.reply = mesh_bytes(f->relay.body);
    p->body_case = TANDEM__MESH__FRAME__BODY_RELAY_REPLY;
    p->relay_reply = &parts->relay_reply;
    return ERR_OK;
}

static enum err pack_poll(const struct mesh_frame *f, union mesh_parts *parts, Tandem__Mesh__Frame *p)
{
    if (f->poll.slot >= MESH_POLL_SLOTS || f->poll.text.n > LIMIT_TEXT) return ERR_LIMIT;
    parts->poll.poll = (Tandem__Mesh__Poll)TANDEM__MESH__POLL__INIT;
    parts->poll.poll.slot = f->poll.slot;
    if (f->poll.acks) {
        parts->poll.ack = (Tandem__Mesh__Ack)TANDEM__MESH__ACK__INIT;
        parts->poll.ack.code = (uint32_t)f->poll.code;
        parts->poll.ack.text = mesh_bytes(f->poll.text);
        parts->poll.poll.ack = &parts->poll.ack;
    }
    p->body_case = TANDEM__MESH__FRAME__BODY_POLL;
    p->poll = &parts->poll.poll;
    return ERR_OK;
}

static enum err pack_body(const struct mesh_frame *f, struct arena *scratch, union mesh_parts *parts,
                          Tandem__Mesh__Frame *p)
{
    switch (f->type) {
    case MESH_HELLO:
    case MESH_HELLO_REPLY:
    case MESH_HELLO_PROOF: return pack_hello(f, parts, p);
    case MESH_ACK: return pack_ack(f, parts, p);
    case MESH_FRAGMENT: return pack_fragment(f, parts, p);
    case MESH_MESSAGE: return mesh_message_to_proto(&f->message, scratch, p);
    case MESH_RELAY_REQUEST:
    case MESH_RELAY_REPLY: return pack_relay(f, parts, p);
    case MESH_POLL: return pack_poll(f, parts, p);
    }
    return ERR_SYNTAX;
}

enum err mesh_frame_pack(const struct mesh_frame *f, struct buf *out)
{
    struct arena scratch = {0};
    union mesh_parts parts;
    Tandem__Mesh__Frame p = TANDEM__MESH__FRAME__INIT;
    p.version_min = MESH_VERSION_MIN;
    p.version_max = MESH_VERSION_MAX;
    p.cluster = mesh_bytes(f->cluster);
    p.sender = mesh_bytes(node_name_slice(&f->sender));
    if (!mesh_token_valid(f->cluster) || !mesh_token_valid(node_name_slice(&f->sender))) return ERR_LIMIT;
    enum err err = pack_body(f, &scratch, &parts, &p);
    if (err != ERR_OK) goto out;
    size_t size = protobuf_c_message_get_packed_size(&p.base);
    char *room = size <= MESH_WHOLE_MAX ? buf_room(out, size) : NULL;
    if (room == NULL) {
        err = size > MESH_WHOLE_MAX ? ERR_LIMIT : ERR_NOMEM;
        goto out;
    }
    out->n += protobuf_c_message_pack(&p.base, (uint8_t *)room);
out:
    arena_fini(&scratch);
    return err;
}

/* ---- unpack ---- */

/* Many small parts cost more memory than bytes on the wire; a frame may not cost more than this many times its length.
 */
#define UNPACK_FACTOR 24
#define UNPACK_BASE 65536

struct capped_arena {
    struct arena *arena;
    size_t limit; /* of arena->used_total */
    bool over;
    bool failed;
};

static void *capped_alloc(void *ctx, size_t n)
{
    struct capped_arena *c = ctx;
    if (n > c->limit || c->arena->used_total > c->limit - n) {
        c->over = true;
        return NULL;
    }
    void *p = arena_alloc(c->arena, n);
    if (p == NULL) c->failed = true;
    return p;
}

static void capped_free(void *ctx, void *p)
{
    (void)ctx;
    (void)p;
}

/* Texts of a peer end up on terminals and in logs. */
static struct slice printable(ProtobufCBinaryData b)
{
    for (size_t i = 0; i < b.len; i++) {
        if (b.data[i] < 0x20 || b.data[i] >= 0x7f) b.data[i] = '?';
    }
    return mesh_slice(b);
}

static enum err take_nonce(ProtobufCBinaryData nonce, struct mesh_frame *f, struct err_info *info)
{
    if (nonce.len != MESH_NONCE_LEN) return err_fail(info, ERR_SYNTAX, "mesh frame: a nonce of %zu bytes", nonce.len);
    memcpy(f->hello.nonce, nonce.data, MESH_NONCE_LEN);
    return ERR_OK;
}

static enum err take_proof(ProtobufCBinaryData certificate, ProtobufCBinaryData signature, struct mesh_frame *f,
                           struct err_info *info)
{
    f->hello.certificate = mesh_slice(certificate);
    f->hello.signature = mesh_slice(signature);
    if (!hello_within(f)) return err_fail(info, ERR_LIMIT, "mesh frame: certificate or signature too long");
    if (certificate.len == 0 || signature.len == 0)
        return err_fail(info, ERR_SYNTAX, "mesh frame: hello without certificate or signature");
    return ERR_OK;
}

static enum err take_ack(const Tandem__Mesh__Ack *p, enum mesh_ack_code *code, struct slice *text,
                         struct err_info *info)
{
    if (p->text.len > LIMIT_TEXT) return err_fail(info, ERR_LIMIT, "mesh frame: acknowledgement text too long");
    /* A code of a newer version says at least that it was not taken. */
    *code = p->code < MESH_ACK_CODE_COUNT ? (enum mesh_ack_code)p->code : MESH_ACK_UNKNOWN;
    *text = printable(p->text);
    return ERR_OK;
}

static enum err take_poll(const Tandem__Mesh__Poll *p, struct mesh_frame *f, struct err_info *info)
{
    if (p->slot >= MESH_POLL_SLOTS) return err_fail(info, ERR_LIMIT, "mesh frame: poll of slot %u", p->slot);
    f->poll.slot = p->slot;
    f->poll.acks = p->ack != NULL;
    return f->poll.acks ? take_ack(p->ack, &f->poll.code, &f->poll.text, info) : ERR_OK;
}

static enum err take_fragment(const Tandem__Mesh__Fragment *p, struct mesh_frame *f, struct err_info *info)
{
    if (!fragment_within(p->total, p->offset, p->data.len))
        return err_fail(info, ERR_LIMIT, "mesh frame: fragment of %zu bytes at %llu of %llu", p->data.len,
                        (unsigned long long)p->offset, (unsigned long long)p->total);
    f->fragment.id = p->id;
    f->fragment.total = p->total;
    f->fragment.offset = p->offset;
    f->fragment.data = mesh_slice(p->data);
    return ERR_OK;
}

static enum err take_relay(uint64_t id, ProtobufCBinaryData body, struct mesh_frame *f, struct err_info *info)
{
    if (body.len > LIMIT_CONTROL_FRAME) return err_fail(info, ERR_LIMIT, "mesh frame: relayed request too long");
    f->relay.id = id;
    f->relay.body = mesh_slice(body);
    return ERR_OK;
}

static enum err take_body(const Tandem__Mesh__Frame *p, struct arena *arena, struct mesh_frame *f,
                          struct err_info *info)
{
    enum err err;
    switch (p->body_case) {
    case TANDEM__MESH__FRAME__BODY_HELLO: f->type = MESH_HELLO; return take_nonce(p->hello->nonce, f, info);
    case TANDEM__MESH__FRAME__BODY_HELLO_REPLY:
        f->type = MESH_HELLO_REPLY;
        err = take_nonce(p->hello_reply->nonce, f, info);
        if (err != ERR_OK) return err;
        return take_proof(p->hello_reply->certificate, p->hello_reply->signature, f, info);
    case TANDEM__MESH__FRAME__BODY_HELLO_PROOF:
        f->type = MESH_HELLO_PROOF;
        return take_proof(p->hello_proof->certificate, p->hello_proof->signature, f, info);
    case TANDEM__MESH__FRAME__BODY_ACK: f->type = MESH_ACK; return take_ack(p->ack, &f->ack.code, &f->ack.text, info);
    case TANDEM__MESH__FRAME__BODY_FRAGMENT: f->type = MESH_FRAGMENT; return take_fragment(p->fragment, f, info);
    case TANDEM__MESH__FRAME__BODY_RELAY_REQUEST:
        f->type = MESH_RELAY_REQUEST;
        return take_relay(p->relay_request->id, p->relay_request->request, f, info);
    case TANDEM__MESH__FRAME__BODY_RELAY_REPLY:
        f->type = MESH_RELAY_REPLY;
        return take_relay(p->relay_reply->id, p->relay_reply->reply, f, info);
    case TANDEM__MESH__FRAME__BODY_POLL: f->type = MESH_POLL; return take_poll(p->poll, f, info);
    case TANDEM__MESH__FRAME__BODY__NOT_SET:
        return err_fail(info, ERR_VERSION, "mesh frame: a body that this version does not know");
    default: break;
    }
    f->type = MESH_MESSAGE;
    err = mesh_message_from_proto(p, arena, &f->message, info);
    f->message.from = f->sender;
    return err;
}

static enum err take_envelope(const Tandem__Mesh__Frame *p, struct mesh_frame *f, struct err_info *info)
{
    if (p->version_min == 0 || p->version_min > p->version_max)
        return err_fail(info, ERR_SYNTAX, "mesh frame: versions %u to %u", p->version_min, p->version_max);
    f->version_min = p->version_min;
    f->version_max = p->version_max;
    f->cluster = mesh_slice(p->cluster);
    if (!mesh_token_valid(f->cluster)) return err_fail(info, ERR_SYNTAX, "mesh frame: not a cluster id");
    if (!mesh_token_valid(mesh_slice(p->sender)) || node_name_set(&f->sender, mesh_slice(p->sender)) != ERR_OK)
        return err_fail(info, ERR_SYNTAX, "mesh frame: not a node name");
    if (p->version_min > MESH_VERSION_MAX || p->version_max < MESH_VERSION_MIN)
        return err_fail(info, ERR_VERSION, "%s speaks mesh versions %u to %u, this node %d to %d", f->sender.s,
                        p->version_min, p->version_max, MESH_VERSION_MIN, MESH_VERSION_MAX);
    return ERR_OK;
}

enum err mesh_frame_unpack(struct arena *arena, struct slice packed, struct mesh_frame *f, struct err_info *info)
{
    if (packed.n > MESH_WHOLE_MAX) return err_fail(info, ERR_LIMIT, "mesh frame: %zu bytes", packed.n);
    struct capped_arena capped = {.arena = arena, .limit = arena->used_total + UNPACK_BASE + packed.n * UNPACK_FACTOR};
    ProtobufCAllocator allocator = {.alloc = capped_alloc, .free = capped_free, .allocator_data = &capped};
    Tandem__Mesh__Frame *p = tandem__mesh__frame__unpack(&allocator, packed.n, (const uint8_t *)packed.p);
    if (p == NULL) {
        if (capped.failed) return ERR_NOMEM;
        if (capped.over) return err_fail(info, ERR_LIMIT, "mesh frame: too many parts");
        return err_fail(info, ERR_SYNTAX, "mesh frame: does not parse");
    }
    struct mesh_frame frame = {0};
    enum err err = take_envelope(p, &frame, info);
    if (err == ERR_OK) err = take_body(p, arena, &frame, info);
    if (err == ERR_OK || err == ERR_VERSION) *f = frame;
    return err;
}
