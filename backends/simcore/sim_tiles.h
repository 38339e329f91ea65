/* SPDX-License-Identifier: MIT */
#ifndef JB_SIMCORE_TILES_H
#define JB_SIMCORE_TILES_H

/* Matmul and attention in a machine's own numbers, strip by strip of `width` outputs, each strip by
 * the machine's own code. What is multiplied is rounded first, with one scale where the format has
 * one: activations and probabilities a row, weights (after they are decoded) an output, keys and
 * values a position. Chips that split a product by input add their sums in float32, in order.
 * Scores, softmax, biases and all other ops are float32 in and out, as refops has them. */

#include "backends/backend.h"
#include "backends/refops/refops.h"
#include "backends/simcore/numbers.h"

struct jb_sim_tiles;

struct jb_sim_tiles_args {
    const char *who; /* backend, for messages */
    const struct jb_load_args *load;
    enum jb_operand a, b, kv; /* operands: activations, weights, keys and values              */
    uint32_t width;           /* columns of a strip                                           */
    void (*strip)(const void *ctx, const struct jb_strip *strip);
    const void *ctx; /* outlives the tiles */
    uint32_t n_chips;
    const bool *is_split_by_input; /* (n_tensors,) copied; NULL = none */
};

#ifdef __cplusplus
extern "C" {
#endif

/* @return NOMEM */
enum jb_status jb_sim_tiles_create(const struct jb_sim_tiles_args *args,
                                   struct jb_sim_tiles **ret_tiles) JB_MUST_CHECK;
void jb_sim_tiles_free(struct jb_sim_tiles *tiles); /* NULL is fine */

/* Hooks for exec.h; ctx is the tiles. */
enum jb_status jb_sim_tiles_matmul(void *ctx, const struct jb_ref_matmul *m, uint32_t tensor);
enum jb_status jb_sim_tiles_attention(void *ctx, const struct jb_ref_attention *a, double *scratch);

#ifdef __cplusplus
}
#endif
#endif
