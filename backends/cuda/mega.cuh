/* SPDX-License-Identifier: MIT */
/* The decode step as one launch; mega.h says what it is. Needs compute capability 9.0. */
#ifndef JB_CUDA_MEGA_CUH
#define JB_CUDA_MEGA_CUH

#include "backends/cuda/attention.cuh"
#include "backends/cuda/device.cuh"
#include "backends/cuda/fragments.cuh"
#include "backends/cuda/mega.h"
#include "backends/cuda/ptx.cuh"

enum { MEGA_GROUP = 1 }; /* number of the computing warps' barrier */

/* What a stuck block waited for, in fault[0]. */
enum mega_wait { WAIT_FULL = 1, WAIT_EMPTY = 2, WAIT_GRID = 3 };

template <int WARPS> struct mega_shared {
    uint64_t full[JB_MEGA_MAX_SLOTS], empty[JB_MEGA_MAX_SLOTS];
    uint64_t part_full[JB_MEGA_FINISHERS], part_empty[JB_MEGA_FINISHERS];
    uint64_t phase[3 + JB_MEGA_FINISHERS][40]; /* of the computing warps, by turns; of the others */
    float sums[WARPS];
};
static_assert(sizeof(jb_mega_phase) <= 40 * 8 && sizeof(jb_mega_phase) % 8 == 0, "");
static_assert(sizeof(mega_shared<16>) <= JB_MEGA_FIXED_BYTES, "");

/* Position in the ring: slot number and which time round. */
struct ring_place {
    uint32_t slot, round;
    __device__ void advance(uint32_t n_slots)
    {
        slot++;
        if (slot == n_slots) {
            slot = 0;
            round++;
        }
    }
};

/* ---- the list of units and slices, alike for both sides ---- */

__device__ inline uint32_t mega_chunk(uint32_t form)
{
    return form == JB_CUDA_T4 || form == JB_CUDA_T4M ? 64 : 32;
}

struct mega_share {
    uint32_t first, stride; /* units */
    uint32_t segment, begin, end; /* columns */
};

__device__ inline mega_share share_of(const jb_mega_phase &phase)
{
    mega_share s;
    s.segment = blockIdx.x % phase.n_segments;
    s.stride = gridDim.x / phase.n_segments;
    const uint32_t member = blockIdx.x / phase.n_segments;
    s.first = (member + s.stride - phase.rotation % s.stride) % s.stride;
    const uint32_t n64 = phase.cols / 64;
    s.begin = n64 * s.segment / phase.n_segments * 64;
    s.end = n64 * (s.segment + 1) / phase.n_segments * 64;
    return s;
}

/* The weight and its row tile that a unit is; a pair's two weights share the tile. */
__device__ inline uint32_t weight_of(const jb_mega_phase &phase, uint32_t unit, uint32_t *ret_tile)
{
    uint32_t which = 0;
    if (!phase.is_pair) {
        while (unit >= phase.w[which].rows / 16) {
            unit -= phase.w[which].rows / 16;
            which++;
        }
    }
    *ret_tile = unit;
    return which;
}

/* One head of one sequence, positions [begin, end) of those in the cache. */
struct mega_piece {
    uint32_t row, head, split, begin, end, position;
};

__device__ inline mega_piece piece_of(const jb_mega &p, uint32_t unit)
{
    mega_piece a;
    a.split = unit % p.n_splits;
    a.head = unit / p.n_splits % p.n_heads;
    a.row = unit / (p.n_splits * p.n_heads);
    a.position = p.rows.pos[a.row];
    const uint32_t share = (a.position + p.n_splits - 1) / p.n_splits;
    a.begin = min(a.split * share, a.position);
    a.end = min(a.begin + share, a.position);
    return a;
}

/* ---- producer ---- */

struct mega_producer {
    uint8_t *ring;
    uint64_t *full, *empty;
    ring_place at;
    uint32_t phase;
};

/* Waits for a free slot and says how many bytes will come. @return the slot */
__device__ inline uint8_t *take_slot(const jb_mega &p, mega_producer &m, uint32_t n_bytes)
{
    if (threadIdx.x % WARP == 0) {
        if (m.at.round > 0) {
            barrier_wait(&m.empty[m.at.slot], (m.at.round - 1) & 1, p.fault, WAIT_EMPTY, m.phase);
        }
        barrier_expect(&m.full[m.at.slot], n_bytes);
    }
    __syncwarp();
    return m.ring + (uint64_t)m.at.slot * JB_MEGA_SLOT_BYTES;
}

__device__ inline void produce_tiled(const jb_mega &p, mega_producer &m, const jb_mega_weight &w,
                                     uint64_t row_start, uint32_t begin, uint32_t end)
{
    const uint32_t n_scales = w.form == JB_CUDA_T8 ? 32 : 64; /* bytes a chunk */
    const uint32_t n_offsets = w.form == JB_CUDA_T4M ? 64 : 0;
    for (uint32_t c = begin; c < end; c += JB_MEGA_TILED_CHUNKS) {
        const uint32_t n = min(JB_MEGA_TILED_CHUNKS, end - c);
        uint8_t *slot = take_slot(p, m, n * (512 + n_scales + n_offsets));
        uint64_t *full = &m.full[m.at.slot];
        const uint32_t lane = threadIdx.x % WARP;
        const uint64_t at = row_start + c;
        if (lane == 0) {
            copy_in(slot, (const uint8_t *)w.data + at * 512, n * 512, full);
        } else if (lane == 1) {
            copy_in(slot + JB_MEGA_SCALES_AT, (const uint8_t *)w.scales + at * n_scales,
                    n * n_scales, full);
        } else if (lane == 2 && n_offsets > 0) {
            copy_in(slot + JB_MEGA_OFFSETS_AT, (const uint8_t *)w.offsets + at * 64, n * 64, full);
        }
        m.at.advance(p.n_slots);
    }
}

__device__ inline void produce_plain(const jb_mega &p, mega_producer &m, const jb_mega_weight &w,
                                     uint32_t tile, uint32_t cols, uint32_t begin, uint32_t end)
{
    for (uint32_t c = begin; c < end; c += JB_MEGA_PLAIN_CHUNKS) {
        const uint32_t n = min(JB_MEGA_PLAIN_CHUNKS, end - c);
        uint8_t *slot = take_slot(p, m, n * 1024);
        const uint32_t lane = threadIdx.x % WARP;
        if (lane < 16) {
            const uint64_t value = ((uint64_t)tile * 16 + lane) * cols + (uint64_t)c * 32;
            copy_in(slot + lane * JB_MEGA_PLAIN_STRIDE, (const uint8_t *)w.data + value * 2, n * 64,
                    &m.full[m.at.slot]);
        }
        m.at.advance(p.n_slots);
    }
}

__device__ inline void produce_products(const jb_mega &p, mega_producer &m,
                                        const jb_mega_phase &phase)
{
    const mega_share s = share_of(phase);
    for (uint32_t unit = s.first; unit < phase.n_units; unit += s.stride) {
        uint32_t tile = 0;
        const uint32_t first = weight_of(phase, unit, &tile);
        for (uint32_t i = first; i <= first + phase.is_pair; i++) {
            const jb_mega_weight &w = phase.w[i];
            const uint32_t chunk = mega_chunk(w.form);
            if (w.form < JB_CUDA_T4) {
                produce_plain(p, m, w, tile, phase.cols, s.begin / 32, s.end / 32);
            } else {
                produce_tiled(p, m, w, (uint64_t)tile * (phase.cols / chunk), s.begin / chunk,
                              s.end / chunk);
            }
        }
    }
}

__device__ inline void produce_cache(const jb_mega &p, mega_producer &m, const jb_mega_phase &phase)
{
    const uint32_t row_bytes = p.head_dim * 2, a_slot = JB_MEGA_V_AT / row_bytes;
    const mega_share s = share_of(phase);
    for (uint32_t unit = s.first; unit < phase.n_units; unit += s.stride) {
        const mega_piece a = piece_of(p, unit);
        const uint32_t kv_head = a.head / (p.n_heads / p.n_kv_heads);
        const uint64_t from =
            ((uint64_t)p.rows.slot[a.row] * p.n_kv_heads + kv_head) * p.head_stride;
        for (uint32_t i = a.begin; i < a.end; i += a_slot) {
            const uint32_t n_bytes = min(a_slot, a.end - i) * row_bytes;
            uint8_t *slot = take_slot(p, m, 2 * n_bytes);
            const uint32_t lane = threadIdx.x % WARP;
            if (lane < 2) {
                const uint8_t *cache = (lane == 0 ? phase.cache_k : phase.cache_v) + from;
                copy_in(slot + lane * JB_MEGA_V_AT, cache + (uint64_t)i * row_bytes, n_bytes,
                        &m.full[m.at.slot]);
            }
            m.at.advance(p.n_slots);
        }
    }
}

__device__ inline void produce(const jb_mega &p, mega_producer &m, uint64_t *words)
{
    const uint32_t lane = threadIdx.x % WARP;
    constexpr uint32_t N = JB_MEGA_PHASE_WORDS;
    uint64_t next[2] = {0, 0}; /* the phase after this one, asked for early */
    const auto ask = [&](uint32_t phase) {
        const uint64_t *from = (const uint64_t *)(p.phases + phase);
        next[0] = lane < N ? __ldg((const unsigned long long *)from + lane) : 0;
        next[1] = lane + WARP < N ? __ldg((const unsigned long long *)from + lane + WARP) : 0;
    };
    ask(0);
    for (m.phase = 0; m.phase < p.n_phases; m.phase++) {
        __syncwarp();
        if (lane < N) {
            words[lane] = next[0];
        }
        if (lane + WARP < N) {
            words[lane + WARP] = next[1];
        }
        __syncwarp();
        if (m.phase + 1 < p.n_phases) {
            ask(m.phase + 1);
        }
        const jb_mega_phase &phase = *(const jb_mega_phase *)words;
        if (phase.source == JB_MEGA_NORM && blockIdx.x == m.phase % gridDim.x) {
            for (uint32_t i = lane * 32; i < phase.cols; i += WARP * 32) {
                prefetch_for_all(phase.norm + i);
            }
        }
        if (phase.kind == JB_MEGA_ATTENTION) {
            produce_cache(p, m, phase);
        } else {
            produce_products(p, m, phase);
        }
    }
}

/* ---- computing warps: the input ---- */

template <int WARPS, int NT> struct mega_consumer {
    const uint8_t *ring;
    uint64_t *full, *empty, *part_full, *part_empty;
    float *part;  /* [2][pair][warp][16 rows][8 NT], and heads of attention */
    float *block_sums; /* [32 columns][8 NT] of the packed activations, see multiply_tile */
    uint8_t *x;   /* [column][segment's inputs] half or bfloat16, x_stride bytes apart */
    float *norm_sums;
    const float2 *turns; /* (n, rope_dims / 2) cosine and sine, times mscale */
    ring_place at;
    uint32_t x_stride, phase, buffer; /* buffer: attention's half of `part` */
    uint32_t n_left;                  /* units left to the finishers        */
};

template <int WARPS> __device__ inline void group_sync()
{
    named_barrier_sync(MEGA_GROUP, WARPS * WARP);
}

/* Four inputs of one row, packed into shared memory in all planes; and what 32 of them sum to, as
 * packed. Whole warps call it. */
template <bool IS_BF16, int WARPS, int NT>
__device__ inline void put_quad(mega_consumer<WARPS, NT> &m, const jb_mega &p, uint32_t n_planes,
                                bool is_there, uint32_t row, uint32_t k, float4 v)
{
    for (uint32_t column = row; column < n_planes * p.n; column += p.n) {
        const uint2 words = IS_BF16 ? make_uint2(pack_bf16s(v.x, v.y), pack_bf16s(v.z, v.w))
                                    : make_uint2(pack_halves(v.x, v.y), pack_halves(v.z, v.w));
        if (is_there) {
            *(uint2 *)(m.x + (uint64_t)column * m.x_stride + (uint64_t)k * 2) = words;
        }
        const float2 a = IS_BF16 ? bf16s_of(words.x) : half2_of(words.x);
        const float2 b = IS_BF16 ? bf16s_of(words.y) : half2_of(words.y);
        if (!IS_BF16) {
            float sum = (a.x + a.y) + (b.x + b.y);
            sum += __shfl_xor_sync(0xffffffffU, sum, 1);
            sum += __shfl_xor_sync(0xffffffffU, sum, 2);
            sum += __shfl_xor_sync(0xffffffffU, sum, 4);
            if (is_there && threadIdx.x % 8 == 0) {
                m.block_sums[(k / 32) * (8 * NT) + column] = sum;
            }
        }
        v = make_float4(v.x - a.x, v.y - a.y, v.z - b.x, v.w - b.y); /* for the next plane */
    }
}

/* Attention's result: parts of the splits weighed by what they lack to the largest score; four
 * splits are asked for at once. */
__device__ inline float4 joined_quad(const jb_mega &p, uint32_t row, uint32_t k)
{
    const uint32_t head = k / p.head_dim, dim = k % p.head_dim;
    const uint32_t stride = p.head_dim + JB_MEGA_PART_HEAD;
    const float *part = p.parts + ((uint64_t)row * p.n_heads + head) * p.n_splits * stride;
    float largest = -INFINITY, total = 0.0F;
    float4 v = make_float4(0.0F, 0.0F, 0.0F, 0.0F);
    for (uint32_t first = 0; first < p.n_splits; first += 4) {
        float4 heads[4], values[4];
#pragma unroll
        for (uint32_t i = 0; i < 4; i++) {
            heads[i] = make_float4(-INFINITY, 0.0F, 0.0F, 0.0F);
            values[i] = make_float4(0.0F, 0.0F, 0.0F, 0.0F);
            if (first + i < p.n_splits) {
                const float *from = part + (first + i) * stride;
                heads[i] = load_shared_by_all(from);
                values[i] = load_shared_by_all(from + JB_MEGA_PART_HEAD + dim);
            }
        }
        float now = largest;
#pragma unroll
        for (uint32_t i = 0; i < 4; i++) {
            now = fmaxf(now, heads[i].x);
        }
        const float keep = total > 0.0F ? expf(largest - now) : 0.0F;
        largest = now;
        total *= keep;
        v = make_float4(v.x * keep, v.y * keep, v.z * keep, v.w * keep);
#pragma unroll
        for (uint32_t i = 0; i < 4; i++) {
            const float weight = heads[i].y > 0.0F ? expf(heads[i].x - now) : 0.0F;
            total += heads[i].y * weight;
            v.x += values[i].x * weight;
            v.y += values[i].y * weight;
            v.z += values[i].z * weight;
            v.w += values[i].w * weight;
        }
    }
    const float inverse = 1.0F / total;
    return make_float4(v.x * inverse, v.y * inverse, v.z * inverse, v.w * inverse);
}

/* Which quads of a row a lane has: first, first + stride ...; a row has as many warps as there are. */
struct mega_rows {
    uint32_t row_warps, first, stride;
};

/* A lane's next quads, all asked for before the first is used. */
template <uint32_t SOURCE, int BATCH>
__device__ inline void load_quads(const jb_mega &p, const jb_mega_phase &phase, uint32_t row,
                                  uint32_t at, uint32_t end, uint32_t stride, float4 (&v)[BATCH])
{
    const float *x = phase.x + (uint64_t)row * phase.cols;
#pragma unroll
    for (int i = 0; i < BATCH; i++) {
        v[i] = make_float4(0.0F, 0.0F, 0.0F, 0.0F);
        if (at + i * stride < end) {
            v[i] = SOURCE == JB_MEGA_JOIN ? joined_quad(p, row, (at + i * stride) * 4)
                                          : load_shared_by_all(x + (at + i * stride) * 4);
        }
    }
}

template <bool IS_BF16, int WARPS, int NT, int BATCH>
__device__ inline void put_quads(mega_consumer<WARPS, NT> &m, const jb_mega &p,
                                 const jb_mega_phase &phase, const mega_share &s, bool is_row,
                                 uint32_t row, uint32_t base, const mega_rows &rows,
                                 const float *norm, float inverse, const float4 (&v)[BATCH])
{
    const uint32_t begin = s.begin / 4, end = s.end / 4, n_planes = phase.n_planes;
#pragma unroll
    for (int i = 0; i < BATCH; i++) {
        if (base + i * rows.stride >= end) { /* the same for the whole warp */
            break;
        }
        const uint32_t q = base + i * rows.stride + rows.first;
        const bool is_there = is_row && q >= begin && q < end;
        float4 x = v[i];
        if (norm != NULL && is_there) {
            const float4 w = __ldg((const float4 *)norm + q);
            x = make_float4(x.x * inverse * w.x, x.y * inverse * w.y, x.z * inverse * w.z,
                            x.w * inverse * w.w);
        }
        put_quad<IS_BF16>(m, p, n_planes, is_there, row, q * 4 - s.begin, x);
    }
}

/* Sum of the squares over all warps of a row. */
template <int WARPS, int NT>
__device__ inline float row_sum(mega_consumer<WARPS, NT> &m, uint32_t row_warps, float v)
{
    const uint32_t warp = threadIdx.x / WARP;
    v = warp_sum(v);
    if (row_warps == 1) {
        return v;
    }
    if (threadIdx.x % WARP == 0) {
        m.norm_sums[warp] = v;
    }
    group_sync<WARPS>();
    v = 0.0F;
    for (uint32_t i = 0; i < row_warps; i++) {
        v += m.norm_sums[warp / row_warps * row_warps + i];
    }
    return v;
}

/* The phase's inputs, packed. A normed row is read once if its warps' registers hold it. */
template <uint32_t SOURCE, int BATCH, int WARPS, int NT>
__device__ inline void take_rows(mega_consumer<WARPS, NT> &m, const jb_mega &p,
                                 const jb_mega_phase &phase, const mega_share &s)
{
    constexpr bool IS_NORM = SOURCE == JB_MEGA_NORM;
    const uint32_t warp = threadIdx.x / WARP, lane = threadIdx.x % WARP;
    uint32_t row_warps = WARPS;
    while (row_warps > 1 && row_warps * p.n > WARPS) {
        row_warps /= 2;
    }
    const mega_rows rows = {row_warps, warp % row_warps * WARP + lane, row_warps * WARP};
    const uint32_t begin = s.begin / 4, end = s.end / 4, quads = phase.cols / 4;
    const bool is_held = IS_NORM && quads <= BATCH * rows.stride;
    const float *norm = IS_NORM ? phase.norm : NULL;
    /* More than one round only where a row has one warp: then nobody waits for others within. */
    for (uint32_t start = 0; start < p.n; start += WARPS / row_warps) {
        const uint32_t wanted = start + warp / row_warps, row = wanted < p.n ? wanted : 0;
        float inverse = 1.0F;
        float4 v[BATCH];
        if (IS_NORM) {
            float squares = 0.0F;
            for (uint32_t base = 0; base < quads; base += BATCH * rows.stride) {
                load_quads<SOURCE>(p, phase, row, base + rows.first, quads, rows.stride, v);
#pragma unroll
                for (int i = 0; i < BATCH; i++) {
                    squares +=
                        v[i].x * v[i].x + v[i].y * v[i].y + v[i].z * v[i].z + v[i].w * v[i].w;
                }
            }
            squares = row_sum(m, row_warps, squares);
            inverse = 1.0F / sqrtf(squares / (float)phase.cols + phase.eps);
        }
        for (uint32_t base = is_held ? 0 : begin; base < end; base += BATCH * rows.stride) {
            if (!is_held) {
                load_quads<SOURCE>(p, phase, row, base + rows.first, end, rows.stride, v);
            }
            if (phase.is_bf16) {
                put_quads<true>(m, p, phase, s, wanted < p.n, row, base, rows, norm, inverse, v);
            } else {
                put_quads<false>(m, p, phase, s, wanted < p.n, row, base, rows, norm, inverse, v);
            }
        }
    }
}

template <int WARPS, int NT>
__device__ inline void take_inputs(mega_consumer<WARPS, NT> &m, const jb_mega &p,
                                   const jb_mega_phase &phase, const mega_share &s)
{
    constexpr int BATCH = WARPS == 16 ? 8 : 16;
    switch (phase.source) {
    case JB_MEGA_NORM:
        take_rows<JB_MEGA_NORM, BATCH>(m, p, phase, s);
        break;
    case JB_MEGA_JOIN:
        take_rows<JB_MEGA_JOIN, 4>(m, p, phase, s);
        break;
    default:
        take_rows<JB_MEGA_VALUES, BATCH>(m, p, phase, s);
        break;
    }
}

/* ---- computing warps: products ---- */

template <int FORM> struct mega_tile {
    uint4 q[form_traits<FORM>::is_tiled ? 1 : 2];
};

/* One chunk of a tile with the activations at `x` (the lane's column and inputs) and
 * the sums of 32 of them.
 *
 * Four-bit codes u and int8 codes become halves 1024 + u (or 1024 + 16 u: rows g + 8 keep their
 * nibble where it is) without being brought down: the block's sum starts at minus what they
 * exceed the value by, times the sum of the activations. */
template <int FORM, int NT, bool IS_BF16>
__device__ inline void multiply_chunk(const uint8_t *slot, uint32_t i, const uint8_t *const (&x)[NT],
                                      const float *sums, float (&c)[NT][4])
{
    const uint32_t lane = threadIdx.x % WARP, g = lane / 4, t = lane % 4;
    if (FORM == JB_CUDA_F16 || FORM == JB_CUDA_BF16) {
        const uint8_t *at = slot + g * JB_MEGA_PLAIN_STRIDE + i * 64 + t * 16;
        const uint4 a = *(const uint4 *)at;
        const uint4 b = *(const uint4 *)(at + 8 * JB_MEGA_PLAIN_STRIDE);
#pragma unroll
        for (int j = 0; j < NT; j++) {
            const uint4 v = *(const uint4 *)(x[j] + i * 64 + t * 16);
            mma<IS_BF16>(c[j], a.x, b.x, a.y, b.y, v.x, v.y);
            mma<IS_BF16>(c[j], a.z, b.z, a.w, b.w, v.z, v.w);
        }
        return;
    }
    const uint4 q = *(const uint4 *)(slot + i * 512 + lane * 16);
    const uint32_t words[4] = {q.x, q.y, q.z, q.w};
    if (FORM == JB_CUDA_T4 || FORM == JB_CUDA_T4M) {
#pragma unroll
        for (int b = 0; b < 2; b++) {
            const uint32_t block = 2 * i + b;
            const float2 scale = half2_at(slot + JB_MEGA_SCALES_AT + (block * 8 + g) * 4);
            const float2 offset = FORM == JB_CUDA_T4M
                                      ? half2_at(slot + JB_MEGA_OFFSETS_AT + (block * 8 + g) * 4)
                                      : make_float2(0.0F, 0.0F);
            uint32_t a[2][4];
            spread_nibbles(words[2 * b], a[0]);
            spread_nibbles(words[2 * b + 1], a[1]);
            constexpr float low = FORM == JB_CUDA_T4 ? -1032.0F : -1024.0F;
            constexpr float high = FORM == JB_CUDA_T4 ? -1152.0F : -1024.0F;
#pragma unroll
            for (int j = 0; j < NT; j++) {
                const uint4 v = *(const uint4 *)(x[j] + block * 64 + t * 16);
                const float2 s = *(const float2 *)(sums + block * (8 * NT) + 8 * j + 2 * t);
                float d[4] = {low * s.x, low * s.y, high * s.x, high * s.y};
                mma<false>(d, a[0][0], a[0][1], a[0][2], a[0][3], v.x, v.y);
                mma<false>(d, a[1][0], a[1][1], a[1][2], a[1][3], v.z, v.w);
                const float sixteenth = scale.y * 0.0625F;
                c[j][0] += scale.x * d[0];
                c[j][1] += scale.x * d[1];
                c[j][2] += sixteenth * d[2];
                c[j][3] += sixteenth * d[3];
                if (FORM == JB_CUDA_T4M) {
                    c[j][0] += offset.x * s.x;
                    c[j][1] += offset.x * s.y;
                    c[j][2] += offset.y * s.x;
                    c[j][3] += offset.y * s.y;
                }
            }
        }
        return;
    }
    uint32_t a[2][4];
    if (FORM == JB_CUDA_T8) {
        const float2 scale = half2_at(slot + JB_MEGA_SCALES_AT + (i * 8 + g) * 4);
        spread_bytes(words[0], words[1], a[0]);
        spread_bytes(words[2], words[3], a[1]);
#pragma unroll
        for (int j = 0; j < NT; j++) {
            const uint4 v = *(const uint4 *)(x[j] + i * 64 + t * 16);
            const float2 s = *(const float2 *)(sums + i * (8 * NT) + 8 * j + 2 * t);
            float d[4] = {-1152.0F * s.x, -1152.0F * s.y, -1152.0F * s.x, -1152.0F * s.y};
            mma<false>(d, a[0][0], a[0][1], a[0][2], a[0][3], v.x, v.y);
            mma<false>(d, a[1][0], a[1][1], a[1][2], a[1][3], v.z, v.w);
            c[j][0] += scale.x * d[0];
            c[j][1] += scale.x * d[1];
            c[j][2] += scale.y * d[2];
            c[j][3] += scale.y * d[3];
        }
        return;
    }
    /* T8S: a scale each 16 inputs, first mma the first 16. */
    unpack_bytes(words[0], words[1], a[0]);
    unpack_bytes(words[2], words[3], a[1]);
#pragma unroll
    for (int h = 0; h < 2; h++) {
        const float2 scale = half2_at(slot + JB_MEGA_SCALES_AT + ((2 * i + h) * 8 + g) * 4);
#pragma unroll
        for (int j = 0; j < NT; j++) {
            const uint2 v = *(const uint2 *)(x[j] + i * 64 + h * 32 + t * 8);
            float d[4] = {0.0F, 0.0F, 0.0F, 0.0F};
            mma<false>(d, a[h][0], a[h][1], a[h][2], a[h][3], v.x, v.y);
            c[j][0] += scale.x * d[0];
            c[j][1] += scale.x * d[1];
            c[j][2] += scale.y * d[2];
            c[j][3] += scale.y * d[3];
        }
    }
}

/* A tile's columns [begin, end) of the segment that starts at column `origin`, slot by slot. */
template <int FORM, int WARPS, int NT>
__device__ inline void multiply_tile(mega_consumer<WARPS, NT> &m, const jb_mega &p,
                                     const jb_mega_phase &phase, uint32_t n_columns, float (&c)[NT][4])
{
    constexpr uint32_t CHUNK = form_traits<FORM>::chunk;
    constexpr uint32_t A_SLOT = FORM < JB_CUDA_T4 ? JB_MEGA_PLAIN_CHUNKS : JB_MEGA_TILED_CHUNKS;
    const uint32_t lane = threadIdx.x % WARP, warp = threadIdx.x / WARP;
    const uint32_t n_chunks = n_columns / CHUNK;
    const uint8_t *x[NT]; /* a column that nobody asks for gives what nobody reads */
#pragma unroll
    for (int j = 0; j < NT; j++) {
        const uint32_t column = 8 * j + lane / 4;
        x[j] = m.x + (uint64_t)(column < p.n * phase.n_planes ? column : 0) * m.x_stride;
    }
    const float *sums = m.block_sums;
    for (uint32_t first = 0; first < n_chunks; first += A_SLOT) {
        const uint32_t n = min(A_SLOT, n_chunks - first);
        const uint8_t *slot = m.ring + (uint64_t)m.at.slot * JB_MEGA_SLOT_BYTES;
        barrier_wait(&m.full[m.at.slot], m.at.round & 1, p.fault, WAIT_FULL, m.phase);
        if (n == A_SLOT) {
#pragma unroll
            for (uint32_t i = 0; i < A_SLOT; i += WARPS) {
                multiply_chunk<FORM, NT, FORM == JB_CUDA_BF16>(slot, warp + i, x, sums, c);
            }
        } else {
#pragma unroll 1
            for (uint32_t i = warp; i < n; i += WARPS) {
                multiply_chunk<FORM, NT, FORM == JB_CUDA_BF16>(slot, i, x, sums, c);
            }
        }
        __syncwarp();
        if (lane == 0) {
            barrier_arrive(&m.empty[m.at.slot]);
        }
        m.at.advance(p.n_slots);
#pragma unroll
        for (int j = 0; j < NT; j++) {
            x[j] += A_SLOT * CHUNK * 2;
        }
        sums += A_SLOT * (CHUNK / 32) * (8 * NT);
    }
}

template <int WARPS, int NT>
__device__ inline void multiply_any(mega_consumer<WARPS, NT> &m, const jb_mega &p,
                                    const jb_mega_phase &phase, uint32_t form, uint32_t n_columns,
                                    float (&c)[NT][4])
{
    switch (form) {
    case JB_CUDA_F16:
        multiply_tile<JB_CUDA_F16>(m, p, phase, n_columns, c);
        break;
    case JB_CUDA_BF16:
        multiply_tile<JB_CUDA_BF16>(m, p, phase, n_columns, c);
        break;
    case JB_CUDA_T4:
        multiply_tile<JB_CUDA_T4>(m, p, phase, n_columns, c);
        break;
    case JB_CUDA_T4M:
        multiply_tile<JB_CUDA_T4M>(m, p, phase, n_columns, c);
        break;
    case JB_CUDA_T8:
        multiply_tile<JB_CUDA_T8>(m, p, phase, n_columns, c);
        break;
    default:
        multiply_tile<JB_CUDA_T8S>(m, p, phase, n_columns, c);
        break;
    }
}

/* Sums of one warp for one unit: [16 rows][8 NT]. */
template <int WARPS, int NT>
__device__ inline float *part_of(float *part, uint32_t buffer, uint32_t which, uint32_t warp)
{
    return part + (((buffer * 2 + which) * WARPS) + warp) * (16 * 8 * NT);
}

template <int NT> __device__ inline void leave_sums(float *to, const float (&c)[NT][4])
{
    const uint32_t lane = threadIdx.x % WARP, g = lane / 4, t = lane % 4;
#pragma unroll
    for (int j = 0; j < NT; j++) {
        *(float2 *)(to + g * (8 * NT) + 8 * j + 2 * t) = make_float2(c[j][0], c[j][1]);
        *(float2 *)(to + (g + 8) * (8 * NT) + 8 * j + 2 * t) = make_float2(c[j][2], c[j][3]);
    }
}

template <int WARPS, int NT>
__device__ inline void multiply_units(mega_consumer<WARPS, NT> &m, const jb_mega &p,
                                      const jb_mega_phase &phase, const mega_share &s)
{
    const uint32_t warp = threadIdx.x / WARP, is_pair = phase.is_pair, n_units = phase.n_units;
    for (uint32_t unit = s.first; unit < n_units; unit += s.stride) {
        const uint32_t buffer = m.n_left % JB_MEGA_FINISHERS, round = m.n_left / JB_MEGA_FINISHERS;
        uint32_t tile = 0;
        const uint32_t first = weight_of(phase, unit, &tile);
        for (uint32_t i = 0; i <= is_pair; i++) {
            float c[NT][4] = {};
            multiply_any(m, p, phase, phase.w[first + i].form, s.end - s.begin, c);
            if (i == 0 && round > 0) {
                barrier_wait(&m.part_empty[buffer], (round - 1) & 1, p.fault, WAIT_EMPTY, m.phase);
            }
            leave_sums<NT>(part_of<WARPS, NT>(m.part, buffer, i, warp), c);
        }
        __syncwarp();
        if (threadIdx.x % WARP == 0) {
            barrier_arrive(&m.part_full[buffer]);
        }
        m.n_left++;
    }
}

/* ---- finishers ---- */

/* What the warps found for one output: over the warps in order, planes added. */
template <int WARPS, int NT>
__device__ inline float sum_of(const jb_mega &p, uint32_t n_planes, const float *from)
{
    float v = 0.0F;
    for (uint32_t plane = 0; plane < n_planes; plane++) {
#pragma unroll
        for (uint32_t w = 0; w < WARPS; w++) {
            v += from[w * (16 * 8 * NT) + plane * p.n];
        }
    }
    return v;
}

/* Adds the other segments' sums, in order; true where this block came last and has the whole.
 * A warp's 32 outputs are counted by themselves. v: a product's output, or both of a pair. */
__device__ inline bool join_segments(const jb_mega &p, const jb_mega_phase &phase,
                                     const mega_share &s, uint32_t unit, uint32_t i, bool is_there,
                                     float (&v)[2])
{
    const uint32_t lane = threadIdx.x % WARP, n_outputs = 16 * p.n, n_values = 1 + phase.is_pair;
    float *base = p.partial + (uint64_t)unit * phase.n_segments * n_values * n_outputs + i;
    uint32_t *arrived = p.arrived + (uint64_t)unit * 8 + i / WARP;
#pragma unroll
    for (uint32_t which = 0; which < 2; which++) {
        if (is_there && which < n_values) {
            store_for_all(base + (s.segment * n_values + which) * n_outputs, v[which]);
        }
    }
    __threadfence();
    __syncwarp();
    uint32_t before = 0;
    if (lane == 0) {
        before = atomicAdd(arrived, 1U);
    }
    before = __shfl_sync(0xffffffffU, before, 0);
    if (before != phase.n_segments - 1) {
        return false;
    }
    __threadfence();
    __syncwarp();
    if (lane == 0) {
        *arrived = 0;
    }
#pragma unroll
    for (uint32_t which = 0; which < 2; which++) {
        v[which] = 0.0F;
        for (uint32_t segment = 0; segment < phase.n_segments; segment++) {
            if (is_there && which < n_values) {
                v[which] += __ldcg(base + (segment * n_values + which) * n_outputs);
            }
        }
    }
    return true;
}

template <int WARPS, int NT>
__device__ inline void finish_unit(const jb_mega &p, const jb_mega_phase &phase,
                                   const mega_share &s, uint32_t unit, const float *part)
{
    uint32_t tile = 0;
    const jb_mega_weight &w = phase.w[weight_of(phase, unit, &tile)];
    const uint32_t n_outputs = 16 * p.n, is_pair = phase.is_pair, n_planes = phase.n_planes;
    const uint32_t n_segments = phase.n_segments, n_rows = w.rows;
    const float *residual = phase.residual, *bias = w.bias;
    float *to = w.y;
    for (uint32_t base = 0; base < n_outputs; base += WARP) {
        const uint32_t i = base + threadIdx.x % WARP, row = i % 16, column = i / 16;
        const bool is_there = i < n_outputs;
        const uint32_t out = tile * 16 + row;
        const uint64_t at = (uint64_t)column * n_rows + out;
        float v[2] = {0.0F, 0.0F}, added = 0.0F;
        if (is_there) {
            added = residual != NULL ? __ldcg(residual + at) : 0.0F;
            const float *from = part + row * (8 * NT) + column;
            v[0] = sum_of<WARPS, NT>(p, n_planes, from);
            if (is_pair) {
                v[1] = sum_of<WARPS, NT>(p, n_planes, from + WARPS * (16 * 8 * NT));
            }
        }
        if (n_segments > 1 && !join_segments(p, phase, s, unit, i, is_there, v)) {
            continue;
        }
        if (!is_there) {
            continue;
        }
        float y = v[0] + (bias != NULL ? bias[out] : 0.0F);
        if (is_pair) {
            y = y / (1.0F + expf(-y)) * v[1];
        }
        store_for_all(to + at, y + added);
    }
}

/* Every JB_MEGA_FINISHERS-th of the block's units. Other blocks are told by grid_barrier(): a finisher
 * that has no unit in a phase is not held by it and is ahead of the block. */
template <int WARPS, int NT>
__device__ inline void finish(const jb_mega &p, mega_shared<WARPS> &shared, const float *part,
                              uint32_t mine)
{
    const uint32_t lane = threadIdx.x % WARP;
    uint64_t *words = shared.phase[3 + mine];
    uint32_t n = 0;
    for (uint32_t at = 0; at < p.n_phases; at++) {
        __syncwarp();
        for (uint32_t i = lane; i < JB_MEGA_PHASE_WORDS; i += WARP) {
            words[i] = __ldg((const unsigned long long *)(p.phases + at) + i);
        }
        __syncwarp();
        const jb_mega_phase &phase = *(const jb_mega_phase *)words;
        if (phase.kind == JB_MEGA_ATTENTION) {
            continue; /* the computing warps store */
        }
        const mega_share s = share_of(phase);
        for (uint32_t unit = s.first; unit < phase.n_units; unit += s.stride, n++) {
            if (n % JB_MEGA_FINISHERS != mine) {
                continue;
            }
            barrier_wait(&shared.part_full[mine], n / JB_MEGA_FINISHERS & 1, p.fault, WAIT_FULL, at);
            finish_unit<WARPS, NT>(p, phase, s, unit, part_of<WARPS, NT>((float *)part, mine, 0, 0));
            __syncwarp();
            if (lane == 0) {
                barrier_arrive(&shared.part_empty[mine]);
            }
        }
    }
}

/* ---- computing warps: attention ---- */

/* Eight values of a head from dimension `first` on, turned to the row's position. */
__device__ inline void turn_eight(const jb_mega &p, const float2 *turns, const float *head,
                                  uint32_t first, float (&v)[8])
{
    const auto load = [&](uint32_t at, float(&to)[8]) {
        const float4 a = load_shared_by_all(head + at), b = load_shared_by_all(head + at + 4);
        to[0] = a.x, to[1] = a.y, to[2] = a.z, to[3] = a.w;
        to[4] = b.x, to[5] = b.y, to[6] = b.z, to[7] = b.w;
    };
    load(first, v);
    if (first >= p.rope_dims) {
        return;
    }
    const uint32_t half = p.rope_dims / 2;
    if (!p.rope_is_halves) {
#pragma unroll
        for (int i = 0; i < 8; i += 2) {
            const float2 turn = turns[(first + i) / 2];
            const float a = v[i], b = v[i + 1];
            v[i] = a * turn.x - b * turn.y;
            v[i + 1] = a * turn.y + b * turn.x;
        }
        return;
    }
    float other[8];
    const bool is_low = first < half;
    load(is_low ? first + half : first - half, other);
#pragma unroll
    for (int i = 0; i < 8; i++) {
        const float2 turn = turns[(is_low ? first : first - half) + i];
        v[i] = is_low ? v[i] * turn.x - other[i] * turn.y : other[i] * turn.y + v[i] * turn.x;
    }
}

/* A lane's share of a cached row: eight values of every 64, in float. */
template <int EIGHTS>
__device__ inline void load_eights(const uint8_t *row, uint32_t part, float (&v)[EIGHTS][8])
{
#pragma unroll
    for (int e = 0; e < EIGHTS; e++) {
        const uint4 words = *(const uint4 *)(row + (e * 8 + part) * 16);
        const uint32_t w[4] = {words.x, words.y, words.z, words.w};
#pragma unroll
        for (int i = 0; i < 4; i++) {
            const float2 pair = half2_of(w[i]);
            v[e][2 * i] = pair.x;
            v[e][2 * i + 1] = pair.y;
        }
    }
}

template <int EIGHTS> struct mega_attention {
    float q[EIGHTS][8], sum[EIGHTS][8];
    softmax_part part;

    /* Score of a row that eight lanes hold; whole warps call it. */
    __device__ float score(const float (&k)[EIGHTS][8]) const
    {
        float s = 0.0F;
#pragma unroll
        for (int e = 0; e < EIGHTS; e++) {
#pragma unroll
            for (int i = 0; i < 8; i++) {
                s += q[e][i] * k[e][i];
            }
        }
        s += __shfl_xor_sync(0xffffffffU, s, 1);
        s += __shfl_xor_sync(0xffffffffU, s, 2);
        return s + __shfl_xor_sync(0xffffffffU, s, 4);
    }
    __device__ void add(float s, const float (&v)[EIGHTS][8])
    {
        const float largest = fmaxf(part.largest, s);
        const float keep = expf(part.largest - largest), weight = expf(s - largest);
        part = {largest, part.sum * keep + weight};
#pragma unroll
        for (int e = 0; e < EIGHTS; e++) {
#pragma unroll
            for (int i = 0; i < 8; i++) {
                sum[e][i] = sum[e][i] * keep + weight * v[e][i];
            }
        }
    }
};

/* This step's own position: rounded as the cache rounds it, stored, and attended to. */
template <int EIGHTS>
__device__ inline void attend_new(const jb_mega &p, const jb_mega_phase &phase, const mega_piece &a,
                                  const float2 *turns, mega_attention<EIGHTS> &state)
{
    const uint32_t lane = threadIdx.x % WARP, part = lane % 8, sharing = p.n_heads / p.n_kv_heads;
    const uint32_t kv_head = a.head / sharing;
    const uint64_t from = ((uint64_t)a.row * p.n_kv_heads + kv_head) * p.head_dim;
    const uint64_t to = ((uint64_t)p.rows.slot[a.row] * p.n_kv_heads + kv_head) * p.head_stride +
                        (uint64_t)a.position * p.head_dim * 2;
    const bool is_storing = lane < 8 && a.head % sharing == 0;
    float k[EIGHTS][8], v[EIGHTS][8];
#pragma unroll
    for (int e = 0; e < EIGHTS; e++) {
        const uint32_t first = (e * 8 + part) * 8;
        turn_eight(p, turns, phase.k + from, first, k[e]);
        const float4 low = load_shared_by_all(phase.v + from + first);
        const float4 high = load_shared_by_all(phase.v + from + first + 4);
        const float values[8] = {low.x, low.y, low.z, low.w, high.x, high.y, high.z, high.w};
        uint32_t k_words[4], v_words[4];
#pragma unroll
        for (int i = 0; i < 4; i++) {
            k_words[i] = pack_halves(k[e][2 * i], k[e][2 * i + 1]);
            v_words[i] = pack_halves(values[2 * i], values[2 * i + 1]);
            const float2 k_pair = half2_of(k_words[i]), v_pair = half2_of(v_words[i]);
            k[e][2 * i] = k_pair.x, k[e][2 * i + 1] = k_pair.y;
            v[e][2 * i] = v_pair.x, v[e][2 * i + 1] = v_pair.y;
        }
        if (is_storing) {
            *(uint4 *)(phase.cache_k + to + first * 2) =
                make_uint4(k_words[0], k_words[1], k_words[2], k_words[3]);
            *(uint4 *)(phase.cache_v + to + first * 2) =
                make_uint4(v_words[0], v_words[1], v_words[2], v_words[3]);
        }
    }
    const float s = state.score(k);
    if (lane < 8) {
        state.add(s, v);
    }
}

/* Joins the four groups of eight lanes, then leaves the warp's part in shared memory. */
template <int EIGHTS>
__device__ inline void leave_head(mega_attention<EIGHTS> &state, float *to)
{
    const uint32_t lane = threadIdx.x % WARP, part = lane % 8;
#pragma unroll
    for (int step = 8; step < WARP; step *= 2) {
        float mine, others;
        const softmax_part other = {__shfl_xor_sync(0xffffffffU, state.part.largest, step),
                                    __shfl_xor_sync(0xffffffffU, state.part.sum, step)};
        state.part = join(state.part, other, &mine, &others);
#pragma unroll
        for (int e = 0; e < EIGHTS; e++) {
#pragma unroll
            for (int i = 0; i < 8; i++) {
                const float v = __shfl_xor_sync(0xffffffffU, state.sum[e][i], step);
                state.sum[e][i] = state.sum[e][i] * mine + v * others;
            }
        }
    }
    if (lane >= 8) {
        return;
    }
    if (lane == 0) {
        to[0] = state.part.largest;
        to[1] = state.part.sum;
    }
#pragma unroll
    for (int e = 0; e < EIGHTS; e++) {
#pragma unroll
        for (int i = 0; i < 8; i++) {
            to[JB_MEGA_PART_HEAD + (e * 8 + part) * 8 + i] = state.sum[e][i];
        }
    }
}

/* Joins the warps' parts of one head and leaves the block's for all. */
template <int WARPS>
__device__ inline void join_warps_of_head(const jb_mega &p, const float *from, float *to)
{
    const uint32_t stride = p.head_dim + JB_MEGA_PART_HEAD;
    for (uint32_t dim = threadIdx.x; dim < p.head_dim; dim += WARPS * WARP) {
        float largest = -INFINITY;
#pragma unroll
        for (int w = 0; w < WARPS; w++) {
            largest = fmaxf(largest, from[w * stride]);
        }
        float sum = 0.0F, v = 0.0F;
#pragma unroll
        for (int w = 0; w < WARPS; w++) {
            const float s = from[w * stride + 1];
            const float weight = s > 0.0F ? expf(from[w * stride] - largest) : 0.0F;
            sum += s * weight;
            v += from[w * stride + JB_MEGA_PART_HEAD + dim] * weight;
        }
        store_for_all(to + JB_MEGA_PART_HEAD + dim, v);
        if (dim == 0) {
            store_for_all(to, largest);
            store_for_all(to + 1, sum);
        }
    }
}

template <int WARPS, int NT, int EIGHTS>
__device__ inline void attend(mega_consumer<WARPS, NT> &m, const jb_mega &p,
                              const jb_mega_phase &phase, uint32_t unit)
{
    const uint32_t lane = threadIdx.x % WARP, warp = threadIdx.x / WARP;
    const uint32_t part = lane % 8, group = lane / 8;
    const uint32_t row_bytes = p.head_dim * 2, a_slot = JB_MEGA_V_AT / row_bytes;
    const mega_piece a = piece_of(p, unit);
    const float2 *turns = m.turns + a.row * (p.rope_dims / 2);
    const float *query = phase.x + ((uint64_t)a.row * p.n_heads + a.head) * p.head_dim;
    mega_attention<EIGHTS> state;
    state.part = {-INFINITY, 0.0F};
#pragma unroll
    for (int e = 0; e < EIGHTS; e++) {
        turn_eight(p, turns, query, (e * 8 + part) * 8, state.q[e]);
#pragma unroll
        for (int i = 0; i < 8; i++) {
            state.q[e][i] *= p.scale;
            state.sum[e][i] = 0.0F;
        }
    }
    if (warp == 0 && a.split == p.n_splits - 1) {
        attend_new(p, phase, a, turns, state);
    }
    for (uint32_t first = a.begin; first < a.end; first += a_slot) {
        const uint32_t n = min(a_slot, a.end - first);
        const uint8_t *slot = m.ring + (uint64_t)m.at.slot * JB_MEGA_SLOT_BYTES;
        barrier_wait(&m.full[m.at.slot], m.at.round & 1, p.fault, WAIT_FULL, m.phase);
        for (uint32_t base = warp * 4; base < n; base += WARPS * 4) {
            const bool is_there = base + group < n;
            const uint64_t at = (uint64_t)(is_there ? base + group : base) * row_bytes;
            float k[EIGHTS][8], v[EIGHTS][8];
            load_eights(slot + at, part, k);
            load_eights(slot + JB_MEGA_V_AT + at, part, v);
            const float s = state.score(k);
            if (is_there) {
                state.add(s, v);
            }
        }
        __syncwarp();
        if (lane == 0) {
            barrier_arrive(&m.empty[m.at.slot]);
        }
        m.at.advance(p.n_slots);
    }
    const uint32_t stride = p.head_dim + JB_MEGA_PART_HEAD;
    float *parts = part_of<WARPS, NT>(m.part, m.buffer, 0, 0);
    leave_head(state, parts + warp * stride);
    group_sync<WARPS>();
    join_warps_of_head<WARPS>(p, parts, p.parts + (uint64_t)unit * stride);
    m.buffer ^= 1;
}

/* ---- computing warps: the step ---- */

template <int WARPS, int NT>
__device__ inline void make_turns(const jb_mega &p, float2 *turns)
{
    const uint32_t half = p.rope_dims / 2;
    for (uint32_t i = threadIdx.x; i < p.n * half; i += WARPS * WARP) {
        float s, c;
        sincosf((float)p.rows.pos[i / half] * p.inv_freq[i % half], &s, &c);
        turns[i] = make_float2(c * p.rope_mscale, s * p.rope_mscale);
    }
}

/* Tells the other blocks that this one's outputs are stored, and waits for theirs. One arrival a
 * block, after it passed the barrier before: the count then says where all blocks are. */
template <int WARPS, int NT>
__device__ inline void grid_barrier(const jb_mega &p, const mega_consumer<WARPS, NT> &m,
                                    bool is_attention)
{
    if (is_attention) {
        group_sync<WARPS>();
    }
    if (threadIdx.x == 0) {
        for (uint32_t i = 0; i < JB_MEGA_FINISHERS; i++) {
            const uint32_t n_given = (m.n_left + JB_MEGA_FINISHERS - 1 - i) / JB_MEGA_FINISHERS;
            if (n_given > 0) {
                barrier_wait(&m.part_empty[i], (n_given - 1) & 1, p.fault, WAIT_EMPTY, m.phase);
            }
        }
        __threadfence();
        atomicAdd(p.barrier, 1U);
        wait_for_count(p.barrier, (m.phase + 1) * gridDim.x, p.fault, WAIT_GRID, m.phase);
        __threadfence();
    }
}

__device__ inline void mark(const jb_mega &p, uint32_t phase, uint32_t which)
{
    if (p.trace != NULL && threadIdx.x == 0) {
        p.trace[((uint64_t)phase * gridDim.x + blockIdx.x) * 4 + which] = (uint64_t)clock64();
    }
}

template <int WARPS, int NT>
__device__ inline void compute(const jb_mega &p, mega_consumer<WARPS, NT> &m, uint64_t (*both)[40])
{
    constexpr uint32_t N = JB_MEGA_PHASE_WORDS;
    const auto ask = [&](uint32_t phase) -> uint64_t {
        return threadIdx.x < N
                   ? __ldg((const unsigned long long *)(p.phases + phase) + threadIdx.x)
                   : 0;
    };
    uint64_t next = ask(0);
    for (m.phase = 0; m.phase < p.n_phases; m.phase++) {
        uint64_t *words = both[m.phase % 2]; /* warps may still be at the phase before */
        if (threadIdx.x < N) {
            words[threadIdx.x] = next;
        }
        group_sync<WARPS>(); /* also: thread 0 is through the grid's barrier */
        mark(p, m.phase, 0);
        if (m.phase + 1 < p.n_phases) {
            next = ask(m.phase + 1);
        }
        const jb_mega_phase &phase = *(const jb_mega_phase *)words;
        const mega_share s = share_of(phase);
        if (phase.kind == JB_MEGA_ATTENTION) {
            mark(p, m.phase, 1);
            for (uint32_t unit = s.first; unit < phase.n_units; unit += s.stride) {
                if (p.head_dim == 128) {
                    attend<WARPS, NT, 2>(m, p, phase, unit);
                } else {
                    attend<WARPS, NT, 1>(m, p, phase, unit);
                }
            }
        } else {
            m.x_stride = (s.end - s.begin) * 2 + 64;
            take_inputs(m, p, phase, s);
            group_sync<WARPS>();
            mark(p, m.phase, 1);
            multiply_units(m, p, phase, s);
        }
        mark(p, m.phase, 2);
        if (m.phase + 1 < p.n_phases) {
            grid_barrier(p, m, phase.kind == JB_MEGA_ATTENTION);
        }
        mark(p, m.phase, 3);
    }
    /* The last block leaves the counters as it found them. */
    if (threadIdx.x == 0 && atomicAdd(p.barrier + 1, 1U) == gridDim.x - 1) {
        p.barrier[0] = 0;
        p.barrier[1] = 0;
    }
}

template <int WARPS, int NT> __device__ inline void mega_body(const jb_mega &p, uint8_t *memory)
{
    mega_shared<WARPS> &shared = *(mega_shared<WARPS> *)memory;
    float2 *turns = (float2 *)(memory + p.rope_at);
    if (threadIdx.x == 0) {
        for (uint32_t i = 0; i < p.n_slots; i++) {
            barrier_init(&shared.full[i], 1);
            barrier_init(&shared.empty[i], WARPS);
        }
        for (uint32_t i = 0; i < JB_MEGA_FINISHERS; i++) {
            barrier_init(&shared.part_full[i], WARPS);
            barrier_init(&shared.part_empty[i], 1);
        }
        barriers_are_ready();
    }
    if (threadIdx.x < WARPS * WARP) {
        make_turns<WARPS, NT>(p, turns);
    }
    __syncthreads();
    float *part = (float *)(memory + p.part_at);
    const uint32_t warp = threadIdx.x / WARP;
    if (warp > WARPS) {
        finish<WARPS, NT>(p, shared, part, warp - WARPS - 1);
    } else if (warp == WARPS) {
        mega_producer m = {memory + p.ring_at, shared.full, shared.empty, {0, 0}, 0};
        produce(p, m, shared.phase[2]);
    } else {
        mega_consumer<WARPS, NT> m = {memory + p.ring_at,
                                      shared.full,
                                      shared.empty,
                                      shared.part_full,
                                      shared.part_empty,
                                      part,
                                      (float *)(memory + p.sums_at),
                                      memory + p.x_at,
                                      shared.sums,
                                      turns,
                                      {0, 0},
                                      0,
                                      0,
                                      0,
                                      0};
        compute(p, m, shared.phase);
    }
}

#endif
