/* SPDX-License-Identifier: MIT */
#ifndef JB_ASIC_SYSTOLIC_H
#define JB_ASIC_SYSTOLIC_H

/* A systolic array: what a matrix product costs on it in cycles, and the product itself, computed
 * through the same folds.
 *
 * A product (M, N, K) is A (M, K) times B (K, N). B are the weights (N outputs of K inputs), the
 * keys or the values; A are activations. The array has R rows and C columns of multipliers.
 *
 *   weight-stationary: a fold holds R x C of B. Its weights enter from the top, `load_rows` rows a
 *     cycle (usually 1), so in L = ceil(R / load_rows) cycles; then M rows of A enter from the
 *     left, row r of the array one cycle after row r - 1, and sums fall down the columns. A fold
 *     takes L + M + R + C - 2 cycles; there are ceil(K / R) ceil(N / C) folds. With preload each
 *     multiplier has a second weight register: weights of the next fold enter while this one
 *     streams, folds follow one another after max(M, L) cycles.
 *   output-stationary: a fold holds R x C of the result. A enters from the left, B from the top,
 *     both skewed; a fold takes K + R + C - 2 cycles until its last sum is whole, and there are
 *     ceil(M / R) ceil(N / C) of them. Sums leave on wires of their own. With preload each
 *     multiplier has a second sum register that leaves down the column, R cycles, while the next
 *     fold runs: folds follow one another after max(K, R) cycles.
 *
 * With L = R the forms without preload are those of SCALE-Sim (its counts are one less in total,
 * as it counts from zero). A partial fold costs as much as a whole one. The forms are held to a
 * simulation of every multiplier and every cycle in tests/timing/test_systolic.c. */

#include <stdbool.h>
#include <stdint.h>

enum jb_dataflow { JB_WEIGHT_STATIONARY, JB_OUTPUT_STATIONARY };

struct jb_array {
    uint32_t rows, cols; /* R, C                                                           */
    uint32_t load_rows;  /* rows of weights that enter in a cycle, 1 to rows               */
    enum jb_dataflow dataflow;
    bool has_preload;
};

struct jb_product {
    uint64_t m, n, k; /* >= 1 each */
};

/* Cycles of a product by cause; they do not overlap and add up to the total. */
struct jb_array_cycles {
    uint64_t n_folds;
    uint64_t stream; /* operands enter: the useful part                                       */
    uint64_t load;   /* weights enter, or sums leave, and nothing else goes on                */
    uint64_t skew;   /* the wave runs in and out                                              */
    uint64_t total;
};

/* The parts of one fold, from which runs of folds are put together. */
struct jb_fold {
    uint64_t load;   /* before the stream: weights, or 0                                      */
    uint64_t stream; /* M or K                                                                */
    uint64_t skew;   /* R + C - 2                                                             */
    uint64_t period; /* from a fold's stream to the next one's, if nothing else holds it up   */
};

#ifdef __cplusplus
extern "C" {
#endif

uint64_t jb_array_n_folds(const struct jb_array *array, const struct jb_product *product);
struct jb_fold jb_array_fold(const struct jb_array *array, const struct jb_product *product);
/* Closed form for one array that waits for nothing. */
struct jb_array_cycles jb_array_count(const struct jb_array *array,
                                      const struct jb_product *product);

#ifdef __cplusplus
}
#endif

/* ---- numbers ---- */

/* What enters a multiplier. Scaled ones (fp8, int8) have one float32 scale a row of A and a column
 * of B, their largest magnitude over 448 or 127; the scales multiply the finished sum. */
enum jb_operand {
    JB_OPERAND_F32,
    JB_OPERAND_F16,
    JB_OPERAND_BF16,
    JB_OPERAND_FP8, /* E4M3 */
    JB_OPERAND_INT8,
    JB_N_OPERANDS
};
/* What sums are kept in: a product is added to the sum that comes in, and the sum is rounded.
 * int32 goes with int8 and only with it. */
enum jb_sum { JB_SUM_F32, JB_SUM_F16, JB_SUM_BF16, JB_SUM_INT32, JB_N_SUMS };

extern const char *const jb_operand_names[JB_N_OPERANDS + 1]; /* NULL-terminated */
extern const char *const jb_sum_names[JB_N_SUMS + 1];
extern const uint32_t jb_operand_bits[JB_N_OPERANDS];

struct jb_numerics {
    enum jb_operand operand;
    enum jb_sum sum;
};

#ifdef __cplusplus
extern "C" {
#endif

/* Nearest E4M3 value, ties to even, saturated at 448; NaN stays NaN. */
float jb_fp8_round(float value);
/* Rounds a row to the operand format, in units of the returned scale (1 where there is none). */
float jb_operand_row(enum jb_operand operand, const float *src, uint64_t n, float *dst);

/* Columns [0, cols) of one strip of folds: dst (m, cols) = A (m, k) x panel (k, cols).
 * The order of sums is that of the array: weight-stationary down the rows of a fold, from zero,
 * then fold by fold in the accumulators; output-stationary along k.
 * Scales are applied by the caller. */
struct jb_strip {
    const float *a; /* (m, k), rows a_stride apart; operands in units of their scales          */
    uint64_t m, k, a_stride;
    const float *panel; /* (k, array->cols), operands, of which `cols` columns count          */
    uint32_t cols;
    float *scratch; /* (array->cols,)                                                          */
    float *dst;     /* (m, cols), rows dst_stride apart                                        */
    uint64_t dst_stride;
};
void jb_array_strip(const struct jb_array *array, enum jb_sum sum, const struct jb_strip *strip);

#ifdef __cplusplus
}
#endif
#endif
