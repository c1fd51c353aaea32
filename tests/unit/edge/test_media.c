/* What the media relay may say, or not say. Here it is a socket that says each byte; what the real one makes of a call
 * stands in tests/system/test_media.py. */
#include "call_kit.h"

#define SDP "v=0\r\nc=IN IP4 10.9.0.1\r\nm=audio 4000 RTP/AVP 8\r\n"
#define LED "v=0\r\nc=IN IP4 192.0.2.5\r\nm=audio 30000 RTP/AVP 8\r\n"
#define OTHER_LED "v=0\r\nc=IN IP4 192.0.2.5\r\nm=audio 30002 RTP/AVP 8\r\n"

static struct relay {
    int fd;
    struct sockaddr_in from;
    char in[65536];
} relay;

static int relayed_open(void **state)
{
    static char address[32];
    struct ua u;
    ua_open(&u);
    relay.fd = u.fd;
    (void)snprintf(address, sizeof address, "127.0.0.1:%u", u.port);
    kit_media = address;
    int status = world_open(state);
    kit_media = NULL;
    return status;
}

static int relayed_close(void **state)
{
    int status = world_close(state);
    (void)close(relay.fd);
    return status;
}

static bool relay_receive(void)
{
    socklen_t len = sizeof relay.from;
    ssize_t n = recvfrom(relay.fd, relay.in, sizeof relay.in - 1, 0, (struct sockaddr *)&relay.from, &len);
    if (n < 0) return false;
    relay.in[n] = '\0';
    return true;
}

/* The next question of that kind; what else is asked meanwhile is passed over. */
static void relay_expect(struct kit *k, const char *command)
{
    char text[64];
    uint64_t end = kit_ms() + KIT_PATIENCE_MS;
    (void)snprintf(text, sizeof text, "7:command%zu:%s", strlen(command), command);
    do {
        while (!relay_receive()) {
            kit_turn(k, relay.fd);
            if (kit_ms() > end) fail_msg("%s was not asked", command);
        }
    } while (strstr(relay.in, text) == NULL);
}

static void relay_send(const char *cookie, int cookie_len, const char *words)
{
    char text[70000];
    int n = snprintf(text, sizeof text, "%.*s %s", cookie_len, cookie, words);
    assert_int_equal(sendto(relay.fd, text, (size_t)n, 0, (struct sockaddr *)&relay.from, sizeof relay.from), n);
}

/* To the last question. */
static void relay_say(const char *words)
{
    relay_send(relay.in, (int)strcspn(relay.in, " "), words);
}

static void relay_describes(const char *sdp)
{
    static char words[70000];
    (void)snprintf(words, sizeof words, "d3:sdp%zu:%s6:result2:oke", strlen(sdp), sdp);
    relay_say(words);
}

/* What the last question calls the place that the description is for; "" when it does not. */
static const char *relay_branch(char out[32])
{
    const char *at = strstr(relay.in, "10:via-branch16:");
    (void)snprintf(out, 32, "%.16s", at != NULL ? at + strlen("10:via-branch16:") : "");
    return out;
}

static void invite(struct world *w)
{
    ua_request(&w->a, &w->n, &(struct request){.method = "INVITE", .branch = "1", .body = SDP});
    relay_expect(&w->k, "offer");
}

static uint64_t counted(const struct world *w, const char *name)
{
    return kit_count(&w->n, "media", name);
}

/* Answers the last request, with a description. */
static void reply(struct ua *u, unsigned code, const char *more)
{
    char lines[256];
    struct buf b = {0};
    (void)snprintf(lines, sizeof lines, "%sContent-Type: application/sdp\r\n%s", contact_line(u), more);
    assert_int_equal(sip_response_build(&u->v, code, SLICE("OK"), SLICE("callee"), SLICE(""), 0, slice_of(lines), &b),
                     ERR_OK);
    b.n -= strlen("Content-Length: 0\r\n\r\n");
    buf_printf(&b, "Content-Length: %zu\r\n\r\n%s", strlen(SDP), SDP);
    ua_send_bytes(u, ntohs(u->from.sin_port), b.p, b.n);
    buf_fini(&b);
}

/* ---- requests ---- */

static void what_it_says_goes_on(void **state)
{
    struct world *w = *state;
    invite(w);
    assert_non_null(strstr(relay.in, "7:call-id"));
    assert_non_null(strstr(relay.in, "call-1;caller;1/pbx"));
    assert_non_null(strstr(relay.in, "8:from-tag6:caller"));
    assert_null(strstr(relay.in, "6:to-tag"));
    relay_describes(LED);
    ua_expect(&w->k, &w->b, "INVITE");
    assert_true(slice_is(w->b.v.body, LED));
}

/* None of it is taken for an answer; the answer is still waited for. */
static void what_is_no_answer(void **state)
{
    struct world *w = *state;
    invite(w);
    relay_say("");
    relay_say("d3:sdp99:short6:result2:oke");
    relay_say("l6:result2:oke");
    relay_send("ffffffffffffffff", 16, "d3:sdp1:x6:result2:oke");
    relay_send("no-number-and-far-too-long-for-one", 34, "d3:sdp1:x6:result2:oke");
    kit_until(&w->k, counted(w, "bad_replies") == 3 && counted(w, "late_replies") == 2);
    ua_expect_nothing(&w->k, &w->b);
    relay_describes(LED);
    ua_expect(&w->k, &w->b, "INVITE");
    relay_describes(LED); /* once more */
    kit_until(&w->k, counted(w, "late_replies") == 3);
    ua_expect_nothing(&w->k, &w->b);
}

static void a_stranger_is_not_heard(void **state)
{
    struct world *w = *state;
    char text[256];
    invite(w);
    (void)snprintf(text, sizeof text, "%.*s d3:sdp1:x6:result2:oke", (int)strcspn(relay.in, " "), relay.in);
    ua_send_bytes(&w->c, ntohs(relay.from.sin_port), text, strlen(text));
    ua_expect_nothing(&w->k, &w->b);
    relay_describes(LED);
    ua_expect(&w->k, &w->b, "INVITE");
    assert_true(slice_is(w->b.v.body, LED));
    assert_int_equal(counted(w, "late_replies") + counted(w, "bad_replies"), 0);
}

/* What is wrong with the description is the caller's matter; with the relay, ours: he may try another way. */
static void what_it_refuses(void **state)
{
    static const struct {
        const char *words;
        unsigned code;
        const char *reason;
    } rows[] = {
        {"d12:error-reason19:Failed to parse SDP6:result5:errore", 488,
         "the media relay does not take the session description: Failed to parse SDP\""},
        {"d12:error-reason16:Ran out of ports6:result5:errore", 500, "the media relay refuses: Ran out of ports\""},
        {"d6:result10:load limite", 500, "the media relay refuses: load limit\""},
        {"d6:result2:oke", 500, "the media relay refuses\""}, /* it has no description */
        {"d3:sdp0:6:result2:oke", 500, "the media relay refuses\""},
    };
    struct world *w = *state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char id[16];
        (void)snprintf(id, sizeof id, "r%zu", i);
        ua_request(&w->a, &w->n, &(struct request){.method = "INVITE", .branch = id, .call_id = id, .body = SDP});
        relay_expect(&w->k, "offer");
        relay_say(rows[i].words);
        ua_expect_code(&w->k, &w->a, rows[i].code);
        ua_has(&w->a, rows[i].reason);
        ua_expect_nothing(&w->k, &w->b);
        assert_int_equal(w->n.reports[w->n.report_count - 1].state, CALL_ENDED);
        relay_expect(&w->k, "delete");
    }
    assert_int_equal(counted(w, "refused"), sizeof rows / sizeof rows[0]);
}

/* A description that no message has room for. */
static void what_is_too_much(void **state)
{
    static char long_sdp[66000];
    struct world *w = *state;
    memset(long_sdp, 'a', 65300);
    invite(w);
    relay_describes(long_sdp);
    ua_expect_code(&w->k, &w->a, 500);
    ua_has(&w->a, "there is no room for the media relay's session description");
    ua_expect_nothing(&w->k, &w->b);
}

/* It is asked three times, then it is known to be away: what comes then is refused at once. */
static void it_says_nothing(void **state)
{
    struct world *w = *state;
    invite(w);
    relay_expect(&w->k, "offer");
    relay_expect(&w->k, "offer");
    ua_expect_code(&w->k, &w->a, 500);
    ua_has(&w->a, "Reason: SIP;cause=500;text=\"the media relay does not answer\"");
    assert_in_range(counted(w, "silences"), 1, 2); /* a ping was under way too */
    struct edge_media seen = edge_media(w->n.edge);
    assert_true(!seen.up && seen.since.ms > 0);
    uint64_t offers = counted(w, "offers");
    ua_request(&w->a, &w->n, &(struct request){.method = "INVITE", .branch = "2", .call_id = "call-2", .body = SDP});
    ua_expect_code(&w->k, &w->a, 500);
    assert_int_equal(counted(w, "offers"), offers);

    relay_expect(&w->k, "ping"); /* it is looked for */
    relay_say("d6:result4:ponge");
    kit_until(&w->k, edge_media(w->n.edge).up);
    ua_request(&w->a, &w->n, &(struct request){.method = "INVITE", .branch = "3", .call_id = "call-3", .body = SDP});
    relay_expect(&w->k, "offer");
    relay_describes(LED);
    ua_expect(&w->k, &w->b, "INVITE");
}

/* One question was lost; another, asked no earlier, was answered: it is there. */
static void it_lost_one_question(void **state)
{
    struct world *w = *state;
    invite(w);
    ua_request(&w->a, &w->n, &(struct request){.method = "INVITE", .branch = "2", .call_id = "call-2", .body = SDP});
    do {
        relay_expect(&w->k, "offer");
    } while (strstr(relay.in, "call-2;") == NULL);
    relay_describes(LED);
    ua_expect(&w->k, &w->b, "INVITE");
    ua_expect_code(&w->k, &w->a, 500);
    assert_true(edge_media(w->n.edge).up);
}

static void who_hangs_up_meanwhile(void **state)
{
    struct world *w = *state;
    invite(w);
    ua_request(&w->a, &w->n, &(struct request){.method = "CANCEL", .branch = "1"});
    ua_expect_code(&w->k, &w->a, 200);
    relay_describes(LED);
    ua_expect_code(&w->k, &w->a, 487);
    ua_expect_nothing(&w->k, &w->b);
    relay_expect(&w->k, "delete");
}

/* ---- several places ---- */

/* The next target gets ports of its own, by which its answer is known. */
static void each_place_has_its_own(void **state)
{
    struct world *w = *state;
    char first[32];
    char second[32];
    char answered_by[32];
    (void)kit_target(&w->n, "trunk/second", w->c.port);
    invite(w);
    (void)relay_branch(first);
    relay_describes(LED);
    ua_expect(&w->k, &w->b, "INVITE");
    ua_reply(&w->b, 503, "");
    relay_expect(&w->k, "offer");
    (void)relay_branch(second);
    relay_describes(OTHER_LED);
    ua_expect(&w->k, &w->c, "INVITE");
    assert_true(slice_is(w->c.v.body, OTHER_LED));
    assert_int_equal(strlen(first), 16);
    assert_int_equal(strlen(second), 16);
    assert_string_not_equal(first, second);
    reply(&w->c, 200, "");
    relay_expect(&w->k, "answer");
    assert_string_equal(relay_branch(answered_by), second);
}

/* The callee b, and c with it, which ring together. */
static void fork_to_c(struct world *w)
{
    kit_add_hop(&w->n, w->c.port);
    w->n.hops[0][1].with_previous = true;
    invite(w);
    relay_describes(LED);
    ua_expect(&w->k, &w->b, "INVITE");
    relay_expect(&w->k, "offer");
}

static void several_ring_together(void **state)
{
    struct world *w = *state;
    fork_to_c(w);
    relay_describes(OTHER_LED);
    ua_expect(&w->k, &w->c, "INVITE");
    assert_true(slice_is(w->b.v.body, LED) && slice_is(w->c.v.body, OTHER_LED));
}

/* While the second waits for the relay the first one fails, refuses for all, or answers. */
static void one_fails_while_the_other_waits(void **state)
{
    struct world *w = *state;
    fork_to_c(w);
    ua_reply(&w->b, 486, "");
    ua_expect(&w->k, &w->b, "ACK");
    ua_expect_nothing(&w->k, &w->a);
    relay_describes(OTHER_LED);
    ua_expect(&w->k, &w->c, "INVITE");
    ua_reply(&w->c, 480, "");
    ua_expect_code(&w->k, &w->a, 486);
}

static void one_refuses_for_all_while_the_other_waits(void **state)
{
    struct world *w = *state;
    fork_to_c(w);
    ua_reply(&w->b, 603, "");
    ua_expect(&w->k, &w->b, "ACK");
    relay_describes(OTHER_LED);
    ua_expect_code(&w->k, &w->a, 603);
    ua_expect_nothing(&w->k, &w->c);
}

static void one_answers_while_the_other_waits(void **state)
{
    struct world *w = *state;
    fork_to_c(w);
    ua_reply(&w->b, 200, contact_line(&w->b));
    ua_expect_code(&w->k, &w->a, 200);
    relay_describes(OTHER_LED);
    ua_expect_nothing(&w->k, &w->c);
}

/* The one that rings may still take the call. */
static void the_relay_refuses_the_second(void **state)
{
    struct world *w = *state;
    fork_to_c(w);
    relay_say("d12:error-reason16:Ran out of ports6:result5:errore");
    kit_until(&w->k, counted(w, "requests_refused") == 1);
    ua_expect_nothing(&w->k, &w->a);
    ua_reply(&w->b, 200, contact_line(&w->b));
    ua_expect_code(&w->k, &w->a, 200);
}

/* ---- responses ---- */

/* Who offers, and who answers. */
static void relay_expect_between(struct world *w, const char *command, const char *from, const char *to)
{
    char text[64];
    relay_expect(&w->k, command);
    (void)snprintf(text, sizeof text, "8:from-tag6:%s", from);
    assert_non_null(strstr(relay.in, text));
    (void)snprintf(text, sizeof text, "6:to-tag6:%s", to);
    assert_non_null(strstr(relay.in, text));
}

static void answered(struct world *w)
{
    invite(w);
    relay_describes(LED);
    ua_expect(&w->k, &w->b, "INVITE");
    reply(&w->b, 200, "");
    relay_expect_between(w, "answer", "caller", "callee");
}

/* Inside the dialog, from the caller, with a description. The response that made the dialog is w->a's last message. */
static void request_inside(struct world *w, const char *method, const char *call_id, unsigned cseq, const char *more)
{
    char routes[512];
    char lines[640];
    char uri[64];
    ua_route_set(&w->a.v, true, routes, sizeof routes);
    (void)snprintf(lines, sizeof lines, "%s%s", routes, more);
    (void)snprintf(uri, sizeof uri, "sip:ua@127.0.0.1:%u", w->b.port);
    ua_request(&w->a, &w->n,
               &(struct request){.method = method,
                                 .uri = uri,
                                 .branch = method,
                                 .call_id = call_id,
                                 .to = CALLEE,
                                 .cseq = cseq,
                                 .lines = lines,
                                 .body = SDP});
}

/* Of an INVITE without an offer the callee makes it, and the ACK, or the PRACK of a reliable response, answers. */
static void the_offer_in_a_response(void **state)
{
    static const char *const answering[] = {"ACK", "PRACK"};
    struct world *w = *state;
    for (int i = 0; i < 2; i++) {
        const char *id = answering[i];
        bool prack = i == 1;
        ua_request(&w->a, &w->n, &(struct request){.method = "INVITE", .branch = id, .call_id = id});
        ua_expect(&w->k, &w->b, "INVITE");
        reply(&w->b, prack ? 183 : 200, prack ? "Require: 100rel\r\nRSeq: 1\r\n" : "");
        relay_expect_between(w, "offer", "callee", "caller");
        relay_describes(LED);
        ua_expect_code(&w->k, &w->a, prack ? 183 : 200);
        if (!slice_is(w->a.v.body, LED)) fail_msg("%d:\n%s", i, w->a.in);
        request_inside(w, id, id, prack ? 2 : 1, prack ? "RAck: 1 1 INVITE\r\n" : "");
        relay_expect_between(w, "answer", "callee", "caller");
        relay_describes(LED);
        ua_expect(&w->k, &w->b, id);
        assert_true(slice_is(w->b.v.body, LED));
    }
}

/* A PRACK after an answer makes an offer of its own. */
static void an_offer_in_a_prack(void **state)
{
    struct world *w = *state;
    invite(w);
    relay_describes(LED);
    ua_expect(&w->k, &w->b, "INVITE");
    reply(&w->b, 183, "Require: 100rel\r\nRSeq: 1\r\n");
    relay_expect_between(w, "answer", "caller", "callee");
    relay_describes(LED);
    ua_expect_code(&w->k, &w->a, 183);
    request_inside(w, "PRACK", NULL, 2, "RAck: 1 1 INVITE\r\n");
    relay_expect_between(w, "offer", "caller", "callee");
    relay_describes(LED);
    ua_expect(&w->k, &w->b, "PRACK");
    reply(&w->b, 200, "");
    relay_expect_between(w, "answer", "caller", "callee");
}

/* The call is there, and must be able to end: its 200 is not kept back. */
static void an_answer_that_is_refused_goes_on(void **state)
{
    struct world *w = *state;
    answered(w);
    relay_say("d12:error-reason15:Unknown call-id6:result5:errore");
    ua_expect_code(&w->k, &w->a, 200);
    assert_true(slice_is(w->a.v.body, SDP));
    assert_int_equal(counted(w, "passed_as_they_came"), 1);
}

static void an_answer_without_room(void **state)
{
    static char long_sdp[66000];
    struct world *w = *state;
    memset(long_sdp, 'a', 65300);
    answered(w);
    relay_describes(long_sdp);
    ua_expect_code(&w->k, &w->a, 200);
    assert_true(slice_is(w->a.v.body, SDP));
}

static void an_answer_that_nobody_gives(void **state)
{
    struct world *w = *state;
    answered(w);
    ua_expect_code(&w->k, &w->a, 200);
    assert_true(slice_is(w->a.v.body, SDP));
    assert_int_equal(counted(w, "passed_as_they_came"), 1);
}

/* Of a call whose offer was answered: it has no place there, and is nobody's answer. */
static void an_ack_that_describes_again(void **state)
{
    struct world *w = *state;
    answered(w);
    relay_describes(LED);
    ua_expect_code(&w->k, &w->a, 200);
    request_inside(w, "ACK", NULL, 1, "");
    ua_expect(&w->k, &w->b, "ACK");
    assert_true(slice_is(w->b.v.body, SDP));
    assert_int_equal(counted(w, "answers"), 1);
}

/* ---- the end ---- */

static void closing_while_it_is_asked(void **state)
{
    struct world *w = *state;
    invite(w);
    kit_close(&w->k, &w->n, 0);
    ua_expect_code(&w->k, &w->a, 503);
    ua_expect_nothing(&w->k, &w->b);
}

static void closing_while_an_answer_waits(void **state)
{
    struct world *w = *state;
    answered(w);
    kit_close(&w->k, &w->n, 0);
}

#define RELAYED(test) cmocka_unit_test_setup_teardown(test, relayed_open, relayed_close)

int main(void)
{
    const struct CMUnitTest tests[] = {
        RELAYED(what_it_says_goes_on),
        RELAYED(what_is_no_answer),
        RELAYED(a_stranger_is_not_heard),
        RELAYED(what_it_refuses),
        RELAYED(what_is_too_much),
        RELAYED(it_says_nothing),
        RELAYED(it_lost_one_question),
        RELAYED(who_hangs_up_meanwhile),
        RELAYED(each_place_has_its_own),
        RELAYED(several_ring_together),
        RELAYED(one_fails_while_the_other_waits),
        RELAYED(one_refuses_for_all_while_the_other_waits),
        RELAYED(one_answers_while_the_other_waits),
        RELAYED(the_relay_refuses_the_second),
        RELAYED(the_offer_in_a_response),
        RELAYED(an_offer_in_a_prack),
        RELAYED(an_answer_that_is_refused_goes_on),
        RELAYED(an_answer_without_room),
        RELAYED(an_answer_that_nobody_gives),
        RELAYED(an_ack_that_describes_again),
        RELAYED(closing_while_it_is_asked),
        RELAYED(closing_while_an_answer_waits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
