/* SPDX-License-Identifier: MIT */
/* Matrix products over the primitives of a simd_*.h. A tile is R rows of the weights by C rows of
 * the activations, both constants after inlining; each of its R x C results has one accumulator.
 *
 * Rows go in blocks that stay in the second-level cache while all activations pass by, so weights
 * are read from memory once a call, whatever n is. */

/* Weight bytes a block of rows. */
#define ROW_BLOCK_BYTES (192u * 1024u)

static ALWAYS_INLINE vf load_weights(enum jb_dtype dtype, const uint8_t *row, uint32_t i)
{
    return dtype == JB_F32   ? vf_load((const float *)(const void *)row + i)
           : dtype == JB_F16 ? vf_load_f16(row + 2 * (size_t)i)
                             : vf_load_bf16(row + 2 * (size_t)i);
}

static ALWAYS_INLINE vf load_weights_n(enum jb_dtype dtype, const uint8_t *row, uint32_t i,
                                       uint32_t n)
{
    return dtype == JB_F32   ? vf_load_n((const float *)(const void *)row + i, n)
           : dtype == JB_F16 ? vf_load_f16_n(row + 2 * (size_t)i, n)
                             : vf_load_bf16_n(row + 2 * (size_t)i, n);
}

/* w: first of R rows; x: first of C rows; dst[c * dst_stride + r]. */
static ALWAYS_INLINE void float_tile(enum jb_dtype dtype, const uint32_t R, const uint32_t C,
                                     const struct jb_cpu_matmul *job, const uint8_t *w,
                                     const float *x, float *dst)
{
    vf acc[FLOAT_ROWS][FLOAT_COLS];
    vf wv[FLOAT_ROWS];
    const uint32_t cols = job->cols;
    const size_t row_bytes = job->row_bytes, x_stride = job->x_stride;
    UNROLL for (uint32_t r = 0; r < R; r++)
    {
        UNROLL for (uint32_t c = 0; c < C; c++)
        {
            acc[r][c] = vf_set(0.0f);
        }
    }
    uint32_t i = 0;
    for (; i + LANES <= cols; i += LANES) {
        UNROLL for (uint32_t r = 0; r < R; r++)
        {
            wv[r] = load_weights(dtype, w + r * row_bytes, i);
        }
        UNROLL for (uint32_t c = 0; c < C; c++)
        {
            const vf xv = vf_load(x + c * x_stride + i);
            UNROLL for (uint32_t r = 0; r < R; r++)
            {
                acc[r][c] = vf_fma(wv[r], xv, acc[r][c]);
            }
        }
    }
    if (i < cols) {
        UNROLL for (uint32_t r = 0; r < R; r++)
        {
            wv[r] = load_weights_n(dtype, w + r * row_bytes, i, cols - i);
        }
        UNROLL for (uint32_t c = 0; c < C; c++)
        {
            const vf xv = vf_load_n(x + c * x_stride + i, cols - i);
            UNROLL for (uint32_t r = 0; r < R; r++)
            {
                acc[r][c] = vf_fma(wv[r], xv, acc[r][c]);
            }
        }
    }
    UNROLL for (uint32_t r = 0; r < R; r++)
    {
        UNROLL for (uint32_t c = 0; c < C; c++)
        {
            dst[c * job->dst_stride + r] = vf_sum(acc[r][c]);
        }
    }
}

/* Rows [begin, end) by C activations from number `first` on. */
static ALWAYS_INLINE void float_rows(enum jb_dtype dtype, const uint32_t C,
                                     const struct jb_cpu_matmul *job, uint32_t begin, uint32_t end,
                                     uint32_t first)
{
    const float *x = job->x + first * job->x_stride;
    float *dst = job->dst + first * job->dst_stride;
    uint32_t r = begin;
    for (; r + FLOAT_ROWS <= end; r += FLOAT_ROWS) {
        float_tile(dtype, FLOAT_ROWS, C, job, job->weights + r * job->row_bytes, x, dst + r);
    }
    for (; r < end; r++) {
        float_tile(dtype, 1, C, job, job->weights + r * job->row_bytes, x, dst + r);
    }
}

static ALWAYS_INLINE uint32_t rows_a_block(const struct jb_cpu_matmul *job)
{
    const size_t rows = ROW_BLOCK_BYTES / (job->row_bytes + 1) / 16 * 16;
    return rows < 16 ? 16 : rows > UINT16_MAX ? UINT16_MAX : (uint32_t)rows;
}

static ALWAYS_INLINE void float_matmul(enum jb_dtype dtype, const struct jb_cpu_matmul *job,
                                       uint32_t row_begin, uint32_t row_end)
{
    const uint32_t block = rows_a_block(job);
    for (uint32_t begin = row_begin; begin < row_end; begin += block) {
        const uint32_t end = row_end - begin < block ? row_end : begin + block;
        uint32_t c = 0;
        for (; c + FLOAT_COLS <= job->n; c += FLOAT_COLS) {
            float_rows(dtype, FLOAT_COLS, job, begin, end, c);
        }
        if (c + 2 <= job->n && FLOAT_COLS > 2) {
            float_rows(dtype, 2, job, begin, end, c);
            c += 2;
        }
        for (; c < job->n; c++) {
            float_rows(dtype, 1, job, begin, end, c);
        }
    }
}

#define FLOAT_MATMUL(NAME, DTYPE)                                                                  \
    static void NAME(const struct jb_cpu_matmul *job, uint32_t begin, uint32_t end)                \
    {                                                                                              \
        float_matmul(DTYPE, job, begin, end);                                                      \
    }
FLOAT_MATMUL(matmul_f32, JB_F32)
#ifndef JB_CPU_PACKED
FLOAT_MATMUL(matmul_f16, JB_F16)
FLOAT_MATMUL(matmul_bf16, JB_BF16)
#endif
