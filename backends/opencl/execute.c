/* SPDX-License-Identifier: MIT */
/* One step: sends its rows, launches a kernel or two an op, asks for the results. */
#include <math.h>
#include <string.h>

#include "backends/opencl/device.h"

struct argument {
    size_t size;
    const void *value;
};
#define ARG(x)                                                                                     \
    {                                                                                              \
        sizeof(x), &(x)                                                                            \
    }
/* A buffer, or NULL: a handle is as long as any pointer. */
#define MEM(x)                                                                                     \
    {                                                                                              \
        sizeof(void *), &(x)                                                                       \
    }
#define N_ARGS(args) (sizeof(args) / sizeof((args)[0]))

/* Items in up to three directions, and of them in a group. */
struct grid {
    size_t items[3], group[3];
};

static enum jb_status launch(struct jb_device *dev, cl_kernel kernel, const struct grid *grid,
                             const struct argument *args, size_t n_args)
{
    const struct jb_opencl_api *api = &dev->api;
    cl_int error = CL_SUCCESS;
    for (size_t i = 0; i < n_args && error == CL_SUCCESS; i++) {
        error = api->clSetKernelArg(kernel, (cl_uint)i, args[i].size, args[i].value);
    }
    const size_t *items = dev->is_warming ? grid->group : grid->items;
    if (error == CL_SUCCESS) {
        error = api->clEnqueueNDRangeKernel(dev->queue, kernel, 3, NULL, items, grid->group, 0,
                                            NULL, NULL);
    }
    return error == CL_SUCCESS ? JB_OK : jb_opencl_fail(error, "starting a kernel");
}

/* One item a thing, `n` things in a row, `rows` and `planes` of them. */
static struct grid each(const struct jb_device *dev, size_t n, size_t rows, size_t planes)
{
    const size_t group = dev->tuning->elements;
    return (struct grid){.items = {(n + group - 1) / group * group, rows, planes},
                         .group = {group, 1, 1}};
}

/* Groups that share their work. */
static struct grid groups(size_t group, size_t x, size_t y, size_t z)
{
    return (struct grid){.items = {group * x, y, z}, .group = {group, 1, 1}};
}

static cl_mem memory_of(const struct jb_device *dev, uint16_t slot)
{
    return slot != JB_NO_SLOT ? dev->slots[slot].memory : NULL;
}

static cl_mem vector_of(const struct jb_device *dev, int32_t tensor)
{
    return tensor != JB_NO_TENSOR ? dev->weights[tensor].memory : NULL;
}

static uint32_t rows_of(const struct jb_device *dev, uint16_t slot)
{
    return dev->load.plan->slots[slot].rows == JB_ROWS_TOKENS ? dev->n_tokens : dev->n_outputs;
}

static uint32_t width_of(const struct jb_device *dev, uint16_t slot)
{
    return dev->load.plan->slots[slot].width;
}

static enum jb_status run_embed(struct jb_device *dev, const struct jb_op *op)
{
    const bool is_position = op->kind == JB_OP_POSEMBED;
    const struct jb_opencl_weight *w = &dev->weights[op->weight];
    const cl_uint offset = is_position ? dev->load.plan->pos_offset : 0;
    cl_mem index = is_position ? dev->positions : dev->ids;
    cl_mem x = memory_of(dev, op->src0), y = memory_of(dev, op->dst);
    const struct argument args[] = {MEM(w->memory), ARG(w->at[0]),   ARG(w->at[1]),
                                    ARG(w->at[2]),  ARG(w->n_units), MEM(index),
                                    ARG(offset),    MEM(x),          MEM(y)};
    const struct grid grid = each(dev, (size_t)w->n_units * 2, dev->n_tokens, 1);
    const enum jb_dtype dtype = dev->load.plan->tensors[op->weight].dtype;
    return launch(dev, dev->products[dtype].embed, &grid, args, N_ARGS(args));
}

static enum jb_status run_norm(struct jb_device *dev, const struct jb_op *op)
{
    const cl_uint is_layernorm = op->kind == JB_OP_LAYERNORM;
    const cl_uint width = width_of(dev, op->src0), n = is_layernorm ? width : op->group;
    const cl_uint per_row = width / n, stride = dev->slots[op->src0].stride;
    cl_mem x = memory_of(dev, op->src0), y = memory_of(dev, op->dst);
    cl_mem weight = vector_of(dev, op->weight), bias = vector_of(dev, op->bias);
    const cl_float eps = op->eps;
    const struct argument args[] = {MEM(x),       MEM(y),      MEM(weight),
                                    MEM(bias),    ARG(stride), ARG(n),
                                    ARG(per_row), ARG(eps),    ARG(is_layernorm)};
    const struct grid grid =
        groups(dev->tuning->group, (size_t)rows_of(dev, op->src0) * per_row, 1, 1);
    return launch(dev, dev->run_norm, &grid, args, N_ARGS(args));
}

/* Few columns share each weight that a team reads; many go by tiles, or eight at a time. */
static enum jb_status run_matmul(struct jb_device *dev, const struct jb_op *op, uint16_t residual,
                                 uint16_t dst)
{
    const struct jb_tensor *tensor = &dev->load.plan->tensors[op->weight];
    const struct jb_opencl_weight *w = &dev->weights[op->weight];
    const struct jb_opencl_products *products = &dev->products[tensor->dtype];
    const struct jb_opencl_tuning *t = dev->tuning;
    const cl_uint n_rows = tensor->rows, n = rows_of(dev, op->src0);
    const cl_uint stride = dev->slots[dst].stride;
    cl_mem x = memory_of(dev, op->src0), y = memory_of(dev, dst);
    cl_mem bias = vector_of(dev, op->bias), added = memory_of(dev, residual);
    const struct argument args[] = {MEM(w->memory),  ARG(w->at[0]), ARG(w->at[1]), ARG(w->at[2]),
                                    ARG(w->n_units), ARG(n_rows),   MEM(x),        ARG(n),
                                    MEM(bias),       MEM(added),    MEM(y),        ARG(stride)};
    if (products->many != NULL && n > 8) {
        const struct grid grid = {
            .items = {((size_t)n_rows + 63) / 64 * 16, ((size_t)n + 63) / 64 * 16, 1},
            .group = {16, 16, 1}};
        return launch(dev, products->many, &grid, args, N_ARGS(args));
    }
    const uint32_t size = n == 1 ? 0 : n == 2 ? 1 : n <= 4 ? 2 : 3;
    const uint32_t columns = 1u << size, rows = t->rows * t->sets;
    const struct grid grid = {.items = {t->share * (((size_t)n_rows + rows - 1) / rows),
                                        (size_t)t->sets * ((n + columns - 1) / columns), 1},
                              .group = {t->share, t->sets, 1}};
    return launch(dev, products->few[size], &grid, args, N_ARGS(args));
}

static enum jb_status run_rope(struct jb_device *dev, const struct jb_op *op)
{
    const struct jb_rope *rope = &dev->load.plan->rope;
    if (rope->kind == JB_ROPE_NONE) {
        return JB_OK;
    }
    cl_mem x = memory_of(dev, op->dst);
    const cl_uint stride = dev->slots[op->dst].stride, group = op->group;
    const cl_uint n_pairs = rope->n_dims / 2, n = n_pairs * (width_of(dev, op->dst) / group);
    const cl_uint is_halves = rope->kind == JB_ROPE_HALVES;
    const struct argument args[] = {MEM(x),      MEM(dev->turns), MEM(dev->positions),
                                    ARG(stride), ARG(group),      ARG(n_pairs),
                                    ARG(n),      ARG(is_halves)};
    const struct grid grid = each(dev, n, rows_of(dev, op->dst), 1);
    return launch(dev, dev->run_rope, &grid, args, N_ARGS(args));
}

static enum jb_status run_kv_store(struct jb_device *dev, const struct jb_op *op)
{
    const struct jb_plan *plan = dev->load.plan;
    cl_mem k = memory_of(dev, op->src1), v = memory_of(dev, op->src2);
    const cl_uint stride = dev->slots[op->src1].stride, head_dim = plan->head_dim;
    const cl_uint n_kv_heads = plan->n_kv_heads, context = dev->load.context;
    const cl_uint kv_dim = n_kv_heads * head_dim;
    const cl_uint n = plan->kv_dtype == JB_Q8_0 ? kv_dim / 32 : kv_dim;
    const struct argument args[] = {MEM(dev->kv[op->layer]),
                                    ARG(dev->v_at),
                                    ARG(dev->k_scale_at),
                                    ARG(dev->v_scale_at),
                                    MEM(k),
                                    MEM(v),
                                    MEM(dev->positions),
                                    MEM(dev->kv_slots),
                                    ARG(stride),
                                    ARG(head_dim),
                                    ARG(n_kv_heads),
                                    ARG(context),
                                    ARG(n)};
    const struct grid grid = each(dev, n, dev->n_tokens, 2);
    return launch(dev, dev->run_kv_store, &grid, args, N_ARGS(args));
}

/* Positions are split where there are too few groups to fill the device. */
static uint32_t choose_splits(const struct jb_device *dev)
{
    const struct jb_plan *plan = dev->load.plan;
    const uint32_t n_groups = dev->n_blocks * plan->n_kv_heads,
                   rows = dev->n_tokens * plan->n_heads;
    const uint32_t wanted = 2 * dev->n_processors / n_groups, useful = dev->end / (4 * dev->chunk);
    uint32_t n = wanted < useful ? wanted : useful;
    n = dev->is_warming ? dev->n_tokens : n;
    n = n < JB_OPENCL_MAX_SPLITS ? n : JB_OPENCL_MAX_SPLITS;
    n = n < dev->partial_rows / rows ? n : dev->partial_rows / rows;
    return n > 1 ? n : 1;
}

static enum jb_status run_attention(struct jb_device *dev, const struct jb_op *op)
{
    const struct jb_plan *plan = dev->load.plan;
    enum jb_status status = run_kv_store(dev, op);
    if (status != JB_OK) {
        return status;
    }
    cl_mem q = memory_of(dev, op->src0), y = memory_of(dev, op->dst);
    const cl_uint stride = dev->slots[op->dst].stride, head_dim = plan->head_dim;
    const cl_uint n_heads = plan->n_heads, n_kv_heads = plan->n_kv_heads;
    const cl_uint dims = jb_opencl_dims(dev), context = dev->load.context;
    const cl_uint max_rows = dev->block_rows, chunk = dev->chunk, n_splits = choose_splits(dev);
    const cl_uint split = (dev->end + n_splits - 1) / n_splits;
    const cl_float scale = plan->attention_scale;
    const struct argument args[] = {
        MEM(dev->kv[op->layer]),
        ARG(dev->v_at),
        ARG(dev->k_scale_at),
        ARG(dev->v_scale_at),
        MEM(q),
        MEM(y),
        MEM(dev->partial),
        MEM(dev->blocks),
        ARG(stride),
        ARG(n_heads),
        ARG(n_kv_heads),
        ARG(head_dim),
        ARG(dims),
        ARG(context),
        ARG(max_rows),
        ARG(chunk),
        ARG(split),
        ARG(n_splits),
        ARG(scale),
        {jb_opencl_attention_floats(dev, max_rows) * sizeof(float), NULL}};
    const struct grid grid = groups(dev->tuning->group, dev->n_blocks, n_kv_heads, n_splits);
    status = launch(dev, dev->run_attention, &grid, args, N_ARGS(args));
    if (status != JB_OK || n_splits == 1) {
        return status;
    }
    const struct argument join[] = {MEM(dev->partial), MEM(y),        ARG(stride),
                                    ARG(n_heads),      ARG(head_dim), ARG(n_splits)};
    const struct grid items = each(dev, (size_t)n_heads * head_dim, dev->n_tokens, 1);
    return launch(dev, dev->run_attention_join, &items, join, N_ARGS(join));
}

static enum jb_status run_elementwise(struct jb_device *dev, const struct jb_op *op)
{
    static const cl_uint kinds[JB_N_OP_KINDS] = {
        [JB_OP_ADD] = 0, [JB_OP_SILU_MUL] = 1, [JB_OP_GELU] = 2, [JB_OP_RELU] = 3};
    cl_mem a = memory_of(dev, op->src0), y = memory_of(dev, op->dst);
    cl_mem b = op->src1 != JB_NO_SLOT ? memory_of(dev, op->src1) : a;
    const cl_ulong n = (cl_ulong)rows_of(dev, op->dst) * dev->slots[op->dst].stride;
    const struct argument args[] = {MEM(a), MEM(b), MEM(y), ARG(n), ARG(kinds[op->kind])};
    const struct grid grid = each(dev, (size_t)n / 16, 1, 1);
    return launch(dev, dev->run_elementwise, &grid, args, N_ARGS(args));
}

static enum jb_status run_select(struct jb_device *dev, const struct jb_op *op)
{
    cl_mem x = memory_of(dev, op->src0), y = memory_of(dev, op->dst);
    const cl_uint stride = dev->slots[op->dst].stride;
    const struct argument args[] = {MEM(x), MEM(y), MEM(dev->outputs), ARG(stride)};
    const struct grid grid = each(dev, stride / 16, dev->n_outputs, 1);
    return launch(dev, dev->run_select, &grid, args, N_ARGS(args));
}

static enum jb_status run_argmax(struct jb_device *dev, const struct jb_op *op)
{
    cl_mem x = memory_of(dev, op->src0);
    const cl_uint stride = dev->slots[op->src0].stride, n = width_of(dev, op->src0);
    const struct argument args[] = {MEM(x), MEM(dev->answers), ARG(stride), ARG(n)};
    const struct grid grid = groups(dev->tuning->group, dev->n_outputs, 1, 1);
    return launch(dev, dev->run_argmax, &grid, args, N_ARGS(args));
}

static enum jb_status run_plain_matmul(struct jb_device *dev, const struct jb_op *op)
{
    return run_matmul(dev, op, JB_NO_SLOT, op->dst);
}

static enum jb_status (*const kernels[JB_N_OP_KINDS])(struct jb_device *, const struct jb_op *) = {
    [JB_OP_EMBED] = run_embed,         [JB_OP_POSEMBED] = run_embed,
    [JB_OP_RMSNORM] = run_norm,        [JB_OP_LAYERNORM] = run_norm,
    [JB_OP_MATMUL] = run_plain_matmul, [JB_OP_ROPE] = run_rope,
    [JB_OP_ATTENTION] = run_attention, [JB_OP_SILU_MUL] = run_elementwise,
    [JB_OP_GELU] = run_elementwise,    [JB_OP_RELU] = run_elementwise,
    [JB_OP_ADD] = run_elementwise,     [JB_OP_SELECT] = run_select,
    [JB_OP_ARGMAX] = run_argmax,
};

bool jb_opencl_can(enum jb_op_kind kind)
{
    return (unsigned)kind < JB_N_OP_KINDS && kernels[kind] != NULL;
}

uint32_t jb_opencl_dims(const struct jb_device *dev)
{
    const uint32_t lanes = dev->tuning->is_wide ? 16 : 4;
    return (dev->load.plan->head_dim + lanes - 1) / lanes * lanes;
}

static enum jb_status run_range(struct jb_device *dev, const struct jb_step *step)
{
    const struct jb_plan *plan = dev->load.plan;
    const struct jb_program *program = &plan->programs[step->program];
    const uint8_t *is_fused = dev->is_fused;
    for (uint32_t p = 0; p < step->program; p++) {
        is_fused += plan->programs[p].n_ops;
    }
    enum jb_status status = JB_OK;
    for (uint32_t i = step->op_begin; status == JB_OK && i < step->op_end; i++) {
        const struct jb_op *op = &program->ops[i], *add = op + 1;
        if (rows_of(dev, op->dst != JB_NO_SLOT ? op->dst : op->src0) == 0) {
            continue; /* no output is wanted */
        }
        if (is_fused[i]) {
            status = run_matmul(dev, op, add->src0 == op->dst ? add->src1 : add->src0, add->dst);
            i++;
        } else {
            status = kernels[op->kind](dev, op);
        }
    }
    return status;
}

/* ---- the step's rows ---- */

/* Query rows of one sequence that share keys, `query_rows` at a time: attention.cl. */
static void list_blocks(struct jb_device *dev, const struct jb_seq *seq)
{
    const struct jb_plan *plan = dev->load.plan;
    if (plan->n_kv_heads == 0) {
        return;
    }
    const uint32_t n = seq->n_tokens * (plan->n_heads / plan->n_kv_heads);
    for (uint32_t row = 0; row < n; row += dev->query_rows) {
        const uint32_t rows = n - row < dev->query_rows ? n - row : dev->query_rows;
        const uint32_t fields[JB_OPENCL_BLOCK_FIELDS] = {dev->n_tokens, seq->pos, seq->slot, row,
                                                         rows};
        memcpy(dev->host_blocks + (size_t)dev->n_blocks++ * JB_OPENCL_BLOCK_FIELDS, fields,
               sizeof fields);
        dev->block_rows = rows > dev->block_rows ? rows : dev->block_rows;
    }
}

static enum jb_status list_rows(struct jb_device *dev, const struct jb_step *step)
{
    dev->n_tokens = dev->n_outputs = dev->n_blocks = dev->block_rows = dev->end = 0;
    for (uint32_t s = 0; s < step->n_seqs; s++) {
        const struct jb_seq *seq = &step->seqs[s];
        if (seq->pos > dev->held[seq->slot]) {
            return jb_fail(JB_E_INVAL,
                           "opencl: sequence %u starts at position %u, slot %u holds %u", s,
                           seq->pos, seq->slot, dev->held[seq->slot]);
        }
        list_blocks(dev, seq);
        dev->end = seq->pos + seq->n_tokens > dev->end ? seq->pos + seq->n_tokens : dev->end;
        for (uint32_t t = 0; t < seq->n_tokens; t++) {
            const bool is_wanted =
                seq->want == JB_WANT_ALL || (seq->want == JB_WANT_LAST && t + 1 == seq->n_tokens);
            if (is_wanted && dev->n_outputs == dev->load.max_outputs) {
                return jb_fail(JB_E_INVAL, "opencl: a step of more than %u outputs",
                               dev->load.max_outputs);
            }
            if (is_wanted) {
                dev->host_outputs[dev->n_outputs++] = (int32_t)dev->n_tokens;
            }
            dev->host_ids[dev->n_tokens] = seq->tokens != NULL ? seq->tokens[t] : 0;
            dev->host_positions[dev->n_tokens] = (int32_t)(seq->pos + t);
            dev->host_kv_slots[dev->n_tokens++] = (int32_t)seq->slot;
        }
    }
    return JB_OK;
}

/* Rows of `width` floats between this side and a slot, whose rows may be longer. */
static cl_int move_rows(struct jb_device *dev, uint16_t slot, uint32_t n, float *to,
                        const float *from)
{
    const struct jb_opencl_api *api = &dev->api;
    const struct jb_opencl_slot *s = &dev->slots[slot];
    const size_t row = width_of(dev, slot) * sizeof(float), pitch = s->stride * sizeof(float);
    const size_t origin[3] = {0, 0, 0}, region[3] = {row, n, 1};
    if (row == pitch) {
        return to != NULL ? api->clEnqueueReadBuffer(dev->queue, s->memory, CL_FALSE, 0, n * row,
                                                     to, 0, NULL, NULL)
                          : api->clEnqueueWriteBuffer(dev->queue, s->memory, CL_FALSE, 0, n * row,
                                                      from, 0, NULL, NULL);
    }
    return to != NULL
               ? api->clEnqueueReadBufferRect(dev->queue, s->memory, CL_FALSE, origin, origin,
                                              region, pitch, 0, row, 0, to, 0, NULL, NULL)
               : api->clEnqueueWriteBufferRect(dev->queue, s->memory, CL_FALSE, origin, origin,
                                               region, pitch, 0, row, 0, from, 0, NULL, NULL);
}

static cl_int send(struct jb_device *dev, const struct jb_step *step)
{
    cl_int error = dev->api.clEnqueueWriteBuffer(dev->queue, dev->rows, CL_FALSE, 0,
                                                 dev->rows_bytes, dev->host_rows, 0, NULL, NULL);
    if (error == CL_SUCCESS && step->op_begin > 0) {
        error = move_rows(dev, dev->load.plan->cut_slot, dev->n_tokens, NULL, step->acts);
    }
    return error;
}

static cl_int receive(struct jb_device *dev, const struct jb_step *step)
{
    const struct jb_plan *plan = dev->load.plan;
    const struct jb_program *program = &plan->programs[step->program];
    cl_int error = CL_SUCCESS;
    if (step->op_end < program->n_ops) {
        error = move_rows(dev, plan->cut_slot, dev->n_tokens, step->ret_acts, NULL);
        return error == CL_SUCCESS ? dev->api.clFlush(dev->queue) : error;
    }
    if (dev->n_outputs > 0) {
        error = dev->api.clEnqueueReadBuffer(dev->queue, dev->answers, CL_FALSE, 0,
                                             (size_t)dev->n_outputs * 8, dev->host_answers, 0, NULL,
                                             NULL);
    }
    if (error == CL_SUCCESS && dev->n_outputs > 0 && step->ret_logits != NULL) {
        error = move_rows(dev, program->ops[program->n_ops - 1].src0, dev->n_outputs,
                          step->ret_logits, NULL);
    }
    return error == CL_SUCCESS ? dev->api.clFlush(dev->queue) : error;
}

enum jb_status jb_opencl_step(struct jb_device *dev, const struct jb_step *step)
{
    enum jb_status status = jb_step_check(dev->load.plan, step, dev->load.max_seqs,
                                          dev->load.max_tokens, dev->load.context);
    if (status == JB_OK) {
        status = list_rows(dev, step);
    }
    if (status != JB_OK) {
        return status;
    }
    for (uint32_t s = 0; s < step->n_seqs; s++) {
        dev->held[step->seqs[s].slot] = step->seqs[s].pos + step->seqs[s].n_tokens;
    }
    cl_int error = send(dev, step);
    status = error == CL_SUCCESS ? run_range(dev, step) : JB_OK;
    if (error == CL_SUCCESS && status == JB_OK) {
        error = receive(dev, step);
    }
    dev->step = step;
    return error == CL_SUCCESS ? status : jb_opencl_fail(error, "running a step");
}

enum jb_status jb_opencl_sync(struct jb_device *dev)
{
    const struct jb_step *step = dev->step;
    dev->step = NULL;
    const cl_int error = dev->api.clFinish(dev->queue);
    if (error != CL_SUCCESS) {
        return jb_opencl_fail(error, "waiting for the device");
    }
    if (step == NULL || step->op_end < dev->load.plan->programs[step->program].n_ops) {
        return JB_OK;
    }
    for (uint32_t o = 0; o < dev->n_outputs; o++) {
        float largest = 0.0F;
        memcpy(&largest, &dev->host_answers[2 * (size_t)o + 1], sizeof largest);
        if (!isfinite(largest)) {
            return jb_fail(JB_E_NUMERIC, "opencl: the largest logit of output %u is %g", o,
                           (double)largest);
        }
        if (step->ret_ids != NULL) {
            step->ret_ids[o] = dev->host_answers[2 * (size_t)o];
        }
    }
    return JB_OK;
}

/* Steps of all sizes that choose a kernel, cut to one group a launch: their results are nothing,
 * and whatever they leave in the cache is forgotten. */
enum jb_status jb_opencl_warm_up(struct jb_device *dev)
{
    static const uint32_t sizes[] = {1, 2, 4, 8, 16};
    const struct jb_plan *plan = dev->load.plan;
    enum jb_status status = JB_OK;
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0] && status == JB_OK; i++) {
        const uint32_t n = sizes[i];
        if (n > dev->load.max_tokens || n > dev->load.context || dev->load.max_outputs == 0) {
            break;
        }
        const struct jb_seq seq = {.n_tokens = n, .want = JB_WANT_LAST};
        const struct jb_step step = {.op_end = plan->programs[0].n_ops, .seqs = &seq, .n_seqs = 1};
        status = list_rows(dev, &step);
        dev->is_warming = true;
        cl_int error = status == JB_OK ? send(dev, &step) : CL_SUCCESS;
        status = status == JB_OK && error == CL_SUCCESS ? run_range(dev, &step) : status;
        dev->is_warming = false;
        error = error == CL_SUCCESS ? dev->api.clFinish(dev->queue) : error;
        status = error == CL_SUCCESS ? status : jb_opencl_fail(error, "trying the kernels");
    }
    return status;
}
