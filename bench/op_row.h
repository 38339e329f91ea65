/* SPDX-License-Identifier: MIT */
#ifndef JB_BENCH_OP_ROW_H
#define JB_BENCH_OP_ROW_H

/* The row of `joulebench op`. Columns: op, backend, device, shape, format, cycles, clock_hz,
 * time_s, bytes, macs, energy_j, one LINE_j a ledger line, bound_share, one stall_NAME a cause of
 * waiting, then busy_cycles and how the numbers came to be. */

#include "bench/op.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Header and row to a file, or to stdout for "-". A file that is there gets the row alone.
 * @return INVAL if it has another header; PERM, IO with the path. */
enum jb_status jb_op_row_write(const struct jb_op_wish *wish, const struct jb_op_answer *answer,
                               const char *path) JB_MUST_CHECK;

#ifdef __cplusplus
}
#endif
#endif
