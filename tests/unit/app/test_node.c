/* The life of a node: starts that fail at each step say why and leave nothing behind; a stop in any state; what a
 * configuration can change without a restart; the verdict. */
#include "kit.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "proto/plan_codec.h"

static void fails_with(struct kit *k, enum err expected, const char *part)
{
    struct err_info info;
    enum err e = kit_start_fails(k, &info);
    if (e != expected) fail_msg("%s: %s", err_name(e), info.text);
    if (strstr(info.text, part) == NULL) fail_msg("\"%s\" is not in \"%s\"", part, info.text);
}

/* A socket of somebody else's; its port. */
static int occupy(int type, unsigned *port)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t n = sizeof at;
    int fd = socket(AF_INET, type | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&at, sizeof at), 0);
    if (type == SOCK_STREAM) assert_int_equal(listen(fd, 1), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&at, &n), 0);
    *port = ntohs(at.sin_port);
    return fd;
}

static void starts_that_fail_leave_nothing_behind(void **state)
{
    struct kit k;
    char text[80];
    unsigned port = 0;
    (void)state;
    kit_init(&k, NULL);

    /* the data directory */
    k.config.data = "/proc/nothing/here";
    fails_with(&k, ERR_IO, "data: /proc/nothing/here");
    k.config.data = k.data;
    struct store *other = kit_store_open(&k);
    fails_with(&k, ERR_EXISTS, "is in use by the process");
    kit_store_close(other);

    /* the control socket */
    k.config.control = "/proc/nothing/control";
    fails_with(&k, ERR_NOTFOUND, "the control socket's directory /proc/nothing");
    k.config.control = k.control;
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    memcpy(at.sun_path, k.control, strlen(k.control) + 1);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&at, sizeof at), 0);
    assert_int_equal(listen(fd, 1), 0);
    fails_with(&k, ERR_EXISTS, "another process answers at");
    (void)close(fd);

    /* SIP */
    fd = occupy(SOCK_DGRAM, &port);
    (void)snprintf(text, sizeof text, "udp:127.0.0.1:%u", port);
    k.config.sip_listen[0] = text;
    fails_with(&k, ERR_EXISTS, text);
    (void)close(fd);
    k.config.sip_listen[0] = "tls:127.0.0.1:0";
    fails_with(&k, ERR_AUTH, "");
    k.config.sip_listen[0] = "udp:127.0.0.1:0";

    /* http, the last one: everything else is open by then */
    fd = occupy(SOCK_STREAM, &port);
    (void)snprintf(text, sizeof text, "127.0.0.1:%u", port);
    k.config.http = text;
    fails_with(&k, ERR_EXISTS,
               " is already in use: stop the program that holds it (ss -ltnp lists them) or give http ");
    (void)close(fd);
    k.config.http = "nowhere:80";
    fails_with(&k, ERR_SYNTAX, "http: 'nowhere:80' is no address");
    k.config.http = "127.0.0.1:0";

    kit_start(&k); /* and after all that it starts */
    kit_fini(&k);
}

static void write_file(const struct kit *k, const char *name, const char *text)
{
    char path[200];
    (void)snprintf(path, sizeof path, "%s/tls/%s", k->data, name);
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    assert_true(fputs(text, f) >= 0);
    assert_int_equal(fclose(f), 0);
}

static void a_mesh_without_its_files(void **state)
{
    struct kit k;
    char path[200];
    (void)state;
    kit_init(&k, NULL);
    k.config.mesh = true;
    k.config.mesh_listen = "127.0.0.1:0";
    fails_with(&k, ERR_NOTFOUND, "this node has not joined a cluster");
    (void)snprintf(path, sizeof path, "%s/tls", k.data);
    assert_int_equal(mkdir(path, 0700), 0);
    write_file(&k, "cluster", "test-00000000\n");
    write_file(&k, "cluster.key", "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f\n");
    write_file(&k, "ca.pem", "no certificate\n");
    write_file(&k, "node.pem", "no certificate\n");
    write_file(&k, "node.key", "no key\n");
    fails_with(&k, ERR_AUTH, "tls/");
    kit_fini(&k);
}

static void a_stop_at_once_and_twice(void **state)
{
    struct kit k;
    (void)state;
    kit_init(&k, NULL);
    k.config.http = "127.0.0.1:0";
    kit_start(&k);
    node_stop(&k.node, 0);
    node_stop(&k.node, 5000);
    kit_stop(&k);
    for (int i = 0; i < 5; i++) { /* and again in the same place */
        kit_start(&k);
        kit_stop(&k);
    }
    kit_fini(&k);
}

/* ---- what a start remembers ---- */

static uint64_t incarnation(struct kit *k)
{
    return repl_member_at(k->node.repl, 0).incarnation;
}

static void a_clock_that_was_set_back(void **state)
{
    struct kit k;
    (void)state;
    kit_init(&k, NULL);
    struct store *s = kit_store_open(&k);
    struct member_note own = {.incarnation = UINT64_C(1) << 45, .status = MEMBER_ALIVE}; /* in the year 3084 */
    own.mesh_address = own.site = SLICE("");
    assert_int_equal(node_name_set(&own.name, SLICE("n1")), ERR_OK);
    assert_int_equal(store_submit_member(s, &own, 1), ERR_OK);
    kit_store_wait(s);
    kit_store_close(s);
    kit_start(&k);
    assert_int_equal(incarnation(&k), own.incarnation + 1);
    kit_stop(&k);
    kit_start(&k);
    assert_int_equal(incarnation(&k), own.incarnation + 2);
    kit_fini(&k);
}

/* ---- reload ---- */

static void a_changed_configuration(void **state)
{
    struct kit k;
    (void)state;
    kit_init(&k, NULL);
    kit_start(&k);
    struct config fresh = k.config;
    fresh.log_level = LOG_DEBUG;
    node_reload(&k.node, &fresh);
    assert_int_equal(k.node.log.max, LOG_DEBUG);
    assert_false(kit_logged(&k, "restart-needed"));
    fresh.log_level = LOG_ERROR; /* which the sink holds to: what is remembered gets there all the same */
    fresh.sip_listen[1] = "tcp:127.0.0.1:0";
    fresh.sip_listen_count = 2;
    fresh.http = "127.0.0.1:1";
    fresh.data = "/elsewhere";
    fresh.seeds[0] = "127.0.0.1:1";
    fresh.seed_count = 1; /* without a mesh there is nobody to dial */
    node_reload(&k.node, &fresh);
    assert_int_equal(k.node.log.max, LOG_INFO);
    assert_true(kit_logged(&k, "main/restart-needed key=sip.listen "));
    assert_true(kit_logged(&k, "main/restart-needed key=http "));
    assert_true(kit_logged(&k, "main/restart-needed key=data "));
    assert_false(kit_logged(&k, "key=control"));
    assert_true(kit_logged(&k, "main/reloaded log=error seeds=1"));
    assert_string_equal(k.node.config.data, k.data); /* as it was */
    kit_fini(&k);
}

/* ---- the verdict ---- */

static const char *verdict(struct kit *k)
{
    static char text[LIMIT_TEXT];
    node_verdict(&k->node, text, sizeof text);
    return text;
}

static void members_that_are_away_or_behind(void **state)
{
    struct kit k;
    (void)state;
    kit_init(&k, NULL);
    struct store *s = kit_store_open(&k);
    kit_store_plan(s, "plan: 1\nsites: { hq: {} }\n");
    kit_store_member(s, "n2", "campus", MEMBER_DEAD);
    kit_store_member(s, "left", "campus", MEMBER_LEFT);
    kit_store_member(s, "out", "campus", MEMBER_EVICTED);
    kit_store_close(s);
    kit_start(&k);
    assert_string_equal(verdict(&k), "1 of 2 nodes cannot be reached (n2): see clusterctl nodes");
    struct buf health = {0};
    assert_true(node_fit(&k.node, &health)); /* this node is fit, whoever is away */
    buf_fini(&health);
    kit_heartbeat(&k, "n2", "campus"); /* of another plan: that is news only when it lasts */
    verdict_look(&k.node);
    assert_string_equal(verdict(&k), "ok");
    k.node.out_of_step_since = (struct mono){1};
    assert_string_equal(verdict(&k), "1 node is catching up with the plan: see clusterctl nodes");
    k.node.plan_stored_at = node_mono(); /* our own change is on its way */
    assert_string_equal(verdict(&k), "ok");
    k.node.plan_stored_at = (struct mono){0};
    kit_heartbeat(&k, "n3", "campus");
    assert_string_equal(verdict(&k), "2 nodes are catching up with the plan: see clusterctl nodes");
    (void)snprintf(k.node.alarm, sizeof k.node.alarm, "something is wrong");
    k.node.alarm_at = node_mono();
    assert_string_equal(verdict(&k), "something is wrong");
    k.node.alarm_at.us -= UINT64_C(1000) * (VERDICT_ALARM_MS + 1);
    assert_non_null(strstr(verdict(&k), "catching up"));
    kit_fini(&k);
}

static bool one_is_banned(void *ctx)
{
    return edge_guarded(((struct node *)ctx)->edge).bans == 1;
}

/* The ban of another node arrives, and before it is stored the second's look comes by, which cannot see it yet. */
static void a_look_before_what_came_is_stored(void **state)
{
    struct kit k;
    struct buf packed = {0};
    struct wall now = node_wall();
    (void)state;
    kit_init(&k, NULL);
    kit_start(&k);
    kit_heartbeat(&k, "n2", "campus");
    struct source_ban ban = {SLICE("192.0.2.9"), SLICE("guesses"), now, {now.ms + 60000}};
    assert_int_equal(source_ban_pack(&ban, &packed), ERR_OK);
    struct state_record record = {
        .epoch = 1, .version = 1, .kind = STATE_BAN, .key = ban.source, .value = buf_view(&packed)};
    assert_int_equal(node_name_set(&record.owner, SLICE("n2")), ERR_OK);
    struct vector_entry upto = {.origin = record.owner, .epoch = 1, .high = 1};
    struct repl_message m = {.type = REPL_PUSH, .from = record.owner};
    m.push = (struct repl_push){.records = &record, .record_count = 1, .state_upto = &upto, .state_upto_count = 1};
    struct repl_event push = {.type = REPL_EV_MESSAGE, .peer = record.owner, .message = &m};
    replica_feed(&k.node, &push);
    bans_look(&k.node);
    kit_until(&k, one_is_banned, &k.node, "the ban to hold");
    buf_fini(&packed);
    kit_fini(&k);
}

/* A ban lasts as long as it was made for, also when the clock was far ahead at the time and has been set since. */
static void a_ban_of_a_clock_that_was_ahead(void **state)
{
    struct kit k;
    struct client c = {0};
    struct buf packed = {0};
    struct wall later = {node_wall().ms + INT64_C(10) * 365 * 86400 * 1000};
    (void)state;
    kit_init(&k, NULL);
    struct store *s = kit_store_open(&k);
    struct source_ban ban = {SLICE("192.0.2.9"), SLICE("guesses"), later, {later.ms + 600000}};
    assert_int_equal(source_ban_pack(&ban, &packed), ERR_OK);
    kit_store_record(s, k.name, 1, STATE_BAN, ban.source, buf_view(&packed));
    kit_store_close(s);
    kit_start(&k);
    assert_true(one_is_banned(&k.node));
    bans_look(&k.node);
    kit_turn(&k, 200);
    client_ask(&c, &k, "bans", NULL, NULL);
    assert_int_equal(client_count(&c, "ban"), 1);
    assert_in_range(control_get_int(client_record(&c, "ban", 0), "left_s", 0), 590, 600);
    client_close(&c);
    buf_fini(&packed);
    kit_fini(&k);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(starts_that_fail_leave_nothing_behind),
        cmocka_unit_test(a_mesh_without_its_files),
        cmocka_unit_test(a_stop_at_once_and_twice),
        cmocka_unit_test(a_clock_that_was_set_back),
        cmocka_unit_test(a_changed_configuration),
        cmocka_unit_test(members_that_are_away_or_behind),
        cmocka_unit_test(a_look_before_what_came_is_stored),
        cmocka_unit_test(a_ban_of_a_clock_that_was_ahead),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
