/* SPDX-License-Identifier: MIT */
/* Products of stored rows of quantised weights and records, over the code primitives of a
 * simd_*.h. Tiles and blocks as in impl_matmul.h. */

/* Per group of 256 values: the 8 (Q6_K: 16) factors of the blocks, and what the codes' offset
 * is worth, to be multiplied by the activations' block sums. */
struct group_scales {
    _Alignas(64) float d[16];
    _Alignas(64) float m[16];
};

/* The 6-bit scales and minima of Q4_K: 0..3 in the low bits of bytes 0..7; 4..7 have their low four
 * bits in bytes 8..11 and their high two in the top bits of bytes 0..7. */
static ALWAYS_INLINE void q4_k_scales(const struct jb_q4_k *block, int8_t scale[8], int8_t min[8])
{
    const uint8_t *p = block->scales;
    uint32_t a, b, c;
    memcpy(&a, p, 4);
    memcpy(&b, p + 4, 4);
    memcpy(&c, p + 8, 4);
    const uint32_t low_scale = a & 0x3f3f3f3fu, low_min = b & 0x3f3f3f3fu;
    const uint32_t high_scale = (c & 0x0f0f0f0fu) | ((a >> 2) & 0x30303030u);
    const uint32_t high_min = ((c >> 4) & 0x0f0f0f0fu) | ((b >> 2) & 0x30303030u);
    memcpy(scale, &low_scale, 4);
    memcpy(scale + 4, &high_scale, 4);
    memcpy(min, &low_min, 4);
    memcpy(min + 4, &high_min, 4);
}

static ALWAYS_INLINE void load_scales(enum jb_dtype dtype, const uint8_t *w, uint32_t n_blocks,
                                      struct group_scales *scales)
{
    if (dtype == JB_Q8_0) {
        f16_gather8(w, sizeof(struct jb_q8_0), n_blocks, scales->d);
    } else if (dtype == JB_Q4_0) {
        f16_gather8(w, sizeof(struct jb_q4_0), n_blocks, scales->d);
        scale8(scales->d, -8.0f, scales->m);
    } else if (dtype == JB_Q4_1) {
        f16_gather8(w, sizeof(struct jb_q4_1), n_blocks, scales->d);
        f16_gather8(w + 2, sizeof(struct jb_q4_1), n_blocks, scales->m);
    } else if (dtype == JB_Q4_K) {
        const struct jb_q4_k *block = (const void *)w;
        int8_t scale[8], min[8];
        q4_k_scales(block, scale, min);
        i8_scale8(scale, f16_value(&block->d), scales->d);
        i8_scale8(min, -f16_value(&block->dmin), scales->m);
    } else {
        const struct jb_q6_k *block = (const void *)w;
        const float d = f16_value(&block->d);
        i8_scale8(block->scales, d, scales->d);
        i8_scale8(block->scales + 8, d, scales->d + 8);
        scale8(scales->d, (float)-Q6_OFFSET, scales->m);
        scale8(scales->d + 8, (float)-Q6_OFFSET, scales->m + 8);
    }
}

/* Codes of block b of the group at w. */
static ALWAYS_INLINE qcode load_codes(enum jb_dtype dtype, const uint8_t *w, uint32_t b)
{
    if (dtype == JB_Q8_0) {
        return qcode_q8(w + b * sizeof(struct jb_q8_0) + 2);
    }
    if (dtype == JB_Q4_0) {
        return qcode_nibbles(w + b * sizeof(struct jb_q4_0) + 2);
    }
    if (dtype == JB_Q4_1) {
        return qcode_nibbles(w + b * sizeof(struct jb_q4_1) + 4);
    }
    if (dtype == JB_Q4_K) {
        const struct jb_q4_k *block = (const void *)w;
        return qcode_halves(block->q + b / 2 * 32, b % 2);
    }
    /* Q6_K, a half of 128 values: blocks 0, 1 in the low nibbles of 2 x 32 bytes, 2, 3 in the high
     * ones; the four share 32 bytes of bit pairs. */
    const struct jb_q6_k *block = (const void *)w;
    return qcode_q6(block->ql + b / 4 * 64 + b % 2 * 32, b / 2 % 2, block->qh + b / 4 * 32,
                    b % 4 * 2);
}

static ALWAYS_INLINE bool has_offset(enum jb_dtype dtype)
{
    return dtype != JB_Q8_0;
}

static ALWAYS_INLINE qacc add_block(enum jb_dtype dtype, qacc acc, qcode code, const int8_t *a,
                                    const float *prod)
{
    return dtype == JB_Q6_K   ? qacc_block2(acc, code, a, prod)
           : dtype == JB_Q8_0 ? qacc_block_signed(acc, code, a, prod)
                              : qacc_block(acc, code, a, prod);
}

/* The first n_blocks blocks of one group; n_blocks is a constant 8 but for the last. */
static ALWAYS_INLINE void quant_group(enum jb_dtype dtype, const uint32_t R, const uint32_t C,
                                      uint32_t n_blocks, const struct jb_cpu_matmul *job,
                                      const uint8_t *w, const int8_t *records, uint32_t group,
                                      qacc acc[QUANT_ROWS][QUANT_COLS])
{
    const uint32_t padded = jb_cpu_padded(job->cols);
    _Alignas(64) float prod[QUANT_ROWS][QUANT_COLS][16];
    UNROLL for (uint32_t r = 0; r < R; r++)
    {
        struct group_scales scales;
        load_scales(dtype, w + r * job->row_bytes, n_blocks, &scales);
        UNROLL for (uint32_t c = 0; c < C; c++)
        {
            const int8_t *record = records + c * job->record_bytes;
            const float *d = jb_cpu_record_d(record, padded) + group * 8;
            if (dtype == JB_Q6_K) {
                const float *s16 = jb_cpu_record_s16(record, padded) + (size_t)group * 16;
                mul8_twice(scales.d, d, prod[r][c]);
                acc[r][c] = qacc_offset(acc[r][c], scales.m, s16);
                acc[r][c] = qacc_offset(acc[r][c], scales.m + 8, s16 + 8);
            } else {
                mul8(scales.d, d, prod[r][c]);
                if (has_offset(dtype)) {
                    const float *s = jb_cpu_record_s(record, padded) + group * 8;
                    acc[r][c] = qacc_offset(acc[r][c], scales.m, s);
                }
            }
        }
    }
    for (uint32_t b = 0; b < n_blocks; b++) {
        UNROLL for (uint32_t r = 0; r < R; r++)
        {
            const qcode code = load_codes(dtype, w + r * job->row_bytes, b);
            UNROLL for (uint32_t c = 0; c < C; c++)
            {
                const int8_t *a =
                    records + c * job->record_bytes + (size_t)group * JB_CPU_GROUP + b * 32;
                acc[r][c] = add_block(dtype, acc[r][c], code, a,
                                      prod[r][c] + (dtype == JB_Q6_K ? 2 * b : b));
            }
        }
    }
}

static ALWAYS_INLINE size_t group_bytes(enum jb_dtype dtype)
{
    return dtype == JB_Q8_0   ? 8 * sizeof(struct jb_q8_0)
           : dtype == JB_Q4_0 ? 8 * sizeof(struct jb_q4_0)
           : dtype == JB_Q4_1 ? 8 * sizeof(struct jb_q4_1)
           : dtype == JB_Q4_K ? sizeof(struct jb_q4_k)
                              : sizeof(struct jb_q6_k);
}

static ALWAYS_INLINE void quant_tile(enum jb_dtype dtype, const uint32_t R, const uint32_t C,
                                     const struct jb_cpu_matmul *job, const uint8_t *w,
                                     const int8_t *records, float *dst)
{
    qacc acc[QUANT_ROWS][QUANT_COLS];
    UNROLL for (uint32_t r = 0; r < R; r++)
    {
        UNROLL for (uint32_t c = 0; c < C; c++)
        {
            acc[r][c] = qacc_zero();
        }
    }
    const uint32_t n_groups = job->cols / JB_CPU_GROUP;
    for (uint32_t g = 0; g < n_groups; g++, w += group_bytes(dtype)) {
        quant_group(dtype, R, C, 8, job, w, records, g, acc);
    }
    const uint32_t n_left = job->cols % JB_CPU_GROUP / 32;
    if (n_left > 0 && dtype != JB_Q4_K && dtype != JB_Q6_K) {
        quant_group(dtype, R, C, n_left, job, w, records, n_groups, acc);
    }
    UNROLL for (uint32_t r = 0; r < R; r++)
    {
        UNROLL for (uint32_t c = 0; c < C; c++)
        {
            dst[c * job->dst_stride + r] = qacc_sum(acc[r][c]);
        }
    }
}

static ALWAYS_INLINE void quant_rows(enum jb_dtype dtype, const uint32_t R, const uint32_t C,
                                     const struct jb_cpu_matmul *job, uint32_t begin, uint32_t end,
                                     uint32_t first)
{
    const int8_t *records = job->records + first * job->record_bytes;
    float *dst = job->dst + first * job->dst_stride;
    uint32_t r = begin;
    for (; r + R <= end; r += R) {
        quant_tile(dtype, R, C, job, job->weights + r * job->row_bytes, records, dst + r);
    }
    for (; r < end; r++) {
        quant_tile(dtype, 1, C, job, job->weights + r * job->row_bytes, records, dst + r);
    }
}

static ALWAYS_INLINE void quant_matmul(enum jb_dtype dtype, const struct jb_cpu_matmul *job,
                                       uint32_t row_begin, uint32_t row_end)
{
    const uint32_t block = rows_a_block(job);
    for (uint32_t begin = row_begin; begin < row_end; begin += block) {
        const uint32_t end = row_end - begin < block ? row_end : begin + block;
        uint32_t c = 0;
        for (; c + QUANT_COLS <= job->n; c += QUANT_COLS) {
            quant_rows(dtype, QUANT_ROWS_WIDE, QUANT_COLS, job, begin, end, c);
        }
        for (; c + 2 <= job->n; c += 2) {
            quant_rows(dtype, QUANT_ROWS, 2, job, begin, end, c);
        }
        if (c < job->n) {
            quant_rows(dtype, QUANT_ROWS, 1, job, begin, end, c);
        }
    }
}

#define QUANT_MATMUL(NAME, DTYPE)                                                                  \
    static void NAME(const struct jb_cpu_matmul *job, uint32_t begin, uint32_t end)                \
    {                                                                                              \
        quant_matmul(DTYPE, job, begin, end);                                                      \
    }
QUANT_MATMUL(matmul_q8_0, JB_Q8_0)
QUANT_MATMUL(matmul_q4_0, JB_Q4_0)
QUANT_MATMUL(matmul_q4_1, JB_Q4_1)
QUANT_MATMUL(matmul_q4_k, JB_Q4_K)
QUANT_MATMUL(matmul_q6_k, JB_Q6_K)
