/* SPDX-License-Identifier: MIT */
#ifndef JB_CPU_PACKED_H
#define JB_CPU_PACKED_H

/* Weights in panels of 16 rows, so that one register holds a few neighbouring columns of all 16 and
 * one dot instruction advances 16 results; and activations in quads of 4 rows, so that a tile of
 * columns is read from few addresses. The same panels serve one column, a few, and prefill, so
 * weights are kept once. Bytes are those of the stored rows but for Q4_K (+ 2.8 %) and
 * Q6_K (+ 1 %), whose scales are given a byte each or a whole line.
 *
 * A panel is a run of steps of 64 columns (block 0 and 1 of 32), each a run of whole cache lines:
 *   d, m   16 binary16 scales or minima of block 0, then of block 1
 *   codes  8 lines; line j holds for each row the 4 codes of columns 4j .. 4j+3 of block 0 in the
 *          low nibbles and of block 1 in the high ones
 *   Q4_0   d codes                      Q4_1   d m codes
 *   Q8_0   d, 8 lines of codes + 128 of block 0, 8 of block 1
 *   Q4_K   first a line of d and dmin for 4 steps; a step: 16 x 4 bytes of scales of blocks 0 and
 *          1, minima of 0 and 1; codes
 *   Q6_K   first a line of d (half of it unused) for 4 steps; a step: 16 x 4 int8 scales of the
 *          four runs of 16 columns; low nibbles as codes; 4 lines of high pairs: line j has the
 *          pairs of codes lines j and j + 4 of block 0, then of block 1, from the low bits up
 *   F16    64 x 16 values: for each column its 16 rows
 *   BF16   32 x 16 x 2 values: for each pair of columns the pairs of 16 rows
 * An odd last block gets a partner of zeros, rows that are missing are zeros. */

#include <stddef.h>
#include <stdint.h>

#include "backends/format/format.h"

#define JB_CPU_PANEL 16u
#define JB_CPU_QUAD 4u
#define JB_CPU_LINE 64u

/* Steps of 64 columns. */
static inline uint32_t jb_cpu_panel_steps(uint32_t cols)
{
    return (cols + 63u) / 64u;
}

/* Activations: x = d X, for each block of 32 columns of `width` rows: 1 row when a step has no
 * more, else quads of 4. One term: X = q in [-127, 127]. Two terms: X = 256 q + rest, of 15 bits. A
 * block is, for width w: q        (w, 32) int8 d        (w,) float32 s        (w,) float32  d sum
 * X: what a weight block's minimum is multiplied by minus8   (w,) int32    -8 sum X: what the
 * offset of unsigned codes is worth: Q4_0 minus128 (w,) int32    -128 sum X: Q8_0, and Q4_0 in the
 * high nibbles minus32  (2, w) int32  -32 sum X over each 16 columns: Q6_K rest     (w, 32) int8
 * two terms only */
#define JB_CPU_QUAD_D(w) (32u * (w))
#define JB_CPU_QUAD_S(w) (36u * (w))
#define JB_CPU_QUAD_MINUS8(w) (40u * (w))
#define JB_CPU_QUAD_MINUS128(w) (44u * (w))
#define JB_CPU_QUAD_MINUS32(w) (48u * (w))
#define JB_CPU_QUAD_REST(w) (56u * (w))

static inline uint32_t jb_cpu_quad_width(uint32_t n_rows)
{
    return n_rows == 1 ? 1u : JB_CPU_QUAD;
}
/* Bytes of one block. */
static inline size_t jb_cpu_quad_stride(uint32_t width, uint32_t n_terms)
{
    return (n_terms == 2 ? 88u : 56u) * (size_t)width;
}
/* Bytes of `width` rows: the blocks of 32 columns, rounded up to whole steps. */
static inline size_t jb_cpu_quad_bytes(uint32_t cols, uint32_t width, uint32_t n_terms)
{
    return (size_t)jb_cpu_panel_steps(cols) * 2 * jb_cpu_quad_stride(width, n_terms);
}

/* Bytes of one panel; 0 = the format is not packed. */
size_t jb_cpu_panel_bytes(enum jb_dtype dtype, uint32_t cols);

/* Packs n_rows <= 16 stored rows. */
void jb_cpu_pack(enum jb_dtype dtype, const uint8_t *rows, size_t row_bytes, uint32_t n_rows,
                 uint32_t cols, uint8_t *panel);

/* Decodes row `row` of a panel, to the bits of jb_format_decode(). @param dst (cols,) */
void jb_cpu_unpack_row(enum jb_dtype dtype, const uint8_t *panel, uint32_t row, uint32_t cols,
                       float *dst);

#endif
