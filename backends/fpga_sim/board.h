/* SPDX-License-Identifier: MIT */
#ifndef JB_FPGA_BOARD_H
#define JB_FPGA_BOARD_H

/* A board and the design on it, as a device file of kind `fpga` describes them: what the part has,
 * cores of the engine of engine.h with vector units, memory and its ports. The keys are the table
 * in board.c; every one can be given by --set. */

#include "backends/backend.h"
#include "backends/fpga_sim/engine.h"
#include "backends/simcore/numbers.h"
#include "backends/simcore/sim_rate.h"

enum jb_fpga_line {
    JB_FPGA_MAC,
    JB_FPGA_SRAM, /* block RAM and URAM */
    JB_FPGA_VECTOR,
    JB_FPGA_DRAM,
    JB_FPGA_DRAM_STATE,
    JB_FPGA_STATIC, /* leakage, shell, clock trees */
    JB_FPGA_N_LINES
};

/* Parts of a device, or what a design takes of them. */
struct jb_fpga_parts {
    double dsp, lut, ff, bram36, uram;
};

struct jb_fpga_board {
    char name[64];
    struct jb_fpga_parts has, takes;
    double clock_hz;
    uint32_t n_cores;
    struct jb_engine engine;
    uint32_t tokens_at_once; /* rows of activations that share a weight at once             */
    uint32_t macs_a_dsp;
    double stored_bits; /* of a weight in memory, scales and masks in; NaN = the model's  */
    double density;     /* share of weights that are multiplied                          */
    enum jb_operand a, w, kv;
    enum jb_sum sum;
    double vector_lanes; /* values a cycle and core */
    uint64_t vector_startup;
    double op_latency_s;
    bool is_spatial;
    struct jb_sim_rate memory;
    bool is_ideal;
    double weight_rate, kv_rate; /* bytes/s that arrive, all cores */
    double mac_j, vector_j, sram_bit_j, static_w;
};

extern const struct jb_option jb_fpga_options[];

#ifdef __cplusplus
extern "C" {
#endif

/* Reads args->device (default u250) with the settings put in, and its memory; checks that the
 * design fits the part.
 * @return NOTSUP: it does not fit; the reason names the part, what is needed and what there is. */
enum jb_status jb_fpga_board_read(const struct jb_open_args *args,
                                  struct jb_fpga_board *ret_board) JB_MUST_CHECK;

#ifdef __cplusplus
}
#endif
#endif
