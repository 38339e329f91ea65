/* SPDX-License-Identifier: MIT */
/* Everything but products and attention. */

/* RMSNORM and LAYERNORM: one work-group a run of n values; per_row runs lie in a row. */
__kernel GROUP_OF(GROUP) void run_norm(const __global float *x, __global float *y,
                                       const __global float *weight, const __global float *bias,
                                       uint stride, uint n, uint per_row, float eps,
                                       uint is_layernorm)
{
    __local float scratch[GROUP];
    const uint run = get_group_id(0), lid = get_local_id(0);
    const size_t at = (size_t)(run / per_row) * stride + (run % per_row) * n;
    const uint whole = n / 16 * 16;
    x += at;
    y += at;
    float mean = 0.0f;
    if (is_layernorm) {
        float16 sums = 0.0f;
        float tail = 0.0f;
        for (uint i = lid * 16; i < whole; i += GROUP * 16) {
            sums += vload16(0, x + i);
        }
        for (uint i = whole + lid; i < n; i += GROUP) {
            tail += x[i];
        }
        mean = group_sum(sum16(sums) + tail, scratch) / n;
    }
    float16 squares = 0.0f;
    float tail = 0.0f;
    for (uint i = lid * 16; i < whole; i += GROUP * 16) {
        const float16 v = vload16(0, x + i) - mean;
        squares = fma(v, v, squares);
    }
    for (uint i = whole + lid; i < n; i += GROUP) {
        tail = fma(x[i] - mean, x[i] - mean, tail);
    }
    const float inverse = 1.0f / sqrt(group_sum(sum16(squares) + tail, scratch) / n + eps);
    for (uint i = lid; i < n; i += GROUP) {
        const float value = (x[i] - mean) * inverse * weight[i];
        y[i] = bias ? value + bias[i] : value;
    }
}

/* Rotates pair i of a head of a token; n pairs a token. @param table (context, n_pairs, 2) cos and sin */
__kernel void run_rope(__global float *x, const __global float *table, const __global int *pos,
                       uint stride, uint group, uint n_pairs, uint n, uint is_halves)
{
    if (get_global_id(0) >= n) {
        return;
    }
    const uint i = get_global_id(0) % n_pairs, head = get_global_id(0) / n_pairs;
    const uint token = get_global_id(1);
    const float2 turn = vload2((size_t)pos[token] * n_pairs + i, table);
    __global float *h = x + (size_t)token * stride + head * group;
    const uint first = is_halves ? i : 2 * i, second = is_halves ? i + n_pairs : 2 * i + 1;
    const float a = h[first], b = h[second];
    h[first] = a * turn.x - b * turn.y;
    h[second] = a * turn.y + b * turn.x;
}

/* y = f(a, b), 16 values an item, padding included: all four keep 0 at 0. */
__kernel void run_elementwise(const __global float *a, const __global float *b, __global float *y,
                              ulong n, uint kind)
{
    const size_t i = get_global_id(0);
    if (i * 16 >= n) {
        return;
    }
    const float16 x = vload16(i, a);
    float16 value;
    if (kind == 0) { /* ADD */
        value = x + vload16(i, b);
    } else if (kind == 1) { /* SILU_MUL */
        value = x / (1.0f + exp(-x)) * vload16(i, b);
    } else if (kind == 2) { /* GELU, tanh form */
        const float16 u = 0.79788456f * (x + 0.044715f * x * x * x);
        value = 0.5f * x * (1.0f + tanh(u));
    } else { /* RELU; NaN stays NaN */
        value = select(x, (float16)(0.0f), x < 0.0f);
    }
    vstore16(value, i, y);
}

/* Row o of y = row outputs[o] of x. */
__kernel void run_select(const __global float *x, __global float *y, const __global int *outputs,
                         uint stride)
{
    const size_t o = get_global_id(1), i = get_global_id(0);
    if (i * 16 < stride) {
        vstore16(vload16(0, x + (size_t)outputs[o] * stride + i * 16), 0, y + o * stride + i * 16);
    }
}

/* The largest of a row: the first of equals, NaN only if all are. */
int is_better(float value, uint at, float best, uint best_at)
{
    return value > best || (isnan(best) && !isnan(value)) ||
           (at < best_at && (value == best || (isnan(value) && isnan(best))));
}

/* ret (rows, 2): the index, and the value's bits. */
__kernel GROUP_OF(GROUP) void run_argmax(const __global float *x, __global int *ret, uint stride,
                                         uint n)
{
    __local float best_values[GROUP];
    __local uint best_ids[GROUP];
    const uint lid = get_local_id(0), row = get_group_id(0);
    x += (size_t)row * stride;
    uint at = lid < n ? lid : 0;
    float best = x[at];
    for (uint i = lid + GROUP; i < n; i += GROUP) {
        const float value = x[i];
        if (value > best || (isnan(best) && !isnan(value))) {
            best = value;
            at = i;
        }
    }
    best_values[lid] = best;
    best_ids[lid] = at;
    for (uint step = GROUP / 2; step > 0; step /= 2) {
        barrier(CLK_LOCAL_MEM_FENCE);
        if (lid < step && is_better(best_values[lid + step], best_ids[lid + step], best_values[lid],
                                    best_ids[lid])) {
            best_values[lid] = best_values[lid + step];
            best_ids[lid] = best_ids[lid + step];
        }
    }
    if (lid == 0) {
        ret[2 * row] = (int)best_ids[0];
        ret[2 * row + 1] = as_int(best_values[0]);
    }
}
