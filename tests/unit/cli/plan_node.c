/* plan_node: see the header. */
#include "tests/unit/cli/plan_node.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "node/plan/lint.h"
#include "proto/plan_codec.h"

static void send_object(struct control_reply *r, struct slice key, const struct plan_object *o)
{
    struct arena arena = {0};
    struct control_builder b;
    struct control_record record;
    struct buf packed = {0};
    if (plan_object_pack(o, &packed) != ERR_OK) abort();
    control_record_start(&b, &arena, "object");
    control_text(&b, "key", key);
    control_bytes(&b, "packed", buf_view(&packed));
    if (control_record_done(&b, &record) == ERR_OK) control_reply_record(r, &record);
    buf_fini(&packed);
    arena_fini(&arena);
}

static void do_show(void *ctx, const struct control_request *q, struct control_reply *r)
{
    struct plan_node *p = ctx;
    struct slice prefix = control_get_text(&q->args, "object");
    size_t shown = 0;
    fake_say(r, "plan", "digest", PLAN_NODE_DIGEST, NULL);
    for (size_t i = 0; i < p->plan.object_count; i++) {
        char key[PLAN_KEY_MAX];
        struct slice k = {key, plan_object_key_text(&p->plan.objects[i], key)};
        if (!slice_starts(k, prefix)) continue;
        send_object(r, k, &p->plan.objects[i]);
        shown++;
    }
    bool none = prefix.n > 0 && shown == 0;
    control_reply_end(r, none ? 1 : 0, none ? SLICE("no such object; look elsewhere") : SLICE_NONE);
}

static void do_apply(void *ctx, const struct control_request *q, struct control_reply *r)
{
    struct plan_node *p = ctx;
    struct control_frame f = {.type = CONTROL_FRAME_REQUEST, .request = *q};
    buf_reset(&p->request);
    p->applies++;
    if (control_frame_pack(&f, &p->request) != ERR_OK) abort();
    if (p->moved > 0) {
        p->moved--;
        control_reply_end(r, 3, SLICE("the plan moved"));
        return;
    }
    fake_say(r, "applied", "change", "here/1/7", "added", "#1", "changed", "#0", "removed", "#0", "digest",
             PLAN_NODE_DIGEST, NULL);
    control_reply_end(r, 0, SLICE_NONE);
}

/* The plan with the request's objects over it; what they say of themselves is taken as it is. */
static size_t after_of(const struct plan_node *p, const struct control_request *q, struct arena *arena,
                       const struct plan_object **after)
{
    const struct control_field *puts = control_find(&q->args, "puts");
    const struct control_field *deletes = control_find(&q->args, "deletes");
    size_t n = 0;
    for (size_t i = 0; i < puts->item_count; i++) {
        struct plan_object *o = arena_alloc(arena, sizeof *o);
        if (o == NULL || plan_object_unpack(arena, control_get_text(&puts->items[i], "packed"), o, NULL) != ERR_OK)
            abort();
        if (control_get_int(&puts->items[i], "keep", 0) != 0) o->account.secret.set = true;
        after[n++] = o;
    }
    for (size_t i = 0; i < p->plan.object_count; i++) {
        char key[PLAN_KEY_MAX];
        struct slice k = {key, plan_object_key_text(&p->plan.objects[i], key)};
        bool over = false;
        for (size_t j = 0; j < puts->item_count; j++)
            over = over || slice_eq(control_get_text(&puts->items[j], "key"), k);
        for (size_t j = 0; j < deletes->item_count; j++)
            over = over || slice_eq(control_get_text(&deletes->items[j], "key"), k);
        if (!over) after[n++] = &p->plan.objects[i];
    }
    return n;
}

static void do_diff(void *ctx, const struct control_request *q, struct control_reply *r)
{
    struct plan_node *p = ctx;
    struct arena arena = {0};
    struct lint_report report;
    const struct plan_object *before[64];
    const struct plan_object *after[64];
    for (size_t i = 0; i < p->plan.object_count; i++)
        before[i] = &p->plan.objects[i];
    size_t count = after_of(p, q, &arena, after);
    if (plan_lint_change(&arena, before, p->plan.object_count, after, count, &report) != ERR_OK) abort();
    for (size_t i = 0; i < report.count; i++) {
        const struct lint_finding *f = &report.findings[i];
        fake_say(r, "finding", "severity", f->severity == LINT_ERROR ? "error" : "warning", "id", f->id, "object",
                 arena_printf(&arena, "%.*s", SLICE_ARG(f->object)), "line", "#0", "text",
                 arena_printf(&arena, "%.*s", SLICE_ARG(f->text)), NULL);
    }
    fake_say(r, "op", "action", "add", "object", "an/operation", NULL);
    control_reply_end(r, report.count > 0 ? 3 : 0, SLICE_NONE);
    arena_fini(&arena);
}

void plan_node_file(struct plan_node *p, const char *name)
{
    (void)snprintf(p->file, sizeof p->file, "%s/%s", p->dir, name);
}

static int by_key(const void *left, const void *right)
{
    char a[PLAN_KEY_MAX];
    char b[PLAN_KEY_MAX];
    struct slice key_a = {a, plan_object_key_text(left, a)};
    struct slice key_b = {b, plan_object_key_text(right, b)};
    return slice_cmp(key_a, key_b);
}

void plan_node_start(struct plan_node *p, const char *yaml)
{
    static const struct control_command commands[] = {
        {"plan show", do_show}, {"plan apply", do_apply}, {"plan diff", do_diff}};
    struct err_info info = {.text = ""};
    *p = (struct plan_node){.applies = 0};
    if (plan_document_parse(&p->arena, slice_of(yaml), &p->plan, &info) != ERR_OK) fail_msg("%s", info.text);
    qsort(p->plan.objects, p->plan.object_count, sizeof *p->plan.objects, by_key);
    for (size_t i = 0; i < p->plan.object_count; i++) {
        struct plan_object *o = &p->plan.objects[i];
        if (o->kind != PLAN_ACCOUNT || o->account.password.n == 0) continue;
        assert_int_equal(plan_account_hash_password(&o->account, SLICE("a.example")), ERR_OK);
        o->account.password = SLICE_NONE;
    }
    (void)snprintf(p->dir, sizeof p->dir, "/tmp/tandem-plan-XXXXXX");
    assert_non_null(mkdtemp(p->dir));
    plan_node_file(p, "t.csv");
    fake_node_start(&p->node, commands, sizeof commands / sizeof commands[0], p);
}

void plan_node_stop(struct plan_node *p)
{
    fake_node_stop(&p->node);
    (void)unlink(p->file);
    assert_int_equal(rmdir(p->dir), 0);
    buf_fini(&p->request);
    arena_fini(&p->arena);
}

void plan_node_write(const struct plan_node *p, const char *text)
{
    FILE *f = fopen(p->file, "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(text, 1, strlen(text), f), strlen(text));
    assert_int_equal(fclose(f), 0);
}

void plan_node_run(const struct plan_node *p, const char *line, int status, const char *out, const char *err)
{
    char whole[1024];
    const char *at = strchr(line, '%');
    if (at != NULL)
        (void)snprintf(whole, sizeof whole, "%.*s%s%s", (int)(at - line), line, p->file, at + 1);
    else
        (void)snprintf(whole, sizeof whole, "%s", line);
    expect_run_has(p->node.path, whole, status, out, err);
}

struct control_record plan_node_heard(const struct plan_node *p, struct arena *arena)
{
    struct control_frame f;
    size_t used = 0;
    assert_int_equal(control_frame_unpack(arena, buf_view(&p->request), &f, &used), ERR_OK);
    return f.request.args;
}

void plan_node_change(const struct plan_node *p, struct buf *out)
{
    struct arena arena = {0};
    struct control_record args = plan_node_heard(p, &arena);
    const struct control_field *puts = control_find(&args, "puts");
    const struct control_field *deletes = control_find(&args, "deletes");
    const struct plan_object **list = arena_alloc(&arena, (puts->item_count + 1) * sizeof *list);
    assert_non_null(list);
    for (size_t i = 0; i < puts->item_count; i++) {
        struct plan_object *o = arena_alloc(&arena, sizeof *o);
        assert_non_null(o);
        assert_int_equal(plan_object_unpack(&arena, control_get_text(&puts->items[i], "packed"), o, NULL), ERR_OK);
        list[i] = o;
    }
    buf_reset(out);
    assert_int_equal(plan_document_write(list, puts->item_count, out), ERR_OK);
    for (size_t i = 0; i < deletes->item_count; i++)
        buf_printf(out, "- %.*s\n", SLICE_ARG(control_get_text(&deletes->items[i], "key")));
    buf_add(out, "", 1);
    arena_fini(&arena);
}

bool plan_node_mentions(const struct plan_node *p, const char *text)
{
    return memmem(p->request.p, p->request.n, text, strlen(text)) != NULL;
}
