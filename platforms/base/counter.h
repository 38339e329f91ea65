/* SPDX-License-Identifier: MIT */
#ifndef JB_BASE_COUNTER_H
#define JB_BASE_COUNTER_H

#include <stdbool.h>
#include <stdint.h>

/* A hardware counter that counts up to a range and starts again at 0, accumulated in 64 bits by
 * its only reader (rules R13, R14 of a valid energy number: wrap belongs in the reader, equal
 * readings mean "0 or not ticked", an unexplained decrease is a reset). */

struct jb_counter {
    uint64_t
        range; /* number of distinct values: the largest is range - 1; 0 = never wraps (2^64) */
    uint64_t max_step; /* largest credible increase between two reads; 0 = range / 2           */
    uint64_t last;     /* previous raw reading                                                  */
    uint64_t total;    /* sum of all increases since start                                      */
    bool has_last;
    bool is_broken; /* a decrease that no single wrap explains was seen; total is void         */
};

#ifdef __cplusplus
extern "C" {
#endif

/* Increase from before to after on a counter with this range.
 * @param ret_delta written only on true: in [0, range).
 * @return false if after lies below before and the implied increase exceeds max_step (a reset),
 *         or if a reading lies outside the range. */
bool jb_counter_delta(uint64_t before, uint64_t after, uint64_t range, uint64_t max_step,
                      uint64_t *ret_delta);

/* Feeds one raw reading. The first only sets the start.
 * @return false once the counter is broken; total then keeps its last good value. */
bool jb_counter_feed(struct jb_counter *counter, uint64_t raw);

#ifdef __cplusplus
}
#endif
#endif
