/* SPDX-License-Identifier: MIT */
/* Code primitives of the x86 levels without VNNI (see simd_scalar.h): 32 codes in 256 bits,
 * products summed in fours to 8 x int32. Wider registers would save instructions, not time, on
 * cores that split them.
 */

typedef __m256i qcode;
typedef __m256 qacc;

#define Q6_OFFSET 32

static inline float f16_value(const uint16_t *bits)
{
    return _cvtsh_ss(*bits);
}

static inline void f16_gather8(const uint8_t *p, size_t stride, uint32_t n, float dst[8])
{
    uint16_t d[8] = {0};
    for (uint32_t i = 0; i < n; i++) {
        memcpy(&d[i], p + i * stride, sizeof(d[i]));
    }
    const __m128i bits = _mm_set_epi16((short)d[7], (short)d[6], (short)d[5], (short)d[4],
                                       (short)d[3], (short)d[2], (short)d[1], (short)d[0]);
    _mm256_store_ps(dst, _mm256_cvtph_ps(bits));
}

static inline void i8_scale8(const int8_t *p, float scale, float dst[8])
{
    const __m256i wide = _mm256_cvtepi8_epi32(_mm_loadl_epi64((const __m128i *)(const void *)p));
    _mm256_store_ps(dst, _mm256_mul_ps(_mm256_cvtepi32_ps(wide), _mm256_set1_ps(scale)));
}

static inline void mul8(const float a[8], const float b[8], float dst[8])
{
    _mm256_store_ps(dst, _mm256_mul_ps(_mm256_load_ps(a), _mm256_loadu_ps(b)));
}

static inline void mul8_twice(const float a[16], const float b[8], float dst[16])
{
    const __m256 v = _mm256_loadu_ps(b);
    const __m256 low = _mm256_permutevar8x32_ps(v, _mm256_setr_epi32(0, 0, 1, 1, 2, 2, 3, 3));
    const __m256 high = _mm256_permutevar8x32_ps(v, _mm256_setr_epi32(4, 4, 5, 5, 6, 6, 7, 7));
    _mm256_store_ps(dst, _mm256_mul_ps(_mm256_load_ps(a), low));
    _mm256_store_ps(dst + 8, _mm256_mul_ps(_mm256_load_ps(a + 8), high));
}

static inline void scale8(const float a[8], float b, float dst[8])
{
    _mm256_store_ps(dst, _mm256_mul_ps(_mm256_load_ps(a), _mm256_set1_ps(b)));
}

static inline __m256i load256(const void *p)
{
    return _mm256_loadu_si256((const __m256i *)p);
}

static inline qcode qcode_q8(const uint8_t *q)
{
    return load256(q);
}

static inline qcode qcode_nibbles(const uint8_t *q)
{
    const __m128i bytes = _mm_loadu_si128((const __m128i *)(const void *)q);
    const __m256i both =
        _mm256_inserti128_si256(_mm256_castsi128_si256(bytes), _mm_srli_epi16(bytes, 4), 1);
    return _mm256_and_si256(both, _mm256_set1_epi8(15));
}

static inline qcode qcode_halves(const uint8_t *q, uint32_t is_high)
{
    const __m256i bytes = load256(q);
    return _mm256_and_si256(is_high != 0 ? _mm256_srli_epi16(bytes, 4) : bytes,
                            _mm256_set1_epi8(15));
}

static inline qcode qcode_q6(const uint8_t *ql, uint32_t is_high, const uint8_t *qh, uint32_t shift)
{
    const __m256i pairs = _mm256_srl_epi16(load256(qh), _mm_cvtsi32_si128((int)shift));
    const __m256i high = _mm256_and_si256(pairs, _mm256_set1_epi8(3));
    return _mm256_or_si256(qcode_halves(ql, is_high), _mm256_slli_epi16(high, 4));
}

static inline qacc qacc_zero(void)
{
    return _mm256_setzero_ps();
}

static inline float sum256(__m256 v)
{
    __m128 x = _mm_add_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
    x = _mm_add_ps(x, _mm_movehl_ps(x, x));
    return _mm_cvtss_f32(_mm_add_ss(x, _mm_movehdup_ps(x)));
}

static inline float qacc_sum(qacc acc)
{
    return sum256(acc);
}

/* codes unsigned, below 128: pairs must fit 16 bits */
static inline __m256 dot32(__m256i code, __m256i a)
{
    const __m256i pairs = _mm256_maddubs_epi16(code, a);
    return _mm256_cvtepi32_ps(_mm256_madd_epi16(pairs, _mm256_set1_epi16(1)));
}

static inline qacc qacc_block(qacc acc, qcode code, const int8_t *a, const float *prod)
{
    return _mm256_fmadd_ps(dot32(code, load256(a)), _mm256_broadcast_ss(prod), acc);
}

static inline qacc qacc_block_signed(qacc acc, qcode code, const int8_t *a, const float *prod)
{
    const __m256 dot = dot32(_mm256_abs_epi8(code), _mm256_sign_epi8(load256(a), code));
    return _mm256_fmadd_ps(dot, _mm256_broadcast_ss(prod), acc);
}

static inline qacc qacc_block2(qacc acc, qcode code, const int8_t *a, const float *prod)
{
    const __m256 factors = _mm256_insertf128_ps(_mm256_castps128_ps256(_mm_broadcast_ss(prod)),
                                                _mm_broadcast_ss(prod + 1), 1);
    return _mm256_fmadd_ps(dot32(code, load256(a)), factors, acc);
}

static inline qacc qacc_offset(qacc acc, const float m[8], const float *s)
{
    return _mm256_fmadd_ps(_mm256_load_ps(m), _mm256_loadu_ps(s), acc);
}
