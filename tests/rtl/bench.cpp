/* SPDX-License-Identifier: MIT */
/* rtl/engine.v beside engine.h on seeded shapes: every result and the number of cycles. Built once
 * for each set of parameters by tests/rtl/run, which prints the plan; speaks TAP lines.
 *
 * usage: bench FIRST-NUMBER N-SHAPES SEED | bench parts */
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <vector>

#include "Vengine.h"
#include "verilated.h"

#include "backends/fpga_sim/engine.h"
#include "platforms/base/rng.h"

static const jb_engine engine = {P_LANES, P_ROWS, P_WBITS, P_DEPTH, P_XDEPTH, P_II};

/* A wide port as bits; Verilator makes it an integer or an array of 32-bit words. */
template <typename Port>
static void put_bits(Port &port, uint32_t at, uint32_t bits, uint32_t value)
{
    auto *bytes = reinterpret_cast<uint8_t *>(&port);
    for (uint32_t i = 0; i < bits; i += 4) {
        const uint32_t nibble = value >> i & 15u, place = (at + i) / 8, shift = (at + i) % 8;
        bytes[place] = static_cast<uint8_t>((bytes[place] & ~(15u << shift)) | nibble << shift);
    }
}

template <typename Port> static int32_t word_at(const Port &port, uint32_t index)
{
    int32_t value;
    std::memcpy(&value, reinterpret_cast<const uint8_t *>(&port) + 4 * index, sizeof value);
    return value;
}

struct shape {
    uint32_t m, n, k, beat_cycles;
};

struct machine {
    Vengine *top;
    uint64_t cycle;
};

static void tick(machine *a)
{
    a->top->clk = 0;
    a->top->eval();
    a->top->clk = 1;
    a->top->eval();
    a->cycle++;
}

static void put_activations(machine *a, const shape &s, const std::vector<int8_t> &x)
{
    const uint32_t beats = (s.k + engine.lanes - 1) / engine.lanes;
    a->top->x_we = 1;
    for (uint32_t b = 0; b < s.m * beats; b++) {
        a->top->x_addr = static_cast<uint16_t>(b);
        for (uint32_t l = 0; l < engine.lanes; l++) {
            const uint32_t i = b % beats * engine.lanes + l;
            put_bits(a->top->x_data, 8 * l, 8,
                     i < s.k ? static_cast<uint8_t>(x[b / beats * s.k + i]) : 0);
        }
        tick(a);
    }
    a->top->x_we = 0;
}

/* Beat number `beat` of the stream. */
static void put_weights(machine *a, const shape &s, const std::vector<int8_t> &w, uint64_t beat)
{
    const uint32_t beats = (s.k + engine.lanes - 1) / engine.lanes;
    const uint64_t tile = beat / beats;
    for (uint32_t r = 0; r < engine.rows; r++) {
        for (uint32_t l = 0; l < engine.lanes; l++) {
            const uint64_t row = tile * engine.rows + r, i = beat % beats * engine.lanes + l;
            const uint32_t value =
                row < s.n && i < s.k ? static_cast<uint8_t>(w[row * s.k + i]) : 0;
            put_bits(a->top->w_data, (r * engine.lanes + l) * engine.weight_bits,
                     engine.weight_bits, value);
        }
    }
}

/* @return cycles, 0 if a result is wrong */
static uint64_t run(machine *a, const shape &s, const std::vector<int8_t> &x,
                    const std::vector<int8_t> &w, const std::vector<int32_t> &y)
{
    const uint32_t beats = (s.k + engine.lanes - 1) / engine.lanes;
    const uint32_t tiles = (s.n + engine.rows - 1) / engine.rows;
    uint64_t sent = 0, next = 0, seen = 0;
    bool is_right = true;
    a->top->k_beats = static_cast<uint16_t>(beats);
    a->top->m_rows = static_cast<uint16_t>(s.m);
    a->top->n_tiles = static_cast<uint16_t>(tiles);
    put_activations(a, s, x);
    a->cycle = 0;
    a->top->start = 1;
    while (seen < uint64_t{tiles} * s.m && a->cycle < 10000000) {
        const bool offers = sent < uint64_t{tiles} * beats && a->cycle >= next;
        a->top->w_valid = offers;
        if (offers) {
            put_weights(a, s, w, sent);
        }
        a->top->clk = 0;
        a->top->eval();
        if (offers && a->top->w_ready) {
            next = a->cycle + s.beat_cycles;
            sent++;
        }
        if (a->top->y_valid) {
            for (uint32_t r = 0; r < engine.rows; r++) {
                const uint64_t row = seen / s.m * engine.rows + r;
                is_right &= row >= s.n || word_at(a->top->y_data, r) == y[seen % s.m * s.n + row];
            }
            seen++;
        }
        tick(a);
        a->top->start = 0;
    }
    a->top->w_valid = 0;
    return is_right ? a->cycle : 0;
}

int main(int argc, char **argv)
{
    if (argc > 1 && std::strcmp(argv[1], "parts") == 0) {
        const struct jb_engine_parts parts = jb_engine_parts(&engine, 1);
        std::printf("dsp %llu\nlut %llu\nff %llu\nbram18 %llu\n",
                    static_cast<unsigned long long>(parts.dsp),
                    static_cast<unsigned long long>(parts.lut),
                    static_cast<unsigned long long>(parts.ff),
                    static_cast<unsigned long long>(parts.bram18));
        return 0;
    }
    const unsigned first = argc > 1 ? static_cast<unsigned>(std::atoi(argv[1])) : 1;
    const unsigned n_shapes = argc > 2 ? static_cast<unsigned>(std::atoi(argv[2])) : 20;
    jb_rng rng;
    jb_rng_seed(&rng, argc > 3 ? static_cast<uint64_t>(std::atoi(argv[3])) : 1, P_LANES);
    machine a = {new Vengine, 0};
    a.top->rst = 1;
    tick(&a);
    tick(&a);
    a.top->rst = 0;
    for (unsigned i = 0; i < n_shapes; i++) {
        shape s = {1 + jb_rng_below(&rng, i % 3 == 0 ? 1 : 9), 1 + jb_rng_below(&rng, 40),
                   1 + jb_rng_below(&rng, P_LANES * P_DEPTH / 4), 1 + jb_rng_below(&rng, 4)};
        std::vector<int8_t> x(s.m * s.k), w(s.n * s.k);
        std::vector<int32_t> y(s.m * s.n);
        for (int8_t &value : x) {
            value = static_cast<int8_t>(jb_rng_below(&rng, 256));
        }
        for (int8_t &value : w) { /* INT4: -8 to 7 */
            const uint32_t drawn = jb_rng_below(&rng, 1u << P_WBITS);
            value = static_cast<int8_t>(static_cast<int32_t>(drawn) - (1 << (P_WBITS - 1)));
        }
        jb_engine_run(&engine, s.m, s.n, s.k, x.data(), w.data(), y.data());
        const uint64_t expected = jb_engine_count(&engine, s.m, s.n, s.k, s.beat_cycles, 0).total;
        const uint64_t cycles = run(&a, s, x, w, y);
        std::printf(
            "%sok %u - %ux%u int%u, interval %u: %ux%ux%u, a beat in %u # %llu cycles, %llu "
            "in C\n",
            cycles == expected ? "" : "not ", first + i, P_LANES, P_ROWS, P_WBITS, P_II, s.m, s.n,
            s.k, s.beat_cycles, static_cast<unsigned long long>(cycles),
            static_cast<unsigned long long>(expected));
    }
    delete a.top;
    return 0;
}
