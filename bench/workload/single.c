/* SPDX-License-Identifier: MIT */
/* One op as a plan: embeddings of a small table give it inputs, its weight is drawn from a seed. */
#include <math.h>
#include <stdlib.h>

#include "bench/workload/model.h"

/* Rows of the embedding tables: enough that the rows of a batch differ, few enough to be no work.
 */
#define VOCAB 64u
#define MAX_OPS 4u

struct single {
    struct jb_plan plan; /* first, so that the plan's address is this one's */
    struct jb_slot slots[MAX_OPS];
    struct jb_tensor tensors[MAX_OPS];
    struct jb_op ops[MAX_OPS];
    uint32_t cuts[2], n_ops;
    struct jb_program program;
    struct jb_weights weights;
    uint64_t seed;
    void *data[MAX_OPS];
    uint32_t n_users[MAX_OPS];
};

static enum jb_status map_tensor(void *ctx, uint32_t index, const void **ret_data)
{
    struct single *single = ctx;
    const struct jb_tensor *tensor = &single->tensors[index];
    if (single->data[index] == NULL) {
        void *data = jb_pages_alloc((size_t)tensor->n_bytes);
        if (data == NULL) {
            return jb_fail(JB_E_NOMEM, "no memory for the %llu bytes of '%s'",
                           (unsigned long long)tensor->n_bytes, tensor->name);
        }
        const bool is_table = single->ops[index].kind == JB_OP_EMBED;
        const float sigma = is_table ? 1.0f : (float)(1.0 / sqrt((double)tensor->cols));
        jb_weights_fill(tensor, index, sigma, single->seed, data);
        single->data[index] = data;
    }
    single->n_users[index]++;
    *ret_data = single->data[index];
    return JB_OK;
}

static void unmap_tensor(void *ctx, uint32_t index)
{
    struct single *single = ctx;
    if (single->n_users[index] > 0 && --single->n_users[index] == 0) {
        jb_pages_free(single->data[index], (size_t)single->tensors[index].n_bytes);
        single->data[index] = NULL;
    }
}

/* Adds an op that writes a slot of its own; slot, op and tensor have the same number. */
static struct jb_op *push(struct single *single, enum jb_op_kind kind, const char *slot,
                          uint32_t width)
{
    const uint16_t i = (uint16_t)single->n_ops++;
    single->slots[i] = (struct jb_slot){.name = slot, .width = width, .rows = JB_ROWS_TOKENS};
    single->ops[i] = (struct jb_op){.kind = kind,
                                    .layer = kind == JB_OP_EMBED ? -1 : 0,
                                    .dst = i,
                                    .src0 = JB_NO_SLOT,
                                    .src1 = JB_NO_SLOT,
                                    .src2 = JB_NO_SLOT,
                                    .weight = JB_NO_TENSOR,
                                    .bias = JB_NO_TENSOR};
    return &single->ops[i];
}

static void give_weight(struct single *single, struct jb_op *op, const struct jb_tensor *tensor)
{
    const int32_t i = (int32_t)(op - single->ops);
    single->tensors[i] = *tensor;
    single->tensors[i].row_bytes = jb_format_row_bytes(tensor->dtype, tensor->cols);
    single->tensors[i].n_bytes = (uint64_t)single->tensors[i].row_bytes * tensor->rows;
    single->plan.n_tensors = (uint32_t)i + 1;
    op->weight = i;
}

static void push_table(struct single *single, const char *name, const char *slot, uint32_t width)
{
    give_weight(single, push(single, JB_OP_EMBED, slot, width),
                &(struct jb_tensor){.name = name, .dtype = JB_F32, .rows = VOCAB, .cols = width});
}

static void push_all(struct single *single, const struct jb_single_args *args)
{
    if (args->kind == JB_OP_MATMUL) {
        push_table(single, "token_embd.weight", "x", args->cols);
        struct jb_op *op = push(single, JB_OP_MATMUL, "y", args->rows);
        op->src0 = 0;
        give_weight(single, op,
                    &(struct jb_tensor){.name = "blk.0.ffn_up.weight",
                                        .dtype = args->dtype,
                                        .rows = args->rows,
                                        .cols = args->cols});
        return;
    }
    push_table(single, "token_embd.weight", "q", args->n_heads * args->head_dim);
    push_table(single, "token_embd_k.weight", "k", args->n_kv_heads * args->head_dim);
    push_table(single, "token_embd_v.weight", "v", args->n_kv_heads * args->head_dim);
    struct jb_op *op = push(single, JB_OP_ATTENTION, "attn", args->n_heads * args->head_dim);
    op->src0 = 0;
    op->src1 = 1;
    op->src2 = 2;
}

/* Products have no heads; a cache of the smallest usual size stands there unused. */
#define UNUSED_HEAD_DIM 64u

static void set_plan(struct single *single, const struct jb_single_args *args)
{
    const bool has_heads = args->kind == JB_OP_ATTENTION;
    struct jb_plan *plan = &single->plan;
    plan->model = has_heads ? "attention" : "matmul";
    plan->dim = single->slots[0].width;
    plan->n_layers = 1;
    plan->n_heads = has_heads ? args->n_heads : 1;
    plan->n_kv_heads = has_heads ? args->n_kv_heads : 1;
    plan->head_dim = has_heads ? args->head_dim : UNUSED_HEAD_DIM;
    plan->ffn_dim = single->slots[1].width;
    plan->vocab = VOCAB;
    plan->max_context = args->max_context;
    plan->attention_scale = (float)(1.0 / sqrt((double)plan->head_dim));
    plan->rope = (struct jb_rope){.kind = JB_ROPE_NONE, .mscale = 1};
    plan->kv_dtype = has_heads ? args->kv_dtype : JB_F16;
    plan->tensors = single->tensors;
    plan->weights = args->has_weights ? &single->weights : NULL;
    plan->slots = single->slots;
    plan->n_slots = single->n_ops;
    plan->programs = &single->program;
    plan->n_programs = 1;
    plan->n_ranks = 1;
    single->cuts[1] = single->n_ops;
    single->program = (struct jb_program){.name = "full",
                                          .ops = single->ops,
                                          .n_ops = single->n_ops,
                                          .cuts = single->cuts,
                                          .n_cuts = 2};
    single->weights = (struct jb_weights){.ctx = single, .map = map_tensor, .unmap = unmap_tensor};
    single->seed = args->seed;
}

static enum jb_status check_args(const struct jb_single_args *args)
{
    if (args->kind == JB_OP_MATMUL) {
        if (args->rows == 0 || args->cols == 0 ||
            jb_format_row_bytes(args->dtype, args->cols) == 0) {
            return jb_fail(JB_E_INVAL, "rows of %u values do not divide into blocks of %s, %u each",
                           args->cols, jb_format(args->dtype)->name,
                           jb_format(args->dtype)->block_values);
        }
        return JB_OK;
    }
    const uint64_t width = (uint64_t)args->n_heads * args->head_dim;
    if (args->kind != JB_OP_ATTENTION || width > UINT32_MAX ||
        (uint64_t)args->n_kv_heads * args->head_dim > width) {
        return jb_fail(JB_E_INVAL, "%u heads of %u values over %u KV heads are no attention",
                       args->n_heads, args->head_dim, args->n_kv_heads);
    }
    return JB_OK;
}

enum jb_status jb_single_build(const struct jb_single_args *args, struct jb_plan **ret_plan)
{
    enum jb_status status = check_args(args);
    struct single *single = status == JB_OK ? calloc(1, sizeof *single) : NULL;
    if (single == NULL) {
        return status != JB_OK ? status : jb_fail(JB_E_NOMEM, "no memory for a plan of one op");
    }
    push_all(single, args);
    set_plan(single, args);
    status = jb_plan_check(&single->plan);
    if (status != JB_OK) {
        free(single);
        return status;
    }
    *ret_plan = &single->plan;
    return JB_OK;
}

void jb_single_free(struct jb_plan *plan)
{
    if (plan == NULL) {
        return;
    }
    struct single *single = (struct single *)plan;
    for (uint32_t i = 0; i < MAX_OPS; i++) {
        if (single->data[i] != NULL) {
            jb_pages_free(single->data[i], (size_t)single->tensors[i].n_bytes);
        }
    }
    free(single);
}
