/* SPDX-License-Identifier: MIT */
/* Steps: how many rows they have, and whether they fit what was promised at load. */
#include "backends/plan.h"

uint32_t jb_step_tokens(const struct jb_step *step)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < step->n_seqs; i++) {
        n += step->seqs[i].n_tokens;
    }
    return n;
}

uint32_t jb_step_outputs(const struct jb_step *step)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < step->n_seqs; i++) {
        const struct jb_seq *seq = &step->seqs[i];
        n += seq->want == JB_WANT_ALL ? seq->n_tokens : seq->want == JB_WANT_LAST ? 1u : 0u;
    }
    return n;
}

static bool is_cut(const struct jb_program *program, uint32_t op)
{
    for (uint32_t i = 0; i < program->n_cuts; i++) {
        if (program->cuts[i] == op) {
            return true;
        }
    }
    return false;
}

static enum jb_status check_range(const struct jb_plan *plan, const struct jb_step *step)
{
    if (step->program >= plan->n_programs) {
        return jb_fail(JB_E_INVAL, "step: program %u of %u", step->program, plan->n_programs);
    }
    const struct jb_program *program = &plan->programs[step->program];
    if (step->op_begin >= step->op_end || !is_cut(program, step->op_begin) ||
        !is_cut(program, step->op_end)) {
        return jb_fail(JB_E_INVAL, "step: ops %u to %u are not a range between cuts of '%s'",
                       step->op_begin, step->op_end, program->name);
    }
    if (step->op_begin > 0 && step->acts == NULL) {
        return jb_fail(JB_E_INVAL, "step: starts at op %u without activations", step->op_begin);
    }
    if (step->op_end < program->n_ops && step->ret_acts == NULL) {
        return jb_fail(JB_E_INVAL, "step: ends at op %u with no room for activations",
                       step->op_end);
    }
    return JB_OK;
}

static bool has_embed(const struct jb_plan *plan, const struct jb_step *step)
{
    const struct jb_op *ops = plan->programs[step->program].ops;
    for (uint32_t i = step->op_begin; i < step->op_end; i++) {
        if (ops[i].kind == JB_OP_EMBED) {
            return true;
        }
    }
    return false;
}

static enum jb_status check_tokens(const struct jb_plan *plan, const struct jb_seq *seq,
                                   uint32_t index)
{
    if (seq->tokens == NULL) {
        return jb_fail(JB_E_INVAL, "step: sequence %u has no ids", index);
    }
    for (uint32_t i = 0; i < seq->n_tokens; i++) {
        if (seq->tokens[i] < 0 || (uint32_t)seq->tokens[i] >= plan->vocab) {
            return jb_fail(JB_E_INVAL, "step: sequence %u: id %d is not in [0, %u)", index,
                           (int)seq->tokens[i], plan->vocab);
        }
    }
    return JB_OK;
}

static enum jb_status check_seq(const struct jb_step *step, uint32_t index, uint32_t max_seqs,
                                uint32_t context)
{
    const struct jb_seq *seq = &step->seqs[index];
    if (seq->slot >= max_seqs) {
        return jb_fail(JB_E_INVAL, "step: sequence %u: slot %u of %u", index, seq->slot, max_seqs);
    }
    for (uint32_t i = 0; i < index; i++) {
        if (step->seqs[i].slot == seq->slot) {
            return jb_fail(JB_E_INVAL, "step: sequences %u and %u share slot %u", i, index,
                           seq->slot);
        }
    }
    if (seq->n_tokens == 0) {
        return jb_fail(JB_E_INVAL, "step: sequence %u has no tokens", index);
    }
    if ((uint64_t)seq->pos + seq->n_tokens > context) {
        return jb_fail(JB_E_INVAL, "step: sequence %u: %u tokens from position %u pass context %u",
                       index, seq->n_tokens, seq->pos, context);
    }
    if ((int)seq->want < JB_WANT_NONE || seq->want > JB_WANT_ALL) {
        return jb_fail(JB_E_INVAL, "step: sequence %u: no such want", index);
    }
    return JB_OK;
}

enum jb_status jb_step_check(const struct jb_plan *plan, const struct jb_step *step,
                             uint32_t max_seqs, uint32_t max_tokens, uint32_t context)
{
    enum jb_status status = check_range(plan, step);
    if (status != JB_OK) {
        return status;
    }
    if (step->n_seqs == 0 || step->n_seqs > max_seqs || step->seqs == NULL) {
        return jb_fail(JB_E_INVAL, "step: %u sequences where 1 to %u were promised", step->n_seqs,
                       max_seqs);
    }
    const bool needs_ids = has_embed(plan, step);
    uint64_t n_tokens = 0;
    for (uint32_t i = 0; i < step->n_seqs; i++) {
        status = check_seq(step, i, max_seqs, context);
        if (status == JB_OK && needs_ids) {
            status = check_tokens(plan, &step->seqs[i], i);
        }
        if (status != JB_OK) {
            return status;
        }
        n_tokens += step->seqs[i].n_tokens;
    }
    if (n_tokens > max_tokens) {
        return jb_fail(JB_E_INVAL, "step: %llu tokens where at most %u were promised",
                       (unsigned long long)n_tokens, max_tokens);
    }
    return JB_OK;
}
