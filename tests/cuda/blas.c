/* SPDX-License-Identifier: MIT */
/* The few calls of cublasLt that the backend makes, in plain loops: column-major
 * D (rows, n) = A^T (rows, cols) B (cols, n) + beta C, float32 sums. */
#include <cublasLt.h>
#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

struct layout {
    cudaDataType_t type;
    uint64_t rows, cols;
    int64_t stride;
};

/* The library calls its parameters by names of its own.
 * NOLINTBEGIN(readability-inconsistent-declaration-parameter-name) */
cublasStatus_t cublasLtCreate(cublasLtHandle_t *handle)
{
    *handle = NULL;
    return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasLtDestroy(cublasLtHandle_t handle)
{
    (void)handle;
    return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasLtMatmulDescCreate(cublasLtMatmulDesc_t *desc, cublasComputeType_t compute,
                                        cudaDataType_t scale)
{
    (void)compute;
    (void)scale;
    *desc = calloc(1, 8);
    return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasLtMatmulDescDestroy(cublasLtMatmulDesc_t desc)
{
    free(desc);
    return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasLtMatmulDescSetAttribute(cublasLtMatmulDesc_t desc,
                                              cublasLtMatmulDescAttributes_t attribute,
                                              const void *value, size_t size)
{
    (void)desc;
    (void)value;
    (void)size;
    return attribute == CUBLASLT_MATMUL_DESC_TRANSA ? CUBLAS_STATUS_SUCCESS
                                                    : CUBLAS_STATUS_INVALID_VALUE;
}
cublasStatus_t cublasLtMatrixLayoutCreate(cublasLtMatrixLayout_t *layout, cudaDataType_t type,
                                          uint64_t rows, uint64_t cols, int64_t stride)
{
    struct layout *l = malloc(sizeof *l);
    *l = (struct layout){type, rows, cols, stride};
    *layout = (cublasLtMatrixLayout_t)l;
    return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasLtMatrixLayoutDestroy(cublasLtMatrixLayout_t layout)
{
    free(layout);
    return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasLtMatmulPreferenceCreate(cublasLtMatmulPreference_t *preference)
{
    *preference = malloc(8);
    return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasLtMatmulPreferenceDestroy(cublasLtMatmulPreference_t preference)
{
    free(preference);
    return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasLtMatmulPreferenceSetAttribute(cublasLtMatmulPreference_t preference,
                                                    cublasLtMatmulPreferenceAttributes_t attribute,
                                                    const void *value, size_t size)
{
    (void)preference;
    (void)attribute;
    (void)value;
    (void)size;
    return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasLtMatmulAlgoGetHeuristic(cublasLtHandle_t handle, cublasLtMatmulDesc_t desc,
                                              cublasLtMatrixLayout_t a, cublasLtMatrixLayout_t b,
                                              cublasLtMatrixLayout_t c, cublasLtMatrixLayout_t d,
                                              cublasLtMatmulPreference_t preference, int n,
                                              cublasLtMatmulHeuristicResult_t *results,
                                              int *n_found)
{
    (void)handle;
    (void)desc;
    (void)a;
    (void)b;
    (void)c;
    (void)d;
    (void)preference;
    memset(results, 0, sizeof *results * (size_t)n);
    *n_found = 1;
    return CUBLAS_STATUS_SUCCESS;
}

static float value_of(cudaDataType_t type, const void *data, uint64_t i)
{
    if (type == CUDA_R_32F) {
        return ((const float *)data)[i];
    }
    const uint16_t bits = ((const uint16_t *)data)[i];
    if (type == CUDA_R_16BF) {
        const uint32_t wide = (uint32_t)bits << 16;
        float f;
        memcpy(&f, &wide, sizeof f);
        return f;
    }
    const int exponent = bits >> 10 & 31; /* finite ones only */
    const int fraction = (bits & 1023) + (exponent > 0 ? 1024 : 0);
    const float size = ldexpf((float)fraction, (exponent > 0 ? exponent : 1) - 25);
    return (bits & 0x8000) != 0 ? -size : size;
}

cublasStatus_t cublasLtMatmul(cublasLtHandle_t handle, cublasLtMatmulDesc_t desc, const void *alpha,
                              const void *a, cublasLtMatrixLayout_t layout_a, const void *b,
                              cublasLtMatrixLayout_t layout_b, const void *beta, const void *c,
                              cublasLtMatrixLayout_t layout_c, void *d,
                              cublasLtMatrixLayout_t layout_d, const cublasLtMatmulAlgo_t *algo,
                              void *workspace, size_t workspace_bytes, cudaStream_t stream)
{
    (void)handle;
    (void)desc;
    (void)layout_c;
    (void)algo;
    (void)workspace;
    (void)workspace_bytes;
    (void)stream;
    const struct layout *la = (const struct layout *)layout_a,
                        *lb = (const struct layout *)layout_b;
    const struct layout *ld = (const struct layout *)layout_d;
    const float scale = *(const float *)alpha, keep = *(const float *)beta;
    for (uint64_t j = 0; j < ld->cols; j++) {
        for (uint64_t i = 0; i < ld->rows; i++) {
            float sum = 0.0F;
            for (uint64_t k = 0; k < la->rows; k++) {
                sum += value_of(la->type, a, i * (uint64_t)la->stride + k) *
                       value_of(lb->type, b, j * (uint64_t)lb->stride + k);
            }
            const uint64_t at = j * (uint64_t)ld->stride + i;
            float *out = (float *)d + at;
            *out = scale * sum + (keep != 0.0F ? keep * ((const float *)c)[at] : 0.0F);
        }
    }
    return CUBLAS_STATUS_SUCCESS;
}
/* NOLINTEND(readability-inconsistent-declaration-parameter-name) */
