/* SPDX-License-Identifier: MIT */
/* Attention of few query rows over a long cache: one block a (KV head, query row, split of the
 * positions); its warps take positions in turn, a lane a few dimensions, online softmax per warp.
 * Partial results are (largest score, sum, weighted values); the last split to arrive joins them
 * in order. */
#ifndef JB_CUDA_ATTENTION_CUH
#define JB_CUDA_ATTENTION_CUH

#include "backends/cuda/device.cuh"
#include "backends/cuda/ptx.cuh"

enum { ATTENTION_WARPS = 4, MAX_HEAD_DIM = 256 };

/* VEC consecutive values of a cached row. */
template <int VEC>
__device__ inline void load_cached(uint32_t dtype, const uint8_t *row, uint32_t first,
                                   float (&v)[VEC])
{
    if (VEC > 1 && dtype == F16) {
        const __half2 *p = (const __half2 *)((const __half *)row + first);
#pragma unroll
        for (int i = 0; i < VEC / 2; i++) {
            const float2 pair = __half22float2(p[i]);
            v[2 * i] = pair.x;
            v[2 * i + 1] = pair.y;
        }
    } else {
#pragma unroll
        for (int i = 0; i < VEC; i++) {
            v[i] = raw_value(dtype, row, first + i);
        }
    }
}

struct softmax_part {
    float largest, sum;
};

/* Weights with which two parts join; -inf parts weigh nothing. */
__device__ inline softmax_part join(softmax_part a, softmax_part b, float *weight_a,
                                    float *weight_b)
{
    const float largest = fmaxf(a.largest, b.largest);
    *weight_a = a.sum > 0.0F ? expf(a.largest - largest) : 0.0F;
    *weight_b = b.sum > 0.0F ? expf(b.largest - largest) : 0.0F;
    return {largest, a.sum * *weight_a + b.sum * *weight_b};
}

template <int VEC>
__device__ inline void attend_range(const jb_cuda_attention &p, const uint8_t *k_rows,
                                    const uint8_t *v_rows, const float *q, uint32_t begin,
                                    uint32_t end, softmax_part *ret_part, float (&acc)[VEC])
{
    const uint32_t lane = threadIdx.x % WARP, warp = threadIdx.x / WARP;
    const uint32_t first = lane * VEC;
    const bool has_dims = first < p.head_dim;
    float query[VEC];
#pragma unroll
    for (int i = 0; i < VEC; i++) {
        query[i] = has_dims ? q[first + i] * p.scale : 0.0F;
        acc[i] = 0.0F;
    }
    softmax_part part = {-INFINITY, 0.0F};
    for (uint32_t position = begin + warp; position < end; position += ATTENTION_WARPS) {
        float k[VEC] = {}, v[VEC] = {};
        if (has_dims) {
            load_cached<VEC>(p.kv.dtype, k_rows + (uint64_t)position * p.kv.row_bytes, first, k);
            load_cached<VEC>(p.kv.dtype, v_rows + (uint64_t)position * p.kv.row_bytes, first, v);
        }
        float score = 0.0F;
#pragma unroll
        for (int i = 0; i < VEC; i++) {
            score += query[i] * k[i];
        }
        score = warp_sum(score);
        const float largest = fmaxf(part.largest, score);
        const float keep = part.sum > 0.0F ? expf(part.largest - largest) : 0.0F;
        const float weight = expf(score - largest);
        part = {largest, part.sum * keep + weight};
#pragma unroll
        for (int i = 0; i < VEC; i++) {
            acc[i] = acc[i] * keep + weight * v[i];
        }
    }
    *ret_part = part;
}

/* Joins the warps' parts; warp 0 ends with the block's. */
template <int VEC> __device__ inline void join_warps(softmax_part *part, float (&acc)[VEC])
{
    __shared__ float values[ATTENTION_WARPS][WARP * VEC];
    __shared__ softmax_part parts[ATTENTION_WARPS];
    const uint32_t lane = threadIdx.x % WARP, warp = threadIdx.x / WARP;
    __syncthreads();
#pragma unroll
    for (int i = 0; i < VEC; i++) {
        values[warp][lane * VEC + i] = acc[i];
    }
    if (lane == 0) {
        parts[warp] = *part;
    }
    __syncthreads();
    if (warp != 0) {
        return;
    }
    for (int w = 1; w < ATTENTION_WARPS; w++) {
        float mine, other;
        *part = join(*part, parts[w], &mine, &other);
#pragma unroll
        for (int i = 0; i < VEC; i++) {
            acc[i] = acc[i] * mine + values[w][lane * VEC + i] * other;
        }
    }
}

template <int VEC>
__device__ inline void write_head(const jb_cuda_attention &p, uint32_t row, uint32_t head,
                                  const softmax_part &part, const float (&acc)[VEC])
{
    const uint32_t first = threadIdx.x % WARP * VEC;
    if (threadIdx.x >= WARP || first >= p.head_dim) {
        return;
    }
    const uint64_t at = ((uint64_t)row * p.n_heads + head) * p.head_dim + first;
#pragma unroll
    for (int i = 0; i < VEC; i++) {
        const float v = acc[i] / part.sum;
        if (p.y != NULL) {
            p.y[at + i] = v;
        }
        if (p.packed != NULL) {
            pack_value(p.packed, p.packed_plane, p.packed_planes, p.packed_is_bf16 != 0, at + i, v);
        }
    }
}

/* Leaves this split's part, and in the block that arrives last joins all of one head's. */
template <int VEC>
__device__ inline void leave_part(const jb_cuda_attention &p, uint32_t row, uint32_t head,
                                  const softmax_part &part, const float (&acc)[VEC])
{
    const uint32_t lane = threadIdx.x % WARP;
    if (threadIdx.x >= WARP) {
        return;
    }
    float *mine = p.partial + (((uint64_t)row * p.n_heads + head) * p.n_splits + blockIdx.z) *
                                  (p.head_dim + 2);
    if (lane == 0) {
        __stcg(mine, part.largest);
        __stcg(mine + 1, part.sum);
    }
#pragma unroll
    for (int i = 0; i < VEC; i++) {
        if (lane * VEC + i < p.head_dim) {
            __stcg(mine + 2 + lane * VEC + i, acc[i]);
        }
    }
}

template <int VEC>
__device__ inline void join_splits(const jb_cuda_attention &p, uint32_t row, uint32_t head)
{
    const uint32_t lane = threadIdx.x % WARP;
    float acc[VEC] = {};
    softmax_part part = {-INFINITY, 0.0F};
    for (uint32_t s = 0; s < p.n_splits; s++) {
        const float *other = p.partial + (((uint64_t)row * p.n_heads + head) * p.n_splits + s) *
                                             (p.head_dim + 2);
        float a, b;
        part = join(part, {__ldcg(other), __ldcg(other + 1)}, &a, &b);
#pragma unroll
        for (int i = 0; i < VEC; i++) {
            const uint32_t dim = lane * VEC + i;
            acc[i] = acc[i] * a + (dim < p.head_dim ? __ldcg(other + 2 + dim) * b : 0.0F);
        }
    }
    write_head<VEC>(p, row, head, part, acc);
}

template <int VEC> __device__ inline void attention_body(const jb_cuda_attention &p)
{
    __shared__ bool is_last;
    const uint32_t kv_head = blockIdx.x, row = blockIdx.y, split = blockIdx.z;
    const uint32_t n_sharing = p.n_heads / p.n_kv_heads;
    wait_for_previous_kernel();
    const uint32_t n_positions = p.rows.pos[row] + 1;
    const uint32_t share = (n_positions + p.n_splits - 1) / p.n_splits;
    const uint32_t begin = min(split * share, n_positions);
    const uint32_t end = min(begin + share, n_positions);
    const uint64_t at = ((uint64_t)p.rows.slot[row] * p.n_kv_heads + kv_head) * p.kv.head_stride;
    for (uint32_t i = 0; i < n_sharing; i++) {
        const uint32_t head = kv_head * n_sharing + i;
        const float *q = p.q + ((uint64_t)row * p.n_heads + head) * p.head_dim;
        softmax_part part;
        float acc[VEC];
        attend_range<VEC>(p, p.kv.k + at, p.kv.v + at, q, begin, end, &part, acc);
        join_warps<VEC>(&part, acc);
        if (p.n_splits == 1) {
            write_head<VEC>(p, row, head, part, acc);
        } else {
            leave_part<VEC>(p, row, head, part, acc);
        }
    }
    let_next_kernel_start();
    if (p.n_splits == 1) {
        return;
    }
    __threadfence();
    __syncthreads();
    uint32_t *arrived = p.arrived + row * p.n_kv_heads + kv_head;
    if (threadIdx.x == 0) {
        is_last = atomicAdd(arrived, 1U) == p.n_splits - 1;
    }
    __syncthreads();
    if (!is_last || threadIdx.x >= WARP) {
        return;
    }
    __threadfence();
    for (uint32_t i = 0; i < n_sharing; i++) {
        join_splits<VEC>(p, row, kv_head * n_sharing + i);
    }
    if (threadIdx.x == 0) {
        *arrived = 0;
    }
}

#endif
