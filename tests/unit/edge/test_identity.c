/* Who is said to call, and who is told: every pair of inside and outside, requests and responses, over real sockets. */
#include "call_kit.h"

#define SAID                                                                                                           \
    "P-Asserted-Identity: <sip:100@pbx.example>\r\n"                                                                   \
    "Diversion: <sip:200@pbx.example>;reason=unconditional\r\n"                                                        \
    "History-Info: <sip:300@pbx.example>;index=1\r\n"                                                                  \
    "P-Preferred-Identity: <sip:400@pbx.example>\r\n"                                                                  \
    "Remote-Party-ID: <sip:500@pbx.example>;party=calling\r\n"

/* What of it is in the message: one letter each. */
static const char *seen(const struct ua *u)
{
    static char text[8];
    size_t n = 0;
    if (strstr(u->in, "P-Asserted-Identity: <sip:100@pbx") != NULL) text[n++] = 'A';
    if (strstr(u->in, "Diversion: ") != NULL) text[n++] = 'D';
    if (strstr(u->in, "History-Info: ") != NULL) text[n++] = 'H';
    if (strstr(u->in, "P-Preferred-Identity: ") != NULL) text[n++] = 'P';
    if (strstr(u->in, "Remote-Party-ID: ") != NULL) text[n++] = 'R';
    text[n] = '\0';
    return text;
}

static void requests_and_responses(void **state)
{
    static const struct {
        bool from;
        bool to;
        const char *privacy;
        const char *request;  /* what the callee sees */
        const char *response; /* what the caller sees of the same in the 200 */
    } cases[] = {
        {true, true, "", "ADHPR", "ADHPR"},
        {true, true, "Privacy: user;id\r\n", "ADHPR", "ADHPR"},
        {true, false, "", "AP", ""},
        {true, false, "Privacy: user;id\r\n", "P", ""},
        {true, false, "Privacy: none\r\n", "AP", ""},
        {false, true, "", "", "AP"},
        {false, true, "Privacy: id\r\n", "", "P"},
        {false, false, "", "", ""},
    };
    struct world *w = *state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char name[8];
        char lines[512];
        w->n.trunk_inside = cases[i].from;
        w->n.targets[0].inside = cases[i].to;
        (void)snprintf(name, sizeof name, "i%zu", i);
        (void)snprintf(lines, sizeof lines, "%s%s", SAID, cases[i].privacy);
        ua_request(&w->a, &w->n,
                   &(struct request){.method = "INVITE", .branch = name, .call_id = name, .lines = lines});
        ua_expect(&w->k, &w->b, "INVITE");
        assert_string_equal(seen(&w->b), cases[i].request);
        (void)snprintf(lines, sizeof lines, "%s%s%s", SAID, cases[i].privacy, contact_line(&w->b));
        ua_reply(&w->b, 200, lines);
        ua_expect_code(&w->k, &w->a, 200);
        assert_string_equal(seen(&w->a), cases[i].response);
        ua_lacks(&w->b, "P-Asserted-Identity: <sip:6001");
    }
}

/* A re-INVITE from a phone asserts nothing either, and neither does its answer; the address says who is inside. */
static void inside_a_dialog(void **state)
{
    struct world *w = *state;
    char routes[512];
    char lines[1024];
    char uri[64];
    w->n.trunk_inside = true; /* w->a, by its port; w->b is nobody that the plan knows */
    call_up(w, routes, sizeof routes);
    (void)snprintf(uri, sizeof uri, "sip:ua@127.0.0.1:%u", w->b.port);
    (void)snprintf(lines, sizeof lines, "%s%s", routes, SAID);
    ua_request(
        &w->a, &w->n,
        &(struct request){.method = "INVITE", .branch = "r1", .uri = uri, .to = CALLEE, .cseq = 2, .lines = lines});
    ua_expect(&w->k, &w->b, "INVITE");
    assert_string_equal(seen(&w->b), "AP");
    (void)snprintf(lines, sizeof lines, "%s%s", SAID, contact_line(&w->b));
    ua_reply(&w->b, 200, lines);
    ua_expect_code(&w->k, &w->a, 200);
    assert_string_equal(seen(&w->a), "");
}

/* Calls as account 6001 with lines; the INVITE is in w->b again at the end. */
static void call_as_account(struct world *w, const char *branch, const char *lines)
{
    char uri[64];
    char credentials[1024];
    char all[2048];
    char second[16];
    w->n.trunk_port = 0;
    (void)snprintf(uri, sizeof uri, "sip:8123@127.0.0.1:%u", w->n.port);
    (void)snprintf(second, sizeof second, "%s-2", branch);
    ua_request(&w->a, &w->n, &(struct request){.method = "INVITE", .branch = branch, .call_id = branch});
    ua_expect_code(&w->k, &w->a, 407);
    ua_authorize(&w->a, "secret", "INVITE", uri, credentials, sizeof credentials);
    (void)snprintf(all, sizeof all, "%s%s", credentials, lines);
    ua_request(&w->a, &w->n,
               &(struct request){.method = "INVITE", .branch = second, .call_id = branch, .cseq = 2, .lines = all});
    ua_expect(&w->k, &w->b, "INVITE");
    ua_keep(&w->b);
    ua_reply(&w->b, 486, "");
    ua_expect(&w->k, &w->b, "ACK");
    ua_expect_code(&w->k, &w->a, 486);
    memcpy(w->b.in, w->b.kept, sizeof w->b.in);
}

static void an_account_gets_its_own(void **state)
{
    struct world *w = *state;
    call_as_account(w, "p1", SAID); /* the phone claims to be 100, and would like to be 400 */
    ua_has(&w->b, "P-Asserted-Identity: <sip:6001@example.org>\r\n");
    assert_string_equal(seen(&w->b), "");
    call_as_account(w, "p2", "Privacy: id\r\n");
    ua_lacks(&w->b, "P-Asserted-Identity");
    w->n.targets[0].inside = true; /* inside it is told nevertheless */
    call_as_account(w, "p3", "Privacy: id\r\n");
    ua_has(&w->b, "P-Asserted-Identity: <sip:6001@example.org>\r\n");
    w->n.numbers[0] = SLICE("4");
    w->n.number_count = 1;
    call_as_account(w, "p4", SAID); /* 400 is behind it */
    ua_has(&w->b, "P-Asserted-Identity: <sip:400@example.org>\r\n");
    w->n.numbers[0] = SLICE("1");
    call_as_account(w, "p5", SAID); /* and so is 100, its From */
    ua_has(&w->b, "P-Asserted-Identity: <sip:100@example.org>\r\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(requests_and_responses, world_open, world_close),
        cmocka_unit_test_setup_teardown(inside_a_dialog, world_open, world_close),
        cmocka_unit_test_setup_teardown(an_account_gets_its_own, world_open, world_close),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
