/* counter: named event counts. Each module has one table (an X-macro makes the enum and the names); the metrics page
 * and clusterctl walk the tables. Any thread may count; a reading is a snapshot of each value, not of the table. */
#ifndef TANDEM_BASE_COUNTER_H
#define TANDEM_BASE_COUNTER_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

struct counter_table {
    const char *module;       /* "edge" */
    const char *const *names; /* count of them, lower_snake_case */
    _Atomic uint64_t *values; /* the same order */
    size_t count;
};

static inline void counter_add(_Atomic uint64_t *value, uint64_t n)
{
    atomic_fetch_add_explicit(value, n, memory_order_relaxed);
}
static inline uint64_t counter_get(const _Atomic uint64_t *value)
{
    return atomic_load_explicit(value, memory_order_relaxed);
}

#define COUNTER_ENUM(id) id,
#define COUNTER_NAME(id) #id,

#endif
