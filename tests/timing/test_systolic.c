/* SPDX-License-Identifier: MIT */
/* The closed forms of systolic.h against every multiplier and every cycle, and products through
 * folds against plain sums. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include <math.h>

#include "backends/format/format.h"
#include "platforms/base/rng.h"
#include "tests/timing/array_ticks.h"

enum { N_SHAPES = 200, MAX_M = 40, MAX_NK = 50 };

struct numbers {
    int a[MAX_M * MAX_NK], b[MAX_NK * MAX_NK], result[MAX_M * MAX_NK];
};

static void draw(struct jb_rng *rng, struct jb_array *array, struct jb_product *product,
                 struct numbers *x)
{
    array->rows = 1 + jb_rng_below(rng, TICKS_MAX_SIDE);
    array->cols = 1 + jb_rng_below(rng, TICKS_MAX_SIDE);
    array->load_rows = jb_rng_below(rng, 4) == 0 ? 1 + jb_rng_below(rng, array->rows) : 1;
    *product = (struct jb_product){1 + jb_rng_below(rng, MAX_M), 1 + jb_rng_below(rng, MAX_NK),
                                   1 + jb_rng_below(rng, MAX_NK)};
    for (uint64_t i = 0; i < product->m * product->k; i++) {
        x->a[i] = (int)jb_rng_below(rng, 19) - 9;
    }
    for (uint64_t i = 0; i < product->k * product->n; i++) {
        x->b[i] = (int)jb_rng_below(rng, 19) - 9;
    }
}

static bool is_right(const struct jb_product *p, const struct numbers *x)
{
    for (uint64_t m = 0; m < p->m; m++) {
        for (uint64_t n = 0; n < p->n; n++) {
            int sum = 0;
            for (uint64_t k = 0; k < p->k; k++) {
                sum += x->a[m * p->k + k] * x->b[k * p->n + n];
            }
            if (sum != x->result[m * p->n + n]) {
                return false;
            }
        }
    }
    return true;
}

static void test_closed_forms_equal_ticks(void **state)
{
    (void)state;
    static struct numbers x;
    struct jb_rng rng;
    jb_rng_seed(&rng, 5, 1);
    for (uint32_t i = 0; i < N_SHAPES; i++) {
        struct jb_array array;
        struct jb_product product;
        draw(&rng, &array, &product, &x);
        for (uint32_t mode = 0; mode < 4; mode++) {
            array.dataflow = mode < 2 ? JB_WEIGHT_STATIONARY : JB_OUTPUT_STATIONARY;
            array.has_preload = mode % 2 == 1;
            const uint64_t ticks = ticks_run(&array, &product, x.a, x.b, x.result, 0);
            const struct jb_array_cycles cycles = jb_array_count(&array, &product);
            assert_true(is_right(&product, &x));
            assert_int_equal(cycles.total, ticks);
            assert_int_equal(cycles.stream + cycles.load + cycles.skew, ticks);
        }
    }
}

/* A cycle sooner, and a register is overwritten before its time: the forms are no looser than the
 * wires. Where operands fill the edge without a gap, nothing can be hurried at all. */
static void test_folds_cannot_follow_sooner(void **state)
{
    (void)state;
    static struct numbers x;
    struct jb_rng rng;
    jb_rng_seed(&rng, 5, 2);
    uint32_t n_seen = 0;
    for (uint32_t i = 0; i < N_SHAPES; i++) {
        struct jb_array array;
        struct jb_product product;
        draw(&rng, &array, &product, &x);
        array.load_rows = 1;
        array.has_preload = true;
        for (uint32_t mode = 0; mode < 2; mode++) {
            array.dataflow = mode == 0 ? JB_WEIGHT_STATIONARY : JB_OUTPUT_STATIONARY;
            if (jb_array_n_folds(&array, &product) > 1) {
                const uint64_t ticks = ticks_run(&array, &product, x.a, x.b, x.result, 1);
                assert_true(ticks == 0 || !is_right(&product, &x));
                n_seen++;
            }
        }
    }
    assert_true(n_seen > N_SHAPES / 2);
}

/* The forms as they stand in print: SCALE-Sim's fold, 2R + C + M - 2, and K + R + C - 2. */
static void test_published_forms(void **state)
{
    (void)state;
    const struct jb_product product = {.m = 64, .n = 500, .k = 300};
    struct jb_array array = {.rows = 128, .cols = 128, .load_rows = 1};
    assert_int_equal(jb_array_count(&array, &product).total,
                     (uint64_t)12 * (2 * 128 + 128 + 64 - 2));
    array.has_preload = true; /* 128 + 11 x max(64, 128) + 64 + 254 */
    assert_int_equal(jb_array_count(&array, &product).total, 128 + 11 * 128 + 64 + 254);
    array.dataflow = JB_OUTPUT_STATIONARY; /* 3 x max(300, 128) + 300 + 254 */
    assert_int_equal(jb_array_count(&array, &product).total, 3 * 300 + 300 + 254);
    array.has_preload = false;
    assert_int_equal(jb_array_count(&array, &product).total, (uint64_t)4 * (300 + 128 + 128 - 2));
    const struct jb_product vector = {.m = 1, .n = 128, .k = 128};
    array.dataflow = JB_WEIGHT_STATIONARY; /* one fold for a vector: 383 cycles */
    assert_int_equal(jb_array_count(&array, &vector).total, 383);
}

static void test_fp8(void **state)
{
    (void)state;
    static const float exact[] = {0.0F,   0.001953125F, 0.013671875F, 0.015625F, 1.0F,
                                  1.125F, 15.0F,        240.0F,       448.0F};
    for (uint32_t i = 0; i < sizeof exact / sizeof exact[0]; i++) {
        assert_true(jb_fp8_round(exact[i]) == exact[i]);
        assert_true(jb_fp8_round(-exact[i]) == -exact[i]);
    }
    assert_true(jb_fp8_round(1.0625F) == 1.0F); /* a tie goes to the even one */
    assert_true(jb_fp8_round(1.1875F) == 1.25F);
    assert_true(jb_fp8_round(17.1F) == 18.0F);
    assert_true(jb_fp8_round(500.0F) == 448.0F);
    assert_true(jb_fp8_round(0.0009765625F) == 0.0F); /* half of the least */
    assert_true(isnan(jb_fp8_round(NAN)));
    float row[3];
    const float source[3] = {-254.0F, 3.0F, 127.0F};
    assert_true(jb_operand_row(JB_OPERAND_INT8, source, 3, row) == 2.0F);
    assert_true(row[0] == -127.0F && row[1] == 2.0F && row[2] == 64.0F);
}

/* The order in which an array adds, written out a second time. */
static float sum_of(const struct jb_array *array, enum jb_sum sum, const float *a,
                    const float *panel, uint64_t k, uint32_t c)
{
    const uint64_t depth = array->dataflow == JB_WEIGHT_STATIONARY ? array->rows : k;
    float total = 0.0F, fold = 0.0F;
    for (uint64_t i = 0; i < k; i++) {
        fold = i % depth == 0 ? 0.0F : fold;
        const float product = a[i] * panel[i * array->cols + c];
        fold = fold + product;
        fold = sum == JB_SUM_F16 ? jb_f16_to_f32(jb_f32_to_f16(fold)) : fold;
        if (i % depth == depth - 1 || i + 1 == k) {
            total = i < depth ? fold : total + fold;
            total = sum == JB_SUM_F16 ? jb_f16_to_f32(jb_f32_to_f16(total)) : total;
        }
    }
    return total;
}

static void test_strip(void **state)
{
    (void)state;
    enum { M = 3, K = 37, C = 8, COLS = 5, STRIDE = 11 };
    struct jb_rng rng;
    jb_rng_seed(&rng, 5, 3);
    float a[M * K], panel[K * C], scratch[C] = {0}, dst[M * STRIDE];
    for (uint32_t i = 0; i < M * K; i++) {
        a[i] = (float)jb_rng_unit(&rng) - 0.5F;
    }
    for (uint32_t i = 0; i < K * C; i++) {
        panel[i] = (float)jb_rng_unit(&rng) - 0.5F;
    }
    for (uint32_t mode = 0; mode < 4; mode++) {
        const struct jb_array array = {
            .rows = 8, .cols = C, .load_rows = 1, .dataflow = (enum jb_dataflow)(mode / 2)};
        const enum jb_sum sum = mode % 2 == 0 ? JB_SUM_F32 : JB_SUM_F16;
        for (uint32_t i = 0; i < M * STRIDE; i++) {
            dst[i] = 77.0F;
        }
        const struct jb_strip strip = {a, M, K, K, panel, COLS, C, scratch, dst, STRIDE};
        jb_array_strip(&array, sum, &strip);
        for (uint32_t m = 0; m < M; m++) {
            for (uint32_t c = 0; c < STRIDE; c++) {
                const float expected =
                    c < COLS ? sum_of(&array, sum, a + m * K, panel, K, c) : 77.0F;
                assert_true(dst[m * STRIDE + c] == expected);
            }
        }
    }
    for (uint32_t i = 0; i < M * K; i++) {
        a[i] = (float)jb_rng_below(&rng, 255) - 127.0F;
    }
    for (uint32_t i = 0; i < K * C; i++) {
        panel[i] = (float)jb_rng_below(&rng, 255) - 127.0F;
    }
    const struct jb_array array = {.rows = 8, .cols = C, .load_rows = 1};
    const struct jb_strip strip = {a, M, K, K, panel, COLS, C, scratch, dst, STRIDE};
    jb_array_strip(&array, JB_SUM_INT32, &strip);
    double expected = 0.0;
    for (uint32_t k = 0; k < K; k++) {
        expected += (double)a[2 * K + k] * (double)panel[k * C + 4];
    }
    assert_true((double)dst[2 * STRIDE + 4] == expected);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_closed_forms_equal_ticks),
        cmocka_unit_test(test_folds_cannot_follow_sooner),
        cmocka_unit_test(test_published_forms),
        cmocka_unit_test(test_fp8),
        cmocka_unit_test(test_strip),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
