/* SPDX-License-Identifier: MIT */
#include "backends/cpu/exec.h"

#include <math.h>
#include <string.h>

/* Values a worker takes at once in elementwise ops: whole record groups. */
#define CHUNK JB_CPU_GROUP
/* Worker ranges of weight rows start at a multiple of this: a cache line of results, a panel. */
#define ROW_STEP JB_CPU_PANEL

/* One worker in one node. */
struct part {
    struct jb_cpu_exec *exec;
    const struct jb_cpu_node *node;
    const struct jb_op *ops; /* (node->n,) */
    uint32_t worker;
};

static float *slot_row(const struct jb_cpu_exec *exec, uint16_t slot, uint64_t row)
{
    return exec->slots[slot] + row * exec->load.plan->slots[slot].width;
}

static uint32_t slot_rows(const struct jb_cpu_exec *exec, uint16_t slot)
{
    return exec->load.plan->slots[slot].rows == JB_ROWS_TOKENS ? exec->n_tokens : exec->n_outputs;
}

/* The first of the row's n_terms records. */
static int8_t *record_at(const struct jb_cpu_exec *exec, uint32_t cols, uint64_t row)
{
    return exec->records + row * exec->n_terms * jb_cpu_record_bytes(cols);
}

/* dst = what a record leaves of x, values [begin, end). */
static void take_rest(const float *x, const int8_t *record, uint32_t width, uint32_t begin,
                      uint32_t end, float *dst)
{
    const float *d = jb_cpu_record_d(record, jb_cpu_padded(width));
    for (uint32_t i = begin; i < end; i++) {
        dst[i] = x[i] - d[i / 32] * (float)record[i];
    }
}

/* Values [begin, end) of a row into its quad. */
static void make_quad(const struct jb_cpu_exec *exec, uint16_t slot, uint64_t row, uint32_t begin,
                      uint32_t end)
{
    const uint32_t cols = exec->load.plan->slots[slot].width;
    const uint32_t width = jb_cpu_quad_width(slot_rows(exec, slot));
    const uint32_t last = end == cols ? 2 * jb_cpu_panel_steps(cols) : end / 32;
    exec->kernels->quantise_quads(
        slot_row(exec, slot, row), cols, begin / 32, last, width, (uint32_t)(row % width),
        exec->n_terms, exec->records + row / width * jb_cpu_quad_bytes(cols, width, exec->n_terms));
}

/* Quantises values [begin, end) of a row, both multiples of 32; the last ones bring the padding. */
static void make_record(const struct part *part, uint16_t slot, uint64_t row, uint32_t begin,
                        uint32_t end)
{
    const struct jb_cpu_exec *exec = part->exec;
    if (exec->kernels->quantise_quads != NULL) {
        make_quad(exec, slot, row, begin, end);
        return;
    }
    const uint32_t width = exec->load.plan->slots[slot].width;
    const uint32_t last = end == width ? jb_cpu_padded(width) : end;
    const float *x = slot_row(exec, slot, row);
    int8_t *record = record_at(exec, width, row);
    exec->kernels->quantise(x, width, begin / 32, last / 32, record);
    if (exec->n_terms == 2) {
        float *rest = exec->scratch[part->worker];
        take_rest(x, record, width, begin, end, rest);
        exec->kernels->quantise(rest, width, begin / 32, last / 32,
                                record + jb_cpu_record_bytes(width));
    }
}

/* What the node's kind of weights reads, of values [begin, end) of a row: begin a multiple of 32,
 * end too or the last. */
static void make_inputs(const struct part *part, uint16_t slot, uint64_t row, uint32_t begin,
                        uint32_t end)
{
    const struct jb_cpu_exec *exec = part->exec;
    const unsigned made = part->node->makes | part->node->needs;
    if ((made & JB_CPU_MAKE_RECORDS) != 0) {
        make_record(part, slot, row, begin, end);
    }
    if ((made & JB_CPU_MAKE_HALVES) != 0 && exec->n_terms == 1) {
        uint8_t *halves =
            exec->halves + row * jb_cpu_halves_bytes(exec->load.plan->slots[slot].width);
        exec->kernels->to_bf16(slot_row(exec, slot, row), begin, end, (uint16_t *)(void *)halves);
    }
}

/* ---- ROWS ---- */

static void run_embed(const struct part *part, const struct jb_op *op, uint32_t row)
{
    const struct jb_cpu_exec *exec = part->exec;
    const struct jb_tensor *tensor = &exec->load.plan->tensors[op->weight];
    const bool is_table = op->kind == JB_OP_EMBED;
    const uint64_t at = is_table ? (uint64_t)exec->ids[row]
                                 : (uint64_t)exec->positions[row] + exec->load.plan->pos_offset;
    float *dst = slot_row(exec, op->dst, row);
    if (exec->panels[op->weight] != NULL) { /* the table is the output matrix too */
        const size_t panel_bytes = jb_cpu_panel_bytes(tensor->dtype, tensor->cols);
        jb_cpu_unpack_row(tensor->dtype, exec->panels[op->weight] + at / JB_CPU_PANEL * panel_bytes,
                          (uint32_t)(at % JB_CPU_PANEL), tensor->cols, dst);
        return;
    }
    const uint8_t *src = (const uint8_t *)exec->weights[op->weight] + at * tensor->row_bytes;
    if (is_table) {
        jb_format_decode(tensor->dtype, src, dst, tensor->cols);
    } else {
        float *decoded = exec->scratch[part->worker];
        jb_format_decode(tensor->dtype, src, decoded, tensor->cols);
        exec->kernels->add(dst, slot_row(exec, op->src0, row), decoded, tensor->cols);
    }
}

static void run_layernorm(const struct part *part, const struct jb_op *op, uint32_t row)
{
    const struct jb_cpu_exec *exec = part->exec;
    const uint32_t width = exec->load.plan->slots[op->dst].width;
    const float *bias = op->bias != JB_NO_TENSOR ? exec->weights[op->bias] : NULL;
    exec->kernels->layernorm(slot_row(exec, op->dst, row), slot_row(exec, op->src0, row),
                             exec->weights[op->weight], bias, width, op->eps);
    if (part->node->makes != 0) {
        make_inputs(part, op->dst, row, 0, width);
    }
}

static void run_select(const struct part *part, const struct jb_op *op, uint32_t row)
{
    const struct jb_cpu_exec *exec = part->exec;
    memcpy(slot_row(exec, op->dst, row), slot_row(exec, op->src0, exec->outputs[row]),
           exec->load.plan->slots[op->dst].width * sizeof(float));
}

static void run_argmax(const struct part *part, const struct jb_op *op, uint32_t row)
{
    struct jb_cpu_exec *exec = part->exec;
    const struct jb_step *step = exec->step;
    const uint32_t vocab = exec->load.plan->slots[op->src0].width;
    const float *logits = slot_row(exec, op->src0, row);
    const uint32_t best = exec->kernels->argmax(logits, vocab);
    if (!isfinite(logits[best])) {
        atomic_store_explicit(&exec->not_finite, row + 1, memory_order_relaxed);
    }
    if (step->ret_ids != NULL) {
        step->ret_ids[row] = (int32_t)best;
    }
    if (step->ret_logits != NULL) {
        memcpy(step->ret_logits + (size_t)row * vocab, logits, vocab * sizeof(float));
    }
}

static void run_rows(const struct part *part)
{
    const struct jb_op *op = part->ops;
    void (*run)(const struct part *, const struct jb_op *, uint32_t) =
        op->kind == JB_OP_LAYERNORM ? run_layernorm
        : op->kind == JB_OP_SELECT  ? run_select
        : op->kind == JB_OP_ARGMAX  ? run_argmax
                                    : run_embed;
    const uint32_t n = slot_rows(part->exec, op->kind == JB_OP_ARGMAX ? op->src0 : op->dst);
    const struct jb_cpu_range rows = jb_cpu_share(n, 1, part->worker, part->exec->n_workers);
    for (uint64_t row = rows.begin; row < rows.end; row++) {
        run(part, op, (uint32_t)row);
    }
}

/* ---- GROUPS ---- */

static void rotate(const struct jb_cpu_exec *exec, float *x, uint64_t row)
{
    const struct jb_rope *rope = &exec->load.plan->rope;
    const float *cosines = exec->rope + row * rope->n_dims;
    const uint32_t n_pairs = rope->n_dims / 2;
    if (rope->kind == JB_ROPE_HALVES) {
        exec->kernels->rope_halves(x, cosines, cosines + n_pairs, n_pairs);
    } else if (rope->kind == JB_ROPE_PAIRS) {
        exec->kernels->rope_pairs(x, cosines, cosines + n_pairs, n_pairs);
    }
}

static void run_group_op(const struct part *part, const struct jb_op *op)
{
    const struct jb_cpu_exec *exec = part->exec;
    const uint32_t width = exec->load.plan->slots[op->dst].width, group = op->group;
    const uint32_t a_row = width / group;
    const struct jb_cpu_range runs =
        jb_cpu_share((uint64_t)slot_rows(exec, op->dst) * a_row, 1, part->worker, exec->n_workers);
    for (uint64_t i = runs.begin; i < runs.end; i++) {
        const uint64_t row = i / a_row, at = i % a_row * group;
        float *dst = slot_row(exec, op->dst, row) + at;
        if (op->kind == JB_OP_ROPE) {
            rotate(exec, dst, row);
        } else {
            exec->kernels->rmsnorm(dst, slot_row(exec, op->src0, row) + at,
                                   exec->weights[op->weight], group, op->eps);
        }
        /* In an attention node it is the attention whose result is taken on. */
        if (part->node->makes != 0 && part->node->kind == JB_CPU_NODE_GROUPS) {
            make_inputs(part, op->dst, row, 0, width);
        }
    }
}

static void run_groups(const struct part *part)
{
    for (uint32_t i = 0; i < part->node->n; i++) {
        run_group_op(part, &part->ops[i]);
    }
}

/* ---- ATTENTION ---- */

/* Row `pos` of K (part 0) or V (part 1) of a KV head in a slot. */
static uint8_t *kv_at(const struct jb_cpu_exec *exec, int16_t layer, uint32_t part, uint32_t slot,
                      uint32_t head, uint32_t pos)
{
    const uint64_t block = ((uint64_t)layer * 2 + part) * exec->load.max_seqs + slot;
    const uint64_t row = (block * exec->load.plan->n_kv_heads + head) * exec->kv_positions + pos;
    return exec->kv + row * exec->kv_row_bytes;
}

/* Keys of one head at one position: kernels.h says where. @param keys the head's first position */
static void store_keys(const struct part *part, const float *src, uint32_t pos, uint8_t *keys)
{
    const struct jb_cpu_exec *exec = part->exec;
    const struct jb_plan *plan = exec->load.plan;
    const uint32_t dim = plan->head_dim;
    if (plan->kv_dtype == JB_F32) {
        float *to = (float *)(void *)keys + jb_cpu_key_at(dim, pos, 0);
        for (uint32_t d = 0; d < dim; d++) {
            to[(size_t)d * JB_CPU_PANEL] = src[d];
        }
    } else if (plan->kv_dtype == JB_F16) {
        uint16_t *to = (uint16_t *)(void *)keys + jb_cpu_key_at(dim, pos, 0);
        uint16_t *halves = (uint16_t *)(void *)exec->scratch[part->worker];
        exec->kernels->to_f16(halves, src, dim);
        for (uint32_t d = 0; d < dim; d++) {
            to[(size_t)d * JB_CPU_PANEL] = halves[d];
        }
    } else {
        jb_format_encode(plan->kv_dtype, src, keys + pos * exec->kv_row_bytes, dim);
    }
}

static void store_values(const struct jb_cpu_exec *exec, const float *src, uint8_t *dst)
{
    const struct jb_plan *plan = exec->load.plan;
    if (plan->kv_dtype == JB_F16) {
        exec->kernels->to_f16((uint16_t *)(void *)dst, src, plan->head_dim);
    } else {
        jb_format_encode(plan->kv_dtype, src, dst, plan->head_dim);
    }
}

static void store_kv(const struct part *part, const struct jb_op *op)
{
    const struct jb_cpu_exec *exec = part->exec;
    const struct jb_plan *plan = exec->load.plan;
    const uint32_t n_heads = plan->n_kv_heads, dim = plan->head_dim;
    const struct jb_cpu_range heads =
        jb_cpu_share((uint64_t)exec->n_tokens * n_heads, 1, part->worker, exec->n_workers);
    for (uint64_t i = heads.begin; i < heads.end; i++) {
        const uint64_t row = i / n_heads;
        const uint32_t head = (uint32_t)(i % n_heads);
        const uint32_t slot = exec->kv_slots[row], pos = exec->positions[row];
        const size_t at = (size_t)head * dim;
        store_keys(part, slot_row(exec, op->src1, row) + at, pos,
                   kv_at(exec, op->layer, 0, slot, head, 0));
        store_values(exec, slot_row(exec, op->src2, row) + at,
                     kv_at(exec, op->layer, 1, slot, head, pos));
    }
}

/* Share `share` of n_shares of the query heads of one KV head, over n tokens from `row` on. */
static void attend(const struct part *part, const struct jb_op *op, uint32_t row, uint32_t n,
                   uint32_t head, uint32_t share, uint32_t n_shares)
{
    const struct jb_cpu_exec *exec = part->exec;
    const struct jb_plan *plan = exec->load.plan;
    const uint32_t n_heads = plan->n_heads / plan->n_kv_heads / n_shares;
    const uint32_t width = n_heads * plan->head_dim, begin = (head * n_shares + share) * width;
    const struct jb_cpu_attention job = {
        .q = slot_row(exec, op->src0, row) + begin,
        .q_stride = plan->slots[op->src0].width,
        .dst = slot_row(exec, op->dst, row) + begin,
        .dst_stride = plan->slots[op->dst].width,
        .k = kv_at(exec, op->layer, 0, exec->kv_slots[row], head, 0),
        .v = kv_at(exec, op->layer, 1, exec->kv_slots[row], head, 0),
        .row_bytes = exec->kv_row_bytes,
        .kv_dtype = plan->kv_dtype,
        .n_heads = n_heads,
        .head_dim = plan->head_dim,
        .n_tokens = n,
        .pos = exec->positions[row],
        .scale = plan->attention_scale,
        .scratch = exec->scratch[part->worker],
    };
    exec->kernels->attention(&job);
    for (uint32_t t = 0; part->node->makes != 0 && t < n; t++) {
        make_inputs(part, op->dst, row + t, begin, begin + width);
    }
}

/* Items (sequence, block of tokens, KV head) go to the workers in turn, since late tokens of a
 * long sequence cost more than early ones. */
static void run_attention(const struct part *part)
{
    const struct jb_cpu_exec *exec = part->exec;
    const struct jb_plan *plan = exec->load.plan;
    const struct jb_op *op = &part->ops[part->node->n - 1];
    for (uint32_t i = 0; i + 1 < part->node->n; i++) {
        run_group_op(part, &part->ops[i]);
    }
    store_kv(part, op);
    jb_pool_barrier(exec->pool);
    const uint32_t n_sharing = plan->n_heads / plan->n_kv_heads;
    uint32_t n_shares = 1; /* few sequences of few KV heads: query heads go to more workers */
    while (exec->n_tokens * plan->n_kv_heads * n_shares < exec->n_workers &&
           n_sharing % (2 * n_shares) == 0) {
        n_shares *= 2;
    }
    const uint32_t n_heads = n_sharing / n_shares;
    const uint32_t block = n_heads < JB_CPU_ATTENTION_ROWS ? JB_CPU_ATTENTION_ROWS / n_heads : 1;
    uint32_t row = 0, item = 0;
    for (uint32_t s = 0; s < exec->step->n_seqs; s++) {
        const uint32_t end = row + exec->step->seqs[s].n_tokens;
        for (; row < end; row += end - row < block ? end - row : block) {
            for (uint32_t i = 0; i < plan->n_kv_heads * n_shares; i++, item++) {
                if (item % exec->n_workers == part->worker) {
                    attend(part, op, row, end - row < block ? end - row : block, i / n_shares,
                           i % n_shares, n_shares);
                }
            }
        }
    }
}

/* ---- VALUES ---- */

static void run_value_op(const struct jb_cpu_kernels *kernels, enum jb_op_kind kind, float *dst,
                         const float *a, const float *b, uint32_t n)
{
    switch (kind) {
    case JB_OP_SILU_MUL:
        kernels->silu_mul(dst, a, b, n);
        break;
    case JB_OP_GELU:
        kernels->gelu(dst, a, n);
        break;
    case JB_OP_RELU:
        kernels->relu(dst, a, n);
        break;
    default:
        kernels->add(dst, a, b, n);
        break;
    }
}

static void run_values(const struct part *part)
{
    const struct jb_cpu_exec *exec = part->exec;
    const struct jb_op *op = part->ops;
    const uint32_t width = exec->load.plan->slots[op->dst].width;
    const uint32_t a_row = (width + CHUNK - 1) / CHUNK;
    struct jb_cpu_range chunks =
        jb_cpu_share((uint64_t)slot_rows(exec, op->dst) * a_row, 1, part->worker, exec->n_workers);
    while (chunks.begin < chunks.end) {
        /* All of the share that lies in one row. */
        const uint64_t row = chunks.begin / a_row, left = a_row - chunks.begin % a_row;
        const uint64_t n = chunks.end - chunks.begin < left ? chunks.end - chunks.begin : left;
        const uint32_t begin = (uint32_t)(chunks.begin % a_row) * CHUNK;
        const uint32_t most = begin + (uint32_t)n * CHUNK, end = most < width ? most : width;
        const float *b = op->src1 != JB_NO_SLOT ? slot_row(exec, op->src1, row) + begin : NULL;
        run_value_op(exec->kernels, op->kind, slot_row(exec, op->dst, row) + begin,
                     slot_row(exec, op->src0, row) + begin, b, end - begin);
        if (part->node->makes != 0) {
            make_inputs(part, op->dst, row, begin, end);
        }
        chunks.begin += n;
    }
}

/* ---- MATMUL ---- */

static void make_records(const struct part *part, uint16_t slot)
{
    const struct jb_cpu_exec *exec = part->exec;
    const uint32_t width = exec->load.plan->slots[slot].width, a_row = (width + 31) / 32;
    struct jb_cpu_range blocks =
        jb_cpu_share((uint64_t)slot_rows(exec, slot) * a_row, 1, part->worker, exec->n_workers);
    while (blocks.begin < blocks.end) {
        const uint64_t row = blocks.begin / a_row, at = blocks.begin % a_row;
        const uint64_t n =
            blocks.end - blocks.begin < a_row - at ? blocks.end - blocks.begin : a_row - at;
        const uint32_t end = (uint32_t)(at + n) * 32;
        make_inputs(part, slot, row, (uint32_t)at * 32, end < width ? end : width);
        blocks.begin += n;
    }
}

/* Rows [begin, end) of a product with activations of two terms: a block of rows at a time as if
 * each term were an input of its own, then their sums. */
static void multiply_terms(const struct part *part, const struct jb_cpu_matmul *whole,
                           jb_cpu_matmul_fn *matmul, uint32_t begin, uint32_t end)
{
    float *products = part->exec->scratch[part->worker];
    for (uint32_t at = begin; at < end; at += JB_CPU_TERM_ROWS) {
        const uint32_t n_rows = end - at < JB_CPU_TERM_ROWS ? end - at : JB_CPU_TERM_ROWS;
        struct jb_cpu_matmul job = *whole;
        job.weights += at * job.row_bytes;
        job.n = 2 * whole->n;
        job.dst = products;
        job.dst_stride = JB_CPU_TERM_ROWS;
        matmul(&job, 0, n_rows);
        for (uint32_t c = 0; c < whole->n; c++) {
            const float *terms = products + (size_t)c * 2 * JB_CPU_TERM_ROWS;
            part->exec->kernels->add(whole->dst + c * whole->dst_stride + at, terms,
                                     terms + JB_CPU_TERM_ROWS, n_rows);
        }
    }
}

static void run_product(const struct part *part, const struct jb_op *op, const struct jb_op *add)
{
    const struct jb_cpu_exec *exec = part->exec;
    const struct jb_tensor *tensor = &exec->load.plan->tensors[op->weight];
    const uint32_t n = slot_rows(exec, op->dst);
    const struct jb_cpu_range rows =
        jb_cpu_share(tensor->rows, ROW_STEP, part->worker, exec->n_workers);
    if (rows.begin == rows.end || n == 0) {
        return;
    }
    const enum jb_cpu_input input = exec->kernels->input[tensor->dtype];
    struct jb_cpu_matmul job = {
        .weights = exec->weights[op->weight],
        .row_bytes = tensor->row_bytes,
        .cols = tensor->cols,
        .n = n,
        .x = exec->slots[op->src0],
        .x_stride = tensor->cols,
        .records = exec->records,
        .record_bytes = jb_cpu_record_bytes(tensor->cols),
        .n_terms = exec->n_terms,
        .dst = exec->slots[op->dst],
        .dst_stride = tensor->rows,
    };
    if (jb_cpu_is_packed(input)) {
        job.weights = exec->panels[op->weight];
        job.row_bytes = jb_cpu_panel_bytes(tensor->dtype, tensor->cols);
    }
    if (input == JB_CPU_INPUT_HALVES) {
        job.records = (const int8_t *)exec->halves;
        job.record_bytes = jb_cpu_halves_bytes(tensor->cols);
    } else if (input == JB_CPU_INPUT_QUADS) {
        job.record_bytes = jb_cpu_quad_bytes(tensor->cols, jb_cpu_quad_width(n), exec->n_terms);
    }
    jb_cpu_matmul_fn *matmul = exec->kernels->matmul[tensor->dtype];
    if (input == JB_CPU_INPUT_RECORDS && exec->n_terms == 2) {
        multiply_terms(part, &job, matmul, (uint32_t)rows.begin, (uint32_t)rows.end);
    } else {
        matmul(&job, (uint32_t)rows.begin, (uint32_t)rows.end);
    }
    const uint32_t n_rows = (uint32_t)(rows.end - rows.begin);
    for (uint32_t c = 0; c < n; c++) {
        float *dst = slot_row(exec, op->dst, c) + rows.begin;
        if (op->bias != JB_NO_TENSOR) {
            const float *bias = exec->weights[op->bias];
            exec->kernels->add(dst, dst, bias + rows.begin, n_rows);
        }
        if (add != NULL) {
            exec->kernels->add(slot_row(exec, add->dst, c) + rows.begin,
                               slot_row(exec, add->src0, c) + rows.begin,
                               slot_row(exec, add->src1, c) + rows.begin, n_rows);
        }
    }
}

static void run_matmul(const struct part *part)
{
    const struct jb_cpu_node *node = part->node;
    if (node->needs != 0 && !node->finds) {
        make_records(part, part->ops[0].src0);
        jb_pool_barrier(part->exec->pool);
    }
    const uint32_t n_products = node->n - (node->has_add ? 1 : 0);
    for (uint32_t i = 0; i < n_products; i++) {
        const bool is_last = i + 1 == n_products;
        run_product(part, &part->ops[i], is_last && node->has_add ? &part->ops[i + 1] : NULL);
    }
}

/* ---- the walk ---- */

static void (*const runners[])(const struct part *part) = {
    [JB_CPU_NODE_ROWS] = run_rows,     [JB_CPU_NODE_GROUPS] = run_groups,
    [JB_CPU_NODE_MATMUL] = run_matmul, [JB_CPU_NODE_ATTENTION] = run_attention,
    [JB_CPU_NODE_VALUES] = run_values,
};

/* Angles in double, as the reference takes them: p * inv_freq loses too much in float. */
static void make_rope(const struct jb_cpu_exec *exec, uint32_t worker)
{
    const struct jb_rope *rope = &exec->load.plan->rope;
    const uint32_t n_pairs = rope->n_dims / 2;
    if (rope->kind == JB_ROPE_NONE) {
        return;
    }
    const struct jb_cpu_range pairs =
        jb_cpu_share((uint64_t)exec->n_tokens * n_pairs, 1, worker, exec->n_workers);
    for (uint64_t i = pairs.begin; i < pairs.end; i++) {
        const uint64_t row = i / n_pairs, pair = i % n_pairs;
        const double angle = (double)exec->positions[row] * (double)rope->inv_freq[pair];
        float *cosines = exec->rope + row * rope->n_dims;
        cosines[pair] = (float)(cos(angle) * (double)rope->mscale);
        cosines[n_pairs + pair] = (float)(sin(angle) * (double)rope->mscale);
    }
}

static void walk(void *ctx, uint32_t worker)
{
    struct jb_cpu_exec *exec = ctx;
    const struct jb_step *step = exec->step;
    const struct jb_cpu_program *program = &exec->programs[step->program];
    const struct jb_op *ops = exec->load.plan->programs[step->program].ops;
    make_rope(exec, worker);
    jb_pool_barrier(exec->pool);
    for (uint32_t i = 0; i < program->n_nodes; i++) {
        const struct jb_cpu_node *node = &program->nodes[i];
        if (node->first < step->op_begin || node->first >= step->op_end) {
            continue;
        }
        const struct part part = {
            .exec = exec, .node = node, .ops = &ops[node->first], .worker = worker};
        runners[node->kind](&part);
        jb_pool_barrier(exec->pool);
    }
}

enum jb_status jb_cpu_exec(struct jb_cpu_exec *exec)
{
    atomic_store_explicit(&exec->not_finite, 0, memory_order_relaxed);
    jb_pool_run(exec->pool, walk, exec);
    const unsigned bad = atomic_load_explicit(&exec->not_finite, memory_order_relaxed);
    if (bad != 0) {
        return jb_fail(JB_E_NUMERIC, "cpu: the largest logit of output %u is not finite", bad - 1);
    }
    return JB_OK;
}
