/* SPDX-License-Identifier: MIT */
#ifndef JB_PIM_FLOW_H
#define JB_PIM_FLOW_H

/* Issues flows on one channel, and counts. Shared by the flows; FLOW.md is what they follow. */

#include "backends/pim_sim/commands.h"
#include "backends/pim_sim/pim.h"

struct pim_run {
    const struct pim_machine *machine;
    struct jb_mem *mem;
    struct jb_mem_clock clock;
    struct jb_mem_stream_step *steps; /* (max_steps,) */
    uint8_t *step_parts;              /* (max_steps,) */
    uint64_t *waits;                  /* (2, max_steps) */
    uint32_t n_steps, max_steps;
    uint64_t parts[PIM_N_PARTS];
    uint64_t mode_end, refresh_end; /* what waits until then waits for it                   */
    uint64_t last_result;           /* cycle of the last plain read, before its row closes  */
    bool is_register_mode;          /* global buffer: which of the two the last MODE left   */
    enum jb_status status;
};

#ifdef __cplusplus
extern "C" {
#endif

/* One command now. Errors stay in run->status and stop all that follows. */
void pim_issue(struct pim_run *run, uint32_t command, uint32_t bank, uint32_t row,
               enum pim_part part);
/* n times the same, without rows or refresh. */
void pim_issue_many(struct pim_run *run, uint32_t command, uint32_t bank, uint32_t row,
                    enum pim_part part, uint64_t n);
/* Periods: steps are collected, then run with refresh before each; rows count up by row_step. */
void pim_period_begin(struct pim_run *run);
void pim_period_add(struct pim_run *run, uint32_t command, uint32_t row, enum pim_part part,
                    uint32_t n);
void pim_period_run(struct pim_run *run, uint32_t row, uint32_t row_step, uint64_t n);

/* A share of a product on one channel. */
struct pim_share {
    uint32_t n_words;   /* input words of this channel                    */
    uint32_t n_outputs; /* outputs a unit; register file: output tiles    */
};
void pim_buffer_gemv(struct pim_run *run, const struct pim_share *share);
void pim_file_gemv(struct pim_run *run, const struct pim_share *share);
/* Scores and weighted sum of one token; heads a channel. */
void pim_buffer_attend(struct pim_run *run, const struct pim_attention *attention);

#ifdef __cplusplus
}
#endif
#endif
