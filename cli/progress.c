/* progress: see the header. On stderr, and only where that is a terminal. */
#include "cli/progress.h"

#include <inttypes.h>
#include <time.h>

#define PERIOD_MS 1000
#define STEPS 1024 /* between two looks at the clock */

void progress_at(struct cli *c, struct progress *p, const char *what, uint64_t done, uint64_t now_ms)
{
    if (p->began_ms == 0) p->began_ms = p->shown_ms = now_ms;
    if (!c->err_terminal || now_ms - p->shown_ms < PERIOD_MS) return;
    p->shown_ms = now_ms;
    p->visible = true;
    (void)fprintf(c->err, "\r\033[K%s: %" PRIu64, what, done);
    (void)fflush(c->err);
}

void progress_step(struct cli *c, struct progress *p, const char *what, uint64_t done)
{
    struct timespec t;
    if (!c->err_terminal || p->calls++ % STEPS != 0) return;
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    progress_at(c, p, what, done, (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000 + 1);
}

void progress_end(struct cli *c, struct progress *p)
{
    if (p->visible) (void)fputs("\r\033[K", c->err);
    *p = (struct progress){.calls = 0};
}
