/* SPDX-License-Identifier: MIT */
/* Products of weights with few activation rows (decode, small batches): memory-bound, so weights
 * stream once through tensor cores and everything else hides behind.
 *
 * mma.m16n8k16 takes 16 weight rows, 8 activation rows (columns n of the product) and 16 inputs.
 * Lane = 4 g + t holds inputs 2t, 2t+1, 2t+8, 2t+9 of rows g and g + 8. Any order of the inputs
 * will do as long as weights and activations agree: lane t takes inputs 8t .. 8t+7 of each 32,
 * four for a first mma and four for a second, so that 16 bytes of a row-major row are one load.
 * (T8S, whose scales cover 16 inputs, takes 4t .. 4t+3 of each 16.)
 *
 * A block is WARPS warps over the same ROWS rows; warps and splits share the inputs; sums meet in
 * shared memory, and between splits in `partial`, added in a fixed order by the last to arrive. */
#ifndef JB_CUDA_MATMUL_CUH
#define JB_CUDA_MATMUL_CUH

#include "backends/cuda/device.cuh"
#include "backends/cuda/fragments.cuh"

enum { MATMUL_WARPS = 8, TILE_ROWS = 16 };

/* What a lane loads for one chunk of one 16-row tile. */
template <int FORM> struct fragment {
    uint4 q[form_traits<FORM>::is_tiled ? 1 : 2];
    __half2 scale[form_traits<FORM>::n_scales];
    __half2 offset[FORM == JB_CUDA_T4M ? 2 : 1];
};

template <int FORM>
__device__ inline void load_fragment(fragment<FORM> &f, const jb_cuda_weight &w, uint32_t tile,
                                     uint32_t chunk, uint32_t lane)
{
    using T = form_traits<FORM>;
    const uint32_t g = lane / 4, t = lane % 4;
    if (!T::is_tiled) {
        const uint8_t *base = (const uint8_t *)w.data;
        const uint64_t column = (uint64_t)chunk * 32 + 8 * t;
        const uint64_t row = (uint64_t)tile * TILE_ROWS + g;
        f.q[0] = load_stream(base + (row * w.cols + column) * 2);
        f.q[1] = load_stream(base + ((row + 8) * w.cols + column) * 2);
        return;
    }
    const uint64_t n_chunks = w.cols / T::chunk;
    const uint64_t at = (uint64_t)tile * n_chunks + chunk;
    f.q[0] = load_stream((const uint8_t *)w.data + at * 512 + lane * 16);
    const __half2 *scales = (const __half2 *)w.scales + at * T::n_scales * 8 + g;
#pragma unroll
    for (int i = 0; i < T::n_scales; i++) {
        f.scale[i] = __ldg(scales + i * 8);
        if (FORM == JB_CUDA_T4M) {
            f.offset[i] = __ldg((const __half2 *)w.offsets + (at * T::n_scales + i) * 8 + g);
        }
    }
}

/* x of one chunk for one group of 8 activation rows: 16 bytes a lane and 32 columns. */
template <int CHUNK> struct operand {
    uint4 x[CHUNK / 32];
};

/* @param x (cols,) of the lane's activation row g; NULL = no such row. */
template <int FORM>
__device__ inline void load_operand(operand<form_traits<FORM>::chunk> &o, const uint16_t *x,
                                    uint32_t chunk, uint32_t lane)
{
    constexpr int CHUNK = form_traits<FORM>::chunk;
    const uint32_t t = lane % 4;
#pragma unroll
    for (int i = 0; i < CHUNK / 32; i++) {
        o.x[i] = make_uint4(0, 0, 0, 0);
        if (x == NULL) {
            continue;
        }
        const uint16_t *at = x + (uint64_t)chunk * CHUNK + i * 32;
        if (FORM == JB_CUDA_T8S) {
            /* A scale each 16 columns: the first mma takes the first 16, 4t .. 4t+3 a lane. */
            const uint2 first = *(const uint2 *)(at + 4 * t);
            const uint2 second = *(const uint2 *)(at + 16 + 4 * t);
            o.x[i] = make_uint4(first.x, first.y, second.x, second.y);
        } else {
            o.x[i] = *(const uint4 *)(at + 8 * t);
        }
    }
}

/* Sum of the 8 halves a lane holds of 32 columns, summed over its 4 lanes: sum of x over the
 * block, for row n = g. */
__device__ inline float operand_sum(uint4 v)
{
    const uint32_t words[4] = {v.x, v.y, v.z, v.w};
    float sum = 0.0F;
#pragma unroll
    for (int i = 0; i < 4; i++) {
        const float2 pair = __half22float2(*(const __half2 *)&words[i]);
        sum += pair.x + pair.y;
    }
    sum += __shfl_xor_sync(0xffffffffU, sum, 1);
    return sum + __shfl_xor_sync(0xffffffffU, sum, 2);
}

template <int FORM, bool IS_BF16>
__device__ inline void multiply(float (&c)[4], const fragment<FORM> &f,
                                const operand<form_traits<FORM>::chunk> &o, uint32_t lane)
{
    if (!form_traits<FORM>::is_tiled) {
        const uint4 x = o.x[0];
        mma<IS_BF16>(c, f.q[0].x, f.q[1].x, f.q[0].y, f.q[1].y, x.x, x.y);
        mma<IS_BF16>(c, f.q[0].z, f.q[1].z, f.q[0].w, f.q[1].w, x.z, x.w);
        return;
    }
    const uint32_t words[4] = {f.q[0].x, f.q[0].y, f.q[0].z, f.q[0].w};
    uint32_t a[4];
    if (FORM == JB_CUDA_T4 || FORM == JB_CUDA_T4M) {
        constexpr int bias = FORM == JB_CUDA_T4 ? 8 : 0;
#pragma unroll
        for (int i = 0; i < 2; i++) {
            const uint4 x = o.x[i % (form_traits<FORM>::chunk / 32)];
            float block[4] = {0.0F, 0.0F, 0.0F, 0.0F};
            unpack_nibbles<bias>(words[2 * i], a);
            mma<false>(block, a[0], a[1], a[2], a[3], x.x, x.y);
            unpack_nibbles<bias>(words[2 * i + 1], a);
            mma<false>(block, a[0], a[1], a[2], a[3], x.z, x.w);
            const float2 scale = __half22float2(f.scale[i % form_traits<FORM>::n_scales]);
            c[0] += scale.x * block[0];
            c[1] += scale.x * block[1];
            c[2] += scale.y * block[2];
            c[3] += scale.y * block[3];
            if (FORM == JB_CUDA_T4M) {
                /* This lane's columns are n = 2t and 2t + 1; lane 4n holds column n's sum. */
                const float sum = operand_sum(x);
                const float s0 = __shfl_sync(0xffffffffU, sum, 8 * (lane % 4));
                const float s1 = __shfl_sync(0xffffffffU, sum, 8 * (lane % 4) + 4);
                const float2 offset = __half22float2(f.offset[i]);
                c[0] += offset.x * s0;
                c[1] += offset.x * s1;
                c[2] += offset.y * s0;
                c[3] += offset.y * s1;
            }
        }
        return;
    }
    float block[2][4] = {{0.0F, 0.0F, 0.0F, 0.0F}, {0.0F, 0.0F, 0.0F, 0.0F}};
    constexpr int second = FORM == JB_CUDA_T8S ? 1 : 0; /* two scales a chunk keep two sums */
    unpack_bytes(words[0], words[1], a);
    mma<false>(block[0], a[0], a[1], a[2], a[3], o.x[0].x, o.x[0].y);
    unpack_bytes(words[2], words[3], a);
    mma<false>(block[second], a[0], a[1], a[2], a[3], o.x[0].z, o.x[0].w);
#pragma unroll
    for (int i = 0; i <= second; i++) {
        const float2 scale = __half22float2(f.scale[i % form_traits<FORM>::n_scales]);
        c[0] += scale.x * block[i][0];
        c[1] += scale.x * block[i][1];
        c[2] += scale.y * block[i][2];
        c[3] += scale.y * block[i][3];
    }
}

template <int FORM, int NT> struct stage_operands {
    operand<form_traits<FORM>::chunk> x[NT];
};

/* ROWS row tiles of each of PARTS weights, NT groups of 8 activation rows. */
template <int FORM, bool IS_BF16, int ROWS, int PARTS, int NT>
__device__ inline void accumulate(const jb_cuda_matmul &p, float (&c)[PARTS * ROWS][NT][4])
{
    constexpr int N_FRAGMENTS = PARTS * ROWS;
    constexpr int STAGES = N_FRAGMENTS * (form_traits<FORM>::is_tiled ? 1 : 2) >= 4 ? 2 : 4;
    const uint32_t lane = threadIdx.x % WARP, warp = threadIdx.x / WARP;
    const uint32_t n_chunks = p.w.cols / form_traits<FORM>::chunk;
    const uint32_t stride = MATMUL_WARPS * p.n_splits;
    const uint32_t begin = blockIdx.y * MATMUL_WARPS + warp;
    /* The last block may have fewer tiles than ROWS: it reads one twice, finish() drops the copy. */
    const uint32_t tile = blockIdx.x * ROWS, last_tile = p.w.rows / TILE_ROWS - 1;
    const uint16_t *x[NT];
#pragma unroll
    for (int j = 0; j < NT; j++) {
        const uint32_t column = 8 * j + lane / 4;
        const uint64_t plane = column / p.n;
        x[j] = plane < p.n_planes
                   ? (const uint16_t *)p.x + plane * p.x_plane + (uint64_t)(column % p.n) * p.w.cols
                   : NULL;
    }
    fragment<FORM> f[STAGES][N_FRAGMENTS];
    stage_operands<FORM, NT> o[STAGES];
    const auto load_weights = [&](int s, uint32_t chunk) {
#pragma unroll
        for (int i = 0; i < N_FRAGMENTS; i++) {
            load_fragment<FORM>(f[s][i], i < ROWS ? p.w : p.w2, min(tile + i % ROWS, last_tile),
                                chunk, lane);
        }
    };
    const auto load_operands = [&](int s, uint32_t chunk) {
#pragma unroll
        for (int j = 0; j < NT; j++) {
            load_operand<FORM>(o[s].x[j], x[j], chunk, lane);
        }
    };
#pragma unroll
    for (int s = 0; s < STAGES; s++) {
        if (begin + s * stride < n_chunks) {
            load_weights(s, begin + s * stride);
        }
    }
    wait_for_previous_kernel(); /* weights never change; activations do */
#pragma unroll
    for (int s = 0; s < STAGES; s++) {
        if (begin + s * stride < n_chunks) {
            load_operands(s, begin + s * stride);
        }
    }
    for (uint32_t first = begin; first < n_chunks; first += STAGES * stride) {
#pragma unroll
        for (int s = 0; s < STAGES; s++) {
            const uint32_t chunk = first + s * stride;
            if (chunk >= n_chunks) {
                break;
            }
#pragma unroll
            for (int i = 0; i < N_FRAGMENTS; i++) {
#pragma unroll
                for (int j = 0; j < NT; j++) {
                    multiply<FORM, IS_BF16>(c[i][j], f[s][i], o[s].x[j], lane);
                }
            }
            if (chunk + STAGES * stride < n_chunks) {
                load_weights(s, chunk + STAGES * stride);
                load_operands(s, chunk + STAGES * stride);
            }
        }
    }
}

/* Sums of the block's warps: total (PARTS * ROWS * 16, 8 NT). */
template <int N_FRAGMENTS, int NT>
__device__ inline void sum_warps(float (&c)[N_FRAGMENTS][NT][4], float *total)
{
    __shared__ __align__(16) float part[MATMUL_WARPS][N_FRAGMENTS * TILE_ROWS * 8];
    const uint32_t lane = threadIdx.x % WARP, warp = threadIdx.x / WARP;
    const uint32_t g = lane / 4, t = lane % 4;
#pragma unroll
    for (int j = 0; j < NT; j++) {
        __syncthreads();
#pragma unroll
        for (int i = 0; i < N_FRAGMENTS; i++) {
            float *at = part[warp] + i * TILE_ROWS * 8;
            *(float2 *)(at + g * 8 + 2 * t) = make_float2(c[i][j][0], c[i][j][1]);
            *(float2 *)(at + (g + 8) * 8 + 2 * t) = make_float2(c[i][j][2], c[i][j][3]);
        }
        __syncthreads();
        for (uint32_t i = threadIdx.x; i < N_FRAGMENTS * TILE_ROWS * 8; i += blockDim.x) {
            float sum = 0.0F;
#pragma unroll
            for (int w = 0; w < MATMUL_WARPS; w++) {
                sum += part[w][i];
            }
            total[i / 8 * (8 * NT) + 8 * j + i % 8] = sum;
        }
    }
    __syncthreads();
}

/* Adds up the splits' totals; true in the block that arrived last and holds the sum. */
__device__ inline bool sum_splits(const jb_cuda_matmul &p, float *total, uint32_t n_values)
{
    __shared__ bool is_last;
    const uint64_t stride = (uint64_t)gridDim.x * n_values;
    float *mine = p.partial + blockIdx.y * stride + (uint64_t)blockIdx.x * n_values;
    for (uint32_t i = threadIdx.x; i < n_values; i += blockDim.x) {
        __stcg(mine + i, total[i]);
    }
    __threadfence();
    __syncthreads();
    if (threadIdx.x == 0) {
        is_last = atomicAdd(p.arrived + blockIdx.x, 1U) == p.n_splits - 1;
    }
    __syncthreads();
    if (!is_last) {
        return false;
    }
    __threadfence();
    for (uint32_t i = threadIdx.x; i < n_values; i += blockDim.x) {
        float sum = 0.0F;
        for (uint32_t s = 0; s < p.n_splits; s++) {
            sum += __ldcg(p.partial + s * stride + (uint64_t)blockIdx.x * n_values + i);
        }
        total[i] = sum;
    }
    if (threadIdx.x == 0) {
        p.arrived[blockIdx.x] = 0;
    }
    __syncthreads();
    return true;
}

template <int ROWS, int PARTS, int NT>
__device__ inline void finish(const jb_cuda_matmul &p, const float *total)
{
    constexpr uint32_t n_rows = ROWS * TILE_ROWS, width = 8 * NT;
    for (uint32_t i = threadIdx.x; i < n_rows * p.n; i += blockDim.x) {
        const uint32_t in_block = i % n_rows, column = i / n_rows;
        const uint32_t row = blockIdx.x * n_rows + in_block;
        if (row >= p.w.rows) {
            continue;
        }
        float v = 0.0F, up = 0.0F;
        for (uint32_t plane = 0; plane < p.n_planes; plane++) {
            v += total[in_block * width + plane * p.n + column];
            if (PARTS == 2) {
                up += total[(n_rows + in_block) * width + plane * p.n + column];
            }
        }
        if (p.bias != NULL) {
            v += p.bias[row];
        }
        if (PARTS == 2) {
            v = v / (1.0F + expf(-v)) * up;
        }
        const uint64_t at = (uint64_t)column * p.w.rows + row;
        if (p.residual != NULL) {
            v += p.residual[at];
        }
        if (p.y != NULL) {
            p.y[at] = v;
        }
        if (p.packed != NULL) {
            pack_value(p.packed, p.packed_plane, p.packed_planes, p.packed_is_bf16 != 0, at, v);
        }
    }
}

template <int FORM, bool IS_BF16, int ROWS, int PARTS, int NT>
__device__ inline void few_rows_matmul(const jb_cuda_matmul &p)
{
    __shared__ float total[PARTS * ROWS * TILE_ROWS * 8 * NT];
    float c[PARTS * ROWS][NT][4] = {};
    accumulate<FORM, IS_BF16, ROWS, PARTS, NT>(p, c);
    let_next_kernel_start();
    sum_warps(c, total);
    if (p.n_splits > 1 && !sum_splits(p, total, PARTS * ROWS * TILE_ROWS * 8 * NT)) {
        return;
    }
    finish<ROWS, PARTS, NT>(p, total);
}

/* One warp a weight row, any size and format, float activations; weights are read once for eight
 * activation rows. The truth on the device, and the way for sizes that fit no tile. */
__device__ inline void plain_matmul_body(const jb_cuda_plain_matmul &p)
{
    const uint32_t row = global_warp(), lane = threadIdx.x % WARP;
    wait_for_previous_kernel();
    if (row >= p.w.rows) {
        return;
    }
    const uint8_t *w = (const uint8_t *)p.w.data + (uint64_t)row * p.w.row_bytes;
    for (uint32_t first = 0; first < p.n; first += 8) {
        float sum[8] = {};
        for (uint32_t k = lane; k < p.w.cols; k += WARP) {
            const float value = raw_value(p.w.dtype, w, k);
#pragma unroll
            for (uint32_t j = 0; j < 8; j++) {
                if (first + j < p.n) {
                    sum[j] += value * p.x[(uint64_t)(first + j) * p.w.cols + k];
                }
            }
        }
#pragma unroll
        for (uint32_t j = 0; j < 8; j++) {
            const float v = warp_sum(sum[j]);
            if (lane == 0 && first + j < p.n) {
                p.y[(uint64_t)(first + j) * p.w.rows + row] =
                    v + (p.bias != NULL ? p.bias[row] : 0.0F);
            }
        }
    }
}

#endif
