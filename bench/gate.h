/* SPDX-License-Identifier: MIT */
#ifndef JB_GATE_H
#define JB_GATE_H

/* The physics gate: what the device cannot beat. Bounds come from the peaks of the device file
 * that --device names; with no such file there is no bound, and the gate lets everything pass. */

#include "bench/phases.h"
#include "platforms/host/host.h"

/* A result may exceed a peak by this much before it is refused: rounding of data sheets, clock
 * tolerance (DESIGN.md section 8). */
#define JB_PEAK_TOLERANCE 1.02
#define JB_LIMIT_TOLERANCE 1.05
/* A ceiling that was measured moves with the clock and the neighbours; beaten by more, it is not
 * the one that held during the run. */
#define JB_CEILING_TOLERANCE 1.05
/* The memory bound holds only where weights and KV cannot live in the last-level cache. */
#define JB_CACHE_FACTOR 4.0

struct jb_peaks {
    double memory_bytes_per_s, op_per_s; /* op_per_s: highest rate of any number format */
    double limit_w;
    double cache_bytes; /* last level; all NaN = unknown */
};

#ifdef __cplusplus
extern "C" {
#endif

/* @param device --device; NULL or no device file = all NaN but the host's cache.
 * @param host NULL unless the device is this machine's CPU. */
void jb_peaks_read(const char *device, const struct jb_host *host, struct jb_peaks *ret_peaks);

/* Least seconds that one phase can take: the larger of bytes / bandwidth, step by step, and
 * operations / rate. NaN with a word of reason when neither is known.
 * @param resident_bytes weights and KV, compared with the cache. */
double jb_gate_least_s(const struct jb_phases *phases, enum jb_phase phase,
                       const struct jb_peaks *peaks, double resident_bytes,
                       const char **ret_reason);

#ifdef __cplusplus
}
#endif
#endif
