/* SPDX-License-Identifier: MIT */
#ifndef JB_CUDA_KERNELS_H
#define JB_CUDA_KERNELS_H

/* What host code (C) and device code (CUDA C++) agree on: stored forms of weights and the
 * parameter blocks of the kernels. Every kernel takes one block by value. */

#include <stdint.h>

/* How a weight lies in device memory.
 *
 * RAW is the GGUF row as it is: any size, read a value at a time; used by embeddings and sizes
 * that fit no tile. F16 and BF16 are plain row-major. The tiled forms hold 16 rows x 64 (4 bit) or
 * x 32 (8 bit) columns as 512 bytes, 16 a lane, in the register order of mma.m16n8k16, so that a
 * warp reads a tile with one 16-byte load a lane and unpacks it with a mask and an add.
 * Columns are permuted inside each 32 (see kernels.cu); activations are read in the same order. */
enum jb_cuda_form {
    JB_CUDA_RAW,
    JB_CUDA_F16,
    JB_CUDA_BF16,
    JB_CUDA_T4,  /* nibbles - 8, a scale each 32 columns: Q4_0            */
    JB_CUDA_T4M, /* nibbles, a scale and an offset each 32: Q4_1, Q4_K    */
    JB_CUDA_T8,  /* int8, a scale each 32: Q8_0                          */
    JB_CUDA_T8S, /* int8, a scale each 16: Q6_K                          */
    JB_CUDA_N_FORMS
};

/* Scales lie as [row tile][block][8 pairs of rows (g, g + 8)] halves; offsets likewise. */
struct jb_cuda_weight {
    uint64_t data;    /* device address */
    uint64_t scales;  /* device address; tiled forms */
    uint64_t offsets; /* device address; T4M */
    uint32_t rows, cols;
    uint32_t form;      /* enum jb_cuda_form */
    uint32_t dtype;     /* enum jb_dtype, for RAW */
    uint64_t row_bytes; /* RAW */
};

/* One step's rows, in device memory; offsets are from jb_cuda_rows. */
struct jb_cuda_rows {
    const int32_t *ids;      /* (T,) */
    const uint32_t *pos;     /* (T,) */
    const uint32_t *slot;    /* (T,) KV slot of the row's sequence */
    const uint32_t *outputs; /* (O,) row of T */
};

/* y (n, rows) = W x, plus what follows. Activations are half or bfloat16, row-major, in one or two
 * planes: the second holds what rounding took from the first, so that two planes give about 22
 * (half) or 16 (bfloat16) bits. */
struct jb_cuda_matmul {
    struct jb_cuda_weight w, w2; /* w2: the up projection of silu(w x) * (w2 x) */
    const void *x;               /* [plane][n][cols] */
    uint64_t x_plane;            /* values a plane */
    const float *bias;
    const float *residual; /* (n, rows) added; may be y */
    float *y;              /* (n, rows) or NULL */
    void *packed;          /* [plane][n][rows] half or bfloat16, or NULL */
    uint64_t packed_plane;
    float *partial;    /* (splits, n, rows of both) */
    uint32_t *arrived; /* (row tiles,) zero before and after */
    uint32_t n;        /* rows of x */
    uint32_t n_splits;
    uint32_t is_bf16, packed_is_bf16;
    uint32_t n_planes, packed_planes;
};

struct jb_cuda_plain_matmul { /* any form RAW, any size; float activations */
    struct jb_cuda_weight w;
    const float *x, *bias;
    float *y;
    uint32_t n;
};

struct jb_cuda_norm {
    const float *x, *weight, *bias; /* (n, width) */
    float *y;                       /* NULL = only packed */
    void *packed;
    uint64_t packed_plane;
    uint32_t n, width, group;
    float eps;
    uint32_t is_layernorm, packed_is_bf16, packed_planes;
};

enum jb_cuda_elementwise_kind {
    JB_CUDA_PACK, /* packed = a */
    JB_CUDA_ADD,
    JB_CUDA_ADD_BIAS, /* y = a + b, b (width,) repeated for every row */
    JB_CUDA_SILU_MUL,
    JB_CUDA_GELU,
    JB_CUDA_RELU
};
struct jb_cuda_elementwise {
    const float *a, *b;
    float *y; /* or NULL */
    void *packed;
    uint64_t packed_plane, n;
    uint32_t kind, width, packed_is_bf16, packed_planes;
};

struct jb_cuda_embed {
    struct jb_cuda_weight w;
    struct jb_cuda_rows rows;
    const float *x; /* POSEMBED: added; NULL = EMBED */
    float *y;
    uint32_t n, offset;
};

struct jb_cuda_rope {
    float *x;
    const float *inv_freq;
    struct jb_cuda_rows rows;
    uint32_t n, width, group, n_dims, is_halves;
    float mscale;
};

/* Cache: [slot][kv head][position] rows of head_dim values. */
struct jb_cuda_kv {
    uint8_t *k, *v;
    uint64_t head_stride; /* bytes from one (slot, head) to the next */
    uint32_t row_bytes;   /* of one position */
    uint32_t dtype;       /* enum jb_dtype: F32, F16, Q8_0 */
};
struct jb_cuda_kv_store {
    struct jb_cuda_kv kv;
    const float *k, *v; /* (n, n_kv_heads, head_dim) */
    struct jb_cuda_rows rows;
    uint32_t n, n_kv_heads, head_dim;
};
struct jb_cuda_attention {
    struct jb_cuda_kv kv;
    const float *q; /* (n, n_heads, head_dim) */
    float *y;       /* or NULL */
    void *packed;
    uint64_t packed_plane;
    struct jb_cuda_rows rows;
    float *partial;    /* (n, n_heads, n_splits, head_dim + 2) */
    uint32_t *arrived; /* (n, n_kv_heads) zero before and after */
    uint32_t n, n_heads, n_kv_heads, head_dim, n_splits;
    float scale;
    uint32_t packed_is_bf16, packed_planes;
};

/* Up to 64 rows of the step, of one sequence, at ascending positions. */
struct jb_cuda_row_tile {
    uint32_t first, n_rows;
};
struct jb_cuda_flash {
    struct jb_cuda_kv kv; /* F16 */
    const float *q;       /* (n, n_heads, head_dim) */
    float *y;             /* or NULL */
    void *packed;
    uint64_t packed_plane;
    struct jb_cuda_rows rows;
    const struct jb_cuda_row_tile *tiles;
    uint32_t n_heads, n_kv_heads;
    float scale;
    uint32_t packed_is_bf16, packed_planes;
};

struct jb_cuda_select {
    const float *x;
    float *y;
    struct jb_cuda_rows rows;
    uint32_t n, width;
};
struct jb_cuda_argmax {
    const float *x; /* (n, width) */
    int32_t *ids;   /* (n,) */
    uint32_t n, width;
};

/* Raw GGUF rows -> a tiled form. */
struct jb_cuda_tile {
    const uint8_t *raw;
    struct jb_cuda_weight w; /* dtype = source */
};
/* A tiled form -> row-major half, for the matrix library. */
struct jb_cuda_untile {
    struct jb_cuda_weight w;
    void *dst; /* (rows, cols) half */
};

#endif
