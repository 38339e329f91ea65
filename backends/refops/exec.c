/* SPDX-License-Identifier: MIT */
/* Every slot has its own buffer, weights stay mapped and are decoded row by row as they are used,
 * and nothing is fused, so that a trace of slots is a trace of the model. */
#include "backends/refops/exec.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

struct jb_ref_exec {
    const char *who;
    struct jb_load_args load;
    struct jb_ref_hooks hooks;
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
    struct jb_ref_exec *exec;
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
    jb_ref_embed(c->weight->dtype, c->weight_data, c->weight->cols, c->exec->ids, c->n, c->dst);
    return JB_OK;
}

static enum jb_status run_posembed(const struct call *c)
{
    jb_ref_posembed(c->weight->dtype, c->weight_data, c->width, c->src0, c->exec->positions,
                    c->exec->load.plan->pos_offset, c->n, c->exec->row, c->dst);
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
    const struct jb_ref_hooks *hooks = &c->exec->hooks;
    if (hooks->matmul != NULL) {
        return hooks->matmul(hooks->ctx, &matmul, (uint32_t)c->op->weight);
    }
    jb_ref_matmul(&matmul, 0, matmul.rows, c->exec->row);
    return JB_OK;
}

static enum jb_status run_rope(const struct call *c)
{
    jb_ref_rope(&c->exec->load.plan->rope, c->dst, c->n, c->width, c->op->group,
                c->exec->positions);
    return JB_OK;
}

/* Row `pos` of K (part 0) or V (part 1) of a KV slot in a layer. */
static uint8_t *kv_at(const struct jb_ref_exec *exec, int16_t layer, uint32_t part, uint32_t slot,
                      uint32_t pos)
{
    const size_t block = (size_t)layer * 2 + part;
    const size_t row = (block * exec->load.max_seqs + slot) * exec->load.context + pos;
    return exec->kv + row * exec->kv_row_bytes;
}

static enum jb_status run_attention(const struct call *c)
{
    const struct jb_ref_exec *exec = c->exec;
    const struct jb_plan *plan = exec->load.plan;
    const uint32_t kv_dim = plan->n_kv_heads * plan->head_dim;
    const int16_t layer = c->op->layer;
    size_t first = 0; /* row of T where the sequence starts */
    for (uint32_t s = 0; s < exec->step->n_seqs; s++) {
        const struct jb_seq *seq = &exec->step->seqs[s];
        jb_ref_kv_store(plan->kv_dtype, c->src1 + first * kv_dim, seq->n_tokens, kv_dim,
                        kv_at(exec, layer, 0, seq->slot, seq->pos));
        jb_ref_kv_store(plan->kv_dtype, c->src2 + first * kv_dim, seq->n_tokens, kv_dim,
                        kv_at(exec, layer, 1, seq->slot, seq->pos));
        const struct jb_ref_attention attention = {.n_heads = plan->n_heads,
                                                   .n_kv_heads = plan->n_kv_heads,
                                                   .head_dim = plan->head_dim,
                                                   .scale = plan->attention_scale,
                                                   .kv_dtype = plan->kv_dtype,
                                                   .k = kv_at(exec, layer, 0, seq->slot, 0),
                                                   .v = kv_at(exec, layer, 1, seq->slot, 0),
                                                   .q = c->src0 + first * c->width,
                                                   .pos = seq->pos,
                                                   .n = seq->n_tokens,
                                                   .dst = c->dst + first * c->width};
        enum jb_status status = JB_OK;
        if (exec->hooks.attention != NULL) {
            status = exec->hooks.attention(exec->hooks.ctx, &attention, exec->attention);
        } else {
            jb_ref_attention(&attention, exec->attention);
        }
        if (status != JB_OK) {
            return status;
        }
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
        memcpy(c->dst + (size_t)o * c->width, c->src0 + (size_t)c->exec->outputs[o] * c->width,
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
    const struct jb_step *step = c->exec->step;
    for (uint32_t o = 0; o < c->n; o++) {
        const float *logits = c->src0 + (size_t)o * c->width; /* (vocab,) */
        const uint32_t best = jb_ref_argmax(logits, c->width);
        if (!isfinite(logits[best])) {
            return jb_fail(JB_E_NUMERIC, "%s: the largest logit of output %u is %g", c->exec->who,
                           o, (double)logits[best]);
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

static bool is_functional(const struct jb_ref_exec *exec)
{
    return exec->load.execution == JB_EXECUTE_FUNCTIONAL;
}

static enum jb_status check_plan(const char *who, const struct jb_load_args *args)
{
    const struct jb_plan *plan = args->plan;
    if (args->execution == JB_EXECUTE_FUNCTIONAL && plan->weights == NULL) {
        return jb_fail(JB_E_NOTSUP, "%s: functional execution of a plan without weights", who);
    }
    if (plan->n_ranks > 1) {
        return jb_fail(JB_E_NOTSUP, "%s: runs alone, the plan is for %u ranks", who, plan->n_ranks);
    }
    if (plan->kv_dtype != JB_F32 && plan->kv_dtype != JB_F16 && plan->kv_dtype != JB_Q8_0) {
        return jb_fail(JB_E_NOTSUP, "%s: no KV cache in %s; use f32, f16 or q8_0", who,
                       jb_format(plan->kv_dtype)->name);
    }
    for (uint32_t p = 0; p < plan->n_programs; p++) {
        for (uint32_t i = 0; i < plan->programs[p].n_ops; i++) {
            const enum jb_op_kind kind = plan->programs[p].ops[i].kind;
            if ((unsigned)kind >= JB_N_OP_KINDS || kernels[kind] == NULL) {
                return jb_fail(JB_E_NOTSUP, "%s: no kernel for %s, op %u of program '%s'", who,
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

/* What a step needs whether it is computed or not. */
static bool allocate_lists(struct jb_ref_exec *exec, uint64_t *bytes)
{
    const struct jb_load_args *load = &exec->load;
    exec->held = take(load->max_seqs, sizeof exec->held[0], bytes);
    exec->positions = take(load->max_tokens, sizeof exec->positions[0], bytes);
    exec->ids = take(load->max_tokens, sizeof exec->ids[0], bytes);
    exec->outputs = take(load->max_outputs, sizeof exec->outputs[0], bytes);
    return exec->held != NULL && exec->positions != NULL && exec->ids != NULL &&
           exec->outputs != NULL;
}

static bool allocate_tensors(struct jb_ref_exec *exec, uint64_t *bytes)
{
    const struct jb_load_args *load = &exec->load;
    const struct jb_plan *plan = load->plan;
    uint32_t widest = 1;
    for (uint32_t i = 0; i < plan->n_tensors; i++) {
        widest = plan->tensors[i].cols > widest ? plan->tensors[i].cols : widest;
    }
    exec->kv_row_bytes =
        jb_format_row_bytes(plan->kv_dtype, (uint64_t)plan->n_kv_heads * plan->head_dim);
    exec->weights = take(plan->n_tensors, sizeof exec->weights[0], bytes);
    exec->slots = take(plan->n_slots, sizeof exec->slots[0], bytes);
    exec->kv = take((size_t)plan->n_layers * 2 * load->max_seqs * load->context, exec->kv_row_bytes,
                    bytes);
    exec->row = take(widest, sizeof exec->row[0], bytes);
    exec->attention = take(jb_ref_attention_scratch(load->context, plan->head_dim),
                           sizeof exec->attention[0], bytes);
    bool is_whole = exec->weights != NULL && exec->slots != NULL && exec->kv != NULL &&
                    exec->row != NULL && exec->attention != NULL;
    for (uint32_t i = 0; is_whole && i < plan->n_slots; i++) {
        const size_t rows =
            plan->slots[i].rows == JB_ROWS_TOKENS ? load->max_tokens : load->max_outputs;
        exec->slots[i] = take(rows * plan->slots[i].width, sizeof(float), bytes);
        is_whole = exec->slots[i] != NULL;
    }
    return is_whole;
}

static enum jb_status fill(struct jb_ref_exec *exec)
{
    const struct jb_plan *plan = exec->load.plan;
    uint64_t bytes = 0;
    if (!allocate_lists(exec, &bytes) || (is_functional(exec) && !allocate_tensors(exec, &bytes))) {
        return jb_fail(JB_E_NOMEM, "%s: no memory; it needs more than %.1f MiB beside the weights",
                       exec->who, (double)bytes / JB_MIB);
    }
    enum jb_status status = JB_OK;
    for (uint32_t i = 0; is_functional(exec) && status == JB_OK && i < plan->n_tensors; i++) {
        status = plan->weights->map(plan->weights->ctx, i, &exec->weights[i]);
    }
    return status;
}

enum jb_status jb_ref_exec_create(const char *who, const struct jb_load_args *args,
                                  const struct jb_ref_hooks *hooks, struct jb_ref_exec **ret_exec)
{
    enum jb_status status = check_plan(who, args);
    if (status != JB_OK) {
        return status;
    }
    struct jb_ref_exec *exec = calloc(1, sizeof *exec);
    if (exec == NULL) {
        return jb_fail(JB_E_NOMEM, "%s: no memory", who);
    }
    exec->who = who;
    exec->load = *args;
    if (hooks != NULL) {
        exec->hooks = *hooks;
    }
    status = fill(exec);
    if (status != JB_OK) {
        jb_ref_exec_free(exec);
        return status;
    }
    *ret_exec = exec;
    return JB_OK;
}

/* Lists the rows of the step: what each one's id and position is, and which are wanted. */
static enum jb_status begin_step(struct jb_ref_exec *exec, const struct jb_step *step)
{
    enum jb_status status = jb_step_check(exec->load.plan, step, exec->load.max_seqs,
                                          exec->load.max_tokens, exec->load.context);
    if (status != JB_OK) {
        return status;
    }
    exec->step = step;
    exec->n_tokens = 0;
    exec->n_outputs = 0;
    for (uint32_t s = 0; s < step->n_seqs; s++) {
        const struct jb_seq *seq = &step->seqs[s];
        if (seq->pos > exec->held[seq->slot]) {
            return jb_fail(JB_E_INVAL, "%s: sequence %u starts at position %u, slot %u holds %u",
                           exec->who, s, seq->pos, seq->slot, exec->held[seq->slot]);
        }
        for (uint32_t t = 0; t < seq->n_tokens; t++) {
            const bool is_wanted =
                seq->want == JB_WANT_ALL || (seq->want == JB_WANT_LAST && t + 1 == seq->n_tokens);
            if (is_wanted && exec->n_outputs == exec->load.max_outputs) {
                return jb_fail(JB_E_INVAL, "%s: a step of more than %u outputs", exec->who,
                               exec->load.max_outputs);
            }
            if (is_wanted) {
                exec->outputs[exec->n_outputs++] = exec->n_tokens;
            }
            exec->ids[exec->n_tokens] = seq->tokens != NULL ? seq->tokens[t] : 0;
            exec->positions[exec->n_tokens++] = seq->pos + t;
        }
    }
    for (uint32_t s = 0; s < step->n_seqs; s++) {
        exec->held[step->seqs[s].slot] = step->seqs[s].pos + step->seqs[s].n_tokens;
    }
    return JB_OK;
}

static const float *slot_data(const struct jb_ref_exec *exec, uint16_t slot)
{
    return slot != JB_NO_SLOT ? exec->slots[slot] : NULL;
}

static enum jb_status run_op(struct jb_ref_exec *exec, const struct jb_op *op)
{
    const struct jb_plan *plan = exec->load.plan;
    const uint16_t shaped = op->dst != JB_NO_SLOT ? op->dst : op->src0;
    const bool has_weight = op->weight != JB_NO_TENSOR;
    const struct call call = {
        .exec = exec,
        .op = op,
        .n = plan->slots[shaped].rows == JB_ROWS_TOKENS ? exec->n_tokens : exec->n_outputs,
        .width = op->src0 != JB_NO_SLOT ? plan->slots[op->src0].width : 0,
        .src0 = slot_data(exec, op->src0),
        .src1 = slot_data(exec, op->src1),
        .src2 = slot_data(exec, op->src2),
        .dst = op->dst != JB_NO_SLOT ? exec->slots[op->dst] : NULL,
        .weight = has_weight ? &plan->tensors[op->weight] : NULL,
        .weight_data = has_weight ? exec->weights[op->weight] : NULL,
        .bias = op->bias != JB_NO_TENSOR ? exec->weights[op->bias] : NULL,
    };
    return call.n > 0 ? kernels[op->kind](&call) : JB_OK;
}

enum jb_status jb_ref_exec_step(struct jb_ref_exec *exec, const struct jb_step *step)
{
    enum jb_status status = begin_step(exec, step);
    if (status != JB_OK) {
        return status;
    }
    if (!is_functional(exec)) {
        for (uint32_t o = 0; step->ret_ids != NULL && o < exec->n_outputs; o++) {
            step->ret_ids[o] = 0;
        }
        return JB_OK;
    }
    const struct jb_plan *plan = exec->load.plan;
    const struct jb_program *program = &plan->programs[step->program];
    const size_t cut_bytes =
        (size_t)exec->n_tokens * plan->slots[plan->cut_slot].width * sizeof(float);
    float *cut = exec->slots[plan->cut_slot]; /* (T, dim) */
    if (step->op_begin > 0) {
        memcpy(cut, step->acts, cut_bytes);
    }
    for (uint32_t i = step->op_begin; status == JB_OK && i < step->op_end; i++) {
        status = run_op(exec, &program->ops[i]);
    }
    if (status == JB_OK && step->op_end < program->n_ops) {
        memcpy(step->ret_acts, cut, cut_bytes);
    }
    return status;
}

void jb_ref_exec_reset(struct jb_ref_exec *exec)
{
    memset(exec->held, 0, exec->load.max_seqs * sizeof exec->held[0]);
}

void jb_ref_exec_free(struct jb_ref_exec *exec)
{
    if (exec == NULL) {
        return;
    }
    const struct jb_plan *plan = exec->load.plan;
    for (uint32_t i = 0; exec->weights != NULL && i < plan->n_tensors; i++) {
        if (exec->weights[i] != NULL) {
            plan->weights->unmap(plan->weights->ctx, i);
        }
    }
    for (uint32_t i = 0; exec->slots != NULL && i < plan->n_slots; i++) {
        free(exec->slots[i]);
    }
    free((void *)exec->weights);
    free((void *)exec->slots);
    free(exec->kv);
    free(exec->held);
    free(exec->positions);
    free(exec->ids);
    free(exec->outputs);
    free(exec->row);
    free(exec->attention);
    free(exec);
}
