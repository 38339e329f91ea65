/* SPDX-License-Identifier: MIT */
#ifndef JB_OPENCL_DEVICE_H
#define JB_OPENCL_DEVICE_H

/* What the files of this backend share: the open device. Not for anyone else. */

#include "backends/backend.h"
#include "backends/opencl/driver.h"

/* Most columns of a product that the kernels for few take at once: 1, 2, 4 and 8. */
#define JB_OPENCL_N_FEW 4u
/* Fields of a block of queries; attention.cl has their meaning. */
#define JB_OPENCL_BLOCK_FIELDS 5u
#define JB_OPENCL_MAX_SPLITS 32u

/* How kernels are built: see common.cl and matmul.cl. */
struct jb_opencl_tuning {
    const char *name;     /* "cpu", "gpu": --set kernels */
    uint32_t group;       /* items of the kernels that reduce */
    uint32_t share, sets; /* products of few columns: items a row team, teams a group */
    uint32_t rows;        /* rows a team */
    bool is_wide;         /* long vectors, no tiles */
    uint32_t elements;    /* items a group where nothing is shared */
    uint32_t query_rows;  /* attention: rows a block, at most */
};

/* One place of a device in the list over all platforms. */
struct jb_opencl_choice {
    cl_platform_id platform;
    cl_device_id device;
    cl_device_type type;
    uint32_t index, n_devices;
    char name[128];   /* of the device */
    char driver[128]; /* platform and driver version */
};

/* Kernels of one weight format. */
struct jb_opencl_products {
    cl_program program;
    cl_kernel embed, few[JB_OPENCL_N_FEW], many;
};

#define JB_OPENCL_KERNELS(K)                                                                       \
    K(run_norm)                                                                                    \
    K(run_rope)                                                                                    \
    K(run_elementwise)                                                                             \
    K(run_select)                                                                                  \
    K(run_argmax)                                                                                  \
    K(run_kv_store)                                                                                \
    K(run_attention)                                                                               \
    K(run_attention_join)

/* A tensor in planes, as matmul.cl tells. */
struct jb_opencl_weight {
    cl_mem memory;
    cl_ulong at[3];
    cl_uint n_units; /* of 32 columns, a row */
};

struct jb_opencl_slot {
    cl_mem memory;  /* (rows, stride) float, zero behind width */
    cl_uint stride; /* width rounded up to 32 */
};

struct jb_device {
    struct jb_opencl_api api;
    struct jb_opencl_choice choice;
    const struct jb_opencl_tuning *tuning;
    cl_device_id part; /* a share of a CPU with as many threads as asked for; or NULL */
    cl_context context;
    cl_command_queue queue;
    cl_uint n_processors;
    cl_ulong memory_bytes, max_buffer_bytes, local_bytes, taken_bytes;
    cl_program program;
#define MEMBER(name) cl_kernel name;
    JB_OPENCL_KERNELS(MEMBER)
#undef MEMBER
    struct jb_opencl_products products[JB_N_DTYPES];
    struct jb_load_args load;
    struct jb_opencl_weight *weights; /* (n_tensors,) */
    struct jb_opencl_slot *slots;     /* (n_slots,) */
    cl_mem *kv;                       /* (n_layers,) */
    cl_ulong v_at, k_scale_at, v_scale_at;
    cl_mem turns; /* (context, pairs, 2) cos and sin of RoPE */
    /* What a step sends, in one piece: rows and, as parts of it, what kernels read. */
    cl_mem rows, ids, positions, kv_slots, outputs, blocks;
    size_t rows_bytes;
    int32_t *host_rows; /* the same on this side */
    int32_t *host_ids, *host_positions, *host_kv_slots, *host_outputs, *host_blocks; /* in it */
    cl_mem answers;        /* (max_outputs, 2) id and bits of its logit */
    int32_t *host_answers; /* the same on this side */
    cl_mem partial;        /* (partial_rows, head_dim + 2): attention in splits */
    uint32_t partial_rows;
    uint32_t query_rows, chunk; /* attention: most rows a block, positions at a time */
    uint32_t *held;             /* (max_seqs,) positions each slot holds */
    uint8_t *is_fused;          /* (all programs' ops,) a product that does the ADD after it */
    bool is_warming;            /* launches are cut to one group */
    const struct jb_step *step; /* under way */
    uint32_t n_tokens, n_outputs, n_blocks;
    uint32_t block_rows, end; /* most rows of a block, most positions of a sequence */
};

/* devices.c: the devices of all platforms, in the loader's order. */
/* @param name NULL: the first GPU, else accelerator, else CPU; a number; or part of a name.
 * @return NODEV with the devices there are. */
enum jb_status jb_opencl_choose(const struct jb_opencl_api *api, const char *name,
                                struct jb_opencl_choice *ret_choice) JB_MUST_CHECK;

/* build.c: compiles what the plan needs. */
enum jb_status jb_opencl_build(struct jb_device *dev) JB_MUST_CHECK;
void jb_opencl_unbuild(struct jb_device *dev);

/* load.c */
/* Floats of local memory that attention takes for blocks of `rows` rows. */
uint32_t jb_opencl_attention_floats(const struct jb_device *dev, uint32_t rows);
enum jb_status jb_opencl_load(struct jb_device *dev, const struct jb_load_args *args) JB_MUST_CHECK;
void jb_opencl_unload(struct jb_device *dev);

/* execute.c */
/* The table of kernels answers both "can" (load) and "do" (step). */
bool jb_opencl_can(enum jb_op_kind kind);
/* head_dim rounded up to the vectors that attention works in. */
uint32_t jb_opencl_dims(const struct jb_device *dev);
enum jb_status jb_opencl_step(struct jb_device *dev, const struct jb_step *step) JB_MUST_CHECK;
enum jb_status jb_opencl_sync(struct jb_device *dev) JB_MUST_CHECK;
/* Runs each kernel once on nothing: drivers that compile at the first launch do it then. */
enum jb_status jb_opencl_warm_up(struct jb_device *dev) JB_MUST_CHECK;

#endif
