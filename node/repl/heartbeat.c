/* heartbeat: once a second each linked peer is told that we are here, what we hold (roots and digest), what we hold of
 * its own log and state, and what we know of the members. One heartbeat carries enough to find every kind of
 * difference; nothing else needs a timer of its own.
 *
 * Notes: our own always; others for REPL_NOTE_MS after they changed; all of them on a new link until one such heartbeat
 * is acknowledged, so that two parts of a cluster that meet again agree whatever happened apart. */
#include "node/repl/core.h"

static bool spoken_of(const struct repl *r, const struct member *m)
{
    return !mono_reached(r->now, m->spoken_until);
}

/* One that is cut off itself does not call the others dead. */
static enum member_status told_status(const struct member *m, bool isolated)
{
    if (isolated && m->status == MEMBER_DEAD) return MEMBER_SUSPECT;
    return m->status;
}

static bool copy_note(struct repl_actions *out, struct member_note *note, const struct node_name *name,
                      const char *address, const char *site)
{
    note->name = *name;
    note->mesh_address = arena_copy(&out->arena, slice_of(address));
    note->site = arena_copy(&out->arena, slice_of(site));
    return note->mesh_address.p != NULL && note->site.p != NULL;
}

static bool build_notes(const struct repl *r, bool all, struct note_list *list, struct repl_actions *out)
{
    if (list->items != NULL) return true;
    bool isolated = repl_isolated(r);
    size_t want = 1;
    for (size_t i = 0; i < r->members.count; i++)
        want += all || spoken_of(r, r->members.items[i]) ? 1 : 0;
    struct member_note *items = arena_alloc(&out->arena, want * sizeof *items);
    if (items == NULL || !copy_note(out, &items[0], &r->self, r->address, r->site)) return false;
    items[0].incarnation = r->incarnation;
    items[0].status = r->self_status;
    size_t count = 1;
    for (size_t i = 0; i < r->members.count; i++) {
        const struct member *m = r->members.items[i];
        if (!all && !spoken_of(r, m)) continue;
        struct member_note *note = &items[count++];
        if (!copy_note(out, note, &m->name, m->address, m->site)) return false;
        note->incarnation = m->incarnation;
        note->status = told_status(m, isolated);
    }
    *list = (struct note_list){items, count};
    return true;
}

static struct vector_entry held_of(const struct repl_vector *v, const struct node_name *name)
{
    const struct vector_entry *e = repl_vector_newest(v, name);
    return e != NULL ? *e : (struct vector_entry){.origin = *name};
}

bool repl_heartbeat_send(struct repl *r, struct member *m, struct note_cache *cache, struct repl_actions *out)
{
    struct note_list *notes = m->notes_all ? &cache->all : &cache->recent;
    if (!build_notes(r, m->notes_all, notes, out)) return false;
    struct repl_action *a = repl_send_add(r, out, m, REPL_HEARTBEAT, TOKEN_HEARTBEAT, NULL);
    if (a == NULL) return false;
    struct repl_heartbeat *h = &a->message.heartbeat;
    h->incarnation = r->incarnation;
    h->time = repl_clock_read(&r->clock, r->wall);
    memcpy(h->plan_digest, r->plan_digest, sizeof h->plan_digest);
    repl_vector_root(&r->changes.have, h->plan_root);
    repl_vector_root(&r->states.have, h->state_root);
    h->notes = notes->items;
    h->note_count = notes->count;
    h->your_plan = held_of(&r->changes.have, &m->name);
    h->your_state = held_of(&r->states.have, &m->name);
    if (m->notes_all) m->notes_token = a->token;
    m->heartbeat_token = a->token;
    uint64_t jitter = rng_below(&r->rng, 2 * REPL_HEARTBEAT_JITTER_MS + 1);
    m->heartbeat_at = mono_add_ms(r->now, REPL_HEARTBEAT_MS - REPL_HEARTBEAT_JITTER_MS + jitter);
    return true;
}

void repl_heartbeat_all_now(struct repl *r)
{
    for (size_t i = 0; i < r->members.count; i++)
        r->members.items[i]->heartbeat_at = r->now;
    r->scan = true;
}

enum err repl_heartbeat_take(struct repl *r, struct member *m, const struct repl_heartbeat *h)
{
    if (!repl_clock_follow(&r->clock, h->time, r->wall)) {
        repl_alarm(r, ALARM_FUTURE, "the clock of %s is more than %d s ahead of ours; compare both with a time server",
                   m->name.s, REPL_FUTURE_MS / 1000);
    }
    memcpy(m->plan_digest, h->plan_digest, sizeof m->plan_digest);
    memcpy(m->plan_root, h->plan_root, sizeof m->plan_root);
    memcpy(m->state_root, h->state_root, sizeof m->state_root);
    m->roots_known = m->digest_known = true;
    r->scan = true;

    repl_sync_own_log(r, h->your_plan.epoch, h->your_plan.high);
    repl_sync_own_state(r, h->your_state.epoch, h->your_state.high);
    repl_changes_receipt(r, m, h->your_plan.epoch, h->your_plan.high);
    unsigned char root[REPL_ROOT_LEN];
    repl_vector_root(&r->changes.have, root);
    if (memcmp(root, h->plan_root, sizeof root) == 0) {
        uint64_t high = repl_vector_get(&r->changes.have, &r->self, r->changes.epoch);
        repl_changes_receipt(r, m, r->changes.epoch, high);
    }
    if (!repl_in_step(r, m)) repl_sync_want(r, m, true);

    for (size_t i = 0; i < h->note_count; i++) {
        enum err e = repl_member_note(r, &h->notes[i]);
        /* Too many members is no reason to be deaf to those that we have. */
        if (e != ERR_OK && e != ERR_LIMIT) return e;
    }
    return ERR_OK;
}
