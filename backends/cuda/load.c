/* SPDX-License-Identifier: MIT */
/* Weights: streamed tensor by tensor from the harness to the card, tiled there. */
#include <stdlib.h>
#include <string.h>

#include "backends/cuda/device.h"

/* Two pinned buffers: one is filled while the other travels. */
#define STAGE_BYTES ((size_t)16 << 20)

struct upload {
    struct jb_device *dev;
    uint8_t *stage[2];
    CUevent sent[2];
    uint32_t next;
    CUdeviceptr raw; /* a tensor as the file has it, before tiling */
    uint64_t raw_bytes;
};

static enum jb_status copy_in(struct upload *u, CUdeviceptr to, const uint8_t *from, uint64_t size)
{
    const struct jb_cuda_api *api = &u->dev->api;
    for (uint64_t at = 0; at < size; at += STAGE_BYTES) {
        const size_t part = size - at < STAGE_BYTES ? (size_t)(size - at) : STAGE_BYTES;
        const uint32_t i = u->next;
        CUresult error = api->cuEventSynchronize(u->sent[i]);
        if (error == CUDA_SUCCESS) {
            memcpy(u->stage[i], from + at, part);
            error = api->cuMemcpyHtoDAsync(to + at, u->stage[i], part, u->dev->stream);
        }
        if (error == CUDA_SUCCESS) {
            error = api->cuEventRecord(u->sent[i], u->dev->stream);
        }
        if (error != CUDA_SUCCESS) {
            return jb_cuda_fail(api, error, "copying weights to the card");
        }
        u->next = 1 - i;
    }
    return JB_OK;
}

/* Form in which a MATMUL reads the tensor; RAW where its size fits no tile. */
static enum jb_cuda_form form_of(const struct jb_tensor *tensor)
{
    static const struct {
        enum jb_dtype dtype;
        enum jb_cuda_form form;
        uint32_t columns;
    } forms[] = {{JB_F16, JB_CUDA_F16, 32},  {JB_BF16, JB_CUDA_BF16, 32}, {JB_Q4_0, JB_CUDA_T4, 64},
                 {JB_Q4_1, JB_CUDA_T4M, 64}, {JB_Q4_K, JB_CUDA_T4M, 64},  {JB_Q8_0, JB_CUDA_T8, 32},
                 {JB_Q6_K, JB_CUDA_T8S, 32}};
    for (size_t i = 0; i < sizeof forms / sizeof forms[0]; i++) {
        if (tensor->dtype == forms[i].dtype && tensor->rows % 16 == 0 &&
            tensor->cols % forms[i].columns == 0) {
            return forms[i].form;
        }
    }
    return JB_CUDA_RAW;
}

static bool is_tiled(uint32_t form)
{
    return form >= JB_CUDA_T4;
}

static enum jb_status upload_raw(struct upload *u, const struct jb_tensor *tensor, const void *data,
                                 struct jb_cuda_weight *ret_weight)
{
    CUdeviceptr memory = 0;
    enum jb_status status = jb_cuda_alloc(u->dev, tensor->n_bytes, tensor->name, &memory);
    if (status == JB_OK) {
        status = copy_in(u, memory, data, tensor->n_bytes);
    }
    if (status == JB_OK) {
        ret_weight->data = memory;
    }
    return status;
}

static enum jb_status upload_tiled(struct upload *u, const struct jb_tensor *tensor,
                                   const void *data, struct jb_cuda_weight *weight)
{
    const bool is_four_bit = weight->form == JB_CUDA_T4 || weight->form == JB_CUDA_T4M;
    const uint64_t n = (uint64_t)tensor->rows * tensor->cols;
    const uint64_t n_tiles = n / (is_four_bit ? 1024 : 512);
    const uint64_t scale_bytes = n / (weight->form == JB_CUDA_T8S ? 16 : 32) * 2;
    CUdeviceptr memory[3] = {0};
    enum jb_status status = jb_cuda_alloc(u->dev, n_tiles * 512, tensor->name, &memory[0]);
    if (status == JB_OK) {
        status = jb_cuda_alloc(u->dev, scale_bytes, tensor->name, &memory[1]);
    }
    if (status == JB_OK && weight->form == JB_CUDA_T4M) {
        status = jb_cuda_alloc(u->dev, scale_bytes, tensor->name, &memory[2]);
    }
    if (status == JB_OK) {
        status = copy_in(u, u->raw, data, tensor->n_bytes);
    }
    if (status != JB_OK) {
        return status;
    }
    weight->data = memory[0];
    weight->scales = memory[1];
    weight->offsets = memory[2];
    const struct jb_cuda_tile params = {.raw = (const uint8_t *)u->raw, .w = *weight};
    /* A warp a tile, eight a block. */
    return jb_cuda_launch(u->dev, u->dev->run_tile, (uint32_t)((n_tiles + 7) / 8), 1, 1, 256,
                          &params);
}

static enum jb_status upload_tensor(struct upload *u, uint32_t index, bool is_product,
                                    bool is_looked_up)
{
    struct jb_device *dev = u->dev;
    const struct jb_plan *plan = dev->load.plan;
    const struct jb_tensor *tensor = &plan->tensors[index];
    struct jb_cuda_weight weight = {.rows = tensor->rows,
                                    .cols = tensor->cols,
                                    .form = is_product ? form_of(tensor) : JB_CUDA_RAW,
                                    .dtype = (uint32_t)tensor->dtype,
                                    .row_bytes = tensor->row_bytes};
    const void *data = NULL;
    enum jb_status status = plan->weights->map(plan->weights->ctx, index, &data);
    if (status != JB_OK) {
        return status;
    }
    status = is_tiled(weight.form) ? upload_tiled(u, tensor, data, &weight)
                                   : upload_raw(u, tensor, data, &weight);
    dev->weights[index] = weight;
    dev->raw_tables[index] = weight;
    if (status == JB_OK && is_tiled(weight.form) && is_looked_up) {
        dev->raw_tables[index].form = JB_CUDA_RAW;
        status = upload_raw(u, tensor, data, &dev->raw_tables[index]);
    }
    plan->weights->unmap(plan->weights->ctx, index);
    return status;
}

static enum jb_status upload_all(struct upload *u)
{
    const struct jb_plan *plan = u->dev->load.plan;
    for (uint32_t i = 0; i < plan->n_tensors; i++) {
        bool is_used = false, is_product = false, is_looked_up = false;
        for (uint32_t p = 0; p < plan->n_programs; p++) {
            for (uint32_t k = 0; k < plan->programs[p].n_ops; k++) {
                const struct jb_op *op = &plan->programs[p].ops[k];
                if (op->weight != (int32_t)i && op->bias != (int32_t)i) {
                    continue;
                }
                is_used = true;
                is_product |= op->kind == JB_OP_MATMUL && op->weight == (int32_t)i;
                is_looked_up |= op->kind == JB_OP_EMBED || op->kind == JB_OP_POSEMBED;
            }
        }
        const enum jb_status status =
            is_used ? upload_tensor(u, i, is_product, is_looked_up) : JB_OK;
        if (status != JB_OK) {
            return status;
        }
    }
    const CUresult error = u->dev->api.cuStreamSynchronize(u->dev->stream);
    return error == CUDA_SUCCESS ? JB_OK : jb_cuda_fail(&u->dev->api, error, "tiling the weights");
}

static CUresult take_stages(struct upload *u)
{
    const struct jb_cuda_api *api = &u->dev->api;
    CUresult error = CUDA_SUCCESS;
    for (int i = 0; i < 2 && error == CUDA_SUCCESS; i++) {
        error = api->cuMemAllocHost((void **)&u->stage[i], STAGE_BYTES);
        if (error == CUDA_SUCCESS) {
            error = api->cuEventCreate(&u->sent[i], CU_EVENT_DISABLE_TIMING);
        }
    }
    if (error == CUDA_SUCCESS && u->raw_bytes > 0) {
        error = api->cuMemAlloc(&u->raw, u->raw_bytes);
    }
    return error;
}

enum jb_status jb_cuda_load_weights(struct jb_device *dev)
{
    const struct jb_cuda_api *api = &dev->api;
    const struct jb_plan *plan = dev->load.plan;
    struct upload u = {.dev = dev};
    for (uint32_t i = 0; i < plan->n_tensors; i++) {
        if (is_tiled(form_of(&plan->tensors[i])) && plan->tensors[i].n_bytes > u.raw_bytes) {
            u.raw_bytes = plan->tensors[i].n_bytes;
        }
    }
    const CUresult error = take_stages(&u);
    enum jb_status status =
        error == CUDA_SUCCESS ? JB_OK : jb_cuda_fail(api, error, "taking buffers for the weights");
    if (status == JB_OK) {
        status = upload_all(&u);
    }
    if (u.raw != 0) {
        (void)api->cuMemFree(u.raw);
    }
    for (int i = 0; i < 2; i++) {
        if (u.sent[i] != NULL) {
            (void)api->cuEventDestroy(u.sent[i]);
        }
        if (u.stage[i] != NULL) {
            (void)api->cuMemFreeHost(u.stage[i]);
        }
    }
    return status;
}
