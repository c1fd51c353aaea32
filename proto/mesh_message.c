/* See mesh_message.h. Bounds: LIMIT_MEMBERS notes, MESH_ACCUSATIONS_MAX accusations, MESH_VECTOR_MAX entries of a
 * vector, MESH_ITEMS_MAX change-sets and records; inside those what plan_codec.h checks. */
#include "proto/mesh_message.h"

#include "proto/plan_codec.h"

#define DIGEST_LEN 32

/* An address or site as others show it: printable ASCII without spaces, so that it cannot break a table or a log line.
 */
static bool plain_text(struct slice s, size_t max)
{
    if (s.n > max) return false;
    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] <= 0x20 || s.p[i] >= 0x7f) return false;
    }
    return true;
}

/* ---- pack ---- */

enum err mesh_vector_to_proto(const struct vector_entry *v, size_t count, struct arena *scratch,
                              Tandem__Mesh__VectorEntry ***out, size_t *n_out)
{
    if (count > MESH_VECTOR_MAX) return ERR_LIMIT;
    Tandem__Mesh__VectorEntry *items = arena_alloc(scratch, count * sizeof *items);
    Tandem__Mesh__VectorEntry **list = arena_alloc(scratch, count * sizeof *list);
    if (items == NULL || list == NULL) return ERR_NOMEM;
    for (size_t i = 0; i < count; i++) {
        items[i] = (Tandem__Mesh__VectorEntry)TANDEM__MESH__VECTOR_ENTRY__INIT;
        items[i].origin = mesh_bytes(node_name_slice(&v[i].origin));
        items[i].epoch = v[i].epoch;
        items[i].high = v[i].high;
        list[i] = &items[i];
    }
    *out = list;
    *n_out = count;
    return ERR_OK;
}

static enum err accusations_to_proto(const struct repl_heartbeat *h, struct arena *scratch, Tandem__Mesh__Heartbeat *p)
{
    if (h->accusation_count > MESH_ACCUSATIONS_MAX) return ERR_LIMIT;
    Tandem__Mesh__Accusation *items = arena_alloc(scratch, h->accusation_count * sizeof *items);
    Tandem__Mesh__Accusation **list = arena_alloc(scratch, h->accusation_count * sizeof *list);
    if (items == NULL || list == NULL) return ERR_NOMEM;
    for (size_t i = 0; i < h->accusation_count; i++) {
        items[i] = (Tandem__Mesh__Accusation)TANDEM__MESH__ACCUSATION__INIT;
        items[i].name = mesh_bytes(node_name_slice(&h->accusations[i].name));
        items[i].incarnation = h->accusations[i].incarnation;
        items[i].by = mesh_bytes(node_name_slice(&h->accusations[i].by));
        list[i] = &items[i];
    }
    p->accusations = list;
    p->n_accusations = h->accusation_count;
    return ERR_OK;
}

static enum err heartbeat_to_proto(const struct repl_heartbeat *h, struct arena *scratch, Tandem__Mesh__Frame *out)
{
    if (h->note_count > LIMIT_MEMBERS) return ERR_LIMIT;
    Tandem__Mesh__Heartbeat *p = arena_alloc(scratch, sizeof *p);
    Tandem__Mesh__MemberNote *items = arena_alloc(scratch, h->note_count * sizeof *items);
    Tandem__Mesh__MemberNote **list = arena_alloc(scratch, h->note_count * sizeof *list);
    Tandem__Mesh__VectorEntry *your = arena_alloc(scratch, 2 * sizeof *your);
    if (p == NULL || items == NULL || list == NULL || your == NULL) return ERR_NOMEM;
    *p = (Tandem__Mesh__Heartbeat)TANDEM__MESH__HEARTBEAT__INIT;
    p->incarnation = h->incarnation;
    p->time = h->time.v;
    p->plan_digest = (ProtobufCBinaryData){DIGEST_LEN, (uint8_t *)(uintptr_t)h->plan_digest};
    p->plan_root = (ProtobufCBinaryData){DIGEST_LEN, (uint8_t *)(uintptr_t)h->plan_root};
    p->state_root = (ProtobufCBinaryData){DIGEST_LEN, (uint8_t *)(uintptr_t)h->state_root};
    your[0] = your[1] = (Tandem__Mesh__VectorEntry)TANDEM__MESH__VECTOR_ENTRY__INIT;
    your[0].epoch = h->your_plan.epoch;
    your[0].high = h->your_plan.high;
    your[1].epoch = h->your_state.epoch;
    your[1].high = h->your_state.high;
    p->your_plan = &your[0];
    p->your_state = &your[1];
    for (size_t i = 0; i < h->note_count; i++) {
        const struct member_note *n = &h->notes[i];
        if (!plain_text(n->mesh_address, LIMIT_URI) || !plain_text(n->site, LIMIT_NAME)) return ERR_LIMIT;
        items[i] = (Tandem__Mesh__MemberNote)TANDEM__MESH__MEMBER_NOTE__INIT;
        items[i].name = mesh_bytes(node_name_slice(&n->name));
        items[i].incarnation = n->incarnation;
        items[i].status = (uint32_t)n->status;
        items[i].mesh_address = mesh_bytes(n->mesh_address);
        items[i].site = mesh_bytes(n->site);
        items[i].issued = n->issued;
        items[i].barred = n->barred;
        list[i] = &items[i];
    }
    p->notes = list;
    p->n_notes = h->note_count;
    p->member_root = h->member_root;
    p->answer = h->answer;
    p->floor = h->floor.v;
    p->step_key = h->step_key;
    p->steps = mesh_bytes(h->steps);
    if (h->steps.n > MESH_STEPS_MAX) return ERR_LIMIT;
    if (h->totals.known) {
        p->totals = arena_alloc(scratch, sizeof *p->totals);
        if (p->totals == NULL) return ERR_NOMEM;
        *p->totals = (Tandem__Mesh__Totals)TANDEM__MESH__TOTALS__INIT;
        p->totals->plan = h->totals.plan;
    }
    enum err err = accusations_to_proto(h, scratch, p);
    if (err != ERR_OK) return err;
    out->body_case = TANDEM__MESH__FRAME__BODY_HEARTBEAT;
    out->heartbeat = p;
    return ERR_OK;
}

enum err mesh_change_bytes(const struct changeset *c, struct arena *scratch, ProtobufCBinaryData *out)
{
    struct buf made = {0};
    enum err err = ERR_OK;
    struct slice packed = c->packed;
    if (packed.n == 0) {
        err = changeset_pack(c, &made);
        if (err == ERR_OK) {
            packed = arena_copy(scratch, buf_view(&made));
            if (packed.p == NULL) err = ERR_NOMEM;
        }
        buf_fini(&made);
    }
    if (err == ERR_OK) *out = mesh_bytes(packed);
    return err;
}

static enum err record_bytes(const struct state_record *r, struct buf *made, struct arena *scratch,
                             ProtobufCBinaryData *out)
{
    if (r->key.n > MESH_STATE_KEY_MAX || r->value.n > LIMIT_OBJECT) return ERR_LIMIT;
    buf_reset(made);
    enum err err = state_record_pack(r, made);
    if (err != ERR_OK) return err;
    struct slice packed = arena_copy(scratch, buf_view(made));
    if (packed.p == NULL) return ERR_NOMEM;
    *out = mesh_bytes(packed);
    return ERR_OK;
}

static enum err push_to_proto(const struct repl_push *m, struct arena *scratch, Tandem__Mesh__Frame *out)
{
    struct buf made = {0};
    if (m->change_count > MESH_ITEMS_MAX || m->record_count > MESH_ITEMS_MAX) return ERR_LIMIT;
    Tandem__Mesh__Push *p = arena_alloc(scratch, sizeof *p);
    ProtobufCBinaryData *changes = arena_alloc(scratch, m->change_count * sizeof *changes);
    ProtobufCBinaryData *records = arena_alloc(scratch, m->record_count * sizeof *records);
    if (p == NULL || changes == NULL || records == NULL) return ERR_NOMEM;
    *p = (Tandem__Mesh__Push)TANDEM__MESH__PUSH__INIT;
    enum err err = mesh_vector_to_proto(m->state_upto, m->state_upto_count, scratch, &p->state_upto, &p->n_state_upto);
    for (size_t i = 0; err == ERR_OK && i < m->change_count; i++)
        err = mesh_change_bytes(&m->changes[i], scratch, &changes[i]);
    for (size_t i = 0; err == ERR_OK && i < m->record_count; i++)
        err = record_bytes(&m->records[i], &made, scratch, &records[i]);
    buf_fini(&made);
    if (err == ERR_OK) err = mesh_vector_to_proto(m->cut, m->cut_count, scratch, &p->cut, &p->n_cut);
    if (err != ERR_OK) return err;
    p->floor = m->floor.v;
    p->trimmed = m->trimmed;
    p->changes = changes;
    p->n_changes = m->change_count;
    p->records = records;
    p->n_records = m->record_count;
    p->more = m->more;
    p->answer = m->answer;
    p->state_after = m->state_after;
    out->body_case = TANDEM__MESH__FRAME__BODY_PUSH;
    out->push = p;
    return ERR_OK;
}

static enum err want_to_proto(const struct repl_want *m, struct arena *scratch, Tandem__Mesh__Frame *out)
{
    Tandem__Mesh__Want *p = arena_alloc(scratch, sizeof *p);
    if (p == NULL) return ERR_NOMEM;
    *p = (Tandem__Mesh__Want)TANDEM__MESH__WANT__INIT;
    enum err err = mesh_vector_to_proto(m->plan, m->plan_count, scratch, &p->plan, &p->n_plan);
    if (err == ERR_OK) err = mesh_vector_to_proto(m->state, m->state_count, scratch, &p->state, &p->n_state);
    if (err != ERR_OK) return err;
    p->floor = m->floor.v;
    out->body_case = TANDEM__MESH__FRAME__BODY_WANT;
    out->want = p;
    return ERR_OK;
}

static enum err receipt_to_proto(const struct repl_receipt *m, struct arena *scratch, Tandem__Mesh__Frame *out)
{
    if (m->id_count > MESH_ITEMS_MAX) return ERR_LIMIT;
    Tandem__Mesh__Receipt *p = arena_alloc(scratch, sizeof *p);
    Tandem__Mesh__LogId *items = arena_alloc(scratch, m->id_count * sizeof *items);
    Tandem__Mesh__LogId **list = arena_alloc(scratch, m->id_count * sizeof *list);
    if (p == NULL || items == NULL || list == NULL) return ERR_NOMEM;
    for (size_t i = 0; i < m->id_count; i++) {
        items[i] = (Tandem__Mesh__LogId)TANDEM__MESH__LOG_ID__INIT;
        items[i].origin = mesh_bytes(node_name_slice(&m->ids[i].origin));
        items[i].epoch = m->ids[i].epoch;
        items[i].seq = m->ids[i].seq;
        list[i] = &items[i];
    }
    *p = (Tandem__Mesh__Receipt)TANDEM__MESH__RECEIPT__INIT;
    p->ids = list;
    p->n_ids = m->id_count;
    out->body_case = TANDEM__MESH__FRAME__BODY_RECEIPT;
    p->by = mesh_bytes(node_name_slice(&m->by));
    out->receipt = p;
    return ERR_OK;
}

enum err mesh_message_to_proto(const struct repl_message *m, struct arena *scratch, Tandem__Mesh__Frame *out)
{
    switch (m->type) {
    case REPL_HEARTBEAT: return heartbeat_to_proto(&m->heartbeat, scratch, out);
    case REPL_PUSH: return push_to_proto(&m->push, scratch, out);
    case REPL_WANT: return want_to_proto(&m->want, scratch, out);
    case REPL_RECEIPT: return receipt_to_proto(&m->receipt, scratch, out);
    case REPL_FETCH: return mesh_fetch_to_proto(&m->fetch, scratch, out);
    case REPL_SNAPSHOT: return mesh_snapshot_to_proto(&m->snapshot, scratch, out);
    case REPL_TYPE_COUNT: break;
    }
    return ERR_SYNTAX;
}

/* ---- unpack ---- */

enum err mesh_take_name(ProtobufCBinaryData b, struct node_name *name, struct err_info *info)
{
    if (!mesh_token_valid(mesh_slice(b)) || node_name_set(name, mesh_slice(b)) != ERR_OK)
        return err_fail(info, ERR_SYNTAX, "mesh message: not a node name");
    return ERR_OK;
}

enum err mesh_take_vector(Tandem__Mesh__VectorEntry *const *list, size_t count, struct arena *arena,
                          const struct vector_entry **out, size_t *count_out, struct err_info *info)
{
    if (count > MESH_VECTOR_MAX) return err_fail(info, ERR_LIMIT, "mesh message: a vector of %zu entries", count);
    struct vector_entry *v = arena_alloc(arena, count * sizeof *v);
    if (v == NULL) return ERR_NOMEM;
    for (size_t i = 0; i < count; i++) {
        enum err err = mesh_take_name(list[i]->origin, &v[i].origin, info);
        if (err != ERR_OK) return err;
        v[i].epoch = list[i]->epoch;
        v[i].high = list[i]->high;
    }
    *out = v;
    *count_out = count;
    return ERR_OK;
}

static enum err take_digest(ProtobufCBinaryData b, unsigned char out[DIGEST_LEN], struct err_info *info)
{
    if (b.len != DIGEST_LEN) return err_fail(info, ERR_SYNTAX, "mesh message: a digest of %zu bytes", b.len);
    memcpy(out, b.data, DIGEST_LEN);
    return ERR_OK;
}

static enum err take_note(const Tandem__Mesh__MemberNote *p, struct member_note *n, struct err_info *info)
{
    enum err err = mesh_take_name(p->name, &n->name, info);
    if (err != ERR_OK) return err;
    if (p->status < MEMBER_ALIVE || p->status > MEMBER_EVICTED)
        return err_fail(info, ERR_SYNTAX, "mesh message: member status %u", p->status);
    n->incarnation = p->incarnation;
    n->status = (enum member_status)p->status;
    n->mesh_address = mesh_slice(p->mesh_address);
    n->site = mesh_slice(p->site);
    n->issued = p->issued;
    n->barred = p->barred;
    if (!plain_text(n->mesh_address, LIMIT_URI) || !plain_text(n->site, LIMIT_NAME))
        return err_fail(info, ERR_SYNTAX, "mesh message: address or site of %s is not printable or too long",
                        n->name.s);
    return ERR_OK;
}

static enum err take_accusations(const Tandem__Mesh__Heartbeat *p, struct arena *arena, struct repl_heartbeat *h,
                                 struct err_info *info)
{
    if (p->n_accusations > MESH_ACCUSATIONS_MAX)
        return err_fail(info, ERR_LIMIT, "mesh message: %zu accusations", p->n_accusations);
    struct repl_accusation *items = arena_alloc(arena, p->n_accusations * sizeof *items);
    if (items == NULL) return ERR_NOMEM;
    for (size_t i = 0; i < p->n_accusations; i++) {
        enum err err = mesh_take_name(p->accusations[i]->name, &items[i].name, info);
        if (err == ERR_OK) err = mesh_take_name(p->accusations[i]->by, &items[i].by, info);
        if (err != ERR_OK) return err;
        items[i].incarnation = p->accusations[i]->incarnation;
    }
    h->accusations = items;
    h->accusation_count = p->n_accusations;
    return ERR_OK;
}

static enum err take_heartbeat(const Tandem__Mesh__Heartbeat *p, struct arena *arena, struct repl_heartbeat *h,
                               struct err_info *info)
{
    if (p->n_notes > LIMIT_MEMBERS) return err_fail(info, ERR_LIMIT, "mesh message: %zu member notes", p->n_notes);
    h->incarnation = p->incarnation;
    h->time.v = p->time;
    if (p->your_plan != NULL)
        h->your_plan = (struct vector_entry){.epoch = p->your_plan->epoch, .high = p->your_plan->high};
    if (p->your_state != NULL)
        h->your_state = (struct vector_entry){.epoch = p->your_state->epoch, .high = p->your_state->high};
    enum err err = take_digest(p->plan_digest, h->plan_digest, info);
    if (err == ERR_OK) err = take_digest(p->plan_root, h->plan_root, info);
    if (err == ERR_OK) err = take_digest(p->state_root, h->state_root, info);
    if (err == ERR_OK) err = take_accusations(p, arena, h, info);
    if (err != ERR_OK) return err;
    if (p->totals != NULL) h->totals = (struct repl_totals){true, p->totals->plan};
    h->member_root = p->member_root;
    h->answer = p->answer;
    h->floor.v = p->floor;
    h->step_key = p->step_key;
    h->steps = mesh_slice(p->steps);
    if (h->steps.n > MESH_STEPS_MAX) return err_fail(info, ERR_LIMIT, "mesh message: %zu bytes of steps", h->steps.n);
    struct member_note *notes = arena_alloc(arena, p->n_notes * sizeof *notes);
    if (notes == NULL) return ERR_NOMEM;
    for (size_t i = 0; err == ERR_OK && i < p->n_notes; i++)
        err = take_note(p->notes[i], &notes[i], info);
    h->notes = notes;
    h->note_count = p->n_notes;
    return err;
}

static enum err take_push(const Tandem__Mesh__Push *p, struct arena *arena, struct repl_push *m, struct err_info *info)
{
    if (p->n_changes > MESH_ITEMS_MAX || p->n_records > MESH_ITEMS_MAX)
        return err_fail(info, ERR_LIMIT, "mesh message: a push of %zu change-sets and %zu records", p->n_changes,
                        p->n_records);
    struct changeset *changes = arena_alloc(arena, p->n_changes * sizeof *changes);
    struct state_record *records = arena_alloc(arena, p->n_records * sizeof *records);
    if (changes == NULL || records == NULL) return ERR_NOMEM;
    enum err err = mesh_take_vector(p->state_upto, p->n_state_upto, arena, &m->state_upto, &m->state_upto_count, info);
    for (size_t i = 0; err == ERR_OK && i < p->n_changes; i++)
        err = changeset_unpack(arena, mesh_slice(p->changes[i]), &changes[i], info);
    for (size_t i = 0; err == ERR_OK && i < p->n_records; i++)
        err = state_record_unpack(arena, mesh_slice(p->records[i]), &records[i], info);
    m->changes = changes;
    m->change_count = p->n_changes;
    m->records = records;
    m->record_count = p->n_records;
    m->more = p->more;
    m->answer = p->answer;
    m->state_after = p->state_after;
    m->floor.v = p->floor;
    m->trimmed = p->trimmed;
    return err == ERR_OK ? mesh_take_vector(p->cut, p->n_cut, arena, &m->cut, &m->cut_count, info) : err;
}

static enum err take_want(const Tandem__Mesh__Want *p, struct arena *arena, struct repl_want *m, struct err_info *info)
{
    m->floor.v = p->floor;
    enum err err = mesh_take_vector(p->plan, p->n_plan, arena, &m->plan, &m->plan_count, info);
    if (err == ERR_OK) err = mesh_take_vector(p->state, p->n_state, arena, &m->state, &m->state_count, info);
    return err;
}

static enum err take_receipt(const Tandem__Mesh__Receipt *p, struct arena *arena, struct repl_receipt *m,
                             struct err_info *info)
{
    if (p->n_ids > MESH_ITEMS_MAX)
        return err_fail(info, ERR_LIMIT, "mesh message: a receipt of %zu positions", p->n_ids);
    struct log_id *ids = arena_alloc(arena, p->n_ids * sizeof *ids);
    if (ids == NULL) return ERR_NOMEM;
    for (size_t i = 0; i < p->n_ids; i++) {
        enum err err = mesh_take_name(p->ids[i]->origin, &ids[i].origin, info);
        if (err != ERR_OK) return err;
        ids[i].epoch = p->ids[i]->epoch;
        ids[i].seq = p->ids[i]->seq;
    }
    m->ids = ids;
    m->id_count = p->n_ids;
    if (p->by.len > 0) return mesh_take_name(p->by, &m->by, info);
    return ERR_OK;
}

enum err mesh_message_from_proto(const Tandem__Mesh__Frame *p, struct arena *arena, struct repl_message *m,
                                 struct err_info *info)
{
    switch (p->body_case) {
    case TANDEM__MESH__FRAME__BODY_HEARTBEAT:
        m->type = REPL_HEARTBEAT;
        return take_heartbeat(p->heartbeat, arena, &m->heartbeat, info);
    case TANDEM__MESH__FRAME__BODY_PUSH: m->type = REPL_PUSH; return take_push(p->push, arena, &m->push, info);
    case TANDEM__MESH__FRAME__BODY_WANT: m->type = REPL_WANT; return take_want(p->want, arena, &m->want, info);
    case TANDEM__MESH__FRAME__BODY_RECEIPT:
        m->type = REPL_RECEIPT;
        return take_receipt(p->receipt, arena, &m->receipt, info);
    case TANDEM__MESH__FRAME__BODY_FETCH:
        m->type = REPL_FETCH;
        return mesh_take_fetch(p->fetch, arena, &m->fetch, info);
    case TANDEM__MESH__FRAME__BODY_SNAPSHOT:
        m->type = REPL_SNAPSHOT;
        return mesh_take_snapshot(p->snapshot, arena, &m->snapshot, info);
    default: return err_fail(info, ERR_VERSION, "mesh message: a kind that this version does not know");
    }
}
