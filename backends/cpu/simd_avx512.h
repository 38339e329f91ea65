/* SPDX-License-Identifier: MIT */
/* Primitives of the AVX-512 levels (F, BW, DQ, VL); the list is explained in simd_scalar.h. */
#include <immintrin.h>
#include <math.h>
#include <stdint.h>
#include <string.h>

#define LANES 16u
#define FLOAT_ROWS 4u
#define FLOAT_COLS 6u
#define QUANT_ROWS 4u
#define QUANT_COLS 8u
#define QUANT_ROWS_WIDE 2u

typedef __m512 vf;

static inline vf vf_set(float x)
{
    return _mm512_set1_ps(x);
}
static inline __mmask16 first_lanes(uint32_t n)
{
    return (__mmask16)((1u << n) - 1u);
}
static inline vf vf_load(const float *p)
{
    return _mm512_loadu_ps(p);
}
static inline vf vf_load_n(const float *p, uint32_t n)
{
    return _mm512_maskz_loadu_ps(first_lanes(n), p);
}
static inline void vf_store(float *p, vf v)
{
    _mm512_storeu_ps(p, v);
}
static inline void vf_store_n(float *p, vf v, uint32_t n)
{
    _mm512_mask_storeu_ps(p, first_lanes(n), v);
}
static inline vf bf16_wide(__m256i bits)
{
    return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(bits), 16));
}
static inline vf vf_load_f16(const uint8_t *p)
{
    return _mm512_cvtph_ps(_mm256_loadu_si256((const __m256i *)(const void *)p));
}
static inline vf vf_load_f16_n(const uint8_t *p, uint32_t n)
{
    return _mm512_cvtph_ps(_mm256_maskz_loadu_epi16(first_lanes(n), p));
}
static inline vf vf_load_bf16(const uint8_t *p)
{
    return bf16_wide(_mm256_loadu_si256((const __m256i *)(const void *)p));
}
static inline vf vf_load_bf16_n(const uint8_t *p, uint32_t n)
{
    return bf16_wide(_mm256_maskz_loadu_epi16(first_lanes(n), p));
}
static inline void vf_store_f16(uint16_t *p, vf v)
{
    _mm256_storeu_si256((__m256i *)(void *)p, _mm512_cvtps_ph(v, _MM_FROUND_TO_NEAREST_INT));
}
static inline vf vf_add(vf a, vf b)
{
    return _mm512_add_ps(a, b);
}
static inline vf vf_sub(vf a, vf b)
{
    return _mm512_sub_ps(a, b);
}
static inline vf vf_mul(vf a, vf b)
{
    return _mm512_mul_ps(a, b);
}
static inline vf vf_div(vf a, vf b)
{
    return _mm512_div_ps(a, b);
}
static inline vf vf_fma(vf a, vf b, vf c)
{
    return _mm512_fmadd_ps(a, b, c);
}
static inline vf vf_max(vf a, vf b)
{
    return _mm512_max_ps(a, b);
}
static inline vf vf_min(vf a, vf b)
{
    return _mm512_min_ps(a, b);
}
static inline vf vf_abs(vf a)
{
    return _mm512_abs_ps(a);
}
static inline vf vf_round(vf a)
{
    return _mm512_roundscale_ps(a, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
}
static inline vf vf_exp2i(vf n)
{
    const __m512i exponent = _mm512_add_epi32(_mm512_cvtps_epi32(n), _mm512_set1_epi32(127));
    return _mm512_castsi512_ps(_mm512_slli_epi32(exponent, 23));
}

#include "backends/cpu/simd_x86_quant.h"

static inline float vf_sum(vf v)
{
    return sum256(_mm256_add_ps(_mm512_castps512_ps256(v), _mm512_extractf32x8_ps(v, 1)));
}
static inline float vf_largest(vf v)
{
    return _mm512_reduce_max_ps(v);
}
static inline int32_t vf_to_i8(vf x, vf inv, int8_t *q)
{
    const __m512i wide = _mm512_cvtps_epi32(_mm512_mul_ps(x, inv));
    _mm_storeu_si128((__m128i *)(void *)q, _mm512_cvtepi32_epi8(wide));
    return _mm512_reduce_add_epi32(wide);
}
