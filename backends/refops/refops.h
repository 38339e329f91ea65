/* SPDX-License-Identifier: MIT */
#ifndef JB_REFOPS_H
#define JB_REFOPS_H

/* Plain-C kernels: what each op of plan.h means, in numbers. Every faster kernel is tested against
 * these, simulators compute ids with them, the cpu backend falls back to them.
 *
 * The rule that makes them the truth: inputs and outputs are float32, everything between is double,
 * and each op rounds to float32 once, at its output. Stored weights and KV rows are taken as
 * jb_format_decode() reads them. Sums run in a fixed order, so results are the same on every
 * machine with IEEE arithmetic (exp, tanh, cos and sin may differ in the last bit of the double).
 *
 * Pure functions: no state, no allocation, thread-safe. Shapes are (rows, width), row-major. Unless
 * told otherwise dst may equal a source of the same shape, and must not overlap it in part. */

#include <stdint.h>

#include "backends/format/format.h"
#include "backends/plan.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Sum of a[i] * b[i] over (n,), in double: eight partial sums by i % 8, added pairwise. */
double jb_ref_dot(const float *a, const float *b, uint32_t n);

/* dst (n, dim) = the rows of weight (vocab, dim) that ids (n,) name; ids in [0, vocab). */
void jb_ref_embed(enum jb_dtype dtype, const void *weight, uint32_t dim, const int32_t *ids,
                  uint32_t n, float *dst);

/* dst (n, dim) = src (n, dim) + weight[positions[i] + offset]. @param scratch (dim,) */
void jb_ref_posembed(enum jb_dtype dtype, const void *weight, uint32_t dim, const float *src,
                     const uint32_t *positions, uint32_t offset, uint32_t n, float *scratch,
                     float *dst);

/* dst (n, group) = src / sqrt(mean(src^2) + eps) * weight (group,), over each of n groups. */
void jb_ref_rmsnorm(const float *src, const float *weight, uint64_t n, uint32_t group, float eps,
                    float *dst);

/* dst (n, width) = (src - mean) / sqrt(var + eps) * weight (width,) + bias (width,) or NULL = 0;
 * var is the mean of squared differences from the mean. */
void jb_ref_layernorm(const float *src, const float *weight, const float *bias, uint32_t n,
                      uint32_t width, float eps, float *dst);

/* A MATMUL: dst (n, rows) = src (n, cols) x W^T + bias; dst overlaps nothing. */
struct jb_ref_matmul {
    enum jb_dtype dtype;
    const void *weight; /* (rows, cols), stored */
    uint32_t rows, cols;
    const float *bias; /* (rows,) or NULL = 0  */
    const float *src;  /* (n, cols)            */
    uint32_t n;
    float *dst; /* (n, rows)            */
};
/* Computes columns [begin, end) of dst, i.e. those rows of W, each decoded once.
 * @param scratch (cols,) */
void jb_ref_matmul(const struct jb_ref_matmul *m, uint32_t begin, uint32_t end, float *scratch);

/* Rotates x (n, width) in place: the first rope->n_dims of every head of `group` values, by the
 * angles of positions (n,). Nothing for JB_ROPE_NONE. */
void jb_ref_rope(const struct jb_rope *rope, float *x, uint32_t n, uint32_t width, uint32_t group,
                 const uint32_t *positions);

/* Stores src (n, kv_dim) in cache rows, rounded to dtype. @param cache first row to write; a row is
 * jb_format_row_bytes(dtype, kv_dim). */
void jb_ref_kv_store(enum jb_dtype dtype, const float *src, uint32_t n, uint32_t kv_dim,
                     void *cache);

/* One sequence's attention in one layer, its K and V already stored. */
struct jb_ref_attention {
    uint32_t n_heads, n_kv_heads,
        head_dim; /* query head h reads KV head h / (n_heads / n_kv_heads) */
    float scale;
    enum jb_dtype kv_dtype;
    const void *k, *v; /* (pos + n, n_kv_heads head_dim) stored rows from position 0 on */
    const float *q;    /* (n, n_heads head_dim): positions pos, pos + 1, ...            */
    uint32_t pos, n;
    float *dst; /* (n, n_heads head_dim), overlaps nothing                       */
};
/* Row i sees positions [0, pos + i]. The largest score is subtracted before exp.
 * @param scratch jb_ref_attention_scratch(pos + n, head_dim) doubles */
void jb_ref_attention(const struct jb_ref_attention *a, double *scratch);
uint64_t jb_ref_attention_scratch(uint32_t n_positions, uint32_t head_dim);

/* Elementwise over (n,). */
void jb_ref_silu_mul(const float *gate, const float *up, uint64_t n, float *dst);
void jb_ref_gelu(const float *src, uint64_t n, float *dst);
void jb_ref_relu(const float *src, uint64_t n, float *dst); /* NaN stays NaN */
void jb_ref_add(const float *a, const float *b, uint64_t n, float *dst);

/* Index of the largest of x (n,), n >= 1; the lowest index wins a tie, NaN never wins unless all
 * are NaN. */
uint32_t jb_ref_argmax(const float *x, uint32_t n);

#ifdef __cplusplus
}
#endif
#endif
