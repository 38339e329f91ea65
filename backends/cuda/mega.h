/* SPDX-License-Identifier: MIT */
#ifndef JB_CUDA_MEGA_H
#define JB_CUDA_MEGA_H

/* One decode step as one launch: what the host that lays out its phases and the kernel that walks
 * them agree on (mega.c, mega.cuh).
 *
 * One block a processor stays for the whole step. In each, one warp (the producer) streams the
 * block's share of the weights and of the KV cache through a ring of slots in shared memory; the
 * others compute, but for two that add up what the computing warps leave of a unit and store it
 * (the finishers, by turns), so that the computing warps go on at once. What is streamed depends on
 * no activation, so the producer runs ahead over phase borders and memory stays busy while the
 * computing warps of all blocks wait for each other.
 *
 * A phase is a set of products of one input, or attention. Its units (16 rows of a weight, or of a
 * pair of gate and up; or one head's share of one sequence's positions) go round the blocks in
 * turn, from where the phase before stopped. Producer and computing warps derive the same list of
 * units and slices from the same phase. */

#include "backends/cuda/kernels.h"

#define JB_MEGA_SLOT_BYTES 20480u
#define JB_MEGA_FIXED_BYTES 2048u /* barriers, phases: struct mega_shared */
#define JB_MEGA_MAX_SLOTS 12u
/* Tiled forms: 512 bytes a chunk, then scales, then offsets. Row-major forms: 16 rows of 16
 * chunks, 64 bytes apart from a multiple of 128 so that eight rows hit different banks. */
#define JB_MEGA_TILED_CHUNKS 32u
#define JB_MEGA_SCALES_AT 16384u
#define JB_MEGA_OFFSETS_AT 18432u
#define JB_MEGA_PLAIN_CHUNKS 16u
#define JB_MEGA_PLAIN_STRIDE 1088u
#define JB_MEGA_V_AT 8192u /* attention: K rows, then V rows from here */
#define JB_MEGA_MAX_WEIGHTS 3u
#define JB_MEGA_FINISHERS 2u
#define JB_MEGA_OTHER_WARPS (1u + JB_MEGA_FINISHERS) /* a producer, finishers */
/* Floats a head's part of attention takes: largest score, sum, two unused, weighted values. */
#define JB_MEGA_PART_HEAD 4u

enum jb_mega_kind { JB_MEGA_MATMUL, JB_MEGA_ATTENTION };
/* Where a phase's input comes from. */
enum jb_mega_source {
    JB_MEGA_VALUES, /* x (n, cols)                                     */
    JB_MEGA_NORM,   /* x (n, cols), RMS-normed with `norm`             */
    JB_MEGA_JOIN    /* parts of attention, joined over their splits    */
};

struct jb_mega_weight {
    uint64_t data, scales, offsets; /* device addresses, as in jb_cuda_weight */
    const float *bias;
    float *y; /* (n, rows) */
    uint32_t form, rows;
};

struct jb_mega_phase {
    uint32_t kind, source;
    uint32_t n_weights, is_pair; /* pair: y = silu(w[0] x) * (w[1] x), into w[0].y */
    uint32_t cols, n_segments;   /* segments of the inputs; a block works on one   */
    uint32_t rotation, n_units;
    uint32_t n_planes, is_bf16; /* of the packed activations, as in jb_cuda_matmul */
    const float *x, *norm, *residual;
    const float *k, *v;         /* attention: this step's rows (n, n_kv_heads, head_dim) */
    uint8_t *cache_k, *cache_v; /* attention */
    struct jb_mega_weight w[JB_MEGA_MAX_WEIGHTS];
    float eps;
    uint32_t most_planes; /* that the host has in mind for one row */
};

#define JB_MEGA_PHASE_WORDS (sizeof(struct jb_mega_phase) / 8)

struct jb_mega {
    const struct jb_mega_phase *phases; /* (n_phases,) device memory */
    struct jb_cuda_rows rows;
    const float *inv_freq;
    float *parts;      /* (n, n_heads, n_splits, JB_MEGA_PART_HEAD + head_dim) */
    float *partial;    /* (units, n_segments, 16 n): sums of segments         */
    uint32_t *arrived; /* (units, 8): zero before and after                  */
    uint32_t *barrier; /* (2,): arrivals, blocks done; zero before and after */
    uint32_t *fault;   /* (4,) host memory: what a stuck block waited for    */
    uint64_t *trace;   /* (n_phases, blocks, 4) nanoseconds, or NULL         */
    uint64_t head_stride;
    uint32_t n_phases, n; /* n: rows, one a sequence */
    uint32_t n_heads, n_kv_heads, head_dim, n_splits;
    uint32_t rope_dims, rope_is_halves;
    float rope_mscale, scale;
    /* Shared memory: bytes from its start. */
    uint32_t rope_at, part_at, sums_at, x_at, ring_at, n_slots;
};

#endif
