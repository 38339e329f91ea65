/* SPDX-License-Identifier: MIT */
#ifndef JB_METERS_MODEL_H
#define JB_METERS_MODEL_H

#include <stdint.h>

/* The model meter: energy of this process's share of a CPU, from two watts of a device file.
 *
 * The file states idle_w and active_w of a whole package of N = physical_cores cores. We see n of
 * them (n < N in a virtual machine) and answer for these only. Over an interval of dt seconds in
 * which the process used dc seconds of CPU time,
 *
 *   busy share   b  = min(1, dc / (n dt))
 *   power        P  = (idle_w + (active_w - idle_w) b) n / N
 *   energy       dE = idle_w (n / N) dt + (active_w - idle_w) dc / N     (while b < 1)
 *
 * so that rest costs our share of the cores, and each core-second of work costs the same wherever
 * it runs, however many cores we see. b stops at 1 because two hardware threads of one core use
 * up to twice the CPU time of one core but not twice its power. Energy is the sum of dE over the
 * intervals between reads. What it leaves out: clocks, vector width, memory traffic, and the work
 * of other processes. Its class is modelled if the file's power_class is `measured`, else
 * nameplate; it is never chosen unasked.
 *
 * Device: `--meter model:NAME`, else --device if that is a CPU, else generic-host. */

struct jb_model_source {
    double (*wall_s)(void);
    double (*cpu_s)(void);   /* CPU time of the process; NaN = unknown            */
    uint32_t visible_cores;  /* n                                                 */
    uint32_t physical_cores; /* N where the file does not say; 0 = unknown: N = n */
};

/* Where meters opened from here on get clocks and cores from; NULL = the machine. For tests. */
void jb_model_set_source(const struct jb_model_source *source);

#endif
