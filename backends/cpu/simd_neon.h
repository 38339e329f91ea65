/* SPDX-License-Identifier: MIT */
/* Primitives of the AArch64 levels; the list is explained in simd_scalar.h. */
#include <arm_neon.h>
#include <math.h>
#include <stdint.h>
#include <string.h>

#define LANES 4u
#define FLOAT_ROWS 4u
#define FLOAT_COLS 4u
#define QUANT_ROWS 2u
#define QUANT_COLS 4u
#define QUANT_ROWS_WIDE 2u
#define Q6_OFFSET 32

typedef float32x4_t vf;

static inline vf vf_set(float x)
{
    return vdupq_n_f32(x);
}
static inline vf vf_load(const float *p)
{
    return vld1q_f32(p);
}
static inline vf vf_load_n(const float *p, uint32_t n)
{
    float whole[4] = {0};
    memcpy(whole, p, n * sizeof(*p));
    return vld1q_f32(whole);
}
static inline void vf_store(float *p, vf v)
{
    vst1q_f32(p, v);
}
static inline void vf_store_n(float *p, vf v, uint32_t n)
{
    float whole[4];
    vst1q_f32(whole, v);
    memcpy(p, whole, n * sizeof(*p));
}
static inline vf vf_load_f16(const uint8_t *p)
{
    return vcvt_f32_f16(vreinterpret_f16_u8(vld1_u8(p)));
}
static inline vf vf_load_f16_n(const uint8_t *p, uint32_t n)
{
    uint8_t whole[8] = {0};
    memcpy(whole, p, 2 * (size_t)n);
    return vf_load_f16(whole);
}
static inline vf vf_load_bf16(const uint8_t *p)
{
    return vreinterpretq_f32_u32(vshll_n_u16(vreinterpret_u16_u8(vld1_u8(p)), 16));
}
static inline vf vf_load_bf16_n(const uint8_t *p, uint32_t n)
{
    uint8_t whole[8] = {0};
    memcpy(whole, p, 2 * (size_t)n);
    return vf_load_bf16(whole);
}
static inline void vf_store_f16(uint16_t *p, vf v)
{
    vst1_u16(p, vreinterpret_u16_f16(vcvt_f16_f32(v)));
}
static inline vf vf_add(vf a, vf b)
{
    return vaddq_f32(a, b);
}
static inline vf vf_sub(vf a, vf b)
{
    return vsubq_f32(a, b);
}
static inline vf vf_mul(vf a, vf b)
{
    return vmulq_f32(a, b);
}
static inline vf vf_div(vf a, vf b)
{
    return vdivq_f32(a, b);
}
static inline vf vf_fma(vf a, vf b, vf c)
{
    return vfmaq_f32(c, a, b);
}
static inline vf vf_max(vf a, vf b)
{
    return vbslq_f32(vcgtq_f32(a, b), a, b);
}
static inline vf vf_min(vf a, vf b)
{
    return vbslq_f32(vcltq_f32(a, b), a, b);
}
static inline vf vf_abs(vf a)
{
    return vabsq_f32(a);
}
static inline vf vf_round(vf a)
{
    return vrndnq_f32(a);
}
static inline vf vf_exp2i(vf n)
{
    const int32x4_t exponent = vaddq_s32(vcvtq_s32_f32(n), vdupq_n_s32(127));
    return vreinterpretq_f32_s32(vshlq_n_s32(exponent, 23));
}
static inline float vf_sum(vf v)
{
    return vaddvq_f32(v);
}
static inline float vf_largest(vf v)
{
    return vmaxnmvq_f32(v);
}
static inline int32_t vf_to_i8(vf x, vf inv, int8_t *q)
{
    const int32x4_t wide = vcvtnq_s32_f32(vmulq_f32(x, inv));
    const int16x4_t words = vqmovn_s32(wide);
    const int8x8_t bytes = vqmovn_s16(vcombine_s16(words, words));
    vst1_lane_s32((int32_t *)(void *)q, vreinterpret_s32_s8(bytes), 0);
    return vaddvq_s32(wide);
}

static inline float f16_value(const uint16_t *bits)
{
    return vgetq_lane_f32(vcvt_f32_f16(vreinterpret_f16_u16(vdup_n_u16(*bits))), 0);
}
static inline void f16_gather8(const uint8_t *p, size_t stride, uint32_t n, float dst[8])
{
    uint16_t d[8] = {0};
    for (uint32_t i = 0; i < n; i++) {
        memcpy(&d[i], p + i * stride, sizeof(d[i]));
    }
    const float16x8_t bits = vreinterpretq_f16_u16(vld1q_u16(d));
    vst1q_f32(dst, vcvt_f32_f16(vget_low_f16(bits)));
    vst1q_f32(dst + 4, vcvt_f32_f16(vget_high_f16(bits)));
}
static inline void i8_scale8(const int8_t *p, float scale, float dst[8])
{
    const int16x8_t words = vmovl_s8(vld1_s8(p));
    vst1q_f32(dst, vmulq_n_f32(vcvtq_f32_s32(vmovl_s16(vget_low_s16(words))), scale));
    vst1q_f32(dst + 4, vmulq_n_f32(vcvtq_f32_s32(vmovl_s16(vget_high_s16(words))), scale));
}
static inline void mul8(const float a[8], const float b[8], float dst[8])
{
    vst1q_f32(dst, vmulq_f32(vld1q_f32(a), vld1q_f32(b)));
    vst1q_f32(dst + 4, vmulq_f32(vld1q_f32(a + 4), vld1q_f32(b + 4)));
}
static inline void mul8_twice(const float a[16], const float b[8], float dst[16])
{
    for (uint32_t i = 0; i < 8; i += 4) {
        const float32x4_t v = vld1q_f32(b + i);
        vst1q_f32(dst + 2 * i, vmulq_f32(vld1q_f32(a + 2 * i), vzip1q_f32(v, v)));
        vst1q_f32(dst + 2 * i + 4, vmulq_f32(vld1q_f32(a + 2 * i + 4), vzip2q_f32(v, v)));
    }
}
static inline void scale8(const float a[8], float b, float dst[8])
{
    vst1q_f32(dst, vmulq_n_f32(vld1q_f32(a), b));
    vst1q_f32(dst + 4, vmulq_n_f32(vld1q_f32(a + 4), b));
}

#define qcode int8x16x2_t
typedef float32x4_t qacc;

static inline qcode qcode_q8(const uint8_t *q)
{
    const qcode code = {{vreinterpretq_s8_u8(vld1q_u8(q)), vreinterpretq_s8_u8(vld1q_u8(q + 16))}};
    return code;
}
static inline qcode qcode_nibbles(const uint8_t *q)
{
    const uint8x16_t bytes = vld1q_u8(q);
    const qcode code = {{vreinterpretq_s8_u8(vandq_u8(bytes, vdupq_n_u8(15))),
                         vreinterpretq_s8_u8(vshrq_n_u8(bytes, 4))}};
    return code;
}
static inline int8x16_t halves16(const uint8_t *q, uint32_t is_high)
{
    const uint8x16_t bytes = vld1q_u8(q);
    return vreinterpretq_s8_u8(is_high != 0 ? vshrq_n_u8(bytes, 4)
                                            : vandq_u8(bytes, vdupq_n_u8(15)));
}
static inline qcode qcode_halves(const uint8_t *q, uint32_t is_high)
{
    const qcode code = {{halves16(q, is_high), halves16(q + 16, is_high)}};
    return code;
}
static inline int8x16_t q6_high16(const uint8_t *qh, uint32_t shift)
{
    const uint8x16_t pairs = vshlq_u8(vld1q_u8(qh), vdupq_n_s8((int8_t) - (int32_t)shift));
    return vreinterpretq_s8_u8(vshlq_n_u8(vandq_u8(pairs, vdupq_n_u8(3)), 4));
}
static inline qcode qcode_q6(const uint8_t *ql, uint32_t is_high, const uint8_t *qh, uint32_t shift)
{
    const qcode code = {{vorrq_s8(halves16(ql, is_high), q6_high16(qh, shift)),
                         vorrq_s8(halves16(ql + 16, is_high), q6_high16(qh + 16, shift))}};
    return code;
}

static inline qacc qacc_zero(void)
{
    return vdupq_n_f32(0.0f);
}
static inline float qacc_sum(qacc acc)
{
    return vaddvq_f32(acc);
}
/* sum + products of 16 codes, in fours */
static inline int32x4_t dot16(int32x4_t sum, int8x16_t a, int8x16_t b)
{
#if defined(__ARM_FEATURE_DOTPROD)
    return vdotq_s32(sum, a, b);
#else
    sum = vpadalq_s16(sum, vmull_s8(vget_low_s8(a), vget_low_s8(b)));
    return vpadalq_s16(sum, vmull_s8(vget_high_s8(a), vget_high_s8(b)));
#endif
}
static inline qacc qacc_block(qacc acc, qcode code, const int8_t *a, const float *prod)
{
    const int32x4_t low = dot16(vdupq_n_s32(0), code.val[0], vld1q_s8(a));
    const int32x4_t dot = dot16(low, code.val[1], vld1q_s8(a + 16));
    return vfmaq_n_f32(acc, vcvtq_f32_s32(dot), *prod);
}
static inline qacc qacc_block_signed(qacc acc, qcode code, const int8_t *a, const float *prod)
{
    return qacc_block(acc, code, a, prod);
}
static inline qacc qacc_block2(qacc acc, qcode code, const int8_t *a, const float *prod)
{
    const int32x4_t low = dot16(vdupq_n_s32(0), code.val[0], vld1q_s8(a));
    const int32x4_t high = dot16(vdupq_n_s32(0), code.val[1], vld1q_s8(a + 16));
    acc = vfmaq_n_f32(acc, vcvtq_f32_s32(low), prod[0]);
    return vfmaq_n_f32(acc, vcvtq_f32_s32(high), prod[1]);
}
static inline qacc qacc_offset(qacc acc, const float m[8], const float *s)
{
    acc = vfmaq_f32(acc, vld1q_f32(m), vld1q_f32(s));
    return vfmaq_f32(acc, vld1q_f32(m + 4), vld1q_f32(s + 4));
}
