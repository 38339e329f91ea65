/* SPDX-License-Identifier: MIT */
/* Number formats: known conversions, blocks written by hand, error bounds, seeded fill. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <string.h>

#include "backends/format/format.h"
#include "platforms/base/rng.h"

static void test_f16_known_values(void **state)
{
    (void)state;
    static const struct {
        float value;
        uint16_t bits;
    } known[] = {
        {0.0f, 0x0000},      {-0.0f, 0x8000},           {1.0f, 0x3c00},
        {-2.0f, 0xc000},     {65504.0f, 0x7bff},        {0x1p-14f, 0x0400},
        {0x1p-24f, 0x0001},  {0x3ffp-24f, 0x03ff},      {INFINITY, 0x7c00},
        {-INFINITY, 0xfc00}, {0.333251953125f, 0x3555},
    };
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        assert_int_equal(jb_f32_to_f16(known[i].value), known[i].bits);
        const float back = jb_f16_to_f32(known[i].bits);
        assert_memory_equal(&back, &known[i].value, sizeof back);
    }
}

static void test_f16_rounds_to_nearest_even(void **state)
{
    (void)state;
    assert_int_equal(jb_f32_to_f16(0x1p0f + 0x1p-11f), 0x3c00); /* half way, even below */
    assert_int_equal(jb_f32_to_f16(0x1p0f + 0x3p-11f), 0x3c02); /* half way, even above */
    assert_int_equal(jb_f32_to_f16(0x1p0f + 0x1p-11f + 0x1p-20f), 0x3c01);
    assert_int_equal(jb_f32_to_f16(65519.0f), 0x7bff);
    assert_int_equal(jb_f32_to_f16(65520.0f), 0x7c00);
    assert_int_equal(jb_f32_to_f16(0x1p-25f), 0x0000);
    assert_int_equal(jb_f32_to_f16(0x3p-25f), 0x0002);
    assert_int_equal(jb_f32_to_f16(0x1.8p-25f), 0x0001);
    assert_int_equal(jb_f32_to_f16(0x1.ffep-15f), 0x0400); /* up into the normal numbers */
}

static void test_f16_round_trip_is_exact(void **state)
{
    (void)state;
    for (uint32_t bits = 0; bits < 65536; bits++) {
        const float value = jb_f16_to_f32((uint16_t)bits);
        if (isnan(value)) {
            assert_true((bits & 0x7c00) == 0x7c00 && (bits & 0x3ff) != 0);
            assert_true(isnan(jb_f16_to_f32(jb_f32_to_f16(value))));
        } else {
            assert_int_equal(jb_f32_to_f16(value), bits);
        }
    }
    assert_true(isnan(jb_f16_to_f32(jb_f32_to_f16(NAN))));
}

static void test_bf16(void **state)
{
    (void)state;
    assert_int_equal(jb_f32_to_bf16(1.0f), 0x3f80);
    assert_int_equal(jb_f32_to_bf16(0x1.01p0f), 0x3f80); /* half way, even below */
    assert_int_equal(jb_f32_to_bf16(0x1.03p0f), 0x3f82);
    assert_int_equal(jb_f32_to_bf16(3.4e38f), 0x7f80);
    assert_true(isnan(jb_bf16_to_f32(jb_f32_to_bf16(NAN))));
    float cut; /* a NaN whose payload lies in the bits that are cut */
    const uint32_t payload = 0x7f800001u;
    memcpy(&cut, &payload, sizeof cut);
    assert_true(isnan(jb_bf16_to_f32(jb_f32_to_bf16(cut))));
    for (uint32_t bits = 0; bits < 65536; bits++) {
        const float value = jb_bf16_to_f32((uint16_t)bits);
        if (!isnan(value)) {
            assert_int_equal(jb_f32_to_bf16(value), bits);
        }
    }
}

static void test_names_and_rows(void **state)
{
    (void)state;
    enum jb_dtype dtype = JB_F32;
    for (int i = 0; i < JB_N_DTYPES; i++) {
        const struct jb_format *format = jb_format((enum jb_dtype)i);
        assert_true(jb_format_by_name(format->name, &dtype));
        assert_int_equal(dtype, i);
        assert_true(jb_format_by_gguf_type(format->gguf_type, &dtype));
        assert_int_equal(dtype, i);
        assert_int_equal(jb_format_row_bytes(dtype, 512),
                         512 / format->block_values * format->block_bytes);
    }
    assert_true(jb_format_by_name("Q4_K", &dtype));
    assert_int_equal(dtype, JB_Q4_K);
    assert_false(jb_format_by_name("q4", &dtype));
    assert_false(jb_format_by_name("", &dtype));
    assert_false(jb_format_by_gguf_type(6, &dtype));
    assert_int_equal(dtype, JB_Q4_K);
    assert_int_equal(jb_format_row_bytes(JB_Q4_0, 4096), 2304);
    assert_int_equal(jb_format_row_bytes(JB_Q4_0, 172), 0);
    assert_int_equal(jb_format_row_bytes(JB_Q6_K, 576), 0);
}

static void test_simple_blocks_by_hand(void **state)
{
    (void)state;
    float out[32];
    struct jb_q4_0 q4_0 = {.d = 0x3800}; /* 0.5 */
    q4_0.q[0] = 0xf0;
    q4_0.q[15] = 0x19;
    jb_format_decode(JB_Q4_0, &q4_0, out, 32);
    assert_float_equal(out[0], -4.0f, 0);
    assert_float_equal(out[16], 3.5f, 0);
    assert_float_equal(out[15], 0.5f, 0);
    assert_float_equal(out[31], -3.5f, 0);
    assert_float_equal(out[1], -4.0f, 0);
    struct jb_q4_1 q4_1 = {.d = 0x3c00, .m = 0xc000}; /* 1, -2 */
    q4_1.q[3] = 0xa5;
    jb_format_decode(JB_Q4_1, &q4_1, out, 32);
    assert_float_equal(out[3], 3.0f, 0);
    assert_float_equal(out[19], 8.0f, 0);
    assert_float_equal(out[0], -2.0f, 0);
    struct jb_q8_0 q8_0 = {.d = 0x4000}; /* 2 */
    q8_0.q[0] = -128;
    q8_0.q[31] = 127;
    jb_format_decode(JB_Q8_0, &q8_0, out, 32);
    assert_float_equal(out[0], -256.0f, 0);
    assert_float_equal(out[31], 254.0f, 0);
}

/* Group 6 (>= 4) takes its scale 0x2b and min 0x15 from three bytes. */
static void test_q4_k_block_by_hand(void **state)
{
    (void)state;
    float out[256];
    struct jb_q4_k block = {.d = 0x3c00, .dmin = 0x3800}; /* 1, 0.5 */
    block.scales[1] = 5;
    block.scales[5] = 3;
    block.scales[2] = 0x80; /* high bits 2 of scale 6 */
    block.scales[6] = 0x40; /* high bits 1 of min 6 */
    block.scales[10] = 0x5b;
    block.q[0] = 0x70;          /* group 0: 0, group 1: 7 */
    block.q[3 * 32 + 9] = 0x0d; /* group 6, value 9 */
    jb_format_decode(JB_Q4_K, &block, out, 256);
    assert_float_equal(out[0], 0.0f, 0);
    assert_float_equal(out[32], 5.0f * 7 - 0.5f * 3, 0);
    assert_float_equal(out[33], -1.5f, 0);
    assert_float_equal(out[6 * 32 + 9], 43.0f * 13 - 0.5f * 21, 0);
    assert_float_equal(out[6 * 32], -10.5f, 0);
}

static void test_q6_k_block_by_hand(void **state)
{
    (void)state;
    float out[256];
    struct jb_q6_k block = {.d = 0x3800}; /* 0.5 */
    memset(block.scales, 1, sizeof block.scales);
    block.scales[(128 + 96 + 20) / 16] = -3;
    block.ql[64 + 32 + 20] = 0xa0; /* second half, r = 3, l = 20: low bits 10 */
    block.qh[32 + 20] = 0xc0;      /* high bits 3 */
    block.ql[5] = 0x07;            /* r = 0, l = 5 */
    block.qh[5] = 0x01;
    jb_format_decode(JB_Q6_K, &block, out, 256);
    assert_float_equal(out[128 + 96 + 20], 0.5f * -3 * (58 - 32), 0);
    assert_float_equal(out[5], 0.5f * (23 - 32), 0);
    assert_float_equal(out[6], -16.0f, 0);
}

static void draw(struct jb_rng *rng, float *x, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        double sum = 0;
        for (int j = 0; j < 12; j++) {
            sum += jb_rng_unit(rng) - 0.5;
        }
        x[i] = (float)sum;
    }
}

/* Root mean square error over N(0, 1) rows against limits about 3 % above what was seen when they
 * were written. */
static void test_encode_errors_are_small(void **state)
{
    (void)state;
    static const double limits[JB_N_DTYPES] = {
        [JB_F32] = 0.0,     [JB_F16] = 2.2e-4,  [JB_BF16] = 1.71e-3, [JB_Q8_0] = 0.00543,
        [JB_Q4_0] = 0.0876, [JB_Q4_1] = 0.0806, [JB_Q4_K] = 0.0719,  [JB_Q6_K] = 0.01727,
    };
    enum { N = 64 * 256 };
    static float x[N];
    static float y[N];
    static uint8_t stored[4 * N];
    struct jb_rng rng;
    jb_rng_seed(&rng, 7, 0);
    draw(&rng, x, N);
    for (int i = 0; i < JB_N_DTYPES; i++) {
        jb_format_encode((enum jb_dtype)i, x, stored, N);
        jb_format_decode((enum jb_dtype)i, stored, y, N);
        double sum = 0;
        for (size_t j = 0; j < N; j++) {
            sum += ((double)x[j] - (double)y[j]) * ((double)x[j] - (double)y[j]);
        }
        const double rmse = sqrt(sum / N);
        if (rmse > limits[i]) {
            fail_msg("%s: error %g > %g", jb_format((enum jb_dtype)i)->name, rmse, limits[i]);
        }
    }
}

/* What decodes to itself must encode to a row that decodes to the same values. */
static void test_special_rows(void **state)
{
    (void)state;
    static const float constants[] = {0.0f, 1.0f, -1.0f, 1e-30f, -3e-8f, 1000.0f};
    for (int i = 0; i < JB_N_DTYPES; i++) {
        for (size_t c = 0; c < sizeof constants / sizeof constants[0]; c++) {
            float x[256];
            float y[256];
            uint8_t stored[1025];
            for (int j = 0; j < 256; j++) {
                x[j] = constants[c];
            }
            jb_format_encode((enum jb_dtype)i, x, stored + 1, 256); /* unaligned on purpose */
            jb_format_decode((enum jb_dtype)i, stored + 1, y, 256);
            for (int j = 0; j < 256; j++) {
                assert_true(fabsf(y[j] - x[j]) <= 0.005f * fabsf(x[j]) + 6e-8f);
            }
        }
    }
}

static void test_fill_is_normal_and_repeats(void **state)
{
    (void)state;
    enum { N = 256 * 256 };
    static float y[N];
    static uint8_t a[4 * N];
    static uint8_t b[4 * N];
    for (int i = 0; i < JB_N_DTYPES; i++) {
        const enum jb_dtype dtype = (enum jb_dtype)i;
        const size_t bytes = jb_format_row_bytes(dtype, N);
        jb_format_fill_random(dtype, a, N, 0.02f, 5, 3, 9);
        jb_format_fill_random(dtype, b, N, 0.02f, 5, 3, 9);
        assert_memory_equal(a, b, bytes);
        jb_format_decode(dtype, a, y, N);
        double sum = 0;
        double squares = 0;
        size_t beyond = 0;
        for (size_t j = 0; j < N; j++) {
            sum += (double)y[j];
            squares += (double)y[j] * (double)y[j];
            beyond += fabsf(y[j]) > 0.02f ? 1u : 0u;
        }
        assert_true(fabs(sum / N) < 0.02 * 0.03);
        const double sigma = sqrt(squares / N);
        if (sigma < 0.0194 || sigma > 0.0206) {
            fail_msg("%s: sigma %g, asked 0.02", jb_format(dtype)->name, sigma);
        }
        assert_true(beyond > N / 4 && beyond < N * 2 / 5); /* normal: 31.7 % */
        static const uint64_t others[3][3] = {{6, 3, 9}, {5, 4, 9}, {5, 3, 10}};
        for (int o = 0; o < 3; o++) {
            jb_format_fill_random(dtype, b, N, 0.02f, others[o][0], others[o][1], others[o][2]);
            assert_memory_not_equal(a, b, 64);
        }
    }
}

/* Pins the bytes: they must not change from version to version, or rows stop being comparable. */
static void test_fill_bytes_are_pinned(void **state)
{
    (void)state;
    static const uint64_t expected[JB_N_DTYPES] = {
        [JB_F32] = UINT64_C(0x9d3edb895a0448c0),  [JB_F16] = UINT64_C(0xde62fa074511195c),
        [JB_BF16] = UINT64_C(0x0faa92bc3e302271), [JB_Q8_0] = UINT64_C(0x06402eb191b469d4),
        [JB_Q4_0] = UINT64_C(0xd7332ba1d22e5785), [JB_Q4_1] = UINT64_C(0x63512e35486a16be),
        [JB_Q4_K] = UINT64_C(0x91cbf79d4205dd25), [JB_Q6_K] = UINT64_C(0xc82f62f5aa38a42c),
    };
    for (int i = 0; i < JB_N_DTYPES; i++) {
        uint8_t row[1024];
        jb_format_fill_random((enum jb_dtype)i, row, 256, 0.02f, 42, 1, 2);
        uint64_t hash = UINT64_C(0xcbf29ce484222325); /* FNV-1a */
        for (size_t j = 0; j < jb_format_row_bytes((enum jb_dtype)i, 256); j++) {
            hash = (hash ^ row[j]) * UINT64_C(0x100000001b3);
        }
        if (hash != expected[i]) {
            fail_msg("%s: 0x%016llx", jb_format((enum jb_dtype)i)->name, (unsigned long long)hash);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_f16_known_values),
        cmocka_unit_test(test_f16_rounds_to_nearest_even),
        cmocka_unit_test(test_f16_round_trip_is_exact),
        cmocka_unit_test(test_bf16),
        cmocka_unit_test(test_names_and_rows),
        cmocka_unit_test(test_simple_blocks_by_hand),
        cmocka_unit_test(test_q4_k_block_by_hand),
        cmocka_unit_test(test_q6_k_block_by_hand),
        cmocka_unit_test(test_encode_errors_are_small),
        cmocka_unit_test(test_special_rows),
        cmocka_unit_test(test_fill_is_normal_and_repeats),
        cmocka_unit_test(test_fill_bytes_are_pinned),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
