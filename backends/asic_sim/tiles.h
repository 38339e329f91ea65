/* SPDX-License-Identifier: MIT */
#ifndef JB_ASIC_TILES_H
#define JB_ASIC_TILES_H

/* Matmul and attention in the chip's own numbers, strip by strip and fold by fold as schedule.h
 * times them. What an array multiplies is rounded to its operand format (weights after they are
 * decoded, activations a row, probabilities too); sums are those of systolic.h. A stage of several
 * chips adds the chips' sums in float32, in order. Scores, softmax, biases and all other ops are
 * the vector unit's: float32 in and out, as refops has them. */

#include "backends/asic_sim/schedule.h"
#include "backends/refops/refops.h"

struct jb_asic_tiles;

#ifdef __cplusplus
extern "C" {
#endif

/* @param is_split_by_input (n_tensors,) copied
 * @return NOMEM */
enum jb_status jb_asic_tiles_create(const struct jb_asic_chip *chip,
                                    const struct jb_load_args *load, const bool *is_split_by_input,
                                    struct jb_asic_tiles **ret_tiles) JB_MUST_CHECK;
void jb_asic_tiles_free(struct jb_asic_tiles *tiles); /* NULL is fine */

/* Hooks for exec.h; ctx is the tiles. */
enum jb_status jb_asic_tiles_matmul(void *ctx, const struct jb_ref_matmul *m, uint32_t tensor);
enum jb_status jb_asic_tiles_attention(void *ctx, const struct jb_ref_attention *a,
                                       double *scratch);

#ifdef __cplusplus
}
#endif
#endif
