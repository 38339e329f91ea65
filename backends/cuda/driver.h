/* SPDX-License-Identifier: MIT */
#ifndef JB_CUDA_DRIVER_H
#define JB_CUDA_DRIVER_H

/* The CUDA driver and the matrix library, opened at run time, so that one binary also runs where
 * neither is there. Types come from the toolkit's headers, code from the machine's libraries. */

#include <cublasLt.h>
#include <cuda.h>

#include "platforms/base/status.h"

/* Versioned names are what cuda.h maps the plain ones to. */
#define JB_CUDA_FUNCTIONS(F)                                                                       \
    F(cuInit, cuInit)                                                                              \
    F(cuDriverGetVersion, cuDriverGetVersion)                                                      \
    F(cuDeviceGetCount, cuDeviceGetCount)                                                          \
    F(cuDeviceGet, cuDeviceGet)                                                                    \
    F(cuDeviceGetName, cuDeviceGetName)                                                            \
    F(cuDeviceGetAttribute, cuDeviceGetAttribute)                                                  \
    F(cuDeviceTotalMem, cuDeviceTotalMem_v2)                                                       \
    F(cuDevicePrimaryCtxRetain, cuDevicePrimaryCtxRetain)                                          \
    F(cuDevicePrimaryCtxRelease, cuDevicePrimaryCtxRelease_v2)                                     \
    F(cuCtxSetCurrent, cuCtxSetCurrent)                                                            \
    F(cuMemGetInfo, cuMemGetInfo_v2)                                                               \
    F(cuMemAlloc, cuMemAlloc_v2)                                                                   \
    F(cuMemFree, cuMemFree_v2)                                                                     \
    F(cuMemAllocHost, cuMemAllocHost_v2)                                                           \
    F(cuMemFreeHost, cuMemFreeHost)                                                                \
    F(cuMemcpyHtoDAsync, cuMemcpyHtoDAsync_v2)                                                     \
    F(cuMemcpyDtoHAsync, cuMemcpyDtoHAsync_v2)                                                     \
    F(cuMemsetD8Async, cuMemsetD8Async)                                                            \
    F(cuStreamCreate, cuStreamCreate)                                                              \
    F(cuStreamDestroy, cuStreamDestroy_v2)                                                         \
    F(cuStreamSynchronize, cuStreamSynchronize)                                                    \
    F(cuEventCreate, cuEventCreate)                                                                \
    F(cuEventDestroy, cuEventDestroy_v2)                                                           \
    F(cuEventRecord, cuEventRecord)                                                                \
    F(cuEventSynchronize, cuEventSynchronize)                                                      \
    F(cuModuleLoadData, cuModuleLoadData)                                                          \
    F(cuModuleUnload, cuModuleUnload)                                                              \
    F(cuModuleGetFunction, cuModuleGetFunction)                                                    \
    F(cuFuncSetAttribute, cuFuncSetAttribute)                                                      \
    F(cuLaunchKernelEx, cuLaunchKernelEx)                                                          \
    F(cuStreamBeginCapture, cuStreamBeginCapture_v2)                                               \
    F(cuStreamEndCapture, cuStreamEndCapture)                                                      \
    F(cuGraphInstantiate, cuGraphInstantiateWithFlags)                                             \
    F(cuGraphLaunch, cuGraphLaunch)                                                                \
    F(cuGraphDestroy, cuGraphDestroy)                                                              \
    F(cuGraphExecDestroy, cuGraphExecDestroy)                                                      \
    F(cuGetErrorName, cuGetErrorName)                                                              \
    F(cuGetErrorString, cuGetErrorString)

#define JB_CUBLAS_FUNCTIONS(F)                                                                     \
    F(cublasLtCreate)                                                                              \
    F(cublasLtDestroy)                                                                             \
    F(cublasLtMatmul)                                                                              \
    F(cublasLtMatmulDescCreate)                                                                    \
    F(cublasLtMatmulDescDestroy)                                                                   \
    F(cublasLtMatmulDescSetAttribute)                                                              \
    F(cublasLtMatrixLayoutCreate)                                                                  \
    F(cublasLtMatrixLayoutDestroy)                                                                 \
    F(cublasLtMatmulPreferenceCreate)                                                              \
    F(cublasLtMatmulPreferenceDestroy)                                                             \
    F(cublasLtMatmulPreferenceSetAttribute)                                                        \
    F(cublasLtMatmulAlgoGetHeuristic)

/* A member cannot stand in parentheses. NOLINTBEGIN(bugprone-macro-parentheses) */
struct jb_cuda_api {
    void *driver_library, *blas_library;
#define MEMBER(name, symbol) __typeof__(symbol) *name;
    JB_CUDA_FUNCTIONS(MEMBER)
#undef MEMBER
#define MEMBER(name) __typeof__(name) *name;
    JB_CUBLAS_FUNCTIONS(MEMBER)
#undef MEMBER
};
/* NOLINTEND(bugprone-macro-parentheses) */

/* Opens libcuda and starts the driver. @return NODEV: no driver library, or no GPU; NOTSUP: a
 * driver too old for this build, naming both versions; DEVICE: the driver does not start. */
enum jb_status jb_cuda_api_open(struct jb_cuda_api *ret_api) JB_MUST_CHECK;
/* Opens cublasLt beside. @return NODEV naming the file that is missing. */
enum jb_status jb_cuda_blas_open(struct jb_cuda_api *api) JB_MUST_CHECK;
void jb_cuda_api_close(struct jb_cuda_api *api);

/* Records what the driver says of an error and returns the status that fits: NOMEM for memory,
 * DEVICE for the rest. */
enum jb_status jb_cuda_fail(const struct jb_cuda_api *api, CUresult error, const char *what);

#endif
