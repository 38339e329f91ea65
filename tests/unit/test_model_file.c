/* SPDX-License-Identifier: MIT */
/* Files of each architecture, written here with the library's writer: what is read out of them and
 * what is refused. Names the file, the key or tensor, and the rule. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/workload/gguf_write.h"
#include "bench/workload/model.h"

static const char *const path = "test_model_file.gguf";

/* A model of 2 layers, width 64, and what a case changes in it. */
struct variant {
    struct jb_hparams hp;
    enum jb_dtype matrices, vectors;
    const char *left_out; /* tensor that is not written               */
    const char *extra;    /* one more tensor                          */
    const char *reshaped; /* tensor with one row too many             */
    const char *scaling;  /* rope.scaling.type                        */
    uint32_t n_experts;
    const char *renamed; /* general.architecture                     */
};

static struct variant variant(const char *architecture)
{
    return (struct variant){.hp = {.architecture = architecture,
                                   .dim = 64,
                                   .n_layers = 2,
                                   .n_heads = 4,
                                   .n_kv_heads = 2,
                                   .head_dim = 16,
                                   .ffn_dim = 96,
                                   .vocab = 40,
                                   .max_context = 128,
                                   .norm_eps = 1e-6f,
                                   .rope = {.kind = JB_ROPE_PAIRS, .n_dims = 16, .base = 10000.0f}},
                            .matrices = JB_F16,
                            .vectors = JB_F32};
}

static void key_u32(struct jb_gguf_writer *w, const struct variant *v, const char *suffix,
                    uint32_t value)
{
    char name[96];
    (void)snprintf(name, sizeof name, "%s.%s", v->hp.architecture, suffix);
    jb_gguf_key_u32(w, name, value);
}

static void key_f32(struct jb_gguf_writer *w, const struct variant *v, const char *suffix,
                    float value)
{
    char name[96];
    (void)snprintf(name, sizeof name, "%s.%s", v->hp.architecture, suffix);
    jb_gguf_key_f32(w, name, value);
}

static void write_keys(struct jb_gguf_writer *w, const struct variant *v)
{
    const struct jb_hparams *hp = &v->hp;
    char name[96];
    jb_gguf_key_string(w, "general.architecture",
                       v->renamed != NULL ? v->renamed : hp->architecture);
    key_u32(w, v, "embedding_length", hp->dim);
    key_u32(w, v, "block_count", hp->n_layers);
    key_u32(w, v, "feed_forward_length", hp->ffn_dim);
    key_u32(w, v, "context_length", hp->max_context);
    key_u32(w, v, "attention.head_count", hp->n_heads);
    key_u32(w, v, "attention.head_count_kv", hp->n_kv_heads);
    key_u32(w, v, "attention.key_length", hp->head_dim);
    key_u32(w, v, "attention.value_length", hp->head_dim);
    key_f32(w, v, "attention.layer_norm_rms_epsilon", hp->norm_eps);
    key_f32(w, v, "rope.freq_base", hp->rope.base);
    key_u32(w, v, "expert_count", v->n_experts);
    (void)snprintf(name, sizeof name, "%s.rope.scaling.type", hp->architecture);
    jb_gguf_key_string(w, name, v->scaling != NULL ? v->scaling : "none");
    key_f32(w, v, "rope.scaling.factor", 4.0f);
    key_u32(w, v, "rope.scaling.original_context_length", 32);
}
enum { N_KEYS = 15 };

/* One tensor's entry, or its data (0.5 everywhere). */
static void write_tensor(struct jb_gguf_writer *w, const struct variant *v,
                         const struct jb_spec *spec, bool is_entry)
{
    const enum jb_dtype dtype = jb_role_is_vector(spec->role) ? v->vectors : v->matrices;
    const uint32_t rows =
        spec->rows + (v->reshaped != NULL && strcmp(v->reshaped, spec->name) == 0 ? 1 : 0);
    const size_t row_bytes = jb_format_row_bytes(dtype, spec->cols);
    if (v->left_out != NULL && strcmp(v->left_out, spec->name) == 0) {
        return;
    }
    if (is_entry) {
        jb_gguf_entry(w, spec->name, rows, spec->cols, jb_format(dtype)->gguf_type,
                      row_bytes * rows);
        return;
    }
    float values[128];
    uint8_t row[512];
    for (int i = 0; i < 128; i++) {
        values[i] = 0.5f;
    }
    jb_format_encode(dtype, values, row, spec->cols);
    for (uint32_t i = 0; i < rows; i++) {
        jb_gguf_put(w, row, row_bytes);
    }
    jb_gguf_pad(w);
}

static void write_file(const struct variant *v)
{
    struct jb_gguf_writer w;
    struct jb_spec specs[64];
    const uint32_t n = jb_layout_count(&v->hp);
    assert_true(n <= 64);
    jb_layout(&v->hp, specs);
    const uint32_t n_written = n - (v->left_out != NULL ? 1 : 0) + (v->extra != NULL ? 1 : 0);
    assert_int_equal(jb_gguf_create(&w, path, n_written, N_KEYS), JB_OK);
    write_keys(&w, v);
    for (uint32_t i = 0; i < n; i++) {
        write_tensor(&w, v, &specs[i], true);
    }
    if (v->extra != NULL) {
        jb_gguf_entry(&w, v->extra, 1, 8, 0, 32);
    }
    jb_gguf_pad(&w);
    for (uint32_t i = 0; i < n; i++) {
        write_tensor(&w, v, &specs[i], false);
    }
    static const float ones[8] = {1, 1, 1, 1, 1, 1, 1, 2};
    jb_gguf_put(&w, ones, sizeof ones);
    assert_int_equal(jb_gguf_finish(&w), JB_OK);
}

static struct jb_plan *opened(const struct variant *v, struct jb_model **ret_model)
{
    struct jb_plan *plan = NULL;
    write_file(v);
    const struct jb_model_args args = {.source = path, .has_weights = true};
    if (jb_model_open(&args, ret_model) != JB_OK ||
        jb_plan_build(*ret_model, &(struct jb_plan_args){.kv_dtype = JB_F16, .n_ranks = 1},
                      &plan) != JB_OK) {
        fail_msg("%s", jb_reason());
    }
    (void)remove(path);
    return plan;
}

static void refused(const struct variant *v, enum jb_status status, const char *word)
{
    struct jb_model *model = NULL;
    write_file(v);
    assert_int_equal(jb_model_open(&(struct jb_model_args){.source = path}, &model), status);
    (void)remove(path);
    if (strstr(jb_reason(), word) == NULL || strstr(jb_reason(), path) == NULL) {
        fail_msg("'%s' lacks '%s' or the file", jb_reason(), word);
    }
}

static uint32_t count(const struct jb_plan *plan, enum jb_op_kind kind)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < plan->programs[0].n_ops; i++) {
        n += plan->programs[0].ops[i].kind == kind ? 1 : 0;
    }
    return n;
}

static void test_llama(void **state)
{
    (void)state;
    struct jb_model *model = NULL;
    const struct variant v = variant("llama");
    struct jb_plan *plan = opened(&v, &model);
    assert_int_equal(plan->rope.kind, JB_ROPE_PAIRS);
    assert_int_equal(plan->n_tensors, 1 + 2 * 9 + 2);
    assert_int_equal(plan->programs[0].n_ops, 1 + 2 * 15 + 4);
    assert_int_equal(count(plan, JB_OP_RMSNORM), 5);
    assert_int_equal(count(plan, JB_OP_ROPE), 4);
    assert_float_equal(plan->attention_scale, 0.25f, 0);
    assert_string_equal(plan->model, "test_model_file");
    jb_plan_free(plan);
    jb_model_close(model);
}

static void test_qwen2_has_biases(void **state)
{
    (void)state;
    struct jb_model *model = NULL;
    struct variant v = variant("qwen2");
    v.hp.has_qkv_bias = true;
    v.hp.has_tied_head = true;
    struct jb_plan *plan = opened(&v, &model);
    const struct jb_program *full = &plan->programs[0];
    uint32_t n_biased = 0;
    assert_int_equal(plan->rope.kind, JB_ROPE_HALVES);
    for (uint32_t i = 0; i < full->n_ops; i++) {
        n_biased += full->ops[i].kind == JB_OP_MATMUL && full->ops[i].bias != JB_NO_TENSOR ? 1 : 0;
    }
    assert_int_equal(n_biased, 6);
    assert_int_equal(full->ops[full->n_ops - 2].weight, full->ops[0].weight); /* the tied head */
    jb_plan_free(plan);
    jb_model_close(model);
}

static void test_qwen3_norms_heads_of_their_own_width(void **state)
{
    (void)state;
    struct jb_model *model = NULL;
    struct variant v = variant("qwen3");
    v.hp.has_qk_norm = true;
    v.hp.head_dim = 24; /* 4 x 24 is not the width */
    struct jb_plan *plan = opened(&v, &model);
    assert_int_equal(plan->head_dim, 24);
    assert_int_equal(plan->rope.n_dims, 24);
    assert_int_equal(count(plan, JB_OP_RMSNORM), 5 + 4);
    assert_int_equal(plan->programs[0].ops[5].group, 24);
    jb_plan_free(plan);
    jb_model_close(model);
}

static void test_half_vectors_become_f32(void **state)
{
    (void)state;
    static const enum jb_dtype halves[] = {JB_F16, JB_BF16};
    for (int i = 0; i < 2; i++) {
        struct jb_model *model = NULL;
        struct variant v = variant("llama");
        v.matrices = JB_Q8_0;
        v.vectors = halves[i];
        struct jb_plan *plan = opened(&v, &model);
        assert_string_equal(jb_model_info(model)->format, "q8_0");
        const struct jb_tensor *norm = &plan->tensors[1];
        const void *data = NULL;
        assert_int_equal(norm->dtype, JB_F32);
        assert_int_equal(plan->weights->map(plan->weights->ctx, 1, &data), JB_OK);
        assert_float_equal(((const float *)data)[63], 0.5f, 0);
        plan->weights->unmap(plan->weights->ctx, 1);
        jb_plan_free(plan);
        jb_model_close(model);
    }
}

static void test_scaling_reaches_the_angles(void **state)
{
    (void)state;
    struct jb_model *model = NULL;
    struct variant v = variant("llama");
    v.scaling = "linear";
    struct jb_plan *plan = opened(&v, &model);
    assert_float_equal(plan->rope.inv_freq[0], 0.25f, 0);
    jb_plan_free(plan);
    jb_model_close(model);
    v.scaling = "yarn";
    plan = opened(&v, &model);
    assert_true(plan->rope.mscale > 1.138f && plan->rope.mscale < 1.139f);
    jb_plan_free(plan);
    jb_model_close(model);
    v = variant("llama");
    v.extra = "rope_freqs.weight"; /* 1 but for the last, which is 2 */
    plan = opened(&v, &model);
    assert_float_equal(plan->rope.inv_freq[0], 1.0f, 0);
    assert_true(plan->rope.inv_freq[7] < 0.00016f);
    jb_plan_free(plan);
    jb_model_close(model);
}

static void test_refusals(void **state)
{
    (void)state;
    struct variant v = variant("llama");
    v.left_out = "blk.1.ffn_up.weight";
    refused(&v, JB_E_FORMAT, "tensors");
    v.extra = "blk.1.ffn_ip.weight";
    refused(&v, JB_E_FORMAT, "tensor 'blk.1.ffn_up.weight': is missing");
    v.left_out = NULL;
    refused(&v, JB_E_NOTSUP, "tensor 'blk.1.ffn_ip.weight'");
    v = variant("llama");
    v.reshaped = "blk.0.attn_k.weight";
    refused(&v, JB_E_FORMAT, "tensor 'blk.0.attn_k.weight': is 64 x 33");
    v = variant("llama");
    v.n_experts = 8;
    refused(&v, JB_E_NOTSUP, "expert");
    v = variant("llama");
    v.scaling = "longrope";
    refused(&v, JB_E_NOTSUP, "longrope");
    v = variant("llama");
    v.renamed = "gemma3";
    refused(&v, JB_E_NOTSUP, "gemma3");
    v.renamed = "qwen2"; /* then its keys are missing */
    refused(&v, JB_E_FORMAT, "qwen2.embedding_length");
    v = variant("llama");
    v.hp.norm_eps = 0.0f;
    refused(&v, JB_E_FORMAT, "epsilon");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_llama),
        cmocka_unit_test(test_qwen2_has_biases),
        cmocka_unit_test(test_qwen3_norms_heads_of_their_own_width),
        cmocka_unit_test(test_half_vectors_become_f32),
        cmocka_unit_test(test_scaling_reaches_the_angles),
        cmocka_unit_test(test_refusals),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
