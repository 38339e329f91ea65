/* SPDX-License-Identifier: MIT */
/* Primitives of the scalar level: what impl_*.h is written in, one value wide. The list is the same
 * in every simd_*.h:
 *   vf          LANES floats; *_n forms read or write the first n < LANES, the others being zero
 *   qcode       32 weight codes in the order of their values
 *   qacc        running sum of products of codes, some floats wide */
#include <math.h>
#include <stdint.h>
#include <string.h>

#include "backends/format/format.h"

#define LANES 1u
#ifndef UNROLL
#define UNROLL
#endif
/* Tile of the float and of the integer matmul: rows x most columns. */
#define FLOAT_ROWS 4u
#define FLOAT_COLS 4u
#define QUANT_ROWS 2u
#define QUANT_COLS 4u
#define QUANT_ROWS_WIDE 1u /* rows of the tile of QUANT_COLS columns */
/* What is added to Q6_K codes so that the products can be taken. */
#define Q6_OFFSET 32

typedef float vf;

static inline vf vf_set(float x)
{
    return x;
}
static inline vf vf_load(const float *p)
{
    return *p;
}
static inline vf vf_load_n(const float *p, uint32_t n)
{
    (void)n;
    return *p;
}
static inline void vf_store(float *p, vf v)
{
    *p = v;
}
static inline void vf_store_n(float *p, vf v, uint32_t n)
{
    (void)n;
    *p = v;
}
static inline vf vf_load_f16(const uint8_t *p)
{
    uint16_t bits;
    memcpy(&bits, p, sizeof(bits));
    return jb_f16_to_f32(bits);
}
static inline vf vf_load_f16_n(const uint8_t *p, uint32_t n)
{
    (void)n;
    return vf_load_f16(p);
}
static inline vf vf_load_bf16(const uint8_t *p)
{
    uint16_t bits;
    memcpy(&bits, p, sizeof(bits));
    return jb_bf16_to_f32(bits);
}
static inline vf vf_load_bf16_n(const uint8_t *p, uint32_t n)
{
    (void)n;
    return vf_load_bf16(p);
}
static inline void vf_store_f16(uint16_t *p, vf v)
{
    *p = jb_f32_to_f16(v);
}
static inline vf vf_add(vf a, vf b)
{
    return a + b;
}
static inline vf vf_sub(vf a, vf b)
{
    return a - b;
}
static inline vf vf_mul(vf a, vf b)
{
    return a * b;
}
static inline vf vf_div(vf a, vf b)
{
    return a / b;
}
static inline vf vf_fma(vf a, vf b, vf c)
{
    return a * b + c;
}
/* b where either is NaN */
static inline vf vf_max(vf a, vf b)
{
    return a > b ? a : b;
}
static inline vf vf_min(vf a, vf b)
{
    return a < b ? a : b;
}
static inline vf vf_abs(vf a)
{
    return fabsf(a);
}
static inline vf vf_round(vf a)
{
    return rintf(a);
}
/* 2^n for whole n in [-126, 127] */
static inline vf vf_exp2i(vf n)
{
    const uint32_t bits = (uint32_t)((n == n ? (int32_t)n : 0) + 127) << 23;
    float value;
    memcpy(&value, &bits, sizeof(value));
    return value;
}
static inline float vf_sum(vf v)
{
    return v;
}
static inline float vf_largest(vf v)
{
    return v;
}

/* dst (8,) = the binary16 numbers at p, p + stride, ...; the first n, others zero. */
static inline void f16_gather8(const uint8_t *p, size_t stride, uint32_t n, float dst[8])
{
    for (uint32_t i = 0; i < 8; i++) {
        dst[i] = i < n ? vf_load_f16(p + i * stride) : 0.0f;
    }
}
/* dst (8,) = scale * p[i] */
static inline void i8_scale8(const int8_t *p, float scale, float dst[8])
{
    for (uint32_t i = 0; i < 8; i++) {
        dst[i] = scale * (float)p[i];
    }
}
static inline float f16_value(const uint16_t *bits)
{
    return jb_f16_to_f32(*bits);
}
static inline void mul8(const float a[8], const float b[8], float dst[8])
{
    for (uint32_t i = 0; i < 8; i++) {
        dst[i] = a[i] * b[i];
    }
}
/* dst (16,) = a[i] * b[i / 2] */
static inline void mul8_twice(const float a[16], const float b[8], float dst[16])
{
    for (uint32_t i = 0; i < 16; i++) {
        dst[i] = a[i] * b[i / 2];
    }
}
static inline void scale8(const float a[8], float b, float dst[8])
{
    for (uint32_t i = 0; i < 8; i++) {
        dst[i] = a[i] * b;
    }
}
/* q (LANES,) = round(x * inv), kept as int8; returns their sum */
static inline int32_t vf_to_i8(vf x, vf inv, int8_t *q)
{
    const float rounded = rintf(x * inv);
    *q = (int8_t)(rounded == rounded ? rounded : 0.0f);
    return *q;
}

struct scalar_code {
    int8_t v[32];
};
#define qcode struct scalar_code
typedef float qacc;

static inline qcode qcode_q8(const uint8_t *q)
{
    qcode code;
    memcpy(code.v, q, 32);
    return code;
}
/* 16 bytes: low halves, then high halves */
static inline qcode qcode_nibbles(const uint8_t *q)
{
    qcode code;
    for (int i = 0; i < 16; i++) {
        code.v[i] = (int8_t)(q[i] & 15);
        code.v[i + 16] = (int8_t)(q[i] >> 4);
    }
    return code;
}
/* 32 bytes: the low or the high halves */
static inline qcode qcode_halves(const uint8_t *q, uint32_t is_high)
{
    qcode code;
    for (int i = 0; i < 32; i++) {
        code.v[i] = (int8_t)((q[i] >> (4 * is_high)) & 15);
    }
    return code;
}
/* 32 bytes of low nibbles as above and two high bits each from 32 bytes shifted by 0, 2, 4, 6 */
static inline qcode qcode_q6(const uint8_t *ql, uint32_t is_high, const uint8_t *qh, uint32_t shift)
{
    qcode code = qcode_halves(ql, is_high);
    for (int i = 0; i < 32; i++) {
        code.v[i] = (int8_t)(code.v[i] | ((qh[i] >> shift) & 3) << 4);
    }
    return code;
}

static inline qacc qacc_zero(void)
{
    return 0.0f;
}
static inline float qacc_sum(qacc acc)
{
    return acc;
}
static inline int32_t scalar_dot16(const int8_t *a, const int8_t *b)
{
    int32_t sum = 0;
    for (int i = 0; i < 16; i++) {
        sum += a[i] * b[i];
    }
    return sum;
}
/* acc + prod * sum(code * a) */
static inline qacc qacc_block(qacc acc, qcode code, const int8_t *a, const float *prod)
{
    const int32_t dot = scalar_dot16(code.v, a) + scalar_dot16(code.v + 16, a + 16);
    return acc + (float)dot * *prod;
}
/* The same for Q8_0, whose codes are signed. */
static inline qacc qacc_block_signed(qacc acc, qcode code, const int8_t *a, const float *prod)
{
    return qacc_block(acc, code, a, prod);
}
/* One factor for each half. */
static inline qacc qacc_block2(qacc acc, qcode code, const int8_t *a, const float *prod)
{
    acc = acc + (float)scalar_dot16(code.v, a) * prod[0];
    return acc + (float)scalar_dot16(code.v + 16, a + 16) * prod[1];
}
/* acc + sum over 8 of m * s */
static inline qacc qacc_offset(qacc acc, const float m[8], const float *s)
{
    for (int i = 0; i < 8; i++) {
        acc = acc + m[i] * s[i];
    }
    return acc;
}
