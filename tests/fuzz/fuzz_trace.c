/* SPDX-License-Identifier: MIT */
/* Meter traces, as --meter replay:FILE reads them. */
#include "platforms/meters/replay.h"
#include "tests/fuzz/target.h"

static enum jb_status run(const uint8_t *data, size_t size)
{
    return jb_replay_check((const char *)data, size, "input.csv");
}

const struct jb_fuzz_target jb_fuzz_trace = {
    .name = "trace", .input = "input.csv", .form = JB_FUZZ_TEXT, .weight = 15, .run = run};
