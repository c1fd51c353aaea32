/* stall: see stall.h. libuv runs our check handle when the callbacks of a poll have run, and its clock then still shows
 * when that poll ended; our prepare handle runs right before the next one. libuv's own measure of idle time would cost
 * two system calls for each poll. */
#include "node/app/stall.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define NS_PER_MS 1000000u
#define ASK_NS 20000000u
#define SHORT_NS 2000000u /* a turn that is too short for anybody to ask why */

static const char *const names[] = {STALL_COUNTERS(COUNTER_NAME)};

static const struct {
    uint64_t us;
    enum stall_counter counter;
} marks[] = {{5000, STALL_turns_over_5ms}, {20000, STALL_turns_over_20ms}, {100000, STALL_turns_over_100ms}};

/* Forgets the seconds between the newest and this one: nothing turned in them. */
static void go_to(struct stall *s, uint64_t second)
{
    if (second <= s->second) return;
    uint64_t gone = second - s->second < STALL_SECONDS ? second - s->second : STALL_SECONDS;
    for (uint64_t i = 0; i < gone; i++)
        s->longest[(second - i) % STALL_SECONDS] = (struct stall_times){0, 0};
    s->second = second;
}

static void raise_to(struct stall_times *longest, struct stall_times t)
{
    if (t.wall_us > longest->wall_us) longest->wall_us = t.wall_us;
    if (t.own_us > longest->own_us) longest->own_us = t.own_us;
}

void stall_note(struct stall *s, uint64_t second, struct stall_times t)
{
    go_to(s, second);
    raise_to(&s->longest[s->second % STALL_SECONDS], t);
    counter_add(&s->counts[STALL_turns], 1);
    for (size_t i = 0; i < sizeof marks / sizeof marks[0]; i++) {
        if (t.wall_us > marks[i].us) counter_add(&s->counts[marks[i].counter], 1);
    }
}

/* The second number of three. */
static uint64_t queued_ns(int schedstat)
{
    char text[64];
    ssize_t n = schedstat >= 0 ? pread(schedstat, text, sizeof text - 1, 0) : -1;
    if (n <= 0) return 0;
    text[n] = '\0';
    const char *second = strchr(text, ' ');
    return second != NULL ? strtoull(second, NULL, 10) : 0;
}

/* How long the thread waited for a processor since this was last asked, which is at most ASK_NS before the turn
 * began: the file is not read in each of thousands of short turns. */
static uint64_t queued_since(struct stall *s, uint64_t now, uint64_t busy)
{
    if (busy < SHORT_NS && now - s->asked_ns < ASK_NS) return 0;
    uint64_t all = queued_ns(s->schedstat);
    uint64_t queued = all - s->queued_ns;
    s->asked_ns = now;
    s->queued_ns = all;
    return queued;
}

static void on_check(uv_check_t *check)
{
    struct stall *s = check->data;
    s->woke_ms = uv_now(s->loop);
}

static void on_prepare(uv_prepare_t *prepare)
{
    struct stall *s = prepare->data;
    uint64_t now = uv_hrtime();
    uint64_t woke = s->woke_ms * NS_PER_MS;
    uint64_t busy = s->woke_ms > 0 && now > woke ? now - woke : 0;
    uint64_t queued = queued_since(s, now, busy);
    if (s->woke_ms == 0) return;
    struct stall_times t = {busy / 1000, (busy > queued ? busy - queued : 0) / 1000};
    stall_note(s, now / 1000000000u, t);
}

enum err stall_start(struct stall *s, uv_loop_t *loop)
{
    s->loop = loop;
    s->table = (struct counter_table){"loop", names, s->counts, STALL_COUNTER_COUNT};
    (void)uv_prepare_init(loop, &s->prepare); /* these cannot fail */
    (void)uv_check_init(loop, &s->check);
    s->open = true;
    s->schedstat = open("/proc/thread-self/schedstat", O_RDONLY | O_CLOEXEC);
    s->queued_ns = queued_ns(s->schedstat);
    s->prepare.data = s->check.data = s;
    (void)uv_prepare_start(&s->prepare, on_prepare);
    (void)uv_check_start(&s->check, on_check);
    uv_unref((uv_handle_t *)&s->prepare);
    uv_unref((uv_handle_t *)&s->check);
    return ERR_OK;
}

void stall_stop(struct stall *s)
{
    if (!s->open) return;
    uv_close((uv_handle_t *)&s->prepare, NULL);
    uv_close((uv_handle_t *)&s->check, NULL);
    if (s->schedstat >= 0) (void)close(s->schedstat);
    s->open = false;
}

struct stall_times stall_longest(const struct stall *s, unsigned seconds)
{
    struct stall_times longest = {0, 0};
    uint64_t now = uv_hrtime() / 1000000000u;
    for (uint64_t i = 0; i < seconds && i < STALL_SECONDS; i++) {
        uint64_t second = now - i;
        bool kept = second <= s->second && second + STALL_SECONDS > s->second;
        if (kept) raise_to(&longest, s->longest[second % STALL_SECONDS]);
    }
    return longest;
}
