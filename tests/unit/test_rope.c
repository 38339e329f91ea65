/* SPDX-License-Identifier: MIT */
/* Angles of rotary positions against numbers worked out by hand from the papers' formulas. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>

#include "bench/workload/model.h"

static void near(float got, double want)
{
    if (fabs((double)got - want) > 1e-6 * fabs(want)) {
        fail_msg("%.9g where %.9g was expected", (double)got, want);
    }
}

static void test_plain_and_linear(void **state)
{
    (void)state;
    struct jb_rope_params rope = {.kind = JB_ROPE_PAIRS, .n_dims = 8, .base = 10000.0f};
    float freq[4];
    float mscale = 0;
    jb_rope_build(&rope, NULL, freq, &mscale);
    near(freq[0], 1.0);
    near(freq[1], 0.1);
    near(freq[2], 0.01);
    near(freq[3], 0.001);
    near(mscale, 1.0);
    rope.scaling = JB_SCALING_LINEAR;
    rope.factor = 4.0f;
    jb_rope_build(&rope, NULL, freq, &mscale);
    near(freq[0], 0.25);
    near(freq[3], 0.00025);
    near(mscale, 1.0);
    static const float divisors[4] = {1, 2, 4, 8};
    rope.scaling = JB_SCALING_NONE;
    jb_rope_build(&rope, divisors, freq, &mscale);
    near(freq[1], 0.05);
    near(freq[3], 0.000125);
}

/* base 10000, 8 dims, trained on 1000: wavelengths 6.283, 62.83, 628.3, 6283. With low 1 and high
 * 4, below 250 nothing changes and above 1000 all of the factor applies; at 628.3 the mix is
 * (1000 / 628.3185 - 1) / 3 = 0.19718315, so 1 / (0.80281685 / 8 + 0.19718315) = 3.36117. */
static void test_llama3(void **state)
{
    (void)state;
    const struct jb_rope_params rope = {.kind = JB_ROPE_PAIRS,
                                        .n_dims = 8,
                                        .base = 10000.0f,
                                        .factor = 8.0f,
                                        .original_context = 1000,
                                        .low_freq_factor = 1.0f,
                                        .high_freq_factor = 4.0f};
    float factors[4];
    jb_rope_llama3_factors(&rope, factors);
    near(factors[0], 1.0);
    near(factors[1], 1.0);
    const double mix = (1000.0 / 628.3185307179586 - 1.0) / 3.0;
    assert_true(fabs(mix - 0.19718) < 1e-4);
    near(factors[2], 1.0 / ((1.0 - mix) / 8.0 + mix));
    assert_true(factors[2] > 3.3f && factors[2] < 3.4f);
    near(factors[3], 8.0);
}

/* Pair of t turns: 8 ln(1000 / (2 pi t)) / (2 ln 10000). 32 turns: 0.697 -> 0; 1 turn: 2.202 -> 3.
 * So pairs 0..3 take 0, 1/3, 2/3 and all of the interpolated angle. */
static void test_yarn(void **state)
{
    (void)state;
    const struct jb_rope_params rope = {.kind = JB_ROPE_HALVES,
                                        .scaling = JB_SCALING_YARN,
                                        .n_dims = 8,
                                        .base = 10000.0f,
                                        .factor = 4.0f,
                                        .original_context = 1000,
                                        .attention_factor = 1.0f,
                                        .beta_fast = 32.0f,
                                        .beta_slow = 1.0f};
    float freq[4];
    float mscale = 0;
    jb_rope_build(&rope, NULL, freq, &mscale);
    near(freq[0], 1.0);
    near(freq[1], 0.1 * (1.0 / 3 / 4 + 2.0 / 3));
    near(freq[2], 0.01 * (2.0 / 3 / 4 + 1.0 / 3));
    near(freq[3], 0.001 / 4);
    near(mscale, 1.1386294361); /* 1 + 0.1 ln 4 */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_plain_and_linear),
        cmocka_unit_test(test_llama3),
        cmocka_unit_test(test_yarn),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
