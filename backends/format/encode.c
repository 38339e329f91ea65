/* SPDX-License-Identifier: MIT */
/* Encoders. The simple formats follow the rounding of ggml's reference quantisers step by step,
 * since files are compared byte by byte; the K formats search for scales with the least squared
 * error, as no byte layout depends on how they were found. */
#include "backends/format/format.h"

#include <float.h>
#include <math.h>
#include <string.h>

static int clamp(int value, int low, int high)
{
    return value < low ? low : value > high ? high : value;
}

/* 1 / d; 0 where that is no number: 0, and the smallest subnormals. */
static float inverse(float d)
{
    const float inv = d != 0.0f ? 1.0f / d : 0.0f;
    return isfinite(inv) ? inv : 0.0f;
}

/* Nearest whole number in [low, high]; limits first, since a wild float fits no int. */
static int nearest(float value, int low, int high)
{
    if (!(value > (float)low)) {
        return low;
    }
    return value < (float)high ? (int)lrintf(value) : high;
}

static void encode_q8_0(const float *x, struct jb_q8_0 *block)
{
    float largest = 0.0f;
    for (int j = 0; j < 32; j++) {
        largest = fmaxf(largest, fabsf(x[j]));
    }
    const float d = largest / 127.0f;
    const float id = inverse(d);
    block->d = jb_f32_to_f16(d);
    for (int j = 0; j < 32; j++) {
        block->q[j] = (int8_t)roundf(x[j] * id);
    }
}

/* The value of largest magnitude becomes code 0 = -8: d has the opposite sign. */
static void encode_q4_0(const float *x, struct jb_q4_0 *block)
{
    float largest = 0.0f;
    for (int j = 0; j < 32; j++) {
        largest = fabsf(x[j]) > fabsf(largest) ? x[j] : largest;
    }
    const float d = largest / -8.0f;
    const float id = inverse(d);
    block->d = jb_f32_to_f16(d);
    for (int j = 0; j < 16; j++) {
        const int low = clamp((int)(x[j] * id + 8.5f), 0, 15);
        const int high = clamp((int)(x[j + 16] * id + 8.5f), 0, 15);
        block->q[j] = (uint8_t)(low | (high << 4));
    }
}

static void encode_q4_1(const float *x, struct jb_q4_1 *block)
{
    float min = x[0];
    float max = x[0];
    for (int j = 1; j < 32; j++) {
        min = x[j] < min ? x[j] : min;
        max = x[j] > max ? x[j] : max;
    }
    const float d = (max - min) / 15.0f;
    const float id = inverse(d);
    block->d = jb_f32_to_f16(d);
    block->m = jb_f32_to_f16(min);
    for (int j = 0; j < 16; j++) {
        const int low = clamp((int)((x[j] - min) * id + 0.5f), 0, 15);
        const int high = clamp((int)((x[j + 16] - min) * id + 0.5f), 0, 15);
        block->q[j] = (uint8_t)(low | (high << 4));
    }
}

/* Codes [0, 15] of w = scale q - min, and the squared error. */
static float q4_k_codes(const float *x, float scale, float min, int *ret_codes)
{
    const float inv = inverse(scale);
    float error = 0.0f;
    for (int j = 0; j < 32; j++) {
        ret_codes[j] = nearest((x[j] + min) * inv, 0, 15);
        const float diff = scale * (float)ret_codes[j] - min - x[j];
        error += diff * diff;
    }
    return error;
}

/* Least squares scale and min >= 0 for given codes. */
static void q4_k_refit(const float *x, const int *codes, float *scale, float *min)
{
    double sq = 0;
    double sqq = 0;
    double sx = 0;
    double sqx = 0;
    for (int j = 0; j < 32; j++) {
        sq += codes[j];
        sqq += (double)codes[j] * codes[j];
        sx += (double)x[j];
        sqx += (double)x[j] * codes[j];
    }
    const double determinant = 32 * sqq - sq * sq;
    if (determinant <= 0) {
        return;
    }
    double a = (32 * sqx - sq * sx) / determinant;
    double b = (sq * sqx - sqq * sx) / determinant;
    if (b < 0) {
        b = 0;
        a = sqx / sqq;
    }
    if (a > 0) {
        *scale = (float)a;
        *min = (float)b;
    }
}

/* Tries ranges a little narrower and wider than the values', refits each, keeps the best. */
static void q4_k_search(const float *x, float *ret_scale, float *ret_min)
{
    float low = 0.0f; /* the format cannot hold a positive offset */
    float high = x[0];
    for (int j = 0; j < 32; j++) {
        low = fminf(low, x[j]);
        high = fmaxf(high, x[j]);
    }
    *ret_min = -low;
    *ret_scale = 0.0f;
    if (high <= low) {
        return;
    }
    float best = FLT_MAX;
    for (int step = -10; step <= 6; step++) {
        int codes[32];
        float scale = (high - low) / (15.0f - 0.25f * (float)step);
        float min = -low;
        for (int round = 0; round < 2; round++) {
            const float error = q4_k_codes(x, scale, min, codes);
            if (error < best) {
                best = error;
                *ret_scale = scale;
                *ret_min = min;
            }
            q4_k_refit(x, codes, &scale, &min);
        }
    }
}

static void q4_k_pack(uint8_t *packed, int group, int scale, int min)
{
    if (group < 4) {
        packed[group] = (uint8_t)(packed[group] | scale);
        packed[group + 4] = (uint8_t)(packed[group + 4] | min);
    } else {
        packed[group + 4] = (uint8_t)((scale & 15) | ((min & 15) << 4));
        packed[group - 4] = (uint8_t)(packed[group - 4] | ((scale >> 4) << 6));
        packed[group] = (uint8_t)(packed[group] | ((min >> 4) << 6));
    }
}

/* One group with the block's own d and dmin: the 6-bit pair near the ideal with the least error. */
static void q4_k_group(const float *x, float d, float dmin, int scale0, int min0, int *ret_scale,
                       int *ret_min, int *ret_codes)
{
    float best = FLT_MAX;
    for (int scale = clamp(scale0 - 1, 0, 63); scale <= clamp(scale0 + 1, 0, 63); scale++) {
        for (int min = clamp(min0 - 1, 0, 63); min <= clamp(min0 + 1, 0, 63); min++) {
            int codes[32];
            const float error = q4_k_codes(x, d * (float)scale, dmin * (float)min, codes);
            if (error < best) {
                best = error;
                *ret_scale = scale;
                *ret_min = min;
                memcpy(ret_codes, codes, sizeof codes);
            }
        }
    }
}

static void encode_q4_k(const float *x, struct jb_q4_k *block)
{
    float scales[8];
    float mins[8];
    float max_scale = 0.0f;
    float max_min = 0.0f;
    for (int group = 0; group < 8; group++) {
        q4_k_search(x + (ptrdiff_t)32 * group, &scales[group], &mins[group]);
        max_scale = fmaxf(max_scale, scales[group]);
        max_min = fmaxf(max_min, mins[group]);
    }
    memset(block, 0, sizeof *block);
    block->d = jb_f32_to_f16(max_scale / 63.0f);
    block->dmin = jb_f32_to_f16(max_min / 63.0f);
    const float d = jb_f16_to_f32(block->d);
    const float dmin = jb_f16_to_f32(block->dmin);
    for (int group = 0; group < 8; group++) {
        int scale = 0;
        int min = 0;
        int codes[32] = {0};
        q4_k_group(x + (ptrdiff_t)32 * group, d, dmin, nearest(scales[group] * inverse(d), 0, 63),
                   nearest(mins[group] * inverse(dmin), 0, 63), &scale, &min, codes);
        q4_k_pack(block->scales, group, scale, min);
        uint8_t *q = block->q + (ptrdiff_t)32 * (group / 2);
        for (int j = 0; j < 32; j++) {
            q[j] = (uint8_t)(q[j] | (codes[j] << (4 * (group % 2))));
        }
    }
}

/* Squared error of w = scale q with q in [-32, 31], and the scale that refits those codes. */
static float q6_k_error(const float *x, float scale, float *ret_refit)
{
    const float inv = inverse(scale);
    float error = 0.0f;
    float sqx = 0.0f;
    float sqq = 0.0f;
    for (int j = 0; j < 16; j++) {
        const float q = (float)nearest(x[j] * inv, -32, 31);
        const float diff = scale * q - x[j];
        error += diff * diff;
        sqx += q * x[j];
        sqq += q * q;
    }
    *ret_refit = sqq > 0.0f ? sqx / sqq : scale;
    return error;
}

static float q6_k_search(const float *x)
{
    float largest = 0.0f;
    for (int j = 0; j < 16; j++) {
        largest = fabsf(x[j]) > fabsf(largest) ? x[j] : largest;
    }
    float best_scale = 0.0f;
    float best = FLT_MAX;
    for (int step = -9; largest != 0.0f && step <= 9; step++) {
        float scale = largest / -(32.0f + 0.2f * (float)step);
        for (int round = 0; round < 2; round++) {
            float refit;
            const float error = q6_k_error(x, scale, &refit);
            if (error < best) {
                best = error;
                best_scale = scale;
            }
            scale = refit;
        }
    }
    return best_scale;
}

static void q6_k_put(struct jb_q6_k *block, int j, int code)
{
    const int half = j / 128;
    const int r = j / 32 % 4;
    const int l = j % 32;
    uint8_t *low = &block->ql[64 * half + 32 * (r % 2) + l];
    uint8_t *high = &block->qh[32 * half + l];
    *low = (uint8_t)(*low | ((code & 15) << (r < 2 ? 0 : 4)));
    *high = (uint8_t)(*high | ((code >> 4) << (2 * r)));
}

static void encode_q6_k(const float *x, struct jb_q6_k *block)
{
    float scales[16];
    float widest = 0.0f;
    for (int group = 0; group < 16; group++) {
        scales[group] = q6_k_search(x + (ptrdiff_t)16 * group);
        widest = fabsf(scales[group]) > fabsf(widest) ? scales[group] : widest;
    }
    memset(block, 0, sizeof *block);
    block->d = jb_f32_to_f16(widest / -128.0f);
    const float d = jb_f16_to_f32(block->d);
    for (int group = 0; group < 16; group++) {
        const float *v = x + (ptrdiff_t)16 * group;
        const int ideal = nearest(scales[group] * inverse(d), -128, 127);
        int scale = ideal;
        float best = FLT_MAX;
        for (int s = clamp(ideal - 1, -128, 127); s <= clamp(ideal + 1, -128, 127); s++) {
            float refit;
            const float error = q6_k_error(v, d * (float)s, &refit);
            scale = error < best ? s : scale;
            best = fminf(best, error);
        }
        block->scales[group] = (int8_t)scale;
        const float inv = inverse(d * (float)scale);
        for (int j = 0; j < 16; j++) {
            q6_k_put(block, 16 * group + j, nearest(v[j] * inv, -32, 31) + 32);
        }
    }
}

/* Each block is made aside: dst may have any alignment. */
#define ENCODE_BLOCKS(type, encode, values)                                                        \
    do {                                                                                           \
        for (uint64_t i = 0; i < n; i += (values)) {                                               \
            struct type block;                                                                     \
            encode(src + i, &block);                                                               \
            memcpy(out, &block, sizeof block);                                                     \
            out += sizeof block;                                                                   \
        }                                                                                          \
    } while (0)

void jb_format_encode(enum jb_dtype dtype, const float *src, void *dst, uint64_t n)
{
    uint8_t *out = dst;
    switch (dtype) {
    case JB_F32:
        memcpy(out, src, (size_t)n * sizeof *src);
        break;
    case JB_F16:
    case JB_BF16:
        for (uint64_t i = 0; i < n; i++) {
            const uint16_t bits = dtype == JB_F16 ? jb_f32_to_f16(src[i]) : jb_f32_to_bf16(src[i]);
            memcpy(out + 2 * i, &bits, sizeof bits);
        }
        break;
    case JB_Q8_0:
        ENCODE_BLOCKS(jb_q8_0, encode_q8_0, 32);
        break;
    case JB_Q4_0:
        ENCODE_BLOCKS(jb_q4_0, encode_q4_0, 32);
        break;
    case JB_Q4_1:
        ENCODE_BLOCKS(jb_q4_1, encode_q4_1, 32);
        break;
    case JB_Q4_K:
        ENCODE_BLOCKS(jb_q4_k, encode_q4_k, 256);
        break;
    case JB_Q6_K:
        ENCODE_BLOCKS(jb_q6_k, encode_q6_k, 256);
        break;
    case JB_N_DTYPES:
        break;
    }
}
