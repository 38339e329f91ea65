/* SPDX-License-Identifier: MIT */
#ifndef JB_PLAN_H
#define JB_PLAN_H

/* The workload as backends see it: one weight table, one KV layout, several programs (op lists).
 *
 * Built once by bench/workload, read-only, shared by all backends. A backend supplies kernels
 * (real) or costs (simulated); none re-implements the model. It may fuse ops when it loads. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "backends/format/format.h"
#include "platforms/base/status.h"

#define JB_NO_SLOT UINT16_MAX
#define JB_NO_TENSOR (-1)

/* Rows of activations, in the order of the step: sequence by sequence, token by token.
 * T = all tokens of the step; O = tokens whose output is wanted (enum jb_want). */
enum jb_rows { JB_ROWS_TOKENS, JB_ROWS_OUTPUTS };

/* An activation buffer: float32 (rows, width), row-major. */
struct jb_slot {
    const char *name; /* "x", "q", "ffn_gate": for traces and tests */
    uint32_t width;
    enum jb_rows rows;
};

enum jb_op_kind {
    /* dst (T, dim) = weight[token id of the row]                                              */
    JB_OP_EMBED,
    /* dst (T, dim) = src0 + weight[position of the row + pos_offset of the plan]; learned positions
     */
    JB_OP_POSEMBED,
    /* dst = src0 / sqrt(mean(src0^2) + eps) * weight, over each run of `group` values: the whole
     * row, or one head (q/k norms). weight (group,)                                          */
    JB_OP_RMSNORM,
    /* dst = (src0 - mean) / sqrt(var + eps) * weight + bias, over the row                     */
    JB_OP_LAYERNORM,
    /* dst (R, rows of W) = src0 (R, cols of W) x W^T + bias. W (rows, cols) row-major         */
    JB_OP_MATMUL,
    /* in place, dst == src0: rotates the first rope.n_dims of every head of `group` values    */
    JB_OP_ROPE,
    /* appends src1 = k and src2 = v (T, kv_dim) to layer's cache, rounding to kv_dtype; then
     * dst (T, n_heads head_dim) = softmax(scale q k^T) v, causal, query heads grouped over KV
     * heads: query head h reads KV head h / (n_heads / n_kv_heads)                            */
    JB_OP_ATTENTION,
    JB_OP_SILU_MUL, /* dst = silu(src0) * src1, silu(x) = x / (1 + exp(-x))                    */
    JB_OP_GELU,     /* dst = gelu(src0), tanh form (GPT-2)                                     */
    JB_OP_RELU,
    JB_OP_ADD,    /* dst = src0 + src1; dst may be either                                    */
    JB_OP_SELECT, /* dst (O, width) = the rows of src0 (T, width) whose output is wanted     */
    JB_OP_ARGMAX, /* ids (O,) = index of the largest src0 value; the lowest index wins a tie */
    /* Between ranks; only in plans with n_ranks > 1.                                          */
    JB_OP_ALLREDUCE, /* dst = sum of src0 over the ranks                                       */
    JB_OP_ALLGATHER, /* dst (R, n_ranks width) = src0 of all ranks side by side                */
    /* Reserved for mixtures of experts; no plan has them yet.                                 */
    JB_OP_ROUTE,
    JB_OP_EXPERT_MATMUL,
    JB_N_OP_KINDS
};

struct jb_op {
    enum jb_op_kind kind;
    int16_t layer;                  /* block number; -1 outside the blocks      */
    uint16_t dst, src0, src1, src2; /* slot numbers; JB_NO_SLOT = none          */
    int32_t weight, bias;           /* tensor numbers; JB_NO_TENSOR = none      */
    uint32_t group;                 /* RMSNORM, ROPE: values a group; else 0    */
    float eps;                      /* norms                                    */
};

/* One weight: (rows, cols) row-major, cols contiguous in blocks of the dtype. Vectors are (1, n),
 * always F32. For MATMUL rows = outputs, cols = inputs. */
struct jb_tensor {
    const char *name; /* GGUF name: "blk.0.attn_q.weight" */
    enum jb_dtype dtype;
    uint32_t rows, cols;
    size_t row_bytes;
    uint64_t n_bytes;
};

/* Where weight bytes come from. A model file is mapped, a named shape is generated from its seed,
 * so a tensor's bytes exist only between map and unmap; both count, so maps nest and several
 * backends can share. A backend that uses weights in place keeps them mapped until close(); one
 * that repacks maps, converts and unmaps tensor by tensor, and the peak stays near one copy.
 * Not thread-safe: called from the backend's calling thread only, never in step(). */
struct jb_weights {
    void *ctx;
    /* @param ret_data (tensor.n_bytes) bytes, aligned to 32 at least, read-only. */
    enum jb_status (*map)(void *ctx, uint32_t tensor, const void **ret_data);
    void (*unmap)(void *ctx, uint32_t tensor);
};

struct jb_program {
    const char *name; /* "full"; methods add others, e.g. the first k layers and the head */
    const struct jb_op *ops;
    uint32_t n_ops;
    /* Op indices where only slot `cut_slot` is live: a program may be split there between two
     * backends. Ascending, includes 0 and n_ops. */
    const uint32_t *cuts;
    uint32_t n_cuts;
};

enum jb_rope_kind {
    JB_ROPE_NONE,
    JB_ROPE_PAIRS, /* rotates (x[2i], x[2i+1]): GGUF's "normal" order        */
    JB_ROPE_HALVES /* rotates (x[i], x[i + n_dims/2]): the NeoX order        */
};

/* Angle of pair i at position p is p * inv_freq[i]; cos and sin are multiplied by mscale.
 * All scaling (linear, llama3 frequency factors, YaRN) is already inside these numbers. */
struct jb_rope {
    enum jb_rope_kind kind;
    uint32_t n_dims;       /* rotated dimensions a head, even */
    const float *inv_freq; /* (n_dims / 2,)                   */
    float mscale;
};

struct jb_plan {
    const char *model; /* name for rows and messages */
    uint32_t dim, n_layers, n_heads, n_kv_heads, head_dim, ffn_dim, vocab;
    uint32_t max_context;  /* positions the model allows                                  */
    uint32_t pos_offset;   /* added to positions in POSEMBED (OPT: 2)                     */
    float attention_scale; /* usually 1 / sqrt(head_dim)                                  */
    struct jb_rope rope;
    enum jb_dtype kv_dtype; /* storage of K and V: F32, F16 or Q8_0 (blocks along head_dim) */
    const struct jb_tensor *tensors;
    uint32_t n_tensors;
    const struct jb_weights *weights; /* NULL in timing-only execution: nothing may be read   */
    const struct jb_slot *slots;
    uint32_t n_slots;
    uint16_t cut_slot; /* the residual stream                                         */
    const struct jb_program *programs; /* [0] is "full"                                       */
    uint32_t n_programs;
    uint32_t rank, n_ranks; /* tensor-parallel share that this plan is; 0 of 1 = whole     */
};

enum jb_want {
    JB_WANT_NONE, /* prefill chunks before the last                                      */
    JB_WANT_LAST, /* the id (and logits) after the sequence's last token of the step     */
    JB_WANT_ALL   /* after every token: likelihoods, verification of drafted tokens      */
};

/* One sequence's part of a step. Sequences are ragged. */
struct jb_seq {
    uint32_t slot;     /* KV slot, [0, max_seqs); at most once a step                           */
    uint32_t pos;      /* position of tokens[0]; what the slot held from pos on is forgotten, so a
                          smaller pos than before is the rollback of linear speculation. Never
                          beyond what the slot holds.                                           */
    uint32_t n_tokens; /* >= 1; > 1 = prefill chunk or verification, 1 = decode                */
    enum jb_want want;
    const int32_t *tokens; /* (n_tokens,) ids in [0, vocab); NULL if the range has no EMBED    */
};

struct jb_step {
    uint32_t program;
    uint32_t op_begin, op_end; /* range of ops, both cuts of the program; whole = 0, n_ops     */
    const struct jb_seq *seqs;
    uint32_t n_seqs;
    const float *acts; /* (T, dim) the cut slot before op_begin; NULL if op_begin = 0      */
    float *ret_acts;   /* (T, dim) the cut slot after op_end; NULL if op_end = n_ops       */
    int32_t *ret_ids;  /* (O,) or NULL                                                     */
    float *ret_logits; /* (O, vocab) or NULL; NULL in timed runs                           */
};

/* Work of one op in one step: what must be done, whatever the machine. Padding is not in it. */
struct jb_cost {
    uint64_t macs;  /* multiply-accumulates of matmuls and attention                           */
    uint64_t flops; /* 2 macs + the other arithmetic (norms, softmax ... counted in cost.c)     */
    uint64_t weight_bytes; /* each weight read once a step (EMBED: rows looked up)            */
    uint64_t kv_read_bytes, kv_write_bytes;
    uint64_t act_read_bytes, act_write_bytes; /* float32 slots                                  */
};

#ifdef __cplusplus
extern "C" {
#endif

const char *jb_op_name(enum jb_op_kind kind); /* "matmul"; "unknown" outside the enum */

/* Rows of the step: T and O of enum jb_rows. */
uint32_t jb_step_tokens(const struct jb_step *step);
uint32_t jb_step_outputs(const struct jb_step *step);

/* Cost of an op; depends on the step through its tokens and depths. A zero ret_cost if the op
 * lies outside the step's range is the caller's business: the range is not looked at. */
void jb_op_cost(const struct jb_plan *plan, const struct jb_op *op, const struct jb_step *step,
                struct jb_cost *ret_cost);

/* Sum of jb_op_cost over the step's range. */
void jb_step_cost(const struct jb_plan *plan, const struct jb_step *step, struct jb_cost *ret_cost);

/* Bytes of the whole KV cache for max_seqs slots of `context` positions, and of one position of
 * one slot over all layers (K and V). */
uint64_t jb_plan_kv_bytes(const struct jb_plan *plan, uint32_t max_seqs, uint32_t context);
uint64_t jb_plan_weight_bytes(const struct jb_plan *plan);

/* Checks every index, width and shape of a plan, so that backends need not.
 * @return JB_E_INVAL with the op's number and name. */
enum jb_status jb_plan_check(const struct jb_plan *plan) JB_MUST_CHECK;

/* Checks a step against a plan and the sizes promised at load. */
enum jb_status jb_step_check(const struct jb_plan *plan, const struct jb_step *step,
                             uint32_t max_seqs, uint32_t max_tokens,
                             uint32_t context) JB_MUST_CHECK;

#ifdef __cplusplus
}
#endif
#endif
