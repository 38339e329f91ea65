/* SPDX-License-Identifier: MIT */
/* One step: uploads its rows, then launches the list, for few rows as a graph made once. */
#include <string.h>

#include "backends/cuda/device.h"

static uint32_t smaller(uint32_t a, uint32_t b)
{
    return a < b ? a : b;
}

static enum jb_status run_range(struct jb_device *dev, uint32_t begin, uint32_t end, bool is_few)
{
    const struct jb_cuda_action *actions = is_few ? dev->few_actions : dev->many_actions;
    const uint32_t n = is_few ? dev->n_few : dev->n_many;
    for (uint32_t i = 0; i < n; i++) {
        if (actions[i].op < begin || actions[i].op >= end) {
            continue;
        }
        const enum jb_status status = jb_cuda_run_action(dev, &actions[i], is_few);
        if (status != JB_OK) {
            return status;
        }
    }
    return JB_OK;
}

/* Records the whole list once; later steps of the same size replay it. */
static enum jb_status graph_of(struct jb_device *dev, CUgraphExec *ret_exec)
{
    for (uint32_t i = 0; i < dev->n_graphs; i++) {
        if (dev->graphs[i].n_tokens == dev->n_tokens &&
            dev->graphs[i].n_outputs == dev->n_outputs) {
            *ret_exec = dev->graphs[i].exec;
            return JB_OK;
        }
    }
    const struct jb_cuda_api *api = &dev->api;
    CUgraph graph = NULL;
    CUgraphExec exec = NULL;
    CUresult error = api->cuStreamBeginCapture(dev->stream, CU_STREAM_CAPTURE_MODE_RELAXED);
    if (error != CUDA_SUCCESS) {
        return jb_cuda_fail(api, error, "recording a step");
    }
    const enum jb_status status = run_range(dev, 0, dev->load.plan->programs[0].n_ops, true);
    error = api->cuStreamEndCapture(dev->stream, &graph);
    if (status == JB_OK && error == CUDA_SUCCESS) {
        error = api->cuGraphInstantiate(&exec, graph, 0);
    }
    if (graph != NULL) {
        (void)api->cuGraphDestroy(graph);
    }
    if (status != JB_OK) {
        return status;
    }
    if (error != CUDA_SUCCESS) {
        return jb_cuda_fail(api, error, "recording a step");
    }
    dev->graphs[dev->n_graphs].n_tokens = dev->n_tokens;
    dev->graphs[dev->n_graphs].n_outputs = dev->n_outputs;
    dev->graphs[dev->n_graphs++].exec = exec;
    *ret_exec = exec;
    return JB_OK;
}

/* Copies the step's rows into pinned memory and on to the card. */
static CUresult send_rows(struct jb_device *dev, const struct jb_step *step)
{
    const uint32_t max_tokens = dev->load.max_tokens;
    uint32_t *ids = dev->rows_host, *pos = ids + max_tokens, *slot = pos + max_tokens;
    uint32_t *outputs = slot + max_tokens;
    const size_t tiles_at = (dev->tiles - dev->rows_device) / sizeof *ids;
    struct jb_cuda_row_tile *tiles = (struct jb_cuda_row_tile *)(ids + tiles_at);
    uint32_t t = 0, o = 0;
    dev->n_tiles = 0;
    for (uint32_t s = 0; s < step->n_seqs; s++) {
        const struct jb_seq *seq = &step->seqs[s];
        for (uint32_t i = 0; i < seq->n_tokens; i += 64) {
            tiles[dev->n_tiles++] =
                (struct jb_cuda_row_tile){.first = t + i, .n_rows = smaller(64, seq->n_tokens - i)};
        }
        for (uint32_t i = 0; i < seq->n_tokens; i++, t++) {
            ids[t] = seq->tokens != NULL ? (uint32_t)seq->tokens[i] : 0;
            pos[t] = seq->pos + i;
            slot[t] = seq->slot;
            if (seq->want == JB_WANT_ALL || (seq->want == JB_WANT_LAST && i == seq->n_tokens - 1)) {
                outputs[o++] = t;
            }
        }
    }
    dev->n_tokens = t;
    dev->n_outputs = o;
    const size_t size = (tiles_at + 2 * (size_t)dev->n_tiles) * sizeof *ids;
    return dev->api.cuMemcpyHtoDAsync(dev->rows_device, dev->rows_host, size, dev->stream);
}

static bool is_few_step(const struct jb_device *dev)
{
    /* Two planes double the columns of a product. */
    return 2 * dev->n_tokens <= JB_CUDA_FEW_COLUMNS && 2 * dev->n_outputs <= JB_CUDA_FEW_COLUMNS;
}

/* One token a sequence, each with an output. */
static bool is_decode(const struct jb_step *step)
{
    for (uint32_t i = 0; i < step->n_seqs; i++) {
        if (step->seqs[i].n_tokens != 1 || step->seqs[i].want == JB_WANT_NONE) {
            return false;
        }
    }
    return true;
}

/* Embedding, everything else in one launch, choice of ids. */
static enum jb_status run_mega(struct jb_device *dev)
{
    const struct jb_cuda_action embed = {.op = 0};
    const struct jb_cuda_action choice = {.op = dev->load.plan->programs[0].n_ops - 1};
    enum jb_status status = jb_cuda_run_action(dev, &embed, true);
    if (status == JB_OK) {
        status = jb_cuda_mega_run(dev, dev->n_tokens);
    }
    return status == JB_OK ? jb_cuda_run_action(dev, &choice, true) : status;
}

static CUresult send_results(struct jb_device *dev, const struct jb_step *step, uint16_t logits)
{
    const struct jb_cuda_api *api = &dev->api;
    const struct jb_plan *plan = dev->load.plan;
    CUresult error = CUDA_SUCCESS;
    if (step->ret_acts != NULL) {
        error =
            api->cuMemcpyDtoHAsync(step->ret_acts, dev->slots[plan->cut_slot].values,
                                   (size_t)dev->n_tokens * plan->dim * sizeof(float), dev->stream);
    }
    if (error == CUDA_SUCCESS && step->ret_ids != NULL && dev->n_outputs > 0) {
        error = api->cuMemcpyDtoHAsync(dev->ids_host, dev->ids, dev->n_outputs * sizeof(int32_t),
                                       dev->stream);
    }
    if (error == CUDA_SUCCESS && step->ret_logits != NULL && dev->n_outputs > 0) {
        error = api->cuMemcpyDtoHAsync(step->ret_logits, dev->slots[logits].values,
                                       (size_t)dev->n_outputs * plan->vocab * sizeof(float),
                                       dev->stream);
    }
    return error;
}

enum jb_status jb_cuda_execute(struct jb_device *dev, const struct jb_step *step)
{
    const struct jb_cuda_api *api = &dev->api;
    const struct jb_program *program = &dev->load.plan->programs[0];
    CUresult error = send_rows(dev, step);
    if (error == CUDA_SUCCESS && step->op_begin > 0) {
        error = api->cuMemcpyHtoDAsync(dev->slots[dev->load.plan->cut_slot].values, step->acts,
                                       (size_t)dev->n_tokens * dev->load.plan->dim * sizeof(float),
                                       dev->stream);
    }
    if (error != CUDA_SUCCESS) {
        return jb_cuda_fail(api, error, "sending a step to the card");
    }
    if (step->op_begin > 0) {
        const enum jb_status status = jb_cuda_pack(dev, dev->load.plan->cut_slot, false);
        if (status != JB_OK) {
            return status;
        }
    }
    const bool is_few = is_few_step(dev);
    const bool is_whole = step->op_begin == 0 && step->op_end == program->n_ops;
    if (is_whole && is_decode(step) && jb_cuda_mega_takes(dev, dev->n_tokens)) {
        const enum jb_status status = run_mega(dev);
        if (status != JB_OK) {
            return status;
        }
    } else if (is_few && is_whole && dev->engine != JB_CUDA_ENGINE_STREAM &&
               dev->n_graphs < JB_CUDA_MAX_GRAPHS) {
        CUgraphExec exec = NULL;
        const enum jb_status status = graph_of(dev, &exec);
        if (status != JB_OK) {
            return status;
        }
        error = api->cuGraphLaunch(exec, dev->stream);
    } else {
        const enum jb_status status = run_range(dev, step->op_begin, step->op_end, is_few);
        if (status != JB_OK) {
            return status;
        }
    }
    if (error == CUDA_SUCCESS && step->op_end == program->n_ops) {
        error = send_results(dev, step, program->ops[program->n_ops - 1].src0);
    } else if (error == CUDA_SUCCESS) {
        error = send_results(dev, step, 0);
    }
    dev->step = step;
    return error == CUDA_SUCCESS ? JB_OK : jb_cuda_fail(api, error, "running a step");
}
