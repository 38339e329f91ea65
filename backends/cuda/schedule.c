/* SPDX-License-Identifier: MIT */
/* From the plan's ops to launches: which ops share one kernel, and in which number formats each
 * slot is wanted. Made once, for few rows (streaming products) and for many (matrix library). */
#include <stdlib.h>

#include "backends/cuda/device.h"

static bool reads(const struct jb_op *op, uint16_t slot)
{
    return op->src0 == slot || op->src1 == slot || op->src2 == slot;
}

/* True if `slot`, as written before op `from`, is read by no op from there on but those in
 * [from, until). A later write ends the search. */
static bool dies_before(const struct jb_program *program, uint16_t slot, uint32_t until)
{
    for (uint32_t i = until; i < program->n_ops; i++) {
        if (reads(&program->ops[i], slot)) {
            return false;
        }
        if (program->ops[i].dst == slot) {
            return true;
        }
    }
    return true;
}

static bool is_streamed(const struct jb_device *dev, const struct jb_op *op)
{
    return op->kind == JB_OP_MATMUL && dev->weights[op->weight].form != JB_CUDA_RAW;
}

/* matmul a; matmul b of the same input and shape; silu(a) * b. */
static bool is_gate_pair(const struct jb_device *dev, const struct jb_program *program, uint32_t i)
{
    if (i + 2 >= program->n_ops) {
        return false;
    }
    const struct jb_op *gate = &program->ops[i], *up = gate + 1, *silu = gate + 2;
    if (!is_streamed(dev, gate) || !is_streamed(dev, up) || silu->kind != JB_OP_SILU_MUL ||
        gate->src0 != up->src0 || silu->src0 != gate->dst || silu->src1 != up->dst ||
        gate->bias != JB_NO_TENSOR || up->bias != JB_NO_TENSOR) {
        return false;
    }
    const struct jb_cuda_weight *a = &dev->weights[gate->weight], *b = &dev->weights[up->weight];
    return a->form == b->form && a->rows == b->rows && a->cols == b->cols &&
           dies_before(program, gate->dst, i + 3) && dies_before(program, up->dst, i + 3);
}

/* matmul; add of its result to another slot. */
static bool is_matmul_add(const struct jb_device *dev, const struct jb_program *program, uint32_t i)
{
    if (i + 1 >= program->n_ops) {
        return false;
    }
    const struct jb_op *matmul = &program->ops[i], *add = matmul + 1;
    if (!is_streamed(dev, matmul) || add->kind != JB_OP_ADD || add->src0 == add->src1) {
        return false;
    }
    return (add->src0 == matmul->dst || add->src1 == matmul->dst) &&
           (add->dst == matmul->dst || dies_before(program, matmul->dst, i + 2));
}

static uint32_t build(const struct jb_device *dev, const struct jb_program *program, bool is_few,
                      struct jb_cuda_action *actions)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < program->n_ops; i++) {
        const struct jb_op *op = &program->ops[i];
        struct jb_cuda_action action = {
            .op = i, .last_op = i, .up = -1, .dst = op->dst, .residual = JB_NO_SLOT};
        if (is_few && is_gate_pair(dev, program, i)) {
            action.up = (int32_t)i + 1;
            action.last_op = i + 2;
            action.dst = program->ops[i + 2].dst;
        } else if (is_matmul_add(dev, program, i)) {
            const struct jb_op *add = op + 1;
            const uint16_t other = add->src0 == op->dst ? add->src1 : add->src0;
            /* The library adds in place only. */
            if (is_few || (other == add->dst && op->bias == JB_NO_TENSOR)) {
                action.last_op = i + 1;
                action.dst = add->dst;
                action.residual = other;
            }
        }
        i = action.last_op;
        actions[n++] = action;
    }
    return n;
}

static void want(struct jb_device *dev, const struct jb_op *op)
{
    const uint16_t sources[] = {op->src0, op->src1, op->src2};
    const bool is_streamed_matmul = is_streamed(dev, op);
    for (int i = 0; i < 3; i++) {
        if (sources[i] == JB_NO_SLOT) {
            continue;
        }
        struct jb_cuda_slot *slot = &dev->slots[sources[i]];
        if (!is_streamed_matmul) {
            slot->needs_values = true;
            continue;
        }
        const uint32_t form = dev->weights[op->weight].form;
        const int type = form == JB_CUDA_BF16 ? 1 : 0;
        slot->needs_packed[type] = true;
        const bool is_plain = form == JB_CUDA_F16 || form == JB_CUDA_BF16;
        const uint32_t planes = is_plain && dev->activations != JB_CUDA_ACTIVATIONS_NATIVE ? 2 : 1;
        slot->planes[type] = slot->planes[type] > planes ? slot->planes[type] : planes;
    }
}

enum jb_status jb_cuda_schedule(struct jb_device *dev)
{
    const struct jb_program *program = &dev->load.plan->programs[0];
    dev->few_actions = calloc(program->n_ops, sizeof *dev->few_actions);
    dev->many_actions = calloc(program->n_ops, sizeof *dev->many_actions);
    if (dev->few_actions == NULL || dev->many_actions == NULL) {
        return jb_fail(JB_E_NOMEM, "no memory for the list of launches");
    }
    dev->n_few = build(dev, program, true, dev->few_actions);
    dev->n_many = build(dev, program, false, dev->many_actions);
    for (uint32_t i = 0; i < program->n_ops; i++) {
        want(dev, &program->ops[i]);
        if (program->ops[i].dst == dev->load.plan->cut_slot) {
            dev->slots[program->ops[i].dst].needs_values = true;
        }
    }
    return JB_OK;
}
