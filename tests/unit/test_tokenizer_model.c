/* SPDX-License-Identifier: MIT */
/* Tokenizers of real model files: the shared stories260K, and SmolLM2 where $JB_SMOLLM2 names it.
 * Its own TAP: cmocka has no way to skip with a reason that TAP readers take for a skip. */
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/workload/workload.h"
#include "tests/unit/tokenizer_tables.h"

/* Encodes, compares, and decodes back. */
static bool is_as_expected(struct jb_tokenizer *tokenizer, const struct expected_ids *expected)
{
    int32_t *ids = NULL;
    uint32_t n = 0;
    char *back = NULL;
    size_t size = 0;
    bool is_good = jb_tokenizer_encode(tokenizer, expected->text, strlen(expected->text), true,
                                       false, &ids, &n) == JB_OK &&
                   jb_tokenizer_decode(tokenizer, ids, n, &back, &size) == JB_OK;
    is_good = is_good && n == expected->n && memcmp(ids, expected->ids, n * sizeof *ids) == 0 &&
              strcmp(back, expected->text) == 0;
    if (!is_good) {
        (void)printf("# '%s': %u ids, %u expected, or others:", expected->text, n, expected->n);
        for (uint32_t i = 0; i < n; i++) {
            (void)printf(" %d", ids[i]);
        }
        (void)printf("\n");
    }
    free(ids);
    free(back);
    return is_good;
}

static bool check_table(const char *path, const struct expected_ids *table, size_t n_table)
{
    const struct jb_model_args args = {.source = path, .has_weights = false};
    struct jb_model *model = NULL;
    struct jb_tokenizer *tokenizer = NULL;
    bool is_good = jb_model_open(&args, &model) == JB_OK &&
                   jb_tokenizer_create(jb_model_info(model)->vocab, &tokenizer) == JB_OK;
    if (!is_good) {
        (void)printf("# %s\n", jb_reason());
    }
    for (size_t i = 0; i < n_table && tokenizer != NULL; i++) {
        is_good &= is_as_expected(tokenizer, &table[i]);
    }
    jb_tokenizer_free(tokenizer);
    jb_model_close(model);
    return is_good;
}

/* One TAP point. @return false if it failed. */
static bool point(int number, const char *name, const char *path, const char *reason,
                  const struct expected_ids *table, size_t n_table)
{
    FILE *file = path == NULL ? NULL : fopen(path, "rb");
    if (file == NULL) {
        (void)printf("ok %d - %s # SKIP %s\n", number, name, reason);
        return true;
    }
    (void)fclose(file);
    const bool is_good = check_table(path, table, n_table);
    (void)printf("%sok %d - %s\n", is_good ? "" : "not ", number, name);
    return is_good;
}

int main(void)
{
    const char *shared = getenv("JB_SHARED");
    char stories[1024];
    (void)snprintf(stories, sizeof stories, "%s/models/stories260K-q4_0.gguf",
                   shared == NULL ? "" : shared);
    (void)printf("1..2\n");
    bool is_good = point(1, "the llama2.c algorithm's ids from the stories260K vocabulary", stories,
                         "no shared models", tok512_expected,
                         sizeof tok512_expected / sizeof *tok512_expected);
    is_good &= point(2, "GPT-2's algorithm's ids from the SmolLM2 vocabulary", getenv("JB_SMOLLM2"),
                     "no SmolLM2: run bench/quickstart once, or name the file in JB_SMOLLM2",
                     smollm2_expected, sizeof smollm2_expected / sizeof *smollm2_expected);
    return is_good ? 0 : 1;
}
