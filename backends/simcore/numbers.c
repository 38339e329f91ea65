/* SPDX-License-Identifier: MIT */
#include "backends/simcore/numbers.h"

#include <math.h>
#include <string.h>

#include "backends/format/format.h"

const char *const jb_operand_names[JB_N_OPERANDS + 1] = {"f32",  "f16",  "bf16",    "fp8",
                                                         "int8", "int4", "ternary", NULL};
const char *const jb_sum_names[JB_N_SUMS + 1] = {"f32", "f16", "bf16", "int32", NULL};
const uint32_t jb_operand_bits[JB_N_OPERANDS] = {32, 16, 16, 8, 8, 4, 2};

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

static float mean_magnitude(const float *x, uint64_t n)
{
    double sum = 0.0;
    for (uint64_t i = 0; i < n; i++) {
        sum += fabs((double)x[i]);
    }
    return n > 0 ? (float)(sum / (double)n) : 0.0F;
}

/* Largest value in units of the scale; 0 = no scale. */
static const float limits[JB_N_OPERANDS] = {[JB_OPERAND_FP8] = 448.0F,
                                            [JB_OPERAND_INT8] = 127.0F,
                                            [JB_OPERAND_INT4] = 7.0F,
                                            [JB_OPERAND_TERNARY] = 1.0F};

float jb_operand_row(enum jb_operand operand, const float *src, uint64_t n, float *dst)
{
    const float limit = limits[operand];
    const float most = operand == JB_OPERAND_TERNARY ? mean_magnitude(src, n)
                       : limit > 0.0F                ? largest(src, n)
                                                     : 0.0F;
    const float scale = most > 0.0F ? most / limit : 1.0F;
    for (uint64_t i = 0; i < n; i++) {
        switch (operand) {
        case JB_OPERAND_F32:
            dst[i] = src[i];
            break;
        case JB_OPERAND_F16:
            dst[i] = jb_f16_to_f32(jb_f32_to_f16(src[i]));
            break;
        case JB_OPERAND_BF16:
            dst[i] = jb_bf16_to_f32(jb_f32_to_bf16(src[i]));
            break;
        case JB_OPERAND_FP8:
            dst[i] = jb_fp8_round(src[i] / scale);
            break;
        default:
            dst[i] = rintf(fminf(fmaxf(src[i] / scale, -limit), limit));
            break;
        }
    }
    return scale;
}

float jb_sum_round(enum jb_sum sum, float value)
{
    return sum == JB_SUM_F16    ? jb_f16_to_f32(jb_f32_to_f16(value))
           : sum == JB_SUM_BF16 ? jb_bf16_to_f32(jb_f32_to_bf16(value))
                                : value;
}

void jb_strip_integers(const struct jb_strip *strip)
{
    const struct jb_strip *s = strip;
    int32_t *sums = (int32_t *)(void *)s->scratch; /* (cols,): as wide as float */
    for (uint64_t i = 0; i < s->m; i++) {
        memset(sums, 0, s->cols * sizeof sums[0]);
        for (uint64_t k = 0; k < s->k; k++) {
            const int32_t value = (int32_t)s->a[i * s->a_stride + k];
            const float *w = s->panel + k * s->panel_width; /* (cols,) */
            for (uint32_t c = 0; c < s->cols; c++) {
                sums[c] += value * (int32_t)w[c];
            }
        }
        for (uint32_t c = 0; c < s->cols; c++) {
            s->dst[i * s->dst_stride + c] = (float)sums[c];
        }
    }
}
