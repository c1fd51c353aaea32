/* plan_codec: plan objects, change-sets and state values as protobuf bytes.
 *
 * Packing is canonical: equal structs give equal bytes, since the plan digest is taken over them. Unpacking validates:
 * every string and list is bounded (plan_object_validate, LIMIT_*), so what comes out is safe to use. Unknown fields of
 * a newer version survive in the packed bytes, which are what is stored and forwarded. Schemas: proto/plan.proto,
 * proto/state.proto. */
#ifndef TANDEM_PROTO_PLAN_CODEC_H
#define TANDEM_PROTO_PLAN_CODEC_H

#include "node/plan/observed.h"
#include "node/repl/message.h"

/* Appends to out. Secrets: account.secret hashes and registration.sealed are packed; clear-text passwords never are.
 * ERR_NOMEM. */
MUST_CHECK enum err plan_object_pack(const struct plan_object *o, struct buf *out);
/* ERR_SYNTAX (not protobuf, or breaks a rule; info says which), ERR_LIMIT, ERR_NOMEM. Texts are copied into arena. */
MUST_CHECK enum err plan_object_unpack(struct arena *arena, struct slice packed, struct plan_object *o,
                                       struct err_info *info);
/* The same without plan_object_validate: for bytes that passed it before and were kept under a checksum since. Sizes
 * and enumerations are still checked, so that a record of any content is memory-safe. */
MUST_CHECK enum err plan_object_unpack_stored(struct arena *arena, struct slice packed, struct plan_object *o,
                                              struct err_info *info);

/* What routing asks for of a stored account; texts point into packed. ERR_NOTFOUND: another kind of object,
 * ERR_CORRUPT.
 */
struct plan_account_brief {
    struct slice name;
    struct slice prepend;
    struct slice site;
    uint8_t strip;
    uint32_t calls;
    bool disabled;
};
MUST_CHECK enum err plan_account_brief_read(struct slice packed, struct plan_account_brief *out);
/* What plan_object_unpack_stored makes of an account, in a third of the time. False: nothing is said, whether it is
 * another kind of object, an account with something unusual in it, or memory is out: plan_object_unpack_stored tells.
 */
MUST_CHECK bool plan_account_read(struct arena *arena, struct slice packed, struct plan_account *out);

/* Appends a stored route without its match: routes that differ in nothing else have equal bytes. What a newer version
 * put in stays. ERR_CORRUPT: no route, ERR_NOMEM. */
MUST_CHECK enum err plan_route_form(struct slice packed, struct buf *out);

/* SHA-256 over key, NUL, packed: what plan_digest_add takes. h is of HASH_SHA256, or NULL for one digest alone. */
MUST_CHECK enum err plan_object_hash(struct hasher *h, struct slice key, struct slice packed,
                                     unsigned char out[HASH_SHA256_LEN]);

MUST_CHECK enum err changeset_pack(const struct changeset *c, struct buf *out);
/* Checks the envelope; values are opaque bytes of bounded size, to be unpacked one by one with plan_object_unpack.
 * ERR_SYNTAX, ERR_LIMIT, ERR_NOMEM. c->packed becomes the bytes themselves (borrowed from the argument: keep them as
 * long as c). */
MUST_CHECK enum err changeset_unpack(struct arena *arena, struct slice packed, struct changeset *c,
                                     struct err_info *info);

MUST_CHECK enum err state_record_pack(const struct state_record *r, struct buf *out);
MUST_CHECK enum err state_record_unpack(struct arena *arena, struct slice packed, struct state_record *r,
                                        struct err_info *info);

/* The rules of a record that state_record_unpack applies, for one that was made otherwise. ERR_SYNTAX, ERR_LIMIT. */
MUST_CHECK enum err state_record_check(const struct state_record *r, struct err_info *info);

/* What they unpack is bounded: ERR_SYNTAX, ERR_LIMIT, ERR_NOMEM. public_only leaves the private half out: the bytes
 * that travel. */
MUST_CHECK enum err binding_pack(const struct binding *b, bool public_only, struct buf *out);
/* Appends the private half alone: behind the public one it makes the whole. */
MUST_CHECK enum err binding_pack_private(const struct binding *b, struct buf *out);
MUST_CHECK enum err binding_unpack(struct arena *arena, struct slice packed, struct binding *b);
MUST_CHECK enum err trunk_health_pack(const struct trunk_health *h, struct buf *out);
MUST_CHECK enum err trunk_health_unpack(struct arena *arena, struct slice packed, struct trunk_health *h);
MUST_CHECK enum err source_ban_pack(const struct source_ban *b, struct buf *out);
MUST_CHECK enum err source_ban_unpack(struct arena *arena, struct slice packed, struct source_ban *b);
MUST_CHECK enum err trunk_registration_pack(const struct trunk_registration *r, struct buf *out);
/* ERR_NOTFOUND: the record is of a trunk's health. */
MUST_CHECK enum err trunk_registration_unpack(struct arena *arena, struct slice packed, struct trunk_registration *r);
MUST_CHECK enum err node_card_pack(const struct node_card *c, struct buf *out);
MUST_CHECK enum err node_card_unpack(struct arena *arena, struct slice packed, struct node_card *c);
/* upto: a version, >= 1. */
MUST_CHECK enum err horizon_pack(uint64_t upto, struct buf *out);
MUST_CHECK enum err horizon_unpack(struct slice packed, uint64_t *upto);

/* A member as the store remembers it. */
MUST_CHECK enum err member_note_pack(const struct member_note *n, struct buf *out);
MUST_CHECK enum err member_note_unpack(struct arena *arena, struct slice packed, struct member_note *n);

#endif
