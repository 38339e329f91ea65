/* SPDX-License-Identifier: MIT */
/* Products over panels of F16 and BF16 (packed.h) with AVX-512. A tile is P panels by C columns;
 * each result has one float accumulator, to which columns of the weights are added in order (BF16
 * dots: pairs of them).
 *
 * F16 is multiplied in float32. BF16 too, where inputs are given as float32; where they are given
 * as bfloat16, by the dot instruction, which is twice as fast and rounds the inputs. */

/* Four panels by six columns, or two by eight, leave registers for the weights. */
#define HALF_PANELS 4u
#define HALF_COLS 8u

/* How a tile reads weights and inputs. */
enum half_kind { HALF_F16, HALF_BF16, HALF_DOT };

static ALWAYS_INLINE __m512 bf16_even(__m512i pairs)
{
    return _mm512_castsi512_ps(_mm512_slli_epi32(pairs, 16));
}
static ALWAYS_INLINE __m512 bf16_odd(__m512i pairs)
{
    return _mm512_castsi512_ps(_mm512_and_si512(pairs, _mm512_set1_epi32((int)0xffff0000u)));
}

/* Columns i and i + 1 of P panels, by C inputs. */
static ALWAYS_INLINE void half_pair(enum half_kind kind, const uint32_t P, const uint32_t C,
                                    const uint8_t *panel, size_t panel_bytes, const uint8_t *x,
                                    size_t x_bytes, uint32_t i, __m512 acc[HALF_PANELS][HALF_COLS])
{
    __m512i w[HALF_PANELS];
    UNROLL for (uint32_t p = 0; p < P; p++)
    {
        w[p] = panel_line(panel + p * panel_bytes + (size_t)i * 32);
    }
    UNROLL for (uint32_t half = 0; half < 2; half++)
    {
        __m512 v[HALF_PANELS];
        UNROLL for (uint32_t p = 0; p < P; p++)
        {
            v[p] = kind != HALF_F16
                       ? (half == 0 ? bf16_even(w[p]) : bf16_odd(w[p]))
                       : _mm512_cvtph_ps(half == 0 ? _mm512_castsi512_si256(w[p])
                                                   : _mm512_extracti64x4_epi64(w[p], 1));
        }
        UNROLL for (uint32_t c = 0; c < C; c++)
        {
            float value;
            memcpy(&value, x + c * x_bytes + ((size_t)i + half) * 4, 4);
            const __m512 a = _mm512_set1_ps(value);
            UNROLL for (uint32_t p = 0; p < P; p++)
            {
                acc[p][c] = _mm512_fmadd_ps(v[p], a, acc[p][c]);
            }
        }
    }
}

#ifdef __AVX512BF16__
static ALWAYS_INLINE void half_dots(const uint32_t P, const uint32_t C, const uint8_t *panel,
                                    size_t panel_bytes, const uint8_t *x, size_t x_bytes,
                                    uint32_t i, __m512 acc[HALF_PANELS][HALF_COLS])
{
    __m512i w[HALF_PANELS];
    UNROLL for (uint32_t p = 0; p < P; p++)
    {
        w[p] = panel_line(panel + p * panel_bytes + (size_t)i * 32);
    }
    UNROLL for (uint32_t c = 0; c < C; c++)
    {
        const __m512i a = four_codes((const int8_t *)x + c * x_bytes + (size_t)i * 2);
        UNROLL for (uint32_t p = 0; p < P; p++)
        {
            acc[p][c] = _mm512_dpbf16_ps(acc[p][c], (__m512bh)w[p], (__m512bh)a);
        }
    }
}
#endif

/* The last column of an odd number. */
static ALWAYS_INLINE void half_last(enum half_kind kind, const uint32_t P, const uint32_t C,
                                    const uint8_t *panel, size_t panel_bytes, const uint8_t *x,
                                    size_t x_bytes, uint32_t i, __m512 acc[HALF_PANELS][HALF_COLS])
{
    UNROLL for (uint32_t p = 0; p < P; p++)
    {
        const uint8_t *w = panel + p * panel_bytes + (size_t)i * 32;
        const __m512 v = kind == HALF_F16 ? panel_halves(w) : bf16_even(panel_line(w));
        UNROLL for (uint32_t c = 0; c < C; c++)
        {
            float value;
            memcpy(&value, x + c * x_bytes + (size_t)i * 4, 4);
            acc[p][c] = _mm512_fmadd_ps(v, _mm512_set1_ps(value), acc[p][c]);
        }
    }
}

static ALWAYS_INLINE void half_tile(enum half_kind kind, const uint32_t P, const uint32_t C,
                                    const struct jb_cpu_matmul *job, uint32_t row, uint32_t end,
                                    uint32_t first)
{
    const size_t panel_bytes = job->row_bytes;
    const uint8_t *panel = job->weights + row / JB_CPU_PANEL * panel_bytes;
    const size_t x_bytes = kind == HALF_DOT ? job->record_bytes : job->x_stride * sizeof(float);
    const uint8_t *x =
        kind == HALF_DOT ? (const uint8_t *)job->records : (const uint8_t *)(const void *)job->x;
    __m512 acc[HALF_PANELS][HALF_COLS];
    UNROLL for (uint32_t i = 0; i < P * C; i++)
    {
        acc[i / C][i % C] = _mm512_setzero_ps();
    }
    x += first * x_bytes;
    uint32_t i = 0;
#ifdef __AVX512BF16__
    for (; kind == HALF_DOT && i < job->cols; i += 2) { /* inputs are padded */
        half_dots(P, C, panel, panel_bytes, x, x_bytes, i, acc);
    }
#endif
    for (; kind != HALF_DOT && i + 2 <= job->cols; i += 2) {
        half_pair(kind, P, C, panel, panel_bytes, x, x_bytes, i, acc);
    }
    if (kind != HALF_DOT && i < job->cols) {
        half_last(kind, P, C, panel, panel_bytes, x, x_bytes, i, acc);
    }
    UNROLL for (uint32_t at = 0; at < P * C; at++)
    {
        const uint32_t r = row + at / C * JB_CPU_PANEL;
        const uint32_t n_rows = end - r < JB_CPU_PANEL ? end - r : JB_CPU_PANEL;
        _mm512_mask_storeu_ps(job->dst + (first + at % C) * job->dst_stride + r,
                              (__mmask16)((1u << n_rows) - 1u), acc[at / C][at % C]);
    }
}

static ALWAYS_INLINE void half_rows(enum half_kind kind, const uint32_t P, const uint32_t C,
                                    const struct jb_cpu_matmul *job, uint32_t begin, uint32_t end,
                                    uint32_t first)
{
    uint32_t r = begin;
    for (; end - r > (P - 1) * JB_CPU_PANEL; r += P * JB_CPU_PANEL) {
        half_tile(kind, P, C, job, r, end, first);
        if (end - r <= P * JB_CPU_PANEL) {
            return;
        }
    }
    for (; r < end; r += JB_CPU_PANEL) {
        half_tile(kind, 1, C, job, r, end, first);
    }
}

static ALWAYS_INLINE void half_matmul(enum half_kind kind, const struct jb_cpu_matmul *job,
                                      uint32_t row_begin, uint32_t row_end)
{
    const size_t fit = PACKED_BLOCK_BYTES / job->row_bytes / HALF_PANELS;
    const uint32_t block = (fit < 1      ? 1
                            : fit > 4096 ? 4096
                                         : (uint32_t)fit) *
                           HALF_PANELS * JB_CPU_PANEL;
    for (uint32_t begin = row_begin; begin < row_end; begin += block) {
        const uint32_t end = row_end - begin < block ? row_end : begin + block;
        uint32_t c = 0;
        for (; c + 6 <= job->n && job->n - c != 8; c += 6) {
            half_rows(kind, 4, 6, job, begin, end, c);
        }
        for (; c + 8 <= job->n; c += 8) {
            half_rows(kind, 2, 8, job, begin, end, c);
        }
        for (; c + 4 <= job->n; c += 4) {
            half_rows(kind, 4, 4, job, begin, end, c);
        }
        for (; c + 2 <= job->n; c += 2) {
            half_rows(kind, 4, 2, job, begin, end, c);
        }
        if (c < job->n) {
            half_rows(kind, 4, 1, job, begin, end, c);
        }
    }
}

static void packed_f16(const struct jb_cpu_matmul *job, uint32_t begin, uint32_t end)
{
    half_matmul(HALF_F16, job, begin, end);
}

static void packed_bf16(const struct jb_cpu_matmul *job, uint32_t begin, uint32_t end)
{
#ifdef __AVX512BF16__
#ifdef __AMX_BF16__
    if (job->n_terms == 1 && job->n >= AMX_LEAST) {
        amx_bf16(job, begin, end);
        return;
    }
#endif
    if (job->n_terms == 1) {
        half_matmul(HALF_DOT, job, begin, end);
        return;
    }
#endif
    half_matmul(HALF_BF16, job, begin, end);
}

#ifdef __AVX512BF16__
/* Columns [begin, end) of a row of x to bfloat16, rounded to nearest even; end a multiple of 32, or
 * cols: then zeros follow up to the next multiple. */
static void to_bf16(const float *x, uint32_t begin, uint32_t end, uint16_t *dst)
{
    uint32_t i = begin;
    for (; i + 16 <= end; i += 16) {
        _mm256_storeu_si256((__m256i *)(void *)(dst + i),
                            (__m256i)_mm512_cvtneps_pbh(_mm512_loadu_ps(x + i)));
    }
    for (; i < end; i++) {
        dst[i] = jb_f32_to_bf16(x[i]);
    }
    for (; i % 32 != 0; i++) {
        dst[i] = 0;
    }
}
#endif
