/* SPDX-License-Identifier: MIT */
/* Stored codes to operands of mma.m16n8k16. */
#ifndef JB_CUDA_FRAGMENTS_CUH
#define JB_CUDA_FRAGMENTS_CUH

#include "backends/cuda/device.cuh"
#include "backends/cuda/ptx.cuh"

__device__ inline uint32_t sub_halves(uint32_t v, uint32_t bias)
{
    const __half2 d = __hsub2(*(const __half2 *)&v, *(const __half2 *)&bias);
    return *(const uint32_t *)&d;
}

__device__ inline uint32_t fma_halves(uint32_t v, uint32_t scale, uint32_t bias)
{
    const __half2 d =
        __hfma2(*(const __half2 *)&v, *(const __half2 *)&scale, *(const __half2 *)&bias);
    return *(const uint32_t *)&d;
}

/* Eight nibbles -> the four A registers of one mma. Half 0x6400 is 1024, and its low bits count
 * ones; nibble i and i + 4 make register i. BIAS is what the stored code exceeds the value by. */
template <int BIAS> __device__ inline void unpack_nibbles(uint32_t w, uint32_t (&a)[4])
{
    const uint32_t low = BIAS == 8 ? 0x64086408U : 0x64006400U;   /* 1024 + BIAS       */
    const uint32_t high = BIAS == 8 ? 0xd480d480U : 0xd400d400U;  /* -(64 + BIAS)      */
    const uint32_t sixteenth = 0x2c002c00U;
    const uint32_t v = w >> 8;
    a[0] = sub_halves((w & 0x000f000fU) | 0x64006400U, low);
    a[1] = fma_halves((w & 0x00f000f0U) | 0x64006400U, sixteenth, high);
    a[2] = sub_halves((v & 0x000f000fU) | 0x64006400U, low);
    a[3] = fma_halves((v & 0x00f000f0U) | 0x64006400U, sixteenth, high);
}

/* Two words of four int8 -> the four A registers of one mma. */
__device__ inline void unpack_bytes(uint32_t w0, uint32_t w1, uint32_t (&a)[4])
{
    const uint32_t u0 = w0 ^ 0x80808080U, u1 = w1 ^ 0x80808080U;
    const uint32_t bias = 0x64806480U; /* 1024 + 128 */
    a[0] = sub_halves(__byte_perm(u0, 0x64646464U, 0x4140), bias);
    a[1] = sub_halves(__byte_perm(u0, 0x64646464U, 0x4342), bias);
    a[2] = sub_halves(__byte_perm(u1, 0x64646464U, 0x4140), bias);
    a[3] = sub_halves(__byte_perm(u1, 0x64646464U, 0x4342), bias);
}

/* Columns that one load a lane covers, by form. */
template <int FORM> struct form_traits {
    static constexpr int chunk = FORM == JB_CUDA_T4 || FORM == JB_CUDA_T4M ? 64 : 32;
    static constexpr bool is_tiled = FORM >= JB_CUDA_T4;
    static constexpr int block = FORM == JB_CUDA_T8S ? 16 : 32; /* columns a scale */
    static constexpr int n_scales = is_tiled ? chunk / block : 1;
};

/* As unpack_nibbles, but what it gives is 1024 + nibble, and 1024 + 16 nibble for rows g + 8. */
__device__ inline void spread_nibbles(uint32_t w, uint32_t (&a)[4])
{
    const uint32_t v = w >> 8;
    a[0] = (w & 0x000f000fU) | 0x64006400U;
    a[1] = (w & 0x00f000f0U) | 0x64006400U;
    a[2] = (v & 0x000f000fU) | 0x64006400U;
    a[3] = (v & 0x00f000f0U) | 0x64006400U;
}

/* As unpack_bytes, but what it gives is 1024 + 128 + the value. */
__device__ inline void spread_bytes(uint32_t w0, uint32_t w1, uint32_t (&a)[4])
{
    const uint32_t u0 = w0 ^ 0x80808080U, u1 = w1 ^ 0x80808080U;
    a[0] = __byte_perm(u0, 0x64646464U, 0x4140);
    a[1] = __byte_perm(u0, 0x64646464U, 0x4342);
    a[2] = __byte_perm(u1, 0x64646464U, 0x4140);
    a[3] = __byte_perm(u1, 0x64646464U, 0x4342);
}

__device__ inline float2 half2_of(uint32_t bits)
{
    return __half22float2(*(const __half2 *)&bits);
}
__device__ inline float2 half2_at(const uint8_t *p)
{
    return half2_of(*(const uint32_t *)p);
}
__device__ inline uint32_t pack_halves(float a, float b)
{
    const __half2 pair = __floats2half2_rn(a, b);
    return *(const uint32_t *)&pair;
}
__device__ inline uint32_t pack_bf16s(float a, float b)
{
    const __nv_bfloat162 pair = __floats2bfloat162_rn(a, b);
    return *(const uint32_t *)&pair;
}
__device__ inline float2 bf16s_of(uint32_t bits)
{
    return make_float2(__uint_as_float(bits << 16), __uint_as_float(bits & 0xffff0000U));
}

#endif
