/* test_metrics: the text that Prometheus reads, to the byte. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "node/control/metrics.h"

static void test_page(void **state)
{
    (void)state;
    static const char *const names[] = {"drops", "calls"};
    _Atomic uint64_t values[2] = {0, UINT64_MAX};
    const struct counter_table table = {"edge", names, values, 2};
    const struct metrics_label labels[] = {{"node", SLICE("hq-1")}, {"text", SLICE("a\"b\\c\nd\xff")}};
    struct buf out = {0};
    struct metrics_writer w = {.out = &out};
    metrics_counters(&w, &table);
    metrics_gauge(&w, "tandem_members", "Members.", NULL, 0, 3);
    metrics_gauge(&w, "tandem_rtt_seconds", "Round trip.", labels, 1, 0.0015);
    metrics_gauge(&w, "tandem_rtt_seconds", "Round trip.", labels, 2, -1);
    buf_add(&out, "", 1);
    assert_string_equal(out.p, "# TYPE tandem_edge_drops_total counter\n"
                               "tandem_edge_drops_total 0\n"
                               "# TYPE tandem_edge_calls_total counter\n"
                               "tandem_edge_calls_total 18446744073709551615\n"
                               "# HELP tandem_members Members.\n"
                               "# TYPE tandem_members gauge\n"
                               "tandem_members 3\n"
                               "# HELP tandem_rtt_seconds Round trip.\n"
                               "# TYPE tandem_rtt_seconds gauge\n"
                               "tandem_rtt_seconds{node=\"hq-1\"} 0.0015\n"
                               "tandem_rtt_seconds{node=\"hq-1\",text=\"a\\\"b\\\\c?d?\"} -1\n");
    buf_fini(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_page)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
