#include "node/sip/transaction.h"

/*
 *   INVITE client      Trying -1xx-> Proceeding -2xx-> Accepted -M-> .      (Trying -B-> . timed out)
 *                                              -3..6xx-> Completed -D-> .
 *   client             Trying -1xx-> Proceeding -final-> Completed -K-> .   (-F-> . timed out)
 *   INVITE server      Trying -1xx-> Proceeding -2xx-> Accepted -L-> .
 *                                              -3..6xx-> Completed -ACK-> Confirmed -I-> .   (Completed -H-> . no ACK)
 *   server             Trying -1xx-> Proceeding -final-> Completed -J-> .
 *
 * Where a timer is zero on reliable transports the move goes to Terminated at once.
 */

enum repeat_op { R_KEEP, R_STOP, R_T1, R_DOUBLE, R_DOUBLE_T2, R_T2 };
enum expire_op { E_KEEP, E_STOP, E_64T1, E_D, E_T4, E_J };

struct move {
    uint8_t next; /* SIP_TX_NONE: the event is ignored in this state */
    uint8_t repeat;
    uint8_t expire;
    uint8_t actions;
};

#define TRYING SIP_TX_TRYING
#define PROCEEDING SIP_TX_PROCEEDING
#define ACCEPTED SIP_TX_ACCEPTED
#define COMPLETED SIP_TX_COMPLETED
#define CONFIRMED SIP_TX_CONFIRMED
#define TERMINATED SIP_TX_TERMINATED

static const struct move
    moves[SIP_TX_KIND_COUNT][SIP_TX_STATE_COUNT][SIP_TX_EVENT_COUNT] =
        {
            [SIP_TX_INVITE_CLIENT] =
                {
                    [TRYING] =
                        {
                            [SIP_TX_1XX] = {PROCEEDING, R_STOP, E_STOP, SIP_TX_DO_PASS},
                            [SIP_TX_2XX] = {ACCEPTED, R_STOP, E_64T1, SIP_TX_DO_PASS},
                            [SIP_TX_FAILURE] = {COMPLETED, R_STOP, E_D, SIP_TX_DO_PASS | SIP_TX_DO_ACK},
                            [SIP_TX_REPEAT] = {TRYING, R_DOUBLE, E_KEEP, SIP_TX_DO_RESEND},
                            [SIP_TX_EXPIRE] =
                                {TERMINATED, R_STOP, E_STOP, SIP_TX_DO_TIMED_OUT},
                            [SIP_TX_ERROR] = {TERMINATED, R_STOP, E_STOP, SIP_TX_DO_FAILED},
                        },
                    [PROCEEDING] =
                        {
                            [SIP_TX_1XX] = {PROCEEDING, R_KEEP, E_KEEP, SIP_TX_DO_PASS},
                            [SIP_TX_2XX] = {ACCEPTED, R_STOP, E_64T1, SIP_TX_DO_PASS},
                            [SIP_TX_FAILURE] = {COMPLETED, R_STOP, E_D, SIP_TX_DO_PASS | SIP_TX_DO_ACK},
                        },
                    [ACCEPTED] =
                        {
                            [SIP_TX_2XX] = {ACCEPTED, R_KEEP, E_KEEP, SIP_TX_DO_PASS},
                            [SIP_TX_EXPIRE] = {TERMINATED, R_STOP, E_STOP, 0},
                        },
                    [COMPLETED] =
                        {
                            [SIP_TX_FAILURE] = {COMPLETED, R_KEEP, E_KEEP, SIP_TX_DO_ACK},
                            [SIP_TX_EXPIRE] = {TERMINATED, R_STOP, E_STOP, 0},
                        },
                },
            [SIP_TX_CLIENT] =
                {
                    [TRYING] =
                        {
                            [SIP_TX_1XX] = {PROCEEDING, R_T2, E_KEEP, SIP_TX_DO_PASS},
                            [SIP_TX_2XX] = {COMPLETED, R_STOP, E_T4, SIP_TX_DO_PASS},
                            [SIP_TX_FAILURE] = {COMPLETED, R_STOP, E_T4, SIP_TX_DO_PASS},
                            [SIP_TX_REPEAT] = {TRYING, R_DOUBLE_T2, E_KEEP, SIP_TX_DO_RESEND},
                            [SIP_TX_EXPIRE] = {TERMINATED, R_STOP, E_STOP, SIP_TX_DO_TIMED_OUT},
                            [SIP_TX_ERROR] = {TERMINATED, R_STOP, E_STOP, SIP_TX_DO_FAILED},
                        },
                    [PROCEEDING] =
                        {
                            [SIP_TX_1XX] = {PROCEEDING, R_KEEP, E_KEEP, SIP_TX_DO_PASS},
                            [SIP_TX_2XX] = {COMPLETED, R_STOP, E_T4, SIP_TX_DO_PASS},
                            [SIP_TX_FAILURE] = {COMPLETED, R_STOP, E_T4, SIP_TX_DO_PASS},
                            [SIP_TX_REPEAT] = {PROCEEDING, R_T2, E_KEEP, SIP_TX_DO_RESEND},
                            [SIP_TX_EXPIRE] = {TERMINATED, R_STOP, E_STOP, SIP_TX_DO_TIMED_OUT},
                            [SIP_TX_ERROR] = {TERMINATED, R_STOP, E_STOP, SIP_TX_DO_FAILED},
                        },
                    [COMPLETED] =
                        {
                            [SIP_TX_EXPIRE] = {TERMINATED, R_STOP, E_STOP, 0},
                        },
                },
            [SIP_TX_INVITE_SERVER] =
                {
                    [TRYING] =
                        {
                            [SIP_TX_REQUEST] = {TRYING, R_STOP, E_KEEP, SIP_TX_DO_TRYING},
                            [SIP_TX_1XX] = {PROCEEDING, R_STOP, E_KEEP, SIP_TX_DO_SEND},
                            [SIP_TX_2XX] = {ACCEPTED, R_STOP, E_64T1, SIP_TX_DO_SEND},
                            [SIP_TX_FAILURE] = {COMPLETED, R_T1, E_64T1, SIP_TX_DO_SEND},
                            [SIP_TX_REPEAT] = {TRYING, R_STOP, E_KEEP, SIP_TX_DO_TRYING},
                        },
                    [PROCEEDING] =
                        {
                            [SIP_TX_REQUEST] = {PROCEEDING, R_KEEP, E_KEEP, SIP_TX_DO_RESEND},
                            [SIP_TX_1XX] = {PROCEEDING, R_KEEP, E_KEEP, SIP_TX_DO_SEND},
                            [SIP_TX_2XX] = {ACCEPTED, R_STOP, E_64T1, SIP_TX_DO_SEND},
                            [SIP_TX_FAILURE] = {COMPLETED, R_T1, E_64T1, SIP_TX_DO_SEND},
                        },
                    [ACCEPTED] =
                        {
                            [SIP_TX_REQUEST] = {ACCEPTED, R_KEEP, E_KEEP, 0},
                            [SIP_TX_2XX] = {ACCEPTED, R_KEEP, E_KEEP, SIP_TX_DO_SEND},
                            [SIP_TX_ACK] = {ACCEPTED, R_KEEP, E_KEEP, SIP_TX_DO_PASS},
                            [SIP_TX_EXPIRE] = {TERMINATED, R_STOP, E_STOP, 0},
                        },
                    [COMPLETED] =
                        {
                            [SIP_TX_REQUEST] = {COMPLETED, R_KEEP, E_KEEP, SIP_TX_DO_RESEND},
                            /* A fork's late 2xx goes out even after a failure: RFC 3261 §16.7 item 5. */
                            [SIP_TX_2XX] = {COMPLETED, R_KEEP, E_KEEP, SIP_TX_DO_SEND},
                            [SIP_TX_ACK] = {CONFIRMED, R_STOP, E_T4, 0},
                            [SIP_TX_REPEAT] = {COMPLETED, R_DOUBLE_T2, E_KEEP, SIP_TX_DO_RESEND},
                            [SIP_TX_EXPIRE] = {TERMINATED, R_STOP, E_STOP, SIP_TX_DO_TIMED_OUT},
                        },
                    [CONFIRMED] =
                        {
                            [SIP_TX_REQUEST] = {CONFIRMED, R_KEEP, E_KEEP, 0},
                            [SIP_TX_2XX] = {CONFIRMED, R_KEEP, E_KEEP, SIP_TX_DO_SEND},
                            [SIP_TX_EXPIRE] = {TERMINATED, R_STOP, E_STOP, 0},
                        },
                },
            [SIP_TX_SERVER] =
                {
                    [TRYING] =
                        {
                            [SIP_TX_REQUEST] = {TRYING, R_KEEP, E_KEEP, 0},
                            [SIP_TX_1XX] = {PROCEEDING, R_STOP, E_KEEP, SIP_TX_DO_SEND},
                            [SIP_TX_2XX] = {COMPLETED, R_STOP, E_J, SIP_TX_DO_SEND},
                            [SIP_TX_FAILURE] = {COMPLETED, R_STOP, E_J, SIP_TX_DO_SEND},
                            [SIP_TX_REPEAT] = {TRYING, R_STOP, E_KEEP, SIP_TX_DO_TRYING},
                        },
                    [PROCEEDING] =
                        {
                            [SIP_TX_REQUEST] = {PROCEEDING, R_KEEP, E_KEEP, SIP_TX_DO_RESEND},
                            [SIP_TX_1XX] = {PROCEEDING, R_KEEP, E_KEEP, SIP_TX_DO_SEND},
                            [SIP_TX_2XX] = {COMPLETED, R_STOP, E_J, SIP_TX_DO_SEND},
                            [SIP_TX_FAILURE] = {COMPLETED, R_STOP, E_J, SIP_TX_DO_SEND},
                        },
                    [COMPLETED] =
                        {
                            [SIP_TX_REQUEST] = {COMPLETED, R_KEEP, E_KEEP, SIP_TX_DO_RESEND},
                            [SIP_TX_EXPIRE] = {TERMINATED, R_STOP, E_STOP, 0},
                        },
                },
};

/* ---- tables ---- */

enum err sip_tx_table_init(struct sip_tx_table *t, uint64_t seed, struct mono now)
{
    *t = (struct sip_tx_table){0};
    enum err e = map_init(&t->servers, 256, seed);
    if (e == ERR_OK) e = map_init(&t->clients, 256, seed);
    wheel_init(&t->wheel, now);
    if (e != ERR_OK) sip_tx_table_fini(t);
    return e;
}

void sip_tx_table_fini(struct sip_tx_table *t)
{
    map_fini(&t->servers);
    map_fini(&t->clients);
}

static void tx_init(struct sip_tx *tx, enum sip_tx_kind kind, enum sip_method method, bool reliable)
{
    *tx = (struct sip_tx){.kind = (uint8_t)kind, .method = (uint8_t)method, .reliable = reliable};
    sip_timer_init(&tx->repeat, SIP_TIMER_REPEAT);
    sip_timer_init(&tx->expire, SIP_TIMER_EXPIRE);
}

void sip_timer_init(struct sip_timer *timer, uint8_t id)
{
    wheel_timer_init(&timer->timer);
    timer->id = id;
}

void sip_timer_start(struct sip_tx_table *t, struct sip_timer *timer, struct mono at)
{
    wheel_start(&t->wheel, &timer->timer, at);
}

void sip_timer_stop(struct sip_tx_table *t, struct sip_timer *timer)
{
    wheel_stop(&t->wheel, &timer->timer);
}

/* ---- keys ---- */

struct key {
    size_t n;
    char text[SIP_TX_KEY_MAX];
};

/* The parts one after the other, each with a NUL, which no part can contain; what is longer than a key becomes a
 * digest. */
static enum err key_make(struct key *k, char method, const struct slice *parts, size_t count)
{
    size_t n = 1;
    for (size_t i = 0; i < count; i++)
        n += parts[i].n + 1;
    k->text[0] = method;
    if (n > sizeof k->text) {
        k->n = 1 + HASH_SHA256_LEN;
        return hash_parts(HASH_SHA256, parts, count, (unsigned char *)k->text + 1);
    }
    k->n = 1;
    for (size_t i = 0; i < count; i++) {
        if (parts[i].n > 0) memcpy(k->text + k->n, parts[i].p, parts[i].n);
        k->n += parts[i].n;
        k->text[k->n++] = '\0';
    }
    return ERR_OK;
}

static enum err server_key(const struct sip_view *v, enum sip_method method, struct key *k)
{
    struct slice other = method == SIP_METHOD_OTHER ? v->method_text : SLICE_NONE;
    char port[2] = {(char)(v->via.port >> 8), (char)(v->via.port & 0xff)};
    char number[4] = {(char)(v->cseq >> 24), (char)(v->cseq >> 16 & 0xff), (char)(v->cseq >> 8 & 0xff),
                      (char)(v->cseq & 0xff)};
    struct slice port_part = {port, sizeof port};
    if (slice_starts(v->via.branch, SLICE("z9hG4bK")) && v->via.branch.n > 7) {
        const struct slice parts[] = {v->via.branch, v->via.host, port_part, other};
        return key_make(k, (char)('A' + (int)method), parts, sizeof parts / sizeof parts[0]);
    }
    const struct slice parts[] = {v->via.all, v->call_id, v->from_tag, {number, sizeof number}, other};
    return key_make(k, (char)('a' + (int)method), parts, sizeof parts / sizeof parts[0]);
}

static struct slice key_slice(const struct key *k)
{
    return (struct slice){k->text, k->n};
}

struct sip_tx *sip_tx_find_server(const struct sip_tx_table *t, const struct sip_view *request, enum sip_method method)
{
    struct key k;
    if (method == SIP_ACK) method = SIP_INVITE;
    if (server_key(request, method, &k) != ERR_OK) return NULL;
    struct map_node *n = map_first(&t->servers, map_hash(&t->servers, key_slice(&k)));
    for (; n != NULL; n = map_next(n)) {
        struct sip_tx *tx = CONTAINER_OF(n, struct sip_tx, node);
        if (tx->key_len == k.n && memcmp(tx->key, k.text, k.n) == 0) return tx;
    }
    return NULL;
}

enum err sip_tx_start_server(struct sip_tx_table *t, struct sip_tx *tx, char key[SIP_TX_KEY_MAX],
                             const struct sip_view *request, bool reliable, struct mono now)
{
    struct key k;
    bool invite = request->method == SIP_INVITE;
    enum err e = server_key(request, request->method, &k);
    if (e != ERR_OK) return e;
    tx_init(tx, invite ? SIP_TX_INVITE_SERVER : SIP_TX_SERVER, request->method, reliable);
    memcpy(key, k.text, k.n);
    tx->key = key;
    tx->key_len = (uint8_t)k.n;
    map_insert(&t->servers, &tx->node, map_hash(&t->servers, key_slice(&k)));
    tx->state = SIP_TX_TRYING;
    sip_timer_start(t, &tx->repeat, mono_add_ms(now, invite ? SIP_INVITE_T100_MS : SIP_T100_MS));
    return ERR_OK;
}

/* ---- client side ---- */

#define BRANCH_MAGIC "z9hG4bK"
#define BRANCH_MAGIC_LEN 7

void sip_tx_branch(uint64_t id, uint64_t mark, char out[SIP_TX_BRANCH])
{
    unsigned char bytes[16];
    for (int i = 0; i < 8; i++) {
        bytes[i] = (unsigned char)(id >> (56 - 8 * i));
        bytes[8 + i] = (unsigned char)(mark >> (56 - 8 * i));
    }
    memcpy(out, BRANCH_MAGIC, BRANCH_MAGIC_LEN);
    hex_encode(bytes, 8, out + BRANCH_MAGIC_LEN);
    out[BRANCH_MAGIC_LEN + 16] = '.';
    hex_encode(bytes + 8, 8, out + BRANCH_MAGIC_LEN + 17);
}

/* The id is random already: it is its own hash. */
static struct sip_tx *find_client(const struct sip_tx_table *t, uint64_t id, bool cancel)
{
    struct map_node *n = map_first(&t->clients, id);
    for (; n != NULL; n = map_next(n)) {
        struct sip_tx *tx = CONTAINER_OF(n, struct sip_tx, node);
        if ((tx->method == SIP_CANCEL) == cancel) return tx;
    }
    return NULL;
}

struct sip_tx *sip_tx_find_id(const struct sip_tx_table *t, uint64_t id)
{
    return find_client(t, id, false);
}

bool sip_tx_branch_id(const struct sip_view *response, uint64_t *id)
{
    struct slice b = response->via.branch;
    unsigned char bytes[8];
    if (b.n != SIP_TX_BRANCH - 1 || !slice_starts(b, SLICE(BRANCH_MAGIC))) return false;
    if (hex_decode((struct slice){b.p + BRANCH_MAGIC_LEN, 16}, bytes, 8) != ERR_OK) return false;
    *id = 0;
    for (int i = 0; i < 8; i++)
        *id = *id << 8 | bytes[i];
    return true;
}

struct sip_tx *sip_tx_find_client(const struct sip_tx_table *t, const struct sip_view *response)
{
    uint64_t id = 0;
    if (!sip_tx_branch_id(response, &id)) return NULL;
    struct sip_tx *tx = find_client(t, id, response->method == SIP_CANCEL);
    return tx != NULL && tx->method == response->method ? tx : NULL;
}

void sip_tx_start_client(struct sip_tx_table *t, struct sip_tx *tx, uint64_t id, enum sip_method method, bool reliable,
                         struct mono now)
{
    tx_init(tx, method == SIP_INVITE ? SIP_TX_INVITE_CLIENT : SIP_TX_CLIENT, method, reliable);
    map_insert(&t->clients, &tx->node, id);
    tx->state = SIP_TX_TRYING;
    tx->interval_ms = SIP_T1_MS;
    if (!reliable) sip_timer_start(t, &tx->repeat, mono_add_ms(now, SIP_T1_MS));
    sip_timer_start(t, &tx->expire, mono_add_ms(now, SIP_T64_MS));
}

/* ---- the step ---- */

static void apply_repeat(struct sip_tx_table *t, struct sip_tx *tx, enum repeat_op op, struct mono now)
{
    switch (op) {
    case R_KEEP: return;
    case R_STOP: sip_timer_stop(t, &tx->repeat); return;
    case R_T1: tx->interval_ms = SIP_T1_MS; break;
    case R_DOUBLE: tx->interval_ms *= 2; break;
    case R_DOUBLE_T2: tx->interval_ms = tx->interval_ms * 2 < SIP_T2_MS ? tx->interval_ms * 2 : SIP_T2_MS; break;
    case R_T2: tx->interval_ms = SIP_T2_MS; break;
    }
    if (tx->reliable) {
        sip_timer_stop(t, &tx->repeat); /* it may have run towards a 100 */
    } else {
        sip_timer_start(t, &tx->repeat, mono_add_ms(now, tx->interval_ms));
    }
}

/* False: the timer is zero here, the state is left at once. */
static bool apply_expire(struct sip_tx_table *t, struct sip_tx *tx, enum expire_op op, struct mono now)
{
    uint64_t ms = SIP_T64_MS;
    switch (op) {
    case E_KEEP: return true;
    case E_STOP: sip_timer_stop(t, &tx->expire); return true;
    case E_64T1: break;
    case E_D: ms = tx->reliable ? 0 : SIP_TD_MS; break;
    case E_T4: ms = tx->reliable ? 0 : SIP_T4_MS; break;
    case E_J: ms = tx->reliable ? 0 : SIP_T64_MS; break;
    }
    if (ms == 0) return false;
    sip_timer_start(t, &tx->expire, mono_add_ms(now, ms));
    return true;
}

unsigned sip_tx_step(struct sip_tx_table *t, struct sip_tx *tx, enum sip_tx_event ev, struct mono now)
{
    ASSERT((unsigned)ev < SIP_TX_EVENT_COUNT && tx->kind < SIP_TX_KIND_COUNT && tx->state < SIP_TX_STATE_COUNT);
    const struct move *m = &moves[tx->kind][tx->state][ev];
    unsigned actions = m->actions;
    if (m->next == SIP_TX_NONE) return 0;
    tx->state = m->next;
    apply_repeat(t, tx, (enum repeat_op)m->repeat, now);
    if (!apply_expire(t, tx, (enum expire_op)m->expire, now)) tx->state = SIP_TX_TERMINATED;
    if (tx->state == SIP_TX_TERMINATED) {
        sip_tx_remove(t, tx);
        actions |= SIP_TX_DO_FREE;
    }
    return actions;
}

struct sip_tx *sip_tx_of_timer(struct sip_timer *timer, enum sip_tx_event *ev)
{
    ASSERT(timer->id < SIP_TIMER_OTHER);
    *ev = timer->id == SIP_TIMER_REPEAT ? SIP_TX_REPEAT : SIP_TX_EXPIRE;
    return timer->id == SIP_TIMER_REPEAT ? CONTAINER_OF(timer, struct sip_tx, repeat)
                                         : CONTAINER_OF(timer, struct sip_tx, expire);
}

void sip_tx_quiet(struct sip_tx_table *t, struct sip_tx *tx)
{
    sip_timer_stop(t, &tx->repeat);
}

void sip_tx_remove(struct sip_tx_table *t, struct sip_tx *tx)
{
    bool client = tx->kind == SIP_TX_INVITE_CLIENT || tx->kind == SIP_TX_CLIENT;
    if (tx->state == SIP_TX_NONE) return;
    sip_timer_stop(t, &tx->repeat);
    sip_timer_stop(t, &tx->expire);
    map_remove(client ? &t->clients : &t->servers, &tx->node);
    tx->state = SIP_TX_NONE;
}

const char *sip_tx_state_name(enum sip_tx_state s)
{
    static const char *const names[SIP_TX_STATE_COUNT] = {"none",      "trying",    "proceeding", "accepted",
                                                          "completed", "confirmed", "terminated"};
    return (unsigned)s < SIP_TX_STATE_COUNT ? names[s] : "?";
}
