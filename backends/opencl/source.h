/* SPDX-License-Identifier: MIT */
#ifndef JB_OPENCL_SOURCE_H
#define JB_OPENCL_SOURCE_H

/* The kernel files as text; the build writes them into the program. */

#include <stdint.h>

struct jb_opencl_source {
    const char *const *lines; /* (n_lines,) each with its line break */
    uint32_t n_lines;
};
/* common.cl, ops.cl and attention.cl; common.cl and matmul.cl. */
extern const struct jb_opencl_source jb_opencl_steps, jb_opencl_matmul;

#endif
