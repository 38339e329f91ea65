/* SPDX-License-Identifier: MIT */
/* The CPU backend: weights in panels, or in place as mapped; kernels by SIMD level; one pool of
 * pinned threads. load() takes all memory; what step() touches is in exec.c. */
#include "backends/cpu/exec.h"
#include "backends/cpu/exercise.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "platforms/host/host.h"
#include "platforms/os/os.h"

/* Memory in pages: zeroed, aligned, and not resident before it is touched. */
struct block {
    void *data;
    size_t size;
};

struct jb_device {
    struct jb_cpu_exec exec;
    struct jb_cpu_arena arena; /* of exercise() */
    struct block *blocks;      /* (n_blocks,) */
    uint32_t n_blocks;
};

/* One for each fixed buffer of allocate(), then slots and scratch. */
#define FIXED_BLOCKS 16u

static const struct jb_option options[] = {
    {.key = "activations",
     .unit = "",
     .fallback = "auto",
     .help = "how inputs meet quantised weights: i8; i16, two int8 terms, ids as on refops, but "
             "half as fast where arithmetic is the limit; auto: i16 in steps of one sequence and "
             "at most 16 tokens, where reading the weights is the limit, else i8"},
    {.key = NULL},
};

static const char *const terms_names[] = {
    [JB_CPU_TERMS_AUTO] = "auto", [JB_CPU_TERMS_ONE] = "i8", [JB_CPU_TERMS_TWO] = "i16"};

static enum jb_status read_terms(const struct jb_open_args *args, enum jb_cpu_terms *ret_terms)
{
    const char *text = options[0].fallback;
    for (uint32_t i = 0; i < args->n_settings; i++) {
        text = strcmp(args->settings[i].key, options[0].key) == 0 ? args->settings[i].value : text;
    }
    for (enum jb_cpu_terms terms = JB_CPU_TERMS_AUTO; terms <= JB_CPU_TERMS_TWO; terms++) {
        if (strcmp(text, terms_names[terms]) == 0) {
            *ret_terms = terms;
            return JB_OK;
        }
    }
    return jb_fail(JB_E_INVAL, "cpu: --set activations=%s: auto, i16 and i8 are known", text);
}

static enum jb_status cpu_probe(const struct jb_open_args *args, struct jb_probe *ret_probe)
{
    if (args->device != NULL) {
        return jb_fail(JB_E_NODEV, "cpu: there is no device '%s'; leave --device out for this CPU",
                       args->device);
    }
    struct jb_host host;
    enum jb_cpu_terms terms = JB_CPU_TERMS_AUTO;
    enum jb_simd level = JB_SIMD_SCALAR;
    enum jb_status status = read_terms(args, &terms);
    if (status == JB_OK) {
        status = jb_host_simd_choose(&level);
    }
    if (status == JB_OK) {
        status = jb_host_read(&host);
    }
    if (status != JB_OK) {
        return status;
    }
    struct jb_probe probe = {
        .platform = JB_CPU, .n_devices = 1, .memory_bytes = jb_memory_total_bytes()};
    snprintf(probe.device, sizeof(probe.device), "%.100s (%s%s%s)", host.cpu_model,
             jb_simd_name(jb_cpu_kernels_for(level)->level), terms == JB_CPU_TERMS_AUTO ? "" : ", ",
             terms == JB_CPU_TERMS_AUTO ? "" : terms_names[terms]);
    *ret_probe = probe;
    return JB_OK;
}

static enum jb_status cpu_open(struct jb_device *dev, const struct jb_open_args *args)
{
    if (args->device != NULL) {
        return jb_fail(JB_E_NODEV, "cpu: there is no device '%s'; leave --device out for this CPU",
                       args->device);
    }
    enum jb_simd level = JB_SIMD_SCALAR;
    enum jb_status status = read_terms(args, &dev->exec.terms);
    if (status == JB_OK) {
        status = jb_host_simd_choose(&level);
    }
    if (status != JB_OK) {
        return status;
    }
    dev->exec.kernels = jb_cpu_kernels_for(level);
    dev->exec.n_workers = args->n_threads;
    return jb_pool_create(args->n_threads, args->pus, &dev->exec.pool);
}

/* ---- load: can it be done ---- */

static enum jb_status check_op(const struct jb_device *dev, const struct jb_plan *plan,
                               const struct jb_op *op, uint32_t number)
{
    static const bool known[JB_N_OP_KINDS] = {
        [JB_OP_EMBED] = true,     [JB_OP_POSEMBED] = true, [JB_OP_RMSNORM] = true,
        [JB_OP_LAYERNORM] = true, [JB_OP_MATMUL] = true,   [JB_OP_ROPE] = true,
        [JB_OP_ATTENTION] = true, [JB_OP_SILU_MUL] = true, [JB_OP_GELU] = true,
        [JB_OP_RELU] = true,      [JB_OP_ADD] = true,      [JB_OP_SELECT] = true,
        [JB_OP_ARGMAX] = true,
    };
    if ((unsigned)op->kind >= JB_N_OP_KINDS || !known[op->kind]) {
        return jb_fail(JB_E_NOTSUP, "cpu: no kernel for %s, op %u", jb_op_name(op->kind), number);
    }
    if (op->kind == JB_OP_MATMUL) {
        const struct jb_tensor *tensor = &plan->tensors[op->weight];
        if (dev->exec.kernels->matmul[tensor->dtype] == NULL) {
            return jb_fail(JB_E_NOTSUP, "cpu: no %s matmul at level %s for '%s', op %u",
                           jb_format(tensor->dtype)->name, jb_simd_name(dev->exec.kernels->level),
                           tensor->name, number);
        }
    }
    return JB_OK;
}

static enum jb_status check_plan(const struct jb_device *dev, const struct jb_load_args *args)
{
    const struct jb_plan *plan = args->plan;
    if (args->execution != JB_EXECUTE_FUNCTIONAL || plan->weights == NULL) {
        return jb_fail(JB_E_NOTSUP, "cpu: is a real device, timing-only execution is not for it");
    }
    if (plan->n_ranks > 1) {
        return jb_fail(JB_E_NOTSUP, "cpu: runs alone, the plan is for %u ranks", plan->n_ranks);
    }
    if (plan->kv_dtype != JB_F32 && plan->kv_dtype != JB_F16 && plan->kv_dtype != JB_Q8_0) {
        return jb_fail(JB_E_NOTSUP, "cpu: no KV cache in %s; use f32, f16 or q8_0",
                       jb_format(plan->kv_dtype)->name);
    }
    if (jb_format_row_bytes(plan->kv_dtype, plan->head_dim) == 0) {
        return jb_fail(JB_E_NOTSUP,
                       "cpu: heads of %u values do not divide into blocks of %s; "
                       "use an f16 KV cache",
                       plan->head_dim, jb_format(plan->kv_dtype)->name);
    }
    for (uint32_t p = 0; p < plan->n_programs; p++) {
        for (uint32_t i = 0; i < plan->programs[p].n_ops; i++) {
            const enum jb_status status = check_op(dev, plan, &plan->programs[p].ops[i], i);
            if (status != JB_OK) {
                return status;
            }
        }
    }
    return JB_OK;
}

/* ---- load: memory ---- */

struct taker {
    struct jb_device *dev;
    uint64_t bytes;
    bool is_short;
};

static void *take(struct taker *taker, uint64_t n, size_t size)
{
    const size_t bytes = n > 0 && size > 0 ? (size_t)n * size : 1;
    taker->bytes += bytes;
    void *data = taker->is_short ? NULL : jb_pages_alloc(bytes);
    if (data == NULL) {
        taker->is_short = true;
        return NULL;
    }
    taker->dev->blocks[taker->dev->n_blocks++] = (struct block){.data = data, .size = bytes};
    return data;
}

static uint64_t larger(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

struct widths {
    uint32_t record, half; /* widest inputs of products of int8, and of bfloat16 */
    uint32_t row;          /* widest row of weights                              */
};

static struct widths widest(const struct jb_cpu_kernels *kernels, const struct jb_plan *plan)
{
    struct widths widths = {.row = 1};
    for (uint32_t i = 0; i < plan->n_tensors; i++) {
        const struct jb_tensor *tensor = &plan->tensors[i];
        uint32_t *width = jb_format(tensor->dtype)->block_values > 1             ? &widths.record
                          : kernels->input[tensor->dtype] == JB_CPU_INPUT_HALVES ? &widths.half
                                                                                 : &widths.row;
        *width = tensor->cols > *width ? tensor->cols : *width;
        widths.row = tensor->cols > widths.row ? tensor->cols : widths.row;
    }
    return widths;
}

static uint64_t rows_bytes(const struct jb_cpu_exec *exec, uint64_t rows, uint32_t cols,
                           uint32_t n_terms)
{
    if (exec->kernels->quantise_quads == NULL) {
        return rows * n_terms * jb_cpu_record_bytes(cols);
    }
    const uint32_t width = jb_cpu_quad_width((uint32_t)rows);
    return (rows + width - 1) / width * jb_cpu_quad_bytes(cols, width, n_terms);
}

/* Bytes of the records or quads of any step of up to `rows` rows. */
static uint64_t input_bytes(const struct jb_cpu_exec *exec, uint64_t rows, uint32_t cols)
{
    const uint64_t few = rows < JB_CPU_FEW_TOKENS ? rows : JB_CPU_FEW_TOKENS;
    switch (exec->terms) {
    case JB_CPU_TERMS_ONE:
        return rows_bytes(exec, rows, cols, 1);
    case JB_CPU_TERMS_TWO:
        return rows_bytes(exec, rows, cols, 2);
    default:
        return larger(rows_bytes(exec, rows, cols, 1), rows_bytes(exec, few, cols, 2));
    }
}

static void take_programs(struct taker *taker, const struct jb_plan *plan)
{
    struct jb_cpu_exec *exec = &taker->dev->exec;
    exec->programs = take(taker, plan->n_programs, sizeof(*exec->programs));
    for (uint32_t i = 0; i < plan->n_programs && !taker->is_short; i++) {
        const struct jb_program *program = &plan->programs[i];
        struct jb_cpu_node *nodes = take(taker, program->n_ops, sizeof(*nodes));
        if (nodes != NULL) {
            exec->programs[i].nodes = nodes;
            exec->programs[i].n_nodes = jb_cpu_gather(plan, program, exec->kernels, nodes);
        }
    }
}

static void take_buffers(struct taker *taker, const struct jb_load_args *load)
{
    struct jb_cpu_exec *exec = &taker->dev->exec;
    const struct jb_plan *plan = load->plan;
    const struct widths widths = widest(exec->kernels, plan);
    const uint64_t rows = larger(load->max_tokens, load->max_outputs);
    exec->kv_positions = (load->context + JB_CPU_PANEL - 1) / JB_CPU_PANEL * JB_CPU_PANEL;
    const uint64_t kv_rows =
        (uint64_t)plan->n_layers * 2 * load->max_seqs * plan->n_kv_heads * exec->kv_positions;
    exec->kv_row_bytes = jb_format_row_bytes(plan->kv_dtype, plan->head_dim);
    exec->weights = take(taker, plan->n_tensors, sizeof(*exec->weights));
    exec->slots = take(taker, plan->n_slots, sizeof(*exec->slots));
    exec->panels = take(taker, plan->n_tensors, sizeof(*exec->panels));
    exec->records = take(taker, input_bytes(exec, rows, widths.record), 1);
    exec->halves = take(taker, rows, jb_cpu_halves_bytes(widths.half));
    exec->kv = take(taker, kv_rows, exec->kv_row_bytes);
    exec->rope = take(taker, (uint64_t)load->max_tokens * plan->rope.n_dims, sizeof(float));
    exec->scratch = take(taker, exec->n_workers, sizeof(*exec->scratch));
    exec->held = take(taker, load->max_seqs, sizeof(*exec->held));
    exec->positions = take(taker, load->max_tokens, sizeof(*exec->positions));
    exec->kv_slots = take(taker, load->max_tokens, sizeof(*exec->kv_slots));
    exec->ids = take(taker, load->max_tokens, sizeof(*exec->ids));
    exec->outputs = take(taker, load->max_outputs, sizeof(*exec->outputs));
    const uint64_t attention =
        jb_cpu_attention_scratch(plan->n_heads / plan->n_kv_heads, plan->head_dim);
    const uint64_t products = rows * 2 * JB_CPU_TERM_ROWS;
    const uint64_t scratch = larger(larger(attention, widths.row), products);
    for (uint32_t i = 0; i < exec->n_workers && !taker->is_short; i++) {
        exec->scratch[i] = take(taker, scratch, sizeof(float));
    }
    for (uint32_t i = 0; i < plan->n_slots && !taker->is_short; i++) {
        const struct jb_slot *slot = &plan->slots[i];
        const uint64_t n = slot->rows == JB_ROWS_TOKENS ? load->max_tokens : load->max_outputs;
        exec->slots[i] = take(taker, n * slot->width, sizeof(float));
    }
}

/* Weights that products read in panels. */
static void take_panels(struct taker *taker, const struct jb_plan *plan)
{
    struct jb_cpu_exec *exec = &taker->dev->exec;
    for (uint32_t p = 0; p < plan->n_programs; p++) {
        for (uint32_t i = 0; i < plan->programs[p].n_ops && !taker->is_short; i++) {
            const struct jb_op *op = &plan->programs[p].ops[i];
            const struct jb_tensor *tensor =
                op->kind == JB_OP_MATMUL ? &plan->tensors[op->weight] : NULL;
            if (tensor == NULL || exec->panels[op->weight] != NULL ||
                !jb_cpu_is_packed(exec->kernels->input[tensor->dtype])) {
                continue;
            }
            const uint64_t n_panels = ((uint64_t)tensor->rows + JB_CPU_PANEL - 1) / JB_CPU_PANEL;
            exec->panels[op->weight] =
                take(taker, n_panels, jb_cpu_panel_bytes(tensor->dtype, tensor->cols));
        }
    }
}

static enum jb_status allocate(struct jb_device *dev, const struct jb_load_args *load)
{
    const struct jb_plan *plan = load->plan;
    const size_t most = FIXED_BLOCKS + (size_t)plan->n_slots + plan->n_programs + plan->n_tensors +
                        dev->exec.n_workers;
    dev->blocks = calloc(most, sizeof(*dev->blocks));
    if (dev->blocks == NULL) {
        return jb_fail(JB_E_NOMEM, "cpu: no memory for a table of %zu buffers", most);
    }
    struct taker taker = {.dev = dev};
    take_programs(&taker, plan);
    take_buffers(&taker, load);
    take_panels(&taker, plan);
    if (taker.is_short) {
        return jb_fail(
            JB_E_NOMEM,
            "cpu: %.1f MiB for packed weights and buffers were not to be had, %.1f MiB are "
            "available; lower --batch or the context",
            (double)taker.bytes / JB_MIB, (double)jb_memory_available_bytes() / JB_MIB);
    }
    return JB_OK;
}

struct packing {
    const struct jb_tensor *tensor;
    const uint8_t *rows;
    uint8_t *panels;
    uint32_t n_workers;
};

/* Each worker packs the panels that it will read, so their memory lies near it. */
static void pack_share(void *ctx, uint32_t worker)
{
    const struct packing *packing = ctx;
    const struct jb_tensor *tensor = packing->tensor;
    const size_t panel_bytes = jb_cpu_panel_bytes(tensor->dtype, tensor->cols);
    const struct jb_cpu_range rows =
        jb_cpu_share(tensor->rows, JB_CPU_PANEL, worker, packing->n_workers);
    for (uint64_t row = rows.begin; row < rows.end; row += JB_CPU_PANEL) {
        const uint64_t left = rows.end - row;
        jb_cpu_pack(tensor->dtype, packing->rows + row * tensor->row_bytes, tensor->row_bytes,
                    left < JB_CPU_PANEL ? (uint32_t)left : JB_CPU_PANEL, tensor->cols,
                    packing->panels + row / JB_CPU_PANEL * panel_bytes);
    }
}

/* Packs a tensor and gives its bytes back, or keeps them mapped. */
static enum jb_status load_tensor(struct jb_cpu_exec *exec, uint32_t index)
{
    const struct jb_plan *plan = exec->load.plan;
    const struct jb_weights *weights = plan->weights;
    const void *data = NULL;
    const enum jb_status status = weights->map(weights->ctx, index, &data);
    if (status != JB_OK || exec->panels[index] == NULL) {
        exec->weights[index] = data;
        return status;
    }
    struct packing packing = {.tensor = &plan->tensors[index],
                              .rows = data,
                              .panels = exec->panels[index],
                              .n_workers = exec->n_workers};
    jb_pool_run(exec->pool, pack_share, &packing);
    weights->unmap(weights->ctx, index);
    return JB_OK;
}

static uint32_t largest_tensor(const struct jb_plan *plan)
{
    uint32_t largest = 0;
    for (uint32_t i = 1; i < plan->n_tensors; i++) {
        largest = plan->tensors[i].n_bytes > plan->tensors[largest].n_bytes ? i : largest;
    }
    return largest;
}

static enum jb_status cpu_load(struct jb_device *dev, const struct jb_load_args *args)
{
    enum jb_status status = check_plan(dev, args);
    jb_cpu_arena_free(&dev->arena);
    if (status == JB_OK) {
        dev->exec.load = *args;
        status = allocate(dev, args);
    }
    /* While a tensor is packed both copies are in memory: the largest comes first, when little else
     * is. */
    const uint32_t first = largest_tensor(args->plan);
    if (status == JB_OK) {
        status = load_tensor(&dev->exec, first);
    }
    for (uint32_t i = 0; status == JB_OK && i < args->plan->n_tensors; i++) {
        status = i != first ? load_tensor(&dev->exec, i) : JB_OK;
    }
    return status;
}

/* ---- step ---- */

static enum jb_status list_outputs(struct jb_cpu_exec *exec, const struct jb_seq *seq)
{
    if (seq->want == JB_WANT_NONE) {
        return JB_OK;
    }
    const uint32_t n = seq->want == JB_WANT_ALL ? seq->n_tokens : 1;
    if (n > exec->load.max_outputs - exec->n_outputs) {
        return jb_fail(JB_E_INVAL, "cpu: a step of more than %u outputs", exec->load.max_outputs);
    }
    for (uint32_t i = 0; i < n; i++) {
        exec->outputs[exec->n_outputs++] = exec->n_tokens + seq->n_tokens - n + i;
    }
    return JB_OK;
}

static uint32_t terms_of(const struct jb_cpu_exec *exec, const struct jb_step *step)
{
    const bool is_short = step->n_seqs == 1 && step->seqs[0].n_tokens <= JB_CPU_FEW_TOKENS;
    return exec->terms == JB_CPU_TERMS_TWO || (exec->terms == JB_CPU_TERMS_AUTO && is_short) ? 2
                                                                                             : 1;
}

/* Lists the rows of the step. What slots hold changes only when all is well. */
static enum jb_status begin_step(struct jb_cpu_exec *exec, const struct jb_step *step)
{
    enum jb_status status = jb_step_check(exec->load.plan, step, exec->load.max_seqs,
                                          exec->load.max_tokens, exec->load.context);
    exec->step = step;
    exec->n_tokens = exec->n_outputs = 0;
    exec->n_terms = status == JB_OK ? terms_of(exec, step) : 1;
    for (uint32_t s = 0; status == JB_OK && s < step->n_seqs; s++) {
        const struct jb_seq *seq = &step->seqs[s];
        if (seq->pos > exec->held[seq->slot]) {
            return jb_fail(JB_E_INVAL, "cpu: sequence %u starts at position %u, slot %u holds %u",
                           s, seq->pos, seq->slot, exec->held[seq->slot]);
        }
        status = list_outputs(exec, seq);
        for (uint32_t t = 0; t < seq->n_tokens; t++) {
            exec->ids[exec->n_tokens] = seq->tokens != NULL ? seq->tokens[t] : 0;
            exec->kv_slots[exec->n_tokens] = seq->slot;
            exec->positions[exec->n_tokens++] = seq->pos + t;
        }
    }
    for (uint32_t s = 0; status == JB_OK && s < step->n_seqs; s++) {
        exec->held[step->seqs[s].slot] = step->seqs[s].pos + step->seqs[s].n_tokens;
    }
    return status;
}

static enum jb_status cpu_step(struct jb_device *dev, const struct jb_step *step)
{
    struct jb_cpu_exec *exec = &dev->exec;
    enum jb_status status = begin_step(exec, step);
    if (status != JB_OK) {
        return status;
    }
    const struct jb_plan *plan = exec->load.plan;
    const size_t cut_bytes =
        (size_t)exec->n_tokens * plan->slots[plan->cut_slot].width * sizeof(float);
    if (step->op_begin > 0) {
        memcpy(exec->slots[plan->cut_slot], step->acts, cut_bytes);
    }
    status = jb_cpu_exec(exec);
    if (status == JB_OK && step->op_end < plan->programs[step->program].n_ops) {
        memcpy(step->ret_acts, exec->slots[plan->cut_slot], cut_bytes);
    }
    return status;
}

static enum jb_status cpu_exercise(struct jb_device *dev, const struct jb_exercise *what,
                                   struct jb_op_detail *ret_detail)
{
    return jb_cpu_exercise(dev->exec.pool, dev->exec.kernels->level, &dev->arena, what, ret_detail);
}

static enum jb_status cpu_reset(struct jb_device *dev)
{
    memset(dev->exec.held, 0, dev->exec.load.max_seqs * sizeof(*dev->exec.held));
    return JB_OK;
}

static void cpu_close(struct jb_device *dev)
{
    const struct jb_plan *plan = dev->exec.load.plan; /* NULL if load() took nothing */
    for (uint32_t i = 0; plan != NULL && dev->exec.weights != NULL && i < plan->n_tensors; i++) {
        if (dev->exec.weights[i] != NULL) {
            plan->weights->unmap(plan->weights->ctx, i);
        }
    }
    jb_pool_free(dev->exec.pool);
    jb_cpu_arena_free(&dev->arena);
    for (uint32_t i = 0; i < dev->n_blocks; i++) {
        jb_pages_free(dev->blocks[i].data, dev->blocks[i].size);
    }
    free(dev->blocks);
}

extern const struct jb_backend jb_backend_cpu;
const struct jb_backend jb_backend_cpu = {
    .name = "cpu",
    .summary = "this machine's cores: pinned threads, vector kernels, fused attention",
    .options = options,
    .device_size = sizeof(struct jb_device),
    .probe = cpu_probe,
    .open = cpu_open,
    .load = cpu_load,
    .step = cpu_step,
    .exercise = cpu_exercise,
    .reset = cpu_reset,
    .close = cpu_close,
};
