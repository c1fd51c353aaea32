/* fetch_kit: a node that fetches a snapshot: of three, from n2. */
#ifndef TANDEM_TEST_FETCH_KIT_H
#define TANDEM_TEST_FETCH_KIT_H

#include "tests/unit/repl/drive.h"

#define WALL ((uint64_t)DRIVE_WALL_MS << 16)

static inline struct drive with_two(struct repl_config *c)
{
    struct drive d;
    drive_open(&d, c);
    drive_join(&d, "n2");
    drive_join(&d, "n3");
    return d;
}

/* from answers that its log does not reach back to what we have. */
static inline void trimmed(struct drive *d, const char *from, uint64_t floor)
{
    struct repl_push p = {.answer = true, .trimmed = true, .floor = {floor}};
    assert_int_equal(drive_message(d, from, (struct repl_message){.type = REPL_PUSH, .push = p}), ERR_OK);
}

static inline struct snapshot_object object_of(const char *key)
{
    return (struct snapshot_object){.key = slice_of(key),
                                    .value = SLICE("packed"),
                                    .stamp = {.time = {WALL - 100}, .origin = name_of("n2"), .epoch = DRIVE_EPOCH}};
}

/* One that is under way with n2, whose first piece is asked for. */
static inline struct drive fetching(struct repl_config *c)
{
    struct drive d = with_two(c);
    trimmed(&d, "n2", 0);
    assert_non_null(sent(&d, "n2", REPL_FETCH));
    return d;
}

static inline enum err piece(struct drive *d, const char *from, struct repl_snapshot s)
{
    if (s.id == 0) s.id = d->r->fetching.id;
    return drive_message(d, from, (struct repl_message){.type = REPL_SNAPSHOT, .snapshot = s});
}

/* The whole of one: one object, no tail, up to where the store is to change over. */
static inline uint64_t all_pieces(struct drive *d, const struct vector_entry *vector, size_t count)
{
    struct snapshot_object o = object_of("site/a");
    struct repl_snapshot s = {.objects = &o, .object_count = 1, .vector = vector, .vector_count = count};
    assert_int_equal(piece(d, "n2", s), ERR_OK);
    uint64_t first = action(d, REPL_DO_PERSIST_PIECE)->token;
    assert_int_equal(piece(d, "n2", (struct repl_snapshot){.tail = true}), ERR_OK);
    assert_null(action_at(d, REPL_DO_REPLACE, 0)); /* not before all of it is on disk */
    drive_stored(d, first);
    return action(d, REPL_DO_REPLACE)->token;
}

static inline void replaced(struct drive *d, uint64_t token, const struct vector_entry *v, size_t count)
{
    drive(d, (struct repl_event){.type = REPL_EV_STORED, .token = token, .vector = v, .vector_count = count});
}

#endif
