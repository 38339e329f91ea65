/* SPDX-License-Identifier: MIT */
#ifndef JB_CUDA_DEVICE_H
#define JB_CUDA_DEVICE_H

/* What the files of this backend share: the open device. Not for anyone else. */

#include "backends/backend.h"
#include "backends/cuda/driver.h"
#include "backends/cuda/kernels.h"

/* Activation rows that the streaming kernels take; more go through the matrix library. */
#define JB_CUDA_FEW_COLUMNS 32u
#define JB_CUDA_MAX_GRAPHS 64u

/* Fixed kernels, by name in the module; few-row products are looked up by their own names. */
#define JB_CUDA_KERNELS(K)                                                                         \
    K(plain_matmul)                                                                                \
    K(run_norm)                                                                                    \
    K(run_elementwise)                                                                             \
    K(run_embed)                                                                                   \
    K(run_rope)                                                                                    \
    K(run_kv_store)                                                                                \
    K(attention_1)                                                                                 \
    K(attention_4)                                                                                 \
    K(attention_8)                                                                                 \
    K(run_select)                                                                                  \
    K(run_argmax)                                                                                  \
    K(run_tile)                                                                                    \
    K(run_untile)

struct jb_cuda_slot {
    CUdeviceptr values;    /* (rows, width) float32                                  */
    CUdeviceptr packed[2]; /* [plane][rows][width] half, bfloat16; 0 = nobody reads it */
    bool needs_values, needs_packed[2];
    uint32_t planes[2];
};

/* One launch of the step's list; which ops it does. */
struct jb_cuda_action {
    uint32_t op;       /* op of the program, the first if fused          */
    uint32_t last_op;  /* last op it includes                            */
    int32_t up;        /* gate and up in one: op of the up projection; -1 */
    uint16_t dst;      /* slot written                                   */
    uint16_t residual; /* slot added, or JB_NO_SLOT                      */
};

/* A product in the matrix library for one (weight, rows of x). */
struct jb_cuda_product {
    uint32_t rows, cols, n;
    cudaDataType_t type;
    bool has_residual;
    cublasLtMatmulDesc_t desc;
    cublasLtMatrixLayout_t a, b, d;
    cublasLtMatmulAlgo_t algo;
    struct jb_cuda_product *next;
};

struct jb_device {
    struct jb_cuda_api api;
    CUdevice device;
    bool has_context;
    uint32_t n_processors, compute; /* compute capability x 10: 90 */
    CUmodule module;
    CUstream stream;
#define MEMBER(name) CUfunction name;
    JB_CUDA_KERNELS(MEMBER)
#undef MEMBER
    CUfunction few[JB_CUDA_N_FORMS][4][2]; /* form, size as in take_kernels, one weight or a pair */
    struct jb_load_args load;
    struct jb_cuda_weight *weights;    /* (n_tensors,) */
    struct jb_cuda_weight *raw_tables; /* (n_tensors,) rows to look up, where the weight is tiled */
    struct jb_cuda_slot *slots;        /* (n_slots,) */
    struct jb_cuda_action *few_actions, *many_actions;
    uint32_t n_few, n_many;
    CUdeviceptr *allocations; /* everything taken, freed by close */
    uint32_t n_allocations, allocation_capacity;
    struct jb_cuda_kv *kv; /* (n_layers,) */
    CUdeviceptr inv_freq, rows_device, ids, partial, arrived, attention_partial, attention_arrived;
    CUdeviceptr untiled, workspace;
    uint64_t partial_values;
    uint32_t *rows_host;      /* pinned: ids, pos, slot, outputs */
    int32_t *ids_host;        /* pinned (max_outputs,) */
    struct jb_cuda_rows rows; /* pointers into rows_device */
    cublasLtHandle_t blas;
    struct jb_cuda_product *products;
    struct {
        uint32_t n_tokens, n_outputs;
        CUgraphExec exec;
    } graphs[JB_CUDA_MAX_GRAPHS];
    uint32_t n_graphs;
    const struct jb_step *step; /* of the step under way */
    uint32_t n_tokens, n_outputs;
};

/* Device memory that close() frees. @return NOMEM with needed and free bytes and `what`. */
enum jb_status jb_cuda_alloc(struct jb_device *dev, uint64_t size, const char *what,
                             CUdeviceptr *ret_memory) JB_MUST_CHECK;

/* Launches one kernel on the device's stream with its parameter block. It may start before its
 * predecessor ended: every kernel waits by itself before it reads what others wrote. */
enum jb_status jb_cuda_launch(struct jb_device *dev, CUfunction kernel, uint32_t x, uint32_t y,
                              uint32_t z, uint32_t threads, const void *params) JB_MUST_CHECK;

/* load.c */
enum jb_status jb_cuda_load_weights(struct jb_device *dev) JB_MUST_CHECK;
/* schedule.c: fills the action lists and says which slots need which forms. */
enum jb_status jb_cuda_schedule(struct jb_device *dev) JB_MUST_CHECK;
/* execute.c */
/* Attention kernel for heads of this size; NULL if there is none. */
CUfunction jb_cuda_attention_kernel(const struct jb_device *dev, uint32_t head_dim);
enum jb_status jb_cuda_execute(struct jb_device *dev, const struct jb_step *step) JB_MUST_CHECK;
/* blas.c: y (n, rows) = W x (+ y if has_residual); x and w half or bfloat16 or float, y float. */
enum jb_status jb_cuda_product_run(struct jb_device *dev, CUdeviceptr w, CUdeviceptr x,
                                   CUdeviceptr y, uint32_t rows, uint32_t cols, uint32_t n,
                                   cudaDataType_t type, bool has_residual) JB_MUST_CHECK;
void jb_cuda_products_free(struct jb_device *dev);

#define JB_CUDA_WORKSPACE_BYTES ((uint64_t)32 << 20)

#endif
