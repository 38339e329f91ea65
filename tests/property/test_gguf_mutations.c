/* SPDX-License-Identifier: MIT */
/* Truncated and changed model files: opened or refused with one line that names the file, never a
 * crash. A mutant that still opens is mapped and gets a plan. Without an argument 3000 mutants are
 * tried; an argument sets another number. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/workload/model.h"
#include "platforms/base/rng.h"

static unsigned long n_mutants = 3000;
static const char *const path = "test_gguf_mutations.gguf";
static uint8_t *whole;
static size_t whole_size;
static size_t head_size; /* bytes before the tensor data */

static int set_up(void **state)
{
    (void)state;
    const struct jb_synth_args args = {.model = "tiny", .format = "q4_0", .output = path};
    assert_int_equal(jb_synth(&args), JB_OK);
    FILE *file = fopen(path, "rb");
    assert_non_null(file);
    assert_int_equal(fseek(file, 0, SEEK_END), 0);
    whole_size = (size_t)ftell(file);
    rewind(file);
    whole = malloc(whole_size);
    assert_non_null(whole);
    assert_int_equal(fread(whole, 1, whole_size, file), whole_size);
    (void)fclose(file);
    (void)remove(path);
    struct jb_gguf gguf;
    assert_int_equal(jb_gguf_parse(whole, whole_size, "whole", &gguf), JB_OK);
    head_size = (size_t)gguf.tensors[0].offset;
    jb_gguf_free(&gguf);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    free(whole);
    return 0;
}

/* @return true if the bytes are a model. */
static bool try_open(const uint8_t *data, size_t size)
{
    struct jb_model *model = NULL;
    struct jb_plan *plan = NULL;
    const struct jb_model_args args = {.source = "mutant", .has_weights = true};
    const enum jb_status status = jb_model_open_memory(data, size, "mutant", &args, &model);
    if (status != JB_OK) {
        assert_null(model);
        if (status != JB_E_NOMEM && strncmp(jb_reason(), "mutant: ", 8) != 0) {
            fail_msg("reason names no file: '%s'", jb_reason());
        }
        return false;
    }
    for (uint32_t i = 0; i < model->n_tensors; i += 7) {
        const void *bytes = NULL;
        assert_int_equal(model->weights.map(model, i, &bytes), JB_OK);
        model->weights.unmap(model, i);
    }
    if (jb_plan_build(model, &(struct jb_plan_args){.kv_dtype = JB_F16, .n_ranks = 1}, &plan) ==
        JB_OK) {
        jb_plan_free(plan);
    }
    jb_model_close(model);
    return true;
}

/* Exactly as many bytes as the file has, so that reading past them is seen by the sanitizer. */
static void test_every_kind_of_truncation(void **state)
{
    (void)state;
    for (size_t size = 1; size < whole_size; size += size < 4096 ? 61 : 90001) {
        uint8_t *cut = malloc(size);
        assert_non_null(cut);
        memcpy(cut, whole, size);
        assert_false(try_open(cut, size));
        free(cut);
    }
    assert_true(try_open(whole, whole_size));
}

static void mutate(struct jb_rng *rng, uint8_t *data)
{
    static const uint64_t wild[] = {
        0, 1, 31, 255, UINT32_MAX, INT64_MAX, UINT64_MAX, UINT64_C(1) << 32, UINT64_C(1) << 61};
    const uint32_t n = 1 + jb_rng_below(rng, 4);
    for (uint32_t i = 0; i < n; i++) {
        /* Half of them among the first keys, where the numbers are. */
        const uint32_t limit = jb_rng_below(rng, 2) != 0 ? 1200u : (uint32_t)head_size;
        const uint32_t at = jb_rng_below(rng, limit - 8);
        switch (jb_rng_below(rng, 4)) {
        case 0:
            data[at] = (uint8_t)jb_rng_u64(rng);
            break;
        case 1:
            data[at] = (uint8_t)(data[at] ^ (1u << jb_rng_below(rng, 8)));
            break;
        case 2:
            memcpy(data + at, &wild[jb_rng_below(rng, 9)], 1u << jb_rng_below(rng, 4));
            break;
        default:
            memmove(data + at, data + jb_rng_below(rng, limit - 8), 8);
            break;
        }
    }
}

static void test_mutants(void **state)
{
    (void)state;
    unsigned long n_opened = 0;
    uint8_t *data = malloc(whole_size);
    assert_non_null(data);
    memcpy(data, whole, whole_size);
    for (unsigned long seed = 0; seed < n_mutants; seed++) {
        struct jb_rng rng;
        jb_rng_seed(&rng, seed, 0);
        memcpy(data, whole, head_size);
        mutate(&rng, data);
        n_opened += try_open(data, whole_size) ? 1 : 0;
    }
    free(data);
    assert_true(n_opened < n_mutants); /* some are refused ... */
    assert_true(n_opened > 0);         /* ... and some come through, so the rest is reached */
}

int main(int argc, char **argv)
{
    if (argc > 1) {
        n_mutants = strtoul(argv[1], NULL, 10);
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_kind_of_truncation),
        cmocka_unit_test(test_mutants),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
