/* SPDX-License-Identifier: MIT */
/* Block layouts, names, and the plain-C decoders: what a stored row means. */
#include "backends/format/format.h"

#include <string.h>

_Static_assert(sizeof(struct jb_q8_0) == 34, "blocks are used as they lie in the file");
_Static_assert(sizeof(struct jb_q4_0) == 18, "blocks are used as they lie in the file");
_Static_assert(sizeof(struct jb_q4_1) == 20, "blocks are used as they lie in the file");
_Static_assert(sizeof(struct jb_q4_k) == 144, "blocks are used as they lie in the file");
_Static_assert(sizeof(struct jb_q6_k) == 210, "blocks are used as they lie in the file");

static const struct jb_format formats[JB_N_DTYPES] = {
    [JB_F32] = {.name = "f32", .gguf_type = 0, .block_values = 1, .block_bytes = 4},
    [JB_F16] = {.name = "f16", .gguf_type = 1, .block_values = 1, .block_bytes = 2},
    [JB_BF16] = {.name = "bf16", .gguf_type = 30, .block_values = 1, .block_bytes = 2},
    [JB_Q8_0] = {.name = "q8_0", .gguf_type = 8, .block_values = 32, .block_bytes = 34},
    [JB_Q4_0] = {.name = "q4_0", .gguf_type = 2, .block_values = 32, .block_bytes = 18},
    [JB_Q4_1] = {.name = "q4_1", .gguf_type = 3, .block_values = 32, .block_bytes = 20},
    [JB_Q4_K] = {.name = "q4_k", .gguf_type = 12, .block_values = 256, .block_bytes = 144},
    [JB_Q6_K] = {.name = "q6_k", .gguf_type = 14, .block_values = 256, .block_bytes = 210},
};

const struct jb_format *jb_format(enum jb_dtype dtype)
{
    return &formats[dtype];
}

static bool is_same_name(const char *a, const char *b)
{
    for (; *a != '\0' && *b != '\0'; a++, b++) {
        const char la = *a >= 'A' && *a <= 'Z' ? (char)(*a + ('a' - 'A')) : *a;
        if (la != *b) {
            return false;
        }
    }
    return *a == *b;
}

bool jb_format_by_name(const char *name, enum jb_dtype *ret_dtype)
{
    for (int i = 0; i < JB_N_DTYPES; i++) {
        if (is_same_name(name, formats[i].name)) {
            *ret_dtype = (enum jb_dtype)i;
            return true;
        }
    }
    return false;
}

bool jb_format_by_gguf_type(uint32_t gguf_type, enum jb_dtype *ret_dtype)
{
    for (int i = 0; i < JB_N_DTYPES; i++) {
        if (formats[i].gguf_type == gguf_type) {
            *ret_dtype = (enum jb_dtype)i;
            return true;
        }
    }
    return false;
}

size_t jb_format_row_bytes(enum jb_dtype dtype, uint64_t cols)
{
    const struct jb_format *format = &formats[dtype];
    if (cols % format->block_values != 0) {
        return 0;
    }
    return (size_t)(cols / format->block_values * format->block_bytes);
}

static uint32_t bits_of(float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    return bits;
}

static float float_of(uint32_t bits)
{
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

float jb_f16_to_f32(uint16_t bits)
{
    const uint32_t sign = (uint32_t)(bits & 0x8000u) << 16;
    const uint32_t exponent = bits & 0x7c00u;
    uint32_t magnitude = (uint32_t)(bits & 0x7fffu) << 13;
    if (exponent == 0x7c00u) { /* infinity and NaN: the exponent field becomes all ones */
        return float_of(sign | 0x7f800000u | magnitude);
    }
    if (exponent == 0) { /* subnormal: mantissa * 2^-24, exact */
        return float_of(sign | bits_of((float)(bits & 0x3ffu) * 0x1p-24f));
    }
    magnitude += (127u - 15u) << 23;
    return float_of(sign | magnitude);
}

uint16_t jb_f32_to_f16(float value)
{
    const uint32_t bits = bits_of(value);
    const uint32_t sign = bits & 0x80000000u;
    const uint32_t magnitude = bits ^ sign;
    uint32_t half;
    if (magnitude >= 0x47800000u) { /* 65536 and more, infinity, NaN */
        half = magnitude > 0x7f800000u ? 0x7e00u : 0x7c00u;
    } else if (magnitude < 0x38800000u) {
        /* Below 2^-14: adding 0.5 lines the mantissa up with the subnormal's, and the addition
         * rounds to nearest even for us. */
        half = bits_of(float_of(magnitude) + 0.5f) - bits_of(0.5f);
    } else {
        const uint32_t is_odd = (magnitude >> 13) & 1u;
        half = (magnitude - ((127u - 15u) << 23) + 0xfffu + is_odd) >> 13;
    }
    return (uint16_t)(half | (sign >> 16));
}

float jb_bf16_to_f32(uint16_t bits)
{
    return float_of((uint32_t)bits << 16);
}

uint16_t jb_f32_to_bf16(float value)
{
    const uint32_t bits = bits_of(value);
    if ((bits & 0x7fffffffu) > 0x7f800000u) {
        return (uint16_t)((bits >> 16) | 0x40u); /* quiet, so that a cut payload stays a NaN */
    }
    return (uint16_t)((bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16);
}

static void decode_f32(const uint8_t *src, float *dst, uint64_t n)
{
    memcpy(dst, src, (size_t)n * sizeof *dst);
}

static void decode_f16(const uint8_t *src, float *dst, uint64_t n)
{
    for (uint64_t i = 0; i < n; i++) {
        uint16_t bits;
        memcpy(&bits, src + 2 * i, sizeof bits);
        dst[i] = jb_f16_to_f32(bits);
    }
}

static void decode_bf16(const uint8_t *src, float *dst, uint64_t n)
{
    for (uint64_t i = 0; i < n; i++) {
        uint16_t bits;
        memcpy(&bits, src + 2 * i, sizeof bits);
        dst[i] = jb_bf16_to_f32(bits);
    }
}

static void decode_q8_0(const uint8_t *src, float *dst, uint64_t n)
{
    for (uint64_t i = 0; i < n; i += 32, src += sizeof(struct jb_q8_0)) {
        struct jb_q8_0 block;
        memcpy(&block, src, sizeof block);
        const float d = jb_f16_to_f32(block.d);
        for (int j = 0; j < 32; j++) {
            dst[i + (uint64_t)j] = d * (float)block.q[j];
        }
    }
}

static void decode_q4_0(const uint8_t *src, float *dst, uint64_t n)
{
    for (uint64_t i = 0; i < n; i += 32, src += sizeof(struct jb_q4_0)) {
        struct jb_q4_0 block;
        memcpy(&block, src, sizeof block);
        const float d = jb_f16_to_f32(block.d);
        for (int j = 0; j < 16; j++) {
            dst[i + (uint64_t)j] = d * (float)((block.q[j] & 15) - 8);
            dst[i + (uint64_t)j + 16] = d * (float)((block.q[j] >> 4) - 8);
        }
    }
}

static void decode_q4_1(const uint8_t *src, float *dst, uint64_t n)
{
    for (uint64_t i = 0; i < n; i += 32, src += sizeof(struct jb_q4_1)) {
        struct jb_q4_1 block;
        memcpy(&block, src, sizeof block);
        const float d = jb_f16_to_f32(block.d);
        const float m = jb_f16_to_f32(block.m);
        for (int j = 0; j < 16; j++) {
            dst[i + (uint64_t)j] = d * (float)(block.q[j] & 15) + m;
            dst[i + (uint64_t)j + 16] = d * (float)(block.q[j] >> 4) + m;
        }
    }
}

/* Q4_K: 8 groups of 32 values, w = (d sc) q - (dmin mn). Groups 2k and 2k+1 share the bytes
 * q[32 k .. 32 k + 31]: low halves, then high halves. Of the 12 scale bytes, 0-3 hold scales of
 * groups 0-3 and 4-7 their mins in the low 6 bits; bytes 8-11 hold the low 4 bits of scale and
 * min of groups 4-7, whose high 2 bits are the high bits of bytes 0-3 and 4-7. */
static void q4_k_scale(const uint8_t *packed, int group, float *ret_scale, float *ret_min)
{
    int scale;
    int min;
    if (group < 4) {
        scale = packed[group] & 63;
        min = packed[group + 4] & 63;
    } else {
        scale = (packed[group + 4] & 15) | ((packed[group - 4] >> 6) << 4);
        min = (packed[group + 4] >> 4) | ((packed[group] >> 6) << 4);
    }
    *ret_scale = (float)scale;
    *ret_min = (float)min;
}

static void decode_q4_k(const uint8_t *src, float *dst, uint64_t n)
{
    for (uint64_t i = 0; i < n; i += 256, src += sizeof(struct jb_q4_k)) {
        struct jb_q4_k block;
        memcpy(&block, src, sizeof block);
        const float d = jb_f16_to_f32(block.d);
        const float dmin = jb_f16_to_f32(block.dmin);
        for (int group = 0; group < 8; group++) {
            float scale;
            float min;
            q4_k_scale(block.scales, group, &scale, &min);
            const uint8_t *q = block.q + (ptrdiff_t)32 * (group / 2);
            const int shift = 4 * (group % 2);
            float *out = dst + i + 32 * (uint64_t)group;
            for (int j = 0; j < 32; j++) {
                out[j] = d * scale * (float)((q[j] >> shift) & 15) - dmin * min;
            }
        }
    }
}

/* Q6_K: 16 groups of 16 values, w = d scale (q - 32). Half h of the block (128 values) uses
 * ql[64 h ..], qh[32 h ..]. Its value 32 r + l (r = 0..3) has its low 4 bits in
 * ql[64 h + 32 (r % 2) + l], low half for r < 2, and its high 2 bits in bits 2r of qh[32 h + l]. */
static void decode_q6_k(const uint8_t *src, float *dst, uint64_t n)
{
    for (uint64_t i = 0; i < n; i += 256, src += sizeof(struct jb_q6_k)) {
        struct jb_q6_k block;
        memcpy(&block, src, sizeof block);
        const float d = jb_f16_to_f32(block.d);
        for (int j = 0; j < 256; j++) {
            const int half = j / 128;
            const int r = j / 32 % 4;
            const int l = j % 32;
            const size_t group = (size_t)j / 16;
            const int low = (block.ql[64 * half + 32 * (r % 2) + l] >> (r < 2 ? 0 : 4)) & 15;
            const int high = (block.qh[32 * half + l] >> (2 * r)) & 3;
            dst[i + (uint64_t)j] =
                d * (float)block.scales[group] * (float)((low | (high << 4)) - 32);
        }
    }
}

void jb_format_decode(enum jb_dtype dtype, const void *src, float *dst, uint64_t n)
{
    static void (*const decoders[JB_N_DTYPES])(const uint8_t *, float *, uint64_t) = {
        [JB_F32] = decode_f32,   [JB_F16] = decode_f16,   [JB_BF16] = decode_bf16,
        [JB_Q8_0] = decode_q8_0, [JB_Q4_0] = decode_q4_0, [JB_Q4_1] = decode_q4_1,
        [JB_Q4_K] = decode_q4_k, [JB_Q6_K] = decode_q6_k,
    };
    decoders[dtype](src, dst, n);
}
