/* SPDX-License-Identifier: MIT */
#include "backends/simcore/sim_tiles.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

struct jb_sim_tiles {
    void (*strip)(const void *ctx, const struct jb_strip *strip);
    const void *ctx;
    enum jb_operand a_operand, b_operand, kv_operand;
    uint32_t width;       /* of a strip                                             */
    uint32_t n_chips;     /* of a stage                                             */
    bool *is_split;       /* (n_tensors,) by input                                  */
    float *a;             /* (most rows, longest row) operands                      */
    float *a_scales;      /* (most rows,)                                           */
    float *panel;         /* (longest row, array.cols) operands                     */
    float *panel_scales;  /* (array.cols,)                                          */
    float *row, *rounded; /* (longest row,)                                         */
    float *sums;          /* (array.cols,)                                          */
    float *part;          /* (most rows, array.cols) of one chip                    */
    float *scores;        /* (most attention rows, context)                         */
    float *values;        /* (context, head_dim) of one head                        */
    float *heads;         /* (most attention rows, head_dim)                        */
};

static uint64_t larger(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

enum jb_status jb_sim_tiles_create(const struct jb_sim_tiles_args *args,
                                   struct jb_sim_tiles **ret_tiles)
{
    const struct jb_load_args *load = args->load;
    const struct jb_plan *plan = load->plan;
    const uint64_t sharing = plan->n_heads / (plan->n_kv_heads > 0 ? plan->n_kv_heads : 1);
    const uint64_t rows = larger(load->max_tokens, load->max_outputs);
    const uint64_t queries = load->max_tokens * larger(sharing, 1);
    uint64_t cols = plan->head_dim;
    for (uint32_t i = 0; i < plan->n_tensors; i++) {
        cols = larger(cols, plan->tensors[i].cols);
    }
    const uint64_t longest = larger(cols, load->context), width = args->width;
    struct jb_sim_tiles *t = calloc(1, sizeof *t);
    if (t == NULL) {
        return jb_fail(JB_E_NOMEM, "%s: no memory", args->who);
    }
    t->strip = args->strip;
    t->ctx = args->ctx;
    t->a_operand = args->a;
    t->b_operand = args->b;
    t->kv_operand = args->kv;
    t->width = args->width;
    t->n_chips = args->n_chips;
    t->is_split = calloc((size_t)plan->n_tensors + 1, sizeof *t->is_split);
    t->a = calloc(larger(rows * cols, queries * longest), sizeof *t->a);
    t->a_scales = calloc(larger(rows, queries), sizeof *t->a_scales);
    t->panel = calloc(longest * width, sizeof *t->panel);
    t->panel_scales = calloc(width, sizeof *t->panel_scales);
    t->row = calloc(longest, sizeof *t->row);
    t->rounded = calloc(longest, sizeof *t->rounded);
    t->sums = calloc(width, sizeof *t->sums);
    t->part = calloc(larger(rows, queries) * width, sizeof *t->part);
    t->scores = calloc(queries * load->context, sizeof *t->scores);
    t->values = calloc((uint64_t)load->context * larger(plan->head_dim, 1), sizeof *t->values);
    t->heads = calloc(queries * larger(plan->head_dim, 1), sizeof *t->heads);
    if (t->is_split == NULL || t->a == NULL || t->a_scales == NULL || t->panel == NULL ||
        t->panel_scales == NULL || t->row == NULL || t->rounded == NULL || t->sums == NULL ||
        t->part == NULL || t->scores == NULL || t->values == NULL || t->heads == NULL) {
        jb_sim_tiles_free(t);
        return jb_fail(JB_E_NOMEM, "%s: no memory for the tiles of %u tokens a step", args->who,
                       load->max_tokens);
    }
    if (args->is_split_by_input != NULL) {
        memcpy(t->is_split, args->is_split_by_input, plan->n_tensors * sizeof *t->is_split);
    }
    *ret_tiles = t;
    return JB_OK;
}

void jb_sim_tiles_free(struct jb_sim_tiles *tiles)
{
    if (tiles == NULL) {
        return;
    }
    free(tiles->is_split);
    free(tiles->a);
    free(tiles->a_scales);
    free(tiles->panel);
    free(tiles->panel_scales);
    free(tiles->row);
    free(tiles->rounded);
    free(tiles->sums);
    free(tiles->part);
    free(tiles->scores);
    free(tiles->values);
    free(tiles->heads);
    free(tiles);
}

/* Column c of the panel = values (k,). */
static void put_column(struct jb_sim_tiles *t, enum jb_operand operand, uint32_t c,
                       const float *values, uint64_t k)
{
    t->panel_scales[c] = jb_operand_row(operand, values, k, t->rounded);
    for (uint64_t i = 0; i < k; i++) {
        t->panel[i * t->width + c] = t->rounded[i];
    }
}

static void put_rows(struct jb_sim_tiles *t, const float *src, uint64_t m, uint64_t k)
{
    for (uint64_t i = 0; i < m; i++) {
        t->a_scales[i] = jb_operand_row(t->a_operand, src + i * k, k, t->a + i * k);
    }
}

/* dst (m, cols) of rows `stride` apart = rows put x the panel, scales in; the chips of a stage take
 * n_parts equal parts of k. */
static void multiply(struct jb_sim_tiles *t, uint64_t m, uint64_t k, uint32_t n_parts,
                     uint32_t cols, float *dst, uint64_t stride)
{
    const uint64_t share = (k + n_parts - 1) / n_parts;
    for (uint64_t first = 0; first < k; first += share) {
        const bool is_first = first == 0;
        const struct jb_strip strip = {.a = t->a + first,
                                       .m = m,
                                       .k = k - first < share ? k - first : share,
                                       .a_stride = k,
                                       .panel = t->panel + first * t->width,
                                       .cols = cols,
                                       .panel_width = t->width,
                                       .scratch = t->sums,
                                       .dst = is_first ? dst : t->part,
                                       .dst_stride = is_first ? stride : t->width};
        t->strip(t->ctx, &strip);
        for (uint64_t i = 0; i < m && !is_first; i++) {
            for (uint32_t c = 0; c < cols; c++) {
                dst[i * stride + c] += t->part[i * t->width + c];
            }
        }
    }
    for (uint64_t i = 0; i < m; i++) {
        for (uint32_t c = 0; c < cols; c++) {
            dst[i * stride + c] *= t->a_scales[i] * t->panel_scales[c];
        }
    }
}

enum jb_status jb_sim_tiles_matmul(void *ctx, const struct jb_ref_matmul *m, uint32_t tensor)
{
    struct jb_sim_tiles *t = ctx;
    const size_t row_bytes = jb_format_row_bytes(m->dtype, m->cols);
    put_rows(t, m->src, m->n, m->cols);
    for (uint32_t first = 0; first < m->rows; first += t->width) {
        const uint32_t cols = m->rows - first < t->width ? m->rows - first : t->width;
        for (uint32_t c = 0; c < cols; c++) {
            jb_format_decode(m->dtype, (const uint8_t *)m->weight + (first + c) * row_bytes, t->row,
                             m->cols);
            put_column(t, t->b_operand, c, t->row, m->cols);
        }
        multiply(t, m->n, m->cols, t->is_split[tensor] ? t->n_chips : 1, cols, m->dst + first,
                 m->rows);
    }
    for (uint32_t i = 0; m->bias != NULL && i < m->n; i++) {
        jb_ref_add(m->dst + (size_t)i * m->rows, m->bias, m->rows, m->dst + (size_t)i * m->rows);
    }
    return JB_OK;
}

/* ---- attention ---- */

/* One head's part of a stored row. */
static void decode_head(const struct jb_ref_attention *a, const void *rows, uint32_t position,
                        uint32_t head, float *dst)
{
    const size_t row_bytes =
        jb_format_row_bytes(a->kv_dtype, (uint64_t)a->n_kv_heads * a->head_dim);
    const size_t head_bytes = jb_format_row_bytes(a->kv_dtype, a->head_dim);
    jb_format_decode(a->kv_dtype, (const uint8_t *)rows + position * row_bytes + head * head_bytes,
                     dst, a->head_dim);
}

/* Scores (n,) become probabilities, those from n_seen on 0. */
static void soften(float *scores, uint32_t n, uint32_t n_seen, double scale, double *scratch)
{
    double most = -INFINITY, sum = 0.0;
    for (uint32_t p = 0; p < n_seen; p++) {
        scratch[p] = (double)scores[p] * scale;
        most = scratch[p] > most ? scratch[p] : most;
    }
    for (uint32_t p = 0; p < n_seen; p++) {
        scratch[p] = exp(scratch[p] - most);
        sum += scratch[p];
    }
    for (uint32_t p = 0; p < n; p++) {
        scores[p] = p < n_seen ? (float)(scratch[p] / sum) : 0.0F;
    }
}

/* Values are rounded a position, so that a result does not depend on which positions come in the
 * same step; a position's scale goes into its probabilities. */
static void put_values(struct jb_sim_tiles *t, const struct jb_ref_attention *a, uint32_t group,
                       uint32_t rows)
{
    const uint32_t n = a->pos + a->n;
    for (uint32_t p = 0; p < n; p++) {
        decode_head(a, a->v, p, group, t->row);
        const float scale =
            jb_operand_row(t->kv_operand, t->row, a->head_dim, t->values + (size_t)p * a->head_dim);
        for (uint32_t i = 0; i < rows; i++) {
            t->scores[(size_t)i * n + p] *= scale;
        }
    }
}

/* heads (rows, head_dim) of one KV head: rows are its query heads, token by token. */
static void attend(struct jb_sim_tiles *t, const struct jb_ref_attention *a, uint32_t group,
                   uint32_t rows, double *scratch)
{
    const uint32_t n = a->pos + a->n, sharing = a->n_heads / a->n_kv_heads;
    put_rows(t, t->heads, rows, a->head_dim);
    for (uint32_t first = 0; first < n; first += t->width) {
        const uint32_t cols = n - first < t->width ? n - first : t->width;
        for (uint32_t c = 0; c < cols; c++) {
            decode_head(a, a->k, first + c, group, t->row);
            put_column(t, t->kv_operand, c, t->row, a->head_dim);
        }
        multiply(t, rows, a->head_dim, 1, cols, t->scores + first, n);
    }
    for (uint32_t i = 0; i < rows; i++) {
        soften(t->scores + (size_t)i * n, n, a->pos + i / sharing + 1, (double)a->scale, scratch);
    }
    put_values(t, a, group, rows);
    put_rows(t, t->scores, rows, n);
    for (uint32_t first = 0; first < a->head_dim; first += t->width) {
        const uint32_t left = a->head_dim - first;
        const uint32_t cols = left < t->width ? left : t->width;
        for (uint32_t c = 0; c < cols; c++) {
            for (uint32_t p = 0; p < n; p++) {
                t->panel[(size_t)p * t->width + c] = t->values[(size_t)p * a->head_dim + first + c];
            }
            t->panel_scales[c] = 1.0F;
        }
        multiply(t, rows, n, 1, cols, t->heads + first, a->head_dim);
    }
}

enum jb_status jb_sim_tiles_attention(void *ctx, const struct jb_ref_attention *a, double *scratch)
{
    struct jb_sim_tiles *t = ctx;
    const uint32_t sharing = a->n_heads / a->n_kv_heads;
    const size_t head_bytes = a->head_dim * sizeof(float);
    for (uint32_t group = 0; group < a->n_kv_heads; group++) {
        for (uint32_t i = 0; i < a->n * sharing; i++) {
            const size_t head =
                (size_t)(i / sharing) * a->n_heads + (size_t)group * sharing + i % sharing;
            memcpy(t->heads + (size_t)i * a->head_dim, a->q + head * a->head_dim, head_bytes);
        }
        attend(t, a, group, a->n * sharing, scratch);
        for (uint32_t i = 0; i < a->n * sharing; i++) {
            const size_t head =
                (size_t)(i / sharing) * a->n_heads + (size_t)group * sharing + i % sharing;
            memcpy(a->dst + head * a->head_dim, t->heads + (size_t)i * a->head_dim, head_bytes);
        }
    }
    return JB_OK;
}
