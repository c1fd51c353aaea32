/* metrics: the Prometheus text format (version 0.0.4), written into a buffer. Knows nothing of HTTP and reads no clock.
 *
 * Counters come from the modules' tables as tandem_<module>_<name>_total. Gauges are written by whoever knows them; the
 * samples of one name must follow each other. https://prometheus.io/docs/instrumenting/exposition_formats/ */
#ifndef TANDEM_CONTROL_METRICS_H
#define TANDEM_CONTROL_METRICS_H

#include "node/base/bytes.h"
#include "node/base/counter.h"

struct metrics_label {
    const char *name;
    struct slice value; /* any bytes; what is not printable ASCII is written as '?' */
};

struct metrics_writer {
    struct buf *out;
    const char *family; /* the last gauge's name */
};

void metrics_counters(struct metrics_writer *w, const struct counter_table *table);
/* name: "tandem_members_alive", static storage. help: one line, without backslashes. */
void metrics_gauge(struct metrics_writer *w, const char *name, const char *help, const struct metrics_label *labels,
                   size_t label_count, double value);

#endif
