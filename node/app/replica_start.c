/* replica_start: with what the replication core begins: what the store remembers, who this node is, and whether it has
 * others to join. */
#include "node/app/node.h"

/* What the store remembers of this node: a start raises its incarnation above every earlier one, also when the calendar
 * clock has been set back since. */
static struct member_note own_note(const struct node *n, const struct store_start *start)
{
    struct member_note own = {.name = n->self, .status = MEMBER_ALIVE};
    own.incarnation = n->started.ms > 0 ? (uint64_t)n->started.ms : 1;
    own.mesh_address = slice_of(n->config.mesh_advertise);
    own.site = slice_of(n->config.site);
    own.issued = n->identity.issued;
    own.joined = own.since = n->started;
    for (size_t i = 0; i < start->member_count; i++) {
        const struct member_note *m = &start->members[i];
        if (!node_name_eq(&m->name, &n->self)) continue;
        if (m->incarnation >= own.incarnation) own.incarnation = m->incarnation + 1;
        if (m->joined.ms != 0) own.joined = m->joined;
        own.barred = m->barred;
        bool gone = m->status == MEMBER_LEFT || m->status == MEMBER_EVICTED;
        if (!gone || (m->barred != 0 && own.issued > m->barred)) continue;
        own.status = m->status;
        own.since = m->since;
    }
    return own;
}

static bool take_version(void *ctx, const struct state_record *record)
{
    *(uint64_t *)ctx = record->version;
    return true;
}

/* They come in order of their versions: the last is the highest. Before anything of ours was shown we have no entry in
 * the vector, and the records are of the database's epoch. */
static enum err own_version(struct node *n, const struct store_start *start, uint64_t *version)
{
    struct vector_entry own = {.epoch = start->epoch};
    for (size_t i = 0; i < start->state_count; i++) {
        if (node_name_eq(&start->state[i].origin, &n->self)) own = start->state[i];
    }
    *version = own.high;
    return store_state_since(n->read, &n->self, own.epoch, own.high, take_version, version);
}

/* A seed that is this node itself is nobody to join: the same list of seeds may stand in every configuration. */
static bool is_self(const struct node *n, const char *seed)
{
    bool listens = n->config.mesh_listen != NULL && strcmp(seed, n->config.mesh_listen) == 0;
    return listens || strcmp(seed, n->config.mesh_advertise) == 0;
}

static bool has_seeds(const struct node *n)
{
    for (size_t i = 0; i < n->identity.seed_count; i++) {
        if (!is_self(n, n->identity.seeds[i])) return true;
    }
    for (size_t i = 0; i < n->config.seed_count; i++) {
        if (!is_self(n, n->config.seeds[i])) return true;
    }
    return false;
}

/* The first node of a cluster has nobody to join. */
static bool joins(const struct node *n, const struct store_start *start)
{
    bool knows_others = false;
    for (size_t i = 0; i < start->member_count; i++)
        knows_others = knows_others || !node_name_eq(&start->members[i].name, &n->self);
    return !knows_others && has_seeds(n);
}

enum err replica_start(struct node *n, struct err_info *info)
{
    struct arena arena = {0};
    struct store_start start;
    enum err e = node_read_begin(n);
    if (e != ERR_OK) return err_fail(info, e, "the store cannot be read: %s", err_name(e));
    store_plan_digest(n->read, &n->plan_digest);
    uint64_t version = 0;
    e = store_load_start(n->read, &arena, &start);
    if (e == ERR_OK) e = own_version(n, &start, &version);
    if (e == ERR_OK) {
        struct member_note own = own_note(n, &start);
        struct repl_config config = {
            .self = n->self,
            .site = slice_of(n->config.site),
            .mesh_address = slice_of(n->config.mesh_advertise),
            .epoch = start.epoch,
            .incarnation = own.incarnation,
            .issued = own.issued,
            .joined = own.joined,
            .seed = rng_next(&n->rng),
            .plan_vector = start.plan,
            .plan_count = start.plan_count,
            .state_vector = start.state,
            .state_count = start.state_count,
            .state_version = version,
            .members = start.members,
            .member_count = start.member_count,
            .time = start.time,
            .floor = start.floor,
            .tombstones = start.tombstones,
            .pending = start.pending,
        };
        config.joins = joins(n, &start);
        memcpy(config.plan_digest, &n->plan_digest, sizeof config.plan_digest);
        n->joined = own.joined;
        e = repl_new(&config, &n->repl);
        if (e == ERR_OK) replica_remember(n, &own);
    }
    node_read_end(n);
    arena_fini(&arena);
    return e == ERR_OK ? ERR_OK : err_fail(info, e, "the replica cannot be started: %s", err_name(e));
}
