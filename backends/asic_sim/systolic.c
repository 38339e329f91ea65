/* SPDX-License-Identifier: MIT */
#include "backends/asic_sim/systolic.h"

#include <math.h>
#include <string.h>

#include "backends/format/format.h"

const char *const jb_operand_names[JB_N_OPERANDS + 1] = {"f32", "f16", "bf16", "fp8", "int8", NULL};
const char *const jb_sum_names[JB_N_SUMS + 1] = {"f32", "f16", "bf16", "int32", NULL};
const uint32_t jb_operand_bits[JB_N_OPERANDS] = {32, 16, 16, 8, 8};

static uint64_t parts(uint64_t n, uint64_t part)
{
    return (n + part - 1) / part;
}

static uint64_t larger(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

/* ---- cycles ---- */

uint64_t jb_array_n_folds(const struct jb_array *array, const struct jb_product *product)
{
    const uint64_t across = parts(product->n, array->cols);
    return array->dataflow == JB_WEIGHT_STATIONARY ? parts(product->k, array->rows) * across
                                                   : parts(product->m, array->rows) * across;
}

struct jb_fold jb_array_fold(const struct jb_array *array, const struct jb_product *product)
{
    const uint64_t skew = (uint64_t)array->rows + array->cols - 2;
    struct jb_fold fold = {.skew = skew};
    if (array->dataflow == JB_WEIGHT_STATIONARY) {
        fold.load = parts(array->rows, array->load_rows);
        fold.stream = product->m;
        fold.period = array->has_preload ? larger(fold.stream, fold.load)
                                         : fold.load + fold.stream + fold.skew;
    } else {
        fold.stream = product->k;
        fold.period =
            array->has_preload ? larger(fold.stream, array->rows) : fold.stream + fold.skew;
    }
    return fold;
}

struct jb_array_cycles jb_array_count(const struct jb_array *array,
                                      const struct jb_product *product)
{
    const struct jb_fold fold = jb_array_fold(array, product);
    struct jb_array_cycles cycles = {.n_folds = jb_array_n_folds(array, product)};
    cycles.total = fold.load + (cycles.n_folds - 1) * fold.period + fold.stream + fold.skew;
    cycles.stream = cycles.n_folds * fold.stream;
    cycles.skew = array->has_preload ? fold.skew : cycles.n_folds * fold.skew;
    cycles.load = cycles.total - cycles.stream - cycles.skew;
    return cycles;
}

/* ---- numbers ---- */

float jb_fp8_round(float value)
{
    const float magnitude = fabsf(value);
    if (isnan(value) || magnitude == 0.0F) {
        return value;
    }
    int exponent = 0;
    (void)frexpf(magnitude, &exponent); /* magnitude in [2^(exponent - 1), 2^exponent) */
    const int step =
        exponent - 1 < -6 ? -9 : exponent - 4; /* 3 bits behind the first; 2^-9 least */
    const float rounded = ldexpf(rintf(ldexpf(magnitude, -step)), step);
    return copysignf(fminf(rounded, 448.0F), value);
}

static float largest(const float *x, uint64_t n)
{
    float most = 0.0F;
    for (uint64_t i = 0; i < n; i++) {
        const float magnitude = fabsf(x[i]);
        most = magnitude > most ? magnitude : most;
    }
    return most;
}

float jb_operand_row(enum jb_operand operand, const float *src, uint64_t n, float *dst)
{
    const float limit = operand == JB_OPERAND_FP8 ? 448.0F : 127.0F;
    const bool is_scaled = operand == JB_OPERAND_FP8 || operand == JB_OPERAND_INT8;
    const float most = is_scaled ? largest(src, n) : 0.0F;
    const float scale = most > 0.0F ? most / limit : 1.0F;
    for (uint64_t i = 0; i < n; i++) {
        switch (operand) {
        case JB_OPERAND_F16:
            dst[i] = jb_f16_to_f32(jb_f32_to_f16(src[i]));
            break;
        case JB_OPERAND_BF16:
            dst[i] = jb_bf16_to_f32(jb_f32_to_bf16(src[i]));
            break;
        case JB_OPERAND_FP8:
            dst[i] = jb_fp8_round(src[i] / scale);
            break;
        case JB_OPERAND_INT8:
            dst[i] = rintf(fminf(fmaxf(src[i] / scale, -127.0F), 127.0F));
            break;
        default:
            dst[i] = src[i];
            break;
        }
    }
    return scale;
}

static float narrow(enum jb_sum sum, float value)
{
    return sum == JB_SUM_F16    ? jb_f16_to_f32(jb_f32_to_f16(value))
           : sum == JB_SUM_BF16 ? jb_bf16_to_f32(jb_f32_to_bf16(value))
                                : value;
}

/* sums (cols,) += a[0..rows) x panel (rows, width), from the first row down. */
static void add_rows(enum jb_sum sum, const float *a, uint64_t rows, const float *panel,
                     uint32_t width, uint32_t cols, float *sums)
{
    for (uint64_t r = 0; r < rows; r++) {
        const float value = a[r];
        const float *w = panel + r * width; /* (cols,) */
        if (sum == JB_SUM_F32) {
            for (uint32_t c = 0; c < cols; c++) {
                sums[c] += value * w[c];
            }
        } else {
            for (uint32_t c = 0; c < cols; c++) {
                sums[c] = narrow(sum, sums[c] + value * w[c]);
            }
        }
    }
}

/* The same in int32: operands are whole numbers up to 127, so no product of up to 133,000 terms
 * overflows. */
static void add_integers(const float *a, uint64_t rows, const float *panel, uint32_t width,
                         uint32_t cols, int32_t *sums)
{
    for (uint64_t r = 0; r < rows; r++) {
        const int32_t value = (int32_t)a[r];
        const float *w = panel + r * width; /* (cols,) */
        for (uint32_t c = 0; c < cols; c++) {
            sums[c] += value * (int32_t)w[c];
        }
    }
}

static void strip_integers(const struct jb_array *array, const struct jb_strip *s)
{
    int32_t *sums = (int32_t *)(void *)s->scratch; /* (cols,): as wide as float */
    for (uint64_t i = 0; i < s->m; i++) {
        memset(sums, 0, s->cols * sizeof sums[0]);
        add_integers(s->a + i * s->a_stride, s->k, s->panel, array->cols, s->cols, sums);
        for (uint32_t c = 0; c < s->cols; c++) {
            s->dst[i * s->dst_stride + c] = (float)sums[c];
        }
    }
}

void jb_array_strip(const struct jb_array *array, enum jb_sum sum, const struct jb_strip *strip)
{
    const struct jb_strip *s = strip;
    if (sum == JB_SUM_INT32) { /* exact in any order */
        strip_integers(array, s);
        return;
    }
    const uint64_t depth = array->dataflow == JB_WEIGHT_STATIONARY ? array->rows : s->k;
    for (uint64_t first = 0; first < s->k; first += depth) {
        const uint64_t rows = s->k - first < depth ? s->k - first : depth;
        for (uint64_t i = 0; i < s->m; i++) {
            float *sums = s->dst + i * s->dst_stride; /* (cols,): accumulators below the columns */
            memset(s->scratch, 0, s->cols * sizeof s->scratch[0]);
            add_rows(sum, s->a + i * s->a_stride + first, rows, s->panel + first * array->cols,
                     array->cols, s->cols, s->scratch);
            for (uint32_t c = 0; c < s->cols; c++) {
                sums[c] = first == 0 ? s->scratch[c] : narrow(sum, sums[c] + s->scratch[c]);
            }
        }
    }
}
