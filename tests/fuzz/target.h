/* SPDX-License-Identifier: MIT */
#ifndef JB_FUZZ_TARGET_H
#define JB_FUZZ_TARGET_H

/* One reader of outside input, called in process. The same targets are driven by libFuzzer
 * (libfuzzer.c), by the files of their corpus (replay.c) and by a seeded mutator (mutate.c).
 * All drivers run in an empty folder of their own, which a target may write to. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "platforms/base/status.h"

struct jb_fuzz_target {
    const char *name; /* = folder of the corpus */
    const char
        *input; /* file name that the reason of a refusal must hold; NULL = there is no file */
    /* Field-wise mutation: GGUF, text in lines, or neither. */
    enum { JB_FUZZ_BYTES, JB_FUZZ_TEXT, JB_FUZZ_GGUF } form;
    unsigned weight; /* share of the inputs */
    /* @return JB_OK if the input was taken, else why not, with a reason. */
    enum jb_status (*run)(const uint8_t *data, size_t size);
};

/* Runs one input, then checks that a refusal gave one line that names file and place.
 * @param ret_complaint (size,) what is wrong with the reason, on false. */
bool jb_fuzz_run(const struct jb_fuzz_target *target, const uint8_t *data, size_t size,
                 enum jb_status *ret_status, char *ret_complaint, size_t complaint_size);

/* Makes an empty folder and goes there; the second removes it with all that is in it. */
bool jb_fuzz_enter_sandbox(char ret_path[64]);
void jb_fuzz_leave_sandbox(const char *path);

/* Reads a whole file; NULL if it cannot. */
uint8_t *jb_fuzz_read(const char *path, size_t *ret_size);

extern const struct jb_fuzz_target jb_fuzz_gguf, jb_fuzz_tokenizer, jb_fuzz_results, jb_fuzz_trace,
    jb_fuzz_device, jb_fuzz_cli, jb_fuzz_ids, jb_fuzz_sheet, jb_fuzz_published, jb_fuzz_import;
/* Broken on purpose (fuzz_broken.c). */
extern const struct jb_fuzz_target jb_fuzz_crash, jb_fuzz_hang, jb_fuzz_mute, jb_fuzz_placeless,
    jb_fuzz_good;

#endif
