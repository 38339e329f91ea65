/* SPDX-License-Identifier: MIT */
/* libFuzzer's entry for the target that the build names. */
#include <stdio.h>
#include <stdlib.h>

#include "tests/fuzz/target.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    enum jb_status status = JB_OK;
    char complaint[1024];
    if (!jb_fuzz_run(&JB_FUZZ_TARGET, data, size, &status, complaint, sizeof complaint)) {
        (void)fprintf(stderr, "%s\n", complaint);
        abort();
    }
    return 0;
}
