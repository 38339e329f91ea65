/* SPDX-License-Identifier: MIT */
#ifndef JB_BENCH_TABLES_H
#define JB_BENCH_TABLES_H

#include <stdint.h>

#include "results/results.h"

/* Reads result files, joins and groups them. Says on stderr what is wrong with them, or that a
 * torn last line was left out. No file, or no complete row in any, is a usage error.
 * @param ret_groups malloc'ed, given
 * @return exit code; the ret_ parameters are written only with JB_EXIT_OK. */
int jb_groups_of_files(const char *command, int n_files, char **files, struct jb_group **ret_groups,
                       uint64_t *ret_n);

#endif
