/* SPDX-License-Identifier: MIT */
/* Targets that fail in the ways the mutator must notice; for the test of the mutator itself. */
#include <stdlib.h>

#include "tests/fuzz/target.h"

static volatile int always = 1;

static enum jb_status run_crash(const uint8_t *data, size_t size)
{
    (void)data;
    (void)size;
    abort();
}

static enum jb_status run_hang(const uint8_t *data, size_t size)
{
    (void)data;
    (void)size;
    while (always) {
    }
    return JB_OK;
}

static enum jb_status run_mute(const uint8_t *data, size_t size)
{
    (void)data;
    (void)size;
    return JB_E_FORMAT;
}

static enum jb_status run_placeless(const uint8_t *data, size_t size)
{
    (void)data;
    (void)size;
    return jb_fail(JB_E_FORMAT, "input.ids is bad");
}

static enum jb_status run_good(const uint8_t *data, size_t size)
{
    (void)data;
    return size % 2 == 0 ? JB_OK : jb_fail(JB_E_FORMAT, "input.ids:1: odd");
}

const struct jb_fuzz_target jb_fuzz_crash = {.name = "ids", .weight = 1, .run = run_crash};
const struct jb_fuzz_target jb_fuzz_hang = {.name = "ids", .weight = 1, .run = run_hang};
const struct jb_fuzz_target jb_fuzz_mute = {.name = "ids", .weight = 1, .run = run_mute};
const struct jb_fuzz_target jb_fuzz_placeless = {
    .name = "ids", .input = "input.ids", .weight = 1, .run = run_placeless};
const struct jb_fuzz_target jb_fuzz_good = {
    .name = "ids", .input = "input.ids", .weight = 1, .run = run_good};
