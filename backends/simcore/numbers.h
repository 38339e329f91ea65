/* SPDX-License-Identifier: MIT */
#ifndef JB_SIMCORE_NUMBERS_H
#define JB_SIMCORE_NUMBERS_H

/* Number formats that simulated multipliers take in and sum up in, and a strip of a matrix product
 * as a machine's own code computes it. */

#include <stdint.h>

/* What enters a multiplier. Scaled ones have one float32 scale a row of A and a column of B, which
 * multiply the finished sum: the largest magnitude over 448 (fp8), 127 (int8) or 7 (int4), or for
 * ternary, which takes -1, 0 and 1, the mean magnitude. */
enum jb_operand {
    JB_OPERAND_F32,
    JB_OPERAND_F16,
    JB_OPERAND_BF16,
    JB_OPERAND_FP8, /* E4M3 */
    JB_OPERAND_INT8,
    JB_OPERAND_INT4,
    JB_OPERAND_TERNARY,
    JB_N_OPERANDS
};
/* What sums are kept in: a product is added to the sum that comes in, and the sum is rounded.
 * int32 goes with whole-number operands and only with them. */
enum jb_sum { JB_SUM_F32, JB_SUM_F16, JB_SUM_BF16, JB_SUM_INT32, JB_N_SUMS };

extern const char *const jb_operand_names[JB_N_OPERANDS + 1]; /* NULL-terminated */
extern const char *const jb_sum_names[JB_N_SUMS + 1];
extern const uint32_t jb_operand_bits[JB_N_OPERANDS];

struct jb_numerics {
    enum jb_operand operand; /* of A; of B too, where nothing else is said */
    enum jb_sum sum;
};

/* dst (m, cols) = A (m, k) x panel (k, cols). */
struct jb_strip {
    const float *a; /* (m, k), rows a_stride apart; operands in units of their scales          */
    uint64_t m, k, a_stride;
    const float *panel; /* (k, panel_width), operands, of which `cols` columns count           */
    uint32_t cols, panel_width;
    float *scratch; /* (panel_width,)                                                          */
    float *dst;     /* (m, cols), rows dst_stride apart                                        */
    uint64_t dst_stride;
};

#ifdef __cplusplus
extern "C" {
#endif

/* Nearest E4M3 value, ties to even, saturated at 448; NaN stays NaN. */
float jb_fp8_round(float value);
/* Rounds a row to the operand format, in units of the returned scale (1 where there is none). */
float jb_operand_row(enum jb_operand operand, const float *src, uint64_t n, float *dst);
/* Rounds a sum. */
float jb_sum_round(enum jb_sum sum, float value);
/* A strip of whole numbers, exact in int32 whatever the order: operands up to 127, so no product of
 * up to 133,000 terms overflows. */
void jb_strip_integers(const struct jb_strip *strip);

#ifdef __cplusplus
}
#endif
#endif
