/* heartbeat: linked peers are told that we are here, what we hold (roots and digest), what we hold of their own log and
 * state, and the news of the members. One heartbeat carries enough to find every kind of difference; nothing else needs
 * a timer of its own.
 *
 * How often: two that observe each other take turns, a second apart, so each hears the other once a second: by its
 * heartbeat, then by its acknowledgement of ours. Other neighbours on the rings are told every 10 s, the rest of a full
 * mesh so rarely that they make one in 5 s together. So the traffic of a node does not grow with the cluster. When our
 * plan or state moves all hear of it within 4 s. At once: when there is news for the neighbours, when a silent one is
 * asked for a sign of life, and to answer that.
 *
 * Notes: those that changed lately; all of them on a new link until one such heartbeat is acknowledged, and again as
 * long as the root over the peer's table of members differs from ours; REPL_NOTES_MAX at a time. */
#include "node/repl/rooms.h"

static bool spoken_of(const struct repl *r, const struct member *m)
{
    return !mono_reached(r->now, m->spoken_until);
}

/* One that is cut off itself does not call the others dead. */
static enum member_status told_status(const struct repl *r, const struct member *m)
{
    return r->members.cut_off && m->status == MEMBER_DEAD ? MEMBER_SUSPECT : m->status;
}

static bool note_self(const struct repl *r, struct member_note *note, struct repl_actions *out)
{
    *note = (struct member_note){.name = r->self,
                                 .incarnation = r->incarnation,
                                 .status = r->self_status,
                                 .mesh_address = arena_copy(&out->arena, slice_of(r->address)),
                                 .site = arena_copy(&out->arena, slice_of(r->site)),
                                 .issued = r->issued,
                                 .barred = r->barred};
    return note->mesh_address.p != NULL && note->site.p != NULL;
}

static bool note_member(const struct repl *r, const struct member *m, struct member_note *note,
                        struct repl_actions *out)
{
    *note = (struct member_note){.name = m->name,
                                 .incarnation = m->incarnation,
                                 .status = told_status(r, m),
                                 .mesh_address = arena_copy(&out->arena, repl_member_text(m->address)),
                                 .site = arena_copy(&out->arena, repl_member_text(m->site)),
                                 .issued = m->issued,
                                 .barred = m->barred};
    return note->mesh_address.p != NULL && note->site.p != NULL;
}

/* ---- news ---- */

static void forget_old_news(struct repl *r)
{
    struct member_list *l = &r->members.news;
    size_t kept = 0;
    for (size_t i = 0; i < l->count; i++) {
        l->items[i]->in_news = spoken_of(r, l->items[i]);
        if (l->items[i]->in_news) l->items[kept++] = l->items[i];
    }
    l->count = kept;
}

static bool build_notes(struct repl *r, struct note_cache *cache, struct repl_actions *out)
{
    const struct member_list *l = &r->members.news;
    forget_old_news(r);
    size_t want = l->count < REPL_NOTES_MAX ? l->count : REPL_NOTES_MAX;
    cache->notes = arena_alloc(&out->arena, (want + 1) * sizeof *cache->notes);
    if (cache->notes == NULL) return false;
    cache->note_count = 0;
    if (!mono_reached(r->now, r->self_spoken_until)) {
        if (!note_self(r, &cache->notes[cache->note_count++], out)) return false;
    }
    for (size_t i = l->count - want; i < l->count; i++) {
        if (!note_member(r, l->items[i], &cache->notes[cache->note_count++], out)) return false;
    }
    return true;
}

static size_t collect_accusations(const struct repl *r, struct repl_accusation *to)
{
    const struct member_list *l = &r->members.doubts;
    size_t count = 0;
    for (size_t i = 0; i < l->count && count < REPL_NOTES_MAX; i++) {
        const struct doubt *d = l->items[i]->doubt;
        for (size_t k = 0; k < d->by_count; k++) {
            if (mono_reached(r->now, d->told_until[k])) continue;
            if (to != NULL) {
                const struct node_name *by = d->by[k] != NULL ? &d->by[k]->name : &r->self;
                to[count] = (struct repl_accusation){l->items[i]->name, l->items[i]->incarnation, *by};
            }
            count++;
        }
    }
    return count;
}

static bool build_news(struct repl *r, struct note_cache *cache, struct repl_actions *out)
{
    if (cache->built) return true;
    if (!build_notes(r, cache, out)) return false;
    cache->accusation_count = collect_accusations(r, NULL);
    cache->accusations = arena_alloc(&out->arena, (cache->accusation_count + 1) * sizeof *cache->accusations);
    if (cache->accusations == NULL) return false;
    (void)collect_accusations(r, cache->accusations);
    cache->built = true;
    return true;
}

/* ---- the whole table, in parts ---- */

/* What it said before our own table had settled is no news of a difference: far neighbours speak seldom. */
static bool tables_differ(const struct repl *r, const struct peer *p)
{
    bool settled = mono_reached(p->member_root_at, mono_add_ms(r->members.changed_at, REPL_NOTES_SETTLE_MS));
    return p->member_root != 0 && settled && p->member_root != repl_member_root(r);
}

static bool add_table(struct repl *r, struct peer *p, struct repl_heartbeat *h, struct repl_actions *out)
{
    const struct members *ms = &r->members;
    size_t want = ms->count < REPL_NOTES_MAX ? ms->count : REPL_NOTES_MAX;
    struct member_note *notes = arena_alloc(&out->arena, (want + 1) * sizeof *notes);
    if (notes == NULL || !note_self(r, &notes[0], out)) return false;
    for (size_t i = 0; i < want; i++) {
        if (!note_member(r, ms->items[(p->notes_from + i) % ms->count], &notes[i + 1], out)) return false;
    }
    if (ms->count > want) p->notes_from = (p->notes_from + want) % ms->count;
    h->notes = notes;
    h->note_count = want + 1;
    return true;
}

/* One that was doubted is told so until it has refuted it. */
static bool add_doubted(struct repl *r, const struct member *m, struct repl_heartbeat *h, struct repl_actions *out)
{
    if (!m->peer->doubted) return true;
    struct repl_accusation *list = arena_alloc(&out->arena, (h->accusation_count + 1) * sizeof *list);
    if (list == NULL) return false;
    if (h->accusation_count > 0) memcpy(list, h->accusations, h->accusation_count * sizeof *list);
    list[h->accusation_count++] = (struct repl_accusation){m->name, m->peer->doubted_incarnation, r->self};
    h->accusations = list;
    return true;
}

/* ---- sending ---- */

static struct vector_entry held_of(const struct repl_vector *v, const struct node_name *name)
{
    const struct vector_entry *e = repl_vector_newest(v, name);
    return e != NULL ? *e : (struct vector_entry){.origin = *name};
}

static uint64_t root_part(const struct repl *r)
{
    return r->changes.have.lane[0] + r->states.have.lane[0];
}

/* A tenth more or less, so that nodes do not march in step. */
static uint64_t about(struct repl *r, uint64_t ms)
{
    return ms - ms / 10 + rng_below(&r->rng, ms / 5 + 1);
}

static uint64_t interval_ms(struct repl *r, const struct peer *p)
{
    uint64_t far_ms = r->members.far_count * REPL_HEARTBEAT_FAR_MS;
    if (p->observed) return about(r, REPL_HEARTBEAT_MS);
    return about(r, !p->ring && far_ms > REPL_HEARTBEAT_RING_MS ? far_ms : REPL_HEARTBEAT_RING_MS);
}

static bool fill(struct repl *r, struct member *m, struct note_cache *cache, struct repl_heartbeat *h,
                 struct repl_actions *out)
{
    struct peer *p = m->peer;
    if (!build_news(r, cache, out)) return false;
    h->incarnation = r->incarnation;
    h->time = repl_clock_read(&r->clock, r->wall);
    memcpy(h->plan_digest, r->plan_digest, sizeof h->plan_digest);
    repl_vector_root(&r->changes.have, h->plan_root);
    repl_vector_root(&r->states.have, h->state_root);
    h->totals = (struct repl_totals){true, r->changes.have.total};
    h->member_root = repl_member_root(r);
    h->your_plan = held_of(&r->changes.have, &m->name);
    bool settled = !repl_changes_unsettled(r, m) && !repl_state_unsettled(r, m) && !repl_fetch_unsettled(r, m);
    if (!settled) h->your_plan = (struct vector_entry){.origin = m->name, .epoch = 1};
    h->your_state = held_of(&r->states.have, &m->name);
    h->accusations = cache->accusations;
    h->accusation_count = cache->accusation_count;
    h->notes = cache->notes;
    h->note_count = cache->note_count;
    h->answer = p->recheck || (p->observed && m->status != MEMBER_DEAD &&
                               mono_reached(r->now, mono_add_ms(p->silent_from, REPL_PROBE_AFTER_MS)));
    if ((p->notes_all || tables_differ(r, p)) && !add_table(r, p, h, out)) return false;
    if (!repl_floor_tell(r, p, h, out)) return false;
    return add_doubted(r, m, h, out);
}

bool repl_heartbeat_send(struct repl *r, struct member *m, struct note_cache *cache, struct repl_actions *out)
{
    struct peer *p = m->peer;
    struct repl_heartbeat h = {0};
    struct repl_action *a =
        fill(r, m, cache, &h, out) ? repl_send_add(r, out, m, REPL_HEARTBEAT, TOKEN_HEARTBEAT, NULL) : NULL;
    if (a == NULL) return false;
    a->message.heartbeat = h;
    if (p->notes_all) p->notes_token = a->token;
    if (h.answer) repl_count(r, REPL_COUNT_probes_sent, 1);
    p->heartbeat_token = a->token;
    repl_floor_told(r, p, &h, a->token);
    p->heartbeat_at = p->heartbeat_turn = mono_add_ms(r->now, interval_ms(r, p));
    if (h.answer) p->heartbeat_at = mono_min(p->heartbeat_at, mono_add_ms(r->now, REPL_PROBE_MS));
    p->told_root = root_part(r);
    return true;
}

void repl_heartbeat_hasten(struct repl *r, struct peer *p)
{
    if (p->told_root == root_part(r)) return;
    p->heartbeat_at = mono_min(p->heartbeat_at, mono_add_ms(r->now, REPL_HEARTBEAT_NEWS_MS));
}

/* The one of the lesser name beats; the other answers in the middle between two beats, unless it has a reason to speak
 * before. Were both to follow the other, they would speak at once for ever. */
static void take_turns(struct repl *r, struct member *m)
{
    struct peer *p = m->peer;
    bool hurried = p->heartbeat_at.us != p->heartbeat_turn.us;
    if (!p->observed || hurried || memcmp(&r->self, &m->name, sizeof r->self) < 0) return;
    p->heartbeat_at = p->heartbeat_turn = mono_add_ms(r->now, REPL_HEARTBEAT_MS / 2);
}

void repl_heartbeat_pass_on(struct repl *r, const struct node_name *owner)
{
    const struct member *o = repl_member_find(r, owner);
    if (o == NULL || repl_dialled(r, o)) return;
    for (size_t i = 0; i < r->members.peers.count; i++) {
        const struct member *m = r->members.peers.items[i];
        if (m == o || !m->peer->linked || repl_dialled(r, m)) continue;
        m->peer->heartbeat_at = mono_min(m->peer->heartbeat_at, mono_add_ms(r->now, REPL_STATE_BATCH_MS));
    }
    r->scan = true;
}

void repl_heartbeat_all_now(struct repl *r)
{
    for (size_t i = 0; i < r->members.peers.count; i++)
        r->members.peers.items[i]->peer->heartbeat_at = r->now;
    r->scan = true;
}

/* ---- taking ---- */

/* Messages may come in another order than they were sent, even those of an earlier life behind those of the next. A
 * clock that was set back, or a disk that was, says the same: so the peer is asked once more, and what it said before
 * is believed for a moment only. */
static bool overtaken(const struct peer *p, const struct repl_heartbeat *h)
{
    if (!p->roots_known || h->incarnation > p->beat_incarnation) return false;
    return h->incarnation < p->beat_incarnation || h->time.v < p->beat_time.v;
}

static void take_roots(struct repl *r, struct peer *p, const struct repl_heartbeat *h)
{
    struct mono doubtful = mono_add_ms(p->member_root_at, REPL_OVERTAKEN_MS);
    p->recheck = overtaken(p, h);
    if (p->recheck) {
        p->heartbeat_at = mono_min(p->heartbeat_at, mono_reached(r->now, doubtful) ? r->now : doubtful);
        if (!mono_reached(r->now, doubtful)) return;
    }
    p->beat_incarnation = h->incarnation;
    p->beat_time = h->time;
    memcpy(p->plan_digest, h->plan_digest, sizeof p->plan_digest);
    memcpy(p->plan_root, h->plan_root, sizeof p->plan_root);
    memcpy(p->state_root, h->state_root, sizeof p->state_root);
    p->roots_known = p->digest_known = true;
    p->member_root = h->member_root;
    p->member_root_at = r->now;
}

enum err repl_heartbeat_take(struct repl *r, struct member *m, const struct repl_heartbeat *h)
{
    if (!repl_clock_follow(&r->clock, h->time, r->wall)) {
        repl_alarm(r, ALARM_FUTURE, "the clock of %s is more than %d s ahead of ours; compare both with a time server",
                   m->name.s, REPL_FUTURE_MS / 1000);
    }
    take_roots(r, m->peer, h);
    if (h->your_plan.epoch == 0 || h->your_plan.high > 0) m->peer->spoken = true;
    repl_floor_heard(r, m, h);
    r->joins = false; /* now that the clock and the floor of a member are known */
    take_turns(r, m);
    if (h->answer) {
        struct mono again = mono_add_ms(m->peer->answered_at, REPL_ANSWER_MS);
        m->peer->answered_at = mono_reached(r->now, again) ? r->now : again;
        m->peer->heartbeat_at = mono_min(m->peer->heartbeat_at, m->peer->answered_at);
    }
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
    repl_sync_totals(r, m, h);
    if (!repl_in_step(r, m)) repl_sync_want(r, m, true);

    for (size_t i = 0; i < h->note_count; i++) {
        enum err e = repl_member_note(r, &h->notes[i]);
        /* Too many members is no reason to be deaf to those that we have. */
        if (e != ERR_OK && e != ERR_LIMIT) return e;
    }
    for (size_t i = 0; i < h->accusation_count; i++) {
        enum err e = repl_observe_take(r, &h->accusations[i]);
        if (e != ERR_OK) return e;
    }
    return ERR_OK;
}
