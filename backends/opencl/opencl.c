/* SPDX-License-Identifier: MIT */
/* The backend "opencl": any OpenCL 1.2 device. Kernels are compiled by the device's driver when a
 * plan is loaded; no extension is needed. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "backends/opencl/device.h"

static const struct jb_option options[] = {
    {.key = "kernels",
     .unit = "",
     .fallback = "auto",
     .help = "how kernels share work: gpu, groups of items and tiles in local memory; cpu, one "
             "item a group and long vectors; auto, by the device's type"},
    {.key = NULL},
};

static const struct jb_opencl_tuning tunings[] = {
    {.name = "cpu",
     .group = 1,
     .share = 1,
     .sets = 1,
     .rows = 2,
     .is_wide = true,
     .elements = 8,
     .query_rows = 16},
    {.name = "gpu",
     .group = 128,
     .share = 32,
     .sets = 4,
     .rows = 2,
     .is_wide = false,
     .elements = 64,
     .query_rows = 16},
};
enum { TUNING_CPU, TUNING_GPU };

static enum jb_status read_tuning(const struct jb_open_args *args, cl_device_type type,
                                  const struct jb_opencl_tuning **ret_tuning)
{
    const char *text = options[0].fallback;
    for (uint32_t i = 0; i < args->n_settings; i++) {
        text = strcmp(args->settings[i].key, options[0].key) == 0 ? args->settings[i].value : text;
    }
    if (strcmp(text, "auto") == 0) {
        *ret_tuning = &tunings[(type & CL_DEVICE_TYPE_CPU) != 0 ? TUNING_CPU : TUNING_GPU];
        return JB_OK;
    }
    for (size_t i = 0; i < sizeof tunings / sizeof tunings[0]; i++) {
        if (strcmp(text, tunings[i].name) == 0) {
            *ret_tuning = &tunings[i];
            return JB_OK;
        }
    }
    return jb_fail(JB_E_INVAL, "opencl: --set kernels=%s: auto, cpu and gpu are known", text);
}

/* Most OpenCL accelerators that are neither CPU nor GPU are FPGA cards. */
static enum jb_platform platform_of(cl_device_type type)
{
    return (type & CL_DEVICE_TYPE_GPU) != 0           ? JB_GPU
           : (type & CL_DEVICE_TYPE_ACCELERATOR) != 0 ? JB_FPGA
                                                      : JB_CPU;
}

static enum jb_status choose(const struct jb_open_args *args, struct jb_opencl_api *api,
                             struct jb_opencl_choice *choice,
                             const struct jb_opencl_tuning **ret_tuning)
{
    enum jb_status status = jb_opencl_api_open(api);
    if (status == JB_OK) {
        status = jb_opencl_choose(api, args->device, choice);
    }
    return status == JB_OK ? read_tuning(args, choice->type, ret_tuning) : status;
}

static enum jb_status opencl_probe(const struct jb_open_args *args, struct jb_probe *ret_probe)
{
    struct jb_opencl_api api;
    struct jb_opencl_choice choice;
    const struct jb_opencl_tuning *tuning = NULL;
    const enum jb_status status = choose(args, &api, &choice, &tuning);
    if (status != JB_OK) {
        return status;
    }
    struct jb_probe probe = {.platform = platform_of(choice.type), .n_devices = 1};
    char which[32] = "";
    cl_ulong memory = 0;
    (void)api.clGetDeviceInfo(choice.device, CL_DEVICE_GLOBAL_MEM_SIZE, sizeof memory, &memory,
                              NULL);
    if (choice.n_devices > 1) {
        (void)snprintf(which, sizeof which, ", %u of 0-%u", choice.index, choice.n_devices - 1);
    }
    (void)snprintf(probe.device, sizeof probe.device, "%.48s (%.56s%s)", choice.name, choice.driver,
                   which);
    probe.memory_bytes = memory;
    *ret_probe = probe;
    return JB_OK;
}

static void read_limits(struct jb_device *dev)
{
    const struct {
        cl_device_info what;
        size_t size;
        void *to;
    } limits[] = {
        {CL_DEVICE_MAX_COMPUTE_UNITS, sizeof dev->n_processors, &dev->n_processors},
        {CL_DEVICE_GLOBAL_MEM_SIZE, sizeof dev->memory_bytes, &dev->memory_bytes},
        {CL_DEVICE_MAX_MEM_ALLOC_SIZE, sizeof dev->max_buffer_bytes, &dev->max_buffer_bytes},
        {CL_DEVICE_LOCAL_MEM_SIZE, sizeof dev->local_bytes, &dev->local_bytes}};
    for (size_t i = 0; i < sizeof limits / sizeof limits[0]; i++) {
        (void)dev->api.clGetDeviceInfo(dev->choice.device, limits[i].what, limits[i].size,
                                       limits[i].to, NULL);
    }
}

/* A CPU works with as many threads as the harness says, where its driver can be told. */
static void take_share(struct jb_device *dev, uint32_t n_threads)
{
    const cl_device_partition_property shares[] = {CL_DEVICE_PARTITION_BY_COUNTS,
                                                   (cl_device_partition_property)n_threads,
                                                   CL_DEVICE_PARTITION_BY_COUNTS_LIST_END, 0};
    cl_device_id part = NULL;
    if ((dev->choice.type & CL_DEVICE_TYPE_CPU) != 0 && n_threads < dev->n_processors &&
        dev->api.clCreateSubDevices(dev->choice.device, shares, 1, &part, NULL) == CL_SUCCESS) {
        dev->part = part;
        dev->n_processors = n_threads;
    }
}

static enum jb_status check_device(const struct jb_device *dev)
{
    size_t group_size = 0;
    cl_bool has_compiler = CL_FALSE;
    (void)dev->api.clGetDeviceInfo(dev->choice.device, CL_DEVICE_MAX_WORK_GROUP_SIZE,
                                   sizeof group_size, &group_size, NULL);
    (void)dev->api.clGetDeviceInfo(dev->choice.device, CL_DEVICE_COMPILER_AVAILABLE,
                                   sizeof has_compiler, &has_compiler, NULL);
    if (!has_compiler) {
        return jb_fail(JB_E_NOTSUP, "opencl: the driver of '%s' has no compiler", dev->choice.name);
    }
    if (!dev->tuning->is_wide && group_size < 256) {
        return jb_fail(JB_E_NOTSUP,
                       "opencl: '%s' runs groups of %zu items, the gpu kernels have 256: try --set "
                       "kernels=cpu",
                       dev->choice.name, group_size);
    }
    return JB_OK;
}

static void opencl_close(struct jb_device *dev)
{
    if (dev->queue != NULL) {
        (void)dev->api.clFinish(dev->queue);
    }
    jb_opencl_unload(dev);
    jb_opencl_unbuild(dev);
    if (dev->queue != NULL) {
        (void)dev->api.clReleaseCommandQueue(dev->queue);
    }
    if (dev->context != NULL) {
        (void)dev->api.clReleaseContext(dev->context);
    }
    if (dev->part != NULL) {
        (void)dev->api.clReleaseDevice(dev->part);
    }
}

static enum jb_status opencl_open(struct jb_device *dev, const struct jb_open_args *args)
{
    enum jb_status status = choose(args, &dev->api, &dev->choice, &dev->tuning);
    if (status == JB_OK) {
        status = check_device(dev);
    }
    if (status != JB_OK) {
        return status;
    }
    read_limits(dev);
    take_share(dev, args->n_threads);
    cl_device_id device = dev->part != NULL ? dev->part : dev->choice.device;
    cl_int error = CL_SUCCESS;
    dev->context = dev->api.clCreateContext(NULL, 1, &device, NULL, NULL, &error);
    if (error == CL_SUCCESS) {
        dev->queue = dev->api.clCreateCommandQueue(dev->context, device, 0, &error);
    }
    if (error != CL_SUCCESS) {
        opencl_close(dev);
        return jb_opencl_fail(error, "opening the device");
    }
    return JB_OK;
}

static enum jb_status opencl_reset(struct jb_device *dev)
{
    memset(dev->held, 0, dev->load.max_seqs * sizeof *dev->held);
    return JB_OK;
}

extern const struct jb_backend jb_backend_opencl;
const struct jb_backend jb_backend_opencl = {
    .name = "opencl",
    .summary = "any OpenCL 1.2 device: GPUs of all makers, and CPUs",
    .caps = JB_CAP_ASYNC,
    .options = options,
    .device_size = sizeof(struct jb_device),
    .probe = opencl_probe,
    .open = opencl_open,
    .load = jb_opencl_load,
    .step = jb_opencl_step,
    .sync = jb_opencl_sync,
    .reset = opencl_reset,
    .close = opencl_close,
};
