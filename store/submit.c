/* submit: jobs, copied from what the caller has, on their way to a writer's queue. */
#include <stdlib.h>

#include "proto/plan_codec.h"
#include "store/internal.h"

static struct job *job_new(struct store *s, enum job_type type, uint64_t token)
{
    struct job *job = store_spare_take(s);
    if (job == NULL) job = calloc(1, sizeof *job);
    if (job == NULL) return NULL;
    job->type = type;
    job->done.token = token;
    list_init(&job->node);
    return job;
}

static enum err submit(struct writer *w, struct job *job, enum err e)
{
    if (e == ERR_OK) e = writer_submit(w, job);
    if (e != ERR_OK) job_free(job);
    return e;
}

static enum err copy(struct arena *arena, struct slice in, struct slice *out)
{
    *out = arena_copy(arena, in);
    return out->p != NULL ? ERR_OK : ERR_NOMEM;
}

static void *array(struct arena *arena, size_t count, size_t size)
{
    return count <= SIZE_MAX / 2 / size ? arena_alloc(arena, count * size) : NULL;
}

/* ---- changes ---- */

static enum err copy_change(struct arena *arena, const struct changeset *c, struct slice *out)
{
    struct buf b = {0};
    if (c->packed.n > 0) return copy(arena, c->packed, out);
    enum err e = changeset_pack(c, &b); /* a local one that nobody packed yet */
    if (e == ERR_OK) e = copy(arena, buf_view(&b), out);
    buf_fini(&b);
    return e;
}

enum err store_submit_changes(struct store *s, const struct changeset *changes, size_t count, uint64_t token)
{
    struct job *job = job_new(s, JOB_CHANGES, token);
    if (job == NULL) return ERR_NOMEM;
    job->changes = array(&job->arena, count, sizeof *job->changes);
    enum err e = job->changes != NULL ? ERR_OK : ERR_NOMEM;
    for (size_t i = 0; e == ERR_OK && i < count; i++)
        e = copy_change(&job->arena, &changes[i], &job->changes[i]);
    job->change_count = count;
    return submit(&s->plan_writer, job, e);
}

/* ---- state ---- */

static enum err copy_records(struct job *job, const struct state_record *records, size_t count)
{
    job->records = array(&job->arena, count, sizeof *records);
    enum err e = job->records != NULL ? ERR_OK : ERR_NOMEM;
    for (size_t i = 0; e == ERR_OK && i < count; i++) {
        job->records[i] = records[i];
        e = state_record_check(&records[i], NULL);
        if (e == ERR_OK) e = copy(&job->arena, records[i].key, &job->records[i].key);
        if (e == ERR_OK) e = copy(&job->arena, records[i].value, &job->records[i].value);
    }
    job->record_count = count;
    return e;
}

static enum err copy_puts(struct job *job, const struct store_private_put *puts, size_t count)
{
    job->puts = array(&job->arena, count, sizeof *puts);
    enum err e = job->puts != NULL ? ERR_OK : ERR_NOMEM;
    for (size_t i = 0; e == ERR_OK && i < count; i++) {
        job->puts[i].kind = puts[i].kind;
        if (puts[i].key.n > UINT16_MAX || puts[i].value.n > LIMIT_OBJECT) e = ERR_LIMIT;
        if (e == ERR_OK) e = copy(&job->arena, puts[i].key, &job->puts[i].key);
        if (e == ERR_OK) e = copy(&job->arena, puts[i].value, &job->puts[i].value);
    }
    job->put_count = count;
    return e;
}

static enum err copy_upto(struct job *job, const struct vector_entry *upto, size_t count)
{
    job->upto = array(&job->arena, count, sizeof *upto);
    if (job->upto == NULL) return ERR_NOMEM;
    for (size_t i = 0; i < count; i++) {
        if (upto[i].origin.s[0] == '\0') return ERR_SYNTAX;
        job->upto[i] = upto[i];
    }
    job->upto_count = count;
    return ERR_OK;
}

enum err store_submit_state(struct store *s, const struct state_record *records, size_t count,
                            const struct store_private_put *puts, size_t put_count, const struct vector_entry *upto,
                            size_t upto_count, uint64_t token)
{
    struct job *job = job_new(s, JOB_STATE, token);
    if (job == NULL) return ERR_NOMEM;
    enum err e = copy_records(job, records, count);
    if (e == ERR_OK) e = copy_puts(job, puts, put_count);
    if (e == ERR_OK) e = copy_upto(job, upto, upto_count);
    return submit(&s->state_writer, job, e);
}

/* ---- floor and snapshot ---- */

static enum err submit_floor(struct store *s, enum job_type type, struct hlc floor, const struct vector_entry *v,
                             size_t count, uint64_t token)
{
    struct job *job = job_new(s, type, token);
    if (job == NULL) return ERR_NOMEM;
    job->floor = floor;
    return submit(&s->plan_writer, job, copy_upto(job, v, count));
}

enum err store_submit_floor_raise(struct store *s, const struct vector_entry *v, size_t count, uint64_t token)
{
    return submit_floor(s, JOB_FLOOR_RAISE, (struct hlc){0}, v, count, token);
}

enum err store_submit_floor_adopt(struct store *s, struct hlc floor, const struct vector_entry *v, size_t count,
                                  uint64_t token)
{
    return submit_floor(s, JOB_FLOOR_ADOPT, floor, v, count, token);
}

static enum err copy_objects(struct job *job, const struct store_piece *piece)
{
    struct snapshot_object *objects = array(&job->arena, piece->object_count, sizeof *objects);
    enum err e = objects != NULL ? ERR_OK : ERR_NOMEM;
    for (size_t i = 0; e == ERR_OK && i < piece->object_count; i++) {
        objects[i] = piece->objects[i];
        e = copy(&job->arena, piece->objects[i].key, &objects[i].key);
        if (e == ERR_OK) e = copy(&job->arena, piece->objects[i].value, &objects[i].value);
    }
    job->piece.objects = objects;
    job->piece.object_count = piece->object_count;
    return e;
}

static enum err copy_tail(struct job *job, const struct store_piece *piece)
{
    struct changeset *changes = array(&job->arena, piece->change_count, sizeof *changes);
    enum err e = changes != NULL ? ERR_OK : ERR_NOMEM;
    for (size_t i = 0; e == ERR_OK && i < piece->change_count; i++) {
        changes[i] = (struct changeset){.id = piece->changes[i].id};
        e = copy(&job->arena, piece->changes[i].packed, &changes[i].packed);
    }
    job->piece.changes = changes;
    job->piece.change_count = piece->change_count;
    return e;
}

enum err store_submit_piece(struct store *s, const struct store_piece *piece, uint64_t token)
{
    struct job *job = job_new(s, JOB_PIECE, token);
    if (job == NULL) return ERR_NOMEM;
    job->piece.first = piece->first;
    enum err e = copy_objects(job, piece);
    if (e == ERR_OK) e = copy_tail(job, piece);
    return submit(&s->plan_writer, job, e);
}

static enum err copy_vector(struct job *job, const struct vector_entry *v, size_t count,
                            const struct vector_entry **out)
{
    struct vector_entry *made = array(&job->arena, count, sizeof *made);
    if (made == NULL) return ERR_NOMEM;
    if (count > 0) memcpy(made, v, count * sizeof *made);
    *out = made;
    return ERR_OK;
}

enum err store_submit_replacement(struct store *s, const struct store_replacement *r, uint64_t token)
{
    struct job *job = job_new(s, JOB_REPLACEMENT, token);
    if (job == NULL) return ERR_NOMEM;
    job->replacement = *r;
    enum err e = copy_vector(job, r->vector, r->vector_count, &job->replacement.vector);
    if (e == ERR_OK) e = copy_vector(job, r->cut, r->cut_count, &job->replacement.cut);
    return submit(&s->plan_writer, job, e);
}

/* ---- calls ---- */

enum err store_submit_calls(struct store *s, const struct store_call_put *puts, size_t count, uint64_t keep,
                            int64_t oldest_ms, uint64_t token)
{
    struct job *job = job_new(s, JOB_CALLS, token);
    if (job == NULL) return ERR_NOMEM;
    job->calls = array(&job->arena, count, sizeof *puts);
    enum err e = job->calls != NULL ? ERR_OK : ERR_NOMEM;
    for (size_t i = 0; e == ERR_OK && i < count; i++) {
        job->calls[i] = puts[i];
        e = puts[i].value.n <= LIMIT_OBJECT ? copy(&job->arena, puts[i].value, &job->calls[i].value) : ERR_LIMIT;
    }
    job->call_count = count;
    job->calls_keep = keep;
    job->calls_oldest_ms = oldest_ms;
    return submit(&s->state_writer, job, e);
}

/* ---- single records ---- */

enum err store_submit_member(struct store *s, const struct member_note *member, uint64_t token)
{
    struct job *job = job_new(s, JOB_MEMBER, token);
    struct buf b = {0};
    if (job == NULL) return ERR_NOMEM;
    enum err e = member->name.s[0] != '\0' ? member_note_pack(member, &b) : ERR_SYNTAX;
    if (e == ERR_OK) e = copy(&job->arena, buf_view(&b), &job->member);
    if (e == ERR_OK) e = copy(&job->arena, node_name_slice(&member->name), &job->member_key);
    buf_fini(&b);
    return submit(&s->plan_writer, job, e);
}

enum err store_submit_epoch(struct store *s, uint64_t epoch, uint64_t token)
{
    struct job *job = job_new(s, JOB_EPOCH, token);
    if (job == NULL) return ERR_NOMEM;
    job->epoch = epoch;
    return submit(&s->plan_writer, job, ERR_OK);
}
