/* SPDX-License-Identifier: MIT */
#ifndef JB_CUDA_DEVICE_H
#define JB_CUDA_DEVICE_H

/* What the files of this backend share: the open device. Not for anyone else. */

#include "backends/backend.h"
#include "backends/cuda/driver.h"
#include "backends/cuda/kernels.h"
#include "backends/cuda/mega.h"

/* Activation rows that the streaming kernels take; more go through the matrix library. */
#define JB_CUDA_FEW_COLUMNS 32u
#define JB_CUDA_MAX_GRAPHS 64u
/* Two stages of 64 keys and 64 values, padded: flash.cuh. */
#define JB_CUDA_FLASH_BYTES(head_dim) (2 * 64 * (4 * (head_dim) + 80))
#define JB_CUDA_MEGA_MAX_ROWS 16u
#define JB_CUDA_MEGA_MAX_SPLITS 16u
#define JB_CUDA_MEGA_KERNELS 3

/* How a decode step runs. */
enum jb_cuda_engine {
    JB_CUDA_ENGINE_AUTO,   /* a graph                                         */
    JB_CUDA_ENGINE_MEGA,   /* one launch, or load() refuses                    */
    JB_CUDA_ENGINE_GRAPH,  /* a launch an op or two, recorded once             */
    JB_CUDA_ENGINE_STREAM, /* the same, not recorded                           */
    JB_CUDA_N_ENGINES
};

/* What products with F16 and BF16 weights make of float32 activations. Quantised weights always
 * take them rounded to half; sums are float32. */
enum jb_cuda_activations {
    JB_CUDA_ACTIVATIONS_AUTO,   /* few rows: as f32; many rows (prefill): as native          */
    JB_CUDA_ACTIVATIONS_F32,    /* two planes of the weight's type: 22 bits (F16), 16 (BF16) */
    JB_CUDA_ACTIVATIONS_NATIVE, /* rounded once to the weight's type                         */
    JB_CUDA_N_ACTIVATIONS
};

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
    K(flash_64)                                                                                    \
    K(flash_128)                                                                                   \
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

/* The step as one launch: see mega.h. */
struct jb_cuda_mega {
    struct jb_mega_phase *phases; /* (n_phases,) as laid out last */
    uint32_t n_phases, n_blocks, n_warps, least_segments;
    const char *misfit; /* why this model cannot have it; NULL = it can */
    CUdeviceptr phases_device, partial, parts, counters, trace;
    uint64_t n_partial, n_arrived;
    uint32_t *fault;        /* pinned (4,): what a stuck block waited for */
    const char *trace_file; /* NULL = no trace */
    struct jb_mega
        params[JB_CUDA_MEGA_MAX_ROWS + 1]; /* by number of rows; n_slots 0 = does not fit */
    uint32_t last_rows;                    /* of the last step: the trace's */
};

struct jb_device {
    struct jb_cuda_api api;
    CUdevice device;
    bool has_context;
    uint32_t n_processors, compute; /* compute capability x 10: 90 */
    uint32_t shared_bytes;          /* most shared memory a block can have */
    enum jb_cuda_engine engine;
    enum jb_cuda_activations activations;
    struct jb_cuda_mega mega;
    CUfunction mega_kernels[JB_CUDA_MEGA_KERNELS]; /* 8 warps; 16 warps; 8 warps, 16 columns */
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
    CUdeviceptr tiles;        /* struct jb_cuda_row_tile, behind the rows */
    uint32_t n_tiles;
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
/* The same with dynamic shared memory. */
enum jb_status jb_cuda_launch_with(struct jb_device *dev, CUfunction kernel, const uint32_t grid[3],
                                   uint32_t threads, uint32_t shared_bytes,
                                   const void *params) JB_MUST_CHECK;

/* load.c */
enum jb_status jb_cuda_load_weights(struct jb_device *dev) JB_MUST_CHECK;
/* schedule.c: fills the action lists and says which slots need which forms. */
enum jb_status jb_cuda_schedule(struct jb_device *dev) JB_MUST_CHECK;
/* ops.c */
/* What one entry of the list launches; is_few: as in the list for few rows. */
enum jb_status jb_cuda_run_action(struct jb_device *dev, const struct jb_cuda_action *action,
                                  bool is_few) JB_MUST_CHECK;
/* Makes the packed forms of a slot whose values were written by something that cannot pack;
 * skip_first: the first of them is there. */
enum jb_status jb_cuda_pack(struct jb_device *dev, uint16_t slot, bool skip_first) JB_MUST_CHECK;
/* Attention kernel for heads of this size; NULL if there is none. */
CUfunction jb_cuda_attention_kernel(const struct jb_device *dev, uint32_t head_dim);
/* execute.c */
enum jb_status jb_cuda_execute(struct jb_device *dev, const struct jb_step *step) JB_MUST_CHECK;
/* mega.c */
/* Lays out the step as one launch; mega.misfit says why not. After the slots and the cache. */
enum jb_status jb_cuda_mega_prepare(struct jb_device *dev) JB_MUST_CHECK;
/* True if a step of n one-token sequences can run so. */
bool jb_cuda_mega_takes(const struct jb_device *dev, uint32_t n);
enum jb_status jb_cuda_mega_run(struct jb_device *dev, uint32_t n) JB_MUST_CHECK;
/* After a failed step: what a block waited for, if it gave up. NULL = it did not. */
const char *jb_cuda_mega_fault(const struct jb_device *dev);
void jb_cuda_mega_close(struct jb_device *dev);
/* blas.c: y (n, rows) = W x (+ y if has_residual); x and w half or bfloat16 or float, y float. */
enum jb_status jb_cuda_product_run(struct jb_device *dev, CUdeviceptr w, CUdeviceptr x,
                                   CUdeviceptr y, uint32_t rows, uint32_t cols, uint32_t n,
                                   cudaDataType_t type, bool has_residual) JB_MUST_CHECK;
void jb_cuda_products_free(struct jb_device *dev);

/* Tiles of rows that a step has at most. */
uint32_t jb_cuda_max_tiles(const struct jb_device *dev);

#define JB_CUDA_WORKSPACE_BYTES ((uint64_t)32 << 20)

#endif
