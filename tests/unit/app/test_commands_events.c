/* What a node says of its latest events, and which of them the node itself makes: changes of the plan, stalls. */
#include "commands_kit.h"

/* Of what was remembered so far. */
static uint64_t newest(struct kit *k)
{
    static struct event list[EVENTS_KEPT];
    uint64_t gone = 0;
    size_t count = events_copy(k->kept, 0, list, &gone);
    return count > 0 ? list[count - 1].number : 0;
}

/* "events" with numbers or texts: name, value, ..., NULL; "#5" is a number. */
static void ask_events(struct client *c, struct kit *k, ...)
{
    struct control_builder b;
    va_list ap;
    *c = (struct client){.kit = k};
    control_record_start(&b, &c->arena, "");
    va_start(ap, k);
    for (const char *name = va_arg(ap, const char *); name != NULL; name = va_arg(ap, const char *)) {
        const char *value = va_arg(ap, const char *);
        if (value[0] == '#') {
            control_int(&b, name, strtoll(value + 1, NULL, 10));
        } else {
            control_text(&b, name, slice_of(value));
        }
    }
    va_end(ap);
    client_ask(c, k, "events", "", &b);
}

/* The i-th that is no stall: a machine with much to do may have one at any time. NULL: there are not so many. */
static const struct control_record *told(struct client *c, size_t i)
{
    for (size_t k = 0; k < client_count(c, "event"); k++) {
        const struct control_record *r = client_record(c, "event", k);
        if (slice_is(control_get_text(r, "module"), "loop")) continue;
        if (i-- == 0) return r;
    }
    return NULL;
}

static size_t told_count(struct client *c)
{
    size_t n = 0;
    while (told(c, n) != NULL)
        n++;
    return n;
}

/* "warn prober/trunk-down trunk=a" */
static const char *line(const struct control_record *r)
{
    static char text[EVENTS_TEXT + 80];
    (void)snprintf(text, sizeof text, "%.*s %.*s/%.*s %.*s", SLICE_ARG(control_get_text(r, "level")),
                   SLICE_ARG(control_get_text(r, "module")), SLICE_ARG(control_get_text(r, "event")),
                   SLICE_ARG(control_get_text(r, "text")));
    return text;
}

static const char *number_text(char out[32], int64_t n)
{
    (void)snprintf(out, 32, "#%lld", (long long)n);
    return out;
}

static void chosen_ones_in_order(void **state)
{
    struct kit k;
    struct client c;
    char run[32];
    char after[32];
    char at[32];
    (void)state;
    open_node(&k);
    const char *of_run = number_text(run, k.node.started.ms);
    const char *behind = number_text(after, (int64_t)newest(&k));
    log_event(&k.node.log, LOG_INFO, "mesh", "link-up", "peer=%s", "n2");
    log_event(&k.node.log, LOG_WARN, "prober", "trunk-down", "trunk=%s", "a");
    log_event(&k.node.log, LOG_ERROR, "mesh", "listener-dead", "%s", "");
    events_add(k.kept, (struct wall){5000}, LOG_INFO, "mesh", "link-down", "peer=n2", 4);

    ask_events(&c, &k, "run", of_run, "after", behind, NULL);
    assert_int_equal(c.status, 0);
    assert_string_equal(c.text, "");
    assert_int_equal(told_count(&c), 4);
    assert_string_equal(line(told(&c, 0)), "info mesh/link-up peer=n2");
    assert_string_equal(line(told(&c, 1)), "warn prober/trunk-down trunk=a");
    assert_string_equal(line(told(&c, 2)), "error mesh/listener-dead ");
    assert_string_equal(line(told(&c, 3)), "info mesh/link-down peer=n2");
    const struct control_record *last = told(&c, 3);
    assert_string_equal(field_text(&c, last, "time"), "1970-01-01T00:00:05.000Z");
    assert_string_equal(field_text(&c, last, "node"), "n1");
    assert_int_equal(control_get_int(last, "suppressed", -1), 4);
    assert_int_equal(control_get_int(last, "run", -1), k.node.started.ms);
    assert_true(control_get_int(last, "number", -1) > control_get_int(told(&c, 2), "number", -1));
    assert_int_equal(control_get_int(told(&c, 0), "suppressed", -1), -1);
    client_close(&c);

    ask_events(&c, &k, "run", of_run, "after", behind, "level", "warn", NULL);
    assert_int_equal(told_count(&c), 2);
    client_close(&c);
    ask_events(&c, &k, "run", of_run, "after", behind, "level", "error", NULL);
    assert_int_equal(told_count(&c), 1);
    client_close(&c);
    ask_events(&c, &k, "run", of_run, "after", behind, "module", "mesh", "limit", "#2", NULL);
    assert_int_equal(told_count(&c), 2);
    assert_string_equal(line(told(&c, 0)), "error mesh/listener-dead ");
    client_close(&c);
    ask_events(&c, &k, "until_ms", "#5000", NULL);
    assert_int_equal(told_count(&c), 1);
    client_close(&c);
    ask_events(&c, &k, "since_ms", "#5001", "until_ms", number_text(at, node_wall().ms), "module", "prober", NULL);
    assert_int_equal(told_count(&c), 1);
    client_close(&c);
    ask_events(&c, &k, "run", "#7", "after", number_text(after, (int64_t)newest(&k)), NULL); /* of another run */
    assert_int_equal(control_get_int(client_record(&c, "event", 0), "number", -1), 1);
    client_close(&c);
    ask_events(&c, &k, "level", "debug", NULL);
    assert_int_equal(c.status, 2);
    assert_string_equal(c.text, "the level of events is error, warn or info");
    client_close(&c);
    kit_fini(&k);
}

static void what_is_gone_is_said(void **state)
{
    struct kit k;
    struct client c;
    char at[32];
    (void)state;
    open_node(&k);
    for (unsigned i = 0; i < 2 * EVENTS_KEPT; i++)
        log_event(&k.node.log, LOG_WARN, "mesh", "hello-refused", "n=%u", i);
    ask_events(&c, &k, NULL);
    assert_int_equal(client_count(&c, "event"), EVENTS_KEPT);
    assert_non_null(strstr(c.text, "node n1 remembers its latest 1000 events; 10"));
    client_close(&c);
    ask_events(&c, &k, "limit", "#20", NULL); /* who wants a few misses nothing */
    assert_int_equal(client_count(&c, "event"), 20);
    assert_string_equal(c.text, "");
    client_close(&c);
    ask_events(&c, &k, "since_ms", number_text(at, node_wall().ms + 60000), NULL);
    assert_int_equal(client_count(&c, "event"), 0);
    assert_string_equal(c.text, "");
    client_close(&c);
    kit_fini(&k);
}

static void changes_of_the_plan_are_events(void **state)
{
    struct kit k;
    struct client c;
    (void)state;
    open_node(&k);
    kit_plan(&k, "plan: 1\nsites: { lab: {}, more: {} }\n");
    ask_events(&c, &k, "module", "plan", "limit", "#1", NULL);
    assert_int_equal(client_count(&c, "event"), 1);
    assert_non_null(strstr(line(client_record(&c, "event", 0)), "info plan/changed change=n1/"));
    assert_non_null(strstr(line(client_record(&c, "event", 0)), " objects=2 author=\""));
    client_close(&c);
    kit_fini(&k);
}

static void hold_up(uv_timer_t *t)
{
    uv_sleep(150);
    uv_close((uv_handle_t *)t, NULL);
}

static bool stall_told(void *ctx)
{
    return kit_logged(ctx, "loop/stalled times=");
}

static void a_stall_is_an_event(void **state)
{
    struct kit k;
    struct client c;
    uv_timer_t once;
    (void)state;
    open_node(&k);
    ask_events(&c, &k, NULL); /* the loop has turned */
    client_close(&c);
    kit_forget_log(&k);
    assert_int_equal(uv_timer_init(k.loop, &once), 0);
    assert_int_equal(uv_timer_start(&once, hold_up, 0, 0), 0);
    kit_until(&k, stall_told, &k, "the stall to be told");
    ask_events(&c, &k, "module", "loop", "limit", "#1", NULL);
    assert_int_equal(client_count(&c, "event"), 1);
    assert_non_null(strstr(line(client_record(&c, "event", 0)), "warn loop/stalled times="));
    unsigned long longest =
        strtoul(strstr(line(client_record(&c, "event", 0)), "longest_ms=") + strlen("longest_ms="), NULL, 10);
    assert_true(longest >= 100);
    client_close(&c);
    kit_fini(&k);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(chosen_ones_in_order),
        cmocka_unit_test(what_is_gone_is_said),
        cmocka_unit_test(changes_of_the_plan_are_events),
        cmocka_unit_test(a_stall_is_an_event),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
