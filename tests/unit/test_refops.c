/* SPDX-License-Identifier: MIT */
/* The kernels that everything else is tested against, on values worked out by hand. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "backends/refops/refops.h"

static void assert_near(double actual, double expected)
{
    if (!(fabs(actual - expected) <= 1e-6 * fmax(1.0, fabs(expected)))) {
        fail_msg("%.9g is not %.9g", actual, expected);
    }
}

static void test_dot_takes_every_element_once(void **state)
{
    (void)state;
    float a[40], b[40];
    for (uint32_t n = 0; n <= 40; n++) {
        double expected = 0.0;
        for (uint32_t i = 0; i < n; i++) {
            a[i] = (float)(i + 1);
            b[i] = (float)(2 * i + 1);
            expected += (double)(i + 1) * (2 * i + 1);
        }
        assert_true(jb_ref_dot(a, b, n) == expected);
    }
}

static void test_dot_sums_in_double(void **state)
{
    (void)state;
    const float big[4] = {1e8F, 1.0F, -1e8F, 1.0F};
    const float one[4] = {1.0F, 1.0F, 1.0F, 1.0F};
    assert_true(jb_ref_dot(big, one, 4) == 2.0);
}

static void test_embed_takes_the_row_of_the_id(void **state)
{
    (void)state;
    const float table[3][2] = {{1, 2}, {3, 4}, {5, 6}};
    const int32_t ids[3] = {2, 0, 2};
    const float expected[6] = {5, 6, 1, 2, 5, 6};
    float dst[6];
    jb_ref_embed(JB_F32, table, 2, ids, 3, dst);
    assert_memory_equal(dst, expected, sizeof dst);
}

static void test_posembed_adds_the_row_of_the_position(void **state)
{
    (void)state;
    const uint16_t table[4][2] = {{0}, {0}, {0x3C00, 0x4000}, {0x4200, 0x4400}}; /* 1 2, 3 4 */
    const float src[4] = {10, 20, 30, 40};
    const uint32_t positions[2] = {1, 0};
    const float expected[4] = {13, 24, 31, 42};
    float scratch[2], dst[4];
    jb_ref_posembed(JB_F16, table, 2, src, positions, 2, 2, scratch, dst);
    assert_memory_equal(dst, expected, sizeof dst);
}

static void test_rmsnorm_works_group_by_group(void **state)
{
    (void)state;
    float x[4] = {3, 4, 6, 8};
    const float weight[2] = {1, 2};
    jb_ref_rmsnorm(x, weight, 2, 2, 0.5F, x);
    assert_near((double)x[0], 3 / sqrt(13.0)); /* mean(9, 16) + 0.5 */
    assert_near((double)x[1], 8 / sqrt(13.0));
    assert_near((double)x[2], 6 / sqrt(50.5));
    assert_near((double)x[3], 16 / sqrt(50.5));
}

static void test_layernorm_takes_mean_and_variance_off(void **state)
{
    (void)state;
    const float x[4] = {1, 2, 3, 6}; /* mean 3, variance 3.5 */
    const float weight[4] = {1, 1, 2, 1};
    const float bias[4] = {0, 1, 5, 0};
    float y[4];
    jb_ref_layernorm(x, weight, bias, 1, 4, 0.5F, y);
    assert_near((double)y[0], -1.0);
    assert_near((double)y[1], 0.5);
    assert_near((double)y[2], 5.0);
    assert_near((double)y[3], 1.5);
    jb_ref_layernorm(x, weight, NULL, 1, 4, 0.5F, y);
    assert_near((double)y[1], -0.5);
}

static void test_matmul_writes_its_rows_only(void **state)
{
    (void)state;
    const float w[3][2] = {{1, 2}, {3, 4}, {5, 6}};
    const float src[4] = {1, 10, 2, 20};
    const float bias[3] = {0.5F, 1.5F, 2.5F};
    float dst[6] = {-1, -1, -1, -1, -1, -1}, scratch[2];
    const struct jb_ref_matmul m = {.dtype = JB_F32,
                                    .weight = w,
                                    .rows = 3,
                                    .cols = 2,
                                    .bias = bias,
                                    .src = src,
                                    .n = 2,
                                    .dst = dst};
    const float expected[6] = {-1, 44.5F, 67.5F, -1, 87.5F, 132.5F};
    jb_ref_matmul(&m, 1, 3, scratch);
    assert_memory_equal(dst, expected, sizeof dst);
}

static void test_matmul_reads_stored_rows(void **state)
{
    (void)state;
    struct jb_q4_0 w[2] = {{.d = 0x3C00}, {.d = 0x4000}}; /* 1, 2 */
    for (int i = 0; i < 16; i++) {
        w[0].q[i] = 0x98; /* values 0..15: 8 - 8 = 0; values 16..31: 9 - 8 = 1 */
        w[1].q[i] = 0x8A; /* 2 and 0, times d = 2: 4 and 0 */
    }
    float src[32], dst[2], scratch[32];
    for (int i = 0; i < 32; i++) {
        src[i] = (float)i;
    }
    const struct jb_ref_matmul m = {
        .dtype = JB_Q4_0, .weight = w, .rows = 2, .cols = 32, .src = src, .n = 1, .dst = dst};
    jb_ref_matmul(&m, 0, 2, scratch);
    assert_true(dst[0] == 376.0F); /* 16 + ... + 31 */
    assert_true(dst[1] == 480.0F); /* 4 (0 + ... + 15) */
}

static void test_rope_orders(void **state)
{
    (void)state;
    const float inv_freq[2] = {1.0F, 0.5F};
    struct jb_rope rope = {.kind = JB_ROPE_PAIRS, .n_dims = 4, .inv_freq = inv_freq, .mscale = 1};
    const uint32_t positions[2] = {2, 0};
    float x[12] = {1, 0, 0, 1, 7, 8, 1, 2, 3, 4, 5, 6}; /* 2 rows of one head of 6 */
    jb_ref_rope(&rope, x, 2, 6, 6, positions);
    assert_near((double)x[0], cos(2.0));
    assert_near((double)x[1], sin(2.0));
    assert_near((double)x[2], -sin(1.0));
    assert_near((double)x[3], cos(1.0));
    for (int i = 4; i < 12; i++) { /* beyond n_dims, and at position 0 */
        assert_true(x[i] == (float)(i < 6 ? i + 3 : i - 5));
    }
    float y[8] = {1, 0, 0, 1, 1, 0, 0, 1}; /* one row of two heads of 4 */
    rope.kind = JB_ROPE_HALVES;
    rope.mscale = 2;
    jb_ref_rope(&rope, y, 1, 8, 4, positions);
    for (int head = 0; head < 8; head += 4) {
        assert_near((double)y[head + 0], 2 * cos(2.0));
        assert_near((double)y[head + 2], 2 * sin(2.0));
        assert_near((double)y[head + 1], -2 * sin(1.0));
        assert_near((double)y[head + 3], 2 * cos(1.0));
    }
}

/* 4 query heads share 2 KV heads of 2 values; 3 positions. */
static const float k_rows[3][4] = {{1, 0, 0, 1}, {0, 1, 1, 0}, {1, 1, 2, 2}};
static const float v_rows[3][4] = {{1, 2, 10, 20}, {3, 4, 30, 40}, {5, 9, 50, 90}};

static void attend(const float *q, uint32_t pos, uint32_t n, float scale, float *dst)
{
    double scratch[3 * 3];
    assert_true(jb_ref_attention_scratch(3, 2) <= sizeof scratch / sizeof scratch[0]);
    struct jb_ref_attention a = {.n_heads = 4,
                                 .n_kv_heads = 2,
                                 .head_dim = 2,
                                 .scale = scale,
                                 .kv_dtype = JB_F32,
                                 .k = k_rows,
                                 .v = v_rows,
                                 .q = q,
                                 .pos = pos,
                                 .n = n};
    a.dst = dst;
    jb_ref_attention(&a, scratch);
}

static void test_attention_is_causal_and_shares_heads(void **state)
{
    (void)state;
    const float q[24] = {0}; /* equal scores: the mean of what is seen */
    float dst[24];
    attend(q, 0, 3, 1.0F, dst);
    for (size_t head = 0; head < 4; head++) {
        const double times = head < 2 ? 1.0 : 10.0;
        assert_near((double)dst[head * 2], times * 1);
        assert_near((double)dst[head * 2 + 1], times * 2);
        assert_near((double)dst[8 + head * 2], times * 2);
        assert_near((double)dst[8 + head * 2 + 1], times * 3);
        assert_near((double)dst[16 + head * 2], times * 3);
        assert_near((double)dst[16 + head * 2 + 1], times * 5);
    }
}

static void test_attention_weighs_by_scaled_scores(void **state)
{
    (void)state;
    const float q[8] = {1, 0, 0, 0, 0, 0, 0, 0};
    float dst[8];
    attend(q, 2, 1, 0.5F, dst); /* scores 0.5, 0, 0.5 */
    const double e = exp(0.5);
    assert_near((double)dst[0], (e * 1 + 3 + e * 5) / (2 * e + 1));
    assert_near((double)dst[1], (e * 2 + 4 + e * 9) / (2 * e + 1));
}

static void test_attention_survives_large_scores(void **state)
{
    (void)state;
    const float q[8] = {1e6F, 0, -1e6F, 0, 0, 0, 0, 0};
    float dst[8];
    attend(q, 1, 1, 1.0F, dst);
    assert_true(dst[0] == 1.0F && dst[1] == 2.0F); /* the first position takes all */
    assert_true(dst[2] == 3.0F && dst[3] == 4.0F); /* the second one does           */
}

static void test_kv_rows_are_rounded_and_packed(void **state)
{
    (void)state;
    const float src[4] = {1.0F, 2.0F, 3.0F, 1.0F / 3.0F};
    uint16_t cache[5] = {0, 0, 0, 0, 0xBEEF};
    jb_ref_kv_store(JB_F16, src, 2, 2, cache);
    const uint16_t expected[5] = {0x3C00, 0x4000, 0x4200, 0x3555, 0xBEEF};
    assert_memory_equal(cache, expected, sizeof cache);
}

static void test_activations(void **state)
{
    (void)state;
    const float x[4] = {0.0F, 1.0F, -1.0F, -100.0F};
    const float up[4] = {2.0F, 2.0F, 2.0F, 2.0F};
    float y[4];
    jb_ref_silu_mul(x, up, 4, y);
    assert_near((double)y[0], 0.0);
    assert_near((double)y[1], 2 * 0.73105857863);
    assert_near((double)y[2], -2 * 0.26894142137);
    assert_near((double)y[3], 0.0);
    jb_ref_gelu(x, 4, y);
    assert_near((double)y[0], 0.0);
    assert_near((double)y[1], 0.84119199061);
    assert_near((double)y[2], -0.15880800939);
    assert_near((double)y[3], 0.0);
    jb_ref_relu(x, 4, y);
    assert_true(y[0] == 0.0F && y[1] == 1.0F && y[2] == 0.0F && y[3] == 0.0F);
    jb_ref_add(x, up, 4, y);
    assert_true(y[0] == 2.0F && y[1] == 3.0F && y[2] == 1.0F && y[3] == -98.0F);
}

static void test_argmax_takes_the_first_of_the_largest(void **state)
{
    (void)state;
    const float ties[5] = {-1, 3, 2, 3, 3};
    const float last[3] = {-3, -2, -1};
    const float nan_first[3] = {NAN, -5, -5};
    assert_int_equal(jb_ref_argmax(ties, 5), 1);
    assert_int_equal(jb_ref_argmax(last, 3), 2);
    assert_int_equal(jb_ref_argmax(nan_first, 3), 1);
    assert_int_equal(jb_ref_argmax(last, 1), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_dot_takes_every_element_once),
        cmocka_unit_test(test_dot_sums_in_double),
        cmocka_unit_test(test_embed_takes_the_row_of_the_id),
        cmocka_unit_test(test_posembed_adds_the_row_of_the_position),
        cmocka_unit_test(test_rmsnorm_works_group_by_group),
        cmocka_unit_test(test_layernorm_takes_mean_and_variance_off),
        cmocka_unit_test(test_matmul_writes_its_rows_only),
        cmocka_unit_test(test_matmul_reads_stored_rows),
        cmocka_unit_test(test_rope_orders),
        cmocka_unit_test(test_attention_is_causal_and_shares_heads),
        cmocka_unit_test(test_attention_weighs_by_scaled_scores),
        cmocka_unit_test(test_attention_survives_large_scores),
        cmocka_unit_test(test_kv_rows_are_rounded_and_packed),
        cmocka_unit_test(test_activations),
        cmocka_unit_test(test_argmax_takes_the_first_of_the_largest),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
