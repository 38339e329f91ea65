/* SPDX-License-Identifier: MIT */
/* Model files: opened, planned, tokenized with, and one token computed. */
#include <stdio.h>
#include <stdlib.h>

#include "backends/registry.h"
#include "bench/eval.h"
#include "bench/workload/workload.h"
#include "tests/fuzz/target.h"

static const char input[] = "input.gguf";

/* The reference kernels on whatever numbers the file holds. */
static void compute(const struct jb_plan *plan)
{
    const struct jb_backend *backend = jb_registry_find("refops");
    if (backend == NULL || plan->max_context < 2) {
        return;
    }
    const struct jb_open_args open = {.n_threads = 1};
    const int32_t ids[2] = {0, (int32_t)plan->vocab - 1};
    const struct jb_eval_args args = {
        .plan = plan, .backend = backend, .open = &open, .ids = ids, .n_ids = 2, .window = 2};
    struct jb_eval_result result;
    (void)!jb_eval(&args, &result);
}

static void tokenize(const struct jb_vocab *vocab)
{
    static const char text[] = "Once upon a time, <s> 1234\n\xc3\xa9\xff";
    struct jb_tokenizer *tokenizer = NULL;
    int32_t *ids = NULL;
    uint32_t n = 0;
    char *back = NULL;
    size_t size = 0;
    if (jb_tokenizer_create(vocab, &tokenizer) == JB_OK &&
        jb_tokenizer_encode(tokenizer, text, sizeof text, true, true, &ids, &n) == JB_OK &&
        jb_tokenizer_decode(tokenizer, ids, n, &back, &size) == JB_OK) {
        free(back);
    }
    free(ids);
    jb_tokenizer_free(tokenizer);
}

static enum jb_status run(const uint8_t *data, size_t size)
{
    FILE *file = fopen(input, "wb");
    if (file == NULL || fwrite(data, 1, size, file) != size || fclose(file) != 0) {
        abort();
    }
    const struct jb_model_args args = {.source = input, .has_weights = true};
    const struct jb_plan_args plan_args = {.kv_dtype = JB_F16, .n_ranks = 1};
    struct jb_model *model = NULL;
    struct jb_plan *plan = NULL;
    enum jb_status status = jb_model_open(&args, &model);
    if (status == JB_OK) {
        status = jb_plan_build(model, &plan_args, &plan);
    }
    if (status == JB_OK) {
        status = jb_plan_check(plan);
        if (status != JB_OK) {
            (void)fprintf(stderr, "a plan was built that is none: %s\n", jb_reason());
            abort();
        }
        compute(plan);
        tokenize(jb_model_info(model)->vocab);
    }
    jb_plan_free(plan);
    jb_model_close(model);
    return status;
}

const struct jb_fuzz_target jb_fuzz_gguf = {
    .name = "gguf", .input = "input.gguf", .form = JB_FUZZ_GGUF, .weight = 28, .run = run};
