/* SPDX-License-Identifier: MIT */
/* Compiles the kernels: one program for all but products, one for each weight format in use. The
 * programs do not depend on the model, so that a driver's own cache knows them the next time. */
#include <stdio.h>
#include <string.h>

#include "backends/opencl/device.h"
#include "backends/opencl/source.h"

/* The compiler's first complaint, or its first line. */
static enum jb_status fail_build(struct jb_device *dev, cl_device_id device, cl_program program,
                                 cl_int error)
{
    static char no_log[] = "no build log";
    char log[4096] = "";
    (void)dev->api.clGetProgramBuildInfo(program, device, CL_PROGRAM_BUILD_LOG, sizeof log - 1, log,
                                         NULL);
    char *line = strstr(log, "error:");
    line = line != NULL ? line : log + strspn(log, " \r\n\t");
    line[strcspn(line, "\r\n")] = '\0';
    return jb_fail(JB_E_DEVICE, "opencl: the compiler of '%s' refuses the kernels (%d): %s",
                   dev->choice.driver, (int)error, line[0] != '\0' ? line : no_log);
}

static enum jb_status build(struct jb_device *dev, const struct jb_opencl_source *source,
                            const char *format, cl_program *ret_program)
{
    const struct jb_opencl_tuning *t = dev->tuning;
    cl_device_id device = dev->part != NULL ? dev->part : dev->choice.device;
    char options[160];
    (void)snprintf(options, sizeof options,
                   "-cl-std=CL1.2 -DGROUP=%u -DWIDE=%d -DSHARE=%u -DSETS=%u -DROWS=%u -D%s=1",
                   t->group, t->is_wide ? 1 : 0, t->share, t->sets, t->rows, format);
    cl_int error = CL_SUCCESS;
    /* The API reads the lines and keeps them as they are; it has no const there. */
    const char **lines = (const char **)(uintptr_t)source->lines;
    cl_program program =
        dev->api.clCreateProgramWithSource(dev->context, source->n_lines, lines, NULL, &error);
    if (error != CL_SUCCESS) {
        return jb_opencl_fail(error, "taking the kernels' source");
    }
    *ret_program = program;
    error = dev->api.clBuildProgram(program, 1, &device, options, NULL, NULL);
    return error == CL_SUCCESS ? JB_OK : fail_build(dev, device, program, error);
}

static enum jb_status take_kernel(struct jb_device *dev, cl_program program, const char *name,
                                  cl_kernel *ret_kernel)
{
    cl_int error = CL_SUCCESS;
    cl_kernel kernel = dev->api.clCreateKernel(program, name, &error);
    if (error != CL_SUCCESS) {
        return jb_opencl_fail(error, name);
    }
    *ret_kernel = kernel;
    return JB_OK;
}

static enum jb_status build_steps(struct jb_device *dev)
{
    const enum jb_dtype kv = dev->load.plan->kv_dtype;
    const char *format = kv == JB_F32 ? "KV_F32" : kv == JB_F16 ? "KV_F16" : "KV_Q8_0";
    enum jb_status status = build(dev, &jb_opencl_steps, format, &dev->program);
#define TAKE(name)                                                                                 \
    if (status == JB_OK) {                                                                         \
        status = take_kernel(dev, dev->program, #name, &dev->name);                                \
    }
    JB_OPENCL_KERNELS(TAKE)
#undef TAKE
    return status;
}

static enum jb_status build_products(struct jb_device *dev, enum jb_dtype dtype)
{
    static const char *const few[JB_OPENCL_N_FEW] = {"run_few_1", "run_few_2", "run_few_4",
                                                     "run_few_8"};
    static const char *const formats[JB_N_DTYPES] = {
        [JB_F32] = "FORMAT_F32",   [JB_F16] = "FORMAT_F16",   [JB_BF16] = "FORMAT_BF16",
        [JB_Q8_0] = "FORMAT_Q8_0", [JB_Q4_0] = "FORMAT_Q4_0", [JB_Q4_1] = "FORMAT_Q4_1",
        [JB_Q4_K] = "FORMAT_Q4_K", [JB_Q6_K] = "FORMAT_Q6_K"};
    struct jb_opencl_products *products = &dev->products[dtype];
    enum jb_status status = build(dev, &jb_opencl_matmul, formats[dtype], &products->program);
    if (status == JB_OK) {
        status = take_kernel(dev, products->program, "run_embed", &products->embed);
    }
    for (uint32_t i = 0; status == JB_OK && i < JB_OPENCL_N_FEW; i++) {
        status = take_kernel(dev, products->program, few[i], &products->few[i]);
    }
    if (status == JB_OK && !dev->tuning->is_wide) {
        status = take_kernel(dev, products->program, "run_many", &products->many);
    }
    return status;
}

static bool is_matrix(enum jb_op_kind kind)
{
    return kind == JB_OP_MATMUL || kind == JB_OP_EMBED || kind == JB_OP_POSEMBED;
}

enum jb_status jb_opencl_build(struct jb_device *dev)
{
    const struct jb_plan *plan = dev->load.plan;
    enum jb_status status = build_steps(dev);
    for (uint32_t p = 0; p < plan->n_programs; p++) {
        for (uint32_t i = 0; status == JB_OK && i < plan->programs[p].n_ops; i++) {
            const struct jb_op *op = &plan->programs[p].ops[i];
            if (is_matrix(op->kind) &&
                dev->products[plan->tensors[op->weight].dtype].program == NULL) {
                status = build_products(dev, plan->tensors[op->weight].dtype);
            }
        }
    }
    return status;
}

static void drop_kernel(struct jb_device *dev, cl_kernel kernel)
{
    if (kernel != NULL) {
        (void)dev->api.clReleaseKernel(kernel);
    }
}

static void drop_program(struct jb_device *dev, cl_program program)
{
    if (program != NULL) {
        (void)dev->api.clReleaseProgram(program);
    }
}

void jb_opencl_unbuild(struct jb_device *dev)
{
#define DROP(name) drop_kernel(dev, dev->name);
    JB_OPENCL_KERNELS(DROP)
#undef DROP
    drop_program(dev, dev->program);
    for (int d = 0; d < JB_N_DTYPES; d++) {
        struct jb_opencl_products *products = &dev->products[d];
        drop_kernel(dev, products->embed);
        drop_kernel(dev, products->many);
        for (uint32_t i = 0; i < JB_OPENCL_N_FEW; i++) {
            drop_kernel(dev, products->few[i]);
        }
        drop_program(dev, products->program);
    }
}
