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
 * leaves, in int8 again, about 15 bits together. Both terms of all rows are multiplied with this
 * many weight rows at a time. */
#define JB_CPU_TERM_ROWS 64u

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
    float **slots;        /* (n_slots,) -> (most rows, width)                           */
    uint32_t n_terms;     /* 1 or 2 records a row of activations: see JB_CPU_TERM_ROWS  */
    int8_t *records;      /* (max_tokens or max_outputs, n_terms) of the widest input   */
    uint8_t *kv;          /* (layers, K and V, slots, KV heads, context) rows of a head */
    size_t kv_row_bytes;  /* one position of one head                                   */
    float *rope;          /* (max_tokens, 2, n_dims / 2) cosines, then sines            */
    float **scratch;      /* (n_workers,) attention, a weight row, products of terms    */
    uint32_t *held;       /* (max_seqs,) positions each KV slot holds                   */

    /* The step: rows of T and O. */
    const struct jb_step *step;
    uint32_t n_tokens, n_outputs;
    uint32_t *positions;    /* (max_tokens,)                                       */
    uint32_t *kv_slots;     /* (max_tokens,) KV slot of the row's sequence          */
    int32_t *ids;           /* (max_tokens,)                                       */
    uint32_t *outputs;      /* (max_outputs,) row of T that each output is          */
    atomic_uint not_finite; /* 1 + the output whose largest logit is no number; 0 = none */
};

/* Runs the step's nodes on all workers; rows, held positions and inputs are already set.
 * @return NUMERIC if a largest logit is not finite. */
enum jb_status jb_cpu_exec(struct jb_cpu_exec *exec);

#endif
