/* SPDX-License-Identifier: MIT */
/* Step marks and the integral of a sampled power, against closed forms. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "bench/measure/measure.h"

static void assert_near(double value, double wanted, double relative)
{
    if (!(fabs(value - wanted) <= relative * fabs(wanted) + 1e-300)) {
        fail_msg("%.17g is not %.17g", value, wanted);
    }
}

static void test_quantiles_of_a_known_sequence(void **state)
{
    (void)state;
    struct jb_marks marks;
    assert_int_equal(jb_marks_create(1000, &marks), JB_OK);
    assert_true(isnan(jb_marks_quantile(&marks, 0.5)));
    for (int i = 100; i >= 0; i--) {
        jb_marks_add(&marks, i * 0.001);
    }
    assert_near(jb_marks_quantile(&marks, 0.5), 0.050, 1e-12);
    assert_near(jb_marks_quantile(&marks, 0.95), 0.095, 1e-12);
    assert_near(jb_marks_quantile(&marks, 1), 0.100, 1e-12);
    jb_marks_clear(&marks);
    jb_marks_add(&marks, 1);
    jb_marks_add(&marks, 2);
    assert_near(jb_marks_quantile(&marks, 0.5), 1.5, 1e-12);
    jb_marks_free(&marks);
}

/* Past the capacity a random subset stays: its quantiles still follow the whole, also for a
 * sequence with a period that a fixed stride would alias with. */
static void test_marks_past_the_capacity_stay_unbiased(void **state)
{
    (void)state;
    struct jb_marks marks;
    assert_int_equal(jb_marks_create(4096, &marks), JB_OK);
    for (uint32_t i = 0; i < 1u << 20; i++) {
        jb_marks_add(&marks, (double)(i % 128));
    }
    assert_int_equal(marks.n, 1u << 20);
    assert_true(fabs(jb_marks_quantile(&marks, 0.5) - 63.5) < 5);
    assert_true(fabs(jb_marks_quantile(&marks, 0.95) - 121) < 4);
    jb_marks_free(&marks);
}

static void test_constant_and_linear_power_are_exact(void **state)
{
    (void)state;
    const double times_s[] = {0, 0.5, 0.9, 1.7, 2.2, 3.0};
    double constant_w[6];
    double rising_w[6];
    for (int i = 0; i < 6; i++) {
        constant_w[i] = 80;
        rising_w[i] = 10 + 4 * times_s[i];
    }
    double energy_j = 0;
    assert_string_equal(jb_integrate_power(times_s, constant_w, 6, 0.3, 2.6, 1, &energy_j), "");
    assert_near(energy_j, 80 * 2.3, 1e-12);
    assert_string_equal(jb_integrate_power(times_s, rising_w, 6, 0.3, 2.6, 1, &energy_j), "");
    assert_near(energy_j, 10 * 2.3 + 2 * (2.6 * 2.6 - 0.3 * 0.3), 1e-12);
    /* edges on samples */
    assert_string_equal(jb_integrate_power(times_s, rising_w, 6, 0, 3, 1, &energy_j), "");
    assert_near(energy_j, 30 + 2 * 9, 1e-12);
    /* a window between two samples */
    assert_string_equal(jb_integrate_power(times_s, rising_w, 6, 1.0, 1.5, 1, &energy_j), "");
    assert_near(energy_j, 5 + 2 * (2.25 - 1), 1e-12);
}

static void test_samples_must_bracket_the_window(void **state)
{
    (void)state;
    const double times_s[] = {1, 2, 3};
    const double watts[] = {5, 5, 5};
    double energy_j = 42;
    assert_string_equal(jb_integrate_power(times_s, watts, 3, 0.9, 2, 9, &energy_j),
                        "not-bracketed");
    assert_string_equal(jb_integrate_power(times_s, watts, 3, 1, 3.1, 9, &energy_j),
                        "not-bracketed");
    assert_string_equal(jb_integrate_power(times_s, watts, 0, 1, 3, 9, &energy_j), "not-bracketed");
    assert_near(energy_j, 42, 0);
}

static void test_gaps_are_refused_only_inside_the_window(void **state)
{
    (void)state;
    const double times_s[] = {0, 5, 5.1, 5.2, 5.3, 9};
    const double watts[] = {5, 5, 5, 5, 5, 5};
    const double holed_w[] = {5, 5, NAN, NAN, 5, 5};
    double energy_j = 42;
    assert_string_equal(jb_integrate_power(times_s, watts, 6, 5, 5.3, 0.11, &energy_j), "");
    assert_near(energy_j, 1.5, 1e-12);
    assert_string_equal(jb_integrate_power(times_s, watts, 6, 4.9, 5.3, 0.11, &energy_j),
                        "sample-gap");
    assert_string_equal(jb_integrate_power(times_s, watts, 6, 5, 5.4, 0.11, &energy_j),
                        "sample-gap");
    assert_string_equal(jb_integrate_power(times_s, holed_w, 6, 5, 5.3, 0.11, &energy_j),
                        "sample-gap");
}

/* Property: any sampling of a straight line gives its area, and splitting a window adds up. */
static void test_random_sampling_of_lines(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < 500; seed++) {
        struct jb_rng rng;
        jb_rng_seed(&rng, seed, 7);
        double times_s[64];
        double watts[64];
        const double a = 1 + 100 * jb_rng_unit(&rng);
        const double b = 10 * jb_rng_unit(&rng);
        double t = 0;
        for (int i = 0; i < 64; i++) {
            times_s[i] = t;
            watts[i] = a + b * t;
            t += 0.001 + jb_rng_unit(&rng);
        }
        const double end_s = times_s[63] * (0.5 + 0.5 * jb_rng_unit(&rng));
        const double begin_s = end_s * jb_rng_unit(&rng);
        const double middle_s = begin_s + (end_s - begin_s) * jb_rng_unit(&rng);
        double whole_j = 0;
        double left_j = 0;
        double right_j = 0;
        assert_string_equal(jb_integrate_power(times_s, watts, 64, begin_s, end_s, 2, &whole_j),
                            "");
        assert_string_equal(jb_integrate_power(times_s, watts, 64, begin_s, middle_s, 2, &left_j),
                            "");
        assert_string_equal(jb_integrate_power(times_s, watts, 64, middle_s, end_s, 2, &right_j),
                            "");
        assert_near(whole_j, a * (end_s - begin_s) + 0.5 * b * (end_s * end_s - begin_s * begin_s),
                    1e-9);
        assert_near(left_j + right_j, whole_j, 1e-9);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_quantiles_of_a_known_sequence),
        cmocka_unit_test(test_marks_past_the_capacity_stay_unbiased),
        cmocka_unit_test(test_constant_and_linear_power_are_exact),
        cmocka_unit_test(test_samples_must_bracket_the_window),
        cmocka_unit_test(test_gaps_are_refused_only_inside_the_window),
        cmocka_unit_test(test_random_sampling_of_lines),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
