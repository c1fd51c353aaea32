/* Accounts that are not there, wrong passwords, disabled accounts and those of another site cost the same work: counted
 * in instructions, one by one, by a process that traces this one. The clock would say less, and differently each time.
 */
#include "kit.h"

#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

#include "node/edge/edge_internal.h"
#include "node/sip/digest.h"

#define ROUNDS 1

/* ---- counting ---- */

struct trace {
    volatile int ready;    /* the tracer is there; a trap makes it look */
    volatile int counting; /* it steps, and counts */
    volatile int over;
    volatile uint64_t steps;
    volatile int failed;
};

static void step_on(struct trace *t, pid_t traced)
{
    int status = 0;
    if (ptrace(PTRACE_SEIZE, traced, NULL, NULL) != 0 || ptrace(PTRACE_INTERRUPT, traced, NULL, NULL) != 0 ||
        waitpid(traced, &status, __WALL) != traced) {
        t->failed = 1;
        return;
    }
    t->ready = 1;
    while (t->over == 0) {
        bool stepping = t->counting != 0;
        int sig = WSTOPSIG(status) == SIGTRAP ? 0 : WSTOPSIG(status);
        enum __ptrace_request how = stepping ? PTRACE_SINGLESTEP : PTRACE_CONT;
        if (ptrace(how, traced, NULL, (void *)(uintptr_t)(unsigned)sig) != 0) break;
        if (waitpid(traced, &status, __WALL) != traced || !WIFSTOPPED(status)) break;
        if (stepping) t->steps++;
    }
    (void)ptrace(PTRACE_DETACH, traced, NULL, NULL);
}

/* A tracer of this thread; 0 where none is allowed. */
static pid_t trace_begin(struct trace *t)
{
    pid_t traced = getpid();
    cpu_set_t one;
    CPU_ZERO(&one);
    CPU_SET(sched_getcpu(), &one);
    (void)sched_setaffinity(0, sizeof one, &one); /* they take turns: on one processor that is far quicker */
    pid_t tracer = fork();
    assert_true(tracer >= 0);
    if (tracer == 0) {
        while (t->ready == 0 && t->over == 0 && t->failed == 0 && getppid() == traced)
            step_on(t, traced);
        _exit(0);
    }
    (void)prctl(PR_SET_PTRACER, tracer, 0, 0, 0);
    while (t->ready == 0 && t->failed == 0)
        (void)usleep(1000);
    return t->failed == 0 ? tracer : 0;
}

/* ---- proofs ---- */

struct proof {
    const char *what;
    const char *user;
    const char *password;
    const char *counter;
};

static const struct proof proofs[] = {
    {"unknown account", "6999", "right", "auth_unknown_account"},
    {"wrong password", "6001", "wrong", "auth_wrong"},
    {"disabled account", "6002", "right", "auth_disabled"},
    {"account of another site", "6003", "right", "auth_other_site"},
};
#define PROOFS (sizeof proofs / sizeof proofs[0])

/* A REGISTER that proves p from the address. */
static void make(struct edge *e, const struct proof *p, const struct flow *from, char *text, size_t size)
{
    struct sock_key key;
    struct arena arena = {0};
    struct buf challenge = {0};
    struct buf answer = {0};
    struct digest_offer offer = {{HASH_SHA256}, 1};
    struct slice value;
    struct slice name;
    sock_key_source(&key, &from->remote);
    struct digest_nonces nonces = {
        .key = e->nonce_mac, .realm = SLICE("example.org"), .client = {(const char *)key.bytes, sizeof key.bytes}};
    assert_int_equal(digest_challenge(&nonces, &offer, false, false, edge_wall(), &challenge), ERR_OK);
    value = slice_trim(slice_cut(buf_view(&challenge), ':', &name));
    assert_int_equal(digest_answer(&arena, value, slice_of(p->user), slice_of(p->password), SLICE("REGISTER"),
                                   SLICE("sip:example.org"), SLICE("c0ffee"), 1, &answer),
                     ERR_OK);
    int n = snprintf(text, size,
                     "REGISTER sip:example.org SIP/2.0\r\nVia: SIP/2.0/UDP 10.0.0.1;branch=z9hG4bK1\r\n"
                     "From: <sip:%s@example.org>;tag=1\r\nTo: <sip:%s@example.org>\r\nCall-ID: a\r\n"
                     "CSeq: 1 REGISTER\r\nAuthorization: %.*s\r\nContent-Length: 0\r\n\r\n",
                     p->user, p->user, SLICE_ARG(buf_view(&answer)));
    assert_in_range(n, 1, size - 1);
    buf_fini(&challenge);
    buf_fini(&answer);
    arena_fini(&arena);
}

static enum auth_verdict judge(struct edge *e, const struct proof *p, unsigned source, struct trace *t)
{
    char text[2048];
    struct sip_view v;
    struct arena arena = {0};
    struct plan_account account;
    struct flow from = {.transport = PLAN_UDP};
    from.remote.v4.sin_family = AF_INET;
    from.remote.v4.sin_addr.s_addr = htonl(0x0a000000 + source);
    make(e, p, &from, text, sizeof text);
    assert_int_equal(sip_view_parse(&v, text, strlen(text), NULL), SIP_FAULT_NONE);
    t->steps = 0;
    t->counting = 1;
    if (t->ready != 0) (void)raise(SIGTRAP);
    enum auth_verdict verdict = edge_auth(e, &arena, &from, &v, SIP_AUTHORIZATION, &account);
    t->counting = 0;
    arena_fini(&arena);
    return verdict;
}

static int by_size(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a;
    uint64_t y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

static void measure(struct edge *e, struct trace *t, uint64_t median[PROOFS])
{
    uint64_t steps[PROOFS][ROUNDS];
    unsigned source = 0;
    for (unsigned round = 0; round < ROUNDS; round++) {
        for (size_t i = 0; i < PROOFS; i++) {
            assert_int_equal(judge(e, &proofs[i], ++source, t), AUTH_REFUSED);
            steps[i][round] = t->steps;
        }
    }
    for (size_t i = 0; i < PROOFS; i++) {
        qsort(steps[i], ROUNDS, sizeof steps[i][0], by_size);
        median[i] = steps[i][ROUNDS / 2];
    }
}

static void refusals_cost_the_same(void **state)
{
    struct kit k;
    uint64_t median[PROOFS] = {0};
    (void)state;
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
    skip(); /* what a sanitizer adds is not the same for all */
#endif
    struct trace *t = mmap(NULL, sizeof *t, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_true(t != MAP_FAILED);
    kit_init(&k, NULL);
    kit_start(&k);
    kit_plan(&k, "plan: 1\ndefaults: { domain: example.org }\nsites: { hq: {}, far: {} }\naccounts:\n"
                 "  '6001': { password: right }\n  '6002': { password: right, disabled: true }\n"
                 "  '6003': { password: right, site: far }\n");
    struct edge *e = k.node.edge;
    for (size_t i = 0; i < PROOFS; i++) /* what is made once is made now */
        assert_int_equal(judge(e, &proofs[i], 1000 + (unsigned)i, t), AUTH_REFUSED);
    pid_t tracer = trace_begin(t);
    if (tracer > 0) measure(e, t, median);
    t->over = 1;
    if (tracer > 0) (void)raise(SIGTRAP);
    (void)waitpid(tracer > 0 ? tracer : -1, NULL, 0);
    for (size_t i = 0; i < PROOFS; i++)
        assert_true(kit_counter(&k, "edge", proofs[i].counter) > 0);
    kit_fini(&k);
    (void)munmap(t, sizeof *t);
    if (tracer == 0) {
        print_message("no process may trace another here\n");
        skip();
    }
    for (size_t i = 0; i < PROOFS; i++) {
        print_message("%8llu instructions: %s\n", (unsigned long long)median[i], proofs[i].what);
        if (median[i] < median[0] - median[0] / 50 || median[i] > median[0] + median[0] / 50)
            fail_msg("\"%s\" and \"%s\" can be told apart", proofs[i].what, proofs[0].what);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(refusals_cost_the_same),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
