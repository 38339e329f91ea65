/* SPDX-License-Identifier: MIT */
/* Published points, and who among them counts. */
#include "results/published.h"
#include "tests/fuzz/target.h"

static enum jb_status run(const uint8_t *data, size_t size)
{
    struct jb_published published = {.rows = NULL};
    const enum jb_status status =
        jb_published_parse((const char *)data, size, "input.csv", &published);
    if (status == JB_OK) {
        uint64_t n_counted = 0;
        for (uint64_t i = 0; i < published.n_rows; i++) {
            n_counted += jb_published_is_ranked(&published.rows[i]) ? 1 : 0;
            n_counted += jb_published_is_drawn(&published.rows[i]) ? 1 : 0;
            n_counted += jb_published_is_sheet(&published.rows[i]) ? 1 : 0;
        }
        (void)n_counted;
        jb_published_free(&published);
    }
    return status;
}

const struct jb_fuzz_target jb_fuzz_published = {
    .name = "published", .input = "input.csv", .form = JB_FUZZ_TEXT, .weight = 10, .run = run};
