/* SPDX-License-Identifier: MIT */
#include "tests/timing/array_ticks.h"

#include <stdlib.h>
#include <string.h>

/* What a register holds. fold < 0 = nothing of use. */
struct word {
    int value;
    int64_t fold;
    uint32_t row; /* weights on the way down: where they belong */
};

struct pe {
    struct word weight, second; /* weight-stationary: in use, and next                          */
    struct word passing;        /* weight on its way down                                       */
    struct word a, b;           /* moving right; output-stationary: b moves down                */
    struct word sum;            /* moving down, or resident                                     */
    struct word leaving;        /* output-stationary with preload: on its way down              */
};

struct grid {
    const struct jb_array *array;
    const struct jb_product *product;
    const int *a, *b;
    int *result;
    struct pe now[TICKS_MAX_SIDE][TICKS_MAX_SIDE], next[TICKS_MAX_SIDE][TICKS_MAX_SIDE];
    uint64_t n_folds;
    int64_t *start; /* (n_folds,) cycle in which the fold's first operand enters               */
    int64_t *load;  /* (n_folds,) cycle in which its first weight enters                       */
    uint64_t last;  /* cycle of the last sum                                                   */
    uint64_t live;  /* folds before this one are over and gone                                 */
    bool is_broken;
};

static const struct word nothing = {.fold = -1};

static uint64_t strips(uint64_t n, uint64_t part)
{
    return (n + part - 1) / part;
}

/* Weight (r, c) of a fold; 0 where the matrix has ended. Folds go down k first. */
static int weight_at(const struct grid *g, uint64_t fold, uint32_t r, uint32_t c)
{
    const uint64_t down = strips(g->product->k, g->array->rows);
    const uint64_t k = fold % down * g->array->rows + r, n = fold / down * g->array->cols + c;
    return k < g->product->k && n < g->product->n ? g->b[k * g->product->n + n] : 0;
}

/* Operand that enters row r from the left for step s of a fold. */
static int left_at(const struct grid *g, uint64_t fold, uint32_t r, uint64_t s)
{
    const struct jb_product *p = g->product;
    if (g->array->dataflow == JB_WEIGHT_STATIONARY) {
        const uint64_t k = fold % strips(p->k, g->array->rows) * g->array->rows + r;
        return k < p->k ? g->a[s * p->k + k] : 0;
    }
    const uint64_t m = fold % strips(p->m, g->array->rows) * g->array->rows + r;
    return m < p->m ? g->a[m * p->k + s] : 0;
}

static int top_at(const struct grid *g, uint64_t fold, uint32_t c, uint64_t s)
{
    const struct jb_product *p = g->product;
    const uint64_t n = fold / strips(p->m, g->array->rows) * g->array->cols + c;
    return n < p->n ? g->b[s * p->n + n] : 0;
}

static uint64_t stream_of(const struct grid *g)
{
    return g->array->dataflow == JB_WEIGHT_STATIONARY ? g->product->m : g->product->k;
}

/* What enters a lane that lags `lag` cycles behind the first: the fold and its step. */
static bool enters(const struct grid *g, int64_t cycle, uint32_t lag, int64_t *ret_fold,
                   uint64_t *ret_step)
{
    for (uint64_t f = g->live; f < g->n_folds && g->start[f] <= cycle; f++) {
        const int64_t step = cycle - (int64_t)lag - g->start[f];
        if (step >= 0 && step < (int64_t)stream_of(g)) {
            *ret_fold = (int64_t)f;
            *ret_step = (uint64_t)step;
            return true;
        }
    }
    return false;
}

/* ---- weight-stationary ---- */

static void keep(struct grid *g, int64_t fold, uint64_t m, uint32_t c, int value, uint64_t cycle)
{
    const uint64_t n = (uint64_t)fold / strips(g->product->k, g->array->rows) * g->array->cols + c;
    if (n < g->product->n) {
        g->result[m * g->product->n + n] += value;
    }
    g->last = cycle;
}

/* The weight that reaches (r, c) in this cycle. One row a cycle falls through the column, the last
 * row's first; several rows a cycle come over a wire to each row, each as soon as the one before
 * it is in use. */
static struct word arriving(const struct grid *g, int64_t cycle, uint32_t r, uint32_t c)
{
    const struct jb_array *array = g->array;
    if (array->load_rows == 1) {
        if (r > 0) {
            return g->now[r - 1][c].passing;
        }
        for (uint64_t f = g->live; f < g->n_folds && g->load[f] <= cycle; f++) {
            const int64_t j = cycle - g->load[f] - (int64_t)c;
            if (j >= 0 && j < (int64_t)array->rows) {
                const uint32_t row = array->rows - 1 - (uint32_t)j;
                return (struct word){weight_at(g, f, row, c), (int64_t)f, row};
            }
        }
        return nothing;
    }
    for (uint64_t f = g->live; f < g->n_folds && g->load[f] <= cycle; f++) {
        const bool follows = array->has_preload && f > 0;
        const int64_t at = follows ? g->start[f - 1] + r : g->load[f] + r / array->load_rows;
        if (cycle == at + (int64_t)c) {
            return (struct word){weight_at(g, f, r, c), (int64_t)f, r};
        }
    }
    return nothing;
}

static void tick_weights(struct grid *g, int64_t cycle)
{
    for (uint32_t r = 0; r < g->array->rows; r++) {
        for (uint32_t c = 0; c < g->array->cols; c++) {
            const struct pe *old = &g->now[r][c];
            struct pe *pe = &g->next[r][c];
            int64_t fold = -1;
            uint64_t m = 0;
            *pe = *old;
            if (enters(g, cycle, r + c, &fold, &m)) {
                pe->a = c > 0 ? g->now[r][c - 1].a
                              : (struct word){left_at(g, (uint64_t)fold, r, m), fold, r};
                if (m == 0) { /* the second register's weight comes into use */
                    g->is_broken |= old->second.fold != fold;
                    pe->weight = old->second;
                    pe->second = nothing;
                }
                g->is_broken |= pe->a.fold != fold || pe->weight.fold != fold;
                const int above = r > 0 ? g->now[r - 1][c].sum.value : 0;
                pe->sum = (struct word){above + pe->a.value * pe->weight.value, fold, r};
                if (r + 1 == g->array->rows) {
                    keep(g, fold, m, c, pe->sum.value, (uint64_t)cycle);
                }
            }
            pe->passing = arriving(g, cycle, r, c);
            if (pe->passing.fold >= 0 && pe->passing.row == r) {
                g->is_broken |= pe->second.fold >= 0;
                pe->second = pe->passing;
            }
        }
    }
}

/* ---- output-stationary ---- */

static void keep_sum(struct grid *g, int64_t fold, uint32_t r, uint32_t c, int value)
{
    const uint64_t down = strips(g->product->m, g->array->rows);
    const uint64_t m = (uint64_t)fold % down * g->array->rows + r;
    const uint64_t n = (uint64_t)fold / down * g->array->cols + c;
    if (m < g->product->m && n < g->product->n) {
        g->result[m * g->product->n + n] = value;
    }
}

/* Column c lets its sums go once its last row has one: all move down a row a cycle, and a row that
 * has passed on the sum of row 0 stands still, so that the next fold's sums can follow. */
static void leave(struct grid *g, int64_t cycle, uint32_t r, uint32_t c, struct pe *pe)
{
    for (uint64_t f = g->live; f < g->n_folds && g->start[f] <= cycle; f++) {
        const int64_t begin = g->start[f] + (int64_t)(g->product->k + g->array->rows + c) - 1;
        if (cycle >= begin && cycle <= begin + (int64_t)r) {
            const struct word out = g->now[r][c].leaving;
            if (r + 1 == g->array->rows && out.fold >= 0) {
                keep_sum(g, out.fold, out.row, c, out.value);
            }
            pe->leaving = cycle < begin + (int64_t)r ? g->now[r - 1][c].leaving : nothing;
        }
    }
}

static void tick_sums(struct grid *g, int64_t cycle)
{
    const uint64_t k = g->product->k;
    for (uint32_t r = 0; r < g->array->rows; r++) {
        for (uint32_t c = 0; c < g->array->cols; c++) {
            struct pe *pe = &g->next[r][c];
            int64_t fold = -1;
            uint64_t s = 0;
            *pe = g->now[r][c];
            if (g->array->has_preload) {
                leave(g, cycle, r, c, pe);
            }
            if (!enters(g, cycle, r + c, &fold, &s)) {
                continue;
            }
            pe->a = c > 0 ? g->now[r][c - 1].a
                          : (struct word){left_at(g, (uint64_t)fold, r, s), fold, r};
            pe->b = r > 0 ? g->now[r - 1][c].b
                          : (struct word){top_at(g, (uint64_t)fold, c, s), fold, r};
            g->is_broken |= pe->a.fold != fold || pe->b.fold != fold;
            const int before = s > 0 ? pe->sum.value : 0;
            pe->sum = (struct word){before + pe->a.value * pe->b.value, fold, r};
            if (s + 1 == k) {
                g->last = (uint64_t)cycle;
                if (g->array->has_preload) {
                    g->is_broken |= pe->leaving.fold >= 0;
                    pe->leaving = pe->sum;
                } else {
                    keep_sum(g, fold, r, c, pe->sum.value);
                }
            }
        }
    }
}

/* ---- control ---- */

/* When folds start: as soon as the edge of the array is free and, for weights, all have entered. */
static void schedule(struct grid *g, uint32_t hurry)
{
    const struct jb_array *array = g->array;
    const bool is_ws = array->dataflow == JB_WEIGHT_STATIONARY;
    const int64_t stream = (int64_t)stream_of(g);
    const int64_t load = is_ws ? (int64_t)strips(array->rows, array->load_rows) : 0;
    const int64_t wave = (int64_t)array->rows + array->cols - 2;
    for (uint64_t f = 0; f < g->n_folds; f++) {
        const int64_t before = f > 0 ? g->start[f - 1] : 0;
        if (f == 0) {
            g->load[f] = 0;
            g->start[f] = load;
        } else if (!array->has_preload) {
            g->load[f] = before + stream + wave;
            g->start[f] = g->load[f] + load;
        } else {
            const int64_t busy = is_ws ? load : (int64_t)array->rows;
            g->load[f] = before;
            g->start[f] = before + (busy > stream ? busy : stream) - (int64_t)hurry;
        }
    }
}

uint64_t ticks_run(const struct jb_array *array, const struct jb_product *product, const int *a,
                   const int *b, int *result, uint32_t hurry)
{
    struct grid *g = calloc(1, sizeof *g);
    const bool is_ws = array->dataflow == JB_WEIGHT_STATIONARY;
    const uint64_t n_folds =
        strips(product->n, array->cols) * strips(is_ws ? product->k : product->m, array->rows);
    int64_t *times = calloc(2 * n_folds, sizeof *times);
    uint64_t cycles = 0;
    if (g != NULL && times != NULL) {
        g->array = array;
        g->product = product;
        g->a = a;
        g->b = b;
        g->result = result;
        g->n_folds = n_folds;
        g->start = times;
        g->load = times + n_folds;
        memset(result, 0, product->m * product->n * sizeof *result);
        for (uint32_t i = 0; i < TICKS_MAX_SIDE * TICKS_MAX_SIDE; i++) {
            g->now[i / TICKS_MAX_SIDE][i % TICKS_MAX_SIDE] =
                (struct pe){nothing, nothing, nothing, nothing, nothing, nothing, nothing};
        }
        schedule(g, hurry);
        /* Long enough for the last fold and for its sums to leave. */
        const int64_t end = g->start[n_folds - 1] + (int64_t)stream_of(g) + 3 * TICKS_MAX_SIDE;
        for (int64_t cycle = 0; cycle < end; cycle++) {
            while (g->start[g->live] + (int64_t)stream_of(g) + 4 * TICKS_MAX_SIDE < cycle) {
                g->live++;
            }
            (is_ws ? tick_weights : tick_sums)(g, cycle);
            memcpy(g->now, g->next, sizeof g->now);
        }
        cycles = g->is_broken ? 0 : g->last + 1;
    }
    free(times);
    free(g);
    return cycles;
}
