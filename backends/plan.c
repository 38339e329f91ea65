/* SPDX-License-Identifier: MIT */
/* Checks of plans and steps, so that backends need none of their own. */
#include "backends/plan.h"

#include <stdlib.h>
#include <string.h>

/* What an op of each kind reads, writes and needs; one table for names, checks and messages. */
enum width_rule {
    WIDTH_ANY,
    WIDTH_SAME, /* dst as wide as every source                                        */
    WIDTH_OWN   /* checked by a function of the kind's own                            */
};
struct rule {
    const char *name;
    uint8_t n_src;
    bool has_dst, has_weight, needs_bias, may_have_bias, is_same_rows;
    enum width_rule width;
};

static const struct rule rules[JB_N_OP_KINDS] = {
    [JB_OP_EMBED] = {"embed", 0, .has_dst = true, .has_weight = true, .width = WIDTH_OWN},
    [JB_OP_POSEMBED] = {"posembed", 1, .has_dst = true, .has_weight = true, .is_same_rows = true,
                        .width = WIDTH_SAME},
    [JB_OP_RMSNORM] = {"rmsnorm", 1, .has_dst = true, .has_weight = true, .is_same_rows = true,
                       .width = WIDTH_SAME},
    [JB_OP_LAYERNORM] = {"layernorm", 1, .has_dst = true, .has_weight = true, .needs_bias = true,
                         .is_same_rows = true, .width = WIDTH_SAME},
    [JB_OP_MATMUL] = {"matmul", 1, .has_dst = true, .has_weight = true, .may_have_bias = true,
                      .is_same_rows = true, .width = WIDTH_OWN},
    [JB_OP_ROPE] = {"rope", 1, .has_dst = true, .is_same_rows = true, .width = WIDTH_SAME},
    [JB_OP_ATTENTION] = {"attention", 3, .has_dst = true, .is_same_rows = true, .width = WIDTH_OWN},
    [JB_OP_SILU_MUL] = {"silu_mul", 2, .has_dst = true, .is_same_rows = true, .width = WIDTH_SAME},
    [JB_OP_GELU] = {"gelu", 1, .has_dst = true, .is_same_rows = true, .width = WIDTH_SAME},
    [JB_OP_RELU] = {"relu", 1, .has_dst = true, .is_same_rows = true, .width = WIDTH_SAME},
    [JB_OP_ADD] = {"add", 2, .has_dst = true, .is_same_rows = true, .width = WIDTH_SAME},
    [JB_OP_SELECT] = {"select", 1, .has_dst = true, .width = WIDTH_SAME},
    [JB_OP_ARGMAX] = {"argmax", 1, .width = WIDTH_ANY},
    [JB_OP_ALLREDUCE] = {"allreduce", 1, .has_dst = true, .is_same_rows = true,
                         .width = WIDTH_SAME},
    [JB_OP_ALLGATHER] = {"allgather", 1, .has_dst = true, .is_same_rows = true, .width = WIDTH_OWN},
    [JB_OP_ROUTE] = {"route", 1, .has_dst = true, .width = WIDTH_ANY},
    [JB_OP_EXPERT_MATMUL] = {"expert_matmul", 1, .has_dst = true, .width = WIDTH_ANY},
};

const char *jb_op_name(enum jb_op_kind kind)
{
    if ((int)kind < 0 || kind >= JB_N_OP_KINDS) {
        return "unknown";
    }
    return rules[kind].name;
}

/* An op under check, with what a message about it needs. */
struct place {
    const struct jb_plan *plan;
    const struct jb_program *program;
    const struct jb_op *op;
    uint32_t index;
};

static enum jb_status refuse(const struct place *at, const char *what)
{
    return jb_fail(JB_E_INVAL, "plan of '%s', program '%s': op %u (%s, layer %d): %s",
                   at->plan->model, at->program->name, at->index, jb_op_name(at->op->kind),
                   (int)at->op->layer, what);
}

static enum jb_status check_slots(const struct place *at)
{
    const struct jb_plan *plan = at->plan;
    const struct jb_op *op = at->op;
    const struct rule *rule = &rules[op->kind];
    const uint16_t src[3] = {op->src0, op->src1, op->src2};
    if (rule->has_dst && op->dst >= plan->n_slots) {
        return refuse(at, "no such dst slot");
    }
    for (uint8_t i = 0; i < rule->n_src; i++) {
        if (src[i] >= plan->n_slots) {
            return refuse(at, "no such source slot");
        }
        if (rule->is_same_rows && plan->slots[src[i]].rows != plan->slots[op->dst].rows) {
            return refuse(at, "source and dst differ in rows");
        }
        if (rule->width == WIDTH_SAME && plan->slots[src[i]].width != plan->slots[op->dst].width) {
            return refuse(at, "source and dst differ in width");
        }
    }
    return JB_OK;
}

static enum jb_status check_tensors(const struct place *at)
{
    const struct jb_op *op = at->op;
    const struct rule *rule = &rules[op->kind];
    const int64_t n = at->plan->n_tensors;
    if (rule->has_weight && (op->weight < 0 || op->weight >= n)) {
        return refuse(at, "no such weight");
    }
    const bool has_bias = rule->needs_bias || (rule->may_have_bias && op->bias != JB_NO_TENSOR);
    if (has_bias && (op->bias < 0 || op->bias >= n)) {
        return refuse(at, "no such bias");
    }
    return JB_OK;
}

/* A vector operand is (1, n) F32. */
static bool is_vector(const struct jb_plan *plan, int32_t tensor, uint32_t n)
{
    const struct jb_tensor *t = &plan->tensors[tensor];
    return t->dtype == JB_F32 && t->rows == 1 && t->cols == n;
}

static enum jb_status check_norm(const struct place *at)
{
    const struct jb_op *op = at->op;
    const uint32_t width = at->plan->slots[op->dst].width;
    const uint32_t group = op->kind == JB_OP_RMSNORM ? op->group : width;
    if (group == 0 || width % group != 0) {
        return refuse(at, "group does not divide the row");
    }
    if (!is_vector(at->plan, op->weight, group)) {
        return refuse(at, "weight is not an F32 vector as wide as the group");
    }
    if (op->kind == JB_OP_LAYERNORM && !is_vector(at->plan, op->bias, width)) {
        return refuse(at, "bias is not an F32 vector as wide as the row");
    }
    if (!(op->eps > 0.0f)) {
        return refuse(at, "eps is not above 0");
    }
    return JB_OK;
}

static enum jb_status check_weighted(const struct place *at)
{
    const struct jb_plan *plan = at->plan;
    const struct jb_op *op = at->op;
    const struct jb_tensor *w = &plan->tensors[op->weight];
    const struct jb_slot *dst = &plan->slots[op->dst];
    if (op->kind == JB_OP_MATMUL) {
        if (w->rows != dst->width || w->cols != plan->slots[op->src0].width) {
            return refuse(at, "weight is not (dst width, source width)");
        }
        if (op->dst == op->src0) {
            return refuse(at, "dst is its source");
        }
        if (op->bias != JB_NO_TENSOR && !is_vector(plan, op->bias, dst->width)) {
            return refuse(at, "bias is not an F32 vector as wide as dst");
        }
        return JB_OK;
    }
    if (w->cols != dst->width) {
        return refuse(at, "weight is not as wide as dst");
    }
    if (dst->rows != JB_ROWS_TOKENS) {
        return refuse(at, "dst does not have one row a token");
    }
    if (op->kind == JB_OP_EMBED && w->rows < plan->vocab) {
        return refuse(at, "weight has fewer rows than the vocabulary");
    }
    if (op->kind == JB_OP_POSEMBED && w->rows < (uint64_t)plan->max_context + plan->pos_offset) {
        return refuse(at, "weight has fewer rows than the model has positions");
    }
    return JB_OK;
}

static enum jb_status check_attention(const struct place *at)
{
    const struct jb_plan *plan = at->plan;
    const struct jb_op *op = at->op;
    const uint64_t q_dim = (uint64_t)plan->n_heads * plan->head_dim;
    const uint64_t kv_dim = (uint64_t)plan->n_kv_heads * plan->head_dim;
    if (op->layer < 0) {
        return refuse(at, "has no layer");
    }
    if (plan->slots[op->dst].width != q_dim || plan->slots[op->src0].width != q_dim) {
        return refuse(at, "q or dst is not n_heads x head_dim wide");
    }
    if (plan->slots[op->src1].width != kv_dim || plan->slots[op->src2].width != kv_dim) {
        return refuse(at, "k or v is not n_kv_heads x head_dim wide");
    }
    if (plan->slots[op->dst].rows != JB_ROWS_TOKENS) {
        return refuse(at, "does not work on one row a token");
    }
    return JB_OK;
}

static enum jb_status check_moves(const struct place *at)
{
    const struct jb_plan *plan = at->plan;
    const struct jb_op *op = at->op;
    const struct jb_slot *src = &plan->slots[op->src0];
    switch (op->kind) {
    case JB_OP_ROPE:
        if (op->dst != op->src0) {
            return refuse(at, "is not in place");
        }
        if (plan->rope.kind == JB_ROPE_NONE) {
            return refuse(at, "the plan has no rotary positions");
        }
        if (op->group < plan->rope.n_dims || src->width % op->group != 0) {
            return refuse(at, "group is no head of the row");
        }
        return src->rows == JB_ROWS_TOKENS ? JB_OK : refuse(at, "needs one row a token");
    case JB_OP_SELECT:
        if (src->rows != JB_ROWS_TOKENS || plan->slots[op->dst].rows != JB_ROWS_OUTPUTS) {
            return refuse(at, "does not go from tokens to outputs");
        }
        return JB_OK;
    case JB_OP_ARGMAX:
        if (src->rows != JB_ROWS_OUTPUTS || src->width != plan->vocab) {
            return refuse(at, "source is not (outputs, vocabulary)");
        }
        return JB_OK;
    case JB_OP_ALLGATHER:
        if (plan->slots[op->dst].width != (uint64_t)src->width * plan->n_ranks) {
            return refuse(at, "dst is not n_ranks times as wide");
        }
        return JB_OK;
    default:
        return JB_OK;
    }
}

static enum jb_status check_op(const struct place *at)
{
    const struct jb_op *op = at->op;
    if ((int)op->kind < 0 || op->kind >= JB_N_OP_KINDS) {
        return refuse(at, "no such kind of op");
    }
    if (op->kind == JB_OP_ROUTE || op->kind == JB_OP_EXPERT_MATMUL) {
        return refuse(at, "reserved, no plan may have it yet");
    }
    if (op->layer < -1 || op->layer >= (int64_t)at->plan->n_layers) {
        return refuse(at, "no such layer");
    }
    enum jb_status status = check_slots(at);
    if (status == JB_OK) {
        status = check_tensors(at);
    }
    if (status != JB_OK) {
        return status;
    }
    switch (op->kind) {
    case JB_OP_RMSNORM:
    case JB_OP_LAYERNORM:
        return check_norm(at);
    case JB_OP_EMBED:
    case JB_OP_POSEMBED:
    case JB_OP_MATMUL:
        return check_weighted(at);
    case JB_OP_ATTENTION:
        return check_attention(at);
    default:
        return check_moves(at);
    }
}

/* No op may read a slot that nothing has written since the last cut, save the cut slot itself.
 * @param is_written (n_slots,) scratch. */
static enum jb_status check_flow(const struct jb_plan *plan, const struct jb_program *program,
                                 bool *is_written)
{
    uint32_t cut = 0;
    for (uint32_t i = 0; i < program->n_ops; i++) {
        const struct jb_op *op = &program->ops[i];
        const struct place at = {plan, program, op, i};
        if (cut < program->n_cuts && program->cuts[cut] == i) {
            memset(is_written, 0, plan->n_slots * sizeof *is_written);
            is_written[plan->cut_slot] = i > 0;
            cut++;
        }
        const uint16_t src[3] = {op->src0, op->src1, op->src2};
        for (uint8_t s = 0; s < 3 && s < rules[op->kind].n_src; s++) {
            if (!is_written[src[s]]) {
                return refuse(&at, "reads a slot that nothing wrote since the last cut");
            }
        }
        if (rules[op->kind].has_dst) {
            is_written[op->dst] = true;
        }
    }
    return JB_OK;
}

static enum jb_status check_program(const struct jb_plan *plan, const struct jb_program *program)
{
    if (program->name == NULL || program->n_ops == 0 || program->ops == NULL) {
        return jb_fail(JB_E_INVAL, "plan of '%s': a program has no name or no ops", plan->model);
    }
    if (program->cuts == NULL || program->n_cuts < 2 || program->cuts[0] != 0 ||
        program->cuts[program->n_cuts - 1] != program->n_ops) {
        return jb_fail(JB_E_INVAL, "plan of '%s', program '%s': cuts do not span 0 to %u",
                       plan->model, program->name, program->n_ops);
    }
    for (uint32_t i = 1; i < program->n_cuts; i++) {
        if (program->cuts[i] <= program->cuts[i - 1]) {
            return jb_fail(JB_E_INVAL, "plan of '%s', program '%s': cut %u does not ascend",
                           plan->model, program->name, i);
        }
    }
    for (uint32_t i = 0; i < program->n_ops; i++) {
        const enum jb_status status = check_op(&(struct place){plan, program, &program->ops[i], i});
        if (status != JB_OK) {
            return status;
        }
    }
    bool *is_written = calloc(plan->n_slots, sizeof *is_written);
    if (is_written == NULL) {
        return jb_fail(JB_E_NOMEM, "plan of '%s': no memory to check it", plan->model);
    }
    const enum jb_status status = check_flow(plan, program, is_written);
    free(is_written);
    return status;
}

static enum jb_status check_numbers(const struct jb_plan *plan)
{
    if (plan->model == NULL) {
        return jb_fail(JB_E_INVAL, "plan: the model has no name");
    }
    if (plan->dim == 0 || plan->n_layers == 0 || plan->n_layers > INT16_MAX || plan->n_heads == 0 ||
        plan->n_kv_heads == 0 || plan->head_dim == 0 || plan->vocab == 0 ||
        plan->max_context == 0) {
        return jb_fail(JB_E_INVAL, "plan of '%s': a dimension is 0 or too large", plan->model);
    }
    if (plan->n_heads % plan->n_kv_heads != 0) {
        return jb_fail(JB_E_INVAL, "plan of '%s': %u heads cannot share %u KV heads", plan->model,
                       plan->n_heads, plan->n_kv_heads);
    }
    if (plan->n_ranks == 0 || plan->rank >= plan->n_ranks) {
        return jb_fail(JB_E_INVAL, "plan of '%s': rank %u of %u", plan->model, plan->rank,
                       plan->n_ranks);
    }
    if (plan->kv_dtype != JB_F32 && plan->kv_dtype != JB_F16 && plan->kv_dtype != JB_Q8_0) {
        return jb_fail(JB_E_INVAL, "plan of '%s': K and V may be f32, f16 or q8_0", plan->model);
    }
    if (jb_format_row_bytes(plan->kv_dtype, plan->head_dim) == 0) {
        return jb_fail(JB_E_INVAL, "plan of '%s': heads of %u values do not divide into %s blocks",
                       plan->model, plan->head_dim, jb_format(plan->kv_dtype)->name);
    }
    if (plan->rope.kind != JB_ROPE_NONE &&
        (plan->rope.n_dims == 0 || plan->rope.n_dims % 2 != 0 ||
         plan->rope.n_dims > plan->head_dim || plan->rope.inv_freq == NULL)) {
        return jb_fail(JB_E_INVAL, "plan of '%s': rotates %u of %u dimensions a head", plan->model,
                       plan->rope.n_dims, plan->head_dim);
    }
    return JB_OK;
}

static enum jb_status check_tables(const struct jb_plan *plan)
{
    for (uint32_t i = 0; i < plan->n_tensors; i++) {
        const struct jb_tensor *t = &plan->tensors[i];
        if (t->name == NULL || (int)t->dtype < 0 || t->dtype >= JB_N_DTYPES || t->rows == 0 ||
            t->cols == 0 || t->row_bytes == 0 ||
            t->row_bytes != jb_format_row_bytes(t->dtype, t->cols) ||
            t->n_bytes != (uint64_t)t->row_bytes * t->rows) {
            return jb_fail(JB_E_INVAL, "plan of '%s': tensor %u ('%s') has a wrong shape or size",
                           plan->model, i, t->name != NULL ? t->name : "");
        }
    }
    if (plan->n_slots == 0 || plan->n_slots > JB_NO_SLOT || plan->cut_slot >= plan->n_slots ||
        plan->slots[plan->cut_slot].width != plan->dim ||
        plan->slots[plan->cut_slot].rows != JB_ROWS_TOKENS) {
        return jb_fail(JB_E_INVAL, "plan of '%s': the cut slot is not (tokens, %u)", plan->model,
                       plan->dim);
    }
    for (uint32_t i = 0; i < plan->n_slots; i++) {
        if (plan->slots[i].width == 0 || plan->slots[i].name == NULL) {
            return jb_fail(JB_E_INVAL, "plan of '%s': slot %u has no width or no name", plan->model,
                           i);
        }
    }
    return JB_OK;
}

enum jb_status jb_plan_check(const struct jb_plan *plan)
{
    enum jb_status status = check_numbers(plan);
    if (status == JB_OK) {
        status = check_tables(plan);
    }
    if (status != JB_OK) {
        return status;
    }
    if (plan->n_programs == 0 || plan->programs == NULL || plan->programs[0].name == NULL ||
        strcmp(plan->programs[0].name, "full") != 0) {
        return jb_fail(JB_E_INVAL, "plan of '%s': the first program is not 'full'", plan->model);
    }
    for (uint32_t i = 0; status == JB_OK && i < plan->n_programs; i++) {
        status = check_program(plan, &plan->programs[i]);
    }
    return status;
}
