/* SPDX-License-Identifier: MIT */
#ifndef JB_FORMAT_H
#define JB_FORMAT_H

/* Number formats of weights and KV caches: block layouts, and the plain-C conversions that define
 * what a stored row means. Every faster reader is tested against jb_format_decode().
 *
 * Layouts are those of GGUF (ggml), little endian, so that a mapped file is used as it is. A row
 * of `cols` values is cols / block_values blocks, one after the other; cols must be a multiple. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "platforms/base/status.h"

enum jb_dtype {
    JB_F32,
    JB_F16,
    JB_BF16,
    JB_Q8_0, /* 32 values: f16 scale d, 32 x int8 q;                 w = d q               34 B */
    JB_Q4_0, /* 32 values: f16 scale d, 16 B of nibbles;             w = d (q - 8)         18 B */
    JB_Q4_1, /* 32 values: f16 d, f16 m, 16 B of nibbles;            w = d q + m           20 B */
    JB_Q4_K, /* 256 values: f16 d, f16 dmin, 12 B of 6-bit scales and mins, 128 B of nibbles 144 B
              */
    JB_Q6_K, /* 256 values: 128 B low nibbles, 64 B high pairs, 16 x int8 scales, f16 d     210 B */
    JB_N_DTYPES
};

/* Nibble order of Q4_0 and Q4_1: byte i of a block holds value i in its low half and value i + 16
 * in its high half. Q4_K and Q6_K orders are told where they are decoded (format.c). */

struct jb_q8_0 {
    uint16_t d; /* IEEE binary16 bits */
    int8_t q[32];
};
struct jb_q4_0 {
    uint16_t d;
    uint8_t q[16];
};
struct jb_q4_1 {
    uint16_t d, m;
    uint8_t q[16];
};
struct jb_q4_k {
    uint16_t d, dmin;
    uint8_t scales[12];
    uint8_t q[128];
};
struct jb_q6_k {
    uint8_t ql[128];
    uint8_t qh[64];
    int8_t scales[16];
    uint16_t d;
};

struct jb_format {
    const char *name;      /* as in GGUF tools and --format, lower case: "q4_0"       */
    uint32_t gguf_type;    /* type number in a GGUF tensor entry                      */
    uint32_t block_values; /* values a block                                          */
    uint32_t block_bytes;  /* bytes a block                                           */
};

#ifdef __cplusplus
extern "C" {
#endif

/* Never NULL for dtype < JB_N_DTYPES. */
const struct jb_format *jb_format(enum jb_dtype dtype);

/* Looks a name up, case-insensitively. @return false if there is none of that name. */
bool jb_format_by_name(const char *name, enum jb_dtype *ret_dtype);
bool jb_format_by_gguf_type(uint32_t gguf_type, enum jb_dtype *ret_dtype);

/* Bytes of one row; 0 if cols is not a multiple of the block. */
size_t jb_format_row_bytes(enum jb_dtype dtype, uint64_t cols);

/* IEEE binary16 and bfloat16 conversions, round to nearest even, NaN kept. */
float jb_f16_to_f32(uint16_t bits);
uint16_t jb_f32_to_f16(float value);
float jb_bf16_to_f32(uint16_t bits);
uint16_t jb_f32_to_bf16(float value);

/* Decodes one row. @param src row, no alignment needed. @param n values, a multiple of the block.
 * @param dst (n,) float32. */
void jb_format_decode(enum jb_dtype dtype, const void *src, float *dst, uint64_t n);

/* Encodes one row in the way ggml's reference quantisers do (f32, f16, bf16, q8_0, q4_0, q4_1:
 * the same bytes; q4_k, q6_k: own search, error no larger than theirs in the tests' samples).
 * @param src (n,) finite float32. @param dst jb_format_row_bytes(dtype, n) bytes. */
void jb_format_encode(enum jb_dtype dtype, const float *src, void *dst, uint64_t n);

/* Fills a row with weights of about N(0, sigma), drawn straight in the stored form: the codes
 * follow a quantised normal distribution, as trained weights roughly do, so that bit toggling,
 * and thus power, is realistic. Same (seed, tensor, row): same bytes everywhere. At least
 * 100 M values a second and core. */
void jb_format_fill_random(enum jb_dtype dtype, void *dst, uint64_t n, float sigma, uint64_t seed,
                           uint64_t tensor, uint64_t row);

#ifdef __cplusplus
}
#endif
#endif
