/* SPDX-License-Identifier: MIT */
#ifndef JB_TRACE_FILE_H
#define JB_TRACE_FILE_H

/* `--trace FILE.csv`: every sample that the sampler took, for figures of power over time. The
 * columns are those of a replay trace (platforms/meters/replay.h), so that a run can be replayed,
 * followed by where in the run the sample lies:
 *   time_s,domain,quantity,unit,scope,value,in_total,update_period_s,average_s,evidence,
 *   meter,run_id,backend,batch,repetition,phase
 * domain is METER:DOMAIN, since two meters may have one of the same name.
 * time_s counts from the first sample in the file. Idle stretches have phase `idle`. */

#include <stdint.h>

#include "bench/measure/measure.h"
#include "platforms/base/status.h"

struct jb_trace_file;

struct jb_trace_place {
    const char *run_id, *backend, *phase;
    uint32_t batch, repetition;
};

#ifdef __cplusplus
extern "C" {
#endif

/* Makes the file, or empties an older trace, and writes its header.
 * @return INVAL if the file holds something else; PERM or IO with the path. */
enum jb_status jb_trace_create(const char *path, struct jb_trace_file **ret_file) JB_MUST_CHECK;
/* Adds the samples of the last window or idle stretch. @return IO with the path. */
enum jb_status jb_trace_add(struct jb_trace_file *file, const struct jb_trace_place *place,
                            struct jb_measure *measure) JB_MUST_CHECK;
enum jb_status jb_trace_close(struct jb_trace_file *file); /* NULL is fine */

#ifdef __cplusplus
}
#endif
#endif
