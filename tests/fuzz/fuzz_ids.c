/* SPDX-License-Identifier: MIT */
/* The ids file of `joulebench eval`. */
#include <stdlib.h>

#include "bench/eval.h"
#include "tests/fuzz/target.h"

static enum jb_status run(const uint8_t *data, size_t size)
{
    int32_t *ids = NULL;
    uint64_t n = 0;
    const enum jb_status status =
        jb_ids_parse((const char *)data, size, "input.ids", 512, &ids, &n);
    free(ids);
    return status;
}

const struct jb_fuzz_target jb_fuzz_ids = {
    .name = "ids", .input = "input.ids", .form = JB_FUZZ_TEXT, .weight = 5, .run = run};
