/* SPDX-License-Identifier: MIT */
/* Median, its interval and outliers against values worked out by hand. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "platforms/base/units.h"
#include "results/results.h"

static struct jb_interval of_ramp(uint64_t n)
{
    double values[2000];
    for (uint64_t i = 0; i < n; i++) {
        values[(i * 7) % n] = (double)(i + 1); /* n is no multiple of 7 here: a permutation */
    }
    return jb_interval_of(values, n);
}

static void test_median(void **state)
{
    (void)state;
    const double odd[] = {5.0, 1.0, 3.0}, even[] = {4.0, 1.0, 3.0, 2.0}, one[] = {2.5};
    assert_true(jb_interval_of(odd, 3).median == 3.0);
    assert_true(jb_interval_of(even, 4).median == 2.5);
    assert_true(jb_interval_of(one, 1).median == 2.5);
    assert_true(odd[0] == 5.0);
    const struct jb_interval none = jb_interval_of(NULL, 0);
    assert_true(isnan(none.median) && none.n == 0);
}

/* A group of n rows at 100 tokens/s and at most `spread` more. */
static struct jb_group judged(uint64_t n, double spread, double energy_j, const char *reasons)
{
    struct jb_record rows[8];
    struct jb_table table = {.rows = rows, .n_rows = n};
    struct jb_group *groups = NULL;
    uint64_t n_groups = 0;
    for (uint64_t i = 0; i < n; i++) {
        jb_record_init(&rows[i]);
        rows[i].tokens_per_s = 100.0 + spread * (double)i / (double)(n > 1 ? n - 1 : 1);
        rows[i].energy_j = energy_j;
        (void)snprintf(rows[i].verdict, sizeof rows[i].verdict, "INDICATIVE");
        (void)snprintf(rows[i].reasons, sizeof rows[i].reasons, "%s", reasons);
    }
    assert_int_equal(jb_summarize(&table, &groups, &n_groups), JB_OK);
    assert_int_equal(n_groups, 1);
    const struct jb_group group = groups[0];
    free(groups);
    return group;
}

static void test_a_group_knows_its_uncertainty(void **state)
{
    (void)state;
    static const struct {
        uint64_t n;
        double spread, energy_j;
        const char *reasons, *verdict, *words;
        double u_rel;
    } cases[] = {
        {5, 4, NAN, "no-uncertainty", "VALID", "", 2.0 / 102.0},
        {5, 4, NAN, "no-uncertainty;no-meter", "VALID", "no-meter", 2.0 / 102.0},
        {5, 20, NAN, "no-uncertainty", "INDICATIVE", "uncertain", 10.0 / 110.0},
        {4, 0, NAN, "no-meter;no-uncertainty", "INDICATIVE", "no-meter;few-repetitions", 0},
        {2, 0, NAN, "no-uncertainty", "INDICATIVE", "no-uncertainty", NAN},
        {5, 0, 7, "no-uncertainty", "VALID", "no-accuracy", NAN},
        {5, 0, NAN, "no-uncertainty;no-peak", "INDICATIVE", "no-peak", 0},
        {5, 0, NAN, "throttled;no-uncertainty", "INDICATIVE", "throttled", 0},
        {5, 0, NAN, "their-own-word", "INDICATIVE", "their-own-word", 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const struct jb_group group =
            judged(cases[i].n, cases[i].spread, cases[i].energy_j, cases[i].reasons);
        assert_string_equal(group.verdict, cases[i].verdict);
        assert_string_equal(group.key.reasons, cases[i].words);
        assert_true(jb_is_missing(cases[i].u_rel) ? jb_is_missing(group.u_rel)
                                                  : fabs(group.u_rel - cases[i].u_rel) < 1e-12);
    }
}

static void test_interval_of_few_is_the_range(void **state)
{
    (void)state;
    const double values[] = {3.0, 9.0, 1.0, 2.0, 4.0};
    assert_true(isnan(jb_interval_of(values, 2).low));
    const struct jb_interval of = jb_interval_of(values, 5);
    assert_true(of.low == 1.0 && of.high == 9.0);
}

/* Ranks of the published tables for 95 %: n = 6 (1,6), 8 (1,8), 9 (2,8), 10 (2,9), 15 (4,12),
 * 20 (6,15), 25 (8,18), 30 (10,21), 50 (18,33), 100 (40,61). */
static void test_interval_ranks(void **state)
{
    (void)state;
    static const struct {
        uint64_t n;
        double low;
    } ranks[] = {{6, 1},  {8, 1},  {9, 2},   {10, 2},  {15, 4},
                 {20, 6}, {25, 8}, {30, 10}, {50, 18}, {100, 40}};
    for (size_t i = 0; i < sizeof ranks / sizeof ranks[0]; i++) {
        const struct jb_interval of = of_ramp(ranks[i].n);
        assert_true(of.low == ranks[i].low);
        assert_true(of.high == (double)ranks[i].n + 1.0 - ranks[i].low);
    }
    /* Many values: (n - 1.96 sqrt n) / 2, within one rank. */
    const struct jb_interval of = of_ramp(1999);
    assert_true(fabs(of.low - (1999.0 - 1.96 * sqrt(1999.0)) / 2.0) <= 1.0);
}

static void test_missing_values_are_skipped(void **state)
{
    (void)state;
    const double values[] = {(double)NAN, 1.0, (double)NAN, 3.0, 2.0};
    const struct jb_interval of = jb_interval_of(values, 5);
    assert_int_equal(of.n, 3);
    assert_true(of.median == 2.0);
    assert_true(isnan(jb_interval_of(values, 1).median));
}

/* Median 10, deviations {0,1,1,2,2,x}: MAD 1.5, so the limit is 3.5 x 1.4826 x 1.5 = 7.78. */
static void test_outliers_by_median_deviation(void **state)
{
    (void)state;
    double values[] = {10.0, 10.0, 9.0, 11.0, 8.0, 12.0, 17.0};
    assert_int_equal(jb_interval_of(values, 7).n_outliers, 1); /* MAD 1: limit 5.19 */
    values[6] = 15.0;
    assert_int_equal(jb_interval_of(values, 7).n_outliers, 0);
    const double flat[] = {1.0, 1.0, 1.0, 1.0};
    assert_int_equal(jb_interval_of(flat, 4).n_outliers, 0);
    /* More than half equal: MAD is 0, mean deviation 9/10: limit 3.5 x 1.2533 x 0.9 = 3.95. */
    const double stuck[] = {1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 10.0};
    assert_int_equal(jb_interval_of(stuck, 10).n_outliers, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_median),
        cmocka_unit_test(test_a_group_knows_its_uncertainty),
        cmocka_unit_test(test_interval_of_few_is_the_range),
        cmocka_unit_test(test_interval_ranks),
        cmocka_unit_test(test_missing_values_are_skipped),
        cmocka_unit_test(test_outliers_by_median_deviation),
    };
    return cmocka_run_group_tests_name("results stats", tests, NULL, NULL);
}
