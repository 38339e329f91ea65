/* SPDX-License-Identifier: MIT */
/* The program "full" of a decoder: embedding, layers, head. Cuts lie between layers. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "bench/workload/model.h"

/* x: residual stream. h: what a norm made of it. o: what a layer's half adds to it. */
enum slot {
    SLOT_X,
    SLOT_H,
    SLOT_Q,
    SLOT_K,
    SLOT_V,
    SLOT_ATTN,
    SLOT_O,
    SLOT_GATE,
    SLOT_UP,
    SLOT_OUT,
    SLOT_LOGITS,
    N_SLOTS
};

enum { MAX_OPS_A_LAYER = 20, MAX_OPS_OUTSIDE = 8 };

struct built {
    struct jb_plan plan; /* first: jb_plan_free() gets its address */
    struct jb_program program;
    struct jb_slot slots[N_SLOTS];
    uint32_t *cuts;
    struct jb_op *ops;
    int32_t (*tensors)[JB_N_ROLES]; /* (n_layers + 1,) tensor of a role; the last row is outside */
    const struct jb_model *model;
    uint32_t n_ops, n_cuts;
};

static int32_t tensor_of(const struct built *b, int layer, enum jb_role role)
{
    const uint32_t row = layer < 0 ? b->plan.n_layers : (uint32_t)layer;
    return b->tensors[row][role];
}

static struct jb_op *push(struct built *b, enum jb_op_kind kind, int layer, enum slot dst,
                          enum slot src0)
{
    struct jb_op *op = &b->ops[b->n_ops++];
    *op = (struct jb_op){.kind = kind,
                         .layer = (int16_t)layer,
                         .dst = (uint16_t)dst,
                         .src0 = (uint16_t)src0,
                         .src1 = JB_NO_SLOT,
                         .src2 = JB_NO_SLOT,
                         .weight = JB_NO_TENSOR,
                         .bias = JB_NO_TENSOR};
    return op;
}

static void push_matmul(struct built *b, int layer, enum slot dst, enum slot src, enum jb_role role)
{
    struct jb_op *op = push(b, JB_OP_MATMUL, layer, dst, src);
    op->weight = tensor_of(b, layer, role);
    switch (role) {
    case JB_ROLE_Q:
    case JB_ROLE_K:
    case JB_ROLE_V:
    case JB_ROLE_O:
    case JB_ROLE_UP:
    case JB_ROLE_DOWN: {
        static const enum jb_role biases[JB_N_ROLES] = {
            [JB_ROLE_Q] = JB_ROLE_Q_BIAS,   [JB_ROLE_K] = JB_ROLE_K_BIAS,
            [JB_ROLE_V] = JB_ROLE_V_BIAS,   [JB_ROLE_O] = JB_ROLE_O_BIAS,
            [JB_ROLE_UP] = JB_ROLE_UP_BIAS, [JB_ROLE_DOWN] = JB_ROLE_DOWN_BIAS,
        };
        op->bias = tensor_of(b, layer, biases[role]);
        break;
    }
    default:
        break;
    }
}

static void push_add(struct built *b, int layer)
{
    push(b, JB_OP_ADD, layer, SLOT_X, SLOT_X)->src1 = SLOT_O;
}

static void push_norm(struct built *b, int layer, enum slot dst, enum slot src, enum jb_role role)
{
    const bool has_bias = b->model->hp.has_layernorm;
    struct jb_op *op = push(b, has_bias ? JB_OP_LAYERNORM : JB_OP_RMSNORM, layer, dst, src);
    op->eps = b->model->hp.norm_eps;
    op->weight = tensor_of(b, layer, role);
    if (has_bias) {
        op->bias = tensor_of(b, layer,
                             role == JB_ROLE_ATTN_NORM  ? JB_ROLE_ATTN_NORM_BIAS
                             : role == JB_ROLE_FFN_NORM ? JB_ROLE_FFN_NORM_BIAS
                                                        : JB_ROLE_OUT_NORM_BIAS);
    } else {
        op->group = b->plan.dim;
    }
}

/* Queries or keys: each head normed, then turned to its position. */
static void push_turn(struct built *b, int layer, enum slot slot, enum jb_role norm)
{
    if (b->model->hp.has_qk_norm) {
        struct jb_op *op = push(b, JB_OP_RMSNORM, layer, slot, slot);
        op->eps = b->model->hp.norm_eps;
        op->weight = tensor_of(b, layer, norm);
        op->group = b->plan.head_dim;
    }
    if (b->plan.rope.kind != JB_ROPE_NONE) {
        push(b, JB_OP_ROPE, layer, slot, slot)->group = b->plan.head_dim;
    }
}

static void push_attention(struct built *b, int layer)
{
    push_norm(b, layer, SLOT_H, SLOT_X, JB_ROLE_ATTN_NORM);
    push_matmul(b, layer, SLOT_Q, SLOT_H, JB_ROLE_Q);
    push_matmul(b, layer, SLOT_K, SLOT_H, JB_ROLE_K);
    push_matmul(b, layer, SLOT_V, SLOT_H, JB_ROLE_V);
    push_turn(b, layer, SLOT_Q, JB_ROLE_Q_NORM);
    push_turn(b, layer, SLOT_K, JB_ROLE_K_NORM);
    struct jb_op *op = push(b, JB_OP_ATTENTION, layer, SLOT_ATTN, SLOT_Q);
    op->src1 = SLOT_K;
    op->src2 = SLOT_V;
    push_matmul(b, layer, SLOT_O, SLOT_ATTN, JB_ROLE_O);
    push_add(b, layer);
}

static void push_ffn(struct built *b, int layer)
{
    push_norm(b, layer, SLOT_H, SLOT_X, JB_ROLE_FFN_NORM);
    if (b->model->hp.ffn == JB_FFN_SWIGLU) {
        push_matmul(b, layer, SLOT_GATE, SLOT_H, JB_ROLE_GATE);
        push_matmul(b, layer, SLOT_UP, SLOT_H, JB_ROLE_UP);
        push(b, JB_OP_SILU_MUL, layer, SLOT_GATE, SLOT_GATE)->src1 = SLOT_UP;
        push_matmul(b, layer, SLOT_O, SLOT_GATE, JB_ROLE_DOWN);
    } else {
        push_matmul(b, layer, SLOT_UP, SLOT_H, JB_ROLE_UP);
        push(b, b->model->hp.ffn == JB_FFN_GELU ? JB_OP_GELU : JB_OP_RELU, layer, SLOT_UP, SLOT_UP);
        push_matmul(b, layer, SLOT_O, SLOT_UP, JB_ROLE_DOWN);
    }
    push_add(b, layer);
}

static void push_all(struct built *b)
{
    struct jb_op *embed = push(b, JB_OP_EMBED, -1, SLOT_X, SLOT_X);
    embed->src0 = JB_NO_SLOT;
    embed->weight = tensor_of(b, -1, JB_ROLE_EMBED);
    if (b->model->hp.has_pos_embed) {
        push(b, JB_OP_POSEMBED, -1, SLOT_X, SLOT_X)->weight = tensor_of(b, -1, JB_ROLE_POS);
    }
    b->cuts[b->n_cuts++] = 0;
    for (int layer = 0; layer < (int)b->plan.n_layers; layer++) {
        b->cuts[b->n_cuts++] = b->n_ops;
        push_attention(b, layer);
        push_ffn(b, layer);
    }
    b->cuts[b->n_cuts++] = b->n_ops;
    push(b, JB_OP_SELECT, -1, SLOT_OUT, SLOT_X);
    push_norm(b, -1, SLOT_OUT, SLOT_OUT, JB_ROLE_OUT_NORM);
    push_matmul(b, -1, SLOT_LOGITS, SLOT_OUT,
                b->model->hp.has_tied_head ? JB_ROLE_EMBED : JB_ROLE_HEAD);
    push(b, JB_OP_ARGMAX, -1, SLOT_OUT, SLOT_LOGITS)->dst = JB_NO_SLOT;
    b->cuts[b->n_cuts++] = b->n_ops;
}

static void set_slots(struct built *b)
{
    const struct jb_hparams *hp = &b->model->hp;
    const uint32_t q_dim = hp->n_heads * hp->head_dim;
    const uint32_t kv_dim = hp->n_kv_heads * hp->head_dim;
    const struct jb_slot slots[N_SLOTS] = {
        [SLOT_X] = {"x", hp->dim, JB_ROWS_TOKENS},
        [SLOT_H] = {"h", hp->dim, JB_ROWS_TOKENS},
        [SLOT_Q] = {"q", q_dim, JB_ROWS_TOKENS},
        [SLOT_K] = {"k", kv_dim, JB_ROWS_TOKENS},
        [SLOT_V] = {"v", kv_dim, JB_ROWS_TOKENS},
        [SLOT_ATTN] = {"attn", q_dim, JB_ROWS_TOKENS},
        [SLOT_O] = {"o", hp->dim, JB_ROWS_TOKENS},
        [SLOT_GATE] = {"ffn_gate", hp->ffn_dim, JB_ROWS_TOKENS},
        [SLOT_UP] = {"ffn_up", hp->ffn_dim, JB_ROWS_TOKENS},
        [SLOT_OUT] = {"out", hp->dim, JB_ROWS_OUTPUTS},
        [SLOT_LOGITS] = {"logits", hp->vocab, JB_ROWS_OUTPUTS},
    };
    memcpy(b->slots, slots, sizeof slots);
}

static void set_plan(struct built *b, const struct jb_plan_args *args)
{
    const struct jb_model *model = b->model;
    const struct jb_hparams *hp = &model->hp;
    b->plan = (struct jb_plan){
        .model = model->info.name,
        .dim = hp->dim,
        .n_layers = hp->n_layers,
        .n_heads = hp->n_heads,
        .n_kv_heads = hp->n_kv_heads,
        .head_dim = hp->head_dim,
        .ffn_dim = hp->ffn_dim,
        .vocab = hp->vocab,
        .max_context = hp->max_context,
        .pos_offset = hp->pos_offset,
        .attention_scale = (float)(1.0 / sqrt((double)hp->head_dim)),
        .rope = {.kind = hp->rope.kind,
                 .n_dims = hp->rope.n_dims,
                 .inv_freq = model->inv_freq,
                 .mscale = model->mscale},
        .kv_dtype = args->kv_dtype,
        .tensors = model->tensors,
        .n_tensors = model->n_tensors,
        .weights = model->has_weights ? &model->weights : NULL,
        .slots = b->slots,
        .n_slots = N_SLOTS,
        .cut_slot = SLOT_X,
        .programs = &b->program,
        .n_programs = 1,
        .rank = 0,
        .n_ranks = 1,
    };
}

static enum jb_status take_tables(struct built *b)
{
    const uint32_t n = b->model->hp.n_layers;
    b->ops = calloc((size_t)n * MAX_OPS_A_LAYER + MAX_OPS_OUTSIDE, sizeof *b->ops);
    b->cuts = calloc((size_t)n + 3, sizeof *b->cuts);
    b->tensors = calloc((size_t)n + 1, sizeof *b->tensors);
    if (b->ops == NULL || b->cuts == NULL || b->tensors == NULL) {
        return jb_fail(JB_E_NOMEM, "%s: no memory for its plan", b->model->info.name);
    }
    for (uint32_t row = 0; row <= n; row++) {
        for (int role = 0; role < JB_N_ROLES; role++) {
            b->tensors[row][role] = JB_NO_TENSOR;
        }
    }
    for (uint32_t i = 0; i < b->model->n_tensors; i++) {
        const struct jb_spec *spec = &b->model->specs[i];
        b->tensors[spec->layer < 0 ? n : (uint32_t)spec->layer][spec->role] = (int32_t)i;
    }
    return JB_OK;
}

enum jb_status jb_plan_build(struct jb_model *model, const struct jb_plan_args *args,
                             struct jb_plan **ret_plan)
{
    if (args->n_ranks > 1) {
        return jb_fail(JB_E_NOTSUP, "%s: plans for %u ranks are not built yet", model->info.name,
                       args->n_ranks);
    }
    struct built *b = calloc(1, sizeof *b);
    if (b == NULL) {
        return jb_fail(JB_E_NOMEM, "%s: no memory for its plan", model->info.name);
    }
    b->model = model;
    set_plan(b, args);
    set_slots(b);
    enum jb_status status = take_tables(b);
    if (status == JB_OK) {
        push_all(b);
        b->program = (struct jb_program){
            .name = "full", .ops = b->ops, .n_ops = b->n_ops, .cuts = b->cuts, .n_cuts = b->n_cuts};
        status = jb_plan_check(&b->plan);
    }
    if (status != JB_OK) {
        jb_plan_free(&b->plan);
        return status;
    }
    *ret_plan = &b->plan;
    return JB_OK;
}

void jb_plan_free(struct jb_plan *plan)
{
    if (plan == NULL) {
        return;
    }
    struct built *b = (struct built *)plan;
    free(b->ops);
    free(b->cuts);
    free(b->tensors);
    free(b);
}
