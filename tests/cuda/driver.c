/* SPDX-License-Identifier: MIT */
/* libcuda.so.1 for tests: one GPU of capability 9.0 whose memory is the program's and whose kernels
 * run in the emulator. Everything is done when a call returns, except inside a graph.
 * JB_EMULATED_PROCESSORS (8) sets the multiprocessors. */
#define _GNU_SOURCE
#include <cuda.h>
#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>

#include "tests/cuda/launch.h"

struct CUgraph_st {
    struct emu_request *requests;
    size_t n, capacity;
};

static struct CUgraph_st *recording;

static int setting(const char *name, int fallback)
{
    const char *text = getenv(name);
    return text != NULL ? (int)strtol(text, NULL, 10) : fallback;
}

/* The driver calls its parameters by names of its own.
 * NOLINTBEGIN(readability-inconsistent-declaration-parameter-name) */
CUresult cuInit(unsigned int flags)
{
    return flags == 0 ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}
CUresult cuDriverGetVersion(int *version)
{
    *version = CUDA_VERSION;
    return CUDA_SUCCESS;
}
CUresult cuDeviceGetCount(int *n)
{
    *n = setting("JB_EMULATED_CARDS", 1);
    return CUDA_SUCCESS;
}
CUresult cuDeviceGet(CUdevice *device, int number)
{
    *device = number;
    return CUDA_SUCCESS;
}
CUresult cuDeviceGetName(char *name, int size, CUdevice device)
{
    (void)device;
    strncpy(name, "emulated GPU", (size_t)size - 1);
    name[size - 1] = '\0';
    return CUDA_SUCCESS;
}
CUresult cuDeviceGetAttribute(int *value, CUdevice_attribute which, CUdevice device)
{
    (void)device;
    switch (which) {
    case CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR:
        *value = setting("JB_EMULATED_COMPUTE", 90) / 10;
        return CUDA_SUCCESS;
    case CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR:
        *value = setting("JB_EMULATED_COMPUTE", 90) % 10;
        return CUDA_SUCCESS;
    case CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT:
        *value = setting("JB_EMULATED_PROCESSORS", 8);
        return CUDA_SUCCESS;
    case CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK_OPTIN:
        *value = 232448;
        return CUDA_SUCCESS;
    default:
        return CUDA_ERROR_INVALID_VALUE;
    }
}
CUresult cuDeviceTotalMem_v2(size_t *size, CUdevice device)
{
    (void)device;
    *size = (size_t)1 << 30;
    return CUDA_SUCCESS;
}
CUresult cuDevicePrimaryCtxRetain(CUcontext *context, CUdevice device)
{
    (void)device;
    *context = NULL;
    return CUDA_SUCCESS;
}
CUresult cuDevicePrimaryCtxRelease_v2(CUdevice device)
{
    (void)device;
    return CUDA_SUCCESS;
}
CUresult cuCtxSetCurrent(CUcontext context)
{
    (void)context;
    return CUDA_SUCCESS;
}
CUresult cuMemGetInfo_v2(size_t *free_bytes, size_t *total)
{
    *free_bytes = *total = (size_t)1 << 30;
    return CUDA_SUCCESS;
}

/* Poisoned, so that a read of what nobody wrote shows. */
CUresult cuMemAlloc_v2(CUdeviceptr *memory, size_t size)
{
    if (size > (size_t)setting("JB_EMULATED_MIB", 1024) << 20) {
        return CUDA_ERROR_OUT_OF_MEMORY;
    }
    void *p = aligned_alloc(256, (size + 255) / 256 * 256);
    if (p == NULL) {
        return CUDA_ERROR_OUT_OF_MEMORY;
    }
    memset(p, 0xFF, size);
    *memory = (CUdeviceptr)p;
    return CUDA_SUCCESS;
}
CUresult cuMemFree_v2(CUdeviceptr memory)
{
    free((void *)memory);
    return CUDA_SUCCESS;
}
CUresult cuMemAllocHost_v2(void **memory, size_t size)
{
    *memory = malloc(size);
    return *memory != NULL ? CUDA_SUCCESS : CUDA_ERROR_OUT_OF_MEMORY;
}
CUresult cuMemFreeHost(void *memory)
{
    free(memory);
    return CUDA_SUCCESS;
}
CUresult cuMemcpyHtoDAsync_v2(CUdeviceptr to, const void *from, size_t size, CUstream stream)
{
    (void)stream;
    memcpy((void *)to, from, size);
    return CUDA_SUCCESS;
}
CUresult cuMemcpyDtoHAsync_v2(void *to, CUdeviceptr from, size_t size, CUstream stream)
{
    (void)stream;
    memcpy(to, (const void *)from, size);
    return CUDA_SUCCESS;
}
CUresult cuMemsetD8Async(CUdeviceptr to, unsigned char value, size_t size, CUstream stream)
{
    (void)stream;
    memset((void *)to, value, size);
    return CUDA_SUCCESS;
}
CUresult cuStreamCreate(CUstream *stream, unsigned int flags)
{
    (void)flags;
    *stream = NULL;
    return CUDA_SUCCESS;
}
CUresult cuStreamDestroy_v2(CUstream stream)
{
    (void)stream;
    return CUDA_SUCCESS;
}
CUresult cuStreamSynchronize(CUstream stream)
{
    (void)stream;
    return CUDA_SUCCESS;
}
CUresult cuEventCreate(CUevent *event, unsigned int flags)
{
    (void)flags;
    *event = NULL;
    return CUDA_SUCCESS;
}
CUresult cuEventDestroy_v2(CUevent event)
{
    (void)event;
    return CUDA_SUCCESS;
}
CUresult cuEventRecord(CUevent event, CUstream stream)
{
    (void)event;
    (void)stream;
    return CUDA_SUCCESS;
}
CUresult cuEventSynchronize(CUevent event)
{
    (void)event;
    return CUDA_SUCCESS;
}
CUresult cuModuleLoadData(CUmodule *module, const void *image)
{
    (void)image;
    *module = NULL;
    return CUDA_SUCCESS;
}
CUresult cuModuleUnload(CUmodule module)
{
    (void)module;
    return CUDA_SUCCESS;
}
CUresult cuModuleGetFunction(CUfunction *function, CUmodule module, const char *name)
{
    (void)module;
    Dl_info info;
    void *self = NULL;
    if (dladdr((void *)cuInit, &info) != 0) {
        self = dlopen(info.dli_fname, RTLD_LAZY | RTLD_NOLOAD);
    }
    *function = self != NULL ? (CUfunction)dlsym(self, name) : NULL;
    if (self != NULL) {
        dlclose(self);
    }
    return *function != NULL ? CUDA_SUCCESS : CUDA_ERROR_NOT_FOUND;
}
CUresult cuFuncSetAttribute(CUfunction function, CUfunction_attribute attribute, int value)
{
    (void)function;
    (void)attribute;
    return value <= 232448 ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}

static CUresult record(struct CUgraph_st *graph, const struct emu_request *request)
{
    if (graph->n == graph->capacity) {
        graph->capacity = graph->capacity == 0 ? 64 : 2 * graph->capacity;
        graph->requests = realloc(graph->requests, graph->capacity * sizeof *request);
    }
    graph->requests[graph->n++] = *request;
    return CUDA_SUCCESS;
}

CUresult cuLaunchKernelEx(const CUlaunchConfig *config, CUfunction function, void **arguments,
                          void **extra)
{
    (void)extra;
    struct emu_request request = {.kernel = (emu_kernel)(void *)function,
                                  .grid = {config->gridDimX, config->gridDimY, config->gridDimZ},
                                  .n_threads = config->blockDimX,
                                  .shared_bytes = config->sharedMemBytes};
    for (unsigned int i = 0; i < config->numAttrs; i++) {
        request.is_cooperative |= config->attrs[i].id == CU_LAUNCH_ATTRIBUTE_COOPERATIVE;
    }
    memcpy(request.params, arguments[0], sizeof request.params);
    if (request.is_cooperative &&
        request.grid[0] > (uint32_t)setting("JB_EMULATED_PROCESSORS", 8)) {
        return CUDA_ERROR_COOPERATIVE_LAUNCH_TOO_LARGE;
    }
    if (recording != NULL) {
        return record(recording, &request);
    }
    emu_launch(&request);
    return CUDA_SUCCESS;
}
CUresult cuStreamBeginCapture_v2(CUstream stream, CUstreamCaptureMode mode)
{
    (void)stream;
    (void)mode;
    recording = calloc(1, sizeof *recording);
    return recording != NULL ? CUDA_SUCCESS : CUDA_ERROR_OUT_OF_MEMORY;
}
CUresult cuStreamEndCapture(CUstream stream, CUgraph *graph)
{
    (void)stream;
    *graph = recording;
    recording = NULL;
    return CUDA_SUCCESS;
}
/* A graph and what is made of it are the same thing here; the second frees it. */
CUresult cuGraphInstantiateWithFlags(CUgraphExec *exec, CUgraph graph, unsigned long long flags)
{
    (void)flags;
    *exec = (CUgraphExec)graph;
    return CUDA_SUCCESS;
}
CUresult cuGraphLaunch(CUgraphExec exec, CUstream stream)
{
    (void)stream;
    const struct CUgraph_st *graph = (const struct CUgraph_st *)exec;
    for (size_t i = 0; i < graph->n; i++) {
        emu_launch(&graph->requests[i]);
    }
    return CUDA_SUCCESS;
}
CUresult cuGraphDestroy(CUgraph graph)
{
    (void)graph;
    return CUDA_SUCCESS;
}
CUresult cuGraphExecDestroy(CUgraphExec exec)
{
    struct CUgraph_st *graph = (struct CUgraph_st *)exec;
    free(graph->requests);
    free(graph);
    return CUDA_SUCCESS;
}
CUresult cuGetErrorName(CUresult error, const char **name)
{
    (void)error;
    *name = "CUDA_ERROR_EMULATED";
    return CUDA_SUCCESS;
}
CUresult cuGetErrorString(CUresult error, const char **text)
{
    (void)error;
    *text = "an error of the emulator";
    return CUDA_SUCCESS;
}
/* NOLINTEND(readability-inconsistent-declaration-parameter-name) */
