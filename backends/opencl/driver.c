/* SPDX-License-Identifier: MIT */
#include "backends/opencl/driver.h"

#include <stdbool.h>
#include <string.h>

#include "platforms/os/os.h"

/* A data pointer from the loader and a function pointer have the same form on every system that
 * has OpenCL; C has no cast between them. */
static bool take_symbol(void *library, const char *name, void *ret_function)
{
    void *symbol = jb_dl_symbol(library, name);
    memcpy(ret_function, &symbol, sizeof symbol);
    return symbol != NULL;
}

enum jb_status jb_opencl_api_open(struct jb_opencl_api *ret_api)
{
    static const char *const names[] = {"libOpenCL.so.1", "OpenCL.dll",
                                        "/System/Library/Frameworks/OpenCL.framework/OpenCL", NULL};
    struct jb_opencl_api api = {0};
    const char *missing = NULL;
    void *library = jb_dl_open(names);
    if (library == NULL) {
        return jb_fail(JB_E_NODEV, "no OpenCL on this machine: libOpenCL.so.1 cannot be opened; "
                                   "install ocl-icd-libopencl1 and a driver, for a CPU "
                                   "pocl-opencl-icd");
    }
#define TAKE(name)                                                                                 \
    if (!take_symbol(library, #name, &api.name)) {                                                 \
        missing = #name;                                                                           \
    }
    JB_OPENCL_FUNCTIONS(TAKE)
#undef TAKE
    if (missing != NULL) {
        return jb_fail(JB_E_NOTSUP, "the OpenCL loader is older than 1.2: it has no %s", missing);
    }
    *ret_api = api;
    return JB_OK;
}

static const struct {
    cl_int error;
    const char *name;
} errors[] = {
    {CL_DEVICE_NOT_FOUND, "CL_DEVICE_NOT_FOUND"},
    {CL_DEVICE_NOT_AVAILABLE, "CL_DEVICE_NOT_AVAILABLE"},
    {CL_COMPILER_NOT_AVAILABLE, "CL_COMPILER_NOT_AVAILABLE"},
    {CL_MEM_OBJECT_ALLOCATION_FAILURE, "CL_MEM_OBJECT_ALLOCATION_FAILURE"},
    {CL_OUT_OF_RESOURCES, "CL_OUT_OF_RESOURCES"},
    {CL_OUT_OF_HOST_MEMORY, "CL_OUT_OF_HOST_MEMORY"},
    {CL_BUILD_PROGRAM_FAILURE, "CL_BUILD_PROGRAM_FAILURE"},
    {CL_EXEC_STATUS_ERROR_FOR_EVENTS_IN_WAIT_LIST, "CL_EXEC_STATUS_ERROR_FOR_EVENTS_IN_WAIT_LIST"},
    {CL_DEVICE_PARTITION_FAILED, "CL_DEVICE_PARTITION_FAILED"},
    {CL_INVALID_VALUE, "CL_INVALID_VALUE"},
    {CL_INVALID_DEVICE, "CL_INVALID_DEVICE"},
    {CL_INVALID_MEM_OBJECT, "CL_INVALID_MEM_OBJECT"},
    {CL_INVALID_KERNEL_NAME, "CL_INVALID_KERNEL_NAME"},
    {CL_INVALID_ARG_INDEX, "CL_INVALID_ARG_INDEX"},
    {CL_INVALID_ARG_SIZE, "CL_INVALID_ARG_SIZE"},
    {CL_INVALID_KERNEL_ARGS, "CL_INVALID_KERNEL_ARGS"},
    {CL_INVALID_WORK_GROUP_SIZE, "CL_INVALID_WORK_GROUP_SIZE"},
    {CL_INVALID_WORK_ITEM_SIZE, "CL_INVALID_WORK_ITEM_SIZE"},
    {CL_INVALID_BUFFER_SIZE, "CL_INVALID_BUFFER_SIZE"},
    {CL_INVALID_GLOBAL_WORK_SIZE, "CL_INVALID_GLOBAL_WORK_SIZE"},
};

enum jb_status jb_opencl_fail(cl_int error, const char *what)
{
    const char *name = "unknown error";
    for (size_t i = 0; i < sizeof errors / sizeof errors[0]; i++) {
        name = errors[i].error == error ? errors[i].name : name;
    }
    const bool is_memory = error == CL_MEM_OBJECT_ALLOCATION_FAILURE ||
                           error == CL_OUT_OF_HOST_MEMORY || error == CL_INVALID_BUFFER_SIZE;
    return jb_fail(is_memory ? JB_E_NOMEM : JB_E_DEVICE, "opencl: %s: %s (%d)", what, name,
                   (int)error);
}
