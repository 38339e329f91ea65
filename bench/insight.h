/* SPDX-License-Identifier: MIT */
#ifndef JB_INSIGHT_H
#define JB_INSIGHT_H

/* Looking into modelled devices while they run. Three files, each on its own wish:
 *
 *   --trace-ops FILE       Chrome trace format (JSON; chrome://tracing, Perfetto): one process a
 *                          backend and batch, one track a resource, one event a charge of an op;
 *                          times are simulated microseconds, steps one after the other
 *   --trace-commands FILE  CSV, one memory command a line: cycle,channel,command,group,bank,row,
 *                          column,pseudo,rank,timeline,what; cycles count from the start of each
 *                          timeline, all banks closed
 *   --breakdown FILE       CSV, where time and joules of a phase went: schema,run_id,backend,
 *                          device,model,weight_format,batch,phase,repetition,op,resource,what,
 *                          name,value,unit. what = time (name busy: s on that resource; bound: s
 *                          that the peaks allow), work (macs; bytes), energy (name = ledger line),
 *                          cycles (name = busy or what they were waited for), total (time, energy;
 *                          op is empty) */

#include <stdint.h>

#include "backends/backend.h"

#define JB_BREAKDOWN_SCHEMA "joulebench-breakdown-1"

struct jb_insight;

struct jb_insight_args {
    const char *ops, *commands, *breakdown; /* paths; NULL = not wanted */
};

/* Where in the run the next steps lie. Texts outlive end(). */
struct jb_insight_place {
    const struct jb_backend *backend; /* modelled */
    struct jb_device *device;
    const struct jb_plan *plan;
    const char *device_name, *run_id, *model, *weight_format, *phase;
    uint32_t batch, repetition;
};

#ifdef __cplusplus
extern "C" {
#endif

/* Makes the files; one that is there is replaced if it is of the same kind.
 * @return INVAL if it is something else; PERM or IO with the path; NOMEM. */
enum jb_status jb_insight_open(const struct jb_insight_args *args,
                               struct jb_insight **ret_insight) JB_MUST_CHECK;
/* Finishes the files. NULL is fine. @return IO with the path if one could not be written. */
enum jb_status jb_insight_close(struct jb_insight *insight);

/* For jb_open_args; NULL if nobody wants commands, or for NULL. */
const struct jb_dram_sink *jb_insight_sink(const struct jb_insight *insight);

/* A phase: begin, every step with its account right after account(), end. Commands in between are
 * those of the phase; others are not written. */
void jb_insight_begin(struct jb_insight *insight, const struct jb_insight_place *place);
/* Asks the device for detail() of each op if that is wanted: the account is void afterwards.
 * @return what detail() says. */
enum jb_status jb_insight_step(struct jb_insight *insight, const struct jb_step *step,
                               const struct jb_account *account) JB_MUST_CHECK;
/* @return IO with the path. */
enum jb_status jb_insight_end(struct jb_insight *insight) JB_MUST_CHECK;

#ifdef __cplusplus
}
#endif
#endif
