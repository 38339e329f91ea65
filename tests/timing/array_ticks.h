/* SPDX-License-Identifier: MIT */
#ifndef JB_TEST_ARRAY_TICKS_H
#define JB_TEST_ARRAY_TICKS_H

/* A systolic array multiplier by multiplier and cycle by cycle. Shares nothing with the closed
 * forms but the structs that say what is asked. */

#include "backends/asic_sim/systolic.h"

enum { TICKS_MAX_SIDE = 16 };

/* result (m, n) = a (m, k) x b (k, n) in whole numbers.
 * @param hurry start folds that follow another that many cycles sooner than the wires allow.
 * @return cycles until the last sum is whole; 0 if a register was overwritten, or read, while it
 * did not hold what it should. */
uint64_t ticks_run(const struct jb_array *array, const struct jb_product *product, const int *a,
                   const int *b, int *result, uint32_t hurry);

#endif
