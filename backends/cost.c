/* SPDX-License-Identifier: MIT */
/* Work of an op: what any machine must do, without padding or re-reading. Weights are read once a
 * step, each cached position once a step and sequence, activations once an op that uses them.
 *
 * Arithmetic beside multiply-accumulates is counted a value, one for each + - * / compare, exp,
 * tanh or square root of the plain formula; it is small, and the counts below are the definition.
 */
#include "backends/plan.h"

enum {
    FLOPS_RMSNORM = 4,   /* square, sum; times 1/rms, times weight                           */
    FLOPS_LAYERNORM = 8, /* sum; minus mean, square, sum; minus mean, times; weight, bias    */
    FLOPS_ROPE = 3,      /* a rotated value: two products, one sum                           */
    FLOPS_SOFTMAX = 6,   /* a score: scale, max, minus max, exp, sum, divide                 */
    FLOPS_SILU_MUL = 5,  /* negate, exp, plus 1, divide, times                               */
    FLOPS_GELU = 9       /* x (1 + tanh(a (x + b x^3))) / 2                                  */
};

/* Rows and bytes of a slot in this step. */
static uint64_t rows_of(const struct jb_plan *plan, uint16_t slot, const struct jb_step *step)
{
    return plan->slots[slot].rows == JB_ROWS_TOKENS ? jb_step_tokens(step) : jb_step_outputs(step);
}

static uint64_t values_of(const struct jb_plan *plan, uint16_t slot, const struct jb_step *step)
{
    return slot == JB_NO_SLOT ? 0 : rows_of(plan, slot, step) * plan->slots[slot].width;
}

static uint64_t kv_position_bytes(const struct jb_plan *plan)
{
    return 2 * (uint64_t)plan->n_kv_heads * jb_format_row_bytes(plan->kv_dtype, plan->head_dim);
}

static void cost_attention(const struct jb_plan *plan, const struct jb_step *step,
                           struct jb_cost *cost)
{
    uint64_t scores = 0; /* query and key pairs a head */
    uint64_t positions = 0;
    uint64_t tokens = 0;
    for (uint32_t i = 0; i < step->n_seqs; i++) {
        const uint64_t n = step->seqs[i].n_tokens;
        const uint64_t pos = step->seqs[i].pos;
        scores += n * pos + n * (n + 1) / 2;
        positions += pos + n;
        tokens += n;
    }
    cost->macs = 2 * scores * plan->n_heads * plan->head_dim;
    cost->flops = 2 * cost->macs + FLOPS_SOFTMAX * scores * plan->n_heads;
    cost->kv_read_bytes = positions * kv_position_bytes(plan);
    cost->kv_write_bytes = tokens * kv_position_bytes(plan);
}

static void cost_matmul(const struct jb_plan *plan, const struct jb_op *op,
                        const struct jb_step *step, struct jb_cost *cost)
{
    const struct jb_tensor *weight = &plan->tensors[op->weight];
    const uint64_t n = rows_of(plan, op->src0, step);
    cost->macs = n * weight->rows * weight->cols;
    cost->flops = 2 * cost->macs;
    cost->weight_bytes = n > 0 ? weight->n_bytes : 0;
    if (op->bias != JB_NO_TENSOR) {
        cost->flops += n * weight->rows;
        cost->weight_bytes += n > 0 ? plan->tensors[op->bias].n_bytes : 0;
    }
}

/* Arithmetic and weights of the ops that work value by value.
 * @param n values of src0, or of dst where there is no source. */
static void cost_values(const struct jb_plan *plan, const struct jb_op *op,
                        const struct jb_step *step, uint64_t n, struct jb_cost *cost)
{
    switch (op->kind) {
    case JB_OP_EMBED:
        cost->weight_bytes = rows_of(plan, op->dst, step) * plan->tensors[op->weight].row_bytes;
        break;
    case JB_OP_POSEMBED:
        cost->weight_bytes = rows_of(plan, op->dst, step) * plan->tensors[op->weight].row_bytes;
        cost->flops = n;
        break;
    case JB_OP_RMSNORM:
        cost->flops = FLOPS_RMSNORM * n;
        cost->weight_bytes = n > 0 ? plan->tensors[op->weight].n_bytes : 0;
        break;
    case JB_OP_LAYERNORM:
        cost->flops = FLOPS_LAYERNORM * n;
        cost->weight_bytes =
            n > 0 ? plan->tensors[op->weight].n_bytes + plan->tensors[op->bias].n_bytes : 0;
        break;
    case JB_OP_ROPE:
        cost->flops = FLOPS_ROPE * (n / op->group) * plan->rope.n_dims;
        break;
    case JB_OP_SILU_MUL:
        cost->flops = FLOPS_SILU_MUL * n;
        break;
    case JB_OP_GELU:
        cost->flops = FLOPS_GELU * n;
        break;
    case JB_OP_RELU:
    case JB_OP_ADD:
    case JB_OP_ARGMAX:
        cost->flops = n;
        break;
    case JB_OP_ALLREDUCE:
        cost->flops = (plan->n_ranks - 1) * n;
        break;
    default:
        break;
    }
}

void jb_op_cost(const struct jb_plan *plan, const struct jb_op *op, const struct jb_step *step,
                struct jb_cost *ret_cost)
{
    struct jb_cost cost = {0};
    const bool has_dst = op->kind != JB_OP_ARGMAX;
    const bool has_src = op->kind != JB_OP_EMBED;
    const uint64_t written = has_dst ? values_of(plan, op->dst, step) : 0;
    uint64_t read = has_src ? values_of(plan, op->src0, step) : 0;
    const uint64_t n = has_src ? read : written;
    if (op->kind == JB_OP_MATMUL) {
        cost_matmul(plan, op, step, &cost);
    } else if (op->kind == JB_OP_ATTENTION) {
        cost_attention(plan, step, &cost);
        read += values_of(plan, op->src1, step) + values_of(plan, op->src2, step);
    } else {
        cost_values(plan, op, step, n, &cost);
    }
    if (op->kind == JB_OP_SILU_MUL || op->kind == JB_OP_ADD) {
        read += values_of(plan, op->src1, step);
    }
    if (op->kind == JB_OP_SELECT) {
        read = written;
    }
    cost.act_read_bytes = read * sizeof(float);
    cost.act_write_bytes = written * sizeof(float);
    *ret_cost = cost;
}

void jb_step_cost(const struct jb_plan *plan, const struct jb_step *step, struct jb_cost *ret_cost)
{
    struct jb_cost sum = {0};
    const struct jb_program *program = &plan->programs[step->program];
    for (uint32_t i = step->op_begin; i < step->op_end; i++) {
        struct jb_cost cost;
        jb_op_cost(plan, &program->ops[i], step, &cost);
        sum.macs += cost.macs;
        sum.flops += cost.flops;
        sum.weight_bytes += cost.weight_bytes;
        sum.kv_read_bytes += cost.kv_read_bytes;
        sum.kv_write_bytes += cost.kv_write_bytes;
        sum.act_read_bytes += cost.act_read_bytes;
        sum.act_write_bytes += cost.act_write_bytes;
    }
    *ret_cost = sum;
}

uint64_t jb_plan_kv_bytes(const struct jb_plan *plan, uint32_t max_seqs, uint32_t context)
{
    return plan->n_layers * kv_position_bytes(plan) * max_seqs * context;
}

uint64_t jb_plan_weight_bytes(const struct jb_plan *plan)
{
    uint64_t sum = 0;
    for (uint32_t i = 0; i < plan->n_tensors; i++) {
        sum += plan->tensors[i].n_bytes;
    }
    return sum;
}
