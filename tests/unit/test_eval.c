/* SPDX-License-Identifier: MIT */
/* Likelihoods on a fake backend whose logits are known, and the ids file. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "bench/eval.h"

enum { VOCAB = 8 };

/* What the fake saw. */
static struct {
    uint32_t n_steps, held, largest_chunk, context;
    bool has_bad_pos, is_open;
    int nan_at; /* position whose logits hold a NaN; -1 = none */
} seen;

struct jb_device {
    int unused;
};

/* ln p(v) after token t at position p: v = (t + p) mod 8 has logit 2, all others 0. */
static float fake_logit(int32_t token, uint32_t pos, uint32_t v)
{
    return v == ((uint32_t)token + pos) % VOCAB ? 2.0f : 0.0f;
}

static enum jb_status fake_open(struct jb_device *dev, const struct jb_open_args *args)
{
    (void)dev;
    (void)args;
    seen.is_open = true;
    return JB_OK;
}

static enum jb_status fake_load(struct jb_device *dev, const struct jb_load_args *args)
{
    (void)dev;
    seen.context = args->context;
    assert_int_equal(args->max_tokens, JB_EVAL_CHUNK);
    return JB_OK;
}

static enum jb_status fake_step(struct jb_device *dev, const struct jb_step *step)
{
    (void)dev;
    const struct jb_seq *seq = &step->seqs[0];
    seen.n_steps++;
    seen.has_bad_pos |= seq->pos > seen.held || seq->pos + seq->n_tokens > seen.context;
    seen.held = seq->pos + seq->n_tokens;
    seen.largest_chunk = seq->n_tokens > seen.largest_chunk ? seq->n_tokens : seen.largest_chunk;
    for (uint32_t i = 0; i < seq->n_tokens; i++) {
        for (uint32_t v = 0; v < VOCAB; v++) {
            step->ret_logits[i * VOCAB + v] = (int)(seq->pos + i) == seen.nan_at
                                                  ? NAN
                                                  : fake_logit(seq->tokens[i], seq->pos + i, v);
        }
    }
    return JB_OK;
}

static void fake_close(struct jb_device *dev)
{
    (void)dev;
    seen.is_open = false;
}

static const struct jb_backend fake = {.name = "fake",
                                       .device_size = sizeof(struct jb_device),
                                       .open = fake_open,
                                       .load = fake_load,
                                       .step = fake_step,
                                       .close = fake_close};

static enum jb_status run(const int32_t *ids, uint64_t n, uint32_t window, float *logits,
                          struct jb_eval_result *ret)
{
    static const struct jb_program program = {.name = "full", .n_ops = 1};
    const struct jb_plan plan = {.vocab = VOCAB, .programs = &program, .n_programs = 1};
    const struct jb_open_args open = {.n_threads = 1};
    const int nan_at = seen.nan_at;
    memset(&seen, 0, sizeof seen);
    seen.nan_at = nan_at;
    struct jb_eval_args args = {
        .plan = &plan, .backend = &fake, .open = &open, .ids = ids, .n_ids = n, .window = window};
    args.ret_logits = logits;
    return jb_eval(&args, ret);
}

static void test_nll_is_that_of_the_definition(void **state)
{
    (void)state;
    const float logits[] = {1.0f, 2.0f, 3.0f, -1.0f};
    const double sum = exp(1) + exp(2) + exp(3) + exp(-1);
    for (int i = 0; i < 4; i++) {
        assert_true(fabs(jb_nll(logits, 4, i) + log(exp((double)logits[i]) / sum)) < 1e-12);
    }
    /* Where plain exp() would overflow, and where it would vanish. */
    const float large[] = {1000.0f, 999.0f}, small[] = {-1000.0f, -1001.0f};
    assert_true(fabs(jb_nll(large, 2, 0) - log(1 + exp(-1))) < 1e-12);
    assert_true(fabs(jb_nll(small, 2, 1) - (1 + log(1 + exp(-1)))) < 1e-12);
    const float bad[] = {1.0f, NAN};
    assert_true(isnan(jb_nll(bad, 2, 0)));
}

static void test_windows_and_chunks_predict_what_they_should(void **state)
{
    (void)state;
    seen.nan_at = -1;
    static const uint64_t lengths[] = {1, 2, 63, 64, 65, 128, 129, 300};
    static const uint32_t windows[] = {1, 2, 64, 100, 129, 1000};
    int32_t ids[300];
    for (int i = 0; i < 300; i++) {
        ids[i] = (i * 5 + i / 7) % VOCAB;
    }
    for (size_t l = 0; l < sizeof lengths / sizeof lengths[0]; l++) {
        for (size_t w = 0; w < sizeof windows / sizeof windows[0]; w++) {
            const uint64_t n = lengths[l];
            double sum = 0;
            uint64_t n_predicted = 0;
            for (uint64_t i = 1; i < n; i++) {
                if (i % windows[w] == 0) {
                    continue;
                }
                const uint32_t pos = (uint32_t)((i - 1) % windows[w]);
                sum +=
                    log(exp(2) + VOCAB - 1) - (double)fake_logit(ids[i - 1], pos, (uint32_t)ids[i]);
                n_predicted++;
            }
            float logits[VOCAB];
            struct jb_eval_result result;
            assert_int_equal(run(ids, n, windows[w], logits, &result), JB_OK);
            assert_int_equal(result.n_predicted, n_predicted);
            assert_true(n_predicted == 0 ? isnan(result.nll)
                                         : fabs(result.nll - sum / (double)n_predicted) < 1e-12);
            assert_false(seen.has_bad_pos || seen.is_open);
            assert_in_range(seen.largest_chunk, 1, JB_EVAL_CHUNK);
            for (uint32_t v = 0; v < VOCAB; v++) {
                const uint32_t pos = (uint32_t)((n - 1) % windows[w]);
                assert_true(logits[v] == fake_logit(ids[n - 1], pos, v));
            }
        }
    }
}

static void test_a_logit_that_is_no_number_is_an_error(void **state)
{
    (void)state;
    const int32_t ids[] = {1, 2, 3};
    struct jb_eval_result result = {.n_predicted = 77};
    seen.nan_at = 1;
    assert_int_equal(run(ids, 3, 100, NULL, &result), JB_E_NUMERIC);
    assert_non_null(strstr(jb_reason(), "fake"));
    assert_int_equal(result.n_predicted, 77);
    assert_false(seen.is_open);
    seen.nan_at = -1;
}

static void test_ids_files(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        uint64_t n;         /* 0 = refused */
        const char *reason; /* part of it  */
    } cases[] = {
        {"1 403 407", 3, NULL},
        {"1,403,407", 3, NULL},
        {" 1 ,\n\t403, 407\r\n", 3, NULL},
        {"0", 1, NULL},
        {"511\n", 1, NULL},
        {"", 0, "f.ids:1"},
        {" \n\n", 0, "f.ids:3"},
        {"1\n2\nx3", 0, "f.ids:3: 'x3'"},
        {"1 -2", 0, "f.ids:1: '-2'"},
        {"1 2.5", 0, "'2.5'"},
        {"1,,2", 0, "','"},
        {",1", 0, "','"},
        {"512", 0, "id 512"},
        {"99999999999999999999999", 0, "id 9999"},
        {"1 \x01\xff\n", 0, "'\?\?'"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        int32_t *ids = NULL;
        uint64_t n = 0;
        const enum jb_status status =
            jb_ids_parse(cases[i].text, strlen(cases[i].text), "f.ids", 512, &ids, &n);
        assert_int_equal(n, cases[i].n);
        if (cases[i].n == 0) {
            assert_int_equal(status, JB_E_FORMAT);
            assert_non_null(strstr(jb_reason(), cases[i].reason));
        } else {
            assert_int_equal(status, JB_OK);
        }
        if (n == 3) {
            assert_true(ids[0] == 1 && ids[1] == 403 && ids[2] == 407);
        }
        free(ids);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_nll_is_that_of_the_definition),
        cmocka_unit_test(test_windows_and_chunks_predict_what_they_should),
        cmocka_unit_test(test_a_logit_that_is_no_number_is_an_error),
        cmocka_unit_test(test_ids_files),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
