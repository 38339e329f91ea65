/* SPDX-License-Identifier: MIT */
/* Fused attention with the online softmax (Milakov and Gimelshein, arXiv:1805.02867): positions
 * come in blocks; each query row keeps its largest score, its sum and its weighted values so far,
 * and rescales them when the largest grows. Memory does not depend on the depth. */

/* Keys lie in panels of 16 positions (kernels.h), so that a score is never summed across a
 * register. */
#define KEY_VECTORS (JB_CPU_PANEL / LANES)
/* Tiles: query rows by panels of keys, and query rows by vectors of values. */
#if LANES == 16
#define KEY_TILE 16u /* rows x panels: 8 x 2, 4 x 4, 1 x 4 */
#define VALUE_VECTORS 4u
#elif LANES == 8
#define KEY_TILE 4u
#define VALUE_VECTORS 2u
#elif LANES == 4
#define KEY_TILE 4u
#define VALUE_VECTORS 4u
#else
#define KEY_TILE 1u
#define VALUE_VECTORS 1u
#endif
#define KEY_ROWS (KEY_TILE < 8u ? KEY_TILE : 8u)

/* One block of positions, for all rows. */
struct attention_block {
    const uint8_t *k;    /* panels of (head_dim, 16), float32 or binary16 */
    const uint8_t *v;    /* (n, head_dim)                                 */
    enum jb_dtype dtype; /* of both */
    size_t row_bytes;    /* of one position */
    uint32_t first, n;   /* positions [first, first + n) */
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

static ALWAYS_INLINE void key_tile(enum jb_dtype dtype, const uint32_t R, const uint32_t P,
                                   const uint8_t *keys, const float *q, uint32_t head_dim,
                                   float *scores)
{
    const size_t vector_bytes = (dtype == JB_F32 ? 4 : 2) * LANES;
    const size_t panel_bytes = vector_bytes * KEY_VECTORS * head_dim;
    vf acc[KEY_ROWS][4 * KEY_VECTORS];
    UNROLL for (uint32_t i = 0; i < R * P * KEY_VECTORS; i++)
    {
        acc[i / (P * KEY_VECTORS)][i % (P * KEY_VECTORS)] = vf_set(0.0f);
    }
    for (uint32_t d = 0; d < head_dim; d++) {
        vf k[4 * KEY_VECTORS];
        UNROLL for (uint32_t i = 0; i < P * KEY_VECTORS; i++)
        {
            const size_t vector = (size_t)d * KEY_VECTORS + i % KEY_VECTORS;
            k[i] = load_weights(dtype, keys + i / KEY_VECTORS * panel_bytes + vector * vector_bytes,
                                0);
        }
        UNROLL for (uint32_t r = 0; r < R; r++)
        {
            const vf x = vf_set(q[(size_t)r * head_dim + d]);
            UNROLL for (uint32_t i = 0; i < P * KEY_VECTORS; i++)
            {
                acc[r][i] = vf_fma(k[i], x, acc[r][i]);
            }
        }
    }
    UNROLL for (uint32_t i = 0; i < R * P * KEY_VECTORS; i++)
    {
        const uint32_t r = i / (P * KEY_VECTORS), at = i % (P * KEY_VECTORS);
        vf_store(scores + (size_t)r * JB_CPU_ATTENTION_BLOCK + (size_t)at * LANES, acc[r][at]);
    }
}

/* R rows of queries by all keys of a block, P panels at once. */
static ALWAYS_INLINE void key_rows(enum jb_dtype dtype, const uint32_t R, const uint32_t P,
                                   const struct attention_block *block, const float *q,
                                   uint32_t head_dim, float *scores)
{
    const size_t panel_bytes = block->row_bytes * JB_CPU_PANEL;
    const uint32_t n_panels = (block->n + JB_CPU_PANEL - 1) / JB_CPU_PANEL;
    uint32_t p = 0;
    for (; p + P <= n_panels; p += P) {
        key_tile(dtype, R, P, block->k + p * panel_bytes, q, head_dim,
                 scores + (size_t)p * JB_CPU_PANEL);
    }
    for (; p < n_panels; p++) {
        key_tile(dtype, R, 1, block->k + p * panel_bytes, q, head_dim,
                 scores + (size_t)p * JB_CPU_PANEL);
    }
}

static ALWAYS_INLINE void attention_scores(enum jb_dtype dtype, const struct attention_rows *rows,
                                           const struct attention_block *block, uint32_t head_dim)
{
    uint32_t r = 0;
    for (; r + KEY_ROWS <= rows->n; r += KEY_ROWS) {
        key_rows(dtype, KEY_ROWS, (KEY_TILE + KEY_ROWS - 1) / KEY_ROWS, block,
                 rows->q + (size_t)r * head_dim, head_dim,
                 rows->scores + (size_t)r * JB_CPU_ATTENTION_BLOCK);
    }
    for (; r + 4 <= rows->n && KEY_ROWS > 4; r += 4) {
        key_rows(dtype, 4, KEY_TILE / 4, block, rows->q + (size_t)r * head_dim, head_dim,
                 rows->scores + (size_t)r * JB_CPU_ATTENTION_BLOCK);
    }
    for (; r < rows->n; r++) {
        key_rows(dtype, 1, KEY_TILE < 4 ? KEY_TILE : 4, block, rows->q + (size_t)r * head_dim,
                 head_dim, rows->scores + (size_t)r * JB_CPU_ATTENTION_BLOCK);
    }
}

/* Weights of the block from its scores; those beyond n_seen are zero. */
static void attention_softmax(float *scores, uint32_t n_seen, uint32_t n, float scale,
                              float *largest, float *sum, float *out, uint32_t head_dim)
{
    const uint32_t n_vectors = (n_seen + LANES - 1) / LANES;
    for (uint32_t j = n_seen; j < n_vectors * LANES; j++) {
        scores[j] = -INFINITY;
    }
    vf top = vf_set(-INFINITY);
    for (uint32_t i = 0; i < n_vectors; i++) {
        top = vf_max(vf_load(scores + (size_t)i * LANES), top);
    }
    const float block_largest = vf_largest(top) * scale;
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
    for (uint32_t i = 0; i < n_vectors; i++) {
        float *p = scores + (size_t)i * LANES;
        vf_store(p, vf_exp(vf_sub(vf_mul(vf_load(p), vscale), vlargest)));
    }
    const uint32_t end = n > n_vectors * LANES ? n : n_vectors * LANES;
    for (uint32_t j = n_seen; j < end; j++) {
        scores[j] = 0.0f;
    }
    vf total = vf_set(0.0f);
    for (uint32_t i = 0; i < n_vectors; i++) {
        total = vf_add(total, vf_load(scores + (size_t)i * LANES));
    }
    *sum += vf_sum(total);
}

static ALWAYS_INLINE vf load_values(const struct attention_block *block, const uint8_t *row,
                                    uint32_t i, bool is_tail, uint32_t n_values)
{
    return block->dtype == JB_F32
               ? (is_tail ? load_weights_n(JB_F32, row, i, n_values) : load_weights(JB_F32, row, i))
               : (is_tail ? load_weights_n(JB_F16, row, i, n_values)
                          : load_weights(JB_F16, row, i));
}

/* out (R rows) += scores (R, n) x V (n, head_dim), N vectors of columns from i on; a tail is one
 * vector of n_values. */
static ALWAYS_INLINE void attention_values(const uint32_t R, const uint32_t N, bool is_tail,
                                           uint32_t n_values, const struct attention_block *block,
                                           const float *scores, float *out, uint32_t head_dim,
                                           uint32_t i)
{
    vf acc[4][VALUE_VECTORS];
    UNROLL for (uint32_t at = 0; at < R * N; at++)
    {
        const float *p = out + (size_t)(at / N) * head_dim + i + (size_t)(at % N) * LANES;
        acc[at / N][at % N] = is_tail ? vf_load_n(p, n_values) : vf_load(p);
    }
    for (uint32_t j = 0; j < block->n; j++) {
        const uint8_t *row = block->v + j * block->row_bytes;
        vf v[VALUE_VECTORS];
        UNROLL for (uint32_t at = 0; at < N; at++)
        {
            v[at] = load_values(block, row, i + at * LANES, is_tail, n_values);
        }
        UNROLL for (uint32_t r = 0; r < R; r++)
        {
            const vf p = vf_set(scores[(size_t)r * JB_CPU_ATTENTION_BLOCK + j]);
            UNROLL for (uint32_t at = 0; at < N; at++)
            {
                acc[r][at] = vf_fma(p, v[at], acc[r][at]);
            }
        }
    }
    UNROLL for (uint32_t at = 0; at < R * N; at++)
    {
        float *p = out + (size_t)(at / N) * head_dim + i + (size_t)(at % N) * LANES;
        if (is_tail) {
            vf_store_n(p, acc[at / N][at % N], n_values);
        } else {
            vf_store(p, acc[at / N][at % N]);
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
    for (; i + VALUE_VECTORS * LANES <= head_dim; i += VALUE_VECTORS * LANES) {
        attention_values(R, VALUE_VECTORS, false, LANES, block, scores, out, head_dim, i);
    }
    for (; i + LANES <= head_dim; i += LANES) {
        attention_values(R, 1, false, LANES, block, scores, out, head_dim, i);
    }
    if (i < head_dim) {
        attention_values(R, 1, true, head_dim - i, block, scores, out, head_dim, i);
    }
}

static void attention_block(const struct jb_cpu_attention *job, const struct attention_rows *rows,
                            const struct attention_block *block)
{
    if (block->dtype == JB_F32) {
        attention_scores(JB_F32, rows, block, job->head_dim);
    } else {
        attention_scores(JB_F16, rows, block, job->head_dim);
    }
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

/* Q8_0 keys (n, head_dim) to float32 panels. @param row room for head_dim values */
static void attention_decode_keys(const struct attention_block *block, uint32_t head_dim,
                                  float *panels, float *row)
{
    for (uint32_t j = 0; j < block->n; j++) {
        jb_format_decode(JB_Q8_0, block->k + j * block->row_bytes, row, head_dim);
        for (uint32_t d = 0; d < head_dim; d++) {
            panels[jb_cpu_key_at(head_dim, j, d)] = row[d];
        }
    }
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
            attention_decode_keys(&block, job->head_dim, decoded, decoded + decoded_values);
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
