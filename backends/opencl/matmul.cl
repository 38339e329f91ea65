/* SPDX-License-Identifier: MIT */
/* Products with, and look-ups in, weights of one format: exactly one FORMAT_... is defined.
 *
 * A row of weights is cut into units of 32 columns (the last one padded with zeros where the format
 * is not in blocks). Each part of a unit lies in a plane of its own, planes one after the other in
 * one buffer, at `at[k]` bytes; load.c writes them. Nibbles: byte i of a unit holds value i in its
 * low half and value i + 16 in its high half.
 *
 *   F32 F16 BF16  values
 *   Q8_0          32 codes | half scale
 *   Q4_0          16 nibble bytes | half scale
 *   Q4_1          16 nibble bytes | half scale, half offset
 *   Q4_K          16 nibble bytes | uchar scale, uchar min | half d, half dmin each 8 units
 *   Q6_K          16 nibble bytes | 8 bytes, byte i: bits 4-5 of values i, i + 8, i + 16, i + 24
 *                 | 2 x char scale, 16 values each | half d each 8 units */

struct weight {
    const __global uchar *data, *plane1, *plane2, *plane3;
};

/* Values [16 h, 16 h + 16) of unit u, h = 0 or 1. */
#if FORMAT_F32
float16 weights16(struct weight w, size_t u, uint h)
{
    return vload16(u * 2 + h, (const __global float *)w.data);
}
#elif FORMAT_F16
float16 weights16(struct weight w, size_t u, uint h)
{
    return halves16((const __global half *)w.data + u * 32 + h * 16);
}
#elif FORMAT_BF16
float16 weights16(struct weight w, size_t u, uint h)
{
    return as_float16(convert_uint16(vload16(u * 2 + h, (const __global ushort *)w.data)) << 16);
}
#elif FORMAT_Q8_0
float16 weights16(struct weight w, size_t u, uint h)
{
    const char16 codes = vload16(u * 2 + h, (const __global char *)w.data);
    return convert_float16(codes) * half1((const __global half *)w.plane1 + u);
}
#else
uchar16 nibbles16(struct weight w, size_t u, uint h)
{
    const uchar16 pairs = vload16(u, w.data);
    return h ? pairs >> (uchar16)(4) : pairs & (uchar16)(15);
}
#if FORMAT_Q4_0
float16 weights16(struct weight w, size_t u, uint h)
{
    const float scale = half1((const __global half *)w.plane1 + u);
    return (convert_float16(nibbles16(w, u, h)) - 8.0f) * scale;
}
#elif FORMAT_Q4_1
float16 weights16(struct weight w, size_t u, uint h)
{
    const float2 line = halves2((const __global half *)w.plane1 + u * 2);
    return convert_float16(nibbles16(w, u, h)) * line.x + line.y;
}
#elif FORMAT_Q4_K
float16 weights16(struct weight w, size_t u, uint h)
{
    const float2 line = convert_float2(vload2(u, w.plane1)) *
                        halves2((const __global half *)w.plane2 + u / 8 * 2);
    return convert_float16(nibbles16(w, u, h)) * line.x - line.y;
}
#elif FORMAT_Q6_K
float16 weights16(struct weight w, size_t u, uint h)
{
    const uchar8 bits = vload8(u, w.plane1);
    const uchar8 low = (h ? bits >> (uchar8)(4) : bits) & (uchar8)(3);
    const uchar8 high = (h ? bits >> (uchar8)(6) : bits >> (uchar8)(2)) & (uchar8)(3);
    const uchar16 codes = nibbles16(w, u, h) | ((uchar16)(low, high) << (uchar16)(4));
    const float d = half1((const __global half *)w.plane3 + u / 8);
    const float scale = d * (float)((const __global char *)w.plane2)[u * 2 + h];
    return (convert_float16(codes) - 32.0f) * scale;
}
#endif
#endif

#define WEIGHT(name) struct weight name = {data, data + at1, data + at2, data + at3}
#define WEIGHT_PARAMETERS const __global uchar *data, ulong at1, ulong at2, ulong at3, uint n_units

/* y (T, dim) = x (or 0) + the row that index[t] + offset names; 16 values an item. */
__kernel void run_embed(WEIGHT_PARAMETERS, const __global int *index, uint offset,
                        const __global float *x, __global float *y)
{
    WEIGHT(w);
    const uint part = get_global_id(0), token = get_global_id(1);
    if (part >= n_units * 2) {
        return;
    }
    const size_t row = (size_t)index[token] + offset;
    const size_t at = (size_t)token * n_units * 2 + part;
    const float16 value = weights16(w, row * n_units + part / 2, part % 2);
    vstore16(x ? vload16(at, x) + value : value, at, y);
}

/* y (n, n_rows) = x (n, units) W^T + bias + residual. */
#define MATMUL_PARAMETERS                                                                          \
    WEIGHT_PARAMETERS, uint n_rows, const __global float *x, uint n, const __global float *bias,   \
        const __global float *residual, __global float *y, uint stride

void finish(float value, uint row, uint column, uint n_rows, uint n, const __global float *bias,
            const __global float *residual, __global float *y, uint stride)
{
    if (row < n_rows && column < n) {
        const size_t at = (size_t)column * stride + row;
        value = bias ? value + bias[row] : value;
        y[at] = residual ? value + residual[at] : value;
    }
}

/* Few columns: SHARE items split the units of ROWS rows between them, each weight is decoded once
 * for all columns, and a fixed tree adds the items up. SETS such teams a work-group. */
#if WIDE
typedef float16 part;
#define PART_FMA(w, x, sum) fma(w, x, sum)
#define PART_SUM(sum) sum16(sum)
#else
typedef float part;
#define PART_FMA(w, x, sum) fma16(w, x, sum)
#define PART_SUM(sum) (sum)
float fma16(float16 w, float16 x, float sum)
{
    const float4 a = fma(w.s0123, x.s0123, w.s4567 * x.s4567);
    const float4 b = fma(w.s89ab, x.s89ab, w.scdef * x.scdef);
    return sum + (((a.x + b.x) + (a.y + b.y)) + ((a.z + b.z) + (a.w + b.w)));
}
#endif

#define DEFINE_FEW(COLUMNS)                                                                        \
    __kernel __attribute__((reqd_work_group_size(SHARE, SETS, 1))) void run_few_##COLUMNS(         \
        MATMUL_PARAMETERS)                                                                         \
    {                                                                                              \
        __local float partial[SETS][ROWS * COLUMNS][SHARE];                                        \
        WEIGHT(w);                                                                                 \
        const uint lane = get_local_id(0), set = get_local_id(1);                                  \
        const uint row0 = (get_group_id(0) * SETS + set) * ROWS;                                   \
        const uint column0 = get_group_id(1) * COLUMNS;                                            \
        part sum[ROWS][COLUMNS];                                                                   \
        _Pragma("unroll")                                                                          \
        for (uint r = 0; r < ROWS; r++) {                                                          \
            _Pragma("unroll")                                                                      \
            for (uint c = 0; c < COLUMNS; c++) {                                                   \
                sum[r][c] = 0.0f;                                                                  \
            }                                                                                      \
        }                                                                                          \
        for (uint u = lane; u < n_units; u += SHARE) {                                             \
            _Pragma("unroll")                                                                      \
            for (uint h = 0; h < 2; h++) {                                                         \
                float16 values[ROWS];                                                              \
                _Pragma("unroll")                                                                  \
                for (uint r = 0; r < ROWS; r++) {                                                  \
                    const size_t row = min(row0 + r, n_rows - 1);                                  \
                    values[r] = weights16(w, row * n_units + u, h);                                \
                }                                                                                  \
                _Pragma("unroll")                                                                  \
                for (uint c = 0; c < COLUMNS; c++) {                                               \
                    const size_t column = min(column0 + c, n - 1);                                 \
                    const float16 in = vload16((column * n_units + u) * 2 + h, x);                 \
                    _Pragma("unroll")                                                              \
                    for (uint r = 0; r < ROWS; r++) {                                              \
                        sum[r][c] = PART_FMA(values[r], in, sum[r][c]);                            \
                    }                                                                              \
                }                                                                                  \
            }                                                                                      \
        }                                                                                          \
        _Pragma("unroll")                                                                          \
        for (uint r = 0; r < ROWS; r++) {                                                          \
            _Pragma("unroll")                                                                      \
            for (uint c = 0; c < COLUMNS; c++) {                                                   \
                partial[set][r * COLUMNS + c][lane] = PART_SUM(sum[r][c]);                         \
            }                                                                                      \
        }                                                                                          \
        for (uint step = SHARE / 2; step > 0; step /= 2) {                                         \
            barrier(CLK_LOCAL_MEM_FENCE);                                                          \
            for (uint i = 0; lane < step && i < ROWS * COLUMNS; i++) {                             \
                partial[set][i][lane] += partial[set][i][lane + step];                             \
            }                                                                                      \
        }                                                                                          \
        barrier(CLK_LOCAL_MEM_FENCE);                                                              \
        for (uint i = lane; i < ROWS * COLUMNS; i += SHARE) {                                      \
            finish(partial[set][i][0], row0 + i / COLUMNS, column0 + i % COLUMNS, n_rows, n, bias, \
                   residual, y, stride);                                                           \
        }                                                                                          \
    }
DEFINE_FEW(1)
DEFINE_FEW(2)
DEFINE_FEW(4)
DEFINE_FEW(8)

#if !WIDE
/* Many columns: tiles of 64 rows x 64 columns, 32 columns of W at a time through local memory,
 * decoded once for 64 columns of x; 16 x 16 items with 4 x 4 results each. */
__kernel __attribute__((reqd_work_group_size(16, 16, 1))) void run_many(MATMUL_PARAMETERS)
{
    __local float ws[32][68], xs[32][68];
    WEIGHT(w);
    const uint lid = get_local_id(1) * 16 + get_local_id(0);
    const uint row0 = get_group_id(0) * 64, column0 = get_group_id(1) * 64;
    /* The first 128 items bring weights, the others activations: 16 values of one row each. */
    const uint is_x = lid / 128, h = lid / 64 % 2, line = lid % 64;
    const size_t row = min(row0 + line, n_rows - 1), column = min(column0 + line, n - 1);
    __local float *to = (is_x ? xs[h * 16] : ws[h * 16]) + line;
    float4 sums[4] = {0.0f, 0.0f, 0.0f, 0.0f};
    for (uint u = 0; u < n_units; u++) {
        float values[16];
        vstore16(is_x ? vload16((column * n_units + u) * 2 + h, x)
                      : weights16(w, row * n_units + u, h),
                 0, values);
        barrier(CLK_LOCAL_MEM_FENCE);
        for (uint i = 0; i < 16; i++) {
            to[i * 68] = values[i];
        }
        barrier(CLK_LOCAL_MEM_FENCE);
        for (uint k = 0; k < 32; k++) {
            const float4 a = vload4(get_local_id(0), ws[k]);
            const float4 b = vload4(get_local_id(1), xs[k]);
            sums[0] = fma(a, (float4)(b.x), sums[0]);
            sums[1] = fma(a, (float4)(b.y), sums[1]);
            sums[2] = fma(a, (float4)(b.z), sums[2]);
            sums[3] = fma(a, (float4)(b.w), sums[3]);
        }
    }
    for (uint c = 0; c < 4; c++) {
        const uint r0 = row0 + 4 * get_local_id(0), to_column = column0 + 4 * get_local_id(1) + c;
        finish(sums[c].x, r0, to_column, n_rows, n, bias, residual, y, stride);
        finish(sums[c].y, r0 + 1, to_column, n_rows, n, bias, residual, y, stride);
        finish(sums[c].z, r0 + 2, to_column, n_rows, n, bias, residual, y, stride);
        finish(sums[c].w, r0 + 3, to_column, n_rows, n, bias, residual, y, stride);
    }
}
#endif
