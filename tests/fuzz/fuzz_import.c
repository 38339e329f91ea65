/* SPDX-License-Identifier: MIT */
/* Other tools' files; what was taken must be rows that can be summarized. */
#include <stdlib.h>

#include "results/import.h"
#include "tests/fuzz/target.h"

static enum jb_status run(const uint8_t *data, size_t size)
{
    const struct jb_import_args args = {.format = NULL};
    struct jb_import_report report;
    struct jb_table table = {0};
    const enum jb_status status =
        jb_import_parse((const char *)data, size, "input.csv", &args, &table, &report);
    if (status == JB_OK) {
        struct jb_group *groups = NULL;
        uint64_t n = 0;
        if (jb_summarize(&table, &groups, &n) == JB_OK) {
            free(groups);
        }
        jb_table_free(&table);
    }
    return status;
}

const struct jb_fuzz_target jb_fuzz_import = {
    .name = "import", .input = "input.csv", .form = JB_FUZZ_TEXT, .weight = 20, .run = run};
