/* SPDX-License-Identifier: MIT */
#ifndef JB_TEST_MAKER_H
#define JB_TEST_MAKER_H

/* Hand-built plans with random weights, through the public structs only, and a device with its
 * life cycle in one place. For tests: anything that goes wrong ends the program. */

#include <stdbool.h>

#include "backends/backend.h"
#include "platforms/base/rng.h"

/* About standard normal (the sum of four uniforms, scaled), and (n,) of them times sigma. */
float maker_normal(struct jb_rng *rng);
void maker_normals(struct jb_rng *rng, float sigma, float *dst, uint64_t n);

struct maker {
    struct jb_plan plan; /* fill in dim ... before maker_finish() */
    struct jb_tensor tensors[128];
    void *data[128];        /* stored weights, 64-byte aligned                 */
    uint32_t n_mapped[128]; /* maps less unmaps: all 0 when nobody leaks       */
    struct jb_slot slots[64];
    struct jb_op ops[256];
    uint32_t cuts[64];
    float inv_freq[256];
    struct jb_program program;
    struct jb_weights weights;
    struct jb_rng rng;
    uint32_t fail_map; /* map() of this tensor fails; UINT32_MAX = none   */
};

struct maker *maker_create(const char *model, uint64_t seed);
void maker_free(struct maker *m);

/* A weight of N(mean, sigma), encoded in dtype. @return its number */
int32_t maker_tensor(struct maker *m, enum jb_dtype dtype, uint32_t rows, uint32_t cols, float mean,
                     float sigma);
uint16_t maker_slot(struct maker *m, const char *name, uint32_t width, enum jb_rows rows);

/* Ops in the order of the program. Slots that an op lacks are JB_NO_SLOT, weights JB_NO_TENSOR. */
struct jb_op maker_blank(enum jb_op_kind kind, uint16_t dst, uint16_t src0);
void maker_op(struct maker *m, struct jb_op op);
void maker_matmul(struct maker *m, uint16_t dst, uint16_t src, int32_t weight, int32_t bias);
void maker_rmsnorm(struct maker *m, uint16_t dst, uint16_t src, int32_t weight, uint32_t group);
void maker_binary(struct maker *m, enum jb_op_kind kind, uint16_t dst, uint16_t a, uint16_t b);
void maker_cut(struct maker *m); /* here only the cut slot is live */

/* inv_freq[i] = base^(-2i / n_dims) */
void maker_rope(struct maker *m, enum jb_rope_kind kind, uint32_t n_dims, float base);
/* Ends the program and checks the plan with jb_plan_check(). */
void maker_finish(struct maker *m);
uint32_t maker_n_mapped(const struct maker *m);

/* ---- whole models ---- */

struct maker_shape {
    const char *name;
    uint32_t dim, n_layers, n_heads, n_kv_heads, head_dim, ffn_dim, vocab;
    enum jb_rope_kind rope;     /* JB_ROPE_NONE: learned positions                              */
    uint32_t rope_dims;         /* 0 = head_dim                                                 */
    enum jb_op_kind activation; /* SILU_MUL: gated; GELU or RELU: plain                         */
    bool has_layernorm;         /* with bias; else RMSNORM                                      */
    bool has_qkv_bias, has_all_bias, has_qk_norm, has_tied_head;
    bool has_half_kv; /* conformance: the KV cache in F16 whatever the weights' format */
};
extern const struct maker_shape
    maker_shapes[]; /* ends with a NULL name: llama qwen2 qwen3 gpt2 opt ... */
const struct maker_shape *maker_shape(const char *name);

/* The model as bench/workload would plan it, finished; embedding and matmuls in dtype. */
struct maker *maker_model(const struct maker_shape *shape, enum jb_dtype dtype,
                          enum jb_dtype kv_dtype, uint32_t context, uint64_t seed);

/* ---- devices ---- */

/* Opens and loads, with as many threads as the environment's JB_THREADS says (default 2) and the
 * settings of JB_SETTINGS: "key=value key=value". */
struct jb_device *device_start(const struct jb_backend *backend, const struct jb_load_args *load);
enum jb_status device_open(const struct jb_backend *backend, struct jb_device **ret_dev);
/* step and, where there is one, sync. */
enum jb_status device_step(const struct jb_backend *backend, struct jb_device *dev,
                           const struct jb_step *step);
void device_end(const struct jb_backend *backend, struct jb_device *dev); /* close, free */

#endif
