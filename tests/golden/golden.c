/* SPDX-License-Identifier: MIT */
/* A real trained model on one backend, against numbers made elsewhere:
 * $JB_SHARED/models/oracle.json holds ids, logits and likelihoods of a float32 forward pass written
 * independently of this tree.
 *
 *   golden --backend NAME
 *
 * Environment: JB_SIMD chooses the level of backends that have levels. Speaks TAP. */
#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "backends/registry.h"
#include "bench/workload/workload.h"
#include "tests/support/maker.h"

enum { CONTEXT = 160, MAX_TOKENS = 160 };

struct golden {
    const char *folder;
    const struct jb_backend *backend;
    json_t *oracle;
    uint32_t n, n_failed;
};

/* A model file on the device. */
struct loaded {
    struct jb_model *model;
    struct jb_plan *plan;
    struct jb_device *dev;
    float *logits; /* (MAX_TOKENS, vocab) */
};

static void must(bool is_fine, const char *what)
{
    if (!is_fine) {
        printf("Bail out! %s: %s\n", what, jb_reason());
        exit(1);
    }
}

static void report(struct golden *g, bool is_fine, const char *file, const char *what,
                   const char *detail)
{
    g->n++;
    g->n_failed += is_fine ? 0 : 1;
    printf("%sok %u - %s: %s # %s\n", is_fine ? "" : "not ", g->n, file, what, detail);
}

static struct loaded load(const struct golden *g, const char *file, enum jb_dtype kv_dtype)
{
    char path[1024];
    (void)snprintf(path, sizeof path, "%s/models/%s", g->folder, file);
    struct loaded l = {.model = NULL};
    const struct jb_model_args model_args = {.source = path, .has_weights = true};
    const struct jb_plan_args plan_args = {.kv_dtype = kv_dtype, .n_ranks = 1};
    must(jb_model_open(&model_args, &l.model) == JB_OK, file);
    must(jb_plan_build(l.model, &plan_args, &l.plan) == JB_OK, file);
    const struct jb_load_args load_args = {.plan = l.plan,
                                           .max_seqs = 1,
                                           .max_tokens = MAX_TOKENS,
                                           .max_outputs = MAX_TOKENS,
                                           .context = CONTEXT,
                                           .execution = JB_EXECUTE_FUNCTIONAL};
    l.dev = device_start(g->backend, &load_args);
    l.logits = malloc(sizeof(float) * MAX_TOKENS * l.plan->vocab);
    must(l.logits != NULL, "malloc");
    return l;
}

static void unload(const struct golden *g, struct loaded *l)
{
    device_end(g->backend, l->dev);
    jb_plan_free(l->plan);
    jb_model_close(l->model);
    free(l->logits);
}

static void step(const struct golden *g, struct loaded *l, uint32_t pos, const int32_t *tokens,
                 uint32_t n, enum jb_want want, int32_t *ret_ids)
{
    const struct jb_seq seq = {.pos = pos, .n_tokens = n, .want = want, .tokens = tokens};
    struct jb_step one = {
        .op_end = l->plan->programs[0].n_ops, .seqs = &seq, .n_seqs = 1, .ret_logits = l->logits};
    one.ret_ids = ret_ids;
    must(device_step(g->backend, l->dev, &one) == JB_OK, "step");
}

static uint32_t read_ids(const json_t *list, int32_t *ids)
{
    const size_t n = json_array_size(list);
    must(n > 0 && n <= MAX_TOKENS, "oracle.json: a list of ids is empty or too long");
    for (size_t i = 0; i < n; i++) {
        ids[i] = (int32_t)json_integer_value(json_array_get(list, i));
    }
    return (uint32_t)n;
}

/* Feeds the first n_prompt of ids and compares what comes with the rest. */
static void check_greedy(struct golden *g, struct loaded *l, const char *file, const char *what,
                         const json_t *list, uint32_t n_prompt)
{
    int32_t ids[MAX_TOKENS], id = -1;
    const uint32_t n = read_ids(list, ids);
    uint32_t pos = n_prompt;
    must(g->backend->reset(l->dev) == JB_OK, "reset");
    step(g, l, 0, ids, n_prompt, JB_WANT_LAST, &id);
    while (pos < n && id == ids[pos]) {
        const int32_t token = id;
        step(g, l, pos, &token, 1, JB_WANT_LAST, &id);
        pos++;
    }
    char detail[96];
    (void)snprintf(detail, sizeof detail, "%u of %u ids agree", pos - n_prompt, n - n_prompt);
    report(g, pos == n, file, what, detail);
}

/* -log softmax(logits)[id] */
static double nll(const float *logits, uint32_t vocab, int32_t id)
{
    double largest = (double)logits[0], sum = 0.0;
    for (uint32_t i = 1; i < vocab; i++) {
        largest = fmax(largest, (double)logits[i]);
    }
    for (uint32_t i = 0; i < vocab; i++) {
        sum += exp((double)logits[i] - largest);
    }
    return log(fmax(sum, 1.0)) + largest - (double)logits[id];
}

static void check_nll(struct golden *g, struct loaded *l, const char *file, const char *what,
                      double limit)
{
    int32_t ids[MAX_TOKENS];
    json_t *prompts = json_object_get(g->oracle, "prompts");
    const json_t *reference = json_object_get(json_object_get(prompts, "Once upon a time"), "ids");
    const uint32_t n = read_ids(reference, ids);
    const json_t *numbers = json_object_get(json_object_get(g->oracle, "files"), file);
    const double expected = json_number_value(json_object_get(numbers, "mean_nll_over_ref_ids"));
    must(g->backend->reset(l->dev) == JB_OK, "reset");
    step(g, l, 0, ids, n - 1, JB_WANT_ALL, NULL);
    double sum = 0.0;
    for (uint32_t t = 0; t + 1 < n; t++) {
        sum += nll(l->logits + (size_t)t * l->plan->vocab, l->plan->vocab, ids[t + 1]);
    }
    const double mean = sum / (n - 1);
    char detail[96];
    (void)snprintf(detail, sizeof detail, "mean %.5f, oracle %.5f", mean, expected);
    report(g, fabs(mean - expected) <= limit, file, what, detail);
}

static void check_logits(struct golden *g, struct loaded *l, const char *file, double limit)
{
    const json_t *numbers = json_object_get(json_object_get(g->oracle, "files"), file);
    const json_t *top = json_object_get(numbers, "logits_after_bos_top5");
    const int32_t bos = (int32_t)json_integer_value(json_object_get(g->oracle, "bos"));
    must(json_array_size(top) == 5, "oracle.json: no logits_after_bos_top5");
    must(g->backend->reset(l->dev) == JB_OK, "reset");
    step(g, l, 0, &bos, 1, JB_WANT_LAST, NULL);
    double worst = 0.0;
    for (size_t i = 0; i < 5; i++) {
        const json_t *pair = json_array_get(top, i);
        const json_int_t id = json_integer_value(json_array_get(pair, 0));
        const double expected = json_number_value(json_array_get(pair, 1));
        worst = fmax(worst, fabs((double)l->logits[id] - expected));
    }
    char detail[96];
    (void)snprintf(detail, sizeof detail, "largest difference of five %.2g", worst);
    report(g, worst <= limit, file, "logits after BOS", detail);
}

static void check_prompts(struct golden *g, struct loaded *l, const char *file)
{
    const char *prompt;
    json_t *entry;
    json_object_foreach(json_object_get(g->oracle, "prompts"), prompt, entry)
    {
        const size_t n_prompt = json_array_size(json_object_get(entry, "prompt_ids"));
        check_greedy(g, l, file, prompt, json_object_get(entry, "ids"), (uint32_t)n_prompt);
    }
}

/* refops reads the stored weights exactly and keeps activations in float32, as the oracle does.
 * Others may round activations to int8 for quantised weights: the logits of this model, up to 17
 * in size, then move by tenths. */
static void check_file(struct golden *g, const char *file, bool is_float, double nll_limit)
{
    const bool is_exact = is_float || strcmp(g->backend->name, "refops") == 0;
    struct loaded l = load(g, file, JB_F32);
    check_logits(g, &l, file, is_exact ? 1e-3 : 0.4);
    check_nll(g, &l, file, "NLL", nll_limit);
    if (is_float) {
        check_prompts(g, &l, file);
    } else if (is_exact) {
        const json_t *numbers = json_object_get(json_object_get(g->oracle, "files"), file);
        check_greedy(g, &l, file, "own greedy ids", json_object_get(numbers, "greedy_ids"), 5);
    }
    unload(g, &l);
    l = load(g, file, JB_F16);
    check_nll(g, &l, file, "NLL with an f16 KV cache", nll_limit);
    unload(g, &l);
}

static bool can_run(const struct jb_backend *backend)
{
    struct jb_device *dev = NULL;
    if ((backend->caps & JB_CAP_NO_RESULT) != 0) {
        printf("1..0 # SKIP %s computes nothing\n", backend->name);
        return false;
    }
    if (device_open(backend, &dev) != JB_OK) {
        printf("1..0 # SKIP %s: %s\n", backend->name, jb_reason());
        return false;
    }
    device_end(backend, dev);
    return true;
}

int main(int argc, char **argv)
{
    const char *name = argc == 3 && strcmp(argv[1], "--backend") == 0 ? argv[2] : NULL;
    struct golden g = {.folder = getenv("JB_SHARED"),
                       .backend = name != NULL ? jb_registry_find(name) : NULL};
    if (g.backend == NULL) {
        printf("Bail out! usage: golden --backend NAME; %s\n", jb_reason());
        return 2;
    }
    if (!can_run(g.backend)) {
        return 0;
    }
    char path[1024];
    json_error_t error;
    (void)snprintf(path, sizeof path, "%s/models/oracle.json", g.folder != NULL ? g.folder : ".");
    g.oracle = json_load_file(path, 0, &error);
    if (g.oracle == NULL) {
        printf("1..0 # SKIP no trained model: %s: %s\n", path, error.text);
        return 0;
    }
    check_file(&g, "stories260K-f32.gguf", true, 0.003);
    check_file(&g, "stories260K-f32-untied.gguf", true, 0.003);
    check_file(&g, "stories260K-f16.gguf", true, 0.003);
    check_file(&g, "stories260K-q8_0.gguf", false, 0.003);
    check_file(&g, "stories260K-q4_0.gguf", false, 0.02);
    json_decref(g.oracle);
    printf("1..%u\n", g.n);
    return g.n_failed > 0 ? 1 : 0;
}
