/* SPDX-License-Identifier: MIT */
/* Attention of many query rows (prefill): a block takes 64 rows of one sequence and one head,
 * a warp 16 of them; keys and values come in tiles of 64 positions, the next one while this one is
 * worked on. Scores and weighted values go through tensor cores with queries and weights rounded
 * to half; sums and softmax are float32. Cache in F16, heads of 64 or 128 values. */
#ifndef JB_CUDA_FLASH_CUH
#define JB_CUDA_FLASH_CUH

#include "backends/cuda/device.cuh"
#include "backends/cuda/fragments.cuh"
#include "backends/cuda/ptx.cuh"

enum { FLASH_WARPS = 4, FLASH_ROWS = 64, FLASH_KEYS = 64 };

/* Bytes from row to row in shared memory, so that what a quarter of a warp reads at once lies in
 * different banks: 64 bytes of two rows for K, 16 of eight for V. */
template <int DIM> struct flash_traits {
    static constexpr uint32_t k_stride = DIM * 2 + 64, v_stride = DIM * 2 + 16;
    static constexpr uint32_t stage = FLASH_KEYS * (k_stride + v_stride);
    static constexpr int n_32 = DIM / 32; /* runs of 32 dimensions */
    static constexpr int n_8 = DIM / 8;   /* columns of 8 dimensions */
};

template <int DIM>
__device__ inline void flash_fetch(const jb_cuda_flash &p, uint8_t *stage, uint64_t from,
                                   uint32_t first, uint32_t n_positions)
{
    using T = flash_traits<DIM>;
    constexpr uint32_t pieces = DIM / 8; /* 16 bytes each */
    for (uint32_t i = threadIdx.x; i < FLASH_KEYS * pieces; i += FLASH_WARPS * WARP) {
        const uint32_t row = i / pieces, at = i % pieces * 16;
        /* Rows past the end repeat the last: their weights are zero, but must not be NaN. */
        const uint64_t position = min(first + row, n_positions - 1);
        const uint64_t source = from + position * (DIM * 2) + at;
        copy_16(stage + row * T::k_stride + at, p.kv.k + source);
        copy_16(stage + FLASH_KEYS * T::k_stride + row * T::v_stride + at, p.kv.v + source);
    }
    copies_end_group();
}

/* Queries of rows g and g + 8, in the order in which K is read: lane part t takes dimensions
 * 8t .. 8t + 7 of each 32. In units of log2(e), so that softmax is in powers of two. */
template <int DIM>
__device__ inline void flash_queries(const jb_cuda_flash &p, uint32_t row, uint32_t last,
                                     uint32_t head, uint32_t (&q)[flash_traits<DIM>::n_32][8])
{
    const uint32_t g = threadIdx.x % WARP / 4, t = threadIdx.x % 4;
    const float scale = p.scale * 1.4426950408889634F;
#pragma unroll
    for (int i = 0; i < flash_traits<DIM>::n_32; i++) {
#pragma unroll
        for (int half = 0; half < 2; half++) {
            const uint64_t r = min(row + g + 8 * half, last);
            const float *from = p.q + (r * p.n_heads + head) * DIM + i * 32 + t * 8;
            const float4 a = *(const float4 *)from, b = *(const float4 *)(from + 4);
            q[i][half] = pack_halves(a.x * scale, a.y * scale);
            q[i][2 + half] = pack_halves(a.z * scale, a.w * scale);
            q[i][4 + half] = pack_halves(b.x * scale, b.y * scale);
            q[i][6 + half] = pack_halves(b.z * scale, b.w * scale);
        }
    }
}

template <int DIM>
__device__ inline void flash_scores(const uint8_t *k,
                                    const uint32_t (&q)[flash_traits<DIM>::n_32][8],
                                    float (&s)[FLASH_KEYS / 8][4])
{
    const uint32_t g = threadIdx.x % WARP / 4, t = threadIdx.x % 4;
#pragma unroll
    for (int j = 0; j < FLASH_KEYS / 8; j++) {
        s[j][0] = s[j][1] = s[j][2] = s[j][3] = 0.0F;
#pragma unroll
        for (int i = 0; i < flash_traits<DIM>::n_32; i++) {
            const uint4 b =
                *(const uint4 *)(k + (8 * j + g) * flash_traits<DIM>::k_stride + i * 64 + t * 16);
            mma<false>(s[j], q[i][0], q[i][1], q[i][2], q[i][3], b.x, b.y);
            mma<false>(s[j], q[i][4], q[i][5], q[i][6], q[i][7], b.z, b.w);
        }
    }
}

struct flash_state {
    float largest[2], sum[2]; /* of rows g and g + 8 */
};

/* Scores to weights; what was summed before shrinks by keep. */
__device__ inline void flash_softmax(float (&s)[FLASH_KEYS / 8][4], flash_state &state,
                                     float (&keep)[2])
{
#pragma unroll
    for (int half = 0; half < 2; half++) {
        float largest = state.largest[half];
#pragma unroll
        for (int j = 0; j < FLASH_KEYS / 8; j++) {
            largest = fmaxf(largest, fmaxf(s[j][2 * half], s[j][2 * half + 1]));
        }
        largest = fmaxf(largest, __shfl_xor_sync(0xffffffffU, largest, 1));
        largest = fmaxf(largest, __shfl_xor_sync(0xffffffffU, largest, 2));
        keep[half] = exp2f(state.largest[half] - largest);
        float sum = 0.0F;
#pragma unroll
        for (int j = 0; j < FLASH_KEYS / 8; j++) {
            s[j][2 * half] = exp2f(s[j][2 * half] - largest);
            s[j][2 * half + 1] = exp2f(s[j][2 * half + 1] - largest);
            sum += s[j][2 * half] + s[j][2 * half + 1];
        }
        state.largest[half] = largest;
        state.sum[half] = state.sum[half] * keep[half] + sum;
    }
}

template <int DIM>
__device__ inline void flash_values(const uint8_t *v, const float (&s)[FLASH_KEYS / 8][4],
                                    float (&o)[flash_traits<DIM>::n_8][4])
{
    const uint32_t lane = threadIdx.x % WARP;
    const uint8_t *at = v + lane % 16 * flash_traits<DIM>::v_stride + lane / 16 * 16;
#pragma unroll
    for (int k = 0; k < FLASH_KEYS / 16; k++) {
        const uint32_t a0 = pack_halves(s[2 * k][0], s[2 * k][1]);
        const uint32_t a1 = pack_halves(s[2 * k][2], s[2 * k][3]);
        const uint32_t a2 = pack_halves(s[2 * k + 1][0], s[2 * k + 1][1]);
        const uint32_t a3 = pack_halves(s[2 * k + 1][2], s[2 * k + 1][3]);
#pragma unroll
        for (int j = 0; j < flash_traits<DIM>::n_8; j += 2) {
            uint32_t b[4];
            load_transposed(b, at + k * 16 * flash_traits<DIM>::v_stride + j * 16);
            mma<false>(o[j], a0, a1, a2, a3, b[0], b[1]);
            mma<false>(o[j + 1], a0, a1, a2, a3, b[2], b[3]);
        }
    }
}

template <int DIM>
__device__ inline void flash_write(const jb_cuda_flash &p, uint32_t row, uint32_t end, uint32_t head,
                                   flash_state &state, const float (&o)[flash_traits<DIM>::n_8][4])
{
    const uint32_t g = threadIdx.x % WARP / 4, t = threadIdx.x % 4;
#pragma unroll
    for (int half = 0; half < 2; half++) {
        float sum = state.sum[half];
        sum += __shfl_xor_sync(0xffffffffU, sum, 1);
        sum += __shfl_xor_sync(0xffffffffU, sum, 2);
        const float inverse = 1.0F / sum;
        const uint32_t r = row + g + 8 * half;
        if (r >= end) {
            continue;
        }
        const uint64_t at = ((uint64_t)r * p.n_heads + head) * DIM + 2 * t;
#pragma unroll
        for (int j = 0; j < flash_traits<DIM>::n_8; j++) {
            const float a = o[j][2 * half] * inverse, b = o[j][2 * half + 1] * inverse;
            if (p.y != NULL) {
                *(float2 *)(p.y + at + 8 * j) = make_float2(a, b);
            }
            if (p.packed != NULL) {
                pack_pair(p.packed, p.packed_plane, p.packed_planes, p.packed_is_bf16 != 0,
                          at + 8 * j, a, b);
            }
        }
    }
}

template <int DIM> __device__ inline void flash_body(const jb_cuda_flash &p, uint8_t *memory)
{
    using T = flash_traits<DIM>;
    wait_for_previous_kernel();
    const uint32_t head = blockIdx.x, warp = threadIdx.x / WARP, t = threadIdx.x % 4;
    const uint32_t g = threadIdx.x % WARP / 4;
    /* The longest rows first. */
    const jb_cuda_row_tile tile = p.tiles[gridDim.y - 1 - blockIdx.y];
    const uint32_t end = tile.first + tile.n_rows, row = tile.first + warp * 16;
    const uint32_t position = p.rows.pos[tile.first], n_positions = position + tile.n_rows;
    const uint32_t kv_head = head / (p.n_heads / p.n_kv_heads);
    const uint64_t from =
        ((uint64_t)p.rows.slot[tile.first] * p.n_kv_heads + kv_head) * p.kv.head_stride;
    uint32_t q[T::n_32][8];
    float o[T::n_8][4] = {};
    flash_state state = {{-INFINITY, -INFINITY}, {0.0F, 0.0F}};
    flash_fetch<DIM>(p, memory, from, 0, n_positions);
    flash_queries<DIM>(p, row, end - 1, head, q);
    const uint32_t n_tiles = (n_positions + FLASH_KEYS - 1) / FLASH_KEYS;
    for (uint32_t i = 0; i < n_tiles; i++) {
        uint8_t *stage = memory + i % 2 * T::stage;
        if (i + 1 < n_tiles) {
            flash_fetch<DIM>(p, memory + (i + 1) % 2 * T::stage, from, (i + 1) * FLASH_KEYS,
                             n_positions);
            copies_wait<1>();
        } else {
            copies_wait<0>();
        }
        __syncthreads();
        float s[FLASH_KEYS / 8][4], keep[2];
        flash_scores<DIM>(stage, q, s);
        if ((i + 1) * FLASH_KEYS > position + warp * 16) {
#pragma unroll
            for (int j = 0; j < FLASH_KEYS / 8; j++) {
#pragma unroll
                for (int c = 0; c < 4; c++) {
                    const uint32_t key = i * FLASH_KEYS + 8 * j + 2 * t + c % 2;
                    const uint32_t mine = position + warp * 16 + g + c / 2 * 8;
                    s[j][c] = key > mine ? -INFINITY : s[j][c];
                }
            }
        }
        flash_softmax(s, state, keep);
#pragma unroll
        for (int j = 0; j < T::n_8; j++) {
            o[j][0] *= keep[0];
            o[j][1] *= keep[0];
            o[j][2] *= keep[1];
            o[j][3] *= keep[1];
        }
        flash_values<DIM>(stage + FLASH_KEYS * T::k_stride, s, o);
        __syncthreads(); /* the stage is free for the tile after next */
    }
    flash_write<DIM>(p, row, end, head, state, o);
}

#endif
