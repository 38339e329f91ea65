/* SPDX-License-Identifier: MIT */
#ifndef JB_TESTS_RESULTS_SAMPLE_H
#define JB_TESTS_RESULTS_SAMPLE_H

#include <string.h>

#include "results/results.h"

/* A complete row: cpu, tiny, decode; everything that may be empty is. */
static inline void sample_record(struct jb_record *record)
{
    jb_record_init(record);
    struct jb_record row = *record;
    struct jb_record text = {.schema = JB_SCHEMA,
                             .run_id = "0123456789abcdef",
                             .time_utc = "2026-01-02T03:04:05Z",
                             .backend = "cpu",
                             .platform = "cpu",
                             .device = "Some CPU (avx2)",
                             .model = "tiny",
                             .weight_format = "q4_0",
                             .kv_format = "f16",
                             .method = "none",
                             .method_class = "none",
                             .execution = "functional",
                             .feed = "forced",
                             .phase = "decode",
                             .time_class = "measured",
                             .verdict = "VALID"};
    for (uint32_t i = 0; i < jb_column_count(); i++) {
        const struct jb_column *column = jb_column_at(i);
        if (column->type == JB_COLUMN_TEXT) {
            memcpy((char *)&row + column->offset, (const char *)&text + column->offset,
                   column->size);
        } else if (column->type == JB_COLUMN_INT && !column->may_be_empty) {
            const int64_t one = 1;
            memcpy((char *)&row + column->offset, &one, sizeof one);
        }
    }
    row.window_s = 1.5;
    row.time_s = 0.25;
    row.tokens = 16;
    row.tokens_per_s = 64.0;
    *record = row;
}

#endif
