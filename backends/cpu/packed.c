/* SPDX-License-Identifier: MIT */
#include "backends/cpu/packed.h"

#include <string.h>

/* Blocks of 256 columns have a line of their own before their four steps. */
struct layout {
    uint32_t head_lines; /* for each 4 steps */
    uint32_t step_lines;
};

static const struct layout layouts[JB_N_DTYPES] = {
    [JB_F16] = {.step_lines = 32},
    [JB_BF16] = {.step_lines = 32},
    [JB_Q8_0] = {.step_lines = 17},
    [JB_Q4_0] = {.step_lines = 9},
    [JB_Q4_1] = {.step_lines = 10},
    [JB_Q4_K] = {.head_lines = 1, .step_lines = 9},
    [JB_Q6_K] = {.head_lines = 1, .step_lines = 13},
};

size_t jb_cpu_panel_bytes(enum jb_dtype dtype, uint32_t cols)
{
    const struct layout *layout = &layouts[dtype];
    const size_t steps = jb_cpu_panel_steps(cols);
    return (steps * layout->step_lines + steps / 4 * layout->head_lines) * JB_CPU_LINE;
}

/* Byte i of the 32 = code i of block 0, low, and of block 1, high. */
static void put_codes(uint8_t *lines, uint32_t row, const uint8_t codes[32])
{
    for (uint32_t j = 0; j < 8; j++) {
        memcpy(lines + (size_t)j * JB_CPU_LINE + (size_t)row * 4, codes + (size_t)j * 4, 4);
    }
}

static void get_codes(const uint8_t *lines, uint32_t row, uint8_t codes[32])
{
    for (uint32_t j = 0; j < 8; j++) {
        memcpy(codes + (size_t)j * 4, lines + (size_t)j * JB_CPU_LINE + (size_t)row * 4, 4);
    }
}

static void put_half(uint8_t *line, uint32_t half, uint32_t row, uint16_t bits)
{
    memcpy(line + (size_t)half * 32 + (size_t)row * 2, &bits, 2);
}

static float get_half(const uint8_t *line, uint32_t half, uint32_t row)
{
    uint16_t bits;
    memcpy(&bits, line + (size_t)half * 32 + (size_t)row * 2, 2);
    return jb_f16_to_f32(bits);
}

/* Two blocks whose byte i holds values i and i + 16. */
static void join_nibbles(const uint8_t a[16], const uint8_t b[16], uint8_t codes[32])
{
    for (uint32_t i = 0; i < 16; i++) {
        codes[i] = (uint8_t)((a[i] & 15u) | (uint32_t)b[i] << 4);
        codes[i + 16] = (uint8_t)(a[i] >> 4 | (b[i] & 0xf0u));
    }
}

/* ---- one row of one step; `second` is false if its block 1 is only padding ---- */

static void pack_q8_0(const uint8_t *src, bool second, uint32_t row, uint8_t *step)
{
    const struct jb_q8_0 *blocks = (const void *)src;
    for (uint32_t b = 0; b < (second ? 2u : 1u); b++) {
        uint8_t codes[32];
        for (uint32_t i = 0; i < 32; i++) {
            codes[i] = (uint8_t)(blocks[b].q[i] + 128);
        }
        put_half(step, b, row, blocks[b].d);
        put_codes(step + JB_CPU_LINE + (size_t)b * 8 * JB_CPU_LINE, row, codes);
    }
}

static void pack_q4_0(const uint8_t *src, bool second, uint32_t row, uint8_t *step)
{
    static const uint8_t none[16] = {0};
    const struct jb_q4_0 *blocks = (const void *)src;
    uint8_t codes[32];
    join_nibbles(blocks[0].q, second ? blocks[1].q : none, codes);
    put_half(step, 0, row, blocks[0].d);
    put_half(step, 1, row, second ? blocks[1].d : 0);
    put_codes(step + JB_CPU_LINE, row, codes);
}

static void pack_q4_1(const uint8_t *src, bool second, uint32_t row, uint8_t *step)
{
    static const uint8_t none[16] = {0};
    const struct jb_q4_1 *blocks = (const void *)src;
    uint8_t codes[32];
    join_nibbles(blocks[0].q, second ? blocks[1].q : none, codes);
    put_half(step, 0, row, blocks[0].d);
    put_half(step, 1, row, second ? blocks[1].d : 0);
    put_half(step + JB_CPU_LINE, 0, row, blocks[0].m);
    put_half(step + JB_CPU_LINE, 1, row, second ? blocks[1].m : 0);
    put_codes(step + 2 * (size_t)JB_CPU_LINE, row, codes);
}

/* Scale and minimum number i of a Q4_K block: 6 bits each, see format.c. */
static void q4_k_scale(const uint8_t *scales, uint32_t i, uint8_t *ret_scale, uint8_t *ret_min)
{
    if (i < 4) {
        *ret_scale = scales[i] & 63;
        *ret_min = scales[i + 4] & 63;
    } else {
        *ret_scale = (uint8_t)((scales[i + 4] & 15u) | (scales[i - 4] & 0xc0u) >> 2);
        *ret_min = (uint8_t)(scales[i + 4] >> 4 | (scales[i] & 0xc0u) >> 2);
    }
}

static void pack_q4_k(const struct jb_q4_k *block, uint32_t row, uint8_t *head)
{
    put_half(head, 0, row, block->d);
    put_half(head, 1, row, block->dmin);
    for (uint32_t p = 0; p < 4; p++) {
        uint8_t *step = head + (1 + (size_t)p * 9) * JB_CPU_LINE;
        for (uint32_t h = 0; h < 2; h++) {
            q4_k_scale(block->scales, 2 * p + h, step + (size_t)h * 16 + row,
                       step + (size_t)h * 16 + 32 + row);
        }
        put_codes(step + JB_CPU_LINE, row, block->q + (size_t)p * 32);
    }
}

/* Codes of block b of 32 values: see format.c for the order. */
static void q6_k_codes(const struct jb_q6_k *block, uint32_t b, uint8_t codes[32])
{
    const uint8_t *low = block->ql + (size_t)(b / 4) * 64 + (size_t)(b % 2) * 32;
    const uint8_t *high = block->qh + (size_t)(b / 4) * 32;
    for (uint32_t i = 0; i < 32; i++) {
        const uint32_t nibble = b % 4 < 2 ? low[i] & 15u : (uint32_t)low[i] >> 4;
        codes[i] = (uint8_t)(nibble | ((uint32_t)high[i] >> (b % 4 * 2) & 3u) << 4);
    }
}

static void pack_q6_k(const struct jb_q6_k *block, uint32_t row, uint8_t *head)
{
    put_half(head, 0, row, block->d);
    for (uint32_t p = 0; p < 4; p++) {
        uint8_t *step = head + (1 + (size_t)p * 13) * JB_CPU_LINE;
        uint8_t a[32], b[32], nibbles[32], pairs[16];
        q6_k_codes(block, 2 * p, a);
        q6_k_codes(block, 2 * p + 1, b);
        for (uint32_t i = 0; i < 32; i++) {
            nibbles[i] = (uint8_t)((a[i] & 15u) | (b[i] & 15u) << 4);
        }
        for (uint32_t i = 0; i < 16; i++) {
            pairs[i] = (uint8_t)((uint32_t)a[i] >> 4 | (uint32_t)a[i + 16] >> 4 << 2 |
                                 (uint32_t)b[i] >> 4 << 4 | (uint32_t)b[i + 16] >> 4 << 6);
        }
        for (uint32_t s = 0; s < 4; s++) {
            step[s * 16 + row] = (uint8_t)block->scales[4 * p + s];
        }
        put_codes(step + JB_CPU_LINE, row, nibbles);
        for (uint32_t j = 0; j < 4; j++) {
            memcpy(step + (9 + (size_t)j) * JB_CPU_LINE + (size_t)row * 4, pairs + (size_t)j * 4,
                   4);
        }
    }
}

/* All of one row. */
static void pack_row(enum jb_dtype dtype, const uint8_t *src, uint32_t cols, uint32_t row,
                     uint8_t *panel)
{
    const struct layout *layout = &layouts[dtype];
    const size_t step_bytes = (size_t)layout->step_lines * JB_CPU_LINE;
    const size_t block_bytes = jb_format(dtype)->block_bytes;
    if (layout->head_lines > 0) {
        const size_t head_bytes = 4 * step_bytes + (size_t)layout->head_lines * JB_CPU_LINE;
        for (uint32_t g = 0; g < cols / 256; g++, src += block_bytes, panel += head_bytes) {
            if (dtype == JB_Q4_K) {
                pack_q4_k((const void *)src, row, panel);
            } else {
                pack_q6_k((const void *)src, row, panel);
            }
        }
        return;
    }
    void (*pack)(const uint8_t *, bool, uint32_t, uint8_t *) = dtype == JB_Q8_0   ? pack_q8_0
                                                               : dtype == JB_Q4_0 ? pack_q4_0
                                                                                  : pack_q4_1;
    for (uint32_t col = 0; col < cols; col += 64, src += 2 * block_bytes, panel += step_bytes) {
        pack(src, col + 32 < cols, row, panel);
    }
}

/* Halves of `pair` neighbouring columns of 16 rows side by side. */
static void pack_halves(const uint8_t *rows, size_t row_bytes, uint32_t n_rows, uint32_t cols,
                        uint32_t pair, uint8_t *panel)
{
    uint16_t *to = (uint16_t *)(void *)panel;
    for (uint32_t col = 0; col < cols; col += 32) {
        const uint32_t n = cols - col < 32 ? cols - col : 32;
        for (uint32_t row = 0; row < n_rows; row++) {
            uint16_t from[32];
            memcpy(from, rows + row * row_bytes + (size_t)col * 2, (size_t)n * 2);
            for (uint32_t i = 0; i < n; i++) {
                const size_t line = (size_t)(col + i) / pair * JB_CPU_PANEL + row;
                to[line * pair + i % pair] = from[i];
            }
        }
    }
}

void jb_cpu_pack(enum jb_dtype dtype, const uint8_t *rows, size_t row_bytes, uint32_t n_rows,
                 uint32_t cols, uint8_t *panel)
{
    if (n_rows < JB_CPU_PANEL || cols % 64 != 0) {
        memset(panel, 0, jb_cpu_panel_bytes(dtype, cols));
    }
    if (dtype == JB_F16 || dtype == JB_BF16) {
        pack_halves(rows, row_bytes, n_rows, cols, dtype == JB_F16 ? 1 : 2, panel);
        return;
    }
    for (uint32_t row = 0; row < n_rows; row++) {
        pack_row(dtype, rows + row * row_bytes, cols, row, panel);
    }
}

/* ---- back ---- */

/* The step's codes of block h, and for block_of 256 its head. */
static void unpack_block(enum jb_dtype dtype, const uint8_t *head, const uint8_t *step, uint32_t h,
                         uint32_t row, float dst[32])
{
    uint8_t codes[32], pairs[16];
    const bool has_minima = dtype == JB_Q4_1;
    const size_t scales = dtype == JB_Q4_1 ? 2 : 1;
    get_codes(step + (scales + (dtype == JB_Q8_0 ? (size_t)h * 8 : 0)) * JB_CPU_LINE, row, codes);
    for (uint32_t j = 0; j < 4 && dtype == JB_Q6_K; j++) {
        memcpy(pairs + (size_t)j * 4, step + (9 + (size_t)j) * JB_CPU_LINE + (size_t)row * 4, 4);
    }
    for (uint32_t i = 0; i < 32; i++) {
        const uint32_t code = dtype == JB_Q8_0 ? codes[i] : (uint32_t)codes[i] >> (h * 4) & 15u;
        if (dtype == JB_Q8_0) {
            dst[i] = get_half(step, h, row) * (float)((int)code - 128);
        } else if (dtype == JB_Q4_K) {
            dst[i] = get_half(head, 0, row) * (float)step[h * 16 + row] * (float)code -
                     get_half(head, 1, row) * (float)step[h * 16 + 32 + row];
        } else if (dtype == JB_Q6_K) {
            const uint32_t high = (uint32_t)pairs[i % 16] >> (h * 4 + i / 16 * 2) & 3u;
            const int8_t scale = (int8_t)step[(h * 2 + i / 16) * 16 + row];
            dst[i] = get_half(head, 0, row) * (float)scale * (float)((int)(code | high << 4) - 32);
        } else if (has_minima) {
            dst[i] = get_half(step, h, row) * (float)code + get_half(step + JB_CPU_LINE, h, row);
        } else {
            dst[i] = get_half(step, h, row) * (float)((int)code - 8);
        }
    }
}

void jb_cpu_unpack_row(enum jb_dtype dtype, const uint8_t *panel, uint32_t row, uint32_t cols,
                       float *dst)
{
    const struct layout *layout = &layouts[dtype];
    const uint8_t *head = panel, *step = panel;
    for (uint32_t i = 0; i < cols && (dtype == JB_F16 || dtype == JB_BF16); i++) {
        const uint32_t pair = dtype == JB_F16 ? 1 : 2;
        const size_t at = ((size_t)i / pair * JB_CPU_PANEL + row) * pair + i % pair;
        uint16_t bits;
        memcpy(&bits, panel + at * 2, 2);
        dst[i] = dtype == JB_F16 ? jb_f16_to_f32(bits) : jb_bf16_to_f32(bits);
    }
    if (dtype == JB_F16 || dtype == JB_BF16) {
        return;
    }
    for (uint32_t block = 0; block < cols / 32; block++) {
        if (block % 8 == 0 && layout->head_lines > 0) {
            head = step;
            step += (size_t)layout->head_lines * JB_CPU_LINE;
        }
        unpack_block(dtype, head, step, block % 2, row, dst + (size_t)block * 32);
        step += block % 2 == 1 ? (size_t)layout->step_lines * JB_CPU_LINE : 0;
    }
}
