/* SPDX-License-Identifier: MIT */
#ifndef JB_RESULTS_GROW_H
#define JB_RESULTS_GROW_H

/* Text that grows. A failure is remembered, so that only the end has to look. */

#include <stdbool.h>
#include <stddef.h>

#include "platforms/base/status.h"

struct jb_grow {
    char *bytes; /* NUL-terminated after the first put; the owner frees it */
    size_t used, capacity;
    bool has_failed; /* no memory: nothing more is added */
};

#ifdef __cplusplus
extern "C" {
#endif

void jb_grow_bytes(struct jb_grow *grow, const char *bytes, size_t size);
void jb_grow_text(struct jb_grow *grow, const char *text);
void jb_grow_print(struct jb_grow *grow, const char *fmt, ...) JB_PRINTF(2, 3);
/* A CSV cell of any length, quoted only if it must be; line breaks become spaces. */
void jb_grow_cell(struct jb_grow *grow, const char *text);

#ifdef __cplusplus
}
#endif
#endif
