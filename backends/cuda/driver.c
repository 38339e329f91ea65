/* SPDX-License-Identifier: MIT */
#include "backends/cuda/driver.h"

#include <string.h>

#include "platforms/os/os.h"

/* A data pointer from the loader and a function pointer have the same form on every system that
 * has CUDA; C has no cast between them. */
static bool take_symbol(void *library, const char *name, void *ret_function)
{
    void *symbol = jb_dl_symbol(library, name);
    memcpy(ret_function, &symbol, sizeof symbol);
    return symbol != NULL;
}

static const char *missing_driver_symbol(struct jb_cuda_api *api)
{
#define STRING_(x) #x
#define STRING(x) STRING_(x)
#define TAKE(name, symbol)                                                                         \
    if (!take_symbol(api->driver_library, STRING(symbol), &api->name)) {                           \
        return STRING(symbol);                                                                     \
    }
    JB_CUDA_FUNCTIONS(TAKE)
#undef TAKE
    return NULL;
}

static const char *missing_blas_symbol(struct jb_cuda_api *api)
{
#define TAKE(name)                                                                                 \
    if (!take_symbol(api->blas_library, #name, &api->name)) {                                      \
        return #name;                                                                              \
    }
    JB_CUBLAS_FUNCTIONS(TAKE)
#undef TAKE
    return NULL;
}

static enum jb_status start(struct jb_cuda_api *api)
{
    const char *missing = missing_driver_symbol(api);
    if (missing != NULL) {
        return jb_fail(JB_E_NOTSUP, "the NVIDIA driver is too old: it has no %s; CUDA %d.%d needed",
                       missing, CUDA_VERSION / 1000, CUDA_VERSION % 1000 / 10);
    }
    CUresult error = api->cuInit(0);
    if (error == CUDA_ERROR_NO_DEVICE) {
        return jb_fail(JB_E_NODEV, "an NVIDIA driver is there, a GPU is not");
    }
    if (error != CUDA_SUCCESS) {
        return jb_cuda_fail(api, error, "starting the NVIDIA driver");
    }
    int version = 0;
    error = api->cuDriverGetVersion(&version);
    if (error == CUDA_SUCCESS && version / 1000 < CUDA_VERSION / 1000) {
        return jb_fail(JB_E_NOTSUP,
                       "the NVIDIA driver offers CUDA %d.%d, this build needs %d.0: update the "
                       "driver, or build with an older toolkit",
                       version / 1000, version % 1000 / 10, CUDA_VERSION / 1000);
    }
    return JB_OK;
}

enum jb_status jb_cuda_api_open(struct jb_cuda_api *ret_api)
{
    static const char *const names[] = {"libcuda.so.1", "nvcuda.dll", NULL};
    struct jb_cuda_api api = {.driver_library = jb_dl_open(names)};
    if (api.driver_library == NULL) {
        return jb_fail(JB_E_NODEV, "no NVIDIA driver: libcuda.so.1 cannot be opened");
    }
    const enum jb_status status = start(&api);
    if (status != JB_OK) {
        jb_dl_close(api.driver_library);
        return status;
    }
    *ret_api = api;
    return JB_OK;
}

#define MAJOR_STRING_(major) #major
#define MAJOR_STRING(major) MAJOR_STRING_(major)
#define BLAS_NAME "libcublasLt.so." MAJOR_STRING(CUBLAS_VER_MAJOR)

enum jb_status jb_cuda_blas_open(struct jb_cuda_api *api)
{
    static const char *const names[] = {BLAS_NAME, "/usr/local/cuda/lib64/" BLAS_NAME,
                                        "/usr/local/cuda/targets/x86_64-linux/lib/" BLAS_NAME,
                                        "/usr/local/cuda/lib/" BLAS_NAME, NULL};
    api->blas_library = jb_dl_open(names);
    if (api->blas_library == NULL) {
        return jb_fail(JB_E_NODEV,
                       "the matrix library %s is missing: install CUDA's cuBLAS, or put its folder "
                       "into LD_LIBRARY_PATH",
                       BLAS_NAME);
    }
    const char *missing = missing_blas_symbol(api);
    if (missing != NULL) {
        return jb_fail(JB_E_NOTSUP, "%s has no %s", BLAS_NAME, missing);
    }
    return JB_OK;
}

void jb_cuda_api_close(struct jb_cuda_api *api)
{
    jb_dl_close(api->blas_library);
    jb_dl_close(api->driver_library);
    *api = (struct jb_cuda_api){.driver_library = NULL};
}

enum jb_status jb_cuda_fail(const struct jb_cuda_api *api, CUresult error, const char *what)
{
    const char *name = "unknown error", *text = "";
    (void)api->cuGetErrorName(error, &name);
    (void)api->cuGetErrorString(error, &text);
    const enum jb_status code = error == CUDA_ERROR_OUT_OF_MEMORY ? JB_E_NOMEM : JB_E_DEVICE;
    return jb_fail(code, "%s: %s (%s)", what, text, name);
}
