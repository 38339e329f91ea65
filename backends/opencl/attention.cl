/* SPDX-License-Identifier: MIT */
/* Attention over a cache of one number format (KV_F32, KV_F16 or KV_Q8_0 is defined).
 *
 * A layer's K, and its V after it: [slot][KV head][position] rows of head_dim values; for Q8_0 the
 * int8 codes lie so, and the scales, a half each 32 values, in the same order after both. */

#define MINUS_INFINITY (-INFINITY)

#if WIDE
#define LANES 16
typedef float16 vec;
#define LOAD vload16
#define STORE vstore16
#define SUM(v) sum16(v)
#else
#define LANES 4
typedef float4 vec;
#define LOAD vload4
#define STORE vstore4
#define SUM(v) (((v).x + (v).y) + ((v).z + (v).w))
#endif

/* LANES values of a cache row from value i on. */
#if KV_F32
vec cached(const __global uchar *codes, const __global half *scales, size_t row, uint dim, uint i)
{
    return LOAD(0, (const __global float *)codes + row * dim + i);
}
float cached1(const __global uchar *codes, const __global half *scales, size_t row, uint dim,
              uint i)
{
    return ((const __global float *)codes)[row * dim + i];
}
#elif KV_F16
vec cached(const __global uchar *codes, const __global half *scales, size_t row, uint dim, uint i)
{
#if WIDE
    return halves16((const __global half *)codes + row * dim + i);
#else
    return vload_half4(0, (const __global half *)codes + row * dim + i);
#endif
}
float cached1(const __global uchar *codes, const __global half *scales, size_t row, uint dim,
              uint i)
{
    return half1((const __global half *)codes + row * dim + i);
}
#else
#if WIDE
#define CONVERT convert_float16
#else
#define CONVERT convert_float4
#endif
vec cached(const __global uchar *codes, const __global half *scales, size_t row, uint dim, uint i)
{
    const size_t at = row * dim + i;
    return CONVERT(LOAD(0, (const __global char *)codes + at)) * half1(scales + at / 32);
}
float cached1(const __global uchar *codes, const __global half *scales, size_t row, uint dim,
              uint i)
{
    const size_t at = row * dim + i;
    return ((const __global char *)codes)[at] * half1(scales + at / 32);
}
#endif

/* Rounds k (part 0) and v (part 1) into the cache: an item a value, for Q8_0 an item 32 values.
 * Global size (n, T, 2), n = kv_dim or kv_dim / 32. @param scale_at byte offset of K's scales */
__kernel void run_kv_store(__global uchar *kv, ulong v_at, ulong scale_at, ulong v_scale_at,
                           const __global float *k, const __global float *v,
                           const __global int *pos, const __global int *slot, uint stride,
                           uint head_dim, uint n_kv_heads, uint context, uint n)
{
    if (get_global_id(0) >= n) {
        return;
    }
    const uint token = get_global_id(1), is_v = get_global_id(2);
    const __global float *src = (is_v ? v : k) + (size_t)token * stride;
    const size_t first_row = (size_t)slot[token] * n_kv_heads * context + pos[token];
    __global uchar *codes = kv + (is_v ? v_at : 0);
#if KV_F32 || KV_F16
    const uint i = get_global_id(0), head = i / head_dim;
    const size_t at = (first_row + (size_t)head * context) * head_dim + i % head_dim;
#if KV_F32
    ((__global float *)codes)[at] = src[i];
#else
    vstore_half_rte(src[i], at, (__global half *)codes);
#endif
#else
    __global half *scales = (__global half *)(kv + (is_v ? v_scale_at : scale_at));
    const uint i = get_global_id(0) * 32, head = i / head_dim;
    const size_t at = (first_row + (size_t)head * context) * head_dim + i % head_dim;
    float largest = 0.0f;
    for (uint j = 0; j < 32; j++) {
        largest = fmax(largest, fabs(src[i + j]));
    }
    const float d = largest / 127.0f;
    const float inverse = d > 0.0f && isfinite(1.0f / d) ? 1.0f / d : 0.0f;
    vstore_half_rte(d, at / 32, scales);
    for (uint j = 0; j < 32; j++) {
        ((__global char *)codes)[at + j] = convert_char_sat(round(src[i + j] * inverse));
    }
#endif
}

/* Rows of queries that share keys: the tokens of one sequence times the query heads of one KV head,
 * counted token by token. Block b of a step covers n_rows of them from first_row on. */
#define BLOCK_TOKEN 0 /* row of T of the sequence's first token */
#define BLOCK_POS 1   /* its position                          */
#define BLOCK_SLOT 2
#define BLOCK_FIRST 3 /* first row                             */
#define BLOCK_ROWS 4
#define BLOCK_FIELDS 5

/* Cache rows [row, row + n) as floats into local rows of `stride`, zeros behind head_dim. */
void bring(const __global uchar *codes, const __global half *scales, size_t row, uint n,
           uint head_dim, uint n_vec, __local float *to, uint stride)
{
    for (uint i = get_local_id(0); i < n * n_vec; i += GROUP) {
        const uint p = i / n_vec, d = i % n_vec * LANES;
        if (d + LANES <= head_dim) {
            STORE(cached(codes, scales, row + p, head_dim, d), 0, to + p * stride + d);
            continue;
        }
        for (uint j = d; j < d + LANES; j++) {
            to[p * stride + j] = j < head_dim ? cached1(codes, scales, row + p, head_dim, j) : 0.0f;
        }
    }
}

/* Work-groups (block, KV head, split of the positions). Keys and then values go by `chunk`
 * positions through local memory; every row keeps its running maximum, sum and weighted values
 * there. Writes y if there is one split, else partial sums for run_attention_join.
 *
 * Local: q (max_rows, dims) | chunk of keys or values (chunk, dims + 4) | values so far (max_rows,
 * dims) | scores (max_rows, chunk + 1) | maximum, sum, factor (max_rows,) each.
 * dims = head_dim rounded up to LANES. */
__kernel GROUP_OF(GROUP) void run_attention(
    const __global uchar *kv, ulong v_at, ulong scale_at, ulong v_scale_at, const __global float *q,
    __global float *y, __global float *partial, const __global int *blocks, uint stride,
    uint n_heads, uint n_kv_heads, uint head_dim, uint dims, uint context, uint max_rows,
    uint chunk, uint split_length, uint n_splits, float scale, __local float *memory)
{
    const uint lid = get_local_id(0);
    const __global int *block = blocks + get_group_id(0) * BLOCK_FIELDS;
    const uint kv_head = get_group_id(1), split = get_group_id(2);
    const uint n_sharing = n_heads / n_kv_heads;
    const uint n_rows = block[BLOCK_ROWS], first = block[BLOCK_FIRST], pos = block[BLOCK_POS];
    const uint key_stride = dims + 4, score_stride = chunk + 1, n_vec = dims / LANES;
    __local float *queries = memory, *keys = queries + max_rows * dims;
    __local float *sums = keys + chunk * key_stride, *scores = sums + max_rows * dims;
    __local float *maxima = scores + max_rows * score_stride, *totals = maxima + max_rows;
    __local float *factors = totals + max_rows;
    const size_t row0 = ((size_t)block[BLOCK_SLOT] * n_kv_heads + kv_head) * context;

    for (uint i = lid; i < n_rows * dims; i += GROUP) {
        const uint row = first + i / dims, d = i % dims;
        const uint token = block[BLOCK_TOKEN] + row / n_sharing;
        const uint head = kv_head * n_sharing + row % n_sharing;
        queries[i] = d < head_dim ? q[(size_t)token * stride + head * head_dim + d] * scale : 0.0f;
        sums[i] = 0.0f;
    }
    for (uint r = lid; r < n_rows; r += GROUP) {
        maxima[r] = MINUS_INFINITY;
        totals[r] = 0.0f;
    }
    const uint end = min(pos + (first + n_rows - 1) / n_sharing + 1, (split + 1) * split_length);
    for (uint begin = split * split_length; begin < end; begin += chunk) {
        const uint n = min(chunk, end - begin);
        barrier(CLK_LOCAL_MEM_FENCE);
        bring(kv, (const __global half *)(kv + scale_at), row0 + begin, n, head_dim, n_vec, keys,
              key_stride);
        barrier(CLK_LOCAL_MEM_FENCE);
        for (uint i = lid; i < n_rows * n; i += GROUP) {
            const uint r = i / n, p = i % n;
            vec products = 0.0f;
            for (uint j = 0; j < n_vec; j++) {
                products =
                    fma(LOAD(j, queries + r * dims), LOAD(j, keys + p * key_stride), products);
            }
            const uint seen = pos + (first + r) / n_sharing;
            scores[r * score_stride + p] = begin + p <= seen ? SUM(products) : MINUS_INFINITY;
        }
        barrier(CLK_LOCAL_MEM_FENCE);
        bring(kv + v_at, (const __global half *)(kv + v_scale_at), row0 + begin, n, head_dim, n_vec,
              keys, key_stride);
        for (uint r = lid; r < n_rows; r += GROUP) {
            __local float *s = scores + r * score_stride;
            float largest = maxima[r], total = 0.0f;
            for (uint p = 0; p < n; p++) {
                largest = fmax(largest, s[p]);
            }
            /* A row may see nothing of this split. */
            const float origin = largest == MINUS_INFINITY ? 0.0f : largest;
            for (uint p = 0; p < n; p++) {
                s[p] = exp(s[p] - origin);
                total += s[p];
            }
            factors[r] = exp(maxima[r] - origin);
            totals[r] = fma(totals[r], factors[r], total);
            maxima[r] = largest;
        }
        barrier(CLK_LOCAL_MEM_FENCE);
        for (uint i = lid; i < n_rows * n_vec; i += GROUP) {
            const uint r = i / n_vec, j = i % n_vec;
            vec value = LOAD(j, sums + r * dims) * factors[r];
            for (uint p = 0; p < n; p++) {
                value = fma((vec)(scores[r * score_stride + p]), LOAD(j, keys + p * key_stride),
                            value);
            }
            STORE(value, j, sums + r * dims);
        }
    }
    barrier(CLK_LOCAL_MEM_FENCE);
    for (uint i = lid; i < n_rows * head_dim; i += GROUP) {
        const uint r = i / head_dim, d = i % head_dim, row = first + r;
        const uint token = block[BLOCK_TOKEN] + row / n_sharing;
        const uint head = kv_head * n_sharing + row % n_sharing;
        if (n_splits == 1) {
            y[(size_t)token * stride + head * head_dim + d] = sums[r * dims + d] / totals[r];
        } else {
            __global float *out =
                partial + (((size_t)token * n_heads + head) * n_splits + split) * (head_dim + 2);
            out[d] = sums[r * dims + d];
            if (d == 0) {
                out[head_dim] = maxima[r];
                out[head_dim + 1] = totals[r];
            }
        }
    }
}

/* Adds the splits up: an item a value. Global size (n_heads * head_dim, T). */
__kernel void run_attention_join(const __global float *partial, __global float *y, uint stride,
                                 uint n_heads, uint head_dim, uint n_splits)
{
    const uint i = get_global_id(0), token = get_global_id(1), d = i % head_dim;
    if (i >= n_heads * head_dim) {
        return;
    }
    const __global float *in =
        partial + ((size_t)token * n_heads + i / head_dim) * n_splits * (head_dim + 2);
    float largest = MINUS_INFINITY, sum = 0.0f, total = 0.0f;
    for (uint s = 0; s < n_splits; s++) {
        largest = fmax(largest, in[s * (head_dim + 2) + head_dim]);
    }
    for (uint s = 0; s < n_splits; s++) {
        const __global float *part = in + s * (head_dim + 2);
        const float factor = exp(part[head_dim] - largest);
        sum = fma(part[d], factor, sum);
        total = fma(part[head_dim + 1], factor, total);
    }
    y[(size_t)token * stride + i] = sum / total;
}
