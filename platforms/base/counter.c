/* SPDX-License-Identifier: MIT */
#include "platforms/base/counter.h"

bool jb_counter_delta(uint64_t before, uint64_t after, uint64_t range, uint64_t max_step,
                      uint64_t *ret_delta)
{
    if (range != 0 && (before >= range || after >= range)) {
        return false;
    }
    if (after >= before) {
        *ret_delta = after - before;
        return true;
    }
    /* range == 0 stands for 2^64, where unsigned subtraction wraps by itself. */
    const uint64_t delta = range == 0 ? after - before : range - before + after;
    uint64_t limit = max_step;
    if (limit == 0) {
        limit = range == 0 ? UINT64_MAX / 2 : range / 2;
    }
    if (delta > limit) {
        return false;
    }
    *ret_delta = delta;
    return true;
}

bool jb_counter_feed(struct jb_counter *counter, uint64_t raw)
{
    if (counter->is_broken) {
        return false;
    }
    uint64_t delta = 0;
    if (counter->has_last &&
        !jb_counter_delta(counter->last, raw, counter->range, counter->max_step, &delta)) {
        counter->is_broken = true;
        return false;
    }
    counter->total += delta;
    counter->last = raw;
    counter->has_last = true;
    return true;
}
