/* SPDX-License-Identifier: MIT */
/* Written model files open again as the model they were made of; broken writes leave nothing. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#if !defined(_WIN32)
#include <sys/resource.h>
#endif

#include "bench/workload/model.h"

static const char *const path = "test_synth.gguf";

static struct jb_model *open_model(const char *source, const char *format)
{
    struct jb_model *model = NULL;
    const struct jb_model_args args = {
        .source = source, .format = format, .seed = 11, .has_weights = true};
    if (jb_model_open(&args, &model) != JB_OK) {
        fail_msg("%s", jb_reason());
    }
    return model;
}

static void check_same(struct jb_model *a, struct jb_model *b)
{
    assert_int_equal(a->n_tensors, b->n_tensors);
    for (uint32_t i = 0; i < a->n_tensors; i++) {
        const void *x = NULL;
        const void *y = NULL;
        assert_string_equal(a->tensors[i].name, b->tensors[i].name);
        assert_int_equal(a->tensors[i].dtype, b->tensors[i].dtype);
        assert_int_equal(a->tensors[i].n_bytes, b->tensors[i].n_bytes);
        assert_int_equal(a->weights.map(a, i, &x), JB_OK);
        assert_int_equal(b->weights.map(b, i, &y), JB_OK);
        assert_memory_equal(x, y, a->tensors[i].n_bytes);
        a->weights.unmap(a, i);
        b->weights.unmap(b, i);
    }
    for (uint32_t i = 0; i < a->hp.rope.n_dims / 2; i++) {
        assert_float_equal(a->inv_freq[i], b->inv_freq[i], 0);
    }
}

struct progress {
    uint64_t last, total;
};

static void on_progress(void *ctx, uint64_t done, uint64_t total)
{
    struct progress *p = ctx;
    assert_true(done > p->last && done <= total);
    p->last = done;
    p->total = total;
}

static void test_shape_round_trip(void **state)
{
    (void)state;
    for (uint32_t r = 0; r < jb_recipe_count(); r++) {
        const char *format = jb_recipe_at(r)->name;
        struct progress progress = {0};
        const struct jb_synth_args args = {.model = "tiny",
                                           .format = format,
                                           .output = path,
                                           .seed = 11,
                                           .progress = on_progress,
                                           .progress_ctx = &progress};
        if (jb_synth(&args) != JB_OK) {
            fail_msg("%s", jb_reason());
        }
        struct jb_model *shape = open_model("tiny", format);
        struct jb_model *file = open_model(path, format);
        check_same(shape, file);
        assert_int_equal(progress.last, progress.total);
        assert_int_equal(progress.total, jb_model_info(shape)->weight_bytes);
        assert_string_equal(jb_model_info(file)->name, "tiny");
        assert_int_equal(jb_model_info(file)->max_context, 2048);
        jb_model_close(shape);
        jb_model_close(file);
    }
    (void)remove(path);
}

static int by_text(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static void test_vocabulary_is_whole_and_distinct(void **state)
{
    (void)state;
    static char texts[1024][16];
    static const char *sorted[1024];
    assert_int_equal(
        jb_synth(&(struct jb_synth_args){.model = "tiny", .format = "q4_0", .output = path}),
        JB_OK);
    struct jb_model *file = open_model(path, NULL);
    const struct jb_vocab *vocab = jb_model_info(file)->vocab;
    assert_int_equal(vocab->kind, JB_VOCAB_SPM);
    assert_int_equal(vocab->n_tokens, 1024);
    assert_int_equal(vocab->bos_id, 1);
    assert_true(vocab->adds_bos);
    for (uint32_t i = 0; i < 1024; i++) {
        assert_true(vocab->piece_sizes[i] > 0 && vocab->piece_sizes[i] < 16);
        memcpy(texts[i], vocab->pieces[i], vocab->piece_sizes[i]);
        sorted[i] = texts[i];
        assert_int_equal(vocab->types[i], i == 0 ? 2 : i < 3 ? 3 : i < 259 ? 6 : 1);
    }
    assert_string_equal(texts[258], "<0xFF>");
    assert_string_equal(texts[259], "\xe2\x96\x81");
    assert_string_equal(texts[260], "a");
    assert_string_equal(texts[259 + 27], "\xe2\x96\x81"
                                         "a");
    assert_string_equal(texts[259 + 27 + 26], "aa");
    qsort(sorted, 1024, sizeof sorted[0], by_text);
    for (uint32_t i = 1; i < 1024; i++) {
        assert_string_not_equal(sorted[i - 1], sorted[i]);
    }
    jb_model_close(file);
    (void)remove(path);
}

static void test_conversion_keeps_head_and_changes_types(void **state)
{
    (void)state;
    static const char *const other = "test_synth_2.gguf";
    assert_int_equal(jb_synth(&(struct jb_synth_args){
                         .model = "tiny", .format = "f32", .output = path, .seed = 11}),
                     JB_OK);
    assert_int_equal(
        jb_synth(&(struct jb_synth_args){.from = path, .format = "f32", .output = other}), JB_OK);
    struct jb_model *a = open_model(path, NULL);
    struct jb_model *b = open_model(other, NULL);
    check_same(a, b);
    jb_model_close(b);
    assert_int_equal(
        jb_synth(&(struct jb_synth_args){.from = path, .format = "q4_k", .output = other}), JB_OK);
    b = open_model(other, "q4_k");
    uint32_t file_type = 0;
    assert_int_equal(jb_gguf_u32(&b->gguf, "general.file_type", &file_type), JB_OK);
    assert_int_equal(file_type, 15);
    assert_int_equal(a->gguf.n_keys, b->gguf.n_keys);
    assert_int_equal(jb_model_info(b)->vocab->n_tokens, 1024);
    for (uint32_t i = 0; i < a->n_tensors; i++) {
        assert_int_equal(b->tensors[i].dtype, jb_recipe_dtype(JB_Q4_K, &a->hp, &a->specs[i]));
    }
    jb_model_close(a);
    jb_model_close(b);
    (void)remove(path);
    (void)remove(other);
}

static void test_nan_is_refused(void **state)
{
    (void)state;
    assert_int_equal(
        jb_synth(&(struct jb_synth_args){.model = "tiny", .format = "f32", .output = path}), JB_OK);
    struct jb_model *a = open_model(path, NULL);
    const long at = (long)a->entries[5]->offset + 4 * 70;
    const char *name = a->specs[5].name;
    FILE *file = fopen(path, "r+b");
    assert_non_null(file);
    assert_int_equal(fseek(file, at, SEEK_SET), 0);
    assert_int_equal(fwrite("\0\0\xc0\x7f", 1, 4, file), 4);
    (void)fclose(file);
    assert_int_equal(
        jb_synth(&(struct jb_synth_args){.from = path, .format = "q8_0", .output = "never.gguf"}),
        JB_E_NUMERIC);
    assert_non_null(strstr(jb_reason(), name));
    assert_null(fopen("never.gguf", "rb"));
    assert_null(fopen("never.gguf.partial", "rb"));
    jb_model_close(a);
    (void)remove(path);
}

static void test_refusals(void **state)
{
    (void)state;
    static const struct {
        struct jb_synth_args args;
        enum jb_status status;
        const char *word;
    } cases[] = {
        {{.model = "gpt2", .format = "f16", .output = "x.gguf"}, JB_E_NOTSUP, "gpt2"},
        {{.model = "opt-1.3b", .format = "f16", .output = "x.gguf"}, JB_E_NOTSUP, "opt"},
        {{.model = "tiny", .format = "q2", .output = "x.gguf"}, JB_E_INVAL, "q2"},
        {{.model = "tinny", .format = "f16", .output = "x.gguf"}, JB_E_NODEV, "tinny"},
        {{.from = "no/such.gguf", .format = "f16", .output = "x.gguf"}, JB_E_NODEV, "no/such.gguf"},
        {{.from = "tiny", .format = "f16", .output = "x.gguf"}, JB_E_INVAL, "./tiny"},
        {{.format = "f16", .output = "x.gguf"}, JB_E_INVAL, "one of"},
        {{.model = "tiny", .format = "f16", .output = "no/such/folder.gguf"},
         JB_E_IO,
         "no/such/folder.gguf"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        assert_int_equal(jb_synth(&cases[i].args), cases[i].status);
        if (strstr(jb_reason(), cases[i].word) == NULL) {
            fail_msg("'%s' lacks '%s'", jb_reason(), cases[i].word);
        }
        assert_null(fopen("x.gguf", "rb"));
    }
}

#if !defined(_WIN32)
/* A limit on file size stands in for a full disk. */
static void test_broken_write_leaves_nothing(void **state)
{
    (void)state;
    struct rlimit kept;
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &kept), 0);
    struct rlimit small = {.rlim_cur = 1 << 20, .rlim_max = kept.rlim_max};
    (void)signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
    const enum jb_status status =
        jb_synth(&(struct jb_synth_args){.model = "tiny", .format = "f16", .output = "full.gguf"});
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &kept), 0);
    assert_int_equal(status, JB_E_IO);
    assert_non_null(strstr(jb_reason(), "full.gguf"));
    assert_null(fopen("full.gguf", "rb"));
    assert_null(fopen("full.gguf.partial", "rb"));
}
#endif

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_shape_round_trip),
        cmocka_unit_test(test_vocabulary_is_whole_and_distinct),
        cmocka_unit_test(test_conversion_keeps_head_and_changes_types),
        cmocka_unit_test(test_nan_is_refused),
        cmocka_unit_test(test_refusals),
#if !defined(_WIN32)
        cmocka_unit_test(test_broken_write_leaves_nothing),
#endif
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
