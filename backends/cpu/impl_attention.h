/* SPDX-License-Identifier: MIT */
/* Fused attention with the online softmax (Milakov and Gimelshein, arXiv:1805.02867): positions
 * come in blocks; each query row keeps its largest score, its sum and its weighted values so far,
 * and rescales them when the largest grows. Memory does not depend on the depth. */

/* One block of positions, for all rows. */
struct attention_block {
    const uint8_t *k, *v; /* (n, head_dim), float32 or binary16 */
    enum jb_dtype dtype;
    size_t row_bytes;
    uint32_t first, n; /* positions [first, first + n) */
};

/* A row's state. */
struct attention_rows {
    float *q;       /* (rows, head_dim) */
    float *out;     /* (rows, head_dim) sums not yet divided */
    float *scores;  /* (rows, BLOCK) */
    float *largest; /* (rows,) */
    float *sum;     /* (rows,) */
    uint32_t n;
};

/* Weights of the block from its scores; those beyond n_seen are zero. */
static void attention_softmax(float *scores, uint32_t n_seen, uint32_t n, float scale,
                              float *largest, float *sum, float *out, uint32_t head_dim)
{
    float block_largest = scores[0];
    for (uint32_t j = 1; j < n_seen; j++) {
        block_largest = scores[j] > block_largest ? scores[j] : block_largest;
    }
    block_largest *= scale;
    if (block_largest > *largest) {
        const float ratio = expf(*largest - block_largest);
        const vf vratio = vf_set(ratio);
        uint32_t i = 0;
        for (; i + LANES <= head_dim; i += LANES) {
            vf_store(out + i, vf_mul(vf_load(out + i), vratio));
        }
        for (; i < head_dim; i++) {
            out[i] *= ratio;
        }
        *sum *= ratio;
        *largest = block_largest;
    }
    const vf vlargest = vf_set(*largest), vscale = vf_set(scale);
    vf total = vf_set(0.0f);
    uint32_t j = 0;
    for (; j + LANES <= n_seen; j += LANES) {
        const vf p = vf_exp(vf_sub(vf_mul(vf_load(scores + j), vscale), vlargest));
        vf_store(scores + j, p);
        total = vf_add(total, p);
    }
    *sum += vf_sum(total);
    for (; j < n_seen; j++) {
        scores[j] = expf(scores[j] * scale - *largest);
        *sum += scores[j];
    }
    for (; j < n; j++) {
        scores[j] = 0.0f;
    }
}

/* out (R rows) += scores (R, n) x V (n, head_dim), LANES (or n_values) columns from i on. */
static ALWAYS_INLINE void attention_values(const uint32_t R, bool is_tail, uint32_t n_values,
                                           const struct attention_block *block, const float *scores,
                                           float *out, uint32_t head_dim, uint32_t i)
{
    vf acc[4];
    UNROLL for (uint32_t r = 0; r < R; r++)
    {
        const float *p = out + (size_t)r * head_dim + i;
        acc[r] = is_tail ? vf_load_n(p, n_values) : vf_load(p);
    }
    for (uint32_t j = 0; j < block->n; j++) {
        const uint8_t *row = block->v + j * block->row_bytes;
        const vf v = block->dtype == JB_F32 ? (is_tail ? load_weights_n(JB_F32, row, i, n_values)
                                                       : load_weights(JB_F32, row, i))
                                            : (is_tail ? load_weights_n(JB_F16, row, i, n_values)
                                                       : load_weights(JB_F16, row, i));
        UNROLL for (uint32_t r = 0; r < R; r++)
        {
            acc[r] = vf_fma(vf_set(scores[r * JB_CPU_ATTENTION_BLOCK + j]), v, acc[r]);
        }
    }
    UNROLL for (uint32_t r = 0; r < R; r++)
    {
        float *p = out + (size_t)r * head_dim + i;
        if (is_tail) {
            vf_store_n(p, acc[r], n_values);
        } else {
            vf_store(p, acc[r]);
        }
    }
}

static ALWAYS_INLINE void attention_values_rows(const uint32_t R,
                                                const struct attention_block *block,
                                                const struct attention_rows *rows, uint32_t row,
                                                uint32_t head_dim)
{
    const float *scores = rows->scores + (size_t)row * JB_CPU_ATTENTION_BLOCK;
    float *out = rows->out + (size_t)row * head_dim;
    uint32_t i = 0;
    for (; i + LANES <= head_dim; i += LANES) {
        attention_values(R, false, LANES, block, scores, out, head_dim, i);
    }
    if (i < head_dim) {
        attention_values(R, true, head_dim - i, block, scores, out, head_dim, i);
    }
}

static void attention_block(const struct jb_cpu_attention *job, const struct attention_rows *rows,
                            const struct attention_block *block)
{
    const struct jb_cpu_matmul scores = {
        .weights = block->k,
        .row_bytes = block->row_bytes,
        .cols = job->head_dim,
        .n = rows->n,
        .x = rows->q,
        .x_stride = job->head_dim,
        .dst = rows->scores,
        .dst_stride = JB_CPU_ATTENTION_BLOCK,
    };
    (block->dtype == JB_F32 ? matmul_f32 : matmul_f16)(&scores, 0, block->n);
    for (uint32_t r = 0; r < rows->n; r++) {
        const uint32_t seen = job->pos + r / job->n_heads + 1;
        const uint32_t n_seen = seen <= block->first             ? 0
                                : seen - block->first < block->n ? seen - block->first
                                                                 : block->n;
        float *row = rows->scores + (size_t)r * JB_CPU_ATTENTION_BLOCK;
        if (n_seen == 0) {
            memset(row, 0, block->n * sizeof(*row));
        } else {
            attention_softmax(row, n_seen, block->n, job->scale, &rows->largest[r], &rows->sum[r],
                              rows->out + (size_t)r * job->head_dim, job->head_dim);
        }
    }
    uint32_t r = 0;
    for (; r + 4 <= rows->n; r += 4) {
        attention_values_rows(4, block, rows, r, job->head_dim);
    }
    for (; r < rows->n; r++) {
        attention_values_rows(1, block, rows, r, job->head_dim);
    }
}

static struct attention_rows attention_start(const struct jb_cpu_attention *job, float **ret_free)
{
    const uint32_t n = job->n_tokens * job->n_heads;
    const size_t values = (size_t)n * job->head_dim;
    struct attention_rows rows = {.n = n, .q = job->scratch};
    rows.out = rows.q + values;
    rows.scores = rows.out + values;
    rows.largest = rows.scores + (size_t)n * JB_CPU_ATTENTION_BLOCK;
    rows.sum = rows.largest + n;
    *ret_free = rows.sum + n;
    for (uint32_t t = 0; t < job->n_tokens; t++) {
        memcpy(rows.q + (size_t)t * job->n_heads * job->head_dim, job->q + t * job->q_stride,
               (size_t)job->n_heads * job->head_dim * sizeof(float));
    }
    memset(rows.out, 0, values * sizeof(float));
    for (uint32_t r = 0; r < n; r++) {
        rows.largest[r] = -INFINITY;
        rows.sum[r] = 0.0f;
    }
    return rows;
}

static void attention(const struct jb_cpu_attention *job)
{
    float *decoded;
    const struct attention_rows rows = attention_start(job, &decoded);
    const uint32_t n_positions = job->pos + job->n_tokens;
    const size_t decoded_values = (size_t)JB_CPU_ATTENTION_BLOCK * job->head_dim;
    for (uint32_t first = 0; first < n_positions; first += JB_CPU_ATTENTION_BLOCK) {
        struct attention_block block = {
            .k = job->k + first * job->row_bytes,
            .v = job->v + first * job->row_bytes,
            .dtype = job->kv_dtype,
            .row_bytes = job->row_bytes,
            .first = first,
            .n = n_positions - first < JB_CPU_ATTENTION_BLOCK ? n_positions - first
                                                              : JB_CPU_ATTENTION_BLOCK,
        };
        if (job->kv_dtype == JB_Q8_0) {
            jb_format_decode(JB_Q8_0, block.k, decoded, (uint64_t)block.n * job->head_dim);
            jb_format_decode(JB_Q8_0, block.v, decoded + decoded_values,
                             (uint64_t)block.n * job->head_dim);
            block.k = (const uint8_t *)decoded;
            block.v = (const uint8_t *)(decoded + decoded_values);
            block.dtype = JB_F32;
            block.row_bytes = job->head_dim * sizeof(float);
        }
        attention_block(job, &rows, &block);
    }
    for (uint32_t r = 0; r < rows.n; r++) {
        float *dst = job->dst + r / job->n_heads * job->dst_stride +
                     (size_t)(r % job->n_heads) * job->head_dim;
        const float *out = rows.out + (size_t)r * job->head_dim;
        for (uint32_t i = 0; i < job->head_dim; i++) {
            dst[i] = out[i] / rows.sum[r];
        }
    }
}
