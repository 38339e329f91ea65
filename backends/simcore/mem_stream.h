/* SPDX-License-Identifier: MIT */
#ifndef JB_SIMCORE_MEM_STREAM_H
#define JB_SIMCORE_MEM_STREAM_H

/* Long regular streams without walking through them. A stream is a short list of commands, the
 * period, repeated on ever later rows, each command as early as the rules let it, in order;
 * all-bank refresh comes between periods when it is due. Once two periods in a row leave the
 * channel in the same state
 * - what each command still has to wait for, which banks are open - all that follow take equally
 * long, and are added instead of issued. Nothing is rounded: cycles, counts, state times and what a
 * later command has to wait for are those of issuing every command. With a sink on the channel
 * every command is issued, so that command logs are whole. */

#include "backends/simcore/mem_timing.h"

struct jb_mem_stream_step {
    uint32_t command;
    struct jb_mem_target target; /* row counts from the period's first row */
};

struct jb_mem_stream {
    const struct jb_mem_stream_step *steps; /* (n_steps,) */
    uint32_t n_steps;
    uint64_t n_periods;
    uint32_t row,
        row_step; /* first row of the first period, and how much later the next one starts */
    /* (2 n_steps,) or NULL: to the first half the cycles from the command before to each step are
     * added, over all periods; the second half is scratch. Refresh is not in it. */
    uint64_t *waits;
};

/* The caller's clock, handed from stream to stream. */
struct jb_mem_clock {
    uint64_t now;            /* cycle of the last command                                     */
    uint64_t refresh_due;    /* UINT64_MAX = refresh is off                                   */
    uint64_t n_refreshes;    /* rounds of refresh so far, one of each rank                    */
    uint64_t n_issued;       /* commands that were issued rather than added: what it cost us  */
    uint64_t refresh_cycles; /* waits of refresh commands, and of what follows them within: */
    uint64_t rfc;            /* tRFC, set by the caller who reads refresh_cycles            */
};

#ifdef __cplusplus
extern "C" {
#endif

/* Runs a stream on the channel from clock->now on.
 * Every bank open at a refresh is opened again with the row it had.
 * @param refresh_cycles time between refreshes (tREFI).
 * @return NOMEM; INVAL: a step names no command, or finds the banks not as it needs them. */
enum jb_status jb_mem_stream_run(struct jb_mem *mem, const struct jb_mem_stream *stream,
                                 uint64_t refresh_cycles, struct jb_mem_clock *clock) JB_MUST_CHECK;

#ifdef __cplusplus
}
#endif
#endif
