/* SPDX-License-Identifier: MIT */
/* load(): refusals, device memory, and weights packed row by row on their way to the device. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "backends/opencl/device.h"
#include "backends/opencl/pack.h"
#include "platforms/base/units.h"

#define STAGE_BYTES ((size_t)4 << 20)
#define ALIGNMENT 256u

static uint64_t round_up(uint64_t n, uint64_t unit)
{
    return (n + unit - 1) / unit * unit;
}

/* ---- can it be done ---- */

static enum jb_status check_ops(const struct jb_plan *plan)
{
    for (uint32_t p = 0; p < plan->n_programs; p++) {
        for (uint32_t i = 0; i < plan->programs[p].n_ops; i++) {
            const enum jb_op_kind kind = plan->programs[p].ops[i].kind;
            if (!jb_opencl_can(kind)) {
                return jb_fail(JB_E_NOTSUP, "opencl: no kernel for %s, op %u of program '%s'",
                               jb_op_name(kind), i, plan->programs[p].name);
            }
        }
    }
    return JB_OK;
}

/* Local memory of an attention group, in floats: attention.cl tells what is in it. */
uint32_t jb_opencl_attention_floats(const struct jb_device *dev, uint32_t rows)
{
    const uint32_t dims = jb_opencl_dims(dev);
    return 2 * rows * dims + dev->chunk * (dims + 4) + rows * (dev->chunk + 1) + 3 * rows;
}

static enum jb_status fit_attention(struct jb_device *dev)
{
    dev->query_rows = dev->tuning->query_rows;
    dev->chunk = 32;
    while (jb_opencl_attention_floats(dev, dev->query_rows) * sizeof(float) > dev->local_bytes) {
        if (dev->query_rows == 1 && dev->chunk == 1) {
            return jb_fail(JB_E_NOTSUP,
                           "opencl: heads of %u values do not fit the %llu bytes of local memory",
                           dev->load.plan->head_dim, (unsigned long long)dev->local_bytes);
        }
        if (dev->chunk > 8 || dev->query_rows == 1) {
            dev->chunk /= 2;
        } else {
            dev->query_rows /= 2;
        }
    }
    return JB_OK;
}

static enum jb_status check_plan(const struct jb_load_args *args)
{
    const struct jb_plan *plan = args->plan;
    if (args->execution != JB_EXECUTE_FUNCTIONAL || plan->weights == NULL) {
        return jb_fail(JB_E_NOTSUP,
                       "opencl: is a real device, timing-only execution is not for it");
    }
    if (plan->n_ranks > 1) {
        return jb_fail(JB_E_NOTSUP, "opencl: runs alone, the plan is for %u ranks", plan->n_ranks);
    }
    if (plan->kv_dtype != JB_F32 && plan->kv_dtype != JB_F16 && plan->kv_dtype != JB_Q8_0) {
        return jb_fail(JB_E_NOTSUP, "opencl: no KV cache in %s; use f32, f16 or q8_0",
                       jb_format(plan->kv_dtype)->name);
    }
    if (jb_format_row_bytes(plan->kv_dtype, plan->head_dim) == 0) {
        return jb_fail(JB_E_NOTSUP,
                       "opencl: heads of %u values do not divide into blocks of %s; use an f16 KV "
                       "cache",
                       plan->head_dim, jb_format(plan->kv_dtype)->name);
    }
    return check_ops(plan);
}

/* ---- memory ---- */

/* OpenCL takes memory when it is used, so what is too much must be told before. */
static enum jb_status take(struct jb_device *dev, uint64_t size, const char *what, cl_mem *ret)
{
    const uint64_t left = dev->memory_bytes - dev->taken_bytes;
    if (size > left || size > dev->max_buffer_bytes) {
        return jb_fail(JB_E_NOMEM,
                       "opencl: %s needs %.1f MiB, '%s' has %.1f of %.1f MiB left and gives %.1f "
                       "MiB at once: take a smaller model, format, batch or context",
                       what, (double)size / JB_MIB, dev->choice.name, (double)left / JB_MIB,
                       (double)dev->memory_bytes / JB_MIB, (double)dev->max_buffer_bytes / JB_MIB);
    }
    cl_int error = CL_SUCCESS;
    cl_mem memory = dev->api.clCreateBuffer(dev->context, CL_MEM_READ_WRITE,
                                            size > 0 ? (size_t)size : 1, NULL, &error);
    if (error != CL_SUCCESS) {
        return jb_opencl_fail(error, what);
    }
    dev->taken_bytes += size;
    *ret = memory;
    return JB_OK;
}

static enum jb_status take_slots(struct jb_device *dev)
{
    const struct jb_plan *plan = dev->load.plan;
    const cl_float zero = 0.0F;
    for (uint32_t i = 0; i < plan->n_slots; i++) {
        const struct jb_slot *slot = &plan->slots[i];
        const uint64_t rows =
            slot->rows == JB_ROWS_TOKENS ? dev->load.max_tokens : dev->load.max_outputs;
        dev->slots[i].stride = (cl_uint)round_up(slot->width, 32);
        const uint64_t size = rows * dev->slots[i].stride * sizeof(float);
        const enum jb_status status = take(dev, size, slot->name, &dev->slots[i].memory);
        if (status != JB_OK) {
            return status;
        }
        const cl_int error =
            size > 0 ? dev->api.clEnqueueFillBuffer(dev->queue, dev->slots[i].memory, &zero,
                                                    sizeof zero, 0, (size_t)size, 0, NULL, NULL)
                     : CL_SUCCESS;
        if (error != CL_SUCCESS) {
            return jb_opencl_fail(error, "clearing activations");
        }
    }
    return JB_OK;
}

static enum jb_status take_kv(struct jb_device *dev)
{
    const struct jb_plan *plan = dev->load.plan;
    const uint64_t n =
        (uint64_t)dev->load.max_seqs * plan->n_kv_heads * dev->load.context * plan->head_dim;
    const uint64_t value_bytes = plan->kv_dtype == JB_F32 ? 4 : plan->kv_dtype == JB_F16 ? 2 : 1;
    const uint64_t scale_bytes = plan->kv_dtype == JB_Q8_0 ? round_up(n / 32 * 2, ALIGNMENT) : 0;
    dev->v_at = round_up(n * value_bytes, ALIGNMENT);
    dev->k_scale_at = 2 * dev->v_at;
    dev->v_scale_at = dev->k_scale_at + scale_bytes;
    for (uint32_t i = 0; i < plan->n_layers; i++) {
        const enum jb_status status =
            take(dev, dev->v_scale_at + scale_bytes, "the KV cache", &dev->kv[i]);
        if (status != JB_OK) {
            return status;
        }
    }
    return JB_OK;
}

static enum jb_status take_turns(struct jb_device *dev)
{
    const struct jb_rope *rope = &dev->load.plan->rope;
    const uint32_t n_pairs = rope->kind == JB_ROPE_NONE ? 0 : rope->n_dims / 2;
    const size_t size = (size_t)dev->load.context * n_pairs * 2 * sizeof(float);
    enum jb_status status = take(dev, size, "RoPE's angles", &dev->turns);
    if (status != JB_OK || size == 0) {
        return status;
    }
    float *turns = malloc(size), *next = turns;
    if (turns == NULL) {
        return jb_fail(JB_E_NOMEM, "opencl: no host memory for RoPE's angles");
    }
    for (uint32_t position = 0; position < dev->load.context; position++) {
        for (uint32_t i = 0; i < n_pairs; i++) {
            const double angle = (double)position * (double)rope->inv_freq[i];
            *next++ = (float)(cos(angle) * (double)rope->mscale);
            *next++ = (float)(sin(angle) * (double)rope->mscale);
        }
    }
    const cl_int error = dev->api.clEnqueueWriteBuffer(dev->queue, dev->turns, CL_TRUE, 0, size,
                                                       turns, 0, NULL, NULL);
    free(turns);
    return error == CL_SUCCESS ? JB_OK : jb_opencl_fail(error, "sending RoPE's angles");
}

/* One buffer that a step sends in one piece, and its parts. */
static enum jb_status take_rows(struct jb_device *dev)
{
    const struct jb_plan *plan = dev->load.plan;
    const uint64_t n_sharing = plan->n_kv_heads > 0 ? plan->n_heads / plan->n_kv_heads : 1;
    const uint64_t max_tokens = dev->load.max_tokens;
    const uint64_t n_blocks = max_tokens * n_sharing / dev->query_rows + dev->load.max_seqs + 1;
    cl_uint align_bits = 0;
    (void)dev->api.clGetDeviceInfo(dev->choice.device, CL_DEVICE_MEM_BASE_ADDR_ALIGN,
                                   sizeof align_bits, &align_bits, NULL);
    const uint64_t align = align_bits / 8 > ALIGNMENT ? align_bits / 8 : ALIGNMENT;
    const struct {
        uint64_t n;
        cl_mem *part;
        int32_t **host;
    } parts[] = {{max_tokens, &dev->ids, &dev->host_ids},
                 {max_tokens, &dev->positions, &dev->host_positions},
                 {max_tokens, &dev->kv_slots, &dev->host_kv_slots},
                 {dev->load.max_outputs, &dev->outputs, &dev->host_outputs},
                 {n_blocks * JB_OPENCL_BLOCK_FIELDS, &dev->blocks, &dev->host_blocks}};
    const size_t n_parts = sizeof parts / sizeof parts[0];
    for (size_t i = 0; i < n_parts; i++) {
        dev->rows_bytes += round_up(parts[i].n * 4 + 1, align);
    }
    dev->host_rows = calloc(dev->rows_bytes, 1);
    dev->host_answers = calloc((size_t)dev->load.max_outputs * 2 + 1, sizeof(int32_t));
    if (dev->host_rows == NULL || dev->host_answers == NULL) {
        return jb_fail(JB_E_NOMEM, "opencl: no host memory for the rows of a step");
    }
    enum jb_status status = take(dev, dev->rows_bytes, "the rows of a step", &dev->rows);
    size_t at = 0;
    for (size_t i = 0; status == JB_OK && i < n_parts; i++) {
        const cl_buffer_region region = {.origin = at,
                                         .size = (size_t)round_up(parts[i].n * 4 + 1, align)};
        cl_int error = CL_SUCCESS;
        *parts[i].part = dev->api.clCreateSubBuffer(dev->rows, CL_MEM_READ_WRITE,
                                                    CL_BUFFER_CREATE_TYPE_REGION, &region, &error);
        *parts[i].host = dev->host_rows + at / sizeof(int32_t);
        at += region.size;
        status = error == CL_SUCCESS ? JB_OK : jb_opencl_fail(error, "dividing the rows' buffer");
    }
    return status;
}

static enum jb_status take_scratch(struct jb_device *dev)
{
    const struct jb_plan *plan = dev->load.plan;
    const uint32_t few = 4 * dev->n_processors * dev->query_rows;
    dev->partial_rows = few > 8 * plan->n_heads ? few : 8 * plan->n_heads;
    const enum jb_status status =
        take(dev, (uint64_t)dev->partial_rows * (plan->head_dim + 2) * sizeof(float),
             "attention's partial sums", &dev->partial);
    return status == JB_OK
               ? take(dev, ((uint64_t)dev->load.max_outputs + 1) * 8, "ids", &dev->answers)
               : status;
}

/* ---- weights ---- */

/* Packs as many rows as fit the stage, sends them, and so on. */
static enum jb_status send_rows(struct jb_device *dev, const struct jb_tensor *tensor,
                                const uint8_t *data, const struct jb_opencl_weight *weight,
                                uint8_t *stage, uint32_t rows_at_once)
{
    uint64_t row_bytes[JB_OPENCL_PLANES];
    for (uint32_t k = 0; k < JB_OPENCL_PLANES; k++) {
        row_bytes[k] = jb_opencl_plane_bytes(tensor->dtype, k, weight->n_units);
    }
    for (uint32_t row = 0; row < tensor->rows; row += rows_at_once) {
        const uint32_t left = tensor->rows - row;
        const uint32_t n = left < rows_at_once ? left : rows_at_once;
        uint8_t *planes[JB_OPENCL_PLANES], *to[JB_OPENCL_PLANES], *next = stage;
        for (uint32_t k = 0; k < JB_OPENCL_PLANES; k++) {
            planes[k] = to[k] = next;
            next += row_bytes[k] * rows_at_once;
        }
        for (uint32_t r = 0; r < n; r++) {
            jb_opencl_pack_row(tensor->dtype, data + (size_t)(row + r) * tensor->row_bytes,
                               tensor->row_bytes, weight->n_units, to);
            for (uint32_t k = 0; k < JB_OPENCL_PLANES; k++) {
                to[k] += row_bytes[k];
            }
        }
        for (uint32_t k = 0; k < JB_OPENCL_PLANES && row_bytes[k] > 0; k++) {
            const uint64_t at = (k > 0 ? weight->at[k - 1] : 0) + row * row_bytes[k];
            const cl_int error =
                dev->api.clEnqueueWriteBuffer(dev->queue, weight->memory, CL_TRUE, (size_t)at,
                                              (size_t)(n * row_bytes[k]), planes[k], 0, NULL, NULL);
            if (error != CL_SUCCESS) {
                return jb_opencl_fail(error, tensor->name);
            }
        }
    }
    return JB_OK;
}

static enum jb_status load_tensor(struct jb_device *dev, uint32_t index)
{
    const struct jb_plan *plan = dev->load.plan;
    const struct jb_tensor *tensor = &plan->tensors[index];
    struct jb_opencl_weight *weight = &dev->weights[index];
    weight->n_units = (cl_uint)((tensor->cols + 31) / 32);
    uint64_t size = 0, a_row = 0;
    for (uint32_t k = 0; k < JB_OPENCL_PLANES; k++) {
        const uint64_t bytes = jb_opencl_plane_bytes(tensor->dtype, k, weight->n_units);
        if (k > 0) {
            weight->at[k - 1] = size;
        }
        size += round_up(bytes * tensor->rows, ALIGNMENT);
        a_row += bytes;
    }
    enum jb_status status = take(dev, size, tensor->name, &weight->memory);
    if (status != JB_OK) {
        return status;
    }
    const void *data = NULL;
    status = plan->weights->map(plan->weights->ctx, index, &data);
    if (status != JB_OK) {
        return status;
    }
    const uint32_t at_once = a_row < STAGE_BYTES ? (uint32_t)(STAGE_BYTES / a_row) : 1;
    const uint32_t rows = at_once < tensor->rows ? at_once : tensor->rows;
    uint8_t *stage = malloc((size_t)(a_row * rows));
    status = stage != NULL
                 ? send_rows(dev, tensor, data, weight, stage, rows)
                 : jb_fail(JB_E_NOMEM, "opencl: no host memory to pack '%s'", tensor->name);
    free(stage);
    plan->weights->unmap(plan->weights->ctx, index);
    return status;
}

static enum jb_status load_weights(struct jb_device *dev)
{
    enum jb_status status = JB_OK;
    for (uint32_t i = 0; status == JB_OK && i < dev->load.plan->n_tensors; i++) {
        status = load_tensor(dev, i);
    }
    return status;
}

/* ---- products that add ---- */

static bool reads(const struct jb_op *op, uint16_t slot)
{
    return op->src0 == slot || op->src1 == slot || op->src2 == slot;
}

/* A product whose result an ADD takes next and nobody reads later. */
static bool is_fusible(const struct jb_program *program, uint32_t i)
{
    const struct jb_op *matmul = &program->ops[i], *add = matmul + 1;
    if (i + 1 >= program->n_ops || matmul->kind != JB_OP_MATMUL || add->kind != JB_OP_ADD ||
        (add->src0 == matmul->dst) == (add->src1 == matmul->dst) || add->dst == matmul->src0) {
        return false;
    }
    for (uint32_t k = i + 2; k < program->n_ops && add->dst != matmul->dst; k++) {
        if (reads(&program->ops[k], matmul->dst)) {
            return false;
        }
        if (program->ops[k].dst == matmul->dst) {
            break;
        }
    }
    return true;
}

static enum jb_status find_fusions(struct jb_device *dev)
{
    const struct jb_plan *plan = dev->load.plan;
    size_t n_ops = 0;
    for (uint32_t p = 0; p < plan->n_programs; p++) {
        n_ops += plan->programs[p].n_ops;
    }
    uint8_t *next = dev->is_fused = calloc(n_ops + 1, sizeof *next);
    if (next == NULL) {
        return jb_fail(JB_E_NOMEM, "opencl: no host memory for a table of %zu ops", n_ops);
    }
    for (uint32_t p = 0; p < plan->n_programs; p++) {
        for (uint32_t i = 0; i < plan->programs[p].n_ops; i++) {
            *next++ = is_fusible(&plan->programs[p], i);
        }
    }
    return JB_OK;
}

/* ---- load and its undoing ---- */

static enum jb_status take_tables(struct jb_device *dev)
{
    const struct jb_plan *plan = dev->load.plan;
    dev->weights = calloc(plan->n_tensors, sizeof *dev->weights);
    dev->slots = calloc(plan->n_slots, sizeof *dev->slots);
    /* cppcheck-suppress pointerSize ; handles are pointers */
    dev->kv = calloc((size_t)plan->n_layers + 1, sizeof(void *));
    dev->held = calloc((size_t)dev->load.max_seqs + 1, sizeof *dev->held);
    if (dev->weights == NULL || dev->slots == NULL || dev->kv == NULL || dev->held == NULL) {
        return jb_fail(JB_E_NOMEM, "opencl: no host memory for the tables of %s", plan->model);
    }
    return JB_OK;
}

enum jb_status jb_opencl_load(struct jb_device *dev, const struct jb_load_args *args)
{
    static enum jb_status (*const stages[])(struct jb_device *) = {
        fit_attention, take_tables, find_fusions, jb_opencl_build, load_weights,     take_slots,
        take_kv,       take_turns,  take_rows,    take_scratch,    jb_opencl_warm_up};
    enum jb_status status = check_plan(args);
    if (status != JB_OK) {
        return status;
    }
    dev->load = *args;
    for (size_t i = 0; i < sizeof stages / sizeof stages[0] && status == JB_OK; i++) {
        status = stages[i](dev);
    }
    return status;
}

static void drop(const struct jb_device *dev, cl_mem memory)
{
    if (memory != NULL) {
        (void)dev->api.clReleaseMemObject(memory);
    }
}

void jb_opencl_unload(struct jb_device *dev)
{
    const struct jb_plan *plan = dev->load.plan; /* NULL if load() took nothing */
    for (uint32_t i = 0; plan != NULL && dev->weights != NULL && i < plan->n_tensors; i++) {
        drop(dev, dev->weights[i].memory);
    }
    for (uint32_t i = 0; plan != NULL && dev->slots != NULL && i < plan->n_slots; i++) {
        drop(dev, dev->slots[i].memory);
    }
    for (uint32_t i = 0; plan != NULL && dev->kv != NULL && i < plan->n_layers; i++) {
        drop(dev, dev->kv[i]);
    }
    const cl_mem others[] = {dev->turns,  dev->ids,  dev->positions, dev->kv_slots, dev->outputs,
                             dev->blocks, dev->rows, dev->partial,   dev->answers};
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++) {
        drop(dev, others[i]);
    }
    free(dev->weights);
    free(dev->slots);
    free(dev->kv);
    free(dev->held);
    free(dev->is_fused);
    free(dev->host_rows);
    free(dev->host_answers);
}
