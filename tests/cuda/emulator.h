/* SPDX-License-Identifier: MIT */
/* Device code as plain C++: every CUDA thread is a fiber, and the fibers of a launch take turns.
 * Slow, but a wrong index, a lost unit or a deadlock shows without a GPU. */
#ifndef JB_EMULATOR_H
#define JB_EMULATOR_H
#ifdef __cplusplus

#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <algorithm>
#include <cmath>

struct emu_dim3 {
    uint32_t x, y, z;
};
struct emu_place {
    emu_dim3 thread, block;
};
extern emu_place *emu_now;
extern emu_dim3 emu_grid, emu_block_dim;

#define __CUDA_ARCH__ 900
#define __device__
#define __global__
#define __shared__ static
#define __align__(n) __attribute__((aligned(n)))
#define __launch_bounds__(...)
#define __grid_constant__
#define threadIdx (emu_now->thread)
#define blockIdx (emu_now->block)
#define gridDim emu_grid
#define blockDim emu_block_dim

using std::isnan;
using std::max;
using std::min;

/* What lanes exchange: 32 bytes each; every lane of the warp calls it. @return (32,) of them */
const void *emu_exchange(const void *mine, size_t size);
/* Waits until n_threads threads of the block have come; id 0 with 0 threads is the whole block. */
void emu_barrier(uint32_t id, uint32_t n_threads);
/* Something moved: the launch is not stuck. */
void emu_event(void);
/* Lets the others run; a launch in which nobody does anything else ends the program. */
void emu_poll(void);
void emu_copy_later(void *to, const void *from, uint32_t n_bytes, uint64_t *barrier);
uint8_t *emu_dynamic_shared(void);

template <typename T> static inline T __shfl_sync(uint32_t, T v, uint32_t lane)
{
    T all[32];
    const uint8_t *from = (const uint8_t *)emu_exchange(&v, sizeof v);
    for (int i = 0; i < 32; i++) {
        memcpy(&all[i], from + 32 * i, sizeof v);
    }
    return all[lane % 32];
}
template <typename T> static inline T __shfl_xor_sync(uint32_t mask, T v, uint32_t step)
{
    return __shfl_sync(mask, v, (threadIdx.x % 32) ^ step);
}
static inline void __syncwarp(void)
{
    const char nothing = 0;
    (void)emu_exchange(&nothing, 1);
}
static inline void __syncthreads(void)
{
    emu_barrier(0, 0);
}
static inline void __threadfence(void) {}
static inline uint32_t atomicAdd(uint32_t *p, uint32_t v)
{
    const uint32_t before = *p;
    *p += v;
    emu_event();
    return before;
}
template <typename T> static inline T __ldg(const T *p)
{
    return *p;
}
template <typename T> static inline T __ldcg(const T *p)
{
    return *p;
}
template <typename T> static inline void __stcg(T *p, T v)
{
    *p = v;
}
static inline uint32_t __byte_perm(uint32_t a, uint32_t b, uint32_t selector)
{
    const uint64_t both = (uint64_t)b << 32 | a;
    uint32_t v = 0;
    for (int i = 0; i < 4; i++) {
        v |= (uint32_t)(both >> (8 * (selector >> (4 * i) & 7U)) & 255U) << (8 * i);
    }
    return v;
}
static inline float __uint_as_float(uint32_t bits)
{
    float f;
    memcpy(&f, &bits, sizeof f);
    return f;
}
static inline long long clock64(void)
{
    return 0;
}

#endif
#endif
