/* SPDX-License-Identifier: MIT */
/* Device helpers: number formats, packing of activations, warp sums. */
#ifndef JB_CUDA_DEVICE_CUH
#define JB_CUDA_DEVICE_CUH

#include <cuda_bf16.h>
#include <cuda_fp16.h>
#include <stdint.h>

#include "backends/cuda/kernels.h"

enum { WARP = 32 };

/* Values of enum jb_dtype; kernels.cu checks them against format.h. */
enum dtype { F32, F16, BF16, Q8_0, Q4_0, Q4_1, Q4_K, Q6_K };

__device__ inline uint32_t global_warp()
{
    return (blockIdx.x * blockDim.x + threadIdx.x) / WARP;
}

__device__ inline float warp_sum(float v)
{
    for (int step = WARP / 2; step > 0; step /= 2) {
        v += __shfl_xor_sync(0xffffffffU, v, step);
    }
    return v;
}

__device__ inline float warp_max(float v)
{
    for (int step = WARP / 2; step > 0; step /= 2) {
        v = fmaxf(v, __shfl_xor_sync(0xffffffffU, v, step));
    }
    return v;
}

/* Sum over a block of at most 1024 threads; every thread gets it. */
__device__ inline float block_sum(float v, float *shared /* (32,) */)
{
    v = warp_sum(v);
    __syncthreads();
    if (threadIdx.x % WARP == 0) {
        shared[threadIdx.x / WARP] = v;
    }
    __syncthreads();
    const uint32_t n_warps = (blockDim.x + WARP - 1) / WARP;
    float sum = threadIdx.x % WARP < n_warps ? shared[threadIdx.x % WARP] : 0.0F;
    return warp_sum(sum);
}

/* Writes v as half or bfloat16; with two planes also what rounding took away. */
__device__ inline void pack_value(void *packed, uint64_t plane, uint32_t n_planes, bool is_bf16,
                                  uint64_t i, float v)
{
    if (is_bf16) {
        __nv_bfloat16 *p = (__nv_bfloat16 *)packed;
        const __nv_bfloat16 high = __float2bfloat16_rn(v);
        p[i] = high;
        if (n_planes > 1) {
            p[plane + i] = __float2bfloat16_rn(v - __bfloat162float(high));
        }
    } else {
        __half *p = (__half *)packed;
        const __half high = __float2half_rn(v);
        p[i] = high;
        if (n_planes > 1) {
            p[plane + i] = __float2half_rn(v - __half2float(high));
        }
    }
}

/* Two neighbours; i is even. */
__device__ inline void pack_pair(void *packed, uint64_t plane, uint32_t n_planes, bool is_bf16,
                                 uint64_t i, float a, float b)
{
    for (uint32_t k = 0; k < n_planes; k++) {
        uint32_t low, high;
        if (is_bf16) {
            const __nv_bfloat16 x = __float2bfloat16_rn(a), y = __float2bfloat16_rn(b);
            low = __bfloat16_as_ushort(x), high = __bfloat16_as_ushort(y);
            a -= __bfloat162float(x), b -= __bfloat162float(y);
        } else {
            const __half x = __float2half_rn(a), y = __float2half_rn(b);
            low = __half_as_ushort(x), high = __half_as_ushort(y);
            a -= __half2float(x), b -= __half2float(y);
        }
        *(uint32_t *)((uint16_t *)packed + k * plane + i) = low | high << 16;
    }
}

__device__ inline uint16_t load_u16(const uint8_t *p)
{
    return (uint16_t)(p[0] | p[1] << 8); /* blocks of 18, 20, 34 and 210 bytes are unaligned */
}

__device__ inline float half_bits(uint16_t bits)
{
    return __half2float(__ushort_as_half(bits));
}

/* Scale and min numbers of Q4_K block j (0..7), six bits each in 12 bytes: the first four lie in
 * the low bits of bytes j and j + 4; the others' low nibbles in byte j + 4, their high pairs in
 * the top of bytes j - 4 and j. */
__device__ inline void q4_k_scale(const uint8_t *s, uint32_t j, uint32_t *scale, uint32_t *min)
{
    if (j < 4) {
        *scale = s[j] & 63U;
        *min = s[j + 4] & 63U;
    } else {
        *scale = (s[j + 4] & 15U) | (s[j - 4] >> 6) << 4;
        *min = (uint32_t)(s[j + 4] >> 4) | (s[j] >> 6) << 4;
    }
}

/* Code and (scale, offset) of value k of a row: w = scale * code + offset. */
struct coded {
    int code;
    float scale, offset;
};

__device__ inline coded raw_coded(uint32_t dtype, const uint8_t *row, uint32_t k)
{
    const uint32_t in32 = k % 32, in256 = k % 256;
    switch (dtype) {
    case Q8_0: {
        const uint8_t *b = row + (uint64_t)(k / 32) * 34;
        return {(int8_t)b[2 + in32], half_bits(load_u16(b)), 0.0F};
    }
    case Q4_0: {
        const uint8_t *b = row + (uint64_t)(k / 32) * 18;
        const int nibble = in32 < 16 ? b[2 + in32] & 15 : b[2 + in32 - 16] >> 4;
        return {nibble - 8, half_bits(load_u16(b)), 0.0F};
    }
    case Q4_1: {
        const uint8_t *b = row + (uint64_t)(k / 32) * 20;
        const int nibble = in32 < 16 ? b[4 + in32] & 15 : b[4 + in32 - 16] >> 4;
        return {nibble, half_bits(load_u16(b)), half_bits(load_u16(b + 2))};
    }
    case Q4_K: {
        const uint8_t *b = row + (uint64_t)(k / 256) * 144;
        uint32_t scale, min;
        q4_k_scale(b + 4, in256 / 32, &scale, &min);
        /* 64 values share 32 bytes: the first 32 in low nibbles, the next 32 in high ones. */
        const uint8_t byte = b[16 + in256 / 64 * 32 + in32];
        const int nibble = in256 % 64 < 32 ? byte & 15 : byte >> 4;
        return {nibble, half_bits(load_u16(b)) * (float)scale,
                -half_bits(load_u16(b + 2)) * (float)min};
    }
    default: { /* Q6_K: 128 values from 64 low bytes and 32 high bytes */
        const uint8_t *b = row + (uint64_t)(k / 256) * 210;
        const uint32_t half = in256 / 128, in128 = in256 % 128, quarter = in128 / 32;
        const uint8_t low = b[half * 64 + quarter % 2 * 32 + in32];
        const uint8_t high = b[128 + half * 32 + in32];
        const int code = ((quarter < 2 ? low & 15 : low >> 4) | (high >> (2 * quarter) & 3) << 4) - 32;
        return {code, half_bits(load_u16(b + 208)) * (float)(int8_t)b[192 + in256 / 16], 0.0F};
    }
    }
}

__device__ inline float raw_value(uint32_t dtype, const uint8_t *row, uint32_t k)
{
    if (dtype == F32) {
        return ((const float *)row)[k];
    }
    if (dtype == F16) {
        return __half2float(((const __half *)row)[k]);
    }
    if (dtype == BF16) {
        return __bfloat162float(((const __nv_bfloat16 *)row)[k]);
    }
    const coded c = raw_coded(dtype, row, k);
    return c.scale * (float)c.code + c.offset;
}

#endif
