/* SPDX-License-Identifier: MIT */
#ifndef JB_FPGA_SCHEDULE_H
#define JB_FPGA_SCHEDULE_H

/* When each op of a step runs on a board. Ops follow one another; cores share the outputs of a
 * matmul and the heads of an attention. Each core's engine is that of engine.h to the cycle: beats
 * of weights arrive at the core's share of the memory's rate, two banks are filled ahead, also
 * while the vector units work, and the engine waits where they are empty. With the spatial schedule
 * vector ops stand in the stream between engines and cost their start-up alone. Time counts in
 * cycles of the design's clock. */

#include "backends/fpga_sim/board.h"

enum jb_fpga_resource {
    JB_FPGA_AT_MEMORY,
    JB_FPGA_AT_ENGINE,
    JB_FPGA_AT_VECTOR,
    JB_FPGA_AT_BOARD, /* the whole op: static power, memory standby */
    JB_FPGA_N_RESOURCES
};

/* Cycles of an op by cause; exclusive. */
enum jb_fpga_part {
    JB_FPGA_PART_WORK,   /* beats at work                        */
    JB_FPGA_PART_MEMORY, /* the engine waits for a full bank     */
    JB_FPGA_PART_TAIL,   /* its pipeline runs out                */
    JB_FPGA_PART_VECTOR,
    JB_FPGA_PART_CONTROL,
    JB_FPGA_N_PARTS
};

struct jb_fpga_played {
    double start, end;
    double at[JB_FPGA_N_RESOURCES][2]; /* first and last cycle; end 0 = not used */
    double part[JB_FPGA_N_PARTS];      /* sums to end - start */
    uint64_t macs, padded_macs;
    double read_bytes, write_bytes, sram_bits, vector_values;
    double ahead; /* cycles before start in which the banks could already fill */
};

struct jb_fpga_schedule {
    const struct jb_fpga_board *board;
    const struct jb_plan *plan;
    double now;         /* end of the op before                             */
    double engine_free; /* the engines' last beat: from here banks may fill */
};

#ifdef __cplusplus
extern "C" {
#endif

void jb_fpga_schedule_begin(struct jb_fpga_schedule *schedule, const struct jb_fpga_board *board,
                            const struct jb_plan *plan);
void jb_fpga_schedule_op(struct jb_fpga_schedule *schedule, const struct jb_op *op,
                         const struct jb_step *step, struct jb_fpga_played *ret_played);

#ifdef __cplusplus
}
#endif
#endif
