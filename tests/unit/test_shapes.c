/* SPDX-License-Identifier: MIT */
/* Named shapes: parameter counts as published, a sound plan for each shape and recipe, weights
 * that exist only while mapped. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "bench/workload/model.h"

/* Sums over the distinct tensors of the released checkpoints; opt-66b: 12 dim^2 a layer and so on
 * by hand. */
static void test_parameter_counts(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        uint64_t n_params;
    } published[] = {
        {"llama2-7b", UINT64_C(6738415616)},   {"llama3-8b", UINT64_C(8030261248)},
        {"llama3.2-1b", UINT64_C(1235814400)}, {"tinyllama-1.1b", UINT64_C(1100048384)},
        {"smollm2-135m", UINT64_C(134515008)}, {"opt-1.3b", UINT64_C(1315758080)},
        {"opt-6.7b", UINT64_C(6658473984)},    {"gpt2", UINT64_C(124439808)},
        {"gpt2-medium", UINT64_C(354823168)},  {"gpt2-xl", UINT64_C(1557611200)},
        {"opt-66b", UINT64_C(65719701504)},    {"tiny", UINT64_C(3672320)},
    };
    assert_int_equal(sizeof published / sizeof published[0], jb_shape_count());
    for (size_t i = 0; i < sizeof published / sizeof published[0]; i++) {
        const struct jb_shape *shape = jb_shape_find(published[i].name);
        assert_non_null(shape);
        struct jb_hparams hp;
        jb_hparams_of_shape(shape, &hp);
        if (jb_layout_params(&hp) != published[i].n_params) {
            fail_msg("%s: %llu parameters", shape->name, (unsigned long long)jb_layout_params(&hp));
        }
    }
}

static struct jb_plan *open_plan(const char *source, const char *format, bool has_weights,
                                 struct jb_model **ret_model)
{
    struct jb_plan *plan = NULL;
    const struct jb_model_args args = {
        .source = source, .format = format, .seed = 3, .has_weights = has_weights};
    const struct jb_plan_args plan_args = {.kv_dtype = JB_F16, .n_ranks = 1};
    if (jb_model_open(&args, ret_model) != JB_OK ||
        jb_plan_build(*ret_model, &plan_args, &plan) != JB_OK) {
        fail_msg("%s: %s", source, jb_reason());
    }
    return plan;
}

static void test_every_shape_and_recipe_has_a_plan(void **state)
{
    (void)state;
    for (uint32_t s = 0; s < jb_shape_count(); s++) {
        for (uint32_t r = 0; r < jb_recipe_count(); r++) {
            const struct jb_shape *shape = jb_shape_at(s);
            struct jb_model *model = NULL;
            struct jb_plan *plan = open_plan(shape->name, jb_recipe_at(r)->name, false, &model);
            const struct jb_model_info *info = jb_model_info(model);
            assert_null(plan->weights);
            assert_int_equal(plan->programs[0].n_cuts, shape->n_layers + 3);
            assert_int_equal(info->weight_bytes, jb_plan_weight_bytes(plan));
            /* rows of 576 and of 1600 do not divide into blocks of 256 */
            const bool is_divisible =
                shape->dim % 256 == 0 || (strcmp(jb_recipe_at(r)->name, "q4_k") != 0 &&
                                          strcmp(jb_recipe_at(r)->name, "q6_k") != 0);
            assert_int_equal(info->wanted_format == NULL, is_divisible);
            assert_string_equal(is_divisible ? info->format : info->wanted_format,
                                jb_recipe_at(r)->name);
            jb_plan_free(plan);
            jb_model_close(model);
        }
    }
}

static enum jb_dtype type_of(const struct jb_plan *plan, const char *name)
{
    for (uint32_t i = 0; i < plan->n_tensors; i++) {
        if (strcmp(plan->tensors[i].name, name) == 0) {
            return plan->tensors[i].dtype;
        }
    }
    fail_msg("no tensor %s", name);
    return JB_N_DTYPES;
}

static void test_recipes_mix_as_named(void **state)
{
    (void)state;
    static const struct {
        const char *model, *recipe, *tensor;
        enum jb_dtype dtype;
    } cases[] = {
        {"llama2-7b", "q4_0", "blk.0.attn_v.weight", JB_Q4_0},
        {"llama2-7b", "q4_0", "output.weight", JB_Q6_K},
        {"llama2-7b", "q4_0", "token_embd.weight", JB_Q4_0},
        {"llama2-7b", "q4_0", "blk.0.attn_norm.weight", JB_F32},
        {"llama2-7b", "q8_0", "output.weight", JB_Q8_0},
        {"llama2-7b", "q4_k", "output.weight", JB_Q6_K},
        {"llama2-7b", "q4_k", "token_embd.weight", JB_Q4_K},
        {"llama2-7b", "q4_k", "blk.3.attn_v.weight", JB_Q6_K}, /* first eighth   */
        {"llama2-7b", "q4_k", "blk.4.attn_v.weight", JB_Q4_K},
        {"llama2-7b", "q4_k", "blk.6.ffn_down.weight", JB_Q6_K}, /* every third    */
        {"llama2-7b", "q4_k", "blk.28.ffn_down.weight", JB_Q6_K},
        {"llama2-7b", "q4_k", "blk.6.ffn_up.weight", JB_Q4_K},
        {"llama3.2-1b", "q4_k", "token_embd.weight", JB_Q6_K},    /* tied           */
        {"smollm2-135m", "q4_k", "blk.5.attn_q.weight", JB_Q4_0}, /* 576 / 256      */
        {"smollm2-135m", "q4_k", "blk.0.attn_v.weight", JB_Q8_0},
        {"smollm2-135m", "q4_k", "blk.5.ffn_down.weight", JB_Q6_K}, /* 1536         */
        {"gpt2", "q8_0", "position_embd.weight", JB_F16},
        {"gpt2", "f32", "position_embd.weight", JB_F32},
        {"gpt2", "q8_0", "blk.0.attn_q.bias", JB_F32},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct jb_model *model = NULL;
        struct jb_plan *plan = open_plan(cases[i].model, cases[i].recipe, false, &model);
        if (type_of(plan, cases[i].tensor) != cases[i].dtype) {
            fail_msg("%s %s: %s is %s", cases[i].model, cases[i].recipe, cases[i].tensor,
                     jb_format(type_of(plan, cases[i].tensor))->name);
        }
        jb_plan_free(plan);
        jb_model_close(model);
    }
}

static void test_sizes_are_those_of_known_files(void **state)
{
    (void)state;
    struct jb_model *model = NULL;
    struct jb_plan *plan = open_plan("llama2-7b", "q4_0", false, &model);
    assert_int_equal(jb_plan_weight_bytes(plan), UINT64_C(3825065984));
    assert_int_equal(jb_plan_kv_bytes(plan, 1, 4096), UINT64_C(2147483648));
    jb_plan_free(plan);
    jb_model_close(model);
}

static void test_weights_repeat_and_nest(void **state)
{
    (void)state;
    struct jb_model *model = NULL;
    struct jb_plan *plan = open_plan("tiny", "q4_k", true, &model);
    const struct jb_weights *weights = plan->weights;
    for (uint32_t i = 0; i < plan->n_tensors; i++) {
        const void *a = NULL;
        const void *b = NULL;
        static uint8_t kept[4 * 1024 * 1024];
        const size_t size = (size_t)plan->tensors[i].n_bytes;
        assert_int_equal(weights->map(weights->ctx, i, &a), JB_OK);
        assert_int_equal(weights->map(weights->ctx, i, &b), JB_OK);
        assert_ptr_equal(a, b);
        assert_int_equal((uintptr_t)a % 32, 0);
        assert_true(size <= sizeof kept);
        memcpy(kept, a, size);
        weights->unmap(weights->ctx, i);
        assert_memory_equal(kept, b, size); /* one user is left */
        weights->unmap(weights->ctx, i);
        weights->unmap(weights->ctx, i); /* once too often: no effect */
        assert_int_equal(weights->map(weights->ctx, i, &a), JB_OK);
        assert_memory_equal(kept, a, size);
    }
    jb_plan_free(plan);
    jb_model_close(model); /* frees what is still mapped */
}

static void expect_reason(const char *source, const char *format, enum jb_status status,
                          const char *word)
{
    struct jb_model *model = NULL;
    const struct jb_model_args args = {.source = source, .format = format};
    assert_int_equal(jb_model_open(&args, &model), status);
    assert_null(model);
    if (strstr(jb_reason(), word) == NULL) {
        fail_msg("'%s' lacks '%s'", jb_reason(), word);
    }
}

static void test_refusals(void **state)
{
    (void)state;
    expect_reason("lama2-7b", NULL, JB_E_NODEV, "llama2-7b");
    expect_reason("gpt", NULL, JB_E_NODEV, "gpt2, gpt2-medium, gpt2-xl");
    expect_reason("no-such-thing", NULL, JB_E_NODEV, "list models");
    expect_reason("tiny", "q5_0", JB_E_INVAL, "q4_k");
    expect_reason("/", NULL, JB_E_INVAL, "/");
    struct jb_model *model = NULL;
    struct jb_plan *plan = open_plan("tiny", NULL, false, &model);
    assert_string_equal(jb_model_info(model)->format, "f16");
    struct jb_plan *other = NULL;
    assert_int_equal(jb_plan_build(model, &(struct jb_plan_args){.n_ranks = 2}, &other),
                     JB_E_NOTSUP);
    assert_int_equal(
        jb_plan_build(model, &(struct jb_plan_args){.kv_dtype = JB_Q4_0, .n_ranks = 1}, &other),
        JB_E_INVAL);
    jb_plan_free(plan);
    jb_model_close(model);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_parameter_counts),
        cmocka_unit_test(test_every_shape_and_recipe_has_a_plan),
        cmocka_unit_test(test_recipes_mix_as_named),
        cmocka_unit_test(test_sizes_are_those_of_known_files),
        cmocka_unit_test(test_weights_repeat_and_nest),
        cmocka_unit_test(test_refusals),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
