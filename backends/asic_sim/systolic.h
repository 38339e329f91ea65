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

#include "backends/simcore/numbers.h"

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

/* ---- products ---- */

#ifdef __cplusplus
extern "C" {
#endif

/* One strip of folds. The order of sums is that of the array: weight-stationary down the rows of a
 * fold, from zero, then fold by fold in the accumulators; output-stationary along k. The panel is
 * array->cols wide. */
void jb_array_strip(const struct jb_array *array, enum jb_sum sum, const struct jb_strip *strip);

#ifdef __cplusplus
}
#endif
#endif
