/* metrics: see the header. */
#include "node/control/metrics.h"

#include <inttypes.h>

void metrics_counters(struct metrics_writer *w, const struct counter_table *table)
{
    for (size_t i = 0; i < table->count; i++) {
        buf_printf(w->out, "# TYPE tandem_%s_%s_total counter\ntandem_%s_%s_total %" PRIu64 "\n", table->module,
                   table->names[i], table->module, table->names[i], counter_get(&table->values[i]));
    }
}

/* One stray byte would make the whole page invalid for the reader. */
static void label_value(struct buf *out, struct slice value)
{
    for (size_t i = 0; i < value.n; i++) {
        char c = value.p[i];
        if (c < ' ' || c > '~') c = '?';
        if (c == '"' || c == '\\') buf_add(out, "\\", 1);
        buf_add(out, &c, 1);
    }
}

void metrics_gauge(struct metrics_writer *w, const char *name, const char *help, const struct metrics_label *labels,
                   size_t label_count, double value)
{
    if (w->family == NULL || strcmp(w->family, name) != 0) {
        buf_printf(w->out, "# HELP %s %s\n# TYPE %s gauge\n", name, help, name);
    }
    w->family = name;
    buf_text(w->out, name);
    for (size_t i = 0; i < label_count; i++) {
        buf_printf(w->out, "%s%s=\"", i == 0 ? "{" : ",", labels[i].name);
        label_value(w->out, labels[i].value);
        buf_add(w->out, "\"", 1);
    }
    buf_printf(w->out, "%s %.15g\n", label_count > 0 ? "}" : "", value);
}
