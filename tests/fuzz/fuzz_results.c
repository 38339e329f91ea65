/* SPDX-License-Identifier: MIT */
/* The results CSV reader, and the summary of what it took. */
#include <stdlib.h>

#include "results/results.h"
#include "tests/fuzz/target.h"

static enum jb_status run(const uint8_t *data, size_t size)
{
    struct jb_table table = {0};
    bool is_torn = false;
    enum jb_status status = jb_table_parse((const char *)data, size, "input.csv", &table, &is_torn);
    if (status == JB_OK) {
        struct jb_group *groups = NULL;
        uint64_t n_groups = 0;
        if (jb_summarize(&table, &groups, &n_groups) == JB_OK) {
            free(groups);
        }
        jb_table_free(&table);
    }
    return status;
}

const struct jb_fuzz_target jb_fuzz_results = {
    .name = "results", .input = "input.csv", .form = JB_FUZZ_TEXT, .weight = 20, .run = run};
