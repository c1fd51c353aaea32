/* member: who comes to the cluster: ca init, node invite, node join. Keys are handled by cli/pki and cli/join_file; a
 * node is asked only for the addresses of members, and whether the name was used before. Who goes: cli/depart.c. */
#include "cli/commands.h"
#include "cli/conn.h"
#include "cli/join_file.h"
#include "cli/pki.h"

/* ---- records of what was made ---- */

static void upright(struct output_view views[2], const char *kind, const struct output_column *columns)
{
    views[0] = (struct output_view){.kind = kind, .columns = columns, .upright = true};
    views[1] = (struct output_view){0};
}

/* Writes the builder's record as the command's only one. */
static int one_record(struct cli *c, struct control_builder *b, const struct output_column *columns)
{
    struct control_record r;
    struct output_view views[2];
    upright(views, b->kind.p, columns);
    if (control_record_done(b, &r) != ERR_OK) return cli_fail_err(c, ERR_NOMEM, NULL);
    if (!cli_output(c, views)) return CLI_REFUSED;
    output_record(c->output, &r);
    return cli_finish(c, CLI_DONE);
}

/* ---- ca init ---- */

static const struct output_column ca_columns[] = {
    {"cluster", "cluster", FORM_PLAIN, 0}, {"dir", "directory", FORM_PLAIN, 0}, {"next", "next", FORM_PLAIN, 0}, {0}};

int ca_init_run(struct cli *c, const struct tree_match *m)
{
    struct arena arena = {0};
    struct control_builder b;
    struct err_info info = {0};
    char id[LIMIT_NAME + 1];
    char made_up[LIMIT_NAME + 8];
    const char *name = tree_value(m, "cluster");
    const char *dir = tree_value(m, "dir");
    if (name == NULL) return cli_fail(c, CLI_USAGE, "'ca init' needs the cluster's name: --cluster NAME");
    if (dir == NULL) {
        if (!pki_token_valid(slice_of(name))) {
            return cli_fail(c, CLI_USAGE, "--cluster %s: letters, digits, '.', '_' and '-' only", name);
        }
        (void)snprintf(made_up, sizeof made_up, "%s-ca", name);
        dir = made_up;
    }
    enum err e = pki_ca_init(dir, slice_of(name), id, &info);
    if (e != ERR_OK) return cli_fail_err(c, e, &info);
    control_record_start(&b, &arena, "ca");
    control_text(&b, "cluster", slice_of(id));
    control_text(&b, "dir", slice_of(dir));
    control_printf(&b, "next", "clusterctl node invite NAME --site SITE --ca %s", dir);
    int status = one_record(c, &b, ca_columns);
    arena_fini(&arena);
    return status;
}

/* ---- node invite ---- */

struct seeds {
    struct arena *arena;
    struct join_file *join;
    struct slice cluster;
    struct slice status; /* of the name, when it is or was a member's: "evicted" */
    int64_t barred;      /* certificates of the name that were issued until then are refused */
    bool too_many;
};

static void add_seed(struct seeds *s, struct slice seed)
{
    if (s->join->seed_count == JOIN_SEEDS_MAX) {
        s->too_many = true;
        return;
    }
    struct slice copy = arena_copy(s->arena, seed);
    if (copy.p != NULL && copy.n > 0) s->join->seeds[s->join->seed_count++] = copy;
}

static void each_invite(void *ctx, const struct control_record *r)
{
    struct seeds *s = ctx;
    struct slice rest = control_get_text(r, "seeds");
    if (!slice_is(r->kind, "invite")) return;
    s->cluster = arena_copy(s->arena, control_get_text(r, "cluster"));
    s->status = arena_copy(s->arena, control_get_text(r, "status"));
    s->barred = control_get_int(r, "barred", 0);
    while (rest.n > 0) {
        struct slice seed;
        rest = slice_cut(rest, ',', &seed);
        add_seed(s, slice_trim(seed));
    }
}

/* From --seed; else from the node at the socket, if one answers: the first node of a cluster has nobody to ask. */
static int find_seeds(struct cli *c, const struct tree_match *m, struct seeds *s)
{
    for (size_t k = 0; tree_value_at(m, "seed", k) != NULL; k++) {
        const char *seed = tree_value_at(m, "seed", k);
        if (!join_seed_valid(slice_of(seed))) {
            return cli_fail(c, CLI_USAGE, "--seed %s: write HOST:PORT, such as 10.1.0.1:7400", seed);
        }
        add_seed(s, slice_of(seed));
    }
    if (s->join->seed_count == 0) {
        struct control_builder b;
        struct control_record args;
        control_record_start(&b, s->arena, "");
        control_text(&b, "node", slice_of(tree_arg(m, 0)));
        if (control_record_done(&b, &args) != ERR_OK) return cli_fail_err(c, ERR_NOMEM, NULL);
        struct conn_request request = {
            .command = "node invite-info", .args = &args, .each = each_invite, .ctx = s, .quiet = true};
        bool named = c->socket != NULL || c->node[0] != '\0';
        request.quiet = !named; /* who named a node wants to know that it did not answer */
        int status = conn_ask(c, &request);
        if (status != CLI_DONE && named) return status;
    }
    if (s->too_many) cli_note(c, SLICE("more seeds than a join file holds; the first ones are enough"));
    return CLI_DONE;
}

/* A node of another cluster would give addresses that refuse the new one. */
static int check_cluster(struct cli *c, const struct seeds *s)
{
    if (s->cluster.n == 0 || slice_eq(s->cluster, s->join->identity.cluster)) return CLI_DONE;
    return cli_fail(
        c, CLI_REFUSED,
        "the node at the socket belongs to the cluster %.*s, the CA to %.*s: name another with -s, or --seed",
        SLICE_ARG(s->cluster), SLICE_ARG(s->join->identity.cluster));
}

static const struct output_column invite_columns[] = {
    {"node", "node", FORM_PLAIN, 0},
    {"site", "site", FORM_PLAIN, 0},
    {"cluster", "cluster", FORM_PLAIN, 0},
    {"seeds", "seeds", FORM_PLAIN, 0},
    {"expires", "certificate until", FORM_PLAIN, 0},
    {"file", "join file", FORM_PLAIN, 0},
    {"next", "next", FORM_PLAIN, 0},
    {0},
};

static int report_invite(struct cli *c, struct arena *arena, const struct join_file *j, const char *file)
{
    struct control_builder b;
    struct buf seeds = {0};
    char date[WALL_TEXT_SIZE];
    for (size_t i = 0; i < j->seed_count; i++)
        buf_printf(&seeds, "%s%.*s", i > 0 ? " " : "", SLICE_ARG(j->seeds[i]));
    control_record_start(&b, arena, "invitation");
    control_text(&b, "node", j->identity.node);
    control_text(&b, "site", j->identity.site);
    control_text(&b, "cluster", j->identity.cluster);
    control_text(&b, "seeds", buf_view(&seeds));
    control_text(&b, "expires", slice_of(pki_date(j->identity.expires, date)));
    control_text(&b, "file", slice_of(file));
    control_printf(&b, "next", "carry it safely to the new machine, there: clusterctl node join %s --data DIR", file);
    buf_fini(&seeds);
    if (j->seed_count == 0) {
        cli_note(c, SLICE("no seeds: right for the first node of a cluster; for another, give --seed or -s the socket "
                          "of a member"));
    }
    return one_record(c, &b, invite_columns);
}

/* The name is, or was, a member's. */
static void say_taken(struct cli *c, const char *name, const struct seeds *s)
{
    char text[LIMIT_TEXT];
    bool left = slice_is(s->status, "left");
    if (left || slice_is(s->status, "evicted")) {
        (void)snprintf(
            text, sizeof text,
            "%.100s %s: this invitation takes its name up again, for a machine with an empty data directory; earlier "
            "certificates stay refused",
            name, left ? "has left the cluster" : "was evicted");
    } else {
        (void)snprintf(text, sizeof text,
                       "%.100s is a member already, and %.*s: this invitation renews its certificate, on its own "
                       "machine; two machines with one name would take each other's place in turn",
                       name, SLICE_ARG(s->status));
    }
    cli_note(c, slice_of(text));
}

static int invite(struct cli *c, const struct tree_match *m, struct arena *arena)
{
    struct join_file join = {0};
    struct seeds seeds = {.arena = arena, .join = &join};
    struct err_info info = {0};
    const char *name = tree_arg(m, 0);
    const char *out = tree_value(m, "out");
    struct pki_request request = {.node = slice_of(name), .site = slice_of(tree_value(m, "site"))};
    if (out == NULL) out = arena_printf(arena, "%s.join", name);
    if (out == NULL) return cli_fail_err(c, ERR_NOMEM, NULL);
    int status = find_seeds(c, m, &seeds);
    if (status != CLI_DONE) return status;
    request.after_s = seeds.barred;
    enum err e = pki_issue(arena, tree_value(m, "ca"), &request, &join.identity, &info);
    if (e != ERR_OK) return cli_fail_err(c, e, &info);
    status = check_cluster(c, &seeds);
    if (status == CLI_DONE) {
        if (seeds.status.n > 0) say_taken(c, name, &seeds);
        e = join_write(&join, out, &info);
        status = e == ERR_OK ? report_invite(c, arena, &join, out) : cli_fail_err(c, e, &info);
    }
    secret_wipe((char *)(uintptr_t)join.identity.key.p, join.identity.key.n);
    secret_wipe((char *)(uintptr_t)join.identity.cluster_key.p, join.identity.cluster_key.n);
    return status;
}

int node_invite_run(struct cli *c, const struct tree_match *m)
{
    struct arena arena = {0};
    if (tree_value(m, "site") == NULL)
        return cli_fail(c, CLI_USAGE, "'node invite' needs the site that the node serves: --site SITE");
    if (tree_value(m, "ca") == NULL)
        return cli_fail(c, CLI_USAGE, "'node invite' needs the directory of the CA: --ca DIR");
    if (!pki_token_valid(slice_of(tree_arg(m, 0)))) {
        return cli_fail(c, CLI_USAGE, "'%s' is no name for a node: letters, digits, '.', '_' and '-' only",
                        tree_arg(m, 0));
    }
    int status = invite(c, m, &arena);
    arena_fini(&arena);
    return status;
}

/* ---- node join ---- */

static const struct output_column join_columns[] = {
    {"node", "node", FORM_PLAIN, 0}, {"site", "site", FORM_PLAIN, 0}, {"cluster", "cluster", FORM_PLAIN, 0},
    {"data", "data", FORM_PLAIN, 0}, {"next", "next", FORM_PLAIN, 0}, {0}};

int node_join_run(struct cli *c, const struct tree_match *m)
{
    struct arena arena = {0};
    struct join_file join = {0};
    struct err_info info = {0};
    struct control_builder b;
    const char *data = tree_value(m, "data");
    if (data == NULL) return cli_fail(c, CLI_USAGE, "'node join' needs the node's data directory: --data DIR");
    enum err e = join_install(tree_arg(m, 0), data, tree_given(m, "force"), &info);
    if (e == ERR_OK) e = join_read(&arena, tree_arg(m, 0), &join, &info);
    int status = CLI_DONE;
    if (e == ERR_OK) {
        control_record_start(&b, &arena, "joined");
        control_text(&b, "node", join.identity.node);
        control_text(&b, "site", join.identity.site);
        control_text(&b, "cluster", join.identity.cluster);
        control_text(&b, "data", slice_of(data));
        control_printf(&b, "next", "delete %s, and start tandemd with 'data: %s'", tree_arg(m, 0), data);
        status = one_record(c, &b, join_columns);
        secret_wipe((char *)(uintptr_t)join.identity.key.p, join.identity.key.n);
        secret_wipe((char *)(uintptr_t)join.identity.cluster_key.p, join.identity.cluster_key.n);
    } else {
        status = cli_fail_err(c, e, &info);
    }
    arena_fini(&arena);
    return status;
}
