/* SPDX-License-Identifier: MIT */
/* The sampler thread on the machine's clock: nothing here depends on how fast it runs. Meant to
 * be run under ThreadSanitizer too. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "bench/measure/measure.h"
#include "platforms/os/os.h"

/* A meter whose state is touched by every read: a race on it is one that TSan sees. */
struct jb_meter_state {
    uint64_t n_reads;
    double last_s;
    bool was_backwards;
};

static uint64_t reads_at_close;
static bool went_backwards;

static enum jb_status probe(const struct jb_meter_args *args, struct jb_meter_probe *ret_probe)
{
    (void)args;
    (void)ret_probe;
    return JB_OK;
}

static enum jb_status open_it(struct jb_meter_state *state, const struct jb_meter_args *args)
{
    (void)args;
    state->last_s = jb_clock_s();
    return JB_OK;
}

static uint32_t domains(const struct jb_meter_state *state, const struct jb_domain **ret_domains)
{
    static const struct jb_domain table[] = {
        {.name = "power",
         .quantity = JB_QUANTITY_POWER,
         .scope = JB_SCOPE_PACKAGE,
         .unit = "W",
         .is_in_total = true,
         .update_period_s = 0.001,
         .evidence = JB_CLASS_MEASURED},
    };
    (void)state;
    *ret_domains = table;
    return 1;
}

static enum jb_status read_it(struct jb_meter_state *state, struct jb_reading *ret_reading)
{
    ret_reading->time_s = jb_clock_s();
    ret_reading->values[0] = 25;
    state->was_backwards = state->was_backwards || ret_reading->time_s < state->last_s;
    state->last_s = ret_reading->time_s;
    state->n_reads++;
    return JB_OK;
}

static void close_it(struct jb_meter_state *state)
{
    reads_at_close = state->n_reads;
    went_backwards = state->was_backwards;
}

static const struct jb_meter meter = {.name = "steady",
                                      .state_size = sizeof(struct jb_meter_state),
                                      .probe = probe,
                                      .open = open_it,
                                      .domains = domains,
                                      .read = read_it,
                                      .close = close_it};
static const struct jb_meter *const table[] = {&meter, NULL};

/* Works until the sampler has read a few times more. */
static enum jb_status wait_for_samples(void *ctx)
{
    struct jb_measure *measure = ctx;
    struct jb_sampler_stats stats;
    jb_measure_sampler(measure, &stats);
    const uint64_t wanted = stats.n_readings + 5;
    while (stats.n_readings < wanted) {
        jb_sleep_until(jb_clock_s() + 0.001);
        jb_measure_sampler(measure, &stats);
    }
    return JB_OK;
}

struct order {
    double last_s;
    uint64_t n;
    bool is_ascending;
};

static void look(void *ctx, const char *name, const struct jb_domain *domain, double time_s,
                 double value)
{
    struct order *order = ctx;
    assert_string_equal(name, "steady");
    assert_string_equal(domain->name, "power");
    assert_true(value > 24 && value < 26);
    order->is_ascending = order->is_ascending && time_s >= order->last_s;
    order->last_s = time_s;
    order->n++;
}

static void test_samples_come_between_the_edges(void **state)
{
    (void)state;
    const struct jb_measure_args args = {.meters = "steady",
                                         .scopes = JB_SCOPES_ALL,
                                         .has_sampler = true,
                                         .interval_s = 0.002,
                                         .meter_table = table};
    struct jb_measure *measure = NULL;
    assert_int_equal(jb_measure_open(&args, &measure), JB_OK);
    for (int i = 0; i < 20; i++) {
        struct jb_window window;
        const struct jb_window_args window_args = {.phase = wait_for_samples, .ctx = measure};
        assert_int_equal(jb_measure_window(measure, &window_args, &window), JB_OK);
        assert_true(window.n_samples >= 6); /* two edges and those waited for, but for one */
        assert_int_equal(window.n_lost, 0);
        struct order order = {.is_ascending = true};
        jb_measure_trace(measure, look, &order);
        assert_true(order.is_ascending);
        assert_int_equal(order.n, window.n_samples);
    }
    struct jb_sampler_stats stats;
    jb_measure_sampler(measure, &stats);
    assert_true(stats.cpu_share >= 0);
    assert_true(stats.interval_s > 0.0019 && stats.interval_s < 0.0021);
    jb_measure_close(measure);
    assert_true(reads_at_close >= 120);
    assert_false(went_backwards);
}

static void test_without_sampler_only_edges_are_read(void **state)
{
    (void)state;
    const struct jb_measure_args args = {
        .meters = "steady", .scopes = JB_SCOPES_ALL, .meter_table = table};
    struct jb_measure *measure = NULL;
    assert_int_equal(jb_measure_open(&args, &measure), JB_OK);
    struct jb_sampler_stats stats;
    jb_measure_sampler(measure, &stats);
    assert_true(isnan(stats.cpu_share));
    assert_true(isnan(stats.interval_s));
    jb_measure_close(measure);
    assert_int_equal(reads_at_close, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_samples_come_between_the_edges),
        cmocka_unit_test(test_without_sampler_only_edges_are_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
