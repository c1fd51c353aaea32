/* edge: the SIP edge of a node: transports, proxy and registrar put together, and what it asks of the rest of the node.
 *
 * The edge holds no plan and no replica: it asks through struct edge_hooks, which node/app fills. Hooks marked "at
 * once" are called on the loop thread and must not block; results live in the arena given. */
#ifndef TANDEM_EDGE_EDGE_H
#define TANDEM_EDGE_EDGE_H

#include "node/edge/transport.h"
#include "node/plan/decide.h"
#include "node/plan/observed.h"
#include "node/plan/record.h"
#include "node/sip/digest.h"

struct edge;

enum edge_source_kind { EDGE_SOURCE_UNKNOWN, EDGE_SOURCE_TRUNK, EDGE_SOURCE_ACCOUNT, EDGE_SOURCE_MEMBER };
struct edge_source {
    enum edge_source_kind kind;
    struct slice name; /* of the trunk, account or node */
    bool inside;       /* a trunk that may assert identities */
    bool hide;         /* a trunk that is not shown what stands behind us */
};

/* One way to reach a target, tried in order. */
struct edge_hop {
    enum plan_transport transport;
    struct slice host;        /* name or IP literal, without brackets */
    uint16_t port;            /* 0: by DNS or the default */
    struct slice request_uri; /* what the Request-URI becomes, "sip:8123@10.2.0.20:5070" */
    struct slice received;    /* a binding's "udp:192.0.2.7:5060": send there instead (NAT), "" none */
    struct slice route;       /* Path of a binding, Service-Route of a registrar: Route header values to add, "" none */
    bool named;               /* received says where, and who is there must still prove to be host (TLS) */
    bool any_transport;       /* transport is only a guess: DNS says which (RFC 3263 §4.1) */
    bool with_previous;       /* tried at the same time as the hop before it (RFC 3261 §16.6: equal q) */
};

/* One device of an account (gruu.h). */
struct edge_device {
    struct slice instance; /* as it registered it, "<urn:uuid:...>"; letters of either case are equal */
    bool temporary;        /* only while its registration is this one: */
    uint64_t registration; /* edge_device_registration of its Call-ID */
    struct slice uri;      /* that says all this: what another node is sent */
};
uint64_t edge_device_registration(struct slice call_id);

struct edge_target {
    struct slice text;      /* "trunk/factory-pbx" */
    struct slice node;      /* "" : served here; else the member that carries it (the call crosses the mesh once) */
    struct slice number;    /* what it is sent */
    bool number_in_contact; /* account: the number replaces the contact's user part */
    bool inside;            /* may be told who calls, whatever the caller wants others to know */
    bool hide;              /* is not shown what stands behind us (topology.h) */
    bool one_device;        /* of the account: another node is told which by the Request-URI */
    const struct edge_hop *hops; /* here: addresses or contacts; other node: its SIP addresses */
    size_t hop_count;
    struct plan_route route; /* for failover codes and the record */
};

struct edge_query {
    struct slice dialled; /* user part of the Request-URI, or tel number */
    struct edge_source source;
    struct slice call_id;
    /* A call that crossed the mesh: the target that the first node named; only targets of this node may be used. */
    struct slice named_target; /* "" for a call that begins here */
    bool number_in_contact;
    bool call; /* an INVITE: limits of calls concern nothing else */
    /* No call: what the plan alone decides, as if all that it names were up, registered and free. */
    bool plan_only;
    const struct edge_device
        *device; /* of the account that was dialled by its name, the one that is meant; NULL: all */
};

struct edge_answer {
    const struct edge_target *targets;
    size_t target_count;
    uint16_t code; /* when there is no target: 404 480 503 ... */
    unsigned rule;
    struct slice reason;    /* words for the Reason header and the record */
    unsigned retry_after_s; /* 503: when to ask again, 0 not said */
    struct slice trace;     /* the decision as the record keeps it, opaque here; "" none */
};

/* Where a side of a call is. */
struct call_place {
    enum plan_transport transport;
    union sock_address address;
};
/* One place to which a call was to be sent, and what came of it. */
struct call_failure {
    struct slice target;
    struct slice node;
    unsigned code; /* as it counts for the next step: 408 no answer, 503 cannot be reached, or the response */
    struct slice words;
    struct wall at;
    struct call_place place; /* family 0: it was not sent */
};
/* What is known of a call; reported at each change of state. Borrowed for the call. */
struct call_report {
    uint64_t id; /* this run's number of the call */
    void **note; /* the hook's own for this call: NULL in the first report, then as it was left; NULL: no such place */
    struct slice call_id;
    struct slice from; /* user part or number of the caller */
    struct slice dialled;
    struct edge_source source;
    struct slice target; /* the one that answered, or is being tried */
    struct slice node;
    enum call_state state;
    struct wall started;
    struct wall answered; /* 0: not */
    struct wall ended;    /* 0: not */
    unsigned code;        /* final answer, 0 while none */
    unsigned rule;
    struct slice reason;     /* why it ended, in words */
    struct slice caller_tag; /* From tag of its INVITE */
    uint32_t session_s;      /* refresh interval that was agreed on, 0: none */
    struct slice session_id; /* the caller's half, 32 hexadecimal digits (RFC 7989) */
    struct slice trace;      /* only in the report that follows the decision */
    struct call_place from_place;
    struct call_place to_place;         /* tried last; family 0: nowhere yet */
    const struct call_failure *failure; /* only in the report that follows one: nothing else has changed */
};

/* One address of a trunk of this site, as this node's own calls and probes find it. */
struct edge_trunk {
    struct slice trunk;
    struct slice address; /* as the plan writes it */
    enum plan_transport transport;
    uint32_t probe_ms;       /* 0: not probed, so that nothing is ever known */
    bool known;              /* a probe has said something, in this run or an earlier one */
    bool up;                 /* true while nothing is known */
    bool suspect;            /* it failed a call a moment ago: tried last */
    struct wall rests_until; /* it has asked to be left alone: nothing outside of dialogs goes there; {0}: it has not */
    struct wall since;       /* up or down; {0} while nothing is known */
    uint32_t rtt_us;         /* of the last answer, 0: none in this run */
    struct slice reason;     /* what the last probe or call found, in words */
};

/* A source that is not listened to: an IPv4 address, or an IPv6 /64. */
struct edge_ban {
    struct slice source; /* "192.0.2.7", "2001:db8:0:1::/64" */
    uint32_t left_s;
    struct slice reason;
};

enum edge_failure {
    EDGE_FAILED_UNKNOWN,
    EDGE_FAILED_PASSWORD,
    EDGE_FAILED_DISABLED,
    EDGE_FAILED_SITE,
    EDGE_FAILED_LOCKED /* the password was right, and the account is locked for that source */
};
const char *edge_failure_text(enum edge_failure why);
/* Wrong proofs of one account from one source, for one reason. */
struct edge_failed {
    struct slice source;
    struct slice account; /* as it was given, made harmless */
    enum edge_failure why;
    uint64_t count;
    uint64_t milli_per_min; /* of late */
    struct wall first;
    struct wall last;
    bool locked; /* now */
    bool banned;
};

/* A registration that this node is to hold at an outside registrar. Texts are copied. */
struct edge_registration {
    struct slice trunk;
    const struct slice *address; /* of the registrar, as the plan writes it; tried in order */
    size_t address_count;
    enum plan_transport transport;
    struct slice user;
    struct slice login;
    struct slice domain;
    struct slice password;
    uint32_t expires_s;
    bool inside;        /* the trunk may assert identities */
    bool hide;          /* and is not shown what stands behind us */
    struct slice stale; /* a contact that another node left there: taken away with the first request, "" none */
};

/* How it stands. Texts live until the next call into the edge. */
struct edge_registration_view {
    struct slice trunk;
    enum trunk_registration_state state; /* UNREGISTERED: given back, or on its way */
    struct wall since;                   /* of state */
    struct wall expires;                 /* {0}: not registered */
    uint32_t granted_s;
    struct slice contact;
    struct slice host;  /* of the registrar: what its certificate must prove */
    struct slice at;    /* "udp:192.0.2.7:5060": where it is, "" never reached */
    struct slice route; /* Service-Route, "" none */
    struct slice reason;
};

struct edge_hooks {
    void *ctx;
    /* At once. Which trunk the peer is: by a name that its certificate proved (edge_peer_names), else by its address
     * (trust ranges, longest range wins). */
    void (*source)(void *ctx, struct arena *arena, const struct flow *from, struct edge_source *out);
    /* At once. The decision for a request outside a dialog. */
    void (*route)(void *ctx, struct arena *arena, const struct edge_query *q, struct edge_answer *out);
    /* At once. ERR_NOTFOUND. */
    enum err (*account)(void *ctx, struct arena *arena, struct slice name, struct plan_account *out);
    /* At once. This node's own bindings of the account, private halves included. */
    enum err (*bindings)(void *ctx, struct arena *arena, struct slice account, struct binding **list, size_t *count);
    /* The same, as far as a REGISTER with this Call-ID needs them: account, contact, since, CSeq, expires, and of flows
     * instance and reg_id. call_id is the one given where it is the same, else another or "". */
    enum err (*bindings_known)(void *ctx, struct arena *arena, struct slice account, struct slice call_id,
                               struct binding **list, size_t *count);
    /* Stores puts and removes (keys by account and contact) of one REGISTER, which stay until done; done once, when
     * durable or not. */
    void (*bindings_write)(void *ctx, const struct binding *puts, size_t put_count, const struct binding *removes,
                           size_t remove_count, void (*done)(void *done_ctx, enum err err), void *done_ctx);
    /* Our domain, which is the digest realm; "" until the plan has one: then the node's own address is used. Valid for
     * the call. */
    struct slice (*domain)(void *ctx);
    /* At once. The digest algorithms that a challenge offers; NULL: all of them. */
    struct digest_offer (*digests)(void *ctx);
    void (*call)(void *ctx, const struct call_report *report);
    /* At once, before a call goes on to another of its targets, one that is served here: whether that takes another
     * call now. May be NULL. */
    bool (*admit)(void *ctx, struct slice target);
    /* At once. Whether the trunk's in rules speak of the number, so that a call to its registered contact may name it.
     * May be NULL: none. */
    bool (*called)(void *ctx, struct slice trunk, struct slice number);
    /* How a registration stands has changed; a refresh that changes nothing is no news. May be NULL. Not to call
     * edge_registrations_set from. */
    void (*registration)(void *ctx, const struct edge_registration_view *v);
    /* An address of a trunk went up or down, or its round trip became another one. May be NULL. Not to call
     * edge_trunks_set from. */
    void (*trunk)(void *ctx, const struct edge_trunk *t);
    /* At once. Whether the account, which may be any text, has a binding that came from that host (IPv6: /64), here or
     * at another node. NULL: never. */
    bool (*registered_from)(void *ctx, struct slice account, const union sock_address *from);
    /* The source is banned from now on. May be NULL. Not to call edge_bans_set from. */
    void (*banned)(void *ctx, const struct edge_ban *ban);
    /* At once. Whether the media of this node's calls are to go through its relay. May be NULL: they are not. */
    bool (*media)(void *ctx);
    /* The way that was opened for owner is lost: once at most, and from the loop. It is still to be closed, here at the
     * earliest. */
    void (*way_lost)(void *ctx, void *owner, const char *why);
};

struct edge_options {
    uv_loop_t *loop;
    const struct log *log;
    struct node_label {
        struct slice name, site, version;
    } node;
    const char *const *listen;
    size_t listen_count;
    struct tls_files tls;
    struct slice advertise;                  /* host to put into Via and Record-Route, "" : the listener's */
    unsigned char cluster_key[HASH_KEY_LEN]; /* cookie and nonce keys are derived from it */
    bool has_other_key;
    unsigned char other_key[HASH_KEY_LEN]; /* what was made with it is taken too */
    const char *media_relay;               /* control address of an rtpengine, "127.0.0.1:2223"; NULL: none */
    struct edge_hooks hooks;
    uint32_t session_s;    /* refresh interval that calls are asked to keep where they name none, 0: they are not */
    uint64_t call_idle_ms; /* a call without a request in its dialog for so long counts as ended; default 12 h */
    uint32_t ring_ms; /* a target that said something may take so long to its next word (Timer C); default 180000 */
    uint32_t no_answer_ms; /* a target that gave no response at all is left after this long; default 4000 */
};

MUST_CHECK enum err edge_open(const struct edge_options *options, struct edge **out, struct err_info *info);
/* See transport_tls_reload. */
MUST_CHECK enum err edge_tls_reload(struct edge *e, const struct tls_files *files, struct err_info *info);
struct tls_ends edge_tls_ends(const struct edge *e);
/* Refuses everything outside dialogs with 503 and Retry-After, or ends that. What is in progress goes on. */
void edge_refuse_new(struct edge *e, bool on);
/* drain: takes no new calls (503), waits for transactions in progress up to drain_ms, then closes: calls that are still
 * being set up end with 503 and CANCEL, and are reported. */
void edge_close(struct edge *e, uint32_t drain_ms, void (*closed)(void *ctx), void *ctx);
const struct transport *edge_transport(const struct edge *e);
/* transport_peer_names of the flow: what a trunk may be known by. */
struct slice edge_peer_names(const struct edge *e, const struct flow *flow);
/* transport, proxy, registrar. */
size_t edge_counters(const struct edge *e, const struct counter_table *out[], size_t cap);
/* As a call to that place would be resolved: see dns_resolve. */
MUST_CHECK enum err
edge_resolve(struct edge *e, struct slice host, uint16_t port, enum plan_transport transport,
             void (*done)(void *ctx, enum err err, const union sock_address *addresses, size_t count), void *ctx);
struct edge_load {
    uint32_t calls;
    uint32_t transactions;
};
struct edge_load edge_load(const struct edge *e);
/* A call that was answered in an earlier run goes on: its end is seen, reported under this id, and bounded as that of
 * any other. The report says what is known of it. ERR_EXISTS: there is such a call already; ERR_NOMEM, ERR_CLOSED. */
MUST_CHECK enum err edge_call_restore(struct edge *e, const struct call_report *known);

/* ---- the media relay (media.c) ---- */
struct edge_media {
    const char *relay; /* as in the options, NULL: none */
    bool up;
    struct wall since; /* {0}: nothing is known yet */
    const char *reason;
};
struct edge_media edge_media(const struct edge *e);

/* ---- who guesses (guard.c) ---- */
/* From now on these bans hold and no others. */
void edge_bans_set(struct edge *e, const struct edge_ban *list, size_t count);
/* Forgets the source's ban and all that it failed at. False: text is no address. */
bool edge_forgive(struct edge *e, struct slice source);
void edge_failures_each(struct edge *e, void (*each)(void *ctx, const struct edge_failed *f), void *ctx);
struct edge_guarded {
    size_t bans;
    size_t locks; /* of one account for one source */
};
struct edge_guarded edge_guarded(const struct edge *e);

/* ---- the ways to registered contacts (keeper.c) ---- */
struct edge_way;
struct edge_way_spec {
    enum plan_transport transport;
    union sock_address remote; /* where the REGISTER came from, and calls go */
    union sock_address own;    /* a connection: the contact's own address, where it may be dialled; else no family */
    struct slice uri;          /* of the contact; borrowed while the way is open */
    enum plan_keepalive keepalive; /* AUTO counts as OFF: the caller has decided */
    uint32_t every_ms;
};
/* When it is lost the hook way_lost is called with owner. ERR_CLOSED: its connection is gone already, ERR_NOMEM. */
MUST_CHECK enum err edge_way_open(struct edge *e, const struct edge_way_spec *spec, void *owner, struct edge_way **out);
void edge_way_close(struct edge_way *w); /* not after the edge is closed: then they all are */
/* The contact has been heard of. */
void edge_way_renewed(struct edge_way *w);
/* Whether the way is open, and what spec asks for. */
bool edge_way_is(const struct edge_way *w, const struct edge_way_spec *spec);
/* Whether a connection to the address is up. */
bool edge_connected(const struct edge *e, enum plan_transport transport, const union sock_address *remote);

/* ---- the trunks of this site (prober.c) ---- */
/* From now on these addresses are looked after, and no others; what is known of one that stays is kept. known, up,
 * since and reason say of a new one what an earlier run knew. ERR_NOMEM: some are missing, ERR_CLOSED. */
MUST_CHECK enum err edge_trunks_set(struct edge *e, const struct edge_trunk *list, size_t count);
void edge_trunks_each(const struct edge *e, bool (*each)(void *ctx, const struct edge_trunk *t), void *ctx);
/* Whether none of them is down, suspect or resting. */
bool edge_trunks_well(const struct edge *e);
/* Whether one of them rests: rests_until is looked at only then. */
bool edge_trunks_rest(const struct edge *e);
/* False: not looked after. The texts live until the next edge_trunks_set or result. */
bool edge_trunk_find(const struct edge *e, struct slice trunk, struct slice address, struct edge_trunk *out);

/* ---- registrations at outside registrars (client.c) ---- */
/* From now on these are held, and no others: what is not in the list any more is given back. ERR_NOMEM: some are
 * missing, ERR_CLOSED. */
MUST_CHECK enum err edge_registrations_set(struct edge *e, const struct edge_registration *list, size_t count);
/* Those that are held; one that is being given back is not. False: not held. */
bool edge_registration_find(const struct edge *e, struct slice trunk, struct edge_registration_view *out);
void edge_registrations_each(const struct edge *e, bool (*each)(void *ctx, const struct edge_registration_view *v),
                             void *ctx);

#endif
