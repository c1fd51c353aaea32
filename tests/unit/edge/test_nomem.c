/* Out of memory: allocation i of a node's edge fails while a call and a registration pass, for i = 0, 1, 2, ...:
 * nothing leaks or falls, the caller gets an answer or can ask again, and the next call goes through whole. Allocations
 * inside libuv and c-ares are not swept. */
#include "call_kit.h"

static size_t countdown = SIZE_MAX; /* allocations until one fails, while the loop turns */
static bool turning;
static bool has_failed;

void *__real_malloc(size_t n);
void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *p, size_t n);
void *__wrap_malloc(size_t n);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *p, size_t n);

static bool fails(void)
{
    if (!turning || countdown == SIZE_MAX || countdown-- > 0) return false;
    has_failed = true;
    return true;
}

void *__wrap_malloc(size_t n)
{
    return fails() ? NULL : __real_malloc(n);
}
void *__wrap_calloc(size_t n, size_t size)
{
    return fails() ? NULL : __real_calloc(n, size);
}
void *__wrap_realloc(void *p, size_t n)
{
    return fails() ? NULL : __real_realloc(p, n);
}

#define LOST_MS 30 /* after a failure: what has not come by then does not come, or only when it is sent again */

/* The next message of the call; false: an allocation failed, and it was lost. */
static bool next(struct world *w, struct ua *u, const char *call_id, const char *method, unsigned code)
{
    uint64_t failed_at = 0;
    uint64_t end = kit_ms() + KIT_PATIENCE_MS;
    for (;;) {
        while (ua_receive(u)) {
            bool of_call = slice_is(u->v.call_id, call_id);
            if (of_call && method != NULL && u->v.request && slice_is(u->v.method_text, method)) return true;
            if (of_call && method == NULL && !u->v.request && u->v.code == code) return true;
            if (of_call && method == NULL && !u->v.request && u->v.code >= 300) return false; /* refused: 500 */
        }
        turning = true;
        kit_turn(&w->k, u->fd);
        turning = false;
        if (has_failed && failed_at == 0) failed_at = kit_ms();
        if (has_failed && kit_ms() > failed_at + LOST_MS) return false;
        if (kit_ms() > end) fail_msg("%s: neither message nor failure", call_id);
    }
}

/* One whole call. False: it ended early. */
static bool whole_call(struct world *w, const char *id)
{
    char routes[512];
    char uri[64];
    char branch[4][24];
    for (size_t i = 0; i < 4; i++)
        (void)snprintf(branch[i], sizeof branch[i], "%s-%zu", id, i);
    ua_request(&w->a, &w->n, &(struct request){.method = "INVITE", .branch = branch[0], .call_id = id});
    if (!next(w, &w->b, id, "INVITE", 0)) return false;
    ua_keep(&w->b);
    ua_answer(&w->b, &w->b.kept_v, 180, contact_line(&w->b));
    if (!next(w, &w->a, id, NULL, 180)) return false;
    ua_answer(&w->b, &w->b.kept_v, 200, contact_line(&w->b));
    if (!next(w, &w->a, id, NULL, 200)) return false;
    ua_route_set(&w->a.v, true, routes, sizeof routes);
    (void)snprintf(uri, sizeof uri, "sip:ua@127.0.0.1:%u", w->b.port);
    struct request r = {.method = "ACK", .branch = branch[1], .uri = uri, .to = CALLEE, .lines = routes, .call_id = id};
    ua_request(&w->a, &w->n, &r);
    if (!next(w, &w->b, id, "ACK", 0)) return false;
    r.method = "BYE";
    r.branch = branch[2];
    r.cseq = 2;
    ua_request(&w->a, &w->n, &r);
    if (!next(w, &w->b, id, "BYE", 0)) return false;
    ua_reply(&w->b, 200, "");
    return next(w, &w->a, id, NULL, 200);
}

static bool challenged(struct world *w, const char *id)
{
    ua_request(&w->a, &w->n,
               &(struct request){.method = "REGISTER", .branch = id, .uri = "sip:example.org", .call_id = id});
    return next(w, &w->a, id, NULL, 401);
}

/* True: allocation i failed. */
static bool day(size_t i)
{
    void *state = NULL;
    assert_int_equal(world_open(&state), 0);
    struct world *w = state;
    has_failed = false;
    countdown = i;
    bool done = whole_call(w, "sweep") && challenged(w, "sweep-register");
    countdown = SIZE_MAX;
    bool failed = has_failed;
    has_failed = false;
    assert_true(done || failed);
    assert_true(whole_call(w, "after"));
    assert_true(challenged(w, "after-register"));
    assert_int_equal(world_close(&state), 0);
    return failed;
}

static void each_allocation(void **state)
{
    size_t i = 0;
    (void)state;
    while (day(i))
        i++;
    assert_true(i > 10); /* a call allocates */
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(each_allocation)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
