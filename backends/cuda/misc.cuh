/* SPDX-License-Identifier: MIT */
/* Everything of a step that is neither a product with weights nor attention. */
#ifndef JB_CUDA_MISC_CUH
#define JB_CUDA_MISC_CUH

#include "backends/cuda/device.cuh"
#include "backends/cuda/fragments.cuh"
#include "backends/cuda/ptx.cuh"

/* One block a run of `group` values: a row, or one head of it. */
__device__ inline void norm_body(const jb_cuda_norm &p)
{
    __shared__ float shared[WARP];
    wait_for_previous_kernel();
    const uint64_t first = (uint64_t)blockIdx.x * p.group;
    float mean = 0.0F;
    if (p.is_layernorm) {
        float sum = 0.0F;
        for (uint32_t i = threadIdx.x; i < p.group; i += blockDim.x) {
            sum += p.x[first + i];
        }
        mean = block_sum(sum, shared) / (float)p.group;
    }
    float squares = 0.0F;
    for (uint32_t i = threadIdx.x; i < p.group; i += blockDim.x) {
        const float v = p.x[first + i] - mean;
        squares += v * v;
    }
    const float inverse = 1.0F / sqrtf(block_sum(squares, shared) / (float)p.group + p.eps);
    let_next_kernel_start();
    for (uint32_t i = threadIdx.x; i < p.group; i += blockDim.x) {
        float v = (p.x[first + i] - mean) * inverse * p.weight[i];
        v += p.bias != NULL ? p.bias[i] : 0.0F;
        if (p.y != NULL) {
            p.y[first + i] = v;
        }
        if (p.packed != NULL) {
            pack_value(p.packed, p.packed_plane, p.packed_planes, p.packed_is_bf16 != 0, first + i,
                       v);
        }
    }
}

__device__ inline float elementwise_value(const jb_cuda_elementwise &p, uint64_t i)
{
    const float a = p.a[i];
    switch (p.kind) {
    case JB_CUDA_ADD:
        return a + p.b[i];
    case JB_CUDA_ADD_BIAS:
        return a + p.b[i % p.width];
    case JB_CUDA_SILU_MUL:
        return a / (1.0F + expf(-a)) * p.b[i];
    case JB_CUDA_GELU: /* 0.797... = sqrt(2 / pi) */
        return 0.5F * a * (1.0F + tanhf(0.797884560802865F * (a + 0.044715F * a * a * a)));
    case JB_CUDA_RELU:
        return a < 0.0F ? 0.0F : a;
    default:
        return a;
    }
}

__device__ inline void elementwise_body(const jb_cuda_elementwise &p)
{
    wait_for_previous_kernel();
    const uint64_t stride = (uint64_t)gridDim.x * blockDim.x;
    for (uint64_t i = (uint64_t)blockIdx.x * blockDim.x + threadIdx.x; i < p.n; i += stride) {
        const float v = elementwise_value(p, i);
        if (p.y != NULL) {
            p.y[i] = v;
        }
        if (p.packed != NULL) {
            pack_value(p.packed, p.packed_plane, p.packed_planes, p.packed_is_bf16 != 0, i, v);
        }
    }
}

/* One block a row of the step. */
__device__ inline void embed_body(const jb_cuda_embed &p)
{
    wait_for_previous_kernel();
    const uint32_t row = blockIdx.x;
    const uint64_t which = p.x == NULL ? (uint64_t)p.rows.ids[row] : p.rows.pos[row] + p.offset;
    const uint8_t *w = (const uint8_t *)p.w.data + which * p.w.row_bytes;
    for (uint32_t i = threadIdx.x; i < p.w.cols; i += blockDim.x) {
        const uint64_t at = (uint64_t)row * p.w.cols + i;
        p.y[at] = raw_value(p.w.dtype, w, i) + (p.x != NULL ? p.x[at] : 0.0F);
    }
}

/* One block a row; a thread a pair of one head. */
__device__ inline void rope_body(const jb_cuda_rope &p)
{
    wait_for_previous_kernel();
    const uint32_t n_pairs = p.n_dims / 2, n_heads = p.width / p.group;
    const float position = (float)p.rows.pos[blockIdx.x];
    for (uint32_t i = threadIdx.x; i < n_pairs * n_heads; i += blockDim.x) {
        const uint32_t pair = i % n_pairs, head = i / n_pairs;
        float s, c;
        sincosf(position * p.inv_freq[pair], &s, &c);
        float *h = p.x + (uint64_t)blockIdx.x * p.width + head * p.group;
        const uint32_t first = p.is_halves ? pair : 2 * pair;
        const uint32_t second = p.is_halves ? pair + n_pairs : 2 * pair + 1;
        const float a = h[first], b = h[second];
        h[first] = (a * c - b * s) * p.mscale;
        h[second] = (a * s + b * c) * p.mscale;
    }
}

__device__ inline void store_q8_0(const float *x, uint8_t *row, uint32_t head_dim)
{
    for (uint32_t first = 0; first < head_dim; first += 32) {
        const float v = x[first + threadIdx.x];
        const float largest = warp_max(fabsf(v));
        const float d = largest / 127.0F;
        const float inverse = d > 0.0F ? 1.0F / d : 0.0F;
        uint8_t *block = row + first / 32 * 34;
        block[2 + threadIdx.x] = (uint8_t)(int8_t)roundf(v * inverse);
        if (threadIdx.x == 0) {
            *(__half *)block = __float2half_rn(d); /* blocks are 34 bytes: halves stay aligned */
        }
    }
}

/* One warp a (KV head, row of the step). */
__device__ inline void kv_store_body(const jb_cuda_kv_store &p)
{
    wait_for_previous_kernel();
    const uint32_t head = blockIdx.x, row = blockIdx.y;
    const uint64_t to = ((uint64_t)p.rows.slot[row] * p.n_kv_heads + head) * p.kv.head_stride +
                        (uint64_t)p.rows.pos[row] * p.kv.row_bytes;
    const uint64_t from = ((uint64_t)row * p.n_kv_heads + head) * p.head_dim;
    for (int part = 0; part < 2; part++) {
        const float *x = (part == 0 ? p.k : p.v) + from;
        uint8_t *cache = (part == 0 ? p.kv.k : p.kv.v) + to;
        if (p.kv.dtype == Q8_0) {
            store_q8_0(x, cache, p.head_dim);
            continue;
        }
        for (uint32_t i = threadIdx.x; i < p.head_dim; i += WARP) {
            if (p.kv.dtype == F32) {
                ((float *)cache)[i] = x[i];
            } else {
                ((__half *)cache)[i] = __float2half_rn(x[i]);
            }
        }
    }
}

__device__ inline void select_body(const jb_cuda_select &p)
{
    wait_for_previous_kernel();
    const uint64_t from = (uint64_t)p.rows.outputs[blockIdx.x] * p.width;
    for (uint32_t i = threadIdx.x; i < p.width; i += blockDim.x) {
        p.y[(uint64_t)blockIdx.x * p.width + i] = p.x[from + i];
    }
}

/* The larger value wins, the lower index a tie; a NaN loses to every number. */
__device__ inline bool wins(float a, uint32_t index_a, float b, uint32_t index_b)
{
    if (isnan(a) != isnan(b)) {
        return isnan(b);
    }
    return a > b || (!(b > a) && index_a < index_b);
}

__device__ inline void argmax_body(const jb_cuda_argmax &p)
{
    __shared__ float values[1024];
    __shared__ uint32_t indices[1024];
    wait_for_previous_kernel();
    const float *x = p.x + (uint64_t)blockIdx.x * p.width;
    uint32_t best = threadIdx.x < p.width ? threadIdx.x : 0;
    float value = x[best];
    for (uint32_t i = threadIdx.x + blockDim.x; i < p.width; i += blockDim.x) {
        if (wins(x[i], i, value, best)) {
            value = x[i];
            best = i;
        }
    }
    values[threadIdx.x] = value;
    indices[threadIdx.x] = best;
    for (uint32_t half = blockDim.x / 2; half > 0; half /= 2) {
        __syncthreads();
        if (threadIdx.x < half && wins(values[threadIdx.x + half], indices[threadIdx.x + half],
                                       values[threadIdx.x], indices[threadIdx.x])) {
            values[threadIdx.x] = values[threadIdx.x + half];
            indices[threadIdx.x] = indices[threadIdx.x + half];
        }
    }
    if (threadIdx.x == 0) {
        p.ids[blockIdx.x] = (int32_t)indices[0];
    }
}

/* ---- tiled forms: see matmul.cuh for the order ---- */

/* Column of value v (0..7: two of each A register) of mma h in a 32-column block, for lane part t. */
__device__ inline uint32_t tile_column(uint32_t form, uint32_t t, uint32_t h, uint32_t v)
{
    const uint32_t in_four = (v / 4) * 2 + v % 2; /* registers 0, 1 hold 0, 1; registers 2, 3 hold 2, 3 */
    return form == JB_CUDA_T8S ? 16 * h + 4 * t + in_four : 8 * t + 4 * h + in_four;
}
__device__ inline uint32_t tile_row(uint32_t g, uint32_t v)
{
    return v / 2 % 2 == 0 ? g : g + 8; /* registers 0 and 2: row g */
}

__device__ inline bool is_four_bit(uint32_t form)
{
    return form == JB_CUDA_T4 || form == JB_CUDA_T4M;
}

/* Word `word` of a lane's 16 bytes. Four-bit: one mma a word, value 2r, 2r+1 of register r at
 * nibbles r and r + 4. Eight-bit: registers 0, 1 then 2, 3 of each mma. */
__device__ inline uint32_t tile_word(const jb_cuda_tile &p, uint64_t tile, uint32_t first_column,
                                     uint32_t lane, uint32_t word)
{
    const uint32_t g = lane / 4, t = lane % 4;
    const bool four = is_four_bit(p.w.form);
    uint32_t packed = 0;
    for (uint32_t i = 0; i < (four ? 8U : 4U); i++) {
        const uint32_t v = four ? (i % 4) * 2 + i / 4 : word % 2 * 4 + i;
        const uint32_t block = four ? word / 2 : 0, h = four ? word % 2 : word / 2;
        const uint32_t column = first_column + 32 * block + tile_column(p.w.form, t, h, v);
        const uint8_t *row = p.raw + (tile * 16 + tile_row(g, v)) * p.w.row_bytes;
        const int code = raw_coded(p.w.dtype, row, column).code;
        packed |= four ? (uint32_t)(code + (p.w.form == JB_CUDA_T4 ? 8 : 0)) << (4 * i)
                       : (uint32_t)(uint8_t)code << (8 * i);
    }
    return packed;
}

/* One warp a tile. */
__device__ inline void tile_body(const jb_cuda_tile &p)
{
    const uint32_t chunk = is_four_bit(p.w.form) ? 64 : 32;
    const uint32_t block = p.w.form == JB_CUDA_T8S ? 16 : 32;
    const uint64_t n_chunks = p.w.cols / chunk, at = global_warp();
    if (at >= n_chunks * (p.w.rows / 16)) {
        return;
    }
    const uint32_t lane = threadIdx.x % WARP, n_scales = chunk / block;
    const uint64_t tile = at / n_chunks;
    const uint32_t column = (uint32_t)(at % n_chunks) * chunk;
    uint32_t *data = (uint32_t *)p.w.data + at * 128 + lane * 4;
    for (uint32_t word = 0; word < 4; word++) {
        data[word] = tile_word(p, tile, column, lane, word);
    }
    for (uint32_t i = lane; i < n_scales * 16; i += WARP) {
        const uint32_t which = i / 16, row = i % 16;
        const coded c = raw_coded(p.w.dtype, p.raw + (tile * 16 + row) * p.w.row_bytes,
                                  column + which * block);
        const uint64_t to = (at * n_scales + which) * 16 + row % 8 * 2 + row / 8;
        ((__half *)p.w.scales)[to] = __float2half_rn(c.scale);
        if (p.w.form == JB_CUDA_T4M) {
            ((__half *)p.w.offsets)[to] = __float2half_rn(c.offset);
        }
    }
}

/* One warp a tile: back to row-major half. */
template <bool IS_FOUR>
__device__ inline void untile_chunk(const jb_cuda_untile &p, uint64_t at, uint16_t *staged)
{
    constexpr uint32_t CHUNK = IS_FOUR ? 64 : 32, STRIDE = CHUNK + 8;
    const uint32_t lane = threadIdx.x % WARP, g = lane / 4, t = lane % 4;
    const uint32_t n_scales = p.w.form == JB_CUDA_T8 ? 1 : 2;
    const uint4 q = load_stream((const uint8_t *)p.w.data + at * 512 + lane * 16);
    const uint32_t words[4] = {q.x, q.y, q.z, q.w};
    float2 scale[2], offset[2];
#pragma unroll
    for (uint32_t b = 0; b < 2; b++) {
        const uint64_t pair = ((at * n_scales + (b < n_scales ? b : 0)) * 8 + g) * 4;
        scale[b] = half2_at((const uint8_t *)p.w.scales + pair);
        offset[b] = p.w.form == JB_CUDA_T4M ? half2_at((const uint8_t *)p.w.offsets + pair)
                                            : make_float2(0.0F, 0.0F);
    }
    const int bias = p.w.form == JB_CUDA_T4 ? 8 : 0;
#pragma unroll
    for (uint32_t word = 0; word < 4; word++) {
#pragma unroll
        for (uint32_t i = 0; i < (IS_FOUR ? 8U : 4U); i++) {
            const uint32_t v = IS_FOUR ? (i % 4) * 2 + i / 4 : word % 2 * 4 + i;
            const uint32_t b = word / 2, h = IS_FOUR ? word % 2 : word / 2;
            const uint32_t column = (IS_FOUR ? 32 * b : 0) + tile_column(p.w.form, t, h, v);
            const uint32_t row = tile_row(g, v);
            const int code = IS_FOUR ? (int)(words[word] >> (4 * i) & 15U) - bias
                                     : (int)(int8_t)(words[word] >> (8 * i) & 255U);
            const float value = row < 8 ? scale[b].x * (float)code + offset[b].x
                                        : scale[b].y * (float)code + offset[b].y;
            staged[row * STRIDE + column] = __half_as_ushort(__float2half_rn(value));
        }
    }
    __syncwarp();
    constexpr uint32_t PARTS = CHUNK / 8; /* of 16 bytes, a row */
    const uint64_t n_chunks = p.w.cols / CHUNK;
    const uint64_t to = at / n_chunks * 16 * p.w.cols + at % n_chunks * CHUNK;
#pragma unroll
    for (uint32_t i = lane; i < 16 * PARTS; i += WARP) {
        const uint32_t row = i / PARTS, part = i % PARTS;
        *(uint4 *)((__half *)p.dst + to + (uint64_t)row * p.w.cols + part * 8) =
            *(const uint4 *)(staged + row * STRIDE + part * 8);
    }
}

/* A warp a chunk; by way of shared memory, so that rows are written 64 bytes and more at a time. */
__device__ inline void untile_body(const jb_cuda_untile &p)
{
    __shared__ __align__(16) uint16_t staged[8][16 * 72];
    const bool is_four = is_four_bit(p.w.form);
    const uint64_t at = global_warp();
    if (at >= (uint64_t)p.w.cols / (is_four ? 64 : 32) * (p.w.rows / 16)) {
        return;
    }
    uint16_t *mine = staged[threadIdx.x / WARP];
    if (is_four) {
        untile_chunk<true>(p, at, mine);
    } else {
        untile_chunk<false>(p, at, mine);
    }
}

#endif
