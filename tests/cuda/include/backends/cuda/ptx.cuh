/* SPDX-License-Identifier: MIT */
/* In place of backends/cuda/ptx.cuh: the same functions by emulation. */
#ifndef JB_CUDA_PTX_CUH
#define JB_CUDA_PTX_CUH

#include "backends/cuda/device.cuh"

float emu_product(bool is_bf16, uint16_t a, uint16_t b);

/* PTX ISA, "Matrix Fragments for mma.m16n8k16 with floating point type". */
template <bool IS_BF16>
static inline void mma(float (&c)[4], uint32_t a0, uint32_t a1, uint32_t a2, uint32_t a3,
                       uint32_t b0, uint32_t b1)
{
    const uint32_t mine[6] = {a0, a1, a2, a3, b0, b1};
    const uint8_t *all = (const uint8_t *)emu_exchange(mine, sizeof mine);
    const uint32_t lane = threadIdx.x % 32, group = lane / 4, part = lane % 4;
    for (uint32_t i = 0; i < 4; i++) {
        const uint32_t row = group + (i < 2 ? 0 : 8), column = 2 * part + i % 2;
        double sum = c[i];
        for (uint32_t k = 0; k < 16; k++) {
            const uint32_t in_quad = k % 8 / 2, shift = k % 2 * 16;
            uint32_t a[6], b[6];
            memcpy(a, all + 32 * (row % 8 * 4 + in_quad), sizeof a);
            memcpy(b, all + 32 * (column * 4 + in_quad), sizeof b);
            const uint32_t word_a = a[(k < 8 ? 0 : 2) + (row < 8 ? 0 : 1)], word_b = b[4 + k / 8];
            sum += (double)emu_product(IS_BF16, (uint16_t)(word_a >> shift),
                                       (uint16_t)(word_b >> shift));
        }
        c[i] = (float)sum;
    }
}

static inline void wait_for_previous_kernel() {}
static inline void let_next_kernel_start() {}
static inline uint4 load_stream(const void *p)
{
    return *(const uint4 *)p;
}
static inline float4 load_shared_by_all(const float *p)
{
    return *(const float4 *)p;
}
static inline void prefetch_for_all(const void *) {}
static inline void store_for_all(float *p, float v)
{
    *p = v;
}
static inline uint8_t *dynamic_shared_memory()
{
    return emu_dynamic_shared();
}

static inline void copy_16(void *to, const void *from)
{
    memcpy(to, from, 16);
}
static inline void copies_end_group() {}
template <int N> static inline void copies_wait() {}
static inline void load_transposed(uint32_t (&v)[4], const void *row)
{
    const uint8_t *all = (const uint8_t *)emu_exchange(&row, sizeof row);
    const uint32_t lane = threadIdx.x % 32, group = lane / 4, part = lane % 4;
    for (uint32_t m = 0; m < 4; m++) {
        uint32_t pair[2];
        for (uint32_t i = 0; i < 2; i++) {
            const uint16_t *from;
            memcpy(&from, all + 32 * (8 * m + 2 * part + i), sizeof from);
            pair[i] = from[group];
        }
        v[m] = pair[0] | pair[1] << 16;
    }
}

struct emu_mbarrier {
    uint8_t phase, expected, pending, unused;
    int32_t n_bytes;
};
static_assert(sizeof(emu_mbarrier) == 8, "");
static inline void emu_mbarrier_look(emu_mbarrier *b)
{
    if (b->pending == 0 && b->n_bytes == 0) {
        b->phase ^= 1;
        b->pending = b->expected;
        emu_event();
    }
}
static inline void barrier_init(uint64_t *barrier, uint32_t n_arrivals)
{
    const emu_mbarrier b = {0, (uint8_t)n_arrivals, (uint8_t)n_arrivals, 0, 0};
    memcpy(barrier, &b, sizeof b);
}
static inline void barriers_are_ready() {}
static inline void barrier_arrive(uint64_t *barrier)
{
    emu_mbarrier *b = (emu_mbarrier *)barrier;
    b->pending--;
    emu_mbarrier_look(b);
}
static inline void barrier_expect(uint64_t *barrier, uint32_t n_bytes)
{
    ((emu_mbarrier *)barrier)->n_bytes += (int32_t)n_bytes;
    barrier_arrive(barrier);
}
static inline void barrier_wait(uint64_t *barrier, uint32_t parity, uint32_t *, uint32_t, uint32_t)
{
    while (((emu_mbarrier *)barrier)->phase == parity) {
        emu_poll();
    }
}
static inline void copy_in(void *to, const void *from, uint32_t n_bytes, uint64_t *barrier)
{
    emu_copy_later(to, from, n_bytes, barrier);
}
static inline void named_barrier_sync(uint32_t barrier, uint32_t n_threads)
{
    emu_barrier(barrier, n_threads);
}
static inline void wait_for_count(const uint32_t *counter, uint32_t count, uint32_t *, uint32_t,
                                  uint32_t)
{
    while (*(const volatile uint32_t *)counter < count) {
        emu_poll();
    }
}

#endif
