/* SPDX-License-Identifier: MIT */
/* One op, or a few fused ones: from the plan to the launch of a kernel. */
#include "backends/cuda/device.h"

static uint32_t smaller(uint32_t a, uint32_t b)
{
    return a < b ? a : b;
}

static uint32_t rows_of(const struct jb_device *dev, uint16_t slot)
{
    return dev->load.plan->slots[slot].rows == JB_ROWS_TOKENS ? dev->n_tokens : dev->n_outputs;
}

static uint32_t width_of(const struct jb_device *dev, uint16_t slot)
{
    return dev->load.plan->slots[slot].width;
}

static const float *values(const struct jb_device *dev, uint16_t slot)
{
    return slot == JB_NO_SLOT ? NULL : (const float *)dev->slots[slot].values;
}

/* float32 form of a tensor: norms, biases. */
static const float *vector(const struct jb_device *dev, int32_t tensor)
{
    return tensor == JB_NO_TENSOR ? NULL : (const float *)dev->weights[tensor].data;
}

/* Where a kernel leaves what it made: the forms of its slot that somebody reads. At most one
 * packed form is written by the kernel itself; a second one, which a model with both half and
 * bfloat16 weights needs, is made from the values. */
struct output {
    float *y;
    void *packed;
    uint64_t plane;
    uint32_t is_bf16, planes;
};

static bool needs_two_packed(const struct jb_cuda_slot *slot)
{
    return slot->needs_packed[0] && slot->needs_packed[1];
}

static struct output output_of(const struct jb_device *dev, uint16_t slot)
{
    const struct jb_cuda_slot *s = &dev->slots[slot];
    const uint64_t plane = (uint64_t)rows_of(dev, slot) * width_of(dev, slot);
    struct output out = {.plane = plane, .planes = 1};
    if (s->needs_values || needs_two_packed(s)) {
        out.y = (float *)s->values;
    }
    const int type = s->needs_packed[0] ? 0 : 1;
    if (s->needs_packed[type]) {
        out.packed = (void *)s->packed[type];
        out.is_bf16 = (uint32_t)type;
        out.planes = s->planes[type];
    }
    return out;
}

static enum jb_status elementwise(struct jb_device *dev, uint32_t kind, const float *a,
                                  const float *b, uint32_t width, const struct output *out)
{
    const struct jb_cuda_elementwise params = {.a = a,
                                               .b = b,
                                               .y = out->y,
                                               .packed = out->packed,
                                               .packed_plane = out->plane,
                                               .n = out->plane,
                                               .kind = kind,
                                               .width = width,
                                               .packed_is_bf16 = out->is_bf16,
                                               .packed_planes = out->planes};
    const uint64_t n_blocks = (params.n + 255) / 256;
    const uint32_t limit = 8 * dev->n_processors;
    return jb_cuda_launch(dev, dev->run_elementwise, n_blocks < limit ? (uint32_t)n_blocks : limit,
                          1, 1, 256, &params);
}

/* Makes the packed forms of a slot whose values were written by something that cannot pack. */
enum jb_status jb_cuda_pack(struct jb_device *dev, uint16_t slot, bool skip_first)
{
    const struct jb_cuda_slot *s = &dev->slots[slot];
    bool is_first = true;
    for (int type = 0; type < 2; type++) {
        if (!s->needs_packed[type]) {
            continue;
        }
        const bool is_done = is_first && skip_first;
        is_first = false;
        if (is_done) {
            continue;
        }
        const struct output out = {.packed = (void *)s->packed[type],
                                   .plane = (uint64_t)rows_of(dev, slot) * width_of(dev, slot),
                                   .is_bf16 = (uint32_t)type,
                                   .planes = s->planes[type]};
        const enum jb_status status =
            elementwise(dev, JB_CUDA_PACK, values(dev, slot), NULL, 0, &out);
        if (status != JB_OK) {
            return status;
        }
    }
    return JB_OK;
}

static enum jb_status run_embed(struct jb_device *dev, const struct jb_op *op)
{
    const bool is_position = op->kind == JB_OP_POSEMBED;
    const struct jb_cuda_embed params = {.w = dev->raw_tables[op->weight],
                                         .rows = dev->rows,
                                         .x = is_position ? values(dev, op->src0) : NULL,
                                         .y = (float *)dev->slots[op->dst].values,
                                         .n = dev->n_tokens,
                                         .offset = dev->load.plan->pos_offset};
    const enum jb_status status =
        jb_cuda_launch(dev, dev->run_embed, dev->n_tokens, 1, 1, 256, &params);
    return status == JB_OK ? jb_cuda_pack(dev, op->dst, false) : status;
}

static enum jb_status run_norm(struct jb_device *dev, const struct jb_op *op)
{
    const uint32_t width = width_of(dev, op->dst);
    const bool is_layernorm = op->kind == JB_OP_LAYERNORM;
    const uint32_t group = is_layernorm ? width : op->group;
    const struct output out = output_of(dev, op->dst);
    const struct jb_cuda_norm params = {.x = values(dev, op->src0),
                                        .weight = vector(dev, op->weight),
                                        .bias = vector(dev, op->bias),
                                        .y = out.y,
                                        .packed = out.packed,
                                        .packed_plane = out.plane,
                                        .n = rows_of(dev, op->dst),
                                        .width = width,
                                        .group = group,
                                        .eps = op->eps,
                                        .is_layernorm = is_layernorm,
                                        .packed_is_bf16 = out.is_bf16,
                                        .packed_planes = out.planes};
    const uint32_t threads = group >= 1024 ? 1024 : (group + 31) / 32 * 32;
    const enum jb_status status =
        jb_cuda_launch(dev, dev->run_norm, params.n * (width / group), 1, 1, threads, &params);
    return status == JB_OK ? jb_cuda_pack(dev, op->dst, true) : status;
}

static enum jb_status run_plain_matmul(struct jb_device *dev, const struct jb_op *op)
{
    const struct jb_cuda_plain_matmul params = {.w = dev->weights[op->weight],
                                                .x = values(dev, op->src0),
                                                .bias = vector(dev, op->bias),
                                                .y = (float *)dev->slots[op->dst].values,
                                                .n = rows_of(dev, op->dst)};
    const enum jb_status status =
        jb_cuda_launch(dev, dev->plain_matmul, (params.w.rows + 7) / 8, 1, 1, 256, &params);
    return status == JB_OK ? jb_cuda_pack(dev, op->dst, false) : status;
}

/* Splits of the inputs over blocks, so that every processor has work. */
static uint32_t splits_for(const struct jb_device *dev, const struct jb_cuda_weight *w,
                           uint32_t n_blocks, uint64_t values_a_split)
{
    const uint32_t chunk = w->form == JB_CUDA_T4 || w->form == JB_CUDA_T4M ? 64 : 32;
    const uint32_t n_chunks = w->cols / chunk;
    const uint32_t wanted = 2 * dev->n_processors / n_blocks;
    const uint32_t most = n_chunks / 16; /* two chunks a warp at least */
    uint32_t splits = smaller(wanted, most);
    splits = splits < 1 ? 1 : splits;
    const uint64_t room = dev->partial_values / values_a_split;
    return room < splits ? (uint32_t)(room < 1 ? 1 : room) : splits;
}

static enum jb_status run_few_matmul(struct jb_device *dev, const struct jb_cuda_action *action)
{
    const struct jb_op *ops = dev->load.plan->programs[0].ops;
    const struct jb_op *op = &ops[action->op];
    const struct jb_cuda_weight *w = &dev->weights[op->weight];
    const int type = w->form == JB_CUDA_BF16 ? 1 : 0;
    const struct jb_cuda_slot *x = &dev->slots[op->src0];
    const uint32_t n = rows_of(dev, op->dst);
    const bool is_pair = action->up >= 0;
    const uint32_t columns = n * x->planes[type];
    const uint32_t groups = columns <= 8 ? 1 : columns <= 16 ? 2 : 4;
    const struct output out = output_of(dev, action->dst);
    /* Tiled weights: two row tiles a block share the activations, if enough blocks are left. */
    const bool is_single =
        groups == 1 && !is_pair &&
        (w->rows % 32 != 0 || w->rows / 32 < 2 * dev->n_processors || w->form <= JB_CUDA_BF16);
    const uint32_t tiles = is_pair || is_single ? 1 : 2;
    const uint32_t n_blocks = (w->rows / 16 + tiles - 1) / tiles;
    const uint64_t a_split = (uint64_t)n_blocks * (is_pair ? 2 : tiles) * 16 * 8 * groups;
    struct jb_cuda_matmul params = {.w = *w,
                                    .x = (const void *)x->packed[type],
                                    .x_plane = (uint64_t)n * w->cols,
                                    .bias = vector(dev, op->bias),
                                    .residual = values(dev, action->residual),
                                    .y = out.y,
                                    .packed = out.packed,
                                    .packed_plane = out.plane,
                                    .partial = (float *)dev->partial,
                                    .arrived = (uint32_t *)dev->arrived,
                                    .n = n,
                                    .n_splits = splits_for(dev, w, n_blocks, a_split),
                                    .is_bf16 = (uint32_t)type,
                                    .packed_is_bf16 = out.is_bf16,
                                    .n_planes = x->planes[type],
                                    .packed_planes = out.planes};
    if (is_pair) {
        params.w2 = dev->weights[ops[action->up].weight];
    }
    const uint32_t size = is_single ? 0 : 1 + (groups == 1 ? 0 : groups == 2 ? 1 : 2);
    const enum jb_status status = jb_cuda_launch(dev, dev->few[w->form][size][is_pair], n_blocks,
                                                 params.n_splits, 1, 256, &params);
    return status == JB_OK ? jb_cuda_pack(dev, action->dst, true) : status;
}

static enum jb_status run_many_matmul(struct jb_device *dev, const struct jb_cuda_action *action)
{
    const struct jb_op *op = &dev->load.plan->programs[0].ops[action->op];
    const struct jb_cuda_weight *w = &dev->weights[op->weight];
    const int is_bf16 = w->form == JB_CUDA_BF16;
    const bool is_stored_plain = w->form == JB_CUDA_F16 || w->form == JB_CUDA_BF16;
    const uint32_t n = rows_of(dev, op->dst);
    enum jb_status status = JB_OK;
    if (!is_stored_plain) {
        const struct jb_cuda_untile params = {.w = *w, .dst = (void *)dev->untiled};
        const bool is_four_bit = w->form == JB_CUDA_T4 || w->form == JB_CUDA_T4M;
        const uint64_t n_tiles = (uint64_t)w->rows * w->cols / (is_four_bit ? 1024 : 512);
        status =
            jb_cuda_launch(dev, dev->run_untile, (uint32_t)((n_tiles + 7) / 8), 1, 1, 256, &params);
    }
    const struct jb_cuda_slot *x = &dev->slots[op->src0];
    const uint32_t planes =
        dev->activations == JB_CUDA_ACTIVATIONS_F32 && is_stored_plain ? x->planes[is_bf16] : 1;
    for (uint32_t plane = 0; plane < planes && status == JB_OK; plane++) {
        status = jb_cuda_product_run(dev, is_stored_plain ? w->data : dev->untiled,
                                     x->packed[is_bf16] + (uint64_t)plane * n * w->cols * 2,
                                     dev->slots[action->dst].values, w->rows, w->cols, n,
                                     is_bf16 ? CUDA_R_16BF : CUDA_R_16F,
                                     plane > 0 || action->residual != JB_NO_SLOT);
    }
    if (status == JB_OK && op->bias != JB_NO_TENSOR) {
        const struct output in_place = {.y = (float *)dev->slots[action->dst].values,
                                        .plane = (uint64_t)n * w->rows};
        status = elementwise(dev, JB_CUDA_ADD_BIAS, in_place.y, vector(dev, op->bias), w->rows,
                             &in_place);
    }
    return status == JB_OK ? jb_cuda_pack(dev, action->dst, false) : status;
}

static enum jb_status run_rope(struct jb_device *dev, const struct jb_op *op)
{
    const struct jb_rope *rope = &dev->load.plan->rope;
    if (rope->kind == JB_ROPE_NONE) {
        return JB_OK;
    }
    const struct jb_cuda_rope params = {.x = (float *)dev->slots[op->dst].values,
                                        .inv_freq = (const float *)dev->inv_freq,
                                        .rows = dev->rows,
                                        .n = dev->n_tokens,
                                        .width = width_of(dev, op->dst),
                                        .group = op->group,
                                        .n_dims = rope->n_dims,
                                        .is_halves = rope->kind == JB_ROPE_HALVES,
                                        .mscale = rope->mscale};
    return jb_cuda_launch(dev, dev->run_rope, dev->n_tokens, 1, 1, 256, &params);
}

CUfunction jb_cuda_attention_kernel(const struct jb_device *dev, uint32_t head_dim)
{
    /* A warp covers 32 lanes x 1, 4 or 8 values; vectors must not straddle the head's end. */
    if (head_dim <= 128 && head_dim % 4 == 0) {
        return dev->attention_4;
    }
    if (head_dim <= 32) {
        return dev->attention_1;
    }
    return head_dim <= 256 && head_dim % 8 == 0 ? dev->attention_8 : NULL;
}

static bool takes_flash(const struct jb_device *dev)
{
    const struct jb_plan *plan = dev->load.plan;
    return dev->n_tokens > JB_CUDA_FEW_COLUMNS / 2 && plan->kv_dtype == JB_F16 &&
           (plan->head_dim == 64 || plan->head_dim == 128) &&
           dev->activations != JB_CUDA_ACTIVATIONS_F32;
}

static enum jb_status run_flash(struct jb_device *dev, const struct jb_op *op)
{
    const struct jb_plan *plan = dev->load.plan;
    const struct output out = output_of(dev, op->dst);
    const struct jb_cuda_flash params = {.kv = dev->kv[op->layer],
                                         .q = values(dev, op->src0),
                                         .y = out.y,
                                         .packed = out.packed,
                                         .packed_plane = out.plane,
                                         .rows = dev->rows,
                                         .tiles = (const struct jb_cuda_row_tile *)dev->tiles,
                                         .n_heads = plan->n_heads,
                                         .n_kv_heads = plan->n_kv_heads,
                                         .scale = plan->attention_scale,
                                         .packed_is_bf16 = out.is_bf16,
                                         .packed_planes = out.planes};
    const uint32_t grid[3] = {plan->n_heads, dev->n_tiles, 1};
    return jb_cuda_launch_with(dev, plan->head_dim == 64 ? dev->flash_64 : dev->flash_128, grid,
                               128, JB_CUDA_FLASH_BYTES(plan->head_dim), &params);
}

static enum jb_status run_attention(struct jb_device *dev, const struct jb_op *op)
{
    const struct jb_plan *plan = dev->load.plan;
    const struct jb_cuda_kv *kv = &dev->kv[op->layer];
    const struct jb_cuda_kv_store store = {.kv = *kv,
                                           .k = values(dev, op->src1),
                                           .v = values(dev, op->src2),
                                           .rows = dev->rows,
                                           .n = dev->n_tokens,
                                           .n_kv_heads = plan->n_kv_heads,
                                           .head_dim = plan->head_dim};
    enum jb_status status =
        jb_cuda_launch(dev, dev->run_kv_store, plan->n_kv_heads, dev->n_tokens, 1, 32, &store);
    if (status != JB_OK) {
        return status;
    }
    if (takes_flash(dev)) {
        status = run_flash(dev, op);
        return status == JB_OK ? jb_cuda_pack(dev, op->dst, true) : status;
    }
    const uint32_t n_blocks = plan->n_kv_heads * dev->n_tokens;
    const uint32_t splits =
        dev->n_tokens > JB_CUDA_FEW_COLUMNS ? 1 : smaller(16, 4 * dev->n_processors / n_blocks);
    const struct output out = output_of(dev, op->dst);
    const struct jb_cuda_attention params = {.kv = *kv,
                                             .q = values(dev, op->src0),
                                             .y = out.y,
                                             .packed = out.packed,
                                             .packed_plane = out.plane,
                                             .rows = dev->rows,
                                             .partial = (float *)dev->attention_partial,
                                             .arrived = (uint32_t *)dev->attention_arrived,
                                             .n = dev->n_tokens,
                                             .n_heads = plan->n_heads,
                                             .n_kv_heads = plan->n_kv_heads,
                                             .head_dim = plan->head_dim,
                                             .n_splits = splits < 1 ? 1 : splits,
                                             .scale = plan->attention_scale,
                                             .packed_is_bf16 = out.is_bf16,
                                             .packed_planes = out.planes};
    status = jb_cuda_launch(dev, jb_cuda_attention_kernel(dev, plan->head_dim), plan->n_kv_heads,
                            dev->n_tokens, params.n_splits, 128, &params);
    return status == JB_OK ? jb_cuda_pack(dev, op->dst, true) : status;
}

static enum jb_status run_elementwise(struct jb_device *dev, const struct jb_op *op)
{
    static const uint32_t kinds[JB_N_OP_KINDS] = {[JB_OP_ADD] = JB_CUDA_ADD,
                                                  [JB_OP_SILU_MUL] = JB_CUDA_SILU_MUL,
                                                  [JB_OP_GELU] = JB_CUDA_GELU,
                                                  [JB_OP_RELU] = JB_CUDA_RELU};
    const struct output out = output_of(dev, op->dst);
    const enum jb_status status =
        elementwise(dev, kinds[op->kind], values(dev, op->src0), values(dev, op->src1), 0, &out);
    return status == JB_OK ? jb_cuda_pack(dev, op->dst, true) : status;
}

static enum jb_status run_select(struct jb_device *dev, const struct jb_op *op)
{
    const struct jb_cuda_select params = {.x = values(dev, op->src0),
                                          .y = (float *)dev->slots[op->dst].values,
                                          .rows = dev->rows,
                                          .n = dev->n_outputs,
                                          .width = width_of(dev, op->dst)};
    const enum jb_status status =
        jb_cuda_launch(dev, dev->run_select, dev->n_outputs, 1, 1, 256, &params);
    return status == JB_OK ? jb_cuda_pack(dev, op->dst, false) : status;
}

static enum jb_status run_argmax(struct jb_device *dev, const struct jb_op *op)
{
    const struct jb_cuda_argmax params = {.x = values(dev, op->src0),
                                          .ids = (int32_t *)dev->ids,
                                          .n = dev->n_outputs,
                                          .width = width_of(dev, op->src0)};
    return jb_cuda_launch(dev, dev->run_argmax, dev->n_outputs, 1, 1, 1024, &params);
}

enum jb_status jb_cuda_run_action(struct jb_device *dev, const struct jb_cuda_action *action,
                                  bool is_few)
{
    const struct jb_op *op = &dev->load.plan->programs[0].ops[action->op];
    const uint16_t rows_slot = op->dst != JB_NO_SLOT ? op->dst : op->src0;
    if (rows_slot != JB_NO_SLOT && rows_of(dev, rows_slot) == 0) {
        return JB_OK; /* no output is wanted */
    }
    switch (op->kind) {
    case JB_OP_EMBED:
    case JB_OP_POSEMBED:
        return run_embed(dev, op);
    case JB_OP_RMSNORM:
    case JB_OP_LAYERNORM:
        return run_norm(dev, op);
    case JB_OP_MATMUL:
        if (dev->weights[op->weight].form == JB_CUDA_RAW) {
            return run_plain_matmul(dev, op);
        }
        return is_few ? run_few_matmul(dev, action) : run_many_matmul(dev, action);
    case JB_OP_ROPE:
        return run_rope(dev, op);
    case JB_OP_ATTENTION:
        return run_attention(dev, op);
    case JB_OP_SELECT:
        return run_select(dev, op);
    case JB_OP_ARGMAX:
        return run_argmax(dev, op);
    case JB_OP_SILU_MUL:
    case JB_OP_GELU:
    case JB_OP_RELU:
    case JB_OP_ADD:
        return run_elementwise(dev, op);
    default:
        return jb_fail(JB_E_NOTSUP, "cuda: op %s", jb_op_name(op->kind));
    }
}
