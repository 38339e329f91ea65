/* SPDX-License-Identifier: MIT */
#ifndef JB_CPU_KERNELS_H
#define JB_CPU_KERNELS_H

/* The kernels of the CPU backend: one table of functions a SIMD level. A NULL entry means that the
 * level cannot do it; load() asks the same table that step() calls.
 *
 * All levels compile the same algorithms (impl_*.h) over the primitives of their simd_*.h. Every
 * output value is one accumulation in a fixed order, whatever the tile it falls in, so results
 * depend neither on the number of threads nor on the batch.
 *
 * Kernels take no memory and know nothing of threads: callers split rows, values or heads. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "backends/cpu/packed.h"
#include "backends/format/format.h"
#include "platforms/host/host.h"

/* Activations for quantised weights are themselves int8 in blocks of 32, kept in groups of 256
 * values (the K formats' block). One row of `cols` values is one record:
 *   q    (padded)       int8, x = d q, q in [-127, 127]
 *   d    (padded / 32)  float32 scale of each block
 *   s    (padded / 32)  float32 d * sum of q over each block: pairs with a weight block's offset
 *   s16  (padded / 16)  the same over each 16 values (Q6_K)
 * padded = cols rounded up to 256; the padding is zero. */
#define JB_CPU_GROUP 256u

static inline uint32_t jb_cpu_padded(uint32_t cols)
{
    return (cols + JB_CPU_GROUP - 1) / JB_CPU_GROUP * JB_CPU_GROUP;
}
/* Bytes of one record: 1 + 4/32 + 4/32 + 4/16 = 1.5 a value. */
static inline size_t jb_cpu_record_bytes(uint32_t cols)
{
    return (size_t)jb_cpu_padded(cols) / 2 * 3;
}
static inline const float *jb_cpu_record_d(const int8_t *record, uint32_t padded)
{
    return (const float *)(const void *)(record + padded);
}
static inline const float *jb_cpu_record_s(const int8_t *record, uint32_t padded)
{
    return jb_cpu_record_d(record, padded) + padded / 32;
}
static inline const float *jb_cpu_record_s16(const int8_t *record, uint32_t padded)
{
    return jb_cpu_record_d(record, padded) + padded / 16;
}

/* What a product reads. */
enum jb_cpu_input {
    JB_CPU_INPUT_X,       /* stored rows of weights by x itself             */
    JB_CPU_INPUT_RECORDS, /* stored rows by the records of x, above         */
    JB_CPU_INPUT_QUADS,   /* panels of weights by quads of rows: packed.h   */
    JB_CPU_INPUT_PANELS,  /* panels by x itself                             */
    JB_CPU_INPUT_HALVES   /* panels by x in bfloat16 rows if n_terms is 1, by x itself if it is 2 */
};
static inline bool jb_cpu_is_packed(enum jb_cpu_input input)
{
    return input >= JB_CPU_INPUT_QUADS;
}
/* Bytes of a row of bfloat16 inputs, padded to 32. */
static inline size_t jb_cpu_halves_bytes(uint32_t cols)
{
    return ((size_t)cols + 31) / 32 * 64;
}

/* dst (n, rows) = x (n, cols) x W^T for a range of W's rows. */
struct jb_cpu_matmul {
    const uint8_t *weights; /* (rows, cols) in the format of the table entry */
    size_t row_bytes;       /* of a stored row, or of a panel                */
    uint32_t cols, n;
    const float *x; /* (n, cols) */
    size_t x_stride;
    const int8_t *records; /* (n,) records, quads of n rows, or bfloat16 rows */
    size_t record_bytes;   /* of one row, or of one quad                      */
    uint32_t n_terms;      /* 1, or 2 for finer inputs                        */
    float *dst;
    size_t dst_stride;
};
/* Panels: row_begin is a multiple of JB_CPU_PANEL; row_end too, or the tensor's last. */
typedef void jb_cpu_matmul_fn(const struct jb_cpu_matmul *job, uint32_t row_begin,
                              uint32_t row_end);

/* Float keys of a head lie in panels of 16 positions, (head_dim, 16) each: the value's index. A
 * head has room for whole panels. */
static inline size_t jb_cpu_key_at(uint32_t head_dim, uint32_t pos, uint32_t dim)
{
    return ((size_t)(pos / JB_CPU_PANEL) * head_dim + dim) * JB_CPU_PANEL + pos % JB_CPU_PANEL;
}

/* Attention of the query heads of one KV head over consecutive tokens of one sequence. */
struct jb_cpu_attention {
    const float *q; /* (n_tokens, q_stride): first of the n_heads heads' values */
    size_t q_stride;
    float *dst; /* same shape and stride rule */
    size_t dst_stride;
    const uint8_t *k; /* F32, F16: jb_cpu_key_at(); Q8_0: (positions, head_dim) */
    const uint8_t *v; /* (positions, head_dim) in kv_dtype                      */
    size_t row_bytes; /* of one position in k or v                              */
    enum jb_dtype kv_dtype;
    uint32_t n_heads, head_dim, n_tokens;
    uint32_t pos; /* position of the first token; token i sees positions 0 .. pos + i */
    float scale;
    float *scratch; /* jb_cpu_attention_scratch() floats */
};
/* Most query rows (tokens x heads) a call is given, unless one token alone has more heads. */
#define JB_CPU_ATTENTION_ROWS 32u
/* Positions a block of the online softmax. */
#define JB_CPU_ATTENTION_BLOCK 64u
static inline size_t jb_cpu_attention_scratch(uint32_t n_heads, uint32_t head_dim)
{
    const size_t rows = n_heads > JB_CPU_ATTENTION_ROWS ? n_heads : JB_CPU_ATTENTION_ROWS;
    return rows * (2u * (size_t)head_dim + JB_CPU_ATTENTION_BLOCK + 2u) +
           2u * (size_t)JB_CPU_ATTENTION_BLOCK * head_dim + 64u;
}

struct jb_cpu_kernels {
    enum jb_simd level;
    jb_cpu_matmul_fn *matmul[JB_N_DTYPES];
    enum jb_cpu_input input[JB_N_DTYPES];
    /* Writes blocks [block_begin, block_end) of the record of x (cols,), cols a multiple of 32;
     * blocks beyond cols are the padding. */
    void (*quantise)(const float *x, uint32_t cols, uint32_t block_begin, uint32_t block_end,
                     int8_t *record);
    /* The same for row `lane` of a record of `width` rows of packed.h; any cols that are a multiple
     * of 32. NULL where no input is QUADS. */
    void (*quantise_quads)(const float *x, uint32_t cols, uint32_t block_begin, uint32_t block_end,
                           uint32_t width, uint32_t lane, uint32_t n_terms, int8_t *record);
    /* Columns [begin, end) of x to dst[begin ..); both are multiples of 32, but for the row's end:
     * there zeros follow up to the next. NULL where no input is HALVES. */
    void (*to_bf16)(const float *x, uint32_t begin, uint32_t end, uint16_t *dst);
    /* dst (n,) = x / sqrt(mean(x^2) + eps) * weight */
    void (*rmsnorm)(float *dst, const float *x, const float *weight, uint32_t n, float eps);
    /* bias may be NULL */
    void (*layernorm)(float *dst, const float *x, const float *weight, const float *bias,
                      uint32_t n, float eps);
    /* Rotates n_pairs pairs of one head in place; cos and sin (n_pairs,). */
    void (*rope_pairs)(float *x, const float *cos, const float *sin, uint32_t n_pairs);
    void (*rope_halves)(float *x, const float *cos, const float *sin, uint32_t n_pairs);
    void (*attention)(const struct jb_cpu_attention *job);
    void (*silu_mul)(float *dst, const float *gate, const float *up, uint32_t n);
    void (*gelu)(float *dst, const float *x, uint32_t n);
    void (*relu)(float *dst, const float *x, uint32_t n);
    void (*add)(float *dst, const float *a, const float *b, uint32_t n);
    void (*to_f16)(uint16_t *dst, const float *src, uint32_t n);
    /* Index of the largest value; the lowest index wins a tie. n >= 1. */
    uint32_t (*argmax)(const float *x, uint32_t n);
};

/* The best table at or below `level` in this build. Never NULL. */
const struct jb_cpu_kernels *jb_cpu_kernels_for(enum jb_simd level);

#endif
