/* SPDX-License-Identifier: MIT */
/* Products with many activation rows, through cublasLt. Plans are made once a shape. */
#include <stdlib.h>

#include "backends/cuda/device.h"

static enum jb_status blas_fail(cublasStatus_t status, const char *what)
{
    return jb_fail(status == CUBLAS_STATUS_ALLOC_FAILED ? JB_E_NOMEM : JB_E_DEVICE,
                   "cublasLt: %s failed (status %d)", what, (int)status);
}

/* Row-major y (n, rows) = x (n, cols) W^T (cols, rows) is column-major
 * y^T (rows, n) = W (transposed of a cols x rows matrix) x^T (cols, n). */
static cublasStatus_t describe(const struct jb_cuda_api *api, struct jb_cuda_product *p)
{
    const cublasOperation_t transposed = CUBLAS_OP_T;
    const cublasComputeType_t compute =
        p->type == CUDA_R_32F ? CUBLAS_COMPUTE_32F_PEDANTIC : CUBLAS_COMPUTE_32F;
    cublasStatus_t status = api->cublasLtMatmulDescCreate(&p->desc, compute, CUDA_R_32F);
    if (status == CUBLAS_STATUS_SUCCESS) {
        status = api->cublasLtMatmulDescSetAttribute(p->desc, CUBLASLT_MATMUL_DESC_TRANSA,
                                                     &transposed, sizeof transposed);
    }
    if (status == CUBLAS_STATUS_SUCCESS) {
        status = api->cublasLtMatrixLayoutCreate(&p->a, p->type, p->cols, p->rows, p->cols);
    }
    if (status == CUBLAS_STATUS_SUCCESS) {
        status = api->cublasLtMatrixLayoutCreate(&p->b, p->type, p->cols, p->n, p->cols);
    }
    if (status == CUBLAS_STATUS_SUCCESS) {
        status = api->cublasLtMatrixLayoutCreate(&p->d, CUDA_R_32F, p->rows, p->n, p->rows);
    }
    return status;
}

static enum jb_status choose(struct jb_device *dev, struct jb_cuda_product *p)
{
    const struct jb_cuda_api *api = &dev->api;
    const uint64_t workspace = JB_CUDA_WORKSPACE_BYTES;
    cublasLtMatmulPreference_t preference = NULL;
    cublasLtMatmulHeuristicResult_t result;
    int n_found = 0;
    cublasStatus_t status = describe(api, p);
    if (status != CUBLAS_STATUS_SUCCESS) {
        return blas_fail(status, "describing a product");
    }
    status = api->cublasLtMatmulPreferenceCreate(&preference);
    if (status == CUBLAS_STATUS_SUCCESS) {
        status = api->cublasLtMatmulPreferenceSetAttribute(
            preference, CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, &workspace, sizeof workspace);
    }
    if (status == CUBLAS_STATUS_SUCCESS) {
        status = api->cublasLtMatmulAlgoGetHeuristic(dev->blas, p->desc, p->a, p->b, p->d, p->d,
                                                     preference, 1, &result, &n_found);
    }
    if (preference != NULL) {
        (void)api->cublasLtMatmulPreferenceDestroy(preference);
    }
    if (status != CUBLAS_STATUS_SUCCESS || n_found == 0) {
        return blas_fail(status, "choosing an algorithm");
    }
    p->algo = result.algo;
    return JB_OK;
}

static void product_free(const struct jb_cuda_api *api, struct jb_cuda_product *p)
{
    if (p->d != NULL) {
        (void)api->cublasLtMatrixLayoutDestroy(p->d);
    }
    if (p->b != NULL) {
        (void)api->cublasLtMatrixLayoutDestroy(p->b);
    }
    if (p->a != NULL) {
        (void)api->cublasLtMatrixLayoutDestroy(p->a);
    }
    if (p->desc != NULL) {
        (void)api->cublasLtMatmulDescDestroy(p->desc);
    }
    free(p);
}

static enum jb_status product_of(struct jb_device *dev, uint32_t rows, uint32_t cols, uint32_t n,
                                 cudaDataType_t type, struct jb_cuda_product **ret_product)
{
    for (struct jb_cuda_product *p = dev->products; p != NULL; p = p->next) {
        if (p->rows == rows && p->cols == cols && p->n == n && p->type == type) {
            *ret_product = p;
            return JB_OK;
        }
    }
    struct jb_cuda_product *p = calloc(1, sizeof *p);
    if (p == NULL) {
        return jb_fail(JB_E_NOMEM, "no memory for the plan of a product");
    }
    *p = (struct jb_cuda_product){.rows = rows, .cols = cols, .n = n, .type = type};
    const enum jb_status status = choose(dev, p);
    if (status != JB_OK) {
        product_free(&dev->api, p);
        return status;
    }
    p->next = dev->products;
    dev->products = p;
    *ret_product = p;
    return JB_OK;
}

enum jb_status jb_cuda_product_run(struct jb_device *dev, CUdeviceptr w, CUdeviceptr x,
                                   CUdeviceptr y, uint32_t rows, uint32_t cols, uint32_t n,
                                   cudaDataType_t type, bool has_residual)
{
    struct jb_cuda_product *p = NULL;
    const enum jb_status found = product_of(dev, rows, cols, n, type, &p);
    if (found != JB_OK || p == NULL) {
        return found;
    }
    const float one = 1.0F, beta = has_residual ? 1.0F : 0.0F;
    const cublasStatus_t status = dev->api.cublasLtMatmul(
        dev->blas, p->desc, &one, (const void *)w, p->a, (const void *)x, p->b, &beta,
        (const void *)y, p->d, (void *)y, p->d, &p->algo, (void *)dev->workspace,
        JB_CUDA_WORKSPACE_BYTES, (cudaStream_t)dev->stream);
    return status == CUBLAS_STATUS_SUCCESS ? JB_OK : blas_fail(status, "a product");
}

void jb_cuda_products_free(struct jb_device *dev)
{
    while (dev->products != NULL) {
        struct jb_cuda_product *next = dev->products->next;
        product_free(&dev->api, dev->products);
        dev->products = next;
    }
}
