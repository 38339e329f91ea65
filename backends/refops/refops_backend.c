/* SPDX-License-Identifier: MIT */
/* The plain-C backend: runs a plan op by op through the kernels of refops.h, on one thread.
 *
 * Every slot has its own buffer, weights stay mapped and are decoded row by row as they are used,
 * and nothing is fused, so that a trace of slots is a trace of the model. */
#include "backends/backend.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "backends/refops/refops.h"

struct jb_device {
    struct jb_load_args load;
    const void **weights;       /* (n_tensors,) mapped bytes; NULL = not mapped                  */
    float **slots;              /* (n_slots,) -> (max rows, width)                                */
    uint8_t *kv;                /* (n_layers, 2, max_seqs, context) rows of kv_row_bytes          */
    size_t kv_row_bytes;        /* one position of K or V in one layer                            */
    uint32_t *held;             /* (max_seqs,) positions each KV slot holds                       */
    uint32_t *positions;        /* (max_tokens,) of the step's rows                               */
    int32_t *ids;               /* (max_tokens,) of the step's rows                               */
    uint32_t *outputs;          /* (max_outputs,) row of T that each wanted output is             */
    float *row;                 /* (widest weight,) one decoded weight row                        */
    double *attention;          /* scratch of jb_ref_attention                                    */
    const struct jb_step *step; /* only inside step()                                         */
    uint32_t n_tokens, n_outputs;
};

/* One op of the step, with what every kernel wants looked up. */
struct call {
    struct jb_device *dev;
    const struct jb_op *op;
    uint32_t n;     /* rows of dst (of src0 where there is no dst) */
    uint32_t width; /* values a row of src0                        */
    const float *src0, *src1, *src2;
    float *dst;
    const struct jb_tensor *weight;
    const void *weight_data;
    const float *bias;
};

static enum jb_status run_embed(const struct call *c)
{
    jb_ref_embed(c->weight->dtype, c->weight_data, c->weight->cols, c->dev->ids, c->n, c->dst);
    return JB_OK;
}

static enum jb_status run_posembed(const struct call *c)
{
    jb_ref_posembed(c->weight->dtype, c->weight_data, c->width, c->src0, c->dev->positions,
                    c->dev->load.plan->pos_offset, c->n, c->dev->row, c->dst);
    return JB_OK;
}

static enum jb_status run_rmsnorm(const struct call *c)
{
    jb_ref_rmsnorm(c->src0, c->weight_data, (uint64_t)c->n * (c->width / c->op->group),
                   c->op->group, c->op->eps, c->dst);
    return JB_OK;
}

static enum jb_status run_layernorm(const struct call *c)
{
    jb_ref_layernorm(c->src0, c->weight_data, c->bias, c->n, c->width, c->op->eps, c->dst);
    return JB_OK;
}

static enum jb_status run_matmul(const struct call *c)
{
    const struct jb_ref_matmul matmul = {.dtype = c->weight->dtype,
                                         .weight = c->weight_data,
                                         .rows = c->weight->rows,
                                         .cols = c->weight->cols,
                                         .bias = c->bias,
                                         .src = c->src0,
                                         .n = c->n,
                                         .dst = c->dst};
    jb_ref_matmul(&matmul, 0, matmul.rows, c->dev->row);
    return JB_OK;
}

static enum jb_status run_rope(const struct call *c)
{
    jb_ref_rope(&c->dev->load.plan->rope, c->dst, c->n, c->width, c->op->group, c->dev->positions);
    return JB_OK;
}

/* Row `pos` of K (part 0) or V (part 1) of a KV slot in a layer. */
static uint8_t *kv_at(const struct jb_device *dev, int16_t layer, uint32_t part, uint32_t slot,
                      uint32_t pos)
{
    const size_t block = (size_t)layer * 2 + part;
    const size_t row = (block * dev->load.max_seqs + slot) * dev->load.context + pos;
    return dev->kv + row * dev->kv_row_bytes;
}

static enum jb_status run_attention(const struct call *c)
{
    const struct jb_device *dev = c->dev;
    const struct jb_plan *plan = dev->load.plan;
    const uint32_t kv_dim = plan->n_kv_heads * plan->head_dim;
    const int16_t layer = c->op->layer;
    size_t first = 0; /* row of T where the sequence starts */
    for (uint32_t s = 0; s < dev->step->n_seqs; s++) {
        const struct jb_seq *seq = &dev->step->seqs[s];
        jb_ref_kv_store(plan->kv_dtype, c->src1 + first * kv_dim, seq->n_tokens, kv_dim,
                        kv_at(dev, layer, 0, seq->slot, seq->pos));
        jb_ref_kv_store(plan->kv_dtype, c->src2 + first * kv_dim, seq->n_tokens, kv_dim,
                        kv_at(dev, layer, 1, seq->slot, seq->pos));
        const struct jb_ref_attention attention = {.n_heads = plan->n_heads,
                                                   .n_kv_heads = plan->n_kv_heads,
                                                   .head_dim = plan->head_dim,
                                                   .scale = plan->attention_scale,
                                                   .kv_dtype = plan->kv_dtype,
                                                   .k = kv_at(dev, layer, 0, seq->slot, 0),
                                                   .v = kv_at(dev, layer, 1, seq->slot, 0),
                                                   .q = c->src0 + first * c->width,
                                                   .pos = seq->pos,
                                                   .n = seq->n_tokens,
                                                   .dst = c->dst + first * c->width};
        jb_ref_attention(&attention, dev->attention);
        first += seq->n_tokens;
    }
    return JB_OK;
}

static enum jb_status run_silu_mul(const struct call *c)
{
    jb_ref_silu_mul(c->src0, c->src1, (uint64_t)c->n * c->width, c->dst);
    return JB_OK;
}

static enum jb_status run_gelu(const struct call *c)
{
    jb_ref_gelu(c->src0, (uint64_t)c->n * c->width, c->dst);
    return JB_OK;
}

static enum jb_status run_relu(const struct call *c)
{
    jb_ref_relu(c->src0, (uint64_t)c->n * c->width, c->dst);
    return JB_OK;
}

static enum jb_status run_add(const struct call *c)
{
    jb_ref_add(c->src0, c->src1, (uint64_t)c->n * c->width, c->dst);
    return JB_OK;
}

static enum jb_status run_select(const struct call *c)
{
    for (uint32_t o = 0; o < c->n; o++) {
        memcpy(c->dst + (size_t)o * c->width, c->src0 + (size_t)c->dev->outputs[o] * c->width,
               c->width * sizeof(float));
    }
    return JB_OK;
}

/* Exchange between the ranks of a plan of one rank. */
static enum jb_status run_copy(const struct call *c)
{
    memmove(c->dst, c->src0, (size_t)c->n * c->width * sizeof(float));
    return JB_OK;
}

static enum jb_status run_argmax(const struct call *c)
{
    const struct jb_step *step = c->dev->step;
    for (uint32_t o = 0; o < c->n; o++) {
        const float *logits = c->src0 + (size_t)o * c->width; /* (vocab,) */
        const uint32_t best = jb_ref_argmax(logits, c->width);
        if (!isfinite(logits[best])) {
            return jb_fail(JB_E_NUMERIC, "refops: the largest logit of output %u is %g", o,
                           (double)logits[best]);
        }
        if (step->ret_ids != NULL) {
            step->ret_ids[o] = (int32_t)best;
        }
    }
    if (step->ret_logits != NULL && c->n > 0) {
        memcpy(step->ret_logits, c->src0, (size_t)c->n * c->width * sizeof(float));
    }
    return JB_OK;
}

/* Answers both "can" (load) and "do" (step). ROUTE and EXPERT_MATMUL are reserved. */
static enum jb_status (*const kernels[JB_N_OP_KINDS])(const struct call *c) = {
    [JB_OP_EMBED] = run_embed,
    [JB_OP_POSEMBED] = run_posembed,
    [JB_OP_RMSNORM] = run_rmsnorm,
    [JB_OP_LAYERNORM] = run_layernorm,
    [JB_OP_MATMUL] = run_matmul,
    [JB_OP_ROPE] = run_rope,
    [JB_OP_ATTENTION] = run_attention,
    [JB_OP_SILU_MUL] = run_silu_mul,
    [JB_OP_GELU] = run_gelu,
    [JB_OP_RELU] = run_relu,
    [JB_OP_ADD] = run_add,
    [JB_OP_SELECT] = run_select,
    [JB_OP_ARGMAX] = run_argmax,
    [JB_OP_ALLREDUCE] = run_copy,
    [JB_OP_ALLGATHER] = run_copy,
};

static enum jb_status refops_probe(const struct jb_open_args *args, struct jb_probe *ret_probe)
{
    if (args->device != NULL) {
        return jb_fail(JB_E_NODEV, "refops: there is no device '%s'; it runs on this CPU only",
                       args->device);
    }
    *ret_probe =
        (struct jb_probe){.platform = JB_CPU, .device = "plain C, one thread", .n_devices = 1};
    return JB_OK;
}

static enum jb_status refops_open(struct jb_device *dev, const struct jb_open_args *args)
{
    (void)dev;
    struct jb_probe probe;
    return refops_probe(args, &probe);
}

static enum jb_status check_plan(const struct jb_load_args *args)
{
    const struct jb_plan *plan = args->plan;
    if (args->execution != JB_EXECUTE_FUNCTIONAL || plan->weights == NULL) {
        return jb_fail(JB_E_NOTSUP,
                       "refops: computes every op, so timing-only execution is not for it");
    }
    if (plan->n_ranks > 1) {
        return jb_fail(JB_E_NOTSUP, "refops: runs alone, the plan is for %u ranks", plan->n_ranks);
    }
    if (plan->kv_dtype != JB_F32 && plan->kv_dtype != JB_F16 && plan->kv_dtype != JB_Q8_0) {
        return jb_fail(JB_E_NOTSUP, "refops: no KV cache in %s; use f32, f16 or q8_0",
                       jb_format(plan->kv_dtype)->name);
    }
    for (uint32_t p = 0; p < plan->n_programs; p++) {
        for (uint32_t i = 0; i < plan->programs[p].n_ops; i++) {
            const enum jb_op_kind kind = plan->programs[p].ops[i].kind;
            if ((unsigned)kind >= JB_N_OP_KINDS || kernels[kind] == NULL) {
                return jb_fail(JB_E_NOTSUP, "refops: no kernel for %s, op %u of program '%s'",
                               jb_op_name(kind), i, plan->programs[p].name);
            }
        }
    }
    return JB_OK;
}

/* calloc that counts what is asked for. */
static void *take(size_t n, size_t size, uint64_t *bytes)
{
    *bytes += (uint64_t)n * size;
    return calloc(n > 0 ? n : 1, size);
}

static enum jb_status allocate(struct jb_device *dev)
{
    const struct jb_load_args *load = &dev->load;
    const struct jb_plan *plan = load->plan;
    uint64_t bytes = 0;
    uint32_t widest = 1;
    for (uint32_t i = 0; i < plan->n_tensors; i++) {
        widest = plan->tensors[i].cols > widest ? plan->tensors[i].cols : widest;
    }
    dev->kv_row_bytes =
        jb_format_row_bytes(plan->kv_dtype, (uint64_t)plan->n_kv_heads * plan->head_dim);
    dev->weights = take(plan->n_tensors, sizeof dev->weights[0], &bytes);
    dev->slots = take(plan->n_slots, sizeof dev->slots[0], &bytes);
    dev->kv = take((size_t)plan->n_layers * 2 * load->max_seqs * load->context, dev->kv_row_bytes,
                   &bytes);
    dev->held = take(load->max_seqs, sizeof dev->held[0], &bytes);
    dev->positions = take(load->max_tokens, sizeof dev->positions[0], &bytes);
    dev->ids = take(load->max_tokens, sizeof dev->ids[0], &bytes);
    dev->outputs = take(load->max_outputs, sizeof dev->outputs[0], &bytes);
    dev->row = take(widest, sizeof dev->row[0], &bytes);
    dev->attention = take(jb_ref_attention_scratch(load->context, plan->head_dim),
                          sizeof dev->attention[0], &bytes);
    bool is_whole = dev->weights != NULL && dev->slots != NULL && dev->kv != NULL &&
                    dev->held != NULL && dev->positions != NULL && dev->ids != NULL &&
                    dev->outputs != NULL && dev->row != NULL && dev->attention != NULL;
    for (uint32_t i = 0; is_whole && i < plan->n_slots; i++) {
        const size_t rows =
            plan->slots[i].rows == JB_ROWS_TOKENS ? load->max_tokens : load->max_outputs;
        dev->slots[i] = take(rows * plan->slots[i].width, sizeof(float), &bytes);
        is_whole = dev->slots[i] != NULL;
    }
    return is_whole ? JB_OK
                    : jb_fail(JB_E_NOMEM,
                              "refops: no memory; it needs more than %.1f MiB beside the weights",
                              (double)bytes / JB_MIB);
}

static enum jb_status refops_load(struct jb_device *dev, const struct jb_load_args *args)
{
    enum jb_status status = check_plan(args);
    if (status != JB_OK) {
        return status;
    }
    dev->load = *args;
    status = allocate(dev);
    const struct jb_weights *weights = args->plan->weights;
    for (uint32_t i = 0; status == JB_OK && i < args->plan->n_tensors; i++) {
        status = weights->map(weights->ctx, i, &dev->weights[i]);
    }
    return status;
}

/* Lists the rows of the step: what each one's id and position is, and which are wanted. */
static enum jb_status begin_step(struct jb_device *dev, const struct jb_step *step)
{
    enum jb_status status = jb_step_check(dev->load.plan, step, dev->load.max_seqs,
                                          dev->load.max_tokens, dev->load.context);
    if (status != JB_OK) {
        return status;
    }
    dev->step = step;
    dev->n_tokens = 0;
    dev->n_outputs = 0;
    for (uint32_t s = 0; s < step->n_seqs; s++) {
        const struct jb_seq *seq = &step->seqs[s];
        if (seq->pos > dev->held[seq->slot]) {
            return jb_fail(JB_E_INVAL,
                           "refops: sequence %u starts at position %u, slot %u holds %u", s,
                           seq->pos, seq->slot, dev->held[seq->slot]);
        }
        for (uint32_t t = 0; t < seq->n_tokens; t++) {
            const bool is_wanted =
                seq->want == JB_WANT_ALL || (seq->want == JB_WANT_LAST && t + 1 == seq->n_tokens);
            if (is_wanted && dev->n_outputs == dev->load.max_outputs) {
                return jb_fail(JB_E_INVAL, "refops: a step of more than %u outputs",
                               dev->load.max_outputs);
            }
            if (is_wanted) {
                dev->outputs[dev->n_outputs++] = dev->n_tokens;
            }
            dev->ids[dev->n_tokens] = seq->tokens != NULL ? seq->tokens[t] : 0;
            dev->positions[dev->n_tokens++] = seq->pos + t;
        }
    }
    for (uint32_t s = 0; s < step->n_seqs; s++) {
        dev->held[step->seqs[s].slot] = step->seqs[s].pos + step->seqs[s].n_tokens;
    }
    return JB_OK;
}

static const float *slot_data(const struct jb_device *dev, uint16_t slot)
{
    return slot != JB_NO_SLOT ? dev->slots[slot] : NULL;
}

static enum jb_status run_op(struct jb_device *dev, const struct jb_op *op)
{
    const struct jb_plan *plan = dev->load.plan;
    const uint16_t shaped = op->dst != JB_NO_SLOT ? op->dst : op->src0;
    const bool has_weight = op->weight != JB_NO_TENSOR;
    const struct call call = {
        .dev = dev,
        .op = op,
        .n = plan->slots[shaped].rows == JB_ROWS_TOKENS ? dev->n_tokens : dev->n_outputs,
        .width = op->src0 != JB_NO_SLOT ? plan->slots[op->src0].width : 0,
        .src0 = slot_data(dev, op->src0),
        .src1 = slot_data(dev, op->src1),
        .src2 = slot_data(dev, op->src2),
        .dst = op->dst != JB_NO_SLOT ? dev->slots[op->dst] : NULL,
        .weight = has_weight ? &plan->tensors[op->weight] : NULL,
        .weight_data = has_weight ? dev->weights[op->weight] : NULL,
        .bias = op->bias != JB_NO_TENSOR ? dev->weights[op->bias] : NULL,
    };
    return call.n > 0 ? kernels[op->kind](&call) : JB_OK;
}

static enum jb_status refops_step(struct jb_device *dev, const struct jb_step *step)
{
    enum jb_status status = begin_step(dev, step);
    if (status != JB_OK) {
        return status;
    }
    const struct jb_plan *plan = dev->load.plan;
    const struct jb_program *program = &plan->programs[step->program];
    const size_t cut_bytes =
        (size_t)dev->n_tokens * plan->slots[plan->cut_slot].width * sizeof(float);
    float *cut = dev->slots[plan->cut_slot]; /* (T, dim) */
    if (step->op_begin > 0) {
        memcpy(cut, step->acts, cut_bytes);
    }
    for (uint32_t i = step->op_begin; status == JB_OK && i < step->op_end; i++) {
        status = run_op(dev, &program->ops[i]);
    }
    if (status == JB_OK && step->op_end < program->n_ops) {
        memcpy(step->ret_acts, cut, cut_bytes);
    }
    return status;
}

static enum jb_status refops_reset(struct jb_device *dev)
{
    memset(dev->held, 0, dev->load.max_seqs * sizeof dev->held[0]);
    return JB_OK;
}

static void refops_close(struct jb_device *dev)
{
    const struct jb_plan *plan = dev->load.plan; /* NULL if load() took nothing */
    for (uint32_t i = 0; plan != NULL && dev->weights != NULL && i < plan->n_tensors; i++) {
        if (dev->weights[i] != NULL) {
            plan->weights->unmap(plan->weights->ctx, i);
        }
    }
    for (uint32_t i = 0; plan != NULL && dev->slots != NULL && i < plan->n_slots; i++) {
        free(dev->slots[i]);
    }
    free((void *)dev->weights);
    free((void *)dev->slots);
    free(dev->kv);
    free(dev->held);
    free(dev->positions);
    free(dev->ids);
    free(dev->outputs);
    free(dev->row);
    free(dev->attention);
}

extern const struct jb_backend jb_backend_refops;
const struct jb_backend jb_backend_refops = {
    .name = "refops",
    .summary = "plain C on one thread: the numbers others are tested against",
    .device_size = sizeof(struct jb_device),
    .probe = refops_probe,
    .open = refops_open,
    .load = refops_load,
    .step = refops_step,
    .reset = refops_reset,
    .close = refops_close,
};
