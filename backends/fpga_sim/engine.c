/* SPDX-License-Identifier: MIT */
#include "backends/fpga_sim/engine.h"

#include <math.h>

static uint64_t parts_of(uint64_t n, uint64_t part)
{
    return (n + part - 1) / part;
}

static uint64_t larger(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

static uint32_t levels(uint32_t lanes)
{
    uint32_t n = 0;
    while ((1u << n) < lanes) {
        n++;
    }
    return n;
}

/* ---- cycles ---- */

/* Cycle `lead` is that of `start`. A full bank is seen the cycle after its last beat came in, a
 * freed one the cycle after its last beat went to work. */
struct jb_engine_cycles jb_engine_count(const struct jb_engine *engine, uint64_t m, uint64_t n,
                                        uint64_t k, double beat_cycles, uint64_t lead)
{
    const uint64_t beats = parts_of(k, engine->lanes), n_tiles = parts_of(n, engine->rows);
    const uint64_t work = (m * beats - 1) * engine->interval; /* first beat to last */
    const uint64_t fill = (uint64_t)ceil((double)(beats - 1) * beat_cycles - 1e-9);
    uint64_t freed[2] = {1, 1}; /* cycle from which a bank takes weights */
    uint64_t next_beat = 1;     /* cycle of the stream's next beat       */
    uint64_t ready = 1 + lead;  /* cycle from which a beat may go to work */
    struct jb_engine_cycles cycles = {.busy = n_tiles * m * beats * engine->interval};
    uint64_t last = 0;
    for (uint64_t tile = 0; tile < n_tiles; tile++) {
        uint64_t *bank = &freed[tile % 2];
        const uint64_t first = larger(*bank, next_beat);
        const uint64_t is_full = first + fill + 1;
        next_beat = first + (uint64_t)ceil((double)beats * beat_cycles - 1e-9);
        const uint64_t begin = larger(is_full, ready);
        cycles.waits += begin - ready;
        last = begin + work;
        ready = last + engine->interval;
        *bank = last + 1;
    }
    cycles.total = last + 3 + levels(engine->lanes) + 1 - lead;
    cycles.tail = cycles.total - (cycles.busy + cycles.waits);
    return cycles;
}

/* ---- results ---- */

static int32_t weight_at(const struct jb_engine *engine, const int8_t *w, uint64_t n, uint64_t k,
                         uint64_t row, uint64_t i)
{
    const int32_t value = row < n && i < k ? w[row * k + i] : 0;
    return engine->weight_bits == 4 ? (int32_t)((uint32_t)value << 28) >> 28 : value;
}

void jb_engine_run(const struct jb_engine *engine, uint64_t m, uint64_t n, uint64_t k,
                   const int8_t *x, const int8_t *w, int32_t *ret_y)
{
    const uint64_t beats = parts_of(k, engine->lanes);
    for (uint64_t tile = 0; tile < n; tile += engine->rows) {
        for (uint64_t i = 0; i < m; i++) {
            for (uint64_t row = tile; row < tile + engine->rows && row < n; row++) {
                uint32_t total = 0;
                for (uint64_t at = 0; at < beats * engine->lanes; at++) {
                    const int32_t value = at < k ? x[i * k + at] : 0;
                    total += (uint32_t)(value * weight_at(engine, w, n, k, row, at));
                }
                ret_y[i * n + row] = (int32_t)total;
            }
        }
    }
}

/* ---- parts ---- */

/* Blocks of 18 kbit, 36 bits wide, for a memory. */
static uint64_t blocks(uint64_t depth, uint64_t width)
{
    return parts_of(width, 36) * parts_of(depth, 512);
}

struct jb_engine_parts jb_engine_parts(const struct jb_engine *engine, uint32_t macs_a_dsp)
{
    enum { CONTROL_LUT = 175, CONTROL_FF = 86 }; /* counters, flags, addresses */
    const uint64_t lanes = engine->lanes, rows = engine->rows, bits = engine->weight_bits;
    uint64_t tree = 0; /* bits of one row's sums between products and total */
    for (uint32_t level = 1; (lanes >> level) > 0; level++) {
        tree += (lanes >> level) * (bits + 8 + level);
    }
    const uint64_t sums = rows * (tree + 32);
    return (struct jb_engine_parts){.dsp = parts_of(lanes * rows, macs_a_dsp),
                                    .lut = sums + CONTROL_LUT,
                                    .ff = lanes * rows * (bits + 8) + sums + CONTROL_FF,
                                    .bram18 =
                                        blocks(2 * (uint64_t)engine->depth, rows * lanes * bits) +
                                        blocks(engine->x_depth, lanes * 8)};
}
