/* SPDX-License-Identifier: MIT */
/* Runs a target on files, without libFuzzer: replay FILE... One TAP point a file. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/fuzz/target.h"

enum { MAX_FILES = 1024 };
static uint8_t *inputs[MAX_FILES];
static size_t sizes[MAX_FILES];

int main(int argc, char **argv)
{
    char sandbox[64], complaint[1024];
    if (argc < 2 || argc > MAX_FILES) {
        (void)fprintf(stderr, "usage: replay FILE... (at most %d)\n", MAX_FILES - 1);
        return 2;
    }
    for (int i = 1; i < argc; i++) {
        inputs[i] = jb_fuzz_read(argv[i], &sizes[i]);
    }
    if (!jb_fuzz_enter_sandbox(sandbox)) {
        (void)printf("Bail out! cannot make %s\n", sandbox);
        return 1;
    }
    /* A target may use up standard output. */
    FILE *out = fdopen(dup(STDOUT_FILENO), "w");
    if (out == NULL) {
        return 1;
    }
    (void)fprintf(out, "1..%d\n", argc - 1);
    int n_failed = 0;
    for (int i = 1; i < argc; i++) {
        const char *slash = strrchr(argv[i], '/');
        const char *name = slash == NULL ? argv[i] : slash + 1;
        enum jb_status status = JB_OK;
        (void)snprintf(complaint, sizeof complaint, "cannot be read");
        const bool is_good = inputs[i] != NULL && jb_fuzz_run(&JB_FUZZ_TARGET, inputs[i], sizes[i],
                                                              &status, complaint, sizeof complaint);
        n_failed += !is_good;
        (void)fprintf(out, "%sok %d - %s %s: %s\n", is_good ? "" : "not ", i, JB_FUZZ_TARGET.name,
                      name,
                      !is_good          ? complaint
                      : status == JB_OK ? "taken"
                                        : jb_reason());
        free(inputs[i]);
    }
    (void)fclose(out);
    jb_fuzz_leave_sandbox(sandbox);
    return n_failed > 0;
}
