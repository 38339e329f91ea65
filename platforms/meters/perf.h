/* SPDX-License-Identifier: MIT */
#ifndef JB_METERS_PERF_H
#define JB_METERS_PERF_H

#include <stdint.h>

/* Puts a function in place of perf_event_open(2): a counter of this type and config on one CPU.
 * It returns a descriptor whose read() gives a 64-bit count, or -1 and errno. NULL restores the
 * system call. For tests; set while no perf meter is open. */
void jb_perf_set_open(int (*replacement)(uint32_t type, uint64_t config, int cpu));

#define JB_PERF_MAX_PACKAGES 32

/* One CPU of each package (or die) that the `power` PMU counts.
 * @return how many; 0 if there is no such PMU here. */
uint32_t jb_perf_package_cpus(int ret_cpus[JB_PERF_MAX_PACKAGES]);

#endif
