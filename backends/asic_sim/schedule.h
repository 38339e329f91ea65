/* SPDX-License-Identifier: MIT */
#ifndef JB_ASIC_SCHEDULE_H
#define JB_ASIC_SCHEDULE_H

/* When each op of a step runs on a chip, and what it costs.
 *
 * Ops follow one another: an op starts when the one before it is done. Weights and KV of later ops
 * are fetched meanwhile, in order, as far as the weight buffer has room; a block leaves the buffer
 * when the arrays have taken it. That back-pressure, folds that wait for their block, and softmax
 * between the two products of attention are played through event by event; folds of one block
 * follow one another as systolic.h has it. Time counts in cycles of the chip's clock.
 *
 * Chips of a stage share each layer: matmuls by output, those after attention or activation by
 * input, followed by a ring all-reduce over the links; the head's logits are gathered. Stages hold
 * successive layers, activations hop from one to the next. */

#include "backends/asic_sim/chip.h"

enum jb_asic_resource {
    JB_ASIC_AT_MEMORY,
    JB_ASIC_AT_ARRAY,
    JB_ASIC_AT_VECTOR,
    JB_ASIC_AT_LINK,
    JB_ASIC_AT_CHIP, /* the whole op: op latency, static power, memory standby */
    JB_ASIC_N_RESOURCES
};

/* Cycles of an op by cause; exclusive. */
enum jb_asic_part {
    JB_ASIC_PART_STREAM, /* operands enter the arrays        */
    JB_ASIC_PART_LOAD,   /* the arrays wait for weights to enter */
    JB_ASIC_PART_SKEW,   /* the wave runs in and out          */
    JB_ASIC_PART_MEMORY, /* the arrays wait for the memory    */
    JB_ASIC_PART_VECTOR, /* the vector unit alone             */
    JB_ASIC_PART_LINK,
    JB_ASIC_PART_CONTROL,
    JB_ASIC_N_PARTS
};

/* What is known of an op before any step. */
struct jb_asic_op {
    bool is_split_by_input; /* its inputs are spread over the chips of a stage: all-reduce    */
    bool is_shared;         /* each chip of a stage does its part                             */
    bool is_gathered;       /* logits                                                         */
    bool hops;              /* the first op of a stage that is not the first                  */
};

/* One op, played. */
struct jb_asic_played {
    double start, end;                 /* cycles from the step's start                       */
    double at[JB_ASIC_N_RESOURCES][2]; /* first and last cycle on each; end 0 = not used     */
    double part[JB_ASIC_N_PARTS];      /* sums to end - start                                */
    double busy;                       /* array cycles a perfect array needs for its MACs    */
    uint64_t macs, padded_macs;
    double read_bytes, write_bytes; /* memory, all chips of the stage                     */
    double sram_bytes, vector_ops, link_bytes;
    uint32_t n_tiles, n_m; /* folds an array; parts that M is cut into           */
};

struct jb_asic_block {
    double bytes, release;
};
enum { JB_ASIC_MAX_BLOCKS = 4096 };

struct jb_asic_schedule {
    const struct jb_asic_chip *chip;
    const struct jb_plan *plan;
    double now;         /* cycles: end of the op before            */
    double memory_free; /* cycles: the memory is busy until then   */
    double used;        /* bytes in the weight buffer              */
    uint32_t first, n;  /* ring of blocks in the buffer            */
    struct jb_asic_block blocks[JB_ASIC_MAX_BLOCKS];
};

#ifdef __cplusplus
extern "C" {
#endif

/* What a program's ops are to a chip. @param ret_ops (program->n_ops,) */
void jb_asic_ops(const struct jb_asic_chip *chip, const struct jb_plan *plan,
                 const struct jb_program *program, uint32_t n_stages, struct jb_asic_op *ret_ops);

void jb_asic_schedule_begin(struct jb_asic_schedule *schedule, const struct jb_asic_chip *chip,
                            const struct jb_plan *plan);
/* Plays one op of a step after those before it. */
void jb_asic_schedule_op(struct jb_asic_schedule *schedule, const struct jb_op *op,
                         const struct jb_asic_op *known, const struct jb_step *step,
                         struct jb_asic_played *ret_played);

/* How a product is spread over arrays: M is cut into `n_m` parts, and an array gets `n_tiles` folds
 * of one part; the least cycles of all cuts. */
struct jb_asic_spread {
    uint32_t n_m;
    uint64_t n_tiles;
    struct jb_product part; /* of one array, but for the number of folds */
};
struct jb_asic_spread jb_asic_spread(const struct jb_asic_chip *chip, uint32_t n_arrays,
                                     const struct jb_product *product);

/* How a product is cut in M so that its activations fit the chip, with the least traffic: the
 * whole, weights read again for each part of M, or activations read again for each strip of N. */
struct jb_asic_tiling {
    uint64_t n_passes;    /* times the weights are read                                        */
    double spilled_bytes; /* activations and sums that go to memory and back                   */
};
struct jb_asic_tiling jb_asic_tiling(const struct jb_asic_chip *chip,
                                     const struct jb_product *product, double weight_bytes);

#ifdef __cplusplus
}
#endif
#endif
