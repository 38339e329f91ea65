/* SPDX-License-Identifier: MIT */
#include "tests/pim/plain.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { WIDEST = 4096 };

const struct plain plain_devices[] = {
    {"hbm-pim", "n", PLAIN_LANES, PLAIN_F16, PLAIN_F16, PLAIN_F16, PLAIN_F16, 16, 8, 1, JB_F16,
     false},
    {"hbm-pim", "k", PLAIN_LANES, PLAIN_F16, PLAIN_F16, PLAIN_F16, PLAIN_F16, 16, 8, 64, JB_F16,
     false},
    {"aim", "n", PLAIN_TREE, PLAIN_BF16, PLAIN_BF16, PLAIN_F32, PLAIN_BF16, 16, 64, 1, JB_BF16,
     true},
    {"aim", "k", PLAIN_TREE, PLAIN_BF16, PLAIN_BF16, PLAIN_F32, PLAIN_BF16, 16, 64, 32, JB_BF16,
     true},
    {"cent", "n", PLAIN_TREE, PLAIN_BF16, PLAIN_BF16, PLAIN_F32, PLAIN_BF16, 16, 64, 1, JB_F16,
     true},
    {"generic-pim", "n", PLAIN_TREE, PLAIN_F32, PLAIN_F32, PLAIN_F32, PLAIN_F32, 8, 64, 1, JB_F32,
     true},
    {"generic-pim", "k", PLAIN_TREE, PLAIN_F32, PLAIN_F32, PLAIN_F32, PLAIN_F32, 8, 64, 32, JB_Q4_0,
     true},
    {"upmem", "n", PLAIN_BLOCKS, PLAIN_F32, PLAIN_F32, PLAIN_F32, PLAIN_F32, 1, 1, 1, JB_Q8_0,
     false},
    {"upmem", "n", PLAIN_BLOCKS, PLAIN_F32, PLAIN_F32, PLAIN_F32, PLAIN_F32, 1, 1, 1, JB_Q4_0,
     false},
    {.device = NULL},
};

static float rounded(enum plain_number number, float value)
{
    return number == PLAIN_F16    ? jb_f16_to_f32(jb_f32_to_f16(value))
           : number == PLAIN_BF16 ? jb_bf16_to_f32(jb_f32_to_bf16(value))
                                  : value;
}

/* Neighbours first. n is a power of two. */
static float tree(const float *w, const float *x, uint32_t first, uint32_t n, uint32_t n_all)
{
    if (n == 1) {
        return first < n_all ? w[first] * x[first] : 0.0F;
    }
    const float left = tree(w, x, first, n / 2, n_all);
    return left + tree(w, x, first + n / 2, n / 2, n_all);
}

static float tree_part(const struct plain *p, const float *w, const float *x, uint32_t begin,
                       uint32_t end, uint32_t n)
{
    float sum = 0.0F;
    uint32_t n_words = 0;
    for (uint32_t k = begin; k < end; k += p->n_lanes) {
        sum = rounded(p->sum, sum + tree(w, x, k, p->n_lanes, n));
        n_words++;
        if (n_words % p->n_run == 0) {
            sum = rounded(p->out, sum);
        }
    }
    return rounded(p->out, sum);
}

/* Every lane has a sum of its own; all even tiles come before all odd ones. */
static float lanes_part(const struct plain *p, const float *w, const float *x, uint32_t begin,
                        uint32_t end, uint32_t n)
{
    const uint32_t tile = p->n_lanes * p->n_run;
    float sums[64] = {0}, sum = 0.0F;
    for (uint32_t parity = 0; parity < 2; parity++) {
        for (uint32_t k = begin; k < end && k < n; k++) {
            if ((k - begin) / tile % 2 == parity) {
                float *lane = &sums[(k - begin) % p->n_lanes];
                *lane = rounded(p->sum, *lane + rounded(p->sum, w[k] * x[k]));
            }
        }
    }
    for (uint32_t i = 0; i < p->n_lanes; i++) {
        sum += rounded(p->out, sums[i]);
    }
    return sum;
}

static float dot(const struct plain *p, uint32_t n_split, const float *w, const float *x,
                 uint32_t n)
{
    const uint32_t n_words = (n + p->n_lanes - 1) / p->n_lanes;
    const uint32_t part = (n_words + n_split - 1) / n_split * p->n_lanes;
    float sum = 0.0F;
    for (uint32_t s = 0; s < n_split; s++) {
        const uint32_t begin = s * part < n ? s * part : n;
        const uint32_t end = n - begin < part ? n : begin + part;
        sum += p->style == PLAIN_LANES ? lanes_part(p, w, x, begin, end, n)
                                       : tree_part(p, w, x, begin, end, n);
    }
    return sum;
}

/* Codes of a block of 32 times codes of an input block: integers until the scales. */
static float blocks(const struct jb_ref_matmul *m, uint32_t row, const float *x)
{
    static struct jb_q8_0 inputs[WIDEST / 32];
    float sum = 0.0F;
    jb_format_encode(JB_Q8_0, x, inputs, m->cols);
    for (uint32_t b = 0; b < m->cols / 32; b++) {
        int32_t integer = 0;
        float scale;
        if (m->dtype == JB_Q8_0) {
            const struct jb_q8_0 *w =
                (const struct jb_q8_0 *)m->weight + (size_t)row * (m->cols / 32) + b;
            for (int i = 0; i < 32; i++) {
                integer += w->q[i] * inputs[b].q[i];
            }
            scale = jb_f16_to_f32(w->d);
        } else {
            const struct jb_q4_0 *w =
                (const struct jb_q4_0 *)m->weight + (size_t)row * (m->cols / 32) + b;
            for (int i = 0; i < 16; i++) {
                integer += ((w->q[i] & 15) - 8) * inputs[b].q[i];
                integer += ((w->q[i] >> 4) - 8) * inputs[b].q[i + 16];
            }
            scale = jb_f16_to_f32(w->d);
        }
        sum += (float)integer * (scale * jb_f16_to_f32(inputs[b].d));
    }
    return sum;
}

static enum jb_status plain_matmul(void *ctx, const struct jb_ref_matmul *m, uint32_t tensor)
{
    static float w[WIDEST], x[WIDEST];
    const struct plain *p = ctx;
    const size_t row_bytes = jb_format_row_bytes(m->dtype, m->cols);
    (void)tensor;
    for (uint32_t t = 0; t < m->n; t++) {
        for (uint32_t r = 0; r < m->rows; r++) {
            float y;
            if (p->style == PLAIN_BLOCKS) {
                y = blocks(m, r, m->src + (size_t)t * m->cols);
            } else {
                jb_format_decode(m->dtype, (const uint8_t *)m->weight + r * row_bytes, w, m->cols);
                for (uint32_t k = 0; k < m->cols; k++) {
                    w[k] = rounded(p->operand, rounded(p->stored, w[k]));
                    x[k] = rounded(p->operand, m->src[(size_t)t * m->cols + k]);
                }
                y = dot(p, p->n_split, w, x, m->cols);
            }
            m->dst[(size_t)t * m->rows + r] = y + (m->bias != NULL ? m->bias[r] : 0.0F);
        }
    }
    return JB_OK;
}

/* One head of one token: q (head_dim,), k and v (n, head_dim). */
static void plain_head(const struct plain *p, const float *q, const float *k, const float *v,
                       uint32_t n, uint32_t head_dim, double scale, float *dst)
{
    static double scores[WIDEST];
    static float weights[WIDEST], column[WIDEST];
    double largest = -INFINITY, sum = 0;
    for (uint32_t i = 0; i < n; i++) {
        scores[i] = scale * (double)dot(p, 1, k + (size_t)i * head_dim, q, head_dim);
        largest = fmax(largest, scores[i]);
    }
    for (uint32_t i = 0; i < n; i++) {
        scores[i] = exp(scores[i] - largest);
        sum += scores[i];
    }
    for (uint32_t i = 0; i < n; i++) {
        weights[i] = rounded(p->operand, (float)(scores[i] / sum));
    }
    for (uint32_t d = 0; d < head_dim; d++) {
        for (uint32_t i = 0; i < n; i++) {
            column[i] = v[(size_t)i * head_dim + d];
        }
        dst[d] = dot(p, 1, column, weights, n);
    }
}

/* NOLINTNEXTLINE(readability-non-const-parameter): the form of the hook */
static enum jb_status plain_attention(void *ctx, const struct jb_ref_attention *a, double *scratch)
{
    static float k[WIDEST], v[WIDEST], q[WIDEST];
    const struct plain *p = ctx;
    const size_t head_bytes = jb_format_row_bytes(a->kv_dtype, a->head_dim);
    (void)scratch;
    for (uint32_t t = 0; t < a->n; t++) {
        for (uint32_t h = 0; h < a->n_heads; h++) {
            const uint32_t g = h / (a->n_heads / a->n_kv_heads), n = a->pos + t + 1;
            for (uint32_t i = 0; i < n; i++) {
                const size_t at = ((size_t)i * a->n_kv_heads + g) * head_bytes;
                float *ki = k + (size_t)i * a->head_dim, *vi = v + (size_t)i * a->head_dim;
                jb_format_decode(a->kv_dtype, (const uint8_t *)a->k + at, ki, a->head_dim);
                jb_format_decode(a->kv_dtype, (const uint8_t *)a->v + at, vi, a->head_dim);
                for (uint32_t d = 0; d < a->head_dim; d++) {
                    ki[d] = rounded(p->stored, ki[d]);
                    vi[d] = rounded(p->stored, vi[d]);
                }
            }
            const size_t at = ((size_t)t * a->n_heads + h) * a->head_dim;
            for (uint32_t d = 0; d < a->head_dim; d++) {
                q[d] = rounded(p->operand, a->q[at + d]);
            }
            plain_head(p, q, k, v, n, a->head_dim, (double)a->scale, a->dst + at);
        }
    }
    return JB_OK;
}

struct jb_ref_hooks plain_hooks(const struct plain *plain)
{
    return (struct jb_ref_hooks){.ctx = (void *)(uintptr_t)plain,
                                 .matmul = plain_matmul,
                                 .attention = plain->attends ? plain_attention : NULL};
}
