/* SPDX-License-Identifier: MIT */
#ifndef JB_CPU_EXEC_H
#define JB_CPU_EXEC_H

/* Runs a step's ops on the workers of a pool. All memory is given by load(). */

#include <stdatomic.h>

#include "backends/backend.h"
#include "backends/cpu/kernels.h"
#include "backends/cpu/nodes.h"
#include "backends/cpu/pool.h"

/* Activations for quantised weights have one term, int8, or two: the second is what the first
 * leaves, in int8 again, about 15 bits together. With records, both terms of all rows are
 * multiplied with this many weight rows at a time. */
#define JB_CPU_TERM_ROWS 64u

enum jb_cpu_terms {
    JB_CPU_TERMS_AUTO, /* two in steps of one sequence and few tokens, else one */
    JB_CPU_TERMS_ONE,
    JB_CPU_TERMS_TWO
};
/* Up to here reading the weights takes most of the time, and checking a few drafted tokens rounds
 * as decoding them one by one does. */
#define JB_CPU_FEW_TOKENS 16u

struct jb_cpu_program {
    struct jb_cpu_node *nodes;
    uint32_t n_nodes;
};

struct jb_cpu_exec {
    const struct jb_cpu_kernels *kernels;
    struct jb_pool *pool;
    uint32_t n_workers;
    struct jb_load_args load;
    struct jb_cpu_program *programs; /* (plan->n_programs,)                                       */
    const void **weights; /* (n_tensors,) mapped bytes; NULL = not mapped               */
    uint8_t **panels;     /* (n_tensors,) packed weights; NULL = read as stored         */
    float **slots;        /* (n_slots,) -> (most rows, width)                           */
    enum jb_cpu_terms terms;
    int8_t *records;       /* of the widest input: records, or quads (packed.h)          */
    uint8_t *halves;       /* bfloat16 rows of the widest input of BF16 weights */
    uint8_t *kv;           /* (layers, K and V, slots, KV heads, context) rows of a head */
    size_t kv_row_bytes;   /* one position of one head                                   */
    uint32_t kv_positions; /* context, rounded up to panels of keys */
    float *rope;           /* (max_tokens, 2, n_dims / 2) cosines, then sines            */
    float **scratch;       /* (n_workers,) attention, a weight row, products of terms    */
    uint32_t *held;        /* (max_seqs,) positions each KV slot holds                   */

    /* The step: rows of T and O. */
    const struct jb_step *step;
    uint32_t n_tokens, n_outputs;
    uint32_t n_terms;       /* 1 or 2 terms of activations in this step */
    uint32_t *positions;    /* (max_tokens,)                                       */
    uint32_t *kv_slots;     /* (max_tokens,) KV slot of the row's sequence          */
    int32_t *ids;           /* (max_tokens,)                                       */
    uint32_t *outputs;      /* (max_outputs,) row of T that each output is          */
    atomic_uint not_finite; /* 1 + the output whose largest logit is no number; 0 = none */
};

struct jb_cpu_range {
    uint64_t begin, end;
};
/* Share `worker` of n items, in contiguous multiples of `step`. */
static inline struct jb_cpu_range jb_cpu_share(uint64_t n, uint64_t step, uint32_t worker,
                                               uint32_t n_workers)
{
    const uint64_t n_steps = (n + step - 1) / step;
    const uint64_t begin = n_steps * worker / n_workers * step;
    const uint64_t end = n_steps * (worker + 1) / n_workers * step;
    return (struct jb_cpu_range){.begin = begin < n ? begin : n, .end = end < n ? end : n};
}

/* Runs the step's nodes on all workers; rows, held positions and inputs are already set.
 * @return NUMERIC if a largest logit is not finite. */
enum jb_status jb_cpu_exec(struct jb_cpu_exec *exec);

#endif
