/* SPDX-License-Identifier: MIT */
#include "backends/refops/refops.h"

#include <math.h>

static const uint8_t *row_at(enum jb_dtype dtype, const void *data, uint32_t cols, uint64_t row)
{
    return (const uint8_t *)data + row * jb_format_row_bytes(dtype, cols);
}

double jb_ref_dot(const float *a, const float *b, uint32_t n)
{
    double sum[8] = {0};
    uint32_t i = 0;
    for (; n - i >= 8; i += 8) {
        for (uint32_t lane = 0; lane < 8; lane++) {
            sum[lane] += (double)a[i + lane] * (double)b[i + lane];
        }
    }
    for (; i < n; i++) {
        sum[i % 8] += (double)a[i] * (double)b[i];
    }
    return ((sum[0] + sum[1]) + (sum[2] + sum[3])) + ((sum[4] + sum[5]) + (sum[6] + sum[7]));
}

void jb_ref_embed(enum jb_dtype dtype, const void *weight, uint32_t dim, const int32_t *ids,
                  uint32_t n, float *dst)
{
    for (uint32_t t = 0; t < n; t++) {
        jb_format_decode(dtype, row_at(dtype, weight, dim, (uint64_t)ids[t]), dst + (size_t)t * dim,
                         dim);
    }
}

void jb_ref_posembed(enum jb_dtype dtype, const void *weight, uint32_t dim, const float *src,
                     const uint32_t *positions, uint32_t offset, uint32_t n, float *scratch,
                     float *dst)
{
    for (uint32_t t = 0; t < n; t++) {
        const uint64_t row = (uint64_t)positions[t] + offset;
        jb_format_decode(dtype, row_at(dtype, weight, dim, row), scratch, dim);
        jb_ref_add(src + (size_t)t * dim, scratch, dim, dst + (size_t)t * dim);
    }
}

void jb_ref_rmsnorm(const float *src, const float *weight, uint64_t n, uint32_t group, float eps,
                    float *dst)
{
    for (uint64_t g = 0; g < n; g++) {
        const float *x = src + g * group; /* (group,) */
        float *y = dst + g * group;
        const double mean_square = jb_ref_dot(x, x, group) / group;
        const double inverse = 1.0 / sqrt(mean_square + (double)eps);
        for (uint32_t i = 0; i < group; i++) {
            y[i] = (float)((double)x[i] * inverse * (double)weight[i]);
        }
    }
}

void jb_ref_layernorm(const float *src, const float *weight, const float *bias, uint32_t n,
                      uint32_t width, float eps, float *dst)
{
    for (uint32_t t = 0; t < n; t++) {
        const float *x = src + (size_t)t * width; /* (width,) */
        float *y = dst + (size_t)t * width;
        double mean = 0.0;
        for (uint32_t i = 0; i < width; i++) {
            mean += (double)x[i];
        }
        mean /= width;
        double variance = 0.0;
        for (uint32_t i = 0; i < width; i++) {
            variance += ((double)x[i] - mean) * ((double)x[i] - mean);
        }
        variance /= width;
        const double inverse = 1.0 / sqrt(variance + (double)eps);
        for (uint32_t i = 0; i < width; i++) {
            const double scaled = ((double)x[i] - mean) * inverse * (double)weight[i];
            y[i] = (float)(scaled + (bias != NULL ? (double)bias[i] : 0.0));
        }
    }
}

void jb_ref_matmul(const struct jb_ref_matmul *m, uint32_t begin, uint32_t end, float *scratch)
{
    for (uint32_t r = begin; r < end; r++) {
        jb_format_decode(m->dtype, row_at(m->dtype, m->weight, m->cols, r), scratch, m->cols);
        const double bias = m->bias != NULL ? (double)m->bias[r] : 0.0;
        for (uint32_t t = 0; t < m->n; t++) {
            const float *x = m->src + (size_t)t * m->cols; /* (cols,) */
            m->dst[(size_t)t * m->rows + r] = (float)(jb_ref_dot(scratch, x, m->cols) + bias);
        }
    }
}

void jb_ref_rope(const struct jb_rope *rope, float *x, uint32_t n, uint32_t width, uint32_t group,
                 const uint32_t *positions)
{
    if (rope->kind == JB_ROPE_NONE) {
        return;
    }
    const uint32_t n_pairs = rope->n_dims / 2;
    const bool is_halves = rope->kind == JB_ROPE_HALVES;
    for (uint32_t t = 0; t < n; t++) {
        for (uint32_t i = 0; i < n_pairs; i++) {
            const double angle = (double)positions[t] * (double)rope->inv_freq[i];
            const double c = cos(angle) * (double)rope->mscale;
            const double s = sin(angle) * (double)rope->mscale;
            const uint32_t first = is_halves ? i : 2 * i;
            const uint32_t second = is_halves ? i + n_pairs : 2 * i + 1;
            for (uint32_t head = 0; head < width; head += group) {
                float *h = x + (size_t)t * width + head; /* (group,) */
                const double a = (double)h[first], b = (double)h[second];
                h[first] = (float)(a * c - b * s);
                h[second] = (float)(a * s + b * c);
            }
        }
    }
}

void jb_ref_kv_store(enum jb_dtype dtype, const float *src, uint32_t n, uint32_t kv_dim,
                     void *cache)
{
    const size_t row_bytes = jb_format_row_bytes(dtype, kv_dim);
    for (uint32_t t = 0; t < n; t++) {
        jb_format_encode(dtype, src + (size_t)t * kv_dim, (uint8_t *)cache + t * row_bytes, kv_dim);
    }
}

uint64_t jb_ref_attention_scratch(uint32_t n_positions, uint32_t head_dim)
{
    /* A row of scores; K and V of one head as float32, (n_positions, head_dim) each. */
    return (uint64_t)n_positions * (1 + (uint64_t)head_dim);
}

/* scores (n,) become exp(score - largest). @return their sum */
static double exponentials(double *scores, uint32_t n)
{
    double largest = scores[0];
    for (uint32_t p = 1; p < n; p++) {
        largest = scores[p] > largest ? scores[p] : largest;
    }
    double sum = 0.0;
    for (uint32_t p = 0; p < n; p++) {
        scores[p] = exp(scores[p] - largest);
        sum += scores[p];
    }
    return sum;
}

/* One query row of one head: q (head_dim,), k and v (n, head_dim), dst (head_dim,). */
static void attend(const float *q, const float *k, const float *v, uint32_t n, uint32_t head_dim,
                   double scale, double *scores, float *dst)
{
    for (uint32_t p = 0; p < n; p++) {
        scores[p] = scale * jb_ref_dot(q, k + (size_t)p * head_dim, head_dim);
    }
    const double sum = exponentials(scores, n);
    for (uint32_t i = 0; i < head_dim; i++) {
        double value = 0.0;
        for (uint32_t p = 0; p < n; p++) {
            value += scores[p] * (double)v[(size_t)p * head_dim + i];
        }
        dst[i] = (float)(value / sum);
    }
}

void jb_ref_attention(const struct jb_ref_attention *a, double *scratch)
{
    const uint32_t n_positions = a->pos + a->n;
    const uint32_t kv_dim = a->n_kv_heads * a->head_dim;
    const uint32_t n_sharing = a->n_heads / a->n_kv_heads;
    const size_t head_bytes = jb_format_row_bytes(a->kv_dtype, a->head_dim);
    double *scores = scratch;                            /* (n_positions,)          */
    float *k = (float *)(void *)(scratch + n_positions); /* (n_positions, head_dim) */
    float *v = k + (size_t)n_positions * a->head_dim;    /* (n_positions, head_dim) */
    for (uint32_t g = 0; g < a->n_kv_heads; g++) {
        for (uint32_t p = 0; p < n_positions; p++) {
            jb_format_decode(a->kv_dtype, row_at(a->kv_dtype, a->k, kv_dim, p) + g * head_bytes,
                             k + (size_t)p * a->head_dim, a->head_dim);
            jb_format_decode(a->kv_dtype, row_at(a->kv_dtype, a->v, kv_dim, p) + g * head_bytes,
                             v + (size_t)p * a->head_dim, a->head_dim);
        }
        for (uint32_t t = 0; t < a->n; t++) {
            for (uint32_t h = g * n_sharing; h < (g + 1) * n_sharing; h++) {
                const size_t at = ((size_t)t * a->n_heads + h) * a->head_dim;
                attend(a->q + at, k, v, a->pos + t + 1, a->head_dim, (double)a->scale, scores,
                       a->dst + at);
            }
        }
    }
}

void jb_ref_silu_mul(const float *gate, const float *up, uint64_t n, float *dst)
{
    for (uint64_t i = 0; i < n; i++) {
        const double x = (double)gate[i];
        dst[i] = (float)(x / (1.0 + exp(-x)) * (double)up[i]);
    }
}

void jb_ref_gelu(const float *src, uint64_t n, float *dst)
{
    const double root = 0.79788456080286535588; /* sqrt(2 / pi) */
    for (uint64_t i = 0; i < n; i++) {
        const double x = (double)src[i];
        dst[i] = (float)(0.5 * x * (1.0 + tanh(root * (x + 0.044715 * x * x * x))));
    }
}

void jb_ref_relu(const float *src, uint64_t n, float *dst)
{
    for (uint64_t i = 0; i < n; i++) {
        dst[i] = src[i] < 0.0F ? 0.0F : src[i];
    }
}

void jb_ref_add(const float *a, const float *b, uint64_t n, float *dst)
{
    for (uint64_t i = 0; i < n; i++) {
        dst[i] = a[i] + b[i];
    }
}

uint32_t jb_ref_argmax(const float *x, uint32_t n)
{
    uint32_t best = 0;
    for (uint32_t i = 1; i < n; i++) {
        if (x[i] > x[best] || (isnan(x[best]) && !isnan(x[i]))) {
            best = i;
        }
    }
    return best;
}
