/* REGISTER over real sockets: proof, commit before 200, and every rule of RFC 3261 §10.3 that the registrar keeps. */
#include "call_kit.h"

#include "node/edge/contact.h"

struct phone {
    struct world *w;
    unsigned cseq;
    unsigned branch;
    char credentials[1024];
};

static void send_register(struct phone *p, const char *call_id, const char *lines)
{
    struct world *w = p->w;
    char all[4096];
    char branch[16];
    char uri[64];
    (void)snprintf(uri, sizeof uri, "sip:127.0.0.1:%u", w->n.port);
    (void)snprintf(all, sizeof all, "%s%s", p->credentials, lines);
    (void)snprintf(branch, sizeof branch, "r%u", ++p->branch);
    ua_send(&w->a, w->n.port,
            "REGISTER %s SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.1:%u;branch=z9hG4bK%s;rport\r\nMax-Forwards: 70\r\n"
            "From: <sip:6001@example.org>;tag=1\r\nTo: <sip:6001@example.org>\r\nCall-ID: %s\r\nCSeq: %u REGISTER\r\n%s"
            "User-Agent: Phone 1\r\nContent-Length: 0\r\n\r\n",
            uri, w->a.port, branch, call_id, p->cseq, all);
}

/* The round with the challenge; the answer to the second request has not been awaited. */
static void begin(struct phone *p, const char *password, const char *call_id, const char *lines)
{
    char uri[64];
    (void)snprintf(uri, sizeof uri, "sip:127.0.0.1:%u", p->w->n.port);
    p->credentials[0] = '\0';
    p->cseq++;
    send_register(p, call_id, lines);
    ua_expect_code(&p->w->k, &p->w->a, 401);
    ua_authorize(&p->w->a, password, "REGISTER", uri, p->credentials, sizeof p->credentials);
    p->cseq++;
    send_register(p, call_id, lines);
}

static void expect(struct phone *p, const char *lines, unsigned code)
{
    begin(p, "secret", "reg-1", lines);
    ua_expect_code(&p->w->k, &p->w->a, code);
}

#define CONTACT(port_text) "Contact: <sip:6001@127.0.0.1:" port_text ">"

/* What is granted for long is a little less than was asked for, and not the same for all. */
static void granted(struct ua *u, int from_s, int to_s)
{
    const char *text = strstr(u->in, ";expires=");
    assert_non_null(text);
    assert_in_range(atoi(text + 9), from_s, to_s);
}

static void registers_and_refreshes(void **state)
{
    struct phone p = {.w = *state};
    struct kit_node *n = &p.w->n;
    char received[64];
    expect(&p, CONTACT("7001") ";q=0.5\r\nExpires: 600\r\n", 200);
    ua_has(&p.w->a, CONTACT("7001") ";expires=600;q=0.500\r\n");
    const struct kit_binding *b = kit_find_binding(n, SLICE("sip:6001@127.0.0.1:7001"));
    assert_non_null(b);
    (void)snprintf(received, sizeof received, "udp:127.0.0.1:%u", p.w->a.port);
    assert_string_equal(b->received, received);
    assert_int_equal(b->cseq, 2);
    assert_int_equal(b->q_milli, 500);
    struct wall since = b->since;
    expect(&p, CONTACT("7001") "\r\n", 200);
    granted(&p.w->a, 3240, 3600);
    assert_int_equal(kit_binding_count(n), 1);
    assert_int_equal(b->since.ms, since.ms);
    assert_int_equal(b->cseq, 4);
    assert_int_equal(kit_count(n, "registrar", "registered"), 2);
}

static void the_contact_says_it_best(void **state)
{
    struct phone p = {.w = *state};
    expect(&p, "Expires: 600\r\n" CONTACT("7001") ";expires=120\r\n", 200);
    ua_has(&p.w->a, ";expires=120\r\n");
    expect(&p, CONTACT("7001") ";expires=999999999\r\n", 200);
    granted(&p.w->a, 3240, 3600);
    expect(&p, CONTACT("7001") ";expires=soon\r\n", 200);
    granted(&p.w->a, 3240, 3600);
}

static void goes_away(void **state)
{
    struct phone p = {.w = *state};
    expect(&p, CONTACT("7001") "\r\n", 200);
    expect(&p, CONTACT("7001") "\r\nExpires: 0\r\n", 200);
    ua_lacks(&p.w->a, "Contact:");
    assert_int_equal(kit_binding_count(&p.w->n), 0);
    expect(&p, CONTACT("7001") "\r\nExpires: 0\r\n", 200); /* once more does no harm, and writes nothing */
    assert_int_equal(p.w->n.writes, 2);
    expect(&p, CONTACT("7001") "\r\n" CONTACT("7002") "\r\n", 200);
    assert_int_equal(kit_binding_count(&p.w->n), 2);
    expect(&p, "Contact: *\r\nExpires: 0\r\n", 200);
    assert_int_equal(kit_binding_count(&p.w->n), 0);
}

static void asks(void **state)
{
    struct phone p = {.w = *state};
    expect(&p, "", 200);
    ua_lacks(&p.w->a, "Contact:");
    expect(&p, CONTACT("7001") "\r\n", 200);
    expect(&p, "", 200);
    granted(&p.w->a, 3240, 3600);
    assert_int_equal(p.w->n.writes, 1);
    assert_int_equal(kit_count(&p.w->n, "registrar", "queries"), 2);
}

/* ---- proof ---- */

static void wrong_proofs_look_alike(void **state)
{
    struct phone p = {.w = *state};
    struct kit_node *n = &p.w->n;
    char wrong[2048];
    begin(&p, "wrong", "reg-1", CONTACT("7001") "\r\n");
    ua_expect_code(&p.w->k, &p.w->a, 403);
    (void)snprintf(wrong, sizeof wrong, "%.*s", (int)(strstr(p.w->a.in, "Via") - p.w->a.in), p.w->a.in);
    n->disabled = true;
    begin(&p, "secret", "reg-1", CONTACT("7001") "\r\n");
    ua_expect_code(&p.w->k, &p.w->a, 403);
    ua_has(&p.w->a, wrong);
    n->disabled = false;
    assert_int_equal(kit_count(n, "edge", "auth_wrong"), 1);
    assert_int_equal(kit_count(n, "edge", "auth_disabled"), 1);
    /* An account that does not exist: the name is exchanged in otherwise right credentials. */
    begin(&p, "secret", "reg-1", "");
    ua_expect_code(&p.w->k, &p.w->a, 200);
    char *name = strstr(p.credentials, "6001");
    assert_non_null(name);
    memcpy(name, "6009", 4);
    p.cseq++;
    send_register(&p, "reg-1", "");
    ua_expect_code(&p.w->k, &p.w->a, 403);
    assert_int_equal(kit_count(n, "edge", "auth_unknown_account"), 1);
    assert_int_equal(kit_binding_count(n), 0);
}

static void credentials_work_once(void **state)
{
    struct phone p = {.w = *state};
    expect(&p, CONTACT("7001") "\r\n", 200);
    p.cseq++;
    send_register(&p, "reg-2", CONTACT("6666") "\r\n"); /* the same nonce and count, another wish */
    ua_expect_code(&p.w->k, &p.w->a, 401);
    ua_has(&p.w->a, "stale=true");
    assert_int_equal(kit_binding_count(&p.w->n), 1);
}

/* A REGISTER with that To and good credentials. */
static void expect_to(struct phone *p, const char *to, unsigned code)
{
    struct world *w = p->w;
    char uri[64];
    char branch[16];
    struct request r = {.method = "REGISTER", .branch = branch, .uri = uri, .to = to};
    (void)snprintf(uri, sizeof uri, "sip:127.0.0.1:%u", w->n.port);
    (void)snprintf(branch, sizeof branch, "t%u", ++p->branch);
    ua_request(&w->a, &w->n, &r);
    ua_expect_code(&w->k, &w->a, 401);
    ua_authorize(&w->a, "secret", "REGISTER", uri, p->credentials, sizeof p->credentials);
    (void)snprintf(branch, sizeof branch, "t%u", ++p->branch);
    r.cseq = 2;
    r.lines = p->credentials;
    ua_request(&w->a, &w->n, &r);
    ua_next(&w->k, &w->a);
    if (w->a.v.code != code) fail_msg("%s: %s", to, w->a.in);
}

static void not_for_others(void **state)
{
    struct phone p = {.w = *state};
    static const char *const own[] = {"<sip:6001@example.org>", "sip:6001@example.org", "<sip:%36001@example.org>",
                                      "\"6002\" <sip:6001@example.org;user=phone>"};
    static const char *const others[] = {"<sip:6002@example.org>", "<sip:60012@example.org>", "<sip:600@example.org>",
                                         "<sip:6001%40@example.org>", "<sip:6001>"};
    for (size_t i = 0; i < sizeof own / sizeof own[0]; i++)
        expect_to(&p, own[i], 200);
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++)
        expect_to(&p, others[i], 403);
    assert_int_equal(kit_count(&p.w->n, "registrar", "refused_other_account"), sizeof others / sizeof others[0]);
}

/* By whatever words of ours it is asked for, and by no others. */
static void asked_for_by_our_names(void **state)
{
    struct world *w = *state;
    static const struct {
        const char *uri; /* a # is our port */
        unsigned code;
    } uris[] = {{"sip:127.0.0.1:#", 401},
                {"sip:127.0.0.1:#;transport=udp", 401},
                {"sip:example.org", 401},
                {"sip:EXAMPLE.org", 401},
                {"sip:example.org:#", 401},
                {"sip:example.org.", 403},
                {"sip:example.orgs", 403},
                {"sip:127.0.0.1:1", 403},
                {"sip:6001@example.org", 403},
                {"sip:127.0.0.2:#", 403},
                {"sip:", 400},
                {"sip:6001@127.0.0.1:#", 403}};
    for (size_t i = 0; i < sizeof uris / sizeof uris[0]; i++) {
        char uri[64];
        char branch[16];
        size_t at = strcspn(uris[i].uri, "#");
        (void)snprintf(branch, sizeof branch, "u%zu", i);
        if (uris[i].uri[at] == '#') {
            (void)snprintf(uri, sizeof uri, "%.*s%u%s", (int)at, uris[i].uri, w->n.port, uris[i].uri + at + 1);
        } else {
            (void)snprintf(uri, sizeof uri, "%s", uris[i].uri);
        }
        ua_request(&w->a, &w->n, &(struct request){.method = "REGISTER", .branch = branch, .uri = uri});
        ua_next(&w->k, &w->a);
        if (w->a.v.code != uris[i].code) fail_msg("%s: %s", uri, w->a.in);
    }
}

static void no_domain_yet(void **state)
{
    struct phone p = {.w = *state};
    p.w->n.domain = "";
    expect(&p, CONTACT("7001") "\r\n", 200);
    assert_non_null(strstr(p.credentials, "realm=\"127.0.0.1\""));
}

/* ---- refusals ---- */

#define THROUGH(path) "Via: SIP/2.0/TCP 10.0.0.9;branch=z9hG4bKp\r\nSupported: path, outbound\r\nPath: " path "\r\n"
#define KEEPS "<sip:far;lr>, <sip:edge;lr;ob>"
#define DEVICE ";+sip.instance=\"<urn:uuid:1>\""

struct refusal {
    const char *name;
    const char *lines;
    unsigned code;
    const char *counter;
    const char *says;
};

static const struct refusal refusals[] = {
    {"too brief", CONTACT("7001") ";expires=59\r\n", 423, "refused_too_brief", "Min-Expires: 60"},
    {"star without Expires 0", "Contact: *\r\n", 400, "refused_contact", NULL},
    {"star with Expires", "Contact: *\r\nExpires: 60\r\n", 400, "refused_contact", NULL},
    {"star and another", "Contact: *, <sip:6001@127.0.0.1:7001>\r\nExpires: 0\r\n", 400, "refused_contact", NULL},
    {"another and star", "Contact: <sip:6001@127.0.0.1:7001>, *\r\nExpires: 0\r\n", 400, "refused_contact", NULL},
    {"tel", "Contact: <tel:+4930123>\r\n", 400, "refused_contact", NULL},
    {"no host", "Contact: <sip:6001@>\r\n", 400, "refused_contact", NULL},
    {"broken", "Contact: <sip:6001@h\r\n", 400, "refused_contact", NULL},
    {"our domain", "Contact: <sip:6001@example.org>\r\n", 403, "refused_own_address", "is this server itself"},
    {"nowhere", "Contact: <sip:6001@0.0.0.0>\r\n", 403, "refused_nowhere", "no call can be sent to"},
    {"multicast", "Contact: <sip:6001@224.0.1.75>\r\n", 403, "refused_nowhere", NULL},
    {"a trunk", "Contact: <sip:6001@192.0.2.9:7>\r\n", 403, "refused_trunk_address", "is a trunk of this server"},
    {"more than allowed", CONTACT("1") ", <sip:6001@127.0.0.1:2>, <sip:6001@127.0.0.1:3>\r\n", 403, "refused_too_many",
     NULL},
    {"first hop", THROUGH("<sip:edge;lr>") CONTACT("7001") DEVICE ";reg-id=1\r\n", 439, "refused_outbound",
     "First Hop Lacks Outbound Support"},
    {"no flow", THROUGH(KEEPS) CONTACT("7001") DEVICE ";reg-id=0\r\n", 400, "refused_contact", NULL},
    {"two flows", THROUGH(KEEPS) CONTACT("1") DEVICE ";reg-id=1, <sip:6001@127.0.0.1:2>" DEVICE ";reg-id=2\r\n", 400,
     "refused_contact", NULL},
    {"no device", CONTACT("7001") ";+sip.instance=\"urn:uuid:1\"\r\n", 400, "refused_contact", NULL},
    {"an extension", "Require: path, sec-agree\r\n" CONTACT("7001") "\r\n", 420, "refused_require",
     "Unsupported: sec-agree"},
};

static void refused(void **state)
{
    struct phone p = {.w = *state};
    p.w->n.trunk_port = 7;
    for (size_t i = 0; i < sizeof refusals / sizeof refusals[0]; i++) {
        const struct refusal *c = &refusals[i];
        uint64_t before = kit_count(&p.w->n, "registrar", c->counter);
        begin(&p, "secret", "reg-1", c->lines);
        ua_next(&p.w->k, &p.w->a);
        if (p.w->a.v.code != c->code) fail_msg("%s: %s", c->name, p.w->a.in);
        if (kit_count(&p.w->n, "registrar", c->counter) != before + 1)
            fail_msg("%s is not counted as %s", c->name, c->counter);
        if (c->says != NULL) ua_has(&p.w->a, c->says);
    }
    assert_int_equal(p.w->n.writes, 0);
}

static void our_own_address(void **state)
{
    struct phone p = {.w = *state};
    char contact[96];
    (void)snprintf(contact, sizeof contact, "Contact: <sip:6001@127.0.0.1:%u>\r\n", p.w->n.port);
    expect(&p, contact, 403);
}

static enum contact_fault fault_of(struct phone *p, const char *from, const char *uri)
{
    struct arena arena = {0};
    struct sip_uri parsed;
    struct flow flow = {.transport = PLAN_UDP};
    assert_int_equal(sock_address_parse(slice_of(from), 5070, &flow.remote), ERR_OK);
    assert_int_equal(sip_uri_parse(&arena, slice_of(uri), &parsed), ERR_OK);
    enum contact_fault fault = contact_check(p->w->n.edge, &flow, &parsed);
    arena_fini(&arena);
    return fault;
}

static void contacts_that_lead_astray(void **state)
{
    struct phone p = {.w = *state};
    assert_int_equal(fault_of(&p, "192.0.2.1", "sip:6001@192.0.2.1:5060"), CONTACT_FINE);
    assert_int_equal(fault_of(&p, "192.0.2.1", "sip:6001@10.0.0.1:5060"), CONTACT_FINE); /* behind NAT */
    assert_int_equal(fault_of(&p, "192.0.2.1", "sip:6001@phone.example.net"), CONTACT_FINE);
    assert_int_equal(fault_of(&p, "192.0.2.1", "sip:6001@127.0.0.1:7"), CONTACT_LOOPBACK);
    assert_int_equal(fault_of(&p, "192.0.2.1", "sip:6001@LocalHost"), CONTACT_LOOPBACK);
    assert_int_equal(fault_of(&p, "192.0.2.1", "sip:6001@[::1]"), CONTACT_LOOPBACK);
    assert_int_equal(fault_of(&p, "127.0.0.1", "sip:6001@127.8.0.1"), CONTACT_FINE);
    assert_int_equal(fault_of(&p, "192.0.2.1", "sip:6001@[::]"), CONTACT_NOWHERE);
    assert_int_equal(fault_of(&p, "192.0.2.1", "sip:6001@[ff02::1]"), CONTACT_NOWHERE);
    assert_int_equal(fault_of(&p, "192.0.2.1", "sip:6001@255.255.255.255"), CONTACT_NOWHERE);
    /* By the address of a trunk that is looked after, trusted or not; by name only as it is written. */
    struct edge_trunk trunks[] = {
        {.trunk = SLICE("a"), .address = SLICE("192.0.2.7:5070"), .transport = PLAN_UDP},
        {.trunk = SLICE("b"), .address = SLICE("sip.carrier.example"), .transport = PLAN_TLS},
    };
    assert_int_equal(edge_trunks_set(p.w->n.edge, trunks, 2), ERR_OK);
    assert_int_equal(fault_of(&p, "192.0.2.1", "sip:6001@192.0.2.7:5070"), CONTACT_TRUNK);
    assert_int_equal(fault_of(&p, "192.0.2.1", "sip:6001@192.0.2.7:5071"), CONTACT_FINE);
    assert_int_equal(fault_of(&p, "192.0.2.1", "sip:6001@SIP.carrier.example;transport=tls"), CONTACT_TRUNK);
    assert_int_equal(fault_of(&p, "192.0.2.7", "sip:6001@192.0.2.7:5070"), CONTACT_FINE); /* it proved itself there */
}

static void flows_of_a_device(void **state)
{
    struct phone p = {.w = *state};
    struct kit_node *n = &p.w->n;
    n->max_contacts = 4;
    expect(&p, THROUGH(KEEPS) CONTACT("7001") DEVICE ";reg-id=1\r\n", 200);
    ua_has(&p.w->a, "Require: outbound\r\nFlow-Timer: 120\r\n");
    ua_has(&p.w->a, DEVICE ";reg-id=1\r\n");
    /* From another port it is the same flow; another flow, and another device, are others. */
    expect(&p, THROUGH(KEEPS) CONTACT("7002") DEVICE ";reg-id=1\r\n", 200);
    assert_int_equal(kit_binding_count(n), 1);
    assert_non_null(kit_find_binding(n, SLICE("sip:6001@127.0.0.1:7002")));
    expect(&p, THROUGH(KEEPS) CONTACT("7003") DEVICE ";reg-id=2\r\n", 200);
    expect(&p, THROUGH(KEEPS) CONTACT("7004") ";+sip.instance=\"<urn:uuid:2>\";reg-id=1\r\n", 200);
    assert_int_equal(kit_binding_count(n), 3);
    expect(&p, THROUGH(KEEPS) CONTACT("7009") DEVICE ";reg-id=1;expires=0\r\n", 200);
    assert_int_equal(kit_binding_count(n), 2);
    assert_null(kit_find_binding(n, SLICE("sip:6001@127.0.0.1:7002")));
    /* By UDP nobody answers to STUN: it is a contact like others. */
    expect(&p, "Supported: outbound\r\n" CONTACT("7005") DEVICE ";reg-id=2\r\n", 200);
    ua_lacks(&p.w->a, "Require: outbound");
    assert_int_equal(kit_binding_count(n), 3);
    assert_int_equal(kit_find_binding(n, SLICE("sip:6001@127.0.0.1:7005"))->reg_id, 0);
    assert_string_equal(kit_find_binding(n, SLICE("sip:6001@127.0.0.1:7005"))->instance, "<urn:uuid:1>");
}

/* RFC 5627 §5.2: who understands them is told the addresses of each device, by any answer that lists contacts. */
static void addresses_of_a_device(void **state)
{
    struct phone p = {.w = *state};
    p.w->n.max_contacts = 4;
    expect(&p, CONTACT("7001") DEVICE "\r\n", 200);
    ua_lacks(&p.w->a, "gruu");
    expect(&p, "Supported: path, gruu\r\n" CONTACT("7001") DEVICE "\r\n", 200);
    ua_has(&p.w->a, DEVICE ";pub-gruu=\"sip:6001@example.org;gr=urn:uuid:1\";temp-gruu=\"sip:tgruu.");
    expect(&p, "Require: gruu\r\n" CONTACT("7002") "\r\n", 200);
    ua_has(&p.w->a, DEVICE ";pub-gruu=");
    assert_null(strstr(strstr(p.w->a.in, "pub-gruu") + 1, "pub-gruu")); /* the other says no device */
    expect(&p, "Supported: gruu\r\n", 200);
    ua_has(&p.w->a, DEVICE ";pub-gruu=");
    /* One of ours as a contact would come straight back. */
    expect(&p, "Contact: <sip:6001@example.org;gr=urn:uuid:1>\r\n", 403);
}

static void the_way_out_is_named(void **state)
{
    struct phone p = {.w = *state};
    char line[96];
    expect(&p, CONTACT("7001") "\r\n", 200);
    (void)snprintf(line, sizeof line, "Service-Route: <sip:127.0.0.1:%u;lr>\r\n", p.w->n.port);
    ua_has(&p.w->a, line);
}

static void order_of_requests(void **state)
{
    struct phone p = {.w = *state};
    p.cseq = 10;
    expect(&p, CONTACT("7001") "\r\n", 200); /* 12 */
    p.cseq = 5;
    expect(&p, CONTACT("7001") "\r\nExpires: 0\r\n", 500); /* an old one that was overtaken */
    p.cseq = 5;
    expect(&p, "Contact: *\r\nExpires: 0\r\n", 500);
    assert_int_equal(kit_count(&p.w->n, "registrar", "refused_order"), 2);
    p.cseq = 10;
    expect(&p, CONTACT("7001") "\r\n", 200); /* the same once more */
    assert_int_equal(p.w->n.writes, 1);
    begin(&p, "secret", "another-call-id", CONTACT("7001") "\r\nExpires: 0\r\n"); /* the phone began anew */
    ua_expect_code(&p.w->k, &p.w->a, 200);
    assert_int_equal(kit_binding_count(&p.w->n), 0);
}

static void the_oldest_makes_room(void **state)
{
    struct phone p = {.w = *state};
    struct kit_node *n = &p.w->n;
    expect(&p, CONTACT("7001") "\r\n", 200);
    expect(&p, CONTACT("7002") "\r\n", 200);
    kit_find_binding(n, SLICE("sip:6001@127.0.0.1:7001"))->since.ms -= 1000;
    expect(&p, CONTACT("7003") "\r\n", 200);
    assert_int_equal(kit_binding_count(n), 2);
    assert_null(kit_find_binding(n, SLICE("sip:6001@127.0.0.1:7001")));
    ua_lacks(&p.w->a, "7001");
    ua_has(&p.w->a, "7002");
    assert_int_equal(kit_count(n, "registrar", "replaced_oldest"), 1);
}

static void what_has_expired_does_not_count(void **state)
{
    struct phone p = {.w = *state};
    struct kit_node *n = &p.w->n;
    p.cseq = 100;
    expect(&p, CONTACT("7001") "\r\n", 200);
    struct kit_binding *b = kit_find_binding(n, SLICE("sip:6001@127.0.0.1:7001"));
    b->expires.ms = 1;
    expect(&p, "", 200);
    ua_lacks(&p.w->a, "Contact:"); /* and no remaining time below zero */
    p.cseq = 1;
    expect(&p, CONTACT("7001") "\r\n", 200);
    granted(&p.w->a, 3240, 3600);
}

static void path_is_kept(void **state)
{
    struct phone p = {.w = *state};
    expect(&p, "Supported: path\r\nPath: <sip:edge1;lr>\r\nPath: <sip:edge2;lr>\r\n" CONTACT("7001") "\r\n", 200);
    assert_string_equal(kit_find_binding(&p.w->n, SLICE("sip:6001@127.0.0.1:7001"))->path,
                        "<sip:edge1;lr>, <sip:edge2;lr>");
    ua_has(&p.w->a, "Path: <sip:edge1;lr>, <sip:edge2;lr>\r\n");
}

/* ---- the commit ---- */

static void no_200_before_the_commit(void **state)
{
    struct phone p = {.w = *state};
    struct world *w = p.w;
    w->n.hold_writes = true;
    begin(&p, "secret", "reg-1", CONTACT("7001") "\r\n");
    kit_until(&w->k, w->n.writes == 1);
    p.branch--; /* the phone is impatient */
    send_register(&p, "reg-1", CONTACT("7001") "\r\n");
    kit_until(&w->k, kit_count(&w->n, "edge", "requests_repeated") == 1);
    ua_expect_nothing(&w->k, &w->a);
    kit_commit(&w->n);
    ua_expect_code(&w->k, &w->a, 200);
    ua_expect_nothing(&w->k, &w->a);
    p.branch--;
    send_register(&p, "reg-1", CONTACT("7001") "\r\n");
    ua_expect_code(&w->k, &w->a, 200); /* the 200 was lost */
    assert_int_equal(w->n.writes, 1);
}

static void one_after_the_other(void **state)
{
    struct phone p = {.w = *state};
    struct world *w = p.w;
    w->n.hold_writes = true;
    begin(&p, "secret", "reg-1", CONTACT("7001") "\r\n");
    kit_until(&w->k, w->n.writes == 1);
    begin(&p, "secret", "reg-1", CONTACT("7001") "\r\nExpires: 0\r\n");
    kit_until(&w->k, kit_count(&w->n, "registrar", "waited") == 1);
    assert_int_equal(w->n.writes, 1);
    kit_commit(&w->n);
    ua_expect_code(&w->k, &w->a, 200);
    assert_int_equal(w->n.writes, 2);
    kit_commit(&w->n);
    ua_expect_code(&w->k, &w->a, 200);
    ua_lacks(&w->a, "Contact:");
    assert_int_equal(kit_binding_count(&w->n), 0);
}

static void a_disk_that_fails(void **state)
{
    struct phone p = {.w = *state};
    p.w->n.write_err = ERR_IO;
    expect(&p, CONTACT("7001") "\r\n", 500);
    ua_has(&p.w->a, "Retry-After: ");
    assert_int_equal(kit_count(&p.w->n, "registrar", "write_failed"), 1);
}

static void closing_waits_for_the_commit(void **state)
{
    struct phone p = {.w = *state};
    struct world *w = p.w;
    w->n.hold_writes = true;
    begin(&p, "secret", "reg-1", CONTACT("7001") "\r\n");
    kit_until(&w->k, w->n.writes == 1);
    edge_close(w->n.edge, 0, kit_on_closed, &w->n);
    for (int i = 0; i < 10; i++)
        (void)uv_run(&w->k.loop, UV_RUN_NOWAIT);
    assert_false(w->n.closed);
    kit_commit(&w->n);
    assert_true(w->n.closed);
}

#define WITH_WORLD(test) cmocka_unit_test_setup_teardown(test, world_open, world_close)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_WORLD(registers_and_refreshes),
        WITH_WORLD(the_contact_says_it_best),
        WITH_WORLD(goes_away),
        WITH_WORLD(asks),
        WITH_WORLD(wrong_proofs_look_alike),
        WITH_WORLD(credentials_work_once),
        WITH_WORLD(not_for_others),
        WITH_WORLD(asked_for_by_our_names),
        WITH_WORLD(no_domain_yet),
        WITH_WORLD(refused),
        WITH_WORLD(our_own_address),
        WITH_WORLD(contacts_that_lead_astray),
        WITH_WORLD(flows_of_a_device),
        WITH_WORLD(addresses_of_a_device),
        WITH_WORLD(the_way_out_is_named),
        WITH_WORLD(order_of_requests),
        WITH_WORLD(the_oldest_makes_room),
        WITH_WORLD(what_has_expired_does_not_count),
        WITH_WORLD(path_is_kept),
        WITH_WORLD(no_200_before_the_commit),
        WITH_WORLD(one_after_the_other),
        WITH_WORLD(a_disk_that_fails),
        WITH_WORLD(closing_waits_for_the_commit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
