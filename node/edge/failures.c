#include "node/edge/failures.h"

#include <string.h>

#define HALF_LIFE_MS 60000

const char *edge_failure_text(enum edge_failure why)
{
    switch (why) {
    case EDGE_FAILED_UNKNOWN: return "unknown account";
    case EDGE_FAILED_PASSWORD: return "wrong password";
    case EDGE_FAILED_DISABLED: return "disabled account";
    case EDGE_FAILED_SITE: return "account of another site";
    case EDGE_FAILED_LOCKED: break;
    }
    return "locked out, with the right password";
}

void failures_safe_name(struct slice text, char out[LIMIT_NAME + 1])
{
    size_t n = text.n < LIMIT_NAME ? text.n : LIMIT_NAME;
    for (size_t i = 0; i < n; i++)
        out[i] = text.p[i] > ' ' && text.p[i] < 0x7f ? text.p[i] : '?';
    out[n] = '\0';
}

static uint64_t faded(const struct failure_row *r, struct wall now)
{
    uint64_t age_ms = now.ms > r->f.last.ms ? (uint64_t)(now.ms - r->f.last.ms) : 0;
    uint64_t pace = age_ms / HALF_LIFE_MS < 64 ? r->pace >> (age_ms / HALF_LIFE_MS) : 0;
    return pace - pace * (age_ms % HALF_LIFE_MS) / (2 * (uint64_t)HALF_LIFE_MS);
}

static struct failure_row *find(struct failures *f, uint64_t source, const char *account, enum edge_failure why)
{
    for (size_t i = 0; i < FAILURES_ROWS; i++) {
        struct failure_row *r = &f->rows[i];
        if (r->f.count > 0 && r->source == source && r->f.why == why && strcmp(r->account, account) == 0) return r;
    }
    return NULL;
}

static size_t of_source(const struct failures *f, uint64_t source)
{
    size_t n = 0;
    for (size_t i = 0; i < FAILURES_ROWS; i++)
        n += f->rows[i].f.count > 0 && f->rows[i].source == source;
    return n;
}

/* A free row, or the one that was quiet for longest. */
static struct failure_row *take(struct failures *f)
{
    struct failure_row *quiet = &f->rows[0];
    for (size_t i = 0; i < FAILURES_ROWS; i++) {
        struct failure_row *r = &f->rows[i];
        if (r->f.count == 0) return r;
        if (r->f.last.ms < quiet->f.last.ms) quiet = r;
    }
    return quiet;
}

void failures_note(struct failures *f, uint64_t source, const char *source_text, struct slice account,
                   enum edge_failure why, struct wall now)
{
    char name[LIMIT_NAME + 1];
    failures_safe_name(account, name);
    struct failure_row *r = find(f, source, name, why);
    if (r == NULL && of_source(f, source) >= FAILURES_PER_SOURCE) {
        memcpy(name, FAILURES_OTHERS, sizeof FAILURES_OTHERS);
        r = find(f, source, name, why);
    }
    if (r == NULL) {
        r = take(f);
        *r = (struct failure_row){.source = source, .f = {.why = why, .first = now, .last = now}};
        memcpy(r->account, name, sizeof name);
        (void)strncpy(r->source_text, source_text, sizeof r->source_text - 1);
    }
    r->pace = faded(r, now) + 1000;
    r->f.count++;
    r->f.last = now;
}

void failures_each(struct failures *f, struct wall now, void (*each)(void *ctx, const struct edge_failed *f), void *ctx)
{
    for (size_t i = 0; i < FAILURES_ROWS; i++) {
        struct failure_row *r = &f->rows[i];
        if (r->f.count == 0) continue;
        struct edge_failed shown = r->f;
        shown.source = slice_of(r->source_text);
        shown.account = slice_of(r->account);
        /* What comes evenly n times a minute holds the pace at n / ln 2. */
        shown.milli_per_min = faded(r, now) * 693 / 1000;
        each(ctx, &shown);
    }
}

void failures_forget(struct failures *f, uint64_t source)
{
    for (size_t i = 0; i < FAILURES_ROWS; i++) {
        if (f->rows[i].source == source) f->rows[i] = (struct failure_row){0};
    }
}
