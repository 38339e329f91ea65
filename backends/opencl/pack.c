/* SPDX-License-Identifier: MIT */
/* From rows as a model file has them to planes that a device reads in whole vectors: matmul.cl has
 * the layout. */
#include "backends/opencl/pack.h"

#include <string.h>

/* Bytes of a plane for each `units` units of 32 values. */
static const struct {
    uint8_t bytes, units;
} planes[JB_N_DTYPES][JB_OPENCL_PLANES] = {
    [JB_F32] = {{128, 1}},
    [JB_F16] = {{64, 1}},
    [JB_BF16] = {{64, 1}},
    [JB_Q8_0] = {{32, 1}, {2, 1}},
    [JB_Q4_0] = {{16, 1}, {2, 1}},
    [JB_Q4_1] = {{16, 1}, {4, 1}},
    [JB_Q4_K] = {{16, 1}, {2, 1}, {4, 8}},
    [JB_Q6_K] = {{16, 1}, {8, 1}, {2, 1}, {2, 8}},
};

uint64_t jb_opencl_plane_bytes(enum jb_dtype dtype, uint32_t plane, uint32_t n_units)
{
    const uint32_t units = planes[dtype][plane].units;
    return units > 0 ? (uint64_t)n_units / units * planes[dtype][plane].bytes : 0;
}

/* Values of 1 unit, 4 bits each, into 16 bytes: value i low, value i + 16 high. */
static void put_nibbles(const uint8_t *values, uint8_t *to)
{
    for (int i = 0; i < 16; i++) {
        to[i] = (uint8_t)(values[i] | (values[i + 16] << 4));
    }
}

static void pack_q8_0(const uint8_t *row, uint32_t n_units, uint8_t *const *to)
{
    for (uint32_t u = 0; u < n_units; u++) {
        memcpy(to[1] + (size_t)u * 2, row + (size_t)u * 34, 2);
        memcpy(to[0] + (size_t)u * 32, row + (size_t)u * 34 + 2, 32);
    }
}

static void pack_q4_0(const uint8_t *row, uint32_t n_units, uint8_t *const *to)
{
    for (uint32_t u = 0; u < n_units; u++) {
        memcpy(to[1] + (size_t)u * 2, row + (size_t)u * 18, 2);
        memcpy(to[0] + (size_t)u * 16, row + (size_t)u * 18 + 2, 16);
    }
}

static void pack_q4_1(const uint8_t *row, uint32_t n_units, uint8_t *const *to)
{
    for (uint32_t u = 0; u < n_units; u++) {
        memcpy(to[1] + (size_t)u * 4, row + (size_t)u * 20, 4);
        memcpy(to[0] + (size_t)u * 16, row + (size_t)u * 20 + 4, 16);
    }
}

/* Scale and min of one of 8 groups; format.h tells how the 12 bytes hold them. */
static void pack_q4_k(const uint8_t *row, uint32_t n_units, uint8_t *const *to)
{
    for (uint32_t u = 0; u < n_units; u++) {
        const uint8_t *block = row + (size_t)(u / 8) * 144, *packed = block + 4;
        const uint32_t g = u % 8;
        uint8_t values[32];
        for (uint32_t i = 0; i < 32; i++) {
            values[i] = (block[16 + 32 * (g / 2) + i] >> (4 * (g % 2))) & 15;
        }
        put_nibbles(values, to[0] + (size_t)u * 16);
        uint8_t *line = to[1] + (size_t)u * 2;
        if (g < 4) {
            line[0] = packed[g] & 63;
            line[1] = packed[g + 4] & 63;
        } else {
            line[0] = (uint8_t)((packed[g + 4] & 15) | ((packed[g - 4] >> 6) << 4));
            line[1] = (uint8_t)((packed[g + 4] >> 4) | ((packed[g] >> 6) << 4));
        }
        if (g == 0) {
            memcpy(to[2] + (size_t)(u / 8) * 4, block, 4);
        }
    }
}

static void pack_q6_k(const uint8_t *row, uint32_t n_units, uint8_t *const *to)
{
    for (uint32_t u = 0; u < n_units; u++) {
        const uint8_t *block = row + (size_t)(u / 8) * 210;
        const uint32_t g = u % 8, half = g / 4, r = g % 4;
        const uint8_t *low = block + (size_t)(64 * half + 32 * (r % 2));
        const uint8_t *high = block + 128 + (size_t)(32 * half);
        uint8_t values[32];
        uint8_t *bits = to[1] + (size_t)u * 8;
        memset(bits, 0, 8);
        for (uint32_t i = 0; i < 32; i++) {
            values[i] = (low[i] >> (r < 2 ? 0 : 4)) & 15;
            bits[i % 8] |= (uint8_t)(((high[i] >> (2 * r)) & 3) << (2 * (i / 8)));
        }
        put_nibbles(values, to[0] + (size_t)u * 16);
        memcpy(to[2] + (size_t)u * 2, block + 192 + (size_t)g * 2, 2);
        if (g == 0) {
            memcpy(to[3] + (size_t)(u / 8) * 2, block + 208, 2);
        }
    }
}

void jb_opencl_pack_row(enum jb_dtype dtype, const uint8_t *row, size_t row_bytes, uint32_t n_units,
                        uint8_t *const *to)
{
    static void (*const packers[JB_N_DTYPES])(const uint8_t *, uint32_t, uint8_t *const *) = {
        [JB_Q8_0] = pack_q8_0, [JB_Q4_0] = pack_q4_0, [JB_Q4_1] = pack_q4_1,
        [JB_Q4_K] = pack_q4_k, [JB_Q6_K] = pack_q6_k,
    };
    if (packers[dtype] != NULL) {
        packers[dtype](row, n_units, to);
        return;
    }
    const uint64_t padded = jb_opencl_plane_bytes(dtype, 0, n_units);
    memcpy(to[0], row, row_bytes);
    memset(to[0] + row_bytes, 0, (size_t)padded - row_bytes);
}
