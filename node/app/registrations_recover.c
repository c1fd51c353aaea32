/* registrations_recover: bindings of an earlier run that this node's disk has lost, and that its peers have given back.
 *
 * A peer knows of a binding what everybody may know: not when it ends. It is taken to have been refreshed a moment ago,
 * so it lives as long as it was ever granted for (its lease): a phone that is there refreshes it in that time, and one
 * that is not is then forgotten. Whoever has registered anew in the meantime knows better: what the peers say of his
 * account adds contacts as long as the account may have more, and replaces none. */
#include "node/app/registrations_entry.h"

#include "proto/plan_codec.h"

#define LEASE_UNKNOWN_S 3600

/* How many contacts the account may have beside those that it has; 0 also when it is not in the plan. */
static size_t room_for(struct node *n, struct slice account)
{
    struct arena arena = {0};
    struct plan_object o;
    size_t have = 0;
    size_t most = 0;
    if (node_read_begin(n) != ERR_OK) return 0;
    if (plan_get(n, &arena, PLAN_ACCOUNT, account, &o) == ERR_OK) most = o.account.max_contacts;
    node_read_end(n);
    for (struct entry *e = entry_first(n->registrations, account); e != NULL; e = entry_next(e))
        have += e->live || e->writing;
    arena_fini(&arena);
    return most > have ? most - have : 0;
}

static void take_back(struct node *n, const struct state_record *record)
{
    struct arena arena = {0};
    struct binding b;
    uint64_t lease_s = LEASE_UNKNOWN_S;
    char key[BINDING_KEY_MAX];
    if (entry_find(n->registrations, record->key) != NULL) return;
    if (binding_unpack(&arena, record->value, &b) == ERR_OK && slice_eq(binding_key(&b, key), record->key) &&
        room_for(n, b.account) > 0) {
        if (b.lease_s > 0 && b.lease_s < lease_s) lease_s = b.lease_s;
        b.call_id = SLICE("");
        b.cseq = 0;
        b.expires.ms = node_wall().ms + (int64_t)lease_s * 1000;
        registrations_write(n, &b, 1, NULL, 0, NULL, NULL);
        n->registrations->taken_back++;
    }
    arena_fini(&arena);
}

/* A later record of the same answer, or of a peer that knew more: it had ended. */
static void take_away(struct node *n, const struct state_record *record)
{
    struct entry *e = entry_find(n->registrations, record->key);
    if (e == NULL || !e->recovered) return;
    if (e->writing) {
        e->lost = true;
    } else {
        entry_end(n->registrations, e);
    }
}

void registrations_found(struct node *n, const struct state_record *records, size_t count)
{
    struct registrations *r = n->registrations;
    r->taken_back = 0;
    for (size_t i = 0; i < count; i++) {
        if (records[i].kind != STATE_BINDING) continue;
        if (records[i].removed) {
            take_away(n, &records[i]);
        } else {
            take_back(n, &records[i]);
        }
    }
    log_event(&n->log, LOG_WARN, "registrar", "taken-back", "records=%zu bindings=%zu", count, r->taken_back);
}
