/* SPDX-License-Identifier: MIT */
#ifndef JB_BENCH_CHILD_H
#define JB_BENCH_CHILD_H

#include "platforms/base/status.h"

/* Runs a program found in PATH and waits for it. Its stdout is dropped, its stderr goes to the
 * file log_path (where the system can do that). SOURCE_DATE_EPOCH is 0 for it unless it is set,
 * so that what it writes carries no date.
 * @param argv NULL-terminated, argv[0] the program's name
 * @return NODEV if there is no such program; DEVICE if it failed. */
enum jb_status jb_child_run(const char *const *argv, const char *log_path) JB_MUST_CHECK;

#endif
