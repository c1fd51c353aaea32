/* registrar_update: what a REGISTER asks for, and what that makes of an account's bindings. Internal to the registrar.
 * No I/O. */
#ifndef TANDEM_EDGE_REGISTRAR_UPDATE_H
#define TANDEM_EDGE_REGISTRAR_UPDATE_H

#include "node/edge/registrar.h"

struct wanted_contact {
    struct slice uri;
    uint32_t expires_s; /* 0: remove */
    uint32_t q_milli;
    struct slice instance; /* of its device: "<urn:uuid:...>", "" not said */
    uint32_t reg_id;       /* of the device's flow (outbound.h), 0: it is none */
};

/* One REGISTER's wish; texts live in the arena that it was read with. */
struct wanted {
    struct slice account;
    uint32_t max_contacts;
    bool has_numbers; /* of the account: what a bulk registration stands for */
    bool gruu;        /* who registers would be told the GRUUs of its devices */
    enum plan_keepalive keepalive;
    uint32_t keepalive_every_ms;
    struct wanted_contact *contacts;
    size_t contact_count;
    size_t contact_room;
    bool all; /* "*": remove every binding */
    struct slice call_id;
    uint32_t cseq;
    struct slice received;
    struct slice path;
    struct slice user_agent;
    struct slice words; /* of a refusal: why, for the Reason header; "" it says enough by itself */
};

/* Reads Contact, Expires, Path, Call-ID, CSeq. 0, or the code to refuse with; why is the counter. */
unsigned registrar_wanted_read(struct edge *e, struct arena *arena, const struct flow *from, const struct sip_view *v,
                               struct wanted *w, enum registrar_counter *why);

struct update {
    struct binding *puts; /* in the arena, as removes are */
    size_t put_count;
    struct binding *removes;
    size_t remove_count;
    bool replaced; /* the oldest binding had to go */
    bool whole;    /* afterwards the account has the puts and no other binding */
};
/* old: the account's bindings, expired ones included. ERR_CONFLICT: older than what is stored (RFC 3261 §10.3 item 7);
 * ERR_NOMEM. */
MUST_CHECK enum err registrar_update_make(struct arena *arena, const struct wanted *w, const struct binding *old,
                                          size_t old_count, struct wall now, struct update *u);

/* Contact and Path lines of a 200 (RFC 3261 §10.3 item 8), with the GRUUs of the devices that names makes; NULL: they
 * were not asked for. */
void registrar_update_list(const struct binding *list, size_t count, struct wall now, struct edge *names,
                           struct buf *out);

#endif
