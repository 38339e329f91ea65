/* SPDX-License-Identifier: MIT */
#ifndef JB_PARALLEL_H
#define JB_PARALLEL_H

#include <stdint.h>

/* Calls work(ctx, first, end) for shares of the rows [0, n_rows) on all processing units that this
 * process may use, and returns when all are done. Few values are worked on the calling thread
 * alone. Rows must not depend on one another. */
void jb_parallel_rows(uint32_t n_rows, uint64_t values_a_row,
                      void (*work)(void *ctx, uint32_t first, uint32_t end), void *ctx);

#endif
