/* SPDX-License-Identifier: MIT */
#ifndef JB_FPGA_ENGINE_H
#define JB_FPGA_ENGINE_H

/* The matrix engine of rtl/engine.v in C: its results to the bit, its cycles to the cycle, and what
 * it takes of an FPGA. tests/rtl runs the Verilog beside it and synthesises it.
 *
 * y (m, n) = x (m, k) times w (n, k) transposed: `rows` outputs are made at once from `lanes`
 * products each. A tile is `rows` outputs over all of k; its weights stream into one of two banks,
 * a beat of rows x lanes weights every `beat_cycles` at best, while the other bank is multiplied
 * with all m rows of activations, one beat every `interval` cycles. */

#include <stdint.h>

struct jb_engine {
    uint32_t lanes;       /* a power of two                              */
    uint32_t rows;        /* outputs at once                             */
    uint32_t weight_bits; /* 8 or 4                                      */
    uint32_t depth;       /* beats of a bank: k <= lanes x depth         */
    uint32_t x_depth;     /* beats of activations: m ceil(k / lanes)     */
    uint32_t interval;    /* cycles a beat is at work, >= 1              */
};

/* What a run took. */
struct jb_engine_cycles {
    uint64_t total; /* from the cycle of `start` to that of the last result, both counted */
    uint64_t busy;  /* beats at work x interval                                            */
    uint64_t waits; /* cycles without a full bank to work on                               */
    uint64_t tail;  /* from the last beat on: the pipeline runs out                        */
};

/* Parts of an FPGA. */
struct jb_engine_parts {
    uint64_t dsp, lut, ff, bram18; /* bram18: blocks of 18 kbit, two in a RAMB36 */
};

#ifdef __cplusplus
extern "C" {
#endif

/* @param beat_cycles cycles from one beat of weights to the next, as the memory hands them out;
 * fractions add up. 1 = every cycle.
 * @param lead cycles before `start` from which on weights may enter; 0 in the Verilog */
struct jb_engine_cycles jb_engine_count(const struct jb_engine *engine, uint64_t m, uint64_t n,
                                        uint64_t k, double beat_cycles, uint64_t lead);
/* Results as the engine makes them: whole beats, tile by tile; int32 sums that wrap.
 * @param x (m, k), w (n, k), ret_y (m, n) */
void jb_engine_run(const struct jb_engine *engine, uint64_t m, uint64_t n, uint64_t k,
                   const int8_t *x, const int8_t *w, int32_t *ret_y);

/* What synthesis for UltraScale+ makes of it; within 20 % of Yosys.
 * @param macs_a_dsp products that share a DSP slice: 1 as the Verilog is written, 2 with two INT8
 * products of one activation packed, 4 with INT4 */
struct jb_engine_parts jb_engine_parts(const struct jb_engine *engine, uint32_t macs_a_dsp);

#ifdef __cplusplus
}
#endif
#endif
