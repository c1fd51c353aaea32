/* copy: messages under way: each owns everything that it points at, since its sender's memory is soon used again. */
#include "tests/sim/world.h"

#include <stdlib.h>

static void *must(void *p)
{
    ASSERT(p != NULL);
    return p;
}

void *net_copy(struct arena *a, const void *items, size_t bytes)
{
    void *p = must(arena_alloc(a, bytes));
    if (bytes > 0) memcpy(p, items, bytes);
    return p;
}

void packet_drop(struct packet *p)
{
    if (p == NULL || --p->refs > 0) return;
    arena_fini(&p->arena);
    free(p);
}

static void copy_heartbeat(struct arena *a, struct repl_heartbeat *h)
{
    struct member_note *notes = net_copy(a, h->notes, h->note_count * sizeof *notes);
    for (size_t i = 0; i < h->note_count; i++) {
        notes[i].mesh_address = arena_copy(a, notes[i].mesh_address);
        notes[i].site = arena_copy(a, notes[i].site);
    }
    h->notes = notes;
    h->steps = arena_copy(a, h->steps);
    h->accusations = net_copy(a, h->accusations, h->accusation_count * sizeof *h->accusations);
}

void net_copy_push(struct arena *a, struct repl_push *p)
{
    struct changeset *changes = net_copy(a, p->changes, p->change_count * sizeof *changes);
    for (size_t i = 0; i < p->change_count; i++) {
        struct change_op *ops = net_copy(a, changes[i].ops, changes[i].op_count * sizeof *ops);
        for (size_t k = 0; k < changes[i].op_count; k++) {
            ops[k].key = arena_copy(a, ops[k].key);
            ops[k].value = arena_copy(a, ops[k].value);
        }
        changes[i].ops = ops;
        changes[i].author = arena_copy(a, changes[i].author);
        changes[i].message = arena_copy(a, changes[i].message);
    }
    p->changes = changes;
    p->cut = net_copy(a, p->cut, p->cut_count * sizeof *p->cut);
    struct state_record *records = net_copy(a, p->records, p->record_count * sizeof *records);
    for (size_t i = 0; i < p->record_count; i++) {
        records[i].key = arena_copy(a, records[i].key);
        records[i].value = arena_copy(a, records[i].value);
    }
    p->records = records;
    p->state_upto = net_copy(a, p->state_upto, p->state_upto_count * sizeof *p->state_upto);
}

void net_copy_snapshot(struct arena *a, struct repl_snapshot *s)
{
    struct repl_push changes = {.changes = s->changes, .change_count = s->change_count};
    net_copy_push(a, &changes);
    s->changes = changes.changes;
    struct snapshot_object *objects = net_copy(a, s->objects, s->object_count * sizeof *objects);
    for (size_t i = 0; i < s->object_count; i++) {
        objects[i].key = arena_copy(a, objects[i].key);
        objects[i].value = arena_copy(a, objects[i].value);
    }
    s->objects = objects;
    s->vector = net_copy(a, s->vector, s->vector_count * sizeof *s->vector);
    s->cut = net_copy(a, s->cut, s->cut_count * sizeof *s->cut);
}

struct packet *packet_new(const struct repl_message *m)
{
    struct packet *p = world_alloc(1, sizeof *p);
    p->message = *m;
    switch (m->type) {
    case REPL_HEARTBEAT: copy_heartbeat(&p->arena, &p->message.heartbeat); break;
    case REPL_PUSH: net_copy_push(&p->arena, &p->message.push); break;
    case REPL_WANT:
        p->message.want.plan = net_copy(&p->arena, m->want.plan, m->want.plan_count * sizeof *m->want.plan);
        p->message.want.state = net_copy(&p->arena, m->want.state, m->want.state_count * sizeof *m->want.state);
        break;
    case REPL_RECEIPT:
        p->message.receipt.ids = net_copy(&p->arena, m->receipt.ids, m->receipt.id_count * sizeof *m->receipt.ids);
        break;
    case REPL_FETCH:
        p->message.fetch.after = arena_copy(&p->arena, m->fetch.after);
        p->message.fetch.have = net_copy(&p->arena, m->fetch.have, m->fetch.have_count * sizeof *m->fetch.have);
        break;
    case REPL_SNAPSHOT: net_copy_snapshot(&p->arena, &p->message.snapshot); break;
    case REPL_TYPE_COUNT: ASSERT(false);
    }
    return p;
}

size_t packet_bytes(const struct repl_message *m)
{
    size_t bytes = 120;
    if (m->type == REPL_HEARTBEAT) {
        bytes += 200 + m->heartbeat.note_count * 60 + m->heartbeat.accusation_count * 40;
    } else if (m->type == REPL_PUSH) {
        bytes += m->push.change_count * 200 + m->push.record_count * 80;
    } else if (m->type == REPL_WANT) {
        bytes += (m->want.plan_count + m->want.state_count) * 40;
    }
    if (m->type == REPL_SNAPSHOT) bytes += m->snapshot.object_count * 100 + m->snapshot.change_count * 200;
    return bytes;
}
