/* SPDX-License-Identifier: MIT */
/* The shapes: odd sizes, tails behind every vector width, all head sizes and groupings in use.
 *
 * A plan for one op is: EMBED x | the op, from x | SELECT, ARGMAX, with the cut after EMBED, so
 * that any activations can be sent in and the op's result comes back as "logits".
 *
 * Limits. Let e be 2^-24, the rounding error of float32.
 *   float32 sums of K products in any order: NMSE about K e^2 / 12 or less (errors add like a
 *     random walk); K <= 1152 gives 4e-13. Limit 1e-9: three decades for vector exp and rsqrt
 *     that are good to 1e-6, still four below one wrong value in a thousand.
 *   int8 activations (blocks of 32, d = amax / 127, error uniform in +-d/2): mean square error
 *     d^2 / 12 = amax^2 / 193548. For normal values amax is 2.1 rms on average: NMSE 2.3e-5; one
 *     value holding the whole block: amax = sqrt(32) rms, 1.7e-4. Limit 5e-4 covers the worst
 *     block three times; one wrong nibble a block costs more than 1e-2.
 *   activations rounded once to the weights' type, where a backend's option "activations" says so:
 *     error uniform in half a unit of the last place, mean square at most 2^-20 / 12 = 8e-8 of the
 *     value's for F16, 2^-14 / 12 = 5.1e-6 for BF16. Limits 1e-7 and 6e-6.
 *   KV cache: both sides store the same rounded K and V, except where the last bit of k or v
 *     differs and tips a rounding (f16 2^-11, q8_0 1/254 relative) in a few values of a thousand:
 *     5e-6 for f16; for q8_0 a reader may also round q to int8: 5e-4.
 *   Whole models: two blocks of about five products each, each adding its share, amplified by
 *     the softmax: ten times the op's limit. */
#include "tests/conformance/cases.h"

#include <math.h>
#include <stdio.h>

#define FLOAT_LIMIT 1e-9
#define INT8_LIMIT 5e-4
#define BF16_LIMIT                                                                                 \
    1e-5 /* inputs may be rounded to bfloat16 as the weights are: 2^-9 of each at most */

static const uint32_t few_rows[] = {1, 3, 17, 0};
static const uint32_t most_rows[] = {1, 2, 3, 4, 5, 7, 8, 9, 16, 17, 0};
static const uint32_t no_depth[] = {0};

static double native_limit(enum jb_dtype dtype)
{
    return dtype == JB_F16 ? 1e-7 : dtype == JB_BF16 ? 6e-6 : 0.0;
}

static uint32_t native_rows(enum jb_dtype dtype)
{
    return dtype == JB_BF16 ? 2 : 17;
}

struct visitor {
    void (*visit)(void *ctx, const struct test_case *c);
    void *ctx;
    uint64_t seed;
};

static void finish(struct visitor *v, struct test_case *c)
{
    c->m->plan.max_context = CASES_MAX_DEPTH + CASES_MAX_ROWS;
    maker_finish(c->m);
    c->op_end = c->op_end > 0 ? c->op_end : c->m->program.n_ops;
    v->visit(v->ctx, c);
    maker_free(c->m);
}

static bool is_quantised(enum jb_dtype dtype)
{
    return dtype != JB_F32 && dtype != JB_F16 && dtype != JB_BF16;
}

/* EMBED x (T, dim), cut. The op under test goes from x on. */
static struct test_case begin(struct visitor *v, uint32_t dim, uint32_t vocab)
{
    struct maker *m = maker_create("one op", ++v->seed);
    m->plan.dim = dim;
    m->plan.n_layers = 1;
    m->plan.vocab = vocab;
    m->plan.cut_slot = maker_slot(m, "x", dim, JB_ROWS_TOKENS);
    struct jb_op embed = maker_blank(JB_OP_EMBED, m->plan.cut_slot, JB_NO_SLOT);
    embed.weight = maker_tensor(m, JB_F32, vocab, dim, 0.0F, 1.0F);
    maker_op(m, embed);
    maker_cut(m);
    return (struct test_case){.m = m,
                              .op_begin = 1,
                              .rows = few_rows,
                              .depths = no_depth,
                              .n_depths = 1,
                              .sigma = 1.0F,
                              .limit = FLOAT_LIMIT};
}

/* SELECT, ARGMAX over slot y (T, vocab). */
static void end(struct visitor *v, struct test_case *c, uint16_t y)
{
    const uint16_t last = maker_slot(c->m, "last", c->m->plan.vocab, JB_ROWS_OUTPUTS);
    maker_op(c->m, maker_blank(JB_OP_SELECT, last, y));
    maker_op(c->m, maker_blank(JB_OP_ARGMAX, JB_NO_SLOT, last));
    finish(v, c);
}

static void visit_matmul(struct visitor *v, enum jb_dtype dtype, uint32_t rows, uint32_t cols,
                         bool has_bias)
{
    struct test_case c = begin(v, cols, rows);
    (void)snprintf(c.name, sizeof c.name, "matmul %s %ux%u%s", jb_format(dtype)->name, rows, cols,
                   has_bias ? " bias" : "");
    c.rows = most_rows;
    c.limit = is_quantised(dtype) ? INT8_LIMIT : dtype == JB_BF16 ? BF16_LIMIT : FLOAT_LIMIT;
    c.native = native_limit(dtype);
    c.native_rows = native_rows(dtype);
    c.expected = 0.5;
    const uint16_t y = maker_slot(c.m, "y", rows, JB_ROWS_TOKENS);
    const int32_t w = maker_tensor(c.m, dtype, rows, cols, 0.0F, 1.0F / sqrtf((float)cols));
    const int32_t bias = has_bias ? maker_tensor(c.m, JB_F32, 1, rows, 0.0F, 0.5F) : JB_NO_TENSOR;
    maker_matmul(c.m, y, c.m->plan.cut_slot, w, bias);
    end(v, &c, y);
}

static void visit_matmuls(struct visitor *v)
{
    static const uint32_t rows[] = {1, 2, 3, 5, 8, 17, 33, 129};
    static const uint32_t odd_cols[] = {1, 3, 7, 17, 33, 65, 127, 172};
    static const uint32_t blocks[] = {1, 2, 3, 5, 9, 16, 11, 8};
    for (int d = 0; d < JB_N_DTYPES; d++) {
        const enum jb_dtype dtype = (enum jb_dtype)d;
        const uint32_t block = jb_format(dtype)->block_values;
        for (uint32_t i = 0; i < 8; i++) {
            const uint32_t n_blocks = block == 256 ? 1 + blocks[i] % 4 : blocks[i];
            visit_matmul(v, dtype, rows[i], block == 1 ? odd_cols[i] : n_blocks * block,
                         i % 2 == 1);
        }
        visit_matmul(v, dtype, 67, 256, false);
        /* Whole tiles of accelerators: multiples of 16 rows and 256 columns. */
        visit_matmul(v, dtype, 16, 768, true);
        visit_matmul(v, dtype, 48, 512, false);
        visit_matmul(v, dtype, 64, 2048, true);
    }
}

static void visit_embeds(struct visitor *v)
{
    for (int d = 0; d < JB_N_DTYPES; d++) {
        const enum jb_dtype dtype = (enum jb_dtype)d;
        const uint32_t block = jb_format(dtype)->block_values;
        for (uint32_t n_blocks = 1; n_blocks <= 3; n_blocks += 2) {
            struct maker *m = maker_create("embed", ++v->seed);
            const uint32_t dim = block == 1 ? 37 * n_blocks : block * n_blocks;
            m->plan.dim = dim;
            m->plan.n_layers = 1;
            m->plan.vocab = dim;
            m->plan.pos_offset = n_blocks - 1;
            const uint16_t x = m->plan.cut_slot = maker_slot(m, "x", dim, JB_ROWS_TOKENS);
            struct jb_op embed = maker_blank(JB_OP_EMBED, x, JB_NO_SLOT);
            embed.weight = maker_tensor(m, dtype, dim, dim, 0.0F, 1.0F);
            maker_op(m, embed);
            if (n_blocks == 3) {
                struct jb_op positions = maker_blank(JB_OP_POSEMBED, x, x);
                positions.weight =
                    maker_tensor(m, dtype, CASES_MAX_DEPTH + CASES_MAX_ROWS + m->plan.pos_offset,
                                 dim, 0.0F, 1.0F);
                maker_op(m, positions);
            }
            maker_cut(m);
            static const uint32_t depths[] = {0, 5};
            struct test_case c = {.m = m,
                                  .op_end = m->program.n_ops,
                                  .rows = few_rows,
                                  .depths = depths,
                                  .n_depths = 2,
                                  .limit = 1e-13}; /* one rounding of a stored value */
            (void)snprintf(c.name, sizeof c.name, "%s %s %u",
                           n_blocks == 3 ? "embed+posembed" : "embed", jb_format(dtype)->name, dim);
            end(v, &c, x);
        }
    }
}

static void visit_norm(struct visitor *v, enum jb_op_kind kind, uint32_t heads, uint32_t group,
                       bool is_in_place)
{
    const uint32_t dim = heads * group;
    struct test_case c = begin(v, dim, dim);
    const uint16_t x = c.m->plan.cut_slot;
    const uint16_t y = is_in_place ? x : maker_slot(c.m, "y", dim, JB_ROWS_TOKENS);
    (void)snprintf(c.name, sizeof c.name, "%s %ux%u%s", jb_op_name(kind), heads, group,
                   is_in_place ? " in place" : "");
    struct jb_op op = maker_blank(kind, y, x);
    op.weight = maker_tensor(c.m, JB_F32, 1, group, 1.0F, 0.3F);
    op.group = kind == JB_OP_RMSNORM ? group : 0;
    op.bias =
        kind == JB_OP_LAYERNORM ? maker_tensor(c.m, JB_F32, 1, group, 0.2F, 0.3F) : JB_NO_TENSOR;
    op.eps = 0.05F; /* large enough to be seen when it is missing */
    maker_op(c.m, op);
    end(v, &c, y);
}

static void visit_norms(struct visitor *v)
{
    static const uint32_t widths[] = {2, 5, 8, 31, 32, 64, 100, 172, 257, 768};
    for (uint32_t i = 0; i < sizeof widths / sizeof widths[0]; i++) {
        visit_norm(v, JB_OP_RMSNORM, 1, widths[i], i % 3 == 0);
        visit_norm(v, JB_OP_LAYERNORM, 1, widths[i], i % 3 == 0);
    }
    visit_norm(v, JB_OP_RMSNORM, 3, 8, true);
    visit_norm(v, JB_OP_RMSNORM, 2, 80, true);
    visit_norm(v, JB_OP_RMSNORM, 5, 128, false);
}

static void visit_ropes(struct visitor *v)
{
    static const uint32_t head_dims[] = {8, 16, 20, 64, 80, 96, 128};
    static const uint32_t depths[] = {0, 1, 283};
    for (uint32_t i = 0; i < sizeof head_dims / sizeof head_dims[0] * 4; i++) {
        const uint32_t head_dim = head_dims[i / 4];
        const uint32_t n_dims = i % 4 < 2 ? head_dim : head_dim / 4 * 2;
        const uint32_t heads = 1 + i % 3;
        struct test_case c = begin(v, heads * head_dim, heads * head_dim);
        const bool is_pairs = i % 2 == 0;
        (void)snprintf(c.name, sizeof c.name, "rope %s %ux%u of %u", is_pairs ? "pairs" : "halves",
                       heads, n_dims, head_dim);
        c.depths = depths;
        c.n_depths = 3;
        c.limit = 1e-8; /* float32 angles: an error of position * 2^-24 rad, 1.7e-5 at 300 */
        c.m->plan.head_dim = head_dim;
        maker_rope(c.m, is_pairs ? JB_ROPE_PAIRS : JB_ROPE_HALVES, n_dims, 10000.0F);
        c.m->plan.rope.mscale = i % 4 == 1 ? 1.25F : 1.0F;
        struct jb_op op = maker_blank(JB_OP_ROPE, c.m->plan.cut_slot, c.m->plan.cut_slot);
        op.group = head_dim;
        maker_op(c.m, op);
        end(v, &c, c.m->plan.cut_slot);
    }
}

static void visit_attention(struct visitor *v, uint32_t n_heads, uint32_t n_kv_heads,
                            uint32_t head_dim, enum jb_dtype kv)
{
    static const uint32_t depths[] = {0, 1, 63, 64, CASES_MAX_DEPTH};
    const uint32_t dim = n_heads * head_dim, kv_dim = n_kv_heads * head_dim;
    struct test_case c = begin(v, dim, dim);
    struct maker *m = c.m;
    (void)snprintf(c.name, sizeof c.name, "attention %u/%ux%u kv %s", n_heads, n_kv_heads, head_dim,
                   jb_format(kv)->name);
    c.rows = few_rows;
    c.depths = depths;
    c.n_depths = sizeof depths / sizeof depths[0];
    c.limit = kv == JB_F32 ? FLOAT_LIMIT : kv == JB_F16 ? 5e-6 : INT8_LIMIT;
    m->plan.n_heads = n_heads;
    m->plan.n_kv_heads = n_kv_heads;
    m->plan.head_dim = head_dim;
    m->plan.kv_dtype = kv;
    m->plan.attention_scale =
        1.5F / sqrtf((float)head_dim); /* peaked enough to tell positions apart */
    const uint16_t k = maker_slot(m, "k", kv_dim, JB_ROWS_TOKENS);
    const uint16_t value = maker_slot(m, "v", kv_dim, JB_ROWS_TOKENS);
    const uint16_t o = maker_slot(m, "o", dim, JB_ROWS_TOKENS);
    const float sigma = 1.0F / sqrtf((float)dim);
    maker_matmul(m, k, m->plan.cut_slot, maker_tensor(m, JB_F32, kv_dim, dim, 0.0F, sigma),
                 JB_NO_TENSOR);
    maker_matmul(m, value, m->plan.cut_slot, maker_tensor(m, JB_F32, kv_dim, dim, 0.0F, sigma),
                 JB_NO_TENSOR);
    struct jb_op op = maker_blank(JB_OP_ATTENTION, o, m->plan.cut_slot);
    op.src1 = k;
    op.src2 = value;
    op.layer = 0;
    maker_op(m, op);
    end(v, &c, o);
}

static void visit_attentions(struct visitor *v)
{
    static const uint32_t shapes[][3] = {{1, 1, 8},  {4, 2, 8},   {3, 3, 16}, {6, 2, 32},
                                         {8, 1, 32}, {2, 2, 64},  {3, 1, 64}, {2, 1, 80},
                                         {2, 2, 96}, {3, 1, 128}, {8, 4, 24}};
    for (uint32_t i = 0; i < sizeof shapes / sizeof shapes[0]; i++) {
        const uint32_t *s = shapes[i];
        visit_attention(v, s[0], s[1], s[2], JB_F32);
        visit_attention(v, s[0], s[1], s[2], JB_F16);
        if (s[2] % 32 == 0) {
            visit_attention(v, s[0], s[1], s[2], JB_Q8_0);
        }
    }
}

/* From x, and for two sources y = rmsnorm(x). */
static void visit_elementwise(struct visitor *v, enum jb_op_kind kind, uint32_t dim,
                              bool is_in_place)
{
    struct test_case c = begin(v, dim, dim);
    struct maker *m = c.m;
    (void)snprintf(c.name, sizeof c.name, "%s %u%s", jb_op_name(kind), dim,
                   is_in_place ? " in place" : "");
    c.sigma = 4.0F; /* into the tails of silu and gelu */
    const uint16_t x = m->plan.cut_slot, y = maker_slot(m, "y", dim, JB_ROWS_TOKENS);
    const uint16_t z = is_in_place ? x : maker_slot(m, "z", dim, JB_ROWS_TOKENS);
    struct jb_op op = maker_blank(kind, z, x);
    if (kind == JB_OP_ADD || kind == JB_OP_SILU_MUL) {
        maker_rmsnorm(m, y, x, maker_tensor(m, JB_F32, 1, dim, 0.0F, 1.0F), dim);
        op.src1 = y;
    }
    maker_op(m, op);
    end(v, &c, z);
}

static void visit_elementwises(struct visitor *v)
{
    static const enum jb_op_kind kinds[] = {JB_OP_ADD, JB_OP_SILU_MUL, JB_OP_GELU, JB_OP_RELU};
    static const uint32_t widths[] = {2, 3, 7, 8, 15, 16, 31, 33, 100, 257};
    for (uint32_t i = 0; i < sizeof widths / sizeof widths[0]; i++) {
        for (uint32_t k = 0; k < 4; k++) {
            visit_elementwise(v, kinds[k], widths[i], i % 2 == 1);
        }
    }
}

/* Whole numbers from -2 to 2, so that there are ties. */
static void visit_argmaxes(struct visitor *v)
{
    static const uint32_t widths[] = {1, 2, 7, 16, 31, 64, 100, 1000};
    for (uint32_t i = 0; i < sizeof widths / sizeof widths[0]; i++) {
        struct test_case c = begin(v, widths[i], widths[i]);
        (void)snprintf(c.name, sizeof c.name, "argmax with ties %u", widths[i]);
        c.sigma = 0.0F;
        c.rows = most_rows;
        end(v, &c, c.m->plan.cut_slot);
    }
}

static void visit_models(struct visitor *v)
{
    static const uint32_t rows[] = {1, 9, 0};
    static const uint32_t depths[] = {0, 13};
    static const enum jb_dtype kvs[] = {JB_F32, JB_F16, JB_F16, JB_Q8_0};
    for (const struct maker_shape *s = maker_shapes; s->name != NULL; s++) {
        for (int d = 0; d < JB_N_DTYPES; d++) {
            const enum jb_dtype dtype = (enum jb_dtype)d;
            const enum jb_dtype kv = s->has_half_kv ? JB_F16 : kvs[d < 4 ? d : d % 4];
            struct test_case c = {.m = maker_model(s, dtype, kv, 32, ++v->seed),
                                  .rows = rows,
                                  .depths = depths,
                                  .n_depths = 2};
            (void)snprintf(c.name, sizeof c.name, "model %s %s kv %s", s->name,
                           jb_format(dtype)->name, jb_format(kv)->name);
            c.limit = is_quantised(dtype) || kv == JB_Q8_0 ? 10 * INT8_LIMIT
                      : dtype == JB_BF16                   ? 10 * BF16_LIMIT
                      : kv == JB_F16                       ? 1e-5
                                                           : 1e-8;
            c.native = 10 * native_limit(dtype);
            c.native_rows = native_rows(dtype);
            c.op_end = c.m->program.n_ops;
            v->visit(v->ctx, &c);
            maker_free(c.m);
        }
    }
}

void cases_visit(void (*visit)(void *ctx, const struct test_case *c), void *ctx)
{
    struct visitor v = {.visit = visit, .ctx = ctx};
    visit_embeds(&v);
    visit_norms(&v);
    visit_matmuls(&v);
    visit_ropes(&v);
    visit_attentions(&v);
    visit_elementwises(&v);
    visit_argmaxes(&v);
    visit_models(&v);
}
