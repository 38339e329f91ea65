/* SPDX-License-Identifier: MIT */
/* Small models of each family, laid out as bench/workload lays them out. Every width is a multiple
 * of 256 where a K-quant row may lie, so that each shape goes with each format. */
#include "tests/support/maker.h"

#include <math.h>
#include <string.h>

const struct maker_shape maker_shapes[] = {
    {.name = "llama",
     .dim = 256,
     .n_layers = 2,
     .n_heads = 8,
     .n_kv_heads = 2,
     .head_dim = 32,
     .ffn_dim = 256,
     .vocab = 131,
     .rope = JB_ROPE_PAIRS,
     .activation = JB_OP_SILU_MUL},
    {.name = "qwen2",
     .dim = 256,
     .n_layers = 1,
     .n_heads = 4,
     .n_kv_heads = 4,
     .head_dim = 64,
     .ffn_dim = 256,
     .vocab = 97,
     .rope = JB_ROPE_HALVES,
     .activation = JB_OP_SILU_MUL,
     .has_qkv_bias = true,
     .has_tied_head = true},
    {.name = "qwen3",
     .dim = 256,
     .n_layers = 1,
     .n_heads = 4,
     .n_kv_heads = 1,
     .head_dim = 128,
     .ffn_dim = 256,
     .vocab = 64,
     .rope = JB_ROPE_HALVES,
     .activation = JB_OP_SILU_MUL,
     .has_qk_norm = true,
     .has_tied_head = true},
    {.name = "gpt2",
     .dim = 256,
     .n_layers = 1,
     .n_heads = 4,
     .n_kv_heads = 4,
     .head_dim = 64,
     .ffn_dim = 256,
     .vocab = 101,
     .activation = JB_OP_GELU,
     .has_layernorm = true,
     .has_all_bias = true,
     .has_tied_head = true},
    {.name = "opt",
     .dim = 256,
     .n_layers = 1,
     .n_heads = 8,
     .n_kv_heads = 8,
     .head_dim = 32,
     .ffn_dim = 256,
     .vocab = 67,
     .activation = JB_OP_RELU,
     .has_layernorm = true,
     .has_all_bias = true,
     .has_tied_head = true},
    /* Sizes that fit tiles of 16 rows and 64 columns throughout, heads of 64 and 128. */
    {.name = "llama even",
     .dim = 256,
     .n_layers = 2,
     .n_heads = 4,
     .n_kv_heads = 2,
     .head_dim = 64,
     .ffn_dim = 512,
     .vocab = 128,
     .rope = JB_ROPE_PAIRS,
     .activation = JB_OP_SILU_MUL,
     .has_half_kv = true},
    {.name = "qwen2 even",
     .dim = 256,
     .n_layers = 1,
     .n_heads = 2,
     .n_kv_heads = 1,
     .head_dim = 128,
     .ffn_dim = 768,
     .vocab = 96,
     .rope = JB_ROPE_HALVES,
     .activation = JB_OP_SILU_MUL,
     .has_qkv_bias = true,
     .has_half_kv = true},
    {.name = NULL},
};

const struct maker_shape *maker_shape(const char *name)
{
    for (const struct maker_shape *s = maker_shapes; s->name != NULL; s++) {
        if (strcmp(s->name, name) == 0) {
            return s;
        }
    }
    return NULL;
}

struct slots {
    uint16_t x, y, q, k, v, o, gate, up, last, logits;
};

struct build {
    struct maker *m;
    const struct maker_shape *s;
    enum jb_dtype dtype;
    struct slots slot;
};

static void norm(struct build *b, uint16_t dst, uint16_t src)
{
    const int32_t weight = maker_tensor(b->m, JB_F32, 1, b->s->dim, 1.0F, 0.2F);
    if (!b->s->has_layernorm) {
        maker_rmsnorm(b->m, dst, src, weight, b->s->dim);
        return;
    }
    struct jb_op op = maker_blank(JB_OP_LAYERNORM, dst, src);
    op.weight = weight;
    op.bias = maker_tensor(b->m, JB_F32, 1, b->s->dim, 0.0F, 0.2F);
    op.eps = 1e-5F;
    maker_op(b->m, op);
}

/* W of N(0, 1 / cols): a normalised input gives outputs of size about 1. */
static void linear(struct build *b, uint16_t dst, uint16_t src, bool has_bias)
{
    const uint32_t cols = b->m->slots[src].width, rows = b->m->slots[dst].width;
    const int32_t weight =
        maker_tensor(b->m, b->dtype, rows, cols, 0.0F, 1.0F / sqrtf((float)cols));
    const int32_t bias = has_bias ? maker_tensor(b->m, JB_F32, 1, rows, 0.0F, 0.3F) : JB_NO_TENSOR;
    maker_matmul(b->m, dst, src, weight, bias);
}

static void rotate(struct build *b, uint16_t slot)
{
    if (b->s->has_qk_norm) {
        maker_rmsnorm(b->m, slot, slot, maker_tensor(b->m, JB_F32, 1, b->s->head_dim, 1.0F, 0.2F),
                      b->s->head_dim);
    }
    if (b->s->rope != JB_ROPE_NONE) {
        struct jb_op op = maker_blank(JB_OP_ROPE, slot, slot);
        op.group = b->s->head_dim;
        maker_op(b->m, op);
    }
}

static void attention(struct build *b, int16_t layer)
{
    const struct slots *slot = &b->slot;
    const bool has_bias = b->s->has_qkv_bias || b->s->has_all_bias;
    norm(b, slot->y, slot->x);
    linear(b, slot->q, slot->y, has_bias);
    linear(b, slot->k, slot->y, has_bias);
    linear(b, slot->v, slot->y, has_bias);
    rotate(b, slot->q);
    rotate(b, slot->k);
    struct jb_op op = maker_blank(JB_OP_ATTENTION, slot->o, slot->q);
    op.src1 = slot->k;
    op.src2 = slot->v;
    op.layer = layer;
    maker_op(b->m, op);
    linear(b, slot->y, slot->o, b->s->has_all_bias);
    maker_binary(b->m, JB_OP_ADD, slot->x, slot->x, slot->y);
}

static void feed_forward(struct build *b)
{
    const struct slots *slot = &b->slot;
    norm(b, slot->y, slot->x);
    linear(b, slot->gate, slot->y, b->s->has_all_bias);
    if (b->s->activation == JB_OP_SILU_MUL) {
        linear(b, slot->up, slot->y, false);
        maker_binary(b->m, JB_OP_SILU_MUL, slot->gate, slot->gate, slot->up);
    } else {
        maker_op(b->m, maker_blank(b->s->activation, slot->gate, slot->gate));
    }
    linear(b, slot->y, slot->gate, b->s->has_all_bias);
    maker_binary(b->m, JB_OP_ADD, slot->x, slot->x, slot->y);
}

static void add_slots(struct build *b)
{
    struct maker *m = b->m;
    const struct maker_shape *s = b->s;
    const uint32_t q_dim = s->n_heads * s->head_dim, kv_dim = s->n_kv_heads * s->head_dim;
    b->slot = (struct slots){
        .x = maker_slot(m, "x", s->dim, JB_ROWS_TOKENS),
        .y = maker_slot(m, "y", s->dim, JB_ROWS_TOKENS),
        .q = maker_slot(m, "q", q_dim, JB_ROWS_TOKENS),
        .k = maker_slot(m, "k", kv_dim, JB_ROWS_TOKENS),
        .v = maker_slot(m, "v", kv_dim, JB_ROWS_TOKENS),
        .o = maker_slot(m, "o", q_dim, JB_ROWS_TOKENS),
        .gate = maker_slot(m, "gate", s->ffn_dim, JB_ROWS_TOKENS),
        .up = maker_slot(m, "up", s->ffn_dim, JB_ROWS_TOKENS),
        .last = maker_slot(m, "last", s->dim, JB_ROWS_OUTPUTS),
        .logits = maker_slot(m, "logits", s->vocab, JB_ROWS_OUTPUTS),
    };
    m->plan.cut_slot = b->slot.x;
}

static void add_layers(struct build *b, int32_t embedding, uint32_t context)
{
    struct maker *m = b->m;
    struct jb_op embed = maker_blank(JB_OP_EMBED, b->slot.x, JB_NO_SLOT);
    embed.weight = embedding;
    maker_op(m, embed);
    if (b->s->rope == JB_ROPE_NONE) {
        m->plan.pos_offset =
            b->s->activation == JB_OP_RELU ? 2 : 0; /* OPT's table starts with 2 unused rows */
        struct jb_op positions = maker_blank(JB_OP_POSEMBED, b->slot.x, b->slot.x);
        positions.weight =
            maker_tensor(m, b->dtype, context + m->plan.pos_offset, b->s->dim, 0.0F, 0.5F);
        maker_op(m, positions);
    }
    for (uint32_t layer = 0; layer < b->s->n_layers; layer++) {
        const uint32_t first = m->program.n_ops;
        maker_cut(m);
        attention(b, (int16_t)layer);
        feed_forward(b);
        for (uint32_t i = first; i < m->program.n_ops; i++) {
            m->ops[i].layer = (int16_t)layer;
        }
    }
    maker_cut(m);
}

struct maker *maker_model(const struct maker_shape *shape, enum jb_dtype dtype,
                          enum jb_dtype kv_dtype, uint32_t context, uint64_t seed)
{
    struct maker *m = maker_create(shape->name, seed);
    struct build b = {.m = m, .s = shape, .dtype = dtype};
    m->plan.dim = shape->dim;
    m->plan.n_layers = shape->n_layers;
    m->plan.n_heads = shape->n_heads;
    m->plan.n_kv_heads = shape->n_kv_heads;
    m->plan.head_dim = shape->head_dim;
    m->plan.ffn_dim = shape->ffn_dim;
    m->plan.vocab = shape->vocab;
    m->plan.max_context = context;
    m->plan.attention_scale = 1.0F / sqrtf((float)shape->head_dim);
    m->plan.kv_dtype = kv_dtype;
    if (shape->rope != JB_ROPE_NONE) {
        maker_rope(m, shape->rope, shape->rope_dims > 0 ? shape->rope_dims : shape->head_dim,
                   10000.0F);
    }
    add_slots(&b);
    const int32_t embedding = maker_tensor(m, dtype, shape->vocab, shape->dim, 0.0F, 1.0F);
    add_layers(&b, embedding, context);
    maker_op(m, maker_blank(JB_OP_SELECT, b.slot.last, b.slot.x));
    norm(&b, b.slot.last, b.slot.last);
    if (shape->has_tied_head) {
        maker_matmul(m, b.slot.logits, b.slot.last, embedding, JB_NO_TENSOR);
    } else {
        linear(&b, b.slot.logits, b.slot.last, false);
    }
    maker_op(m, maker_blank(JB_OP_ARGMAX, JB_NO_SLOT, b.slot.logits));
    maker_finish(m);
    return m;
}
