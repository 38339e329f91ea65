/* SPDX-License-Identifier: MIT */
/* The decode step as one launch: from the plan's ops to phases, and the launch itself. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "backends/cuda/device.h"
#include "backends/cuda/mega.h"

/* Walks the ops of the plan; what does not fit the pattern leaves a reason and ends it. */
struct walk {
    struct jb_device *dev;
    const struct jb_program *program;
    uint32_t at;
    const char *fault;
};

static const struct jb_op *peek(const struct walk *w, uint32_t ahead)
{
    return w->at + ahead < w->program->n_ops ? &w->program->ops[w->at + ahead] : NULL;
}

static const struct jb_op *take(struct walk *w, enum jb_op_kind kind, const char *fault)
{
    const struct jb_op *op = peek(w, 0);
    if (w->fault != NULL || op == NULL || op->kind != kind) {
        w->fault = w->fault != NULL ? w->fault : fault;
        return NULL;
    }
    w->at++;
    return op;
}

static float *values_of(const struct walk *w, uint16_t slot)
{
    return (float *)w->dev->slots[slot].values;
}

static const float *vector_of(const struct walk *w, int32_t tensor)
{
    return tensor == JB_NO_TENSOR ? NULL : (const float *)w->dev->weights[tensor].data;
}

static struct jb_mega_phase *push(struct walk *w, uint32_t kind)
{
    struct jb_device *dev = w->dev;
    struct jb_mega_phase *phase = &dev->mega.phases[dev->mega.n_phases++];
    *phase = (struct jb_mega_phase){.kind = kind, .n_segments = 1, .n_planes = 1, .most_planes = 1};
    return phase;
}

static void set_norm(struct walk *w, struct jb_mega_phase *phase, const struct jb_op *norm)
{
    if (norm->group != w->dev->load.plan->slots[norm->dst].width) {
        w->fault = "a norm of parts of a row";
        return;
    }
    phase->source = JB_MEGA_NORM;
    phase->x = values_of(w, norm->src0);
    phase->norm = vector_of(w, norm->weight);
    phase->eps = norm->eps;
}

static void add_weight(struct walk *w, struct jb_mega_phase *phase, const struct jb_op *op,
                       uint16_t dst)
{
    const struct jb_cuda_weight *weight = &w->dev->weights[op->weight];
    const uint32_t is_bf16 = weight->form == JB_CUDA_BF16;
    if (weight->form == JB_CUDA_RAW || weight->cols % 64 != 0 || weight->rows % 16 != 0) {
        w->fault = "a weight whose size or format fits no tile";
        return;
    }
    if (phase->n_weights > 0 && (phase->is_bf16 != is_bf16 || phase->cols != weight->cols)) {
        w->fault = "products of one input in different number formats";
        return;
    }
    phase->cols = weight->cols;
    phase->is_bf16 = is_bf16;
    const uint32_t planes = w->dev->slots[op->src0].planes[is_bf16];
    phase->most_planes = planes > phase->most_planes ? planes : phase->most_planes;
    phase->w[phase->n_weights++] = (struct jb_mega_weight){.data = weight->data,
                                                           .scales = weight->scales,
                                                           .offsets = weight->offsets,
                                                           .bias = vector_of(w, op->bias),
                                                           .y = values_of(w, dst),
                                                           .form = weight->form,
                                                           .rows = weight->rows};
}

/* norm; q, k, v; turns; attention; o; add. */
static void add_attention(struct walk *w)
{
    const struct jb_plan *plan = w->dev->load.plan;
    const struct jb_op *norm = take(w, JB_OP_RMSNORM, "a norm other than RMSNORM");
    const struct jb_op *products[3] = {NULL, NULL, NULL};
    struct jb_mega_phase *phase = push(w, JB_MEGA_MATMUL);
    for (int i = 0; i < 3; i++) {
        products[i] = take(w, JB_OP_MATMUL, "no q, k, v in a row");
        if (products[i] != NULL) {
            add_weight(w, phase, products[i], products[i]->dst);
        }
    }
    while (peek(w, 0) != NULL && peek(w, 0)->kind == JB_OP_ROPE && w->fault == NULL) {
        w->at++;
    }
    const struct jb_op *attention = take(w, JB_OP_ATTENTION, "norms of heads");
    const struct jb_op *out = take(w, JB_OP_MATMUL, "no product after attention");
    const struct jb_op *add = take(w, JB_OP_ADD, "no residual after attention");
    if (w->fault != NULL) {
        return;
    }
    set_norm(w, phase, norm);
    const struct jb_cuda_kv *kv = &w->dev->kv[attention->layer];
    phase = push(w, JB_MEGA_ATTENTION);
    phase->x = values_of(w, attention->src0);
    phase->k = values_of(w, attention->src1);
    phase->v = values_of(w, attention->src2);
    phase->cache_k = kv->k;
    phase->cache_v = kv->v;
    phase->cols = plan->n_heads * plan->head_dim;
    phase = push(w, JB_MEGA_MATMUL);
    phase->source = JB_MEGA_JOIN;
    add_weight(w, phase, out, add->dst);
    phase->residual = values_of(w, add->src0 == out->dst ? add->src1 : add->src0);
}

/* norm; gate, up; silu x; down; add. */
static void add_ffn(struct walk *w)
{
    const struct jb_op *norm = take(w, JB_OP_RMSNORM, "a norm other than RMSNORM");
    const struct jb_op *gate = take(w, JB_OP_MATMUL, "no gate");
    const struct jb_op *up = take(w, JB_OP_MATMUL, "a feed-forward part without a gate");
    const struct jb_op *silu = take(w, JB_OP_SILU_MUL, "a gate other than SiLU");
    const struct jb_op *down = take(w, JB_OP_MATMUL, "no product after the gate");
    const struct jb_op *add = take(w, JB_OP_ADD, "no residual after the feed-forward part");
    if (w->fault != NULL || gate->bias != JB_NO_TENSOR || up->bias != JB_NO_TENSOR) {
        w->fault = w->fault != NULL ? w->fault : "a gate with a bias";
        return;
    }
    struct jb_mega_phase *phase = push(w, JB_MEGA_MATMUL);
    add_weight(w, phase, gate, silu->dst);
    add_weight(w, phase, up, silu->dst);
    phase->is_pair = 1;
    set_norm(w, phase, norm);
    phase = push(w, JB_MEGA_MATMUL);
    phase->source = JB_MEGA_VALUES;
    phase->x = values_of(w, silu->dst);
    add_weight(w, phase, down, add->dst);
    phase->residual = values_of(w, add->src0 == down->dst ? add->src1 : add->src0);
}

/* select; norm; head. Every row is an output, so the selection is skipped. */
static void add_head(struct walk *w)
{
    const struct jb_op *select = take(w, JB_OP_SELECT, "layers of another kind");
    const struct jb_op *norm = take(w, JB_OP_RMSNORM, "a norm other than RMSNORM");
    const struct jb_op *head = take(w, JB_OP_MATMUL, "no head");
    const struct jb_op *best = take(w, JB_OP_ARGMAX, "no choice of ids after the head");
    if (w->fault != NULL) {
        return;
    }
    struct jb_mega_phase *phase = push(w, JB_MEGA_MATMUL);
    add_weight(w, phase, head, best->src0);
    set_norm(w, phase, norm);
    phase->x = values_of(w, select->src0);
}

/* What the kernel cannot do at all, whatever the ops. */
static const char *unfit(const struct jb_device *dev)
{
    const struct jb_plan *plan = dev->load.plan;
    if (dev->compute < 90) {
        return "compute capability 9.0 is needed";
    }
    if (plan->head_dim != 64 && plan->head_dim != 128) {
        return "heads of 64 or 128 values are needed";
    }
    if (plan->kv_dtype != JB_F16) {
        return "the KV cache must be in f16";
    }
    if (plan->rope.kind != JB_ROPE_NONE && plan->rope.n_dims % 16 != 0) {
        return "the turned dimensions must be a multiple of 16";
    }
    return plan->n_programs > 1 ? "more than one program" : NULL;
}

static uint64_t round_up(uint64_t n, uint64_t to)
{
    return (n + to - 1) / to * to;
}

/* Columns of the longest segment; segments begin at multiples of 64. */
static uint32_t segment_columns(const struct jb_mega_phase *phase, uint32_t n_segments)
{
    const uint32_t n64 = phase->cols / 64;
    return (n64 + n_segments - 1) / n_segments * 64;
}

/* Fewest segments whose activations leave room for the ring. */
static uint32_t segments_for(const struct jb_mega_phase *phase, uint32_t n, uint32_t least,
                             uint64_t room)
{
    uint32_t n_segments = 1;
    while (n_segments < 4 && n_segments * 2 <= phase->cols / 64 &&
           (n_segments < least ||
            (uint64_t)n * phase->n_planes * (segment_columns(phase, n_segments) * 2 + 64) > room)) {
        n_segments *= 2;
    }
    return n_segments;
}

/* Planes of n rows' activations. With bfloat16 weights more rows than one take one plane: the
 * second would halve the tensor cores' rate for what others who run such models do not have either.
 */
static uint32_t planes_for(const struct jb_device *dev, const struct jb_mega_phase *phase,
                           uint32_t n)
{
    const bool is_one = dev->activations == JB_CUDA_ACTIVATIONS_AUTO && phase->is_bf16 && n > 1;
    return is_one ? 1 : phase->most_planes;
}

/* Rows of activations that tensor-core columns are needed for. */
static uint32_t columns_for(const struct jb_device *dev, uint32_t n)
{
    uint32_t most = 1;
    for (uint32_t i = 0; i < dev->mega.n_phases; i++) {
        const uint32_t planes = planes_for(dev, &dev->mega.phases[i], n);
        most = planes > most ? planes : most;
    }
    return n * most;
}

/* Units go round the blocks; each phase goes on where the one before stopped. */
static void lay_out_phase(struct jb_device *dev, struct jb_mega_phase *phase, uint32_t n,
                          uint32_t n_splits, uint64_t x_room, uint64_t *turn)
{
    if (phase->kind == JB_MEGA_ATTENTION) {
        phase->n_segments = 1;
        phase->n_units = n * dev->load.plan->n_heads * n_splits;
    } else {
        phase->n_planes = planes_for(dev, phase, n);
        phase->n_segments = segments_for(phase, n, dev->mega.least_segments, x_room);
        phase->n_units = 0;
        for (uint32_t i = 0; i < (phase->is_pair ? 1 : phase->n_weights); i++) {
            phase->n_units += phase->w[i].rows / 16;
        }
    }
    const uint32_t members = dev->mega.n_blocks / phase->n_segments;
    phase->rotation = (uint32_t)(*turn % members);
    *turn += phase->n_units;
}

/* Splits of a sequence's positions: the most that still fill the blocks evenly, in one round or
 * two. */
static uint32_t splits_for_heads(const struct jb_device *dev, uint32_t n)
{
    const uint32_t heads = n * dev->load.plan->n_heads;
    const uint32_t splits = dev->mega.n_blocks / heads;
    return splits < 1 ? 1 : splits > JB_CUDA_MEGA_MAX_SPLITS ? JB_CUDA_MEGA_MAX_SPLITS : splits;
}

static void lay_out(struct jb_device *dev, uint32_t n, struct jb_mega *ret_params)
{
    const struct jb_plan *plan = dev->load.plan;
    struct jb_cuda_mega *mega = &dev->mega;
    const uint32_t groups = columns_for(dev, n) <= 8 ? 1 : 2;
    const uint32_t warps = groups == 1 ? mega->n_warps : 8;
    struct jb_mega p = {.rows = dev->rows,
                        .inv_freq = (const float *)dev->inv_freq,
                        .parts = (float *)mega->parts,
                        .partial = (float *)mega->partial,
                        .barrier = (uint32_t *)mega->counters,
                        .arrived = (uint32_t *)(mega->counters + 8),
                        .fault = mega->fault,
                        .trace = mega->trace_file != NULL ? (uint64_t *)mega->trace : NULL,
                        .head_stride = dev->kv[0].head_stride,
                        .n_phases = mega->n_phases,
                        .n = n,
                        .n_heads = plan->n_heads,
                        .n_kv_heads = plan->n_kv_heads,
                        .head_dim = plan->head_dim,
                        .n_splits = splits_for_heads(dev, n),
                        .rope_dims = plan->rope.kind == JB_ROPE_NONE ? 0 : plan->rope.n_dims,
                        .rope_is_halves = plan->rope.kind == JB_ROPE_HALVES,
                        .rope_mscale = plan->rope.mscale,
                        .scale = plan->attention_scale};
    const uint64_t x_room = (uint64_t)dev->shared_bytes * 2 / 5;
    uint64_t turn = 0, x_bytes = 16, sums_bytes = 16;
    for (uint32_t i = 0; i < mega->n_phases; i++) {
        struct jb_mega_phase *phase = &mega->phases[i];
        lay_out_phase(dev, phase, n, p.n_splits, x_room, &turn);
        if (phase->kind == JB_MEGA_ATTENTION) {
            continue;
        }
        const uint64_t columns = segment_columns(phase, phase->n_segments);
        const uint64_t x = (uint64_t)n * phase->n_planes * (columns * 2 + 64);
        const uint64_t sums = columns / 32 * 8 * groups * sizeof(float);
        x_bytes = x > x_bytes ? x : x_bytes;
        sums_bytes = sums > sums_bytes ? sums : sums_bytes;
    }
    const uint64_t part_bytes = (uint64_t)2 * 2 * warps * 16 * 8 * groups * sizeof(float);
    uint64_t at = JB_MEGA_FIXED_BYTES;
    p.rope_at = (uint32_t)at;
    at = round_up(at + (uint64_t)n * p.rope_dims / 2 * 8, 128);
    p.part_at = (uint32_t)at;
    at += part_bytes;
    p.sums_at = (uint32_t)at;
    at = round_up(at + sums_bytes, 128);
    p.x_at = (uint32_t)at;
    at = round_up(at + x_bytes, 128);
    p.ring_at = (uint32_t)at;
    const uint64_t n_slots =
        at < dev->shared_bytes ? (dev->shared_bytes - at) / JB_MEGA_SLOT_BYTES : 0;
    p.n_slots = n_slots > JB_MEGA_MAX_SLOTS ? JB_MEGA_MAX_SLOTS : (uint32_t)n_slots;
    *ret_params = p;
}

/* Sizes of the counters and sums that any number of rows needs. */
static void size_scratch(struct jb_device *dev)
{
    struct jb_cuda_mega *mega = &dev->mega;
    for (uint32_t n = 1; n <= JB_CUDA_MEGA_MAX_ROWS; n++) {
        struct jb_mega p;
        lay_out(dev, n, &p);
        for (uint32_t i = 0; i < mega->n_phases; i++) {
            const struct jb_mega_phase *phase = &mega->phases[i];
            const uint64_t n_arrived = (uint64_t)phase->n_units * 8;
            const uint64_t n_partial =
                (uint64_t)phase->n_units * phase->n_segments * (1 + phase->is_pair) * 16 * n;
            if (phase->kind == JB_MEGA_MATMUL && phase->n_segments > 1) {
                mega->n_arrived = n_arrived > mega->n_arrived ? n_arrived : mega->n_arrived;
                mega->n_partial = n_partial > mega->n_partial ? n_partial : mega->n_partial;
            }
        }
    }
}

static enum jb_status upload_phases(struct jb_device *dev)
{
    struct jb_cuda_mega *mega = &dev->mega;
    const uint64_t size = mega->n_phases * sizeof *mega->phases;
    const uint64_t n_partial = mega->n_partial > 0 ? mega->n_partial : 1;
    const uint64_t n_trace =
        mega->trace_file != NULL ? (uint64_t)mega->n_phases * mega->n_blocks * 4 : 0;
    const uint64_t stride = dev->load.plan->head_dim + JB_MEGA_PART_HEAD;
    const uint64_t n_parts = (uint64_t)JB_CUDA_MEGA_MAX_ROWS * dev->load.plan->n_heads *
                             JB_CUDA_MEGA_MAX_SPLITS * stride;
    const struct {
        uint64_t size;
        const char *what;
        CUdeviceptr *memory;
    } parts[] = {{size * JB_CUDA_MEGA_MAX_ROWS, "phases", &mega->phases_device},
                 {n_partial * 4, "sums of segments", &mega->partial},
                 {n_parts * 4, "parts of attention", &mega->parts},
                 {mega->n_arrived * 4 + 8, "counters", &mega->counters},
                 {n_trace * 8, "the trace", &mega->trace}};
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) {
        const enum jb_status status =
            jb_cuda_alloc(dev, parts[i].size, parts[i].what, parts[i].memory);
        if (status != JB_OK) {
            return status;
        }
    }
    CUresult error =
        dev->api.cuMemsetD8Async(mega->counters, 0, mega->n_arrived * 4 + 8, dev->stream);
    for (uint32_t n = 1; n <= JB_CUDA_MEGA_MAX_ROWS && error == CUDA_SUCCESS; n++) {
        lay_out(dev, n, &mega->params[n]);
        const CUdeviceptr to = mega->phases_device + (n - 1) * size;
        mega->params[n].phases = (const struct jb_mega_phase *)to;
        error = dev->api.cuMemcpyHtoDAsync(to, mega->phases, size, dev->stream);
        if (error == CUDA_SUCCESS) {
            error = dev->api.cuStreamSynchronize(dev->stream);
        }
    }
    return error == CUDA_SUCCESS ? JB_OK : jb_cuda_fail(&dev->api, error, "clearing counters");
}

static enum jb_status build(struct jb_device *dev, const char **ret_fault)
{
    struct jb_cuda_mega *mega = &dev->mega;
    const struct jb_program *program = &dev->load.plan->programs[0];
    struct walk w = {.dev = dev, .program = program};
    mega->phases = calloc((size_t)program->n_ops + 1, sizeof *mega->phases);
    if (mega->phases == NULL) {
        return jb_fail(JB_E_NOMEM, "cuda: no host memory for the phases of a step");
    }
    (void)take(&w, JB_OP_EMBED, "no embedding at the start");
    while (w.fault == NULL && peek(&w, 0) != NULL && peek(&w, 0)->kind == JB_OP_RMSNORM) {
        add_attention(&w);
        if (w.fault == NULL) {
            add_ffn(&w);
        }
    }
    if (w.fault == NULL) {
        add_head(&w);
    }
    *ret_fault = w.fault;
    return JB_OK;
}

enum jb_status jb_cuda_mega_prepare(struct jb_device *dev)
{
    struct jb_cuda_mega *mega = &dev->mega;
    mega->n_blocks = dev->n_processors - dev->n_processors % 4;
    const char *fault = unfit(dev);
    enum jb_status status = fault == NULL ? build(dev, &fault) : JB_OK;
    if (status != JB_OK) {
        return status;
    }
    if (fault == NULL) {
        struct jb_mega p;
        lay_out(dev, 1, &p);
        fault = mega->n_blocks < 4 || p.n_slots < 3 ? "too little shared memory" : NULL;
    }
    mega->misfit = fault;
    if (fault != NULL) {
        return JB_OK;
    }
    CUresult error = dev->api.cuMemAllocHost((void **)&mega->fault, 64);
    if (error == CUDA_SUCCESS) {
        memset(mega->fault, 0, 64);
        size_scratch(dev);
        status = upload_phases(dev);
    }
    for (int i = 0; i < JB_CUDA_MEGA_KERNELS && status == JB_OK && error == CUDA_SUCCESS; i++) {
        error = dev->api.cuFuncSetAttribute(dev->mega_kernels[i],
                                            CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES,
                                            (int)dev->shared_bytes);
    }
    return status != JB_OK || error == CUDA_SUCCESS
               ? status
               : jb_cuda_fail(&dev->api, error, "preparing the one-launch step");
}

bool jb_cuda_mega_takes(const struct jb_device *dev, uint32_t n)
{
    return dev->engine == JB_CUDA_ENGINE_MEGA && n <= JB_CUDA_MEGA_MAX_ROWS &&
           columns_for(dev, n) <= 16 && dev->mega.params[n].n_slots >= 3;
}

enum jb_status jb_cuda_mega_run(struct jb_device *dev, uint32_t n)
{
    struct jb_cuda_mega *mega = &dev->mega;
    const bool has_one_group = columns_for(dev, n) <= 8;
    const uint32_t which = !has_one_group ? 2 : mega->n_warps == 16 ? 1 : 0;
    const uint32_t warps = which == 1 ? 16 : 8;
    /* All blocks must be there at once: they wait for each other. */
    CUlaunchAttribute attribute = {.id = CU_LAUNCH_ATTRIBUTE_COOPERATIVE, .value.cooperative = 1};
    const CUlaunchConfig config = {.gridDimX = mega->n_blocks,
                                   .gridDimY = 1,
                                   .gridDimZ = 1,
                                   .blockDimX = (warps + JB_MEGA_OTHER_WARPS) * 32,
                                   .blockDimY = 1,
                                   .blockDimZ = 1,
                                   .sharedMemBytes = dev->shared_bytes,
                                   .hStream = dev->stream,
                                   .attrs = &attribute,
                                   .numAttrs = 1};
    void *arguments[] = {&mega->params[n]};
    mega->last_rows = n;
    const CUresult error =
        dev->api.cuLaunchKernelEx(&config, dev->mega_kernels[which], arguments, NULL);
    return error == CUDA_SUCCESS ? JB_OK
                                 : jb_cuda_fail(&dev->api, error, "launching the one-launch step");
}

const char *jb_cuda_mega_fault(const struct jb_device *dev)
{
    static const char *const what[] = {NULL, "data", "a free slot", "the other blocks"};
    const uint32_t *fault = dev->mega.fault;
    return fault == NULL || fault[0] == 0 || fault[0] > 3 ? NULL : what[fault[0]];
}

/* phase, kind, block and four clocks: phase entered, input packed, units done, barrier passed. */
static void write_trace(struct jb_device *dev)
{
    const struct jb_cuda_mega *mega = &dev->mega;
    const uint64_t n = (uint64_t)mega->n_phases * mega->n_blocks * 4;
    uint64_t *times = calloc(n > 0 ? n : 1, sizeof *times);
    FILE *file = times != NULL ? fopen(mega->trace_file, "w") : NULL;
    if (file != NULL &&
        dev->api.cuMemcpyDtoHAsync(times, mega->trace, n * sizeof *times, dev->stream) ==
            CUDA_SUCCESS &&
        dev->api.cuStreamSynchronize(dev->stream) == CUDA_SUCCESS) {
        (void)fprintf(file,
                      "phase,kind,source,cols,units,segments,block,enter,input,units_done,leave\n");
        for (uint64_t i = 0; i < n; i += 4) {
            const struct jb_mega_phase *phase = &mega->phases[i / 4 / mega->n_blocks];
            (void)fprintf(file, "%llu,%u,%u,%u,%u,%u,%llu,%llu,%llu,%llu,%llu\n",
                          (unsigned long long)(i / 4 / mega->n_blocks), phase->kind, phase->source,
                          phase->cols, phase->n_units, phase->n_segments,
                          (unsigned long long)(i / 4 % mega->n_blocks),
                          (unsigned long long)times[i], (unsigned long long)times[i + 1],
                          (unsigned long long)times[i + 2], (unsigned long long)times[i + 3]);
        }
    }
    if (file != NULL) {
        (void)fclose(file);
    }
    free(times);
}

void jb_cuda_mega_close(struct jb_device *dev)
{
    struct jb_cuda_mega *mega = &dev->mega;
    if (mega->trace_file != NULL && mega->last_rows > 0) {
        lay_out(dev, mega->last_rows, &mega->params[0]); /* phases as that step had them */
        write_trace(dev);
    }
    if (mega->fault != NULL) {
        (void)dev->api.cuMemFreeHost(mega->fault);
    }
    free(mega->phases);
}
