/* SPDX-License-Identifier: MIT */
/* Loops that do nothing but multiply, read or copy, compiled once a SIMD level: its flags choose
 * the instructions. JB_LOOPS and JB_LEVEL come from the build. */
#include <stdint.h>
#include <string.h>

#if defined(__AVX2__)
#include <immintrin.h>
#elif defined(__ARM_NEON)
#include <arm_neon.h>
#endif

#include "backends/cpu/exercise.h"

/* A value of which the compiler knows nothing any more: products of constants stay in the loop. */
#if defined(__AVX2__)
#define HIDE(v) __asm__ volatile("" : "+x"(v))
#elif defined(__ARM_NEON)
#define HIDE(v) __asm__ volatile("" : "+w"(v))
#else
#define HIDE(v) __asm__ volatile("" : "+r"(v))
#endif

/* Sums in flight: enough to cover the latency of every known product at two a cycle. */
#if defined(__AVX512F__) || defined(__ARM_NEON)
#define N_SUMS 16
#elif defined(__AVX2__)
#define N_SUMS 12
#else
#define N_SUMS 4
#endif
#define REPEAT 16 /* products a sum and round */

/* Sums stay in registers only where the loop over them is gone. */
#if defined(UNROLL)
#elif defined(__clang__)
#define UNROLL _Pragma("clang loop unroll(full)")
#else
#define UNROLL _Pragma("GCC unroll 16")
#endif

/* One loop: sum[i] = STEP(sum[i], a, b). */
#define LOOP(name, sum_type, in_type, zero, a_value, b_value, step, fold)                          \
    static uint64_t name(uint64_t n_rounds)                                                        \
    {                                                                                              \
        sum_type sum[N_SUMS];                                                                      \
        in_type a = (a_value), b = (b_value);                                                      \
        for (int i = 0; i < N_SUMS; i++) {                                                         \
            sum[i] = zero;                                                                         \
        }                                                                                          \
        for (uint64_t r = 0; r < n_rounds * REPEAT; r++) {                                         \
            UNROLL for (int i = 0; i < N_SUMS; i++)                                                \
            {                                                                                      \
                HIDE(a);                                                                           \
                sum[i] = step(sum[i], a, b);                                                       \
            }                                                                                      \
        }                                                                                          \
        uint64_t all = 0;                                                                          \
        for (int i = 0; i < N_SUMS; i++) {                                                         \
            all += fold(sum[i]);                                                                   \
        }                                                                                          \
        return all;                                                                                \
    }

/* ---- float32 ---- */

#if defined(__AVX512F__)
#define F32_LANES 16
#define F32_STEP(sum, a, b) _mm512_fmadd_ps(a, b, sum)
#define F32_FOLD(sum)                                                                              \
    ((uint64_t)_mm_cvtsi128_si32(_mm512_castsi512_si128(_mm512_castps_si512(sum))))
LOOP(macs_f32, __m512, __m512, _mm512_setzero_ps(), _mm512_set1_ps(0.5f), _mm512_set1_ps(0.25f),
     F32_STEP, F32_FOLD)
#elif defined(__AVX2__)
#define F32_LANES 8
#define F32_STEP(sum, a, b) _mm256_fmadd_ps(a, b, sum)
#define F32_FOLD(sum)                                                                              \
    ((uint64_t)_mm_cvtsi128_si32(_mm256_castsi256_si128(_mm256_castps_si256(sum))))
LOOP(macs_f32, __m256, __m256, _mm256_setzero_ps(), _mm256_set1_ps(0.5f), _mm256_set1_ps(0.25f),
     F32_STEP, F32_FOLD)
#elif defined(__ARM_NEON)
#define F32_LANES 4
#define F32_STEP(sum, a, b) vfmaq_f32(sum, a, b)
#define F32_FOLD(sum) ((uint64_t)vgetq_lane_u32(vreinterpretq_u32_f32(sum), 0))
LOOP(macs_f32, float32x4_t, float32x4_t, vdupq_n_f32(0), vdupq_n_f32(0.5f), vdupq_n_f32(0.25f),
     F32_STEP, F32_FOLD)
#else
#define F32_LANES 1
static uint64_t macs_f32(uint64_t n_rounds)
{
    volatile float start = 0.5f;
    const float a = start;
    float sum[N_SUMS] = {0};
    for (uint64_t r = 0; r < n_rounds * REPEAT; r++) {
        for (int i = 0; i < N_SUMS; i++) {
            sum[i] = sum[i] * a + a;
        }
    }
    return (uint64_t)(sum[0] + sum[1] + sum[2] + sum[3]);
}
#endif

/* ---- bfloat16 pairs into float32 ---- */

#if defined(__AVX512BF16__)
#define BF16_LANES 32
#define BF16_STEP(sum, a, b) _mm512_dpbf16_ps(sum, (__m512bh)(a), (__m512bh)(b))
LOOP(macs_bf16, __m512, __m512i, _mm512_setzero_ps(), _mm512_set1_epi16(0x3f00),
     _mm512_set1_epi16(0x3e80), BF16_STEP, F32_FOLD)
#else
#define BF16_LANES 0
#define macs_bf16 NULL
#endif

/* ---- int8 into int32 ---- */

#if defined(__AVX512VNNI__)
#define INT8_LANES 64
#define INT8_STEP(sum, a, b) _mm512_dpbusd_epi32(sum, a, b)
#define INT8_FOLD(sum) ((uint64_t)_mm_cvtsi128_si32(_mm512_castsi512_si128(sum)))
LOOP(macs_int8, __m512i, __m512i, _mm512_setzero_si512(), _mm512_set1_epi8(3), _mm512_set1_epi8(1),
     INT8_STEP, INT8_FOLD)
#elif defined(__AVX512BW__)
#define INT8_LANES 64
#define INT8_STEP(sum, a, b)                                                                       \
    _mm512_add_epi32(sum, _mm512_madd_epi16(_mm512_maddubs_epi16(a, b), _mm512_set1_epi16(1)))
#define INT8_FOLD(sum) ((uint64_t)_mm_cvtsi128_si32(_mm512_castsi512_si128(sum)))
LOOP(macs_int8, __m512i, __m512i, _mm512_setzero_si512(), _mm512_set1_epi8(3), _mm512_set1_epi8(1),
     INT8_STEP, INT8_FOLD)
#elif defined(__AVX2__)
#define INT8_LANES 32
#define INT8_STEP(sum, a, b)                                                                       \
    _mm256_add_epi32(sum, _mm256_madd_epi16(_mm256_maddubs_epi16(a, b), _mm256_set1_epi16(1)))
#define INT8_FOLD(sum) ((uint64_t)_mm_cvtsi128_si32(_mm256_castsi256_si128(sum)))
LOOP(macs_int8, __m256i, __m256i, _mm256_setzero_si256(), _mm256_set1_epi8(3), _mm256_set1_epi8(1),
     INT8_STEP, INT8_FOLD)
#elif defined(__ARM_FEATURE_DOTPROD)
#define INT8_LANES 16
#define INT8_STEP(sum, a, b) vdotq_s32(sum, a, b)
#define INT8_FOLD(sum) ((uint64_t)vgetq_lane_s32(sum, 0))
LOOP(macs_int8, int32x4_t, int8x16_t, vdupq_n_s32(0), vdupq_n_s8(3), vdupq_n_s8(1), INT8_STEP,
     INT8_FOLD)
#elif defined(__ARM_NEON)
#define INT8_LANES 8
#define INT8_STEP(sum, a, b) vpadalq_s16(sum, vmull_s8(a, b))
#define INT8_FOLD(sum) ((uint64_t)vgetq_lane_s32(sum, 0))
LOOP(macs_int8, int32x4_t, int8x8_t, vdupq_n_s32(0), vdup_n_s8(3), vdup_n_s8(1), INT8_STEP,
     INT8_FOLD)
#else
#define INT8_LANES 1
#define INT8_STEP(sum, a, b) ((sum) + (uint32_t)((a) * (b)))
#define INT8_FOLD(sum) ((uint64_t)(sum))
LOOP(macs_int8, uint32_t, int32_t, 0, 3, 1, INT8_STEP, INT8_FOLD)
#endif

/* ---- memory ---- */

#if defined(__AVX512F__)
#define WORDS __m512i
#define ADD_WORDS(sum, from) _mm512_add_epi64(sum, _mm512_loadu_si512(from))
#define NO_WORDS _mm512_setzero_si512()
#elif defined(__AVX2__)
#define WORDS __m256i
#define ADD_WORDS(sum, from)                                                                       \
    _mm256_add_epi64(sum, _mm256_loadu_si256((const __m256i *)(const void *)(from)))
#define NO_WORDS _mm256_setzero_si256()
#elif defined(__ARM_NEON)
#define WORDS uint64x2_t
#define ADD_WORDS(sum, from) vaddq_u64(sum, vreinterpretq_u64_u8(vld1q_u8(from)))
#define NO_WORDS vdupq_n_u64(0)
#else
#define WORDS uint64_t
#define NO_WORDS 0
static uint64_t add_words(uint64_t sum, const uint8_t *from)
{
    uint64_t word;
    memcpy(&word, from, sizeof word);
    return sum + word;
}
#define ADD_WORDS(sum, from) add_words(sum, from)
#endif

#define N_LOADS 8 /* in flight */

static uint64_t read_all(const uint8_t *from, size_t size)
{
    WORDS sum[N_LOADS];
    uint64_t words[N_LOADS * sizeof(WORDS) / 8];
    for (int i = 0; i < N_LOADS; i++) {
        sum[i] = NO_WORDS;
    }
    for (size_t at = 0; at < size; at += sizeof sum) {
        UNROLL for (int i = 0; i < N_LOADS; i++)
        {
            sum[i] = ADD_WORDS(sum[i], from + at + sizeof(WORDS) * (size_t)i);
        }
    }
    memcpy(words, sum, sizeof words);
    uint64_t all = 0;
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        all += words[i];
    }
    return all;
}

/* Stores go past the caches where that can be said, so that what is written is not read first. */
static void copy_all(uint8_t *to, const uint8_t *from, size_t size)
{
#if defined(__AVX512F__)
    for (size_t at = 0; at < size; at += 64) {
        _mm512_stream_si512((__m512i *)(void *)(to + at), _mm512_loadu_si512(from + at));
    }
    _mm_sfence();
#elif defined(__AVX2__)
    for (size_t at = 0; at < size; at += 32) {
        _mm256_stream_si256((__m256i *)(void *)(to + at),
                            _mm256_loadu_si256((const __m256i *)(const void *)(from + at)));
    }
    _mm_sfence();
#else
    memcpy(to, from, size);
#endif
}

extern const struct jb_cpu_loops JB_LOOPS;
const struct jb_cpu_loops JB_LOOPS = {
    .level = JB_LEVEL,
    .macs_a_round = {[JB_CPU_F32] = REPEAT * N_SUMS * F32_LANES,
                     [JB_CPU_BF16] = REPEAT * N_SUMS * BF16_LANES,
                     [JB_CPU_INT8] = REPEAT * N_SUMS * INT8_LANES},
    .macs = {[JB_CPU_F32] = macs_f32, [JB_CPU_BF16] = macs_bf16, [JB_CPU_INT8] = macs_int8},
    .read = read_all,
    .copy = copy_all,
};
