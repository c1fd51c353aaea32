/* See rig.h. */
#include "rig.h"

#include <stdarg.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static void sink(void *ctx, enum log_level level, const char *module, const char *ev, const char *pairs)
{
    struct rig *r = ctx;
    if (strcmp(ev, "link-refused") == 0 || strcmp(ev, "hello-refused") == 0) {
        size_t at = strlen(r->refusals);
        (void)snprintf(r->refusals + at, sizeof r->refusals - at, "%s\n", pairs);
    }
    if (getenv("TANDEM_TEST_LOG") != NULL)
        (void)fprintf(stderr, "%s %s ev=%s %s\n", log_level_name(level), module, ev, pairs);
}

static void on_beat(uv_timer_t *t)
{
    (void)t;
}

void rig_init(struct rig *r)
{
    *r = (struct rig){.dir = "/tmp/tandem-mesh-XXXXXX"};
    assert_non_null(mkdtemp(r->dir));
    r->log = (struct log){.max = LOG_DEBUG, .sink = sink, .ctx = r};
    assert_int_equal(uv_loop_init(&r->loop), 0);
    assert_int_equal(uv_timer_init(&r->loop, &r->beat), 0);
    assert_int_equal(uv_timer_start(&r->beat, on_beat, 5, 5), 0);
    rig_ca(r, "ca", r->cluster);
}

static void remove_files(uv_loop_t *loop, const char *dir)
{
    uv_fs_t scan;
    uv_dirent_t entry;
    if (uv_fs_scandir(loop, &scan, dir, 0, NULL) >= 0) {
        while (uv_fs_scandir_next(&scan, &entry) != UV_EOF) {
            char path[400];
            (void)snprintf(path, sizeof path, "%s/%s", dir, entry.name);
            if (entry.type == UV_DIRENT_DIR) {
                remove_files(loop, path);
            } else {
                (void)unlink(path);
            }
        }
    }
    uv_fs_req_cleanup(&scan);
    (void)rmdir(dir);
}

void rig_fini(struct rig *r)
{
    remove_files(&r->loop, r->dir);
    uv_close((uv_handle_t *)&r->beat, NULL);
    /* What a test closed by itself ends here; after a failed one there is more, which never ends. */
    uint64_t end = uv_hrtime() + RIG_WAIT_MS * UINT64_C(1000000);
    while (uv_run(&r->loop, UV_RUN_NOWAIT) != 0 && uv_hrtime() < end)
        (void)usleep(1000);
    assert_int_equal(uv_loop_close(&r->loop), 0); /* nothing was left open */
}

void rig_ca(struct rig *r, const char *ca, char out[LIMIT_NAME + 1])
{
    char dir[128];
    (void)snprintf(dir, sizeof dir, "%s/%s", r->dir, ca);
    assert_int_equal(pki_ca_init(dir, SLICE("test"), out, NULL), ERR_OK);
}

static void write_text(const char *path, struct slice text, mode_t mode)
{
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(text.p, 1, text.n, f), text.n);
    assert_int_equal(fclose(f), 0);
    assert_int_equal(chmod(path, mode), 0);
}

static void issue(struct rig *r, const char *ca, const char *node, const struct pki_request *request)
{
    struct arena arena = {0};
    struct pki_identity id;
    char path[200];
    (void)snprintf(path, sizeof path, "%s/%s", r->dir, ca);
    assert_int_equal(pki_issue(&arena, path, request, &id, NULL), ERR_OK);
    (void)snprintf(path, sizeof path, "%s/%s.ca", r->dir, node);
    write_text(path, id.ca, 0644);
    (void)snprintf(path, sizeof path, "%s/%s.pem", r->dir, node);
    write_text(path, id.certificate, 0644);
    (void)snprintf(path, sizeof path, "%s/%s.key", r->dir, node);
    write_text(path, id.key, 0600);
    arena_fini(&arena);
}

void rig_identity(struct rig *r, const char *ca, const char *node, struct wall begins, unsigned days)
{
    issue(r, ca, node,
          &(struct pki_request){.node = slice_of(node), .site = SLICE("hq"), .begins = begins, .days = days});
}

void rig_identity_after(struct rig *r, const char *ca, const char *node, int64_t after_s)
{
    issue(r, ca, node, &(struct pki_request){.node = slice_of(node), .site = SLICE("hq"), .after_s = after_s});
}

/* ---- callbacks ---- */

static void on_certificate(void *ctx, const struct node_name *name, uint64_t issued)
{
    struct rig_node *n = ctx;
    (void)name;
    n->issued = issued;
}

static struct rig_peer *peer_of(struct rig_node *n, const struct node_name *name)
{
    for (size_t i = 0; i < RIG_PEERS; i++) {
        struct rig_peer *p = &n->peers[i];
        if (p->name.s[0] == '\0') p->name = *name;
        if (node_name_eq(&p->name, name)) return p;
    }
    fail_msg("more than %d peers", RIG_PEERS);
    return NULL;
}

static void on_link(void *ctx, const struct node_name *name, bool up)
{
    struct rig_node *n = ctx;
    struct rig_peer *p = peer_of(n, name);
    assert_int_not_equal(p->up, up); /* never the same twice */
    p->up = up;
    p->ups += up ? 1 : 0;
    p->downs += up ? 0 : 1;
    if (!up && n->on_down != NULL) n->on_down(n);
}

static void on_message(void *ctx, const struct node_name *from, const struct repl_message *m)
{
    struct rig_node *n = ctx;
    n->messages++;
    n->last_from = *from;
    assert_true(node_name_eq(from, &m->from));
    if (m->type == REPL_HEARTBEAT) {
        n->last_incarnation = m->heartbeat.incarnation;
        n->your_origin = m->heartbeat.your_plan.origin;
    }
    if (m->type != REPL_PUSH) return;
    n->records += m->push.record_count;
    for (size_t i = 0; i < m->push.record_count; i++) {
        struct slice v = m->push.records[i].value;
        n->record_bytes += v.n;
        for (size_t b = 0; b < v.n; b++)
            n->record_sum = n->record_sum * 31 + (unsigned char)v.p[b];
    }
}

static void on_sent(void *ctx, const struct node_name *peer, uint64_t token, enum err err, uint32_t rtt_us)
{
    struct rig_node *n = ctx;
    (void)peer;
    assert_true(err != ERR_OK || rtt_us > 0);
    n->sent[err]++;
    n->last_token = token;
    n->tokens_xor ^= token;
}

static void on_relay(void *ctx, const struct node_name *from, uint64_t id, struct slice request)
{
    struct rig_node *n = ctx;
    (void)from;
    n->relays++;
    n->relay_id = id;
    (void)snprintf(n->relay_text, sizeof n->relay_text, "%.*s", SLICE_ARG(request));
    if (n->answer_relays) assert_int_equal(mesh_relay_reply(n->mesh, id, SLICE("done")), ERR_OK);
}

static void on_relay_reply(void *ctx, uint64_t token, enum err err, struct slice reply)
{
    struct rig_node *n = ctx;
    n->relay_replies++;
    n->relay_token = token;
    n->relay_err = err;
    n->relay_reply_len = reply.n;
}

/* ---- life ---- */

struct node_name rig_name(const char *text)
{
    struct node_name name;
    assert_int_equal(node_name_set(&name, slice_of(text)), ERR_OK);
    return name;
}

static char *path_of(struct rig *r, const char *files, const char *ending)
{
    char *path = malloc(200);
    assert_non_null(path);
    (void)snprintf(path, 200, "%s/%s.%s", r->dir, files, ending);
    return path;
}

struct mesh_options rig_options(struct rig *r, struct rig_node *n, const char *files, const char *name,
                                const char *listen)
{
    *n = (struct rig_node){.rig = r, .name = rig_name(name)};
    return (struct mesh_options){.loop = &r->loop,
                                 .log = &r->log,
                                 .self = n->name,
                                 .cluster = slice_of(r->cluster),
                                 .listen = listen,
                                 .ca_file = path_of(r, files, "ca"),
                                 .cert_file = path_of(r, files, "pem"),
                                 .key_file = path_of(r, files, "key"),
                                 .seed = 1,
                                 .on_message = on_message,
                                 .on_sent = on_sent,
                                 .on_link = on_link,
                                 .on_certificate = on_certificate,
                                 .on_relay = on_relay,
                                 .on_relay_reply = on_relay_reply,
                                 .ctx = n};
}

static void open_one(struct rig *r, struct rig_node *n, const char *name, const char *listen, bool parks)
{
    struct err_info info = {0};
    struct mesh_options o = rig_options(r, n, name, name, listen);
    o.parks = parks;
    enum err err = mesh_open(&o, &n->mesh, &info);
    free((void *)(uintptr_t)o.ca_file);
    free((void *)(uintptr_t)o.cert_file);
    free((void *)(uintptr_t)o.key_file);
    if (err != ERR_OK) fail_msg("mesh_open %s: %s: %s", name, err_name(err), info.text);
}

void rig_open(struct rig *r, struct rig_node *n, const char *name, const char *listen)
{
    open_one(r, n, name, listen, false);
}

void rig_open_parks(struct rig *r, struct rig_node *n, const char *name)
{
    open_one(r, n, name, NULL, true);
}

static void on_closed(void *ctx)
{
    struct rig_node *n = ctx;
    n->mesh = NULL;
}

static bool is_closed(void *ctx)
{
    return ((struct rig_node *)ctx)->mesh == NULL;
}

void rig_close(struct rig_node *n)
{
    struct rig_node before = *n;
    mesh_close(n->mesh, on_closed, n);
    rig_wait(n->rig, is_closed, n, "mesh_close");
    assert_int_equal(n->messages, before.messages); /* no callback after mesh_close */
}

/* ---- waiting ---- */

void rig_wait(struct rig *r, bool (*done)(void *ctx), void *ctx, const char *what)
{
    uint64_t end = uv_hrtime() + RIG_WAIT_MS * UINT64_C(1000000);
    while (!done(ctx)) {
        if (uv_hrtime() > end) fail_msg("waited in vain for: %s", what);
        (void)uv_run(&r->loop, UV_RUN_ONCE);
    }
}

void rig_turn(struct rig *r, unsigned ms)
{
    uint64_t end = uv_hrtime() + ms * UINT64_C(1000000);
    while (uv_hrtime() < end)
        (void)uv_run(&r->loop, UV_RUN_ONCE);
}

struct wanted {
    struct rig_node *n;
    const char *peer;
    const char *text;
    uint64_t least;
};

bool rig_up(const struct rig_node *n, const char *peer)
{
    for (size_t i = 0; i < RIG_PEERS; i++) {
        if (strcmp(n->peers[i].name.s, peer) == 0) return n->peers[i].up;
    }
    return false;
}

static bool is_up(void *ctx)
{
    struct wanted *w = ctx;
    return rig_up(w->n, w->peer);
}

static bool is_down(void *ctx)
{
    return !is_up(ctx);
}

void rig_wait_up(struct rig_node *n, const char *peer)
{
    struct wanted w = {.n = n, .peer = peer};
    rig_wait(n->rig, is_up, &w, peer);
}

void rig_wait_down(struct rig_node *n, const char *peer)
{
    struct wanted w = {.n = n, .peer = peer};
    rig_wait(n->rig, is_down, &w, peer);
}

static bool has_text(void *ctx)
{
    struct wanted *w = ctx;
    struct node_name name = rig_name(w->peer);
    char text[LIMIT_TEXT];
    mesh_link_text(w->n->mesh, &name, text, sizeof text);
    return strstr(text, w->text) != NULL;
}

void rig_wait_text(struct rig_node *n, const char *peer, const char *part)
{
    struct wanted w = {.n = n, .peer = peer, .text = part};
    rig_wait(n->rig, has_text, &w, part);
}

uint64_t rig_counter(const struct rig_node *n, const char *counter)
{
    const struct counter_table *t = mesh_counters(n->mesh);
    for (size_t i = 0; i < t->count; i++) {
        if (strcmp(t->names[i], counter) == 0) return counter_get(&t->values[i]);
    }
    fail_msg("no counter %s", counter);
    return 0;
}

static bool has_counted(void *ctx)
{
    struct wanted *w = ctx;
    return rig_counter(w->n, w->text) >= w->least;
}

void rig_wait_counter(struct rig_node *n, const char *counter, uint64_t least)
{
    struct wanted w = {.n = n, .text = counter, .least = least};
    rig_wait(n->rig, has_counted, &w, counter);
}

/* ---- messages ---- */

enum err rig_beat(struct rig_node *n, const char *peer, uint64_t incarnation, uint64_t token)
{
    struct node_name name = rig_name(peer);
    struct repl_message m = {.type = REPL_HEARTBEAT};
    m.heartbeat.incarnation = incarnation;
    return mesh_send(n->mesh, &name, &m, token);
}

enum err rig_push(struct rig_node *n, const char *peer, size_t count, size_t value_len, uint64_t token, uint64_t *sum)
{
    struct node_name name = rig_name(peer);
    struct repl_message m = {.type = REPL_PUSH};
    struct state_record *records = calloc(count, sizeof *records);
    char *bytes = malloc(count * value_len + 1);
    assert_true(records != NULL && bytes != NULL);
    *sum = 0;
    for (size_t i = 0; i < count * value_len; i++) {
        bytes[i] = (char)(i * 7 + i / 251);
        *sum = *sum * 31 + (unsigned char)bytes[i];
    }
    for (size_t i = 0; i < count; i++) {
        records[i] = (struct state_record){.owner = n->name, .epoch = 1, .version = i + 1, .kind = STATE_BINDING};
        records[i].key = SLICE("6001");
        records[i].value = (struct slice){bytes + i * value_len, value_len};
    }
    m.push.records = records;
    m.push.record_count = count;
    enum err err = mesh_send(n->mesh, &name, &m, token);
    free(records);
    free(bytes);
    return err;
}
