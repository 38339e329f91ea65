/* SPDX-License-Identifier: MIT */
/* Windows, fallback list, idle baseline and reasons, on a clock of the test's own. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/unit/measure_fake.h"

static void assert_near(double value, double wanted)
{
    if (!(fabs(value - wanted) <= 1e-9 * fabs(wanted) + 1e-12)) {
        fail_msg("%.17g is not %.17g", value, wanted);
    }
}

static double phase_s = 0.25;
static uint32_t phases_run;
static enum jb_status phase_status;

static enum jb_status work(void *ctx)
{
    (void)ctx;
    phases_run++;
    fake_advance_to(fake_now_s + phase_s);
    return phase_status == JB_OK ? JB_OK : jb_fail(phase_status, "the phase failed");
}

static int reset(void **state)
{
    (void)state;
    fake_reset();
    phase_s = 0.25;
    phases_run = 0;
    phase_status = JB_OK;
    return 0;
}

static struct jb_measure *open_list(const char *meters)
{
    const struct jb_measure_args args = fake_args(meters);
    struct jb_measure *measure = NULL;
    assert_int_equal(jb_measure_open(&args, &measure), JB_OK);
    fake_sampled = measure;
    return measure;
}

static struct jb_window run_window(struct jb_measure *measure, double window_s)
{
    const struct jb_window_args args = {.phase = work, .window_s = window_s};
    struct jb_window window;
    memset(&window, 0xa5, sizeof window);
    assert_int_equal(jb_measure_window(measure, &args, &window), JB_OK);
    return window;
}

static void close_all(struct jb_measure *measure)
{
    fake_sampled = NULL;
    jb_measure_close(measure);
    assert_int_equal(fake_a.n_open, fake_a.n_close);
    assert_int_equal(fake_b.n_open, fake_b.n_close);
}

static void test_phases_repeat_until_the_window_is_full(void **state)
{
    (void)state;
    struct jb_measure *measure = open_list("");
    struct jb_window window = run_window(measure, 1.9);
    assert_int_equal(window.n_phases, 8);
    assert_near(window.window_s, 2.0);
    assert_true(isnan(window.energy.energy_j));
    assert_string_equal(window.energy.reason, "no-meter");
    window = run_window(measure, 0);
    assert_int_equal(window.n_phases, 1);
    const struct jb_window_args capped = {.phase = work, .window_s = 100, .max_phases = 3};
    assert_int_equal(jb_measure_window(measure, &capped, &window), JB_OK);
    assert_int_equal(window.n_phases, 3);
    close_all(measure);
}

static void test_counter_energy_is_the_difference_of_the_edges(void **state)
{
    (void)state;
    fake_a.slope_w_per_s = 3;
    struct jb_measure *measure = open_list("a");
    const struct jb_window window = run_window(measure, 2);
    assert_near(window.energy.energy_j,
                100 * 2 + 1.5 * (window.end_s * window.end_s - window.begin_s * window.begin_s));
    assert_string_equal(window.energy.source, "a:package-0");
    assert_string_equal(window.energy.scope, "package");
    assert_int_equal(window.energy.evidence, JB_CLASS_MEASURED);
    assert_string_equal(window.energy.reason, "");
    close_all(measure);
}

static void test_polled_power_is_integrated(void **state)
{
    (void)state;
    fake_b.slope_w_per_s = 0.5;
    fake_now_s = 1000.03; /* edges between samples */
    struct jb_measure *measure = open_list("b");
    const struct jb_window window = run_window(measure, 2);
    assert_near(window.energy.energy_j,
                50 * 2 + 0.25 * (window.end_s * window.end_s - window.begin_s * window.begin_s));
    assert_string_equal(window.energy.source, "b:power");
    assert_true(window.n_samples > 20);
    assert_int_equal(window.n_lost, 0);
    close_all(measure);
}

static void test_first_of_the_list_wins_and_the_next_is_the_second_opinion(void **state)
{
    (void)state;
    struct jb_measure *measure = open_list("a,b");
    struct jb_window window = run_window(measure, 2);
    assert_near(window.energy.energy_j, 200);
    assert_near(window.alt.energy_j, 100);
    close_all(measure);
    fake_reset();
    measure = open_list("b,a");
    window = run_window(measure, 2);
    assert_near(window.energy.energy_j, 100);
    assert_string_equal(window.alt.source, "a:package-0");
    close_all(measure);
}

static void test_other_scope_or_class_is_no_second_opinion(void **state)
{
    (void)state;
    fake_b.domains[0].scope = JB_SCOPE_WALL;
    struct jb_measure *measure = open_list("a,b");
    struct jb_window window = run_window(measure, 2);
    assert_true(isnan(window.alt.energy_j));
    close_all(measure);
    fake_reset();
    fake_b.domains[0].evidence = JB_CLASS_MODELLED;
    measure = open_list("auto,b");
    window = run_window(measure, 2);
    assert_string_equal(window.energy.source, "a:package-0");
    assert_true(isnan(window.alt.energy_j));
    close_all(measure);
}

static void test_auto_takes_automatic_meters_and_falls_back(void **state)
{
    (void)state;
    struct jb_measure *measure = open_list("auto");
    assert_int_equal(fake_a.n_open, 1);
    assert_int_equal(fake_b.n_open, 0);
    close_all(measure);
    fake_reset();
    fake_a.probe_status = JB_E_PERM;
    measure = open_list("auto,b");
    const struct jb_absent *absent = NULL;
    assert_true(jb_measure_absent(measure, 0, &absent));
    assert_string_equal(absent->name, "a");
    assert_string_equal(absent->reason, "fake meter is not there");
    assert_string_equal(absent->unlock, "chmod a+r /sys/fake");
    assert_false(jb_measure_absent(measure, 1, &absent));
    assert_string_equal(run_window(measure, 2).energy.source, "b:power");
    close_all(measure);
}

static void test_bad_lists_are_refused(void **state)
{
    (void)state;
    static const char *const lists[] = {"c", "a,,b", ",a", "a,", "auto:1", ":x", "a b"};
    for (size_t i = 0; i < sizeof lists / sizeof lists[0]; i++) {
        const struct jb_measure_args args = fake_args(lists[i]);
        struct jb_measure *measure = NULL;
        assert_int_equal(jb_measure_open(&args, &measure), JB_E_INVAL);
        assert_null(measure);
        assert_int_equal(fake_a.n_open, fake_a.n_close);
    }
}

static void test_stuck_counter_gives_way_to_the_next(void **state)
{
    (void)state;
    fake_a.watts[0] = 0;
    struct jb_measure *measure = open_list("a");
    struct jb_window window = run_window(measure, 2);
    assert_true(isnan(window.energy.energy_j));
    assert_string_equal(window.energy.reason, "stuck");
    assert_int_equal(window.energy.evidence, JB_CLASS_NONE);
    close_all(measure);
    measure = open_list("a,b");
    window = run_window(measure, 2);
    assert_string_equal(window.energy.source, "b:power");
    assert_string_equal(window.energy.reason, "");
    close_all(measure);
}

static void test_a_stuck_part_voids_the_total(void **state)
{
    (void)state;
    fake_a.domains[1] = fake_domain("dram-0", JB_QUANTITY_ENERGY, JB_SCOPE_DRAM, 0.001);
    fake_a.n_domains = 2;
    fake_a.watts[1] = 7;
    struct jb_measure *measure = open_list("a");
    struct jb_window window = run_window(measure, 2);
    assert_near(window.energy.energy_j, 214);
    assert_string_equal(window.energy.source, "a:package-0+dram-0");
    assert_string_equal(window.energy.scope, "package+dram");
    fake_a.watts[1] = 0;
    window = run_window(measure, 2);
    assert_string_equal(window.energy.reason, "stuck");
    close_all(measure);
}

static void test_short_windows_give_no_energy(void **state)
{
    (void)state;
    fake_a.domains[0].update_period_s = 0.1;
    struct jb_measure *measure = open_list("a");
    phase_s = 0.9;
    struct jb_window window = run_window(measure, 0);
    assert_string_equal(window.energy.reason, "window-too-short");
    phase_s = 1.0;
    window = run_window(measure, 0);
    assert_near(window.energy.energy_j, 100);
    close_all(measure);
    /* a sensor that says nothing is taken for a slow one; one that averages is as slow as that */
    fake_reset();
    fake_a.domains[0].update_period_s = NAN;
    measure = open_list("a");
    phase_s = 9;
    assert_string_equal(run_window(measure, 0).energy.reason, "window-too-short");
    close_all(measure);
    fake_reset();
    fake_a.domains[0].average_s = 1;
    measure = open_list("a");
    assert_string_equal(run_window(measure, 0).energy.reason, "window-too-short");
    close_all(measure);
}

static void count_values(void *ctx, const char *meter, const struct jb_domain *domain,
                         double time_s, double value)
{
    uint32_t *n = ctx;
    (void)meter;
    (void)time_s;
    assert_false(jb_is_missing(value));
    *n += domain->quantity == JB_QUANTITY_ENERGY ? 1 : 0;
}

static void test_gaps_losses_and_missing_edges_have_reasons(void **state)
{
    (void)state;
    struct jb_measure_args args = fake_args("b");
    struct jb_measure *measure = NULL;
    args.has_sampler = false;
    assert_int_equal(jb_measure_open(&args, &measure), JB_OK);
    /* nobody samples: the two edges are 2 s apart */
    assert_string_equal(run_window(measure, 2).energy.reason, "no-sampler");
    close_all(measure);

    fake_reset();
    fake_b.missing_from_s = 1000.45;
    fake_b.missing_to_s = 1000.95;
    measure = open_list("b");
    assert_true(isnan(run_window(measure, 2).energy.energy_j));
    close_all(measure);

    fake_reset();
    args.capacity = 10;
    assert_int_equal(jb_measure_open(&args, &measure), JB_OK);
    fake_sampled = measure;
    const struct jb_window window = run_window(measure, 2);
    assert_string_equal(window.energy.reason, "samples-lost");
    assert_true(window.n_lost > 0);
    close_all(measure);
}

static void test_slow_counters_are_read_at_edges_alone(void **state)
{
    (void)state;
    fake_a.has_slow_counter = true;
    struct jb_measure *measure = open_list("a");
    const uint32_t n_before = fake_a.n_read;
    const struct jb_window window = run_window(measure, 2);
    assert_near(window.energy.energy_j, 200);
    assert_int_equal(fake_a.n_read, n_before + 2);
    assert_true(fake_a.n_sample > 10);
    uint32_t n_kept = 0;
    jb_measure_trace(measure, count_values, &n_kept);
    assert_int_equal(n_kept, 2); /* samples without a value are no samples of the counter */
    close_all(measure);
}

static void test_long_windows_need_the_sampler(void **state)
{
    (void)state;
    struct jb_measure_args args = fake_args("a");
    struct jb_measure *measure = NULL;
    assert_int_equal(jb_measure_open(&args, &measure), JB_OK);
    phase_s = 70;
    assert_string_equal(run_window(measure, 2).energy.reason, "no-sampler");
    phase_s = 50;
    assert_near(run_window(measure, 2).energy.energy_j, 5000);
    close_all(measure);
}

static void test_a_meter_that_dies_costs_its_number_only(void **state)
{
    (void)state;
    fake_a.dies_at_s = 1001;
    struct jb_measure *measure = open_list("a");
    const struct jb_window window = run_window(measure, 2);
    assert_int_equal(window.n_phases, 8);
    assert_string_equal(window.energy.reason, "read-failed");
    close_all(measure);
}

static void test_other_scopes_are_not_ours(void **state)
{
    (void)state;
    fake_a.domains[0].scope = JB_SCOPE_BOARD;
    struct jb_measure_args args = fake_args("a,b");
    struct jb_measure *measure = NULL;
    args.scopes = ~JB_SCOPE_BIT(JB_SCOPE_BOARD);
    assert_int_equal(jb_measure_open(&args, &measure), JB_OK);
    fake_sampled = measure;
    assert_string_equal(run_window(measure, 2).energy.source, "b:power");
    close_all(measure);
}

static void test_nested_domains_are_never_added(void **state)
{
    (void)state;
    fake_a.domains[1] = fake_domain("core-0", JB_QUANTITY_ENERGY, JB_SCOPE_CORE, 0.001);
    fake_a.domains[2] = fake_domain("aside", JB_QUANTITY_ENERGY, JB_SCOPE_DRAM, 0.001);
    fake_a.domains[2].is_in_total = false;
    fake_a.n_domains = 3;
    fake_a.watts[1] = 60;
    fake_a.watts[2] = 11;
    struct jb_measure *measure = open_list("a");
    const struct jb_window window = run_window(measure, 2);
    assert_near(window.energy.energy_j, 200);
    assert_string_equal(window.energy.source, "a:package-0");
    close_all(measure);
}

static void test_energy_and_power_of_one_meter_are_two_estimators(void **state)
{
    (void)state;
    fake_a.domains[1] = fake_domain("power", JB_QUANTITY_POWER, JB_SCOPE_PACKAGE, 0.1);
    fake_a.n_domains = 2;
    fake_a.watts[1] = 98;
    struct jb_measure *measure = open_list("auto");
    const struct jb_window window = run_window(measure, 2);
    assert_near(window.energy.energy_j, 200);
    assert_near(window.alt.energy_j, 196);
    assert_string_equal(window.alt.source, "a:power");
    const char *source = NULL;
    assert_true(jb_measure_source(measure, 1, &source));
    assert_string_equal(source, "a:power");
    assert_false(jb_measure_source(measure, 2, &source));
    close_all(measure);
}

static void test_idle_power_joins_later_windows(void **state)
{
    (void)state;
    struct jb_measure *measure = open_list("a,b");
    const double before_s = fake_now_s;
    assert_int_equal(jb_measure_idle(measure), JB_OK);
    assert_true(fake_now_s - before_s >= 1 && fake_now_s - before_s < 2);
    fake_a.watts[0] = 180;
    const struct jb_window window = run_window(measure, 2);
    assert_near(window.energy.idle_w, 100);
    assert_near(window.alt.idle_w, 50);
    close_all(measure);
    /* nothing to measure: no time is spent */
    fake_reset();
    measure = open_list("");
    assert_int_equal(jb_measure_idle(measure), JB_OK);
    assert_near(fake_now_s, 1000);
    close_all(measure);
}

static bool stop_at_once(void *ctx)
{
    (void)ctx;
    return true;
}

static void test_idle_can_be_interrupted(void **state)
{
    (void)state;
    struct jb_measure_args args = fake_args("a");
    struct jb_measure *measure = NULL;
    args.is_stopped = stop_at_once;
    assert_int_equal(jb_measure_open(&args, &measure), JB_OK);
    assert_int_equal(jb_measure_idle(measure), JB_E_INTERRUPTED);
    assert_true(fake_now_s < 1000.5);
    close_all(measure);
}

static void test_failed_phase_ends_the_window(void **state)
{
    (void)state;
    struct jb_measure *measure = open_list("a");
    const struct jb_window_args args = {.phase = work, .window_s = 10};
    struct jb_window window = {.n_phases = 77};
    phase_status = JB_E_INTERRUPTED;
    assert_int_equal(jb_measure_window(measure, &args, &window), JB_E_INTERRUPTED);
    assert_int_equal(window.n_phases, 77);
    assert_int_equal(phases_run, 1);
    phase_status = JB_OK;
    assert_near(run_window(measure, 2).energy.energy_j, 200);
    close_all(measure);
}

static void test_counts_and_states(void **state)
{
    (void)state;
    fake_b.domains[0] = fake_domain("instructions", JB_QUANTITY_COUNT, JB_SCOPE_PROCESS, NAN);
    fake_b.domains[1] = fake_domain("cycles", JB_QUANTITY_COUNT, JB_SCOPE_PROCESS, NAN);
    fake_b.domains[2] = fake_domain("temperature", JB_QUANTITY_STATE, JB_SCOPE_PACKAGE, 1);
    fake_b.domains[2].unit = "C";
    fake_b.domains[3] = fake_domain("throttle/thermal", JB_QUANTITY_STATE, JB_SCOPE_PACKAGE, 1);
    fake_b.n_domains = 4;
    fake_b.level[0] = 3e9;
    fake_b.level[1] = 0; /* opens, never counts */
    fake_b.level[2] = 71;
    fake_b.level[3] = 1;
    struct jb_measure *measure = open_list("b");
    const struct jb_window window = run_window(measure, 2);
    assert_near(window.instructions, 6e9);
    assert_true(isnan(window.cycles));
    assert_true(isnan(window.llc_misses));
    assert_near(window.temperature_c, 71);
    assert_true(isnan(window.clock_hz));
    assert_string_equal(window.throttle, "throttle/thermal");
    assert_string_equal(window.energy.reason, "no-meter");
    close_all(measure);
}

/* Property: with a counter that moves in ticks, the error stays below two ticks of power. */
static void test_tick_error_is_bounded(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < 200; seed++) {
        struct jb_rng rng;
        jb_rng_seed(&rng, seed, 3);
        fake_reset();
        fake_a.tick_s = 0.001 + 0.1 * jb_rng_unit(&rng);
        fake_a.domains[0].update_period_s = fake_a.tick_s;
        fake_now_s = 1000 + jb_rng_unit(&rng);
        phase_s = 0.01 + jb_rng_unit(&rng);
        struct jb_measure *measure = open_list("a");
        const struct jb_window window = run_window(measure, 10 * fake_a.tick_s + 0.001);
        assert_string_equal(window.energy.reason, "");
        assert_true(fabs(window.energy.energy_j - 100 * window.window_s) <=
                    2 * 100 * fake_a.tick_s);
        close_all(measure);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_phases_repeat_until_the_window_is_full, reset),
        cmocka_unit_test_setup(test_counter_energy_is_the_difference_of_the_edges, reset),
        cmocka_unit_test_setup(test_polled_power_is_integrated, reset),
        cmocka_unit_test_setup(test_first_of_the_list_wins_and_the_next_is_the_second_opinion,
                               reset),
        cmocka_unit_test_setup(test_other_scope_or_class_is_no_second_opinion, reset),
        cmocka_unit_test_setup(test_auto_takes_automatic_meters_and_falls_back, reset),
        cmocka_unit_test_setup(test_bad_lists_are_refused, reset),
        cmocka_unit_test_setup(test_stuck_counter_gives_way_to_the_next, reset),
        cmocka_unit_test_setup(test_a_stuck_part_voids_the_total, reset),
        cmocka_unit_test_setup(test_short_windows_give_no_energy, reset),
        cmocka_unit_test_setup(test_gaps_losses_and_missing_edges_have_reasons, reset),
        cmocka_unit_test_setup(test_slow_counters_are_read_at_edges_alone, reset),
        cmocka_unit_test_setup(test_long_windows_need_the_sampler, reset),
        cmocka_unit_test_setup(test_a_meter_that_dies_costs_its_number_only, reset),
        cmocka_unit_test_setup(test_other_scopes_are_not_ours, reset),
        cmocka_unit_test_setup(test_nested_domains_are_never_added, reset),
        cmocka_unit_test_setup(test_energy_and_power_of_one_meter_are_two_estimators, reset),
        cmocka_unit_test_setup(test_idle_power_joins_later_windows, reset),
        cmocka_unit_test_setup(test_idle_can_be_interrupted, reset),
        cmocka_unit_test_setup(test_failed_phase_ends_the_window, reset),
        cmocka_unit_test_setup(test_counts_and_states, reset),
        cmocka_unit_test_setup(test_tick_error_is_bounded, reset),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
