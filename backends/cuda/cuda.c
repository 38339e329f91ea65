/* SPDX-License-Identifier: MIT */
/* The backend "cuda": one NVIDIA GPU through the driver API. Decode streams weights through own
 * kernels, replayed as a graph; prefill uses cublasLt. Kernels are embedded as machine code for
 * the architectures of the build and as PTX for newer ones. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "backends/cuda/device.h"

extern const unsigned char jb_cuda_fatbin[];

enum jb_status jb_cuda_alloc(struct jb_device *dev, uint64_t size, const char *what,
                             CUdeviceptr *ret_memory)
{
    if (dev->n_allocations == dev->allocation_capacity) {
        const uint32_t capacity =
            dev->allocation_capacity == 0 ? 256 : 2 * dev->allocation_capacity;
        CUdeviceptr *grown = realloc(dev->allocations, capacity * sizeof *grown);
        if (grown == NULL) {
            return jb_fail(JB_E_NOMEM, "cuda: no host memory for a list of %u allocations",
                           capacity);
        }
        dev->allocations = grown;
        dev->allocation_capacity = capacity;
    }
    CUdeviceptr memory = 0;
    const CUresult error = dev->api.cuMemAlloc(&memory, size > 0 ? size : 1);
    if (error == CUDA_ERROR_OUT_OF_MEMORY) {
        size_t free_bytes = 0, total_bytes = 0;
        (void)dev->api.cuMemGetInfo(&free_bytes, &total_bytes);
        return jb_fail(
            JB_E_NOMEM,
            "cuda: %s needs %.1f MiB, the card has %.1f of %.1f MiB left: take a smaller "
            "model, format, batch or context",
            what, (double)size / 1048576.0, (double)free_bytes / 1048576.0,
            (double)total_bytes / 1048576.0);
    }
    if (error != CUDA_SUCCESS) {
        return jb_cuda_fail(&dev->api, error, what);
    }
    dev->allocations[dev->n_allocations++] = memory;
    *ret_memory = memory;
    return JB_OK;
}

enum jb_status jb_cuda_launch_with(struct jb_device *dev, CUfunction kernel, const uint32_t grid[3],
                                   uint32_t threads, uint32_t shared_bytes, const void *params)
{
    CUlaunchAttribute attribute = {.id = CU_LAUNCH_ATTRIBUTE_PROGRAMMATIC_STREAM_SERIALIZATION,
                                   .value.programmaticStreamSerializationAllowed = 1};
    const CUlaunchConfig config = {.gridDimX = grid[0],
                                   .gridDimY = grid[1],
                                   .gridDimZ = grid[2],
                                   .blockDimX = threads,
                                   .blockDimY = 1,
                                   .blockDimZ = 1,
                                   .sharedMemBytes = shared_bytes,
                                   .hStream = dev->stream,
                                   .attrs = &attribute,
                                   .numAttrs = dev->compute >= 90 ? 1 : 0};
    /* The API takes a list of pointers and reads through them only. */
    void *arguments[] = {(void *)(uintptr_t)params};
    const CUresult error = dev->api.cuLaunchKernelEx(&config, kernel, arguments, NULL);
    return error == CUDA_SUCCESS ? JB_OK : jb_cuda_fail(&dev->api, error, "launching a kernel");
}

enum jb_status jb_cuda_launch(struct jb_device *dev, CUfunction kernel, uint32_t x, uint32_t y,
                              uint32_t z, uint32_t threads, const void *params)
{
    const uint32_t grid[3] = {x, y, z};
    return jb_cuda_launch_with(dev, kernel, grid, threads, 0, params);
}

/* ---- which card ---- */

static enum jb_status card_number(const struct jb_open_args *args, int n_cards, int *ret_card)
{
    const char *name = args->device;
    /* A device file's name (h100-sxm) says nothing of which card; gpu0, gpu1 ... does. */
    if (name == NULL || strncmp(name, "gpu", 3) != 0) {
        *ret_card = 0;
        return JB_OK;
    }
    char *end = NULL;
    const long card = strtol(name + 3, &end, 10);
    if (end == name + 3 || *end != '\0' || card < 0 || card >= n_cards) {
        return jb_fail(JB_E_NODEV, "cuda: no card '%s'; there are gpu0 to gpu%d", name,
                       n_cards - 1);
    }
    *ret_card = (int)card;
    return JB_OK;
}

static int attribute_of(const struct jb_cuda_api *api, CUdevice device, CUdevice_attribute which)
{
    int value = 0;
    (void)api->cuDeviceGetAttribute(&value, which, device);
    return value;
}

static uint32_t compute_of(const struct jb_cuda_api *api, CUdevice device)
{
    const int major = attribute_of(api, device, CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR);
    const int minor = attribute_of(api, device, CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR);
    return (uint32_t)(10 * major + minor);
}

static enum jb_status find_card(const struct jb_cuda_api *api, const struct jb_open_args *args,
                                CUdevice *ret_device)
{
    int n_cards = 0, card = 0;
    CUresult error = api->cuDeviceGetCount(&n_cards);
    if (error == CUDA_SUCCESS && n_cards == 0) {
        return jb_fail(JB_E_NODEV, "cuda: a driver is there, a GPU is not");
    }
    if (error != CUDA_SUCCESS) {
        return jb_cuda_fail(api, error, "counting the cards");
    }
    const enum jb_status status = card_number(args, n_cards, &card);
    if (status != JB_OK) {
        return status;
    }
    error = api->cuDeviceGet(ret_device, card);
    if (error != CUDA_SUCCESS) {
        return jb_cuda_fail(api, error, "asking for the card");
    }
    const uint32_t compute = compute_of(api, *ret_device);
    if (compute < 80) {
        return jb_fail(JB_E_NOTSUP, "cuda: compute capability %u.%u; 8.0 (Ampere) or newer needed",
                       compute / 10, compute % 10);
    }
    return JB_OK;
}

static enum jb_status cuda_probe(const struct jb_open_args *args, struct jb_probe *ret_probe)
{
    struct jb_cuda_api api;
    CUdevice device = 0;
    enum jb_status status = jb_cuda_api_open(&api);
    if (status != JB_OK) {
        return status;
    }
    status = find_card(&api, args, &device);
    if (status == JB_OK) {
        size_t memory = 0;
        struct jb_probe probe = {.platform = JB_GPU, .n_devices = 1};
        (void)api.cuDeviceGetName(probe.device, sizeof probe.device, device);
        (void)api.cuDeviceTotalMem(&memory, device);
        probe.memory_bytes = memory;
        *ret_probe = probe;
    }
    jb_cuda_api_close(&api);
    return status;
}

/* ---- open and close ---- */

static enum jb_status take_kernels(struct jb_device *dev)
{
    static const char *const forms[] = {NULL,       "F16_half", "BF16_bf16", "T4_half",
                                        "T4M_half", "T8_half",  "T8S_half"};
    CUresult error = CUDA_SUCCESS;
#define TAKE(name)                                                                                 \
    if (error == CUDA_SUCCESS) {                                                                   \
        error = dev->api.cuModuleGetFunction(&dev->name, dev->module, #name);                      \
    }
    JB_CUDA_KERNELS(TAKE)
#undef TAKE
    const CUfunction flash[] = {dev->flash_64, dev->flash_128};
    for (int i = 0; i < 2 && error == CUDA_SUCCESS; i++) {
        error =
            dev->api.cuFuncSetAttribute(flash[i], CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES,
                                        JB_CUDA_FLASH_BYTES(64 << i));
    }
    static const char *const mega[JB_CUDA_MEGA_KERNELS] = {"mega_8_1", "mega_16_1", "mega_8_2"};
    for (int i = 0; i < JB_CUDA_MEGA_KERNELS && error == CUDA_SUCCESS; i++) {
        error = dev->api.cuModuleGetFunction(&dev->mega_kernels[i], dev->module, mega[i]);
    }
    for (uint32_t form = JB_CUDA_F16; form < JB_CUDA_N_FORMS; form++) {
        static const char *const sizes[4][2] = {
            {"1_1_1", "1_2_1"}, {"2_1_1", "1_2_1"}, {"2_1_2", "1_2_2"}, {"2_1_4", "1_2_4"}};
        for (int size = 0; size < 4; size++) {
            for (int pair = 0; pair < 2 && error == CUDA_SUCCESS; pair++) {
                char name[64];
                (void)snprintf(name, sizeof name, "matmul_%s_%s", forms[form], sizes[size][pair]);
                error =
                    dev->api.cuModuleGetFunction(&dev->few[form][size][pair], dev->module, name);
            }
        }
    }
    return error == CUDA_SUCCESS ? JB_OK : jb_cuda_fail(&dev->api, error, "finding a kernel");
}

/* Number of the setting's value among `words`; the fallback's if it was not given. */
static enum jb_status choice(const struct jb_open_args *args, const char *key, const char *fallback,
                             const char *const *words, uint32_t *ret_choice)
{
    const char *text = fallback;
    for (uint32_t i = 0; i < args->n_settings; i++) {
        text = strcmp(args->settings[i].key, key) == 0 ? args->settings[i].value : text;
    }
    for (uint32_t i = 0; words[i] != NULL; i++) {
        if (strcmp(words[i], text) == 0) {
            *ret_choice = i;
            return JB_OK;
        }
    }
    return jb_fail(JB_E_INVAL, "cuda: --set %s=%s is not known; see 'list backends'", key, text);
}

static enum jb_status read_settings(struct jb_device *dev, const struct jb_open_args *args)
{
    static const char *const engines[] = {"auto", "mega", "graph", "stream", NULL};
    static const char *const activations[] = {"auto", "f32", "native", NULL};
    static const char *const warps[] = {"8", "16", NULL};
    static const char *const segments[] = {"1", "2", "4", NULL};
    uint32_t engine = 0, rounding = 0, n_warps = 0, n_segments = 0;
    enum jb_status status = choice(args, "engine", "auto", engines, &engine);
    if (status == JB_OK) {
        status = choice(args, "activations", "auto", activations, &rounding);
    }
    if (status == JB_OK) {
        status = choice(args, "warps", "8", warps, &n_warps);
    }
    if (status == JB_OK) {
        status = choice(args, "segments", "1", segments, &n_segments);
    }
    for (uint32_t i = 0; i < args->n_settings; i++) {
        if (strcmp(args->settings[i].key, "trace") == 0 && args->settings[i].value[0] != '\0') {
            dev->mega.trace_file = args->settings[i].value;
        }
    }
    dev->engine = (enum jb_cuda_engine)engine;
    dev->activations = (enum jb_cuda_activations)rounding;
    dev->mega.n_warps = n_warps == 1 ? 16 : 8;
    dev->mega.least_segments = 1U << n_segments;
    return status;
}

static enum jb_status open_card(struct jb_device *dev, const struct jb_open_args *args)
{
    enum jb_status status = read_settings(dev, args);
    if (status == JB_OK) {
        status = find_card(&dev->api, args, &dev->device);
    }
    if (status == JB_OK) {
        status = jb_cuda_blas_open(&dev->api);
    }
    if (status != JB_OK) {
        return status;
    }
    CUcontext context = NULL;
    CUresult error = dev->api.cuDevicePrimaryCtxRetain(&context, dev->device);
    if (error != CUDA_SUCCESS) {
        return jb_cuda_fail(&dev->api, error, "opening the card");
    }
    dev->has_context = true;
    dev->compute = compute_of(&dev->api, dev->device);
    dev->n_processors =
        (uint32_t)attribute_of(&dev->api, dev->device, CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT);
    dev->shared_bytes = (uint32_t)attribute_of(
        &dev->api, dev->device, CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK_OPTIN);
    error = dev->api.cuCtxSetCurrent(context);
    if (error == CUDA_SUCCESS) {
        error = dev->api.cuModuleLoadData(&dev->module, jb_cuda_fatbin);
    }
    if (error == CUDA_SUCCESS) {
        error = dev->api.cuStreamCreate(&dev->stream, CU_STREAM_NON_BLOCKING);
    }
    if (error != CUDA_SUCCESS) {
        return jb_cuda_fail(&dev->api, error, "loading the kernels");
    }
    if (dev->api.cublasLtCreate(&dev->blas) != CUBLAS_STATUS_SUCCESS) {
        return jb_fail(JB_E_DEVICE, "cuda: cublasLt does not start");
    }
    return take_kernels(dev);
}

static void cuda_close(struct jb_device *dev)
{
    const struct jb_cuda_api *api = &dev->api;
    for (uint32_t i = 0; i < dev->n_graphs; i++) {
        (void)api->cuGraphExecDestroy(dev->graphs[i].exec);
    }
    jb_cuda_mega_close(dev);
    jb_cuda_products_free(dev);
    if (dev->blas != NULL) {
        (void)api->cublasLtDestroy(dev->blas);
    }
    if (dev->rows_host != NULL) {
        (void)api->cuMemFreeHost(dev->rows_host);
    }
    if (dev->ids_host != NULL) {
        (void)api->cuMemFreeHost(dev->ids_host);
    }
    for (uint32_t i = 0; i < dev->n_allocations; i++) {
        (void)api->cuMemFree(dev->allocations[i]);
    }
    if (dev->stream != NULL) {
        (void)api->cuStreamDestroy(dev->stream);
    }
    if (dev->module != NULL) {
        (void)api->cuModuleUnload(dev->module);
    }
    if (dev->has_context) {
        (void)api->cuDevicePrimaryCtxRelease(dev->device);
    }
    free(dev->allocations);
    free(dev->weights);
    free(dev->raw_tables);
    free(dev->slots);
    free(dev->few_actions);
    free(dev->many_actions);
    free(dev->kv);
    jb_cuda_api_close(&dev->api);
}

static enum jb_status cuda_open(struct jb_device *dev, const struct jb_open_args *args)
{
    enum jb_status status = jb_cuda_api_open(&dev->api);
    if (status != JB_OK) {
        return status;
    }
    status = open_card(dev, args);
    if (status != JB_OK) {
        cuda_close(dev);
    }
    return status;
}

/* ---- load ---- */

static enum jb_status check_plan(const struct jb_device *dev, const struct jb_load_args *args)
{
    const struct jb_plan *plan = args->plan;
    if (args->execution != JB_EXECUTE_FUNCTIONAL) {
        return jb_fail(
            JB_E_NOTSUP,
            "cuda: timing-only execution is for simulators; a real device executes every op");
    }
    if (jb_cuda_attention_kernel(dev, plan->head_dim) == NULL) {
        return jb_fail(
            JB_E_NOTSUP,
            "cuda: heads of %u values; up to 32, multiples of 4 up to 128 and of 8 up to "
            "256 are there",
            plan->head_dim);
    }
    if (plan->kv_dtype != JB_F32 && plan->kv_dtype != JB_F16 && plan->kv_dtype != JB_Q8_0) {
        return jb_fail(JB_E_NOTSUP, "cuda: KV cache in %s; f32, f16 and q8_0 are there",
                       jb_format(plan->kv_dtype)->name);
    }
    for (uint32_t p = 0; p < plan->n_programs; p++) {
        for (uint32_t i = 0; i < plan->programs[p].n_ops; i++) {
            const enum jb_op_kind kind = plan->programs[p].ops[i].kind;
            if (kind >= JB_OP_ALLREDUCE) {
                return jb_fail(JB_E_NOTSUP, "cuda: op %u (%s) is not there", i, jb_op_name(kind));
            }
        }
    }
    return JB_OK;
}

static enum jb_status take_slots(struct jb_device *dev)
{
    const struct jb_plan *plan = dev->load.plan;
    for (uint32_t i = 0; i < plan->n_slots; i++) {
        const uint32_t rows =
            plan->slots[i].rows == JB_ROWS_TOKENS ? dev->load.max_tokens : dev->load.max_outputs;
        const uint64_t n = (uint64_t)rows * plan->slots[i].width;
        enum jb_status status =
            jb_cuda_alloc(dev, n * sizeof(float), plan->slots[i].name, &dev->slots[i].values);
        for (int type = 0; type < 2 && status == JB_OK; type++) {
            if (dev->slots[i].needs_packed[type]) {
                status = jb_cuda_alloc(dev, n * dev->slots[i].planes[type] * 2, plan->slots[i].name,
                                       &dev->slots[i].packed[type]);
            }
        }
        if (status != JB_OK) {
            return status;
        }
    }
    return JB_OK;
}

static enum jb_status take_kv(struct jb_device *dev)
{
    const struct jb_plan *plan = dev->load.plan;
    const uint64_t row_bytes = jb_format_row_bytes(plan->kv_dtype, plan->head_dim);
    if (row_bytes == 0) {
        return jb_fail(JB_E_NOTSUP, "cuda: heads of %u values do not fit blocks of %s",
                       plan->head_dim, jb_format(plan->kv_dtype)->name);
    }
    const uint64_t head_stride = row_bytes * dev->load.context;
    const uint64_t size = head_stride * plan->n_kv_heads * dev->load.max_seqs;
    for (uint32_t i = 0; i < plan->n_layers; i++) {
        CUdeviceptr memory = 0;
        const enum jb_status status = jb_cuda_alloc(dev, 2 * size, "the KV cache", &memory);
        if (status != JB_OK) {
            return status;
        }
        dev->kv[i] = (struct jb_cuda_kv){.k = (uint8_t *)memory,
                                         .v = (uint8_t *)memory + size,
                                         .head_stride = head_stride,
                                         .row_bytes = (uint32_t)row_bytes,
                                         .dtype = (uint32_t)plan->kv_dtype};
    }
    return JB_OK;
}

uint32_t jb_cuda_max_tiles(const struct jb_device *dev)
{
    return dev->load.max_tokens / 64 + dev->load.max_seqs + 1;
}

/* ids, positions, slots, outputs, tiles; the tiles' start is even. */
static uint64_t rows_values(const struct jb_device *dev)
{
    const uint64_t rows = 3 * (uint64_t)dev->load.max_tokens + dev->load.max_outputs;
    return (rows + 1) / 2 * 2 + 2 * (uint64_t)jb_cuda_max_tiles(dev);
}

/* Scratch of the kernels; counters start at zero and every kernel leaves them so. */
static enum jb_status take_scratch(struct jb_device *dev)
{
    const struct jb_plan *plan = dev->load.plan;
    const uint64_t few = JB_CUDA_FEW_COLUMNS;
    uint64_t most_rows = 1, most_tiled = 0;
    for (uint32_t i = 0; i < plan->n_tensors; i++) {
        const struct jb_cuda_weight *w = &dev->weights[i];
        most_rows = w->rows > most_rows ? w->rows : most_rows;
        const uint64_t n = (uint64_t)w->rows * w->cols;
        most_tiled = w->form >= JB_CUDA_T4 && n > most_tiled ? n : most_tiled;
    }
    dev->partial_values = (most_rows + 31) * few * 2 * 4;
    const uint64_t attention_rows = few * plan->n_heads * 16 * (plan->head_dim + 2);
    const uint64_t n_arrived = most_rows / 16 + 2, n_attention = few * plan->n_kv_heads;
    const struct {
        uint64_t size;
        const char *what;
        CUdeviceptr *memory;
    } parts[] = {{dev->partial_values * 4, "scratch", &dev->partial},
                 {attention_rows * 4, "scratch of attention", &dev->attention_partial},
                 {n_arrived * 4, "counters", &dev->arrived},
                 {n_attention * 4, "counters", &dev->attention_arrived},
                 {most_tiled * 2, "one weight in half precision", &dev->untiled},
                 {JB_CUDA_WORKSPACE_BYTES, "cublasLt's workspace", &dev->workspace},
                 {(uint64_t)dev->load.max_outputs * 4, "ids", &dev->ids},
                 {rows_values(dev) * 4, "the step's rows", &dev->rows_device},
                 {(uint64_t)plan->rope.n_dims / 2 * 4, "RoPE frequencies", &dev->inv_freq}};
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) {
        const enum jb_status status =
            jb_cuda_alloc(dev, parts[i].size, parts[i].what, parts[i].memory);
        if (status != JB_OK) {
            return status;
        }
    }
    CUresult error = dev->api.cuMemsetD8Async(dev->arrived, 0, n_arrived * 4, dev->stream);
    if (error == CUDA_SUCCESS) {
        error = dev->api.cuMemsetD8Async(dev->attention_arrived, 0, n_attention * 4, dev->stream);
    }
    if (error == CUDA_SUCCESS && plan->rope.n_dims > 0) {
        error = dev->api.cuMemcpyHtoDAsync(dev->inv_freq, plan->rope.inv_freq,
                                           plan->rope.n_dims / 2 * sizeof(float), dev->stream);
    }
    return error == CUDA_SUCCESS ? JB_OK : jb_cuda_fail(&dev->api, error, "clearing scratch");
}

static enum jb_status take_host_memory(struct jb_device *dev)
{
    const uint64_t max_tokens = dev->load.max_tokens, max_outputs = dev->load.max_outputs;
    const size_t rows_bytes = (size_t)rows_values(dev) * sizeof(uint32_t);
    CUresult error = dev->api.cuMemAllocHost((void **)&dev->rows_host, rows_bytes);
    if (error == CUDA_SUCCESS) {
        memset(dev->rows_host, 0, rows_bytes);
        error = dev->api.cuMemAllocHost((void **)&dev->ids_host,
                                        (size_t)(max_outputs > 0 ? max_outputs : 1) * 4);
    }
    if (error == CUDA_SUCCESS) {
        error = dev->api.cuStreamSynchronize(dev->stream);
    }
    const uint32_t *base = (const uint32_t *)dev->rows_device;
    dev->rows = (struct jb_cuda_rows){.ids = (const int32_t *)base,
                                      .pos = base + max_tokens,
                                      .slot = base + 2 * max_tokens,
                                      .outputs = base + 3 * max_tokens};
    dev->tiles = dev->rows_device + (rows_values(dev) - 2 * (uint64_t)jb_cuda_max_tiles(dev)) * 4;
    return error == CUDA_SUCCESS ? JB_OK : jb_cuda_fail(&dev->api, error, "taking pinned memory");
}

static enum jb_status take_mega(struct jb_device *dev)
{
    /* "auto" leaves it until its last mend has passed conformance on a card. */
    if (dev->engine != JB_CUDA_ENGINE_MEGA) {
        return JB_OK;
    }
    const enum jb_status status = jb_cuda_mega_prepare(dev);
    if (status == JB_OK && dev->mega.misfit != NULL) {
        return jb_fail(JB_E_NOTSUP, "cuda: %s does not fit the one-launch step: %s",
                       dev->load.plan->model, dev->mega.misfit);
    }
    return status;
}

static enum jb_status cuda_load(struct jb_device *dev, const struct jb_load_args *args)
{
    const struct jb_plan *plan = args->plan;
    enum jb_status status = check_plan(dev, args);
    if (status != JB_OK) {
        return status;
    }
    dev->load = *args;
    dev->weights = calloc(plan->n_tensors, sizeof *dev->weights);
    dev->raw_tables = calloc(plan->n_tensors, sizeof *dev->raw_tables);
    dev->slots = calloc(plan->n_slots, sizeof *dev->slots);
    dev->kv = calloc(plan->n_layers, sizeof *dev->kv);
    if (dev->weights == NULL || dev->raw_tables == NULL || dev->slots == NULL || dev->kv == NULL) {
        return jb_fail(JB_E_NOMEM, "cuda: no host memory for the tables of %s", plan->model);
    }
    /* cppcheck-suppress uninitvar; it takes the table for a function */
    enum jb_status (*const stages[])(struct jb_device *) = {
        jb_cuda_load_weights, jb_cuda_schedule, take_slots, take_kv,
        take_scratch,         take_host_memory, take_mega};
    for (size_t i = 0; i < sizeof stages / sizeof stages[0] && status == JB_OK; i++) {
        status = stages[i](dev);
    }
    return status;
}

static enum jb_status cuda_sync(struct jb_device *dev)
{
    const CUresult error = dev->api.cuStreamSynchronize(dev->stream);
    if (error != CUDA_SUCCESS) {
        const char *waited = jb_cuda_mega_fault(dev);
        if (waited != NULL) {
            const uint32_t *at = dev->mega.fault;
            return jb_fail(JB_E_DEVICE,
                           "cuda: stuck in phase %u: block %u, thread %u waited for %s", at[1],
                           at[2], at[3], waited);
        }
        return jb_cuda_fail(&dev->api, error, "waiting for the card");
    }
    if (dev->step != NULL && dev->step->ret_ids != NULL && dev->n_outputs > 0) {
        memcpy(dev->step->ret_ids, dev->ids_host, dev->n_outputs * sizeof(int32_t));
    }
    dev->step = NULL;
    return JB_OK;
}

static enum jb_status cuda_reset(struct jb_device *dev)
{
    (void)dev; /* a position is only read after it was written: nothing to forget */
    return JB_OK;
}

static const struct jb_option options[] = {
    {"engine", "", "auto",
     "decode as a recorded graph (graph, auto), one launch (mega), or single launches (stream)"},
    {"activations", "", "auto",
     "inputs of products with f16 and bf16 weights: f32, native (rounded to the weight's type), or "
     "auto: f32 up to 16 rows (bf16 in one launch: one row), native above"},
    {"warps", "", "8", "computing warps a block of the one-launch step: 8 or 16"},
    {"segments", "", "1",
     "least parts that blocks of the one-launch step divide a product's inputs into: 1, 2 or 4"},
    {"trace", "", "", "file for the clocks of the last one-launch step, as CSV"},
    {NULL, NULL, NULL, NULL}};

extern const struct jb_backend jb_backend_cuda;
const struct jb_backend jb_backend_cuda = {
    .name = "cuda",
    .summary = "NVIDIA GPU: own streaming kernels for decode, cublasLt for prefill",
    .caps = JB_CAP_ASYNC,
    .device_size = sizeof(struct jb_device),
    .options = options,
    .probe = cuda_probe,
    .open = cuda_open,
    .load = cuda_load,
    .step = jb_cuda_execute,
    .sync = cuda_sync,
    .reset = cuda_reset,
    .close = cuda_close,
};
