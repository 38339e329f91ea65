/* SPDX-License-Identifier: MIT */
/* Windows over recorded traces, through the build's own meter table and list syntax. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "bench/measure/measure.h"
#include "platforms/meters/replay.h"

#define HEADER "time_s,domain,quantity,unit,scope,value,update_period_s,average_s\n"

static double now_s;
static struct jb_measure *sampled;

static double clock_now(void *ctx)
{
    (void)ctx;
    return now_s;
}

static void move_to(void *ctx, double deadline_s)
{
    (void)ctx;
    while (now_s < deadline_s) {
        now_s = now_s + 0.05 < deadline_s ? now_s + 0.05 : deadline_s;
        jb_replay_set_time(now_s);
        jb_measure_sample(sampled);
    }
}

static enum jb_status work_a_second(void *ctx)
{
    move_to(ctx, now_s + 1);
    return JB_OK;
}

static struct jb_window measure_trace(const char *rows, const char *options, double begin_s,
                                      double window_s)
{
    char path[] = "jb-measure-XXXXXX";
    const int fd = mkstemp(path);
    assert_true(fd >= 0);
    FILE *file = fdopen(fd, "w");
    assert_non_null(file);
    assert_true(fprintf(file, "%s%s", HEADER, rows) > 0);
    assert_int_equal(fclose(file), 0);
    char list[128];
    (void)snprintf(list, sizeof list, "replay:%s,clock=manual%s,null", path, options);
    now_s = begin_s;
    jb_replay_set_time(now_s);
    const struct jb_clock clock = {.now_s = clock_now, .sleep_until = move_to};
    const struct jb_measure_args args = {
        .meters = list, .scopes = JB_SCOPES_ALL, .interval_s = 0.05, .clock = &clock};
    const enum jb_status status = jb_measure_open(&args, &sampled);
    (void)remove(path);
    assert_int_equal(status, JB_OK);
    const struct jb_window_args window_args = {.phase = work_a_second, .window_s = window_s};
    struct jb_window window;
    assert_int_equal(jb_measure_window(sampled, &window_args, &window), JB_OK);
    jb_measure_close(sampled);
    return window;
}

static void test_counter_trace(void **state)
{
    (void)state;
    const char *rows = "0,package-0,energy,J,package,100,0.1,0\n"
                       "1,package-0,energy,J,package,150,,\n"
                       "2,package-0,energy,J,package,170,,\n"
                       "3,package-0,energy,J,package,290,,\n"
                       "9,package-0,energy,J,package,291,,\n";
    const struct jb_window window = measure_trace(rows, "", 1, 2);
    assert_int_equal(window.n_phases, 2);
    assert_true(fabs(window.energy.energy_j - 140) < 1e-9);
    assert_string_equal(window.energy.source, "replay:package-0");
}

static void test_power_trace(void **state)
{
    (void)state;
    const char *rows = "0,board,power,W,board,40,0.1,0\n"
                       "9,board,power,W,board,40,,\n";
    const struct jb_window window = measure_trace(rows, "", 2, 3);
    assert_true(fabs(window.energy.energy_j - 120) < 1e-9);
    assert_string_equal(window.energy.scope, "board");
}

static void test_unit_of_the_trace_is_kept(void **state)
{
    (void)state;
    const char *rows = "0,board,power,mW,board,40000,0.1,0\n"
                       "9,board,power,mW,board,40000,,\n";
    assert_true(fabs(measure_trace(rows, "", 2, 3).energy.energy_j - 120) < 1e-9);
}

static void test_stuck_reset_hole_and_end_have_reasons(void **state)
{
    (void)state;
    assert_string_equal(measure_trace("0,p,energy,J,package,5,0.1,0\n"
                                      "9,p,energy,J,package,5,,\n",
                                      "", 1, 2)
                            .energy.reason,
                        "stuck");
    assert_string_equal(measure_trace("0,p,energy,J,package,5,0.1,0\n"
                                      "2,p,energy,J,package,1,,\n"
                                      "9,p,energy,J,package,9,,\n",
                                      "", 1, 2)
                            .energy.reason,
                        "read-failed");
    assert_string_equal(measure_trace("0,p,power,W,package,5,0.1,0\n"
                                      "1.5,p,power,W,package,,,\n"
                                      "2.1,p,power,W,package,5,,\n"
                                      "9,p,power,W,package,5,,\n",
                                      "", 1, 2)
                            .energy.reason,
                        "sample-gap");
    assert_string_equal(measure_trace("0,p,power,W,package,5,0.1,0\n"
                                      "2,p,power,W,package,5,,\n",
                                      "", 1, 2)
                            .energy.reason,
                        "not-bracketed");
}

static void test_repeated_trace_goes_on(void **state)
{
    (void)state;
    const char *rows = "0,p,energy,J,package,0,0.1,0\n"
                       "1,p,energy,J,package,10,,\n";
    const struct jb_window window = measure_trace(rows, ",repeat", 0.5, 5);
    assert_true(fabs(window.energy.energy_j - 50) < 1e-9);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_counter_trace),
        cmocka_unit_test(test_power_trace),
        cmocka_unit_test(test_unit_of_the_trace_is_kept),
        cmocka_unit_test(test_stuck_reset_hole_and_end_have_reasons),
        cmocka_unit_test(test_repeated_trace_goes_on),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
