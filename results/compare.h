/* SPDX-License-Identifier: MIT */
#ifndef JB_RESULTS_COMPARE_H
#define JB_RESULTS_COMPARE_H

/* Two tables against each other: groups that ran the same thing, and the ratio of what they gave.
 */

#include <stdbool.h>
#include <stdint.h>

#include "results/results.h"

/* b / a. The interval is [b.low / a.high, b.high / a.low]: of two 95 % intervals, so it holds the
 * ratio of the medians with at least 90 %. NaN where an interval or a value is not known. */
struct jb_ratio {
    double value, low, high;
};

struct jb_pair {
    const struct jb_group *a, *b;
    struct jb_ratio tokens_per_s, tokens_per_j, power_w;
    bool is_one_class; /* time and energy have the same evidence classes on both sides */
};

struct jb_comparison {
    struct jb_pair *pairs;
    uint64_t n_pairs;
    uint64_t n_alone_a, n_alone_b; /* groups without a partner */
};

#ifdef __cplusplus
extern "C" {
#endif

/* Columns that partners must agree in, by index; NULL past the last. */
const char *jb_compare_column(uint32_t index);

/* @param across columns among those that may differ after all
 * @param ret_comparison its pairs are malloc'ed and point into a and b
 * @return INVAL for an unknown column, or if a group has two partners (the reason says in which
 *         columns they differ); NOMEM. */
enum jb_status jb_compare(const struct jb_group *a, uint64_t n_a, const struct jb_group *b,
                          uint64_t n_b, const char *const *across, uint32_t n_across,
                          struct jb_comparison *ret_comparison) JB_MUST_CHECK;

#ifdef __cplusplus
}
#endif
#endif
