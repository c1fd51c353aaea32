#include "node/edge/identity.h"

#include "node/plan/pattern.h"

static void remove_all(const struct sip_view *v, enum sip_header id, struct sip_edits *edits)
{
    for (unsigned i = v->first[id]; i != SIP_NO_LINE; i = v->lines[i].next)
        sip_edit_remove_line(edits, i);
}

/* Privacy: id. Its values stand between semicolons (RFC 3323 §4.2). */
static bool wants_privacy(const struct sip_view *v)
{
    for (unsigned i = v->first[SIP_PRIVACY]; i != SIP_NO_LINE; i = v->lines[i].next) {
        struct slice rest = sip_line_value(v, i);
        while (rest.n > 0) {
            struct slice word;
            rest = slice_cut(rest, ';', &word);
            if (slice_eq_nocase(slice_trim(word), SLICE("id"))) return true;
        }
    }
    return false;
}

void identity_edits(const struct sip_view *v, bool from_inside, bool to_inside, struct sip_edits *edits)
{
    bool hide = !to_inside && v->first[SIP_ASSERTED_IDENTITY] != SIP_NO_LINE && wants_privacy(v);
    if (!from_inside || hide) remove_all(v, SIP_ASSERTED_IDENTITY, edits);
    if (!from_inside) remove_all(v, SIP_PREFERRED_IDENTITY, edits); /* a hint to us (RFC 3325 §9.2) */
    if (from_inside && to_inside) return;
    remove_all(v, SIP_DIVERSION, edits);
    remove_all(v, SIP_HISTORY_INFO, edits);
    remove_all(v, SIP_REMOTE_PARTY_ID, edits);
}

bool identity_flow_inside(struct edge *e, const struct flow *flow)
{
    struct edge_source source = {.kind = EDGE_SOURCE_UNKNOWN};
    if (flow->member) return true;
    e->o.hooks.source(e->o.hooks.ctx, &e->scratch, flow, &source);
    return source.kind == EDGE_SOURCE_TRUNK && source.inside;
}

/* ---- an account's own identity ---- */

static bool is_behind(const struct plan_account *a, struct slice number)
{
    if (!number_valid(number)) return false;
    for (size_t i = 0; i < a->number_count; i++) {
        struct pattern p;
        if (pattern_parse(a->numbers[i], &p, NULL) == ERR_OK && pattern_matches(&p, number)) return true;
    }
    return false;
}

static struct slice number_in(struct arena *arena, const struct sip_view *v, enum sip_header id)
{
    struct sip_name_addr addr;
    if (v->first[id] == SIP_NO_LINE || sip_name_addr_parse(arena, sip_view_value(v, id), &addr) != ERR_OK)
        return SLICE("");
    return addr.uri.number;
}

struct slice identity_of_account(struct arena *arena, const struct sip_view *v, const struct plan_account *account)
{
    static const enum sip_header hints[] = {SIP_PREFERRED_IDENTITY, SIP_FROM};
    for (size_t i = 0; account->number_count > 0 && i < 2; i++) {
        struct slice number = number_in(arena, v, hints[i]);
        if (is_behind(account, number)) return arena_copy(arena, number);
    }
    return arena_copy(arena, account->name);
}

void identity_assert(struct edge *e, const struct sip_view *v, struct slice user, bool to_inside)
{
    if (user.n == 0 || (!to_inside && wants_privacy(v))) return;
    buf_text(&e->lines, "P-Asserted-Identity: <sip:");
    edge_add_user(&e->lines, user);
    buf_text(&e->lines, "@");
    buf_slice(&e->lines, edge_realm(e));
    buf_text(&e->lines, ">\r\n");
}
