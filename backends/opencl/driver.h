/* SPDX-License-Identifier: MIT */
#ifndef JB_OPENCL_DRIVER_H
#define JB_OPENCL_DRIVER_H

/* The OpenCL loader, opened at run time, so that one binary also runs where it is not there. Types
 * come from the headers of the build, code from the machine's library. */

#define CL_TARGET_OPENCL_VERSION 120
#include <CL/cl.h>

#include "platforms/base/status.h"

#define JB_OPENCL_FUNCTIONS(F)                                                                     \
    F(clGetPlatformIDs)                                                                            \
    F(clGetPlatformInfo)                                                                           \
    F(clGetDeviceIDs)                                                                              \
    F(clGetDeviceInfo)                                                                             \
    F(clCreateSubDevices)                                                                          \
    F(clReleaseDevice)                                                                             \
    F(clCreateContext)                                                                             \
    F(clReleaseContext)                                                                            \
    F(clCreateCommandQueue)                                                                        \
    F(clReleaseCommandQueue)                                                                       \
    F(clCreateBuffer)                                                                              \
    F(clCreateSubBuffer)                                                                           \
    F(clReleaseMemObject)                                                                          \
    F(clCreateProgramWithSource)                                                                   \
    F(clBuildProgram)                                                                              \
    F(clGetProgramBuildInfo)                                                                       \
    F(clReleaseProgram)                                                                            \
    F(clCreateKernel)                                                                              \
    F(clReleaseKernel)                                                                             \
    F(clSetKernelArg)                                                                              \
    F(clEnqueueNDRangeKernel)                                                                      \
    F(clEnqueueWriteBuffer)                                                                        \
    F(clEnqueueReadBuffer)                                                                         \
    F(clEnqueueWriteBufferRect)                                                                    \
    F(clEnqueueReadBufferRect)                                                                     \
    F(clEnqueueFillBuffer)                                                                         \
    F(clFlush)                                                                                     \
    F(clFinish)

struct jb_opencl_api {
#define MEMBER(name) __typeof__(name) *(name);
    JB_OPENCL_FUNCTIONS(MEMBER)
#undef MEMBER
};

/* Opens the loader, and leaves it open: drivers keep threads that would lose their code.
 * @return NODEV: there is none; NOTSUP: one older than OpenCL 1.2. */
enum jb_status jb_opencl_api_open(struct jb_opencl_api *ret_api) JB_MUST_CHECK;

/* Records the name of an error and returns the status that fits: NOMEM for memory, DEVICE for the
 * rest. */
enum jb_status jb_opencl_fail(cl_int error, const char *what);

#endif
