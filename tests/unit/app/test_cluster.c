/* Two and three nodes in one process, with certificates and links of their own: what one is asked through another, what
 * an apply says of the others, what a restart keeps of who was evicted. */
#include "kit.h"

#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/pki.h"

#define NODES 3

struct cluster {
    uv_loop_t loop;
    char ca[80];
    char id[LIMIT_NAME + 1];
    char address[NODES][32];
    struct kit nodes[NODES];
};

static void write_file(const char *dir, const char *name, struct slice text)
{
    char path[200];
    (void)snprintf(path, sizeof path, "%s/tls/%s", dir, name);
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    assert_int_equal(fwrite(text.p, 1, text.n, f), text.n);
    assert_int_equal(fclose(f), 0);
    assert_int_equal(chmod(path, 0600), 0);
}

static void install(const struct cluster *c, const struct kit *k)
{
    struct arena arena = {0};
    struct pki_identity id;
    struct err_info info = {{0}, 0, 0};
    struct pki_request request = {.node = slice_of(k->name), .site = slice_of(k->site)};
    char path[200];
    if (pki_issue(&arena, c->ca, &request, &id, &info) != ERR_OK) fail_msg("%s", info.text);
    assert_int_equal(mkdir(k->data, 0700), 0);
    (void)snprintf(path, sizeof path, "%s/tls", k->data);
    assert_int_equal(mkdir(path, 0700), 0);
    write_file(k->data, "ca.pem", id.ca);
    write_file(k->data, "node.pem", id.certificate);
    write_file(k->data, "node.key", id.key);
    write_file(k->data, "cluster.key", id.cluster_key);
    write_file(k->data, "cluster", id.cluster);
    arena_fini(&arena);
}

/* Where node I listens, also after a restart: at a loopback address that no other process has, and on a port that is no
 * ephemeral one, so that no connection of this process or another can be sitting on it. */
static void listen_at(char *to, size_t n, size_t i)
{
    unsigned pid = (unsigned)getpid(); /* at most 22 bits: PID_MAX_LIMIT of Linux */
    (void)snprintf(to, n, "127.%u.%u.%u:%zu", 64 + (pid >> 16 & 63), pid >> 8 & 255, pid & 255, 7100 + i);
}

static void cluster_init(struct cluster *c, size_t count)
{
    *c = (struct cluster){.ca = "/tmp/tandem-app-XXXXXX"};
    assert_non_null(mkdtemp(c->ca));
    assert_int_equal(rmdir(c->ca), 0);
    assert_int_equal(pki_ca_init(c->ca, SLICE("test"), c->id, NULL), ERR_OK);
    assert_int_equal(uv_loop_init(&c->loop), 0);
    for (size_t i = 0; i < count; i++) {
        struct kit *k = &c->nodes[i];
        kit_init(k, &c->loop);
        (void)snprintf(k->name, sizeof k->name, "n%zu", i + 1);
        (void)snprintf(k->site, sizeof k->site, "%s", i == 0 ? "hq" : "campus");
        listen_at(c->address[i], sizeof c->address[i], i);
        k->config.cluster = "test";
        k->config.mesh = true;
        k->config.mesh_listen = k->config.mesh_advertise = c->address[i];
        k->config.sip_listen[0] = "tls:127.0.0.1:0";
        k->config.seeds[0] = c->address[0];
        k->config.seed_count = 1;
        install(c, k);
    }
}

static void cluster_fini(struct cluster *c, size_t count)
{
    /* One after the other: each needs the loop until it has closed, and the others' handles are in it too. */
    for (size_t i = 0; i < count; i++) {
        if (c->nodes[i].open) node_stop(&c->nodes[i].node, 0);
    }
    for (size_t i = 0; i < count; i++)
        kit_stop(&c->nodes[i]);
    for (size_t i = 0; i < count; i++)
        kit_fini(&c->nodes[i]);
    kit_loop_close(&c->loop);
    kit_remove(c->ca);
}

struct pair {
    struct kit *a;
    struct kit *b;
};

static bool knows(struct kit *k, const struct kit *other)
{
    for (size_t i = 1; i < repl_member_count(k->node.repl); i++) {
        struct repl_member_view m = repl_member_at(k->node.repl, i);
        if (strcmp(m.name.s, other->name) == 0) return m.linked && m.in_step && m.status == MEMBER_ALIVE;
    }
    return false;
}

static bool linked(void *ctx)
{
    struct pair *p = ctx;
    return knows(p->a, p->b) && knows(p->b, p->a);
}

static void wait_linked(struct kit *a, struct kit *b)
{
    struct pair p = {a, b};
    kit_until(a, linked, &p, "two nodes to be linked and in step");
}

static void apply(struct client *c, struct kit *k, const char *node, const char *yaml, const char *wait)
{
    struct control_builder b;
    *c = (struct client){.kit = k};
    control_record_start(&b, &c->arena, "");
    args_document(c, &b, yaml);
    control_text(&b, "message", SLICE("because"));
    control_text(&b, "allow", SLICE("all"));
    if (wait != NULL) control_text(&b, "wait", slice_of(wait));
    control_int(&b, "timeout_ms", 3000);
    client_ask(c, k, "plan apply", node, &b);
}

static const struct control_record *receipt_of(const struct client *c, const char *node)
{
    const struct control_record *r = NULL;
    for (size_t i = 0; (r = client_record(c, "receipt", i)) != NULL; i++) {
        if (slice_is(control_get_text(r, "node"), node)) return r;
    }
    return NULL;
}

static void a_command_for_another_node(void **state)
{
    static struct cluster c;
    struct client client = {.kit = &c.nodes[0]};
    char author[80];
    (void)state;
    cluster_init(&c, 2);
    kit_start(&c.nodes[0]);
    kit_start(&c.nodes[1]);
    wait_linked(&c.nodes[0], &c.nodes[1]);
    client_ask(&client, &c.nodes[0], "status", "n2", NULL);
    assert_int_equal(client.status, 0);
    assert_string_equal(field_text(&client, client_record(&client, "status", 0), "node"), "n2");
    client_close(&client);

    /* The history names the user and where he sits; the id names the node that made the change. */
    apply(&client, &c.nodes[0], "n2", "plan: 1\nsites: { hq: {}, campus: {} }\n", NULL);
    if (client.status != 0) fail_msg("%d %s", client.status, client.text);
    assert_memory_equal(field_text(&client, client_record(&client, "applied", 0), "change"), "n2/", 3);
    client_close(&client);
    wait_linked(&c.nodes[0], &c.nodes[1]);
    client = (struct client){.kit = &c.nodes[0]};
    client_ask(&client, &c.nodes[0], "plan log", "", NULL);
    (void)snprintf(author, sizeof author, "%s", field_text(&client, client_record(&client, "change", 0), "author"));
    if (strlen(author) < 4 || strcmp(author + strlen(author) - 3, "@n1") != 0 || strchr(author, '@') == author)
        fail_msg("%s", author);
    if (strstr(author, "@n2") != NULL) fail_msg("%s", author);
    client_close(&client);

    client = (struct client){.kit = &c.nodes[0]};
    client_ask(&client, &c.nodes[0], "no such command", "n2", NULL);
    assert_int_equal(client.status, 2);
    client_close(&client);
    client = (struct client){.kit = &c.nodes[0]};
    client_ask(&client, &c.nodes[0], "status", "n9", NULL);
    assert_int_equal(client.status, 5);
    client_close(&client);
    cluster_fini(&c, 2);
}

/* Each side of a relayed command may stop while it is under way. */
static void either_side_of_a_relay_stops(void **state)
{
    (void)state;
    for (size_t side = 0; side < 2; side++) {
        for (unsigned turns = 0; turns < 40; turns += 13) {
            static struct cluster c;
            struct client client = {.kit = &c.nodes[0]};
            struct control_builder b;
            cluster_init(&c, 2);
            kit_start(&c.nodes[0]);
            kit_start(&c.nodes[1]);
            wait_linked(&c.nodes[0], &c.nodes[1]);
            client_open(&client, &c.nodes[0]);
            control_record_start(&b, &client.arena, "");
            args_document(&client, &b, "plan: 1\nsites: { hq: {}, campus: {} }\n");
            control_text(&b, "allow", SLICE("all"));
            client_send(&client, "plan apply", "n2", &b);
            for (unsigned t = 0; t < turns; t++)
                (void)uv_run(&c.loop, UV_RUN_NOWAIT);
            node_stop(&c.nodes[side].node, 0);
            kit_turn(&c.nodes[0], 100);
            if (client.ended && side == 0 && client.status != 0) assert_int_equal(client.status, 5);
            client_close(&client);
            cluster_fini(&c, 2);
        }
    }
}

static void receipts_name_who_has_it(void **state)
{
    static struct cluster c;
    struct client client;
    (void)state;
    cluster_init(&c, 3);
    for (size_t i = 0; i < 3; i++)
        kit_start(&c.nodes[i]);
    wait_linked(&c.nodes[0], &c.nodes[1]);
    wait_linked(&c.nodes[0], &c.nodes[2]);
    apply(&client, &c.nodes[0], "", "plan: 1\nsites: { hq: {}, campus: {} }\n", NULL);
    if (client.status != 0) fail_msg("%d %s", client.status, client.text);
    assert_int_equal(client_count(&client, "receipt"), 3);
    assert_int_equal(control_get_int(receipt_of(&client, "n3"), "durable", 0), 1);
    client_close(&client);

    /* One goes: it is named, and not waited for as soon as it is known to be away. */
    node_stop(&c.nodes[2].node, 0);
    struct node_name gone;
    assert_int_equal(node_name_set(&gone, SLICE("n3")), ERR_OK);
    uint64_t end = uv_hrtime() + KIT_WAIT_MS * UINT64_C(1000000);
    while (repl_member_status(c.nodes[0].node.repl, &gone) == MEMBER_ALIVE) {
        assert_true(uv_hrtime() < end);
        (void)uv_run(&c.loop, UV_RUN_ONCE);
    }
    apply(&client, &c.nodes[0], "", "plan: 1\nsites: { lab: {} }\n", NULL);
    assert_int_equal(client.status, 0);
    assert_string_equal(client.text, "every node that can be reached has it; 1 that cannot will catch up");
    assert_int_equal(control_get_int(receipt_of(&client, "n2"), "durable", 0), 1);
    assert_int_equal(control_get_int(receipt_of(&client, "n3"), "durable", 1), 0);
    assert_string_equal(field_text(&client, receipt_of(&client, "n3"), "note"), "unreachable, will catch up");
    client_close(&client);

    apply(&client, &c.nodes[0], "", "plan: 1\nsites: { lab2: {} }\n", "all"); /* in vain, for 3 s */
    assert_int_equal(client.status, 4);
    assert_non_null(strstr(client.text, "not every node has confirmed the change in time"));
    assert_string_equal(client.progress, "on disk here; waiting for the receipt of n3 2/3");
    client_close(&client);
    apply(&client, &c.nodes[0], "", "plan: 1\nsites: { lab3: {} }\n", "2"); /* two of three are there */
    assert_int_equal(client.status, 0);
    assert_string_equal(client.text, "as many nodes as asked for have it; 1 will catch up");
    client_close(&client);
    cluster_fini(&c, 3);
}

/* ---- floors and snapshots ---- */

static bool took_a_snapshot(void *ctx)
{
    return kit_counter(ctx, "repl", "snapshots_taken") > 0;
}

static bool same_plan(void *ctx)
{
    struct pair *p = ctx;
    return plan_digest_eq(p->a->node.plan_digest, p->b->node.plan_digest);
}

/* The history of the first is long: the second begins with its plan, and both go on from there. */
static void a_new_node_takes_a_snapshot(void **state)
{
    static struct cluster c;
    struct client client;
    char *yaml = kit_many_routes("6", 500);
    (void)state;
    cluster_init(&c, 2);
    struct kit *a = &c.nodes[0];
    struct kit *b = &c.nodes[1];
    struct pair both = {a, b};
    struct store *s = kit_store_open(a);
    for (int i = 0; i < 10; i++)
        kit_store_plan(s, yaml);
    kit_store_plan(s, "plan: 1\nremove: [\"route//60007/reject/404\"]\n");
    kit_store_close(s);
    free(yaml);
    kit_start(a);
    kit_start(b);
    kit_until(b, took_a_snapshot, b, "n2 to have a snapshot");
    wait_linked(a, b);
    assert_true(same_plan(&both));
    assert_true(kit_logged(b, "replica/snapshot-taken objects=499 lost=0"));
    assert_true(kit_counter(a, "repl", "pieces_sent") > 2);
    assert_int_equal(kit_counter(b, "repl", "snapshots_begun"), 1);
    apply(&client, b, "", "plan: 1\nsites: { campus: {} }\n", NULL);
    if (client.status != 0) fail_msg("%d %s", client.status, client.text);
    client_close(&client);
    kit_until(a, same_plan, &both, "the change of n2 at n1");
    /* Its history begins with the snapshot. */
    client = (struct client){.kit = b};
    client_ask(&client, b, "plan log", "", NULL);
    assert_int_equal(client_count(&client, "change"), 1);
    client_close(&client);
    client_ask(&client, a, "plan log", "", NULL);
    assert_int_equal(client_count(&client, "change"), 12);
    client_close(&client);
    cluster_fini(&c, 2);
}

static bool nothing_to_forget(void *ctx)
{
    struct pair *p = ctx;
    struct repl_floor_view a = repl_floor(p->a->node.repl);
    struct repl_floor_view b = repl_floor(p->b->node.repl);
    return a.floor.v > 0 && a.floor.v == b.floor.v && a.tombstones + b.tombstones == 0;
}

static void deletions_are_forgotten_by_all_at_once(void **state)
{
    static struct cluster c;
    struct client client;
    (void)state;
    cluster_init(&c, 2);
    struct pair both = {&c.nodes[0], &c.nodes[1]};
    kit_start(both.a);
    kit_start(both.b);
    wait_linked(both.a, both.b);
    apply(&client, both.a, "", "plan: 1\nsites: { hq: {}, campus: {} }\n", NULL);
    assert_int_equal(client.status, 0);
    client_close(&client);
    apply(&client, both.b, "", "plan: 1\nremove: [\"site/campus\"]\n", NULL);
    assert_int_equal(client.status, 0);
    client_close(&client);
    client = (struct client){.kit = both.b};
    client_ask(&client, both.b, "status", "", NULL);
    assert_int_equal(control_get_int(client_record(&client, "status", 0), "tombstones", 0), 1);
    client_close(&client);
    kit_until(both.a, nothing_to_forget, &both, "both to have forgotten the deletion");
    client = (struct client){.kit = both.b};
    client_ask(&client, both.b, "status", "", NULL);
    assert_int_equal(control_get_int(client_record(&client, "status", 0), "tombstones", -1), -1); /* not worth a word */
    client_close(&client);
    cluster_fini(&c, 2);
}

/* A node that has met nobody takes no change, and says why. */
static void a_node_that_met_nobody(void **state)
{
    static struct cluster c;
    struct client client;
    (void)state;
    cluster_init(&c, 2);
    c.nodes[1].config.seeds[1] = c.address[1]; /* itself is nobody, and no obstacle */
    c.nodes[1].config.seed_count = 2;
    kit_start(&c.nodes[1]);
    apply(&client, &c.nodes[1], "", "plan: 1\nsites: { hq: {} }\n", NULL);
    assert_int_equal(client.status, 1);
    if (strstr(client.text, "this node has not met a member of its cluster yet") != client.text)
        fail_msg("%s", client.text);
    client_close(&client);
    /* The first one has itself among its seeds. */
    kit_start(&c.nodes[0]);
    apply(&client, &c.nodes[0], "", "plan: 1\nsites: { hq: {}, campus: {} }\n", NULL);
    if (client.status != 0 && client.status != 4) fail_msg("%d %s", client.status, client.text);
    client_close(&client);
    wait_linked(&c.nodes[0], &c.nodes[1]);
    apply(&client, &c.nodes[1], "", "plan: 1\nsites: { hq: {}, lab: {} }\n", NULL);
    if (client.status != 0) fail_msg("%d %s", client.status, client.text);
    client_close(&client);
    cluster_fini(&c, 2);
}

static bool plan_is_back(void *ctx)
{
    const struct pair *p = ctx; /* b still has the plan of before */
    return plan_digest_eq(p->a->node.plan_digest, p->b->node.plan_digest);
}

/* A change that has to be confirmed, made at a node that goes away: the first of the others undoes it, and one alone.
 */
static void an_origin_that_goes(void **state)
{
    static struct cluster c;
    struct client client = {.kit = &c.nodes[0]};
    struct control_builder b;
    (void)state;
    cluster_init(&c, 3);
    for (size_t i = 0; i < 3; i++)
        kit_start(&c.nodes[i]);
    wait_linked(&c.nodes[0], &c.nodes[1]);
    wait_linked(&c.nodes[0], &c.nodes[2]);
    wait_linked(&c.nodes[1], &c.nodes[2]);
    static struct kit before;
    before.node.plan_digest = c.nodes[0].node.plan_digest;
    control_record_start(&b, &client.arena, "");
    args_document(&client, &b, "plan: 1\nsites: { hq: {}, campus: {} }\n");
    control_text(&b, "allow", SLICE("all"));
    control_text(&b, "wait", SLICE("all"));
    control_int(&b, "confirm_within_ms", 2000);
    client_ask(&client, &c.nodes[0], "plan apply", "", &b);
    if (client.status != 0) fail_msg("%d %s", client.status, client.text);
    client_close(&client);
    node_stop(&c.nodes[0].node, 0);
    struct pair at_2 = {&c.nodes[1], &before};
    struct pair at_3 = {&c.nodes[2], &before};
    assert_false(plan_is_back(&at_2));
    kit_until(&c.nodes[1], plan_is_back, &at_2, "n2 to be as before");
    kit_until(&c.nodes[2], plan_is_back, &at_3, "n3 to be as before");
    assert_true(kit_logged(&c.nodes[1], "confirm/undone") != kit_logged(&c.nodes[2], "confirm/undone"));
    cluster_fini(&c, 3);
}

/* The mesh forgets at a restart who was evicted; the store does not. */
static bool refused_at_hello(void *ctx)
{
    struct kit *k = ctx;
    return kit_logged(k, "mesh/hello-refused peer=n2 reason=\"evicted from the cluster,");
}

static void who_was_evicted_stays_out(void **state)
{
    static struct cluster c;
    struct client client = {.kit = &c.nodes[0]};
    struct control_builder b;
    (void)state;
    cluster_init(&c, 2);
    kit_start(&c.nodes[0]);
    kit_start(&c.nodes[1]);
    wait_linked(&c.nodes[0], &c.nodes[1]);
    control_record_start(&b, &client.arena, "");
    control_text(&b, "node", SLICE("n2"));
    client_ask(&client, &c.nodes[0], "node evict", "", &b);
    assert_int_equal(client.status, 0);
    client_close(&client);
    kit_until(&c.nodes[0], refused_at_hello, &c.nodes[0], "n2 to be refused");
    node_stop(&c.nodes[0].node, 0);
    kit_stop(&c.nodes[0]);
    kit_forget_log(&c.nodes[0]);
    kit_start(&c.nodes[0]);
    kit_until(&c.nodes[0], refused_at_hello, &c.nodes[0], "n2 to be refused again");
    cluster_fini(&c, 2);
}

static void a_mesh_port_in_use(void **state)
{
    static struct cluster c;
    struct err_info info;
    (void)state;
    cluster_init(&c, 2);
    kit_start(&c.nodes[0]);
    c.nodes[1].config.mesh_listen = c.address[0];
    enum err e = kit_start_fails(&c.nodes[1], &info);
    if (e != ERR_EXISTS) fail_msg("%s: %s", err_name(e), info.text);
    assert_non_null(strstr(info.text, " is already in use: stop the program that holds it"));
    c.nodes[1].config.mesh_listen = c.address[1];
    c.nodes[1].config.seeds[0] = "no port";
    assert_int_equal(kit_start_fails(&c.nodes[1], &info), ERR_SYNTAX);
    assert_non_null(strstr(info.text, "seed no port"));
    c.nodes[1].config.seeds[0] = c.address[0];
    kit_start(&c.nodes[1]);
    wait_linked(&c.nodes[0], &c.nodes[1]);
    cluster_fini(&c, 2);
}

/* A slip in the configuration, and the start is refused. Nothing of the wrong name may be kept: once the slip is
 * mended, all the others would be told of a member that never was. */
static void a_start_under_a_name_that_is_not_its_own(void **state)
{
    struct cluster c;
    struct err_info info = {{0}, 0, 0};
    (void)state;
    cluster_init(&c, 1);
    struct kit *k = &c.nodes[0];
    k->config.node = "n9";
    assert_int_equal(kit_start_fails(k, &info), ERR_AUTH);
    assert_non_null(strstr(info.text, "/tls/node.pem: is the certificate of node n1, but this node is n9"));
    k->config.node = k->name;
    kit_start(k);
    assert_int_equal(repl_member_count(k->node.repl), 1);
    cluster_fini(&c, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_start_under_a_name_that_is_not_its_own),
        cmocka_unit_test(a_command_for_another_node),
        cmocka_unit_test(either_side_of_a_relay_stops),
        cmocka_unit_test(receipts_name_who_has_it),
        cmocka_unit_test(who_was_evicted_stays_out),
        cmocka_unit_test(a_mesh_port_in_use),
        cmocka_unit_test(a_new_node_takes_a_snapshot),
        cmocka_unit_test(deletions_are_forgotten_by_all_at_once),
        cmocka_unit_test(a_node_that_met_nobody),
        cmocka_unit_test(an_origin_that_goes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
