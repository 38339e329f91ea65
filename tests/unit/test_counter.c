/* SPDX-License-Identifier: MIT */
/* Wrapping counters: rules R13 and R14 of a valid energy number. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "platforms/base/counter.h"
#include "platforms/base/rng.h"

static void test_equal_readings_are_zero(void **state)
{
    (void)state;
    uint64_t delta = 99;
    assert_true(jb_counter_delta(1000, 1000, 65536, 0, &delta));
    assert_int_equal(delta, 0);
}

static void test_single_wrap_is_unrolled(void **state)
{
    (void)state;
    uint64_t delta = 0;
    assert_true(jb_counter_delta(65000, 100, 65536, 0, &delta));
    assert_int_equal(delta, 636);
    assert_true(jb_counter_delta(UINT64_MAX - 1, 3, 0, 0, &delta));
    assert_int_equal(delta, 5);
}

static void test_reset_is_no_wrap(void **state)
{
    (void)state;
    uint64_t delta = 42;
    assert_false(jb_counter_delta(40000, 10, 65536, 1000, &delta));
    assert_false(jb_counter_delta(1000, 0, 0, 0, &delta));
    assert_int_equal(delta, 42);
}

static void test_reading_outside_range_is_refused(void **state)
{
    (void)state;
    uint64_t delta = 42;
    assert_false(jb_counter_delta(0, 65536, 65536, 0, &delta));
    assert_int_equal(delta, 42);
}

static void test_total_follows_the_true_count(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < 200; seed++) {
        struct jb_rng rng;
        jb_rng_seed(&rng, seed, 0);
        const uint64_t range = 1000 + jb_rng_below(&rng, 1000000);
        uint64_t truth = jb_rng_below(&rng, (uint32_t)range);
        const uint64_t start = truth;
        struct jb_counter counter = {.range = range};
        for (int i = 0; i < 100; i++) {
            assert_true(jb_counter_feed(&counter, truth % range));
            truth += jb_rng_below(&rng, (uint32_t)(range / 2));
        }
        assert_true(jb_counter_feed(&counter, truth % range));
        assert_int_equal(counter.total, truth - start);
    }
}

static void test_broken_counter_stays_broken(void **state)
{
    (void)state;
    struct jb_counter counter = {.range = 1000, .max_step = 10};
    assert_true(jb_counter_feed(&counter, 5));
    assert_true(jb_counter_feed(&counter, 9));
    assert_false(jb_counter_feed(&counter, 3));
    assert_false(jb_counter_feed(&counter, 10));
    assert_int_equal(counter.total, 4);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_equal_readings_are_zero),
        cmocka_unit_test(test_single_wrap_is_unrolled),
        cmocka_unit_test(test_reset_is_no_wrap),
        cmocka_unit_test(test_reading_outside_range_is_refused),
        cmocka_unit_test(test_total_follows_the_true_count),
        cmocka_unit_test(test_broken_counter_stays_broken),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
