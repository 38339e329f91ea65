/* SPDX-License-Identifier: MIT */
/* Any table: CSV, or JSON where the text looks like it. */
#include "results/sheet.h"
#include "tests/fuzz/target.h"

static enum jb_status run(const uint8_t *data, size_t size)
{
    struct jb_sheet sheet = {0};
    const char *text = (const char *)data;
    const enum jb_status status = jb_sheet_is_json(text, size)
                                      ? jb_sheet_parse_json(text, size, "input.csv", &sheet)
                                      : jb_sheet_parse(text, size, "input.csv", &sheet);
    if (status == JB_OK) {
        jb_sheet_free(&sheet);
    }
    return status;
}

const struct jb_fuzz_target jb_fuzz_sheet = {
    .name = "sheet", .input = "input.csv", .form = JB_FUZZ_TEXT, .weight = 10, .run = run};
