/* plan_send: the request of a change. It goes by what the sender looked at (base_digest), so that nobody's change in
 * between is overwritten, and it holds no clear text of an account. */
#include "cli/conn.h"
#include "cli/plan_run.h"
#include "cli/plan_stored.h"
#include "node/base/time.h"

static void allow_text(const struct tree_match *m, struct buf *out)
{
    for (size_t k = 0; tree_value_at(m, "allow", k) != NULL; k++) {
        buf_printf(out, "%s%s", k > 0 ? "," : "", tree_value_at(m, "allow", k));
    }
}

int plan_send_options_read(struct cli *c, const struct tree_match *m, struct plan_send_options *o)
{
    const char *wait = tree_value(m, "wait");
    const char *timeout = tree_value(m, "timeout");
    const char *base = tree_value(m, "base");
    const char *within = tree_value(m, "confirm-within");
    uint64_t n = 0;
    unsigned char digest[(PLAN_DIGEST_TEXT - 1) / 2];
    o->dry_run = o->dry_run || tree_given(m, "dry-run");
    if (tree_given(m, "effect") && !o->dry_run) {
        return cli_fail(c, CLI_USAGE, "--effect goes with --dry-run: look first, and apply then without both");
    }
    if (tree_given(m, "message")) o->message = tree_value(m, "message");
    if (!o->dry_run && o->message == NULL && !o->message_optional) {
        return cli_fail(c, CLI_USAGE, "say why the plan changes, for its history: -m MESSAGE");
    }
    if (wait != NULL && strcmp(wait, "live") != 0 && strcmp(wait, "all") != 0 &&
        slice_u64(slice_of(wait), LIMIT_MEMBERS, &n) != ERR_OK) {
        return cli_fail(c, CLI_USAGE, "--wait %s: it can be live, all, or a number of nodes", wait);
    }
    if (timeout != NULL && duration_parse(timeout, strlen(timeout), &o->timeout_ms) != ERR_OK) {
        return cli_fail(c, CLI_USAGE, "--timeout %s: write a time such as 500ms, 5s or 2m", timeout);
    }
    if (within != NULL &&
        (duration_parse(within, strlen(within), &o->confirm_within_ms) != ERR_OK || o->confirm_within_ms == 0)) {
        return cli_fail(c, CLI_USAGE, "--confirm-within %s: write a time such as 90s, 5m or 2h", within);
    }
    if (base != NULL && hex_decode(slice_of(base), digest, sizeof digest) != ERR_OK) {
        return cli_fail(c, CLI_USAGE,
                        "--base %s: a digest has %d hexadecimal digits, as in the first line of 'plan show'", base,
                        PLAN_DIGEST_TEXT - 1);
    }
    return plan_run_check_allow(c, m);
}

static enum err build_args(struct plan_run *p, const struct tree_match *m, const struct plan_send_options *o,
                           struct arena *arena, struct control_record *out)
{
    struct control_builder b;
    struct buf allow = {0};
    const char *base = tree_value(m, "base");
    struct slice digest = base != NULL ? slice_of(base) : p->file.digest;
    allow_text(m, &allow);
    if (o->allow != NULL) buf_printf(&allow, "%s%s", allow.n > 0 ? "," : "", o->allow);
    control_record_start(&b, arena, "");
    if (o->change != NULL) control_text(&b, "change", slice_of(o->change));
    if (digest.n > 0 && !o->dry_run) control_text(&b, "base_digest", digest);
    control_text(&b, "message", slice_of(o->message));
    control_text(&b, "allow", buf_view(&allow));
    control_bool(&b, "dry_run", o->dry_run);
    if (o->findings_only) control_bool(&b, "findings_only", true);
    control_bool(&b, "force", tree_given(m, "force"));
    if (tree_value(m, "wait") != NULL) control_text(&b, "wait", slice_of(tree_value(m, "wait")));
    if (o->timeout_ms > 0) control_int(&b, "timeout_ms", (int64_t)o->timeout_ms);
    if (o->confirm_within_ms > 0) control_int(&b, "confirm_within_ms", (int64_t)o->confirm_within_ms);
    enum err e = plan_file_args(&p->file, &b);
    if (e == ERR_OK) e = control_record_done(&b, out);
    if (allow.failed) e = ERR_NOMEM;
    buf_fini(&allow);
    return e;
}

/* ---- a new domain ---- */

/* Whether the change gives defaults to the plan or takes them away, and the domain after it. */
static bool touches_defaults(const struct plan_file *f, struct slice *domain)
{
    const struct plan_object *o = plan_file_object(f, SLICE("defaults"));
    *domain = o != NULL ? o->defaults.domain : SLICE_NONE;
    return plan_file_has(f, SLICE("defaults"));
}

/* The defaults and accounts as they would be. */
static size_t overlay(const struct plan_file *f, const struct plan_stored *stored, const struct plan_object **after)
{
    size_t n = 0;
    for (size_t i = 0; i < f->doc.object_count; i++)
        after[n++] = &f->doc.objects[i];
    for (size_t i = 0; i < stored->count; i++) {
        char key[PLAN_KEY_MAX];
        struct slice k = {key, plan_object_key_text(stored->objects[i], key)};
        if (!plan_file_has(f, k)) after[n++] = stored->objects[i];
    }
    return n;
}

static enum err find_stale(struct plan_run *p, const struct tree_match *m, struct plan_stored *stored)
{
    struct lint_finding finding;
    const struct plan_object **after =
        arena_alloc(&stored->arena, (stored->count + p->file.doc.object_count) * sizeof *after);
    if (after == NULL) return ERR_NOMEM;
    enum err e = plan_lint_domain(&stored->arena, stored->objects, stored->count, after,
                                  overlay(&p->file, stored, after), &finding, &p->domain);
    return e == ERR_OK && p->domain ? plan_run_finding(p, m, &finding) : e;
}

/* The node sees only that the plan after the change stands up; that stored passwords belong to the old domain shows in
 * the change alone. Accounts are asked for only where there is a new domain. */
static int check_domain(struct plan_run *p, const struct tree_match *m)
{
    struct plan_stored stored;
    struct slice domain;
    int status = CLI_DONE;
    if (!touches_defaults(&p->file, &domain)) return CLI_DONE;
    enum err e = plan_stored_init(&stored);
    if (e == ERR_OK) status = plan_stored_fetch(p->c, "defaults", &stored);
    if (e == ERR_OK && status == CLI_DONE && stored.count > 0 &&
        !slice_eq(stored.objects[0]->defaults.domain, domain)) {
        status = plan_stored_fetch(p->c, "account/", &stored);
        if (status == CLI_DONE) e = find_stale(p, m, &stored);
    }
    plan_stored_fini(&stored);
    return e == ERR_OK ? status : cli_fail_err(p->c, e, NULL);
}

/* ---- sending ---- */

/* Says the last word of the node, unless the caller will try again. */
static int say_end(struct plan_run *p, const struct plan_send_options *o, int status, struct slice text)
{
    p->moved = status == CLI_FINDINGS && p->findings == 0 && !o->dry_run;
    if (p->moved && o->try_again) return status;
    if (text.n > 0 && status == CLI_DONE) cli_note(p->c, text);
    if (text.n > 0 && status != CLI_DONE) (void)cli_fail(p->c, status, "%.*s", SLICE_ARG(text));
    if (p->moved && p->file.digest_written) {
        cli_note(p->c, SLICE("the document's first line says which plan it was made from: make it anew with 'plan "
                             "show', or take that line out if you know what has moved"));
    }
    return status;
}

int plan_send_args(struct plan_run *p, const struct plan_send_options *o, const struct control_record *args)
{
    struct buf end = {0};
    int status = conn_ask(p->c, &(struct conn_request){.command = o->command,
                                                       .args = args,
                                                       .bulk = plan_file_bulk(&p->file),
                                                       .patience_ms = CONN_PATIENCE_MS + o->timeout_ms,
                                                       .each = plan_run_reply,
                                                       .ctx = p,
                                                       .end_text = &end});
    status = say_end(p, o, status, buf_view(&end));
    buf_fini(&end);
    return status;
}

int plan_send(struct plan_run *p, const struct tree_match *m, const struct plan_send_options *o)
{
    struct arena arena = {0};
    struct control_record args;
    int status = plan_file_hash_passwords(p->c, &p->file);
    if (o->findings_only) p->findings_only = m;
    if (status == CLI_DONE) status = check_domain(p, m);
    if (status == CLI_DONE && !o->dry_run) status = plan_run_verdict(p, false);
    if (status != CLI_DONE) return status;
    enum err e = build_args(p, m, o, &arena, &args);
    status = e == ERR_OK ? plan_send_args(p, o, &args) : cli_fail_err(p->c, e, NULL);
    arena_fini(&arena);
    if (status == CLI_DONE && p->blocking > 0) status = CLI_FINDINGS;
    const bool decided = status == CLI_DONE || status == CLI_FINDINGS;
    return decided && o->dry_run && tree_given(m, "effect") ? plan_effect(p, status) : status;
}
