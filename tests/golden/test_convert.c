/* SPDX-License-Identifier: MIT */
/* Our encoders against files that another quantiser wrote: converting the F32 model of shared data
 * must give the very bytes of its F16, Q8_0 and Q4_0 forms wherever the types agree. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/workload/model.h"
#include "tests/support/skip.h"

static struct jb_model *open_model(const char *path)
{
    struct jb_model *model = NULL;
    if (jb_model_open(&(struct jb_model_args){.source = path, .has_weights = true}, &model) !=
        JB_OK) {
        fail_msg("%s", jb_reason());
    }
    return model;
}

static void check_pair(const char *format, uint32_t min_equal)
{
    const char *shared = getenv("JB_SHARED");
    char f32[512];
    char other[512];
    const char *made = "test_convert.gguf";
    (void)snprintf(f32, sizeof f32, "%s/models/stories260K-f32.gguf", shared != NULL ? shared : "");
    (void)snprintf(other, sizeof other, "%s/models/stories260K-%s.gguf",
                   shared != NULL ? shared : "", format);
    FILE *file = fopen(f32, "rb");
    if (file == NULL) {
        SKIP_BECAUSE("no shared models: %s is not there", f32);
        return;
    }
    (void)fclose(file);
    const struct jb_synth_args args = {.from = f32, .format = format, .output = made};
    if (jb_synth(&args) != JB_OK) {
        fail_msg("%s", jb_reason());
    }
    struct jb_model *a = open_model(made);
    struct jb_model *b = open_model(other);
    assert_int_equal(a->n_tensors, b->n_tensors);
    assert_int_equal(a->gguf.n_keys, 26);
    assert_string_equal(jb_model_info(a)->format, format);
    uint32_t n_equal = 0;
    for (uint32_t i = 0; i < a->n_tensors; i++) {
        const struct jb_gguf_tensor *x = a->entries[i];
        const struct jb_gguf_tensor *y = b->entries[i];
        assert_int_equal(x->name.size, y->name.size);
        if (x->type == y->type) {
            assert_int_equal(x->n_bytes, y->n_bytes);
            assert_memory_equal(x->data, y->data, x->n_bytes);
            n_equal++;
        }
    }
    if (n_equal < min_equal) {
        fail_msg("%s: only %u tensors of equal type", format, n_equal);
    }
    jb_model_close(a);
    jb_model_close(b);
    (void)remove(made);
}

static void test_f16(void **state)
{
    (void)state;
    check_pair("f16", 47);
}

static void test_q8_0(void **state)
{
    (void)state;
    check_pair("q8_0", 47);
}

/* All but the tied embedding, which our mix keeps for the head in more bits, as theirs does. */
static void test_q4_0(void **state)
{
    (void)state;
    check_pair("q4_0", 46);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_f16),
        cmocka_unit_test(test_q8_0),
        cmocka_unit_test(test_q4_0),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
