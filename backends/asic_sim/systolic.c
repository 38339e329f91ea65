/* SPDX-License-Identifier: MIT */
#include "backends/asic_sim/systolic.h"

#include <string.h>

static uint64_t parts(uint64_t n, uint64_t part)
{
    return (n + part - 1) / part;
}

static uint64_t larger(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

/* ---- cycles ---- */

uint64_t jb_array_n_folds(const struct jb_array *array, const struct jb_product *product)
{
    const uint64_t across = parts(product->n, array->cols);
    return array->dataflow == JB_WEIGHT_STATIONARY ? parts(product->k, array->rows) * across
                                                   : parts(product->m, array->rows) * across;
}

struct jb_fold jb_array_fold(const struct jb_array *array, const struct jb_product *product)
{
    const uint64_t skew = (uint64_t)array->rows + array->cols - 2;
    struct jb_fold fold = {.skew = skew};
    if (array->dataflow == JB_WEIGHT_STATIONARY) {
        fold.load = parts(array->rows, array->load_rows);
        fold.stream = product->m;
        fold.period = array->has_preload ? larger(fold.stream, fold.load)
                                         : fold.load + fold.stream + fold.skew;
    } else {
        fold.stream = product->k;
        fold.period =
            array->has_preload ? larger(fold.stream, array->rows) : fold.stream + fold.skew;
    }
    return fold;
}

struct jb_array_cycles jb_array_count(const struct jb_array *array,
                                      const struct jb_product *product)
{
    const struct jb_fold fold = jb_array_fold(array, product);
    struct jb_array_cycles cycles = {.n_folds = jb_array_n_folds(array, product)};
    cycles.total = fold.load + (cycles.n_folds - 1) * fold.period + fold.stream + fold.skew;
    cycles.stream = cycles.n_folds * fold.stream;
    cycles.skew = array->has_preload ? fold.skew : cycles.n_folds * fold.skew;
    cycles.load = cycles.total - cycles.stream - cycles.skew;
    return cycles;
}

/* ---- products ---- */

/* sums (cols,) += a[0..rows) x panel (rows, width), from the first row down. */
static void add_rows(enum jb_sum sum, const float *a, uint64_t rows, const float *panel,
                     uint32_t width, uint32_t cols, float *sums)
{
    for (uint64_t r = 0; r < rows; r++) {
        const float value = a[r];
        const float *w = panel + r * width; /* (cols,) */
        if (sum == JB_SUM_F32) {
            for (uint32_t c = 0; c < cols; c++) {
                sums[c] += value * w[c];
            }
        } else {
            for (uint32_t c = 0; c < cols; c++) {
                sums[c] = jb_sum_round(sum, sums[c] + value * w[c]);
            }
        }
    }
}

void jb_array_strip(const struct jb_array *array, enum jb_sum sum, const struct jb_strip *strip)
{
    const struct jb_strip *s = strip;
    if (sum == JB_SUM_INT32) { /* exact in any order */
        jb_strip_integers(s);
        return;
    }
    const uint64_t depth = array->dataflow == JB_WEIGHT_STATIONARY ? array->rows : s->k;
    for (uint64_t first = 0; first < s->k; first += depth) {
        const uint64_t rows = s->k - first < depth ? s->k - first : depth;
        for (uint64_t i = 0; i < s->m; i++) {
            float *sums = s->dst + i * s->dst_stride; /* (cols,): accumulators below the columns */
            memset(s->scratch, 0, s->cols * sizeof s->scratch[0]);
            add_rows(sum, s->a + i * s->a_stride + first, rows, s->panel + first * array->cols,
                     array->cols, s->cols, s->scratch);
            for (uint32_t c = 0; c < s->cols; c++) {
                sums[c] = first == 0 ? s->scratch[c] : jb_sum_round(sum, sums[c] + s->scratch[c]);
            }
        }
    }
}
