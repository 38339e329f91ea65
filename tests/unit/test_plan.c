/* SPDX-License-Identifier: MIT */
/* Plans and steps: costs counted by hand on a one-layer model, and every refusal of the checks. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "backends/plan.h"

/* dim 64, 2 query heads and 1 KV head of 32, FFN 96, vocabulary 100, one layer. */
enum { X, N, Q, K, V, A, G, U, XO, L, N_SLOTS };
enum { W_EMB, W_NORM, W_Q, W_K, W_V, W_O, W_G, W_U, W_D, W_BQ, N_TENSORS };
enum {
    O_EMBED,
    O_NORM,
    O_Q,
    O_K,
    O_V,
    O_ROPE,
    O_ATTN,
    O_O,
    O_ADD,
    O_GATE,
    O_UP,
    O_SILU,
    O_DOWN,
    O_ADD2,
    O_SELECT,
    O_FNORM,
    O_HEAD,
    O_ARGMAX,
    N_OPS
};

struct small {
    struct jb_plan plan;
    struct jb_program program;
    struct jb_op ops[N_OPS];
    struct jb_slot slots[N_SLOTS];
    struct jb_tensor tensors[N_TENSORS];
    uint32_t cuts[4];
    float inv_freq[16];
    struct jb_seq seqs[2];
    struct jb_step step;
    int32_t ids[4];
    float acts[4];
};

static struct jb_tensor tensor(const char *name, enum jb_dtype dtype, uint32_t rows, uint32_t cols)
{
    const size_t row_bytes = jb_format_row_bytes(dtype, cols);
    return (struct jb_tensor){name, dtype, rows, cols, row_bytes, row_bytes * rows};
}

static struct jb_op op(enum jb_op_kind kind, int16_t layer, uint16_t dst, uint16_t src0,
                       uint16_t src1, int32_t weight)
{
    return (struct jb_op){.kind = kind,
                          .layer = layer,
                          .dst = dst,
                          .src0 = src0,
                          .src1 = src1,
                          .src2 = JB_NO_SLOT,
                          .weight = weight,
                          .bias = JB_NO_TENSOR};
}

static void fill_tables(struct small *s)
{
    static const struct jb_slot slots[N_SLOTS] = {
        [X] = {"x", 64, JB_ROWS_TOKENS},    [N] = {"n", 64, JB_ROWS_TOKENS},
        [Q] = {"q", 64, JB_ROWS_TOKENS},    [K] = {"k", 32, JB_ROWS_TOKENS},
        [V] = {"v", 32, JB_ROWS_TOKENS},    [A] = {"a", 64, JB_ROWS_TOKENS},
        [G] = {"g", 96, JB_ROWS_TOKENS},    [U] = {"u", 96, JB_ROWS_TOKENS},
        [XO] = {"xo", 64, JB_ROWS_OUTPUTS}, [L] = {"logits", 100, JB_ROWS_OUTPUTS},
    };
    memcpy(s->slots, slots, sizeof slots);
    s->tensors[W_EMB] = tensor("emb", JB_Q4_0, 100, 64); /* 36 B a row */
    s->tensors[W_NORM] = tensor("norm", JB_F32, 1, 64);
    s->tensors[W_Q] = tensor("q", JB_F16, 64, 64);
    s->tensors[W_K] = tensor("k", JB_F16, 32, 64);
    s->tensors[W_V] = tensor("v", JB_F16, 32, 64);
    s->tensors[W_O] = tensor("o", JB_F16, 64, 64);
    s->tensors[W_G] = tensor("g", JB_Q8_0, 96, 64);
    s->tensors[W_U] = tensor("u", JB_Q8_0, 96, 64);
    s->tensors[W_D] = tensor("d", JB_Q8_0, 64, 96);
    s->tensors[W_BQ] = tensor("bq", JB_F32, 1, 64);
}

static void fill_ops(struct small *s)
{
    struct jb_op *o = s->ops;
    o[O_EMBED] = op(JB_OP_EMBED, -1, X, JB_NO_SLOT, JB_NO_SLOT, W_EMB);
    o[O_NORM] = op(JB_OP_RMSNORM, 0, N, X, JB_NO_SLOT, W_NORM);
    o[O_Q] = op(JB_OP_MATMUL, 0, Q, N, JB_NO_SLOT, W_Q);
    o[O_Q].bias = W_BQ;
    o[O_K] = op(JB_OP_MATMUL, 0, K, N, JB_NO_SLOT, W_K);
    o[O_V] = op(JB_OP_MATMUL, 0, V, N, JB_NO_SLOT, W_V);
    o[O_ROPE] = op(JB_OP_ROPE, 0, Q, Q, JB_NO_SLOT, JB_NO_TENSOR);
    o[O_ATTN] = op(JB_OP_ATTENTION, 0, A, Q, K, JB_NO_TENSOR);
    o[O_ATTN].src2 = V;
    o[O_O] = op(JB_OP_MATMUL, 0, N, A, JB_NO_SLOT, W_O);
    o[O_ADD] = op(JB_OP_ADD, 0, X, X, N, JB_NO_TENSOR);
    o[O_GATE] = op(JB_OP_MATMUL, 0, G, X, JB_NO_SLOT, W_G);
    o[O_UP] = op(JB_OP_MATMUL, 0, U, X, JB_NO_SLOT, W_U);
    o[O_SILU] = op(JB_OP_SILU_MUL, 0, G, G, U, JB_NO_TENSOR);
    o[O_DOWN] = op(JB_OP_MATMUL, 0, N, G, JB_NO_SLOT, W_D);
    o[O_ADD2] = op(JB_OP_ADD, 0, X, X, N, JB_NO_TENSOR);
    o[O_SELECT] = op(JB_OP_SELECT, -1, XO, X, JB_NO_SLOT, JB_NO_TENSOR);
    o[O_FNORM] = op(JB_OP_RMSNORM, -1, XO, XO, JB_NO_SLOT, W_NORM);
    o[O_HEAD] = op(JB_OP_MATMUL, -1, L, XO, JB_NO_SLOT, W_EMB);
    o[O_ARGMAX] = op(JB_OP_ARGMAX, -1, JB_NO_SLOT, L, JB_NO_SLOT, JB_NO_TENSOR);
    o[O_NORM].group = o[O_FNORM].group = 64;
    o[O_NORM].eps = o[O_FNORM].eps = 1e-5f;
    o[O_ROPE].group = 32;
}

/* Two sequences: 3 tokens from position 5 (no output), 1 token at position 10 (its output). */
static int set_up(void **state)
{
    static struct small s;
    memset(&s, 0, sizeof s);
    fill_tables(&s);
    fill_ops(&s);
    s.cuts[0] = 0;
    s.cuts[1] = O_NORM;
    s.cuts[2] = O_SELECT;
    s.cuts[3] = N_OPS;
    s.program = (struct jb_program){"full", s.ops, N_OPS, s.cuts, 4};
    s.plan = (struct jb_plan){
        .model = "small",
        .dim = 64,
        .n_layers = 1,
        .n_heads = 2,
        .n_kv_heads = 1,
        .head_dim = 32,
        .ffn_dim = 96,
        .vocab = 100,
        .max_context = 64,
        .attention_scale = 0.1767767f,
        .kv_dtype = JB_F16,
        .n_ranks = 1,
        .rope = {.kind = JB_ROPE_PAIRS, .n_dims = 32, .inv_freq = s.inv_freq, .mscale = 1.0f},
        .tensors = s.tensors,
        .n_tensors = N_TENSORS,
        .slots = s.slots,
        .n_slots = N_SLOTS,
        .cut_slot = X,
        .programs = &s.program,
        .n_programs = 1};
    s.ids[0] = 99;
    s.seqs[0] =
        (struct jb_seq){.slot = 0, .pos = 5, .n_tokens = 3, .want = JB_WANT_NONE, .tokens = s.ids};
    s.seqs[1] =
        (struct jb_seq){.slot = 1, .pos = 10, .n_tokens = 1, .want = JB_WANT_LAST, .tokens = s.ids};
    s.step = (struct jb_step){.op_begin = 0, .op_end = N_OPS, .seqs = s.seqs, .n_seqs = 2};
    *state = &s;
    return 0;
}

static void check_cost(const struct small *s, uint32_t index, const struct jb_cost *want)
{
    struct jb_cost got;
    jb_op_cost(&s->plan, &s->ops[index], &s->step, &got);
    if (memcmp(&got, want, sizeof got) != 0) {
        fail_msg("op %u (%s): macs %llu flops %llu weights %llu kv %llu/%llu acts %llu/%llu", index,
                 jb_op_name(s->ops[index].kind), (unsigned long long)got.macs,
                 (unsigned long long)got.flops, (unsigned long long)got.weight_bytes,
                 (unsigned long long)got.kv_read_bytes, (unsigned long long)got.kv_write_bytes,
                 (unsigned long long)got.act_read_bytes, (unsigned long long)got.act_write_bytes);
    }
}

/* T = 4 tokens, O = 1 output. Scores a head: (6 + 7 + 8) + 11 = 32; positions read: 8 + 11 = 19;
 * one position's K and V: 2 x 32 x 2 B = 128 B. */
static void test_costs_counted_by_hand(void **state)
{
    const struct small *s = *state;
    assert_int_equal(jb_step_tokens(&s->step), 4);
    assert_int_equal(jb_step_outputs(&s->step), 1);
    check_cost(s, O_EMBED, &(struct jb_cost){.weight_bytes = 4 * 36, .act_write_bytes = 1024});
    check_cost(s, O_NORM,
               &(struct jb_cost){.flops = 4 * 256,
                                 .weight_bytes = 256,
                                 .act_read_bytes = 1024,
                                 .act_write_bytes = 1024});
    check_cost(s, O_Q,
               &(struct jb_cost){.macs = 16384,
                                 .flops = 2 * 16384 + 256,
                                 .weight_bytes = 8192 + 256,
                                 .act_read_bytes = 1024,
                                 .act_write_bytes = 1024});
    check_cost(s, O_K,
               &(struct jb_cost){.macs = 8192,
                                 .flops = 16384,
                                 .weight_bytes = 4096,
                                 .act_read_bytes = 1024,
                                 .act_write_bytes = 512});
    check_cost(
        s, O_ROPE,
        &(struct jb_cost){.flops = 3 * 256, .act_read_bytes = 1024, .act_write_bytes = 1024});
    check_cost(s, O_ATTN,
               &(struct jb_cost){.macs = 2 * 32 * 2 * 32,
                                 .flops = 2 * 2 * 32 * 2 * 32 + 6 * 32 * 2,
                                 .kv_read_bytes = 19 * 128,
                                 .kv_write_bytes = 4 * 128,
                                 .act_read_bytes = 1024 + 512 + 512,
                                 .act_write_bytes = 1024});
    check_cost(s, O_ADD,
               &(struct jb_cost){.flops = 256, .act_read_bytes = 2048, .act_write_bytes = 1024});
    check_cost(s, O_GATE,
               &(struct jb_cost){.macs = 24576,
                                 .flops = 49152,
                                 .weight_bytes = 96 * 68,
                                 .act_read_bytes = 1024,
                                 .act_write_bytes = 1536});
    check_cost(
        s, O_SILU,
        &(struct jb_cost){.flops = 5 * 384, .act_read_bytes = 3072, .act_write_bytes = 1536});
    check_cost(s, O_SELECT, &(struct jb_cost){.act_read_bytes = 256, .act_write_bytes = 256});
    check_cost(s, O_HEAD,
               &(struct jb_cost){.macs = 6400,
                                 .flops = 12800,
                                 .weight_bytes = 3600,
                                 .act_read_bytes = 256,
                                 .act_write_bytes = 400});
    check_cost(s, O_ARGMAX, &(struct jb_cost){.flops = 100, .act_read_bytes = 400});
}

static void test_no_outputs_cost_no_head(void **state)
{
    struct small *s = *state;
    s->seqs[1].want = JB_WANT_NONE;
    check_cost(s, O_HEAD, &(struct jb_cost){0});
    check_cost(s, O_FNORM, &(struct jb_cost){0});
    s->seqs[0].want = JB_WANT_ALL;
    assert_int_equal(jb_step_outputs(&s->step), 3);
}

static void test_step_cost_is_the_sum_of_its_range(void **state)
{
    struct small *s = *state;
    struct jb_cost whole;
    struct jb_cost parts[3];
    jb_step_cost(&s->plan, &s->step, &whole);
    for (int i = 0; i < 3; i++) {
        s->step.op_begin = s->cuts[i];
        s->step.op_end = s->cuts[i + 1];
        jb_step_cost(&s->plan, &s->step, &parts[i]);
    }
    assert_int_equal(whole.macs, parts[0].macs + parts[1].macs + parts[2].macs);
    assert_int_equal(whole.macs, 2 * 16384 + 2 * 8192 + 4096 + 3 * 24576 + 6400);
    assert_int_equal(whole.flops, parts[0].flops + parts[1].flops + parts[2].flops);
    assert_int_equal(whole.weight_bytes,
                     parts[0].weight_bytes + parts[1].weight_bytes + parts[2].weight_bytes);
    assert_int_equal(whole.kv_write_bytes, 512);
}

static void test_sizes(void **state)
{
    struct small *s = *state;
    assert_int_equal(jb_plan_kv_bytes(&s->plan, 1, 1), 128);
    assert_int_equal(jb_plan_kv_bytes(&s->plan, 8, 64), 128 * 8 * 64);
    s->plan.kv_dtype = JB_Q8_0;
    assert_int_equal(jb_plan_kv_bytes(&s->plan, 1, 1), 68);
    assert_int_equal(jb_plan_weight_bytes(&s->plan),
                     3600 + 256 + 8192 + 4096 + 4096 + 8192 + 6528 + 6528 + 64 * 102 + 256);
}

static void test_names(void **state)
{
    (void)state;
    assert_string_equal(jb_op_name(JB_OP_MATMUL), "matmul");
    assert_string_equal(jb_op_name(JB_N_OP_KINDS), "unknown");
    assert_string_equal(jb_op_name((enum jb_op_kind) - 1), "unknown");
    for (int i = 0; i < JB_N_OP_KINDS; i++) {
        assert_non_null(jb_op_name((enum jb_op_kind)i));
    }
}

/* Each line breaks one thing, expects INVAL with a word of the reason, and mends it. */
#define REFUSED(field, value, word)                                                                \
    do {                                                                                           \
        const __typeof__(field) kept = (field);                                                    \
        (field) = (value);                                                                         \
        assert_int_equal(jb_plan_check(&s->plan), JB_E_INVAL);                                     \
        if (strstr(jb_reason(), (word)) == NULL) {                                                 \
            fail_msg("'%s' lacks '%s'", jb_reason(), (word));                                      \
        }                                                                                          \
        (field) = kept;                                                                            \
    } while (0)

static void test_plan_check_refuses(void **state)
{
    struct small *s = *state;
    assert_int_equal(jb_plan_check(&s->plan), JB_OK);
    REFUSED(s->plan.n_kv_heads, 3, "heads");
    REFUSED(s->plan.vocab, 0, "dimension");
    REFUSED(s->plan.kv_dtype, JB_Q4_0, "q8_0");
    REFUSED(s->plan.rank, 1, "rank");
    REFUSED(s->plan.rope.n_dims, 34, "rotates");
    REFUSED(s->plan.rope.inv_freq, NULL, "rotates");
    REFUSED(s->tensors[W_V].n_bytes, 1, "'v'");
    REFUSED(s->tensors[W_V].dtype, JB_N_DTYPES, "'v'");
    REFUSED(s->plan.cut_slot, Q + 20, "cut slot");
    REFUSED(s->program.name, "other", "full");
    REFUSED(s->cuts[3], N_OPS - 1, "cuts");
    REFUSED(s->cuts[2], O_NORM, "ascend");
    REFUSED(s->cuts[2], O_O, "op 7 (matmul");
    REFUSED(s->cuts[2], O_SILU, "op 11 (silu_mul, layer 0)");
    REFUSED(s->ops[O_Q].weight, N_TENSORS, "op 2 (matmul, layer 0): no such weight");
    REFUSED(s->ops[O_Q].weight, W_K, "weight is not");
    REFUSED(s->ops[O_Q].bias, W_K, "bias");
    REFUSED(s->ops[O_Q].bias, -7, "bias");
    REFUSED(s->ops[O_Q].dst, JB_NO_SLOT, "dst");
    REFUSED(s->ops[O_ADD].src1, 77, "source slot");
    REFUSED(s->ops[O_ADD].src1, Q + 1, "width");
    REFUSED(s->ops[O_ADD].src1, XO, "rows");
    REFUSED(s->ops[O_NORM].group, 48, "group");
    REFUSED(s->ops[O_NORM].eps, 0.0f, "eps");
    REFUSED(s->ops[O_ROPE].dst, A, "in place");
    REFUSED(s->ops[O_ROPE].group, 16, "head");
    REFUSED(s->ops[O_ATTN].layer, -1, "layer");
    REFUSED(s->ops[O_ATTN].layer, 1, "layer");
    REFUSED(s->ops[O_ATTN].src1, Q, "n_kv_heads");
    REFUSED(s->ops[O_ARGMAX].src0, XO, "vocabulary");
    REFUSED(s->ops[O_SELECT].dst, N, "outputs");
    REFUSED(s->ops[O_SELECT].kind, JB_OP_ROUTE, "reserved");
    REFUSED(s->ops[O_EMBED].weight, W_Q, "vocabulary");
    assert_int_equal(jb_plan_check(&s->plan), JB_OK);
}

static void expect_step(const struct small *s, enum jb_status status, const char *word)
{
    assert_int_equal(jb_step_check(&s->plan, &s->step, 2, 4, 16), status);
    if (status != JB_OK && strstr(jb_reason(), word) == NULL) {
        fail_msg("'%s' lacks '%s'", jb_reason(), word);
    }
}

static void test_step_check_refuses(void **state)
{
    struct small *s = *state;
    expect_step(s, JB_OK, "");
    assert_int_equal(jb_step_check(&s->plan, &s->step, 2, 3, 16), JB_E_INVAL);
    assert_int_equal(jb_step_check(&s->plan, &s->step, 1, 4, 16), JB_E_INVAL);
    assert_int_equal(jb_step_check(&s->plan, &s->step, 2, 4, 10), JB_E_INVAL);
    s->seqs[1].slot = 0;
    expect_step(s, JB_E_INVAL, "share slot 0");
    s->seqs[1].slot = 2;
    expect_step(s, JB_E_INVAL, "slot 2");
    s->seqs[1].slot = 1;
    s->seqs[1].pos = UINT32_MAX;
    expect_step(s, JB_E_INVAL, "context");
    s->seqs[1].pos = 10;
    s->seqs[1].n_tokens = 0;
    expect_step(s, JB_E_INVAL, "no tokens");
    s->seqs[1].n_tokens = 1;
    s->ids[2] = 100;
    expect_step(s, JB_E_INVAL, "100");
    s->ids[2] = -1;
    expect_step(s, JB_E_INVAL, "-1");
    s->ids[2] = 0;
    s->seqs[0].tokens = NULL;
    expect_step(s, JB_E_INVAL, "no ids");
    s->step.op_begin = O_NORM;
    expect_step(s, JB_E_INVAL, "without activations");
    s->step.acts = s->acts;
    expect_step(s, JB_OK, "");
    s->step.op_end = O_SELECT;
    expect_step(s, JB_E_INVAL, "room");
    s->step.ret_acts = s->acts;
    expect_step(s, JB_OK, "");
    s->step.op_end = O_O;
    expect_step(s, JB_E_INVAL, "cuts");
    s->step.op_end = O_SELECT;
    s->step.program = 1;
    expect_step(s, JB_E_INVAL, "program 1");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_costs_counted_by_hand, set_up),
        cmocka_unit_test_setup(test_no_outputs_cost_no_head, set_up),
        cmocka_unit_test_setup(test_step_cost_is_the_sum_of_its_range, set_up),
        cmocka_unit_test_setup(test_sizes, set_up),
        cmocka_unit_test_setup(test_names, set_up),
        cmocka_unit_test_setup(test_plan_check_refuses, set_up),
        cmocka_unit_test_setup(test_step_check_refuses, set_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
