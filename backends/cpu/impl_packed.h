/* SPDX-License-Identifier: MIT */
/* Products over panels (packed.h) with AVX-512 VNNI. A tile is one panel by C columns of
 * activations; each of its 16 C results has one float accumulator, to which blocks of 32 columns
 * (Q6_K: 16) are added in order, so results depend on neither C nor the split of the rows.
 *
 * Codes are unsigned: what their offset adds is taken off by where the integer sum starts. The high
 * nibbles of a step stay where they are and count 16 times; their scale is divided by 16, exactly.
 * 12 columns fill the 32 registers: an integer and a float accumulator each. */

/* Columns of the widest tile. */
#define PACKED_COLS 12u
#define PACKED_QUADS 3u
/* Most columns of a tile that takes both blocks of a step at once. */
#define PACKED_NARROW 4u
/* Weight bytes that stay in the second-level cache while all columns pass by. */
#define PACKED_BLOCK_BYTES (320u * 1024u)

static ALWAYS_INLINE __m512 panel_halves(const uint8_t *p)
{
    return _mm512_cvtph_ps(_mm256_load_si256((const __m256i *)(const void *)p));
}
static ALWAYS_INLINE __m512 panel_u8(const uint8_t *p)
{
    return _mm512_cvtepi32_ps(
        _mm512_cvtepu8_epi32(_mm_load_si128((const __m128i *)(const void *)p)));
}
static ALWAYS_INLINE __m512 panel_i8(const uint8_t *p)
{
    return _mm512_cvtepi32_ps(
        _mm512_cvtepi8_epi32(_mm_load_si128((const __m128i *)(const void *)p)));
}
static ALWAYS_INLINE __m512i panel_line(const uint8_t *p)
{
    return _mm512_load_si512((const void *)p);
}
/* Four neighbouring codes of one row of activations, for all 16 rows of weights. */
static ALWAYS_INLINE __m512i four_codes(const int8_t *q)
{
    int32_t four;
    memcpy(&four, q, sizeof(four));
    return _mm512_set1_epi32(four);
}

/* Line j of block h of a step's codes. */
static ALWAYS_INLINE __m512i panel_codes(enum jb_dtype dtype, const uint8_t *codes, uint32_t h,
                                         uint32_t j)
{
    if (dtype == JB_Q8_0) {
        return panel_line(codes + (8 * h + j) * JB_CPU_LINE);
    }
    const __m512i both = panel_line(codes + j * JB_CPU_LINE);
    if (dtype != JB_Q6_K) {
        return _mm512_and_si512(both, _mm512_set1_epi8(h == 0 ? 0x0f : (char)0xf0));
    }
    const __m512i pairs = panel_line(codes + (8 + j % 4) * JB_CPU_LINE);
    const uint32_t at = 4 * h + 2 * (j / 4);
    const __m512i high = at == 0   ? _mm512_slli_epi16(pairs, 4)
                         : at == 2 ? _mm512_slli_epi16(pairs, 2)
                         : at == 4 ? pairs
                                   : _mm512_srli_epi16(pairs, 2);
    const __m512i low = h == 0 ? both : _mm512_srli_epi16(both, 4);
    /* low & 15 | high & 48: the low four bits of each byte are `low`'s, the others `high`'s. */
    const __m512i joined = _mm512_ternarylogic_epi32(_mm512_set1_epi8(15), low, high, 0xca);
    return _mm512_and_si512(joined, _mm512_set1_epi8(63));
}

/* Columns of a block of activations: `width` a record (packed.h). */
struct quads {
    const int8_t *at[PACKED_QUADS];
    uint32_t width;
};

static ALWAYS_INLINE const int8_t *quad_codes(const struct quads *quads, uint32_t c, uint32_t j)
{
    return quads->at[c / 4] + c % 4 * 32 + j * 4;
}
static ALWAYS_INLINE const int8_t *quad_rest(const struct quads *quads, uint32_t c, uint32_t j)
{
    return quads->at[c / 4] + JB_CPU_QUAD_REST(quads->width) + c % 4 * 32 + j * 4;
}
static ALWAYS_INLINE __m512i quad_int(const struct quads *quads, uint32_t c, uint32_t offset)
{
    return four_codes(quads->at[c / 4] + offset + c % 4 * 4);
}
static ALWAYS_INLINE __m512 quad_float(const struct quads *quads, uint32_t c, uint32_t offset)
{
    return _mm512_castsi512_ps(quad_int(quads, c, offset));
}

/* What block h's integer sums are multiplied by, and what its minima are (0 = none). */
struct panel_scales {
    __m512 d, m;
};

static ALWAYS_INLINE struct panel_scales load_panel_scales(enum jb_dtype dtype, const uint8_t *head,
                                                           const uint8_t *step, uint32_t h,
                                                           uint32_t run)
{
    struct panel_scales scales = {.d = _mm512_setzero_ps(), .m = _mm512_setzero_ps()};
    if (dtype == JB_Q4_K) {
        scales.d = _mm512_mul_ps(panel_halves(head), panel_u8(step + 16 * h));
        scales.m = _mm512_mul_ps(panel_halves(head + 32), panel_u8(step + 32 + 16 * h));
        scales.m = _mm512_sub_ps(_mm512_setzero_ps(), scales.m);
    } else if (dtype == JB_Q6_K) {
        scales.d = _mm512_mul_ps(panel_halves(head), panel_i8(step + 16 * (2 * h + run)));
    } else {
        scales.d = panel_halves(step + 32 * h);
    }
    if (dtype == JB_Q4_1) {
        scales.m = panel_halves(step + JB_CPU_LINE + 32 * h);
    }
    if (dtype != JB_Q8_0 && dtype != JB_Q6_K && h == 1) {
        scales.d = _mm512_mul_ps(scales.d, _mm512_set1_ps(1.0f / 16.0f));
    }
    return scales;
}

/* Where the sum of run `run` of block h starts (runs: the two halves of a block of Q6_K). */
static ALWAYS_INLINE __m512i first_sum(enum jb_dtype dtype, const struct quads *quads, uint32_t c,
                                       uint32_t h, uint32_t run)
{
    const uint32_t width = quads->width;
    return dtype == JB_Q6_K   ? quad_int(quads, c, JB_CPU_QUAD_MINUS32(width) + run * 4 * width)
           : dtype == JB_Q8_0 ? quad_int(quads, c, JB_CPU_QUAD_MINUS128(width))
           : dtype != JB_Q4_0 ? _mm512_setzero_si512()
           : h == 0           ? quad_int(quads, c, JB_CPU_QUAD_MINUS8(width))
                              : quad_int(quads, c, JB_CPU_QUAD_MINUS128(width));
}

static ALWAYS_INLINE __m512 add_sum(enum jb_dtype dtype, __m512 acc, __m512i sum,
                                    const struct panel_scales *scales, const struct quads *quads,
                                    uint32_t c)
{
    const __m512 dot =
        _mm512_mul_ps(_mm512_cvtepi32_ps(sum), quad_float(quads, c, JB_CPU_QUAD_D(quads->width)));
    acc = _mm512_fmadd_ps(dot, scales->d, acc);
    if (dtype == JB_Q4_1 || dtype == JB_Q4_K) {
        acc = _mm512_fmadd_ps(scales->m, quad_float(quads, c, JB_CPU_QUAD_S(quads->width)), acc);
    }
    return acc;
}

/* A step by many columns: one block, or run, after the other, as registers are few. */
static ALWAYS_INLINE void wide_step(enum jb_dtype dtype, const uint32_t C, const uint8_t *head,
                                    const uint8_t *step, const struct quads quads[2], __m512 *acc)
{
    const uint8_t *codes = step + (dtype == JB_Q4_1 ? 2 : 1) * JB_CPU_LINE;
    const uint32_t n_runs = dtype == JB_Q6_K ? 2 : 1, n_lines = 8 / n_runs;
    UNROLL for (uint32_t i = 0; i < 2 * n_runs; i++)
    {
        const uint32_t h = i / n_runs, run = i % n_runs;
        const struct panel_scales scales = load_panel_scales(dtype, head, step, h, run);
        __m512i sums[PACKED_COLS];
        UNROLL for (uint32_t c = 0; c < C; c++)
        {
            sums[c] = first_sum(dtype, &quads[h], c, h, run);
        }
        UNROLL for (uint32_t j = run * n_lines; j < run * n_lines + n_lines; j++)
        {
            const __m512i w = panel_codes(dtype, codes, h, j);
            UNROLL for (uint32_t c = 0; c < C; c++)
            {
                sums[c] = _mm512_dpbusd_epi32(sums[c], w, four_codes(quad_codes(&quads[h], c, j)));
            }
        }
        UNROLL for (uint32_t c = 0; c < C; c++)
        {
            acc[c] = add_sum(dtype, acc[c], sums[c], &scales, &quads[h], c);
        }
    }
}

/* Sums of a line: of the first terms, and of the rests. */
static ALWAYS_INLINE void narrow_dots(const uint32_t C, const uint32_t terms, __m512i w,
                                      const struct quads *quads, uint32_t j, __m512i *sums,
                                      __m512i *upper)
{
    UNROLL for (uint32_t c = 0; c < C; c++)
    {
        const __m512i a = four_codes(quad_codes(quads, c, j));
        if (terms == 2) {
            upper[c] = _mm512_dpbusd_epi32(upper[c], w, a);
            sums[c] = _mm512_dpbusd_epi32(sums[c], w, four_codes(quad_rest(quads, c, j)));
        } else {
            sums[c] = _mm512_dpbusd_epi32(sums[c], w, a);
        }
    }
}

/* A step by few columns: many sums side by side, as each waits for its last dot. There are sums of
 * both blocks, and of a block's even and odd lines (Q6_K: runs). */
static ALWAYS_INLINE void narrow_step(enum jb_dtype dtype, const uint32_t C, const uint32_t terms,
                                      const uint8_t *head, const uint8_t *step,
                                      const struct quads quads[2], __m512 *acc)
{
    const uint8_t *codes = step + (dtype == JB_Q4_1 ? 2 : 1) * JB_CPU_LINE;
    __m512i sums[4][PACKED_NARROW], upper[4][PACKED_NARROW];
    UNROLL for (uint32_t i = 0; i < 4 * C; i++)
    {
        const uint32_t c = i / 4, h = i / 2 % 2, run = i % 2;
        const bool starts = dtype == JB_Q6_K || run == 0;
        sums[i % 4][c] = starts ? first_sum(dtype, &quads[h], c, h, run) : _mm512_setzero_si512();
        upper[i % 4][c] = _mm512_setzero_si512();
    }
    UNROLL for (uint32_t i = 0; i < 16; i++)
    {
        /* Lines in the order of memory; Q6_K's lines j and j + 4 share their high pairs. */
        const uint32_t h = dtype == JB_Q8_0 ? i / 8 : i % 2;
        const uint32_t j = dtype == JB_Q8_0   ? i % 8
                           : dtype == JB_Q6_K ? i / 4 + i / 2 % 2 * 4
                                              : i / 2;
        const uint32_t run = dtype == JB_Q6_K ? j / 4 : j % 2;
        narrow_dots(C, terms, panel_codes(dtype, codes, h, j), &quads[h], j, sums[2 * h + run],
                    upper[2 * h + run]);
    }
    UNROLL for (uint32_t i = 0; i < 4; i++)
    {
        const uint32_t h = i / 2, run = i % 2;
        const struct panel_scales scales = load_panel_scales(dtype, head, step, h, run);
        UNROLL for (uint32_t c = 0; c < C; c++)
        {
            if (dtype != JB_Q6_K && run == 0) {
                sums[i + 1][c] = _mm512_add_epi32(sums[i][c], sums[i + 1][c]);
                upper[i + 1][c] = _mm512_add_epi32(upper[i][c], upper[i + 1][c]);
                continue;
            }
            __m512i sum = sums[i][c];
            if (terms == 2) {
                sum = _mm512_add_epi32(sum, _mm512_slli_epi32(upper[i][c], 8));
            }
            acc[c] = add_sum(dtype, acc[c], sum, &scales, &quads[h], c);
        }
    }
}

static ALWAYS_INLINE size_t panel_step_bytes(enum jb_dtype dtype)
{
    return (dtype == JB_Q8_0   ? 17u
            : dtype == JB_Q4_1 ? 10u
            : dtype == JB_Q6_K ? 13u
                               : 9u) *
           JB_CPU_LINE;
}

/* width: columns a record, see packed.h. */
static ALWAYS_INLINE void packed_tile(enum jb_dtype dtype, const uint32_t width, const uint32_t C,
                                      const uint32_t terms, const struct jb_cpu_matmul *job,
                                      const uint8_t *panel, const int8_t *records, float *dst,
                                      uint32_t n_rows)
{
    const bool has_heads = dtype == JB_Q4_K || dtype == JB_Q6_K;
    const size_t stride = jb_cpu_quad_stride(width, terms);
    const uint32_t n_steps = jb_cpu_panel_steps(job->cols);
    const uint8_t *head = panel, *step = panel;
    struct quads quads[2] = {{.width = width}, {.width = width}};
    __m512 acc[PACKED_COLS];
    UNROLL for (uint32_t c = 0; c < C; c++)
    {
        acc[c] = _mm512_setzero_ps();
    }
    for (uint32_t s = 0; s < n_steps; s++) {
        if (has_heads && s % 4 == 0) {
            head = step;
            step += JB_CPU_LINE;
        }
        UNROLL for (uint32_t i = 0; i < (C + 3) / 4; i++)
        {
            quads[0].at[i] = records + i * job->record_bytes;
            quads[1].at[i] = quads[0].at[i] + stride;
        }
        if (C <= PACKED_NARROW) {
            narrow_step(dtype, C, terms, head, step, quads, acc);
        } else {
            wide_step(dtype, C, head, step, quads, acc);
        }
        records += 2 * stride;
        step += panel_step_bytes(dtype);
    }
    const __mmask16 rows = (__mmask16)((1u << n_rows) - 1u);
    UNROLL for (uint32_t c = 0; c < C; c++)
    {
        _mm512_mask_storeu_ps(dst + c * job->dst_stride, rows, acc[c]);
    }
}

/* Rows [begin, end), a multiple of 16 but for the last, by C columns from number `first` on. */
static ALWAYS_INLINE void packed_rows(enum jb_dtype dtype, const uint32_t width, const uint32_t C,
                                      const uint32_t terms, const struct jb_cpu_matmul *job,
                                      uint32_t begin, uint32_t end, uint32_t first)
{
    const int8_t *records = job->records + first / 4 * job->record_bytes;
    float *dst = job->dst + first * job->dst_stride;
    for (uint32_t r = begin; r < end; r += JB_CPU_PANEL) {
        const uint32_t n_rows = end - r < JB_CPU_PANEL ? end - r : JB_CPU_PANEL;
        packed_tile(dtype, width, C, terms, job, job->weights + r / JB_CPU_PANEL * job->row_bytes,
                    records, dst + r, n_rows);
    }
}

static ALWAYS_INLINE void packed_last(enum jb_dtype dtype, const uint32_t terms,
                                      const struct jb_cpu_matmul *job, uint32_t begin, uint32_t end,
                                      uint32_t first)
{
    switch (job->n - first) {
    case 1:
        packed_rows(dtype, JB_CPU_QUAD, 1, terms, job, begin, end, first);
        break;
    case 2:
        packed_rows(dtype, JB_CPU_QUAD, 2, terms, job, begin, end, first);
        break;
    case 3:
        packed_rows(dtype, JB_CPU_QUAD, 3, terms, job, begin, end, first);
        break;
    default:
        break;
    }
}

static ALWAYS_INLINE void packed_matmul(enum jb_dtype dtype, const struct jb_cpu_matmul *job,
                                        uint32_t row_begin, uint32_t row_end)
{
    const size_t fit = PACKED_BLOCK_BYTES / job->row_bytes;
    const uint32_t block = (fit < 1 ? 1 : fit > 4096 ? 4096 : (uint32_t)fit) * JB_CPU_PANEL;
    for (uint32_t begin = row_begin; begin < row_end; begin += block) {
        const uint32_t end = row_end - begin < block ? row_end : begin + block;
        uint32_t c = 0;
        if (job->n == 1 && job->n_terms == 2) {
            packed_rows(dtype, 1, 1, 2, job, begin, end, 0);
            continue;
        }
        if (job->n == 1) {
            packed_rows(dtype, 1, 1, 1, job, begin, end, 0);
            continue;
        }
        if (job->n_terms == 2) {
            for (; c + 4 <= job->n; c += 4) {
                packed_rows(dtype, JB_CPU_QUAD, 4, 2, job, begin, end, c);
            }
            packed_last(dtype, 2, job, begin, end, c);
            continue;
        }
        /* 16 is 8 + 8, not 12 + 4: narrow tiles cost more a column. */
        for (; c + 12 <= job->n && job->n - c != 16; c += 12) {
            packed_rows(dtype, JB_CPU_QUAD, 12, 1, job, begin, end, c);
        }
        for (; c + 8 <= job->n; c += 8) {
            packed_rows(dtype, JB_CPU_QUAD, 8, 1, job, begin, end, c);
        }
        for (; c + 4 <= job->n; c += 4) {
            packed_rows(dtype, JB_CPU_QUAD, 4, 1, job, begin, end, c);
        }
        packed_last(dtype, 1, job, begin, end, c);
    }
}

#define PACKED_MATMUL(NAME, DTYPE)                                                                 \
    static void NAME(const struct jb_cpu_matmul *job, uint32_t begin, uint32_t end)                \
    {                                                                                              \
        packed_matmul(DTYPE, job, begin, end);                                                     \
    }
PACKED_MATMUL(packed_q8_0, JB_Q8_0)
PACKED_MATMUL(packed_q4_0, JB_Q4_0)
PACKED_MATMUL(packed_q4_1, JB_Q4_1)
PACKED_MATMUL(packed_q4_k, JB_Q4_K)
PACKED_MATMUL(packed_q6_k, JB_Q6_K)

/* One block of 32 values of one row of activations, lane `lane` of a record's block. */
static ALWAYS_INLINE void quad_block(const float *x, uint32_t width, uint32_t lane, uint32_t terms,
                                     int8_t *block)
{
    const __m512 a = _mm512_loadu_ps(x), b = _mm512_loadu_ps(x + 16), zero = _mm512_setzero_ps();
    /* The maximum drops NaN; a value that is not finite makes the scale NaN, so it is not lost. */
    const __m512 lost = _mm512_fmadd_ps(a, zero, _mm512_mul_ps(b, zero));
    const bool is_lost = _mm512_cmp_ps_mask(lost, zero, _CMP_UNORD_Q) != 0;
    const float largest = _mm512_reduce_max_ps(_mm512_max_ps(_mm512_abs_ps(a), _mm512_abs_ps(b)));
    /* Below 2^-119 the factor would be infinite; such a block is worth nothing and becomes zero. */
    const float factor = largest > 0x1p-119f && !is_lost ? 127.0f / largest : 0.0f;
    const __mmask16 kept = is_lost ? 0 : UINT16_MAX;
    const __m512 scaled[2] = {_mm512_maskz_mul_ps(kept, a, _mm512_set1_ps(factor)),
                              _mm512_maskz_mul_ps(kept, b, _mm512_set1_ps(factor))};
    const float d = is_lost ? NAN : largest / (terms == 2 ? 127.0f * 256.0f : 127.0f);
    int32_t sums[2];
    UNROLL for (uint32_t i = 0; i < 2; i++)
    {
        const __m512i q = _mm512_cvtps_epi32(scaled[i]);
        __m512i whole = q;
        _mm_storeu_si128((__m128i *)(void *)(block + lane * 32 + 16 * i), _mm512_cvtsepi32_epi8(q));
        if (terms == 2) {
            const __m512 left = _mm512_sub_ps(scaled[i], _mm512_cvtepi32_ps(q));
            __m512i rest = _mm512_cvtps_epi32(_mm512_mul_ps(left, _mm512_set1_ps(256.0f)));
            rest = _mm512_min_epi32(rest, _mm512_set1_epi32(127));
            _mm_storeu_si128(
                (__m128i *)(void *)(block + JB_CPU_QUAD_REST(width) + lane * 32 + 16 * i),
                _mm512_cvtsepi32_epi8(rest));
            whole = _mm512_add_epi32(_mm512_slli_epi32(q, 8), rest);
        }
        sums[i] = _mm512_reduce_add_epi32(whole);
    }
    const float s = d * (float)(sums[0] + sums[1]);
    const int32_t offsets[4] = {-8 * (sums[0] + sums[1]), -128 * (sums[0] + sums[1]), -32 * sums[0],
                                -32 * sums[1]};
    memcpy(block + JB_CPU_QUAD_D(width) + lane * 4, &d, 4);
    memcpy(block + JB_CPU_QUAD_S(width) + lane * 4, &s, 4);
    UNROLL for (uint32_t i = 0; i < 4; i++)
    {
        memcpy(block + JB_CPU_QUAD_MINUS8(width) + (i * width + lane) * 4, &offsets[i], 4);
    }
}

/* Blocks [begin, end) of a row of x (cols,) into lane `lane` of its record; those beyond cols are
 * zeros. */
static void quantise_quads(const float *x, uint32_t cols, uint32_t begin, uint32_t end,
                           uint32_t width, uint32_t lane, uint32_t n_terms, int8_t *record)
{
    static const float none[32] = {0};
    const size_t stride = jb_cpu_quad_stride(width, n_terms);
    for (uint32_t b = begin; b < end; b++) {
        const float *from = b * 32 < cols ? x + (size_t)b * 32 : none;
        if (n_terms == 2) {
            quad_block(from, width, lane, 2, record + b * stride);
        } else {
            quad_block(from, width, lane, 1, record + b * stride);
        }
    }
}
