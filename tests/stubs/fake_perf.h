/* SPDX-License-Identifier: MIT */
#ifndef JB_TEST_FAKE_PERF_H
#define JB_TEST_FAKE_PERF_H

#include <stdint.h>

/* Counters in memory in place of perf_event_open(2). */

#define FAKE_PERF_MAX 16

struct fake_perf_counter {
    uint32_t type;
    uint64_t config;
    int cpu;
    int fd; /* ours; the meter's descriptor shares its position */
};

extern struct fake_perf_counter fake_perf_counters[FAKE_PERF_MAX];
extern int fake_perf_n;
extern int fake_perf_errno; /* not 0: opening fails with it */

void fake_perf_install(void);
void fake_perf_remove(void);
/* Sets what the next read of counter i gives; a second read without a new set finds nothing. */
void fake_perf_set(int i, uint64_t count);
void fake_perf_set_all(uint64_t count);

#endif
