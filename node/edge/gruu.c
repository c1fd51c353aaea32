#include "node/edge/gruu.h"

#include "node/edge/outbound.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

#define USER_PREFIX "tgruu."
#define NUMBER_LEN 8

uint64_t edge_device_registration(struct slice call_id)
{
    return XXH3_64bits(call_id.p, call_id.n);
}

bool gruu_is_wanted(const struct sip_view *v)
{
    const struct slice gruu = SLICE("gruu");
    return outbound_option(v, SIP_SUPPORTED, gruu) || outbound_option(v, SIP_REQUIRE, gruu);
}

/* ---- writing ---- */

static void add_domain(const struct edge *e, struct buf *out)
{
    struct slice realm = edge_realm(e);
    bool v6 = memchr(realm.p, ':', realm.n) != NULL;
    buf_text(out, v6 ? "@[" : "@");
    buf_slice(out, realm);
    buf_text(out, v6 ? "]" : "");
}

/* The instance without its angle brackets, as the value of a URI parameter (RFC 3261 §25.1, paramchar). */
static void add_instance(struct slice instance, struct buf *out)
{
    static const char plain[] = "-_.!~*'()[]/:&+$";
    for (size_t i = 1; i + 1 < instance.n; i++) {
        char c = instance.p[i];
        bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
        if (letter || memchr(plain, c, sizeof plain - 1) != NULL) {
            buf_add(out, &c, 1);
        } else {
            buf_printf(out, "%%%02X", (unsigned)(unsigned char)c);
        }
    }
}

static void add_public(const struct edge *e, const struct binding *b, struct buf *out)
{
    buf_text(out, ";pub-gruu=\"sip:");
    edge_add_user(out, b->account);
    add_domain(e, out);
    buf_text(out, ";gr=");
    add_instance(b->instance, out);
    buf_text(out, "\"");
}

/* What is under the cloak: the number drawn, the registration's, the account, NUL, the instance. */
static enum err add_temporary(struct edge *e, const struct binding *b, struct buf *out)
{
    uint64_t drawn = random_next(e->random);
    XXH64_canonical_t registration; /* the same bytes on every machine */
    XXH64_canonicalFromHash(&registration, edge_device_registration(b->call_id));
    struct buf text = {0};
    buf_add(&text, &drawn, NUMBER_LEN);
    buf_add(&text, registration.digest, NUMBER_LEN);
    buf_slice(&text, b->account);
    buf_add(&text, "", 1);
    buf_slice(&text, b->instance);
    buf_text(out, ";temp-gruu=\"sip:" USER_PREFIX);
    enum err err = text.failed ? ERR_NOMEM : cloak_put_on(e->device_cloak, buf_view(&text), out);
    buf_fini(&text);
    add_domain(e, out);
    buf_text(out, ";gr\"");
    return err;
}

static bool is_bulk(const struct binding *b)
{
    return memmem(b->contact.p, b->contact.n, ";bnc", 4) != NULL;
}

void gruu_params(struct edge *e, const struct binding *b, struct buf *out)
{
    if (b->instance.n < 3 || is_bulk(b)) return;
    add_public(e, b, out);
    size_t from = out->n;
    if (add_temporary(e, b, out) != ERR_OK) out->n = from;
}

/* ---- reading ---- */

static enum gruu_verdict read_public(struct arena *arena, const struct sip_uri *uri, struct slice gr,
                                     struct slice *account, struct edge_device *device)
{
    *account = arena_copy(arena, uri->number);
    *device = (struct edge_device){.instance = slice_of(arena_printf(arena, "<%.*s>", SLICE_ARG(gr)))};
    return account->p != NULL && device->instance.n > 0 ? GRUU_KNOWN : GRUU_UNKNOWN;
}

/* The two texts and the number under a cloak that was taken off. */
static bool split(struct slice text, struct slice *account, struct edge_device *device)
{
    if (text.n < 2 * NUMBER_LEN) return false;
    XXH64_canonical_t registration;
    memcpy(registration.digest, text.p + NUMBER_LEN, NUMBER_LEN);
    device->registration = XXH64_hashFromCanonical(&registration);
    device->temporary = true;
    device->instance = slice_cut((struct slice){text.p + 2 * NUMBER_LEN, text.n - 2 * NUMBER_LEN}, '\0', account);
    return account->n > 0 && device->instance.n > 2;
}

static enum gruu_verdict read_temporary(struct edge *e, struct arena *arena, const struct sip_uri *uri,
                                        struct slice *account, struct edge_device *device)
{
    struct slice prefix = SLICE(USER_PREFIX);
    struct buf text = {0};
    *device = (struct edge_device){.temporary = true};
    if (!slice_starts(uri->user, prefix)) return GRUU_UNKNOWN;
    struct slice cloak = {uri->user.p + prefix.n, uri->user.n - prefix.n};
    enum err err = cloak_take_off(e->device_cloak, cloak, &text);
    if (err == ERR_AUTH && e->other_device_cloak != NULL) err = cloak_take_off(e->other_device_cloak, cloak, &text);
    struct slice kept = err == ERR_OK ? arena_copy(arena, buf_view(&text)) : SLICE_NONE;
    buf_fini(&text);
    return kept.p != NULL && split(kept, account, device) ? GRUU_KNOWN : GRUU_UNKNOWN;
}

enum gruu_verdict gruu_read(struct edge *e, struct arena *arena, const struct sip_uri *uri, struct slice *account,
                            struct edge_device *device)
{
    struct slice gr = uri->param_count > 0 ? sip_uri_param(uri, "gr") : SLICE_NONE;
    if (gr.p == NULL || !edge_is_ours(e, uri)) return GRUU_NONE;
    if (gr.n > 0) return read_public(arena, uri, gr, account, device);
    return read_temporary(e, arena, uri, account, device);
}
